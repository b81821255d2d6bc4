"""One table of the ops: a row per door (and per form of it that takes another way through the code).

A row says how to call the door, which shapes to call it on, and what comes out: a reference in NumPy and
SciPy, written from the equation, that takes and returns float64.  test_ops_table.py, test_ops_bits.py,
test_kernels.py and test_parity_ops.py go through the table: a new op needs a row here and has their checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

import tinynet as tn
from tinynet._function import Call
from tinynet.nn import functional as F
from tinynet.ops import (
    activation,
    arithmetic,
    dropout,
    indexing,
    layer_norm,
    linear,
    matmul,
    normalization,
    reduction,
    shape,
    softmax,
    softmax_output,
)
from tinynet.ops import cross_entropy as classes
from tinynet.ops import loss as losses
from tinynet.ops import pointwise as P
from tinynet.ops import selection as C

Array = np.ndarray
Shapes = tuple[tuple[int, ...], ...]  # one shape per input

DROPOUT_P, DROPOUT_SEED = 0.4, 7


@dataclass(frozen=True)
class Case:
    """A row of the table.

    `domain` names how inputs are drawn (see `draw`), one name for all inputs or one each.  `ulps` bounds the
    error of the output in multiples of the dtype's eps: relative to each element where `elementwise`, else
    (sums, where terms cancel) to the largest element of the output and the inputs.  `grad_ulps` bounds that
    of a gradient, relative to its largest element and to `floor` times that of the output's gradient.
    """

    name: str
    op: type
    door: Callable[..., tn.Tensor]
    reference: Callable[..., Array]
    shapes: tuple[Shapes, ...]
    large: Shapes
    domain: str | tuple[str, ...] = "normal"
    elementwise: bool = True
    ulps: float = 1.0
    grad_ulps: float = 4.0
    floor: float = 1.0
    node: str = ""  # the name of the graph node that the door ends with; the op's class name if empty
    random: bool = False  # the mask depends on the layout in memory
    fixed: bool = False  # the shapes are bound to the door by more than equal extents
    least: int = 2  # the smallest extent of generated shapes

    def draw(self, rng: np.random.Generator, shapes: Shapes, dtype: type = np.float64) -> list[Array]:
        domains = (self.domain,) * len(shapes) if isinstance(self.domain, str) else self.domain
        return [draw(rng, s, d).astype(dtype) for s, d in zip(shapes, domains, strict=True)]


def draw(rng: np.random.Generator, size: tuple[int, ...], domain: str) -> Array:
    """Numbers to call an op on, representable in float32."""
    if domain == "normal":
        x = rng.standard_normal(size)
    elif domain == "positive":
        x = rng.uniform(0.5, 2.5, size)
    elif domain == "away":  # from the kink at 0
        x = rng.uniform(0.2, 2.0, size) * rng.choice([-1.0, 1.0], size)
    elif domain == "unit":  # probabilities, away from 0 and 1
        x = rng.uniform(0.05, 0.95, size)
    elif domain in ("quarters", "eighths"):  # whose differences are odd multiples of 1/8
        x = rng.integers(-8, 9, size) / 4.0 + (0.125 if domain == "eighths" else 0.0)
    elif domain == "distinct":  # no two elements closer than the steps of the finite differences
        n = int(np.prod(size))
        x = rng.permutation(np.linspace(-2.0, 2.0, n + 2)[:n]).reshape(size)
    elif domain == "power":
        x = rng.choice([1.0, 2.0], size)
    elif domain == "step":  # from whole numbers and halves: k + 0.2 or k + 0.7
        x = rng.integers(-3, 3, size) + rng.choice([0.2, 0.7], size)
    else:
        raise ValueError(domain)
    return np.asarray(np.asarray(x, np.float32), np.float64)


class Own(tn.autograd.Function):
    """y = x^2 w."""

    @staticmethod
    def forward(ctx: tn.autograd.FunctionContext, x: tn.Tensor, w: tn.Tensor) -> tn.Tensor:
        ctx.save_for_backward(x, w)
        return x * x * w

    @staticmethod
    def backward(ctx: tn.autograd.FunctionContext, g: tn.Tensor) -> tuple[tn.Tensor, tn.Tensor]:
        x, w = ctx.saved_tensors
        return 2 * g * x * w, g * x * x


def philox(n: int, seed: int, call: int) -> Array:
    """n words of Philox4x32-10 (Salmon et al. 2011, section 3.3), written with NumPy's 64-bit integers."""
    block = np.arange((n + 3) // 4, dtype=np.uint64)
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    c = [block & low, block >> half, np.full_like(block, call & 0xFFFFFFFF), np.full_like(block, call >> 32)]
    for r in range(10):
        k0 = np.uint64((seed + r * 0x9E3779B9) & 0xFFFFFFFF)
        k1 = np.uint64(((seed >> 32) + r * 0xBB67AE85) & 0xFFFFFFFF)
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> half) ^ c[1] ^ k0, p1 & low, (p0 >> half) ^ c[3] ^ k1, p0 & low]
    return np.stack(c, axis=1).reshape(-1)[:n].astype(np.uint32)


# ---- references ----------------------------------------------------------------------------------


def dropout_reference(x: Array) -> Array:
    keep = philox(x.size, DROPOUT_SEED, 1) >= int(DROPOUT_P * 2**32)
    return np.where(keep.reshape(x.shape), x / (1.0 - DROPOUT_P), 0.0)


def labels(n: int, k: int) -> Array:
    return np.arange(n, dtype=np.int64) * 7 % k


def class_weights(k: int) -> Array:
    return (0.5 + np.arange(k) % 4).astype(np.float64)


def cross_entropy(**options: object) -> Callable[[tn.Tensor], tn.Tensor]:
    """The door with labels and weights that are functions of the shape alone."""

    def door(x: tn.Tensor) -> tn.Tensor:
        n, k = x.shape
        given = dict(options)
        if given.pop("weighted", False):
            given["weight"] = tn.from_numpy(class_weights(k).astype(x.dtype))
        return F.cross_entropy(x, tn.from_numpy(labels(n, k)), **given)

    return door


def cross_entropy_reference(
    reduction: str = "mean", weighted: bool = False, label_smoothing: float = 0.0, ignore_index: int = -100
) -> Callable[[Array], Array]:
    """q_k = (1 - e) w_t [k = t] + (e / K) w_k;  L_i = -sum_k q_k log p_k;  'mean': over the sum of w_t."""

    def reference(x: Array) -> Array:
        n, k = x.shape
        t, w = labels(n, k), class_weights(k) if weighted else np.ones(k)
        p = np.exp(x - x.max(axis=1, keepdims=True))
        logp = np.log(p / p.sum(axis=1, keepdims=True))
        loss, divisor = np.zeros(n), 0.0
        for i in range(n):
            if t[i] != ignore_index:
                q = label_smoothing / k * w
                q[t[i]] += (1.0 - label_smoothing) * w[t[i]]
                loss[i] = -(q * logp[i]).sum()
                divisor += w[t[i]]
        if reduction == "none":
            return loss
        return np.asarray(loss.sum() / (divisor if reduction == "mean" else 1.0))

    return reference


