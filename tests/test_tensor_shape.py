"""Reshaping, transposing, joining and splitting of Tensor, with gradients."""

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


def test_view_of_images_is_a_copy_where_only_their_layout_is_in_the_way() -> None:
    images = tn.from_numpy(np.arange(2 * 4 * 4 * 3.0).reshape(2, 4, 4, 3).transpose(0, 3, 1, 2))
    images.requires_grad_()
    rows = images.view(len(images), -1)
    np.testing.assert_array_equal(rows.detach().numpy(), images.detach().numpy().reshape(2, 48))
    rows.backward(tn.from_numpy(np.arange(96.0).reshape(2, 48)))
    np.testing.assert_array_equal(images.grad.numpy(), np.arange(96.0).reshape(2, 3, 4, 4))
    with pytest.raises(ShapeError, match="has no view of shape"):
        images.transpose(1, 2).view(2, -1)


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


# ---- all ways to another shape -----------------------------------------------------------------------------

MOVES: dict[str, tuple[Any, Any, tuple[int, ...]]] = {  # ours, NumPy's, the shape of x
    "view": (lambda x: x.view(6, -1), lambda a: a.reshape(6, -1), (2, 3, 4)),
    "view_as": (lambda x: x.view_as(tn.ones(4, 6)), lambda a: a.reshape(4, 6), (2, 3, 4)),
    "reshape_as": (lambda x: x.T.reshape_as(tn.ones(4)), lambda a: a.T.reshape(4), (2, 2)),
    "unflatten": (lambda x: x.unflatten(1, (2, -1, 2)), lambda a: a.reshape(3, 2, 2, 2), (3, 8)),
    "unflatten_one": (lambda x: x.unflatten(-1, [3]), lambda a: a, (2, 3)),
    "squeeze": (lambda x: x.squeeze((0, 2)), lambda a: a.reshape(3, 1), (1, 3, 1, 1)),
    "squeeze_none": (lambda x: x.squeeze(()), lambda a: a, (1, 3)),
    "mT": (lambda x: x.mT, lambda a: a.swapaxes(-1, -2), (2, 3, 4)),
    "t": (lambda x: x.t(), lambda a: a.T, (3, 4)),
    "swapaxes": (lambda x: x.swapaxes(0, -1), lambda a: a.swapaxes(0, -1), (2, 3, 4)),
    "movedim": (lambda x: x.movedim((0, 1), (2, 0)), lambda a: np.moveaxis(a, (0, 1), (2, 0)), (2, 3, 4)),
    "movedim_one": (lambda x: x.movedim(-1, 0), lambda a: np.moveaxis(a, -1, 0), (2, 3, 4)),
    "expand": (lambda x: x.expand(2, -1, 4), lambda a: np.broadcast_to(a, (2, 3, 4)), (3, 1)),
    "expand_as": (lambda x: x.expand_as(tn.ones(2, 3)), lambda a: np.broadcast_to(a, (2, 3)), (3,)),
    "repeat": (lambda x: x.repeat(2, 1, 3), lambda a: np.tile(a, (2, 1, 3)), (3, 4)),
    "repeat_once": (lambda x: x.repeat(1, 1), lambda a: a, (3, 4)),
    "repeat_unit": (lambda x: x.repeat(3), lambda a: np.tile(a, 3), (1,)),
    "repeat_nothing": (lambda x: x.repeat((2, 0)), lambda a: np.tile(a, (2, 0)), (3, 4)),
    "repeat_scalar": (lambda x: x.repeat(2, 2), lambda a: np.tile(a, (2, 2)), ()),
    "flip": (lambda x: x.flip(0, -1), lambda a: np.flip(a, (0, -1)), (2, 3, 4)),
    "flip_none": (lambda x: x.flip(()), lambda a: a, (2, 3)),
    "stack": (lambda x: tn.stack([x, x], -1), lambda a: np.stack([a, a], -1), (2, 3)),
    "stack_scalars": (lambda x: tn.stack([x, x, x]), lambda a: np.stack([a, a, a]), ()),
    "split": (lambda x: x.split(2)[1], lambda a: a[2:4], (5, 2)),
    "split_last": (lambda x: x.split(2)[2], lambda a: a[4:], (5, 2)),
    "split_sizes": (lambda x: x.split([1, 0, 3], -1)[2], lambda a: a[:, 1:], (2, 4)),
    "split_all": (lambda x: x.split(7)[0], lambda a: a, (5, 2)),
    "chunk": (lambda x: x.chunk(4, 1)[2], lambda a: a[:, 4:], (2, 5)),
    "unbind": (lambda x: x.unbind(1)[2], lambda a: a[:, 2], (2, 3, 4)),
    "swap_parts": (lambda x: tn.cat(x.chunk(2)[::-1]), lambda a: np.concatenate([a[2:], a[:2]]), (4, 3)),
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_moves(name, layout):
    ours, numpys, shape = MOVES[name]
    a = np.asarray(layout(weights(shape)), np.float64)
    if name.startswith("view") and layout is np.asfortranarray:
        return
    check_moves(lambda x: numpys(x) if isinstance(x, np.ndarray) else ours(x), a.reshape(shape))


def test_views_and_copies():
    x = tn.zeros(4, 6)
    for view in (x.mT, x.t(), x.swapaxes(0, 1), x.movedim(0, 1), x.expand(2, 4, 6), x.unflatten(0, (2, 2)),
                 x.split(2)[1], x.chunk(3, 1)[1], x.unbind()[0], x.squeeze(()), x.view(-1)):  # fmt: skip
        assert np.shares_memory(view.numpy(), x.numpy())
        assert view._version == x._version
    for copy in (x.flip(0), x.repeat(1, 1), x.repeat(2, 2), x.tril(), tn.stack([x, x]), x[[0]]):
        assert not np.shares_memory(copy.numpy(), x.numpy())
        copy.fill_(1)
    assert x.sum().item() == 0


def test_the_parts_of_a_split_are_views_of_one_memory():
    w = tn.ones(4, requires_grad=True)
    y = w * 1
    first, second = y.split(2)
    assert first.grad_fn is second.grad_fn
    with pytest.raises(NotImplementedError, match="views"):
        first.mul_(2)
    (first.sum() * 2 + second.sum() * 3).backward()
    assert w.grad.tolist() == [2, 2, 3, 3]


def test_parts_that_nobody_uses():
    w = tn.ones(5, requires_grad=True)
    w.split([1, 3, 1])[1].sum().backward()
    assert w.grad.tolist() == [0, 1, 1, 1, 0]
    with tn.no_grad():
        assert all(not part.requires_grad for part in w.chunk(2))


def test_sizes_of_parts_as_in_pytorch():
    assert [p.shape for p in tn.ones(5).chunk(4)] == [(2,), (2,), (1,)]
    assert [p.shape for p in tn.zeros(0).chunk(3)] == [(0,), (0,), (0,)]
    assert [p.shape for p in tn.zeros(0).split(2)] == [(0,)]
    assert tn.ones(2, 0).unbind(1) == ()
    assert [p.tolist() for p in tn.tensor([1, 2, 3]).unbind()] == [1, 2, 3]


def test_cat_of_nothing():
    x = tn.ones(2, 3, requires_grad=True)
    nothing = tn.zeros(0, requires_grad=True)
    y = tn.cat([nothing, x, tn.zeros(0)], 1)
    assert y.shape == (2, 3)
    y.sum().backward()
    assert nothing.grad.shape == (0,)
    assert x.grad.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert tn.cat([tn.zeros(0), tn.zeros(0)]).shape == (0,)


def test_triangles():
    a = weights((2, 3, 4))
    for k in (-3, -1, 0, 2, 4):
        check_triangle(lambda x, k=k: x.tril(k), np.tril(a, k), a)
        check_triangle(lambda x, k=k: tn.triu(x, k), np.triu(a, k), a)
    assert tn.tensor([[np.nan, np.inf], [1.0, 2.0]]).tril(-1).tolist() == [[0, 0], [1, 0]]
    assert tn.tril(tn.ones(2, 2) > 0).tolist() == [[True, False], [True, True]]


def check_triangle(f: Any, expected: np.ndarray, a: np.ndarray) -> None:
    x = tn.tensor(a, requires_grad=True)
    y = f(x)
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    y.backward(tn.tensor(a))
    np.testing.assert_array_equal(x.grad.numpy(), expected)


# ---- pad ---------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.data())
def test_pad_agrees_with_its_definition(data):
    """Each element of the result lies in x or outside it."""
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    axes = data.draw(st.integers(0, len(shape)))
    widths = []
    for n in shape[::-1][:axes]:
        before = data.draw(st.integers(-n, 3))
        widths += [before, data.draw(st.integers(-n - min(before, 0), 3))]
    a = weights(shape)
    x = tn.tensor(a, requires_grad=True)
    y = tn.nn.functional.pad(x, widths, value=-1.0)
    start = [0] * (len(shape) - axes) + [-before for before in widths[::2]][::-1]
    grow = [0] * (len(shape) - axes) + [b + c for b, c in zip(widths[::2], widths[1::2], strict=True)][::-1]
    expected = np.full([n + m for n, m in zip(shape, grow, strict=True)], -1.0)
    gx = np.zeros(shape)
    g = weights(expected.shape)
    for at in np.ndindex(expected.shape):
        of = tuple(i + s for i, s in zip(at, start, strict=True))
        if all(0 <= i < n for i, n in zip(of, shape, strict=True)):
            expected[at] = a[of]
            gx[of] = g[at]
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    y.backward(tn.tensor(g))
    np.testing.assert_array_equal(x.grad.numpy(), gx)


def test_pad_of_other_dtypes():
    pad = tn.nn.functional.pad
    assert pad(tn.tensor([1, 2]), (1, 0), value=7).tolist() == [7, 1, 2]
    assert pad(tn.tensor([True]), (1, 1)).tolist() == [False, True, False]
    assert pad(tn.tensor([1]), (0, 1)).dtype == np.int64
    assert pad(tn.tensor([1.0]), (1, 0), value=-1e300).tolist() == [-np.inf, 1]


# ---- errors ------------------------------------------------------------------------------------------------

M, V, S = (2, 3), (3,), ()
ERRORS: list[tuple[str, tuple[int, ...], Any, type[Exception], str]] = [
    ("view", M, lambda x: x.view(np.float64), NotImplementedError, "view: shape must hold integers"),
    ("view", M, lambda x: x.view("int32"), NotImplementedError, "a view as another dtype is not supported"),
    ("unflatten", M, lambda x: x.unflatten(1, (2, 2)), ShapeError,
     r"unflatten: sizes must have the product of dim 1 of shape \(2, 3\); got \(2, 2\)"),
    ("unflatten", M, lambda x: x.unflatten(1, (-1, -1)), ShapeError, "unflatten: sizes must"),
    ("unflatten", M, lambda x: x.unflatten(1, ()), ShapeError, "unflatten: sizes must"),
    ("unflatten", S, lambda x: x.unflatten(0, (1,)), ShapeError, "unflatten: sizes must"),
    ("mT", V, lambda x: x.mT, ShapeError, r"mT: the tensor must have at least 2 axes; got shape \(3,\)"),
    ("movedim", M, lambda x: x.movedim((0, 1), 0), ArgumentError,
     r"movedim: source and destination must name as many axes, each once; got \(0, 1\) and 0"),
    ("movedim", M, lambda x: x.movedim((0, 0), (0, 1)), ArgumentError, "movedim: source and destination"),
    ("transpose", M, lambda x: x.transpose((0,), 1), ArgumentError,
     r"transpose: dim must be an integer; got \(0,\)"),
    ("expand", M, lambda x: x.expand(-1, 2, 3), ShapeError,
     r"broadcast_to: x of shape \(2, 3\) cannot be repeated to \(-1, 2, 3\)"),
    ("expand", M, lambda x: x.expand(3), ShapeError, "broadcast_to: x of shape"),
    ("repeat", M, lambda x: x.repeat(2), ArgumentError,
     "repeat: sizes must be integers of at least 0, one for each of the 2 axes"),
    ("repeat", M, lambda x: x.repeat(2, -1), ArgumentError, "repeat: sizes must be integers of at least 0"),
    ("flip", M, lambda x: x.flip(0, 0), ArgumentError, "flip: dim must not name an axis twice"),
    ("flip", M, lambda x: x.flip(2), ArgumentError, r"flip: dim must lie in \[-2, 1\]; got 2"),
    ("tril", V, lambda x: x.tril(), ShapeError, r"tril: x must have at least 2 axes; got shape \(3,\)"),
    ("triu", M, lambda x: x.triu(0.5), ArgumentError, "triu: diagonal must be an integer; got 0.5"),
    ("split", M, lambda x: x.split(0), ArgumentError,
     "split: split_size must be a positive integer or a list; got 0"),
    ("split", M, lambda x: x.split([1, 2]), ShapeError,
     r"split: the sizes of the parts must be integers of at least 0 with sum 2, .*got \[1, 2\]"),
    ("split", M, lambda x: x.split([3, -1]), ShapeError,
     "split: the sizes of the parts must be integers of at least 0"),
    ("split", S, lambda x: x.split(1), ShapeError, "split: x must have at least one axis; got a scalar"),
    ("chunk", M, lambda x: x.chunk(0), ArgumentError, "chunk: chunks must be at least 1; got 0"),
    ("chunk", S, lambda x: x.chunk(1), ShapeError, "chunk: x must have at least one axis"),
    ("unbind", S, lambda x: x.unbind(), ShapeError, "unbind: x must have at least one axis"),
    ("stack", M, lambda x: tn.stack([]), ArgumentError,
     "stack: tensors must hold at least one tensor; got none"),
    ("stack", M, lambda x: tn.stack([x, tn.ones(3)]), ShapeError,
     r"stack: tensors must have equal shapes; got \(2, 3\) and \(3,\) \(tensors\[1\]\)"),
    ("stack", M, lambda x: tn.stack([x], 3), ArgumentError, r"stack: dim must lie in \[-3, 2\]; got 3"),
    ("stack", M, lambda x: tn.stack([x, x.double()]), DTypeError,
     r"stack: tensors\[1\] must have the dtype of"),
    ("split", M, lambda x: x.split(1.5), ArgumentError, "split: split_size must be an integer; got 1.5"),
    ("chunk", M, lambda x: x.chunk(1.5), ArgumentError, "chunk: chunks must be an integer; got 1.5"),
    ("repeat", V, lambda x: x.repeat(1.5), ArgumentError,
     "repeat: each of sizes must be an integer; got 1.5"),
    ("unflatten", V, lambda x: x.unflatten(0, (1.5,)), ArgumentError,
     "unflatten: each of sizes must be an integer; got 1.5"),
    ("pad", V, lambda x: tn.nn.functional.pad(x, (1,)), ArgumentError,
     r"pad: pad must be pairs of integers, at most one for each of the 1 axes; got \(1,\)"),
    ("pad", V, lambda x: tn.nn.functional.pad(x, (1, 1, 1, 1)), ArgumentError, "pad: pad must be pairs"),
    ("pad", V, lambda x: tn.nn.functional.pad(x, (1.0, 1)), ArgumentError, "pad: pad must be pairs"),
    ("pad", V, lambda x: tn.nn.functional.pad(x, (-2, -2)), ShapeError,
     r"pad: pad must not cut off more than there is; got \(-2, -2\) for shape \(3,\)"),
    ("pad", V, lambda x: tn.nn.functional.pad(x, (1, 1), "mirror"), ArgumentError,
     "pad: mode must be one of 'constant', 'reflect', 'replicate', 'circular'; got 'mirror'"),
    ("pad", V, lambda x: tn.nn.functional.pad(x, (1, 1), value="a"), ArgumentError,
     "pad: value must fit into float32"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape", "call", "error", "message"), ERRORS)
def test_errors(name, shape, call, error, message):
    with pytest.raises(error, match=message):
        call(tn.ones(shape))


FUNCTIONS = (
    "broadcast_to chunk diag flatten flip gather index_select masked_select movedim permute reshape split "
    "squeeze swapaxes take_along_dim transpose tril triu unbind unflatten unsqueeze"
)


@pytest.mark.parametrize("name", FUNCTIONS.split())
def test_functions_take_tensors(name):
    more: dict[str, tuple[Any, ...]] = {
        "broadcast_to": ((2, 3),), "chunk": (2,), "flip": (0,), "gather": (0, tn.tensor([[0]])),
        "movedim": (0, 1),
        "index_select": (0, tn.tensor([1])), "masked_select": (tn.tensor(True),), "permute": ((1, 0),),
        "reshape": ((3, 2),), "split": (1,), "swapaxes": (0, 1), "transpose": (0, 1),
        "unflatten": (1, (1, 3)),
        "take_along_dim": (tn.tensor([[0]]), 0), "unsqueeze": (0,),
    }  # fmt: skip
    x = tn.tensor(weights((2, 3)))
    assert str(getattr(tn, name)(x, *more.get(name, ()))) == str(getattr(x, name)(*more.get(name, ())))
    with pytest.raises(DTypeError, match=f"{name}: (input|tensor) must be a Tensor; got ndarray"):
        getattr(tn, name)(np.ones((2, 3)), *more.get(name, ()))
