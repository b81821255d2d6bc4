"""Products of matrices, vectors and batches of matrices, with NumPy's (and PyTorch's) rules:

    a (..., M, K)  b (..., K, N)   y (..., M, N)    the batch axes broadcast
    a (K)                          as (1, K), and the axis M is left out of y
                   b (K)           as (K, 1), and the axis N is left out of y

With g the gradient of y, ga = g b' and gb = a' g, each summed over the batch axes along which the operand was repeated.

If b is one matrix, all rows of a go through one product, as in a linear layer.  Otherwise small products are dealt out to the
threads, one matrix each; a large one is cut up inside `product` (linear.pyx).  Which of the two depends on the shapes alone,
and the products themselves are cut by shape, so the bits do not depend on the number of threads.
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from numpy cimport (
    NPY_DOUBLE, NPY_FLOAT, PyArray_DATA, PyArray_DIMS, PyArray_NDIM, PyArray_STRIDES, PyArray_TYPE, import_array, ndarray,
    npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.arithmetic cimport unbroadcast
from tinynet.ops.blas cimport blas_serial_begin, blas_serial_end, gemm, load_blas
from tinynet.ops.checks cimport blas_extent, check_same_dtype, quiet, shape_of
from tinynet.ops.linear cimport (
    Matrix, batch_of, blas_can_read, flat_rows, matrix, product, rectangle, room, summand, takes_panels,
)
from tinynet.ops.memory cimport contiguous, new_array, outline, own_copy
from tinynet.ops.sums cimport totals
from tinynet.ops.threads cimport SLOTS, team, tn_enter, tn_leave

import numpy as np

from tinynet.errors import ShapeError

import_array()

cdef enum:
    SMALL = 4000000                      # multiply-adds of a product that one thread does alone: about 50 us;
    MIDDLE = 400000000                   # and where there is a product for each thread: about 5 ms


cdef void serial_product(int itemsize, char* c, Matrix a, Matrix b, float* packed, Py_ssize_t m, Py_ssize_t n,
                         Py_ssize_t k) noexcept nogil:
    """c (m, n) = a (m, k) b (k, n) on one thread: by packed panels if there is memory for one, else by BLAS."""
    cdef unsigned long mode
    if packed != NULL:
        rectangle(<float*>c, a, b, NULL, packed, m, n, k, n, False)
        return
    mode = tn_enter()
    # c = a b
    gemm(itemsize, a.transposed, b.transposed, m, n, k, 1.0, a.data, a.ld, b.data, b.ld, 0.0, c, n)
    tn_leave(mode)


cdef ndarray starts(ndarray x, tuple batch):
    """Where each matrix of x (..., R, C) begins, in bytes from x's data, its batch axes broadcast to `batch`."""
    cdef int nd = PyArray_NDIM(x) - 2, d, axis
    cdef ndarray y = np.zeros(batch, np.intp)
    for d in range(nd):
        axis = d - nd + len(batch)
        if PyArray_DIMS(x)[d] > 1:
            y += (np.arange(batch[axis]) * PyArray_STRIDES(x)[d]).reshape((-1,) + (1,) * (len(batch) - axis - 1))
    return y.reshape(-1)


cdef ndarray readable(ndarray x, bint transposed, Py_ssize_t rows, Py_ssize_t columns):
    """The batch x as BLAS can read its matrices: itself, or a copy in C order."""
    cdef Matrix m = matrix(x, transposed)
    return x if blas_can_read(&m, rows, columns) else contiguous(x)


cdef Matrix moved(Matrix x, npy_intp bytes) noexcept nogil:
    """The matrix of the same strides that begins so many bytes later."""
    x.data += bytes
    return x


