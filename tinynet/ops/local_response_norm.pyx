"""Local response normalisation across channels (Krizhevsky, Sutskever & Hinton 2012, section 3.3).

For each pixel, with a window of `size` channels around channel j (those that exist count, the others are zero):

    d_j = k + alpha / size * sum of x_i^2 over j - size // 2 <= i <= j + (size - 1) // 2          y_j = x_j d_j^-beta

    gx_j = gy_j d_j^-beta - 2 alpha beta / size * x_j * sum of gy_i x_i d_i^(-beta-1) over the i whose windows contain j

The backward computes d once more: its five additions and two square roots cost less than the memory that would hold it.
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from numpy cimport (
    NPY_FLOAT, PyArray_DATA, PyArray_DIMS, PyArray_NDIM, PyArray_TYPE, import_array, ndarray, npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.checks cimport check_float, quiet, shape_of
from tinynet.ops.kernels cimport K
from tinynet.ops.layout cimport Map, new_nhwc, nhwc
from tinynet.ops.linear cimport batch_of
from tinynet.ops.memory cimport new_array
from tinynet.ops.threads cimport team, tn_enter, tn_leave

import numpy as np

from tinynet import _check
from tinynet.errors import ShapeError

import_array()

cdef enum:
    PIXELS = 32                          # of a piece

ctypedef struct Response:
    Py_ssize_t below, above              # channels of a window on either side, as far as there are any
    float alpha, beta, k


cdef void forward_piece(Map y, Map x, float* room, Response r, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t first = i * PIXELS, count = min(PIXELS, x.n * x.h * x.w - first)
    K.response_forward_f32(<float*>y.data + first * y.c, room, <const float*>x.data + first * x.ld, count, x.c, x.ld, r.below,
                           r.above, r.alpha, r.beta, r.k)
    tn_leave(mode)


cdef void backward_piece(Map gx, Map gy, Map x, float* room, Response r, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t first = i * PIXELS, count = min(PIXELS, x.n * x.h * x.w - first)
    K.response_backward_f32(<float*>gx.data + first * gx.c, room, <const float*>gy.data + first * gy.ld,
                            <const float*>x.data + first * x.ld, count, x.c, gy.ld, x.ld, r.below, r.above, r.alpha, r.beta,
                            r.k)
    tn_leave(mode)


cdef ndarray as_map(ndarray x):
    """x (N, C), (N, C, L) or (N, C, H, W) as a view (N, C, H, W)."""
    cdef int nd = PyArray_NDIM(x)
    return x if nd == 4 else (<object>x)[:, :, None, :] if nd == 3 else (<object>x)[:, :, None, None]


cdef ndarray from_map(ndarray y, int ndim):
    return y if ndim == 4 else (<object>y)[:, :, 0, :] if ndim == 3 else (<object>y)[:, :, 0, 0]


cdef class LocalResponseNorm(Op):
    """y = x (k + alpha / size * sum of x^2 over `size` channels)^-beta for x (N, C), (N, C, L) or (N, C, H, W).  Saves x.

    For the gradient see the top of this file.
    """

    arguments = ("input",)

    cdef Py_ssize_t size
    cdef double alpha
    cdef double beta
    cdef double k

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0):
        op = "local_response_norm"
        self.size = min(_check.integer(op, "size", size, 1), 1 << 62)
        self.alpha = _check.real(op, "alpha", alpha)
        self.beta = _check.real(op, "beta", beta)
        self.k = _check.real(op, "k", k)

    @property
    def name(self):
        return "local_response_norm"

    cdef Response response(self, Py_ssize_t c) noexcept:
        cdef Response r
        r.below, r.above = min(self.size // 2, c), min((self.size - 1) // 2, c)
        r.alpha, r.beta, r.k = <float>(self.alpha / self.size), <float>self.beta, <float>self.k
        return r

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        cdef Map mx, my
        cdef int nd = PyArray_NDIM(x)
        check_float("local_response_norm", "input", x)
        if nd < 2 or nd > 4:
            raise ShapeError(f"local_response_norm: input must have shape (N, C), (N, C, L) or (N, C, H, W); got {shape_of(x)}")
        self.save((x,))
        x = as_map(x)
        y = new_nhwc(PyArray_DIMS(x)[0], PyArray_DIMS(x)[1], PyArray_DIMS(x)[2], PyArray_DIMS(x)[3], PyArray_TYPE(x), &my)
        if PyArray_TYPE(x) == NPY_FLOAT:
            x = nhwc(x, &mx)
            self.run_f32(my, NULL, mx)
        else:
            with quiet():
                (<object>y)[...] = x * self.scale(x) ** -self.beta
        return from_map(y, nd)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray x = as_map(self.saved[0]), g = as_map(gy), gx
        cdef Map mx, mg, mgx
        gx = new_nhwc(PyArray_DIMS(x)[0], PyArray_DIMS(x)[1], PyArray_DIMS(x)[2], PyArray_DIMS(x)[3], PyArray_TYPE(x), &mgx)
        if PyArray_TYPE(x) == NPY_FLOAT:
            x, g = nhwc(x, &mx), nhwc(g, &mg)
            self.run_f32(mgx, &mg, mx)
        else:
            d = self.scale(x)
            terms = self.window_sums(g * x * d ** (-self.beta - 1.0), (self.size - 1) // 2, self.size // 2)
            (<object>gx)[...] = g * d ** -self.beta - 2.0 * self.alpha * self.beta / self.size * x * terms
        return (from_map(gx, PyArray_NDIM(<ndarray>self.saved[0])),)

    cdef object window_sums(self, object a, Py_ssize_t below, Py_ssize_t above):
        """Sums of a over j - below <= i <= j + above, for each channel j."""
        y = np.empty_like(a)
        for j in range(a.shape[1]):
            y[:, j] = a[:, max(j - below, 0):j + above + 1].sum(1)
        return y

    cdef object scale(self, object x):
        return self.k + self.alpha / self.size * self.window_sums(x * x, self.size // 2, (self.size - 1) // 2)

    cdef int run_f32(self, Map y, Map* gy, Map x) except -1:
        """y = the output, or with gy the gradient of the input."""
        cdef Response r = self.response(x.c)
        cdef Py_ssize_t pieces = (x.n * x.h * x.w + PIXELS - 1) // PIXELS if x.c else 0, first = 0, last, i
        cdef double work = 10.0 * PIXELS * x.c * (r.below + r.above + 5) * (1 if self.beta == 0.75 else 20)
        cdef int threads = team(work * pieces, pieces)
        cdef Py_ssize_t batch = batch_of(work, threads)
        cdef npy_intp own = 2 * (x.c + r.below + r.above) + 64, size = threads * own
        cdef ndarray scratch = new_array(1, &size, NPY_FLOAT)
        cdef float* room = <float*>PyArray_DATA(scratch)
        cdef Map g = x if gy == NULL else gy[0]
        cdef bint forward = gy == NULL
        while first < pieces:
            last = min(first + batch, pieces)
            if threads == 1:
                with nogil:
                    for i in range(first, last):
                        if forward:
                            forward_piece(y, x, room, r, i)
                        else:
                            backward_piece(y, g, x, room, r, i)
            else:
                for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                    if forward:
                        forward_piece(y, x, room + threadid() * own, r, i)
                    else:
                        backward_piece(y, g, x, room + threadid() * own, r, i)
            PyErr_CheckSignals()
            first = last
        return 0
