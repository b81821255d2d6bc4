"""Tensor: construction, the way out to Python and NumPy, text, copies, pickles, subclasses."""

from __future__ import annotations

import copy
import pickle
import weakref

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, GraphError, ShapeError, TinynetError

DTYPES = ["float32", "float64", "int64", "int32", "int16", "int8", "uint32", "uint8", "bool"]


# ---- construction ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensor_copies_an_array_and_keeps_its_dtype(dtype):
    a = np.array([[1, 0, 1], [0, 1, 1]], dtype)
    t = tn.tensor(a)
    assert t.dtype == a.dtype
    assert t.shape == (2, 3)
    a[0, 0] = 0
    assert t.numpy()[0, 0] == 1


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1.5, "float32", ()),
        (3, "int64", ()),
        (True, "bool", ()),
        ([1, 2.5], "float32", (2,)),
        ([[1, 2], [3, 4]], "int64", (2, 2)),
        ([], "float32", (0,)),
        ([[], []], "float32", (2, 0)),
        ((1.0, 2.0), "float32", (2,)),
        (np.float64(2.0), "float64", ()),
        (np.int32(2), "int32", ()),
        (range(3), "int64", (3,)),
    ],
)
def test_tensor_of_python_data(data, dtype, shape):
    t = tn.tensor(data)
    assert t.dtype == np.dtype(dtype)
    assert t.shape == shape
    assert t.is_leaf
    assert not t.requires_grad


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensor_converts_to_a_given_dtype(dtype):
    t = tn.tensor([0.0, 1.0, 1.0], dtype=dtype)
    assert t.dtype == np.dtype(dtype)
    assert t.tolist() == [0, 1, 1]


@pytest.mark.parametrize("code", [">f4", ">f8", ">i8", ">i2"])
def test_tensor_takes_big_endian_arrays(code):
    a = np.arange(6).reshape(2, 3).astype(code)
    t = tn.tensor(a)
    assert t.dtype.isnative
    np.testing.assert_array_equal(t.numpy(), a)


@pytest.mark.parametrize(
    "make",
    [
        lambda a: a.T,
        lambda a: a[::-1, ::2],
        lambda a: np.asfortranarray(a),
        lambda a: np.broadcast_to(a[:1], (5, 4)),
        lambda a: a[:, None],
        lambda a: a[:0],
    ],
)
@pytest.mark.parametrize("door", [tn.tensor, tn.from_numpy])
def test_any_strides(make, door):
    a = make(np.arange(12.0).reshape(3, 4))
    t = door(a)
    np.testing.assert_array_equal(t.numpy(), a)
    np.testing.assert_array_equal((t + 1.0).numpy(), a + 1)


@pytest.mark.parametrize(
    "value",
    [np.ones(2, np.float16), np.ones(2, complex), np.ones(2, np.uint16), np.array(["a"]), "a", None, 1j],
)
def test_tensor_refuses_dtypes_it_does_not_have(value):
    with pytest.raises(DTypeError, match=r"tensor: dtype must be float32, float64, .*; got "):
        tn.tensor(value)


def test_tensor_refuses_ragged_lists_and_odd_dtypes():
    with pytest.raises(
        ShapeError, match="tensor: data must be a number or nested sequences of equal lengths"
    ):
        tn.tensor([1, [2, 3]])
    with pytest.raises(DTypeError, match="tensor: dtype must be a NumPy dtype or its name; got 'float31'"):
        tn.tensor([1], dtype="float31")
    with pytest.raises(DTypeError, match="requires_grad: dtype must be float32 or float64; got int64"):
        tn.tensor([1], requires_grad=True)


def test_tensor_of_a_number_too_large_for_float32_is_inf_without_a_warning():
    assert tn.tensor(1e300).item() == float("inf")
    assert tn.tensor(np.array([1e300])).float().tolist() == [float("inf")]


def test_tensor_of_a_tensor_and_of_tensors():
    source = tn.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    t = tn.tensor(source)
    assert t.dtype == np.float64
    assert not t.requires_grad
    assert not np.shares_memory(t.numpy(), source.detach().numpy())
    assert tn.tensor([source.sum(), source.sum()]).tolist() == [3.0, 3.0]


def test_from_numpy_shares_memory():
    a = np.zeros(3, np.float32)
    t = tn.from_numpy(a)
    a[0] = 1
    assert t.tolist() == [1, 0, 0]
    t[1] = 2
    assert a.tolist() == [1, 2, 0]
    t.mul_(2)
    assert a.tolist() == [2, 4, 0]


def test_from_numpy_keeps_the_owner_alive():
    a = np.arange(1000.0)
    expected = a.copy()
    t = tn.from_numpy(a)
    view = t[::2]
    del a, t
    np.testing.assert_array_equal(view.numpy(), expected[::2])


