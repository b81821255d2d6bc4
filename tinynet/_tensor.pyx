"""Tensor: the one place where the graph and the ops meet.

A `Tensor` is an array with, if it takes part in differentiation, the node that made it.  `apply` runs an op on tensors: it
takes the arrays out, calls the op's forward, and records a node if a gradient may be asked for later.  Every array is read
through `values`, so that a tensor may one day hold a recipe in place of numbers without any op knowing.

What the methods accept and return follows PyTorch.  Python numbers take the tensor's dtype; float32 and float64 do not mix.
"""

from numpy cimport (
    NPY_DOUBLE, NPY_FLOAT, PyArray_CopyInto, PyArray_DATA, PyArray_NDIM, PyArray_SIZE, PyArray_TYPE,
    import_array, ndarray, npy_intp,
)

from tinynet._graph cimport Leaf, Node, Op, record, sweep
from tinynet.ops.memory cimport Block, block_of, is_view, new_array, own_copy, wrap_external

import threading

import numpy as np

from tinynet.errors import ArgumentError, DTypeError, GraphError, ShapeError
from tinynet.ops import arithmetic, linear, reduction, shape as shapes
from tinynet.ops.activation import ReLU, Sigmoid, Tanh

import_array()

cdef object thread = threading.local()          # .grad_enabled per thread, True unless set
cdef object FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


# ---- grad mode --------------------------------------------------------------------------------------------------------

def is_grad_enabled():
    """True if operations record what their gradients need, in this thread."""
    return getattr(thread, "grad_enabled", True)


class set_grad_enabled:
    """Record gradients or not, from now on in this thread, or within a ``with`` block.

    Parameters
    ----------
    mode : bool
    """

    def __init__(self, mode):
        self.former = is_grad_enabled()
        thread.grad_enabled = bool(mode)

    def __enter__(self):
        pass

    def __exit__(self, *exception):
        thread.grad_enabled = self.former


class _GradMode:
    """A grad mode for a ``with`` block or a decorated function."""

    mode = True

    def __enter__(self):
        if not hasattr(self, "former"):
            self.former = []
        self.former.append(is_grad_enabled())
        thread.grad_enabled = self.mode

    def __exit__(self, *exception):
        thread.grad_enabled = self.former.pop()

    def __call__(self, function):
        import functools

        @functools.wraps(function)
        def with_mode(*args, **kwargs):
            with type(self)():
                return function(*args, **kwargs)
        return with_mode


class no_grad(_GradMode):
    """Within it, in this thread, operations record nothing and results do not require gradients.

    A context manager (``with no_grad():``) and a decorator (``@no_grad()``).
    """

    mode = False


class enable_grad(_GradMode):
    """Within it, in this thread, gradients are recorded even inside a `no_grad` block."""

    mode = True


# ---- running an op ----------------------------------------------------------------------------------------------------

cdef ndarray values(Tensor t):
    """The tensor's numbers: the one function through which arrays are read."""
    return t._array


cdef Tensor wrap(ndarray array, Node node, int index):
    cdef Tensor t = Tensor.__new__(Tensor, None)
    t._array, t.node, t.index = array, node, index
    return t


cdef object run(Op op, tuple inputs):
    """op on the inputs (Tensors or None): its output as a Tensor, or a tuple of them."""
    cdef Py_ssize_t n = len(inputs), i
    cdef list arrays = [], parents = [], needs = [], indices = None
    cdef bint record_it = False, recording = is_grad_enabled()
    cdef Tensor t
    cdef Node node = None
    for i in range(n):
        x = inputs[i]
        if x is None:
            arrays.append(None)
            parents.append(None)
            needs.append(False)
            continue
        if not isinstance(x, Tensor):
            raise DTypeError(f"{op.name}: argument {i} must be a Tensor; got {type(x).__name__}")
        t = <Tensor>x
        arrays.append(values(t))
        if recording and t.node is not None:
            record_it = True
            parents.append(t.node)
            needs.append(True)
            if t.index:
                if indices is None:
                    indices = [0] * n
                indices[i] = t.index
        else:
            parents.append(None)
            needs.append(False)
    op.needs = tuple(needs)
    result = op.forward(tuple(arrays), None)
    if isinstance(result, tuple):
        if record_it:
            node = record(op, tuple(parents), None if indices is None else tuple(indices), len(result))
        return tuple([wrap(result[i], node, i) for i in range(len(result))])
    if record_it:
        node = record(op, tuple(parents), None if indices is None else tuple(indices), 1)
    mark_view(arrays, result)
    return wrap(result, node, 0)


