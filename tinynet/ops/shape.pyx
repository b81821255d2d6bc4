"""Reshaping, transposing, joining, indexing: ops that move values and compute nothing.

Reshape, permute and basic indexing give views where strides allow; a view lives in the same block as its source and shares
its version counter.  Reshaping means C (N, C, H, W) order whatever the strides are.
"""

from numpy cimport PyArray_NDIM, PyArray_DIMS, PyArray_SIZE, PyArray_TYPE, import_array, ndarray

from tinynet._graph cimport Op
from tinynet.ops.arithmetic cimport unbroadcast
from tinynet.ops.checks cimport axis_of, check_same_dtype, shape_of
from tinynet.ops.memory cimport contiguous, new_array, new_like, new_shaped, outline, repeated

import numpy as np

from tinynet.errors import ArgumentError, ShapeError

import_array()


cdef class Reshape(Op):
    """y = x in another shape of as many elements, a view if strides allow.  gx = gy in x's shape and layout."""

    cdef tuple shape
    cdef ndarray x                       # an outline

    def __init__(self, shape):
        self.shape = tuple(shape)

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        self.x = outline(x)
        cdef Py_ssize_t unknown = -1, i
        cdef object known = 1
        cdef list shape = []
        for i in range(len(self.shape)):
            if not hasattr(self.shape[i], "__index__"):
                raise ArgumentError(f"reshape: shape must hold integers; got {self.shape}")
            n = self.shape[i].__index__()
            shape.append(n)
            if n == -1 and unknown < 0:
                unknown = i
            elif n < 0:
                raise ShapeError(f"reshape: shape must hold sizes of at least 0 and at most one -1; got {self.shape}")
            else:
                known *= n               # a Python int: it may exceed 64 bits
        cdef Py_ssize_t size = PyArray_SIZE(x)
        if unknown >= 0 and known > 0 and size % known == 0:
            shape[unknown] = size // known
        elif unknown >= 0 or known != size:
            raise ShapeError(f"reshape: shape must have as many elements as x, {size} of shape {shape_of(x)}; "
                             f"got {self.shape}")
        return view_or_copy(x, tuple(shape))

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray g = (<object>gy).reshape(shape_of(self.x))
        if PyArray_NDIM(self.x) < 4:
            return (g,)
        cdef ndarray gx = new_like(self.x)        # 4-D activations are channels-last: give the gradient back so
        (<object>gx)[...] = g
        return (gx,)


cdef ndarray view_or_copy(ndarray x, tuple shape):
    """x in another shape: a view where strides allow, else a copy in a block of its own."""
    try:
        return np.reshape(x, shape, copy=False)
    except ValueError:
        return np.reshape(contiguous(x), shape)


cdef class Permute(Op):
    """y = x with its axes in the order `dims`, a view.  gx = gy with the inverse order."""

    cdef tuple dims

    def __init__(self, dims):
        self.dims = tuple(dims)

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        cdef int nd = PyArray_NDIM(x)
        cdef tuple axes = tuple([axis_of("permute", d, nd) for d in self.dims])
        if sorted(axes) != list(range(nd)):
            raise ArgumentError(f"permute: dims must name each of the {nd} axes once; got {self.dims}")
        self.dims = axes
        return (<object>x).transpose(axes)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return ((<object>gy).transpose([self.dims.index(d) for d in range(len(self.dims))]),)


cdef class BroadcastTo(Op):
    """y = x repeated to a larger shape, a view.  gx = gy summed over the repeated axes."""

    cdef tuple shape
    cdef ndarray x                       # an outline

    def __init__(self, shape):
        self.shape = tuple(shape)

    @property
    def name(self):
        return "broadcast_to"

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        self.x = outline(x)
        try:
            strides = np.broadcast_to(x, self.shape).strides
        except (ValueError, TypeError):
            raise ShapeError(f"broadcast_to: x of shape {shape_of(x)} cannot be repeated to {self.shape}") from None
        return repeated(x, self.shape, strides)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (unbroadcast(gy, self.x),)


cdef class Cat(Op):
    """y = the inputs one after the other along `dim`.  The gradient of each is its slice of gy, a view."""

    cdef object dim
    cdef int axis
    cdef list ends

    def __init__(self, dim=0):
        self.dim = dim

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray first, x
        cdef int d, i
        if not inputs:
            raise ArgumentError("cat: tensors must hold at least one tensor; got none")
        first = inputs[0]
        cdef int nd = PyArray_NDIM(first)
        if nd == 0:
            raise ShapeError("cat: tensors must have at least one axis; got a scalar")
        self.axis = axis_of("cat", self.dim, nd)
        self.ends = [0]
        for i in range(len(inputs)):
            x = inputs[i]
            check_same_dtype("cat", "tensors[0]", first, f"tensors[{i}]", x)
            if PyArray_NDIM(x) != nd or any([PyArray_DIMS(x)[d] != PyArray_DIMS(first)[d] for d in range(nd) if d != self.axis]):
                raise ShapeError(f"cat: tensors must have equal shapes but for dim {self.axis}; "
                                 f"got {shape_of(first)} and {shape_of(x)} (tensors[{i}])")
            self.ends.append(self.ends[-1] + PyArray_DIMS(x)[self.axis])
        cdef ndarray y = out
        if y is None:
            shape = list(shape_of(first))
            shape[self.axis] = self.ends[-1]
            y = new_shaped(first, shape)
        np.concatenate(inputs, axis=self.axis, out=y)
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cut = [slice(None)] * (<object>gy).ndim
        cdef list gradients = []
        for i in range(len(needs)):
            cut[self.axis] = slice(self.ends[i], self.ends[i + 1])
            gradients.append(gy[tuple(cut)] if needs[i] else None)
        return tuple(gradients)


cdef class Index(Op):
    """y = x[index] with NumPy's rules; a view for integers, slices, None and Ellipsis.

    gx is 0 but for gx[index] += gy, where an element that was picked several times receives every share.
    """

    cdef object index
    cdef bint basic
    cdef ndarray x                       # an outline

    def __init__(self, index):
        self.index = index
        parts = index if isinstance(index, tuple) else (index,)
        self.basic = all([p is None or p is Ellipsis or isinstance(p, slice)
                          or (not isinstance(p, (bool, np.bool_)) and isinstance(p, (int, np.integer))) for p in parts])

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        self.x = outline(x)
        parts = self.index if isinstance(self.index, tuple) else (self.index,)
        cdef object picked
        try:
            picked = (<object>x)[self.index]
        except IndexError as error:
            raise IndexError(f"index: {error}; x has shape {shape_of(x)}") from None
        cdef ndarray y
        if self.basic:
            if not isinstance(picked, ndarray):          # a single element: NumPy gives a scalar
                picked = (<object>x)[(self.index if isinstance(self.index, tuple) else (self.index,)) + (Ellipsis,)]
            return picked
        if self.needs[0]:
            # The caller may change index arrays before backward.
            self.index = tuple([np.array(p) if isinstance(p, (ndarray, list)) else p for p in parts])
        picked = np.asarray(picked)
        y = new_array(picked.ndim, PyArray_DIMS(picked), PyArray_TYPE(x))
        (<object>y)[...] = picked
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray gx = new_like(self.x)
        (<object>gx)[...] = 0
        if self.basic:
            (<object>gx)[self.index] = gy
        else:
            np.add.at(gx, self.index, gy)
        return (gx,)
