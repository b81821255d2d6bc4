"""Variable: an array that may take part in differentiation, and `run`, which joins the ops and the graph.

A `Variable` is an array with, if a gradient may be wanted, the node that made it.  `run` takes the arrays out of its inputs,
calls the op's forward, and records a node.  Every array is read through `values`: a variable may hold a recipe in place of
numbers (ops/pending.pyx), and only ops that ask for it get to see that.

A variable's place in the graph is the matter of `History` (_history.pyx); what one can do with it is `Operators` (_operators.pyx)
element by element, and `Tensor` (_tensor.pyx) with its form.
"""

from numpy cimport (
    PyArray_CopyInto, PyArray_NDIM, PyArray_SIZE, import_array, ndarray, npy_intp,
)

from tinynet._grad_mode cimport is_grad_enabled
from tinynet._graph cimport Leaf, Node, Op, record, watch_of
from tinynet.ops.checks cimport quiet
from tinynet.ops.memory cimport (
    Block, apart, block_of, is_view, lent, new_array, new_like_as, outline, own_copy, touch, wrap_external,
)
from tinynet.ops.pending cimport Pending, before_write, computed, expose

import numpy as np

from tinynet.errors import ArgumentError, DTypeError, GraphError, ShapeError
from tinynet.ops.reduction import axes_of

cdef extern from *:
    """
    /* type(*args) without __init__, and without the detour through the attribute `__new__`. */
    static PyObject *tn_new(PyTypeObject *type, PyObject *args) { return type->tp_new(type, args, NULL); }
    """
    object tn_new(type kind, tuple args)

import_array()

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
cdef type tensor_class                          # Tensor: what operations return
cdef object LATER = object()                    # given as data: `wrap` puts the array in
cdef tuple NO_DATA = (LATER,)


def set_tensor_class(type kind not None):
    """Called once, by _tensor.pyx: the class of all results."""
    global tensor_class
    tensor_class = kind


# ---- running an op ----------------------------------------------------------------------------------------------------

cdef ndarray values(Variable t):
    """The tensor's numbers: the one function through which arrays are read."""
    cdef Pending p
    if t._array is None:
        p = t.pending
        t._array = computed(p)
        t.pending = None
    return t._array


cdef ndarray form(Variable t):
    """An array of the tensor's shape, strides and dtype, whose elements must not be looked at."""
    return t._array if t._array is not None else t.pending.like


cdef bint waits(Variable t) noexcept:
    """Whether the numbers have still to be computed."""
    return t._array is None and t.pending.array is None


cdef object taken(Op op, Variable t):
    """What the op gets of t: its numbers, or a recipe that waits, if the op takes one."""
    return t.pending if op.takes_pending and waits(t) else values(t)


cdef Variable wrap_any(object result, Node node, int index):
    """An op's result, an array or a recipe, as a Tensor."""
    cdef Variable t
    if not isinstance(result, Pending):
        return wrap(<ndarray>result, node, index)
    t = wrap(None, node, index)
    t.pending = <Pending>result
    return t


cdef Variable wrap(ndarray array, Node node, int index):
    cdef Variable t = <Variable>tn_new(tensor_class, NO_DATA)
    t._array, t.node, t.index = array, node, index
    return t


cdef Variable shown(ndarray gradient):
    """A gradient as a tensor for the user's code.  One that NumPy made lives in no block and gets one, which counts versions."""
    return wrap(gradient if block_of(gradient) is not None else wrap_external(gradient), None, 0)


