from numpy cimport ndarray

cdef ndarray unbroadcast(ndarray g, ndarray x)
