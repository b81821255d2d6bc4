"""Learning-rate schedulers: closed forms, states, errors."""

from __future__ import annotations

import copy
import gc
import json
import math
import pickle
import weakref

import numpy as np
import pytest
from scheduler_cases import COMBINED, Power, built, each_schedule, half_then, optimizer_of, trajectory

import tinynet as tn
from tinynet.errors import ArgumentError, DataError, DTypeError
from tinynet.optim import SGD, Adagrad, lr_scheduler

# ---- values


@pytest.mark.parametrize(
    ("name", "options", "rate"),
    [
        ("LambdaLR", {"lr_lambda": half_then}, half_then),
        ("StepLR", {"step_size": 4, "gamma": 0.5}, lambda t: 0.5 ** (t // 4)),
        ("MultiStepLR", {"milestones": [2, 7], "gamma": 0.5}, lambda t: 0.5 ** ((t >= 2) + (t >= 7))),
        ("ConstantLR", {"factor": 0.25, "total_iters": 6}, lambda t: 0.25 if t < 6 else 1.0),
        ("LinearLR", {"start_factor": 0.2, "total_iters": 8}, lambda t: 0.2 + 0.8 * min(t, 8) / 8),
        ("ExponentialLR", {"gamma": 0.9}, lambda t: 0.9**t),
        ("PolynomialLR", {"total_iters": 12, "power": 2}, lambda t: max(1 - t / 12, 0) ** 2),
        ("CosineAnnealingLR", {"T_max": 6}, lambda t: (1 + math.cos(math.pi * t / 6)) / 2),
        ("CosineAnnealingWarmRestarts", {"T_0": 6}, lambda t: (1 + math.cos(math.pi * (t % 6) / 6)) / 2),
        (
            "CyclicLR",
            {"base_lr": 0, "max_lr": 1, "step_size_up": 4},
            lambda t: 1 - abs((t % 8) / 4 - 1),
        ),
        (
            "OneCycleLR",
            {
                "max_lr": 1,
                "total_steps": 21,
                "pct_start": 1 / 3,
                "anneal_strategy": "linear",
                "div_factor": 2,
            },
            lambda t: 0.5 + t / 12 if t <= 6 else 1 - (1 - 0.5e-4) * (t - 6) / 14,
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_rates_equal_their_formula(name, options, rate):
    optimizer = optimizer_of(1.0, momentum=0.9)
    scheduler = built(name, options, optimizer)
    for epoch in range(21):
        assert scheduler.get_last_lr() == [optimizer.param_groups[0]["lr"]]
        assert scheduler.last_epoch == epoch
        np.testing.assert_allclose(scheduler.get_last_lr(), [rate(epoch)], rtol=1e-12, atol=1e-15)
        if epoch < 20:
            scheduler.step()
    if name not in ("OneCycleLR", "CyclicLR"):
        scheduler.step(5)
        np.testing.assert_allclose(scheduler.get_last_lr(), [rate(5)], rtol=1e-12)


def test_one_cycle_without_a_rise():
    optimizer = optimizer_of(1.0, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=10, pct_start=0.1)
    assert scheduler.get_last_lr() == [1.0]  # the rise ends at step 0
    assert optimizer.param_groups[0]["momentum"] == 0.85


def test_sequences_and_chains_can_be_nested():
    optimizer = optimizer_of(1.0)
    inner = lr_scheduler.SequentialLR(
        optimizer,
        [lr_scheduler.LinearLR(optimizer, 0.5, total_iters=2), lr_scheduler.ExponentialLR(optimizer, 0.5)],
        [2],
    )
    both = lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(optimizer, 0.5, 2), lr_scheduler.StepLR(optimizer, 1, 0.5)]
    )
    outer = lr_scheduler.SequentialLR(optimizer, [inner, both], [4])
    rates = [outer.get_last_lr()[0]]
    for _ in range(7):
        outer.step()
        rates += outer.get_last_lr()
    assert rates == [0.5, 0.75, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125]
    optimizer = optimizer_of(1.0)
    first = lr_scheduler.ChainedScheduler([lr_scheduler.LinearLR(optimizer, 0.5, total_iters=2)])
    outer = lr_scheduler.SequentialLR(optimizer, [first, lr_scheduler.StepLR(optimizer, 2)], [2])
    assert outer.get_last_lr() == [0.5]
    outer.step()
    assert outer.get_last_lr() == [0.75]
    outer.step()
    assert outer.get_last_lr() == [1.0]


def test_plateau():
    optimizer = optimizer_of(1.0, 0.1)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=1, cooldown=1, min_lr=[0.0, 0.06]
    )
    rates = []
    for loss in (3.0, float("nan"), 4.0, 4.0, 4.0, 4.0, 4.0, tn.tensor(1.0)):
        scheduler.step(loss)
        rates.append(scheduler.get_last_lr()[0])
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert scheduler.get_last_lr()[1] == 0.06
    assert (scheduler.best, scheduler.num_bad_epochs, scheduler.in_cooldown) == (1.0, 0, False)


def test_plateau_follows_added_groups():
    optimizer = optimizer_of(1.0)
    one = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, min_lr=0.3)
    many = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, min_lr=[0.3])
    optimizer.add_param_group({"params": tn.zeros(1, requires_grad=True), "lr": 0.4})
    for _ in range(2):
        one.step(1.0)
    assert one.get_last_lr() == [0.5, 0.3]
    many.step(1.0)
    with pytest.raises(ArgumentError, match="min_lr must have one value for each of 2 groups; got 1"):
        many.step(1.0)


