from tinynet._operators cimport Operators


cdef class Forms(Operators):
    pass
