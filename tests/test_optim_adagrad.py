"""Adagrad: steps against the equations, state, options, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optim_cases import AdagradReference, follow, give, gradients, parameters, values

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError
from tinynet.optim import Adagrad

OPTIONS = [
    {},
    {"lr": 0.5, "lr_decay": 0.1},
    {"lr": 0.1, "weight_decay": 0.2, "eps": 0.1},
    {"lr": 0.1, "initial_accumulator_value": 0.5},
    {"lr": 0.1, "lr_decay": 0.01, "weight_decay": 0.1, "initial_accumulator_value": 0.1, "maximize": True},
]
each_options = pytest.mark.parametrize("options", OPTIONS, ids=str)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@each_dtype
@each_options
def test_trajectory(dtype, options):
    params = parameters(dtype)
    absent = {(2, 1), (5, 1), (0, 3)}
    want = follow(Adagrad(params, **options), AdagradReference(**options), params, 20, absent=absent)
    for p, w in zip(params, want, strict=True):
        rtol, atol = (1e-5, 1e-6) if dtype == np.float32 else (1e-12, 1e-14)
        np.testing.assert_allclose(values(p), w, rtol=rtol, atol=atol)


@settings(max_examples=30)
@given(
    lr=st.floats(0, 1),
    lr_decay=st.floats(0, 1),
    weight_decay=st.floats(0, 0.5),
    initial=st.floats(0, 2),
    eps=st.floats(1e-8, 1),
    maximize=st.booleans(),
    size=st.integers(0, 40),
)
def test_trajectory_of_any_options(lr, lr_decay, weight_decay, initial, eps, maximize, size):
    options = {
        "lr": lr,
        "lr_decay": lr_decay,
        "weight_decay": weight_decay,
        "initial_accumulator_value": initial,
        "eps": eps,
        "maximize": maximize,
    }
    shapes = [(size,), (3,)]
    params = parameters(shapes=shapes)
    want = follow(Adagrad(params, **options), AdagradReference(**options), params, 4, shapes)
    for p, w in zip(params, want, strict=True):
        np.testing.assert_allclose(values(p), w, rtol=1e-9, atol=1e-9)


def test_state_begins_with_the_parameter():
    a, b = parameters(np.float32, shapes=[(3,), (2,)])
    optimizer = Adagrad([a], initial_accumulator_value=0.5)
    optimizer.add_param_group({"params": [b], "initial_accumulator_value": 2.0})
    assert [optimizer.state[p]["step"] for p in (a, b)] == [0, 0]
    assert values(optimizer.state[a]["sum"]).tolist() == [0.5] * 3
    assert values(optimizer.state[b]["sum"]).tolist() == [2.0] * 2
    give([a, b], [np.ones(3), None])
    optimizer.step()
    assert [optimizer.state[p]["step"] for p in (a, b)] == [1, 0]
    assert values(optimizer.state[a]["sum"]).tolist() == [1.5] * 3
    optimizer.state.clear()  # and may begin again
    optimizer.step()
    assert values(optimizer.state[a]["sum"]).tolist() == [1.5] * 3
    assert optimizer.state[a]["step"] == 1


@each_dtype
def test_gradients_that_are_not_finite(dtype):
    p = nn.Parameter(np.ones(4, dtype))
    optimizer = Adagrad([p], lr=0.5)
    for g in ([np.nan, np.inf, -np.inf, 1.0], [1.0, 1.0, 1.0, 1.0]):
        p.grad = tn.tensor(np.array(g, dtype))
        optimizer.step()
    np.testing.assert_allclose(values(p), [np.nan, np.nan, np.nan, 0.5 - 0.5 / 2**0.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -1}, ArgumentError, "lr must be a finite number >= 0; got -1.0"),
        ({"lr_decay": -1}, ArgumentError, "lr_decay must be a finite number >= 0; got -1.0"),
        ({"weight_decay": -1}, ArgumentError, "weight_decay must be a finite number >= 0; got -1.0"),
        (
            {"initial_accumulator_value": -1},
            ArgumentError,
            "initial_accumulator_value must be a finite number",
        ),
        ({"eps": float("inf")}, ArgumentError, "eps must be a finite number >= 0; got inf"),
        ({"eps": None}, DTypeError, "eps must be a finite number >= 0; got None"),
        ({"maximize": 1}, DTypeError, "maximize must be a bool; got 1"),
        ({"foreach": True}, NotImplementedError, "foreach must be None or False, the rest is not supported"),
        ({"differentiable": True}, NotImplementedError, "differentiable must be False, the rest is not"),
        ({"fused": True}, NotImplementedError, "fused must be None or False, the rest is not supported"),
    ],
)
def test_option_errors(options, error, message):
    a, b = parameters(shapes=[(1,), (1,)])
    with pytest.raises(error, match=f"Adagrad: {message}"):
        Adagrad([a], **options)
    optimizer = Adagrad([a])
    with pytest.raises(error, match=message):
        optimizer.add_param_group({"params": [b], **options})
    assert list(optimizer.state) == [a]


@pytest.mark.parity
@each_dtype
@each_options
def test_trajectory_equals_pytorch(options, dtype):
    import torch

    params = parameters(dtype)
    theirs = [torch.nn.Parameter(torch.tensor(values(p))) for p in params]
    optimizer, reference = Adagrad(params, **options), torch.optim.Adagrad(theirs, **options)
    for step in range(30):
        grads = gradients(step)
        if step in (0, 3):
            grads[1] = None
        give(params, grads)
        for p, g in zip(theirs, grads, strict=True):
            p.grad = None if g is None else torch.tensor(np.asarray(g, dtype))
        optimizer.step()
        reference.step()
    rtol, atol = (1e-5, 1e-6) if dtype == np.float32 else (1e-12, 1e-14)
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(values(p), q.detach().numpy(), rtol=rtol, atol=atol)
        ours, wanted = optimizer.state[p], reference.state[q]
        assert set(ours) == set(wanted)
        np.testing.assert_allclose(values(ours["sum"]), wanted["sum"].numpy(), rtol=rtol, atol=atol)
        assert ours["step"] == wanted["step"].item()


@pytest.mark.parity
def test_defaults_equal_pytorch():
    import inspect

    import torch

    ours = Adagrad(parameters()).defaults
    theirs = torch.optim.Adagrad([torch.zeros(1)]).defaults
    assert {key: theirs[key] for key in ours} == ours
    mine, wanted = (inspect.signature(each).parameters for each in (Adagrad, torch.optim.Adagrad))
    assert [(p.name, p.default, p.kind) for p in mine.values()] == [
        (p.name, p.default, p.kind) for p in wanted.values()
    ]
