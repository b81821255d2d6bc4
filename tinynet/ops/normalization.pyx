"""Batch normalisation (Ioffe & Szegedy 2015, Algorithm 1).

Per channel, over m values x_i (the batch and all positions):

    mu  = 1/m sum x_i                   var = 1/m sum (x_i - mu)^2            (biased)
    rstd = 1 / sqrt(var + eps)          xh_i = (x_i - mu) rstd                y_i = gamma xh_i + beta

Going back through mu and var as well, the chain of the paper's section 3 collapses to

    gbeta = sum g_i      ggamma = sum g_i xh_i      gx_i = gamma rstd (g_i - gbeta / m - xh_i ggamma / m)

(docs/how-a-step-works.md derives it).  In evaluation mu and var are constants: gx_i = gamma rstd g_i.

The data is seen as rows of C channels, one per value of each channel: (N, C) as it is, (N, C, L) and (N, C, H, W) with channels
last in memory, where a slice of the channels of something larger is the same rows, further apart.  Each quantity above is one
pass over the rows, and all passes are of one form, coefficient vectors times columns:

    y  = (x - center) scale + shift          center = float32(mu), scale = gamma rstd, shift = beta - (mu - center) scale
    gx = a g + b (x - center) + d            a = gamma rstd, b = -a rstd ggamma / m, d = -a gbeta / m - b (mu - center)

mu is known in double; what float32 cannot hold of it goes into the shift, so a mean of 1e4 beside a standard deviation of 1e-2
costs no accuracy.  Sums over many rows are taken in up to SLOTS ranges of rows, given by the shape, and merged in order.

y is not computed here but handed out as a recipe (ops/pending.pyx), which a ReLU or sigmoid joins.  The gradient of a ReLU then
comes here as well (`takes_over`): both passes back, the sums and gx, form y again and take g = 0 where it is not above 0.  In
the last backward gx is written over x if nobody else holds that.
"""

from cython.parallel cimport prange
from libc.math cimport INFINITY, NAN, sqrt
from libc.stdint cimport int64_t
from numpy cimport (
    NPY_DOUBLE, NPY_FLOAT, NPY_INT64, PyArray_DATA, PyArray_DIMS, PyArray_ISCARRAY, PyArray_ITEMSIZE, PyArray_NDIM, PyArray_SIZE,
    PyArray_STRIDES, PyArray_TYPE, import_array, ndarray, npy_intp,
)

from tinynet._graph cimport Deferred, Op
from tinynet.ops.channels cimport as_matrix, fill, new_rows, rows_of
from tinynet.ops.checks cimport check_float, check_same_dtype, quiet, shape_of
from tinynet.ops.kernels cimport K
from tinynet.ops.layout cimport Map
from tinynet.ops.memory cimport block_of, contiguous, new_array, outline, repeated, sole_reference, touch
from tinynet.ops.pending cimport CENTER, NOTHING, RELU, SCALE, SHIFT, apply_f32, before_write, may_wait, postpone, range_of_rows
from tinynet.ops.threads cimport team, tn_enter, tn_leave

import numpy as np

from tinynet.errors import ArgumentError, ShapeError

import_array()

cdef enum:
    RSTD = 3, HAT_SHIFT, A, B, D, VECTORS            # coefficient vectors of C float32 each, after CENTER, SCALE and SHIFT


