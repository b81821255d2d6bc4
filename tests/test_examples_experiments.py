"""The machinery of the studies against independent computations: claims, measures, files."""

from __future__ import annotations

import csv
import json
import math
import struct
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DataError, DTypeError, ShapeError
from tinynet.experiments import (
    Claim,
    Evaluation,
    History,
    claims_table,
    column_percentiles,
    evaluate,
    figure_png,
    require,
    steps_to_accuracy,
    table,
    write_csv,
    write_json,
)
from tinynet.experiments.figures import band


class TestClaim:
    @pytest.mark.parametrize(
        ("make", "value", "limit", "bound", "holds"),
        [
            (Claim.at_least, 0.9, 0.85, ">= 0.85", True),
            (Claim.at_least, 0.85, 0.85, ">= 0.85", True),
            (Claim.at_least, 0.84, 0.85, ">= 0.85", False),
            (Claim.at_least, None, 0.85, ">= 0.85", False),
            (Claim.at_least, 0.9, None, None, None),
            (Claim.at_most, 250 / 750, 1 / 3, "<= 0.3333", True),
            (Claim.at_most, 0.34, 1 / 3, "<= 0.3333", False),
            (Claim.at_most, None, 1 / 3, "<= 0.3333", False),
            (Claim.at_most, None, None, None, None),
            (Claim.at_most, 0.1, None, None, None),
        ],
    )
    def test_verdict_follows_from_value_and_bound(self, make, value, limit, bound, holds):
        claim = make("a sentence", value, limit)
        assert claim.to_json() == {"name": "a sentence", "value": value, "bound": bound, "holds": holds}
        assert list(claim.to_json()) == ["name", "value", "bound", "holds"]

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_value_that_is_not_finite_fails(self, value):
        assert Claim.at_most("n", value, 1.0) == Claim("n", None, "<= 1", False)
        assert Claim.at_least("n", value, 1.0) == Claim("n", None, ">= 1", False)
        assert Claim.at_least("n", value, None) == Claim("n", None, None, None)

    def test_bound_and_verdict_belong_together(self):
        with pytest.raises(ArgumentError, match=r"^Claim: bound and holds must both be None .* holds=True$"):
            Claim("n", 1.0, None, True)
        with pytest.raises(ArgumentError, match=r"got bound='>= 1', holds=None$"):
            Claim("n", 1.0, ">= 1", None)

    def test_table(self):
        text = claims_table(
            [
                Claim.at_least("first", 0.90625, 0.85),
                Claim.at_most("second claim", 12.5, 0.4),
                Claim.at_most("third", None, None),
            ]
        )
        assert text.splitlines() == [
            "claim          value  bound    holds",
            "------------  ------  -------  -----",
            "first         0.9062  >= 0.85  yes",
            "second claim    12.5  <= 0.4   NO",
            "third              -  -        -",
        ]

    def test_table_without_rows_and_with_bad_rows(self):
        assert table(("a", "bc"), []) == "a  bc\n-  --"
        with pytest.raises(ArgumentError, match=r"^table: rows must have 2 cells; got \['1'\]$"):
            table(("a", "b"), [["1"]])


class TestStepsToAccuracy:
    CURVE = ((1, 0.1), (250, 0.89), (500, 0.91), (750, 0.88), (1000, 0.95))

    @pytest.mark.parametrize(
        ("level", "step"), [(0.0, 1), (0.89, 250), (0.9, 500), (0.91, 500), (0.95, 1000), (0.951, None)]
    )
    def test_first_measurement_at_the_level(self, level, step):
        assert steps_to_accuracy(self.CURVE, level) == step

    def test_nan_and_nothing(self):
        assert steps_to_accuracy([(1, math.nan), (2, 0.5)], 0.2) == 2
        assert steps_to_accuracy([], 0.0) is None


class TestColumnPercentiles:
    @given(
        rows=st.integers(1, 40),
        columns=st.integers(1, 5),
        q=st.lists(st.floats(0, 100), min_size=1, max_size=4),
        seed=st.integers(0, 10**6),
        dtype=st.sampled_from(["float32", "float64"]),
    )
    def test_equals_numpy(self, rows, columns, q, seed, dtype):
        values = np.random.default_rng(seed).standard_normal((rows, columns)).astype(dtype)
        expected = np.percentile(values.astype(np.float64), q, axis=0)
        result = column_percentiles(values, q)
        assert result.dtype == np.float64
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)

    def test_definition_on_a_known_column(self):
        column = np.arange(101.0)[::-1, None]  # the p-th percentile of 0..100 is p
        np.testing.assert_allclose(column_percentiles(column)[:, 0], [15, 50, 85], rtol=1e-14)

    def test_layouts(self):
        values = np.random.default_rng(0).standard_normal((30, 6))
        expected = column_percentiles(values)
        values.setflags(write=False)
        np.testing.assert_array_equal(column_percentiles(values), expected)
        np.testing.assert_array_equal(column_percentiles(np.asfortranarray(values)), expected)
        np.testing.assert_array_equal(column_percentiles(values[:, ::2]), expected[:, ::2])

    def test_nan_stays_in_its_column_and_infinity_passes(self):
        values = np.array([[1.0, 0.0, np.inf], [np.nan, 1.0, 0.0], [3.0, 2.0, -np.inf]])
        result = column_percentiles(values, (50,))
        assert math.isnan(result[0, 0])
        np.testing.assert_array_equal(result[0, 1:], [1.0, 0.0])

    def test_errors(self):
        with pytest.raises(ShapeError, match=r"values must have shape \(N, U\) with N >= 1; got \(0, 3\)$"):
            column_percentiles(np.zeros((0, 3)))
        with pytest.raises(ShapeError, match=r"got \(3,\)$"):
            column_percentiles(np.zeros(3))
        with pytest.raises(
            ArgumentError, match=r"^column_percentiles: q must lie in \[0, 100\]; got \[50, 101\]$"
        ):
            column_percentiles(np.zeros((2, 2)), (50, 101))


