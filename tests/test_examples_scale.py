"""examples/bn_scale_init.py: as a user runs it, in a process of its own, and `main` in this one."""

from __future__ import annotations

import csv
import dataclasses
import functools
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
    stop,
    stopping,
    strict,
    timeless,
)

from tinynet.experiments import program, scale_mechanics, scale_study
from tinynet.experiments.scale_mechanics import Mechanics
from tinynet.experiments.scale_study import ONLINE, VARIANTS, Settings

SCRIPT = "bn_scale_init.py"
FILES = ["history.csv", "results.json", "scales.png"]
ROWS = [(variant.name, steps) for variant in VARIANTS for steps in (2, 5)] + [(ONLINE.name, 5)]


# ---- in a process of its own -----------------------------------------------------------------------------

SMALLER = """
import dataclasses
from tinynet.experiments import scale_study
scale_study.SMOKE = dataclasses.replace(scale_study.SMOKE, limit=80, short=2, long=5, batch_size=36)
"""


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """A smoke run, on fewer images and with fewer seeds still."""
    folder = tmp_path_factory.mktemp("smoke")
    options = ["--smoke", "--dataset", "digits", "--offline", "--seed", "5", "--seeds", "2"]
    options += ["--threads", "1", "--out", "out"]
    return folder / "out", run(folder, SCRIPT, *options, first=SMALLER)


class TestSmoke:
    def test_succeeds_and_leaves_its_files(self, smoke):
        out, process = smoke
        assert process.returncode == 0, process.stderr
        assert sorted(path.name for path in out.iterdir()) == FILES  # no runs
        assert "Warning" not in process.stderr

    def test_results(self, smoke):
        results = strict(smoke[0] / "results.json")
        head = (results["experiment"], results["dataset"], results["notice"], results["seeds"])
        assert head == ("bn_scale_init", "digits", None, [5, 6])
        assert results["settings"]["limit"] == 80
        assert [(row["name"], row["steps"]) for row in results["table"]] == ROWS
        assert {len(row["accuracy"]) for row in results["table"]} == {2}
        assert [(each["variant"], each["steps"]) for each in results["comparisons"]] == ROWS[2:]
        assert list(results["drift"]) == ["standard, not trained", *(variant.name for variant in VARIANTS)]
        assert [each["k"] for each in results["mechanics"]["ratios"]] == [0.1, 0.5, 2.0]

    def test_mechanics_alone_have_bounds_and_they_hold(self, smoke):
        claims = strict(smoke[0] / "results.json")["claims"]
        bounded = [claim for claim in claims if claim["bound"] is not None]
        assert len(bounded) == 8
        assert all(claim["holds"] for claim in bounded)
        assert {claim["holds"] for claim in claims if claim["bound"] is None} == {None}

    def test_numbers_fit_each_other(self, smoke):
        out, _ = smoke
        results = strict(out / "results.json")
        accuracy = {(row["name"], row["steps"]): np.array(row["accuracy"]) for row in results["table"]}
        for each in results["comparisons"]:
            differences = 100 * (
                accuracy[each["variant"], each["steps"]] - accuracy["standard", each["steps"]]
            )
            assert each["differences"] == pytest.approx(differences)
            assert each["mean"] == pytest.approx(differences.mean())
            assert each["deviation"] == pytest.approx(differences.std(ddof=1))
        with open(out / "history.csv", newline="") as file:
            lines = list(csv.DictReader(file))
        assert {line["dataset"] for line in lines} == {"digits"}
        last = {(line["variant"], int(line["steps"]), line["seed"]): float(line["loss"]) for line in lines}
        assert len(last) == len(lines) == 2 * len(ROWS)  # a window of 20 steps is longer than the runs
        for row in results["table"]:
            own = [last[row["name"], row["steps"], seed] for seed in "56"]
            assert own == pytest.approx(row["final_loss"])

    def test_terminal(self, smoke):
        text = smoke[1].stdout
        assert "1 thread(s); data set digits: 72 training and 80 test images" in text
        assert "2 and 5 steps, batches of 36, seeds 5 to 6, results into out" in text
        places = [
            text.index(part)
            for part in (
                "Test accuracy on digits",
                "standard, online input norm.",
                "p: one-sided",
                "After 5 steps",
                "standard, not trained",
                "Claims on digits:",
                "against the data set's, |difference|, points",
            )
        ]
        assert places == sorted(places)

    def test_picture_is_whole(self, smoke):
        assert png_size(smoke[0] / "scales.png")[0] >= 1100


