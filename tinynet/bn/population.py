"""Exact population statistics for batch normalisation (Ioffe & Szegedy 2015, Algorithm 2).

After training, inference needs the mean and variance of every normalised activation over the training data,
under the final weights.  The running statistics of training lag behind the weights; these do not.  Over
batches B of m values per channel, the paper's lines 8 to 10::

    E[x]   = mean over B of mu_B
    Var[x] = m / (m - 1) * mean over B of var_B          var_B biased, as training normalises with it

Where batches differ in size, each counts with its m_B and has its own factor m_B / (m_B - 1); E[x] is then
the mean over all values, and for equal sizes this is the paper's formula.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinynet._hooks import RemovableHandle
from tinynet._tensor import no_grad, tensor
from tinynet.bn.recording import batch_input, check_batches, check_model
from tinynet.errors import ArgumentError
from tinynet.nn.module import Module
from tinynet.nn.normalization import _BatchNorm
from tinynet.ops.normalization import batch_statistics

Array = np.ndarray[Any, Any]


class _Sums:
    """Sums over the batches that one layer saw, in float64."""

    def __init__(self, channels: int) -> None:
        self.mean = np.zeros(channels)  # sum of m_B mu_B
        self.var = np.zeros(channels)  # sum of m_B * m_B/(m_B - 1) * var_B
        self.count = 0  # sum of m_B

    def add(self, _module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Forward pre-hook: add the statistics of the layer's input."""
        x = args[0] if args else kwargs["input"]
        if x.ndim < 2 or x.shape[1] != len(self.mean) or x.numel() == x.shape[1]:
            return  # the layer's own forward raises, with its message
        mean, var, count = batch_statistics(x.detach().numpy())
        self.mean += count * mean
        self.var += count * (count / (count - 1)) * var
        self.count += count


def population_statistics(model: Module, batches: Iterable[Any]) -> dict[str, tuple[Array, Array]]:
    """Measure the population statistics of every batch normalisation in `model` and make them its running
    statistics.

    Runs `model` in training mode (each layer normalises by its batch, as in training; dropout is active and
    draws from the default generator) without gradients over all `batches`.  The momentum update does not take
    place, and `num_batches_tracked` is left as it is.  Afterwards every module has the mode it had before.
    If anything raises on the way, the running statistics are unchanged.

    Parameters
    ----------
    model : Module
        A network with at least one batch normalisation, all of which keep running statistics.
    batches : iterable
        Each a `Tensor` or `numpy.ndarray` that is given to `model`, or a tuple or list of which the first
        entry is. The statistics are those of the batches' size: use the size of training.

    Returns
    -------
    dict of str to (numpy.ndarray, numpy.ndarray)
        Per layer, under its dotted name, ``(E[x], Var[x])`` of shape (C,) in float64; the running statistics
        hold them rounded to their dtype.  Layers stand in the order of `model.named_modules()`.

    Raises
    ------
    ArgumentError
        If there is no batch normalisation, one does not keep running statistics or is frozen, there are no
        batches, or a layer was not reached.
    DTypeError
        If a batch is of another kind.
    ShapeError
        If a batch does not fit the network, or has a single value per channel.

    References
    ----------
    S. Ioffe, C. Szegedy: Batch Normalization, 2015, section 3.1 and Algorithm 2.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.nn.Sequential(tn.nn.Linear(4, 3), tn.nn.BatchNorm1d(3))
    >>> statistics = tn.bn.population_statistics(model, [tn.randn(32, 4) for _ in range(10)])
    >>> mean, variance = statistics["1"]
    >>> mean.shape, bool((variance > 0).all())
    ((3,), True)
    """
    check_model("population_statistics", model)
    check_batches("population_statistics", batches)
    layers = {name: module for name, module in model.named_modules() if isinstance(module, _BatchNorm)}
    if not layers:
        raise ArgumentError(
            f"population_statistics: model must hold batch normalisations; got {type(model).__name__}"
        )
    for name, layer in layers.items():
        if not layer.track_running_stats or layer.running_mean is None or layer.running_var is None:
            raise ArgumentError(
                f"population_statistics: layer {name!r} must keep running statistics; "
                "got track_running_stats=False"
            )
        if layer.frozen:
            raise ArgumentError(
                f"population_statistics: layer {name!r} must not be frozen; unfreeze it first"
            )
    sums = {name: _Sums(layer.num_features) for name, layer in layers.items()}
    modes = [(module, module.training) for module in model.modules()]
    handles: list[RemovableHandle] = []
    seen = 0
    try:
        for name, layer in layers.items():
            handles.append(layer.register_forward_pre_hook(sums[name].add, with_kwargs=True))
            layer.track_running_stats = False  # in training mode: no momentum update, no count
        model.train()
        with no_grad():
            for batch in batches:
                model(batch_input("population_statistics", batch))
                seen += 1
    finally:
        for handle in handles:
            handle.remove()
        for layer in layers.values():
            layer.track_running_stats = True
        for module, mode in modes:
            module.training = mode
    if seen == 0:
        raise ArgumentError("population_statistics: batches must hold at least one batch; got none")
    for name, each in sums.items():
        if each.count == 0:
            raise ArgumentError(
                f"population_statistics: every layer must be reached by a forward; {name!r} got none"
            )
    statistics = {name: (each.mean / each.count, each.var / each.count) for name, each in sums.items()}
    with no_grad():
        for name, (mean, var) in statistics.items():
            for buffer, values in ((layers[name].running_mean, mean), (layers[name].running_var, var)):
                assert buffer is not None  # checked above
                buffer.copy_(tensor(values.astype(buffer.dtype)))
    return statistics
