"""What follows from the runs of the Inception study: the table of Ioffe and Szegedy (2015), and claims.

The level that all variants are measured against is the best test accuracy of the network without batch
normalisation, as in the paper's Figure 3: for every seed its own.  Claims are about all seeds together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinynet.bn.stability import StableRate
from tinynet.experiments.claims import Claim
from tinynet.experiments.classification import ensemble_errors
from tinynet.experiments.images import Images
from tinynet.experiments.inception_study import Result
from tinynet.experiments.inception_variants import VARIANTS, Settings, Variant
from tinynet.experiments.measure import steps_to_accuracy

BASELINE = "inception"
DATASETS = ("cifar-10", "fashion-mnist")  # those that the bounds are meant for
BOUNDS = {"bn-baseline": 1 / 2, "bn-x5": 1 / 3}
CHANCE_MARGIN = 5.0  # points above chance within which a network has learnt nothing
BEHIND = 20.0  # points that the sigmoid without normalisation is behind the one with it
STABLE_RATIO = 10.0
ENSEMBLE_SHARE = 0.95

Results = Mapping[int, Mapping[str, Result]]
"""Seed -> name of the variant -> result."""


@dataclass(frozen=True)
class Row:
    """A row of the table; lists have one entry per seed.

    Attributes
    ----------
    variant : Variant
        Which.
    rate : float
        Its learning rate at the beginning.
    steps : list of int or None
        Steps to the baseline's best accuracy; None for never.
    best : list of float
        Best test accuracies, in [0, 1].
    diverged : list of int or None
        The steps at which runs diverged.
    share : float or None
        `steps` by the baseline's, each summed over the seeds; None if a seed never got there.
    """

    variant: Variant
    rate: float
    steps: list[int | None]
    best: list[float]
    diverged: list[int | None]
    share: float | None

    @property
    def mean(self) -> float:
        """The mean of the best accuracies."""
        return math.fsum(self.best) / len(self.best)


def rows(results: Results, base: float) -> list[Row]:
    """Make the table of all variants.

    Parameters
    ----------
    results : mapping of int to mapping of str to Result
        All `VARIANTS` for every seed.
    base : float
        The base rate.

    Returns
    -------
    list of Row
        In the order of `VARIANTS`.
    """
    levels = {seed: of[BASELINE].best or math.inf for seed, of in results.items()}  # none: out of reach
    needed = {
        variant.name: [
            steps_to_accuracy(of[variant.name].curve, levels[seed]) for seed, of in results.items()
        ]
        for variant in VARIANTS
    }
    return [
        Row(
            variant,
            base * variant.factor,
            needed[variant.name],
            [of[variant.name].best for of in results.values()],
            [of[variant.name].diverged for of in results.values()],
            _share(needed[variant.name], needed[BASELINE]),
        )
        for variant in VARIANTS
    ]


def _share(steps: Sequence[int | None], baseline: Sequence[int | None]) -> float | None:
    """The first in terms of the second, summed; None where one is missing."""
    own, its = ([step for step in each if step is not None] for each in (steps, baseline))
    return sum(own) / sum(its) if len(own) == len(its) == len(steps) else None


@dataclass(frozen=True)
class StablePair:
    """The largest stable rates of the two networks of a seed, and by which of two measures.

    Attributes
    ----------
    seed : int
        Of weights and batches.
    learns : bool
        Whether a stable network must have learnt; else not to diverge is enough.
    without, with_bn : StableRate
        What was found.
    """

    seed: int
    learns: bool
    without: StableRate
    with_bn: StableRate

    @property
    def ratio(self) -> float | None:
        """The rate with batch normalisation by that without; None if one has none."""
        if self.without.rate is None or self.with_bn.rate is None:
            return None
        return self.with_bn.rate / self.without.rate


def stable_ratio(pairs: Sequence[StablePair], learns: bool) -> float | None:
    """Return the geometric mean of the ratios by one of the measures; None if one is None."""
    logs = [pair.ratio and math.log(pair.ratio) for pair in pairs if pair.learns == learns]
    found = [log for log in logs if log is not None]
    return math.exp(math.fsum(found) / len(found)) if found and len(found) == len(logs) else None


@dataclass(frozen=True)
class Ensemble:
    """What an ensemble gets wrong.

    Attributes
    ----------
    names : list of str
        Of its networks.
    singles : list of float
        Their test errors, in [0, 1].
    error : float
        Of the mean of their probabilities.
    """

    names: list[str]
    singles: list[float]
    error: float

    @classmethod
    def of(cls, members: Mapping[str, Result], labels: Sequence[int]) -> Ensemble:
        """Measure the ensemble of these runs on the test images' classes."""
        singles, error = ensemble_errors(np.stack([m.probabilities for m in members.values()]), labels)
        return cls(list(members), singles.tolist(), error)

    @property
    def mean(self) -> float:
        """The mean of the single errors."""
        return math.fsum(self.singles) / len(self.singles)


def claims(
    images: Images,
    settings: Settings,
    table: Sequence[Row],
    pairs: Sequence[StablePair],
    ensemble: Ensemble,
) -> list[Claim]:
    """Say what holds.

    The bounds were fixed beforehand, for the default settings on CIFAR-10 and Fashion-MNIST; other data sets,
    lengths and settings have none.

    Parameters
    ----------
    images : Images
        The data.
    settings : Settings
        Of the study.
    table : sequence of Row
        From `rows`.
    pairs : sequence of StablePair
        By both measures, of all seeds.
    ensemble : Ensemble
        Of the networks of section 4.2.3.

    Returns
    -------
    list of Claim
        Always the same eight, in the same order.
    """
    usual = settings == Settings() and images.name in DATASETS

    def bound(limit: float) -> float | None:
        return limit if usual else None

    row = {each.variant.name: each for each in table}
    sigmoid, chance = row["inception-sigmoid"], 1 / images.classes
    return [
        Claim.at_most(
            "BN-Baseline needs at most 1/2 of the steps to Inception's best accuracy",
            row["bn-baseline"].share,
            bound(BOUNDS["bn-baseline"]),
        ),
        Claim.at_most("BN-x5 needs at most 1/3 of them", row["bn-x5"].share, bound(BOUNDS["bn-x5"])),
        Claim.at_least(
            "best accuracy, BN-x30 - BN-Baseline, in points, is at least 0",
            100 * (row["bn-x30"].mean - row["bn-baseline"].mean),
            bound(0.0),
        ),
        Claim.at_most(
            "Inception with sigmoid stays within 5 points of chance",
            100 * (max(sigmoid.best) - chance),
            bound(CHANCE_MARGIN),
        ),
        Claim.at_least(
            "Inception with sigmoid is at least 20 points behind BN-x5-Sigmoid",
            100 * (row["bn-x5-sigmoid"].mean - sigmoid.mean),
            bound(BEHIND),
        ),
        Claim.at_least(
            "the largest rate without divergence with BN is at least 10 times that without",
            stable_ratio(pairs, learns=False),
            bound(STABLE_RATIO),
        ),
        Claim.at_least(
            "the largest rate at which the network learns with BN is at least 10 times that without",
            stable_ratio(pairs, learns=True),
            bound(STABLE_RATIO),
        ),
        Claim.at_most(
            "the ensemble's error is at most 0.95 of the mean of the single ones",
            ensemble.error / ensemble.mean if ensemble.mean > 0 else None,
            bound(ENSEMBLE_SHARE),
        ),
    ]
