"""Packed panels against OpenBLAS in the three products of a linear layer, x (N, C), w (K, C), gy (N, K),
float32:

    y  (N, K) = x w'        gx (N, C) = gy w        gw (K, C) = gy' x

Both are reached through the operations, so that checks, packing and chunking count.
`tinynet/ops/linear.pyx` decides by the number of multiply-adds which of the two is used; the last lines say
where they cross.
"""

from __future__ import annotations

import contextlib
import math

import numpy as np
import threadpoolctl

import tinynet as tn
from benchmarks.report import Options, Result, Table
from benchmarks.timing import Function, alternate, use_threads
from tinynet.nn import functional as F
from tinynet.ops import linear

# N, K, C
SHAPES = (
    (60, 10, 100),
    (60, 100, 100),
    (60, 100, 784),
    (60, 784, 784),
    (256, 256, 256),
    (512, 512, 512),
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (128, 4096, 1024),
    (100, 784, 10000),
    (10000, 100, 784),
    (8192, 192, 272),
    (32768, 48, 160),
    (1, 1000, 1000),
    (1000, 10, 1000),
    (2000, 4, 1000),
    (2000, 1, 1000),
    (1000, 1000, 2),
)
QUICK = ((60, 10, 100), (2000, 1, 100))


def run(options: Options) -> Result:
    """Time every product of every shape in both ways."""
    result = Result()
    for threads in options.threads:
        # SciPy's OpenBLAS is held to one thread for the whole run: it is called from our own parallel loop.
        with use_threads(threads), threadpoolctl.threadpool_limits(1, "blas"):
            table(threads, options, result)
    return result


def table(threads: int, options: Options, result: Result) -> None:
    """One row per shape; for each product GFLOP/s of the panels, of BLAS, and their ratio."""
    rows, lost = [], []
    for n, k, c in QUICK if options.quick else SHAPES:
        row = [f"{n} x {k} x {c}"]
        for name, function, flops in products(n, k, c):
            times = alternate(ways(function), threads=threads, seconds=options.seconds(0.4), rounds=(3, 2000))
            panels, blas = flops / times["panels"].median / 1e9, flops / times["blas"].median / 1e9
            row += [f"{panels:.0f}", f"{blas:.0f}", f"{panels / blas:.2f}"]
            result.data[f"{name} {n}x{k}x{c}, {threads} threads"] = {
                "panels": panels,
                "blas": blas,
                "unit": "GFLOP/s",
            }
            if panels < 0.95 * blas:
                lost.append(f"{name} of {n}x{k}x{c} ({n * k * c:.1e} multiply-adds, {panels / blas:.2f})")
        rows.append(row)
    header = [
        "N x K x C",
        *(f"{name} {way}" for name in ("y", "gx", "gw") for way in ("panels", "BLAS", "ratio")),
    ]
    result.tables.append(Table(f"GFLOP/s (median), {threads} thread(s)", header, rows))
    result.notes.append(
        f"{threads} thread(s): BLAS is more than 5 % faster in {'; '.join(lost) or 'none of these'}."
    )


def products(n: int, k: int, c: int) -> list[tuple[str, Function, float]]:
    """Name, call and floating-point operations of the three products."""
    rng = np.random.default_rng(0)
    x, w, gy = (
        tn.from_numpy(rng.standard_normal(shape, dtype=np.float32)) for shape in ((n, c), (k, c), (n, k))
    )
    flops = 2.0 * n * k * c
    return [
        ("y", lambda: F.linear(x, w), flops),
        ("gx", lambda: gy @ w, flops),
        ("gw", lambda: gy.T @ x, flops),
    ]


def ways(function: Function) -> dict[str, Function]:
    """The product by panels and by BLAS; the bound that was set comes back after each call."""

    def bounded(work: float) -> Function:
        def call() -> None:
            with panels_up_to(work):
                function()

        return call

    return {"panels": bounded(math.inf), "blas": bounded(0.0)}


class panels_up_to(contextlib.AbstractContextManager[None]):
    """Products up to this many multiply-adds by panels inside the block."""

    def __init__(self, work: float) -> None:
        self.work = work

    def __enter__(self) -> None:
        self.former = linear._set_panels_up_to(self.work)

    def __exit__(self, *_: object) -> None:
        linear._set_panels_up_to(self.former)
