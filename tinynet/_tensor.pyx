"""Tensor: an array that can be differentiated through, with its conversions and reductions.

Its bases are `Forms` (shapes, indexing, products; _forms.pyx), `Operators` (what works element by element; _operators.pyx) and
`Variable` (an array and its place in the graph; _variable.pyx).
"""

from collections import namedtuple

from numpy cimport PyArray_SIZE, import_array, ndarray

from tinynet._forms cimport Forms
from tinynet._variable cimport FLOATS, Variable, form, run, values, wrap
from tinynet.ops.checks cimport integer_of, quiet
from tinynet.ops.layout cimport Map, is_nhwc
from tinynet.ops.memory cimport own_copy

import numpy as np

from tinynet import _variable
from tinynet._check import refuse
from tinynet._format import FORMATS, channels_last, contiguous_format, preserve_format
from tinynet._grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from tinynet._variable import apply, arrays_of, as_dtype, empty, empty_like, from_dlpack, from_numpy, grads_of, tensor
from tinynet.errors import ArgumentError, ShapeError
from tinynet.ops import arithmetic, indexing, reduction
from tinynet.ops.softmax import LogSoftmax
from tinynet.ops.softmax_output import Softmax

import_array()

__all__ = [
    "Tensor", "ValuesIndices", "apply", "arrays_of", "as_dtype", "empty", "empty_like", "enable_grad", "from_dlpack",
    "from_numpy", "grads_of", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled", "tensor",
]

ValuesIndices = namedtuple("ValuesIndices", ("values", "indices"))     # of max, min, sort, topk along an axis

cdef dict TYPE_NAMES = {
    "float32": "Float", "float64": "Double", "int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte",
    "uint32": "UInt32", "bool": "Bool",
}


# ---- arguments --------------------------------------------------------------------------------------------------------

cdef object over(str op, object dim, object axis):
    """The axes to reduce, under either name."""
    if axis is None:
        return dim
    if dim is not None:
        raise ArgumentError(f"{op}: dim must not be given twice; got dim={dim!r} and axis={axis!r}")
    return axis


cdef object one_axis(str op, object dim, str instead=""):
    """dim, which must be one integer."""
    if isinstance(dim, (tuple, list)):
        raise ArgumentError(f"{op}: dim must be one integer; got {dim!r}{instead}")
    if isinstance(dim, Variable):
        raise NotImplementedError(f"{op}: dim must be one integer, another tensor is not supported (use maximum or minimum)")
    return dim


cdef int on_cpu(str op, object device) except -1:
    """The one device there is."""
    if device is not None:
        refuse(op, device=("cpu" if device == "cpu:0" else device, (None, "cpu")))
    return 0


cdef str order_of(str op, Variable t, object memory_format):
    """The order of axes that a memory format means, as `Clone` has it."""
    if memory_format not in FORMATS:
        raise NotImplementedError(f"{op}: memory_format must be one of {', '.join(map(str, FORMATS))}, "
                                  f"the rest is not supported; got {memory_format!r}")
    if memory_format is channels_last and t.ndim != 4:
        raise ShapeError(f"{op}: a tensor must have shape (N, C, H, W) for {memory_format}; got {t.shape}")
    return "C" if memory_format is contiguous_format else "NHWC" if memory_format is channels_last else "K"


cdef bint lies_in(str order, ndarray x):
    """Whether the axes of x lie in this order, without gaps."""
    cdef Map m
    return (is_nhwc(x, &m) and m.ld == m.c) if order == "NHWC" else bool((<object>x).flags.c_contiguous)


cdef bint is_device(object name):
    """Whether a string names a device rather than a dtype."""
    try:
        np.dtype(name)
    except TypeError:
        return name.split(":")[0] in ("cpu", "cuda", "mps", "xpu", "meta")
    return False


cdef object spread_of(Variable t, str op, object dim, object unbiased, bint keepdim, object correction, object axis):
    """var and std."""
    if isinstance(dim, (bool, np.bool_)) and unbiased is None:           # x.var(False)
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise ArgumentError(f"{op}: unbiased and correction must not be given together; got {unbiased!r} and {correction!r}")
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    return run(reduction.Var(over(op, dim, axis), keepdim, correction, op == "std"), (t,))


