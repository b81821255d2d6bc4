"""Tensors of numbers in a regular order: `arange`, `linspace`, and the unit matrix."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from tinynet._check import integer
from tinynet._tensor import Tensor, as_dtype
from tinynet.creation.options import Unsupported, check_options, converted, number
from tinynet.errors import ArgumentError

if TYPE_CHECKING:
    from typing_extensions import Unpack


def arange(
    start: float | Tensor,
    end: float | Tensor | None = None,
    step: float | Tensor = 1,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """The numbers start, start + step, start + 2 step, ... before `end`; ``arange(end)`` starts at 0.

    There are ceil((end - start) / step) of them.

    Parameters
    ----------
    start, end : number or Tensor of one element
        Finite.  `end` itself is not reached.
    step : number or Tensor of one element, default 1
        Finite, not 0, and of the sign of end - start.
    dtype : dtype, optional
        By default int64 if all three are ints, else float32.
    device : None or "cpu"
    requires_grad : bool, default False
    out, layout, pin_memory : None, None, False
        Other values are not supported.

    Returns
    -------
    Tensor
        Of one axis.

    Raises
    ------
    ArgumentError
        If `step` is 0 or leads away from `end`, or a number is not finite.
    DTypeError
        For what is no number, or a dtype that tinynet does not have.
    NotImplementedError
        For an option that is not supported.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.arange(5)
    tensor([0, 1, 2, 3, 4])
    >>> tn.arange(1, 0, -0.25)
    tensor([1.  , 0.75, 0.5 , 0.25])
    """
    check_options("arange", device, unsupported)
    if end is None:
        start, end = 0, start
    first, last, by = (
        number("arange", name, value) for name, value in (("start", start), ("end", end), ("step", step))
    )
    if by == 0:
        raise ArgumentError(f"arange: step must not be 0; got {step!r}")
    if (last - first) * by < 0:
        raise ArgumentError(f"arange: step must lead from start to end; got {first}, {last}, {by}")
    exact = all(isinstance(n, int) for n in (first, last, by))
    target = as_dtype("arange", (np.int64 if exact else np.float32) if dtype is None else dtype)
    if exact:
        return converted(np.arange(first, last, by), target, requires_grad)
    return converted(first + by * np.arange(math.ceil((last - first) / by)), target, requires_grad)


def linspace(
    start: float | Tensor,
    end: float | Tensor,
    steps: int,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, both of them included.

    Parameters
    ----------
    start, end : number or Tensor of one element
        Finite.
    steps : int
        At least 0; 1 gives `start` alone.
    dtype : dtype, default float32
        Of an integer dtype the numbers are rounded towards zero.
    device : None or "cpu"
    requires_grad : bool, default False
    out, layout, pin_memory : None, None, False
        Other values are not supported.

    Returns
    -------
    Tensor
        Of shape (steps,).

    Raises
    ------
    ArgumentError
        If `steps` is negative or a number not finite.
    DTypeError
        For what is no number, or a dtype that tinynet does not have.
    NotImplementedError
        For an option that is not supported.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.linspace(0, 1, 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    check_options("linspace", device, unsupported)
    count = integer("linspace", "steps", steps, 0)
    first, last = number("linspace", "start", start), number("linspace", "end", end)
    target = as_dtype("linspace", np.float32 if dtype is None else dtype)
    return converted(np.linspace(first, last, count), target, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """A matrix with ones on the diagonal and zeros elsewhere.

    Parameters
    ----------
    n : int
        Number of rows, at least 0.
    m : int, optional
        Number of columns, by default `n`.
    dtype : dtype, default float32
    device : None or "cpu"
    requires_grad : bool, default False
    out, layout, pin_memory : None, None, False
        Other values are not supported.

    Returns
    -------
    Tensor
        Of shape (n, m).

    Raises
    ------
    ArgumentError, DTypeError
        If a size is no int of at least 0, or the dtype is none that tinynet has.
    NotImplementedError
        For an option that is not supported.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.eye(2, 3)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    check_options("eye", device, unsupported)
    rows = integer("eye", "n", n, 0)
    columns = rows if m is None else integer("eye", "m", m, 0)
    return converted(
        np.eye(rows, columns), as_dtype("eye", np.float32 if dtype is None else dtype), requires_grad
    )
