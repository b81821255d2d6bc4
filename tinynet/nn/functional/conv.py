"""Convolutions."""

from __future__ import annotations

from tinynet._tensor import Tensor, apply
from tinynet.ops.convolution import Convolution, TransposedConvolution

Sizes = int | tuple[int, ...]


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution over one axis: `conv2d` on images of height 1, with one number for each option.

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (C, L), float32 or float64
    weight : Tensor, shape (K, C / groups, S)
    bias : Tensor, shape (K,), optional
    stride, padding, dilation, groups
        As for `conv2d`.

    Returns
    -------
    Tensor, shape (N, K, Q) or (K, Q)

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If shapes, dtypes or options do not fit.

    Examples
    --------
    >>> import tinynet as tn
    >>> x, w = tn.tensor([[1.0, 2.0, 4.0, 8.0]]), tn.tensor([[[-1.0, 1.0]]])
    >>> tn.nn.functional.conv1d(x, w)
    tensor([[1., 2., 4.]])
    """
    return apply(Convolution(1, stride, padding, dilation, groups), input, weight, bias)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution (cross-correlation) of images, per group of channels::

        y[n, k, i, j] = bias[k] + sum over c, r, s of
            weight[k, c, r, s] input[n, c, i stride + r dilation - padding, j stride + s dilation - padding]

    with 0 outside the image.  The output has extents
    ``floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1`` and lies channels last in memory.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W), float32 or float64
        Any layout; channels last needs no copy.
    weight : Tensor, shape (K, C / groups, R, S)
    bias : Tensor, shape (K,), optional
    stride : int or tuple of two ints, default 1
        At least 1.
    padding : int, tuple of two ints, "same" or "valid", default 0
        Zeros on both sides of an axis, at least 0.  "same": as many as keep the extents, with stride 1; of an
        odd number the last one goes to the end.  "valid": none.
    dilation : int or tuple of two ints, default 1
        Distance between taps of the kernel, at least 1.
    groups : int, default 1
        Channels and features are cut into so many groups that do not see each other; divides C and K.

    Returns
    -------
    Tensor, shape (N, K, P, Q) or (K, P, Q)

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If shapes, dtypes or options do not fit.

    Examples
    --------
    >>> import tinynet as tn
    >>> x, w = tn.ones(1, 1, 3, 3), tn.ones(1, 1, 3, 3)
    >>> tn.nn.functional.conv2d(x, w, padding=1)[0, 0]
    tensor([[4., 6., 4.],
            [6., 9., 6.],
            [4., 6., 4.]])
    """
    return apply(Convolution(2, stride, padding, dilation, groups), input, weight, bias)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """Transposed convolution over one axis: `conv_transpose2d` on images of height 1.

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (C, L), float32 or float64
    weight : Tensor, shape (C, K / groups, S)
    bias : Tensor, shape (K,), optional
    stride, padding, output_padding, groups, dilation
        As for `conv_transpose2d`, with one number for each.

    Returns
    -------
    Tensor, shape (N, K, Q) or (K, Q)

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If shapes, dtypes or options do not fit.

    Examples
    --------
    >>> import tinynet as tn
    >>> x, w = tn.tensor([[1.0, 2.0]]), tn.tensor([[[3.0, 4.0]]])
    >>> tn.nn.functional.conv_transpose1d(x, w, stride=2)
    tensor([[3., 4., 6., 8.]])
    """
    op = TransposedConvolution(1, stride, padding, output_padding, groups, dilation)
    return apply(op, input, weight, bias)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """Transposed convolution: the gradient of `conv2d` in its images, as a function of its own.

    Every pixel of the input is spread over a window of the output, times the kernel; windows that overlap
    add up.  The output has extents ``(H - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1``.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W), float32 or float64
    weight : Tensor, shape (C, K / groups, R, S)
    bias : Tensor, shape (K,), optional
    stride : int or tuple of two ints, default 1
        At least 1.
    padding : int or tuple of two ints, default 0
        Of the convolution whose gradient this is: so many rows and columns are cut off each side.
    output_padding : int or tuple of two ints, default 0
        Rows and columns added at the end, fewer than stride or dilation: which of the extents that the
        convolution would map to the input's.
    groups : int, default 1
        Divides C and K.
    dilation : int or tuple of two ints, default 1
        Distance between taps of the kernel, at least 1.

    Returns
    -------
    Tensor, shape (N, K, P, Q) or (K, P, Q)

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If shapes, dtypes or options do not fit.

    Examples
    --------
    >>> import tinynet as tn
    >>> x, w = tn.tensor([[[1.0, 2.0]]]), tn.tensor([[[[3.0, 4.0]]]])
    >>> tn.nn.functional.conv_transpose2d(x, w)
    tensor([[[ 3., 10.,  8.]]])
    """
    op = TransposedConvolution(2, stride, padding, output_padding, groups, dilation)
    return apply(op, input, weight, bias)
