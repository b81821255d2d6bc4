from numpy cimport ndarray

cdef ndarray unbroadcast(object gradient, ndarray x)