cdef void statistics_piece(double* part, const Map* x, Py_ssize_t m, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    K.bn_statistics_f32(part + 2 * i * x.c, part + (2 * i + 1) * x.c, <float*>x.data + i * step * x.ld, min(step, m - i * step),
                        x.c, x.ld)
    tn_leave(mode)


cdef ndarray statistics_f32(const Map* x):
    """(2, C) float64: mean and biased variance of each channel, of which there is at least one value."""
    cdef Py_ssize_t m = x.n * x.h * x.w, c = x.c, step = range_of_rows(m), i, j
    cdef Py_ssize_t ranges = (m + step - 1) // step
    cdef npy_intp[2] shape
    shape[0], shape[1] = 2 * ranges, c
    cdef ndarray parts = new_array(2, shape, NPY_DOUBLE)
    cdef double* part = <double*>PyArray_DATA(parts)
    cdef double na, nb, d
    cdef int threads = team(14.0 * m * c, ranges)
    if threads == 1:
        with nogil:
            for i in range(ranges):
                statistics_piece(part, x, m, step, i)
    else:
        for i in prange(ranges, nogil=True, schedule="static", num_threads=threads):
            statistics_piece(part, x, m, step, i)
    for i in range(1, ranges):                 # merge range i into the first, as blocks are merged in csrc/scalar.c
        na, nb = i * step, min(step, m - i * step)
        for j in range(c):
            d = part[2 * i * c + j] - part[j]
            part[j] += d * (nb / (na + nb))
            part[c + j] += part[(2 * i + 1) * c + j] + d * d * (na * (nb / (na + nb)))
    for j in range(c):
        part[c + j] /= m
    return parts if ranges == 1 else parts[:2]


cdef ndarray statistics(ndarray x, const Map* m):
    """(2, C) float64: mean and biased variance of each channel of x, which m describes."""
    if PyArray_TYPE(x) == NPY_FLOAT:
        return statistics_f32(m)
    with quiet():
        rows = as_matrix(x)
        return np.stack([rows.mean(axis=0), rows.var(axis=0)])


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
    cdef Map m
    cdef ndarray rows = rows_of(x, &m), s = statistics(rows, &m)
    return np.array(s[0]), np.array(s[1]), m.n * m.h * m.w


cdef void reduce_piece(double* part, const Map* g, const Map* x, const float* v, bint relu, Py_ssize_t m, Py_ssize_t step,
                       Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t c = g.c
    cdef const float* pg = <const float*>g.data + i * step * g.ld
    if x == NULL:                        # only the sum of g is wanted: summed as the other kernel does
        K.column_sum_f32(part + 2 * i * c, pg, min(step, m - i * step), c, g.ld)
    elif relu:
        K.bn_relu_reduce_f32(part + 2 * i * c, part + (2 * i + 1) * c, pg, <float*>x.data + i * step * x.ld, v + CENTER * c,
                             v + RSTD * c, v + HAT_SHIFT * c, v + SCALE * c, v + SHIFT * c, min(step, m - i * step), c, g.ld,
                             x.ld)
    else:
        K.bn_reduce_f32(part + 2 * i * c, part + (2 * i + 1) * c, pg, <float*>x.data + i * step * x.ld, v + CENTER * c,
                        v + RSTD * c, v + HAT_SHIFT * c, min(step, m - i * step), c, g.ld, x.ld)
    tn_leave(mode)


cdef void backward_piece(const Map* gx, const Map* g, const Map* x, const float* v, bint relu, Py_ssize_t m, Py_ssize_t step,
                         Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t c = x.c
    cdef float* to = <float*>gx.data + i * step * gx.ld
    cdef const float* pg = <const float*>g.data + i * step * g.ld
    cdef const float* px = <const float*>x.data + i * step * x.ld
    if relu:
        K.bn_relu_backward_f32(to, pg, px, v + CENTER * c, v + A * c, v + B * c, v + D * c, v + SCALE * c, v + SHIFT * c,
                               min(step, m - i * step), c, gx.ld, g.ld, x.ld)
    else:
        K.bn_backward_f32(to, pg, px, v + CENTER * c, v + A * c, v + B * c, v + D * c, min(step, m - i * step), c, gx.ld, g.ld,
                          x.ld)
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


cdef ndarray outline_of_result(ndarray x):
    """An outline of y, which has the channels last in memory (`new_rows`) however x lies."""
    cdef int nd = PyArray_NDIM(x), d
    cdef npy_intp[4] strides
    cdef npy_intp step = PyArray_ITEMSIZE(x) * PyArray_DIMS(x)[1]
    cdef bint as_x = True
    strides[1] = PyArray_ITEMSIZE(x)
    for d in range(nd - 1, 1, -1):
        strides[d] = step
        step *= PyArray_DIMS(x)[d]
    strides[0] = step
    for d in range(nd):
        as_x = as_x and strides[d] == PyArray_STRIDES(x)[d]
    return outline(x if as_x else repeated(x, shape_of(x), tuple([strides[d] for d in range(nd)])))


cdef class BatchNorm(Op):
    """y = gamma (x - mu) rstd + beta per channel of x (N, C), (N, C, L) or (N, C, H, W); gamma, beta (C,) or None.

    In training mu and var are the batch's, and the running buffers (arrays, or None) move by
    running = (1 - momentum) running + momentum batch, with the unbiased variance m/(m-1) var, and `count` grows by one.
    Otherwise they are the buffers'.
    Saves x where a gradient needs it (with constant statistics that of gamma alone), and the coefficient vectors; for float64
    gamma, too.  For the gradients see the top of this file.
    """

    arguments = ("input", "weight", "bias")
    optional = ("weight", "bias")

    cdef ndarray running_mean
    cdef ndarray running_var
    cdef ndarray count                   # int64, (): of the batches that have moved them; or None
    cdef bint batch                      # normalise with the batch's own statistics
    cdef double momentum
    cdef double eps
    cdef ndarray vectors                 # (VECTORS, C) float32
    cdef ndarray mean_rstd               # (2, C) float64
    cdef ndarray like                    # an outline of y

    def __init__(self, running_mean, running_var, training, momentum, eps, count=None):
        self.running_mean, self.running_var, self.batch, self.count = running_mean, running_var, training, count
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
        if self.count is not None and (PyArray_TYPE(self.count) != NPY_INT64 or not PyArray_ISCARRAY(self.count)
                                       or PyArray_SIZE(self.count) != 1):
            raise ArgumentError("batch_norm: num_batches_tracked must be one writable int64; "
                                f"got {(<object>self.count).dtype} of shape {shape_of(self.count)}")
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
        cdef bint single = PyArray_TYPE(x) == NPY_FLOAT
        cdef Map mx, my
        self.check(x, gamma, beta)
        rows = rows_of(x, &mx)
        if self.batch:
            self.mean_rstd = statistics(rows, &mx)                      # for now (mean, var)
            self.move_running(mx.n * mx.h * mx.w)
        else:
            self.take_running()
        self.invert_root()
        self.like = outline_of_result(x)
        if single:
            self.set_vectors(gamma, beta)
        self.save((rows if self.needs[1] or (self.batch and self.needs[0]) else None, None if single else gamma))
        if may_wait(rows):
            return postpone(rows, &mx, self.like, self.vectors, NOTHING)
        y = new_rows(x, &my)
        if single:
            apply_f32(&my, &mx, self.vector(CENTER), self.vector(SCALE), self.vector(SHIFT), NULL, NOTHING)
        else:
            with quiet():
                xh = (as_matrix(rows) - self.mean_rstd[0]) * self.mean_rstd[1]
                fill(y, xh * (1.0 if gamma is None else gamma) + (0.0 if beta is None else beta))
        return y

    cdef bint takes_over(self, Op following):
        # Its mask is formed again from x: so x must be at hand, and be what the forward saw.
        return (self.batch and following.recipe.following == RELU and following.recipe.vectors is self.vectors
                and self.saved[0] is not None and not block_of(<ndarray>self.saved[0]).exposed)

    cdef int take_running(self) except -1:
        """(mean, var) from the buffers."""
        cdef npy_intp[2] shape
        cdef ndarray mean = contiguous(self.running_mean), var = contiguous(self.running_var)
        cdef Py_ssize_t c = PyArray_DIMS(mean)[0], j
        shape[0], shape[1] = 2, c
        self.mean_rstd = new_array(2, shape, NPY_DOUBLE)
        cdef double* s = <double*>PyArray_DATA(self.mean_rstd)
        for j in range(c):
            if PyArray_TYPE(mean) == NPY_FLOAT:
                s[j], s[c + j] = (<float*>PyArray_DATA(mean))[j], (<float*>PyArray_DATA(var))[j]
            else:
                s[j], s[c + j] = (<double*>PyArray_DATA(mean))[j], (<double*>PyArray_DATA(var))[j]
        return 0

    cdef int move_running(self, Py_ssize_t m) except -1:
        """running = (1 - momentum) running + momentum batch, in double, rounded to the buffers' dtype."""
        if self.running_mean is None:
            return 0
        cdef Py_ssize_t c = PyArray_DIMS(self.mean_rstd)[1], j
        cdef double* mean = <double*>PyArray_DATA(self.mean_rstd)
        cdef double* var = mean + c
        before_write(self.running_mean)
        before_write(self.running_var)
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
        if self.count is not None:
            before_write(self.count)
            (<int64_t*>PyArray_DATA(self.count))[0] += 1
            touch(self.count)
        return 0

    cdef int invert_root(self) except -1:
        """(mean, var) becomes (mean, 1 / sqrt(var + eps))."""
        cdef Py_ssize_t c = PyArray_DIMS(self.mean_rstd)[1], j
        cdef double* var = <double*>PyArray_DATA(self.mean_rstd) + c
        for j in range(c):
            # A variance beyond the range of float32 sums is infinite: nan shows it, where 0 would hide it.
            var[j] = 1.0 / sqrt(var[j] + self.eps) if var[j] < INFINITY else NAN
        return 0

    cdef float* vector(self, int which) noexcept:
        return <float*>PyArray_DATA(self.vectors) + which * PyArray_DIMS(self.vectors)[1]

    cdef int set_vectors(self, ndarray gamma, ndarray beta) except -1:
        """The vectors of the forward, and those that the backward starts from."""
        cdef npy_intp[2] shape
        cdef Py_ssize_t c = PyArray_DIMS(self.mean_rstd)[1], j
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
        return 0

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray x = self.saved[0], g, gx = None, sums = None, ggamma, gbeta
        cdef Map mg, mx, mgx
        cdef bint relu = isinstance(gy, Deferred)
        if relu:
            (<Deferred>gy).op = None             # with its recipe, which may be the last to hold x
            gy = (<Deferred>gy).gradient
        g = rows_of(gy, &mg)
        if x is not None:
            rows_of(x, &mx)
        if PyArray_TYPE(g) != NPY_FLOAT or not (mg.n and mg.h and mg.w and mg.c):
            if needs[0]:
                gx = new_rows(self.like, &mgx)
            sums = self.backward_f64(gx, as_matrix(g), x)
            return (gx, narrowed(sums, 1, g) if needs[1] else None, narrowed(sums, 0, g) if needs[2] else None)
        if self.batch or needs[1] or needs[2]:
            sums = self.reduce_f32(&mg, &mx if x is not None else NULL, relu)
        ggamma = narrowed(sums, 1, g) if needs[1] else None
        gbeta = narrowed(sums, 0, g) if needs[2] else None
        if needs[0] and self.final and self.batch and sole_reference(x, 2) and PyArray_NDIM(x) == PyArray_NDIM(self.like):
            gx, mgx = x, mx                      # nobody but `saved` and us holds x, and from here on nothing can fail
        elif needs[0]:
            gx = new_rows(self.like, &mgx)
        if needs[0]:
            self.backward_f32(&mgx, &mg, &mx if x is not None else NULL, sums, relu)
        return (gx, ggamma, gbeta)

    cdef ndarray backward_f64(self, ndarray gx, object g, ndarray x):
        """gx is filled, unless None; returns (2, C): gbeta and ggamma (without x, gbeta alone)."""
        gamma = self.saved[1]
        a = self.mean_rstd[1] * (1.0 if gamma is None else gamma)
        if x is None:
            if gx is not None:
                fill(gx, a * g)
            return g.sum(axis=0, keepdims=True)
        xh = (as_matrix(x) - self.mean_rstd[0]) * self.mean_rstd[1]
        sums = np.stack([g.sum(axis=0), (g * xh).sum(axis=0)])
        if gx is not None:
            fill(gx, a * (g - (sums[0] + xh * sums[1]) / len(g) if self.batch and len(g) else g))
        return sums

    cdef ndarray reduce_f32(self, const Map* g, const Map* x, bint relu):
        """(2, C) float64: gbeta = sum g and ggamma = sum g xh; without x gbeta alone.  With `relu` g stands before it."""
        cdef Py_ssize_t m = g.n * g.h * g.w, c = g.c, step = range_of_rows(m), i, j
        cdef Py_ssize_t ranges = (m + step - 1) // step
        cdef npy_intp[2] shape
        shape[0], shape[1] = 2 * ranges, c
        cdef ndarray parts = new_array(2, shape, NPY_DOUBLE)
        cdef double* part = <double*>PyArray_DATA(parts)
        cdef const float* v = self.vector(0)
        cdef int threads = team(14.0 * m * c, ranges)
        if threads == 1:
            with nogil:
                for i in range(ranges):
                    reduce_piece(part, g, x, v, relu, m, step, i)
        else:
            for i in prange(ranges, nogil=True, schedule="static", num_threads=threads):
                reduce_piece(part, g, x, v, relu, m, step, i)
        for i in range(1, ranges):
            for j in range(2 * c if x != NULL else c):
                part[j] += part[2 * i * c + j]
        return parts if ranges == 1 else parts[:2]

    cdef int backward_f32(self, const Map* gx, const Map* g, const Map* x, ndarray sums, bint relu) except -1:
        """gx = a g + b (x - center) + d; with constant statistics gx = a g."""
        cdef Py_ssize_t m = g.n * g.h * g.w, c = g.c, step = range_of_rows(m), j, i
        cdef float* v = self.vector(0)
        cdef double* mean = <double*>PyArray_DATA(self.mean_rstd)
        cdef double* rstd = mean + c
        cdef double* s = <double*>PyArray_DATA(sums) if self.batch else NULL
        cdef double a, b
        cdef int threads
        for j in range(c):
            a = v[SCALE * c + j]
            b = -a * rstd[j] * s[c + j] / m if self.batch else 0.0
            v[A * c + j] = <float>a
            v[B * c + j] = <float>b
            v[D * c + j] = <float>(-a * s[j] / m - b * (mean[j] - v[CENTER * c + j])) if self.batch else 0.0
        if not self.batch:
            return apply_f32(gx, g, v + B * c, v + A * c, v + D * c, NULL, NOTHING)        # B and D are 0
        threads = team(18.0 * m * c, (m + step - 1) // step)
        if threads == 1:
            with nogil:
                for i in range((m + step - 1) // step):
                    backward_piece(gx, g, x, v, relu, m, step, i)
        else:
            for i in prange((m + step - 1) // step, nogil=True, schedule="static", num_threads=threads):
                backward_piece(gx, g, x, v, relu, m, step, i)
        return 0


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
