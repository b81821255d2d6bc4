from tinynet._forms cimport Forms


cdef class Tensor(Forms):
    pass
