"""Cyclic schedules, which move momentum against the rate.

`OneCycleLR`: Smith & Topin: Super-convergence: very fast training of neural networks using large learning
rates, 2018.  `CyclicLR`: Smith: Cyclical learning rates for training neural networks, 2017.
"""

from __future__ import annotations

import copy
import math
import types
from collections.abc import Callable
from typing import Any

from tinynet import _check
from tinynet.errors import ArgumentError, DTypeError
from tinynet.optim.lr_scheduler.base import LRScheduler, Momentum, check_optimizer, reals_per_group
from tinynet.optim.optimizer import Optimizer


class OneCycleLR(Momentum, LRScheduler):
    """One rise and one fall over all steps of a training; to be stepped after every batch.

    The rate goes from ``max_lr / div_factor`` to `max_lr` within the share `pct_start` of the steps and then
    down to ``max_lr / div_factor / final_div_factor``; with `three_phase` first, in as many steps as it rose,
    to where it began.  Momentum goes from `max_momentum` to `base_momentum` and back meanwhile.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.
    max_lr : float or list of float
        The highest rate, for all groups or one for each.
    total_steps : int, optional
        The steps of the cycle; without it ``epochs * steps_per_epoch``.
    epochs, steps_per_epoch : int, optional
        Used where `total_steps` is None.
    pct_start : float, default 0.3
        The share of the steps in which the rate rises, in [0, 1].
    anneal_strategy : {"cos", "linear"}, default "cos"
        Between two values v and w, at a share p of the way: ``w + (v - w) (1 + cos(pi p)) / 2`` or
        ``v + (w - v) p``.
    cycle_momentum : bool, default True
        Whether to move momentum (of `Adam` the first of `betas`).
    base_momentum, max_momentum : float or list of float, default 0.85 and 0.95
        Its bounds.
    div_factor, final_div_factor : float, default 25 and 1e4
        What the rates at the beginning and at the end are divided by, above 0.
    three_phase : bool, default False
        Whether the fall has two phases.
    last_epoch : int, default -1
        See `LRScheduler`.

    Raises
    ------
    ArgumentError
        As `LRScheduler`; and by `step` after the last step of the cycle.

    Examples
    --------
    >>> import tinynet as tn
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> scheduler = tn.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10, pct_start=0.5)
    >>> for _ in range(4):
    ...     scheduler.step()
    >>> print(scheduler.get_last_lr(), optimizer.param_groups[0]["momentum"])
    [1.0] 0.85
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        name = "OneCycleLR"
        self.optimizer = check_optimizer(name, optimizer)
        if total_steps is not None:
            self.total_steps = _check.integer(name, "total_steps", total_steps, 1)
        elif epochs is None or steps_per_epoch is None:
            raise ArgumentError(
                f"{name}: total_steps, or epochs and steps_per_epoch, must be given; "
                f"got epochs={epochs}, steps_per_epoch={steps_per_epoch}"
            )
        else:
            self.total_steps = _check.integer(name, "epochs", epochs, 1) * _check.integer(
                name, "steps_per_epoch", steps_per_epoch, 1
            )
        share = _check.real(name, "pct_start", pct_start, 0, 1)
        self.anneal_strategy = _check.choice(name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        # Where a phase ends, and the keys of the groups between whose values it moves rate and momentum.
        rise = [share * self.total_steps - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum"]
        end = self.total_steps - 1
        if _check.boolean(name, "three_phase", three_phase):
            turn = 2 * share * self.total_steps - 2
            self._phases: list[list[Any]] = [
                rise,
                [turn, "max_lr", "initial_lr", "base_momentum", "max_momentum"],
                [end, "initial_lr", "min_lr", "max_momentum", "max_momentum"],
            ]
        else:
            self._phases = [rise, [end, "max_lr", "min_lr", "base_momentum", "max_momentum"]]
        highest = reals_per_group(name, "max_lr", max_lr, len(optimizer.param_groups), 0)
        first = _check.real(name, "div_factor", div_factor, 0, above=True)
        last = _check.real(name, "final_div_factor", final_div_factor, 0, above=True)
        self._begin_momentum(cycle_momentum, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, highest, strict=True):
                group.update(initial_lr=rate / first, max_lr=rate, min_lr=rate / first / last)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See `LRScheduler.get_lr`.  Sets the momentum as well."""
        step = self.last_epoch
        if step > self.total_steps:
            raise ArgumentError(
                f"OneCycleLR.step: at most total_steps={self.total_steps} steps can be made; got step {step}"
            )
        start = 0.0
        for phase in self._phases:
            end, lr_from, lr_to, momentum_from, momentum_to = phase
            if step <= end or phase is self._phases[-1]:
                break
            start = end
        share = (step - start) / (end - start) if end != start else 1.0
        rates = []
        for group in self._groups:
            rates.append(self._between(group[lr_from], group[lr_to], share))
            if self.cycle_momentum:
                self._set_momentum(group, self._between(group[momentum_from], group[momentum_to], share))
        return rates

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)