cdef int products(ndarray c, ndarray a, bint ta, ndarray b, bint tb) except -1:
    """c[i] = a[i] b[i] for batches of matrices (transposed where asked): c in C order, a and b broadcast to its batch axes."""
    cdef int nd = PyArray_NDIM(c), itemsize = 4 if PyArray_TYPE(c) == NPY_FLOAT else 8, na = PyArray_NDIM(a)
    cdef Py_ssize_t m = PyArray_DIMS(c)[nd - 2], n = PyArray_DIMS(c)[nd - 1]
    cdef Py_ssize_t k = PyArray_DIMS(a)[na - 2] if ta else PyArray_DIMS(a)[na - 1]
    cdef double work = <double>m * n * k
    cdef tuple batch = shape_of(c)[:nd - 2]
    cdef ndarray a_starts, b_starts, scratch = None
    if (<object>c).size == 0:
        return 0
    if k == 0:
        (<object>c)[...] = 0
        return 0
    if work > (MIDDLE if (<object>c).size >= SLOTS * m * n else SMALL):
        a_all = np.broadcast_to(a, batch + shape_of(a)[-2:])
        b_all = np.broadcast_to(b, batch + shape_of(b)[-2:])
        for at in np.ndindex(*batch):
            product("matmul", c[at], a_all[at], ta, b_all[at], tb, None, False)
        return 0
    cdef bint panels = takes_panels(itemsize, work)
    if not panels:
        load_blas()
        blas_extent("matmul", max(m, n, k))
        a, b = readable(a, ta, m, k), readable(b, tb, k, n)
    a_starts, b_starts = starts(a, batch), starts(b, batch)
    cdef Py_ssize_t count = PyArray_DIMS(a_starts)[0], first = 0, last, i
    cdef int threads = team(work * count, count)
    cdef npy_intp own = room(k, n) if panels else 0, size = threads * own
    scratch = new_array(1, &size, NPY_FLOAT)                    # where a thread packs a part of b
    cdef float* packed = <float*>PyArray_DATA(scratch) if panels else NULL
    cdef npy_intp* pa = <npy_intp*>PyArray_DATA(a_starts)
    cdef npy_intp* pb = <npy_intp*>PyArray_DATA(b_starts)
    cdef char* pc = <char*>PyArray_DATA(c)
    cdef Matrix ma = matrix(a, ta), mb = matrix(b, tb)
    if not panels:
        blas_can_read(&ma, m, k)
        blas_can_read(&mb, k, n)
    cdef Py_ssize_t step = batch_of(work, threads)
    while first < count:
        last = min(first + step, count)
        if not panels:
            blas_serial_begin()
        if threads == 1:
            with nogil:
                for i in range(first, last):
                    serial_product(itemsize, pc + i * m * n * itemsize, moved(ma, pa[i]), moved(mb, pb[i]), packed, m, n, k)
        else:
            for i in prange(first, last, nogil=True, schedule="static", num_threads=threads):
                serial_product(itemsize, pc + i * m * n * itemsize, moved(ma, pa[i]), moved(mb, pb[i]),
                               packed + threadid() * own if packed != NULL else NULL, m, n, k)
        if not panels:
            blas_serial_end()
        PyErr_CheckSignals()
        first = last
    return 0


cdef bint is_float(ndarray x) noexcept:
    return PyArray_TYPE(x) == NPY_FLOAT or PyArray_TYPE(x) == NPY_DOUBLE


cdef ndarray as_rows(ndarray a):
    """a (..., M, K); a vector (K) as (1, K)."""
    return a[None, :] if PyArray_NDIM(a) == 1 else a


cdef ndarray as_columns(ndarray b):
    """b (..., K, N); a vector (K) as (K, 1)."""
    return b[:, None] if PyArray_NDIM(b) == 1 else b


cdef ndarray whole(tuple shape, ndarray like):
    """A new array of that shape and the dtype of `like`."""
    cdef npy_intp[64] sizes
    cdef int d
    for d in range(len(shape)):
        sizes[d] = shape[d]
    return new_array(len(shape), sizes, PyArray_TYPE(like))


cdef int one_product(ndarray c, ndarray a, bint ta, ndarray b, bint tb, bint more) except -1:
    """c (+)= a b for matrices.  A single column is computed as a row, c' = b' a', of which a panel holds many elements."""
    if PyArray_DIMS(c)[1] == 1 and PyArray_DIMS(c)[0] > 1:
        return product("matmul", (<object>c).reshape(1, -1), b, not tb, a, not ta, None, more)
    return product("matmul", c, a, ta, b, tb, None, more)


