from tinynet._inplace cimport InPlace
from tinynet._operands cimport promoted      # for those who know it from here


cdef class Operators(InPlace):
    pass
