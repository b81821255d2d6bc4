"""Choosing among elements: where, maximum, minimum, clamp.

A gradient goes to the side that was chosen and is 0 on the other: selected, never multiplied by 0, so that an inf or NaN on
one side does not reach the other.  NaN is larger and smaller than everything: maximum, minimum and clamp pass it on.
"""

from libc.stdint cimport uint8_t
from numpy cimport (
    NPY_BOOL, NPY_FLOAT, PyArray_DATA, PyArray_ISCARRAY_RO, PyArray_NDIM, PyArray_SAMESHAPE, PyArray_SIZE, PyArray_TYPE,
    import_array, ndarray,
)

from tinynet._graph cimport Op
from tinynet.ops.arithmetic cimport unbroadcast
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport new_like, new_like_as, outline

import numpy as np

from tinynet.errors import ArgumentError, DTypeError, ShapeError

import_array()


cdef ndarray output_of(Op op, tuple arrays, int dtype):
    """An array for an elementwise function of `arrays` (some may be None), in the order of axes of the first that fills it."""
    cdef list given = [a for a in arrays if a is not None]
    cdef tuple shape
    cdef int i
    for i in range(1, len(given)):
        if not PyArray_SAMESHAPE(<ndarray>given[i], <ndarray>given[0]):
            break
    else:
        return new_like_as(<ndarray>given[0], dtype)
    for i in range(1, len(given)):
        if PyArray_NDIM(<ndarray>given[i]) > 0:
            break
    else:
        return new_like_as(<ndarray>given[0], dtype)
    try:
        shape = np.broadcast(*given).shape
    except ValueError:
        listed = " and ".join(str(a.shape) for a in given)
        raise ShapeError(f"{op.name}: shapes {listed} cannot be broadcast together") from None
    for a in given:
        if a.shape == shape:
            return new_like_as(<ndarray>a, dtype)
    return new_like_as(<ndarray>np.broadcast_to(np.False_, shape), dtype)


cdef float nothing = 0.0


cdef bint choose(ndarray y, ndarray c, ndarray a, ndarray b) noexcept:
    """y = a where c, else b, by the kernel; a or b None: 0.  False, and nothing done, where dtype or layout do not allow it."""
    cdef Py_ssize_t n = PyArray_SIZE(y)
    cdef const float* pa = &nothing
    cdef const float* pb = &nothing
    cdef int da = 0, db = 0
    if not goes_along(y, y) or not PyArray_ISCARRAY_RO(c) or not PyArray_SAMESHAPE(c, y):
        return False
    if a is not None:
        if not goes_along(a, y):
            return False
        pa, da = <const float*>PyArray_DATA(a), 1
    if b is not None:
        if not goes_along(b, y):
            return False
        pb, db = <const float*>PyArray_DATA(b), 1
    with nogil:
        K.where_f32(<float*>PyArray_DATA(y), <const uint8_t*>PyArray_DATA(c), pa, pb, n, da, db)
    return True


cdef bint goes_along(ndarray x, ndarray y) noexcept:
    """Whether x is float32 in C order, of y's shape."""
    return PyArray_TYPE(x) == NPY_FLOAT and PyArray_ISCARRAY_RO(x) and PyArray_SAMESHAPE(x, y)


cdef ndarray selected(ndarray gy, ndarray mask, bint where):
    """gy where the mask is `where`, else 0; in a new array.

    All bits of gy, or none: on a mask without pattern ten times as fast as NumPy's choice, whose branches are mispredicted.
    """
    cdef ndarray y = new_like(gy)
    if choose(y, mask, gy if where else None, None if where else gy):
        return y
    if not where:
        mask = np.asarray(np.logical_not(mask))
    bits = np.int32 if PyArray_TYPE(gy) == NPY_FLOAT else np.int64
    np.bitwise_and((<object>gy).view(bits), np.negative(np.asarray(mask).view(np.int8)), (<object>y).view(bits))
    return y


