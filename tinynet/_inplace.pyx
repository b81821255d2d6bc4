"""Changes in place: what writes over a variable's own memory.

What may be written, and what becomes of the graph, stands in _variable.pyx (`check_write`, `write`, `fill`, `old`).
"""

from cpython.ref cimport Py_REFCNT
from numpy cimport import_array, ndarray

from tinynet._grad_mode cimport is_grad_enabled
from tinynet._graph cimport Leaf, Op
from tinynet._history cimport History
from tinynet._operands cimport accepted, binary, times
from tinynet._variable cimport Variable, run, values, waits
from tinynet.ops.memory cimport block_of
from tinynet.ops.pending cimport NOTHING, Pending

import numpy as np

from tinynet._check import refuse
from tinynet._variable import from_numpy
from tinynet.ops import arithmetic, pointwise
from tinynet.ops.activation import ReLU, Sigmoid, Tanh
from tinynet.random import draw

import_array()


cdef object in_place(Variable t, str op, type kind, object other):
    """t = kind(t, other) in t's memory.  Recorded, the operands are saved, so the result is made beside them and then copied."""
    t.check_write(op)
    cdef bint recorded = t.node is not None or (isinstance(other, Variable) and (<Variable>other).node is not None)
    result = binary(kind, op, t.old(other), other, None if recorded and is_grad_enabled() else values(t))
    return t.write(op, accepted(result, op, other))


cdef object map_in_place(Variable t, str name, Op op):
    """t = op(t) in t's memory.  Recorded, that is done directly only if the op does not save what would be overwritten."""
    if op.takes_pending and is_own_recipe(t):
        return join_recipe(t, op)
    t.check_write(name)
    t.check_views(name, t.node)
    cdef bint directly = op.by_output or t.node is None or not is_grad_enabled()
    cdef ndarray a = values(t)
    cdef object result = t.write(name, run(op, (t if directly else t.old(None),), a if directly else None))
    if op.saved is not None and op.saved[0] is a:
        op.versions[0] = block_of(a).version             # what it saved is the new value
    return result


cdef bint is_own_recipe(Variable t) noexcept:
    """Whether t is the result of an operation that is not computed yet, has no activation, and is held by nobody else."""
    if not waits(t) or isinstance(t.node, Leaf):
        return False
    cdef Pending p = t.pending
    return p.following == NOTHING and Py_REFCNT(p) == 2


cdef object join_recipe(Variable t, Op op):
    """t = op(t) where `is_own_recipe`: that of the result takes its place, as if its memory had been written."""
    cdef Variable y = <Variable>run(op, (t,))
    if not waits(t):                     # a garbage collection within `run` has read t
        return t.write(op.name, y)
    y.pending.version = t.pending.version + 1
    t.pending = y.pending
    if is_grad_enabled() and not (t.node is None and y.node is None):
        t.rebind(y.node, y.index)
    return t


