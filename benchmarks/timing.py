"""Clocks and samples.  Candidates are timed in turn (A B A B ...),
so that a change of the machine's speed hits all alike.

With one thread the clock is the thread's CPU time, which other processes hardly disturb; with more it is the
wall clock, which means something only on a quiet machine.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Function = Callable[[], object]


@dataclass(frozen=True)
class Prepared:
    """A call that is given what `before` makes anew each time, untimed: a backward that wants a graph."""

    before: Callable[[], Any]
    call: Callable[[Any], object]


@dataclass(frozen=True)
class Sample:
    """Seconds per call of one candidate: one number per round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def minimum(self) -> float:
        return min(self.seconds)

    def to_json(self) -> dict[str, float | int]:
        return {"median_s": self.median, "min_s": self.minimum, "rounds": len(self.seconds)}


def clock(threads: int) -> Callable[[], float]:
    """CPU time of this thread if it works alone, else wall-clock time."""
    return time.thread_time if threads == 1 else time.perf_counter


def alternate(
    candidates: Mapping[str, Function | Prepared],
    *,
    threads: int,
    seconds: float,
    at_least: float = 50e-6,
    rounds: tuple[int, int] = (5, 5000),
) -> dict[str, Sample]:
    """Time the candidates in turn until `seconds` have passed.

    Parameters
    ----------
    candidates : mapping of str to callable or Prepared
        What to call, by name, in the order of the round.
    threads : int
        Threads at work inside the calls; chooses the clock.
    seconds : float
        Wall-clock time to spend on all candidates together, warm-up not counted.
    at_least : float, default 50e-6
        Length of one timed stretch in seconds: shorter calls are repeated within it.
    rounds : (int, int), default (5, 5000)
        Fewest and most rounds; the fewest are done even if `seconds` are over.

    Returns
    -------
    dict of str to Sample
    """
    now = clock(threads)
    repeats = {}
    for name, candidate in candidates.items():  # warm up, and find how many calls make a stretch
        _stretch(candidate, 1, now)
        calls = 1
        while calls < 1 << 20 and calls * _stretch(candidate, calls, time.perf_counter) < at_least:
            calls *= 2
        repeats[name] = calls
    found: dict[str, list[float]] = {name: [] for name in candidates}
    fewest, most = rounds
    end = time.perf_counter() + seconds
    for number in range(most):
        if number >= fewest and time.perf_counter() > end:
            break
        for name, candidate in candidates.items():
            found[name].append(_stretch(candidate, repeats[name], now))
    return {name: Sample(tuple(values)) for name, values in found.items()}


def _stretch(candidate: Function | Prepared, calls: int, now: Callable[[], float]) -> float:
    """Seconds per call of so many calls."""
    if isinstance(candidate, Prepared):
        total = 0.0
        for _ in range(calls):
            given = candidate.before()
            start = now()
            candidate.call(given)
            total += now() - start
            del given  # before the next one is made
        return total / calls
    start = now()
    for _ in range(calls):
        candidate()
    return (now() - start) / calls


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Both libraries (PyTorch only if it is there) with `count` threads inside the block."""
    import tinynet as tn

    former = tn.get_num_threads()
    tn.set_num_threads(count)
    torch: Any = None
    if not torch_missing():
        import torch

        torch_former = torch.get_num_threads()
        torch.set_num_threads(count)
    try:
        yield
    finally:
        tn.set_num_threads(former)
        if torch is not None:
            torch.set_num_threads(torch_former)


def torch_missing() -> str:
    """A line for the reader if PyTorch is not installed, else an empty string."""
    if importlib.util.find_spec("torch") is not None:
        return ""
    return "PyTorch is not installed: only tinynet's own numbers follow (pip install torch)."
