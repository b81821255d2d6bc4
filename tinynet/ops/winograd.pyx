"""The three functions of a 3x3 convolution of step 1 in float32 by Winograd's F(4x4, 3x3).

As those of correlation.pyx, with a quarter of the multiplications; csrc/winograd.inc.h has the equations and the kernels.
Outputs are cut into tiles of 4x4, counted in rows through all images.  A block of tiles is brought to 36 points and stays there
in scratch that fits the L2 cache; at each point the product with the weights is a matrix product (csrc/gemm.inc.h):

    forward    M[p] (tiles, K) = V[p] (tiles, C) U[p] (C, K)       V from the images x, U from w, y from M
    data       the same, with V from y and U from w turned by half a turn
    weights    D[p] (K, C) += W[p]' (K, tiles) V[p] (tiles, C)     W from y, V from x, gw from the sum D over all blocks

`forward` goes through the features a panel at a time, so that M is small.  A piece of it is a run of whole rows of tiles,
hence of rows of outputs, or a block of a row that is longer.  Where there are too few pieces for threads to share (small
batches), all blocks are transformed first and then pairs of a block and a panel, or half a one, are dealt out.  Every output is
summed in the order of the channels: the bits depend on neither.

`weights` cuts its sum into ranges of tiles by the shape, and merges them in order.  If there are few of them, a piece does
a part of the points.
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from numpy cimport NPY_FLOAT, PyArray_DATA, import_array, ndarray, npy_intp

from tinynet.ops.algorithm cimport AUTO, WINOGRAD, conv_algorithm
from tinynet.ops.kernels cimport K
from tinynet.ops.layout cimport Map
from tinynet.ops.linear cimport batch_of
from tinynet.ops.memory cimport contiguous, new_array
from tinynet.ops.prepared cimport TURNED, UPRIGHT, Prepared, keep, prepared
from tinynet.ops.threads cimport APART, SLOTS, team, tn_enter, tn_leave
from tinynet.ops.windows cimport Pass, Shape, data_pass, forward_pass, up

import_array()

cdef enum:
    POINTS = 36
    SIDE = 6                             # rows of points
    STEP = 24                            # tiles of a block: a multiple of every height of a tile of csrc/gemm.inc.h
    MOST = 96                            # ... and at most
    ROOM = 160000                        # numbers of a block at all points (640 KB)
    GAP = 16                             # numbers between the matrices of points: other sets of a cache
    LINES = 32                           # rows of weights transformed in a piece
    RANGE = 512                          # tiles of a range of `weights` at least: merging it must be small beside its product
    MOVED = 32                           # multiply-adds in the time of a number transformed, which waits for memory
    SUMS = 1 << 25                       # numbers in all sums of `weights` (128 MB), if there is more than one range
    MOST_POINTS = 1 << 26                # numbers of the weights at all points (256 MiB), for 'auto'


cdef bint takes_winograd(Shape* z, Function which) noexcept:
    """Whether these functions do a convolution: by its geometry, and by the algorithm chosen or the rule of 'auto'.

    'auto' weighs what decides the speed beside im2row, 1.5 to 3 times where it holds (32x32 to 4x4, batches of 32 and 1,
    16 to 256 channels, `python -m benchmarks convolution`): there are tiles enough to be worth transforming the weights (at 4
    the forward gains a third and the gradients lose a fifth, at 8 they gain), and most outputs of the tiles exist (not at 2x2
    and below).  It also keeps the memory for the weights at all points below a bound.
    """
    cdef Py_ssize_t rows = z.h if which == DATA else z.rows, columns = z.w if which == DATA else z.columns
    cdef Py_ssize_t tiles = z.n * parts(rows, 4) * parts(columns, 4)
    if not (z.r == 3 and z.s == 3 and z.step_h == 1 and z.step_w == 1 and z.gap_h == 1 and z.gap_w == 1):
        return False
    if conv_algorithm() != AUTO:
        return conv_algorithm() == WINOGRAD
    if z.c // z.groups < 16 or z.k // z.groups < 16 or tiles < (4 if which == FORWARD else 8):
        return False
    if <double>POINTS * z.c * (z.k // z.groups) > MOST_POINTS:
        return False
    return POINTS * tiles <= 0.7 * 9 * z.n * rows * columns                 # multiplications here and there


cdef inline Py_ssize_t parts(Py_ssize_t n, Py_ssize_t size) noexcept nogil:
    """How many parts of at most `size` n has."""
    return (n + size - 1) // size


cdef Py_ssize_t block_of(Py_ssize_t numbers) noexcept:
    """Tiles of a block, of which each has so many numbers at a point."""
    return min(max(ROOM // (POINTS * numbers) // STEP * STEP, STEP), MOST)


# ---- forward and data ----------------------------------------------------------------------------------------------------------


# A pass as 36 products, cut into blocks of tiles.  `over`, c, k, groups and where the weights lie in w are given.
ctypedef struct Tiles:
    Pass over
    Py_ssize_t c, k, groups              # depth and features of the products, of a group
    const float* w                       # taps of depth c and feature k of group g: at g * w_group + c * w_depth + k * w_feature
    Py_ssize_t w_group, w_depth, w_feature
    bint turned
    Py_ssize_t tiles, piece, block       # of the pass, of a piece, of a block
    Py_ssize_t panels, width             # width: features at a time, a panel or half a one
    Py_ssize_t ldv, u_point, v_point, m_point            # between rows of V; between the matrices of two points


cdef void weights_of(float* u, Tiles* t, Py_ssize_t piece) noexcept nogil:
    """LINES rows of one panel of one group, at all points."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t chunks = parts(t.c, LINES), row = piece % chunks * LINES, panel = piece // chunks
    cdef Py_ssize_t group = panel // t.panels, j = panel % t.panels * K.panel
    K.winograd_weights_f32(u + panel * POINTS * t.u_point + row * K.panel,
                           t.w + group * t.w_group + row * t.w_depth + j * t.w_feature, min(LINES, t.c - row),
                           min(K.panel, t.k - j), t.w_depth, t.w_feature, t.u_point, t.turned)
    tn_leave(mode)