cdef class MatMul(Op):
    """y = a b for vectors, matrices and batches of them.  ga = gy b', gb = a' gy, summed over the axes along which the operand
    was repeated.  Integers multiply too, without a gradient.  Saves the operand that the other's gradient needs.
    """

    arguments = ("a", "b")

    cdef ndarray a                       # outlines; None if both are matrices
    cdef ndarray b
    cdef tuple shape                     # of y as matrices: (..., M, N) also if a or b is a vector

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray a = inputs[0], b = inputs[1], rows, columns, y
        cdef int na = PyArray_NDIM(a), nb = PyArray_NDIM(b)
        cdef npy_intp[2] sizes
        check_same_dtype("matmul", "a", a, "b", b)
        if na == 0 or nb == 0:
            raise ShapeError(f"matmul: {'a' if na == 0 else 'b'} must have at least one axis; got a scalar")
        if na == 2 and nb == 2 and PyArray_DIMS(a)[1] == PyArray_DIMS(b)[0] and is_float(a):
            sizes[0], sizes[1] = PyArray_DIMS(a)[0], PyArray_DIMS(b)[1]
            y = new_array(2, sizes, PyArray_TYPE(a))
            one_product(y, a, False, b, False, False)                       # y = a b
            self.save((a if self.needs[1] else None, b if self.needs[0] else None))
            return y
        rows, columns = as_rows(a), as_columns(b)                           # (..., M, K), (..., K, N)
        cdef tuple sa = shape_of(rows), sb = shape_of(columns)
        if sa[-1] != sb[-2]:
            letters = "(K,)" if nb == 1 else "(K, N)" if nb == 2 else "(..., K, N)"
            raise ShapeError(f"matmul: b must have shape {letters} with K = {sa[-1]} to match a {shape_of(a)}; "
                             f"got {shape_of(b)}")
        try:
            batch = sa[:-2] if len(sb) == 2 else np.broadcast_shapes(sa[:-2], sb[:-2])
        except ValueError:
            raise ShapeError(f"matmul: the batch axes of a {shape_of(a)} and b {shape_of(b)} "
                             "cannot be broadcast together") from None
        if not is_float(a):
            return own_copy(np.asarray(np.matmul(a, b)))
        y = whole(batch + (sa[-2:-1] if na > 1 else ()) + (sb[-1:] if nb > 1 else ()), a)
        self.a, self.b, self.shape = outline(a), outline(b), batch + (sa[-2], sb[-1])
        if na == 1 and nb == 1 and PyArray_TYPE(a) == NPY_FLOAT:
            with quiet():
                (<object>y)[()] = totals(np.multiply(a, b), (0,), None)[0]     # the products summed in double
        else:
            self.multiply(y, rows, columns)
        self.save((a if self.needs[1] else None, b if self.needs[0] else None))
        return y

    cdef int multiply(self, ndarray y, ndarray rows, ndarray columns) except -1:
        """y = rows columns"""
        if PyArray_NDIM(y) != len(self.shape):
            y = (<object>y).reshape(self.shape)
        if PyArray_NDIM(columns) == 2:       # all rows of the batch in one product
            return one_product(flat_rows(y), flat_rows(rows), False, columns, False, False)
        return products(y, rows, False, columns, False)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray g = gy, ga = None, gb = None
        if self.a is not None and PyArray_NDIM(g) != len(self.shape):
            g = gy.reshape(self.shape)
        if self.a is None or PyArray_NDIM(self.b) <= 2:
            g = flat_rows(g)                                                # (N, C), as in a linear layer
            if needs[0]:
                ga = self.rows_gradient(g, into)
            if needs[1]:
                gb = self.columns_gradient(g, into)
            return ga, gb
        if needs[0]:
            ga = whole(self.shape[:-1] + shape_of(as_columns(self.b))[-2:-1], g)
            products(ga, g, False, self.saved[1], True)                     # ga = gy b'
            ga = (<object>unbroadcast(ga, as_rows(self.a))).reshape(shape_of(self.a))
        if needs[1]:
            gb = whole(self.shape[:-2] + shape_of(self.a)[-1:] + self.shape[-1:], g)
            products(gb, as_rows(self.saved[0]), True, g, False)            # gb = a' gy
            gb = unbroadcast(gb, self.b)
        return ga, gb

    cdef ndarray rows_gradient(self, ndarray g, tuple into):
        """ga (+)= gy b' for one matrix b and the rows of all the batch."""
        cdef ndarray b = as_columns(self.saved[1]), ga
        cdef bint more
        cdef bint is_matrix = self.a is None or PyArray_NDIM(self.a) == 2
        ga = summand(into if is_matrix else None, 0, PyArray_DIMS(g)[0], PyArray_DIMS(b)[0], g, &more)
        one_product(ga, g, False, b, True, more)
        return ga if is_matrix else (<object>ga).reshape(shape_of(self.a))

    cdef ndarray columns_gradient(self, ndarray g, tuple into):
        """gb (+)= a' gy for one matrix b and the rows of all the batch."""
        cdef ndarray a = flat_rows(as_rows(self.saved[0])), gb
        cdef bint more
        cdef bint is_matrix = self.a is None or PyArray_NDIM(self.b) == 2
        gb = summand(into if is_matrix else None, 1, PyArray_DIMS(a)[1], PyArray_DIMS(g)[1], g, &more)
        one_product(gb, a, True, g, False, more)
        return gb if is_matrix else (<object>gb).reshape(shape_of(self.b))
