"""examples/cifar10.py and benchmarks/cifar_curves.py as a user runs them: in their own process, offline, with
only the bundled digits."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from examples_running import (
    EXAMPLES,
    Main,
    Smoke,
    environment,
    help_text,
    interrupt,
    loaded,
    png_size,
    refusal,
    run,
    said_of_a_file,
    start,
)
from test_examples_trainer import assert_same

import tinynet as tn
from tinynet.experiments.image_study import Images, Settings, make_trainer
from tinynet.experiments.options import load_parts

ROOT = EXAMPLES.parent
SCRIPT = "cifar10.py"
SMALL = ["--dataset", "digits", "--model", "mnist_mlp", "--limit", "200", "--epochs", "2"]
FILES = [
    "checkpoint.safetensors",
    "confusion.png",
    "curves.png",
    "history.csv",
    "mistakes.png",
    "results.json",
]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """A smoke run with a small convolutional network, which asks for CIFAR-10 and does not get it."""
    folder = tmp_path_factory.mktemp("smoke")
    options = ["--smoke", "--offline", "--model", "lenet", "--batch-size", "50", "--out", "out"]
    return folder / "out", run(folder, SCRIPT, *options)


class TestSmoke:
    def test_succeeds_and_leaves_its_files(self, smoke):
        out, process = smoke
        assert process.returncode == 0, process.stderr
        assert sorted(path.name for path in out.iterdir()) == FILES

    def test_stand_in_is_announced_everywhere(self, smoke):
        out, process = smoke
        assert "WARNING" in process.stderr
        assert "cifar-10" in process.stderr
        assert "data set digits" in process.stdout
        assert "lenet on digits" in process.stdout
        assert "digits lenet epoch 2/2" in process.stderr  # the progress bar
        results = json.loads((out / "results.json").read_text())
        assert results["dataset"] == results["settings"]["dataset"] == "digits"
        assert "cifar-10 was asked for" in results["notice"]
        with open(out / "history.csv", newline="") as file:
            assert {row["dataset"] for row in csv.DictReader(file)} == {"digits"}

    def test_terminal(self, smoke):
        text = smoke[1].stdout
        assert "256 training and 256 test images" in text
        assert (
            text.index("epoch 1/1: loss ")
            < text.index("resumed after 1 of 2")
            < text.index("epoch 2/2: loss ")
        )
        last = text.strip().splitlines()[-8:]
        assert [line.split("  ")[0] for line in last] == [
            "training loss, last epoch",
            "training accuracy, last epoch",
            "test accuracy",
            last[3].split("  ")[0],
            "time for training",
            "time for testing",
            "images per second",
            "waiting for data",
        ]

    def test_each_epoch_says_how_long_it_took(self, smoke):
        out, process = smoke
        results = json.loads((out / "results.json").read_text())
        shown = re.findall(r"test accuracy [\d.]+, ([\d.,]+) s and ([\d.,]+) s for testing, ", process.stdout)
        epochs = results["epochs"]
        expected = [
            (f"{seconds:,.1f}", f"{testing:,.1f}")
            for seconds, testing in zip(epochs["seconds"], epochs["testing"], strict=True)
        ]
        assert shown == expected

    def test_numbers_fit_each_other(self, smoke):
        out, _ = smoke
        results = json.loads((out / "results.json").read_text())
        with open(out / "history.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [int(row["step"]) for row in rows] == list(range(1, 13))  # 2 epochs of 6 batches
        assert [int(row["epoch"]) for row in rows] == [1] * 6 + [2] * 6
        ends = [row for row in rows if row["test_accuracy"]]
        assert [int(row["step"]) for row in ends] == [6, 12]
        epochs = results["epochs"]
        assert [float(row["test_accuracy"]) for row in ends] == epochs["test_accuracy"]
        assert [float(row["accuracy"]) for row in ends] == epochs["accuracy"]
        assert float(rows[0]["lr"]) == results["settings"]["lr"] == 0.01
        matrix = np.array(results["confusion"])
        assert matrix.shape == (10, 10)
        assert matrix.sum() == 256
        accuracy = np.trace(matrix) / 256
        assert results["test_accuracy"] == epochs["test_accuracy"][-1] == pytest.approx(accuracy)
        assert len(results["mistakes"]) == min(24, 256 - np.trace(matrix))
        shares = [mistake["probability"] for mistake in results["mistakes"]]
        assert shares == sorted(shares, reverse=True)
        assert all(mistake["class"] != mistake["guess"] for mistake in results["mistakes"])

    @pytest.mark.parametrize("name", ["curves", "confusion", "mistakes"])
    def test_pictures_are_whole(self, smoke, name):
        assert png_size(smoke[0] / f"{name}.png")[0] >= 1100


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
class TestInterrupt:
    def test_before_the_first_epoch_ends(self, tmp_path):
        options = [*SMALL, "--limit", "1400", "--batch-size", "2", "--out", "out"]
        code, errors = interrupt(start(tmp_path, SCRIPT, *options), "results into")
        assert code == 130
        assert "Traceback" not in errors
        assert "Interrupted during the training." in errors
        assert "There is nothing to go on from." in errors
        assert list((tmp_path / "out").iterdir()) == []

    def test_goes_on_with_the_same_bits(self, tmp_path):
        options = [*SMALL, "--epochs", "30", "--batch-size", "2"]
        process = start(tmp_path, SCRIPT, *options, "--out", "part")
        code, errors = interrupt(process, "epoch 2/30: loss")
        assert code == 130
        assert "Traceback" not in errors
        assert "Interrupted during the training." in errors
        assert "Kept: part/checkpoint.safetensors, after " in errors
        assert "the same command with --resume goes on from there." in errors
        file = tmp_path / "part" / "checkpoint.safetensors"
        assert list((tmp_path / "part").iterdir()) == [file]
        assert 2 <= len(tn.load(file)["epochs"]["loss"]) < 30

        process = run(tmp_path, SCRIPT, *options, "--out", "part", "--resume", "--workers", "1")
        assert process.returncode == 0, process.stderr
        assert sorted(path.name for path in (tmp_path / "part").iterdir()) == FILES

        training, test, _ = load_parts("digits", None, True)
        settings = Settings.recipe("digits", "mnist_mlp", limit=200, epochs=30, batch_size=2)
        whole = make_trainer(Images.of(training, test, settings), settings)
        whole.train(30)
        assert_same(tn.load(file), whole.state_dict())


class TestOptions:
    """In this process: nothing of what these start gets as far as training."""

    @pytest.fixture
    def main(self, tmp_path, monkeypatch) -> Iterator[Main]:
        with loaded(SCRIPT, tmp_path, monkeypatch) as found:
            yield found["main"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--epochs", "0"], "argument --epochs: must be an integer >= 1; got '0'"),
            (["--batch-size", "1"], "argument --batch-size: must be an integer >= 2; got '1'"),
            (["--lr", "0"], "argument --lr: must be a finite number > 0; got '0'"),
            (["--momentum", "-1"], "argument --momentum: must be a finite number >= 0; got '-1'"),
            (["--model", "alexnet"], "argument --model: invalid choice: 'alexnet'"),
            (["--schedule", "never"], "argument --schedule: invalid choice: 'never'"),
            (["--smoke", "--resume"], "argument --resume: --smoke resumes by itself"),
            (["--epoch", "2"], "unrecognized arguments: --epoch 2"),
        ],
    )
    def test_bad_option_is_named(self, main, capsys, arguments, message):
        assert message in refusal(main, arguments, capsys)

    def test_help_explains(self, main, capsys):
        text = help_text(main, capsys)
        for option in (
            "--model",
            "--dataset",
            "--schedule",
            "--nesterov",
            "--no-augment",
            "--resume",
            "--limit",
            "--smoke",
        ):
            assert option in text
        assert "the same bits as if the run had never stopped" in text.replace("\n", " ")

    def test_output_folder_that_is_a_file(self, main, capsys):
        assert said_of_a_file(main, [*SMALL, "--out", "file"], "file", capsys).startswith("error: ")

    def test_resumes_only_what_is_there_and_only_with_the_same_settings(self, main, tmp_path, capsys):
        assert main([*SMALL, "--out", "out", "--resume"]) == 1
        message = "error: load: 'out/checkpoint.safetensors' must be a readable file"
        assert capsys.readouterr().err.startswith(message)

        training, test, _ = load_parts("digits", None, True)
        settings = Settings.recipe("digits", "mnist_mlp", limit=200, epochs=2)
        assert not settings.nesterov
        trainer = make_trainer(Images.of(training, test, settings), settings)
        trainer.save(tmp_path / "out" / "checkpoint.safetensors")
        nesterov = ("--nesterov", "nesterov must be False")
        for option, setting in (
            ("--augment", "augment must be False"),
            ("--lr=0.2", "lr must be 0.1"),
            nesterov,
        ):
            assert main([*SMALL, "--out", "out", "--resume", option]) == 1
            assert f"error: resume: {setting} as in 'out/checkpoint" in capsys.readouterr().err

        assert main([*SMALL, "--out", "out"]) == 1
        assert "is there from an earlier run: go on from it with --resume" in capsys.readouterr().err


class TestCurves:
    """benchmarks/cifar_curves.py, without PyTorch."""

    def curves(self, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        variables = environment(tmp_path)
        variables["PYTHONPATH"] = os.pathsep.join([variables["PYTHONPATH"], str(ROOT)])
        return subprocess.run(
            [sys.executable, "-m", "benchmarks.cifar_curves", *arguments],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def test_trains(self, tmp_path):
        options = ["--dataset", "digits", "--limit", "20", "--epochs", "2", "--seed", "3", "--out", "."]
        process = self.curves(tmp_path, "train", "resnet20", *options)
        assert process.returncode == 0, process.stderr
        assert "tinynet-resnet20-3.npz: 2 steps" in process.stdout
        with np.load(tmp_path / "tinynet-resnet20-3.npz") as arrays:
            assert arrays["loss"].shape == arrays["accuracy"].shape == (2,)

    def test_compares(self, tmp_path):
        steps = np.arange(120)
        for name, level in (("torch-a", 1.0), ("torch-b", 1.2), ("torch-c", 1.1), ("tinynet-a", 1.3)):
            loss = np.where(steps < 50, 1.1, level)
            np.savez(tmp_path / f"{name}.npz", loss=loss, accuracy=[0.5, level / 2])
        names = [f"{name}.npz" for name in ("torch-a", "torch-b", "torch-c", "tinynet-a")]
        process = self.curves(tmp_path, "compare", *names, "--figure", "f.png")
        assert process.returncode == 0, process.stderr
        lines = [line.split() for line in process.stdout.splitlines()]
        assert ["50", "1.1000", "1.1000", "0.0000", "1.1000", "inside"] in lines
        # 1.3 against 1.0 to 1.2 with a standard deviation of 0.1
        assert ["120", "1.0000", "1.2000", "0.1000", "1.3000", "1.0", "sd", "above"] in lines
        assert ["2", "0.5000", "0.6000", "0.0500", "0.6500", "1.0", "sd", "above"] in lines
        assert "inside: 33% (expected of one distribution: 50%); farthest outside: 1.0 sd" in process.stdout
        assert png_size(tmp_path / "f.png")[0] >= 1600

    def test_compares_groups(self, tmp_path):
        levels = {"torch-a": 1.0, "torch-b": 1.3, "tinynet-a": 2.0, "tinynet-b": 2.1}
        for name, level in levels.items():
            np.savez(tmp_path / f"{name}.npz", loss=np.full(60, level), accuracy=[0.5])
        process = self.curves(tmp_path, "compare", *[f"{name}.npz" for name in levels])
        assert process.returncode == 0, process.stderr
        # t = 0.9 / sqrt((0.045 + 0.005) / 2 * (1/2 + 1/2)); the halves can change places, all else is closer
        assert "t over the points is 5.69" in process.stdout
        assert "as large in 2 of 6 ways: p = 0.33" in process.stdout

    def test_refuses(self, tmp_path):
        np.savez(tmp_path / "other.npz", loss=[1.0], accuracy=[0.5])
        process = self.curves(tmp_path, "compare", "other.npz")
        assert process.returncode == 1
        assert "the name must begin with torch- or tinynet-" in process.stderr
        (tmp_path / "other.npz").rename(tmp_path / "torch-0.npz")
        process = self.curves(tmp_path, "compare", "torch-0.npz")
        assert "two files of PyTorch or more, and one of tinynet" in process.stderr
