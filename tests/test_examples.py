"""The example scripts as a user runs them: in their own process, offline, with only the bundled digits."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import runpy
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from data_files import put
from examples_running import EXAMPLES, Smoke, files, png_size, run, start

NETWORKS = ("baseline", "batch_norm")


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """One smoke run with two seeds, which asks for MNIST and does not get it."""
    folder = tmp_path_factory.mktemp("smoke")
    return folder / "out", run(
        folder,
        "mnist.py",
        *["--smoke", "--offline", "--seeds", "2", "--seed", "7", "--out", "out"],
    )


class TestMnistSmoke:
    def test_succeeds_and_leaves_three_files(self, smoke):
        out, process = smoke
        assert process.returncode == 0, process.stderr
        assert sorted(path.name for path in out.iterdir()) == ["figure1.png", "history.csv", "results.json"]

    def test_stand_in_is_announced_everywhere(self, smoke):
        out, process = smoke
        assert "WARNING" in process.stderr
        assert "mnist" in process.stderr
        assert "data set digits" in process.stdout
        assert "digits seed 7 baseline" in process.stderr  # the progress bars
        assert "steps/s" in process.stderr
        results = json.loads((out / "results.json").read_text())
        assert results["dataset"] == "digits"
        assert "mnist was asked for" in results["notice"]
        with open(out / "history.csv", newline="") as file:
            assert {row["dataset"] for row in csv.DictReader(file)} == {"digits"}

    def test_terminal_ends_with_the_claims(self, smoke):
        _, process = smoke
        text = process.stdout
        assert "Claims on digits, 300 steps, seed 7 (no bound)" in text
        assert text.index("Claims on digits") < text.index("All seeds on digits")
        assert "BN reaches 90 % in at most 1/3 of the baseline's steps" in text
        last = text.strip().splitlines()[-2:]
        assert [line.split()[0] for line in last] == ["7", "8"]
        assert all(line.endswith("no bound") for line in last)

    def test_results_schema(self, smoke):
        results = json.loads((smoke[0] / "results.json").read_text())
        assert results["experiment"] == "mnist"
        assert results["seed"] == 7
        assert results["seeds"] == [7, 8]
        assert results["seeds_asked_for"] == 2
        settings = results["settings"]
        expected = {"steps": 300, "batch_size": 60, "lr": 0.1, "std": 0.1, "every": 50, "unit": 0}
        assert {key: settings[key] for key in expected} == expected
        assert results["threads"] == 1  # the default
        assert [entry["seed"] for entry in results["runs"]] == [7, 8]
        assert results["runs"][0]["claims"] == results["claims"]
        assert results["runs"][0]["curves"] == results["curves"]
        assert len(results["claims"]) == 6
        for claim in results["claims"]:
            assert list(claim) == ["name", "value", "bound", "holds"]
            assert claim["bound"] is None  # 300 steps: no claim has a bound
            assert claim["holds"] is None
        for entry in results["runs"]:
            assert tuple(entry["curves"]) == NETWORKS
            assert all(entry["seconds"][network] > 0 for network in NETWORKS)
            for curves in entry["curves"].values():
                assert curves["step"] == [1, 50, 100, 150, 200, 250, 300]
                assert all(0 <= accuracy <= 1 for accuracy in curves["accuracy"])
                for group in ("unit_0", "median_over_units"):
                    low, middle, high = (curves[group][name] for name in ("p15", "p50", "p85"))
                    assert len(low) == len(middle) == len(high) == 7
                    assert all(a <= b <= c for a, b, c in zip(low, middle, high, strict=True))

    def test_batch_normalisation_learns_faster(self, smoke):
        results = json.loads((smoke[0] / "results.json").read_text())
        for entry in results["runs"]:
            final = {network: entry["curves"][network]["accuracy"][-1] for network in NETWORKS}
            assert final["batch_norm"] > final["baseline"] + 0.3

    def test_history_has_the_curves(self, smoke):
        results = json.loads((smoke[0] / "results.json").read_text())
        with open(smoke[0] / "history.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 2 * 2 * 7
        for entry in results["runs"]:
            for network in NETWORKS:
                mine = [
                    row for row in rows if row["seed"] == str(entry["seed"]) and row["network"] == network
                ]
                curves = entry["curves"][network]
                assert [int(row["step"]) for row in mine] == curves["step"]
                assert [float(row["accuracy"]) for row in mine] == curves["accuracy"]
                assert [float(row["unit0_p85"]) for row in mine] == curves["unit_0"]["p85"]
                assert [float(row["median_over_units_p15"]) for row in mine] == curves["median_over_units"][
                    "p15"
                ]

    def test_picture_is_whole_and_wide(self, smoke):
        width, height = png_size(smoke[0] / "figure1.png")
        assert width >= 1600
        assert 2 < width / height < 4

    def test_same_seed_gives_the_same_bits_at_any_thread_count(self, smoke, tmp_path):
        arguments = ["--smoke", "--dataset", "digits", "--seed", "7", "--out", "again"]
        process = run(tmp_path, "mnist.py", *arguments, "--threads", "3")
        assert process.returncode == 0, process.stderr
        assert "WARNING" not in process.stderr
        first = (smoke[0] / "history.csv").read_text().splitlines()
        again = (tmp_path / "again" / "history.csv").read_text().splitlines()
        assert again == first[: len(again)]  # seed 7 comes first
        assert (
            process.stdout.rstrip().splitlines()[-1].startswith("drift of the median")
        )  # the claims come last


class TestMnistOptions:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--steps", "0"], "argument --steps: must be an integer >= 1; got '0'"),
            (["--steps", "many"], "argument --steps: must be an integer >= 1; got 'many'"),
            (["--seeds", "0"], "argument --seeds: must be an integer >= 1; got '0'"),
            (["--seed", "-1"], "argument --seed: must be an integer >= 0; got '-1'"),
            (["--batch-size", "1"], "argument --batch-size: must be an integer >= 2; got '1'"),
            (["--threads", "0"], "argument --threads: must be an integer >= 1; got '0'"),
            (["--lr", "0"], "argument --lr: must be a finite number > 0; got '0'"),
            (["--lr", "nan"], "argument --lr: must be a finite number > 0; got 'nan'"),
            (["--std", "-0.1"], "argument --std: must be a finite number >= 0; got '-0.1'"),
            (["--dataset", "cifar"], "argument --dataset: invalid choice: 'cifar'"),
            (["--step", "10"], "unrecognized arguments: --step 10"),
        ],
    )
    def test_bad_option_is_named(self, tmp_path, arguments, message):
        process = run(tmp_path, "mnist.py", *arguments)
        assert process.returncode == 2
        assert message in process.stderr
        assert list(tmp_path.iterdir()) == []

    def test_help_explains(self, tmp_path):
        process = run(tmp_path, "mnist.py", "--help")
        assert process.returncode == 0
        for option in (
            "--steps",
            "--seed",
            "--seeds",
            "--dataset",
            "--data",
            "--offline",
            "--batch-size",
            "--lr",
            "--std",
            "--threads",
            "--out",
            "--smoke",
        ):
            assert option in process.stdout
        assert "section 4.1" in process.stdout.replace("\n", " ")

    def test_output_folder_that_is_a_file(self, tmp_path):
        (tmp_path / "file").write_text("mine")
        process = run(tmp_path, "mnist.py", "--smoke", "--dataset", "digits", "--out", "file")
        assert process.returncode == 1
        assert process.stderr.startswith("error: ")
        assert "Traceback" not in process.stderr
        assert (tmp_path / "file").read_text() == "mine"

    def test_batch_larger_than_the_data_set(self, tmp_path):
        process = run(tmp_path, "mnist.py", "--smoke", "--dataset", "digits", "--batch-size", "2000")
        assert process.returncode == 1
        assert "got 1437 samples for batch_size=2000" in process.stderr
        assert "Traceback" not in process.stderr

    def test_damaged_file_is_refused_without_stand_in(self, tmp_path):
        folder = tmp_path / "data" / "mnist"
        folder.mkdir(parents=True)
        for part in ("train", "t10k"):
            (folder / f"{part}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03\0\0\0\x05")
            (folder / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\0")
        process = run(tmp_path, "mnist.py", "--smoke", "--offline", "--data", "data")
        assert process.returncode == 1
        assert "truncated" in process.stderr
        assert "WARNING" not in process.stderr

    def test_divergence_is_reported_not_hidden(self, tmp_path):
        process = run(
            tmp_path,
            "mnist.py",
            *["--dataset", "digits", "--steps", "120", "--lr", "1e30", "--threads", "1", "--out", "out"],
        )
        assert process.returncode == 0, process.stderr
        results = json.loads((tmp_path / "out" / "results.json").read_text(), parse_constant=pytest.fail)
        assert all(math.isfinite(accuracy) for accuracy in results["curves"]["baseline"]["accuracy"])
        assert (
            results["curves"]["baseline"]["unit_0"]["p50"][-1] is None
            or abs(results["curves"]["baseline"]["unit_0"]["p50"][-1]) > 1e6
        )
        png_size(tmp_path / "out" / "figure1.png")


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
class TestInterrupt:
    def start(self, tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
        return start(tmp_path, "mnist.py", "--dataset", "digits", "--out", "out", *arguments)

    def interrupt(self, process: subprocess.Popen[str], sign: str) -> tuple[int, str]:
        """Wait until a progress bar shows `sign`, send SIGINT; return exit code and rest of stderr."""
        try:
            assert process.stderr is not None
            seen = ""
            while sign not in seen:
                character = process.stderr.read(1)
                assert character, f"ended without {sign!r}: {seen}"
                seen += character
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
        return process.returncode, errors

    def test_nothing_is_half_written(self, tmp_path):
        code, errors = self.interrupt(self.start(tmp_path, "--steps", "100000000"), "seed 0 baseline")
        assert code == 130
        assert "Interrupted while baseline of seed 0 was training." in errors
        assert "There is nothing new to go on from." in errors
        assert "Traceback" not in errors
        assert files(tmp_path) == []

    def test_earlier_results_stay(self, tmp_path):
        (tmp_path / "out").mkdir()
        earlier = tmp_path / "out" / "results.json"
        earlier.write_text('{"mine": true}')
        code, _ = self.interrupt(self.start(tmp_path, "--steps", "100000000"), "seed 0 baseline")
        assert code == 130
        assert earlier.read_text() == '{"mine": true}'
        assert files(tmp_path) == ["out/results.json"]

    def test_finished_networks_are_kept(self, tmp_path):
        process = self.start(tmp_path, "--steps", "20", "--seeds", "1000000")
        code, errors = self.interrupt(process, "seed 2 baseline")
        assert code == 130
        assert "Traceback" not in errors
        message = r"Kept: (\d+) finished runs in out/runs; the same command goes on from there\."
        found = re.search(message, errors)
        assert found, errors
        kept = list((tmp_path / "out" / "runs").iterdir())
        assert len(kept) == int(found[1]) >= 4
        results = json.loads((tmp_path / "out" / "results.json").read_text())
        assert len(results["seeds"]) in (len(kept) // 2 - 1, len(kept) // 2)  # the last one being written
        assert results["seeds"] == list(range(len(results["seeds"])))
        assert results["seeds_asked_for"] == 1_000_000
        with open(tmp_path / "out" / "history.csv", newline="") as file:
            assert {int(row["seed"]) for row in csv.DictReader(file)} >= set(results["seeds"][:-1])
        png_size(tmp_path / "out" / "figure1.png")


class TestFromScratch:
    def test_gradients_agree(self, tmp_path):
        process = run(tmp_path, "bn_from_scratch.py", "--smoke")
        assert process.returncode == 0, process.stderr
        *_, accuracy, difference = process.stdout.splitlines()
        name, value = accuracy.split(": ")
        assert name == "test accuracy on digits"
        assert float(value) > 0.8
        name, value = difference.split(": ")
        assert name == "largest relative difference of loss and gradients from tinynet's"
        assert float(value) <= 1e-6

    def test_a_wrong_gradient_gives_exit_code_1(self, tmp_path):
        program = tmp_path / "wrong.py"
        text = (EXAMPLES / "bn_from_scratch.py").read_text()
        right = "        ggamma = (g * ah).sum(axis=0)\n"
        assert text.count(right) == 1
        program.write_text(text.replace(right, "        ggamma = (g * ah).sum(axis=0) * (1 + 1e-5)\n"))
        process = run(tmp_path, str(program), "--smoke")
        assert process.returncode == 1
        assert process.stdout.endswith("e-05\n")

    def test_help_and_bad_option(self, tmp_path):
        assert "plain NumPy" in run(tmp_path, "bn_from_scratch.py", "--help").stdout
        process = run(tmp_path, "bn_from_scratch.py", "--steps", "0")
        assert process.returncode == 2
        assert "unrecognized arguments: --steps 0" in process.stderr

    def test_damaged_file_is_named(self, tmp_path):
        for part in ("train", "t10k"):
            put(tmp_path / "cache" / "tinynet", images=b"damaged", part=part)
        process = run(tmp_path, "bn_from_scratch.py", "--offline")
        assert process.returncode == 1
        assert process.stderr.startswith("error: ")
        assert "train-images-idx3-ubyte: the header must have 16 bytes; got 7" in process.stderr

    def test_hand_written_gradients_against_differences(self):
        """The teaching text's own gradients, in one direction, against central differences."""
        module = runpy.run_path(str(EXAMPLES / "bn_from_scratch.py"))
        rng = np.random.default_rng(3)
        parameters = module["initial_parameters"](rng)
        x = (rng.random((12, 784)) < 0.2).astype(np.float64)
        labels = rng.integers(10, size=12)
        direction = [rng.standard_normal(parameter.shape) for parameter in parameters]
        step = 1e-5

        def loss(sign: int) -> float:
            moved = [p + sign * step * d for p, d in zip(parameters, direction, strict=True)]
            return module["loss_and_gradients"](moved, x, labels)[0]

        measured = (loss(1) - loss(-1)) / (2 * step)
        _, gradients = module["loss_and_gradients"](parameters, x, labels)
        computed = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True))
        assert computed == pytest.approx(measured, rel=1e-6)