cdef int mark_view(list arrays, ndarray result) except -1:
    """Note on the block if an op's result is a view of its input: see `Tensor.write`."""
    cdef Block block
    if is_view(result):
        block = block_of(result)
        if block is not None and block_of(<ndarray>arrays[0]) is block:
            block.has_view = True
    return 0


def apply(Op op not None, *inputs):
    """Run an op on tensors and record it if a gradient may be wanted.

    Parameters
    ----------
    op : Op
        A new instance: it lives for this call.
    *inputs : Tensor or None

    Returns
    -------
    Tensor or tuple of Tensor
    """
    return run(op, inputs)


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


cdef object binary(object kind, str op, object a, object b):
    """An elementwise op of two operands, at least one of which is a Tensor."""
    if not isinstance(a, Tensor):
        a = operand(a, <Tensor>b, op)
    else:
        b = operand(b, <Tensor>a, op)
    if a is NotImplemented or b is NotImplemented:
        return NotImplemented
    # An integer tensor beside a float takes the float's dtype; two integers follow NumPy; division gives floats.
    da, db = (<object>values(<Tensor>a)).dtype, (<object>values(<Tensor>b)).dtype
    if da != db:
        common = da if da.kind == "f" else db if db.kind == "f" else np.result_type(da, db)
        a, b = (<Tensor>a).to(common), (<Tensor>b).to(common)
    elif da.kind != "f" and (kind is arithmetic.Div or da.kind == "b"):
        common = np.float32 if kind is arithmetic.Div else np.int64
        a, b = (<Tensor>a).to(common), (<Tensor>b).to(common)
    return run(kind(), (a, b))


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

