from numpy cimport ndarray

cdef ndarray unbroadcast(object gradient, ndarray x)
cdef ndarray negated(ndarray x)
cdef ndarray zeros(ndarray pattern)
cdef ndarray product(ndarray a, ndarray b)
cdef ndarray scaled(ndarray x, double factor)
