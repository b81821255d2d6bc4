"""Elementwise changes in place: values, versions, recorded writes, refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, GraphError, ShapeError

ONE = ["neg", "abs", "exp", "expm1", "log", "log1p", "square", "sqrt", "rsqrt", "reciprocal", "sin", "cos",
       "erf", "sign", "floor", "ceil", "round", "trunc", "sigmoid", "tanh", "relu"]  # fmt: skip
TWO = ["add", "sub", "mul", "div", "floor_divide", "remainder", "pow"]
MASK = tn.tensor([True, False])

# name of the method -> (in place, out of place)
WRITES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    **{f"{n}_": (lambda t, n=n: getattr(t, n + "_")(), lambda t, n=n: getattr(t, n)()) for n in ONE},
    **{f"{n}_": (lambda t, n=n: getattr(t, n + "_")(1.5), lambda t, n=n: getattr(t, n)(1.5)) for n in TWO},
    "clamp_": (lambda t: t.clamp_(0.5, 1), lambda t: t.clamp(0.5, 1)),
    "masked_fill_": (lambda t: t.masked_fill_(MASK, 7), lambda t: t.masked_fill(MASK, 7)),
    "lerp_": (lambda t: t.lerp_(tn.ones_like(t), 0.25), lambda t: t.lerp(tn.ones_like(t), 0.25)),
}
MORE = {
    **WRITES,
    "clip_": (lambda t: t.clip_(max=1), lambda t: t.clip(max=1)),
    "div_ floor": (
        lambda t: t.div_(1.5, rounding_mode="floor"),
        lambda t: t.div(1.5, rounding_mode="floor"),
    ),
    "add_ alpha": (lambda t: t.add_(tn.ones_like(t), alpha=2), lambda t: t.add(tn.ones_like(t), alpha=2)),
    "sub_ alpha": (lambda t: t.sub_(1, alpha=0.5), lambda t: t.sub(1, alpha=0.5)),
    "clamp_ tensors": (lambda t: t.clamp_(tn.ones_like(t)), lambda t: t.clamp(tn.ones_like(t))),
    "clamp_ tensors max": (lambda t: t.clamp_(max=tn.ones_like(t)), lambda t: t.clamp(max=tn.ones_like(t))),
}
each = pytest.mark.parametrize("name", MORE)


@each
def test_values_memory_and_version(name):
    write, plain = MORE[name]
    for dtype in ("float32", "float64"):
        x = tn.tensor([0.25, 2.5], dtype=dtype)
        expected, memory, version = plain(x), x.numpy(), x._version
        assert write(x) is x
        assert x.equal(expected)
        assert memory.tolist() == expected.tolist()
        assert x._version == version + 1
        assert x.dtype == np.dtype(dtype)


@each
def test_a_view_is_written_through(name):
    write, plain = MORE[name]
    base = tn.tensor([[0.25, 2.5], [1.5, 0.75], [3.0, 4.0]])
    column = base.T[0, :2]
    expected = plain(column).tolist()
    write(column)
    assert [row[0] for row in base.tolist()] == [*expected, 3.0]
    assert [row[1] for row in base.tolist()] == [2.5, 0.75, 4.0]


@each
def test_recorded_writes_have_the_gradients_of_the_plain_operations(name):
    def gradient(f: Callable[..., Any]) -> tuple[list[float], list[float]]:
        a = tn.tensor([0.25, 2.5], requires_grad=True)
        y = f(a * 1.0)
        (y * y * tn.tensor([1.0, 10.0])).sum().backward()
        return y.tolist(), a.grad.tolist()

    write, plain = MORE[name]
    assert gradient(write) == gradient(plain)


@pytest.mark.parametrize("name", WRITES)
def test_a_leaf_that_requires_a_gradient_is_refused(name):
    w = tn.tensor([0.25, 2.5], requires_grad=True)
    with pytest.raises(
        GraphError, match=f"{name}: a leaf that requires a gradient cannot be changed in place"
    ):
        WRITES[name][0](w)
    assert w.tolist() == [0.25, 2.5]
    with tn.no_grad():
        expected = WRITES[name][1](w)
        assert WRITES[name][0](w) is w
    assert w.tolist() == expected.tolist()
    assert w.requires_grad
    assert w.is_leaf


@pytest.mark.parametrize("name", WRITES)
def test_read_only_memory_is_refused(name):
    a = np.asarray([0.25, 2.5], np.float32)
    a.flags.writeable = False
    with pytest.raises(ArgumentError, match=f"{name}: the tensor must be writable; got read-only memory"):
        WRITES[name][0](tn.from_numpy(a))
    assert a.tolist() == [0.25, 2.5]


@pytest.mark.parametrize("name", WRITES)
def test_a_recorded_write_to_a_tensor_with_views_is_refused(name):
    base = tn.tensor([0.25, 2.5], requires_grad=True) * 1.0
    view = base[:1]
    with pytest.raises(
        NotImplementedError, match=f"{name}: a recorded write to a tensor of which there are views"
    ):
        WRITES[name][0](base)
    assert view.tolist() == [0.25]
    assert base.tolist() == [0.25, 2.5]


def test_operands_that_want_gradients():
    """The tensor that is written has no history, but what is written into it does."""
    for write, expected in (
        (lambda t, w: t.clamp_(min=w), [1, 0]),
        (lambda t, w: t.clamp_(max=w), [0, 1]),
        (lambda t, w: t.clamp_(w, 100), [1, 0]),
        (lambda t, w: t.lerp_(w, 0.5), [0.5, 0.5]),
        (lambda t, w: t.lerp_(tn.zeros(2), w), [-1, -3]),
        (lambda t, w: t.masked_fill_(MASK, w.sum()), [1, 1]),
        (lambda t, w: t.remainder_(w), [0, -1]),
        (lambda t, w: t.add_(w, alpha=3), [3, 3]),
    ):
        t, w = tn.tensor([1.0, 3.0]), tn.tensor([2.0, 2.0], requires_grad=True)
        write(t, w)
        assert t.requires_grad
        t.sum().backward()
        assert w.grad.tolist() == expected


def test_statements():
    x = y = tn.tensor([7.0, -7.0])
    y //= 2
    assert x.tolist() == [3, -4]
    y %= 3
    assert x.tolist() == [0, 2]
    y += 1
    y **= 2
    assert x.tolist() == [1, 9]
    assert y is x
    n = m = tn.tensor([7, -7])
    m //= 2
    m %= 3
    m **= 3
    m *= 2
    assert n.tolist() == [0, 16]
    assert m is n
    mask = tn.tensor([True, False])
    mask &= tn.tensor([True, True])
    mask |= tn.tensor([False, True])
    mask ^= True
    assert mask.tolist() == [False, False]


def test_results_that_do_not_fit():
    n, x = tn.tensor([1, 2]), tn.tensor([1.0, 2.0])
    for call, kind, message in (
        (lambda: n.div_(2), DTypeError, "div_: the result must have the tensor's dtype int64; got float32"),
        (lambda: n.mul_(1.5), DTypeError, "mul_: the result must have the tensor's dtype int64; got float32"),
        (lambda: n.clamp_(0.5), DTypeError,
         "clamp_: the result must have the tensor's dtype int64; got float32"),
        (lambda: n.masked_fill_(MASK, 0.5), DTypeError,
         "masked_fill: value must be a number that fits int64"),
        (lambda: n.exp_(), DTypeError, "exp: input must be float32 or float64; got int64"),
        (lambda: x.mul_(tn.ones(3, 2)), ShapeError,
         "mul_: the result must have the tensor's shape (2,); got (3, 2)"),
        (lambda: x.clamp_(tn.ones(3, 2)), ShapeError, "clamp_: the result must have the tensor's shape (2,)"),
        (lambda: x.floor_divide_("a"), DTypeError,
         "floor_divide_: other must be a Tensor or a number; got str"),
        (lambda: x.add_("a"), DTypeError, "add_: other must be a Tensor or a number; got str"),
        (lambda: x.add_("a", alpha=2), DTypeError, "add_: other must be a Tensor or a number; got str"),
        (lambda: x.add_(1, alpha="a"), DTypeError, "add_: alpha must be a number; got 'a'"),
        (lambda: x.div_(1, rounding_mode=1), ArgumentError, "div_: rounding_mode must be None"),
    ):  # fmt: skip
        with pytest.raises(kind, match=re.escape(message)):
            call()
    assert n.tolist() == [1, 2]
    assert x.tolist() == [1, 2]
    assert (n._version, x._version) == (0, 0)


@pytest.mark.parametrize("name", ["exp", "expm1", "sqrt", "rsqrt", "reciprocal", "log", "log1p", "square",
                                  "sin", "cos", "erf", "abs", "pow"])  # fmt: skip
def test_a_change_of_what_an_op_has_saved_is_noticed(name):
    x = tn.tensor([1.0, 2.0], requires_grad=True) * 1.0
    y = x.pow(1.5) if name == "pow" else getattr(x, name)()
    z = (y * 1.0).sum()
    with tn.no_grad():
        x.add_(1)
        y.add_(1)
    with pytest.raises(GraphError, match=rf"backward: {name} needs a value of shape \(2,\)"):
        z.backward()


def test_a_change_of_what_no_gradient_needs_is_allowed():
    for f in (lambda x: x.maximum(0.0), lambda x: x.clamp(0, 1)):
        x = tn.tensor([1.0, 2.0], requires_grad=True)
        y = f(x * 1.0)
        with tn.no_grad():
            y.zero_()
        y.sum().backward()
    mask = tn.tensor([True, False])
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    y = tn.where(mask, x, 0.0).sum()
    mask.logical_not()
    y.backward()
    y = tn.where(mask, x, 0.0).sum()
    mask.fill_(False)
    with pytest.raises(GraphError, match="backward: where needs a value"):
        y.backward()


@settings(max_examples=40)
@given(
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from(["C", "F", "gaps"]),
    st.sampled_from(list(TWO)),
    st.data(),
)
def test_any_shape_and_layout(shape, dtype, layout, name, data):
    numbers = st.sampled_from([0.5, 1.0, -1.5, 2.0, 3.25])
    a = data.draw(hnp.arrays(dtype, shape, elements=numbers))
    cut = data.draw(st.integers(0, len(shape)))
    b = data.draw(hnp.arrays(dtype, shape[cut:], elements=numbers))
    if layout == "F":
        a = np.asfortranarray(a)
    elif layout == "gaps" and shape:
        a = np.repeat(a, 2, axis=-1)[..., ::2]
    x, y = tn.from_numpy(a.copy(order="K") if layout != "gaps" else a), tn.from_numpy(b)
    expected = getattr(x, name)(y).numpy().copy()
    getattr(x, name + "_")(y)
    np.testing.assert_array_equal(x.numpy(), expected)
