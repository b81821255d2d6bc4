"""Operators of Tensor: which dtype comes out, what mixes, comparisons, agreement with NumPy."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, ShapeError

BINARY = [operator.add, operator.sub, operator.mul, operator.truediv]
COMPARE = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


# ---- dtypes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "scalar", [2, 2.5, True, np.float32(2.5), np.float64(2.5), np.int64(2), np.bool_(True)]
)
@pytest.mark.parametrize("op", [*BINARY, operator.pow])
def test_numbers_take_the_tensors_dtype(dtype, scalar, op):
    a = np.array([1.0, 2.0, 3.0], dtype)
    t = tn.tensor(a)
    for y, expected in (
        (op(t, scalar), op(a, a.dtype.type(scalar))),
        (op(scalar, t), op(a.dtype.type(scalar), a)),
    ):
        assert isinstance(y, tn.Tensor)
        assert y.dtype == a.dtype
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("op", BINARY)
def test_an_integer_tensor_and_a_python_float_give_float32(op):
    t = tn.tensor([1, 2])
    for y, expected in ((op(t, 1.5), op(np.array([1, 2]), 1.5)), (op(1.5, t), op(1.5, np.array([1, 2])))):
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)


def test_a_bool_tensor_and_a_number():
    b = tn.tensor([True, False])
    assert (b + 2).tolist() == [3, 2]
    assert (b * 3).tolist() == [3, 0]
    assert (2 - b).tolist() == [1, 2]
    assert (b * 0.5).tolist() == [0.5, 0]
    assert (b + 2).dtype == np.int64
    assert (b == 2).tolist() == [False, False]
    assert (b == True).tolist() == [True, False]  # noqa: E712
    with pytest.raises(DTypeError, match="neg: input must hold numbers; got bool"):
        _ = -b


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("int64", "int32", "int64"),
        ("int8", "uint8", "int16"),
        ("uint8", "bool", "uint8"),
        ("bool", "bool", "int64"),
        ("float32", "int64", "float32"),
        ("float64", "uint8", "float64"),
        ("float32", "bool", "float32"),
    ],
)
def test_promotion_of_tensors(a, b, expected):
    x, y = tn.tensor(np.ones(2, a)), tn.tensor(np.ones(2, b))
    assert (x + y).dtype == np.dtype(expected)
    assert (y + x).dtype == np.dtype(expected)
    assert (x.numpy() + y).dtype == np.dtype(expected)
    assert (y.numpy() + x).dtype == np.dtype(expected)


def test_division_of_integers_gives_float32():
    y = tn.tensor([1, 2]) / tn.tensor([2, 4])
    assert y.dtype == np.float32
    assert y.tolist() == [0.5, 0.5]
    assert (tn.tensor([3]) / 2).tolist() == [1.5]
    assert (3 / tn.tensor([2])).tolist() == [1.5]


@pytest.mark.parametrize("op", [*BINARY, operator.pow, operator.matmul, *COMPARE])
def test_float32_and_float64_do_not_mix(op):
    x, y = tn.ones(2, 2), tn.ones(2, 2, dtype="float64")
    with pytest.raises(DTypeError, match=r"must have .*dtype.*float"):
        op(x, y)
    with pytest.raises(DTypeError, match=r"must have .*dtype.*float"):
        op(y, x)
    with pytest.raises(DTypeError, match=r"must have .*dtype.*float"):
        op(x, y.numpy())


@pytest.mark.parametrize("op", [*BINARY, operator.pow])
def test_an_ndarray_may_stand_on_either_side(op):
    a, b = np.array([1.0, 2.0], np.float32), np.array([[3.0], [4.0]], np.float32)
    for y in (op(tn.tensor(a), b), op(a, tn.tensor(b))):
        assert isinstance(y, tn.Tensor)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.numpy(), op(a, b), rtol=1e-6)
    x = tn.tensor(b, requires_grad=True)
    assert op(a, x).requires_grad


def test_matmul_with_ndarrays():
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    b = np.arange(12, dtype=np.float32).reshape(3, 4)
    for y in (tn.tensor(a) @ b, a @ tn.tensor(b), tn.tensor(a).matmul(tn.tensor(b))):
        np.testing.assert_array_equal(y.numpy(), a @ b)


@pytest.mark.parametrize("other", ["a", None, [1.0], object(), 1j, {}])
def test_other_types_are_refused(other):
    t = tn.ones(1, 1)
    for op in (operator.add, operator.mul, operator.matmul):
        with pytest.raises(TypeError):
            op(t, other)
        with pytest.raises(TypeError):
            op(other, t)
    with pytest.raises(TypeError):
        t < other  # noqa: B015
    assert (t == other) is False
    assert (t != other) is True


def test_numbers_that_do_not_fit():
    t = tn.tensor([1], dtype="uint8")
    with pytest.raises(ArgumentError, match="add: 300 does not fit into uint8"):
        t + 300
    assert (t == -1).tolist() == [False]
    assert (t < 300).tolist() == [True]
    with pytest.raises(TypeError):
        tn.ones(2) + np.complex64(1)


def test_shapes_that_do_not_fit():
    for op in BINARY:
        with pytest.raises(
            ShapeError,
            match=r"shapes \(2, 3\) and \(4,\) cannot be broadcast together \(axis -1: 3 against 4\)",
        ):
            op(tn.ones(2, 3), tn.ones(4))
    with pytest.raises(ShapeError, match=r"lt: shapes \(2,\) and \(3,\) cannot be broadcast together"):
        tn.ones(2) < tn.ones(3)  # noqa: B015
    with pytest.raises(ShapeError, match=r"matmul: b must have shape \(K, N\) with K = 3"):
        tn.ones(2, 3) @ tn.ones(2, 3)


def test_an_overflow_is_silent():
    big = tn.tensor([3e38])
    assert (big * 10).tolist() == [float("inf")]
    assert (big / 0).tolist() == [float("inf")]
    assert np.isnan((big * 0 / 0).item())


def test_power_has_no_modulus():
    with pytest.raises((TypeError, NotImplementedError)):
        pow(tn.ones(2), 2, 3)


# ---- comparisons -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", COMPARE)
def test_comparisons(op):
    a, b = np.array([1.0, 2.0, np.nan], np.float32), np.array([1.0, 3.0, np.nan], np.float32)
    for other in (tn.tensor(b), b, 2, 2.0):
        y = op(tn.tensor(a, requires_grad=True), other)
        assert y.dtype == np.bool_
        assert not y.requires_grad
        np.testing.assert_array_equal(y.numpy(), op(a, b if isinstance(other, tn.Tensor) else other))


# ---- gradients through operators ---------------------------------------------------------------------------


def test_gradients_of_broadcast_operands():
    x = tn.tensor([[1.0], [2.0]], requires_grad=True)
    w = tn.tensor([3.0, 4.0, 5.0], requires_grad=True)
    (x * w).sum().backward()
    assert x.grad.tolist() == [[12], [12]]
    assert w.grad.tolist() == [3, 3, 3]
    s = tn.tensor(2.0, requires_grad=True)
    (tn.ones(2, 3) / s).sum().backward()
    assert s.grad.shape == ()
    assert s.grad.item() == pytest.approx(-1.5)


def test_integers_beside_floats_receive_no_gradient():
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    (x * tn.tensor([3, 4])).sum().backward()
    assert x.grad.tolist() == [3, 4]


# ---- against NumPy -----------------------------------------------------------------------------------------

NUMBERS = st.integers(-1000, 1000).map(lambda n: n / 8.0)


@st.composite
def pairs(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=4, max_dims=4))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    a, b = (draw(hnp.arrays(dtype, s, elements=NUMBERS)) for s in shapes.input_shapes)
    layout = draw(st.sampled_from(["as is", "transposed", "reversed"]))
    if layout == "transposed":
        a, b = np.asfortranarray(a), np.asfortranarray(b)
    elif layout == "reversed":
        a, b = np.asarray(np.flip(a)), np.asarray(np.flip(b))
    return a, b


@settings(max_examples=60)
@given(pairs(), st.sampled_from(BINARY + COMPARE))
def test_binary_operators_agree_with_numpy(ab, op):
    a, b = ab
    with np.errstate(all="ignore"):
        expected = op(a, b)
    for y in (op(tn.from_numpy(a), tn.from_numpy(b)), op(a, tn.tensor(b)), op(tn.tensor(a), b)):
        assert y.dtype == expected.dtype
        assert y.shape == expected.shape
        np.testing.assert_array_equal(y.numpy(), expected)


@settings(max_examples=40)
@given(pairs())
def test_gradients_of_a_product_agree_with_numpy(ab):
    a, b = ab
    x, w = tn.tensor(a, requires_grad=True), tn.tensor(b, requires_grad=True)
    y = x * w
    g = np.arange(y.numel(), dtype=a.dtype).reshape(y.shape)
    y.backward(tn.tensor(g))

    def folded(full: np.ndarray, like: np.ndarray) -> np.ndarray:
        full = full.sum(axis=tuple(range(full.ndim - like.ndim)))
        axes = tuple(d for d in range(like.ndim) if like.shape[d] == 1)
        return full.sum(axis=axes, keepdims=True)

    assert x.grad.shape == a.shape
    np.testing.assert_allclose(x.grad.numpy(), folded(g * b, a), rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(w.grad.numpy(), folded(g * a, b), rtol=1e-5, atol=1e-3)


@settings(max_examples=40)
@given(
    hnp.arrays(
        st.sampled_from(["float32", "float64"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
        elements=st.floats(-4, 4, width=16),
    )
)
def test_unary_functions_agree_with_numpy(a):
    t, rtol = tn.tensor(a), 1e-5 if a.dtype == np.float32 else 1e-13
    for y, expected in (
        (-t, -a),
        (+t, a),
        (abs(t), abs(a)),
        (t.exp(), np.exp(a)),
        (t.abs().sqrt(), np.sqrt(abs(a))),
        ((t * t + 1.0).log(), np.log(a * a + 1)),
        (t.tanh(), np.tanh(a)),
        (t.sigmoid(), 1 / (1 + np.exp(-a))),
        (t.relu(), np.maximum(a, 0)),
        (t.abs().pow(2.0), abs(a) ** 2),
    ):
        assert y.dtype == a.dtype
        assert y.shape == a.shape
        np.testing.assert_allclose(y.numpy(), expected, rtol=rtol, atol=1e-7 if a.dtype == np.float32 else 0)


@settings(max_examples=40)
@given(
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 5),
    st.sampled_from(["float32", "float64"]),
    st.data(),
)
def test_matmul_agrees_with_numpy(m, k, n, dtype, data):
    a = data.draw(hnp.arrays(dtype, (m, k), elements=st.integers(-9, 9)))
    b = data.draw(hnp.arrays(dtype, (k, n), elements=st.integers(-9, 9)))
    np.testing.assert_array_equal((tn.tensor(a) @ tn.tensor(b)).numpy(), a @ b)


@pytest.mark.parametrize("width", [7, 8, 9, 100, 9000])
@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_a_row_meets_every_row(op, width, threads, rng):
    """NumPy's bits, on either side, with leading axes of size 1, and where it lies in what is written."""
    a = rng.standard_normal((3, 5, width)).astype(np.float32)
    row = rng.standard_normal(width).astype(np.float32)
    for b in (row, row.reshape(1, 1, width), rng.standard_normal((5, width)).astype(np.float32)):
        x, y = tn.from_numpy(a), tn.from_numpy(b)
        assert op(x, y).numpy().tobytes() == op(a, b).tobytes()
        assert op(y, x).numpy().tobytes() == op(b, a).tobytes()
    name = {"truediv": "div"}.get(op.__name__, op.__name__) + "_"
    own = a.copy()
    getattr(tn.from_numpy(own), name)(tn.from_numpy(own)[1, 2])
    assert own.tobytes() == op(a, a[1, 2]).tobytes()
