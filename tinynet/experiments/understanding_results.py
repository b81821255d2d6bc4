"""What the runs of the study of Bjorck et al. (2018) give."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinynet import bn
from tinynet.bn.stability import RateTrial
from tinynet.experiments.claims import largest
from tinynet.experiments.understanding_settings import Settings

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Initial:
    """What was measured of one network at its initialisation; arrays are float64 unless said.

    Attributes
    ----------
    loss : float
        Of the first mini-batch.
    ratio, image_ratio : numpy.ndarray of shape (3,)
        Of `Settings.kernels`: sums of magnitudes over the batch and all positions, over the positions of each
        image only, by the magnitude of the sum (the table of absolute sums).
    gradient : numpy.ndarray of shape (P,), float32
        Of the weights of the layer `Settings.histogram`.
    spread, kurtosis : float
        Their standard deviation, and their kurtosis (3 for a normal distribution).
    class_gradient : numpy.ndarray of shape (N, K)
        Of the mean loss by the logits.
    predicted_share : float
        The largest share of the images that are taken for one class.
    layers : numpy.ndarray of shape (L,), int64
        Where the residual stream was measured.
    means, deviations : numpy.ndarray of shape (L,)
        Magnitude of the channels' means, and their standard deviations; means over the channels.
    relative : numpy.ndarray of shape (looks, step sizes)
        Loss after a step along the gradient by the loss before it.
    seconds : float
        That all this took.
    """

    loss: float
    ratio: FloatArray
    image_ratio: FloatArray
    gradient: npt.NDArray[np.float32]
    spread: float
    kurtosis: float
    class_gradient: FloatArray
    predicted_share: float
    layers: npt.NDArray[np.int64]
    means: FloatArray
    deviations: FloatArray
    relative: FloatArray
    seconds: float

    def relative_at(self, step: float, settings: Settings) -> float:
        """Return the relative loss of the first mini-batch at the step size that is nearest to `step`."""
        sizes = np.log(settings.step_sizes)
        return float(self.relative[0, np.abs(sizes - math.log(step)).argmin()])

    @property
    def growth(self) -> float:
        """Deviation of the channels behind the last block by that behind the first."""
        return float(self.deviations[-1] / self.deviations[1])


@dataclass(frozen=True)
class Divergence:
    """One diverging step in equal parts.

    Attributes
    ----------
    fractions, losses : numpy.ndarray of shape (P,)
        Share of the step that was made, and the loss then.
    mean, var : list of numpy.ndarray of shape (P, C)
        Of the channels of the three layers `Settings.maps`.
    """

    fractions: FloatArray
    losses: FloatArray
    mean: list[FloatArray]
    var: list[FloatArray]

    @property
    def largest(self) -> FloatArray:
        """The largest variance of a channel of each layer after the whole step."""
        return np.array([var[-1].max() for var in self.var])

    @property
    def growth(self) -> FloatArray:
        """`largest` of the second and the third layer, by that of the layer before; nan past all numbers."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.largest[1:] / self.largest[:-1]


@dataclass(frozen=True)
class Rates:
    """Trials of learning rates.

    Attributes
    ----------
    limit : float
        A loss above it means divergence.
    largest : float or None
        The largest rate at which the network does not diverge; None if it does at all that were tried.
    trials : tuple of RateTrial
        All of them, in the order of their rates.
    """

    limit: float
    largest: float | None
    trials: tuple[RateTrial, ...]

    @property
    def end(self) -> float | None:
        """Mean loss of the last quarter of the steps at the largest rate: ln K where the network guesses."""
        for trial in self.trials:
            if trial.rate == self.largest:
                return float(np.mean(trial.losses[-math.ceil(len(trial.losses) / 4) :]))
        return None


@dataclass(frozen=True)
class Training:
    """One trained network.

    Attributes
    ----------
    losses : numpy.ndarray of shape (T,)
        Of every step.
    train_accuracy, test_accuracy : list of float
        Of every epoch, in [0, 1]; the first as the images were met, augmented.
    diverged : int or None
        The step whose loss was no finite number, with which the run ended.
    seconds : float
        That it took.
    """

    losses: FloatArray
    train_accuracy: list[float]
    test_accuracy: list[float]
    diverged: int | None
    seconds: float

    def final(self, chance: float) -> float:
        """Return the test accuracy at the end: that of guessing for a network that diverged."""
        return chance if self.diverged is not None or not self.test_accuracy else self.test_accuracy[-1]


@dataclass(frozen=True)
class Noise:
    """Noise of the gradients of mini-batches, and of the steps that are made with them.

    Attributes
    ----------
    sizes : numpy.ndarray of shape (B,)
        Images in a batch.
    measured, theory : dict of str to numpy.ndarray of shape (B,)
        Mean squared distance from the full gradient, "with" and "without" replacement.
    doubled : float
        The squared noise of a step of SGD at twice the learning rate, by that at the rate.
    """

    sizes: npt.NDArray[np.int64]
    measured: dict[str, FloatArray]
    theory: dict[str, FloatArray]
    doubled: float

    def slope(self) -> float:
        """Return the slope of log noise over log batch size, with replacement."""
        return float(np.polyfit(np.log(self.sizes), np.log(self.measured["with"]), 1)[0])

    def deviation(self) -> float:
        """Return the largest relative error against theory, of both ways to draw."""
        errors = [np.abs(self.measured[way] / self.theory[way] - 1).max() for way in self.measured]
        return largest(errors)


@dataclass(frozen=True)
class Products:
    """Singular values of products of random matrices, by the number of factors.

    Attributes
    ----------
    values : dict of int to numpy.ndarray of shape (draws, N)
        Descending.
    """

    values: dict[int, FloatArray]

    def edge_error(self) -> float:
        """Return the largest relative distance of a mean largest value from the edge of the limit law."""
        errors = [
            abs(values[:, 0].mean() / bn.singular_value_edge(factors) - 1)
            for factors, values in self.values.items()
        ]
        return largest(errors)

    def distance(self) -> float:
        """Return the largest Kolmogorov-Smirnov distance of all values of a product from the limit law."""
        return largest(_distance(values.ravel(), factors) for factors, values in self.values.items())

    def small(self, limit: float = 0.1) -> dict[int, float]:
        """Return the share of values below `limit`."""
        return {factors: float((values < limit).mean()) for factors, values in self.values.items()}

    def condition(self) -> dict[int, float]:
        """Return the mean log10 of the largest value by the smallest."""
        return {m: float(np.log10(values[:, 0] / values[:, -1]).mean()) for m, values in self.values.items()}


def _distance(values: FloatArray, factors: int) -> float:
    law = bn.singular_value_cdf(np.sort(values), factors)
    steps = np.arange(len(values) + 1) / len(values)
    return float(max(np.abs(law - steps[1:]).max(), np.abs(law - steps[:-1]).max()))
