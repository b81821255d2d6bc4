"""The optimisers' fused passes over all parameters of a group.

One parallel loop runs over all arrays, cut into pieces of at most 8192 elements; each piece reads and writes every array
involved once.  Weights change in place, so the version of their blocks rises.
"""

from cython.parallel cimport prange
from numpy cimport (
    NPY_FLOAT, NPY_UINT8, PyArray_DATA, PyArray_ISWRITEABLE, PyArray_SIZE, PyArray_TYPE, import_array, ndarray, npy_intp,
)

from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport is_dense, matching, new_array, same_layout, touch
from tinynet.ops.threads cimport PIECE, team, tn_enter, tn_leave

from tinynet.errors import ArgumentError, ShapeError

import_array()

ctypedef struct Piece:
    float* w
    float* v
    const float* g
    Py_ssize_t n
    float damp


ctypedef struct Rule:
    float lr, mu, decay, sign
    int nesterov


cdef void sgd_piece(const Piece* p, const Rule* r) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    K.sgd_f32(p.w, p.v, p.g, p.n, r.lr, r.mu, p.damp, r.decay, r.sign, r.nesterov)
    tn_leave(mode)


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
    cdef Py_ssize_t i, count = len(params), pieces = 0, n, total = 0, at, k = 0
    cdef ndarray w, g, v
    cdef list kept = []                  # gradients that had to be copied into the weights' layout
    cdef Rule rule
    cdef Piece* piece
    cdef npy_intp size
    cdef ndarray scratch
    cdef int threads
    for i in range(count):
        w, g = params[i], grads[i]
        if (<object>w).shape != (<object>g).shape:
            raise ShapeError(f"sgd: grads[{i}] must have the shape of params[{i}], {(<object>w).shape}; got {(<object>g).shape}")
        if PyArray_TYPE(w) != PyArray_TYPE(<ndarray>params[0]) or PyArray_TYPE(w) != PyArray_TYPE(g):
            raise ArgumentError(f"sgd: params and grads must have one dtype; got {(<object>w).dtype} and {(<object>g).dtype}")
        if not PyArray_ISWRITEABLE(w) or (buffers and not PyArray_ISWRITEABLE(<ndarray>buffers[i])):
            raise ArgumentError(f"sgd: params[{i}] and its buffer must be writable; got read-only memory")
        total += PyArray_SIZE(w)
        pieces += (PyArray_SIZE(w) + PIECE - 1) // PIECE
    if total == 0:
        return
    if PyArray_TYPE(<ndarray>params[0]) != NPY_FLOAT:
        sgd_f64(params, grads, buffers, first, lr, momentum, dampening, weight_decay, nesterov, maximize)
    else:
        for i in range(count):
            w, g = params[i], grads[i]
            if not is_dense(w) or (buffers and not same_layout(w, <ndarray>buffers[i])):
                raise ArgumentError(f"sgd: params[{i}] must be dense in memory, and its buffer laid out like it")
            kept.append(matching(g, w))
        rule.lr, rule.mu, rule.decay, rule.sign, rule.nesterov = lr, momentum, weight_decay, -1.0 if maximize else 1.0, nesterov
        size = pieces * sizeof(Piece)
        scratch = new_array(1, &size, NPY_UINT8)
        piece = <Piece*>PyArray_DATA(scratch)
        for i in range(count):
            w, g, n = params[i], kept[i], PyArray_SIZE(<ndarray>params[i])
            v = buffers[i] if buffers else None
            for at in range(0, n, PIECE):
                piece[k].w = <float*>PyArray_DATA(w) + at
                piece[k].g = <const float*>PyArray_DATA(g) + at
                piece[k].v = <float*>PyArray_DATA(v) + at if v is not None else NULL
                piece[k].n = min(PIECE, n - at)
                piece[k].damp = 1.0 if v is None or first[i] else 1.0 - dampening
                k += 1
        threads = team(20.0 * total, pieces)
        for i in prange(pieces, nogil=True, schedule="static", num_threads=threads, use_threads_if=threads > 1):
            sgd_piece(&piece[i], &rule)
    for i in range(count):
        touch(<ndarray>params[i])


cdef sgd_f64(list params, list grads, list buffers, list first, double lr, double momentum, double dampening,
             double weight_decay, bint nesterov, bint maximize):
    """The same equations with NumPy."""
    for i in range(len(params)):
        w, d = params[i], -grads[i] if maximize else grads[i]
        d = d + weight_decay * w
        if buffers:
            v = buffers[i]
            v[...] = momentum * v + (1.0 if first[i] else 1.0 - dampening) * d
            d = d + momentum * v if nesterov else v
        w -= lr * d
