"""`BatchSampler`, and what a loader asks of samplers: the indices or batches of an epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinynet._check import boolean, integer
from tinynet._tensor import Tensor
from tinynet.data.dataset import IndexArray
from tinynet.data.samplers import EpochSampler, Sampler
from tinynet.errors import DTypeError


class BatchSampler(Sampler[list[int]]):
    """Batches of the indices of another sampler.

    Parameters
    ----------
    sampler : Sampler, or any iterable of indices
        Where the indices come from.
    batch_size : int
        B, positive.  The last batch may be smaller.
    drop_last : bool
        Leave out the last batch if it is smaller than `batch_size`.

    Raises
    ------
    DTypeError, ArgumentError
        If an argument is of the wrong type or value.

    Examples
    --------
    >>> import tinynet as tn
    >>> list(tn.data.BatchSampler(range(5), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not hasattr(sampler, "__iter__") and not hasattr(sampler, "__getitem__"):
            raise DTypeError(f"BatchSampler: sampler must be an iterable; got {type(sampler).__name__}")
        self.sampler = sampler
        self.batch_size = integer("BatchSampler", "batch_size", batch_size, 1)
        self.drop_last = boolean("BatchSampler", "drop_last", drop_last)

    def __len__(self) -> int:
        return batch_count(len(self.sampler), self.batch_size, self.drop_last)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int]]:
        return chunks(iter(self.sampler), self.batch_size, self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch on to the sampler, if it has use for it."""
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)


def indices_of(sampler: Iterable[Any], epoch: int) -> IndexArray | Iterator[Any]:
    """Return the order of a sampler in an epoch: an array, or what its ``__iter__`` gives."""
    if isinstance(sampler, EpochSampler) and type(sampler).__iter__ is EpochSampler.__iter__:
        return np.asarray(sampler.order(epoch))
    if hasattr(sampler, "set_epoch"):
        sampler.set_epoch(epoch)
    return iter(sampler.tolist() if isinstance(sampler, (np.ndarray, Tensor)) else sampler)


def batches_of(sampler: Iterable[Any], epoch: int) -> Iterator[Any]:
    """Return the batches of a batch sampler in an epoch: of arrays of indices where it can, else of lists."""
    if not isinstance(sampler, BatchSampler) or type(sampler).__iter__ is not BatchSampler.__iter__:
        return iter(indices_of(sampler, epoch))
    size, order = sampler.batch_size, indices_of(sampler.sampler, epoch)
    if isinstance(order, np.ndarray):
        stop = len(order) // size * size if sampler.drop_last else len(order)
        return (order[start : start + size] for start in range(0, stop, size))
    return chunks(order, size, sampler.drop_last)


def chunks(items: Iterator[Any], size: int, drop_last: bool) -> Iterator[list[Any]]:
    """Yield lists of `size` items; the last may be shorter, if it is not to be dropped."""
    while (chunk := list(itertools.islice(items, size))) and not (drop_last and len(chunk) < size):
        yield chunk


def batch_count(samples: int, size: int, drop_last: bool) -> int:
    """Return the number of batches."""
    return samples // size if drop_last else -(-samples // size)
