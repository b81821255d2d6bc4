"""The network that is timed, in both libraries, from the same weights: 784-100-100-100-10, BN and sigmoid,
batch 60.

A step is what a training loop does with one batch: forget the gradients, forward, loss, backward, SGD with
momentum. Each library is imported by its own function alone, so that a fresh process can be measured with
only one of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SIZES = (784, 100, 100, 100, 10)
BATCH = 60
LR, MOMENTUM = 1e-3, 0.9
TORCH_MODES: dict[str, dict[str, bool]] = {
    "default": {},
    "fused": {"fused": True},
    "foreach": {"foreach": True},
}

Arrays = list[npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Batch:
    """Images (N, 784) float32 and labels (N,) int64."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trainer:
    """One library's side: `step` makes one update; the others are for checks and for timing parts."""

    step: Callable[[], object]
    forget: Callable[[], object]
    loss: Callable[[], Any]
    update: Callable[[], object]
    gradients: Callable[[], Arrays]


def batch(sizes: tuple[int, ...] = SIZES, count: int = BATCH) -> Batch:
    """A fixed random batch."""
    rng = np.random.default_rng(0)
    return Batch(
        rng.standard_normal((count, sizes[0]), dtype=np.float32),
        rng.integers(0, sizes[-1], count, dtype=np.int64),
    )


def weights(sizes: tuple[int, ...] = SIZES) -> Arrays:
    """Parameters in order: weight, gamma and beta of each hidden layer; weight and bias of the last."""
    rng = np.random.default_rng(1)
    arrays: Arrays = []
    for fan_in, fan_out in itertools.pairwise(sizes[:-1]):
        arrays.append(0.1 * rng.standard_normal((fan_out, fan_in), dtype=np.float32))
        arrays += [np.ones(fan_out, np.float32), np.zeros(fan_out, np.float32)]
    arrays.append(0.1 * rng.standard_normal((sizes[-1], sizes[-2]), dtype=np.float32))
    arrays.append(np.zeros(sizes[-1], np.float32))
    return arrays


def tinynet_trainer(sizes: tuple[int, ...] = SIZES, count: int = BATCH) -> Trainer:
    """tinynet's side."""
    import tinynet

    return _trainer(tinynet, {}, sizes, count)


def torch_trainer(mode: str = "fused", sizes: tuple[int, ...] = SIZES, count: int = BATCH) -> Trainer:
    """PyTorch's side, in eager mode; `mode` is the implementation of its SGD, a key of `TORCH_MODES`."""
    import torch

    return _trainer(torch, TORCH_MODES[mode], sizes, count)


def _trainer(library: Any, mode: dict[str, bool], sizes: tuple[int, ...], count: int) -> Trainer:
    """The same source for both: tinynet's names are PyTorch's."""
    nn = library.nn
    layers: list[Any] = []
    for fan_in, fan_out in itertools.pairwise(sizes[:-1]):
        layers += [nn.Linear(fan_in, fan_out, bias=False), nn.BatchNorm1d(fan_out), nn.Sigmoid()]
    model = nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))
    with library.no_grad():
        for parameter, array in zip(model.parameters(), weights(sizes), strict=True):
            parameter.copy_(library.from_numpy(array))
    data = batch(sizes, count)
    x, y = library.from_numpy(data.x), library.from_numpy(data.y)
    loss_function = nn.CrossEntropyLoss()
    optimizer = library.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, **mode)

    def loss() -> Any:
        return loss_function(model(x), y)

    def step() -> None:
        optimizer.zero_grad()
        loss_function(model(x), y).backward()
        optimizer.step()

    def gradients() -> Arrays:
        return [parameter.grad.numpy() for parameter in model.parameters() if parameter.grad is not None]

    return Trainer(step, optimizer.zero_grad, loss, optimizer.step, gradients)
