"""The network of Ioffe & Szegedy 2015, section 4.1: 784 - 100 - 100 - 100 - 10, with and without batch
normalisation.

::

    without   x -> Linear with bias    -> sigmoid -> ... -> Linear with bias -> logits
    with      x -> Linear without bias -> BatchNorm -> sigmoid -> ... -> Linear with bias -> logits

Batch normalisation stands before the non-linearity, and the bias of the layer before it is left out: the mean
is subtracted anyway, and beta takes the bias's role (section 3.2).
"""

from __future__ import annotations

from typing import Any, TypeVar

from tinynet import _check
from tinynet.nn import init
from tinynet.nn.activation import ReLU, Sigmoid, Tanh
from tinynet.nn.container import Sequential
from tinynet.nn.linear import Linear
from tinynet.nn.module import Module
from tinynet.nn.normalization import BatchNorm1d
from tinynet.random import Generator, default_generator

_ACTIVATIONS: dict[str, type[Module]] = {"sigmoid": Sigmoid, "relu": ReLU, "tanh": Tanh}

M = TypeVar("M", bound=Module)


def mnist_mlp(
    batch_norm: bool = True,
    hidden: int = 100,
    layers: int = 3,
    activation: str = "sigmoid",
    num_classes: int = 10,
    in_features: int = 784,
    *,
    weight_std: float = 0.1,
    generator: Generator | None = None,
    dtype: Any = None,
) -> Sequential:
    """Build the network, with Gaussian weights and zero biases.

    With the same `generator` state (or `tinynet.manual_seed`), the networks with and without batch
    normalisation have the same weights: only the weights are drawn, in the order of the layers, and nothing
    else moves the generator.

    Parameters
    ----------
    batch_norm : bool, default True
        Whether each hidden layer has a batch normalisation before its non-linearity.
    hidden : int, default 100
        Units of each hidden layer.
    layers : int, default 3
        Number of hidden layers, at least 1.
    activation : {'sigmoid', 'relu', 'tanh'}, default 'sigmoid'
        Non-linearity of the hidden layers.
    num_classes : int, default 10
        Number of outputs.
    in_features : int, default 784
        Size of an input.
    weight_std : float, default 0.1
        Standard deviation of the weights.  The paper says "small random Gaussian values", without a number.
    generator : Generator, optional
        Default: the default generator.
    dtype : dtype, optional
        float32 (default) or float64.

    Returns
    -------
    Sequential
        From (N, in_features) to logits (N, num_classes).  The modules are named linear1, bn1, act1, linear2,
        ..., output; without batch normalisation there is no bn1, ... .  The inputs of the last hidden layer's
        non-linearity, which the paper's Figure 1 follows, are those of ``act{layers}``.

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.

    References
    ----------
    S. Ioffe, C. Szegedy: Batch Normalization, 2015, section 4.1.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.models.mnist_mlp(layers=1, hidden=20)
    >>> [name for name, _ in model.named_children()]
    ['linear1', 'bn1', 'act1', 'output']
    >>> model(tn.rand(60, 784)).shape
    (60, 10)
    """
    with_norm = _check.boolean("mnist_mlp", "batch_norm", batch_norm)
    hidden = _check.integer("mnist_mlp", "hidden", hidden, 1)
    layers = _check.integer("mnist_mlp", "layers", layers, 1)
    num_classes = _check.integer("mnist_mlp", "num_classes", num_classes, 1)
    in_features = _check.integer("mnist_mlp", "in_features", in_features, 1)
    std = _check.real("mnist_mlp", "weight_std", weight_std, 0)
    nonlinearity = _ACTIVATIONS[_check.choice("mnist_mlp", "activation", activation, tuple(_ACTIVATIONS))]
    wanted = _check.float_dtype("mnist_mlp", dtype)

    before = default_generator.get_state()
    modules: dict[str, Module] = {}
    size = in_features
    for number in range(1, layers + 1):
        modules[f"linear{number}"] = Linear(size, hidden, bias=not with_norm, dtype=wanted)
        if with_norm:
            modules[f"bn{number}"] = BatchNorm1d(hidden, dtype=wanted)
        modules[f"act{number}"] = nonlinearity()
        size = hidden
    modules["output"] = Linear(size, num_classes, dtype=wanted)
    default_generator.set_state(before)  # the constructors' own draws, which are replaced now, do not count
    return gaussian_weights_(Sequential(modules), std, generator)


def gaussian_weights_(model: M, std: float, generator: Generator | None = None) -> M:
    """Draw the weights of all `Linear` layers from N(0, std^2), in order, and set their biases to zero.

    Parameters
    ----------
    model : Module
        Changed in place.
    std : float
        Standard deviation, at least 0.
    generator : Generator, optional
        Default: the default generator.

    Returns
    -------
    Module
        `model` itself.

    Raises
    ------
    ArgumentError, DTypeError
        If `std` is not a number of at least 0.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.models.gaussian_weights_(tn.nn.Linear(3, 2), std=0.1)
    >>> model.bias.tolist()
    [0.0, 0.0]
    """
    for module in model.modules():
        if isinstance(module, Linear):
            init.normal_(module.weight, 0.0, std, generator)
            if module.bias is not None:
                init.zeros_(module.bias)
    return model