def many_labels(x: object) -> Array:
    """A label for every example of x (K,), (N, K) or (N, K, d1, ...)."""
    n, k = (x.shape[:1] + x.shape[2:], x.shape[1]) if len(x.shape) > 1 else ((), x.shape[0])
    return labels(int(np.prod(n)), k).reshape(n)


def of_many_labels(function: Callable[..., tn.Tensor], **options: object) -> Callable[[tn.Tensor], tn.Tensor]:
    """A loss over classes whose labels and weights are functions of the shape alone."""

    def door(x: tn.Tensor) -> tn.Tensor:
        k = x.shape[min(1, x.ndim - 1)]
        given = dict(options)
        if given.pop("weighted", False):
            given["weight"] = tn.from_numpy(class_weights(k).astype(x.dtype))
        return function(x, tn.from_numpy(many_labels(x)), **given)

    return door


def many_labels_reference(
    logits: bool, reduction: str = "mean", weighted: bool = False, ignore_index: int = -100
) -> Callable[[Array], Array]:
    """-w_t x_t, of log-probabilities x or of their logits, example by example."""

    def reference(x: Array) -> Array:
        t = many_labels(x)
        loss, divisor = np.zeros(t.shape), 0.0
        for at in np.ndindex(t.shape):
            row = x if x.ndim == 1 else x[(at[0], slice(None), *at[1:])]
            w = class_weights(len(row))[t[at]] if weighted else 1.0
            if t[at] != ignore_index:
                loss[at] = -w * (row[t[at]] - (special.logsumexp(row) if logits else 0.0))
                divisor += w
        return (
            loss
            if reduction == "none"
            else np.asarray(loss.sum() / (divisor if reduction == "mean" else 1.0))
        )

    return reference


def soft_cross_entropy(**options: object) -> Callable[[tn.Tensor, tn.Tensor], tn.Tensor]:
    def door(x: tn.Tensor, t: tn.Tensor) -> tn.Tensor:
        given = dict(options)
        if given.pop("weighted", False):
            given["weight"] = tn.from_numpy(class_weights(x.shape[min(1, x.ndim - 1)]).astype(x.dtype))
        return F.cross_entropy(x, t, **given)

    return door


def soft_cross_entropy_reference(
    reduction: str = "mean", weighted: bool = False, label_smoothing: float = 0.0
) -> Callable[[Array, Array], Array]:
    """-sum_k w_k ((1 - e) t_k + e / K) log p_k along the classes; 'mean': over the number of examples."""

    def reference(x: Array, t: Array) -> Array:
        axis = min(1, x.ndim - 1)
        k = x.shape[axis]
        logp = x - special.logsumexp(x, axis=axis, keepdims=True)
        q = (1.0 - label_smoothing) * t + label_smoothing / k
        if weighted:
            q = q * np.moveaxis(np.broadcast_to(class_weights(k), (*np.delete(x.shape, axis), k)), -1, axis)
        loss = -(q * logp).sum(axis)
        return reduced(loss, reduction)

    return reference


def reduced(loss: Array, reduction: str, divisor: float | None = None) -> Array:
    if reduction == "none":
        return loss
    return np.asarray(
        loss.sum() / ((loss.size if divisor is None else divisor) if reduction == "mean" else 1.0)
    )


def element_weights(x: object) -> Array:
    return (0.25 + np.arange(int(np.prod(x.shape))) % 5 / 4).reshape(x.shape)


def weighted(function: Callable[..., tn.Tensor], **options: object) -> Callable[..., tn.Tensor]:
    """A loss with weights of its elements, functions of the shape alone."""
    return lambda x, t: function(x, t, weight=tn.from_numpy(element_weights(x).astype(x.dtype)), **options)


def with_pos_weight(x: tn.Tensor, t: tn.Tensor) -> tn.Tensor:
    p = np.asarray(2.5, x.dtype) if x.ndim == 0 else 0.5 + np.arange(x.shape[-1], dtype=x.dtype)
    return F.binary_cross_entropy_with_logits(x, t, pos_weight=tn.from_numpy(p))


def pos_weight_reference(x: Array, t: Array) -> Array:
    p = 2.5 if x.ndim == 0 else 0.5 + np.arange(x.shape[-1])
    s = 1.0 / (1.0 + np.exp(-x))
    return np.asarray(-(p * t * np.log(s) + (1.0 - t) * np.log(1.0 - s)).mean())


def huber_reference(x: Array, t: Array, delta: float) -> Array:
    d = np.abs(x - t)
    return np.where(d < delta, 0.5 * d * d, delta * (d - 0.5 * delta))


def bce_reference(x: Array, t: Array) -> Array:
    return -(t * np.log(x) + (1.0 - t) * np.log(1.0 - x))


def channel(v: Array, x: Array) -> Array:
    """v (C,) along axis 1 of x."""
    return v.reshape((1, -1) + (1,) * (x.ndim - 2))


def running(c: int) -> tuple[Array, Array]:
    return np.linspace(-1.0, 1.0, c), np.linspace(0.5, 2.0, c)


def bn_train_reference(x: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
    axes = (0, *range(2, x.ndim))
    mu = x.mean(axis=axes, keepdims=True)
    var = ((x - mu) ** 2).mean(axis=axes, keepdims=True)
    y = (x - mu) / np.sqrt(var + 1e-5)
    return y if weight is None else y * channel(weight, x) + channel(bias, x)


def bn_eval(x: tn.Tensor, weight: tn.Tensor, bias: tn.Tensor) -> tn.Tensor:
    mean, var = (tn.from_numpy(v.astype(x.dtype)) for v in running(x.shape[1]))
    return F.batch_norm(x, mean, var, weight, bias, eps=1e-3)


def bn_eval_reference(x: Array, weight: Array, bias: Array) -> Array:
    mean, var = (channel(v, x) for v in running(x.shape[1]))
    return (x - mean) / np.sqrt(var + 1e-3) * channel(weight, x) + channel(bias, x)


def gelu_tanh(x: Array) -> Array:
    return x * special.expit(2.0 * np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3))  # (1 + tanh(u)) / 2


def layer_norm_reference(x: Array, weight: Array, bias: Array | None = None) -> Array:
    axes = tuple(range(x.ndim - weight.ndim, x.ndim))
    mu = x.mean(axis=axes, keepdims=True)
    var = ((x - mu) ** 2).mean(axis=axes, keepdims=True)
    return (x - mu) / np.sqrt(var + 1e-5) * weight + (0.0 if bias is None else bias)


def picked(size: int) -> Array:
    return np.arange(2 * size + 1) * 3 % size  # every place, some several times


