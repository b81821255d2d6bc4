from numpy cimport ndarray

from tinynet.ops.layout cimport Map
from tinynet.ops.windows cimport Shape


# The three functions of a convolution.
cdef enum Function:
    FORWARD
    DATA
    WEIGHTS


cdef bint takes_winograd(Shape* z, Function which) noexcept
cdef int winograd_forward(Shape* z, Map* y, Map* x, ndarray w, ndarray b, bint accumulate, bint keeping) except -1
cdef int winograd_data(Shape* z, Map* x, Map* y, ndarray w, ndarray b, bint accumulate, bint keeping) except -1
cdef int winograd_weights(Shape* z, ndarray gw, Map* x, Map* y) except -1
