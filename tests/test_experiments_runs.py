"""The runs of a study: made once, read ever after, never taken for runs of other settings."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import tinynet as tn
from tinynet.errors import ArgumentError, DataError, DTypeError
from tinynet.experiments import Runs

SETTINGS = {"lr": 0.1, "seed": 3, "bn": True, "limit": None}
RESULT = {"accuracy": [0.5, float("nan")], "scores": np.arange(6.0, dtype=np.float32).reshape(2, 3)}


def never(checkpoint):
    pytest.fail("a finished run was made again")


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path / "deep" / "runs")


class TestRuns:
    def test_made_once(self, runs):
        first = runs.get("a", SETTINGS, lambda checkpoint: RESULT)
        second = runs.get("a", SETTINGS, never)
        for tree in (first, second):
            np.testing.assert_array_equal(tree["accuracy"], RESULT["accuracy"])
            np.testing.assert_array_equal(tree["scores"], RESULT["scores"])
        assert (runs.made, runs.kept) == (["a"], [])
        again = Runs(runs.folder)
        for _ in range(2):
            again.get("a", SETTINGS, never)
        assert (again.made, again.kept) == ([], ["a"])
        assert [path.name for path in runs.folder.iterdir()] == ["a.safetensors"]

    def test_goes_on_from_the_checkpoint(self, runs):
        """A run that fails leaves its checkpoint, which the next call finds and, at its end, removes."""

        def fails(checkpoint):
            assert not checkpoint.exists()
            tn.save({"step": 7}, checkpoint)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            runs.get("a", SETTINGS, fails)
        assert [path.name for path in runs.folder.glob("*.safetensors")] == ["a.part.safetensors"]
        assert (runs.made, runs.kept) == ([], [])
        assert runs.begun()
        assert runs.get("a", SETTINGS, tn.load) == {"step": 7}
        assert [path.name for path in runs.folder.iterdir()] == ["a.safetensors"]
        assert not runs.begun()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"lr": 0.2}, r"lr must be 0\.1 as in '.*a\.safetensors'; got 0\.2: choose another folder"),
            ({"bn": False}, "bn must be True as in"),
            ({"limit": 5}, "limit must be None as in .*; got 5"),
            ({"extra": 1}, "extra must be None as in .*; got 1"),
        ],
    )
    def test_other_settings(self, runs, changes, message):
        runs.get("a", SETTINGS, lambda checkpoint: RESULT)
        before = (runs.folder / "a.safetensors").read_bytes()
        with pytest.raises(ArgumentError, match=f"^Runs: {message}"):
            runs.get("a", SETTINGS | changes, never)
        assert (runs.folder / "a.safetensors").read_bytes() == before

    def test_a_setting_less(self, runs):
        runs.get("a", SETTINGS, lambda checkpoint: RESULT)
        with pytest.raises(ArgumentError, match=r"^Runs: seed must be 3 as in .*; got None"):
            runs.get("a", {name: value for name, value in SETTINGS.items() if name != "seed"}, never)

    def test_another_version(self, runs, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr("tinynet.experiments.runs.__version__", "0.0.1")
            runs.get("a", SETTINGS, lambda checkpoint: RESULT)
        with pytest.raises(ArgumentError, match=r"^Runs: tinynet must be '0\.0\.1' as in"):
            runs.get("a", SETTINGS, never)

    def test_damaged_and_foreign_files(self, runs):
        path = runs.folder / "a.safetensors"
        runs.get("a", SETTINGS, lambda checkpoint: RESULT)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(DataError, match=r"remove the file, and the run is made again$"):
            runs.get("a", SETTINGS, never)
        tn.save({"result": 1}, path)
        with pytest.raises(DataError, match=r"must be a run of a study; got another tree$"):
            runs.get("a", SETTINGS, never)

    @pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a b", "a.part"])
    def test_names(self, runs, name):
        with pytest.raises(ArgumentError, match=r"^Runs: name must be made of letters, digits"):
            runs.get(name, SETTINGS, never)
        assert not runs.folder.exists()

    def test_name_is_text(self, runs):
        with pytest.raises(DTypeError, match=r"^Runs: name must be a str; got int$"):
            runs.path(3)

    def test_what_cannot_be_kept(self, runs):
        with pytest.raises(DTypeError, match=r"^save: "):
            runs.get("a", SETTINGS, lambda checkpoint: {"x": object()})
        assert list(runs.folder.glob("*.safetensors")) == []


OTHER_PROCESS = """
import sys, time
from tinynet.experiments import Runs

def work(checkpoint):
    print("working", flush=True)
    sys.stdin.readline()
    return {"by": "the other"}

Runs(sys.argv[1]).get("a", {}, work)
"""


class TestSeveralProcesses:
    @pytest.fixture
    def other(self, runs):
        """Another process, in the middle of the run "a"; a line to its stdin lets it finish."""
        command = [sys.executable, "-c", OTHER_PROCESS, str(runs.folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "working\n"
            yield process
            process.kill()

    def test_share_turns_to_the_next_run(self, runs, other):
        made = []

        def maker(name):
            return lambda: runs.get(name, {}, lambda checkpoint: made.append(name) or {"by": "us"})

        runs.share([maker("a"), maker("b")])
        assert made == runs.made == ["b"]
        assert runs.kept == []
        other.communicate("go on\n", timeout=60)
        runs.share([maker("a"), maker("b")])
        assert (runs.made, runs.kept) == (["b"], ["a"])
        assert sorted(path.name for path in runs.folder.iterdir()) == ["a.safetensors", "b.safetensors"]

    def test_get_waits_for_the_result(self, runs, other, monkeypatch):
        said = []

        def let_it_finish(line, flush):
            said.append(line)
            other.stdin.write("go on\n")
            other.stdin.flush()

        monkeypatch.setattr("tinynet.experiments.runs.print", let_it_finish, raising=False)
        assert runs.get("a", {}, never) == {"by": "the other"}
        assert said == ["waiting for a, which another process makes"]
        assert (runs.made, runs.kept) == ([], ["a"])

    def test_the_run_of_a_process_that_died_is_made(self, runs, other):
        other.kill()
        other.wait(timeout=60)
        assert runs.get("a", {}, lambda checkpoint: {"by": "us"}) == {"by": "us"}
        assert [path.name for path in runs.folder.iterdir()] == ["a.safetensors"]

    def test_an_error_in_share_is_no_reason_to_go_on(self, runs):
        def fails():
            raise ArgumentError("on purpose")

        with pytest.raises(ArgumentError, match=r"^on purpose$"):
            runs.share([fails])
        assert runs.get("a", {}, lambda checkpoint: {"n": 1}) == {"n": 1}