cdef class Where(Op):
    """y = a where c, else b.  ga = gy where c, else 0; gb = 0 where c, else gy.  Saves c.

    c is the first input, an array of bool; a and b have one dtype.  All three are broadcast.
    """

    arguments = ("condition", "input", "other")

    cdef ndarray a                       # outlines: no memory
    cdef ndarray b

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray c = inputs[0], a = inputs[1], b = inputs[2], y
        if PyArray_TYPE(c) != NPY_BOOL:
            raise DTypeError(f"where: condition must be bool; got {(<object>c).dtype}")
        y = output_of(self, (a, b, c), PyArray_TYPE(a))
        if not choose(y, c, a, b):
            (<object>y)[...] = np.where(c, a, b)
        self.a, self.b = outline(a), outline(b)
        self.save((c,))
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        c = self.saved[0]
        return (None, unbroadcast(selected(gy, c, True), self.a) if needs[1] else None,
                unbroadcast(selected(gy, c, False), self.b) if needs[2] else None)


cdef class OneOfTwo(Op):
    """y = the larger (or smaller) of a and b.  The gradient goes there; two equal operands get half each.  Saves a and b."""

    arguments = ("input", "other")

    cdef object ufunc
    cdef object beyond                   # beyond(a, b): b was chosen, and a alone was not

    cdef object forward(self, tuple inputs, ndarray out):
        if self.ufunc is None:
            raise NotImplementedError(f"{self.name}: no forward")
        cdef ndarray y = output_of(self, inputs, PyArray_TYPE(<ndarray>inputs[0]))
        self.ufunc(inputs[0], inputs[1], out=y)
        self.save(inputs)
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        a, b = self.saved
        return (unbroadcast(self.share(gy, a, b), a) if needs[0] else None,
                unbroadcast(self.share(gy, b, a), b) if needs[1] else None)

    cdef ndarray share(self, ndarray gy, ndarray x, ndarray other):
        """What of gy goes to x: all of it where NaN decides nothing."""
        cdef ndarray g = selected(gy, np.asarray(self.beyond(x, other)), False)
        np.multiply(g, g.dtype.type(0.5), g, where=np.equal(x, other))
        return g


cdef class Maximum(OneOfTwo):
    """y = max(a, b).  ga = gy where a > b, gy / 2 where a = b, 0 where a < b, and gy beside NaN.  Saves a and b."""

    def __cinit__(self):
        self.ufunc, self.beyond = np.maximum, np.less


cdef class Minimum(OneOfTwo):
    """y = min(a, b).  ga = gy where a < b, gy / 2 where a = b, 0 where a > b, and gy beside NaN.  Saves a and b."""

    def __cinit__(self):
        self.ufunc, self.beyond = np.minimum, np.greater


cdef class Clamp(Op):
    """y = min(max(x, low), high); low or high may be None.  Saves x, low and high.

    gx = gy where low <= x <= high, else 0;  glow = gy where x < low < high, else 0;
    ghigh = gy where x > high or low > high, else 0.
    """

    arguments = ("input", "min", "max")
    optional = ("min", "max")

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        low, high = inputs[1], inputs[2]
        if low is None and high is None:
            raise ArgumentError("clamp: min or max must be given; got None and None")
        y = output_of(self, inputs, PyArray_TYPE(x))
        if high is None:
            np.maximum(x, low, out=y)
        elif low is None:
            np.minimum(x, high, out=y)
        else:
            np.clip(x, low, high, out=y)
        self.save(inputs)
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        x, low, high = self.saved
        cdef ndarray gx = None, glow = None, ghigh = None
        if needs[0]:
            inside = np.greater_equal(x, low) if low is not None else np.less_equal(x, high)
            if low is not None and high is not None:
                inside = np.logical_and(inside, np.less_equal(x, high))
            gx = unbroadcast(selected(gy, np.asarray(inside), True), x)
        if needs[1]:
            below = np.less(x, low)
            chosen = below if high is None else np.logical_and(below, np.less(low, high))
            glow = unbroadcast(selected(gy, np.asarray(chosen), True), low)
        if needs[2]:
            above = np.greater(x, high)
            chosen = above if low is None else np.logical_or(above, np.greater(low, high))
            ghigh = unbroadcast(selected(gy, np.asarray(chosen), True), high)
        return gx, glow, ghigh