cdef object run(Op op, tuple inputs, ndarray out=None):
    """op on the inputs (Tensors, or None where the op allows it): its output as a Tensor, or a tuple of them.

    `out` is where the op may put its result instead of a new array.
    """
    cdef Py_ssize_t n = len(inputs), i
    cdef list arrays = [], parents = [], needs = [], indices = None
    cdef bint record_it = False, recording = is_grad_enabled()
    cdef Variable t
    cdef Node node = None
    for i in range(n):
        x = inputs[i]
        if x is None and i < len(op.arguments) and op.arguments[i] in op.optional:
            arrays.append(None)
            parents.append(None)
            needs.append(False)
            continue
        if not isinstance(x, Variable):
            name = op.arguments[i] if i < len(op.arguments) else f"tensors[{i}]"
            raise DTypeError(f"{op.name}: {name} must be a Tensor; got {type(x).__name__}")
        t = <Variable>x
        arrays.append(taken(op, t))
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
    result = op.forward(tuple(arrays), out)
    if isinstance(result, tuple):
        if record_it:
            node = record(op, tuple(parents), None if indices is None else tuple(indices), len(result))
        for array in result:
            mark_view(arrays, array)
        return tuple([wrap(result[i], node, i) for i in range(len(result))])
    if record_it:
        node = record(op, tuple(parents), None if indices is None else tuple(indices), 1)
    if not isinstance(result, Pending):
        mark_view(arrays, result)
    return wrap_any(result, node, 0)


cdef int mark_view(list arrays, ndarray result) except -1:
    """Note on the block if an op's result is a view of its input: see `Tensor.write`."""
    cdef Block block
    if is_view(result):
        block = block_of(result)
        if block is not None and arrays and isinstance(arrays[0], ndarray) and block_of(<ndarray>arrays[0]) is block:
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


# ---- Variable ---------------------------------------------------------------------------------------------------------

