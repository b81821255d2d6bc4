"""One training step of the MNIST network beside PyTorch's best mode; import time, size, peak memory.

Both start from the same weights and see the same batch.  Before anything is timed, loss and gradients must
agree; else the benchmark stops.  PyTorch runs eagerly (its best mode for a network this small) with each of
its implementations of SGD; the fastest then runs in turn with tinynet (A B A B ...) in one process, so that
a change of the machine's speed hits both.
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks import footprint
from benchmarks.networks import TORCH_MODES, Trainer, tinynet_trainer, torch_trainer
from benchmarks.report import BenchmarkError, Options, Result, Table, bytes_text, time_text
from benchmarks.timing import alternate, torch_missing, use_threads

# Relative differences allowed between float32 computations that sum in different orders: of the loss, and of
# each parameter's gradient in the l2 norm.
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4


def run(options: Options) -> Result:
    """Time the step, then measure what the libraries cost before they compute anything."""
    result = Result()
    without_torch = torch_missing()
    if without_torch:
        result.notes.append(without_torch)
    else:
        loss, gradient = compare(tinynet_trainer(), torch_trainer())
        result.notes.append(
            f"Checked first, relative differences: loss {loss:.1e} (allowed {LOSS_TOLERANCE:.0e}), worst "
            f"gradient {gradient:.1e} (allowed {GRADIENT_TOLERANCE:.0e})."
        )
        result.data["difference"] = {"loss": loss, "gradient": gradient}
    steps(options, result, with_torch=not without_torch)
    costs(options, result, with_torch=not without_torch)
    return result


def compare(ours: Trainer, theirs: Trainer) -> tuple[float, float]:
    """Relative differences of the loss and of the worst gradient.

    Raises
    ------
    BenchmarkError
        If one is larger than allowed.
    """
    loss, expected = ours.loss(), theirs.loss()
    loss.backward()
    expected.backward()
    loss_apart = abs(loss.item() - expected.item()) / abs(expected.item())
    pairs = list(zip(ours.gradients(), theirs.gradients(), strict=True))
    # np.max keeps a NaN, where max may drop it; and "not <=" so that NaN counts as different.
    gradient_apart = float(
        np.max([np.linalg.norm(own - other) / np.linalg.norm(other) for own, other in pairs])
    )
    if not (loss_apart <= LOSS_TOLERANCE and gradient_apart <= GRADIENT_TOLERANCE):
        raise BenchmarkError(
            f"mnist_mlp: tinynet and PyTorch must agree before they are timed; their losses differ by "
            f"{loss_apart:.1e} (allowed {LOSS_TOLERANCE:.0e}), their gradients by {gradient_apart:.1e} "
            f"(allowed {GRADIENT_TOLERANCE:.0e})"
        )
    return loss_apart, gradient_apart


def steps(options: Options, result: Result, *, with_torch: bool) -> None:
    """The table of step times."""
    rows = []
    for threads in options.threads:
        with use_threads(threads):
            candidates = {"tinynet": tinynet_trainer().step}
            if with_torch:
                modes = {mode: torch_trainer(mode).step for mode in TORCH_MODES}
                trial = alternate(modes, threads=threads, seconds=options.seconds(2))
                best = min(trial, key=lambda mode: trial[mode].median)
                others = ", ".join(f"{mode} {time_text(trial[mode].median)}" for mode in modes)
                result.notes.append(f"PyTorch's SGD at {threads} thread(s): {others}.")
                candidates[f"PyTorch ({best})"] = modes[best]
            times = alternate(candidates, threads=threads, seconds=options.seconds(6), at_least=0)
        result.data[f"step, {threads} threads"] = {name: sample.to_json() for name, sample in times.items()}
        slowest = list(times.values())[-1]
        for name, sample in times.items():
            rows.append(
                [
                    name,
                    str(threads),
                    time_text(sample.median),
                    time_text(sample.minimum),
                    f"{slowest.median / sample.median:.2f}" if with_torch else "",
                    f"{slowest.minimum / sample.minimum:.2f}" if with_torch else "",
                ]
            )
    header = ["", "threads", "median", "minimum", "ratio of medians", "of minima"]
    result.tables.append(Table("One training step (784-100-100-100-10, BN, sigmoid, batch 60)", header, rows))


def costs(options: Options, result: Result, *, with_torch: bool) -> None:
    """The tables of import time, size and memory."""
    libraries = ["tinynet", "torch"] if with_torch else ["tinynet"]
    times = footprint.import_times([*libraries, "numpy"], 1 if options.quick else 7)
    needs = {"tinynet": footprint.needs("tinynet-cpu")}
    if with_torch:
        needs["torch"] = footprint.needs("torch") | {"torch"}
    rows = []
    for library in libraries:
        alone = footprint.package_size(library)
        added = sum(map(footprint.distribution_size, needs[library])) + (alone if library == "tinynet" else 0)
        memory = footprint.peak_memory(library) if sys.platform == "linux" else None
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
    plain = footprint.peak_memory("none") if sys.platform == "linux" else None
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
