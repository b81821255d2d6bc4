"""Pooling: the largest element of a window, and the mean over a window.

A map (N, C, H, W) is read as rows of channels (ops/layout.pyx).  Where the windows lie is said axis by axis
(ops/pooling_windows.pyx), together with the windows that may cover a position.  A gradient is gathered: for each position of the
map the windows that cover it are gone through, in order, so that nothing is added into memory and rows can be dealt out to
threads.

float32 runs csrc/pooling.inc.h, a row of the output at a time.  float64 takes the windows one by one, as the equations stand,
and so do maxima over more than 255 taps, whose places do not fit into a byte.
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange
from libc.stdint cimport uint8_t
from numpy cimport (
    NPY_FLOAT, NPY_INT, NPY_UINT8, PyArray_DATA, PyArray_DIMS, PyArray_NDIM, PyArray_TYPE, import_array, ndarray,
    npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.checks cimport check_float, quiet, shape_of
from tinynet.ops.kernels cimport K
from tinynet.ops.layout cimport Map, new_nhwc, nhwc
from tinynet.ops.linear cimport batch_of
from tinynet.ops.memory cimport new_array
from tinynet.ops.pooling_windows cimport LARGEST, Options, Windows, adaptive_options, divisors_of, regular_options
from tinynet.ops.threads cimport team, tn_enter, tn_leave

import numpy as np

from tinynet import _check
from tinynet.errors import ArgumentError, ShapeError
from tinynet.ops.pooling_windows import checked_divisor

import_array()

cdef enum:
    MOST_TAPS = 255                      # of a window whose maximum's place is kept in a byte


# ---- maps -------------------------------------------------------------------------------------------------------------

cdef ndarray as_map(Op op, ndarray x, int axes):
    """x (N, C, H, W), (C, H, W), (N, C, L) or (C, L), the last two for axes = 1, as a view (N, C, H, W)."""
    cdef int nd = PyArray_NDIM(x), d
    if PyArray_TYPE(x) != NPY_FLOAT:
        check_float(op.name, "input", x)
    if nd != axes + 1 and nd != axes + 2:
        expected = "(N, C, H, W) or (C, H, W)" if axes == 2 else "(N, C, L) or (C, L)"
        raise ShapeError(f"{op.name}: input must have shape {expected}; got {shape_of(x)}")
    for d in range(nd - axes - 1, nd):
        if PyArray_DIMS(x)[d] == 0:
            raise ShapeError(f"{op.name}: input must have at least one element along each axis but the batch's; "
                             f"got {shape_of(x)}")
    if axes == 1:
        x = (<object>x)[..., None, :]                                   # (N, C, 1, L)
    return x if PyArray_NDIM(x) == 4 else (<object>x)[None]             # (N, C, H, W)


cdef ndarray from_map(ndarray y, int ndim, int axes):
    """The map y (N, C, H, W) as an array of as many axes as the input had."""
    if axes == 1:
        y = (<object>y)[:, :, 0]                                        # (N, C, L)
    return y if PyArray_NDIM(y) == ndim else (<object>y)[0]


cdef class Pool(Op):
    """What the ops share: the options, and the windows of the two axes.  One axis is a map of height 1."""

    arguments = ("input",)

    cdef str kind                        # the op's name without the axes
    cdef int axes
    cdef int ndim                        # of the input
    cdef Options options
    cdef Windows rows
    cdef Windows columns

    @property
    def name(self):
        return f"{self.kind}{self.axes}d"

    cdef ndarray begin(self, ndarray x):
        """The input as a map; sets the windows."""
        cdef npy_intp* shape
        cdef tuple size
        self.ndim = PyArray_NDIM(x)
        x = as_map(self, x, self.axes)
        shape = PyArray_DIMS(x)
        if self.axes == 2:
            size = (shape[2], shape[3])
        else:
            size = (shape[3],)
        self.rows, self.columns = self.options.windows(self, size, <double>shape[0] * shape[1])
        return x


cdef void rows_ahead(Py_ssize_t* ahead, const Py_ssize_t* ranges, Py_ssize_t i, const Map* y, Py_ssize_t h) noexcept nogil:
    """ahead = {from, to}: the rows of x (h to an image) that row i + 1 of all of y reads and row i does not.

    Row p of y reads the rows ranges[2 p] to ranges[2 p + 1] of its image (fewer if dilated).
    """
    cdef Py_ssize_t here = i % y.h, following = (i + 1) % y.h
    cdef Py_ssize_t image = h if following == 0 else 0
    ahead[0] = max(ranges[2 * here + 1], image + ranges[2 * following])
    ahead[1] = image + ranges[2 * following + 1] if i + 1 < y.n * y.h else ahead[0]


# ---- maximum ----------------------------------------------------------------------------------------------------------

cdef void max_forward_piece(Map y, Map x, uint8_t* at, const Py_ssize_t* rows, const Py_ssize_t* inside,
                            const Py_ssize_t* columns, Py_ssize_t kw, Py_ssize_t dh, Py_ssize_t dw, Py_ssize_t i) noexcept nogil:
    """Row i of all rows of the output."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t[2] ahead
    rows_ahead(ahead, inside, i, &y, x.h)
    K.max_pool_forward_f32(<float*>y.data + i * y.w * y.c, at + i * y.w * y.c if at != NULL else NULL,
                           <const float*>x.data + i // y.h * x.h * x.w * x.ld, rows + 3 * (i % y.h), columns, ahead, y.w,
                           x.w, x.c, x.ld, kw, dh, dw)
    tn_leave(mode)


