from numpy cimport ndarray

cdef int check_float(str op, str argument, ndarray x) except -1
cdef int check_same_dtype(str op, str a_name, ndarray a, str b_name, ndarray b) except -1
cdef int check_ndim(str op, str argument, ndarray x, int ndim, str letters) except -1
cdef tuple shape_of(ndarray x)
cdef tuple extents(str op, str argument, object value, int axes, Py_ssize_t minimum)
cdef object mute()
cdef int unmute(object former) except -1
cdef object quiet()
cdef object integer_of(str op, str argument, object value)
cdef int axis_of(str op, object dim, int ndim) except -1
cdef int blas_extent(str op, Py_ssize_t n) except -1