@pytest.fixture
def network():
    """A small network with batch normalisation and its last activation."""
    tn.manual_seed(5)
    activation = nn.Sigmoid()
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), activation, nn.Linear(6, 3)), activation


class TestEvaluate:
    def test_accuracy_and_inputs_by_hand(self, network, rng):
        model, activation = network
        x = rng.standard_normal((23, 4)).astype(np.float32)
        labels = rng.integers(3, size=23)
        weight, bias = (p.detach().numpy().astype(np.float64) for p in (model[0].weight, model[0].bias))
        entered = (x @ weight.T + bias) / math.sqrt(
            1 + 1e-5
        )  # running mean 0 and variance 1, gamma 1, beta 0
        scores = (
            1 / (1 + np.exp(-entered)) @ model[3].weight.detach().numpy().T + model[3].bias.detach().numpy()
        )
        for chunk in (1, 7, 23, 100):
            result = evaluate(model, x, labels, watch=activation, chunk=chunk)
            assert result.accuracy == np.mean(scores.argmax(axis=1) == labels)
            np.testing.assert_allclose(result.inputs, entered, rtol=1e-5, atol=1e-6)
        assert evaluate(model, x, labels).inputs is None

    def test_model_is_left_as_it_was(self, network, rng):
        model, activation = network
        model.train()
        model[1].eval()  # a frozen layer stays frozen
        before = {name: value.numpy().copy() for name, value in model.named_buffers()}
        x = rng.standard_normal((5, 4)).astype(np.float32)
        evaluate(model, x, np.zeros(5, np.int64), watch=activation)
        with pytest.raises(ShapeError):
            evaluate(model, np.zeros((5, 3), np.float32), np.zeros(5, np.int64), watch=activation)
        assert [module.training for module in model] == [True, False, True, True]
        assert not activation._forward_pre_hooks
        for name, value in model.named_buffers():
            np.testing.assert_array_equal(value.numpy(), before[name])

    def test_errors(self, network):
        model, _ = network
        x, labels = np.zeros((5, 4), np.float32), np.zeros(5, np.int64)
        with pytest.raises(
            ShapeError, match=r"^evaluate: x and labels must have one length, at least 1; got 5 and 4$"
        ):
            evaluate(model, x, labels[:4])
        with pytest.raises(ShapeError, match=r"got 0 and 0$"):
            evaluate(model, x[:0], labels[:0])
        with pytest.raises(
            ArgumentError, match=r"watch must be called once per forward pass; got 0 calls in 1 passes$"
        ):
            evaluate(model, x, labels, watch=nn.Sigmoid())
        for chunk, error in ((0, ArgumentError), (2.5, DTypeError)):
            with pytest.raises(error, match=rf"^evaluate: chunk must be a positive int; got {chunk}$"):
                evaluate(model, x, labels, chunk=chunk)


class TestHistory:
    def test_summaries_by_loops(self, rng):
        history, layers = History(), []
        for step in (1, 10, 20, 30):
            inputs = rng.standard_normal((50, 7)) * step
            layers.append(inputs)
            history.add(step, Evaluation(step / 100, inputs))
        assert history.curve == [(1, 0.01), (10, 0.1), (20, 0.2), (30, 0.3)]
        assert history.accuracy_at(20) == 0.2
        assert history.accuracy_at(15) is None
        for index, q in enumerate((15, 50, 85)):
            per_unit = [[np.percentile(inputs[:, unit], q) for inputs in layers] for unit in range(7)]
            ranges = sorted(max(values) - min(values) for values in per_unit)
            assert history.drift()[index] == pytest.approx(ranges[3])  # the middle one of seven
            np.testing.assert_allclose(history.unit(2)[:, index], per_unit[2])
            for time in range(4):
                middle = sorted(values[time] for values in per_unit)[3]
                assert history.median_over_units()[time, index] == pytest.approx(middle)

    def test_needs_watched_inputs(self):
        with pytest.raises(ArgumentError, match=r"evaluation must come from evaluate\(..., watch=module\)"):
            History().add(1, Evaluation(0.5, None))