class CyclicLR(Momentum, LRScheduler):
    """Up from `base_lr` to `max_lr` and down again on lines; to be stepped after every batch.

    In a cycle ``lr = base_lr + (max_lr - base_lr) * height * scale``, where the height goes from 0 to 1 in
    `step_size_up` steps and back in `step_size_down`.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.
    base_lr, max_lr : float or list of float
        The bounds, for all groups or one for each.
    step_size_up : int, default 2000
        The steps up, at least 1.
    step_size_down : int, optional
        The steps down; as many as up by default.
    mode : {"triangular", "triangular2", "exp_range"}, default "triangular"
        The scale: 1, ``1 / 2^(cycle - 1)`` for cycle 1, 2, ..., or ``gamma ** step``.
    gamma : float, default 1
        For "exp_range".
    scale_fn : callable, optional
        A scale of your own, in place of `mode`.  A state dict holds its attributes if it is an object with
        ``__call__``, but no function.
    scale_mode : {"cycle", "iterations"}, default "cycle"
        Whether `scale_fn` gets the number of the cycle or of the step.
    cycle_momentum : bool, default True
        Whether to move momentum (of `Adam` the first of `betas`) between `max_momentum` and `base_momentum`.
    base_momentum, max_momentum : float or list of float, default 0.8 and 0.9
        Its bounds.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import tinynet as tn
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> scheduler = tn.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=4)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        name = "CyclicLR"
        self.optimizer = check_optimizer(name, optimizer)
        groups = optimizer.param_groups
        lowest = reals_per_group(name, "base_lr", base_lr, len(groups), 0)
        self.max_lrs = reals_per_group(name, "max_lr", max_lr, len(groups), 0)
        up = _check.integer(name, "step_size_up", step_size_up, 1)
        down = up if step_size_down is None else _check.integer(name, "step_size_down", step_size_down, 1)
        self.total_size, self.step_ratio = up + down, up / (up + down)
        self.mode = _check.choice(name, "mode", mode, ("triangular", "triangular2", "exp_range"))
        self.gamma = _check.real(name, "gamma", gamma)
        if scale_fn is not None and not callable(scale_fn):
            raise DTypeError(f"{name}: scale_fn must be callable; got {type(scale_fn).__name__}")
        self.scale_fn = scale_fn
        self.scale_mode = _check.choice(name, "scale_mode", scale_mode, ("cycle", "iterations"))
        self._begin_momentum(cycle_momentum, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, rate in zip(groups, lowest, strict=True):
                group["lr"] = rate
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lowest

    def _scale(self, cycle: int) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.mode == "triangular":
            return 1.0
        return 0.5 ** (cycle - 1) if self.mode == "triangular2" else self.gamma**self.last_epoch

    def get_lr(self) -> list[float]:
        """See `LRScheduler.get_lr`.  Sets the momentum as well."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scaled = height * self._scale(cycle)
        if self.cycle_momentum:
            for group in self._groups:
                low, high = group["base_momentum"], group["max_momentum"]
                self._set_momentum(group, high - (high - low) * scaled)
        return [low + (high - low) * scaled for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def _left_out(self) -> tuple[str, ...]:
        return ("optimizer", "scale_fn")

    def state_dict(self) -> dict[str, Any]:
        """As `LRScheduler.state_dict`, with the attributes of a `scale_fn` that is an object; else None."""
        plain = self.scale_fn is None or isinstance(self.scale_fn, types.FunctionType)
        held = None if plain else copy.deepcopy(getattr(self.scale_fn, "__dict__", None))
        return {**super().state_dict(), "scale_fn": held}

    def _load(self, state: dict[str, Any]) -> None:
        attributes = state.pop("scale_fn")
        if attributes is not None and self.scale_fn is not None:
            self.scale_fn.__dict__.update(attributes)
        super()._load(state)
