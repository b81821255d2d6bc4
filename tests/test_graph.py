"""The graph and its sweep: sums of gradients, retained and freed graphs, arguments, errors, grad modes."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from processes import python

import tinynet as tn
from tinynet import nn
from tinynet.errors import DTypeError, GraphError, ShapeError
from tinynet.nn import functional as F

# ---- sums of gradients -------------------------------------------------------------------------------------


def test_a_diamond():
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    a = x * 2.0
    b, c = a * 3.0, a * a
    (b + c).sum().backward()  # 6x + 4x^2
    assert x.grad.tolist() == [14, 22]


def test_a_ladder_of_diamonds_is_swept_once():
    x = tn.tensor(1.0, dtype="float64", requires_grad=True)
    y = x
    for _ in range(60):
        y = y + y  # 2^60 paths, 60 nodes
    y.backward()
    assert x.grad.item() == 2.0**60


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: x + x, [2, 2]),
        (lambda x: x - x, [0, 0]),
        (lambda x: x * x, [2, 4]),
        (lambda x: x / x, [0, 0]),
        (lambda x: tn.cat([x, x]), [2, 2]),
        (lambda x: x.reshape(1, 2) @ x.reshape(2, 1), [2, 4]),
        (lambda x: F.linear(x[None], x[None]), [2, 4]),
    ],
)
def test_one_tensor_twice_in_one_op(f, expected):
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    f(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-6)


def test_a_gradient_shared_by_several_consumers_is_not_overwritten():
    # Add hands one and the same array to both operands; the consumers further up then add their own to it.
    a, b, c = (tn.tensor([v, v], requires_grad=True) for v in (1.0, 2.0, 3.0))
    s = a + b
    t = s + c
    u = t + a
    (u + t + s).sum().backward()
    assert a.grad.tolist() == [4, 4]
    assert b.grad.tolist() == [3, 3]
    assert c.grad.tolist() == [2, 2]


def test_leaves_do_not_share_a_gradient():
    a, b = tn.ones(2, requires_grad=True), tn.ones(2, requires_grad=True)
    g = tn.tensor([1.0, 2.0])
    (a + b).backward(g)
    a.grad.mul_(10)
    assert b.grad.tolist() == [1, 2]
    assert g.tolist() == [1, 2]
    c = tn.ones(2, requires_grad=True)
    c.backward(g)
    c.grad.mul_(10)
    assert g.tolist() == [1, 2]


def test_the_given_gradient_is_left_alone():
    x = tn.ones(2, 3, requires_grad=True)
    g = tn.ones(2, 3)
    for f in (lambda: x + x, lambda: x.reshape(2, 3), lambda: x.clone() + x, lambda: x.T.T + x):
        f().backward(g)
        f().backward(g)
    assert g.tolist() == np.ones((2, 3)).tolist()


def test_sums_into_what_a_linear_layer_has_collected(threads):
    """Three layers on one input: their gradients meet in one array, where only the sweep holds it."""
    rng = np.random.default_rng(0)
    x = tn.tensor(rng.standard_normal((5, 4)), requires_grad=True)
    ws = [tn.tensor(rng.standard_normal((3, 4))) for _ in range(3)]
    h = x * 1.0
    kept = h.detach().numpy().copy()
    total = sum(F.linear(h, w).sum() for w in ws)
    (total + h.sum()).backward()
    expected = sum(w.numpy().sum(0) for w in ws) + 1
    np.testing.assert_allclose(x.grad.numpy(), np.broadcast_to(expected, (5, 4)), rtol=1e-12)
    np.testing.assert_array_equal(h.detach().numpy(), kept)


def test_gradients_accumulate_over_backwards():
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    first = x.grad
    (x * x).sum().backward()
    assert x.grad.tolist() == [4, 8]
    assert x.grad is first  # one gradient tensor per leaf, added to in place
    x.grad = None
    (x * 3.0).sum().backward()
    assert x.grad.tolist() == [3, 3]
    assert first.tolist() == [4, 8]


def test_only_what_requires_a_gradient_gets_one():
    x, w = tn.ones(2, 3), tn.ones(4, 3, requires_grad=True)
    y = F.linear(x, w)
    y.sum().backward()
    assert x.grad is None
    assert y.grad is None
    assert w.grad.tolist() == np.full((4, 3), 2.0).tolist()


def test_outputs_that_nobody_uses():
    x = tn.tensor([[1.0, 3.0, 2.0]], requires_grad=True)
    values, indices = x.max(1)
    assert not indices.requires_grad
    (values * 2.0).sum().backward()
    assert x.grad.tolist() == [[0, 2, 0]]


def test_the_gradient_takes_the_layout_of_its_leaf():
    x = tn.from_numpy(np.asfortranarray(np.ones((3, 4), np.float32))).requires_grad_()
    (x * tn.ones(3, 4)).sum().backward()
    assert x.grad.numpy().strides == x.detach().numpy().strides


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_tensors_without_elements(shape):
    x = tn.zeros(*shape, requires_grad=True)
    ((x * 2.0).relu() + x).sum().backward()
    assert x.grad.shape == shape


# ---- retain_graph, freed graphs, arguments -----------------------------------------------------------------


def test_retain_graph():
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sigmoid().sum()
    y.backward(retain_graph=True)
    once = x.grad.numpy().copy()
    y.backward(retain_graph=True)
    np.testing.assert_array_equal(x.grad.numpy(), 2 * once)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * once)
    with pytest.raises(
        GraphError, match="backward: the graph was freed by an earlier backward; pass retain_graph=True"
    ):
        y.backward()


def test_a_freed_part_of_a_graph():
    x = tn.ones(2, requires_grad=True)
    h = x * 2.0
    a, b = h.sum(), (h * h).sum()
    a.backward()
    with pytest.raises(GraphError, match="freed"):
        b.backward()
    assert x.grad.tolist() == [2, 2]
    assert h.grad_fn.next_functions == ()
    assert "freed" in repr(h.grad_fn)


def test_the_root_may_be_a_leaf():
    x = tn.tensor(3.0, requires_grad=True)
    x.backward()
    x.backward()
    assert x.grad.item() == 2


def test_gradient_arguments():
    x = tn.ones(2, requires_grad=True)
    y = x * 2.0
    with pytest.raises(
        GraphError,
        match=r"backward: gradient must be given for a tensor of more than one element; shape \(2,\)",
    ):
        y.backward()
    with pytest.raises(
        ShapeError, match=r"backward: gradient must have shape \(2,\) and dtype float32; got \(3,\)"
    ):
        y.backward(tn.ones(3))
    with pytest.raises(
        (ShapeError, DTypeError), match=r"backward: gradient must have .*float32; got .*float64"
    ):
        y.backward(tn.ones(2, dtype="float64"))
    with pytest.raises(GraphError, match="backward: the tensor does not require a gradient"):
        tn.ones(1).backward()
    y.backward(np.array([1, 2], np.float32))
    assert x.grad.tolist() == [2, 4]
    (x * 2.0).sum().reshape(1, 1).backward()
    assert x.grad.tolist() == [4, 6]


def test_setting_grad():
    x = tn.ones(2, requires_grad=True)
    g = tn.tensor([1.0, 2.0])
    x.grad = g
    assert x.grad is g
    (x * 3.0).sum().backward()
    assert x.grad.tolist() == [4, 5]
    for bad in (tn.ones(3), tn.ones(2, dtype="float64")):
        with pytest.raises(
            (ShapeError, DTypeError), match=r"grad: must have shape \(2,\) and dtype float32; got"
        ):
            x.grad = bad
    with pytest.raises(DTypeError, match="grad: must be a Tensor or None; got list"):
        x.grad = [1.0, 2.0]
    x.grad = None
    assert x.grad is None
    with pytest.raises(GraphError, match="grad: only a leaf that requires a gradient"):
        (x * 2.0).grad = g


def test_zero_grad():
    layer = nn.Linear(2, 1)
    layer(tn.ones(1, 2)).sum().backward()
    kept = layer.weight.grad
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad is kept
    assert kept.tolist() == [[0, 0]]
    layer.zero_grad()
    assert layer.weight.grad is None


def test_nodes_tell_what_they_are():
    x = tn.ones(2, requires_grad=True)
    y = (x * 2.0).relu()
    assert y.grad_fn.name == "relu"
    assert [n.name for n in y.grad_fn.next_functions] == ["mul"]
    assert [n.name for n in y.grad_fn.next_functions[0].next_functions] == ["leaf"]
    assert repr(y.grad_fn) == "<Node relu>"
    assert y.grad_fn.sequence > y.grad_fn.next_functions[0].sequence


def test_abstract_ops_cannot_be_run():
    """In a process of its own: compiled code that follows a null pointer would end this one."""
    code = (
        "import tinynet as tn\n"
        "from tinynet._graph import Op\n"
        "from tinynet._tensor import apply\n"
        "from tinynet.ops.activation import Activation\n"
        "for op in (Op(), Activation()):\n"
        "    try:\n"
        "        apply(op, tn.ones(2))\n"
        "    except NotImplementedError:\n"
        "        print('refused')\n"
    )
    run = python(code)
    assert run.stdout.split() == ["refused", "refused"], run.stderr


# ---- errors in the middle ----------------------------------------------------------------------------------


@pytest.mark.parametrize("retain_graph", [False, True])
def test_an_error_in_the_middle_of_backward_leaves_nothing_behind(retain_graph):
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    w = tn.tensor([3.0, 4.0], requires_grad=True)
    c = tn.tensor([5.0, 6.0])
    h = x * 1.0
    spoilt = (h * c) * w  # the gradient of h needs c, that of w needs the product
    fine = (h * w).sum()
    y = spoilt.sum() + h.sum() + fine
    c.zero_()
    with pytest.raises(GraphError, match="changed in place"):
        y.backward(retain_graph=retain_graph)
    assert x.grad is None
    assert w.grad is None
    if (
        retain_graph
    ):  # the part of the graph that is in order can still be gone through, and gives its own gradient only
        fine.backward()
        assert x.grad.tolist() == [3, 4]
        assert w.grad.tolist() == [1, 2]
        x.grad = w.grad = None
    ((x * w) + w).sum().backward()
    assert x.grad.tolist() == [3, 4]
    assert w.grad.tolist() == [2, 3]


# ---- grad modes --------------------------------------------------------------------------------------------


def test_no_grad_and_enable_grad_nest():
    x = tn.ones(1, requires_grad=True)
    assert tn.is_grad_enabled()
    with tn.no_grad():
        assert not tn.is_grad_enabled()
        assert not (x * 2.0).requires_grad
        with tn.enable_grad():
            assert (x * 2.0).requires_grad
            with tn.no_grad():
                assert not (x * 2.0).requires_grad
            assert (x * 2.0).requires_grad
        assert not (x * 2.0).requires_grad
    assert (x * 2.0).requires_grad


def test_one_no_grad_object_used_again_and_within_itself():
    mode = tn.no_grad()
    for _ in range(2):
        with mode, mode:
            assert not tn.is_grad_enabled()
        assert tn.is_grad_enabled()


def test_an_error_restores_the_grad_mode():
    with pytest.raises(KeyError), tn.no_grad():
        raise KeyError
    assert tn.is_grad_enabled()


def test_grad_modes_as_decorators():
    @tn.no_grad()
    def off(a: int, *, b: int = 2) -> tuple[bool, int]:
        """Its docstring."""
        return tn.is_grad_enabled(), a + b

    @tn.enable_grad()
    def on() -> bool:
        return tn.is_grad_enabled()

    assert off(1, b=4) == (False, 5)
    assert off.__name__ == "off"
    assert off.__doc__ == "Its docstring."
    with tn.no_grad():
        assert on()
        assert not tn.is_grad_enabled()
    assert tn.is_grad_enabled()


def test_set_grad_enabled():
    with tn.set_grad_enabled(False):
        assert not tn.is_grad_enabled()
        with tn.set_grad_enabled(True):
            assert tn.is_grad_enabled()
        assert not tn.is_grad_enabled()
    assert tn.is_grad_enabled()
    tn.set_grad_enabled(False)
    assert not tn.is_grad_enabled()
    tn.set_grad_enabled(True)


def test_the_grad_mode_belongs_to_a_thread():
    seen: list[bool] = []
    with tn.no_grad():
        other = threading.Thread(target=lambda: seen.append(tn.is_grad_enabled()))
        other.start()
        other.join()
    assert seen == [True]


def test_detached_tensors_and_no_grad_results_are_leaves():
    x = tn.ones(1, requires_grad=True)
    with tn.no_grad():
        y = x * 2.0
    for t in (y, (x * 2.0).detach()):
        assert t.is_leaf
        assert not t.requires_grad
        t.requires_grad_()
        (t * 3.0).backward()
        assert t.grad.tolist() == [3]
    assert x.grad is None


def test_a_failed_backward_leaves_nothing_behind():
    w = tn.tensor([1.0, 2.0], requires_grad=True)
    h = w.sigmoid()
    first, second = h.sum(), (h * 2).sum()
    first.backward()
    for _ in range(2):  # the second time, too
        with pytest.raises(GraphError, match="freed by an earlier backward"):
            second.backward(retain_graph=True)


def test_switching_requires_grad_keeps_the_gradient():
    w = tn.tensor([1.0, 2.0], requires_grad=True)
    y = (w * 2).sum()
    w.requires_grad_(False)
    w.requires_grad_(True)
    y.backward()
    assert w.grad.tolist() == [2, 2]
    w.requires_grad_(False)
    assert w.grad.tolist() == [2, 2]


def test_every_product_adds_to_a_gradient_that_is_there(threads):
    """Several layers on one input and several uses of one weight add up, in place where that may be."""
    rng = np.random.default_rng(0)
    x, w, g = (rng.standard_normal(s) for s in ((5, 4), (3, 4), (5, 3)))
    for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-12)):
        tx, tw = tn.tensor(x, dtype, True), tn.tensor(w, dtype, True)
        h, v = tx * 1.0, tw * 1.0
        y = F.linear(h, v) + F.linear(h, v) + h @ v.T + h @ v.T
        y.backward(tn.tensor(g, dtype))
        np.testing.assert_allclose(tx.grad.numpy(), 4 * g @ w, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(tw.grad.numpy(), 4 * g.T @ x, rtol=tolerance, atol=tolerance)