cdef void max_backward_piece(Map gx, Map gy, const uint8_t* at, const Py_ssize_t* rows, const Py_ssize_t* touching_rows,
                             const Py_ssize_t* columns, const Py_ssize_t* touching_columns, Py_ssize_t kw, Py_ssize_t dh,
                             Py_ssize_t dw, Py_ssize_t i) noexcept nogil:
    """Row i of all rows of the map."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t image = i // gx.h * gy.h * gy.w
    cdef Py_ssize_t[2] ahead
    rows_ahead(ahead, touching_rows, i, &gx, gy.h)
    K.max_pool_backward_f32(<float*>gx.data + i * gx.w * gx.c, <const float*>gy.data + image * gy.ld, at + image * gy.c,
                            i % gx.h, rows, touching_rows + 2 * (i % gx.h), columns, touching_columns, ahead, gx.w, gy.w,
                            gx.c, gy.ld, kw, dh, dw)
    tn_leave(mode)


cdef class MaxPool(Pool):
    """y = the largest x in the window: NaN if there is one, -inf if all are; gx = the sum of gy over the windows that chose it.

    Chosen is the first tap that attains the maximum (the last that is NaN), row by row.  Saves nothing of x: its tap's number
    i kw + k is kept for each output, in a byte where the window has at most 255 taps, if the gradient or the indices are wanted.
    """

    cdef bint with_indices
    cdef readonly ndarray indices        # int64, of the output's shape: y W + x of the chosen element, if asked for
    cdef ndarray at                      # (N, P, Q, C): the tap

    def __init__(self, axes, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, with_indices=False):
        self.kind, self.axes, self.with_indices = "max_pool", axes, with_indices
        self.options = regular_options(self, axes, kernel_size, stride, padding, dilation, ceil_mode)

    @property
    def name(self):
        return f"{self.kind}{self.axes}d_with_indices" if self.with_indices else f"{self.kind}{self.axes}d"

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = self.begin(inputs[0]), y
        cdef Windows rows = self.rows, columns = self.columns
        cdef Map mx, my
        cdef npy_intp[4] shape
        cdef bint small = rows.kernel * columns.kernel <= MOST_TAPS
        if rows.kernel > LARGEST // columns.kernel:
            raise ArgumentError(f"{self.name}: kernel_size must have at most {LARGEST} taps; got {self.options.kernel}")
        if not rows.filled or not columns.filled:
            raise ShapeError(f"{self.name}: input must have an element in every window of kernel_size {self.options.kernel} with "
                             f"padding {self.options.padding} and dilation {self.options.dilation}; "
                             f"got shape {shape_of(inputs[0])}")
        y = new_nhwc(PyArray_DIMS(x)[0], PyArray_DIMS(x)[1], rows.count, columns.count, PyArray_TYPE(x), &my)
        if self.needs[0] or self.with_indices:
            shape[0], shape[1], shape[2], shape[3] = my.n, my.h, my.w, my.c
            self.at = new_array(4, shape, NPY_UINT8 if small else NPY_INT)
        if PyArray_TYPE(x) == NPY_FLOAT and small:
            x = nhwc(x, &mx)
            self.forward_f32(my, mx)
        else:
            self.forward_plain(y, x)
        if self.with_indices:
            self.indices = from_map(self.flat_indices(), self.ndim, self.axes)
        return from_map(y, self.ndim, self.axes)

    cdef int forward_f32(self, Map y, Map x) except -1:
        cdef const Py_ssize_t* rows = <const Py_ssize_t*>PyArray_DATA(self.rows.table)
        cdef const Py_ssize_t* inside = <const Py_ssize_t*>PyArray_DATA(self.rows.inside)
        cdef const Py_ssize_t* columns = <const Py_ssize_t*>PyArray_DATA(self.columns.table)
        cdef uint8_t* at = <uint8_t*>PyArray_DATA(self.at) if self.at is not None else NULL
        cdef Py_ssize_t kw = self.columns.kernel, dh = self.rows.dilation, dw = self.columns.dilation
        cdef double work = 4.0 * y.w * y.c * self.rows.kernel * kw       # of a row
        cdef Py_ssize_t pieces = y.n * y.h, first = 0, last, i
        cdef int threads = team(work * pieces, pieces)
        cdef Py_ssize_t batch = batch_of(work, threads)
        while first < pieces:
            last = min(first + batch, pieces)
            if threads == 1:
                with nogil:
                    for i in range(first, last):
                        max_forward_piece(y, x, at, rows, inside, columns, kw, dh, dw, i)
            else:
                for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                    max_forward_piece(y, x, at, rows, inside, columns, kw, dh, dw, i)
            PyErr_CheckSignals()
            first = last
        return 0

    cdef int forward_plain(self, ndarray y, ndarray x) except -1:
        """Window by window."""
        kw = self.columns.kernel
        for p, q in np.ndindex(self.rows.count, self.columns.count):
            window = x[:, :, self.rows.positions(p), self.columns.positions(q)]             # (N, C, taps)
            height, width = window.shape[2:]
            taps = window.reshape(*window.shape[:2], height * width)
            index = taps.argmax(-1)
            index = np.where(np.isnan(taps).any(-1), height * width - 1 - np.isnan(taps[..., ::-1]).argmax(-1), index)
            y[:, :, p, q] = np.take_along_axis(taps, index[..., None], -1)[..., 0]
            if self.at is not None:
                first_row, first_column = self.rows.table[p, 1], self.columns.table[q, 1]
                self.at[:, p, q] = (first_row + index // width) * kw + first_column + index % width
        return 0

    cdef ndarray flat_indices(self):
        """Where the maxima stand: y W + x, (N, C, P, Q)."""
        kw = self.columns.kernel
        at = self.at.astype(np.int64)
        ys = self.rows.table[:, 0, None, None] + at // kw * self.rows.dilation
        xs = self.columns.table[:, 0, None] + at % kw * self.columns.dilation
        return (ys * self.columns.size + xs).transpose(0, 3, 1, 2)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray g = as_map(self, gy, self.axes), gx
        cdef Map mg, mx
        gx = new_nhwc(PyArray_DIMS(g)[0], PyArray_DIMS(g)[1], self.rows.size, self.columns.size, PyArray_TYPE(g), &mx)
        if PyArray_TYPE(g) == NPY_FLOAT and PyArray_TYPE(self.at) == NPY_UINT8:
            g = nhwc(g, &mg)
            self.backward_f32(mx, mg)
        else:
            self.backward_plain(gx, g)
        return (from_map(gx, self.ndim, self.axes),)

    cdef int backward_f32(self, Map gx, Map gy) except -1:
        cdef const Py_ssize_t* rows = <const Py_ssize_t*>PyArray_DATA(self.rows.table)
        cdef const Py_ssize_t* columns = <const Py_ssize_t*>PyArray_DATA(self.columns.table)
        cdef const Py_ssize_t* touching_rows = <const Py_ssize_t*>PyArray_DATA(self.rows.touching)
        cdef const Py_ssize_t* touching_columns = <const Py_ssize_t*>PyArray_DATA(self.columns.touching)
        cdef const uint8_t* at = <const uint8_t*>PyArray_DATA(self.at)
        cdef Py_ssize_t kw = self.columns.kernel, dh = self.rows.dilation, dw = self.columns.dilation
        cdef double work = 4.0 * gx.w * gx.c * min(self.rows.kernel * kw, gy.h * gy.w)
        cdef Py_ssize_t pieces = gx.n * gx.h, first = 0, last, i
        cdef int threads = team(work * pieces, pieces)
        cdef Py_ssize_t batch = batch_of(work, threads)
        while first < pieces:
            last = min(first + batch, pieces)
            if threads == 1:
                with nogil:
                    for i in range(first, last):
                        max_backward_piece(gx, gy, at, rows, touching_rows, columns, touching_columns, kw, dh, dw, i)
            else:
                for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                    max_backward_piece(gx, gy, at, rows, touching_rows, columns, touching_columns, kw, dh, dw, i)
            PyErr_CheckSignals()
            first = last
        return 0

    cdef int backward_plain(self, ndarray gx, ndarray g) except -1:
        (<object>gx)[...] = 0
        kw = self.columns.kernel
        for p, q in np.ndindex(self.rows.count, self.columns.count):
            window = gx[:, :, self.rows.positions(p), self.columns.positions(q)]
            height, width = window.shape[2:]
            at = self.at[:, p, q].astype(np.int64)                                            # (N, C)
            index = (at // kw - self.rows.table[p, 1]) * width + at % kw - self.columns.table[q, 1]
            hit = np.arange(height * width) == index[..., None]                               # (N, C, taps)
            window += np.where(hit, g[:, :, p, q, None], 0).reshape(window.shape)
        return 0


cdef class AdaptiveMaxPool(MaxPool):
    """`MaxPool` with windows that divide the map into output_size parts: see the top of this file."""

    def __init__(self, axes, output_size, with_indices=False):
        self.kind, self.axes, self.with_indices = "adaptive_max_pool", axes, with_indices
        self.options = adaptive_options(self, axes, output_size)


# ---- mean -------------------------------------------------------------------------------------------------------------

cdef void window_sum_piece(Map y, Map x, const float* weight, const float* divisor, const Py_ssize_t* rows,
                           const Py_ssize_t* columns, Py_ssize_t i) noexcept nogil:
    """Row i of all rows of y."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t[2] ahead
    rows_ahead(ahead, rows, i, &y, x.h)
    K.window_sum_f32(<float*>y.data + i * y.w * y.c, <const float*>x.data + i // y.h * x.h * x.w * x.ld, weight,
                     divisor + i % y.h * y.w if divisor != NULL else NULL, rows + 2 * (i % y.h), columns, ahead, y.w, x.w, x.c,
                     x.ld)
    tn_leave(mode)


