"""The losses between arrays of one shape, an element of the input against an element of the target.

With d = x - t, softplus(x) = log(1 + exp(x)), s the sigmoid and p = pos_weight (1 by default):

    mse           d^2                                                 dl/dx = 2 d
    l1            |d|                                                 dl/dx = sign d, 0 at 0
    huber         r (|d| - r / 2),  r = min(|d|, delta)               dl/dx = d held in [-delta, delta]    (Huber 1964)
    smooth l1     huber / beta with delta = beta
    bce           -t log x - (1 - t) log(1 - x), logarithms >= -100   dl/dx = (x - t) / (x (1 - x))
    bce, logits   p t softplus(-x) + (1 - t) softplus(x)              dl/dx = (1 - t) s(x) - p t s(-x)
    kl            t (log t - x), 0 log 0 = 0;  t given as log t: exp(t) (t - x)

The loss of all elements is their sum or their mean.  float32 without weights runs the C kernels where there are any, over at
most 16 ranges whose sums are added in order, in double; everything else is NumPy, written as the equations stand.
"""

from cython.parallel cimport prange
from numpy cimport (
    NPY_FLOAT, PyArray_DATA, PyArray_DIMS, PyArray_NDIM, PyArray_SIZE, PyArray_TYPE, import_array, ndarray,
)

from tinynet._graph cimport Op
from tinynet.ops.checks cimport check_float, check_same_dtype, quiet, shape_of
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport dense, matching, new_array, new_like
from tinynet.ops.threads cimport PIECE, SLOTS, team, tn_enter, tn_leave

import numpy as np

from tinynet.errors import ArgumentError, ShapeError

import_array()

ctypedef double (*forward_t)(float* y, const float* x, const float* t, Py_ssize_t n, float delta, float scale) noexcept nogil
ctypedef void (*backward_t)(float* gx, const float* g, const float* x, const float* t, Py_ssize_t n, Py_ssize_t ldg, float delta,
                            float scale) noexcept nogil


