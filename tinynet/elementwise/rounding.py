"""Functions that are constant between jumps: their gradient is 0."""

from __future__ import annotations

from tinynet._check import refuse
from tinynet._tensor import Tensor, apply
from tinynet.ops import pointwise


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1 as `input` is negative, 0 or positive; NaN stays NaN (PyTorch gives 0).

    Parameters
    ----------
    input : Tensor
        Of any shape; any dtype but bool; no slope: the gradient is 0.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.sign(tn.tensor([1.5, -2.0, 0.0]))
    tensor([ 1., -1.,  0.])
    """
    return apply(pointwise.Sign(), input)


def floor(input: Tensor) -> Tensor:
    """The largest whole number that is not above `input`.

    Parameters
    ----------
    input : Tensor
        Of any shape; any dtype but bool; no slope: the gradient is 0.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.floor(tn.tensor([1.5, -1.5]))
    tensor([ 1., -2.])
    """
    return apply(pointwise.Floor(), input)


def ceil(input: Tensor) -> Tensor:
    """The smallest whole number that is not below `input`.

    Parameters
    ----------
    input : Tensor
        Of any shape; any dtype but bool; no slope: the gradient is 0.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.ceil(tn.tensor([1.5, -1.5]))
    tensor([ 2., -1.])
    """
    return apply(pointwise.Ceil(), input)


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest whole number; of two equally near ones the even one.

    Parameters
    ----------
    input : Tensor
        Of any shape; any dtype but bool; no slope: the gradient is 0.
    decimals : int, default 0
        Must be 0: other places are not supported.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.round(tn.tensor([0.5, 1.5, -1.2]))
    tensor([ 0.,  2., -1.])
    """
    refuse("round", decimals=(decimals, (0,)))
    return apply(pointwise.Round(), input)


def trunc(input: Tensor) -> Tensor:
    """`input` without its fraction.

    Parameters
    ----------
    input : Tensor
        Of any shape; any dtype but bool; no slope: the gradient is 0.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.trunc(tn.tensor([1.5, -1.5]))
    tensor([ 1., -1.])
    """
    return apply(pointwise.Trunc(), input)
