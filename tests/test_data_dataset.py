"""Data sets in arrays; `default_collate` and `default_convert`, alone and in a loader."""

from __future__ import annotations

import collections
import types
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinynet
from tinynet.data import ArrayDataset, DataLoader, Dataset, TensorDataset, default_collate, default_convert
from tinynet.errors import ArgumentError, DTypeError, ShapeError

# ---- TensorDataset


def test_tensor_dataset_holds_shares_and_indexes() -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    y = tinynet.tensor(np.arange(4))
    data = TensorDataset(x, y)
    assert isinstance(data, ArrayDataset)
    assert len(data) == 4
    assert np.shares_memory(data.arrays[0], x)
    assert np.shares_memory(data.arrays[1], y.numpy())
    row, label = data[2]
    assert isinstance(row, tinynet.Tensor)
    assert row.tolist() == [6, 7, 8]
    assert (label.shape, label.item()) == ((), 2)
    assert data[-1][1].item() == 3
    assert data[1:3][1].tolist() == [1, 2]
    with pytest.raises(IndexError):
        data[4]


def test_tensor_dataset_takes_tensors_with_gradient() -> None:
    (batch,) = next(iter(DataLoader(TensorDataset(tinynet.tensor(np.ones((2, 2)), requires_grad=True)), 2)))
    assert not batch.requires_grad


