"""Losses over classes, and `one_hot`; `reduction` is that of the other losses (loss.py)."""

from __future__ import annotations

import numpy as np

from tinynet import _check
from tinynet._tensor import Tensor, apply, from_numpy
from tinynet.errors import ArgumentError, DTypeError
from tinynet.nn.functional.loss import refuse_older_names
from tinynet.ops.cross_entropy import CrossEntropy, NLLLoss, SoftCrossEntropy


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of the softmax of logits against class labels or probabilities.

    For one example: ``-sum_k q_k log_softmax(input)_k``.  For a label t,
    ``q_k = (1 - label_smoothing) weight_t [k = t] + label_smoothing / K weight_k``; for probabilities p,
    ``q_k = weight_k ((1 - label_smoothing) p_k + label_smoothing / K)``.

    Parameters
    ----------
    input : Tensor, shape (K,), (N, K) or (N, K, d1, ...), float32 or float64
        Logits.
    target : Tensor
        Integers: class labels in [0, K - 1], of shape (), (N,) or (N, d1, ...).  Floats of input's dtype:
        probabilities, of input's shape; the gradient goes to them, too.
    weight : Tensor, shape (K,), optional
        A weight per class; ones by default.  It receives no gradient.
    size_average, reduce : None
        PyTorch's older names for `reduction`; not supported.
    ignore_index : int, default -100
        Examples with this label count nothing.  For labels only.
    reduction : {'mean', 'sum', 'none'}, default 'mean'
        'mean' divides by the sum of the labels' weights; with probabilities by the number of examples.
    label_smoothing : float in [0, 1], default 0

    Returns
    -------
    Tensor, shape () or, for 'none', that of labels

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If shapes or dtypes do not fit, or a label is no class; for the mean of no example; for an
        `ignore_index` of 0 or more with probabilities.
    NotImplementedError
        If `weight` requires a gradient, or `size_average` or `reduce` is given.

    Examples
    --------
    >>> import tinynet as tn
    >>> logits = tn.tensor([[2.0, 0.0], [0.0, 2.0]])
    >>> round(tn.nn.functional.cross_entropy(logits, tn.tensor([0, 1])).item(), 4)
    0.1269
    """
    refuse_older_names("cross_entropy", size_average, reduce)
    if isinstance(target, Tensor) and target.dtype.kind == "f":
        if ignore_index >= 0:
            raise ArgumentError(
                "cross_entropy: ignore_index must be negative when target holds probabilities; "
                f"got {ignore_index}"
            )
        return apply(SoftCrossEntropy(reduction, label_smoothing), input, target, weight)
    return apply(CrossEntropy(ignore_index, reduction, label_smoothing), input, target, weight)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of class labels: ``-weight_t input_t`` for an example with label t.

    Parameters
    ----------
    input : Tensor, shape (K,), (N, K) or (N, K, d1, ...), float32 or float64
        Log-probabilities, as `log_softmax` gives them.
    target : Tensor, shape (), (N,) or (N, d1, ...), integer
        Class labels in [0, K - 1].
    weight, size_average, ignore_index, reduce, reduction
        As for `cross_entropy`.  The mean of no example is NaN.

    Returns
    -------
    Tensor, shape () or that of `target`

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If shapes or dtypes do not fit, or a label is no class.
    NotImplementedError
        If `weight` requires a gradient, or `size_average` or `reduce` is given.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.nll_loss(tn.tensor([[-0.5, -1.0], [-2.0, -0.25]]), tn.tensor([0, 1])).item()
    0.375
    """
    refuse_older_names("nll_loss", size_average, reduce)
    return apply(NLLLoss(ignore_index, reduction), input, target, weight)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Class labels as rows of zeros with a one at the label.

    Parameters
    ----------
    tensor : Tensor, any shape, integer
        Class labels, 0 or more.
    num_classes : int, default -1
        How many classes there are; -1 stands for one more than the largest label.

    Returns
    -------
    Tensor, shape (*tensor.shape, num_classes), int64

    Raises
    ------
    ArgumentError
        If a label is no class, or the number of classes cannot be told from a tensor without elements.
    DTypeError
        If `tensor` is no tensor of integers.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.one_hot(tn.tensor([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    if not isinstance(tensor, Tensor) or tensor.dtype.kind not in "iu":
        received = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise DTypeError(f"one_hot: tensor must be a Tensor of integers; got {received}")
    labels = np.asarray(tensor.numpy(), np.int64)
    classes = _check.integer("one_hot", "num_classes", num_classes, -1)
    if classes == -1:
        if labels.size == 0:
            raise ArgumentError(
                f"one_hot: num_classes must be given for a tensor without elements; got shape {labels.shape}"
            )
        classes = int(labels.max()) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ArgumentError(
            f"one_hot: tensor must hold class labels in [0, {classes - 1}]; "
            f"got {labels.min()} to {labels.max()}"
        )
    return from_numpy((labels[..., None] == np.arange(classes)).astype(np.int64))
