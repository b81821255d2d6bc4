"""Initial values: each function fills a tensor in place, outside the graph, and returns it.

Random ones draw from `generator`, or from the default generator that `tinynet.manual_seed` seeds.  The fans
of a weight of shape (K, D, *kernel) are ``fan_in = D * prod(kernel)`` and ``fan_out = K * prod(kernel)``.

Sources: X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural networks, 2010
(xavier); K. He et al.: Delving deep into rectifiers, 2015 (kaiming).
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from tinynet import _check
from tinynet._tensor import Tensor, no_grad
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.random import Generator, draw

T = TypeVar("T", bound=Tensor)

_UNIT_GAIN = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
)
_NONLINEARITIES = (*_UNIT_GAIN, "tanh", "relu", "leaky_relu", "selu")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Factor on the standard deviation that keeps a signal's variance through `nonlinearity`.

    Parameters
    ----------
    nonlinearity : str
        'linear', 'conv1d' to 'conv3d', 'conv_transpose1d' to 'conv_transpose3d' and 'sigmoid' have gain 1,
        'tanh' 5/3, 'relu' sqrt(2), 'leaky_relu' sqrt(2/(1 + param^2)), 'selu' 3/4.
    param : float, optional
        Negative slope of 'leaky_relu', 0.01 if not given.

    Returns
    -------
    float

    Raises
    ------
    ArgumentError, DTypeError
        If the name is unknown or the slope is not a finite number.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.init.calculate_gain("tanh")
    1.6666666666666667
    """
    _check.choice("calculate_gain", "nonlinearity", nonlinearity, _NONLINEARITIES)
    if nonlinearity == "tanh":
        return 5.0 / 3.0
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else _check.real("calculate_gain", "param", param)
        return math.sqrt(2.0 / (1.0 + slope * slope))
    if nonlinearity == "selu":
        return 0.75
    return 1.0


def constant_(tensor: T, val: float) -> T:
    """Fill a tensor with one value.

    Parameters
    ----------
    tensor : Tensor
        Float32 or float64, of any shape.
    val : float
        The value, finite.

    Returns
    -------
    Tensor
        `tensor` itself.

    Raises
    ------
    ArgumentError, DTypeError
        If the tensor is of another dtype or the value not a finite number.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.init.constant_(tn.empty(3), 0.5)
    tensor([0.5, 0.5, 0.5])
    """
    _floating("constant_", tensor)
    value = _check.real("constant_", "val", val)
    with no_grad():
        tensor.fill_(value)
    return tensor


def zeros_(tensor: T) -> T:
    """Fill a tensor with 0.

    Parameters
    ----------
    tensor : Tensor
        Float32 or float64, of any shape.

    Returns
    -------
    Tensor
        `tensor` itself.

    Raises
    ------
    DTypeError
        If the tensor is of another dtype.
    """
    _floating("zeros_", tensor)
    with no_grad():
        tensor.fill_(0.0)
    return tensor


def ones_(tensor: T) -> T:
    """Fill a tensor with 1.

    Parameters
    ----------
    tensor : Tensor
        Float32 or float64, of any shape.

    Returns
    -------
    Tensor
        `tensor` itself.

    Raises
    ------
    DTypeError
        If the tensor is of another dtype.
    """
    _floating("ones_", tensor)
    with no_grad():
        tensor.fill_(1.0)
    return tensor


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> T:
    """Fill a tensor from the uniform distribution U(a, b).

    Parameters
    ----------
    tensor : Tensor
        Float32 or float64, of any shape.
    a, b : float, default 0 and 1
        The bounds, finite, ``a <= b``.
    generator : Generator, optional
        Default: the default generator.

    Returns
    -------
    Tensor
        `tensor` itself.

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.

    Examples
    --------
    >>> import tinynet as tn
    >>> w = tn.nn.init.uniform_(tn.empty(2, 3), -1.0, 1.0)
    >>> bool((w.abs() <= 1).numpy().all())
    True
    """
    _floating("uniform_", tensor)
    low, high = _check.real("uniform_", "a", a), _check.real("uniform_", "b", b)
    if low > high:
        raise ArgumentError(f"uniform_: b must be at least a = {low!r}; got {high!r}")
    with no_grad():
        tensor.uniform_(low, high, generator=generator)
    return tensor


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> T:
    """Fill a tensor from the normal distribution N(mean, std^2).

    Parameters
    ----------
    tensor : Tensor
        Float32 or float64, of any shape.
    mean, std : float, default 0 and 1
        Finite, ``std >= 0``.
    generator : Generator, optional
        Default: the default generator.

    Returns
    -------
    Tensor
        `tensor` itself.

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.
    """
    _floating("normal_", tensor)
    centre, spread = _check.real("normal_", "mean", mean), _check.real("normal_", "std", std, 0)
    with no_grad():
        tensor.normal_(centre, spread, generator=generator)
    return tensor


