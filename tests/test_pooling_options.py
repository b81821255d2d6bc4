"""Options of pooling that were checked before are found again: never those of another call."""

from __future__ import annotations

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F


def image(*shape: int) -> tn.Tensor:
    return tn.from_numpy(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))


def test_options_assigned_after_construction_are_used() -> None:
    x = image(1, 2, 7, 9)
    pool, mean = nn.MaxPool2d(2), nn.AvgPool2d(2)
    for layer, function in ((pool, F.max_pool2d), (mean, F.avg_pool2d)):
        layer(x)
        layer.kernel_size, layer.stride, layer.padding = 3, 1, (1, 0)
        assert layer(x).equal(function(x, 3, 1, (1, 0)))
        layer.stride, layer.padding, layer.ceil_mode = 2, 0, True
        layer.kernel_size = 2
        assert layer(x).shape == (1, 2, 4, 5)
        layer.ceil_mode = False
        assert layer(x).shape == (1, 2, 3, 4)
        layer.kernel_size = 0
        with pytest.raises(
            ArgumentError, match=r"pool2d: kernel_size must be a positive int or 2 of them; got 0"
        ):
            layer(x)
    adaptive = nn.AdaptiveAvgPool2d(1)
    adaptive(x)
    adaptive.output_size = (3, None)
    assert adaptive(x).shape == (1, 2, 3, 9)


def test_what_equals_a_number_that_was_accepted_is_still_refused() -> None:
    """True == 1 and 1.0 == 1, and they have the same hash."""
    x = image(1, 1, 4, 4)
    F.max_pool2d(x, 1, 1, 0, 1, False)
    F.adaptive_avg_pool2d(x, 1)
    for wrong in (True, 1.0):
        with pytest.raises(DTypeError, match="kernel_size must be a positive int"):
            F.max_pool2d(x, wrong)  # type: ignore[arg-type]
        with pytest.raises(DTypeError, match="stride must be a positive int"):
            F.max_pool2d(x, 1, wrong)  # type: ignore[arg-type]
        with pytest.raises(DTypeError, match="output_size must be a positive int"):
            F.adaptive_avg_pool2d(x, wrong)  # type: ignore[arg-type]
    for ceil_mode in (0, 1):
        with pytest.raises(DTypeError, match="ceil_mode must be a bool"):
            F.max_pool2d(x, 1, 1, 0, 1, ceil_mode)  # type: ignore[call-overload]


def test_one_and_two_axes_and_adaptive_are_kept_apart() -> None:
    x, signal = image(1, 1, 6, 6), image(1, 1, 6)
    for _ in range(2):
        assert F.max_pool2d(x, 2).shape == (1, 1, 3, 3)
        assert F.max_pool1d(signal, 2).shape == (1, 1, 3)
        assert F.adaptive_max_pool2d(x, 2).shape == (1, 1, 2, 2)
        assert F.adaptive_avg_pool1d(signal, 2).shape == (1, 1, 2)
        assert F.adaptive_avg_pool2d(x, (2, 1)).shape == (1, 1, 2, 1)
        assert F.avg_pool2d(x, (2, 3), (1, 2)).shape == (1, 1, 5, 2)
        assert F.max_pool2d(x, (2, 3), (1, 2)).shape == (1, 1, 5, 2)


def test_more_options_and_sizes_than_are_remembered() -> None:
    for size in range(1, 300):
        x = tn.ones(1, 1, 1, size)
        assert F.max_pool2d(x, 1, size).shape == (1, 1, 1, 1)
        assert F.avg_pool2d(x, (1, size)).item() == 1.0
        assert F.max_pool2d(x, 1, 2).shape == (1, 1, 1, (size + 1) // 2)


def test_an_error_of_a_size_is_raised_every_time() -> None:
    for _ in range(2):
        with pytest.raises(ShapeError, match="large enough for one window"):
            F.max_pool2d(image(1, 1, 2, 2), 3)


def test_number_of_batches_must_be_an_integer() -> None:
    layer = nn.BatchNorm1d(2)
    layer.num_batches_tracked = tn.tensor(0.0)
    with pytest.raises(
        ArgumentError, match=r"num_batches_tracked must be one writable int64; got float32 of shape \(\)"
    ):
        layer(image(3, 2))
