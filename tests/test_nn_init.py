"""Initialisers: distributions by their own formulas, reproducibility, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import Parameter, init


def values(tensor):
    return tensor.detach().numpy()


def fresh(shape=(60, 50, 4), dtype=np.float64):
    return Parameter(np.full(shape, np.nan, dtype))


# Distribution of each on a (60, 50, 4) tensor: fan_in = 200, fan_out = 240.
CASES = {
    "uniform_": (lambda t, g: init.uniform_(t, -2, 3, g), stats.uniform(-2, 5)),
    "normal_": (lambda t, g: init.normal_(t, 1, 0.5, g), stats.norm(1, 0.5)),
    "trunc_normal_": (
        lambda t, g: init.trunc_normal_(t, 0.5, 2, -1, 1.5, g),
        stats.truncnorm(-0.75, 0.5, 0.5, 2),
    ),
    "trunc_normal_ above the mean": (
        lambda t, g: init.trunc_normal_(t, 0, 1, 9, 10, g),
        stats.truncnorm(9, 10),
    ),
    "xavier_uniform_": (
        lambda t, g: init.xavier_uniform_(t, 2.0, g),
        stats.uniform(-2 * math.sqrt(6 / 440), 4 * math.sqrt(6 / 440)),
    ),
    "xavier_normal_": (
        lambda t, g: init.xavier_normal_(t, 0.5, g),
        stats.norm(0, 0.5 * math.sqrt(2 / 440)),
    ),
    "kaiming_uniform_": (
        lambda t, g: init.kaiming_uniform_(t, a=math.sqrt(5), generator=g),
        stats.uniform(-1 / math.sqrt(200), 2 / math.sqrt(200)),
    ),
    "kaiming_uniform_ fan_out": (
        lambda t, g: init.kaiming_uniform_(t, mode="fan_out", nonlinearity="relu", generator=g),
        stats.uniform(-math.sqrt(6 / 240), 2 * math.sqrt(6 / 240)),
    ),
    "kaiming_normal_": (
        lambda t, g: init.kaiming_normal_(t, nonlinearity="relu", generator=g),
        stats.norm(0, math.sqrt(2 / 200)),
    ),
    "kaiming_normal_ tanh fan_out": (
        lambda t, g: init.kaiming_normal_(t, mode="fan_out", nonlinearity="tanh", generator=g),
        stats.norm(0, 5 / 3 / math.sqrt(240)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_distribution(name):
    fill, distribution = CASES[name]
    t = fresh()
    assert fill(t, tn.Generator(7)) is t
    sample = values(t).ravel()
    assert stats.kstest(sample, distribution.cdf).pvalue > 1e-3
    # Neighbours are independent: lag-one correlation of n values has standard deviation 1/sqrt(n).
    assert abs(np.corrcoef(sample[:-1], sample[1:])[0, 1]) < 5 / math.sqrt(sample.size)
    assert t.requires_grad
    assert t.is_leaf


@pytest.mark.parametrize("name", CASES)
def test_generator_decides(name):
    fill, _ = CASES[name]
    first, again, other = (values(fill(fresh(), tn.Generator(seed))) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    tn.manual_seed(5)
    a, b = values(fill(fresh(), None)), values(fill(fresh(), None))
    tn.manual_seed(5)
    assert np.array_equal(values(fill(fresh(), None)), a)
    assert not np.array_equal(a, b)


@pytest.mark.parametrize("name", CASES)
def test_float32(name):
    fill, distribution = CASES[name]
    sample = values(fill(fresh(dtype=np.float32), tn.Generator(7)))
    assert sample.dtype == np.float32
    np.testing.assert_allclose(
        sample.mean(), distribution.mean(), atol=5 * distribution.std() / math.sqrt(12000)
    )


def test_constants():
    assert (values(init.constant_(fresh(), 0.5)) == 0.5).all()
    assert (values(init.zeros_(fresh())) == 0).all()
    assert (values(init.ones_(fresh())) == 1).all()


def test_trunc_normal_stays_inside():
    sample = values(init.trunc_normal_(fresh(), 0, 1, -0.5, 0.25, tn.Generator(0)))
    assert sample.min() >= -0.5
    assert sample.max() <= 0.25


@pytest.mark.parametrize(
    ("name", "param", "gain"),
    [
        ("linear", None, 1),
        ("conv2d", None, 1),
        ("sigmoid", None, 1),
        ("tanh", None, 5 / 3),
        ("relu", None, 2**0.5),
        ("leaky_relu", None, (2 / 1.0001) ** 0.5),
        ("leaky_relu", 1, 1),
        ("leaky_relu", 0.5, (2 / 1.25) ** 0.5),
        ("selu", None, 0.75),
    ],
)
def test_gain(name, param, gain):
    assert init.calculate_gain(name, param) == pytest.approx(gain, rel=1e-12)


def test_errors():
    vector = fresh((3,))
    with pytest.raises(
        ShapeError, match=r"xavier_uniform_: tensor must have at least two axes.*got shape \(3,\)"
    ):
        init.xavier_uniform_(vector)
    with pytest.raises(
        ShapeError, match=r"kaiming_normal_: tensor must have at least two axes, none of them empty"
    ):
        init.kaiming_normal_(fresh((3, 0)))
    with pytest.raises(DTypeError, match="normal_: tensor must be a Tensor; got ndarray"):
        init.normal_(np.zeros(3))
    with pytest.raises(DTypeError, match="uniform_: tensor must have dtype float32 or float64; got int64"):
        init.uniform_(tn.tensor([1, 2]))
    with pytest.raises(ArgumentError, match=r"uniform_: b must be at least a = 1.0; got 0.0"):
        init.uniform_(vector, 1, 0)
    with pytest.raises(ArgumentError, match="uniform_: a must be a finite number; got inf"):
        init.uniform_(vector, float("inf"))
    with pytest.raises(ArgumentError, match=r"normal_: std must be a finite number >= 0; got -1.0"):
        init.normal_(vector, 0, -1)
    with pytest.raises(ArgumentError, match=r"trunc_normal_: std must be a finite number > 0; got 0.0"):
        init.trunc_normal_(vector, std=0)
    with pytest.raises(ArgumentError, match=r"trunc_normal_: b must be greater than a = 2.0; got 2.0"):
        init.trunc_normal_(vector, a=2, b=2)
    with pytest.raises(
        ArgumentError, match=r"trunc_normal_: \[a, b\] must have a positive probability under"
    ):
        init.trunc_normal_(vector, a=50, b=51)
    with pytest.raises(
        ArgumentError, match="kaiming_uniform_: mode must be one of 'fan_in', 'fan_out'; got 'fan'"
    ):
        init.kaiming_uniform_(fresh(), mode="fan")
    with pytest.raises(
        ArgumentError, match=r"kaiming_uniform_: nonlinearity must be one of .*; got 'softplus'"
    ):
        init.kaiming_uniform_(fresh(), nonlinearity="softplus")
    with pytest.raises(ArgumentError, match="calculate_gain: nonlinearity must be one of"):
        init.calculate_gain("gelu")
    with pytest.raises(DTypeError, match="calculate_gain: param must be a finite number; got 'x'"):
        init.calculate_gain("leaky_relu", "x")
    assert np.isnan(values(vector)).all()  # nothing was filled