def trunc_normal_(
    tensor: T,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> T:
    """Fill `tensor` from N(mean, std^2) restricted to [a, b] (values, not multiples of `std`).

    Inverts the distribution function: ``x = mean + std * ndtri(u)`` with u uniform between ``Phi((a -
    mean)/std)`` and ``Phi((b - mean)/std)``; computed in float64 and clipped to [a, b].

    Parameters
    ----------
    tensor : Tensor
        Float32 or float64, of any shape.
    mean, std : float, default 0 and 1
        Of the distribution before it is restricted; ``std > 0``.
    a, b : float, default -2 and 2
        The bounds, ``a < b``.
    generator : Generator, optional
        Default: the default generator.

    Returns
    -------
    Tensor
        `tensor` itself.

    Raises
    ------
    ArgumentError
        If ``std`` is not positive, ``a >= b``, or [a, b] lies so far out that its probability underflows.

    Examples
    --------
    >>> import tinynet as tn
    >>> w = tn.nn.init.trunc_normal_(tn.empty(100), std=0.02, a=-0.04, b=0.04)
    >>> w.abs().max().item() <= 0.04
    True
    """
    # Not at the top: importing scipy.special takes longer than importing all of this package.
    from scipy.special import ndtr, ndtri

    _floating("trunc_normal_", tensor)
    centre = _check.real("trunc_normal_", "mean", mean)
    spread = _check.real("trunc_normal_", "std", std, 0, above=True)
    low, high = _check.real("trunc_normal_", "a", a), _check.real("trunc_normal_", "b", b)
    if low >= high:
        raise ArgumentError(f"trunc_normal_: b must be greater than a = {low!r}; got {high!r}")
    # The lower tail is the accurate one, so an interval above the mean is mirrored into it.
    mirrored = low > centre
    lower, upper = (low - centre) / spread, (high - centre) / spread
    if mirrored:
        lower, upper = -upper, -lower
    p, q = float(ndtr(lower)), float(ndtr(upper))
    if q <= p:
        raise ArgumentError(
            f"trunc_normal_: [a, b] must have a positive probability under N({centre:g}, {spread:g}^2); "
            f"got [{low!r}, {high!r}]"
        )
    z = ndtri(draw(generator).uniform(p, q, tensor.shape))
    values = np.clip(centre + spread * (-z if mirrored else z), low, high)
    with no_grad():
        tensor.copy_(Tensor(values.astype(tensor.dtype)))
    return tensor


def xavier_uniform_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """Fill from U(-b, b) with ``b = gain * sqrt(6 / (fan_in + fan_out))`` (Glorot & Bengio 2010, eq. 16).

    Parameters
    ----------
    tensor : Tensor
        A weight of at least two axes, none of them empty.
    gain : float, default 1
        At least 0; see `calculate_gain`.
    generator : Generator, optional
        Default: the default generator.

    Returns
    -------
    Tensor
        `tensor` itself.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        If an argument is not of its kind or range, or the tensor has less than two axes.

    Examples
    --------
    >>> import tinynet as tn
    >>> w = tn.nn.init.xavier_uniform_(tn.empty(10, 20))
    >>> w.abs().max().item() < (6 / 30) ** 0.5
    True
    """
    fan_in, fan_out = _fans("xavier_uniform_", tensor)
    bound = _check.real("xavier_uniform_", "gain", gain, 0) * math.sqrt(6.0 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """Fill from N(0, s^2) with ``s = gain * sqrt(2 / (fan_in + fan_out))`` (Glorot & Bengio 2010, eq. 12).

    Parameters
    ----------
    tensor : Tensor
        A weight of at least two axes, none of them empty.
    gain : float, default 1
        At least 0; see `calculate_gain`.
    generator : Generator, optional
        Default: the default generator.

    Returns
    -------
    Tensor
        `tensor` itself.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        If an argument is not of its kind or range, or the tensor has less than two axes.
    """
    fan_in, fan_out = _fans("xavier_normal_", tensor)
    std = _check.real("xavier_normal_", "gain", gain, 0) * math.sqrt(2.0 / (fan_in + fan_out))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: T,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> T:
    """Fill from U(-b, b) with ``b = gain * sqrt(3 / fan)`` (He et al. 2015, section 2.2).

    Parameters
    ----------
    tensor : Tensor, at least 2-D
        The weight.
    a : float, default 0
        Negative slope, where `nonlinearity` is 'leaky_relu'.
    mode : {'fan_in', 'fan_out'}, default 'fan_in'
        Whether the variance is kept in the forward or in the backward pass.
    nonlinearity : str, default 'leaky_relu'
        See `calculate_gain`.
    generator : Generator, optional
        Default: the default generator.

    Returns
    -------
    Tensor
        `tensor` itself.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        If an argument is not of its kind, or the tensor has less than two axes.
    """
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: T,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> T:
    """Fill from N(0, s^2) with ``s = gain / sqrt(fan)`` (He et al. 2015, eq. 10).

    Parameters
    ----------
    tensor : Tensor, at least 2-D
        The weight.
    a : float, default 0
        Negative slope, where `nonlinearity` is 'leaky_relu'.
    mode : {'fan_in', 'fan_out'}, default 'fan_in'
        Whether the variance is kept in the forward or in the backward pass.
    nonlinearity : str, default 'leaky_relu'
        See `calculate_gain`.
    generator : Generator, optional
        Default: the default generator.

    Returns
    -------
    Tensor
        `tensor` itself.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        If an argument is not of its kind, or the tensor has less than two axes.
    """
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, std, generator)


def _kaiming_std(operation: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan_in, fan_out = _fans(operation, tensor)
    _check.choice(operation, "mode", mode, ("fan_in", "fan_out"))
    _check.choice(operation, "nonlinearity", nonlinearity, _NONLINEARITIES)
    gain = calculate_gain(nonlinearity, _check.real(operation, "a", a))
    return gain / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def _fans(operation: str, tensor: Tensor) -> tuple[int, int]:
    _floating(operation, tensor)
    if tensor.ndim < 2 or 0 in tensor.shape:
        raise ShapeError(
            f"{operation}: tensor must have at least two axes, none of them empty; got shape {tensor.shape}"
        )
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def _floating(operation: str, tensor: object) -> None:
    if not isinstance(tensor, Tensor):
        raise DTypeError(f"{operation}: tensor must be a Tensor; got {type(tensor).__name__}")
    if tensor.dtype.kind != "f":
        raise DTypeError(f"{operation}: tensor must have dtype float32 or float64; got {tensor.dtype}")
