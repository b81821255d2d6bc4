"""Layers that pad images: `nn.functional.pad` along the last two axes."""

from __future__ import annotations

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.errors import ShapeError
from tinynet.nn import functional as F
from tinynet.nn.module import Module

Sides = int | tuple[int, int, int, int]


class _Pad2d(Module):
    """Padding of the last two axes in one mode."""

    mode = "constant"

    def __init__(self, padding: Sides) -> None:
        super().__init__()
        name = type(self).__name__
        sides = padding if isinstance(padding, (tuple, list)) else (padding,) * 4
        if len(sides) != 4:
            raise ShapeError(f"{name}: padding must be an int or (left, right, top, bottom); got {padding!r}")
        self.padding = tuple(_check.integer(name, "padding", side) for side in sides)

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` of shape (..., H, W), padded: (..., top + H + bottom, left + W + right)."""
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad2d(_Pad2d):
    """Images with `value` around them.

    Parameters
    ----------
    padding : int or (int, int, int, int)
        On all four sides, or (left, right, top, bottom); a negative number cuts off.
    value : float
        What stands there.

    Raises
    ------
    DTypeError, ShapeError
        If `padding` is neither an int nor four.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.ConstantPad2d((1, 0, 0, 0), 7.0)(tn.zeros(1, 2, 2)).tolist()
    [[[7.0, 0.0, 0.0], [7.0, 0.0, 0.0]]]
    """

    def __init__(self, padding: Sides, value: float) -> None:
        super().__init__(padding)
        self.value = _check.real("ConstantPad2d", "value", value)

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` of shape (..., H, W), padded: (..., top + H + bottom, left + W + right)."""
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ZeroPad2d(_Pad2d):
    """Images with zeros around them.

    Parameters
    ----------
    padding : int or (int, int, int, int)
        On all four sides, or (left, right, top, bottom); a negative number cuts off.

    Raises
    ------
    DTypeError, ShapeError
        If `padding` is neither an int nor four.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.ZeroPad2d(1)(tn.ones(2, 3, 4, 4)).shape
    (2, 3, 6, 6)
    """


class ReflectionPad2d(_Pad2d):
    """Images mirrored at their outermost pixels, which are not repeated.

    Parameters
    ----------
    padding : int or (int, int, int, int)
        On all four sides, or (left, right, top, bottom), smaller than the extent; a negative number cuts off.

    Raises
    ------
    DTypeError, ShapeError
        If `padding` is neither an int nor four; in a call, if it is not smaller than the extent.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.ReflectionPad2d((2, 1, 0, 0))(tn.arange(3.0).reshape(1, 1, 3)).tolist()
    [[[2.0, 1.0, 0.0, 1.0, 2.0, 1.0]]]
    """

    mode = "reflect"


class ReplicationPad2d(_Pad2d):
    """Images whose outermost pixels are repeated around them.

    Parameters
    ----------
    padding : int or (int, int, int, int)
        On all four sides, or (left, right, top, bottom); a negative number cuts off.

    Raises
    ------
    DTypeError, ShapeError
        If `padding` is neither an int nor four.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.ReplicationPad2d((2, 1, 0, 0))(tn.arange(3.0).reshape(1, 1, 3)).tolist()
    [[[0.0, 0.0, 0.0, 1.0, 2.0, 2.0]]]
    """

    mode = "replicate"
