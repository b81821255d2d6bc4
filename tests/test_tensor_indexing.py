"""Indexing of Tensor, reading and writing, with gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from moves import check_moves, weights

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, GraphError, ShapeError

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
    with pytest.raises(ArgumentError, match=r"index: each bound of a slice must be an integer; got 1\.5"):
        x[1.5:]
    with pytest.raises((IndexError, ValueError), match=r"64"):  # no array has more axes
        tn.ones(*[1] * 64)[tn.zeros(*[1] * 60, dtype="int64")]
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


def test_values_that_do_not_fit():
    x = tn.zeros(2, 3, dtype="int32")
    x[0] = 1.7  # cut off, as NumPy and PyTorch do
    x[1, :2] = tn.tensor([2.5, 3.5], dtype="float64")
    assert x.tolist() == [[1, 1, 1], [2, 3, 0]]
    for value in (2**40, "text", [1, 2], [[1], [2, 3]]):
        with pytest.raises(ArgumentError, match="__setitem__: value does not fit"):
            x[0] = value
    with pytest.raises(IndexError, match=r"__setitem__: index 2 is out of bounds .*shape \(2, 3\)"):
        x[2] = 1
    with pytest.raises(IndexError, match=r"__setitem__: .*integer"):
        x[1.0] = 1
    y = tn.zeros(1)
    y[0] = 1e300
    assert y.tolist() == [np.inf]
    y[:] = np.array([-1e300])
    assert y.tolist() == [-np.inf]
    z = tn.ones(2, requires_grad=True) * 1
    z[0] = 1e300  # recorded
    z[1] = np.float64(-1e300)
    assert z.tolist() == [np.inf, -np.inf]
    for value in ("text", [[1], [2, 3]]):
        with pytest.raises(ArgumentError, match="__setitem__: value does not fit"):
            z[0] = value


# ---- recorded assignment -----------------------------------------------------------------------------------


def test_assignment_to_a_leaf_raises():
    x = tn.zeros(2, requires_grad=True)
    with pytest.raises(
        GraphError, match="__setitem__: a leaf that requires a gradient cannot be changed in place"
    ):
        x[0] = 1
    with tn.no_grad():
        x[0] = 1
    assert x.tolist() == [1, 0]
    assert x.is_leaf


def test_assignment_is_recorded():
    w = tn.tensor([1.0, 2.0, 3.0], requires_grad=True)
    v = tn.tensor(5.0, requires_grad=True)
    y = w * 2
    version = y._version
    y[1] = v
    assert y.tolist() == [2, 5, 6]
    assert y._version == version + 1
    assert y.grad_fn.name == "setitem"
    (y * tn.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert w.grad.tolist() == [2, 0, 200]
    assert v.grad.item() == 10


def test_assignment_makes_a_constant_depend_on_the_value():
    w = tn.tensor([1.0, 2.0], requires_grad=True)
    x = tn.zeros(2, 2)
    for i in range(2):
        x[i] = w * (i + 1)
    x[0, 0] = 7
    x[1, 1:] = np.array([9.0])
    assert x.tolist() == [[7, 2], [2, 9]]
    x.sum().backward()
    assert w.grad.tolist() == [2, 1]


def test_assignment_of_a_leaf():
    w = tn.tensor([1.0, 2.0], requires_grad=True)
    x = tn.zeros(2)
    x[:] = w
    assert not x.is_leaf
    (x * x).sum().backward()
    assert w.grad.tolist() == [2, 4]


def test_assignment_of_another_float_dtype():
    w = tn.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    x = tn.zeros(2)
    x[:] = w
    x.sum().backward()
    assert w.grad.dtype == np.float64
    assert w.grad.tolist() == [1, 1]


def test_assignment_and_views():
    w = tn.tensor([1.0, 2.0], requires_grad=True)
    y = w * 1
    row = y[:1]
    message = "__setitem__: a recorded write to a tensor of which there are views, or through a view"
    for target in (y, row):
        with pytest.raises(NotImplementedError, match=message):
            target[0] = 3
    assert y.tolist() == [1, 2]
    x = tn.zeros(2)
    part = x[1:]
    with pytest.raises(NotImplementedError, match=message):
        part[0] = w[0]
    part[0] = 4  # nothing is recorded
    assert x.tolist() == [0, 4]


def test_assignment_over_a_saved_value_is_noticed():
    w = tn.tensor([1.0, 2.0], requires_grad=True)
    y = w * 1
    z = y * y
    y[0] = 3
    with pytest.raises(GraphError, match="changed in place"):
        z.sum().backward()


def test_assignment_that_fails_changes_nothing():
    w = tn.tensor([1.0, 2.0], requires_grad=True)
    y = w * 1
    node, version = y.grad_fn, y._version
    with pytest.raises(ArgumentError, match="__setitem__: value does not fit"):
        y[:] = tn.ones(3)
    with pytest.raises(IndexError, match="__setitem__"):
        y[2] = 1
    assert (y.grad_fn, y._version, y.tolist()) == (node, version, [1, 2])


def test_a_changed_index_of_an_assignment_does_not_change_the_gradient():
    w, index = tn.tensor([1.0, 2.0], requires_grad=True), np.array([0])
    y = w * 1
    y[index] = 5
    index[0] = 1
    y.sum().backward()
    assert w.grad.tolist() == [0, 1]


@st.composite
def arrays_and_indices(draw: Any) -> tuple[np.ndarray, Any]:
    """An array and an index into it of any kind."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    kind = draw(st.sampled_from(["basic", "arrays", "mask", "mixed"]))
    if kind == "basic":
        index = draw(hnp.basic_indices(shape, allow_newaxis=True, max_dims=6))
    elif kind == "arrays":
        index = draw(hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=5)))
    elif kind == "mask":
        index = draw(hnp.arrays(bool, shape[: draw(st.integers(1, len(shape)))]))
    else:
        size = draw(st.integers(0, 4))
        parts: list[Any] = []
        for n in shape:
            how = draw(st.sampled_from(["integer", "slice", "array", "list", "mask"]))
            if how == "integer":
                parts.append(draw(st.integers(-n, n - 1)))
            elif how == "slice":
                parts.append(draw(st.slices(n)))
            elif how == "mask":  # as many as the arrays have, so that they broadcast
                parts.append(np.arange(n) < size if size <= n else slice(None))
            else:
                a = draw(hnp.arrays(np.int64, (size,), elements=st.integers(-n, n - 1)))
                parts.append(a if how == "array" else a.tolist())
        index = tuple(parts[: draw(st.integers(1, len(parts)))])
    return weights(shape), index


