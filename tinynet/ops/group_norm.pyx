"""Group normalisation (Wu & He 2018, equations 1, 2, 3, 6 and 7).

The C channels of an example are divided into G groups of k = C / G neighbours.  Over a group's m = k positions values x_i, of one
example,

    mu = 1/m sum x_i       var = 1/m sum (x_i - mu)^2       rstd = 1 / sqrt(var + eps)
    xh_i = (x_i - mu) rstd                                  y_i = gamma_c xh_i + beta_c          c: the channel of x_i

and back, with t_i = g_i gamma_c:

    gx_i = rstd (t_i - 1/m sum t - xh_i 1/m sum t xh)       ggamma_c = sum of g_i xh_i, gbeta_c = sum of g_i over channel c

Batch normalisation's kernels do it example by example.  Of the mean mu_c and the squared deviations M2_c of each channel over
the p positions,

    mu = mu_0 + 1/k sum (mu_c - mu_0)                       m var = sum M2_c + p sum (mu_c - mu)^2

and 1/m sum t, 1/m sum t xh are sums over the channels of gamma_c times what gbeta_c and ggamma_c receive from the example.  What
float32 cannot hold of mu goes into the shift, as in ops/normalization.pyx.  The examples are cut into up to SLOTS ranges; the
sums over examples are taken in order.
"""

