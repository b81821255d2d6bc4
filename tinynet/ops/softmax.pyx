"""Log-softmax, softmax and cross-entropy.

    log_softmax(x)_k = x_k - log sum_j exp(x_j)       shifted by the row's maximum, so logits of +-1e4 are harmless
    cross-entropy of logits x against a distribution q:    L = -sum_k q_k log_softmax(x)_k
                                                       dL/dx_k = softmax(x)_k sum_j q_j - q_k

With class labels t, weights w and smoothing e, q_k = (1 - e) w_t [k = t] + (e / K) w_k, and 'mean' divides the sum over the
examples by the sum of their w_t.  NaN in the logits comes out as NaN.
"""

from libc.stdint cimport int64_t
from numpy cimport (
    NPY_FLOAT, NPY_INT64, PyArray_DATA, PyArray_NDIM, PyArray_DIMS, PyArray_SIZE, PyArray_TYPE, import_array, ndarray,
    npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.checks cimport axis_of, check_float, check_same_dtype, quiet, shape_of
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport contiguous, new_array, new_like
from tinynet.ops.threads cimport team, tn_enter, tn_leave

import numpy as np
from cython.parallel cimport prange

from tinynet.errors import ArgumentError, DTypeError, ShapeError

import_array()

cdef enum:
    PIECE = 64                           # rows of a piece of work


cdef void log_softmax_piece(float* y, const float* x, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    K.log_softmax_forward_f32(y + i * PIECE * c, x + i * PIECE * c, min(PIECE, rows - i * PIECE), c)
    tn_leave(mode)


cdef void log_softmax_f32(ndarray y, ndarray x, Py_ssize_t rows, Py_ssize_t c) noexcept:
    """y = log_softmax of the rows of x (rows, c), both in C order."""
    cdef float* py = <float*>PyArray_DATA(y)
    cdef const float* px = <const float*>PyArray_DATA(x)
    cdef Py_ssize_t i
    cdef int threads = team(30.0 * rows * c, (rows + PIECE - 1) // PIECE)
    for i in prange((rows + PIECE - 1) // PIECE, nogil=True, schedule="static", num_threads=threads, use_threads_if=threads > 1):
        log_softmax_piece(py, px, rows, c, i)


cdef ndarray log_softmax_rows(ndarray x):
    """log_softmax along the last axis of x, which is in C order."""
    cdef ndarray y = new_like(x)
    cdef Py_ssize_t c = PyArray_DIMS(x)[PyArray_NDIM(x) - 1]
    if PyArray_SIZE(x) == 0:
        return y
    if PyArray_TYPE(x) == NPY_FLOAT:
        log_softmax_f32(y, x, PyArray_SIZE(x) // c, c)
        return y
    with quiet():
        shifted = x - x.max(axis=-1, keepdims=True)
        (<object>y)[...] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return y


cdef class LogSoftmax(Op):
    """y = x - log sum exp x along dim.  gx = gy - exp(y) sum gy.  Saves y."""

    arguments = ("input",)

    cdef object dim
    cdef int axis

    def __init__(self, dim):
        self.dim = dim

    @property
    def name(self):
        return "log_softmax"

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        check_float("log_softmax", "input", x)
        self.axis = axis_of("log_softmax", self.dim, PyArray_NDIM(x))
        if PyArray_NDIM(x) == 0:
            x = (<object>x).reshape(1)
            return log_softmax_rows(contiguous(x)).reshape(())
        y = log_softmax_rows(contiguous(np.moveaxis(x, self.axis, -1)))
        self.save((y,))                                         # the chosen axis last
        return np.moveaxis(y, -1, self.axis)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray y, g, gx
        if self.saved is None:
            return (np.zeros_like(gy),)
        y = self.saved[0]
        g = contiguous(np.moveaxis(gy, self.axis, -1))
        gx = new_like(y)
        cdef Py_ssize_t c = PyArray_DIMS(y)[PyArray_NDIM(y) - 1]
        cdef unsigned long mode
        if PyArray_SIZE(y) and PyArray_TYPE(y) == NPY_FLOAT:
            mode = tn_enter()
            K.log_softmax_backward_f32(<float*>PyArray_DATA(gx), <float*>PyArray_DATA(g), <float*>PyArray_DATA(y),
                                       PyArray_SIZE(y) // c, c)
            tn_leave(mode)
        else:
            (<object>gx)[...] = g - np.exp(y) * g.sum(axis=-1, keepdims=True)
        return (np.moveaxis(gx, -1, self.axis),)


cdef class CrossEntropy(Op):
    """L = -sum_k q_k log_softmax(x)_k, reduced over the examples; x (N, K), labels (N,) int64, weight (K,) or None.

    gx = gL (softmax(x) sum q - q), zero for ignored examples.  Saves log_softmax(x), the labels and the weights.
    The labels and the weights receive no gradient.
    """

    arguments = ("input", "target", "weight")
    optional = ("weight",)

    cdef int64_t ignore
    cdef str reduction
    cdef double smoothing
    cdef double divisor                  # of 'mean': the sum of the labels' weights

    def __init__(self, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        self.ignore, self.reduction, self.smoothing = ignore_index, reduction, label_smoothing
        if reduction not in ("mean", "sum", "none"):
            raise ArgumentError(f"cross_entropy: reduction must be 'mean', 'sum' or 'none'; got {reduction!r}")
        if not 0.0 <= self.smoothing <= 1.0:
            raise ArgumentError(f"cross_entropy: label_smoothing must lie in [0, 1]; got {label_smoothing!r}")

    @property
    def name(self):
        return "cross_entropy"

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], target = inputs[1], weight = inputs[2], logp, losses
        cdef npy_intp rows, c
        check_float("cross_entropy", "input", x)
        if PyArray_NDIM(x) != 2 or PyArray_DIMS(x)[1] == 0:
            raise ShapeError(f"cross_entropy: input must have shape (N, K) with K >= 1; got {shape_of(x)}")
        rows, c = PyArray_DIMS(x)[0], PyArray_DIMS(x)[1]
        if rows == 0 and self.reduction == "mean":
            raise ShapeError(f"cross_entropy: input must have at least one example for reduction='mean'; got {shape_of(x)}")
        if (<object>target).dtype.kind not in "iu":
            raise DTypeError(f"cross_entropy: target must hold class labels of an integer dtype; got {(<object>target).dtype}")
        if PyArray_NDIM(target) != 1 or PyArray_DIMS(target)[0] != rows:
            raise ShapeError(f"cross_entropy: target must have shape (N,) with N = {rows} to match input {shape_of(x)}; "
                             f"got {shape_of(target)}")
        if PyArray_TYPE(target) != NPY_INT64:
            target = (<object>target).astype(np.int64)
        target = contiguous(target)
        if weight is not None:
            check_same_dtype("cross_entropy", "input", x, "weight", weight)
            if PyArray_NDIM(weight) != 1 or PyArray_DIMS(weight)[0] != c:
                raise ShapeError(f"cross_entropy: weight must have shape (K,) with K = {c} to match input {shape_of(x)}; "
                                 f"got {shape_of(weight)}")
            weight = contiguous(weight)
        self.check_labels(target, c)
        logp = log_softmax_rows(contiguous(x))                  # (N, K)
        losses = self.losses_f32(logp, target, weight) if PyArray_TYPE(x) == NPY_FLOAT else self.losses_f64(logp, target, weight)
        self.save((logp, target, weight))
        if self.reduction == "none":
            return losses
        return self.reduce(losses, target, weight)

    cdef int check_labels(self, ndarray target, npy_intp c) except -1:
        """Every label is a class or the ignored one; counted on the way, for 'mean' without weights."""
        cdef const int64_t* t = <const int64_t*>PyArray_DATA(target)
        cdef Py_ssize_t i, n = PyArray_DIMS(target)[0], counted = 0
        for i in range(n):
            if t[i] == self.ignore:
                continue
            if t[i] < 0 or t[i] >= c:
                raise ArgumentError(f"cross_entropy: target must hold class labels in [0, {c - 1}] (or ignore_index, "
                                    f"{self.ignore}); got {t[i]} at position {i}")
            counted += 1
        self.divisor = <double>counted
        return 0

    cdef ndarray losses_f32(self, ndarray logp, ndarray target, ndarray weight):
        """The loss of each example, (N,)."""
        cdef ndarray losses = new_array(1, PyArray_DIMS(logp), NPY_FLOAT)
        cdef unsigned long mode = tn_enter()
        K.cross_entropy_forward_f32(
            <float*>PyArray_DATA(losses), <float*>PyArray_DATA(logp), <int64_t*>PyArray_DATA(target),
            <float*>PyArray_DATA(weight) if weight is not None else NULL, PyArray_DIMS(logp)[0], PyArray_DIMS(logp)[1],
            self.ignore, 1.0 - self.smoothing, self.smoothing / PyArray_DIMS(logp)[1])
        tn_leave(mode)
        return losses

    cdef ndarray distribution(self, ndarray logp, ndarray target, ndarray weight):
        """q (N, K): what the log-probabilities are weighed with; rows of zeros for ignored examples."""
        n, c = shape_of(logp)
        w = np.ones(c) if weight is None else weight
        counted = target != self.ignore
        at = np.where(counted, target, 0)
        q = np.tile(self.smoothing / c * w, (n, 1))
        q[np.arange(n), at] += (1.0 - self.smoothing) * w[at]
        return q * counted[:, None]

    cdef ndarray losses_f64(self, ndarray logp, ndarray target, ndarray weight):
        cdef ndarray losses = new_array(1, PyArray_DIMS(logp), PyArray_TYPE(logp))
        n, c = shape_of(logp)
        w = np.ones(c) if weight is None else weight
        counted = target != self.ignore
        at = np.where(counted, target, 0)
        with quiet():
            loss = (1.0 - self.smoothing) * w[at] * logp[np.arange(n), at]
            if self.smoothing:
                loss += self.smoothing / c * (w * logp).sum(axis=1)
        (<object>losses)[...] = np.where(counted, -loss, 0.0)
        return losses

    cdef ndarray reduce(self, ndarray losses, ndarray target, ndarray weight):
        """The sum of the losses, or their weighted mean, as a scalar; summed in double in order."""
        cdef ndarray y = new_array(0, NULL, PyArray_TYPE(losses))
        cdef double total = 0.0
        cdef Py_ssize_t i, n = PyArray_DIMS(losses)[0]
        cdef bint single = PyArray_TYPE(losses) == NPY_FLOAT
        for i in range(n):
            total += (<float*>PyArray_DATA(losses))[i] if single else (<double*>PyArray_DATA(losses))[i]
        if self.reduction == "mean":
            if weight is not None:
                counted = target != self.ignore
                self.divisor = float(np.asarray(weight, np.float64)[np.where(counted, target, 0)][counted].sum())
            total = total / self.divisor if self.divisor != 0.0 else float("nan")     # every example ignored: nan
        if single:
            (<float*>PyArray_DATA(y))[0] = <float>total
        else:
            (<double*>PyArray_DATA(y))[0] = total
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray logp = self.saved[0], target = self.saved[1], weight = self.saved[2], gx = new_like(logp), g
        cdef Py_ssize_t rows = PyArray_DIMS(logp)[0], c = PyArray_DIMS(logp)[1]
        cdef unsigned long mode
        cdef double inverse = 1.0 / self.divisor if self.divisor != 0.0 else 0.0     # 0: every example is ignored
        if rows == 0:
            return gx, None, None
        if PyArray_TYPE(logp) != NPY_FLOAT:
            scale = gy if self.reduction != "mean" else gy * inverse
            q = self.distribution(logp, target, weight)
            (<object>gx)[...] = np.reshape(scale, (-1, 1)) * (np.exp(logp) * q.sum(axis=1, keepdims=True) - q)
            return gx, None, None
        if self.reduction == "none":
            g = contiguous(gy)
        else:
            g = np.asarray(gy * inverse if self.reduction == "mean" else gy, np.float32)
        mode = tn_enter()
        K.cross_entropy_backward_f32(
            <float*>PyArray_DATA(gx), <float*>PyArray_DATA(g), <float*>PyArray_DATA(logp), <int64_t*>PyArray_DATA(target),
            <float*>PyArray_DATA(weight) if weight is not None else NULL, rows, c, 1 if self.reduction == "none" else 0,
            self.ignore, 1.0 - self.smoothing, self.smoothing / c)
        tn_leave(mode)
        return gx, None, None
