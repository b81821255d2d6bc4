"""A user's own differentiable operation in Python: `Function`.

The op behind it, `Call`, runs the user's `forward` on tensors with recording switched off and keeps the context; its backward
gives the user's `backward` the gradients as tensors.
"""

from numpy cimport import_array, ndarray

from tinynet._graph cimport Op
from tinynet._variable cimport Variable, run, shown, values
from tinynet.ops.memory cimport Block, block_of

import numpy as np

from tinynet._grad_mode import no_grad
from tinynet.errors import ArgumentError, DTypeError, GraphError, ShapeError

import_array()


class FunctionContext:
    """What `Function.forward` leaves for `Function.backward`; attributes may be set on it freely.

    Attributes
    ----------
    needs_input_grad : tuple of bool
        For each argument of `forward`, whether its gradient is wanted.
    saved_tensors : tuple of Tensor or None
        What `save_for_backward` kept.
    """

    def __init__(self, needs_input_grad=()):
        self.needs_input_grad = needs_input_grad
        self._saved, self._versions = (), ()
        self._constants = ()                 # outputs without a gradient, until `apply` has looked at them
        self._materialize = True

    def save_for_backward(self, *tensors):
        """Keep tensors (or None), arguments or results of `forward`, for `backward`; it raises if one was changed in place since.

        Raises
        ------
        DTypeError
            If something is neither a Tensor nor None: such things are set as attributes.
        """
        for i, t in enumerate(tensors):
            if t is not None and not isinstance(t, Variable):
                raise DTypeError(f"save_for_backward: tensors[{i}] must be a Tensor or None; got {type(t).__name__}")
        self._saved = tuple([None if t is None else t.detach() for t in tensors])
        self._versions = tuple([0 if t is None else t._version for t in tensors])
        mark_saved(self._saved)

    @property
    def saved_tensors(self):
        for t, version in zip(self._saved, self._versions):
            if t is not None and t._version != version:
                raise GraphError(f"saved_tensors: a tensor of shape {t.shape} was changed in place after the forward: saved at "
                                 f"version {version}, now at version {t._version}; change a copy (.clone()) instead")
        return self._saved

    def mark_non_differentiable(self, *tensors):
        """Say that these results of `forward` have no gradient.  Results of integer and bool dtypes never have one."""
        self._constants = tensors

    def set_materialize_grads(self, value):
        """Say whether `backward` gets zeros (True, the default) or None for a result whose gradient nobody has computed."""
        self._materialize = bool(value)

    def mark_dirty(self, *tensors):
        """Not supported: `forward` must not change its arguments in place."""
        raise NotImplementedError("mark_dirty: changing an argument of forward in place is not supported")


cdef int mark_saved(tuple tensors) except -1:
    """Note on the blocks that a backward will read them."""
    cdef Block block
    for t in tensors:
        if t is not None:
            block = block_of(values(<Variable>t))
            if block is not None:
                block.is_saved = True
    return 0


