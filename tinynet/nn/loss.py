"""Losses as modules over `tinynet.nn.functional`."""

from __future__ import annotations

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.errors import DTypeError
from tinynet.nn import functional as F
from tinynet.nn.module import Module

_REDUCTIONS = ("mean", "sum", "none")


class CrossEntropyLoss(Module):
    """Cross-entropy of logits against class indices; see `functional.cross_entropy`.

    Parameters
    ----------
    weight : Tensor, shape (C,), optional
        Weight of each class, a buffer of this module.
    size_average, reduce : None
        PyTorch's older names for `reduction`; not supported.
    ignore_index : int, default -100
        Target value that contributes nothing.
    reduction : {'mean', 'sum', 'none'}, default 'mean'
        'mean' divides by the sum of the weights of the targets that count.
    label_smoothing : float, default 0.0
        Share of the target spread evenly over the classes, in [0, 1].

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.
    NotImplementedError
        If `size_average` or `reduce` is given.
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
        super().__init__()
        _check.refuse("CrossEntropyLoss", size_average=(size_average, (None,)), reduce=(reduce, (None,)))
        if weight is not None and not isinstance(weight, Tensor):
            raise DTypeError(
                f"CrossEntropyLoss: weight must be a Tensor or None; got {type(weight).__name__}"
            )
        self.register_buffer("weight", weight)
        self.ignore_index = _check.integer("CrossEntropyLoss", "ignore_index", ignore_index)
        self.reduction = _check.choice("CrossEntropyLoss", "reduction", reduction, _REDUCTIONS)
        self.label_smoothing = _check.real("CrossEntropyLoss", "label_smoothing", label_smoothing, 0, 1)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of logits `input` (N, C) for class indices `target` (N,), int64.

        Returns
        -------
        Tensor
            Shape () for 'mean' and 'sum', (N,) for 'none'.
        """
        return F.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )
