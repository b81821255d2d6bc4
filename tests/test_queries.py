"""`bincount`, `nonzero`, `unique`, `is_tensor`: counts and places."""

from __future__ import annotations

import numpy as np
import pytest

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, ShapeError


def test_confusion_matrix():
    truth, guess = tn.tensor([0, 1, 2, 2, 1]), tn.tensor([0, 2, 2, 2, 1])
    matrix = tn.bincount(truth * 3 + guess, minlength=9).reshape(3, 3)
    assert matrix.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 2]]


def test_bincount():
    assert tn.bincount(tn.zeros(0, dtype=tn.long)).tolist() == []
    assert tn.bincount(tn.zeros(0, dtype=tn.long), minlength=2).tolist() == [0, 0]
    assert tn.bincount(tn.tensor([5, 0, 5])[::2]).dtype == tn.int64
    weights = tn.tensor([0.5, 2.0, 0.25])
    found = tn.bincount(tn.tensor([1, 0, 1]), weights)
    assert found.dtype == tn.float32
    assert found.tolist() == [2.0, 0.75]
    assert tn.bincount(tn.tensor([1, 0, 1]), weights.long()).dtype == tn.float64


def test_nonzero():
    x = tn.tensor([[0.0, np.nan, -1.0], [0.0, 0.0, 2.0]], requires_grad=True)
    assert tn.nonzero(x).tolist() == [[0, 1], [0, 2], [1, 2]]
    assert x[tn.nonzero(x > 0, as_tuple=True)].tolist() == [2.0]
    assert tn.nonzero(tn.zeros(2, 3)).shape == (0, 2)
    assert tn.nonzero(tn.tensor(3.0)).shape == (1, 0)
    assert [t.tolist() for t in tn.nonzero(tn.tensor(3.0), as_tuple=True)] == [[0]]


def test_unique():
    x = tn.tensor([[3, 1], [1, 7]])
    assert tn.unique(x).tolist() == [1, 3, 7]
    found, places, counts = tn.unique(x, return_inverse=True, return_counts=True)
    assert found[places].equal(x)
    assert counts.tolist() == [2, 1, 1]
    assert tn.unique(tn.tensor([np.nan, 1.0, np.nan])).shape == (3,)
    assert tn.unique(tn.tensor([True, False, True]), True, True)[1].tolist() == [1, 0, 1]


def test_is_tensor():
    assert tn.is_tensor(tn.nn.Parameter(tn.ones(1)))
    assert not tn.is_tensor(np.ones(1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tn.bincount(tn.ones(2)), DTypeError, "bincount: input must be of integers; got float32"),
        (lambda: tn.bincount(tn.tensor(1)), ShapeError, r"bincount: input must have shape \(N,\); got \(\)"),
        (lambda: tn.bincount(tn.tensor([-1])), ArgumentError, "bincount: input must be at least 0; got -1"),
        (
            lambda: tn.bincount(tn.tensor([1]), tn.ones(2)),
            ShapeError,
            r"bincount: weights must have the shape of input, \(1,\); got \(2,\)",
        ),
        (lambda: tn.bincount(tn.tensor([1]), None, -1), ArgumentError, "bincount: minlength must be"),
        (lambda: tn.nonzero([1]), DTypeError, "nonzero: input must be a Tensor; got list"),
        (lambda: tn.nonzero(tn.ones(1), as_tuple=1), DTypeError, "nonzero: as_tuple must be a bool"),
        (lambda: tn.unique(tn.ones(1), dim=0), NotImplementedError, "unique: dim must be None"),
        (lambda: tn.unique(tn.ones(1), 3), DTypeError, "unique: sorted must be a bool"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parity
def test_like_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    a = rng.integers(0, 5, (4, 3))
    for ours, theirs in (
        (tn.bincount(tn.tensor(a[:, 0])), torch.bincount(torch.tensor(a[:, 0]))),
        (
            tn.bincount(tn.tensor(a[:, 0]), tn.tensor(a[:, 1])),
            torch.bincount(torch.tensor(a[:, 0]), torch.tensor(a[:, 1])),
        ),
        (tn.nonzero(tn.tensor(a)), torch.nonzero(torch.tensor(a))),
        *zip(
            tn.nonzero(tn.tensor(a), as_tuple=True),
            torch.nonzero(torch.tensor(a), as_tuple=True),
            strict=True,
        ),
        *zip(
            tn.unique(tn.tensor(a), True, True, True),
            torch.unique(torch.tensor(a), True, True, True),
            strict=True,
        ),
    ):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
