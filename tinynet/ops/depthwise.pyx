"""Convolutions in which every channel is a group of its own, in float32: rows of outputs by the kernels of csrc/depthwise.inc.h.

The images have one channel per group, the outputs `many` per group (1 for what is called a depthwise convolution; a separable
stem has more).  A product would multiply panels that are next to empty.  The gradient of the images is a sum over `many`
features, and is done here only where there is one.
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange
from numpy cimport NPY_FLOAT, PyArray_DATA, import_array, ndarray, npy_intp

import numpy as np

from tinynet.ops.correlation cimport by_taps, merge
from tinynet.ops.kernels cimport K
from tinynet.ops.layout cimport Map
from tinynet.ops.linear cimport batch_of
from tinynet.ops.memory cimport new_array
from tinynet.ops.threads cimport SLOTS, team, tn_enter, tn_leave
from tinynet.ops.windows cimport Pass, Shape, data_pass, forward_pass

import_array()


cdef bint takes_depthwise(Shape* z, bint backward) noexcept:
    """Whether these functions do a convolution, or (`backward`) its gradient in the images."""
    return z.groups > 1 and z.c == z.groups and (z.k == z.groups or not backward)


cdef void row_piece(float* y, const float* x, const float* w, const float* bias, Pass* p, Py_ssize_t k, Py_ssize_t many,
                    Py_ssize_t row) noexcept nogil:
    """One row of outputs."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t image = row // p.window.rows, i = row % p.window.rows
    K.depthwise_forward_f32(y + ((image * p.h + p.first_h + i * p.every_h) * p.w + p.first_w) * p.ld, x, w, bias, &p.window, row,
                            k, many, p.every_w * p.ld)
    tn_leave(mode)


cdef int rows_of(float* y, const float* x, ndarray w, ndarray b, Pass* p, Py_ssize_t k, Py_ssize_t many) except -1:
    """One pass; w (R * S, K)."""
    cdef Py_ssize_t rows = p.outputs // max(p.window.columns, 1), i
    cdef Py_ssize_t taps = p.window.taps_h * p.window.taps_w
    cdef int threads = team(<double>p.outputs * (taps + 1) * k * 2, rows)
    # the taps of this pass, in its order
    order = (p.tap + np.arange(p.window.taps_h)[:, None] * p.tap_h + np.arange(p.window.taps_w) * p.tap_w).ravel()
    cdef ndarray seen = (<object>w)[order]                                  # (taps, K)
    cdef const float* pw = <const float*>PyArray_DATA(seen)
    cdef const float* pb = <const float*>PyArray_DATA(b) if b is not None else NULL
    cdef Py_ssize_t batch = batch_of(<double>p.window.columns * (taps + 1) * k * 2, threads), first = 0, last
    while first < rows:
        last = min(first + batch, rows)
        if threads == 1:
            with nogil:
                for i in range(first, last):
                    row_piece(y, x, pw, pb, p, k, many, i)
        else:
            for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                row_piece(y, x, pw, pb, p, k, many, i)
        PyErr_CheckSignals()
        first = last
    return 0


cdef int depthwise_forward(Shape* z, Map* y, Map* x, ndarray w, ndarray b) except -1:
    """As `product_forward` of correlation.pyx."""
    cdef Pass p = forward_pass(z, y, x)
    return rows_of(<float*>y.data, <const float*>x.data, by_taps(w).reshape((z.r * z.s, z.k)), b, &p, z.k, z.k // z.groups)


cdef int depthwise_data(Shape* z, Map* x, Map* y, ndarray w, ndarray b) except -1:
    """As `product_data` of correlation.pyx."""
    cdef Pass p
    cdef Py_ssize_t a_h, a_w
    cdef ndarray taps = by_taps(w).reshape((z.r * z.s, z.k))
    for a_h in range(min(z.step_h, z.h)):
        for a_w in range(min(z.step_w, z.w)):
            p = data_pass(z, x, y, a_h, a_w)
            rows_of(<float*>x.data, <const float*>y.data, taps, b, &p, z.c, 1)
    return 0


cdef void weights_piece(float* part, const float* x, const float* y, Pass* p, Py_ssize_t k, Py_ssize_t many, Py_ssize_t rows,
                        Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    """One range of rows of outputs."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t size = p.window.taps_h * p.window.taps_w * k, j, row
    part += i * size
    for j in range(size):
        part[j] = 0.0
    for row in range(i * step, min((i + 1) * step, rows)):
        K.depthwise_weights_f32(part, y + row * p.window.columns * p.ld, x, &p.window, row, k, many, p.ld)
    tn_leave(mode)


cdef int depthwise_weights(Shape* z, ndarray gw, Map* x, Map* y) except -1:
    """As `product_weights` of correlation.pyx."""
    cdef Pass p = forward_pass(z, y, x)
    cdef Py_ssize_t rows = z.n * z.rows, step = max((rows + SLOTS - 1) // SLOTS, 1), i, many = z.k // z.groups
    cdef Py_ssize_t ranges = (rows + step - 1) // step
    cdef npy_intp size = ranges * z.r * z.s * z.k
    cdef int threads = team(<double>p.outputs * z.r * z.s * z.k * 2, ranges)
    cdef ndarray parts = new_array(1, &size, NPY_FLOAT)
    cdef float* part = <float*>PyArray_DATA(parts)
    cdef const float* px = <const float*>x.data
    cdef const float* py = <const float*>y.data
    cdef Py_ssize_t batch = batch_of(<double>step * z.columns * z.r * z.s * z.k * 2, threads), first = 0, last
    while first < ranges:
        last = min(first + batch, ranges)
        if threads == 1:
            with nogil:
                for i in range(first, last):
                    weights_piece(part, px, py, &p, z.k, many, rows, step, i)
        else:
            for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                weights_piece(part, px, py, &p, z.k, many, rows, step, i)
        PyErr_CheckSignals()
        first = last
    return merge(gw, parts, ranges, (z.r, z.s, z.k, 1), (2, 3, 0, 1))
