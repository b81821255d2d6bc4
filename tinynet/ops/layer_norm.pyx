"""Layer normalisation (Ba, Kiros & Hinton 2016, equations 3 and 4).

The last axes of x, c elements in all, are a row; over each row by itself

    mu = 1/c sum x_j          var = 1/c sum (x_j - mu)^2          rstd = 1 / sqrt(var + eps)
    xh_j = (x_j - mu) rstd    y_j = gamma_j xh_j + beta_j

and back, with t_j = g_j gamma_j (the chain of batch normalisation, along the other axis):

    gx_j = rstd (t_j - 1/c sum t - xh_j 1/c sum t xh)        ggamma_j = sum over rows of g_j xh_j      gbeta_j = sum of g_j

Statistics are taken about a float32 number close to the mean (csrc/layer_norm.inc.h), so a mean of 1e4 beside a standard
deviation of 1e-2 costs no accuracy.  Rows are cut into ranges by the shape; the sums over rows of up to SLOTS ranges are merged
in order.
"""

from cython.parallel cimport prange
from libc.math cimport INFINITY
from numpy cimport (
    NPY_DOUBLE, NPY_FLOAT, PyArray_DATA, PyArray_DIMS, PyArray_NDIM, PyArray_SIZE, PyArray_TYPE, import_array, ndarray, npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.checks cimport check_float, check_same_dtype, quiet, shape_of
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport contiguous, new_array, new_like
from tinynet.ops.threads cimport PIECE, SLOTS, team, tn_enter, tn_leave

import numpy as np

from tinynet import _check
from tinynet.errors import ArgumentError, ShapeError

import_array()

cdef enum:
    SMALL = 512


cdef void forward_piece(float* y, float* stats, const float* x, const float* w, const float* b, Py_ssize_t rows, Py_ssize_t c,
                        Py_ssize_t step, double eps, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    K.layer_norm_forward_f32(y + i * step * c, stats + 3 * i * step, x + i * step * c, w, b, min(step, rows - i * step), c, eps)
    tn_leave(mode)


cdef void backward_piece(float* gx, double* sums, float* part, const float* g, const float* x, const float* stats, const float* w,
                         Py_ssize_t rows, Py_ssize_t c, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    if x == NULL:                        # only the sum of g is wanted: summed as the kernel does
        K.column_sum_f32(sums + 2 * i * c, g + i * step * c, min(step, rows - i * step), c, c)
        tn_leave(mode)
        return
    K.layer_norm_backward_f32(gx + i * step * c if gx != NULL else NULL, sums + 2 * i * c if sums != NULL else NULL,
                              part + 2 * i * c if part != NULL else NULL, g + i * step * c, x + i * step * c,
                              stats + 3 * i * step, w, min(step, rows - i * step), c)
    tn_leave(mode)


cdef ndarray vector_or(ndarray v, double value, Py_ssize_t c, int dtype):
    """v in C order, or c times the value."""
    if v is not None:
        return contiguous(v)
    cdef npy_intp size = c
    v = new_array(1, &size, dtype)
    (<object>v)[...] = value
    return v


cpdef tuple normalized_sizes(str owner, object normalized_shape):
    """`normalized_shape`, an int or a sequence of at least one, as a tuple of int, each at least 0."""
    cdef tuple sizes = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    if len(sizes) == 0:
        raise ArgumentError(f"{owner}: normalized_shape must name at least one axis; got {normalized_shape!r}")
    return tuple([n if type(n) is int and n >= 0 else _check.integer(owner, "normalized_shape", n, 0) for n in sizes])


cdef class LayerNorm(Op):
    """y = gamma (x - mu) rstd + beta over the last axes of x, whose sizes are `normalized_shape`; gamma and beta of that shape,
    or None; eps > 0.

    Saves x for the gradients of x and gamma, gamma for that of x; two or three numbers per row go with x.  For the gradients
    see the top of this file.
    """

    arguments = ("input", "weight", "bias")
    optional = ("weight", "bias")

    cdef tuple shape
    cdef double eps
    cdef Py_ssize_t rows
    cdef Py_ssize_t c
    cdef ndarray stats                   # float32: (rows, 3), see the kernel; float64: (2, rows, 1), mean and rstd

    def __init__(self, normalized_shape, eps):
        self.shape = normalized_sizes("layer_norm", normalized_shape)
        self.eps = eps if type(eps) is float and 0.0 < eps < INFINITY else _check.real("layer_norm", "eps", eps, 0, above=True)

    @property
    def name(self):
        return "layer_norm"

    cdef int check(self, ndarray x, ndarray gamma, ndarray beta) except -1:
        check_float("layer_norm", "input", x)
        cdef int nd = PyArray_NDIM(x) - <int>len(self.shape), d
        if nd < 0 or shape_of(x)[nd:] != self.shape:
            sizes = ", ".join(map(str, self.shape))
            raise ShapeError(f"layer_norm: input must have shape (..., {sizes}); got {shape_of(x)}")
        for name, v in (("weight", gamma), ("bias", beta)):
            if v is None:
                continue
            check_same_dtype("layer_norm", "input", x, name, v)
            if shape_of(v) != self.shape:
                raise ShapeError(f"layer_norm: {name} must have shape {self.shape}, normalized_shape; got {shape_of(v)}")
        self.rows = self.c = 1
        for d in range(PyArray_NDIM(x)):
            if d < nd:
                self.rows *= PyArray_DIMS(x)[d]
            else:
                self.c *= PyArray_DIMS(x)[d]
        return 0

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], gamma = inputs[1], beta = inputs[2], y
        self.check(x, gamma, beta)
        x = contiguous(x)                                                # rows of c
        y = new_like(x)
        if PyArray_TYPE(x) == NPY_FLOAT:
            self.forward_f32(y, x, vector_or(gamma, 1.0, self.c, NPY_FLOAT), vector_or(beta, 0.0, self.c, NPY_FLOAT))
        elif PyArray_SIZE(x):
            self.forward_f64(y, x, gamma, beta)
        self.save((x if self.needs[0] or self.needs[1] else None, gamma if self.needs[0] else None))
        return y

    cdef int forward_f32(self, ndarray y, ndarray x, ndarray gamma, ndarray beta) except -1:
        cdef npy_intp[2] shape
        shape[0], shape[1] = self.rows, 3
        self.stats = new_array(2, shape, NPY_FLOAT)
        if PyArray_SIZE(x) == 0:
            return 0
        cdef float* py = <float*>PyArray_DATA(y)
        cdef float* stats = <float*>PyArray_DATA(self.stats)
        cdef const float* px = <const float*>PyArray_DATA(x)
        cdef const float* w = <const float*>PyArray_DATA(gamma)
        cdef const float* b = <const float*>PyArray_DATA(beta)
        cdef Py_ssize_t step = max(PIECE // self.c, 1), pieces = (self.rows + step - 1) // step, i
        cdef int threads = team(30.0 * self.rows * self.c, pieces)
        if threads == 1:
            with nogil:
                for i in range(pieces):
                    forward_piece(py, stats, px, w, b, self.rows, self.c, step, self.eps, i)
        else:
            for i in prange(pieces, nogil=True, schedule="static", num_threads=threads):
                forward_piece(py, stats, px, w, b, self.rows, self.c, step, self.eps, i)
        return 0

    cdef int forward_f64(self, ndarray y, ndarray x, ndarray gamma, ndarray beta) except -1:
        x = (<object>x).reshape(self.rows, self.c)
        with quiet():
            mu = (<object>x).mean(axis=1, keepdims=True)
            var = ((x - mu) ** 2).mean(axis=1, keepdims=True)
            rstd = 1.0 / np.sqrt(np.where(var < INFINITY, var, np.nan) + self.eps)      # nan shows an overflow, 0 would hide it
            self.stats = np.stack([mu, rstd])
            xh = self.normalised(x).reshape(shape_of(y))
            (<object>y)[...] = xh * (1.0 if gamma is None else gamma) + (0.0 if beta is None else beta)
        return 0

    cdef object normalised(self, ndarray x):
        """xh (rows, c), float64."""
        return ((<object>x).reshape(self.rows, self.c) - self.stats[0]) * self.stats[1]

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray g = contiguous(gy), x = self.saved[0], gamma = self.saved[1], gx = None, sums = None
        if needs[0]:
            gx = new_like(g)
        if PyArray_SIZE(g) == 0:
            sums = np.zeros((2, self.c))
        elif PyArray_TYPE(g) == NPY_FLOAT:
            sums = self.backward_f32(gx, g, x, gamma, needs[1] or needs[2])
        else:
            sums = self.backward_f64(gx, g, x, gamma)
        return (gx, self.vector(sums, 1, g) if needs[1] else None, self.vector(sums, 0, g) if needs[2] else None)

    cdef ndarray vector(self, ndarray sums, int row, ndarray g):
        """A row of sums (2, c) in normalized_shape and g's dtype, in a block of its own."""
        cdef int nd = len(self.shape)
        cdef ndarray y = new_array(nd, PyArray_DIMS(g) + PyArray_NDIM(g) - nd, PyArray_TYPE(g))
        cdef Py_ssize_t j
        if PyArray_TYPE(y) != NPY_FLOAT or PyArray_TYPE(sums) != NPY_DOUBLE:
            (<object>y)[...] = (<object>sums)[row].reshape(self.shape)
            return y
        for j in range(self.c):
            (<float*>PyArray_DATA(y))[j] = <float>(<double*>PyArray_DATA(sums))[row * self.c + j]
        return y

    cdef ndarray backward_f64(self, ndarray gx, ndarray gy, ndarray x, ndarray gamma):
        """gx is filled, unless None; returns (2, c): the sums over rows of g and of g xh (without x, of g alone)."""
        g = (<object>gy).reshape(self.rows, self.c)
        if x is None:
            return g.sum(axis=0, keepdims=True)
        xh = self.normalised(x)
        if gx is not None:
            t = g * (1.0 if gamma is None else (<object>gamma).reshape(self.c))
            rest = t - t.mean(axis=1, keepdims=True) - xh * (t * xh).mean(axis=1, keepdims=True)
            (<object>gx)[...] = (self.stats[1] * rest).reshape(shape_of(gy))
        return np.stack([g.sum(axis=0), (g * xh).sum(axis=0)])

    cdef ndarray backward_f32(self, ndarray gx, ndarray g, ndarray x, ndarray gamma, bint want_sums):
        """The same in up to SLOTS ranges of rows; the sums are None if they are not wanted."""
        cdef Py_ssize_t c = self.c, rows = self.rows, i, j
        cdef Py_ssize_t step = max((rows + SLOTS - 1) // SLOTS, PIECE // c, 1), ranges = (rows + step - 1) // step
        cdef npy_intp[2] shape
        shape[0], shape[1] = 2 * ranges, c
        cdef ndarray sums = new_array(2, shape, NPY_DOUBLE) if want_sums else None
        cdef float[SMALL] small                  # a tiny layer needs no array for its scratch
        cdef ndarray parts = new_array(2, shape, NPY_FLOAT) if want_sums and 2 * ranges * c > SMALL else None
        cdef ndarray weight = vector_or(gamma, 1.0, c, NPY_FLOAT)
        cdef double* psums = <double*>PyArray_DATA(sums) if want_sums else NULL
        cdef float* ppart = NULL
        if want_sums:
            ppart = <float*>PyArray_DATA(parts) if parts is not None else &small[0]
        cdef float* pgx = <float*>PyArray_DATA(gx) if gx is not None else NULL
        cdef const float* pg = <const float*>PyArray_DATA(g)
        cdef const float* px = <const float*>PyArray_DATA(x) if x is not None else NULL
        cdef const float* w = <const float*>PyArray_DATA(weight)
        cdef const float* stats = <const float*>PyArray_DATA(self.stats)
        cdef int threads = team(30.0 * rows * c, ranges)
        if threads == 1:
            with nogil:
                for i in range(ranges):
                    backward_piece(pgx, psums, ppart, pg, px, stats, w, rows, c, step, i)
        else:
            for i in prange(ranges, nogil=True, schedule="static", num_threads=threads):
                backward_piece(pgx, psums, ppart, pg, px, stats, w, rows, c, step, i)
        if not want_sums:
            return None
        for i in range(1, ranges):
            for j in range(2 * c if px != NULL else c):
                psums[j] += psums[2 * i * c + j]
        return sums if ranges == 1 else sums[:2]
