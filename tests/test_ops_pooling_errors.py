"""Every error of pooling, by its message."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F


def z(*shape: int, dtype: type = np.float32) -> tn.Tensor:
    return tn.from_numpy(np.zeros(shape, dtype))


ERRORS: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: F.max_pool2d(z(1, 3, 4, 4), 0), ArgumentError,
     "max_pool2d: kernel_size must be a positive int or 2 of them; got 0"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4), 2.0), DTypeError,
     "max_pool2d: kernel_size must be a positive int or 2 of them; got 2.0"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4), True), DTypeError,
     "max_pool2d: kernel_size must be a positive int or 2 of them; got True"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4), (2, 2, 2)), ArgumentError,
     "max_pool2d: kernel_size must be a positive int or 2 of them; got (2, 2, 2)"),
    (lambda: F.max_pool1d(z(3, 4), (2, 2)), ArgumentError,
     "max_pool1d: kernel_size must be a positive int; got (2, 2)"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4), 2, 0), ArgumentError,
     "max_pool2d: stride must be a positive int or 2 of them; got 0"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4), 2, (1, 1.5)), DTypeError,
     "max_pool2d: stride must be a positive int or 2 of them; got (1, 1.5)"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4), 2, 2, -1), ArgumentError,
     "max_pool2d: padding must be an int >= 0 or 2 of them; got -1"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4), 3, 2, 2), ArgumentError,
     "max_pool2d: padding must be at most half of kernel_size 3; got 2"),
    (lambda: F.avg_pool2d(z(1, 3, 4, 4), (4, 1), 2, 1), ArgumentError,
     "avg_pool2d: padding must be at most half of kernel_size (4, 1); got 1"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4), 2, 2, 0, 0), ArgumentError,
     "max_pool2d: dilation must be a positive int or 2 of them; got 0"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4), 2, ceil_mode=1), DTypeError,
     "max_pool2d: ceil_mode must be a bool; got 1"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4), 2, return_indices=1), DTypeError,
     "max_pool2d: return_indices must be a bool; got 1"),
    (lambda: F.max_pool1d(z(3, 4), 2, return_indices=None), DTypeError,
     "max_pool1d: return_indices must be a bool; got None"),
    (lambda: F.avg_pool2d(z(1, 3, 4, 4), 2, count_include_pad=0), DTypeError,
     "avg_pool2d: count_include_pad must be a bool; got 0"),
    (lambda: F.avg_pool2d(z(1, 3, 4, 4), 2, divisor_override=0), ArgumentError,
     "avg_pool2d: divisor_override must be an int other than 0 of at most 2147483647, or None; got 0"),
    (lambda: F.avg_pool2d(z(1, 3, 4, 4), 2, divisor_override=10**400), ArgumentError,
     "avg_pool2d: divisor_override must be an int other than 0"),
    (lambda: F.avg_pool2d(z(1, 3, 4, 4), 2, divisor_override=2.0), DTypeError,
     "avg_pool2d: divisor_override must be an int; got 2.0"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4), 2, 1 << 31), ArgumentError,
     "max_pool2d: stride must be a positive int or 2 of them, below 2^31; got 2147483648"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4), 1 << 30, 1, 1 << 29), ArgumentError,
     "max_pool2d: kernel_size must have at most 2147483647 taps; got (1073741824, 1073741824)"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4), 5), ShapeError,
     "max_pool2d: input must be large enough for one window of kernel_size (5, 5) with padding (0, 0) and "
     "dilation (1, 1); got (4, 4), which gives (0, 0)"),
    (lambda: F.avg_pool1d(z(3, 4), 5), ShapeError,
     "avg_pool1d: input must be large enough for one window of kernel_size (5,)"),
    (lambda: F.max_pool2d(z(1, 3, 2, 2), 2, 1, 1, 3), ShapeError,
     "max_pool2d: input must have an element in every window of kernel_size (2, 2) with padding (1, 1) and "
     "dilation (3, 3); got shape (1, 3, 2, 2)"),
    (lambda: F.max_pool2d(z(4, 4), 2), ShapeError,
     "max_pool2d: input must have shape (N, C, H, W) or (C, H, W); got (4, 4)"),
    (lambda: F.max_pool1d(z(4), 2), ShapeError,
     "max_pool1d: input must have shape (N, C, L) or (C, L); got (4,)"),
    (lambda: F.adaptive_avg_pool1d(z(1, 2, 3, 4), 2), ShapeError,
     "adaptive_avg_pool1d: input must have shape (N, C, L) or (C, L); got (1, 2, 3, 4)"),
    (lambda: F.max_pool2d(z(1, 0, 4, 4), 2), ShapeError,
     "max_pool2d: input must have at least one element along each axis but the batch's; got (1, 0, 4, 4)"),
    (lambda: F.avg_pool2d(z(0, 4, 4), 2), ShapeError,
     "avg_pool2d: input must have at least one element along each"),
    (lambda: F.adaptive_avg_pool2d(z(2, 3, 0, 4), 2), ShapeError,
     "adaptive_avg_pool2d: input must have at least one element along each"),
    (lambda: F.max_pool2d(z(1, 3, 4, 4, dtype=np.int64), 2), DTypeError,
     "max_pool2d: input must be float32 or float64; got int64"),
    (lambda: F.max_pool2d_with_indices(np.zeros((1, 3, 4, 4)), 2), DTypeError,  # type: ignore[arg-type]
     "max_pool2d_with_indices: input must be a Tensor; got ndarray"),
    (lambda: F.adaptive_avg_pool2d(z(1, 3, 4, 4), 0), ArgumentError,
     "adaptive_avg_pool2d: output_size must be a positive int; got 0"),
    (lambda: F.adaptive_avg_pool2d(z(1, 3, 4, 4), (2, 2.0)), DTypeError,
     "adaptive_avg_pool2d: output_size must be a positive int; got 2.0"),
    (lambda: F.adaptive_max_pool2d(z(1, 3, 4, 4), (1, 2, 3)), ArgumentError,
     "adaptive_max_pool2d: output_size must be an int or 2 of them; got (1, 2, 3)"),
    (lambda: F.adaptive_max_pool2d(z(1, 3, 4, 4), 2, return_indices=1), DTypeError,
     "adaptive_max_pool2d: return_indices must be a bool; got 1"),
    (lambda: F.adaptive_avg_pool2d(z(1, 3, 4, 4), 2**31 - 1), ShapeError,
     "adaptive_avg_pool2d: an output of (2147483647, 2147483647) per channel does not fit into memory"),
    (lambda: nn.MaxPool2d(2, padding=2), ArgumentError,
     "MaxPool2d: padding must be at most half of kernel_size 2; got 2"),
    (lambda: nn.MaxPool1d(2.5), DTypeError, "MaxPool1d: kernel_size must be a positive int; got 2.5"),
    (lambda: nn.MaxPool2d(2, return_indices=1), DTypeError,
     "MaxPool2d: return_indices must be a bool; got 1"),
    (lambda: nn.MaxPool2d(2, ceil_mode=None), DTypeError, "MaxPool2d: ceil_mode must be a bool; got None"),
    (lambda: nn.AvgPool1d(2, stride=0), ArgumentError, "AvgPool1d: stride must be a positive int; got 0"),
    (lambda: nn.AvgPool2d(2, divisor_override=0), ArgumentError,
     "AvgPool2d: divisor_override must be an int other"),
    (lambda: nn.AvgPool2d(2, count_include_pad=2), DTypeError,
     "AvgPool2d: count_include_pad must be a bool; got 2"),
    (lambda: nn.AdaptiveAvgPool2d(-1), ArgumentError,
     "AdaptiveAvgPool2d: output_size must be a positive int; got -1"),
    (lambda: nn.AdaptiveAvgPool1d((1, 2)), ArgumentError,
     "AdaptiveAvgPool1d: output_size must be an int or 1 of them"),
    (lambda: nn.AdaptiveMaxPool2d(1, 1), DTypeError,
     "AdaptiveMaxPool2d: return_indices must be a bool; got 1"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors(call: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)) as caught:
        call()
    assert type(caught.value) is kind
