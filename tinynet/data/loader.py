"""`DataLoader`: batches of a data set, in an order that can be computed again.

The order of an epoch is a function of seed and epoch alone: a permutation drawn from the counter-based
generator Philox (Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011) with the
key (seed, epoch).  Nothing else - earlier epochs, other draws, threads - has an influence, so a run that
stopped in the middle of an epoch is continued by three numbers: seed, epoch, batch.

A training step of a small network takes a quarter of a millisecond, so the loop below does per batch one
slice of the order, one gather per array, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from tinynet import random
from tinynet._check import boolean, integer, refuse
from tinynet._tensor import Tensor, from_numpy
from tinynet.data.dataset import ArrayDataset, IndexArray, collate
from tinynet.errors import ArgumentError, DataError, DTypeError

# The counter's upper word, "dataset": with an equal key, tinynet.Generator draws other numbers.
_STREAM = 0x6461746173657400
_TORCH_DEFAULTS: dict[str, object] = {  # options of torch.utils.data.DataLoader that have one value here
    "sampler": None,
    "batch_sampler": None,
    "collate_fn": None,
    "pin_memory": False,
    "timeout": 0,
    "worker_init_fn": None,
    "multiprocessing_context": None,
    "prefetch_factor": None,
    "persistent_workers": False,
    "pin_memory_device": "",
    "in_order": True,
}


class Samples(Protocol):
    """What can be loaded: a `Dataset`, and anything else with a length and items, such as a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class DataLoader:
    """Iterates over a data set in batches.

    Each ``iter()`` starts the next epoch, counted from 0; `set_epoch` chooses another.  A batch of a
    `TensorDataset` (or of an image data set) is a tuple of Tensors (B, ...), one per array; that of another
    data set has the form of a sample, stacked by `collate`.  A batch owns its memory.

    Parameters
    ----------
    dataset : Dataset, or any object with ``__len__`` and ``__getitem__(index)``
        What to iterate over, a list of samples for example; at least one sample.
    batch_size : int, default 1
        B, positive.  The last batch of an epoch may be smaller.
    shuffle : bool, default False
        Whether an epoch goes through the samples in an order drawn for it, or from first to last.
    drop_last : bool, default False
        Leave out the last batch if it is smaller than `batch_size`.
    num_workers : int, default 0
        Only 0: batches are made in the calling thread.
    transform : callable, optional
        Batch function on arrays, called with the arrays of the batch as its arguments (``transform(images,
        labels)``; for samples that are no tuples, with the one batch).  It returns an array or a tuple of
        arrays, which take the place of its arguments.  It should depend on its arguments only; otherwise
        order and resumption are no longer reproducible.
    seed : int in [0, 2**64), optional
        Key of the order.  Without it (and without `generator`) the seed of the default generator, which
        `tinynet.manual_seed` sets and which is 0 before, is read once, here: the order stays a function of
        seed and epoch, and a later `manual_seed` does not change it.
    generator : tinynet.Generator, optional
        Takes the seed from ``generator.seed`` instead, read once, here; no generator's state moves.
    **unsupported
        The other options of ``torch.utils.data.DataLoader``, with their defaults only.

    Raises
    ------
    DTypeError, ArgumentError
        If an argument is of the wrong type or value, or if `seed` and `generator` are both given.
    DataError
        If the data set is empty.
    NotImplementedError
        For ``num_workers > 0``, ``batch_size=None`` and other values of the options named last.

    Notes
    -----
    Several iterators of one loader may run at the same time, each in its own epoch; `state_dict` describes
    the latest.

    Examples
    --------
    >>> import numpy as np
    >>> from tinynet.data import DataLoader, TensorDataset
    >>> loader = DataLoader(TensorDataset(np.arange(5)), batch_size=2)
    >>> [batch.tolist() for (batch,) in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Samples,
        batch_size: int = 1,
        shuffle: bool | None = False,
        *,
        drop_last: bool = False,
        num_workers: int = 0,
        transform: Callable[..., Any] | None = None,
        seed: int | None = None,
        generator: random.Generator | None = None,
        **unsupported: object,
    ) -> None:
        for option in unsupported:
            if option not in _TORCH_DEFAULTS:
                raise TypeError(f"DataLoader: got an unexpected keyword argument {option!r}")
        given = {option: (value, (_TORCH_DEFAULTS[option],)) for option, value in unsupported.items()}
        refuse("DataLoader", num_workers=(num_workers, (0,)), **given)
        if batch_size is None:
            raise NotImplementedError(
                "DataLoader: batch_size must be a positive int, the rest is not supported; got None"
            )
        self._samples = _length(dataset)
        if generator is not None and not isinstance(generator, random.Generator):
            raise DTypeError(f"DataLoader: generator must be a tinynet.Generator or None; got {generator!r}")
        if generator is not None and seed is not None:
            raise ArgumentError(f"DataLoader: seed must be None where a generator is given; got {seed!r}")
        if transform is not None and not callable(transform):
            raise DTypeError(
                f"DataLoader: transform must be callable or None; got {type(transform).__name__}"
            )
        self.dataset = dataset
        self.batch_size = integer("DataLoader", "batch_size", batch_size, 1)
        self.shuffle = shuffle is not None and boolean("DataLoader", "shuffle", shuffle)  # None as in PyTorch
        self.drop_last = boolean("DataLoader", "drop_last", drop_last)
        self.transform = transform
        if seed is None:
            seed = (random.default_generator if generator is None else generator).seed
        self.seed = _word("DataLoader", "seed", seed)
        if self._samples == 0:
            raise DataError("DataLoader: dataset must hold at least one sample; got an empty one")
        if self.drop_last and self._samples < self.batch_size:
            raise DataError(
                f"DataLoader: dataset must hold at least one batch with drop_last=True; "
                f"got {self._samples} samples for batch_size={self.batch_size}"
            )
        # The place in the run: `_batch` batches of `_epoch` have been handed out.  `_pending`: iter() goes
        # on from that place, else it starts the epoch after.  `_latest` counts iterators: only the newest
        # moves the place.
        self._epoch = 0
        self._batch = 0
        self._pending = True
        self._latest = 0

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch."""
        full, rest = divmod(self._samples, self.batch_size)
        return full if self.drop_last or rest == 0 else full + 1

    def __iter__(self) -> Iterator[Any]:
        """Start the next epoch, or go on with the one that `load_state_dict` has set."""
        if not self._pending:
            self._epoch += 1
            self._batch = 0
        self._pending = False
        self._latest += 1
        return self._batches(self._epoch, self._batch, self._latest)

    @property
    def epoch(self) -> int:
        """The epoch that is running or, before the first and after a whole one, the one that comes next."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Let the next ``iter()`` start `epoch`, a non-negative integer, from its beginning.

        Raises
        ------
        DTypeError, ArgumentError
            If `epoch` is no integer or negative.
        """
        self._place(_word("set_epoch", "epoch", epoch), 0)

    def order(self, epoch: int) -> IndexArray:
        """Return the indices of the samples in the order of an epoch.

        Parameters
        ----------
        epoch : int
            Non-negative.

        Returns
        -------
        numpy.ndarray of shape (N,), intp
            A permutation of 0..N-1, the identity without `shuffle`.
        """
        epoch = _word("order", "epoch", epoch)
        if not self.shuffle:
            return np.arange(self._samples, dtype=np.intp)
        key = np.array([self.seed, epoch], dtype=np.uint64)
        philox = np.random.Philox(key=key, counter=np.array([0, 0, 0, _STREAM], dtype=np.uint64))
        return np.random.Generator(philox).permutation(self._samples).astype(np.intp, copy=False)

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the run: seed, epoch, batches handed out, and what the order depends on."""
        return {
            "seed": self.seed,
            "epoch": self._epoch,
            "batch": self._batch,
            "samples": self._samples,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Return to a place in a run: the next ``iter()`` gives the batches that remained of the epoch.

        Parameters
        ----------
        state : dict
            From `state_dict` of a loader over as many samples with the same batch_size, shuffle and
            drop_last.  Its seed replaces the seed of this loader.

        Raises
        ------
        DataError
            If the state lacks an entry, does not fit this loader, or has an impossible value.  Nothing is
            changed then.
        """
        own = self.state_dict()
        if not isinstance(state, dict):
            raise DataError(f"load_state_dict: state must be a dict; got {type(state).__name__}")
        if state.keys() != own.keys():
            raise DataError(f"load_state_dict: state must have the keys {list(own)}; got {list(state)}")
        for key in ("samples", "batch_size", "shuffle", "drop_last"):
            if state[key] != own[key]:
                raise DataError(
                    f"load_state_dict: {key} must be {own[key]!r} as in this loader; got {state[key]!r}"
                )
        try:
            seed, epoch, batch = (
                _word("load_state_dict", key, state[key]) for key in ("seed", "epoch", "batch")
            )
        except (DTypeError, ArgumentError) as error:
            raise DataError(str(error)) from error
        if batch > len(self):
            raise DataError(f"load_state_dict: batch must be at most {len(self)}, a whole epoch; got {batch}")
        self.seed = seed
        self._place(epoch, batch)

    def _place(self, epoch: int, batch: int) -> None:
        self._epoch, self._batch, self._pending = epoch, batch, True
        self._latest += 1  # a running iterator no longer moves the place

    def _batches(self, epoch: int, start: int, ticket: int) -> Iterator[Any]:
        dataset, size, transform = self.dataset, self.batch_size, self.transform
        gather = dataset.gather if isinstance(dataset, ArrayDataset) else None
        order = self.order(epoch) if self.shuffle or gather is None else None
        for batch in range(start, len(self)):
            rows = slice(batch * size, (batch + 1) * size)
            arrays: Any
            if gather is not None:
                arrays = gather(rows if order is None else order[rows])
            else:
                assert order is not None
                arrays = collate([dataset[index] for index in order[rows].tolist()])
            if transform is not None:
                arrays = transform(*arrays) if isinstance(arrays, tuple) else transform(arrays)
            if self._latest == ticket:
                self._batch = batch + 1
            yield _tensors(arrays)
        if self._latest == ticket:
            self._place(epoch + 1, 0)


