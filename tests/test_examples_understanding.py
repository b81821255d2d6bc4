"""examples/understanding_bn.py: as a user runs it, in a process of its own, and `main` in this one."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from understanding_running import QUICK

import tinynet as tn
from tinynet.experiments import program, understanding_settings, understanding_study
from tinynet.experiments.understanding_figures import FIGURES
from tinynet.experiments.understanding_settings import NORMS, TRAININGS, WEIGHTS, WHERE, Settings

SCRIPT = "understanding_bn.py"
FILES = sorted(["results.json", "measurements.csv", *(f"{name}.png" for name in FIGURES)])


# ---- in a process of its own -----------------------------------------------------------------------------

SETTINGS = f"""
import functools, sys
sys.path.append({str(Path(__file__).parent)!r})
from understanding_running import QUICK
from tinynet.experiments import program, understanding_settings
understanding_settings.SMOKE = QUICK
program.write_figure = functools.partial(program.write_figure, dpi=30)
"""


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """A smoke run that asks for CIFAR-10 and gets the digits, with settings that are smaller still."""
    folder = tmp_path_factory.mktemp("smoke")
    options = ["--smoke", "--offline", "--seeds", "2", "--seed", "5", "--threads", "1", "--out", "out"]
    return folder / "out", run(folder, SCRIPT, *options, first=SETTINGS)


class TestSmoke:
    def test_succeeds_and_leaves_its_files(self, smoke):
        out, process = smoke
        assert process.returncode == 0, process.stderr
        assert sorted(path.name for path in out.iterdir()) == FILES  # no runs
        warnings = [line for line in process.stderr.splitlines() if "warning" in line.lower()]
        assert len(warnings) == 1  # another data set stands in
        assert warnings[0].startswith("WARNING: ")

    def test_results(self, smoke):
        results = strict(smoke[0] / "results.json")
        assert (results["experiment"], results["dataset"]) == ("understanding_bn", "digits")
        assert "cifar-10 was asked for" in results["notice"]
        assert results["tinynet"] == tn.__version__
        assert results["threads"] == 1
        assert results["settings"]["depth"] == 8
        assert results["settings"]["kernels"] == [2, 4, 6]
        assert results["seeds"] == [5, 6]
        assert [len(table["rows"]) for table in results["tables"]] == [15, 15, 7, 6, 7, 2, 3, 3]
        assert results["tables"][0]["head"] == ["", "without BN", "with BN"]

    def test_nothing_is_claimed(self, smoke):
        claims = strict(smoke[0] / "results.json")["claims"]
        assert len(claims) == 23
        assert [list(claim) for claim in claims] == [["name", "value", "bound", "holds"]] * len(claims)
        assert {(claim["bound"], claim["holds"]) for claim in claims} == {(None, None)}

    def test_measurements(self, smoke):
        with open(smoke[0] / "measurements.csv", newline="") as file:
            lines = list(csv.DictReader(file))
        assert list(lines[0]) == ["measurement", "network", "seed", "x", "y"]
        assert {line["seed"] for line in lines} == {"5", "6"}
        start = [line for line in lines if line["measurement"] == "relative loss, mini-batch 2"]
        assert {line["network"] for line in start} == {f"{n}, {w}" for n in NORMS for w in WEIGHTS}
        assert [float(line["x"]) for line in start[:3]] == [1e-3, 1e-2, 1e-1]
        # The trained networks have one seed.
        trained = [line for line in lines if line["measurement"] == "test accuracy"]
        assert {(line["network"], line["seed"]) for line in trained} == {
            (f"{where}, rate {rate:g}", "5") for where, rate in TRAININGS
        }
        results = strict(smoke[0] / "results.json")
        table = {row[0]: row for row in results["tables"][4]["rows"]}
        last = [float(line["y"]) for line in trained if line["network"] == "last, rate 0.03"][-1]
        assert table["BN before the classifier, 0.03"][1] == f"{100 * last:.2f}"

    def test_terminal(self, smoke):
        text = smoke[1].stdout
        assert "1 thread(s); data set digits: " in text
        assert "seeds 5 to 6, results into out" in text
        results = strict(smoke[0] / "results.json")
        parts = [
            *(f"{table['title']}:" for table in results["tables"]),
            "Bounds exist for the default settings on CIFAR-10 only, with at least 3 seeds.",
            "Claims on digits, with 2 seed(s):",
            *(claim["name"] for claim in results["claims"]),
        ]
        places = [text.index(part) for part in parts]
        assert places == sorted(places)

    def test_pictures_are_whole(self, smoke):
        for name, (_, height) in FIGURES.items():
            assert png_size(smoke[0] / f"{name}.png") == (300, int(height * 30))


# ---- in this process, with settings of a moment ----------------------------------------------------------

SMALL = ["--offline", "--threads", "1", "--jobs", "1", "--seeds", "1", "--out", "out"]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the script defines, with other defaults, no data and no figures, in an empty folder."""
    monkeypatch.setenv("TINYNET_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(program, "write_figure", lambda path, draw, height: path.write_bytes(b"figure"))
    monkeypatch.setattr(understanding_settings, "SMOKE", QUICK)
    with loaded(SCRIPT, tmp_path, monkeypatch) as found:
        found["Settings"] = lambda: QUICK
        yield found


@pytest.fixture
def main(script: dict[str, Any]) -> Main:
    return script["main"]


class TestRuns:
    def test_interrupted_and_continued(self, main, tmp_path, monkeypatch, capsys):
        # At the end of the first epoch of the second training.
        evaluate, _ = stopping(understanding_study.evaluate, 3)
        monkeypatch.setattr(understanding_study, "evaluate", evaluate)
        assert main(SMALL) == 130
        error = capsys.readouterr().err
        assert "Interrupted while the networks were training." in error
        assert "Kept: 8 finished runs in out/runs" in error  # 4 at the start, 3 others, 1 training
        out = tmp_path / "out"
        assert [path.name for path in out.iterdir()] == ["runs"]

        assert main(SMALL) == 0
        names = [f"initial-{weights}-{where}-seed0" for weights in WEIGHTS for where in NORMS]
        names += ["divergence-seed0", "noise-seed0", "products-seed0"]
        names += [f"training-{where}-{rate:g}-seed0" for where, rate in TRAININGS]
        names += [f"rates-{depth}-{where}-seed0" for depth in QUICK.depths for where in WHERE]
        runs = sorted(path.stem for path in (out / "runs").glob("*.safetensors"))
        assert runs == sorted(names)
        assert re.search(
            rf"^{len(names) - 8} runs made, \d+ found in out/runs$", capsys.readouterr().out, re.M
        )
        assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, "runs"])

        results, points = timeless(out / "results.json"), (out / "measurements.csv").read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(understanding_study, "network", never)
            assert main(SMALL) == 0
        assert timeless(out / "results.json") == results
        assert (out / "measurements.csv").read_bytes() == points

        # What was interrupted is what was not.
        assert main([*SMALL[:-1], "other"]) == 0
        assert timeless(tmp_path / "other" / "results.json") == results
        assert (tmp_path / "other" / "measurements.csv").read_bytes() == points

    def test_interrupted_smoke_keeps_nothing(self, main, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(understanding_study, "network", stop)
        assert main([*SMALL, "--smoke"]) == 130
        error = capsys.readouterr().err
        assert "Interrupted at the initialisation." in error
        assert "There is nothing new to go on from." in error
        assert list(tmp_path.iterdir()) == []

    def test_too_few_images(self, main, script, tmp_path, capsys):
        script["Settings"] = Settings
        assert main(SMALL) == 1
        error = capsys.readouterr().err
        assert "error: Study: images must hold at least 10,000 training images; got 1,2" in error
        assert not (tmp_path / "out").exists()


class TestOptions:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--seeds", "0"], "argument --seeds: must be an integer >= 1; got '0'"),
            (["--seed", "-1"], "argument --seed: must be an integer >= 0; got '-1'"),
            (["--jobs", "0"], "argument --jobs: must be an integer >= 1; got '0'"),
            (["--dataset", "imagenet"], "argument --dataset: invalid choice: 'imagenet'"),
            (["--epochs", "2"], "unrecognized arguments: --epochs 2"),
        ],
    )
    def test_bad_option_is_named(self, main, capsys, arguments, message):
        assert message in refusal(main, arguments, capsys)

    def test_help_explains(self, main, capsys):
        text = help_text(main, capsys)
        for option in ("--seeds", "--seed", "--jobs", "--dataset", "--offline", "--threads", "--smoke"):
            assert option in text
        assert "the same command, given again, goes on where it stopped" in " ".join(text.split())

    def test_defaults(self, script):
        options = script["parse_arguments"]([])
        assert (options.dataset, options.seeds, options.seed) == ("cifar-10", 3, 0)
        assert (options.smoke, options.out) == (False, Path("runs/understanding_bn"))

    def test_output_folder_that_is_a_file(self, main, capsys):
        said = said_of_a_file(main, SMALL, "out", capsys)
        assert said.splitlines()[-1].startswith("error: ")
