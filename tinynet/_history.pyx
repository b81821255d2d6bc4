"""History: what the graph knows of a variable - gradients carried back, given out, watched and kept."""

from collections.abc import Iterable
from functools import partial
from weakref import ref

from numpy cimport PyArray_SAMESHAPE, PyArray_SIZE, PyArray_TYPE, import_array, ndarray

from tinynet._graph cimport Leaf, paths, receive, sweep, watch_of
from tinynet._variable cimport Variable, form, shown, values, wrap
from tinynet.ops.memory cimport new_like, outline, own_copy, sole_reference

from tinynet._grad_mode import no_grad
from tinynet._hooks import RemovableHandle
from tinynet._variable import tensor
from tinynet.errors import ArgumentError, DTypeError, GraphError, ShapeError

import_array()


cdef class History(Variable):
    """The part of `Tensor` that deals with the graph."""

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        """Add the gradient of this tensor with respect to every leaf to the leaf's `grad`.

        Parameters
        ----------
        gradient : Tensor, optional
            The gradient with respect to this tensor, of its shape and dtype.  May be left out for one element: 1 then.
        retain_graph : bool, default False
            Keep what the graph has saved, so that it can be gone through again.
        create_graph : bool, default False
            Gradients of gradients are not supported.
        inputs : Tensor or sequence of Tensor, optional
            Leaves; only they receive a gradient, and only what leads to them is computed.  All leaves by default.

        Raises
        ------
        GraphError
            If the tensor does not require a gradient, the graph was freed, or a saved value was changed in place.
        ShapeError
            If `gradient` has another shape or dtype, or is left out for more than one element.
        NotImplementedError
            If `create_graph` is True.

        Examples
        --------
        >>> import tinynet as tn
        >>> x = tn.tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4.])
        """
        refuse_create_graph("backward", create_graph)
        cdef dict held = start("backward", (self,), (gradient,))
        sweep(held, bool(retain_graph), None, None if inputs is None else paths(held, leaves("backward", inputs)))

    # -- watching --

    @property
    def retains_grad(self):
        """Whether `grad` will hold the gradient of this tensor though it is no leaf: see `retain_grad`."""
        return self.retaining()

    def retain_grad(self):
        """Let `backward` put the gradient of this tensor, which is the result of an operation, into its `grad`.

        Raises
        ------
        GraphError
            If the tensor does not require a gradient.
        """
        if self.node is None:
            raise GraphError("retain_grad: the tensor does not require a gradient")
        if self.is_leaf:
            return
        cdef dict retained = watch_of(self.node).retained
        if self.index not in retained:
            retained[self.index] = Leaf.__new__(Leaf)
            (<Leaf>retained[self.index]).n_outputs = 1
            (<Leaf>retained[self.index]).like = outline(form(self))
        self.leaf = retained[self.index]

    def register_hook(self, hook):
        """Call ``hook(gradient)`` whenever a gradient of this tensor is complete, before it is used further.

        Hooks are called in the order of their registration, and nothing is recorded within them.

        Parameters
        ----------
        hook : callable
            Takes a Tensor of this tensor's shape and dtype, which it must not change in place; returns None or a Tensor like it
            to be used instead.  For a leaf it sees what one backward adds to `grad`.

        Returns
        -------
        RemovableHandle
            Its `remove` takes the hook off again.

        Raises
        ------
        GraphError
            If the tensor does not require a gradient.

        Examples
        --------
        >>> import tinynet as tn
        >>> x = tn.tensor([1.0, 2.0], requires_grad=True)
        >>> handle = x.register_hook(lambda gradient: 10 * gradient)
        >>> x.sum().backward()
        >>> x.grad
        tensor([10., 10.])
        """
        if self.node is None:
            raise GraphError("register_hook: the tensor does not require a gradient")
        check_hook("register_hook", hook)
        hooks = watch_of(self.node).hooks.setdefault(self.index, {})
        return RemovableHandle(hooks).add(partial(through_hook, hook))

    def register_post_accumulate_grad_hook(self, hook):
        """Call ``hook(tensor)`` after every backward that has added to the `grad` of this tensor, a leaf.

        Nothing is recorded within it: the hook may change the tensor in place and drop its `grad`.

        Returns
        -------
        RemovableHandle

        Raises
        ------
        GraphError
            If the tensor is no leaf that requires a gradient.
        """
        if self.node is None or not self.is_leaf:
            raise GraphError("register_post_accumulate_grad_hook: the tensor must be a leaf that requires a gradient")
        check_hook("register_post_accumulate_grad_hook", hook)
        return RemovableHandle(watch_of(self.node).after).add(partial(call_with, hook, ref(self)))

    def detach_(self):
        """Cut this tensor off from the graph; returns it."""
        if not self.is_leaf:
            self.leaf = None                     # what it retained belongs to the old value; a leaf keeps its `grad`
        self.node, self.index = None, 0
        return self


