"""Threads that make batches ahead: the same batches in the same order, and nothing left behind."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import tinynet
from tinynet.data import DataLoader, Dataset, IterableDataset, TensorDataset, batch_rng
from tinynet.errors import ArgumentError, DataError


class Items(Dataset[Any]):
    """Samples that take their time, the earlier ones longer."""

    def __init__(self, length: int, seconds: float = 0.0) -> None:
        self.length, self.seconds = length, seconds

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        time.sleep(self.seconds * (1 - index / self.length))
        return np.full(3, index, np.float32), index


class Failing(Items):
    def __getitem__(self, index: int) -> Any:
        if index == 5:
            raise KeyError("no sample")
        return index


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("DataLoader worker")]


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    assert workers() == []
    yield
    assert workers() == []


def values(batches: Any) -> list[Any]:
    return [[part.tolist() for part in batch] for batch in batches]


# ---- the same batches


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("data", [TensorDataset(np.arange(50.0), np.arange(50)), Items(50, 2e-4)])
def test_the_same_batches_in_the_same_order(data: Any, count: int) -> None:
    def noisy(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rng = batch_rng()
        return x + rng.normal(size=x.shape), y * rng.integers(1, 9)

    def epochs(num_workers: int) -> list[Any]:
        loader = DataLoader(data, 4, True, num_workers=num_workers, seed=3, transform=noisy)
        return [values(loader) for _ in range(2)]

    assert epochs(count) == epochs(0)


@hypothesis.given(
    n=st.integers(1, 25),
    size=st.integers(1, 7),
    drop=st.booleans(),
    shuffle=st.booleans(),
    count=st.integers(1, 5),
    factor=st.integers(1, 3),
    stop=st.integers(0, 30),
)
@hypothesis.settings(max_examples=40)
def test_lengths_and_resumption(
    n: int, size: int, drop: bool, shuffle: bool, count: int, factor: int, stop: int
) -> None:
    hypothesis.assume(not drop or n >= size)

    def noisy(x: np.ndarray) -> np.ndarray:
        return x + batch_rng().random(x.shape)

    def loader(num_workers: int) -> DataLoader:
        options: dict[str, Any] = {"prefetch_factor": factor} if num_workers else {}
        data = TensorDataset(np.arange(float(n)))
        return DataLoader(
            data, size, shuffle, drop_last=drop, num_workers=num_workers, seed=7, transform=noisy, **options
        )

    def stream(loader: DataLoader) -> Iterator[list[float]]:
        while True:
            for batch in loader:
                yield batch.tolist()

    whole = list(itertools.islice(stream(loader(0)), stop + 6))
    stopped = loader(count)
    assert list(itertools.islice(stream(stopped), stop)) == whole[:stop]
    state = stopped.state_dict()
    assert len(stopped) * state["epoch"] + state["batch"] == stop  # what was made ahead does not count
    resumed = loader(count)
    resumed.load_state_dict(state)
    assert list(itertools.islice(stream(resumed), 6)) == whole[stop:]


def test_two_iterators_and_nested_loops() -> None:
    loader = DataLoader(Items(6), 2, True, num_workers=2, seed=1)
    plain = DataLoader(Items(6), 2, True, seed=1)
    first, second = iter(loader), iter(loader)
    mixed = [next(iterator)[1].tolist() for iterator in (first, second) * 3]
    assert mixed[0::2] == [y.tolist() for _, y in plain]
    assert mixed[1::2] == [y.tolist() for _, y in plain]
    assert list(first) == list(second) == []
    pairs = [(a[1].tolist(), b[1].tolist()) for a in loader for b in loader]
    assert len(pairs) == 9


def test_a_loader_within_a_data_set() -> None:
    class Sums(Items):
        def __getitem__(self, index: int) -> Any:
            before = batch_rng()
            inner = DataLoader(
                Items(index + 1), 2, num_workers=1, transform=lambda x, y: y + batch_rng().integers(9)
            )
            total = sum(int(y.sum().item()) for y in inner)
            assert batch_rng() is before
            return total

    def sums(num_workers: int) -> list[Any]:
        return [batch.tolist() for batch in DataLoader(Sums(5), 2, num_workers=num_workers)]

    assert sums(2) == sums(0)


# ---- how far ahead


@pytest.mark.parametrize(("count", "factor", "ahead"), [(1, None, 2), (2, None, 4), (3, 1, 3), (1, 5, 5)])
def test_how_many_batches_are_made_ahead(count: int, factor: int | None, ahead: int) -> None:
    made: list[int] = []
    loader = DataLoader(
        range(40),
        num_workers=count,
        prefetch_factor=factor,
        collate_fn=lambda samples: made.append(samples[0]),
    )
    assert loader.prefetch_factor == (factor or 2)
    iterator = iter(loader)
    assert made == []  # nothing begins before the first batch is asked for
    for taken in range(1, 4):
        next(iterator)
        deadline = time.monotonic() + 5
        while len(made) < taken + ahead and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.005)
        assert len(made) == taken + ahead
    del iterator
    assert workers() == []


def test_several_batches_are_in_the_making_at_once() -> None:
    """Each of three batches is finished only once all three have been begun."""
    barrier = threading.Barrier(3, timeout=30)

    def meet(samples: list[int]) -> int:
        barrier.wait()
        return samples[0]

    assert list(DataLoader(range(9), num_workers=3, collate_fn=meet)) == list(range(9))


# ---- exceptions


def failing_transform(x: np.ndarray) -> np.ndarray:
    if 5 in x:
        raise KeyError("no sample")
    return x


def failing_collate(samples: list[int]) -> Any:
    if 5 in samples:
        raise KeyError("no sample")
    return tinynet.tensor(samples)


class FailingStream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        yield from range(5)
        raise KeyError("no sample")


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize(
    ("data", "options"),
    [
        (Failing(9), {}),
        (range(9), {"transform": failing_transform}),
        (range(9), {"collate_fn": failing_collate}),
        (FailingStream(), {"batch_size": 2}),
    ],
    ids=["data set", "transform", "collate_fn", "stream"],
)
def test_exceptions_come_at_their_batch(data: Any, options: dict[str, Any], count: int) -> None:
    loader = DataLoader(data, **{"batch_size": 2, "num_workers": count, **options})
    seen: list[list[int]] = []
    with pytest.raises(KeyError, match="no sample") as caught:
        seen.extend(batch.tolist() for batch in loader)
    assert seen == [[0, 1], [2, 3]]
    assert loader.state_dict()["batch"] == 2
    text = "".join(traceback.format_exception(caught.value))
    assert 'raise KeyError("no sample")' in text  # the line that failed
    if count and sys.version_info >= (3, 11):
        (note,) = caught.value.__notes__
        assert note in [f"in DataLoader worker {i}, making batch 2" for i in range(count)]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
@pytest.mark.parametrize("data", [Failing(9), FailingStream()])
def test_the_number_in_the_note_counts_from_the_start_of_the_epoch(data: Any) -> None:
    loader = DataLoader(data, 2, num_workers=1)
    loader.load_state_dict({**loader.state_dict(), "batch": 1})
    with pytest.raises(KeyError) as caught:
        list(loader)
    assert caught.value.__notes__ == ["in DataLoader worker 0, making batch 2"]


@pytest.mark.parametrize("count", [0, 2])
def test_an_exception_ends_the_iterator(count: int) -> None:
    iterator = iter(DataLoader(Failing(9), 5, num_workers=count))
    next(iterator)
    with pytest.raises(KeyError):
        next(iterator)
    with pytest.raises(StopIteration):
        next(iterator)


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration])
def test_exceptions_that_are_no_errors(error: type[BaseException], count: int) -> None:
    def collate(samples: list[int]) -> Any:
        raise error("x")

    expected = RuntimeError if error is StopIteration else error
    with pytest.raises(expected):
        list(DataLoader(range(9), num_workers=count, collate_fn=collate))


def test_the_exception_holds_nothing_that_holds_it() -> None:

    class Failed(Exception):
        pass

    def collate(samples: list[int]) -> None:
        raise Failed

    gc.collect()
    gc.disable()
    try:
        try:
            list(DataLoader(range(9), 2, num_workers=2, collate_fn=collate))
        except Failed as error:
            reference = weakref.ref(error)
        assert reference() is None
    finally:
        gc.enable()


def test_timeout() -> None:
    gate = threading.Event()

    def wait(samples: list[int]) -> int:
        if samples == [2]:
            gate.wait(30)
        return samples[0]

    loader = DataLoader(range(9), num_workers=1, timeout=0.05, collate_fn=wait)
    iterator = iter(loader)
    assert [next(iterator), next(iterator)] == [0, 1]
    with pytest.raises(DataError, match=r"^DataLoader: a batch must be made within timeout=0\.05 seconds$"):
        next(iterator)
    (left,) = workers()  # the end has not waited for the worker that hangs
    gate.set()
    left.join(30)


# ---- what workers see


def test_modes_of_the_loop_hold_in_the_workers() -> None:
    def look(samples: list[int]) -> Any:
        return tinynet.is_grad_enabled(), np.geterr()["divide"]

    with tinynet.no_grad(), np.errstate(divide="raise"):
        assert list(DataLoader(range(3), num_workers=2, collate_fn=look)) == [(False, "raise")] * 3
    assert list(DataLoader(range(2), num_workers=2, collate_fn=look)) == [(True, np.geterr()["divide"])] * 2


def test_batch_rng() -> None:
    """By its definition, written anew; one generator for a batch."""

    def draw(samples: list[int]) -> list[float]:
        return [batch_rng().random(), batch_rng().random()]

    for count in (0, 2):
        loader = DataLoader(range(3), num_workers=count, collate_fn=draw, seed=6)
        loader.set_epoch(2)
        for number, found in enumerate(loader):
            counter = [0, 0, number, int.from_bytes(b"augment\0", "big")]
            rng = np.random.Generator(np.random.Philox(key=[6, 2], counter=counter))
            assert found == rng.random(2).tolist()
    with pytest.raises(ArgumentError, match="batch_rng: must be called while a DataLoader makes a batch"):
        batch_rng()


def test_options_without_effect() -> None:
    options: dict[str, Any] = {
        "pin_memory": True,
        "persistent_workers": True,
        "in_order": False,
        "timeout": 60,
    }
    loader = DataLoader(Items(7), 2, num_workers=2, **options)
    assert [y.tolist() for _, y in loader] == [[0, 1], [2, 3], [4, 5], [6]]
