"""What a data set is: anything with a length and items, or a stream; and its parts and sums.

`Dataset` is the interface of the one, `IterableDataset` of the other.  A data set whose samples lie in arrays
(`tinynet.data.arrays`) says so through `Dataset.gatherer`: it then gives a batch in one gather per array.
`Subset` and `ConcatDataset` pass that on.
"""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from tinynet import random
from tinynet.data.seeding import check_generator
from tinynet.errors import ArgumentError, DTypeError

Array: TypeAlias = npt.NDArray[Any]
IndexArray: TypeAlias = npt.NDArray[np.intp]
Gather: TypeAlias = Callable[[IndexArray], tuple[Array, ...]]  # indices (B,) -> one array (B, ...) each
T_co = TypeVar("T_co", covariant=True)


class Samples(Protocol):
    """What can be loaded: a `Dataset`, and anything else with a length and items, such as a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Dataset(ABC, Generic[T_co]):
    """A finite, indexed collection of samples.

    Subclasses give ``__len__`` and ``__getitem__(index)``; a sample is an array, a Tensor, a number, or a
    tuple, list or dict of these, of the same form and shapes for every index.  A subclass that can make
    several samples faster together gives ``__getitems__(indices)`` too, which returns a list of them.

    Examples
    --------
    >>> import tinynet as tn
    >>> class Squares(tn.data.Dataset):
    ...     def __len__(self):
    ...         return 4
    ...
    ...     def __getitem__(self, index):
    ...         return index**2
    >>> [batch.tolist() for batch in tn.data.DataLoader(Squares(), batch_size=3)]
    [[0, 1, 4], [9]]
    """

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def __getitem__(self, index: int, /) -> T_co:
        """Return the sample with this index, 0 <= index < len(self)."""

    def __add__(self, other: Dataset[Any]) -> ConcatDataset[Any]:
        """Return the samples of both, one data set after the other."""
        return ConcatDataset([self, other])

    def gatherer(self) -> Gather | None:
        """Return the function that copies samples out of arrays, or None if they do not lie in arrays.

        The function takes indices (B,), intp, each in [0, N), and returns one array (B, ...) for each part of
        a sample.
        """
        return None


class IterableDataset(ABC, Generic[T_co]):
    """A stream of samples: ``__iter__`` gives those of one epoch, in the order in which they come.

    A `DataLoader` reads the stream once per epoch, also with several workers, which take turns in reading it
    (PyTorch gives each of its worker processes a copy of the stream).  If the subclass has
    ``set_epoch(epoch)``, it is called before.  ``__len__`` is optional; it is used for ``len(loader)`` alone.

    Examples
    --------
    >>> import tinynet as tn
    >>> class Countdown(tn.data.IterableDataset):
    ...     def __iter__(self):
    ...         yield from (3, 2, 1)
    >>> [batch.tolist() for batch in tn.data.DataLoader(Countdown(), batch_size=2)]
    [[3, 2], [1]]
    """

    @abstractmethod
    def __iter__(self) -> Iterator[T_co]:
        """Begin the stream of one epoch."""


class Subset(Dataset[T_co]):
    """The samples of a data set that have the given indices, in their order.

    Parameters
    ----------
    dataset : Dataset, or any object with ``__len__`` and ``__getitem__(index)``
        The whole, N samples.
    indices : sequence of int, numpy.ndarray or Tensor of shape (n,)
        Each in [-N, N); they may repeat.

    Attributes
    ----------
    dataset
        The whole.
    indices : numpy.ndarray of shape (n,), intp
        A copy of the indices, counted from 0.

    Raises
    ------
    DTypeError
        If `dataset` has no length or items, or the indices are no integers.
    ArgumentError
        If an index lies outside, or there is more than one dimension.

    Examples
    --------
    >>> import tinynet as tn
    >>> part = tn.data.Subset(tn.data.TensorDataset(tn.arange(10)), [7, -1])
    >>> len(part), part[1][0].item()
    (2, 9)
    """

    def __init__(self, dataset: Samples, indices: Sequence[int] | Array) -> None:
        self.dataset = dataset
        self.indices = index_array("Subset", indices, length("Subset", dataset))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int | slice | list[int], /) -> Any:
        """Return one sample; for a slice or list, what the whole returns for the list of its indices."""
        chosen = self.indices[index]
        return self.dataset[chosen.tolist()]

    def gatherer(self) -> Gather | None:
        """Return that of the whole, behind a look-up of the indices."""
        gather = gatherer(self.dataset)
        if gather is None or type(self).__getitem__ is not Subset.__getitem__:
            return None
        chosen = self.indices
        return lambda indices: gather(chosen[indices])


class ConcatDataset(Dataset[T_co]):
    """The samples of several data sets, one data set after the other.

    Parameters
    ----------
    datasets : iterable of Dataset, or of any objects with ``__len__`` and ``__getitem__(index)``
        At least one.

    Attributes
    ----------
    datasets : list
        The data sets.
    cumulative_sizes : list of int
        How many samples the first one holds, the first two, and so on.

    Raises
    ------
    ArgumentError
        If there is no data set.
    DTypeError
        If one has no length or items.

    Examples
    --------
    >>> import tinynet as tn
    >>> both = tn.data.ConcatDataset([[5, 6, 7], range(2)])
    >>> len(both), both[2], both[-1]
    (5, 7, 1)
    """

    def __init__(self, datasets: Iterable[Samples]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset: datasets must be at least one data set; got none")
        sizes = [length("ConcatDataset", dataset) for dataset in self.datasets]
        self.cumulative_sizes = list(itertools.accumulate(sizes))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int, /) -> Any:
        """Return the sample with this index; a negative one counts from the end."""
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"ConcatDataset: index must lie in [-{size}, {size}); got {index}")
        index += size if index < 0 else 0
        part = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[part][index - (self.cumulative_sizes[part - 1] if part else 0)]

    def gatherer(self) -> Gather | None:
        """Return a gather from all parts, if each has one and their arrays have equal shapes and dtypes."""
        found = [gatherer(dataset) for dataset in self.datasets]
        gathers = [gather for gather in found if gather is not None]
        if len(gathers) < len(found) or type(self).__getitem__ is not ConcatDataset.__getitem__:
            return None
        nothing = np.empty(0, np.intp)
        forms = {tuple((a.shape, a.dtype) for a in gather(nothing)) for gather in gathers}
        if len(forms) > 1:
            return None
        ends = np.array(self.cumulative_sizes)
        starts = np.concatenate([[0], ends[:-1]])

        def gather(indices: IndexArray) -> tuple[Array, ...]:
            part_of = np.searchsorted(ends, indices, side="right")
            used = np.unique(part_of).tolist() or [0]
            pieces = [gathers[part](indices[part_of == part] - starts[part]) for part in used]
            place = np.empty_like(indices)  # where each sample lies in the pieces, one after the other
            place[np.argsort(part_of, kind="stable")] = np.arange(len(indices))
            return tuple(
                [
                    parts[0] if len(parts) == 1 else np.concatenate(parts)[place]
                    for parts in zip(*pieces, strict=True)
                ]
            )

        return gather


def random_split(
    dataset: Samples, lengths: Sequence[int | float], generator: random.Generator | None = None
) -> list[Subset[Any]]:
    """Divide a data set at random into parts that share no sample.

    Parameters
    ----------
    dataset : Dataset, or any object with ``__len__`` and ``__getitem__(index)``
        The whole, N samples.
    lengths : sequence of int or float
        The lengths of the parts, which sum to N; or fractions that sum to 1: part i has ``floor(N *
        lengths[i])`` samples, and what remains is given out one by one, from the first part on.
    generator : tinynet.Generator, optional
        What the permutation is drawn from, by one draw; by default ``tinynet.default_generator``.

    Returns
    -------
    list of Subset
        One per length.

    Warns
    -----
    UserWarning
        If a fraction comes to no sample.

    Raises
    ------
    ArgumentError, DTypeError
        If the lengths are negative, no numbers, or sum to neither; if an argument is of another type.

    Examples
    --------
    >>> import tinynet as tn
    >>> [len(part) for part in tn.data.random_split(range(10), [0.5, 0.25, 0.25], tn.Generator(3))]
    [6, 2, 2]
    """
    size = length("random_split", dataset)
    check_generator("random_split", generator)
    given = list(lengths)
    if any(isinstance(n, (bool, np.bool_)) or not isinstance(n, (int, float, np.number)) for n in given):
        raise DTypeError(f"random_split: lengths must be ints or fractions; got {given!r}")
    if any(n < 0 for n in given):
        raise ArgumentError(f"random_split: lengths must be at least 0; got {given!r}")
    if math.isclose(math.fsum(given), 1):
        sizes = [math.floor(size * fraction) for fraction in given]
        for i in range(size - sum(sizes)):
            sizes[i % len(sizes)] += 1
        if 0 in sizes:
            warnings.warn(f"random_split: part {sizes.index(0)} holds no sample", stacklevel=2)
    elif sum(given) == size and all(isinstance(n, (int, np.integer)) for n in given):
        sizes = [int(n) for n in given]
    else:
        raise ArgumentError(
            f"random_split: lengths must be ints that sum to {size}, the length of the data set, or "
            f"fractions that sum to 1; got {given!r}"
        )
    order = random.draw(generator).permutation(size)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(sizes)[:-1])]


def samples_of(dataset: Samples, indices: list[Any]) -> Sequence[Any]:
    """Return several samples of a data set, made together if it can do that."""
    if isinstance(dataset, Subset) and type(dataset).__getitem__ is Subset.__getitem__:
        return samples_of(dataset.dataset, dataset.indices[indices].tolist())
    if hasattr(dataset, "__getitems__"):
        samples: Sequence[Any] = dataset.__getitems__(indices)
        return samples
    return [dataset[index] for index in indices]


def gatherer(dataset: object) -> Gather | None:
    """Return the gather of a data set, or None if its samples are to be asked for one by one."""
    return dataset.gatherer() if isinstance(dataset, Dataset) else None


def length(operation: str, dataset: Samples) -> int:
    """Return the number of samples of what has a length and items."""
    try:
        if hasattr(dataset, "__getitem__"):
            return len(dataset)
    except TypeError:  # a class, an array of shape ()
        pass
    raise DTypeError(
        f"{operation}: dataset must have __len__ and __getitem__, as a tinynet.data.Dataset has; "
        f"got {type(dataset).__name__}"
    )


def index_array(operation: str, indices: Any, size: int) -> IndexArray:
    """Return indices into `size` samples as an array of its own, counted from 0."""
    array = np.array(indices)
    if array.ndim != 1:
        raise ArgumentError(f"{operation}: indices must have one dimension; got shape {array.shape}")
    if len(array) == 0:
        return np.empty(0, np.intp)
    if array.dtype.kind not in "iu":
        raise DTypeError(f"{operation}: indices must be ints; got {array.dtype}")
    for outside in (array.min(), array.max()):
        if not -size <= outside < size:
            raise ArgumentError(
                f"{operation}: indices must lie in [-{size}, {size}), given by the length; got {outside}"
            )
    array = array.astype(np.intp, copy=False)
    return np.where(array < 0, array + size, array)
