"""Arrays (N, C, ...) of any rank as rows of C channels, one row per example and position, for what works channel by channel.

Such an array lies in memory as ops/layout.pyx has it for images, channels last; (N, C) does so as it is.
"""

from numpy cimport (
    PyArray_DATA, PyArray_DIMS, PyArray_ISALIGNED, PyArray_ITEMSIZE, PyArray_NDIM, PyArray_STRIDES, PyArray_TYPE, import_array,
    ndarray, npy_intp,
)

from tinynet.ops.layout cimport Map, new_nhwc, nhwc
from tinynet.ops.memory cimport contiguous, new_strided

from math import prod

import numpy as np

import_array()


cdef ndarray rows_of(ndarray x, Map* m):
    """x, or a view or copy of it, that lies in memory as m.n m.h m.w rows of channels; m says where.  m.n is x's first extent."""
    cdef int nd = PyArray_NDIM(x), d
    cdef Py_ssize_t n = PyArray_DIMS(x)[0], c = PyArray_DIMS(x)[1], positions = 1, item = PyArray_ITEMSIZE(x)
    if nd == 4:
        return nhwc(x, m)
    if nd == 3:
        return nhwc((<object>x)[:, :, np.newaxis], m)                   # (N, C, 1, L)
    if nd > 4:
        for d in range(2, nd):
            positions *= PyArray_DIMS(x)[d]
        return nhwc((<object>x).reshape(n, c, 1, positions), m)         # (N, C, 1, L)
    if (not PyArray_ISALIGNED(x) or (c > 1 and PyArray_STRIDES(x)[1] != item)
            or (n > 1 and (PyArray_STRIDES(x)[0] < c * item or PyArray_STRIDES(x)[0] % item))):
        x = contiguous(x)
    m.data, m.n, m.h, m.w, m.c, m.ld = <char*>PyArray_DATA(x), n, 1, 1, c, PyArray_STRIDES(x)[0] // item
    return x


cdef ndarray new_rows(ndarray x, Map* m):
    """An uninitialised array of x's shape and dtype with the channels last in memory; m describes it."""
    cdef int nd = PyArray_NDIM(x), d
    cdef npy_intp* shape = PyArray_DIMS(x)
    cdef npy_intp[64] strides
    cdef npy_intp step
    cdef ndarray y
    if nd == 4:
        return new_nhwc(shape[0], shape[1], shape[2], shape[3], PyArray_TYPE(x), m)
    strides[1] = PyArray_ITEMSIZE(x)
    step = strides[1] * shape[1]
    m.n, m.c, m.h, m.w, m.ld = shape[0], shape[1], 1, 1, shape[1]
    for d in range(nd - 1, 1, -1):
        strides[d] = step
        step *= shape[d]
        m.w *= shape[d]
    strides[0] = step
    y = new_strided(nd, shape, strides, PyArray_TYPE(x))
    m.data = <char*>PyArray_DATA(y)
    return y


cdef object as_matrix(ndarray x):
    """The rows of x as a matrix (rows, C) for NumPy; a view where x has its channels last in memory."""
    rows = np.moveaxis(x, 1, -1)
    return rows.reshape(prod(rows.shape[:-1]), rows.shape[-1])


cdef int fill(ndarray y, object rows) except -1:
    """y, of shape (N, C, ...), becomes what the matrix (rows, C) says."""
    last = np.moveaxis(y, 1, -1)
    last[...] = np.asarray(rows).reshape(last.shape)
    return 0
