"""Results that are not computed yet: a batch normalisation, and the activation after it, as a recipe.

A normalisation cannot know what follows it.  So it computes its coefficient vectors and hands out a `Pending` - a recipe

    y = f((z - center) scale + shift + x)        f: nothing, ReLU or sigmoid;  x: nothing, or an array

in place of an array.  Adding an array to a recipe without x and f - the end of a residual block - gives one with x; ReLU or
sigmoid of a recipe without f is a recipe with it; a concatenation computes recipes straight into its slices; whoever else
reads the tensor gets an array that is computed then, once, in one pass over z.  Every element is computed by the same
arithmetic whenever and wherever that happens, so the bits do not depend on who looked at what.

Nobody must be able to tell, so z and x have to be what they were when the recipe was written.  Recipes that wait stand in a
list and are counted by the blocks of z and x, and whoever is about to write into a tensor's memory says so first
(`before_write`), which computes the recipes that need it.  Memory into which code outside may write unseen - a `.numpy()` view
of it was given away, or it came from there - is `exposed`, and no recipe is written for it.
"""

cimport cython
from cython.parallel cimport prange
from numpy cimport NPY_FLOAT, PyArray_DATA, PyArray_NDIM, PyArray_SIZE, PyArray_TYPE, import_array, ndarray

from tinynet.ops.channels cimport new_rows
from tinynet.ops.kernels cimport K, TN_ROW_BLOCK
from tinynet.ops.layout cimport Map, is_nhwc
from tinynet.ops.memory cimport Block, block_of, same_layout
from tinynet.ops.threads cimport SLOTS, team, tn_enter, tn_leave

from tinynet import _check

import_array()

ctypedef void (*map_t)(float* y, const float* x, Py_ssize_t n) noexcept nogil

cdef bint fusing = True
cdef void* newest = NULL                 # the list of the recipes that wait, borrowed references


@cython.final
@cython.no_gc                            # what it holds never leads back to it
@cython.freelist(64)
cdef class Pending:
    """The recipe of an array, and the array once somebody has asked for it."""

    def __dealloc__(self):
        if self.rows is not None:
            unlist(self)


cdef bint may_wait(ndarray rows) noexcept:
    """Whether a recipe may be written that reads these rows later: float32 in memory that only this package writes to."""
    if not fusing or PyArray_TYPE(rows) != NPY_FLOAT or PyArray_SIZE(rows) == 0:
        return False
    if PyArray_NDIM(rows) != 2 and PyArray_NDIM(rows) != 4:
        return False
    cdef Block block = block_of(rows)
    return block is not None and block.nbytes > 0 and not block.exposed


cdef Pending postpone(ndarray rows, const Map* m, ndarray like, ndarray vectors, Following following):
    """The recipe of f((rows - center) scale + shift) in the shape of `like`; m says where the rows lie."""
    global newest
    cdef Pending p = Pending.__new__(Pending)
    p.rows, p.map, p.block, p.like, p.vectors, p.following = rows, m[0], block_of(rows), like, vectors, following
    p.block.pendings += 1
    p.older, p.newer = newest, NULL
    if newest != NULL:
        (<Pending>newest).newer = <void*>p
    newest = <void*>p
    return p


cdef int unlist(Pending p) noexcept:
    """Take a recipe that waits out of the list."""
    global newest
    if p.newer != NULL:
        (<Pending>p.newer).older = p.older
    else:
        newest = p.older
    if p.older != NULL:
        (<Pending>p.older).newer = p.newer
    p.block.pendings -= 1
    if p.other is not None:
        p.other.pendings -= 1
    p.rows = p.block = p.addend = p.other = None
    return 0


cdef Pending followed(Pending p, Following following):
    """The recipe p, which waits and has no activation, with one."""
    cdef Pending q = postpone(p.rows, &p.map, p.like, p.vectors, following)
    if p.addend is not None:
        add_to(q, p.addend)
    return q


cdef Pending with_addend(Pending p, ndarray x):
    """The recipe of p's result plus x; None if that cannot be one."""
    if (p.array is not None or p.following != NOTHING or p.addend is not None or PyArray_NDIM(x) != 4 or not may_wait(x)
            or not same_layout(x, p.like)):
        return None
    cdef Pending q = postpone(p.rows, &p.map, p.like, p.vectors, NOTHING)
    add_to(q, x)
    return q


cdef int add_to(Pending p, ndarray x) except -1:
    p.addend, p.other = x, block_of(x)
    p.other.pendings += 1
    return 0


cdef ndarray computed(Pending p):
    """The result of a recipe."""
    if p.array is not None:
        return p.array
    cdef Map m
    cdef ndarray y = new_rows(p.like, &m)
    if p.array is None:
        compute_into(p, &m)
    if p.array is not None:              # computed by another thread while the GIL was released, or by a garbage collection
        return p.array
    cdef Block block = block_of(y)
    block.version, block.is_saved = p.version, p.is_saved
    p.array = y
    unlist(p)
    return y


cdef int compute_into(Pending p, const Map* y) except -1:
    """The result of a recipe that waits, into the rows y."""
    cdef ndarray rows = p.rows, vectors = p.vectors, addend = p.addend         # kept while the GIL is released
    cdef Map x = p.map, a
    x.data = <char*>PyArray_DATA(rows)
    cdef float* v = <float*>PyArray_DATA(vectors)
    if addend is not None:
        is_nhwc(addend, &a)
    return apply_f32(y, &x, v + CENTER * x.c, v + SCALE * x.c, v + SHIFT * x.c, &a if addend is not None else NULL, p.following)