@settings(max_examples=200)
@given(
    arrays_and_indices(), st.sampled_from([np.ascontiguousarray, np.asfortranarray, lambda a: a[::-1][::-1]])
)
def test_any_index_agrees_with_numpy(ai, layout):
    a, index = ai
    check_moves(lambda x: x[index], layout(a))


@settings(max_examples=150)
@given(arrays_and_indices(), st.data())
def test_any_assignment_agrees_with_numpy(ai, data):
    a, index = ai
    places = np.arange(a.size).reshape(a.shape)[index]
    if np.unique(places).size < np.size(places):
        return  # which of several values stays is not defined
    shape = np.shape(places)
    shape = shape[data.draw(st.integers(0, len(shape))) :]
    shape = tuple(data.draw(st.sampled_from([1, n])) for n in shape)
    v = -weights(shape)
    x, value = tn.tensor(a, requires_grad=True), tn.tensor(v, requires_grad=True)
    y = x.clone()
    y[index] = value
    expected = a.copy()
    expected[index] = v
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    g = weights(a.shape)
    y.backward(tn.tensor(g))
    gx, gv = g.copy(), np.zeros(v.size)
    np.add.at(
        gv, np.broadcast_to(np.arange(v.size).reshape(shape), np.shape(places)).ravel(), np.ravel(g[index])
    )
    gx[index] = 0
    np.testing.assert_array_equal(x.grad.numpy(), gx)
    np.testing.assert_array_equal(value.grad.numpy(), gv.reshape(shape))


