from numpy cimport ndarray

from tinynet.ops.layout cimport Map


cdef ndarray rows_of(ndarray x, Map* m)
cdef ndarray new_rows(ndarray x, Map* m)
cdef object as_matrix(ndarray x)
cdef int fill(ndarray y, object rows) except -1
