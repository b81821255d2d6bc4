"""Sums over axes in double, and extrema: the ground that reductions stand on.

In the order of memory, the axes of a dense array that are summed over and those that stay form runs; where they form at most
(lead: summed, outer: stays, n: summed, inner: stays), the kernels of csrc/sums.inc.h sum over n, cut into ranges by the shape
alone; those of csrc/extrema.inc.h take the largest or smallest element.  A slice of the channels of channels-last images is
reduced where it lies; any other view is summed after it was copied.  NumPy does the rest, and all of float64.
"""

from cython.parallel cimport prange
from libc.stdint cimport INT32_MIN, int32_t
from libc.string cimport memmove
from numpy cimport (
    NPY_DOUBLE, NPY_FLOAT, PyArray_DATA, PyArray_DIMS, PyArray_ISBEHAVED_RO, PyArray_NDIM, PyArray_SIZE, PyArray_STRIDES,
    PyArray_TYPE, import_array, ndarray, npy_intp,
)

from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport dense, is_dense, matching, new_array, new_like
from tinynet.ops.threads cimport PIECE, SLOTS, team, tn_enter, tn_leave

import numpy as np

import_array()

cdef enum:
    ITEM = 4                         # bytes of an element
    RANGE = 32768                        # elements that a range of a sum has at least
    COLUMNS = 4096                       # columns that are summed at a time


# A dense array in the order of memory: axes of four kinds, each possibly of extent 1.  The rows of `inner` elements may lie
# further apart than that (ld), and so may the rows of n where inner is 1: a slice of the channels of images.
cdef struct Runs:
    Py_ssize_t lead, outer, n, inner, ld, step           # ld: from row to row of a matrix (n, inner); step: to the next matrix


cdef int memory_order(ndarray x, int* order) except -1:
    """The axes of x in the order of memory, those of extent 1 first."""
    cdef int nd = PyArray_NDIM(x), i, d
    cdef npy_intp* shape = PyArray_DIMS(x)
    cdef npy_intp* strides = PyArray_STRIDES(x)
    for d in range(nd):
        i = d
        while i > 0 and shape[order[i - 1]] > 1 and (shape[d] == 1 or strides[order[i - 1]] < strides[d]):
            order[i] = order[i - 1]
            i -= 1
        order[i] = d
    return 0


cdef bint find_runs(ndarray x, const int* order, tuple dims, Runs* r):
    """Whether the axes in `order` form the runs (lead: in dims, outer: not, n: in dims, inner: not)."""
    cdef Py_ssize_t sizes[4]
    cdef Py_ssize_t expected = ITEM, stride, gap = 0
    cdef int at = 3, found = 0, d, i
    cdef bint changes
    sizes[0] = sizes[1] = sizes[2] = sizes[3] = 1
    for i in range(PyArray_NDIM(x) - 1, -1, -1):
        d = order[i]
        if PyArray_DIMS(x)[d] == 1:
            continue
        changes = (d in dims) != (at % 2 == 0)
        stride = PyArray_STRIDES(x)[d]
        if stride != expected:
            if found != 1 or not changes or stride < expected or stride % ITEM:
                return False
            gap = stride // ITEM
        if changes:
            at -= 1
            if at < 0:
                return False
        sizes[at] *= PyArray_DIMS(x)[d]
        expected = stride * PyArray_DIMS(x)[d]
        found += 1
    r.lead, r.outer, r.n, r.inner = sizes[0], sizes[1], sizes[2], sizes[3]
    r.ld = gap if gap and r.inner > 1 else r.inner
    r.step = gap if gap and r.inner == 1 else r.n * r.ld
    return True


# What is computed of each row, or of each column of each matrix: sums in double of x or, with a center, of (x - center)^2, or the
# largest x in float32 (the smallest, if sign is the sign bit).
cdef struct Task:
    bint extreme
    int32_t sign
    const double* center                 # (outer, inner), or NULL


# How a reduction is cut into parts, by the shape alone: each is a range of rows of one matrix (n, inner), in one block of
# columns.  `together` parts are a piece of work.
cdef struct Parts:
    Py_ssize_t ranges, rows, blocks, count, together, pieces


