"""`Function`: what its forward and its backward return."""

from __future__ import annotations

import numpy as np
import pytest
from functions import function, leaf

import tinynet as tn
from tinynet.autograd import Function, grad
from tinynet.errors import ArgumentError, DTypeError, ShapeError


class Halves(Function):
    """2 x, 3 x and where x > 1."""

    @staticmethod
    def forward(ctx, x):
        ctx.seen = []
        return x * 2, x > 1, x * 3

    @staticmethod
    def backward(ctx, g, still, h):
        ctx.seen.append((g.tolist(), still.tolist(), h.tolist()))
        return g * 2 + h * 3


# ---- outputs -----------------------------------------------------------------------------------------------


def test_several_outputs():
    x = leaf(1.0, 2.0)
    result = Halves.apply(x)
    assert isinstance(result, tuple)
    a, still, b = result
    assert (a.tolist(), still.tolist(), b.tolist()) == ([2, 4], [False, True], [3, 6])
    assert (a.requires_grad, still.requires_grad, b.requires_grad) == (True, False, True)
    assert still.is_leaf
    assert a.grad_fn is b.grad_fn
    (a * b).sum().backward()
    assert x.grad.tolist() == [12, 24]


def test_outputs_that_nobody_uses_have_gradients_of_zero():
    x = leaf(1.0, 2.0)
    seen = []
    own = function(
        lambda ctx, x: (x * 2, x > 1, x * 3),
        lambda ctx, *gs: (seen.append([(g.tolist(), str(g.dtype)) for g in gs]), gs[0] * 2 + gs[2] * 3)[1],
    )
    own.apply(x)[0].sum().backward()
    own.apply(x)[2].sum().backward()
    assert seen == [
        [([1, 1], "float32"), ([False, False], "bool"), ([0, 0], "float32")],
        [([0, 0], "float32"), ([False, False], "bool"), ([1, 1], "float32")],
    ]
    assert x.grad.tolist() == [5, 5]


def test_without_materialized_gradients():
    seen = []

    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3

    def backward(ctx, g, h):
        seen.append((g, h))
        return h * 3 if g is None else g * 2

    x = leaf(1.0)
    function(forward, backward).apply(x)[1].backward()
    assert seen[0][0] is None
    assert x.grad.tolist() == [3]


def test_outputs_marked_as_constant():
    def forward(ctx, x):
        y, mask = x * 2, x * 0 + 1
        ctx.mark_non_differentiable(mask)
        ctx.mask = mask
        return y, mask

    x = leaf(1.0, 2.0)
    own = function(forward, lambda ctx, g, h: g * 2 * ctx.mask + h)
    y, mask = own.apply(x)
    assert y.requires_grad
    assert not mask.requires_grad
    (y * mask).sum().backward()
    assert x.grad.tolist() == [2, 2]

    only = function(lambda ctx, x: (lambda y: (ctx.mark_non_differentiable(y), y)[1])(x * 2))
    assert not only.apply(x).requires_grad
    other = function(lambda ctx, x: (ctx.mark_non_differentiable(x * 5), x * 2)[1], lambda ctx, g: g)
    assert other.apply(x).requires_grad  # what was marked is not returned


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_outputs_of_whole_numbers_have_no_gradient(dtype):
    own = function(lambda ctx, x: x.detach().to(dtype))
    y = own.apply(leaf(1.0, 2.0))
    assert y.dtype == np.dtype(dtype)
    assert not y.requires_grad


def test_an_output_of_another_dtype_and_shape():
    own = function(
        lambda ctx, x: (setattr(ctx, "shape", x.shape), x.double().sum(0))[1],
        lambda ctx, g: g.broadcast_to(ctx.shape).float(),
    )
    x = tn.ones(3, 2, requires_grad=True)
    y = own.apply(x)
    assert y.dtype == tn.float64
    y.backward(tn.tensor([1.0, 2.0], dtype="float64"))
    assert x.grad.tolist() == [[1, 2]] * 3
    x.grad.add_(1)


