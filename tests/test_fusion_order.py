"""Gradients of operations that were not written in the order in which they are fused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fusion_running import leaves, normalised, same_either_way

import tinynet as tn
from tinynet.nn import functional as F


def weight(*shape: int) -> tn.Tensor:
    return tn.tensor(np.random.default_rng(2).standard_normal(shape), dtype="float32")


READERS: dict[str, tuple[tuple[int, ...], Callable[[tn.Tensor], tn.Tensor]]] = {
    "linear": ((40, 64), lambda s: F.linear(s, weight(1500, 64))),
    "wide linear": ((200, 300), lambda s: F.linear(s, weight(700, 300))),
    "conv 1x1": ((2, 16, 6, 6), lambda s: F.conv2d(s, weight(900, 16, 1, 1))),
    "conv 3x3": ((2, 16, 6, 6), lambda s: F.conv2d(s, weight(48, 16, 3, 3), padding=1)),
    "strided conv": ((2, 16, 6, 6), lambda s: F.conv2d(s, weight(48, 16, 3, 3), stride=2)),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_gradient_that_another_op_adds_to(reader: str) -> None:
    """A sum hands one array to the ReLU and to s.  The reader of s, which stands between normalisation and
    ReLU, adds its own gradient to that array if nobody else holds it."""
    shape, read = READERS[reader]

    def work() -> list[Any]:
        x, gamma, beta = leaves(shape)
        u = leaves(shape, 1)[0]
        s = 2 * u
        b = normalised(x, gamma, beta)
        c = read(s)
        y = F.relu(b) + s
        ((y * y).sum() + (c * c).sum()).backward()
        return [u.grad, x.grad, gamma.grad, beta.grad]

    same_either_way(work)


@pytest.mark.parametrize("order", ["b a", "a b"])
def test_branches_written_side_by_side(order: str) -> None:
    def work() -> list[Any]:
        x, gamma, beta = leaves((4, 5, 4, 4))
        a, b = normalised(x, gamma, beta), normalised(x, beta, gamma)
        first, second = (a, b) if order == "a b" else (b, a)
        r = F.relu(first)
        y = tn.cat([r, F.relu(second)], 1) + tn.cat([a, b], 1)
        (y * y).sum().backward()
        return [y, x.grad, gamma.grad, beta.grad]

    same_either_way(work)
