"""What is claimed of the mechanics of batch normalisation, and the curves behind it.

The bounds of the exact statements are what float64 and eps allow.  The noise of small batches and the stable
rates have bounds for the default settings alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinynet.experiments.claims import Claim, largest
from tinynet.experiments.mechanics_study import NETWORKS, Outcome, Settings

EXACT = 1e-6  # relative, in float64
WITH_EPS = 1e-4  # where eps = 1e-5 inside the root makes the difference
ROUNDING = 1e-12  # what is zero in exact arithmetic


def claims(settings: Settings, outcome: Outcome) -> list[Claim]:
    """Compare the outcome of one seed with the bounds.

    Parameters
    ----------
    settings : Settings
        Of the run.
    outcome : Outcome
        What came out.

    Returns
    -------
    list of Claim
        Always the same, in the same order.
    """
    return [
        *_exact(outcome),
        *_of_bias(outcome),
        *_on_images(outcome, usual=settings == Settings()),
    ]


def _exact(outcome: Outcome) -> Iterator[Claim]:
    at_most = Claim.at_most
    backward, convolution = outcome.backward, outcome.convolution
    yield at_most("backward equations against finite differences", backward.differences, EXACT)
    yield at_most("BatchNorm1d's gradients against the equations", backward.batch_norm_1d, EXACT)
    yield at_most("BatchNorm2d's gradients against the equations", backward.batch_norm_2d, EXACT)
    yield at_most("the simplified formula against the equations", backward.simplified, EXACT)
    yield at_most("the last term of dl/dmu, over dl/dmu", backward.vanishing, ROUNDING)

    inference = outcome.algorithm_2
    yield at_most("population mean against E[mu_B]", inference.mean, EXACT)
    yield at_most("population variance against m/(m-1) E[var_B]", inference.variance, EXACT)
    corrected = largest(abs(each.corrected - 1) for each in outcome.unbiased)
    biased = largest(abs(each.biased - (each.m - 1) / each.m) for each in outcome.unbiased)
    yield at_most("m/(m-1) E[var_B] of all batches is the variance (m = 2, 3, 4)", corrected, EXACT)
    yield at_most("E[var_B] without the factor is (m-1)/m of it", biased, EXACT)
    yield at_most("each layer in inference mode against one linear map", inference.linear_map, EXACT)
    yield at_most("folded layers against inference mode", inference.folded, EXACT)

    (scale,) = (each for each in outcome.scale if each.a == 10)
    yield at_most("BN((aW)u) against BN(Wu), a = 10", scale.output, WITH_EPS)
    yield at_most("its Jacobian with respect to u, a = 10", scale.jacobian, WITH_EPS)
    yield at_most("gradient with respect to aW against 1/a of W's, a = 10", scale.gradient, WITH_EPS)

    values, counted = convolution.values, convolution.counted
    yield at_most("convolution: m' against m p q", abs(counted - values) / values, EXACT)
    same = largest((convolution.statistics, convolution.output))
    yield at_most("convolution: statistics and output against BN of rows (m p q, C)", same, EXACT)
    yield at_most("convolution: gradients against BN of rows", convolution.gradients, EXACT)
    per_map = convolution.pairs / convolution.maps
    yield Claim("convolution: pairs of gamma and beta per feature map", per_map, "= 1", per_map == 1)


def _of_bias(outcome: Outcome) -> Iterator[Claim]:
    outside, through = outcome.bias["outside"], outcome.bias["through"]
    steps = len(outside.bias) - 1
    line = np.arange(steps + 1)[:, None] * outside.bias[1]  # the first step, again and again
    curved = np.abs(outside.bias - line).max() / np.abs(line).max()
    moved = np.abs(outside.loss - outside.loss[0]).max() / outside.loss[0]
    grown = float(np.sqrt((outside.bias[-1] ** 2).mean()))  # u has standard deviation 1
    yield Claim.at_least(f"mean outside the gradient: b after {steps:,} steps, in sigma", grown, 10)
    yield Claim.at_most("mean outside the gradient: b departs from a line by", float(curved), 1e-6)
    yield Claim.at_most("mean outside the gradient: the loss moves by", float(moved), 1e-6)
    yield Claim.at_most("mean outside the gradient: the output moves by", outside.output, 1e-6)
    yield Claim.at_most("mean inside the gradient: largest |dl/db|", through.gradient, ROUNDING)


def _on_images(outcome: Outcome, *, usual: bool) -> Iterator[Claim]:
    noise = outcome.noise
    sizes = f"m = {noise.sizes[0]}..{noise.sizes[-1]}"
    for of, tolerance in (("mean", 0.05), ("variance", 0.1)):
        yield Claim.at_most(
            f"noise of the batch {of}, {sizes}: |log-log slope + 1/2|",
            abs(noise.slope(of) + 0.5),
            tolerance if usual else None,
        )
    yield Claim.at_most("noise of both against sampling theory", noise.deviation(), 0.05 if usual else None)
    for network in NETWORKS:
        yield Claim.at_least(
            f"largest stable rate with BN over without: {network}",
            outcome.ratio(network),
            10 if usual else None,
        )


def curves(outcome: Outcome) -> Iterator[tuple[str, str, float, float | None]]:
    """Yield all curves as rows (check, series, x, y).

    Parameters
    ----------
    outcome : Outcome
        Of one seed.

    Yields
    ------
    tuple of str, str, float, float or None
    """
    for name, run in outcome.bias.items():
        for step, (b, loss) in enumerate(zip(run.bias, run.loss, strict=True)):
            yield f"mean {name} the gradient", "rms of b", step, float(np.sqrt((b**2).mean()))
            yield f"mean {name} the gradient", "loss", step, float(loss)
    for each in outcome.scale:
        for series in ("ratio", "output", "jacobian", "gradient"):
            yield "scale of the weights", series, each.a, getattr(each, series)
    for series in ("mean", "mean_theory", "variance", "variance_theory"):
        for m, value in zip(outcome.noise.sizes, getattr(outcome.noise, series), strict=True):
            yield "noise of batches", series, m, float(value)
    for network, rates in outcome.rates.items():
        for which, found in rates.items():
            for trial in found.trials:
                last = trial.losses[-len(trial.losses) // 4 :] if trial.stable else trial.losses[-1:]
                yield (
                    f"stable rate: {network}, {which} BN",
                    _verdict(trial.stable),
                    trial.rate,
                    float(np.mean(last)),
                )


def _verdict(stable: bool) -> str:
    return "stable, mean loss of the last quarter" if stable else "not stable, last loss"
