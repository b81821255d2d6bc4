"""The check that all functions of this package share."""

from __future__ import annotations

from tinynet._tensor import Tensor
from tinynet.errors import DTypeError


def checked(op: str, value: Tensor, name: str = "input") -> Tensor:
    """`value`, if it is a Tensor."""
    if not isinstance(value, Tensor):
        raise DTypeError(f"{op}: {name} must be a Tensor; got {type(value).__name__}")
    return value
