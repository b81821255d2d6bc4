"""What the benchmarks print and draw, and the processes that they start.  No test looks at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # at the end: an installed tinynet stays ahead of the folder of sources

from benchmarks import figure, peak, report, timing, worker  # noqa: E402
from benchmarks.report import BenchmarkError, Comparison  # noqa: E402
from benchmarks.timing import Prepared, Sample  # noqa: E402


def comparison(threads: int = 1) -> Comparison:
    """Two groups: of one process, and of processes of their own."""
    together = {"tinynet": Sample((2.0, 1.0, 3.0)), "eager": Sample((6.0,)), "best": Sample((5.0, 3.0))}
    apart = {"tinynet, alone": Sample((1.0,)), "tuned": Sample((1.5,)), "JAX, jit": Sample((0.8,))}
    kinds = {"eager": "PyTorch", "best": "PyTorch", "tuned": "PyTorch, malloc tuned", "JAX, jit": "JAX"}
    found = report.candidates(together, kinds) + report.candidates(apart, kinds)
    return Comparison("net", 32, threads, 4e9, tuple(found))


class TestTables:
    def test_ratios_are_of_medians_within_a_group(self):
        ratios = {each.name: (each.kind, each.ratio) for each in comparison().candidates}
        assert ratios == {
            "tinynet": ("tinynet", 1.0),
            "eager": ("PyTorch", 3.0),
            "best": ("PyTorch", 2.0),
            "tinynet, alone": ("tinynet", 1.0),
            "tuned": ("PyTorch, malloc tuned", 1.5),
            "JAX, jit": ("JAX", 0.8),
        }

    def test_comparison(self):
        lines = str(report.comparison_table("T", [comparison(2)], {2: 8e9})).splitlines()
        assert lines[0] == "**T**"
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
        assert len(cells) == 8
        # 4 GFLOP in 2 s: 2 GFLOP/s, a quarter of 8
        assert cells[2] == ["tinynet", "32", "2", "2.00 s", "1.00 s", "1.00", "2.0", "25%"]
        assert cells[4] == ["best", "32", "2", "4.00 s", "3.00 s", "2.00", "1.0", "12%"]
        assert cells[7][:6] == ["JAX, jit", "32", "2", "800 ms", "800 ms", "0.80"]
        assert len({len(line) for line in lines[2:]}) == 1

    def test_summary_takes_the_fastest_of_each_kind(self):
        alone = Comparison("only", 1, 1, 1e6, tuple(report.candidates({"tinynet": Sample((1e-3,))}, {})))
        lines = str(report.summary_table([comparison(), alone], {1: None})).splitlines()[4:]
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        assert cells[0] == ["net", "32", "1", "2.00 s", "2.00", "1.50", "0.80", "best", "2.0", "peak unknown"]
        assert cells[1] == ["only", "1", "1", "1.00 ms", "", "", "", "", "1.0", "peak unknown"]

    def test_note_once(self):
        result = report.Result()
        for _ in range(2):
            result.note("a")
        assert result.notes == ["a"]

    def test_figure_is_a_png(self):
        pytest.importorskip("matplotlib")
        assert figure.png([comparison(), comparison(2)]).startswith(b"\x89PNG\r\n")


class TestTiming:
    def test_what_is_prepared_is_made_anew_for_each_call(self):
        made: list[int] = []
        used: list[int] = []

        def before() -> int:
            made.append(len(made))
            return made[-1]

        samples = timing.alternate(
            {"a": Prepared(before, used.append)}, threads=1, seconds=0.0, at_least=0.0, rounds=(3, 3)
        )
        assert made == used
        assert len(made) >= 3
        assert len(samples["a"].seconds) == 3

    def test_turns_go_round(self):
        calls: list[tuple[str, int]] = []

        def turn(name: str, seconds: float) -> Any:
            def steps(count: int) -> float:
                calls.append((name, count))
                return seconds

            return steps

        samples = worker.in_turn(
            {"a": turn("a", 0.03), "b": turn("b", 5.0)}, seconds=0.0, rounds=(2, 9), length=0.1
        )
        # a turn of at least 0.1 s: four steps of 0.03 s, one step of 5 s
        assert calls[-4:] == [("a", 4), ("b", 1)] * 2
        assert samples == {"a": Sample((0.03, 0.03)), "b": Sample((5.0, 5.0))}


class TestPeak:
    def test_unknown_without_a_compiler(self, monkeypatch):
        monkeypatch.setattr(peak.shutil, "which", lambda name: None)
        peak.compiled.cache_clear()
        peak.peak_flops.cache_clear()
        try:
            assert peak.peak_flops(1) is None
        finally:
            peak.compiled.cache_clear()
            peak.peak_flops.cache_clear()

    def test_loop_counts_its_operations(self):
        import ctypes

        loop = peak.compiled()
        if loop is None:
            pytest.skip("no C compiler")
        sink = ctypes.c_float()
        flops = loop(40, 0.5, 1.0, ctypes.byref(sink))
        assert flops in (2 * 12 * 4, 2 * 12 * 8, 2 * 12 * 16)
        assert sink.value == pytest.approx(12 * 2.0)  # a = a / 2 + 1 tends to 2 in each accumulator


@pytest.fixture(scope="module")
def started():
    with worker.Worker("tinynet", "mnist_mlp", 4, 1) as made:
        yield made


class TestWorker:
    def test_checks_then_makes_steps(self, started):
        loss, gradients = started.check()
        assert np.isfinite(loss)
        assert [g.shape for g in gradients][:3] == [(100, 784), (100,), (100,)]
        assert started.turn(3) > 0

    def test_an_error_is_said_and_the_next_request_answered(self, started):
        with pytest.raises(BenchmarkError, match=r"^worker: tinynet, mnist_mlp: TypeError: .*turn"):
            started.ask("turn")
        with pytest.raises(BenchmarkError, match=r"^worker: tinynet, mnist_mlp: AttributeError: .*'fly'"):
            started.ask("fly")
        assert started.turn(1) > 0

    def test_unknown_network(self):
        message = r"^worker: tinynet, alexnet: network must be one of mnist_mlp, .*; got 'alexnet'$"
        with pytest.raises(BenchmarkError, match=message):
            worker.Worker("tinynet", "alexnet", 4, 1)

    def test_too_late(self):
        with worker.Worker("tinynet", "mnist_mlp", 4, 1) as made:
            made._patience = 0.05
            with pytest.raises(
                BenchmarkError, match=r"^worker: tinynet, mnist_mlp: no answer within 0.05 s$"
            ):
                made.turn(10**9)  # hours

    def test_death_is_said_with_the_last_words(self):
        with worker.Worker("tinynet", "mnist_mlp", 4, 1) as made:
            made._process.kill()
            made._errors.write("one\nlast words\n")
            with pytest.raises(BenchmarkError, match=r"the process died: last words$"):
                made.turn(1)

    def test_ends_when_nobody_asks_any_more(self):
        made = worker.Worker("tinynet", "mnist_mlp", 4, 1)
        made.close()
        assert made._process.returncode == 0

    def test_malloc_is_tuned_before_the_process_starts(self, monkeypatch):
        seen: list[dict[str, str]] = []

        def popen(*args: Any, env: dict[str, str], **options: Any) -> Any:
            seen.append(env)
            raise OSError("not today")

        monkeypatch.setattr(subprocess, "Popen", popen)
        for mode in ("channels_last", "tuned"):
            with pytest.raises(OSError, match="not today"):
                worker.Worker("torch", "mnist_mlp", 4, 2, mode)
        plain, tuned = ([name for name in env if name.startswith("MALLOC_")] for env in seen)
        assert sorted(set(tuned) - set(plain)) == ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"]
        assert {env["OMP_NUM_THREADS"] for env in seen} == {"2"}


def test_json_can_hold_what_a_sample_says():
    assert json.loads(json.dumps(Sample((1.0, 3.0)).to_json())) == {
        "median_s": 2.0,
        "min_s": 1.0,
        "rounds": 2,
    }
