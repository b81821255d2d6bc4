"""Tensors from data: copied by `tensor`, shared where that can be by `as_tensor` and `asarray`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from tinynet import _tensor
from tinynet._check import refuse
from tinynet._tensor import Tensor, as_dtype, from_numpy
from tinynet.creation.options import check_options
from tinynet.errors import ArgumentError


def device(type: str, index: int | None = None) -> str:
    """The name of a device: ``"cpu"``, the only one there is.

    Parameters
    ----------
    type : str
        "cpu", or "cpu:0".
    index : int, optional
        0, if given.

    Returns
    -------
    str
        "cpu", which every argument `device` and `Tensor.to` accept.

    Raises
    ------
    NotImplementedError
        For another device.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.zeros(2).to(tn.device("cpu"))
    tensor([0., 0.])
    """
    refuse("device", type=(type, ("cpu", "cpu:0")), index=(index, (None, 0)))
    return "cpu"


def tensor(
    data: Tensor | ArrayLike,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    *,
    device: str | None = None,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor, a leaf, with a copy of `data`.

    Parameters
    ----------
    data : array_like or Tensor
        Numbers, nested lists, an ndarray of any layout and byte order, or a Tensor.
    dtype : dtype, optional
        By default that of an array or tensor; float32 for Python floats, int64 for ints, bool for bools.
    requires_grad : bool, default False
        Whether `backward` shall compute a gradient for it.
    device : None or "cpu"
    pin_memory : bool, default False
        True is not supported.

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        For a dtype that tinynet does not have (complex, float16, objects, strings).
    ShapeError
        If nested sequences have different lengths.
    NotImplementedError
        For another device or pinned memory.

    See Also
    --------
    from_numpy : shares the memory of an array.
    as_tensor : shares memory where it can.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    >>> tn.tensor(3, dtype=tn.float64, requires_grad=True)
    tensor(3., dtype=float64, requires_grad=True)
    """
    if device is not None or pin_memory:
        check_options("tensor", device, {"pin_memory": pin_memory})
    return _tensor.tensor(data, dtype, requires_grad)


def as_tensor(data: Tensor | ArrayLike, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """`data` as a tensor: a tensor itself, an array as a tensor that shares its memory, else a copy.

    Parameters
    ----------
    data : array_like or Tensor
        As for `tensor`.
    dtype : dtype, optional
        If it is another than that of `data`, the result is a copy; a tensor's gradient goes through.
    device : None or "cpu"

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError, ShapeError, NotImplementedError
        As for `tensor`.

    Examples
    --------
    >>> import numpy as np
    >>> import tinynet as tn
    >>> a = np.zeros(2)
    >>> t = tn.as_tensor(a)
    >>> a[0] = 5
    >>> t
    tensor([5., 0.], dtype=float64)
    >>> tn.as_tensor(t) is t
    True
    """
    check_options("as_tensor", device, {})
    if isinstance(data, Tensor):
        return data if dtype is None or as_dtype("as_tensor", dtype) == data.dtype else data.to(dtype)
    return _shared(data, dtype)


def asarray(
    obj: Tensor | ArrayLike,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`obj` as a tensor outside the graph, which shares its memory if it can and may.

    Parameters
    ----------
    obj : array_like or Tensor
        As for `tensor`.
    dtype : dtype, optional
        By default that of `obj`, as for `tensor`.
    device : None or "cpu"
    copy : bool, optional
        True: always copy.  False: raise where that is needed.  None: copy where that is needed.
    requires_grad : bool, default False
        Whether the result, a leaf, shall have a gradient.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If a copy is needed and `copy` is False.
    DTypeError, ShapeError, NotImplementedError
        As for `tensor`.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.ones(2, requires_grad=True)
    >>> tn.asarray(x, copy=True)
    tensor([1., 1.])
    """
    check_options("asarray", device, {})
    if copy:
        return _tensor.tensor(obj, dtype, requires_grad)
    array = obj.detach().numpy() if isinstance(obj, Tensor) else obj
    shared = _shared(array, dtype)
    if copy is False and not (isinstance(array, np.ndarray) and np.shares_memory(shared.numpy(), array)):
        raise ArgumentError("asarray: copy must be True or None where memory cannot be shared; got False")
    return shared.requires_grad_() if requires_grad else shared


def _shared(data: ArrayLike, dtype: DTypeLike | None) -> Tensor:
    if isinstance(data, np.ndarray) and data.dtype.isnative and data.flags.aligned:
        same = dtype is None or as_dtype("tensor", dtype) == data.dtype
        return from_numpy(data) if same else _tensor.tensor(data, dtype)
    return _tensor.tensor(data, dtype)
