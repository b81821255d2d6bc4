"""Elementwise non-linearities and the softmax pair."""

from __future__ import annotations

from tinynet._tensor import Tensor, apply
from tinynet.ops.activation import ReLU, Sigmoid, Tanh
from tinynet.ops.softmax import LogSoftmax


def sigmoid(input: Tensor) -> Tensor:
    """y = 1 / (1 + exp(-input)), elementwise; float32 or float64."""
    return apply(Sigmoid(), input)


def tanh(input: Tensor) -> Tensor:
    """y = tanh(input), elementwise; float32 or float64."""
    return apply(Tanh(), input)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = max(input, 0), elementwise; the slope at 0 is 0 and NaN stays NaN.

    Parameters
    ----------
    input : Tensor, float32 or float64
    inplace : bool, default False
        Write the result over the input, unless an operation has saved that for its gradient.
    """
    if inplace and isinstance(input, Tensor) and not input._is_saved:
        return input.relu_()
    return apply(ReLU(), input)


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """y = input - log(sum of exp(input) along dim); finite also for logits of +-1e4; float32 or float64."""
    return apply(LogSoftmax(dim), input)


def softmax(input: Tensor, dim: int) -> Tensor:
    """y = exp(input) / (sum of exp(input) along dim), by way of `log_softmax`; float32 or float64."""
    return log_softmax(input, dim).exp()
