"""The command line: python -m benchmarks [NAMES ...] [--threads 1,2] [--quick] [--json FILE]."""

from __future__ import annotations

import argparse
import importlib
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.report import BenchmarkError, Options, Result

# Name: what is measured.  The module of the same name has `run(options) -> Result`.
BENCHMARKS = {
    "mnist_mlp": "one training step beside PyTorch's best mode; import time, size, memory",
    "bn_inception_small": "one training step of the downscaled BN-Inception beside PyTorch; memory",
    "mnist_parts": "what that step spends its time on: kernels, graph, optimiser",
    "overhead": "cost per node, module call, optimiser step and batch, on tiny tensors",
    "activations": "activations and layer normalisation, forward and backward, beside PyTorch",
    "convolution": "single convolutions beside PyTorch's: forward and both gradients",
    "gemm": "matrix products by packed panels and by OpenBLAS: where they cross",
    "optimizers": "a step of each optimiser beside PyTorch's",
    "serial_work": "where a second thread starts to pay",
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
    made.add_argument(
        "--json", type=Path, metavar="FILE", help="write the numbers, machine and versions there"
    )
    made.add_argument("--data", type=Path, metavar="DIR", help="mnist_loop: folder to look in for MNIST")
    made.add_argument(
        "--steps", type=positive, default=5000, help="mnist_loop: updates per network (default 5000)"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that were named; 0 if all went through."""
    options = parser()
    given = options.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        options.error(f"unknown benchmark {', '.join(map(repr, unknown))}; there are {', '.join(BENCHMARKS)}")
    if given.json and not given.json.absolute().parent.is_dir():
        options.error(f"argument --json: the folder of {given.json} does not exist")
    try:
        about = machine.describe()
    except ImportError as error:
        print(
            f"benchmarks: tinynet cannot be imported from here ({error}); build or install it first",
            file=sys.stderr,
        )
        return 2
    command = shlex.join(["python", "-m", "benchmarks", *(sys.argv[1:] if arguments is None else arguments)])
    print(f"`{command}`\n")
    for key, value in about.items():
        print(f"- {key}: {value}")
    wanted = Options(given.threads, given.quick, given.data, given.steps)
    if given.quick:
        print("\n--quick: the numbers below mean nothing.")
    measured: dict[str, Any] = {
        "command": command,
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "machine": about,
    }
    failed = 0
    for name in given.names or BENCHMARKS:
        print(f"\n## {name}: {BENCHMARKS[name]}\n", flush=True)
        watch = machine.Watch()
        try:
            result: Result = importlib.import_module(f"benchmarks.{name}").run(wanted)
        except BenchmarkError as error:
            print(f"ERROR: {error}", flush=True)
            measured[name] = {"error": str(error)}
            failed += 1
            continue
        watched = watch.stop()
        for table in result.tables:
            print(f"{table}\n")
        for note in result.notes:
            print(note)
        warning = machine.warning(watched)
        print(
            warning or f"Load average {watched['load_average']:.1f} at the start; the machine was quiet.",
            flush=True,
        )
        measured[name] = {**result.data, **watched}
    if given.json:
        given.json.write_text(json.dumps(measured, indent=2) + "\n")
        print(f"\nWritten: {given.json}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
