"""Parameters, gradients and options that the tests of the optimisers share."""

from __future__ import annotations

import numpy as np

import tinynet as tn
from tinynet import nn

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
