"""Indexing, reshaping, joining and reductions of Tensor, with their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, GraphError, ShapeError


def weights(shape: tuple[int, ...]) -> np.ndarray:
    """Distinct numbers, to tell the elements of a gradient apart."""
    return np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)


def check_moves(f: Any, a: np.ndarray) -> tn.Tensor:
    """f only moves elements: compare it with NumPy's f, and its gradient with the elements' new places."""
    x = tn.tensor(a, requires_grad=True)
    y, expected = f(x), f(a)
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    assert y.shape == expected.shape
    g = weights(expected.shape)
    y.backward(tn.tensor(g))
    places = np.asarray(f(np.arange(a.size).reshape(a.shape)))
    gx = np.zeros(a.size)
    np.add.at(gx, places.ravel(), g.ravel())
    np.testing.assert_array_equal(x.grad.numpy(), gx.reshape(a.shape))
    return y


# ---- indexing ----------------------------------------------------------------------------------------------

INDICES = [
    0,
    -1,
    np.int64(1),
    slice(None),
    slice(1, None),
    slice(None, None, -1),
    slice(5, 0, -2),
    slice(2, 2),
    None,
    Ellipsis,
    (),
    (0, 1, 2),
    (slice(None), 1),
    (Ellipsis, 0),
    (None, Ellipsis, None),
    (1, None, slice(None, None, -1), slice(1, 3)),
    [0, 2, 2],
    [],
    np.array([[0, 1], [1, 1]]),
    np.array([True, False, True]),
    ([0, 1], [2, 2]),
    (slice(None), [0, 0, 1]),
    (0, slice(None), [3, 3]),
    ([0, 2], slice(None), 1),
    (Ellipsis, np.array([True, False, True, False])),
    np.arange(48).reshape(3, 4, 4) % 3 == 0,
    True,
]


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_indexing_agrees_with_numpy_and_has_a_gradient(index):
    check_moves(lambda x: x[index], weights((3, 4, 4)))


@pytest.mark.parametrize("index", [slice(None, None, -1), (slice(None), [0, 0]), 1], ids=repr)
def test_indexing_of_other_layouts(index):
    check_moves(lambda x: x[index], np.asfortranarray(weights((3, 4))))


def test_basic_indexing_gives_views_and_advanced_indexing_copies():
    x = tn.zeros(3, 4)
    x[1:].mul_(0).add_(1)
    x[0][1:3].fill_(7)
    assert x.tolist() == [[0, 7, 7, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    x[[0, 1]].fill_(9)
    assert 9 not in x.numpy()
    assert np.shares_memory(x[0, 0].numpy(), x.numpy())


def test_indices_that_are_tensors():
    x = tn.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert x[tn.tensor([1, 0])].tolist() == [[3, 4], [1, 2]]
    assert x[x > 2].tolist() == [3, 4]
    assert x[tn.tensor(1)].tolist() == [3, 4]
    assert x[tn.tensor([0, 1]), tn.tensor([1, 1])].tolist() == [2, 4]


@pytest.mark.parametrize("make", [lambda i: tn.tensor(i), lambda i: np.array(i), list])
def test_a_changed_index_does_not_change_the_gradient(make):
    x = tn.tensor([1.0, 2.0, 3.0], requires_grad=True)
    index = make([1, 2])
    y = x[index].sum()
    index[0] = index[1] = 0
    y.backward()
    assert x.grad.tolist() == [0, 1, 1]


def test_index_errors():
    x = tn.ones(3)
    with pytest.raises(
        IndexError, match=r"index 5 is out of bounds for axis 0 with size 3; x has shape \(3,\)"
    ):
        x[5]
    with pytest.raises(IndexError, match=r"too many indices .*x has shape \(3,\)"):
        x[0, 0]
    with pytest.raises(IndexError, match=r"x has shape \(3,\)"):
        x[1.0]


def test_assignment():
    x = tn.zeros(2, 3)
    version = x._version
    x[0] = 1
    x[:, 1] = tn.tensor([5.0, 6.0])
    x[x == 0] = -1.0
    x[1, [0, 2]] = np.array([8, 9])
    assert x.tolist() == [[1, 5, 1], [8, 6, 9]]
    assert x._version == version + 4
    with pytest.raises(ValueError, match="__setitem__"):
        x[0] = tn.ones(2)
    with pytest.raises(IndexError):
        x[2] = 1
    with pytest.raises(ArgumentError, match="read-only"):
        tn.zeros(1).broadcast_to(3)[0] = 1


def test_assignment_is_not_recorded():
    x = tn.zeros(2, requires_grad=True)
    with pytest.raises(NotImplementedError, match="__setitem__: assignment into a tensor is not recorded"):
        x[0] = 1
    with pytest.raises(NotImplementedError, match="__setitem__"):
        tn.zeros(2)[0] = x[0]
    with tn.no_grad():
        x[0] = 1
    assert x.tolist() == [1, 0]


# ---- shapes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, lambda a: a[:, ::-1]])
@pytest.mark.parametrize("shape", [(24,), (4, 6), (2, -1), (-1,), (2, 3, 1, 4), (6, 4)])
def test_reshape(layout, shape):
    a = layout(weights((2, 3, 4)))
    check_moves(lambda x: x.reshape(shape), a)
    assert tn.tensor(a).reshape(*shape).shape == a.reshape(shape).shape


def test_reshape_is_a_view_where_possible():
    x = tn.zeros(2, 3)
    assert np.shares_memory(x.reshape(6).numpy(), x.numpy())
    assert not np.shares_memory(x.T.reshape(6).numpy(), x.numpy())
    assert np.shares_memory(x.view(3, 2).numpy(), x.numpy())
    with pytest.raises(
        ShapeError, match=r"view: a tensor of shape \(3, 2\) .* has no view of shape \(6,\); use reshape"
    ):
        x.T.view(6)
    assert tn.zeros(0, 3).reshape(-1).shape == (0,)
    assert tn.tensor(1.0).reshape(1, 1).shape == (1, 1)
    assert tn.ones(1).reshape(()).shape == ()


@pytest.mark.parametrize("shape", [(5,), (-1, 4), (-1, -1), (-2, 3), (0, -1), (2**40, 2**40)])
def test_reshape_errors(shape):
    with pytest.raises(ShapeError, match="reshape: shape must"):
        tn.zeros(2, 3).reshape(shape)


def test_reshape_needs_integers():
    with pytest.raises(
        (ArgumentError, DTypeError), match=r"reshape: shape must hold integers; got \(2.0, 3\)"
    ):
        tn.zeros(2, 3).reshape(2.0, 3)


def test_flatten_squeeze_unsqueeze():
    a = weights((2, 1, 3, 1))
    for f, shape in (
        (lambda x: x.flatten(), (6,)),
        (lambda x: x.flatten(1), (2, 3)),
        (lambda x: x.flatten(-3, -2), (2, 3, 1)),
        (lambda x: x.squeeze(), (2, 3)),
        (lambda x: x.squeeze(1), (2, 3, 1)),
        (lambda x: x.squeeze(0), (2, 1, 3, 1)),
        (lambda x: x.squeeze((1, -1)), (2, 3)),
        (lambda x: x.unsqueeze(0), (1, 2, 1, 3, 1)),
        (lambda x: x.unsqueeze(-1), (2, 1, 3, 1, 1)),
    ):
        x = tn.tensor(a, requires_grad=True)
        y = f(x)
        assert y.shape == shape
        y.backward(tn.tensor(weights(shape)))
        np.testing.assert_array_equal(x.grad.numpy(), weights(shape).reshape(a.shape))
    assert tn.tensor(1.0).flatten().shape == (1,)
    with pytest.raises(ArgumentError, match="flatten: start_dim must not come after end_dim"):
        tn.zeros(2, 3).flatten(1, 0)
    with pytest.raises(ArgumentError, match=r"unsqueeze: dim must lie in \[-3, 2\]; got 3"):
        tn.zeros(2, 3).unsqueeze(3)


def test_permute_and_transpose():
    a = weights((2, 3, 4))
    check_moves(lambda x: x.transpose(2, 0, 1) if isinstance(x, np.ndarray) else x.permute(2, 0, 1), a)
    check_moves(lambda x: x.swapaxes(0, -1) if isinstance(x, np.ndarray) else x.transpose(0, -1), a)
    check_moves(lambda x: x.T, a[0])
    x = tn.tensor(a)
    assert np.shares_memory(x.permute((1, 0, 2)).numpy(), x.numpy())
    assert tn.ones(3).T.shape == (3,)
    with pytest.raises(ShapeError, match="T: the tensor must have at most 2 axes"):
        _ = x.T
    for dims in ((0, 1), (0, 1, 1)):
        with pytest.raises(ArgumentError, match="permute: dims must name each of the 3 axes once"):
            x.permute(dims)


def test_broadcast_to():
    a = weights((3, 1))
    x = tn.tensor(a, requires_grad=True)
    y = x.broadcast_to(2, 3, 4)
    np.testing.assert_array_equal(y.detach().numpy(), np.broadcast_to(a, (2, 3, 4)))
    assert np.shares_memory(y.detach().numpy(), x.detach().numpy())
    y.sum().backward()
    assert x.grad.tolist() == [[8], [8], [8]]
    assert y._version == x._version
    with pytest.raises(ShapeError, match=r"broadcast_to: x of shape \(3, 1\) cannot be repeated to \(2, 2\)"):
        x.broadcast_to(2, 2)
    with pytest.raises(ArgumentError, match="read-only"), tn.no_grad():
        y.add_(1)


def test_a_changed_broadcast_value_is_noticed():
    x, w = tn.ones(1), tn.ones(3, requires_grad=True)
    y = (x.broadcast_to(3) * w).sum()
    x.zero_()
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_cat(dim):
    shapes = [[2, 3, 4], [2, 3, 4], [2, 3, 4]]
    for i, s in enumerate(shapes):
        s[dim] = i  # 0, 1 and 2 along dim
    parts = [weights(tuple(s)) for s in shapes]
    xs = [tn.tensor(p, requires_grad=True) for p in parts]
    y = tn.cat(xs, dim)
    expected = np.concatenate(parts, dim)
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    g = weights(expected.shape)
    y.backward(tn.tensor(g))
    for x, gx in zip(xs, np.split(g, [0, 1], dim), strict=True):
        np.testing.assert_array_equal(x.grad.numpy(), gx)


def test_cat_of_one_tensor_twice():
    x = tn.ones(2, requires_grad=True)
    (tn.cat([x, x]) * tn.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert x.grad.tolist() == [4, 6]


def test_cat_errors():
    with pytest.raises(ArgumentError, match="cat: tensors must hold at least one tensor"):
        tn.cat([])
    with pytest.raises(ShapeError, match="cat: tensors must have at least one axis"):
        tn.cat([tn.tensor(1.0)])
    with pytest.raises(
        ShapeError, match=r"cat: tensors must have equal shapes but for dim 0; got \(1, 2\) and \(1, 3\)"
    ):
        tn.cat([tn.ones(1, 2), tn.ones(1, 3)])
    with pytest.raises(
        DTypeError, match=r"cat: tensors.1. must have the dtype of tensors.0., float32; got float64"
    ):
        tn.cat([tn.ones(1), tn.ones(1, dtype="float64")])
    with pytest.raises(DTypeError, match=r"cat: tensors\[1\] must be a Tensor; got int"):
        tn.cat([tn.ones(1), 1])


# ---- reductions --------------------------------------------------------------------------------------------

REDUCTIONS = ["sum", "mean", "amax", "amin", "var"]


@st.composite
def arrays_and_dims(draw: Any) -> tuple[np.ndarray, Any]:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=4))
    a = draw(hnp.arrays(draw(st.sampled_from(["float32", "float64"])), shape, elements=st.integers(-50, 50)))
    axes = draw(st.lists(st.integers(0, max(a.ndim - 1, 0)), unique=True, max_size=a.ndim))
    axes = [d - draw(st.sampled_from([0, a.ndim])) for d in axes]
    return a, draw(st.sampled_from([None, *axes])) if len(axes) < 2 else tuple(axes)


@settings(max_examples=80)
@given(arrays_and_dims(), st.booleans(), st.sampled_from(REDUCTIONS))
def test_reductions_agree_with_numpy(ad, keepdim, name):
    a, dim = ad
    if name == "var":
        y = tn.tensor(a).var(dim, keepdim, correction=0)
    else:
        y = getattr(tn.tensor(a), name)(dim, keepdim)
    expected = getattr(np, name)(a.astype(np.float64), axis=dim, keepdims=keepdim)
    assert y.shape == np.shape(expected)
    assert y.dtype == a.dtype
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-4)
    z = getattr(tn.tensor(a), name)(axis=dim, keepdim=keepdim)
    assert z.shape == y.shape


def test_sums_of_integers_are_int64():
    assert tn.tensor([200, 100], dtype="uint8").sum().item() == 300
    assert tn.tensor([True, True]).sum().dtype == np.int64
    with pytest.raises(DTypeError, match="mean: x must be float32 or float64; got int64"):
        tn.tensor([1, 2]).mean()


def test_a_sum_of_many_float32_is_accurate():
    assert tn.full((1_000_000,), 0.1).sum().item() == pytest.approx(100000.0, abs=0.01)


def test_gradients_of_reductions():
    a = np.array([[1.0, 5.0, 5.0], [4.0, 2.0, 0.0]])
    for f, expected in (
        (lambda x: x.sum(), [[1, 1, 1], [1, 1, 1]]),
        (lambda x: x.mean(1), [[1 / 3, 1 / 3, 1 / 3], [2 / 3, 2 / 3, 2 / 3]]),
        (lambda x: x.max(), [[0, 0.5, 0.5], [0, 0, 0]]),
        (lambda x: x.max(1)[0], [[0, 1, 0], [2, 0, 0]]),
        (lambda x: x.amax(1), [[0, 0.5, 0.5], [2, 0, 0]]),
        (lambda x: x.min(dim=0)[0], [[1, 0, 0], [0, 2, 3]]),
        (lambda x: x.amin(axis=(0, 1)), [[0, 0, 0], [0, 0, 1]]),
        (lambda x: x.var(1, correction=0), (2 / 3 * (a - a.mean(1, keepdims=True)) * [[1], [2]]).tolist()),
        (lambda x: x.var(), (2 / 5 * (a - a.mean())).tolist()),
    ):
        x = tn.tensor(a, requires_grad=True)
        y = f(x)
        y.backward(tn.tensor(weights(y.shape)))
        np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-12)


def test_max_and_min_along_an_axis_are_pairs():
    x = tn.tensor([[1.0, 5.0, 5.0], [4.0, 2.0, 0.0]])
    values, indices = x.max(1)
    assert values.tolist() == [5, 4]
    assert indices.tolist() == [1, 0]
    assert indices.dtype == np.int64
    values, indices = x.min(0, keepdim=True)
    assert values.tolist() == [[1, 2, 0]]
    assert indices.tolist() == [[0, 1, 1]]
    values, indices = x.max(axis=-1)
    assert values.shape == indices.shape == (2,)
    assert x.max().item() == 5
    assert np.isnan(tn.tensor([1.0, float("nan")]).max().item())
    with pytest.raises(ArgumentError, match="max: dim must be one integer"):
        x.max((0, 1))


def test_argmax_and_argmin():
    a = np.array([[1.0, 5.0, 5.0], [4.0, 2.0, 0.0]])
    x = tn.tensor(a)
    assert x.argmax().item() == 1
    assert x.argmin().item() == 5
    assert x.argmax(1).tolist() == [1, 0]
    assert x.argmin(0, keepdim=True).tolist() == [[0, 1, 1]]
    assert x.argmax(axis=0).dtype == np.int64


def test_reductions_of_nothing():
    x = tn.zeros(0, 3)
    assert x.sum(0).tolist() == [0, 0, 0]
    assert np.isnan(x.mean(0).numpy()).all()
    assert x.sum(1).shape == (0,)
    assert x.amax(1).shape == (0,)
    for f in (lambda: x.max(), lambda: x.amin(0), lambda: x.argmax(0), lambda: x.max(0)):
        with pytest.raises(ShapeError, match=r"at least one element along dim.*; got shape \(0, 3\)"):
            f()
    assert np.isnan(tn.ones(1).var().item())


def test_reduction_errors():
    x = tn.zeros(2, 3)
    with pytest.raises(ArgumentError, match=r"sum: dim must lie in \[-2, 1\]; got 2"):
        x.sum(2)
    with pytest.raises(ArgumentError, match="mean: dim must not name an axis twice"):
        x.mean((0, -2))
    with pytest.raises(ArgumentError, match=r"sum: dim must be an integer; got 1.5"):
        x.sum(1.5)


def test_a_slice_of_tensors_is_read_once():
    w, i, j = tn.tensor([1.0, 2.0, 3.0], requires_grad=True), tn.tensor(0), tn.tensor(2)
    y = w[i:j].sum()
    i += 1
    j += 1
    y.backward()
    assert w.grad.tolist() == [1, 1, 0]
