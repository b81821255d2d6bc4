"""The tables of the study of Bjorck et al. (2018), and the points of its curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from tinynet import bn
from tinynet.experiments.claims import spread
from tinynet.experiments.understanding_claims import Outcome
from tinynet.experiments.understanding_figures import NAMES, WEIGHT_NAMES
from tinynet.experiments.understanding_results import Initial, Noise, Training
from tinynet.experiments.understanding_settings import FACTORS, NORMS, TRAININGS, WEIGHTS, WHERE, Settings

STEPS = (1e-3, 1e-2, 1e-1)  # along the gradient, whose losses stand in the tables
WAYS = ("with", "without")  # replacement

Row = list[object]


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes
    ----------
    title : str
        Above it.
    head : list of str
        The names of its columns.
    rows : list of list of str
        Its cells, as many in each row as columns.
    """

    title: str
    head: list[str]
    rows: list[list[str]]

    def to_json(self) -> dict[str, object]:
        """Return the table as ``{"title", "head", "rows"}``."""
        return {"title": self.title, "head": self.head, "rows": self.rows}


def tables(settings: Settings, outcome: Outcome) -> list[Table]:
    """Return the tables of a study; their cells are means over the seeds, with the range in brackets.

    Parameters
    ----------
    settings : Settings
        Of the study.
    outcome : Outcome
        Its runs.

    Returns
    -------
    list of Table
        At the initialisation with both kinds of weights, along the diverging step, largest learning rates,
        training, noise (two), random matrices.
    """
    return [
        *(_at_start(settings, outcome, weights) for weights in WEIGHTS),
        _divergence(settings, outcome),
        _rates(settings, outcome),
        _training(settings, outcome),
        *_noise(settings, outcome),
        _products(settings, outcome),
    ]


def _at_start(settings: Settings, outcome: Outcome, weights: str) -> Table:
    """What was measured at the initialisation: a row per quantity, a column per network."""
    runs = [outcome.at_start(weights, where) for where in NORMS]
    rows: list[list[str]] = []

    def row(name: str, value: Callable[[Initial], float], form: str = ".3g") -> None:
        rows.append([name, *(spread((value(run) for run in of), form) for of in runs)])

    row("loss", lambda run: run.loss)
    for kind, name in (("ratio", "cancellation, all terms"), ("image_ratio", "cancellation, per image")):
        for place, layer in enumerate(settings.kernels):
            row(f"{name}, layer {layer}", partial(_entry, kind, place))
    row(f"deviation of the gradient, layer {settings.histogram}", lambda run: run.spread)
    row(f"kurtosis of the gradient, layer {settings.histogram}", lambda run: run.kurtosis)
    row("images taken for one class, %", lambda run: 100 * run.predicted_share, ".1f")
    for step in STEPS:
        row(f"relative loss after a step of {step:g}", partial(_relative, settings, step))
    for place in (1, -1):
        layer = int(runs[0][0].layers[place])
        row(f"deviation of the channels, layer {layer}", partial(_entry, "deviations", place))
    return Table(
        f"At the initialisation, {settings.depth} layers, {WEIGHT_NAMES[weights]}'s weights",
        ["", *(NAMES[where] for where in NORMS)],
        rows,
    )


def _entry(name: str, place: int, run: Initial) -> float:
    return float(getattr(run, name)[place])


def _relative(settings: Settings, step: float, run: Initial) -> float:
    return run.relative_at(step, settings)


def _divergence(settings: Settings, outcome: Outcome) -> Table:
    """Loss and channels before and after the diverging step."""
    runs = list(outcome.divergence.values())
    rows = [["loss", *(spread(float(run.losses[end]) for run in runs) for end in (0, -1))]]
    for place, layer in enumerate(settings.maps):
        for kind, name in (("mean", "magnitude of a channel's mean"), ("var", "variance of a channel")):
            ends = (
                spread(float(np.abs(getattr(run, kind)[place][end]).max()) for run in runs) for end in (0, -1)
            )
            rows.append([f"layer {layer}: largest {name}", *ends])
    return Table(
        f"One step at the learning rate {settings.diverging_rate:g}, {settings.depth} layers without BN",
        ["", "before", "after"],
        rows,
    )


def _rates(settings: Settings, outcome: Outcome) -> Table:
    """The largest learning rates: a row per network."""
    rows = []
    for depth in settings.depths:
        for where in WHERE:
            runs = [run for (d, w, _), run in outcome.rates.items() if (d, w) == (depth, where)]
            rate = spread((run.largest for run in runs), geometric=True)
            rows.append([f"{depth} layers, {NAMES[where]}", rate, spread(run.end for run in runs)])
    low, high = settings.rate_range
    return Table(
        f"Largest learning rates without divergence in {settings.rate_steps} steps, from {low:g} to {high:g} "
        f"(geometric means); guessing has a loss of {math.log(outcome.classes):.3g}",
        ["", "largest rate", "loss at the end"],
        rows,
    )


def _training(settings: Settings, outcome: Outcome) -> Table:
    """How the trained networks ended."""
    rows = []
    for where, rate in TRAININGS:
        runs = [run for (w, r, _), run in outcome.training.items() if (w, r) == (where, rate)]
        rows.append(
            [
                f"{NAMES[where]}, {rate:g}",
                spread((100 * run.final(1 / outcome.classes) for run in runs), ".2f"),
                spread((_percent(run.test_accuracy, max) for run in runs), ".2f"),
                spread((_percent(run.train_accuracy, lambda shares: shares[-1]) for run in runs), ".2f"),
                ", ".join(_step(run) for run in runs),
            ]
        )
    return Table(
        f"Training, {settings.training_depth} layers of width {settings.training_width}, {settings.epochs} "
        f"epoch(s) of {settings.training_images:,} images",
        ["network, rate", "final test, %", "best test, %", "last epoch's training, %", "diverged at step"],
        rows,
    )


