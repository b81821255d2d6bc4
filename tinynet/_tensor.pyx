"""Tensor: what one can do with a variable - operators, reductions, shapes, conversions, changes in place.

Each method makes an instance of an op and runs it; how an op is run and recorded stands in _variable.pyx.  What the methods
accept and return follows PyTorch.  Python numbers take the tensor's dtype; float32 and float64 do not mix.
"""

from numpy cimport (
    NPY_DOUBLE, NPY_FLOAT, PyArray_DATA, PyArray_SIZE, PyArray_TYPE, import_array, ndarray,
)

from tinynet._variable cimport FLOATS, Variable, run, values, wrap
from tinynet.ops.memory cimport Block, block_of, new_array, own_copy

import numpy as np

from tinynet import _variable
from tinynet._grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from tinynet._variable import apply, arrays_of, as_dtype, empty, from_numpy, grads_of, tensor
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.ops import arithmetic, linear, reduction, shape as shapes
from tinynet.ops.activation import ReLU, Sigmoid, Tanh
from tinynet.random import draw

import_array()

__all__ = [
    "Tensor", "apply", "arrays_of", "as_dtype", "cat", "empty", "enable_grad", "from_numpy", "grads_of", "is_grad_enabled",
    "no_grad", "set_grad_enabled", "tensor",
]


# ---- operands ---------------------------------------------------------------------------------------------------------

cdef object operand(object x, Tensor like, str op):
    """x as a Tensor to be combined with `like`, whose dtype numbers and integer arrays take; NotImplemented for other things."""
    cdef ndarray a = values(like), b
    dtype = (<object>a).dtype
    if isinstance(x, Tensor):
        if (<object>values(<Tensor>x)).dtype == dtype:
            return x
        x_dtype = (<object>values(<Tensor>x)).dtype
        if dtype.kind == "f" and x_dtype.kind == "f":
            raise DTypeError(f"{op}: operands must have one float dtype; got {dtype} and {x_dtype} "
                             "(convert one of them, for example with .to(dtype))")
        if dtype.kind == "f":
            return (<Tensor>x).detach().to(dtype)
        return x
    if isinstance(x, (bool, int, float, np.integer, np.floating, np.bool_)):
        if dtype.kind != "f" and isinstance(x, (float, np.floating)):
            dtype = np.dtype(np.float32)
        elif dtype.kind == "b" and not isinstance(x, (bool, np.bool_)):
            dtype = np.dtype(np.int64)
        try:
            x = x.__float__() if dtype.kind == "f" else x
        except OverflowError:
            raise ArgumentError(f"{op}: the number does not fit into {dtype}") from None
        b = new_array(0, NULL, dtype.num)
        if PyArray_TYPE(b) == NPY_FLOAT:
            (<float*>PyArray_DATA(b))[0] = x
        elif PyArray_TYPE(b) == NPY_DOUBLE:
            (<double*>PyArray_DATA(b))[0] = x
        else:
            try:
                (<object>b)[...] = x
            except OverflowError:
                raise ArgumentError(f"{op}: {x} does not fit into {dtype}") from None
        return wrap(b, None, 0)
    if isinstance(x, np.ndarray):
        return operand(from_numpy(x), like, op)
    return NotImplemented


cdef tuple promoted(str op, object a, object b, bint floats):
    """Two operands, at least one of which is a Tensor, as Tensors of one dtype; NotImplemented in place of what is no operand."""
    if not isinstance(a, Tensor):
        a = operand(a, <Tensor>b, op)
    else:
        b = operand(b, <Tensor>a, op)
    if a is NotImplemented or b is NotImplemented:
        return NotImplemented, NotImplemented
    # An integer tensor beside a float takes the float's dtype; two integers follow NumPy, or become float32 if `floats`.
    da, db = (<object>values(<Tensor>a)).dtype, (<object>values(<Tensor>b)).dtype
    if da != db:
        common = da if da.kind == "f" else db if db.kind == "f" else np.result_type(da, db)
        a, b = (<Tensor>a).to(common), (<Tensor>b).to(common)
    elif da.kind != "f" and (floats or da.kind == "b"):
        common = np.float32 if floats else np.int64
        a, b = (<Tensor>a).to(common), (<Tensor>b).to(common)
    return a, b


