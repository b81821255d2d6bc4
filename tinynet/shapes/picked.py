"""Elements picked by an index, by a mask, or by where they stand in a matrix."""

from __future__ import annotations

from tinynet._tensor import Tensor
from tinynet.shapes.arguments import tensor_argument


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """A copy of the slices along an axis that an index names.

    Parameters
    ----------
    input : Tensor
    dim : int
        Within [-ndim, ndim).
    index : Tensor of integers, shape (P,)
        Within [0, size of `dim`); a slice may be named several times.

    Returns
    -------
    Tensor, of size P along `dim`

    Raises
    ------
    ArgumentError
        If there is no axis `dim`.
    DTypeError, ShapeError
        If `index` is not an integer tensor, or has several axes.
    IndexError
        If an index lies outside.

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
        Within [-ndim, ndim).
    index : Tensor of integers within [0, size of `dim`)
        As many axes as `input`; but for `dim` at most its sizes.

    Returns
    -------
    Tensor, of the shape of `index`

    Raises
    ------
    ArgumentError
        If there is no axis `dim`.
    DTypeError, ShapeError
        If `index` is not an integer tensor, or its shape does not fit.
    IndexError
        If an index lies outside.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.gather(tn.tensor([[1, 2], [3, 4]]), 1, tn.tensor([[1], [0]])).tolist()
    [[2], [3]]
    """
    return tensor_argument("gather", input).gather(dim, index)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` with both tensors broadcast to each other but for `dim`.

    Parameters
    ----------
    input : Tensor
    indices : Tensor of integers within [0, size of `dim`)
        As many axes as `input`.
    dim : int, optional
        Within [-ndim, ndim); without it both tensors are flattened.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If there is no axis `dim`.
    DTypeError, ShapeError
        If `indices` is not an integer tensor, or cannot be broadcast.
    IndexError
        If an index lies outside.

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
    """A copy of the elements where a mask is true.

    Parameters
    ----------
    input : Tensor
    mask : Tensor of bool
        Both are broadcast to each other.

    Returns
    -------
    Tensor, shape (number of elements of the mask that are true,)

    Raises
    ------
    DTypeError
        If `mask` is not a bool tensor.
    ShapeError
        If the shapes cannot be broadcast.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.tensor([1, -2, 3])
    >>> tn.masked_select(x, x > 0).tolist()
    [1, 3]
    """
    return tensor_argument("masked_select", input).masked_select(mask)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two axes, and 0 above it.

    Parameters
    ----------
    input : Tensor, shape (..., M, N)
    diagonal : int, default 0
        The last one that stays: 0 is the main diagonal, 1 that above it, -1 that below.

    Returns
    -------
    Tensor, shape of `input`

    Raises
    ------
    ShapeError
        If `input` has fewer than 2 axes.
    ArgumentError
        If `diagonal` is not an integer.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.tril(tn.ones(2, 2)).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    return tensor_argument("tril", input).tril(diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two axes, and 0 below it.

    Parameters
    ----------
    input : Tensor, shape (..., M, N)
    diagonal : int, default 0
        The first one that stays: 0 is the main diagonal, 1 that above it, -1 that below.

    Returns
    -------
    Tensor, shape of `input`

    Raises
    ------
    ShapeError
        If `input` has fewer than 2 axes.
    ArgumentError
        If `diagonal` is not an integer.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.triu(tn.ones(2, 2), 1).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    return tensor_argument("triu", input).triu(diagonal)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with this vector as its diagonal and 0 elsewhere; a copy.

    Parameters
    ----------
    input : Tensor, shape (M, N) or (N,)
    diagonal : int, default 0
        0 is the main diagonal, 1 that above it, -1 that below.

    Returns
    -------
    Tensor
        Of a vector, shape (N + k, N + k) with k = abs(diagonal).

    Raises
    ------
    ShapeError
        If `input` has no axes or more than 2.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.diag(tn.tensor([[1, 2], [3, 4]])).tolist()
    [1, 4]
    """
    return tensor_argument("diag", input).diag(diagonal)
