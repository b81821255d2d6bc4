"""Operators: what one can do with a variable element by element - arithmetic, comparisons, functions, changes in place.

Each method makes an instance of an op and runs it; how an op is run and recorded stands in _variable.pyx.  What the methods
accept and return follows PyTorch.  Python numbers take the tensor's dtype; float32 and float64 do not mix.
"""

from numpy cimport NPY_DOUBLE, NPY_FLOAT, PyArray_DATA, PyArray_TYPE, import_array, ndarray

from tinynet._history cimport History
from tinynet._variable cimport Variable, run, values, wrap
from tinynet.ops.memory cimport new_array, own_copy

import numpy as np

from tinynet._grad_mode import is_grad_enabled
from tinynet._variable import from_numpy
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.ops import arithmetic
from tinynet.ops.activation import ReLU, Sigmoid, Tanh
from tinynet.random import draw

import_array()


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
    if isinstance(x, (bool, int, float, np.integer, np.floating, np.bool_)):
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


cdef tuple promoted(str op, object a, object b, bint floats):
    """Two operands, at least one of which is a Tensor, as Tensors of one dtype; NotImplemented in place of what is no operand."""
    if not isinstance(a, Variable):
        a = operand(a, <Variable>b, op)
    else:
        b = operand(b, <Variable>a, op)
    if a is NotImplemented or b is NotImplemented:
        return NotImplemented, NotImplemented
    # An integer tensor beside a float takes the float's dtype; two integers follow NumPy, or become float32 if `floats`.
    da, db = (<object>values(<Variable>a)).dtype, (<object>values(<Variable>b)).dtype
    if da != db:
        common = da if da.kind == "f" else db if db.kind == "f" else np.result_type(da, db)
        a, b = (<Variable>a).to(common), (<Variable>b).to(common)
    elif da.kind != "f" and (floats or da.kind == "b"):
        common = np.float32 if floats else np.int64
        a, b = (<Variable>a).to(common), (<Variable>b).to(common)
    return a, b


cdef object binary(object kind, str op, object a, object b, ndarray out=None):
    """An elementwise op of two operands; into `out`, if that fits."""
    a, b = promoted(op, a, b, kind is arithmetic.Div)
    return NotImplemented if a is NotImplemented else run(kind(), (a, b), out)


cdef object in_place(Variable t, str op, object kind, object other):
    """t = kind(t, other) in t's memory.  Recorded, the operands are saved, so the result is made beside them and then copied."""
    t.check_write(op)
    cdef bint recorded = t.node is not None or (isinstance(other, Variable) and (<Variable>other).node is not None)
    result = binary(kind, op, t.old(other), other, None if recorded and is_grad_enabled() else values(t))
    if result is NotImplemented:
        raise DTypeError(f"{op}: other must be a Tensor or a number; got {type(other).__name__}")
    return t.write(op, result)


cdef object compare(object ufunc, str op, Variable a, object b):
    """A comparison: a bool tensor, no gradient."""
    # NumPy compares a Python int with any integers rightly, also one that their dtype cannot hold.
    plain = isinstance(b, (bool, int)) and a.dtype.kind != "f"
    other = b if plain else operand(b, a, op)
    if other is NotImplemented:
        return NotImplemented
    try:
        return wrap(own_copy(np.asarray(ufunc(values(a), b if plain else values(<Variable>other)))), None, 0)
    except ValueError:
        raise ShapeError(f"{op}: shapes {a.shape} and {other.shape} cannot be broadcast together") from None


# ---- Operators --------------------------------------------------------------------------------------------------------

