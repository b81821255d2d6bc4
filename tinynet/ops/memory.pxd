from libc.stdint cimport uint64_t
from numpy cimport ndarray, npy_intp

from tinynet.ops.arena cimport Piece


cdef class Block:
    cdef void* data
    cdef size_t nbytes              # bytes taken for it (0: memory of an outside owner)
    cdef Piece* piece               # where in an arena it lies; NULL: elsewhere
    cdef object owner               # the outside owner, or None
    cdef uint64_t version           # rises with every write in place through a tensor
    cdef bint is_saved              # an op keeps it for its backward, or did
    cdef bint has_view              # an op made a view of it: a recorded write in place would falsify it
    cdef bint exposed               # code outside may write into it unseen
    cdef int pendings               # results not computed yet that will be read out of it: see ops/pending.pyx
    cdef int loans                  # arrays that code outside holds now and may write through, and ...
    cdef uint64_t loans_ever        # ... how many there have been
    cdef object kept                # its weights in the form that products read, or None: see ops/prepared.pyx


cdef class Loan:
    cdef Block block


cdef size_t size_of(int dtype) except 0
cdef ndarray new_strided(int nd, npy_intp* shape, npy_intp* strides, int dtype)
cdef ndarray new_array(int nd, npy_intp* shape, int dtype)
cdef ndarray outline(ndarray x)
cdef ndarray repeated(ndarray x, tuple shape, tuple strides)
cdef ndarray reshaped(ndarray x, tuple shape)
cdef ndarray new_like(ndarray x)
cdef ndarray new_like_as(ndarray x, int dtype)
cdef ndarray new_shaped(ndarray x, list shape)
cdef ndarray own_copy(ndarray x)
cdef ndarray wrap_external(ndarray x)
cdef ndarray lent(ndarray x)
cdef Block block_of(ndarray x)
cdef bint is_view(ndarray x) noexcept
cdef ndarray apart(ndarray x, ndarray target)
cdef int touch(ndarray x) except -1
cdef bint sole_reference(ndarray x, Py_ssize_t references) noexcept
cdef bint is_dense(ndarray x) noexcept
cdef ndarray dense(ndarray x)
cdef ndarray contiguous(ndarray x)
cdef ndarray matching(ndarray x, ndarray pattern)
cdef bint same_layout(ndarray a, ndarray b) noexcept
