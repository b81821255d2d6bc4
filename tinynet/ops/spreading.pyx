"""The gradient of images as one product and a sum, in float32, where gathering would multiply zeros for the most part.

With the outputs y, the images x and the kernel w (windows.pyx has the geometry):

    product   p[n, i, j, (r, s, c)] = sum over k of y[n, i, j, k] w[k, c, r, s]
    sum       x[n, i sh - ph + r dh, j sw - pw + s dw, c] += p[n, i, j, (r, s, c)]      starting from bias, 0, or what is there

`product_data` of correlation.pyx gathers for each pixel the outputs that saw it.  That multiplies the zeros around the outputs
(those of a 5x5 kernel over 12x12 pixels without padding: 2.25 times the work), and fills up C channels to whole vectors.  Here
nothing but what counts is multiplied and taps x C columns are filled up; in exchange all of them are added in memory.
LeNet's second layer, 20 <- 50 channels, 5x5: 26 GFLOP/s gathered, 81 so (Zen 4, `python -m benchmarks convolution`).
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.string cimport memset
from numpy cimport NPY_FLOAT, PyArray_DATA, import_array, ndarray, npy_intp

from tinynet.ops.kernels cimport K
from tinynet.ops.layout cimport Map
from tinynet.ops.linear cimport batch_of
from tinynet.ops.memory cimport contiguous, new_array
from tinynet.ops.threads cimport APART, team, tn_enter, tn_leave
from tinynet.ops.windows cimport Pass, Shape, forward_pass

import_array()

cdef enum:
    SCRATCH = 32768                      # numbers of the product at a time, about: 128 KiB stay in the L2 cache
    STEP = 12                            # outputs at a time are a multiple of it, the height of a tile of csrc/gemm.inc.h
    VECTOR = 16                          # channels that gathering fills up to a multiple of, about


# A pass over the outputs (its window lies over the images), and the product at each of them.
ctypedef struct Spread:
    Pass over
    Py_ssize_t k, columns, panels, tile  # columns: taps * channels; tile: outputs at a time
    Py_ssize_t ldy
    Py_ssize_t done, turn                # outputs of every image: spread already, and spread before looking for signals
    bint accumulate, merged              # merged: the taps of a row lie side by side in the image


cdef bint takes_spreading(Shape* z) noexcept:
    """Whether gathering would do more than 1.5 times the multiplications."""
    cdef double gathered = <double>z.h * z.w * ((z.c + VECTOR - 1) // VECTOR * VECTOR)
    return z.groups == 1 and z.r * z.s > 1 and gathered > 1.5 * z.rows * z.step_h * z.columns * z.step_w * z.c


cdef void add_rows(float* x, const float* rows, Spread* f, Py_ssize_t first, Py_ssize_t count) noexcept nogil:
    """The products of outputs [first, first + count) of an image, added to its pixels."""
    cdef Py_ssize_t m, r, s, low, high, h, w, c = f.over.window.c, taps = f.over.window.taps_w
    cdef float* pixel
    for m in range(first, first + count):
        w = m % f.over.window.columns * f.over.window.step_w + f.over.window.offset_w
        for r in range(f.over.window.taps_h):
            h = m // f.over.window.columns * f.over.window.step_h + f.over.window.offset_h + r * f.over.window.gap_h
            if 0 <= h < f.over.window.h:
                pixel = x + (h * f.over.window.w + w) * f.over.window.ld
                if f.merged:
                    low, high = max(-w, 0), min(f.over.window.w - w, taps)
                    if low < high:
                        K.add_f32(pixel + low * c, pixel + low * c, rows + low * c, (high - low) * c, 1, 1)
                else:
                    for s in range(taps):
                        if 0 <= w + s * f.over.window.gap_w < f.over.window.w:
                            K.add_f32(pixel + s * f.over.window.gap_w * f.over.window.ld,
                                      pixel + s * f.over.window.gap_w * f.over.window.ld, rows + s * c, c, 1, 1)
            rows += taps * c


cdef void spread_piece(float* x, const float* y, const float* packed, const float* bias, Spread* f, float* scratch,
                       Py_ssize_t image) noexcept nogil:
    """One turn of one image."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t outputs = f.over.window.rows * f.over.window.columns, pixels = f.over.window.h * f.over.window.w
    cdef Py_ssize_t first = f.done, last = min(first + f.turn, outputs), count, i, j, c = f.over.window.c
    x += image * pixels * f.over.window.ld
    y += image * outputs * f.ldy
    if first == 0 and not f.accumulate:
        for i in range(pixels):
            if bias == NULL:
                memset(x + i * f.over.window.ld, 0, c * sizeof(float))
            else:
                for j in range(c):
                    x[i * f.over.window.ld + j] = bias[j]
    while first < last:
        count = min(f.tile, last - first)
        for j in range(f.panels):
            K.gemm_panel_f32(scratch + j * K.panel, y + first * f.ldy, packed + j * f.k * K.panel, NULL, count,
                             min(K.panel, f.columns - j * K.panel), f.k, f.columns, f.ldy, 1, False)
        add_rows(x, scratch, f, first, count)
        first += count
    tn_leave(mode)


cdef int spread_data(Shape* z, Map* x, Map* y, ndarray w, ndarray b, bint accumulate) except -1:
    """As `product_data` of correlation.pyx."""
    cdef Spread f
    cdef Py_ssize_t i, j, first, last, batch
    cdef int threads
    cdef npy_intp size, own
    f.over, f.accumulate = forward_pass(z, y, x), accumulate
    f.k, f.columns, f.ldy = z.k, z.r * z.s * z.c, y.ld
    f.merged = z.gap_w == 1 and x.ld == z.c
    f.panels = (f.columns + K.panel - 1) // K.panel
    f.tile = max(SCRATCH // f.columns // STEP, 1) * STEP
    w = contiguous((<object>w).transpose(0, 2, 3, 1))                       # (K, R, S, C): row k has the columns of the product
    size = f.panels * f.k * K.panel
    cdef ndarray panel_array = new_array(1, &size, NPY_FLOAT)
    cdef float* packed = <float*>PyArray_DATA(panel_array)
    for j in range(f.panels):                                               # f.k rows each: few
        K.gemm_pack_f32(packed + j * f.k * K.panel, <const float*>PyArray_DATA(w) + j * K.panel, f.k,
                        min(K.panel, f.columns - j * K.panel), f.columns, 1)
        PyErr_CheckSignals()
    cdef double output = <double>f.k * f.columns                            # the work of one
    threads = team(output * f.over.outputs, z.n)
    own = f.tile * f.columns + APART
    size = own * threads
    cdef ndarray scratch_array = new_array(1, &size, NPY_FLOAT)
    cdef float* scratch = <float*>PyArray_DATA(scratch_array)
    cdef float* px = <float*>x.data
    cdef const float* py = <const float*>y.data
    cdef const float* pb = <const float*>PyArray_DATA(b) if b is not None else NULL
    f.done, f.turn = 0, min(batch_of(output * f.tile, 1) * f.tile, z.rows * z.columns)
    batch = batch_of(output * f.turn, threads)
    while f.done < z.rows * z.columns:
        first = 0
        while first < z.n:
            last = min(first + batch, z.n)
            if threads == 1:
                with nogil:
                    for i in range(first, last):
                        spread_piece(px, py, packed, pb, &f, scratch, i)
            else:
                for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                    spread_piece(px, py, packed, pb, &f, scratch + threadid() * own, i)
            PyErr_CheckSignals()
            first = last
        f.done += f.turn
    return 0
