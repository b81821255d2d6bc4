from numpy cimport ndarray

from tinynet._history cimport History
from tinynet._variable cimport Variable


cdef class Operators(History):
    pass


cdef object operand(object x, Variable like, str op)
cdef tuple promoted(str op, object a, object b, bint floats)