cdef inline void features_of(float* y, const float* v, const float* u, const float* bias, float* m, Tiles* t, bint accumulate,
                             Py_ssize_t first, Py_ssize_t count, Py_ssize_t j) noexcept nogil:
    """The features from j on, as many as are done at a time, of one block: the products and the outputs."""
    cdef Py_ssize_t n = min(t.width, t.k - j), p
    u += j // K.panel * POINTS * t.u_point + j % K.panel
    for p in range(POINTS):
        K.gemm_panel_f32(m + p * t.m_point, v + p * t.v_point, u + p * t.u_point, NULL, count, n, t.c, K.panel, t.ldv, 1, False)
    K.winograd_output_f32(y + j, m, bias + j if bias != NULL else NULL, &t.over.window, first, count, n, t.over.ld, t.m_point,
                          K.panel, accumulate)


cdef void rows_piece(float* y, const float* x, const float* u, const float* bias, Tiles* t, bint accumulate, float* scratch,
                     Py_ssize_t piece) noexcept nogil:
    """A run of tiles of one group."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t pieces = parts(t.tiles, t.piece), group = piece // pieces, first = piece % pieces * t.piece, j, count
    cdef Py_ssize_t last = min(first + t.piece, t.tiles)
    cdef float* m = scratch + POINTS * t.v_point
    u += group * t.panels * POINTS * t.u_point
    while first < last:
        count = min(t.block, last - first)
        K.winograd_input_f32(scratch, x + group * t.c, &t.over.window, first, count, t.c, t.v_point, t.ldv, 0, SIDE)
        for j in range(t.panels):
            features_of(y + group * t.k, scratch, u, bias + group * t.k if bias != NULL else NULL, m, t, accumulate, first,
                        count, j * K.panel)
        first += count
    tn_leave(mode)


cdef void input_piece(float* v, const float* x, Tiles* t, Py_ssize_t piece) noexcept nogil:
    """One block of one group, brought to the points."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t blocks = parts(t.tiles, t.block), first = piece % blocks * t.block
    K.winograd_input_f32(v + piece * POINTS * t.v_point, x + piece // blocks * t.c, &t.over.window, first,
                         min(t.block, t.tiles - first), t.c, t.v_point, t.ldv, 0, SIDE)
    tn_leave(mode)


