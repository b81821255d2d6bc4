"""Batch normalisation (Ioffe & Szegedy 2015, Algorithm 1).

Per channel, over m values x_i (the batch and all positions):

    mu  = 1/m sum x_i                   var = 1/m sum (x_i - mu)^2            (biased)
    rstd = 1 / sqrt(var + eps)          xh_i = (x_i - mu) rstd                y_i = gamma xh_i + beta

Going back through mu and var as well, the chain of the paper's section 3 collapses to

    gbeta = sum g_i      ggamma = sum g_i xh_i      gx_i = gamma rstd (g_i - gbeta / m - xh_i ggamma / m)

(docs/how-a-step-works.md derives it).  In evaluation mu and var are constants: gx_i = gamma rstd g_i.

The data is seen as a matrix of rows (m, C): (N, C) as it is, (N, C, L) and (N, C, H, W) with channels last in memory.  Each
quantity above is one pass over it, and all passes are of one form, coefficient vectors times columns:

    y  = (x - center) scale + shift          center = float32(mu), scale = gamma rstd, shift = beta - (mu - center) scale
    gx = a g + b (x - center) + d            a = gamma rstd, b = -a rstd ggamma / m, d = -a gbeta / m - b (mu - center)

mu is known in double; what float32 cannot hold of it goes into the shift, so a mean of 1e4 beside a standard deviation of 1e-2
costs no accuracy.  Sums over many rows are taken in up to SLOTS ranges of rows, given by the shape, and merged in order.
"""