cdef int check_hook(str op, object hook) except -1:
    if not callable(hook):
        raise DTypeError(f"{op}: hook must be callable; got {type(hook).__name__}")
    return 0


def through_hook(hook, ndarray g):
    """What the hook makes of a gradient."""
    with no_grad():
        result = hook(shown(g))
    if result is None:
        return g
    if not isinstance(result, Variable):
        raise DTypeError(f"register_hook: a hook must return a Tensor or None; got {type(result).__name__}")
    check_like("register_hook", "the hook's gradient", <Variable>result, g)
    return values(<Variable>result)


def call_with(hook, tensor_ref):
    """The hook with the tensor, if that still exists."""
    t = tensor_ref()
    if t is not None:
        with no_grad():
            hook(t)


# ---- sweeps from and to chosen tensors ----------------------------------------------------------------------------------

cdef int refuse_create_graph(str op, object create_graph) except -1:
    if create_graph:
        raise NotImplementedError(f"{op}: create_graph must be False, gradients of gradients are not supported; "
                                  f"got {create_graph!r}")
    return 0


cdef int check_like(str op, str name, Variable g, ndarray a) except -1:
    if PyArray_TYPE(values(g)) != PyArray_TYPE(a) or not PyArray_SAMESHAPE(values(g), a):
        raise ShapeError(f"{op}: {name} must have shape {(<object>a).shape} and dtype {(<object>a).dtype}; "
                         f"got {g.shape} and {g.dtype}")
    return 0


cdef dict start(str op, tuple outputs, tuple gradients):
    """What a sweep from `outputs` starts with: their gradients, where None stands for 1."""
    cdef dict held = {}
    cdef Variable y
    cdef ndarray g
    if len(gradients) != len(outputs):
        raise ArgumentError(f"{op}: a gradient must be given for each of the {len(outputs)} tensors; got {len(gradients)}")
    for y, gradient in zip(outputs, gradients):
        if y.node is None:
            raise GraphError(f"{op}: the tensor does not require a gradient")
        if gradient is None:
            if PyArray_SIZE(form(y)) != 1:
                raise GraphError(f"{op}: gradient must be given for a tensor of more than one element; shape {y.shape}")
            g = new_like(form(y))
            (<object>g).fill(1)
        else:
            if not isinstance(gradient, Variable):
                gradient = tensor(gradient, y.dtype if isinstance(gradient, (int, float)) else None)
            check_like(op, "gradient", <Variable>gradient, form(y))
            g = values(<Variable>gradient)
        receive(held, y.node, y.index, g)
    return held


cdef tuple tensors_of(str op, str name, object given):
    """One tensor or several as a tuple."""
    if not isinstance(given, (Variable, Iterable)):
        raise DTypeError(f"{op}: {name} must be a Tensor or a sequence of Tensors; got {type(given).__name__}")
    cdef tuple found = (given,) if isinstance(given, Variable) else tuple(given)
    for i, t in enumerate(found):
        if not isinstance(t, Variable):
            raise DTypeError(f"{op}: {name}[{i}] must be a Tensor; got {type(t).__name__}")
    if not found:
        raise ArgumentError(f"{op}: {name} must hold at least one tensor; got none")
    return found


