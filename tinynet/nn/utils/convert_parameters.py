"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from tinynet._tensor import Tensor, no_grad
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.shapes import cat


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, each in C order, one after the other; a copy, through which the gradient goes.

    Parameters
    ----------
    parameters : iterable of Tensor
        At least one; all of one dtype.

    Returns
    -------
    Tensor, shape (n,)
        n is the number of elements of all parameters.

    Raises
    ------
    DTypeError, ArgumentError
        If something is no tensor, dtypes differ, or there is none.

    Examples
    --------
    >>> import tinynet as tn
    >>> layer = tn.nn.Linear(3, 2)
    >>> tn.nn.utils.parameters_to_vector(layer.parameters()).shape
    (8,)
    """
    tensors = _listed("parameters_to_vector", parameters)
    return cat([each.reshape(-1) for each in tensors])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the elements of a vector into the parameters, in place: the inverse of `parameters_to_vector`.

    The parameters keep their memory, which an optimiser may hold, too (PyTorch's become views of the vector).

    Parameters
    ----------
    vec : Tensor, shape (n,)
        As many elements as all parameters have, in their dtype.
    parameters : iterable of Tensor
        At least one.

    Raises
    ------
    ShapeError
        If `vec` is no vector of that many elements.
    DTypeError, ArgumentError
        If something is no tensor, dtypes differ, there is no parameter, or one is read-only.

    Examples
    --------
    >>> import tinynet as tn
    >>> layer = tn.nn.Linear(2, 1)
    >>> tn.nn.utils.vector_to_parameters(tn.tensor([1.0, 2.0, 3.0]), layer.parameters())
    >>> layer.weight.tolist(), layer.bias.tolist()
    ([[1.0, 2.0]], [3.0])
    """
    if not isinstance(vec, Tensor):
        raise DTypeError(f"vector_to_parameters: vec must be a Tensor; got {type(vec).__name__}")
    tensors = _listed("vector_to_parameters", parameters)
    total = sum(each.numel() for each in tensors)
    if vec.shape != (total,):
        raise ShapeError(
            f"vector_to_parameters: vec must have shape (n,) with n = {total}, the number of elements of all "
            f"parameters; got {vec.shape}"
        )
    for i, each in enumerate(tensors):
        if each.dtype != vec.dtype:
            raise DTypeError(
                f"vector_to_parameters: parameters[{i}] must have the dtype of vec, {vec.dtype}; "
                f"got {each.dtype}"
            )
        if not each.detach().numpy().flags.writeable:
            raise ArgumentError(
                f"vector_to_parameters: parameters[{i}] must be writable; got read-only memory"
            )
    values, at = vec.detach().clone(), 0  # a copy: vec may lie in the memory of a parameter
    with no_grad():
        for each in tensors:
            each.copy_(values[at : at + each.numel()].reshape(each.shape))
            at += each.numel()


def _listed(operation: str, parameters: Iterable[Tensor]) -> list[Tensor]:
    if isinstance(parameters, Tensor) or not isinstance(parameters, Iterable):
        raise DTypeError(
            f"{operation}: parameters must be an iterable of Tensor; got {type(parameters).__name__}"
        )
    tensors = list(parameters)
    for i, each in enumerate(tensors):
        if not isinstance(each, Tensor):
            raise DTypeError(f"{operation}: parameters[{i}] must be a Tensor; got {type(each).__name__}")
    if not tensors:
        raise ArgumentError(f"{operation}: parameters must hold at least one tensor; got none")
    return tensors
