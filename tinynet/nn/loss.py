"""Losses as modules over `tinynet.nn.functional`."""

from __future__ import annotations

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.errors import DTypeError
from tinynet.nn import functional as F
from tinynet.nn.module import Module

_REDUCTIONS = ("mean", "sum", "none")


class _Loss(Module):
    """Base of the losses: `reduction`, and the weights as buffers."""

    def __init__(
        self, size_average: None, reduce: None, reduction: str, choices: tuple[str, ...] = _REDUCTIONS
    ) -> None:
        super().__init__()
        name = type(self).__name__
        _check.refuse(name, size_average=(size_average, (None,)), reduce=(reduce, (None,)))
        self.reduction = _check.choice(name, "reduction", reduction, choices)

    def _register_weight(self, name: str, weight: Tensor | None) -> None:
        if weight is not None and not isinstance(weight, Tensor):
            raise DTypeError(
                f"{type(self).__name__}: {name} must be a Tensor or None; got {type(weight).__name__}"
            )
        self.register_buffer(name, weight)


class CrossEntropyLoss(_Loss):
    """Cross-entropy of logits against class labels or probabilities; see `functional.cross_entropy`.

    Parameters
    ----------
    weight : Tensor, shape (K,), optional
        Weight of each class, a buffer of this module.
    size_average, reduce : None
        PyTorch's older names for `reduction`; not supported.
    ignore_index : int, default -100
        Label that contributes nothing.
    reduction : {'mean', 'sum', 'none'}, default 'mean'
        'mean' divides by the sum of the weights of the labels that count.
    label_smoothing : float, default 0.0
        Share of the target spread evenly over the classes, in [0, 1].

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.
    NotImplementedError
        If `size_average` or `reduce` is given.

    Examples
    --------
    >>> import tinynet as tn
    >>> loss = tn.nn.CrossEntropyLoss(reduction="none")
    >>> loss(tn.zeros(2, 2), tn.tensor([0, 1])).shape
    (2,)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._register_weight("weight", weight)
        self.ignore_index = _check.integer("CrossEntropyLoss", "ignore_index", ignore_index)
        self.label_smoothing = _check.real("CrossEntropyLoss", "label_smoothing", label_smoothing, 0, 1)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of logits `input`, (K,), (N, K) or (N, K, d1, ...), for labels or probabilities `target`."""
        return F.cross_entropy(
            input, target, self.weight, None, self.ignore_index, None, self.reduction, self.label_smoothing
        )


class NLLLoss(_Loss):
    """Negative log-likelihood of class labels under log-probabilities; see `functional.nll_loss`.

    Parameters
    ----------
    weight, size_average, ignore_index, reduce, reduction
        As for `CrossEntropyLoss`, as are the errors.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.NLLLoss()(tn.tensor([[-0.5, -1.0]]), tn.tensor([1])).item()
    1.0
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._register_weight("weight", weight)
        self.ignore_index = _check.integer("NLLLoss", "ignore_index", ignore_index)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of log-probabilities `input`, (K,), (N, K) or (N, K, d1, ...), for labels `target`."""
        return F.nll_loss(input, target, self.weight, None, self.ignore_index, None, self.reduction)


class MSELoss(_Loss):
    """Squared error of tensors of one shape; see `functional.mse_loss`.

    Parameters
    ----------
    size_average, reduce : None
        PyTorch's older names for `reduction`; not supported.
    reduction : {'mean', 'sum', 'none'}, default 'mean'

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.MSELoss()(tn.tensor([1.0, 2.0]), tn.tensor([1.0, 4.0])).item()
    2.0
    """

    def __init__(self, size_average: None = None, reduce: None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of `input` for a `target` of the same shape."""
        return F.mse_loss(input, target, None, None, self.reduction)


class L1Loss(_Loss):
    """Absolute error of tensors of one shape; see `functional.l1_loss`.

    Parameters
    ----------
    size_average, reduce, reduction
        As for `MSELoss`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.L1Loss()(tn.tensor([1.0, 2.0]), tn.tensor([1.0, 4.0])).item()
    1.0
    """

    def __init__(self, size_average: None = None, reduce: None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of `input` for a `target` of the same shape."""
        return F.l1_loss(input, target, None, None, self.reduction)


class SmoothL1Loss(_Loss):
    """Squared error below `beta`, absolute error above; see `functional.smooth_l1_loss`.

    Parameters
    ----------
    size_average, reduce, reduction
        As for `MSELoss`.
    beta : float, default 1.0
        0 or more.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.SmoothL1Loss(beta=2.0)(tn.tensor([1.0, 2.0]), tn.tensor([1.0, 4.0])).item()
    0.5
    """

    def __init__(
        self, size_average: None = None, reduce: None = None, reduction: str = "mean", beta: float = 1.0
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = _check.real("SmoothL1Loss", "beta", beta, 0)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of `input` for a `target` of the same shape."""
        return F.smooth_l1_loss(input, target, None, None, self.reduction, self.beta)


class HuberLoss(_Loss):
    """Squared error below `delta`, absolute error above; see `functional.huber_loss`.

    Parameters
    ----------
    reduction : {'mean', 'sum', 'none'}, default 'mean'
    delta : float, default 1.0
        Above 0.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.HuberLoss(delta=0.5)(tn.tensor([1.0, 2.0]), tn.tensor([1.0, 4.0])).item()
    0.4375
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(None, None, reduction)
        self.delta = _check.real("HuberLoss", "delta", delta, 0, above=True)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of `input` for a `target` of the same shape."""
        return F.huber_loss(input, target, self.reduction, self.delta)


class BCELoss(_Loss):
    """Binary cross-entropy of probabilities; see `functional.binary_cross_entropy`.

    Parameters
    ----------
    weight : Tensor, optional
        A buffer that broadcasts to the shape of the input.
    size_average, reduce, reduction
        As for `MSELoss`.

    Examples
    --------
    >>> import tinynet as tn
    >>> round(tn.nn.BCELoss()(tn.tensor([0.5]), tn.tensor([1.0])).item(), 4)
    0.6931
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._register_weight("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of probabilities `input` for a `target` of the same shape."""
        return F.binary_cross_entropy(input, target, self.weight, None, None, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of logits; see `functional.binary_cross_entropy_with_logits`.

    Parameters
    ----------
    weight, pos_weight : Tensor, optional
        Buffers that broadcast to the shape of the input: weights of the elements and of the positive class.
    size_average, reduce, reduction
        As for `MSELoss`.

    Examples
    --------
    >>> import tinynet as tn
    >>> round(tn.nn.BCEWithLogitsLoss()(tn.tensor([0.0]), tn.tensor([1.0])).item(), 4)
    0.6931
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._register_weight("weight", weight)
        self._register_weight("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of logits `input` for a `target` of the same shape."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, None, None, self.reduction, self.pos_weight
        )


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence of log-probabilities from a target; see `functional.kl_div`.

    Parameters
    ----------
    size_average, reduce : None
        As for `MSELoss`.
    reduction : {'mean', 'batchmean', 'sum', 'none'}, default 'mean'
    log_target : bool, default False
        Whether the target holds logarithms, too.

    Examples
    --------
    >>> import tinynet as tn
    >>> p = tn.tensor([[0.5, 0.5]])
    >>> tn.nn.KLDivLoss(reduction="batchmean")(p.log(), p).item()
    0.0
    """

    def __init__(
        self,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction, ("mean", "batchmean", "sum", "none"))
        self.log_target = _check.boolean("KLDivLoss", "log_target", log_target)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of log-probabilities `input` for a `target` of the same shape."""
        return F.kl_div(input, target, None, None, self.reduction, self.log_target)
