"""Normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from tinynet._tensor import Tensor, apply, arrays_of
from tinynet.errors import ArgumentError, DTypeError, GraphError
from tinynet.ops.group_norm import GroupNorm
from tinynet.ops.layer_norm import LayerNorm
from tinynet.ops.local_response_norm import LocalResponseNorm
from tinynet.ops.normalization import BatchNorm


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation per channel (Ioffe & Szegedy 2015, Algorithm 1).

    Parameters
    ----------
    input : Tensor, shape (N, C), (N, C, L) or (N, C, H, W), float32 or float64
    running_mean, running_var : Tensor, shape (C,), or None
        Statistics used when not training; when training they move in place by
        ``(1 - momentum) running + momentum batch``, with the unbiased variance m / (m - 1) var.
    weight, bias : Tensor, shape (C,), optional
        gamma and beta; 1 and 0 if left out.
    training : bool, default False
        Normalise with the batch's own mean and biased variance.
    momentum : float, default 0.1
    eps : float, default 1e-5
        Added to the variance inside the root; above 0.

    Returns
    -------
    Tensor, of the input's shape

    Raises
    ------
    ShapeError
        If shapes do not fit, or there is one value per channel in training.
    """
    return counted_batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps, None)


def counted_batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    count: Tensor | None,
) -> Tensor:
    """`batch_norm` for layers: `count`, int64, grows by one when the running statistics move."""
    if type(momentum) is not float and not isinstance(momentum, Real):
        raise ArgumentError(f"batch_norm: momentum must be a number in [0, 1]; got {momentum!r}")
    mean = var = counter = None
    if (
        isinstance(running_mean, Tensor)
        and isinstance(running_var, Tensor)
        and not (running_mean.requires_grad or running_var.requires_grad)
    ):
        if count is None:
            mean, var = arrays_of((running_mean, running_var))
        else:
            mean, var, counter = arrays_of((running_mean, running_var, count))
    else:
        mean, var = _statistics("running_mean", running_mean), _statistics("running_var", running_var)
    return apply(BatchNorm(mean, var, training, momentum, eps, counter), input, weight, bias)


def _statistics(name: str, buffer: Tensor | None) -> np.ndarray[Any, Any] | None:
    """The array of a buffer of running statistics, which the op writes into."""
    if buffer is None:
        return None
    if not isinstance(buffer, Tensor):
        raise DTypeError(f"batch_norm: {name} must be a Tensor or None; got {type(buffer).__name__}")
    try:
        return buffer.numpy()
    except GraphError:
        raise ArgumentError(
            f"batch_norm: {name} must not require a gradient; got a tensor that does"
        ) from None


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Layer normalisation over the last axes (Ba, Kiros & Hinton 2016).

    y = (input - mean) / sqrt(var + eps) * weight + bias, with mean and biased variance over those axes.

    Parameters
    ----------
    input : Tensor, shape (..., *normalized_shape), float32 or float64
    normalized_shape : int or sequence of int
        The sizes of the axes to normalise over.
    weight, bias : Tensor, shape `normalized_shape`, optional
        gamma and beta; 1 and 0 if left out.
    eps : float, default 1e-5
        Added to the variance inside the root; above 0.

    Returns
    -------
    Tensor, of the input's shape

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If shapes or dtypes do not fit, or `eps` is not above 0.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.layer_norm(tn.tensor([[-1.0, 1.0], [3.0, 3.0]]), [2], eps=1e-12)
    tensor([[-1.,  1.],
            [ 0.,  0.]])
    """
    return apply(LayerNorm(normalized_shape, eps), input, weight, bias)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Group normalisation (Wu & He 2018).

    y = (input - mean) / sqrt(var + eps) * weight + bias, with mean and biased variance of each example's
    groups of C / num_groups neighbouring channels, over all positions.  A group of a single value gives bias.

    Parameters
    ----------
    input : Tensor, shape (N, C, ...), float32 or float64
    num_groups : int
        Number of groups, at least 1; divides C.
    weight, bias : Tensor, shape (C,), optional
        gamma and beta; 1 and 0 if left out.
    eps : float, default 1e-5
        Added to the variance inside the root; above 0.

    Returns
    -------
    Tensor
        Of the input's shape, channels last in memory.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If shapes or dtypes do not fit, or `num_groups` or `eps` is out of range.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.group_norm(tn.tensor([[0.0, 2.0, 5.0, 5.0]]), 2, eps=1e-12)
    tensor([[-1.,  1.,  0.,  0.]])
    """
    return apply(GroupNorm(num_groups, eps), input, weight, bias)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Local response normalisation across channels (Krizhevsky, Sutskever & Hinton 2012, section 3.3).

    ``y_c = x_c / (k + alpha / size * sum of x_j^2)^beta`` over the channels j from ``c - size // 2`` to
    ``c + (size - 1) // 2``, of which those that do not exist count as 0.

    Parameters
    ----------
    input : Tensor, shape (N, C), (N, C, L) or (N, C, H, W), float32 or float64
    size : int
        Number of channels in the sum, at least 1.
    alpha : float, default 1e-4
    beta : float, default 0.75
    k : float, default 1.0

    Returns
    -------
    Tensor, of the input's shape

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If an argument is not of its kind or range.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.local_response_norm(tn.tensor([[1.0, 3.0]]), 1, alpha=1.0, beta=1.0)  # x / (1 + x^2)
    tensor([[0.5, 0.3]])
    """
    return apply(LocalResponseNorm(size, alpha, beta, k), input)