cdef class Operators(History):
    """The part of `Tensor` that works element by element."""

    # -- arithmetic --

    def __add__(self, other):
        return binary(arithmetic.Add, "add", self, other)

    def __radd__(self, other):
        return binary(arithmetic.Add, "add", other, self)

    def __sub__(self, other):
        return binary(arithmetic.Sub, "sub", self, other)

    def __rsub__(self, other):
        return binary(arithmetic.Sub, "sub", other, self)

    def __mul__(self, other):
        return binary(arithmetic.Mul, "mul", self, other)

    def __rmul__(self, other):
        return binary(arithmetic.Mul, "mul", other, self)

    def __truediv__(self, other):
        return binary(arithmetic.Div, "div", self, other)

    def __rtruediv__(self, other):
        return binary(arithmetic.Div, "div", other, self)

    def __pow__(self, other, modulo):
        if modulo is not None:
            return NotImplemented
        return binary(arithmetic.Pow, "pow", self, other)

    def __rpow__(self, other, modulo):
        return binary(arithmetic.Pow, "pow", other, self)

    def __neg__(self):
        if self.dtype == np.bool_:
            raise DTypeError("neg: x must hold numbers; got bool")
        return run(arithmetic.Neg(), (self,))

    def __pos__(self):
        return self

    def __abs__(self):
        return run(arithmetic.Abs(), (self,))

    def __hash__(self):                          # by identity, though == compares elements
        return <Py_ssize_t><void*>self >> 4

    def __eq__(self, other):
        return compare(np.equal, "eq", self, other)

    def __ne__(self, other):
        return compare(np.not_equal, "ne", self, other)

    def __lt__(self, other):
        return compare(np.less, "lt", self, other)

    def __le__(self, other):
        return compare(np.less_equal, "le", self, other)

    def __gt__(self, other):
        return compare(np.greater, "gt", self, other)

    def __ge__(self, other):
        return compare(np.greater_equal, "ge", self, other)

    def abs(self):
        """The absolute value of each element; slope 0 at 0."""
        return run(arithmetic.Abs(), (self,))

    def exp(self):
        """e to the power of each element."""
        return run(arithmetic.Exp(), (self,))

    def log(self):
        """The natural logarithm of each element."""
        return run(arithmetic.Log(), (self,))

    def sqrt(self):
        """The square root of each element."""
        return run(arithmetic.Sqrt(), (self,))

    def pow(self, exponent):
        """Each element to the power of `exponent`."""
        return self ** exponent

    def sigmoid(self):
        """1 / (1 + exp(-x)) of each element."""
        return run(Sigmoid(), (self,))

    def tanh(self):
        """The hyperbolic tangent of each element."""
        return run(Tanh(), (self,))

    def relu(self):
        """max(x, 0) of each element."""
        return run(ReLU(), (self,))

    # -- in place --

    def add_(self, other, *, alpha=1):
        """self += alpha * other"""
        return in_place(self, "add_", arithmetic.Add, other if alpha == 1 else alpha * other)

    def sub_(self, other, *, alpha=1):
        """self -= alpha * other"""
        return in_place(self, "sub_", arithmetic.Sub, other if alpha == 1 else alpha * other)

    def mul_(self, other):
        """self *= other"""
        return in_place(self, "mul_", arithmetic.Mul, other)

    def div_(self, other):
        """self /= other"""
        return in_place(self, "div_", arithmetic.Div, other)

    def relu_(self):
        """self = max(self, 0)"""
        return self.write("relu_", self.old(None).relu())

    def zero_(self):
        """Set every element to 0."""
        return self.fill("zero_", 0)

    def fill_(self, value):
        """Set every element to `value`."""
        return self.fill("fill_", value)

    def copy_(self, source):
        """Take over the values of `source`, broadcast and converted to this tensor's dtype."""
        if not isinstance(source, Variable):
            source = from_numpy(np.asarray(source))
        source = source.to(self.dtype)
        return self.write("copy_", source if source.shape == self.shape else source.broadcast_to(self.shape))

    def uniform_(self, a=0.0, b=1.0, generator=None):
        """Fill with numbers drawn uniformly from [a, b)."""
        return self.fill("uniform_", draw(generator).uniform(a, b, self.shape))

    def normal_(self, mean=0.0, std=1.0, generator=None):
        """Fill with numbers drawn from the normal distribution of that mean and standard deviation."""
        return self.fill("normal_", draw(generator).normal(mean, std, self.shape))

    def __iadd__(self, other):
        return self.add_(other)

    def __isub__(self, other):
        return self.sub_(other)

    def __imul__(self, other):
        return self.mul_(other)

    def __itruediv__(self, other):
        return self.div_(other)
