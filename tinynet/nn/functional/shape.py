"""Shapes: padding."""

from __future__ import annotations

from collections.abc import Sequence

from tinynet import _check
from tinynet._tensor import Tensor, apply
from tinynet.errors import ArgumentError
from tinynet.ops.padding import Extend
from tinynet.ops.shape import Pad

MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`input` with more elements before and after it along its last axes.

    Parameters
    ----------
    input : Tensor, any shape and dtype
        The result for one of four axes has its channels last in memory.
    pad : sequence of int
        How much before and after along the last axis, then along the one before it, and so on; a negative
        number cuts off.
    mode : {"constant", "reflect", "replicate", "circular"}
        What stands there: `value`; the elements mirrored at the outermost one, which is not repeated; the
        outermost element; the elements of the other end.
    value : float, default 0
        For "constant" only.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError, ShapeError
        If `mode` is none of these, `pad` does not hold pairs of integers or cuts off more than there is (all
        there is, but for "constant"); if there are fewer elements than "reflect" (which needs one more) or
        "circular" asks for; if a value is given with another mode than "constant".

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.pad(tn.ones(2), (1, 2), value=7.0).tolist()
    [7.0, 1.0, 1.0, 7.0, 7.0]
    >>> tn.nn.functional.pad(tn.arange(3), (2, 1), mode="reflect").tolist()
    [2, 1, 0, 1, 2, 1]
    """
    _check.choice("pad", "mode", mode, MODES)
    if mode == "constant":
        return apply(Pad(pad, 0 if value is None else value), input)
    if value is not None and value != 0:
        raise ArgumentError(f"pad: value must be None for mode {mode!r}; got {value!r}")
    return apply(Extend(pad, mode), input)