cdef Py_ssize_t range_of(Py_ssize_t n) noexcept:
    """The length of each of at most SLOTS ranges of n elements, a multiple of PIECE."""
    cdef Py_ssize_t pieces = (n + PIECE - 1) // PIECE
    return max(1, (pieces + SLOTS - 1) // SLOTS) * PIECE


cdef double forward_range(forward_t f, float* y, const float* x, const float* t, Py_ssize_t n, Py_ssize_t size, Py_ssize_t i,
                          float delta, float scale) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t at = i * size
    cdef double s = f(NULL if y == NULL else y + at, x + at, t + at, min(size, n - at), delta, scale)
    tn_leave(mode)
    return s


cdef double forward_all(forward_t f, float* y, const float* x, const float* t, Py_ssize_t n, float delta, float scale,
                        int cost) noexcept:
    """The sum of f over n elements; each is also stored if y is not NULL."""
    cdef Py_ssize_t size = range_of(n), count = (n + size - 1) // size, i
    cdef double[SLOTS] sums
    cdef double total = 0.0
    cdef int threads = team(<double>n * cost, count)
    if threads == 1:
        with nogil:
            for i in range(count):
                sums[i] = forward_range(f, y, x, t, n, size, i, delta, scale)
    else:
        for i in prange(count, nogil=True, schedule="static", num_threads=threads):
            sums[i] = forward_range(f, y, x, t, n, size, i, delta, scale)
    for i in range(count):
        total += sums[i]
    return total


cdef void backward_range(backward_t f, float* gx, const float* g, const float* x, const float* t, Py_ssize_t n, Py_ssize_t size,
                         Py_ssize_t i, Py_ssize_t ldg, float delta, float scale) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t at = i * size
    f(gx + at, g + at * ldg, x + at, t + at, min(size, n - at), ldg, delta, scale)
    tn_leave(mode)


cdef void backward_all(backward_t f, float* gx, const float* g, const float* x, const float* t, Py_ssize_t n, Py_ssize_t ldg,
                       float delta, float scale, int cost) noexcept:
    cdef Py_ssize_t size = range_of(n), count = (n + size - 1) // size, i
    cdef int threads = team(<double>n * cost, count)
    if threads == 1:
        with nogil:
            for i in range(count):
                backward_range(f, gx, g, x, t, n, size, i, ldg, delta, scale)
    else:
        for i in prange(count, nogil=True, schedule="static", num_threads=threads):
            backward_range(f, gx, g, x, t, n, size, i, ldg, delta, scale)


cdef object softplus(object values):
    """log(1 + exp(x)): in float32 the kernel of the loss of logits x against targets 0."""
    if values.dtype != np.float32:
        return np.logaddexp(0.0, values)
    cdef ndarray x = dense(np.asarray(values)), zeros = np.zeros_like(x), y = new_like(x)
    forward_all(K.bce_forward_f32, <float*>PyArray_DATA(y), <float*>PyArray_DATA(x), <float*>PyArray_DATA(zeros), PyArray_SIZE(x),
                0.0, 1.0, 60)
    return y


cdef class ElementLoss(Op):
    """L = the reduction of w l(x, t), elementwise; x and t of one shape, weights w broadcast to it (without gradient).

    gx = gL w dl/dx, gt = gL w dl/dt.  A subclass gives l, its slopes and, if it has them, its kernels; it says what it saves.
    """

    arguments = ("input", "target", "weight", "pos_weight")
    optional = ("weight", "pos_weight")

    cdef forward_t forward_f32
    cdef backward_t backward_f32
    cdef int cost                        # of an element of the forward, in units of `team`
    cdef double delta                    # of the Huber loss
    cdef double factor                   # of every value
    cdef str reduction
    cdef double divisor                  # of the sum

    def __cinit__(self):
        self.factor = 1.0

    def __init__(self, reduction="mean"):
        self.reduction = reduction
        if reduction not in ("mean", "sum", "none"):
            raise ArgumentError(f"{self.name}: reduction must be 'mean', 'sum' or 'none'; got {reduction!r}")

    cdef object value(self, object x, object t, object pos_weight):
        """l(x, t), a new array."""
        raise NotImplementedError

    cdef object slope(self, object x, object t, object pos_weight):
        """dl/dx"""
        raise NotImplementedError

    cdef object target_slope(self, object x, object t, object pos_weight):
        """dl/dt, unless a subclass says otherwise that of a function of x - t."""
        return np.negative(self.slope(x, t, pos_weight))

    cdef int keep(self, ndarray x, ndarray t, ndarray weight, ndarray pos_weight) except -1:
        return self.save((x, t, weight, pos_weight))

    cdef object divisor_of_mean(self, ndarray x, ndarray weight):
        return PyArray_SIZE(x)

    cdef int check_weight(self, str argument, int i, ndarray x, ndarray weight) except -1:
        """Weights that broadcast to the shape of x, or None."""
        if weight is None:
            return 0
        check_same_dtype(self.name, "input", x, argument, weight)
        if self.needs[i]:
            raise NotImplementedError(f"{self.name}: {argument} must not require a gradient: there is none for it")
        try:
            np.broadcast_to(weight, shape_of(x))
        except ValueError:
            raise ShapeError(f"{self.name}: {argument} must have a shape that broadcasts to that of input, {shape_of(x)}; "
                             f"got {shape_of(weight)}") from None
        return 0

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], t = inputs[1], y
        cdef ndarray weight = inputs[2] if len(inputs) > 2 else None, pos_weight = inputs[3] if len(inputs) > 3 else None
        cdef double total
        cdef bint each = self.reduction == "none"
        if self.cost == 0:
            raise NotImplementedError(f"{self.name}: no forward")
        check_float(self.name, "input", x)
        if (<object>t).dtype.kind in "iub":
            t = (<object>t).astype((<object>x).dtype)           # as beside an operator, labels take the dtype of the floats
        check_same_dtype(self.name, "input", x, "target", t)
        if shape_of(t) != shape_of(x):
            raise ShapeError(f"{self.name}: target must have the shape of input, {shape_of(x)}; got {shape_of(t)}")
        self.check_weight("weight", 2, x, weight)
        self.check_weight("pos_weight", 3, x, pos_weight)
        self.check_values(x)
        self.divisor = self.divisor_of_mean(x, weight) if self.reduction == "mean" else 1.0
        if self.forward_f32 != NULL and PyArray_TYPE(x) == NPY_FLOAT and weight is None and pos_weight is None:
            x = dense(x)
            t = matching(t, x)
            y = new_like(x) if each else new_array(0, NULL, NPY_FLOAT)
            total = forward_all(self.forward_f32, <float*>PyArray_DATA(y) if each else NULL, <float*>PyArray_DATA(x),
                                <float*>PyArray_DATA(t), PyArray_SIZE(x), self.delta, self.factor, self.cost)
            self.keep(x, t, None, None)
            if not each:
                (<float*>PyArray_DATA(y))[0] = <float>(total / self.divisor if self.divisor != 0.0 else float("nan"))
            return y
        self.keep(x, t, weight, pos_weight)
        with quiet():
            losses = self.value(x, t, pos_weight)
            if weight is not None:
                losses = losses * weight
            if each:
                y = new_like(x)
                (<object>y)[...] = losses
            else:
                y = new_array(0, NULL, PyArray_TYPE(x))
                (<object>y)[...] = np.divide(np.add.reduce(losses, axis=None, dtype=np.float64), self.divisor)
        return y

    cdef int check_values(self, ndarray x) except -1:
        return 0

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray x = self.saved[0], t = self.saved[1], weight = self.saved[2], pos_weight = self.saved[3]
        cdef ndarray g = gy, gx = None, gt = None
        cdef bint each = self.reduction == "none"
        cdef double scale = 1.0 / self.divisor if self.divisor != 0.0 else float("nan")
        if self.backward_f32 != NULL and PyArray_TYPE(g) == NPY_FLOAT and weight is None and pos_weight is None and needs[0]:
            gx = new_like(x)
            if each:
                g = matching(g, x)
            backward_all(self.backward_f32, <float*>PyArray_DATA(gx), <float*>PyArray_DATA(g), <float*>PyArray_DATA(x),
                         <float*>PyArray_DATA(t), PyArray_SIZE(x), 1 if each else 0, self.delta, scale * self.factor, self.cost)
            if not needs[1]:
                return gx, None
        h = g if each else gy * scale
        if weight is not None:
            h = h * weight
        if needs[0] and gx is None:
            gx = new_like(x if x is not None else t)
            np.multiply(h, self.slope(x, t, pos_weight), gx)
        if needs[1]:
            gt = new_like(x if t is None else t)
            np.multiply(h, self.target_slope(x, t, pos_weight), gt)
        return gx, gt


