"""The optimisers' fused passes over all parameters of a group.

One parallel loop (`update`) runs over all arrays.  Each is cut into as many parts as there are threads, and thread t gets part t
of all: the share is even, and step after step a core finds the same weights in its cache, and of the larger gradients (a
product's rows are shared out alike) what it has just computed; what is small is left to the first thread.  Each element is
read and written once.  What happens to an element is the rule's: `Sgd`, `Adam`, `RmsProp`, `Adagrad`.  Weights change in
place, and so does the state: the versions of their blocks rise.
"""

from cython.parallel cimport prange
from libc.math cimport pow, sqrt
from numpy cimport (
    NPY_FLOAT, NPY_UINT8, PyArray_CopyInto, PyArray_DATA, PyArray_DIMS, PyArray_ISWRITEABLE, PyArray_NDIM, PyArray_SIZE,
    PyArray_TYPE, import_array, ndarray, npy_intp,
)

from tinynet.ops.checks cimport quiet, shape_of
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport is_dense, matching, new_array, own_copy, same_layout, touch
from tinynet.ops.threads cimport team, tn_enter, tn_leave

import numpy as np

from tinynet.errors import ArgumentError, ShapeError

import_array()

cdef enum:
    KINDS = 3                        # the most arrays that a rule keeps per parameter
    LINE = 16                        # elements of a cache line: two threads never write to one
    ALONE = 4096                     # elements up to which one thread, which made the gradient, updates a parameter

ctypedef struct Piece:
    float* w
    float* state[KINDS]              # NULL where the rule keeps none
    const float* g
    Py_ssize_t n
    double x, y                      # the rule's numbers of this parameter


cdef class Rule:
    """How one optimiser changes weights: the options of the step, and the same equations twice."""
    cdef str name                    # for messages
    cdef double cost                 # of an element, in the unit of `team`
    cdef double lr, decay            # decay: the factor of w in the gradient
    cdef bint maximize

    cdef void numbers(self, Py_ssize_t i, Piece* p):
        """Set p.x and p.y for parameter i."""

    cdef void f32(self, const Piece* p) noexcept nogil:
        """Change a piece, with the kernel."""

    cdef object f64(self, ndarray w, object d, list state, double x, double y):
        """Change a whole array, with NumPy; d is what `pull` makes of the gradient."""
        raise NotImplementedError

    cdef object pull(self, ndarray w, ndarray g):
        """The gradient that the rule sees."""
        d = -g if self.maximize else g
        return d + self.decay * w if self.decay != 0.0 else d

    cdef float sign(self) noexcept nogil:
        return -1.0 if self.maximize else 1.0


cdef void run_pieces(Rule rule, const Piece* p, Py_ssize_t count) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t i
    for i in range(count):
        if p[i].n > 0:
            rule.f32(&p[i])
    tn_leave(mode)


cdef bint same_shape(ndarray a, ndarray b) noexcept:
    cdef int d, nd = PyArray_NDIM(a)
    if nd != PyArray_NDIM(b):
        return False
    for d in range(nd):
        if PyArray_DIMS(a)[d] != PyArray_DIMS(b)[d]:
            return False
    return True


cdef int touch_all(Py_ssize_t i, list params, list states) except -1:
    """Parameter i and its state have changed."""
    touch(<ndarray>params[i])
    for state in states:
        touch(<ndarray>(<list>state)[i])
    return 0