cdef object extremum(Variable t, object dim, bint keepdim, bint largest):
    """max and min."""
    if dim is None:
        return run(reduction.Extremum(None, keepdim, largest), (t,))
    one_axis("max" if largest else "min", dim, f" (use {'amax' if largest else 'amin'})")
    op = reduction.Extremum(dim, keepdim, largest, True)
    y = run(op, (t,))
    return ValuesIndices(y, wrap(own_copy(op.index), None, 0))


cdef object arg_extremum(Variable t, object dim, bint keepdim, object where, str op):
    """argmax and argmin."""
    cdef ndarray a = values(t)
    if one_axis(op, dim) is not None:
        dim = (reduction.axes_of(op, dim, t.ndim) or (None,))[0]
    if PyArray_SIZE(a) == 0 and (dim is None or t.shape[dim] == 0):
        raise ShapeError(f"{op}: the tensor must have at least one element along dim; got shape {t.shape}")
    return wrap(own_copy(np.asarray(where(a, axis=dim, keepdims=keepdim), np.int64)), None, 0)


cdef object truth(Variable t, str op, object reduce, object dim, bint keepdim):
    """any and all: uint8 for uint8, else bool."""
    cdef ndarray a = values(t)
    axes = reduction.axes_of(op, dim, t.ndim) or None if t.ndim else None
    y = np.asarray(reduce(a, axis=axes, keepdims=keepdim))
    return wrap(own_copy(y.astype(np.uint8) if t.dtype == np.uint8 else y), None, 0)


cdef ndarray order(Variable t, str op, object dim, bint descending):
    """The indices that sort along dim, int64; equal elements stay in their order, and NaN counts as the largest."""
    at = reduction.axes_of(op, one_axis(op, dim), t.ndim)
    return sorting(values(t), at[0], descending) if at else np.zeros((), np.int64)


cdef object sorting(object a, int at, bint descending):
    if not descending:
        return np.argsort(a, axis=at, kind="stable")
    # Sorted backwards, equal elements come in reverse order: hence backwards before and after.
    return a.shape[at] - 1 - np.flip(np.argsort(np.flip(a, at), axis=at, kind="stable"), at)


cdef object first_in_order(object a, object k, int at, bint largest):
    """The indices of the k largest or smallest along axis `at`, in order."""
    n = a.shape[at]
    if 4 * k >= n or k == 0:
        return sorting(a, at, largest)[(slice(None),) * at + (slice(k),)]
    part = np.argpartition(a, n - k if largest else k, at)       # O(n), then only k are sorted
    part = part[(slice(None),) * at + (slice(n - k, None) if largest else slice(k),)]
    return np.take_along_axis(part, sorting(np.take_along_axis(a, part, at), at, largest), at)


cdef object fresh(Variable like, str op, tuple sizes, object value, object dtype, object device, object requires_grad):
    """A new tensor filled with `value` (None: with anything), of the dtype of `like` unless another is given."""
    on_cpu(op, device)
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    if any([isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0 for n in sizes]):
        raise ArgumentError(f"{op}: sizes must be integers of at least 0; got {sizes}")
    y = empty(sizes, as_dtype(op, like.dtype if dtype is None else dtype))
    if value is not None:
        y.fill_(value)
    return y.requires_grad_() if requires_grad else y


# ---- Tensor -----------------------------------------------------------------------------------------------------------