from cython.parallel cimport prange
from libc.math cimport INFINITY, NAN, sqrt
from libc.string cimport memset
from numpy cimport (
    NPY_DOUBLE, NPY_FLOAT, PyArray_DATA, PyArray_DIMS, PyArray_NDIM, PyArray_SIZE, PyArray_TYPE, import_array, ndarray, npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.channels cimport as_matrix, fill, new_rows, rows_of
from tinynet.ops.checks cimport check_float, check_same_dtype, quiet, shape_of
from tinynet.ops.kernels cimport K
from tinynet.ops.layout cimport Map
from tinynet.ops.memory cimport contiguous, new_array, outline
from tinynet.ops.threads cimport SLOTS, team, tn_enter, tn_leave

import numpy as np

from tinynet import _check
from tinynet.errors import ShapeError

import_array()

cdef enum:
    CENTER, FIRST, SECOND, THIRD, VECTORS        # coefficients of an example, C float32 each


cdef struct Affine:
    const float* gamma                           # NULL: 1
    const float* beta                            # NULL: 0
    Py_ssize_t groups


cdef inline const float* row_of(const Map* x, Py_ssize_t n) noexcept nogil:
    """The first row of example n."""
    return <const float*>x.data + n * x.h * x.w * x.ld


cdef void forward_example(const Map* y, const Map* x, double* stats, double* sums, float* v, const Affine* p, double eps,
                          Py_ssize_t n) noexcept nogil:
    """stats (2, G) becomes (mu, rstd); sums (2, C) and v are scratch."""
    cdef Py_ssize_t c = x.c, k = c // p.groups, rows = x.h * x.w, group, j
    cdef double mu, m2, rest, scale
    K.bn_statistics_f32(sums, sums + c, row_of(x, n), rows, c, x.ld)
    for group in range(p.groups):
        mu = m2 = 0.0
        for j in range(group * k, (group + 1) * k):
            mu += sums[j] - sums[group * k]
        mu = sums[group * k] + mu / k
        for j in range(group * k, (group + 1) * k):
            m2 += sums[c + j] + rows * (sums[j] - mu) * (sums[j] - mu)
        stats[group] = mu
        # A variance beyond the range of float32 sums is infinite: nan shows it, where 0 would hide it.
        stats[p.groups + group] = 1.0 / sqrt(m2 / (<double>k * rows) + eps) if m2 < INFINITY else NAN
        for j in range(group * k, (group + 1) * k):
            v[CENTER * c + j] = <float>mu
            rest = mu - v[CENTER * c + j]
            scale = stats[p.groups + group] * (p.gamma[j] if p.gamma != NULL else 1.0)
            v[FIRST * c + j] = <float>scale
            v[SECOND * c + j] = <float>((p.beta[j] if p.beta != NULL else 0.0) - rest * scale)
    K.bn_apply_f32(<float*>row_of(y, n), row_of(x, n), v + CENTER * c, v + FIRST * c, v + SECOND * c, rows, c, y.ld, x.ld)


cdef void forward_range(const Map* y, const Map* x, double* stats, double* sums, float* v, const Affine* p, double eps,
                        Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t n
    for n in range(i * step, min((i + 1) * step, x.n)):
        forward_example(y, x, stats + n * 2 * p.groups, sums + i * 2 * x.c, v + i * VECTORS * x.c, p, eps, n)
    tn_leave(mode)


cdef void backward_example(const Map* gx, const Map* g, const Map* x, const double* stats, double* sums, float* v,
                           const Affine* p, Py_ssize_t n) noexcept nogil:
    """sums (2, C) becomes what gbeta and ggamma receive; gx, unless NULL, is filled; v is scratch."""
    cdef Py_ssize_t c = g.c, k = c // p.groups, rows = g.h * g.w, group, j
    cdef double rstd, t, tx, gamma, rest
    if x == NULL:                                # only gbeta is wanted: summed as the other kernel does
        K.column_sum_f32(sums, row_of(g, n), rows, c, g.ld)
        return
    for j in range(c):
        rstd = stats[p.groups + j // k]
        v[CENTER * c + j] = <float>stats[j // k]
        v[FIRST * c + j] = <float>rstd
        v[SECOND * c + j] = <float>((v[CENTER * c + j] - stats[j // k]) * rstd)
    K.bn_reduce_f32(sums, sums + c, row_of(g, n), row_of(x, n), v + CENTER * c, v + FIRST * c, v + SECOND * c, rows, c, g.ld,
                    x.ld)
    if gx == NULL:
        return
    for group in range(p.groups):
        rstd, t, tx = stats[p.groups + group], 0.0, 0.0
        for j in range(group * k, (group + 1) * k):
            gamma = p.gamma[j] if p.gamma != NULL else 1.0
            t += gamma * sums[j]
            tx += gamma * sums[c + j]
        t, tx = t / (<double>k * rows), tx / (<double>k * rows)
        for j in range(group * k, (group + 1) * k):          # gx = gamma rstd g - rstd^2 tx (x - center) - rstd (t + tx rest)
            rest = (v[CENTER * c + j] - stats[group]) * rstd
            v[FIRST * c + j] = <float>(rstd * (p.gamma[j] if p.gamma != NULL else 1.0))
            v[SECOND * c + j] = <float>(-rstd * rstd * tx)
            v[THIRD * c + j] = <float>(-rstd * (t + tx * rest))
    K.bn_backward_f32(<float*>row_of(gx, n), row_of(g, n), row_of(x, n), v + CENTER * c, v + FIRST * c, v + SECOND * c,
                      v + THIRD * c, rows, c, gx.ld, g.ld, x.ld)


cdef void backward_range(const Map* gx, const Map* g, const Map* x, const double* stats, double* sums, double* totals, float* v,
                         const Affine* p, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t c = g.c, n, j
    memset(totals + i * 2 * c, 0, 2 * c * sizeof(double))
    for n in range(i * step, min((i + 1) * step, g.n)):
        backward_example(gx, g, x, stats + n * 2 * p.groups, sums + i * 2 * c, v + i * VECTORS * c, p, n)
        for j in range(2 * c if x != NULL else c):
            totals[i * 2 * c + j] += sums[i * 2 * c + j]
    tn_leave(mode)


cdef ndarray scratch(Py_ssize_t ranges, Py_ssize_t c, int vectors, int dtype):
    cdef npy_intp[2] shape
    shape[0], shape[1] = ranges * vectors, c
    return new_array(2, shape, dtype)


cdef class GroupNorm(Op):
    """y = gamma_c (x - mu) rstd + beta_c, with mu and rstd of an example's group, for x (N, C, ...); gamma and beta (C,) or
    None; num_groups >= 1 divides C; eps > 0.

    Saves x for the gradients of x and gamma, gamma for that of x; two numbers per example and group go with x.  For the gradients
    see the top of this file.
    """

    arguments = ("input", "weight", "bias")
    optional = ("weight", "bias")

    cdef Py_ssize_t groups
    cdef double eps
    cdef ndarray stats                           # float64: (N, 2, G), mu and rstd
    cdef ndarray like                            # an outline of x

    def __init__(self, num_groups, eps):
        self.groups = _check.integer("group_norm", "num_groups", num_groups, 1)
        self.eps = eps if type(eps) is float and 0.0 < eps < INFINITY else _check.real("group_norm", "eps", eps, 0, above=True)

    @property
    def name(self):
        return "group_norm"

    cdef int check(self, ndarray x, ndarray gamma, ndarray beta) except -1:
        check_float("group_norm", "input", x)
        if PyArray_NDIM(x) < 2:
            raise ShapeError(f"group_norm: input must have shape (N, C, ...); got {shape_of(x)}")
        if PyArray_DIMS(x)[1] % self.groups:
            raise ShapeError(f"group_norm: input must have a number of channels that num_groups = {self.groups} divides; "
                             f"got {shape_of(x)}")
        for name, v in (("weight", gamma), ("bias", beta)):
            if v is None:
                continue
            check_same_dtype("group_norm", "input", x, name, v)
            if PyArray_NDIM(<ndarray>v) != 1 or PyArray_DIMS(<ndarray>v)[0] != PyArray_DIMS(x)[1]:
                raise ShapeError(f"group_norm: {name} must have shape (C,) with C = {PyArray_DIMS(x)[1]} to match input "
                                 f"{shape_of(x)}; got {shape_of(v)}")
        return 0

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], gamma = inputs[1], beta = inputs[2], rows, y
        cdef Map mx, my
        self.check(x, gamma, beta)
        rows, y = rows_of(x, &mx), new_rows(x, &my)
        if PyArray_SIZE(x) and PyArray_TYPE(x) == NPY_FLOAT:
            self.forward_f32(&my, &mx, gamma, beta)
        elif PyArray_SIZE(x):
            self.forward_f64(y, rows, gamma, beta)
        self.like = outline(x)
        self.save((rows if self.needs[0] or self.needs[1] else None, gamma if self.needs[0] else None))
        return y

    cdef int forward_f32(self, const Map* y, const Map* x, ndarray gamma, ndarray beta) except -1:
        cdef Py_ssize_t step = (x.n + SLOTS - 1) // SLOTS, ranges = (x.n + step - 1) // step, i
        cdef ndarray doubles = scratch(ranges, x.c, 2, NPY_DOUBLE), vectors = scratch(ranges, x.c, VECTORS, NPY_FLOAT)
        self.stats = scratch(x.n, self.groups, 2, NPY_DOUBLE)
        cdef double* stats = <double*>PyArray_DATA(self.stats)
        cdef double* sums = <double*>PyArray_DATA(doubles)
        cdef float* v = <float*>PyArray_DATA(vectors)
        cdef Affine p
        gamma = contiguous(gamma) if gamma is not None else None
        beta = contiguous(beta) if beta is not None else None
        p.gamma = <const float*>PyArray_DATA(gamma) if gamma is not None else NULL
        p.beta = <const float*>PyArray_DATA(beta) if beta is not None else NULL
        p.groups = self.groups
        cdef int threads = team(26.0 * x.n * x.h * x.w * x.c, ranges)
        if threads == 1:
            with nogil:
                for i in range(ranges):
                    forward_range(y, x, stats, sums, v, &p, self.eps, step, i)
        else:
            for i in prange(ranges, nogil=True, schedule="static", num_threads=threads):
                forward_range(y, x, stats, sums, v, &p, self.eps, step, i)
        return 0

    cdef object grouped(self, ndarray x):
        """x, of rows of channels, as (N, positions, G, k)."""
        cdef Py_ssize_t n = PyArray_DIMS(x)[0], k = PyArray_DIMS(x)[1] // self.groups
        return as_matrix(x).reshape(n, PyArray_SIZE(x) // (n * k * self.groups), self.groups, k)

    cdef int forward_f64(self, ndarray y, ndarray x, ndarray gamma, ndarray beta) except -1:
        with quiet():
            rows = self.grouped(x)
            mu = rows.mean(axis=(1, 3), keepdims=True)
            var = ((rows - mu) ** 2).mean(axis=(1, 3), keepdims=True)
            rstd = 1.0 / np.sqrt(np.where(var < INFINITY, var, np.nan) + self.eps)
            self.stats = np.stack([mu, rstd])
            xh = ((rows - mu) * rstd).reshape(-1, PyArray_DIMS(x)[1])
            fill(y, xh * (1.0 if gamma is None else gamma) + (0.0 if beta is None else beta))
        return 0

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray x = self.saved[0], gamma = self.saved[1], g, gx = None, sums
        cdef Map mg, mx, mgx
        g = rows_of(gy, &mg)
        if x is not None:
            rows_of(x, &mx)
        if needs[0]:
            gx = new_rows(self.like, &mgx)
        if PyArray_SIZE(g) == 0:
            sums = np.zeros((2, mg.c))
        elif PyArray_TYPE(g) == NPY_FLOAT:
            sums = self.backward_f32(&mgx if needs[0] else NULL, &mg, &mx if x is not None else NULL, gamma)
        else:
            sums = self.backward_f64(gx, g, x, gamma)
        return (gx, self.vector(sums, 1, g) if needs[1] else None, self.vector(sums, 0, g) if needs[2] else None)

    cdef ndarray vector(self, ndarray sums, int row, ndarray g):
        """A row of sums (2, C) in g's dtype, in a block of its own."""
        cdef ndarray y = new_array(1, PyArray_DIMS(sums) + 1, PyArray_TYPE(g))
        (<object>y)[...] = sums[row]
        return y

    cdef ndarray backward_f32(self, const Map* gx, const Map* g, const Map* x, ndarray gamma):
        """gx is filled, unless NULL; returns (2, C) float64: gbeta and ggamma (without x, gbeta alone)."""
        cdef Py_ssize_t step = (g.n + SLOTS - 1) // SLOTS, ranges = (g.n + step - 1) // step, c = g.c, i, j
        cdef ndarray doubles = scratch(ranges, c, 2, NPY_DOUBLE), vectors = scratch(ranges, c, VECTORS, NPY_FLOAT)
        cdef ndarray sums = scratch(ranges, c, 2, NPY_DOUBLE)
        cdef double* totals = <double*>PyArray_DATA(sums)
        cdef double* stats = <double*>PyArray_DATA(self.stats)
        cdef double* own = <double*>PyArray_DATA(doubles)
        cdef float* v = <float*>PyArray_DATA(vectors)
        cdef Affine p
        gamma = contiguous(gamma) if gamma is not None else None
        p.gamma, p.beta, p.groups = <const float*>PyArray_DATA(gamma) if gamma is not None else NULL, NULL, self.groups
        cdef int threads = team(32.0 * g.n * g.h * g.w * c, ranges)
        if threads == 1:
            with nogil:
                for i in range(ranges):
                    backward_range(gx, g, x, stats, own, totals, v, &p, step, i)
        else:
            for i in prange(ranges, nogil=True, schedule="static", num_threads=threads):
                backward_range(gx, g, x, stats, own, totals, v, &p, step, i)
        for i in range(1, ranges):
            for j in range(2 * c):
                totals[j] += totals[2 * i * c + j]
        return sums[:2]

    cdef ndarray backward_f64(self, ndarray gx, ndarray gy, ndarray x, ndarray gamma):
        """The same for float64."""
        cdef Py_ssize_t c = PyArray_DIMS(gy)[1]
        g = as_matrix(gy)
        if x is None:
            return g.sum(axis=0, keepdims=True)
        xh = (self.grouped(x) - self.stats[0]) * self.stats[1]
        if gx is not None:
            t = (g * (1.0 if gamma is None else gamma)).reshape(xh.shape)
            axes = (1, 3)
            rest = t - t.mean(axis=axes, keepdims=True) - xh * (t * xh).mean(axis=axes, keepdims=True)
            fill(gx, self.stats[1] * rest)
        return np.stack([g.sum(axis=0), (g * xh.reshape(-1, c)).sum(axis=0)])
