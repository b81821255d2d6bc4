"""Factories: what they share with PyTorch's - options, dtypes, values at the edges - and what they refuse."""

from __future__ import annotations

import math
import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, ShapeError

X = tn.ones(2, 3)
FACTORIES = {
    "zeros": lambda **k: tn.zeros(2, 3, **k),
    "ones": lambda **k: tn.ones(2, 3, **k),
    "empty": lambda **k: tn.empty(2, 3, **k),
    "full": lambda **k: tn.full((2, 3), 0.5, **k),
    "rand": lambda **k: tn.rand(2, 3, **k),
    "randn": lambda **k: tn.randn(2, 3, **k),
    "normal": lambda **k: tn.normal(0.0, 1.0, (2, 3), **k),
    "eye": lambda **k: tn.eye(2, 3, **k),
    "arange": lambda **k: tn.arange(0.0, 3.0, **k),
    "linspace": lambda **k: tn.linspace(0, 1, 3, **k),
    "zeros_like": lambda **k: tn.zeros_like(X, **k),
    "ones_like": lambda **k: tn.ones_like(X, **k),
    "empty_like": lambda **k: tn.empty_like(X, **k),
    "full_like": lambda **k: tn.full_like(X, 2, **k),
    "rand_like": lambda **k: tn.rand_like(X, **k),
    "randn_like": lambda **k: tn.randn_like(X, **k),
    "randint": lambda **k: tn.randint(0, 3, (2, 3), **k),
    "randint_like": lambda **k: tn.randint_like(X, 3, **k),
    "randperm": lambda **k: tn.randperm(3, **k),
}
INTEGERS = ("randint", "randperm")  # int64 unless told otherwise
each_factory = pytest.mark.parametrize("name", FACTORIES)


# ---- options ---------------------------------------------------------------------------------------------


@each_factory
def test_dtype_device_and_requires_grad(name):
    make = FACTORIES[name]
    assert make().dtype == (np.int64 if name in INTEGERS else np.float32)
    assert not make().requires_grad
    t = make(dtype=tn.float64, device="cpu", requires_grad=True, pin_memory=False)
    assert t.dtype == np.float64
    assert t.requires_grad
    assert t.is_leaf
    assert make(device=tn.device("cpu"), dtype="float64").dtype == np.float64
    assert make(device=None, layout=None).shape == make().shape


@each_factory
@pytest.mark.parametrize(
    ("option", "value"),
    [("device", "cuda"), ("out", X), ("layout", "strided"), ("pin_memory", True), ("memory_format", 1)],
)
def test_options_that_are_refused(name, option, value):
    with pytest.raises(
        NotImplementedError, match=rf"^{name}: {option} must be .*, the rest is not supported; got"
    ):
        FACTORIES[name](**{option: value})


@each_factory
def test_options_that_are_unknown(name):
    with pytest.raises(TypeError, match=f"^{name}: got an unexpected keyword argument 'colour'"):
        FACTORIES[name](colour=1)


@each_factory
def test_dtypes_that_are_refused(name):
    with pytest.raises(DTypeError, match=f"^{name}: dtype must be .*; got "):
        FACTORIES[name](dtype="float16")
    with pytest.raises(DTypeError):
        FACTORIES[name](dtype="int64", requires_grad=True)


@pytest.mark.parametrize("name", [n for n in FACTORIES if n.endswith("_like")])
def test_likes_want_a_tensor(name):
    arguments = (np.ones(2), 3) if name in ("full_like", "randint_like") else (np.ones(2),)
    with pytest.raises(DTypeError, match=f"^{name}: input must be a Tensor; got ndarray"):
        getattr(tn, name)(*arguments)


def test_device():
    assert tn.device("cpu") == tn.device("cpu:0") == tn.device("cpu", 0) == "cpu"
    for arguments in (("cuda",), ("cpu", 1), (0,)):
        with pytest.raises(NotImplementedError, match=r"^device: (type|index) must be"):
            tn.device(*arguments)
    assert not tn.cuda.is_available()
    assert tn.cuda.device_count() == 0


# ---- from data -------------------------------------------------------------------------------------------


def test_tensor_copies_and_refuses():
    a = np.arange(3.0)
    t = tn.tensor(a, device="cpu", pin_memory=False)
    a[0] = 9
    assert t.tolist() == [0, 1, 2]
    assert t.dtype == np.float64
    assert tn.tensor([1, 2.5], "float64", True).requires_grad
    with pytest.raises(NotImplementedError, match=r"^tensor: device must be"):
        tn.tensor(1, device="cuda")
    with pytest.raises(NotImplementedError, match=r"^tensor: pin_memory must be"):
        tn.tensor(1, pin_memory=True)


