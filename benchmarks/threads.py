"""What threads bring, and what they cost: the scaling of a training step, and regions entered after a pause.

A worker of OpenMP that has slept is woken by the next parallel region.  Some systems put it on the CPU where
its master already runs, and the region waits until the scheduler moves one of them: milliseconds, where the
work takes microseconds.  `TINYNET_PIN=1` keeps workers on CPUs of their own.  Pinned and unpinned are fresh
processes, taken in turn:

    python -m benchmarks.threads THREADS REPEATS PAUSE ...

is such a process; it prints the median seconds of a small parallel operation after each pause.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

from benchmarks.architectures import ARCHITECTURES
from benchmarks.footprint import fresh
from benchmarks.networks import tinynet_trainer
from benchmarks.report import BenchmarkError, Options, Result, Table, time_text
from benchmarks.timing import Function, alternate

PAUSES = (0.0, 0.01, 0.1, 1.0)  # seconds
ALTERNATIONS, REPEATS = 5, 7
ELEMENTS = 1 << 18  # some 20 us of work for one thread: a region, but a short one


def run(options: Options) -> Result:
    """Both tables, for the largest number of threads."""
    result = Result()
    threads = max(options.threads)
    if threads == 1:
        raise BenchmarkError("threads: --threads must name a number of at least 2; got 1")
    result.tables += [scaling(threads, options, result), pauses(threads, options, result)]
    result.notes.append("* The best of the alternations: a machine that does other work too shows less.")
    return result


def scaling(threads: int, options: Options, result: Result) -> Table:
    """One step of bn_inception_small at batch 32 on one thread and on many, alternately."""
    import tinynet as tn

    former = tn.get_num_threads()
    step = tinynet_trainer(ARCHITECTURES["bn_inception_small"], 2 if options.quick else 32).step

    def on(count: int) -> Function:
        def call() -> None:
            tn.set_num_threads(count)
            step()

        return call

    ratios, rows = [], []
    for number in range(1 if options.quick else ALTERNATIONS):
        both = alternate(
            {"one": on(1), "many": on(threads)}, threads=threads, seconds=options.seconds(10), rounds=(3, 20)
        )
        one, many = both["one"].median, both["many"].median
        ratios.append(one / many)
        rows.append([str(number + 1), time_text(one), time_text(many), f"{one / many:.2f}"])
    tn.set_num_threads(former)
    rows.append(["best*", "", "", f"{max(ratios):.2f}"])
    result.data[f"scaling, {threads} threads"] = {"ratios": ratios, "best": max(ratios)}
    header = ["alternation", "1 thread", f"{threads} threads", "ratio of medians"]
    return Table("A step of bn_inception_small, batch 32", header, rows)


def pauses(threads: int, options: Options, result: Result) -> Table:
    """A parallel region after a pause, with workers where the system puts them and with workers pinned."""
    waits = PAUSES[:2] if options.quick else PAUSES
    times: dict[str, list[list[float]]] = {"": [], "1": []}
    before = os.environ.get("TINYNET_PIN")
    try:
        for _ in range(1 if options.quick else ALTERNATIONS):
            for pinned, measured in times.items():
                os.environ["TINYNET_PIN"] = pinned
                arguments = [str(threads), str(2 if options.quick else REPEATS), *map(str, waits)]
                found = fresh("-m", "benchmarks.threads", *arguments, threads=threads)
                measured.append([float(word) for word in found.split()])
    finally:
        if before is None:
            del os.environ["TINYNET_PIN"]
        else:
            os.environ["TINYNET_PIN"] = before
    rows = []
    for index, wait in enumerate(waits):
        free, fixed = (statistics.median(line[index] for line in times[name]) for name in ("", "1"))
        rows.append([time_text(wait) if wait else "none", time_text(free), time_text(fixed)])
        result.data[f"after {wait} s, {threads} threads"] = {"free_s": free, "pinned_s": fixed}
    return Table(f"A region of {threads} threads after a pause", ["pause", "free", "TINYNET_PIN=1"], rows)


def main(threads: int, repeats: int, waits: list[float]) -> None:
    """Print the median seconds of a region after each pause."""
    import tinynet as tn

    tn.set_num_threads(threads)
    x = tn.zeros(ELEMENTS)
    for wait in waits:
        seconds = []
        for _ in range(repeats + 1):
            x.relu()
            time.sleep(wait)
            start = time.perf_counter()
            x.relu()
            seconds.append(time.perf_counter() - start)
        print(statistics.median(seconds[1:]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), [float(word) for word in sys.argv[3:]])
