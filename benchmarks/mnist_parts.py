"""What the MNIST step spends its time on.

A network of the same layers but two units wide has the same nodes and no arithmetic to speak of: its step
is what Python, checks, graph and optimiser calls cost.  The rest of the real step is kernels; the second
table times these by themselves.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import tinynet as tn
from benchmarks.architectures import ARCHITECTURES, MLP_SIZES, mlp
from benchmarks.networks import LR, MOMENTUM, Trainer, tinynet_trainer
from benchmarks.report import Options, Result, Table
from benchmarks.timing import Function, alternate, clock, use_threads
from tinynet import nn, optim
from tinynet.nn import functional as F

BATCH = 60
TINY, FEW = mlp((2, 2, 2, 2, 2)), 4
RUN, UNCOUNTED = 50, 10  # steps in a row, and those of them in which caches and threads come back to it


def run(options: Options) -> Result:
    """Both tables for each number of threads."""
    result = Result()
    for threads in options.threads:
        with use_threads(threads):
            result.tables.append(phases(threads, options, result))
            result.tables.append(kernels(threads, options, result))
    result.notes.append("* The same calls on a network of the same layers, two units wide, batch 4.")
    return result


def phases(threads: int, options: Options, result: Result) -> Table:
    """Forward, backward and update of the real and of the tiny network, in runs of steps that take turns."""
    trainers = {
        "real": tinynet_trainer(ARCHITECTURES["mnist_mlp"], BATCH),
        "tiny": tinynet_trainer(TINY, FEW),
    }
    now = clock(threads)
    steps: dict[str, list[dict[str, float]]] = {name: [] for name in trainers}
    end = time.perf_counter() + options.seconds(4)
    while not steps["tiny"] or time.perf_counter() < end:
        for name, trainer in trainers.items():
            steps[name] += [parts(trainer, now) for _ in range(RUN)][UNCOUNTED:]
    rows = []
    for part in steps["real"][0]:
        real, tiny = (statistics.median(step[part] for step in steps[name]) for name in trainers)
        rows.append([part, _us(real), _us(tiny), _us(real - tiny)])
        result.data[f"{part}, {threads} threads"] = {"seconds": real, "overhead_s": tiny}
    header = ["us", "the step", "without arithmetic*", "kernels (difference)"]
    return Table(f"The parts of a step, {threads} thread(s)", header, rows)


def parts(trainer: Trainer, now: Callable[[], float]) -> dict[str, float]:
    """One step; the seconds of each of its parts."""
    start = now()
    trainer.forget()
    forgotten = now()
    loss = trainer.loss()
    forward = now()
    loss.backward()
    backward = now()
    trainer.update()
    end = now()
    return {
        "zero_grad": forgotten - start,
        "forward and loss": forward - forgotten,
        "backward": backward - forward,
        "update": end - backward,
        "all": end - start,
    }


def kernels(threads: int, options: Options, result: Result) -> Table:
    """Each kernel at the shapes of the step, without a graph; how often the step calls it."""
    n, (c, h, k) = BATCH, (MLP_SIZES[0], MLP_SIZES[1], MLP_SIZES[-1])
    x, z, y = tn.randn(n, c), tn.randn(n, h), tn.randn(n, k)
    w1, w2, w3 = tn.randn(h, c), tn.randn(h, h), tn.randn(k, h)
    labels = tn.zeros(n, dtype="int64")
    norm = nn.BatchNorm1d(h)
    model: Any = nn.Sequential(nn.Linear(c, h), nn.Linear(h, h), nn.Linear(h, h), nn.Linear(h, k))
    for parameter in model.parameters():
        parameter.grad = tn.zeros(*parameter.shape)
    optimizer = optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)
    calls: dict[str, tuple[int, Function]] = {
        f"y = x w', {n} x {h} x {c}": (1, lambda: F.linear(x, w1)),
        f"gw = gy' x, {n} x {h} x {c}": (1, lambda: z.T @ x),
        f"y = x w', {n} x {h} x {h}": (2, lambda: F.linear(z, w2)),
        f"gx = gy w, {n} x {h} x {h}": (2, lambda: z @ w2),
        f"gw = gy' x, {n} x {h} x {h}": (2, lambda: z.T @ z),
        f"y = x w', {n} x {k} x {h}": (1, lambda: F.linear(z, w3)),
        f"gx = gy w, {n} x {k} x {h}": (1, lambda: y @ w3),
        f"gw = gy' x, {n} x {k} x {h}": (1, lambda: y.T @ z),
        # read, as the next layer does: until then the two are only a recipe
        f"batch_norm and sigmoid forward, ({n}, {h})": (3, lambda: F.sigmoid(norm(z)).numpy()),
        f"cross_entropy forward, ({n}, {k})": (1, lambda: F.cross_entropy(y, labels)),
        "SGD with momentum, 4 layers": (1, optimizer.step),
    }
    with tn.no_grad():
        times = alternate(
            {name: call for name, (_, call) in calls.items()}, threads=threads, seconds=options.seconds(3)
        )
    rows = []
    for name, (count, _) in calls.items():
        seconds = times[name].median
        rows.append([name, str(count), _us(seconds), _us(count * seconds)])
        result.data[f"{name}, {threads} threads"] = {"seconds": seconds, "calls": count}
    return Table(
        f"Operations by themselves, {threads} thread(s)", ["", "calls", "us each", "us in all"], rows
    )


def _us(seconds: float) -> str:
    return f"{1e6 * seconds:.1f}"
