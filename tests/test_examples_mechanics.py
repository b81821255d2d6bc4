"""examples/bn_mechanics.py as a user runs it: in its own process, offline, with only the bundled digits."""

from __future__ import annotations

import csv
import json
import os
import re
import runpy

import pytest
from examples_running import EXAMPLES, Smoke, interrupt, png_size, run, start

import tinynet
from tinynet.experiments import Claim
from tinynet.experiments.mechanics_study import NETWORKS

FILES = ["curves.csv", "mechanics.png", "results.json"]
SCRIPT = "bn_mechanics.py"


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """One smoke run with two seeds, which asks for MNIST and does not get it."""
    folder = tmp_path_factory.mktemp("smoke")
    arguments = ["--smoke", "--offline", "--seeds", "2", "--seed", "5", "--out", "out"]
    return folder / "out", run(folder, SCRIPT, *arguments)


class TestSmoke:
    def test_succeeds_and_leaves_three_files(self, smoke):
        out, process = smoke
        assert process.returncode == 0, process.stderr
        assert sorted(path.name for path in out.iterdir()) == FILES

    def test_stand_in_is_announced_everywhere(self, smoke):
        out, process = smoke
        assert "WARNING" in process.stderr
        assert "data set digits" in process.stdout
        assert "Claims on digits, seed 5" in process.stdout
        results = json.loads((out / "results.json").read_text())
        assert results["dataset"] == "digits"
        assert "mnist was asked for" in results["notice"]
        with open(out / "curves.csv", newline="") as file:
            assert {row["dataset"] for row in csv.DictReader(file)} == {"digits"}

    def test_results_schema(self, smoke):
        results = json.loads((smoke[0] / "results.json").read_text(), parse_constant=pytest.fail)
        assert results["experiment"] == "bn_mechanics"
        assert results["seed"] == 5
        assert results["seeds"] == [5, 6]
        assert results["seeds_asked_for"] == 2
        assert results["threads"] == 1  # the default
        assert results["settings"]["rate_steps"] == 40
        assert results["settings"]["noise_sizes"] == [2, 4, 8, 16, 32, 64, 128, 256]
        assert list(results["settings"]["networks"]) == list(NETWORKS)
        assert [entry["seed"] for entry in results["runs"]] == [5, 6]
        assert results["runs"][0]["claims"] == results["claims"]
        assert results["runs"][0]["curves"] == results["curves"]
        for entry in results["runs"]:
            assert list(entry["stable_rates"]) == list(NETWORKS)
            assert all(
                list(rates) == ["without", "with", "ratio"] for rates in entry["stable_rates"].values()
            )
            assert all(seconds >= 0 for seconds in entry["seconds"].values())

    def test_exact_statements_hold_and_nothing_else_is_claimed(self, smoke):
        results = json.loads((smoke[0] / "results.json").read_text())
        for entry in results["runs"]:
            assert [list(claim) for claim in entry["claims"]] == [["name", "value", "bound", "holds"]] * 30
            assert [claim["holds"] for claim in entry["claims"]] == [True] * 23 + [None] * 7
            assert all((claim["bound"] is None) == (claim["holds"] is None) for claim in entry["claims"])

    def test_terminal_ends_with_the_claims(self, smoke):
        text = smoke[1].stdout
        places = [
            text.index(part)
            for part in ("Largest stable learning rates", "All seeds on digits", "Claims on digits, seed 5")
        ]
        assert places == sorted(places)
        assert "(23 of 23 hold)" in text
        assert text.rstrip().splitlines()[-1].startswith("largest stable rate with BN over without: ReLU, 10")

    def test_csv_has_the_curves(self, smoke):
        results = json.loads((smoke[0] / "results.json").read_text())
        with open(smoke[0] / "curves.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        for entry in results["runs"]:
            points = [row for row in rows if row["seed"] == str(entry["seed"])]
            assert sum(len(s["x"]) for c in entry["curves"].values() for s in c.values()) == len(points)
            for check, series in (("noise of batches", "mean"), ("scale of the weights", "ratio")):
                mine = [row for row in points if (row["check"], row["series"]) == (check, series)]
                assert [float(row["x"]) for row in mine] == entry["curves"][check][series]["x"]
                assert [float(row["y"]) for row in mine] == entry["curves"][check][series]["y"]

    def test_picture_is_whole_and_wide(self, smoke):
        width, height = png_size(smoke[0] / "mechanics.png")
        assert width >= 1600
        assert 1.2 < width / height < 2

    def test_same_seed_gives_the_same_bits_at_any_thread_count(self, smoke, tmp_path, monkeypatch):
        monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # threads that wait for busy cores do not spin
        arguments = ["--smoke", "--dataset", "digits", "--seed", "5", "--out", "again", "--threads", "2"]
        process = run(tmp_path, SCRIPT, *arguments)
        assert process.returncode == 0, process.stderr
        assert "WARNING" not in process.stderr
        first = (smoke[0] / "curves.csv").read_text().splitlines()
        again = (tmp_path / "again" / "curves.csv").read_text().splitlines()
        assert len(again) > 4000
        assert again == first[: len(again)]  # seed 5 comes first


def test_claims_that_do_not_hold_are_marked_and_counted():
    script = runpy.run_path(str(EXAMPLES / SCRIPT))
    missed, held, unbounded = (Claim.at_least("x", 4.36, bound) for bound in (10, 4, None))
    assert [script["cell"](claim) for claim in (missed, held, unbounded)] == ["4.36 NO", "4.36", "4.36"]
    assert script["cell"](Claim.at_least("x", None, 10)) == "- NO"  # no rate was stable
    assert script["verdict"]([missed, held, unbounded]) == "1 of 2 hold"


class TestOptions:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--seeds", "0"], "argument --seeds: must be an integer >= 1; got '0'"),
            (["--seed", "-1"], "argument --seed: must be an integer >= 0; got '-1'"),
            (["--threads", "0"], "argument --threads: must be an integer >= 1; got '0'"),
            (["--dataset", "cifar-10"], "argument --dataset: invalid choice: 'cifar-10'"),
            (["--smok"], "unrecognized arguments: --smok"),
        ],
    )
    def test_bad_option_is_named(self, tmp_path, arguments, message):
        process = run(tmp_path, SCRIPT, *arguments)
        assert process.returncode == 2
        assert message in process.stderr
        assert list(tmp_path.iterdir()) == []

    def test_help_explains(self, tmp_path):
        process = run(tmp_path, SCRIPT, "--help")
        assert process.returncode == 0
        options = ["--seed", "--seeds", "--dataset", "--data", "--offline", "--threads", "--out", "--smoke"]
        assert all(option in process.stdout for option in options)
        assert "section 3.3" in process.stdout

    def test_output_folder_that_is_a_file(self, tmp_path):
        (tmp_path / "file").write_text("mine")
        process = run(tmp_path, SCRIPT, "--smoke", "--dataset", "digits", "--out", "file")
        assert process.returncode == 1
        assert process.stderr.startswith("error: ")
        assert "Traceback" not in process.stderr
        assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
