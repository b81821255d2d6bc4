"""Activations and softmax as layers: values, kinks, special values, errors, printing."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, GraphError
from tinynet.nn import functional as F

Array = np.ndarray
FLOATS = (np.float32, np.float64)
INF, NAN = np.inf, np.nan

each_dtype = pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.__name__)


def gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))


# Layer, how it prints, the function in float64.
LAYERS: dict[str, tuple[Callable[[], nn.Module], str, Callable[[Array], Array]]] = {
    "leaky_relu": (
        lambda: nn.LeakyReLU(0.1),
        "LeakyReLU(negative_slope=0.1)",
        lambda x: np.where(x > 0, x, 0.1 * x),
    ),
    "elu": (lambda: nn.ELU(2.0), "ELU(alpha=2.0)", lambda x: np.where(x > 0, x, 2.0 * np.expm1(x))),
    "gelu": (lambda: nn.GELU(), "GELU(approximate='none')", lambda x: x * special.ndtr(x)),
    "gelu_tanh": (lambda: nn.GELU("tanh"), "GELU(approximate='tanh')", gelu_tanh),
    "silu": (lambda: nn.SiLU(), "SiLU()", lambda x: x * special.expit(x)),
    "softplus": (
        lambda: nn.Softplus(0.5, 3),
        "Softplus(beta=0.5, threshold=3.0)",
        lambda x: np.where(0.5 * x > 3, x, np.log1p(np.exp(0.5 * np.minimum(x, 6.0))) / 0.5),
    ),
    "hardtanh": (
        lambda: nn.Hardtanh(-2.0, 0.5),
        "Hardtanh(min_val=-2.0, max_val=0.5)",
        lambda x: np.clip(x, -2.0, 0.5),
    ),
    "relu6": (lambda: nn.ReLU6(), "ReLU6()", lambda x: np.clip(x, 0.0, 6.0)),
    "logsigmoid": (lambda: nn.LogSigmoid(), "LogSigmoid()", special.log_expit),
}  # fmt: skip
INPLACE: dict[str, Callable[..., nn.Module]] = {
    "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "silu": nn.SiLU, "hardtanh": nn.Hardtanh, "relu6": nn.ReLU6,
    "leaky_relu_negative": lambda **o: nn.LeakyReLU(-0.3, **o),
}  # fmt: skip

each_layer = pytest.mark.parametrize("name", LAYERS)


def values(t: tn.Tensor) -> Array:
    return t.detach().numpy()


def gradient(function: Callable[[tn.Tensor], tn.Tensor], x: Any, dtype: Any = np.float32) -> Array:
    t = tn.tensor(np.asarray(x, dtype)).requires_grad_()
    y = function(t)
    y.backward(tn.ones(y.shape, dtype=dtype))
    assert t.grad is not None
    return t.grad.numpy()


# ---- values ----------------------------------------------------------------------------------------------


@each_dtype
@each_layer
def test_values(name: str, dtype: type, rng: np.random.Generator) -> None:
    make, _, reference = LAYERS[name]
    x = np.concatenate([rng.uniform(-12.0, 12.0, 999), np.linspace(-7.0, 7.0, 57)]).astype(dtype)
    expected = reference(x.astype(np.float64))
    # far out in the tails the exponent's rounding is magnified: see the errors stated in csrc/tinynet.h
    np.testing.assert_allclose(
        values(make()(tn.tensor(x))),
        expected,
        **({"rtol": 1e-6, "atol": 1e-7} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-14}),
    )


@settings(max_examples=30)
@given(
    shape=st.lists(st.integers(0, 6), max_size=3).map(tuple),
    name=st.sampled_from(sorted(LAYERS)),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape(shape: tuple[int, ...], name: str, seed: int) -> None:
    make, _, reference = LAYERS[name]
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    y = make()(tn.tensor(x))
    assert y.shape == shape
    np.testing.assert_allclose(values(y), reference(x.astype(np.float64)), rtol=1e-5, atol=1e-7)


@each_dtype
@each_layer
def test_slopes_by_differences(name: str, dtype: type) -> None:
    make, _, reference = LAYERS[name]
    x = np.asarray([-9.7, -3.1, -2.2, -1.3, -0.4, 0.3, 0.45, 1.1, 2.6, 5.3, 7.1, 9.4])
    h = 1e-5
    expected = (reference(x + h) - reference(x - h)) / (2 * h)
    np.testing.assert_allclose(gradient(make(), x, dtype), expected, rtol=1e-5, atol=1e-6)


def test_kinks() -> None:
    """PyTorch's choices."""
    zeros = [0.0, -0.0]
    assert gradient(lambda x: F.leaky_relu(x, 0.25), zeros).tolist() == [0.25, 0.25]
    assert gradient(lambda x: F.elu(x, 1.5), zeros).tolist() == [1.5, 1.5]
    assert gradient(F.relu6, [0.0, 6.0, 5.0]).tolist() == [0.0, 0.0, 1.0]
    assert gradient(F.hardtanh, [-1.0, 1.0, 0.5]).tolist() == [0.0, 0.0, 1.0]
    assert gradient(F.silu, zeros).tolist() == gradient(F.gelu, zeros).tolist() == [0.5, 0.5]
    assert values(F.softplus(tn.tensor([1.0, 1.5]), threshold=1.0)).tolist() == [
        pytest.approx(np.log1p(np.e)),
        1.5,
    ]
    x = [np.nextafter(np.float32(1.0), np.float32(0.0)), 1.0, np.nextafter(np.float32(1.0), np.float32(2.0))]
    slopes = gradient(lambda t: F.softplus(t, threshold=1.0), x)
    assert slopes[0] == slopes[1] == pytest.approx(special.expit(1.0))
    assert slopes[2] == 1.0


