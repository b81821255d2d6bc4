"""What the studies of classifiers are made of: scores, confusion matrix, mistakes, their pictures."""

from __future__ import annotations

import argparse
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.experiments import (
    charts,
    confident_mistakes,
    confusion_matrix,
    figure_png,
    scores,
    smoothed,
)
from tinynet.experiments.classification import probabilities
from tinynet.experiments.options import integer, load_parts, number

CLASSES = tuple("0123456789")


class TestScores:
    @pytest.mark.parametrize("chunk", [1, 3, 7, 500])
    def test_equal_the_network_on_everything(self, rng, chunk):
        model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
        model(tn.randn(10, 4))  # running statistics
        model[2].eval()
        x = rng.standard_normal((7, 4)).astype(np.float32)
        result = scores(model, x, chunk=chunk)
        assert [module.training for module in model] == [True, True, False, True]
        np.testing.assert_allclose(result, model.eval()(tn.from_numpy(x)).detach().numpy(), rtol=1e-5)

    def test_prepares_each_chunk(self, rng):
        x = rng.integers(256, size=(5, 4)).astype(np.uint8)
        seen = []

        def prepare(part: np.ndarray) -> np.ndarray:
            seen.append(part.shape)
            return part.astype(np.float32) / 255

        model = nn.Linear(4, 2)
        result = scores(model, x, chunk=2, prepare=prepare)
        assert seen == [(2, 4), (2, 4), (1, 4)]
        expected = x / 255 @ model.weight.detach().numpy().T.astype(np.float64) + model.bias.detach().numpy()
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)

    def test_restores_the_flags_after_an_error(self):
        model = nn.Sequential(nn.Linear(4, 2))
        with pytest.raises(ShapeError):
            scores(model, np.zeros((3, 5), np.float32))
        assert model.training
        assert model[0].training
        assert tn.is_grad_enabled()

    def test_bad_arguments(self):
        with pytest.raises(
            ShapeError, match=r"^scores: x must have shape \(N, \.\.\.\) with N >= 1; got \(0, 4\)$"
        ):
            scores(nn.Linear(4, 2), np.zeros((0, 4), np.float32))
        with pytest.raises(ArgumentError, match="chunk"):
            scores(nn.Linear(4, 2), np.zeros((1, 4), np.float32), chunk=0)


def test_probabilities(rng):
    values = rng.standard_normal((6, 4)).astype(np.float32) * 10
    expected = np.array([[math.exp(v) for v in row] for row in values.tolist()])
    np.testing.assert_allclose(
        probabilities(values), expected / expected.sum(axis=1, keepdims=True), rtol=1e-6
    )
    np.testing.assert_array_equal(probabilities(np.array([[1e4, -1e4]], np.float32)), [[1.0, 0.0]])
    assert np.isnan(probabilities(np.array([[np.inf, np.inf]], np.float32))).all()


class TestConfusionMatrix:
    @given(
        pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=40), extra=st.integers(0, 2)
    )
    def test_counts_pairs(self, pairs, extra):
        expected = np.zeros((5 + extra, 5 + extra), np.int64)
        for label, guess in pairs:
            expected[label, guess] += 1
        result = confusion_matrix([i for i, _ in pairs], [j for _, j in pairs], 5 + extra)
        assert result.dtype == np.int64
        np.testing.assert_array_equal(result, expected)

    @pytest.mark.parametrize(
        ("labels", "guesses", "message"),
        [
            ([0, 3], [0, 0], r"^confusion_matrix: labels must lie in \[0, 3\); got 0 to 3$"),
            ([0, 2], [0, -1], r"^confusion_matrix: guesses must lie in \[0, 3\); got -1 to 0$"),
        ],
    )
    def test_classes_outside(self, labels, guesses, message):
        with pytest.raises(ArgumentError, match=message):
            confusion_matrix(labels, guesses, 3)

    def test_shapes(self):
        with pytest.raises(ShapeError, match=r"one shape \(N,\); got \(1,\) and \(2,\)$"):
            confusion_matrix([0], [0, 1], 3)
        with pytest.raises(DTypeError, match="classes"):
            confusion_matrix([0], [0], 3.0)  # type: ignore[arg-type]


