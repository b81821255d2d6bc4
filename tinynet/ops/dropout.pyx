"""Dropout: elements are zeroed with probability p, the others scaled by 1 / (1 - p) (Srivastava et al. 2014, inverted form).

Whether an element stays is a function of (seed, call, its index in memory) through Philox4x32-10, so threads do not matter
and nothing is saved: the backward draws the same numbers again.
"""

from cython.parallel cimport prange
from libc.stdint cimport uint32_t, uint64_t
from numpy cimport (
    NPY_FLOAT, NPY_UINT32, PyArray_DATA, PyArray_SIZE, PyArray_TYPE, import_array, ndarray, npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.checks cimport check_float, quiet
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport dense, matching, new_array, new_like, outline
from tinynet.ops.threads cimport PIECE, team, tn_enter, tn_leave

import numpy as np

import_array()

cdef void dropout_piece(float* y, const float* x, Py_ssize_t n, uint64_t seed, uint64_t call, uint32_t threshold, float scale,
                        Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    K.dropout_f32(y + i * PIECE, x + i * PIECE, min(PIECE, n - i * PIECE), i * PIECE, seed, call, threshold, scale)
    tn_leave(mode)


def philox_u32(Py_ssize_t n, uint64_t seed, uint64_t call, uint64_t first=0):
    """n random 32-bit numbers, those of elements first, first + 1, ... of call number `call`; first is a multiple of 4."""
    cdef npy_intp size = n
    cdef ndarray u = new_array(1, &size, NPY_UINT32)
    K.philox_u32(<uint32_t*>PyArray_DATA(u), n, first, seed, call)
    return u


cdef class Dropout(Op):
    """y = x / (1 - p) where the element stays, else 0; gx the same function of gy.  Saves nothing but the outline of x."""

    arguments = ("input",)

    cdef double p
    cdef uint64_t seed
    cdef uint64_t call
    cdef ndarray like                    # an outline

    def __init__(self, p, seed, call):
        self.p, self.seed, self.call = p, seed, call

    cdef ndarray mask(self, ndarray x):
        cdef ndarray y = new_like(x)
        cdef Py_ssize_t n = PyArray_SIZE(x), i
        # An element stays where its number is at least p 2^32; p = 1 drops all, which no 32-bit threshold can say.
        cdef uint32_t threshold = <uint32_t>min(self.p * 4294967296.0, 4294967295.0)
        cdef double scale = 1.0 / (1.0 - self.p) if self.p < 1.0 else 0.0
        cdef float* py
        cdef const float* px
        cdef int threads
        if self.p >= 1.0:
            (<object>y)[...] = 0
        elif PyArray_TYPE(x) == NPY_FLOAT:
            py, px, threads = <float*>PyArray_DATA(y), <const float*>PyArray_DATA(x), team(200.0 * n, (n + PIECE - 1) // PIECE)
            if threads == 1:
                with nogil:
                    for i in range((n + PIECE - 1) // PIECE):
                        dropout_piece(py, px, n, self.seed, self.call, threshold, scale, i)
            else:
                for i in prange((n + PIECE - 1) // PIECE, nogil=True, schedule="static", num_threads=threads):
                    dropout_piece(py, px, n, self.seed, self.call, threshold, scale, i)
        else:
            flat = np.lib.stride_tricks.as_strided(x, (n,), (8,)), np.lib.stride_tricks.as_strided(y, (n,), (8,))
            with quiet():
                flat[1][...] = np.where(philox_u32(n, self.seed, self.call) >= threshold, flat[0] * scale, 0.0)
        return y

    cdef object forward(self, tuple inputs, ndarray out):
        check_float("dropout", "input", inputs[0])
        cdef ndarray x = dense(inputs[0])
        self.like = outline(x)
        return self.mask(x)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (self.mask(matching(gy, self.like)),)
