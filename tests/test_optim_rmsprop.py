"""RMSprop: steps against the equations, state, errors."""

from __future__ import annotations

import numpy as np
import pytest
from optim_cases import follow, give, gradients, parameters, values

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError
from tinynet.optim import RMSprop

OPTIONS = [
    {},
    {"lr": 0.1, "alpha": 0.3, "eps": 0.1},
    {"lr": 0.01, "centered": True, "alpha": 0.9},
    {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1},
    {"lr": 0.01, "momentum": 0.5, "centered": True, "maximize": True, "alpha": 0.95},
]
each_options = pytest.mark.parametrize("options", OPTIONS, ids=str)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


class Reference:
    """The equations from all gradients so far, in float64."""

    def __init__(
        self, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, maximize=False
    ):
        self.lr, self.alpha, self.eps, self.wd, self.mu = lr, alpha, eps, weight_decay, momentum
        self.centered, self.sign, self.seen, self.v = centered, -1 if maximize else 1, {}, {}

    def step(self, index, w, g):
        g = self.sign * g + self.wd * w
        seen = self.seen.setdefault(index, [])
        seen.append(g)
        weights = [(1 - self.alpha) * self.alpha ** (len(seen) - 1 - i) for i in range(len(seen))]
        square = sum(a * d**2 for a, d in zip(weights, seen, strict=True))
        if self.centered:
            square = square - sum(a * d for a, d in zip(weights, seen, strict=True)) ** 2
        self.v[index] = self.mu * self.v.get(index, 0) + g / (np.sqrt(square) + self.eps)
        return w - self.lr * self.v[index]


@each_dtype
@each_options
def test_trajectory(dtype, options):
    params = parameters(dtype)
    want = follow(RMSprop(params, **options), Reference(**options), params, 20, absent={(2, 1), (0, 3)})
    for p, w in zip(params, want, strict=True):
        rtol, atol = (1e-4, 1e-5) if dtype == np.float32 else (1e-10, 1e-12)
        np.testing.assert_allclose(values(p), w, rtol=rtol, atol=atol)


def test_state_has_pytorchs_names():
    (p,) = parameters(shapes=[(3,)])
    optimizer = RMSprop([p])
    give([p], gradients(0, [(3,)]))
    optimizer.step()
    assert set(optimizer.state[p]) == {"step", "square_avg"}
    optimizer.param_groups[0].update(centered=True, momentum=0.5)
    optimizer.step()
    assert set(optimizer.state[p]) == {"step", "square_avg", "grad_avg", "momentum_buffer"}
    assert optimizer.state[p]["step"] == 2


@each_dtype
def test_the_spread_is_never_negative(dtype):
    """Of equal gradients rounding may leave a mean square below the square of the mean."""
    rng = np.random.default_rng(0)
    g = rng.standard_normal(1000).astype(dtype)
    p = nn.Parameter(np.zeros(1000, dtype))
    optimizer = RMSprop([p], alpha=0.0, centered=True, eps=1.0)
    p.grad = tn.from_numpy(g)
    optimizer.step()
    np.testing.assert_allclose(values(p), -0.01 * g, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -1}, ArgumentError, "lr must be a finite number >= 0; got -1.0"),
        ({"alpha": -1}, ArgumentError, "alpha must be a finite number >= 0; got -1.0"),
        ({"eps": -1}, ArgumentError, "eps must be a finite number >= 0; got -1.0"),
        ({"weight_decay": -1}, ArgumentError, "weight_decay must be a finite number >= 0; got -1.0"),
        ({"momentum": float("nan")}, ArgumentError, "momentum must be a finite number >= 0; got nan"),
        ({"centered": 1}, DTypeError, "centered must be a bool; got 1"),
        ({"maximize": 1}, DTypeError, "maximize must be a bool; got 1"),
        ({"capturable": True}, NotImplementedError, "capturable must be False, the rest is not supported"),
        ({"foreach": True}, NotImplementedError, "foreach must be None or False, the rest is not supported"),
        ({"differentiable": True}, NotImplementedError, "differentiable must be False, the rest is not"),
    ],
)
def test_option_errors(options, error, message):
    with pytest.raises(error, match=f"RMSprop: {message}"):
        RMSprop(parameters(), **options)


@pytest.mark.parity
@each_dtype
@each_options
def test_trajectory_equals_pytorch(options, dtype):
    import torch

    params = parameters(dtype)
    theirs = [torch.nn.Parameter(torch.tensor(values(p))) for p in params]
    optimizer, reference = RMSprop(params, **options), torch.optim.RMSprop(theirs, **options)
    for step in range(30):
        grads = gradients(step)
        if step in (0, 3):
            grads[1] = None
        give(params, grads)
        for p, g in zip(theirs, grads, strict=True):
            p.grad = None if g is None else torch.tensor(np.asarray(g, dtype))
        optimizer.step()
        reference.step()
    rtol, atol = (1e-4, 1e-5) if dtype == np.float32 else (1e-10, 1e-12)
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(values(p), q.detach().numpy(), rtol=rtol, atol=atol)
        ours, wanted = optimizer.state[p], reference.state[q]
        assert set(ours) == set(wanted)
        for key in wanted:
            value = ours[key] if key == "step" else values(ours[key])
            np.testing.assert_allclose(value, wanted[key].numpy(), rtol=rtol, atol=atol)


@pytest.mark.parity
def test_defaults_equal_pytorch():
    import inspect

    import torch

    ours = RMSprop(parameters()).defaults
    theirs = torch.optim.RMSprop([torch.zeros(1)]).defaults
    assert {key: theirs[key] for key in ours} == ours
    mine, wanted = (inspect.signature(each).parameters for each in (RMSprop, torch.optim.RMSprop))
    assert [(p.name, p.default, p.kind) for p in mine.values()] == [
        (p.name, p.default, p.kind) for p in wanted.values()
    ]
