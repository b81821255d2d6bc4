"""Samplers in a loader: their order, resumption, and indices that do not fit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinynet
from tinynet.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    EpochSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)
from tinynet.errors import DataError, DTypeError


class Evens(EpochSampler):
    """A user's own: even numbers, rotated by the epoch."""

    def __len__(self) -> int:
        return 5

    def order(self, epoch: int) -> Any:
        return np.roll(np.arange(0, 10, 2), -epoch)


class Listed(EpochSampler):
    """A user's own that gives a list."""

    def __len__(self) -> int:
        return 3

    def order(self, epoch: int) -> Any:
        return [epoch, 4, 2]


class Plain(Sampler[int]):
    """A user's own in PyTorch's way, with the epoch as in its DistributedSampler."""

    epoch = 0

    def __iter__(self) -> Iterator[int]:
        return iter([self.epoch, 3, -1])

    def __len__(self) -> int:
        return 3

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


class Items(Dataset[Any]):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Any:
        assert type(index) is int
        return (index % 10,)


@pytest.mark.parametrize(
    "data",
    [TensorDataset(np.arange(10)), Items(), Subset(Items(), range(10))],
    ids=["arrays", "items", "subset"],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_samplers_in_a_loader(data: Any, workers: int) -> None:
    def epochs(**options: Any) -> list[list[list[int]]]:
        loader = DataLoader(data, num_workers=workers, **options)
        found = [[batch.tolist() for (batch,) in loader] for _ in range(2)]
        assert len(loader) == len(found[0])
        return found

    assert epochs(sampler=Evens(), batch_size=3) == [[[0, 2, 4], [6, 8]], [[2, 4, 6], [8, 0]]]
    assert epochs(sampler=Evens(), batch_size=3, drop_last=True) == [[[0, 2, 4]], [[2, 4, 6]]]
    assert epochs(sampler=Plain(), batch_size=2) == [[[0, 3], [9]], [[1, 3], [9]]]
    assert epochs(sampler=Listed(), batch_size=2) == [[[0, 4], [2]], [[1, 4], [2]]]
    assert epochs(sampler=[7, 7, 1], batch_size=2) == [[[7, 7], [1]]] * 2
    assert epochs(sampler=np.array([7, 2])) == epochs(sampler=tinynet.tensor([7, 2])) == [[[7], [2]]] * 2
    assert epochs(sampler=SubsetRandomSampler([4])) == [[[4]], [[4]]]
    assert epochs(batch_sampler=[[1, 2, 3], [4]]) == [[[1, 2, 3], [4]]] * 2
    assert epochs(batch_sampler=[(1, 2), range(4), np.array([5]), tinynet.tensor([6, 7])]) == (
        [[[1, 2], [0, 1, 2, 3], [5], [6, 7]]] * 2
    )
    assert epochs(batch_sampler=np.array([[1, 2], [4, 3]])) == [[[1, 2], [4, 3]]] * 2
    assert epochs(batch_sampler=BatchSampler(Evens(), 4, True)) == [[[0, 2, 4, 6]], [[2, 4, 6, 8]]]
    assert epochs(batch_sampler=BatchSampler(Plain(), 2, True)) == [[[0, 3]], [[1, 3]]]
    sampler = RandomSampler(data, True, 7, seed=3)
    assert list(itertools.chain(*epochs(sampler=sampler, batch_size=4)[1])) == sampler.order(1).tolist()
    assert sampler.epoch == 0  # the loader asks for its own epoch


def test_overridden_iteration_is_used() -> None:
    class Reversed(SequentialSampler):
        def __iter__(self) -> Iterator[int]:
            return iter(range(len(self) - 1, -1, -1))

    class Pairs(BatchSampler):
        def __iter__(self) -> Iterator[list[int]]:
            return iter([[0, 1]])

    data = TensorDataset(np.arange(3))
    assert [b.tolist() for (b,) in DataLoader(data, 2, sampler=Reversed(data))] == [[2, 1], [0]]
    pairs = Pairs(SequentialSampler(data), 1, False)
    assert [b.tolist() for (b,) in DataLoader(data, batch_sampler=pairs)] == [[0, 1]]


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize(
    "options",
    [
        lambda: {"sampler": RandomSampler(range(10), seed=5), "batch_size": 3},
        lambda: {"sampler": WeightedRandomSampler(np.arange(10.0), 17, seed=5), "batch_size": 4},
        lambda: {"sampler": Plain(), "batch_size": 2},
        lambda: {"batch_sampler": BatchSampler(RandomSampler(range(10), seed=5), 4, False)},
        lambda: {"batch_sampler": [[1], [2, 3], [4]]},
        lambda: {"batch_size": None, "shuffle": True, "seed": 9},
    ],
)
def test_resumed_epoch_of_a_sampler(options: Any, workers: int) -> None:
    def loader() -> DataLoader:
        return DataLoader(TensorDataset(np.arange(10)), num_workers=workers, **options())

    full = loader()
    expected = [[batch.tolist() for (batch,) in full] for _ in range(3)]
    stopped = loader()
    list(stopped)
    running = iter(stopped)
    next(running)
    state = stopped.state_dict()
    assert (state["epoch"], state["batch"]) == (1, 1)
    resumed = loader()
    if "sampler_seed" in state:
        resumed.load_state_dict({**state, "sampler_seed": 1})
        sampler = resumed.sampler if resumed.batch_size else resumed.batch_sampler.sampler
        assert sampler.seed == 1
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert [batch.tolist() for (batch,) in resumed] == expected[1][1:]
    assert [batch.tolist() for (batch,) in resumed] == expected[2]


def test_state_of_a_sampler_that_does_not_fit() -> None:
    data = TensorDataset(np.arange(4))
    plain, seeded = DataLoader(data), DataLoader(data, sampler=RandomSampler(data))
    with pytest.raises(DataError, match=r"load_state_dict: state must have the keys .*'sampler_seed'"):
        seeded.load_state_dict(plain.state_dict())
    with pytest.raises(DataError, match="sampler_seed must be an int >= 0; got -1"):
        seeded.load_state_dict({**seeded.state_dict(), "sampler_seed": -1})
    assert "sampler_seed" not in DataLoader(data, sampler=[1, 2]).state_dict()


def test_indices_that_do_not_fit() -> None:
    data = TensorDataset(np.arange(3))
    for wrong in ([0, 3], [-4]):
        with pytest.raises(IndexError, match=r"the sampler must give indices in \[-3, 3\)"):
            list(DataLoader(data, 2, sampler=wrong))
    with pytest.raises(DTypeError, match="the sampler must give indices that are ints"):
        list(DataLoader(data, 2, sampler=["a"]))


def test_keys_of_another_kind() -> None:
    """A data set that is asked sample by sample may have any keys."""
    texts = {"a": 1, "b": 2}
    assert [b.tolist() for b in DataLoader(texts, 2, sampler=["b", "a"])] == [[2, 1]]


@pytest.mark.parity
def test_refusals_are_those_of_pytorch() -> None:
    from torch.utils import data as torch_data

    from tinynet import data as our_data

    for options in (
        {"sampler": [0], "shuffle": True},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_sampler": [[0]], "batch_size": None},
        {"batch_sampler": [[0]], "shuffle": True},
        {"batch_sampler": [[0]], "sampler": [0]},
        {"batch_sampler": [[0]], "drop_last": True},
        {"batch_size": None, "drop_last": True},
        {"prefetch_factor": 2},
        {"persistent_workers": True},
        {"num_workers": -1},
        {"timeout": -1},
    ):
        for lib in (our_data, torch_data):
            with pytest.raises(ValueError, match=r"."):
                lib.DataLoader([1, 2, 3], **options)
