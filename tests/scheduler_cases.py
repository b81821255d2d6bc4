"""Schedulers, optimisers and trajectories that the tests of the schedulers share."""

from __future__ import annotations

import copy

import pytest

import tinynet as tn
from tinynet.optim import SGD


def optimizer_of(*rates, kind=SGD, library=tn, **options):
    tensors = [library.zeros(2, requires_grad=True) for _ in rates]
    groups = [{"params": [p], "lr": rate} for p, rate in zip(tensors, rates, strict=True)]
    kind = kind if library is tn else getattr(library.optim, kind.__name__)
    return kind(groups, lr=7.0, **options)


def half_then(epoch):
    return 0.5 if epoch < 3 else 1.0 / (1 + epoch)


class Power:
    """A factor with an attribute, which a state dict holds."""

    def __init__(self, base):
        self.base = base

    def __call__(self, epoch):
        return self.base**epoch


# Name, options: every class that steps without a metric, with what it depends on.
SCHEDULES = [
    ("LambdaLR", {"lr_lambda": half_then}),
    ("LambdaLR", {"lr_lambda": [half_then, Power(0.9)]}),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 1 - 0.01 * (epoch % 7)}),
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 1, "gamma": 0.97}),
    ("MultiStepLR", {"milestones": [3, 10, 10, 60], "gamma": 0.3}),
    ("MultiStepLR", {"milestones": []}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.7, "total_iters": 13}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.01, "end_factor": 0.5, "total_iters": 40}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.2, "total_iters": 9}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 90, "power": 2.5}),
    ("CosineAnnealingLR", {"T_max": 10}),
    ("CosineAnnealingLR", {"T_max": 33, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 10}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2, "eta_min": 0.001}),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 120}),
    ("OneCycleLR", {"max_lr": [0.5, 1.5], "epochs": 11, "steps_per_epoch": 10, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 101, "three_phase": True, "pct_start": 0.4}),
    (
        "OneCycleLR",
        {"max_lr": 1.0, "total_steps": 100, "pct_start": 0.25, "div_factor": 10.0, "final_div_factor": 1e2},
    ),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 100, "base_momentum": [0.5, 0.6], "max_momentum": 0.99}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 100, "cycle_momentum": False}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 8}),
    ("CyclicLR", {"base_lr": [0.1, 0.2], "max_lr": 1.0, "step_size_up": 8, "step_size_down": 3}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 5, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 5, "mode": "exp_range", "gamma": 0.99}),
    (
        "CyclicLR",
        {
            "base_lr": 0.1,
            "max_lr": 1.0,
            "step_size_up": 5,
            "scale_fn": lambda step: 1 / (1 + step),
            "scale_mode": "iterations",
            "cycle_momentum": False,
        },
    ),
]
each_schedule = pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=lambda v: str(v)[:40])


def built(name, options, optimizer, library=tn):
    return getattr(library.optim.lr_scheduler, name)(optimizer, **copy.deepcopy(options))


def warm_cosine(module, optimizer):
    """Schedules that are made of others, from those of either library."""
    first = module.LinearLR(optimizer, start_factor=0.1, total_iters=6)
    second = module.CosineAnnealingLR(optimizer, T_max=20, eta_min=0.01)
    third = module.StepLR(optimizer, step_size=5, gamma=0.5)
    return module.SequentialLR(optimizer, [first, second, third], milestones=[6, 30])


def constant_then_restarts(module, optimizer):
    first = module.ConstantLR(optimizer, factor=0.5, total_iters=100)
    second = module.CosineAnnealingWarmRestarts(optimizer, T_0=7, T_mult=2)
    third = module.MultiplicativeLR(optimizer, lambda epoch: 0.9)
    return module.SequentialLR(optimizer, [first, second, third], [4, 50])


def chain(module, optimizer):
    first = module.ConstantLR(optimizer, factor=0.1, total_iters=8)
    second = module.ExponentialLR(optimizer, gamma=0.95)
    return module.ChainedScheduler([first, second, module.MultiStepLR(optimizer, [5, 20])], optimizer)


COMBINED = [warm_cosine, constant_then_restarts, chain]


def rates_and_momenta(optimizer):
    keys = ("lr", "momentum", "betas", "initial_lr")
    return [{key: group[key] for key in keys if key in group} for group in optimizer.param_groups]


def trajectory(scheduler, optimizer, steps):
    found = [rates_and_momenta(optimizer)]
    for _ in range(steps):
        scheduler.step()
        found.append(rates_and_momenta(optimizer))
    return found