cdef class InPlace(History):
    """The part of `Tensor` that changes it in place; each method returns the tensor itself.

    A leaf that requires a gradient is refused (`GraphError`), as is read-only memory; a result of another shape or dtype than
    the tensor's is refused too.
    """

    # -- with another operand --

    def add_(self, other, *, alpha=1):
        """self += alpha * other"""
        return in_place(self, "add_", arithmetic.Add, times("add_", self, other, alpha))

    def sub_(self, other, *, alpha=1):
        """self -= alpha * other"""
        return in_place(self, "sub_", arithmetic.Sub, times("sub_", self, other, alpha))

    def mul_(self, other):
        """self *= other"""
        return in_place(self, "mul_", arithmetic.Mul, other)

    def div_(self, other, *, rounding_mode=None):
        """self /= other, rounded as `div` has it"""
        return in_place(self, "div_", arithmetic.division("div_", rounding_mode), other)

    def floor_divide_(self, other):
        """self //= other"""
        return in_place(self, "floor_divide_", arithmetic.FloorDivide, other)

    def remainder_(self, other):
        """self %= other"""
        return in_place(self, "remainder_", arithmetic.Remainder, other)

    def pow_(self, exponent):
        """self **= exponent"""
        return in_place(self, "pow_", arithmetic.Pow, exponent)

    def __iadd__(self, other):
        return self.add_(other)

    def __isub__(self, other):
        return self.sub_(other)

    def __imul__(self, other):
        return self.mul_(other)

    def __itruediv__(self, other):
        return self.div_(other)

    def __ifloordiv__(self, other):
        return self.floor_divide_(other)

    def __imod__(self, other):
        return self.remainder_(other)

    def __ipow__(self, other):
        return self.pow_(other)

    # -- of each element --

    def neg_(self):
        """self = -self"""
        return map_in_place(self, "neg_", pointwise.Neg())

    def abs_(self):
        """self = |self|"""
        return map_in_place(self, "abs_", pointwise.Abs())

    def exp_(self):
        """self = exp(self)"""
        return map_in_place(self, "exp_", pointwise.Exp())

    def expm1_(self):
        """self = exp(self) - 1"""
        return map_in_place(self, "expm1_", pointwise.Expm1())

    def log_(self):
        """self = log(self)"""
        return map_in_place(self, "log_", pointwise.Log())

    def log1p_(self):
        """self = log(1 + self)"""
        return map_in_place(self, "log1p_", pointwise.Log1p())

    def square_(self):
        """self = self * self"""
        return map_in_place(self, "square_", pointwise.Square())

    def sqrt_(self):
        """self = sqrt(self)"""
        return map_in_place(self, "sqrt_", pointwise.Sqrt())

    def rsqrt_(self):
        """self = 1 / sqrt(self)"""
        return map_in_place(self, "rsqrt_", pointwise.Rsqrt())

    def reciprocal_(self):
        """self = 1 / self"""
        return map_in_place(self, "reciprocal_", pointwise.Reciprocal())

    def sin_(self):
        """self = sin(self)"""
        return map_in_place(self, "sin_", pointwise.Sin())

    def cos_(self):
        """self = cos(self)"""
        return map_in_place(self, "cos_", pointwise.Cos())

    def erf_(self):
        """self = erf(self)"""
        return map_in_place(self, "erf_", pointwise.Erf())

    def sign_(self):
        """self = sign(self)"""
        return map_in_place(self, "sign_", pointwise.Sign())

    def floor_(self):
        """self = floor(self)"""
        return map_in_place(self, "floor_", pointwise.Floor())

    def ceil_(self):
        """self = ceil(self)"""
        return map_in_place(self, "ceil_", pointwise.Ceil())

    def round_(self, *, decimals=0):
        """self = round(self)"""
        refuse("round_", decimals=(decimals, (0,)))
        return map_in_place(self, "round_", pointwise.Round())

    def trunc_(self):
        """self = trunc(self)"""
        return map_in_place(self, "trunc_", pointwise.Trunc())

    def sigmoid_(self):
        """self = 1 / (1 + exp(-self))"""
        return map_in_place(self, "sigmoid_", Sigmoid())

    def tanh_(self):
        """self = tanh(self)"""
        return map_in_place(self, "tanh_", Tanh())

    def relu_(self):
        """self = max(self, 0)"""
        return map_in_place(self, "relu_", ReLU())

    # -- chosen --

    def clamp_(self, min=None, max=None):
        """self = clamp(self, min, max)"""
        self.check_write("clamp_")
        other = min if isinstance(min, Variable) and min.requires_grad else max
        return self.write("clamp_", self.old(other).clamp(min, max))

    def clip_(self, min=None, max=None):
        """self = clamp(self, min, max)"""
        return self.clamp_(min, max)

    def masked_fill_(self, mask, value):
        """self = value where `mask` is true"""
        self.check_write("masked_fill_")
        return self.write("masked_fill_", self.old(value).masked_fill(mask, value))

    def lerp_(self, end, weight):
        """self += weight * (end - self)"""
        self.check_write("lerp_")
        return self.write("lerp_", self.old(end).lerp(end, weight))

    # -- filled --

    def zero_(self):
        """Set every element to 0."""
        return self.fill("zero_", 0)

    def fill_(self, value):
        """Set every element to `value`."""
        return self.fill("fill_", value)

    def copy_(self, source):
        """Take over the values of `source`, broadcast and converted to this tensor's dtype."""
        if not isinstance(source, Variable):
            source = from_numpy(np.asarray(source))
        if source.requires_grad and source.dtype == self.dtype and source.shape == self.shape:
            source = source.clone()              # a place of its own in the graph
        source = source.to(self.dtype)
        return self.write("copy_", source if source.shape == self.shape else source.broadcast_to(self.shape))

    def _become(self, op, result not None):
        """Take over the values of `result` and its place in the graph; nobody else may hold it.  `op` is who asks."""
        return self.write(op, result)

    def _map_(self, Op op not None):
        """self = op(self)"""
        return map_in_place(self, op.name, op)

    def uniform_(self, a=0.0, b=1.0, generator=None):
        """Fill with numbers drawn uniformly from [a, b)."""
        return self.fill("uniform_", draw(generator).uniform(a, b, self.shape))

    def normal_(self, mean=0.0, std=1.0, generator=None):
        """Fill with numbers drawn from the normal distribution of that mean and standard deviation."""
        return self.fill("normal_", draw(generator).normal(mean, std, self.shape))
