"""Tensors of random numbers, drawn from a `Generator`, the default one if none is given.

Every call is one draw: what it gives is a function of the generator's seed and of how many draws came before,
and the next draw does not depend on how many numbers this one took.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinynet import _tensor
from tinynet._check import integer
from tinynet._tensor import Tensor, as_dtype
from tinynet.creation.options import (
    Unsupported,
    check_options,
    converted,
    float_dtype,
    laid_as,
    like,
    sizes_of,
)
from tinynet.errors import ArgumentError
from tinynet.random import Generator, draw

if TYPE_CHECKING:
    from typing_extensions import Unpack


def _uniform(
    sizes: tuple[int, ...], dtype: np.dtype[Any], generator: Generator | None, requires_grad: bool
) -> Tensor:
    t = _tensor.empty(sizes, dtype)
    draw(generator).random(dtype=dtype.type, out=t.numpy())
    return t.requires_grad_() if requires_grad else t


def _normal(
    sizes: tuple[int, ...], dtype: np.dtype[Any], generator: Generator | None, requires_grad: bool
) -> Tensor:
    t = _tensor.empty(sizes, dtype)
    draw(generator).standard_normal(dtype=dtype.type, out=t.numpy())
    return t.requires_grad_() if requires_grad else t


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """A tensor of numbers drawn uniformly from [0, 1).

    Parameters
    ----------
    *size : int
        Sizes of the axes, or one tuple of them; none for a scalar.
    generator : Generator, optional
        By default the one that `manual_seed` seeds.
    dtype : {float32, float64}, default float32
    device : None or "cpu"
    requires_grad : bool, default False
    out, layout, pin_memory : None, None, False
        Other values are not supported.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If a size is no int of at least 0.
    DTypeError
        For another dtype.
    NotImplementedError
        For an option that is not supported.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.rand(1000)
    >>> 0 <= x.min().item() < 0.1 and 0.9 < x.max().item() < 1
    True
    """
    check_options("rand", device, unsupported)
    return _uniform(sizes_of("rand", size), float_dtype("rand", dtype), generator, requires_grad)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """A tensor of numbers drawn from the standard normal distribution.

    Parameters
    ----------
    *size : int
        Sizes of the axes, or one tuple of them; none for a scalar.
    generator : Generator, optional
        By default the one that `manual_seed` seeds.
    dtype : {float32, float64}, default float32
    device : None or "cpu"
    requires_grad : bool, default False
    out, layout, pin_memory : None, None, False
        Other values are not supported.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If a size is no int of at least 0.
    DTypeError
        For another dtype.
    NotImplementedError
        For an option that is not supported.

    Examples
    --------
    >>> import tinynet as tn
    >>> x, y = (tn.randn(3, generator=tn.Generator(5)) for _ in range(2))
    >>> x.tolist() == y.tolist()
    True
    """
    check_options("randn", device, unsupported)
    return _normal(sizes_of("randn", size), float_dtype("randn", dtype), generator, requires_grad)


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """Numbers drawn uniformly from [0, 1), in the shape, dtype and layout of a tensor.

    Parameters
    ----------
    input : Tensor
        float32 or float64, unless `dtype` is given.
    generator : Generator, optional
        By default the one that `manual_seed` seeds.
    dtype : {float32, float64}, optional
        If not that of `input`.
    device : None or "cpu"
    requires_grad : bool, default False
    layout, memory_format, pin_memory : None, None, False
        Other values are not supported.

    Returns
    -------
    Tensor

    See Also
    --------
    rand : what it raises.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.rand_like(tn.zeros(2, 3)).shape
    (2, 3)
    """
    check_options("rand_like", device, unsupported)
    shape, target = like("rand_like", input, dtype)
    return laid_as(input, _uniform(shape, float_dtype("rand_like", target), generator, False), requires_grad)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """Numbers drawn from the standard normal distribution, in the shape, dtype and layout of a tensor.

    Parameters
    ----------
    input : Tensor
        float32 or float64, unless `dtype` is given.
    generator : Generator, optional
        By default the one that `manual_seed` seeds.
    dtype : {float32, float64}, optional
        If not that of `input`.
    device : None or "cpu"
    requires_grad : bool, default False
    layout, memory_format, pin_memory : None, None, False
        Other values are not supported.

    Returns
    -------
    Tensor

    See Also
    --------
    randn : what it raises.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.randn_like(tn.zeros(2, 3)).shape
    (2, 3)
    """
    check_options("randn_like", device, unsupported)
    shape, target = like("randn_like", input, dtype)
    return laid_as(input, _normal(shape, float_dtype("randn_like", target), generator, False), requires_grad)


def _integers(
    op: str, low: int, high: int, sizes: tuple[int, ...], dtype: np.dtype[Any], generator: Generator | None
) -> NDArray[Any]:
    first, end = integer(op, "low", low), integer(op, "high", high)
    if first >= end:
        raise ArgumentError(f"{op}: high must be greater than low = {first}; got {end}")
    bounds = np.iinfo(dtype if dtype.kind in "iu" else np.int64)
    if not bounds.min <= first < end <= int(bounds.max) + 1:
        raise ArgumentError(f"{op}: low and high - 1 must fit into {dtype}; got {first} and {end - 1}")
    return draw(generator).integers(first, end, sizes)


def randint(
    low: int = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """Integers drawn uniformly from [low, high): ``randint(high, size)`` or ``randint(low, high, size)``.

    Parameters
    ----------
    low : int, default 0
        The least.
    high : int
        One above the greatest.
    size : tuple of int
        Sizes of the axes.
    generator : Generator, optional
        By default the one that `manual_seed` seeds.
    dtype : dtype, default int64
    device : None or "cpu"
    requires_grad : bool, default False
    out, layout, pin_memory : None, None, False
        Other values are not supported.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If `high` is not greater than `low`, a bound does not fit the dtype, or a size is no int of at
        least 0.
    DTypeError
        If a bound is no int, or the dtype none that tinynet has.
    NotImplementedError
        For an option that is not supported.

    Examples
    --------
    >>> import tinynet as tn
    >>> sorted(set(tn.randint(1, 7, (1000,)).tolist()))
    [1, 2, 3, 4, 5, 6]
    """
    check_options("randint", device, unsupported)
    if isinstance(high, (tuple, list)) and size is None:  # randint(high, size)
        low, high, size = 0, low, high
    elif high is None:  # randint(high, size=...)
        low, high = 0, low
    if not isinstance(size, (tuple, list)):
        raise ArgumentError(f"randint: size must be a tuple of int; got {size!r}")
    target = as_dtype("randint", np.int64 if dtype is None else dtype)
    numbers = _integers("randint", low, high, sizes_of("randint", (size,)), target, generator)
    return converted(numbers, target, requires_grad)


def randint_like(
    input: Tensor,
    low: int = 0,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """Integers drawn uniformly from [low, high), in the shape, dtype and layout of a tensor.

    ``randint_like(input, high)`` draws from [0, high).

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    low : int, default 0
        The least; without `high`, one above the greatest.
    high : int, optional
        One above the greatest.
    generator : Generator, optional
        By default the one that `manual_seed` seeds.
    dtype : dtype, optional
        If not that of `input`.
    device : None or "cpu"
    requires_grad : bool, default False
    layout, memory_format, pin_memory : None, None, False
        Other values are not supported.

    Returns
    -------
    Tensor

    See Also
    --------
    randint : what it raises.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.randint_like(tn.zeros(2, 3), 10).dtype
    dtype('float32')
    """
    check_options("randint_like", device, unsupported)
    shape, target = like("randint_like", input, dtype)
    if high is None:
        low, high = 0, low
    drawn = converted(_integers("randint_like", low, high, shape, target, generator), target, False)
    return laid_as(input, drawn, requires_grad)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """The numbers 0 to n - 1 in random order; all orders are equally likely.

    Parameters
    ----------
    n : int
        How many, at least 0.
    generator : Generator, optional
        By default the one that `manual_seed` seeds.
    dtype : dtype, default int64
    device : None or "cpu"
    requires_grad : bool, default False
    out, layout, pin_memory : None, None, False
        Other values are not supported.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If `n` is no int of at least 0.
    DTypeError
        For a dtype that tinynet does not have.
    NotImplementedError
        For an option that is not supported.

    Examples
    --------
    >>> import tinynet as tn
    >>> sorted(tn.randperm(5).tolist())
    [0, 1, 2, 3, 4]
    """
    check_options("randperm", device, unsupported)
    target = as_dtype("randperm", np.int64 if dtype is None else dtype)
    return converted(draw(generator).permutation(sizes_of("randperm", (n,))[0]), target, requires_grad)
