"""Losses: every error by its message."""

from __future__ import annotations

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F


def z(*shape, dtype="f4"):
    return tn.tensor(np.full(shape, 0.5, dtype))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: F.mse_loss(z(2, 3), z(3)),
            ShapeError,
            r"mse_loss: target must have the shape of input, \(2, 3\); got \(3,\)",
        ),
        (lambda: F.l1_loss(z(2, 3), z(2, 1)), ShapeError, r"l1_loss: target must have the shape of input"),
        (
            lambda: F.huber_loss(z(2), z(2, dtype="f8")),
            DTypeError,
            "huber_loss: target must have the dtype of input, float32; got float64",
        ),
        (
            lambda: F.mse_loss(tn.tensor([1]), tn.tensor([1])),
            DTypeError,
            "mse_loss: input must be float32 or float64; got int64",
        ),
        (lambda: F.mse_loss(z(2), [0.0, 1.0]), DTypeError, "mse_loss: target must be a Tensor; got list"),
        (
            lambda: F.kl_div(z(2), z(2), reduction="max"),
            ArgumentError,
            "kl_div: reduction must be 'mean', 'batchmean', 'sum' or 'none'; got 'max'",
        ),
        (
            lambda: F.smooth_l1_loss(z(2), z(2), reduction="batchmean"),
            ArgumentError,
            "smooth_l1_loss: reduction must be 'mean', 'sum' or 'none'; got 'batchmean'",
        ),
        (
            lambda: F.nll_loss(z(2, 3), tn.tensor([0, 1]), reduction=None),
            ArgumentError,
            "nll_loss: reduction must be 'mean', 'sum' or 'none'; got None",
        ),
        (
            lambda: F.smooth_l1_loss(z(2), z(2), beta=-1.0),
            ArgumentError,
            "smooth_l1_loss: beta must be a finite number >= 0; got -1.0",
        ),
        (
            lambda: F.huber_loss(z(2), z(2), delta=0),
            ArgumentError,
            "huber_loss: delta must be a finite number > 0; got 0",
        ),
        (
            lambda: F.binary_cross_entropy(z(2) * 4, z(2)),
            ArgumentError,
            r"binary_cross_entropy: input must lie in \[0, 1\]; got values from 2.0 to 2.0",
        ),
        (
            lambda: F.binary_cross_entropy(z(2), z(2), z(3)),
            ShapeError,
            r"binary_cross_entropy: weight must have a shape that broadcasts to .* input, \(2,\); got \(3,\)",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(z(2), z(2), pos_weight=z(4, 2)),
            ShapeError,
            r"binary_cross_entropy_with_logits: pos_weight must have a shape that broadcasts .* got \(4, 2\)",
        ),
        (
            lambda: F.mse_loss(z(2), z(2), weight=z(2, dtype="f8")),
            DTypeError,
            "mse_loss: weight must have the dtype of input, float32; got float64",
        ),
        (
            lambda: F.mse_loss(z(2), z(2), weight=z(2).requires_grad_()),
            NotImplementedError,
            "mse_loss: weight must not require a gradient",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(z(2), z(2), pos_weight=z(2).requires_grad_()),
            NotImplementedError,
            "binary_cross_entropy_with_logits: pos_weight must not require a gradient",
        ),
        (
            lambda: F.cross_entropy(z(2, 3), tn.tensor([0, 1]), z(3).requires_grad_()),
            NotImplementedError,
            "cross_entropy: weight must not require a gradient",
        ),
        (
            lambda: F.cross_entropy(z(2, 3), z(2, 3), ignore_index=1),
            ArgumentError,
            "cross_entropy: ignore_index must be negative when target holds probabilities; got 1",
        ),
        (
            lambda: F.cross_entropy(z(2, 3), z(2, 3, dtype="f8")),
            DTypeError,
            "cross_entropy: target must have the dtype of input, float32; got float64",
        ),
        (
            lambda: F.cross_entropy(z(2, 3, 4), tn.zeros(2, 3, dtype=tn.int64)),
            ShapeError,
            r"cross_entropy: target must have shape \(2, 4\) to match input \(2, 3, 4\); got \(2, 3\)",
        ),
        (
            lambda: F.nll_loss(tn.tensor(1.0), tn.tensor(0)),
            ShapeError,
            r"nll_loss: input must have shape \(K,\), \(N, K\) or \(N, K, d1, ...\) with K >= 1; got \(\)",
        ),
        (
            lambda: F.nll_loss(z(2, 3), z(2)),
            DTypeError,
            "nll_loss: target must hold class labels of an integer dtype; got float32",
        ),
        (
            lambda: F.nll_loss(z(1, 3, 2), tn.tensor([[0, 3]])),
            ArgumentError,
            r"nll_loss: target must hold class labels in \[0, 2\] \(or ignore_index, -100\); "
            r"got 3 at position \(0, 1\)",
        ),
        (
            lambda: F.nll_loss(z(2, 3), tn.tensor([0, 1]), z(2)),
            ShapeError,
            r"nll_loss: weight must have shape \(K,\) with K = 3 to match input \(2, 3\); got \(2,\)",
        ),
        (
            lambda: F.kl_div(z(2), z(2), log_target=1),
            DTypeError,
            "kl_div: log_target must be a bool; got 1",
        ),
        (lambda: F.one_hot(z(2)), DTypeError, "one_hot: tensor must be a Tensor of integers; got float32"),
        (lambda: F.one_hot([1]), DTypeError, "one_hot: tensor must be a Tensor of integers; got list"),
        (
            lambda: F.one_hot(tn.tensor([0, 3]), 3),
            ArgumentError,
            r"one_hot: tensor must hold class labels in \[0, 2\]; got 0 to 3",
        ),
        (lambda: F.one_hot(tn.tensor([-1])), ArgumentError, "one_hot: tensor must hold class labels"),
        (
            lambda: F.one_hot(tn.zeros(0, dtype=tn.int64)),
            ArgumentError,
            r"one_hot: num_classes must be given for a tensor without elements; got shape \(0,\)",
        ),
        (
            lambda: F.one_hot(tn.tensor([0]), -2),
            ArgumentError,
            "one_hot: num_classes must be an int >= -1; got -2",
        ),
        (
            lambda: nn.KLDivLoss(reduction="avg"),
            ArgumentError,
            "KLDivLoss: reduction must be one of 'mean', 'batchmean', 'sum', 'none'; got 'avg'",
        ),
        (lambda: nn.KLDivLoss(log_target=None), DTypeError, "KLDivLoss: log_target must be a bool; got None"),
        (
            lambda: nn.HuberLoss(delta=0),
            ArgumentError,
            "HuberLoss: delta must be a finite number > 0; got 0.0",
        ),
        (lambda: nn.SmoothL1Loss(beta=-1), ArgumentError, "SmoothL1Loss: beta must be a finite number >= 0"),
        (lambda: nn.NLLLoss(ignore_index=0.5), DTypeError, "NLLLoss: ignore_index must be an int; got 0.5"),
        (lambda: nn.BCELoss([1.0]), DTypeError, "BCELoss: weight must be a Tensor or None; got list"),
        (
            lambda: nn.BCEWithLogitsLoss(pos_weight=2.0),
            DTypeError,
            "BCEWithLogitsLoss: pos_weight must be a Tensor or None; got float",
        ),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("option", ["size_average", "reduce"])
@pytest.mark.parametrize(
    "name",
    [
        "cross_entropy",
        "nll_loss",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "kl_div",
    ],
)
def test_older_names_are_refused(name, option):
    target = tn.tensor([0, 1]) if name in ("cross_entropy", "nll_loss") else z(2, 3)
    with pytest.raises(NotImplementedError, match=f"{name}: {option} must be None, .* got True"):
        getattr(F, name)(z(2, 3), target, **{option: True})


@pytest.mark.parametrize("option", ["size_average", "reduce"])
@pytest.mark.parametrize(
    "kind",
    [nn.NLLLoss, nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.KLDivLoss],
)
def test_older_names_are_refused_by_modules(kind, option):
    with pytest.raises(NotImplementedError, match=f"{kind.__name__}: {option} must be None, .* got False"):
        kind(**{option: False})
