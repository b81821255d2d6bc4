"""Matrix products of linear layers; `product`, which matmul.pyx shares.

The three products of a linear layer with x (N, C), w (K, C), b (K) are

    forward            y (N, K)  = x w' + b
    gradient of x     gx (N, C)  = gy w
    gradient of w     gw (K, C)  = gy' x
    gradient of b     gb (K)     = column sums of gy

`product` computes c (m, n) = a b (+ bias, or + c) for a and b with any strides, in one of two ways:

  panels   csrc/gemm.inc.h: columns of b are packed a panel at a time and multiplied by a register-blocked kernel.  Every
           element is summed in the order of k, so c can be cut in any way: into rectangles, as many as there are threads, which
           need nothing of each other.
  blas     OpenBLAS on one thread per chunk of rows or columns; the chunks depend on the shape alone, since OpenBLAS gives
           other bits for other chunks.

float64 goes to BLAS.  float32 goes to the panels: with AVX2 or AVX-512 they were ahead at every shape measured, from
60x10x100 to 2048^3 (docs/performance.md, `python -m benchmarks gemm`); with narrower vectors only for small products.
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from numpy cimport (
    NPY_DOUBLE, NPY_FLOAT, PyArray_DATA, PyArray_NDIM, PyArray_DIMS, PyArray_STRIDES, PyArray_TYPE, import_array, ndarray,
    npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.blas cimport blas_serial_begin, blas_serial_end, gemm, load_blas
from tinynet.ops.checks cimport blas_extent, check_float, check_ndim, check_same_dtype, shape_of
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport contiguous, new_array
from tinynet.ops.threads cimport APART, SLOTS, team, tn_enter, tn_leave
from tinynet.ops.windows cimport up

from tinynet.errors import ShapeError

import numpy as np

cdef extern from "numpy/arrayobject.h":
    bint PyArray_IS_C_CONTIGUOUS(ndarray x) nogil

import_array()

# m * n * k of a float32 product up to which packed panels are used: with vectors of 8 or more floats, and with narrower ones.
cdef double panels_up_to = float("inf")
cdef double narrow_panels_up_to = 1e6

cdef enum:
    CHUNK = 96                           # rows or columns of a BLAS call at least: each call packs all of the other operand
    MOMENT = 2000000000                  # multiply-adds that one thread does in about 50 ms
    ROOM = 1 << 16                       # floats of b that are packed at once: 256 KiB, a part of an L2 cache
    STEP = 12                            # rows of a tile of csrc/gemm.inc.h, and those whose product takes as long as packing
    SMALL = 2048                         # numbers of scratch that a function keeps on its stack: a tiny product needs no array


cdef Py_ssize_t batch_of(double work, int threads) noexcept:
    """How many pieces of `work` multiply-adds to run before looking for signals: Ctrl-C must not wait longer than a moment."""
    return threads * max(<Py_ssize_t>(MOMENT / (work + 1.0)), 1)


cdef Matrix matrix(ndarray x, bint transposed) noexcept:
    """The 2-D array x (or the first matrix of a batch), or its transpose, as pointer and strides in elements."""
    cdef Matrix m
    cdef int nd = PyArray_NDIM(x)
    cdef Py_ssize_t size = 4 if PyArray_TYPE(x) == NPY_FLOAT else 8
    cdef Py_ssize_t s0 = PyArray_STRIDES(x)[nd - 2] // size, s1 = PyArray_STRIDES(x)[nd - 1] // size
    m.data = <char*>PyArray_DATA(x)
    m.rows, m.columns = (s1, s0) if transposed else (s0, s1)
    m.transposed, m.ld = False, 0
    return m


cdef bint blas_can_read(Matrix* x, Py_ssize_t rows, Py_ssize_t columns) noexcept:
    """Whether BLAS can read x (rows, columns) as it lies; sets `transposed` and `ld`.  The stride of an extent of 1 means
    nothing and is not looked at."""
    if (x.columns == 1 or columns == 1) and (x.rows >= columns or rows == 1):
        x.transposed, x.ld = False, columns if rows == 1 else x.rows
        return True
    if (x.rows == 1 or rows == 1) and (x.columns >= rows or columns == 1):
        x.transposed, x.ld = True, rows if columns == 1 else x.columns
        return True
    return False


cdef ndarray for_blas(ndarray array, bint transposed, Matrix* x, Py_ssize_t rows, Py_ssize_t columns):
    """Makes x readable by BLAS: `array`, or a copy of it in C order, which x then points to."""
    cdef ndarray copy
    if blas_can_read(x, rows, columns):
        return array
    copy = new_array(2, PyArray_DIMS(array), PyArray_TYPE(array))
    (<object>copy)[...] = array
    x[0] = matrix(copy, transposed)
    blas_can_read(x, rows, columns)
    return copy


cdef void pack(float* packed, Matrix b, Py_ssize_t k, Py_ssize_t n) noexcept nogil:
    """b (k, n) as panels, one after the other."""
    cdef Py_ssize_t j = 0
    while j < n:
        K.gemm_pack_f32(packed + j * k, <float*>b.data + j * b.columns, k, min(K.panel, n - j), b.rows, b.columns)
        j += K.panel


cdef void rectangle(float* c, Matrix a, Matrix b, const float* bias, float* packed, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
                    Py_ssize_t ldc, bint accumulate) noexcept nogil:
    """c (m, n) = a (m, k) b (k, n) + (c or bias) on one thread: a part of b at a time is packed and multiplied by all rows of a.

    What comes from the second part of k on is added to what stands in c: the same sums in the same order, rounded alike.
    """
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t j = 0, l, depth, width, columns = packed_columns(k)
    cdef Matrix part = b
    while j < n:
        width, l = min(columns, n - j), 0
        while l < k:
            depth = min(DEPTH, k - l)
            part.data = b.data + (l * b.rows + j * b.columns) * sizeof(float)
            pack(packed, part, depth, width)
            K.gemm_panels_f32(c + j, <float*>a.data + l * a.columns, packed, bias + j if bias != NULL else NULL, m, width, depth,
                              ldc, a.rows, a.columns, depth * K.panel, accumulate or l > 0)
            l += depth
        j += width
    tn_leave(mode)


cdef Py_ssize_t packed_columns(Py_ssize_t k) noexcept nogil:
    """Columns of b (k, n) that are packed at once."""
    return ROOM // min(k, DEPTH) // K.panel * K.panel


cdef Py_ssize_t room(Py_ssize_t k, Py_ssize_t n) noexcept nogil:
    """Floats of scratch that `rectangle` needs for n columns, and those that keep the next thread's apart."""
    return min(k, DEPTH) * min(packed_columns(k), up(n, K.panel)) + APART


