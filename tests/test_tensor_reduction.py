"""Reductions of Tensor and the elements in order, with gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from moves import weights

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, ShapeError

# ---- reductions --------------------------------------------------------------------------------------------

REDUCTIONS = ["sum", "mean", "amax", "amin", "var"]


@st.composite
def arrays_and_dims(draw: Any) -> tuple[np.ndarray, Any]:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=4))
    a = draw(hnp.arrays(draw(st.sampled_from(["float32", "float64"])), shape, elements=st.integers(-50, 50)))
    axes = draw(st.lists(st.integers(0, max(a.ndim - 1, 0)), unique=True, max_size=a.ndim))
    axes = [d - draw(st.sampled_from([0, a.ndim])) for d in axes]
    return a, draw(st.sampled_from([None, *axes])) if len(axes) < 2 else tuple(axes)


@settings(max_examples=80)
@given(arrays_and_dims(), st.booleans(), st.sampled_from(REDUCTIONS))
def test_reductions_agree_with_numpy(ad, keepdim, name):
    a, dim = ad
    if name == "var":
        y = tn.tensor(a).var(dim, keepdim=keepdim, correction=0)
    else:
        y = getattr(tn.tensor(a), name)(dim, keepdim)
    expected = getattr(np, name)(a.astype(np.float64), axis=dim, keepdims=keepdim)
    assert y.shape == np.shape(expected)
    assert y.dtype == a.dtype
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-4)
    z = getattr(tn.tensor(a), name)(axis=dim, keepdim=keepdim)
    assert z.shape == y.shape


def test_sums_of_integers_are_int64():
    assert tn.tensor([200, 100], dtype="uint8").sum().item() == 300
    assert tn.tensor([True, True]).sum().dtype == np.int64
    with pytest.raises(DTypeError, match="mean: x must be float32 or float64; got int64"):
        tn.tensor([1, 2]).mean()


def test_a_sum_of_many_float32_is_accurate():
    assert tn.full((1_000_000,), 0.1).sum().item() == pytest.approx(100000.0, abs=0.01)


def test_gradients_of_reductions():
    a = np.array([[1.0, 5.0, 5.0], [4.0, 2.0, 0.0]])
    for f, expected in (
        (lambda x: x.sum(), [[1, 1, 1], [1, 1, 1]]),
        (lambda x: x.mean(1), [[1 / 3, 1 / 3, 1 / 3], [2 / 3, 2 / 3, 2 / 3]]),
        (lambda x: x.max(), [[0, 0.5, 0.5], [0, 0, 0]]),
        (lambda x: x.max(1)[0], [[0, 1, 0], [2, 0, 0]]),
        (lambda x: x.amax(1), [[0, 0.5, 0.5], [2, 0, 0]]),
        (lambda x: x.min(dim=0)[0], [[1, 0, 0], [0, 2, 3]]),
        (lambda x: x.amin(axis=(0, 1)), [[0, 0, 0], [0, 0, 1]]),
        (lambda x: x.var(1, correction=0), (2 / 3 * (a - a.mean(1, keepdims=True)) * [[1], [2]]).tolist()),
        (lambda x: x.var(), (2 / 5 * (a - a.mean())).tolist()),
    ):
        x = tn.tensor(a, requires_grad=True)
        y = f(x)
        y.backward(tn.tensor(weights(y.shape)))
        np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-12)


def test_max_and_min_along_an_axis_are_pairs():
    x = tn.tensor([[1.0, 5.0, 5.0], [4.0, 2.0, 0.0]])
    values, indices = x.max(1)
    assert values.tolist() == [5, 4]
    assert indices.tolist() == [1, 0]
    assert indices.dtype == np.int64
    values, indices = x.min(0, keepdim=True)
    assert values.tolist() == [[1, 2, 0]]
    assert indices.tolist() == [[0, 1, 1]]
    values, indices = x.max(axis=-1)
    assert values.shape == indices.shape == (2,)
    assert x.max().item() == 5
    assert np.isnan(tn.tensor([1.0, float("nan")]).max().item())
    with pytest.raises(ArgumentError, match="max: dim must be one integer"):
        x.max((0, 1))


def test_argmax_and_argmin():
    a = np.array([[1.0, 5.0, 5.0], [4.0, 2.0, 0.0]])
    x = tn.tensor(a)
    assert x.argmax().item() == 1
    assert x.argmin().item() == 5
    assert x.argmax(1).tolist() == [1, 0]
    assert x.argmin(0, keepdim=True).tolist() == [[0, 1, 1]]
    assert x.argmax(axis=0).dtype == np.int64


def test_reductions_of_nothing():
    x = tn.zeros(0, 3)
    assert x.sum(0).tolist() == [0, 0, 0]
    assert np.isnan(x.mean(0).numpy()).all()
    assert x.sum(1).shape == (0,)
    assert x.amax(1).shape == (0,)
    for f in (lambda: x.max(), lambda: x.amin(0), lambda: x.argmax(0), lambda: x.max(0)):
        with pytest.raises(ShapeError, match=r"at least one element along dim.*; got shape \(0, 3\)"):
            f()
    assert np.isnan(tn.ones(1).var().item())


def test_reduction_errors():
    x = tn.zeros(2, 3)
    with pytest.raises(ArgumentError, match=r"sum: dim must lie in \[-2, 1\]; got 2"):
        x.sum(2)
    with pytest.raises(ArgumentError, match="mean: dim must not name an axis twice"):
        x.mean((0, -2))
    with pytest.raises(ArgumentError, match=r"sum: dim must be an integer; got 1.5"):
        x.sum(1.5)
