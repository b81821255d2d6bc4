"""Arrays of one shape, or broadcast to it, gone through together: which of their axes can be walked as one.

The axes are taken in the order of the first array's memory, outermost first, and joined where all arrays go on evenly from one
to the next.  What is left is seldom more than a run of elements and one or two axes over it: dense arrays of one layout are one
run; a slice of the channels of a channels-last image, or a number per channel beside it, is a run of channels for each pixel.
Loops over runs are cut into pieces of about 8192 elements by the shape alone.

Here are the two loops that everything else stands on: a function of two arrays and a copy, which is a transposition where the
runs of one array lie across those of the other.  Activations have loops of their own.
"""

from cython.parallel cimport prange
from libc.string cimport memcpy, memset
from numpy cimport (
    NPY_FLOAT, PyArray_CopyInto, PyArray_DATA, PyArray_DIMS, PyArray_ISBEHAVED_RO, PyArray_ISCARRAY_RO, PyArray_NDIM,
    PyArray_SAMESHAPE, PyArray_SIZE, PyArray_STRIDES, PyArray_TYPE, import_array, ndarray,
)

from tinynet.ops.kernels cimport K
from tinynet.ops.threads cimport PIECE, team

import_array()

cdef enum:
    ITEM = 4                         # bytes of an element
    MOST = 8                         # axes that are looked at
    TILE = 16                        # rows of a transposition, at least: the lanes of the widest vector


cdef bint begin(Walk* w, int k, ndarray x, ndarray y, Py_ssize_t* steps) noexcept:
    """Take in array k, broadcast to y's shape: where it begins and its step along each axis of y, in elements."""
    cdef int extra = PyArray_NDIM(y) - PyArray_NDIM(x), d
    cdef Py_ssize_t stride, size
    if PyArray_TYPE(x) != NPY_FLOAT or not PyArray_ISBEHAVED_RO(x) or extra < 0:
        return False
    w.data[k] = <float*>PyArray_DATA(x)
    for d in range(PyArray_NDIM(y)):
        size = PyArray_DIMS(x)[d - extra] if d >= extra else 1
        stride = PyArray_STRIDES(x)[d - extra] if size > 1 else 0
        if stride % ITEM or (size != 1 and size != PyArray_DIMS(y)[d]):
            return False
        steps[d] = stride // ITEM
    return True


cdef bint is_plain(ndarray x, ndarray y) noexcept:
    """Whether x is float32 in C order and has y's shape: the usual case, quickly found."""
    return PyArray_TYPE(x) == NPY_FLOAT and PyArray_ISCARRAY_RO(x) and PyArray_SAMESHAPE(x, y)


