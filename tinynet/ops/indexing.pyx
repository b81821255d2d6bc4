"""Picking elements by index, and writing them.

Integers, slices, None and Ellipsis give views (`Index` with `basic`).  Everything else copies.  Its common forms are whole axes,
then integer arrays or masks, then whole axes again: ``x[rows]``, ``x[:, columns]``, ``x[arange, labels]``, ``x[mask]``, `gather`.
Seen flatly these are one thing, a `Plan`:

    x (outer, count, inner)      y (outer, P, inner)      y[o, i] = x[o, places[i]]      gx[o, places[i]] += gy[o, i]

two loops over rows of memory, in the order of i, so that an element that was picked several times sums its gradients always in
the same order.  What has no plan (arrays apart from each other, for example) is left to NumPy.
"""

from libc.string cimport memcpy, memset
from numpy cimport (
    NPY_FLOAT, PyArray_DATA, PyArray_DIMS, PyArray_ITEMSIZE, PyArray_NBYTES, PyArray_NDIM, PyArray_SIZE, PyArray_TYPE,
    import_array, ndarray, npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.arithmetic cimport unbroadcast
from tinynet.ops.checks cimport axis_of, shape_of
from tinynet.ops.memory cimport apart, contiguous, is_view, new_array, new_like, outline, own_copy

import numpy as np

from tinynet.errors import ArgumentError, DTypeError, ShapeError

import_array()

ctypedef fused real:
    float
    double

cdef object ALL = slice(None)


# ---- the two loops ----------------------------------------------------------------------------------------------------

cdef void pick(char* y, const char* x, const npy_intp* places, Py_ssize_t outer, Py_ssize_t count, Py_ssize_t p,
               Py_ssize_t nbytes) noexcept nogil:
    """y[o, i] = x[o, places[i]] for rows of `nbytes`."""
    cdef Py_ssize_t o, i
    for o in range(outer):
        if nbytes == 4:                      # an element: a constant size makes the copy one instruction
            for i in range(p):
                memcpy(y + (o * p + i) * 4, x + (o * count + places[i]) * 4, 4)
        else:
            for i in range(p):
                memcpy(y + (o * p + i) * nbytes, x + (o * count + places[i]) * nbytes, nbytes)


cdef void scatter(real* gx, const real* gy, const npy_intp* places, Py_ssize_t outer, Py_ssize_t count, Py_ssize_t p,
                  Py_ssize_t inner) noexcept nogil:
    """gx[o, places[i]] += gy[o, i] for rows of `inner` elements."""
    cdef Py_ssize_t o, i, j
    cdef real* to
    cdef const real* of
    for o in range(outer):
        for i in range(p):
            to = gx + (o * count + places[i]) * inner
            of = gy + (o * p + i) * inner
            for j in range(inner):
                to[j] += of[j]


# ---- reading an index -------------------------------------------------------------------------------------------------

cdef class Plan:
    """An index as rows of memory: see the top of this file."""

    cdef Py_ssize_t outer, count, inner
    cdef ndarray places                  # intp, all within [0, count)
    cdef tuple shape                     # of y


cdef bint is_basic(tuple parts):
    for p in parts:
        if not (p is None or p is Ellipsis or isinstance(p, slice)
                or (isinstance(p, (int, np.integer)) and not isinstance(p, (bool, np.bool_)))):
            return False
    return True


cdef bint count_from_start(ndarray places, Py_ssize_t n) noexcept:
    """Negative places, which count from the end, as places in [0, n); False if one lies beyond."""
    cdef npy_intp* p = <npy_intp*>PyArray_DATA(places)
    cdef Py_ssize_t i
    for i in range(PyArray_SIZE(places)):
        if p[i] < 0:
            p[i] += n
        if p[i] < 0 or p[i] >= n:
            return False
    return True


cdef Plan plan_of(tuple parts, tuple shape):
    """The plan of an index into an array of that shape; None if it has none, or is wrong (NumPy says how)."""
    cdef Plan plan
    cdef Py_ssize_t lead = 0, axis, n
    cdef list arrays = []
    while parts and (parts[-1] is Ellipsis or (isinstance(parts[-1], slice) and parts[-1] == ALL)):
        parts = parts[:-1]                   # what is not named is taken whole
    while lead < len(parts) and isinstance(parts[lead], slice) and parts[lead] == ALL:
        lead += 1
    for part in parts[lead:]:
        if not isinstance(part, (ndarray, int, np.integer)) or isinstance(part, bool):
            return None
        a = np.asarray(part)
        if a.dtype.kind == "b":
            if a.ndim == 0 or a.shape != shape[lead + len(arrays):lead + len(arrays) + a.ndim]:
                return None
            arrays.extend(a.nonzero())
        elif a.dtype.kind in "iu":
            arrays.append(a)
        else:
            return None
    if not arrays or lead + len(arrays) > len(shape):
        return None
    cdef object places = None
    for axis in range(lead, lead + len(arrays)):
        n, a = shape[axis], np.array(arrays[axis - lead], np.intp, order="C")         # never the caller's array
        if not count_from_start(a, n):
            return None
        try:
            places = a if places is None else places * n + a
        except ValueError:                   # the arrays do not broadcast
            return None
    if len(shape) - len(arrays) + np.ndim(places) > 64:      # more axes than an array has
        return None
    plan = Plan.__new__(Plan)
    plan.places = places if len(arrays) == 1 else np.ascontiguousarray(places)
    plan.outer = plan.count = plan.inner = 1
    for axis in range(len(shape)):
        if axis < lead:
            plan.outer *= shape[axis]
        elif axis < lead + len(arrays):
            plan.count *= shape[axis]
        else:
            plan.inner *= shape[axis]
    plan.shape = shape[:lead] + np.shape(places) + shape[lead + len(arrays):]
    return plan


# ---- reading ----------------------------------------------------------------------------------------------------------

cdef class Index(Op):
    """y = x[index] with NumPy's rules; a view for integers, slices, None and Ellipsis.

    gx is 0 but for gx[index] += gy, where an element that was picked several times receives every share.
    """

    cdef tuple parts
    cdef bint basic
    cdef Plan plan
    cdef ndarray x                       # an outline

    def __init__(self, index):
        self.parts = index if isinstance(index, tuple) else (index,)
        self.basic = is_basic(self.parts)

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        self.x = outline(x)
        if self.basic:
            return self.read(x, self.parts if Ellipsis in self.parts else self.parts + (Ellipsis,))     # an array, no scalar
        self.plan = plan_of(self.parts, shape_of(x))
        if self.plan is not None:
            return self.picked(contiguous(x))
        y = own_copy(np.asarray(self.read(x, self.parts)))
        if self.needs[0]:                    # the caller may change index arrays before backward
            self.parts = tuple([np.array(p) if isinstance(p, ndarray) else p for p in self.parts])
        return y

    cdef object read(self, ndarray x, tuple parts):
        try:
            return (<object>x)[parts]
        except IndexError as error:
            raise IndexError(f"{self.name}: {error}; x has shape {shape_of(x)}") from None

    cdef ndarray picked(self, ndarray x):
        """y for x in C order, by the plan."""
        cdef Plan plan = self.plan
        cdef npy_intp[64] sizes
        cdef int d
        for d in range(len(plan.shape)):
            sizes[d] = plan.shape[d]
        cdef ndarray y = new_array(len(plan.shape), sizes, PyArray_TYPE(x))
        if PyArray_SIZE(y):
            pick(<char*>PyArray_DATA(y), <char*>PyArray_DATA(x), <npy_intp*>PyArray_DATA(plan.places), plan.outer, plan.count,
                 PyArray_SIZE(plan.places), plan.inner * PyArray_ITEMSIZE(x))
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef Plan plan = self.plan
        cdef ndarray gx, g
        if plan is None:
            gx = new_like(self.x)
            (<object>gx)[...] = 0
            if self.basic:
                (<object>gx)[self.parts] = gy
            else:
                np.add.at(gx, self.parts, gy)
            return (gx,)
        g = contiguous(gy)
        gx = new_array(PyArray_NDIM(self.x), PyArray_DIMS(self.x), PyArray_TYPE(g))
        memset(PyArray_DATA(gx), 0, PyArray_NBYTES(gx))
        if PyArray_SIZE(g) == 0:
            return (gx,)
        if PyArray_TYPE(g) == NPY_FLOAT:
            scatter(<float*>PyArray_DATA(gx), <const float*>PyArray_DATA(g), <npy_intp*>PyArray_DATA(plan.places), plan.outer,
                    plan.count, PyArray_SIZE(plan.places), plan.inner)
        else:
            scatter(<double*>PyArray_DATA(gx), <const double*>PyArray_DATA(g), <npy_intp*>PyArray_DATA(plan.places), plan.outer,
                    plan.count, PyArray_SIZE(plan.places), plan.inner)
        return (gx,)


cdef ndarray checked_places(str op, object index, Py_ssize_t size):
    """An index array whose elements lie in [0, size)."""
    if not isinstance(index, ndarray) or (<object>index).dtype.kind not in "iu":
        raise DTypeError(f"{op}: index must be an integer tensor; got {getattr(index, 'dtype', type(index).__name__)}")
    if index.size and (index.min() < 0 or index.max() >= size):
        wrong = index.min() if index.min() < 0 else index.max()
        raise IndexError(f"{op}: index must lie in [0, {size - 1}] along dim; got {wrong}")
    return index


cdef class IndexSelect(Index):
    """y = the slices of x along `dim` that `index` (P) names, in its order.  The gradient is that of `Index`."""

    cdef object dim
    cdef object index

    def __init__(self, dim, index):
        self.dim, self.index = dim, index

    @property
    def name(self):
        return "index_select"

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        cdef int nd = PyArray_NDIM(x), axis = axis_of("index_select", self.dim, nd)
        cdef ndarray index = checked_places("index_select", self.index, PyArray_DIMS(x)[axis] if nd else 1)
        if PyArray_NDIM(index) > 1:
            raise ShapeError(f"index_select: index must have shape (P,); got {shape_of(index)}")
        self.parts = (ALL,) * axis + (np.atleast_1d(index),) if nd else (Ellipsis, )
        self.basic = nd == 0
        return Index.forward(self, inputs, out)


cdef class Gather(Index):
    """y[i, j, k] = x[i, index[i, j, k], k] for dim = 1, and likewise for others: one element of x per element of `index`,
    which has x's number of axes and, but for `dim`, at most its sizes.  The gradient is that of `Index`.
    """

    cdef object dim
    cdef object index
    cdef str door

    def __init__(self, dim, index, door="gather"):
        self.dim, self.index, self.door = dim, index, door

    @property
    def name(self):
        return self.door

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        cdef int nd = PyArray_NDIM(x), axis = axis_of(self.door, self.dim, nd), d
        cdef ndarray index = checked_places(self.door, self.index, PyArray_DIMS(x)[axis] if nd else 1)
        if PyArray_NDIM(index) != nd or any([d != axis and PyArray_DIMS(index)[d] > PyArray_DIMS(x)[d] for d in range(nd)]):
            raise ShapeError(f"{self.door}: index must have as many axes as x, {shape_of(x)}, and at most its sizes but along "
                             f"dim {axis}; got {shape_of(index)}")
        grid = list(np.ogrid[tuple([slice(n) for n in shape_of(index)])]) if nd else []
        if nd:
            grid[axis] = index
        self.parts, self.basic = tuple(grid) if nd else (Ellipsis,), nd == 0
        return Index.forward(self, inputs, out)


# ---- writing ----------------------------------------------------------------------------------------------------------

cpdef int assign(ndarray x, tuple parts, object value) except -1:
    """x[parts] = value, with the errors of `Tensor.__setitem__`."""
    try:
        if isinstance(value, ndarray) and PyArray_TYPE(<ndarray>value) == PyArray_TYPE(x):
            if is_basic(parts) and is_view(value):
                value = apart(value, (<object>x)[parts if Ellipsis in parts else parts + (Ellipsis,)])
            (<object>x)[parts] = value
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                (<object>x)[parts] = value
    except IndexError as error:
        raise IndexError(f"__setitem__: {error}; the tensor has shape {shape_of(x)}") from None
    except (ValueError, OverflowError, TypeError) as error:
        raise ArgumentError(f"__setitem__: value does not fit: {error}") from None
    return 0


cdef class SetItem(Op):
    """y = x after x[index] = v, in x's own memory.  gx = gy, 0 where v was written; gv = gy[index] summed over the axes along
    which v was repeated.  Saves nothing but v's outline.
    """

    arguments = ("self", "value")

    cdef tuple parts
    cdef ndarray v                       # an outline

    def __init__(self, index):
        self.parts = index if isinstance(index, tuple) else (index,)

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        self.v = outline(inputs[1])
        self.parts = tuple([np.array(p) if isinstance(p, ndarray) else p for p in self.parts])
        assign(x, self.parts, inputs[1])
        return x

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray gx = None, gv = None, v = self.v, picked
        if needs[0]:
            gx = own_copy(gy)
            (<object>gx)[self.parts] = 0
        if needs[1]:
            picked = np.asarray(gy[self.parts])
            while PyArray_NDIM(v) > PyArray_NDIM(picked):       # leading axes of size 1
                v = v[0]
            gv = (<object>unbroadcast(picked, v)).reshape(shape_of(self.v))
        return gx, gv