from cython.parallel cimport prange
from libc.math cimport INFINITY, NAN, sqrt
from numpy cimport (
    NPY_DOUBLE, NPY_FLOAT, PyArray_DATA, PyArray_DIMS, PyArray_ISCARRAY, PyArray_ITEMSIZE, PyArray_NDIM, PyArray_STRIDES,
    PyArray_TYPE,
    import_array, ndarray, npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.checks cimport check_float, check_same_dtype, quiet, shape_of
from tinynet.ops.kernels cimport K, TN_ROW_BLOCK
from tinynet.ops.memory cimport contiguous, new_array, touch
from tinynet.ops.threads cimport SLOTS, team, tn_enter, tn_leave

import numpy as np

from tinynet.errors import ArgumentError, ShapeError

import_array()

cdef enum:
    CENTER, SCALE, SHIFT, RSTD, HAT_SHIFT, A, B, D, VECTORS      # coefficient vectors of C float32 each


cdef ndarray as_rows(ndarray x):
    """x as a matrix (m, C) whose rows are contiguous: a view if x is (N, C) or channels-last, else a copy."""
    cdef int nd = PyArray_NDIM(x), d
    cdef Py_ssize_t m = 1, row, item = PyArray_ITEMSIZE(x)
    if nd > 2:
        x = (<object>x).transpose(0, *range(2, nd), 1)
        for d in range(nd - 1):
            m *= PyArray_DIMS(x)[d]
        return contiguous(x).reshape((m, PyArray_DIMS(x)[nd - 1]))
    if PyArray_DIMS(x)[1] > 1 and PyArray_STRIDES(x)[1] != item:
        return contiguous(x)
    row = PyArray_STRIDES(x)[0]
    if PyArray_DIMS(x)[0] > 1 and (row < PyArray_DIMS(x)[1] * item or row % item):
        return contiguous(x)
    return x


cdef ndarray from_rows(ndarray rows, ndarray x):
    """The matrix (m, C) as an array of x's shape, channels last in memory."""
    cdef int nd = PyArray_NDIM(x)
    if nd == 2:
        return rows
    shape = shape_of(x)
    return (<object>rows).reshape((shape[0], *shape[2:], shape[1])).transpose(0, nd - 1, *range(1, nd - 1))


cdef inline Py_ssize_t row_stride(ndarray rows) noexcept:
    return PyArray_STRIDES(rows)[0] // PyArray_ITEMSIZE(rows)


cdef inline Py_ssize_t range_of_rows(Py_ssize_t m) noexcept:
    """Rows per range: whole blocks of TN_ROW_BLOCK, at least one, and at most SLOTS ranges."""
    return max(((m + SLOTS - 1) // SLOTS + TN_ROW_BLOCK - 1) // TN_ROW_BLOCK, 1) * TN_ROW_BLOCK


cdef void statistics_piece(double* part, const float* x, Py_ssize_t m, Py_ssize_t c, Py_ssize_t ld, Py_ssize_t step,
                           Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    K.bn_statistics_f32(part + 2 * i * c, part + (2 * i + 1) * c, x + i * step * ld, min(step, m - i * step), c, ld)
    tn_leave(mode)


cdef ndarray statistics_f32(ndarray rows):
    """(2, C) float64: mean and sum of squared deviations of each column of rows (m, C), m >= 1."""
    cdef Py_ssize_t m = PyArray_DIMS(rows)[0], c = PyArray_DIMS(rows)[1], step = range_of_rows(m), i, j
    cdef Py_ssize_t ranges = (m + step - 1) // step, ld = row_stride(rows)
    cdef npy_intp[2] shape
    shape[0], shape[1] = 2 * ranges, c
    cdef ndarray parts = new_array(2, shape, NPY_DOUBLE)
    cdef double* part = <double*>PyArray_DATA(parts)
    cdef const float* px = <const float*>PyArray_DATA(rows)
    cdef double na, nb, d
    cdef int threads = team(14.0 * m * c, ranges)
    if threads == 1:
        with nogil:
            for i in range(ranges):
                statistics_piece(part, px, m, c, ld, step, i)
    else:
        for i in prange(ranges, nogil=True, schedule="static", num_threads=threads):
            statistics_piece(part, px, m, c, ld, step, i)
    for i in range(1, ranges):                 # merge range i into the first, as blocks are merged in csrc/scalar.c
        na, nb = i * step, min(step, m - i * step)
        for j in range(c):
            d = part[2 * i * c + j] - part[j]
            part[j] += d * (nb / (na + nb))
            part[c + j] += part[(2 * i + 1) * c + j] + d * d * (na * (nb / (na + nb)))
    return parts if ranges == 1 else parts[:2]


cdef ndarray statistics(ndarray rows):
    """(2, C) float64: mean and biased variance of each column."""
    cdef ndarray s
    cdef Py_ssize_t m = PyArray_DIMS(rows)[0], c = PyArray_DIMS(rows)[1], j
    if PyArray_TYPE(rows) == NPY_FLOAT:
        s = statistics_f32(rows)
        for j in range(c):
            (<double*>PyArray_DATA(s))[c + j] /= m
        return s
    with quiet():
        return np.stack([(<object>rows).mean(axis=0), (<object>rows).var(axis=0)])


def batch_statistics(ndarray x not None):
    """Mean and biased variance of each channel.

    Parameters
    ----------
    x : ndarray, shape (N, C), (N, C, L) or (N, C, H, W), float32 or float64
        At least one value per channel.

    Returns
    -------
    mean, variance : ndarray, shape (C,), float64
    count : int
        Values per channel, m.
    """
    check_float("batch_statistics", "x", x)
    if PyArray_NDIM(x) < 2 or (<object>x).size == 0:
        raise ShapeError(f"batch_statistics: x must have shape (N, C[, ...]) with at least one value; got {shape_of(x)}")
    cdef ndarray rows = as_rows(x), s = statistics(rows)
    return np.array(s[0]), np.array(s[1]), int(PyArray_DIMS(rows)[0])


cdef void apply_piece(float* y, const float* x, const float* v, Py_ssize_t m, Py_ssize_t c, Py_ssize_t ldx, Py_ssize_t step,
                      Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    K.bn_apply_f32(y + i * step * c, x + i * step * ldx, v + CENTER * c, v + SCALE * c, v + SHIFT * c, min(step, m - i * step),
                   c, c, ldx)
    tn_leave(mode)


cdef void reduce_piece(double* part, const float* g, const float* x, const float* v, Py_ssize_t m, Py_ssize_t c,
                       Py_ssize_t ldg, Py_ssize_t ldx, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    K.bn_reduce_f32(part + 2 * i * c, part + (2 * i + 1) * c, g + i * step * ldg, x + i * step * ldx, v + CENTER * c,
                    v + RSTD * c, v + HAT_SHIFT * c, min(step, m - i * step), c, ldg, ldx)
    tn_leave(mode)


cdef void backward_piece(float* gx, const float* g, const float* x, const float* v, Py_ssize_t m, Py_ssize_t c,
                         Py_ssize_t ldg, Py_ssize_t ldx, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    K.bn_backward_f32(gx + i * step * c, g + i * step * ldg, x + i * step * ldx, v + CENTER * c, v + A * c, v + B * c, v + D * c,
                      min(step, m - i * step), c, c, ldg, ldx)
    tn_leave(mode)


cdef int check_vector(str name, ndarray v, ndarray x, Py_ssize_t c) except -1:
    if v is None:
        return 0
    check_same_dtype("batch_norm", "input", x, name, v)
    if PyArray_NDIM(v) != 1 or PyArray_DIMS(v)[0] != c:
        raise ShapeError(f"batch_norm: {name} must have shape (C,) with C = {c} to match input {shape_of(x)}; got {shape_of(v)}")
    return 0


cdef int check_writable(str name, ndarray v) except -1:
    if v is not None and not PyArray_ISCARRAY(v):
        raise ArgumentError(f"batch_norm: {name} must be contiguous and writable in training; got strides {(<object>v).strides}, "
                            f"writable: {(<object>v).flags.writeable}")
    return 0


cdef class BatchNorm(Op):
    """y = gamma (x - mu) rstd + beta per channel of x (N, C), (N, C, L) or (N, C, H, W); gamma, beta (C,) or None.

    In training mu and var are the batch's, and the running buffers (arrays, or None) move by
    running = (1 - momentum) running + momentum batch, with the unbiased variance m/(m-1) var.  Otherwise they are the buffers'.
    Saves x, gamma and the coefficient vectors.  For the gradients see the top of this file.
    """

    arguments = ("input", "weight", "bias")
    optional = ("weight", "bias")

    cdef ndarray running_mean
    cdef ndarray running_var
    cdef bint batch                      # normalise with the batch's own statistics
    cdef double momentum
    cdef double eps
    cdef ndarray vectors                 # (VECTORS, C) float32
    cdef ndarray mean_rstd               # (2, C) float64

    def __init__(self, running_mean, running_var, training, momentum, eps):
        self.running_mean, self.running_var, self.batch = running_mean, running_var, training
        self.momentum, self.eps = momentum, eps

    @property
    def name(self):
        return "batch_norm"

    cdef int check(self, ndarray x, ndarray gamma, ndarray beta) except -1:
        check_float("batch_norm", "input", x)
        if PyArray_NDIM(x) < 2 or PyArray_NDIM(x) > 4:
            raise ShapeError(f"batch_norm: input must have shape (N, C), (N, C, L) or (N, C, H, W); got {shape_of(x)}")
        cdef Py_ssize_t c = PyArray_DIMS(x)[1]
        check_vector("weight", gamma, x, c)
        check_vector("bias", beta, x, c)
        check_vector("running_mean", self.running_mean, x, c)
        check_vector("running_var", self.running_var, x, c)
        if self.batch:
            check_writable("running_mean", self.running_mean)
            check_writable("running_var", self.running_var)
        if (self.running_mean is None) != (self.running_var is None):
            raise ArgumentError("batch_norm: running_mean and running_var must be given together; one of them is None")
        if not 0.0 <= self.momentum <= 1.0:
            raise ArgumentError(f"batch_norm: momentum must lie in [0, 1]; got {self.momentum}")
        if not self.eps > 0.0:
            raise ArgumentError(f"batch_norm: eps must be above 0; got {self.eps}")
        if not self.batch and (self.running_mean is None or self.running_var is None):
            raise ArgumentError("batch_norm: running_mean and running_var must be given when training=False; got None")
        cdef Py_ssize_t m = PyArray_DIMS(x)[0], d
        for d in range(2, PyArray_NDIM(x)):
            m *= PyArray_DIMS(x)[d]
        if self.batch and m < 2:
            raise ShapeError(f"batch_norm: input must have more than one value per channel in training; got {shape_of(x)}: "
                             "use a larger batch (a DataLoader with drop_last=True leaves out a last batch of one) or eval()")
        return 0

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], gamma = inputs[1], beta = inputs[2], rows, y
        cdef Py_ssize_t m
        self.check(x, gamma, beta)
        rows = as_rows(x)                                               # (m, C)
        m = PyArray_DIMS(rows)[0]
        if self.batch:
            self.mean_rstd = statistics(rows)                           # for now (mean, var)
            self.move_running(m)
        else:
            self.mean_rstd = np.stack([self.running_mean, self.running_var]).astype(np.float64)
        self.invert_root()
        y = new_array(2, PyArray_DIMS(rows), PyArray_TYPE(x))           # (m, C)
        if PyArray_TYPE(x) == NPY_FLOAT:
            self.apply_f32(y, rows, gamma, beta)
        else:
            with quiet():
                xh = (rows - self.mean_rstd[0]) * self.mean_rstd[1]
                (<object>y)[...] = xh * (1.0 if gamma is None else gamma) + (0.0 if beta is None else beta)
        self.save((x, gamma if PyArray_TYPE(x) != NPY_FLOAT else None))   # for float32, gamma is in the vectors
        return from_rows(y, x)

    cdef int move_running(self, Py_ssize_t m) except -1:
        """running = (1 - momentum) running + momentum batch, in double, rounded to the buffers' dtype."""
        if self.running_mean is None:
            return 0
        cdef Py_ssize_t c = PyArray_DIMS(self.mean_rstd)[1], j
        cdef double* mean = <double*>PyArray_DATA(self.mean_rstd)
        cdef double* var = mean + c
        cdef double keep = 1.0 - self.momentum, unbiased = m / (m - 1.0) * self.momentum
        cdef bint single = PyArray_TYPE(self.running_mean) == NPY_FLOAT
        cdef void* rm = PyArray_DATA(self.running_mean)
        cdef void* rv = PyArray_DATA(self.running_var)
        for j in range(c):
            if single:
                (<float*>rm)[j] = <float>(keep * (<float*>rm)[j] + self.momentum * mean[j])
                (<float*>rv)[j] = <float>(keep * (<float*>rv)[j] + unbiased * var[j])
            else:
                (<double*>rm)[j] = keep * (<double*>rm)[j] + self.momentum * mean[j]
                (<double*>rv)[j] = keep * (<double*>rv)[j] + unbiased * var[j]
        touch(self.running_mean)
        touch(self.running_var)
        return 0

    cdef int invert_root(self) except -1:
        """(mean, var) becomes (mean, 1 / sqrt(var + eps))."""
        cdef Py_ssize_t c = PyArray_DIMS(self.mean_rstd)[1], j
        cdef double* var = <double*>PyArray_DATA(self.mean_rstd) + c
        for j in range(c):
            # A variance beyond the range of float32 sums is infinite: nan shows it, where 0 would hide it.
            var[j] = 1.0 / sqrt(var[j] + self.eps) if var[j] < INFINITY else NAN
        return 0

    cdef int apply_f32(self, ndarray y, ndarray rows, ndarray gamma, ndarray beta) except -1:
        """y = (x - center) scale + shift, and the vectors that the backward starts from."""
        cdef Py_ssize_t m = PyArray_DIMS(rows)[0], c = PyArray_DIMS(rows)[1], j, i, ldx = row_stride(rows)
        cdef Py_ssize_t step = range_of_rows(m)
        cdef npy_intp[2] shape
        shape[0], shape[1] = VECTORS, c
        self.vectors = new_array(2, shape, NPY_FLOAT)
        cdef float* v = <float*>PyArray_DATA(self.vectors)
        cdef double* mean = <double*>PyArray_DATA(self.mean_rstd)
        cdef double* rstd = mean + c
        if gamma is not None:
            gamma = contiguous(gamma)
        if beta is not None:
            beta = contiguous(beta)
        cdef float* g = <float*>PyArray_DATA(gamma) if gamma is not None else NULL
        cdef float* b = <float*>PyArray_DATA(beta) if beta is not None else NULL
        cdef double scale, rest
        for j in range(c):
            scale = rstd[j] * (g[j] if g != NULL else 1.0)
            v[CENTER * c + j] = <float>mean[j]
            rest = mean[j] - v[CENTER * c + j]                          # what float32 cannot hold of the mean
            v[SCALE * c + j] = <float>scale
            v[SHIFT * c + j] = <float>((b[j] if b != NULL else 0.0) - rest * scale)
            v[RSTD * c + j] = <float>rstd[j]
            v[HAT_SHIFT * c + j] = <float>(-rest * rstd[j])
        cdef float* py = <float*>PyArray_DATA(y)
        cdef const float* px = <const float*>PyArray_DATA(rows)
        cdef int threads = team(12.0 * m * c, (m + step - 1) // step)
        if threads == 1:
            with nogil:
                for i in range((m + step - 1) // step):
                    apply_piece(py, px, v, m, c, ldx, step, i)
        else:
            for i in prange((m + step - 1) // step, nogil=True, schedule="static", num_threads=threads):
                apply_piece(py, px, v, m, c, ldx, step, i)
        return 0

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray x = self.saved[0], gamma = self.saved[1], rows = as_rows(x), g = as_rows(gy), gx
        cdef Py_ssize_t m = PyArray_DIMS(rows)[0], c = PyArray_DIMS(rows)[1]
        if PyArray_TYPE(x) == NPY_FLOAT and m and c:
            sums = self.reduce_f32(g, rows) if self.batch or needs[1] or needs[2] else None
            gx = self.backward_f32(g, rows, sums) if needs[0] else None
        else:
            xh = (rows - self.mean_rstd[0]) * self.mean_rstd[1]
            sums = np.stack([g.sum(axis=0), (g * xh).sum(axis=0)])
            a = self.mean_rstd[1] * (1.0 if gamma is None else gamma)
            gx = np.asarray(a * (g - (sums[0] + xh * sums[1]) / m if self.batch and m else g), (<object>x).dtype)
        return (from_rows(gx, x) if needs[0] else None,
                narrowed(sums, 1, x) if needs[1] else None,
                narrowed(sums, 0, x) if needs[2] else None)

    cdef ndarray reduce_f32(self, ndarray g, ndarray rows):
        """(2, C) float64: gbeta = sum g and ggamma = sum g xh."""
        cdef Py_ssize_t m = PyArray_DIMS(rows)[0], c = PyArray_DIMS(rows)[1], step = range_of_rows(m), i, j
        cdef Py_ssize_t ranges = (m + step - 1) // step, ldg = row_stride(g), ldx = row_stride(rows)
        cdef npy_intp[2] shape
        shape[0], shape[1] = 2 * ranges, c
        cdef ndarray parts = new_array(2, shape, NPY_DOUBLE)
        cdef double* part = <double*>PyArray_DATA(parts)
        cdef const float* pg = <const float*>PyArray_DATA(g)
        cdef const float* px = <const float*>PyArray_DATA(rows)
        cdef const float* v = <const float*>PyArray_DATA(self.vectors)
        cdef int threads = team(14.0 * m * c, ranges)
        if threads == 1:
            with nogil:
                for i in range(ranges):
                    reduce_piece(part, pg, px, v, m, c, ldg, ldx, step, i)
        else:
            for i in prange(ranges, nogil=True, schedule="static", num_threads=threads):
                reduce_piece(part, pg, px, v, m, c, ldg, ldx, step, i)
        for i in range(1, ranges):
            for j in range(2 * c):
                part[j] += part[2 * i * c + j]
        return parts if ranges == 1 else parts[:2]

    cdef ndarray backward_f32(self, ndarray g, ndarray rows, ndarray sums):
        """gx = a g + b (x - center) + d; in evaluation b = d = 0."""
        cdef Py_ssize_t m = PyArray_DIMS(rows)[0], c = PyArray_DIMS(rows)[1], j, i
        cdef Py_ssize_t step = range_of_rows(m), ldg = row_stride(g), ldx = row_stride(rows)
        cdef ndarray gx = new_array(2, PyArray_DIMS(rows), NPY_FLOAT)
        cdef float* v = <float*>PyArray_DATA(self.vectors)
        cdef double* mean = <double*>PyArray_DATA(self.mean_rstd)
        cdef double* rstd = mean + c
        cdef double* s = <double*>PyArray_DATA(sums) if sums is not None else NULL
        cdef double a, b
        for j in range(c):
            a = v[SCALE * c + j]
            b = -a * rstd[j] * s[c + j] / m if self.batch else 0.0
            v[A * c + j] = <float>a
            v[B * c + j] = <float>b
            v[D * c + j] = <float>(-a * s[j] / m - b * (mean[j] - v[CENTER * c + j])) if self.batch else 0.0
        cdef float* pgx = <float*>PyArray_DATA(gx)
        cdef const float* pg = <const float*>PyArray_DATA(g)
        cdef const float* px = <const float*>PyArray_DATA(rows)
        cdef int threads = team(18.0 * m * c, (m + step - 1) // step)
        if threads == 1:
            with nogil:
                for i in range((m + step - 1) // step):
                    backward_piece(pgx, pg, px, v, m, c, ldg, ldx, step, i)
        else:
            for i in prange((m + step - 1) // step, nogil=True, schedule="static", num_threads=threads):
                backward_piece(pgx, pg, px, v, m, c, ldg, ldx, step, i)
        return gx


cdef ndarray narrowed(ndarray sums, Py_ssize_t row, ndarray x):
    """A row of the sums (2, C) in x's dtype, in a block of its own."""
    cdef Py_ssize_t c = PyArray_DIMS(sums)[1], j
    cdef ndarray y = new_array(1, PyArray_DIMS(sums) + 1, PyArray_TYPE(x))
    if PyArray_TYPE(x) != NPY_FLOAT or PyArray_TYPE(sums) != NPY_DOUBLE:
        (<object>y)[...] = sums[row]
        return y
    for j in range(c):
        (<float*>PyArray_DATA(y))[j] = <float>(<double*>PyArray_DATA(sums))[row * c + j]
    return y
