"""Dropout."""

from __future__ import annotations

from numbers import Real

import numpy as np

from tinynet._tensor import Tensor, apply, from_numpy
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.ops.dropout import Dropout, philox_u32
from tinynet.random import Generator, default_generator


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Zero each element with probability p and scale the others by 1 / (1 - p).

    Parameters
    ----------
    input : Tensor, float32 or float64
    p : float in [0, 1], default 0.5
    training : bool, default True
        If False, the input is returned as it is.
    inplace : bool, default False
        Write the result over the input, unless an operation has saved that for its gradient.
    generator : Generator, optional
        Where the random numbers come from; the default generator if None.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Raises
    ------
    ArgumentError, DTypeError
        If `p` does not lie in [0, 1], or `input` is no float tensor.

    Examples
    --------
    >>> import tinynet as tn
    >>> y = tn.nn.functional.dropout(tn.ones(1000), 0.2)
    >>> bool(0.7 < (y > 0).numpy().mean() < 0.9)
    True
    """
    _check_arguments("dropout", input, p)
    if not training or p == 0.0:
        return input
    seed, call = (default_generator if generator is None else generator).next_call()
    y = apply(Dropout(p, seed, call), input)
    return input._become("dropout", y) if inplace and not input._is_saved else y


def dropout1d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Zero each channel with probability p, all its positions together; scale the others by 1 / (1 - p).

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (C, L), float32 or float64
    p, training, inplace, generator
        As for `dropout`.

    Returns
    -------
    Tensor
        Of the shape, dtype and layout of `input`.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        If `p` does not lie in [0, 1], or `input` is no float tensor of such a shape.

    Examples
    --------
    >>> import tinynet as tn
    >>> y = tn.nn.functional.dropout1d(tn.ones(20, 8, 3))
    >>> sorted(set(y.sum(2).flatten().tolist()))  # channels are dropped as a whole
    [0.0, 6.0]
    """
    return _channels("dropout1d", "(N, C, L) or (C, L)", 3, input, p, training, inplace, generator)


def dropout2d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Zero each channel with probability p, all its pixels together; scale the others by 1 / (1 - p).

    Neighbouring pixels say much the same, so dropping them one by one would leave most of what a channel
    says (Tompson et al. 2015).  Which channels go is a function of the generator's seed, the number of
    earlier draws and the index (n, c).

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W), float32 or float64
    p, training, inplace, generator
        As for `dropout`.

    Returns
    -------
    Tensor
        Of the shape, dtype and layout of `input`.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        If `p` does not lie in [0, 1], or `input` is no float tensor of such a shape.

    Examples
    --------
    >>> import tinynet as tn
    >>> y = tn.nn.functional.dropout2d(tn.ones(20, 8, 2, 2))
    >>> sorted(set(y.sum((2, 3)).flatten().tolist()))  # channels are dropped as a whole
    [0.0, 8.0]
    """
    return _channels("dropout2d", "(N, C, H, W) or (C, H, W)", 4, input, p, training, inplace, generator)


def _check_arguments(op: str, input: Tensor, p: float) -> None:
    if not isinstance(input, Tensor):
        raise DTypeError(f"{op}: input must be a Tensor; got {type(input).__name__}")
    if not isinstance(p, Real) or not 0.0 <= p <= 1.0:
        raise ArgumentError(f"{op}: p must lie in [0, 1]; got {p!r}")


def _channels(
    op: str,
    shapes: str,
    ndim: int,
    input: Tensor,
    p: float,
    training: bool,
    inplace: bool,
    generator: Generator | None,
) -> Tensor:
    """Dropout of whole channels of an input of `ndim` axes, or one less without the batch's."""
    _check_arguments(op, input, p)
    if input.ndim not in (ndim - 1, ndim):
        raise ShapeError(f"{op}: input must have shape {shapes}; got {input.shape}")
    if input.dtype not in ("f4", "f8"):
        raise DTypeError(f"{op}: input must be float32 or float64; got {input.dtype}")
    if not training or p == 0.0:
        return input
    seed, call = (default_generator if generator is None else generator).next_call()
    channels = input.shape[: 2 if input.ndim == ndim else 1]  # (N, C) or (C,)
    factors = np.zeros(channels, input.dtype)
    if p < 1.0:
        kept = philox_u32(factors.size, seed, call).reshape(channels) >= p * 2.0**32
        factors[kept] = 1.0 / (1.0 - p)
    y = input * from_numpy(factors.reshape(*channels, *(1,) * (input.ndim - len(channels))))
    return input._become(op, y) if inplace and not input._is_saved else y
