"""What the programs of the studies share: command line, exit codes, stand-in of a data set, files."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

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
            (["--smok"], "unrecognized arguments: --smok"),
        ],
    )
    def test_bad_option_ends_with_code_2(self, parser, add, capsys, line, message):
        add()
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
