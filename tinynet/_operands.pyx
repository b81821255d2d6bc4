"""Operands: two things that are to be combined, brought to tensors of one dtype, and the ways to combine them.

Python numbers are weak: they take the tensor's dtype (a float beside an integer tensor gives float32).  An integer tensor
beside a float tensor takes the float's dtype.  float32 and float64 do not mix.  What is no operand gives NotImplemented,
which Python's operators understand; `accepted` makes an error of it for methods.
"""

from numpy cimport NPY_DOUBLE, NPY_FLOAT, PyArray_DATA, PyArray_TYPE, import_array, ndarray

from tinynet._variable cimport Variable, form, run, values, wrap
from tinynet.ops.checks cimport quiet
from tinynet.ops.memory cimport new_array, own_copy

import numpy as np

from tinynet._variable import from_numpy
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.ops.arithmetic import Div

import_array()

cdef tuple NUMBERS = (bool, int, float, np.integer, np.floating, np.bool_)


# ---- operands ---------------------------------------------------------------------------------------------------------

cdef object operand(object x, Variable like, str op):
    """x as a Tensor to be combined with `like`, whose dtype numbers and integer arrays take; NotImplemented for other things."""
    cdef ndarray a = values(like), b
    dtype = (<object>a).dtype
    if isinstance(x, Variable):
        if (<object>values(<Variable>x)).dtype == dtype:
            return x
        x_dtype = (<object>values(<Variable>x)).dtype
        if dtype.kind == "f" and x_dtype.kind == "f":
            raise DTypeError(f"{op}: operands must have one float dtype; got {dtype} and {x_dtype} "
                             "(convert one of them, for example with .to(dtype))")
        if dtype.kind == "f":
            return (<Variable>x).detach().to(dtype)
        return x
    if isinstance(x, NUMBERS):
        if dtype.kind != "f" and isinstance(x, (float, np.floating)):
            dtype = np.dtype(np.float32)
        elif dtype.kind == "b" and not isinstance(x, (bool, np.bool_)):
            dtype = np.dtype(np.int64)
        try:
            x = x.__float__() if dtype.kind == "f" else x
        except OverflowError:
            raise ArgumentError(f"{op}: the number does not fit into {dtype}") from None
        b = new_array(0, NULL, dtype.num)
        if PyArray_TYPE(b) == NPY_FLOAT:
            (<float*>PyArray_DATA(b))[0] = x
        elif PyArray_TYPE(b) == NPY_DOUBLE:
            (<double*>PyArray_DATA(b))[0] = x
        else:
            try:
                (<object>b)[...] = x
            except OverflowError:
                raise ArgumentError(f"{op}: {x} does not fit into {dtype}") from None
        return wrap(b, None, 0)
    if isinstance(x, np.ndarray):
        return operand(from_numpy(x), like, op)
    return NotImplemented


cdef tuple common(str op, object a, object b):
    """Two operands, at least one of which is a Tensor, as Tensors of one dtype; NotImplemented in place of what is no operand."""
    if not isinstance(a, Variable):
        a = operand(a, <Variable>b, op)
    else:
        b = operand(b, <Variable>a, op)
    if a is NotImplemented or b is NotImplemented:
        return NotImplemented, NotImplemented
    # An integer tensor beside a float takes the float's dtype; two integers follow NumPy.
    da, db = (<object>values(<Variable>a)).dtype, (<object>values(<Variable>b)).dtype
    if da != db:
        dtype = da if da.kind == "f" else db if db.kind == "f" else np.result_type(da, db)
        a, b = (<Variable>a).to(dtype), (<Variable>b).to(dtype)
    return a, b


cdef tuple promoted(str op, object a, object b, bint floats):
    """The same for arithmetic: two bools become int64, and two integers float32 if `floats`."""
    a, b = common(op, a, b)
    if a is NotImplemented:
        return a, b
    kind = (<object>values(<Variable>a)).dtype.kind
    if kind != "f" and (floats or kind == "b"):
        dtype = np.float32 if floats else np.int64
        a, b = (<Variable>a).to(dtype), (<Variable>b).to(dtype)
    return a, b


