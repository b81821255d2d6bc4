"""Losses of one tensor against another, element by element.

Every loss has `reduction`: 'none' gives the loss of each example or element, 'sum' their sum and 'mean' their
mean; sums are taken in double.  PyTorch's older names for it, `size_average` and `reduce`, are refused.
"""

from __future__ import annotations

from tinynet import _check
from tinynet._tensor import Tensor, apply
from tinynet.ops import loss as ops


def refuse_older_names(operation: str, size_average: object, reduce: object) -> None:
    """NotImplementedError if one of the two is given."""
    if size_average is not None or reduce is not None:
        _check.refuse(operation, size_average=(size_average, (None,)), reduce=(reduce, (None,)))


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
    refuse_older_names("mse_loss", size_average, reduce)
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

    Parameters
    ----------
    input, target, size_average, reduce, reduction, weight
        As for `mse_loss`, as are result and errors.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.l1_loss(tn.tensor([1.0, 2.0]), tn.tensor([1.0, 4.0])).item()
    1.0
    """
    refuse_older_names("l1_loss", size_average, reduce)
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

    Parameters
    ----------
    input, target, size_average, reduce, reduction
        As for `mse_loss`, as are result and errors.
    beta : float, default 1.0
        0 or more; with 0 this is `l1_loss`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.smooth_l1_loss(tn.tensor([1.0, 2.0]), tn.tensor([1.0, 4.0])).item()
    0.75
    """
    refuse_older_names("smooth_l1_loss", size_average, reduce)
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

    Parameters
    ----------
    input, target, reduction
        As for `mse_loss`, as are result and errors.
    delta : float, default 1.0
        Above 0.
    weight : Tensor, optional
        Weights that broadcast to input's shape.  The mean still divides by the number of elements, as
        PyTorch's does.

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

    The gradient of the target is that of the bounded logarithms (PyTorch's is infinite where the input is 0
    or 1).

    Parameters
    ----------
    input : Tensor, any shape, float32 or float64
        Probabilities, in [0, 1]; from logits, `binary_cross_entropy_with_logits` is more accurate.
    target, size_average, reduce, reduction
        As for `mse_loss`, as are result and errors.
    weight : Tensor, optional
        Weights that broadcast to input's shape; the mean divides by the number of elements.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.binary_cross_entropy(tn.tensor([0.0, 1.0]), tn.tensor([1.0, 1.0])).item()
    50.0
    """
    refuse_older_names("binary_cross_entropy", size_average, reduce)
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
    refuse_older_names("binary_cross_entropy_with_logits", size_average, reduce)
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
    refuse_older_names("kl_div", size_average, reduce)
    _check.boolean("kl_div", "log_target", log_target)
    return apply(ops.KLDiv(reduction, log_target), input, target)


def _weighted(op: ops.ElementLoss, input: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    return apply(op, input, target) if weight is None else apply(op, input, target, weight)
