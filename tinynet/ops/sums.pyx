"""Sums over axes in double: the ground that reductions stand on.

In the order of memory, the axes of a dense array that are summed over and those that stay form runs; where they form at most
(lead: summed, outer: stays, n: summed, inner: stays), the kernels of csrc/sums.inc.h sum over n, cut into ranges by the shape
alone.  A slice of the channels of channels-last images is summed where it lies, any other view after it was copied.  NumPy does
the rest, and all of float64.
"""

from cython.parallel cimport prange
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


cdef void sum_piece(double* total, const float* x, const double* center, Py_ssize_t inner, Py_ssize_t ld, Py_ssize_t rows,
                    Py_ssize_t first_column) noexcept nogil:
    """A range of rows of one matrix (n, inner), from column `first_column` on at most COLUMNS of them."""
    if inner == 1:
        total[0] = K.sum_f32(x, rows, center)
    else:
        K.sum_columns_f32(total + first_column, x + first_column, rows, min(inner - first_column, COLUMNS), ld,
                          center + first_column if center != NULL else NULL)


cdef void sum_parts(double* part, const float* x, const double* center, Runs r, Py_ssize_t ranges, Py_ssize_t rows,
                    Py_ssize_t blocks, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Parts [first, last) of `run_totals`, each a range of rows of one matrix, in one block of columns."""
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t i, matrix, row
    for i in range(first, last):
        matrix, row = i // (ranges * blocks), i // blocks % ranges * rows
        sum_piece(part + (i // blocks) * r.inner, x + matrix * r.step + row * r.ld,
                  center + matrix % r.outer * r.inner if center != NULL else NULL, r.inner, r.ld, min(rows, r.n - row),
                  i % blocks * COLUMNS)
    tn_leave(mode)


cdef ndarray run_totals(const float* x, Runs r, const double* center):
    """(outer, inner) sums over lead and n of x (lead, outer, n, inner), or of (x - center)^2 with center (outer, inner)."""
    cdef Py_ssize_t matrices = r.lead * r.outer
    cdef Py_ssize_t ranges = max(min(r.n * r.inner // RANGE, r.n // 16, SLOTS), 1)      # of rows, by the shape alone
    cdef Py_ssize_t rows = (r.n + ranges - 1) // ranges
    ranges = (r.n + rows - 1) // rows
    cdef Py_ssize_t blocks = (r.inner + COLUMNS - 1) // COLUMNS, parts_in_all = matrices * ranges * blocks, i
    cdef Py_ssize_t together = max(PIECE // (rows * min(r.inner, COLUMNS)), 1)         # parts to a piece of work
    cdef Py_ssize_t pieces = (parts_in_all + together - 1) // together
    cdef npy_intp[3] shape
    shape[0], shape[1], shape[2] = matrices, ranges, r.inner
    cdef ndarray parts = new_array(3, shape, NPY_DOUBLE)
    cdef double* part = <double*>PyArray_DATA(parts)
    cdef int threads = team(8.0 * matrices * r.n * r.inner, pieces)
    if threads == 1:
        with nogil:
            for i in range(pieces):
                sum_parts(part, x, center, r, ranges, rows, blocks, i * together, min((i + 1) * together, parts_in_all))
    else:
        for i in prange(pieces, nogil=True, schedule="static", num_threads=threads):
            sum_parts(part, x, center, r, ranges, rows, blocks, i * together, min((i + 1) * together, parts_in_all))
    sums = parts if ranges == 1 else np.add.reduce(parts, axis=1)
    return sums if r.lead == 1 else np.add.reduce(sums.reshape(r.lead, r.outer, r.inner), axis=0)


cdef double square_sum(ndarray x):
    """The sum of x^2 of a float32 array."""
    cdef Runs r
    cdef double zero = 0.0
    cdef ndarray sums
    x = dense(x)
    r.lead, r.outer, r.n, r.inner, r.ld, r.step = 1, 1, PyArray_SIZE(x), 1, 1, PyArray_SIZE(x)
    sums = np.ascontiguousarray(run_totals(<const float*>PyArray_DATA(x), r, &zero))
    return (<double*>PyArray_DATA(sums))[0]


cdef ndarray quotients(ndarray x, tuple dims, bint keepdim, double n):
    """Sums of x over dims by n, for float32 and axes that form runs, those that stay in their order: what `totals` does, with
    less ado.  Else None."""
    cdef Runs r
    cdef npy_intp[64] shape
    cdef int order[64]
    cdef int nd = 0, d, i, former = -1
    if PyArray_TYPE(x) != NPY_FLOAT or not PyArray_ISBEHAVED_RO(x) or PyArray_SIZE(x) == 0:
        return None
    memory_order(x, order)
    if not find_runs(x, order, dims, &r):
        return None
    for i in range(PyArray_NDIM(x)):
        if PyArray_DIMS(x)[order[i]] > 1 and order[i] not in dims:
            if order[i] < former:
                return None
            former = order[i]
    for d in range(PyArray_NDIM(x)):
        if d not in dims or keepdim:
            shape[nd] = 1 if d in dims else PyArray_DIMS(x)[d]
            nd += 1
    cdef ndarray sums = np.ascontiguousarray(run_totals(<const float*>PyArray_DATA(x), r, NULL))
    cdef ndarray y = new_array(nd, shape, NPY_FLOAT)
    cdef const double* total = <const double*>PyArray_DATA(sums)
    cdef float* py = <float*>PyArray_DATA(y)
    for i in range(PyArray_SIZE(y)):
        py[i] = <float>(total[i] / n)
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
        y = y.reshape([1 if d in dims else PyArray_DIMS(x)[<int>d] for d in order])
        return y.transpose([order.index(d) for d in range(len(order))])
    if center is None:
        return np.asarray(np.add.reduce(x, axis=dims, dtype=np.float64, keepdims=True))
    d = np.subtract(x, center, dtype=np.float64)
    return np.asarray(np.add.reduce(np.multiply(d, d), axis=dims, keepdims=True))
