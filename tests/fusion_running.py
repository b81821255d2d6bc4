"""What the tests of fusion share: a computation run with fusion on and off, with the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import tinynet as tn


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
