"""examples/mnist.py in this process: what it keeps, and how it goes on after an interruption."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from examples_running import EXAMPLES, files

import tinynet
from tinynet.experiments import mnist_study
from tinynet.experiments.mnist_study import train_network

FILES = ("results.json", "history.csv", "figure1.png")


class TestGoingOn:
    OPTIONS = ("--dataset", "digits", "--steps", "60", "--seeds", "2", "--std", "0.2")
    interrupted = ""  # the network at which Ctrl-C comes

    @pytest.fixture
    def trained(self, monkeypatch, tmp_path) -> list[str]:
        """The networks that were trained, in this test; it runs in a folder of its own."""
        names: list[str] = []

        def train(images, settings, seed, *, batch_norm, label):
            names.append(f"{'batch_norm' if batch_norm else 'baseline'} {seed}")
            if self.interrupted == names[-1]:
                raise KeyboardInterrupt
            return train_network(images, settings, seed, batch_norm=batch_norm, label=label)

        monkeypatch.setattr(mnist_study, "train_network", train)
        monkeypatch.chdir(tmp_path)
        return names

    def main(self, *arguments: str, out: str = "out") -> int:
        threads = tinynet.get_num_threads()
        try:
            main = runpy.run_path(str(EXAMPLES / "mnist.py"))["main"]
            return main([*self.OPTIONS, "--out", out, *arguments])
        finally:
            tinynet.set_num_threads(threads)

    def results(self, out: str) -> dict[str, Any]:
        """Everything in results.json but times."""
        results = json.loads(Path(out, "results.json").read_text())
        assert results.pop("finished")
        assert all(entry.pop("seconds") for entry in results["runs"])
        return results

    def test_same_results_with_and_without_an_interruption(self, trained, capsys):
        self.interrupted = "baseline 1"
        assert self.main() == 130
        errors = capsys.readouterr().err
        assert "Interrupted while baseline of seed 1 was training." in errors
        assert "Kept: 2 finished runs in out/runs; the same command goes on from there." in errors
        assert self.results("out")["seeds"] == [0]
        assert files(Path("out/runs")) == ["baseline-seed0.safetensors", "batch_norm-seed0.safetensors"]

        written = [Path("out", name).stat().st_mtime_ns for name in FILES]
        assert self.main() == 130
        assert [Path("out", name).stat().st_mtime_ns for name in FILES] == written  # there was nothing new
        first = json.loads(Path("out/results.json").read_text())["runs"][0]["seconds"]

        self.interrupted = ""
        trained.clear()
        assert self.main() == 0
        assert trained == ["baseline 1", "batch_norm 1"]
        assert "2 runs made, 2 found in out/runs" in capsys.readouterr().out
        assert json.loads(Path("out/results.json").read_text())["runs"][0]["seconds"] == first

        assert self.main(out="whole") == 0
        assert "found in" not in capsys.readouterr().out
        assert self.results("out") == self.results("whole")
        for name in FILES[1:]:
            assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()

    def test_finished_study_is_only_written_again(self, trained, capsys):
        assert self.main("--seeds", "1") == 0
        before = self.results("out")
        last = capsys.readouterr().out.rpartition("looking for")[2]
        trained.clear()
        Path("out/figure1.png").unlink()
        assert self.main("--seeds", "1", "--threads", "2") == 0
        assert trained == []
        assert self.results("out") | {"threads": 1} == before
        assert Path("out/figure1.png").exists()
        again = capsys.readouterr().out.rpartition("looking for")[2]
        assert [line for line in again.splitlines() if "steps/s" in line] == [
            line for line in last.splitlines() if "steps/s" in line
        ]  # the seconds of the training, not of the reading
        assert self.main("--seed", "1", "--seeds", "1") == 0
        assert trained == ["baseline 1", "batch_norm 1"]  # another seed is another run

    def test_other_settings_need_another_folder(self, trained, capsys):
        assert self.main("--seeds", "1") == 0
        before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
        capsys.readouterr()
        trained.clear()
        assert self.main("--seeds", "1", "--lr", "0.5") == 1
        errors = capsys.readouterr().err
        assert "error: Runs: lr must be 0.1 as in 'out/runs/baseline-seed0.safetensors'; got 0.5" in errors
        assert "choose another folder, or remove this one" in errors
        assert trained == []
        assert {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()} == before

    def test_trial_begins_anew_and_leaves_what_is_kept(self, trained, capsys):
        assert self.main("--seeds", "1") == 0
        kept = files(Path("out/runs"))
        for _ in range(2):
            trained.clear()
            assert self.main("--seeds", "1", "--smoke") == 0
            assert trained == ["baseline 0", "batch_norm 0"]
        assert files(Path("out/runs")) == kept
        self.interrupted = "batch_norm 0"
        assert self.main("--smoke") == 130
        assert "There is nothing new to go on from." in capsys.readouterr().err