cdef object accepted(object result, str op, object other):
    """The result of an operation, or an error if `other` was no operand."""
    if result is NotImplemented:
        raise DTypeError(f"{op}: other must be a Tensor or a number; got {type(other).__name__}")
    return result


cdef object times(str op, Variable t, object other, object alpha):
    """alpha * other, to be combined with t."""
    if type(alpha) is int and alpha == 1:
        return other
    if isinstance(alpha, bool) or not isinstance(alpha, NUMBERS):
        raise DTypeError(f"{op}: alpha must be a number; got {alpha!r}")
    if not isinstance(other, (Variable, np.ndarray, *NUMBERS)):
        raise DTypeError(f"{op}: other must be a Tensor or a number; got {type(other).__name__}")
    if isinstance(alpha, np.generic):
        alpha = alpha.item()             # NumPy's numbers are not weak beside arrays
    if isinstance(alpha, float) and t.dtype.kind != "f" and np.asarray(
            values(<Variable>other) if isinstance(other, Variable) else other).dtype.kind != "f":
        raise ArgumentError(f"{op}: alpha must be an integer for integer tensors; got {alpha!r}")
    return alpha * other


# ---- combining --------------------------------------------------------------------------------------------------------

cdef object binary(type kind, str op, object a, object b, ndarray out=None):
    """An elementwise op of two operands; into `out`, if that fits."""
    cdef int dtype
    if isinstance(a, Variable) and isinstance(b, Variable):
        dtype = PyArray_TYPE(form(<Variable>a))
        if dtype == PyArray_TYPE(form(<Variable>b)) and (dtype == NPY_FLOAT or dtype == NPY_DOUBLE):
            return run(kind(), (a, b), out)          # as it mostly is
    a, b = promoted(op, a, b, kind is Div)
    return NotImplemented if a is NotImplemented else run(kind(), (a, b), out)


cdef object choice(type kind, str op, Variable a, object b):
    """An op that takes one of two operands: bools stay what they are."""
    x, y = common(op, a, b)
    return accepted(x if x is NotImplemented else run(kind(), (x, y)), op, b)


cdef object plain(object array):
    """A result of NumPy's, of which there is no gradient, as a Tensor."""
    return wrap(own_copy(np.asarray(array)), None, 0)


cdef object compare(object ufunc, str op, Variable a, object b):
    """A ufunc of two operands without a gradient, as comparisons are: NotImplemented if b is no operand."""
    # NumPy compares a Python int with any integers rightly, also one that their dtype cannot hold.
    exact = isinstance(b, (bool, int)) and a.dtype.kind != "f"
    other = b if exact else operand(b, a, op)
    if other is NotImplemented:
        return NotImplemented
    try:
        return plain(ufunc(values(a), b if exact else values(<Variable>other)))
    except ValueError:
        raise ShapeError(f"{op}: shapes {a.shape} and {other.shape} cannot be broadcast together") from None


cdef object close(str op, Variable a, object b, double rtol, double atol, bint equal_nan):
    """Whether |a - b| <= atol + rtol |b|, an array of bool."""
    x, y = common(op, a, b)
    accepted(x, op, b)
    try:
        with quiet():
            return np.asarray(np.isclose(values(<Variable>x), values(<Variable>y), rtol, atol, equal_nan))
    except ValueError:
        raise ShapeError(f"{op}: shapes {x.shape} and {y.shape} cannot be broadcast together") from None


cdef object bitwise(object ufunc, str op, Variable a, object b):
    """A ufunc of the bits of bools or integers: NotImplemented if b is no operand."""
    x, y = common(op, a, b)
    if x is NotImplemented:
        return NotImplemented
    if x.dtype.kind == "f":
        raise DTypeError(f"{op}: operands must be bool or integers; got {a.dtype} and "
                         f"{b.dtype if isinstance(b, (Variable, np.ndarray)) else type(b).__name__}")
    return compare(ufunc, op, x, y)
