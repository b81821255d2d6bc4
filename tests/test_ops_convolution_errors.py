"""Every error of the convolutions: its class, and a message that names all that is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F


def z(*shape: int, dtype: str = "f4") -> tn.Tensor:
    return tn.tensor(np.zeros(shape, dtype))


def huge(*shape: int) -> tn.Tensor:
    """A tensor of that shape over one number."""
    return tn.from_numpy(np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), shape, (0,) * len(shape)))


X, W = z(8, 3, 32, 32), z(16, 3, 3, 3)
T = z(3, 16, 3, 3)  # a kernel of a transposed convolution

ERRORS: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    ("channels", lambda: F.conv2d(X, z(16, 4, 3, 3)), ShapeError,
     "conv2d: weight must have shape (K, C/groups, R, S) with C = 3 to match input (8, 3, 32, 32), groups=1; "
     "got (16, 4, 3, 3)"),
    ("channels_1d", lambda: F.conv1d(z(2, 3, 9), z(4, 2, 3)), ShapeError,
     "conv1d: weight must have shape (K, C/groups, S) with C = 3 to match input (2, 3, 9), groups=1; "
     "got (4, 2, 3)"),
    ("channels_transposed", lambda: F.conv_transpose2d(X, z(16, 3, 3, 3)), ShapeError,
     "conv_transpose2d: weight must have shape (C, K/groups, R, S) with C = 3 to match input (8, 3, 32, 32), "
     "groups=1; got (16, 3, 3, 3)"),
    ("channels_unbatched", lambda: F.conv2d(z(4, 9, 9), W), ShapeError,
     "with C = 4 to match input (4, 9, 9)"),
    ("groups_of_channels", lambda: F.conv2d(X, z(16, 3, 3, 3), groups=2), ShapeError,
     "with C = 3 to match input (8, 3, 32, 32), groups=2; got (16, 3, 3, 3)"),
    ("groups_of_features", lambda: F.conv2d(z(1, 4, 9, 9), z(3, 2, 3, 3), groups=2), ShapeError,
     "conv2d: weight must have shape (K, C/groups, R, S) with K a multiple of groups=2; got (3, 2, 3, 3)"),
    ("groups_transposed", lambda: F.conv_transpose1d(z(1, 3, 9), z(3, 2, 3), groups=2), ShapeError,
     "conv_transpose1d: weight must have shape (C, K/groups, S) with C a multiple of groups=2; "
     "got (3, 2, 3)"),
    ("rank_of_input", lambda: F.conv2d(z(3, 9), W), ShapeError,
     "conv2d: input must have shape (N, C, H, W) or (C, H, W); got (3, 9)"),
    ("rank_of_input_1d", lambda: F.conv1d(z(9), z(1, 1, 3)), ShapeError,
     "conv1d: input must have shape (N, C, L) or (C, L); got (9,)"),
    ("rank_of_weight", lambda: F.conv2d(X, z(16, 3, 3)), ShapeError,
     "conv2d: weight must have shape (K, C/groups, R, S), all at least 1; got (16, 3, 3)"),
    ("empty_kernel", lambda: F.conv2d(X, z(16, 3, 0, 3)), ShapeError, "all at least 1; got (16, 3, 0, 3)"),
    ("no_features", lambda: F.conv2d(X, z(0, 3, 3, 3)), ShapeError, "all at least 1; got (0, 3, 3, 3)"),
    ("no_pixels", lambda: F.conv2d(z(2, 3, 0, 5), W, padding=2), ShapeError,
     "conv2d: input must have at least one pixel in each channel; got (2, 3, 0, 5)"),
    ("no_pixels_transposed", lambda: F.conv_transpose2d(z(2, 3, 0, 5), T), ShapeError,
     "conv_transpose2d: input must have at least one pixel in each channel; got (2, 3, 0, 5)"),
    ("bias", lambda: F.conv2d(X, W, z(3)), ShapeError,
     "conv2d: bias must have shape (K,) with K = 16 to match weight (16, 3, 3, 3), groups=1; got (3,)"),
    ("bias_rank", lambda: F.conv2d(X, W, z(16, 1)), ShapeError, "with K = 16 to match weight"),
    ("bias_transposed", lambda: F.conv_transpose2d(z(1, 4, 3, 3), z(4, 2, 3, 3), z(2), groups=2), ShapeError,
     "conv_transpose2d: bias must have shape (K,) with K = 4 to match weight (4, 2, 3, 3), groups=2; "
     "got (2,)"),
    ("small_input", lambda: F.conv2d(z(1, 3, 2, 9), W), ShapeError,
     "conv2d: input must be at least as large as the kernel's reach 3 along axis -2, with its padding; "
     "got 2 + 2 * 0"),
    ("small_input_dilated", lambda: F.conv2d(z(1, 3, 9, 5), W, padding=(0, 1), dilation=4), ShapeError,
     "kernel's reach 9 along axis -1, with its padding; got 5 + 2 * 1"),
    ("no_output", lambda: F.conv_transpose2d(z(1, 3, 1, 5), T, padding=2), ShapeError,
     "conv_transpose2d: input must be large enough for an output of at least 1 along axis -2; "
     "got 1, which gives -1"),
    ("dtype", lambda: F.conv2d(z(1, 3, 9, 9, dtype="i8"), W), DTypeError,
     "conv2d: input must be float32 or float64; got int64"),
    ("dtypes", lambda: F.conv2d(X, z(16, 3, 3, 3, dtype="f8")), DTypeError,
     "conv2d: weight must have the dtype of input, float32; got float64"),
    ("dtype_of_bias", lambda: F.conv2d(X, W, z(16, dtype="f8")), DTypeError,
     "conv2d: bias must have the dtype of input, float32; got float64"),
    ("stride", lambda: F.conv2d(X, W, stride=0), ArgumentError,
     "conv2d: stride must be a positive int or 2 of them; got 0"),
    ("stride_of_two", lambda: F.conv2d(X, W, stride=(1, -1)), ArgumentError,
     "conv2d: stride must be a positive int or 2 of them; got (1, -1)"),
    ("stride_of_three", lambda: F.conv2d(X, W, stride=(1, 1, 1)), ArgumentError,
     "or 2 of them; got (1, 1, 1)"),
    ("stride_1d", lambda: F.conv1d(z(1, 3, 9), z(1, 3, 3), stride=(1, 1)), ArgumentError,
     "conv1d: stride must be a positive int; got (1, 1)"),
    ("stride_kind", lambda: F.conv2d(X, W, stride=2.0), DTypeError,  # type: ignore[arg-type]
     "conv2d: stride must be a positive int or 2 of them; got 2.0"),
    ("stride_bool", lambda: F.conv2d(X, W, stride=True), DTypeError, "got True"),
    ("dilation", lambda: F.conv2d(X, W, dilation=(0, 1)), ArgumentError,
     "conv2d: dilation must be a positive int or 2 of them; got (0, 1)"),
    ("padding", lambda: F.conv2d(X, W, padding=-1), ArgumentError,
     "conv2d: padding must be an int >= 0 or 2 of them; got -1"),
    ("padding_name", lambda: F.conv2d(X, W, padding="full"), ArgumentError,
     "conv2d: padding must be one of 'same', 'valid'; got 'full'"),
    ("padding_same", lambda: F.conv2d(X, W, stride=2, padding="same"), ArgumentError,
     "conv2d: stride must be 1 for padding='same'; got 2"),
    ("padding_transposed", lambda: F.conv_transpose2d(X, T, padding="same"),  # type: ignore[arg-type]
     DTypeError,
     "conv_transpose2d: padding must be an int >= 0 or 2 of them; got 'same'"),
    ("groups", lambda: F.conv2d(X, W, groups=0), ArgumentError,
     "conv2d: groups must be a positive int; got 0"),
    ("groups_kind", lambda: F.conv2d(X, W, groups=1.0), DTypeError,  # type: ignore[arg-type]
     "conv2d: groups must be a positive int; got 1.0"),
    ("output_padding", lambda: F.conv_transpose2d(X, T, stride=2, output_padding=2), ArgumentError,
     "conv_transpose2d: output_padding must be smaller than stride or dilation, 2 and 1; got 2"),
    ("output_padding_negative", lambda: F.conv_transpose2d(X, T, output_padding=-1), ArgumentError,
     "conv_transpose2d: output_padding must be an int >= 0 or 2 of them; got -1"),
    ("huge_padding", lambda: F.conv2d(X, W, padding=2**31), ArgumentError,
     "conv2d: padding must be an int >= 0 or 2 of them, below 2^31; got 2147483648"),
    ("huge_extent", lambda: F.conv2d(X, W, padding=2**31 - 1), ShapeError,
     "conv2d: the output must have extents below 2^31; got 4294967324"),
    ("huge_extent_transposed", lambda: F.conv_transpose2d(X, T, stride=2**31 - 1), ShapeError,
     "conv_transpose2d: the output must have extents below 2^31; got"),
    ("huge_output", lambda: F.conv2d(huge(1, 1, 2**30, 2**30), z(1, 1, 1, 1)), ShapeError,
     "tinynet: an array of shape (1, 1, 1073741824, 1073741824) does not fit into memory"),
    ("no_tensor", lambda: F.conv2d(np.zeros((1, 3, 9, 9)), W), DTypeError,
     "conv2d: input"),  # type: ignore[arg-type]
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_error(call: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        call()
