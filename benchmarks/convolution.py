"""Single convolutions beside PyTorch's, channels last in both: forward, gradients of input and weights.

The shapes are those of the downscaled BN-Inception and of LeNet.  A gradient's time is that of a backward
that computes it alone.  Values and gradients are compared first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.report import BenchmarkError, Options, Result, Table
from benchmarks.timing import Function, alternate, torch_missing, use_threads

# (H, W), C -> K, kernel, stride
SHAPES = (
    (32, 3, 64, 3, 1),
    (32, 48, 48, 3, 1),
    (16, 64, 96, 3, 1),
    (8, 96, 160, 3, 1),
    (32, 48, 64, 3, 2),
    (16, 64, 96, 3, 2),
    (32, 160, 48, 1, 1),
    (16, 272, 80, 1, 1),
    (8, 448, 112, 1, 1),
    (12, 20, 50, 5, 1),
)
BATCH = 32
TOLERANCE = 2e-5  # relative, in the l2 norm
PARTS = ("forward", "gx", "gw")


def run(options: Options) -> Result:
    """One table per number of threads."""
    result = Result()
    without_torch = torch_missing()
    if without_torch:
        result.notes.append(without_torch)
    shapes = SHAPES[4:5] if options.quick else SHAPES
    count = 2 if options.quick else BATCH
    for threads in options.threads:
        rows = []
        with use_threads(threads):
            for shape in shapes:
                ours = calls("tinynet", shape, count)
                sides = (
                    {"tinynet": ours}
                    if without_torch
                    else {"tinynet": ours, "torch": calls("torch", shape, count)}
                )
                if not without_torch:
                    compare(shape, sides)
                size, c, k, kernel, stride = shape
                out = (size - 1) // stride + 1 if kernel != 5 else size - 4
                work = 2e-9 * count * out * out * c * k * kernel * kernel  # GFLOP
                row = [
                    f"{size} x {size}, {c} -> {k}, {kernel} x {kernel}"
                    + (f" / {stride}" if stride > 1 else "")
                ]
                for part in PARTS:
                    timed: dict[str, Function] = {name: side[part] for name, side in sides.items()}
                    times = alternate(timed, threads=threads, seconds=options.seconds(1.5), at_least=2e-3)
                    median = times["tinynet"].median
                    row.append(f"{work / median:.0f}")
                    row.append("" if without_torch else f"{times['torch'].median / median:.2f}")
                    result.data[f"{row[0]}, {part}, {threads} threads"] = {
                        name: sample.to_json() for name, sample in times.items()
                    }
                rows.append(row)
        header = [
            "H x W, C -> K, kernel / stride",
            *(text for part in PARTS for text in (f"{part}, GFLOP/s", "ratio")),
        ]
        result.tables.append(Table(f"{threads} thread(s), batch {count}", header, rows))
    result.notes.append("Ratio: PyTorch's time over tinynet's.")
    return result


def calls(name: str, shape: tuple[int, ...], count: int) -> dict[str, Callable[[], Any]]:
    """The three computations in one library; each returns an array."""
    library: Any = __import__(name)
    size, c, k, kernel, stride = shape
    rng = np.random.default_rng(0)
    padding = kernel // 2 if kernel != 5 else 0
    x = rng.standard_normal((count, size, size, c), dtype=np.float32).transpose(0, 3, 1, 2)
    w = rng.standard_normal((k, c, kernel, kernel), dtype=np.float32)

    def tensors(needs_x: bool, needs_w: bool) -> tuple[Any, Any, Any]:
        a, b = library.from_numpy(x).requires_grad_(needs_x), library.from_numpy(w)
        if name == "torch":
            b = b.contiguous(memory_format=library.channels_last)
        b.requires_grad_(needs_w)
        return a, b, library.nn.functional.conv2d(a, b, None, stride, padding)

    plain_x, plain_w, y = tensors(False, False)
    g = library.ones_like(y)

    def forward() -> Any:
        return library.nn.functional.conv2d(plain_x, plain_w, None, stride, padding)

    def gradient(needs_x: bool) -> Callable[[], Any]:
        a, b, recorded = tensors(needs_x, not needs_x)

        def backward() -> Any:
            return library.autograd.grad(recorded, a if needs_x else b, g, retain_graph=True)[0]

        return backward

    return {"forward": forward, "gx": gradient(True), "gw": gradient(False)}


def compare(shape: tuple[int, ...], sides: dict[str, dict[str, Callable[[], Any]]]) -> None:
    """Raise if the libraries do not compute the same."""
    for part in PARTS:
        own, other = (np.asarray(sides[name][part]().numpy(), np.float64) for name in ("tinynet", "torch"))
        apart = float(np.linalg.norm(own - other) / np.linalg.norm(other))
        if not apart <= TOLERANCE:
            raise BenchmarkError(
                f"convolution: {part} of {shape} must agree with PyTorch's; they differ by {apart:.1e} "
                f"(allowed {TOLERANCE:.0e})"
            )
