"""`DataLoader`: batches of a data set, in an order that can be computed again.

The order of an epoch is a function of seed and epoch alone (see `tinynet.data.samplers`).  Nothing else -
earlier epochs, other draws, threads - has an influence, so a run that stopped in the middle of an epoch is
continued by three numbers: seed, epoch, batch.

A training step of a small network takes a quarter of a millisecond, so the loop below does per batch one
slice of the order, one gather per array, and nothing else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tinynet import random
from tinynet._check import boolean, integer, real, refuse
from tinynet.data.batch_sampler import BatchSampler, batch_count, batches_of, chunks, indices_of
from tinynet.data.batches import BatchMaker
from tinynet.data.collate import default_collate, default_convert
from tinynet.data.dataset import IndexArray, IterableDataset, Samples, gatherer, length
from tinynet.data.prefetch import prefetch
from tinynet.data.samplers import EpochSampler, RandomSampler, SequentialSampler
from tinynet.data.seeding import seed_of, word
from tinynet.errors import ArgumentError, DataError, DTypeError


class DataLoader:
    """Iterates over a data set in batches.

    Each ``iter()`` starts the next epoch, counted from 0; `set_epoch` chooses another.  A batch of a
    `TensorDataset` (or of an image data set) is a tuple of Tensors (B, ...), one per array; that of another
    data set has the form of a sample, stacked by `default_collate`.  A batch owns its memory.

    Parameters
    ----------
    dataset : Dataset, IterableDataset, or any object with ``__len__`` and ``__getitem__(index)``
        What to iterate over, a list of samples for example; at least one sample.
    batch_size : int or None, default 1
        B, positive.  The last batch of an epoch may be smaller.  None: samples one by one, as
        `default_convert` gives them (arrays become Tensors, nothing is stacked or copied).
    shuffle : bool, optional
        Whether an epoch goes through the samples in an order drawn for it (`RandomSampler`), or, by default,
        from first to last.
    sampler : Sampler, or any iterable of indices, optional
        Gives the order instead.
    batch_sampler : BatchSampler, or any iterable of sequences of indices, optional
        Gives the batches instead; `batch_size`, `shuffle`, `sampler` and `drop_last` must not be given.
    num_workers : int, default 0
        How many threads make batches ahead of the loop; with 0 the loop makes them itself.  Order and bits of
        the batches do not depend on it; see Notes.
    collate_fn : callable, optional
        Makes the batch of a list of samples (of the one sample with ``batch_size=None``); what it returns is
        handed out as it is.  By default `default_collate` (`default_convert`).
    drop_last : bool, default False
        Leave out the last batch if it is smaller than `batch_size`.
    timeout : float, default 0
        Seconds to wait for a batch of the workers; 0 means any time.
    worker_init_fn, multiprocessing_context, pin_memory_device
        Not supported, beyond their defaults: workers are threads, which share the program and the data set.
    pin_memory, persistent_workers, in_order : bool
        Without effect: there is no other memory to copy to, threads are started for each epoch (which takes
        some 60 us each), and batches always come in order.
    generator : tinynet.Generator, optional
        Takes the seed from ``generator.seed``, read once, here; no generator's state moves.
    prefetch_factor : int, optional
        With workers: how many batches each may be ahead, by default 2.
    seed : int in [0, 2**64), optional
        Key of the order, `batch_rng` and `sample_random`; a given sampler keeps its own.  Without it (and
        `generator`) the seed of the default generator, which `tinynet.manual_seed` sets and which is 0
        before, is read once, here: the order stays a function of seed and epoch, and a later `manual_seed`
        does not change it.
    transform : callable, optional
        Batch function on arrays, called with the arrays of the batch as its arguments (``transform(images,
        labels)``; for samples that are neither tuples nor lists, with the one batch).  It returns an array or
        a tuple of arrays, which take the place of its arguments.  It should depend on its arguments, on
        `batch_rng` and on `sample_random` only; otherwise order and resumption are no longer reproducible.
        For images there are `Normalize` and `Augment`.

    Attributes
    ----------
    sampler, batch_sampler
        What gives the order: as given, or made of the other arguments; None for a stream.

    Raises
    ------
    DTypeError, ArgumentError
        If an argument is of the wrong type or value, or two exclude each other.
    DataError
        If the data set is empty.
    NotImplementedError
        For options that have no meaning here.

    Notes
    -----
    Several iterators of one loader may run at the same time, each in its own epoch; `state_dict` describes
    the latest.

    Workers are threads of one process.  They pay where making a batch waits (for files, a network) or
    computes outside the interpreter's lock on cores that are idle, as NumPy can; other Python code runs in
    one thread at a time.  Handing a batch over costs 20 to 70 us, more than gathering a small one from
    memory: a batch (60, 784) of float32 takes 14 us without workers.
    Data set, collate_fn and transform are called by several threads at once, in no fixed order: their random
    numbers must come from `batch_rng` or `sample_random`.  What they raise is raised by the loop at that
    batch, and ends it.  So does leaving the loop, which waits at most half a second for batches in the
    making.

    Examples
    --------
    >>> import tinynet as tn
    >>> loader = tn.data.DataLoader(tn.data.TensorDataset(tn.arange(5)), batch_size=2)
    >>> [batch.tolist() for (batch,) in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Samples | IterableDataset[Any],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: None = None,
        multiprocessing_context: None = None,
        generator: random.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        seed: int | None = None,
        transform: Callable[..., Any] | None = None,
    ) -> None:
        owner = "DataLoader"
        refuse(
            owner,
            worker_init_fn=(worker_init_fn, (None,)),
            multiprocessing_context=(multiprocessing_context, (None,)),
            pin_memory_device=(pin_memory_device, ("",)),
        )
        self.dataset = dataset
        self.batch_size = None if batch_size is None else integer(owner, "batch_size", batch_size, 1)
        self.shuffle = shuffle is not None and boolean(owner, "shuffle", shuffle)
        self.num_workers = integer(owner, "num_workers", num_workers, 0)
        self.pin_memory = boolean(owner, "pin_memory", pin_memory)
        self.drop_last = boolean(owner, "drop_last", drop_last)
        self.timeout = real(owner, "timeout", timeout, 0)
        ahead = 2 if prefetch_factor is None else integer(owner, "prefetch_factor", prefetch_factor, 1)
        self.prefetch_factor = ahead if self.num_workers else None
        self.persistent_workers = boolean(owner, "persistent_workers", persistent_workers)
        self.in_order = boolean(owner, "in_order", in_order)
        self.seed = seed_of(owner, seed, generator)
        self.generator = generator
        for name, function in {"collate_fn": collate_fn, "transform": transform}.items():
            if function is not None and not callable(function):
                raise DTypeError(f"{owner}: {name} must be callable or None; got {type(function).__name__}")
        for name, given in {"sampler": sampler, "batch_sampler": batch_sampler}.items():
            if given is not None and not hasattr(given, "__iter__"):
                raise DTypeError(f"{owner}: {name} must be an iterable or None; got {type(given).__name__}")
        order = {"shuffle": (self.shuffle, False), "sampler": (sampler, None)}
        batching = {"batch_size": (batch_size, 1), "drop_last": (self.drop_last, False)}
        if isinstance(dataset, IterableDataset):
            _exclude("with an IterableDataset", **order, batch_sampler=(batch_sampler, None))
        if sampler is not None:
            _exclude("where a sampler is given", shuffle=(self.shuffle, False))
        if batch_sampler is not None:
            _exclude("where a batch_sampler is given", **order, **batching)
        if batch_size is None:
            _exclude("with batch_size=None", drop_last=(self.drop_last, False))
        if self.num_workers == 0:
            _exclude(
                "with num_workers=0",
                prefetch_factor=(prefetch_factor, None),
                timeout=(self.timeout, 0.0),
                persistent_workers=(self.persistent_workers, False),
            )

        self.transform, self._batched = transform, self.batch_size is not None
        default = default_collate if self._batched else default_convert
        self.collate_fn = default if collate_fn is None else collate_fn
        self._given = sampler if batch_sampler is None else batch_sampler
        if isinstance(dataset, IterableDataset):
            self._samples = None  # not known
        else:
            self._samples = self._amount(dataset)
            if sampler is None and self.shuffle:
                sampler = RandomSampler(dataset, seed=self.seed)
            elif sampler is None:
                sampler = SequentialSampler(dataset)
        if batch_sampler is not None:
            self.batch_size = None
        elif sampler is not None and self.batch_size is not None:
            batch_sampler = BatchSampler(sampler, self.batch_size, self.drop_last)
        self.sampler, self.batch_sampler = sampler, batch_sampler
        # The place in the run: `_batch` batches of `_epoch` have been handed out.  `_pending`: iter() goes
        # on from that place, else it starts the epoch after.  `_latest` counts iterators: only the newest
        # moves the place.
        self._epoch = 0
        self._batch = 0
        self._pending = True
        self._latest = 0

    def _amount(self, dataset: Samples) -> int:
        """Return the number of samples, and refuse too few for a batch."""
        samples = length("DataLoader", dataset)
        if samples == 0:
            raise DataError("DataLoader: dataset must hold at least one sample; got an empty one")
        if self._given is None and self.drop_last and samples < (self.batch_size or 1):
            raise DataError(
                f"DataLoader: dataset must hold at least one batch with drop_last=True; "
                f"got {samples} samples for batch_size={self.batch_size}"
            )
        return samples

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch; TypeError if a sampler or stream has no length."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        if self.sampler is not None:
            return len(self.sampler)  # type: ignore[arg-type]
        return batch_count(len(self.dataset), self.batch_size or 1, self.drop_last)  # type: ignore[arg-type]

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
        self._place(word("set_epoch", "epoch", epoch), 0)

    def order(self, epoch: int) -> IndexArray:
        """Return the indices of the samples in the order of an epoch.

        Parameters
        ----------
        epoch : int
            Non-negative.

        Returns
        -------
        numpy.ndarray of shape (N,), intp
            A permutation of 0..N-1, the identity without `shuffle`; or the order of the given sampler.

        Raises
        ------
        ArgumentError
            If the order is not that of an `EpochSampler`: of another sampler, or of a stream.
        """
        sampler = self._seeded()
        if sampler is None:
            raise ArgumentError("order: the loader must have an EpochSampler; got another order")
        return sampler.order(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the run: seed, epoch, batches handed out, and what the order depends on.

        Batches that workers have made ahead do not count.  Of an `EpochSampler` that was given, the seed is
        added as "sampler_seed"; any other sampler, and a stream, must give the same again by itself.
        """
        state = {
            "seed": self.seed,
            "epoch": self._epoch,
            "batch": self._batch,
            "samples": self._samples,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }
        sampler = self._seeded()
        if self._given is not None and sampler is not None:
            state["sampler_seed"] = sampler.seed
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Return to a place in a run: the next ``iter()`` gives the batches that remained of the epoch.

        Parameters
        ----------
        state : dict
            From `state_dict` of a loader over as many samples with the same batch_size, shuffle and
            drop_last, and samplers of the same kind.  Its seeds replace those of this loader.

        Raises
        ------
        DataError
            If the state lacks an entry, does not fit this loader, or has an impossible value.  Nothing is
            changed then.

        Notes
        -----
        The indices of an `EpochSampler` are computed, not iterated over.  Other samplers and streams are read
        again up to the place, without making batches of what they give.
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
        words = [key for key in ("seed", "epoch", "batch", "sampler_seed") if key in own]
        try:
            new = {key: word("load_state_dict", key, state[key]) for key in words}
            whole = len(self)
        except (DTypeError, ArgumentError) as error:
            raise DataError(str(error)) from error
        except TypeError:  # of a stream or sampler without length
            whole = new["batch"]
        if (batch := new["batch"]) > whole:
            raise DataError(f"load_state_dict: batch must be at most {whole}, a whole epoch; got {batch}")
        self.seed = new["seed"]
        if (sampler := self._seeded()) is not None:
            sampler.seed = new.get("sampler_seed", self.seed)
        self._place(new["epoch"], batch)

    def _seeded(self) -> EpochSampler | None:
        """Return the sampler whose order is a function of seed and epoch, if it is of that kind."""
        sampler = self.sampler if self.batch_sampler is None else self.batch_sampler
        sampler = sampler.sampler if isinstance(sampler, BatchSampler) else sampler
        return sampler if isinstance(sampler, EpochSampler) else None

    def _place(self, epoch: int, batch: int) -> None:
        self._epoch, self._batch, self._pending = epoch, batch, True
        self._latest += 1  # a running iterator no longer moves the place

    def _jobs(self, epoch: int, start: int) -> Iterator[Any]:
        """Return the indices or, of a stream, the samples of the batches from `start` on."""
        jobs: Iterable[Any]
        if isinstance(self.dataset, IterableDataset):
            jobs = iter(indices_of(self.dataset, epoch))
            jobs = chunks(jobs, self.batch_size, self.drop_last) if self.batch_size else jobs
        elif self.batch_sampler is not None:
            jobs = batches_of(self.batch_sampler, epoch)
        else:
            assert self.sampler is not None
            jobs = indices_of(self.sampler, epoch)
        return itertools.islice(jobs, start, None)

    def _maker(self, epoch: int) -> BatchMaker:
        """Return what makes the batches of an epoch."""
        stacked = self._batched and self.collate_fn is default_collate
        return BatchMaker(
            None if isinstance(self.dataset, IterableDataset) else self.dataset,
            gatherer(self.dataset) if stacked else None,
            self._batched,
            self.collate_fn,
            self.transform,
            None if self._given is None else self._samples,
            self.seed,
            epoch,
        )

    def _batches(self, epoch: int, start: int, ticket: int) -> Iterator[Any]:
        jobs, make = self._jobs(epoch, start), self._maker(epoch)
        if self.num_workers:
            room = self.num_workers * (self.prefetch_factor or 1)
            made = prefetch(jobs, make, start, self.num_workers, room, self.timeout or None)
        else:  # not map(make, ...), which would take a StopIteration in the data set for the end
            made = (make(number, chosen) for number, chosen in enumerate(jobs, start))
        for number, batch in enumerate(made, start + 1):
            if self._latest == ticket:
                self._batch = number
            yield batch
        if self._latest == ticket:
            self._place(epoch + 1, 0)


def _exclude(where: str, **options: tuple[object, object]) -> None:
    """Refuse options, each given with its default, unless they have it."""
    for name, (value, default) in options.items():
        if value is not default and not (type(value) is type(default) and value == default):
            raise ArgumentError(f"DataLoader: {name} must be left out {where}; got {value!r}")
