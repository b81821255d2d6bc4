"""Singular values of products of random matrices against their law, and the law against what is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import threadpoolctl
from scipy import special

import tinynet as tn
from tinynet import bn
from tinynet.errors import ArgumentError, DTypeError, ShapeError


def gaussian(n, m, seed):
    """m independent n x n matrices whose entries have the variance 1/n."""
    return np.random.default_rng(seed).normal(size=(m, n, n)) / math.sqrt(n)


def test_singular_values_are_those_of_the_product():
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(5, 4)), rng.normal(size=(4, 6)), rng.normal(size=(6, 3)).astype(np.float32)
    product = a @ b @ c
    found = bn.product_singular_values([a, tn.tensor(b), c])
    assert found.dtype == np.float64
    assert found.shape == (3,)
    np.testing.assert_allclose(found**2, np.linalg.eigvalsh(product.T @ product)[::-1], rtol=1e-10)


def test_known_singular_values():
    assert bn.product_singular_values([np.full((1, 1), -3.0)]).tolist() == [3.0]
    assert bn.product_singular_values(each for each in [np.eye(2, dtype=int), 2 * np.eye(2)]).tolist() == [
        2,
        2,
    ]
    transposed = np.array([[0.0, 2.0], [0.0, 0.0]]).T  # not contiguous
    np.testing.assert_allclose(bn.product_singular_values([transposed]), [2, 0], atol=1e-15)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_a_product_that_is_not_finite_gives_nan(value):
    broken = np.array([[value, 0.0], [1.0, -value]])
    assert np.isnan(bn.product_singular_values([broken, broken, np.ones((2, 1))])).tolist() == [True]


def test_bits_do_not_depend_on_threads():
    matrices, found = gaussian(300, 2, seed=0), []
    for number in (1, 2):
        with threadpoolctl.threadpool_limits(number, user_api="blas"):
            found.append(bn.product_singular_values(matrices))
    np.testing.assert_array_equal(found[0], found[1])


def test_edges():
    assert bn.singular_value_edge(1) == 2
    assert bn.singular_value_edge(np.int64(2)) == pytest.approx(math.sqrt(27 / 4))
    assert bn.singular_value_edge(5) == pytest.approx(math.sqrt(6**6 / 5**5))
    assert bn.singular_value_edge(10**6) == pytest.approx(math.sqrt(math.e * (10**6 + 0.5)))


def test_one_matrix_is_the_quarter_circle_law():
    s = np.array([1e-9, 1e-3, 0.1, 1.0, 1.7, 1.999, 2 - 1e-9])
    circle = np.sqrt(4 - s**2) / np.pi
    np.testing.assert_allclose(2 * s * bn.squared_singular_value_density(s**2, 1), circle, rtol=1e-6)
    share = (s * np.sqrt(4 - s**2) / 2 + 2 * np.arcsin(s / 2)) / np.pi
    np.testing.assert_allclose(bn.singular_value_cdf(s, 1), share, rtol=1e-12, atol=1e-15)


def test_digits_next_to_zero():
    s = np.geomspace(1e-20, 1e-8, 50)
    np.testing.assert_allclose(2 * s * bn.squared_singular_value_density(s**2, 1), 2 / np.pi, rtol=1e-12)
    share = bn.singular_value_cdf(s, 1)
    assert (share >= 0).all()
    np.testing.assert_allclose(share, 2 / np.pi * s, rtol=1e-7, atol=1e-15)


@pytest.mark.parametrize("m", [1, 2, 5])
def test_the_smallest_numbers_that_there_are(m):
    """Next to 0 the density of x is sin(pi / (m+1)) / pi x^(-m / (m+1)), and that of s next to nothing."""
    x = np.array([1e-300, 1e-200, 1e-130])
    found = bn.squared_singular_value_density(x, m)
    np.testing.assert_allclose(found, np.sin(np.pi / (m + 1)) / np.pi * x ** (-m / (m + 1)), rtol=1e-6)
    np.testing.assert_allclose(bn.singular_value_cdf([5e-324, 1e-200, 1e-120], m), 0, atol=1e-15)


def test_density_of_two_is_the_known_one():
    """Of X_1 X_2, Penson and Zyczkowski (2011) give the density of x without a parameter."""
    x = np.array([1e-6, 0.01, 0.5, 3.0, 6.7])
    root = 27 + 3 * np.sqrt(81 - 12 * x)
    a, b = 2 ** (1 / 3) * root ** (2 / 3), 6 * x ** (1 / 3)
    known = 2 ** (1 / 3) * math.sqrt(3) / (12 * np.pi) * (a - b) / (x ** (2 / 3) * root ** (1 / 3))
    np.testing.assert_allclose(bn.squared_singular_value_density(x, 2), known, rtol=1e-10)


def integral(m, k=0, upto=None):
    """The integral of x^k times the density over the singular values up to `upto` (all), by Gauss's rule.

    x = end sin(t)^(m+1) takes away the pole at 0 and the root at the end.
    """
    end = bn.singular_value_edge(m) ** 2
    last = np.pi / 2 if upto is None else np.arcsin((upto**2 / end) ** (1 / (m + 1)))
    nodes, weights = special.roots_legendre(60)
    t = (nodes + 1) / 2 * last
    x = end * np.sin(t) ** (m + 1)
    slope = end * (m + 1) * np.sin(t) ** m * np.cos(t)
    return last / 2 * weights @ (bn.squared_singular_value_density(x, m) * x**k * slope)


@pytest.mark.parametrize("m", [1, 2, 3, 5, 20])
def test_moments_are_fuss_catalan_numbers(m):
    """The k-th moment is binomial((m+1) k, k) / (m k + 1): 1, 1, m + 1, ..."""
    for k in range(4):
        assert integral(m, k) == pytest.approx(special.binom((m + 1) * k, k) / (m * k + 1), rel=1e-8)


@pytest.mark.parametrize("m", [1, 2, 3, 5, 20])
def test_share_is_the_integral_of_the_density(m):
    for s in np.array([0.02, 0.3, 0.7, 0.99]) * bn.singular_value_edge(m):
        assert bn.singular_value_cdf(s, m) == pytest.approx(integral(m, upto=s), rel=1e-8)


@pytest.mark.parametrize("m", [1, 3, 5])
def test_random_matrices_follow_the_law(m):
    n = 300
    values = bn.product_singular_values(gaussian(n, m, seed=m))
    share = bn.singular_value_cdf(values[::-1], m)
    rank = np.arange(n)
    distance = max(np.abs(share - rank / n).max(), np.abs(share - (rank + 1) / n).max())
    assert distance < 0.02  # independent values would give 1 / sqrt(n) = 0.06; these repel one another
    assert values[0] == pytest.approx(bn.singular_value_edge(m), rel=0.05)


def test_outside_and_at_the_ends():
    for m in (1, 4):
        end = bn.singular_value_edge(m)
        s = np.array([-1.0, 0.0, end, end + 1, np.inf, np.nan])
        np.testing.assert_array_equal(bn.singular_value_cdf(s, m), [0, 0, 1, 1, 1, np.nan])
        np.testing.assert_array_equal(
            bn.squared_singular_value_density([-1.0, 0.0, end**2 * (1 + 1e-15), np.inf, -np.inf, np.nan], m),
            [0, np.inf, 0, 0, 0, np.nan],
        )
        rising = bn.singular_value_cdf(np.linspace(0, end, 1001), m)
        assert (np.diff(rising) > 0).all()


def test_shapes_and_kinds():
    assert bn.singular_value_cdf(1, 1).shape == ()
    assert bn.singular_value_cdf(np.ones((2, 0, 3)), 1).shape == (2, 0, 3)
    grid = np.ones((4, 6), np.float32)[::2, ::3]
    assert bn.squared_singular_value_density(grid, 2).shape == (2, 2)
    assert bn.squared_singular_value_density(tn.ones(3), 2).dtype == np.float64


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: bn.product_singular_values([]), ArgumentError, r"matrices must hold at least one; got none"),
        (lambda: bn.product_singular_values(3), DTypeError, r"matrices must be an iterable of them; got int"),
        (
            lambda: bn.product_singular_values([[[1.0]]]),
            DTypeError,
            r"a matrix must be a Tensor or array of real numbers; got list",
        ),
        (lambda: bn.product_singular_values([np.ones((1, 1)) * 1j]), DTypeError, r"got complex128"),
        (
            lambda: bn.product_singular_values(np.eye(2)),
            ShapeError,
            r"a matrix must have shape \(rows, columns\), not empty; got \(2,\)",
        ),
        (lambda: bn.product_singular_values([np.ones((0, 2))]), ShapeError, r"got \(0, 2\)"),
        (
            lambda: bn.product_singular_values([np.ones((2, 3)), np.ones((2, 3))]),
            ShapeError,
            r"as many rows as the one before has columns, 3; got \(2, 3\)",
        ),
        (lambda: bn.singular_value_edge(0), ArgumentError, r"m must be a positive int; got 0"),
        (lambda: bn.singular_value_cdf(1.0, 1.5), DTypeError, r"m must be a positive int; got 1.5"),
        (lambda: bn.singular_value_cdf("a", 1), DTypeError, r"singular_value_cdf: s must be real numbers"),
        (
            lambda: bn.squared_singular_value_density(1j, 1),
            DTypeError,
            r"squared_singular_value_density: x must be real numbers; got complex128",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
