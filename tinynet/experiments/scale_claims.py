"""What is claimed of scales below 1 (Davis & Frank 2021), and the paired tests behind it.

The mechanics have bounds always; what is trained has bounds for the default settings on CIFAR-10 with at
least 5 seeds.  Whether a variant is better than the standard is reported without a bound: neither sign is
promised of so short a training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tinynet.errors import ArgumentError
from tinynet.experiments.claims import Claim, largest
from tinynet.experiments.scale_mechanics import Mechanics
from tinynet.experiments.scale_study import (
    ONLINE,
    PROPOSAL,
    STANDARD,
    VARIANTS,
    Drift,
    Result,
    Settings,
    Variant,
)

EXACT = 1e-6  # relative, in float64
SAMPLED = 1e-3  # of the standard deviation of a ReLU
INPUT = 0.01  # relative, of the running statistics of the input
STAYS = 0.3  # mean |gamma - 1| after training
SHRINKS = 0.5  # the gap after the long training, over that after the short one
SAME = 0.5  # points between the two normalisations of the input
SEEDS = 5  # the fewest for bounds on what is trained

Results = Mapping[int, Mapping[tuple[str, int], Result]]
"""Seed -> name of a variant and number of steps -> what came out."""


@dataclass(frozen=True)
class Comparison:
    """A variant and the standard, pair by pair: the two runs of a seed.

    Attributes
    ----------
    variant : Variant
        What is compared.
    steps : int
        Of the runs.
    differences : list of float
        Test accuracy of the variant minus that of the standard, in points, a seed each.
    mean : float
        Of the differences.
    deviation : float or None
        Their standard deviation, with divisor n - 1; None for one seed.
    p : float or None
        Of the paired t-test; None for one seed, or where all differences are the same.
    alternative : str
        "greater": that the variant is better, one-sided; "two-sided": that the two differ.
    """

    variant: Variant
    steps: int
    differences: list[float]
    mean: float
    deviation: float | None
    p: float | None
    alternative: str


def compare(results: Results, variant: Variant, steps: int, alternative: str = "greater") -> Comparison:
    """Compare a variant with the standard over all seeds."""
    names = (variant.name, STANDARD.name)
    own, its = ([100 * of[name, steps].accuracy for of in results.values()] for name in names)
    differences = np.subtract(own, its)
    deviation = float(differences.std(ddof=1)) if len(differences) > 1 else None
    return Comparison(
        variant,
        steps,
        differences.tolist(),
        float(differences.mean()),
        deviation,
        paired_test(own, its, alternative),
        alternative,
    )


def comparisons(results: Results, settings: Settings) -> list[Comparison]:
    """Compare every variant with the standard at both lengths, and at the end the online normalisation."""
    lengths = (settings.short, settings.long)
    found = [compare(results, variant, steps) for variant in VARIANTS[1:] for steps in lengths]
    return [*found, compare(results, ONLINE, settings.long, "two-sided")]


def paired_test(own: Sequence[float], its: Sequence[float], alternative: str = "greater") -> float | None:
    """Return the p-value of Student's paired t-test.

    Parameters
    ----------
    own, its : sequence of float
        Values, pair by pair.
    alternative : {'greater', 'less', 'two-sided'}
        Of the mean of ``own - its``, compared with 0.

    Returns
    -------
    float or None
        None where there is no test: for fewer than two pairs, or where all differences are the same.

    Raises
    ------
    ArgumentError
        If the two are not of one length.

    Examples
    --------
    >>> from tinynet.experiments.scale_claims import paired_test
    >>> round(paired_test([1.0, 2.0, 4.0], [1.0, 1.0, 2.0]), 4)  # differences 0, 1, 2: t = sqrt(3)
    0.1127
    """
    if len(own) != len(its):
        raise ArgumentError(f"paired_test: own and its must have one length; got {len(own)} and {len(its)}")
    if len(np.unique(np.subtract(own, its))) < 2:
        return None
    return float(stats.ttest_rel(own, its, alternative=alternative).pvalue)


def claims(
    dataset: str,
    settings: Settings,
    mechanics: Mechanics,
    compared: Sequence[Comparison],
    drifts: Mapping[str, Sequence[Drift]],
) -> list[Claim]:
    """Say what holds.

    Parameters
    ----------
    dataset : str
        The name of the data set.
    settings : Settings
        Of the study.
    mechanics : Mechanics
        See there.
    compared : sequence of Comparison
        From `comparisons`.
    drifts : mapping of str to sequence of Drift
        Name of a variant -> one per seed, after the long training.

    Returns
    -------
    list of Claim
        Always the same, in the same order.
    """
    usual = settings == Settings() and dataset == "cifar-10" and len(compared[0].differences) >= SEEDS
    return [
        *_of_mechanics(mechanics, dataset),
        *_of_drift(drifts, settings.long, usual),
        *_of_training(compared, settings, usual),
    ]


def _of_mechanics(mechanics: Mechanics, dataset: str) -> Iterator[Claim]:
    at_most, ratios = Claim.at_most, mechanics.ratios
    which = "k = " + ", ".join(f"{each.k:g}" for each in ratios)

    def of(*names: str) -> float:
        return largest(each.differences[name] for each in ratios for name in names)

    yield at_most(f"logits at scale k against k times those at 1, {which}", of("logits"), EXACT)
    of_weights = of("convolutions", "classifier")
    yield at_most("gradients of the weights against k times those at 1", of_weights, EXACT)
    yield at_most("gradients of scales and shifts against those at 1", of("scales", "shifts"), EXACT)
    pace = largest(abs(each.pace * each.k**2 - 1) for each in ratios)
    yield at_most("relative pace of the scales against 1/k^2", pace, EXACT)
    training = mechanics.training
    slowed = largest(each.shifts_slowed for each in training)
    name = f"{training[0].steps} steps at scale k, scales and shifts / c = 1/k^2, against logits x k"
    yield at_most(name, slowed, EXACT)
    yield at_most(f"... shifts not slowed, k = {training[0].k:g}", training[0].as_proposed, None)
    groups = mechanics.groups
    yield at_most("step of the scales against -lr/c times the gradient", groups.scales, EXACT)
    others = largest((groups.shifts, groups.weights))
    yield at_most("steps of all others against the promised ones", others, EXACT)
    drawn, exact = mechanics.relu
    yield at_most("standard deviation of ReLU(N(0, 1)), drawn, against 0.5838", abs(drawn - exact), SAMPLED)
    bound, inputs = (INPUT if dataset == "cifar-10" else None), mechanics.inputs
    for kind, difference in zip(("mean", "variance"), inputs.differences, strict=True):
        yield at_most(f"input normalisation: {kind} after {inputs.batches} batches", difference, bound)
    name = "... the larger of the two, where all batches count alike"
    yield at_most(name, largest(mechanics.averaged.differences), None)


def _of_drift(drifts: Mapping[str, Sequence[Drift]], steps: int, usual: bool) -> Iterator[Claim]:
    of = drifts[STANDARD.name]
    scale, shift = (float(np.mean([getattr(each, name) for each in of])) for name in ("scale", "shift"))
    name = f"standard, {steps:,} steps: mean |gamma - 1|"
    yield Claim.at_most(name, scale, STAYS if usual else None)
    yield Claim.at_most("... mean |beta|", shift, None)
    large = float(np.mean([share for each in of for share in each.large.values()]))
    yield Claim.at_most("... share of normalised values beyond 3, mean of the layers", large, None)


def _of_training(compared: Sequence[Comparison], settings: Settings, usual: bool) -> Iterator[Claim]:
    *variants, online = compared
    for each in variants:
        name = f"{each.variant.title}: above standard, points, {each.steps:,} steps"
        yield Claim.at_least(name, each.mean, None)
    gaps = {each.steps: -each.mean for each in variants if each.variant == PROPOSAL}
    short, long = gaps[settings.short], gaps[settings.long]
    yield Claim.at_most(
        f"gap of {PROPOSAL.title}, {settings.long:,} over {settings.short:,} steps",
        long / short if short > 0 else None,  # without a gap there is none to shrink
        SHRINKS if usual else None,
    )
    yield Claim.at_most(
        "online input normalisation against the data set's, |difference|, points",
        abs(online.mean),
        SAME if usual else None,
    )
