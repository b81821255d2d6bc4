"""Functions of each element: signs, exponentials and logarithms, roots, sine and cosine, rounding.

NumPy's ufuncs do the loops.  Where a derivative is a function of the output, the output is what is saved.
"""

from numpy cimport NPY_BOOL, NPY_DOUBLE, NPY_FLOAT, PyArray_TYPE, import_array, ndarray

from tinynet._graph cimport Op
from tinynet.ops.arithmetic cimport negated, product, zeros
from tinynet.ops.checks cimport check_float, quiet
from tinynet.ops.memory cimport new_like, outline

import math

import numpy as np

from tinynet.errors import DTypeError

import_array()


cdef ndarray quotient(ndarray gy, object divisor):
    """gy / divisor in a new array."""
    cdef ndarray y = new_like(gy)
    np.divide(gy, divisor, y)
    return y


cdef class Unary(Op):
    """y = f(x), elementwise."""

    arguments = ("input",)

    cdef ndarray compute(self, object ufunc, tuple inputs, ndarray out):
        """ufunc(x) for a float x, in x's order of axes, into `out` if that is given."""
        cdef ndarray x = inputs[0], y
        if PyArray_TYPE(x) != NPY_FLOAT and PyArray_TYPE(x) != NPY_DOUBLE:
            check_float(self.name, "input", x)       # asked only now: the name costs as much as a small op
        y = new_like(x) if out is None else out
        with quiet():
            ufunc(x, y)
        return y


cdef class OfOutput(Unary):
    """A function whose slope is a function of y.  Saves y."""

    cdef object of(self, object ufunc, tuple inputs, ndarray out):
        cdef ndarray y = self.compute(ufunc, inputs, out)
        self.save((y,))
        return y


cdef class OfInput(Unary):
    """A function whose slope is a function of x.  Saves x."""

    cdef object of(self, object ufunc, tuple inputs, ndarray out):
        cdef ndarray y = self.compute(ufunc, inputs, out)
        self.save(inputs)
        return y


# ---- sign -------------------------------------------------------------------------------------------------------------

cdef class Neg(Unary):
    """y = -x.  gx = -gy.  Saves nothing.  Integers too."""

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        if PyArray_TYPE(x) == NPY_BOOL:
            raise DTypeError("neg: input must hold numbers; got bool")
        y = new_like(x) if out is None else out
        np.negative(x, y)
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (negated(gy),)


cdef class Abs(Unary):
    """y = |x|.  gx = gy sign(x), 0 at 0.  Saves x.  Integers too."""

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y = new_like(x) if out is None else out
        np.absolute(x, y)
        self.save(inputs)
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (product(gy, np.asarray(np.sign(self.saved[0]))),)


# ---- exponentials and logarithms --------------------------------------------------------------------------------------

