"""examples/inception.py: as a user runs it, in a process of its own, and `main` in this one."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples_running import (
    Main,
    Smoke,
    help_text,
    loaded,
    never,
    png_size,
    refusal,
    run,
    said_of_a_file,
    stop,
    stopping,
    strict,
    timeless,
)

import tinynet as tn
from tinynet.errors import ArgumentError
from tinynet.experiments import Runs, figure_png, inception_study
from tinynet.experiments.images import Images
from tinynet.experiments.inception_claims import Ensemble, rows
from tinynet.experiments.inception_study import Result, Study
from tinynet.experiments.inception_variants import VARIANTS, Settings
from tinynet.experiments.options import load_parts

SCRIPT = "inception.py"
FILES = ["accuracy.png", "history.csv", "results.json"]
NAMES = [variant.name for variant in VARIANTS]


# ---- in a process of its own -----------------------------------------------------------------------------

SMALLER = """
import dataclasses
from tinynet.experiments import inception_variants as variants
variants.SMOKE = dataclasses.replace(
    variants.SMOKE, limit=80, epochs=2, batch_size=36, rates=(0.01, 0.02), stable_steps=2, dropouts=(0.0, 0.1)
)
"""


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """A smoke run, on fewer images still."""
    folder = tmp_path_factory.mktemp("smoke")
    options = ["--smoke", "--dataset", "digits", "--offline", "--seed", "5", "--threads", "1", "--out", "out"]
    return folder / "out", run(folder, SCRIPT, *options, first=SMALLER)


class TestSmoke:
    def test_succeeds_and_leaves_its_files(self, smoke):
        out, process = smoke
        assert process.returncode == 0, process.stderr
        assert sorted(path.name for path in out.iterdir()) == FILES  # no runs
        assert "Warning" not in process.stderr

    def test_results(self, smoke):
        results = strict(smoke[0] / "results.json")
        assert (results["experiment"], results["dataset"], results["notice"]) == ("inception", "digits", None)
        assert results["tinynet"] == tn.__version__
        assert results["threads"] == 1
        assert results["settings"]["limit"] == 80
        assert results["seeds"] == [5, 6]
        assert [row["rate"] for row in results["grid"]] == [0.01, 0.02]
        assert results["base_rate"] in (0.01, 0.02)
        best = max(results["grid"], key=lambda row: (row["validation_accuracy"], -row["rate"]))
        assert results["base_rate"] == best["rate"]
        assert [row["name"] for row in results["table"]] == NAMES
        factors = [row["rate"] / results["base_rate"] for row in results["table"]]
        assert factors == pytest.approx([1, 1, 5, 30, 5, 5, 1, 30])
        assert [row["paper_steps"] for row in results["table"]][:4] == [31.0e6, 13.3e6, 2.1e6, 2.7e6]
        pairs = [(pair["seed"], pair["learns"]) for pair in results["stable_rates"]]
        assert pairs == [(5, False), (6, False), (5, True), (6, True)]
        assert len(results["claims"]) == 8
        assert {(claim["bound"], claim["holds"]) for claim in results["claims"]} == {(None, None)}
        assert results["ensemble"]["names"] == ["bn-x30-seed5", "bn-x30-dropout0.1-seed6"]

    def test_numbers_fit_each_other(self, smoke):
        out, _ = smoke
        results = strict(out / "results.json")
        curves = results["curves"]
        runs = [f"grid-{rate:g}" for rate in (0.01, 0.02)]
        runs += [f"{name}-seed{seed}" for seed in (5, 6) for name in NAMES] + ["bn-x30-dropout0.1-seed6"]
        assert sorted(curves) == sorted(runs)
        with open(out / "history.csv", newline="") as file:
            lines = list(csv.DictReader(file))
        assert {line["dataset"] for line in lines} == {"digits"}
        for name, curve in curves.items():
            own = [line for line in lines if line["run"] == name]
            assert [int(line["step"]) for line in own] == curve["step"]
            assert [float(line["accuracy"]) for line in own] == curve["accuracy"]
        assert len(lines) == sum(len(curve["step"]) for curve in curves.values())
        for row in results["table"]:
            own = [curves[f"{row['name']}-seed{seed}"] for seed in (5, 6)]
            assert row["best_accuracy"] == [max(curve["accuracy"], default=0) for curve in own]
            assert row["diverged"] == [curve["diverged"] for curve in own]
        assert results["table"][0]["share_of_baseline"] == 1
        ensemble = results["ensemble"]
        assert ensemble["mean_single"] == pytest.approx(np.mean(ensemble["singles"]))
        last = curves["bn-x30-seed5"]
        if last["diverged"] is None:
            assert ensemble["singles"][0] == pytest.approx(1 - last["accuracy"][-1])
        assert results["seconds"] == pytest.approx(sum(c["seconds"] for c in curves.values()), abs=0.02)

    def test_terminal(self, smoke):
        text = smoke[1].stdout
        assert "1 thread(s); data set digits: 72 training and 80 test images, 8 held out" in text
        assert "seeds 5 to 6, results into out" in text
        assert "Bounds exist for the default settings on CIFAR-10 and Fashion-MNIST only." in text
        places = [
            text.index(part)
            for part in (
                "base rate: ",
                "Inception on the images held out, seed 5:",
                "On digits; means over 2 seed(s)",
                "BN-x5-Sigmoid",
                "Largest rates, in 2 steps",
                "mean of these",
                "Claims on digits:",
                "the ensemble's error is at most 0.95",
            )
        ]
        assert places == sorted(places)
        for theirs in ("31.0M, 1.0, 72.2", "13.3M, 2.3, 72.7", "2.1M, 14.8, 73.0", "2.7M, 11.5, 74.8"):
            assert theirs in text
        assert "never, 69.8" in text
        assert "never, 0.1" in text
        assert "overflow" in text

    def test_picture_is_whole(self, smoke):
        assert png_size(smoke[0] / "accuracy.png")[0] >= 1100


# ---- in this process, with settings of a moment ----------------------------------------------------------

SMALL = ["--dataset", "digits", "--offline", "--threads", "1", "--out", "out"]


@dataclasses.dataclass(frozen=True)
class Tiny(Settings):
    """Defaults of a moment."""

    epochs: int = 2
    batch_size: int = 36
    rates: tuple[float, ...] = (0.01, 0.02)
    per_epoch: int = 2
    dropouts: tuple[float, ...] = (0.0, 0.1)
    stable_steps: int = 2
    limit: int | None = 80


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the script defines, with other defaults, in an empty folder."""
    with loaded(SCRIPT, tmp_path, monkeypatch) as found:
        found["Settings"] = Tiny
        yield found


