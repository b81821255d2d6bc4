"""Where the result of a batch normalisation lies in memory: the same before it is computed and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fusion_running import ACTIVATIONS, in_use, same_either_way

import tinynet as tn
from tinynet.nn import functional as F


def lying(how: str) -> tn.Tensor:
    """A tensor that lies in memory in the way that `how` says; no extent is 1, whose step means nothing."""
    rng = np.random.default_rng(0)
    images = tn.tensor(rng.standard_normal((3, 6, 5, 4)), dtype="float32")
    last = images.contiguous(memory_format=tn.channels_last)
    return {
        "C order": images,
        "channels last": last,
        "channels of more": last[:, 1:4],
        "every other channel": last[:, ::2],
        "part of an image": last[:, :, 1:, :2],
        "turned": last.transpose(2, 3),
        "repeated": images[:1].broadcast_to(3, 6, 5, 4),
        "matrix": images.reshape(30, 12),
        "columns of a matrix": images.reshape(30, 12)[:, 2:7],
        "turned matrix": images.reshape(30, 12).t(),
        "signals": images.reshape(6, 10, 6),
    }[how]


LAYOUTS = [
    "C order", "channels last", "channels of more", "every other channel", "part of an image", "turned",
    "repeated", "matrix", "columns of a matrix", "turned matrix", "signals",
]  # fmt: skip


@pytest.mark.parametrize("activation", ["none", "relu", "sigmoid", "relu_"])
@pytest.mark.parametrize("how", LAYOUTS)
def test_layouts(how: str, activation: str) -> None:
    def result() -> tn.Tensor:
        return ACTIVATIONS[activation](F.batch_norm(lying(how), None, None, training=True))

    def work() -> list[Any]:
        y = result()
        found: list[Any] = [y.stride(), y.is_contiguous(), y.contiguous().stride()]
        if y.ndim == 4:
            found.append(y.is_contiguous(memory_format=tn.channels_last))
            found.append(y.contiguous(memory_format=tn.channels_last).stride())
        for dim in range(y.ndim):
            found.append(tn.cat([result(), result()], dim).stride())
        found.append((result() + result()).stride())
        leaf = result().detach().requires_grad_()
        (3 * leaf.contiguous()).sum().backward()
        assert leaf.grad is not None
        return [*found, leaf.grad.stride(), leaf.grad, y.stride(), y]

    same_either_way(work)


def test_data_taken_over_lets_the_former_values_go() -> None:
    def work() -> list[Any]:
        t = F.batch_norm(2 * lying("channels last"), None, None, training=True).detach()
        before = in_use()
        t.data = tn.ones(2)
        return [before > in_use(), t, t._version]

    assert same_either_way(work)[0]
