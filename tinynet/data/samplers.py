"""Samplers: in which order the samples of a data set come.

The order of an `EpochSampler` is a function of seed and epoch alone.  What is random in it is drawn from the
counter-based generator Philox (Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011)
with the key (seed, epoch), so neither earlier epochs nor other draws nor threads have an influence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from tinynet import random
from tinynet._check import boolean, integer
from tinynet._tensor import Tensor
from tinynet.data.dataset import Array, IndexArray
from tinynet.data.seeding import philox, seed_of, word
from tinynet.errors import ArgumentError, DTypeError

T_co = TypeVar("T_co", covariant=True)

_STREAM = 0x6461746173657400  # "dataset"


class Sampler(Generic[T_co]):
    """Base of samplers: an iterable of indices or, as a `batch_sampler`, of lists of indices.

    Subclasses give ``__iter__``, and ``__len__`` if the number is known.  A `DataLoader` iterates over it
    once per epoch; if it has ``set_epoch(epoch)``, that is called before, so that its order can be a function
    of the epoch.

    Examples
    --------
    >>> import tinynet as tn
    >>> class Backwards(tn.data.Sampler):
    ...     def __iter__(self):
    ...         return iter([2, 1, 0])
    >>> list(tn.data.DataLoader("abc", sampler=Backwards()))
    [['c'], ['b'], ['a']]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__}: __iter__ must be given by the subclass")


