"""The doors of the ops, under PyTorch's names: one typed, documented function per op, in a file per family.

Each makes an instance of the op's class (tinynet/ops) and runs it; equations, checks, forward and backward
stand there.
"""

from __future__ import annotations

from tinynet.nn.functional.activation import log_softmax, relu, sigmoid, softmax, tanh
from tinynet.nn.functional.dropout import dropout
from tinynet.nn.functional.linear import linear
from tinynet.nn.functional.loss import cross_entropy
from tinynet.nn.functional.normalization import batch_norm

__all__ = [
    "batch_norm",
    "cross_entropy",
    "dropout",
    "linear",
    "log_softmax",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]
