"""Pooling over windows of maps: maximum, mean, and both with a given size of the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

from tinynet import _check
from tinynet._tensor import Tensor, apply, from_numpy
from tinynet.ops.pooling import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, MaxPool

Sizes = int | Sequence[int]
OutputSizes = int | Sequence[int | None] | None


@overload
def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> Tensor: ...
@overload
def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]: ...
def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each window of a signal: `max_pool2d` with one axis.

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (C, L), float32 or float64
    kernel_size, stride, padding, dilation, ceil_mode, return_indices
        As for `max_pool2d`.

    Returns
    -------
    Tensor, shape (N, C, P) or (C, P); with `return_indices` also the positions, int64

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As for `max_pool2d`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.max_pool1d(tn.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    if return_indices is not False and _check.boolean("max_pool1d", "return_indices", return_indices):
        return max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return apply(MaxPool(1, kernel_size, stride, padding, dilation, ceil_mode), input)


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """What `max_pool1d` returns with `return_indices`.

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (C, L), float32 or float64
    kernel_size, stride, padding, dilation, ceil_mode
        As for `max_pool2d`.

    Returns
    -------
    values, indices : Tensor, shape (N, C, P) or (C, P), of the input's dtype and int64

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As for `max_pool2d`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.max_pool1d_with_indices(tn.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)[1]
    tensor([[1, 2]])
    """
    return _with_indices(MaxPool(1, kernel_size, stride, padding, dilation, ceil_mode, True), input)


@overload
def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> Tensor: ...
@overload
def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]: ...
def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each window of a map, per channel.

    y[p, q] = max over taps (i, j) of x[p sh - ph + i dh, q sw - pw + j dw], over those inside the map.
    NaN counts as the largest.  The gradient goes to the first tap that attains the maximum (to the last one
    that is NaN), row by row.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W), float32 or float64
    kernel_size : int or pair of int
        The window (kh, kw).
    stride : int or pair of int, optional
        The distance of the windows; `kernel_size` if left out.
    padding : int or pair of int, default 0
        How far windows reach beyond the map; at most half of `kernel_size`.
    dilation : int or pair of int, default 1
        The distance of the taps.
    ceil_mode : bool, default False
        Whether a last window may end beyond the padding; it must start before it.
    return_indices : bool, default False
        Whether to return also where the maxima stand.

    Returns
    -------
    Tensor, shape (N, C, P, Q) or (C, P, Q)
        P = (H + 2 ph - dh (kh - 1) - 1) / sh + 1, rounded down, or up with `ceil_mode`; Q likewise.  With
        `return_indices` a pair, whose second tensor holds y W + x of the chosen elements, int64.

    Raises
    ------
    ShapeError
        If `input` is not such a map, or there is no window, or one that holds no element.
    ArgumentError, DTypeError
        If an option is not of its kind or range.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.tensor([[[1.0, 2.0, 5.0], [4.0, 3.0, 0.0]]])
    >>> tn.nn.functional.max_pool2d(x, 2, stride=1)
    tensor([[[4., 5.]]])
    """
    if return_indices is not False and _check.boolean("max_pool2d", "return_indices", return_indices):
        return max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return apply(MaxPool(2, kernel_size, stride, padding, dilation, ceil_mode), input)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """What `max_pool2d` returns with `return_indices`.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W), float32 or float64
    kernel_size, stride, padding, dilation, ceil_mode
        As for `max_pool2d`.

    Returns
    -------
    values, indices : Tensor, shape (N, C, P, Q) or (C, P, Q), of the input's dtype and int64

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As for `max_pool2d`.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.tensor([[[1.0, 2.0, 5.0], [4.0, 3.0, 0.0]]])
    >>> tn.nn.functional.max_pool2d_with_indices(x, 2, stride=1)[1]
    tensor([[[3, 2]]])
    """
    return _with_indices(MaxPool(2, kernel_size, stride, padding, dilation, ceil_mode, True), input)


def _with_indices(op: MaxPool, input: Tensor) -> tuple[Tensor, Tensor]:
    values: Tensor = apply(op, input)
    return values, from_numpy(op.indices)


