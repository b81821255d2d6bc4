"""What a benchmark is given and what it gives back: options, tables in Markdown, numbers for a JSON file."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.timing import Sample

KINDS = ("PyTorch", "PyTorch, malloc tuned", "JAX")  # of candidates that are no tinynet


class BenchmarkError(Exception):
    """A benchmark cannot run, or both sides did not compute the same; the message is for who started it."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for.

    Attributes
    ----------
    threads : tuple of int
        Numbers of threads to measure with.
    quick : bool
        Run through everything in seconds; the numbers mean nothing.
    data : Path, optional
        Folder with MNIST (`mnist_loop`); by default $TINYNET_DATA and the usual places.
    steps : int
        Updates per network (`mnist_loop`).
    """

    threads: tuple[int, ...] = (1, 2)
    quick: bool = False
    data: Path | None = None
    steps: int = 5000

    def seconds(self, usual: float) -> float:
        """The time to spend on a measurement that usually takes `usual` seconds."""
        return 0.01 if self.quick else usual


@dataclass(frozen=True)
class Table:
    """A table with a title, as Markdown."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        lines = [list(self.header), *map(list, self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.header))]

        def row(line: Sequence[str]) -> str:
            first, *rest = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            return "| " + " | ".join([first.strip().ljust(widths[0]), *rest]) + " |"

        rule = "| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |"
        return "\n".join([f"**{self.title}**", "", row(lines[0]), rule, *map(row, lines[1:])])


@dataclass(frozen=True)
class Candidate:
    """What one of those that are compared took.

    Attributes
    ----------
    name : str
        As in the tables.
    kind : str
        "tinynet" or one of `KINDS`.
    sample : Sample
        Seconds per call.
    ratio : float
        Its median over the median of the tinynet that it was timed in turn with.
    """

    name: str
    kind: str
    sample: Sample
    ratio: float


def candidates(times: Mapping[str, Sample], kinds: Mapping[str, str]) -> list[Candidate]:
    """Those of one group, timed in turn: the first is tinynet, `kinds` says what the others are."""
    first = next(iter(times.values())).median
    return [
        Candidate(name, kinds.get(name, "tinynet"), sample, sample.median / first)
        for name, sample in times.items()
    ]


@dataclass(frozen=True)
class Comparison:
    """One workload.

    Attributes
    ----------
    workload : str
        Its name.
    batch, threads : int
        Its size.
    flops : float
        Multiplications and additions of one call, counted as direct sums.
    candidates : tuple of Candidate
        The first is tinynet.
    """

    workload: str
    batch: int
    threads: int
    flops: float
    candidates: tuple[Candidate, ...]

    @property
    def ours(self) -> Candidate:
        return self.candidates[0]

    def best(self, kind: str) -> Candidate | None:
        """The fastest of a kind, None if there is none."""
        return min((c for c in self.candidates if c.kind == kind), key=lambda c: c.ratio, default=None)


Peaks = Mapping[int, "float | None"]  # by number of threads; None: unknown


def comparison_table(title: str, comparisons: Sequence[Comparison], peaks: Peaks) -> Table:
    """A row per candidate."""
    header = ["", "batch", "threads", "median", "minimum", "times tinynet's", "GFLOP/s", "of the peak"]
    rows = [
        [
            each.name,
            str(comparison.batch),
            str(comparison.threads),
            time_text(each.sample.median),
            time_text(each.sample.minimum),
            f"{each.ratio:.2f}",
            *rate(comparison.flops, each.sample.median, peaks.get(comparison.threads)),
        ]
        for comparison in comparisons
        for each in comparison.candidates
    ]
    return Table(title, header, rows)


def summary_table(comparisons: Sequence[Comparison], peaks: Peaks) -> Table:
    """A row per workload: how many times tinynet's time the fastest of each kind takes."""
    rows = []
    for each in comparisons:
        best = [each.best(kind) for kind in KINDS]
        rows.append(
            [
                each.workload,
                str(each.batch),
                str(each.threads),
                time_text(each.ours.sample.median),
                *(f"{one.ratio:.2f}" if one else "" for one in best),
                best[0].name if best[0] else "",
                *rate(each.flops, each.ours.sample.median, peaks.get(each.threads)),
            ]
        )
    header = ["", "batch", "threads", "tinynet", *KINDS, "PyTorch's best mode", "GFLOP/s", "of the peak"]
    return Table("Times of the others as multiples of tinynet's", header, rows)


def rate(flops: float, seconds: float, peak: float | None) -> tuple[str, str]:
    """GFLOP/s, and its share of the peak ("peak unknown" if that could not be measured)."""
    return f"{flops / seconds / 1e9:.1f}", f"{flops / seconds / peak:.0%}" if peak else "peak unknown"


@dataclass
class Result:
    """Tables and remarks for the reader, comparisons for the summary, the numbers for a program."""

    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Add a remark unless it is there."""
        if text not in self.notes:
            self.notes.append(text)


_started = time.perf_counter()


def progress(text: str) -> None:
    """Say on stderr what is being done, after how many seconds."""
    print(f"[{time.perf_counter() - _started:4.0f} s] {text}", file=sys.stderr, flush=True)


def time_text(seconds: float) -> str:
    """Seconds in the unit that suits, with three digits."""
    unit, size = ("s", 1.0) if seconds >= 1 else ("ms", 1e-3) if seconds >= 1e-3 else ("us", 1e-6)
    value = seconds / size
    return f"{value:.{max(0, 2 - len(str(int(value))) + 1)}f} {unit}"


def bytes_text(count: float) -> str:
    """Bytes as MB (10^6)."""
    return f"{count / 1e6:.1f} MB"
