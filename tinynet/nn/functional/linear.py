"""Linear maps."""

from __future__ import annotations

from tinynet._tensor import Tensor, apply
from tinynet.ops.linear import Linear


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = input weight' + bias.

    Parameters
    ----------
    input : Tensor, shape (..., C), float32 or float64
    weight : Tensor, shape (K, C)
    bias : Tensor, shape (K,), optional

    Returns
    -------
    Tensor, shape (..., K)

    Raises
    ------
    ShapeError, DTypeError
        If shapes or dtypes do not fit.
    """
    return apply(Linear(), input, weight, bias)
