"""Exchanging a module's tensors: loading a state dict, and conversion to another dtype.

A load checks everything first and copies then, so that one that fails has changed nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tinynet._tensor import Tensor, no_grad
from tinynet.errors import DataError, DTypeError
from tinynet.nn.parameter import Parameter


class LoadResult(NamedTuple):
    """What `Module.load_state_dict` returns: the keys that did not match, none after a strict load."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"LoadResult(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load_tensors(owner: str, own: dict[str, Tensor], state: Mapping[str, Any], strict: bool) -> LoadResult:
    """Copy `state` into the tensors of `own`; the contract is `Module.load_state_dict`'s."""
    if not isinstance(state, Mapping):
        raise DTypeError(f"load_state_dict: state must be a mapping; got {type(state).__name__}")
    for name, value in state.items():
        if not isinstance(value, (Tensor, np.ndarray)):
            raise DTypeError(
                f"load_state_dict: state[{name!r}] must be a Tensor or array; got {type(value).__name__}"
            )
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    result = LoadResult(missing, unexpected)
    problems = []
    if strict and missing:
        problems.append("missing keys " + ", ".join(missing))
    if strict and unexpected:
        problems.append("unexpected keys " + ", ".join(map(str, unexpected)))
    for name, tensor in own.items():
        if name in state:
            value = state[name]
            if value.shape != tensor.shape:
                problems.append(f"{name} of shape {value.shape} where {tensor.shape} is expected")
            elif value.dtype != tensor.dtype:
                problems.append(f"{name} of dtype {value.dtype} where {tensor.dtype} is expected")
            elif not tensor.detach().numpy().flags.writeable:
                problems.append(f"{name} for a tensor in read-only memory")
    if problems:
        raise DataError(f"load_state_dict: state must fit {owner}; got " + "; ".join(problems))
    # Over private copies: an array of the caller may be read-only, or a view of one of our own tensors.
    values = {
        name: Tensor(np.array(value.detach().numpy() if isinstance(value, Tensor) else value))
        for name, value in state.items()
        if name in own
    }
    with no_grad():
        for name, value in values.items():
            own[name].copy_(value)
    return result


def converted_tensor(tensor: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """`tensor` with its values in `dtype`: a `Parameter` if it is one, without its gradient."""
    values = tensor.detach().to(dtype)
    return Parameter(values, tensor.requires_grad) if isinstance(tensor, Parameter) else values
