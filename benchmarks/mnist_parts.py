"""What the MNIST step spends its time on.

A network of the same layers but two units wide has the same nodes and no arithmetic to speak of: its step
is what Python, checks, graph and optimiser calls cost.  The rest of the real step is kernels; the second
table times these by themselves.
"""

from __future__ import annotations

from typing import Any

import tinynet as tn
from benchmarks.architectures import ARCHITECTURES, MLP_SIZES, mlp
from benchmarks.networks import LR, MOMENTUM, Trainer, tinynet_trainer
from benchmarks.report import Options, Result, Table
from benchmarks.timing import Function, alternate, use_threads
from tinynet import nn, optim
from tinynet.nn import functional as F

BATCH = 60
TINY, FEW = mlp((2, 2, 2, 2, 2)), 4


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
    """Forward, backward and update of the real and of the tiny network."""
    real = tinynet_trainer(ARCHITECTURES["mnist_mlp"], BATCH)
    tiny = tinynet_trainer(TINY, FEW)
    candidates: dict[str, Function] = {}
    for size, trainer in (("real", real), ("tiny", tiny)):
        candidates |= {f"{size} {name}": call for name, call in parts(trainer).items()}
    times = alternate(candidates, threads=threads, seconds=options.seconds(4), at_least=0)
    medians = {name: sample.median for name, sample in times.items()}
    rows = []

    def add(name: str, real_seconds: float, tiny_seconds: float) -> None:
        rows.append([name, _us(real_seconds), _us(tiny_seconds), _us(real_seconds - tiny_seconds)])
        result.data[f"{name}, {threads} threads"] = {"seconds": real_seconds, "overhead_s": tiny_seconds}

    add("forward and loss", medians["real forward"], medians["tiny forward"])
    both = "forward, backward"
    add(
        "backward",
        medians[f"real {both}"] - medians["real forward"],
        medians[f"tiny {both}"] - medians["tiny forward"],
    )
    for name in ("update", "zero_grad, forward, backward, update"):
        add(name, medians[f"real {name}"], medians[f"tiny {name}"])
    header = ["us", "the step", "without arithmetic*", "kernels (difference)"]
    return Table(f"The parts of a step, {threads} thread(s)", header, rows)


def parts(trainer: Trainer) -> dict[str, Function]:
    """Stretches of a step that can be called by themselves."""

    def forward_backward() -> None:
        trainer.forget()
        trainer.loss().backward()

    return {
        "forward": trainer.loss,
        "forward, backward": forward_backward,
        "update": trainer.update,
        "zero_grad, forward, backward, update": trainer.step,
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
