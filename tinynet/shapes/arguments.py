"""The check that functions of one tensor share, here and in other modules."""

from __future__ import annotations

from typing import Any

from tinynet._tensor import Tensor
from tinynet.errors import DTypeError


def tensor_argument(op: str, value: Any, name: str = "input") -> Tensor:
    """`value`, if it is a Tensor."""
    if not isinstance(value, Tensor):
        raise DTypeError(f"{op}: {name} must be a Tensor; got {type(value).__name__}")
    return value