def test_as_tensor_shares_what_it_can():
    a = np.arange(4.0)
    for source in (a, a[::-2], a.reshape(2, 2).T):
        t = tn.as_tensor(source)
        assert np.shares_memory(t.numpy(), a)
        assert t.tolist() == source.tolist()
    assert not np.shares_memory(tn.as_tensor(a, dtype="float32").numpy(), a)
    assert tn.as_tensor(a.astype(">f8")).tolist() == a.tolist()
    packed = np.zeros(3, dtype=[("a", "u1"), ("b", "f8")])["b"]
    assert not packed.flags.aligned
    assert tn.as_tensor(packed).tolist() == [0, 0, 0]
    assert tn.as_tensor([1, 2]).dtype == np.int64
    assert tn.as_tensor(2.5).dtype == np.float32
    x = tn.ones(2, requires_grad=True)
    assert tn.as_tensor(x) is x
    assert tn.as_tensor(x, dtype=tn.float32) is x
    y = tn.as_tensor(x, dtype=tn.float64)
    y.sum().backward()
    assert x.grad.tolist() == [1, 1]
    with pytest.raises(NotImplementedError, match=r"^as_tensor: device must be"):
        tn.as_tensor(x, device="cuda")


def test_asarray():
    a = np.ones(3)
    assert np.shares_memory(tn.asarray(a).numpy(), a)
    assert np.shares_memory(tn.asarray(a, copy=False).numpy(), a)
    assert not np.shares_memory(tn.asarray(a, copy=True).numpy(), a)
    x = tn.ones(3, requires_grad=True)
    y = tn.asarray(x)
    assert not y.requires_grad
    assert np.shares_memory(y.numpy(), x.detach().numpy())
    assert tn.asarray([1.0], requires_grad=True).requires_grad
    assert tn.asarray(x, dtype="float64", copy=True).dtype == np.float64
    for data, dtype in (([1, 2], None), (a, "float32"), (1.5, None)):
        with pytest.raises(ArgumentError, match=r"^asarray: copy must be True or None where .*; got False"):
            tn.asarray(data, dtype=dtype, copy=False)
    with pytest.raises(NotImplementedError, match=r"^asarray: device must be"):
        tn.asarray(x, device="cuda")


# ---- one value -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (True, None, True),
        (np.bool_(False), None, False),
        (np.int64(3), None, 3),
        (tn.tensor(4), None, 4),
        (tn.tensor([2.5], requires_grad=True), None, 2.5),
        (2.75, "int64", 2),
        (-2.75, "int32", -2),
        (math.inf, None, math.inf),
        (1e300, "float32", math.inf),
        (255, "uint8", 255),
        (3, "bool", True),
    ],
)
def test_values_that_fill(value, dtype, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        t, u = tn.full((2,), value, dtype=dtype), tn.full_like(tn.empty(2, dtype=dtype), value)
    assert t.tolist() == u.tolist() == [expected] * 2
    if dtype is None:
        assert type(t.tolist()[0]) is type(expected)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(256, "uint8"), (-1, "uint8"), (math.nan, "int64"), (math.inf, "int32"), (1 << 64, "int64")],
)
def test_values_that_do_not_fill(value, dtype):
    with pytest.raises(ArgumentError, match=r"^full: fill_value must fit into .*; got"):
        tn.full((2,), value, dtype=dtype)
    with pytest.raises(ArgumentError, match=r"^full_like: fill_value must fit into .*; got"):
        tn.full_like(tn.zeros(2, dtype=dtype), value)


@pytest.mark.parametrize("value", ["1", 1j, None, [1.0], np.ones(1)])
def test_values_that_are_no_numbers(value):
    with pytest.raises(DTypeError, match=r"^full: fill_value must be a number; got"):
        tn.full((2,), value)
    with pytest.raises(DTypeError, match=r"^full_like: fill_value must be a number; got"):
        tn.full_like(tn.ones(2), value)


# ---- sequences -------------------------------------------------------------------------------------------


def test_arange_of_numbers_of_other_kinds():
    assert tn.arange(tn.tensor(3)).tolist() == [0, 1, 2]
    assert tn.arange(np.int32(1), tn.tensor([4])).dtype == np.int64
    assert tn.arange(2, dtype="float32", requires_grad=True).requires_grad
    assert tn.arange(2**62, 2**62 + 2).tolist() == [2**62, 2**62 + 1]
    with pytest.raises(ArgumentError, match=r"^arange: step must lead from start to end; got 5, 2, 1"):
        tn.arange(5, 2)
    for bad in (math.nan, math.inf):
        with pytest.raises(ArgumentError, match=r"^arange: end must be a finite number; got"):
            tn.arange(bad)
    with pytest.raises(DTypeError, match=r"^arange: start must be a finite number; got 'a'"):
        tn.arange("a", 3)


