"""Dropout."""

from __future__ import annotations

from numbers import Real

from tinynet._tensor import Tensor, apply
from tinynet.errors import ArgumentError, DTypeError
from tinynet.ops.dropout import Dropout
from tinynet.random import Generator, default_generator


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Zero each element with probability p and scale the others by 1 / (1 - p).

    Parameters
    ----------
    input : Tensor, float32 or float64
    p : float in [0, 1], default 0.5
    training : bool, default True
        If False, the input is returned as it is.
    inplace : bool, default False
        Write the result over the input, unless an operation has saved that for its gradient.
    generator : Generator, optional
        Where the random numbers come from; the default generator if None.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Raises
    ------
    ArgumentError, DTypeError
        If `p` does not lie in [0, 1], or `input` is no float tensor.

    Examples
    --------
    >>> import tinynet as tn
    >>> y = tn.nn.functional.dropout(tn.ones(1000), 0.2)
    >>> bool(0.7 < (y > 0).numpy().mean() < 0.9)
    True
    """
    if not isinstance(input, Tensor):
        raise DTypeError(f"dropout: input must be a Tensor; got {type(input).__name__}")
    if not isinstance(p, Real) or not 0.0 <= p <= 1.0:
        raise ArgumentError(f"dropout: p must lie in [0, 1]; got {p!r}")
    if not training or p == 0.0:
        return input
    seed, call = (default_generator if generator is None else generator).next_call()
    y = apply(Dropout(p, seed, call), input)
    return input._become("dropout", y) if inplace and not input._is_saved else y