class TestInterrupt:
    def test_nothing_is_half_written(self, tmp_path, monkeypatch, capsys):
        script = runpy.run_path(str(EXAMPLES / SCRIPT))

        def interrupted(images, settings, seed, *, at):
            at("the noise of small batches")
            raise KeyboardInterrupt

        monkeypatch.setitem(script["run"].__globals__, "measure", interrupted)
        out, threads = tmp_path / "out", str(tinynet.get_num_threads())
        assert script["main"](["--dataset", "digits", "--threads", threads, "--out", str(out)]) == 130
        errors = capsys.readouterr().err
        assert (
            errors
            == f"\nInterrupted during the noise of small batches of seed 0.\nNothing was written to {out}.\n"
        )
        assert list(out.iterdir()) == []

    def test_finished_seeds_are_kept(self, tmp_path):
        options = ["--dataset", "digits", "--out", "out", "--smoke", "--seeds", "1000000"]
        code, errors = interrupt(start(tmp_path, SCRIPT, *options), "seed 1: the exact")
        assert code == 130
        assert "Traceback" not in errors
        found = re.search(
            r"Finished seeds in the files of out: "
            r"results\.json (\d+), curves\.csv (\d+), mechanics\.png (\d+), of 1000000\.",
            errors,
        )
        assert found, errors
        assert min(map(int, found.groups())) >= 1
        results = json.loads((tmp_path / "out" / "results.json").read_text())
        assert results["seeds"] == list(range(int(found[1])))
        assert results["seeds_asked_for"] == 1_000_000
        png_size(tmp_path / "out" / "mechanics.png")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
