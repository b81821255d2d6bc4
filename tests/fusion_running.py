"""What the tests of fusion share: a computation run with fusion on and off, with the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import tinynet as tn
from tinynet.nn import functional as F

Array = np.ndarray


@contextmanager
def fusion(enabled: bool) -> Iterator[None]:
    """Fusion switched on or off, and back again."""
    before = tn.get_fusion()
    tn.set_fusion(enabled)
    try:
        yield
    finally:
        tn.set_fusion(before)


def plain(found: Any) -> Any:
    """Tensors and arrays as (shape, dtype, bytes), in whatever they lie; anything else as it is."""
    if isinstance(found, tn.Tensor):
        found = found.detach().numpy()
    if isinstance(found, np.ndarray):
        return found.shape, str(found.dtype), found.tobytes()
    if isinstance(found, dict):
        return {key: plain(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [plain(value) for value in found]
    return found


def same_either_way(work: Callable[[], Any]) -> Any:
    """What `work` returns with fusion, after a check that it is the same to the bit without."""
    results = []
    for enabled in (False, True):
        tn.manual_seed(5)
        with fusion(enabled):
            found = work()
            results.append(plain(found))
    assert results[0] == results[1]
    return found


def in_use() -> int:
    """Bytes held by arrays."""
    return tn.memory_stats()["in_use"]


SHAPES = [(5, 7), (4, 3, 5, 6), (2, 33, 1, 1), (3, 16, 8, 8), (130, 48), (2, 1, 1, 2)]


def leaves(shape: tuple[int, ...], seed: int = 0) -> tuple[tn.Tensor, tn.Tensor, tn.Tensor]:
    """x (images with their channels last), gamma (a negative one, too) and beta, requiring gradients."""
    rng = np.random.default_rng(seed)
    x = tn.tensor(rng.standard_normal(shape), dtype="float32")
    if len(shape) == 4:
        x = x.contiguous(memory_format=tn.channels_last)
    gamma = tn.tensor(rng.uniform(-0.5, 1.5, shape[1]), dtype="float32")
    beta = tn.tensor(rng.standard_normal(shape[1]), dtype="float32")
    return x.requires_grad_(), gamma.requires_grad_(), beta.requires_grad_()


def normalised(
    x: tn.Tensor, gamma: tn.Tensor | None, beta: tn.Tensor | None, training: bool = True
) -> tn.Tensor:
    """Batch normalisation of 2 x, a result that nobody else holds."""
    c = x.shape[1]
    running = None if training else tn.full((c,), 0.25), None if training else tn.full((c,), 2.0)
    return F.batch_norm(2 * x, *running, gamma, beta, training=training)


ACTIVATIONS: dict[str, Callable[[tn.Tensor], tn.Tensor]] = {
    "none": lambda t: t,
    "relu": F.relu,
    "sigmoid": F.sigmoid,
    "relu_": lambda t: F.relu(t, inplace=True),
    "sigmoid_": lambda t: t.sigmoid_(),
    "tanh": F.tanh,
    "relu of relu": lambda t: F.relu(F.relu(t)),
}
