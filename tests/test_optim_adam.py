"""Adam and AdamW: steps against the equations, state, options, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optim_cases import AdamReference, follow, give, gradients, parameters, values

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DataError, DTypeError
from tinynet.optim import Adam, AdamW

OPTIONS = [
    {},
    {"lr": 0.1, "betas": (0.5, 0.9), "eps": 0.01},
    {"lr": 0.1, "betas": (0.0, 0.0)},
    {"lr": 0.1, "betas": (0.3, 0.99)},
    {"lr": 0.05, "weight_decay": 0.1},
    {"lr": 0.05, "amsgrad": True, "betas": (0.9, 0.6)},
    {"lr": 0.05, "maximize": True, "weight_decay": 0.2},
    {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True},
    {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True, "amsgrad": True, "maximize": True},
]
each_options = pytest.mark.parametrize("options", OPTIONS, ids=str)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@each_dtype
@each_options
def test_trajectory(dtype, options):
    params = parameters(dtype)
    absent = {(2, 1), (5, 1), (0, 3)}  # a parameter without a gradient is left alone, its step count as well
    want = follow(Adam(params, **options), AdamReference(**options), params, 20, absent=absent)
    for p, w in zip(params, want, strict=True):
        rtol, atol = (1e-5, 2e-6) if dtype == np.float32 else (1e-12, 1e-14)
        np.testing.assert_allclose(values(p), w, rtol=rtol, atol=atol)


def test_adamw_is_adam_with_decoupled_decay():
    params = parameters()
    optimizer = AdamW(params, 0.1)
    assert optimizer.defaults["weight_decay"] == 0.01
    reference = AdamReference(0.1, weight_decay=0.01, decoupled_weight_decay=True)
    for p, w in zip(params, follow(optimizer, reference, params, 10), strict=True):
        np.testing.assert_allclose(values(p), w, rtol=1e-12)


@settings(max_examples=40)
@given(
    lr=st.floats(0, 1),
    beta1=st.floats(0, 0.99),
    beta2=st.floats(0, 0.999),
    eps=st.floats(1e-6, 1),
    weight_decay=st.floats(0, 0.5),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    size=st.integers(0, 40),
    present=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_trajectory_of_any_options(lr, beta1, beta2, eps, weight_decay, flags, size, present):
    amsgrad, maximize, decoupled = flags
    options = {
        "lr": lr,
        "betas": (beta1, beta2),
        "eps": eps,
        "weight_decay": weight_decay,
        "amsgrad": amsgrad,
        "maximize": maximize,
        "decoupled_weight_decay": decoupled,
    }
    shapes = [(size,), (3,)]
    params = parameters(shapes=shapes)
    absent = {(step, 0) for step, there in enumerate(present) if not there}
    want = follow(Adam(params, **options), AdamReference(**options), params, 5, shapes, absent)
    for p, w in zip(params, want, strict=True):
        np.testing.assert_allclose(values(p), w, rtol=1e-8, atol=1e-9)


def test_state_has_pytorchs_names():
    params = parameters(shapes=[(3,), (2,)])
    optimizer = Adam(params)
    assert not optimizer.state
    give(params, [np.ones(3), None])
    optimizer.step()
    give(params, [np.ones(3), np.ones(2)])
    optimizer.step()
    assert [optimizer.state[p]["step"] for p in params] == [2, 1]
    assert list(optimizer.state[params[0]]) == ["exp_avg", "exp_avg_sq", "step"]
    np.testing.assert_allclose(values(optimizer.state[params[0]]["exp_avg"]), 1 - 0.9**2)
    np.testing.assert_allclose(values(optimizer.state[params[1]]["exp_avg_sq"]), 1 - 0.999)
    optimizer.param_groups[0]["amsgrad"] = True  # begins then
    optimizer.step()
    assert values(optimizer.state[params[1]]["max_exp_avg_sq"]).max() > 0


def test_the_largest_square_stays():
    p = nn.Parameter(np.zeros(2, np.float32))
    optimizer = Adam([p], betas=(0.9, 0.5), amsgrad=True)
    for g in ([4.0, 1.0], [0.0, 2.0], [np.nan, 3.0], [0.0, 0.0]):
        p.grad = tn.tensor(g)
        optimizer.step()
    largest = values(optimizer.state[p]["max_exp_avg_sq"])
    np.testing.assert_allclose(largest, [np.nan, 0.5**3 + 0.5**2 * 4 + 0.5 * 9])


@each_dtype
def test_decay_of_an_infinite_weight(dtype):
    """Without decay the weight stays out of the gradient: 0 times infinity would be NaN."""
    p = nn.Parameter(np.array([np.inf, 1.0], dtype))
    p.grad = tn.tensor(np.ones(2, dtype))
    Adam([p], lr=0.5).step()
    np.testing.assert_allclose(values(p), [np.inf, 0.5], rtol=1e-6)


@each_dtype
def test_gradients_that_are_not_finite(dtype):
    p = nn.Parameter(np.ones(4, dtype))
    optimizer = Adam([p], lr=0.5)
    for g in ([np.nan, np.inf, -np.inf, 1.0], [1.0, 1.0, 1.0, 1.0]):
        p.grad = tn.tensor(np.array(g, dtype))
        optimizer.step()
    np.testing.assert_allclose(values(p), [np.nan, np.nan, np.nan, 0.0], atol=1e-6)


def test_betas_as_a_list_may_be_changed_in_place():
    (p,) = parameters(shapes=[(3,)])
    optimizer = Adam([p], betas=[0.5, 0.5])
    assert optimizer.defaults["betas"] == (0.5, 0.5)
    optimizer.param_groups[0]["betas"] = betas = [0.9, 0.5]
    give([p], gradients(0, [(3,)]))
    optimizer.step()
    betas[0] = 1.5
    before = values(p).copy()
    with pytest.raises(ArgumentError, match=r"Adam: betas must be two numbers in \[0, 1\); got \[1.5, 0.5\]"):
        optimizer.step()
    assert np.array_equal(values(p), before)


def test_adamw_stays_decoupled_when_it_loads():
    params = parameters()
    coupled, decoupled = Adam(params, weight_decay=0.1), AdamW(params)
    decoupled.load_state_dict(coupled.state_dict())
    assert decoupled.param_groups[0]["decoupled_weight_decay"] is True
    assert decoupled.param_groups[0]["weight_decay"] == 0.1


@pytest.mark.parametrize("kind", [Adam, AdamW])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -1}, ArgumentError, "lr must be a finite number >= 0; got -1.0"),
        ({"lr": "a"}, DTypeError, "lr must be a finite number >= 0; got 'a'"),
        ({"eps": -1e-8}, ArgumentError, "eps must be a finite number >= 0; got -1e-08"),
        ({"weight_decay": float("nan")}, ArgumentError, "weight_decay must be a finite number >= 0; got nan"),
        ({"betas": (0.9, 1.0)}, ArgumentError, r"betas must be two numbers in \[0, 1\); got \(0.9, 1.0\)"),
        ({"betas": (-0.1, 0.9)}, ArgumentError, r"betas must be two numbers in \[0, 1\); got \(-0.1, 0.9\)"),
        ({"betas": 0.9}, DTypeError, r"betas must be two numbers in \[0, 1\); got 0.9"),
        ({"betas": (0.9,)}, DTypeError, r"betas must be two numbers in \[0, 1\); got \(0.9,\)"),
        ({"betas": (0.9, None)}, DTypeError, "betas must be a finite number; got None"),
        ({"amsgrad": 1}, DTypeError, "amsgrad must be a bool; got 1"),
        ({"maximize": None}, DTypeError, "maximize must be a bool; got None"),
        (
            {"foreach": True},
            NotImplementedError,
            "foreach must be None or False, the rest is not supported; got",
        ),
        (
            {"fused": True},
            NotImplementedError,
            "fused must be None or False, the rest is not supported; got True",
        ),
        (
            {"capturable": True},
            NotImplementedError,
            "capturable must be False, the rest is not supported; got",
        ),
        ({"differentiable": True}, NotImplementedError, "differentiable must be False, the rest is not"),
    ],
)
def test_option_errors(kind, options, error, message):
    a, b = parameters(shapes=[(1,), (1,)])
    with pytest.raises(error, match=f"{kind.__name__}: {message}"):
        kind([a], **options)
    optimizer = kind([a])
    with pytest.raises(error, match=message):
        optimizer.add_param_group({"params": [b], **options})
    optimizer.param_groups[0].update(options)
    if error is not NotImplementedError:
        with pytest.raises(error, match=message):
            optimizer.step()


def test_decoupled_must_be_a_bool():
    with pytest.raises(DTypeError, match="Adam: decoupled_weight_decay must be a bool; got 1"):
        Adam(parameters(), decoupled_weight_decay=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("step"), "got a state without 'step'"),
        (lambda s: s.update(exp_avg_sq=None), "got a state without 'exp_avg_sq'"),
        (lambda s: s.update(step=-1), "got a step of -1 where a number >= 0 is expected"),
        (lambda s: s.update(step="a"), "got a step of 'a' where a number >= 0 is expected"),
        (lambda s: s.update(exp_avg=tn.zeros(7)), r"got a exp_avg of shape \(7,\) and dtype float32 where"),
        (
            lambda s: s.update(momentum_buffer=None),
            "where only 'step', 'exp_avg', .*'max_exp_avg_sq' are known",
        ),
    ],
)
def test_a_state_that_does_not_fit(change, message):
    params = parameters()
    optimizer = Adam(params)
    give(params, gradients(0))
    optimizer.step()
    state = optimizer.state_dict()
    change(state["state"][1])
    with pytest.raises(DataError, match=message):
        optimizer.load_state_dict(state)


# ---- PyTorch


@pytest.mark.parity
@each_dtype
@pytest.mark.parametrize("mode", [{}, {"fused": True}], ids=str)
@each_options
def test_trajectory_equals_pytorch(options, mode, dtype):
    import torch

    params = parameters(dtype)
    theirs = [torch.nn.Parameter(torch.tensor(values(p))) for p in params]
    optimizer, reference = Adam(params, **options), torch.optim.Adam(theirs, **options, **mode)
    for step in range(30):
        grads = gradients(step)
        if step in (0, 3):
            grads[1] = None
        give(params, grads)
        for p, g in zip(theirs, grads, strict=True):
            p.grad = None if g is None else torch.tensor(np.asarray(g, dtype))
        if step == 20:
            optimizer.param_groups[0]["lr"] = reference.param_groups[0]["lr"] = 0.02
        optimizer.step()
        reference.step()
    rtol, atol = (1e-5, 1e-6) if dtype == np.float32 else (1e-12, 1e-14)
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(values(p), q.detach().numpy(), rtol=rtol, atol=atol)
        ours, wanted = optimizer.state[p], reference.state[q]
        assert set(ours) == set(wanted)
        for key in wanted:
            value = ours[key] if key == "step" else values(ours[key])
            np.testing.assert_allclose(value, wanted[key].numpy(), rtol=rtol, atol=atol)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_defaults_equal_pytorch(name):
    import inspect

    import torch

    ours, theirs = getattr(tn.optim, name), getattr(torch.optim, name)
    defaults = ours(parameters()).defaults
    assert {key: theirs([torch.zeros(1)]).defaults[key] for key in defaults} == defaults
    mine, wanted = inspect.signature(ours).parameters, inspect.signature(theirs).parameters
    assert [(p.name, p.default, p.kind) for p in mine.values()] == [
        (p.name, p.default, p.kind) for p in wanted.values()
    ]
