"""The command line: python -m benchmarks [NAMES ...] [--threads 1,2] [--quick] [--markdown FILE] ..."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import figure, machine
from benchmarks.peak import peak_flops
from benchmarks.report import BenchmarkError, Comparison, Options, Peaks, Result, summary_table

# Name: what is measured.  The module of the same name has `run(options) -> Result`.
BENCHMARKS = {
    "mnist_mlp": "one training step beside PyTorch and JAX; import time, size, memory",
    "lenet": "one training step beside PyTorch",
    "bn_inception_small": "one training step beside PyTorch and JAX; memory",
    "resnet20": "one training step beside PyTorch",
    "bn_inception": "one training step at 224 x 224 beside PyTorch",
    "inference": "bn_inception_small, plain and folded, beside PyTorch",
    "ops": "convolutions, linear layers, batch normalisation with ReLU, pooling, beside PyTorch's",
    "mnist_parts": "what that step spends its time on: kernels, graph, optimiser",
    "overhead": "cost per node, module call, optimiser step and batch, on tiny tensors",
    "activations": "activations and layer normalisation, forward and backward, beside PyTorch",
    "convolution": "the convolutions of ops alone",
    "gemm": "matrix products by packed panels and by OpenBLAS: where they cross",
    "optimizers": "a step of each optimiser beside PyTorch's",
    "serial_work": "where a second thread starts to pay",
    "threads": "scaling of a step from one thread to many; a parallel region after a pause, pinned and not",
    "mnist_loop": "the main job (both networks, measurements included) beside PyTorch",
}


def threads_list(text: str) -> tuple[int, ...]:
    """Parse "1,2"."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"must be positive integers separated by commas; got {text!r}")
    return numbers


def positive(text: str) -> int:
    """Parse a positive integer."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer; got {text!r}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The options, with the list of benchmarks in the help."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure tinynet, beside PyTorch where that is installed.",
        epilog="benchmarks:\n" + "\n".join(f"  {name:<19} {text}" for name, text in BENCHMARKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("names", nargs="*", metavar="NAME", help="what to run; default: everything")
    made.add_argument(
        "--threads", type=threads_list, default=(1, 2), help="numbers of threads, as in 1,2 (default)"
    )
    made.add_argument("--quick", action="store_true", help="run through in seconds; the numbers mean nothing")
    made.add_argument("--markdown", type=Path, metavar="FILE", help="write what is printed there")
    made.add_argument("--json", type=Path, metavar="FILE", help="write numbers, machine and versions there")
    made.add_argument(
        "--figure", type=Path, metavar="FILE", help="draw the ratios there, a PNG (training steps, inference)"
    )
    made.add_argument("--data", type=Path, metavar="DIR", help="mnist_loop: folder to look in for MNIST")
    made.add_argument(
        "--steps", type=positive, default=5000, help="mnist_loop: updates per network (default 5000)"
    )
    return made


class Page:
    """Prints, and keeps what it printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, *lines: str) -> None:
        print(*lines, sep="\n", flush=True)
        self.lines += lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that were named; 0 if all went through."""
    options = parser()
    given = options.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        options.error(f"unknown benchmark {', '.join(map(repr, unknown))}; there are {', '.join(BENCHMARKS)}")
    for name in ("markdown", "json", "figure"):
        file = getattr(given, name)
        if file and not file.absolute().parent.is_dir():
            options.error(f"argument --{name}: the folder of {file} does not exist")
    if given.figure and importlib.util.find_spec("matplotlib") is None:
        options.error("argument --figure: matplotlib must be installed")
    try:
        about = machine.describe()
    except ImportError as error:
        print(
            f"benchmarks: tinynet cannot be imported from here ({error}); build or install it first",
            file=sys.stderr,
        )
        return 2
    command = shlex.join(["python", "-m", "benchmarks", *(sys.argv[1:] if arguments is None else arguments)])
    page = Page()
    page.say(f"`{command}`", "", *(f"- {key}: {value}" for key, value in about.items()))
    wanted = Options(given.threads, given.quick, given.data, given.steps)
    if given.quick:
        page.say("", "--quick: the numbers below mean nothing.")
    measured: dict[str, Any] = {
        "command": command,
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "machine": about,
    }
    comparisons: list[Comparison] = []
    failed = 0
    for name in given.names or BENCHMARKS:
        page.say("", f"## {name}: {BENCHMARKS[name]}", "")
        watch = machine.Watch()
        try:
            result: Result = importlib.import_module(f"benchmarks.{name}").run(wanted)
        except BenchmarkError as error:
            page.say(f"ERROR: {error}")
            measured[name] = {"error": str(error)}
            failed += 1
            continue
        watched = watch.stop()
        for table in result.tables:
            page.say(f"{table}\n")
        page.say(*(line for note in result.notes for line in (note, "")))
        quiet = f"Load average {watched['load_average']:.1f} at the start; the machine was quiet."
        page.say(machine.warning(watched) or quiet)
        measured[name] = {**result.data, **watched}
        comparisons += result.comparisons
    if comparisons:
        peaks = {threads: peak_flops(threads) for threads in given.threads}
        measured["peak_flops"] = peaks
        page.say("", "## Summary", "", str(summary_table(comparisons, peaks)), "", *explained(peaks))
    written = {}
    if given.json:
        written[given.json] = (json.dumps(measured, indent=2) + "\n").encode()
    if given.markdown:
        written[given.markdown] = ("\n".join(page.lines) + "\n").encode()
    if given.figure and comparisons:
        written[given.figure] = figure.png(comparisons)
    for file, content in written.items():
        file.write_bytes(content)
        print(f"\nWritten: {file}")
    if given.figure and not comparisons:
        print("\nNo figure: none of these benchmarks compares whole networks.")
    return 1 if failed else 0


def explained(peaks: Peaks) -> list[str]:
    """What the columns of rates mean."""
    known = [
        f"{peak / 1e9:.0f} GFLOP/s at {threads} thread{'s' if threads > 1 else ''}"
        for threads, peak in peaks.items()
        if peak
    ]
    return [
        "GFLOP/s: multiplications and additions of convolutions and linear layers as direct sums have them, "
        "over the whole time; an algorithm that multiplies less can be above the peak. "
        f"Peak (fused multiply-adds in registers): {', '.join(known) or 'unknown, for want of a C compiler'}."
    ]


if __name__ == "__main__":
    sys.exit(main())
