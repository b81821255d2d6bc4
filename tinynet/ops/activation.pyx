"""Activations: elementwise functions y = f(x) whose derivative is a function of y alone or of x alone.

Each saves the one array that its derivative is written with, y where that loses nothing: x may then be overwritten.  float32
runs the C kernels over pieces of 8192 elements (32 KiB, an L1 cache), on a slice of channels where it lies; float64 is NumPy,
written as the equations stand.

ReLU and sigmoid of a batch normalisation that is not computed yet are not computed either, but join its recipe
(ops/pending.pyx).

ReLU6: Krizhevsky 2010.  Leaky ReLU: Maas, Hannun & Ng 2013.  ELU: Clevert, Unterthiner & Hochreiter 2016.  GELU and SiLU:
Hendrycks & Gimpel 2016.  Softplus: Dugas, Bengio, Belisle, Nadeau & Garcia 2001.  Hard tanh: Collobert 2004.
"""

from cython.parallel cimport prange
from libc.math cimport M_PI, isfinite, sqrt
from numpy cimport NPY_FLOAT, PyArray_TYPE, import_array, ndarray

from tinynet._graph cimport Op
from tinynet.ops.checks cimport check_float, quiet
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport matching, new_like, same_layout
from tinynet.ops.pending cimport Following, NOTHING, Pending, RELU, SIGMOID, computed, followed
from tinynet.ops.threads cimport PIECE, team, tn_enter, tn_leave
from tinynet.ops.walk cimport Stretch, Walk, plan, stretch

import numpy as np

from tinynet import _check
from tinynet.errors import ArgumentError

import_array()

ctypedef void (*map1_t)(float* y, const float* x, Py_ssize_t n) noexcept nogil
ctypedef void (*map2_t)(float* z, const float* x, const float* y, Py_ssize_t n) noexcept nogil
# with parameters
ctypedef void (*map1_p_t)(float* y, const float* x, Py_ssize_t n, const float* p) noexcept nogil
ctypedef void (*map2_p_t)(float* z, const float* x, const float* y, Py_ssize_t n, const float* p) noexcept nogil