@each_dtype
def test_infinities_and_nan(dtype: type) -> None:
    x = tn.tensor(np.asarray([INF, -INF, NAN], dtype))
    expected = {
        "leaky_relu": [INF, -INF, NAN], "elu": [INF, -1.0, NAN], "gelu": [INF, NAN, NAN],
        "silu": [INF, NAN, NAN], "softplus": [INF, 0.0, NAN], "hardtanh": [1.0, -1.0, NAN],
        "relu6": [6.0, 0.0, NAN], "logsigmoid": [0.0, -INF, NAN],
    }  # fmt: skip
    for name, want in expected.items():
        np.testing.assert_array_equal(values(getattr(F, name)(x)), np.asarray(want, dtype), err_msg=name)
    np.testing.assert_array_equal(values(F.gelu(x, "tanh")), [INF, NAN, NAN])
    slopes = {
        "leaky_relu": [1.0, dtype(0.01), dtype(0.01)], "elu": [1.0, 0.0, NAN], "gelu": [NAN] * 3,
        "silu": [NAN] * 3, "softplus": [1.0, 0.0, NAN], "hardtanh": [0.0] * 3, "relu6": [0.0] * 3,
        "logsigmoid": [0.0, 1.0, NAN],
    }  # fmt: skip
    for name, want in slopes.items():
        got = gradient(getattr(F, name), [INF, -INF, NAN], dtype)
        np.testing.assert_allclose(got, want, rtol=1e-7, err_msg=name)


@each_dtype
@each_layer
def test_large_numbers_stay_finite(name: str, dtype: type) -> None:
    make, _, _ = LAYERS[name]
    x = [1e4, -1e4, 1e20, -1e20, 3e38, -3e38]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(values(make()(tn.tensor(np.asarray(x, dtype))))).all()
        assert np.isfinite(gradient(make(), x, dtype)).all()


