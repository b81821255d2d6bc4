"""Elementwise functions and methods: agreement with NumPy over generated shapes, dtypes, edges, errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, ShapeError

INF, NAN = float("inf"), float("nan")

UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": np.negative,
    "abs": np.abs,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "square": np.square,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "sin": np.sin,
    "cos": np.cos,
    "erf": special.erf,
    "sigmoid": special.expit,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "trunc": np.trunc,
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "floor_divide": np.floor_divide,
    "remainder": np.remainder,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}
TESTS = {
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "logical_not": np.logical_not,
}

numbers = st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, 1.5, 2.5, -2.0, 3.25, -7.75, 100.0, INF, -INF, NAN])


@st.composite
def arrays(draw: Any, count: int = 1) -> list[np.ndarray]:
    """Arrays of shapes that can be broadcast together, of one float dtype, in several layouts."""
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=count, min_side=0, max_side=4, max_dims=3))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    found = [draw(hnp.arrays(dtype, shape, elements=numbers)) for shape in shapes.input_shapes]
    if draw(st.booleans()):
        found = [np.asfortranarray(a) for a in found]
    return found


def agrees(y: tn.Tensor, expected: Any, dtype: Any, exact: bool = False) -> None:
    assert (y.dtype, y.shape) == (np.dtype(dtype), np.shape(expected))
    if exact:
        np.testing.assert_array_equal(y.numpy(), expected)
    else:
        rtol = 1e-5 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(y.numpy(), expected, rtol=rtol, atol=rtol)


# ---- against NumPy -----------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(arrays())
def test_functions_of_one_operand(a):
    (x,) = a
    with np.errstate(all="ignore"):
        for name, reference in UNARY.items():
            expected = reference(x)
            agrees(getattr(tn, name)(tn.from_numpy(x)), expected, x.dtype)
            agrees(getattr(tn.from_numpy(x), name)(), expected, x.dtype)
            t = tn.tensor(x)
            assert getattr(t, name + "_")() is t
            agrees(t, expected, x.dtype)
        for name, reference in TESTS.items():
            agrees(getattr(tn, name)(tn.from_numpy(x)), reference(x), bool, exact=True)
            agrees(getattr(tn.from_numpy(x), name)(), reference(x), bool, exact=True)


@settings(max_examples=60)
@given(arrays(2))
def test_functions_of_two_operands(ab):
    a, b = ab
    x, y = tn.from_numpy(a), tn.from_numpy(b)
    with np.errstate(all="ignore"):
        for name, reference in BINARY.items():
            expected = reference(a, b)
            agrees(getattr(tn, name)(x, y), expected, expected.dtype, exact=True)
            agrees(getattr(x, name)(y), expected, expected.dtype, exact=True)
            number = reference(a, a.dtype.type(1.5))
            agrees(getattr(x, name)(1.5), number, number.dtype, exact=True)
        for result in (tn.pow(x, y), x.pow(y), x**y):
            agrees(result, np.power(a, b), a.dtype)
        for p in (0, 1, 2, 3, -1, 0.5):
            agrees(x**p, np.power(a, a.dtype.type(p)), a.dtype)
        agrees(x.div(y, rounding_mode="floor"), np.floor_divide(a, b), a.dtype, exact=True)
        agrees(tn.div(x, y, rounding_mode="trunc"), np.trunc(a / b), a.dtype, exact=True)
        agrees(tn.add(x, y, alpha=3), a + 3 * b, a.dtype, exact=True)
        agrees(tn.sub(x, y, alpha=0.5), a - a.dtype.type(0.5) * b, a.dtype, exact=True)
        agrees(tn.lerp(x, y, 0.25), a + a.dtype.type(0.25) * (b - a), a.dtype, exact=True)
        agrees(tn.isclose(x, y), np.isclose(a, b), bool, exact=True)
        agrees(x.isclose(y, equal_nan=True), np.isclose(a, b, equal_nan=True), bool, exact=True)
        assert tn.allclose(x, y) is x.allclose(y) is np.allclose(a, b)
        assert tn.equal(x, y) is x.equal(y) is np.array_equal(a, b)


@settings(max_examples=40)
@given(arrays(3))
def test_functions_of_three_operands(abc):
    a, b, c = abc
    x, y, z = map(tn.from_numpy, abc)
    with np.errstate(all="ignore"):
        chosen = np.where(c > 0, a, b)
        for result in (tn.where(z > 0, x, y), x.where(z > 0, y)):
            agrees(result, chosen, a.dtype, exact=True)
        agrees(tn.where(z > 0, x, 2), np.where(c > 0, a, a.dtype.type(2)), a.dtype, exact=True)
        agrees(tn.where(z > 0, 2, x), np.where(c > 0, a.dtype.type(2), a), a.dtype, exact=True)
        both = np.minimum(np.maximum(a, b), c)
        for result in (tn.clamp(x, y, z), x.clamp(y, z), tn.clip(x, y, z), x.clip(min=y, max=z)):
            agrees(result, both, a.dtype, exact=True)
        agrees(x.clamp(min=y), np.maximum(a, b), a.dtype, exact=True)
        agrees(x.clamp(max=y), np.minimum(a, b), a.dtype, exact=True)
        agrees(x.clamp(-0.5, 2), np.minimum(np.maximum(a, -0.5), 2), a.dtype, exact=True)
        agrees(tn.addcmul(x, y, z, value=2), a + 2 * (b * c), a.dtype, exact=True)
        shape = np.broadcast_shapes(a.shape, c.shape)
        filled = np.where(c > 0, a.dtype.type(7), a)
        assert filled.shape == shape
        agrees(tn.masked_fill(x, z > 0, 7), filled, a.dtype, exact=True)


@settings(max_examples=40)
@given(
    hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=4, max_dims=3),
    st.sampled_from(["bool", "uint8", "int8", "int32", "int64"]),
    st.data(),
)
def test_integers_and_bools(shapes, dtype, data):
    elements = st.booleans() if dtype == "bool" else st.integers(0 if dtype == "uint8" else -9, 9)
    a, b = (data.draw(hnp.arrays(dtype, s, elements=elements)) for s in shapes.input_shapes)
    x, y = tn.tensor(a), tn.tensor(b)
    for name in ("and", "or", "xor"):
        expected = getattr(np, f"bitwise_{name}")(a, b)
        for result in (getattr(tn, f"bitwise_{name}")(x, y), getattr(x, f"bitwise_{name}")(y)):
            agrees(result, expected, dtype, exact=True)
    agrees(x & y, a & b, dtype, exact=True)
    agrees(x | y, a | b, dtype, exact=True)
    agrees(x ^ y, a ^ b, dtype, exact=True)
    for result in (~x, tn.bitwise_not(x), x.bitwise_not()):
        agrees(result, ~a, dtype, exact=True)
    for name in ("maximum", "minimum", "eq", "lt", "ge", "logical_and", "logical_or", "logical_xor"):
        expected = BINARY[name](a, b)
        agrees(getattr(x, name)(y), expected, expected.dtype, exact=True)
    for name in ("isnan", "isfinite", "logical_not"):
        agrees(getattr(x, name)(), TESTS[name](a), bool, exact=True)
    agrees(x.where(y > 0, y), np.where(b > 0, a, b), dtype, exact=True)
    assert x.equal(y) is np.array_equal(a, b)
    if dtype != "bool":
        agrees(x.clamp(0, 3), np.clip(a, 0, 3), dtype, exact=True)
        for name in ("floor", "ceil", "round", "trunc"):
            agrees(getattr(x, name)(), a, dtype, exact=True)
        for name in ("sign", "abs", "neg", "square"):
            agrees(getattr(x, name)(), UNARY[name](a), dtype, exact=True)
        b = np.where(b == 0, 1, b).astype(dtype)
        y = tn.tensor(b)
        agrees(x // y, a // b, dtype, exact=True)
        agrees(x % y, a % b, dtype, exact=True)
        agrees(x.div(y, rounding_mode="trunc"), np.trunc(a / b), dtype, exact=True)
        agrees(x.div(y), (a / b).astype(np.float32), np.float32, exact=True)


# ---- dtypes ------------------------------------------------------------------------------------------------


def test_weak_numbers_and_promotion():
    n, x, d = tn.tensor([1, 5]), tn.tensor([1.5, 2.5]), tn.tensor([1.0, 2.0], dtype="float64")
    for y in (n.maximum(1.5), n.clamp(1.5), n.clamp(max=2.5), n.clamp(0, 2.5), n.where(x > 2, 1.5)):
        assert y.dtype == np.float32
    assert n.clamp(0, 2.5).tolist() == [1, 2.5]
    for y in (n.maximum(x), x.maximum(n), tn.where(x > 2, n, x), x.clamp(n, n), n.clamp(x), n // x, n % x):
        assert y.dtype == np.float32
    for y in (d.maximum(1.5), d.clamp(0, 1), d // 2, d % 2, 2 // d, 2 % d, tn.where(d > 1, d, 0.0)):
        assert y.dtype == np.float64
    assert tn.where(x > 2, 1.0, 0).dtype == np.float32
    assert tn.where(x > 2, 0, 1.5).tolist() == [1.5, 0]
    assert tn.where(x > 2, 1, 0).dtype == np.int64
    assert tn.where(x > 2, True, False).dtype == np.bool_
    assert tn.where(x > 2, np.float32(2), n).tolist() == [1, 2]
    assert (tn.tensor([True]) // tn.tensor([True])).dtype == np.int64
    assert tn.tensor([True]).maximum(tn.tensor([False])).dtype == np.bool_
    assert (tn.tensor([True]) & 3).dtype == np.int64
    assert (6 & tn.tensor([3])).tolist() == [2]
    assert (6 | tn.tensor([3])).tolist() == [7]
    assert (6 ^ tn.tensor([3])).tolist() == [5]
    assert (7 // tn.tensor([2, -2])).tolist() == [3, -4]
    assert (7 % tn.tensor([2, -2])).tolist() == [1, -1]
    assert n.equal(tn.tensor([1.0, 5.0]))
    assert not n.equal(tn.tensor([[1, 5]]))
    array = np.ones(2, np.float32)
    for y in (x.add(array, alpha=np.float64(2)), x.sub(1, alpha=np.int64(2)), x.add(array, alpha=2.5)):
        assert y.dtype == np.float32
    for call in (
        lambda: x.maximum(d),
        lambda: x.where(x > 1, d),
        lambda: x.clamp(d),
        lambda: x.clamp(0, d),
        lambda: x // d,
        lambda: x % d,
        lambda: x.isclose(d),
        lambda: x.equal(d),
        lambda: x.logical_and(d),
        lambda: x.lerp(d, 0.5),
    ):
        with pytest.raises(DTypeError, match="operands must have one float dtype"):
            call()


# ---- edges -------------------------------------------------------------------------------------------------


def test_large_integers_are_divided_exactly():
    a = np.asarray([2**62 + 1, -(2**62) - 1])
    assert tn.tensor(a).div(tn.tensor([3]), rounding_mode="trunc").tolist() == [
        1537228672809129301,
        -1537228672809129301,
    ]


def test_nothing_leaks_from_the_side_that_was_not_chosen():
    for bad in (NAN, INF):
        x = tn.tensor([1.0, bad], requires_grad=True)
        y = tn.tensor([bad, 2.0], requires_grad=True)
        z = tn.where(tn.tensor([True, False]), x, y)
        assert z.tolist() == [1, 2]
        z.backward(tn.tensor([3.0, 4.0]))
        assert x.grad.tolist() == [3, 0]
        assert y.grad.tolist() == [0, 4]
    w = tn.tensor([1.0, 2.0], requires_grad=True)
    w.where(tn.tensor([True, False]), 0.0).backward(tn.tensor([INF, NAN]))
    assert w.grad.tolist() == [INF, 0]


def test_gradients_at_ties_limits_and_nan():
    def gradients(f: Callable[..., tn.Tensor], *values: list[float]) -> list[list[float]]:
        leaves = [tn.tensor(v, requires_grad=True) for v in values]
        f(*leaves).sum().backward()
        return [t.grad.tolist() for t in leaves]

    a, b = [1.0, 2.0, NAN, 3.0, 5.0], [1.0, 3.0, 1.0, NAN, 4.0]
    assert gradients(tn.maximum, a, b) == [[0.5, 0, 1, 1, 1], [0.5, 1, 1, 1, 0]]
    assert gradients(tn.minimum, a, b) == [[0.5, 1, 1, 1, 0], [0.5, 0, 1, 1, 1]]
    x = [0.0, 1.0, 1.5, 2.0, 3.0, NAN]
    assert gradients(lambda t: t.clamp(1, 2), x) == [[0, 1, 1, 1, 0, 0]]
    assert gradients(lambda t: t.clamp(min=1), x) == [[0, 1, 1, 1, 1, 0]]
    assert gradients(lambda t: t.clamp(max=2), x) == [[1, 1, 1, 1, 0, 0]]
    low, high = [1.0] * 6, [2.0] * 6
    expected = [[0, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]]
    assert gradients(tn.clamp, x, low, high) == expected
    assert gradients(tn.clamp, x, high, low) == [[0.0] * 6, [0.0] * 6, [1.0] * 6]
    assert tn.clamp(tn.tensor(x), 2, 1).tolist()[:5] == [1.0] * 5
    for f in (tn.sign, tn.floor, tn.ceil, tn.round, tn.trunc, lambda t: t // 2):
        assert gradients(f, [0.0, 1.5, -INF]) == [[0, 0, 0]]
    assert gradients(lambda p, q: p % q, [7.0, -7.0], [2.0, 2.0]) == [[1, 1], [-3, 4]]
    assert gradients(lambda p: p**0, [0.0, 2.0]) == [[0, 0]]
    assert gradients(lambda p, q: p**q, [0.0, 0.0], [0.0, 2.0]) == [[0, 0], [0, 0]]
    assert gradients(lambda p: p**2, [0.0, -3.0]) == [[0, -6]]
    assert gradients(lambda p: p**1, [0.0, -3.0]) == [[1, 1]]
    assert gradients(tn.abs, [0.0, -0.0, -2.0]) == [[0, 0, -1]]


def test_broadcast_sides_receive_sums():
    c = tn.tensor([[True, False, True], [False, False, True]])
    x, y = tn.tensor(2.0, requires_grad=True), tn.tensor([[1.0], [2.0]], requires_grad=True)
    tn.where(c, x, y).sum().backward()
    assert x.grad.item() == 3
    assert y.grad.tolist() == [[1], [2]]
    low = tn.tensor(0.0, requires_grad=True)
    tn.tensor([[-1.0, 1.0], [-3.0, -2.0]]).clamp(min=low).sum().backward()
    assert low.grad.item() == 3
    value = tn.tensor(5.0, requires_grad=True)
    tn.zeros(2, 3).masked_fill(c, value).sum().backward()
    assert value.grad.item() == 3


def test_the_slopes_inside_the_functions_are_silent():
    x = tn.tensor([0.0, -1.0, INF, NAN], requires_grad=True)
    for name in UNARY:
        getattr(x, name)().sum().backward()
    (x / 0.0).sum().backward()
    (x % 0.0).sum().backward()
    (x**-1.5).sum().backward()
    assert x.grad is not None
    assert np.isnan(x.grad.numpy()[3])


def test_a_scalar_that_lies_in_the_tensor():
    """A number read from the memory that is written must be read before."""
    for n in (3, 20000):
        for at in (0, n // 2):
            a = np.arange(n, dtype=np.float32) + 1
            x = tn.tensor(a)
            x.mul_(x[at])
            np.testing.assert_array_equal(x.numpy(), a * a[at])
    a = np.arange(40, dtype=np.float32)
    x = tn.tensor(a)
    x[1:].add_(x[:-1])
    np.testing.assert_array_equal(x.numpy()[1:], a[1:] + a[:-1])


# ---- errors ------------------------------------------------------------------------------------------------

X, N = tn.tensor([1.0, 2.0, 3.0]), tn.tensor([1, 2, 3])
B = tn.tensor([True, False, True])
FOUR = tn.ones(4)

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    *((lambda n=n: getattr(tn, n)(3), DTypeError, f"{n}: input must be a Tensor; got int") for n in UNARY),
    *(
        (lambda n=n: getattr(tn, n)([1.0], 3), DTypeError, f"{n}: input must be a Tensor; got list")
        for n in [*BINARY, "pow", "bitwise_and", "bitwise_or", "bitwise_xor", "isclose", "allclose", "equal"]
    ),
    *(
        (lambda n=n: getattr(tn, n)(3.0), DTypeError, f"{n}: input must be a Tensor; got float")
        for n in [*TESTS, "bitwise_not", "clamp", "clip"]
    ),
    *(
        (lambda n=n: getattr(X, n)("a"), DTypeError, f"{n}: other must be a Tensor or a number; got str")
        for n in [*BINARY, "pow", "isclose", "allclose"]
    ),
    *(
        (lambda n=n: getattr(X, n)(FOUR), ShapeError, f"{n}: shapes (3,) and (4,) cannot be broadcast")
        for n in [*BINARY, "pow", "isclose", "clamp"]
    ),
    *(
        (lambda n=n: getattr(N, n)(), DTypeError, f"{n}: input must be float32 or float64; got int64")
        for n in ("exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "erf")
    ),
    *(
        (lambda n=n: getattr(B, n)(), DTypeError, f"{n}: input must hold numbers; got bool")
        for n in ("neg", "sign", "floor", "ceil", "round", "trunc")
    ),
    (lambda: X.round(decimals=2), NotImplementedError, "round: decimals must be 0"),
    (lambda: X.clone().round_(decimals=2), NotImplementedError, "round_: decimals must be 0"),
    (lambda: tn.round(X, decimals=-1), NotImplementedError, "round: decimals must be 0"),
    (lambda: X.add(1, alpha="a"), DTypeError, "add: alpha must be a number; got 'a'"),
    (lambda: X.sub(1, alpha=True), DTypeError, "sub: alpha must be a number; got True"),
    (lambda: X.add([1], alpha=2), DTypeError, "add: other must be a Tensor or a number; got list"),
    (lambda: N.add(N, alpha=0.5), ArgumentError,
     "add: alpha must be an integer for integer tensors; got 0.5"),
    (lambda: X.div(2, rounding_mode="up"), ArgumentError,
     "div: rounding_mode must be None, 'floor' or 'trunc'; got 'up'"),
    (lambda: N // 0, ArgumentError, "floor_divide: other must not hold 0 for integers"),
    (lambda: N % tn.tensor([1, 0, 1]), ArgumentError, "remainder: other must not hold 0 for integers"),
    (lambda: N.div(0, rounding_mode="trunc"), ArgumentError, "div: other must not hold 0 for integers"),
    (lambda: N ** -1, ArgumentError, "pow: Integers to negative integer powers are not allowed"),
    (lambda: X & 1, DTypeError, "bitwise_and: operands must be bool or integers; got float32 and int"),
    (lambda: N | X, DTypeError, "bitwise_or: operands must be bool or integers; got int64 and float32"),
    (lambda: N.bitwise_xor("a"), DTypeError, "bitwise_xor: other must be a Tensor or a number; got str"),
    (lambda: ~X, DTypeError, "bitwise_not: input must be bool or integers; got float32"),
    (lambda: N & tn.tensor([1, 2]), ShapeError,
     "bitwise_and: shapes (3,) and (2,) cannot be broadcast together"),
    (lambda: X.where(X, 0), DTypeError, "where: condition must be bool; got float32"),
    (lambda: tn.where(X, X, X), DTypeError, "where: condition must be bool; got float32"),
    (lambda: tn.where(True, X, X), DTypeError, "where: condition must be a Tensor; got bool"),
    (lambda: X.where(True, X), DTypeError, "where: condition must be a Tensor; got bool"),
    (lambda: tn.where(B, [1.0], X), DTypeError, "where: input must be a Tensor or a number; got list"),
    (lambda: tn.where(B, X, "a"), DTypeError, "where: other must be a Tensor or a number; got str"),
    (lambda: X.where(B, "a"), DTypeError, "where: other must be a Tensor or a number; got str"),
    (lambda: tn.where(B, X, FOUR), ShapeError,
     "where: shapes (3,) and (4,) and (3,) cannot be broadcast together"),
    (lambda: X.clamp(), ArgumentError, "clamp: min or max must be given; got None and None"),
    (lambda: X.clamp("a", 2), DTypeError, "clamp: min and max must be Tensors or numbers; got str and int"),
    (lambda: X.clamp(2, "a"), DTypeError, "clamp: min and max must be Tensors or numbers; got int and str"),
    (lambda: tn.tensor([1], dtype="uint8").clamp(max=300), ArgumentError,
     "clamp: 300 does not fit into uint8"),
    (lambda: X.masked_fill(B, tn.ones(2)), ShapeError,
     "masked_fill: value must be a number or a tensor without axes; got shape (2,)"),
    (lambda: N.masked_fill(B, 1.5), DTypeError,
     "masked_fill: value must be a number that fits int64; got 1.5"),
    (lambda: X.masked_fill(B, "a"), DTypeError,
     "masked_fill: value must be a number that fits float32; got 'a'"),
    (lambda: X.masked_fill(X, 1), DTypeError, "where: condition must be bool; got float32"),
    (lambda: tn.masked_fill(1, B, 1), DTypeError, "masked_fill: input must be a Tensor; got int"),
    (lambda: X.lerp(1.0, 0.5), DTypeError, "lerp: end must be a Tensor; got float"),
    (lambda: N.lerp(N, 0.5), DTypeError, "lerp: input must be float32 or float64; got int64"),
    (lambda: tn.lerp(1.0, X, 0.5), DTypeError, "lerp: input must be a Tensor; got float"),
    (lambda: tn.addcmul(1.0, X, X), DTypeError, "addcmul: input must be a Tensor; got float"),
    (lambda: X.equal(3), DTypeError, "equal: other must be a Tensor; got int"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind", "message"), ERRORS, ids=[f"{i}-{e[2][:40]}" for i, e in enumerate(ERRORS)]
)
def test_error(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()


def test_operators_refuse_what_is_no_number():
    for call in (lambda: X // "a", lambda: X % "a", lambda: N & "a", lambda: [1] | N):
        with pytest.raises(TypeError):
            call()
