"""tinynet.experiments.bn_charts: what is drawn, number by number; how it looks is for the eye."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tinynet import bn
from tinynet.errors import ArgumentError, ShapeError
from tinynet.experiments import bn_charts, figures

NAN, INF = math.nan, math.inf


def drawn(draw: Callable[[Any], None]) -> Any:
    """The axes that `draw` has drawn on, rendered."""
    canvas = FigureCanvasAgg(Figure(figsize=(4, 3), dpi=20))
    axes = canvas.figure.subplots()
    draw(axes)
    canvas.draw()
    return axes


def lines(axes: Any) -> list[tuple[list[float], list[float]]]:
    return [tuple(np.asarray(data).tolist() for data in line.get_data()) for line in axes.lines]


class TestGradientHistograms:
    def test_counts_on_common_bins(self):
        a, b = np.array([[-1.0, 0.1], [0.2, 0.5]]), np.array([-2.0, 0.0, 0.0, NAN, INF])
        axes = drawn(lambda axes: bn_charts.gradient_histograms(axes, {"a": a, "b": b}, bins=5))
        filled, first, second = axes.patches
        for patch, counts in ((filled, [0, 1, 2, 1, 0]), (first, [0, 1, 2, 1, 0]), (second, [1, 0, 2, 0, 0])):
            data = patch.get_data()
            assert data.values.tolist() == counts
            assert data.edges.tolist() == pytest.approx([-2, -1.2, -0.4, 0.4, 1.2, 2])
        labels = [text.get_text() for text in axes.legend().get_texts()]
        assert labels == ["normal distribution", "a", "b"]
        assert axes.get_yscale() == "log"

    def test_normal_distribution_has_the_moments_of_the_first(self, rng):
        values = 2 + 3 * rng.standard_normal(1000)
        axes = drawn(lambda axes: bn_charts.gradient_histograms(axes, {"a": values}))
        (x, y), edges = lines(axes)[0], axes.patches[0].get_data().edges
        share = np.array(y) / (1000 * (edges[1] - edges[0]))  # a density
        assert np.trapezoid(share, x) == pytest.approx(1, abs=0.01)
        assert x[int(np.argmax(y))] == pytest.approx(values.mean(), abs=0.05)
        assert max(share) == pytest.approx(1 / (values.std() * math.sqrt(2 * math.pi)), rel=1e-3)

    @pytest.mark.parametrize("values", [[NAN, INF], [], [0.0, 0.0], [5.0]])
    def test_nothing_to_spread(self, values):
        axes = drawn(lambda axes: bn_charts.gradient_histograms(axes, {"a": np.array(values)}, bins=3))
        finite = sum(math.isfinite(value) for value in values)
        assert sum(axes.patches[0].get_data().values) == finite
        assert lines(axes) == []  # no deviation, no normal distribution

    @pytest.mark.parametrize(("gradients", "bins"), [({}, 3), ({"a": np.ones(3)}, 0)])
    def test_errors(self, gradients, bins):
        with pytest.raises(
            ArgumentError, match=r"gradient_histograms: gradients and bins must be at least 1"
        ):
            drawn(lambda axes: bn_charts.gradient_histograms(axes, gradients, bins=bins))


class TestRelativeLossCurves:
    SIZES = (1e-3, 1e-2, 1e-1, 1.0)

    def draw(self, curves: dict[str, Any], **options: Any) -> Any:
        return drawn(lambda axes: bn_charts.relative_loss_curves(axes, self.SIZES, curves, **options))

    def test_lines_end_where_the_loss_is_not_finite(self):
        axes = self.draw({"a": np.array([0.9, 0.5, NAN, 3.0]), "b": np.array([1.0, 0.8, 0.7, 2.0])})
        (line, cross, whole, unchanged) = lines(axes)
        assert line == ([1e-3, 1e-2], [0.9, 0.5])
        assert cross == ([1e-2], [0.5])
        assert whole == (list(self.SIZES), [1.0, 0.8, 0.7, 2.0])
        assert unchanged == (list(self.SIZES), [1] * 4)
        assert axes.get_ylim() == pytest.approx((0.5 / 1.3, 2.0 * 1.3))
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")

    def test_lines_leave_at_the_limit(self):
        axes = self.draw({"a": np.array([1.0, 100.0, 101.0, 2.0])}, limit=100.0)
        line, unchanged = lines(axes)
        assert line == ([1e-3, 1e-2, 1e-1], [1.0, 100.0, 101.0])  # towards what is beyond, and no further
        assert unchanged == (list(self.SIZES), [1] * 4)
        assert axes.get_ylim()[1] == 100

    def test_infinity_is_not_finite_rather_than_beyond_the_limit(self):
        axes = self.draw({"a": np.array([1.0, INF, 1.0, 1.0])})
        assert lines(axes)[:2] == [([1e-3], [1.0])] * 2

    def test_repetitions(self):
        rows = np.array([[1.0, 0.9, 0.8, 0.7], [NAN] * 4, [1.0, 2.0, 3.0, 4.0]])
        axes = self.draw({"a": rows})
        assert [line[1] for line in lines(axes)[:3]] == [rows[0].tolist(), [], rows[2].tolist()]
        widths = [line.get_linewidth() for line in axes.lines[:3]]
        assert widths[0] > widths[1] == widths[2]
        assert [text.get_text() for text in axes.legend().get_texts()] == ["a"]

    def test_nothing_finite(self):
        assert self.draw({"a": np.full(4, NAN)}).get_ylim() == pytest.approx((1 / 1.3, 1.3))

    def test_other_number_of_values(self):
        message = r"relative_loss_curves: values must have shape \(4,\) or \(R, 4\); got \(1, 3\)"
        with pytest.raises(ShapeError, match=message):
            self.draw({"a": np.ones(3)})


class TestChannelHeatMap:
    def draw(self, values: Any, kind: str = "mean") -> tuple[Any, Any, Any]:
        """The axes, the picture, and the axes of its bar."""
        fractions = np.arange(len(values)) / max(len(values) - 1, 1)
        axes = drawn(lambda axes: bn_charts.channel_heat_map(axes, fractions, np.array(values), kind=kind))
        return axes, axes.images[0], axes.images[0].colorbar.ax

    def test_means(self):
        axes, picture, bar = self.draw([[0.5, -2.0], [3.0, -2e4], [NAN, INF]])
        shown = picture.get_array()
        assert shown.data[:, :2].tolist() == [[0.5, 3.0], [-2.0, -2e4]]  # a row per channel
        assert shown.mask.tolist() == [[False, False, True], [False, False, True]]
        assert (picture.norm.linthresh, picture.norm.vmin, picture.norm.vmax) == (1, -1e5, 1e5)
        assert bar.get_ylabel() == "mean (symmetric log scale)"
        texts = [label.get_text() for label in bar.get_yticklabels()]
        assert texts == [*(f"$-10^{{{p}}}$" for p in (5, 4, 3, 2, 1)), "0"] + [
            f"$10^{{{p}}}$" for p in (1, 2, 3, 4, 5)
        ]
        assert axes.get_xlabel() == "share of the step, %"
        assert axes.get_xlim() == (-25, 125)

    def test_variances(self):
        _, picture, bar = self.draw([[0.5, 0.0], [20.0, NAN]], "var")
        assert picture.get_array().mask.tolist() == [[False, False], [True, True]]
        assert (picture.norm.vmin, picture.norm.vmax) == (0.1, 100)
        assert bar.get_ylabel() == "variance (log scale)"
        assert [label.get_text() for label in bar.get_yticklabels()] == [
            f"$10^{{{p}}}$" for p in (2, 1, 0, -1)
        ]

    @pytest.mark.parametrize("kind", ["mean", "var"])
    @pytest.mark.parametrize("values", [np.zeros((2, 3)), np.full((3, 2), NAN), np.full((2, 1), 1.0)])
    def test_nothing_to_spread(self, kind, values):
        _, picture, _ = self.draw(values, kind)
        assert picture.norm.vmin < picture.norm.vmax

    def test_many_powers_have_few_ticks(self):
        _, _, bar = self.draw([[1.0], [1e17]], "var")
        assert len(bar.get_yticks()) <= 5

    def test_errors(self):
        with pytest.raises(ArgumentError, match=r"kind must be 'mean' or 'var'.*; got 'std' and 2"):
            self.draw(np.ones((2, 2)), "std")
        with pytest.raises(ArgumentError, match=r"fractions at least two; got 'mean' and 1"):
            self.draw(np.ones((1, 2)))
        with pytest.raises(ShapeError, match=r"channel_heat_map: values must have shape \(3,\) or \(R, 3\)"):
            drawn(lambda axes: bn_charts.channel_heat_map(axes, np.arange(3) / 2, np.ones((2, 4))))


class TestDepthProfile:
    def test_geometric_mean_and_range(self):
        rows = np.array([[1.0, 10.0, 100.0], [4.0, 1000.0, 100.0]])
        axes = drawn(lambda axes: bn_charts.depth_profile(axes, [1, 3, 5], {"a": rows, "b": rows[0]}))
        (x, middle), (_, alone) = lines(axes)
        assert x == [1, 3, 5]
        assert middle == pytest.approx([2, 100, 100])
        assert alone == pytest.approx([1, 10, 100])
        (shade,) = axes.collections  # none for a single row
        corners = {tuple(point) for point in shade.get_paths()[0].vertices.tolist()}
        assert {(1, 1), (1, 4), (3, 10), (3, 1000)} <= corners
        assert axes.get_yscale() == "log"

    def test_gaps(self):
        rows = np.array([[1.0, 0.0, INF, 2.0], [1.0, 1.0, 1.0, NAN]])
        axes = drawn(lambda axes: bn_charts.depth_profile(axes, range(4), {"a": rows}))
        assert np.isfinite(lines(axes)[0][1]).tolist() == [True, False, False, False]

    def test_looks(self):
        axes = drawn(
            lambda axes: bn_charts.depth_profile(
                axes,
                [1, 2],
                {"a": np.ones(2), "b": np.ones(2)},
                looks=[("red", "solid"), ("blue", (0, (1, 2)))],
            )
        )
        assert [line.get_color() for line in axes.lines] == ["red", "blue"]

    def test_other_number_of_values(self):
        with pytest.raises(ShapeError, match=r"depth_profile: values must have shape \(2,\) or \(R, 2\)"):
            drawn(lambda axes: bn_charts.depth_profile(axes, [1, 2], {"a": np.ones((2, 2, 2))}))


class TestClassGradientMap:
    def test_colours_are_symmetric(self):
        gradient = np.array([[0.1, -0.3, 0.2], [NAN, 0.0, 0.0]])
        axes = drawn(lambda axes: bn_charts.class_gradient_map(axes, gradient))
        (picture,) = axes.images
        assert (picture.norm.vmin, picture.norm.vmax) == (-0.3, 0.3)
        assert picture.get_array().mask.tolist() == [[False] * 3, [True, False, False]]
        assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "2"]

    def test_limit(self):
        axes = drawn(lambda axes: bn_charts.class_gradient_map(axes, np.ones((2, 2)), limit=0.5))
        assert axes.images[0].norm.vmax == 0.5

    @pytest.mark.parametrize("value", [0.0, NAN])
    def test_nothing_to_show(self, value):
        axes = drawn(lambda axes: bn_charts.class_gradient_map(axes, np.full((2, 2), value)))
        assert axes.images[0].norm.vmax == 1

    def test_shape(self):
        with pytest.raises(
            ShapeError, match=r"class_gradient_map: gradient must have shape \(N, K\); got \(3,\)"
        ):
            drawn(lambda axes: bn_charts.class_gradient_map(axes, np.ones(3)))


class TestSingularValueHistogram:
    @pytest.mark.parametrize("factors", [1, 2, 3, 5, 8])
    def test_limit_density_has_area_one(self, factors):
        s, density = bn_charts.limit_density(factors)
        assert (np.diff(s) > 0).all()
        assert s[0] > 0
        assert s[-1] == bn.singular_value_edge(factors)
        assert np.trapezoid(density, s) == pytest.approx(1, abs=6e-3)
        middle = len(s) // 2
        area = np.trapezoid(density[middle:], s[middle:])
        assert area == pytest.approx(1 - bn.singular_value_cdf(s[middle], factors), rel=1e-3)

    def test_density_of_one_is_the_quarter_circle(self):
        s, density = bn_charts.limit_density(1)
        np.testing.assert_allclose(density, np.sqrt(np.maximum(4 - s**2, 0)) / np.pi, atol=1e-7)

    def test_histogram_has_area_one(self):
        values = np.array([[0.1, 0.2, 1.9], [0.5, NAN, 1.1]])
        axes = drawn(lambda axes: bn_charts.singular_value_histogram(axes, values, 1, bins=4))
        data = axes.patches[0].get_data()
        assert data.edges.tolist() == [0, 0.5, 1, 1.5, 2]
        assert data.values.tolist() == pytest.approx([0.8, 0.4, 0.4, 0.4])
        assert (np.diff(data.edges) * data.values).sum() == pytest.approx(1)
        (line,) = lines(axes)
        assert line[0] == bn_charts.limit_density(1)[0].tolist()

    def test_values_beyond_the_edge_are_shown(self):
        axes = drawn(lambda axes: bn_charts.singular_value_histogram(axes, np.array([1.0, 4.0]), 1, bins=4))
        assert axes.get_xlim() == (0, 4)
        assert axes.patches[0].get_data().values.tolist() == pytest.approx([0, 0.5, 0, 0.5])

    def test_no_values(self):
        axes = drawn(lambda axes: bn_charts.singular_value_histogram(axes, np.array([NAN]), 3))
        assert set(axes.patches[0].get_data().values) == {0}

    def test_factors(self):
        with pytest.raises(ArgumentError, match="m must be"):
            drawn(lambda axes: bn_charts.singular_value_histogram(axes, np.ones(3), 0))


class TestNoiseCurve:
    def test_dots_and_lines(self):
        measured = np.array([[4.0, 2.0, NAN], [6.0, 3.0, 1.0]])
        theory = np.array([[4.0, 2.0, 0.0], [5.0, 3.0, 0.0]])
        axes = drawn(
            lambda axes: bn_charts.noise_curve(
                axes, [8, 16, 32], measured, theory, label="a", look=(figures.RED, "solid")
            )
        )
        first, second, *theories = axes.lines
        assert first.get_ydata()[:2].tolist() == [4, 2]
        assert second.get_ydata().tolist() == [6, 3, 1]
        assert [line.get_ydata().tolist() for line in theories] == theory.tolist()
        assert {each.get_color() for each in axes.lines} == {figures.RED}
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert [label.get_text() for label in axes.get_xticklabels()] == ["8", "16", "32"]
        assert [text.get_text() for text in axes.legend().get_texts()] == ["a"]

    def test_other_number_of_values(self):
        with pytest.raises(ShapeError, match=r"noise_curve: values must have shape \(2,\) or \(R, 2\)"):
            drawn(lambda axes: bn_charts.noise_curve(axes, [1, 2], np.ones(2), np.ones(3)))
