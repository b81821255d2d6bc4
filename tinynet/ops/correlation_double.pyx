"""The three functions of correlation.pyx in float64, tap by tap: a matrix product of all pixels that a tap sees.

Images are padded copies with channels last; tap (r, s) of the outputs sees a strided slice of them.
"""

from numpy cimport NPY_DOUBLE, import_array, ndarray, npy_intp

from tinynet.ops.windows cimport Shape
from tinynet.ops.linear cimport product
from tinynet.ops.memory cimport contiguous, new_array

import_array()


cdef ndarray zeros(Py_ssize_t a, Py_ssize_t b, Py_ssize_t c, Py_ssize_t d):
    cdef npy_intp[4] shape
    shape[0], shape[1], shape[2], shape[3] = a, b, c, d
    cdef ndarray y = new_array(4, shape, NPY_DOUBLE)
    (<object>y)[...] = 0.0
    return y


cdef ndarray padded(Shape* z):
    """Zeros (N, H', W', C): an image with its padding, as far as windows reach."""
    return zeros(z.n, max(z.pad_h + z.h, (z.rows - 1) * z.step_h + (z.r - 1) * z.gap_h + 1),
                 max(z.pad_w + z.w, (z.columns - 1) * z.step_w + (z.s - 1) * z.gap_w + 1), z.c)


cdef object inside(Shape* z, ndarray image):
    """The image within its padding, (N, C, H, W)."""
    return (<object>image)[:, z.pad_h:z.pad_h + z.h, z.pad_w:z.pad_w + z.w].transpose(0, 3, 1, 2)


cdef object seen(Shape* z, ndarray image, Py_ssize_t r, Py_ssize_t s, Py_ssize_t group):
    """What the outputs see of a padded image under tap (r, s): a view (N, rows, columns, C / groups)."""
    cdef Py_ssize_t h = r * z.gap_h, w = s * z.gap_w, c = z.c // z.groups
    return (<object>image)[:, h:h + (z.rows - 1) * z.step_h + 1:z.step_h, w:w + (z.columns - 1) * z.step_w + 1:z.step_w,
                           group * c:(group + 1) * c]


cdef ndarray rows_of(object x, Py_ssize_t c):
    """(N, rows, columns, c) as a matrix (pixels, c) in C order."""
    return contiguous(x).reshape((-1, c))


cdef object of_group(ndarray x, Py_ssize_t k, Py_ssize_t group):
    """The channels of a group of x (N, K, rows, columns), channels last."""
    return (<object>x)[:, group * k:(group + 1) * k].transpose(0, 2, 3, 1)


cdef int forward_f64(Shape* z, ndarray y, ndarray x, ndarray w, ndarray b) except -1:
    """y = the convolution of x with w (K, C / groups, R, S), plus b (K) or None."""
    cdef Py_ssize_t c = z.c // z.groups, k = z.k // z.groups, g, r, s
    cdef ndarray image = padded(z), out = zeros(1, 1, z.n * z.rows * z.columns, k).reshape((-1, k))
    inside(z, image)[...] = x
    for g in range(z.groups):
        (<object>out)[...] = 0.0 if b is None else (<object>b)[g * k:(g + 1) * k]
        for r in range(z.r):
            for s in range(z.s):
                # out (pixels, k) += seen (pixels, c) w'
                product("conv", out, rows_of(seen(z, image, r, s, g), c), False, (<object>w)[g * k:(g + 1) * k, :, r, s], True,
                        None, True)
        of_group(y, k, g)[...] = (<object>out).reshape(z.n, z.rows, z.columns, k)
    return 0


cdef int data_f64(Shape* z, ndarray x, ndarray y, ndarray w, ndarray b) except -1:
    """x = the transposed convolution of y with w (K, C / groups, R, S), plus b (C) or None."""
    cdef Py_ssize_t c = z.c // z.groups, k = z.k // z.groups, g, r, s
    cdef ndarray image = padded(z), out = zeros(1, 1, z.n * z.rows * z.columns, c).reshape((-1, c)), rows
    if b is not None:
        (<object>image)[...] = b
    for g in range(z.groups):
        rows = rows_of(of_group(y, k, g), k)                                # (pixels, k)
        for r in range(z.r):
            for s in range(z.s):
                # seen (pixels, c) += y (pixels, k) w
                product("conv", out, rows, False, (<object>w)[g * k:(g + 1) * k, :, r, s], False, None, False)
                place = seen(z, image, r, s, g)
                place += (<object>out).reshape(z.n, z.rows, z.columns, c)
    (<object>x)[...] = inside(z, image)
    return 0


cdef int weights_f64(Shape* z, ndarray gw, ndarray x, ndarray y) except -1:
    """gw (K, C / groups, R, S) = the gradient of the kernel for images x and the gradient y of the outputs."""
    cdef Py_ssize_t c = z.c // z.groups, k = z.k // z.groups, g, r, s
    cdef ndarray image = padded(z), out = zeros(1, 1, k, c).reshape((k, c)), rows
    inside(z, image)[...] = x
    for g in range(z.groups):
        rows = rows_of(of_group(y, k, g), k)                                # (pixels, k)
        for r in range(z.r):
            for s in range(z.s):
                # gw (k, c) = y' seen
                product("conv", out, rows, True, rows_of(seen(z, image, r, s, g), c), False, None, False)
                (<object>gw)[g * k:(g + 1) * k, :, r, s] = out
    return 0