cdef class Call(Op):
    """One call of a `Function`.  y = forward(x), gx = backward(gy), both the user's.  Saves what the user saves."""

    cdef object function
    cdef object context
    cdef tuple given                         # the arguments of forward until it has run
    cdef tuple places                        # for each of them the number of the input it is, or -1
    cdef tuple x                             # (shape, dtype) of each input
    cdef tuple y                             # and of each output
    cdef object outputs                      # what the user's forward returned, until `apply` has looked at it

    def __init__(self, function, given, places):
        self.function, self.given, self.places = function, given, places

    @property
    def name(self):
        return self.function.__name__

    cdef object forward(self, tuple inputs, ndarray out):
        cdef tuple given = self.given
        cdef ndarray a
        cdef list arrays = []
        self.given = None
        self.x = tuple([((<object>x).shape, (<object>x).dtype) for x in inputs])
        self.context = context = FunctionContext(tuple([at >= 0 and self.needs[at] for at in self.places]))
        with no_grad():
            if self.function.setup_context is Function.setup_context:
                result = self.function.forward(context, *given)
            else:
                result = self.function.forward(*given)
                self.function.setup_context(context, given, result)
        self.outputs = result
        for i, y in enumerate(result if isinstance(result, tuple) else (result,)):
            if not isinstance(y, Variable):
                raise DTypeError(f"{self.name}: forward must return a Tensor or a tuple of them; got {type(y).__name__} at {i}")
            a = values(<Variable>y)
            if any([a is x for x in inputs + tuple(arrays)]):
                block_of(a).has_view = True
                a = (<object>a).view()
            arrays.append(a)
        self.y = tuple([((<object>a).shape, (<object>a).dtype) for a in arrays])
        return tuple(arrays) if isinstance(result, tuple) else arrays[0]

    cdef object constants(self):
        """For each output, whether it has no gradient; the outputs themselves are let go."""
        result, self.outputs = self.outputs, None
        marked, self.context._constants = self.context._constants, ()
        results = result if isinstance(result, tuple) else (result,)
        return [y.dtype.kind != "f" or any([y is t for t in marked]) for y in results]

    cdef object gradient(self, object g, int i):
        """The gradient of output i as a tensor."""
        if g is not None:
            return shown(<ndarray>g)
        if not self.context._materialize:
            return None
        shape, dtype = self.y[i]
        return shown(np.zeros(shape, dtype))

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        parts = gy if isinstance(gy, list) else [gy]
        with no_grad():
            given = self.function.backward(self.context, *[self.gradient(parts[i], i) for i in range(len(parts))])
        if not isinstance(given, tuple):
            given = (given,)
        while len(given) > len(self.places) and given[-1] is None:
            given = given[:-1]
        if len(given) != len(self.places):
            raise ArgumentError(f"{self.name}: backward must return as many gradients as forward has arguments, "
                                f"{len(self.places)}; got {len(given)}")
        cdef list gradients = [None] * len(self.x)
        for i, (g, at) in enumerate(zip(given, self.places)):
            if g is not None and at < 0:
                raise ArgumentError(f"{self.name}: backward must return None for argument {i}, which is not a Tensor; "
                                    f"got {type(g).__name__}")
            if g is None or not needs[at]:
                continue
            if not isinstance(g, Variable):
                raise DTypeError(f"{self.name}: backward must return Tensors or None; got {type(g).__name__} for argument {i}")
            shape, dtype = self.x[at]
            if g.shape != shape or g.dtype != dtype:
                raise ShapeError(f"{self.name}: backward must return for argument {i} a gradient of shape {shape} and dtype "
                                 f"{dtype}; got {g.shape} and {g.dtype}")
            gradients[at] = values(<Variable>g)
        return tuple(gradients)


class Function:
    """A differentiable operation of your own, in Python.

    A subclass defines two static methods and is called by `apply`.

    ``forward(ctx, *args)``
        Takes the arguments of `apply`, returns a Tensor or a tuple of them.  Nothing is recorded inside.  What the gradient needs
        goes to ``ctx.save_for_backward(...)`` (tensors) or is set as an attribute of `ctx`.
    ``backward(ctx, *grad_outputs)``
        Takes the gradient of each result, returns that of each argument of `forward`: a Tensor of its shape and dtype, or None
        (for those that have none, and always for what is not a Tensor).

    If the class defines ``setup_context(ctx, inputs, output)``, `forward` takes the arguments without `ctx`.

    Examples
    --------
    >>> import tinynet as tn
    >>> class Cube(tn.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, gy):
    ...         x, = ctx.saved_tensors
    ...         return gy * 3.0 * x * x
    >>> x = tn.tensor([1.0, 2.0], requires_grad=True)
    >>> Cube.apply(x).sum().backward()
    >>> x.grad
    tensor([ 3., 12.])
    """

    @staticmethod
    def forward(*args, **kwargs):
        """Compute the results.  The subclass defines it."""
        raise NotImplementedError("Function: forward must be defined by the class")

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Keep what `backward` needs, if `forward` does not take `ctx`.  The subclass may define it."""
        raise NotImplementedError("Function: setup_context must be defined by the class")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """Compute the gradients of the arguments.  The subclass defines it."""
        raise NotImplementedError("Function: backward must be defined by the class")

    @classmethod
    def apply(cls, *args):
        """Run `forward` on the arguments and record the call if a gradient may be wanted.

        Returns
        -------
        Tensor or tuple of Tensor

        Raises
        ------
        DTypeError
            If `forward` returns something else.
        """
        cdef list inputs = [], places = []
        cdef Call op
        for a in args:
            places.append(len(inputs) if isinstance(a, Variable) else -1)
            if isinstance(a, Variable):
                inputs.append(a)
        op = Call(cls, args, tuple(places))
        result = run(op, tuple(inputs))
        constants = op.constants()
        if isinstance(result, tuple):
            return tuple([y.detach() if still else y for y, still in zip(result, constants)])
        return result.detach() if constants[0] else result
