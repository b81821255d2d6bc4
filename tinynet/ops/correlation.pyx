"""The three functions of a convolution in float32 as matrix products, on images whose channels are last in memory.

With x the images, y the outputs and w the kernel, zero outside the images, per group of channels (windows.pyx has the geometry):

    forward    y[n, i, j, k] = b[k] + sum over r, s, c of w[k, c, r, s] x[n, i sh - ph + r dh, j sw - pw + s dw, c]
    data       x[n, h, w, c] = b[c] + sum over r, s, k of w[k, c, r, s] y[n, i, j, k] for h = i sh - ph + r dh, w = ...
    weights    w[k, c, r, s] = sum over n, i, j of y[n, i, j, k] x[n, i sh - ph + r dh, j sw - pw + s dw, c]

`data` is the gradient of `forward` in its images, and the forward of a transposed convolution.  In each one operand of the
product is gathered: the row of an output holds what its window sees, taps x channels numbers.

A tile of outputs is gathered a part of the depth at a time into scratch that stays in the L2 cache, and multiplied by packed
panels of weights (csrc/gemm.inc.h).  Every output is summed in the order of depth, whatever the tile.  `weights` gathers
straight into packed panels; its sum over outputs is cut into ranges given by the shape, and merged in order and in double.
A 1x1 kernel needs no gathering: its images are read where they lie.
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from numpy cimport NPY_DOUBLE, NPY_FLOAT, PyArray_DATA, import_array, ndarray, npy_intp

from tinynet.ops.kernels cimport K, tn_window
from tinynet.ops.layout cimport Map
from tinynet.ops.linear cimport batch_of
from tinynet.ops.memory cimport contiguous, new_array
from tinynet.ops.prepared cimport PANELS, Prepared, keep, prepared
from tinynet.ops.threads cimport APART, SLOTS, team, tn_enter, tn_leave
from tinynet.ops.windows cimport Pass, Shape, data_pass, forward_pass, up

import_array()

cdef enum:
    TILE = 240                           # outputs at a time at most, a multiple of every height of a tile of csrc
    GATHERED = 48                        # ... where they are gathered (of 24, 48, 240: `benchmarks convolution`, stride 2)
    STEP = 4                             # ... are a multiple of it: 64 outputs are 32 for each of two threads, not 36 and 28
    PART = 256                           # numbers of an output's row gathered at a time
    PART_DIRECT = 1024                   # ... or read where they lie
    BLOCK = 256                          # outputs of one product in `weights`
    NEAR = 64                            # ... where nothing is gathered: FAR of csrc/gemm.inc.h, and why
    RANGE = 512                          # outputs of a range of `weights` at least
    MOVED = 32                           # multiply-adds in the time of a number packed, which waits for memory
    MOST = 1 << 22                       # numbers in all partial sums of `weights`, if there is more than one

# The weights of a pass: number (depth k, feature n) of tap t and group g is data[t * tap + g * group + k * depth + n * feature].
ctypedef struct Weights:
    const float* data
    Py_ssize_t tap, group, depth, feature

# A pass as a product, cut into tiles.
ctypedef struct Tiles:
    Pass over
    Weights w
    Py_ssize_t features, depth, groups   # per group: columns of the product, and taps * channels
    Py_ssize_t panels                    # of features
    bint direct                          # the source's rows are the matrix: 1x1 and step 1
    bint dense                           # the outputs are all pixels of the destination, in order
    bint accumulate                      # add to what stands in the destination
    Py_ssize_t tile, part                # outputs and depth gathered at a time


cdef ndarray by_taps(ndarray w):
    """The kernel (K, C, R, S) as (R, S, K, C) in C order."""
    return contiguous((<object>w).transpose(2, 3, 0, 1))


cdef inline bint is_direct(Pass* p) noexcept:
    """Whether every output sees just the pixel at its own place."""
    cdef tn_window* v = &p.window
    return (v.taps_h == 1 and v.taps_w == 1 and v.step_h == 1 and v.step_w == 1 and v.offset_h == 0 and v.offset_w == 0
            and v.rows == v.h and v.columns == v.w)


# ---- forward and data ----------------------------------------------------------------------------------------------------------


cdef void pack_piece(float* packed, Tiles* t, Py_ssize_t piece) noexcept nogil:
    """One panel of one group: the weights of all taps, one below the other."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t group = piece // t.panels, j = piece % t.panels * K.panel, c = t.over.window.c, r, s
    cdef const float* w = t.w.data + group * t.w.group + j * t.w.feature
    packed += piece * t.depth * K.panel
    for r in range(t.over.window.taps_h):
        for s in range(t.over.window.taps_w):
            K.gemm_pack_f32(packed, w + (t.over.tap + r * t.over.tap_h + s * t.over.tap_w) * t.w.tap, c,
                            min(K.panel, t.features - j), t.w.depth, t.w.feature)
            packed += c * K.panel
    tn_leave(mode)


