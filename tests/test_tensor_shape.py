"""Reshaping, transposing, joining and splitting of Tensor, with gradients."""

from __future__ import annotations

import numpy as np
import pytest
from moves import check_moves, weights

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, GraphError, ShapeError

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
