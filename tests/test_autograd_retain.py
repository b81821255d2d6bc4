"""`retain_grad`: gradients of results of operations."""

from __future__ import annotations

import copy

import pytest
from functions import halves, leaf

import tinynet as tn
from tinynet import nn
from tinynet.autograd import grad
from tinynet.errors import ShapeError

# ---- retain_grad -------------------------------------------------------------------------------------------


def test_retain_grad():
    x = leaf(1.0, 2.0)
    h = x * 2
    assert not h.retains_grad
    assert h.grad is None
    h.retain_grad()
    h.retain_grad()
    assert h.retains_grad
    (h * h + h).sum().backward(retain_graph=False)
    assert h.grad.tolist() == [5, 9]
    assert not h.grad.requires_grad
    assert type(h.grad) is tn.Tensor
    assert x.grad.tolist() == [10, 18]
    x.retain_grad()  # does nothing for a leaf
    assert not x.retains_grad


def test_retained_gradients_accumulate():
    x = leaf(1.0)
    h = x * 2
    h.retain_grad()
    y = h * h
    y.backward(retain_graph=True)
    (h * 3).backward(retain_graph=True)
    assert h.grad.tolist() == [7]
    h.grad = None
    y.backward(retain_graph=True)
    assert h.grad.tolist() == [4]
    h.grad = tn.tensor([100.0])
    y.backward()
    assert h.grad.tolist() == [104]
    with pytest.raises(ShapeError, match="grad: must have shape"):
        h.grad = tn.ones(2)


def test_a_retained_gradient_is_memory_of_its_own():
    x = leaf(1.0, 2.0)
    h = x + tn.zeros(2)
    k = h + tn.zeros(2)
    h.retain_grad()
    k.retain_grad()
    g = tn.tensor([3.0, 4.0])
    k.backward(g)
    h.grad.zero_()
    assert (x.grad.tolist(), k.grad.tolist(), g.tolist()) == ([3, 4],) * 3
    x.grad.zero_()
    assert k.grad.tolist() == [3, 4]


def test_retained_after_hooks():
    x = leaf(1.0)
    h = x * 2
    h.retain_grad()
    h.register_hook(lambda g: g * 10)  # registered later, and still called before
    h.backward()
    assert h.grad.tolist() == [10]


def test_retained_through_a_change_in_place():
    x = leaf(1.0, 2.0)
    h = x * 2
    h.retain_grad()
    before = h + 0
    h.mul_(3)
    assert h.retains_grad
    (h * 5 + before * 7).sum().backward()
    assert h.grad.tolist() == [5, 5]  # of the value that h has now
    assert x.grad.tolist() == [2 * (15 + 7)] * 2


def test_retained_by_tensors_that_share_a_node():
    x = leaf(1.0)
    h = x * 2
    twin = copy.copy(h)
    h.retain_grad()
    assert not twin.retains_grad
    twin.retain_grad()
    (h * 2 + twin).backward()
    assert h.grad.tolist() == twin.grad.tolist() == [3]
    assert x.grad.tolist() == [6]


def test_retained_by_outputs_of_one_node_and_by_views():
    x = leaf(1.0, 2.0)
    a, b = halves(x)
    v = a[:1]
    for t in (a, b, v):
        t.retain_grad()
    (a.sum() + v.sum() * 10 + b.sum() * 5).backward()
    assert a.grad.tolist() == [11, 1]
    assert b.grad.tolist() == [5, 5]
    assert v.grad.tolist() == [10]
    a, b = halves(x)
    b.retain_grad()
    a.sum().backward()
    assert b.grad is None


def test_retained_within_a_network():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    h = x = tn.randn(5, 3)
    hs = []
    for layer in net:
        h = layer(h)
        h.retain_grad()
        hs.append(h)
    loss = (h * h).sum()
    expected = grad(loss, hs, retain_graph=True)
    for t in hs:
        t.grad = None
    loss.backward()
    for t, g in zip(hs, expected, strict=True):
        assert t.grad.numpy().tobytes() == g.numpy().tobytes()
    assert x.grad is None


def test_a_hook_alone_retains_nothing():
    h = leaf(1.0) * 2
    h.register_hook(lambda g: None)
    assert not h.retains_grad


def test_a_hook_and_a_change_in_place():
    x = leaf(1.0)
    h = x * 2
    seen = []
    h.register_hook(lambda g: seen.append(g.tolist()))
    h.mul_(3)
    h.backward()
    assert seen == [[3]]  # of the value that it was registered for
    assert x.grad.tolist() == [6]


def test_copy_keeps_the_source_apart():
    x = leaf(1.0)
    y, z = x * 2, x * 3
    y.retain_grad()
    z.retain_grad()
    y.copy_(z)
    y.register_hook(lambda g: g * 10)
    (y * 1 + z * 5).backward()
    assert y.grad.tolist() == [10]
    assert z.grad.tolist() == [15]
    assert x.grad.tolist() == [45]
