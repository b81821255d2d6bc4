"""The losses over classes: cross-entropy and the negative log-likelihood.

    cross-entropy of logits x against a distribution q:    L = -sum_k q_k log_softmax(x)_k
                                                       dL/dx_k = softmax(x)_k sum_j q_j - q_k

With class labels t, weights w and smoothing e, q_k = (1 - e) w_t [k = t] + (e / K) w_k, and 'mean' divides the sum over the
examples by the sum of their w_t.  With a distribution t for each example, q_k = w_k ((1 - e) t_k + e / K), and 'mean' divides by
the number of examples.  NaN in the logits comes out as NaN.

The classes are axis 1 of the input (axis 0 of an input without examples); the ops see them as the last axis of a matrix
(rows, K) in C order: (N, K) as it is, (N, K, d1, ...) as a copy.
"""

from libc.stdint cimport int64_t
from numpy cimport (
    NPY_FLOAT, NPY_INT64, PyArray_DATA, PyArray_NDIM, PyArray_DIMS, PyArray_SIZE, PyArray_TYPE, import_array, ndarray,
    npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.arithmetic cimport scaled
from tinynet.ops.checks cimport check_float, check_same_dtype, quiet, shape_of
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport contiguous, new_array, new_like, outline
from tinynet.ops.softmax cimport log_softmax_rows
from tinynet.ops.threads cimport tn_enter, tn_leave

import numpy as np

from tinynet.errors import ArgumentError, DTypeError, ShapeError

import_array()


cdef int check_reduction(Op op, object reduction) except -1:
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"{op.name}: reduction must be 'mean', 'sum' or 'none'; got {reduction!r}")
    return 0


cdef int check_smoothing(double smoothing) except -1:
    if not 0.0 <= smoothing <= 1.0:
        raise ArgumentError(f"cross_entropy: label_smoothing must lie in [0, 1]; got {smoothing!r}")
    return 0