def test_initial_rates_are_kept_and_go_on():
    optimizer = optimizer_of(1.0, 0.5)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    for _ in range(3):
        scheduler.step()
    assert scheduler.base_lrs == [1.0, 0.5]
    assert [group["initial_lr"] for group in optimizer.param_groups] == [1.0, 0.5]
    other = optimizer_of(1.0, 0.5)
    other.load_state_dict(optimizer.state_dict())
    resumed = lr_scheduler.ExponentialLR(other, 0.5, last_epoch=scheduler.last_epoch)
    # as in PyTorch the constructor counts one epoch, and leaves the loaded rates alone
    assert resumed.get_last_lr() == scheduler.get_last_lr()
    assert resumed.last_epoch == scheduler.last_epoch + 1


def test_restarts_resumed_by_last_epoch_are_in_their_period():
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer_of(1.0), 3, 2)
    for done in range(40):
        other = optimizer_of(1.0)
        other.param_groups[0]["initial_lr"] = 1.0
        resumed = lr_scheduler.CosineAnnealingWarmRestarts(other, 3, 2, last_epoch=done)
        scheduler.step()
        assert resumed.get_last_lr() == scheduler.get_last_lr()
        assert (resumed.T_cur, resumed.T_i) == (scheduler.T_cur, scheduler.T_i)


def test_groups_added_later():
    optimizer = optimizer_of(1.0)
    relative, absolute = lr_scheduler.StepLR(optimizer, 1, 0.5), lr_scheduler.LambdaLR(optimizer, half_then)
    optimizer.param_groups[0]["lr"] = 1.0
    optimizer.add_param_group({"params": tn.zeros(1, requires_grad=True), "lr": 4.0})
    relative.step()
    assert relative.get_last_lr() == [0.5, 2.0]
    with pytest.raises(ArgumentError, match=r"LambdaLR.step: the optimizer must have the 1 groups .* got 2"):
        absolute.step()
    assert relative.get_last_lr() == [0.5, 2.0]


def test_last_rates_are_a_copy():
    scheduler = lr_scheduler.StepLR(optimizer_of(1.0), 1)
    scheduler.get_last_lr()[0] = 5.0
    assert scheduler.get_last_lr() == [1.0]


def test_a_training_loop_follows_the_rates():
    w = tn.tensor(np.zeros(1), requires_grad=True)
    optimizer = SGD([w], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, 1, 0.5)
    for _ in range(4):
        w.grad = tn.tensor(np.ones(1))
        optimizer.step()
        scheduler.step()
    assert w.item() == -(1 + 0.5 + 0.25 + 0.125)


# ---- states


@each_schedule
def test_resuming_equals_going_on(name, options, tmp_path):
    optimizer = optimizer_of(0.4, 0.05, momentum=0.9)
    scheduler = built(name, options, optimizer)
    trajectory(scheduler, optimizer, 23)
    state = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    tn.save(state, tmp_path / "a.safetensors")
    state = tn.load(tmp_path / "a.safetensors")
    other = optimizer_of(0.4, 0.05, momentum=0.9)
    resumed = built(name, options, other)
    resumed.load_state_dict(json.loads(json.dumps(state["scheduler"])))
    other.load_state_dict(state["optimizer"])
    assert resumed.get_last_lr() == scheduler.get_last_lr()
    assert trajectory(resumed, other, 40) == trajectory(scheduler, optimizer, 40)


