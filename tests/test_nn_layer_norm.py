"""Layer normalisation: values, accuracy beside a large mean, what is saved, state, errors, printing."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F

Array = np.ndarray
FLOATS = (np.float32, np.float64)
INF, NAN = np.inf, np.nan

each_dtype = pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.__name__)


def values(t: tn.Tensor) -> Array:
    return t.detach().numpy()


def layer_norm(x: Array, axes: int, eps: float = 1e-5) -> Array:
    over = tuple(range(x.ndim - axes, x.ndim))
    x = x.astype(np.float64)
    mu = x.mean(axis=over, keepdims=True)
    return (x - mu) / np.sqrt(((x - mu) ** 2).mean(axis=over, keepdims=True) + eps)


@each_dtype
@pytest.mark.parametrize(("shape", "axes"), [((6, 33), 1), ((3, 4, 5), 2), ((3, 4, 5), 3), ((2, 3, 4), 1)])
def test_layer_norm(shape: tuple[int, ...], axes: int, dtype: type, rng: np.random.Generator) -> None:
    layer = nn.LayerNorm(shape[-axes:], eps=1e-3, dtype=dtype)
    assert layer.weight is not None
    assert layer.bias is not None
    w, b = (rng.standard_normal(shape[-axes:]).astype(dtype) for _ in range(2))
    with tn.no_grad():
        layer.weight.copy_(w)
        layer.bias.copy_(b)
    x = (rng.standard_normal(shape) * 3.0 + 1.0).astype(dtype)
    expected = layer_norm(x, axes, 1e-3) * w + b
    tolerance = 2e-6 if dtype is np.float32 else 1e-13
    np.testing.assert_allclose(values(layer(tn.tensor(x))), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(values(layer.eval()(tn.tensor(x))), values(layer.train()(tn.tensor(x))))


@pytest.mark.parametrize("c", [7, 100, 1000, 5001])
@pytest.mark.parametrize("first", ["ordinary", "outlier"])
def test_layer_norm_of_a_large_mean(c: int, first: str, isa: str, rng: np.random.Generator) -> None:
    """Mean 1e4 and standard deviation 1e-2 in float32: as accurate as the numbers are."""
    x = (1e4 + 1e-2 * rng.standard_normal((5, c))).astype(np.float32)
    if first == "outlier":
        x[:, 0] += 3.0
    y = values(F.layer_norm(tn.tensor(x), (c,), eps=1e-12))
    np.testing.assert_allclose(y, layer_norm(x, 1, 1e-12), rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize("c", [16, 1000, 5000])
def test_layer_norm_whose_first_eighth_is_elsewhere(c: int, isa: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, c)).astype(np.float32)
    x[:, : c // 8] += 1e5
    y = values(F.layer_norm(tn.tensor(x), (c,)))
    np.testing.assert_allclose(y, layer_norm(x, 1), rtol=1e-5, atol=1e-5)


@each_dtype
def test_layer_norm_of_little(dtype: type) -> None:
    """No row, one feature, constant rows: finite, and PyTorch's results."""
    w, b = tn.full((1,), 2.0, dtype=dtype), tn.full((1,), 3.0, dtype=dtype)
    x = tn.tensor(np.asarray([[5.0], [-1e30]], dtype)).requires_grad_()
    y = F.layer_norm(x, 1, w, b)
    assert y.tolist() == [[3.0], [3.0]]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0], [0.0]]
    for value in (0.1, 1e4, 1e30):
        constant = tn.full((3, 77), value, dtype=dtype).requires_grad_()
        y = F.layer_norm(constant, (77,))
        assert (
            np.abs(values(y)).max() <= 1e-3 * value
            if dtype is np.float64
            else values(y).tolist() == [[0.0] * 77] * 3
        )
        y.sum().backward()
        assert constant.grad is not None
        assert np.isfinite(constant.grad.numpy()).all()
    layer = nn.LayerNorm((3,), dtype=dtype)
    empty = tn.zeros(0, 3, dtype=dtype, requires_grad=True)
    layer(empty).sum().backward()
    assert layer.weight is not None
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [0.0] * 3
    assert F.layer_norm(tn.zeros(3, 0, dtype=dtype), (0,)).shape == (3, 0)


@each_dtype
def test_layer_norm_without_a_finite_variance(dtype: type) -> None:
    big = 1e30 if dtype is np.float32 else 1e200
    x = np.asarray([[big, 2 * big, 3 * big], [INF, 0.0, 1.0], [NAN, 0.0, 1.0], [0.0, 1.0, 2.0]], dtype)
    y = values(F.layer_norm(tn.tensor(x), 3))
    assert np.isnan(y[:3]).all()
    np.testing.assert_allclose(y[3], layer_norm(x[3:], 1)[0], rtol=1e-6)


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_layer_norm_saves_what_a_gradient_needs(wanted: tuple[bool, ...], rng: np.random.Generator) -> None:
    arrays = [rng.standard_normal(s).astype(np.float32) for s in ((70, 5), (5,), (5,))]
    tensors = [tn.tensor(a).requires_grad_(want) for a, want in zip(arrays, wanted, strict=True)]
    y = F.layer_norm(tensors[0], (5,), tensors[1], tensors[2])
    for i, t in enumerate(tensors):
        needed = (i == 0 and wanted[1]) or (i == 1 and wanted[0])
        if not wanted[i] and not needed:
            t.zero_()
    y.sum().backward()
    assert tuple(t.grad is not None for t in tensors) == wanted


