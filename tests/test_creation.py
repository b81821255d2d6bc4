"""Functions that make tensors."""

from __future__ import annotations

import numpy as np
import pytest

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError


@pytest.mark.parametrize(("f", "value"), [(tn.zeros, 0), (tn.ones, 1)])
def test_zeros_and_ones(f, value):
    for t, shape in (
        (f(2, 3), (2, 3)),
        (f((2, 3)), (2, 3)),
        (f([4]), (4,)),
        (f(), ()),
        (f(0, 2), (0, 2)),
        (f(np.int64(2)), (2,)),
    ):
        assert t.shape == shape
        assert t.dtype == np.float32
        assert (t.numpy() == value).all()
        assert not t.requires_grad
    for dtype in ("float64", "int64", "uint8", "bool", tn.int32, np.int16):
        assert f(2, dtype=dtype).dtype == np.dtype(dtype)
        assert f(2, dtype=dtype).tolist() == [value] * 2
    assert f(2, requires_grad=True).requires_grad
    assert f(2, dtype=None).dtype == np.float32


def test_empty():
    assert tn.empty(2, 3).shape == (2, 3)
    assert tn.empty(2, dtype="int64").dtype == np.int64
    assert tn.empty(3, requires_grad=True).requires_grad


def test_full():
    for value, dtype in ((2, "int64"), (2.5, "float32"), (True, "bool"), (np.float64(1.5), "float32")):
        t = tn.full((2, 1), value)
        assert t.dtype == np.dtype(dtype)
        assert t.tolist() == [[value], [value]]
    assert tn.full(3, 1).shape == (3,)
    assert tn.full((2,), 7, dtype="float64").dtype == np.float64
    assert tn.full((), 2.0, requires_grad=True).requires_grad


@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [
        ((5,), "int64"),
        ((2, 7), "int64"),
        ((7, 2, -2), "int64"),
        ((0, 1, 0.25), "float32"),
        ((3.0,), "float32"),
        ((0,), "int64"),
        ((2, 2), "int64"),
        ((np.int64(3),), "int64"),
        ((np.float32(0.5), 3), "float32"),
        ((1, 0, -0.1), "float32"),
    ],
)
def test_arange(arguments, dtype):
    t = tn.arange(*arguments)
    assert t.dtype == np.dtype(dtype)
    np.testing.assert_allclose(t.numpy(), np.arange(*arguments))
    assert tn.arange(3, dtype="float64").dtype == np.float64
    with pytest.raises(ArgumentError, match="arange: step must not be 0"):
        tn.arange(0, 1, 0)


def test_likes():
    x = tn.ones(2, 3, dtype="float64", requires_grad=True)
    for t, value in ((tn.zeros_like(x), 0), (tn.ones_like(x), 1), (tn.full_like(x, 2.5), 2.5)):
        assert t.shape == x.shape
        assert t.dtype == x.dtype
        assert not t.requires_grad
        assert (t.numpy() == value).all()
    assert tn.zeros_like(x, dtype="int64").dtype == np.int64
    assert tn.rand_like(x).dtype == tn.randn_like(x).dtype == np.float64
    assert tn.ones_like(x, requires_grad=True).requires_grad


@pytest.mark.parametrize("f", [tn.zeros, tn.ones, tn.empty, tn.rand, tn.randn])
def test_sizes_and_dtypes_that_are_refused(f):
    for size in ((-1,), (2.0,), ("2",), (2, None), (True,)):
        with pytest.raises(ArgumentError, match=f"{f.__name__}: sizes must be integers of at least 0; got"):
            f(*size)
    with pytest.raises(DTypeError, match=f"{f.__name__}: dtype must be"):
        f(2, dtype="float16")
    with pytest.raises(DTypeError, match=f"{f.__name__}: dtype must be"):
        f(2, dtype="nonsense")


def test_randperm_sizes():
    with pytest.raises(ArgumentError, match="randperm: sizes must be"):
        tn.randperm(-1)


def test_integers_do_not_require_gradients():
    with pytest.raises(DTypeError, match="requires_grad: dtype must be float32 or float64; got int64"):
        tn.zeros(2, dtype="int64", requires_grad=True)


def test_likes_lie_in_memory_as_the_tensor() -> None:
    """As in PyTorch (memory_format=torch.preserve_format); the numbers drawn do not depend on the layout."""
    plain = tn.zeros(2, 3, 4, 5)
    image = plain.contiguous(tn.channels_last)
    for make in (tn.zeros_like, tn.ones_like, tn.empty_like, tn.rand_like, tn.randn_like):
        assert make(image).stride() == image.stride() == (60, 1, 15, 3)
        assert make(plain).stride() == plain.stride()
        assert make(plain.transpose(0, 3), dtype="float64", requires_grad=True).stride() == (1, 20, 5, 60)
    assert tn.full_like(image, 3.0).stride() == tn.randint_like(image, 9).stride() == image.stride()
    assert tn.zeros_like(image[:, 1:]).stride() == (40, 1, 10, 2)
    for draw in (tn.rand_like, tn.randn_like, lambda x: tn.randint_like(x, 9)):
        tn.manual_seed(3)
        first = draw(plain)
        tn.manual_seed(3)
        assert draw(image).equal(first)
