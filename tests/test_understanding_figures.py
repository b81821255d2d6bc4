"""The figures of the study of Bjorck et al., drawn from made-up runs: panels, lines, words."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from understanding_running import TINY, divergence, initial, outcome, rates, training

from tinynet.experiments import figures
from tinynet.experiments.understanding_figures import COLOURS, FIGURES, seeds_text, spread_text
from tinynet.experiments.understanding_settings import NORMS, TRAININGS, WEIGHTS

NAMES = ["training", "noise", "gradients", "relative-loss", "divergence", "depth", "classes"]
NAMES += ["cancellation", "rates", "products"]
NAN, INF = math.nan, math.inf


def drawn(name: str, found: Any, *, render: bool = False) -> Any:
    """The figure `name` of an outcome."""
    figure = Figure(figsize=(figures.WIDTH, FIGURES[name][1]), dpi=20)
    canvas = FigureCanvasAgg(figure)
    FIGURES[name][0](figure, settings=TINY, outcome=found)
    if render:
        canvas.draw()
    return figure


def heading(figure: Any) -> str:
    return str(figure.get_suptitle())


def titles(figure: Any) -> list[str]:
    return [title for axes in figure.axes if (title := (axes.get_title(loc="left") or axes.get_title()))]


def legend(figure: Any) -> list[str]:
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


def line_of(axes: Any, label: str) -> Any:
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line


def test_names():
    assert list(FIGURES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_one_seed(name):
    assert "seed 3" in heading(drawn(name, outcome(seeds=(3,))))


def test_texts():
    assert seeds_text([4]) == spread_text([4]) == "seed 4"
    assert seeds_text([2, 0, 2]) == "seeds 0, 2"
    assert spread_text([0, 2]) == "seeds 0, 2 (means and range)"


@pytest.mark.parametrize("name", ["gradients", "relative-loss", "depth", "classes", "cancellation"])
def test_start_that_is_not_finite(name):
    """Everything of the network without normalisation, Xavier's and Kaiming's, in the first seed."""
    found = outcome()
    size = initial(TINY, "none", 0)
    broken = {
        field.name: np.where(np.arange(getattr(size, field.name).size) % 2, NAN, INF).reshape(
            getattr(size, field.name).shape
        )
        for field in dataclasses.fields(size)
        if isinstance(getattr(size, field.name), np.ndarray) and field.name != "layers"
    }
    runs = dict(found.initial) | {(w, "none", 0): initial(TINY, "none", 0, **broken) for w in WEIGHTS}
    figure = drawn(name, dataclasses.replace(found, initial=runs), render=True)
    assert len(figure.axes) == len(drawn(name, found).axes)  # nothing is left out


class TestTraining:
    def test_panels_and_lines(self):
        figure = drawn("training", outcome())
        assert titles(figure) == [
            "(a) accuracy on the training images, %",
            "(b) accuracy on the test images, %",
        ]
        assert [len(axes.lines) for axes in figure.axes] == [len(TRAININGS) + 1] * 2  # and guessing
        assert legend(figure)[:2] == ["with BN, 0.1", "with BN, 0.003"]
        assert "8 layers of width 8" in heading(figure)
        assert line_of(figure.axes[1], "with BN, 0.1").get_ydata().tolist() == [30, 50, 40]
        assert line_of(figure.axes[0], "with BN, 0.1").get_ydata().tolist() == pytest.approx([40, 60, 50])

    def test_diverged_and_repeated(self):
        runs = {(*each, 0): training(0.3, 0.5) for each in TRAININGS}
        runs |= {(*TRAININGS[0], 1): training(0.5, 0.7), ("none", 0.1, 0): training(diverged=7)}
        figure = drawn("training", outcome(training=runs))
        assert line_of(figure.axes[1], "with BN, 0.1").get_ydata().tolist() == pytest.approx([40, 60])
        assert [len(axes.collections) for axes in figure.axes] == [1, 1]  # a band for two seeds
        assert line_of(figure.axes[1], "without BN, 0.1, diverged at step 7").get_ydata().tolist() == []
        assert "seeds 0, 1 (means and range)" in heading(figure)


class TestStart:
    def test_gradients(self):
        figure = drawn("gradients", outcome())
        assert titles(figure) == ["(a) without BN", "(b) with BN"]
        assert [len(axes.patches) for axes in figure.axes] == [3, 3]  # two seeds, the first filled too
        wide, narrow = (axes.get_xlim()[1] for axes in figure.axes)
        assert wide > 100 * narrow  # each on its own scale
        assert legend(figure) == ["normal distribution", "seed 0", "seed 1"]
        assert "14 layers, batch of 16, Xavier, seeds 0, 1: gradient of the weights of layer 8" in heading(
            figure
        )

    def test_relative_loss(self):
        figure = drawn("relative-loss", outcome())
        assert titles(figure) == ["(a) without BN, trained on at 0.0001", "(b) with BN, trained on at 0.1"]
        for axes in figure.axes:
            assert len(axes.lines) == 2 * 2 + 1  # looks x seeds, and no change
        assert legend(figure) == ["mini-batch 1", "mini-batch 2"]
        assert line_of(figure.axes[1], "mini-batch 2").get_ydata() == pytest.approx(
            [1 / 1.002, 1 / 1.02, 1 / 1.2, 1 / 3]
        )

    def test_depth(self):
        figure = drawn("depth", outcome())
        assert legend(figure) == [
            "without BN, Xavier",
            "with BN, Xavier",
            "without BN, Kaiming",
            "with BN, Kaiming",
        ]
        means, deviations = figure.axes
        run = initial(TINY, "none", 0)
        np.testing.assert_allclose(line_of(means, "without BN, Xavier").get_ydata(), run.means)
        np.testing.assert_allclose(line_of(deviations, "without BN, Kaiming").get_ydata(), run.deviations)
        assert line_of(means, "with BN, Xavier").get_xdata().tolist() == [1, 3, 5, 7, 9, 11, 13]
        assert len(means.collections) == len(NORMS) * len(WEIGHTS)

    def test_classes(self):
        figure = drawn("classes", outcome())
        assert titles(figure) == [
            "(a) without BN: 100 % taken for one class",
            "(b) with BN: 50 % taken for one class",
        ]
        maps = [axes.images[0] for axes in figure.axes[:2]]
        assert {(each.norm.vmin, each.norm.vmax) for each in maps} == {(-1 / 16, 1 / 16)}
        assert maps[0].get_array().shape == (16, 10)
        assert "seed 0:" in heading(figure)

    def test_cancellation(self):
        figure = drawn("cancellation", outcome())
        all_terms, per_image = figure.axes
        middle = line_of(all_terms, "without BN, Xavier").get_ydata()
        assert middle == pytest.approx(np.sqrt([2 * 3, 2.5 * 3.5, 3 * 4]))  # seeds 0 and 1
        assert line_of(per_image, "with BN, Kaiming").get_ydata() == pytest.approx([9, 8, 7])
        ranges = [path.vertices[:, 1].tolist() for path in all_terms.collections[0].get_paths()]
        assert ranges == [[2, 3], [2.5, 3.5], [3, 4]]
        labels = [label.get_text() for label in per_image.get_xticklabels()]
        assert labels == ["layer 3", "layer 7", "layer 11"]


class TestDivergence:
    def test_six_maps(self):
        figure = drawn("divergence", outcome(seeds=(2, 3)))
        maps = [axes for axes in figure.axes if axes.images]
        assert len(maps) == 6
        assert titles(figure)[:6] == [
            *(f"({letter}) layer {layer}, means" for letter, layer in zip("abc", TINY.maps, strict=True)),
            *(f"({letter}) layer {layer}, variances" for letter, layer in zip("def", TINY.maps, strict=True)),
        ]
        assert [axes.images[0].get_array().shape for axes in maps] == [(4, 5), (6, 5), (8, 5)] * 2
        run = divergence(TINY, 2)
        np.testing.assert_array_equal(maps[4].images[0].get_array(), run.var[1].T)
        assert "without BN, Xavier, seed 2: one step at the learning rate 0.001" in heading(figure)
        assert "from a loss of 2.3 to 2.3e+08" in heading(figure)

    def test_overflow(self):
        run = divergence(TINY, 0)
        for values in (run.losses, *run.mean, *run.var):
            values[2:] = INF
            values[-1] = NAN
        figure = drawn("divergence", outcome(divergence={0: run, 1: run}), render=True)
        masks = [axes.images[0].get_array().mask for axes in figure.axes if axes.images]
        assert all(mask[:, 2:].all() and not mask[:, :2].any() for mask in masks)


class TestRates:
    def test_lines(self):
        figure = drawn("rates", outcome())
        largest, end = figure.axes
        assert legend(figure) == ["without BN", "BN before the classifier", "with BN"]
        line = line_of(largest, "with BN")
        assert line.get_xdata().tolist() == [8, 14]
        assert line.get_ydata() == pytest.approx([2, 2])  # of 1 and 4
        assert line.get_color() == COLOURS["all"]
        # The mean of the last quarter of four steps is the last loss.
        assert line_of(end, "without BN").get_ydata() == pytest.approx([2, 2])
        assert [label.get_text() for label in end.get_xticklabels()] == ["8", "14"]

    def test_gap(self):
        found = outcome()
        some = dict(found.rates) | {(14, "none", 1): rates(None)}
        figure = drawn("rates", dataclasses.replace(found, rates=some))
        for axes in figure.axes:
            assert np.isfinite(line_of(axes, "without BN").get_ydata()).tolist() == [True, False]
            assert np.isfinite(line_of(axes, "with BN").get_ydata()).all()

    def test_none_at_all(self):
        found = outcome()
        none = {key: rates(None) for key in found.rates}
        figure = drawn("rates", dataclasses.replace(found, rates=none), render=True)
        for axes in figure.axes:
            assert not np.isfinite(line_of(axes, "with BN").get_ydata()).any()


class TestNoiseAndProducts:
    def test_noise(self):
        figure = drawn("noise", outcome())
        (axes,) = figure.axes
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        assert texts == ["drawn with replacement", "drawn without replacement", "theory"]
        assert len(axes.lines) == 2 * (2 + 2) + 1  # seeds and theory, two ways; the legend's
        assert "slope with replacement -1.000, -1.000" in heading(figure)

    def test_products(self):
        figure = drawn("products", outcome())
        assert titles(figure) == ["(a) 1 matrix", "(b) 3 matrices", "(c) 5 matrices"]
        assert [(len(axes.patches), len(axes.lines)) for axes in figure.axes] == [(1, 1)] * 3
        assert "6 products each, seeds 0, 1" in heading(figure)
