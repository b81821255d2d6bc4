"""Running sums, and the elements in order."""

from __future__ import annotations

from numpy.typing import DTypeLike

from tinynet._tensor import Tensor, ValuesIndices
from tinynet.shapes.arguments import tensor_argument


def cumsum(input: Tensor, dim: int, *, dtype: DTypeLike | None = None) -> Tensor:
    """The sums of the elements up to each one: ``y[i] = x[0] + ... + x[i]``.

    Parameters
    ----------
    input : Tensor
    dim : int
        Within [-ndim, ndim).
    dtype : dtype, optional
        What elements are converted to first, and the result's.  Without it integers and bools give int64.

    Returns
    -------
    Tensor, shape of `input`

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or it is not one integer.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.cumsum(tn.tensor([1, 2, 3]), 0).tolist()
    [1, 3, 6]
    """
    return tensor_argument("cumsum", input).cumsum(dim, dtype=dtype)


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesIndices:
    """The elements in order along an axis, and where they stood.  NaN counts as the largest.

    Parameters
    ----------
    input : Tensor
    dim : int, default -1
        Within [-ndim, ndim).
    descending : bool, default False
        Whether the largest comes first.
    stable : bool, default False
        Changes nothing: equal elements always stay in their order.

    Returns
    -------
    ValuesIndices
        The pair (values, indices), both of the shape of `input`, the indices int64.

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or it is not one integer.

    Examples
    --------
    >>> import tinynet as tn
    >>> values, indices = tn.sort(tn.tensor([2, 3, 1]))
    >>> values.tolist(), indices.tolist()
    ([1, 2, 3], [2, 0, 1])
    """
    return tensor_argument("sort", input).sort(dim, descending, stable)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort the elements along an axis.  NaN counts as the largest.

    Parameters
    ----------
    input : Tensor
    dim : int, default -1
        Within [-ndim, ndim).
    descending : bool, default False
        Whether the largest comes first.
    stable : bool, default False
        Changes nothing: equal elements always stay in their order.

    Returns
    -------
    Tensor, int64, shape of `input`

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or it is not one integer.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.argsort(tn.tensor([2, 3, 1]), descending=True).tolist()
    [1, 0, 2]
    """
    return tensor_argument("argsort", input).argsort(dim, descending, stable)


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The k largest or smallest elements along an axis, in order, and where they stood.

    NaN counts as the largest.  Which of equal elements are among them is not defined.

    Parameters
    ----------
    input : Tensor
    k : int
        Within [0, size of `dim`].
    dim : int, default -1
        Within [-ndim, ndim).
    largest : bool, default True
        Whether the largest are wanted, not the smallest.
    sorted : bool, default True
        Changes nothing: the result is always in order.

    Returns
    -------
    ValuesIndices
        The pair (values, indices), of size k along `dim`, the indices int64.

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, it is not one integer, or `k` lies outside.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.topk(tn.tensor([2, 3, 1]), 2).values.tolist()
    [3, 2]
    """
    return tensor_argument("topk", input).topk(k, dim, largest, sorted)
