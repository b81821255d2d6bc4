"""Functions that make tensors: filled with one value, a sequence, or random numbers.

Shapes are given as ints or as one tuple; the default dtype is float32.  Random numbers come from a
`Generator`, the default one if none is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tinynet import _tensor
from tinynet._tensor import Tensor, as_dtype, tensor
from tinynet.errors import ArgumentError, DTypeError
from tinynet.random import Generator, draw


def _sizes(op: str, shape: tuple[Any, ...]) -> tuple[int, ...]:
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    for n in sizes:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise ArgumentError(f"{op}: sizes must be integers of at least 0; got {sizes}")
    return tuple(int(n) for n in sizes)


def _make(op: str, array: np.ndarray, dtype: DTypeLike | None, requires_grad: bool) -> Tensor:
    return tensor(array, dtype=as_dtype(op, dtype), requires_grad=requires_grad)


def _float_dtype(op: str, dtype: DTypeLike | None) -> Any:
    target = as_dtype(op, np.float32 if dtype is None else dtype)
    if target.kind != "f":
        raise DTypeError(f"{op}: dtype must be float32 or float64; got {target}")
    return target.type


def _filled(
    op: str, sizes: tuple[int, ...], value: float | None, dtype: DTypeLike | None, requires_grad: bool
) -> Tensor:
    t = _tensor.empty(sizes, as_dtype(op, np.float32 if dtype is None else dtype))
    if value is not None:
        t.numpy()[...] = value
    return t.requires_grad_() if requires_grad else t


def full(
    size: int | tuple[int, ...],
    fill_value: float,
    *,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor filled with one value; its dtype is float32, int64 or bool after the value, unless given."""
    if dtype is None:
        dtype = (
            np.bool_
            if isinstance(fill_value, bool)
            else np.int64
            if isinstance(fill_value, int)
            else np.float32
        )
    return _filled("full", _sizes("full", (size,)), fill_value, dtype, requires_grad)


def zeros(*size: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    return _filled("zeros", _sizes("zeros", size), 0, dtype, requires_grad)


def ones(*size: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return _filled("ones", _sizes("ones", size), 1, dtype, requires_grad)


def empty(*size: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose values are not set (they may be anything)."""
    return _filled("empty", _sizes("empty", size), None, dtype, requires_grad)


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: DTypeLike | None = None
) -> Tensor:
    """start, start + step, ... below `end` (``arange(end)`` starts at 0); int64 for ints, else float32."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ArgumentError(f"arange: step must not be 0; got {step!r}")
    if dtype is None:
        dtype = np.int64 if all(isinstance(x, (int, np.integer)) for x in (start, end, step)) else np.float32
    return _make("arange", np.arange(start, end, step), dtype, False)


def rand(
    *size: Any,
    dtype: DTypeLike | None = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of numbers drawn uniformly from [0, 1)."""
    target = _float_dtype("rand", dtype)
    return _make("rand", draw(generator).random(_sizes("rand", size), target), target, requires_grad)


def randn(
    *size: Any,
    dtype: DTypeLike | None = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of numbers drawn from the standard normal distribution."""
    target = _float_dtype("randn", dtype)
    return _make(
        "randn", draw(generator).standard_normal(_sizes("randn", size), target), target, requires_grad
    )


def randperm(n: int, *, generator: Generator | None = None) -> Tensor:
    """The numbers 0 to n - 1 in random order, int64."""
    return tensor(draw(generator).permutation(_sizes("randperm", (n,))[0]), dtype=np.int64)


def zeros_like(input: Tensor, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape and dtype of a tensor."""
    return zeros(input.shape, dtype=input.dtype if dtype is None else dtype, requires_grad=requires_grad)


def ones_like(input: Tensor, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape and dtype of a tensor."""
    return ones(input.shape, dtype=input.dtype if dtype is None else dtype, requires_grad=requires_grad)


def full_like(
    input: Tensor, fill_value: float, *, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """One value in the shape and dtype of a tensor."""
    return full(
        input.shape, fill_value, dtype=input.dtype if dtype is None else dtype, requires_grad=requires_grad
    )


def rand_like(input: Tensor, *, generator: Generator | None = None, requires_grad: bool = False) -> Tensor:
    """Uniform random numbers from [0, 1) in the shape and dtype of a tensor."""
    return rand(input.shape, dtype=input.dtype, generator=generator, requires_grad=requires_grad)


def randn_like(input: Tensor, *, generator: Generator | None = None, requires_grad: bool = False) -> Tensor:
    """Standard normal random numbers in the shape and dtype of a tensor."""
    return randn(input.shape, dtype=input.dtype, generator=generator, requires_grad=requires_grad)
