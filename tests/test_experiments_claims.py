"""What the studies say of several seeds: means with ranges, and extremes that no nan hides from."""

from __future__ import annotations

import math

import pytest

from tinynet.experiments.claims import geometric_mean, largest, smallest, spread

NAN, INF = math.nan, math.inf


class TestSpread:
    @pytest.mark.parametrize(
        ("values", "text"),
        [
            ([1.0, 4.0, 4.0], "3 (1 to 4)"),
            ([2.0], "2"),
            ([2.0001, 2.0002], "2"),  # the same to three digits
            ([1e-7, 3e-7], "2e-07 (1e-07 to 3e-07)"),
            ([None, None], "none"),
            ([], "none"),
            ([None, 1.0, NAN], "none in 1 of 3"),
            ([NAN, 1.0, INF], "not finite in 2 of 3"),
            ([NAN], "not finite"),
        ],
    )
    def test_cells(self, values, text):
        assert spread(values) == text

    def test_form_and_geometric_mean(self):
        assert spread([1.0, 2.0], ".2f") == "1.50 (1.00 to 2.00)"
        assert spread(iter([1.0, 4.0]), geometric=True) == "2 (1 to 4)"


def test_geometric_mean():
    assert geometric_mean([1e-3, 1e-1]) == pytest.approx(1e-2)
    assert geometric_mean(iter([7.0])) == pytest.approx(7)
    for values in ([], [1.0, None], [1.0, NAN], [1.0, INF], [1.0, 0.0], [-1.0]):
        assert geometric_mean(values) is None


def test_extremes():
    assert (largest(iter([1.0, 3.0, 2.0])), smallest(iter([2.0, 1.0, 3.0]))) == (3, 1)
    assert largest([1.0, INF]) == INF
    for values in ([NAN, 1.0], [1.0, NAN]):
        assert math.isnan(largest(values))
        assert math.isnan(smallest(values))
