"""Arithmetic of two operands, with broadcasting: + - * /, division that rounds, remainder, power; copies and casts.

The result takes the order of axes of its largest operand; of two images of which one has its channels last, of that one.  An
operand that was broadcast receives the sum of the gradient over the axes along which it was repeated (`unbroadcast`).

float32 + - * / run the C kernels over pieces of 8192 elements (`walk.combine`), forwards and backwards, an operand that lies
across the result after it has been copied; the rest is NumPy's.  Both round as IEEE 754 has it, subnormal numbers included,
so an element has the same bits in any layout.  Overflow and division by zero give inf or nan, silently: C says nothing, and
NumPy is kept `quiet`.
"""

from numpy cimport (
    NPY_FLOAT, PyArray_DATA, PyArray_DIMS, PyArray_NDIM, PyArray_SAMESHAPE, PyArray_SIZE, PyArray_TYPE, import_array, ndarray,
    npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.checks cimport check_float, quiet, shape_of
from tinynet.ops.kernels cimport K
from tinynet.ops.layout cimport Map, is_channels_last, new_nhwc
from tinynet.ops.memory cimport new_array, new_like, new_like_as, new_shaped, outline, same_layout
from tinynet.ops.pending cimport Pending, computed, with_addend
from tinynet.ops.sums cimport totals
from tinynet.ops.walk cimport Walk, assign, combine, combine_t, plan

import numpy as np

from tinynet.errors import ArgumentError, ShapeError

import_array()


# ---- y = f(a, b) ------------------------------------------------------------------------------------------------------

cdef ndarray binary_output(Op op, ndarray a, ndarray b, ndarray out):
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
            raise ShapeError(f"{op.name}: shapes {shape_of(a)} and {shape_of(b)} cannot be broadcast together "
                             f"(axis {d - nd}: {m} against {n})")
        shape[d] = n if m == 1 else m
    if out is not None and PyArray_NDIM(out) == nd and PyArray_TYPE(out) == PyArray_TYPE(a) and fills(out, shape):
        return out
    if na == nd and fills(a, shape) and not prefers(b, a):
        return new_like(a)
    if nb == nd and fills(b, shape):
        return new_like(b)
    return new_array(nd, shape, PyArray_TYPE(a))


cdef bint prefers(ndarray b, ndarray a) noexcept:
    """Whether of two operands of one shape the second gives the result its layout: an image with its channels last."""
    return is_channels_last(b) and not is_channels_last(a) and PyArray_SAMESHAPE(a, b)


cdef bint fills(ndarray x, npy_intp* shape) noexcept:
    """True if x, of as many axes as `shape`, has that shape."""
    cdef int d
    for d in range(PyArray_NDIM(x)):
        if PyArray_DIMS(x)[d] != shape[d]:
            return False
    return True


cdef ndarray beside(ndarray x, ndarray y):
    """x, or a copy that runs along y's memory: float32 of more than one element whose axes lie in another order than y's."""
    cdef Walk w
    cdef ndarray z
    if PyArray_TYPE(x) != NPY_FLOAT or (plan(&w, y, x, None) and w.inner[1] in (0, 1)):
        return x
    shape = (1,) * (PyArray_NDIM(y) - PyArray_NDIM(x)) + shape_of(x)
    z = new_shaped(y, list(shape))
    assign(z, x)
    return z


cdef int compute_into(combine_t f, object ufunc, ndarray y, ndarray a, ndarray b) except -1:
    """y = f(a, b): by the kernel (NULL: there is none) where dtypes allow it, else by the ufunc."""
    if f == NULL or PyArray_TYPE(y) != NPY_FLOAT or not (
            combine(f, y, a, b) or combine(f, y, beside(a, y), beside(b, y))):
        with quiet():
            ufunc(a, b, y)
    return 0


cdef ndarray combined(combine_t f, object ufunc, ndarray a, ndarray b):
    """f(a, b) in a new array, where b has a's shape or can be broadcast to it."""
    cdef ndarray y = new_like(b if prefers(b, a) else a)
    compute_into(f, ufunc, y, a, b)
    return y


cdef ndarray product(ndarray a, ndarray b):
    """a * b in a new array, where b has a's shape or can be broadcast to it."""
    return combined(K.mul_f32, np.multiply, a, b)


cdef ndarray unbroadcast(object gradient, ndarray x):
    """The gradient summed over the axes along which x (an outline will do) was repeated to reach its shape."""
    # NumPy makes scalars of arrays without axes
    cdef ndarray g = <ndarray>gradient if isinstance(gradient, ndarray) else np.asarray(gradient)
    cdef int extra = PyArray_NDIM(g) - PyArray_NDIM(x), d
    cdef list axes = None
    if extra:
        axes = list(range(extra))
    for d in range(PyArray_NDIM(x)):
        if PyArray_DIMS(x)[d] == 1 and PyArray_DIMS(g)[d + extra] != 1:
            if axes is None:
                axes = []
            axes.append(d + extra)
    if axes is None:
        return g
    cdef ndarray y = new_like(x)         # summed in double: a bias can be the sum of a million terms
    (<object>y)[...] = totals(g, tuple(axes), None).reshape(shape_of(x))
    return y


cdef ndarray scaled(ndarray x, double factor):
    """x times a number in a new array."""
    cdef ndarray y = new_like(x)
    cdef Py_ssize_t i
    cdef float f = <float>factor
    if PyArray_TYPE(x) == NPY_FLOAT and PyArray_SIZE(x) <= 16 and same_layout(x, y):
        for i in range(PyArray_SIZE(x)):     # the gradient of a loss, as a rule: a ufunc would take ten times as long
            (<float*>PyArray_DATA(y))[i] = (<const float*>PyArray_DATA(x))[i] * f
    else:
        np.multiply(x, factor, y)
    return y


cdef ndarray negated(ndarray x):
    """-x in a new array."""
    cdef ndarray y = new_like(x)
    np.negative(x, y)
    return y


cdef ndarray zeros(ndarray pattern):
    """Zeros in the shape, dtype and order of axes of an array (an outline will do)."""
    cdef ndarray y = new_like(pattern)
    (<object>y).fill(0)
    return y


cdef class Binary(Op):
    """y = f(a, b), elementwise with broadcasting.  Keeps the operands' outlines; what else is saved a subclass says."""

    cdef ndarray a                       # outlines: no memory
    cdef ndarray b

    arguments = ("input", "other")

    cdef int outlines(self, tuple inputs) except -1:
        """Keep the operands' shapes and layouts, if there will be a backward."""
        if self.needs[0] or self.needs[1]:
            self.a, self.b = outline(inputs[0]), outline(inputs[1])
        return 0

    cdef ndarray compute(self, combine_t f, object ufunc, tuple inputs, ndarray out):
        """The kernel f (or NULL) or ufunc of the inputs, into `out` if that is given."""
        cdef ndarray a = inputs[0], b = inputs[1], y = binary_output(self, a, b, out)
        self.outlines(inputs)
        compute_into(f, ufunc, y, a, b)
        return y


# ---- + - * / ----------------------------------------------------------------------------------------------------------

cdef class Add(Binary):
    """y = a + b.  ga = gy, gb = gy.  Saves nothing but the operands' outlines.

    An image added to a batch normalisation that is not computed yet joins its recipe (ops/pending.pyx).
    """

    def __cinit__(self):
        self.takes_pending = True

    cdef object forward(self, tuple inputs, ndarray out):
        cdef Pending p = None, y
        if isinstance(inputs[0], Pending) or isinstance(inputs[1], Pending):
            at = 0 if isinstance(inputs[0], Pending) else 1          # of two the first waits, if it may
            p = inputs[at]
            x = inputs[1 - at]
            x = computed(<Pending>x) if isinstance(x, Pending) else x
            y = with_addend(p, <ndarray>x) if out is None else None
            if y is not None:
                self.outlines((p.like, p.like))
                return y
            inputs = (computed(p), x) if at == 0 else (x, computed(p))
        return self.compute(K.add_f32, np.add, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (unbroadcast(gy, self.a) if needs[0] else None, unbroadcast(gy, self.b) if needs[1] else None)


cdef class Sub(Binary):
    """y = a - b.  ga = gy, gb = -gy.  Saves nothing but the operands' outlines."""

    cdef object forward(self, tuple inputs, ndarray out):
        return self.compute(K.sub_f32, np.subtract, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (unbroadcast(gy, self.a) if needs[0] else None,
                unbroadcast(negated(gy), self.b) if needs[1] else None)


cdef class Mul(Binary):
    """y = a b.  ga = gy b, gb = gy a.  Saves the operand that the other's gradient needs."""

    cdef object forward(self, tuple inputs, ndarray out):
        self.save((inputs[0] if self.needs[1] else None, inputs[1] if self.needs[0] else None))
        return self.compute(K.mul_f32, np.multiply, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (unbroadcast(product(gy, self.saved[1]), self.a) if needs[0] else None,
                unbroadcast(product(gy, self.saved[0]), self.b) if needs[1] else None)


cdef class Div(Binary):
    """y = a / b.  ga = gy / b, gb = -gy a / b^2.  Saves b, and a if b's gradient is wanted."""

    cdef object forward(self, tuple inputs, ndarray out):
        check_float("div", "input", inputs[0])
        self.save((inputs[0] if self.needs[1] else None, inputs[1]))
        return self.compute(K.div_f32, np.divide, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray b = self.saved[1], ga = None, gb = None, g = combined(K.div_f32, np.divide, gy, b)
        if needs[0]:
            ga = unbroadcast(g, self.a)
        if needs[1]:
            g = product(g, self.saved[0])
            gb = unbroadcast(negated(combined(K.div_f32, np.divide, g, b)), self.b)
        return ga, gb


# ---- division that rounds ---------------------------------------------------------------------------------------------

cdef int check_divisor(Op op, ndarray b) except -1:
    """An integer divided by 0 has no value that could stand for it."""
    if (<object>b).dtype.kind != "f" and not (<object>b).all():
        raise ArgumentError(f"{op.name}: other must not hold 0 for integers")
    return 0


cdef class FloorDivide(Binary):
    """y = floor(a / b).  ga = 0, gb = 0: steps have no slope.  Saves nothing but the operands' outlines."""

    @property
    def name(self):
        return "floor_divide"

    cdef object forward(self, tuple inputs, ndarray out):
        check_divisor(self, inputs[1])
        return self.compute(NULL, np.floor_divide, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return zeros(self.a) if needs[0] else None, zeros(self.b) if needs[1] else None


cdef class TruncDivide(Binary):
    """y = a / b, rounded towards 0.  ga = 0, gb = 0.  Saves nothing but the operands' outlines."""

    @property
    def name(self):
        return "div"

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray a = inputs[0], b = inputs[1], y = binary_output(self, a, b, out)
        self.outlines(inputs)
        check_divisor(self, b)
        with quiet():
            if (<object>a).dtype.kind == "f":
                np.divide(a, b, y)
                np.trunc(y, y)
            else:
                np.floor_divide(np.subtract(a, np.fmod(a, b)), b, y)     # exact, also beyond 2^53
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return zeros(self.a) if needs[0] else None, zeros(self.b) if needs[1] else None


def division(op, rounding_mode):
    """The op that divides and rounds in this way; `op` is who asks."""
    if rounding_mode is None:
        return Div
    if rounding_mode == "floor":
        return FloorDivide
    if rounding_mode == "trunc":
        return TruncDivide
    raise ArgumentError(f"{op}: rounding_mode must be None, 'floor' or 'trunc'; got {rounding_mode!r}")


cdef class Remainder(Binary):
    """y = a - b floor(a / b), of the sign of b.  ga = gy, gb = -gy floor(a / b).  Saves a and b if b's gradient is wanted."""

    cdef object forward(self, tuple inputs, ndarray out):
        check_divisor(self, inputs[1])
        if self.needs[1]:
            self.save(inputs)
        return self.compute(NULL, np.remainder, inputs, out)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray gb = None
        if needs[1]:
            gb = unbroadcast(negated(gy * np.floor_divide(self.saved[0], self.saved[1])), self.b)
        return unbroadcast(gy, self.a) if needs[0] else None, gb


# ---- power ------------------------------------------------------------------------------------------------------------

cdef int power(ndarray a, ndarray b, ndarray y) except -1:
    """y = a^b.  A whole number up to 3 as the only exponent is a matter of products: 50 times as fast."""
    exponent = (<object>b).item() if PyArray_NDIM(b) == 0 else None
    if exponent == 1:
        (<object>y)[...] = a
    elif exponent == 2:
        np.multiply(a, a, y)
    elif exponent == 3:
        np.multiply(np.multiply(a, a), a, y)
    else:
        np.power(a, b, y)
    return 0


cdef class Pow(Binary):
    """y = a^b.  ga = gy b a^(b-1) (0 where b = 0), gb = gy y log(a) (0 where a = 0 and b >= 0).

    Saves a and b, and y if b's gradient is wanted.
    """

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray a = inputs[0], b = inputs[1], y = binary_output(self, a, b, out)
        try:
            with quiet():
                power(a, b, y)
        except ValueError as error:      # an integer to a negative power
            raise ArgumentError(f"pow: {error}") from None
        self.save((a, b, y if self.needs[1] else None))
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray a = self.saved[0], b = self.saved[1], ga = None, gb = None, slope
        if needs[0]:
            slope = new_like(gy)
            power(a, np.asarray(b - b.dtype.type(1)), slope)
            np.multiply(np.multiply(b, slope, slope), gy, slope)
            if not (<object>b).all():
                np.copyto(slope, 0, where=b == 0)        # a^-1 may be infinite there
            ga = unbroadcast(slope, a)
        if needs[1]:
            gb = unbroadcast(gy * np.where((a == 0) & (b >= 0), a.dtype.type(0), self.saved[2] * np.log(a)), b)
        return ga, gb


# ---- copies -----------------------------------------------------------------------------------------------------------

cdef class Clone(Op):
    """y = a copy of x, in its own order of axes (K), in C order or with the channels of images last (NHWC).  gx = gy.  Saves
    nothing."""

    cdef str order

    def __init__(self, order="K"):
        self.order = order

    cdef object forward(self, tuple inputs, ndarray out):
        cdef Map m
        cdef ndarray x = inputs[0], y
        cdef npy_intp* n = PyArray_DIMS(x)
        if self.order == "NHWC":
            y = new_nhwc(n[0], n[1], n[2], n[3], PyArray_TYPE(x), &m)
        else:
            y = new_array(PyArray_NDIM(x), n, PyArray_TYPE(x)) if self.order == "C" else new_like(x)
        assign(y, x)
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