cdef ndarray rows_of_classes(Op op, ndarray x):
    """x (K,), (N, K) or (N, K, d1, ...) as a matrix (rows, K) in C order."""
    cdef int nd = PyArray_NDIM(x)
    if PyArray_TYPE(x) != NPY_FLOAT:
        check_float(op.name, "input", x)
    if nd == 0 or PyArray_DIMS(x)[nd > 1] == 0:
        raise ShapeError(f"{op.name}: input must have shape (K,), (N, K) or (N, K, d1, ...) with K >= 1; got {shape_of(x)}")
    if nd == 2:
        return contiguous(x)
    cdef Py_ssize_t c = PyArray_DIMS(x)[nd > 1]
    return contiguous(np.moveaxis(x, nd > 1, -1)).reshape(PyArray_SIZE(x) // c, c)


cdef tuple examples_of(tuple shape):
    """The shape of what has one entry per example, for an input of that shape."""
    return () if len(shape) == 1 else shape[:1] + shape[2:]


cdef object classes_back(ndarray rows, tuple shape):
    """A matrix of `rows_of_classes` as an array of the input's shape again."""
    if len(shape) == 2:
        return rows
    if len(shape) == 1:
        return (<object>rows).reshape(shape)
    return np.moveaxis((<object>rows).reshape(shape[:1] + shape[2:] + shape[1:2]), -1, 1)


cdef ndarray checked_weight(Op op, ndarray x, ndarray weight, npy_intp c, tuple shape):
    """The weights of the classes in C order, or None."""
    if weight is None:
        return None
    check_same_dtype(op.name, "input", x, "weight", weight)
    if PyArray_NDIM(weight) != 1 or PyArray_DIMS(weight)[0] != c:
        raise ShapeError(f"{op.name}: weight must have shape (K,) with K = {c} to match input {shape}; got {shape_of(weight)}")
    if op.needs[2]:
        raise NotImplementedError(f"{op.name}: weight must not require a gradient: there is none for it")
    return contiguous(weight)


cdef class LabelLoss(Op):
    """L_i = f(x_i, w_t) of rows x_i of classes and labels t, reduced over the examples.  Base of the losses against labels.

    The labels and the weights receive no gradient; ignored examples neither give nor count.
    """

    arguments = ("input", "target", "weight")
    optional = ("weight",)

    cdef int64_t ignore
    cdef str reduction
    cdef double smoothing
    cdef double divisor                  # of 'mean': the sum of the labels' weights
    cdef tuple shape                     # of the input

    def __init__(self, ignore_index=-100, reduction="mean"):
        self.ignore, self.reduction = ignore_index, reduction
        check_reduction(self, reduction)

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], target = inputs[1], weight = inputs[2], rows, logp, losses
        self.shape = shape_of(x)
        rows = rows_of_classes(self, x)                    # (rows, K)
        target = self.checked_target(target)                    # (rows,)
        weight = checked_weight(self, x, weight, PyArray_DIMS(rows)[1], self.shape)
        self.check_labels(target, PyArray_DIMS(rows)[1])
        logp = self.log_probabilities(rows)
        losses = self.losses_f32(logp, target, weight) if PyArray_TYPE(x) == NPY_FLOAT else self.losses_f64(logp, target, weight)
        self.keep(logp, target, weight)
        if self.reduction == "none":
            return losses if len(self.shape) == 2 else (<object>losses).reshape(examples_of(self.shape))
        return self.reduce(losses, target, weight)

    cdef ndarray log_probabilities(self, ndarray rows):
        raise NotImplementedError

    cdef int keep(self, ndarray logp, ndarray target, ndarray weight) except -1:
        raise NotImplementedError

    cdef ndarray checked_target(self, ndarray target):
        """The labels of all rows, int64 in C order."""
        cdef int nd = len(self.shape)
        if (<object>target).dtype.kind not in "iu":
            raise DTypeError(f"{self.name}: target must hold class labels of an integer dtype; got {(<object>target).dtype}")
        if nd == 2:
            if PyArray_NDIM(target) != 1 or PyArray_DIMS(target)[0] != self.shape[0]:
                raise ShapeError(f"{self.name}: target must have shape (N,) with N = {self.shape[0]} to match input "
                                 f"{self.shape}; got {shape_of(target)}")
        else:
            wanted = examples_of(self.shape)
            if shape_of(target) != wanted:
                raise ShapeError(f"{self.name}: target must have shape {wanted} to match input {self.shape}; "
                                 f"got {shape_of(target)}")
        if PyArray_TYPE(target) != NPY_INT64:
            target = (<object>target).astype(np.int64)
        return contiguous(target) if nd == 2 else contiguous(target).reshape(-1)

    cdef int check_labels(self, ndarray target, npy_intp c) except -1:
        """Every label is a class or the ignored one; counted on the way, for 'mean' without weights."""
        cdef const int64_t* t = <const int64_t*>PyArray_DATA(target)
        cdef Py_ssize_t i, n = PyArray_DIMS(target)[0], counted = 0
        for i in range(n):
            if t[i] == self.ignore:
                continue
            if t[i] < 0 or t[i] >= c:
                nd = len(self.shape)
                at = i if nd <= 2 else tuple([int(k) for k in np.unravel_index(i, examples_of(self.shape))])
                raise ArgumentError(f"{self.name}: target must hold class labels in [0, {c - 1}] (or ignore_index, "
                                    f"{self.ignore}); got {t[i]} at position {at}")
            counted += 1
        self.divisor = <double>counted
        return 0

    cdef ndarray losses_f32(self, ndarray logp, ndarray target, ndarray weight):
        """The loss of each example, (rows,)."""
        cdef ndarray losses = new_array(1, PyArray_DIMS(logp), NPY_FLOAT)
        cdef unsigned long mode = tn_enter()
        K.cross_entropy_forward_f32(
            <float*>PyArray_DATA(losses), <float*>PyArray_DATA(logp), <int64_t*>PyArray_DATA(target),
            <float*>PyArray_DATA(weight) if weight is not None else NULL, PyArray_DIMS(logp)[0], PyArray_DIMS(logp)[1],
            self.ignore, 1.0 - self.smoothing, self.smoothing / PyArray_DIMS(logp)[1])
        tn_leave(mode)
        return losses

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
        """The sum of the losses, or their weighted mean, as a scalar; summed in double."""
        cdef ndarray y = new_array(0, NULL, PyArray_TYPE(losses))
        cdef double total = 0.0
        cdef Py_ssize_t i, n = PyArray_DIMS(losses)[0]
        cdef bint single = PyArray_TYPE(losses) == NPY_FLOAT
        if single:
            for i in range(n):
                total += (<float*>PyArray_DATA(losses))[i]
        else:
            with quiet():
                total = np.add.reduce(losses)    # pairwise: the error grows with log n
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

    cdef ndarray scale(self, ndarray gy):
        """The gradient of each row's loss: a scalar, or (rows,) for 'none'."""
        cdef double inverse = 1.0 / self.divisor if self.divisor != 0.0 else 0.0     # 0: every example is ignored
        if self.reduction == "none":
            return contiguous(gy) if PyArray_NDIM(gy) == 1 else contiguous(gy).reshape(-1)
        return scaled(gy, inverse) if self.reduction == "mean" else gy


