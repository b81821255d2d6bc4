"""Pooling layers: the largest element or the mean of each window, per channel.

The equations and the options are those of the functions in `tinynet.nn.functional`; a layer holds
the options.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.nn import functional as F
from tinynet.nn.module import Module
from tinynet.ops.pooling_windows import checked_divisor, output_extents, window_options


class _MaxPool(Module):
    """What the max-pooling layers share.  Abstract: a final class names its number of axes."""

    _axes: int

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        window_options(name, self._axes, kernel_size, stride, padding, dilation)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = _check.boolean(name, "return_indices", return_indices)
        self.ceil_mode = _check.boolean(name, "ceil_mode", ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest element of each window of a signal (N, C, L) or (C, L): see `MaxPool2d`.

    Parameters
    ----------
    kernel_size, stride, padding, dilation : int
        See `MaxPool2d`.
    return_indices : bool, default False
        Whether `forward` returns the pair (values, indices).
    ceil_mode : bool, default False
        Whether a last window may end beyond the padding.

    Raises
    ------
    ArgumentError, DTypeError
        If an option is not of its kind or range.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.MaxPool1d(2)(tn.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[3., 2.]])
    """

    _axes = 1

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the maxima of `input`, (N, C, P) or (C, P), with `return_indices` also the places."""
        return F.max_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class MaxPool2d(_MaxPool):
    """The largest element of each window of a map (N, C, H, W) or (C, H, W), per channel.

    Parameters
    ----------
    kernel_size : int or pair of int
        The window (height, width).
    stride : int or pair of int, optional
        The distance of the windows; `kernel_size` if left out.
    padding : int or pair of int, default 0
        How far windows reach beyond the map; at most half of `kernel_size`.
    dilation : int or pair of int, default 1
        The distance of a window's taps.
    return_indices : bool, default False
        Whether `forward` returns the pair (values, indices).
    ceil_mode : bool, default False
        Whether a last window may end beyond the padding; it must start before it.

    Raises
    ------
    ArgumentError, DTypeError
        If an option is not of its kind or range.

    Examples
    --------
    >>> import tinynet as tn
    >>> pool = tn.nn.MaxPool2d(3, stride=2, padding=1)
    >>> pool(tn.ones(8, 16, 32, 32)).shape
    (8, 16, 16, 16)
    """

    _axes = 2

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the maxima of `input`, (N, C, P, Q) or (C, P, Q); with `return_indices` also where."""
        return F.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class AvgPool1d(Module):
    """The mean of each window of a signal (N, C, L) or (C, L): see `AvgPool2d`.

    Parameters
    ----------
    kernel_size, stride, padding : int
        See `AvgPool2d`.
    ceil_mode : bool, default False
        Whether a last window may end beyond the padding.
    count_include_pad : bool, default True
        Whether the divisor counts the zeros of the padding.

    Raises
    ------
    ArgumentError, DTypeError
        If an option is not of its kind or range.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.AvgPool1d(2)(tn.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[2., 1.]])
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding, _ = window_options(
            "AvgPool1d", 1, kernel_size, stride, padding
        )
        self.ceil_mode = _check.boolean("AvgPool1d", "ceil_mode", ceil_mode)
        self.count_include_pad = _check.boolean("AvgPool1d", "count_include_pad", count_include_pad)

    def forward(self, input: Tensor) -> Tensor:
        """Return the means of `input`, (N, C, P) or (C, P)."""
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window of a map (N, C, H, W) or (C, H, W), per channel.

    Parameters
    ----------
    kernel_size : int or pair of int
        The window (height, width).
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

    Raises
    ------
    ArgumentError, DTypeError
        If an option is not of its kind or range.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.AvgPool2d(2)(tn.tensor([[[1.0, 2.0], [4.0, 5.0]]]))
    tensor([[[3.]]])
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        window_options("AvgPool2d", 2, kernel_size, stride, padding)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = _check.boolean("AvgPool2d", "ceil_mode", ceil_mode)
        self.count_include_pad = _check.boolean("AvgPool2d", "count_include_pad", count_include_pad)
        self.divisor_override = checked_divisor("AvgPool2d", divisor_override)

    def forward(self, input: Tensor) -> Tensor:
        """Return the means of `input`, (N, C, P, Q) or (C, P, Q)."""
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool1d(Module):
    """The means of `output_size` parts of a signal (N, C, L) or (C, L): see `AdaptiveAvgPool2d`.

    Parameters
    ----------
    output_size : int or None
        None: as long as the input.

    Raises
    ------
    ArgumentError, DTypeError
        If `output_size` is not such a size.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.AdaptiveAvgPool1d(2)(tn.tensor([[1.0, 3.0, 2.0]]))
    tensor([[2. , 2.5]])
    """

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        output_extents("AdaptiveAvgPool1d", 1, output_size)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """Return the means of `input`, (N, C, P) or (C, P)."""
        return F.adaptive_avg_pool1d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(Module):
    """The means of P x Q parts of a map (N, C, H, W) or (C, H, W), per channel.

    Parameters
    ----------
    output_size : int, None or pair of them
        (P, Q), each at least 1; None stands for the input's size.  1: the mean of the whole map.

    Raises
    ------
    ArgumentError, DTypeError
        If `output_size` is not such a size.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.AdaptiveAvgPool2d(1)(tn.tensor([[[1.0, 2.0], [4.0, 5.0]]]))
    tensor([[[3.]]])
    """

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        output_extents("AdaptiveAvgPool2d", 2, output_size)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """Return the means of `input`, (N, C, P, Q) or (C, P, Q)."""
        return F.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool2d(Module):
    """The largest elements of P x Q parts of a map (N, C, H, W) or (C, H, W), per channel.

    Parameters
    ----------
    output_size : int, None or pair of them
        (P, Q), each at least 1; None stands for the input's size.
    return_indices : bool, default False
        Whether `forward` returns the pair (values, indices).

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.AdaptiveMaxPool2d(1)(tn.tensor([[[1.0, 2.0], [4.0, 5.0]]]))
    tensor([[[5.]]])
    """

    def __init__(self, output_size: int | Sequence[int | None] | None, return_indices: bool = False) -> None:
        super().__init__()
        output_extents("AdaptiveMaxPool2d", 2, output_size)
        self.output_size = output_size
        self.return_indices = _check.boolean("AdaptiveMaxPool2d", "return_indices", return_indices)

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the maxima of `input`, (N, C, P, Q) or (C, P, Q); with `return_indices` also where."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"
