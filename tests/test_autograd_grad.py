"""`autograd.grad`, and `backward` from several tensors and to chosen leaves."""

from __future__ import annotations

import numpy as np
import pytest
from functions import counting, leaf

import tinynet as tn
from tinynet import nn
from tinynet.autograd import Function, backward, grad
from tinynet.errors import ArgumentError, DTypeError, GraphError, ShapeError
from tinynet.nn import functional as F


def lists(gradients):
    return [None if g is None else g.tolist() for g in gradients]


class Halves(Function):
    """Two outputs: 2 x and 3 x."""

    @staticmethod
    def forward(ctx, x):
        return x * 2, x * 3

    @staticmethod
    def backward(ctx, g, h):
        return g * 2 + h * 3


# ---- what comes out ----------------------------------------------------------------------------------------


def test_leaves_and_intermediates():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = x * w
    y = h * h
    gx, gh, gw, gy = grad(y.sum(), [x, h, w, y])
    assert gy.tolist() == [1, 1]
    assert gh.tolist() == [6, 16]
    assert gx.tolist() == [18, 64]
    assert gw.tolist() == [6, 32]
    for g in (gx, gh, gw, gy):
        assert type(g) is tn.Tensor
        assert not g.requires_grad
        assert g.is_leaf
    assert x.grad is None
    assert w.grad is None
    assert h.grad is None


def test_one_tensor_or_a_sequence():
    x = leaf(3.0)
    for inputs in (x, [x], (x,), iter([x]), {"x": x}.values()):
        result = grad(x * x, inputs)
        assert isinstance(result, tuple)
        assert lists(result) == [[6.0]]
    for outputs in ([x * x], (x * x,), iter([x * x])):
        assert lists(grad(outputs, x)) == [[6.0]]


def test_parameters_of_a_module():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = tn.randn(5, 3)
    got = grad(net(x).sum(), net.parameters())
    assert all(p.grad is None for p in net.parameters())
    net(x).sum().backward()
    for p, g in zip(net.parameters(), got, strict=True):
        assert g.shape == p.shape
        assert g.dtype == p.dtype
        np.testing.assert_array_equal(g.numpy(), p.grad.numpy())


def test_several_outputs_are_summed():
    x, w = leaf(1.0, 2.0), leaf(5.0)
    assert lists(grad([(x * w).sum(), (x * x).sum(), 3 * w], [x, w])) == [[7, 9], [6]]


def test_an_output_given_twice_counts_twice():
    x = leaf(3.0)
    y = x * x
    assert lists(grad([y, y], x)) == [[12]]


def test_an_input_given_twice():
    x = leaf(3.0, 4.0)
    h = x * 2
    for inputs, expected in (((x, x), [4, 4]), ((h, h), [2, 2])):
        a, b = grad((h * 2).sum(), inputs, retain_graph=True)
        assert a.tolist() == b.tolist() == expected
        a.mul_(10)
        assert b.tolist() == expected


def test_an_output_that_is_an_input():
    x = leaf(3.0)
    y = x * x
    assert lists(grad(y, y)) == [[1]]
    assert lists(grad(x, x)) == [[1]]
    assert lists(grad([y, x], [x, y])) == [[7], [1]]
    a, b = leaf(1.0), leaf(2.0)
    assert lists(grad([a, b], [b, a], [tn.tensor([5.0]), tn.tensor([6.0])])) == [[6], [5]]


def test_an_input_between_an_output_and_another_input():
    x = leaf(2.0)
    a = x * 3
    b = a * a
    c = b * x
    assert lists(grad(c, [b, a, x])) == [[2], [24], [108]]  # c = 9 x^3


def test_grad_outputs():
    x = leaf(1.0, 2.0, 3.0)
    y, z = x * x, x.sum()
    g = tn.tensor([1.0, 10.0, 100.0])
    assert lists(grad(y, x, g, retain_graph=True)) == [[2, 40, 600]]
    assert lists(grad(y, x, [g], retain_graph=True)) == [[2, 40, 600]]
    assert lists(grad([y, z], x, [g, None], retain_graph=True)) == [[3, 41, 601]]
    assert lists(grad([z, y], x, (tn.tensor(2.0), g), retain_graph=True)) == [[4, 42, 602]]
    assert lists(grad(y, x, np.array([1, 10, 100], np.float32), retain_graph=True)) == [[2, 40, 600]]
    assert lists(grad(z, x, 2.0, retain_graph=True)) == [[2, 2, 2]]
    assert lists(grad(z, x, None)) == [[1, 1, 1]]
    assert g.tolist() == [1, 10, 100]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0), (2, 3)])
def test_shapes_and_dtypes(shape, dtype):
    x = tn.ones(shape, dtype=dtype, requires_grad=True)
    h = x * 2
    for t in grad((h * h).sum(), [x, h]):
        assert t.shape == shape
        assert t.dtype == x.dtype


