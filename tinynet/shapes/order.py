"""The axes or the elements in another order."""

from __future__ import annotations

from collections.abc import Sequence

from tinynet._tensor import Tensor
from tinynet.shapes.arguments import tensor_argument


def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    """The axes in another order, a view.

    Parameters
    ----------
    input : Tensor
    dims : sequence of int
        Axis i of the result is axis ``dims[i]`` of `input`; each is named once.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If `dims` does not name each axis once.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.permute(tn.ones(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return tensor_argument("permute", input).permute(dims)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged, a view.

    Parameters
    ----------
    input : Tensor
    dim0, dim1 : int
        Within [-ndim, ndim).

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If there is no such axis.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.transpose(tn.ones(2, 3, 4), 0, 2).shape
    (4, 3, 2)
    """
    return tensor_argument("transpose", input).transpose(dim0, dim1)


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """Two axes exchanged, a view: `transpose` under NumPy's name.

    Parameters
    ----------
    input : Tensor
    axis0, axis1 : int
        Within [-ndim, ndim).

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If there is no such axis.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.swapaxes(tn.ones(2, 3), 0, 1).shape
    (3, 2)
    """
    return tensor_argument("swapaxes", input).swapaxes(axis0, axis1)


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Axes moved to other places, the rest in their order; a view.

    Parameters
    ----------
    input : Tensor
    source : int or sequence of int
        The axes to move, within [-ndim, ndim), each once.
    destination : int or sequence of int
        The place of each in the result.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If there is no such axis, or `source` and `destination` do not name as many axes, each once.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.movedim(tn.ones(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    return tensor_argument("movedim", input).movedim(source, destination)


def flip(input: Tensor, dims: int | Sequence[int]) -> Tensor:
    """A copy with the elements along axes in reverse order.

    Parameters
    ----------
    input : Tensor
    dims : int or sequence of int
        The axes, within [-ndim, ndim), each once; with none nothing is reversed.

    Returns
    -------
    Tensor, shape of `input`

    Raises
    ------
    ArgumentError
        If there is no such axis, or one is named twice.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.flip(tn.arange(3), (0,)).tolist()
    [2, 1, 0]
    """
    return tensor_argument("flip", input).flip(dims)
