"""Sums, means, variances, products, maxima, norms over axes.

`dims` is a sorted tuple of axes counted from 0 (all of them for a full reduction).  float32 is summed in double and rounded
once (sums.pyx), so the error does not grow with the number of terms and the order of the axes does not matter.
"""

from numpy cimport PyArray_DIMS, PyArray_NDIM, PyArray_STRIDES, PyArray_TYPE, import_array, ndarray

from tinynet._graph cimport Op
from tinynet.ops.arithmetic cimport scaled
from tinynet.ops.checks cimport axis_of, check_float, quiet, shape_of
from tinynet.ops.memory cimport new_array, new_like, outline, repeated
from tinynet.ops.sums cimport extremes, quotients, totals
from tinynet.ops.walk cimport assign

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


cdef tuple reduced_axes(str op, object dim, int ndim):
    """The axes that a reduction over `dim` sums over; none given means all, as in PyTorch."""
    return axes_of(op, None if isinstance(dim, (tuple, list)) and not dim else dim, ndim)


cdef ndarray owned(object a, int dtype):
    """The result of a NumPy reduction, rounded to dtype, in a block of our own."""
    cdef ndarray x = np.asarray(a)
    cdef ndarray y = new_array(PyArray_NDIM(x), PyArray_DIMS(x), dtype)
    (<object>y)[...] = x
    return y


cdef ndarray result(object kept, tuple dims, bint keepdim, int dtype):
    """A reduction whose axes `dims` stand there with size 1, rounded to dtype, in a block of our own; if not keepdim, without
    them."""
    if keepdim or not dims:
        return owned(kept, dtype)
    return owned(kept.reshape([n for d, n in enumerate(kept.shape) if d not in dims]), dtype)


cdef double count_of(ndarray x, tuple dims):
    """How many elements a reduction over dims puts together."""
    cdef double n = 1
    for d in dims:
        n *= PyArray_DIMS(x)[<int>d]
    return n


cdef ndarray spread(ndarray g, ndarray x, tuple dims, bint keepdim):
    """A view of g (a reduction of x over dims) repeated along those axes: x's shape again."""
    cdef bint dropped = not keepdim and PyArray_NDIM(g) != PyArray_NDIM(x)
    cdef int d, axis = 0
    cdef list strides = []
    for d in range(PyArray_NDIM(x)):
        if d in dims:
            strides.append(0)
            axis += 0 if dropped else 1
        else:
            strides.append(PyArray_STRIDES(g)[axis])
            axis += 1
    return repeated(g, shape_of(x), tuple(strides))


# ---- the ops ----------------------------------------------------------------------------------------------------------

cdef class Reduction(Op):
    """A function of the elements along `dims`: what such ops have in common."""

    cdef object dim
    cdef tuple dims
    cdef bint keepdim
    cdef ndarray x                       # an outline

    def __init__(self, dim=None, keepdim=False):
        self.dim, self.keepdim = dim, keepdim

    cdef int begin(self, ndarray x) except -1:
        self.x = outline(x)
        self.dims = reduced_axes(self.name, self.dim, PyArray_NDIM(x))
        return 0

    cdef ndarray over_x(self, ndarray g):
        """g, of y's shape, repeated to x's."""
        return spread(g, self.x, self.dims, self.keepdim)


cdef class Sum(Reduction):
    """y = sum of x over dims.  gx = gy repeated along dims.  Saves nothing but x's outline."""

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        self.begin(x)
        cdef ndarray y = quotients(x, self.dims, self.keepdim, 1.0)
        if y is not None:
            return y
        if (<object>x).dtype.kind != "f":
            return owned(np.add.reduce(x, axis=self.dims, dtype=np.int64, keepdims=self.keepdim), np.dtype(np.int64).num)
        with quiet():
            return result(totals(x, self.dims, None), self.dims, self.keepdim, PyArray_TYPE(x))

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray gx = new_like(self.x)
        assign(gx, self.over_x(gy))
        return (gx,)


cdef class Mean(Reduction):
    """y = mean of x over dims, n values each.  gx = gy / n repeated along dims.  Saves nothing but x's outline."""

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        check_float("mean", "x", x)
        self.begin(x)
        cdef ndarray y = quotients(x, self.dims, self.keepdim, count_of(x, self.dims))
        if y is not None:
            return y
        with quiet():                         # the mean of nothing is nan
            return result(np.divide(totals(x, self.dims, None), count_of(x, self.dims)), self.dims, self.keepdim, PyArray_TYPE(x))

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray gx = new_like(self.x)
        cdef double n = count_of(self.x, self.dims)
        assign(gx, self.over_x(scaled(gy, 1.0 / n if n else 0.0)))
        return (gx,)