def test_through_a_cast():
    x = leaf(1.0, 2.0)
    h = x.double()
    gx, gh = grad((h * h).sum(), [x, h])
    assert (gx.dtype, gh.dtype) == (tn.float32, tn.float64)
    assert gx.tolist() == gh.tolist() == [2, 4]


def test_inputs_of_any_layout():
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    for a in (np.asfortranarray(base), base[::-1], base[:, ::2], np.broadcast_to(base[:1], (3, 4))):
        x = tn.from_numpy(a).requires_grad_()
        (g,) = grad((x * x).sum(), x)
        np.testing.assert_array_equal(g.numpy(), 2 * a)
        g.add_(1)  # memory of its own, whatever the input's


def test_outputs_of_an_op_with_several():
    x = leaf(1.0, 2.0)
    a, b = Halves.apply(x)
    s = (a * 5).sum() + (b * 7).sum()
    assert lists(grad(s, [a, b, x], retain_graph=True)) == [[5, 5], [7, 7], [31, 31]]
    assert lists(grad(s, [b], retain_graph=True)) == [[7, 7]]
    assert lists(grad([a.sum(), b.sum()], x, retain_graph=True)) == [[5, 5]]
    assert lists(grad(b.sum(), x, retain_graph=True)) == [[3, 3]]
    assert lists(grad(a.sum(), [a, b], allow_unused=True, retain_graph=True)) == [[1, 1], None]
    with pytest.raises(GraphError, match=r"grad: inputs\[1\] is not used by the outputs"):
        grad(a.sum(), [a, b], retain_graph=True)
    u, v = grad(s, [a, a])
    u.zero_()
    assert v.tolist() == [5, 5]


def test_values_and_indices():
    x = tn.tensor([[1.0, 3.0, 2.0]], requires_grad=True)
    values, indices = x.max(1)
    assert lists(grad(values, [values, x])) == [[1], [[0, 1, 0]]]
    with pytest.raises(GraphError, match=r"grad: inputs\[0\] does not require a gradient"):
        grad(x.max(1)[0], indices)


# ---- memory ------------------------------------------------------------------------------------------------


def test_results_share_no_memory_with_what_was_given():
    x = leaf(1.0, 2.0)
    g = tn.tensor([1.0, 10.0])
    h = x + tn.zeros(2)  # passes its gradient on as it is
    y = h.reshape(2, 1).reshape(2)
    (a, b, c) = grad(y, [y, h, x], g)
    for t in (a, b, c):
        t.mul_(7)
    assert g.tolist() == [1, 10]
    assert a.tolist() == b.tolist() == c.tolist() == [7, 70]


def test_results_share_no_memory_with_each_other():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    s = a + b
    t = s + a
    results = grad(t.sum(), [a, b, s, t])
    assert lists(results) == [[2, 2], [1, 1], [1, 1], [1, 1]]
    for i, r in enumerate(results):
        r.fill_(100 + i)
    assert lists(results) == [[100 + i] * 2 for i in range(4)]


def test_results_share_no_memory_with_grads():
    x = leaf(1.0, 2.0)
    h = x * 2
    h.retain_grad()
    y = (h * h).sum()
    y.backward(retain_graph=True)
    before = x.grad.tolist(), h.grad.tolist()
    for g in grad(y, [x, h]):
        g.zero_()
    assert x.grad.tolist() == before[0]
    assert h.grad.tolist() == [8, 16]  # a retained gradient sees every sweep, as in PyTorch


def test_results_share_no_memory_with_a_hooks_tensor():
    x = leaf(1.0, 2.0)
    h = x * 1
    kept = tn.tensor([5.0, 6.0])
    buffer = np.array([7.0, 8.0], np.float32)
    h.register_hook(lambda g: kept)
    x.register_hook(lambda g: tn.from_numpy(buffer))
    for g in grad(h.sum(), [h, x]):
        g.zero_()
    assert kept.tolist() == [5, 6]
    assert buffer.tolist() == [7, 8]


# ---- only what is needed -----------------------------------------------------------------------------------


def test_only_the_way_to_the_inputs_is_run():
    calls: list[str] = []
    x, w, v = leaf(1.0), leaf(2.0), leaf(3.0)
    a = counting(calls, "a")(x)
    b = counting(calls, "b")(w)
    c = counting(calls, "c")(a, b)
    d = counting(calls, "d")(c, v)
    e = counting(calls, "e")(d)

    def run(outputs, inputs):
        calls.clear()
        grad(outputs, inputs, retain_graph=True)
        return "".join(calls)

    assert run(e, x) == "edca"
    assert run(e, w) == "edcb"
    assert run(e, v) == "ed"
    assert run(e, c) == "ed"
    assert run(e, [c, v]) == "ed"
    assert run(e, [c, b]) == "edc"
    assert run(e, e) == ""
    assert run([e, c], a) == "edc"
    assert run([c, e], d) == "e"
    calls.clear()
    assert lists(grad([b, e], [v, x], retain_graph=True)) == [[1], [1]]  # b leads to neither
    assert "".join(calls) == "edca"


