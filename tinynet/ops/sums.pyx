"""Sums over axes in double: the ground that reductions stand on.

In the order of memory, the axes of a dense array that are summed over and those that stay form runs; where they form at most
(lead: summed, outer: stays, n: summed, inner: stays), the kernels of csrc/sums.inc.h sum over n, cut into ranges by the shape
alone.  NumPy does the rest, and all of float64.
"""

from cython.parallel cimport prange
from numpy cimport (
    NPY_DOUBLE, NPY_FLOAT, PyArray_DATA, PyArray_DIMS, PyArray_ISCARRAY_RO, PyArray_NDIM, PyArray_SIZE, PyArray_STRIDES,
    PyArray_TYPE, import_array, ndarray, npy_intp,
)

from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport dense, is_dense, new_array
from tinynet.ops.threads cimport SLOTS, team, tn_enter, tn_leave

import numpy as np

import_array()

cdef enum:
    RANGE = 32768                        # elements that a range of a sum has at least
    COLUMNS = 4096                       # columns that are summed at a time


cdef struct Runs:                        # a dense array in the order of memory: axes of four kinds, each possibly of extent 1
    Py_ssize_t lead, outer, n, inner


cdef bint find_runs(ndarray x, list order, tuple dims, Runs* r):
    """Whether the axes in `order` (None: as they are) form the runs (lead: in dims, outer: not, n: in dims, inner: not)."""
    cdef Py_ssize_t[4] sizes
    cdef int at = 3, d, i
    sizes[0] = sizes[1] = sizes[2] = sizes[3] = 1
    for i in range(PyArray_NDIM(x) - 1, -1, -1):
        d = i if order is None else order[i]
        if PyArray_DIMS(x)[d] == 1:
            continue
        if (d in dims) != (at % 2 == 0):
            at -= 1
            if at < 0:
                return False
        sizes[at] *= PyArray_DIMS(x)[d]
    r.lead, r.outer, r.n, r.inner = sizes[0], sizes[1], sizes[2], sizes[3]
    return True


cdef void sum_piece(double* total, const float* x, const double* center, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t rows,
                    Py_ssize_t first_column) noexcept nogil:
    """A range of rows of one matrix (n, inner), from column `first_column` on at most COLUMNS of them."""
    cdef unsigned long mode = tn_enter()
    if inner == 1:
        total[0] = K.sum_f32(x, rows, center)
    else:
        K.sum_columns_f32(total + first_column, x + first_column, rows, min(inner - first_column, COLUMNS), inner,
                          center + first_column if center != NULL else NULL)
    tn_leave(mode)