def test_a_tuple_of_one_and_of_none():
    x = leaf(3.0)
    result = function(lambda ctx, x: (x * 2,), lambda ctx, g: (g * 2,)).apply(x)
    assert isinstance(result, tuple)
    assert len(result) == 1
    result[0].backward()
    assert x.grad.tolist() == [2]
    assert function(lambda ctx, x: ()).apply(x) == ()


@pytest.mark.parametrize(
    ("returned", "name", "at"),
    [(None, "NoneType", 0), (3.0, "float", 0), (np.ones(2), "ndarray", 0), ([tn.ones(1)], "list", 0)],
)
def test_rubbish_from_forward(returned, name, at):
    x = leaf(1.0)
    for given, i in ((returned, 0), ((tn.ones(1), returned), 1)):
        with pytest.raises(
            DTypeError, match=f"Own: forward must return a Tensor or a tuple of them; got {name} at {i}"
        ):
            function(lambda ctx, x, given=given: given).apply(x)
    assert tn.is_grad_enabled()


# ---- arguments returned as they are ------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    "pick", [lambda t: t, lambda t: t.detach(), lambda t: t.reshape(2), lambda t: t[:]], ids="tdrs"
)
def test_an_argument_returned(place, pick):
    own = function(
        lambda ctx, *xs: pick(xs[place]),
        lambda ctx, g: tuple(g * 7 if i == place else None for i in range(2)),
    )
    xs = [leaf(1.0, 2.0), leaf(3.0, 4.0)]
    y = own.apply(*xs)
    assert y is not xs[place]
    assert xs[place].is_leaf
    assert y.grad_fn.name == "Own"
    y.sum().backward()
    assert xs[place].grad.tolist() == [7, 7]
    assert xs[1 - place].grad is None
    hs = [x * 1 for x in xs]
    y = own.apply(*hs)
    with pytest.raises(NotImplementedError, match="a recorded write to a tensor of which there are views"):
        y.mul_(2)
    with pytest.raises(NotImplementedError, match="a recorded write to a tensor of which there are views"):
        hs[place].mul_(2)


def test_all_arguments_returned():
    own = function(lambda ctx, *xs: xs, lambda ctx, *gs: gs)
    x, w = leaf(1.0), leaf(2.0)
    a, b = own.apply(x, w)
    (a * b).backward()
    assert (x.grad.tolist(), w.grad.tolist()) == ([2], [1])


def test_one_tensor_returned_twice():
    own = function(lambda ctx, x: (lambda y: (y, y))(x * 3), lambda ctx, g, h: g * 3 + h * 30)
    x = leaf(1.0)
    a, b = own.apply(x)
    (a + 2 * b).backward()
    assert x.grad.tolist() == [63]
    a, b = own.apply(x)
    with pytest.raises(NotImplementedError, match="views"):
        a.add_(1)


def test_a_result_may_be_changed_in_place():
    x = leaf(2.0)
    y = function(lambda ctx, x: x * 3, lambda ctx, g: g * 3).apply(x)
    y.mul_(4)
    y.backward()
    assert x.grad.tolist() == [12]