def test_hooks_off_the_way_are_not_called():
    seen: list[str] = []
    x, w = leaf(1.0), leaf(2.0)
    a, b = x * 2, w * 3
    for name, t in {"x": x, "w": w, "a": a, "b": b}.items():
        t.register_hook(lambda g, name=name: seen.append(name))
    grad(a * b, x)
    assert seen == ["a", "x"]


def test_an_error_off_the_way_does_not_matter():
    x, w, c = leaf(1.0, 2.0), leaf(3.0, 4.0), tn.tensor([5.0, 6.0])
    spoilt, fine = (x * c).sum(), (w * 2).sum()
    c.zero_()
    y = spoilt + fine
    with pytest.raises(GraphError, match="changed in place"):
        grad(y, x, retain_graph=True)
    assert lists(grad(y, w, retain_graph=True)) == [[2, 2]]
    assert lists(grad(y, spoilt)) == [1]


# ---- freed and retained graphs -----------------------------------------------------------------------------


def test_what_was_gone_through_is_freed():
    x, w = leaf(1.0), leaf(2.0)
    h, k = x * 2, w * 3
    y = h * k
    grad(y, x, retain_graph=True)
    grad(y, x)
    with pytest.raises(GraphError, match="the graph was freed by an earlier backward"):
        grad(y, x)
    with pytest.raises(GraphError, match="freed"):
        grad(y, w)
    assert lists(grad(k, w)) == [[3]]  # this part was off the way: it is whole
    with pytest.raises(GraphError, match="freed"):
        y.backward()


def test_a_freed_tensor_may_still_be_asked_for():
    x = leaf(1.0, 2.0)
    h = x * 2
    h.sum().backward()
    assert lists(grad((h * 3).sum(), h)) == [[3, 3]]  # nothing behind h is needed
    with pytest.raises(GraphError, match="freed"):
        grad((h * 3).sum(), [h, x], allow_unused=True)
    with pytest.raises(GraphError, match="freed"):
        grad((h * 3).sum(), x)
    assert x.grad.tolist() == [2, 2]


def test_a_gradient_is_never_a_part_of_one():
    """The way through a freed part cannot be gone, so there is an error, although another way is open."""
    x = leaf(1.0)
    h = x * 2
    h.backward()
    y = h * x
    for call in (lambda: grad(y, x), lambda: y.backward(), lambda: y.backward(inputs=[x])):
        with pytest.raises(GraphError, match="freed"):
            call()
    assert x.grad.tolist() == [2]


def test_grad_in_a_loop():
    x = leaf(1.0, 2.0)
    y = (x * x * x).sum()
    first = lists(grad(y, x, retain_graph=True))
    for _ in range(3):
        assert lists(grad(y, x, retain_graph=True)) == first == [[3, 12]]
    assert x.grad is None


# ---- unused inputs, refusals -------------------------------------------------------------------------------


def test_unused_inputs():
    x, w = leaf(1.0), leaf(2.0)
    y = x * 2
    assert lists(grad(y, [w, x, w], allow_unused=True, retain_graph=True)) == [None, [2], None]
    assert grad(y, w, allow_unused=True, retain_graph=True) == (None,)
    with pytest.raises(
        GraphError,
        match=r"grad: inputs\[1\] is not used by the outputs; with allow_unused=True its gradient is None",
    ):
        grad(y, [x, w], retain_graph=True)
    later = y * 3  # made of y, so y does not depend on it
    assert grad(y, later, allow_unused=True, retain_graph=True) == (None,)
    assert grad(y, x.detach().requires_grad_(), allow_unused=True) == (None,)


