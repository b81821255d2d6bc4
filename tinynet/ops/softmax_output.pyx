"""Softmax as an output: probabilities rather than the logarithms of ops/softmax.pyx, which losses use.

    softmax(x)_k = exp(x_k - max x) / sum_j exp(x_j - max x)          the shift cancels; logits of +-1e4 are harmless

A kernel of its own is, forward and backward on one core (AVX-512), 2.4 times (256 x 1024) to 3 times (60 x 10) as fast as
log-softmax followed by the exponential.
"""

from cython.parallel cimport prange
from numpy cimport (
    NPY_FLOAT, PyArray_DATA, PyArray_DIMS, PyArray_NDIM, PyArray_SIZE, PyArray_TYPE, import_array, ndarray,
)

from tinynet._graph cimport Op
from tinynet.ops.checks cimport axis_of, check_float, quiet
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport contiguous, new_like
from tinynet.ops.threads cimport PIECE, team, tn_enter, tn_leave

import numpy as np

import_array()


cdef inline Py_ssize_t rows_per_piece(Py_ssize_t c) noexcept nogil:
    return max(PIECE // c, 1)


cdef void forward_piece(float* y, const float* x, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t step = rows_per_piece(c)
    K.softmax_forward_f32(y + i * step * c, x + i * step * c, min(step, rows - i * step), c)
    tn_leave(mode)


cdef void backward_piece(float* gx, const float* g, const float* y, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t step = rows_per_piece(c)
    K.softmax_backward_f32(gx + i * step * c, g + i * step * c, y + i * step * c, min(step, rows - i * step), c)
    tn_leave(mode)


cdef void forward_f32(ndarray y, ndarray x, Py_ssize_t c) noexcept:
    """y = softmax of the rows of c elements of x, both in C order."""
    cdef float* py = <float*>PyArray_DATA(y)
    cdef const float* px = <const float*>PyArray_DATA(x)
    cdef Py_ssize_t rows = PyArray_SIZE(x) // c, pieces = (rows + rows_per_piece(c) - 1) // rows_per_piece(c), i
    cdef int threads = team(30.0 * rows * c, pieces)
    if threads == 1:
        with nogil:
            for i in range(pieces):
                forward_piece(py, px, rows, c, i)
    else:
        for i in prange(pieces, nogil=True, schedule="static", num_threads=threads):
            forward_piece(py, px, rows, c, i)


cdef void backward_f32(ndarray gx, ndarray g, ndarray y, Py_ssize_t c) noexcept:
    """gx = y (g - sum g y) for the rows of c elements."""
    cdef float* pgx = <float*>PyArray_DATA(gx)
    cdef const float* pg = <const float*>PyArray_DATA(g)
    cdef const float* py = <const float*>PyArray_DATA(y)
    cdef Py_ssize_t rows = PyArray_SIZE(y) // c, pieces = (rows + rows_per_piece(c) - 1) // rows_per_piece(c), i
    cdef int threads = team(14.0 * rows * c, pieces)
    if threads == 1:
        with nogil:
            for i in range(pieces):
                backward_piece(pgx, pg, py, rows, c, i)
    else:
        for i in prange(pieces, nogil=True, schedule="static", num_threads=threads):
            backward_piece(pgx, pg, py, rows, c, i)


cdef class Softmax(Op):
    """y = exp(x) / sum exp(x) along dim.  gx = y (gy - sum gy y).  Saves y."""

    arguments = ("input",)

    cdef object dim
    cdef int axis

    def __init__(self, dim):
        self.dim = dim

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        check_float("softmax", "input", x)
        self.axis = axis_of("softmax", self.dim, PyArray_NDIM(x))
        x = self.axis_last(x)
        y = new_like(x)
        if PyArray_SIZE(x) and PyArray_TYPE(x) == NPY_FLOAT:
            forward_f32(y, x, PyArray_DIMS(x)[PyArray_NDIM(x) - 1])
        elif PyArray_SIZE(x):
            with quiet():
                e = np.exp(x - x.max(axis=-1, keepdims=True))
                (<object>y)[...] = e / e.sum(axis=-1, keepdims=True)
        self.save((y,))
        return self.axis_back(y, PyArray_NDIM(<ndarray>inputs[0]))

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray y = self.saved[0], g = self.axis_last(gy), gx = new_like(y)
        if PyArray_SIZE(y) and PyArray_TYPE(y) == NPY_FLOAT:
            backward_f32(gx, g, y, PyArray_DIMS(y)[PyArray_NDIM(y) - 1])
        else:
            (<object>gx)[...] = y * (g - (g * y).sum(axis=-1, keepdims=True))
        return (self.axis_back(gx, PyArray_NDIM(<ndarray>gy)),)

    cdef ndarray axis_last(self, ndarray x):
        """x in C order with the chosen axis last; a scalar as one row of one element."""
        if self.axis == PyArray_NDIM(x) - 1:
            return contiguous(x)
        return contiguous(np.moveaxis(x, self.axis, -1)) if PyArray_NDIM(x) else (<object>x).reshape(1)

    cdef ndarray axis_back(self, ndarray y, int ndim):
        """y with its last axis where it was."""
        if self.axis == ndim - 1:
            return y
        return np.moveaxis(y, -1, self.axis) if ndim else (<object>y).reshape(())