# ---- gradients that do not fit -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((1.0,), ArgumentError, "as many gradients as forward has arguments, 3; got 1"),
        ((None,) * 2, ArgumentError, "as many gradients as forward has arguments, 3; got 2"),
        ((None, None, None, 1.0), ArgumentError, "as many gradients as forward has arguments, 3; got 4"),
        ((2.0, None, None), DTypeError, "Tensors or None; got float for argument 0"),
        ((None, None, np.ones(2)), DTypeError, "Tensors or None; got ndarray for argument 2"),
        ((tn.ones(3), None, None), ShapeError, r"for argument 0 a gradient of shape \(2,\) .*; got \(3,\)"),
        ((None, None, tn.ones(1)), ShapeError, r"for argument 2 a gradient of shape \(2,\) .*; got \(1,\)"),
        ((tn.tensor(1.0), None, None), ShapeError, r"argument 0 a gradient of shape \(2,\) .*; got \(\)"),
        (
            (tn.ones(2, dtype="float64"), None, None),
            ShapeError,
            r"argument 0 a gradient of shape \(2,\) and dtype float32; got \(2,\) and float64",
        ),
        ((tn.ones(2, dtype="int64"), None, None), ShapeError, "float32; got .* and int64"),
        (
            (None, tn.ones(2), None),
            ArgumentError,
            "None for argument 1, which is not a Tensor; got",
        ),
        ("rubbish", ArgumentError, "3; got 1"),
        ([None] * 3, ArgumentError, "3; got 1"),
    ],
)
def test_wrong_gradients(given, error, message):
    own = function(lambda ctx, x, k, w: x * w * k, lambda ctx, g: given)
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    with pytest.raises(error, match=f"Own: backward must return .*{message}"):
        own.apply(x, 1.0, w).sum().backward()
    assert x.grad is None
    assert w.grad is None
    assert tn.is_grad_enabled()


def test_missing_and_superfluous_none():
    x = leaf(1.0)
    own = function(lambda ctx, x: x * 2, lambda ctx, g: (g * 2, None, None))
    own.apply(x).backward()
    assert x.grad.tolist() == [2]
    none = function(lambda ctx, x: x * 2, lambda ctx, g: None)
    (none.apply(x) + x).backward()
    assert x.grad.tolist() == [3]
    y = none.apply(x)
    y.backward()
    assert x.grad.tolist() == [3]
    assert grad(none.apply(x), x, allow_unused=True) == (None,)


def test_a_gradient_with_a_graph_of_its_own_is_cut_off():
    w = leaf(5.0)

    def backward(ctx, g):
        with tn.enable_grad():
            return g * w

    x = leaf(1.0)
    function(lambda ctx, x: x * 5, backward).apply(x).backward()
    assert x.grad.tolist() == [5]
    assert not x.grad.requires_grad
    assert w.grad is None


def test_gradients_share_no_memory():
    held = tn.tensor([3.0, 4.0])
    buffer = np.array([5.0, 6.0], np.float32)
    own = function(lambda ctx, a, b, c: a + b + c, lambda ctx, g: (held, tn.from_numpy(buffer), g))
    a, b, c = leaf(1.0, 2.0), leaf(1.0, 2.0), leaf(1.0, 2.0)
    g = tn.tensor([7.0, 8.0])
    for _ in range(2):
        own.apply(a, b, c).backward(g)
    for t in (a, b, c):
        t.grad.zero_()
    assert (held.tolist(), buffer.tolist(), g.tolist()) == ([3, 4], [5, 6], [7, 8])
    same = function(lambda ctx, a, b: a + b, lambda ctx, g: (g, g))
    a, b = leaf(1.0), leaf(2.0)
    (same.apply(a, b) * 2).backward()
    a.grad.zero_()
    assert b.grad.tolist() == [2]
    same.apply(b, b).backward()
    assert b.grad.tolist() == [4]


def test_saved_tensors_as_gradients():
    """The saved array is handed on as a gradient and summed up with others: it must stay as it is."""
    own = function(
        lambda ctx, x, w: (ctx.save_for_backward(w), x * w)[1], lambda ctx, g: (ctx.saved_tensors[0], None)
    )
    x, w = leaf(1.0, 2.0), tn.tensor([3.0, 4.0])
    h = x * 1
    y = own.apply(h, w) + own.apply(h, w) + h
    y.sum().backward()
    assert x.grad.tolist() == [7, 9]
    assert w.tolist() == [3, 4]
    own.apply(x, w).sum().backward()
    x.grad.zero_()
    assert w.tolist() == [3, 4]
