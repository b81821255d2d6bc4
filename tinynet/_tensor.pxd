from tinynet._variable cimport Variable


cdef class Tensor(Variable):
    pass
