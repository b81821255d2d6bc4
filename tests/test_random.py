"""Random numbers: what a draw is a function of, states, independence of threads, distributions."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import scipy.stats

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError
from tinynet.nn import functional as F
from tinynet.ops.dropout import philox_u32


def test_a_draw_is_a_function_of_seed_and_call():
    a, b = tn.Generator(5), tn.Generator(5)
    tn.rand(1000, generator=a)  # however many numbers one call draws,
    tn.rand(1, generator=b)
    assert tn.randn(3, generator=a).tolist() == tn.randn(3, generator=b).tolist()  # the next is the same
    assert tn.randn(3, generator=a).tolist() != tn.randn(3, generator=tn.Generator(5)).tolist()
    assert a.get_state() == {"seed": 5, "calls": 3}


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: tn.rand(4, generator=g),
        lambda g: tn.randn(4, generator=g),
        lambda g: tn.randperm(50, generator=g),
        lambda g: tn.rand_like(tn.ones(4), generator=g),
        lambda g: tn.randn_like(tn.ones(4), generator=g),
        lambda g: tn.zeros(4).uniform_(generator=g),
        lambda g: tn.zeros(4).normal_(generator=g),
        lambda g: F.dropout(tn.ones(100), generator=g),
    ],
)
def test_each_draw_counts_one_call_and_follows_its_generator(draw):
    g = tn.Generator(11)
    first, second = draw(g).tolist(), draw(g).tolist()
    assert first != second
    assert g.get_state()["calls"] == 2
    g.manual_seed(11)
    assert draw(g).tolist() == first
    tn.manual_seed(11)
    assert draw(None).tolist() == first
    assert draw(None).tolist() == second
    assert draw(tn.Generator(12)).tolist() != first


def test_manual_seed():
    assert tn.manual_seed(3) is tn.default_generator
    assert tn.default_generator.seed == 3
    a = tn.randn(5)
    tn.manual_seed(3)
    assert tn.randn(5).tolist() == a.tolist()


def test_state_round_trip():
    g = tn.Generator(2**64 - 1)
    tn.rand(3, generator=g)
    state = g.get_state()
    expected = tn.rand(5, generator=g).tolist()
    for other in (tn.Generator(), copy.deepcopy(tn.Generator(4)), pickle.loads(pickle.dumps(g))):
        other.set_state(state)
        assert other.get_state() == state
        assert tn.rand(5, generator=other).tolist() == expected
    assert repr(g) == f"Generator(seed={2**64 - 1}, calls=2)"


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "1", None, True])
def test_seeds_that_are_refused(seed):
    with pytest.raises(ArgumentError, match="manual_seed: seed must be an integer in "):
        tn.manual_seed(seed)
    with pytest.raises(ArgumentError, match="manual_seed"):
        tn.Generator(seed)


def test_states_that_are_refused_change_nothing():
    g = tn.Generator(1)
    tn.rand(1, generator=g)
    for state in (
        {"seed": 1},
        None,
        {"seed": -1, "calls": 0},
        {"seed": 2, "calls": -1},
        {"seed": 2, "calls": 1.5},
    ):
        with pytest.raises(ArgumentError, match=r"(set_state|manual_seed): "):
            g.set_state(state)
        assert g.get_state() == {"seed": 1, "calls": 1}


def test_seeds_and_calls_give_unrelated_streams():
    draws = [tn.rand(2000, generator=tn.Generator(s)).numpy() for s in range(6)]
    g = tn.Generator(0)
    draws += [tn.rand(2000, generator=g).numpy() for _ in range(6)][1:]
    correlations = np.corrcoef(draws) - np.eye(len(draws))
    assert abs(correlations).max() < 0.1


# ---- dropout -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 7, 8191, 8192, 8193, 3 * 8192 + 5])
def test_dropout_is_a_function_of_seed_call_and_index(threads, dtype, n):
    """Compared with Philox numbers drawn in one piece: threads and the borders of pieces do not matter."""
    g = tn.Generator(9)
    g.next_call()
    x = tn.ones(n, dtype=dtype, requires_grad=True)
    y = F.dropout(x, 0.4, generator=g)
    kept = philox_u32(n, 9, 2) >= np.uint32(0.4 * 2**32)
    np.testing.assert_allclose(y.detach().numpy(), kept / 0.6, rtol=1e-6)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())


def test_dropout_of_part_of_a_tensor_drops_the_same_elements():
    whole = F.dropout(tn.ones(20_000), 0.5, generator=tn.Generator(1))
    for n in (5, 4096, 8192, 10_001):
        part = F.dropout(tn.ones(n), 0.5, generator=tn.Generator(1))
        assert part.tolist() == whole[:n].tolist()


def test_dropout_rates():
    for p in (0.0, 0.1, 0.5, 0.9, 1.0):
        y = F.dropout(tn.ones(100_000), p, generator=tn.Generator(3)).numpy()
        assert abs((y == 0).mean() - p) < 0.006
        if p < 1:
            np.testing.assert_allclose(y[y != 0], 1 / (1 - p), rtol=1e-6)
    x = tn.ones(3)
    assert F.dropout(x, 0.5, training=False) is x


def test_dropout_of_neighbours_and_of_calls_is_independent():
    g = tn.Generator(0)
    a, b = (F.dropout(tn.ones(50_000), 0.5, generator=g).numpy() > 0 for _ in range(2))
    for x, y in ((a, b), (a[1:], a[:-1]), (a[4:], a[:-4]), (a[8192:], a[:-8192])):
        assert abs(np.corrcoef(x, y)[0, 1]) < 0.02


# ---- distributions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distributions(dtype):
    """Kolmogorov-Smirnov at fixed seeds: a p-value below 0.001 would be a broken generator, not chance."""
    g = tn.Generator(20)
    u = tn.rand(20_000, dtype=dtype, generator=g)
    z = tn.randn(20_000, dtype=dtype, generator=g)
    assert u.dtype == z.dtype == np.dtype(dtype)
    assert 0 <= u.min().item() < 0.001
    assert 0.999 < u.max().item() < 1
    assert scipy.stats.kstest(u.numpy(), "uniform").pvalue > 1e-3
    assert scipy.stats.kstest(z.numpy(), "norm").pvalue > 1e-3
    t = tn.zeros(20_000, dtype=dtype)
    assert scipy.stats.kstest(t.uniform_(2, 5, g).numpy(), "uniform", (2, 3)).pvalue > 1e-3
    assert scipy.stats.kstest(t.normal_(-1, 3, g).numpy(), "norm", (-1, 3)).pvalue > 1e-3


def test_randperm_is_a_fair_permutation():
    g = tn.Generator(6)
    draws = np.array([tn.randperm(5, generator=g).tolist() for _ in range(2000)])
    assert (np.sort(draws, 1) == np.arange(5)).all()
    counts = np.array([[(draws[:, i] == v).sum() for v in range(5)] for i in range(5)])
    assert scipy.stats.chisquare(counts.ravel()).pvalue > 1e-3
    assert tn.randperm(0).shape == (0,)
    assert tn.randperm(3).dtype == np.int64


def test_philox_bits_are_even():
    u = philox_u32(40_000, 123, 4)
    ones = np.unpackbits(u.view(np.uint8).reshape(-1, 4), axis=1).mean(0)
    assert abs(ones - 0.5).max() < 0.012
    np.testing.assert_array_equal(philox_u32(100, 123, 4, 400), u[400:500])


def test_random_tensors_are_floats():
    for f in (tn.rand, tn.randn):
        with pytest.raises(DTypeError, match=f"{f.__name__}: dtype must be float32 or float64; got int64"):
            f(2, dtype="int64")
