"""Activations: sigmoid, tanh, ReLU.

All three derivatives are functions of the output y alone, so y is what they save.  float32 runs the C kernels over pieces of
8192 elements (32 KiB, an L1 cache); float64 is NumPy, written as the equations stand.
"""

from cython.parallel cimport prange
from numpy cimport NPY_FLOAT, PyArray_DATA, PyArray_SIZE, PyArray_TYPE, import_array, ndarray

from tinynet._graph cimport Op
from tinynet.ops.checks cimport check_float, quiet
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport dense, matching, new_like
from tinynet.ops.threads cimport PIECE, team, tn_enter, tn_leave

import numpy as np

import_array()

ctypedef void (*map1_t)(float* y, const float* x, Py_ssize_t n) noexcept nogil
ctypedef void (*map2_t)(float* z, const float* x, const float* y, Py_ssize_t n) noexcept nogil

cdef void piece1(map1_t f, float* y, const float* x, Py_ssize_t n, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    f(y + i * PIECE, x + i * PIECE, min(PIECE, n - i * PIECE))
    tn_leave(mode)


cdef void piece2(map2_t f, float* z, const float* x, const float* y, Py_ssize_t n, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    f(z + i * PIECE, x + i * PIECE, y + i * PIECE, min(PIECE, n - i * PIECE))
    tn_leave(mode)


cdef void map1(map1_t f, ndarray y, ndarray x, int cost) noexcept:
    """y = f(x), both dense in the same layout; cost of an element in units of `team`."""
    cdef float* py = <float*>PyArray_DATA(y)
    cdef const float* px = <const float*>PyArray_DATA(x)
    cdef Py_ssize_t n = PyArray_SIZE(x), i
    cdef int threads = team(<double>n * cost, (n + PIECE - 1) // PIECE)
    if threads == 1:
        with nogil:
            for i in range((n + PIECE - 1) // PIECE):
                piece1(f, py, px, n, i)
    else:
        for i in prange((n + PIECE - 1) // PIECE, nogil=True, schedule="static", num_threads=threads):
            piece1(f, py, px, n, i)


cdef void map2(map2_t f, ndarray z, ndarray x, ndarray y, int cost) noexcept:
    """z = f(x, y), all dense in the same layout."""
    cdef float* pz = <float*>PyArray_DATA(z)
    cdef const float* px = <const float*>PyArray_DATA(x)
    cdef const float* py = <const float*>PyArray_DATA(y)
    cdef Py_ssize_t n = PyArray_SIZE(x), i
    cdef int threads = team(<double>n * cost, (n + PIECE - 1) // PIECE)
    if threads == 1:
        with nogil:
            for i in range((n + PIECE - 1) // PIECE):
                piece2(f, pz, px, py, n, i)
    else:
        for i in prange((n + PIECE - 1) // PIECE, nogil=True, schedule="static", num_threads=threads):
            piece2(f, pz, px, py, n, i)


cdef class Activation(Op):
    """y = f(x), gx = gy f'(x) written through y.  Saves y.  A subclass gives its two kernels and its two float64 lines."""

    arguments = ("input",)

    cdef map1_t forward_f32
    cdef map2_t backward_f32
    cdef int cost                        # of an element of the forward, in units of `team`

    cdef object forward_f64(self, ndarray x):
        raise NotImplementedError

    cdef object backward_f64(self, ndarray gy, ndarray y):
        raise NotImplementedError

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        if self.forward_f32 == NULL:
            raise NotImplementedError(f"{self.name}: no forward")
        check_float(self.name, "input", x)
        x = dense(x)
        y = new_like(x) if out is None or (<object>out).strides != (<object>x).strides else out
        self.silent = PyArray_TYPE(x) == NPY_FLOAT
        if self.silent:
            map1(self.forward_f32, y, x, self.cost)
        else:
            with quiet():
                (<object>y)[...] = self.forward_f64(x)
        self.save((y,))
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray y = self.saved[0], g = matching(gy, y), gx = new_like(y)
        if PyArray_TYPE(y) == NPY_FLOAT:
            map2(self.backward_f32, gx, g, y, 10)
        else:
            (<object>gx)[...] = self.backward_f64(g, y)
        return (gx,)


cdef class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)).  gx = gy y (1 - y).  Saves y."""

    def __cinit__(self):
        self.forward_f32, self.backward_f32, self.cost = K.sigmoid_forward_f32, K.sigmoid_backward_f32, 30

    cdef object forward_f64(self, ndarray x):
        return 1.0 / (1.0 + np.exp(np.negative(x)))

    cdef object backward_f64(self, ndarray gy, ndarray y):
        return gy * (y * (1.0 - y))


cdef class Tanh(Activation):
    """y = tanh(x).  gx = gy (1 - y^2).  Saves y."""

    def __cinit__(self):
        self.forward_f32, self.backward_f32, self.cost = K.tanh_forward_f32, K.tanh_backward_f32, 40

    cdef object forward_f64(self, ndarray x):
        return np.tanh(x)

    cdef object backward_f64(self, ndarray gy, ndarray y):
        return gy * (1.0 - y * y)


cdef class ReLU(Activation):
    """y = max(x, 0).  gx = gy where y > 0, else 0 (the slope at 0 is 0); NaN goes through.  Saves y."""

    def __cinit__(self):
        self.forward_f32, self.backward_f32, self.cost = K.relu_forward_f32, K.relu_backward_f32, 8

    cdef object forward_f64(self, ndarray x):
        return np.maximum(x, 0.0)

    cdef object backward_f64(self, ndarray gy, ndarray y):
        return np.where(y <= 0.0, 0.0, gy)
