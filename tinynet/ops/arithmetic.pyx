"""Elementwise arithmetic with broadcasting.

NumPy's ufuncs do the loops; an op adds where the result lies in memory and how the gradient goes back.  The result takes the
order of axes of its largest operand.  An operand that was broadcast receives the sum of the gradient over the axes along
which it was repeated (`unbroadcast`).  Overflow and division by zero give inf or nan, silently, as IEEE 754 has it: `quiet`
in the forwards, and the sweep around all backwards.
"""

from numpy cimport (
    PyArray_NDIM, PyArray_DIMS, PyArray_SIZE, PyArray_TYPE, import_array, ndarray, npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.checks cimport check_float, quiet, shape_of
from tinynet.ops.memory cimport new_array, new_like, new_like_as, outline, same_layout

import numpy as np

from tinynet.errors import ArgumentError, ShapeError

import_array()


cdef ndarray binary_output(str op, ndarray a, ndarray b, ndarray out):
    """An array for an elementwise function of a and b, which have the same dtype: `out` if it has the right shape."""
    cdef npy_intp[64] shape
    cdef npy_intp m, n
    cdef int na = PyArray_NDIM(a), nb = PyArray_NDIM(b), nd = max(na, nb), d
    if out is None and (nb == 0 or same_layout(a, b)):
        return new_like(a)
    if out is None and na == 0:
        return new_like(b)
    for d in range(nd):
        m = PyArray_DIMS(a)[d - nd + na] if d - nd + na >= 0 else 1
        n = PyArray_DIMS(b)[d - nd + nb] if d - nd + nb >= 0 else 1
        if m != n and m != 1 and n != 1:
            raise ShapeError(f"{op}: shapes {shape_of(a)} and {shape_of(b)} cannot be broadcast together "
                             f"(axis {d - nd}: {m} against {n})")
        shape[d] = n if m == 1 else m
    if out is not None and PyArray_NDIM(out) == nd and PyArray_TYPE(out) == PyArray_TYPE(a) and fills(out, shape):
        return out
    if na == nd and fills(a, shape) and not (nb == nd and fills(b, shape) and PyArray_SIZE(b) > PyArray_SIZE(a)):
        return new_like(a)
    if nb == nd and fills(b, shape):
        return new_like(b)
    return new_array(nd, shape, PyArray_TYPE(a))


cdef bint fills(ndarray x, npy_intp* shape) noexcept:
    """True if x, of as many axes as `shape`, has that shape."""
    cdef int d
    for d in range(PyArray_NDIM(x)):
        if PyArray_DIMS(x)[d] != shape[d]:
            return False
    return True


cdef ndarray unbroadcast(object gradient, ndarray x):
    """The gradient summed over the axes along which x (an outline will do) was repeated to reach its shape."""
    cdef ndarray g = np.asarray(gradient)      # NumPy makes scalars of arrays without axes
    cdef int extra = PyArray_NDIM(g) - PyArray_NDIM(x), d
    cdef list axes = list(range(extra))
    for d in range(PyArray_NDIM(x)):
        if PyArray_DIMS(x)[d] == 1 and PyArray_DIMS(g)[d + extra] != 1:
            axes.append(d + extra)
    if not axes:
        return g
    # Sums of float32 are taken in double: a bias can be the sum of a million terms.
    cdef ndarray s = np.asarray(np.add.reduce(g, axis=tuple(axes), dtype=np.float64, keepdims=True))
    cdef ndarray y = new_like(x)
    (<object>y)[...] = s.reshape(shape_of(x))
    return y


cdef ndarray scaled(ndarray gy, object factor):
    """gy * factor in a new array."""
    cdef ndarray y = new_like(gy)
    np.multiply(gy, factor, y)
    return y


cdef class Binary(Op):
    """y = f(a, b), elementwise with broadcasting.  Keeps the operands' outlines; what else is saved a subclass says."""

    cdef ndarray a                       # outlines: no memory
    cdef ndarray b

    cdef ndarray compute(self, object ufunc, tuple inputs, ndarray out):
        """ufunc(a, b), into `out` if that is given."""
        cdef ndarray a = inputs[0], b = inputs[1], y = binary_output(self.name, a, b, out)
        self.a, self.b = outline(a), outline(b)
        with quiet():
            ufunc(a, b, y)
        return y


cdef class Add(Binary):
    """y = a + b.  ga = gy, gb = gy.  Saves nothing but the operands' outlines."""

    cdef object forward(self, tuple inputs, ndarray out):
        return self.compute(np.add, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (unbroadcast(gy, self.a) if needs[0] else None, unbroadcast(gy, self.b) if needs[1] else None)


cdef class Sub(Binary):
    """y = a - b.  ga = gy, gb = -gy.  Saves nothing but the operands' outlines."""

    cdef object forward(self, tuple inputs, ndarray out):
        return self.compute(np.subtract, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (unbroadcast(gy, self.a) if needs[0] else None,
                unbroadcast(scaled(gy, gy.dtype.type(-1)), self.b) if needs[1] else None)


cdef class Mul(Binary):
    """y = a b.  ga = gy b, gb = gy a.  Saves the operand that the other's gradient needs."""

    cdef object forward(self, tuple inputs, ndarray out):
        self.save((inputs[0] if self.needs[1] else None, inputs[1] if self.needs[0] else None))
        return self.compute(np.multiply, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (unbroadcast(scaled(gy, self.saved[1]), self.a) if needs[0] else None,
                unbroadcast(scaled(gy, self.saved[0]), self.b) if needs[1] else None)


cdef class Div(Binary):
    """y = a / b.  ga = gy / b, gb = -gy a / b^2.  Saves b, and a if b's gradient is wanted."""

    cdef object forward(self, tuple inputs, ndarray out):
        check_float("div", "a", inputs[0])
        self.save((inputs[0] if self.needs[1] else None, inputs[1]))
        return self.compute(np.divide, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray a = self.saved[0], b = self.saved[1], ga = None, gb = None, g = new_like(gy)
        np.divide(gy, b, g)
        if needs[0]:
            ga = unbroadcast(g, self.a)
        if needs[1]:
            gb = unbroadcast(np.negative(g * a / b), self.b)
        return ga, gb


cdef class Pow(Op):
    """y = a^b.  ga = gy b a^(b-1), gb = gy y log(a) (0 where a = 0 and b >= 0).  Saves a, b and y."""

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray a = inputs[0], b = inputs[1]
        cdef ndarray y = binary_output("pow", a, b, out)
        try:
            with quiet():
                np.power(a, b, y)
        except ValueError as error:      # an integer to a negative power
            raise ArgumentError(f"pow: {error}") from None
        self.save((a, b, y if self.needs[1] else None))
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray a = self.saved[0], b = self.saved[1], ga = None, gb = None
        one = a.dtype.type(1)
        if needs[0]:
            # b = 0 gives 0 also at a = 0, where a^(b-1) is infinite
            ga = unbroadcast(np.where(b == 0, a.dtype.type(0), gy * (b * np.power(a, b - one))), a)
        if needs[1]:
            gb = unbroadcast(gy * np.where((a == 0) & (b >= 0), a.dtype.type(0), self.saved[2] * np.log(a)), b)
        return ga, gb


cdef class Neg(Op):
    """y = -x.  gx = -gy.  Saves nothing."""

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y = new_like(x) if out is None else out
        np.negative(x, y)
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (scaled(gy, gy.dtype.type(-1)),)


cdef ndarray unary(object ufunc, str op, ndarray x, ndarray out):
    """ufunc(x) for a float x, in x's order of axes."""
    check_float(op, "x", x)
    cdef ndarray y = new_like(x) if out is None else out
    with quiet():
        ufunc(x, y)
    return y


cdef class Exp(Op):
    """y = exp(x).  gx = gy y.  Saves y."""

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray y = unary(np.exp, "exp", inputs[0], out)
        self.save((y,))
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (scaled(gy, self.saved[0]),)


cdef class Log(Op):
    """y = log(x).  gx = gy / x.  Saves x."""

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray y = unary(np.log, "log", inputs[0], out)
        self.save(inputs)
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray gx = new_like(gy)
        np.divide(gy, self.saved[0], gx)
        return (gx,)


cdef class Sqrt(Op):
    """y = sqrt(x).  gx = gy / (2 y).  Saves y."""

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray y = unary(np.sqrt, "sqrt", inputs[0], out)
        self.save((y,))
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray gx = new_like(gy)
        np.divide(gy, self.saved[0] + self.saved[0], gx)
        return (gx,)


cdef class Abs(Op):
    """y = |x|.  gx = gy sign(x), 0 at 0.  Saves x."""

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y = new_like(x) if out is None else out
        np.absolute(x, y)
        self.save(inputs)
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (scaled(gy, np.sign(self.saved[0])),)


cdef class Clone(Op):
    """y = a copy of x, in its own order of axes or in C order.  gx = gy.  Saves nothing."""

    cdef str order

    def __init__(self, order="K"):
        self.order = order

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        y = new_array(PyArray_NDIM(x), PyArray_DIMS(x), PyArray_TYPE(x)) if self.order == "C" else new_like(x)
        (<object>y)[...] = x
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (gy,)


cdef class Cast(Op):
    """y = x in another float dtype.  gx = gy in x's dtype.  Saves nothing."""

    cdef object dtype
    cdef object source

    def __init__(self, dtype):
        self.dtype = dtype

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y = new_like_as(x, self.dtype.num)
        self.source = (<object>x).dtype
        with quiet():
            (<object>y)[...] = x
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray gx = new_like_as(gy, self.source.num)
        (<object>gx)[...] = gy
        return (gx,)