def test_from_numpy_refuses_what_it_cannot_share():
    with pytest.raises(DTypeError, match="from_numpy: a must be an ndarray; got list"):
        tn.from_numpy([1.0])
    with pytest.raises(DTypeError, match="from_numpy: a must be in native byte order; got >f4"):
        tn.from_numpy(np.ones(2, ">f4"))
    with pytest.raises(DTypeError, match=r"from_numpy: dtype must be .*; got float16"):
        tn.from_numpy(np.ones(2, np.float16))
    odd = np.zeros(3, [("a", "u1"), ("b", "f4")])["b"]
    with pytest.raises(ArgumentError, match="from_numpy: a must be aligned"):
        tn.from_numpy(odd)
    assert tn.tensor(odd).tolist() == [0, 0, 0]


def test_the_constructor_shares():
    a = np.zeros(2, np.float32)
    t = tn.Tensor(a, True)
    assert t.requires_grad
    assert np.shares_memory(t.detach().numpy(), a)
    assert np.shares_memory(tn.Tensor(t).numpy(), a)
    assert not tn.Tensor(t).requires_grad


# ---- properties --------------------------------------------------------------------------------------------


def test_sizes():
    t = tn.zeros(2, 0, 3)
    assert t.shape == t.size() == (2, 0, 3)
    assert t.size(-1) == 3
    assert t.ndim == t.dim() == 3
    assert t.numel() == 0
    assert len(t) == 2
    with pytest.raises(ArgumentError, match=r"size: dim must lie in \[-3, 2\]; got 3"):
        t.size(3)


def test_requires_grad_is_for_float_leaves():
    x = tn.ones(2)
    assert x.requires_grad_() is x
    assert x.requires_grad
    assert x.is_leaf
    assert x.grad_fn is None
    y = x * 2
    assert y.requires_grad
    assert not y.is_leaf
    assert y.grad_fn.name == "mul"
    y.requires_grad = True
    with pytest.raises(
        GraphError, match="requires_grad: only a leaf can be set; this tensor is the result of mul"
    ):
        y.requires_grad = False
    x.requires_grad = False
    assert not (x * 2).requires_grad


def test_detach_and_data_share_memory_and_version():
    x = tn.ones(2, requires_grad=True)
    for d in (x.detach(), x.data):
        assert not d.requires_grad
        before = x._version
        d.mul_(3)
        assert x._version == d._version == before + 1
    assert x.tolist() == [9, 9]


# ---- out to Python and NumPy -------------------------------------------------------------------------------


def test_item():
    assert tn.tensor(2.5).item() == 2.5
    assert isinstance(tn.tensor([[3]]).item(), int)
    assert tn.tensor(True).item() is True
    with pytest.raises(ArgumentError, match=r"item: the tensor must have one element; got shape \(2,\)"):
        tn.ones(2).item()
    with pytest.raises(ValueError, match="item"):
        tn.ones(0).item()


def test_python_conversions():
    assert float(tn.tensor([1.5])) == 1.5
    assert int(tn.tensor(2.9)) == 2
    assert [10, 20, 30][tn.tensor(1)] == 20
    assert list(range(4))[tn.tensor(2) :] == [2, 3]
    with pytest.raises(
        TypeError, match="index: only an integer tensor with one element is an index; got float32"
    ):
        [1][tn.tensor(0.0)]
    assert not tn.tensor(0.0)
    assert tn.tensor([1])
    with pytest.raises(ArgumentError, match="bool: the truth of a tensor with 2 elements is not defined"):
        bool(tn.ones(2))
    with pytest.raises(TypeError, match="len: a scalar tensor has no length"):
        len(tn.tensor(1.0))
    with pytest.raises(TypeError, match="scalar"):
        iter(tn.tensor(1.0))
    assert [row.tolist() for row in tn.tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    assert tn.zeros(2, 0).tolist() == [[], []]
    assert 2 in tn.tensor([1, 2])


def test_numpy_is_zero_copy_and_refuses_to_drop_a_gradient():
    t = tn.zeros(2)
    a = t.numpy()
    a[0] = 5
    assert t.tolist() == [5, 0]
    assert t.numpy() is not a
    with pytest.raises(
        GraphError,
        match=r"numpy: the tensor requires a gradient, which would be lost; use .detach\(\).numpy\(\)",
    ):
        tn.ones(1, requires_grad=True).numpy()


def test_array_protocol():
    t = tn.tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(t), t.numpy())
    assert np.asarray(t, np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(t), t.numpy())
    with pytest.raises(ValueError, match="needs a copy"):
        t.__array__(np.float64, copy=False)
    assert np.sum(np.asarray(t)) == 3


