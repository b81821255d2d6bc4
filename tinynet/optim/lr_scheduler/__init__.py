"""Learning-rate schedulers: they set ``group["lr"]`` of an optimiser's groups, step by step.

Names, options and values are PyTorch's.  ``scheduler.step()`` is called after the ``optimizer.step()`` calls
that are to use the present rate: once per epoch or once per batch, as the schedule is meant.  Most rules
multiply the present rate, so that a rate which the user has changed goes on from there.
"""

from __future__ import annotations

from tinynet.optim.lr_scheduler.annealing import CosineAnnealingLR, CosineAnnealingWarmRestarts
from tinynet.optim.lr_scheduler.base import LRScheduler
from tinynet.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from tinynet.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from tinynet.optim.lr_scheduler.factors import (
    ConstantLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from tinynet.optim.lr_scheduler.functions import LambdaLR, MultiplicativeLR
from tinynet.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
