"""Inference of the downscaled BN-Inception at batch 1 and 32 beside PyTorch, plain and with batch
normalisation folded into the convolutions.

Both have the same weights and the running statistics of the same batch; the scores are compared first.
PyTorch runs under `inference_mode`, channels last, its folding is `torch.nn.utils.fuse_conv_bn_eval`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.architectures import ARCHITECTURES, Architecture, batch, forward_flops
from benchmarks.networks import MODES, tinynet_model, torch_model
from benchmarks.peak import peak_flops
from benchmarks.report import (
    BenchmarkError,
    Candidate,
    Comparison,
    Options,
    Result,
    Table,
    candidates,
    progress,
    rate,
    time_text,
)
from benchmarks.timing import alternate, torch_missing, use_threads

NETWORK = "bn_inception_small"
BATCHES = (1, 32)
SEEN = 8  # images whose statistics the normalisations have
TOLERANCE = 1e-4  # relative, of the scores, in the l2 norm

Scores = npt.NDArray[np.float32]
Call = Callable[[], Scores]


def run(options: Options) -> Result:
    """Compare the scores, then time at every batch size and number of threads."""
    result = Result(notes=[torch_missing()] if torch_missing() else [])
    architecture = ARCHITECTURES[NETWORK]
    rows = []
    for count in BATCHES[:1] if options.quick else BATCHES:
        for threads in options.threads:
            progress(f"{NETWORK}, inference, batch {count}, {threads} thread(s)")
            with use_threads(threads):
                sides = tinynet_sides(architecture, count)
                if not torch_missing():
                    sides |= torch_sides(architecture, count)
                compare(sides)
                times = alternate(dict(sides), threads=threads, seconds=options.seconds(5))
            result.data[f"batch {count}, {threads} threads"] = {
                name: sample.to_json() for name, sample in times.items()
            }
            flops = count * sum(forward_flops(architecture))
            # Each form beside the same form of the other library.
            forms: list[Candidate] = []
            for form in ("", ", folded"):
                kinds = {f"PyTorch{form}": "PyTorch"}
                group = {name: times[name] for name in (f"tinynet{form}", f"PyTorch{form}") if name in times}
                found = candidates(group, kinds)
                forms += found
                workload = f"{NETWORK}, inference{form}"
                result.comparisons.append(Comparison(workload, count, threads, flops, tuple(found)))
            rows += [
                [
                    each.name,
                    str(count),
                    str(threads),
                    time_text(each.sample.median),
                    time_text(each.sample.minimum),
                    f"{each.ratio:.2f}",
                    *rate(flops, each.sample.median, peak_flops(threads)),
                ]
                for each in forms
            ]
    header = ["", "batch", "threads", "median", "minimum", "times tinynet's*", "GFLOP/s", "of the peak"]
    result.tables.append(Table(f"Inference of {NETWORK}", header, rows))
    result.note("* The plain form beside the plain one, the folded beside the folded one.")
    return result


def compare(sides: dict[str, Call]) -> None:
    """Raise if the scores differ."""
    expected, *others = ((name, call()) for name, call in sides.items())
    for name, scores in others:
        apart = float(np.linalg.norm(scores - expected[1]) / np.linalg.norm(expected[1]))
        if not apart <= TOLERANCE:
            raise BenchmarkError(
                f"inference: {expected[0]} and {name} must agree before they are timed; their scores differ "
                f"by {apart:.1e} (allowed {TOLERANCE:.0e})"
            )


def tinynet_sides(architecture: Architecture, count: int) -> dict[str, Call]:
    """tinynet, plain and folded."""
    import tinynet as tn

    model = tinynet_model(architecture)
    model(tn.from_numpy(batch(architecture, SEEN).x))  # in training mode: the statistics
    x = tn.from_numpy(batch(architecture, count).x)

    def side(model: Any) -> Call:
        def scores() -> Scores:
            with tn.no_grad():
                return np.asarray(model(x).numpy())

        return scores

    return {"tinynet": side(model.eval()), "tinynet, folded": side(tn.bn.fold(model))}


def torch_sides(architecture: Architecture, count: int) -> dict[str, Call]:
    """PyTorch in its best mode, plain and folded."""
    import copy

    import torch

    model = torch_model(architecture, MODES["channels_last"])
    model(torch.from_numpy(batch(architecture, SEEN).x))
    x = torch.from_numpy(batch(architecture, count).x)
    model.eval()
    folded = copy.deepcopy(model)
    fold_torch(folded)

    def side(model: Any) -> Call:
        def scores() -> Scores:
            with torch.inference_mode():
                return np.asarray(model(x).numpy())

        return scores

    last = folded.to(memory_format=torch.channels_last)
    return {"PyTorch": side(model), "PyTorch, folded": side(last)}


def fold_torch(model: Any) -> None:
    """Fold each normalisation that stands behind a convolution in a Sequential into it, in place."""
    from torch import nn
    from torch.nn.utils import fuse_conv_bn_eval

    for module in model.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for i in range(len(module) - 1):
            if isinstance(module[i], nn.Conv2d) and isinstance(module[i + 1], nn.BatchNorm2d):
                module[i] = fuse_conv_bn_eval(module[i], module[i + 1])  # type: ignore[type-var, arg-type]
                module[i + 1] = nn.Identity()