cdef object binary(object kind, str op, object a, object b, ndarray out=None):
    """An elementwise op of two operands; into `out`, if that fits."""
    a, b = promoted(op, a, b, kind is arithmetic.Div)
    return NotImplemented if a is NotImplemented else run(kind(), (a, b), out)


cdef object in_place(Tensor t, str op, object kind, object other):
    """t = kind(t, other) in t's memory.  Recorded, the operands are saved, so the result is made beside them and then copied."""
    t.check_write(op)
    cdef bint recorded = t.node is not None or (isinstance(other, Tensor) and (<Tensor>other).node is not None)
    result = binary(kind, op, t.old(other), other, None if recorded and is_grad_enabled() else values(t))
    if result is NotImplemented:
        raise DTypeError(f"{op}: other must be a Tensor or a number; got {type(other).__name__}")
    return t.write(op, result)


cdef object compare(object ufunc, str op, Tensor a, object b):
    """A comparison: a bool tensor, no gradient."""
    # NumPy compares a Python int with any integers rightly, also one that their dtype cannot hold.
    plain = isinstance(b, (bool, int)) and a.dtype.kind != "f"
    other = b if plain else operand(b, a, op)
    if other is NotImplemented:
        return NotImplemented
    try:
        return wrap(own_copy(np.asarray(ufunc(values(a), b if plain else values(<Tensor>other)))), None, 0)
    except ValueError:
        raise ShapeError(f"{op}: shapes {a.shape} and {other.shape} cannot be broadcast together") from None


# ---- Tensor -----------------------------------------------------------------------------------------------------------