class EpochSampler(Sampler[int], ABC):
    """A sampler whose order is a function of seed and epoch.

    Subclasses give ``order(epoch)`` and ``__len__``.  A `DataLoader` asks for the order of its own epoch.
    Without a loader, each ``iter()`` starts the next epoch, counted from 0; `set_epoch` chooses another.

    Parameters
    ----------
    generator : tinynet.Generator, optional
        Gives the seed, ``generator.seed``, which is read once, here; no generator's state moves.  Without it
        (and without `seed`) the default generator does, which `tinynet.manual_seed` seeds.
    seed : int in [0, 2**64), optional
        The seed itself.

    Attributes
    ----------
    seed : int
        The seed.
    epoch : int
        The epoch that the next ``iter()`` starts.

    Raises
    ------
    DTypeError, ArgumentError
        If an argument is of the wrong type or value, or both are given.

    Examples
    --------
    >>> import tinynet as tn
    >>> import numpy as np
    >>> class Rotated(tn.data.EpochSampler):
    ...     def __len__(self):
    ...         return 4
    ...
    ...     def order(self, epoch):
    ...         return (np.arange(4) + epoch) % 4
    >>> loader = tn.data.DataLoader("abcd", batch_size=4, sampler=Rotated())
    >>> list(loader), list(loader)
    ([['a', 'b', 'c', 'd']], [['b', 'c', 'd', 'a']])
    """

    def __init__(self, generator: random.Generator | None = None, *, seed: int | None = None) -> None:
        self.seed = seed_of(type(self).__name__, seed, generator)
        self.epoch = 0

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of indices of an epoch."""

    @abstractmethod
    def order(self, epoch: int) -> IndexArray:
        """Return the indices of an epoch, ``len(self)`` of them."""

    def __iter__(self) -> Iterator[int]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return iter(np.asarray(self.order(epoch)).tolist())

    def set_epoch(self, epoch: int) -> None:
        """Let the next ``iter()`` start this epoch, a non-negative integer."""
        self.epoch = word("set_epoch", "epoch", epoch)

    def rng(self, epoch: int) -> np.random.Generator:
        """Return the generator that the order of an epoch is drawn from."""
        return philox(self.seed, word("order", "epoch", epoch), 0, _STREAM)


class SequentialSampler(EpochSampler):
    """0, 1, ..., N-1 in every epoch.

    Parameters
    ----------
    data_source : object with ``__len__``
        The data set of N samples.

    Examples
    --------
    >>> import tinynet as tn
    >>> list(tn.data.SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        super().__init__(seed=0)
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def order(self, epoch: int) -> IndexArray:
        """Return 0..N-1, whatever the epoch."""
        word("order", "epoch", epoch)
        return np.arange(len(self), dtype=np.intp)


class RandomSampler(EpochSampler):
    """A random order: a permutation, or draws with replacement.

    Parameters
    ----------
    data_source : object with ``__len__``
        The data set of N samples, N > 0.
    replacement : bool, default False
        Whether each index is drawn independently of the others.
    num_samples : int, optional
        How many indices an epoch has, positive; by default N.  Without replacement, more than N begin another
        permutation.
    generator, seed
        As for `EpochSampler`.

    Raises
    ------
    DTypeError, ArgumentError
        If an argument is of the wrong type or value, or there is no sample.

    Examples
    --------
    >>> import tinynet as tn
    >>> sampler = tn.data.RandomSampler(range(4), seed=1)
    >>> sorted(sampler), sampler.epoch
    ([0, 1, 2, 3], 1)
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: random.Generator | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(generator, seed=seed)
        self.data_source = data_source
        self.replacement = boolean("RandomSampler", "replacement", replacement)
        self._given = num_samples if num_samples is None else _count("RandomSampler", num_samples)
        if len(data_source) == 0:
            raise ArgumentError("RandomSampler: data_source must hold at least one sample; got an empty one")

    @property
    def num_samples(self) -> int:
        """How many indices an epoch has."""
        return len(self.data_source) if self._given is None else self._given

    def __len__(self) -> int:
        return self.num_samples

    def order(self, epoch: int) -> IndexArray:
        """Return the indices of an epoch, `num_samples` of them."""
        rng, size, count = self.rng(epoch), len(self.data_source), self.num_samples
        if self.replacement:
            return rng.integers(0, size, count, dtype=np.intp)
        drawn = np.concatenate([rng.permutation(size) for _ in range(-(-count // size))])
        return drawn[:count].astype(np.intp, copy=False)


class SubsetRandomSampler(EpochSampler):
    """The given indices in a random order.

    Parameters
    ----------
    indices : sequence of int, numpy.ndarray or Tensor of shape (n,)
        The indices.
    generator, seed
        As for `EpochSampler`.

    Raises
    ------
    DTypeError, ArgumentError
        If an argument is of the wrong type or value.

    Examples
    --------
    >>> import tinynet as tn
    >>> sorted(tn.data.SubsetRandomSampler([7, 3, 5]))
    [3, 5, 7]
    """

    def __init__(
        self,
        indices: Sequence[int] | Array,
        generator: random.Generator | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(generator, seed=seed)
        array = np.array(indices)
        if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
            raise DTypeError(f"SubsetRandomSampler: indices must be a sequence of ints; got {indices!r}")
        self.indices: IndexArray = array.astype(np.intp)

    def __len__(self) -> int:
        return len(self.indices)

    def order(self, epoch: int) -> IndexArray:
        """Return the indices in the order of an epoch."""
        return self.indices[self.rng(epoch).permutation(len(self.indices))]


class WeightedRandomSampler(EpochSampler):
    """Indices drawn with given probabilities.

    With replacement, every draw gives i with probability ``weights[i] / sum(weights)`` (inversion of the
    cumulative sums).  Without, each draw does so among the indices that are left: the order of E_i /
    weights[i] with E_i exponential (Efraimidis, Spirakis, Weighted random sampling with a reservoir, 2006).

    Parameters
    ----------
    weights : sequence of float, numpy.ndarray or Tensor of shape (N,)
        Finite, at least 0, with a sum above 0 (which need not be 1).
    num_samples : int
        How many indices an epoch has, positive; without replacement at most as many as weights above 0.
    replacement : bool, default True
        Whether an index can come again.
    generator, seed
        As for `EpochSampler`.

    Raises
    ------
    DTypeError, ArgumentError
        If an argument is of the wrong type or value.

    Examples
    --------
    >>> import tinynet as tn
    >>> list(tn.data.WeightedRandomSampler([0.0, 0.5, 0.0], 3))
    [1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float] | Array | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: random.Generator | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(generator, seed=seed)
        self.num_samples = _count("WeightedRandomSampler", num_samples)
        self.replacement = boolean("WeightedRandomSampler", "replacement", replacement)
        self.weights = _weights(weights)
        positive = np.count_nonzero(self.weights)
        if not self.replacement and self.num_samples > positive:
            raise ArgumentError(
                "WeightedRandomSampler: num_samples must be at most the number of weights above 0, "
                f"{positive}, without replacement; got {self.num_samples}"
            )

    def __len__(self) -> int:
        return self.num_samples

    def order(self, epoch: int) -> IndexArray:
        """Return the indices of an epoch, `num_samples` of them."""
        rng = self.rng(epoch)
        if self.replacement:
            # Weight 0 repeats the sum before it, which is never the first one above a draw.  A draw may be
            # rounded up to the whole sum.
            sums = np.cumsum(self.weights)
            drawn = np.searchsorted(sums, rng.random(self.num_samples) * sums[-1], side="right")
            order: IndexArray = drawn.clip(max=np.flatnonzero(self.weights)[-1])
            return order
        chosen = np.flatnonzero(self.weights)
        with np.errstate(over="ignore"):  # a weight may be so small that its turn is at infinity
            turns = rng.exponential(size=len(chosen)) / self.weights[chosen]
        return chosen[np.argsort(turns, kind="stable")[: self.num_samples]]


def _count(operation: str, num_samples: int) -> int:
    return integer(operation, "num_samples", num_samples, 1)


def _weights(weights: Any) -> npt.NDArray[np.float64]:
    """Check weights and return them as an array of their own."""
    if isinstance(weights, Tensor):
        weights = weights.detach().numpy()
    try:
        array = np.array(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DTypeError(f"WeightedRandomSampler: weights must be numbers; got {weights!r}") from error
    if array.ndim != 1:
        raise ArgumentError(
            f"WeightedRandomSampler: weights must have one dimension; got shape {array.shape}"
        )
    if not np.isfinite(array).all() or (array < 0).any() or not 0 < array.sum() < np.inf:
        raise ArgumentError(
            "WeightedRandomSampler: weights must be finite, at least 0, and have a finite sum above 0"
        )
    return array
