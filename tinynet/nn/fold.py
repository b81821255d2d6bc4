"""Layers around `nn.functional.unfold` and `fold`."""

from __future__ import annotations

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.nn import functional as F
from tinynet.nn.functional.fold import Pair
from tinynet.nn.module import Module


class Unfold(Module):
    """The windows of images as columns: see `nn.functional.unfold`.

    Parameters
    ----------
    kernel_size : int or (int, int)
        The extents of a window, at least 1.
    dilation : int or (int, int), default 1
        The distance of a window's elements, at least 1.
    padding : int or (int, int), default 0
        Zeros around the image, at least 0.
    stride : int or (int, int), default 1
        The distance of the windows, at least 1.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        If a size is no such integer or pair.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.Unfold(3, padding=1)(tn.zeros(2, 4, 5, 6)).shape
    (2, 36, 30)
    """

    def __init__(self, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> None:
        super().__init__()
        _check.extents("Unfold", "kernel_size", kernel_size, 2, 1)
        _check.extents("Unfold", "dilation", dilation, 2, 1)
        _check.extents("Unfold", "padding", padding, 2, 0)
        _check.extents("Unfold", "stride", stride, 2, 1)
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """Map `input` of shape (N, C, H, W) or (C, H, W) to (N, C R S, L) or (C R S, L)."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        sizes = f"kernel_size={self.kernel_size}, dilation={self.dilation}"
        return f"{sizes}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Columns added up to images: see `nn.functional.fold`.

    Parameters
    ----------
    output_size : int or (int, int)
        The extents of the image, at least 1.
    kernel_size, dilation, padding, stride : int or (int, int)
        As in `Unfold`.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        If a size is no such integer or pair.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.Fold((5, 6), 3, padding=1)(tn.zeros(2, 36, 30)).shape
    (2, 4, 5, 6)
    """

    def __init__(
        self,
        output_size: Pair,
        kernel_size: Pair,
        dilation: Pair = 1,
        padding: Pair = 0,
        stride: Pair = 1,
    ) -> None:
        super().__init__()
        _check.extents("Fold", "output_size", output_size, 2, 1)
        _check.extents("Fold", "kernel_size", kernel_size, 2, 1)
        _check.extents("Fold", "dilation", dilation, 2, 1)
        _check.extents("Fold", "padding", padding, 2, 0)
        _check.extents("Fold", "stride", stride, 2, 1)
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """Map `input` of shape (N, C R S, L) or (C R S, L) to (N, C, H, W) or (C, H, W)."""
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        sizes = f"output_size={self.output_size}, kernel_size={self.kernel_size}"
        return f"{sizes}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
