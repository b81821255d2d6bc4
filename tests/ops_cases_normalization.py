"""Rows of the table of ops (ops_cases.py): group and batch normalisation of images, dropout of channels.

TWINS holds the same calls for PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ops_cases import (
    BN_ULPS,
    DROPOUT_P,
    DROPOUT_SEED,
    Array,
    Case,
    Shapes,
    bn_eval,
    bn_eval_reference,
    bn_train_reference,
    channel,
    philox,
    running,
)  # fmt: skip

import tinynet as tn
from tinynet.nn import functional as F
from tinynet.ops import arithmetic, group_norm, normalization


def group_norm_reference(groups: int) -> Any:
    def reference(x: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
        y = np.empty_like(x)
        k = x.shape[1] // groups
        for n in range(len(x)):
            for i in range(groups):
                part = x[n, i * k : (i + 1) * k]
                y[n, i * k : (i + 1) * k] = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
        return y if weight is None else y * channel(weight, x) + channel(bias, x)

    return reference


def channel_dropout_reference(x: Array) -> Array:
    n, c = x.shape[:2]
    keep = philox(n * c, DROPOUT_SEED, 1) >= int(DROPOUT_P * 2**32)
    return x * (keep / (1.0 - DROPOUT_P)).reshape(n, c, *(1,) * (x.ndim - 2))


def channels_dropped(door: Any) -> Any:
    return lambda x: door(x, DROPOUT_P, generator=tn.Generator(DROPOUT_SEED))


def affine(*shapes: tuple[int, ...]) -> tuple[Shapes, ...]:
    return tuple((s, (s[1],), (s[1],)) for s in shapes)


GROUPS = affine(
    (4, 12),
    (3, 6, 5),
    (2, 6, 4, 5),
    (17, 12, 3, 2),
    (2, 18, 9, 8),
    (1, 6, 3, 1),
    (2, 6, 2, 1, 3),
    (0, 6, 2, 2),
)
IMAGES = affine((2, 3, 4, 5), (5, 17, 3, 3), (2, 1, 1, 1), (3, 48, 5, 5), (1, 64, 9, 8))
SUM = {"elementwise": False, "ulps": BN_ULPS, "grad_ulps": 2 * BN_ULPS}
FIXED: dict[str, Any] = {**SUM, "node": "group_norm", "fixed": True}

CASES: tuple[Case, ...] = (
    Case("group_norm", group_norm.GroupNorm, lambda x, w, b: F.group_norm(x, 3, w, b),
         group_norm_reference(3), GROUPS, ((19, 36, 17, 11), (36,), (36,)), ("normal", "away", "normal"),
         **FIXED),
    Case("group_norm_one", group_norm.GroupNorm, lambda x, w, b: F.group_norm(x, 1, w, b),
         group_norm_reference(1), GROUPS, ((19, 37, 17, 11), (37,), (37,)), ("normal", "away", "normal"),
         **FIXED),
    Case("group_norm_plain", group_norm.GroupNorm, lambda x: F.group_norm(x, 2), group_norm_reference(2),
         tuple(s[:1] for s in GROUPS), ((3, 70, 30, 31),), **FIXED),
    Case("bn_images", normalization.BatchNorm, lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
         bn_train_reference, IMAGES, ((9, 67, 17, 11), (67,), (67,)), ("distinct", "away", "normal"), **SUM,
         node="batch_norm", fixed=True),
    Case("bn_images_eval", normalization.BatchNorm, bn_eval, bn_eval_reference, IMAGES,
         ((9, 67, 17, 11), (67,), (67,)), **SUM, node="batch_norm", fixed=True),
    Case("dropout1d", arithmetic.Mul, channels_dropped(F.dropout1d), channel_dropout_reference,
         (((3, 5, 7),), ((2, 3, 1),), ((0, 3, 2),)), ((11, 31, 37),), ulps=2, node="mul", fixed=True),
    Case("dropout2d", arithmetic.Mul, channels_dropped(F.dropout2d), channel_dropout_reference,
         (((2, 3, 5, 4),), ((2, 17, 1, 1),), ((0, 3, 2, 2),)), ((11, 31, 7, 5),), ulps=2, node="mul",
         fixed=True),
)  # fmt: skip


def bn_eval_of_pytorch(t: Any, x: Any, w: Any, b: Any) -> Any:
    mean, var = (t.from_numpy(v).to(x.dtype) for v in running(x.shape[1]))
    return t.nn.functional.batch_norm(x, mean, var, w, b, eps=1e-3)


def with_our_channels(t: Any, x: Any) -> Any:
    return x * t.from_numpy(channel_dropout_reference(np.ones(x.shape))).to(x.dtype)


TWINS = {
    "group_norm": lambda t, x, w, b: t.nn.functional.group_norm(x, 3, w, b),
    "group_norm_one": lambda t, x, w, b: t.nn.functional.group_norm(x, 1, w, b),
    "group_norm_plain": lambda t, x: t.nn.functional.group_norm(x, 2),
    "bn_images": lambda t, x, w, b: t.nn.functional.batch_norm(x, None, None, w, b, training=True),
    "bn_images_eval": bn_eval_of_pytorch,
    "dropout1d": with_our_channels,
    "dropout2d": with_our_channels,
}
