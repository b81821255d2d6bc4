"""What programs ask of tensors of labels and masks: counts and places.  Nothing here has a gradient."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np

from tinynet import _check
from tinynet._tensor import Tensor, from_numpy
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.shapes.arguments import tensor_argument


def is_tensor(obj: object) -> bool:
    """Whether an object is a `Tensor`.

    Parameters
    ----------
    obj : object

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.is_tensor(tn.ones(2)), tn.is_tensor([1.0])
    (True, False)
    """
    return isinstance(obj, Tensor)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... occurs, or the sum of the weights of its places.

    Parameters
    ----------
    input : Tensor, shape (N,), integer
        At least 0.
    weights : Tensor, shape (N,), optional
        What each place counts, by default 1; it receives no gradient.
    minlength : int, default 0
        The least length of the result.

    Returns
    -------
    Tensor, shape (max(input.max() + 1, minlength),)
        int64; of float32 weights float32, of others float64.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If `input` is no vector of integers of at least 0, `weights` has another shape, or `minlength` is no
        int of at least 0.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.bincount(tn.tensor([0, 2, 2]), minlength=4)
    tensor([1, 0, 2, 0])
    """
    numbers = _values("bincount", "input", input)
    if numbers.dtype.kind not in "iu":
        raise DTypeError(f"bincount: input must be of integers; got {numbers.dtype}")
    if numbers.ndim != 1:
        raise ShapeError(f"bincount: input must have shape (N,); got {numbers.shape}")
    if numbers.size and numbers.min() < 0:
        raise ArgumentError(f"bincount: input must be at least 0; got {numbers.min()}")
    least = _check.integer("bincount", "minlength", minlength, 0)
    if weights is None:
        return from_numpy(np.bincount(numbers, minlength=least).astype(np.int64, copy=False))
    each = _values("bincount", "weights", weights)
    if each.shape != numbers.shape:
        raise ShapeError(f"bincount: weights must have the shape of input, {numbers.shape}; got {each.shape}")
    sums = np.bincount(numbers, each, least).astype(np.float64, copy=False)
    return from_numpy(sums.astype(np.float32) if each.dtype == np.float32 else sums)


@overload
def nonzero(input: Tensor, *, as_tuple: Literal[False] = False) -> Tensor: ...
@overload
def nonzero(input: Tensor, *, as_tuple: bool) -> Tensor | tuple[Tensor, ...]: ...
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Tensor | tuple[Tensor, ...]:
    """The places of the elements that are not zero (or are True), in order.

    Parameters
    ----------
    input : Tensor, of D axes
    as_tuple : bool, default False
        Whether to give one tensor per axis, which together can index `input`.

    Returns
    -------
    Tensor, shape (count, D), or tuple of D Tensors of shape (count,), int64

    Raises
    ------
    DTypeError
        If `input` is no Tensor or `as_tuple` no bool.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nonzero(tn.tensor([[0.0, 5.0], [7.0, 0.0]])).tolist()
    [[0, 1], [1, 0]]
    """
    apart = _check.boolean("nonzero", "as_tuple", as_tuple)
    places = np.argwhere(_values("nonzero", "input", input)).astype(np.int64, copy=False)
    if not apart:
        return from_numpy(places)
    if input.ndim == 0:  # as if it had one axis, as PyTorch has it
        return (from_numpy(np.zeros(len(places), np.int64)),)
    return tuple(from_numpy(np.ascontiguousarray(axis)) for axis in places.T)


@overload
def unique(input: Tensor, sorted: bool = True, *, dim: None = None) -> Tensor: ...
@overload
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: None = None,
) -> Tensor | tuple[Tensor, ...]: ...
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: None = None,
) -> Tensor | tuple[Tensor, ...]:
    """The different elements, in rising order.

    Parameters
    ----------
    input : Tensor, any shape
    sorted : bool, default True
        Without effect: they always are.
    return_inverse : bool, default False
        Whether to give the place of each element among them, too.
    return_counts : bool, default False
        Whether to give how often each occurs, too.
    dim : None
        Not supported.

    Returns
    -------
    Tensor, shape (K,), or a tuple of it and what else is wanted
        The places have the shape of `input`, the counts (K,); both are int64.

    Raises
    ------
    DTypeError
        If `input` is no Tensor or an option no bool.
    NotImplementedError
        If `dim` is given.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.unique(tn.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    _check.refuse("unique", dim=(dim, (None,)))
    _check.boolean("unique", "sorted", sorted)
    inverse = _check.boolean("unique", "return_inverse", return_inverse)
    counts = _check.boolean("unique", "return_counts", return_counts)
    values = _values("unique", "input", input)
    found, places, amounts = np.unique(values, return_inverse=True, return_counts=True, equal_nan=False)
    result = [from_numpy(found)]
    if inverse:
        result.append(from_numpy(places.reshape(values.shape).astype(np.int64, copy=False)))
    if counts:
        result.append(from_numpy(amounts.astype(np.int64, copy=False)))
    return tuple(result) if len(result) > 1 else result[0]


def _values(op: str, name: str, value: Tensor) -> np.ndarray[Any, Any]:
    return tensor_argument(op, value, name).detach().numpy()
