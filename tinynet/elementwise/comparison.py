"""Comparisons and kinds of numbers: tensors of bool, without a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinynet._tensor import Tensor
from tinynet.elementwise._arguments import checked

if TYPE_CHECKING:
    from tinynet._operators import Operand


def eq(input: Tensor, other: Operand) -> Tensor:
    """Whether ``input == other``, element by element.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.

    Returns
    -------
    Tensor
        bool, of the shape that both have together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.eq(tn.tensor([1, 2, 3]), 2)
    tensor([False,  True, False])
    """
    return checked("eq", input).eq(other)


def ne(input: Tensor, other: Operand) -> Tensor:
    """Whether ``input != other``, element by element.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.

    Returns
    -------
    Tensor
        bool, of the shape that both have together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.ne(tn.tensor([1, 2, 3]), 2)
    tensor([ True, False,  True])
    """
    return checked("ne", input).ne(other)


def lt(input: Tensor, other: Operand) -> Tensor:
    """Whether ``input < other``, element by element.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.

    Returns
    -------
    Tensor
        bool, of the shape that both have together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.lt(tn.tensor([1, 2, 3]), 2)
    tensor([ True, False, False])
    """
    return checked("lt", input).lt(other)


def le(input: Tensor, other: Operand) -> Tensor:
    """Whether ``input <= other``, element by element.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.

    Returns
    -------
    Tensor
        bool, of the shape that both have together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.le(tn.tensor([1, 2, 3]), 2)
    tensor([ True,  True, False])
    """
    return checked("le", input).le(other)


def gt(input: Tensor, other: Operand) -> Tensor:
    """Whether ``input > other``, element by element.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.

    Returns
    -------
    Tensor
        bool, of the shape that both have together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.gt(tn.tensor([1, 2, 3]), 2)
    tensor([False, False,  True])
    """
    return checked("gt", input).gt(other)


def ge(input: Tensor, other: Operand) -> Tensor:
    """Whether ``input >= other``, element by element.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.

    Returns
    -------
    Tensor
        bool, of the shape that both have together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.ge(tn.tensor([1, 2, 3]), 2)
    tensor([False,  True,  True])
    """
    return checked("ge", input).ge(other)


def isclose(
    input: Tensor, other: Operand, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Whether ``|input - other| <= atol + rtol * |other|``, or both are the same infinity.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.
    rtol, atol : float, default 1e-5 and 1e-8
    equal_nan : bool, default False
        Whether NaN is close to NaN.

    Returns
    -------
    Tensor
        bool, of the shape that both have together.

    Raises
    ------
    DTypeError
        For float32 beside float64.
    ShapeError
        If the shapes cannot be broadcast together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.isclose(tn.tensor([1.0, 2.0]), tn.tensor([1.000001, 2.1]))
    tensor([ True, False])
    """
    return checked("isclose", input).isclose(other, rtol, atol, equal_nan)


def allclose(
    input: Tensor, other: Operand, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether `isclose` is true of all elements.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.
    rtol, atol : float, default 1e-5 and 1e-8
    equal_nan : bool, default False
        Whether NaN is close to NaN.

    Returns
    -------
    bool

    Raises
    ------
    DTypeError
        For float32 beside float64.
    ShapeError
        If the shapes cannot be broadcast together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.allclose(tn.tensor([1.0, 2.0]), tn.tensor([1.000001, 2.0]))
    True
    """
    return checked("allclose", input).allclose(other, rtol, atol, equal_nan)


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shapes and all elements are equal; NaN equals nothing.

    Parameters
    ----------
    input, other : Tensor
        Integers and one float dtype may be compared.

    Returns
    -------
    bool

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.equal(tn.tensor([1, 2]), tn.tensor([1.0, 2.0]))
    True
    """
    return checked("equal", input).equal(other)


def isnan(input: Tensor) -> Tensor:
    """Whether each element is NaN.

    Parameters
    ----------
    input : Tensor
        Of any dtype.

    Returns
    -------
    Tensor
        bool, of the shape of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.isnan(tn.tensor([1.0, float("inf"), float("nan")]))
    tensor([False, False,  True])
    """
    return checked("isnan", input).isnan()


def isinf(input: Tensor) -> Tensor:
    """Whether each element is inf or -inf.

    Parameters
    ----------
    input : Tensor
        Of any dtype.

    Returns
    -------
    Tensor
        bool, of the shape of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.isinf(tn.tensor([1.0, float("inf"), float("nan")]))
    tensor([False,  True, False])
    """
    return checked("isinf", input).isinf()


def isfinite(input: Tensor) -> Tensor:
    """Whether each element is neither inf nor NaN.

    Parameters
    ----------
    input : Tensor
        Of any dtype.

    Returns
    -------
    Tensor
        bool, of the shape of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.isfinite(tn.tensor([1.0, float("inf"), float("nan")]))
    tensor([ True, False, False])
    """
    return checked("isfinite", input).isfinite()
