"""Checks of arguments that several ops share; each raises with the form ``op: argument must be <expected>; got <received>``."""

from numpy cimport (
    NPY_DOUBLE, NPY_FLOAT, PyArray_DIMS, PyArray_NDIM, PyArray_TYPE, import_array, ndarray,
)

import numpy as np

from tinynet.errors import ArgumentError, DTypeError, ShapeError

import_array()


cdef tuple shape_of(ndarray x):
    return tuple([PyArray_DIMS(x)[d] for d in range(PyArray_NDIM(x))])


cdef object quiet():
    """NumPy without warnings, for a ``with`` block: overflow and invalid operations give inf and nan, as they do in C."""
    return np.errstate(all="ignore")


cdef int check_float(str op, str argument, ndarray x) except -1:
    if PyArray_TYPE(x) != NPY_FLOAT and PyArray_TYPE(x) != NPY_DOUBLE:
        raise DTypeError(f"{op}: {argument} must be float32 or float64; got {(<object>x).dtype}")
    return 0


cdef int check_same_dtype(str op, str a_name, ndarray a, str b_name, ndarray b) except -1:
    if PyArray_TYPE(a) != PyArray_TYPE(b):
        raise DTypeError(f"{op}: {b_name} must have the dtype of {a_name}, {(<object>a).dtype}; got {(<object>b).dtype}")
    return 0


cdef int check_ndim(str op, str argument, ndarray x, int ndim, str letters) except -1:
    if PyArray_NDIM(x) != ndim:
        raise ShapeError(f"{op}: {argument} must have shape {letters}; got {shape_of(x)}")
    return 0


cdef int axis_of(str op, object dim, int ndim) except -1:
    """The axis that dim means, counted from 0."""
    cdef Py_ssize_t d
    try:
        d = dim.__index__()
    except AttributeError:
        raise ArgumentError(f"{op}: dim must be an integer; got {dim!r}") from None
    cdef int n = ndim if ndim > 0 else 1     # dim 0 and -1 of a scalar mean the scalar itself
    if d < -n or d >= n:
        raise ArgumentError(f"{op}: dim must lie in [{-n}, {n - 1}]; got {d}")
    return <int>(d + n if d < 0 else d)


cdef int blas_extent(str op, Py_ssize_t n) except -1:
    if n > 2147483647:
        raise ShapeError(f"{op}: an extent must be below 2^31 for BLAS; got {n}")
    return 0
