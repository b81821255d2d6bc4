"""Memory of tensors: blocks, their free lists, and NumPy arrays made over them.

Every array that an op returns lives in a `Block`.  A block's memory comes from a free list of its size class and goes back
there when the last array over it is gone, so after a few training steps no step asks the system for memory: no page faults,
no zeroing by the kernel.  Classes are spaced by quarters of a power of two (64, 80, 96, 112, 128, 160, ...), so at most a
fifth of a block is unused.  Blocks start at multiples of 64 bytes; from 4 MiB on at multiples of 2 MiB with huge pages asked for.

The NumPy base chain leads from any array to its block: a fresh array has the block as its base, a view has the fresh array.
So a view that somebody keeps keeps the block, and nothing is recycled under it.  Arrays that come from outside
(`from_numpy`) get a block that owns nothing but holds the owner alive and counts versions.

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

from tinynet.ops.walk cimport assign

from tinynet.errors import ArgumentError, DTypeError

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __linux__
    #include <sys/mman.h>
    #endif
    /* Memory for a block; from 4 MiB on aligned to huge pages, which are asked for where the system offers them. */
    static void *tn_block_allocate(size_t bytes) {
        size_t align = bytes >= ((size_t)4 << 20) ? (size_t)2 << 20 : 64;
        void *p = NULL;
        if (posix_memalign(&p, align, bytes)) return NULL;
    #if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (align > 64) madvise(p, bytes, MADV_HUGEPAGE);
    #endif
        return p;
    }
    """
    void* tn_block_allocate(size_t nbytes) nogil

cdef extern from "numpy/arrayobject.h":
    # NumPy's own declaration wants objects where NULL is meant.
    ndarray PyArray_New(PyTypeObject* subtype, int nd, npy_intp* shape, int dtype, npy_intp* strides, void* data,
                        int itemsize, int flags, PyObject* obj)
    PyTypeObject PyArray_Type
    bint in_c_order "PyArray_IS_C_CONTIGUOUS"(ndarray x) nogil
    bint in_c_order_aligned "PyArray_ISCARRAY_RO"(ndarray x) nogil

import_array()

cdef enum:
    CLASSES = 256
    SMALLEST = 64                    # bytes: one cache line
    LARGEST_DIMS = 64

cdef double nowhere = 0.0            # what outlines point to

# One free list per size class, linked through the first word of each free piece of memory.
cdef void* free_list[CLASSES]
cdef size_t bytes_in_use = 0
cdef size_t bytes_cached = 0
cdef size_t bytes_peak = 0
cdef size_t bytes_limit = 0          # the most that was ever in use at once: the free lists hold no more than that


cdef int size_class(size_t nbytes, size_t* rounded) noexcept:
    """The class of a request and its size: 64 * 2^e * (1, 1.25, 1.5 or 1.75), the first that holds nbytes."""
    cdef int e = 0, quarter = 0
    cdef size_t base = SMALLEST
    while base * 2 <= nbytes:
        base *= 2
        e += 1
    if nbytes > base:
        quarter = <int>((nbytes - base + base // 4 - 1) // (base // 4))
    rounded[0] = base + quarter * (base // 4)
    return 4 * e + quarter


cdef void* take(size_t nbytes, size_t* rounded) except NULL:
    """Memory for nbytes, from the free list if it has any; `rounded` gets the bytes of its class."""
    global bytes_in_use, bytes_cached, bytes_peak, bytes_limit
    cdef int k = size_class(nbytes, rounded)
    cdef void* p = free_list[k]
    if p != NULL:
        free_list[k] = (<void**>p)[0]
        bytes_cached -= rounded[0]
    else:
        p = tn_block_allocate(rounded[0])
        if p == NULL:
            empty_cache()
            p = tn_block_allocate(rounded[0])
            if p == NULL:
                raise MemoryError(f"tinynet: no memory for an array of {nbytes} bytes ({bytes_in_use} bytes in use)")
    bytes_in_use += rounded[0]
    bytes_peak = max(bytes_peak, bytes_in_use)
    bytes_limit = max(bytes_limit, bytes_in_use)
    return p


cdef void give_back(void* p, size_t rounded) noexcept:
    """Back to the free list; if the lists then hold too much, other sizes make room: this one is what is in use now."""
    global bytes_in_use, bytes_cached
    cdef size_t same
    cdef int k = size_class(rounded, &same)
    bytes_in_use -= rounded
    (<void**>p)[0] = free_list[k]
    free_list[k] = p
    bytes_cached += rounded
    if bytes_cached > bytes_limit:
        evict(k)


cdef void evict(int kept) noexcept:
    """Return free memory to the system, the largest pieces first and those of class `kept` last, until the limit holds."""
    global bytes_cached
    cdef int k
    for k in range(CLASSES - 1, -1, -1):
        while k != kept and free_list[k] != NULL and bytes_cached > bytes_limit:
            release(k)
    while free_list[kept] != NULL and bytes_cached > bytes_limit:
        release(kept)


cdef void release(int k) noexcept:
    """Return one free piece of class k to the system."""
    global bytes_cached
    cdef void* p = free_list[k]
    free_list[k] = (<void**>p)[0]
    bytes_cached -= bytes_of(k)
    free(p)


cdef size_t bytes_of(int k) noexcept:
    """The size of class k."""
    return (<size_t>SMALLEST << (k // 4)) // 4 * (4 + k % 4)


def empty_cache():
    """Return all memory that no tensor uses to the system."""
    cdef int k
    for k in range(CLASSES):
        while free_list[k] != NULL:
            release(k)


def memory_stats():
    """Bytes of tensors' memory: ``{"in_use": ..., "cached": ..., "peak": ..., "limit": ...}``.

    `in_use` is held by live arrays, `cached` waits in free lists; `peak` is the largest `in_use` since `reset_peak`, `limit` the
    largest ever, which `cached` does not exceed.
    """
    return {"in_use": bytes_in_use, "cached": bytes_cached, "peak": bytes_peak, "limit": bytes_limit}


def reset_peak():
    """Start the peak of `memory_stats` again from the bytes in use now (what the free lists may hold stays as it was)."""
    global bytes_peak
    bytes_peak = bytes_in_use


@cython.final
@cython.freelist(512)
cdef class Block:
    """A piece of memory, its size and its version counter."""

    def __dealloc__(self):
        if self.nbytes:
            give_back(self.data, self.nbytes)


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
    cdef size_t rounded
    block.data = take(nbytes, &rounded)
    block.nbytes = rounded
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


cdef Block block_of(ndarray x):
    """The block that x lives in (x is an array of an op or of a tensor, or a view of one)."""
    cdef PyObject* base = <PyObject*>PyArray_BASE(x)
    while base != NULL:
        if isinstance(<object>base, Block):
            return <Block>base
        if not isinstance(<object>base, ndarray):
            break
        base = <PyObject*>PyArray_BASE(<ndarray>base)
    return None


cdef bint is_view(ndarray x) noexcept:
    """True if x is a view of another array rather than made over its block."""
    cdef PyObject* base = <PyObject*>PyArray_BASE(x)
    return base != NULL and isinstance(<object>base, ndarray)


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
    return Py_REFCNT(x) == references and Py_REFCNT(<object>base) == 1


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
