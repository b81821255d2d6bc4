"""Choosing among elements."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np

from tinynet._tensor import Tensor, tensor
from tinynet.elementwise._arguments import checked
from tinynet.errors import DTypeError

if TYPE_CHECKING:
    from tinynet._operators import Operand


def where(condition: Tensor, input: Tensor | float, other: Tensor | float) -> Tensor:
    """`input` where `condition` is true, else `other`.

    The gradient goes to the side that was chosen; what the other side holds (inf, NaN) does not matter.

    Parameters
    ----------
    condition : Tensor
        bool.
    input, other : Tensor or number
        Of one dtype (numbers and integers take the dtype of the tensor beside them).

    Returns
    -------
    Tensor
        Of the shape that all three have together.

    Raises
    ------
    DTypeError
        If `condition` is not bool, or for float32 beside float64.
    ShapeError
        If the shapes cannot be broadcast together.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.tensor([1.0, -2.0, 3.0])
    >>> tn.where(x > 0, x, 0.0)
    tensor([1., 0., 3.])
    """
    if checked("where", condition, "condition").dtype != np.bool_:
        raise DTypeError(f"where: condition must be bool; got {condition.dtype}")
    for name, value in (("input", input), ("other", other)):
        if not isinstance(value, (Tensor, numbers.Real, np.bool_)):
            raise DTypeError(f"where: {name} must be a Tensor or a number; got {type(value).__name__}")
    if isinstance(input, Tensor):
        return input.where(condition, other)
    if isinstance(other, Tensor):
        return other.where(~condition, input)
    return tensor(input).where(condition, other)


def maximum(input: Tensor, other: Operand) -> Tensor:
    """The larger of two elements; equal ones get half of the gradient each, and NaN passes.

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
    >>> tn.maximum(tn.tensor([1.0, 5.0]), tn.tensor([2.0, 3.0]))
    tensor([2., 5.])
    """
    return checked("maximum", input).maximum(other)


def minimum(input: Tensor, other: Operand) -> Tensor:
    """The smaller of two elements; equal ones get half of the gradient each, and NaN passes.

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
    >>> tn.minimum(tn.tensor([1.0, 5.0]), tn.tensor([2.0, 3.0]))
    tensor([1., 3.])
    """
    return checked("minimum", input).minimum(other)


def clamp(input: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """``min(max(input, min), max)``: `input` brought into the interval [min, max]; NaN passes.

    The slope is 1 in the closed interval and 0 outside; limits that are tensors receive it there.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    min, max : Tensor or number, optional
        The limits, broadcast; one of the two must be given.  Where min > max, the result is max.

    Returns
    -------
    Tensor
        Of the shape that all have together.

    Raises
    ------
    ArgumentError
        If neither `min` nor `max` is given.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.clamp(tn.tensor([-1.0, 0.5, 2.0]), 0, 1)
    tensor([0. , 0.5, 1. ])
    """
    return checked("clamp", input).clamp(min, max)


def clip(input: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """The same as `clamp`.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    min, max : Tensor or number, optional
        The limits, broadcast; one of the two must be given.  Where min > max, the result is max.

    Returns
    -------
    Tensor
        Of the shape that all have together.

    Raises
    ------
    ArgumentError
        If neither `min` nor `max` is given.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.clip(tn.tensor([-1.0, 0.5, 2.0]), max=1)
    tensor([-1. ,  0.5,  1. ])
    """
    return checked("clip", input).clamp(min, max)


def masked_fill(input: Tensor, mask: Tensor, value: Tensor | float) -> Tensor:
    """`value` where `mask` is true, else `input`.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    mask : Tensor
        bool, broadcast.
    value : number or Tensor without axes
        It must fit the dtype of `input`.

    Returns
    -------
    Tensor
        Of the shape that both have together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.masked_fill(tn.tensor([1.0, 2.0]), tn.tensor([True, False]), -1)
    tensor([-1.,  2.])
    """
    return checked("masked_fill", input).masked_fill(mask, value)
