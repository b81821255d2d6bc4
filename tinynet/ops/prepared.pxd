from libc.stdint cimport uint64_t
from numpy cimport ndarray, npy_intp


cdef enum Form:
    PANELS                           # packed for the product of a convolution's forward: correlation.pyx
    UPRIGHT, TURNED                  # at Winograd's points, and turned by half a turn: winograd.pyx

cdef enum:
    AXES = 4


cdef class Prepared:
    cdef ndarray array               # the weights in their form; None until `keep`
    cdef Prepared next               # another form, or that of another view of the same memory
    cdef int forms                   # it, and those that follow it
    cdef size_t nbytes               # counted for it
    cdef uint64_t version, loans_ever                    # of the block when `array` was begun
    cdef const void* kernels         # the table in use then
    cdef Form form
    cdef Py_ssize_t groups
    cdef const void* data            # what it was made of
    cdef int nd
    cdef npy_intp[AXES] shape, strides


cdef Prepared prepared(ndarray w, Form form, Py_ssize_t groups, bint keeping)
cdef int keep(ndarray w, Prepared p, ndarray array) except -1
