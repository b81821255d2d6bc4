"""`Function`: the call and the context."""

from __future__ import annotations

import numpy as np
import pytest
from functions import function, leaf

import tinynet as tn
from tinynet import nn, optim
from tinynet.autograd import Function, FunctionContext, gradcheck
from tinynet.errors import DTypeError, GraphError


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x * x


class Product(Function):
    """x y k, with k a number, and the mode."""

    @staticmethod
    def forward(ctx, x, k, y, mode="plain"):
        ctx.save_for_backward(x, y)
        ctx.k, ctx.mode = k, mode
        return x * y * k

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return (
            g * y * ctx.k if ctx.needs_input_grad[0] else None,
            None,
            g * x * ctx.k if ctx.needs_input_grad[2] else None,
            None,
        )


# ---- forward and backward ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients(dtype):
    x = leaf(1.0, 2.0, dtype=dtype)
    y = Cube.apply(x)
    assert y.tolist() == [1, 8]
    assert y.dtype == x.dtype
    assert y.requires_grad
    assert not y.is_leaf
    assert y.grad_fn.name == "Cube"
    assert [n.name for n in y.grad_fn.next_functions] == ["leaf"]
    assert "grad_fn=<Cube>" in repr(y)
    (y * tn.tensor([1.0, 10.0], dtype=dtype)).sum().backward()
    assert x.grad.tolist() == [3, 120]


def test_gradcheck():
    rng = np.random.default_rng(0)
    x, y = (tn.tensor(rng.standard_normal((3, 2)), requires_grad=True) for _ in range(2))
    assert gradcheck(Cube.apply, x)
    assert gradcheck(lambda a, b: Product.apply(a, 2.5, b), [x, y])
    assert gradcheck(lambda a, b: Product.apply(Cube.apply(a + b), -1.0, a, "other"), [x, y])
    assert gradcheck(lambda a: Product.apply(a, 2.0, a), x)
    wrong = function(lambda ctx, a: a * a, lambda ctx, g: g)
    with pytest.raises(GraphError, match="gradcheck: gradient of input 0"):
        gradcheck(wrong.apply, x)


def test_within_a_graph():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = x * w
    y = Cube.apply(h) + h
    (Cube.apply(y) * x).sum().backward()
    a, b = (tn.tensor(t.detach().numpy(), requires_grad=True) for t in (x, w))
    k = a * b
    z = k * k * k + k
    (z * z * z * a).sum().backward()
    assert x.grad.tolist() == a.grad.tolist()
    assert w.grad.tolist() == b.grad.tolist()


def test_functions_within_functions():
    fourth = function(
        lambda ctx, x: (ctx.save_for_backward(x), Cube.apply(x) * x)[1],
        lambda ctx, g: g * 4 * Cube.apply(ctx.saved_tensors[0]),
        name="Fourth",
    )
    x = leaf(1.0, 2.0, dtype="float64")
    y = fourth.apply(x)
    assert y.grad_fn.name == "Fourth"
    assert gradcheck(fourth.apply, x)
    assert gradcheck(lambda t: fourth.apply(fourth.apply(t)), x)


def test_recomputed_in_backward():
    """Saving memory by running the forward again: a graph within backward, a sweep within the sweep."""

    class Again(Function):
        @staticmethod
        def forward(ctx, run, x):
            ctx.run, ctx.x = run, x.detach()
            return run(x)

        @staticmethod
        def backward(ctx, g):
            x = ctx.x.requires_grad_()
            with tn.enable_grad():
                y = ctx.run(x)
            y.backward(g)
            return None, x.grad

    layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
    x = tn.randn(5, 3, requires_grad=True)
    (Again.apply(layers, x * 2) ** 2).sum().backward()
    got = [t.grad.numpy().copy() for t in (x, *layers.parameters())]
    x.grad = None
    layers.zero_grad()
    (layers(x * 2) ** 2).sum().backward()
    for a, t in zip(got, (x, *layers.parameters()), strict=True):
        np.testing.assert_allclose(a, t.grad.numpy(), rtol=1e-5)


