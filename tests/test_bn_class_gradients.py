"""The gradient at the class scores against backward, and its one-sidedness in small cases done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinynet as tn
from tinynet import bn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F


def test_it_is_the_gradient_of_the_mean_cross_entropy():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(12, 5)) * 3, rng.integers(0, 5, 12)
    logits = tn.tensor(scores, requires_grad=True)
    F.cross_entropy(logits, tn.tensor(labels)).backward()
    found = bn.class_gradients(logits, tn.tensor(labels))
    np.testing.assert_allclose(found.gradient, logits.grad.numpy(), rtol=1e-12, atol=1e-16)
    column = found.gradient.mean(axis=0)
    sided = [abs(each.mean()) / abs(each).mean() for each in found.gradient.T]
    assert found.largest_column_mean == pytest.approx(max(column), rel=1e-12)
    assert found.one_sidedness == pytest.approx(np.mean(sided), rel=1e-12)
    shares = [(scores.argmax(axis=1) == k).mean() for k in range(5)]
    assert found.predicted_share == max(shares)


def test_balanced_scores_of_nothing():
    """All scores equal, each of K classes right once: a column has K - 1 entries 1/K and one 1/K - 1."""
    k = 4
    found = bn.class_gradients(np.zeros((k, k), np.float32), np.arange(k))
    assert found.gradient.dtype == np.float64
    np.testing.assert_allclose(found.gradient, (1 / k - np.eye(k)) / k, atol=1e-17)
    assert found.one_sidedness == pytest.approx(0, abs=1e-15)
    assert found.largest_column_mean == pytest.approx(0, abs=1e-17)
    assert found.predicted_share == 1  # ties: the first class


def test_one_class_predicted_everywhere():
    """Sure of class 0 while classes 1 and 2 are right: columns of one sign."""
    scores = np.tile([900.0, 0.0, 0.0], (4, 1))
    found = bn.class_gradients(scores, np.array([1, 2, 1, 2]))
    np.testing.assert_array_equal(
        found.gradient, np.array([[1, -1, 0], [1, 0, -1], [1, -1, 0], [1, 0, -1]]) / 4
    )
    assert (found.predicted_share, found.one_sidedness, found.largest_column_mean) == (1, 1, 0.25)


def test_one_class_that_is_never_predicted_enough():
    """All scores equal and class 0 always right: its column pulls harder, but up."""
    found = bn.class_gradients(np.zeros((2, 3)), np.zeros(2, int))
    np.testing.assert_allclose(found.gradient, np.array([[-2, 1, 1]] * 2) / 6)
    assert found.largest_column_mean == pytest.approx(1 / 6)
    assert found.one_sidedness == 1


def test_columns_of_zeros_do_not_count():
    scores = np.array([[900.0, 0.0, -900.0], [0.0, 900.0, -900.0]])
    found = bn.class_gradients(scores, np.array([1, 0]))
    assert found.one_sidedness == 0  # class 2: nothing
    right = bn.class_gradients(scores, np.array([0, 1]))
    assert not right.gradient.any()
    assert math.isnan(right.one_sidedness)
    assert right.largest_column_mean == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_diverged_scores_pass_through(value):
    scores = np.array([[0.0, 0.0], [value, 0.0]])
    found = bn.class_gradients(scores, np.array([0, 1]))
    np.testing.assert_array_equal(found.gradient[0], [-0.25, 0.25])
    assert np.isnan(found.gradient[1]).all()
    assert math.isnan(found.one_sidedness)
    assert math.isnan(found.largest_column_mean)
    assert found.predicted_share == 1


def test_arguments_are_left_alone_and_need_not_be_contiguous():
    wide = np.arange(24.0).reshape(4, 6)
    labels = np.array([0, 9, 1, 9, 2, 9, 0, 9], np.int32)
    before = wide.copy()
    found = bn.class_gradients(wide[:, ::2], labels[::2])
    again = bn.class_gradients(wide[:, ::2].copy(), labels[::2].astype(np.int64))
    np.testing.assert_array_equal(found.gradient, again.gradient)
    np.testing.assert_array_equal(wide, before)
    single = bn.class_gradients(np.ones((1, 1)), np.zeros(1, int))
    assert single.gradient.tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("logits", "labels", "error", "message"),
    [
        (
            [[0.0]],
            np.zeros(1, int),
            DTypeError,
            r"logits must be a Tensor or array of real numbers; got list",
        ),
        (
            np.ones((1, 2)),
            np.zeros(1),
            DTypeError,
            r"labels must be a Tensor or array of integers; got float64",
        ),
        (np.ones(2), np.zeros(1, int), ShapeError, r"logits must have shape \(N, K\) .*; got \(2,\)"),
        (np.ones((0, 2)), np.zeros(0, int), ShapeError, r"logits .* got \(0, 2\)"),
        (np.ones((3, 2)), np.zeros(2, int), ShapeError, r"labels must have shape \(3,\); got \(2,\)"),
        (np.ones((2, 2)), np.array([1, 2]), ArgumentError, r"labels must lie in \[0, 1\]; got 2"),
        (np.ones((2, 2)), np.array([-1, 0]), ArgumentError, r"labels must lie in \[0, 1\]; got -1"),
    ],
)
def test_errors(logits, labels, error, message):
    with pytest.raises(error, match=r"^class_gradients: " + message):
        bn.class_gradients(logits, labels)
