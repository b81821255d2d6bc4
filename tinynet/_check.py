"""Checks of arguments that all Python parts of the package share: layers, optimisers, data, files.

Each returns the accepted value as a plain Python value, so that NumPy scalars do not travel into the
kernels; use what it returns.  This module imports nothing of tinynet but the errors.
"""

from __future__ import annotations

import math
import numbers
import operator
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, DTypeError


def integer(owner: str, name: str, value: Any, minimum: int | None = None) -> int:
    """`value` as an int of at least `minimum`; bool and float are refused."""
    expected = "an int" if minimum is None else ("a positive int" if minimum == 1 else f"an int >= {minimum}")
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise DTypeError(f"{owner}: {name} must be {expected}; got {value!r}")
    number = operator.index(value)
    if minimum is not None and number < minimum:
        raise ArgumentError(f"{owner}: {name} must be {expected}; got {number}")
    return number


LARGEST = 2**31 - 1  # an extent, and what options of windows may be: products of two fit into 64 bits


def extents(owner: str, name: str, value: Any, axes: int, minimum: int) -> tuple[int, ...]:
    """An int of at least `minimum` and below 2^31, or one per axis, as a tuple: one stands for all axes."""
    if type(value) is int and minimum <= value <= LARGEST:
        return (value,) * axes
    listed = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    expected = "a positive int" if minimum == 1 else f"an int >= {minimum}"
    if axes > 1:
        expected += f" or {axes} of them"
    if len(listed) not in (1, axes):
        raise ArgumentError(f"{owner}: {name} must be {expected}; got {value!r}")
    for each in listed:
        if isinstance(each, (bool, np.bool_)) or not hasattr(each, "__index__"):
            raise DTypeError(f"{owner}: {name} must be {expected}; got {value!r}")
        if operator.index(each) < minimum:
            raise ArgumentError(f"{owner}: {name} must be {expected}; got {value!r}")
        if operator.index(each) > LARGEST:
            raise ArgumentError(f"{owner}: {name} must be {expected}, below 2^31; got {value!r}")
    sizes = tuple([operator.index(each) for each in listed])
    return sizes if len(sizes) == axes else sizes * axes


def real(
    owner: str,
    name: str,
    value: Any,
    minimum: float | None = None,
    maximum: float | None = None,
    *,
    above: bool = False,
) -> float:
    """`value` as a finite float with ``minimum <= value <= maximum`` (``minimum < value`` if `above`)."""
    expected = "a finite number"
    if minimum is not None and maximum is not None:
        expected = f"a number in [{minimum:g}, {maximum:g}]"
    elif minimum is not None:
        expected = f"a finite number {'>' if above else '>='} {minimum:g}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise DTypeError(f"{owner}: {name} must be {expected}; got {value!r}")
    number = float(value)
    too_small = minimum is not None and (number <= minimum if above else number < minimum)
    if not math.isfinite(number) or too_small or (maximum is not None and number > maximum):
        raise ArgumentError(f"{owner}: {name} must be {expected}; got {number!r}")
    return number


def boolean(owner: str, name: str, value: Any) -> bool:
    """`value` as a bool; 0, 1 and None are refused, so that a misplaced positional argument shows."""
    if not isinstance(value, (bool, np.bool_)):
        raise DTypeError(f"{owner}: {name} must be a bool; got {value!r}")
    return bool(value)


def choice(owner: str, name: str, value: Any, choices: tuple[str, ...]) -> str:
    """`value` if it is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(repr(each) for each in choices)
        raise ArgumentError(f"{owner}: {name} must be one of {listed}; got {value!r}")
    return value


def float_dtype(owner: str, value: Any) -> np.dtype[Any]:
    """`value` as the NumPy dtype float32 or float64; None means float32."""
    if value is None:
        return np.dtype(np.float32)
    dtype: np.dtype[Any]
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError):
        dtype = np.dtype(object)
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise DTypeError(f"{owner}: dtype must be float32 or float64; got {value!r}")
    return dtype


CPU = (None, "cpu")  # the values of `device` that are supported


def refuse(operation: str, **options: tuple[object, tuple[object, ...]]) -> None:
    """Raise `NotImplementedError` for an option of PyTorch's that is not supported.

    Each keyword is an option, with its value and the values that are accepted, PyTorch's default first::

        refuse("Linear", device=(device, CPU))
    """
    for name, (value, accepted) in options.items():
        if not any(value is each or (type(value) is type(each) and value == each) for each in accepted):
            listed = " or ".join(map(repr, accepted))
            raise NotImplementedError(
                f"{operation}: {name} must be {listed}, the rest is not supported; got {value!r}"
            )
