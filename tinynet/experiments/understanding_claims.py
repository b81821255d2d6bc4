"""What the runs of the study of Bjorck et al. (2018) show, and what was said of it beforehand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tinynet.experiments.claims import Claim, geometric_mean, largest, smallest
from tinynet.experiments.understanding_results import Divergence, Initial, Noise, Products, Rates, Training
from tinynet.experiments.understanding_settings import Settings

DATASET = "cifar-10"  # the bounds are for this one
SEEDS = 3  # the fewest for bounds: one network's start may be far from the next one's
STEP = 1e-2  # the step along the gradient at which the loss is compared


@dataclass(frozen=True)
class Outcome:
    """All runs of a study.

    Attributes
    ----------
    dataset : str
        Of the images.
    classes : int
        K.
    seeds : list of int
        Of the runs.
    initial : dict of (str, str, int) to Initial
        By weights, place of the batch normalisation, and seed.
    divergence : dict of int to Divergence
        By seed.
    rates : dict of (int, str, int) to Rates
        By depth, place of the batch normalisation, and seed.
    training : dict of (str, float, int) to Training
        By place of the batch normalisation, learning rate, and seed.
    noise : dict of int to Noise
        By seed.
    products : dict of int to Products
        By seed.
    """

    dataset: str
    classes: int
    seeds: list[int]
    initial: Mapping[tuple[str, str, int], Initial]
    divergence: Mapping[int, Divergence]
    rates: Mapping[tuple[int, str, int], Rates]
    training: Mapping[tuple[str, float, int], Training]
    noise: Mapping[int, Noise]
    products: Mapping[int, Products]

    def at_start(self, weights: str, batch_norm: str) -> list[Initial]:
        """The measurements of all seeds at the initialisation."""
        return [self.initial[weights, batch_norm, seed] for seed in self.seeds]

    def largest_rate(self, depth: int, batch_norm: str) -> float | None:
        """Geometric mean of the largest rates without divergence; None if a seed has none."""
        return geometric_mean(
            run.largest for (d, where, _), run in self.rates.items() if (d, where) == (depth, batch_norm)
        )

    def final(self, batch_norm: str, rate: float) -> float:
        """Mean test accuracy at the end, in points; that of guessing for a network that diverged."""
        runs = [run for (w, r, _), run in self.training.items() if (w, r) == (batch_norm, rate)]
        return 100 * math.fsum(run.final(1 / self.classes) for run in runs) / len(runs)


def quotient(value: float | None, by: float | None) -> float | None:
    """Return the quotient; None if one of the two is None."""
    return None if value is None or by is None else value / by


def claims(settings: Settings, outcome: Outcome) -> list[Claim]:
    """Say what holds.

    The bounds were fixed beforehand, for the default settings on CIFAR-10 with at least 3 seeds; other data
    sets and settings, and fewer seeds, have none.

    Parameters
    ----------
    settings : Settings
        Of the study.
    outcome : Outcome
        Its runs.

    Returns
    -------
    list of Claim
        Always the same ones, in the same order.
    """
    usual = settings == Settings() and outcome.dataset == DATASET and len(outcome.seeds) >= SEEDS
    every = [
        *_at_start(settings, outcome),
        *_divergence(outcome),
        *_rates(settings, outcome),
        *_training(outcome),
        *_noise(outcome),
        *_products(outcome),
    ]
    return every if usual else [Claim(claim.name, claim.value, None, None) for claim in every]


def _at_start(settings: Settings, outcome: Outcome) -> Iterator[Claim]:
    """P1: gradients, activations and losses at the initialisation, Xavier's unless said."""
    without, with_bn = (outcome.at_start("xavier", where) for where in ("none", "all"))
    cancellation = f"cancellation a/b of the gradient, layers {'/'.join(map(str, settings.kernels))}"
    ratios = np.array([[run.ratio for run in runs] for runs in (without, with_bn)]).mean(axis=1)
    yield Claim.at_least(
        f"{cancellation}, with BN, least of the layers",
        float(ratios[1].min()),
        10.0,
    )
    yield Claim.at_most(
        f"{cancellation}, without BN, largest of the layers",
        float(ratios[0].max()),
        4.0,
    )
    pairs = list(zip(without, with_bn, strict=True))
    yield Claim.at_least(
        f"spread of the gradient of layer {settings.histogram}, without BN by with BN",
        geometric_mean(a.spread / b.spread for a, b in pairs),
        100.0,
    )
    yield Claim.at_least(
        f"kurtosis of the gradient of layer {settings.histogram}, without BN by with BN",
        geometric_mean(a.kurtosis / b.kurtosis for a, b in pairs),
        2.0,
    )
    after = f"loss after a step of {STEP:g} along the gradient by that before"
    highest = largest(run.relative_at(STEP, settings) for run in with_bn)
    yield Claim(f"{after}, with BN, largest of the seeds", highest, "< 1", highest < 1)
    burst = [not run.relative_at(STEP, settings) <= 1e3 for run in without]
    yield Claim.at_least(
        f"{after}, without BN: share of the seeds above 1,000 or not finite",
        sum(burst) / len(burst),
        1.0,
    )
    first, last = (int(without[0].layers[place]) for place in (1, -1))
    growth = f"standard deviation of the channels, layer {last} by layer {first}"
    yield Claim.at_most(f"{growth}, with BN", geometric_mean(run.growth for run in with_bn), 10.0)
    yield Claim.at_least(f"{growth}, without BN", geometric_mean(run.growth for run in without), 100.0)
    kaiming = outcome.at_start("kaiming", "none")
    yield Claim.at_least(
        f"{growth}, without BN, Kaiming's weights", geometric_mean(run.growth for run in kaiming), 1e6
    )
    yield Claim.at_least(
        "share of the images taken for one class, without BN, least of the seeds",
        smallest(run.predicted_share for run in without),
        0.95,
    )


