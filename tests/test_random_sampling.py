"""Random tensors beside rand and randn: integers, distributions whose parameters are tensors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, ShapeError

P = tn.tensor([0.2, 0.5, 0.9] * 4)
DRAWS = {
    "randint": lambda g: tn.randint(1000, (20,), generator=g),
    "randint_like": lambda g: tn.randint_like(P, 5, 1000, generator=g),
    "normal": lambda g: tn.normal(0.0, 1.0, (5,), generator=g),
    "normal of tensors": lambda g: tn.normal(P, P, generator=g),
    "bernoulli": lambda g: tn.bernoulli(tn.full((200,), 0.5), generator=g),
    "multinomial": lambda g: tn.multinomial(tn.ones(50), 50, generator=g),
    "multinomial with replacement": lambda g: tn.multinomial(tn.ones(50), 50, True, generator=g),
}


@pytest.mark.parametrize("name", DRAWS)
def test_each_draw_counts_one_call_and_follows_its_generator(name):
    draw, g = DRAWS[name], tn.Generator(11)
    first, second = draw(g).tolist(), draw(g).tolist()
    assert first != second
    assert g.get_state() == {"seed": 11, "calls": 2}
    g.manual_seed(11)
    assert draw(g).tolist() == first
    tn.manual_seed(11)
    assert draw(None).tolist() == first


@pytest.mark.parametrize(
    "draw",
    [
        lambda n, g: tn.rand(n, generator=g),
        lambda n, g: tn.randn(n, generator=g),
        lambda n, g: tn.randint(9, (n,), generator=g),
        lambda n, g: tn.normal(0.0, 1.0, (n,), generator=g),
        lambda n, g: tn.randperm(n, generator=g),
        lambda n, g: tn.bernoulli(tn.full((n,), 0.5), generator=g),
        lambda n, g: tn.multinomial(tn.ones(n), n, generator=g),
    ],
)
def test_the_next_draw_does_not_depend_on_how_much_this_one_took(draw):
    a, b = tn.Generator(3), tn.Generator(3)
    draw(1, a)
    draw(1000, b)
    assert tn.rand(5, generator=a).tolist() == tn.rand(5, generator=b).tolist()


# ---- integers --------------------------------------------------------------------------------------------


def test_randint():
    for t in (
        tn.randint(3, 7, (2000,)),
        tn.randint(low=3, high=7, size=(2000,)),
        tn.randint(3, 7, size=[2000]),
    ):
        assert t.dtype == np.int64
        counts = np.bincount(t.numpy(), minlength=7)
        assert counts[:3].sum() == 0
        assert scipy.stats.chisquare(counts[3:]).pvalue > 1e-3
    for t in (tn.randint(4, (2, 0)), tn.randint(high=4, size=(2, 0)), tn.randint(4, size=(2, 0))):
        assert t.shape == (2, 0)
    assert tn.randint(5, ()).shape == ()
    assert set(tn.randint(-2, 0, (50,)).tolist()) == {-2, -1}
    assert set(tn.randint(2, (100,), dtype="float32").tolist()) == {0.0, 1.0}
    assert max(tn.randint(256, (2000,), dtype="uint8").tolist()) > 250
    assert tn.randint(2**62, 2**63, (3,)).dtype == np.int64


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3, 3, (2,)), ArgumentError, "randint: high must be greater than low = 3; got 3"),
        ((0, (2,)), ArgumentError, "randint: high must be greater than low = 0; got 0"),
        ((5,), ArgumentError, "randint: size must be a tuple of int; got None"),
        ((1, 5, 3), ArgumentError, "randint: size must be a tuple of int; got 3"),
        ((1, 5, (-3,)), ArgumentError, "randint: sizes must be integers of at least 0"),
        ((0.5, 3, (2,)), DTypeError, "randint: low must be an int; got 0.5"),
        ((0, 2.5, (2,)), DTypeError, "randint: high must be an int; got 2.5"),
        ((0, 2**64, (2,)), ArgumentError, "randint: low and high - 1 must fit into int64"),
    ],
)
def test_randint_refuses(arguments, error, message):
    with pytest.raises(error) as caught:
        tn.randint(*arguments)
    assert message in str(caught.value)


def test_randint_fits_its_dtype():
    with pytest.raises(ArgumentError, match=r"^randint: low and high - 1 must fit into uint8; got 0 and 256"):
        tn.randint(257, (2,), dtype="uint8")
    with pytest.raises(ArgumentError, match=r"^randint_like: low and high - 1 must fit into uint8; got -1"):
        tn.randint_like(tn.zeros(2, dtype="uint8"), -1, 3)


def test_randint_like():
    x = tn.zeros(2, 500)
    t = tn.randint_like(x, 4)
    assert (t.shape, t.dtype) == (x.shape, x.dtype)
    assert set(t.numpy().ravel()) == {0.0, 1.0, 2.0, 3.0}
    assert set(tn.randint_like(x, 2, 4, dtype="int64").numpy().ravel()) == {2, 3}


# ---- distributions ---------------------------------------------------------------------------------------


def test_normal():
    g = tn.Generator(4)
    z = tn.normal(3.0, 2.0, (20_000,), generator=g)
    assert scipy.stats.kstest(z.numpy(), "norm", (3, 2)).pvalue > 1e-3
    mean, std = tn.tensor([[0.0], [50.0]]), tn.tensor([1.0, 0.0, 3.0], requires_grad=True)
    t = tn.normal(mean, std, generator=g)
    assert t.shape == (2, 3)
    assert not t.requires_grad
    assert t[:, 1].tolist() == [0, 50]
    assert tn.normal(tn.zeros(2, dtype="float64")).dtype == np.float64
    assert tn.normal(1.0, tn.zeros(2)).tolist() == [1, 1]
    assert tn.normal(0.0, 1.0, (2,), dtype="float64", requires_grad=True).requires_grad
    assert tn.normal(0.0, 1.0, ()).shape == ()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.0, 1.0), ArgumentError, "normal: size must be a tuple of int where mean and std are numbers"),
        ((0.0, -1.0, (2,)), ArgumentError, "normal: std must be at least 0; got -1"),
        ((P, -P), ArgumentError, "normal: std must be at least 0; got -0.9"),
        ((P, 1.0, (12,)), ArgumentError, "normal: size must not be given beside a Tensor"),
        ((P, tn.ones(5)), ShapeError, "normal: std must have a shape that fits mean, (12,); got (5,)"),
        ((tn.arange(3), 1.0), DTypeError, "normal: dtype must be float32 or float64; got int64"),
        (("a", 1.0, (2,)), DTypeError, "normal: mean must be a finite number; got 'a'"),
        ((math.nan, 1.0, (2,)), ArgumentError, "normal: mean must be a finite number; got nan"),
    ],
)
def test_normal_refuses(arguments, error, message):
    with pytest.raises(error) as caught:
        tn.normal(*arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bernoulli(dtype):
    p = tn.tensor([[0.0, 0.1, 0.5, 0.9, 1.0]], dtype=dtype, requires_grad=True).broadcast_to(20_000, 5)
    t = tn.bernoulli(p)
    assert (t.shape, t.dtype) == (p.shape, p.dtype)
    assert not t.requires_grad
    np.testing.assert_allclose(t.numpy().mean(0), [0, 0.1, 0.5, 0.9, 1], atol=0.012)
    assert set(t.numpy().ravel()) == {0, 1}
    assert tn.bernoulli(tn.ones(0)).shape == (0,)
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ArgumentError, match=r"^bernoulli: input must hold probabilities in "):
            tn.bernoulli(tn.tensor([0.5, bad]))
    with pytest.raises(DTypeError, match=r"^bernoulli: dtype must be float32 or float64; got int64"):
        tn.bernoulli(tn.tensor([0, 1]))
    with pytest.raises(NotImplementedError, match=r"^bernoulli: out must be"):
        tn.bernoulli(tn.ones(2), out=tn.ones(2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_multinomial_with_replacement(dtype):
    w = tn.tensor([[0.0, 1.0, 3.0, 0.0, 4.0, 0.0], [5.0, 0.0, 0.0, 0.0, 0.0, 5.0]], dtype=dtype)
    t = tn.multinomial(w, 8000, replacement=True)
    assert (t.shape, t.dtype) == ((2, 8000), np.int64)
    for row, weights in zip(t.numpy(), w.numpy(), strict=True):
        counts = np.bincount(row, minlength=6)
        assert (counts[weights == 0] == 0).all()
        expected = weights[weights > 0] / weights.sum() * 8000
        assert scipy.stats.chisquare(counts[weights > 0], expected).pvalue > 1e-3
    assert tn.multinomial(tn.tensor([1e308, 1e308], dtype="float64"), 3, True).shape == (3,)


def test_multinomial_without_replacement():
    w = tn.tensor([1.0, 0.0, 2.0, 5.0])
    rows = tn.multinomial(w.broadcast_to(6000, 4), 3).numpy()
    assert (np.sort(rows, 1) == [0, 2, 3]).all()
    # The first is drawn with the weights, the second with those that are left.
    counts = np.bincount(rows[:, 0], minlength=4)
    assert scipy.stats.chisquare(counts[[0, 2, 3]], np.array([1, 2, 5]) / 8 * 6000).pvalue > 1e-3
    second = np.bincount(rows[rows[:, 0] == 3, 1], minlength=4)
    assert scipy.stats.chisquare(second[[0, 2]], np.array([1, 2]) / 3 * second.sum()).pvalue > 1e-3
    assert tn.multinomial(tn.ones(0, 3), 2).shape == (0, 2)
    assert sorted(tn.multinomial(tn.ones(5), 5).tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((tn.ones(3), 0), ArgumentError, "multinomial: num_samples must be a positive int; got 0"),
        (
            (tn.ones(3), 4),
            ArgumentError,
            "multinomial: num_samples must be at most 3, the positive weights; got 4",
        ),
        ((tn.tensor([1.0, 0.0]), 2), ArgumentError, "must be at most 1, the positive weights; got 2"),
        ((tn.zeros(3), 1), ArgumentError, "multinomial: input must hold finite weights of at least 0"),
        ((tn.tensor([1.0, -1.0]), 1), ArgumentError, "multinomial: input must hold finite weights"),
        ((tn.tensor([1.0, math.nan]), 1), ArgumentError, "multinomial: input must hold finite weights"),
        ((tn.tensor([1.0, math.inf]), 1), ArgumentError, "multinomial: input must hold finite weights"),
        ((tn.ones(2, 2, 2), 1), ShapeError, "multinomial: input must have shape (K,) or (N, K) with K >= 1"),
        ((tn.ones(2, 0), 1), ShapeError, "multinomial: input must have shape (K,) or (N, K) with K >= 1"),
        ((tn.ones(()), 1), ShapeError, "multinomial: input must have shape (K,) or (N, K) with K >= 1"),
        ((tn.tensor([1, 2]), 1), DTypeError, "multinomial: dtype must be float32 or float64; got int64"),
        ((tn.ones(2), 1.0), DTypeError, "multinomial: num_samples must be a positive int; got 1.0"),
        ((tn.ones(2), 1, 1), DTypeError, "multinomial: replacement must be a bool; got 1"),
        (([1.0], 1), DTypeError, "multinomial: input must be a Tensor; got list"),
    ],
)
def test_multinomial_refuses(arguments, error, message):
    with pytest.raises(error) as caught:
        tn.multinomial(*arguments)
    assert message in str(caught.value)
