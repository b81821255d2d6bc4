"""Cosine annealing, with and without restarts.

Loshchilov & Hutter: SGDR: stochastic gradient descent with warm restarts, 2017, equation 5.
"""

from __future__ import annotations

import math

from tinynet import _check
from tinynet.optim.lr_scheduler.base import LRScheduler
from tinynet.optim.optimizer import Optimizer


class CosineAnnealingLR(LRScheduler):
    """``lr = eta_min + (initial_lr - eta_min) * (1 + cos(pi * epoch / T_max)) / 2``.

    Down in `T_max` epochs; who goes on steps up again as the cosine does, without a jump.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.
    T_max : int
        The epochs from the initial rate to `eta_min`, above 0.
    eta_min : float, default 0
        The smallest rate.
    last_epoch : int, default -1
        See `LRScheduler`.

    Notes
    -----
    A rate that the user has changed goes on from there: it is multiplied by the ratio of two epochs' values.

    Examples
    --------
    >>> import tinynet as tn
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = tn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> scheduler.step()
    >>> [round(rate, 6) for rate in scheduler.get_last_lr()]
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        _check.real("CosineAnnealingLR", "T_max", T_max, 0, above=True)
        self.T_max = T_max
        self.eta_min = _check.real("CosineAnnealingLR", "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See `LRScheduler.get_lr`."""
        if self._is_initial:
            return self._present()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # the former value is the minimum, from which no factor leads up
            share = (1 - math.cos(math.pi / self.T_max)) / 2
            return [
                rate + (base - self.eta_min) * share
                for rate, base in zip(self._present(), self.base_lrs, strict=False)
            ]
        now = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        former = 1 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        return [now / former * (rate - self.eta_min) + self.eta_min for rate in self._present()]

    def _closed_form(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """``lr = eta_min + (initial_lr - eta_min) * (1 + cos(pi * T_cur / T_i)) / 2``, over and over.

    `T_cur` counts the epochs since the last restart, which comes after `T_i`; the periods are
    ``T_0, T_0 T_mult, T_0 T_mult^2, ...``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.
    T_0 : int
        The epochs until the first restart, at least 1.
    T_mult : int, default 1
        The factor of each further period, at least 1.
    eta_min : float, default 0
        The smallest rate.
    last_epoch : int, default -1
        See `LRScheduler`.  The period that it lies in is found, which the constructor of PyTorch does not do.

    Examples
    --------
    >>> import tinynet as tn
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = tn.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> for _ in range(2):
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [1.0]
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        name = "CosineAnnealingWarmRestarts"
        self.T_0 = _check.integer(name, "T_0", T_0, 1)
        self.T_mult = _check.integer(name, "T_mult", T_mult, 1)
        self.eta_min = _check.real(name, "eta_min", eta_min)
        self._find(_check.integer(name, "last_epoch", last_epoch, -1))
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See `LRScheduler.get_lr`."""
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def _find(self, epoch: float) -> None:
        """Set the period that `epoch` lies in, and the place within it."""
        self.T_cur, self.T_i = epoch, self.T_0
        if self.T_mult == 1 and epoch >= 0:
            self.T_cur %= self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult

    def step(self, epoch: float | None = None) -> None:
        """Set the rates of the next epoch.

        Parameters
        ----------
        epoch : float, optional
            Go to this epoch instead, at least 0; a fraction such as ``epoch + batch / batches``.
        """
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        else:
            _check.real("CosineAnnealingWarmRestarts.step", "epoch", epoch, 0)
            self._find(epoch)
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())