cdef class Variable:
    """An array and its place in the graph: what a Tensor is.

    Parameters
    ----------
    data : Tensor or ndarray
        Shared, not copied.
    requires_grad : bool, default False
        Whether `backward` shall compute a gradient for this tensor, a leaf.  Needs float32 or float64.
    """

    __array_ufunc__ = None                       # ndarray + tensor calls our __radd__

    def __cinit__(self, data=(), requires_grad=False, *args, **kwargs):
        if data is LATER:
            return
        if isinstance(data, Variable):
            self._array = values(<Variable>data)
        elif isinstance(data, np.ndarray):
            self._array = checked_external("Tensor", data)
        else:
            self._array = values(<Variable>tensor(data))
        if requires_grad:
            self.requires_grad = True
    # -- what it is --

    @property
    def shape(self):
        """The sizes of the axes, a tuple of int."""
        return (<object>form(self)).shape

    @property
    def dtype(self):
        """The NumPy dtype of the elements."""
        return (<object>form(self)).dtype

    @property
    def ndim(self):
        """The number of axes."""
        return PyArray_NDIM(form(self))

    def dim(self):
        """The number of axes."""
        return PyArray_NDIM(form(self))

    def size(self, dim=None):
        """The shape, or the size of one axis."""
        if dim is None:
            return self.shape
        return self.shape[axes_of("size", dim, self.ndim)[0]]

    def numel(self):
        """The number of elements."""
        return int(PyArray_SIZE(form(self)))

    @property
    def requires_grad(self):
        """Whether a gradient can be computed for this tensor.  Settable on leaves."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value):
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
            if self.leaf is None:
                self.leaf = Leaf.__new__(Leaf)
                self.leaf.n_outputs = 1
                self.leaf.like = outline(form(self))
            self.node = self.leaf

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
        if self.leaf is None or self.leaf.grad is None:
            return None
        if self.leaf.wrapped is None:
            self.leaf.wrapped = wrap(self.leaf.grad, None, 0)
        return self.leaf.wrapped

    @grad.setter
    def grad(self, value):
        if self.leaf is None:
            if value is None:
                return
            raise GraphError("grad: only a leaf that requires a gradient has one to set")
        if value is not None:
            if not isinstance(value, Variable):
                raise DTypeError(f"grad: must be a Tensor or None; got {type(value).__name__}")
            if value.shape != self.shape or value.dtype != self.dtype:
                raise ShapeError(f"grad: must have shape {self.shape} and dtype {self.dtype}; "
                                 f"got {value.shape} and {value.dtype}")
        self.leaf.wrapped = value
        self.leaf.grad = values(<Variable>value) if value is not None else None

    @property
    def data(self):
        """The same values without the graph: `detach`.

        Assigned to, the tensor takes over the memory of another one, of any shape and dtype; a gradient of another shape or
        dtype is dropped.  Graphs that were recorded before keep the old memory.  Only a leaf can be assigned to.
        """
        return self.detach()

    @data.setter
    def data(self, value):
        if not isinstance(value, Variable):
            raise DTypeError(f"data: must be a Tensor; got {type(value).__name__}")
        if not self.is_leaf:
            raise GraphError(f"data: only a leaf can be assigned to; this tensor is the result of {self.node.name}")
        if self.requires_grad and value.dtype not in FLOATS:
            raise DTypeError(f"data: must be float32 or float64 for a tensor that requires a gradient; got {value.dtype}")
        self._array, self.pending = values(<Variable>value), None
        if self.leaf is not None:
            self.leaf.like = outline(self._array)
            if self.leaf.grad is not None and (value.shape != self.grad.shape or value.dtype != self.grad.dtype):
                self.leaf.grad = self.leaf.wrapped = None

    @property
    def _is_saved(self):
        """Whether an op keeps this memory for its backward, or did."""
        return self.pending.is_saved if waits(self) else block_of(values(self)).is_saved

    @property
    def _version(self):
        """How many times the memory was written in place."""
        return self.pending.version if waits(self) else block_of(values(self)).version

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

    def __contains__(self, element):
        return bool((<object>values(self) == (values(<Variable>element) if isinstance(element, Variable) else element)).any())

    def __format__(self, spec):
        if self.ndim == 0 and (spec or type(self) is tensor_class):
            return format(self.item(), spec)
        return object.__format__(self, spec)

    def __repr__(self):
        text = np.array2string(values(self), separator=", ", prefix="tensor(")
        extra = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        if self.node is not None:
            extra += ", requires_grad=True" if self.is_leaf else f", grad_fn=<{self.node.name}>"
        return f"tensor({text}{extra})"

    # -- out of the graph --

    def detach(self):
        """The same memory as a tensor without a gradient."""
        return wrap_any(self.pending if waits(self) else values(self), None, 0)

    def item(self):
        """The one element as a Python number."""
        if PyArray_SIZE(values(self)) != 1:
            raise ArgumentError(f"item: the tensor must have one element; got shape {self.shape}")
        return (<object>values(self)).item()

    def tolist(self):
        """The elements as nested lists of Python numbers."""
        return (<object>values(self)).tolist()

    def numpy(self, *, force=False):
        """The elements as an ndarray that shares the tensor's memory.

        Writes through it are not tracked: a value that a gradient needs is then wrong without an error.  Through an address
        (``.ctypes.data``) write only while the array lives: later, a convolution may go on with what it made of former weights.

        Parameters
        ----------
        force : bool, default False
            Give the array of a tensor that requires a gradient, too.

        Raises
        ------
        GraphError
            If the tensor requires a gradient; use ``.detach().numpy()``.
        """
        if self.node is not None and not force:
            raise GraphError("numpy: the tensor requires a gradient, which would be lost; use .detach().numpy()")
        cdef ndarray a = values(self)
        expose(a)
        return lent(a)

    def __array__(self, dtype=None, copy=None):
        a = self.numpy()
        if dtype is not None and np.dtype(dtype) != a.dtype:
            if copy is False:
                raise ValueError(f"__array__: a conversion from {a.dtype} to {dtype} needs a copy")
            return a.astype(dtype)
        return a.copy() if copy else a

    def __dlpack__(self, **options):
        """The memory as a DLPack capsule, for another library's ``from_dlpack``; as `numpy`, not for what requires a gradient."""
        if self.node is not None:
            raise GraphError("__dlpack__: the tensor requires a gradient, which would be lost; use .detach()")
        expose(values(self))
        return (<object>lent(values(self))).__dlpack__(**options)

    def __dlpack_device__(self):
        return (<object>values(self)).__dlpack_device__()

    # -- written in place --

    cdef int check_write(self, str op) except -1:
        """Whether this tensor's memory may be changed in place; what still has to be computed from it is computed."""
        if is_grad_enabled() and self.node is not None and isinstance(self.node, Leaf):
            raise GraphError(f"{op}: a leaf that requires a gradient cannot be changed in place; do it within no_grad()")
        if not (<object>values(self)).flags.writeable:
            raise ArgumentError(f"{op}: the tensor must be writable; got read-only memory")
        before_write(values(self))
        return 0

    cdef int check_views(self, str op, Node node) except -1:
        """Whether a write by which history `node` comes or goes may happen: views of this memory would keep a wrong one."""
        if is_grad_enabled() and node is not None and block_of(values(self)).has_view:
            raise NotImplementedError(f"{op}: a recorded write to a tensor of which there are views, or through a view, "
                                      "is not supported; write to a copy (.clone())")
        return 0

    cdef object fill(self, str op, object value):
        """Give all elements values that belong to no graph: a number or an array."""
        self.check_write(op)
        self.check_views(op, self.node)
        cdef ndarray a = values(self)
        try:
            with quiet():
                (<object>a)[...] = value
        except (OverflowError, ValueError):
            raise ArgumentError(f"{op}: value must fit into {self.dtype}; got {value!r}") from None
        finally:
            touch(a)                             # elements before one that does not fit are written
        if is_grad_enabled():
            self.rebind(None, 0)                 # cut off: what is there now depends on nothing
        return self

    cdef object write(self, str op, object result):
        """Put the values of `result` (a Tensor) into this tensor's memory; it takes over the result's place in the graph.

        A constant written over a recorded tensor cuts it off: it requires no gradient any more.
        """
        self.check_write(op)
        cdef ndarray a = values(self), b = values(<Variable>result)
        cdef Variable other = <Variable>result
        self.check_views(op, self.node if other.node is None else other.node)
        if (<object>a).shape != (<object>b).shape:
            raise ShapeError(f"{op}: the result must have the tensor's shape {self.shape}; got {result.shape}")
        if (<object>a).dtype != (<object>b).dtype:
            raise DTypeError(f"{op}: the result must have the tensor's dtype {self.dtype}; got {result.dtype}")
        if a is not b:
            PyArray_CopyInto(a, apart(b, a))
        touch(a)
        if is_grad_enabled() and not (self.node is None and other.node is None):
            self.rebind(other.node, other.index)
        return self

    cdef bint retaining(self):
        """Whether the gradient of this result of an operation is to be put into `grad`."""
        return (self.leaf is not None and self.node is not None and self.node.watch is not None
                and self.node.watch.retained.get(self.index) is self.leaf)

    cdef int rebind(self, Node node, int index) except -1:
        """Take another place in the graph.  A gradient that is retained is from now on that of the new value."""
        if self.retaining():
            del self.node.watch.retained[self.index]
            if node is not None:
                watch_of(node).retained[index] = self.leaf
        self.node, self.index = node, index
        return 0

    cdef object old(self, object other):
        """This tensor as an operand of an operation with `other` whose result will replace it.

        A recorded operation saves its operands, which must then not be the memory that is written: it gets a copy.
        """
        cdef bint recorded = self.node is not None or (isinstance(other, Variable) and (<Variable>other).node is not None)
        return wrap(own_copy(values(self)) if recorded and is_grad_enabled() else values(self), self.node, self.index)

    # -- copies --

    def __copy__(self):
        cdef Variable t = tensor_class.__new__(type(self), self)
        t.node, t.index, t.leaf = self.node, self.index, self.leaf
        if not self.is_leaf:
            block_of(values(self)).has_view = True           # a recorded write to one would leave the other a wrong history
        if hasattr(self, "__dict__"):
            t.__dict__.update(self.__dict__)
        return t

    def __deepcopy__(self, memo):
        cdef Variable t
        if not self.is_leaf:
            raise GraphError("deepcopy: only a leaf can be copied; use .detach().clone()")
        t = tensor_class.__new__(type(self), wrap(own_copy(values(self)), None, 0), self.node is not None)
        if t.leaf is not None and self.leaf.grad is not None:
            t.leaf.grad = own_copy(self.leaf.grad)
        if hasattr(self, "__dict__"):
            t.__dict__.update(self.__dict__)
        memo[id(self)] = t
        return t

    def __reduce__(self):
        if not self.is_leaf:
            raise GraphError("pickle: only a leaf can be pickled; use .detach()")
        return _rebuild, (type(self), np.array(values(self)), self.node is not None), getattr(self, "__dict__", None) or None


