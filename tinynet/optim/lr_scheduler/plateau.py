"""`ReduceLROnPlateau`: a smaller rate when a measured value does not improve any more."""

from __future__ import annotations

import math
from typing import SupportsFloat

from tinynet import _check
from tinynet.errors import ArgumentError
from tinynet.optim.lr_scheduler.base import LRScheduler, check_optimizer, reals_per_group
from tinynet.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rates by `factor` after more than `patience` epochs without improvement.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get new rates.
    mode : {"min", "max"}, default "min"
        Whether a smaller or a larger value is better.
    factor : float, default 0.1
        In [0, 1).
    patience : int, default 10
        The epochs without improvement that are let pass, at least 0.
    threshold : float, default 1e-4
        By how much a value must be better than the best so far to count.
    threshold_mode : {"rel", "abs"}, default "rel"
        Better than ``best * (1 - threshold)`` (for "max" ``best * (1 + threshold)``), or than
        ``best - threshold`` (``best + threshold``).
    cooldown : int, default 0
        The epochs after a reduction in which nothing is counted.
    min_lr : float or list of float, default 0
        Where the rates stop, for all groups or one for each.
    eps : float, default 1e-8
        A change that is not larger than this is not made.

    Notes
    -----
    NaN is no improvement.

    Examples
    --------
    >>> import tinynet as tn
    >>> optimizer = tn.optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = tn.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        self.optimizer = check_optimizer(name, optimizer)
        self.mode = _check.choice(name, "mode", mode, ("min", "max"))
        self.factor = _check.real(name, "factor", factor, 0)
        if self.factor >= 1:
            raise ArgumentError(f"{name}: factor must be a number in [0, 1); got {self.factor!r}")
        self.patience = _check.integer(name, "patience", patience, 0)
        self.threshold = _check.real(name, "threshold", threshold)
        self.threshold_mode = _check.choice(name, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = _check.integer(name, "cooldown", cooldown, 0)
        self.eps = _check.real(name, "eps", eps, 0)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.min_lrs = reals_per_group(name, "min_lr", min_lr, len(self._groups), 0)
        self.best = math.inf if self.mode == "min" else -math.inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self.last_epoch = 0
        self._last_lr = self._present()

    @property
    def in_cooldown(self) -> bool:
        """Whether epochs are not counted because of a reduction."""
        return self.cooldown_counter > 0

    def _is_better(self, value: float) -> bool:
        best, sign = self.best, -1.0 if self.mode == "min" else 1.0
        if self.threshold_mode == "rel":
            bound = best * (1.0 + sign * self.threshold)
        else:
            bound = best + sign * self.threshold
        return value < bound if self.mode == "min" else value > bound

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Count an epoch, and reduce the rates if it is time.

        Parameters
        ----------
        metrics : float
            The value of this epoch; a tensor of one element is fine.
        epoch : int, optional
            Its number, in place of the next one (deprecated in PyTorch).
        """
        value = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._present()

    def _reduce(self) -> None:
        groups = self._groups
        if len(groups) != len(self.min_lrs):  # groups were added since
            if self.default_min_lr is None:
                raise ArgumentError(
                    f"ReduceLROnPlateau.step: min_lr must have one value for each of {len(groups)} groups; "
                    f"got {len(self.min_lrs)}"
                )
            self.min_lrs = [float(self.default_min_lr)] * len(groups)
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            rate = max(group["lr"] * self.factor, lowest)
            if group["lr"] - rate > self.eps:
                group["lr"] = rate