def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of a signal: `avg_pool2d` with one axis.

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (C, L), float32 or float64
    kernel_size, stride, padding, ceil_mode, count_include_pad
        As for `avg_pool2d`.

    Returns
    -------
    Tensor, shape (N, C, P) or (C, P)

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As for `avg_pool2d`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.avg_pool1d(tn.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return apply(AvgPool(1, kernel_size, stride, padding, ceil_mode, count_include_pad), input)


def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of a map, per channel.

    y[p, q] = sum over taps (i, j) of x[p sh - ph + i, q sw - pw + j] / divisor, with zeros around the map.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W), float32 or float64
    kernel_size : int or pair of int
        The window (kh, kw).
    stride : int or pair of int, optional
        The distance of the windows; `kernel_size` if left out.
    padding : int or pair of int, default 0
        How many zeros stand around the map; at most half of `kernel_size`.
    ceil_mode : bool, default False
        Whether a last window may end beyond the padding; it must start before it.
    count_include_pad : bool, default True
        Whether the divisor counts the zeros of the padding (but not what lies beyond them).
    divisor_override : int, optional
        The divisor; not 0.

    Returns
    -------
    Tensor, shape (N, C, P, Q) or (C, P, Q)
        P = (H + 2 ph - kh) / sh + 1, rounded down, or up with `ceil_mode`; Q likewise.

    Raises
    ------
    ShapeError
        If `input` is not such a map, or there is no window.
    ArgumentError, DTypeError
        If an option is not of its kind or range.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.tensor([[[1.0, 2.0, 5.0], [4.0, 5.0, 0.0]]])
    >>> tn.nn.functional.avg_pool2d(x, 2, stride=1)
    tensor([[[3., 3.]]])
    """
    return apply(
        AvgPool(2, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override), input
    )


def adaptive_avg_pool1d(input: Tensor, output_size: OutputSizes) -> Tensor:
    """The means of `output_size` parts of a signal: `adaptive_avg_pool2d` with one axis.

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (C, L), float32 or float64
    output_size : int or None
        None: as long as the input.

    Returns
    -------
    Tensor, shape (N, C, P) or (C, P)

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As for `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.adaptive_avg_pool1d(tn.tensor([[1.0, 3.0, 2.0]]), 2)
    tensor([[2. , 2.5]])
    """
    return apply(AdaptiveAvgPool(1, output_size), input)


def adaptive_avg_pool2d(input: Tensor, output_size: OutputSizes) -> Tensor:
    """The means of P x Q parts of a map, per channel.

    y[p, q] is the mean of x over the rows floor(p H / P) to ceil((p + 1) H / P) (the latter left out), and
    the columns likewise: parts that overlap by one where P does not divide H.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W), float32 or float64
    output_size : int, None or pair of them
        (P, Q), each at least 1; None stands for the input's size.

    Returns
    -------
    Tensor, shape (N, C, P, Q) or (C, P, Q)

    Raises
    ------
    ShapeError
        If `input` is not such a map.
    ArgumentError, DTypeError
        If `output_size` is not such a size.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.tensor([[[1.0, 2.0, 5.0], [4.0, 6.0, 0.0]]])
    >>> tn.nn.functional.adaptive_avg_pool2d(x, 1)
    tensor([[[3.]]])
    """
    return apply(AdaptiveAvgPool(2, output_size), input)


@overload
def adaptive_max_pool2d(
    input: Tensor, output_size: OutputSizes, return_indices: Literal[False] = False
) -> Tensor: ...
@overload
def adaptive_max_pool2d(
    input: Tensor, output_size: OutputSizes, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]: ...
def adaptive_max_pool2d(
    input: Tensor, output_size: OutputSizes, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest elements of P x Q parts of a map, per channel: the parts of `adaptive_avg_pool2d`.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W), float32 or float64
    output_size : int, None or pair of them
        (P, Q), each at least 1; None stands for the input's size.
    return_indices : bool, default False
        Whether to return also where the maxima stand, as `max_pool2d` does.

    Returns
    -------
    Tensor, shape (N, C, P, Q) or (C, P, Q); with `return_indices` a pair

    Raises
    ------
    ShapeError
        If `input` is not such a map.
    ArgumentError, DTypeError
        If `output_size` is not such a size.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.tensor([[[1.0, 2.0, 5.0], [4.0, 6.0, 0.0]]])
    >>> tn.nn.functional.adaptive_max_pool2d(x, (1, None))
    tensor([[[4., 6., 5.]]])
    """
    if return_indices is not False and _check.boolean(
        "adaptive_max_pool2d", "return_indices", return_indices
    ):
        return _with_indices(AdaptiveMaxPool(2, output_size, True), input)
    return apply(AdaptiveMaxPool(2, output_size), input)