cdef void panel_piece(float* c, Matrix a, Matrix b, const float* bias, float* packed, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
                      Py_ssize_t ldc, bint accumulate, Cut cut, Py_ssize_t piece) noexcept nogil:
    """One rectangle of the product."""
    cdef Py_ssize_t i = piece // cut.across * cut.rows, j = piece % cut.across * cut.columns
    a.data += i * a.rows * sizeof(float)
    b.data += j * b.columns * sizeof(float)
    rectangle(c + i * ldc + j, a, b, bias + j if bias != NULL else NULL, packed, min(cut.rows, m - i), min(cut.columns, n - j),
              k, ldc, accumulate)


cdef Cut cut_for(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, int threads) noexcept:
    """How c (m, n) is cut into rectangles: of at most ROWS rows and as many columns as are packed at once or, where these would
    be too few to share out evenly, into a grid of one per thread, of all grids that whose rectangles take least.

    A rectangle takes its columns times its rows and STEP more, about what packing costs.  Of grids nearly alike it is the one
    with which less moves between the cores' caches: if c is larger than b (the gradient of a weight) threads share the rows of
    c, as the optimiser's do, which reads them next; else columns, so that each reads only its own of b.
    """
    cdef Cut cut, grid
    cdef Py_ssize_t unit = K.panel // 4, most = min(threads, (n + unit - 1) // unit), i, across, down
    cdef double cost, least = float("inf")
    cut.rows, cut.columns = min(m, ROWS), min(n, packed_columns(k))
    cut.across = (n + cut.columns - 1) // cut.columns
    cut.pieces = cut.across * ((m + ROWS - 1) // ROWS)
    if threads == 1 or cut.pieces >= 2 * SLOTS * threads:
        return cut
    for i in range(most):
        across = i + 1 if m > k else most - i
        down = threads // across
        grid.rows = max((m + down - 1) // down, min(m, STEP))
        grid.columns = (n + across - 1) // across
        grid.across = (n + grid.columns - 1) // grid.columns
        grid.pieces = grid.across * ((m + grid.rows - 1) // grid.rows)
        cost = <double>(grid.rows + STEP) * ((grid.columns + unit - 1) // unit)
        if cost < 0.85 * least:
            cut, least = grid, cost
    return cut


cdef int panels(float* c, Matrix a, Matrix b, const float* bias, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, Py_ssize_t ldc,
                bint accumulate) except -1:
    """c (m, n) = a (m, k) b (k, n) + (c or bias) by packed panels."""
    cdef int threads = team(<double>m * n * k, 2)
    cdef Cut cut = cut_for(m, n, k, threads)
    cdef npy_intp own = room(k, cut.columns), size = threads * own - APART
    cdef float[SMALL] small
    cdef ndarray scratch = None if size <= SMALL else new_array(1, &size, NPY_FLOAT)
    cdef float* packed = &small[0] if scratch is None else <float*>PyArray_DATA(scratch)
    # So much of k at once that a piece is done in a moment: what follows is added, as in `rectangle`.
    cdef Py_ssize_t part = max(MOMENT // (cut.rows * cut.columns) // DEPTH, 1) * DEPTH, l = 0, depth, first, last, i
    cdef Py_ssize_t batch = batch_of(<double>cut.rows * cut.columns * min(k, part), threads)
    while l < k:
        depth, first = min(part, k - l), 0
        while first < cut.pieces:
            last = min(first + batch, cut.pieces)
            if threads == 1:
                with nogil:
                    for i in range(first, last):
                        panel_piece(c, a, b, bias, packed, m, n, depth, ldc, accumulate or l > 0, cut, i)
            else:
                for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                    panel_piece(c, a, b, bias, packed + threadid() * own, m, n, depth, ldc, accumulate or l > 0, cut, i)
            PyErr_CheckSignals()
            first = last
        l += depth
        a.data += depth * a.columns * sizeof(float)
        b.data += depth * b.rows * sizeof(float)
    return 0


cdef void blas_piece(int itemsize, char* c, Matrix a, Matrix b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, Py_ssize_t ldc,
                     bint accumulate, Py_ssize_t chunk, Py_ssize_t i) noexcept nogil:
    """Chunk i of the product, of rows or (if n > m) of columns, by one BLAS call."""
    cdef unsigned long mode = tn_enter()
    cdef double beta = 1.0 if accumulate else 0.0
    cdef Py_ssize_t first = i * chunk
    if n > m:
        # c[:, first:first+chunk] = a b[:, first:first+chunk] + beta c[:, first:first+chunk]
        gemm(itemsize, a.transposed, b.transposed, m, min(chunk, n - first), k, 1.0, a.data, a.ld,
             b.data + first * b.columns * itemsize, b.ld, beta, c + first * itemsize, ldc)
    else:
        # c[first:first+chunk] = a[first:first+chunk] b + beta c[first:first+chunk]
        gemm(itemsize, a.transposed, b.transposed, min(chunk, m - first), n, k, 1.0,
             a.data + first * a.rows * itemsize, a.ld, b.data, b.ld, beta, c + first * ldc * itemsize, ldc)
    tn_leave(mode)


cdef int blas(int itemsize, char* c, Matrix a, Matrix b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, Py_ssize_t ldc,
              bint accumulate) except -1:
    """c (m, n) = a b (+ c) in about SLOTS chunks of rows or columns."""
    cdef Py_ssize_t longer = max(m, n), i, first = 0, last
    cdef double line = <double>min(m, n) * k                    # multiply-adds of one row or column
    cdef Py_ssize_t chunk = max(min((longer + SLOTS - 1) // SLOTS, <Py_ssize_t>(MOMENT / line) + 1), CHUNK)
    cdef Py_ssize_t pieces = (longer + chunk - 1) // chunk
    cdef int threads = team(<double>m * n * k, pieces)
    cdef Py_ssize_t batch = batch_of(line * chunk, threads)
    while first < pieces:
        last = min(first + batch, pieces)
        blas_serial_begin()
        for i in prange(first, last, nogil=True, schedule="static", num_threads=threads, use_threads_if=threads > 1):
            blas_piece(itemsize, c, a, b, m, n, k, ldc, accumulate, chunk, i)
        blas_serial_end()
        PyErr_CheckSignals()
        first = last
    return 0


cdef bint takes_panels(int itemsize, double work) noexcept:
    """Whether a product of that many multiply-adds goes to the packed panels; if not, to BLAS."""
    return itemsize == 4 and work <= (panels_up_to if K.panel >= 16 else min(panels_up_to, narrow_panels_up_to))


cdef int product(str op, ndarray c, ndarray a, bint ta, ndarray b, bint tb, ndarray bias, bint accumulate) except -1:
    """c = a b + (bias or c), where a and b are 2-D (transposed where asked) and c is 2-D in C order."""
    cdef Py_ssize_t m = PyArray_DIMS(c)[0], n = PyArray_DIMS(c)[1]
    cdef Py_ssize_t k = PyArray_DIMS(a)[0] if ta else PyArray_DIMS(a)[1]
    cdef Matrix ma, mb
    cdef int itemsize = 4 if PyArray_TYPE(c) == NPY_FLOAT else 8
    if m == 0 or n == 0:
        return 0
    if k == 0:
        if not accumulate:
            (<object>c)[...] = 0 if bias is None else bias
        return 0
    ma, mb = matrix(a, ta), matrix(b, tb)
    if takes_panels(itemsize, <double>m * n * k):
        return panels(<float*>PyArray_DATA(c), ma, mb, <const float*>PyArray_DATA(bias) if bias is not None else NULL, m, n, k,
                      n, accumulate)
    load_blas()
    blas_extent(op, max(m, n, k))
    if bias is not None:
        (<object>c)[...] = bias
        accumulate = True
    a = for_blas(a, ta, &ma, m, k)
    b = for_blas(b, tb, &mb, k, n)
    return blas(itemsize, <char*>PyArray_DATA(c), ma, mb, m, n, k, n, accumulate)


cdef ndarray flat_rows(ndarray x):
    """x (..., C) as a matrix (N, C): a view where strides allow."""
    cdef int nd = PyArray_NDIM(x), d
    cdef Py_ssize_t n = 1
    if nd == 2:
        return x
    for d in range(nd - 1):
        n *= PyArray_DIMS(x)[d]
    return contiguous(x).reshape((n, PyArray_DIMS(x)[nd - 1]))


cdef ndarray column_sum(ndarray x):
    """Sums of the columns of x (N, K), float32 through double."""
    cdef npy_intp k = PyArray_DIMS(x)[1]
    cdef ndarray y = new_array(1, &k, PyArray_TYPE(x)), total
    cdef unsigned long mode
    if PyArray_TYPE(x) != NPY_FLOAT:
        np.add.reduce(x, axis=0, out=y)
        return y
    x = contiguous(x)
    cdef double[SMALL] small
    total = None if k <= SMALL else new_array(1, &k, NPY_DOUBLE)
    cdef double* sums = &small[0] if total is None else <double*>PyArray_DATA(total)
    cdef float* py = <float*>PyArray_DATA(y)
    cdef Py_ssize_t j
    mode = tn_enter()
    K.column_sum_f32(sums, <float*>PyArray_DATA(x), PyArray_DIMS(x)[0], k, k)
    for j in range(k):
        py[j] = <float>sums[j]
    tn_leave(mode)
    return y


cdef ndarray summand(tuple into, int i, npy_intp m, npy_intp n, ndarray g, bint* more):
    """Where the gradient of input i, (m, n), goes: an array that holds a part of it already (then `more`), or a new one."""
    cdef npy_intp[2] shape
    more[0] = into is not None and into[i] is not None and PyArray_IS_C_CONTIGUOUS(<ndarray>into[i])
    if more[0]:
        return <ndarray>into[i]
    shape[0], shape[1] = m, n
    return new_array(2, shape, PyArray_TYPE(g))


cdef class Linear(Op):
    """y = x w' + b for x (..., C), w (K, C), b (K) or None.

    gx = gy w, gw = gy' x, gb = sum of gy over all but its last axis.  Saves x if gw is wanted, w if gx is.
    """

    arguments = ("input", "weight", "bias")
    optional = ("bias",)

    cdef tuple x_shape
    cdef bint has_bias

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], w = inputs[1], b = inputs[2], rows, y
        cdef npy_intp[64] shape
        cdef int nd = PyArray_NDIM(x), d
        check_float("linear", "input", x)
        check_same_dtype("linear", "input", x, "weight", w)
        check_ndim("linear", "weight", w, 2, "(K, C)")
        if nd == 0 or PyArray_DIMS(x)[nd - 1] != PyArray_DIMS(w)[1]:
            raise ShapeError(f"linear: input must have shape (..., C) with C = {PyArray_DIMS(w)[1]} to match weight "
                             f"{shape_of(w)}; got {shape_of(x)}")
        if b is not None:
            check_same_dtype("linear", "input", x, "bias", b)
            if PyArray_NDIM(b) != 1 or PyArray_DIMS(b)[0] != PyArray_DIMS(w)[0]:
                raise ShapeError(f"linear: bias must have shape (K,) with K = {PyArray_DIMS(w)[0]} to match weight "
                                 f"{shape_of(w)}; got {shape_of(b)}")
            b = contiguous(b)
        for d in range(nd):
            shape[d] = PyArray_DIMS(x)[d]
        shape[nd - 1] = PyArray_DIMS(w)[0]
        rows = flat_rows(x)                                                 # (N, C)
        y = new_array(nd, shape, PyArray_TYPE(x))                           # (..., K)
        product("linear", flat_rows(y), rows, False, w, True, b, False)     # y = x w' + b
        self.has_bias = b is not None
        self.x_shape = None if nd == 2 else shape_of(x)
        self.save((rows if self.needs[1] else None, w if self.needs[0] else None))
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray x = self.saved[0], w = self.saved[1], g = flat_rows(gy), gx = None, gw = None, gb = None   # g (N, K)
        cdef bint more
        if needs[0]:
            gx = summand(into if self.x_shape is None else None, 0, PyArray_DIMS(g)[0], PyArray_DIMS(w)[1], g, &more)
            product("linear", gx, g, False, w, False, None, more)           # gx (+)= gy w
            if self.x_shape is not None:
                gx = (<object>gx).reshape(self.x_shape)
        if needs[1]:
            gw = summand(into, 1, PyArray_DIMS(g)[1], PyArray_DIMS(x)[1], g, &more)     # (K, C)
            product("linear", gw, g, True, x, False, None, more)            # gw (+)= gy' x
        if self.has_bias and needs[2]:
            gb = column_sum(g)
        return gx, gw, gb


def _set_panels_up_to(double work):
    """For benchmarks and tests: use packed panels for float32 products of at most `work` multiply-adds; the former bound."""
    global panels_up_to
    old, panels_up_to = panels_up_to, work
    return old


def _panel_product(ndarray c, ndarray a, ndarray b, ndarray bias, bint accumulate, bint packed):
    """For tests: c = a b + (bias or c) by the kernels alone, float32; b packed, or read where it lies (halves of panels).

    One panel goes to the kernel for one, more to that for more, each a line further on than it need be.
    """
    cdef Matrix mc = matrix(c, False), ma = matrix(a, False), mb = matrix(b, False)
    cdef const float* start = <const float*>PyArray_DATA(bias) if bias is not None else NULL
    cdef Py_ssize_t m = PyArray_DIMS(c)[0], n = PyArray_DIMS(c)[1], k = PyArray_DIMS(b)[0], j = 0
    cdef npy_intp next = k * K.panel + 16, size = up(n, K.panel) // K.panel * next
    cdef ndarray scratch = new_array(1, &size, NPY_FLOAT)
    cdef float* p = <float*>PyArray_DATA(scratch)
    if not packed:
        K.gemm_rows_f32(<float*>mc.data, <float*>ma.data, <float*>mb.data, start, m, n, k, mc.rows, ma.rows, ma.columns,
                        mb.rows, accumulate)
        return
    while j < n:
        K.gemm_pack_f32(p + j // K.panel * next, <float*>mb.data + j * mb.columns, k, min(K.panel, n - j), mb.rows, mb.columns)
        j += K.panel
    if n <= K.panel:
        K.gemm_panel_f32(<float*>mc.data, <float*>ma.data, p, start, m, n, k, mc.rows, ma.rows, ma.columns, accumulate)
    else:
        K.gemm_panels_f32(<float*>mc.data, <float*>ma.data, p, start, m, n, k, mc.rows, ma.rows, ma.columns, next, accumulate)
