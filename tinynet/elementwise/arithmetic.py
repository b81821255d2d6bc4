"""Arithmetic of two operands, with broadcasting.  Integer tensors beside float tensors take their dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinynet._tensor import Tensor
from tinynet.elementwise._arguments import checked

if TYPE_CHECKING:
    from tinynet._operators import Operand


def add(input: Tensor, other: Operand, *, alpha: float = 1) -> Tensor:
    """``input + alpha * other``.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.
    alpha : number, default 1
        An integer where both operands are integers.

    Returns
    -------
    Tensor
        Of the shape that both have together.

    Raises
    ------
    DTypeError
        For float32 beside float64.
    ShapeError
        If the shapes cannot be broadcast together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.add(tn.tensor([1.0, 2.0]), 3, alpha=10)
    tensor([31., 32.])
    """
    return checked("add", input).add(other, alpha=alpha)


def sub(input: Tensor, other: Operand, *, alpha: float = 1) -> Tensor:
    """``input - alpha * other``.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.
    alpha : number, default 1
        An integer where both operands are integers.

    Returns
    -------
    Tensor
        Of the shape that both have together.

    Raises
    ------
    DTypeError
        For float32 beside float64.
    ShapeError
        If the shapes cannot be broadcast together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.sub(tn.tensor([1.0, 2.0]), tn.tensor([[1.0], [2.0]]))
    tensor([[ 0.,  1.],
            [-1.,  0.]])
    """
    return checked("sub", input).sub(other, alpha=alpha)


def mul(input: Tensor, other: Operand) -> Tensor:
    """``input * other``.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.

    Returns
    -------
    Tensor
        Of the shape that both have together.

    Raises
    ------
    DTypeError
        For float32 beside float64.
    ShapeError
        If the shapes cannot be broadcast together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.mul(tn.tensor([1.0, 2.0]), 3)
    tensor([3., 6.])
    """
    return checked("mul", input).mul(other)


def div(input: Tensor, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """``input / other``; two integer tensors give float32.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.
    rounding_mode : {None, 'floor', 'trunc'}, default None
        Round the quotient down, or towards 0.  It has no slope then (the gradient is 0), and
        integers stay integers.

    Returns
    -------
    Tensor
        Of the shape that both have together.

    Raises
    ------
    DTypeError
        For float32 beside float64.
    ShapeError
        If the shapes cannot be broadcast together.
    ArgumentError
        For an integer divided by 0 with a rounding mode, or for another mode.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.div(tn.tensor([1, 2]), 4)
    tensor([0.25, 0.5 ])
    >>> tn.div(tn.tensor([7, -7]), 2, rounding_mode="trunc")
    tensor([ 3, -3])
    """
    return checked("div", input).div(other, rounding_mode=rounding_mode)


def floor_divide(input: Tensor, other: Operand) -> Tensor:
    """``floor(input / other)``, which is ``input // other``; without slope: the gradient is 0.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.

    Returns
    -------
    Tensor
        Of the shape that both have together.

    Raises
    ------
    DTypeError
        For float32 beside float64.
    ShapeError
        If the shapes cannot be broadcast together.
    ArgumentError
        For an integer divided by 0.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.floor_divide(tn.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    return checked("floor_divide", input).floor_divide(other)


def remainder(input: Tensor, other: Operand) -> Tensor:
    """``input - other * floor(input / other)``, of the sign of `other`: ``input % other``.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.

    Returns
    -------
    Tensor
        Of the shape that both have together.

    Raises
    ------
    DTypeError
        For float32 beside float64.
    ShapeError
        If the shapes cannot be broadcast together.
    ArgumentError
        For an integer divided by 0.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.remainder(tn.tensor([7.0, -7.0]), 2)
    tensor([1., 1.])
    """
    return checked("remainder", input).remainder(other)


def pow(input: Tensor, exponent: Operand) -> Tensor:
    """`input` to the power of `exponent`.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    exponent : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.

    Returns
    -------
    Tensor
        Of the shape that both have together.

    Raises
    ------
    DTypeError
        For float32 beside float64.
    ShapeError
        If the shapes cannot be broadcast together.
    ArgumentError
        For an integer to a negative power.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.pow(tn.tensor([2.0, 3.0]), 2)
    tensor([4., 9.])
    """
    return checked("pow", input).pow(exponent)


def lerp(input: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    """``input + weight * (end - input)``: from `input` at weight 0 to `end` at weight 1.

    Parameters
    ----------
    input : Tensor
        float32 or float64.
    end : Tensor
        Of the dtype of `input`.
    weight : Tensor or number

    Returns
    -------
    Tensor
        Of the shape that all have together.

    Raises
    ------
    DTypeError
        For float32 beside float64.
    ShapeError
        If the shapes cannot be broadcast together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.lerp(tn.tensor([0.0, 1.0]), tn.tensor([10.0, 1.0]), 0.25)
    tensor([2.5, 1. ])
    """
    return checked("lerp", input).lerp(end, weight)


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """``input + value * tensor1 * tensor2``.

    Parameters
    ----------
    input, tensor1, tensor2 : Tensor
        Of one dtype.
    value : number, default 1

    Returns
    -------
    Tensor
        Of the shape that all have together.

    Raises
    ------
    DTypeError
        For float32 beside float64.
    ShapeError
        If the shapes cannot be broadcast together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.addcmul(tn.tensor([1.0]), tn.tensor([2.0, 3.0]), tn.tensor([4.0]), value=0.5)
    tensor([5., 7.])
    """
    return checked("addcmul", input).addcmul(tensor1, tensor2, value=value)
