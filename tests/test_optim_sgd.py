"""SGD: steps against the equations, parameter groups, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optim_cases import OPTIONS, give, gradients, parameters, values

import tinynet as tn
from tinynet import nn, optim
from tinynet.errors import ArgumentError, DTypeError
from tinynet.optim import SGD


class Reference:
    """The equations of the docstring, one array at a time, in float64."""

    def __init__(self, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False):
        self.lr, self.mu, self.damp = lr, momentum, dampening
        self.wd, self.nesterov, self.sign = weight_decay, nesterov, -1 if maximize else 1
        self.v = {}

    def step(self, index, w, g):
        g = self.sign * g + self.wd * w
        step = g
        if self.mu:
            if index in self.v:
                self.v[index] = self.mu * self.v[index] + (1 - self.damp) * g
            else:
                self.v[index] = g
            step = g + self.mu * self.v[index] if self.nesterov else self.v[index]
        return w - self.lr * step


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_trajectory(dtype, options):
    params = parameters(dtype)
    want = [values(p).astype(np.float64) for p in params]
    reference = Reference(0.1, **options)
    optimizer = SGD(params, lr=0.1, **options)
    for step in range(5):
        grads = gradients(step)
        if step == 2:
            grads[1] = None  # a parameter without a gradient is left alone, its velocity as well
        give(params, grads)
        assert optimizer.step() is None
        want = [
            w if g is None else reference.step(i, w, g)
            for i, (w, g) in enumerate(zip(want, grads, strict=True))
        ]
        for p, w in zip(params, want, strict=True):
            np.testing.assert_allclose(values(p), w, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-6)
        optimizer.zero_grad()
        assert all(p.grad is None for p in params)


@settings(max_examples=40, deadline=None)
@given(
    lr=st.floats(0, 2),
    momentum=st.floats(0, 1.2),
    dampening=st.floats(-0.5, 1),
    weight_decay=st.floats(0, 1),
    nesterov=st.booleans(),
    maximize=st.booleans(),
    size=st.integers(0, 40),
    present=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_trajectory_of_any_options(lr, momentum, dampening, weight_decay, nesterov, maximize, size, present):
    if nesterov:
        momentum, dampening = momentum + 0.1, 0
    options = {
        "momentum": momentum,
        "dampening": dampening,
        "weight_decay": weight_decay,
        "nesterov": nesterov,
        "maximize": maximize,
    }
    shapes = [(size,), (3,)]
    params = parameters(shapes=shapes)
    want = [values(p).copy() for p in params]
    reference, optimizer = Reference(lr, **options), SGD(params, lr, **options)
    for step, both in enumerate(present):
        grads = gradients(step, shapes)
        if not both:
            grads[0] = None
        give(params, grads)
        optimizer.step()
        want = [
            w if g is None else reference.step(i, w, g)
            for i, (w, g) in enumerate(zip(want, grads, strict=True))
        ]
    for p, w in zip(params, want, strict=True):
        np.testing.assert_allclose(values(p), w, rtol=1e-9, atol=1e-9)


def test_both_dtypes_in_one_group():
    params = parameters(np.float32, shapes=[(4,)]) + parameters(np.float64, shapes=[(3,)])
    params += parameters(np.float32, seed=1, shapes=[(2, 2)])
    want = [values(p).astype(np.float64) for p in params]
    reference, optimizer = Reference(0.1, momentum=0.9), SGD(params, 0.1, momentum=0.9)
    for step in range(3):
        grads = gradients(step, [(4,), (3,), (2, 2)])
        give(params, grads)
        optimizer.step()
        want = [reference.step(i, w, g) for i, (w, g) in enumerate(zip(want, grads, strict=True))]
    for p, w in zip(params, want, strict=True):
        np.testing.assert_allclose(values(p), w, rtol=1e-5)


def test_nothing_to_do_is_fine():
    params = parameters()
    before = [values(p).copy() for p in params]
    SGD(params, 0.1, 0.9).step()
    assert all(np.array_equal(values(p), b) for p, b in zip(params, before, strict=True))


def test_closure_runs_with_gradients():
    p = nn.Parameter(np.array([3.0]))
    optimizer = SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tn.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 9
    assert values(p).tolist() == [1.5]


def test_step_raises_the_version_of_what_it_changes():
    p = nn.Parameter(np.array([3.0], np.float32))
    x = tn.tensor([2.0], requires_grad=True)
    y = (x * p).sum()
    p.grad = tn.tensor([1.0])
    SGD([p], lr=0.1).step()
    with pytest.raises(tn.errors.GraphError, match="changed in place"):
        y.backward()


def test_options_may_change_between_steps():
    params = parameters(shapes=[(3,)])
    w = values(params[0]).copy()
    optimizer = SGD(params, lr=0.1)
    g0, g1, g2 = (gradients(i, [(3,)])[0] for i in range(3))
    give(params, [g0])
    optimizer.step()
    w = w - 0.1 * g0
    optimizer.param_groups[0].update(lr=0.01, momentum=0.9)
    give(params, [g1])
    optimizer.step()
    w = w - 0.01 * g1  # the first step with momentum
    give(params, [g2])
    optimizer.step()
    w = w - 0.01 * (0.9 * g1 + g2)
    np.testing.assert_allclose(values(params[0]), w, rtol=1e-12)
    optimizer.param_groups[0]["momentum"] = 0
    give(params, [g0])
    optimizer.step()
    np.testing.assert_allclose(values(params[0]), w - 0.01 * g0, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"lr": float("nan")}, ArgumentError, "SGD: lr must be a finite number >= 0; got nan"),
        ({"lr": -1.0}, ArgumentError, "SGD: lr must be a finite number >= 0; got -1.0"),
        ({"lr": "x"}, DTypeError, "SGD: lr must be a finite number >= 0; got 'x'"),
        ({"lr": np.ones(2)}, DTypeError, "SGD: lr must be a finite number >= 0; got array"),
        ({"momentum": -1}, ArgumentError, "SGD: momentum must be a finite number >= 0; got -1"),
        ({"nesterov": True}, ArgumentError, "SGD: nesterov must come with momentum > 0"),
        ({"maximize": 2}, DTypeError, "SGD: maximize must be a bool; got 2"),
    ],
)
@pytest.mark.parametrize("steps", [0, 2])
def test_options_changed_between_steps_are_checked(change, error, message, steps):
    a, b = parameters(shapes=[(3,), (2,)])
    optimizer = SGD([{"params": [a]}, {"params": [b]}], lr=0.1)
    give([a, b], gradients(0, [(3,), (2,)]))
    for _ in range(steps):
        optimizer.step()
    good = dict(optimizer.param_groups[1])
    before = [values(p).copy() for p in (a, b)]
    optimizer.param_groups[1].update(change)
    for _ in range(2):  # what was refused once is not remembered as checked
        with pytest.raises(error, match=message):
            optimizer.step()
    assert all(np.array_equal(values(p), w) for p, w in zip((a, b), before, strict=True))
    optimizer.param_groups[1].update(good)
    optimizer.step()
    assert not np.array_equal(values(b), before[1])


def test_velocities_can_be_cleared_and_replaced():
    params = parameters(shapes=[(3,)])
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    g = gradients(0, [(3,)])
    give(params, g)
    optimizer.step()
    optimizer.state.clear()
    w = values(params[0]).copy()
    optimizer.step()
    np.testing.assert_allclose(values(params[0]), w - 0.1 * g[0], rtol=1e-12)
    optimizer.state[params[0]]["momentum_buffer"] = tn.tensor(np.array([1.0, 2.0, 3.0]))
    w = values(params[0]).copy()
    optimizer.step()
    np.testing.assert_allclose(values(params[0]), w - 0.1 * (0.9 * np.array([1, 2, 3]) + g[0]), rtol=1e-12)


# ---- groups


def test_groups_have_their_own_options():
    a, b = parameters(shapes=[(2,), (3,)])
    optimizer = SGD([{"params": [a]}, {"params": b, "lr": 0.5, "momentum": 0.9}], lr=0.1)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
    assert [group["momentum"] for group in optimizer.param_groups] == [0, 0.9]
    before = values(a).copy(), values(b).copy()
    grads = gradients(0, [(2,), (3,)])
    give([a, b], grads)
    optimizer.step()
    np.testing.assert_allclose(values(a), before[0] - 0.1 * grads[0], rtol=1e-12)
    np.testing.assert_allclose(values(b), before[1] - 0.5 * grads[1], rtol=1e-12)
    assert list(optimizer.state) == [b]


def test_a_group_can_be_added_later():
    a, b = parameters(shapes=[(2,), (3,)])
    optimizer = SGD([a], lr=0.1)
    optimizer.add_param_group({"params": b, "lr": 1.0})
    before = values(b).copy()
    give([a, b], gradients(0, [(2,), (3,)]))
    optimizer.step()
    np.testing.assert_allclose(values(b), before - gradients(0, [(2,), (3,)])[1], rtol=1e-12)


def test_a_generator_of_parameters_is_taken():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    assert len(SGD(model.parameters()).param_groups[0]["params"]) == 4


def test_parameters_may_have_names():
    model = nn.Linear(2, 3)
    optimizer = SGD(model.named_parameters(), lr=0.5)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"][0] is model.weight
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    other = nn.Linear(1, 1)
    optimizer.add_param_group({"params": other.named_parameters(), "lr": 0.1})
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1]
    with pytest.raises(
        ArgumentError, match="groups must have names for all parameters or for none; got both"
    ):
        optimizer.add_param_group({"params": nn.Linear(1, 1).parameters()})


def test_other_keys_of_a_group_are_kept():
    a, b = parameters(shapes=[(1,), (1,)])
    optimizer = SGD([{"params": [a], "name": "first", "initial_lr": 0.5}, {"params": [b]}], lr=0.1)
    assert (optimizer.param_groups[0]["name"], optimizer.param_groups[0]["initial_lr"]) == ("first", 0.5)
    assert "name" not in optimizer.param_groups[1]
    give([a, b], [np.ones(1), np.ones(1)])
    optimizer.step()


def test_zero_grad_keeps_memory_when_asked():
    params = parameters()
    optimizer = SGD(params)
    give(params, gradients(0))
    optimizer.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not values(p.grad).any() for p in params)


def test_printing():
    assert repr(SGD(parameters(), lr=0.5, momentum=0.9)) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    lr: 0.5\n    maximize: False\n    momentum: 0.9\n"
        "    nesterov: False\n    weight_decay: 0\n)"
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -1}, ArgumentError, r"SGD: lr must be a finite number >= 0; got -1.0"),
        ({"lr": float("nan")}, ArgumentError, "SGD: lr must be a finite number >= 0; got nan"),
        ({"lr": float("inf")}, ArgumentError, "SGD: lr must be a finite number >= 0; got inf"),
        ({"lr": "0.1"}, DTypeError, "SGD: lr must be a finite number >= 0; got '0.1'"),
        ({"momentum": -0.5}, ArgumentError, "SGD: momentum must be a finite number >= 0; got -0.5"),
        ({"momentum": float("nan")}, ArgumentError, "SGD: momentum must be a finite number >= 0; got nan"),
        (
            {"weight_decay": -1e-3},
            ArgumentError,
            "SGD: weight_decay must be a finite number >= 0; got -0.001",
        ),
        ({"dampening": float("nan")}, ArgumentError, "SGD: dampening must be a finite number; got nan"),
        (
            {"nesterov": True},
            ArgumentError,
            "SGD: nesterov must come with momentum > 0 and dampening = 0; got mom",
        ),
        (
            {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
            ArgumentError,
            r"nesterov must come with .* got momentum=0.9, dampening=0.1",
        ),
        ({"nesterov": 1}, DTypeError, "SGD: nesterov must be a bool; got 1"),
        ({"maximize": None}, DTypeError, "SGD: maximize must be a bool; got None"),
    ],
)
def test_option_errors(options, error, message):
    with pytest.raises(error, match=message):
        SGD(parameters(), **options)
    a, b = parameters(shapes=[(1,), (1,)])
    optimizer = SGD([a])
    with pytest.raises(error, match=message):
        optimizer.add_param_group({"params": [b], **options})
    assert len(optimizer.param_groups) == 1


def test_parameter_errors():
    a, b = parameters(shapes=[(1,), (1,)])
    with pytest.raises(ArgumentError, match="SGD: params must hold at least one parameter; got none"):
        SGD([])
    with pytest.raises(
        DTypeError, match="SGD: params must be Tensors or dicts in an iterable; got Parameter"
    ):
        SGD(a)
    with pytest.raises(DTypeError, match="SGD: params must be Tensors or dicts in an iterable; got float"):
        SGD(0.1)
    with pytest.raises(
        DTypeError, match="SGD: params must have an order that is the same in every run; got a set"
    ):
        SGD({a, b})
    with pytest.raises(
        ArgumentError, match=r"SGD.add_param_group: every parameter must appear once; got params\[1\] again"
    ):
        SGD([a, a])
    with pytest.raises(ArgumentError, match=r"every parameter must appear once; got params\[0\] again"):
        SGD([{"params": [a]}, {"params": [a]}])
    with pytest.raises(DTypeError, match=r"params\[0\] must be a Tensor; got ndarray"):
        SGD([np.zeros(3)])
    with pytest.raises(DTypeError, match=r"params\[1\] must be a Tensor; got dict"):
        SGD([a, {"params": [b]}])
    with pytest.raises(DTypeError, match=r"params\[0\] must have dtype float32 or float64; got int64"):
        SGD([tn.tensor([1, 2])])
    with pytest.raises(
        ArgumentError, match=r"params\[0\] must be a leaf tensor; got the result of an operation"
    ):
        SGD([a * 2])
    optimizer = SGD([a])
    with pytest.raises(
        DTypeError, match=r"params must be Tensors or \(str, Tensor\), all alike; got a mixture"
    ):
        optimizer.add_param_group({"params": [b, ("b", b)]})
    with pytest.raises(DTypeError, match=r"params\[0\] must be a Tensor; got int"):
        optimizer.add_param_group({"params": [("b", 3)]})
    with pytest.raises(
        ArgumentError, match="groups must have names for all parameters or for none; got both"
    ):
        optimizer.add_param_group({"params": [("b", b)]})
    with pytest.raises(ArgumentError, match=r"group must have the key 'params'; got \['lr'\]"):
        optimizer.add_param_group({"lr": 1})
    with pytest.raises(DTypeError, match="group must be a dict; got list"):
        optimizer.add_param_group([b])
    with pytest.raises(DTypeError, match="params must be a Tensor or an iterable of Tensors; got int"):
        optimizer.add_param_group({"params": 3})
    assert len(optimizer.param_groups) == 1


def test_a_new_optimiser_must_say_what_it_does():
    class Lazy(optim.Optimizer):
        pass

    with pytest.raises(NotImplementedError, match="Lazy: step must be defined by the class"):
        Lazy(parameters(), {}).step()
