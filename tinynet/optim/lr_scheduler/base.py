"""`LRScheduler`: what the schedulers share."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

from tinynet import _check
from tinynet.errors import ArgumentError, DataError, DTypeError
from tinynet.optim.optimizer import Group, Optimizer

Value = TypeVar("Value")


class LRScheduler:
    """Base of the learning-rate schedulers.

    A scheduler of your own defines `get_lr`.  The constructor makes the step to epoch 0.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.  Each group's rate at the beginning is kept in ``group["initial_lr"]``.
    last_epoch : int, default -1
        The number of the last step done; above -1 to go on, with groups that have "initial_lr".

    Attributes
    ----------
    base_lrs : list of float
        The initial rate of each group.
    last_epoch : int
        The number of steps done.

    Raises
    ------
    DTypeError
        If `optimizer` is no optimiser, or an option is of the wrong type.
    ArgumentError
        If an option is out of range, or a group lacks "initial_lr" where `last_epoch` is above -1.
    """

    _is_initial = False  # while the constructor makes the step to epoch 0

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = type(self).__name__
        self.optimizer = check_optimizer(name, optimizer)
        last_epoch = _check.integer(name, "last_epoch", last_epoch, -1)
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"{name}: last_epoch must be -1 for groups without 'initial_lr'; "
                    f"got {last_epoch} and group {index}"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            del self._is_initial  # back to the class's

    @property
    def _groups(self) -> list[Group]:
        return self.optimizer.param_groups

    def _present(self) -> list[float]:
        """The rates as they are."""
        return [group["lr"] for group in self._groups]

    def get_lr(self) -> list[float]:
        """The rates of epoch `last_epoch`, from those that the groups have.  Called by `step`."""
        raise NotImplementedError(f"{type(self).__name__}: get_lr must be defined by the class")

    def _closed_form(self) -> list[float]:
        """The rates of epoch `last_epoch`, from the initial ones where there is such a formula."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """The rates that the last step has set, one per group."""
        return list(self._last_lr)

    def step(self, epoch: int | None = None) -> None:
        """Set the rates of the next epoch.

        Parameters
        ----------
        epoch : int, optional
            Go to this epoch instead, from the initial rates where there is a formula for it (deprecated in
            PyTorch).
        """
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        if epoch is None:
            self.last_epoch += 1
            rates = self.get_lr()
        else:
            self.last_epoch = _check.integer(f"{type(self).__name__}.step", "epoch", epoch, 0)
            rates = self._closed_form()
        self._set(rates)

    def _set(self, rates: list[float]) -> None:
        groups = self._groups
        if len(rates) != len(groups):
            raise ArgumentError(
                f"{type(self).__name__}.step: the optimizer must have the {len(rates)} groups "
                f"that the scheduler was made for; got {len(groups)}"
            )
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = self._present()

    def _undo(self) -> None:
        """Take one step back, in counting alone."""
        self.last_epoch -= 1

    def _rewind(self) -> None:
        """Go back to before the first step, in counting alone."""
        self.last_epoch = -1

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser and functions, copied: numbers, lists and text that JSON can hold."""
        return {
            key: copy.deepcopy(value) for key, value in self.__dict__.items() if key not in self._left_out()
        }

    def _left_out(self) -> tuple[str, ...]:
        """The attributes that do not go into a state dict as they are."""
        return ("optimizer",)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave; the optimiser's own state dict holds its rates.

        Raises
        ------
        DataError
            If the keys are not this scheduler's; nothing has changed then.
        """
        own = self.state_dict()
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(own):
            got = sorted(map(str, state_dict)) if isinstance(state_dict, Mapping) else state_dict
            raise DataError(
                f"{type(self).__name__}.load_state_dict: state_dict must have the keys {sorted(own)}; "
                f"got {got}"
            )
        self._load({key: copy.deepcopy(value) for key, value in state_dict.items()})

    def _load(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def check_optimizer(owner: str, optimizer: Any) -> Optimizer:
    """`optimizer` if it is one."""
    if not isinstance(optimizer, Optimizer):
        raise DTypeError(f"{owner}: optimizer must be an Optimizer; got {type(optimizer).__name__}")
    return optimizer


def per_group(
    owner: str, name: str, value: Value | list[Value] | tuple[Value, ...], count: int
) -> list[Value]:
    """A value for each of `count` groups: those of a list, or the same for all."""
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ArgumentError(
            f"{owner}: {name} must have one value for each of {count} groups; got {len(value)}"
        )
    return list(value)


def reals_per_group(
    owner: str, name: str, value: float | list[float], count: int, minimum: float | None = None
) -> list[float]:
    """`per_group` of finite numbers."""
    return [_check.real(owner, name, each, minimum) for each in per_group(owner, name, value, count)]


class Momentum:
    """The part of the cyclic schedules that moves momentum, or the first of `betas`, against the rate.

    Sets "base_momentum" and "max_momentum" of the groups, and the momentum to its maximum, at the beginning.
    """

    optimizer: Optimizer

    def _begin_momentum(
        self, cycle: bool, base: float | list[float], maximum: float | list[float], last_epoch: int
    ) -> None:
        owner = type(self).__name__
        self.cycle_momentum = _check.boolean(owner, "cycle_momentum", cycle)
        if not self.cycle_momentum:
            return
        defaults, groups = self.optimizer.defaults, self.optimizer.param_groups
        if "momentum" not in defaults and "betas" not in defaults:
            raise ArgumentError(
                f"{owner}: cycle_momentum must be False for an optimizer without momentum or betas; got True"
            )
        self.use_beta1 = "betas" in defaults
        highest = reals_per_group(owner, "max_momentum", maximum, len(groups), 0)
        lowest = reals_per_group(owner, "base_momentum", base, len(groups), 0)
        if last_epoch == -1:
            for group, low, high in zip(groups, lowest, highest, strict=True):
                group.update(max_momentum=high, base_momentum=low)
                self._set_momentum(group, high)

    def _set_momentum(self, group: Group, value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value