def _divergence(outcome: Outcome) -> Iterator[Claim]:
    """P2: one diverging step."""
    yield Claim.at_least(
        "largest variance of a channel after the diverging step: least growth from layer to layer",
        smallest(run.growth.min() for run in outcome.divergence.values()),
        1e3,
    )


def _rates(settings: Settings, outcome: Outcome) -> Iterator[Claim]:
    """P3: the largest learning rates."""
    deep, shallow = settings.depths[-1], settings.depths[1]
    none, last, everywhere = (outcome.largest_rate(deep, where) for where in ("none", "last", "all"))
    most = "largest rate without divergence"
    yield Claim.at_least(
        f"{most}, {deep} layers, with BN by without",
        quotient(everywhere, none),
        100.0,
    )
    yield Claim.at_most(
        f"{most}, without BN, {deep} layers by {shallow}",
        quotient(none, outcome.largest_rate(shallow, "none")),
        1.0,
    )
    yield Claim.at_least(
        f"{most}, {deep} layers, BN before the classifier by none",
        quotient(last, none),
        10.0,
    )


def _training(outcome: Outcome) -> Iterator[Claim]:
    """P4: what a trained network gains from batch normalisation, and from the learning rate it allows."""
    fast, slow, none = (outcome.final(*run) for run in (("all", 0.1), ("all", 0.0001), ("none", 0.0001)))
    yield Claim.at_least("test accuracy with BN, rate 0.1 - rate 0.0001, in points", fast - slow, 5.0)
    yield Claim.at_most(
        "difference at rate 0.0001 between with and without BN, as a share of that",
        quotient(abs(slow - none), fast - slow if fast > slow else None),
        0.5,
    )
    captured = quotient(outcome.final("last", 0.03) - none, fast - none if fast != none else None)
    yield Claim.at_least("share of the gain that BN before the classifier alone brings", captured, None)


def _noise(outcome: Outcome) -> Iterator[Claim]:
    """P5: the noise of mini-batch gradients."""
    runs = list(outcome.noise.values())
    yield Claim.at_most(
        "slope of log noise over log batch size, distance from -1",
        largest(abs(run.slope() + 1) for run in runs),
        0.05,
    )
    yield Claim.at_most(
        "noise against theory, with and without replacement, largest relative error",
        largest(run.deviation() for run in runs),
        0.05,
    )
    yield Claim.at_most(
        "squared noise of a step at twice the rate by 4, distance from 1",
        largest(abs(run.doubled / 4 - 1) for run in runs),
        1e-9,
    )


def _products(outcome: Outcome) -> Iterator[Claim]:
    """P6: products of random matrices."""
    runs = list(outcome.products.values())
    yield Claim.at_most(
        "largest singular value of a product against the edge of the limit law, relative error",
        largest(run.edge_error() for run in runs),
        0.02,
    )
    yield Claim.at_most(
        "distance of the singular values from the limit law (Kolmogorov-Smirnov)",
        largest(run.distance() for run in runs),
        0.02,
    )
    rise = smallest(np.diff(list(run.small().values())).min() for run in runs)
    name = "share of singular values below 0.1: least rise from one number of factors to the next"
    yield Claim(name, rise, "> 0", rise > 0)
