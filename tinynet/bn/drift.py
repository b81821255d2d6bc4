"""How far training moves gamma and beta from where they began.

Davis and Frank (2021) observe that the trained gamma and beta of batch normalisation stay close to their
initial 1 and 0, and start gamma elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.bn.recording import as_array, chosen_layers
from tinynet.errors import ArgumentError, ShapeError
from tinynet.nn.module import Module
from tinynet.nn.normalization import _BatchNorm

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ScaleDrift:
    """How far gamma and beta of one batch normalisation are from where they began, over its channels.

    Attributes
    ----------
    gamma_mean, gamma_std : float
        Mean and standard deviation (divisor C) of ``|gamma - initial|``.
    beta_mean, beta_std : float or None
        Mean and standard deviation of ``|beta|``; None where there is no beta.
    """

    gamma_mean: float
    gamma_std: float
    beta_mean: float | None
    beta_std: float | None


def scale_drift(
    model: Module, initial: float | Mapping[str, Tensor | Array] | None = None
) -> dict[str, ScaleDrift]:
    """Return how far gamma and beta of every batch normalisation are from where they began.

    Parameters
    ----------
    model : Module
        A network with batch normalisations; it is only read.
    initial : float or mapping of str to Tensor or numpy.ndarray, optional
        Where gamma began: one number for all, or an earlier state, of which ``initial[name + ".weight"]`` is
        read.  By default, of every layer what it was built with: 1, its `scale_init`, or the `scale` of an
        `InputNorm2d`.  What `Module.state_dict` gives shares memory with the network and moves with it: keep
        copies, ``{name: value.numpy().copy() for name, value in model.state_dict().items()}``.

    Returns
    -------
    dict of str to ScaleDrift
        Under the name of each batch normalisation that has a gamma, in the network's order.

    Raises
    ------
    ArgumentError
        If there is no batch normalisation with a gamma, `initial` is not finite, or lacks one of them.
    ShapeError
        If a value in `initial` is not of its gamma's shape.
    DTypeError
        If an argument is of another kind.

    References
    ----------
    J. Davis, L. Frank: Revisiting Batch Normalization, 2021.

    Examples
    --------
    >>> import tinynet as tn
    >>> layer = tn.nn.BatchNorm1d(2)
    >>> layer.weight.data = tn.tensor([0.5, 1.25])
    >>> tn.bn.scale_drift(layer)[""]
    ScaleDrift(gamma_mean=0.375, gamma_std=0.125, beta_mean=0.0, beta_std=0.0)
    """
    owner = "scale_drift"
    layers: dict[str, Any] = chosen_layers(owner, model, None, (_BatchNorm,))
    if initial is not None and not isinstance(initial, Mapping):
        initial = _check.real(owner, "initial", initial)
    found = {}
    for name, layer in layers.items():
        if layer.weight is None:
            continue
        key = f"{name}.weight" if name else "weight"
        gamma = _values(owner, key, layer.weight)
        if initial is None:  # as rounded as gamma was
            start: Any = layer.weight.dtype.type(layer.scale_init)
        else:
            start = _start(owner, initial, key, gamma.shape) if isinstance(initial, Mapping) else initial
        beta = (None, None) if layer.bias is None else _moments(_values(owner, "bias", layer.bias))
        found[name] = ScaleDrift(*_moments(gamma - start), *beta)
    if not found:
        raise ArgumentError(f"{owner}: model must have batch normalisations with a gamma; got none")
    return found


def _start(owner: str, initial: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> Array:
    """The gamma of an earlier state, checked."""
    if key not in initial:
        raise ArgumentError(f"{owner}: initial must hold every gamma; got none for {key!r}")
    name = f"initial[{key!r}]"
    values = _values(owner, name, initial[key])
    if values.shape != shape:
        raise ShapeError(f"{owner}: {name} must have shape {shape}; got {values.shape}")
    return values


def _values(owner: str, name: str, value: Any) -> Array:
    return as_array(owner, name, value).astype(np.float64)


def _moments(values: Array) -> tuple[float, float]:
    """Mean and standard deviation of the absolute values."""
    with np.errstate(all="ignore"):
        return float(np.abs(values).mean()), float(np.abs(values).std())
