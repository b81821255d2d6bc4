"""The main job, both networks of examples/mnist.py with all measurements, beside the same loop in PyTorch.

PyTorch's side is its best mode for this job: eager, fused SGD, the images preloaded as tensors, one
`index_select` per array and batch, gradients dropped rather than zeroed, measurements under
`inference_mode`.  Images are kept as bytes and converted batch by batch, or as floats, whichever a short
trial finds faster.  Both sides start from the same weights, see the same batches and are measured at the
same steps in the same way: chunks of the test set, exact population statistics over the same batches,
percentiles by the same NumPy function.  The curves are compared before the times are.

Needs MNIST (--data, $TINYNET_DATA, or the user cache); without it, and with --quick, it runs on the bundled
digits.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.report import BenchmarkError, Options, Result, Table
from benchmarks.timing import clock, torch_missing, use_threads
from tinynet import data
from tinynet.bn import PercentileHistory
from tinynet.data import DataLoader, TensorDataset
from tinynet.experiments.mnist_study import NETWORKS, Images, Run, Settings, population, train_network
from tinynet.models import mnist_mlp
from tinynet.random import Generator

CHUNK = 1000  # the default of tinynet.experiments.evaluate
# Two float32 runs that round differently drift apart; averaged over the curve the accuracies stay this close.
CURVE_TOLERANCE = 0.01
Train = Callable[..., Run]


def run(options: Options) -> Result:
    """Run both libraries in turn, for each number of threads."""
    result = Result()
    missing = torch_missing()
    if missing:
        result.notes.append(missing)
    try:
        parts = [
            data.load("digits" if options.quick else "mnist", train, options.data, offline=True)
            for train in (True, False)
        ]
    except Exception as error:
        raise BenchmarkError(f"mnist_loop: no data: {error}") from error
    images = Images.of(*parts)
    settings = Settings(steps=20 if options.quick else options.steps)
    repeats = 1 if options.quick else 3
    libraries: dict[str, Train] = {"tinynet": train_network}
    if not missing:
        libraries["PyTorch"] = train_network_torch
    for threads in options.threads:
        with use_threads(threads):
            if not missing:
                settle_form(images, result)
            rows = measure(images, settings, libraries, repeats, threads, result)
        header = ["", *libraries, *(["ratio", "tinynet / PyTorch"] if not missing else [])]
        title = f"{images.name}, {settings.steps:,} steps, {threads} thread(s), median of {repeats}"
        result.tables.append(Table(title, header, rows))
    return result


def measure(
    images: Images,
    settings: Settings,
    libraries: dict[str, Train],
    repeats: int,
    threads: int,
    result: Result,
) -> list[list[str]]:
    """Rows of seconds per network and of both together."""
    now = clock(threads)
    seconds: dict[tuple[str, str], list[float]] = {}
    with contextlib.redirect_stderr(io.StringIO()):
        for train in libraries.values():  # what a library does once is not part of the loop
            train(images, replace(settings, steps=20), 0, batch_norm=True)
    for _ in range(repeats):
        for network in NETWORKS:
            curves = {}
            for library, train in libraries.items():
                with contextlib.redirect_stderr(io.StringIO()):  # the progress bar
                    start = now()
                    done = train(images, settings, 0, batch_norm=network == "batch_norm")
                    seconds.setdefault((library, network), []).append(now() - start)
                curves[library] = np.array(done.accuracy)
            if len(curves) == 2:
                compare(network, curves, result)
    rows, total = [], dict.fromkeys(libraries, 0.0)
    for network in [*NETWORKS, "both"]:
        times = total
        if network != "both":
            times = {library: statistics.median(seconds[library, network]) for library in libraries}
            total = {library: total[library] + times[library] for library in libraries}
        row = [network, *(f"{time:.2f} s" for time in times.values())]
        if "PyTorch" in times:
            row += [
                f"{times['PyTorch'] / times['tinynet']:.2f}",
                f"{times['tinynet'] / times['PyTorch']:.0%}",
            ]
        rows.append(row)
        result.data[f"{network}, {threads} threads"] = dict(times)
    return rows


def compare(network: str, curves: dict[str, Any], result: Result) -> None:
    """Stop if the two libraries did not learn the same."""
    apart = np.abs(curves["tinynet"] - curves["PyTorch"])
    note = (
        f"{network}: accuracies differ by {apart.mean():.4f} on average (allowed {CURVE_TOLERANCE}), "
        f"{apart.max():.4f} at most."
    )
    if not apart.mean() <= CURVE_TOLERANCE:
        raise BenchmarkError(f"mnist_loop: {note}")
    if note not in result.notes:
        result.notes.append(note)


# ---- PyTorch's side ----

_bytes = False  # how PyTorch keeps the images, settled by a trial


def settle_form(images: Images, result: Result) -> None:
    """Let PyTorch keep the images as bytes or as floats, whichever gathers batches faster."""
    global _bytes
    import torch

    order = torch.from_numpy(np.random.default_rng(0).permutation(len(images.x)))
    forms = {
        True: torch.from_numpy(np.asarray(images.x, np.uint8)),
        False: torch.from_numpy(np.asarray(images.x, np.float32)),
    }
    times = {}
    for as_bytes, x in forms.items():
        taken = []
        for at in range(0, len(order) - 59, 60):
            rows = order[at : at + 60]
            start = time.thread_time()
            x.index_select(0, rows).to(torch.float32)
            taken.append(time.thread_time() - start)
        times[as_bytes] = statistics.median(taken)
    _bytes = times[True] < times[False]
    result.notes.append(
        f"PyTorch gathers a batch in {1e6 * times[True]:.0f} us from bytes, in {1e6 * times[False]:.0f} us "
        f"from floats: it keeps {'bytes' if _bytes else 'floats'}."
    )


def torch_network(settings: Settings, seed: int, batch_norm: bool) -> Any:
    """The same network with the same initial weights."""
    import torch
    from torch import nn

    layers: list[Any] = []
    size = 784
    for _ in range(3):
        layers.append(nn.Linear(size, 100, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm1d(100))
        layers.append(nn.Sigmoid())
        size = 100
    model = nn.Sequential(*layers, nn.Linear(100, 10))
    twin = mnist_mlp(batch_norm=batch_norm, weight_std=settings.std, generator=Generator(seed))
    with torch.no_grad():
        for own, other in zip(model.parameters(), twin.parameters(), strict=True):
            own.copy_(torch.from_numpy(other.detach().numpy().copy()))
    return model


def population_statistics(model: Any, batches: list[Any]) -> None:
    """Algorithm 2 by PyTorch's cumulative average (momentum None), whose variances carry m/(m-1) already."""
    from torch import nn

    layers = [module for module in model if isinstance(module, nn.BatchNorm1d)]
    usual = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    model.train()
    for batch in batches:
        model(batch)
    for layer, momentum in zip(layers, usual, strict=True):
        layer.momentum = momentum