class TestFiles:
    def test_json_is_strict_and_exact(self, tmp_path):
        tree = {
            "claims": [Claim.at_least("c", 0.5, 0.25)],
            "array": np.array([[1.5, np.nan], [np.inf, 0.1]]),
            "scalar": np.float32(0.1),
            "integer": np.int64(2**53 + 1),
            "flag": np.bool_(True),
            "path": Path("a") / "b",
            "text": 'quote " and é',
            "empty": [[], {}, ()],
            "none": None,
        }
        write_json(tmp_path / "r.json", tree)
        text = (tmp_path / "r.json").read_text(encoding="utf-8")
        assert text.endswith("}\n")
        assert json.loads(text, parse_constant=pytest.fail) == {
            "claims": [{"name": "c", "value": 0.5, "bound": ">= 0.25", "holds": True}],
            "array": [[1.5, None], [None, 0.1]],
            "scalar": float(np.float32(0.1)),
            "integer": 2**53 + 1,
            "flag": True,
            "path": str(Path("a") / "b"),
            "text": 'quote " and é',
            "empty": [[], {}, []],
            "none": None,
        }
        assert '"array": [\n    [1.5, null],\n    [null, 0.1]\n  ]' in text  # rows of numbers on one line

    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=10,
        )
    )
    def test_json_layout_keeps_every_tree(self, tree):
        from tinynet.experiments.results import _layout, plain

        assert json.loads(_layout(plain(tree), "\n")) == tree

    def test_what_json_cannot_hold(self, tmp_path):
        target = tmp_path / "r.json"
        target.write_text("old")
        with pytest.raises(DTypeError, match=r"^write_json: keys must be str; got 1 \(int\)$"):
            write_json(target, {"a": {1: 2}})
        with pytest.raises(DTypeError, match=r"got set$"):
            write_json(target, {"a": {1, 2}})
        assert target.read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["r.json"]

    def test_csv(self, tmp_path):
        target = tmp_path / "h.csv"
        write_csv(target, ("name", "x"), [("a, b", np.float64(0.1)), ('"q"', math.nan), (None, np.int64(3))])
        assert target.read_bytes().count(b"\r") == 0
        with open(target, newline="") as file:
            assert list(csv.reader(file)) == [["name", "x"], ["a, b", "0.1"], ['"q"', ""], ["", "3"]]
        before = target.read_bytes()
        with pytest.raises(ArgumentError, match=r"^write_csv: rows must have 2 cells; got \[1\]$"):
            write_csv(target, ("name", "x"), [(1, 2), (1,)])
        with pytest.raises(DTypeError, match=r"^write_csv: values must be dict, .* got set$"):
            write_csv(target, ("name",), [({1},)])
        assert target.read_bytes() == before

    def test_errors_name_the_writer(self, tmp_path):
        with pytest.raises(DataError, match=r"^write_json: the folder of .* must exist"):
            write_json(tmp_path / "none" / "r.json", {})
        with pytest.raises(DataError, match=r"^write_csv: the folder of .* must exist"):
            write_csv(tmp_path / "none" / "h.csv", ("a",), [])

    def test_figure(self):
        before = dict(matplotlib.rcParams)
        backend = matplotlib.get_backend()

        def draw(figure):
            figure.subplots().plot([0, 1], [1, 2], label="line")

        png = figure_png(draw, width=5, height=2, dpi=100)
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", png[16:24]) == (500, 200)
        assert figure_png(draw, width=5, height=2, dpi=100) == png
        assert dict(matplotlib.rcParams) == before
        assert matplotlib.get_backend() == backend
        with pytest.raises(ArgumentError, match=r"width, height and dpi must be positive; got 0, 3.3, 166$"):
            figure_png(draw, width=0)

    def test_band_is_the_range_of_several_curves(self):
        bounds = []

        class Axes:
            def fill_between(self, x, low, high, **style):
                bounds.append((x, low.tolist(), high.tolist(), style["color"]))

        x, a, b, c = (np.array(values) for values in ([0, 1, 2], [1.0, 5, 2], [3.0, 1, 2], [2.0, 2, 4]))
        band(Axes(), x, [a], "red")
        assert bounds == []
        band(Axes(), x, [a, b, c], "red")
        assert bounds[0][1:] == ([1, 1, 2], [3, 5, 4], "red")

    def test_import_is_cheap_and_extras_are_named(self):
        code = (
            "import sys, tinynet.experiments.mnist_study; "
            "bad = {'matplotlib', 'tqdm', 'sklearn'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
        )
        variables = {"PYTHONPATH": str(Path(tn.__file__).parent.parent)}
        subprocess.run([sys.executable, "-c", code], check=True, env=variables, timeout=60)
        require("json", "csv")
        with pytest.raises(ImportError, match=r"needs tinynet_no_such_module: install the extra 'examples'"):
            require("json", "tinynet_no_such_module")
