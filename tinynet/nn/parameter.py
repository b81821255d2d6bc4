"""`Parameter`: a tensor that a `Module` owns and an optimiser changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet._tensor import Tensor
from tinynet.errors import DTypeError

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Parameter(Tensor):
    """A leaf tensor that registers itself when it is assigned as an attribute of a `Module`.

    Parameters
    ----------
    data : Tensor or numpy.ndarray
        Values of any shape, float32 or float64.  The memory is shared, not copied, and the graph behind a
        tensor is not followed: a parameter is always a leaf.
    requires_grad : bool, default True
        Whether gradients are accumulated in ``.grad``.

    Raises
    ------
    DTypeError
        If `data` is not a tensor or array, or not of a floating dtype.

    Examples
    --------
    >>> import tinynet as tn
    >>> module = tn.nn.Module()
    >>> module.scale = tn.nn.Parameter(tn.ones(3))
    >>> [name for name, _ in module.named_parameters()]
    ['scale']
    """

    def __new__(cls, data: Tensor | np.ndarray[Any, Any], requires_grad: bool = True) -> Parameter:
        if not isinstance(data, (Tensor, np.ndarray)):
            raise DTypeError(f"Parameter: data must be a Tensor or numpy.ndarray; got {type(data).__name__}")
        if data.dtype not in _FLOATS:
            raise DTypeError(f"Parameter: data must have dtype float32 or float64; got {data.dtype}")
        return super().__new__(cls, data.detach() if isinstance(data, Tensor) else data, requires_grad)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()