cdef class Tensor:
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

    __array_ufunc__ = None                       # ndarray + tensor calls our __radd__

    def __cinit__(self, data=(), requires_grad=False, *args, **kwargs):
        if isinstance(data, Tensor):
            self._array = values(<Tensor>data)
        elif isinstance(data, np.ndarray):
            self._array = checked_external(data)
        elif data is not None:                   # None: `wrap` fills the array in
            self._array = values(<Tensor>tensor(data))
        if requires_grad:
            self.requires_grad = True

    # -- what it is --

    @property
    def shape(self):
        """The sizes of the axes, a tuple of int."""
        return (<object>values(self)).shape

    @property
    def dtype(self):
        """The NumPy dtype of the elements."""
        return (<object>values(self)).dtype

    @property
    def ndim(self):
        """The number of axes."""
        return PyArray_NDIM(values(self))

    def dim(self):
        """The number of axes."""
        return PyArray_NDIM(values(self))

    def size(self, dim=None):
        """The shape, or the size of one axis."""
        if dim is None:
            return self.shape
        return self.shape[reduction.axes_of("size", dim, self.ndim)[0]]

    def numel(self):
        """The number of elements."""
        return int(PyArray_SIZE(values(self)))

    @property
    def requires_grad(self):
        """Whether a gradient can be computed for this tensor.  Settable on leaves."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value):
        cdef Leaf leaf
        if self.node is not None and not isinstance(self.node, Leaf):
            if not value:
                raise GraphError("requires_grad: only a leaf can be set; this tensor is the result of "
                                 f"{self.node.name}: use detach()")
            return
        if not value:
            self.node = None
        elif self.node is None:
            if self.dtype not in FLOATS:
                raise DTypeError(f"requires_grad: dtype must be float32 or float64; got {self.dtype}")
            leaf = Leaf.__new__(Leaf)
            leaf.n_outputs = 1
            leaf.like = values(self)
            self.node = leaf

    def requires_grad_(self, requires_grad=True):
        """Set `requires_grad` and return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self):
        """True if no recorded operation made this tensor."""
        return self.node is None or isinstance(self.node, Leaf)

    @property
    def grad_fn(self):
        """The graph node that made this tensor, or None for a leaf."""
        return None if self.is_leaf else self.node

    @property
    def grad(self):
        """The gradient that `backward` has accumulated in this leaf: a Tensor of the same shape and dtype, or None."""
        if not isinstance(self.node, Leaf):
            return None
        cdef Leaf leaf = <Leaf>self.node
        if leaf.grad is None:
            return None
        if leaf.wrapped is None:
            leaf.wrapped = wrap(leaf.grad, None, 0)
        return leaf.wrapped

    @grad.setter
    def grad(self, value):
        cdef Leaf leaf
        if not isinstance(self.node, Leaf):
            if value is None:
                return
            raise GraphError("grad: only a leaf that requires a gradient has one to set")
        leaf = <Leaf>self.node
        if value is not None:
            if not isinstance(value, Tensor):
                raise DTypeError(f"grad: must be a Tensor or None; got {type(value).__name__}")
            if value.shape != self.shape or value.dtype != self.dtype:
                raise ShapeError(f"grad: must have shape {self.shape} and dtype {self.dtype}; "
                                 f"got {value.shape} and {value.dtype}")
        leaf.wrapped = value
        leaf.grad = values(<Tensor>value) if value is not None else None

    @property
    def T(self):
        """The matrix transposed, a view (2 axes, or fewer: itself)."""
        if self.ndim > 2:
            raise ShapeError(f"T: the tensor must have at most 2 axes; got shape {self.shape} (use permute)")
        return self.transpose(0, 1) if self.ndim == 2 else self

    @property
    def data(self):
        """The same values without the graph: `detach`."""
        return self.detach()

    @property
    def _version(self):
        """How many times the memory was written in place."""
        cdef Block block = block_of(values(self))
        return block.version

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("len: a scalar tensor has no length")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        if self.numel() != 1:
            raise ArgumentError(f"bool: the truth of a tensor with {self.numel()} elements is not defined; "
                                "compare with .numpy().any() or .all()")
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        if self.dtype.kind not in "iu" or self.numel() != 1:
            raise TypeError(f"index: only an integer tensor with one element is an index; got {self.dtype} {self.shape}")
        return int(self.item())

    def __hash__(self):
        return <Py_ssize_t><void*>self >> 4

    def __repr__(self):
        text = np.array2string(values(self), separator=", ", prefix="tensor(")
        extra = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        if self.node is not None:
            extra += ", requires_grad=True" if self.is_leaf else f", grad_fn=<{self.node.name}>"
        return f"tensor({text}{extra})"

    # -- out of the graph --

    def detach(self):
        """The same memory as a tensor without a gradient."""
        return wrap(values(self), None, 0)

    def item(self):
        """The one element as a Python number."""
        if PyArray_SIZE(values(self)) != 1:
            raise ArgumentError(f"item: the tensor must have one element; got shape {self.shape}")
        return (<object>values(self)).item()

    def tolist(self):
        """The elements as nested lists of Python numbers."""
        return (<object>values(self)).tolist()

    def numpy(self):
        """The elements as an ndarray that shares the tensor's memory.

        Writes through it are not tracked: a value that a gradient needs is then wrong without an error.

        Raises
        ------
        GraphError
            If the tensor requires a gradient; use ``.detach().numpy()``.
        """
        if self.node is not None:
            raise GraphError("numpy: the tensor requires a gradient, which would be lost; use .detach().numpy()")
        return (<object>values(self)).view()

    def __array__(self, dtype=None, copy=None):
        a = self.detach().numpy()
        if dtype is not None and np.dtype(dtype) != a.dtype:
            if copy is False:
                raise ValueError(f"__array__: a conversion from {a.dtype} to {dtype} needs a copy")
            return a.astype(dtype)
        return a.copy() if copy else a

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

    # -- backward --

    def backward(self, gradient=None, retain_graph=False):
        """Add the gradient of this tensor with respect to every leaf to the leaf's `grad`.

        Parameters
        ----------
        gradient : Tensor, optional
            The gradient with respect to this tensor, of its shape and dtype.  May be left out for one element: 1 then.
        retain_graph : bool, default False
            Keep what the graph has saved, so that it can be gone through again.

        Raises
        ------
        GraphError
            If the tensor does not require a gradient, the graph was freed, or a saved value was changed in place.
        """
        cdef ndarray g
        if self.node is None:
            raise GraphError("backward: the tensor does not require a gradient")
        if gradient is None:
            if PyArray_SIZE(values(self)) != 1:
                raise GraphError(f"backward: gradient must be given for a tensor of more than one element; shape {self.shape}")
            g = own_copy(values(self))
            (<object>g)[...] = 1
        else:
            if not isinstance(gradient, Tensor):
                gradient = tensor(gradient, self.dtype if isinstance(gradient, (int, float)) else None)
            if gradient.shape != self.shape or gradient.dtype != self.dtype:
                raise ShapeError(f"backward: gradient must have shape {self.shape} and dtype {self.dtype}; "
                                 f"got {gradient.shape} and {gradient.dtype}")
            g = values(<Tensor>gradient)
        sweep(self.node, self.index, g, retain_graph)

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
        return run(linear.MatMul(), (self, operand(other, self, "matmul")))

    def __rmatmul__(self, other):
        if not isinstance(other, (Tensor, np.ndarray)):
            return NotImplemented
        return run(linear.MatMul(), (operand(other, self, "matmul"), self))

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

    cdef object write(self, str op, object result):
        """Put the values of `result` (a Tensor) into this tensor's memory; it takes over the result's place in the graph.

        A constant written over a recorded tensor cuts it off: it requires no gradient any more.
        """
        cdef ndarray a = values(self), b = values(<Tensor>result)
        cdef Block block = block_of(a)
        cdef Tensor other = <Tensor>result
        if is_grad_enabled():
            if self.node is not None and isinstance(self.node, Leaf):
                raise GraphError(f"{op}: a leaf that requires a gradient cannot be changed in place; do it within no_grad()")
            if (self.node is not None or other.node is not None) and block.has_view:
                raise NotImplementedError(f"{op}: a recorded write to a tensor of which there are views, or through a view, "
                                          "is not supported; write to a copy (.clone())")
        if not (<object>a).flags.writeable:
            raise ArgumentError(f"{op}: the tensor's memory is read-only")
        if (<object>a).shape != (<object>b).shape:
            raise ShapeError(f"{op}: the result must have the tensor's shape {self.shape}; got {result.shape}")
        if (<object>a).dtype != (<object>b).dtype:
            raise DTypeError(f"{op}: the result must have the tensor's dtype {self.dtype}; got {result.dtype}")
        PyArray_CopyInto(a, b)
        block.version += 1
        if is_grad_enabled() and not (self.node is None and other.node is None):
            self.node, self.index = other.node, other.index
        return self

    cdef object old(self, object other):
        """This tensor as an operand of an operation with `other` whose result will replace it.

        A recorded operation saves its operands, which must then not be the memory that is written: it gets a copy.
        """
        cdef bint recorded = self.node is not None or (isinstance(other, Tensor) and (<Tensor>other).node is not None)
        return wrap(own_copy(values(self)) if recorded and is_grad_enabled() else values(self), self.node, self.index)

    def add_(self, other, *, alpha=1):
        """self += alpha * other"""
        return self.write("add_", self.old(other) + (other if alpha == 1 else alpha * other))

    def sub_(self, other, *, alpha=1):
        """self -= alpha * other"""
        return self.write("sub_", self.old(other) - (other if alpha == 1 else alpha * other))

    def mul_(self, other):
        """self *= other"""
        return self.write("mul_", self.old(other) * other)

    def div_(self, other):
        """self /= other"""
        return self.write("div_", self.old(other) / other)

    def relu_(self):
        """self = max(self, 0)"""
        return self.write("relu_", self.old(None).relu())

    def zero_(self):
        """Set every element to 0."""
        return self.fill_(0)

    def fill_(self, value):
        """Set every element to `value`."""
        return self.write("fill_", wrap(own_copy(np.full_like(values(self), value)), None, 0))

    def copy_(self, source):
        """Take over the values of `source`, broadcast and converted to this tensor's dtype."""
        if not isinstance(source, Tensor):
            source = from_numpy(np.asarray(source))
        source = source.to(self.dtype)
        return self.write("copy_", source if source.shape == self.shape else source.broadcast_to(self.shape))

    def uniform_(self, a=0.0, b=1.0, generator=None):
        """Fill with numbers drawn uniformly from [a, b)."""
        from tinynet.random import draw
        return self.write("uniform_", wrap(own_copy(draw(generator).uniform(a, b, self.shape).astype(self.dtype)), None, 0))

    def normal_(self, mean=0.0, std=1.0, generator=None):
        """Fill with numbers drawn from the normal distribution of that mean and standard deviation."""
        from tinynet.random import draw
        return self.write("normal_", wrap(own_copy(draw(generator).normal(mean, std, self.shape).astype(self.dtype)), None, 0))

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
            raise ArgumentError("__setitem__: the tensor's memory is read-only")
        try:
            (<object>a)[plain_index(index)] = (<object>values(<Tensor>value)) if isinstance(value, Tensor) else value
        except IndexError as error:
            raise IndexError(f"__setitem__: {error}; the tensor has shape {self.shape}") from None
        except ValueError as error:
            raise ArgumentError(f"__setitem__: value does not fit: {error}") from None
        block.version += 1

    # -- copies --

    def __copy__(self):
        return wrap(values(self), self.node, self.index)

    def __deepcopy__(self, memo):
        cdef Tensor t
        if not self.is_leaf:
            raise GraphError("deepcopy: only a leaf can be copied; use .detach().clone()")
        t = type(self).__new__(type(self), wrap(own_copy(values(self)), None, 0), self.node is not None)
        if hasattr(self, "__dict__"):
            t.__dict__.update(self.__dict__)
        memo[id(self)] = t
        return t

    def __reduce__(self):
        if not self.is_leaf:
            raise GraphError("pickle: only a leaf can be pickled; use .detach()")
        return _rebuild, (type(self), np.array(values(self)), self.node is not None)


