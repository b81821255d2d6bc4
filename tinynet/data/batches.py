"""How one batch is made, in whatever thread: samples, `collate_fn`, `transform`, Tensors.

`batch_rng` gives a transform its random numbers: a function of seed, epoch and the batch's number.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinynet._tensor import Tensor, from_numpy
from tinynet.data.collate import default_convert, to_arrays
from tinynet.data.dataset import Gather, IndexArray, Samples, samples_of
from tinynet.data.seeding import philox
from tinynet.errors import ArgumentError, DTypeError

_STREAM = 0x6175676D656E7400  # "augment"


class _Current(threading.local):
    """The batch that this thread is making: [(seed, epoch, number), its generator once it was asked for]."""

    batch: list[Any] | None = None


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
    batch = _current.batch
    if batch is None:
        raise ArgumentError("batch_rng: must be called while a DataLoader makes a batch; got no such batch")
    place, rng = batch
    if rng is None:
        rng = batch[1] = philox(place[0], place[1], place[2], _STREAM)
    return rng  # type: ignore[no-any-return]


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
        What `batch_rng` is a function of, besides the number of the batch.
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
        outer, _current.batch = _current.batch, [(self.seed, self.epoch, number), None]
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
