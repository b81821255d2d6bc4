"""Random numbers from distributions whose parameters are tensors; no gradient goes to the parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinynet._check import boolean, integer, real
from tinynet._tensor import Tensor, from_numpy
from tinynet.creation.options import Unsupported, check_options, converted, float_dtype, like, sizes_of
from tinynet.errors import ArgumentError, ShapeError
from tinynet.random import Generator, draw

if TYPE_CHECKING:
    from typing_extensions import Unpack


def normal(
    mean: float | Tensor,
    std: float | Tensor = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    **unsupported: Unpack[Unsupported],
) -> Tensor:
    """Numbers drawn from the normal distributions N(mean, std^2); no gradient goes to `mean` or `std`.

    Parameters
    ----------
    mean, std : float or Tensor
        Tensors give each element its own; they are broadcast.  ``std >= 0``.
    size : tuple of int, optional
        Sizes of the axes, where both are numbers.
    generator : Generator, optional
        By default the one that `manual_seed` seeds.
    dtype : {float32, float64}, optional
        By default that of the tensors, else float32.
    device : None or "cpu"
    requires_grad : bool, default False
    out, layout, pin_memory : None, None, False
        Other values are not supported.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If `std` is negative, `size` is missing, or given beside a tensor.
    DTypeError
        If `mean` or `std` is neither a number nor a float tensor, or for another dtype.
    ShapeError
        If tensors cannot be broadcast together.
    NotImplementedError
        For an option that is not supported.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.normal(tn.tensor([0.0, 100.0]), 0.0)
    tensor([  0., 100.])
    >>> tn.normal(5.0, 2.0, (3, 4)).shape
    (3, 4)
    """
    check_options("normal", device, unsupported)
    tensors = [t for t in (mean, std) if isinstance(t, Tensor)]
    if tensors and size is not None:
        raise ArgumentError(f"normal: size must not be given beside a Tensor; got {size!r}")
    if not tensors and not isinstance(size, (tuple, list)):
        raise ArgumentError(
            f"normal: size must be a tuple of int where mean and std are numbers; got {size!r}"
        )
    target = float_dtype("normal", tensors[0].dtype if tensors and dtype is None else dtype)
    m, s = _parameter("mean", mean), _parameter("std", std)
    if (s < 0).any():
        raise ArgumentError(f"normal: std must be at least 0; got {s.min():g}")
    try:
        shape = np.broadcast_shapes(m.shape, s.shape) if tensors else sizes_of("normal", (size,))
    except ValueError:
        raise ShapeError(f"normal: std must have a shape that fits mean, {m.shape}; got {s.shape}") from None
    with np.errstate(all="ignore"):
        return converted(m + s * draw(generator).standard_normal(shape), target, requires_grad)


def _parameter(name: str, value: float | Tensor) -> NDArray[np.float64]:
    if isinstance(value, Tensor):
        float_dtype("normal", value.dtype)
        return value.detach().numpy().astype(np.float64)
    return np.asarray(real("normal", name, value))


def bernoulli(input: Tensor, *, generator: Generator | None = None, out: None = None) -> Tensor:
    """1 with the probability that each element of a tensor gives, else 0; no gradient goes to `input`.

    Parameters
    ----------
    input : Tensor
        Probabilities in [0, 1], float32 or float64, of any shape.
    generator : Generator, optional
        By default the one that `manual_seed` seeds.
    out : None
        Other values are not supported.

    Returns
    -------
    Tensor
        Zeros and ones in the shape and dtype of `input`.

    Raises
    ------
    ArgumentError
        If a probability lies outside [0, 1] or is NaN.
    DTypeError
        For another dtype.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.bernoulli(tn.tensor([0.0, 1.0, 1.0]))
    tensor([0., 1., 1.])
    """
    check_options("bernoulli", None, {"out": out})
    shape, dtype = like("bernoulli", input, None)
    p = input.detach().numpy()
    float_dtype("bernoulli", dtype)
    if not ((p >= 0) & (p <= 1)).all():
        raise ArgumentError("bernoulli: input must hold probabilities in [0, 1]; got others")
    return converted(draw(generator).random(shape) < p, dtype, False)


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    out: None = None,
) -> Tensor:
    """Indices drawn with probabilities proportional to weights, for each row by itself.

    With replacement, the distribution function of a row is inverted at uniform numbers.  Without, element k
    of weight w_k gets the key e_k / w_k with e_k from the exponential distribution, and those with the
    smallest keys are taken, in this order (Efraimidis, Spirakis: Weighted random sampling with a reservoir,
    2006).

    Parameters
    ----------
    input : Tensor
        Weights (K,) or (N, K), float32 or float64: finite, at least 0, not all 0 in a row.
    num_samples : int
        How many indices per row, at least 1; without replacement at most the number of positive weights.
    replacement : bool, default False
        Whether an index can come more than once.
    generator : Generator, optional
        By default the one that `manual_seed` seeds.
    out : None
        Other values are not supported.

    Returns
    -------
    Tensor
        Indices (num_samples,) or (N, num_samples), int64.

    Raises
    ------
    ArgumentError
        If a weight or `num_samples` is out of range.
    DTypeError, ShapeError
        If `input` is not of such a dtype or shape.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.multinomial(tn.tensor([0.0, 3.0, 0.0]), 4, replacement=True)
    tensor([1, 1, 1, 1])
    """
    check_options("multinomial", None, {"out": out})
    shape, dtype = like("multinomial", input, None)
    float_dtype("multinomial", dtype)
    count = integer("multinomial", "num_samples", num_samples, 1)
    again = boolean("multinomial", "replacement", replacement)
    if len(shape) not in (1, 2) or shape[-1] == 0:
        raise ShapeError(f"multinomial: input must have shape (K,) or (N, K) with K >= 1; got {shape}")
    w = input.detach().numpy().astype(np.float64).reshape(-1, shape[-1])  # (N, K)
    if not (np.isfinite(w) & (w >= 0)).all() or not w.any(1).all():
        raise ArgumentError(
            "multinomial: input must hold finite weights of at least 0, in each row one above 0"
        )
    w /= w.max(1, initial=0, keepdims=True)
    if again:
        total = np.cumsum(w, 1)
        u = draw(generator).random((len(w), count)) * total[:, -1:]
        u = np.minimum(u, np.nextafter(total[:, -1:], 0))  # the product may be rounded up to the total
        rows = [np.searchsorted(row, points, side="right") for row, points in zip(total, u, strict=True)]
        chosen = np.array(rows, np.int64).reshape(len(w), count)
    else:
        least = min((w > 0).sum(1), default=count)
        if count > least:
            raise ArgumentError(
                f"multinomial: num_samples must be at most {least}, the positive weights; got {count}"
            )
        with np.errstate(divide="ignore", over="ignore"):
            keys = draw(generator).standard_exponential(w.shape) / w  # infinite for weight 0
        chosen = np.argsort(keys, 1, kind="stable")[:, :count]
    return from_numpy(chosen.reshape(*shape[:-1], count))
