"""Single operations beside PyTorch's: convolutions, linear layers, batch normalisation with ReLU, pooling.

The shapes are those of the networks, mostly of the downscaled BN-Inception at batch 32.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks import convolution
from benchmarks.operations import Operation, tables
from benchmarks.report import Options, Result

BATCH = convolution.BATCH
LINEAR = ((60, 784, 100), (60, 100, 100), (64, 800, 500), (128, 1024, 1000))  # N, D, K
NORM = ((32, 48), (16, 96), (8, 160))  # (H, W), C
# Kind, (H, W), C, stride; all 3 x 3 with padding 1
POOLS = (
    ("max", 32, 160, 2),
    ("max", 16, 288, 2),
    ("max", 8, 448, 1),
    ("avg", 32, 64, 1),
    ("avg", 16, 272, 1),
)


def run(options: Options) -> Result:
    """The tables of one family after the other."""
    result = Result()
    count = 2 if options.quick else BATCH
    families = {
        f"Convolutions, batch {count}": convolution.convolutions(options),
        "Linear layers without bias": [linear(*shape) for shape in LINEAR],
        f"Batch normalisation and ReLU, batch {count}": [norm(*shape, count) for shape in NORM],
        f"Pooling over 3 x 3, batch {count}": [pool(*shape, count) for shape in POOLS],
    }
    for title, operations in families.items():
        tables(title, operations[:1] if options.quick else operations, options, result)
    return result


def linear(n: int, d: int, k: int) -> Operation:
    """y (N, K) = x (N, D) w' (D, K)."""
    return Operation(
        f"{n} x {d} -> {k}",
        ((n, d), (k, d)),
        lambda functional, x, w: functional.linear(x, w),
        {"gx": (0,), "gw": (1,)},
        2 * n * d * k,
    )


def norm(size: int, c: int, count: int) -> Operation:
    """With batch statistics; PyTorch's ReLU works in place, its faster way."""
    # Where the two round the input of a ReLU to different sides of 0, a term of a gradient comes or goes.
    return Operation(
        f"{size} x {size} x {c}",
        ((count, c, size, size), (c,), (c,)),
        _norm_relu,
        {"backward": (0, 1, 2)},
        tolerance=5e-3,
    )


def _norm_relu(functional: Any, x: Any, gamma: Any, beta: Any) -> Any:
    y = functional.batch_norm(x, None, None, gamma, beta, True)
    return functional.relu(y, inplace=functional.__name__.startswith("torch"))


def pool(kind: str, size: int, c: int, stride: int, count: int) -> Operation:
    """Windows of 3 x 3 with padding 1."""
    return Operation(
        f"{kind}, stride {stride}, {size} x {size} x {c}",
        ((count, c, size, size),),
        partial(_pool, kind=kind, stride=stride),
        {"backward": (0,)},
    )


def _pool(functional: Any, x: Any, *, kind: str, stride: int) -> Any:
    return (functional.max_pool2d if kind == "max" else functional.avg_pool2d)(x, 3, stride, 1)