class TestConfidentMistakes:
    def test_by_falling_probability_and_then_by_place(self):
        shares = np.array([[0.1, 0.9], [0.8, 0.2], [0.9, 0.1], [0.9, 0.1], [0.45, 0.55]])
        np.testing.assert_array_equal(confident_mistakes(shares, [0, 0, 1, 1, 0]), [0, 2, 3, 4])
        np.testing.assert_array_equal(confident_mistakes(shares, [0, 0, 1, 1, 0], limit=2), [0, 2])

    def test_none(self):
        assert confident_mistakes(np.array([[0.1, 0.9]]), [1]).shape == (0,)
        assert confident_mistakes(np.array([[np.nan, np.nan]]), [1]).shape == (0,)

    def test_shapes(self):
        with pytest.raises(ShapeError, match=r"got \(2, 2\) and \(1,\)$"):
            confident_mistakes(np.ones((2, 2)), [0])


class TestSmoothed:
    @given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), window=st.integers(1, 40))
    def test_means_of_neighbours(self, values, window):
        width = min(window, len(values))
        expected = [math.fsum(values[i : i + width]) / width for i in range(len(values) - width + 1)]
        np.testing.assert_allclose(smoothed(values, window), expected, rtol=1e-9, atol=1e-6)

    def test_nan_stays_in_its_windows(self):
        np.testing.assert_array_equal(smoothed([1.0, np.nan, 3.0, 5.0], 2), [np.nan, np.nan, 4.0])
        assert smoothed([], 3).shape == (0,)


def size_of(png: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", png[16:24])
    return width, height


class TestCharts:
    """That they draw whatever comes; how that looks is for the eye."""

    @pytest.mark.parametrize(
        "losses", [[2.0], [2.3, 2.0, 1.5, 1.0] * 20, [1.0, np.nan, np.inf], [np.nan] * 4]
    )
    def test_curves(self, losses):
        png = figure_png(
            lambda figure: charts.curves(figure, losses, [0.1, 0.2], [0.1, 0.3], title="t"), dpi=50
        )
        assert size_of(png)[0] == 500

    def test_confusion(self):
        matrix = np.diag([5, 0, 10])
        names = ["a", "b", "a long name"]
        png = figure_png(lambda figure: charts.confusion(figure, matrix, names), width=4, height=4, dpi=50)
        assert size_of(png) == (200, 200)

    @pytest.mark.parametrize(("count", "channels"), [(0, 3), (1, 1), (3, 3), (30, 3)])
    def test_mistakes(self, rng, count, channels):
        images = rng.integers(256, size=(count, channels, 8, 8)).astype(np.uint8)
        labels, shares = [1] * count, [0.99999] * count
        png = figure_png(
            lambda figure: charts.mistakes(figure, images, labels, labels, shares, CLASSES, title="t"), dpi=30
        )
        assert size_of(png)[0] == 300


class TestOptions:
    def test_numbers(self):
        assert integer(1)("50,000") == 50_000
        assert number(False)("0") == 0.0
        for convert, text in (
            (integer(1), "0"),
            (integer(0), "x"),
            (number(True), "0"),
            (number(False), "nan"),
        ):
            with pytest.raises(argparse.ArgumentTypeError, match=f"got '{text}'"):
                convert(text)

    def test_stand_in_is_announced(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TINYNET_DATA", "")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        training, test, warnings = load_parts("mnist", None, True)
        assert training.name == test.name == "digits"
        assert len(warnings) == 1
        assert "'mnist'" in warnings[0]
        assert load_parts("digits", None, True)[2] == []
