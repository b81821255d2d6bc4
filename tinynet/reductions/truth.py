"""Whether elements differ from 0, and how many."""

from __future__ import annotations

from tinynet._tensor import Tensor
from tinynet.reductions.arguments import Dim
from tinynet.shapes.arguments import tensor_argument


def any(input: Tensor, dim: Dim | None = None, keepdim: bool = False) -> Tensor:
    """Whether an element differs from 0; of no elements false.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
        The axes to reduce, within [-ndim, ndim); by default all.
    keepdim : bool, default False
        Whether reduced axes stay with size 1.

    Returns
    -------
    Tensor, bool (uint8 of uint8)

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or one is named twice.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.any(tn.tensor([[0, 1], [0, 0]]), 1).tolist()
    [True, False]
    """
    return tensor_argument("any", input).any(dim, keepdim)


def all(input: Tensor, dim: Dim | None = None, keepdim: bool = False) -> Tensor:
    """Whether all elements differ from 0; of no elements true.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
        The axes to reduce, within [-ndim, ndim); by default all.
    keepdim : bool, default False
        Whether reduced axes stay with size 1.

    Returns
    -------
    Tensor, bool (uint8 of uint8)

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or one is named twice.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.all(tn.tensor([[1, 1], [1, 0]]), 1).tolist()
    [True, False]
    """
    return tensor_argument("all", input).all(dim, keepdim)


def count_nonzero(input: Tensor, dim: Dim | None = None) -> Tensor:
    """How many elements differ from 0.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
        The axes to reduce, within [-ndim, ndim); by default all.

    Returns
    -------
    Tensor, int64

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or one is named twice.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.count_nonzero(tn.tensor([0, 3, 0])).item()
    1
    """
    return tensor_argument("count_nonzero", input).count_nonzero(dim)
