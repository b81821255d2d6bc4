"""What the ops do with hard numbers: large means and logits, NaN, infinities, subnormals; dropout's mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ops_cases import Array

import tinynet as tn
from tinynet.errors import ShapeError
from tinynet.nn import functional as F
from tinynet.ops.normalization import batch_statistics

EPS = float(np.finfo(np.float32).eps)
DTYPES = [np.float32, np.float64]
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)


def normalised(x: Array, eps: float = 1e-5) -> Array:
    x = x.astype(np.float64)
    return (x - x.mean(0)) / np.sqrt(x.var(0) + eps)


def bn_error(x: Array) -> float:
    """The largest error of batch_norm, in eps of the channel's largest output."""
    y, exact = F.batch_norm(tn.from_numpy(x), None, None, training=True).numpy(), normalised(x)
    return float((np.abs(y - exact).max(0) / np.abs(exact).max(0)).max()) / EPS


# ---- batch normalisation --------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [60, 64, 1000, 6400])
def test_bn_large_mean_small_deviation(rows: int, threads: int, rng: np.random.Generator) -> None:
    """Mean 1e4, standard deviation 1e-2: ten steps of float32.  As exact as float32 can write it."""
    x = (1e4 + 1e-2 * rng.standard_normal((rows, 33))).astype(np.float32)
    exact = x.astype(np.float64)
    mean, variance, _ = batch_statistics(x)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=0, atol=1e-6)
    np.testing.assert_allclose(variance, exact.var(0), rtol=1e-6)
    assert bn_error(x) <= 4.0
    gx = {}
    for d in DTYPES:
        t = tn.from_numpy(x.astype(d)).requires_grad_()
        y = F.batch_norm(t, None, None, training=True)
        (y * y * y).sum().backward()
        gx[d] = t.grad.numpy()
    size = np.abs(gx[np.float64]).max()
    np.testing.assert_allclose(gx[np.float32], gx[np.float64], rtol=0, atol=2e-4 * size)


@pytest.mark.parametrize(
    ("first", "mean", "std"),
    [(0.0, 0.0, 1.0), (8.0, 0.0, 1.0), (100.0, 0.0, 1.0), (0.0, 3.0, 1.0), (0.0, 10.0, 0.1)],
)
def test_bn_outlier_in_the_first_row(first: float, mean: float, std: float, rng: np.random.Generator) -> None:
    """The statistics do not lean on the first row of a block (a pixel that is off, a ReLU that is)."""
    x = (mean + std * rng.standard_normal((64, 200))).astype(np.float32)
    x[0] = first
    assert bn_error(x) <= 32.0


@each_dtype
def test_bn_constant_channel(dtype: type) -> None:
    x = np.full((70, 3), 0.1, dtype)
    x[:, 1] = np.linspace(-1.0, 1.0, 70)
    t = tn.from_numpy(x).requires_grad_()
    y = F.batch_norm(t, None, None, tn.from_numpy(np.ones(3, dtype)), training=True)
    assert np.abs(y.detach().numpy()[:, [0, 2]]).max() <= 1e-3
    y.backward(tn.ones(y.shape, dtype=dtype))
    assert np.isfinite(y.detach().numpy()).all()
    assert np.isfinite(t.grad.numpy()).all()


@each_dtype
def test_bn_running_statistics(dtype: type, rng: np.random.Generator) -> None:
    """running = (1 - momentum) running + momentum batch, with the unbiased variance."""
    x = np.asarray(rng.standard_normal((12, 5, 3)) * 2.0 + 1.0, dtype)
    mean, var = np.linspace(-1, 1, 5).astype(dtype), np.linspace(1, 2, 5).astype(dtype)
    expected_mean = 0.7 * mean.astype(np.float64) + 0.3 * x.astype(np.float64).mean((0, 2))
    expected_var = 0.7 * var.astype(np.float64) + 0.3 * x.astype(np.float64).var((0, 2), ddof=1)
    F.batch_norm(tn.from_numpy(x), tn.from_numpy(mean), tn.from_numpy(var), training=True, momentum=0.3)
    np.testing.assert_allclose(mean, expected_mean, rtol=4e-6 if dtype is np.float32 else 1e-14)
    np.testing.assert_allclose(var, expected_var, rtol=4e-6 if dtype is np.float32 else 1e-14)
    kept = mean.copy(), var.copy()
    F.batch_norm(tn.from_numpy(x), tn.from_numpy(mean), tn.from_numpy(var), training=False)
    assert np.array_equal(mean, kept[0])
    assert np.array_equal(var, kept[1])