cdef int window_sums(Map y, Map x, ndarray weight, ndarray divisor, ndarray rows, ndarray columns) except -1:
    """y = sums of x over rectangles, x weighted or y divided: see the kernel."""
    cdef const Py_ssize_t* r = <const Py_ssize_t*>PyArray_DATA(rows)
    cdef const Py_ssize_t* c = <const Py_ssize_t*>PyArray_DATA(columns)
    cdef const float* w = <const float*>PyArray_DATA(weight) if weight is not None else NULL
    cdef const float* d = <const float*>PyArray_DATA(divisor) if divisor is not None else NULL
    # Of a row, if its windows are about as wide as they are apart or as the first one.
    cdef double work = 2.0 * y.c * max(<double>y.w * (c[1] - c[0]), x.w) * max(r[1] - r[0], 1)
    cdef Py_ssize_t pieces = y.n * y.h, first = 0, last, i
    cdef int threads = team(work * pieces, pieces)
    cdef Py_ssize_t batch = batch_of(work, threads)
    while first < pieces:
        last = min(first + batch, pieces)
        if threads == 1:
            with nogil:
                for i in range(first, last):
                    window_sum_piece(y, x, w, d, r, c, i)
        else:
            for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                window_sum_piece(y, x, w, d, r, c, i)
        PyErr_CheckSignals()
        first = last
    return 0