@pytest.fixture
def main(script: dict[str, Any]) -> Main:
    return script["main"]


class TestRuns:
    def test_second_call_reads_all_runs(self, main, tmp_path, monkeypatch, capsys):
        options = [*SMALL, "--seeds", "1", "--epochs", "1"]
        assert main(options) == 0
        assert "found in" not in capsys.readouterr().out
        out = tmp_path / "out"
        runs = sorted(path.name for path in (out / "runs").iterdir())
        names = ["grid-0.01", "grid-0.02", *NAMES]
        names += [f"rate-{measure}-{which}" for measure in ("holds", "learns") for which in ("no-bn", "bn")]
        expected = [f"{name}-seed0.safetensors" for name in names] + ["bn-x30-dropout0.1-seed1.safetensors"]
        assert runs == sorted(expected)
        first, table = timeless(out / "results.json"), (out / "history.csv").read_bytes()
        assert first["seeds"] == [0]
        assert first["settings"]["epochs"] == 1
        assert first["curves"]["inception-seed0"]["step"] == [1, 2]
        assert {len(row["best_accuracy"]) for row in first["table"]} == {1}
        for name in FILES:
            (out / name).unlink()

        monkeypatch.setattr(inception_study, "bn_inception_tiny", never)
        assert main(options) == 0
        assert f"0 runs made, {len(runs)} found in {Path('out/runs')}" in capsys.readouterr().out
        assert timeless(out / "results.json") == first
        assert (out / "history.csv").read_bytes() == table
        assert sorted(path.name for path in out.iterdir()) == [*FILES, "runs"]

        assert main([*options, "--epochs", "2"]) == 1  # other settings, the same folder
        error = capsys.readouterr().err
        assert re.search(r"^error: Runs: rate|^error: Runs: epochs|^error: Runs: whole", error, re.M), error
        assert "as in 'out/runs/" in error
        assert "choose another folder, or remove this one" in error
        assert timeless(out / "results.json") == first

    def test_interrupt(self, main, script, tmp_path, monkeypatch, capsys):
        loss = inception_study.CrossEntropyLoss
        forward, _ = stopping(loss.forward, 2 + 2 + 3)  # in the second epoch of the first variant
        monkeypatch.setattr(loss, "forward", forward)
        assert main([*SMALL, "--seeds", "1"]) == 130
        error = capsys.readouterr().err
        assert "Interrupted while the networks were training." in error
        assert "Kept: 2 finished runs and the checkpoint of an unfinished one in out/runs; the same" in error
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["runs"]
        names = sorted(path.name for path in (tmp_path / "out" / "runs").glob("*.safetensors"))
        assert names == [
            "grid-0.01-seed0.safetensors",
            "grid-0.02-seed0.safetensors",
            "inception-seed0.part.safetensors",
        ]

    def test_interrupted_smoke_keeps_nothing(self, main, script, tmp_path, monkeypatch, capsys):
        script["SMOKE"] = Tiny()

        monkeypatch.setattr(inception_study.CrossEntropyLoss, "forward", stop)
        assert main([*SMALL, "--smoke"]) == 130
        error = capsys.readouterr().err
        assert "Interrupted during the grid of learning rates." in error
        assert "There is nothing new to go on from." in error
        assert list(tmp_path.iterdir()) == []

    def test_grid_that_diverged_everywhere(self, main, script, tmp_path, capsys):
        script["Settings"] = dataclasses.make_dataclass(
            "Fast", [("rates", Any, (1e4, 1e5))], bases=(Tiny,), frozen=True
        )
        assert main([*SMALL, "--epochs", "8"]) == 1
        assert "error: best_rate: grid must hold a rate at which" in capsys.readouterr().err
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["runs"]