cdef void features_piece(float* y, const float* v, const float* u, const float* bias, Tiles* t, bint accumulate, float* m,
                         Py_ssize_t piece) noexcept nogil:
    """One panel, or half a one, of one block of one group."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t blocks = parts(t.tiles, t.block), chunks = parts(t.k, t.width), block = piece // chunks
    cdef Py_ssize_t group = block // blocks, first = block % blocks * t.block
    features_of(y + group * t.k, v + block * POINTS * t.v_point, u + group * t.panels * POINTS * t.u_point,
                bias + group * t.k if bias != NULL else NULL, m, t, accumulate, first, min(t.block, t.tiles - first),
                piece % chunks * t.width)
    tn_leave(mode)


cdef int convolve(Map* y, Map* x, ndarray w, ndarray b, Tiles* t, bint accumulate, bint keeping) except -1:
    """One pass."""
    cdef Py_ssize_t across = parts(t.over.window.columns, 4), pieces, i, rows
    cdef float* py = <float*>y.data
    cdef const float* px = <const float*>x.data
    cdef const float* bias = <const float*>PyArray_DATA(b) if b is not None else NULL
    cdef int threads
    if t.over.outputs == 0:
        return 0
    rows = t.over.outputs // (t.over.window.rows * t.over.window.columns) * parts(t.over.window.rows, 4)
    t.tiles = rows * across
    t.panels, t.width, t.ldv = parts(t.k, K.panel), K.panel, up(t.c, 16)
    t.block = block_of(t.ldv + K.panel)
    t.piece = parts(rows, parts(rows, t.block // across)) * across if across <= t.block else t.block   # of one size
    t.block = min(t.block, t.piece)
    t.u_point = t.c * K.panel + GAP
    cdef ndarray u_array = at_points(t, w, keeping)
    cdef const float* u = <const float*>PyArray_DATA(u_array)
    cdef double work = <double>t.tiles * POINTS * t.c * t.k * t.groups
    pieces = parts(t.tiles, t.piece) * t.groups
    threads = team(work, pieces * t.panels)
    if pieces < 2 * threads and pieces % threads:
        return in_two_steps(py, px, u, bias, t, accumulate, work, threads)
    t.v_point, t.m_point = t.block * t.ldv + GAP, t.block * K.panel + GAP
    cdef npy_intp own = POINTS * (t.v_point + t.m_point) + APART, size = own * threads
    cdef ndarray scratch_array = new_array(1, &size, NPY_FLOAT)
    cdef float* scratch = <float*>PyArray_DATA(scratch_array)
    cdef Py_ssize_t first = 0, last, batch = batch_of(work / pieces, threads)
    while first < pieces:
        last = min(first + batch, pieces)
        if threads == 1:
            with nogil:
                for i in range(first, last):
                    rows_piece(py, px, u, bias, t, accumulate, scratch, i)
        else:
            for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                rows_piece(py, px, u, bias, t, accumulate, scratch + threadid() * own, i)
        PyErr_CheckSignals()
        first = last
    return 0


cdef ndarray at_points(Tiles* t, ndarray w, bint keeping):
    """U: the panels of all groups, each at all points; what the block of w keeps, or made of w."""
    cdef Prepared p = prepared(w, TURNED if t.turned else UPRIGHT, t.groups, keeping)
    cdef ndarray u
    if p is not None and p.array is not None:
        return p.array
    u = transformed(t, contiguous(w))
    if p is not None:
        keep(w, p, u)
    return u


cdef ndarray transformed(Tiles* t, ndarray w):
    """U of w, which is in C order."""
    cdef npy_intp size = t.groups * t.panels * POINTS * t.u_point
    cdef ndarray u_array = new_array(1, &size, NPY_FLOAT)
    cdef float* u = <float*>PyArray_DATA(u_array)
    t.w = <const float*>PyArray_DATA(w)
    cdef Py_ssize_t pieces = t.groups * t.panels * parts(t.c, LINES), first = 0, last, i
    cdef int threads = team(2.0 * size, pieces)
    cdef Py_ssize_t batch = batch_of(MOVED * size / pieces, threads)
    while first < pieces:
        last = min(first + batch, pieces)
        if threads == 1:
            with nogil:
                for i in range(first, last):
                    weights_of(u, t, i)
        else:
            for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                weights_of(u, t, i)
        PyErr_CheckSignals()
        first = last
    return u_array


cdef int in_two_steps(float* y, const float* x, const float* u, const float* bias, Tiles* t, bint accumulate,
                      double work, int threads) except -1:
    """A pass of few blocks: V of all of them, then panels."""
    cdef Py_ssize_t blocks, pieces, first = 0, last, batch, i
    t.block = min(max(up(parts(t.tiles, threads), 4), 8), t.block)          # below 8 tiles reading the weights takes longest
    t.v_point, t.m_point = t.block * t.ldv + GAP, t.block * K.panel + GAP
    blocks = parts(t.tiles, t.block) * t.groups
    cdef npy_intp size = blocks * POINTS * t.v_point, own = POINTS * t.m_point + APART
    cdef ndarray v_array = new_array(1, &size, NPY_FLOAT)
    cdef float* v = <float*>PyArray_DATA(v_array)
    threads = team(2.0 * size, blocks)
    if threads == 1:
        with nogil:
            for i in range(blocks):
                input_piece(v, x, t, i)
    else:
        for i in prange(blocks, nogil=True, schedule="static", num_threads=threads):
            input_piece(v, x, t, i)
    threads = team(work, blocks * t.panels)
    if blocks * t.panels % threads and blocks * t.panels < 4 * threads:     # 3 panels: 3 halves for each of two threads
        t.width = K.panel // 2
    pieces = blocks * parts(t.k, t.width)
    size = own * threads
    cdef ndarray scratch_array = new_array(1, &size, NPY_FLOAT)
    cdef float* scratch = <float*>PyArray_DATA(scratch_array)
    batch = batch_of(work / pieces, threads)
    while first < pieces:
        last = min(first + batch, pieces)
        for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
            features_piece(y, v, u, bias, t, accumulate, scratch + threadid() * own, i)
        PyErr_CheckSignals()
        first = last
    return 0


cdef int winograd_forward(Shape* z, Map* y, Map* x, ndarray w, ndarray b, bint accumulate, bint keeping) except -1:
    """As `product_forward` of correlation.pyx; y += it if accumulate (then without b)."""
    cdef Tiles t
    t.c, t.k, t.groups = z.c // z.groups, z.k // z.groups, z.groups
    t.over, t.turned = forward_pass(z, y, x), False
    t.w_group, t.w_depth, t.w_feature = t.k * t.c * 9, 9, t.c * 9           # w (K, C / groups, 3, 3)
    return convolve(y, x, w, b, &t, accumulate, keeping)


cdef int winograd_data(Shape* z, Map* x, Map* y, ndarray w, ndarray b, bint accumulate, bint keeping) except -1:
    """As `product_data` of correlation.pyx; x += it if accumulate (then without b)."""
    cdef Tiles t
    t.c, t.k, t.groups = z.k // z.groups, z.c // z.groups, z.groups
    t.over, t.turned = data_pass(z, x, y, 0, 0), True
    t.w_group, t.w_depth, t.w_feature = t.k * t.c * 9, t.k * 9, 9           # w (K, C / groups, 3, 3)
    return convolve(x, y, w, b, &t, accumulate, keeping)


# ---- weights -------------------------------------------------------------------------------------------------------------------


# The sum over tiles, cut into ranges of them, groups and runs of rows of points.
ctypedef struct Sums:
    Pass over
    Py_ssize_t c, k, groups              # of a group
    Py_ssize_t tiles, range, block       # of all, of a range, of a block
    Py_ssize_t side                      # rows of points of a piece
    Py_ssize_t done, turn                # tiles of every range: summed already, and summed before looking for signals
    Py_ssize_t panels                    # of channels
    Py_ssize_t ldw, ldd                  # between rows of W and of D
    Py_ssize_t v_point, w_point, d_point                 # between the matrices of two points


cdef void sums_piece(float* d, const float* x, const float* y, Sums* s, float* scratch, Py_ssize_t piece) noexcept nogil:
    """One turn of one range, one group, some rows of points."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t chunks = SIDE // s.side, low = piece % chunks * s.side, high = low + s.side
    cdef Py_ssize_t group = piece // chunks % s.groups, i = piece // chunks // s.groups
    cdef Py_ssize_t start = i * s.range, first = start + s.done, last = min(first + s.turn, min(start + s.range, s.tiles))
    cdef Py_ssize_t count, panel, j, n, p
    cdef float* v = scratch + POINTS * s.w_point
    x += group * s.c
    y += group * s.k
    d += (i * s.groups + group) * POINTS * s.d_point
    while first < last:
        count = min(s.block, last - first)
        K.winograd_gradient_f32(scratch, y, &s.over.window, first, count, s.k, s.over.ld, s.w_point, s.ldw, low, high)
        for panel in range(s.panels):
            j = panel * K.panel
            n = min(K.panel, s.c - j)
            K.winograd_input_f32(v, x + j, &s.over.window, first, count, n, s.v_point, K.panel, low, high)
            for p in range(SIDE * low, SIDE * high):
                K.gemm_panel_f32(d + p * s.d_point + j, scratch + p * s.w_point, v + p * s.v_point, NULL, s.k, n, count, s.ldd, 1,
                                 s.ldw, first > start)
        first += count
    tn_leave(mode)


