"""Functions that put the elements of a tensor together, or in order, along axes, under PyTorch's names.

Each is the `Tensor` method of the same name.  `dim` is an axis, or several where the type says so; without it
a reduction goes over all elements.  Reduced axes stay with size 1 if `keepdim`.  float32 is summed in double.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, overload

from numpy.typing import DTypeLike

from tinynet._tensor import Tensor, ValuesIndices
from tinynet.shapes import tensor_argument

_Dim: TypeAlias = int | Sequence[int]


def sum(
    input: Tensor, dim: _Dim | None = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The sum of the elements; of none it is 0.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
    keepdim : bool, default False
    dtype : dtype, optional
        What elements are converted to first.  Without it integers and bools give int64.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.sum(tn.ones(2, 3), 1).tolist()
    [3.0, 3.0]
    """
    return tensor_argument("sum", input).sum(dim, keepdim, dtype=dtype)


def mean(
    input: Tensor, dim: _Dim | None = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The mean of the elements, float32 or float64; of none it is nan.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
    keepdim : bool, default False
    dtype : dtype, optional
        What elements are converted to first.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.mean(tn.tensor([1, 2]), dtype="float32").item()
    1.5
    """
    return tensor_argument("mean", input).mean(dim, keepdim, dtype=dtype)


def prod(
    input: Tensor, dim: _Dim | None = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The product of the elements; of none it is 1.  `dtype` as in `sum`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.prod(tn.tensor([2, 3, 4])).item()
    24
    """
    return tensor_argument("prod", input).prod(dim, keepdim, dtype=dtype)


def var(
    input: Tensor,
    dim: _Dim | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance ``sum (x - mean)^2 / (n - correction)``, accurate also where the mean is large beside it.

    Parameters
    ----------
    input : Tensor, float32 or float64
    dim : int or sequence of int, optional
    unbiased : bool, optional
        True means correction 1, False 0.
    keepdim : bool, default False
    correction : float, default 1
        If n is no larger, the result is nan or inf.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.var(tn.tensor([1.0, 2.0, 3.0])).item()
    1.0
    """
    return tensor_argument("var", input).var(dim, unbiased, keepdim, correction=correction)


def std(
    input: Tensor,
    dim: _Dim | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The standard deviation, the root of `var`; its gradient is 0 where it is 0.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.std(tn.tensor([1.0, 3.0]), correction=0).item()
    1.0
    """
    return tensor_argument("std", input).std(dim, unbiased, keepdim, correction=correction)


@overload
def max(input: Tensor, dim: None = None, keepdim: bool = False) -> Tensor: ...
@overload
def max(input: Tensor, dim: int, keepdim: bool = False) -> ValuesIndices: ...
def max(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | ValuesIndices:
    """The largest element; with `dim` the largest along it and where each stands: (values, indices).

    NaN counts as the largest.  Equal elements share the gradient; along `dim` the first receives it.

    Raises
    ------
    ShapeError
        If there is no element.

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
    """The smallest element; with `dim` the smallest along it and where each stands: (values, indices).

    NaN counts as the smallest; the rest as in `max`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.min(tn.tensor([[1, 5], [4, 2]]), 1).indices.tolist()
    [0, 1]
    """
    x = tensor_argument("min", input)
    return x.min() if dim is None else x.min(dim, keepdim)


def amax(input: Tensor, dim: _Dim | None = None, keepdim: bool = False) -> Tensor:
    """The largest element over `dim`; ties share the gradient.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.amax(tn.tensor([[1, 5], [4, 2]]), (0, 1)).item()
    5
    """
    return tensor_argument("amax", input).amax(dim, keepdim)


def amin(input: Tensor, dim: _Dim | None = None, keepdim: bool = False) -> Tensor:
    """The smallest element over `dim`; ties share the gradient.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.amin(tn.tensor([[1, 5], [4, 2]]), 0).tolist()
    [1, 2]
    """
    return tensor_argument("amin", input).amin(dim, keepdim)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first largest element (of the flattened tensor without `dim`), int64.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.argmax(tn.tensor([[1, 5], [4, 2]]), 1).tolist()
    [1, 0]
    """
    return tensor_argument("argmax", input).argmax(dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first smallest element (of the flattened tensor without `dim`), int64.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.argmin(tn.tensor([[1, 5], [4, 0]])).item()
    3
    """
    return tensor_argument("argmin", input).argmin(dim, keepdim)


def logsumexp(input: Tensor, dim: _Dim | None = None, keepdim: bool = False) -> Tensor:
    """log sum exp(x) over `dim`, without overflow; of no elements -inf.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.logsumexp(tn.tensor([1000.0, -1000.0]), 0).item()
    1000.0
    """
    return tensor_argument("logsumexp", input).logsumexp(dim, keepdim)


def norm(
    input: Tensor,
    p: float | Literal["fro"] | None = "fro",
    dim: _Dim | None = None,
    keepdim: bool = False,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """``(sum |x|^p)^(1/p)`` over `dim`.

    Parameters
    ----------
    input : Tensor, float32 or float64
    p : float above 0, or "fro", default "fro"
        inf gives the largest \\|x\\|; "fro" means 2.
    dim : int or sequence of int, optional
    keepdim : bool, default False
    dtype : dtype, optional
        What elements are converted to first.

    Raises
    ------
    NotImplementedError
        For another `p`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.norm(tn.tensor([3.0, -4.0])).item()
    5.0
    """
    return tensor_argument("norm", input).norm(p, dim, keepdim, dtype)


def any(input: Tensor, dim: _Dim | None = None, keepdim: bool = False) -> Tensor:
    """Whether an element differs from 0: bool (uint8 for uint8); of no elements false.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.any(tn.tensor([[0, 1], [0, 0]]), 1).tolist()
    [True, False]
    """
    return tensor_argument("any", input).any(dim, keepdim)


def all(input: Tensor, dim: _Dim | None = None, keepdim: bool = False) -> Tensor:
    """Whether all elements differ from 0: bool (uint8 for uint8); of no elements true.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.all(tn.tensor([[1, 1], [1, 0]]), 1).tolist()
    [True, False]
    """
    return tensor_argument("all", input).all(dim, keepdim)


def count_nonzero(input: Tensor, dim: _Dim | None = None) -> Tensor:
    """How many elements differ from 0, int64.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.count_nonzero(tn.tensor([0, 3, 0])).item()
    1
    """
    return tensor_argument("count_nonzero", input).count_nonzero(dim)


# ---- in order ----------------------------------------------------------------------------------------------


def cumsum(input: Tensor, dim: int, *, dtype: DTypeLike | None = None) -> Tensor:
    """The sums of the elements up to each one along `dim`.  `dtype` as in `sum`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.cumsum(tn.tensor([1, 2, 3]), 0).tolist()
    [1, 3, 6]
    """
    return tensor_argument("cumsum", input).cumsum(dim, dtype=dtype)


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesIndices:
    """The elements in order along `dim`, and where they stood: (values, indices).

    The sort is always stable.  NaN counts as the largest.

    Examples
    --------
    >>> import tinynet as tn
    >>> values, indices = tn.sort(tn.tensor([2, 3, 1]))
    >>> values.tolist(), indices.tolist()
    ([1, 2, 3], [2, 0, 1])
    """
    return tensor_argument("sort", input).sort(dim, descending, stable)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort the elements along `dim`, int64; always stable.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.argsort(tn.tensor([2, 3, 1]), descending=True).tolist()
    [1, 0, 2]
    """
    return tensor_argument("argsort", input).argsort(dim, descending, stable)


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The k largest (or smallest) elements along `dim`, in order, and where they stood: (values, indices).

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.topk(tn.tensor([2, 3, 1]), 2).values.tolist()
    [3, 2]
    """
    return tensor_argument("topk", input).topk(k, dim, largest, sorted)
