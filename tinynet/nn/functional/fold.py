"""The windows of images as columns, and back."""

from __future__ import annotations

from tinynet._tensor import Tensor, apply
from tinynet.ops.unfold import Fold, Unfold

Pair = int | tuple[int, int]


def unfold(
    input: Tensor, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1
) -> Tensor:
    """The windows of `input` as columns (im2col); sizes are one int for both axes or (vertical, horizontal).

    ``y[n, (c R + r) S + s, p Q + q] = x[n, c, i, j]`` with ``i = p stride + r dilation - padding`` and
    ``j = q stride + s dilation - padding``, 0 outside the image.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W)
        float32 or float64.
    kernel_size : int or (int, int)
        (R, S), the extents of a window, at least 1.
    dilation : int or (int, int), default 1
        The distance of a window's elements, at least 1.
    padding : int or (int, int), default 0
        Zeros before and after along each axis, at least 0.
    stride : int or (int, int), default 1
        The distance of the windows, at least 1.

    Returns
    -------
    Tensor, shape (N, C R S, L) or (C R S, L)
        L = P Q with P = (H + 2 padding - dilation (R - 1) - 1) // stride + 1, and Q likewise.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        If a size is no such integer, `input` is no floating image, or a window does not fit into it.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.arange(6.0).reshape(1, 1, 2, 3)
    >>> tn.nn.functional.unfold(x, (2, 2)).tolist()
    [[[0.0, 1.0], [1.0, 2.0], [3.0, 4.0], [4.0, 5.0]]]
    """
    return apply(Unfold(kernel_size, dilation, padding, stride), input)


def fold(
    input: Tensor,
    output_size: Pair,
    kernel_size: Pair,
    dilation: Pair = 1,
    padding: Pair = 0,
    stride: Pair = 1,
) -> Tensor:
    """Columns added up to an image, each in its window: what `unfold` gives as the gradient of its input.

    Parameters
    ----------
    input : Tensor, shape (N, C R S, L) or (C R S, L)
        float32 or float64; L as `unfold` has it for an image of `output_size`.
    output_size : int or (int, int)
        (H, W), the extents of the image, at least 1.
    kernel_size, dilation, padding, stride : int or (int, int)
        As in `unfold`.

    Returns
    -------
    Tensor, shape (N, C, H, W) or (C, H, W)
        The channels last in memory.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        If a size is no such integer, or `input` does not fit to them.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.fold(tn.ones(1, 4, 2), (2, 3), 2).tolist()
    [[[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]]]
    """
    return apply(Fold(output_size, kernel_size, dilation, padding, stride), input)
