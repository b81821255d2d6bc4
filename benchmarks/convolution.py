"""Single convolutions beside PyTorch's: forward and both gradients, at the shapes of the downscaled
BN-Inception and of LeNet."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.operations import Operation, tables
from benchmarks.report import Options, Result

# (H, W), C -> K, kernel, stride
SHAPES = (
    (32, 3, 64, 3, 1),
    (32, 48, 48, 3, 1),
    (16, 64, 96, 3, 1),
    (8, 96, 160, 3, 1),
    (8, 96, 96, 3, 1),
    (32, 48, 64, 3, 2),
    (16, 64, 96, 3, 2),
    (32, 160, 48, 1, 1),
    (32, 64, 96, 1, 1),
    (16, 272, 80, 1, 1),
    (8, 448, 112, 1, 1),
    (12, 20, 50, 5, 1),
)
BATCH = 32


def run(options: Options) -> Result:
    """One table per number of threads."""
    result = Result()
    tables(f"Convolutions, batch {BATCH}", convolutions(options), options, result)
    return result


def convolutions(options: Options) -> list[Operation]:
    """All of them, or (quick) one with few images."""
    if options.quick:
        return [convolution(*SHAPES[5], count=2)]
    return [convolution(*shape, count=BATCH) for shape in SHAPES]


def convolution(size: int, c: int, k: int, kernel: int, stride: int, count: int) -> Operation:
    """Padded so that it keeps the size (at stride 1); the 5 x 5 is LeNet's, without padding."""
    padding = kernel // 2 if kernel != 5 else 0
    out = (size + 2 * padding - kernel) // stride + 1
    title = f"{size} x {size}, {c} -> {k}, {kernel} x {kernel}" + (f" / {stride}" if stride > 1 else "")
    return Operation(
        title,
        ((count, c, size, size), (k, c, kernel, kernel)),
        partial(_apply, stride=stride, padding=padding),
        {"gx": (0,), "gw": (1,)},
        2 * count * out * out * c * k * kernel * kernel,
    )


def _apply(functional: Any, x: Any, w: Any, *, stride: int, padding: int) -> Any:
    return functional.conv2d(x, w, None, stride, padding)
