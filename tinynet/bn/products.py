"""Singular values of products of random matrices, which is what a linear network is at initialisation.

Bjorck et al. (2018) explain with them why deep networks without normalisation are so badly conditioned: the
deeper the product, the wider its singular values spread.  Let ``X = X_1 X_2 ... X_m`` be a product of
independent N x N matrices whose entries have the mean 0 and the variance 1/N.  As N grows, the squared
singular values x of X take on a law on the interval from 0 to ``(m+1)^(m+1) / m^m`` (the Fuss-Catalan law),
whose density is, in an angle phi between 0 and pi / (m+1)::

    x        = sin((m+1) phi)^(m+1) / (sin(phi) sin(m phi)^m)                                       (1)
    rho(x)   = sin((m+1) phi) sin(phi) / (pi x sin(m phi))                                          (2)

x falls from the upper end at phi = 0 to 0 at phi = pi / (m+1).  Integrating (2) along (1) gives the
distribution function in closed form (derived here: the integrand is
``(cos(phi) - m sin(phi) cot(m phi))^2 + (m+1)^2 sin(phi)^2``, divided by pi)::

    F(x) = 1 - ((m+1) phi - m/2 sin(2 phi) - m sin(phi)^2 cot(m phi)) / pi                          (3)

For m = 1 it is the quarter-circle law.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.bn.recording import as_array
from tinynet.errors import ArgumentError, DTypeError, ShapeError

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

_SMALLEST = 1e-300  # angle that is looked for: the smallest x, of one matrix, needs 1e-162


def product_singular_values(matrices: Iterable[Any]) -> FloatArray:
    """Return the singular values of a product of matrices.

    Parameters
    ----------
    matrices : iterable of numpy.ndarray or Tensor, each of shape (rows, columns)
        At least one, of real numbers.  The product is taken in their order: each has as many rows as the one
        before has columns.

    Returns
    -------
    numpy.ndarray of shape (K,), float64
        From the largest to the smallest; K is the smaller of the product's rows and columns.  Those below
        about 1e-16 of the largest are rounding errors.  All are nan if the product is not finite.

    Raises
    ------
    ShapeError
        If a matrix is none or empty, or does not fit the one before.
    ArgumentError
        If there are no matrices.
    DTypeError
        If one is of another kind.

    See Also
    --------
    singular_value_cdf : the law that they follow for random matrices.

    Examples
    --------
    >>> import numpy as np
    >>> import tinynet as tn
    >>> tn.bn.product_singular_values([np.diag([1.0, 2.0]), np.diag([3.0, 4.0])])
    array([8., 3.])
    """
    owner = "product_singular_values"
    if not isinstance(matrices, Iterable) or isinstance(matrices, (str, bytes)):
        raise DTypeError(f"{owner}: matrices must be an iterable of them; got {type(matrices).__name__}")
    factors = [as_array(owner, "a matrix", each).astype(np.float64) for each in matrices]
    if not factors:
        raise ArgumentError(f"{owner}: matrices must hold at least one; got none")
    for factor in factors:
        if factor.ndim != 2 or factor.size == 0:
            raise ShapeError(
                f"{owner}: a matrix must have shape (rows, columns), not empty; got {factor.shape}"
            )
    for before, after in pairwise(factors):
        if before.shape[1] != after.shape[0]:
            raise ShapeError(
                f"{owner}: a matrix must have as many rows as the one before has columns, {before.shape[1]}; "
                f"got {after.shape}"
            )
    import threadpoolctl

    product = factors[0]
    # BLAS's bits can depend on how many threads it has.
    with np.errstate(invalid="ignore", over="ignore"), threadpoolctl.threadpool_limits(1, user_api="blas"):
        for factor in factors[1:]:
            product = product @ factor
        if not np.isfinite(product).all():
            return np.full(min(product.shape), np.nan)
        return np.asarray(np.linalg.svd(product, compute_uv=False), np.float64)


def singular_value_edge(m: int) -> float:
    """Return the largest singular value of a product of `m` large random matrices.

    It is ``sqrt((m+1)^(m+1) / m^m)``: 2 for one matrix, about ``sqrt(e (m + 1/2))`` for many (Bjorck et al.
    2018, on random matrices).

    Parameters
    ----------
    m : int
        Number of square matrices, at least 1, with independent entries of mean 0 and variance 1/N.

    Returns
    -------
    float
        The limit for N to infinity.

    Raises
    ------
    ArgumentError, DTypeError
        If `m` is no positive int.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.bn.singular_value_edge(1), round(tn.bn.singular_value_edge(3), 3)
    (2.0, 3.079)
    """
    m = _check.integer("singular_value_edge", "m", m, 1)
    return math.sqrt(_end(m))


def squared_singular_value_density(x: npt.ArrayLike, m: int) -> FloatArray:
    """Return the density of the squared singular values of a product of `m` large random matrices.

    By equations (1) and (2) of this module (Bjorck et al. 2018, theorem on products of random matrices).
    The singular values themselves have the density ``2 s rho(s^2)``.

    Parameters
    ----------
    x : array_like of real numbers
        Squared singular values.
    m : int
        Number of matrices, at least 1.

    Returns
    -------
    numpy.ndarray of the shape of `x`, float64
        The density, which is 0 outside the interval ``(0, singular_value_edge(m)**2)`` and infinite at 0; nan
        for nan.

    Raises
    ------
    ArgumentError, DTypeError
        If `m` is no positive int, or `x` are no real numbers.

    Examples
    --------
    For one matrix it is ``sqrt((4 - x) / x) / (2 pi)``:

    >>> import numpy as np
    >>> import tinynet as tn
    >>> density = tn.bn.squared_singular_value_density([1.0, 2.0, 5.0], m=1)
    >>> np.round(density * 2 * np.pi, 6)
    array([1.732051, 1.      , 0.      ])
    """
    owner = "squared_singular_value_density"
    m = _check.integer(owner, "m", m, 1)
    values = _numbers(owner, "x", x)
    inside = (values > 0) & (values < _end(m))
    phi, u = _angle(values[inside], m)
    density = np.where(values == 0, np.inf, np.where(np.isnan(values), np.nan, 0.0))
    with np.errstate(over="ignore"):  # next to 0
        density[inside] = np.sin((m + 1) * u) / np.sin(m * phi) * np.sin(phi) / (np.pi * values[inside])
    return density


def singular_value_cdf(s: npt.ArrayLike, m: int) -> FloatArray:
    """Return the share of singular values up to `s` of a product of `m` large random matrices.

    By equations (1) and (3) of this module, at ``x = s^2``.

    Parameters
    ----------
    s : array_like of real numbers
        Singular values.
    m : int
        Number of matrices, at least 1.

    Returns
    -------
    numpy.ndarray of the shape of `s`, float64
        From 0 at ``s <= 0`` to 1 at ``s >= singular_value_edge(m)``; nan for nan.

    Raises
    ------
    ArgumentError, DTypeError
        If `m` is no positive int, or `s` are no real numbers.

    Examples
    --------
    The deeper the product, the more singular values are small:

    >>> import tinynet as tn
    >>> [round(float(tn.bn.singular_value_cdf(0.1, m)), 2) for m in (1, 3, 5)]
    [0.06, 0.27, 0.41]
    """
    owner = "singular_value_cdf"
    m = _check.integer(owner, "m", m, 1)
    values = _numbers(owner, "s", s)
    inside = (values > 0) & (values < math.sqrt(_end(m)))
    phi, _ = _angle(np.maximum(values[inside] ** 2, np.finfo(np.float64).smallest_subnormal), m)
    share = np.where(np.isnan(values), np.nan, (values > 0).astype(np.float64))
    above = (m + 1) * phi - m / 2 * np.sin(2 * phi) - m * np.sin(phi) ** 2 / np.tan(m * phi)
    share[inside] = np.clip(1 - above / np.pi, 0, 1)
    return share


def _end(m: int) -> float:
    """The upper end of the squared singular values, (m+1)^(m+1) / m^m."""
    return (m + 1) * (1 + 1 / m) ** m


def _angle(x: FloatArray, m: int) -> tuple[FloatArray, FloatArray]:
    """The phi of equation (1) for every x inside the interval, and its distance u from the nearer end of its
    own interval, by bisection of the logarithm.

    u keeps its digits at both ends, where sin((m+1) phi), which is sin((m+1) u), would lose them.
    """
    whole = np.pi / (m + 1)

    def log_x(phi: FloatArray, u: FloatArray) -> FloatArray:
        sines = (m + 1) * np.log(np.sin((m + 1) * u)) - np.log(np.sin(phi)) - m * np.log(np.sin(m * phi))
        return np.asarray(sines, np.float64)

    wanted = np.log(x)
    middle = np.array([whole / 2])
    upper = wanted > log_x(middle, middle)  # x falls in phi: phi lies in the first half, and u is phi
    low, high = np.full_like(x, _SMALLEST), np.full_like(x, whole / 2)
    while True:
        u = (low + high) / 2
        phi = np.where(upper, u, whole - u)
        if ((u == low) | (u == high)).all():  # no number lies between them
            return phi, u
        outside = (log_x(phi, u) > wanted) == upper  # u is to grow
        low, high = np.where(outside, u, low), np.where(outside, high, u)


def _numbers(owner: str, name: str, value: Any) -> FloatArray:
    array = np.asarray(value.detach().numpy() if isinstance(value, Tensor) else value)
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"{owner}: {name} must be real numbers; got {array.dtype}")
    return array.astype(np.float64)
