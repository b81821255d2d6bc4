"""What the programs of the studies share: command line, exit codes, stand-in of a data set, files."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Queue
from typing import ClassVar

import pytest

import tinynet as tn
from tinynet.errors import ArgumentError, DataError
from tinynet.experiments import Runs, figure_png, program, write_json

DOCSTRING = """Do one thing.

Why, in a paragraph
of two lines.
"""


@pytest.fixture
def parser(monkeypatch) -> argparse.ArgumentParser:
    monkeypatch.setenv("COLUMNS", "100")
    return program.make_parser(DOCSTRING)


@pytest.fixture
def add(parser) -> Callable[..., None]:
    """Adds the common options, with data sets to choose from."""
    return partial(program.add_common, parser, out="runs/x", smoke="a trial", datasets=("mnist", "digits"))


def options(dataset: str = "digits", threads: int | None = None) -> argparse.Namespace:
    return argparse.Namespace(dataset=dataset, data=None, offline=True, threads=threads)


class TestCommandLine:
    def test_help_is_the_docstring_around_the_options(self, parser, add):
        add(seed="of the weights")
        text = parser.format_help()
        places = [text.index(part) for part in ("Do one thing.", "\noptions:\n", "paragraph\nof two")]
        assert places == sorted(places)
        flat = " ".join(text.split())
        assert "--seed SEED seed of the weights (default 0)" in flat
        assert "--threads N threads to use (default all cores; same bits)" in flat
        assert "--out DIR results (default runs/x)" in flat
        assert "--smoke a trial" in flat

    def test_docstring_of_one_line(self):
        assert "Do one thing." in program.make_parser("Do one thing.").format_help()

    def test_defaults(self, parser, add):
        add(threads=1)
        assert vars(parser.parse_args([])) == {
            "dataset": "mnist",
            "data": None,
            "offline": False,
            "seed": 0,
            "threads": 1,
            "out": Path("runs/x"),
            "smoke": False,
        }

    def test_values(self, parser, add):
        add()
        line = "--dataset=digits --data=d --offline --seed=3 --threads=2 --out=o --smoke"
        values = vars(parser.parse_args(line.split())).values()
        assert list(values) == ["digits", Path("d"), True, 3, 2, Path("o"), True]

    def test_neither_seeds_nor_jobs(self, parser, add):
        add()
        assert not {"seeds", "jobs", "worker"} & vars(parser.parse_args([])).keys()

    def test_seeds(self, parser, add):
        add(seeds=2)
        assert parser.parse_args([]).seeds == 2
        assert parser.parse_args(["--seeds", "5"]).seeds == 5
        assert "report them all (default 2)" in " ".join(parser.format_help().split())

    def test_jobs(self, parser, add):
        add(jobs=True)
        assert (parser.parse_args([]).jobs, parser.parse_args([]).worker) == (None, None)
        assert parser.parse_args(["--jobs", "3"]).jobs == 3
        text = " ".join(parser.format_help().split())
        assert (
            "processes that share the runs, and the threads among them (default: one for each thread" in text
        )
        assert "job2.log" in text
        assert "--worker" not in text

    def test_study_without_data(self, parser):
        program.add_common(parser, out="runs/x", smoke="a trial", threads=1, threads_reason="it is small")
        assert sorted(vars(parser.parse_args([]))) == ["out", "seed", "smoke", "threads"]
        assert "(default 1: it is small; same bits)" in " ".join(parser.format_help().split())

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (["--seed", "-1"], "argument --seed: must be an integer >= 0; got '-1'"),
            (["--threads", "0"], "argument --threads: must be an integer >= 1; got '0'"),
            (["--dataset", "cifar"], "argument --dataset: invalid choice: 'cifar'"),
            (["--seeds", "0"], "argument --seeds: must be an integer >= 1; got '0'"),
            (["--jobs", "0"], "argument --jobs: must be an integer >= 1; got '0'"),
            (["--job", "2"], "unrecognized arguments: --job 2"),
            (["--smok"], "unrecognized arguments: --smok"),
        ],
    )
    def test_bad_option_ends_with_code_2(self, parser, add, capsys, line, message):
        add(seeds=1, jobs=True)
        with pytest.raises(SystemExit) as caught:
            parser.parse_args(line)
        assert caught.value.code == 2
        assert message in capsys.readouterr().err


class TestExecute:
    def test_success(self, capsys):
        done = []
        assert program.execute(lambda: done.append(1), program.Progress()) == 0
        assert done == [1]
        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize("error", [DataError("f: bad"), ImportError("f: bad"), FileExistsError("f: bad")])
    def test_error_that_a_user_can_mend(self, capsys, error):
        def work():
            raise error

        assert program.execute(work, program.Progress()) == 1
        assert capsys.readouterr() == ("", "error: f: bad\n")

    def test_mistake_in_the_program_is_not_hidden(self):
        with pytest.raises(ZeroDivisionError):
            program.execute(lambda: 1 / 0, program.Progress())

    def test_interruption(self, capsys):
        class Mine(program.Progress):
            def kept(self) -> str:
                return "Kept: all of it."

        progress = Mine()

        def work():
            progress.where = "while b was training"
            raise KeyboardInterrupt

        assert program.execute(work, progress) == 130
        assert capsys.readouterr().err == "\nInterrupted while b was training.\nKept: all of it.\n"

    def test_interruption_at_once(self, capsys):
        def work():
            raise KeyboardInterrupt

        assert program.execute(work, program.Progress()) == 130
        assert capsys.readouterr().err == (
            "\nInterrupted before the training began.\nThere is nothing new to go on from.\n"
        )

    def test_interruption_of_a_study_of_runs(self, capsys, tmp_path):
        progress = program.Progress()

        def work():
            progress.runs = Runs(tmp_path / "runs")
            for name in ("a", "b", "c"):
                progress.where = f"while {name} was training"
                progress.runs.get(name, {}, make)

        def make(checkpoint):
            if progress.where == "while c was training":
                raise KeyboardInterrupt
            return {"accuracy": 0.5}

        for _ in range(2):  # those that were found count, too
            assert program.execute(work, progress) == 130
            assert capsys.readouterr().err == (
                "\nInterrupted while c was training.\n"
                f"Kept: 2 finished runs in {tmp_path / 'runs'}; the same command goes on from there.\n"
            )


def make(checkpoint: Path) -> dict[str, float]:
    return {"accuracy": 0.5}


class TestKeptRuns:
    def test_found_ones_are_spoken_of(self, tmp_path, capsys):
        line = argparse.Namespace(out=tmp_path / "out", smoke=False)
        for names, said in (("ab", ""), ("abc", f"1 runs made, 2 found in {tmp_path / 'out' / 'runs'}\n")):
            progress = program.Progress()
            with program.kept_runs(line, progress) as runs:
                assert progress.runs is runs
                for name in names:
                    runs.get(name, {}, make)
            assert capsys.readouterr().out == said
        assert runs.folder == tmp_path / "out" / "runs"
        assert runs.finished() == 3

    def test_a_trial_keeps_nothing(self, tmp_path, capsys):
        progress = program.Progress()
        for _ in range(2):
            with program.kept_runs(argparse.Namespace(out=tmp_path / "out", smoke=True), progress) as runs:
                runs.get("a", {}, make)
                assert runs.made == ["a"]
            assert not runs.folder.exists()
        assert progress.kept() == "There is nothing new to go on from."
        assert capsys.readouterr().out == ""
        assert list(tmp_path.iterdir()) == []

    def test_a_trial_that_fails_keeps_nothing(self, tmp_path):
        line = argparse.Namespace(out=tmp_path / "out", smoke=True)
        folders = []

        def trial():
            with program.kept_runs(line, program.Progress()) as runs:
                folders.append(runs.folder)
                runs.get("a", {}, make)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            trial()
        assert not folders[0].exists()

    def test_a_folder_that_is_removed_meanwhile_is_named(self, tmp_path):
        runs = Runs(tmp_path / "runs")
        with pytest.raises(DataError, match=r"^save: the folder of '.*a\.safetensors' must exist"):
            runs.get("a", {}, lambda checkpoint: shutil.rmtree(runs.folder) or {"accuracy": 0.5})

    def test_runs_of_other_processes_count(self, tmp_path):
        line, progress = argparse.Namespace(out=tmp_path, smoke=False), program.Progress()
        with program.kept_runs(line, progress) as runs:
            assert progress.kept() == "There is nothing new to go on from."
            Runs(runs.folder).get("a", {}, make)
            (runs.folder / "b.part.safetensors").touch()
            assert (runs.finished(), runs.made, runs.kept) == (1, [], [])
            assert progress.kept() == (
                f"Kept: 1 finished runs and the checkpoint of an unfinished one in {tmp_path / 'runs'}; "
                "the same command goes on from there."
            )


class TestShareWork:
    """What is started; that processes share and end is in test_examples_jobs.py."""

    class Process:
        """Stands for another process: `code` is what it has ended with, None if it runs."""

        started: ClassVar[list[TestShareWork.Process]] = []

        def __init__(self, command, stdin, stdout, stderr):
            self.command, self.log, self.ended, self.code = command, stdout.name, [], None
            self.started.append(self)

        def poll(self):
            return self.code

        def terminate(self):
            self.ended.append("terminated")

        def wait(self):
            assert all(each.ended for each in self.started)
            self.ended.append("waited for")

    @pytest.fixture
    def started(self, monkeypatch):
        self.Process.started.clear()
        monkeypatch.setattr("subprocess.Popen", self.Process)
        before = tn.get_num_threads()
        tn.set_num_threads(7)
        yield self.Process.started
        assert tn.get_num_threads() == 7
        tn.set_num_threads(before)

    @staticmethod
    def line(out: Path, jobs: int | None = None, **options: object) -> argparse.Namespace:
        return argparse.Namespace(**{"jobs": jobs, "worker": None, "smoke": False, "out": out} | options)

    @pytest.mark.parametrize(("jobs", "number", "threads"), [(1, 1, 7), (3, 3, 2), (None, 7, 1), (9, 9, 1)])
    def test_commands(self, started, tmp_path, jobs, number, threads):
        given = ["--out", "my results"]
        with program.share_work(self.line(tmp_path / "a" / "b c", jobs), "x y.py", given):
            assert tn.get_num_threads() == threads
            end = ["--worker", str(os.getpid()), "--threads", str(threads)]
            assert [each.command for each in started] == [[sys.executable, "x y.py", *given, *end]] * (
                number - 1
            )
            names = [str(tmp_path / "a" / "b c" / f"job{each}.log") for each in range(2, number + 1)]
            assert [each.log for each in started] == names
        assert all(each.ended == ["terminated", "waited for"] for each in started)

    def test_command_line_of_this_process(self, started, tmp_path, monkeypatch):
        monkeypatch.setattr("sys.argv", ["study.py", "--jobs", "2"])
        with program.share_work(self.line(tmp_path, 2), "study.py"):
            assert started[0].command[1:4] == ["study.py", "--jobs", "2"]
            assert "--offline" not in started[0].command

    @pytest.mark.parametrize("offline", [True, False])
    def test_the_others_take_the_data_set_that_is_there(self, started, tmp_path, offline):
        with program.share_work(self.line(tmp_path, 2, offline=offline), "study.py", []):
            assert started[0].command[-1] == "--offline"

    @pytest.mark.parametrize("changes", [{"smoke": True}, {"worker": 17}])
    def test_none_for_a_trial_nor_for_another_one(self, started, tmp_path, monkeypatch, changes):
        watched: Queue[int] = Queue()
        monkeypatch.setattr(program, "_end_with", watched.put)
        with program.share_work(self.line(tmp_path / "out", 3, **changes), "study.py", []):
            assert started == []
            assert tn.get_num_threads() == 7
        if "worker" in changes:
            assert watched.get(timeout=60) == 17
        assert watched.empty()
        assert list(tmp_path.iterdir()) == []

    def test_one_that_failed(self, started, tmp_path, capsys):
        with program.share_work(self.line(tmp_path, 4), "study.py", []):
            started[0].code, started[1].code = 0, -9
        assert capsys.readouterr() == ("", f"WARNING: job 3 has failed: see {tmp_path / 'job3.log'}\n")

    def test_they_end_with_an_error(self, started, tmp_path, capsys):
        def study():
            with program.share_work(self.line(tmp_path, 3), "study.py", []):
                started[0].code = 130
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            study()
        assert all(each.ended == ["terminated", "waited for"] for each in started)
        assert capsys.readouterr() == ("", "")

    def test_folder_that_is_a_file(self, started, tmp_path):
        (tmp_path / "out").write_text("mine")
        with pytest.raises(FileExistsError), program.share_work(self.line(tmp_path / "out", 2), "s.py", []):
            pytest.fail("there is no place for the log")
        assert started == []


class TestPrepare:
    def test_threads(self):
        before = tn.get_num_threads()
        try:
            program.prepare(options(threads=3))
            assert tn.get_num_threads() == 3
            program.prepare(options())
            assert tn.get_num_threads() == 3
        finally:
            tn.set_num_threads(before)

    def test_missing_package_is_named_before_anything_happens(self, monkeypatch):
        before = tn.get_num_threads()
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(ImportError, match=r"^this needs matplotlib and tqdm: install the extra"):
            program.prepare(options(threads=before + 1))
        assert tn.get_num_threads() == before


class TestLoadDataset:
    def test_as_asked_for(self, capsys):
        training, test, notice = program.load_dataset(options())
        assert (training.name, test.name, notice) == ("digits", "digits", None)
        assert len(training) + len(test) == 1797
        assert capsys.readouterr() == ("looking for the data set digits ...\n", "")

    def test_stand_in_is_announced(self, capsys, tmp_path, monkeypatch):
        monkeypatch.setenv("TINYNET_DATA", "")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        training, test, notice = program.load_dataset(options(dataset="mnist"))
        assert training.name == test.name == "digits"
        assert notice == "mnist was asked for and not found: these are results of digits"
        assert capsys.readouterr().err.startswith("WARNING: ")

    def test_banner(self):
        begin = f"tinynet {tn.__version__}, {tn.get_num_threads()} thread(s); data set digits: "
        assert program.banner("digits", 1437, 360) == (begin + "1,437 training and 360 test images")


class TestFiles:
    def test_head_of_the_results(self, tmp_path):
        head = program.results_head("mine", {"lr": 0.1}, dataset="digits", notice="n")
        assert list(head) == ["experiment", "tinynet", "dataset", "notice", "settings", "threads", "finished"]
        write_json(tmp_path / "r.json", head)
        read = json.loads((tmp_path / "r.json").read_text())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", read.pop("finished"))
        assert read == {
            "experiment": "mine",
            "tinynet": tn.__version__,
            "dataset": "digits",
            "notice": "n",
            "settings": {"lr": 0.1},
            "threads": tn.get_num_threads(),
        }
        without = program.results_head("mine", {})
        assert (without["dataset"], without["notice"]) == (None, None)

    def test_figure_is_written_whole_or_not_at_all(self, tmp_path):
        def draw(figure):
            figure.subplots().plot([0, 1], [1, 2])

        path = tmp_path / "f.png"
        program.write_figure(path, draw, width=4, height=2, dpi=80)
        before = path.read_bytes()
        assert before == figure_png(draw, width=4, height=2, dpi=80)

        def fail(figure):
            raise RuntimeError("no")

        with pytest.raises(RuntimeError):
            program.write_figure(path, fail)
        with pytest.raises(ArgumentError, match=r"^figure_png: width, height and dpi must be positive"):
            program.write_figure(path, draw, width=0)
        with pytest.raises(DataError, match=r"^write_figure: the folder of .* must exist"):
            program.write_figure(tmp_path / "none" / "f.png", draw, width=4, height=2, dpi=80)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]