cdef class Tensor(Variable):
    """An n-dimensional array that can be differentiated through.

    Make one with `tinynet.tensor`, `tinynet.from_numpy`, `tinynet.zeros` and their like.  ``Tensor(data, requires_grad)``
    itself shares the memory of `data` and is what subclasses build on.

    Parameters
    ----------
    data : Tensor or ndarray
        Shared, not copied.
    requires_grad : bool, default False
        Whether `backward` shall compute a gradient for this tensor, a leaf.  Needs float32 or float64.
    """

    # -- conversions --

    @property
    def T(self):
        """The matrix transposed, a view (2 axes, or fewer: itself)."""
        if self.ndim > 2:
            raise ShapeError(f"T: the tensor must have at most 2 axes; got shape {self.shape} (use permute)")
        return self.transpose(0, 1) if self.ndim == 2 else self

    def clone(self):
        """A copy with memory of its own; the gradient goes through."""
        return run(arithmetic.Clone(), (self,))

    def contiguous(self):
        """The tensor in C order: itself, or a copy through which the gradient goes."""
        return self if (<object>values(self)).flags.c_contiguous else run(arithmetic.Clone(order="C"), (self,))

    def to(self, dtype):
        """The tensor in another dtype (itself if it has it); between float32 and float64 the gradient goes through."""
        if isinstance(dtype, str) and dtype == "cpu":
            return self
        target = as_dtype("to", dtype)
        if target == self.dtype:
            return self
        if self.node is not None and target in FLOATS:
            return run(arithmetic.Cast(target), (self,))
        with np.errstate(over="ignore", invalid="ignore"):
            return wrap(own_copy(np.asarray((<object>values(self)).astype(target))), None, 0)

    def float(self):
        """The tensor in float32."""
        return self.to(np.float32)

    def double(self):
        """The tensor in float64."""
        return self.to(np.float64)

    def long(self):
        """The tensor in int64."""
        return self.to(np.int64)

    def cpu(self):
        """The tensor itself: there is one device."""
        return self

    # -- arithmetic --

    def __add__(self, other):
        return binary(arithmetic.Add, "add", self, other)

    def __radd__(self, other):
        return binary(arithmetic.Add, "add", other, self)

    def __sub__(self, other):
        return binary(arithmetic.Sub, "sub", self, other)

    def __rsub__(self, other):
        return binary(arithmetic.Sub, "sub", other, self)

    def __mul__(self, other):
        return binary(arithmetic.Mul, "mul", self, other)

    def __rmul__(self, other):
        return binary(arithmetic.Mul, "mul", other, self)

    def __truediv__(self, other):
        return binary(arithmetic.Div, "div", self, other)

    def __rtruediv__(self, other):
        return binary(arithmetic.Div, "div", other, self)

    def __pow__(self, other, modulo):
        if modulo is not None:
            return NotImplemented
        return binary(arithmetic.Pow, "pow", self, other)

    def __rpow__(self, other, modulo):
        return binary(arithmetic.Pow, "pow", other, self)

    def __neg__(self):
        if self.dtype == np.bool_:
            raise DTypeError("neg: x must hold numbers; got bool")
        return run(arithmetic.Neg(), (self,))

    def __pos__(self):
        return self

    def __abs__(self):
        return run(arithmetic.Abs(), (self,))

    def __matmul__(self, other):
        if not isinstance(other, (Tensor, np.ndarray)):
            return NotImplemented
        return run(linear.MatMul(), promoted("matmul", self, other, True))

    def __rmatmul__(self, other):
        if not isinstance(other, (Tensor, np.ndarray)):
            return NotImplemented
        return run(linear.MatMul(), promoted("matmul", other, self, True))

    def __hash__(self):                          # by identity, though == compares elements
        return <Py_ssize_t><void*>self >> 4

    def __eq__(self, other):
        return compare(np.equal, "eq", self, other)

    def __ne__(self, other):
        return compare(np.not_equal, "ne", self, other)

    def __lt__(self, other):
        return compare(np.less, "lt", self, other)

    def __le__(self, other):
        return compare(np.less_equal, "le", self, other)

    def __gt__(self, other):
        return compare(np.greater, "gt", self, other)

    def __ge__(self, other):
        return compare(np.greater_equal, "ge", self, other)

    def abs(self):
        """The absolute value of each element; slope 0 at 0."""
        return run(arithmetic.Abs(), (self,))

    def exp(self):
        """e to the power of each element."""
        return run(arithmetic.Exp(), (self,))

    def log(self):
        """The natural logarithm of each element."""
        return run(arithmetic.Log(), (self,))

    def sqrt(self):
        """The square root of each element."""
        return run(arithmetic.Sqrt(), (self,))

    def pow(self, exponent):
        """Each element to the power of `exponent`."""
        return self ** exponent

    def matmul(self, other):
        """The matrix product with `other`."""
        return self @ other

    def sigmoid(self):
        """1 / (1 + exp(-x)) of each element."""
        return run(Sigmoid(), (self,))

    def tanh(self):
        """The hyperbolic tangent of each element."""
        return run(Tanh(), (self,))

    def relu(self):
        """max(x, 0) of each element."""
        return run(ReLU(), (self,))

    # -- reductions --

    def sum(self, dim=None, keepdim=False, *, axis=None):
        """The sum over `dim` (an axis, several, or all), which stays as size 1 if `keepdim`.  `axis` is an alias of `dim`."""
        return run(reduction.Sum(dim if axis is None else axis, keepdim), (self,))

    def mean(self, dim=None, keepdim=False, *, axis=None):
        """The mean over `dim` (an axis, several, or all)."""
        return run(reduction.Mean(dim if axis is None else axis, keepdim), (self,))

    def var(self, dim=None, keepdim=False, *, correction=1, axis=None):
        """The variance over `dim`: sum (x - mean)^2 / (n - correction)."""
        dim = dim if axis is None else axis
        centered = self - self.mean(dim, True)
        total = (centered * centered).sum(dim, keepdim)
        n = self.numel() // max(total.numel(), 1)
        return total / (n - correction) if n > correction else total * float("nan")

    def max(self, dim=None, keepdim=False, *, axis=None):
        """The largest element, or the largest along `dim` with its index: a pair (values, indices)."""
        return extremum(self, dim if axis is None else axis, keepdim, True)

    def min(self, dim=None, keepdim=False, *, axis=None):
        """The smallest element, or the smallest along `dim` with its index: a pair (values, indices)."""
        return extremum(self, dim if axis is None else axis, keepdim, False)

    def amax(self, dim=None, keepdim=False, *, axis=None):
        """The largest element over `dim`; ties share the gradient."""
        return run(reduction.Extremum(dim if axis is None else axis, keepdim), (self,))

    def amin(self, dim=None, keepdim=False, *, axis=None):
        """The smallest element over `dim`; ties share the gradient."""
        return run(reduction.Extremum(dim if axis is None else axis, keepdim, False), (self,))

    def argmax(self, dim=None, keepdim=False, *, axis=None):
        """The index of the largest element (of the flattened tensor without `dim`), int64."""
        return arg_extremum(self, dim if axis is None else axis, keepdim, np.argmax, "argmax")

    def argmin(self, dim=None, keepdim=False, *, axis=None):
        """The index of the smallest element (of the flattened tensor without `dim`), int64."""
        return arg_extremum(self, dim if axis is None else axis, keepdim, np.argmin, "argmin")

    # -- shape --

    def reshape(self, *shape):
        """The elements in another shape, in C order: a view where possible.  One size may be -1."""
        return run(shapes.Reshape(shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape), (self,))

    def view(self, *shape):
        """`reshape`, or an error if that would need a copy."""
        y = self.reshape(*shape)
        if self.numel() and not np.may_share_memory(values(<Tensor>y), values(self)):
            raise ShapeError(f"view: a tensor of shape {self.shape} and strides {(<object>values(self)).strides} has no view "
                             f"of shape {y.shape}; use reshape")
        return y

    def flatten(self, start_dim=0, end_dim=-1):
        """The axes from `start_dim` to `end_dim` as one."""
        shape = self.shape or (1,)
        first, last = (reduction.axes_of("flatten", d, self.ndim or 1)[0] for d in (start_dim, end_dim))
        if first > last:
            raise ArgumentError(f"flatten: start_dim must not come after end_dim; got {start_dim} and {end_dim}")
        size = 1
        for n in shape[first:last + 1]:
            size *= n
        return self.reshape(shape[:first] + (size,) + shape[last + 1:])

    def permute(self, *dims):
        """The axes in the order `dims`, a view."""
        return run(shapes.Permute(dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims), (self,))

    def transpose(self, dim0, dim1):
        """Two axes exchanged, a view."""
        order = list(range(self.ndim))
        a, b = (reduction.axes_of("transpose", d, self.ndim)[0] for d in (dim0, dim1))
        order[a], order[b] = b, a
        return run(shapes.Permute(order), (self,))

    def squeeze(self, dim=None):
        """Without the axes of size 1 (or without `dim`, if its size is 1)."""
        drop = reduction.axes_of("squeeze", dim, self.ndim)
        return self.reshape(tuple([n for d, n in enumerate(self.shape) if d not in drop or n != 1]))

    def unsqueeze(self, dim):
        """With a new axis of size 1 at `dim`."""
        at = reduction.axes_of("unsqueeze", dim, self.ndim + 1)[0]
        return self.reshape(self.shape[:at] + (1,) + self.shape[at:])

    def broadcast_to(self, *shape):
        """Repeated to a larger shape, a view that must not be written."""
        return run(shapes.BroadcastTo(shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape), (self,))

    def __getitem__(self, index):
        return run(shapes.Index(plain_index(index)), (self,))

    # -- in place --

    def add_(self, other, *, alpha=1):
        """self += alpha * other"""
        return in_place(self, "add_", arithmetic.Add, other if alpha == 1 else alpha * other)

    def sub_(self, other, *, alpha=1):
        """self -= alpha * other"""
        return in_place(self, "sub_", arithmetic.Sub, other if alpha == 1 else alpha * other)

    def mul_(self, other):
        """self *= other"""
        return in_place(self, "mul_", arithmetic.Mul, other)

    def div_(self, other):
        """self /= other"""
        return in_place(self, "div_", arithmetic.Div, other)

    def relu_(self):
        """self = max(self, 0)"""
        return self.write("relu_", self.old(None).relu())

    def zero_(self):
        """Set every element to 0."""
        return self.fill("zero_", 0)

    def fill_(self, value):
        """Set every element to `value`."""
        return self.fill("fill_", value)

    def copy_(self, source):
        """Take over the values of `source`, broadcast and converted to this tensor's dtype."""
        if not isinstance(source, Tensor):
            source = from_numpy(np.asarray(source))
        source = source.to(self.dtype)
        return self.write("copy_", source if source.shape == self.shape else source.broadcast_to(self.shape))

    def uniform_(self, a=0.0, b=1.0, generator=None):
        """Fill with numbers drawn uniformly from [a, b)."""
        return self.fill("uniform_", draw(generator).uniform(a, b, self.shape))

    def normal_(self, mean=0.0, std=1.0, generator=None):
        """Fill with numbers drawn from the normal distribution of that mean and standard deviation."""
        return self.fill("normal_", draw(generator).normal(mean, std, self.shape))

    def __iadd__(self, other):
        return self.add_(other)

    def __isub__(self, other):
        return self.sub_(other)

    def __imul__(self, other):
        return self.mul_(other)

    def __itruediv__(self, other):
        return self.div_(other)

    def __setitem__(self, index, value):
        cdef ndarray a = values(self)
        cdef Block block = block_of(a)
        if is_grad_enabled() and (self.node is not None or (isinstance(value, Tensor) and value.requires_grad)):
            raise NotImplementedError("__setitem__: assignment into a tensor is not recorded; use no_grad(), where or cat")
        if not (<object>a).flags.writeable:
            raise ArgumentError("__setitem__: the tensor must be writable; got read-only memory")
        try:
            (<object>a)[plain_index(index)] = (<object>values(<Tensor>value)) if isinstance(value, Tensor) else value
        except IndexError as error:
            raise IndexError(f"__setitem__: {error}; the tensor has shape {self.shape}") from None
        except ValueError as error:
            raise ArgumentError(f"__setitem__: value does not fit: {error}") from None
        block.version += 1


