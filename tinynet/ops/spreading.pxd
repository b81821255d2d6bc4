from numpy cimport ndarray

from tinynet.ops.layout cimport Map
from tinynet.ops.windows cimport Shape


cdef bint takes_spreading(Shape* z) noexcept
cdef int spread_data(Shape* z, Map* x, Map* y, ndarray w, ndarray b, bint accumulate) except -1
