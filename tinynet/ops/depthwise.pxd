from numpy cimport ndarray

from tinynet.ops.layout cimport Map
from tinynet.ops.windows cimport Shape


cdef bint takes_depthwise(Shape* z, bint backward) noexcept
cdef int depthwise_forward(Shape* z, Map* y, Map* x, ndarray w, ndarray b) except -1
cdef int depthwise_data(Shape* z, Map* x, Map* y, ndarray w, ndarray b) except -1
cdef int depthwise_weights(Shape* z, ndarray gw, Map* x, Map* y) except -1