cdef inline Py_ssize_t place(Pass* p, Py_ssize_t m) noexcept nogil:
    """Where output m stands in the destination."""
    cdef Py_ssize_t j = m % p.window.columns, i = m // p.window.columns % p.window.rows
    cdef Py_ssize_t image = m // p.window.columns // p.window.rows
    return ((image * p.h + p.first_h + i * p.every_h) * p.w + p.first_w + j * p.every_w) * p.ld


cdef void tile_piece(float* y, const float* x, const float* packed, const float* bias, Tiles* t, float* scratch,
                     Py_ssize_t piece) noexcept nogil:
    """One tile of outputs of one group."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t tiles = (t.over.outputs + t.tile - 1) // t.tile, group = piece // tiles
    cdef Py_ssize_t first = piece % tiles * t.tile, last = min(first + t.tile, t.over.outputs)
    cdef Py_ssize_t depth, l = 0, m, count, am = t.over.window.ld
    cdef const float* a
    x += group * t.over.window.c
    y += group * t.features
    packed += group * t.panels * t.depth * K.panel
    while True:
        depth = min(t.part, t.depth - l)
        if t.direct:
            a = x + first * am + l
        else:
            a, am = scratch, depth
            K.im2row_f32(scratch, x, &t.over.window, first, last - first, l, depth, depth)
        m = first
        while m < last:                                                     # all at once, or a row of outputs at a time
            count = last - m if t.dense else min(last - m, t.over.window.columns - m % t.over.window.columns)
            K.gemm_panels_f32(y + place(&t.over, m), a + (m - first) * am, packed + l * K.panel,
                              bias + group * t.features if bias != NULL else NULL, count, t.features, depth,
                              t.over.every_w * t.over.ld, am, 1, t.depth * K.panel, t.accumulate or l > 0)
            m += count
        l += depth
        if l >= t.depth:                                                    # a phase without taps has depth 0: all is bias
            break
    tn_leave(mode)


cdef ndarray packed_panels(Tiles* t):
    """The panels of all groups for a pass of which `over`, `w`, `features` and `groups` are given."""
    t.depth = t.over.window.taps_h * t.over.window.taps_w * t.over.window.c
    t.panels = (t.features + K.panel - 1) // K.panel
    cdef npy_intp size = t.groups * t.panels * t.depth * K.panel
    cdef ndarray panels = new_array(1, &size, NPY_FLOAT)
    cdef float* packed = <float*>PyArray_DATA(panels)
    cdef Py_ssize_t pieces = t.groups * t.panels, first = 0, last, i
    cdef int threads = team(size, pieces)
    cdef Py_ssize_t batch = batch_of(MOVED * size / pieces, threads)
    while first < pieces:
        last = min(first + batch, pieces)
        if threads == 1:
            with nogil:
                for i in range(first, last):
                    pack_piece(packed, t, i)
        else:
            for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                pack_piece(packed, t, i)
        PyErr_CheckSignals()
        first = last
    return panels


cdef int correlate(float* y, const float* x, const float* bias, Tiles* t, ndarray panels) except -1:
    """One pass, of which `over`, `features`, `groups` and `accumulate` are given, with the packed weights."""
    cdef Py_ssize_t pieces, i, first = 0, last, batch, parts
    cdef npy_intp own, size
    cdef int threads
    cdef double work
    cdef const float* packed = <const float*>PyArray_DATA(panels)
    t.depth = t.over.window.taps_h * t.over.window.taps_w * t.over.window.c
    t.panels = (t.features + K.panel - 1) // K.panel
    t.direct = is_direct(&t.over)
    t.dense = t.over.every_h == 1 and t.over.every_w == 1
    work = <double>t.over.outputs * t.features * t.depth * t.groups
    threads = team(work, t.over.outputs * t.groups)
    parts = TILE if t.direct else GATHERED
    parts = up((t.over.outputs + parts - 1) // parts, threads)              # as many for each thread
    t.tile = up((t.over.outputs + parts - 1) // parts, STEP)
    parts = PART_DIRECT if t.direct else PART
    parts = max((t.depth + parts - 1) // parts, 1)
    t.part = up((t.depth + parts - 1) // parts, 16)                         # parts of one size
    pieces = (t.over.outputs + t.tile - 1) // t.tile * t.groups
    own = 0 if t.direct else up(t.tile * t.part, 16) + APART
    size = own * threads
    cdef ndarray scratch_array = new_array(1, &size, NPY_FLOAT)
    cdef float* scratch = <float*>PyArray_DATA(scratch_array)
    batch = batch_of(<double>t.tile * t.features * t.depth, threads)
    while first < pieces:
        last = min(first + batch, pieces)
        if threads == 1:
            with nogil:
                for i in range(first, last):
                    tile_piece(y, x, packed, bias, t, scratch, i)
        else:
            for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                tile_piece(y, x, packed, bias, t, scratch + threadid() * own, i)
        PyErr_CheckSignals()
        first = last
    return 0


cdef int product_forward(Shape* z, Map* y, Map* x, ndarray w, ndarray b, bint accumulate, bint keeping) except -1:
    """y = the convolution of x with w (K, C / groups, R, S), plus b (K) in C order or None; or added to y, without b.

    The block of w keeps the packed weights if asked to.
    """
    cdef Tiles t
    cdef Py_ssize_t c = z.c // z.groups, k = z.k // z.groups
    cdef Prepared p
    cdef ndarray panels, taps
    t.over, t.features, t.groups, t.accumulate = forward_pass(z, y, x), k, z.groups, accumulate
    if t.over.outputs == 0:
        return 0
    p = prepared(w, PANELS, z.groups, keeping)
    if p is not None and p.array is not None:
        panels = p.array
    else:
        taps = by_taps(w)                                                   # (R, S, K, C / groups)
        t.w.data, t.w.tap, t.w.group, t.w.depth, t.w.feature = <const float*>PyArray_DATA(taps), z.k * c, k * c, 1, c
        panels = packed_panels(&t)
        if p is not None:
            keep(w, p, panels)
    return correlate(<float*>y.data, <const float*>x.data, <const float*>PyArray_DATA(b) if b is not None else NULL, &t, panels)


cdef int product_data(Shape* z, Map* x, Map* y, ndarray w, ndarray b, bint accumulate) except -1:
    """x = the transposed convolution of y with w (K, C / groups, R, S), plus b (C) in C order or None; or added to x, without
    b."""
    cdef Tiles t
    cdef Py_ssize_t c = z.c // z.groups, k = z.k // z.groups, a_h, a_w
    w = by_taps(w)                                                          # (R, S, K, C / groups)
    t.features, t.groups, t.accumulate = c, z.groups, accumulate
    t.w.data, t.w.tap, t.w.group, t.w.depth, t.w.feature = <const float*>PyArray_DATA(w), z.k * c, k * c, c, 1
    for a_h in range(min(z.step_h, z.h)):
        for a_w in range(min(z.step_w, z.w)):
            t.over = data_pass(z, x, y, a_h, a_w)
            if t.over.outputs > 0:
                correlate(<float*>x.data, <const float*>y.data, <const float*>PyArray_DATA(b) if b is not None else NULL, &t,
                          packed_panels(&t))
    return 0


# ---- weights -------------------------------------------------------------------------------------------------------------------


# A sum over outputs, cut into ranges of them, groups and chunks of the columns of its matrix (k, taps * channels).
ctypedef struct Sums:
    Pass over
    Py_ssize_t k, depth, groups, ldy     # per group; ldy: of the outputs
    Py_ssize_t range, panels, chunk      # outputs of a range; panels of columns, and those of a piece
    Py_ssize_t done, turn                # outputs of every range: summed already, and summed before looking for signals
    bint direct


cdef void weights_piece(float* part, const float* x, const float* y, Sums* s, float* packed, Py_ssize_t piece) noexcept nogil:
    """One turn of one range of outputs, one group, one chunk of columns."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t chunks = (s.panels + s.chunk - 1) // s.chunk, panel = piece % chunks * s.chunk, p, width, count
    cdef Py_ssize_t group = piece // chunks % s.groups, i = piece // chunks // s.groups
    cdef Py_ssize_t first = i * s.range, m = first + s.done, last = min(m + s.turn, min(first + s.range, s.over.outputs))
    cdef Py_ssize_t last_panel = min(panel + s.chunk, s.panels), block = NEAR if s.direct else BLOCK
    x += group * s.over.window.c
    y += group * s.k
    part += (i * s.groups + group) * s.k * s.depth
    while m < last:
        count = min(block, last - m)
        for p in range(panel, last_panel):
            width = min(K.panel, s.depth - p * K.panel)
            if s.direct and width % (K.panel // 2) == 0:
                K.gemm_rows_f32(part + p * K.panel, y + m * s.ldy, x + m * s.over.window.ld + p * K.panel, NULL, s.k, width,
                                count, s.depth, 1, s.ldy, s.over.window.ld, m > first)
                continue
            K.im2row_f32(packed, x, &s.over.window, m, count, p * K.panel, width, K.panel)
            K.gemm_panels_f32(part + p * K.panel, y + m * s.ldy, packed, NULL, s.k, width, count, s.depth, 1, s.ldy, 0,
                              m > first)                                    # the one, and nothing behind it fetched
        m += count
    tn_leave(mode)


cdef int product_weights(Shape* z, ndarray gw, Map* x, Map* y) except -1:
    """gw (K, C / groups, R, S) = the gradient of the kernel for images x and the gradient y of the outputs."""
    cdef Sums s
    cdef Py_ssize_t ranges, pieces, i, first, last, batch, own
    cdef npy_intp size
    cdef int threads
    s.over, s.k, s.groups, s.ldy = forward_pass(z, y, x), z.k // z.groups, z.groups, y.ld
    s.direct, s.depth = is_direct(&s.over), z.r * z.s * s.over.window.c
    s.panels = (s.depth + K.panel - 1) // K.panel
    ranges = max(min(min(s.over.outputs // RANGE, SLOTS), MOST // (z.k * s.depth)), 1)
    s.range = max(up((s.over.outputs + ranges - 1) // ranges, BLOCK), BLOCK)
    ranges = (s.over.outputs + s.range - 1) // s.range
    s.chunk = max((s.panels * ranges * s.groups + SLOTS - 1) // SLOTS, 1)   # SLOTS pieces, if there are so many
    s.chunk = min(s.chunk, s.panels)
    pieces = ranges * s.groups * ((s.panels + s.chunk - 1) // s.chunk)
    threads = team(<double>s.over.outputs * z.k * s.depth, pieces)
    size = ranges * z.k * s.depth
    cdef ndarray parts = new_array(1, &size, NPY_FLOAT)
    own = BLOCK * K.panel + APART
    size = own * threads
    cdef ndarray scratch_array = new_array(1, &size, NPY_FLOAT)
    cdef float* part = <float*>PyArray_DATA(parts)
    cdef float* scratch = <float*>PyArray_DATA(scratch_array)
    cdef const float* px = <const float*>x.data
    cdef const float* py = <const float*>y.data
    cdef double output = <double>s.k * s.chunk * K.panel                    # the work of one in a piece
    s.done, s.turn = 0, min(batch_of(output * BLOCK, 1) * BLOCK, s.range)
    batch = batch_of(output * s.turn, threads)
    while s.done < s.range:
        first = 0
        while first < pieces:
            last = min(first + batch, pieces)
            if threads == 1:
                with nogil:
                    for i in range(first, last):
                        weights_piece(part, px, py, &s, scratch, i)
            else:
                for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                    weights_piece(part, px, py, &s, scratch + threadid() * own, i)
            PyErr_CheckSignals()
            first = last
        s.done += s.turn
    return merge(gw, parts, ranges, (z.k, z.r, z.s, s.over.window.c), (0, 3, 1, 2))


cdef int merge(ndarray gw, ndarray parts, Py_ssize_t ranges, tuple shape, tuple order) except -1:
    """gw = the sum over the ranges, in double, of parts of `shape`, whose axes gw has in another order."""
    cdef npy_intp size = (<object>gw).size
    cdef ndarray total = parts
    if ranges == 0:
        (<object>gw)[...] = 0
        return 0
    if ranges > 1:
        total = new_array(1, &size, NPY_DOUBLE)
        K.sum_columns_f32(<double*>PyArray_DATA(total), <const float*>PyArray_DATA(parts), ranges, size, size, NULL)
    (<object>gw)[...] = (<object>total).reshape(shape).transpose(order)
    return 0
