"""How the gradients of a network's parameters are distributed: moments and histograms, tensor by tensor.

Bjorck et al. (2018), Figure 2: at initialisation the gradient of a convolution's kernel deep in a network
without batch normalisation is spread far wider than with it, with a sharp peak at 0 and heavy tails.  The
kurtosis tells such a shape from that of a normal distribution, where it is 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import _check
from tinynet.bn.recording import Layers, chosen_layers
from tinynet.errors import ArgumentError
from tinynet.nn.module import Module

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GradientStatistics:
    """How the gradient of one parameter is distributed.

    Attributes
    ----------
    count : int
        Number of its elements.
    mean : float
        Their mean.
    std : float
        The root of the mean of their squared distances from the mean.
    skewness, kurtosis : float
        The means of the third and the fourth power of ``(element - mean) / std``: 0 and 3 for a normal
        distribution.  nan if all elements are equal.
    smallest, largest : float
        The ends of their range.
    values : numpy.ndarray of shape (count,), float64
        The elements, in row-major order.

    Without elements all but `count` are nan; with one that is not finite, the moments are.
    """

    count: int
    mean: float
    std: float
    skewness: float
    kurtosis: float
    smallest: float
    largest: float
    values: FloatArray = field(repr=False)

    def histogram(
        self, bins: int = 100, range: tuple[float, float] | None = None
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Count the elements in bins of equal width.

        Parameters
        ----------
        bins : int, default 100
            Number of bins, at least 1.
        range : tuple of two float, optional
            The ends, rising; elements outside are not counted.  By default the smallest and the largest of
            the finite elements; half a unit around them (more, if it must be) where they are equal or too
            close together for so many bins, and 0 to 1 if there are none.

        Returns
        -------
        (numpy.ndarray of shape (bins,), int64; numpy.ndarray of shape (bins + 1,), float64)
            The counts and the edges of the bins.  The last bin includes its right edge.  Elements that are
            not finite are not counted.

        Raises
        ------
        ArgumentError, DTypeError
            If an argument is out of its range or of another kind, or `range` is too narrow for so many bins.
        """
        owner = "GradientStatistics.histogram"
        bins = _check.integer(owner, "bins", bins, 1)
        finite = self.values[np.isfinite(self.values)]
        if range is None:
            low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
            if not _divisible(low, high, bins):
                around = max(0.5, bins * np.spacing(max(-low, high)))
                low, high = low - around, high + around
        else:
            if not isinstance(range, (tuple, list)) or len(range) != 2:
                raise ArgumentError(f"{owner}: range must be two numbers; got {range!r}")
            low, high = (_check.real(owner, "range", each) for each in range)
            if low >= high:
                raise ArgumentError(f"{owner}: range must rise; got {range!r}")
            if not _divisible(low, high, bins):
                raise ArgumentError(f"{owner}: range must be wide enough for {bins} bins; got {range!r}")
        counts, edges = np.histogram(finite, bins, (low, high))
        return counts.astype(np.int64), edges.astype(np.float64)


def _divisible(low: float, high: float, bins: int) -> bool:
    """Whether float64 has so many edges between two ends."""
    return bool((np.diff(np.linspace(low, high, bins + 1)) > 0).all())


def gradient_statistics(model: Module, layers: Layers | None = None) -> dict[str, GradientStatistics]:
    """Return how the gradients that the parameters have now are distributed.

    Call it after `backward`; it computes in float64, keeps a copy of the gradients, and changes nothing.

    Parameters
    ----------
    model : Module
        The network.
    layers : str, type, or iterable of them, optional
        The layers whose parameters are looked at, as in `record_layers`: dotted names and classes.  By
        default all parameters.

    Returns
    -------
    dict of str to GradientStatistics
        Under the dotted name of each parameter, in the order of `Module.named_parameters`.  Parameters
        without a gradient are left out.

    Raises
    ------
    ArgumentError
        If there is no layer of a name or class, or none of the parameters has a gradient.
    DTypeError
        If an argument is of another kind.

    References
    ----------
    J. Bjorck, C. Gomes, B. Selman, K. Weinberger: Understanding Batch Normalization, 2018, Figure 2.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.nn.Linear(3, 2)
    >>> model(tn.tensor([[1.0, 2.0, 6.0]])).sum().backward()
    >>> found = tn.bn.gradient_statistics(model)
    >>> list(found), found["weight"].mean, found["weight"].largest
    (['weight', 'bias'], 3.0, 6.0)
    >>> found["weight"].histogram(bins=5)[0]
    array([2, 2, 0, 0, 2])
    """
    owner = "gradient_statistics"
    chosen = chosen_layers(owner, model, "" if layers is None else layers)
    found = {
        name: _statistics(parameter.grad.detach().numpy())
        for prefix, layer in chosen.items()
        for name, parameter in layer.named_parameters(prefix)
        if parameter.grad is not None
    }
    if not found:
        raise ArgumentError(f"{owner}: model must have gradients, from backward; got none")
    return found


def _statistics(gradient: npt.NDArray[Any]) -> GradientStatistics:
    values = gradient.astype(np.float64).reshape(-1)
    if not values.size:
        return GradientStatistics(0, *6 * (float("nan"),), values)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):  # a network that diverged
        smallest, largest = values.min(), values.max()
        # Of equal elements the mean is the element, which a rounded sum may miss.
        mean = values.mean() if smallest < largest else smallest
        # Deviations between -1 and 1: the powers of large ones would leave the range of float64.
        scale = np.abs(values - mean).max()
        scaled = (values - mean) / scale
        std = np.sqrt(np.mean(scaled**2))
        skewness, kurtosis = (np.mean((scaled / std) ** power) for power in (3, 4))
    return GradientStatistics(
        count=values.size,
        mean=float(mean),
        std=float(scale * std) if scale else 0.0,
        skewness=float(skewness),
        kurtosis=float(kurtosis),
        smallest=float(smallest),
        largest=float(largest),
        values=values,
    )