cdef Parts parts_of(Runs r) noexcept:
    cdef Parts p
    p.ranges = max(min(r.n * r.inner // RANGE, r.n // 16, SLOTS), 1)
    p.rows = (r.n + p.ranges - 1) // p.ranges
    p.ranges = (r.n + p.rows - 1) // p.rows
    p.blocks = (r.inner + COLUMNS - 1) // COLUMNS
    p.count = r.lead * r.outer * p.ranges * p.blocks
    p.together = max(PIECE // (p.rows * min(r.inner, COLUMNS)), 1)
    p.pieces = (p.count + p.together - 1) // p.together
    return p


cdef void reduce_rows(void* y, const float* x, const Task* task, Runs r, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t matrix,
                      Py_ssize_t at) noexcept nogil:
    """y[at], ... = `rows` matrices of one row from number `matrix` on, of whose elements n begin at x."""
    if task.extreme:
        K.extreme_rows_f32(<float*>y + at, x, rows, n, r.step, task.sign)
    else:
        K.sum_rows_f32(<double*>y + at, x, rows, n, r.step, task.center + matrix % r.outer if task.center != NULL else NULL)


cdef void reduce_columns(void* y, const float* x, const Task* task, Runs r, Py_ssize_t rows, Py_ssize_t first, Py_ssize_t matrix,
                         Py_ssize_t at) noexcept nogil:
    """y[at], ... = the columns of a matrix from `first` on, at most COLUMNS of them, over `rows` rows that begin at x."""
    cdef Py_ssize_t c = min(r.inner - first, COLUMNS), center = matrix % r.outer * r.inner + first
    if task.extreme:
        K.extreme_columns_f32(<float*>y + at + first, x + first, rows, c, r.ld, task.sign)
    else:
        K.sum_columns_f32(<double*>y + at + first, x + first, rows, c, r.ld,
                          task.center + center if task.center != NULL else NULL)


cdef void reduce_piece(void* y, const float* x, const Task* task, Runs r, Parts p, Py_ssize_t piece) noexcept nogil:
    # The largest is one of the elements, subnormal or not: those are flushed for sums only.
    cdef unsigned long mode = 0 if task.extreme else tn_enter()
    cdef Py_ssize_t i = piece * p.together, last = min(i + p.together, p.count), n, matrix, row
    while i < last:
        matrix, row = i // (p.ranges * p.blocks), i // p.blocks % p.ranges * p.rows
        n = 1
        if r.inner > 1:
            reduce_columns(y, x + matrix * r.step + row * r.ld, task, r, min(p.rows, r.n - row), i % p.blocks * COLUMNS, matrix,
                           i // p.blocks * r.inner)
        else:
            if p.ranges == 1:
                n = min(last - i, r.outer - matrix % r.outer)            # where the centers begin anew
            reduce_rows(y, x + matrix * r.step + row, task, r, n, min(p.rows, r.n - row), matrix, i)
        i += n
    if not task.extreme:
        tn_leave(mode)


cdef ndarray reduced(const float* x, Runs r, Task task):
    """(lead, outer, ranges, inner): the parts of a reduction of x (lead, outer, n, inner)."""
    cdef Parts p = parts_of(r)
    cdef npy_intp[4] shape
    cdef Py_ssize_t i
    shape[0], shape[1], shape[2], shape[3] = r.lead, r.outer, p.ranges, r.inner
    cdef ndarray parts = new_array(4, shape, NPY_FLOAT if task.extreme else NPY_DOUBLE)
    cdef void* y = PyArray_DATA(parts)
    cdef int threads = team(8.0 * r.lead * r.outer * r.n * r.inner, p.pieces)
    if threads == 1:
        with nogil:
            for i in range(p.pieces):
                reduce_piece(y, x, &task, r, p, i)
    else:
        for i in prange(p.pieces, nogil=True, schedule="static", num_threads=threads):
            reduce_piece(y, x, &task, r, p, i)
    return parts


cdef void merge(double* p, Py_ssize_t count, Py_ssize_t parts, Py_ssize_t n) noexcept nogil:
    """p (count, parts, n) becomes (count, n): sums of the parts in their order."""
    cdef Py_ssize_t c, i, j
    if parts == 1:
        return
    for c in range(count):
        memmove(p + c * n, p + c * parts * n, n * sizeof(double))
        for i in range(1, parts):
            for j in range(n):
                p[c * n + j] += p[(c * parts + i) * n + j]


cdef ndarray run_totals(const float* x, Runs r, const double* center):
    """Sums over lead and n of x (lead, outer, n, inner), or of (x - center)^2 with center (outer, inner): an array that begins
    with them, (outer, inner) numbers."""
    cdef Task task
    task.extreme, task.sign, task.center = False, 0, center
    cdef ndarray parts = reduced(x, r, task)
    cdef double* p = <double*>PyArray_DATA(parts)
    merge(p, r.lead * r.outer, PyArray_DIMS(parts)[2], r.inner)
    merge(p, 1, r.lead, r.outer * r.inner)
    return parts


cdef double square_sum(ndarray x):
    """The sum of x^2 of a float32 array."""
    cdef Runs r
    cdef double zero = 0.0
    x = dense(x)
    r.lead, r.outer, r.n, r.inner, r.ld, r.step = 1, 1, PyArray_SIZE(x), 1, 1, PyArray_SIZE(x)
    cdef ndarray sums = run_totals(<const float*>PyArray_DATA(x), r, &zero)
    return (<double*>PyArray_DATA(sums))[0]


cdef bint goes_by_runs(ndarray x, tuple dims, Runs* r):
    """Whether x is float32 whose axes form runs, and those that stay have the same order in memory as in the shape."""
    cdef int order[64]
    cdef int i, former = -1
    if PyArray_TYPE(x) != NPY_FLOAT or not PyArray_ISBEHAVED_RO(x) or PyArray_SIZE(x) == 0:
        return False
    memory_order(x, order)
    if not find_runs(x, order, dims, r):
        return False
    for i in range(PyArray_NDIM(x)):
        if PyArray_DIMS(x)[order[i]] > 1 and order[i] not in dims:
            if order[i] < former:
                return False
            former = order[i]
    return True


cdef ndarray new_result(ndarray x, tuple dims, bint keepdim):
    """An uninitialised float32 array for a reduction of x over dims."""
    cdef npy_intp[64] shape
    cdef int nd = 0, d
    for d in range(PyArray_NDIM(x)):
        if d not in dims or keepdim:
            shape[nd] = 1 if d in dims else PyArray_DIMS(x)[d]
            nd += 1
    return new_array(nd, shape, NPY_FLOAT)


cdef ndarray quotients(ndarray x, tuple dims, bint keepdim, double n):
    """Sums of x over dims by n where it `goes_by_runs`: what `totals` does, with less ado.  Else None."""
    cdef Runs r
    cdef Py_ssize_t i
    if not goes_by_runs(x, dims, &r):
        return None
    cdef ndarray sums = run_totals(<const float*>PyArray_DATA(x), r, NULL)
    cdef ndarray y = new_result(x, dims, keepdim)
    cdef const double* total = <const double*>PyArray_DATA(sums)
    cdef float* py = <float*>PyArray_DATA(y)
    for i in range(PyArray_SIZE(y)):
        py[i] = <float>(total[i] / n)
    return y


cdef ndarray extremes(ndarray x, tuple dims, bint keepdim, bint largest):
    """The largest (or smallest) elements of x over dims where it `goes_by_runs`, NaN if there is one.  Else None."""
    cdef Runs r
    cdef Task task
    if not goes_by_runs(x, dims, &r):
        return None
    task.extreme, task.sign, task.center = True, 0 if largest else INT32_MIN, NULL
    cdef ndarray parts = reduced(<const float*>PyArray_DATA(x), r, task), y = new_result(x, dims, keepdim)
    cdef Py_ssize_t ranges = PyArray_DIMS(parts)[2], matrix
    cdef float* p = <float*>PyArray_DATA(parts)
    for matrix in range(r.lead * r.outer if ranges > 1 else 0):          # into where its first range stands
        K.extreme_columns_f32(p + matrix * r.inner, p + matrix * ranges * r.inner, ranges, r.inner, r.inner, task.sign)
    K.extreme_columns_f32(<float*>PyArray_DATA(y), p, r.lead, r.outer * r.inner, r.outer * r.inner, task.sign)
    return y


cdef ndarray totals(ndarray x, tuple dims, ndarray center):
    """Sums over dims in double, of x or of (x - center)^2; those axes stay, with size 1, as they stand in `center`."""
    cdef Runs r
    cdef ndarray c = center
    cdef int memory[64]
    cdef bint found = False
    cdef list order
    if PyArray_TYPE(x) == NPY_FLOAT and PyArray_ISBEHAVED_RO(x) and PyArray_SIZE(x):
        memory_order(x, memory)
        found = find_runs(x, memory, dims, &r)
        if not found and not is_dense(x):
            x = matching(x, new_like(x))
            memory_order(x, memory)
            found = find_runs(x, memory, dims, &r)
    if found:
        order = [memory[d] for d in range(PyArray_NDIM(x))]
        if c is not None:
            c = np.ascontiguousarray(np.asarray(center, np.float64).transpose(order))
        y = run_totals(<const float*>PyArray_DATA(x), r, <const double*>PyArray_DATA(c) if c is not None else NULL)
        y = y.reshape(-1)[:r.outer * r.inner].reshape([1 if d in dims else PyArray_DIMS(x)[<int>d] for d in order])
        return y.transpose([order.index(d) for d in range(len(order))])
    if center is None:
        return np.asarray(np.add.reduce(x, axis=dims, dtype=np.float64, keepdims=True))
    d = np.subtract(x, center, dtype=np.float64)
    return np.asarray(np.add.reduce(np.multiply(d, d), axis=dims, keepdims=True))
