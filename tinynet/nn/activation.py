"""Elementwise non-linearities and the softmax pair, as modules over `tinynet.nn.functional`."""

from __future__ import annotations

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.nn import functional as F
from tinynet.nn.module import Module


class Sigmoid(Module):
    """``y = 1 / (1 + exp(-x))``, elementwise; any shape, float32 or float64."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the sigmoid of `input`, of the same shape."""
        return F.sigmoid(input)


class Tanh(Module):
    """``y = tanh(x)``, elementwise; any shape, float32 or float64."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the hyperbolic tangent of `input`, of the same shape."""
        return F.tanh(input)


class ReLU(Module):
    """``y = max(x, 0)``, elementwise, with slope 0 at 0; NaN stays NaN.

    Parameters
    ----------
    inplace : bool, default False
        Whether the result may take the input's memory.  Done out of place where that would spoil a value
        which a backward pass still needs.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = _check.boolean("ReLU", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        """Return the positive part of `input`, of the same shape."""
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Softmax(Module):
    """``y_i = exp(x_i) / sum_j exp(x_j)`` along `dim`, computed from ``x - max(x)`` so that it cannot
    overflow.

    Parameters
    ----------
    dim : int
        The dimension whose entries sum to one.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = _check.integer("Softmax", "dim", dim)

    def forward(self, input: Tensor) -> Tensor:
        """Return the probabilities, of the shape of `input`."""
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """``y_i = x_i - log(sum_j exp(x_j))`` along `dim`, finite for any finite input.

    Parameters
    ----------
    dim : int
        The dimension whose exponentials sum to one.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = _check.integer("LogSoftmax", "dim", dim)

    def forward(self, input: Tensor) -> Tensor:
        """Return the log-probabilities, of the shape of `input`."""
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
