"""Arithmetic of two operands, with broadcasting: + - * /, division that rounds, remainder, power; copies and casts.

The result takes the order of axes of its largest operand.  An operand that was broadcast receives the sum of the gradient
over the axes along which it was repeated (`unbroadcast`).

float32 + - * / of two arrays of one layout, or of an array and one number or one row, runs the C kernels over pieces of 8192
elements (`combined`), forwards and backwards; the rest is NumPy's.  Both round as IEEE 754 has it, subnormal numbers included,
so an element has the same bits in any layout.  Overflow and division by zero give inf or nan, silently: C says nothing, NumPy
is kept `quiet` in the forwards, and the sweep is quiet around all backwards.
"""

from cython.parallel cimport prange
from numpy cimport (
    NPY_FLOAT, PyArray_DATA, PyArray_DIMS, PyArray_ISCARRAY_RO, PyArray_NDIM, PyArray_SIZE, PyArray_TYPE,
    import_array, ndarray, npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.checks cimport check_float, quiet, shape_of
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport is_dense, new_array, new_like, new_like_as, outline, same_layout
from tinynet.ops.threads cimport PIECE, team

import numpy as np

from tinynet.errors import ArgumentError, ShapeError

import_array()

ctypedef void (*combine_t)(float* y, const float* a, const float* b, Py_ssize_t n, int da, int db) noexcept nogil


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


cdef int step(ndarray x, ndarray y) noexcept:
    """From one element of x to the next as one goes through y's memory: 1, 0 for a single number, -1 if it is not so simple.

    An x that shares some of y's memory, but is not y, is not simple either: it would be overwritten before it is read.
    """
    cdef Py_ssize_t n = PyArray_SIZE(x)
    cdef const float* px = <const float*>PyArray_DATA(x)
    cdef const float* py = <const float*>PyArray_DATA(y)
    if n != 1 and not same_layout(x, y):
        return -1
    if px < py + PyArray_SIZE(y) and py < px + n and (px != py or n != PyArray_SIZE(y)):
        return -1
    return 0 if n == 1 else 1


cdef bint repeats(ndarray x, ndarray y) noexcept:
    """Whether x, apart from y in memory, is one row of at least 8 elements that meets every row of y; both in C order."""
    cdef int extra = PyArray_NDIM(y) - PyArray_NDIM(x), d, first = 0
    cdef const float* px = <const float*>PyArray_DATA(x)
    cdef const float* py = <const float*>PyArray_DATA(y)
    if extra < 0 or PyArray_SIZE(x) < 8 or not PyArray_ISCARRAY_RO(x) or not PyArray_ISCARRAY_RO(y):
        return False
    while PyArray_DIMS(x)[first] == 1:
        first += 1
    for d in range(first, PyArray_NDIM(x)):
        if PyArray_DIMS(x)[d] != PyArray_DIMS(y)[d + extra]:
            return False
    return px + PyArray_SIZE(x) <= py or py + PyArray_SIZE(y) <= px


cdef void rows_piece(combine_t f, float* y, const float* a, const float* b, Py_ssize_t rows, Py_ssize_t c, bint repeat_a,
                     bint repeat_b, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    """y = f(a, b) in `step` rows of c elements; one of a and b is a single row."""
    cdef Py_ssize_t k
    for k in range(i * step, min((i + 1) * step, rows)):
        f(y + k * c, a if repeat_a else a + k * c, b if repeat_b else b + k * c, c, 1, 1)


cdef void combine_rows(combine_t f, ndarray y, ndarray a, ndarray b, bint repeat_a) noexcept:
    """y = f(a, b) where a (or b) is one row that meets every row of y."""
    cdef float* py = <float*>PyArray_DATA(y)
    cdef const float* pa = <const float*>PyArray_DATA(a)
    cdef const float* pb = <const float*>PyArray_DATA(b)
    cdef Py_ssize_t c = PyArray_SIZE(a) if repeat_a else PyArray_SIZE(b), rows = PyArray_SIZE(y) // c, i
    cdef Py_ssize_t step = max(PIECE // c, 1), pieces = (rows + step - 1) // step
    cdef int threads = team(<double>rows * c * 10, pieces)
    if threads == 1:
        with nogil:
            for i in range(pieces):
                rows_piece(f, py, pa, pb, rows, c, repeat_a, not repeat_a, step, i)
    else:
        for i in prange(pieces, nogil=True, schedule="static", num_threads=threads):
            rows_piece(f, py, pa, pb, rows, c, repeat_a, not repeat_a, step, i)


cdef bint combine(combine_t f, ndarray y, ndarray a, ndarray b) noexcept:
    """y = f(a, b) by a kernel: False, and nothing done, where dtype or layout do not allow it."""
    cdef float* py = <float*>PyArray_DATA(y)
    cdef const float* pa = <const float*>PyArray_DATA(a)
    cdef const float* pb = <const float*>PyArray_DATA(b)
    cdef Py_ssize_t n = PyArray_SIZE(y), pieces = (n + PIECE - 1) // PIECE, i
    cdef int da, db, threads
    if PyArray_TYPE(y) != NPY_FLOAT or PyArray_TYPE(a) != NPY_FLOAT or PyArray_TYPE(b) != NPY_FLOAT or not is_dense(y):
        return False
    da, db = step(a, y), step(b, y)
    if (da == 1 and db < 0 and repeats(b, y)) or (db == 1 and da < 0 and repeats(a, y)):
        combine_rows(f, y, a, b, da < 0)
        return True
    if da < 0 or db < 0 or (da == 0 and db == 0 and n != 1):
        return False
    if da == 0 and db == 0:
        da = db = 1
    if n <= PIECE:
        f(py, pa, pb, n, da, db)
        return True
    threads = team(<double>n * 10, pieces)
    if threads == 1:
        with nogil:
            for i in range(pieces):
                f(py + i * PIECE, pa + i * PIECE * da, pb + i * PIECE * db, min(PIECE, n - i * PIECE), da, db)
    else:
        for i in prange(pieces, nogil=True, schedule="static", num_threads=threads):
            f(py + i * PIECE, pa + i * PIECE * da, pb + i * PIECE * db, min(PIECE, n - i * PIECE), da, db)
    return True


cdef ndarray combined(combine_t f, object ufunc, ndarray a, ndarray b):
    """f(a, b) in a new array, where b has a's shape or can be broadcast to it."""
    cdef ndarray y = new_like(a)
    if not combine(f, y, a, b):
        ufunc(a, b, y)
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
    # Sums of float32 are taken in double: a bias can be the sum of a million terms.
    cdef ndarray s = np.asarray(np.add.reduce(g, axis=tuple(axes), dtype=np.float64, keepdims=True))
    cdef ndarray y = new_like(x)
    (<object>y)[...] = s.reshape(shape_of(x))
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
        if f == NULL or not combine(f, y, a, b):
            with quiet():
                ufunc(a, b, y)
        return y


# ---- + - * / ----------------------------------------------------------------------------------------------------------

cdef class Add(Binary):
    """y = a + b.  ga = gy, gb = gy.  Saves nothing but the operands' outlines."""

    cdef object forward(self, tuple inputs, ndarray out):
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
