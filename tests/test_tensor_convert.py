"""Conversions of Tensor, what it says of its memory, and new tensors like it."""

from __future__ import annotations

import numpy as np
import pytest

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError


def test_to():
    x = tn.tensor([1.5, -2.5], requires_grad=True)
    for same in (
        x.to(tn.float32),
        x.to("cpu"),
        x.to("cpu:0"),
        x.to(device="cpu"),
        x.to(x),
        x.to("cpu", tn.float32),
    ):
        assert same is x
    assert x.to(dtype=tn.int64).tolist() == [1, -2]
    assert x.to("cpu", "float64", non_blocking=True).dtype == np.float64
    assert x.to(tn.ones(1, dtype="uint8")).dtype == np.uint8
    y = x.to(tn.float32, copy=True)
    assert y is not x
    y.sum().backward()
    assert x.grad.tolist() == [1, 1]
    assert x.to(copy=True).tolist() == x.tolist()


def test_errors_of_to():
    x = tn.ones(1)
    for device in ("cuda", "cuda:0", "mps", "meta"):
        with pytest.raises(NotImplementedError, match=f"to: device must be None or 'cpu', .*got '{device}'"):
            x.to(device)
    with pytest.raises(NotImplementedError, match="to: device must be"):
        x.to(device="cuda")
    with pytest.raises(ArgumentError, match="to: dtype must not be given twice; got float64 and 'float32'"):
        x.to("float64", "float32")
    with pytest.raises(ArgumentError, match="to: dtype or device must be given"):
        x.to()
    for wrong in ("no such type", None, "float16"):
        with pytest.raises(DTypeError, match="to: dtype must be"):
            x.to(wrong)


def test_conversions_by_name():
    x = tn.tensor([0.0, 1.5, -2.5])
    assert x.int().dtype == np.int32
    assert x.int().tolist() == [0, 1, -2]
    assert x.bool().tolist() == [False, True, True]
    assert x.type("int64").dtype == x.type_as(tn.tensor([1])).dtype == np.int64
    names = [x.type(), x.double().type(), x.long().type(), x.bool().type(), tn.zeros(1, dtype="uint8").type()]
    assert names == [f"tinynet.{n}Tensor" for n in ("Float", "Double", "Long", "Bool", "Byte")]
    with pytest.raises(NotImplementedError, match="half: float16 is not supported; use float32"):
        x.half()
    with pytest.raises(NotImplementedError, match="cuda: tinynet computes on the CPU"):
        x.cuda()


def test_memory():
    x = tn.zeros(3, 4, dtype="float64")
    assert x.device == "cpu"
    assert x.to(x.device) is x
    assert x.nelement() == x.numel() == 12
    assert x.element_size() == 8
    assert x.stride() == (4, 1)
    assert x.T.stride() == (1, 4)
    assert x.T.stride(-1) == 4
    assert x.expand(2, 3, 4).stride(0) == 0
    assert x.is_contiguous()
    assert not x.T.is_contiguous()
    assert x.T.contiguous().is_contiguous()
    assert x.is_floating_point()
    assert not x.long().is_floating_point()
    with pytest.raises(ArgumentError, match=r"stride: dim must lie in \[-2, 1\]; got 2"):
        x.stride(2)


def test_new_tensors():
    x = tn.ones(1, dtype="float64")
    for y, expected in (
        (x.new_zeros(2), [0, 0]),
        (x.new_ones((1, 2)), [[1, 1]]),
        (x.new_full((2,), 3), [3, 3]),
        (x.new_full(2, 3), [3, 3]),
        (x.new_tensor([1, 2]), [1, 2]),
        (x.new_zeros(()), 0),
    ):
        assert y.dtype == np.float64
        assert y.tolist() == expected
        assert not y.requires_grad
    assert x.new_empty(2, 3, requires_grad=True).requires_grad
    assert x.new_ones(1, dtype="int32", device="cpu").dtype == np.int32
    assert tn.tensor([1]).new_zeros(1).dtype == np.int64
    for name in ("new_zeros", "new_ones", "new_empty"):
        with pytest.raises(NotImplementedError, match=f"{name}: device must be"):
            getattr(x, name)(1, device="cuda")
        for size in (-1, 1.5, True):
            with pytest.raises(ArgumentError, match=f"{name}: sizes must be integers of at least 0"):
                getattr(x, name)(size)
    with pytest.raises(NotImplementedError, match="new_tensor: device must be"):
        x.new_tensor([1], device="cuda")


def test_softmax_and_ravel_as_methods():
    x = tn.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    assert x.softmax(1).tolist() == tn.nn.functional.softmax(x, 1).tolist()
    assert x.log_softmax(-2).tolist() == tn.nn.functional.log_softmax(x, 0).tolist()
    assert x.ravel().tolist() == [1.0, 2.0, 3.0, 5.0]
    x.ravel()[3].backward()
    assert x.grad.tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_utils_data_is_data():
    import tinynet.utils.data as other

    assert other.DataLoader is tn.data.DataLoader
    assert tn.utils.data is other
    assert set(other.__all__) == set(tn.data.__all__)
