from numpy cimport ndarray


# A 4-D array (N, C, H, W) whose channels are last in memory: element (n, c, y, x) is number ((n h + y) w + x) ld + c of `data`.
# ld is c, or more where the array is a slice of the channels of a larger one.
ctypedef struct Map:
    char* data
    Py_ssize_t n, h, w, c, ld


cdef bint is_channels_last(ndarray x) noexcept
cdef bint is_nhwc(ndarray x, Map* m) noexcept
cdef ndarray nhwc(ndarray x, Map* m)
cdef ndarray new_nhwc(Py_ssize_t n, Py_ssize_t c, Py_ssize_t h, Py_ssize_t w, int dtype, Map* m)