# ---- in this process, with settings of a moment ----------------------------------------------------------

SMALL = ["--dataset", "digits", "--offline", "--threads", "1", "--out", "out", "--seeds", "1"]


@dataclasses.dataclass(frozen=True)
class Tiny(Settings):
    """Defaults of a moment."""

    short: int = 2
    long: int = 5
    batch_size: int = 36
    limit: int | None = 80


@functools.cache
def known_mechanics() -> Mechanics:
    """The mechanics of a few images, once for all tests."""
    images = np.random.default_rng(0).integers(0, 256, (256, 1, 8, 8), np.uint8)
    return scale_mechanics.check_mechanics(images)


def mechanics(images: Any, seed: int) -> Mechanics:
    """In the place of the script's."""
    assert images.shape == (1437, 1, 28, 28)  # all training images, whatever the limit
    return known_mechanics()


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the script defines, with other defaults and no figure, in an empty folder."""
    monkeypatch.setattr(program, "write_figure", lambda path, draw, height: path.write_bytes(b"figure"))
    with loaded(SCRIPT, tmp_path, monkeypatch) as found:
        found["Settings"] = Tiny
        found["check_mechanics"] = mechanics
        yield found


@pytest.fixture
def main(script: dict[str, Any]) -> Main:
    return script["main"]


class TestRuns:
    def test_interrupted_and_called_again(self, main, tmp_path, monkeypatch, capsys):
        train, calls = stopping(scale_study.train, 3)
        monkeypatch.setattr(scale_study, "train", train)
        assert main(SMALL) == 130
        error = capsys.readouterr().err
        assert "Interrupted while the networks were training." in error
        assert "Kept: 2 finished runs in out/runs; the same command goes on from there." in error
        assert main(SMALL) == 0
        assert calls == [3 + len(ROWS) - 2]
        assert "9 runs made, 2 found in out/runs" in capsys.readouterr().out
        out = tmp_path / "out"
        first, history = timeless(out / "results.json"), (out / "history.csv").read_bytes()
        names = [f"{name}-{steps}-seed0.safetensors" for name, steps in ROWS]
        assert sorted(path.name for path in (out / "runs").iterdir()) == sorted(names)
        assert {each["p"] for each in first["comparisons"]} == {None}  # one seed

        monkeypatch.setattr(scale_study, "train", never)
        assert main(SMALL) == 0
        assert timeless(out / "results.json") == first
        assert (out / "history.csv").read_bytes() == history

    def test_interrupted_smoke_keeps_nothing(self, main, script, tmp_path, monkeypatch, capsys):
        script["SMOKE"] = Tiny()

        monkeypatch.setattr(scale_study, "train", stop)
        assert main([*SMALL, "--smoke"]) == 130
        assert "There is nothing new to go on from." in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []


class TestOptions:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--seeds", "0"], "argument --seeds: must be an integer >= 1; got '0'"),
            (["--jobs", "0"], "argument --jobs: must be an integer >= 1; got '0'"),
            (["--dataset", "imagenet"], "argument --dataset: invalid choice: 'imagenet'"),
        ],
    )
    def test_bad_option_is_named(self, main, capsys, arguments, message):
        assert message in refusal(main, arguments, capsys)

    def test_help_explains(self, main, capsys):
        flat = " ".join(help_text(main, capsys).split())
        assert "Neither sign is promised" in flat
        assert "the same command, given again, goes on where it stopped" in flat

    def test_defaults(self, script):
        options = script["parse_arguments"]([])
        assert (options.dataset, options.seeds, options.seed) == ("cifar-10", 5, 0)
        assert options.out == Path("runs/bn-scale-init")