class TestOptions:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--seeds", "0"], "argument --seeds: must be an integer >= 1; got '0'"),
            (["--epochs", "0"], "argument --epochs: must be an integer >= 1; got '0'"),
            (["--epochs", "1.5"], "argument --epochs: must be an integer >= 1; got '1.5'"),
            (["--seed", "-1"], "argument --seed: must be an integer >= 0; got '-1'"),
            (["--dataset", "imagenet"], "argument --dataset: invalid choice: 'imagenet'"),
            (["--epoch", "2"], "unrecognized arguments: --epoch 2"),
            (["--resume"], "unrecognized arguments: --resume"),
        ],
    )
    def test_bad_option_is_named(self, main, capsys, arguments, message):
        assert message in refusal(main, arguments, capsys)

    def test_help_explains(self, main, script, capsys, monkeypatch):
        monkeypatch.setattr(Images, "of", lambda *_: pytest.fail("nothing is to be loaded"))
        text = help_text(main, capsys)
        for option in ("--seeds", "--epochs", "--dataset", "--data", "--offline", "--threads", "--smoke"):
            assert option in text
        flat = " ".join(text.split())
        assert "half as many by the others" in flat
        assert "the same command, given again, goes on where it stopped" in flat

    def test_defaults(self, script):
        options = script["parse_arguments"]([])
        assert (options.dataset, options.seeds, options.seed) == ("cifar-10", 2, 0)
        assert (options.epochs, options.smoke) == (None, False)
        assert options.out == Path("runs/inception")

    def test_output_folder_that_is_a_file(self, main, capsys):
        said = said_of_a_file(main, SMALL, "out", capsys)
        assert said.splitlines()[-1].startswith("error: ")


# ---- runs that diverged, in the files and the figure -----------------------------------------------------


def made_up(*accuracy: float, diverged: int | None = None) -> Result:
    curve = [(2 * (i + 1), share) for i, share in enumerate(accuracy)]
    losses = [2.0, 1.5] if diverged is None else [2.0, float("inf")]
    shares = np.full((80, 10), 0.1 if diverged is None else np.nan)
    return Result(curve, np.array(losses), diverged, shares, 0.0)


