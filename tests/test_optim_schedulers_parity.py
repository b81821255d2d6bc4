"""The rates of every scheduler beside PyTorch's, step by step."""

from __future__ import annotations

import numpy as np
import pytest
from scheduler_cases import COMBINED, built, each_schedule, optimizer_of, trajectory

import tinynet as tn
from tinynet.optim import SGD, Adam, lr_scheduler

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]  # PyTorch's, without optimiser steps


def assert_equal_values(ours, theirs):
    for step, (mine, wanted) in enumerate(zip(ours, theirs, strict=True)):
        for a, b in zip(mine, wanted, strict=True):
            assert a.keys() == b.keys()
            for key in a:
                np.testing.assert_allclose(
                    a[key], b[key], rtol=1e-12, atol=1e-14, err_msg=f"step {step}, {key}"
                )


@pytest.mark.parametrize("kind", [SGD, Adam])
@each_schedule
def test_values_equal_pytorch(name, options, kind):
    import torch

    ours, theirs = (optimizer_of(0.4, 0.05, kind=kind, library=library) for library in (tn, torch))
    a, b = built(name, options, ours), built(name, options, theirs, torch)
    for _ in range(2):
        assert_equal_values(trajectory(a, ours, 40), trajectory(b, theirs, 40))
        assert a.get_last_lr() == pytest.approx(b.get_last_lr(), rel=1e-12)
        assert a.base_lrs == pytest.approx(b.base_lrs, rel=1e-12)
        for groups in (ours.param_groups, theirs.param_groups):  # what the user changes between steps
            groups[0]["lr"] = 0.123
            groups[1]["lr"] *= 2.0
    assert_equal_values(trajectory(a, ours, 20), trajectory(b, theirs, 20))


@pytest.mark.parametrize("make", COMBINED)
def test_combined_values_equal_pytorch(make):
    import torch

    ours, theirs = (optimizer_of(0.4, 0.05, library=library) for library in (tn, torch))
    a, b = make(lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs)
    assert_equal_values(trajectory(a, ours, 100), trajectory(b, theirs, 100))
    assert a.get_last_lr() == pytest.approx(b.get_last_lr(), rel=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "max", "factor": 0.5, "patience": 2},
        {"patience": 1, "threshold": 0.05, "threshold_mode": "abs", "cooldown": 2, "min_lr": [0.01, 0.001]},
        {"mode": "max", "patience": 0, "threshold_mode": "abs", "eps": 0.02, "factor": 0.7},
    ],
    ids=str,
)
def test_plateau_equals_pytorch(options):
    import torch

    ours, theirs = (optimizer_of(0.4, 0.05, library=library) for library in (tn, torch))
    a = lr_scheduler.ReduceLROnPlateau(ours, **options)
    b = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    rng = np.random.default_rng(0)
    for step in range(100):
        loss = float(rng.normal(3 - 0.05 * min(step, 40), 0.3))
        a.step(loss)
        b.step(loss)
        np.testing.assert_allclose(a.get_last_lr(), b.get_last_lr(), rtol=1e-12)
        assert (a.best, a.num_bad_epochs, a.cooldown_counter) == (
            b.best,
            b.num_bad_epochs,
            b.cooldown_counter,
        )


@pytest.mark.parametrize("t_mult", [1, 2, 3])
def test_restarts_at_fractions_equal_pytorch(t_mult):
    import torch

    ours, theirs = (optimizer_of(0.4, library=library) for library in (tn, torch))
    a = lr_scheduler.CosineAnnealingWarmRestarts(ours, 3, t_mult)
    b = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(theirs, 3, t_mult)
    for epoch in np.arange(0, 60, 0.37):
        a.step(float(epoch))
        b.step(float(epoch))
        np.testing.assert_allclose(a.get_last_lr(), b.get_last_lr(), rtol=1e-9, atol=1e-12)
        assert a.last_epoch == b.last_epoch


@each_schedule
def test_steps_to_an_epoch_equal_pytorch(name, options):
    import torch

    ours, theirs = (optimizer_of(0.4, 0.05, library=library) for library in (tn, torch))
    a, b = built(name, options, ours), built(name, options, theirs, torch)
    for epoch in (3, 17, 2, 0, 31):
        a.step(epoch)
        b.step(epoch)
        np.testing.assert_allclose(a.get_last_lr(), b.get_last_lr(), rtol=1e-12, atol=1e-14)


@each_schedule
def test_resuming_by_last_epoch_equals_pytorch(name, options):
    """The constructor with `last_epoch`, on an optimiser that has loaded its groups."""
    import torch

    if "T_mult" in options:
        pytest.skip("PyTorch loses the period")

    found = []
    for library in (tn, torch):
        optimizer = optimizer_of(0.4, 0.05, momentum=0.9, library=library)
        trajectory(built(name, options, optimizer, library), optimizer, 12)
        resumed = optimizer_of(0.4, 0.05, momentum=0.9, library=library)
        resumed.load_state_dict(optimizer.state_dict())
        scheduler = built(name, {**options, "last_epoch": 12}, resumed, library)
        found.append((trajectory(scheduler, resumed, 40), scheduler.last_epoch))
    (ours, epoch), (theirs, wanted) = found
    assert epoch == wanted
    assert_equal_values(ours, theirs)


def test_signatures_equal_pytorch():
    import inspect

    import torch

    for name in lr_scheduler.__all__:
        ours = inspect.signature(getattr(lr_scheduler, name)).parameters
        theirs = inspect.signature(getattr(torch.optim.lr_scheduler, name)).parameters
        assert list(ours) == list(theirs), name
        assert [p.default for p in ours.values()] == [p.default for p in theirs.values()], name
