"""Batches of training images: crop, mirror and normalise in one pass from bytes to float32, channels last.

    y[b, c, i, j] = table[c, x[b, c, top[b] + i, left[b] + j']],     j' = width - 1 - j where mirrored[b], else j

with x = 0 outside the image, so that a negative top or left pads it.  A byte has 256 values: their normalised form is a table.

Everything runs on the calling thread without the interpreter's lock: the threads of a DataLoader make batches beside each
other and beside the training step, whose own threads are as many as there are cores.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from numpy cimport (
    NPY_FLOAT, NPY_UINT32, PyArray_DATA, PyArray_DIMS, PyArray_STRIDES, import_array, ndarray, npy_intp,
)

from tinynet.ops.kernels cimport K
from tinynet.ops.layout cimport Map, new_nhwc
from tinynet.ops.memory cimport new_array

import_array()

cdef enum:
    PIXELS = 1 << 24                 # values made between two looks for signals: some 20 ms


def philox_rows(ndarray indices, Py_ssize_t n, uint64_t seed, uint64_t call, uint64_t first):
    """Random 32-bit numbers (B, n): row b is words first, first + 1, ... of the 2^14 that sample indices[b] has in call `call`.

    indices is (B,), intp and contiguous, each in [0, 2^50); first is a multiple of 4, first + n at most 2^14.
    """
    cdef const npy_intp* index = <const npy_intp*>PyArray_DATA(indices)
    cdef Py_ssize_t size = PyArray_DIMS(indices)[0], b
    cdef npy_intp[2] shape
    shape[0], shape[1] = size, n
    cdef ndarray words = new_array(2, shape, NPY_UINT32)
    cdef uint32_t* out = <uint32_t*>PyArray_DATA(words)
    with nogil:
        for b in range(size):
            K.philox_u32(out + b * n, n, (<uint64_t>index[b] << 14) + first, seed, call)
    return words


cdef void crop(float* y, const uint8_t* x, const npy_intp* shape, const npy_intp* strides, const float* table, Py_ssize_t top,
               Py_ssize_t left, bint mirrored, Py_ssize_t height, Py_ssize_t width) noexcept nogil:
    """One image; shape and strides are those of the whole batch (B, C, H, W), y is (height, width, C)."""
    cdef Py_ssize_t channels = shape[1], low = max(0, -left), high = min(width, shape[3] - left), step = channels, i, j, c
    cdef const uint8_t* pixel
    cdef const float* value
    cdef float* to
    if mirrored:                         # from here on j counts the columns of the crop, which y has from right to left
        y += (width - 1) * channels
        step = -channels
    high = max(low, high) if low < width else low
    for i in range(height):
        for c in range(channels):
            value, to = table + 256 * c, y + c
            if top + i < 0 or top + i >= shape[2] or high <= low:
                for j in range(width):
                    to[j * step] = value[0]
                continue
            pixel = x + c * strides[1] + (top + i) * strides[2] + left * strides[3]
            for j in range(low):
                to[j * step] = value[0]
            for j in range(low, high):
                to[j * step] = value[pixel[j * strides[3]]]
            for j in range(high, width):
                to[j * step] = value[0]
        y += width * channels


def crop_normalize(ndarray images, ndarray top, ndarray left, ndarray mirrored, Py_ssize_t height, Py_ssize_t width,
                   ndarray table):
    """The batch y (B, C, height, width), float32 and channels last, of images (B, C, H, W), uint8 in any layout.

    top and left are (B,), intp; mirrored is (B,), bool; table is (C, 256), float32; all of them contiguous.
    """
    cdef Map m
    cdef npy_intp* shape = PyArray_DIMS(images)
    cdef npy_intp* strides = PyArray_STRIDES(images)
    cdef Py_ssize_t size = shape[0], area = shape[1] * height * width, b, start
    cdef ndarray y = new_nhwc(size, shape[1], height, width, NPY_FLOAT, &m)
    cdef Py_ssize_t together = max(1, PIXELS // max(1, area))
    cdef const uint8_t* x = <const uint8_t*>PyArray_DATA(images)
    cdef const npy_intp* down = <const npy_intp*>PyArray_DATA(top)
    cdef const npy_intp* right = <const npy_intp*>PyArray_DATA(left)
    cdef const uint8_t* flip = <const uint8_t*>PyArray_DATA(mirrored)
    cdef const float* values = <const float*>PyArray_DATA(table)
    for start in range(0, size if area else 0, together):
        with nogil:
            for b in range(start, min(size, start + together)):
                crop(<float*>m.data + b * area, x + b * strides[0], shape, strides, values, down[b], right[b], flip[b],
                     height, width)
        PyErr_CheckSignals()
    return y
