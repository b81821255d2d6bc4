"""Operators: what one can do with a variable element by element - arithmetic, comparisons, functions.

Each method makes an instance of an op and runs it; how an op is run and recorded stands in _variable.pyx, what operands may be
in _operands.pyx, and what changes a variable in place in its base `InPlace`.  The functions of tinynet.elementwise have the
same names, and their documentation is the longer one.
"""

from numpy cimport import_array

from tinynet._inplace cimport InPlace
from tinynet._operands cimport accepted, binary, bitwise, choice, close, common, compare, plain, times
from tinynet._variable cimport Variable, run, values

import numpy as np

from tinynet._check import refuse
from tinynet.errors import DTypeError, ShapeError
from tinynet.ops import pointwise, selection
from tinynet.ops.activation import ReLU, Sigmoid, Tanh
from tinynet.ops.arithmetic import Add, Div, FloorDivide, Mul, Pow, Remainder, Sub, division

import_array()


cdef class Operators(InPlace):
    """The part of `Tensor` that works element by element."""

    # -- operators --

    def __add__(self, other):
        return binary(Add, "add", self, other)

    def __radd__(self, other):
        return binary(Add, "add", other, self)

    def __sub__(self, other):
        return binary(Sub, "sub", self, other)

    def __rsub__(self, other):
        return binary(Sub, "sub", other, self)

    def __mul__(self, other):
        return binary(Mul, "mul", self, other)

    def __rmul__(self, other):
        return binary(Mul, "mul", other, self)

    def __truediv__(self, other):
        return binary(Div, "div", self, other)

    def __rtruediv__(self, other):
        return binary(Div, "div", other, self)

    def __floordiv__(self, other):
        return binary(FloorDivide, "floor_divide", self, other)

    def __rfloordiv__(self, other):
        return binary(FloorDivide, "floor_divide", other, self)

    def __mod__(self, other):
        return binary(Remainder, "remainder", self, other)

    def __rmod__(self, other):
        return binary(Remainder, "remainder", other, self)

    def __pow__(self, other, modulo):
        if modulo is not None:
            return NotImplemented
        return binary(Pow, "pow", self, other)

    def __rpow__(self, other, modulo):
        return binary(Pow, "pow", other, self)

    def __neg__(self):
        return run(pointwise.Neg(), (self,))

    def __pos__(self):
        return self

    def __abs__(self):
        return run(pointwise.Abs(), (self,))

    def __and__(self, other):
        return bitwise(np.bitwise_and, "bitwise_and", self, other)

    def __rand__(self, other):
        return bitwise(np.bitwise_and, "bitwise_and", self, other)

    def __or__(self, other):
        return bitwise(np.bitwise_or, "bitwise_or", self, other)

    def __ror__(self, other):
        return bitwise(np.bitwise_or, "bitwise_or", self, other)

    def __xor__(self, other):
        return bitwise(np.bitwise_xor, "bitwise_xor", self, other)

    def __rxor__(self, other):
        return bitwise(np.bitwise_xor, "bitwise_xor", self, other)

    def __invert__(self):
        if self.dtype.kind == "f":
            raise DTypeError(f"bitwise_not: input must be bool or integers; got {self.dtype}")
        return plain(np.invert(values(self)))

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

    # -- arithmetic --

    def add(self, other, *, alpha=1):
        """self + alpha * other"""
        return accepted(binary(Add, "add", self, times("add", self, other, alpha)), "add", other)

    def sub(self, other, *, alpha=1):
        """self - alpha * other"""
        return accepted(binary(Sub, "sub", self, times("sub", self, other, alpha)), "sub", other)

    def mul(self, other):
        """self * other"""
        return accepted(binary(Mul, "mul", self, other), "mul", other)

    def div(self, other, *, rounding_mode=None):
        """self / other; rounded down with ``rounding_mode="floor"``, towards 0 with ``"trunc"``: no slope then."""
        return accepted(binary(division("div", rounding_mode), "div", self, other), "div", other)

    def floor_divide(self, other):
        """self // other: the quotient rounded down, without slope."""
        return accepted(binary(FloorDivide, "floor_divide", self, other), "floor_divide", other)

    def remainder(self, other):
        """self % other: self - other * floor(self / other), of the sign of `other`."""
        return accepted(binary(Remainder, "remainder", self, other), "remainder", other)

    def pow(self, exponent):
        """Each element to the power of `exponent`."""
        return accepted(binary(Pow, "pow", self, exponent), "pow", exponent)

    def lerp(self, end, weight):
        """self + weight * (end - self)"""
        if not isinstance(end, Variable):
            raise DTypeError(f"lerp: end must be a Tensor; got {type(end).__name__}")
        if self.dtype.kind != "f":
            raise DTypeError(f"lerp: input must be float32 or float64; got {self.dtype}")
        return self + weight * (end - self)

    def addcmul(self, tensor1, tensor2, *, value=1):
        """self + value * tensor1 * tensor2"""
        return self.add(tensor1 * tensor2, alpha=value)

    # -- functions --

    def neg(self):
        """Each element with the other sign."""
        return run(pointwise.Neg(), (self,))

    def abs(self):
        """The absolute value of each element; slope 0 at 0."""
        return run(pointwise.Abs(), (self,))

    def exp(self):
        """e to the power of each element."""
        return run(pointwise.Exp(), (self,))

    def expm1(self):
        """exp(x) - 1 of each element, exact near 0."""
        return run(pointwise.Expm1(), (self,))

    def log(self):
        """The natural logarithm of each element."""
        return run(pointwise.Log(), (self,))

    def log1p(self):
        """log(1 + x) of each element, exact near 0."""
        return run(pointwise.Log1p(), (self,))

    def square(self):
        """Each element times itself."""
        return run(pointwise.Square(), (self,))

    def sqrt(self):
        """The square root of each element."""
        return run(pointwise.Sqrt(), (self,))

    def rsqrt(self):
        """1 / sqrt(x) of each element."""
        return run(pointwise.Rsqrt(), (self,))

    def reciprocal(self):
        """1 / x of each element."""
        return run(pointwise.Reciprocal(), (self,))

    def sin(self):
        """The sine of each element."""
        return run(pointwise.Sin(), (self,))

    def cos(self):
        """The cosine of each element."""
        return run(pointwise.Cos(), (self,))

    def erf(self):
        """The error function of each element."""
        return run(pointwise.Erf(), (self,))

    def sign(self):
        """-1, 0 or 1 as each element is negative, 0 or positive; without slope."""
        return run(pointwise.Sign(), (self,))

    def floor(self):
        """The largest whole number that is not above each element; without slope."""
        return run(pointwise.Floor(), (self,))

    def ceil(self):
        """The smallest whole number that is not below each element; without slope."""
        return run(pointwise.Ceil(), (self,))

    def round(self, *, decimals=0):
        """The nearest whole number, of two the even one; without slope.  `decimals` must be 0."""
        refuse("round", decimals=(decimals, (0,)))
        return run(pointwise.Round(), (self,))

    def trunc(self):
        """Each element without its fraction; without slope."""
        return run(pointwise.Trunc(), (self,))

    def sigmoid(self):
        """1 / (1 + exp(-x)) of each element."""
        return run(Sigmoid(), (self,))

    def tanh(self):
        """The hyperbolic tangent of each element."""
        return run(Tanh(), (self,))

    def relu(self):
        """max(x, 0) of each element."""
        return run(ReLU(), (self,))

    # -- choosing --

    def maximum(self, other):
        """The larger of two elements; equal ones share the gradient, NaN passes."""
        return choice(selection.Maximum, "maximum", self, other)

    def minimum(self, other):
        """The smaller of two elements; equal ones share the gradient, NaN passes."""
        return choice(selection.Minimum, "minimum", self, other)

    def where(self, condition, other):
        """self where `condition` is true, else `other`."""
        x, y = common("where", self, other)
        return accepted(x if x is NotImplemented else run(selection.Where(), (condition, x, y)), "where", other)

    def clamp(self, min=None, max=None):
        """Each element brought into [min, max]; numbers or tensors, either may be None."""
        x, low, high = self, min, max
        if min is not None:
            x, low = common("clamp", x, min)
        if max is not None and x is not NotImplemented:
            x, high = common("clamp", x, max)
            if min is not None and x is not NotImplemented:
                low = (<Variable>low).to(x.dtype)
        if x is NotImplemented:
            raise DTypeError("clamp: min and max must be Tensors or numbers; "
                             f"got {type(min).__name__} and {type(max).__name__}")
        return run(selection.Clamp(), (x, low, high))

    def clip(self, min=None, max=None):
        """The same as `clamp`."""
        return self.clamp(min, max)

    def masked_fill(self, mask, value):
        """`value` (a number or a tensor without axes) where `mask` is true, else self."""
        if isinstance(value, Variable) and value.ndim:
            raise ShapeError(f"masked_fill: value must be a number or a tensor without axes; got shape {value.shape}")
        x, y = common("masked_fill", self, value)
        if x is NotImplemented or x.dtype != self.dtype:
            raise DTypeError(f"masked_fill: value must be a number that fits {self.dtype}; got {value!r}")
        return run(selection.Where(), (mask, y, x))

    # -- comparison --

    def eq(self, other):
        """Whether self == other, bool."""
        return accepted(compare(np.equal, "eq", self, other), "eq", other)

    def ne(self, other):
        """Whether self != other, bool."""
        return accepted(compare(np.not_equal, "ne", self, other), "ne", other)

    def lt(self, other):
        """Whether self < other, bool."""
        return accepted(compare(np.less, "lt", self, other), "lt", other)

    def le(self, other):
        """Whether self <= other, bool."""
        return accepted(compare(np.less_equal, "le", self, other), "le", other)

    def gt(self, other):
        """Whether self > other, bool."""
        return accepted(compare(np.greater, "gt", self, other), "gt", other)

    def ge(self, other):
        """Whether self >= other, bool."""
        return accepted(compare(np.greater_equal, "ge", self, other), "ge", other)

    def logical_and(self, other):
        """Whether both are true (not 0)."""
        return accepted(compare(np.logical_and, "logical_and", self, other), "logical_and", other)

    def logical_or(self, other):
        """Whether one at least is true (not 0)."""
        return accepted(compare(np.logical_or, "logical_or", self, other), "logical_or", other)

    def logical_xor(self, other):
        """Whether just one is true (not 0)."""
        return accepted(compare(np.logical_xor, "logical_xor", self, other), "logical_xor", other)

    def logical_not(self):
        """Whether each element is false (0)."""
        return plain(np.logical_not(values(self)))

    def bitwise_and(self, other):
        """The bits (or truth values) that are set in both."""
        return accepted(bitwise(np.bitwise_and, "bitwise_and", self, other), "bitwise_and", other)

    def bitwise_or(self, other):
        """The bits (or truth values) that are set in one at least."""
        return accepted(bitwise(np.bitwise_or, "bitwise_or", self, other), "bitwise_or", other)

    def bitwise_xor(self, other):
        """The bits (or truth values) that are set in just one."""
        return accepted(bitwise(np.bitwise_xor, "bitwise_xor", self, other), "bitwise_xor", other)

    def bitwise_not(self):
        """The other bits (or truth values)."""
        return ~self

    def isnan(self):
        """Whether each element is NaN."""
        return plain(np.isnan(values(self)))

    def isinf(self):
        """Whether each element is inf or -inf."""
        return plain(np.isinf(values(self)))

    def isfinite(self):
        """Whether each element is neither inf nor NaN."""
        return plain(np.isfinite(values(self)))

    def isclose(self, other, rtol=1e-05, atol=1e-08, equal_nan=False):
        """Whether |self - other| <= atol + rtol * |other|, or both are the same infinity."""
        return plain(close("isclose", self, other, rtol, atol, equal_nan))

    def allclose(self, other, rtol=1e-05, atol=1e-08, equal_nan=False):
        """Whether `isclose` is true of all elements."""
        return bool(close("allclose", self, other, rtol, atol, equal_nan).all())

    def equal(self, other):
        """Whether shapes and all elements are equal; NaN is not."""
        if not isinstance(other, Variable):
            raise DTypeError(f"equal: other must be a Tensor; got {type(other).__name__}")
        x, y = common("equal", self, other)
        return np.array_equal(values(<Variable>x), values(<Variable>y))
