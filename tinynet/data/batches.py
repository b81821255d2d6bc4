"""How one batch is made, in whatever thread: samples, `collate_fn`, `transform`, Tensors.

`batch_rng` and `sample_random` give a transform its random numbers.  Those of the first are a function of
seed, epoch and the batch's number; those of the second, of seed, epoch and the sample's index, so that they
do not depend on the samples beside it either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet._check import integer
from tinynet._tensor import Tensor, from_numpy
from tinynet.data.collate import default_convert, to_arrays
from tinynet.data.dataset import Gather, IndexArray, Samples, samples_of
from tinynet.data.seeding import philox
from tinynet.errors import ArgumentError, DTypeError
from tinynet.ops.augment import philox_rows

_STREAM = 0x6175676D656E7400  # "augment"
_WORDS = 2**14  # that every sample has in every epoch
_SAMPLES = 2**50  # that have words of their own


class _Batch:
    """What the random numbers of a batch depend on, and how many were drawn."""

    __slots__ = ("chosen", "epoch", "number", "rng", "seed", "size", "words")

    def __init__(self, seed: int, epoch: int, number: int, chosen: Any, size: int | None) -> None:
        self.seed, self.epoch, self.number = seed, epoch, number
        self.chosen, self.size = chosen, size  # as in BatchMaker; chosen is None for a stream
        self.rng: np.random.Generator | None = None  # once it was asked for
        self.words = 0  # of each sample


class _Current(threading.local):
    """The batch that this thread is making."""

    batch: _Batch | None = None


_current = _Current()


def batch_rng() -> np.random.Generator:
    """Return the random generator of the batch that is being made.

    To be called by a loader's transform or collate_fn, or by ``__getitem__`` of its data set.  What it gives
    is a function of the loader's seed, the epoch and the number of the batch in the epoch: the same with any
    number of workers, and when a run is resumed.  Calls for one batch return one generator, which goes on.

    Returns
    -------
    numpy.random.Generator

    Raises
    ------
    ArgumentError
        If no loader is making a batch in this thread.

    Examples
    --------
    >>> import tinynet as tn
    >>> def noisy(x):
    ...     return x + tn.data.batch_rng().normal(0.0, 0.1, x.shape)
    >>> data = tn.data.TensorDataset(tn.zeros(4, 3))
    >>> loader = tn.data.DataLoader(data, batch_size=2, seed=5, transform=noisy)
    >>> [batch.shape for batch in loader]
    [(2, 3), (2, 3)]
    """
    batch = _batch("batch_rng")
    if batch.rng is None:
        batch.rng = philox(batch.seed, batch.epoch, batch.number, _STREAM)
    return batch.rng


def sample_random(n: int) -> npt.NDArray[np.uint32]:
    """Return random numbers for every sample of the batch that is being made.

    To be called by a loader's transform or collate_fn.  A sample's numbers are a function of the loader's
    seed, the epoch and the sample's index in the data set: not of the order, the batch size, the samples
    beside it, the number of workers, or where a run was resumed.  Calls for one batch go on with further
    numbers.  A sample that comes twice in an epoch, as a sampler with replacement can give it, has the same
    numbers twice.

    Parameters
    ----------
    n : int
        How many for each sample, positive; at most 16,384 in all calls for one batch, each rounded up to a
        multiple of 4.

    Returns
    -------
    numpy.ndarray of shape (B, n), uint32
        Uniform in [0, 2**32), by Philox4x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3,
        2011).

    Raises
    ------
    DTypeError, ArgumentError
        If `n` is no such number, no loader is making a batch in this thread, or its samples have no indices:
        those of an `IterableDataset`, or of a sampler that gives something else.

    Examples
    --------
    >>> import tinynet as tn
    >>> def dimmed(x):
    ...     return x * (tn.data.sample_random(1) / 2**32).astype(x.dtype)
    >>> data = tn.data.TensorDataset(tn.ones(4, 3))
    >>> one, two = (tn.data.DataLoader(data, n, seed=5, transform=dimmed) for n in (1, 2))
    >>> list(one)[3].tolist() == list(two)[1][1:].tolist()
    True
    """
    batch = _batch("sample_random")
    n = integer("sample_random", "n", n, 1)
    if batch.words + n > _WORDS:
        raise ArgumentError(
            f"sample_random: n must be at most {_WORDS - batch.words}, since a sample has {_WORDS} numbers "
            f"and {batch.words} were drawn for this batch; got {n}"
        )
    indices = np.atleast_1d(np.asarray(batch.chosen))
    if indices.dtype.kind in "iu":
        indices = np.where(indices < 0, indices + (batch.size or 0), indices)
    elif indices.size:
        indices = np.array([-1])
    if indices.ndim != 1 or (indices.size and not 0 <= indices.min() <= indices.max() < _SAMPLES):
        raise ArgumentError(
            f"sample_random: the samples of the batch must have indices; got {batch.chosen!r}"
        )
    # Another key than that of the default generator, which is often the loader's: no numbers in common.
    words = philox_rows(indices.astype(np.intp), n, batch.seed ^ _STREAM, batch.epoch, batch.words)
    batch.words += n + -n % 4
    return words


def _batch(operation: str) -> _Batch:
    """Return the batch that this thread is making."""
    if _current.batch is None:
        raise ArgumentError(
            f"{operation}: must be called while a DataLoader makes a batch; got no such batch"
        )
    return _current.batch


class BatchMaker:
    """Makes the batches of one epoch.

    Parameters
    ----------
    dataset : object with items, or None
        Where samples come from; None for a stream, whose samples come with the call.
    gather : callable, optional
        Takes the place of samples and `collate_fn`: indices (B,) -> arrays (B, ...).
    batched : bool
        Whether a call is for a batch or for a single sample.
    collate_fn : callable
        Makes the batch of a list of samples or, unbatched, of one sample.
    transform : callable, optional
        Batch function on arrays.
    size : int, optional
        If given, indices are checked to lie in [-size, size) before they are gathered.
    seed, epoch : int
        What `batch_rng` and `sample_random` are functions of, besides the batch's number and the indices.
    """

    def __init__(
        self,
        dataset: Samples | None,
        gather: Gather | None,
        batched: bool,
        collate_fn: Callable[[Any], Any],
        transform: Callable[..., Any] | None,
        size: int | None,
        seed: int,
        epoch: int,
    ) -> None:
        self.dataset, self.gather, self.batched, self.size = dataset, gather, batched, size
        self.collate_fn, self.transform = collate_fn, transform
        self.seed, self.epoch = seed, epoch

    def __call__(self, number: int, chosen: Any) -> Any:
        """Make batch `number` of what was chosen for it: indices or, of a stream, samples."""
        if self.gather is not None and self.transform is None:
            return tuple([from_numpy(array) for array in self.gather(self._rows(chosen))])
        # A data set or transform may itself use a loader: its batch lies within this one.
        own = _Batch(self.seed, self.epoch, number, None if self.dataset is None else chosen, self.size)
        outer, _current.batch = _current.batch, own
        try:
            return self._make(chosen)
        finally:
            _current.batch = outer

    def _make(self, chosen: Any) -> Any:
        arrays: Any
        if self.gather is not None:
            arrays = self.gather(self._rows(chosen))
        else:
            batch = self.collate_fn(self._samples(chosen))
            if self.transform is None:
                return batch
            arrays = to_arrays(batch)
        assert self.transform is not None
        result = self.transform(*arrays) if _has_parts(arrays) else self.transform(arrays)
        if not isinstance(result, (tuple, np.ndarray, np.generic, Tensor, list, Mapping)):
            raise DTypeError(
                "DataLoader: transform must return an array or a tuple of arrays; "
                f"got {type(result).__name__}"
            )
        return default_convert(result)

    def _samples(self, chosen: Any) -> Any:
        """Return the samples of a batch as a list, or the one sample."""
        if self.dataset is None:
            return chosen
        indices = chosen.tolist() if isinstance(chosen, (np.ndarray, np.generic, Tensor)) else chosen
        return samples_of(self.dataset, list(indices)) if self.batched else self.dataset[indices]

    def _rows(self, chosen: Any) -> IndexArray:
        """Return the indices of a batch as an array; those that a user's sampler gave are checked."""
        if self.size is None:
            return chosen  # type: ignore[no-any-return]
        rows = np.asarray(chosen)
        if rows.dtype.kind not in "iu" or rows.ndim != 1:
            raise DTypeError(f"DataLoader: the sampler must give indices that are ints; got {chosen!r}")
        if len(rows) and (rows.min() < -self.size or rows.max() >= self.size):
            raise IndexError(
                f"DataLoader: the sampler must give indices in [-{self.size}, {self.size}), given by the "
                f"length of the data set; got {rows.min()} to {rows.max()}"
            )
        return np.where(rows < 0, rows + self.size, rows).astype(np.intp, copy=False)


def _has_parts(batch: Any) -> bool:
    """Whether a batch is of several arrays, which a transform gets as its arguments (text is one part)."""
    return isinstance(batch, (tuple, list)) and not (batch and isinstance(batch[0], (str, bytes)))
