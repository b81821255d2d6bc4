"""Tensor: an array that can be differentiated through, with the methods that change its form - conversions, reductions,
products, shapes, indexing.  What works element by element is its base `Operators` (_operators.pyx).
"""

from numpy cimport PyArray_SIZE, import_array, ndarray

from tinynet._operators cimport Operators, promoted
from tinynet._variable cimport FLOATS, run, values, wrap
from tinynet.ops.checks cimport quiet
from tinynet.ops.memory cimport Block, block_of, own_copy

import numpy as np

from tinynet import _variable
from tinynet._grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from tinynet._variable import apply, arrays_of, as_dtype, empty, from_dlpack, from_numpy, grads_of, tensor
from tinynet.errors import ArgumentError, ShapeError
from tinynet.ops import arithmetic, indexing, matmul, reduction, shape as shapes

import_array()

__all__ = [
    "Tensor", "apply", "arrays_of", "as_dtype", "cat", "empty", "enable_grad", "from_dlpack", "from_numpy", "grads_of",
    "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled", "tensor",
]


# ---- Tensor -----------------------------------------------------------------------------------------------------------

cdef class Tensor(Operators):
    """An n-dimensional array that can be differentiated through.

    Make one with `tinynet.tensor`, `tinynet.from_numpy`, `tinynet.zeros` and their like.  ``Tensor(data, requires_grad)``
    itself shares the memory of `data` and is what subclasses build on.

    Parameters
    ----------
    data : Tensor or ndarray
        Shared, not copied.
    requires_grad : bool, default False
        Whether `backward` shall compute a gradient for this tensor, a leaf.  Needs float32 or float64.
    """

    # -- conversions --

    @property
    def T(self):
        """The matrix transposed, a view (2 axes, or fewer: itself)."""
        if self.ndim > 2:
            raise ShapeError(f"T: the tensor must have at most 2 axes; got shape {self.shape} (use permute)")
        return self.transpose(0, 1) if self.ndim == 2 else self

    def clone(self):
        """A copy with memory of its own; the gradient goes through."""
        return run(arithmetic.Clone(), (self,))

    def contiguous(self):
        """The tensor in C order: itself, or a copy through which the gradient goes."""
        return self if (<object>values(self)).flags.c_contiguous else run(arithmetic.Clone(order="C"), (self,))

    def to(self, dtype):
        """The tensor in another dtype (itself if it has it); between float32 and float64 the gradient goes through."""
        if isinstance(dtype, str) and dtype == "cpu":
            return self
        target = as_dtype("to", dtype)
        if target == self.dtype:
            return self
        if self.node is not None and target in FLOATS:
            return run(arithmetic.Cast(target), (self,))
        with quiet():
            return wrap(own_copy(np.asarray((<object>values(self)).astype(target))), None, 0)

    def float(self):
        """The tensor in float32."""
        return self.to(np.float32)

    def double(self):
        """The tensor in float64."""
        return self.to(np.float64)

    def long(self):
        """The tensor in int64."""
        return self.to(np.int64)

    def cpu(self):
        """The tensor itself: there is one device."""
        return self

    # -- reductions --

    def sum(self, dim=None, keepdim=False, *, axis=None):
        """The sum over `dim` (an axis, several, or all), which stays as size 1 if `keepdim`.  `axis` is an alias of `dim`."""
        return run(reduction.Sum(dim if axis is None else axis, keepdim), (self,))

    def mean(self, dim=None, keepdim=False, *, axis=None):
        """The mean over `dim` (an axis, several, or all)."""
        return run(reduction.Mean(dim if axis is None else axis, keepdim), (self,))

    def var(self, dim=None, keepdim=False, *, correction=1, axis=None):
        """The variance over `dim`: sum (x - mean)^2 / (n - correction)."""
        dim = dim if axis is None else axis
        centered = self - self.mean(dim, True)
        total = (centered * centered).sum(dim, keepdim)
        n = self.numel() // max(total.numel(), 1)
        return total / (n - correction) if n > correction else total * float("nan")

    def max(self, dim=None, keepdim=False, *, axis=None):
        """The largest element, or the largest along `dim` with its index: a pair (values, indices)."""
        return extremum(self, dim if axis is None else axis, keepdim, True)

    def min(self, dim=None, keepdim=False, *, axis=None):
        """The smallest element, or the smallest along `dim` with its index: a pair (values, indices)."""
        return extremum(self, dim if axis is None else axis, keepdim, False)

    def amax(self, dim=None, keepdim=False, *, axis=None):
        """The largest element over `dim`; ties share the gradient."""
        return run(reduction.Extremum(dim if axis is None else axis, keepdim), (self,))

    def amin(self, dim=None, keepdim=False, *, axis=None):
        """The smallest element over `dim`; ties share the gradient."""
        return run(reduction.Extremum(dim if axis is None else axis, keepdim, False), (self,))

    def argmax(self, dim=None, keepdim=False, *, axis=None):
        """The index of the largest element (of the flattened tensor without `dim`), int64."""
        return arg_extremum(self, dim if axis is None else axis, keepdim, np.argmax, "argmax")

    def argmin(self, dim=None, keepdim=False, *, axis=None):
        """The index of the smallest element (of the flattened tensor without `dim`), int64."""
        return arg_extremum(self, dim if axis is None else axis, keepdim, np.argmin, "argmin")

    # -- products --

    def __matmul__(self, other):
        if not isinstance(other, (Tensor, np.ndarray)):
            return NotImplemented
        return run(matmul.MatMul(), promoted("matmul", self, other, True))

    def __rmatmul__(self, other):
        if not isinstance(other, (Tensor, np.ndarray)):
            return NotImplemented
        return run(matmul.MatMul(), promoted("matmul", other, self, True))

    def matmul(self, other):
        """The matrix product with `other`."""
        return self @ other

    # -- shape --

    def reshape(self, *shape):
        """The elements in another shape, in C order: a view where possible.  One size may be -1."""
        return run(shapes.Reshape(shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape), (self,))

    def view(self, *shape):
        """`reshape`, or an error if that would need a copy."""
        y = self.reshape(*shape)
        if self.numel() and not np.may_share_memory(values(<Tensor>y), values(self)):
            raise ShapeError(f"view: a tensor of shape {self.shape} and strides {(<object>values(self)).strides} has no view "
                             f"of shape {y.shape}; use reshape")
        return y

    def flatten(self, start_dim=0, end_dim=-1):
        """The axes from `start_dim` to `end_dim` as one."""
        shape = self.shape or (1,)
        first, last = (reduction.axes_of("flatten", d, self.ndim or 1)[0] for d in (start_dim, end_dim))
        if first > last:
            raise ArgumentError(f"flatten: start_dim must not come after end_dim; got {start_dim} and {end_dim}")
        size = 1
        for n in shape[first:last + 1]:
            size *= n
        return self.reshape(shape[:first] + (size,) + shape[last + 1:])

    def permute(self, *dims):
        """The axes in the order `dims`, a view."""
        return run(shapes.Permute(dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims), (self,))

    def transpose(self, dim0, dim1):
        """Two axes exchanged, a view."""
        order = list(range(self.ndim))
        a, b = (reduction.axes_of("transpose", d, self.ndim)[0] for d in (dim0, dim1))
        order[a], order[b] = b, a
        return run(shapes.Permute(order), (self,))

    def squeeze(self, dim=None):
        """Without the axes of size 1 (or without `dim`, if its size is 1)."""
        drop = reduction.axes_of("squeeze", dim, self.ndim)
        return self.reshape(tuple([n for d, n in enumerate(self.shape) if d not in drop or n != 1]))

    def unsqueeze(self, dim):
        """With a new axis of size 1 at `dim`."""
        at = reduction.axes_of("unsqueeze", dim, self.ndim + 1)[0]
        return self.reshape(self.shape[:at] + (1,) + self.shape[at:])

    def broadcast_to(self, *shape):
        """Repeated to a larger shape, a view that must not be written."""
        return run(shapes.BroadcastTo(shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape), (self,))

    def __getitem__(self, index):
        return run(indexing.Index(plain_index(index)), (self,))

    def __setitem__(self, index, value):
        cdef ndarray a = values(self)
        cdef Block block = block_of(a)
        if is_grad_enabled() and (self.node is not None or (isinstance(value, Tensor) and value.requires_grad)):
            raise NotImplementedError("__setitem__: assignment into a tensor is not recorded; use no_grad(), where or cat")
        if not (<object>a).flags.writeable:
            raise ArgumentError("__setitem__: the tensor must be writable; got read-only memory")
        try:
            (<object>a)[plain_index(index)] = (<object>values(<Tensor>value)) if isinstance(value, Tensor) else value
        except IndexError as error:
            raise IndexError(f"__setitem__: {error}; the tensor has shape {self.shape}") from None
        except ValueError as error:
            raise ArgumentError(f"__setitem__: value does not fit: {error}") from None
        block.version += 1


