"""Gradients of images that several convolutions read: each adds its own to what the others have left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ops_cases import Array
from ops_running import assert_near, eps_of, largest

import tinynet as tn
from tinynet.nn import functional as F
from tinynet.ops import memory
from tinynet.ops import threads as ops_threads

# the door, kernels of two branches and their options
BRANCHES: tuple[tuple[str, tuple[tuple[int, ...], ...], dict[str, Any]], ...] = (
    ("conv2d", ((33, 18, 1, 1), (7, 18, 1, 1)), {}),
    ("conv2d", ((5, 18, 3, 3), (19, 18, 3, 3)), {"padding": 1}),
    ("conv2d", ((5, 18, 5, 5), (7, 18, 3, 2)), {}),
    ("conv2d", ((5, 18, 3, 3), (19, 18, 3, 3)), {"padding": 1, "stride": 2}),
    ("conv2d", ((4, 9, 3, 3), (6, 9, 1, 1)), {"groups": 2}),
    ("conv2d", ((18, 1, 3, 3), (36, 1, 2, 2)), {"groups": 18}),
    ("conv_transpose2d", ((18, 5, 1, 1), (18, 33, 3, 3)), {}),
    ("conv_transpose2d", ((18, 5, 3, 3), (18, 4, 2, 2)), {"stride": 2}),
)


def gradient(name: str, x: Array, kernels: list[Array], options: dict[str, Any]) -> Array:
    """Of sum_i (i + 1) |branch i of h|^2, where h = 1 x is not a leaf."""
    leaf = tn.from_numpy(x).requires_grad_()
    h = leaf * 1
    total: Any = 0
    for i, w in enumerate(kernels):
        y = getattr(F, name)(h, tn.from_numpy(w), **options)
        total = total + (y * y).sum() * (i + 1)
    total.backward()
    assert leaf.grad is not None
    return np.asarray(leaf.grad.numpy())


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(("name", "shapes", "options"), BRANCHES)
def test_gradients_of_branches_add_up(
    name: str,
    shapes: tuple[tuple[int, ...], ...],
    options: dict[str, Any],
    channels_last: bool,
    rng: np.random.Generator,
) -> None:
    """Each branch alone in float64, added by hand; the same bits on any number of threads."""
    x = np.asarray(rng.standard_normal((2, 18, 9, 11)), np.float32)
    if channels_last:
        x = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    kernels = [np.asarray(rng.standard_normal(s), np.float32) for s in shapes]
    wide = x.astype(np.float64)
    expected = sum(
        (i + 1) * gradient(name, wide, [w.astype(np.float64)], options) for i, w in enumerate(kernels)
    )
    before, bound = tn.get_num_threads(), ops_threads._set_serial_work(0)
    try:
        found = []
        for n in (1, 2, 3):
            tn.set_num_threads(n)
            found.append(gradient(name, x, kernels, options))
    finally:
        tn.set_num_threads(before)
        ops_threads._set_serial_work(bound)
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()
    assert_near(found[0], expected, eps_of(np.float32), 32, largest(expected), f"{name} of {shapes}")


def test_no_array_is_made_for_the_sum(rng: np.random.Generator) -> None:
    """The backward of a second branch needs no room for another gradient of the images."""
    x = np.asarray(rng.standard_normal((4, 32, 32, 16)), np.float32).transpose(0, 3, 1, 2)
    kernels = [tn.from_numpy(np.asarray(rng.standard_normal((1, 16, 1, 1)), np.float32)) for _ in range(3)]

    def most(count: int) -> int:
        h = tn.from_numpy(x).requires_grad_() * 1
        total = sum((F.conv2d(h, w).sum() for w in kernels[:count]), tn.tensor(0.0))
        memory.reset_peak()
        now = memory.memory_stats()["in_use"]
        total.backward()
        return memory.memory_stats()["peak"] - now

    assert most(3) < most(1) + x.nbytes // 2