cdef void cut(Walk* w) noexcept:
    """Into pieces."""
    w.across = (w.n + PIECE - 1) // PIECE
    w.step = max(PIECE // w.n, 1)
    w.pieces = (w.rows + w.step - 1) // w.step * w.across


cdef bint plan(Walk* w, ndarray y, ndarray a, ndarray b) noexcept:
    """Fill w for y, a and b (None: for two arrays); False where dtypes or layouts do not allow it.  y has a run of step 1."""
    cdef Py_ssize_t steps[3][MOST]
    cdef Py_ssize_t sizes[4]
    cdef int order[MOST]
    cdef int arrays = 2 if b is None else 3, nd = PyArray_NDIM(y), count = 0, kept = 0, d, e, k, i
    cdef bint joined
    if PyArray_SIZE(y) and is_plain(y, y) and is_plain(a, y) and (b is None or is_plain(b, y)):
        w.n, w.rows = PyArray_SIZE(y), 1
        w.data[0], w.data[1] = <float*>PyArray_DATA(y), <float*>PyArray_DATA(a)
        w.data[2] = <float*>PyArray_DATA(b) if b is not None else NULL
        for k in range(3):
            w.sizes[k] = w.inner[k] = 1
        memset(w.steps, 0, sizeof(w.steps))
        cut(w)
        return True
    if nd > MOST or not begin(w, 0, y, y, steps[0]) or not begin(w, 1, a, y, steps[1]) or (
            b is not None and not begin(w, 2, b, y, steps[2])):
        return False
    if PyArray_SIZE(y) == 0:
        w.n, w.rows, w.pieces, w.across, w.step = 1, 0, 0, 1, 1
        w.inner[0] = w.inner[1] = w.inner[2] = 1
        return True
    for d in range(nd):                      # the axes of more than one element, sorted by y's steps
        if PyArray_DIMS(y)[d] == 1:
            continue
        i = count
        while i > 0 and steps[0][order[i - 1]] < steps[0][d]:
            order[i] = order[i - 1]
            i -= 1
        order[i] = d
        count += 1
    for i in range(count):
        d = order[i]
        joined = kept > 0
        if joined:
            e = order[kept - 1]
            for k in range(arrays):
                joined = joined and steps[k][e] == steps[k][d] * PyArray_DIMS(y)[d]
        if joined:
            sizes[kept - 1] *= PyArray_DIMS(y)[d]
        elif kept == 4:
            return False
        else:
            sizes[kept] = PyArray_DIMS(y)[d]
            kept += 1
        order[kept - 1] = d
    w.n = sizes[kept - 1] if kept else 1
    w.rows = 1
    for i in range(3):
        e = i - 4 + kept                     # of the axes kept, the last but one comes last
        w.sizes[i] = sizes[e] if e >= 0 else 1
        w.rows *= w.sizes[i]
        for k in range(arrays):
            w.steps[k][i] = steps[k][order[e]] if e >= 0 else 0
    for k in range(arrays):
        w.inner[k] = steps[k][order[kept - 1]] if kept else 1
    cut(w)
    return w.inner[0] == 1


cdef Stretch stretch(const Walk* w, Py_ssize_t row, Py_ssize_t last) noexcept nogil:
    """The runs from number `row` on, before number `last`, that lie evenly along the last axis."""
    cdef Stretch s
    cdef Py_ssize_t i2 = row % w.sizes[2], i1 = row // w.sizes[2] % w.sizes[1], i0 = row // w.sizes[2] // w.sizes[1]
    cdef int k
    for k in range(3):
        s.at[k] = i0 * w.steps[k][0] + i1 * w.steps[k][1] + i2 * w.steps[k][2]
    s.count = min(w.sizes[2] - i2, last - row)
    return s


# ---- y = f(a, b) ------------------------------------------------------------------------------------------------------

cdef bint spoils(ndarray y, ndarray x) noexcept:
    """Whether writing y might overwrite elements of x before they are read: they share memory, and are not the same array."""
    cdef char* py = <char*>PyArray_DATA(y)
    cdef char* px = <char*>PyArray_DATA(x)
    cdef Py_ssize_t low_y = 0, high_y = ITEM, low_x = 0, high_x = ITEM
    cdef bint same = px == py and PyArray_NDIM(x) == PyArray_NDIM(y)
    cdef int d
    for d in range(PyArray_NDIM(y)):
        reach(y, d, &low_y, &high_y)
    for d in range(PyArray_NDIM(x)):
        reach(x, d, &low_x, &high_x)
        same = same and PyArray_DIMS(x)[d] == PyArray_DIMS(y)[d] and (
            PyArray_DIMS(x)[d] == 1 or PyArray_STRIDES(x)[d] == PyArray_STRIDES(y)[d])
    return not same and px + low_x < py + high_y and py + low_y < px + high_x


cdef void reach(ndarray x, int d, Py_ssize_t* low, Py_ssize_t* high) noexcept:
    """Widen [low, high), the bytes that x spans, by axis d."""
    cdef Py_ssize_t span = (PyArray_DIMS(x)[d] - 1) * PyArray_STRIDES(x)[d]
    if span < 0:
        low[0] += span
    else:
        high[0] += span


cdef void combine_piece(combine_t f, const Walk* w, Py_ssize_t i) noexcept nogil:
    cdef Py_ssize_t row = i // w.across * w.step, last = min(row + w.step, w.rows), first = i % w.across * PIECE, j
    cdef Py_ssize_t n = min(w.n - first, PIECE)
    cdef int da = w.inner[1] != 0, db = w.inner[2] != 0
    cdef const float* a = w.data[1] + first * da
    cdef const float* b = w.data[2] + first * db
    cdef float* y = w.data[0] + first
    cdef Stretch s
    while row < last:
        s = stretch(w, row, last)
        for j in range(s.count):
            f(y + s.at[0] + j * w.steps[0][2], a + s.at[1] + j * w.steps[1][2], b + s.at[2] + j * w.steps[2][2], n, da, db)
        row += s.count


cdef bint combine(combine_t f, ndarray y, ndarray a, ndarray b) noexcept:
    """y = f(a, b) by a kernel, with broadcasting: False, and nothing done, where dtypes or layouts do not allow it."""
    cdef Walk w
    cdef Py_ssize_t i
    cdef int threads
    if not plan(&w, y, a, b) or w.inner[1] not in (0, 1) or w.inner[2] not in (0, 1) or w.inner[1] + w.inner[2] == 0:
        return False
    if spoils(y, a) or spoils(y, b):
        return False
    if w.pieces == 1:
        combine_piece(f, &w, 0)
        return True
    threads = team(10.0 * w.rows * w.n, w.pieces)
    if threads == 1:
        with nogil:
            for i in range(w.pieces):
                combine_piece(f, &w, i)
    else:
        for i in prange(w.pieces, nogil=True, schedule="static", num_threads=threads):
            combine_piece(f, &w, i)
    return True


# ---- y = x ------------------------------------------------------------------------------------------------------------

cdef void copy_piece(const Walk* w, Py_ssize_t i) noexcept nogil:
    """Runs in both arrays: `combine_piece` with one operand."""
    cdef Py_ssize_t row = i // w.across * w.step, last = min(row + w.step, w.rows), first = i % w.across * PIECE
    cdef Py_ssize_t n = min(w.n - first, PIECE)
    cdef float* y
    cdef const float* x
    cdef Stretch s
    while row < last:
        s = stretch(w, row, last)
        y, x = w.data[0] + first + s.at[0], w.data[1] + first + s.at[1]
        if s.count == 1:
            memcpy(y, x, n * ITEM)
        else:
            K.copy_rows_f32(y, x, s.count, n, w.steps[0][2], w.steps[1][2])
        row += s.count


cdef void transpose_piece(const Walk* w, Py_ssize_t first, Py_ssize_t last, Py_ssize_t row, Py_ssize_t rows) noexcept nogil:
    """Rows [row, row + rows) of the matrices [first, last): of sizes[2] runs of y, across which the runs of x lie."""
    cdef Py_ssize_t i
    cdef Stretch s
    for i in range(first, last):
        s = stretch(w, i * w.sizes[2] + row, w.rows)
        K.transpose_f32(w.data[0] + s.at[0], w.data[1] + s.at[1], rows, w.n, w.steps[0][2], w.inner[1])


cdef bint across_last(Walk* w) noexcept:
    """Make the axis along which x lies without gaps the last over the runs; False if there is none."""
    cdef int d, i, k
    for d in range(2, -1, -1):
        if w.sizes[d] > 1 and w.steps[1][d] == 1:
            for i in range(d, 2):
                w.sizes[i], w.sizes[i + 1] = w.sizes[i + 1], w.sizes[i]
                for k in range(2):
                    w.steps[k][i], w.steps[k][i + 1] = w.steps[k][i + 1], w.steps[k][i]
            return True
    return False


cdef void transpose(Walk* w) noexcept:
    """y = x, matrix by matrix."""
    cdef Py_ssize_t rows = max(PIECE // w.n, TILE) // TILE * TILE, blocks = (w.sizes[2] + rows - 1) // rows
    cdef Py_ssize_t matrices = w.sizes[0] * w.sizes[1], together = max(PIECE // (w.sizes[2] * w.n), 1), i
    cdef Py_ssize_t groups = (matrices + together - 1) // together
    cdef int threads = team(15.0 * w.rows * w.n, groups * blocks)
    if threads == 1:
        with nogil:
            for i in range(groups * blocks):
                transpose_piece(w, i // blocks * together, min((i // blocks + 1) * together, matrices), i % blocks * rows,
                                min(w.sizes[2] - i % blocks * rows, rows))
    else:
        for i in prange(groups * blocks, nogil=True, schedule="static", num_threads=threads):
            transpose_piece(w, i // blocks * together, min((i // blocks + 1) * together, matrices), i % blocks * rows,
                            min(w.sizes[2] - i % blocks * rows, rows))


cdef int assign(ndarray y, ndarray x) except -1:
    """y = x, of y's shape or broadcast to it, whatever the layouts; the two share no memory."""
    cdef Walk w
    cdef Py_ssize_t i
    cdef int threads
    if not plan(&w, y, x, None) or (w.inner[1] != 1 and not across_last(&w)):
        PyArray_CopyInto(y, x)
    elif w.inner[1] != 1:
        transpose(&w)
    else:
        threads = team(5.0 * w.rows * w.n, w.pieces)
        if threads == 1:
            with nogil:
                for i in range(w.pieces):
                    copy_piece(&w, i)
        else:
            for i in prange(w.pieces, nogil=True, schedule="static", num_threads=threads):
                copy_piece(&w, i)
    return 0