def _tensors(batch: Any) -> Any:
    """Make Tensors of the arrays of a batch, which share their memory."""
    if type(batch) is tuple:
        return tuple([from_numpy(part) if type(part) is np.ndarray else _tensors(part) for part in batch])
    if isinstance(batch, np.ndarray):
        return from_numpy(batch)
    if isinstance(batch, list) and batch and isinstance(batch[0], str):
        return batch  # text stays text
    if isinstance(batch, (tuple, list)):
        return tuple([_tensors(part) for part in batch])
    if isinstance(batch, dict):
        return {key: _tensors(part) for key, part in batch.items()}
    if isinstance(batch, Tensor):
        return batch
    raise DTypeError(
        f"DataLoader: transform must return an array or a tuple of arrays; got {type(batch).__name__}"
    )


def _length(dataset: Samples) -> int:
    """Return the number of samples of what has a length and items."""
    try:
        if hasattr(dataset, "__getitem__"):
            return len(dataset)
    except TypeError:  # a class, an array of shape ()
        pass
    raise DTypeError(
        "DataLoader: dataset must have __len__ and __getitem__, as a tinynet.data.Dataset has; "
        f"got {type(dataset).__name__}"
    )


def _word(operation: str, name: str, value: object) -> int:
    """Return `value` as an int in [0, 2**64)."""
    number = integer(operation, name, value, 0)
    if number >= 2**64:
        raise ArgumentError(f"{operation}: {name} must be an int in [0, 2**64); got {number}")
    return number
