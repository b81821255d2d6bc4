"""Memory of tensors: blocks, their free lists, and NumPy arrays made over them.

Every array that an op returns lives in a `Block`.  A block's memory comes from what is free and goes back there when the last
array over it is gone, so after a few training steps no step asks the system for memory: no page faults, no zeroing by the
kernel.  Blocks start at multiples of 64 bytes.  Large ones are pieces of arenas (`ops/arena.pyx`).  Small ones, which come and go
by the dozen, come from a free list of their size class: quarters of powers of two (64, 80, 96, 112, 128, 160, ...), so at most
a fifth of a block is unused.

The NumPy base chain leads from any array to its block: a fresh array has the block as its base, a view has the fresh array.
So a view that somebody keeps keeps the block, and nothing is recycled under it.  Arrays that come from outside
(`from_numpy`) get a block that owns nothing but holds the owner alive and counts versions.  An array that goes outside
(`.numpy()`) has a `Loan` between it and the block, which therefore knows whether anybody out there may still write into it.

All of this runs under the GIL; kernels only ever see pointers.
"""

cimport cython
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_REFCNT
from libc.stdlib cimport free
from numpy cimport (
    NPY_ARRAY_ALIGNED, NPY_ARRAY_WRITEABLE, NPY_BOOL, NPY_DOUBLE, NPY_FLOAT, NPY_INT, NPY_INT8, NPY_INT16, NPY_LONG,
    NPY_LONGLONG, NPY_UINT8, NPY_UINT32, PyArray_BASE, PyArray_DATA, PyArray_ISWRITEABLE,
    PyArray_ITEMSIZE, PyArray_NDIM, PyArray_SetBaseObject, PyArray_DIMS, PyArray_SIZE, PyArray_STRIDES, PyArray_TYPE,
    import_array, ndarray, npy_intp,
)

from tinynet.ops.arena cimport (
    CLASSES, SMALLEST, free_bytes, give_back_piece, return_arenas, return_to_system, size_class, take_piece,
)
from tinynet.ops.walk cimport assign

from tinynet.errors import ArgumentError, DTypeError

cdef extern from *:
    """
    #include <stdlib.h>
    static void *tn_block_allocate(size_t bytes) {
        void *p = NULL;
        return posix_memalign(&p, 64, bytes) ? NULL : p;
    }
    /* From here on blocks are pieces of arenas; never where the address sanitizer looks at every block by itself. */
    #ifdef __SANITIZE_ADDRESS__
    #define TN_LARGE ((size_t)-1)
    #else
    #define TN_LARGE ((size_t)32 << 10)
    #endif
    """
    void* tn_block_allocate(size_t nbytes) nogil
    const size_t TN_LARGE

cdef extern from "numpy/arrayobject.h":
    # NumPy's own declaration wants objects where NULL is meant.
    ndarray PyArray_New(PyTypeObject* subtype, int nd, npy_intp* shape, int dtype, npy_intp* strides, void* data,
                        int itemsize, int flags, PyObject* obj)
    PyTypeObject PyArray_Type
    bint in_c_order "PyArray_IS_C_CONTIGUOUS"(ndarray x) nogil
    bint in_c_order_aligned "PyArray_ISCARRAY_RO"(ndarray x) nogil

import_array()

cdef enum:
    LARGEST_DIMS = 64
    SLACK = 16 << 20                 # bytes that may be held in any case

cdef double nowhere = 0.0            # what outlines point to

# One free list per size class of small blocks, linked through the first word of each free piece of memory.
cdef void* free_list[CLASSES]
cdef size_t bytes_in_use = 0
cdef size_t bytes_listed = 0         # in the free lists
cdef size_t bytes_peak = 0
cdef size_t bytes_limit = SLACK      # what may be held, in use and free together