@given(
    st.floats(-100, 100), st.floats(0.125, 10).flatmap(lambda s: st.sampled_from([s, -s])), st.integers(0, 50)
)
def test_arange_stops_before_the_end(start, step, n):
    values = tn.arange(start, start + n * step, step, dtype="float64").numpy()
    assert abs(len(values) - n) <= 1  # start + n * step is rounded
    np.testing.assert_allclose(values, [start + i * step for i in range(len(values))], rtol=1e-15)


def test_linspace():
    for start, end in ((0, 1), (3.0, -2.0), (5, 5), (tn.tensor(1), tn.tensor([2.5]))):
        for steps in (0, 1, 2, 7, 100):
            t = tn.linspace(start, end, steps, dtype="float64")
            np.testing.assert_allclose(t.numpy(), np.linspace(float(start), float(end), steps))
    t = tn.linspace(0.1, 0.9, 1001)
    assert t.dtype == np.float32
    assert (t[0].item(), t[-1].item()) == (np.float32(0.1), np.float32(0.9))
    assert tn.linspace(0, 10, 4, dtype="int64").tolist() == [0, 3, 6, 10]
    for steps, error in ((-1, ArgumentError), (2.0, DTypeError), (None, DTypeError)):
        with pytest.raises(error, match=r"^linspace: steps must be an int >= 0; got"):
            tn.linspace(0, 1, steps)
    with pytest.raises(ArgumentError, match=r"^linspace: end must be a finite number"):
        tn.linspace(0, math.inf, 3)


def test_eye():
    for n, m in ((3, None), (2, 4), (4, 2), (0, None), (0, 3), (1, 1)):
        for dtype in ("float32", "float64", "int64", "bool"):
            t = tn.eye(n, m, dtype=dtype)
            assert t.dtype == np.dtype(dtype)
            np.testing.assert_array_equal(t.numpy(), np.eye(n, m))
    with pytest.raises(ArgumentError, match=r"^eye: n must be an int >= 0; got -1"):
        tn.eye(-1)
    with pytest.raises(DTypeError, match=r"^eye: m must be an int >= 0; got 2.0"):
        tn.eye(1, 2.0)


# ---- as PyTorch ------------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize(
    "make",
    [
        lambda t: t.arange(7),
        lambda t: t.arange(2, 9, 3),
        lambda t: t.arange(9, 2, -2),
        lambda t: t.arange(0, 1, 0.1),
        lambda t: t.arange(1, 2.0),
        lambda t: t.arange(3, 3),
        lambda t: t.arange(4, dtype=t.float64),
        lambda t: t.linspace(-1, 1, 5),
        lambda t: t.linspace(0, 10, 4, dtype=t.int64),
        lambda t: t.linspace(2, 3, 1),
        lambda t: t.eye(3),
        lambda t: t.eye(2, 3, dtype=t.int64),
        lambda t: t.full((2, 3), 4),
        lambda t: t.full((2,), 2.75, dtype=t.int64),
        lambda t: t.full((), True),
        lambda t: t.full_like(t.zeros(2), 3),
        lambda t: t.zeros((2, 0)),
        lambda t: t.ones(3, dtype=t.uint8),
        lambda t: t.tensor([[1, 2], [3, 4]]),
        lambda t: t.tensor([1.5, 2]),
        lambda t: t.tensor(True),
        lambda t: t.tensor([]),
        lambda t: t.as_tensor(np.arange(3)),
        lambda t: t.as_tensor([1.0], dtype=t.float64),
        lambda t: t.asarray(2.5),
    ],
)
def test_values_and_dtypes_are_pytorchs(make):
    torch = pytest.importorskip("torch")
    ours, theirs = make(tn), make(torch).numpy()
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6)


@pytest.mark.parity
@pytest.mark.parametrize(
    "make",
    [
        lambda t: t.arange(5, 2),
        lambda t: t.arange(0, 1, 0),
        lambda t: t.zeros(-1),
        lambda t: t.eye(-1),
        lambda t: t.linspace(0, 1, -1),
        lambda t: t.full((2,), 300, dtype=t.uint8),
        lambda t: t.randint(3, 3, (2,)),
        lambda t: t.randperm(-1),
        lambda t: t.rand(2, dtype=t.int64),
        lambda t: t.normal(0.0, -1.0, (2,)),
        lambda t: t.bernoulli(t.tensor([1.5])),
        lambda t: t.multinomial(t.tensor([0.0, 0.0]), 1),
        lambda t: t.multinomial(t.tensor([-1.0, 1.0]), 1),
        lambda t: t.ones(2, dtype=t.int64, requires_grad=True),
        lambda t: t.tensor([[1], [2, 3]]),
    ],
)
def test_both_refuse(make):
    torch = pytest.importorskip("torch")
    with pytest.raises((RuntimeError, ValueError, TypeError)):
        make(torch)
    with pytest.raises((ArgumentError, DTypeError, ShapeError)):
        make(tn)
