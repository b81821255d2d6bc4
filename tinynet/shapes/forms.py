"""Other shapes of the same elements."""

from __future__ import annotations

from collections.abc import Sequence

from tinynet._tensor import Tensor
from tinynet.shapes.arguments import tensor_argument


def reshape(input: Tensor, shape: Sequence[int]) -> Tensor:
    """The elements in another shape, in C order: a view where possible.

    Parameters
    ----------
    input : Tensor
    shape : sequence of int
        As many elements as `input` has; one size may be -1, which stands for what is left.

    Returns
    -------
    Tensor, shape `shape`

    Raises
    ------
    ShapeError
        If the number of elements differs.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.reshape(tn.arange(4), (2, -1)).tolist()
    [[0, 1], [2, 3]]
    """
    return tensor_argument("reshape", input).reshape(shape)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim`, both included, as one: a view where possible.

    Parameters
    ----------
    input : Tensor
        Without axes, it gets one.
    start_dim : int, default 0
    end_dim : int, default -1
        Within [-ndim, ndim), as `start_dim`, and not before it.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If there are no such axes, or `start_dim` comes after `end_dim`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.flatten(tn.ones(5, 2, 3), 1).shape
    (5, 6)
    """
    return tensor_argument("flatten", input).flatten(start_dim, end_dim)


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """The axis `dim` as several: a view where possible.

    Parameters
    ----------
    input : Tensor
    dim : int
        Within [-ndim, ndim).
    sizes : sequence of int
        Their product is the size of `dim`; one may be -1, which stands for what is left.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If there is no axis `dim`.
    ShapeError
        If the product differs.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.unflatten(tn.ones(5, 6), 1, (2, -1)).shape
    (5, 2, 3)
    """
    return tensor_argument("unflatten", input).unflatten(dim, sizes)


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without axes of size 1: a view where possible.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
        The axes to leave out if their size is 1, within [-ndim, ndim); by default all.

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
    >>> tn.squeeze(tn.ones(1, 3, 1), 0).shape
    (3, 1)
    """
    return tensor_argument("squeeze", input).squeeze(dim)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new axis of size 1: a view where possible.

    Parameters
    ----------
    input : Tensor
    dim : int
        The place of the axis in the result, within [-ndim - 1, ndim].

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If there is no such place.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.unsqueeze(tn.ones(3), -1).shape
    (3, 1)
    """
    return tensor_argument("unsqueeze", input).unsqueeze(dim)


def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """Repeated to a larger shape, a view that must not be written.

    Parameters
    ----------
    input : Tensor
    shape : sequence of int
        Axes of size 1 take any size, and new ones may lead; -1 keeps the size of an axis.

    Returns
    -------
    Tensor, shape `shape`

    Raises
    ------
    ShapeError
        If `input` cannot be broadcast to `shape`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.broadcast_to(tn.tensor([1, 2]), (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """
    return tensor_argument("broadcast_to", input).broadcast_to(shape)