# ---- picking by name ---------------------------------------------------------------------------------------


def test_duplicates_sum_their_gradients():
    x = tn.zeros(3, 2, requires_grad=True)
    x[tn.tensor([2, 0, 2, 2])].sum().backward()
    assert x.grad.tolist() == [[1, 1], [0, 0], [3, 3]]
    x = tn.zeros(3, 2, requires_grad=True)
    x[[1, 1, -2], [0, 0, 0]].backward(tn.tensor([1.0, 2.0, 4.0]))
    assert x.grad.tolist() == [[0, 0], [7, 0], [0, 0]]


def test_integers_and_bools_are_picked_too():
    x = tn.tensor([[1, 2], [3, 4]])
    assert x[[1, 0]].tolist() == [[3, 4], [1, 2]]
    assert x[x > 1].tolist() == [2, 3, 4]
    assert (x > 1)[:, [1]].tolist() == [[True], [True]]
    assert x[range(1, 2)].tolist() == [[3, 4]]
    assert x[tn.tensor(1, dtype="uint8"), 0].item() == 3


def test_index_select():
    a = weights((3, 4, 2))
    for dim in (0, 1, -1):
        index = np.array([0, 1, 1, 0])
        check_moves(
            lambda x, d=dim, i=index: (
                np.take(x, i, d) if isinstance(x, np.ndarray) else x.index_select(d, tn.tensor(i))
            ),
            a,
        )
    assert tn.index_select(tn.tensor(5.0), 0, tn.tensor([0])).item() == 5
    assert tn.ones(3).index_select(0, tn.tensor(1)).shape == (1,)
    assert tn.ones(3, 2).index_select(0, tn.zeros(0, dtype="int64")).shape == (0, 2)
    x = tn.ones(3, 2)
    for wrong in ([-1], [3]):
        with pytest.raises(
            IndexError, match=rf"index_select: index must lie in \[0, 2\] along dim; got {wrong[0]}"
        ):
            x.index_select(0, tn.tensor(wrong))
    with pytest.raises(ShapeError, match=r"index_select: index must have shape \(P,\); got \(1, 1\)"):
        x.index_select(0, tn.tensor([[0]]))
    with pytest.raises(DTypeError, match="index_select: index must be an integer tensor; got float32"):
        x.index_select(0, tn.ones(1))
    with pytest.raises(DTypeError, match="index_select: index must be a Tensor; got list"):
        x.index_select(0, [0])


