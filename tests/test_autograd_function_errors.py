"""`Function`: errors, grad modes, odd arguments, lifetime."""

from __future__ import annotations

import contextlib
import gc
import weakref

import pytest
from functions import function, leaf

import tinynet as tn
from tinynet.errors import GraphError

# ---- errors, modes -----------------------------------------------------------------------------------------


class Mine(Exception):
    pass


def test_an_error_in_forward():
    def forward(ctx, x):
        ctx.save_for_backward(x)
        with tn.enable_grad():
            raise Mine("here")

    x = leaf(1.0)
    h = x * 2
    with pytest.raises(Mine, match="here"):
        function(forward).apply(h)
    assert tn.is_grad_enabled()
    h.backward()
    assert x.grad.tolist() == [2]


def test_an_error_in_backward():
    broken = [True]

    def backward(ctx, g):
        if broken:
            raise Mine("there")
        return g

    x, w = leaf(1.0), leaf(2.0)
    y = function(lambda ctx, x: x * 1, backward).apply(x * 2) * w
    with pytest.raises(Mine, match="there"):
        y.backward(retain_graph=True)
    assert tn.is_grad_enabled()
    assert x.grad is None
    assert w.grad is None
    broken.clear()
    y.backward()
    assert x.grad.tolist() == [4]
    assert w.grad.tolist() == [2]


def test_a_freed_call():
    square = function(
        lambda ctx, x: (ctx.save_for_backward(x), x * x)[1], lambda ctx, g: 2 * g * ctx.saved_tensors[0]
    )
    x = leaf(1.0)
    y = square.apply(x)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4]
    with pytest.raises(GraphError, match="freed"):
        y.backward()


def test_nothing_is_recorded_within():
    modes = []
    own = function(
        lambda ctx, x: (modes.append(tn.is_grad_enabled()), modes.append((x * 2).requires_grad), x * 1)[2],
        lambda ctx, g: (modes.append(tn.is_grad_enabled()), modes.append(g.requires_grad), g)[2],
    )
    x = leaf(1.0)
    own.apply(x).backward()
    assert modes == [False] * 4
    assert tn.is_grad_enabled()


def test_without_recording():
    held: list[weakref.ref] = []

    class Token:
        pass

    def forward(ctx, x):
        ctx.token = Token()
        held.append(weakref.ref(ctx.token))
        return x * 2

    x = leaf(1.0)
    own = function(forward)
    with tn.no_grad():
        y = own.apply(x)
    z = own.apply(x.detach())
    assert not y.requires_grad
    assert not z.requires_grad
    assert [r() for r in held] == [None, None]  # the context is gone


def test_no_tensor_among_the_arguments():
    own = function(lambda ctx, n: tn.ones(n))
    y = own.apply(3)
    assert y.tolist() == [1, 1, 1]
    assert not y.requires_grad
    assert function(lambda ctx: tn.ones(1)).apply().tolist() == [1]


def test_a_view_without_a_tensor_among_the_arguments():
    assert function(lambda ctx, n: tn.ones(n)[1:]).apply(3).tolist() == [1, 1]


def test_tensors_inside_of_lists_are_not_arguments():
    x = leaf(1.0)
    own = function(lambda ctx, xs: xs[0] * 2)
    assert not own.apply([x]).requires_grad


# ---- lifetime ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["backward", "dropped", "error", "marked"])
def test_no_reference_cycles(end):
    refs: list[weakref.ref] = []

    def forward(ctx, x):
        y, mask = x * 2, x * 0
        ctx.save_for_backward(x, y)
        ctx.y = y
        if end == "marked":
            ctx.mark_non_differentiable(mask)
        refs.extend([weakref.ref(ctx), weakref.ref(y), weakref.ref(mask)])
        return y, mask

    def backward(ctx, g, h):
        x, _ = ctx.saved_tensors
        if end == "error":
            raise Mine
        return g * 2 + x * 0

    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y, mask = function(forward, backward).apply(x)
        z = (y * 3).sum()
        refs.extend([weakref.ref(y), weakref.ref(z), weakref.ref(mask), weakref.ref(z.grad_fn)])
        if end == "error":
            with contextlib.suppress(Mine):
                z.backward()
        elif end != "dropped":
            z.backward()
            assert refs[0]() is None  # the context goes with the sweep
        del y, z, mask
        assert [r() for r in refs] == [None] * len(refs)
    finally:
        gc.enable()
