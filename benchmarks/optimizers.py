"""The step of each optimiser beside PyTorch's: on the parameters of the MNIST network and on larger tensors.

PyTorch's side is timed as it is by default (``foreach=None``, on a CPU one loop over the parameters) and,
where it has that, with ``fused=True``.  Both libraries take the same weights and gradients; what three steps
make of them must agree before anything is timed.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.architectures import ARCHITECTURES, Arrays, weights
from benchmarks.report import BenchmarkError, Options, Result, Table, time_text
from benchmarks.timing import Function, alternate, torch_missing, use_threads

LARGE, QUICK = (10, 100_000), (2, 100)  # tensors, elements of each
MODES: dict[str, dict[str, bool]] = {"default": {}, "fused": {"fused": True}}
ALLOWED = 5e-6  # the largest difference of a weight (of size up to 5) after three steps


@dataclass(frozen=True)
class Case:
    """An optimiser, by the name of its class, and its options."""

    name: str
    options: dict[str, float]

    def __str__(self) -> str:
        return ", ".join([self.name, *(f"{key}={value:g}" for key, value in self.options.items())])


CASES = (
    Case("SGD", {"lr": 1e-3, "momentum": 0.9}),
    Case("Adam", {"lr": 1e-4}),
    Case("AdamW", {"lr": 1e-4}),
    Case("RMSprop", {"lr": 1e-4}),
    Case("Adagrad", {"lr": 1e-4}),
)


class Side:
    """One library's parameters, with gradients, and its optimiser."""

    def __init__(self, library: Any, case: Case, arrays: Arrays, mode: dict[str, bool]) -> None:
        rng = np.random.default_rng(2)
        self.parameters = [library.nn.Parameter(library.tensor(array)) for array in arrays]
        for parameter, array in zip(self.parameters, arrays, strict=True):
            gradient = 0.01 * rng.standard_normal(array.shape, dtype=np.float32)
            parameter.grad = library.tensor(gradient)
        made = getattr(library.optim, case.name)(self.parameters, **case.options, **mode)
        self.step: Function = made.step

    def values(self) -> Arrays:
        """The weights, copied."""
        return [parameter.detach().numpy().copy() for parameter in self.parameters]


def run(options: Options) -> Result:
    """One table for each number of threads."""
    result = Result()
    if missing := torch_missing():
        result.notes.append(missing)
    count, size = QUICK if options.quick else LARGE
    rng = np.random.default_rng(3)
    large = [rng.standard_normal(size, dtype=np.float32) for _ in range(count)]
    sets = {"MNIST network": weights(ARCHITECTURES["mnist_mlp"]), f"{count} tensors of {size:,}": large}
    for threads in options.threads:
        rows = []
        with use_threads(threads):
            for what, arrays in sets.items():
                for case in CASES:
                    rows.append(row(what, case, arrays, threads, options, result))
        header = ["optimiser", "parameters", "tinynet", *(f"PyTorch, {mode}" for mode in MODES)]
        result.tables.append(
            Table(f"One step (median), {threads} thread(s); in brackets: times tinynet's", header, rows)
        )
    return result


def row(what: str, case: Case, arrays: Arrays, threads: int, options: Options, result: Result) -> list[str]:
    """Check, then time one optimiser on one set of parameters."""
    sides = candidates(case, arrays)
    first, *others = sides.values()
    for _ in range(3):
        for side in sides.values():
            side.step()
    for side in others:
        worst = max(float(np.abs(a - b).max()) for a, b in zip(first.values(), side.values(), strict=True))
        if not worst <= ALLOWED:
            raise BenchmarkError(
                f"optimizers: {case}: both must agree before they are timed; got {worst:.1e}"
            )
    times = alternate(
        {name: side.step for name, side in sides.items()}, threads=threads, seconds=options.seconds(1)
    )
    own = times["tinynet"].median
    result.data[f"{case}, {what}, {threads} threads"] = {
        name: sample.to_json() for name, sample in times.items()
    }
    cells = [time_text(own)]
    for mode in MODES:
        if mode in times:
            cells.append(f"{time_text(times[mode].median)} ({times[mode].median / own:.2f})")
        else:
            cells.append("")
    return [str(case), what, *cells]


def candidates(case: Case, arrays: Arrays) -> dict[str, Side]:
    """tinynet's side and, if PyTorch is there, its modes."""
    import tinynet

    found = {"tinynet": Side(tinynet, case, arrays, {})}
    if not torch_missing():
        import torch

        accepted = inspect.signature(getattr(torch.optim, case.name)).parameters
        for name, mode in MODES.items():
            if set(mode) <= set(accepted):
                found[name] = Side(torch, case, arrays, mode)
    return found
