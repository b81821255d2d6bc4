"""Reshaping, transposing, joining, splitting, padding: ops that move values and compute nothing.

Reshape, permute, broadcast and split give views where strides allow; a view lives in the same block as its source and shares
its version counter.  Reshaping means C (N, C, H, W) order whatever the strides are.
"""

from libc.string cimport memcpy
from numpy cimport (
    PyArray_DATA, PyArray_DIMS, PyArray_ISCARRAY, PyArray_ISCARRAY_RO, PyArray_ITEMSIZE, PyArray_NDIM, PyArray_SIZE, PyArray_TYPE,
    import_array, ndarray, npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.arithmetic cimport unbroadcast
from tinynet.ops.checks cimport axis_of, check_same_dtype, quiet, shape_of
from tinynet.ops.layout cimport Map, is_channels_last, is_nhwc, new_nhwc
from tinynet.ops.memory cimport (
    contiguous, matching, new_array, new_like, new_shaped, outline, own_copy, repeated, reshaped,
)
from tinynet.ops.pending cimport Pending, compute_into, computed
from tinynet.ops.walk cimport assign

import numpy as np

from tinynet.errors import ArgumentError, ShapeError

import_array()


cdef class Reshape(Op):
    """y = x in another shape of as many elements, a view if strides allow.  gx = gy in x's shape and layout."""

    cdef tuple shape
    cdef ndarray x                       # an outline

    def __init__(self, shape):
        self.shape = tuple(shape)

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        self.x = outline(x)
        cdef Py_ssize_t unknown = -1, i
        cdef object known = 1
        cdef list shape = []
        for i in range(len(self.shape)):
            if not hasattr(self.shape[i], "__index__"):
                raise ArgumentError(f"reshape: shape must hold integers; got {self.shape}")
            n = self.shape[i].__index__()
            shape.append(n)
            if n == -1 and unknown < 0:
                unknown = i
            elif n < 0:
                raise ShapeError(f"reshape: shape must hold sizes of at least 0 and at most one -1; got {self.shape}")
            else:
                known *= n               # a Python int: it may exceed 64 bits
        cdef Py_ssize_t size = PyArray_SIZE(x)
        if unknown >= 0 and known > 0 and size % known == 0:
            shape[unknown] = size // known
        elif unknown >= 0 or known != size:
            raise ShapeError(f"reshape: shape must have as many elements as x, {size} of shape {shape_of(x)}; "
                             f"got {self.shape}")
        return view_or_copy(x, tuple(shape))

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray g = view_or_copy(gy, shape_of(self.x))
        if PyArray_NDIM(self.x) < 4:
            return (g,)
        return (matching(g, self.x),)        # images are channels-last: give the gradient back so


cdef ndarray view_or_copy(ndarray x, tuple shape):
    """x in another shape: a view where strides allow, else a copy in a block of its own."""
    if PyArray_ISCARRAY_RO(x) and len(shape) <= 64:
        return reshaped(x, shape)
    try:
        return np.reshape(x, shape, copy=False)
    except ValueError:
        return np.reshape(contiguous(x), shape)


cdef class Permute(Op):
    """y = x with its axes in the order `dims`, a view.  gx = gy with the inverse order."""

    cdef tuple dims

    def __init__(self, dims):
        self.dims = tuple(dims)

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        cdef int nd = PyArray_NDIM(x)
        cdef tuple axes = tuple([axis_of("permute", d, nd) for d in self.dims])
        if sorted(axes) != list(range(nd)):
            raise ArgumentError(f"permute: dims must name each of the {nd} axes once; got {self.dims}")
        self.dims = axes
        return (<object>x).transpose(axes)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return ((<object>gy).transpose([self.dims.index(d) for d in range(len(self.dims))]),)


cdef class BroadcastTo(Op):
    """y = x repeated to a larger shape (-1: the size it has), a view.  gx = gy summed over the repeated axes."""

    cdef tuple shape
    cdef ndarray x                       # an outline

    def __init__(self, shape):
        self.shape = tuple(shape)

    @property
    def name(self):
        return "broadcast_to"

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        cdef int extra = len(self.shape) - PyArray_NDIM(x), d
        self.x = outline(x)
        try:                                 # -1 keeps the size of an axis that x has
            shape = tuple([PyArray_DIMS(x)[d - extra] if self.shape[d] == -1 and d >= extra else self.shape[d]
                           for d in range(len(self.shape))])
            strides = np.broadcast_to(x, shape).strides
        except (ValueError, TypeError):
            raise ShapeError(f"broadcast_to: x of shape {shape_of(x)} cannot be repeated to {self.shape}") from None
        return repeated(x, shape, strides)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (unbroadcast(gy, self.x),)


cdef bint fit_along(ndarray a, ndarray b, int axis) noexcept:
    """Whether the shapes of a and b are the same but for one axis, at most."""
    cdef int d
    if PyArray_NDIM(a) != PyArray_NDIM(b):
        return False
    for d in range(PyArray_NDIM(a)):
        if d != axis and PyArray_DIMS(a)[d] != PyArray_DIMS(b)[d]:
            return False
    return True


cdef class Cat(Op):
    """y = the inputs one after the other along `dim`.  The gradient of each is its slice of gy, a view.

    As in PyTorch, an input of shape (0,) beside inputs of more axes adds nothing.  An image that is not computed yet
    (ops/pending.pyx) is computed into its slice.
    """

    cdef object dim
    cdef int axis
    cdef list ends
    cdef list empty

    def __init__(self, dim=0):
        self.dim, self.takes_pending = dim, True

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray first = None, x
        cdef int i
        cdef list forms = [form_of(each) for each in inputs], parts = []
        if not inputs:
            raise ArgumentError("cat: tensors must hold at least one tensor; got none")
        for x in forms:
            if not adds_nothing(x):
                first = x
                break
        if first is None:
            first = forms[0]
        cdef int nd = PyArray_NDIM(first)
        if nd == 0:
            raise ShapeError("cat: tensors must have at least one axis; got a scalar")
        self.axis = axis_of("cat", self.dim, nd)
        self.ends, self.empty = [0], []
        cdef Py_ssize_t end = 0
        for i in range(len(forms)):
            x = forms[i]
            if PyArray_TYPE(x) != PyArray_TYPE(first):
                check_same_dtype("cat", "tensors[0]", forms[0], f"tensors[{i}]", x)
            self.empty.append(adds_nothing(x))
            if not adds_nothing(x):
                if not fit_along(x, first, self.axis):
                    raise ShapeError(f"cat: tensors must have equal shapes but for dim {self.axis}; "
                                     f"got {shape_of(first)} and {shape_of(x)} (tensors[{i}])")
                parts.append(x)
                end += PyArray_DIMS(x)[self.axis]
            self.ends.append(end)
        cdef ndarray y = out
        if y is None:
            shape = list(shape_of(first))
            shape[self.axis] = self.ends[-1]
            y = self.room(first, parts, shape)
        if nd == 4:
            self.copy_images(y, inputs)
        elif parts:
            parts = [array_of(inputs[i]) for i in range(len(inputs)) if not self.empty[i]]
            if not join(y, parts, self.axis):
                np.concatenate(parts, self.axis, y)
        return y

    cdef ndarray room(self, ndarray first, list parts, list shape):
        """An array for the result, channels-last where images are put together along their channels or one of them is so."""
        cdef Map m
        cdef ndarray x
        if len(shape) == 4 and self.axis == 1 and (<object>first).dtype.kind == "f":
            return new_nhwc(shape[0], shape[1], shape[2], shape[3], PyArray_TYPE(first), &m)
        for x in parts:
            if is_channels_last(x):
                return new_shaped(x, shape)
        return new_shaped(first, shape)

    cdef int copy_images(self, ndarray y, tuple inputs) except -1:
        cut = [slice(None)] * 4
        for i in range(len(inputs)):
            if not self.empty[i]:
                cut[self.axis] = slice(self.ends[i], self.ends[i + 1])
                copy_image((<object>y)[tuple(cut)], inputs[i])
        return 0

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cut = [slice(None)] * (<object>gy).ndim
        cdef list gradients = []
        for i in range(len(needs)):
            cut[self.axis] = slice(self.ends[i], self.ends[i + 1])
            if self.empty[i]:                # an input of fewer axes
                gradients.append(gy.reshape(-1)[:0] if needs[i] else None)
            else:
                gradients.append(gy[tuple(cut)] if needs[i] else None)
        return tuple(gradients)


cdef bint join(ndarray y, list parts, int axis):
    """y = the parts, one after the other along the axis, if all lie in C order: otherwise False, and nothing done."""
    cdef ndarray x
    cdef Py_ssize_t outer = 1, inner = PyArray_ITEMSIZE(y), i, run, step
    cdef char* to = <char*>PyArray_DATA(y)
    cdef const char* source
    for x in parts:
        if not PyArray_ISCARRAY_RO(x):
            return False
    if not PyArray_ISCARRAY(y):
        return False
    for i in range(PyArray_NDIM(y)):
        if i < axis:
            outer *= PyArray_DIMS(y)[i]
        elif i > axis:
            inner *= PyArray_DIMS(y)[i]
    step = inner * PyArray_DIMS(y)[axis]
    for x in parts:
        run, source = inner * PyArray_DIMS(x)[axis], <const char*>PyArray_DATA(x)
        with nogil:
            for i in range(outer):
                memcpy(to + i * step, source + i * run, run)
        to += run
    return True


cdef ndarray form_of(object x):
    """The array, or the outline of one that is not computed yet."""
    return (<Pending>x).like if isinstance(x, Pending) else <ndarray>x


cdef ndarray array_of(object x):
    return computed(<Pending>x) if isinstance(x, Pending) else <ndarray>x


cdef int copy_image(ndarray y, object x) except -1:
    """y = x, an array or one that is not computed yet."""
    cdef Map m
    if isinstance(x, Pending) and (<Pending>x).array is None and is_nhwc(y, &m):
        compute_into(<Pending>x, &m)
        if (<Pending>x).array is None:
            return 0                     # else another thread computed it meanwhile, and may have written over its input since
    assign(y, array_of(x))
    return 0


cdef bint adds_nothing(ndarray x) noexcept:
    return PyArray_NDIM(x) == 1 and PyArray_DIMS(x)[0] == 0


cdef class Stack(Op):
    """y = the inputs, of one shape, along a new axis `dim`.  The gradient of each is its slice of gy, a view."""

    cdef object dim
    cdef int axis

    def __init__(self, dim=0):
        self.dim = dim

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray first, x, y
        cdef npy_intp[65] shape
        cdef int d, i, nd
        if not inputs:
            raise ArgumentError("stack: tensors must hold at least one tensor; got none")
        first = inputs[0]
        nd = PyArray_NDIM(first)
        self.axis = axis_of("stack", self.dim, nd + 1)
        for i in range(1, len(inputs)):
            x = inputs[i]
            check_same_dtype("stack", "tensors[0]", first, f"tensors[{i}]", x)
            if shape_of(x) != shape_of(first):
                raise ShapeError(f"stack: tensors must have equal shapes; got {shape_of(first)} and {shape_of(x)} (tensors[{i}])")
        for d in range(nd + 1):
            shape[d] = len(inputs) if d == self.axis else PyArray_DIMS(first)[d - (d > self.axis)]
        y = new_array(nd + 1, shape, PyArray_TYPE(first))
        np.stack(inputs, self.axis, out=y)
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        lead = (slice(None),) * self.axis
        return tuple([gy[lead + (i, Ellipsis)] if needs[i] else None for i in range(len(needs))])


cdef class Split(Op):
    """y0, y1, ... = x cut along `dim` into parts of `sizes`, views; without `dim` in their shape if `drop` (sizes 1).

    gx = the gradients of the parts one after the other, 0 for a part that nobody used.
    """

    cdef object dim
    cdef object sizes
    cdef bint drop
    cdef str door
    cdef list cuts
    cdef ndarray x                       # an outline

    def __init__(self, sizes, dim=0, drop=False, door="split"):
        self.sizes, self.dim, self.drop, self.door = sizes, dim, drop, door

    @property
    def name(self):
        return self.door

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        cdef int axis
        if PyArray_NDIM(x) == 0:
            raise ShapeError(f"{self.door}: x must have at least one axis; got a scalar")
        axis = axis_of(self.door, self.dim, PyArray_NDIM(x))
        self.x = outline(x)
        cdef Py_ssize_t n = PyArray_DIMS(x)[axis], first = 0, size
        sizes = [1] * n if self.drop else self.sizes
        if any([not hasattr(s, "__index__") or s < 0 for s in sizes]) or sum(sizes) != n:
            raise ShapeError(f"{self.door}: the sizes of the parts must be integers of at least 0 with sum {n}, x's size along "
                             f"dim {axis}; got {sizes}")
        self.cuts = []
        for size in sizes:
            self.cuts.append((slice(None),) * axis + ((first, Ellipsis) if self.drop else (slice(first, first + size),)))
            first += size
        return tuple([(<object>x)[cut] for cut in self.cuts])

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray gx = new_like(self.x)
        gradients = gy if isinstance(gy, list) else [gy]         # one part alone comes as it is
        for cut, g in zip(self.cuts, gradients):
            if g is None or self.drop:
                (<object>gx)[cut] = 0 if g is None else g
            else:
                assign((<object>gx)[cut], g)
        return (gx,)


cdef class Pad(Op):
    """y = x with `value` before and after it along its last axes; a negative width cuts off instead.  Images come out
    channels-last.

    `widths` is (before, after) of the last axis, then of the one before it, and so on.  gx = what lies of gy where x went, 0
    where x was cut off.
    """

    cdef tuple widths
    cdef object value
    cdef tuple source                    # the slices of x that went into y,
    cdef tuple target                    # and where they went
    cdef ndarray x                       # an outline

    def __init__(self, widths, value=0):
        self.widths, self.value = tuple(widths), value

    cdef object forward(self, tuple inputs, ndarray out):
        cdef Map m
        cdef ndarray x = inputs[0], y
        cdef int nd = PyArray_NDIM(x), d
        cdef list shape = list(shape_of(x)), source = [slice(None)] * nd, target = [slice(None)] * nd
        if len(self.widths) % 2 or len(self.widths) > 2 * nd or any([not hasattr(w, "__index__") for w in self.widths]):
            raise ArgumentError(f"pad: pad must be pairs of integers, at most one for each of the {nd} axes; got {self.widths}")
        for d in range(nd - 1, nd - 1 - len(self.widths) // 2, -1):
            before, after = self.widths[2 * (nd - 1 - d)], self.widths[2 * (nd - 1 - d) + 1]
            n = shape[d]
            shape[d] = n + before + after
            if shape[d] < 0 or n + min(before, 0) + min(after, 0) < 0:
                raise ShapeError(f"pad: pad must not cut off more than there is; got {self.widths} for shape {shape_of(x)}")
            source[d] = slice(max(-before, 0), n + min(after, 0))
            target[d] = slice(max(before, 0), shape[d] - max(after, 0))
        self.source, self.target, self.x = tuple(source), tuple(target), outline(x)
        if nd == 4:
            y = new_nhwc(shape[0], shape[1], shape[2], shape[3], PyArray_TYPE(x), &m)
        else:
            y = new_shaped(x, shape)
        try:
            with quiet():
                (<object>y).fill(self.value)
        except (TypeError, ValueError, OverflowError):
            raise ArgumentError(f"pad: value must fit into {(<object>x).dtype}; got {self.value!r}") from None
        assign((<object>y)[self.target + (Ellipsis,)], (<object>x)[self.source + (Ellipsis,)])
        return y

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        if all([w >= 0 for w in self.widths]):
            return (gy[self.target + (Ellipsis,)],)
        cdef ndarray gx = new_like(self.x)
        (<object>gx).fill(0)
        assign((<object>gx)[self.source + (Ellipsis,)], gy[self.target + (Ellipsis,)])
        return (gx,)


cdef class Triangle(Op):
    """y = x (..., M, N) where j - i <= diagonal (lower) or >= diagonal (upper), else 0.  gx = gy there, else 0."""

    cdef object diagonal
    cdef bint upper

    def __init__(self, diagonal=0, upper=False):
        self.diagonal, self.upper = diagonal, upper

    @property
    def name(self):
        return "triu" if self.upper else "tril"

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0]
        if PyArray_NDIM(x) < 2:
            raise ShapeError(f"{self.name}: x must have at least 2 axes; got shape {shape_of(x)}")
        if not hasattr(self.diagonal, "__index__"):
            raise ArgumentError(f"{self.name}: diagonal must be an integer; got {self.diagonal!r}")
        return self.cut(x)

    cdef ndarray cut(self, ndarray x):
        return own_copy((np.triu if self.upper else np.tril)(x, self.diagonal))

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        return (self.cut(gy),)