_variable.set_tensor_class(Tensor)


cdef object extremum(Tensor t, object dim, bint keepdim, bint largest):
    if dim is None:
        return run(reduction.Extremum(None, keepdim, largest), (t,))
    if isinstance(dim, (tuple, list)):
        raise ArgumentError(f"{'max' if largest else 'min'}: dim must be one integer; got {dim!r} "
                            f"(use {'amax' if largest else 'amin'})")
    op = reduction.Extremum(dim, keepdim, largest, True)
    y = run(op, (t,))
    return y, wrap(own_copy(op.index), None, 0)


cdef object arg_extremum(Tensor t, object dim, bint keepdim, object where, str op):
    cdef ndarray a = values(t)
    if dim is not None:
        dim = reduction.axes_of(op, dim, t.ndim)[0]
    if PyArray_SIZE(a) == 0 and (dim is None or t.shape[dim] == 0):
        raise ShapeError(f"{op}: the tensor must have at least one element along dim; got shape {t.shape}")
    return wrap(own_copy(np.asarray(where(a, axis=dim, keepdims=keepdim), np.int64)), None, 0)


cdef object plain_index(object index):
    """An index with tensors and lists in it as one with arrays."""
    if isinstance(index, tuple):
        return tuple([plain_index(i) for i in index])
    if isinstance(index, Tensor):
        return np.asarray(values(<Tensor>index))
    if isinstance(index, slice):             # a tensor in it may change before backward
        return slice(*[None if v is None else v.__index__() for v in (index.start, index.stop, index.step)])
    if isinstance(index, list):
        return np.asarray(index, None if index else np.intp)
    return index


def cat(tensors, dim=0):
    """The tensors joined along `dim`.

    Parameters
    ----------
    tensors : sequence of Tensor
        Of one dtype, and of equal shapes but for `dim`.
    dim : int, default 0
    """
    return run(shapes.Cat(dim), tuple(tensors))
