"""The three functions of a convolution in float32, on images whose channels are last in memory.

With x the images, y the outputs and w the kernel, zero outside the images, per group of channels:

    forward    y[n, i, j, k] = b[k] + sum over r, s, c of w[k, c, r, s] x[n, i sh - ph + r dh, j sw - pw + s dw, c]
    data       x[n, h, w, c] = b[c] + sum over r, s, k of w[k, c, r, s] y[n, i, j, k], (i, j) such that h = i sh - ph + r dh, ...
    weights    w[k, c, r, s] = sum over n, i, j of y[n, i, j, k] x[n, i sh - ph + r dh, j sw - pw + s dw, c]

`data` is the gradient of `forward` in its images, and the forward of a transposed convolution.  All three are matrix products
in which one operand is gathered: the row of output pixel (n, i, j) holds what it sees, taps x channels numbers.

`data` is a forward again: the pixels h = a + sh i of one phase a of the stride see the taps r with (a + ph - r dh) % sh = 0, at
distances that are whole; so each phase is a convolution of step 1 with a part of the kernel, and no zeros are multiplied.

A tile of output pixels is gathered a part of the depth at a time into scratch that stays in the L2 cache, and multiplied by packed
panels of weights (csrc/gemm.inc.h).  A 1x1 kernel needs no gathering.  Every output is summed in the order of depth, whatever the
tile.  The sum over pixels in `weights` is cut into ranges given by the shape, and merged in order and in double.
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.string cimport memcpy
from numpy cimport NPY_DOUBLE, NPY_FLOAT, PyArray_DATA, import_array, ndarray, npy_intp

from tinynet.ops.kernels cimport K, tn_window
from tinynet.ops.layout cimport Map
from tinynet.ops.linear cimport batch_of
from tinynet.ops.memory cimport contiguous, new_array
from tinynet.ops.threads cimport SLOTS, team, tn_enter, tn_leave

import_array()

cdef enum:
    TILE = 240                           # output pixels gathered at a time at most: a multiple of every height of a tile of csrc
    STEP = 12                            # ... and at least, and what it is a multiple of
    PART = 256                           # numbers of a pixel's row gathered at a time
    BLOCK = 256                          # output pixels of one product in `weights`
    RANGE = 512                          # output pixels of a range of `weights` at least
    MOST = 1 << 22                       # numbers in all partial sums of `weights`, if there is more than one

# One correlation: windows over a source image, multiplied by packed weights, give pixels of a destination.
ctypedef struct Pass:
    tn_window window
    Py_ssize_t pixels                    # of the output, through all images
    Py_ssize_t features, depth           # per group: columns of the product, and taps * channels
    Py_ssize_t groups
    bint direct                          # the source's rows are the matrix: 1x1 and step 1
    bint dense                           # the output's pixels are all pixels of the destination, in order
    Py_ssize_t h, w, ld                  # of the destination
    Py_ssize_t first_h, first_w, every_h, every_w        # output (i, j) is its pixel (first_h + i every_h, first_w + j every_w)
    Py_ssize_t tile, part                # pixels and depth gathered at a time


cdef ndarray by_taps(ndarray w):
    """The kernel (K, C, R, S) as (R, S, K, C) in C order."""
    return contiguous((<object>w).transpose(2, 3, 0, 1))


cdef inline Py_ssize_t rounded_up(Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    return (n + step - 1) // step * step


# ---- forward and data ------------------------------------------------------------------------------------------------------------


cdef void pack_piece(float* packed, const float* w, Pass* p, Py_ssize_t tap, Py_ssize_t tap_h, Py_ssize_t tap_w, Py_ssize_t group_step,
                     Py_ssize_t wk, Py_ssize_t wn, Py_ssize_t piece) noexcept nogil:
    """One panel of one group: the weights of all taps, which lie tap_h and tap_w apart and begin at `tap`."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t panels = (p.features + K.panel - 1) // K.panel, c = p.window.c
    cdef Py_ssize_t group = piece // panels, j = piece % panels * K.panel, r, s
    cdef float* to = packed + piece * p.depth * K.panel
    for r in range(p.window.taps_h):
        for s in range(p.window.taps_w):
            K.gemm_pack_f32(to, w + tap + r * tap_h + s * tap_w + group * group_step + j * wn, c, min(K.panel, p.features - j), wk, wn)
            to += c * K.panel
    tn_leave(mode)


