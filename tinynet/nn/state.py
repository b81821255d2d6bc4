"""Exchanging the values of a module's tensors: loading a state dict, and conversion to another dtype.

Both check everything first, so that a call that fails has changed nothing, and both keep the tensors
themselves: what an optimiser, a second module or the caller holds goes on being the module's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinynet import _check
from tinynet._format import FORMATS
from tinynet._tensor import Tensor, no_grad
from tinynet.errors import ArgumentError, DataError, DTypeError

_DEVICES = ("cpu", "cuda", "mps", "xpu", "meta")


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
        raise DTypeError(f"load_state_dict: state_dict must be a mapping; got {type(state).__name__}")
    for name, value in state.items():
        if not isinstance(value, (Tensor, np.ndarray)):
            raise DTypeError(
                f"load_state_dict: state_dict[{name!r}] must be a Tensor or array; got {type(value).__name__}"
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
        raise DataError(f"load_state_dict: state_dict must fit {owner}; got " + "; ".join(problems))
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


def requested_dtype(
    args: tuple[Any, ...], device: Any, dtype: Any, non_blocking: Any, memory_format: Any
) -> np.dtype[Any] | None:
    """The dtype that the arguments of `Module.to` ask for, None if none; the others are checked."""
    given = {"device": device, "dtype": dtype}
    for value in args:
        if value is None or isinstance(value, bool):
            continue  # no device or dtype, or a positional non_blocking
        name = "device" if isinstance(value, str) and value.split(":")[0] in _DEVICES else "dtype"
        if given[name] is not None:
            raise ArgumentError(f"to: {name} must be given once; got {given[name]!r} and {value!r}")
        given[name] = value.dtype if isinstance(value, Tensor) else value
    _check.refuse("to", device=(given["device"], _check.CPU), memory_format=(memory_format, (None, *FORMATS)))
    _check.boolean("to", "non_blocking", non_blocking)
    return None if given["dtype"] is None else _check.float_dtype("to", given["dtype"])


def convert_tensors(named: Iterable[tuple[str, Tensor]], dtype: np.dtype[Any]) -> None:
    """Convert those of `named` that are floating, and their gradients, to `dtype`."""
    changing = [
        (name, tensor) for name, tensor in named if tensor.dtype.kind == "f" and tensor.dtype != dtype
    ]
    for name, tensor in changing:
        if not tensor.is_leaf:
            raise ArgumentError(f"to: {name} must be a leaf tensor; got the result of an operation")
    new = [
        (tensor, tensor.detach().to(dtype), None if tensor.grad is None else tensor.grad.detach().to(dtype))
        for _, tensor in changing
    ]
    for tensor, values, gradient in new:
        tensor.data = values
        if gradient is not None:
            tensor.grad = gradient
