"""Losses."""

from __future__ import annotations

from tinynet._tensor import Tensor, apply
from tinynet.ops.softmax import CrossEntropy


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