def test_conversions():
    x = tn.tensor([1.5, 2.5], requires_grad=True)
    assert x.to("float32") is x
    assert x.cpu() is x
    assert x.to("cpu") is x
    assert x.long().tolist() == [1, 2]
    assert not x.long().requires_grad
    y = x.double()
    assert y.dtype == np.float64
    (y * tn.tensor([2.0, 3.0], dtype="float64")).sum().backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [2, 3]
    with pytest.raises(DTypeError, match="to: dtype must be"):
        x.to("complex64")
    with pytest.raises(DTypeError, match="to: dtype must be"):
        x.to(None)


# ---- text --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("t", "text"),
    [
        (tn.tensor(1.0), "tensor(1.)"),
        (tn.tensor([1, 2]), "tensor([1, 2])"),
        (tn.tensor([True]), "tensor([ True])"),
        (tn.tensor([1.0], dtype="float64"), "tensor([1.], dtype=float64)"),
        (tn.tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
        (tn.tensor([[1.0, 2.0], [3.0, 4.0]]), "tensor([[1., 2.],\n        [3., 4.]])"),
        (tn.zeros(0), "tensor([])"),
    ],
)
def test_repr(t, text):
    assert repr(t) == str(t) == text


def test_repr_of_results_and_of_large_tensors():
    assert repr(tn.tensor([1.0], requires_grad=True) * 2) == "tensor([2.], grad_fn=<mul>)"
    assert len(repr(tn.zeros(1000, 1000))) < 2000


# ---- copies, pickles, subclasses ---------------------------------------------------------------------------


def test_clone_is_a_copy_with_a_gradient():
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    y = x.clone()
    assert not np.shares_memory(y.detach().numpy(), x.detach().numpy())
    (y * y).sum().backward()
    assert x.grad.tolist() == [2, 4]


def test_contiguous():
    x = tn.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert x.contiguous() is x
    y = x.T.contiguous()
    assert y.detach().numpy().flags.c_contiguous
    (y * tn.tensor([[1.0, 10.0], [100.0, 1000.0]])).sum().backward()
    assert x.grad.tolist() == [[1, 100], [10, 1000]]


@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_leaves_can_be_copied_and_pickled(make_copy):
    for t in (
        tn.tensor([1.0, 2.0], requires_grad=True),
        tn.tensor([[1, 2]]),
        nn.Parameter(tn.ones(2)),
        tn.zeros(0, 3),
    ):
        c = make_copy(t)
        assert type(c) is type(t)
        assert c.requires_grad == t.requires_grad
        assert c.dtype == t.dtype
        assert c.tolist() == t.tolist()
        assert not np.shares_memory(c.detach().numpy(), t.detach().numpy())


def test_a_copy_of_a_result_is_not_left_with_a_wrong_history():
    y = tn.ones(2, requires_grad=True) * 2
    z = copy.copy(y)
    for one in (y, z):
        with pytest.raises(NotImplementedError, match="mul_: a recorded write"):
            one.mul_(3)


def test_deepcopy_copies_the_gradient():
    t = tn.tensor([1.0, 2.0], requires_grad=True)
    (t * t).sum().backward()
    other = copy.deepcopy(t)
    t.grad.zero_()
    assert other.grad.tolist() == [2, 4]
    other.sum().backward()
    assert other.grad.tolist() == [3, 5]
    assert t.grad.tolist() == [0, 0]


def test_deepcopy_keeps_sharing_within_one_object():
    t = tn.ones(2)
    a, b = copy.deepcopy([t, t])
    assert a is b


def test_results_are_neither_copied_nor_pickled():
    y = tn.ones(2, requires_grad=True) * 2
    with pytest.raises(GraphError, match="deepcopy: only a leaf can be copied"):
        copy.deepcopy(y)
    with pytest.raises(GraphError, match="pickle: only a leaf can be pickled"):
        pickle.dumps(y)
    assert copy.copy(y).grad_fn is y.grad_fn


def test_weak_references_and_hash():
    t = tn.ones(2)
    r = weakref.ref(t)
    assert r() is t
    assert {t: 1}[t] == 1
    del t
    assert r() is None


class Named(tn.Tensor):
    """A subclass with a constructor of its own and an attribute."""

    label: str

    def __new__(cls, data: tn.Tensor, label: str = "none") -> Named:
        t = super().__new__(cls, data)
        t.label = label
        return t


def test_subclassing():
    base = tn.ones(2)
    t = Named(base, label="x")
    assert isinstance(t, tn.Tensor)
    assert t.label == "x"
    assert np.shares_memory(t.numpy(), base.numpy())
    assert type(t + 1) is tn.Tensor
    t.requires_grad_()
    c = copy.deepcopy(t)
    assert c.label == "x"
    assert c.requires_grad


def test_an_empty_constructor_gives_a_usable_tensor():
    t = tn.Tensor()
    assert t.shape == (0,)
    assert t.ndim == 1
    assert t.tolist() == []


def test_errors_are_of_one_tree():
    with pytest.raises(TinynetError):
        tn.ones(2).item()