def _rebuild(kind, array, requires_grad):
    """A pickled leaf."""
    return tensor_class.__new__(kind, wrap(own_copy(array), None, 0), requires_grad)


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


cdef object without_graph(object data):
    """Nested lists of tensors as nested lists of arrays."""
    if isinstance(data, Variable):
        return values(<Variable>data)
    if isinstance(data, (list, tuple)) and data and isinstance(data[0], (Variable, list, tuple)):
        return [without_graph(item) for item in data]
    return data


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
    if isinstance(data, Variable):
        source = np.asarray(values(<Variable>data))
    elif isinstance(data, np.ndarray):
        source = data
    else:
        try:
            source = np.asarray(without_graph(data))
        except ValueError as error:
            raise ShapeError(f"tensor: data must be a number or nested sequences of equal lengths; got {error}") from None
        if dtype is None and source.dtype == np.float64 and not isinstance(data, np.generic):
            dtype = np.float32
    if dtype is None:
        dtype = source.dtype
    target = as_dtype("tensor", dtype)
    with quiet():
        a = own_copy(source.astype(target, copy=False))
    cdef Variable t = wrap(a, None, 0)
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


def empty_like(Variable x, dtype):
    """An uninitialised tensor of x's shape, whose axes lie in memory in the order of x's."""
    return wrap(new_like_as(form(x), dtype.num), None, 0)


