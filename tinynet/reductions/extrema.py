"""The largest and the smallest element, and where they stand."""

from __future__ import annotations

from typing import overload

from tinynet._tensor import Tensor, ValuesIndices
from tinynet.reductions.arguments import Dim
from tinynet.shapes.arguments import tensor_argument


@overload
def max(input: Tensor, dim: None = None, keepdim: bool = False) -> Tensor: ...
@overload
def max(input: Tensor, dim: int, keepdim: bool = False) -> ValuesIndices: ...
def max(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | ValuesIndices:
    """The largest element, or with `dim` the largest along it and where each stands.

    NaN counts as the largest.  Of equal elements along `dim`, the first is named and receives the gradient;
    without `dim` they share it.

    Parameters
    ----------
    input : Tensor
    dim : int, optional
        Within [-ndim, ndim); for several axes there is `amax`.
    keepdim : bool, default False
        Whether `dim` stays with size 1.

    Returns
    -------
    Tensor, or ValuesIndices with `dim`
        The pair (values, indices), the indices int64.

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or it is not one integer.
    ShapeError
        If there is no element to choose from.

    Examples
    --------
    >>> import tinynet as tn
    >>> values, indices = tn.max(tn.tensor([[1, 5], [4, 2]]), 1)
    >>> values.tolist(), indices.tolist()
    ([5, 4], [1, 0])
    """
    x = tensor_argument("max", input)
    return x.max() if dim is None else x.max(dim, keepdim)


@overload
def min(input: Tensor, dim: None = None, keepdim: bool = False) -> Tensor: ...
@overload
def min(input: Tensor, dim: int, keepdim: bool = False) -> ValuesIndices: ...
def min(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | ValuesIndices:
    """The smallest element, or with `dim` the smallest along it and where each stands.

    NaN counts as the smallest.  Of equal elements along `dim`, the first is named and receives the gradient;
    without `dim` they share it.

    Parameters
    ----------
    input : Tensor
    dim : int, optional
        Within [-ndim, ndim); for several axes there is `amin`.
    keepdim : bool, default False
        Whether `dim` stays with size 1.

    Returns
    -------
    Tensor, or ValuesIndices with `dim`
        The pair (values, indices), the indices int64.

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or it is not one integer.
    ShapeError
        If there is no element to choose from.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.min(tn.tensor([[1, 5], [4, 2]]), 1).indices.tolist()
    [0, 1]
    """
    x = tensor_argument("min", input)
    return x.min() if dim is None else x.min(dim, keepdim)


def amax(input: Tensor, dim: Dim | None = None, keepdim: bool = False) -> Tensor:
    """The largest element over axes.  NaN counts as the largest; equal elements share the gradient.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
        The axes to reduce, within [-ndim, ndim); by default all.
    keepdim : bool, default False
        Whether reduced axes stay with size 1.

    Returns
    -------
    Tensor, dtype of `input`

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or one is named twice.
    ShapeError
        If there is no element to choose from.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.amax(tn.tensor([[1, 5], [4, 2]]), (0, 1)).item()
    5
    """
    return tensor_argument("amax", input).amax(dim, keepdim)


def amin(input: Tensor, dim: Dim | None = None, keepdim: bool = False) -> Tensor:
    """The smallest element over axes.  NaN counts as the smallest; equal elements share the gradient.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
        The axes to reduce, within [-ndim, ndim); by default all.
    keepdim : bool, default False
        Whether reduced axes stay with size 1.

    Returns
    -------
    Tensor, dtype of `input`

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or one is named twice.
    ShapeError
        If there is no element to choose from.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.amin(tn.tensor([[1, 5], [4, 2]]), 0).tolist()
    [1, 2]
    """
    return tensor_argument("amin", input).amin(dim, keepdim)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first largest element; NaN counts as the largest.

    Parameters
    ----------
    input : Tensor
    dim : int, optional
        Within [-ndim, ndim); without it the index is that in the flattened tensor.
    keepdim : bool, default False
        Whether reduced axes stay with size 1.

    Returns
    -------
    Tensor, int64

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or it is not one integer.
    ShapeError
        If there is no element to choose from.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.argmax(tn.tensor([[1, 5], [4, 2]]), 1).tolist()
    [1, 0]
    """
    return tensor_argument("argmax", input).argmax(dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first smallest element; NaN counts as the smallest.

    Parameters
    ----------
    input : Tensor
    dim : int, optional
        Within [-ndim, ndim); without it the index is that in the flattened tensor.
    keepdim : bool, default False
        Whether reduced axes stay with size 1.

    Returns
    -------
    Tensor, int64

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or it is not one integer.
    ShapeError
        If there is no element to choose from.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.argmin(tn.tensor([[1, 5], [4, 0]])).item()
    3
    """
    return tensor_argument("argmin", input).argmin(dim, keepdim)