@pytest.mark.parametrize("make", COMBINED)
def test_resuming_combinations(make):
    optimizer, other = (optimizer_of(0.4, 0.05) for _ in range(2))
    scheduler, resumed = make(lr_scheduler, optimizer), make(lr_scheduler, other)
    trajectory(scheduler, optimizer, 15)
    state = json.loads(json.dumps(scheduler.state_dict()))
    resumed.load_state_dict(state)
    other.load_state_dict(optimizer.state_dict())
    assert trajectory(resumed, other, 50) == trajectory(scheduler, optimizer, 50)


def test_resuming_plateau():
    optimizer, other = optimizer_of(1.0), optimizer_of(1.0)
    scheduler, resumed = (lr_scheduler.ReduceLROnPlateau(o, "max", 0.5, 2) for o in (optimizer, other))
    losses = [1.0, 0.9, 1.1, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 1.0]
    for loss in losses[:5]:
        scheduler.step(loss)
    resumed.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    other.load_state_dict(optimizer.state_dict())
    for loss in losses[5:]:
        scheduler.step(loss)
        resumed.step(loss)
    assert resumed.get_last_lr() == scheduler.get_last_lr() == [0.5]


def test_state_dicts_are_copies_and_hold_callable_objects():
    optimizer = optimizer_of(1.0, 1.0)
    scheduler = lr_scheduler.LambdaLR(optimizer, [Power(0.5), half_then])
    state = scheduler.state_dict()
    assert state["lr_lambdas"] == [{"base": 0.5}, None]
    state["base_lrs"][0] = 5.0
    assert scheduler.base_lrs == [1.0, 1.0]
    other = lr_scheduler.LambdaLR(optimizer_of(1.0, 1.0), [Power(0.1), half_then])
    other.load_state_dict(scheduler.state_dict())
    assert other.lr_lambdas[0].base == 0.5
    cyclic = lr_scheduler.CyclicLR(optimizer_of(1.0, momentum=0.9), 0.1, 1.0, scale_fn=Power(0.5))
    assert cyclic.state_dict()["scale_fn"] == {"base": 0.5}
    again = lr_scheduler.CyclicLR(optimizer_of(1.0, momentum=0.9), 0.1, 1.0, scale_fn=Power(0.1))
    again.load_state_dict(cyclic.state_dict())
    assert again.scale_fn.base == 0.5


def test_a_state_that_does_not_fit():
    scheduler = lr_scheduler.StepLR(optimizer_of(1.0), 3)
    state = scheduler.state_dict()
    state["step_size"] = 9
    del state["gamma"]
    with pytest.raises(
        DataError, match=r"StepLR.load_state_dict: state_dict must have the keys \['_last_lr', "
    ):
        scheduler.load_state_dict(state)
    with pytest.raises(DataError, match=r"must have the keys .*; got None"):
        scheduler.load_state_dict(None)
    assert scheduler.step_size == 3


def test_copies_and_pickles_hold_their_optimiser():
    optimizer = optimizer_of(1.0)
    scheduler = lr_scheduler.StepLR(optimizer, 1, 0.5)
    for copied in (copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))):
        copied.step()
        assert copied.optimizer is not optimizer
        assert copied.optimizer.param_groups[0]["lr"] == 0.5
    both, schedule = copy.deepcopy((optimizer, scheduler))
    assert schedule.optimizer is both
    assert optimizer.param_groups[0]["lr"] == 1.0


@each_schedule
def test_no_reference_cycles(name, options):
    gc.collect()
    gc.disable()
    try:
        optimizer = optimizer_of(0.4, 0.05, momentum=0.9)
        scheduler = built(name, options, optimizer)
        scheduler.step()
        watched = weakref.ref(optimizer), weakref.ref(scheduler)
        del optimizer, scheduler
        assert [ref() for ref in watched] == [None, None]
    finally:
        gc.enable()


# ---- errors