cdef class Var(Reduction):
    """v = sum (x - mean)^2 / (n - correction) over dims, n values each; y = v, or its root.

    gx = gy 2 (x - mean) / (n - correction);  of the root gx = gy (x - mean) / ((n - correction) y), 0 where y = 0.
    Two passes: the mean in double, then the squares, so that a mean of 1e4 beside a deviation of 1e-2 loses nothing; backward
    takes the mean from x in two float32 parts.  Saves x, and y of the root.
    """

    cdef double correction
    cdef bint root
    cdef double n
    cdef object mean                     # float64, dims with size 1

    def __init__(self, dim=None, keepdim=False, correction=1, root=False):
        Reduction.__init__(self, dim, keepdim)
        self.correction, self.root = correction, root

    @property
    def name(self):
        return "std" if self.root else "var"

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        check_float(self.name, "x", x)
        self.begin(x)
        self.n = count_of(x, self.dims)
        with quiet():                         # n <= correction gives nan or inf
            self.mean = np.asarray(totals(x, self.dims, None) / self.n)
            v = totals(x, self.dims, self.mean) / np.float64(max(self.n - self.correction, 0.0))
            y = result(np.sqrt(v) if self.root else v, self.dims, self.keepdim, PyArray_TYPE(x))
        self.save((x, y if self.root else None))
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray x = self.saved[0], gx = new_like(x)
        kind = gy.dtype.type
        degrees = np.float64(max(self.n - self.correction, 0.0))
        if self.root:
            y = self.saved[1]
            scale = np.where(y == 0, 0.0, gy / (degrees * y))
        else:
            scale = gy * (2.0 / degrees)
        high = self.mean.astype(kind)
        low = self.mean - high
        np.subtract(x, high, gx)
        np.subtract(gx, np.where(low == low, low, 0.0).astype(kind), gx)     # inf - inf is no part of the mean
        np.multiply(gx, self.over_x(np.asarray(scale, kind)), gx)
        return (gx,)


cdef class Prod(Reduction):
    """y = product of x over dims.  gx_i = gy times the product of all others: of those before it and those after it, so that
    zeros need no case of their own.  Saves x.
    """

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        self.begin(x)
        floats = (<object>x).dtype.kind == "f"
        self.save((x,))
        with quiet():
            y = np.multiply.reduce(x, axis=self.dims, dtype=np.float64 if floats else np.int64, keepdims=self.keepdim)
            return owned(y, PyArray_TYPE(x) if floats else np.dtype(np.int64).num)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray x = self.saved[0], gx = new_like(x)
        cdef int last = PyArray_NDIM(x)
        cdef tuple dims = self.dims
        rest = tuple([d for d in range(last) if d not in dims])
        moved = np.asarray(x, np.float64).transpose(rest + dims)
        line = moved.reshape(moved.shape[:len(rest)] + (-1,) if moved.size else moved.shape[:len(rest)] + (0,))
        before, after = np.ones_like(line), np.ones_like(line)
        np.multiply.accumulate(line[..., :-1], -1, out=before[..., 1:])
        np.multiply.accumulate(line[..., :0:-1], -1, out=after[..., -2::-1])
        others = (before * after).reshape(moved.shape).transpose([(rest + dims).index(d) for d in range(last)])
        np.multiply(others, self.over_x(gy), gx, casting="same_kind")
        return (gx,)


cdef class Extremum(Reduction):
    """y = the largest (or smallest) x along dims; NaN if there is one.

    Over several axes or all: gx = gy shared equally among the places that attain it; saves x and y.  Along one axis with `first`:
    gx = gy at the first such place, whose index is `self.index`; saves nothing else.
    """

    cdef bint largest
    cdef bint first
    cdef readonly ndarray index

    def __init__(self, dim=None, keepdim=False, largest=True, first=False):
        Reduction.__init__(self, dim, keepdim)
        self.largest, self.first = largest, first

    @property
    def name(self):
        return "max" if self.largest else "min"

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        self.begin(x)
        check_not_empty(self.name, x, self.dims)
        y = extremes(x, self.dims, self.keepdim, self.largest)
        if y is None:
            reduce = np.maximum.reduce if self.largest else np.minimum.reduce
            y = owned(reduce(x, axis=self.dims, keepdims=self.keepdim), PyArray_TYPE(x))
        if self.first:
            where = np.argmax if self.largest else np.argmin
            self.index = np.asarray(where(x, axis=self.dims[0] if self.dims else None, keepdims=self.keepdim))
        else:
            self.save((x, y))
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray gx = new_like(self.x)
        if self.first and not self.dims:     # a scalar
            return (gy,)
        (<object>gx)[...] = 0
        if self.first:
            at = self.index if self.keepdim else np.expand_dims(self.index, self.dims)
            np.put_along_axis(gx, at, gy if self.keepdim else np.expand_dims(gy, self.dims), self.dims[0])
            return (gx,)
        share(gx, self.saved[0], self.over_x(self.saved[1]), self.over_x(gy), self.dims)
        return (gx,)


