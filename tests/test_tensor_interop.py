"""Exchange with other libraries: DLPack, formatting, membership."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import tinynet as tn
from tinynet.errors import DTypeError, GraphError


class Foreign:
    """An array of a library that knows DLPack only."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: object) -> object:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


def test_dlpack_shares_memory_both_ways():
    t = tn.zeros(2, 3)
    a = np.from_dlpack(t)
    t.fill_(2.0)
    assert a.tolist() == [[2.0] * 3] * 2
    b = np.arange(6.0).reshape(2, 3)
    u = tn.from_dlpack(Foreign(b))
    b[0, 0] = 9.0
    assert u.tolist() == b.tolist()
    assert u.dtype == np.float64
    assert np.shares_memory(tn.from_dlpack(u).numpy(), u.numpy())


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "i4", "i2", "i1", "u1", "u4", "?"])
def test_dlpack_keeps_dtype_and_strides(dtype):
    a = np.arange(24).reshape(2, 3, 4).astype(dtype).transpose(2, 0, 1)[::-1, :, 1:]
    t = tn.from_dlpack(Foreign(a))
    assert t.dtype == a.dtype
    assert t.tolist() == a.tolist()
    back = np.from_dlpack(tn.from_numpy(a))
    assert back.strides == a.strides
    assert back.tolist() == a.tolist()


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 1)])
def test_dlpack_of_odd_shapes(shape):
    assert tn.from_dlpack(Foreign(np.ones(shape, np.float32))).shape == shape
    assert np.from_dlpack(tn.ones(shape)).shape == shape


def test_dlpack_keeps_the_memory_alive():
    t = tn.full((1000,), 3.0)
    a = np.from_dlpack(t)
    del t
    gc.collect()
    others = [tn.zeros(1000) for _ in range(5)]
    assert (a == 3.0).all()
    b = np.full(1000, 4.0)
    u = tn.from_dlpack(Foreign(b))
    del b
    gc.collect()
    assert u.sum().item() == 4000.0
    assert len(others) == 5


def test_dlpack_read_only():
    a = np.arange(3.0)
    a.flags.writeable = False
    t = tn.from_dlpack(a)
    with pytest.raises(tn.errors.ArgumentError, match="add_: the tensor must be writable; got read-only"):
        t.add_(1)


def test_dlpack_refuses():
    with pytest.raises(GraphError, match=r"__dlpack__: the tensor requires a gradient, .* use \.detach\(\)"):
        np.from_dlpack(tn.ones(2, requires_grad=True))
    with pytest.raises(DTypeError, match="from_dlpack: x must have the DLPack interface; got list"):
        tn.from_dlpack([1.0])
    with pytest.raises(DTypeError, match=r"from_dlpack: dtype must be float32, .*; got complex128"):
        tn.from_dlpack(np.zeros(2, complex))


def test_format_of_a_scalar():
    t = tn.tensor(0.125)
    assert f"{t:.2f}|{t:8.3f}|{tn.tensor(7):04d}" == "0.12|   0.125|0007"
    assert f"{t} {tn.tensor(3)}" == "0.125 3"
    assert f"{tn.ones(1)}" == "tensor([1.])"
    assert f"{tn.nn.Parameter(t)}".startswith("Parameter")
    with pytest.raises(TypeError):
        f"{tn.ones(2):.2f}"


def test_membership():
    t = tn.tensor([[1.0, 2.0], [3.0, float("nan")]])
    assert 3 in t
    assert tn.tensor(2.0) in t
    assert 4.0 not in t
    assert float("nan") not in t
    assert 1.0 not in tn.zeros(0)


@pytest.mark.parity
def test_dlpack_with_torch():
    torch = pytest.importorskip("torch")
    t = tn.randn(3, 4)
    p = torch.from_dlpack(t)
    p[0, 0] = 7.0
    assert t[0, 0].item() == 7.0
    q = torch.arange(6.0).reshape(2, 3).T
    u = tn.from_dlpack(q)
    u.add_(1)
    assert u.tolist() == q.tolist() == [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]


def test_numpy_by_force():
    x = tn.ones(2, requires_grad=True)
    with pytest.raises(GraphError, match="numpy: the tensor requires a gradient"):
        x.numpy()
    a = (x * 2).numpy(force=True)
    assert a.tolist() == [2.0, 2.0]
    assert np.shares_memory(x.numpy(force=True), x.detach().numpy())