cdef int take(Block block, size_t nbytes) except -1:
    """Give the block memory for nbytes."""
    global bytes_in_use, bytes_peak, bytes_limit
    if nbytes > <size_t>1 << 62:
        raise too_much(nbytes)
    if not find_memory(block, nbytes):
        empty_cache()
        if not find_memory(block, nbytes):
            raise too_much(nbytes)
    bytes_in_use += block.nbytes
    bytes_peak = max(bytes_peak, bytes_in_use)
    bytes_limit = max(bytes_limit, bytes_in_use + bytes_in_use // 2 + SLACK)
    keep_limit()
    return 0


cdef object too_much(size_t nbytes):
    return MemoryError(f"tinynet: no memory for an array of {nbytes} bytes ({bytes_in_use} bytes in use)")


cdef bint find_memory(Block block, size_t nbytes) noexcept:
    """Fill the block with a piece of an arena or of a free list; False if there is no memory."""
    global bytes_listed
    cdef size_t rounded
    cdef int k
    if nbytes >= TN_LARGE:
        rounded = (nbytes + SMALLEST - 1) // SMALLEST * SMALLEST
        block.piece = take_piece(rounded)
        if block.piece == NULL:
            return False
        block.data = block.piece.start
    else:
        k = size_class(nbytes, &rounded)
        block.data = free_list[k]
        if block.data != NULL:
            free_list[k] = (<void**>block.data)[0]
            bytes_listed -= rounded
        else:
            block.data = tn_block_allocate(rounded)
            if block.data == NULL:
                return False
    block.nbytes = rounded
    return True


cdef void give_back(Block block) noexcept:
    """What the block held is free."""
    global bytes_in_use, bytes_listed
    cdef size_t rounded
    cdef int k
    bytes_in_use -= block.nbytes
    if block.piece != NULL:
        give_back_piece(block.piece)
    else:
        k = size_class(block.nbytes, &rounded)
        (<void**>block.data)[0] = free_list[k]
        free_list[k] = block.data
        bytes_listed += rounded
    keep_limit()


cdef void keep_limit() noexcept:
    """If too much is held, the system gets some of what is free."""
    cdef size_t held = bytes_in_use + bytes_listed + free_bytes()
    if held > bytes_limit:
        return_to_system(held - bytes_limit)
        if bytes_in_use + bytes_listed + free_bytes() > bytes_limit:
            free_lists()


cdef void free_lists() noexcept:
    """Return the small pieces that no block holds to the system."""
    global bytes_listed
    cdef int k
    cdef void* p
    for k in range(CLASSES):
        while free_list[k] != NULL:
            p = free_list[k]
            free_list[k] = (<void**>p)[0]
            free(p)
    bytes_listed = 0


def empty_cache():
    """Return all memory that no tensor uses to the system."""
    return_arenas()
    free_lists()


def memory_stats():
    """Bytes of tensors' memory: ``{"in_use": ..., "cached": ..., "peak": ..., "limit": ...}``.

    `in_use` is held by live arrays, `cached` waits to be used again; `peak` is the largest `in_use` since `reset_peak`.  `in_use`
    and `cached` together do not exceed `limit`, one and a half times the largest `in_use` ever and 16 MiB.
    """
    return {"in_use": bytes_in_use, "cached": bytes_listed + free_bytes(), "peak": bytes_peak, "limit": bytes_limit}


def reset_peak():
    """Start the peak of `memory_stats` again from the bytes in use now (what may be held stays as it was)."""
    global bytes_peak
    bytes_peak = bytes_in_use


@cython.final
@cython.freelist(512)
cdef class Block:
    """A piece of memory, its size and its version counter."""

    def __dealloc__(self):
        if self.nbytes:
            give_back(self)


@cython.final
@cython.no_gc                    # lent is only a block that holds no foreign object: nothing leads from it back here
@cython.freelist(64)
cdef class Loan:
    """The base of an array that was handed to code outside; the views made of that keep it, too."""

    def __dealloc__(self):
        self.block.loans -= 1


cdef ndarray over(Block block, int nd, npy_intp* shape, npy_intp* strides, int dtype):
    """A writable array over the block's memory, with the block as its base."""
    cdef ndarray a = PyArray_New(&PyArray_Type, nd, shape, dtype, strides, block.data, 0,
                                 NPY_ARRAY_WRITEABLE | NPY_ARRAY_ALIGNED, NULL)
    Py_INCREF(block)                 # SetBaseObject takes over one reference
    PyArray_SetBaseObject(a, block)
    return a


cdef size_t size_of(int dtype) except 0:
    """Bytes of one element."""
    if dtype == NPY_FLOAT or dtype == NPY_INT or dtype == NPY_UINT32:
        return 4
    if dtype == NPY_DOUBLE or dtype == NPY_LONG or dtype == NPY_LONGLONG:
        return 8
    if dtype == NPY_BOOL or dtype == NPY_UINT8 or dtype == NPY_INT8:
        return 1
    if dtype == NPY_INT16:
        return 2
    raise DTypeError("tinynet: dtype must be float32, float64, int64, int32, int16, int8, uint32, uint8 or bool; "
                     f"got NumPy's type number {dtype}")


cdef ndarray new_strided(int nd, npy_intp* shape, npy_intp* strides, int dtype):
    """An uninitialised array of its own; strides NULL means C order, else strides that fill the memory densely."""
    cdef size_t nbytes = size_of(dtype)
    cdef int d
    for d in range(nd):
        if shape[d] and nbytes > (<size_t>1 << 62) // <size_t>shape[d]:
            raise ArgumentError(f"tinynet: an array of shape {tuple([shape[i] for i in range(nd)])} does not fit into memory")
        nbytes *= shape[d]
    cdef Block block = Block.__new__(Block)
    take(block, nbytes)
    return over(block, nd, shape, strides, dtype)


cdef ndarray new_array(int nd, npy_intp* shape, int dtype):
    """An uninitialised array in C order."""
    return new_strided(nd, shape, NULL, dtype)


cdef ndarray outline(ndarray x):
    """An array header with x's shape, strides and dtype and no memory: for an op that needs to know these and nothing else.

    It must not be read or written; `new_like`, `same_layout` and `matching` take it as a pattern.
    """
    return PyArray_New(&PyArray_Type, PyArray_NDIM(x), PyArray_DIMS(x), PyArray_TYPE(x), PyArray_STRIDES(x), <void*>&nowhere, 0,
                       0, NULL)


cdef ndarray repeated(ndarray x, tuple shape, tuple strides):
    """A read-only view of x with these strides (in bytes), some of which are 0: x broadcast to `shape`."""
    cdef npy_intp[LARGEST_DIMS] sizes, steps
    cdef int d, nd = len(shape)
    for d in range(nd):
        sizes[d], steps[d] = shape[d], strides[d]
    cdef ndarray a = PyArray_New(&PyArray_Type, nd, sizes, PyArray_TYPE(x), steps, PyArray_DATA(x), 0, NPY_ARRAY_ALIGNED, NULL)
    Py_INCREF(x)
    PyArray_SetBaseObject(a, x)
    return a


cdef ndarray reshaped(ndarray x, tuple shape):
    """A view of x, which is in C order, in another shape of as many elements."""
    cdef npy_intp[LARGEST_DIMS] sizes
    cdef int d, nd = len(shape)
    for d in range(nd):
        sizes[d] = shape[d]
    cdef ndarray a = PyArray_New(&PyArray_Type, nd, sizes, PyArray_TYPE(x), NULL, PyArray_DATA(x), 0,
                                 NPY_ARRAY_ALIGNED | (NPY_ARRAY_WRITEABLE if PyArray_ISWRITEABLE(x) else 0), NULL)
    Py_INCREF(x)
    PyArray_SetBaseObject(a, x)
    return a


cdef ndarray new_like(ndarray x):
    """An uninitialised array of x's shape and dtype, in x's order of axes."""
    return new_like_as(x, PyArray_TYPE(x))


cdef ndarray new_like_as(ndarray x, int dtype):
    """An uninitialised array of x's shape, in x's order of axes, with another dtype."""
    if in_c_order(x):
        return new_strided(PyArray_NDIM(x), PyArray_DIMS(x), NULL, dtype)
    return in_order_of(x, PyArray_DIMS(x), dtype)


cdef ndarray new_shaped(ndarray x, list shape):
    """An uninitialised array of x's dtype and order of axes, with another shape of as many axes."""
    cdef npy_intp[LARGEST_DIMS] sizes
    cdef int d
    for d in range(PyArray_NDIM(x)):
        sizes[d] = shape[d]
    return in_order_of(x, sizes, PyArray_TYPE(x))


cdef ndarray in_order_of(ndarray x, npy_intp* shape, int dtype):
    """An uninitialised array of that shape whose axes lie in memory in the order of x's."""
    cdef int nd = PyArray_NDIM(x), i, j
    cdef npy_intp* strides = PyArray_STRIDES(x)
    cdef npy_intp[LARGEST_DIMS] fresh
    cdef int[LARGEST_DIMS] order
    # Outermost the axes whose stride means nothing (extent 1 or repeated), then the others from the largest stride to the
    # smallest (stable insertion sort).  So a dense x gives its own layout again.
    cdef int count = 0
    for i in range(nd):
        if PyArray_DIMS(x)[i] == 1 or strides[i] == 0:
            order[count] = i
            count += 1
    cdef int first = count
    for i in range(nd):
        if PyArray_DIMS(x)[i] == 1 or strides[i] == 0:
            continue
        j = count
        while j > first and abs_stride(strides[order[j - 1]]) < abs_stride(strides[i]):
            order[j] = order[j - 1]
            j -= 1
        order[j] = i
        count += 1
    cdef npy_intp step = size_of(dtype)
    for i in range(nd - 1, -1, -1):
        fresh[order[i]] = step
        step *= shape[order[i]] if shape[order[i]] > 0 else 1
    return new_strided(nd, shape, fresh, dtype)


cdef inline npy_intp abs_stride(npy_intp s) noexcept:
    return s if s >= 0 else -s


cdef ndarray own_copy(ndarray x):
    """A copy of x in a block of its own, in x's order of axes, native byte order."""
    cdef ndarray y = new_like(x)
    assign(y, x)
    return y


cdef ndarray wrap_external(ndarray x):
    """An array over x's memory (shared) with a block that holds x alive and counts versions; memory that is ours already keeps
    its own block."""
    if block_of(x) is not None:
        return (<object>x).view()
    cdef Block block = Block.__new__(Block)
    block.data = PyArray_DATA(x)
    block.owner = x
    cdef ndarray a = over(block, PyArray_NDIM(x), PyArray_DIMS(x), PyArray_STRIDES(x), PyArray_TYPE(x))
    if not PyArray_ISWRITEABLE(x):
        a.flags.writeable = False
    return a


cdef ndarray lent(ndarray x):
    """A view of x for code outside, whose writes nobody sees: as long as it or a view of it lives, the block's `loans` count
    it."""
    cdef Block block = block_of(x)
    cdef Loan loan
    cdef ndarray a
    if block is None or block.nbytes == 0:
        return (<object>x).view()
    a = PyArray_New(&PyArray_Type, PyArray_NDIM(x), PyArray_DIMS(x), PyArray_TYPE(x), PyArray_STRIDES(x), PyArray_DATA(x), 0,
                    NPY_ARRAY_ALIGNED | (NPY_ARRAY_WRITEABLE if PyArray_ISWRITEABLE(x) else 0), NULL)
    loan = Loan.__new__(Loan)
    loan.block = block
    block.loans += 1
    block.loans_ever += 1
    Py_INCREF(loan)
    PyArray_SetBaseObject(a, loan)
    return a


cdef Block block_of(ndarray x):
    """The block that x lives in (x is an array of an op or of a tensor, or a view of one)."""
    cdef PyObject* base = <PyObject*>PyArray_BASE(x)
    while base != NULL:
        if isinstance(<object>base, Block):
            return <Block>base
        if isinstance(<object>base, Loan):
            return (<Loan>base).block
        if not isinstance(<object>base, ndarray):
            break
        base = <PyObject*>PyArray_BASE(<ndarray>base)
    return None


cdef bint is_view(ndarray x) noexcept:
    """True if x is a view of another array rather than made over its block."""
    cdef PyObject* base = <PyObject*>PyArray_BASE(x)
    return base != NULL and (isinstance(<object>base, ndarray) or isinstance(<object>base, Loan))


cdef ndarray apart(ndarray x, ndarray target):
    """x, or a copy if it shares a block with `target`, over which it will be copied: of two vectors in one memory that take
    different steps NumPy overwrites some elements before it has read them.
    """
    cdef Block block
    if not is_view(x) and not is_view(target):
        return x
    block = block_of(x)
    if block is None or block is not block_of(target) or (PyArray_DATA(x) == PyArray_DATA(target) and same_layout(x, target)):
        return x
    return own_copy(x)


cdef int touch(ndarray x) except -1:
    """Note that x was written in place."""
    cdef Block block = block_of(x)
    if block is not None:
        block.version += 1
    return 0


cdef bint sole_reference(ndarray x, Py_ssize_t references) noexcept:
    """True if x may be overwritten: it is the only array over its own block, and is itself referred to `references` times.

    Pass a local variable: it counts as one reference, where an attribute would be counted once more for the call.
    """
    cdef PyObject* base = <PyObject*>PyArray_BASE(x)
    if base == NULL or not isinstance(<object>base, Block) or (<Block>base).nbytes == 0:
        return False
    if Py_REFCNT(x) != references or Py_REFCNT(<object>base) != 1:
        return False
    (<Block>base).kept = None            # made of what may be overwritten now
    return True


cdef bint is_dense(ndarray x) noexcept:
    """True if x's elements fill one piece of memory in some order of the axes, aligned, without gaps or repeats."""
    if in_c_order_aligned(x):
        return True
    cdef npy_intp* shape = PyArray_DIMS(x)
    cdef npy_intp* strides = PyArray_STRIDES(x)
    cdef int nd = PyArray_NDIM(x), d, found
    cdef npy_intp step = PyArray_ITEMSIZE(x), size = PyArray_SIZE(x), covered = 1
    if size == 0:
        return True
    while covered < size:
        found = -1
        for d in range(nd):
            if strides[d] == step * covered and shape[d] > 1:
                found = d
                break
        if found < 0:
            return False
        covered *= shape[found]
    return (<size_t>PyArray_DATA(x)) % <size_t>step == 0


cdef ndarray dense(ndarray x):
    """x itself if its memory is dense, else a copy that is."""
    return x if is_dense(x) else own_copy(x)


cdef ndarray contiguous(ndarray x):
    """x itself if it is in C order and aligned, else a copy that is."""
    if in_c_order_aligned(x):
        return x
    cdef ndarray y = new_array(PyArray_NDIM(x), PyArray_DIMS(x), PyArray_TYPE(x))
    assign(y, x)
    return y


cdef bint same_layout(ndarray a, ndarray b) noexcept:
    """True if equal offsets mean equal indices in a and b: the same shape, and the same strides where an extent is not 1."""
    cdef int d, nd = PyArray_NDIM(a)
    cdef npy_intp* sa = PyArray_STRIDES(a)
    cdef npy_intp* sb = PyArray_STRIDES(b)
    if nd != PyArray_NDIM(b):
        return False
    for d in range(nd):
        if PyArray_DIMS(a)[d] != PyArray_DIMS(b)[d] or (sa[d] != sb[d] and PyArray_DIMS(a)[d] > 1):
            return False
    return True


cdef ndarray matching(ndarray x, ndarray pattern):
    """x in the layout of `pattern` (same shape): x itself if it has it already, else a copy."""
    if same_layout(x, pattern):
        return x
    cdef ndarray y = new_like(pattern)
    assign(y, x)
    return y