def test_refusals():
    x, c = leaf(1.0, 2.0), tn.ones(2)
    y = (x * 2).sum()
    for f in (lambda: grad(y, x, create_graph=True), lambda: backward(y, create_graph=True)):
        with pytest.raises(NotImplementedError, match=r"create_graph must be False.*; got True"):
            f()
    with pytest.raises(NotImplementedError, match="backward: create_graph must be False"):
        y.backward(create_graph=True)
    with pytest.raises(GraphError, match=r"grad: inputs\[1\] does not require a gradient"):
        grad(y, [x, c], allow_unused=True)
    with pytest.raises(GraphError, match="grad: the tensor does not require a gradient"):
        grad([y, c.sum()], x)
    with pytest.raises(
        GraphError, match=r"grad: gradient must be given for .* more than one element; shape \(2,\)"
    ):
        grad(x * 2, x)
    with pytest.raises(
        ShapeError, match=r"grad: gradient must have shape \(2,\) and dtype float32; got \(3,\)"
    ):
        grad(x * 2, x, tn.ones(3))
    with pytest.raises(ShapeError, match=r"grad: gradient must have shape \(2,\) .*; got \(2,\) and float64"):
        grad(x * 2, x, tn.ones(2, dtype="float64"))
    for wrong in ([], [None, None], [tn.tensor(1.0)] * 3):
        with pytest.raises(ArgumentError, match=f"for each of the 1 tensors; got {len(wrong)}"):
            grad(y, x, wrong)
    for outputs, inputs, name in ((y, [], "inputs"), ([], x, "outputs")):
        with pytest.raises(ArgumentError, match=f"grad: {name} must hold at least one tensor; got none"):
            grad(outputs, inputs)
    with pytest.raises(DTypeError, match=r"grad: inputs\[1\] must be a Tensor; got int"):
        grad(y, [x, 3])
    with pytest.raises(
        DTypeError, match="grad: outputs must be a Tensor or a sequence of Tensors; got float"
    ):
        grad(1.0, x)
    with pytest.raises(
        DTypeError, match="grad: inputs must be a Tensor or a sequence of Tensors; got NoneType"
    ):
        grad(y, None)
    assert x.grad is None
    assert lists(grad(y, x)) == [[2, 2]]  # nothing of this has freed the graph


# ---- with hooks --------------------------------------------------------------------------------------------


def test_hooks_take_part():
    x = leaf(1.0, 2.0)
    h = x * 2
    h.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    called: list[object] = []
    x.register_post_accumulate_grad_hook(called.append)
    assert lists(grad(h.sum(), [h, x])) == [[10, 10], [21, 21]]
    assert called == []  # nothing was accumulated
    assert x.grad is None


def test_grad_within_a_hook():
    """A hook may go through another graph, and through this one where it is retained."""
    x = leaf(3.0)
    h = x * x
    found: list[float] = []

    def hook(g):
        z = leaf(5.0)
        with tn.enable_grad():
            found.append(grad(z * z, z)[0].item())
            found.append(grad(x * x * x, x)[0].item())
            return g + grad(x * 4, x)[0]

    h.register_hook(hook)
    (h * 2).backward()
    assert found == [10, 27]
    assert x.grad.tolist() == [36]


def test_an_error_leaves_nothing_behind():
    x = leaf(1.0, 2.0)
    h = x * 2
    handle = h.register_hook(lambda g: 1 / 0)
    y = h.sum()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            grad(y, x, retain_graph=True)
    handle.remove()
    # the sum was swept, but it is kept: retain_graph
    assert lists(grad(y, x)) == [[2, 2]]
    assert x.grad is None


# ---- PyTorch -----------------------------------------------------------------------------------------------


@pytest.mark.parity
def test_parity():
    torch = pytest.importorskip("torch")

    def story(t):
        g = t.autograd.grad
        out = []

        def note(*gradients):
            out.extend(None if a is None else np.asarray(a.detach()).tolist() for a in gradients)

        x = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
        w = t.tensor([4.0, 5.0, 6.0], requires_grad=True)
        h = x * w
        k = (h * h).sum()
        note(*g(k, [x, h, w, k, x], retain_graph=True))
        note(*g([k, h], [h, x], [t.tensor(2.0), t.tensor([1.0, 2.0, 3.0])], retain_graph=True))
        h.register_hook(lambda a: a * 2)
        # asked for h and x at once, PyTorch gives h's as it was before the hook; asked for h alone, after it
        note(*g(k, h, retain_graph=True), *g(k, [x, w], retain_graph=True))
        note(*g(x.sum(), [w, x], allow_unused=True))
        h.retain_grad()
        note(*g(k, x, retain_graph=True))
        note(h.grad)
        t.autograd.backward([x.sum(), k], inputs=[w])
        note(x.grad, w.grad, h.grad)
        z = x * 2
        z.sum().backward()
        note(*g((z * 3).sum(), z))
        note(x.grad)
        return out

    assert story(tn) == story(torch)


@pytest.mark.parity
def test_parity_of_a_network():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in ((6, 5), (4, 5), (4,), (3, 4))]

    def gradients(t, functional):
        x, w, b, v = (t.tensor(a, requires_grad=True) for a in arrays)
        h = functional.linear(x, w, b)
        s = functional.softmax(functional.linear(functional.relu(h), v), 1)
        loss = (s * s).sum()
        return [g.numpy() for g in t.autograd.grad(loss, [x, h, w, b, s, v])]

    for a, b in zip(gradients(tn, F), gradients(torch, torch.nn.functional), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