cdef class WeightedMean(ElementLoss):
    """The weighted losses whose 'mean' divides by the sum of the weights."""

    cdef object divisor_of_mean(self, ndarray x, ndarray weight):
        return PyArray_SIZE(x) if weight is None else np.broadcast_to(weight, shape_of(x)).sum(dtype=np.float64)


cdef class MSELoss(WeightedMean):
    """l = (x - t)^2.  Saves x and t."""

    def __cinit__(self):
        self.forward_f32, self.backward_f32, self.cost = K.mse_forward_f32, K.mse_backward_f32, 8

    @property
    def name(self):
        return "mse_loss"

    cdef object value(self, object x, object t, object pos_weight):
        return np.square(x - t)

    cdef object slope(self, object x, object t, object pos_weight):
        return 2.0 * (x - t)


cdef class L1Loss(WeightedMean):
    """l = |x - t|; slope 0 where they are equal.  Saves x and t."""

    def __cinit__(self):
        self.forward_f32, self.backward_f32, self.cost = K.l1_forward_f32, K.l1_backward_f32, 8

    @property
    def name(self):
        return "l1_loss"

    cdef object value(self, object x, object t, object pos_weight):
        return np.abs(x - t)

    cdef object slope(self, object x, object t, object pos_weight):
        return np.sign(x - t)


cdef class HuberLoss(ElementLoss):
    """l = factor r (|d| - r / 2), d = x - t, r = min(|d|, delta).  Saves x and t."""

    def __cinit__(self):
        self.forward_f32, self.backward_f32, self.cost = K.huber_forward_f32, K.huber_backward_f32, 10

    def __init__(self, reduction="mean", delta=1.0):
        ElementLoss.__init__(self, reduction)
        self.delta = delta
        if not 0.0 < self.delta < float("inf"):
            raise ArgumentError(f"{self.name}: delta must be a finite number > 0; got {delta!r}")

    @property
    def name(self):
        return "huber_loss"

    cdef object value(self, object x, object t, object pos_weight):
        a = np.abs(x - t)
        r = np.minimum(a, self.delta)
        return self.factor * r * (a - 0.5 * r)

    cdef object slope(self, object x, object t, object pos_weight):
        return self.factor * np.clip(x - t, -self.delta, self.delta)


cdef class SmoothL1Loss(HuberLoss):
    """The Huber loss over its delta, here beta: l = d^2 / (2 beta) where |d| < beta, else |d| - beta / 2.  Saves x and t."""

    def __init__(self, reduction="mean", beta=1.0):
        ElementLoss.__init__(self, reduction)
        self.delta = beta
        if not 0.0 < self.delta < float("inf"):
            raise ArgumentError(f"smooth_l1_loss: beta must be a finite number >= 0; got {beta!r}")
        self.factor = 1.0 / self.delta

    @property
    def name(self):
        return "smooth_l1_loss"


