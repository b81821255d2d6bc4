from numpy cimport ndarray

cdef ndarray extremes(ndarray x, tuple dims, bint keepdim, bint largest)
cdef ndarray quotients(ndarray x, tuple dims, bint keepdim, double n)
cdef double square_sum(ndarray x)
cdef ndarray totals(ndarray x, tuple dims, ndarray center)
