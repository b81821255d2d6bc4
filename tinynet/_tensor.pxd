from tinynet._operators cimport Operators


cdef class Tensor(Operators):
    pass