_variable.set_tensor_class(Tensor)


cdef object extremum(Tensor t, object dim, bint keepdim, bint largest):
    if dim is None:
        return run(reduction.Extremum(None, keepdim, largest), (t,))
    if isinstance(dim, (tuple, list)):
        raise ArgumentError(f"{'max' if largest else 'min'}: dim must be one integer; got {dim!r} "
                            f"(use {'amax' if largest else 'amin'})")
    op = reduction.Extremum(dim, keepdim, largest, True)
    y = run(op, (t,))
    return y, wrap(own_copy(op.index), None, 0)


cdef object arg_extremum(Tensor t, object dim, bint keepdim, object where, str op):
    cdef ndarray a = values(t)
    if dim is not None:
        dim = reduction.axes_of(op, dim, t.ndim)[0]
    if PyArray_SIZE(a) == 0 and (dim is None or t.shape[dim] == 0):
        raise ShapeError(f"{op}: the tensor must have at least one element along dim; got shape {t.shape}")
    return wrap(own_copy(np.asarray(where(a, axis=dim, keepdims=keepdim), np.int64)), None, 0)


cdef object plain_index(object index):
    """An index with tensors and lists in it as one with arrays."""
    if isinstance(index, tuple):
        return tuple([plain_index(i) for i in index])
    if isinstance(index, Tensor):
        return np.asarray(values(<Tensor>index))
    if isinstance(index, slice):             # a tensor in it may change before backward
        return slice(*[None if v is None else v.__index__() for v in (index.start, index.stop, index.step)])
    if isinstance(index, list):
        return np.asarray(index, None if index else np.intp)
    return index


def cat(tensors, dim=0):
    """The tensors joined along `dim`.

    Parameters
    ----------
    tensors : sequence of Tensor
        Of one dtype, and of equal shapes but for `dim`.
    dim : int, default 0
    """
    return run(shapes.Cat(dim), tuple(tensors))
