"""Subsets, sums and random parts of data sets, streams, and how batches are gathered from them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import tinynet
from tinynet.data import (
    ArrayDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from tinynet.errors import ArgumentError, DataError, DTypeError


class Items(Dataset[Any]):
    def __init__(self, length: int = 10) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        assert type(index) is int
        return np.full(2, index, np.float32), index


def arrays(n: int = 10) -> TensorDataset:
    return TensorDataset(np.repeat(np.arange(n, dtype=np.float32), 2).reshape(n, 2), np.arange(n))


def labels(loader: DataLoader) -> list[list[int]]:
    for x, _ in loader:
        assert x.numpy()[:, 0].tolist() == x.numpy()[:, 1].tolist()
        assert x.dtype == np.float32
    loader.set_epoch(0)
    return [y.tolist() for _, y in loader]


@pytest.fixture
def no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody ask for a sample."""

    def fail(self: object, index: object) -> None:
        raise AssertionError("a sample was asked for")

    for kind in (ArrayDataset, Subset, ConcatDataset):
        monkeypatch.setattr(kind, "__getitem__", fail)


# ---- Subset


@pytest.mark.parametrize("data", [arrays(), Items()], ids=["arrays", "items"])
@pytest.mark.parametrize(
    "indices", [[7, 2, -1], (7, 2, 9), np.array([7, 2, 9], np.int32), tinynet.tensor([7, 2, 9])]
)
def test_subset(data: Any, indices: Any) -> None:
    part = Subset(data, indices)
    assert len(part) == 3
    assert part.dataset is data
    assert part.indices.tolist() == [7, 2, 9]
    assert part.indices.dtype == np.intp
    assert int(part[1][1]) == 2
    assert int(part[-1][1]) == 9
    with pytest.raises(IndexError):
        part[3]
    assert labels(DataLoader(part, 2)) == [[7, 2], [9]]
    shuffled = DataLoader(part, 3, shuffle=True, seed=1)
    assert labels(shuffled) == [[(7, 2, 9)[i] for i in shuffled.order(0)]]
    nested = Subset(Subset(part, [2, 0]), [1, 0, 1])
    assert labels(DataLoader(nested, 2)) == [[7, 9], [7]]


def test_several_at_once() -> None:
    part = Subset(arrays(), [7, 2, 9])
    assert part[:2][1].tolist() == [7, 2]
    assert part[[2, 0]][1].tolist() == [9, 7]


def test_subset_keeps_indices_of_its_own() -> None:
    indices = np.array([1, 2])
    part = Subset(arrays(), indices)
    indices[:] = 5
    assert part.indices.tolist() == [1, 2]
    assert len(Subset(arrays(), [])) == 0
    assert Subset(range(5), [True + 1, np.uint8(3)])[1] == 3


def test_gathers_reach_through(no_samples: None) -> None:
    data = arrays()
    nested = Subset(Subset(data, np.arange(9, -1, -1)), [0, 1, 5])
    both = ConcatDataset([nested, data, arrays(3), arrays(0)])
    loader = DataLoader(both, 4)
    assert labels(loader) == [[9, 8, 4, 0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 0, 1, 2]]
    assert labels(DataLoader(Subset(both, [15, 0, 3, 1]), 3)) == [[2, 9, 0], [8]]
    twice = ConcatDataset([both, ConcatDataset([arrays(2), arrays(1)])])
    assert labels(DataLoader(Subset(twice, [18, 16, 0]), 9)) == [[0, 0, 9]]


