from numpy cimport ndarray

from tinynet._variable cimport Variable


cdef object operand(object x, Variable like, str op)
cdef tuple common(str op, object a, object b)
cdef tuple promoted(str op, object a, object b, bint floats)
cdef object accepted(object result, str op, object other)
cdef object times(str op, Variable t, object other, object alpha)
cdef object binary(type kind, str op, object a, object b, ndarray out=*)
cdef object choice(type kind, str op, Variable a, object b)
cdef object plain(object array)
cdef object compare(object ufunc, str op, Variable a, object b)
cdef object close(str op, Variable a, object b, double rtol, double atol, bint equal_nan)
cdef object bitwise(object ufunc, str op, Variable a, object b)
