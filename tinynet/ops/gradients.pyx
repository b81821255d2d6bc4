"""What `nn.utils` does to the gradients of a model: their norm as one vector, scaling and clipping in place.

    total_norm_p = (sum over all elements of |g|^p)^(1/p),  p = inf: the largest |g|

Sums are taken in double: in each array over at most 16 ranges, set by its size alone, then in the order of the arrays.  What
is written in place raises the version of its block.
"""

from libc.math cimport pow, sqrt
from numpy cimport NPY_FLOAT, PyArray_ISWRITEABLE, PyArray_SIZE, PyArray_TYPE, import_array, ndarray

from tinynet.ops.checks cimport quiet
from tinynet.ops.memory cimport touch
from tinynet.ops.sums cimport square_sum

import numpy as np

from tinynet.errors import ArgumentError

import_array()


def total_norm(list arrays, double p):
    """The p-norm (p > 0 or inf) of all arrays, float32 or float64, as one vector; 0 without any."""
    cdef ndarray x
    cdef double total = 0.0, part
    with quiet():
        for x in arrays:
            if PyArray_SIZE(x) == 0:
                continue
            if p == 2.0 and PyArray_TYPE(x) == NPY_FLOAT:
                total += square_sum(x)
            elif p == float("inf"):
                part = np.abs(x).max()
                if part > total or part != part:         # NaN stays: nothing compares with it
                    total = part
            elif p == 1.0:
                total += np.add.reduce(np.abs(x), axis=None, dtype=np.float64)
            else:
                total += np.add.reduce(np.abs(x, dtype=np.float64) ** p, axis=None)
    if p == 1.0 or p == float("inf"):
        return total
    return sqrt(total) if p == 2.0 else pow(total, 1.0 / p)


cdef int check_writable(list arrays) except -1:
    cdef ndarray x
    for x in arrays:
        if not PyArray_ISWRITEABLE(x):
            raise ArgumentError(f"clip_grad: gradients must be writable; got read-only memory of shape {(<object>x).shape}")
    return 0


def scale(list arrays, double factor):
    """Multiply every array by `factor`, in place."""
    cdef ndarray x
    check_writable(arrays)
    with quiet():
        for x in arrays:
            np.multiply(x, factor, out=x)
            touch(x)


def clip(list arrays, double bound):
    """Hold every element in [-bound, bound], in place; NaN stays."""
    cdef ndarray x
    check_writable(arrays)
    for x in arrays:
        np.clip(x, -bound, bound, out=x)
        touch(x)
