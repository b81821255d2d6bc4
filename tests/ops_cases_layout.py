"""Rows of the table of ops (ops_cases.py) on images: padding, windows as columns, other ops on four axes.

TWINS holds the same calls for PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ops_cases import Array, Case

import tinynet as tn
from tinynet.nn import functional as F
from tinynet.ops import arithmetic as A
from tinynet.ops import padding, unfold
from tinynet.ops import reduction as R
from tinynet.ops import shape as S

WIDTHS = (2, 1, 0, 3)  # left, right, top, bottom
CUT = (1, -1, -1, 1)
NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
WINDOWS: dict[str, Any] = {"kernel_size": (2, 3), "dilation": (2, 1), "padding": (1, 0), "stride": (1, 2)}


def extended(mode: str, widths: tuple[int, ...]) -> Callable[[Array], Array]:
    """np.pad, after what a negative width cuts off is gone."""

    def reference(x: Array) -> Array:
        pairs = list(zip(widths[::2], widths[1::2], strict=True))[::-1]
        cut = tuple(slice(max(-a, 0), n + min(b, 0)) for (a, b), n in zip(pairs, x.shape[2:], strict=True))
        left = [(max(a, 0), max(b, 0)) for a, b in pairs]
        return np.pad(x[(..., *cut)], ((0, 0), (0, 0), *left), NUMPY_MODES[mode])

    return reference


def windows(h: int, w: int) -> tuple[int, int]:
    """P and Q for the windows of WINDOWS."""
    return h + 2 - 2, (w - 3) // 2 + 1


def unfolded(x: Array) -> Array:
    """Element by element, as the equation stands."""
    n, c, h, w = x.shape
    (p, q), (r, s) = windows(h, w), (2, 3)
    y = np.zeros((n, c * r * s, p * q))
    for k, i, j, a, b in np.ndindex(c, r, s, p, q):
        if 0 <= a + 2 * i - 1 < h:
            y[:, (k * r + i) * s + j, a * q + b] = x[:, k, a + 2 * i - 1, 2 * b + j]
    return y


def folded(x: Array) -> Array:
    """The adjoint of `unfolded`, from its matrix; images of 3 x 5."""
    n, rows, columns = x.shape
    pixels = rows // 6 * 15
    units = unfolded(np.eye(pixels).reshape(pixels, rows // 6, 3, 5)).reshape(pixels, rows * columns)
    return (x.reshape(n, -1) @ units.T).reshape(n, rows // 6, 3, 5)


IMAGES = (((2, 3, 4, 5),), ((1, 1, 3, 3),), ((3, 5, 3, 4),))
BIG_IMAGES = ((3, 18, 21, 19),)
BESIDE = (
    ((2, 3, 4, 5), (1, 3, 1, 1)),
    ((2, 3, 4, 5), (3, 1, 1)),
    ((1, 3, 4, 5), (2, 3, 1, 1)),
    ((2, 9, 4, 1), (9, 4, 1)),
)
BIG_BESIDE = ((5, 35, 11, 13), (1, 35, 1, 1))

CASES = (
    *(
        Case(f"pad_{mode}{'_cut' * (widths is CUT)}", padding.Extend,
             lambda x, mode=mode, widths=widths: F.pad(x, widths, mode), extended(mode, widths), IMAGES,
             BIG_IMAGES, node="pad", fixed=True, elementwise=False)
        for mode in NUMPY_MODES for widths in ((*WIDTHS[:2], 1, 2), CUT)
    ),
    Case("pad_images", S.Pad, lambda x: F.pad(x, WIDTHS, value=0.5),
         lambda x: np.pad(x, ((0, 0), (0, 0), (0, 3), (2, 1)), constant_values=0.5),
         (*IMAGES, ((0, 2, 3, 3),)), BIG_IMAGES, node="pad"),
    Case("unfold", unfold.Unfold, lambda x: F.unfold(x, **WINDOWS), unfolded,
         (((2, 3, 4, 5),), ((1, 1, 3, 3),), ((3, 2, 1, 8),)), ((2, 5, 13, 18),), fixed=True),
    Case("fold", unfold.Fold, lambda x: F.fold(x, (3, 5), **WINDOWS), folded,
         (((2, 12, 6),), ((1, 6, 6),)), ((5, 24, 6),), elementwise=False, fixed=True, ulps=4),
    Case("add_images", A.Add, lambda a, b: a + b, lambda a, b: a + b, BESIDE, BIG_BESIDE, node="add"),
    Case("mul_images", A.Mul, lambda a, b: a * b, lambda a, b: a * b, BESIDE, BIG_BESIDE, node="mul"),
    Case("div_images", A.Div, lambda a, b: a / b, lambda a, b: a / b, BESIDE, BIG_BESIDE, ("normal", "away"),
         node="div", ulps=2, grad_ulps=64),
    Case("cat_images", S.Cat, lambda a, b, c: tn.cat([a, b, c], 1),
         lambda a, b, c: np.concatenate([a, b, c], 1),
         (((2, 3, 4, 5), (2, 1, 4, 5), (2, 2, 4, 5)), ((1, 2, 1, 1), (1, 3, 1, 1), (1, 1, 1, 1))),
         ((3, 19, 9, 11), (3, 32, 9, 11), (3, 1, 9, 11)), node="cat"),
    Case("cat_batch", S.Cat, lambda a, b: tn.cat([a, b]), lambda a, b: np.concatenate([a, b]),
         (((2, 3, 4, 5), (1, 3, 4, 5)),), ((3, 19, 9, 11), (2, 19, 9, 11)), node="cat"),
    Case("sum_images", R.Sum, lambda x: x.sum((0, 2, 3)), lambda x: np.einsum("nchw->c", x), IMAGES,
         ((5, 35, 29, 13),), elementwise=False, ulps=4, node="sum"),
    Case("mean_images", R.Mean, lambda x: x.mean((-1, -2), keepdim=True),
         lambda x: np.einsum("nchw->nc", x)[..., None, None] / (x.shape[2] * x.shape[3]), IMAGES,
         ((5, 35, 29, 13),), elementwise=False, ulps=4, node="mean"),
    Case("flatten_images", S.Reshape, lambda x: x.flatten(1), lambda x: np.stack([i.ravel() for i in x]),
         IMAGES, BIG_IMAGES, node="reshape"),
)  # fmt: skip

TWINS: dict[str, Callable[..., Any]] = {
    **{
        f"pad_{mode}{'_cut' * (widths is CUT)}": (
            lambda t, x, mode=mode, widths=widths: t.nn.functional.pad(x, widths, mode)
        )
        for mode in NUMPY_MODES
        for widths in ((*WIDTHS[:2], 1, 2), CUT)
    },
    "pad_images": lambda t, x: t.nn.functional.pad(x, WIDTHS, value=0.5),
    "unfold": lambda t, x: t.nn.functional.unfold(x, **WINDOWS),
    "fold": lambda t, x: t.nn.functional.fold(x, (3, 5), **WINDOWS),
    "add_images": lambda t, a, b: a + b,
    "mul_images": lambda t, a, b: a * b,
    "div_images": lambda t, a, b: a / b,
    "cat_images": lambda t, a, b, c: t.cat([a, b, c], 1),
    "cat_batch": lambda t, a, b: t.cat([a, b]),
    "sum_images": lambda t, x: x.sum((0, 2, 3)),
    "mean_images": lambda t, x: x.mean((-1, -2), keepdim=True),
    "flatten_images": lambda t, x: x.flatten(1),
}