cdef void tile_piece(float* y, const float* x, const float* packed, const float* bias, Pass* p, float* scratch,
                     Py_ssize_t piece) noexcept nogil:
    """One tile of output pixels of one group."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t tiles = (p.pixels + p.tile - 1) // p.tile, panels = (p.features + K.panel - 1) // K.panel
    cdef Py_ssize_t group = piece // tiles, first = piece % tiles * p.tile, count = min(p.tile, p.pixels - first)
    cdef Py_ssize_t c = p.window.c, depth, l = 0, j, am = p.window.ld, ldc = p.ld
    cdef const float* a
    cdef float* out
    x += group * c
    y += group * p.features
    packed += group * panels * p.depth * K.panel
    if p.dense:
        out = y + first * p.ld
    else:
        out, ldc = scratch + p.tile * p.part, p.features
    while True:
        depth = min(p.part, p.depth - l)
        if p.direct:
            a = x + first * am + l
        else:
            a, am = scratch, depth
            K.im2row_f32(scratch, x, &p.window, first, count, l, depth, depth)
        for j in range(panels):
            K.gemm_panel_f32(out + j * K.panel, a, packed + (j * p.depth + l) * K.panel,
                             bias + group * p.features + j * K.panel if bias != NULL else NULL,
                             count, min(K.panel, p.features - j * K.panel), depth, ldc, am, 1, l > 0)
        l += depth
        if l >= p.depth:
            break
    if not p.dense:
        scatter(y, out, p, first, count)
    tn_leave(mode)


cdef void scatter(float* y, const float* rows, Pass* p, Py_ssize_t first, Py_ssize_t count) noexcept nogil:
    """The rows of output pixels to their places in the destination."""
    cdef Py_ssize_t j = first % p.window.columns, i = first // p.window.columns % p.window.rows
    cdef Py_ssize_t image = first // p.window.columns // p.window.rows, m
    for m in range(count):
        memcpy(y + ((image * p.h + p.first_h + i * p.every_h) * p.w + p.first_w + j * p.every_w) * p.ld, rows + m * p.features,
               p.features * sizeof(float))
        j += 1
        if j == p.window.columns:
            j, i = 0, i + 1
            if i == p.window.rows:
                i, image = 0, image + 1


cdef int correlate(float* y, const float* x, const float* w, const float* bias, Pass* p, Py_ssize_t tap, Py_ssize_t tap_h,
                   Py_ssize_t tap_w, Py_ssize_t group_step, Py_ssize_t wk, Py_ssize_t wn) except -1:
    """One pass.  Weight (depth k, column n) of a tap is w[tap + r tap_h + s tap_w + group group_step + k wk + n wn]."""
    cdef Py_ssize_t panels = (p.features + K.panel - 1) // K.panel, pieces, i, first = 0, last, batch
    cdef npy_intp own, size
    cdef int threads
    if p.pixels == 0:
        return 0
    p.depth = p.window.taps_h * p.window.taps_w * p.window.c
    p.tile = min(max(rounded_up(p.pixels // SLOTS, STEP), STEP), TILE)
    p.part = rounded_up((p.depth + (p.depth + PART - 1) // PART - 1) // max((p.depth + PART - 1) // PART, 1), 16)
    size = p.groups * panels * p.depth * K.panel
    cdef ndarray panel_array = new_array(1, &size, NPY_FLOAT)
    cdef float* packed = <float*>PyArray_DATA(panel_array)
    threads = team(size, p.groups * panels)
    for i in prange(p.groups * panels, nogil=True, schedule="static", num_threads=threads, use_threads_if=threads > 1):
        pack_piece(packed, w, p, tap, tap_h, tap_w, group_step, wk, wn, i)
    pieces = (p.pixels + p.tile - 1) // p.tile * p.groups
    threads = team(<double>p.pixels * p.features * p.depth * p.groups, pieces)
    own = rounded_up(p.tile * (p.part + (0 if p.dense else p.features)), 16)
    size = own * threads
    cdef ndarray scratch_array = new_array(1, &size, NPY_FLOAT)
    cdef float* scratch = <float*>PyArray_DATA(scratch_array)
    batch = batch_of(<double>p.tile * p.features * p.depth, threads)
    while first < pieces:
        last = min(first + batch, pieces)
        if threads == 1:
            with nogil:
                for i in range(first, last):
                    tile_piece(y, x, packed, bias, p, scratch, i)
        else:
            for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                tile_piece(y, x, packed, bias, p, scratch + threadid() * own, i)
        PyErr_CheckSignals()
        first = last
    return 0


cdef const float* bias_of(ndarray b) noexcept:
    return <const float*>PyArray_DATA(b) if b is not None else NULL


cdef tn_window window_of(Shape* z, Map* x) noexcept:
    """The windows that the outputs of the convolution see in its images."""
    cdef tn_window v
    v.h, v.w, v.c, v.ld = z.h, z.w, z.c // z.groups, x.ld
    v.rows, v.columns, v.taps_h, v.taps_w = z.rows, z.columns, z.r, z.s
    v.step_h, v.step_w, v.offset_h, v.offset_w, v.gap_h, v.gap_w = z.step_h, z.step_w, -z.pad_h, -z.pad_w, z.gap_h, z.gap_w
    return v


cdef int forward(Shape* z, Map* y, Map* x, ndarray w, ndarray b) except -1:
    """y = the convolution of x with w (K, C / groups, R, S), plus b (K) in C order or None."""
    cdef Pass p
    cdef Py_ssize_t c = z.c // z.groups
    p.window = window_of(z, x)
    p.pixels, p.features, p.groups = z.n * z.rows * z.columns, z.k // z.groups, z.groups
    p.direct = (z.r == 1 and z.s == 1 and z.step_h == 1 and z.step_w == 1 and z.pad_h == 0 and z.pad_w == 0 and z.rows == z.h
                and z.columns == z.w)
    p.dense, p.h, p.w, p.ld, p.first_h, p.first_w, p.every_h, p.every_w = True, z.rows, z.columns, y.ld, 0, 0, 1, 1
    w = by_taps(w)                                                          # (R, S, K, C / groups)
    return correlate(<float*>y.data, <const float*>x.data, <const float*>PyArray_DATA(w), bias_of(b), &p, 0, z.s * z.k * c, z.k * c,
                     p.features * c, 1, c)


cdef Py_ssize_t phase(Py_ssize_t a, Py_ssize_t size, Py_ssize_t step, Py_ssize_t pad, Py_ssize_t gap, Py_ssize_t taps,
                      Py_ssize_t* count, Py_ssize_t* offset, Py_ssize_t* distance, Py_ssize_t* last, Py_ssize_t* every) noexcept:
    """One axis of a phase of `data`: the pixels h = a + step i (their number is returned) see `count` taps, the last of the
    kernel first: tap last - t every at i + offset + t distance."""
    cdef Py_ssize_t r, first = -1
    count[0], offset[0], distance[0], last[0], every[0] = 0, 0, 1, 0, 1
    for r in range(taps):
        if (a + pad - r * gap) % step == 0:
            count[0] += 1
            last[0] = r
            if first < 0:
                first = r
            elif count[0] == 2:
                every[0] = r - first
    if count[0] > 0:
        offset[0] = (a + pad - last[0] * gap) // step
        distance[0] = every[0] * gap // step if count[0] > 1 else 1
    return max(size - a + step - 1, 0) // step


cdef int data(Shape* z, Map* x, Map* y, ndarray w, ndarray b) except -1:
    """x = the transposed convolution of y with w (K, C / groups, R, S), plus b (C) in C order or None."""
    cdef Pass p
    cdef tn_window* v = &p.window
    cdef Py_ssize_t c = z.c // z.groups, k = z.k // z.groups, a_h, a_w, last_h, last_w, every_h, every_w
    w = by_taps(w)                                                          # (R, S, K, C / groups)
    for a_h in range(min(z.step_h, z.h)):
        for a_w in range(min(z.step_w, z.w)):
            v.h, v.w, v.c, v.ld, v.step_h, v.step_w = z.rows, z.columns, k, y.ld, 1, 1
            v.rows = phase(a_h, z.h, z.step_h, z.pad_h, z.gap_h, z.r, &v.taps_h, &v.offset_h, &v.gap_h, &last_h, &every_h)
            v.columns = phase(a_w, z.w, z.step_w, z.pad_w, z.gap_w, z.s, &v.taps_w, &v.offset_w, &v.gap_w, &last_w, &every_w)
            p.pixels, p.features, p.groups = z.n * v.rows * v.columns, c, z.groups
            p.direct = (v.taps_h == 1 and v.taps_w == 1 and v.offset_h == 0 and v.offset_w == 0 and v.rows == v.h
                        and v.columns == v.w)
            p.dense = z.step_h == 1 and z.step_w == 1
            p.h, p.w, p.ld, p.first_h, p.first_w, p.every_h, p.every_w = z.h, z.w, x.ld, a_h, a_w, z.step_h, z.step_w
            correlate(<float*>x.data, <const float*>y.data, <const float*>PyArray_DATA(w), bias_of(b), &p,
                      (last_h * z.s + last_w) * z.k * c, -every_h * z.s * z.k * c, -every_w * z.k * c, k * c, c, 1)
    return 0


# ---- weights ---------------------------------------------------------------------------------------------------------------------


cdef void weights_piece(float* part, const float* x, const float* y, tn_window* v, Py_ssize_t pixels, Py_ssize_t step, Py_ssize_t k,
                        Py_ssize_t ldy, Py_ssize_t groups, Py_ssize_t chunk, float* packed, Py_ssize_t piece) noexcept nogil:
    """One range of output pixels, one group, `chunk` panels of columns of its matrix (k, taps * channels)."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t depth = v.taps_h * v.taps_w * v.c, panels = (depth + K.panel - 1) // K.panel
    cdef Py_ssize_t chunks = (panels + chunk - 1) // chunk, j, m
    cdef Py_ssize_t first_panel = piece % chunks * chunk, group = piece // chunks % groups, i = piece // chunks // groups
    cdef Py_ssize_t first = i * step, last = min(first + step, pixels), count, width, panel
    part += (i * groups + group) * k * depth
    m = first
    while m < last:
        count = min(BLOCK, last - m)
        for panel in range(first_panel, min(first_panel + chunk, panels)):
            j = panel * K.panel
            width = min(K.panel, depth - j)
            K.im2row_f32(packed, x + group * v.c, v, m, count, j, width, K.panel)
            K.gemm_panel_f32(part + j, y + m * ldy + group * k, packed, NULL, k, width, count, depth, 1, ldy, m > first)
        m += count
    tn_leave(mode)


