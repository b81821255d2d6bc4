"""What a benchmark is given and what it gives back: options, tables in Markdown, numbers for a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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


@dataclass
class Result:
    """Tables for the reader, lines of remarks below them, and the same numbers for a program."""

    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)


def time_text(seconds: float) -> str:
    """Seconds in the unit that suits, with three digits."""
    unit, size = ("s", 1.0) if seconds >= 1 else ("ms", 1e-3) if seconds >= 1e-3 else ("us", 1e-6)
    value = seconds / size
    return f"{value:.{max(0, 2 - len(str(int(value))) + 1)}f} {unit}"


def bytes_text(count: float) -> str:
    """Bytes as MB (10^6)."""
    return f"{count / 1e6:.1f} MB"
