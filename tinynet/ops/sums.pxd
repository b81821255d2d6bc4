from numpy cimport ndarray

cdef ndarray quotients(ndarray x, tuple dims, bint keepdim, double n)
cdef ndarray totals(ndarray x, tuple dims, ndarray center)
