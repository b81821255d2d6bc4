"""Rows of the table of ops (see ops_cases.py): pooling, local response normalisation; PyTorch's twins."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from ops_cases import Array, Case, Shapes

import tinynet as tn
from tinynet._tensor import apply
from tinynet.nn import functional as F
from tinynet.ops import local_response_norm as responses
from tinynet.ops import pooling as P

Pair = tuple[int, int]

# ---- references, from the equations ----------------------------------------------------------------


def starts(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> list[int]:
    """Where windows begin: as long as they end within the padding, or with ceil_mode begin before it."""
    found, at = [], -padding
    end = size + padding
    while at + dilation * (kernel - 1) < end or (
        ceil_mode and at < size and at - stride + dilation * (kernel - 1) < end - 1
    ):
        found.append(at)
        at += stride
    return found


def pool_reference(
    x: Array,
    of_window: Callable[[Array, int], Array],
    kernel: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> Array:
    """`of_window` of the elements of each window, (..., taps), and of its taps in map and padding."""
    axes = [
        starts(*each, ceil_mode) for each in zip(x.shape[-2:], kernel, stride, padding, dilation, strict=True)
    ]
    y = np.empty((*x.shape[:-2], *map(len, axes)))
    for p, top in enumerate(axes[0]):
        for q, left in enumerate(axes[1]):
            at = [
                (top + i * dilation[0], left + j * dilation[1])
                for i in range(kernel[0])
                for j in range(kernel[1])
            ]
            held = [x[..., i, j] for i, j in at if 0 <= i < x.shape[-2] and 0 <= j < x.shape[-1]]
            counted = [i < x.shape[-2] + padding[0] and j < x.shape[-1] + padding[1] for i, j in at]
            y[..., p, q] = of_window(np.stack(held, axis=-1), sum(counted))
    return y


def largest_of(window: Array, counted: int) -> Array:
    return window.max(axis=-1)


def mean_of(window: Array, counted: int) -> Array:
    return window.sum(axis=-1) / counted


def mean_of_map(window: Array, counted: int) -> Array:
    return window.mean(axis=-1)


def third_of(window: Array, counted: int) -> Array:
    return window.sum(axis=-1) / 3.0


def adaptive_reference(x: Array, size: tuple[int | None, int | None], of_part: Callable[..., Array]) -> Array:
    """Rows floor(p H / P) <= i < ceil((p + 1) H / P), and columns likewise."""
    (h, w), (rows, columns) = x.shape[-2:], size
    rows, columns = rows or h, columns or w
    y = np.empty((*x.shape[:-2], rows, columns))
    for p in range(rows):
        for q in range(columns):
            inside = [i for i in range(h) if (i + 1) * rows > p * h and i * rows < (p + 1) * h]
            across = [j for j in range(w) if (j + 1) * columns > q * w and j * columns < (q + 1) * w]
            y[..., p, q] = of_part(x[..., inside, :][..., across], axis=(-2, -1))
    return y


def along(reference: Callable[..., Array], *args: object, **options: object) -> Callable[[Array], Array]:
    """A reference for signals: maps of height 1."""
    return lambda x: reference(x[..., None, :], *args, **options)[..., 0, :]


def response_reference(x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """x_j (k + alpha / size sum x_i^2)^-beta over the `size` channels from j - size // 2 on."""
    y = np.empty_like(x)
    for j in range(x.shape[1]):
        window = [x[:, i] ** 2 for i in range(j - size // 2, j - size // 2 + size) if 0 <= i < x.shape[1]]
        y[:, j] = x[:, j] * (k + alpha / size * sum(window)) ** -beta
    return y


def response(x: tn.Tensor, **options: Any) -> tn.Tensor:
    return apply(responses.LocalResponseNorm(**options), x)


# ---- the rows --------------------------------------------------------------------------------------

MAPS: tuple[Shapes, ...] = (
    ((1, 5, 7, 5),), ((5, 7, 6),), ((1, 17, 5, 4),), ((1, 3, 4, 9),), ((0, 3, 5, 5),), ((1, 1, 5, 5),)
)  # fmt: skip
POINTS: tuple[Shapes, ...] = (*MAPS, ((3, 5, 1, 1),), ((5, 1, 1),))
SIGNALS: tuple[Shapes, ...] = (((2, 3, 7),), ((5, 9),), ((1, 1, 8),), ((0, 3, 5),))
LARGE: Shapes = ((5, 37, 23, 19),)
LONG: Shapes = ((7, 37, 211),)
ROWS: tuple[Shapes, ...] = (
    ((3, 5),),
    ((2, 7, 3),),
    ((2, 5, 3, 4),),
    ((1, 1, 2, 2),),
    ((0, 3),),
    ((2, 17, 1, 3),),
)

MAX: dict[str, dict[str, Any]] = {
    "max_pool2d": {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)},
    "max_pool2d_plain": {"kernel": (3, 2), "stride": (3, 2)},
    "max_pool2d_overlapping": {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)},
    "max_pool2d_dilated": {"kernel": (2, 3), "stride": (1, 2), "padding": (0, 1), "dilation": (2, 1)},
    "max_pool2d_ceil": {"kernel": (3, 2), "stride": (2, 3), "ceil_mode": True},
    "max_pool2d_with_indices": {"kernel": (2, 2), "stride": (2, 1), "padding": (1, 0)},
}
MEAN: dict[str, tuple[dict[str, Any], dict[str, Any], Callable[[Array, int], Array]]] = {
    "avg_pool2d": ({"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}, {}, mean_of),
    "avg_pool2d_ceil": (
        {"kernel": (3, 2), "stride": (2, 2), "padding": (1, 1), "ceil_mode": True},
        {},
        mean_of,
    ),
    "avg_pool2d_inside": (
        {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 1), "ceil_mode": True},
        {"count_include_pad": False},
        mean_of_map,
    ),
    "avg_pool2d_divisor": ({"kernel": (2, 3), "stride": (2, 3)}, {"divisor_override": 3}, third_of),
}
ADAPTIVE: dict[str, tuple[int | None, int | None]] = {
    "adaptive_avg_pool2d": (3, 2),
    "adaptive_avg_pool2d_global": (1, 1),
    "adaptive_avg_pool2d_more": (None, 12),
    "adaptive_max_pool2d": (2, 3),
}
RESPONSES: dict[str, dict[str, Any]] = {
    "local_response_norm": {"size": 5, "alpha": 0.5, "beta": 0.75, "k": 1.0},
    "local_response_norm_even": {"size": 4, "alpha": 0.7, "beta": 0.5, "k": 2.0},
    "local_response_norm_wide": {"size": 150, "alpha": 2.0, "beta": 0.75, "k": 1.0},
}


def arguments(kernel: Pair, stride: Pair, padding: Pair = (0, 0), **others: Any) -> dict[str, Any]:
    """The options as the doors name them."""
    return {"kernel_size": kernel, "stride": stride, "padding": padding, **others}


def first_of(door: Callable[..., Any]) -> Callable[..., Any]:
    def values(x: Any, **options: Any) -> Any:
        return door(x, **options)[0]

    return values


def node_of(name: str) -> str:
    """The function that a row is about, which names the node too."""
    if name.endswith("with_indices"):
        return name
    return "_".join(name.split("_")[: 3 if name.startswith("adaptive") else 2])


def door_of(name: str, functional: Any) -> Callable[..., Any]:
    door = getattr(functional, node_of(name))
    return first_of(door) if name.endswith("with_indices") else door


CASES: tuple[Case, ...] = (
    *(
        Case(name, P.MaxPool, partial(door_of(name, F), **arguments(**options)),
             partial(pool_reference, of_window=largest_of, **options),
             POINTS if 2 * options.get("padding", (0, 0))[0] + 1 >= options["kernel"][0] > 2 else MAPS, LARGE,
             "distinct", node=node_of(name), least=3)
        for name, options in MAX.items()
    ),
    *(
        Case(name, P.AvgPool, partial(F.avg_pool2d, **arguments(**options), **others),
             partial(pool_reference, of_window=of_window, **options), MAPS, LARGE, elementwise=False, ulps=2,
             node=node_of(name), least=3)
        for name, (options, others, of_window) in MEAN.items()
    ),
    *(
        Case(name, P.AdaptiveMaxPool if "max" in name else P.AdaptiveAvgPool,
             partial(door_of(name, F), output_size=size),
             partial(adaptive_reference, size=size, of_part=np.max if "max" in name else np.mean), POINTS,
             LARGE, "distinct" if "max" in name else "normal", elementwise="max" in name, ulps=2,
             node=node_of(name))
        for name, size in ADAPTIVE.items()
    ),
    Case("max_pool1d", P.MaxPool, lambda x: F.max_pool1d(x, 3, 2, 1),
         along(pool_reference, largest_of, (1, 3), (1, 2), (0, 1)), SIGNALS, LONG, "distinct",
         node="max_pool1d"),
    Case("max_pool1d_with_indices", P.MaxPool, lambda x: F.max_pool1d_with_indices(x, 2)[0],
         along(pool_reference, largest_of, (1, 2), (1, 2)), SIGNALS, LONG, "distinct",
         node="max_pool1d_with_indices"),
    Case("avg_pool1d", P.AvgPool, lambda x: F.avg_pool1d(x, 3, 1, 1),
         along(pool_reference, mean_of, (1, 3), (1, 1), (0, 1)), SIGNALS, LONG, elementwise=False, ulps=2,
         node="avg_pool1d"),
    Case("adaptive_avg_pool1d", P.AdaptiveAvgPool, lambda x: F.adaptive_avg_pool1d(x, 4),
         along(adaptive_reference, (1, 4), np.mean), SIGNALS, LONG, elementwise=False, ulps=2,
         node="adaptive_avg_pool1d"),
    *(
        Case(name, responses.LocalResponseNorm, partial(response, **options),
             partial(response_reference, **options), ROWS, LARGE, ulps=6, grad_ulps=16,
             node="local_response_norm")
        for name, options in RESPONSES.items()
    ),
)  # fmt: skip

# ---- the same of PyTorch ---------------------------------------------------------------------------


def twin(name: str, options: dict[str, Any]) -> Callable[..., Any]:
    return lambda t, x: door_of(name, t.nn.functional)(x, **options)


def response_twin(options: dict[str, Any]) -> Callable[..., Any]:
    """PyTorch's takes no input (N, C)."""

    def door(t: Any, x: Any) -> Any:
        function = partial(t.nn.functional.local_response_norm, **options)
        return function(x[..., None])[..., 0] if x.ndim == 2 else function(x)

    return door


TORCH: dict[str, Callable[..., Any]] = {
    **{name: twin(name, arguments(**options)) for name, options in MAX.items()},
    **{name: twin(name, arguments(**options) | others) for name, (options, others, _) in MEAN.items()},
    **{name: twin(name, {"output_size": size}) for name, size in ADAPTIVE.items()},
    "max_pool1d": lambda t, x: t.nn.functional.max_pool1d(x, 3, 2, 1),
    "max_pool1d_with_indices": lambda t, x: t.nn.functional.max_pool1d(x, 2),
    "avg_pool1d": lambda t, x: t.nn.functional.avg_pool1d(x, 3, 1, 1),
    "adaptive_avg_pool1d": lambda t, x: t.nn.functional.adaptive_avg_pool1d(x, 4),
    **{name: response_twin(options) for name, options in RESPONSES.items()},
}