cdef class Exp(OfOutput):
    """y = exp(x).  gx = gy y.  Saves y."""

    cdef object forward(self, tuple inputs, ndarray out):
        return self.of(np.exp, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (product(gy, self.saved[0]),)


cdef class Expm1(OfOutput):
    """y = exp(x) - 1, exact near 0.  gx = gy (y + 1).  Saves y."""

    cdef object forward(self, tuple inputs, ndarray out):
        return self.of(np.expm1, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (product(gy, np.asarray(self.saved[0] + 1)),)


cdef class Log(OfInput):
    """y = log(x).  gx = gy / x.  Saves x."""

    cdef object forward(self, tuple inputs, ndarray out):
        return self.of(np.log, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (quotient(gy, self.saved[0]),)


cdef class Log1p(OfInput):
    """y = log(1 + x), exact near 0.  gx = gy / (1 + x).  Saves x."""

    cdef object forward(self, tuple inputs, ndarray out):
        return self.of(np.log1p, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (quotient(gy, self.saved[0] + 1),)


# ---- powers and roots -------------------------------------------------------------------------------------------------

cdef class Square(Unary):
    """y = x^2.  gx = 2 gy x.  Saves x.  Integers too."""

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y = new_like(x) if out is None else out
        with quiet():
            np.multiply(x, x, y)
        self.save(inputs)
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray x = self.saved[0]
        return (product(gy, np.asarray(x + x)),)


cdef class Sqrt(OfOutput):
    """y = sqrt(x).  gx = gy / (2 y).  Saves y."""

    cdef object forward(self, tuple inputs, ndarray out):
        return self.of(np.sqrt, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (quotient(gy, self.saved[0] + self.saved[0]),)


def reciprocal_sqrt(x, y):
    """y = 1 / sqrt(x), as a ufunc is called."""
    np.reciprocal(np.sqrt(x, y), y)


cdef class Rsqrt(OfOutput):
    """y = 1 / sqrt(x).  gx = -gy y^3 / 2.  Saves y."""

    cdef object forward(self, tuple inputs, ndarray out):
        return self.of(reciprocal_sqrt, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        y = self.saved[0]
        return (product(gy, np.asarray(y * y * y * -0.5)),)


cdef class Reciprocal(OfOutput):
    """y = 1 / x.  gx = -gy y^2.  Saves y."""

    cdef object forward(self, tuple inputs, ndarray out):
        return self.of(np.reciprocal, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        y = self.saved[0]
        return (negated(product(gy, np.asarray(y * y))),)


# ---- sine, cosine, error function -------------------------------------------------------------------------------------

cdef class Sin(OfInput):
    """y = sin(x).  gx = gy cos(x).  Saves x."""

    cdef object forward(self, tuple inputs, ndarray out):
        return self.of(np.sin, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (product(gy, np.asarray(np.cos(self.saved[0]))),)


cdef class Cos(OfInput):
    """y = cos(x).  gx = -gy sin(x).  Saves x."""

    cdef object forward(self, tuple inputs, ndarray out):
        return self.of(np.cos, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (negated(product(gy, np.asarray(np.sin(self.saved[0])))),)


cdef class Erf(OfInput):
    """y = 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.  gx = gy 2 / sqrt(pi) exp(-x^2).  Saves x."""

    cdef object forward(self, tuple inputs, ndarray out):
        from scipy.special import erf    # importing it takes longer than importing all of tinynet

        return self.of(erf, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        x = self.saved[0]
        return (product(gy, np.asarray(np.exp(np.negative(x * x)) * (2.0 / math.sqrt(math.pi)))),)


# ---- steps ------------------------------------------------------------------------------------------------------------

cdef class Step(Unary):
    """A function that is constant between jumps: gx = 0.  Saves nothing but x's outline.  Integers too."""

    cdef object ufunc
    cdef ndarray x                       # an outline: no memory

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        if PyArray_TYPE(x) == NPY_BOOL or self.ufunc is None:
            raise DTypeError(f"{self.name}: input must hold numbers; got {(<object>x).dtype}")
        y = new_like(x) if out is None else out
        self.x = outline(x)
        if (<object>x).dtype.kind == "f" or self.ufunc is np.sign:
            self.ufunc(x, y)
        else:
            (<object>y)[...] = x         # whole numbers already
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (zeros(self.x),)


cdef class Sign(Step):
    """y = -1, 0 or 1 as x is negative, 0 or positive; NaN stays NaN.  gx = 0."""

    def __cinit__(self):
        self.ufunc = np.sign


cdef class Floor(Step):
    """y = the largest whole number that is not above x.  gx = 0."""

    def __cinit__(self):
        self.ufunc = np.floor


cdef class Ceil(Step):
    """y = the smallest whole number that is not below x.  gx = 0."""

    def __cinit__(self):
        self.ufunc = np.ceil


cdef class Round(Step):
    """y = the nearest whole number, of two equally near the even one.  gx = 0."""

    def __cinit__(self):
        self.ufunc = np.rint


cdef class Trunc(Step):
    """y = x without its fraction.  gx = 0."""

    def __cinit__(self):
        self.ufunc = np.trunc
