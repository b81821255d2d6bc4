"""Forms: the part of `Tensor` that changes a tensor's form or picks from it - shapes, indexing - and products of matrices.

What these methods accept and return follows PyTorch; the equations stand in ops/shape.pyx, ops/indexing.pyx, ops/matmul.pyx.
Rarely used ones are put together from others.
"""

from numpy cimport import_array, ndarray

from tinynet._operators cimport Operators, promoted
from tinynet._variable cimport Variable, run, values, wrap
from tinynet.ops.checks cimport integer_of, quiet
from tinynet.ops.layout cimport Map, is_nhwc
from tinynet.ops.memory cimport own_copy, touch

import numpy as np

from tinynet._grad_mode import is_grad_enabled
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.ops import indexing, matmul, shape as shapes
from tinynet.ops.reduction import axes_of

import_array()


# ---- arguments --------------------------------------------------------------------------------------------------------

cdef tuple listed(tuple sizes):
    """Integers given one by one, or as one tuple or list."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes


cdef int axis(str op, object dim, int ndim) except -1:
    """The one axis that dim means."""
    if isinstance(dim, (tuple, list)) or dim is None:
        raise ArgumentError(f"{op}: dim must be an integer; got {dim!r}")
    return axes_of(op, dim, ndim)[0] if ndim else axes_of(op, dim, 1)[0]


cdef object indices(str op, object index, str name="index"):
    """The array of a tensor of indices."""
    if not isinstance(index, Variable):
        raise DTypeError(f"{op}: {name} must be a Tensor; got {type(index).__name__}")
    return values(<Variable>index)


cdef object plain_index(object index):
    """An index with tensors and lists in it as one with arrays and integers."""
    cdef object a
    if isinstance(index, tuple):
        return tuple([plain_index(i) for i in index])
    if isinstance(index, slice):             # a tensor in it may change before backward
        bounds = (index.start, index.stop, index.step)
        return slice(*[None if v is None else integer_of("index", "each bound of a slice", v) for v in bounds])
    if isinstance(index, Variable):
        a = values(<Variable>index)
    elif isinstance(index, (list, range)):
        a = np.asarray(index, None if len(index) else np.intp)
    elif isinstance(index, np.ndarray):
        a = index
    else:
        return index
    return int(a) if a.ndim == 0 and a.dtype.kind in "iu" else a


cdef tuple matrices(str op, object a, object b):
    """Two operands of a product as Tensors of one dtype."""
    operands = promoted(op, a, b, False)
    if operands[0] is NotImplemented:
        raise DTypeError(f"{op}: operands must be Tensors; got {type(a).__name__} and {type(b).__name__}")
    return operands


# ---- Forms ------------------------------------------------------------------------------------------------------------

cdef class Forms(Operators):
    """The part of `Tensor` that changes its form, picks from it, and multiplies matrices."""

    # -- other shapes of the same elements --

    def reshape(self, *shape):
        """The elements in another shape, in C order: a view where possible.  One size may be -1."""
        return run(shapes.Reshape(listed(shape)), (self,))

    def view(self, *shape):
        """`reshape` to `shape`, ints or one tuple, as a view; ShapeError if that would need a copy.

        Images (N, C, H, W) lie in memory with their channels last.  Where that alone is in the way - a classifier's
        ``x.view(len(x), -1)``, which in (N, C, H, W) order would be a view - the result is a copy.
        """
        cdef Map m
        if len(shape) == 1 and isinstance(shape[0], (type, str, np.dtype)):
            raise NotImplementedError("view: shape must hold integers, a view as another dtype is not supported; "
                                      f"got {shape[0]!r}")
        y = self.reshape(*shape)
        if (self.numel() and not np.may_share_memory(values(<Variable>y), values(self))
                and not (self.ndim == 4 and is_nhwc(values(self), &m))):
            raise ShapeError(f"view: a tensor of shape {self.shape} and strides {(<object>values(self)).strides} has no view "
                             f"of shape {y.shape}; use reshape")
        return y

    def reshape_as(self, other):
        """`reshape` to the shape of another tensor, `other`."""
        return self.reshape(other.shape)

    def view_as(self, other):
        """`view` in the shape of another tensor, `other`."""
        return self.view(other.shape)

    def ravel(self):
        """All elements along one axis, a view where possible."""
        return self.reshape(-1)

    def flatten(self, start_dim=0, end_dim=-1):
        """The axes from `start_dim` to `end_dim` as one."""
        shape = self.shape or (1,)
        first, last = (axis("flatten", d, self.ndim) for d in (start_dim, end_dim))
        if first > last:
            raise ArgumentError(f"flatten: start_dim must not come after end_dim; got {start_dim} and {end_dim}")
        size = 1
        for n in shape[first:last + 1]:
            size *= n
        return self.reshape(shape[:first] + (size,) + shape[last + 1:])

    def unflatten(self, dim, sizes):
        """The axis `dim` as several of these sizes, one of which may be -1."""
        at = axis("unflatten", dim, self.ndim)
        shape, sizes = self.shape, [integer_of("unflatten", "each of sizes", n) for n in sizes]
        known = 1
        for n in sizes:
            known *= n if n != -1 else 1
        if -1 in sizes and known > 0 and shape[at] % known == 0:
            sizes[sizes.index(-1)] = shape[at] // known
            known = shape[at]
        if not shape or known != shape[at] or min(sizes, default=-1) < 0:
            raise ShapeError(f"unflatten: sizes must have the product of dim {at} of shape {shape}; got {tuple(sizes)}")
        return self.reshape(shape[:at] + tuple(sizes) + shape[at + 1:])

    def squeeze(self, dim=None):
        """Without the axes of size 1 (or without those of `dim`, an integer or several, that have size 1)."""
        drop = axes_of("squeeze", dim, self.ndim)
        return self.reshape(tuple([n for d, n in enumerate(self.shape) if d not in drop or n != 1]))

    def unsqueeze(self, dim):
        """With a new axis of size 1 at `dim`."""
        at = axis("unsqueeze", dim, self.ndim + 1)
        return self.reshape(self.shape[:at] + (1,) + self.shape[at:])

    # -- the axes in another order --

    @property
    def T(self):
        """The matrix transposed, a view (2 axes, or fewer: itself)."""
        if self.ndim > 2:
            raise ShapeError(f"T: the tensor must have at most 2 axes; got shape {self.shape} (use permute)")
        return self.transpose(0, 1) if self.ndim == 2 else self

    @property
    def mT(self):
        """The last two axes exchanged, a view."""
        if self.ndim < 2:
            raise ShapeError(f"mT: the tensor must have at least 2 axes; got shape {self.shape}")
        return self.transpose(-2, -1)

    def t(self):
        """`T`: the matrix transposed."""
        return self.T

    def permute(self, *dims):
        """The axes in the order `dims`, a view."""
        return run(shapes.Permute(listed(dims)), (self,))

    def transpose(self, dim0, dim1):
        """Two axes exchanged, a view."""
        order = list(range(self.ndim))
        a, b = (axis("transpose", d, self.ndim) for d in (dim0, dim1))
        if order:
            order[a], order[b] = b, a
        return run(shapes.Permute(order), (self,))

    def swapaxes(self, axis0, axis1):
        """`transpose`: two axes exchanged."""
        return self.transpose(axis0, axis1)

    def movedim(self, source, destination):
        """The axes `source` (one or several) moved to the places `destination`, the others in their order; a view."""
        s, d = ([axis("movedim", i, self.ndim) for i in (v if isinstance(v, (tuple, list)) else (v,))]
                for v in (source, destination))
        if len(s) != len(d) or len(set(s)) != len(s) or len(set(d)) != len(d):
            raise ArgumentError("movedim: source and destination must name as many axes, each once; "
                                f"got {source!r} and {destination!r}")
        order = [i for i in range(self.ndim) if i not in s]
        for to, of in sorted(zip(d, s)):
            order.insert(to, of)
        return run(shapes.Permute(order if self.ndim else ()), (self,))

    # -- repeated, reversed, cut off --

    def broadcast_to(self, *shape):
        """Repeated to a larger shape, a view that must not be written."""
        return run(shapes.BroadcastTo(listed(shape)), (self,))

    def expand(self, *sizes):
        """Repeated to `sizes`, ints or one tuple, a view that must not be written: `broadcast_to`.

        Axes of size 1 take any size, and new ones may lead; -1 keeps the size of an axis.
        """
        return run(shapes.BroadcastTo(listed(sizes)), (self,))

    def expand_as(self, other):
        """`expand` to the shape of another tensor, `other`."""
        return self.expand(other.shape)

    def repeat(self, *sizes):
        """A copy with axis d repeated ``sizes[d]`` times as a whole; more sizes than axes add leading axes."""
        times = [integer_of("repeat", "each of sizes", n) for n in listed(sizes)]
        shape = (1,) * (len(times) - self.ndim) + self.shape
        if len(times) < self.ndim or min(times, default=0) < 0:
            raise ArgumentError(f"repeat: sizes must be integers of at least 0, one for each of the {self.ndim} axes; "
                                f"got {sizes}")
        apart = [n for pair in zip((1,) * len(shape), shape) for n in pair]          # (1, n0, 1, n1, ...)
        whole = [n for pair in zip(times, shape) for n in pair]                      # (t0, n0, t1, n1, ...)
        y = self.reshape(apart).broadcast_to(whole).reshape([t * n for t, n in zip(times, shape)])
        return y.clone() if np.may_share_memory(values(<Variable>y), values(self)) else y

    def flip(self, *dims):
        """A copy with the elements along each of `dims` in reverse order."""
        back = axes_of("flip", listed(dims), self.ndim)
        return self[tuple([slice(None, None, -1) if d in back else slice(None) for d in range(self.ndim)])].clone()

    def tril(self, diagonal=0):
        """The lower triangle of the last two axes, up to that diagonal (0: the main one, 1: that above it), else 0."""
        return run(shapes.Triangle(diagonal), (self,))

    def triu(self, diagonal=0):
        """The upper triangle of the last two axes, from that diagonal on, else 0."""
        return run(shapes.Triangle(diagonal, True), (self,))

    # -- in parts --

    def split(self, split_size, dim=0):
        """Views of parts of `split_size` along `dim` (the last may be smaller), or of the sizes in a list; a tuple."""
        at = axis("split", dim, self.ndim)
        if not isinstance(split_size, (tuple, list)):
            n, size = (self.shape or (0,))[at], integer_of("split", "split_size", split_size)
            if size < 0 or (size == 0 and n):
                raise ArgumentError(f"split: split_size must be a positive integer or a list; got {split_size}")
            split_size = [min(size, n - i) for i in range(0, n, size)] if n else [0]
        return run(shapes.Split(list(split_size), dim), (self,))

    def chunk(self, chunks, dim=0):
        """At most `chunks` views along `dim`, all but the last of one size; a tuple."""
        chunks = integer_of("chunk", "chunks", chunks)
        if chunks < 1:
            raise ArgumentError(f"chunk: chunks must be at least 1; got {chunks}")
        n = (self.shape or (0,))[axis("chunk", dim, self.ndim)]
        size = (n + chunks - 1) // chunks
        sizes = [min(size, n - i) for i in range(0, n, size)] if n else [0] * chunks
        return run(shapes.Split(sizes, dim, door="chunk"), (self,))

    def unbind(self, dim=0):
        """The slices along `dim` as views without that axis; a tuple."""
        return run(shapes.Split(None, dim, True, "unbind"), (self,))

    # -- picked by index --

    def __getitem__(self, index):
        return run(indexing.Index(plain_index(index)), (self,))

    def __setitem__(self, index, value):
        cdef ndarray a = values(self)
        index = plain_index(index)
        self.check_write("__setitem__")
        cdef bint wanted = self.node is not None or (isinstance(value, Variable) and (<Variable>value).node is not None)
        if not (wanted and is_grad_enabled()):
            try:
                indexing.assign(a, index if isinstance(index, tuple) else (index,),
                                values(<Variable>value) if isinstance(value, Variable) else value)
            finally:
                touch(a)                         # elements before one that does not fit are written
            return
        if not isinstance(value, Variable):
            try:
                with quiet():
                    value = wrap(own_copy(np.asarray(value, self.dtype)), None, 0)
            except (ValueError, OverflowError, TypeError) as error:
                raise ArgumentError(f"__setitem__: value does not fit: {error}") from None
        value = value.to(self.dtype)
        self.check_views("__setitem__", self.node if (<Variable>value).node is None else (<Variable>value).node)
        self.write("__setitem__", run(indexing.SetItem(index), (wrap(a, self.node, self.index), value)))

    def index_select(self, dim, index):
        """The slices along `dim` that `index`, an integer tensor of shape (P,), names; a copy."""
        return run(indexing.IndexSelect(dim, indices("index_select", index)), (self,))

    def gather(self, dim, index):
        """``y[i, j, k] = x[i, index[i, j, k], k]`` for dim 1, and likewise for others.

        `index` has as many axes as the tensor and, but for `dim`, at most its sizes.
        """
        return run(indexing.Gather(dim, indices("gather", index)), (self,))

    def take_along_dim(self, indices, dim=None):
        """`gather` with tensor and indices broadcast to each other but for `dim`; of the flattened tensor without `dim`."""
        if dim is None:
            return self.flatten().gather(0, indices.flatten())
        at = axis("take_along_dim", dim, self.ndim)
        if indices.ndim != self.ndim:
            raise ShapeError(f"take_along_dim: indices must have {self.ndim} axes, as x has; got shape {indices.shape}")
        one = [n if d != at else 1 for d, n in enumerate(self.shape)]
        other = [n if d != at else 1 for d, n in enumerate(indices.shape)]
        try:
            both = list(np.broadcast_shapes(tuple(one), tuple(other)))
        except ValueError:
            raise ShapeError(f"take_along_dim: indices must broadcast to x {self.shape} but for dim {at}; "
                             f"got {indices.shape}") from None
        both[at:at + 1] = [-1] if self.ndim else []
        return self.expand(both).gather(dim, indices.expand(both))

    def masked_select(self, mask):
        """The elements where `mask`, a bool tensor that broadcasts with this one, is true, in one axis; a copy."""
        if indices("masked_select", mask, "mask").dtype != np.bool_:
            raise DTypeError(f"masked_select: mask must be a bool tensor; got {mask.dtype}")
        try:
            shape = np.broadcast_shapes(self.shape, mask.shape)
        except ValueError:
            raise ShapeError(f"masked_select: mask must broadcast with x {self.shape}; got {mask.shape}") from None
        x = self if self.shape == shape else self.broadcast_to(shape)
        return x[mask if mask.shape == shape else mask.broadcast_to(shape)]

    def diag(self, diagonal=0):
        """The diagonal of a matrix, or the matrix with this vector as its diagonal (0: the main one, 1: that above it)."""
        cdef object i
        low, right = max(-diagonal, 0), max(diagonal, 0)
        if self.ndim == 2:
            i = np.arange(max(min(self.shape[0] - low, self.shape[1] - right), 0))
            return self[i + low, i + right]
        if self.ndim != 1:
            raise ShapeError(f"diag: x must have 1 or 2 axes; got shape {self.shape}")
        i = np.arange(self.shape[0])
        size = self.shape[0] + abs(diagonal)
        y = self.new_zeros(size, size)
        y[i + low, i + right] = self
        return y

    # -- products --

    def __matmul__(self, other):
        if not isinstance(other, (Variable, np.ndarray)):
            return NotImplemented
        return run(matmul.MatMul(), promoted("matmul", self, other, False))

    def __rmatmul__(self, other):
        if not isinstance(other, (Variable, np.ndarray)):
            return NotImplemented
        return run(matmul.MatMul(), promoted("matmul", other, self, False))

    def matmul(self, other):
        """The product with a vector, a matrix, or a batch of matrices; batch axes broadcast."""
        return run(matmul.MatMul(), matrices("matmul", self, other))

    def mm(self, mat2):
        """The product of two matrices."""
        a, b = matrices("mm", self, mat2)
        if a.ndim != 2 or b.ndim != 2:
            raise ShapeError(f"mm: input and mat2 must have shapes (M, K) and (K, N); got {a.shape} and {b.shape}")
        return run(matmul.MatMul(), (a, b))

    def bmm(self, mat2):
        """The products of two batches of as many matrices."""
        a, b = matrices("bmm", self, mat2)
        if a.ndim != 3 or b.ndim != 3 or a.shape[0] != b.shape[0]:
            raise ShapeError(f"bmm: input and mat2 must have shapes (B, M, K) and (B, K, N); got {a.shape} and {b.shape}")
        return run(matmul.MatMul(), (a, b))

    def dot(self, tensor):
        """The scalar product of two vectors."""
        a, b = matrices("dot", self, tensor)
        if a.ndim != 1 or a.shape != b.shape:
            raise ShapeError(f"dot: input and tensor must have one shape (K,); got {a.shape} and {b.shape}")
        return run(matmul.MatMul(), (a, b))

    def outer(self, vec2):
        """The products of each element of a vector (M) with each of another (N): (M, N)."""
        a, b = matrices("outer", self, vec2)
        if a.ndim != 1 or b.ndim != 1:
            raise ShapeError(f"outer: input and vec2 must have shapes (M,) and (N,); got {a.shape} and {b.shape}")
        return a.unsqueeze(1) * b
