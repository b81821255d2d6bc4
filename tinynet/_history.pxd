from tinynet._variable cimport Variable


cdef class History(Variable):
    pass