cdef void sum_part(double* part, const float* x, const double* center, Runs r, Py_ssize_t ranges, Py_ssize_t step,
                   Py_ssize_t blocks, Py_ssize_t i) noexcept nogil:
    """Piece i of `run_totals`: a range of rows of one matrix, in one block of columns."""
    cdef Py_ssize_t matrix = i // (ranges * blocks), first = i // blocks % ranges * step
    sum_piece(part + (i // blocks) * r.inner, x + (matrix * r.n + first) * r.inner,
              center + matrix % r.outer * r.inner if center != NULL else NULL, r.n, r.inner, min(step, r.n - first),
              i % blocks * COLUMNS)


cdef ndarray run_totals(const float* x, Runs r, const double* center):
    """(outer, inner) sums over lead and n of x (lead, outer, n, inner), or of (x - center)^2 with center (outer, inner)."""
    cdef Py_ssize_t matrices = r.lead * r.outer
    cdef Py_ssize_t ranges = max(min(r.n * r.inner // RANGE, r.n // 16, SLOTS), 1)      # of rows, by the shape alone
    cdef Py_ssize_t step = (r.n + ranges - 1) // ranges
    ranges = (r.n + step - 1) // step
    cdef Py_ssize_t blocks = (r.inner + COLUMNS - 1) // COLUMNS, pieces = matrices * ranges * blocks, i
    cdef npy_intp[3] shape
    shape[0], shape[1], shape[2] = matrices, ranges, r.inner
    cdef ndarray parts = new_array(3, shape, NPY_DOUBLE)
    cdef double* part = <double*>PyArray_DATA(parts)
    cdef int threads = team(8.0 * matrices * r.n * r.inner, pieces)
    if threads == 1:
        with nogil:
            for i in range(pieces):
                sum_part(part, x, center, r, ranges, step, blocks, i)
    else:
        for i in prange(pieces, nogil=True, schedule="static", num_threads=threads):
            sum_part(part, x, center, r, ranges, step, blocks, i)
    sums = parts if ranges == 1 else np.add.reduce(parts, axis=1)
    return sums if r.lead == 1 else np.add.reduce(sums.reshape(r.lead, r.outer, r.inner), axis=0)


cdef double square_sum(ndarray x):
    """The sum of x^2 of a float32 array."""
    cdef Runs r
    cdef double zero = 0.0
    cdef ndarray sums
    x = dense(x)
    r.lead, r.outer, r.n, r.inner = 1, 1, PyArray_SIZE(x), 1
    sums = np.ascontiguousarray(run_totals(<const float*>PyArray_DATA(x), r, &zero))
    return (<double*>PyArray_DATA(sums))[0]


cdef ndarray quotients(ndarray x, tuple dims, bint keepdim, double n):
    """Sums of x over dims by n, for float32 in C order and axes that form runs: what `totals` does, with less ado.  Else None."""
    cdef Runs r
    cdef npy_intp[64] shape
    cdef int nd = 0, d
    if PyArray_TYPE(x) != NPY_FLOAT or not PyArray_ISCARRAY_RO(x) or PyArray_SIZE(x) == 0 or not find_runs(x, None, dims, &r):
        return None
    for d in range(PyArray_NDIM(x)):
        if d not in dims or keepdim:
            shape[nd] = 1 if d in dims else PyArray_DIMS(x)[d]
            nd += 1
    cdef ndarray sums = np.ascontiguousarray(run_totals(<const float*>PyArray_DATA(x), r, NULL))
    cdef ndarray y = new_array(nd, shape, NPY_FLOAT)
    cdef const double* total = <const double*>PyArray_DATA(sums)
    cdef float* py = <float*>PyArray_DATA(y)
    cdef Py_ssize_t i
    for i in range(PyArray_SIZE(y)):
        py[i] = <float>(total[i] / n)
    return y


cdef ndarray totals(ndarray x, tuple dims, ndarray center):
    """Sums over dims in double, of x or of (x - center)^2; those axes stay, with size 1, as they stand in `center`."""
    cdef Runs r
    cdef ndarray c = center
    cdef list order
    if PyArray_TYPE(x) == NPY_FLOAT and PyArray_SIZE(x) and is_dense(x):
        order = list(range(PyArray_NDIM(x)))
        if not (<object>x).flags.c_contiguous:
            order.sort(key=lambda d: (PyArray_DIMS(x)[<int>d] > 1, -PyArray_STRIDES(x)[<int>d]))
        if find_runs(x, order, dims, &r):
            if c is not None:
                c = np.ascontiguousarray(np.asarray(center, np.float64).transpose(order))
            y = run_totals(<const float*>PyArray_DATA(x), r, <const double*>PyArray_DATA(c) if c is not None else NULL)
            y = y.reshape([1 if d in dims else PyArray_DIMS(x)[<int>d] for d in order])
            return y.transpose([order.index(d) for d in range(len(order))])
    if center is None:
        return np.asarray(np.add.reduce(x, axis=dims, dtype=np.float64, keepdims=True))
    d = np.subtract(x, center, dtype=np.float64)
    return np.asarray(np.add.reduce(np.multiply(d, d), axis=dims, keepdims=True))
