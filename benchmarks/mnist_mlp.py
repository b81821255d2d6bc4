"""One training step of the MNIST network (784-100-100-100-10, BN, sigmoid, batch 60) beside PyTorch and JAX;
import time, size, peak memory."""

from __future__ import annotations

import sys

from benchmarks import footprint, steps
from benchmarks.report import Options, Result, Table, bytes_text, progress, time_text
from benchmarks.timing import torch_missing

PLAN = steps.Plan("mnist_mlp", (60,), steps.SMOOTH, seconds=6, jax=True, compiled=True, quick=60)


def run(options: Options) -> Result:
    """Time the step, then measure what the libraries cost before they compute anything."""
    result = steps.run(PLAN, options)
    costs(options, result, with_torch=not torch_missing())
    return result


def costs(options: Options, result: Result, *, with_torch: bool) -> None:
    """The tables of import time, size and memory."""
    progress("mnist_mlp: imports")
    libraries = ["tinynet", "torch"] if with_torch else ["tinynet"]
    times = footprint.import_times([*libraries, "numpy"], 1 if options.quick else 7)
    needs = {"tinynet": footprint.needs("tinynet-cpu")}
    if with_torch:
        needs["torch"] = footprint.needs("torch") | {"torch"}
    rows = []
    for library in libraries:
        alone = footprint.package_size(library)
        added = sum(map(footprint.distribution_size, needs[library])) + (alone if library == "tinynet" else 0)
        memory = (
            footprint.peak_memory(library, PLAN.network, *PLAN.batches) if sys.platform == "linux" else None
        )
        rows.append(
            [
                {"torch": "PyTorch"}.get(library, library),
                time_text(times[library].wall),
                time_text(times[library].cpu),
                bytes_text(alone),
                bytes_text(added),
                bytes_text(memory) if memory is not None else "unknown",
            ]
        )
        result.data[f"costs, {library}"] = {
            "import_wall_s": times[library].wall,
            "import_cpu_s": times[library].cpu,
            "package_bytes": alone,
            "with_requirements_bytes": added,
            "requirements": sorted(needs[library]),
            "peak_memory_bytes": memory,
        }
    plain = footprint.peak_memory("none", PLAN.network, *PLAN.batches) if sys.platform == "linux" else None
    rows.append(
        [
            "NumPy",
            time_text(times["numpy"].wall),
            time_text(times["numpy"].cpu),
            "",
            "",
            bytes_text(plain) if plain is not None else "unknown",
        ]
    )
    header = ["", "import", "import, CPU", "package alone", "with needs*", "peak memory**"]
    result.tables.append(Table("Before the first step", header, rows))
    result.notes += [
        "* With all it requires beyond NumPy and SciPy: "
        f"{'; '.join(_needs_text(*item) for item in needs.items())}.",
        "** Peak resident memory (VmHWM) of a fresh process with one thread after five steps.",
    ]


def _needs_text(library: str, names: set[str]) -> str:
    others = sorted(names - {library})
    return f"{library}: {', '.join(others) or 'nothing'}"