class TestDiverged:
    @pytest.fixture
    def images(self) -> Images:
        training, test, _ = load_parts("digits", None, True)
        return Images.of(training, test, 80)

    def outcome(self, script: dict[str, Any], results: dict[int, dict[str, Result]]) -> Any:
        members = {f"bn-x30-seed{seed}": of["bn-x30"] for seed, of in results.items()}
        grid = {0.01: made_up(0.5), 1e5: made_up(diverged=2)}
        return script["Outcome"](list(results), 0.01, grid, results, [], members)

    def written(self, script: dict[str, Any], images: Images, outcome: Any, folder: Path) -> dict[str, Any]:
        table = rows(outcome.results, outcome.base)
        ensemble = Ensemble.of(outcome.members, images.test.y.tolist())
        script["write_results"](folder, images, Tiny(), outcome, table, ensemble, None)
        script["print_results"](images, Tiny(), outcome, table, ensemble)
        return strict(folder / "results.json")

    @pytest.mark.filterwarnings("error")
    def test_some(self, script, images, tmp_path, capsys):
        of = {name: made_up(0.3, 0.5) for name in NAMES} | {
            "inception-x5": made_up(diverged=2),  # before any measurement
            "bn-x30": made_up(0.2, 0.1, diverged=5),
        }
        results = self.written(script, images, self.outcome(script, {0: of, 1: of}), tmp_path)
        row = {each["name"]: each for each in results["table"]}
        assert (row["inception-x5"]["diverged"], row["inception-x5"]["best_accuracy"]) == ([2, 2], [0, 0])
        assert (row["inception-x5"]["steps"], row["inception-x5"]["share_of_baseline"]) == ([None] * 2, None)
        assert (row["bn-x30"]["diverged"], row["bn-x30"]["best_accuracy"]) == ([5, 5], [0.2, 0.2])
        assert results["curves"]["inception-x5-seed1"] == {
            "step": [],
            "accuracy": [],
            "final_loss": None,
            "diverged": 2,
            "seconds": 0.0,
        }
        assert results["grid"] == [
            {"rate": 0.01, "validation_accuracy": 0.5, "diverged": None},
            {"rate": 1e5, "validation_accuracy": None, "diverged": 2},
        ]
        assert results["ensemble"]["error"] == results["ensemble"]["mean_single"] == 1
        assert results["claims"][5]["value"] is None  # no search was made
        text = capsys.readouterr().out
        assert "0.00, diverged at step 2, 2" in text
        assert "never" in text
        assert re.search(r"100000 +diverged\n", text)

    def test_all(self, script, images, tmp_path, capsys):
        """Nothing was measured anywhere: the files and the tables are there all the same."""
        of = {name: made_up(diverged=2) for name in NAMES}
        results = self.written(script, images, self.outcome(script, {0: of}), tmp_path)
        assert {row["share_of_baseline"] for row in results["table"]} == {None}
        assert (tmp_path / "history.csv").read_text().splitlines() == [
            "dataset,run,step,accuracy",
            "digits,grid-0.01,2,0.5",
        ]
        assert png_size(tmp_path / "accuracy.png")[0] >= 1100

    def test_reached_by_one_seed(self, script, images):
        low, high = (made_up(share) for share in (0.3, 0.6))
        first = dict.fromkeys(NAMES, high)
        outcome = self.outcome(script, {0: first, 1: first | {"bn-x5": low}})
        row = next(row for row in rows(outcome.results, 0.01) if row.variant.name == "bn-x5")
        assert script["cells"](row)[2:5] == ["never in 1 of 2", "-", "45.00 (30.00 to 60.00)"]

    def test_lines_of_the_figure(self, script, images):
        """Six variants at the left, three at the right, a line per seed, the first one with its name."""
        of = {name: made_up(0.3, 0.5) for name in NAMES}
        outcome = self.outcome(script, {0: of, 1: of})
        names, lines = [], []

        def draw(figure: Any) -> None:
            script["draw"](figure, images, outcome)
            for axes in figure.axes:
                names.append([text.get_text() for text in axes.get_legend().get_texts()])
                lines.append(len(axes.lines))

        figure_png(draw, dpi=30)
        assert names == [
            ["Inception", "BN-Baseline", "BN-x5", "BN-x30", "BN-x30, twice as long", "BN-x5-Sigmoid"],
            ["BN-x5-Sigmoid", "Inception x5", "Inception, sigmoid"],
        ]
        assert lines == [6 * 3 + 1, 3 * 3 + 1]  # with a diamond for each variant's first seed, and chance


def test_a_run_that_diverges_ends_in_the_table(script, tmp_path):
    """Through the whole study: a rate far too high for the network without normalisation."""
    training, test, _ = load_parts("digits", None, True)
    images = Images.of(training, test, 80)
    study = Study(images, Tiny(epochs=4), Runs(tmp_path / "runs"))
    failed = study.variant(dataclasses.replace(VARIANTS[0], factor=1e6), 1.0, 0)
    assert failed.diverged is not None
    of = {name: made_up(0.3, 0.5) for name in NAMES} | {"inception-x5": failed}
    (row,) = [row for row in rows({0: of}, 0.01) if row.variant.name == "inception-x5"]
    assert row.diverged == [failed.diverged]
    assert f"diverged at step {failed.diverged}" in script["cells"](row)[4]
    with pytest.raises(ArgumentError, match="best_rate: grid must hold"):
        inception_study.best_rate({1e6: failed})
