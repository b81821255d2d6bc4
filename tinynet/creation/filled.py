"""Tensors filled with one value, or with none."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from tinynet import _tensor
from tinynet._tensor import Tensor, as_dtype
from tinynet.creation.options import Unsupported, check_options, like, sizes_of
from tinynet.errors import ArgumentError, DTypeError

if TYPE_CHECKING:
    from typing_extensions import Unpack


def _filled(
    op: str, sizes: tuple[int, ...], value: Any, dtype: DTypeLike | None, requires_grad: bool
) -> Tensor:
    target = as_dtype(op, np.float32 if dtype is None else dtype)
    return _set(_tensor.empty(sizes, target), value, requires_grad)


def _set(t: Tensor, value: Any, requires_grad: bool) -> Tensor:
    if value is not None:
        t.numpy()[...] = value
    return t.requires_grad_() if requires_grad else t


def _fitting(op: str, value: Any, target: np.dtype[Any]) -> Any:
    """A number as the dtype holds it: infinite beyond its range, as an integer without its fraction."""
    if isinstance(value, Tensor):
        value = value.item()
    if not isinstance(value, (int, float, np.integer, np.floating, np.bool_)):
        raise DTypeError(f"{op}: fill_value must be a number; got {value!r}")
    try:
        with np.errstate(over="ignore"):
            return np.full((), int(value) if target.kind in "iu" else value, target)
    except (OverflowError, ValueError):
        raise ArgumentError(f"{op}: fill_value must fit into {target}; got {value!r}") from None


def full(
    size: int | Sequence[int],
    fill_value: float | Tensor,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """A tensor filled with one value.

    Parameters
    ----------
    size : int or tuple of int
        Sizes of the axes.
    fill_value : number or Tensor of one element
        The value.
    dtype : dtype, optional
        By default bool, int64 or float32, as the value is.
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
        If a size is no int of at least 0, or the value does not fit into the dtype.
    DTypeError
        If the value is no number, or the dtype none that tinynet has.
    NotImplementedError
        For an option that is not supported.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.full((2, 3), 7)
    tensor([[7, 7, 7],
            [7, 7, 7]])
    """
    check_options("full", device, unsupported)
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    if dtype is None:
        exact = np.int64 if isinstance(value, numbers.Integral) else np.float32
        dtype = np.bool_ if isinstance(value, (bool, np.bool_)) else exact
    target = as_dtype("full", dtype)
    return _filled("full", sizes_of("full", (size,)), _fitting("full", value, target), target, requires_grad)


def zeros(
    *size: Any,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """A tensor of zeros.

    Parameters
    ----------
    *size : int
        Sizes of the axes, or one tuple of them; none for a scalar.
    dtype : dtype, default float32
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
        For a dtype that tinynet does not have.
    NotImplementedError
        For an option that is not supported.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    check_options("zeros", device, unsupported)
    return _filled("zeros", sizes_of("zeros", size), 0, dtype, requires_grad)


def ones(
    *size: Any,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """A tensor of ones.

    Parameters
    ----------
    *size : int
        Sizes of the axes, or one tuple of them; none for a scalar.
    dtype : dtype, default float32
    device : None or "cpu"
    requires_grad : bool, default False
    out, layout, pin_memory : None, None, False
        Other values are not supported.

    Returns
    -------
    Tensor

    See Also
    --------
    zeros : what it raises.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.ones(2, dtype=tn.int64)
    tensor([1, 1])
    """
    check_options("ones", device, unsupported)
    return _filled("ones", sizes_of("ones", size), 1, dtype, requires_grad)


def empty(
    *size: Any,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """A tensor whose values are not set: they may be anything.

    Parameters
    ----------
    *size : int
        Sizes of the axes, or one tuple of them; none for a scalar.
    dtype : dtype, default float32
    device : None or "cpu"
    requires_grad : bool, default False
    out, layout, pin_memory : None, None, False
        Other values are not supported.

    Returns
    -------
    Tensor

    See Also
    --------
    zeros : what it raises.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.empty(2, 0).shape
    (2, 0)
    """
    check_options("empty", device, unsupported)
    return _filled("empty", sizes_of("empty", size), None, dtype, requires_grad)


def zeros_like(
    input: Tensor,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """Zeros in the shape, dtype and layout of a tensor.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
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
    zeros : what it raises.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.zeros_like(tn.tensor([1, 2]))
    tensor([0, 0])
    """
    check_options("zeros_like", device, unsupported)
    target = like("zeros_like", input, dtype)[1]
    return _set(_tensor.empty_like(input, target), 0, requires_grad)


def ones_like(
    input: Tensor,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """Ones in the shape, dtype and layout of a tensor.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
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
    zeros : what it raises.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.ones_like(tn.tensor([1, 2]))
    tensor([1, 1])
    """
    check_options("ones_like", device, unsupported)
    target = like("ones_like", input, dtype)[1]
    return _set(_tensor.empty_like(input, target), 1, requires_grad)


def empty_like(
    input: Tensor,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """A tensor in the shape, dtype and layout of another, whose values are not set.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
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
    zeros : what it raises.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.empty_like(tn.tensor([1, 2]), dtype=tn.float64).dtype
    dtype('float64')
    """
    check_options("empty_like", device, unsupported)
    target = like("empty_like", input, dtype)[1]
    return _set(_tensor.empty_like(input, target), None, requires_grad)


def full_like(
    input: Tensor,
    fill_value: float | Tensor,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """One value in the shape, dtype and layout of a tensor.

    Parameters
    ----------
    input : Tensor
        Of any dtype.
    fill_value : number or Tensor of one element
        The value.
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
    full : what it raises.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.full_like(tn.zeros(3), 0.5)
    tensor([0.5, 0.5, 0.5])
    """
    check_options("full_like", device, unsupported)
    target = like("full_like", input, dtype)[1]
    return _set(_tensor.empty_like(input, target), _fitting("full_like", fill_value, target), requires_grad)
