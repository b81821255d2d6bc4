"""Hooks on tensors, before and after accumulation (`retain_grad`: test_autograd_retain.py)."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
from functions import halves, leaf

import tinynet as tn
from tinynet import nn, optim
from tinynet.autograd import backward, grad
from tinynet.errors import DTypeError, GraphError, ShapeError

# ---- what hooks see and replace ----------------------------------------------------------------------------


def test_gradients_that_numpy_made_count_their_versions() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    seen: list[tn.Tensor] = []
    h = x * 1
    h.register_hook(seen.append)
    (h**x).sum().backward(retain_graph=True)  # the gradient of a power is one of NumPy's sums
    x.register_hook(seen.append)
    y = x.reshape(2, 2).T * tn.tensor([[1.0, 2.0], [3.0, 4.0]])
    y.sum().backward()
    for g in seen:
        assert g._version == 0
        assert not g._is_saved
        y = (leaf(1.0, 1.0, 1.0, 1.0) * g).sum()
        g.zero_()
        assert g._version == 1
        with pytest.raises(GraphError, match="changed in place"):
            y.backward()


def test_a_hook_sees_the_complete_gradient_once():
    x = leaf(1.0, 2.0)
    h = x * 1
    seen = []
    h.register_hook(lambda g: seen.append((type(g), g.shape, g.dtype, g.requires_grad, g.tolist())))
    (h * 2 + h * h + h.sum()).sum().backward()
    assert seen == [(tn.Tensor, (2,), tn.float32, False, [6, 8])]
    assert x.grad.tolist() == [6, 8]


def test_order_and_replacement():
    x = leaf(1.0)
    h = x * 1
    seen = []
    h.register_hook(lambda g: (seen.append(("a", g.item())), g * 2)[1])
    h.register_hook(lambda g: seen.append(("b", g.item())))
    h.register_hook(lambda g: (seen.append(("c", g.item())), g + 1)[1])
    x.register_hook(lambda g: (seen.append(("x", g.item())), -g)[1])
    (h * 5).backward()
    assert seen == [("a", 5), ("b", 10), ("c", 10), ("x", 11)]
    assert x.grad.tolist() == [-11]


def test_a_hook_of_a_leaf_sees_what_one_backward_adds():
    x = leaf(1.0, 2.0)
    seen = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: g * 10)
    for _ in range(2):
        (x * 2 + x * x + x).sum().backward()
    assert seen == [[5, 7]] * 2
    assert x.grad.tolist() == [100, 140]
    x.backward(tn.ones(2))
    backward([x, x], [tn.ones(2)] * 2)
    assert seen[2:] == [[1, 1], [2, 2]]


def test_hooks_of_the_root_and_of_a_root_on_the_way():
    x = leaf(1.0)
    y = x * 3
    y.register_hook(lambda g: g * 10)
    y.backward(retain_graph=True)
    backward([y * 2, y])
    assert x.grad.tolist() == [30 + 90]


def test_hooks_of_several_outputs():
    x = leaf(1.0)
    a, b = halves(x)
    seen = []
    a.register_hook(lambda g: (seen.append(("a", g.item())), g * 10)[1])
    b.register_hook(lambda g: (seen.append(("b", g.item())), g * 100)[1])
    (a * 5 + b * 7).backward(retain_graph=True)
    assert sorted(seen) == [("a", 5), ("b", 7)]
    assert x.grad.tolist() == [2 * 50 + 3 * 700]
    seen.clear()
    b.backward()
    assert seen == [("b", 1)]  # nothing reached a


def test_a_hook_on_a_view_and_on_what_it_shows():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    h = x * 1
    v = h.reshape(2, 2)[0]
    seen = []
    v.register_hook(lambda g: (seen.append(g.tolist()), g * 10)[1])
    h.register_hook(lambda g: seen.append(g.tolist()))
    (v.sum() + h.sum()).backward()
    assert seen == [[1, 1], [11, 11, 1, 1]]
    assert x.grad.tolist() == [11, 11, 1, 1]


def test_hooks_are_called_for_every_sweep():
    x = leaf(1.0)
    h = x * 1
    seen = []
    h.register_hook(seen.append)
    y = h * 2
    y.backward(retain_graph=True)
    grad(y, x, retain_graph=True)
    grad(y, h, retain_graph=True)
    y.backward(inputs=[x])
    assert len(seen) == 4


def test_nothing_is_recorded_in_a_hook():
    x, w = leaf(1.0), leaf(5.0)
    modes = []
    x.register_hook(lambda g: (modes.append(tn.is_grad_enabled()), g * w)[1])
    x.register_post_accumulate_grad_hook(lambda t: modes.append(tn.is_grad_enabled()))
    (x * 2).backward()
    assert modes == [False, False]
    assert x.grad.tolist() == [10]
    assert not x.grad.requires_grad
    assert w.grad is None
    assert tn.is_grad_enabled()


def test_a_replacement_shares_no_memory_with_the_gradient():
    x = leaf(1.0, 2.0)
    h = x * 1
    mine, buffer, held = tn.tensor([5.0, 6.0]), np.array([7.0, 8.0], np.float32), []
    h.register_hook(lambda g: held.append(g))
    h.register_hook(lambda g: mine)
    h.register_hook(lambda g: held.append(g))
    x.register_hook(lambda g: tn.from_numpy(buffer))
    x.register_hook(lambda g: (held.append(g), None)[1])
    for _ in range(2):
        (h * 2).sum().backward(retain_graph=True)
        x.grad.mul_(100)
    assert mine.tolist() == [5, 6]
    assert buffer.tolist() == [7, 8]
    assert [g.tolist() for g in held] == [[2, 2], [5, 6], [7, 8]] * 2
    x.grad = None
    kept = []
    z = leaf(1.0, 2.0)
    z.register_hook(lambda g: kept.append(g))
    (z * 3).sum().backward()
    z.grad.zero_()
    assert kept[0].tolist() == [3, 3]


def test_hooks_on_summed_gradients_keep_what_they_saw():
    """A hook that keeps a gradient: the sweep must not add the next one into it."""
    x = leaf(1.0, 2.0)
    h = x * 1
    kept = []
    parts = [h * float(i) for i in range(1, 5)]
    for p in parts:
        p.register_hook(kept.append)
    (parts[0] + parts[1] + parts[2] + parts[3] + parts[0]).sum().backward()
    assert sorted(g.tolist() for g in kept) == [[1, 1]] * 3 + [[2, 2]]
    assert x.grad.tolist() == [11, 11]


# ---- handles -----------------------------------------------------------------------------------------------


def test_removal():
    x = leaf(1.0)
    seen = []
    first = x.register_hook(lambda g: seen.append("a"))
    second = x.register_hook(lambda g: seen.append("b"))
    first.remove()
    first.remove()
    (x * 1).backward()
    assert seen == ["b"]
    with x.register_hook(lambda g: seen.append("c")):
        (x * 1).backward()
    second.remove()
    (x * 1).backward()
    assert seen == ["b", "b", "c"]


def test_removal_during_the_sweep():
    x = leaf(1.0)
    h = x * 1
    seen = []

    def first(g):
        seen.append("first")
        mine.remove()
        later.remove()
        upstream.remove()

    mine = h.register_hook(first)
    later = h.register_hook(lambda g: seen.append("later"))
    upstream = x.register_hook(lambda g: seen.append("upstream"))
    y = h * 2
    y.backward(retain_graph=True)
    assert seen == ["first", "later"]  # the list of this gradient's hooks was made before, as in PyTorch
    y.backward()
    assert seen == ["first", "later"]


def test_registration_during_the_sweep():
    x = leaf(1.0)
    a, b = halves(x)
    seen = []

    def hook(g):
        seen.append("a")
        x.register_hook(lambda g: seen.append("x"))
        a.register_hook(lambda g: seen.append("too late"))
        b.register_hook(lambda g: seen.append("b"))
        b.retain_grad()

    handle = a.register_hook(hook)
    y = a + b
    y.backward(retain_graph=True)
    assert (seen[0], "x" in seen, "too late" in seen) == ("a", True, False)
    handle.remove()
    seen.clear()
    y.backward()
    assert sorted(seen) == ["b", "too late", "x"]


# ---- refusals and errors -----------------------------------------------------------------------------------


def test_what_has_no_gradient_has_no_hooks():
    c, x = tn.ones(2), leaf(1.0)
    h = x * 2
    with pytest.raises(GraphError, match="register_hook: the tensor does not require a gradient"):
        c.register_hook(print)
    with pytest.raises(GraphError, match="retain_grad: the tensor does not require a gradient"):
        c.retain_grad()
    for t in (c, h):
        with pytest.raises(
            GraphError, match="register_post_accumulate_grad_hook: the tensor must be a leaf that"
        ):
            t.register_post_accumulate_grad_hook(print)
    for register in (x.register_hook, h.register_hook, x.register_post_accumulate_grad_hook):
        with pytest.raises(DTypeError, match=f"{register.__name__}: hook must be callable; got int"):
            register(3)


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (3.0, DTypeError, "register_hook: a hook must return a Tensor or None; got float"),
        (np.ones(2), DTypeError, "register_hook: a hook must return a Tensor or None; got ndarray"),
        ((None,), DTypeError, "register_hook: a hook must return a Tensor or None; got tuple"),
        (
            tn.ones(3),
            ShapeError,
            r"the hook's gradient must have shape \(2,\) and dtype float32; got \(3,\) and",
        ),
        (tn.tensor(1.0), ShapeError, r"the hook's gradient must have shape \(2,\) .*; got \(\) and float32"),
        (tn.ones(2, dtype="float64"), ShapeError, r"the hook's gradient must .*; got \(2,\) and float64"),
    ],
)
def test_wrong_returns(returned, error, message):
    x = leaf(1.0, 2.0)
    for t in (x, x * 1):
        with t.register_hook(lambda g: returned), pytest.raises(error, match=message):
            (t * 2).sum().backward()
    assert x.grad is None


class Mine(Exception):
    pass


def test_a_hook_that_raises():
    x, w = leaf(1.0), leaf(2.0)
    h = x * 3

    def raises(g):
        raise Mine

    handle = h.register_hook(raises)
    y = h * w
    with pytest.raises(Mine):
        y.backward(retain_graph=True)
    assert x.grad is None
    assert tn.is_grad_enabled()
    handle.remove()
    w.grad = None
    y.backward()
    assert (x.grad.tolist(), w.grad.tolist()) == ([6], [3])


def test_a_hook_after_accumulation_that_raises():
    x = leaf(1.0)
    others = [leaf(2.0) for _ in range(3)]

    def raises(t):
        raise Mine

    handle = x.register_post_accumulate_grad_hook(raises)
    y = x * others[0] * others[1] * others[2]
    with pytest.raises(Mine):
        y.backward(retain_graph=True)
    assert x.grad.tolist() == [8]  # what reached a leaf before it stays
    handle.remove()
    for t in (x, *others):
        t.grad = None
    y.backward()
    assert x.grad.tolist() == [8]
    assert [t.grad.tolist() for t in others] == [[4]] * 3


# ---- hooks after accumulation ------------------------------------------------------------------------------


def test_after_accumulation():
    x = leaf(1.0, 2.0)
    seen = []
    x.register_hook(lambda g: seen.append(("before", g.tolist(), x.grad)))
    handle = x.register_post_accumulate_grad_hook(lambda t: seen.append((t is x, t.grad.tolist())))
    x.register_post_accumulate_grad_hook(lambda t: seen.append("second"))
    (x * 2 + x).sum().backward()
    assert seen == [("before", [3, 3], None), (True, [3, 3]), "second"]
    seen.clear()
    handle.remove()
    (x * 2).sum().backward()
    assert seen[1:] == ["second"]
    seen.clear()
    leaf_only = leaf(1.0)
    (leaf_only * x.sum()).backward(inputs=[leaf_only])
    grad((x * 2).sum(), x)
    assert seen == [("before", [2, 2], x.grad)]


def test_an_optimizer_in_hooks():
    """Each parameter is stepped as soon as its gradient is there, and the gradient is dropped."""
    tn.manual_seed(1)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    twin = copy.deepcopy(net)
    steps = {p: optim.SGD([p], lr=0.1, momentum=0.9) for p in net.parameters()}

    def step(p):
        steps[p].step()
        p.grad = None

    for p in net.parameters():
        p.register_post_accumulate_grad_hook(step)
    optimizer = optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    x = tn.randn(8, 3)
    for _ in range(3):
        (net(x) ** 2).mean().backward()
        optimizer.zero_grad()
        (twin(x) ** 2).mean().backward()
        optimizer.step()
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert p.grad is None
        assert p.detach().numpy().tobytes() == q.detach().numpy().tobytes()


def test_a_leaf_changed_in_its_hook():
    x = leaf(1.0, 2.0)
    x.register_post_accumulate_grad_hook(lambda t: t.sub_(t.grad * 0.5))  # within a sweep nothing is recorded
    (x * x).sum().backward()
    assert x.tolist() == [0, 0]
    assert x.requires_grad


# ---- lifetime ----------------------------------------------------------------------------------------------


def test_hooks_do_not_keep_tensors():
    x = leaf(1.0)
    h = x * 2
    h.register_hook(lambda g: None)
    h.retain_grad()
    x.register_hook(lambda g: None)
    x.register_post_accumulate_grad_hook(lambda t: None)
    y = h * 3
    gc.disable()
    try:
        held = [weakref.ref(h), weakref.ref(x)]
        del h
        assert held[0]() is None
        y.backward()
        del x, y
        assert held[1]() is None
    finally:
        gc.enable()


def test_a_hook_after_accumulation_of_a_tensor_that_is_gone():
    x = leaf(1.0)
    seen = []
    x.register_post_accumulate_grad_hook(seen.append)
    y = x * 2
    del x
    y.backward()
    assert seen == []


def test_a_hook_that_names_its_own_tensor_is_collected():
    h = leaf(1.0) * 2
    h.register_hook(lambda g, h=h: h * 1)
    x = leaf(2.0)
    x.register_hook(lambda g, x=x: x * 1)
    held = [weakref.ref(h), weakref.ref(x), weakref.ref(h.grad_fn)]
    del h, x
    gc.collect()
    assert [r() for r in held] == [None] * 3


def test_a_hook_goes_with_its_handle_or_tensor():
    class Token:
        pass

    def hook_with(token):
        return lambda g: token and None

    x = leaf(1.0)
    h = x * 2
    tokens = [Token() for _ in range(3)]
    handles = [h.register_hook(hook_with(tokens[0])), x.register_hook(hook_with(tokens[1]))]
    h.register_hook(hook_with(tokens[2]))
    held = [weakref.ref(t) for t in tokens]
    tokens.clear()
    handles[1].remove()
    assert held[1]() is None
    del handles[0], h
    handles.clear()
    assert [r() for r in held] == [None] * 3


def test_copies_of_a_leaf_have_no_hooks():
    x = leaf(1.0)
    seen = []
    x.register_hook(seen.append)
    (x * 2).backward()
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        seen.clear()
        (twin * 3).backward()
        assert seen == []
        assert twin.requires_grad
    assert copy.deepcopy(x).grad.tolist() == [2]
    net = nn.Linear(1, 1)
    net.weight.register_hook(seen.append)
    copy.deepcopy(net)(tn.ones(1, 1)).sum().backward()
    assert seen == []
    assert net.weight.grad is None


def test_hooks_outlive_switching_and_detaching():
    x = leaf(1.0)
    seen = []
    x.register_hook(seen.append)
    x.requires_grad_(False)
    x.requires_grad_(True)
    (x * 2).backward()
    assert len(seen) == 1
    assert (x.detach_(), x.requires_grad, x.grad.tolist()) == (x, False, [2])
    h = leaf(1.0) * 2
    h.retain_grad()
    h.backward()
    h.detach_()
    assert h.is_leaf
    assert not h.requires_grad
    assert not h.retains_grad
    h.requires_grad_()
    (h * 5).backward()
    assert h.grad.tolist() == [5]


# ---- PyTorch -----------------------------------------------------------------------------------------------


@pytest.mark.parity
def test_parity():
    torch = pytest.importorskip("torch")

    def story(t):
        out = []

        def note(name):
            return lambda g: out.append((name, np.asarray(g.detach()).tolist(), t.is_grad_enabled()))

        x = t.tensor([1.0, 2.0], requires_grad=True)
        h = x * 2
        h.retain_grad()
        h.register_hook(note("h1"))
        h.register_hook(lambda g: g * 10)
        h.register_hook(note("h2"))
        x.register_hook(note("x1"))
        x.register_hook(lambda g: g + 1)
        x.register_post_accumulate_grad_hook(lambda p: note("after")(p.grad))
        y = (h * h + h).sum()
        y.backward(retain_graph=True)
        note("h.grad")(h.grad)
        y.backward()
        note("h.grad")(h.grad)
        note("x.grad")(x.grad)
        x.grad = None
        k = x * 3
        k.retain_grad()
        before = k * 1
        k.mul_(4)
        (k + before).sum().backward()
        note("k.grad")(k.grad)
        note("x.grad")(x.grad)
        out.append([k.retains_grad, x.retains_grad, h.retains_grad])
        x.register_post_accumulate_grad_hook(lambda p: p.sub_(p.grad))
        (x * 2).sum().backward()
        note("x")(x)
        x.detach_()
        note("x.grad")(x.grad)
        return out

    assert story(tn) == story(torch)