cdef class CrossEntropy(LabelLoss):
    """L = -sum_k q_k log_softmax(x)_k, reduced over the examples; x (N, K), labels (N,) int64, weight (K,) or None.

    gx = gL (softmax(x) sum q - q), zero for ignored examples.  Saves log_softmax(x), the labels and the weights.
    """

    def __init__(self, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        self.ignore, self.reduction, self.smoothing = ignore_index, reduction, label_smoothing
        check_reduction(self, reduction)
        check_smoothing(self.smoothing)

    @property
    def name(self):
        return "cross_entropy"

    cdef ndarray log_probabilities(self, ndarray rows):
        if PyArray_DIMS(rows)[0] == 0 and self.reduction == "mean":
            raise ShapeError("cross_entropy: input must have at least one example for reduction='mean'; "
                             f"got {self.shape}")
        return log_softmax_rows(rows)

    cdef int keep(self, ndarray logp, ndarray target, ndarray weight) except -1:
        return self.save((logp, target, weight))

    cdef ndarray distribution(self, ndarray logp, ndarray target, ndarray weight):
        """q (rows, K): what the log-probabilities are weighed with; rows of zeros for ignored examples."""
        n, c = shape_of(logp)
        w = np.ones(c) if weight is None else weight
        counted = target != self.ignore
        at = np.where(counted, target, 0)
        q = np.tile(self.smoothing / c * w, (n, 1))
        q[np.arange(n), at] += (1.0 - self.smoothing) * w[at]
        return q * counted[:, None]

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray logp = self.saved[0], target = self.saved[1], weight = self.saved[2], gx = new_like(logp), g
        cdef Py_ssize_t rows = PyArray_DIMS(logp)[0], c = PyArray_DIMS(logp)[1]
        cdef unsigned long mode
        if rows == 0:
            return classes_back(gx, self.shape), None, None
        scale = self.scale(gy)
        if PyArray_TYPE(logp) != NPY_FLOAT:
            q = self.distribution(logp, target, weight)
            (<object>gx)[...] = np.reshape(scale, (-1, 1)) * (np.exp(logp) * q.sum(axis=1, keepdims=True) - q)
            return classes_back(gx, self.shape), None, None
        g = scale
        mode = tn_enter()
        K.cross_entropy_backward_f32(
            <float*>PyArray_DATA(gx), <float*>PyArray_DATA(g), <float*>PyArray_DATA(logp), <int64_t*>PyArray_DATA(target),
            <float*>PyArray_DATA(weight) if weight is not None else NULL, rows, c, 1 if self.reduction == "none" else 0,
            self.ignore, 1.0 - self.smoothing, self.smoothing / c)
        tn_leave(mode)
        return classes_back(gx, self.shape), None, None


cdef class NLLLoss(LabelLoss):
    """L = -w_t x_t of log-probabilities x (N, K) and labels t (N,), reduced over the examples.

    gx = -gL w_t at the label, else 0.  Saves the labels and the weights.
    """

    cdef ndarray rows                    # an outline

    @property
    def name(self):
        return "nll_loss"

    cdef ndarray log_probabilities(self, ndarray rows):
        self.rows = outline(rows)
        return rows

    cdef int keep(self, ndarray logp, ndarray target, ndarray weight) except -1:
        return self.save((target, weight))

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray target = self.saved[0], weight = self.saved[1], gx = new_like(self.rows)
        (<object>gx)[...] = 0.0
        at = np.flatnonzero(target != self.ignore)
        t = target[at]
        scale = self.scale(gy)
        g = np.negative(scale[at] if self.reduction == "none" else scale)
        gx[at, t] = g if weight is None else g * weight[t]
        return classes_back(gx, self.shape), None, None


cdef class SoftCrossEntropy(Op):
    """L = -sum_k q_k log_softmax(x)_k, q = w ((1 - e) t + e / K) of distributions t of x's shape, reduced over the examples.

    gx = gL (softmax(x) sum q - q), gt = -gL (1 - e) w log_softmax(x).  Saves log_softmax(x), and t and w where they are read.
    """

    arguments = ("input", "target", "weight")
    optional = ("weight",)

    cdef str reduction
    cdef double smoothing
    cdef tuple shape                     # of the input

    def __init__(self, reduction="mean", label_smoothing=0.0):
        self.reduction, self.smoothing = reduction, label_smoothing
        check_reduction(self, reduction)
        check_smoothing(self.smoothing)

    @property
    def name(self):
        return "cross_entropy"

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], t = inputs[1], weight = inputs[2], logp, losses, y
        cdef Py_ssize_t n, c
        cdef unsigned long mode
        self.shape = shape_of(x)
        logp = rows_of_classes(self, x)              # (rows, K)
        n, c = PyArray_DIMS(logp)[0], PyArray_DIMS(logp)[1]
        if n == 0 and self.reduction == "mean":
            raise ShapeError(f"cross_entropy: input must have at least one example for reduction='mean'; got {self.shape}")
        if shape_of(t) != self.shape:
            raise ShapeError(f"cross_entropy: target must have the shape of input, {self.shape}, when it holds probabilities; "
                             f"got {shape_of(t)}")
        check_same_dtype("cross_entropy", "input", x, "target", t)
        weight = checked_weight(self, x, weight, c, self.shape)
        t = rows_of_classes(self, t)
        logp = log_softmax_rows(logp)
        losses = new_array(1, PyArray_DIMS(logp), PyArray_TYPE(logp))
        if PyArray_TYPE(logp) == NPY_FLOAT:
            mode = tn_enter()
            K.cross_entropy_soft_forward_f32(
                <float*>PyArray_DATA(losses), <float*>PyArray_DATA(logp), <float*>PyArray_DATA(t),
                <float*>PyArray_DATA(weight) if weight is not None else NULL, n, c, 1.0 - self.smoothing, self.smoothing / c)
            tn_leave(mode)
        else:
            with quiet():
                (<object>losses)[...] = -(self.distribution(t, weight) * logp).sum(axis=1)
        self.save((logp, t if self.needs[0] else None, weight))
        if self.reduction == "none":
            return losses if len(self.shape) == 2 else (<object>losses).reshape(examples_of(self.shape))
        y = new_array(0, NULL, PyArray_TYPE(logp))
        with quiet():
            total = np.add.reduce(losses, dtype=np.float64)
            (<object>y)[...] = total / n if self.reduction == "mean" else total
        return y

    cdef object distribution(self, ndarray t, ndarray weight):
        """q (rows, K)"""
        q = (1.0 - self.smoothing) * t + self.smoothing / PyArray_DIMS(t)[1]
        return q if weight is None else q * weight

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray logp = self.saved[0], t = self.saved[1], weight = self.saved[2], gx = None, gt = None, g
        cdef Py_ssize_t n = PyArray_DIMS(logp)[0], c = PyArray_DIMS(logp)[1]
        cdef unsigned long mode
        if needs[0]:
            gx = new_like(logp)
        if needs[1]:
            gt = new_like(logp)
        g = contiguous(gy).reshape(-1) if self.reduction != "mean" else np.asarray(gy * (1.0 / n), gy.dtype).reshape(1)
        if PyArray_TYPE(logp) == NPY_FLOAT:
            if n:
                mode = tn_enter()
                K.cross_entropy_soft_backward_f32(
                    <float*>PyArray_DATA(gx) if gx is not None else NULL, <float*>PyArray_DATA(gt) if gt is not None else NULL,
                    <float*>PyArray_DATA(g), <float*>PyArray_DATA(logp), <float*>PyArray_DATA(t) if t is not None else NULL,
                    <float*>PyArray_DATA(weight) if weight is not None else NULL, n, c,
                    1 if self.reduction == "none" else 0, 1.0 - self.smoothing, self.smoothing / c)
                tn_leave(mode)
        else:
            column = g[:, None]
            if needs[0]:
                q = self.distribution(t, weight)
                (<object>gx)[...] = column * (np.exp(logp) * q.sum(axis=1, keepdims=True) - q)
            if needs[1]:
                (<object>gt)[...] = -column * ((1.0 - self.smoothing) * logp * (1.0 if weight is None else weight))
        return (classes_back(gx, self.shape) if needs[0] else None, classes_back(gt, self.shape) if needs[1] else None, None)