cdef class Tensor(Forms):
    """An n-dimensional array that can be differentiated through.

    Make one with `tinynet.tensor`, `tinynet.from_numpy`, `tinynet.zeros` and their like.  ``Tensor(data, requires_grad)``
    itself shares the memory of `data` and is what subclasses build on.

    Parameters
    ----------
    data : Tensor or ndarray
        Shared, not copied.
    requires_grad : bool, default False
        Whether `backward` shall compute a gradient for this tensor, a leaf.  Needs float32 or float64.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> (x[0] @ x).sum().backward()
    >>> x.grad.tolist()
    [[4.0, 8.0], [2.0, 2.0]]
    """

    # -- conversions --

    def clone(self, *, memory_format=preserve_format):
        """A copy with memory of its own; the gradient goes through.  Its axes lie as `memory_format` says."""
        return run(arithmetic.Clone(order_of("clone", self, memory_format)), (self,))

    def contiguous(self, memory_format=contiguous_format):
        """The tensor in the order of axes that `memory_format` names: itself, or a copy through which the gradient goes."""
        if memory_format is preserve_format:
            raise ArgumentError(f"contiguous: memory_format must be {contiguous_format} or {channels_last}; got {memory_format}")
        order = order_of("contiguous", self, memory_format)
        return self if lies_in(order, form(self)) else run(arithmetic.Clone(order), (self,))

    def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False, memory_format=preserve_format):
        """The tensor in another dtype; itself if it has it, unless `copy`.  Between floats the gradient goes through.

        ``to(dtype)``, ``to("cpu")``, ``to("cpu", dtype)`` and ``to(other)``, for another tensor's dtype, are accepted.
        There is one device; `non_blocking` changes nothing.  The axes of the result lie as `memory_format` says.
        """
        order_of("to", self, memory_format)
        if dtype is not None:
            dtype = as_dtype("to", dtype)
        for arg in args:
            if isinstance(arg, Variable):
                dtype = (<Variable>arg).dtype
            elif isinstance(arg, str) and is_device(arg):
                device = arg
            elif dtype is None:
                dtype = as_dtype("to", arg)
            else:
                raise ArgumentError(f"to: dtype must not be given twice; got {dtype} and {arg!r}")
        if not args and dtype is None and device is None and not copy and memory_format is preserve_format:
            raise ArgumentError("to: dtype or device must be given")
        on_cpu("to", device)
        target = self.dtype if dtype is None else dtype
        if target == self.dtype:
            y = self.clone() if copy else self
        elif self.node is not None and target in FLOATS:
            y = run(arithmetic.Cast(target), (self,))
        else:
            with quiet():
                y = wrap(own_copy(np.asarray((<object>values(self)).astype(target))), None, 0)
        return y if memory_format is preserve_format else y.contiguous(memory_format)

    def type(self, dtype=None):
        """The tensor in another dtype; without one, the name of its own type, such as ``'tinynet.FloatTensor'``."""
        return f"tinynet.{TYPE_NAMES[self.dtype.name]}Tensor" if dtype is None else self.to(dtype)

    def type_as(self, other):
        """The tensor in the dtype of another one, `other`."""
        return self.to(other.dtype)

    def float(self):
        """The tensor in float32."""
        return self.to(np.float32)

    def double(self):
        """The tensor in float64."""
        return self.to(np.float64)

    def long(self):
        """The tensor in int64."""
        return self.to(np.int64)

    def int(self):
        """The tensor in int32."""
        return self.to(np.int32)

    def bool(self):
        """The tensor in bool: whether each element differs from 0."""
        return self.to(np.bool_)

    def half(self):
        """Not supported: there is no float16."""
        raise NotImplementedError("half: float16 is not supported; use float32")

    def cpu(self):
        """The tensor itself: there is one device."""
        return self

    def cuda(self, device=None):
        """Not supported: there is one device, the CPU."""
        raise NotImplementedError("cuda: tinynet computes on the CPU; the only device is 'cpu'")

    # -- what it is in memory --

    @property
    def device(self):
        """Where the elements lie: ``'cpu'``."""
        return "cpu"

    def is_floating_point(self):
        """Whether the dtype is float32 or float64."""
        return self.dtype in FLOATS

    def nelement(self):
        """The number of elements: `numel`."""
        return self.numel()

    def element_size(self):
        """The bytes of one element."""
        return self.dtype.itemsize

    def stride(self, dim=None):
        """The steps in memory from one index to the next, in elements: of each axis, or of the axis `dim`."""
        steps = tuple([s // self.dtype.itemsize for s in (<object>form(self)).strides])
        return steps if dim is None else steps[reduction.axes_of("stride", one_axis("stride", dim), self.ndim)[0]]

    def is_contiguous(self, memory_format=contiguous_format):
        """Whether the elements lie in C order, or that of `memory_format`, without gaps."""
        if memory_format is channels_last and self.ndim != 4:
            return False
        return lies_in("C" if memory_format is preserve_format else order_of("is_contiguous", self, memory_format), form(self))

    # -- new tensors of the same dtype --

    def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
        """A copy of `data`, in this tensor's dtype by default; `device` and `requires_grad` as in `tinynet.tensor`."""
        on_cpu("new_tensor", device)
        return tensor(data, self.dtype if dtype is None else dtype, requires_grad)

    def new_zeros(self, *size, dtype=None, device=None, requires_grad=False):
        """Zeros of shape `size`, in this tensor's dtype by default; `device` and `requires_grad` as in `tinynet.zeros`."""
        return fresh(self, "new_zeros", size, 0, dtype, device, requires_grad)

    def new_ones(self, *size, dtype=None, device=None, requires_grad=False):
        """Ones of shape `size`, in this tensor's dtype by default; `device` and `requires_grad` as in `tinynet.ones`."""
        return fresh(self, "new_ones", size, 1, dtype, device, requires_grad)

    def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False):
        """`fill_value` in shape `size`, in this tensor's dtype by default; `device` and `requires_grad` as in `tinynet.full`."""
        return fresh(self, "new_full", (size,), fill_value, dtype, device, requires_grad)

    def new_empty(self, *size, dtype=None, device=None, requires_grad=False):
        """Unset values of shape `size`, in this tensor's dtype by default; `device` and `requires_grad` as in `tinynet.empty`."""
        return fresh(self, "new_empty", size, None, dtype, device, requires_grad)

    # -- reductions: `dim` is an axis, several, or all; reduced axes stay with size 1 if `keepdim`; `axis` is an alias of `dim` --

    def sum(self, dim=None, keepdim=False, *, dtype=None, axis=None):
        """The sum over `dim`; int64 for integers and bool, unless `dtype` is given, to which elements are converted first."""
        x = self if dtype is None else self.to(dtype)
        y = run(reduction.Sum(over("sum", dim, axis), keepdim), (x,))
        return y if dtype is None else y.to(dtype)

    def mean(self, dim=None, keepdim=False, *, dtype=None, axis=None):
        """The mean over `dim` of floats, or of elements converted to `dtype`."""
        return run(reduction.Mean(over("mean", dim, axis), keepdim), (self if dtype is None else self.to(dtype),))

    def prod(self, dim=None, keepdim=False, *, dtype=None, axis=None):
        """The product over `dim`; int64 for integers and bool, unless `dtype` is given, to which elements are converted first."""
        x = self if dtype is None else self.to(dtype)
        y = run(reduction.Prod(over("prod", dim, axis), keepdim), (x,))
        return y if dtype is None else y.to(dtype)

    def var(self, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None):
        """The variance over `dim`: sum (x - mean)^2 / (n - correction).

        `unbiased` True means correction 1, which is the default, False 0.
        """
        return spread_of(self, "var", dim, unbiased, keepdim, correction, axis)

    def std(self, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None):
        """The root of the variance over `dim`; its gradient is 0 where it is 0."""
        return spread_of(self, "std", dim, unbiased, keepdim, correction, axis)

    def max(self, dim=None, keepdim=False, *, axis=None):
        """The largest element, or the largest along `dim` with its index: (values, indices).  NaN counts as the largest."""
        return extremum(self, over("max", dim, axis), keepdim, True)

    def min(self, dim=None, keepdim=False, *, axis=None):
        """The smallest element, or the smallest along `dim` with its index: (values, indices).  NaN counts as the smallest."""
        return extremum(self, over("min", dim, axis), keepdim, False)

    def amax(self, dim=None, keepdim=False, *, axis=None):
        """The largest element over `dim`; ties share the gradient."""
        return run(reduction.Extremum(over("amax", dim, axis), keepdim), (self,))

    def amin(self, dim=None, keepdim=False, *, axis=None):
        """The smallest element over `dim`; ties share the gradient."""
        return run(reduction.Extremum(over("amin", dim, axis), keepdim, False), (self,))

    def argmax(self, dim=None, keepdim=False, *, axis=None):
        """The index of the first largest element (of the flattened tensor without `dim`), int64."""
        return arg_extremum(self, over("argmax", dim, axis), keepdim, np.argmax, "argmax")

    def argmin(self, dim=None, keepdim=False, *, axis=None):
        """The index of the first smallest element (of the flattened tensor without `dim`), int64."""
        return arg_extremum(self, over("argmin", dim, axis), keepdim, np.argmin, "argmin")

    def softmax(self, dim):
        """exp(x) / (sum of exp(x) along `dim`); see `nn.functional.softmax`."""
        return run(Softmax(dim), (self,))

    def log_softmax(self, dim):
        """x - log(sum of exp(x) along `dim`); see `nn.functional.log_softmax`."""
        return run(LogSoftmax(dim), (self,))

    def logsumexp(self, dim=None, keepdim=False, *, axis=None):
        """log sum exp(x) over `dim`, without overflow; integers become float32."""
        x = self if self.dtype in FLOATS else self.to(np.float32)
        return run(reduction.LogSumExp(over("logsumexp", dim, axis), keepdim), (x,))

    def norm(self, p="fro", dim=None, keepdim=False, dtype=None, *, axis=None):
        """(sum |x|^p)^(1/p) over `dim` for p > 0; the largest |x| for p = inf; "fro" means 2."""
        if p is None or (isinstance(p, str) and p == "fro"):
            p = 2.0
        if isinstance(p, str) or not p > 0:
            raise NotImplementedError(f"norm: p must be a number above 0, inf or 'fro', the rest is not supported; got {p!r}")
        return run(reduction.Norm(p, over("norm", dim, axis), keepdim), (self if dtype is None else self.to(dtype),))

    def any(self, dim=None, keepdim=False, *, axis=None):
        """Whether an element over `dim` differs from 0; bool."""
        return truth(self, "any", np.any, over("any", dim, axis), keepdim)

    def all(self, dim=None, keepdim=False, *, axis=None):
        """Whether all elements over `dim` differ from 0; bool."""
        return truth(self, "all", np.all, over("all", dim, axis), keepdim)

    def count_nonzero(self, dim=None, *, axis=None):
        """How many elements over `dim` differ from 0; int64."""
        axes = reduction.axes_of("count_nonzero", over("count_nonzero", dim, axis), self.ndim)
        return wrap(own_copy(np.asarray(np.count_nonzero(values(self), axis=axes or None), np.int64)), None, 0)

    # -- in order --

    def cumsum(self, dim=None, *, dtype=None, axis=None):
        """The sums of the elements up to each one along `dim`; int64 for integers and bool, unless `dtype` is given."""
        x = self if dtype is None else self.to(dtype)
        y = run(reduction.CumSum(over("cumsum", dim, axis)), (x,))
        return y if dtype is None else y.to(dtype)

    def sort(self, dim=-1, descending=False, stable=False):
        """The elements in order along `dim`, and where they stood: (values, indices).

        Always stable; NaN counts as the largest.
        """
        cdef ndarray index = order(self, "sort", dim, descending)
        return ValuesIndices(run(indexing.Gather(dim, index, "sort"), (self,)), wrap(own_copy(index), None, 0))

    def argsort(self, dim=-1, descending=False, stable=False):
        """The indices that sort the elements along `dim`, int64; always stable."""
        return wrap(own_copy(order(self, "argsort", dim, descending)), None, 0)

    def topk(self, k, dim=-1, largest=True, sorted=True):
        """The k largest (or smallest) elements along `dim`, in order, and where they stood: (values, indices).

        NaN counts as the largest.  Which of equal elements are among them is not defined.
        """
        at = (reduction.axes_of("topk", one_axis("topk", dim), self.ndim) or (None,))[0]
        size, k = 1 if at is None else self.shape[at], integer_of("topk", "k", k)
        if not 0 <= k <= size:
            raise ArgumentError(f"topk: k must lie in [0, {size}], the size along dim; got {k}")
        cdef ndarray index = np.zeros((), np.int64) if at is None else first_in_order(values(self), k, at, largest)
        return ValuesIndices(run(indexing.Gather(dim, index, "topk"), (self,)), wrap(own_copy(index), None, 0))


_variable.set_tensor_class(Tensor)
