from tinynet._history cimport History


cdef class InPlace(History):
    pass
