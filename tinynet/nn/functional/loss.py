"""Losses, and `one_hot`.

Every loss has `reduction`: 'none' gives the loss of each example or element, 'sum' their sum and 'mean' their
mean; sums are taken in double.  PyTorch's older names for it, `size_average` and `reduce`, are refused.
"""

from __future__ import annotations

import numpy as np

from tinynet import _check
from tinynet._tensor import Tensor, apply, from_numpy
from tinynet.errors import ArgumentError, DTypeError
from tinynet.ops import loss as ops
from tinynet.ops.cross_entropy import CrossEntropy, NLLLoss, SoftCrossEntropy

_DEFAULT_IGNORE = -100


def _refuse_older_names(operation: str, size_average: object, reduce: object) -> None:
    if size_average is not None or reduce is not None:
        _check.refuse(operation, size_average=(size_average, (None,)), reduce=(reduce, (None,)))


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = _DEFAULT_IGNORE,
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
    _refuse_older_names("cross_entropy", size_average, reduce)
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
    ignore_index: int = _DEFAULT_IGNORE,
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
    _refuse_older_names("nll_loss", size_average, reduce)
    return apply(NLLLoss(ignore_index, reduction), input, target, weight)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Squared error, ``weight (input - target)^2`` elementwise.

    Parameters
    ----------
    input : Tensor, any shape, float32 or float64
    target : Tensor
        Of input's shape and dtype, or integers, which are converted.
    size_average, reduce : None
        PyTorch's older names for `reduction`; not supported.
    reduction : {'mean', 'sum', 'none'}, default 'mean'
        The mean of weighted errors divides by the sum of the weights; the mean of nothing is NaN.
    weight : Tensor, optional
        Weights that broadcast to input's shape.  They receive no gradient.

    Returns
    -------
    Tensor, shape () or, for 'none', that of `input`

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If shapes differ (they are not broadcast), dtypes differ, or `reduction` is none of the three.
    NotImplementedError
        If `weight` requires a gradient, or `size_average` or `reduce` is given.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.mse_loss(tn.tensor([1.0, 2.0]), tn.tensor([1.0, 4.0])).item()
    2.0
    """
    _refuse_older_names("mse_loss", size_average, reduce)
    return _weighted(ops.MSELoss(reduction), input, target, weight)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Absolute error, ``weight |input - target|`` elementwise; slope 0 where they are equal.

    Parameters, result and errors are those of `mse_loss`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.l1_loss(tn.tensor([1.0, 2.0]), tn.tensor([1.0, 4.0])).item()
    1.0
    """
    _refuse_older_names("l1_loss", size_average, reduce)
    return _weighted(ops.L1Loss(reduction), input, target, weight)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """``d^2 / (2 beta)`` where ``d = |input - target| < beta``, else ``d - beta / 2``; elementwise.

    `beta` is 0 (then this is `l1_loss`) or more.  All else is as for `mse_loss`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.smooth_l1_loss(tn.tensor([1.0, 2.0]), tn.tensor([1.0, 4.0])).item()
    0.75
    """
    _refuse_older_names("smooth_l1_loss", size_average, reduce)
    if beta == 0:
        return apply(ops.L1Loss(reduction), input, target)
    return apply(ops.SmoothL1Loss(reduction, beta), input, target)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """``d^2 / 2`` where ``d = |input - target| < delta``, else ``delta (d - delta / 2)`` (Huber 1964).

    `delta` is above 0.  With `weight` the mean still divides by the number of elements, as PyTorch's does.
    All else is as for `mse_loss`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.huber_loss(tn.tensor([1.0, 2.0]), tn.tensor([1.0, 4.0]), delta=0.5).item()
    0.4375
    """
    return _weighted(ops.HuberLoss(reduction, delta), input, target, weight)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-weight (target log input + (1 - target) log(1 - input))``, elementwise, logarithms at least -100.

    `input` holds probabilities, in [0, 1]; from logits, `binary_cross_entropy_with_logits` is more accurate.
    `weight` broadcasts to input's shape; the mean divides by the number of elements.  The gradient of the
    target is that of the bounded logarithms (PyTorch's is infinite where the input is 0 or 1).  All else is
    as for `mse_loss`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.binary_cross_entropy(tn.tensor([0.0, 1.0]), tn.tensor([1.0, 1.0])).item()
    50.0
    """
    _refuse_older_names("binary_cross_entropy", size_average, reduce)
    return _weighted(ops.BCELoss(reduction), input, target, weight)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of the sigmoid of logits, elementwise, without overflow or cancellation.

    ``weight (pos_weight target softplus(-input) + (1 - target) softplus(input))`` with
    ``softplus(x) = log(1 + exp(x))``.

    Parameters
    ----------
    input : Tensor, any shape, float32 or float64
        Logits.
    target : Tensor
        Probabilities of input's shape and dtype, or integers (0 and 1), which are converted.
    weight, pos_weight : Tensor, optional
        Weights of the elements and of the positive class; they broadcast to input's shape and receive no
        gradient.
    size_average, reduce : None
        PyTorch's older names for `reduction`; not supported.
    reduction : {'mean', 'sum', 'none'}, default 'mean'
        'mean' divides by the number of elements.

    Returns
    -------
    Tensor, shape () or, for 'none', that of `input`

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If shapes or dtypes do not fit.
    NotImplementedError
        If a weight requires a gradient, or `size_average` or `reduce` is given.

    Examples
    --------
    >>> import tinynet as tn
    >>> x, t = tn.tensor([1e4, -1e4, 0.0]), tn.tensor([1, 1, 0])
    >>> tn.nn.functional.binary_cross_entropy_with_logits(x, t, reduction="none")[:2].tolist()
    [0.0, 10000.0]
    """
    _refuse_older_names("binary_cross_entropy_with_logits", size_average, reduce)
    op = ops.BCEWithLogits(reduction)
    if weight is None and pos_weight is None:
        return apply(op, input, target)
    return apply(op, input, target, weight, pos_weight)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence, ``target (log target - input)`` elementwise (0 where the target is 0).

    Parameters
    ----------
    input : Tensor, any shape, float32 or float64
        Log-probabilities.
    target : Tensor
        Probabilities, or their logarithms if `log_target`; of input's shape and dtype.
    size_average, reduce : None
        PyTorch's older names for `reduction`; not supported.
    reduction : {'mean', 'batchmean', 'sum', 'none'}, default 'mean'
        'batchmean', which divides by the size of the first axis, is the divergence of an example; 'mean'
        divides by the number of elements.
    log_target : bool, default False

    Returns
    -------
    Tensor, shape () or, for 'none', that of `input`

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If shapes or dtypes do not fit.
    NotImplementedError
        If `size_average` or `reduce` is given.

    Examples
    --------
    >>> import tinynet as tn
    >>> p = tn.tensor([[0.5, 0.5]])
    >>> tn.nn.functional.kl_div(p.log(), p, reduction="batchmean").item()
    0.0
    """
    _refuse_older_names("kl_div", size_average, reduce)
    _check.boolean("kl_div", "log_target", log_target)
    return apply(ops.KLDiv(reduction, log_target), input, target)


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


def _weighted(op: ops.ElementLoss, input: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    return apply(op, input, target) if weight is None else apply(op, input, target, weight)