cdef int compute_all(Block block) except -1:
    """Compute the recipes that read out of the block, or all, if it is None."""
    cdef void* at
    cdef Pending p
    while block is None or block.pendings:
        at = newest
        while at != NULL and block is not None and (<Pending>at).block is not block and (<Pending>at).other is not block:
            at = (<Pending>at).older
        if at == NULL:
            break
        p = <Pending>at
        computed(p)                      # other threads may have changed the list meanwhile: search from its start
    return 0


cdef int before_write(ndarray x) except -1:
    """Must be called before x, an array that others may hold too, is written in place."""
    cdef Block block = block_of(x)
    if block is not None and block.pendings:
        compute_all(block)
    return 0


cdef int expose(ndarray x) except -1:
    """Must be called before x is handed to code that may write into it."""
    cdef Block block = block_of(x)
    if block is not None:
        block.exposed = True
        if block.pendings:
            compute_all(block)
    return 0


# ---- settings ---------------------------------------------------------------------------------------------------------

def set_fusion(enabled):
    """Choose whether batch normalisation, activation and concatenation are computed together; on by default.

    A float32 batch normalisation of (N, C) or (N, C, H, W) is computed when its result is first read.  By then it is known
    whether another tensor is added, ReLU or sigmoid follows and the result goes into a concatenation, and all are done in one
    pass; so are the gradients of ReLU and normalisation.  Layers stay as they are written, and everything can be looked at,
    hooked and changed as without fusion.  Results are the same to the last bit.

    Parameters
    ----------
    enabled : bool
        False computes at once what is still waiting, and everything from now on where it is written.

    Raises
    ------
    ArgumentError
        If `enabled` is not a bool.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.set_fusion(False)
    >>> tn.get_fusion()
    False
    >>> tn.set_fusion(True)
    """
    global fusing
    fusing = _check.boolean("set_fusion", "enabled", enabled)
    if not fusing:
        compute_all(None)


def get_fusion():
    """Whether batch normalisation, activation and concatenation are computed together: see `set_fusion`.

    Returns
    -------
    bool

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.get_fusion()
    True
    """
    return fusing


# ---- the pass over z --------------------------------------------------------------------------------------------------

cdef Py_ssize_t range_of_rows(Py_ssize_t m) noexcept:
    """Rows per range: whole blocks of TN_ROW_BLOCK, at least one, and at most SLOTS ranges."""
    return max(((m + SLOTS - 1) // SLOTS + TN_ROW_BLOCK - 1) // TN_ROW_BLOCK, 1) * TN_ROW_BLOCK


cdef void apply_piece(const Map* y, const Map* x, const float* center, const float* scale, const float* shift,
                      const Map* addend, Following following, Py_ssize_t m, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    cdef Py_ssize_t c = x.c, first = i * step, last = min(first + step, m), n
    cdef float* to
    if following != SIGMOID and addend == NULL:
        (K.bn_relu_apply_f32 if following == RELU else K.bn_apply_f32)(
            <float*>y.data + first * y.ld, <float*>x.data + first * x.ld, center, scale, shift, last - first, c, y.ld, x.ld)
        tn_leave(mode)
        return
    while first < last:                  # a block of rows at a time, which is in the cache then
        n = min(last - first, TN_ROW_BLOCK)
        to = <float*>y.data + first * y.ld
        K.bn_apply_f32(to, <float*>x.data + first * x.ld, center, scale, shift, n, c, y.ld, x.ld)
        if addend != NULL:
            tn_leave(mode)               # addition keeps subnormal numbers (arithmetic.pyx)
            add(to, <float*>addend.data + first * c, n, c, y.ld)
            mode = tn_enter()
        if following != NOTHING:
            activate(K.relu_forward_f32 if following == RELU else K.sigmoid_forward_f32, to, n, c, y.ld)
        first += n
    tn_leave(mode)


cdef inline void add(float* y, const float* x, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ld) noexcept nogil:
    """y += x, whose rows lie c apart."""
    cdef Py_ssize_t i
    if ld == c:
        K.add_f32(y, y, x, rows * c, 1, 1)
        return
    for i in range(rows):
        K.add_f32(y + i * ld, y + i * ld, x + i * c, c, 1, 1)


cdef inline void activate(map_t f, float* y, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ld) noexcept nogil:
    """y = f(y)"""
    cdef Py_ssize_t i
    if ld == c:
        f(y, y, rows * c)
        return
    for i in range(rows):
        f(y + i * ld, y + i * ld, c)


cdef int apply_f32(const Map* y, const Map* x, const float* center, const float* scale, const float* shift,
                   const Map* addend, Following following) except -1:
    """y = f((x - center) scale + shift + addend), per channel; addend NULL: 0."""
    cdef Py_ssize_t m = x.n * x.h * x.w, step = range_of_rows(m), i
    cdef double work = 12.0 + (8.0 if addend != NULL else 0.0) + (30.0 if following == SIGMOID else 0.0)
    cdef int threads = team(work * m * x.c, (m + step - 1) // step)
    if threads == 1:
        with nogil:
            for i in range((m + step - 1) // step):
                apply_piece(y, x, center, scale, shift, addend, following, m, step, i)
    else:
        for i in prange((m + step - 1) // step, nogil=True, schedule="static", num_threads=threads):
            apply_piece(y, x, center, scale, shift, addend, following, m, step, i)
    return 0
