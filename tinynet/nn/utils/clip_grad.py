"""Clipping gradients, by their total norm or each value (Pascanu, Mikolov & Bengio 2013, algorithm 1).

The norm is summed in double in the order of the parameters, and gradients are scaled in place: one pass over
them for the norm, one more if they are too long.  No graph is recorded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinynet import _check
from tinynet._tensor import Tensor, arrays_of, grads_of, tensor
from tinynet.errors import DTypeError, GraphError
from tinynet.ops import gradients


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: None = None,
) -> Tensor:
    """Scale the gradients in place so that their total norm is at most `max_norm`.

    The factor is ``min(1, max_norm / (norm + 1e-6))``.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Whose gradients are meant; those without one are passed over.
    max_norm : float
        At least 0.
    norm_type : float, default 2.0
        The p of the p-norm of all gradients as one vector, above 0; ``inf`` is the largest magnitude.
    error_if_nonfinite : bool, default False
        Whether a norm that is NaN or infinite raises.  If not, gradients become NaN or 0 as the factor is.
    foreach : None or False
        How PyTorch loops; True is not supported.

    Returns
    -------
    Tensor, shape ()
        The norm before clipping; float64 if a gradient is, else float32.

    Raises
    ------
    DTypeError, ArgumentError
        If an argument is not of its kind or range, or a gradient is read-only.
    GraphError
        If `error_if_nonfinite` and the norm is not finite; nothing is changed then.

    Examples
    --------
    >>> import tinynet as tn
    >>> w = tn.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> tn.nn.utils.clip_grad_norm_([w], 1.0).item(), [round(g, 4) for g in w.grad.tolist()]
    (5.0, [0.6, 0.8])
    """
    grads = _gradients("clip_grad_norm_", parameters)
    bound = _check.real("clip_grad_norm_", "max_norm", max_norm, 0)
    norm = _norm("clip_grad_norm_", grads, norm_type, error_if_nonfinite, foreach)
    _scale(grads, bound, norm)
    return _as_tensor(norm, grads)


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: None = None
) -> None:
    """Scale the gradients in place by ``min(1, max_norm / (total_norm + 1e-6))``.

    With `get_total_norm` this is what `clip_grad_norm_` does.

    Parameters
    ----------
    parameters, max_norm, foreach
        As for `clip_grad_norm_`, as are the errors.
    total_norm : Tensor, shape ()

    Examples
    --------
    >>> import tinynet as tn
    >>> w = tn.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> tn.nn.utils.clip_grads_with_norm_([w], 5.0, tn.tensor(10.0))
    >>> [round(g, 4) for g in w.grad.tolist()]
    [1.5, 2.0]
    """
    _check.refuse("clip_grads_with_norm_", foreach=(foreach, (None, False)))
    if not isinstance(total_norm, Tensor):
        raise DTypeError(
            f"clip_grads_with_norm_: total_norm must be a Tensor; got {type(total_norm).__name__}"
        )
    grads = _gradients("clip_grads_with_norm_", parameters)
    bound = _check.real("clip_grads_with_norm_", "max_norm", max_norm, 0)
    _scale(grads, bound, float(total_norm.item()))


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: None = None,
) -> Tensor:
    """The p-norm of several tensors as one vector, summed in double; 0 without any.

    Parameters
    ----------
    tensors : Tensor or iterable of Tensor, float32 or float64
    norm_type, error_if_nonfinite, foreach
        As for `clip_grad_norm_`.

    Returns
    -------
    Tensor, shape ()
        float64 if a tensor is, else float32.

    Raises
    ------
    DTypeError, ArgumentError, GraphError
        As `clip_grad_norm_`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.utils.get_total_norm([tn.tensor([3.0]), tn.tensor([[4.0]])]).item()
    5.0
    """
    arrays = arrays_of(_tensors("get_total_norm", "tensors", tensors))
    for array in arrays:
        if array.dtype.kind != "f":
            raise DTypeError(f"get_total_norm: tensors must be float32 or float64; got {array.dtype}")
    return _as_tensor(_norm("get_total_norm", arrays, norm_type, error_if_nonfinite, foreach), arrays)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: None = None) -> None:
    """Hold every element of the gradients in [-clip_value, clip_value], in place; NaN stays.

    Parameters
    ----------
    parameters, foreach
        As for `clip_grad_norm_`, as are the errors.
    clip_value : float
        At least 0.

    Examples
    --------
    >>> import tinynet as tn
    >>> w = tn.tensor([3.0, -4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> tn.nn.utils.clip_grad_value_(w, 3.5)
    >>> w.grad.tolist()
    [3.0, -3.5]
    """
    _check.refuse("clip_grad_value_", foreach=(foreach, (None, False)))
    grads = _gradients("clip_grad_value_", parameters)
    gradients.clip(grads, _check.real("clip_grad_value_", "clip_value", clip_value, 0))


def _tensors(operation: str, argument: str, given: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """One tensor or several as a list."""
    if isinstance(given, Tensor):
        return [given]
    if not isinstance(given, Iterable):
        raise DTypeError(
            f"{operation}: {argument} must be a Tensor or an iterable of them; got {type(given).__name__}"
        )
    tensors = list(given)
    for each in tensors:
        if not isinstance(each, Tensor):
            raise DTypeError(f"{operation}: {argument} must be Tensors; got {type(each).__name__}")
    return tensors


def _gradients(operation: str, parameters: Tensor | Iterable[Tensor]) -> list[np.ndarray[Any, Any]]:
    tensors = _tensors(operation, "parameters", parameters)
    return [gradient for gradient in grads_of(tensors) if gradient is not None]


def _norm(
    operation: str, arrays: list[np.ndarray[Any, Any]], norm_type: Any, error_if_nonfinite: Any, foreach: Any
) -> float:
    _check.refuse(operation, foreach=(foreach, (None, False)))
    strict = _check.boolean(operation, "error_if_nonfinite", error_if_nonfinite)
    p = (
        math.inf
        if norm_type in (math.inf, "inf")
        else _check.real(operation, "norm_type", norm_type, 0, above=True)
    )
    norm: float = gradients.total_norm(arrays, p)
    if strict and not math.isfinite(norm):
        raise GraphError(
            f"{operation}: the total norm must be finite; got {norm} "
            "(error_if_nonfinite=False clips all the same)"
        )
    return norm


def _scale(grads: list[np.ndarray[Any, Any]], max_norm: float, norm: float) -> None:
    factor = max_norm / (norm + 1e-6)
    if not factor >= 1.0:  # NaN goes into the gradients
        gradients.scale(grads, factor)


def _as_tensor(norm: float, arrays: list[np.ndarray[Any, Any]]) -> Tensor:
    double = any(array.dtype == np.float64 for array in arrays)
    return tensor(norm, dtype=np.float64 if double else np.float32)