def test_small_numbers_keep_their_digits() -> None:
    """Where a difference of numbers near 1 would have lost them."""
    x = np.asarray([-1e-6, -1e-3, -12.0, -40.0], np.float32)
    d = x.astype(np.float64)
    np.testing.assert_allclose(values(F.elu(tn.tensor(x))), np.expm1(d), rtol=3e-7)
    np.testing.assert_allclose(values(F.softplus(tn.tensor(x))), np.log1p(np.exp(d)), rtol=5e-7)
    np.testing.assert_allclose(values(F.logsigmoid(tn.tensor(-x))), -np.log1p(np.exp(d)), rtol=5e-7)
    np.testing.assert_allclose(gradient(F.logsigmoid, -x), special.expit(d), rtol=5e-7)
    np.testing.assert_allclose(gradient(F.softplus, x), special.expit(d), rtol=5e-7)
    np.testing.assert_allclose(values(F.gelu(tn.tensor(x))), d * special.ndtr(d), rtol=5e-6, atol=1e-37)


# ---- in place --------------------------------------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize("name", INPLACE)
def test_inplace(name: str, dtype: type, rng: np.random.Generator) -> None:
    a = rng.uniform(-3.0, 3.0, (4, 5)).astype(dtype)
    plain, inplace = INPLACE[name](), INPLACE[name](inplace=True)
    assert repr(inplace).endswith("inplace=True)")
    x = tn.tensor(a)
    assert inplace(x) is x
    np.testing.assert_array_equal(values(x), values(plain(tn.tensor(a))))
    expected = gradient(plain, a, dtype)
    np.testing.assert_array_equal(gradient(lambda t: inplace(t.clone()), a, dtype), expected)
    chain = gradient(lambda t: inplace(inplace(t.clone())), a, dtype)
    np.testing.assert_array_equal(chain, gradient(lambda t: plain(plain(t)), a, dtype))


@pytest.mark.parametrize("name", INPLACE)
def test_inplace_leaves_what_another_op_has_saved(name: str) -> None:
    leaf = tn.tensor([-1.0, 0.5, 2.0]).requires_grad_()
    y = leaf.sigmoid()  # saves its output
    before = values(y).copy()
    z = INPLACE[name](inplace=True)(y)
    assert z is not y
    assert values(y).tolist() == before.tolist()
    z.sum().backward()
    with pytest.raises(GraphError, match="a leaf that requires a gradient cannot be changed in place"):
        INPLACE[name](inplace=True)(tn.ones(3, requires_grad=True))


def test_what_is_saved() -> None:
    """The output where the gradient is a function of it: the input may then be overwritten."""
    for name in ("leaky_relu", "hardtanh", "relu6", "logsigmoid"):
        x = tn.tensor([-0.5, 0.25, 0.75]).requires_grad_()
        h = x * 1.0
        y = getattr(F, name)(h)
        h.zero_()
        y.sum().backward()
    for function in (F.elu, F.gelu, F.silu, F.softplus, lambda t: F.leaky_relu(t, -0.1)):
        x = tn.tensor([-0.5, 0.25, 0.75]).requires_grad_()
        h = x * 1.0
        y = function(h)
        h.zero_()
        with pytest.raises(GraphError, match="changed in place after its forward"):
            y.sum().backward()


@each_dtype
def test_the_slope_of_elu_far_out(dtype: type) -> None:
    """alpha exp(x), also where y + alpha has lost all of its digits."""
    x = np.linspace(-80.0, -1e-3, 500).astype(dtype)
    slope = gradient(lambda t: F.elu(t, 1.5), x, dtype)
    np.testing.assert_allclose(slope, 1.5 * np.exp(x.astype(np.float64)), rtol=4 * np.finfo(dtype).eps)


