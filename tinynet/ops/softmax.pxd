from numpy cimport ndarray

cdef ndarray log_softmax_rows(ndarray x)