cdef class BCELoss(ElementLoss):
    """l = -t log x - (1 - t) log(1 - x) with logarithms of at least -100.  Saves x and t.

    The slope is (x - t) / max(x (1 - x), 1e-12), finite at 0 and 1; that of the target is taken of the bounded logarithms.
    """

    def __cinit__(self):
        self.cost = 40

    @property
    def name(self):
        return "binary_cross_entropy"

    cdef int check_values(self, ndarray x) except -1:
        if PyArray_SIZE(x) and ((<object>x).min() < 0.0 or (<object>x).max() > 1.0):        # NaN passes
            raise ArgumentError("binary_cross_entropy: input must lie in [0, 1]; got values from "
                                f"{(<object>x).min()} to {(<object>x).max()}")
        return 0

    cdef object value(self, object x, object t, object pos_weight):
        return (t - 1.0) * np.maximum(np.log1p(-x), -100.0) - t * np.maximum(np.log(x), -100.0)

    cdef object slope(self, object x, object t, object pos_weight):
        return (x - t) / np.maximum(x * (1.0 - x), 1e-12)

    cdef object target_slope(self, object x, object t, object pos_weight):
        return np.maximum(np.log1p(-x), -100.0) - np.maximum(np.log(x), -100.0)


cdef class BCEWithLogits(ElementLoss):
    """l = p t softplus(-x) + (1 - t) softplus(x).  Saves x, and t for x's gradient."""

    def __cinit__(self):
        self.forward_f32, self.backward_f32, self.cost = K.bce_forward_f32, K.bce_backward_f32, 60

    @property
    def name(self):
        return "binary_cross_entropy_with_logits"

    cdef int keep(self, ndarray x, ndarray t, ndarray weight, ndarray pos_weight) except -1:
        return self.save((x, t if self.needs[0] else None, weight, pos_weight))

    cdef object value(self, object x, object t, object pos_weight):
        positive = t * softplus(np.negative(x))
        return (positive if pos_weight is None else pos_weight * positive) + (1.0 - t) * softplus(x)

    cdef object slope(self, object x, object t, object pos_weight):
        if pos_weight is None:
            return 1.0 / (1.0 + np.exp(-x)) - t
        return (1.0 - t) / (1.0 + np.exp(-x)) - pos_weight * t / (1.0 + np.exp(x))

    cdef object target_slope(self, object x, object t, object pos_weight):
        return np.negative(x) if pos_weight is None else pos_weight * softplus(np.negative(x)) - softplus(x)


cdef class KLDiv(ElementLoss):
    """l = t (log t - x) of log-probabilities x and probabilities t, or exp(t) (t - x) if t is log t.

    dl/dx = -t, dl/dt = log t + 1 - x; of log targets -exp(t) and exp(t) (t - x + 1).  'batchmean' divides the sum by the size
    of the first axis.  Saves t, and x for t's gradient.
    """

    cdef bint log_target
    cdef bint batch

    def __cinit__(self):
        self.cost = 40

    def __init__(self, reduction="mean", log_target=False):
        self.batch = reduction == "batchmean"
        self.log_target = log_target
        if reduction not in ("mean", "batchmean", "sum", "none"):
            raise ArgumentError(f"kl_div: reduction must be 'mean', 'batchmean', 'sum' or 'none'; got {reduction!r}")
        self.reduction = "mean" if self.batch else reduction

    @property
    def name(self):
        return "kl_div"

    cdef object divisor_of_mean(self, ndarray x, ndarray weight):
        if self.batch:
            return PyArray_DIMS(x)[0] if PyArray_NDIM(x) else 1
        return PyArray_SIZE(x)

    cdef int keep(self, ndarray x, ndarray t, ndarray weight, ndarray pos_weight) except -1:
        return self.save((x if self.needs[1] else None, t, None, None))

    cdef object value(self, object x, object t, object pos_weight):
        if self.log_target:
            return np.exp(t) * (t - x)
        return np.where(t == 0, t, t * np.log(t)) - t * x

    cdef object slope(self, object x, object t, object pos_weight):
        return -np.exp(t) if self.log_target else np.negative(t)

    cdef object target_slope(self, object x, object t, object pos_weight):
        return np.exp(t) * (t - x + 1.0) if self.log_target else np.log(t) + 1.0 - x