cdef int check_not_empty(str op, ndarray x, tuple dims) except -1:
    for d in dims:
        if PyArray_DIMS(x)[<int>d] == 0:
            raise ShapeError(f"{op}: x must have at least one element along dim {d}; got shape {shape_of(x)}")
    return 0


cdef int share(ndarray gx, object x, object y, object g, tuple dims) except -1:
    """gx = g shared equally among the places where x is y (NaN is NaN)."""
    hit = (x == y) | ((x != x) & (y != y))
    np.divide(g, hit.sum(axis=dims, keepdims=True), gx, where=hit, casting="same_kind")
    return 0


cdef class LogSumExp(Reduction):
    """y = log sum exp(x) over dims, as m + log sum exp(x - m) with the largest x as m.  gx = gy exp(x - y).  Saves x and y."""

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], e = new_like(x), y
        check_float("logsumexp", "x", x)
        self.begin(x)
        with quiet():
            m = np.maximum.reduce(x, axis=self.dims, keepdims=True, initial=-np.inf)
            m = np.where(np.isfinite(m), m, x.dtype.type(0))         # inf - inf would be nan
            np.subtract(x, m, e)
            np.exp(e, e)
            y = result(np.log(totals(e, self.dims, None)) + m, self.dims, self.keepdim, PyArray_TYPE(x))
        self.save((x, y))
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray x = self.saved[0], gx = new_like(x)
        np.subtract(x, self.over_x(self.saved[1]), gx)
        np.exp(gx, gx)
        np.multiply(gx, self.over_x(gy), gx)
        return (gx,)


cdef class Norm(Reduction):
    """y = (sum |x|^p)^(1/p) over dims; the largest |x| for p = inf.  Saves x and y.

    gx = gy sign(x) (|x| / y)^(p-1), 0 where y = 0;  for p = 1 gy sign(x);  for p = inf gy sign(x) shared equally among the places
    that attain y.
    """

    cdef double p

    def __init__(self, p=2.0, dim=None, keepdim=False):
        Reduction.__init__(self, dim, keepdim)
        self.p = p

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        check_float("norm", "x", x)
        self.begin(x)
        with quiet():
            if self.p == np.inf:
                check_not_empty("norm", x, self.dims)
                s = np.maximum.reduce(np.abs(x), axis=self.dims, keepdims=True)
            elif self.p == 2.0:
                s = np.sqrt(totals(x, self.dims, np.zeros([1 if d in self.dims else n for d, n in enumerate(shape_of(x))])))
            elif self.p == 1.0:
                s = totals(np.abs(x), self.dims, None)
            else:
                s = np.add.reduce(np.abs(x).astype(np.float64) ** self.p, axis=self.dims, keepdims=True) ** (1.0 / self.p)
            y = result(np.asarray(s), self.dims, self.keepdim, PyArray_TYPE(x))
        self.save((x, y))
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray x = self.saved[0], gx = new_like(x)
        y, g, zero = self.over_x(self.saved[1]), self.over_x(gy), gy.dtype.type(0)
        if self.p == np.inf:
            (<object>gx)[...] = 0
            share(gx, np.abs(x), y, g * np.sign(x), self.dims)
        elif self.p == 2.0:
            np.multiply(x, self.over_x(np.where(self.saved[1] == 0, zero, gy / self.saved[1])), gx)
        elif self.p == 1.0:
            np.multiply(np.sign(x), g, gx)
        else:
            slope = np.sign(x) * np.power(np.abs(x) / y, gy.dtype.type(self.p - 1.0))
            np.multiply(np.where(x == 0, zero, slope), g, gx)
        return (gx,)


cdef class CumSum(Op):
    """y_i = x_0 + ... + x_i along dim.  gx_i = gy_i + ... + gy_n.  Saves nothing."""

    cdef object dim
    cdef int axis

    def __init__(self, dim):
        self.dim = dim

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        self.axis = axis_of("cumsum", self.dim, PyArray_NDIM(x))
        with quiet():
            return self.running(x)

    cdef ndarray running(self, object x):
        floats = x.dtype.kind == "f"
        if x.ndim == 0:
            return owned(x, x.dtype.num if floats else np.dtype(np.int64).num)
        y = x.astype(np.float64 if floats else np.int64)
        np.add.accumulate(y, self.axis, out=y)
        return owned(y, x.dtype.num if floats else np.dtype(np.int64).num)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        back = (slice(None),) * self.axis + (slice(None, None, -1),) if gy.ndim else ()
        return ((<object>self.running(gy[back]))[back],)