def test_in_a_module_that_is_trained():
    class Sine(Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return tn.from_numpy(np.sin((x * w).numpy()))

        @staticmethod
        def backward(ctx, g):
            x, w = ctx.saved_tensors
            g = g * tn.from_numpy(np.cos((x * w).numpy()))
            return g * w, (g * x).sum(0)

    class Wave(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(tn.ones(1))

        def forward(self, x):
            return Sine.apply(x, self.w)

    net = nn.Sequential(Wave())
    optimizer = optim.SGD(net.parameters(), lr=1.0)
    x = tn.tensor(np.linspace(-1, 1, 40, dtype=np.float32)[:, None])
    target = tn.from_numpy(np.sin(2 * x.numpy()))
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = ((net(x) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 1e-5 < losses[0]
    assert abs(net[0].w.item() - 2) < 0.02


def test_own_base_classes_and_names():
    class Base(Function):
        factor = 2

        @classmethod
        def scaled(cls, x):
            return cls.apply(x, cls.factor)

        @staticmethod
        def forward(ctx, x, k):
            ctx.k = k
            return x * k

        @staticmethod
        def backward(ctx, g):
            return g * ctx.k, None

    class Five(Base):
        factor = 5

    x = leaf(1.0)
    y = Five.scaled(x)
    assert y.grad_fn.name == "Five"
    y.backward()
    assert x.grad.tolist() == [5]


# ---- the context -------------------------------------------------------------------------------------------


def test_attributes_stay_on_the_context_of_one_call():
    seen = []
    own = function(
        lambda ctx, x, k: (setattr(ctx, "k", k), setattr(ctx, "more", {"k": [k]}), x * k)[2],
        lambda ctx, g: (seen.append((type(ctx), ctx.more)), (g * ctx.k, None))[1],
    )
    x = leaf(1.0)
    a, b = own.apply(x, 2), own.apply(x, 3)
    (a + b).backward()
    assert x.grad.tolist() == [5]
    assert seen == [(FunctionContext, {"k": [3]}), (FunctionContext, {"k": [2]})]


def test_needs_input_grad():
    seen = []
    own = function(
        lambda ctx, *args: (seen.append(ctx.needs_input_grad), args[0] * 1)[1],
        lambda ctx, g: (seen.append(ctx.needs_input_grad), (g, g, None, g))[1],
    )
    x, c = leaf(1.0), tn.ones(1)
    own.apply(x, c, "s", x).backward()
    assert seen == [(True, False, False, True)] * 2
    assert x.grad.tolist() == [2]
    seen.clear()
    assert not own.apply(c, c, 3, c).requires_grad
    assert seen == [(False,) * 4]
    seen.clear()
    own.apply(c, x, None, c).backward()  # what backward gives for those that want none is dropped
    assert seen == [(False, True, False, False)] * 2
    assert c.grad is None


def test_a_gradient_that_is_not_wanted_is_not_looked_at():
    own = function(lambda ctx, x, c: x * c, lambda ctx, g: (g, "rubbish"))
    x = leaf(1.0)
    own.apply(x, tn.ones(1)).backward()
    assert x.grad.tolist() == [1]


def test_saved_tensors():
    saved = []

    def forward(ctx, x, y):
        z = x * y
        ctx.save_for_backward(x, None, z, x)
        return z * 2

    own = function(forward, lambda ctx, g: (saved.append(ctx.saved_tensors), (g, g))[1])
    x, y = leaf(2.0), leaf(3.0)
    own.apply(x, y).backward()
    a, b, c, d = saved[0]
    assert (a.tolist(), b, c.tolist(), d.tolist()) == ([2], None, [6], [2])
    assert not a.requires_grad
    own = function(lambda ctx, x: x * 1, lambda ctx, g: (saved.append(ctx.saved_tensors), g)[1])
    own.apply(x).backward()
    assert saved[-1] == ()


def test_only_tensors_are_saved():
    for bad, name in ((3, "int"), (np.ones(2), "ndarray"), ([tn.ones(1)], "list")):
        own = function(lambda ctx, x, bad=bad: (ctx.save_for_backward(x, bad), x)[1])
        with pytest.raises(
            DTypeError, match=rf"save_for_backward: tensors\[1\] must be a Tensor or None; got {name}"
        ):
            own.apply(leaf(1.0))


@pytest.mark.parametrize("change", ["argument", "result", "view"])
def test_saved_tensors_that_were_changed(change):
    def forward(ctx, x):
        y = x * x
        ctx.save_for_backward(x, y)
        return y

    own = function(forward, lambda ctx, g: g * 2 * ctx.saved_tensors[0])
    x = leaf(1.0, 2.0)
    h = x * 1
    y = own.apply(h)
    z = y.sum()
    with tn.no_grad():
        {"argument": h, "result": y, "view": h[:1]}[change].mul_(2)
    with pytest.raises(
        GraphError,
        match=r"saved_tensors: a tensor of shape \(2,\) was changed in place after the forward: saved at "
        r"version 0, now at version 1; change a copy \(.clone\(\)\) instead",
    ):
        z.backward()
    assert x.grad is None


def test_saved_but_not_read_is_no_error():
    own = function(lambda ctx, x: (ctx.save_for_backward(x), x * 1)[1], lambda ctx, g: g)
    x = leaf(1.0)
    h = x * 1
    y = own.apply(h)
    with tn.no_grad():
        h.zero_()
    y.backward()
    assert x.grad.tolist() == [1]


def test_an_inplace_layer_keeps_its_hands_off_what_is_saved():
    x = leaf(-1.0, 2.0)
    h = x * 1
    y = Cube.apply(h)
    z = nn.functional.relu(h, inplace=True)
    (y + z).sum().backward()
    assert x.grad.tolist() == [3, 13]


def test_mark_dirty_is_refused():
    own = function(lambda ctx, x: (ctx.mark_dirty(x), x)[1])
    with pytest.raises(
        NotImplementedError, match="mark_dirty: changing an argument of forward in place is not"
    ):
        own.apply(leaf(1.0) * 1)


def test_setup_context():
    class Scale(Function):
        @staticmethod
        def forward(x, k, offset=0):
            return x * k + offset

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.k, *_ = inputs
            assert isinstance(inputs, tuple)
            ctx.given = len(inputs)
            ctx.save_for_backward(x, output)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * (y - x) * ctx.k, *(None,) * (ctx.given - 1)

    x = leaf(2.0, dtype="float64")
    Scale.apply(x, 3).backward()
    assert x.grad.tolist() == [12]
    x.grad = None
    Scale.apply(x, 3, 1.0).backward()
    assert x.grad.tolist() == [15]
    assert Scale.apply(x, 2).tolist() == [4]


def test_what_is_not_defined():
    x = leaf(1.0)
    with pytest.raises(NotImplementedError, match="Function: forward must be defined by the class"):
        function(None).apply(x)
    y = function(lambda ctx, x: x * 1).apply(x)
    with pytest.raises(NotImplementedError, match="Function: backward must be defined by the class"):
        y.backward()


# ---- PyTorch -----------------------------------------------------------------------------------------------


@pytest.mark.parity
def test_parity():
    torch = pytest.importorskip("torch")

    def story(t):
        out = []

        def note(*tensors):
            out.extend(None if a is None else np.asarray(a.detach()).tolist() for a in tensors)

        class Mixed(t.autograd.Function):
            @staticmethod
            def forward(ctx, x, k, w):
                ctx.save_for_backward(x, w)
                ctx.k = k
                mask = x > 1
                ctx.mark_non_differentiable(mask)
                out.append(ctx.needs_input_grad)
                return x * w * k, mask, x

            @staticmethod
            def backward(ctx, g, unused, h):
                x, w = ctx.saved_tensors
                out.append([t.is_grad_enabled(), ctx.needs_input_grad])
                note(g, h)
                return g * w * ctx.k + h, None, g * x * ctx.k, None

        class Set(t.autograd.Function):
            @staticmethod
            def forward(x, k):
                return x * k

            @staticmethod
            def setup_context(ctx, inputs, output):
                _, ctx.k = inputs
                ctx.set_materialize_grads(False)

            @staticmethod
            def backward(ctx, g):
                return g * ctx.k, None

        x = t.tensor([1.0, 2.0], requires_grad=True)
        w = t.tensor([3.0, 4.0], requires_grad=True)
        y, mask, same = Mixed.apply(x, 2.0, w)
        out.append([y.requires_grad, mask.requires_grad, same.requires_grad, same is x, x.is_leaf])
        Set.apply(y, 3.0).sum().backward()
        note(x.grad, w.grad)
        y, mask, same = Mixed.apply(x, 2.0, w.detach())
        same.sum().backward()
        note(x.grad, w.grad)
        y, _, same = Mixed.apply(x, 2.0, w)
        note(*t.autograd.grad((y * same).sum(), [w, y, same]))
        return out

    assert story(tn) == story(torch)


def test_a_gradient_that_nobody_computed_is_a_tensor_like_others() -> None:
    seen = []

    class Two(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2.0, x * 3.0

        @staticmethod
        def backward(ctx, g, zeros):
            before = zeros._version
            zeros += 1.0
            seen.append((before, zeros._version, zeros.tolist()))
            return g

    y, _ = Two.apply(leaf(1.0, 2.0))
    y.sum().backward()
    assert seen == [(0, 1, [1.0, 1.0])]
