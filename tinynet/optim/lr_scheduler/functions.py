"""Schedules by functions of the user: `LambdaLR` and `MultiplicativeLR`."""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from typing import Any

from tinynet.errors import DTypeError
from tinynet.optim.lr_scheduler.base import LRScheduler, check_optimizer, per_group
from tinynet.optim.optimizer import Optimizer

Factor = Callable[[int], float]


class _ByFunction(LRScheduler):
    """A function of the epoch per group.  The state dict has the attributes of those that are objects with
    ``__call__``; functions it cannot hold."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | list[Factor], last_epoch: int = -1) -> None:
        name = type(self).__name__
        count = len(check_optimizer(name, optimizer).param_groups)
        self.lr_lambdas: list[Factor] = per_group(name, "lr_lambda", lr_lambda, count)
        for each in self.lr_lambdas:
            if not callable(each):
                raise DTypeError(f"{name}: lr_lambda must be callable; got {type(each).__name__}")
        super().__init__(optimizer, last_epoch)

    def _left_out(self) -> tuple[str, ...]:
        return ("optimizer", "lr_lambdas")

    def state_dict(self) -> dict[str, Any]:
        """As `LRScheduler.state_dict`, with the attributes of callable objects; None for functions."""
        held = [
            None if isinstance(each, types.FunctionType) else copy.deepcopy(getattr(each, "__dict__", None))
            for each in self.lr_lambdas
        ]
        return {**super().state_dict(), "lr_lambdas": held}

    def _load(self, state: dict[str, Any]) -> None:
        for each, attributes in zip(self.lr_lambdas, state.pop("lr_lambdas"), strict=True):
            if attributes is not None:
                each.__dict__.update(attributes)
        super()._load(state)


class LambdaLR(_ByFunction):
    """``lr = initial_lr * lr_lambda(epoch)``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.
    lr_lambda : callable or list of callables
        Epoch -> factor, for all groups or one for each.  A state dict holds the attributes of callable
        objects, but no functions.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import tinynet as tn
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = tn.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def get_lr(self) -> list[float]:
        """See `LRScheduler.get_lr`."""
        return [
            base * factor(self.last_epoch)
            for base, factor in zip(self.base_lrs, self.lr_lambdas, strict=True)
        ]


class MultiplicativeLR(_ByFunction):
    """``lr = lr * lr_lambda(epoch)``, from epoch 1 on.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.
    lr_lambda : callable or list of callables
        Epoch -> factor, for all groups or one for each.  A state dict holds the attributes of callable
        objects, but no functions.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import tinynet as tn
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = tn.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5)
    >>> for _ in range(3):
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.125]
    """

    def get_lr(self) -> list[float]:
        """See `LRScheduler.get_lr`."""
        if self._is_initial:
            return self._present()
        return [
            rate * factor(self.last_epoch)
            for rate, factor in zip(self._present(), self.lr_lambdas, strict=False)
        ]