def test_subclasses_that_make_their_samples_are_asked() -> None:
    class Doubled(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            return (2 * super().__getitem__(index)[0],)

    class Tripled(Subset[Any]):
        def __getitem__(self, index: Any) -> Any:
            return (3 * super().__getitem__(index)[0],)

    class Negative(ConcatDataset[Any]):
        def __getitem__(self, index: Any) -> Any:
            return (-super().__getitem__(index)[0],)

    doubled = Doubled(np.arange(4))
    for data, expected in (
        (doubled, [0, 2, 4, 6]),
        (Subset(doubled, [3, 1]), [6, 2]),
        (Tripled(TensorDataset(np.arange(4)), [1, 3]), [3, 9]),
        (Negative([TensorDataset(np.arange(2)), doubled]), [0, -1, 0, -2, -4, -6]),
    ):
        assert next(iter(DataLoader(data, 9)))[0].tolist() == expected


def test_channels_last_survives_a_subset() -> None:
    x = np.zeros((6, 5, 5, 3), np.float32).transpose(0, 3, 1, 2)
    (batch,) = next(iter(DataLoader(Subset(TensorDataset(x), [4, 1]), 2)))
    assert batch.numpy().transpose(0, 2, 3, 1).flags.c_contiguous


def test_tensors_and_samples_together() -> None:
    data = arrays()
    assert [t.shape for t in data.tensors] == [(10, 2), (10,)]
    assert np.shares_memory(data.tensors[0].numpy(), data.arrays[0])

    class Fast(Items):
        def __getitems__(self, indices: list[int]) -> list[Any]:
            return [(np.zeros(2, np.float32), 100 + index) for index in indices]

    assert labels(DataLoader(Fast(3), 2)) == [[100, 101], [102]]
    assert labels(DataLoader(Subset(Subset(Fast(9), [8, 5, 2]), [2, 0]), 2)) == [[102, 108]]


# ---- ConcatDataset


def test_concat() -> None:
    both = Items(3) + arrays(2) + ["x"]
    assert isinstance(both, ConcatDataset)
    assert len(both) == 6
    assert both.cumulative_sizes == [5, 6]
    assert both.datasets[0].cumulative_sizes == [3, 5]
    assert [both[i] for i in (5, -1)] == ["x", "x"]
    assert [int(both[i][1]) for i in (0, 2, 3, 4, -2, -6)] == [0, 2, 0, 1, 1, 0]
    for outside in (6, -7):
        with pytest.raises(IndexError, match=r"index must lie in \[-6, 6\); got"):
            both[outside]


def test_parts_of_other_shapes_are_not_gathered() -> None:
    wide = TensorDataset(np.zeros((2, 3)), np.zeros(2))
    for other in (TensorDataset(np.zeros((2, 4)), np.zeros(2)), TensorDataset(np.zeros((2, 3)))):
        both = wide + other
        assert both.gatherer() is None
        assert [len(batch[0]) for batch in DataLoader(both)] == [1] * 4
    assert (wide + Items()).gatherer() is None


@hypothesis.given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    batch=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_gathered_and_asked_agree(sizes: list[int], batch: int, seed: int) -> None:
    hypothesis.assume(sum(sizes))
    ends = list(itertools.accumulate(sizes))
    parts = [TensorDataset(np.arange(end - n, end)) for n, end in zip(sizes, ends, strict=True)]
    loader = DataLoader(ConcatDataset(parts), batch, shuffle=True, seed=seed)
    assert [i for (y,) in loader for i in y.tolist()] == loader.order(0).tolist()


# ---- random_split


@hypothesis.given(n=st.integers(0, 60), cuts=st.lists(st.integers(0, 60), max_size=4), seed=st.integers(0, 9))
def test_split_by_lengths(n: int, cuts: list[int], seed: int) -> None:
    ends = [*sorted(min(cut, n) for cut in cuts), n]
    lengths = np.diff([0, *ends]).tolist()
    hypothesis.assume(sum(lengths) != 1)  # fractions
    parts = random_split(range(n), lengths, tinynet.Generator(seed))
    assert [len(part) for part in parts] == lengths
    assert sorted(int(i) for part in parts for i in part.indices) == list(range(n))


@hypothesis.given(n=st.integers(0, 1000), weights=st.lists(st.integers(1, 20), min_size=1, max_size=6))
@pytest.mark.filterwarnings("ignore:random_split")
def test_split_by_fractions(n: int, weights: list[int]) -> None:
    fractions = [weight / sum(weights) for weight in weights]
    lengths = [len(part) for part in random_split(range(n), fractions)]
    floors = [math.floor(n * fraction) for fraction in fractions]
    rest = n - sum(floors)
    assert lengths == [floor + (i < rest) for i, floor in enumerate(floors)]


def test_split_draws_from_the_generator() -> None:
    data = arrays()

    def indices(*generator: Any) -> list[list[int]]:
        return [part.indices.tolist() for part in random_split(data, [0.5, 0.5], *generator)]

    tinynet.manual_seed(4)
    first, second = indices(), indices()
    assert first != second
    generator = tinynet.Generator(4)
    assert [indices(generator), indices(generator)] == [first, second]
    assert generator.get_state() == tinynet.default_generator.get_state()
    train, test = random_split(data, [7, 3])
    assert train.dataset is test.dataset is data
    assert len(list(DataLoader(train, 2, shuffle=True))) == 4


def test_split_warns_of_an_empty_part() -> None:
    with pytest.warns(UserWarning, match="random_split: part 1 holds no sample"):
        assert [len(part) for part in random_split([1, 2], [0.9, 0.1])] == [2, 0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Subset([1, 2], [2]), ArgumentError, r"Subset: indices must lie in \[-2, 2\), .*; got 2"),
        (
            lambda: Subset([1, 2], [0, -3]),
            ArgumentError,
            r"Subset: indices must lie in \[-2, 2\), .*; got -3",
        ),
        (lambda: Subset([1, 2], [0.5]), DTypeError, "Subset: indices must be ints; got float64"),
        (lambda: Subset([1, 2], [True, False]), DTypeError, "Subset: indices must be ints; got bool"),
        (lambda: Subset([1], [[0]]), ArgumentError, r"must have one dimension; got shape \(1, 1\)"),
        (
            lambda: Subset(3, [0]),
            DTypeError,
            "Subset: dataset must have __len__ and __getitem__, .*; got int",
        ),
        (lambda: ConcatDataset([]), ArgumentError, "ConcatDataset: datasets must be at least one data set"),
        (
            lambda: ConcatDataset([[1], {2}]),
            DTypeError,
            "ConcatDataset: dataset must have __len__ .*; got set",
        ),
        (lambda: random_split([1, 2], [1, 2]), ArgumentError, r"ints that sum to 2, .*; got \[1, 2\]"),
        (lambda: random_split([1, 2], []), ArgumentError, r"fractions that sum to 1; got \[\]"),
        (
            lambda: random_split([1, 2], [1.5, 0.5]),
            ArgumentError,
            r"fractions that sum to 1; got \[1\.5, 0\.5\]",
        ),
        (lambda: random_split([1, 2], [3, -1]), ArgumentError, r"lengths must be at least 0; got \[3, -1\]"),
        (lambda: random_split([1], ["1"]), DTypeError, r"lengths must be ints or fractions; got \['1'\]"),
        (lambda: random_split([1], [True]), DTypeError, r"lengths must be ints or fractions; got \[True\]"),
        (
            lambda: random_split([1], [1], 3),
            DTypeError,
            r"random_split: generator must be a tinynet\.Generator",
        ),
        (lambda: random_split(iter([1]), [1]), DTypeError, "random_split: dataset must have __len__"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# ---- streams


class Stream(IterableDataset[int]):
    def __init__(self, n: int) -> None:
        self.n, self.epoch, self.read = n, 0, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        for i in range(self.n):
            self.read += 1
            yield 100 * self.epoch + i


class Sized(Stream):
    def __len__(self) -> int:
        return self.n


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_streams(workers: int) -> None:
    def epochs(n: int, *arguments: Any, **options: Any) -> list[Any]:
        loader = DataLoader(Stream(n), *arguments, num_workers=workers, **options)
        return [[batch.tolist() if hasattr(batch, "tolist") else batch for batch in loader] for _ in range(2)]

    assert epochs(5, 2) == [[[0, 1], [2, 3], [4]], [[100, 101], [102, 103], [104]]]
    assert epochs(5, 2, drop_last=True) == [[[0, 1], [2, 3]], [[100, 101], [102, 103]]]
    assert epochs(3, None) == [[0, 1, 2], [100, 101, 102]]
    assert epochs(3, 2, collate_fn=sum) == [[1, 2], [201, 102]]
    assert epochs(3, 3, transform=lambda x: 2 * x) == [[[0, 2, 4]], [[200, 202, 204]]]
    assert epochs(0, 2) == [[], []]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_is_resumed_by_reading_it_again(workers: int) -> None:
    made = []

    def note(x: Any) -> Any:
        made.append(x.tolist())
        return x

    def loader() -> DataLoader:
        return DataLoader(Stream(7), 2, transform=note, num_workers=workers)

    stopped = loader()
    list(itertools.islice(stopped, 2))
    state = stopped.state_dict()
    assert (state["samples"], state["batch"]) == (None, 2)
    resumed = loader()
    resumed.load_state_dict(state)
    made.clear()
    assert [batch.tolist() for batch in resumed] == [[4, 5], [6]]
    assert sorted(made) == [[4, 5], [6]]
    assert resumed.epoch == 1


def test_lengths_and_refusals_of_streams() -> None:
    assert len(DataLoader(Sized(5), 2)) == 3
    assert len(DataLoader(Sized(5), 2, drop_last=True)) == 2
    assert len(DataLoader(Sized(5), None)) == 5
    assert len(list(DataLoader(Stream(3), shuffle=False))) == 3
    with pytest.raises(TypeError, match="no len"):
        len(DataLoader(Stream(5), 2))
    loader = DataLoader(Sized(5), 2)
    with pytest.raises(DataError, match="batch must be at most 3"):
        loader.load_state_dict({**loader.state_dict(), "batch": 4})
    for options in ({"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}):
        with pytest.raises(ArgumentError, match="must be left out with an IterableDataset; got"):
            DataLoader(Stream(3), **options)
    with pytest.raises(ArgumentError, match="order: the loader must have an EpochSampler"):
        loader.order(0)
    with pytest.raises(TypeError, match="abstract"):
        IterableDataset()  # type: ignore[abstract]


# ---- beside PyTorch


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:.*(Length of split|holds no sample)")
def test_lengths_are_those_of_pytorch() -> None:
    from torch.utils.data import random_split as torch_split

    for n in (0, 1, 2, 3, 7, 100, 1001):
        for fractions in (
            [1.0],
            [0.5, 0.5],
            [0.7, 0.2, 0.1],
            [1 / 3] * 3,
            [0.9, 0.05, 0.05],
            [0.1] * 10,
            [1, 0],
        ):
            theirs = [len(part) for part in torch_split(range(n), fractions)]
            assert [len(part) for part in random_split(range(n), fractions)] == theirs
    for lengths in ([4, 6], [0, 10], [10]):
        theirs = [len(part) for part in torch_split(range(10), lengths)]
        assert [len(part) for part in random_split(range(10), lengths)] == theirs
    for wrong in ([3, 4], [0.5, 0.4], [1.5, -0.5]):
        for split in (torch_split, random_split):
            with pytest.raises(ValueError, match=r"."):
                split(range(10), wrong)


@pytest.mark.parity
def test_parts_and_sums_are_those_of_pytorch() -> None:
    from torch.utils import data as torch_data

    from tinynet import data as our_data

    def facts(lib: Any) -> list[Any]:
        part = lib.Subset(range(10, 20), [7, 2, 9])
        both = lib.ConcatDataset([part, range(3)])
        nested = lib.Subset(both, [5, 0])
        items = [both[i] for i in range(-6, 6)]
        return [[part[i] for i in range(3)], items, both.cumulative_sizes, len(both), nested[0], nested[1]]

    assert facts(our_data) == facts(torch_data)
