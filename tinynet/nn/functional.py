"""The doors of the ops, under PyTorch's names: one typed, documented function per op.

Each makes an instance of the op's class (tinynet/ops) and runs it; equations, checks, forward and backward
stand there.
"""

from __future__ import annotations

from numbers import Real

from tinynet._tensor import Tensor, apply
from tinynet.errors import ArgumentError, DTypeError
from tinynet.ops.activation import ReLU, Sigmoid, Tanh
from tinynet.ops.dropout import Dropout
from tinynet.ops.linear import Linear
from tinynet.ops.normalization import BatchNorm
from tinynet.ops.softmax import CrossEntropy, LogSoftmax
from tinynet.random import Generator, default_generator

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


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = input weight' + bias.

    Parameters
    ----------
    input : Tensor, shape (..., C), float32 or float64
    weight : Tensor, shape (K, C)
    bias : Tensor, shape (K,), optional

    Returns
    -------
    Tensor, shape (..., K)

    Raises
    ------
    ShapeError, DTypeError
        If shapes or dtypes do not fit.
    """
    return apply(Linear(), input, weight, bias)


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


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of the softmax of logits against class labels.

    For example i with label t: ``-sum_k q_k log_softmax(input_i)_k`` with
    ``q_k = (1 - label_smoothing) weight_t [k = t] + label_smoothing / K weight_k``.

    Parameters
    ----------
    input : Tensor, shape (N, K), float32 or float64
        Logits.
    target : Tensor, shape (N,), integer
        Class labels in [0, K - 1].
    weight : Tensor, shape (K,), optional
        A weight per class; ones by default.
    ignore_index : int, default -100
        Examples with this label count nothing.
    reduction : {'mean', 'sum', 'none'}, default 'mean'
        'mean' divides the sum by the sum of the labels' weights.
    label_smoothing : float in [0, 1], default 0

    Returns
    -------
    Tensor, shape () or (N,)

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If shapes or dtypes do not fit, or a label is no class.
    """
    if isinstance(target, Tensor) and target.dtype.kind == "f":
        raise NotImplementedError(
            "cross_entropy: target given as probabilities is not supported; give class labels"
        )
    return apply(CrossEntropy(ignore_index, reduction, label_smoothing), input, target, weight)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation per channel (Ioffe & Szegedy 2015, Algorithm 1).

    Parameters
    ----------
    input : Tensor, shape (N, C), (N, C, L) or (N, C, H, W), float32 or float64
    running_mean, running_var : Tensor, shape (C,), or None
        Statistics used when not training; when training they move in place by
        ``(1 - momentum) running + momentum batch``, with the unbiased variance m / (m - 1) var.
    weight, bias : Tensor, shape (C,), optional
        gamma and beta; 1 and 0 if left out.
    training : bool, default False
        Normalise with the batch's own mean and biased variance.
    momentum : float, default 0.1
    eps : float, default 1e-5
        Added to the variance inside the root; above 0.

    Returns
    -------
    Tensor, of the input's shape

    Raises
    ------
    ShapeError
        If shapes do not fit, or there is one value per channel in training.
    """
    for name, t in (("running_mean", running_mean), ("running_var", running_var)):
        if t is not None and not isinstance(t, Tensor):
            raise DTypeError(f"batch_norm: {name} must be a Tensor or None; got {type(t).__name__}")
        if t is not None and t.requires_grad:
            raise ArgumentError(f"batch_norm: {name} must not require a gradient; got a tensor that does")
    if not isinstance(momentum, Real):
        raise ArgumentError(f"batch_norm: momentum must be a number in [0, 1]; got {momentum!r}")
    op = BatchNorm(
        None if running_mean is None else running_mean.numpy(),
        None if running_var is None else running_var.numpy(),
        training,
        momentum,
        eps,
    )
    return apply(op, input, weight, bias)


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Zero each element with probability p and scale the others by 1 / (1 - p).

    Parameters
    ----------
    input : Tensor, float32 or float64
    p : float in [0, 1], default 0.5
    training : bool, default True
        If False, the input is returned as it is.
    inplace : bool, default False
        Write the result over the input, unless an operation has saved that for its gradient.
    generator : Generator, optional
        Where the random numbers come from; the default generator if None.
    """
    if not isinstance(input, Tensor):
        raise DTypeError(f"dropout: input must be a Tensor; got {type(input).__name__}")
    if not isinstance(p, Real) or not 0.0 <= p <= 1.0:
        raise ArgumentError(f"dropout: p must lie in [0, 1]; got {p!r}")
    if not training or p == 0.0:
        return input
    seed, call = (default_generator if generator is None else generator).next_call()
    y = apply(Dropout(p, seed, call), input)
    return input.copy_(y) if inplace and not input._is_saved else y
