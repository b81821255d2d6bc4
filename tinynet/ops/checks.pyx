"""Checks of arguments that several ops share; each raises with the form ``op: argument must be <expected>; got <received>``.

And `quiet`, under which NumPy computes inf and nan without warnings, as C does.  np.errstate takes 0.9 us, as much as an op on
one element; it sets a context variable, which takes 0.05 us and is done here directly where NumPy has it (2.0 to 2.4, at least).
"""

cimport cython
from cpython.contextvars cimport PyContextVar_CheckExact, PyContextVar_Reset, PyContextVar_Set

from numpy cimport (
    NPY_DOUBLE, NPY_FLOAT, PyArray_DIMS, PyArray_NDIM, PyArray_TYPE, import_array, ndarray,
)

import numpy as np

from tinynet import _check
from tinynet.errors import ArgumentError, DTypeError, ShapeError

cdef object ERROR_STATE = None           # NumPy's context variable; None: np.errstate does it
cdef object IGNORE_ALL = None            # its value that switches all warnings off
try:
    from numpy._core.umath import _extobj_contextvar, _make_extobj
    if PyContextVar_CheckExact(_extobj_contextvar):
        ERROR_STATE, IGNORE_ALL = _extobj_contextvar, _make_extobj(all="ignore")
except ImportError:
    pass

import_array()


cdef tuple shape_of(ndarray x):
    return tuple([PyArray_DIMS(x)[d] for d in range(PyArray_NDIM(x))])


cdef tuple extents(str op, str argument, object value, int axes, Py_ssize_t minimum):
    """As `_check.extents`, which takes 1 us; at once for what layers have checked already, a tuple of ints."""
    if type(value) is tuple and len(<tuple>value) == axes:
        for each in <tuple>value:
            if type(each) is not int or not minimum <= each <= _check.LARGEST:
                break
        else:
            return <tuple>value
    return _check.extents(op, argument, value, axes, minimum)


cdef object mute():
    """Switch NumPy's warnings off; what this returns switches them on again: see `unmute`."""
    if ERROR_STATE is not None:
        return PyContextVar_Set(ERROR_STATE, IGNORE_ALL)
    state = np.errstate(all="ignore")
    state.__enter__()
    return state


cdef int unmute(object former) except -1:
    """NumPy's warnings as they were before `mute`."""
    if ERROR_STATE is not None:
        PyContextVar_Reset(ERROR_STATE, former)
    else:
        former.__exit__(None, None, None)
    return 0


@cython.final
@cython.freelist(8)
cdef class Quiet:
    """The ``with`` block of `quiet`."""

    cdef object former

    def __enter__(self):
        self.former = mute()

    def __exit__(self, kind, error, traceback):
        unmute(self.former)


cdef object quiet():
    """NumPy without warnings, for a ``with`` block: overflow and invalid operations give inf and nan, as they do in C."""
    return Quiet.__new__(Quiet)


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


cdef object integer_of(str op, str argument, object value):
    """An argument that must be an integer, or a tensor that holds one."""
    try:
        return value.__index__()
    except (AttributeError, TypeError):
        raise ArgumentError(f"{op}: {argument} must be an integer; got {value!r}") from None


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
