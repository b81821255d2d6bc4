"""The end of a residual block, normalisation plus shortcut and then ReLU, in one pass, unnoticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fusion_running import ACTIVATIONS, fusion, in_use, leaves, normalised, same_either_way

import tinynet as tn
from tinynet.nn import functional as F

ORDERS: dict[str, Callable[[tn.Tensor, tn.Tensor], tn.Tensor]] = {
    "b + x": lambda b, x: b + x,
    "x + b": lambda b, x: x + b,
    "b += x": lambda b, x: b.add_(x),
    "b + b": lambda b, x: b + b,
    "b + other b": lambda b, x: b + F.batch_norm(x, None, None, training=True),
    "two": lambda b, x: b + x + x,
    "number": lambda b, x: b + 1.5,
    "channels": lambda b, x: b + x[:1, :, :1, :1],
    "C order": lambda b, x: b + x.contiguous(),
    "slice": lambda b, x: b + tn.cat([x, x], 1)[:, 3 : 3 + x.shape[1]],
    "relu first": lambda b, x: F.relu(b) + x,
}


@pytest.mark.parametrize("activation", ["none", "relu", "sigmoid", "relu_"])
@pytest.mark.parametrize("order", ORDERS)
def test_the_same_bits_as_without(order: str, activation: str, threads: int) -> None:
    def work() -> list[Any]:
        found: list[Any] = []
        for training in (True, False):
            x, gamma, beta = leaves((3, 5, 13, 9))
            short = (1e-38 * (0.5 * x)).requires_grad_() if order == "two" else 0.5 * x
            y = ACTIVATIONS[activation](ORDERS[order](normalised(x, gamma, beta, training), short))
            joined = tn.cat([y, x], 1)
            (joined * joined).sum().backward(retain_graph=True)
            y.sum().backward()
            found += [joined, y, x.grad, gamma.grad, beta.grad]
            with tn.no_grad():
                found.append(
                    ACTIVATIONS[activation](ORDERS[order](normalised(x, gamma, beta, training), short))
                )
        return found

    same_either_way(work)


def test_nothing_is_computed_before_it_is_read() -> None:
    with fusion(True):
        x, gamma, beta = leaves((8, 16, 16, 16))
        short = 1 * x
        z = 2 * x
        before, size = in_use(), 4 * x.numel()
        y = F.relu(F.batch_norm(z, None, None, gamma, beta, training=True) + short, inplace=True)
        assert in_use() - before < size / 2
        y.sum()
        assert size <= in_use() - before < 1.5 * size


@pytest.mark.parametrize("what", ["z", "shortcut", "sum", "relu"])
@pytest.mark.parametrize("how", ["add_", "numpy", "setitem"])
def test_written_in_place_before_it_is_read(what: str, how: str) -> None:
    def work() -> list[Any]:
        with tn.no_grad():
            x, gamma, beta = leaves((3, 5, 4, 4))
            z, short = 2 * x, 1 * x
            s = F.batch_norm(z, None, None, gamma, beta, training=True) + short
            r = F.relu(s)
            t = {"z": z, "shortcut": short, "sum": s, "relu": r}[what]
            if how == "add_":
                t.add_(1)
            elif how == "numpy":
                t.detach().numpy()[...] = 3
            else:
                t[:, 0] = 9.0
            return [z, short, r, s, tn.cat([r, s], 1)]

    same_either_way(work)


def test_hooks_and_gradients_between() -> None:
    def work() -> list[Any]:
        x, gamma, beta = leaves((3, 5, 4, 4))
        b = normalised(x, gamma, beta)
        s = b + 0.5 * x
        r = F.relu(s)
        seen: list[Any] = []
        for t in (b, s, r):
            t.register_hook(lambda g, seen=seen: seen.append(g.numpy().copy()))
        loss = (r * r).sum()
        found = [tn.autograd.grad(loss, wanted, retain_graph=True) for wanted in ([b], [s, b], [x])]
        loss.backward()
        return [found, seen, x.grad, gamma.grad, beta.grad]

    same_either_way(work)


def test_nothing_is_left_behind() -> None:
    with fusion(True):
        start = None
        for _ in range(3):
            x, gamma, beta = leaves((8, 16, 8, 8))
            y = F.relu(normalised(x, gamma, beta) + 1 * x)
            normalised(x, gamma, beta) + 1 * x
            y.sum().backward()
            np.testing.assert_array_less(-1, y.detach().numpy())
            del x, gamma, beta, y
            start = in_use() if start is None else start
            assert in_use() == start