# ---- softmax ---------------------------------------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax(dim: int, dtype: type, rng: np.random.Generator) -> None:
    x = (rng.standard_normal((5, 7, 33)) * 20.0).astype(dtype)
    y = values(nn.Softmax(dim)(tn.tensor(x)))
    expected = special.softmax(x.astype(np.float64), axis=dim)
    np.testing.assert_allclose(y, expected, rtol=2e-5 if dtype is np.float32 else 1e-12, atol=1e-37)
    np.testing.assert_allclose(y.sum(axis=dim), 1.0, rtol=1e-6)


@each_dtype
def test_softmax_of_extreme_rows(dtype: type) -> None:
    rows = [
        [1e4, -1e4, 0.0],
        [3e38, 3e38, -3e38],
        [-INF, 0.0, 0.0],
        [NAN, 0.0, 1.0],
        [INF, 0.0, 0.0],
        [-INF] * 3,
    ]
    expected = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [NAN] * 3, [NAN] * 3, [NAN] * 3]
    for width in (3, 5, 17, 40):  # what else is in the row has no weight
        x, want = np.full((6, width), -INF, dtype), np.zeros((6, width), dtype)
        x[:, -3:], want[:, -3:] = rows, expected
        want[np.isnan(want[:, -1])] = NAN
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = values(F.softmax(tn.tensor(x), 1))
        finite = want[[0, 1, 2]]
        np.testing.assert_allclose(got[[0, 1, 2]], finite, rtol=1e-6)
        assert np.isnan(got[3:]).all() if width == 3 else np.isnan(got[3:, -3]).all()


def test_softmax_of_a_scalar() -> None:
    x = tn.tensor(3.0).requires_grad_()
    y = F.softmax(x, 0)
    assert (y.item(), y.shape) == (1.0, ())
    y.backward()
    assert x.grad is not None
    assert x.grad.tolist() == 0.0


def test_softmax_needs_a_dim() -> None:
    message = "Softmax: dim must be an int; its implicit choice is not supported; got None"
    with pytest.raises(NotImplementedError, match=message):
        nn.Softmax()
    with pytest.raises(NotImplementedError, match="Log" + message):
        nn.LogSoftmax(None)
    with pytest.raises(DTypeError, match=r"Softmax: dim must be an int; got 1.0"):
        nn.Softmax(1.0)
    assert repr(nn.Softmax(1)) == "Softmax(dim=1)"


@each_layer
def test_printing(name: str) -> None:
    make, text, _ = LAYERS[name]
    assert repr(make()) == text


# ---- errors ----------------------------------------------------------------------------------------------