@each_dtype
def test_bn_without_channels(dtype: type) -> None:
    assert F.batch_norm(tn.zeros(3, 0, dtype=dtype), None, None, training=True).shape == (3, 0)


# ---- softmax and cross-entropy --------------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize("large", [1e4, 1e30])
def test_logits_far_apart(large: float, dtype: type) -> None:
    x = np.asarray([[large, -large, 0.0], [-large, -large, -large], [large, large, -large]], dtype)
    t = tn.from_numpy(x).requires_grad_()
    target = tn.tensor(np.asarray([1, 2, 0]))
    loss = F.cross_entropy(t, target, reduction="none")
    expected = [2.0 * large, np.log(3.0), np.log(2.0)]
    np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=4 * EPS)
    loss.backward(tn.ones(3, dtype=dtype))
    expected_gx = [[1.0, -1.0, 0.0], [1 / 3, 1 / 3, -2 / 3], [-0.5, 0.5, 0.0]]
    np.testing.assert_allclose(t.grad.numpy(), expected_gx, atol=4 * EPS)
    p = F.softmax(tn.from_numpy(x), 1).numpy()
    np.testing.assert_allclose(p, [[1, 0, 0], [1 / 3] * 3, [0.5, 0.5, 0]], atol=4 * EPS)


@each_dtype
def test_cross_entropy_of_nothing(dtype: type) -> None:
    """All examples ignored: the mean is NaN, the sum 0, and nothing flows back.  No example: no mean."""
    for n in (0, 3):
        target = tn.tensor(np.full(n, -100))
        for reduction, expected in (("mean", np.nan), ("sum", 0.0)):
            x = tn.zeros(n, 4, dtype=dtype).requires_grad_()
            if n == 0 and reduction == "mean":
                with pytest.raises(
                    ShapeError, match=r"input must have at least one example .*; got \(0, 4\)"
                ):
                    F.cross_entropy(x, target)
                continue
            loss = F.cross_entropy(x, target, reduction=reduction)
            np.testing.assert_array_equal(loss.item(), expected)
            loss.backward()
            if reduction == "sum":
                np.testing.assert_array_equal(x.grad.numpy(), np.zeros((n, 4)))


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.int16, np.int8, np.uint8, np.uint32])
def test_labels_of_every_integer_dtype(kind: type) -> None:
    x = tn.tensor(np.eye(3, dtype=np.float32))
    labels = np.asarray([0, 2, 1])
    loss = F.cross_entropy(x, tn.tensor(labels.astype(kind)))
    assert loss.item() == F.cross_entropy(x, tn.tensor(labels)).item()


# ---- NaN and infinities ---------------------------------------------------------------------------


@each_dtype
def test_nan_comes_through(dtype: type) -> None:
    nan = float("nan")
    x = np.asarray([[1.0, nan, -1.0], [0.5, 2.0, 3.0]], dtype)
    bad = np.isnan(x)
    for f in (F.relu, F.sigmoid, F.tanh, lambda t: t.exp(), lambda t: t * 2.0):
        t = tn.from_numpy(x).requires_grad_()
        y = f(t)
        assert np.array_equal(np.isnan(y.detach().numpy()), bad)
        y.sum().backward()
        assert np.isfinite(t.grad.numpy()[~bad]).all()
    t = tn.from_numpy(x)
    y = F.batch_norm(t, None, None, training=True).numpy()
    assert np.array_equal(np.isnan(y), [[False, True, False]] * 2)
    assert np.isnan(F.log_softmax(t, 1).numpy()).any(1).tolist() == [True, False]
    assert np.isnan(F.linear(t, tn.ones(2, 3, dtype=dtype)).numpy()).all(1).tolist() == [True, False]
    assert np.isnan(t.max().item())
    assert np.isnan(t.max(1)[0].numpy()).tolist() == [True, False]
    assert t.max(1)[1].tolist() == [1, 2]
    assert np.isnan(t.sum().item())
    losses = F.cross_entropy(t, tn.tensor([0, 1]), reduction="none").numpy()
    assert np.isnan(losses).tolist() == [True, False]


