"""Functions of each element."""

from __future__ import annotations

from tinynet._tensor import Tensor, apply
from tinynet.ops import pointwise
from tinynet.ops.activation import ReLU, Sigmoid, Tanh


def neg(input: Tensor) -> Tensor:
    """``-input``.

    Parameters
    ----------
    input : Tensor
        Of any shape; any dtype but bool.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.neg(tn.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    return apply(pointwise.Neg(), input)


def abs(input: Tensor) -> Tensor:
    """``|input|``; the slope at 0 is 0.

    Parameters
    ----------
    input : Tensor
        Of any shape; any dtype.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.abs(tn.tensor([1.5, -2.0]))
    tensor([1.5, 2. ])
    """
    return apply(pointwise.Abs(), input)


def exp(input: Tensor) -> Tensor:
    """e to the power of each element.

    Parameters
    ----------
    input : Tensor
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.exp(tn.tensor([0.0, 1.0]))
    tensor([1.      , 2.718282])
    """
    return apply(pointwise.Exp(), input)


def expm1(input: Tensor) -> Tensor:
    """``exp(input) - 1``, exact near 0.

    Parameters
    ----------
    input : Tensor
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.expm1(tn.tensor([1e-10]))
    tensor([1.e-10])
    """
    return apply(pointwise.Expm1(), input)


def log(input: Tensor) -> Tensor:
    """The natural logarithm: -inf of 0, NaN of negative numbers.

    Parameters
    ----------
    input : Tensor
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.log(tn.tensor([1.0, 0.0, -1.0]))
    tensor([  0., -inf,  nan])
    """
    return apply(pointwise.Log(), input)


def log1p(input: Tensor) -> Tensor:
    """``log(1 + input)``, exact near 0.

    Parameters
    ----------
    input : Tensor
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.log1p(tn.tensor([1e-10]))
    tensor([1.e-10])
    """
    return apply(pointwise.Log1p(), input)


def square(input: Tensor) -> Tensor:
    """``input * input``.

    Parameters
    ----------
    input : Tensor
        Of any shape; any dtype.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.square(tn.tensor([1.5, -2.0]))
    tensor([2.25, 4.  ])
    """
    return apply(pointwise.Square(), input)


def sqrt(input: Tensor) -> Tensor:
    """The square root, NaN of negative numbers; the slope at 0 is inf.

    Parameters
    ----------
    input : Tensor
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.sqrt(tn.tensor([4.0, 0.0, -1.0]))
    tensor([ 2.,  0., nan])
    """
    return apply(pointwise.Sqrt(), input)


def rsqrt(input: Tensor) -> Tensor:
    """``1 / sqrt(input)``: inf of 0, NaN of negative numbers.

    Parameters
    ----------
    input : Tensor
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.rsqrt(tn.tensor([4.0, 0.0]))
    tensor([0.5, inf])
    """
    return apply(pointwise.Rsqrt(), input)


def reciprocal(input: Tensor) -> Tensor:
    """``1 / input``.

    Parameters
    ----------
    input : Tensor
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.reciprocal(tn.tensor([4.0, -0.5]))
    tensor([ 0.25, -2.  ])
    """
    return apply(pointwise.Reciprocal(), input)


def sin(input: Tensor) -> Tensor:
    """The sine of angles in radians.

    Parameters
    ----------
    input : Tensor
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.sin(tn.tensor([0.0, 1.0]))
    tensor([0.      , 0.841471])
    """
    return apply(pointwise.Sin(), input)


def cos(input: Tensor) -> Tensor:
    """The cosine of angles in radians.

    Parameters
    ----------
    input : Tensor
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.cos(tn.tensor([0.0, 1.0]))
    tensor([1.       , 0.5403023])
    """
    return apply(pointwise.Cos(), input)


def erf(input: Tensor) -> Tensor:
    """The error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t^2)`` from 0 to `input`.

    Parameters
    ----------
    input : Tensor
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.erf(tn.tensor([0.0, 1.0]))
    tensor([0.       , 0.8427008])
    """
    return apply(pointwise.Erf(), input)


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-input))``.

    Parameters
    ----------
    input : Tensor
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.sigmoid(tn.tensor([0.0, 100.0]))
    tensor([0.5, 1. ])
    """
    return apply(Sigmoid(), input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent.

    Parameters
    ----------
    input : Tensor
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.tanh(tn.tensor([0.0, 1.0]))
    tensor([0.       , 0.7615942])
    """
    return apply(Tanh(), input)


def relu(input: Tensor) -> Tensor:
    """``max(input, 0)``; the slope at 0 is 0, NaN stays NaN.

    Parameters
    ----------
    input : Tensor
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `input`.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.relu(tn.tensor([1.5, -2.0]))
    tensor([1.5, 0. ])
    """
    return apply(ReLU(), input)