cdef void piece1(map1_t f, map1_p_t f_p, const float* p, const Walk* w, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t row = i // w.across * w.step, last = min(row + w.step, w.rows), first = i % w.across * PIECE, j
    cdef Py_ssize_t n = min(w.n - first, PIECE)
    cdef float* y
    cdef const float* x
    cdef Stretch s
    while row < last:
        s = stretch(w, row, last)
        for j in range(s.count):
            y = w.data[0] + first + s.at[0] + j * w.steps[0][2]
            x = w.data[1] + first + s.at[1] + j * w.steps[1][2]
            if f != NULL:
                f(y, x, n)
            else:
                f_p(y, x, n, p)
        row += s.count
    tn_leave(mode)


cdef void piece2(map2_t f, map2_p_t f_p, const float* p, const Walk* w, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t row = i // w.across * w.step, last = min(row + w.step, w.rows), first = i % w.across * PIECE, j
    cdef Py_ssize_t n = min(w.n - first, PIECE)
    cdef float* z
    cdef const float* x
    cdef const float* y
    cdef Stretch s
    while row < last:
        s = stretch(w, row, last)
        for j in range(s.count):
            z = w.data[0] + first + s.at[0] + j * w.steps[0][2]
            x = w.data[1] + first + s.at[1] + j * w.steps[1][2]
            y = w.data[2] + first + s.at[2] + j * w.steps[2][2]
            if f != NULL:
                f(z, x, y, n)
            else:
                f_p(z, x, y, n, p)
        row += s.count
    tn_leave(mode)


cdef bint map1(map1_t f, map1_p_t f_p, const float* p, ndarray y, ndarray x, int cost) noexcept:
    """y = f(x), or f_p(x; p) if f is NULL; cost of an element in units of `team`.  False, and nothing done, if x does not run
    along y's memory."""
    cdef Walk w
    cdef Py_ssize_t i
    cdef int threads
    if not plan(&w, y, x, None) or w.inner[1] != 1:
        return False
    threads = team(<double>w.rows * w.n * cost, w.pieces)
    if threads == 1:
        with nogil:
            for i in range(w.pieces):
                piece1(f, f_p, p, &w, i)
    else:
        for i in prange(w.pieces, nogil=True, schedule="static", num_threads=threads):
            piece1(f, f_p, p, &w, i)
    return True


cdef bint map2(map2_t f, map2_p_t f_p, const float* p, ndarray z, ndarray x, ndarray y, int cost) noexcept:
    """z = f(x, y), or f_p(x, y; p) if f is NULL; False, and nothing done, if x or y does not run along z's memory."""
    cdef Walk w
    cdef Py_ssize_t i
    cdef int threads
    if not plan(&w, z, x, y) or w.inner[1] != 1 or w.inner[2] != 1:
        return False
    threads = team(<double>w.rows * w.n * cost, w.pieces)
    if threads == 1:
        with nogil:
            for i in range(w.pieces):
                piece2(f, f_p, p, &w, i)
    else:
        for i in prange(w.pieces, nogil=True, schedule="static", num_threads=threads):
            piece2(f, f_p, p, &w, i)
    return True


cdef double finite(str op, str argument, object value) except? -1.0:
    """A parameter, a finite number."""
    return value if type(value) is float and isfinite(<double>value) else _check.real(op, argument, value)


cdef class Activation(Op):
    """y = f(x), gx = gy f'(x) written through y where `by_output`, else through x.  Saves that one array.

    A subclass gives its two kernels (those with parameters as `forward_p_f32`, `backward_p_f32`) and its two float64 lines.
    """

    arguments = ("input",)

    cdef map1_t forward_f32
    cdef map2_t backward_f32
    cdef map1_p_t forward_p_f32
    cdef map2_p_t backward_p_f32
    cdef double[2] p                     # the parameters
    cdef int cost                        # of an element of the forward, in units of `team`
    cdef int backward_cost
    cdef Following following             # what it is in a recipe, if it may join one

    def __cinit__(self, *args):
        self.by_output, self.backward_cost, self.following = True, 10, NOTHING

    cdef object forward_f64(self, ndarray x):
        raise NotImplementedError

    cdef object backward_f64(self, ndarray gy, ndarray v):
        raise NotImplementedError

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x, y
        cdef float[2] p
        cdef Pending recipe
        if isinstance(inputs[0], Pending):
            recipe = <Pending>inputs[0]
            if recipe.following == NOTHING and recipe.array is None:
                self.recipe = followed(recipe, self.following)
                self.recipe.is_saved = True in self.needs
                return self.recipe
            inputs = (computed(recipe),)
        x = inputs[0]
        if self.forward_f32 == NULL and self.forward_p_f32 == NULL:
            raise NotImplementedError(f"{self.name}: no forward")
        check_float(self.name, "input", x)
        y = new_like(x) if out is None or not same_layout(out, x) else out
        if PyArray_TYPE(x) == NPY_FLOAT:
            p[0], p[1] = <float>self.p[0], <float>self.p[1]
            if not map1(self.forward_f32, self.forward_p_f32, p, y, x, self.cost):
                x = matching(x, new_like(x))
                y = new_like(x)
                map1(self.forward_f32, self.forward_p_f32, p, y, x, self.cost)
        else:
            with quiet():
                (<object>y)[...] = self.forward_f64(x)
        self.save((y if self.by_output else x,))
        return y

    cdef int check_saved(self) except -1:
        if self.recipe is not None and self.recipe.array is not None:    # as if it had been saved when it was computed
            self.saved, self.versions[0] = (self.recipe.array,), self.recipe.version
        return Op.check_saved(self)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        if self.recipe is not None:
            self.saved = (computed(self.recipe),)
        cdef ndarray v = self.saved[0], g = gy, gx = new_like(v)
        cdef float[2] p
        if PyArray_TYPE(v) == NPY_FLOAT:
            p[0], p[1] = <float>self.p[0], <float>self.p[1]
            if not map2(self.backward_f32, self.backward_p_f32, p, gx, g, v, self.backward_cost):
                g, v = matching(g, gx), matching(v, gx)
                map2(self.backward_f32, self.backward_p_f32, p, gx, g, v, self.backward_cost)
        else:
            (<object>gx)[...] = self.backward_f64(g, v)
        return (gx,)


cdef class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)).  gx = gy y (1 - y).  Saves y."""

    def __cinit__(self):
        self.forward_f32, self.backward_f32, self.cost = K.sigmoid_forward_f32, K.sigmoid_backward_f32, 30
        self.takes_pending, self.following = True, SIGMOID

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
        self.takes_pending, self.following = True, RELU

    cdef object forward_f64(self, ndarray x):
        return np.maximum(x, 0.0)

    cdef object backward_f64(self, ndarray gy, ndarray y):
        return np.where(y <= 0.0, 0.0, gy)


cdef class LeakyReLU(Activation):
    """y = x where x > 0, else slope x.  gx = gy where x > 0, else slope gy (at 0 and NaN, too).  Saves y, whose sign is x's; x
    if the slope is negative."""

    def __init__(self, negative_slope):
        self.forward_p_f32, self.backward_p_f32, self.cost = K.leaky_relu_forward_f32, K.leaky_relu_backward_f32, 8
        self.p[0] = finite("leaky_relu", "negative_slope", negative_slope)
        self.by_output = self.p[0] >= 0.0

    @property
    def name(self):
        return "leaky_relu"

    cdef object forward_f64(self, ndarray x):
        return np.where(x > 0.0, x, self.p[0] * x)

    cdef object backward_f64(self, ndarray gy, ndarray v):
        return np.where(v > 0.0, gy, self.p[0] * gy)


cdef class ELU(Activation):
    """y = x where x > 0, else alpha (exp(x) - 1), alpha >= 0.  gx = gy where x > 0, else gy alpha exp(x).  Saves x: y + alpha
    would be the same with the rounding error of alpha."""

    def __init__(self, alpha):
        self.forward_p_f32, self.backward_p_f32, self.cost = K.elu_forward_f32, K.elu_backward_f32, 30
        self.by_output, self.backward_cost = False, 30
        self.p[0] = finite("elu", "alpha", alpha)
        if self.p[0] < 0.0:
            raise ArgumentError(f"elu: alpha must be at least 0; got {alpha!r}")

    cdef object forward_f64(self, ndarray x):
        return np.where(x > 0.0, x, self.p[0] * np.expm1(np.minimum(x, 0.0)))

    cdef object backward_f64(self, ndarray gy, ndarray x):
        return np.where(x > 0.0, gy, gy * (self.p[0] * np.exp(np.minimum(x, 0.0))))


cdef class Hardtanh(Activation):
    """y = min(max(x, low), high).  gx = gy where low < y < high, else 0 (so the slope at the ends is 0).  Saves y.  NaN stays
    NaN, with slope 0."""

    def __init__(self, min_val, max_val):
        self.forward_p_f32, self.backward_p_f32, self.cost = K.hardtanh_forward_f32, K.hardtanh_backward_f32, 8
        self.p[0], self.p[1] = finite("hardtanh", "min_val", min_val), finite("hardtanh", "max_val", max_val)
        if self.p[0] > self.p[1]:
            raise ArgumentError(f"hardtanh: min_val must not be above max_val; got {min_val!r} and {max_val!r}")

    cdef object forward_f64(self, ndarray x):
        return np.minimum(np.maximum(x, self.p[0]), self.p[1])

    cdef object backward_f64(self, ndarray gy, ndarray y):
        return np.where((y > self.p[0]) & (y < self.p[1]), gy, 0.0)


cdef class ReLU6(Hardtanh):
    """y = min(max(x, 0), 6): `Hardtanh` from 0 to 6."""

    def __init__(self):
        super().__init__(0.0, 6.0)


cdef class Softplus(Activation):
    """y = log(1 + exp(beta x)) / beta, and x where beta x > threshold.  gx = gy / (1 + exp(-beta x)), and gy there.  Saves x: y
    does not tell on which side of the threshold it arose."""

    def __init__(self, beta, threshold):
        self.forward_p_f32, self.backward_p_f32, self.cost = K.softplus_forward_f32, K.softplus_backward_f32, 40
        self.p[0], self.p[1] = finite("softplus", "beta", beta), finite("softplus", "threshold", threshold)
        self.by_output, self.backward_cost = False, 30
        if self.p[0] == 0.0:
            raise ArgumentError(f"softplus: beta must not be 0; got {beta!r}")

    cdef object forward_f64(self, ndarray x):
        z = self.p[0] * x
        return np.where(z > self.p[1], x, np.logaddexp(0.0, z) / self.p[0])

    cdef object backward_f64(self, ndarray gy, ndarray x):
        z = self.p[0] * x
        return np.where(z > self.p[1], gy, gy / (1.0 + np.exp(-z)))


cdef class LogSigmoid(Activation):
    """y = -log(1 + exp(-x)).  gx = gy (1 - exp(y)).  Saves y."""

    def __cinit__(self):
        self.forward_f32, self.backward_f32, self.cost = K.logsigmoid_forward_f32, K.logsigmoid_backward_f32, 40
        self.backward_cost = 30

    cdef object forward_f64(self, ndarray x):
        return -np.logaddexp(0.0, -x)

    cdef object backward_f64(self, ndarray gy, ndarray y):
        return -gy * np.expm1(y)


cdef class SiLU(Activation):
    """y = x s, s = 1 / (1 + exp(-x)).  gx = gy s (1 + x (1 - s)).  Saves x: y takes its negative values twice."""

    def __cinit__(self):
        self.forward_f32, self.backward_f32, self.cost = K.silu_forward_f32, K.silu_backward_f32, 30
        self.by_output, self.backward_cost = False, 40

    cdef object forward_f64(self, ndarray x):
        return x / (1.0 + np.exp(-x))

    cdef object backward_f64(self, ndarray gy, ndarray x):
        s = 1.0 / (1.0 + np.exp(-x))
        return gy * (s * (1.0 + x * (1.0 - s)))


cdef class GELU(Activation):
    """y = x Phi(x), Phi the standard normal distribution function.  gx = gy (Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi)).  Saves x."""

    def __cinit__(self):
        self.forward_f32, self.backward_f32, self.cost = K.gelu_forward_f32, K.gelu_backward_f32, 60
        self.by_output, self.backward_cost = False, 60

    cdef object forward_f64(self, ndarray x):
        return x * normal_distribution(x)

    cdef object backward_f64(self, ndarray gy, ndarray x):
        return gy * (normal_distribution(x) + x * np.exp(-0.5 * x * x) / sqrt(2.0 * M_PI))


cdef object normal_distribution(ndarray x):
    from scipy.special import ndtr        # here: it takes longer to import than all of this package
    return ndtr(x)


cdef class GELUTanh(Activation):
    """y = x (1 + tanh(u)) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3): close to `GELU`.  With s = (1 + tanh(u)) / 2 =
    1 / (1 + exp(-2u)), gx = gy (s + x s (1 - s) 2u').  Saves x."""

    def __cinit__(self):
        self.forward_f32, self.backward_f32, self.cost = K.gelu_tanh_forward_f32, K.gelu_tanh_backward_f32, 40
        self.by_output, self.backward_cost = False, 50

    @property
    def name(self):
        return "gelu"

    cdef object forward_f64(self, ndarray x):
        return x / (1.0 + np.exp(-2.0 * sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)))

    cdef object backward_f64(self, ndarray gy, ndarray x):
        q = np.minimum(x * x, 1e4)                               # beyond, s is 0 or 1: what follows must only not overflow
        s = 1.0 / (1.0 + np.exp(-2.0 * sqrt(2.0 / M_PI) * x * (1.0 + 0.044715 * q)))
        return gy * (s + x * (s * (1.0 - s)) * 2.0 * sqrt(2.0 / M_PI) * (1.0 + 3.0 * 0.044715 * q))
