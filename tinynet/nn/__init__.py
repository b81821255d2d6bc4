"""Layers, losses and initialisers under PyTorch's names.

`functional` holds one function per operation; the modules here own the parameters and call it.
"""

from __future__ import annotations

from tinynet.nn import functional, init
from tinynet.nn.activation import LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from tinynet.nn.container import Sequential
from tinynet.nn.dropout import Dropout
from tinynet.nn.linear import Flatten, Identity, Linear
from tinynet.nn.loss import CrossEntropyLoss
from tinynet.nn.module import Module
from tinynet.nn.normalization import BatchNorm1d
from tinynet.nn.parameter import Parameter

__all__ = [
    "BatchNorm1d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "Linear",
    "LogSoftmax",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
    "init",
]
