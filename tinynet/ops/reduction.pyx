"""Sums, means and maxima over axes.

`dims` is a sorted tuple of axes counted from 0 (all of them for a full reduction).  float32 is summed in double and rounded
once, so the error does not grow with the number of terms and the order of the axes does not matter.
"""

from numpy cimport PyArray_NDIM, PyArray_DIMS, PyArray_TYPE, import_array, ndarray

from tinynet._graph cimport Op
from tinynet.ops.checks cimport axis_of, check_float, quiet, shape_of
from tinynet.ops.memory cimport new_array, new_like, outline

import numpy as np

from tinynet.errors import ArgumentError, ShapeError

import_array()


cpdef tuple axes_of(str op, object dim, int ndim):
    """The axes that `dim` means: None for all, an integer, or a sequence of them."""
    if dim is None:
        return tuple(range(ndim))
    cdef tuple dims = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    cdef list axes = [axis_of(op, d, ndim) for d in dims]
    if len(set(axes)) != len(axes):
        raise ArgumentError(f"{op}: dim must not name an axis twice; got {dim!r}")
    return tuple(sorted(axes)) if ndim else ()


cdef ndarray owned(object a, int dtype):
    """The result of a NumPy reduction, rounded to dtype, in a block of our own."""
    cdef ndarray x = np.asarray(a)
    cdef ndarray y = new_array(PyArray_NDIM(x), PyArray_DIMS(x), dtype)
    (<object>y)[...] = x
    return y


cdef ndarray spread(ndarray g, ndarray x, tuple dims, bint keepdim):
    """A view of g (a reduction of x over dims) repeated along those axes: x's shape again."""
    cdef object h = g
    if not keepdim and PyArray_NDIM(g) != PyArray_NDIM(x):
        h = np.expand_dims(g, dims)
    return np.broadcast_to(h, shape_of(x))


cdef class Sum(Op):
    """y = sum of x over dims.  gx = gy repeated along dims.  Saves nothing but x's outline."""

    cdef object dim
    cdef tuple dims
    cdef bint keepdim
    cdef ndarray x                       # an outline

    def __init__(self, dim=None, keepdim=False):
        self.dim, self.keepdim = dim, keepdim

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        self.x = outline(x)
        self.dims = axes_of("sum", self.dim, PyArray_NDIM(x))
        kind = (<object>x).dtype.kind
        with quiet():
            s = np.add.reduce(x, axis=self.dims, dtype=np.float64 if kind == "f" else np.int64, keepdims=self.keepdim)
            return owned(s, PyArray_TYPE(x) if kind == "f" else np.dtype(np.int64).num)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray gx = new_like(self.x)
        (<object>gx)[...] = spread(gy, self.x, self.dims, self.keepdim)
        return (gx,)


cdef class Mean(Op):
    """y = mean of x over dims, n values each.  gx = gy / n repeated along dims.  Saves nothing but x's outline."""

    cdef object dim
    cdef tuple dims
    cdef bint keepdim
    cdef ndarray x                       # an outline
    cdef double n

    def __init__(self, dim=None, keepdim=False):
        self.dim, self.keepdim = dim, keepdim

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        cdef int d
        check_float("mean", "x", x)
        self.x = outline(x)
        self.dims = axes_of("mean", self.dim, PyArray_NDIM(x))
        self.n = 1
        for d in self.dims:
            self.n *= PyArray_DIMS(x)[d]
        with quiet():                         # the mean of nothing is nan
            s = np.add.reduce(x, axis=self.dims, dtype=np.float64, keepdims=self.keepdim)
            return owned(np.divide(s, self.n), PyArray_TYPE(x))

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray gx = new_like(self.x)
        np.multiply(spread(gy, self.x, self.dims, self.keepdim), gy.dtype.type(1.0 / self.n if self.n else 0.0), gx)
        return (gx,)


cdef class Extremum(Op):
    """y = the largest (or smallest) x along dims; NaN if there is one.

    Over several axes or all: gx = gy shared equally among the places that attain it.  Along one axis with `first`: gx = gy at
    the first such place, whose index is `self.index`.  Saves x and y.
    """

    cdef object dim
    cdef tuple dims
    cdef bint keepdim
    cdef bint largest
    cdef bint first
    cdef readonly ndarray index

    def __init__(self, dim=None, keepdim=False, largest=True, first=False):
        self.dim, self.keepdim, self.largest, self.first = dim, keepdim, largest, first

    @property
    def name(self):
        return "max" if self.largest else "min"

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        self.dims = axes_of(self.name, self.dim, PyArray_NDIM(x))
        for d in self.dims:
            if PyArray_DIMS(x)[d] == 0:
                raise ShapeError(f"{self.name}: x must have at least one element along dim {d}; got shape {shape_of(x)}")
        reduce = np.maximum.reduce if self.largest else np.minimum.reduce
        y = owned(reduce(x, axis=self.dims, keepdims=self.keepdim), PyArray_TYPE(x))
        if self.first:
            where = np.argmax if self.largest else np.argmin
            self.index = np.asarray(where(x, axis=self.dims[0] if self.dims else None, keepdims=self.keepdim))
        self.save((x, y))
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray x = self.saved[0], gx = new_like(x)
        g = spread(gy, x, self.dims, self.keepdim)
        (<object>gx)[...] = 0
        if self.first:
            at = self.index if self.keepdim or not self.dims else np.expand_dims(self.index, self.dims)
            if self.dims:
                np.put_along_axis(gx, at, np.take_along_axis(g, at, self.dims[0]), self.dims[0])
            else:
                (<object>gx)[...] = g
            return (gx,)
        y = spread(self.saved[1], x, self.dims, self.keepdim)
        hit = (x == y) | ((x != x) & (y != y))
        count = hit.sum(axis=self.dims, keepdims=True)
        np.divide(g, count, gx, where=hit, casting="same_kind")
        return (gx,)