def tiny(kind=SGD):
    return optimizer_of(1.0, 0.5, kind=kind)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: s.StepLR(3, 1), "StepLR: optimizer must be an Optimizer; got int"),
        (lambda s: s.OneCycleLR(3, 1, 1), "OneCycleLR: optimizer must be an Optimizer; got int"),
        (
            lambda s: s.LambdaLR(None, abs),
            "LambdaLR: optimizer must be an Optimizer; got NoneType",
        ),
        (
            lambda s: s.StepLR(tiny(), 1, last_epoch=-2),
            "StepLR: last_epoch must be an int >= -1",
        ),
        (
            lambda s: s.StepLR(tiny(), 1, last_epoch=3),
            "StepLR: last_epoch must be -1 for groups without 'initial_lr'; got 3 and group 0",
        ),
        (lambda s: s.StepLR(tiny(), 0), "StepLR: step_size must be a positive int; got 0"),
        (lambda s: s.StepLR(tiny(), 1, "a"), "StepLR: gamma must be a finite number; got 'a'"),
        (lambda s: s.StepLR(tiny(), 1, verbose=True), "verbose"),
        (
            lambda s: s.StepLR(tiny(), 1).step(-1),
            "StepLR.step: epoch must be an int >= 0; got -1",
        ),
        (
            lambda s: s.MultiStepLR(tiny(), [1.5]),
            "MultiStepLR: milestones must be an int; got 1.5",
        ),
        (lambda s: s.MultiStepLR(tiny(), 3), "milestones must be ints in an iterable; got 3"),
        (
            lambda s: s.ConstantLR(tiny(), 0),
            r"ConstantLR: factor must be a number in \[0, 1\]",
        ),
        (
            lambda s: s.ConstantLR(tiny(), 1.5),
            "ConstantLR: factor must be a number in .* got 1.5",
        ),
        (
            lambda s: s.ConstantLR(tiny(), 0.5, 0),
            "ConstantLR: total_iters must be a positive int",
        ),
        (lambda s: s.LinearLR(tiny(), 0), "LinearLR: start_factor must be a number in"),
        (
            lambda s: s.LinearLR(tiny(), 1, 2),
            "LinearLR: end_factor must be a number in .* got 2",
        ),
        (
            lambda s: s.LinearLR(tiny(), 1, 1, 0),
            "LinearLR: total_iters must be a positive int",
        ),
        (lambda s: s.ExponentialLR(tiny(), math.nan), "ExponentialLR: gamma must be a finite"),
        (
            lambda s: s.PolynomialLR(tiny(), 0),
            "PolynomialLR: total_iters must be a positive int",
        ),
        (
            lambda s: s.PolynomialLR(tiny(), 5, -1),
            "PolynomialLR: power must be a finite number >=",
        ),
        (lambda s: s.CosineAnnealingLR(tiny(), 0), "T_max must be a finite number > 0; got 0"),
        (
            lambda s: s.CosineAnnealingLR(tiny(), 5, None),
            "eta_min must be a finite number; got None",
        ),
        (
            lambda s: s.CosineAnnealingWarmRestarts(tiny(), 0),
            "T_0 must be a positive int; got 0",
        ),
        (
            lambda s: s.CosineAnnealingWarmRestarts(tiny(), 1, 0),
            "T_mult must be a positive int",
        ),
        (
            lambda s: s.CosineAnnealingWarmRestarts(tiny(), 2).step(-0.5),
            "CosineAnnealingWarmRestarts.step: epoch must be a finite number >= 0; got -0.5",
        ),
        (lambda s: s.LambdaLR(tiny(), 3), "LambdaLR: lr_lambda must be callable; got int"),
        (
            lambda s: s.MultiplicativeLR(tiny(), [abs]),
            "MultiplicativeLR: lr_lambda must have one value for each of 2 groups; got 1",
        ),
        (
            lambda s: s.OneCycleLR(tiny(), 1.0, epochs=3),
            "total_steps, or epochs and steps_per_epoch, must be given; got epochs=3, steps_per_epoch=None",
        ),
        (lambda s: s.OneCycleLR(tiny(), 1.0, 0), "total_steps must be a positive int; got 0"),
        (
            lambda s: s.OneCycleLR(tiny(), 1.0, epochs=0, steps_per_epoch=1),
            "OneCycleLR: epochs must be a positive int; got 0",
        ),
        (lambda s: s.OneCycleLR(tiny(), [1.0], 5), "max_lr must have one value for each of 2"),
        (lambda s: s.OneCycleLR(tiny(), 1, 5, pct_start=2), "pct_start must be a number in"),
        (
            lambda s: s.OneCycleLR(tiny(), 1, 5, anneal_strategy="exp"),
            "OneCycleLR: anneal_strategy must be one of 'cos', 'linear'; got 'exp'",
        ),
        (
            lambda s: s.OneCycleLR(tiny(), 1, 5, div_factor=0),
            "div_factor must be a finite number >",
        ),
        (
            lambda s: s.OneCycleLR(tiny(Adagrad), 1, 5),
            "OneCycleLR: cycle_momentum must be False for an optimizer without momentum or betas; got True",
        ),
        (lambda s: s.CyclicLR(tiny(), 0, 1, 0), "step_size_up must be a positive int; got 0"),
        (
            lambda s: s.CyclicLR(tiny(), 0, 1, mode="x"),
            "CyclicLR: mode must be one of 'triangular',",
        ),
        (lambda s: s.CyclicLR(tiny(), 0, 1, scale_fn=3), "scale_fn must be callable; got int"),
        (
            lambda s: s.ReduceLROnPlateau(tiny(), "low"),
            "mode must be one of 'min', 'max'; got 'low'",
        ),
        (
            lambda s: s.ReduceLROnPlateau(tiny(), factor=1),
            r"factor must be a number in \[0, 1\)",
        ),
        (lambda s: s.ReduceLROnPlateau(tiny(), patience=-1), "patience must be an int >= 0"),
        (
            lambda s: s.ReduceLROnPlateau(tiny(), min_lr=[0]),
            "min_lr must have one value for each of 2",
        ),
        (
            lambda s: s.ReduceLROnPlateau(tiny(), threshold_mode="x"),
            "threshold_mode must be one of 'rel', 'abs'; got 'x'",
        ),
        (
            lambda s: s.ChainedScheduler([]),
            "schedulers must hold at least one scheduler; got none",
        ),
        (lambda s: s.ChainedScheduler(3), "ChainedScheduler: schedulers must be a list; got int"),
        (
            lambda s: s.ChainedScheduler([s.ReduceLROnPlateau(tiny())]),
            r"schedulers\[0\] must be an LRScheduler that steps without a metric; got ReduceLROnPlateau",
        ),
        (
            lambda s: s.ChainedScheduler([s.StepLR(tiny(), 1), s.StepLR(tiny(), 1)]),
            r"ChainedScheduler: schedulers\[1\] must be of the same optimizer; got another",
        ),
        (
            lambda s: s.SequentialLR(tiny(), [s.StepLR(tiny(), 1)], []),
            r"SequentialLR: schedulers\[0\] must be of the same optimizer; got another",
        ),
        (
            lambda s: s.SequentialLR(3, [], []),
            "SequentialLR: optimizer must be an Optimizer; got int",
        ),
        (
            lambda s: s.LRScheduler(tiny()),
            "LRScheduler: get_lr must be defined by the class",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises((ArgumentError, TypeError, NotImplementedError), match=message):
        make(lr_scheduler)


@pytest.mark.parametrize("milestones", [[], [2, 3], [1.5], 3])
def test_milestones_of_a_sequence(milestones):
    optimizer = tiny()
    two = [lr_scheduler.StepLR(optimizer, 1), lr_scheduler.StepLR(optimizer, 1)]
    with pytest.raises((ArgumentError, DTypeError), match="SequentialLR: milestones must be"):
        lr_scheduler.SequentialLR(optimizer, two, milestones)


def test_a_cycle_ends():
    scheduler = lr_scheduler.OneCycleLR(tiny(), 1.0, total_steps=3)
    for _ in range(3):
        scheduler.step()
    with pytest.raises(
        ArgumentError, match=r"OneCycleLR.step: at most total_steps=3 steps can be made; got step 4"
    ):
        scheduler.step()


def test_plateau_leaves_out_changes_that_are_not_larger_than_eps():
    optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    scheduler = tn.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, eps=0.125)
    rates = []
    for _ in range(5):
        scheduler.step(1.0)
        rates += scheduler.get_last_lr()
    assert rates == [1.0, 0.5, 0.25, 0.25, 0.25]  # 0.25 to 0.125 would be a change of eps
