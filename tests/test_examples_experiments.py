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
    claims_table,
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


class TestEvaluate:
    @pytest.fixture
    def model(self) -> nn.Sequential:
        tn.manual_seed(5)
        return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Sigmoid(), nn.Linear(6, 3))

    @pytest.mark.parametrize("chunk", [1, 7, 23, 100])
    def test_accuracy_by_hand(self, model, rng, chunk):
        x = rng.standard_normal((23, 4)).astype(np.float32)
        labels = rng.integers(3, size=23)
        state = {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}
        entered = x @ state["0.weight"].T + state["0.bias"]
        entered /= math.sqrt(1 + 1e-5)  # running mean 0 and variance 1, gamma 1, beta 0
        scores = 1 / (1 + np.exp(-entered)) @ state["3.weight"].T + state["3.bias"]
        assert evaluate(model, x, labels, chunk=chunk) == np.mean(scores.argmax(axis=1) == labels)

    def test_prepares_each_chunk(self, model):
        seen = []

        def prepare(x):
            seen.append(len(x))
            return x.astype(np.float32) / 255

        x = np.arange(40, dtype=np.uint8).reshape(10, 4)
        labels = np.zeros(10, np.int64)
        accuracy = evaluate(model, x, labels, chunk=4, prepare=prepare)
        assert seen == [4, 4, 2]
        assert accuracy == evaluate(model, (x / 255).astype(np.float32), labels)

    def test_model_is_left_as_it_was(self, model, rng):
        model.train()
        model[1].eval()  # a frozen layer stays frozen
        before = {name: value.numpy().copy() for name, value in model.named_buffers()}
        labels = np.zeros(5, np.int64)
        evaluate(model, rng.standard_normal((5, 4)).astype(np.float32), labels)
        with pytest.raises(ShapeError):
            evaluate(model, np.zeros((5, 3), np.float32), labels)
        assert [module.training for module in model] == [True, False, True, True]
        for name, value in model.named_buffers():
            np.testing.assert_array_equal(value.numpy(), before[name])

    def test_errors(self, model):
        x, labels = np.zeros((5, 4), np.float32), np.zeros(5, np.int64)
        with pytest.raises(
            ShapeError, match=r"^evaluate: x and labels must have one length, at least 1; got 5 and 4$"
        ):
            evaluate(model, x, labels[:4])
        with pytest.raises(ShapeError, match=r"got 0 and 0$"):
            evaluate(model, x[:0], labels[:0])
        for chunk, error in ((0, ArgumentError), (2.5, DTypeError)):
            with pytest.raises(error, match=rf"^evaluate: chunk must be a positive int; got {chunk}$"):
                evaluate(model, x, labels, chunk=chunk)


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
