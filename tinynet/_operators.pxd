from numpy cimport ndarray

from tinynet._variable cimport Variable


cdef class Operators(Variable):
    pass


cdef object operand(object x, Variable like, str op)
cdef tuple promoted(str op, object a, object b, bint floats)