@settings(max_examples=60)
@given(st.data())
def test_gather_agrees_with_its_definition(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = [data.draw(st.integers(0, n)) for n in shape]
    sizes[dim] = data.draw(st.integers(0, 5))
    index = data.draw(hnp.arrays(np.int64, tuple(sizes), elements=st.integers(0, shape[dim] - 1)))

    def picked(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x.gather(dim, tn.tensor(index))
        y = np.zeros(index.shape, x.dtype)
        for at in np.ndindex(index.shape):
            of = list(at)
            of[dim] = index[at]
            y[at] = x[tuple(of)]
        return y

    check_moves(picked, weights(shape))


def test_gather_errors():
    x = tn.ones(2, 3)
    with pytest.raises(IndexError, match=r"gather: index must lie in \[0, 2\] along dim; got 3"):
        x.gather(1, tn.tensor([[3]]))
    with pytest.raises(
        ShapeError, match=r"gather: index must have as many axes as x, \(2, 3\), .*got \(1,\)"
    ):
        x.gather(1, tn.tensor([0]))
    with pytest.raises(ShapeError, match=r"at most its sizes but along dim 1; got \(3, 1\)"):
        x.gather(1, tn.tensor([[0], [0], [0]]))
    with pytest.raises(DTypeError, match="gather: index must be an integer tensor; got bool"):
        x.gather(0, x > 0)
    assert tn.tensor(5.0).gather(0, tn.tensor(0)).item() == 5


def test_take_along_dim():
    a = weights((3, 4))
    order = np.argsort(-a, axis=1)
    check_moves(
        lambda x: (
            np.take_along_axis(x, order, 1)
            if isinstance(x, np.ndarray)
            else tn.take_along_dim(x, tn.tensor(order), 1)
        ),
        a,
    )
    x = tn.tensor(a)
    assert x.take_along_dim(tn.tensor([[1], [0], [2]]), 1).tolist() == [[2], [5], [11]]
    assert x.take_along_dim(tn.tensor([[2, 0]]), 1).tolist() == [[3, 1], [7, 5], [11, 9]]
    assert x.take_along_dim(tn.tensor([[11, 0]])).tolist() == [12, 1]
    with pytest.raises(ShapeError, match="take_along_dim: indices must have 2 axes"):
        x.take_along_dim(tn.tensor([0]), 1)
    with pytest.raises(ShapeError, match="take_along_dim: indices must broadcast to x"):
        x.take_along_dim(tn.tensor([[0], [0]]), 1)


def test_masked_select():
    x = tn.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    y = x.masked_select(tn.tensor([True, False, True]))
    assert y.tolist() == [1, 3, 4, 6]
    y.backward(tn.tensor([1.0, 2.0, 3.0, 4.0]))
    assert x.grad.tolist() == [[1, 0, 2], [3, 0, 4]]
    v = tn.tensor([1.0, 2.0], requires_grad=True)
    v.masked_select(tn.tensor([[True, True], [True, False]])).sum().backward()
    assert v.grad.tolist() == [2, 1]
    assert tn.tensor(3.0).masked_select(tn.tensor(True)).tolist() == [3]
    with pytest.raises(DTypeError, match="masked_select: mask must be a bool tensor; got int64"):
        x.masked_select(tn.tensor([1]))
    with pytest.raises(DTypeError, match="masked_select: mask must be a Tensor; got list"):
        x.masked_select([True])
    with pytest.raises(ShapeError, match=r"masked_select: mask must broadcast with x \(2, 3\); got \(2,\)"):
        x.masked_select(tn.tensor([True, False]))


def test_diag():
    a = weights((3, 4))
    for k in (-2, 0, 1, 3, 4, -3):
        check_moves(lambda x, k=k: np.diag(x, k) if isinstance(x, np.ndarray) else x.diag(k), a)
        v = tn.tensor([1.0, 2.0], requires_grad=True)
        m = tn.diag(v, k)
        np.testing.assert_array_equal(m.detach().numpy(), np.diag([1.0, 2.0], k))
        (m * m).sum().backward()
        assert v.grad.tolist() == [2, 4]
    with pytest.raises(ShapeError, match="diag: x must have 1 or 2 axes"):
        tn.ones(1, 1, 1).diag()


# ---- against PyTorch ---------------------------------------------------------------------------------------


@pytest.mark.parity
def test_setitem_as_in_pytorch():
    torch = pytest.importorskip("torch")
    results = []
    for lib in (tn, torch):
        w = lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
        v = lib.tensor([10.0, 20.0], requires_grad=True)
        y = w * 2.0
        y[:, 0] = v
        y[1, 1:] = v * v
        y[y > 50.0] = 0.5
        (y * y).sum().backward()
        results.append((y.tolist(), w.grad.tolist(), v.grad.tolist()))
    assert results[0] == results[1]


def test_a_slice_of_tensors_is_read_once():
    w, i, j = tn.tensor([1.0, 2.0, 3.0], requires_grad=True), tn.tensor(0), tn.tensor(2)
    y = w[i:j].sum()
    i += 1
    j += 1
    y.backward()
    assert w.grad.tolist() == [1, 1, 0]
