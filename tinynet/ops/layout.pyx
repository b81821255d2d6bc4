"""The layout of images: 4-D arrays (N, C, H, W) with the channels last in memory.

Convolution, pooling and the normalisations see an image as rows of channels, one row per pixel.  In this layout a 1x1
convolution is one matrix product, statistics per channel are column sums, and a slice of the channels is the same rows, further
apart.  These functions are the only place that looks at strides of images; the stride of an extent of 1 means nothing.
"""

from numpy cimport (
    PyArray_DATA, PyArray_DIMS, PyArray_ISALIGNED, PyArray_ITEMSIZE, PyArray_NDIM, PyArray_STRIDES, PyArray_TYPE,
    import_array, ndarray, npy_intp,
)

from tinynet.ops.memory cimport new_strided, size_of
from tinynet.ops.walk cimport assign

from tinynet.errors import ShapeError

import_array()


cdef bint is_channels_last(ndarray x) noexcept:
    """Whether x is a 4-D array of more than one channel and pixel whose channels lie closer together than its pixels."""
    cdef npy_intp* shape = PyArray_DIMS(x)
    cdef npy_intp* strides = PyArray_STRIDES(x)
    if PyArray_NDIM(x) != 4 or shape[1] < 2:
        return False
    return (shape[3] > 1 and strides[1] < strides[3]) or (shape[3] == 1 and shape[2] > 1 and strides[1] < strides[2])


cdef bint is_nhwc(ndarray x, Map* m) noexcept:
    """Whether the 4-D array x can be read as rows of channels where it lies; fills m if so."""
    cdef npy_intp* shape = PyArray_DIMS(x)
    cdef npy_intp* strides = PyArray_STRIDES(x)
    cdef Py_ssize_t item = PyArray_ITEMSIZE(x), n = shape[0], c = shape[1], h = shape[2], w = shape[3], step
    m.data, m.n, m.c, m.h, m.w, m.ld = <char*>PyArray_DATA(x), n, c, h, w, c
    if n == 0 or c == 0 or h == 0 or w == 0:
        return True
    if not PyArray_ISALIGNED(x) or (c > 1 and strides[1] != item):
        return False
    step = c * item                          # between pixels: the first of w, h, n that has more than one tells
    if w > 1:
        step = strides[3]
    elif h > 1:
        step = strides[2]
    elif n > 1:
        step = strides[0]
    if step < c * item or step % item or (h > 1 and strides[2] != w * step) or (n > 1 and strides[0] != h * w * step):
        return False
    m.ld = step // item
    return True


cdef ndarray nhwc(ndarray x, Map* m):
    """x itself where `is_nhwc`, else a copy that is; m describes what is returned."""
    cdef ndarray y
    if is_nhwc(x, m):
        return x
    y = new_nhwc(PyArray_DIMS(x)[0], PyArray_DIMS(x)[1], PyArray_DIMS(x)[2], PyArray_DIMS(x)[3], PyArray_TYPE(x), m)
    assign(y, x)
    return y


cdef ndarray new_nhwc(Py_ssize_t n, Py_ssize_t c, Py_ssize_t h, Py_ssize_t w, int dtype, Map* m):
    """An uninitialised array (n, c, h, w), channels last in memory; m describes it."""
    cdef npy_intp[4] shape, strides
    cdef Py_ssize_t item = size_of(dtype)
    if <double>max(n, 1) * max(c, 1) * max(h, 1) * max(w, 1) > 1e17:       # before the strides overflow
        raise ShapeError(f"tinynet: an array of shape {(n, c, h, w)} does not fit into memory")
    shape[0], shape[1], shape[2], shape[3] = n, c, h, w
    strides[1] = item
    strides[3] = strides[1] * max(c, 1)
    strides[2] = strides[3] * max(w, 1)
    strides[0] = strides[2] * max(h, 1)
    cdef ndarray y = new_strided(4, shape, strides, dtype)
    m.data, m.n, m.c, m.h, m.w, m.ld = <char*>PyArray_DATA(y), n, c, h, w, c
    return y
