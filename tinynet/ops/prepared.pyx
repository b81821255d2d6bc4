"""Weights in the form in which products read them, kept from one inference to the next.

A convolution reads its kernel in another form than it is stored in: as packed panels (correlation.pyx) or at Winograd's points
(winograd.pyx).  Making it takes a sixth of the forward of one image (bn_inception_small, `python -m benchmarks inference`).  In
training the weights change at every step; where nothing is recorded, their block keeps the form and the next call finds it.

Nobody must be able to tell, so a form is used only if what it was made of cannot have changed:

  - a write through a tensor, by an optimiser or in `load_state_dict`, raises the block's version;
  - code outside can write unseen only through an array that it was lent (`lent` of memory.pyx).  Nothing is kept of memory
    that is lent at the time, or that came from outside, and lending it makes what was kept invalid;
  - an op that writes over an array which nobody else holds has asked `sole_reference`, which drops what was kept.

A form that is kept and one that is made anew are the same numbers: results do not depend on it.  It takes four times the
weights' memory at Winograd's points and once as packed panels.  It goes when the weights do, or when they are next used after a
change.  All forms together are at most 256 MiB (`limit`), and those of one block, which are searched one after the other, at most
FORMS; those that come when there is no more room are made anew each time.
"""

cimport cython
from numpy cimport (
    PyArray_DATA, PyArray_DIMS, PyArray_NBYTES, PyArray_NDIM, PyArray_STRIDES, import_array, ndarray,
)

from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport Block, block_of

import_array()

cdef enum:
    FORMS = 64

cdef size_t limit = 256 << 20            # bytes
cdef size_t bytes_kept = 0


@cython.final
@cython.no_gc                            # what it holds never leads back to it
cdef class Prepared:
    """One form of the weights in a block: what it was made of, and the array."""

    def __dealloc__(self):
        global bytes_kept
        bytes_kept -= self.nbytes


cdef bint is_of(Prepared p, ndarray w, Form form, Py_ssize_t groups) noexcept:
    """Whether p was made as this form of w; `find` knows whether the memory has changed since."""
    cdef int d
    if (p.form != form or p.groups != groups or p.kernels != <const void*>K or p.data != <const void*>PyArray_DATA(w)
            or p.nd != PyArray_NDIM(w)):
        return False
    for d in range(p.nd):
        if p.shape[d] != PyArray_DIMS(w)[d] or p.strides[d] != PyArray_STRIDES(w)[d]:
            return False
    return True


cdef Prepared find(Block block, ndarray w, Form form, Py_ssize_t groups):
    """The form of w that the block keeps, or None; drops all if the memory may have changed."""
    cdef Prepared p = <Prepared>block.kept
    if p is not None and (p.version != block.version or p.loans_ever != block.loans_ever):
        block.kept = p = None
    while p is not None and not is_of(p, w, form, groups):
        p = p.next
    return p


cdef Prepared prepared(ndarray w, Form form, Py_ssize_t groups, bint keeping):
    """This form of float32 weights w, if it is kept; else what `keep` wants when it has been made; None if it is not to be kept.

    Must be called before w is read.
    """
    cdef Block block = block_of(w)
    cdef Prepared p = None
    cdef int d
    if block is None or block.nbytes == 0 or PyArray_NDIM(w) > AXES:
        return None
    if block.kept is not None:
        p = find(block, w, form, groups)
    if not keeping or block.loans or limit == 0:
        return None
    if p is not None:
        return p
    p = Prepared.__new__(Prepared)
    p.form, p.groups, p.kernels, p.data, p.nd = form, groups, <const void*>K, PyArray_DATA(w), PyArray_NDIM(w)
    for d in range(p.nd):
        p.shape[d], p.strides[d] = PyArray_DIMS(w)[d], PyArray_STRIDES(w)[d]
    p.version, p.loans_ever = block.version, block.loans_ever
    return p


cdef int keep(ndarray w, Prepared p, ndarray array) except -1:
    """`array` has been made of w since `prepared` gave p: the block keeps it if nothing has changed meanwhile."""
    global bytes_kept
    cdef Block block = block_of(w)
    cdef size_t nbytes = PyArray_NBYTES(array)
    if p.version != block.version or p.loans_ever != block.loans_ever or nbytes + bytes_kept > limit:
        return 0
    if block.kept is not None and find(block, w, p.form, p.groups) is not None:      # another thread was faster
        return 0
    p.next = <Prepared>block.kept
    p.forms = 1 if p.next is None else p.next.forms + 1
    if p.forms > FORMS:
        return 0
    p.array, p.nbytes = array, nbytes
    bytes_kept += nbytes
    block.kept = p
    return 0


def _bytes_kept():
    """For tests: the bytes of all forms that are kept."""
    return bytes_kept


def _set_limit(size_t nbytes):
    """For tests: keep at most so many bytes; 0 also makes what is kept already not be used.  Returns the former limit."""
    global limit
    old, limit = limit, nbytes
    return old
