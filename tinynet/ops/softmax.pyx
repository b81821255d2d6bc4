"""Log-softmax:  log_softmax(x)_k = x_k - log sum_j exp(x_j).

It is shifted by the row's maximum, so logits of +-1e4 are harmless.  NaN comes out as NaN.  Softmax is its exponential.
"""

from numpy cimport (
    NPY_FLOAT, PyArray_DATA, PyArray_NDIM, PyArray_DIMS, PyArray_SIZE, PyArray_TYPE, import_array, ndarray,
)

from tinynet._graph cimport Op
from tinynet.ops.checks cimport axis_of, check_float, quiet
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport contiguous, new_like
from tinynet.ops.threads cimport team, tn_enter, tn_leave

import numpy as np
from cython.parallel cimport prange

import_array()

cdef enum:
    PIECE = 64                           # rows of a piece of work


cdef void log_softmax_piece(float* y, const float* x, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    K.log_softmax_forward_f32(y + i * PIECE * c, x + i * PIECE * c, min(PIECE, rows - i * PIECE), c)
    tn_leave(mode)


cdef void log_softmax_f32(ndarray y, ndarray x, Py_ssize_t rows, Py_ssize_t c) noexcept:
    """y = log_softmax of the rows of x (rows, c), both in C order."""
    cdef float* py = <float*>PyArray_DATA(y)
    cdef const float* px = <const float*>PyArray_DATA(x)
    cdef Py_ssize_t i
    cdef int threads = team(30.0 * rows * c, (rows + PIECE - 1) // PIECE)
    if threads == 1:
        with nogil:
            for i in range((rows + PIECE - 1) // PIECE):
                log_softmax_piece(py, px, rows, c, i)
    else:
        for i in prange((rows + PIECE - 1) // PIECE, nogil=True, schedule="static", num_threads=threads):
            log_softmax_piece(py, px, rows, c, i)


cdef ndarray log_softmax_rows(ndarray x):
    """log_softmax along the last axis of x, which is in C order."""
    cdef ndarray y = new_like(x)
    cdef Py_ssize_t c = PyArray_DIMS(x)[PyArray_NDIM(x) - 1]
    if PyArray_SIZE(x) == 0:
        return y
    if PyArray_TYPE(x) == NPY_FLOAT:
        log_softmax_f32(y, x, PyArray_SIZE(x) // c, c)
        return y
    with quiet():
        shifted = x - x.max(axis=-1, keepdims=True)
        (<object>y)[...] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return y


cdef class LogSoftmax(Op):
    """y = x - log sum exp x along dim.  gx = gy - exp(y) sum gy.  Saves y."""

    arguments = ("input",)

    cdef object dim
    cdef int axis

    def __init__(self, dim):
        self.dim = dim

    @property
    def name(self):
        return "log_softmax"

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        check_float("log_softmax", "input", x)
        self.axis = axis_of("log_softmax", self.dim, PyArray_NDIM(x))
        if PyArray_NDIM(x) == 0:
            x = (<object>x).reshape(1)
            return log_softmax_rows(contiguous(x)).reshape(())
        y = log_softmax_rows(contiguous(np.moveaxis(x, self.axis, -1)))
        self.save((y,))                                         # the chosen axis last
        return np.moveaxis(y, -1, self.axis)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray y, g, gx
        if self.saved is None:
            return (np.zeros_like(gy),)
        y = self.saved[0]
        g = contiguous(np.moveaxis(gy, self.axis, -1))
        gx = new_like(y)
        cdef Py_ssize_t c = PyArray_DIMS(y)[PyArray_NDIM(y) - 1]
        cdef unsigned long mode
        if PyArray_SIZE(y) and PyArray_TYPE(y) == NPY_FLOAT:
            mode = tn_enter()
            K.log_softmax_backward_f32(<float*>PyArray_DATA(gx), <float*>PyArray_DATA(g), <float*>PyArray_DATA(y),
                                       PyArray_SIZE(y) // c, c)
            tn_leave(mode)
        else:
            (<object>gx)[...] = g - np.exp(y) * g.sum(axis=-1, keepdims=True)
        return (np.moveaxis(gx, -1, self.axis),)
