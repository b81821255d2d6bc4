"""Data sets in arrays, and `default_collate`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinynet
from tinynet.data import ArrayDataset, DataLoader, Dataset, TensorDataset, default_collate
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


# ---- collate


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
    ],
)
def test_collate_errors(samples: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        default_collate(samples)


def test_dataset_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Dataset()  # type: ignore[abstract]