cdef set leaves(str op, object inputs):
    """The nodes of `inputs`, which must be leaves."""
    cdef Variable t
    cdef set nodes = set()
    for i, t in enumerate(tensors_of(op, "inputs", inputs)):
        if t.node is None or not isinstance(t.node, Leaf):
            raise GraphError(f"{op}: inputs[{i}] must be a leaf that requires a gradient; "
                             "for results of operations use autograd.grad")
        nodes.add(t.node)
    return nodes


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """Add the gradients of several tensors' sum with respect to every leaf to the leaf's `grad`.

    Parameters
    ----------
    tensors : Tensor or sequence of Tensor
        Where to start.
    grad_tensors : Tensor or sequence of Tensor or None, optional
        The gradient with respect to each of `tensors`; None stands for 1 and needs a tensor of one element.
    retain_graph, create_graph, inputs
        As in `Tensor.backward`.

    Raises
    ------
    GraphError, ShapeError, ArgumentError, DTypeError, NotImplementedError
        As `Tensor.backward`, and if the numbers of tensors and gradients differ.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.tensor(3.0, requires_grad=True)
    >>> tn.autograd.backward([x * x, 2 * x])
    >>> x.grad
    tensor(8.)
    """
    refuse_create_graph("backward", create_graph)
    outputs = tensors_of("backward", "tensors", tensors)
    held = start("backward", outputs, listed(grad_tensors, len(outputs)))
    sweep(held, bool(retain_graph), None, None if inputs is None else paths(held, leaves("backward", inputs)))


cdef tuple listed(object gradients, Py_ssize_t n):
    """Gradients as a tuple: None means None for each of the n tensors."""
    if gradients is None:
        return (None,) * n
    if isinstance(gradients, (Variable, ndarray)) or not isinstance(gradients, Iterable):
        return (gradients,)
    return tuple(gradients)


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, allow_unused=False):
    """The gradients of the sum of `outputs` with respect to `inputs`, without touching any `grad`.

    Only what leads from the outputs to the inputs is computed.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensor
    inputs : Tensor or sequence of Tensor
        Leaves or results of operations on the way.
    grad_outputs : Tensor or sequence of Tensor or None, optional
        The gradient with respect to each output; None stands for 1 and needs an output of one element.
    retain_graph : bool, default False
        Keep what the graph has saved, so that it can be gone through again.
    create_graph : bool, default False
        Gradients of gradients are not supported.
    allow_unused : bool, default False
        Give None for an input that the outputs do not depend on, instead of raising.

    Returns
    -------
    tuple of Tensor or None
        One per input, of its shape and dtype.

    Raises
    ------
    GraphError
        If an output or input does not require a gradient, an input is not used, the graph was freed, or a saved value was changed
        in place.
    ShapeError, ArgumentError, DTypeError
        If the gradients given do not fit the outputs.
    NotImplementedError
        If `create_graph` is True.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.tensor(3.0, requires_grad=True)
    >>> tn.autograd.grad(x * x, x)
    (tensor(6.),)
    """
    cdef Variable t
    cdef dict captured = {}, held
    cdef set path
    cdef list found = []
    cdef ndarray g
    refuse_create_graph("grad", create_graph)
    cdef tuple starts = tensors_of("grad", "outputs", outputs), ends = tensors_of("grad", "inputs", inputs)
    for i, t in enumerate(ends):
        if t.node is None:
            raise GraphError(f"grad: inputs[{i}] does not require a gradient")
        captured[t.node] = None
    held = start("grad", starts, listed(grad_outputs, len(starts)))
    path = paths(held, captured)
    sweep(held, bool(retain_graph), captured, path)
    held.clear()
    for i, t in enumerate(ends):
        got = captured[t.node]
        g = got[t.index] if isinstance(got, list) else got
        if g is None and not allow_unused:
            raise GraphError(f"grad: inputs[{i}] is not used by the outputs; with allow_unused=True its gradient is None")
        found.append(None if g is None else wrap(g if sole_reference(g, 3) else own_copy(g), None, 0))
        got = None
    return tuple(found)