cdef int update(Rule rule, list params, list grads, list states) except -1:
    """Apply a rule to all parameters.  `states` has one list of arrays, as long as `params`, per kind of state."""
    cdef Py_ssize_t i, j, k, t, at, n, count = len(params), kinds = len(states), part, used = 0, total = 0
    cdef ndarray w, g, s, scratch
    cdef list kept = [], scattered = []     # what the pieces point to; weights with gaps, which are copied, changed, put back
    cdef Piece one
    cdef Piece* piece
    cdef npy_intp size
    cdef int threads
    for each in (grads, *states):
        if len(<list>each) != count:
            raise ArgumentError(f"{rule.name}: params, grads and state must be equally many; got {count} and {len(<list>each)}")
    for i in range(count):
        w, g = params[i], grads[i]
        if not same_shape(w, g):
            raise ShapeError(f"{rule.name}: grads[{i}] must have the shape of params[{i}], {shape_of(w)}; got {shape_of(g)}")
        if PyArray_TYPE(w) != PyArray_TYPE(<ndarray>params[0]) or PyArray_TYPE(w) != PyArray_TYPE(g):
            raise ArgumentError(f"{rule.name}: params and grads must have one dtype; got {(<object>w).dtype} and "
                                f"{(<object>g).dtype}")
        for j in range(-1, kinds):
            s = w if j < 0 else (<list>states[j])[i]
            if not PyArray_ISWRITEABLE(s):
                raise ArgumentError(f"{rule.name}: params[{i}] and its buffer must be writable; got read-only memory")
            if not same_shape(w, s) or PyArray_TYPE(w) != PyArray_TYPE(s):
                raise ArgumentError(f"{rule.name}: the state of params[{i}] must have its shape {shape_of(w)} and dtype "
                                    f"{(<object>w).dtype}; got {shape_of(s)} and {(<object>s).dtype}")
        total += PyArray_SIZE(w)
        used += PyArray_SIZE(w) > 0
    if total == 0:
        return 0
    if PyArray_TYPE(<ndarray>params[0]) != NPY_FLOAT:
        with quiet():
            for i in range(count):
                w, g = params[i], grads[i]
                rule.numbers(i, &one)
                rule.f64(w, rule.pull(w, g), [(<list>state)[i] for state in states], one.x, one.y)
                touch_all(i, params, states)
        return 0
    threads = team(rule.cost * total, 2)
    size = threads * used * sizeof(Piece)
    scratch = new_array(1, &size, NPY_UINT8)
    piece = <Piece*>PyArray_DATA(scratch)
    k = 0
    for i in range(count):
        w, g, n = params[i], grads[i], PyArray_SIZE(<ndarray>params[i])
        if n == 0:
            continue
        if not is_dense(w):
            scattered.append(w)
            w = own_copy(w)
            scattered.append(w)
        g = matching(g, w)
        kept.append(g)
        rule.numbers(i, &one)
        for j in range(KINDS):
            one.state[j] = NULL
            if j < kinds:
                s = (<list>states[j])[i]
                if not same_layout(w, s):
                    raise ArgumentError(f"{rule.name}: the state of params[{i}] must be dense in memory, laid out like it")
                one.state[j] = <float*>PyArray_DATA(s)
        part = ((n + threads - 1) // threads + LINE - 1) // LINE * LINE if n > ALONE else n
        for t in range(threads):
            at = min(t * part, n)
            one.w, one.g, one.n = <float*>PyArray_DATA(w) + at, <const float*>PyArray_DATA(g) + at, min(part, n - at)
            piece[t * used + k] = one
            for j in range(kinds):
                piece[t * used + k].state[j] = one.state[j] + at
        k += 1
    if threads == 1:
        with nogil:
            run_pieces(rule, piece, used)
    else:
        for t in prange(threads, nogil=True, schedule="static", num_threads=threads):
            run_pieces(rule, piece + t * used, used)
    for i in range(0, len(scattered), 2):
        PyArray_CopyInto(<ndarray>scattered[i], <ndarray>scattered[i + 1])
    for i in range(count):
        touch_all(i, params, states)
    return 0


# ---- stochastic gradient descent ------------------------------------------------------------------------------------------

cdef class Sgd(Rule):
    """v = momentum v + (1 - dampening) d;  w -= lr (d + momentum v if nesterov else v).  Of a parameter: x = 1 - dampening."""
    cdef double momentum, dampening
    cdef bint nesterov
    cdef list first

    cdef void numbers(self, Py_ssize_t i, Piece* p):
        p.x = 1.0 if self.first[i] else 1.0 - self.dampening

    cdef void f32(self, const Piece* p) noexcept nogil:
        K.sgd_f32(p.w, p.state[0], p.g, p.n, self.lr, self.momentum, p.x, self.decay, self.sign(), self.nesterov)

    cdef object f64(self, ndarray w, object d, list state, double x, double y):
        if state:
            v = state[0]
            v[...] = self.momentum * v + x * d
            d = d + self.momentum * v if self.nesterov else v
        w -= self.lr * d


def sgd(list params, list grads, list buffers, list first, double lr, double momentum, double dampening, double weight_decay,
        bint nesterov, bint maximize):
    """One step of stochastic gradient descent on a list of arrays, in place.

    With d = (-g if maximize else g) + weight_decay w:

        v = momentum v + (1 - dampening) d      (v = d where `first`)
        w = w - lr (d + momentum v if nesterov else v)

    Parameters
    ----------
    params, grads : list of ndarray
        Weights and gradients of one dtype, float32 or float64; pairs of equal shapes.
    buffers : list of ndarray
        The velocities v, laid out like the weights and zero where `first`; empty when momentum is 0.
    first : list of bool
        Whether a velocity holds nothing yet.
    """
    cdef Sgd rule = Sgd.__new__(Sgd)
    rule.name, rule.cost, rule.lr, rule.decay, rule.maximize = "sgd", 20, lr, weight_decay, maximize
    rule.momentum, rule.dampening, rule.nesterov, rule.first = momentum, dampening, nesterov, first
    update(rule, params, grads, [buffers] if buffers else [])


# ---- Adam -----------------------------------------------------------------------------------------------------------------

cdef class Adam(Rule):
    """a, s: the averages of d and d^2.  Of a parameter: x = lr / (1 - beta1^t), y = sqrt(1 - beta2^t)."""
    cdef double beta1, beta2, eps, keep      # keep: what decoupled decay leaves of w
    cdef list steps

    cdef void numbers(self, Py_ssize_t i, Piece* p):
        cdef double t = self.steps[i]
        p.x, p.y = self.lr / (1.0 - pow(self.beta1, t)), sqrt(1.0 - pow(self.beta2, t))

    cdef void f32(self, const Piece* p) noexcept nogil:
        K.adam_f32(p.w, p.state[0], p.state[1], p.state[2], p.g, p.n, p.x, p.y, 1.0 - self.beta1, self.beta2,
                   1.0 - self.beta2, self.eps, self.keep, self.decay, self.sign())

    cdef object f64(self, ndarray w, object d, list state, double x, double y):
        a, s = state[0], state[1]
        r1 = 1.0 - self.beta1
        a[...] = a + r1 * (d - a) if r1 < 0.5 else d - self.beta1 * (d - a)
        s[...] = self.beta2 * s + (1.0 - self.beta2) * (d * d)
        if len(state) == 3:
            s = np.maximum(state[2], s, out=state[2])
        w[...] = self.keep * w - x * (a / (np.sqrt(s) / y + self.eps))


def adam(list params, list grads, list averages, list squares, list largest, list steps, double lr, double beta1, double beta2,
         double eps, double weight_decay, bint maximize, bint decoupled):
    """One step of Adam on a list of arrays, in place.

    With d = (-g if maximize else g) + weight_decay w (`decoupled`: w = w - lr weight_decay w first, and no w in d):

        a = beta1 a + (1 - beta1) d
        s = beta2 s + (1 - beta2) d^2
        w = w - lr / (1 - beta1^t) a / (sqrt(s) / sqrt(1 - beta2^t) + eps)

    Parameters
    ----------
    params, grads : list of ndarray
        Weights and gradients of one dtype, float32 or float64; pairs of equal shapes.
    averages, squares : list of ndarray
        a and s, laid out like the weights.
    largest : list of ndarray
        For AMSGrad the largest s so far, which then stands in its place; else empty.
    steps : list of float
        t, the number of this step: 1 at the first.
    """
    cdef Adam rule = Adam.__new__(Adam)
    rule.name, rule.cost, rule.lr, rule.maximize = "adam", 40, lr, maximize
    rule.decay, rule.keep = (0.0, 1.0 - lr * weight_decay) if decoupled else (weight_decay, 1.0)
    rule.beta1, rule.beta2, rule.eps, rule.steps = beta1, beta2, eps, steps
    update(rule, params, grads, [averages, squares, largest] if largest else [averages, squares])


# ---- RMSprop --------------------------------------------------------------------------------------------------------------

cdef class RmsProp(Rule):
    """s, a: the averages of d^2 and (if `centered`) of d;  v: the velocity (if momentum is not 0)."""
    cdef double alpha, eps, momentum
    cdef bint centered

    cdef void f32(self, const Piece* p) noexcept nogil:
        cdef float* a = p.state[1] if self.centered else NULL
        cdef float* v = NULL if self.momentum == 0.0 else p.state[2] if self.centered else p.state[1]
        K.rmsprop_f32(p.w, p.state[0], a, v, p.g, p.n, self.lr, self.alpha, 1.0 - self.alpha, self.eps, self.momentum,
                      self.decay, self.sign())

    cdef object f64(self, ndarray w, object d, list state, double x, double y):
        s, r = state[0], 1.0 - self.alpha
        s[...] = self.alpha * s + r * (d * d)
        q = s
        if self.centered:
            a = state[1]
            a[...] = a + r * (d - a) if r < 0.5 else d - self.alpha * (d - a)
            q = np.maximum(s - a * a, 0.0)       # rounding could make it negative
        step = d / (np.sqrt(q) + self.eps)
        if self.momentum != 0.0:
            v = state[-1]
            v[...] = self.momentum * v + step
            step = v
        w -= self.lr * step


def rmsprop(list params, list grads, list squares, list averages, list buffers, double lr, double alpha, double eps,
            double weight_decay, double momentum, bint maximize):
    """One step of RMSprop on a list of arrays, in place.

    With d = (-g if maximize else g) + weight_decay w:

        s = alpha s + (1 - alpha) d^2
        a = alpha a + (1 - alpha) d               (centered; else 0)
        v = momentum v + d / (sqrt(s - a^2) + eps)
        w = w - lr v

    Parameters
    ----------
    params, grads : list of ndarray
        Weights and gradients of one dtype, float32 or float64; pairs of equal shapes.
    squares : list of ndarray
        s, laid out like the weights.
    averages, buffers : list of ndarray
        a, or empty if the rule is not centered; v, or empty if momentum is 0.
    """
    cdef RmsProp rule = RmsProp.__new__(RmsProp)
    rule.name, rule.cost, rule.lr, rule.decay, rule.maximize = "rmsprop", 35, lr, weight_decay, maximize
    rule.alpha, rule.eps, rule.centered = alpha, eps, bool(averages)
    rule.momentum = momentum if buffers else 0.0
    update(rule, params, grads, [each for each in (squares, averages, buffers) if each])


# ---- Adagrad --------------------------------------------------------------------------------------------------------------

cdef class Adagrad(Rule):
    """s: the sum of d^2.  Of a parameter: x = lr / (1 + (t - 1) lr_decay)."""
    cdef double lr_decay, eps
    cdef list steps

    cdef void numbers(self, Py_ssize_t i, Piece* p):
        cdef double t = self.steps[i]
        p.x = self.lr / (1.0 + (t - 1.0) * self.lr_decay)

    cdef void f32(self, const Piece* p) noexcept nogil:
        K.adagrad_f32(p.w, p.state[0], p.g, p.n, p.x, self.eps, self.decay, self.sign())

    cdef object f64(self, ndarray w, object d, list state, double x, double y):
        s = state[0]
        s += d * d
        w -= x * (d / (np.sqrt(s) + self.eps))


def adagrad(list params, list grads, list sums, list steps, double lr, double lr_decay, double weight_decay, double eps,
            bint maximize):
    """One step of Adagrad on a list of arrays, in place.

    With d = (-g if maximize else g) + weight_decay w:

        s = s + d^2
        w = w - lr / (1 + (t - 1) lr_decay) d / (sqrt(s) + eps)

    Parameters
    ----------
    params, grads : list of ndarray
        Weights and gradients of one dtype, float32 or float64; pairs of equal shapes.
    sums : list of ndarray
        s, laid out like the weights.
    steps : list of float
        t, the number of this step: 1 at the first.
    """
    cdef Adagrad rule = Adagrad.__new__(Adagrad)
    rule.name, rule.cost, rule.lr, rule.decay, rule.maximize = "adagrad", 30, lr, weight_decay, maximize
    rule.lr_decay, rule.eps, rule.steps = lr_decay, eps, steps
    update(rule, params, grads, [sums])
