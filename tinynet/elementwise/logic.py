"""Logic and bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinynet._tensor import Tensor
from tinynet.elementwise._arguments import checked

if TYPE_CHECKING:
    from tinynet._operators import Operand


def logical_and(input: Tensor, other: Operand) -> Tensor:
    """Whether both are true (not 0), element by element.

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
    >>> tn.logical_and(tn.tensor([0, 2, 0]), tn.tensor([0, 1, 1]))
    tensor([False,  True, False])
    """
    return checked("logical_and", input).logical_and(other)


def logical_or(input: Tensor, other: Operand) -> Tensor:
    """Whether one at least is true (not 0), element by element.

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
    >>> tn.logical_or(tn.tensor([0, 2, 0]), tn.tensor([0, 1, 1]))
    tensor([False,  True,  True])
    """
    return checked("logical_or", input).logical_or(other)


def logical_xor(input: Tensor, other: Operand) -> Tensor:
    """Whether just one is true (not 0), element by element.

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
    >>> tn.logical_xor(tn.tensor([0, 2, 0]), tn.tensor([0, 1, 1]))
    tensor([False, False,  True])
    """
    return checked("logical_xor", input).logical_xor(other)


def logical_not(input: Tensor) -> Tensor:
    """Whether each element is false (0).

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
    >>> tn.logical_not(tn.tensor([0, 2]))
    tensor([ True, False])
    """
    return checked("logical_not", input).logical_not()


def bitwise_and(input: Tensor, other: Operand) -> Tensor:
    """The bits (or truth values) that are set in both: ``input & other``.

    Parameters
    ----------
    input : Tensor
        bool or integers.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.

    Returns
    -------
    Tensor
        Of the shape that both have together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.bitwise_and(tn.tensor([5, 6]), 3)
    tensor([1, 2])
    """
    return checked("bitwise_and", input).bitwise_and(other)


def bitwise_or(input: Tensor, other: Operand) -> Tensor:
    """The bits (or truth values) that are set in one at least: ``input | other``.

    Parameters
    ----------
    input : Tensor
        bool or integers.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.

    Returns
    -------
    Tensor
        Of the shape that both have together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.bitwise_or(tn.tensor([5, 6]), 3)
    tensor([7, 7])
    """
    return checked("bitwise_or", input).bitwise_or(other)


def bitwise_xor(input: Tensor, other: Operand) -> Tensor:
    """The bits (or truth values) that are set in just one: ``input ^ other``.

    Parameters
    ----------
    input : Tensor
        bool or integers.
    other : Tensor or number
        Of the dtype of `input` (numbers and integers take its dtype); broadcast.

    Returns
    -------
    Tensor
        Of the shape that both have together.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.bitwise_xor(tn.tensor([5, 6]), 3)
    tensor([6, 5])
    """
    return checked("bitwise_xor", input).bitwise_xor(other)


def bitwise_not(input: Tensor) -> Tensor:
    """The other bits (or truth values): ``~input``.

    Parameters
    ----------
    input : Tensor
        bool or integers.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.bitwise_not(tn.tensor([True, False]))
    tensor([False,  True])
    """
    return checked("bitwise_not", input).bitwise_not()
