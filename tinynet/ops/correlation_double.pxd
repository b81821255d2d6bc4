from numpy cimport ndarray

from tinynet.ops.windows cimport Shape


cdef int forward_f64(Shape* z, ndarray y, ndarray x, ndarray w, ndarray b) except -1
cdef int data_f64(Shape* z, ndarray x, ndarray y, ndarray w, ndarray b) except -1
cdef int weights_f64(Shape* z, ndarray gw, ndarray x, ndarray y) except -1
