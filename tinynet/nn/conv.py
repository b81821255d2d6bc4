"""Convolutions and transposed convolutions over one or two axes: layers with a kernel and a bias.

The equations stand with the functions (`tinynet.nn.functional.conv2d`, `conv_transpose2d`) and the ops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.creation import zeros
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F
from tinynet.nn import init
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter

Sizes = int | tuple[int, ...]


class _Convolution(Module):
    """What all convolutions share: options, parameters and their start.  Abstract."""

    weight: Parameter
    bias: Parameter | None
    padding: tuple[int, ...] | str

    _axes: int
    _transposed = False

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Sizes | str,
        dilation: Sizes,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: str | None,
        dtype: Any,
    ) -> None:
        name, axes = type(self).__name__, self._axes
        _check.refuse(name, device=(device, _check.CPU), padding_mode=(padding_mode, ("zeros",)))
        self.in_channels = _check.integer(name, "in_channels", in_channels, 1)
        self.out_channels = _check.integer(name, "out_channels", out_channels, 1)
        self.kernel_size = _check.extents(name, "kernel_size", kernel_size, axes, 1)
        self.stride = _check.extents(name, "stride", stride, axes, 1)
        self.dilation = _check.extents(name, "dilation", dilation, axes, 1)
        self.groups = _check.integer(name, "groups", groups, 1)
        if isinstance(padding, str):
            self.padding = _check.choice(name, "padding", padding, ("same", "valid"))
            if padding == "same" and self.stride != (1,) * axes:
                raise ArgumentError(f"{name}: stride must be 1 for padding='same'; got {stride!r}")
        else:
            self.padding = _check.extents(name, "padding", padding, axes, 0)
        self.padding_mode = padding_mode
        for argument, channels in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            if channels % self.groups:
                raise ArgumentError(
                    f"{name}: {argument} must be a multiple of groups={self.groups}; got {channels}"
                )
        wanted = _check.float_dtype(name, dtype)
        across = (self.in_channels, self.out_channels)
        first, second = across if self._transposed else across[::-1]
        self.weight = Parameter(zeros(first, second // self.groups, *self.kernel_size, dtype=wanted))
        with_bias = _check.boolean(name, "bias", bias)
        self.register_parameter(
            "bias", Parameter(zeros(self.out_channels, dtype=wanted)) if with_bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew, as at construction, from the default generator."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # gain sqrt(2/(1+5)): bound 1/sqrt(fan_in)
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        none = (0,) * self._axes
        if self.padding != none:
            text += f", padding={self.padding}"
        if getattr(self, "output_padding", none) != none:
            text += f", output_padding={self.output_padding}"
        if self.dilation != (1,) * self._axes:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"


class Conv1d(_Convolution):
    """Convolution over one axis: `Conv2d` on images of height 1, with one number for each option.

    Parameters
    ----------
    in_channels, out_channels : int
        C and K, at least 1, multiples of `groups`.
    kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        As for `Conv2d`.

    Attributes
    ----------
    weight : Parameter, shape (K, C / groups, S)
    bias : Parameter, shape (K,), or None

    Raises
    ------
    ArgumentError, DTypeError, NotImplementedError
        As for `Conv2d`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.Conv1d(3, 8, 5, padding=2)(tn.zeros(4, 3, 20)).shape
    (4, 8, 20)
    """

    _axes = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._set_up(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
            device, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        """Map `input` of shape (N, C, L) or (C, L) to (N, K, Q) or (K, Q)."""
        return F.conv1d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv2d(_Convolution):
    """Convolution of images (N, C, H, W) with K kernels of C / groups channels; see `functional.conv2d`.

    Parameters
    ----------
    in_channels, out_channels : int
        C and K, at least 1, multiples of `groups`.
    kernel_size : int or tuple of two ints
        Extents (R, S) of the kernels, at least 1; one int stands for both.
    stride : int or tuple of two ints, default 1
        At least 1.
    padding : int, tuple of two ints, "same" or "valid", default 0
        Zeros on both sides of an axis.  "same": as many as keep the extents, with stride 1.  "valid": none.
    dilation : int or tuple of two ints, default 1
        Distance between taps of the kernel, at least 1.
    groups : int, default 1
        Channels and features are cut into so many groups that do not see each other.
    bias : bool, default True
        Whether there is a bias.
    padding_mode : str, default "zeros"
        The only one there is.
    device : str, optional
        "cpu", the only one there is.
    dtype : dtype, optional
        float32 (default) or float64.

    Attributes
    ----------
    weight : Parameter, shape (K, C / groups, R, S)
        Drawn from U(-b, b) with b = 1 / sqrt(R S C / groups).
    bias : Parameter, shape (K,), or None
        Drawn from U(-b, b), after the weight.

    Raises
    ------
    ArgumentError, DTypeError
        If a size or option is out of its range or kind.
    NotImplementedError
        For another device or padding mode.

    Examples
    --------
    >>> import tinynet as tn
    >>> layer = tn.nn.Conv2d(3, 16, 3, stride=2, padding=1)
    >>> layer
    Conv2d(3, 16, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
    >>> layer(tn.zeros(8, 3, 32, 32)).shape
    (8, 16, 16, 16)
    """

    _axes = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._set_up(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
            device, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        """Map `input` of shape (N, C, H, W) or (C, H, W) to (N, K, P, Q) or (K, P, Q)."""
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class _ConvTranspose(_Convolution):
    """What the transposed convolutions share.  Abstract."""

    output_padding: tuple[int, ...]
    padding: tuple[int, ...]

    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if isinstance(padding, str):
            raise DTypeError(f"{name}: padding must be an int >= 0 or {self._axes} of them; got {padding!r}")
        self.output_padding = _check.extents(name, "output_padding", output_padding, self._axes, 0)
        self._set_up(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
            device, dtype,
        )  # fmt: skip

    def _extra(self, input: Tensor, output_size: int | Sequence[int] | None) -> tuple[int, ...]:
        """The output padding that gives an output of extents `output_size`."""
        name, axes = type(self).__name__, self._axes
        if output_size is None or not isinstance(input, Tensor) or input.ndim <= axes:
            return self.output_padding  # the op says what is wrong with such an input
        sizes = output_size if isinstance(output_size, int) else tuple(output_size)[-axes:]
        wanted = _check.extents(name, "output_size", sizes, axes, 1)
        extra = []
        for d in range(axes):
            least = (input.shape[d - axes] - 1) * self.stride[d] - 2 * self.padding[d]
            least += self.dilation[d] * (self.kernel_size[d] - 1) + 1
            if not least <= wanted[d] < least + self.stride[d]:
                bounds = f"[{least}, {least + self.stride[d] - 1}] along axis {d - axes}"
                raise ShapeError(
                    f"{name}: output_size must lie in {bounds} for input {input.shape}; got {wanted[d]}"
                )
            extra.append(wanted[d] - least)
        return tuple(extra)


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution over one axis: `ConvTranspose2d` on images of height 1.

    Parameters
    ----------
    in_channels, out_channels : int
        C and K, at least 1, multiples of `groups`.
    kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode, device, dtype
        As for `ConvTranspose2d`, with one number for each option.

    Attributes
    ----------
    weight : Parameter, shape (C, K / groups, S)
    bias : Parameter, shape (K,), or None

    Raises
    ------
    ArgumentError, DTypeError, NotImplementedError
        As for `ConvTranspose2d`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.ConvTranspose1d(8, 3, 4, stride=2, padding=1)(tn.zeros(4, 8, 10)).shape
    (4, 3, 20)
    """

    _axes = 1

    def forward(self, input: Tensor, output_size: int | Sequence[int] | None = None) -> Tensor:
        """Map `input` of shape (N, C, L) or (C, L) to (N, K, Q) or (K, Q).

        `output_size` Q, or a shape that ends in it, chooses the output padding.
        """
        extra = self._extra(input, output_size)
        return F.conv_transpose1d(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of images: the gradient of a `Conv2d` in its images, as a layer.

    Parameters
    ----------
    in_channels, out_channels : int
        C and K, at least 1, multiples of `groups`.
    kernel_size : int or tuple of two ints
        Extents (R, S) of the kernels, at least 1; one int stands for both.
    stride : int or tuple of two ints, default 1
        At least 1.
    padding : int or tuple of two ints, default 0
        So many rows and columns are cut off each side of the output.
    output_padding : int or tuple of two ints, default 0
        Rows and columns added at the end, fewer than stride or dilation.
    groups : int, default 1
        Channels and features are cut into so many groups that do not see each other.
    bias : bool, default True
        Whether there is a bias.
    dilation : int or tuple of two ints, default 1
        Distance between taps of the kernel, at least 1.
    padding_mode : str, default "zeros"
        The only one there is.
    device : str, optional
        "cpu", the only one there is.
    dtype : dtype, optional
        float32 (default) or float64.

    Attributes
    ----------
    weight : Parameter, shape (C, K / groups, R, S)
        Drawn from U(-b, b) with b = 1 / sqrt(R S K / groups).
    bias : Parameter, shape (K,), or None
        Drawn from U(-b, b), after the weight.

    Raises
    ------
    ArgumentError, DTypeError
        If a size or option is out of its range or kind.
    NotImplementedError
        For another device or padding mode.

    Examples
    --------
    >>> import tinynet as tn
    >>> layer = tn.nn.ConvTranspose2d(16, 3, 3, stride=2, padding=1)
    >>> layer(tn.zeros(8, 16, 16, 16)).shape
    (8, 3, 31, 31)
    >>> layer(tn.zeros(8, 16, 16, 16), output_size=(32, 32)).shape
    (8, 3, 32, 32)
    """

    _axes = 2

    def forward(self, input: Tensor, output_size: int | Sequence[int] | None = None) -> Tensor:
        """Map `input` of shape (N, C, H, W) or (C, H, W) to (N, K, P, Q) or (K, P, Q).

        `output_size` (P, Q), a shape that ends in it, or one int for both, chooses the output padding.
        """
        extra = self._extra(input, output_size)
        return F.conv_transpose2d(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )
