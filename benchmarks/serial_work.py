"""Where a parallel region starts to pay: the same operation with one thread and with two, over sizes.

`team` in tinynet/ops/threads.pyx gives a loop its threads if its work is at least SERIAL_WORK
multiply-adds; here that bound is moved out of the way.  A region costs about half a microsecond while the
workers are awake, so the crossing lies where that is saved; on a busy machine workers have to be woken, and
nothing here means anything.
"""

from __future__ import annotations

import math
from functools import partial

import tinynet as tn
from benchmarks.report import BenchmarkError, Options, Result, Table, time_text
from benchmarks.timing import Function, alternate, use_threads
from tinynet import nn, optim
from tinynet.nn import functional as F
from tinynet.ops import threads as ops_threads

ELEMENTS = (2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000)
PRODUCTS = (
    (20, 32, 20),
    (30, 32, 40),
    (60, 10, 100),
    (60, 40, 40),
    (60, 64, 64),
    (60, 100, 100),
    (60, 100, 784),
)


def run(options: Options) -> Result:
    """Time elementwise operations, products, batch normalisation and SGD both ways."""
    count = max(options.threads)
    if count < 2:
        raise BenchmarkError("serial_work: --threads must name a number of at least 2")
    result = Result()
    with use_threads(count):
        if tn.get_num_threads() < 2:
            raise BenchmarkError("serial_work: this build of tinynet has no OpenMP")
        for title, family in {"elementwise": elementwise, "linear": products, "others": others}.items():
            rows = []
            for name, work, function in family(options.quick):
                times = alternate(ways(function), threads=count, seconds=options.seconds(0.5))
                one, more = times["one"], times["more"]
                rows.append(
                    [
                        name,
                        f"{work:,}",
                        time_text(one.median),
                        time_text(more.median),
                        f"{one.median / more.median:.2f}",
                        f"{one.minimum / more.minimum:.2f}",
                    ]
                )
                result.data[name] = {"work": work, "one": one.to_json(), f"{count} threads": more.to_json()}
            header = [
                title,
                "multiply-adds*",
                "1 thread",
                f"{count} threads",
                "ratio of medians",
                "of minima",
            ]
            result.tables.append(Table(f"{title}: 1 against {count} threads (wall clock)", header, rows))
    result.notes.append(
        "* For linear; elements elsewhere (each operation states its cost per element to `team`)."
    )
    return result


def ways(function: Function) -> dict[str, Function]:
    """The call with every loop serial, and with every loop parallel."""

    def bounded(work: float) -> Function:
        def call() -> None:
            former = ops_threads._set_serial_work(work)
            try:
                function()
            finally:
                ops_threads._set_serial_work(former)

        return call

    return {"one": bounded(math.inf), "more": bounded(0.0)}


def elementwise(quick: bool) -> list[tuple[str, int, Function]]:
    """Sigmoid and ReLU over sizes."""
    found: list[tuple[str, int, Function]] = []
    for size in ELEMENTS[:1] if quick else ELEMENTS:
        x = tn.randn(size)
        found.append((f"sigmoid {size:,}", size, lambda x=x: F.sigmoid(x)))  # type: ignore[misc]
        found.append((f"relu {size:,}", size, lambda x=x: F.relu(x)))  # type: ignore[misc]
    return found


def products(quick: bool) -> list[tuple[str, int, Function]]:
    """y = x w' over sizes."""
    found: list[tuple[str, int, Function]] = []
    for n, k, c in PRODUCTS[:1] if quick else PRODUCTS:
        x, w = tn.randn(n, c), tn.randn(k, c)
        found.append((f"{n} x {k} x {c}", n * k * c, lambda x=x, w=w: F.linear(x, w)))  # type: ignore[misc]
    return found


def read(layer: nn.Module, x: tn.Tensor) -> object:
    """The layer's output as an array: some layers compute when they are read."""
    return layer(x).numpy()


def others(quick: bool) -> list[tuple[str, int, Function]]:
    """Batch normalisation and the optimiser."""
    found: list[tuple[str, int, Function]] = []
    for rows in (60,) if quick else (60, 240, 960):
        x, layer = tn.randn(rows, 100), nn.BatchNorm1d(100)
        layer.requires_grad_(False)
        found.append((f"batch_norm ({rows}, 100)", rows * 100, partial(read, layer, x)))
    for size in (10_000,) if quick else (10_000, 89_610, 1_000_000):
        parameter = nn.Parameter(tn.zeros(size))
        parameter.grad = tn.zeros(size)
        found.append(
            (f"SGD with momentum, {size:,}", size, optim.SGD([parameter], lr=0.1, momentum=0.9).step)
        )
    return found
