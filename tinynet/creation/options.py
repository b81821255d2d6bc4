"""What the functions that make tensors have in common: their arguments."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import DTypeLike

from tinynet import _tensor
from tinynet._check import CPU, real, refuse
from tinynet._tensor import Tensor, as_dtype
from tinynet.errors import ArgumentError, DTypeError


class Unsupported(TypedDict, total=False):
    """Options of PyTorch's that are accepted at their defaults and refused otherwise."""

    out: None
    layout: None
    memory_format: None
    pin_memory: Literal[False]


_DEFAULTS = {"out": (None,), "layout": (None,), "memory_format": (None,), "pin_memory": (False, None)}


def check_options(op: str, device: str | None, unsupported: Mapping[str, Any]) -> None:
    """Raise for a device other than the CPU and for options that are not supported."""
    if device is None and not unsupported:
        return
    refuse(op, device=(device, CPU))
    for name, value in unsupported.items():
        if name not in _DEFAULTS:
            raise TypeError(f"{op}: got an unexpected keyword argument {name!r}")
        refuse(op, **{name: (value, _DEFAULTS[name])})


def sizes_of(op: str, shape: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape that ints, or one tuple or list of them, mean."""
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    for n in sizes:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise ArgumentError(f"{op}: sizes must be integers of at least 0; got {sizes}")
    return tuple(int(n) for n in sizes)


def float_dtype(op: str, dtype: DTypeLike | None) -> np.dtype[Any]:
    """The dtype that is meant, float32 by default, if it is one of floats."""
    target = as_dtype(op, np.float32 if dtype is None else dtype)
    if target.kind != "f":
        raise DTypeError(f"{op}: dtype must be float32 or float64; got {target}")
    return target


def like(op: str, input: Tensor, dtype: DTypeLike | None) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and dtype of a tensor, or its shape and another dtype."""
    if not isinstance(input, Tensor):
        raise DTypeError(f"{op}: input must be a Tensor; got {type(input).__name__}")
    return input.shape, input.dtype if dtype is None else as_dtype(op, dtype)


def laid_as(input: Tensor, drawn: Tensor, requires_grad: bool) -> Tensor:
    """The numbers drawn, their axes in memory in the order of those of `input`."""
    t = _tensor.empty_like(input, drawn.dtype)
    t.numpy()[...] = drawn.numpy()
    return t.requires_grad_() if requires_grad else t


def converted(array: np.ndarray[Any, Any], dtype: np.dtype[Any], requires_grad: bool) -> Tensor:
    """A tensor with a copy of the array in another dtype; numbers that do not fit wrap or become infinite."""
    return _tensor.tensor(array, dtype=dtype, requires_grad=requires_grad)


def number(op: str, name: str, value: Any) -> int | float:
    """An int or a finite float, also out of a tensor or array with one element."""
    if isinstance(value, Tensor):
        value = value.item()
    if isinstance(value, numbers.Integral):
        return int(value)
    return real(op, name, value)
