"""Schedules that multiply the rate by factors fixed beforehand.

Each class has its rule twice: `get_lr` goes from the present rate to the next, `_closed_form` gives the rate
of an epoch from the initial one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from tinynet import _check
from tinynet.errors import DTypeError
from tinynet.optim.lr_scheduler.base import LRScheduler
from tinynet.optim.optimizer import Optimizer


class StepLR(LRScheduler):
    """``lr = initial_lr * gamma ** (epoch // step_size)``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.
    step_size : int
        The epochs between two changes, at least 1.
    gamma : float, default 0.1
        The factor of each change.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import tinynet as tn
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = tn.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = _check.integer("StepLR", "step_size", step_size, 1)
        self.gamma = _check.real("StepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See `LRScheduler.get_lr`."""
        if self.last_epoch == 0 or self.last_epoch % self.step_size != 0:
            return self._present()
        return [rate * self.gamma for rate in self._present()]

    def _closed_form(self) -> list[float]:
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """``lr = initial_lr * gamma ** (the number of milestones <= epoch)``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.
    milestones : iterable of int
        The epochs of the changes; one that occurs twice counts twice.
    gamma : float, default 0.1
        The factor of each change.
    last_epoch : int, default -1
        See `LRScheduler`.

    Notes
    -----
    `milestones` is kept as a sorted list, where PyTorch has a Counter: JSON has no integers as keys.

    Examples
    --------
    >>> import tinynet as tn
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = tn.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> for _ in range(3):
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if isinstance(milestones, str) or not isinstance(milestones, Iterable):
            raise DTypeError(f"MultiStepLR: milestones must be ints in an iterable; got {milestones!r}")
        self.milestones = sorted(_check.integer("MultiStepLR", "milestones", each) for each in milestones)
        self.gamma = _check.real("MultiStepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See `LRScheduler.get_lr`."""
        if self.last_epoch not in self.milestones:
            return self._present()
        return [rate * self.gamma ** self.milestones.count(self.last_epoch) for rate in self._present()]

    def _closed_form(self) -> list[float]:
        passed = bisect_right(self.milestones, self.last_epoch)
        return [base * self.gamma**passed for base in self.base_lrs]


class ConstantLR(LRScheduler):
    """``lr = initial_lr * factor`` before epoch `total_iters`, ``initial_lr`` from there on.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.
    factor : float, default 1/3
        In (0, 1].
    total_iters : int, default 5
        The epochs with the factor, at least 1.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import tinynet as tn
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = tn.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=1)
    >>> scheduler.get_last_lr()
    [0.5]
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [1.0]
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        self.factor = _check.real("ConstantLR", "factor", factor, 0, 1, above=True)
        self.total_iters = _check.integer("ConstantLR", "total_iters", total_iters, 1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See `LRScheduler.get_lr`."""
        if self.last_epoch == 0:
            return [rate * self.factor for rate in self._present()]
        if self.last_epoch != self.total_iters:
            return self._present()
        return [rate * (1.0 / self.factor) for rate in self._present()]

    def _closed_form(self) -> list[float]:
        factor = self.factor if self.last_epoch < self.total_iters else 1.0
        return [base * factor for base in self.base_lrs]


class LinearLR(LRScheduler):
    """A factor that goes on a line from `start_factor` at epoch 0 to `end_factor` at epoch `total_iters`.

    ``lr = initial_lr * (start_factor + (end_factor - start_factor) * min(epoch, total_iters) / total_iters)``

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.
    start_factor : float, default 1/3
        In (0, 1].
    end_factor : float, default 1
        In [0, 1].
    total_iters : int, default 5
        The epochs until `end_factor`, at least 1.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import tinynet as tn
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = tn.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = _check.real("LinearLR", "start_factor", start_factor, 0, 1, above=True)
        self.end_factor = _check.real("LinearLR", "end_factor", end_factor, 0, 1)
        self.total_iters = _check.integer("LinearLR", "total_iters", total_iters, 1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See `LRScheduler.get_lr`."""
        if self.last_epoch == 0:
            return [rate * self.start_factor for rate in self._present()]
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._present()
        # the ratio of two factors that follow each other
        rise = self.end_factor - self.start_factor
        former = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return [rate * (1.0 + rise / former) for rate in self._present()]

    def _closed_form(self) -> list[float]:
        rise = self.end_factor - self.start_factor
        done = min(self.total_iters, self.last_epoch) / self.total_iters
        return [base * (self.start_factor + rise * done) for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """``lr = initial_lr * gamma ** epoch``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.
    gamma : float
        The factor of each epoch.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import tinynet as tn
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = tn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = _check.real("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See `LRScheduler.get_lr`."""
        return [rate if self._is_initial else rate * self.gamma for rate in self._present()]

    def _closed_form(self) -> list[float]:
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """``lr = initial_lr * (1 - min(epoch, total_iters) / total_iters) ** power``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.
    total_iters : int, default 5
        The epochs until the rate is 0, at least 1.
    power : float, default 1
        The power, at least 0.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import tinynet as tn
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = tn.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=2, power=2.0)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters = _check.integer("PolynomialLR", "total_iters", total_iters, 1)
        self.power = _check.real("PolynomialLR", "power", power, 0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See `LRScheduler.get_lr`."""
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._present()
        left = 1.0 - self.last_epoch / self.total_iters
        former = 1.0 - (self.last_epoch - 1) / self.total_iters
        return [rate * (left / former) ** self.power for rate in self._present()]

    def _closed_form(self) -> list[float]:
        left = 1.0 - min(self.total_iters, self.last_epoch) / self.total_iters
        return [base * left**self.power for base in self.base_lrs]
