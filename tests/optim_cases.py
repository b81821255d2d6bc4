"""Parameters, gradients and options that the tests of the optimisers share."""

from __future__ import annotations

import numpy as np

import tinynet as tn
from tinynet import nn
from tinynet.optim import SGD, Adagrad, Adam, AdamW, RMSprop

SHAPES = [(3, 4), (5,), (), (1, 1), (2, 3, 2)]
OPTIONS = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3},
    {"weight_decay": 0.1},
    {"momentum": 0.8, "weight_decay": 0.05, "nesterov": True},
    {"momentum": 0.5, "dampening": 0.5, "weight_decay": 0.2, "maximize": True},
    {"maximize": True},
]


def values(tensor):
    return tensor.detach().numpy()


def parameters(dtype=np.float64, seed=0, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return [nn.Parameter(np.asarray(rng.normal(size=shape), dtype)) for shape in shapes]


def gradients(step, shapes=SHAPES):
    rng = np.random.default_rng(100 + step)
    return [rng.normal(size=shape) for shape in shapes]


def give(params, grads):
    for p, g in zip(params, grads, strict=True):
        p.grad = None if g is None else tn.tensor(np.asarray(g, p.dtype))


class AdamReference:
    """The equations of Kingma & Ba's Algorithm 1, one array at a time, in float64, with the averages as sums.

    After t steps the mean of the gradients is sum over i of beta^(t-i) g_i, divided by the sum of these
    powers of beta.
    """

    def __init__(self, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, **rest):
        self.lr, self.betas, self.eps, self.wd, self.amsgrad = lr, betas, eps, weight_decay, amsgrad
        self.decoupled = rest.get("decoupled_weight_decay", False)
        self.sign = -1 if rest.get("maximize", False) else 1
        self.seen = {}

    def step(self, index, w, g):
        g = self.sign * g
        if self.decoupled:
            w = w - self.lr * self.wd * w
        else:
            g = g + self.wd * w
        seen = self.seen.setdefault(index, [])
        seen.append(g)
        t = len(seen)
        weights = [[beta ** (t - 1 - i) for i in range(t)] for beta in self.betas]
        mean = sum(b * d for b, d in zip(weights[0], seen, strict=True)) / sum(weights[0])
        squares = [
            (1 - self.betas[1]) * sum(self.betas[1] ** (n - 1 - i) * seen[i] ** 2 for i in range(n))
            for n in (range(1, t + 1) if self.amsgrad else [t])
        ]
        square = np.max(squares, axis=0) / (1 - self.betas[1] ** t)
        return w - self.lr * mean / (np.sqrt(square) + self.eps)


class AdagradReference:
    """Duchi, Hazan & Singer's diagonal rule, from all gradients so far, in float64."""

    def __init__(
        self, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, maximize=False
    ):
        self.lr, self.lr_decay, self.wd, self.eps = lr, lr_decay, weight_decay, eps
        self.start, self.sign, self.seen = initial_accumulator_value, -1 if maximize else 1, {}

    def step(self, index, w, g):
        g = self.sign * g + self.wd * w
        seen = self.seen.setdefault(index, [])
        rate = self.lr / (1 + len(seen) * self.lr_decay)
        seen.append(g)
        return w - rate * g / (np.sqrt(self.start + sum(d * d for d in seen)) + self.eps)


def follow(optimizer, reference, params, steps, shapes=SHAPES, absent=()):
    """Steps with drawn gradients (`absent`: pairs of step and parameter without one), and what the reference
    makes of the same."""
    want = [values(p).astype(np.float64) for p in params]
    for step in range(steps):
        grads = gradients(step, shapes)
        for index in range(len(params)):
            if (step, index) in absent:
                grads[index] = None
        give(params, grads)
        assert optimizer.step() is None
        want = [
            w if g is None else reference.step(i, w, g.astype(params[i].dtype).astype(np.float64))
            for i, (w, g) in enumerate(zip(want, grads, strict=True))
        ]
    return want


# Every optimiser, with options that use all of its state.
MAKERS = {
    "SGD": lambda params: SGD(params, 0.1, 0.9, 0.2, 0.01),
    "Adam": lambda params: Adam(params, 0.1, weight_decay=0.01, amsgrad=True),
    "AdamW": lambda params: AdamW(params, 0.1, maximize=True),
    "Adagrad": lambda params: Adagrad(params, 0.1, 0.01, 0.01, 0.1),
    "RMSprop": lambda params: RMSprop(params, 0.01, 0.9, 1e-8, 0.01, 0.5, True),
}
