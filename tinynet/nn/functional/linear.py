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

    Examples
    --------
    >>> import tinynet as tn
    >>> x, w = tn.tensor([[1.0, 2.0]]), tn.tensor([[3.0, 4.0], [5.0, 6.0]])
    >>> tn.nn.functional.linear(x, w, tn.tensor([0.0, 1.0]))
    tensor([[11., 18.]])
    """
    return apply(Linear(), input, weight, bias)