def _percent(shares: list[float], choose: Callable[[list[float]], float]) -> float | None:
    return 100 * choose(shares) if shares else None


def _step(run: Training) -> str:
    return "-" if run.diverged is None else f"{run.diverged:,}"


def _noise(settings: Settings, outcome: Outcome) -> Iterator[Table]:
    """The noise of each size of batch, and what it shows as a whole."""
    runs = list(outcome.noise.values())
    rows = []
    for place, size in enumerate(settings.noise_sizes):
        cells = [f"{size}"]
        for way in WAYS:
            cells.append(spread(float(run.measured[way][place]) for run in runs))
            cells.append(spread(float(run.measured[way][place] / run.theory[way][place]) for run in runs))
        rows.append(cells)
    yield Table(
        f"Squared noise of mini-batch gradients, {settings.noise_images:,} images, "
        f"{settings.noise_draws:,} draws",
        ["batch", "with replacement", "by theory", "without replacement", "by theory"],
        rows,
    )
    whole: list[tuple[str, Callable[[Noise], float], str]] = [
        ("slope of log noise over log batch size, with replacement", lambda run: run.slope(), ".4f"),
        ("largest relative error against theory", lambda run: run.deviation(), ".2g"),
        ("squared noise of a step at twice the learning rate, by that at it", lambda run: run.doubled, ".9f"),
    ]
    yield Table(
        "The noise as a whole",
        ["", "value"],
        [[name, spread((value(run) for run in runs), form)] for name, value, form in whole],
    )


def _products(settings: Settings, outcome: Outcome) -> Table:
    """Singular values of the products: a row per number of factors."""
    runs = list(outcome.products.values())
    rows = [
        [
            f"{factors}",
            spread((float(run.values[factors][:, 0].mean()) for run in runs), ".4f"),
            f"{bn.singular_value_edge(factors):.4f}",
            spread((100 * run.small()[factors] for run in runs), ".2f"),
            spread((run.condition()[factors] for run in runs), ".2f"),
        ]
        for factors in FACTORS
    ]
    return Table(
        f"Products of Gaussian matrices, {settings.product_size} x {settings.product_size}, "
        f"{settings.product_draws} draws",
        ["factors", "largest singular value", "edge of the law", "below 0.1, %", "log10 condition number"],
        rows,
    )


# ---- curves


def curves(settings: Settings, outcome: Outcome) -> Iterator[Row]:
    """Yield every point of the study's curves.

    Parameters
    ----------
    settings : Settings
        Of the study.
    outcome : Outcome
        Its runs.

    Yields
    ------
    list
        ``[measurement, network, seed, x, y]``: text, text, int, number, float or None.  What x is follows
        from the measurement: an epoch, a layer, a step size, a share of a step, a number of layers, a batch
        size.
    """
    yield from _training_curves(outcome)
    yield from _start_curves(settings, outcome)
    for seed, run in outcome.divergence.items():
        yield from _points("loss along the step", "none", seed, run.fractions, run.losses)
        for layer, mean, var in zip(settings.maps, run.mean, run.var, strict=True):
            largest = np.abs(mean).max(axis=1)
            yield from _points(f"largest mean, layer {layer}", "none", seed, run.fractions, largest)
            yield from _points(
                f"largest variance, layer {layer}", "none", seed, run.fractions, var.max(axis=1)
            )
    for (depth, where, seed), search in outcome.rates.items():
        yield ["largest rate", where, seed, depth, search.largest]
        yield ["loss at the largest rate", where, seed, depth, search.end]
    for seed, noise in outcome.noise.items():
        for way in WAYS:
            yield from _points(
                f"noise, {way} replacement", "perceptron", seed, noise.sizes, noise.measured[way]
            )
            yield from _points(f"noise, {way}, theory", "perceptron", seed, noise.sizes, noise.theory[way])


def _training_curves(outcome: Outcome) -> Iterator[Row]:
    for (where, rate, seed), run in outcome.training.items():
        for part, shares in (("training", run.train_accuracy), ("test", run.test_accuracy)):
            epochs = range(1, len(shares) + 1)
            yield from _points(f"{part} accuracy", f"{where}, rate {rate:g}", seed, epochs, shares)


def _start_curves(settings: Settings, outcome: Outcome) -> Iterator[Row]:
    for (weights, where, seed), run in outcome.initial.items():
        network = f"{where}, {weights}"
        for number, look in enumerate(settings.looks):
            losses = run.relative[number]
            yield from _points(
                f"relative loss, mini-batch {look}", network, seed, settings.step_sizes, losses
            )
        yield from _points("channels' means", network, seed, run.layers, run.means)
        yield from _points("channels' deviations", network, seed, run.layers, run.deviations)
        yield from _points("cancellation, all terms", network, seed, settings.kernels, run.ratio)
        yield from _points("cancellation, per image", network, seed, settings.kernels, run.image_ratio)


def _points(
    measurement: str, network: str, seed: int, x: Iterable[float], y: Iterable[float]
) -> Iterator[Row]:
    for each, value in zip(x, y, strict=True):
        yield [measurement, network, seed, each, value]
