"""The windows of an image as columns (im2col), and the sum of columns back into an image: each is the other's gradient.

A window of kernel (R, S) with its elements `dilation` apart is moved over the image, padded with zeros, in steps of `stride`:

    P = (H + 2 padding - dilation (R - 1) - 1) / stride + 1, rounded down, and Q likewise;      L = P Q
    columns[n, (c R + r) S + s, p Q + q] = x[n, c, p stride + r dilation - padding, q stride + s dilation - padding]

NumPy does all of it: for uses other than convolution, which has kernels of its own.
"""

from numpy cimport PyArray_DIMS, PyArray_NDIM, PyArray_TYPE, import_array, ndarray, npy_intp

from tinynet._graph cimport Op
from tinynet.ops.checks cimport check_float, shape_of
from tinynet.ops.layout cimport Map, new_nhwc
from tinynet.ops.memory cimport new_array, own_copy
from tinynet.ops.walk cimport assign

import numpy as np

from tinynet import _check
from tinynet.errors import ShapeError

import_array()


cdef class Windows(Op):
    """What `Unfold` and `Fold` share: the geometry of the windows, and both directions on arrays of 4 and 3 axes."""

    cdef tuple kernel
    cdef tuple dilation
    cdef tuple padding
    cdef tuple stride
    cdef tuple size                      # (H, W) of the image
    cdef bint batched

    arguments = ("input",)

    def __init__(self, kernel_size, dilation, padding, stride):
        self.kernel = _check.extents(self.name, "kernel_size", kernel_size, 2, 1)
        self.dilation = _check.extents(self.name, "dilation", dilation, 2, 1)
        self.padding = _check.extents(self.name, "padding", padding, 2, 0)
        self.stride = _check.extents(self.name, "stride", stride, 2, 1)

    cdef tuple windows(self):
        """(P, Q), the number of windows along each axis."""
        padded = [n + 2 * p for n, p in zip(self.size, self.padding)]
        spans = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation)]
        if min(self.size) < 1 or any([s > n for s, n in zip(spans, padded)]):
            raise ShapeError(f"{self.name}: kernel_size must fit into the image of {self.size}, padded by {self.padding}; "
                             f"got {self.kernel} with dilation {self.dilation}")
        return tuple([(n - s) // t + 1 for n, s, t in zip(padded, spans, self.stride)])

    cdef ndarray columns(self, ndarray x):
        """x (N, C, H, W) -> (N, C R S, L)"""
        cdef npy_intp[3] shape
        n, c, h, w = shape_of(x)
        (p, q), (r, s) = self.windows(), self.kernel
        room = np.zeros((n, c, h + 2 * self.padding[0], w + 2 * self.padding[1]), (<object>x).dtype)
        assign(self.middle(room), x)
        a, b = room.strides[2:]
        steps = (*room.strides[:2], a * self.dilation[0], b * self.dilation[1], a * self.stride[0], b * self.stride[1])
        shape[0], shape[1], shape[2] = n, c * r * s, p * q
        cdef ndarray y = new_array(3, shape, PyArray_TYPE(x))
        (<object>y).reshape(n, c, r, s, p, q)[...] = np.lib.stride_tricks.as_strided(room, (n, c, r, s, p, q), steps)
        return y

    cdef ndarray image(self, ndarray x):
        """x (N, C R S, L) -> (N, C, H, W): each column is added to the window that it stands for, in double."""
        cdef Map m
        (p, q), (r, s), (dr, ds), (sp, sq) = self.windows(), self.kernel, self.dilation, self.stride
        n, c = PyArray_DIMS(x)[0], PyArray_DIMS(x)[1] // (r * s)
        room = np.zeros((n, c, self.size[0] + 2 * self.padding[0], self.size[1] + 2 * self.padding[1]))
        parts = (<object>x).reshape(n, c, r, s, p, q)
        for i in range(r):
            for j in range(s):
                room[:, :, i * dr:i * dr + (p - 1) * sp + 1:sp, j * ds:j * ds + (q - 1) * sq + 1:sq] += parts[:, :, i, j]
        cdef ndarray y = new_nhwc(n, c, self.size[0], self.size[1], PyArray_TYPE(x), &m)
        (<object>y)[...] = self.middle(room)
        return y

    cdef ndarray middle(self, object room):
        """The padded image without its padding."""
        (h, w), (a, b) = self.size, self.padding
        return room[:, :, a:a + h, b:b + w]

    cdef ndarray with_batch(self, ndarray x):
        """x with an axis for the batch, of extent 1 if it has none."""
        return x if self.batched else (<object>x)[None]

    cdef ndarray without_batch(self, ndarray y):
        return y if self.batched else own_copy((<object>y)[0])


cdef class Unfold(Windows):
    """y (N, C R S, L) = the windows of x (N, C, H, W) as columns.  gx = gy folded.  Saves nothing."""

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        check_float("unfold", "input", x)
        if PyArray_NDIM(x) not in (3, 4) or 0 in shape_of(x)[-3:]:
            raise ShapeError(f"unfold: input must have shape (N, C, H, W) or (C, H, W), not empty but for N; got {shape_of(x)}")
        self.batched = PyArray_NDIM(x) == 4
        self.size = shape_of(x)[-2:]
        return self.without_batch(self.columns(self.with_batch(x)))

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (self.without_batch(self.image(self.with_batch(gy))),)


cdef class Fold(Windows):
    """y (N, C, H, W) = the columns x (N, C R S, L), each added to its window.  gx = gy unfolded.  Saves nothing."""

    def __init__(self, output_size, kernel_size, dilation, padding, stride):
        Windows.__init__(self, kernel_size, dilation, padding, stride)
        self.size = _check.extents("fold", "output_size", output_size, 2, 1)

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        cdef tuple shape = shape_of(x)
        check_float("fold", "input", x)
        (p, q), (r, s) = self.windows(), self.kernel
        if PyArray_NDIM(x) not in (2, 3) or 0 in shape[-2:] or shape[-2] % (r * s) or shape[-1] != p * q:
            raise ShapeError(f"fold: input must have shape (N, C*{r * s}, {p * q}) or (C*{r * s}, {p * q}): the elements of a "
                             f"window {self.kernel} for each channel, and {p} x {q} windows; got {shape}")
        self.batched = PyArray_NDIM(x) == 3
        return self.without_batch(self.image(self.with_batch(x)))

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (self.without_batch(self.columns(self.with_batch(gy))),)
