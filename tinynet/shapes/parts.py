"""Tensors joined, and split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tinynet._tensor import Tensor, apply
from tinynet.ops.shape import Cat, Stack
from tinynet.shapes.arguments import tensor_argument


def cat(tensors: Iterable[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along an axis.

    Parameters
    ----------
    tensors : iterable of Tensor
        Of one dtype, and of equal shapes but for `dim`.  A tensor of shape (0,) adds nothing to any.
    dim : int, default 0
        Within [-ndim, ndim).

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If there is no tensor, or no axis `dim`.
    ShapeError, DTypeError
        If shapes or dtypes differ.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.cat([tn.zeros(1, 2), tn.ones(2, 2)]).tolist()
    [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    """
    return apply(Cat(dim), *tensors)


def stack(tensors: Iterable[Tensor], dim: int = 0) -> Tensor:
    """The tensors along a new axis.

    Parameters
    ----------
    tensors : iterable of Tensor
        Of one shape and dtype.
    dim : int, default 0
        The place of the axis in the result, within [-ndim - 1, ndim].

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If there is no tensor, or no such place.
    ShapeError, DTypeError
        If shapes or dtypes differ.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.stack([tn.zeros(2), tn.ones(2)], 1).tolist()
    [[0.0, 1.0], [0.0, 1.0]]
    """
    return apply(Stack(dim), *tensors)


def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts along an axis, as views.

    Parameters
    ----------
    tensor : Tensor
        With at least one axis.
    split_size_or_sections : int or sequence of int
        The size of all parts, of which the last may be smaller, or the size of each.
    dim : int, default 0
        Within [-ndim, ndim).

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    ArgumentError
        If there is no axis `dim`, or the size is not positive.
    ShapeError
        If the sum of the sizes is not the size of `dim`, or `tensor` has no axes.

    Examples
    --------
    >>> import tinynet as tn
    >>> [part.tolist() for part in tn.split(tn.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    return tensor_argument("split", tensor, "tensor").split(split_size_or_sections, dim)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most as many parts along an axis, all but the last of one size, as views.

    Parameters
    ----------
    input : Tensor
        With at least one axis.
    chunks : int
        At least 1.
    dim : int, default 0
        Within [-ndim, ndim).

    Returns
    -------
    tuple of Tensor
        Fewer than `chunks`, if parts of size ceil(n / chunks) use up the size n of `dim` before.

    Raises
    ------
    ArgumentError
        If `chunks` is below 1, or there is no axis `dim`.
    ShapeError
        If `input` has no axes.

    Examples
    --------
    >>> import tinynet as tn
    >>> [part.tolist() for part in tn.chunk(tn.arange(5), 2)]
    [[0, 1, 2], [3, 4]]
    """
    return tensor_argument("chunk", input).chunk(chunks, dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis, as views without that axis.

    Parameters
    ----------
    input : Tensor
        With at least one axis.
    dim : int, default 0
        Within [-ndim, ndim).

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    ArgumentError
        If there is no axis `dim`.
    ShapeError
        If `input` has no axes.

    Examples
    --------
    >>> import tinynet as tn
    >>> [row.tolist() for row in tn.unbind(tn.ones(2, 3))]
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    return tensor_argument("unbind", input).unbind(dim)