cdef int weights(Shape* z, ndarray gw, Map* x, Map* y) except -1:
    """gw (K, C / groups, R, S) = the gradient of the kernel for images x and the gradient y of the outputs."""
    cdef tn_window v = window_of(z, x)
    cdef Py_ssize_t k = z.k // z.groups, depth = z.r * z.s * v.c, pixels = z.n * z.rows * z.columns, groups = z.groups, ldy = y.ld
    cdef Py_ssize_t ranges, step, panels = (depth + K.panel - 1) // K.panel, chunk, pieces, i, first = 0, last, batch, own
    cdef npy_intp size
    cdef int threads
    if pixels == 0:
        (<object>gw)[...] = 0
        return 0
    ranges = max(min(min(pixels // RANGE, SLOTS), MOST // (z.k * depth)), 1)
    step = rounded_up((pixels + ranges - 1) // ranges, BLOCK)
    ranges = (pixels + step - 1) // step
    chunk = max((panels * ranges * groups + SLOTS - 1) // SLOTS, 1)         # panels of a piece: SLOTS pieces, if there are so many
    chunk = min(chunk, panels)
    pieces = ranges * groups * ((panels + chunk - 1) // chunk)
    threads = team(<double>pixels * z.k * depth, pieces)
    size = ranges * z.k * depth
    cdef ndarray part_array = new_array(1, &size, NPY_FLOAT), total
    own = BLOCK * K.panel
    size = own * threads
    cdef ndarray scratch_array = new_array(1, &size, NPY_FLOAT)
    cdef float* part = <float*>PyArray_DATA(part_array)
    cdef float* scratch = <float*>PyArray_DATA(scratch_array)
    cdef const float* px = <const float*>x.data
    cdef const float* py = <const float*>y.data
    batch = batch_of(<double>step * k * chunk * K.panel, threads)
    while first < pieces:
        last = min(first + batch, pieces)
        if threads == 1:
            with nogil:
                for i in range(first, last):
                    weights_piece(part, px, py, &v, pixels, step, k, ldy, groups, chunk, scratch, i)
        else:
            for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                weights_piece(part, px, py, &v, pixels, step, k, ldy, groups, chunk, scratch + threadid() * own, i)
        PyErr_CheckSignals()
        first = last
    total = part_array
    if ranges > 1:
        size = z.k * depth
        total = new_array(1, &size, NPY_DOUBLE)
        K.sum_columns_f32(<double*>PyArray_DATA(total), part, ranges, size, size, NULL)
    (<object>gw)[...] = (<object>total).reshape(z.k, z.r, z.s, v.c).transpose(0, 3, 1, 2)
    return 0
