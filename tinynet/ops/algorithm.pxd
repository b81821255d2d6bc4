# In the order of the names in algorithm.pyx.
cdef enum Algorithm:
    AUTO
    WINOGRAD
    DIRECT
    IM2ROW


cdef Algorithm conv_algorithm() noexcept nogil