def test_layer_norm_state() -> None:
    layer = nn.LayerNorm([2, 3])
    state = layer.state_dict()
    assert {k: v.shape for k, v in state.items()} == {"weight": (2, 3), "bias": (2, 3)}
    assert state["weight"].tolist() == [[1.0] * 3] * 2
    assert state["bias"].tolist() == [[0.0] * 3] * 2
    other = nn.LayerNorm((2, 3))
    with tn.no_grad():
        assert other.weight is not None
        other.weight.fill_(2.0)
    layer.load_state_dict(other.state_dict())
    assert layer.weight is not None
    assert layer.weight.tolist() == [[2.0] * 3] * 2
    layer.reset_parameters()
    assert layer.weight.tolist() == [[1.0] * 3] * 2
    assert list(nn.LayerNorm(3, bias=False).state_dict()) == ["weight"]
    assert list(nn.LayerNorm(3, elementwise_affine=False).state_dict()) == []
    assert nn.LayerNorm(3, dtype="float64").weight.dtype == np.float64


def test_layer_norm_prints_as_in_pytorch() -> None:
    assert repr(nn.LayerNorm(3)) == "LayerNorm((3,), eps=1e-05, elementwise_affine=True, bias=True)"
    plain = nn.LayerNorm([3, 4], 1e-3, elementwise_affine=False)
    assert repr(plain) == "LayerNorm((3, 4), eps=0.001, elementwise_affine=False, bias=False)"


# ---- errors ----------------------------------------------------------------------------------------------

X = tn.zeros(2, 3)
ERRORS: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: F.layer_norm(X, (2,)), ShapeError, "layer_norm: input must have shape (..., 2); got (2, 3)"),
    (lambda: F.layer_norm(X, (1, 2, 3)), ShapeError,
     "layer_norm: input must have shape (..., 1, 2, 3); got (2, 3)"),
    (lambda: F.layer_norm(X, ()), ArgumentError,
     "layer_norm: normalized_shape must name at least one axis; got ()"),
    (lambda: F.layer_norm(X, 3.0), DTypeError, "layer_norm: normalized_shape must be an int >= 0; got 3.0"),
    (lambda: F.layer_norm(X, (-3,)), ArgumentError,
     "layer_norm: normalized_shape must be an int >= 0; got -3"),
    (lambda: F.layer_norm(X, 3, tn.ones(2)), ShapeError,
     "layer_norm: weight must have shape (3,), normalized_shape; got (2,)"),
    (lambda: F.layer_norm(X, 3, None, tn.ones(1, 3)), ShapeError,
     "layer_norm: bias must have shape (3,), normalized_shape; got (1, 3)"),
    (lambda: F.layer_norm(X, 3, tn.ones(3, dtype="f8")), DTypeError,
     "layer_norm: weight must have the dtype of input, float32; got float64"),
    (lambda: F.layer_norm(X, 3, eps=0.0), ArgumentError,
     "layer_norm: eps must be a finite number > 0; got 0.0"),
    (lambda: F.layer_norm(X, 3, eps="a"), DTypeError, "layer_norm: eps must be a finite number > 0; got 'a'"),
    (lambda: F.layer_norm(tn.arange(3), 3), DTypeError,
     "layer_norm: input must be float32 or float64; got int64"),
    (lambda: F.layer_norm(np.ones(3), 3), DTypeError, "layer_norm: input must be a Tensor; got ndarray"),
    (lambda: nn.LayerNorm([]), ArgumentError,
     "LayerNorm: normalized_shape must name at least one axis; got []"),
    (lambda: nn.LayerNorm(2.5), DTypeError, "LayerNorm: normalized_shape must be an int >= 0; got 2.5"),
    (lambda: nn.LayerNorm(3, eps=-1.0), ArgumentError,
     "LayerNorm: eps must be a finite number > 0; got -1.0"),
    (lambda: nn.LayerNorm(3, bias=None), DTypeError, "LayerNorm: bias must be a bool; got None"),
    (lambda: nn.LayerNorm(3, dtype="int64"), DTypeError,
     "LayerNorm: dtype must be float32 or float64; got 'int64'"),
    (lambda: nn.LayerNorm(3, device="cuda"), NotImplementedError, "LayerNorm: device must be None or 'cpu'"),
    (lambda: nn.LayerNorm(3)(tn.ones(2, 4)), ShapeError,
     "layer_norm: input must have shape (..., 3); got (2, 4)"),
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
def test_layer_norm_as_in_pytorch(dtype: type, torch: ModuleType, rng: np.random.Generator) -> None:
    for shape, axes in (((67, 33), 1), ((5, 4, 3), 2), ((2, 1000), 1)):
        mine = nn.LayerNorm(shape[-axes:], dtype=dtype)
        theirs = torch.nn.LayerNorm(
            shape[-axes:], dtype=torch.float32 if dtype is np.float32 else torch.float64
        )
        x, g = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
        t, u = tn.tensor(x).requires_grad_(), torch.from_numpy(x.copy()).requires_grad_()
        y, z = mine(t), theirs(u)
        y.backward(tn.tensor(g))
        z.backward(torch.from_numpy(g))
        assert mine.weight is not None
        assert mine.bias is not None
        assert repr(mine) == repr(theirs)
        assert list(mine.state_dict()) == list(theirs.state_dict())
        tolerance = 1e-5 if dtype is np.float32 else 1e-12
        for a, b in (
            (y.detach(), z.detach()),
            (t.grad, u.grad),
            (mine.weight.grad, theirs.weight.grad),
            (mine.bias.grad, theirs.bias.grad),
        ):
            assert a is not None
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=tolerance, atol=tolerance)
