"""One training step of the downscaled BN-Inception beside PyTorch's best mode, and the memory it takes.

As `mnist_mlp`, for images: the same weights, the same batch, loss and gradients compared before anything is
timed.  PyTorch runs eagerly with channels-last tensors.  Without PyTorch tinynet's own numbers remain.
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.footprint import fresh
from benchmarks.images import tinynet_trainer, torch_trainer
from benchmarks.networks import Trainer
from benchmarks.report import BenchmarkError, Options, Result, Table, bytes_text, time_text
from benchmarks.timing import Function, alternate, torch_missing, use_threads

BATCHES = (32, 128)
# Relative differences allowed between float32 computations that sum in different orders: of the loss, and of
# all gradients together in the l2 norm.  (Where the two round the input of a ReLU to different sides of 0,
# whole terms of a gradient come and go: either library is that far from float64.)
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 2e-2


def run(options: Options) -> Result:
    """Compare, time the steps, measure the memory of fresh processes."""
    result = Result()
    without_torch = torch_missing()
    libraries = ["tinynet"] if without_torch else ["tinynet", "PyTorch"]
    if without_torch:
        result.notes.append(without_torch)
    batches = (2,) if options.quick else BATCHES
    if not without_torch:
        loss, gradient = compare(tinynet_trainer(batches[0]), torch_trainer(batches[0]))
        result.notes.append(
            f"Checked first, relative differences: loss {loss:.1e} (allowed {LOSS_TOLERANCE:.0e}), gradients "
            f"{gradient:.1e} (allowed {GRADIENT_TOLERANCE:.0e})."
        )
        result.data["difference"] = {"loss": loss, "gradients": gradient}
    rows = []
    for count in batches:
        for threads in options.threads:
            with use_threads(threads):
                candidates: dict[str, Function] = {"tinynet": tinynet_trainer(count).step}
                if not without_torch:
                    candidates["PyTorch"] = torch_trainer(count).step
                times = alternate(candidates, threads=threads, seconds=options.seconds(30), rounds=(3, 100))
            result.data[f"step, batch {count}, {threads} threads"] = {
                name: sample.to_json() for name, sample in times.items()
            }
            slowest = times[libraries[-1]]
            rows += [
                [
                    name,
                    str(count),
                    str(threads),
                    time_text(sample.median),
                    time_text(sample.minimum),
                    f"{slowest.median / sample.median:.2f}" if not without_torch else "",
                ]
                for name, sample in times.items()
            ]
    header = ["", "batch", "threads", "median", "minimum", "ratio of medians"]
    result.tables.append(Table("One training step of bn_inception_small, 3 x 32 x 32", header, rows))
    if sys.platform == "linux":
        memory(batches, libraries, result)
    return result


def compare(ours: Trainer, theirs: Trainer) -> tuple[float, float]:
    """Relative differences of the loss and of all gradients.

    Raises
    ------
    BenchmarkError
        If one is larger than allowed.
    """
    loss, expected = ours.loss(), theirs.loss()
    loss.backward()
    expected.backward()
    loss_apart = abs(loss.item() - expected.item()) / abs(expected.item())
    own, other = (np.concatenate([g.ravel() for g in side.gradients()]) for side in (ours, theirs))
    gradient_apart = float(np.linalg.norm(own - other) / np.linalg.norm(other))
    if not (loss_apart <= LOSS_TOLERANCE and gradient_apart <= GRADIENT_TOLERANCE):
        raise BenchmarkError(
            "bn_inception_small: tinynet and PyTorch must agree before they are timed; their losses differ "
            f"by {loss_apart:.1e} (allowed {LOSS_TOLERANCE:.0e}), their gradients by {gradient_apart:.1e} "
            f"(allowed {GRADIENT_TOLERANCE:.0e})"
        )
    return loss_apart, gradient_apart


def memory(batches: tuple[int, ...], libraries: list[str], result: Result) -> None:
    """The table of peak memory."""
    rows = []
    for count in batches:
        peaks = {
            name: int(
                fresh("-m", "benchmarks.images", "torch" if name == "PyTorch" else "tinynet", str(count))
            )
            for name in libraries
        }
        result.data[f"peak memory, batch {count}"] = peaks
        rows += [
            [name, str(count), bytes_text(peak), f"{peak / peaks[libraries[-1]]:.2f}"]
            for name, peak in peaks.items()
        ]
    header = ["", "batch", "peak memory*", f"of {libraries[-1]}'s"]
    result.tables.append(Table("Memory of five steps", header, rows))
    result.notes.append("* Peak resident memory (VmHWM) of a fresh process with one thread after five steps.")