def from_numpy(a):
    """A tensor that shares the memory of an array.

    Changes on one side are seen on the other.  A read-only array gives a tensor that cannot be written in place.

    Parameters
    ----------
    a : ndarray
        Of a dtype that tinynet has, in native byte order, any strides.
    """
    return wrap(checked_external("from_numpy", a), None, 0)


def from_dlpack(x):
    """A tensor that shares the memory of another library's array.

    Parameters
    ----------
    x : object with ``__dlpack__`` and ``__dlpack_device__``
        An array on the CPU, of a dtype that tinynet has.  One that its library exports as read-only gives a tensor that cannot be
        written in place.

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        If `x` has no DLPack interface, or holds another dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import tinynet as tn
    >>> tn.from_dlpack(np.arange(3))
    tensor([0, 1, 2])
    """
    if not hasattr(x, "__dlpack__"):
        raise DTypeError(f"from_dlpack: x must have the DLPack interface; got {type(x).__name__}")
    if isinstance(x, Variable):
        return x.detach()
    return wrap(checked_external("from_dlpack", np.from_dlpack(x)), None, 0)


cdef ndarray checked_external(str op, object a):
    """An array from outside as one over a block."""
    if not isinstance(a, np.ndarray):
        raise DTypeError(f"{op}: a must be an ndarray; got {type(a).__name__}")
    as_dtype(op, a.dtype)
    if not a.dtype.isnative:
        raise DTypeError(f"{op}: a must be in native byte order; got {a.dtype.str} (tinynet.tensor converts it)")
    if not a.flags.aligned:
        raise ArgumentError(f"{op}: a must be aligned in memory; tinynet.tensor makes a copy that is")
    return wrap_external(a)


def arrays_of(params):
    """The arrays of a sequence of tensors, sharing memory."""
    return [exposed(values(<Variable?>p)) for p in params]


def grads_of(params):
    """The gradient arrays of a sequence of leaves; None where there is none."""
    return [exposed((<Variable?>p).leaf.grad) if (<Variable?>p).leaf is not None else None for p in params]


cdef ndarray exposed(ndarray a):
    """An array that is handed to code which may write into it; None stays None."""
    if a is not None:
        expose(a)
    return a