X = tn.zeros(2, 3)
ERRORS: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: F.leaky_relu(X, "a"), DTypeError, "leaky_relu: negative_slope must be a finite number; got 'a'"),
    (lambda: F.leaky_relu(X, NAN), ArgumentError,
     "leaky_relu: negative_slope must be a finite number; got nan"),
    (lambda: F.leaky_relu(tn.arange(3)), DTypeError,
     "leaky_relu: input must be float32 or float64; got int64"),
    (lambda: F.elu(X, -1.0), ArgumentError, "elu: alpha must be at least 0; got -1.0"),
    (lambda: F.elu(X, True), DTypeError, "elu: alpha must be a finite number; got True"),
    (lambda: F.elu(tn.arange(3)), DTypeError, "elu: input must be float32 or float64; got int64"),
    (lambda: F.gelu(X, "erf"), ArgumentError, "gelu: approximate must be one of 'none', 'tanh'; got 'erf'"),
    (lambda: F.gelu(tn.arange(3), "tanh"), DTypeError, "gelu: input must be float32 or float64; got int64"),
    (lambda: F.silu(np.ones(3)), DTypeError, "silu: input must be a Tensor; got ndarray"),
    (lambda: F.silu(np.ones(3), inplace=True), DTypeError, "silu: input must be a Tensor; got ndarray"),
    (lambda: F.softplus(X, 0), ArgumentError, "softplus: beta must not be 0; got 0"),
    (lambda: F.softplus(X, 1.0, INF), ArgumentError, "softplus: threshold must be a finite number; got inf"),
    (lambda: F.softplus(tn.arange(3)), DTypeError, "softplus: input must be float32 or float64; got int64"),
    (lambda: F.hardtanh(X, 2, 1), ArgumentError, "hardtanh: min_val must not be above max_val; got 2 and 1"),
    (lambda: F.hardtanh(X, None), DTypeError, "hardtanh: min_val must be a finite number; got None"),
    (lambda: F.hardtanh(tn.arange(3)), DTypeError, "hardtanh: input must be float32 or float64; got int64"),
    (lambda: F.relu6(tn.arange(3)), DTypeError, "relu6: input must be float32 or float64; got int64"),
    (lambda: F.logsigmoid(tn.arange(3)), DTypeError,
     "logsigmoid: input must be float32 or float64; got int64"),
    (lambda: nn.LeakyReLU(None), DTypeError, "LeakyReLU: negative_slope must be a finite number; got None"),
    (lambda: nn.LeakyReLU(0.1, 1), DTypeError, "LeakyReLU: inplace must be a bool; got 1"),
    (lambda: nn.ELU(-1), ArgumentError, "ELU: alpha must be a finite number >= 0; got -1.0"),
    (lambda: nn.GELU("x"), ArgumentError, "GELU: approximate must be one of 'none', 'tanh'; got 'x'"),
    (lambda: nn.SiLU(0), DTypeError, "SiLU: inplace must be a bool; got 0"),
    (lambda: nn.Softplus(0.0), ArgumentError, "Softplus: beta must not be 0; got 0.0"),
    (lambda: nn.Softplus(1, "a"), DTypeError, "Softplus: threshold must be a finite number; got 'a'"),
    (lambda: nn.Hardtanh(1, 1), ArgumentError, "Hardtanh: max_val must be above min_val, 1.0; got 1.0"),
    (lambda: nn.Hardtanh(min_value=0.0), NotImplementedError, "Hardtanh: min_value must be None"),
    (lambda: nn.ReLU6("a"), DTypeError, "ReLU6: inplace must be a bool; got 'a'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_error(call: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        call()


# ---- parity ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

    torch.set_num_threads(1)
    return torch


@pytest.mark.parity
@each_dtype
@each_layer
def test_as_in_pytorch(name: str, dtype: type, torch: ModuleType) -> None:
    """Values and slopes, also at kinks, of subnormal and of infinite numbers, and how the layer prints."""
    make, text, _ = LAYERS[name]
    mine = make()
    theirs = eval(f"nn.{text}", {"nn": torch.nn})
    assert repr(theirs).replace("threshold=3)", "threshold=3.0)") == text
    # float32 GELU of inf is nan in PyTorch's vector code, inf in its scalar code
    special_values = [-INF, NAN, 1e-40, -1e-40] + ([] if name.startswith("gelu") else [INF])
    x = np.asarray(
        [0.0, -0.0, 0.5, -2.0, 6.0, 20.0, -30.0, 100.0, -100.0, 1e4, -1e4, *special_values] * 16, dtype
    )
    t, u = tn.tensor(x).requires_grad_(), torch.from_numpy(x.copy()).requires_grad_()
    y, z = mine(t), theirs(u)
    y.backward(tn.ones(y.shape, dtype=dtype))
    z.backward(torch.ones_like(z))
    assert t.grad is not None
    tolerance = {"rtol": 2e-6, "atol": 1e-7} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(values(y), z.detach().numpy(), **tolerance)
    if dtype is np.float32 and name in ("leaky_relu", "elu", "relu6"):
        # subnormal inputs count as 0, where there is a kink
        normal = np.abs(x) != np.float32(1e-40)
        np.testing.assert_allclose(t.grad.numpy()[normal], u.grad.numpy()[normal], **tolerance)
    else:
        np.testing.assert_allclose(t.grad.numpy(), u.grad.numpy(), **tolerance)
