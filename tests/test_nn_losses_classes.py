"""Losses over classes: labels and probabilities, positions, edges; one_hot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import tinynet as tn
from tinynet import nn
from tinynet.errors import ShapeError
from tinynet.nn import functional as F

FLOATS = [np.float32, np.float64]
REDUCTIONS = ["mean", "sum", "none"]
each_dtype = pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.__name__)


def values(tensor):
    return tensor.detach().numpy()


# ---- losses over classes


@each_dtype
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_is_nll_of_log_softmax(reduction, dtype, rng):
    for shape in ((5,), (4, 5), (4, 5, 3), (2, 5, 3, 2)):
        x = np.asarray(rng.standard_normal(shape), dtype)
        examples = () if len(shape) == 1 else shape[:1] + shape[2:]
        t = np.asarray(rng.integers(0, 5, examples))
        w = np.asarray(rng.uniform(0.5, 2.0, 5), dtype)
        logp = F.log_softmax(tn.from_numpy(x), min(1, x.ndim - 1))
        for weight in (None, tn.from_numpy(w)):
            a = nn.CrossEntropyLoss(weight, reduction=reduction)(tn.from_numpy(x), tn.from_numpy(t))
            b = nn.NLLLoss(weight, reduction=reduction)(logp, tn.from_numpy(t))
            assert a.shape == b.shape == (examples if reduction == "none" else ())
            np.testing.assert_allclose(values(a), values(b), rtol=2e-6)


@each_dtype
def test_positions_are_examples(dtype, rng):
    """(N, K, d1, d2) is (N d1 d2, K) with the classes moved to the end: values and gradients."""
    x = np.asarray(rng.standard_normal((2, 5, 3, 4)), dtype)
    t = rng.integers(0, 5, (2, 3, 4))
    many = tn.from_numpy(x).requires_grad_()
    flat = tn.tensor(np.moveaxis(x, 1, -1).reshape(-1, 5), requires_grad=True)
    a = F.cross_entropy(many, tn.from_numpy(t), label_smoothing=0.1)
    b = F.cross_entropy(flat, tn.from_numpy(t.reshape(-1)), label_smoothing=0.1)
    assert a.item() == b.item()
    a.backward()
    b.backward()
    expected = np.moveaxis(values(flat.grad).reshape(2, 3, 4, 5), -1, 1)
    np.testing.assert_array_equal(values(many.grad), expected)


@each_dtype
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_labels_are_one_hot_probabilities(reduction, smoothing, dtype, rng):
    x = np.asarray(rng.standard_normal((6, 4)), dtype)
    t = rng.integers(0, 4, 6)
    p = F.one_hot(tn.from_numpy(t), 4).to(dtype)
    a, b = (tn.from_numpy(x.copy()).requires_grad_() for _ in range(2))
    y = F.cross_entropy(a, tn.from_numpy(t), reduction=reduction, label_smoothing=smoothing)
    z = F.cross_entropy(b, p, reduction=reduction, label_smoothing=smoothing)
    np.testing.assert_allclose(values(y), values(z), rtol=2e-6)
    y.sum().backward()
    z.sum().backward()
    np.testing.assert_allclose(values(a.grad), values(b.grad), rtol=1e-5, atol=1e-7)


def test_gradient_of_probabilities(rng):
    x = tn.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    p = tn.tensor(rng.uniform(0.1, 0.9, (3, 4)), requires_grad=True)
    w = tn.tensor(rng.uniform(0.5, 2.0, 4))
    for reduction in REDUCTIONS:
        assert tn.gradcheck(
            lambda a, b, r=reduction: F.cross_entropy(a, b, w, reduction=r, label_smoothing=0.3), (x, p)
        )
    F.cross_entropy(x.detach(), p).backward()  # of the target alone
    logp = special.log_softmax(values(x), 1)
    p.grad = None
    F.cross_entropy(x.detach(), p).backward()
    np.testing.assert_allclose(values(p.grad), -logp / 3)


@each_dtype
def test_probabilities_of_logits_far_apart(dtype):
    x = tn.tensor([[1e4, -1e4], [-1e4, 1e4]], dtype=dtype, requires_grad=True)
    y = F.cross_entropy(x, tn.tensor([[0.5, 0.5], [0.0, 1.0]], dtype=dtype), reduction="none")
    np.testing.assert_allclose(values(y), [1e4, 0.0])
    y.sum().backward()
    np.testing.assert_allclose(values(x.grad), [[0.5, -0.5], [0.0, 0.0]], atol=1e-6)
    nan = tn.tensor([[float("nan"), 0.0], [1.0, 2.0]], dtype=dtype)
    losses = F.cross_entropy(nan, tn.full((2, 2), 0.5, dtype=dtype), reduction="none")
    assert np.isnan(values(losses)).tolist() == [True, False]


@each_dtype
def test_nll_of_nothing(dtype):
    """No example, or all ignored: the mean is NaN, the sum 0."""
    for n in (0, 3):
        t = tn.tensor(np.full(n, -100))
        for reduction, want in (("mean", np.nan), ("sum", 0.0)):
            x = tn.zeros(n, 4, dtype=dtype).requires_grad_()
            y = F.nll_loss(x, t, reduction=reduction)
            np.testing.assert_array_equal(y.item(), want)
            y.backward()
            if reduction == "sum":
                assert not values(x.grad).any()


def test_soft_cross_entropy_of_nothing():
    with pytest.raises(
        ShapeError, match=r"input must have at least one example for reduction='mean'; got \(0, 3\)"
    ):
        F.cross_entropy(tn.zeros(0, 3), tn.zeros(0, 3))
    x = tn.zeros(0, 3).requires_grad_()
    y = F.cross_entropy(x, tn.zeros(0, 3), reduction="sum")
    y.backward()
    assert (y.item(), x.grad.shape) == (0.0, (0, 3))


@settings(max_examples=40)
@given(
    n=st.integers(1, 5),
    k=st.integers(1, 7),
    rest=st.lists(st.integers(1, 3), max_size=2),
    smoothing=st.sampled_from([0.0, 0.25]),
    seed=st.integers(0, 2**32 - 1),
)
def test_classes_of_any_shape(n, k, rest, smoothing, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, k, *rest)).astype(np.float32)
    t = rng.integers(0, k, (n, *rest))
    ignore = int(rng.integers(0, k)) if k > 1 else -100
    logp = special.log_softmax(x.astype(np.float64), 1)
    at_label = np.take_along_axis(logp, t[:, None], 1)[:, 0]
    losses = -(1 - smoothing) * at_label - smoothing * logp.mean(1)
    counted = t != ignore
    a = tn.from_numpy(x).requires_grad_()
    y = F.cross_entropy(a, tn.from_numpy(t), ignore_index=ignore, label_smoothing=smoothing, reduction="sum")
    np.testing.assert_allclose(values(y), losses[counted].sum(), rtol=1e-5, atol=1e-5)
    y.backward()
    q = (1 - smoothing) * (np.arange(k).reshape(1, k, *[1] * len(rest)) == t[:, None]) + smoothing / k
    np.testing.assert_allclose(values(a.grad), (np.exp(logp) - q) * counted[:, None], atol=1e-5)


# ---- one_hot


def test_one_hot():
    t = tn.tensor([[0, 2], [1, 1]])
    rows = F.one_hot(t)
    assert (rows.shape, rows.dtype) == ((2, 2, 3), np.int64)
    assert np.array_equal(rows.numpy(), np.eye(3, dtype=np.int64)[t.numpy()])
    assert F.one_hot(t, 5).shape == (2, 2, 5)
    assert F.one_hot(tn.tensor(1, dtype=tn.uint8), 3).tolist() == [0, 1, 0]
    assert F.one_hot(tn.zeros(0, dtype=tn.int64), 3).shape == (0, 3)
