"""Schedulers made of schedulers: one after the other, or all at every step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from tinynet import _check
from tinynet.errors import ArgumentError, DTypeError
from tinynet.optim.lr_scheduler.base import LRScheduler, check_optimizer
from tinynet.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tinynet.optim.optimizer import Optimizer


class _Combined(LRScheduler):
    """Schedulers of one optimiser, with their states inside the state dict."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        name = type(self).__name__
        if not isinstance(schedulers, (list, tuple)):
            raise DTypeError(f"{name}: schedulers must be a list; got {type(schedulers).__name__}")
        if not schedulers:
            raise ArgumentError(f"{name}: schedulers must hold at least one scheduler; got none")
        for index, each in enumerate(schedulers):
            if not isinstance(each, LRScheduler) or isinstance(each, ReduceLROnPlateau):
                raise DTypeError(
                    f"{name}: schedulers[{index}] must be an LRScheduler that steps without a metric; "
                    f"got {type(each).__name__}"
                )
            if each.optimizer is not (optimizer or schedulers[0].optimizer):
                raise ArgumentError(f"{name}: schedulers[{index}] must be of the same optimizer; got another")
        self.optimizer = check_optimizer(name, optimizer or schedulers[0].optimizer)
        self._schedulers = list(schedulers)

    def _undo(self) -> None:
        for each in self._schedulers:
            each._undo()

    def _rewind(self) -> None:
        for each in self._schedulers:
            each._rewind()

    def _update_lr(self, epoch: int | None = None) -> None:
        """From the beginning again: a sequence that this combination is part of has come to it."""
        for group in self._groups:
            group["lr"] = group["initial_lr"]
        self._rewind()
        self._initial_step()

    def _left_out(self) -> tuple[str, ...]:
        return ("optimizer", "_schedulers")

    def state_dict(self) -> dict[str, Any]:
        """As `LRScheduler.state_dict`, with the states of all schedulers."""
        return {**super().state_dict(), "_schedulers": [each.state_dict() for each in self._schedulers]}

    def _load(self, state: dict[str, Any]) -> None:
        for each, own in zip(self._schedulers, state.pop("_schedulers"), strict=True):
            each.load_state_dict(own)
        super()._load(state)


class SequentialLR(_Combined):
    """One scheduler after the other: a new one, from its epoch 0, at every milestone.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates; all schedulers are of this optimiser.
    schedulers : list of LRScheduler
        In the order of their turns.
    milestones : list of int
        The epochs at which the second, third, ... begin: one fewer than schedulers, rising.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import tinynet as tn
    >>> from tinynet.optim import lr_scheduler
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    >>> warmup = lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> decay = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = lr_scheduler.SequentialLR(optimizer, [warmup, decay], milestones=[2])
    >>> rates = scheduler.get_last_lr()
    >>> for _ in range(4):
    ...     scheduler.step()
    ...     rates += scheduler.get_last_lr()
    >>> rates
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("SequentialLR", optimizer)
        super().__init__(schedulers, optimizer)
        if not isinstance(milestones, (list, tuple)):
            raise DTypeError(f"SequentialLR: milestones must be a list; got {type(milestones).__name__}")
        self._milestones = [_check.integer("SequentialLR", "milestones", each) for each in milestones]
        if len(milestones) != len(schedulers) - 1 or sorted(self._milestones) != self._milestones:
            raise ArgumentError(
                f"SequentialLR: milestones must be {len(schedulers) - 1} rising ints, "
                f"one fewer than schedulers; got {milestones!r}"
            )
        self.last_epoch = _check.integer("SequentialLR", "last_epoch", last_epoch, -1)
        # The constructors of the schedulers have each made their first step.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        super()._undo()
        self._initial_step()

    def _undo(self) -> None:
        super()._undo()
        self.last_epoch -= 1

    def _rewind(self) -> None:
        super()._rewind()
        self.last_epoch = -1

    def _initial_step(self) -> None:
        self.last_epoch += 1
        self._schedulers[bisect_right(self._milestones, 0)]._initial_step()
        self._last_lr = self._present()

    def step(self) -> None:  # type: ignore[override]
        """Set the rates of the next epoch."""
        self.last_epoch += 1
        index = bisect_right(self._milestones, self.last_epoch)
        if index > 0 and self._milestones[index - 1] == self.last_epoch:
            self._schedulers[index]._update_lr(0)
        else:
            self._schedulers[index].step()
        self._last_lr = self._present()


class ChainedScheduler(_Combined):
    """All schedulers at every step, in order: each changes the rates that the one before it has left.

    Parameters
    ----------
    schedulers : list of LRScheduler
        Of one optimiser.  Those that compute rates from the initial ones (`LambdaLR`,
        `CosineAnnealingWarmRestarts`, the cyclic ones) forget what came before them.
    optimizer : Optimizer, optional
        Theirs.

    Examples
    --------
    >>> import tinynet as tn
    >>> from tinynet.optim import lr_scheduler
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    >>> constant = lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> decay = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = lr_scheduler.ChainedScheduler([constant, decay])
    >>> rates = scheduler.get_last_lr()
    >>> for _ in range(2):
    ...     scheduler.step()
    ...     rates += scheduler.get_last_lr()
    >>> rates
    [0.5, 0.25, 0.25]
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        super().__init__(schedulers, optimizer)
        self._last_lr = self._present()

    def _initial_step(self) -> None:
        for each in self._schedulers:
            each._initial_step()
        self._last_lr = self._present()

    def step(self) -> None:  # type: ignore[override]
        """Set the rates of the next epoch."""
        for each in self._schedulers:
            each.step()
        self._last_lr = self._present()
