"""Functions that change a tensor's form, join, split, or pick from it, under PyTorch's names.

Where a method of the same name exists, the function is that method.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tinynet._tensor import Tensor, apply
from tinynet.errors import DTypeError
from tinynet.ops.shape import Cat, Stack


def tensor_argument(op: str, value: Any, name: str = "input") -> Tensor:
    """`value`, if it is a Tensor."""
    if not isinstance(value, Tensor):
        raise DTypeError(f"{op}: {name} must be a Tensor; got {type(value).__name__}")
    return value


# ---- other shapes of the same elements ---------------------------------------------------------------------


def reshape(input: Tensor, shape: Sequence[int]) -> Tensor:
    """The elements in another shape, in C order: a view where possible.

    Parameters
    ----------
    input : Tensor
    shape : sequence of int
        As many elements as `input` has; one size may be -1.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.reshape(tn.arange(4), (2, -1)).tolist()
    [[0, 1], [2, 3]]
    """
    return tensor_argument("reshape", input).reshape(shape)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim`, both included, as one.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.flatten(tn.ones(5, 2, 3), 1).shape
    (5, 6)
    """
    return tensor_argument("flatten", input).flatten(start_dim, end_dim)


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """The axis `dim` as several of these sizes, one of which may be -1.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.unflatten(tn.ones(5, 6), 1, (2, -1)).shape
    (5, 2, 3)
    """
    return tensor_argument("unflatten", input).unflatten(dim, sizes)


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without the axes of size 1, or without those of `dim` that have size 1.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.squeeze(tn.ones(1, 3, 1), 0).shape
    (3, 1)
    """
    return tensor_argument("squeeze", input).squeeze(dim)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new axis of size 1 at `dim`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.unsqueeze(tn.ones(3), -1).shape
    (3, 1)
    """
    return tensor_argument("unsqueeze", input).unsqueeze(dim)


def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """Repeated to a larger shape, a view that must not be written; -1 keeps the size of an axis.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.broadcast_to(tn.tensor([1, 2]), (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """
    return tensor_argument("broadcast_to", input).broadcast_to(shape)


# ---- the axes or the elements in another order -------------------------------------------------------------


def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    """The axes in the order `dims`, a view.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.permute(tn.ones(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return tensor_argument("permute", input).permute(dims)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged, a view.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.transpose(tn.ones(2, 3, 4), 0, 2).shape
    (4, 3, 2)
    """
    return tensor_argument("transpose", input).transpose(dim0, dim1)


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """`transpose`: two axes exchanged, a view.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.swapaxes(tn.ones(2, 3), 0, 1).shape
    (3, 2)
    """
    return tensor_argument("swapaxes", input).swapaxes(axis0, axis1)


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """The axes `source` moved to the places `destination`, the others in their order; a view.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.movedim(tn.ones(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    return tensor_argument("movedim", input).movedim(source, destination)


def flip(input: Tensor, dims: int | Sequence[int]) -> Tensor:
    """A copy with the elements along each of `dims` in reverse order.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.flip(tn.arange(3), (0,)).tolist()
    [2, 1, 0]
    """
    return tensor_argument("flip", input).flip(dims)


# ---- joined and split --------------------------------------------------------------------------------------


def cat(tensors: Iterable[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along `dim`.

    Parameters
    ----------
    tensors : iterable of Tensor
        Of one dtype, and of equal shapes but for `dim`.  A tensor of shape (0,) adds nothing to any.
    dim : int, default 0

    Raises
    ------
    ArgumentError
        If there is no tensor.
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
    """The tensors, of one shape and dtype, along a new axis `dim`.

    Raises
    ------
    ArgumentError
        If there is no tensor.
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
    """Views of parts along `dim`: of one size (the last may be smaller), or of the sizes in a list.

    Examples
    --------
    >>> import tinynet as tn
    >>> [part.tolist() for part in tn.split(tn.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    return tensor_argument("split", tensor, "tensor").split(split_size_or_sections, dim)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views along `dim`, all but the last of one size.

    Examples
    --------
    >>> import tinynet as tn
    >>> [part.tolist() for part in tn.chunk(tn.arange(5), 2)]
    [[0, 1, 2], [3, 4]]
    """
    return tensor_argument("chunk", input).chunk(chunks, dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim` as views without that axis.

    Examples
    --------
    >>> import tinynet as tn
    >>> [row.tolist() for row in tn.unbind(tn.ones(2, 3))]
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    return tensor_argument("unbind", input).unbind(dim)


# ---- picked ------------------------------------------------------------------------------------------------


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """A copy of the slices along `dim` that `index`, integers of shape (P,) within [0, size), names.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.index_select(tn.tensor([[1, 2], [3, 4]]), 1, tn.tensor([1, 1])).tolist()
    [[2, 2], [4, 4]]
    """
    return tensor_argument("index_select", input).index_select(dim, index)


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """One element per element of `index`: ``y[i, j] = input[i, index[i, j]]`` for dim 1, and so on.

    Parameters
    ----------
    input : Tensor
    dim : int
    index : Tensor of integers within [0, size of dim)
        As many axes as `input`; but for `dim` at most its sizes.

    Returns
    -------
    Tensor, of the shape of `index`

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.gather(tn.tensor([[1, 2], [3, 4]]), 1, tn.tensor([[1], [0]])).tolist()
    [[2], [3]]
    """
    return tensor_argument("gather", input).gather(dim, index)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` with both broadcast to each other but for `dim`; of the flattened tensors without `dim`.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.tensor([[3, 1], [2, 4]])
    >>> tn.take_along_dim(x, x.argsort(1), 1).tolist()
    [[1, 3], [2, 4]]
    """
    tensor_argument("take_along_dim", indices, "indices")
    return tensor_argument("take_along_dim", input).take_along_dim(indices, dim)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """A copy of the elements where `mask`, bools that broadcast with `input`, is true; one axis.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.tensor([1, -2, 3])
    >>> tn.masked_select(x, x > 0).tolist()
    [1, 3]
    """
    return tensor_argument("masked_select", input).masked_select(mask)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two axes, up to that diagonal (0: the main one), and 0 above it.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.tril(tn.ones(2, 2)).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    return tensor_argument("tril", input).tril(diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two axes, from that diagonal on (0: the main one), and 0 below it.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.triu(tn.ones(2, 2), 1).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    return tensor_argument("triu", input).triu(diagonal)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with this vector as its diagonal (0: the main one).

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.diag(tn.tensor([[1, 2], [3, 4]])).tolist()
    [1, 4]
    """
    return tensor_argument("diag", input).diag(diagonal)
