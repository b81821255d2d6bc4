"""The benchmarks run through and refuse what they do not know.  No test looks at a time or needs PyTorch."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet

ROOT = Path(__file__).resolve().parent.parent


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m benchmarks` in a process of its own, with the tinynet that this process has imported."""
    paths = [Path(tinynet.__file__).parent.parent, ROOT]
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(map(str, paths)), OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=300,
    )


def module(name: str) -> Any:
    """A module of the benchmarks, which are no part of the installed package."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))  # at the end: an installed tinynet stays ahead of the folder of sources
    import importlib

    return importlib.import_module(f"benchmarks.{name}")


@pytest.fixture(scope="module")
def overhead(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What `overhead --quick` prints, and its JSON file."""
    folder = tmp_path_factory.mktemp("benchmarks")
    done = run(folder, "overhead", "--quick", "--threads", "1", "--json", "numbers.json")
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "numbers.json").read_text())


def test_overhead_prints_tables_of_one_width(overhead: tuple[str, dict[str, Any]]) -> None:
    text, _ = overhead
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.M)
    assert len(tables) == 2
    for table in tables:
        lines = table.splitlines()
        assert len({len(line) for line in lines}) == 1
        assert len({line.count("|") for line in lines}) == 1
        assert re.fullmatch(r"\|( -+:? \|)+", lines[1])
    assert "the numbers below mean nothing" in text
    assert re.search(r"^\| linear, recorded \+ backward +\| +\d+\.\d\d \|", text, re.M)


def test_json_says_where_the_numbers_come_from(overhead: tuple[str, dict[str, Any]]) -> None:
    _, numbers = overhead
    assert numbers["command"] == "python -m benchmarks overhead --quick --threads 1 --json numbers.json"
    about = numbers["machine"]
    assert about["tinynet"] == tinynet.__version__
    assert about["NumPy"] == np.__version__
    assert about["cores"] >= 1
    assert about["processor"]
    assert numbers["overhead"]["load_average"] >= 0
    assert numbers["overhead"]["others_cpus"] >= 0
    assert numbers["overhead"]["nn.Linear call"]["seconds"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gem"], "unknown benchmark 'gem'; there are mnist_mlp, "),
        (["overhead", "x", "y"], "unknown benchmark 'x', 'y'; there are "),
        (["--threads", "0"], "must be positive integers separated by commas; got '0'"),
        (["--threads", "1,,2"], "must be positive integers separated by commas; got '1,,2'"),
        (["--steps", "-1"], "must be a positive integer; got '-1'"),
        (["--json", "nowhere/numbers.json"], "argument --json: the folder of nowhere/numbers.json does not"),
        (["--markdown", "nowhere/page.md"], "argument --markdown: the folder of nowhere/page.md does not"),
        (["--figure", "nowhere/bars.png"], "argument --figure: the folder of nowhere/bars.png does not"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_a_benchmark_that_cannot_run_is_an_error_and_the_next_one_runs(tmp_path: Path) -> None:
    done = run(tmp_path, "serial_work", "overhead", "--quick", "--threads", "1", "--json", "n.json")
    assert done.returncode == 1
    assert "ERROR: serial_work: --threads must name a number of at least 2" in done.stdout
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert set(numbers["serial_work"]) == {"error"}
    assert "nn.Linear call" in numbers["overhead"]


def test_every_benchmark_named_in_the_help_exists(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    for name in module("__main__").BENCHMARKS:
        assert f"\n  {name} " in done.stdout
        assert (ROOT / "benchmarks" / f"{name}.py").is_file()


def test_candidates_are_timed_in_turn() -> None:
    calls: list[str] = []
    samples = module("timing").alternate(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        threads=1,
        seconds=0.0,
        at_least=0.0,
        rounds=(4, 9),
    )
    assert calls[-8:] == ["a", "b"] * 4
    assert [len(sample.seconds) for sample in samples.values()] == [4, 4]
    for sample in samples.values():
        assert 0 <= sample.minimum <= sample.median


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (12.3456, "12.3 s"),
        (1.5, "1.50 s"),
        (0.25, "250 ms"),
        (2.5e-3, "2.50 ms"),
        (218e-6, "218 us"),
        (3e-7, "0.30 us"),
    ],
)
def test_times_are_given_three_digits(seconds: float, text: str) -> None:
    assert module("report").time_text(seconds) == text
