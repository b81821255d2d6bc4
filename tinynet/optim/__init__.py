"""Optimisers under PyTorch's names."""

from __future__ import annotations

from tinynet.optim.optimizer import Optimizer
from tinynet.optim.sgd import SGD

__all__ = ["SGD", "Optimizer"]