def running(x: tn.Tensor, training: bool) -> tn.Tensor:
    mean, var = tn.zeros(3, dtype=x.dtype), tn.ones(3, dtype=x.dtype)
    return F.batch_norm(x, mean, var, training=training)


SILENT: dict[str, Callable[[tn.Tensor], tn.Tensor]] = {
    "add": lambda x: x + x,
    "mul": lambda x: x * x,
    "div": lambda x: x / (x - x),
    "pow": lambda x: x**3,
    "exp": lambda x: x.exp(),
    "log": lambda x: (-x).log(),
    "sqrt": lambda x: (-x).sqrt(),
    "sum": lambda x: x.sum(),
    "sum_dim": lambda x: x.sum(0),
    "mean": lambda x: x.mean(),
    "var": lambda x: x.var(0),
    "amax": lambda x: x.amax(0),
    "cast": lambda x: x.double() if x.dtype == np.float32 else x.float(),
    "index": lambda x: x[np.zeros(5, np.int64)],
    "broadcast": lambda x: x[:1].broadcast_to(x.shape),
    "linear": lambda x: F.linear(x, x, x[:, 0]),
    "matmul": lambda x: x.T @ x,
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "relu": F.relu,
    "log_softmax": lambda x: F.log_softmax(x, 0),
    "softmax": lambda x: F.softmax(x, 1),
    "cross_entropy": lambda x: F.cross_entropy(x, tn.zeros(len(x), dtype="i8"), label_smoothing=0.1),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "batch_norm_running": lambda x: running(x, True),
    "batch_norm_eval": lambda x: running(x, False),
    "dropout": F.dropout,
}


@each_dtype
@pytest.mark.parametrize("name", SILENT)
def test_overflow_is_silent(name: str, dtype: type) -> None:
    """Numbers at the end of the range give inf or NaN, forward and backward, without a warning."""
    x = np.full((70, 3), np.finfo(dtype).max, dtype)
    t = tn.from_numpy(x).requires_grad_()
    y = SILENT[name](t)
    y.backward(tn.from_numpy(np.full(y.shape, np.finfo(y.dtype).max, y.dtype)))
    assert t.grad.shape == t.shape


@each_dtype
@pytest.mark.parametrize("name", SILENT)
def test_infinities_are_silent(name: str, dtype: type) -> None:
    inf, nan = np.inf, np.nan
    x = np.asarray([[inf, nan, 1.0], [-inf, 0.0, -1.0], [inf, -0.0, 2.0]], dtype)
    for value in (1.0, inf, nan):
        t = tn.from_numpy(x).requires_grad_()
        y = SILENT[name](t)
        y.backward(tn.from_numpy(np.full(y.shape, value, y.dtype)))
        assert t.grad.shape == t.shape


@each_dtype
def test_relu_lets_nan_gradients_through(dtype: type) -> None:
    """Slope 0 at 0 and below whatever the gradient; a NaN in the gradient passes where y > 0."""
    t = tn.from_numpy(np.asarray([-1.0, 0.0, -0.0, 2.0, np.inf], dtype)).requires_grad_()
    F.relu(t).backward(tn.from_numpy(np.asarray([np.nan, 5.0, 5.0, np.nan, 5.0], dtype)))
    np.testing.assert_array_equal(t.grad.numpy(), [0.0, 0.0, 0.0, np.nan, 5.0])


