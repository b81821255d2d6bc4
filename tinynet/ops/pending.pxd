from libc.stdint cimport uint64_t
from numpy cimport ndarray

from tinynet.ops.layout cimport Map
from tinynet.ops.memory cimport Block

cdef enum Following:
    NOTHING, RELU, SIGMOID              # what follows the normalisation

cdef enum:
    CENTER, SCALE, SHIFT                # the rows of `vectors` that a recipe reads


cdef class Pending:
    cdef ndarray rows                   # the input, until the result is computed
    cdef Map map                        # where its rows of channels lie
    cdef Block block                    # what it lives in
    cdef ndarray like                   # an outline of the result
    cdef ndarray vectors                # (at least 3, C) float32
    cdef ndarray addend                 # what is added to the normalised rows, laid out as the result; or None
    cdef Block other                    # what that lives in
    cdef Following following
    cdef ndarray array                  # the result, once it is computed
    cdef uint64_t version               # of its block then
    cdef bint is_saved                  # whether an op keeps the result for its backward
    cdef void* older                    # the neighbours in the list of what is not computed yet
    cdef void* newer


cdef bint may_wait(ndarray rows) noexcept
cdef Pending postpone(ndarray rows, const Map* m, ndarray like, ndarray vectors, Following following)
cdef Pending followed(Pending p, Following following)
cdef Pending with_addend(Pending p, ndarray x)
cdef ndarray computed(Pending p)
cdef int compute_into(Pending p, const Map* y) except -1
cdef int before_write(ndarray x) except -1
cdef int expose(ndarray x) except -1
cdef Py_ssize_t range_of_rows(Py_ssize_t m) noexcept
cdef int apply_f32(const Map* y, const Map* x, const float* center, const float* scale, const float* shift,
                   const Map* addend, Following following) except -1