@pytest.mark.parametrize(
    "layout",
    [
        lambda a: a,
        lambda a: np.asfortranarray(a),
        lambda a: a[::-1],
        lambda a: a[:, ::2],
        lambda a: a[:, :, ::-1],
        lambda a: a.astype(">f4"),
        lambda a: np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        lambda a: np.ascontiguousarray(a.transpose(0, 3, 2, 1)).transpose(0, 3, 2, 1),
        lambda a: np.broadcast_to(a[:1], a.shape),
    ],
    ids=[
        "C",
        "Fortran",
        "reversed",
        "strided",
        "negative",
        "big-endian",
        "channels-last",
        "reordered",
        "broadcast",
    ],
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_layouts(layout: Any, shuffle: bool) -> None:
    a = layout(np.arange(5 * 4 * 3 * 2, dtype=np.float32).reshape(5, 4, 3, 2))
    a.flags.writeable = False
    loader = DataLoader(TensorDataset(a), 2, shuffle, seed=3)
    order = loader.order(0)
    for number, (batch,) in enumerate(loader):
        rows = order[2 * number : 2 * number + 2]
        np.testing.assert_array_equal(batch.numpy(), np.stack([a[row] for row in rows]))
        assert batch.dtype == np.float32
        assert batch.numpy().flags.writeable


def test_channels_last_stays_channels_last() -> None:
    a = np.zeros((6, 5, 5, 3), np.float32).transpose(0, 3, 1, 2)
    data = TensorDataset(a)
    assert np.shares_memory(data.arrays[0], a)
    for shuffle in (False, True):
        (batch,) = next(iter(DataLoader(data, 4, shuffle)))
        assert batch.shape == (4, 3, 5, 5)
        assert batch.numpy().transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ((), ArgumentError, "TensorDataset: arrays must be at least one array; got none"),
        (
            (np.zeros(3), np.zeros(4)),
            ShapeError,
            "TensorDataset: arrays must have equal first dimensions; got 3, 4",
        ),
        (
            (np.zeros(3), [1, 2, 3]),
            DTypeError,
            r"TensorDataset: array 1 must be a numpy.ndarray or Tensor; got list",
        ),
        ((np.zeros(()),), ShapeError, r"array 0 must have shape \(N, \.\.\.\); got \(\)"),
        ((np.array(["a"]),), DTypeError, "array 0 must have dtype float32, .* got <U1"),
        ((np.zeros(3, np.float16),), DTypeError, "got float16"),
    ],
)
def test_tensor_dataset_errors(arrays: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TensorDataset(*arrays)


# ---- default_collate and default_convert


def test_collate() -> None:
    batch = default_collate(
        [{"x": np.zeros(2), "t": (1, 2.0, True, "a")}, {"x": np.ones(2), "t": (3, 4.0, False, "b")}]
    )
    assert batch["x"].tolist() == [[0, 0], [1, 1]]
    ints, floats, bools, text = batch["t"]
    assert (ints.dtype, floats.dtype, bools.dtype) == (np.int64, np.float32, np.bool_)
    assert (ints.tolist(), floats.tolist(), bools.tolist(), text) == (
        [1, 3],
        [2, 4],
        [True, False],
        ["a", "b"],
    )
    assert default_collate([tinynet.tensor(np.ones(2)), tinynet.tensor(np.zeros(2))]).tolist() == [
        [1, 1],
        [0, 0],
    ]
    assert default_collate([[1, 2], [3, 4]])[1].tolist() == [2, 4]
    assert default_collate([np.int32(1), np.int32(2)]).dtype == np.int32


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([], ArgumentError, "default_collate: batch must be at least one sample; got none"),
        (
            [(np.zeros(2), 1), (np.zeros(3), 1)],
            ShapeError,
            r"every sample\[0\] must have one shape and dtype; got \(2,\) float64 and \(3,\) float64",
        ),
        ([np.zeros(2), np.zeros(2, int)], ShapeError, r"got \(2,\) float64 and \(2,\) int64"),
        ([1, 2.0], ShapeError, "every sample must be a int as the first one is"),
        ([(1, 2), (1,)], ShapeError, "every sample must have 2 parts as the first one has"),
        ([{"a": 1}, {"b": 1}], ShapeError, r"every sample must have the keys \['a'\]"),
        ([{"a": 1}, {"a": None}], ShapeError, r"every sample\['a'\] must be a int"),
        ([{1}, {2}], DTypeError, "every sample must be array, Tensor, number, .* got set"),
        ([None], DTypeError, "every sample must be array, .*; got NoneType"),
        ([(1, None)], DTypeError, r"every sample\[1\] must be array, .*; got NoneType"),
    ],
)
def test_collate_errors(samples: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        default_collate(samples)


class Pair(NamedTuple):
    x: Any
    y: Any


def test_collate_keeps_the_form() -> None:
    batch = default_collate([Pair([1, b"a"], {"k": (1.0,)}), Pair([2, b"b"], {"k": (2.0,)})])
    assert type(batch) is Pair
    assert type(batch.x) is list
    assert batch.x[0].tolist() == [1, 2]
    assert batch.x[1] == [b"a", b"b"]
    assert type(batch.y["k"]) is tuple
    assert isinstance(batch.y["k"][0], tinynet.Tensor)
    counts = collections.defaultdict(int, a=1)
    again = default_collate([counts, counts])
    assert type(again) is collections.defaultdict
    assert again["a"].tolist() == [1, 1]
    assert again["new"] == 0
    assert counts["a"] == 1
    frozen = default_collate([types.MappingProxyType({"a": 1})])
    assert type(frozen) is types.MappingProxyType
    assert frozen["a"].tolist() == [1]

    class Strict(collections.abc.Mapping[str, Any]):
        def __init__(self, one: int, two: int) -> None:
            self.entries = {"one": one, "two": two}

        def __getitem__(self, key: str) -> Any:
            return self.entries[key]

        def __iter__(self) -> Any:
            return iter(self.entries)

        def __len__(self) -> int:
            return 2

    assert type(default_collate([Strict(1, 2)])) is dict


def test_collate_needs_no_gradient() -> None:
    batch = default_collate([tinynet.ones(2, requires_grad=True)])
    assert not batch.requires_grad


def test_convert() -> None:
    array = np.arange(3)
    tensor = tinynet.ones(2)
    found = default_convert({"a": [array, np.float32(2)], "b": Pair(tensor, "text"), "c": (1, 2.5, None)})
    assert np.shares_memory(found["a"][0].numpy(), array)
    assert (found["a"][1].shape, found["a"][1].item()) == ((), 2)
    assert found["b"].x is tensor
    assert type(found["b"]) is Pair
    assert found["b"].y == "text"
    assert found["c"] == (1, 2.5, None)
    text = np.array(["a"])
    assert default_convert((text,))[0] is text
    with pytest.raises(DTypeError, match="float16"):
        default_convert(np.zeros(2, np.float16))


# ---- the functions in a loader


@pytest.mark.parametrize("workers", [0, 2])
def test_without_batches(workers: int) -> None:
    x = np.arange(6.0).reshape(3, 2)
    loader = DataLoader(TensorDataset(x, np.arange(3)), None, num_workers=workers)
    assert len(loader) == 3
    assert loader.batch_size is None
    assert loader.batch_sampler is None
    assert [(row.tolist(), label.item()) for row, label in loader] == [([0, 1], 0), ([2, 3], 1), ([4, 5], 2)]
    assert np.shares_memory(next(iter(loader))[0].numpy(), x)
    assert list(DataLoader([(1, "a"), (2.5, None)], None)) == [(1, "a"), (2.5, None)]
    assert list(DataLoader(range(3), None, collate_fn=lambda sample: -sample)) == [0, -1, -2]
    doubled = DataLoader(TensorDataset(x), batch_size=None, transform=lambda row: 2 * row)
    assert [row.tolist() for row in doubled] == [[0, 2], [4, 6], [8, 10]]
    batches = DataLoader(TensorDataset(x), None, sampler=[[0, 2], [1]])
    assert [rows.tolist() for (rows,) in batches] == [[[0, 1], [4, 5]], [[2, 3]]]


def test_collate_fn() -> None:
    data = TensorDataset(np.arange(5), np.arange(5))
    kinds = [type(batch) for batch in DataLoader(data, 2, collate_fn=tuple)]
    assert kinds == [tuple] * 3

    def pad(samples: Any) -> Any:
        return [np.array([x.item() for x, _ in samples]), tinynet.tensor([y.item() for _, y in samples])]

    x, y = next(iter(DataLoader(data, 3, collate_fn=pad)))
    assert type(x) is np.ndarray  # what it returns is handed out as it is
    assert y.tolist() == [0, 1, 2]

    def add(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        assert type(x) is type(y) is np.ndarray
        return x + y

    assert next(iter(DataLoader(data, 3, collate_fn=pad, transform=add))).tolist() == [0, 2, 4]
    texts = DataLoader(["a", "b"], 2, transform=lambda texts: np.array([len(text) for text in texts]))
    assert next(iter(texts)).tolist() == [1, 1]
    assert DataLoader(data).collate_fn is default_collate
    assert DataLoader(data, None).collate_fn is default_convert


@pytest.mark.parity
def test_forms_are_those_of_pytorch() -> None:
    """Tuples, which stay tuples here and become lists there, and float64 for Python's floats aside."""
    import torch
    from torch.utils.data import default_collate as torch_collate
    from torch.utils.data import default_convert as torch_convert

    def form(value: Any) -> Any:
        if isinstance(value, (tinynet.Tensor, torch.Tensor)):
            return "tensor", tuple(value.shape), value.tolist()
        if isinstance(value, dict):
            return type(value).__name__, {key: form(part) for key, part in value.items()}
        if isinstance(value, Pair):
            return "Pair", [form(part) for part in value]
        if isinstance(value, (tuple, list)):
            return "sequence", [form(part) for part in value]
        return value

    def samples(lib: Any) -> list[Any]:
        return [
            [1, 2],
            [1.5, 2.5],
            [True, False],
            ["a", "b"],
            [b"a", b"b"],
            [np.float64(1), np.float64(2)],
            [np.zeros((2, 3)), np.ones((2, 3))],
            [lib.ones(2), lib.zeros(2)],
            [(1, [2, "a"]), (3, [4, "b"])],
            [{"x": 1, "y": {"z": [lib.ones(1)]}}, {"x": 2, "y": {"z": [lib.zeros(1)]}}],
            [Pair(1, np.zeros(2)), Pair(2, np.ones(2))],
            [collections.OrderedDict(a=1), collections.OrderedDict(a=2)],
        ]

    for ours, theirs in zip(samples(tinynet), samples(torch), strict=True):
        assert form(default_collate(ours)) == form(torch_collate(theirs))
        assert form(default_convert(ours)) == form(torch_convert(theirs))
    for wrong in ([None], [{1}], [object()]):
        for collate in (default_collate, torch_collate):
            with pytest.raises(TypeError):
                collate(wrong)


def test_dataset_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Dataset()  # type: ignore[abstract]
