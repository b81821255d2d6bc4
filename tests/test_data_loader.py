"""DataLoader: what is in a batch, in which order, and how a run is continued."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import tinynet
from tinynet.data import ArrayDataset, DataLoader, Dataset, TensorDataset
from tinynet.errors import DataError, DTypeError


def lists(batches: Any) -> list[list[Any]]:
    return [batch[0].tolist() for batch in batches]


class Squares(Dataset):
    """A data set that computes its samples."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        assert type(index) is int
        return np.full((2, 3), index, np.float32), index**2


# ---- batches


def test_batches_without_shuffle() -> None:
    data = TensorDataset(np.arange(7), np.arange(7, dtype=np.uint8).reshape(7, 1))
    assert lists(DataLoader(data)) == [[i] for i in range(7)]
    assert lists(DataLoader(data, 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert lists(DataLoader(data, 3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]
    assert lists(DataLoader(data, 100)) == [list(range(7))]
    first = next(iter(DataLoader(data, np.int64(2))))
    assert isinstance(first, tuple)
    assert [(t.shape, t.dtype.name) for t in first] == [((2,), "int64"), ((2, 1), "uint8")]


@hypothesis.given(n=st.integers(1, 30), size=st.integers(1, 12), drop=st.booleans(), shuffle=st.booleans())
@hypothesis.settings(deadline=None, max_examples=60)
def test_lengths_and_that_each_sample_comes_once(n: int, size: int, drop: bool, shuffle: bool) -> None:
    hypothesis.assume(not drop or n >= size)
    loader = DataLoader(TensorDataset(np.arange(n)), size, shuffle, drop_last=drop)
    batches = lists(loader)
    assert len(loader) == len(batches)
    assert all(len(batch) == size for batch in batches[:-1])
    flat = list(itertools.chain(*batches))
    assert len(flat) == (n // size * size if drop else n)
    assert len(set(flat)) == len(flat)
    if not shuffle:
        assert flat == list(range(len(flat)))


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_owns_its_memory(shuffle: bool) -> None:
    x = np.arange(4.0)
    (batch,) = next(iter(DataLoader(TensorDataset(x), 4, shuffle)))
    batch.numpy()[...] = -1
    np.testing.assert_array_equal(x, np.arange(4.0))


def test_one_gather_per_array(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, index: object) -> None:
        raise AssertionError("a sample was asked for")

    monkeypatch.setattr(ArrayDataset, "__getitem__", fail)
    assert len(list(DataLoader(TensorDataset(np.zeros((6, 2)), np.zeros(6)), 2, shuffle=True))) == 3


def test_transform_gets_and_gives_arrays() -> None:
    x, y = np.full((4, 2), 255, np.uint8), np.arange(4)

    def scale(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert type(images) is np.ndarray
        return images.astype(np.float32) / 255, labels

    for images, labels in DataLoader(TensorDataset(x, y), 2, transform=scale):
        assert isinstance(images, tinynet.Tensor)
        assert images.dtype == np.float32
        assert images.tolist() == [[1, 1], [1, 1]]
        assert labels.dtype == np.int64
    only = DataLoader(TensorDataset(x, y), 2, transform=lambda images, labels: labels * 2)
    assert [batch.tolist() for batch in only] == [[0, 2], [4, 6]]
    with pytest.raises(DTypeError, match="transform must return an array or a tuple of arrays; got NoneType"):
        list(DataLoader(TensorDataset(x), 2, transform=lambda images: None))


# ---- any Dataset


def test_general_dataset() -> None:
    loader = DataLoader(Squares(5), 2, shuffle=True, seed=1)
    order = loader.order(0)
    batches = list(loader)
    assert [x.shape for x, _ in batches] == [(2, 2, 3), (2, 2, 3), (1, 2, 3)]
    assert np.concatenate([y.numpy() for _, y in batches]).tolist() == (order**2).tolist()
    assert np.concatenate([x.numpy()[:, 0, 0] for x, _ in batches]).tolist() == order.tolist()
    doubled = DataLoader(Squares(3), 3, transform=lambda x, y: (x, 2 * y))
    assert next(iter(doubled))[1].tolist() == [0, 2, 8]


@pytest.mark.parametrize(
    "samples", [[5, 6, 7], (5, 6, 7), range(5, 8), np.arange(5, 8), tinynet.tensor([5, 6, 7])]
)
def test_anything_with_length_and_items(samples: Any) -> None:
    assert [batch.tolist() for batch in DataLoader(samples, 2)] == [[5, 6], [7]]
    x, y = next(iter(DataLoader([(np.zeros(3), 1), (np.ones(3), 2)], 2)))
    assert (x.tolist(), y.tolist()) == ([[0, 0, 0], [1, 1, 1]], [1, 2])


class Texts(Squares):
    def __getitem__(self, index: int) -> Any:
        return {"text": str(index), "x": float(index), "pair": [index, np.uint8(index)]}


def test_dict_samples_and_text() -> None:
    batch = next(iter(DataLoader(Texts(3), 3)))
    assert batch["text"] == ["0", "1", "2"]
    assert isinstance(batch["x"], tinynet.Tensor)
    assert [part.dtype.name for part in batch["pair"]] == ["int64", "uint8"]


# ---- order


def test_order_is_a_function_of_seed_and_epoch() -> None:
    data = TensorDataset(np.arange(50))
    loader = DataLoader(data, 7, shuffle=True, seed=5)
    epochs = [list(itertools.chain(*lists(loader))) for _ in range(4)]
    assert len({tuple(epoch) for epoch in epochs}) == 4
    # by its definition, written anew
    for number, epoch in enumerate(epochs):
        counter = [0, 0, 0, int.from_bytes(b"dataset\0", "big")]
        philox = np.random.Philox(key=[5, number], counter=counter)
        assert epoch == np.random.Generator(philox).permutation(50).tolist()
    # whatever else happened, in this loader and outside
    other = DataLoader(data, 3, shuffle=True, seed=5)
    np.random.default_rng().random(10)
    tinynet.manual_seed(1)
    next(iter(other))
    assert list(itertools.chain(*lists(other))) == epochs[1]
    other.set_epoch(3)
    assert other.epoch == 3
    assert list(itertools.chain(*lists(other))) == epochs[3]
    assert other.epoch == 4
    assert loader.order(2).tolist() == epochs[2]
    assert DataLoader(data, shuffle=True, seed=6).order(0).tolist() != epochs[0]
    assert DataLoader(data, shuffle=True, seed=2**64 - 1).order(2**64 - 1).shape == (50,)


def test_seed_of_a_generator() -> None:
    data, generator = TensorDataset(np.arange(20)), tinynet.Generator(11)
    loader = DataLoader(data, shuffle=True, generator=generator)
    assert loader.order(0).tolist() == DataLoader(data, shuffle=True, seed=11).order(0).tolist()
    assert generator.get_state() == {"seed": 11, "calls": 0}


def test_manual_seed_reaches_loaders_made_after_it() -> None:
    data = TensorDataset(np.arange(20))
    tinynet.manual_seed(11)
    before = tinynet.default_generator.get_state()
    loader = DataLoader(data, shuffle=True)
    tinynet.manual_seed(12)
    assert loader.seed == 11
    assert loader.order(0).tolist() == DataLoader(data, shuffle=True, seed=11).order(0).tolist()
    other = DataLoader(data, shuffle=True)
    assert other.order(0).tolist() != loader.order(0).tolist()
    tinynet.manual_seed(11)
    tinynet.randn(3)  # draws move the generator, not the order
    assert DataLoader(data, shuffle=True).order(0).tolist() == loader.order(0).tolist()
    assert before == {"seed": 11, "calls": 0}


def test_orders_are_uniform_enough() -> None:
    loader = DataLoader(TensorDataset(np.arange(4)), shuffle=True)
    counts = np.zeros((4, 4))
    for epoch in range(2000):
        counts[np.arange(4), loader.order(epoch)] += 1
    assert np.abs(counts - 500).max() < 100  # 5 standard deviations


def test_two_iterators_at_the_same_time() -> None:
    loader = DataLoader(TensorDataset(np.arange(6)), 2, shuffle=True)
    first, second = iter(loader), iter(loader)
    mixed = [next(iterator)[0].tolist() for iterator in (first, second, first, second, first, second)]
    assert list(itertools.chain(*mixed[0::2])) == loader.order(0).tolist()
    assert list(itertools.chain(*mixed[1::2])) == loader.order(1).tolist()
    assert list(first) == []  # the older one does not move the place
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (1, 3)
    assert list(second) == []
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (2, 0)


# ---- resumption


def stream(loader: DataLoader) -> Iterator[list[int]]:
    while True:
        for (batch,) in loader:
            yield batch.tolist()


@hypothesis.given(
    n=st.integers(1, 12),
    size=st.integers(1, 5),
    drop=st.booleans(),
    shuffle=st.booleans(),
    stop=st.integers(0, 15),
    general=st.booleans(),
)
@hypothesis.settings(deadline=None, max_examples=100)
def test_resumed_run_equals_the_run(
    n: int, size: int, drop: bool, shuffle: bool, stop: int, general: bool
) -> None:
    hypothesis.assume(not drop or n >= size)

    class Numbers(Squares):
        def __getitem__(self, index: int) -> Any:
            return (index,)

    def loader(seed: int) -> DataLoader:
        data = Numbers(n) if general else TensorDataset(np.arange(n))
        return DataLoader(data, size, shuffle, drop_last=drop, seed=seed)

    whole = list(itertools.islice(stream(loader(9)), stop + 10))
    stopped = loader(9)
    assert list(itertools.islice(stream(stopped), stop)) == whole[:stop]
    state = stopped.state_dict()
    resumed = loader(1234)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert list(itertools.islice(stream(resumed), 10)) == whole[stop:]


def test_states_of_an_epoch() -> None:
    loader = DataLoader(TensorDataset(np.arange(5)), 2, shuffle=True, seed=3)

    def place() -> tuple[int, int]:
        state = loader.state_dict()
        return state["epoch"], state["batch"]

    assert place() == (0, 0)
    assert [place() for _ in loader] == [(0, 1), (0, 2), (0, 3)]
    assert place() == (1, 0)
    for _ in loader:
        break
    assert place() == (1, 1)
    iter(loader)  # an epoch that was left begins no second time
    assert place() == (2, 0)
    assert loader.state_dict() == {
        "seed": 3,
        "epoch": 2,
        "batch": 0,
        "samples": 5,
        "batch_size": 2,
        "shuffle": True,
        "drop_last": False,
    }


def test_resume_yields_exactly_the_rest_of_the_epoch() -> None:
    def loader() -> DataLoader:
        return DataLoader(TensorDataset(np.arange(10)), 3, shuffle=True, seed=1)

    full = loader()
    expected = lists(full)
    for done in range(5):
        partial = loader()
        list(itertools.islice(partial, done))
        resumed = loader()
        resumed.load_state_dict(partial.state_dict())
        assert lists(resumed) == expected[done:]
        assert resumed.epoch == 1


def test_state_through_a_checkpoint(tmp_path: Any) -> None:
    loader = DataLoader(TensorDataset(np.arange(10)), 3, shuffle=True, seed=2**63)
    next(iter(loader))
    tinynet.io.save(loader.state_dict(), tmp_path / "a")
    assert tinynet.io.load(tmp_path / "a") == loader.state_dict()


def test_loading_the_place_ends_the_hold_of_a_running_iterator() -> None:
    loader = DataLoader(TensorDataset(np.arange(6)), 2)
    running = iter(loader)
    next(running)
    loader.set_epoch(7)
    next(running)
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (7, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 11}, "load_state_dict: samples must be 10 as in this loader; got 11"),
        ({"batch_size": 4}, "batch_size must be 3 as in this loader; got 4"),
        ({"shuffle": False}, "shuffle must be True as in this loader; got False"),
        ({"drop_last": True}, "drop_last must be False as in this loader; got True"),
        ({"batch": 5}, "batch must be at most 4, a whole epoch; got 5"),
        ({"batch": -1}, "batch must be an int >= 0; got -1"),
        ({"epoch": 1.5}, r"epoch must be an int >= 0; got 1\.5"),
        ({"seed": -1}, "seed must be an int >= 0; got -1"),
        ({"new": 1}, "state must have the keys"),
    ],
)
def test_states_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    loader = DataLoader(TensorDataset(np.arange(10)), 3, shuffle=True)
    next(iter(loader))
    before = loader.state_dict()
    with pytest.raises(DataError, match=message):
        loader.load_state_dict({**before, **change})
    assert loader.state_dict() == before
    with pytest.raises(DataError, match=r"^load_state_dict: state must be a dict; got int$"):
        loader.load_state_dict(5)  # type: ignore[arg-type]
