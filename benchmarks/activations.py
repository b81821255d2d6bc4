"""Activations and layer normalisation by themselves, forward and backward, beside PyTorch's."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.report import BenchmarkError, Options, Result, Table, time_text
from benchmarks.timing import Function, alternate, torch_missing, use_threads

SIZES = ((60, 100), (256, 1024), (4096, 512))

# Each is a function of the library's nn.functional and tensors.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "leaky_relu": lambda F, x: F.leaky_relu(x),
    "elu": lambda F, x: F.elu(x),
    "gelu": lambda F, x: F.gelu(x),
    "gelu, tanh": lambda F, x: F.gelu(x, approximate="tanh"),
    "silu": lambda F, x: F.silu(x),
    "softplus": lambda F, x: F.softplus(x),
    "hardtanh": lambda F, x: F.hardtanh(x),
    "softmax": lambda F, x: F.softmax(x, -1),
    "layer_norm": lambda F, x: F.layer_norm(x, x.shape[1:]),
    "layer_norm, affine": lambda F, x, w, b: F.layer_norm(x, x.shape[1:], w, b),
}


def run(options: Options) -> Result:
    """One table per number of threads: a row per function, the sizes side by side."""
    libraries = ["tinynet"] + ([] if torch_missing() else ["torch"])
    result = Result(notes=[torch_missing()] if torch_missing() else [])
    for threads in options.threads:
        with use_threads(threads):
            rows = []
            for name in FUNCTIONS:
                row = [name]
                for size in SIZES:
                    seconds = measure(name, size, libraries, threads, options)
                    row.append(time_text(seconds["tinynet"]))
                    if "torch" in seconds:
                        row.append(f"{seconds['torch'] / seconds['tinynet']:.2f}")
                    result.data[f"{name} {size}, {threads} threads"] = seconds
                rows.append(row)
        columns = [f"{n} x {c}" for n, c in SIZES]
        header = [""] + [
            h for c in columns for h in ([c, "times PyTorch's speed"] if len(libraries) > 1 else [c])
        ]
        result.tables.append(Table(f"Forward and backward, {threads} thread(s)", header, rows))
    return result


def measure(
    name: str, size: tuple[int, int], libraries: list[str], threads: int, options: Options
) -> dict[str, float]:
    """Median seconds of forward and backward by library, once their gradients agree."""
    calls = {library: call(library, name, size) for library in libraries}
    gradients = [c() for c in calls.values()]
    if not all(np.allclose(gradients[0], g, rtol=1e-4, atol=1e-5) for g in gradients):
        raise BenchmarkError(
            f"activations: the gradients of {name} of {size} must agree before they are timed"
        )
    timed: dict[str, Function] = dict(calls)
    samples = alternate(timed, threads=threads, seconds=options.seconds(0.6))
    return {library: sample.median for library, sample in samples.items()}


def call(library: str, name: str, size: tuple[int, int]) -> Callable[[], Any]:
    """Forward and backward of the function on fixed numbers; returns the gradient of x."""
    lib = importlib.import_module(library)
    rng = np.random.default_rng(0)
    x, g = (lib.from_numpy(rng.standard_normal(size, dtype=np.float32)) for _ in range(2))
    x.requires_grad_()
    inputs = [x]
    if "affine" in name:
        inputs += [lib.ones(size[1]).requires_grad_() for _ in range(2)]
    function = FUNCTIONS[name]

    def forward_and_backward() -> Any:
        for each in inputs:
            each.grad = None
        function(lib.nn.functional, *inputs).backward(g)
        return x.grad.numpy()

    return forward_and_backward
