from numpy cimport ndarray

cdef ndarray totals(ndarray x, tuple dims, ndarray center)
