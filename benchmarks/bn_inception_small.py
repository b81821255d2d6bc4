"""One training step of the downscaled BN-Inception (32 x 32, batches of 32 and 128) beside PyTorch and JAX;
the memory it takes."""

from __future__ import annotations

import sys

from benchmarks import steps
from benchmarks.footprint import peak_memory
from benchmarks.report import Options, Result, Table, bytes_text, progress
from benchmarks.timing import torch_missing

PLAN = steps.Plan("bn_inception_small", (32, 128), steps.KINKED, seconds=12, jax=True, compiled=True)


def run(options: Options) -> Result:
    """Compare and time the steps, measure the memory of fresh processes."""
    result = steps.run(PLAN, options)
    if sys.platform == "linux":
        memory((PLAN.quick,) if options.quick else PLAN.batches, max(options.threads), result)
    return result


def memory(batches: tuple[int, ...], threads: int, result: Result) -> None:
    """The table of peak memory."""
    libraries = {"tinynet": "tinynet"} if torch_missing() else {"tinynet": "tinynet", "PyTorch": "torch"}
    rows = []
    for count in batches:
        progress(f"{PLAN.network}, batch {count}: memory")
        peaks = {
            name: peak_memory(library, PLAN.network, count, threads) for name, library in libraries.items()
        }
        result.data[f"peak memory, batch {count}"] = peaks
        last = list(peaks.values())[-1]
        rows += [[name, str(count), bytes_text(peak), f"{peak / last:.2f}"] for name, peak in peaks.items()]
    header = ["", "batch", "peak memory*", f"of {list(libraries)[-1]}'s"]
    result.tables.append(Table("Memory of five steps", header, rows))
    result.note(
        f"* Peak resident memory (VmHWM) of a fresh process with {threads} thread(s) after five steps; "
        "PyTorch: channels last, fused SGD."
    )
