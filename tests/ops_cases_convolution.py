"""Rows of the table of ops (ops_cases.py): convolutions.  TWINS holds the same calls for PyTorch.

The references go over outputs and taps one by one, as the equations stand.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from ops_cases import Array, Case, Shapes

import tinynet as tn
from tinynet.ops.convolution import Convolution, TransposedConvolution

Pair = tuple[int, int]


def seen_pixels(
    rows: int, columns: int, size: Pair, taps: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> list[tuple[Pair, Pair, Pair]]:
    """(output, tap, pixel) for every tap of every output that sees a pixel of an image of extents `size`."""
    found = []
    for i, j, r, s in np.ndindex(rows, columns, *taps):
        pixel = i * stride[0] - padding[0] + r * dilation[0], j * stride[1] - padding[1] + s * dilation[1]
        if 0 <= pixel[0] < size[0] and 0 <= pixel[1] < size[1]:
            found.append(((i, j), (r, s), pixel))
    return found


def pair(value: Any) -> Pair:
    return value if isinstance(value, tuple) else (value, value)


def convolution_reference(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Array:
    """y[n, k, i, j] = b[k] + sum of w[k, c, r, s] x[n, c, i stride - padding + r dilation, ..]."""
    if x.ndim == 3 and w.ndim == 4:
        return convolution_reference(x[None], w, b, stride, padding, dilation, groups)[0]
    stride, dilation = pair(stride), pair(dilation)
    reach = tuple((t - 1) * d + 1 for t, d in zip(w.shape[2:], dilation, strict=True))
    size, n, k = x.shape[2:], len(x), len(w) // groups
    if padding == "same":
        extents, padding = size, tuple((a - 1) // 2 for a in reach)
    else:
        padding = pair(padding)
        triples = zip(size, padding, reach, stride, strict=True)
        extents = tuple((a + 2 * p - t) // s + 1 for a, p, t, s in triples)
    y = np.zeros((n, groups, k, *extents))
    grouped = x.reshape(n, groups, w.shape[1], *size)
    kernels = w.reshape(groups, k, *w.shape[1:])
    for (i, j), (r, s), (h, v) in seen_pixels(*extents, size, w.shape[2:], stride, padding, dilation):
        y[..., i, j] += np.einsum("gkc,ngc->ngk", kernels[..., r, s], grouped[..., h, v])
    y = y.reshape(n, len(w), *extents)
    return y if b is None else y + b[:, None, None]


def transposed_reference(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Array:
    """y[n, k, i stride - padding + r dilation, ...] gets w[c, k, r, s] x[n, c, i, j], for every window."""
    stride, padding, dilation, extra = pair(stride), pair(padding), pair(dilation), pair(output_padding)
    n, size = len(x), x.shape[2:]
    extents = tuple(
        (size[d] - 1) * stride[d] - 2 * padding[d] + dilation[d] * (w.shape[2 + d] - 1) + extra[d] + 1
        for d in range(2)
    )
    y = np.zeros((n, groups, w.shape[1], *extents))
    grouped = x.reshape(n, groups, len(w) // groups, *size)
    kernels = w.reshape(groups, -1, *w.shape[1:])
    for (i, j), (r, s), (h, v) in seen_pixels(*size, extents, w.shape[2:], stride, padding, dilation):
        y[..., h, v] += np.einsum("gck,ngc->ngk", kernels[..., r, s], grouped[..., i, j])
    y = y.reshape(n, groups * w.shape[1], *extents)
    return y if b is None else y + b[:, None, None]


def flat(reference: Callable[..., Array]) -> Callable[..., Array]:
    """The reference for one axis: images of height 1."""

    def along_one(x: Array, w: Array, b: Array | None = None, **options: Any) -> Array:
        given = {k: (0 if "padding" in k else 1, v) if k != "groups" else v for k, v in options.items()}
        return reference(x[:, :, None], w[:, :, None], b, **given)[:, :, 0]

    return along_one


# name of the row, door, options, shapes of input, weight and bias (or none), shapes of a large call
ROWS: tuple[tuple[str, str, dict[str, Any], tuple[Shapes, ...], Shapes], ...] = (
    ("conv2d", "conv2d", {"padding": 1},
     (((2, 3, 6, 5), (4, 3, 3, 3), (4,)), ((1, 17, 4, 5), (19, 17, 2, 4), (19,)),
      ((0, 3, 4, 4), (2, 3, 3, 3), (2,)), ((3, 1, 1, 1), (1, 1, 3, 3), (1,)),
      ((3, 5, 4), (2, 3, 3, 2), (2,))),
     ((3, 20, 23, 29), (37, 20, 3, 3), (37,))),
    ("conv2d_1x1", "conv2d", {}, (((2, 5, 3, 4), (18, 5, 1, 1)), ((1, 35, 1, 3), (3, 35, 1, 1))),
     ((3, 70, 13, 17), (45, 70, 1, 1))),
    ("conv2d_plain", "conv2d", {}, (((2, 2, 6, 5), (3, 2, 3, 2)), ((1, 4, 3, 3), (2, 4, 3, 3))),
     ((2, 33, 21, 19), (18, 33, 5, 3))),
    ("conv2d_strided", "conv2d", {"stride": (2, 3), "padding": (1, 2), "dilation": (2, 1)},
     (((2, 3, 6, 7), (4, 3, 3, 3), (4,)), ((1, 18, 3, 5), (2, 18, 2, 4), (2,)),
      ((2, 2, 4, 4), (3, 2, 1, 1), (3,))),
     ((3, 18, 31, 37), (20, 18, 3, 5), (20,))),
    ("conv2d_same", "conv2d", {"padding": "same", "groups": 2},
     (((2, 4, 5, 4), (6, 2, 3, 2), (6,)), ((1, 2, 3, 3), (34, 1, 4, 5), (34,))),
     ((2, 32, 17, 19), (34, 16, 3, 3), (34,))),
    ("conv2d_depthwise", "conv2d", {"padding": (1, 2), "stride": (1, 2), "groups": 18},
     (((2, 18, 5, 9), (18, 1, 3, 5), (18,)), ((1, 18, 4, 4), (54, 1, 2, 3), (54,))),
     ((2, 18, 11, 40), (36, 1, 2, 9), (36,))),
    ("conv1d", "conv1d", {"stride": 2, "padding": 1},
     (((2, 3, 8), (4, 3, 3), (4,)), ((1, 17, 5), (19, 17, 2), (19,))), ((3, 20, 203), (37, 20, 5), (37,))),
    ("conv_transpose2d", "conv_transpose2d",
     {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 0), "dilation": (1, 2)},
     (((2, 3, 4, 3), (3, 4, 3, 2), (4,)), ((1, 17, 2, 2), (17, 19, 4, 1), (19,)),
      ((0, 3, 2, 2), (3, 2, 3, 3), (2,))),
     ((2, 20, 17, 13), (20, 37, 3, 3), (37,))),
    ("conv_transpose2d_groups", "conv_transpose2d", {"padding": 1, "groups": 2},
     (((2, 4, 3, 4), (4, 3, 3, 3)), ((1, 2, 3, 2), (2, 1, 2, 3))), ((2, 34, 17, 19), (34, 9, 3, 3))),
    ("conv_transpose1d", "conv_transpose1d", {"stride": 2, "output_padding": 1},
     (((2, 3, 5), (3, 4, 3), (4,)), ((1, 17, 3), (17, 19, 1), (19,))), ((3, 20, 103), (20, 37, 5), (37,))),
)  # fmt: skip


def door(name: str, options: dict[str, Any]) -> Callable[..., tn.Tensor]:
    return lambda *tensors: getattr(tn.nn.functional, name)(*tensors, **options)


def reference(name: str, options: dict[str, Any]) -> Callable[..., Array]:
    function = transposed_reference if "transpose" in name else convolution_reference
    return lambda *arrays: (flat(function) if "1d" in name else function)(*arrays, **options)


def twin(name: str, options: dict[str, Any]) -> Callable[..., Any]:
    def call(t: Any, *tensors: Any) -> Any:
        with warnings.catch_warnings():  # PyTorch's, of a copy for padding="same" and an even kernel
            warnings.simplefilter("ignore")
            return getattr(t.nn.functional, name)(*tensors, **options)

    return call


# Rows whose large call goes to Winograd's algorithm, which rounds more coarsely than a sum over the taps.
COARSER = ("conv2d", "conv2d_same")

CASES = tuple(
    Case(name, TransposedConvolution if "transpose" in node else Convolution, door(node, options),
         reference(node, options), shapes, large, elementwise=False, node=node, fixed=True,
         ulps=16 if name in COARSER else 8, grad_ulps=32 if name in COARSER else 16)
    for name, node, options, shapes, large in ROWS
)  # fmt: skip

TWINS = {name: twin(node, options) for name, node, options, _, _ in ROWS}