cdef class AvgPool(Pool):
    """y = the sum of x over the window / divisor; gx = the sum of gy / divisor over the windows that cover it.  Saves nothing.

    The divisor is divisor_override if that is given, else the number of taps inside the map, or with count_include_pad inside
    the padded map (of which a last window with ceil_mode may cover less than its kernel).
    """

    cdef bint count_include_pad
    cdef object divisor_override         # an int or None
    cdef ndarray divisors                # (P, Q) float64
    cdef ndarray weights                 # (P, Q) float32: 1 / divisors

    def __init__(self, axes, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
                 divisor_override=None):
        self.kind, self.axes = "avg_pool", axes
        self.options = regular_options(self, axes, kernel_size, stride, padding, 1, ceil_mode)
        self.count_include_pad = count_include_pad is True or _check.boolean(self.name, "count_include_pad", count_include_pad)
        if divisor_override is not None:
            self.divisor_override = checked_divisor(self.name, divisor_override)

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = self.begin(inputs[0]), y
        cdef Windows rows = self.rows, columns = self.columns
        cdef Map mx, my
        y = new_nhwc(PyArray_DIMS(x)[0], PyArray_DIMS(x)[1], rows.count, columns.count, PyArray_TYPE(x), &my)
        self.divisors, divisors, self.weights = divisors_of(rows, columns, self.count_include_pad, self.divisor_override)
        if PyArray_TYPE(x) == NPY_FLOAT:
            x = nhwc(x, &mx)
            window_sums(my, mx, None, divisors, rows.inside, columns.inside)
        else:
            with quiet():
                for p, q in np.ndindex(rows.count, columns.count):
                    window = x[:, :, rows.positions(p), columns.positions(q)]
                    y[:, :, p, q] = window.sum((2, 3)) / self.divisors[p, q]
        return from_map(y, self.ndim, self.axes)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray g = as_map(self, gy, self.axes), gx
        cdef Windows rows = self.rows, columns = self.columns
        cdef Map mg, mx
        gx = new_nhwc(PyArray_DIMS(g)[0], PyArray_DIMS(g)[1], rows.size, columns.size, PyArray_TYPE(g), &mx)
        if PyArray_TYPE(g) == NPY_FLOAT:
            g = nhwc(g, &mg)
            window_sums(mx, mg, self.weights, None, rows.touching, columns.touching)
        else:
            (<object>gx)[...] = 0
            for p, q in np.ndindex(rows.count, columns.count):
                window = gx[:, :, rows.positions(p), columns.positions(q)]
                window += g[:, :, p, q, None, None] / self.divisors[p, q]
        return (from_map(gx, self.ndim, self.axes),)


cdef class AdaptiveAvgPool(AvgPool):
    """`AvgPool` with windows that divide the map into output_size parts: see the top of this file."""

    def __init__(self, axes, output_size):
        self.kind, self.axes = "adaptive_avg_pool", axes
        self.options = adaptive_options(self, axes, output_size)