def _rebuild(kind, array, requires_grad):
    """A pickled leaf."""
    return kind.__new__(kind, wrap(own_copy(array), None, 0), requires_grad)


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
    """An index with tensors in it as one with arrays."""
    if isinstance(index, Tensor):
        return np.asarray(values(<Tensor>index))
    if isinstance(index, tuple):
        return tuple([np.asarray(values(<Tensor>i)) if isinstance(i, Tensor) else i for i in index])
    return index


# ---- making tensors ----------------------------------------------------------------------------------------------------

cpdef object as_dtype(str op, object dtype):
    """`dtype` as a NumPy dtype that tinynet has, in native byte order."""
    try:
        if dtype is None:
            raise TypeError
        d = np.dtype(dtype).newbyteorder("=")
    except TypeError:
        raise DTypeError(f"{op}: dtype must be a NumPy dtype or its name; got {dtype!r}") from None
    if d.kind not in "fiub" or d.itemsize > 8 or (d.kind == "f" and d.itemsize < 4) or (d.kind == "u" and d.itemsize in (2, 8)):
        raise DTypeError(f"{op}: dtype must be float32, float64, int64, int32, int16, int8, uint32, uint8 or bool; got {d}")
    return d


def tensor(data, dtype=None, requires_grad=False):
    """A new tensor with a copy of `data`.

    Parameters
    ----------
    data : array_like or Tensor
        Numbers, nested lists, an ndarray of any layout and byte order, or a Tensor.
    dtype : dtype, optional
        By default that of an array or tensor; float32 for Python floats, int64 for ints, bool for bools.
    requires_grad : bool, default False

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        For a dtype that tinynet does not have (complex, float16, objects, strings).
    """
    cdef ndarray a
    if isinstance(data, Tensor):
        source = np.asarray(values(<Tensor>data))
    elif isinstance(data, np.ndarray):
        source = data
    else:
        try:
            source = np.asarray(data)
        except ValueError as error:
            raise ShapeError(f"tensor: data must be a number or nested sequences of equal lengths; got {error}") from None
        if dtype is None and source.dtype == np.float64 and not isinstance(data, np.generic):
            dtype = np.float32
    if dtype is None:
        dtype = source.dtype
    target = as_dtype("tensor", dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        a = own_copy(source.astype(target, copy=False))
    cdef Tensor t = wrap(a, None, 0)
    if requires_grad:
        t.requires_grad = True
    return t


def empty(shape, dtype):
    """A new tensor whose values are not set; `shape` is a tuple of int, `dtype` a NumPy dtype that tinynet has."""
    cdef npy_intp[64] sizes
    cdef int d, nd = len(shape)
    if nd > 64:
        raise ShapeError(f"empty: a tensor has at most 64 axes; got {nd}")
    for d in range(nd):
        sizes[d] = shape[d]
    return wrap(new_array(nd, sizes, dtype.num), None, 0)


def from_numpy(a):
    """A tensor that shares the memory of an array.

    Changes on one side are seen on the other.  A read-only array gives a tensor that cannot be written in place.

    Parameters
    ----------
    a : ndarray
        Of a dtype that tinynet has, in native byte order, any strides.
    """
    return wrap(checked_external(a), None, 0)


cdef ndarray checked_external(object a):
    """An array from outside as one over a block."""
    if not isinstance(a, np.ndarray):
        raise DTypeError(f"from_numpy: a must be an ndarray; got {type(a).__name__}")
    as_dtype("from_numpy", a.dtype)
    if not a.dtype.isnative:
        raise DTypeError(f"from_numpy: a must be in native byte order; got {a.dtype.str} (tinynet.tensor converts it)")
    if not a.flags.aligned:
        raise ArgumentError("from_numpy: a must be aligned in memory; tinynet.tensor makes a copy that is")
    return wrap_external(a)


def cat(tensors, dim=0):
    """The tensors joined along `dim`.

    Parameters
    ----------
    tensors : sequence of Tensor
        Of one dtype, and of equal shapes but for `dim`.
    dim : int, default 0
    """
    return run(shapes.Cat(dim), tuple(tensors))


def arrays_of(params):
    """The arrays of a sequence of tensors, sharing memory."""
    return [values(<Tensor?>p) for p in params]


def grads_of(params):
    """The gradient arrays of a sequence of leaves; None where there is none."""
    return [(<Leaf>(<Tensor?>p).node).grad if isinstance((<Tensor?>p).node, Leaf) else None for p in params]