def train_network_torch(images: Images, settings: Settings, seed: int, *, batch_norm: bool) -> Run:
    """Train and measure one of the two networks."""
    import torch
    from torch import nn

    start = time.perf_counter()
    model = torch_network(settings, seed, batch_norm)
    x = torch.from_numpy(np.asarray(images.x, np.uint8 if _bytes else np.float32))
    y, x_test = torch.from_numpy(images.y), torch.from_numpy(images.x_test)
    loader = DataLoader(
        TensorDataset(images.x, images.y), settings.batch_size, shuffle=True, drop_last=True, seed=seed
    )
    batches = (
        [torch.from_numpy(batch.numpy()) for batch in population(images, settings)] if batch_norm else []
    )
    body, last = model[:-2], model[-2:]  # split before the last hidden layer's sigmoid
    accuracy: list[float] = []
    percentiles = PercentileHistory()

    def measure(step: int) -> None:
        with torch.inference_mode():
            if batch_norm:
                population_statistics(model, batches)
            model.eval()
            inputs, right = [], 0
            for at in range(0, len(x_test), CHUNK):
                inputs.append(body(x_test[at : at + CHUNK]).numpy())
                scores = last(torch.from_numpy(inputs[-1]))
                right += int((scores.argmax(dim=1).numpy() == images.y_test[at : at + CHUNK]).sum())
            model.train()
        accuracy.append(right / len(x_test))
        percentiles.add(step, np.concatenate(inputs))

    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=settings.lr, fused=True)
    size, count, step, epoch = settings.batch_size, len(loader), 0, 0
    model.train()
    while step < settings.steps:
        order = torch.from_numpy(loader.order(epoch))
        epoch += 1
        for batch in range(min(count, settings.steps - step)):
            rows = order[batch * size : (batch + 1) * size]
            inputs = x.index_select(0, rows)
            loss = loss_function(
                model(inputs.to(torch.float32) if _bytes else inputs), y.index_select(0, rows)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if step % 100 == 0:
                loss.item()  # as the progress bar reads it
            if step == 1 or step % settings.every == 0 or step == settings.steps:
                measure(step)
    return Run(accuracy, percentiles, time.perf_counter() - start)
