"""The tables of the study of Bjorck et al. and the points of its curves, of made-up runs."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np
from understanding_running import TINY, divergence, initial, noise, outcome, products, rates, training

from tinynet.experiments import table, write_csv, write_json
from tinynet.experiments.understanding_settings import FACTORS, TRAININGS
from tinynet.experiments.understanding_tables import Table, curves, tables

NAN, INF = math.nan, math.inf
TITLES = (
    "At the initialisation, 14 layers, Xavier's weights",
    "At the initialisation, 14 layers, Kaiming's weights",
    "One step at the learning rate 0.001, 14 layers without BN",
    "Largest learning rates without divergence in 4 steps, from 0.001 to 10 (geometric means); guessing has "
    "a loss of 2.3",
    "Training, 8 layers of width 8, 2 epoch(s) of 256 images",
    "Squared noise of mini-batch gradients, 256 images, 100 draws",
    "The noise as a whole",
    "Products of Gaussian matrices, 100 x 100, 3 draws",
)


def rows_of(number: int, found=None) -> dict[str, list[str]]:
    """The rows of a table by their first cell."""
    return {row[0]: row[1:] for row in tables(TINY, found or outcome())[number].rows}


class TestTables:
    def test_titles_and_widths(self):
        found = tables(TINY, outcome())
        assert tuple(each.title for each in found) == TITLES
        for each in found:
            assert table(each.head, each.rows)  # it checks the numbers of cells
            assert all(isinstance(cell, str) and cell for row in each.rows for cell in row)

    def test_json(self, tmp_path):
        each = Table("t", ["a", "b"], [["1", "2"]])
        assert each.to_json() == {"title": "t", "head": ["a", "b"], "rows": [["1", "2"]]}
        write_json(tmp_path / "tables.json", tables(TINY, outcome()))

    def test_at_the_initialisation(self):
        without, with_bn = 0, 1
        rows = rows_of(0)
        assert tables(TINY, outcome())[0].head == ["", "without BN", "with BN"]
        assert rows["loss"] == ["100 (100 to 101)", "4.5 (4 to 5)"]
        assert rows["cancellation, all terms, layer 3"] == ["2.5 (2 to 3)", "40.5 (40 to 41)"]
        assert rows["cancellation, all terms, layer 11"] == ["3.5 (3 to 4)", "12.5 (12 to 13)"]
        assert rows["cancellation, per image, layer 7"] == ["1.1", "8"]
        assert rows["deviation of the gradient, layer 8"] == ["10", "0.01"]
        assert rows["kurtosis of the gradient, layer 8"] == ["9", "3"]
        assert rows["images taken for one class, %"] == ["100.0", "50.0"]
        assert rows["relative loss after a step of 0.001"] == ["0.999", "0.999"]
        assert rows["relative loss after a step of 0.01"][without] == "1.01e+04"
        assert rows["relative loss after a step of 0.1"][with_bn] == f"{1 / 1.1:.3g}"
        assert rows["deviation of the channels, layer 3"] == [f"{0.2 * 1.2**3:.3g}", "1.17"]
        assert rows["deviation of the channels, layer 13"] == [f"{0.2 * 1.2**13:.3g}", "2"]

    def test_columns_are_of_their_weights(self):
        found = outcome()
        other = initial(TINY, "none", 0, loss=NAN)
        found = dataclasses.replace(found, initial={**found.initial, ("kaiming", "none", 1): other})
        assert rows_of(0, found)["loss"][0] == "100 (100 to 101)"
        assert rows_of(1, found)["loss"][0] == "not finite in 1 of 2"

    def test_divergence(self):
        runs = [divergence(TINY, seed) for seed in (0, 1)]
        rows = rows_of(2)
        assert rows["loss"] == ["2.3", "2.3e+08"]
        for place, layer in enumerate(TINY.maps):
            for kind, name in (("mean", "magnitude of a channel's mean"), ("var", "variance of a channel")):
                ends = [[max(abs(getattr(run, kind)[place][end])) for run in runs] for end in (0, -1)]
                expected = [f"{sum(end) / 2:.3g} ({min(end):.3g} to {max(end):.3g})" for end in ends]
                assert rows[f"layer {layer}: largest {name}"] == expected

    def test_rates(self):
        found = outcome()
        some = {**found.rates, (14, "none", 1): rates(None), (14, "last", 1): rates(1e-2, end=4.0)}
        rows = rows_of(3, dataclasses.replace(found, rates=some))
        assert rows["8 layers, without BN"] == ["0.002 (0.001 to 0.004)", "2"]
        assert rows["14 layers, without BN"] == ["none in 1 of 2", "none in 1 of 2"]
        assert rows["14 layers, BN before the classifier"] == ["0.01", "3 (2 to 4)"]
        assert len(rows) == 6

    def test_training(self):
        runs = {(*each, 0): training(0.3, 0.5, 0.4) for each in TRAININGS}
        runs["none", 0.1, 0] = training(diverged=1234)
        runs["none", 0.003, 0] = training(0.3, diverged=99)
        runs["all", 0.1, 1] = training(0.5, 0.6)
        rows = rows_of(4, outcome(training=runs))
        assert list(rows) == [
            "with BN, 0.1",
            "with BN, 0.003",
            "with BN, 0.0001",
            "without BN, 0.0001",
            "without BN, 0.003",
            "without BN, 0.1",
            "BN before the classifier, 0.03",
        ]
        assert rows["with BN, 0.003"] == ["40.00", "50.00", "50.00", "-"]
        assert rows["with BN, 0.1"] == [
            "50.00 (40.00 to 60.00)",
            "55.00 (50.00 to 60.00)",
            "60.00 (50.00 to 70.00)",
            "-, -",
        ]
        assert rows["without BN, 0.1"] == ["10.00", "none", "none", "1,234"]  # it guesses
        assert rows["without BN, 0.003"] == ["10.00", "30.00", "40.00", "99"]

    def test_noise(self):
        rows = rows_of(5)
        assert list(rows) == ["8", "16", "32"]
        assert rows["8"][1] == rows["8"][3] == "1.02 (1.01 to 1.02)"  # 1.015, rounded
        assert rows["16"][0] == f"{5 / 16 * 1.015:.3g} ({5 / 16 * 1.01:.3g} to {5 / 16 * 1.02:.3g})"
        without = [noise(TINY, factor).measured["without"][2] for factor in (1.01, 1.02)]
        assert rows["32"][2].startswith(f"{sum(without) / 2:.3g}")
        whole = rows_of(6)
        assert whole["slope of log noise over log batch size, with replacement"] == ["-1.0000"]
        assert whole["largest relative error against theory"] == ["0.015 (0.01 to 0.02)"]
        assert whole["squared noise of a step at twice the learning rate, by that at it"] == ["4.000000000"]

    def test_products(self):
        rows = rows_of(7)
        for factors, edge in zip(FACTORS, ("2.0000", "3.0792", "3.8639"), strict=True):
            values = [products(TINY, seed).values[factors] for seed in (0, 1)]
            largest = [each.max(axis=1).mean() for each in values]
            small = [100 * (each < 0.1).mean() for each in values]
            wide = [np.log10(each.max(axis=1) / each.min(axis=1)).mean() for each in values]
            cells = [cell.split(" ")[0] for cell in rows[str(factors)]]  # without the ranges
            assert cells == [
                f"{np.mean(largest):.4f}",
                edge,
                f"{np.mean(small):.2f}",
                f"{np.mean(wide):.2f}",
            ]


class TestCurves:
    def test_every_curve(self):
        counts = Counter((row[0], row[2]) for row in curves(TINY, outcome()))
        blocks = 7
        for seed in (0, 1):
            for look in TINY.looks:
                assert counts[f"relative loss, mini-batch {look}", seed] == 4 * 4  # step sizes x networks
            assert counts["channels' means", seed] == counts["channels' deviations", seed] == 4 * blocks
            assert counts["cancellation, all terms", seed] == counts["cancellation, per image", seed] == 12
            for layer in TINY.maps:
                assert counts[f"largest mean, layer {layer}", seed] == 5
                assert counts[f"largest variance, layer {layer}", seed] == 5
            assert counts["loss along the step", seed] == 5
            assert counts["largest rate", seed] == counts["loss at the largest rate", seed] == 6
            for way in ("with", "without"):
                assert counts[f"noise, {way} replacement", seed] == counts[f"noise, {way}, theory", seed] == 3
        assert counts["training accuracy", 0] == counts["test accuracy", 0] == 7 * 3
        assert len(counts) == 2 * (len(TINY.looks) + 4 + 2 * 3 + 1 + 2 + 4) + 2

    def test_values(self):
        found = outcome()
        rows = list(curves(TINY, found))
        assert ["test accuracy", "all, rate 0.1", 0, 2, 0.5] in rows
        assert ["training accuracy", "last, rate 0.03", 0, 1, 0.4] in rows
        assert ["largest rate", "all", 1, 14, 4.0] in rows
        assert ["loss at the largest rate", "all", 1, 14, 2.0] in rows
        run = found.initial["kaiming", "none", 1]
        assert ["cancellation, all terms", "none, kaiming", 1, 7, run.ratio[1]] in rows
        assert ["channels' deviations", "none, kaiming", 1, 13, run.deviations[-1]] in rows
        assert ["relative loss, mini-batch 2", "none, kaiming", 1, 0.1, run.relative[1, 2]] in rows
        variance = found.divergence[0].var[2][-1].max()
        assert ["largest variance, layer 10", "none", 0, 1.0, variance] in rows
        assert ["noise, without, theory", "perceptron", 1, 16, found.noise[1].theory["without"][1]] in rows

    def test_file(self, tmp_path):
        """None and what is not finite become empty cells."""
        found = outcome()
        found = dataclasses.replace(
            found,
            rates={(8, "none", 0): rates(None)},
            initial={("xavier", "none", 0): initial(TINY, "none", 0, means=np.full(7, INF))},
        )
        head = ["measurement", "network", "seed", "x", "y"]
        write_csv(tmp_path / "m.csv", head, curves(TINY, found))
        lines = (tmp_path / "m.csv").read_text().splitlines()
        assert lines[0] == "measurement,network,seed,x,y"
        assert "largest rate,none,0,8," in lines
        assert 'channels\' means,"none, xavier",0,13,' in lines
