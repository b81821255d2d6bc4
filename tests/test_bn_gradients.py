"""Moments and histograms of gradients against scipy.stats, and where they are known."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import stats

import tinynet as tn
from tinynet import bn, nn
from tinynet.errors import ArgumentError, DTypeError


def with_gradient(values):
    """A layer whose weight (1, n) has this gradient."""
    layer = nn.Linear(len(values), 1, bias=False, dtype=np.float64)
    layer.weight.grad = tn.tensor(np.array([values], np.float64))
    return layer


def of(values):
    return bn.gradient_statistics(with_gradient(values))["weight"]


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.0],
        [0.0, 0.0, 0.0, 5.0],
        np.random.default_rng(0).normal(size=101),
        np.random.default_rng(1).exponential(size=60) * 1e-9 - 3e-9,
        np.random.default_rng(2).standard_t(3, size=80) * 1e15,
    ],
)
def test_moments_are_those_of_scipy(values):
    found = of(values)
    expected = {
        "count": len(values),
        "mean": np.mean(values),
        "std": np.std(values),
        "skewness": stats.skew(values),
        "kurtosis": stats.kurtosis(values, fisher=False),
        "smallest": np.min(values),
        "largest": np.max(values),
    }
    scale = np.abs(values).max()
    for name, value in expected.items():
        floor = 1e-15 * scale if name in ("mean", "std") else 1e-15
        assert getattr(found, name) == pytest.approx(value, rel=1e-12, abs=floor), name
    np.testing.assert_array_equal(found.values, values)


def test_normal_gradients_have_the_moments_of_a_normal_distribution():
    n = 100_000
    found = of(np.random.default_rng(3).normal(size=n) * 0.01 + 5)
    assert found.skewness == pytest.approx(0, abs=4 * math.sqrt(6 / n))
    assert found.kurtosis == pytest.approx(3, abs=4 * math.sqrt(24 / n))


def test_huge_gradients_do_not_overflow():
    found = of([-3e200, 1e200, 2e200])
    small = of([-3.0, 1.0, 2.0])
    assert found.std == pytest.approx(small.std * 1e200, rel=1e-14)
    assert found.kurtosis == pytest.approx(small.kurtosis, rel=1e-14)


def test_equal_elements_have_no_shape():
    found = of([2.0, 2.0, 2.0])
    assert (found.mean, found.std, found.smallest, found.largest) == (2, 0, 2, 2)
    assert math.isnan(found.skewness)
    assert math.isnan(found.kurtosis)
    counts, edges = found.histogram(2)
    assert (counts.tolist(), edges.tolist()) == ([0, 3], [1.5, 2, 2.5])


@pytest.mark.parametrize("value", [0.1, 1e-300, 1e17])
def test_equal_elements_whose_sum_is_rounded(value):
    found = of([value] * 3)
    assert (found.mean, found.std) == (value, 0)
    assert math.isnan(found.skewness)
    assert math.isnan(found.kurtosis)
    counts, edges = found.histogram()
    assert counts.sum() == 3
    assert edges[0] < value < edges[-1]


@pytest.mark.parametrize("values", [[1.0, 1 + 2e-15], [0.0, 5e-324], [-1e17, -1e17 + 16]])
def test_histogram_of_elements_that_are_too_close_for_the_bins(values):
    counts, edges = of(values).histogram(bins=100)
    assert counts.sum() == 2
    assert (np.diff(edges) > 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_diverged_gradients_pass_through(value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = of([1.0, value, 3.0])
        counts, edges = found.histogram(2)
        empty = of([value]).histogram(1)
    assert not math.isfinite(found.mean)
    assert math.isnan(found.std)
    assert math.isnan(found.kurtosis)
    assert (counts.tolist(), edges.tolist()) == ([1, 1], [1, 2, 3])
    assert [each.tolist() for each in empty] == [[0], [0, 1]]


def test_no_elements():
    layer = nn.Module()
    layer.register_parameter("w", nn.Parameter(tn.zeros(0)))
    layer.w.grad = tn.zeros(0)
    found = bn.gradient_statistics(layer)["w"]
    assert found.count == 0
    assert math.isnan(found.mean)
    assert found.histogram(3)[0].tolist() == [0, 0, 0]


def test_histogram():
    found = of([-2.0, -1.0, 0.0, 0.5, 1.0, 9.0])
    counts, edges = found.histogram(bins=2, range=(-1, 1))
    assert counts.tolist() == [1, 3]  # -1 | 0, 0.5 and the right edge, 1
    assert edges.tolist() == [-1, 0, 1]
    assert counts.dtype == np.int64
    counts, edges = found.histogram()
    assert (len(counts), counts.sum(), edges[0], edges[-1]) == (100, 6, -2, 9)


def network():
    tn.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(27, 2))
    )


def test_gradients_of_a_network_by_name():
    model = network()
    model(tn.randn(4, 2, 5, 5, generator=tn.Generator(1))).square().sum().backward()
    before = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
    found = bn.gradient_statistics(model)
    assert list(found) == ["0.weight", "0.bias", "1.weight", "1.bias", "2.2.weight", "2.2.bias"]
    for name, parameter in model.named_parameters():
        values = before[name].astype(np.float64)
        assert found[name].mean == pytest.approx(values.mean(), rel=1e-12)
        assert found[name].std == pytest.approx(values.std(), rel=1e-12)
        np.testing.assert_array_equal(parameter.grad.numpy(), before[name])
    assert not np.shares_memory(found["0.weight"].values, model[0].weight.grad.numpy())
    assert list(bn.gradient_statistics(model, nn.Conv2d)) == ["0.weight", "0.bias"]
    assert list(bn.gradient_statistics(model, ["2", "1"])) == ["1.weight", "1.bias", "2.2.weight", "2.2.bias"]
    assert list(bn.gradient_statistics(model, [nn.Linear, "2", "2.2"])) == ["2.2.weight", "2.2.bias"]
    model[0].weight.grad = None
    assert list(bn.gradient_statistics(model, "0")) == ["0.bias"]


def test_a_gradient_need_not_be_contiguous():
    layer = nn.Conv2d(3, 2, (2, 3), dtype=np.float64)
    values = np.random.default_rng(0).normal(size=(2, 3, 2, 3))
    layer.weight.grad = tn.tensor(values).contiguous(memory_format=tn.channels_last)
    np.testing.assert_array_equal(bn.gradient_statistics(layer)["weight"].values, values.ravel())


def test_errors():
    model = network()
    with pytest.raises(ArgumentError, match=r"^gradient_statistics: model must have gradients, .*; got none"):
        bn.gradient_statistics(model)
    with pytest.raises(ArgumentError, match=r"^gradient_statistics: layers .*'0', '1'.*; got '7'"):
        bn.gradient_statistics(model, "7")
    with pytest.raises(DTypeError, match=r"^gradient_statistics: model must be a Module; got int"):
        bn.gradient_statistics(3)
    found = of([1.0, 2.0])
    for bins, range, error, message in (
        (0, None, ArgumentError, r"bins must be a positive int; got 0"),
        (2.0, None, DTypeError, r"bins must be a positive int; got 2.0"),
        (2, (1, 1), ArgumentError, r"range must rise; got \(1, 1\)"),
        (9, (1, 1 + 1e-15), ArgumentError, r"range must be wide enough for 9 bins; got \(1, 1\.0000"),
        (2, 3, ArgumentError, r"range must be two numbers; got 3"),
        (2, (0, np.inf), ArgumentError, r"range must be a finite number; got inf"),
        (2, ("a", 1), DTypeError, r"range must be a finite number; got 'a'"),
    ):
        with pytest.raises(error, match=r"^GradientStatistics\.histogram: " + message):
            found.histogram(bins, range)