def chosen(a: Array | tn.Tensor, b: Array | tn.Tensor) -> Array:
    """A mask of the shape that a and b have together."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    return (np.arange(int(np.prod(shape))) * 7 % 3 == 0).reshape(shape)


def trunc_reference(a: Array, b: Array) -> Array:
    return np.sign(a) * np.floor(np.abs(a) / b)


def places(shape: tuple[int, ...]) -> Array:
    """Indices along axis 1, of one place less along axis 0 where that has more than one."""
    n = (max(shape[0] - 1, 1), 2 * shape[1], *shape[2:])
    return np.arange(np.prod(n)).reshape(n) * 5 % shape[1]


TAIL = (slice(1, None), None, slice(None, None, -2))


def assigned(x: object, index: object, value: object) -> object:
    x[index] = value  # type: ignore[index]
    return x


def padded(x: Array, widths: tuple[tuple[int, int], ...], value: float) -> Array:
    return np.pad(x, widths, constant_values=value)


def log_softmax(axis: int) -> Callable[[Array], Array]:
    return lambda x: x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


# ---- shapes --------------------------------------------------------------------------------------

UNARY: tuple[Shapes, ...] = (((3, 5, 7),), ((17,),), ((1,),), ((),), ((0, 3),), ((2, 3, 5, 3),), ((5, 1, 3),))
BIG: Shapes = ((211, 157),)
BINARY: tuple[Shapes, ...] = (
    ((3, 5), (3, 5)),
    ((4, 1, 3), (5, 1)),
    ((3, 5), ()),
    ((7,), (2, 1)),
    ((0, 3), (3,)),
    ((2, 3, 4, 5), (1, 3, 1, 1)),
)
BIG_TWO: Shapes = ((211, 157), (157,))
ALIKE: tuple[Shapes, ...] = tuple((s, s) for s in ((3, 5, 7), (17,), (1,), (), (5, 1, 3), (2, 3, 5, 3)))
ALIKE_OR_EMPTY: tuple[Shapes, ...] = (*ALIKE, ((0, 3), (0, 3)))
BIG_ALIKE: Shapes = ((211, 157), (211, 157))
CLASSES: tuple[Shapes, ...] = (((5, 7),), ((9,),), ((3, 5, 2),), ((2, 4, 3, 2),), ((1,),), ((1, 3, 1),))
CUBE: tuple[Shapes, ...] = (((3, 5, 7),), ((1, 1, 1),), ((5, 1, 3),), ((2, 4, 1),))
BIG_CUBE: Shapes = ((29, 31, 37),)
MATRIX: tuple[Shapes, ...] = (((5, 7),), ((1, 7),), ((6, 1),), ((67, 3),))
BN: tuple[Shapes, ...] = tuple(
    (x, (x[1],), (x[1],)) for x in ((6, 5), (65, 3), (129, 17), (7, 1), (4, 3, 5), (2, 3, 4, 5), (3, 1, 1, 2))
)
LAYER_NORM: tuple[Shapes, ...] = tuple(
    (x, w, w)
    for x, w in (
        ((6, 5), (5,)), ((65, 17), (17,)), ((67, 9), (9,)), ((4, 3, 5), (3, 5)), ((2, 3, 4, 9), (9,)),
        ((0, 3), (3,)), ((7,), (7,)),
    )
)  # fmt: skip
LINEAR = ((4, 7, 5), (7, 5, 1), (5, 1, 3), (1, 6, 4), (1, 1, 1), (0, 3, 2), (13, 17, 33))  # (N, C, K)


def rows_and_weight(bias: bool) -> tuple[Shapes, ...]:
    return tuple(((n, c), (k, c), (k,)) if bias else ((n, c), (k, c)) for n, c, k in LINEAR)


# ---- the table -----------------------------------------------------------------------------------

BN_ULPS = 8

A, I, R, S = arithmetic, indexing, reduction, shape

CASES: tuple[Case, ...] = (
    # arithmetic
    Case("add", A.Add, lambda a, b: a + b, lambda a, b: a + b, BINARY, BIG_TWO),
    Case("add_self", A.Add, lambda a: a + a, lambda a: 2.0 * a, UNARY, BIG),
    Case("sub", A.Sub, lambda a, b: a - b, lambda a, b: a - b, BINARY, BIG_TWO),
    Case("rsub", A.Sub, lambda a: 1.5 - a, lambda a: 1.5 - a, UNARY, BIG),
    Case("mul", A.Mul, lambda a, b: a * b, lambda a, b: a * b, BINARY, BIG_TWO),
    Case("mul_self", A.Mul, lambda a: a * a, lambda a: a**2, UNARY, BIG),
    Case("div", A.Div, lambda a, b: a / b, lambda a, b: a / b, BINARY, BIG_TWO, ("normal", "positive")),
    Case("pow", A.Pow, lambda a, b: a**b, lambda a, b: np.exp(b * np.log(a)), BINARY, BIG_TWO, "positive",
         ulps=4, grad_ulps=8),
    Case("cube", A.Pow, lambda a: a**3, lambda a: a * a * a, UNARY, BIG, ulps=2, node="pow"),
    Case("rpow", A.Pow, lambda a: 2.0**a, lambda a: np.exp(a * np.log(2.0)), UNARY, BIG, ulps=4),
    Case("add_number", A.Add, lambda a: a.add(0.75, alpha=3), lambda a: a + 2.25, UNARY, BIG, node="add"),
    Case("sub_alpha", A.Sub, lambda a, b: a.sub(b, alpha=2), lambda a, b: a - 2.0 * b, BINARY, BIG_TWO,
         elementwise=False, ulps=2, node="sub"),
    Case("rdiv", A.Div, lambda a: 1.5 / a, lambda a: 1.5 / a, UNARY, BIG, "away", grad_ulps=6),
    Case("div_number", A.Div, lambda a: a / 1.5, lambda a: a / 1.5, UNARY, BIG),
    Case("square_root_power", A.Pow, lambda a: a**0.5, lambda a: np.exp(0.5 * np.log(a)), UNARY, BIG,
         "positive", ulps=4, grad_ulps=8, node="pow"),
    Case("power_2", A.Pow, lambda a: a**2, lambda a: a * a, UNARY, BIG, node="pow"),
    Case("power_0", A.Pow, lambda a: a**0, lambda a: 0.0 * a + 1.0, UNARY, BIG, node="pow"),
    Case("power_1", A.Pow, lambda a: a**1, lambda a: a + 0.0, UNARY, BIG, node="pow"),
    Case("floor_divide", A.FloorDivide, lambda a, b: a // b, lambda a, b: np.floor(a / b), BINARY, BIG_TWO,
         ("step", "power"), node="floor_divide"),
    Case("div_trunc", A.TruncDivide, lambda a, b: a.div(b, rounding_mode="trunc"), trunc_reference, BINARY,
         BIG_TWO, ("step", "power"), node="div"),
    Case("remainder", A.Remainder, lambda a, b: a % b, lambda a, b: a - b * np.floor(a / b), BINARY, BIG_TWO,
         ("step", "power"), elementwise=False, ulps=2),
    Case("lerp", A.Add, lambda a, b: a.lerp(b, 0.25), lambda a, b: 0.75 * a + 0.25 * b, BINARY, BIG_TWO,
         elementwise=False, ulps=2, node="add"),
    Case("addcmul", A.Add, lambda a, b: a.addcmul(b, b, value=0.5), lambda a, b: a + 0.5 * b * b, BINARY,
         BIG_TWO, elementwise=False, ulps=4, grad_ulps=8, node="add"),
    # functions of each element
    Case("neg", P.Neg, lambda x: -x, lambda x: 0.0 - x, UNARY, BIG),
    Case("exp", P.Exp, lambda x: x.exp(), np.exp, UNARY, BIG, ulps=4),
    Case("log", P.Log, lambda x: x.log(), np.log, UNARY, BIG, "positive", ulps=4),
    Case("sqrt", P.Sqrt, lambda x: x.sqrt(), lambda x: np.exp(0.5 * np.log(x)), UNARY, BIG, "positive",
         ulps=2),
    Case("abs", P.Abs, lambda x: x.abs(), lambda x: np.where(x < 0.0, -x, x), UNARY, BIG, "away"),
    Case("expm1", P.Expm1, lambda x: x.expm1(), lambda x: np.exp(x) - 1.0, UNARY, BIG, elementwise=False,
         ulps=4),
    Case("log1p", P.Log1p, lambda x: x.log1p(), lambda x: np.log(1.0 + x), UNARY, BIG, "positive", ulps=4),
    Case("square", P.Square, lambda x: x.square(), lambda x: x * x, UNARY, BIG),
    Case("rsqrt", P.Rsqrt, lambda x: x.rsqrt(), lambda x: x**-0.5, UNARY, BIG, "positive", ulps=2,
         grad_ulps=8),
    Case("reciprocal", P.Reciprocal, lambda x: x.reciprocal(), lambda x: 1.0 / x, UNARY, BIG, "away"),
    Case("sin", P.Sin, lambda x: x.sin(), lambda x: np.imag(np.exp(1j * x)), UNARY, BIG, elementwise=False,
         ulps=4),
    Case("cos", P.Cos, lambda x: x.cos(), lambda x: np.real(np.exp(1j * x)), UNARY, BIG, elementwise=False,
         ulps=4),
    Case("erf", P.Erf, lambda x: x.erf(), np.vectorize(math.erf, otypes=["f8"]), UNARY, BIG,
         elementwise=False, ulps=4, grad_ulps=8),
    Case("sign", P.Sign, lambda x: x.sign(), lambda x: np.where(x < 0.0, -1.0, 1.0), UNARY, BIG, "away"),
    Case("floor", P.Floor, lambda x: x.floor(), lambda x: x - np.mod(x, 1.0), UNARY, BIG, "step"),
    Case("ceil", P.Ceil, lambda x: x.ceil(), lambda x: x + np.mod(-x, 1.0), UNARY, BIG, "step"),
    Case("round", P.Round, lambda x: x.round(), lambda x: np.floor(x + 0.5), UNARY, BIG, "step"),
    Case("trunc", P.Trunc, lambda x: x.trunc(), lambda x: np.sign(x) * np.floor(np.abs(x)), UNARY, BIG,
         "step"),
    # selection
    Case("where", C.Where, lambda a, b: tn.where(tn.from_numpy(chosen(a, b)), a, b),
         lambda a, b: a * chosen(a, b) + b * ~chosen(a, b), BINARY, BIG_TWO),
    Case("masked_fill", C.Where, lambda x: x.masked_fill(tn.from_numpy(chosen(x, x)), 2.5),
         lambda x: x * ~chosen(x, x) + 2.5 * chosen(x, x), UNARY, BIG, node="where"),
    Case("maximum", C.Maximum, lambda a, b: tn.maximum(a, b), lambda a, b: np.where(a > b, a, b), BINARY,
         BIG_TWO, ("quarters", "eighths")),
    Case("minimum", C.Minimum, lambda a, b: tn.minimum(a, b), lambda a, b: np.where(a < b, a, b), BINARY,
         BIG_TWO, ("quarters", "eighths")),
    Case("clamp", C.Clamp, lambda x: x.clamp(-0.25, 0.5), lambda x: np.where(x < -0.25, -0.25,
         np.where(x > 0.5, 0.5, x)), UNARY, BIG, "step"),
    Case("clamp_min", C.Clamp, lambda a, b: a.clamp(min=b), lambda a, b: np.where(a < b, b, a), BINARY,
         BIG_TWO, ("quarters", "eighths"), node="clamp"),
    Case("clamp_max", C.Clamp, lambda a, b: a.clamp(max=b), lambda a, b: np.where(a > b, b, a), BINARY,
         BIG_TWO, ("quarters", "eighths"), node="clamp"),
    Case("clone", A.Clone, lambda x: x.clone(), lambda x: x, UNARY, BIG),
    Case("contiguous", A.Clone, lambda x: x.transpose(0, 2).contiguous(), lambda x: x.transpose(2, 1, 0),
         CUBE[:1], BIG_CUBE),
    Case("cast", A.Cast, lambda x: x.to("f4" if x.dtype == "f8" else "f8"), lambda x: x, UNARY, BIG),
    # reduction
    Case("sum", R.Sum, lambda x: x.sum(), lambda x: np.asarray(x.sum()), UNARY, BIG, elementwise=False),
    Case("sum_dim", R.Sum, lambda x: x.sum(1), lambda x: np.einsum("abc->ac", x), CUBE, BIG_CUBE,
         elementwise=False),
    Case("sum_dims", R.Sum, lambda x: x.sum((0, -1), keepdim=True),
         lambda x: x.sum(2).sum(0).reshape(1, -1, 1), CUBE, BIG_CUBE, elementwise=False),
    Case("mean", R.Mean, lambda x: x.mean(), lambda x: np.asarray(x.sum() / x.size), CUBE, BIG_CUBE,
         elementwise=False),
    Case("mean_dims", R.Mean, lambda x: x.mean((0, 2)), lambda x: x.sum((0, 2)) / (x.shape[0] * x.shape[2]),
         CUBE, BIG_CUBE, elementwise=False),
    Case("sum_outer", R.Sum, lambda x: x.sum((0, 2)), lambda x: np.einsum("abc->b", x), CUBE, BIG_CUBE,
         elementwise=False),
    Case("sum_apart", R.Sum, lambda x: x.sum((0, 2)), lambda x: np.einsum("abcd->bd", x),
         (((2, 3, 5, 3),), ((1, 1, 1, 1),)), ((7, 11, 13, 17),), elementwise=False),
    Case("sum_first", R.Sum, lambda x: x.sum(0), lambda x: np.einsum("ab->b", x), (((67, 3),), ((5, 130),)),
         ((601, 257),), elementwise=False),
    Case("var", R.Var, lambda x: x.var(0), lambda x: ((x - x.mean(0)) ** 2).sum(0) / (x.shape[0] - 1),
         (((5, 3),), ((2, 1),)), BIG, elementwise=False, grad_ulps=8),
    Case("var_dims", R.Var, lambda x: x.var((0, 2), unbiased=False, keepdim=True),
         lambda x: ((x - x.mean((0, 2), keepdims=True)) ** 2).mean((0, 2), keepdims=True), CUBE, BIG_CUBE,
         elementwise=False, grad_ulps=8),
    Case("std", R.Var, lambda x: x.std(-1),
         lambda x: np.sqrt(((x - x.mean(-1, keepdims=True)) ** 2).sum(-1) / (x.shape[-1] - 1)),
         (((5, 3),), ((1, 2),), ((3, 67),)), BIG, "distinct", elementwise=False, grad_ulps=16, node="std"),
    Case("prod", R.Prod, lambda x: x.prod(), lambda x: np.asarray(np.prod(x)), UNARY, ((211,),),
         "positive", ulps=32, grad_ulps=32, fixed=True),
    Case("prod_dim", R.Prod, lambda x: x.prod(1), lambda x: np.prod(x, axis=1), CUBE, BIG_CUBE, "positive",
         ulps=2, grad_ulps=8),
    Case("logsumexp", R.LogSumExp, lambda x: x.logsumexp(1), lambda x: np.log(np.exp(x).sum(1)), CUBE,
         BIG_CUBE, elementwise=False, ulps=4, grad_ulps=16),
    Case("norm", R.Norm, lambda x: x.norm(), lambda x: np.asarray(np.sqrt((x * x).sum())), CUBE, BIG_CUBE,
         elementwise=False, ulps=2, grad_ulps=8),
    Case("norm_1", R.Norm, lambda x: x.norm(1, 1), lambda x: np.where(x < 0.0, -x, x).sum(1), CUBE, BIG_CUBE,
         "away"),
    Case("norm_3", R.Norm, lambda x: x.norm(3, (0, 2), True),
         lambda x: np.exp(np.log((np.where(x < 0.0, -x, x) ** 3).sum((0, 2), keepdims=True)) / 3.0), CUBE,
         BIG_CUBE, "away", ulps=4, grad_ulps=16),
    Case("norm_inf", R.Norm, lambda x: x.norm(np.inf, -1),
         lambda x: np.sort(np.where(x < 0.0, -x, x))[..., -1], CUBE, BIG_CUBE, "distinct", node="norm"),
    Case("cumsum", R.CumSum, lambda x: x.cumsum(1),
         lambda x: np.einsum("abc,bd->adc", x, np.triu(np.ones((x.shape[1],) * 2))), CUBE, BIG_CUBE,
         elementwise=False),
    Case("max", R.Extremum, lambda x: x.max(), lambda x: np.asarray(np.sort(x, axis=None)[-1]), CUBE,
         BIG_CUBE,
         "distinct", node="max"),
    Case("max_dim", R.Extremum, lambda x: x.max(1)[0], lambda x: np.sort(x, axis=1)[:, -1], CUBE, BIG_CUBE,
         "distinct", node="max"),
    Case("min_dim", R.Extremum, lambda x: x.min(-1, True)[0], lambda x: np.sort(x)[..., :1], CUBE, BIG_CUBE,
         "distinct", node="min"),
    Case("amax", R.Extremum, lambda x: x.amax((0, 2)), lambda x: np.sort(np.sort(x)[..., -1], 0)[-1], CUBE,
         BIG_CUBE, "distinct", node="max"),
    Case("amin", R.Extremum, lambda x: x.amin(), lambda x: np.asarray(np.sort(x, axis=None)[0]), UNARY[:4],
         BIG, "distinct", node="min"),
    # shape
    Case("reshape", S.Reshape, lambda x: x.reshape(-1, x.shape[1]),
         lambda x: np.ravel(x).reshape(-1, x.shape[1]), CUBE, BIG_CUBE),
    Case("flatten", S.Reshape, lambda x: x.flatten(1), lambda x: x.reshape(len(x), -1),
         (((2, 3, 5, 3),), ((3, 5),)), BIG_CUBE),
    Case("unsqueeze", S.Reshape, lambda x: x.unsqueeze(1), lambda x: x[:, None], CUBE, BIG_CUBE,
         node="reshape"),
    Case("permute", S.Permute, lambda x: x.permute(2, 0, 1), lambda x: np.einsum("abc->cab", x), CUBE,
         BIG_CUBE),
    Case("transpose", S.Permute, lambda x: x.transpose(0, -1), lambda x: np.einsum("abc->cba", x), CUBE,
         BIG_CUBE, node="permute"),
    Case("broadcast_to", S.BroadcastTo, lambda x: x.broadcast_to((4, 3, 5)),
         lambda x: x + np.zeros((4, 3, 5)), (((3, 1),), ((5,),), ((),), ((4, 1, 5),), ((4, 3, 5),)),
         ((3, 1),), elementwise=False, node="broadcast_to", fixed=True),
    Case("cat", S.Cat, lambda a, b, c: tn.cat([a, b, c], 1),
         lambda a, b, c: np.concatenate([a, b, c], axis=1),
         (((3, 2), (3, 5), (3, 1)), ((2, 3, 4, 5), (2, 1, 4, 5), (2, 2, 4, 5)), ((2, 3), (2, 0), (2, 1))),
         ((211, 31), (211, 57), (211, 3))),
    Case("cat_same", S.Cat, lambda a: tn.cat([a, a]), lambda a: np.concatenate([a, a]), UNARY[:2], BIG),
    Case("index", I.Index, lambda x: x[1:, None, ..., ::-2], lambda x: x[1:, None, ..., ::-2], CUBE,
         BIG_CUBE),
    Case("index_one", I.Index, lambda x: x[-1, 0, 0], lambda x: np.asarray(x[-1, 0, 0]), CUBE, BIG_CUBE,
         node="index"),
    Case("index_array", I.Index, lambda x: x[picked(len(x))], lambda x: x[picked(len(x))], CUBE, BIG_CUBE,
         node="index"),
    Case("index_mask", I.Index, lambda x: x[np.arange(len(x)) % 2 == 0], lambda x: x[::2], CUBE, BIG_CUBE,
         node="index"),
    Case("index_pairs", I.Index, lambda x: x[np.arange(len(x)), np.arange(len(x)) % x.shape[1]],
         lambda x: np.stack([x[i, j] for i, j in enumerate(np.arange(len(x)) % x.shape[1])]), CUBE[:3],
         ((29, 31, 37),), node="index"),
    Case("index_columns", I.Index, lambda x: x[:, picked(x.shape[1])],
         lambda x: np.concatenate([x[:, j : j + 1] for j in picked(x.shape[1])], axis=1), CUBE, BIG_CUBE,
         node="index"),
    Case("index_apart", I.Index, lambda x: x[[0, -1, 0], :, [0, 0, 0]],
         lambda x: np.stack([x[0, :, 0], x[-1, :, 0], x[0, :, 0]]), CUBE, BIG_CUBE, node="index"),
    Case("index_select", I.IndexSelect, lambda x: x.index_select(-1, tn.tensor(picked(x.shape[-1]))),
         lambda x: np.stack([x[..., j] for j in picked(x.shape[-1])], axis=-1), CUBE, BIG_CUBE,
         node="index_select"),
    Case("gather", I.Gather, lambda x: x.gather(1, tn.tensor(places(x.shape))),
         lambda x: np.take_along_axis(x[: len(places(x.shape))], places(x.shape), 1), CUBE, BIG_CUBE),
    Case("sort", I.Gather, lambda x: x.sort(1, descending=True).values, lambda x: -np.sort(-x, axis=1), CUBE,
         BIG_CUBE, "distinct", node="sort"),
    Case("topk", I.Gather, lambda x: x.topk(2, 0).values, lambda x: np.sort(x, axis=0)[: -3 : -1],
         (((3, 5, 7),), ((2, 3),), ((17, 1),)), BIG_CUBE, "distinct", node="topk"),
    Case("setitem", I.SetItem, lambda x, v: assigned(x.clone(), TAIL, v),
         lambda x, v: assigned(x.copy(), TAIL, v),
         (((3, 5), (3,)), ((4, 1), (3, 1, 1)), ((2, 6), (1, 1, 1, 3)), ((2, 2), ())), ((211, 157), (79,)),
         fixed=True),
    Case("setitem_mask", I.SetItem, lambda x, v: assigned(x.clone(), np.arange(len(x)) % 2 == 0, v),
         lambda x, v: assigned(x.copy(), np.arange(len(x)) % 2 == 0, v),
         (((3, 5), (5,)), ((4, 1), (2, 1)), ((2, 6), ())), ((211, 157), (157,)), node="setitem", fixed=True),
    Case("stack", S.Stack, lambda a, b: tn.stack([a, b], 1),
         lambda a, b: np.concatenate([a[:, None], b[:, None]], axis=1),
         (((3, 5), (3, 5)), ((1,), (1,)), ((2, 3, 4, 5), (2, 3, 4, 5)), ((0, 3), (0, 3))),
         ((211, 157), (211, 157))),
    Case("split", S.Split, lambda x: x.split([1, x.shape[1] - 1, 0], 1)[1], lambda x: x[:, 1:], CUBE,
         BIG_CUBE),
    Case("chunk", S.Split, lambda x: x.chunk(2)[0], lambda x: x[: (len(x) + 1) // 2], CUBE, BIG_CUBE,
         node="chunk"),
    Case("unbind", S.Split, lambda x: x.unbind(-1)[-1], lambda x: x[..., -1], CUBE, BIG_CUBE, node="unbind"),
    Case("pad", S.Pad, lambda x: F.pad(x, (1, 2, 0, 3), value=1.5),
         lambda x: padded(x, ((0, 0), (0, 3), (1, 2)), 1.5), CUBE, BIG_CUBE),
    Case("pad_off", S.Pad, lambda x: F.pad(x, (2, -1)),
         lambda x: padded(x[..., :-1], ((0, 0), (0, 0), (2, 0)), 0.0), CUBE, BIG_CUBE, node="pad"),
    Case("tril", S.Triangle, lambda x: x.tril(1),
         lambda x: x * (np.arange(x.shape[-1]) <= np.arange(x.shape[-2])[:, None] + 1), CUBE, BIG_CUBE,
         node="tril"),
    Case("triu", S.Triangle, lambda x: x.triu(-1),
         lambda x: x * (np.arange(x.shape[-1]) >= np.arange(x.shape[-2])[:, None] - 1), CUBE, BIG_CUBE,
         node="triu"),
    # activation
    Case("sigmoid", activation.Sigmoid, F.sigmoid, lambda x: special.expit(x), UNARY, BIG, ulps=3),
    Case("tanh", activation.Tanh, F.tanh, lambda x: np.sinh(x) / np.cosh(x), UNARY, BIG, ulps=3,
         grad_ulps=8),
    Case("relu", activation.ReLU, F.relu, lambda x: np.where(x > 0.0, x, 0.0), UNARY, BIG, "away"),
    Case("relu_inplace", activation.ReLU, lambda x: F.relu(x.clone(), inplace=True),
         lambda x: np.where(x > 0.0, x, 0.0), UNARY, BIG, "away", node="relu"),
    Case("leaky_relu", activation.LeakyReLU, lambda x: F.leaky_relu(x, 0.1),
         lambda x: np.where(x > 0.0, x, 0.1 * x), UNARY, BIG, "away", node="leaky_relu"),
    Case("leaky_relu_negative", activation.LeakyReLU, lambda x: F.leaky_relu(x, -0.5),
         lambda x: np.where(x > 0.0, x, -0.5 * x), UNARY, BIG, "away", node="leaky_relu"),
    Case("leaky_relu_inplace", activation.LeakyReLU, lambda x: F.leaky_relu(x.clone(), 0.1, inplace=True),
         lambda x: np.where(x > 0.0, x, 0.1 * x), UNARY, BIG, "away", node="leaky_relu"),
    Case("elu", activation.ELU, lambda x: F.elu(x, 1.5), lambda x: np.where(x > 0.0, x, 1.5 * np.expm1(x)),
         UNARY, BIG, "away", ulps=2),
    Case("hardtanh", activation.Hardtanh, lambda x: F.hardtanh(x, -0.125, 3.0),
         lambda x: np.clip(x, -0.125, 3.0), UNARY, BIG, "away"),
    Case("hardtanh_high", activation.Hardtanh, lambda x: F.hardtanh(x, -3.0, 0.125),
         lambda x: np.clip(x, -3.0, 0.125), UNARY, BIG, "away", node="hardtanh"),
    Case("relu6", activation.ReLU6, F.relu6, lambda x: np.clip(x, 0.0, 6.0), UNARY, BIG, "away"),
    Case("softplus", activation.Softplus, lambda x: F.softplus(x, 2.0),
         lambda x: np.log1p(np.exp(2.0 * x)) / 2.0, UNARY, BIG, ulps=4),
    Case("softplus_threshold", activation.Softplus, lambda x: F.softplus(x, threshold=0.1),
         lambda x: np.where(x > 0.1, x, np.log1p(np.exp(x))), UNARY, BIG, "away", ulps=4, node="softplus"),
    Case("logsigmoid", activation.LogSigmoid, F.logsigmoid, special.log_expit, UNARY, BIG, ulps=4),
    Case("silu", activation.SiLU, F.silu, lambda x: x * special.expit(x), UNARY, BIG, ulps=3, grad_ulps=8),
    Case("silu_inplace", activation.SiLU, lambda x: F.silu(x.clone(), inplace=True),
         lambda x: x * special.expit(x), UNARY, BIG, ulps=3, grad_ulps=8, node="silu"),
    Case("gelu", activation.GELU, F.gelu, lambda x: x * special.erfc(-x / np.sqrt(2.0)) / 2.0, UNARY, BIG,
         elementwise=False, ulps=4, grad_ulps=8),
    Case("gelu_tanh", activation.GELUTanh, lambda x: F.gelu(x, "tanh"), gelu_tanh, UNARY, BIG,
         elementwise=False, ulps=4, grad_ulps=8, node="gelu"),
    # linear
    Case("linear", linear.Linear, F.linear, lambda x, w, b: np.einsum("nc,kc->nk", x, w) + b,
         rows_and_weight(True), ((1001, 67), (45, 67), (45,)), elementwise=False, ulps=8, grad_ulps=16),
    Case("linear_no_bias", linear.Linear, F.linear, lambda x, w: np.einsum("nc,kc->nk", x, w),
         rows_and_weight(False), ((487, 130), (33, 130)), elementwise=False, ulps=8, grad_ulps=16),
    Case("linear_3d", linear.Linear, F.linear, lambda x, w, b: np.einsum("...c,kc->...k", x, w) + b,
         (((3, 2, 7), (5, 7), (5,)), ((7,), (5, 7), (5,)), ((2, 1, 3, 4), (1, 4), (1,))),
         ((31, 37, 20), (9, 20), (9,)), elementwise=False, ulps=8, grad_ulps=16),
    Case("matmul", matmul.MatMul, lambda a, b: a @ b, lambda a, b: np.einsum("mk,kn->mn", a, b),
         tuple(((m, k), (k, n)) for m, k, n in LINEAR), ((501, 73), (73, 70)), elementwise=False, ulps=8,
         grad_ulps=16),
    Case("matmul_T", matmul.MatMul, lambda a, b: a.T @ b.T, lambda a, b: np.einsum("km,nk->mn", a, b),
         tuple(((k, m), (n, k)) for m, k, n in LINEAR), ((73, 501), (70, 73)), elementwise=False, ulps=8,
         grad_ulps=16, node="matmul"),
    Case("matmul_batch", matmul.MatMul, lambda a, b: a @ b,
         lambda a, b: np.einsum("...mk,...kn->...mn", a, b),
         tuple(((*x, m, k), (*y, k, n)) for m, k, n in LINEAR[:6]
               for x, y in (((2, 3), (3,)), ((1,), (4,)), ((), (2,)))),
         ((5, 101, 73), (5, 73, 70)), elementwise=False, ulps=8, grad_ulps=16, node="matmul"),
    Case("matmul_batch_T", matmul.MatMul, lambda a, b: a.mT @ b.mT,
         lambda a, b: np.einsum("...km,...nk->...mn", a, b),
         tuple(((2, k, m), (3, 1, n, k)) for m, k, n in LINEAR[:6]), ((2, 193, 251), (2, 201, 193)),
         elementwise=False, ulps=8, grad_ulps=16, node="matmul"),
    Case("matmul_rows", matmul.MatMul, lambda a, b: a @ b, lambda a, b: np.einsum("...k,kn->...n", a, b),
         tuple(((*x, k), (k, n)) for _, k, n in LINEAR for x in ((), (2, 3), (1, 0))),
         ((31, 37, 73), (73, 70)), elementwise=False, ulps=8, grad_ulps=16, node="matmul"),
    Case("matmul_vector", matmul.MatMul, lambda a, b: a @ b, lambda a, b: np.einsum("...k,k->...", a, b),
         tuple(((*x, k), (k,)) for _, k, _ in LINEAR for x in ((), (5,), (2, 3))), ((31, 37, 73), (73,)),
         elementwise=False, ulps=8, grad_ulps=16, node="matmul"),
    Case("matmul_from_left", matmul.MatMul, lambda a, b: a @ b, lambda a, b: np.einsum("k,...kn->...n", a, b),
         tuple(((k,), (*x, k, n)) for _, k, n in LINEAR for x in ((2,), (2, 3))), ((73,), (9, 73, 70)),
         elementwise=False, ulps=8, grad_ulps=16, node="matmul"),
    # softmax
    Case("log_softmax", softmax.LogSoftmax, lambda x: F.log_softmax(x, -1), log_softmax(-1), MATRIX, BIG,
         elementwise=False, ulps=4, grad_ulps=8, node="log_softmax"),
    Case("log_softmax_0", softmax.LogSoftmax, lambda x: F.log_softmax(x, 0), log_softmax(0), CUBE, BIG_CUBE,
         elementwise=False, ulps=4, grad_ulps=8, node="log_softmax"),
    Case("softmax", softmax_output.Softmax, lambda x: F.softmax(x, 1), lambda x: special.softmax(x, 1), CUBE,
         BIG_CUBE, elementwise=False, ulps=4, grad_ulps=8),
    Case("softmax_last", softmax_output.Softmax, lambda x: F.softmax(x, -1), lambda x: special.softmax(x, -1),
         (*MATRIX, ((),), ((0, 3),), ((5,),)), BIG, elementwise=False, ulps=4, grad_ulps=8, node="softmax"),
    *(
        Case("cross_entropy" + "".join(f"_{v}" for v in o.values()), classes.CrossEntropy, cross_entropy(**o),
             cross_entropy_reference(**o), MATRIX, BIG, elementwise=False, ulps=8, grad_ulps=16,
             node="cross_entropy",
             floor=0.02)
        for o in (
            {}, {"reduction": "sum"}, {"reduction": "none"}, {"weighted": True}, {"label_smoothing": 0.1},
            {"label_smoothing": 0.3, "weighted": True, "reduction": "none"},
            {"reduction": "sum", "ignore_index": 0},
            {"ignore_index": 1, "label_smoothing": 0.2, "weighted": True, "reduction": "sum"},
            {"ignore_index": 2, "label_smoothing": 0.2, "weighted": True},
        )
    ),
    *(
        Case("many_labels" + "".join(f"_{v}" for v in o.values()), classes.CrossEntropy,
             of_many_labels(F.cross_entropy, **o), many_labels_reference(True, **o), CLASSES, ((37, 5, 41),),
             elementwise=False, ulps=8, grad_ulps=16, node="cross_entropy", floor=0.02)
        for o in ({}, {"reduction": "none", "weighted": True}, {"reduction": "sum", "ignore_index": 0})
    ),
    *(
        Case("nll_loss" + "".join(f"_{v}" for v in o.values()), classes.NLLLoss,
             of_many_labels(F.nll_loss, **o), many_labels_reference(False, **o), CLASSES, ((37, 5, 41),),
             elementwise=False, ulps=8, node="nll_loss")
        for o in (
            {}, {"reduction": "sum"}, {"reduction": "none"}, {"weighted": True},
            {"reduction": "none", "weighted": True, "ignore_index": 0},
        )
    ),
    *(
        Case("soft_cross_entropy" + "".join(f"_{v}" for v in o.values()), classes.SoftCrossEntropy,
             soft_cross_entropy(**o), soft_cross_entropy_reference(**o),
             tuple((s, s) for (s,) in CLASSES), BIG_ALIKE, ("normal", "unit"), elementwise=False, ulps=8,
             grad_ulps=16, node="cross_entropy", floor=0.02)
        for o in (
            {}, {"reduction": "sum", "weighted": True}, {"reduction": "none", "label_smoothing": 0.2},
            {"reduction": "mean", "weighted": True, "label_smoothing": 0.3},
        )
    ),
    # losses, elementwise
    *(
        Case(name + ("" if r == "mean" else f"_{r}"), op, lambda x, t, f=door, r=r: f(x, t, reduction=r),
             lambda x, t, f=reference, r=r: reduced(f(x, t), r), ALIKE if r == "mean" else ALIKE_OR_EMPTY,
             BIG_ALIKE, domain, elementwise=False, ulps=4, grad_ulps=6, floor=0.02, node=node or name)
        for name, op, door, reference, domain, node in (
            ("mse_loss", losses.MSELoss, F.mse_loss, lambda x, t: (x - t) ** 2, "normal", ""),
            ("l1_loss", losses.L1Loss, F.l1_loss, lambda x, t: np.abs(x - t), ("quarters", "eighths"), ""),
            ("huber_loss", losses.HuberLoss, lambda x, t, reduction: F.huber_loss(x, t, reduction, 0.7),
             lambda x, t: huber_reference(x, t, 0.7), ("quarters", "eighths"), ""),
            ("smooth_l1_loss", losses.SmoothL1Loss, lambda x, t, reduction: F.smooth_l1_loss(
                x, t, reduction=reduction, beta=1.7), lambda x, t: huber_reference(x, t, 1.7) / 1.7,
             ("quarters", "eighths"), ""),
            ("smooth_l1_loss_0", losses.L1Loss, lambda x, t, reduction: F.smooth_l1_loss(
                x, t, reduction=reduction, beta=0.0), lambda x, t: np.abs(x - t),
             ("quarters", "eighths"), "l1_loss"),
            ("binary_cross_entropy", losses.BCELoss, F.binary_cross_entropy, bce_reference, "unit", ""),
            ("binary_cross_entropy_with_logits", losses.BCEWithLogits, F.binary_cross_entropy_with_logits,
             lambda x, t: bce_reference(special.expit(x), t), ("normal", "unit"), ""),
            ("kl_div", losses.KLDiv, F.kl_div, lambda x, t: special.rel_entr(t, np.exp(x)),
             ("normal", "unit"), ""),
            ("kl_div_log", losses.KLDiv, lambda x, t, reduction: F.kl_div(
                x, t, reduction=reduction, log_target=True),
             lambda x, t: special.rel_entr(np.exp(t), np.exp(x)), "normal", "kl_div"),
        )
        for r in ("mean", "sum", "none")
    ),
    Case("mse_loss_weighted", losses.MSELoss, weighted(F.mse_loss),
         lambda x, t: reduced(element_weights(x) * (x - t) ** 2, "mean", element_weights(x).sum()), ALIKE,
         BIG_ALIKE, elementwise=False, ulps=4, grad_ulps=6, node="mse_loss"),
    Case("l1_loss_weighted", losses.L1Loss, weighted(F.l1_loss, reduction="none"),
         lambda x, t: element_weights(x) * np.abs(x - t), ALIKE_OR_EMPTY, BIG_ALIKE, ("quarters", "eighths"),
         elementwise=False, node="l1_loss"),
    Case("huber_loss_weighted", losses.HuberLoss, weighted(F.huber_loss),
         lambda x, t: reduced(element_weights(x) * huber_reference(x, t, 1.0), "mean"), ALIKE, BIG_ALIKE,
         ("quarters", "eighths"), elementwise=False, ulps=4, grad_ulps=6, node="huber_loss"),
    Case("binary_cross_entropy_weighted", losses.BCELoss, weighted(F.binary_cross_entropy),
         lambda x, t: reduced(element_weights(x) * bce_reference(x, t), "mean"), ALIKE, BIG_ALIKE, "unit",
         elementwise=False, ulps=4, grad_ulps=6, node="binary_cross_entropy"),
    Case("bce_with_logits_weighted", losses.BCEWithLogits,
         weighted(F.binary_cross_entropy_with_logits, reduction="sum"),
         lambda x, t: reduced(element_weights(x) * bce_reference(special.expit(x), t), "sum"), ALIKE_OR_EMPTY,
         BIG_ALIKE, ("normal", "unit"), elementwise=False, ulps=4, grad_ulps=6,
         node="binary_cross_entropy_with_logits"),
    Case("bce_with_logits_pos_weight", losses.BCEWithLogits, with_pos_weight, pos_weight_reference, ALIKE,
         BIG_ALIKE, ("normal", "unit"), elementwise=False, ulps=4, grad_ulps=6,
         node="binary_cross_entropy_with_logits"),
    Case("kl_div_batchmean", losses.KLDiv, lambda x, t: F.kl_div(x, t, reduction="batchmean"),
         lambda x, t: np.asarray(special.rel_entr(t, np.exp(x)).sum() / (len(x) if x.ndim else 1)), ALIKE,
         BIG_ALIKE, ("normal", "unit"), elementwise=False, ulps=4, grad_ulps=6, node="kl_div"),
    # normalization
    Case("bn_train", normalization.BatchNorm,
         lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), bn_train_reference, BN,
         ((2501, 37), (37,), (37,)), ("normal", "away", "normal"), elementwise=False, ulps=BN_ULPS,
         grad_ulps=2 * BN_ULPS,
         node="batch_norm"),
    Case("bn_train_plain", normalization.BatchNorm, lambda x: F.batch_norm(x, None, None, training=True),
         bn_train_reference, tuple(s[:1] for s in BN), ((13, 18, 11, 13),), elementwise=False,
         ulps=BN_ULPS, grad_ulps=2 * BN_ULPS, node="batch_norm"),
    Case("bn_eval", normalization.BatchNorm, bn_eval, bn_eval_reference,
         (*BN, ((1, 3), (3,), (3,)), ((0, 3), (3,), (3,))), ((2501, 37), (37,), (37,)),
         ("normal", "away", "normal"), elementwise=False, ulps=8, grad_ulps=16, node="batch_norm"),
    # an op of one's own
    Case("function", Call, Own.apply, lambda x, w: x * x * w, tuple((s, s) for (s,) in UNARY),
         (BIG[0], BIG[0]), ulps=2, node="Own"),
    Case("layer_norm", layer_norm.LayerNorm, lambda x, w, b: F.layer_norm(x, w.shape, w, b),
         layer_norm_reference, LAYER_NORM, ((2501, 37), (37,), (37,)), ("normal", "away", "normal"),
         elementwise=False, ulps=BN_ULPS, grad_ulps=2 * BN_ULPS, node="layer_norm", least=3),
    Case("layer_norm_no_bias", layer_norm.LayerNorm, lambda x, w: F.layer_norm(x, w.shape, w),
         layer_norm_reference, tuple(s[:2] for s in LAYER_NORM), ((67, 1301), (1301,)), ("normal", "away"),
         elementwise=False, ulps=BN_ULPS, grad_ulps=2 * BN_ULPS, node="layer_norm", least=3),
    Case("layer_norm_plain", layer_norm.LayerNorm, lambda x: F.layer_norm(x, x.shape[1:]),
         lambda x: layer_norm_reference(x, np.ones(x.shape[1:])), tuple(s[:1] for s in LAYER_NORM[:4]),
         ((13, 18, 143),), elementwise=False, ulps=BN_ULPS, grad_ulps=2 * BN_ULPS, node="layer_norm",
         least=3),
    # dropout
    Case("dropout", dropout.Dropout, lambda x: F.dropout(x, DROPOUT_P, generator=tn.Generator(DROPOUT_SEED)),
         dropout_reference, UNARY, BIG, random=True, ulps=2),
)  # fmt: skip

# Rows of their own files, which need `Case`.
from ops_cases_convolution import CASES as CONVOLUTION_CASES  # noqa: E402
from ops_cases_layout import CASES as LAYOUT_CASES  # noqa: E402
from ops_cases_normalization import CASES as NORMALIZATION_CASES  # noqa: E402
from ops_cases_pooling import CASES as POOLING_CASES  # noqa: E402

CASES += CONVOLUTION_CASES + LAYOUT_CASES + NORMALIZATION_CASES + POOLING_CASES
