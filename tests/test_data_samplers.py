"""Samplers: what they cover, how often, in an order that is a function of seed and epoch."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import tinynet
from tinynet.data import (
    BatchSampler,
    DataLoader,
    EpochSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)
from tinynet.errors import ArgumentError, DTypeError

EPOCH_SAMPLERS: list[Any] = [
    lambda **options: RandomSampler(range(20), **options),
    lambda **options: RandomSampler(range(20), True, 50, **options),
    lambda **options: SubsetRandomSampler([3, 4, 9, 1, 7, 8], **options),
    lambda **options: WeightedRandomSampler(np.arange(20.0), 30, **options),
    lambda **options: WeightedRandomSampler(np.arange(20.0), 15, False, **options),
]
each = pytest.mark.parametrize("make", EPOCH_SAMPLERS, ids=["perm", "repl", "subset", "weights", "weights1"])


# ---- order


@each
def test_order_is_a_function_of_seed_and_epoch(make: Any) -> None:
    one, other = make(seed=3), make(generator=tinynet.Generator(3))
    epochs = [list(one) for _ in range(3)]
    assert one.epoch == 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert all(len(epoch) == len(one) for epoch in epochs)
    assert all(type(index) is int for index in epochs[0])
    np.random.default_rng().random(3)
    tinynet.randn(3)
    for epoch in (2, 0, 1):
        other.set_epoch(epoch)
        assert list(other) == epochs[epoch]
        assert other.order(epoch).tolist() == epochs[epoch]
        assert other.order(epoch).dtype == np.intp
    assert list(make(seed=4)) != epochs[0]


@each
def test_manual_seed_reaches_samplers_made_after_it(make: Any) -> None:
    tinynet.manual_seed(11)
    sampler = make()
    tinynet.manual_seed(12)
    assert sampler.seed == 11
    assert list(sampler) == list(make(seed=11))
    assert tinynet.default_generator.get_state() == {"seed": 12, "calls": 0}


def test_the_permutation_is_that_of_the_loader() -> None:
    data = TensorDataset(np.arange(30))
    loader = DataLoader(data, 4, shuffle=True, seed=8)
    assert RandomSampler(data, seed=8).order(5).tolist() == loader.order(5).tolist()
    assert isinstance(loader.sampler, RandomSampler)
    assert isinstance(DataLoader(data).sampler, SequentialSampler)
    assert isinstance(loader.batch_sampler, BatchSampler)


@hypothesis.given(n=st.integers(1, 40), count=st.integers(1, 100), seed=st.integers(0, 2**64 - 1))
def test_permutations_cover(n: int, count: int, seed: int) -> None:
    order = RandomSampler(range(n), num_samples=count, seed=seed).order(1)
    assert len(order) == count
    for start in range(0, count, n):
        part = order[start : start + n].tolist()
        assert len(set(part)) == len(part)
        assert set(part) <= set(range(n))
    drawn = RandomSampler(range(n), True, count, seed=seed).order(1)
    assert len(drawn) == count
    assert set(drawn.tolist()) <= set(range(n))


def test_replacement_is_uniform() -> None:
    counts = np.bincount(RandomSampler(range(8), True, 80_000, seed=1).order(0), minlength=8)
    assert np.abs(counts - 10_000).max() < 5 * np.sqrt(10_000 * 7 / 8)


def test_sequential() -> None:
    sampler = SequentialSampler("abcd")
    assert list(sampler) == list(sampler) == [0, 1, 2, 3]
    assert len(sampler) == 4
    assert list(SequentialSampler([])) == []


def test_subset_random_is_uniform() -> None:
    sampler = SubsetRandomSampler([5, 6, 7], seed=2)
    counts = np.zeros((3, 3))
    for epoch in range(1800):
        counts[np.arange(3), sampler.order(epoch) - 5] += 1
    assert np.abs(counts - 600).max() < 5 * np.sqrt(600 * 2 / 3)
    assert list(SubsetRandomSampler([])) == []


# ---- weights


def test_weights_with_replacement() -> None:
    weights = np.array([0.0, 1.0, 3.0, 0.0, 6.0, 0.0])
    counts = np.bincount(WeightedRandomSampler(weights, 100_000, seed=0).order(0), minlength=6)
    expected = weights / weights.sum() * 100_000
    assert counts[weights == 0].tolist() == [0, 0, 0]
    assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()


def test_weights_without_replacement() -> None:
    """The first index has the given probabilities, the second those that remain (exact by enumeration)."""
    weights = np.array([1.0, 2.0, 0.0, 5.0])
    sampler = WeightedRandomSampler(weights, 2, False, seed=0)
    pairs = np.array([sampler.order(epoch) for epoch in range(4000)])
    assert (pairs[:, 0] != pairs[:, 1]).all()
    for first in (0, 1, 3):
        for second in (0, 1, 3):
            if first != second:
                p = weights[first] / 8 * weights[second] / (8 - weights[first])
                found = np.mean((pairs == [first, second]).all(1))
                assert abs(found - p) < 5 * np.sqrt(p / 4000)
    everything = WeightedRandomSampler(weights, 3, False).order(0)
    assert sorted(everything.tolist()) == [0, 1, 3]


@hypothesis.given(
    weights=st.lists(st.sampled_from([0.0, 1e-300, 1e-9, 1.0, 3.5, 1e300]), min_size=1, max_size=12),
    replacement=st.booleans(),
)
def test_weight_zero_is_never_drawn(weights: list[float], replacement: bool) -> None:
    positive = sum(weight > 0 for weight in weights)
    hypothesis.assume(positive)
    order = WeightedRandomSampler(weights, positive, replacement).order(0)
    assert all(weights[index] > 0 for index in order)
    assert replacement or len(set(order.tolist())) == positive


def test_weights_of_other_kinds() -> None:
    weights = [0.5, 1, 2.5]
    expected = WeightedRandomSampler(weights, 10).order(0).tolist()
    for same in (tuple(weights), np.array(weights, np.float32), tinynet.tensor(weights)):
        assert WeightedRandomSampler(same, 10).order(0).tolist() == expected
    array = np.ones(3)
    sampler = WeightedRandomSampler(array, 5)
    array[:] = [0, 0, 1]
    assert sampler.weights.tolist() == [1, 1, 1]


# ---- batches


@hypothesis.given(n=st.integers(0, 30), size=st.integers(1, 12), drop=st.booleans(), plain=st.booleans())
def test_batch_sampler(n: int, size: int, drop: bool, plain: bool) -> None:
    batches = BatchSampler(range(n) if plain else SequentialSampler(range(n)), size, drop)
    found = list(batches)
    assert len(found) == len(batches) == (n // size if drop else -(-n // size))
    assert [index for batch in found for index in batch] == list(range(n // size * size if drop else n))
    assert all(len(batch) == size for batch in found[:-1])


def test_batch_sampler_of_an_iterator_and_its_epochs() -> None:
    assert list(BatchSampler(iter([4, 2, 7]), 2, False)) == [[4, 2], [7]]
    with pytest.raises(TypeError):
        len(BatchSampler(iter([4]), 2, False))
    sampler = RandomSampler(range(9), seed=1)
    batches = BatchSampler(sampler, 4, False)
    batches.set_epoch(6)
    assert list(itertools.chain(*batches)) == sampler.order(6).tolist()
    BatchSampler([1, 2], 1, True).set_epoch(3)  # a list has no use for it


# ---- errors


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: RandomSampler([]),
            ArgumentError,
            "RandomSampler: data_source must hold at least one sample",
        ),
        (lambda: RandomSampler([1], 1), DTypeError, "RandomSampler: replacement must be a bool; got 1"),
        (lambda: RandomSampler([1], True, 0), ArgumentError, "num_samples must be a positive int; got 0"),
        (lambda: RandomSampler([1], True, 2.5), DTypeError, r"num_samples must be a positive int; got 2\.5"),
        (
            lambda: RandomSampler([1], generator=3),
            DTypeError,
            r"RandomSampler: generator must be a tinynet\.Generator or None; got 3",
        ),
        (
            lambda: RandomSampler([1], generator=tinynet.Generator(1), seed=1),
            ArgumentError,
            "RandomSampler: seed must be None where a generator is given; got 1",
        ),
        (
            lambda: RandomSampler([1], seed=-1),
            ArgumentError,
            "RandomSampler: seed must be an int >= 0; got -1",
        ),
        (
            lambda: RandomSampler([1], seed=1).order(-1),
            ArgumentError,
            "order: epoch must be an int >= 0; got -1",
        ),
        (
            lambda: SequentialSampler([1]).order(0.5),
            DTypeError,
            r"order: epoch must be an int >= 0; got 0\.5",
        ),
        (lambda: SequentialSampler([1]).set_epoch(-1), ArgumentError, "set_epoch: epoch must be an int >= 0"),
        (
            lambda: SubsetRandomSampler([0.5]),
            DTypeError,
            r"SubsetRandomSampler: indices must be a sequence of ints; got \[0\.5\]",
        ),
        (
            lambda: SubsetRandomSampler([[1]]),
            DTypeError,
            r"indices must be a sequence of ints; got \[\[1\]\]",
        ),
        (lambda: WeightedRandomSampler([1], 0), ArgumentError, "num_samples must be a positive int; got 0"),
        (lambda: WeightedRandomSampler([1], 1, 1), DTypeError, "replacement must be a bool; got 1"),
        (lambda: WeightedRandomSampler(["a"], 1), DTypeError, r"weights must be numbers; got \['a'\]"),
        (lambda: WeightedRandomSampler([[1]], 1), ArgumentError, r"one dimension; got shape \(1, 1\)"),
        (lambda: WeightedRandomSampler([], 1), ArgumentError, "weights must be finite, at least 0, and"),
        (lambda: WeightedRandomSampler([0], 1), ArgumentError, "weights must be finite, at least 0, and"),
        (lambda: WeightedRandomSampler([-1, 2], 1), ArgumentError, "weights must be finite, at least 0, and"),
        (lambda: WeightedRandomSampler([np.nan], 1), ArgumentError, "weights must be finite, at least 0"),
        (
            lambda: WeightedRandomSampler([1, 0, 2], 3, False),
            ArgumentError,
            "num_samples must be at most the number of weights above 0, 2, without replacement; got 3",
        ),
        (lambda: BatchSampler(3, 1, True), DTypeError, "BatchSampler: sampler must be an iterable; got int"),
        (lambda: BatchSampler([1], 0, True), ArgumentError, "batch_size must be a positive int; got 0"),
        (lambda: BatchSampler([1], 1, None), DTypeError, "BatchSampler: drop_last must be a bool; got None"),
        (lambda: iter(Sampler()), NotImplementedError, "Sampler: __iter__ must be given by the subclass"),
        (lambda: EpochSampler(), TypeError, "abstract"),
        (
            lambda: DataLoader([1], sampler=[0]).order(0),
            ArgumentError,
            "order: the loader must have an EpochSampler; got another order",
        ),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# ---- beside PyTorch


@pytest.mark.parity
def test_lengths_are_those_of_pytorch() -> None:
    from torch.utils import data as torch_data

    from tinynet import data as our_data

    def facts(lib: Any) -> list[Any]:
        found: list[Any] = []
        for n in (1, 5, 12):
            for size in (1, 4, 12, 13):
                for drop in (False, True):
                    batches = lib.BatchSampler(lib.SequentialSampler(range(n)), size, drop)
                    found += [len(batches), list(batches)]
            for options in (
                {},
                {"replacement": True},
                {"num_samples": 7},
                {"replacement": True, "num_samples": 3},
            ):
                sampler = lib.RandomSampler(range(n), **options)
                found += [len(sampler), len(list(sampler)), sampler.num_samples]
            sampler = lib.WeightedRandomSampler([1.0] * n, n, False)
            found += [len(sampler), sorted(sampler)]
            found += [sorted(lib.SubsetRandomSampler(range(n)))]
        return found

    assert facts(our_data) == facts(torch_data)
