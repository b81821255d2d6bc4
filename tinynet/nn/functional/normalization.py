"""Normalisation."""

from __future__ import annotations

from numbers import Real

from tinynet._tensor import Tensor, apply
from tinynet.errors import ArgumentError, DTypeError
from tinynet.ops.normalization import BatchNorm


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
