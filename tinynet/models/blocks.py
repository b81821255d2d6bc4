"""What the convolutional networks share: a convolution with normalisation and non-linearity, and the head.

::

    with batch normalisation      x -> convolution without bias -> BN -> activation
    without                       x -> convolution with bias          -> activation

Batch normalisation stands before the non-linearity, in place of the bias (Ioffe & Szegedy 2015, section 3.2).
"""

from __future__ import annotations

from typing import Any

from tinynet import _check
from tinynet.nn.activation import ReLU, Sigmoid
from tinynet.nn.container import Sequential
from tinynet.nn.conv import Conv2d
from tinynet.nn.dropout import Dropout
from tinynet.nn.linear import Flatten, Linear
from tinynet.nn.module import Module
from tinynet.nn.normalization import BatchNorm2d
from tinynet.nn.pooling import AdaptiveAvgPool2d

_ACTIVATIONS = ("relu", "sigmoid")


class Style:
    """What all layers of one network have in common; checks these arguments for the network's function."""

    def __init__(self, owner: str, batch_norm: bool, activation: str, dtype: Any) -> None:
        self.owner = owner
        self.batch_norm = _check.boolean(owner, "batch_norm", batch_norm)
        self.activation = _check.choice(owner, "activation", activation, _ACTIVATIONS)
        self.dtype = _check.float_dtype(owner, dtype)

    def unit(
        self, in_channels: int, channels: int, kernel: int, stride: int = 1, *, activate: bool = True
    ) -> Sequential:
        """A square convolution that keeps the size (at stride 1), its normalisation and its non-linearity."""
        modules: dict[str, Module] = {}
        modules["conv"] = Conv2d(
            in_channels, channels, kernel, stride, kernel // 2, bias=not self.batch_norm, dtype=self.dtype
        )
        if self.batch_norm:
            modules["bn"] = BatchNorm2d(channels, dtype=self.dtype)
        if activate:
            modules["act"] = ReLU() if self.activation == "relu" else Sigmoid()
        return Sequential(modules)

    def head(self, channels: int, num_classes: int, dropout: float) -> dict[str, Module]:
        """The mean over all positions, dropout if there is any, and the classifier; to logits."""
        rate = _check.real(self.owner, "dropout", dropout, 0, 1)
        classes = _check.integer(self.owner, "num_classes", num_classes, 1)
        modules: dict[str, Module] = {"avgpool": AdaptiveAvgPool2d(1), "flatten": Flatten()}
        if rate > 0:
            modules["dropout"] = Dropout(rate)
        modules["output"] = Linear(channels, classes, dtype=self.dtype)
        return modules
