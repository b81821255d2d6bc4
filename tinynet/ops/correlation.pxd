from numpy cimport ndarray

from tinynet.ops.layout cimport Map
from tinynet.ops.windows cimport Shape


cdef ndarray by_taps(ndarray w)
cdef int product_forward(Shape* z, Map* y, Map* x, ndarray w, ndarray b, bint accumulate, bint keeping) except -1
cdef int product_data(Shape* z, Map* x, Map* y, ndarray w, ndarray b, bint accumulate) except -1
cdef int product_weights(Shape* z, ndarray gw, Map* x, Map* y) except -1
cdef int merge(ndarray gw, ndarray parts, Py_ssize_t ranges, tuple shape, tuple order) except -1