cdef void merge_piece(float* gw, const float* d, Sums* s, Py_ssize_t ranges, Py_ssize_t feature) noexcept nogil:
    """The gradient of one feature's kernels."""
    cdef unsigned long mode = tn_enter()
    K.winograd_kernel_f32(gw + feature * s.c * 9, d + feature // s.k * POINTS * s.d_point + feature % s.k * s.ldd, ranges, s.c,
                          s.groups * POINTS * s.d_point, s.d_point)
    tn_leave(mode)


cdef int winograd_weights(Shape* z, ndarray gw, Map* x, Map* y) except -1:
    """As `product_weights` of correlation.pyx; gw in C order."""
    cdef Sums s
    cdef Py_ssize_t ranges, pieces, i, first, last, batch
    cdef int threads
    s.over, s.c, s.k, s.groups = forward_pass(z, y, x), z.c // z.groups, z.k // z.groups, z.groups
    s.tiles = z.n * parts(z.rows, 4) * parts(z.columns, 4)
    if s.tiles == 0:
        (<object>gw)[...] = 0
        return 0
    s.panels, s.ldw, s.ldd = parts(s.c, K.panel), up(s.k, 16), up(s.c, 16)
    s.block = block_of(s.ldw + K.panel)
    ranges = max(min(min(s.tiles // RANGE, SLOTS), SUMS // (POINTS * z.k * s.c)), 1)
    s.range = up(parts(s.tiles, ranges), s.block)
    s.block = min(s.block, s.tiles)
    ranges = parts(s.tiles, s.range)
    s.w_point, s.v_point, s.d_point = s.block * s.ldw + GAP, s.block * K.panel + GAP, s.k * s.ldd + GAP
    cdef double work = <double>s.tiles * POINTS * s.c * s.k * s.groups
    threads = team(work, SIDE * ranges * s.groups)
    s.side = rows_of_points(ranges * s.groups, threads)
    pieces = ranges * s.groups * (SIDE // s.side)
    cdef npy_intp size = ranges * s.groups * POINTS * s.d_point, own = POINTS * (s.w_point + s.v_point) + APART
    cdef ndarray sums_array = new_array(1, &size, NPY_FLOAT)
    size = own * threads
    cdef ndarray scratch_array = new_array(1, &size, NPY_FLOAT)
    cdef float* scratch = <float*>PyArray_DATA(scratch_array)
    cdef float* d = <float*>PyArray_DATA(sums_array)
    cdef float* pw = <float*>PyArray_DATA(gw)
    cdef const float* px = <const float*>x.data
    cdef const float* py = <const float*>y.data
    cdef double tile = <double>s.side * SIDE * s.c * s.k                    # the work of one in a piece
    s.done, s.turn = 0, min(batch_of(tile * s.block, 1) * s.block, s.range)
    batch = batch_of(tile * s.turn, threads)
    while s.done < s.range:
        first = 0
        while first < pieces:
            last = min(first + batch, pieces)
            if threads == 1:
                with nogil:
                    for i in range(first, last):
                        sums_piece(d, px, py, &s, scratch, i)
            else:
                for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                    sums_piece(d, px, py, &s, scratch + threadid() * own, i)
            PyErr_CheckSignals()
            first = last
        s.done += s.turn
    threads = team(2.0 * ranges * POINTS * z.k * s.c, z.k)
    batch = batch_of(<double>MOVED * ranges * POINTS * s.c, threads)
    first = 0
    while first < z.k:
        last = min(first + batch, z.k)
        if threads == 1:
            with nogil:
                for i in range(first, last):
                    merge_piece(pw, d, &s, ranges, i)
        else:
            for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                merge_piece(pw, d, &s, ranges, i)
        PyErr_CheckSignals()
        first = last
    return 0


cdef Py_ssize_t rows_of_points(Py_ssize_t pieces, int threads) noexcept:
    """How many rows of points a piece of `weights` does: few enough that the pieces come out even among the threads.  A sum
    at a point is the same whichever piece does it."""
    cdef Py_ssize_t chunks
    for chunks in (1, 2, 3):
        if pieces * chunks % threads == 0 or pieces * chunks >= 4 * threads:
            return SIDE // chunks
    return 1
