"""Shapes: padding."""

from __future__ import annotations

from collections.abc import Sequence

from tinynet._check import refuse
from tinynet._tensor import Tensor, apply
from tinynet.ops.shape import Pad


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`input` with `value` before and after it along its last axes.

    Parameters
    ----------
    input : Tensor, any shape and dtype
    pad : sequence of int
        How much before and after along the last axis, then along the one before it, and so on; a negative
        number cuts off.
    mode : {"constant"}
        The others of PyTorch are not supported.
    value : float, default 0

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError, ShapeError
        If `pad` does not hold pairs of integers, or cuts off more than there is.
    NotImplementedError
        For another `mode`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.pad(tn.ones(2), (1, 2), value=7.0).tolist()
    [7.0, 1.0, 1.0, 7.0, 7.0]
    """
    refuse("pad", mode=(mode, ("constant",)))
    return apply(Pad(pad, 0 if value is None else value), input)