@each_dtype
def test_infinite_logits(dtype: type) -> None:
    inf = float("inf")
    x = tn.from_numpy(np.asarray([[0.0, -inf, 0.0], [inf, 0.0, 0.0]], dtype))
    losses = F.cross_entropy(x, tn.tensor([0, 0]), reduction="none").numpy()
    np.testing.assert_allclose(losses[0], np.log(2.0), rtol=4 * EPS)
    assert np.isnan(losses[1])
    losses = F.cross_entropy(x, tn.tensor([1, 0]), reduction="none").numpy()
    assert losses[0] == inf


@each_dtype
def test_division_and_powers_at_zero(dtype: type) -> None:
    zero = tn.from_numpy(np.asarray([0.0, -0.0], dtype))
    np.testing.assert_array_equal((1.0 / zero).numpy(), [np.inf, -np.inf])
    np.testing.assert_array_equal((zero / zero).numpy(), [np.nan, np.nan])
    np.testing.assert_array_equal(zero.log().numpy(), [-np.inf, -np.inf])
    for power, gradient in ((0, 0.0), (1, 1.0), (2, 0.0), (3, 0.0)):
        t = tn.from_numpy(np.asarray([0.0, 0.0], dtype)).requires_grad_()
        (t**power).sum().backward()
        np.testing.assert_array_equal(t.grad.numpy(), [gradient] * 2)
    for op, gradient in ((lambda t: t.abs(), 0.0), (lambda t: t.sqrt(), np.inf), (F.relu, 0.0)):
        t = tn.from_numpy(np.asarray([0.0], dtype)).requires_grad_()
        op(t).sum().backward()
        assert t.grad.item() == gradient


# ---- subnormal numbers ----------------------------------------------------------------------------


def test_subnormal_arithmetic_is_given_back(threads: int, rng: np.random.Generator) -> None:
    """The kernels flush subnormal numbers to zero; NumPy's arithmetic afterwards does not."""
    x = tn.from_numpy(rng.standard_normal((70, 33)).astype(np.float32)).requires_grad_()
    w = tn.from_numpy(rng.standard_normal((33, 33)).astype(np.float32)).requires_grad_()
    h = F.dropout(F.tanh(F.relu(F.sigmoid(F.linear(x, w)))), 0.5)
    h = F.batch_norm(h, None, None, training=True)
    F.cross_entropy(h, tn.tensor(np.arange(70) % 33)).backward()
    F.linear(x.double(), w.double()).sum().backward()
    small = np.full(1000, 2.0**-126, np.float32)
    assert (small * np.float32(0.25) > 0.0).all()
    assert ((small * np.float32(0.25)) * np.float32(4.0) == small).all()
    assert (np.full(10, 1e-310) * 0.5 > 0.0).all()


# ---- dropout --------------------------------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_dropout_share_and_scale(p: float, dtype: type, threads: int) -> None:
    x = tn.ones(100, 1001, dtype=dtype).requires_grad_()
    y = F.dropout(x, p)
    kept = y.detach().numpy() != 0.0
    assert abs(kept.mean() - (1.0 - p)) <= 5.0 * np.sqrt(p * (1.0 - p) / kept.size)
    if p < 1.0:
        np.testing.assert_allclose(y.detach().numpy()[kept], 1.0 / (1.0 - p), rtol=2 * EPS)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())  # x is 1: the gradient is the mask
    assert F.dropout(x, p, training=False) is x


def test_dropout_mask_depends_on_seed_and_call_alone(threads: int) -> None:
    x = tn.ones(3, 9001)
    masks = [F.dropout(x, 0.5, generator=tn.Generator(seed)).numpy() for seed in (1, 1, 2)]
    assert np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])
    g = tn.Generator(1)
    first, second = F.dropout(x, 0.5, generator=g).numpy(), F.dropout(x, 0.5, generator=g).numpy()
    assert np.array_equal(first, masks[0])
    assert abs((first == second).mean() - 0.5) < 0.02  # independent: half of the elements agree
    tn.manual_seed(5)
    a = F.dropout(x, 0.5).numpy()
    tn.manual_seed(5)
    assert np.array_equal(a, F.dropout(x, 0.5).numpy())
