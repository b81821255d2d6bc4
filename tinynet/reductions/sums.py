"""Sums, products, means, variances and norms."""

from __future__ import annotations

from typing import Literal

from numpy.typing import DTypeLike

from tinynet._tensor import Tensor
from tinynet.reductions.arguments import Dim
from tinynet.shapes.arguments import tensor_argument


def sum(
    input: Tensor, dim: Dim | None = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The sum of the elements; of none it is 0.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
        The axes to reduce, within [-ndim, ndim); by default all.
    keepdim : bool, default False
        Whether reduced axes stay with size 1.
    dtype : dtype, optional
        What elements are converted to first, and the result's.  Without it integers and bools give int64.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or one is named twice.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.sum(tn.ones(2, 3), 1).tolist()
    [3.0, 3.0]
    """
    return tensor_argument("sum", input).sum(dim, keepdim, dtype=dtype)


def mean(
    input: Tensor, dim: Dim | None = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The mean ``sum x / n`` of the elements; of none it is nan.

    Parameters
    ----------
    input : Tensor, float32 or float64
    dim : int or sequence of int, optional
        The axes to reduce, within [-ndim, ndim); by default all.
    keepdim : bool, default False
        Whether reduced axes stay with size 1.
    dtype : {float32, float64}, optional
        What elements are converted to first; integers need it.

    Returns
    -------
    Tensor, float32 or float64

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or one is named twice.
    DTypeError
        If the elements are not floats.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.mean(tn.tensor([1, 2]), dtype="float32").item()
    1.5
    """
    return tensor_argument("mean", input).mean(dim, keepdim, dtype=dtype)


def prod(
    input: Tensor, dim: Dim | None = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The product of the elements; of none it is 1.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
        The axes to reduce, within [-ndim, ndim); by default all.
    keepdim : bool, default False
        Whether reduced axes stay with size 1.
    dtype : dtype, optional
        What elements are converted to first, and the result's.  Without it integers and bools give int64.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or one is named twice.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.prod(tn.tensor([2, 3, 4])).item()
    24
    """
    return tensor_argument("prod", input).prod(dim, keepdim, dtype=dtype)


def var(
    input: Tensor,
    dim: Dim | None = None,
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
        The axes to reduce, within [-ndim, ndim); by default all.
    unbiased : bool, optional
        True means correction 1, False 0.
    keepdim : bool, default False
        Whether reduced axes stay with size 1.
    correction : float, default 1
        If n is no larger, the result is nan or inf.

    Returns
    -------
    Tensor, dtype of `input`

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, one is named twice, or both `unbiased` and `correction` are given.
    DTypeError
        If the elements are not floats.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.var(tn.tensor([1.0, 2.0, 3.0])).item()
    1.0
    """
    return tensor_argument("var", input).var(dim, unbiased, keepdim, correction=correction)


def std(
    input: Tensor,
    dim: Dim | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The standard deviation ``sqrt(sum (x - mean)^2 / (n - correction))``, the root of `var`.

    Parameters
    ----------
    input : Tensor, float32 or float64
    dim : int or sequence of int, optional
        The axes to reduce, within [-ndim, ndim); by default all.
    unbiased : bool, optional
        True means correction 1, False 0.
    keepdim : bool, default False
        Whether reduced axes stay with size 1.
    correction : float, default 1
        If n is no larger, the result is nan or inf.

    Returns
    -------
    Tensor, dtype of `input`
        Where it is 0, its gradient is 0.

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, one is named twice, or both `unbiased` and `correction` are given.
    DTypeError
        If the elements are not floats.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.std(tn.tensor([1.0, 3.0]), correction=0).item()
    1.0
    """
    return tensor_argument("std", input).std(dim, unbiased, keepdim, correction=correction)


def logsumexp(input: Tensor, dim: Dim | None = None, keepdim: bool = False) -> Tensor:
    """``log sum exp(x)``, without overflow; of no elements -inf.

    Parameters
    ----------
    input : Tensor
        Integers become float32.
    dim : int or sequence of int, optional
        The axes to reduce, within [-ndim, ndim); by default all.
    keepdim : bool, default False
        Whether reduced axes stay with size 1.

    Returns
    -------
    Tensor, float32 or float64

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or one is named twice.

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
    dim: Dim | None = None,
    keepdim: bool = False,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """The norm ``(sum |x|^p)^(1/p)``.

    Parameters
    ----------
    input : Tensor, float32 or float64
    p : float above 0, or "fro", default "fro"
        inf gives the largest \\|x\\|; "fro" means 2.
    dim : int or sequence of int, optional
        The axes to reduce, within [-ndim, ndim); by default all.
    keepdim : bool, default False
        Whether reduced axes stay with size 1.
    dtype : {float32, float64}, optional
        What elements are converted to first; integers need it.

    Returns
    -------
    Tensor, float32 or float64

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or one is named twice.
    DTypeError
        If the elements are not floats.
    NotImplementedError
        For another `p`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.norm(tn.tensor([3.0, -4.0])).item()
    5.0
    """
    return tensor_argument("norm", input).norm(p, dim, keepdim, dtype)
