"""The figures of the study of Bjorck et al. (2018), one for each of the paper's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tinynet.experiments import bn_charts, figures
from tinynet.experiments.claims import geometric_mean
from tinynet.experiments.understanding_claims import Outcome
from tinynet.experiments.understanding_results import Rates, Training
from tinynet.experiments.understanding_settings import FACTORS, NORMS, TRAININGS, WEIGHTS, WHERE, Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = Callable[..., None]

DASHED, DOTTED = (0, (4, 1.6)), (0, (1.2, 1.4))

NAMES: Mapping[str, str] = MappingProxyType(
    {"none": "without BN", "last": "BN before the classifier", "all": "with BN"}
)
"""What the places of the batch normalisation are called, in figures and tables."""

WEIGHT_NAMES: Mapping[str, str] = MappingProxyType({"xavier": "Xavier", "kaiming": "Kaiming"})

COLOURS: Mapping[str, str] = MappingProxyType(
    {"none": figures.RED, "last": figures.GREEN, "all": figures.BLUE}
)

RATE_DASHES: Mapping[float, Any] = MappingProxyType(
    {0.1: "solid", 0.03: "solid", 0.003: DASHED, 0.0001: DOTTED}
)


def seeds_text(seeds: Iterable[int]) -> str:
    """Return 'seed 0', or 'seeds 0, 1, 2'."""
    numbers = sorted(set(seeds))
    return f"seed{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def spread_text(seeds: Iterable[int]) -> str:
    """Return the seeds, and what the bands of a figure are if there are several."""
    numbers = set(seeds)
    return seeds_text(numbers) + (" (means and range)" if len(numbers) > 1 else "")


def _deep(settings: Settings, outcome: Outcome) -> str:
    return f"{outcome.dataset}, {settings.depth} layers, batch of {settings.batch_size}"


# ---- training


def draw_training(figure: Figure, *, settings: Settings, outcome: Outcome) -> None:
    """Draw the accuracies of the trained networks, of the training images and of the test images."""
    panels = figure.subplots(1, 2, sharey=True)
    for axes, part, title in zip(panels, ("train", "test"), ("training images", "test images"), strict=True):
        letter = "a" if part == "train" else "b"
        for where, rate in TRAININGS:
            runs = [run for (w, r, _), run in outcome.training.items() if (w, r) == (where, rate)]
            curves = [getattr(run, f"{part}_accuracy") for run in runs]
            _accuracies(axes, curves, _training_label(where, rate, runs), COLOURS[where], RATE_DASHES[rate])
        axes.axhline(100 / outcome.classes, color=figures.GREY, linewidth=0.9, linestyle=(0, (1, 2)))
        axes.set_xlim(0.5, settings.epochs + 0.5)
        axes.locator_params(axis="x", integer=True, min_n_ticks=1)
        axes.set_xlabel("epochs")
        axes.set_title(f"({letter}) accuracy on the {title}, %")
    panels[0].set_ylim(bottom=0)
    _legend_below(figure, panels[0], 4)
    seeds = spread_text(seed for _, _, seed in outcome.training)
    figures.heading(
        figure,
        f"{outcome.dataset}, {settings.training_depth} layers of width {settings.training_width}, "
        f"batches of {settings.batch_size}, {seeds}; dotted line: guessing",
    )


def _training_label(where: str, rate: float, runs: list[Training]) -> str:
    """The name of a training in the legend, and whether it came to its end."""
    ends = [str(run.diverged) for run in runs if run.diverged is not None]
    note = f", diverged at step {', '.join(ends)}" if ends else ""
    return f"{NAMES[where]}, {rate:g}{note}"


def _accuracies(axes: Axes, curves: list[list[float]], label: str, colour: str, dashes: Any) -> None:
    """The mean of the runs for as long as all of them went on, and their range."""
    epochs = min(map(len, curves), default=0)
    rows = [100 * np.array(curve[:epochs], np.float64) for curve in curves]
    numbers = np.arange(1, epochs + 1)
    middle = np.mean(rows, axis=0) if rows else numbers
    axes.plot(numbers, middle, color=colour, linestyle=dashes, marker=".", label=label)
    figures.band(axes, numbers, rows, colour)


def _legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """One legend for all panels, below them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=2.6)


# ---- at the initialisation


def draw_gradients(figure: Figure, *, settings: Settings, outcome: Outcome) -> None:
    """Draw the histograms of a layer's gradient, without and with batch normalisation, each on its scale."""
    for axes, where, letter in zip(figure.subplots(1, 2), NORMS, "ab", strict=True):
        runs = outcome.at_start("xavier", where)
        bn_charts.gradient_histograms(
            axes,
            {f"seed {seed}": run.gradient for seed, run in zip(outcome.seeds, runs, strict=True)},
        )
        axes.set_title(f"({letter}) {NAMES[where]}")
    figure.axes[1].set_ylabel("")
    _legend_below(figure, figure.axes[0], 6)
    figures.heading(
        figure,
        f"{_deep(settings, outcome)}, Xavier, {seeds_text(outcome.seeds)}: gradient of the weights of layer "
        f"{settings.histogram} at the initialisation",
    )


def draw_relative_loss(figure: Figure, *, settings: Settings, outcome: Outcome) -> None:
    """Draw the loss along the gradient, without and with batch normalisation."""
    for axes, where, letter in zip(figure.subplots(1, 2), NORMS, "ab", strict=True):
        runs = outcome.at_start("xavier", where)
        bn_charts.relative_loss_curves(
            axes,
            settings.step_sizes,
            {
                f"mini-batch {look}": np.stack([run.relative[number] for run in runs])
                for number, look in enumerate(settings.looks)
            },
        )
        rate = settings.between[where == "all"]
        axes.set_title(f"({letter}) {NAMES[where]}, trained on at {rate:g}")
    figure.axes[0].set_ylabel("loss after by before")
    _legend_below(figure, figure.axes[0], 6)
    bold = " (the first bold)" if len(outcome.seeds) > 1 else ""
    figures.heading(
        figure,
        f"{_deep(settings, outcome)}, Xavier, {seeds_text(outcome.seeds)}{bold}; crosses: the loss is not "
        "finite behind them",
    )


def draw_depth(figure: Figure, *, settings: Settings, outcome: Outcome) -> None:
    """Draw the magnitudes of means and deviations of the channels against depth."""
    panels = figure.subplots(1, 2, sharey=True)
    kinds = (
        ("means", "magnitude of the channels' means"),
        ("deviations", "standard deviation of the channels"),
    )
    looks = [
        (COLOURS[where], dashes)
        for dashes, _ in zip(("solid", DASHED), WEIGHTS, strict=True)
        for where in NORMS
    ]
    for axes, (kind, title), letter in zip(panels, kinds, "ab", strict=True):
        networks = {
            f"{NAMES[where]}, {WEIGHT_NAMES[weights]}": np.stack(
                [getattr(run, kind) for run in outcome.at_start(weights, where)]
            )
            for weights in WEIGHTS
            for where in NORMS
        }
        layers = outcome.at_start("xavier", "none")[0].layers
        bn_charts.depth_profile(axes, layers, networks, looks=looks)
        axes.locator_params(axis="x", integer=True)
        axes.set_title(f"({letter}) {title}")
    _legend_below(figure, panels[0], 4)
    figures.heading(
        figure,
        f"{_deep(settings, outcome)}, {spread_text(outcome.seeds)}: behind the blocks, at the initialisation",
    )


def draw_classes(figure: Figure, *, settings: Settings, outcome: Outcome) -> None:
    """Draw the gradients at the class scores of the first seed, without and with batch normalisation."""
    for axes, where, letter in zip(figure.subplots(1, 2), NORMS, "ab", strict=True):
        run = outcome.at_start("xavier", where)[0]
        bn_charts.class_gradient_map(axes, run.class_gradient, limit=1 / len(run.class_gradient))
        share = f"{100 * run.predicted_share:.0f}"
        axes.set_title(f"({letter}) {NAMES[where]}: {share} % taken for one class")
    figures.heading(
        figure,
        f"{_deep(settings, outcome)}, Xavier, seed {outcome.seeds[0]}: gradient of the loss by the class "
        "scores at the initialisation",
    )


def draw_cancellation(figure: Figure, *, settings: Settings, outcome: Outcome) -> None:
    """Draw how far the terms of a gradient cancel in three layers, over all terms and within images."""
    panels = figure.subplots(1, 2, sharey=True)
    kinds = (
        ("ratio", "sum of |terms| / |sum of terms|"),
        ("image_ratio", "sum of |images' sums| / |sum of terms|"),
    )
    for axes, (kind, title), letter in zip(panels, kinds, "ab", strict=True):
        networks = [(weights, where) for weights in WEIGHTS for where in NORMS]
        for number, (weights, where) in enumerate(networks):
            rows = np.stack([getattr(run, kind) for run in outcome.at_start(weights, where)])
            look = {"color": COLOURS[where], "label": f"{NAMES[where]}, {WEIGHT_NAMES[weights]}"}
            place = 0.16 * (number - (len(networks) - 1) / 2)
            _dots(axes, place + np.arange(rows.shape[1]), rows, filled=weights == "xavier", **look)
        axes.axhline(1, color=figures.GREY, linewidth=0.9, linestyle=(0, (1, 2)))
        axes.set_yscale("log")
        axes.set_xticks(range(len(settings.kernels)), [f"layer {layer}" for layer in settings.kernels])
        axes.set_xlim(-0.5, len(settings.kernels) - 0.5)
        axes.grid(False, axis="x")
        axes.set_title(f"({letter}) {title}")
    _legend_below(figure, panels[0], 4)
    figures.heading(
        figure,
        f"{_deep(settings, outcome)}, {spread_text(outcome.seeds)}: gradient at the kernels' central tap; "
        "dotted line: nothing cancels",
    )


def _dots(
    axes: Axes, x: npt.NDArray[Any], rows: npt.NDArray[Any], *, filled: bool, color: str, label: str
) -> None:
    """A dot for the geometric mean of the rows, over a line for their range."""
    rows = np.where(np.isfinite(rows) & (rows > 0), rows, np.nan)
    middle = np.exp(np.log(rows).mean(axis=0))
    axes.vlines(x, rows.min(axis=0), rows.max(axis=0), color=color, linewidth=1.4)
    face = color if filled else "white"
    axes.plot(x, middle, "o", color=color, markerfacecolor=face, markersize=6.5, label=label)


# ---- divergence


def draw_divergence(figure: Figure, *, settings: Settings, outcome: Outcome) -> None:
    """Draw means and variances of the channels of three layers along the diverging step."""
    seed = outcome.seeds[0]
    run = outcome.divergence[seed]
    grid = figure.subplots(2, len(settings.maps))
    for row, (kind, values) in enumerate((("mean", run.mean), ("var", run.var))):
        for column, layer in enumerate(settings.maps):
            axes = grid[row, column]
            bn_charts.channel_heat_map(axes, run.fractions, values[column], kind=kind)
            letter = "abcdefghijkl"[row * len(settings.maps) + column]
            axes.set_title(f"({letter}) layer {layer}, {'means' if kind == 'mean' else 'variances'}")
            if row == 0:
                axes.set_xlabel("")
            if column:
                axes.set_ylabel("")
    figures.heading(
        figure,
        f"{_deep(settings, outcome)}, without BN, Xavier, seed {seed}: one step at the learning rate "
        f"{settings.diverging_rate:g}, from a loss of {run.losses[0]:.3g} to {run.losses[-1]:.3g}",
    )


def draw_rates(figure: Figure, *, settings: Settings, outcome: Outcome) -> None:
    """Draw the largest learning rates without divergence against depth, and the loss that they end at."""
    from matplotlib.ticker import LogLocator

    left, right = figure.subplots(1, 2)
    for where, marker in zip(WHERE, "os^", strict=True):
        for axes, kind in ((left, "largest"), (right, "end")):
            columns = [_positive_of(outcome, depth, where, kind) for depth in settings.depths]
            middle = [geometric_mean(column) or math.nan for column in columns]
            axes.plot(settings.depths, middle, marker=marker, color=COLOURS[where], label=NAMES[where])
            ends = np.array([(min(c), max(c)) if len(c) > 1 else (math.nan, math.nan) for c in columns])
            axes.vlines(settings.depths, ends[:, 0], ends[:, 1], color=COLOURS[where], linewidth=1.2)
    low, high = settings.rate_range
    left.axhline(high, color=figures.GREY, linewidth=0.9, linestyle=(0, (1, 2)))
    left.set_ylim(low / 2, high * 2)
    left.set_title("(a) largest learning rate without divergence")
    right.axhline(math.log(outcome.classes), color=figures.GREY, linewidth=0.9, linestyle=(0, (1, 2)))
    right.set_title("(b) loss that the network ends at with it")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(settings.depths, [str(depth) for depth in settings.depths])
        axes.minorticks_off()
        axes.set_xlabel("layers")
    right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    right.yaxis.set_major_formatter("{x:g}")
    _legend_below(figure, left, 3)
    figures.heading(
        figure,
        f"{outcome.dataset}, Xavier, {settings.rate_steps} steps with batches of {settings.rate_batch}, "
        f"{spread_text(seed for _, _, seed in outcome.rates)}; dotted: (a) largest tried, (b) guessing",
    )


def _positive_of(outcome: Outcome, depth: int, where: str, kind: str) -> list[float]:
    """A number of each seed's search; none of any if one has none."""
    runs: list[Rates] = [run for (d, w, _), run in outcome.rates.items() if (d, w) == (depth, where)]
    found = [getattr(run, kind) for run in runs]
    return [] if geometric_mean(found) is None else found


# ---- noise, and random matrices


def draw_noise(figure: Figure, *, settings: Settings, outcome: Outcome) -> None:
    """Draw the noise of mini-batch gradients against the size of the batch."""
    axes = figure.subplots()
    runs = list(outcome.noise.values())
    ways = (("with", figures.BLUE, "solid"), ("without", figures.RED, DASHED))
    for way, colour, dashes in ways:
        bn_charts.noise_curve(
            axes,
            runs[0].sizes,
            np.stack([run.measured[way] for run in runs]),
            np.stack([run.theory[way] for run in runs]),
            label=f"drawn {way} replacement",
            look=(colour, dashes),
        )
    axes.plot([], [], color=figures.GREY, linewidth=1.2, label="theory")
    axes.set_title("squared distance of a mini-batch's gradient from that of all images")
    axes.legend(loc="upper right")
    slopes = ", ".join(f"{run.slope():.3f}" for run in runs)
    figures.heading(
        figure,
        f"{outcome.dataset}, a perceptron, {settings.noise_images:,} images, {settings.noise_draws:,} draws "
        f"of each size, {seeds_text(outcome.noise)}; slope with replacement {slopes}",
    )


def draw_products(figure: Figure, *, settings: Settings, outcome: Outcome) -> None:
    """Draw the singular values of products of random matrices beside their limit law."""
    for axes, factors, letter in zip(figure.subplots(1, len(FACTORS)), FACTORS, "abc", strict=True):
        values = np.concatenate([run.values[factors].ravel() for run in outcome.products.values()])
        bn_charts.singular_value_histogram(axes, values, factors)
        axes.set_title(f"({letter}) {factors} {'matrix' if factors == 1 else 'matrices'}")
    figure.axes[0].set_ylabel("density")
    figure.axes[-1].legend(loc="upper right")
    size, count = settings.product_size, settings.product_draws * len(outcome.products)
    figures.heading(
        figure,
        f"{size} x {size} Gaussian matrices of variance 1/{size}, {count} products each, "
        f"{seeds_text(outcome.products)}",
    )


FIGURES: Mapping[str, tuple[Draw, float]] = MappingProxyType(
    {
        "training": (draw_training, 4.2),
        "noise": (draw_noise, 3.6),
        "gradients": (draw_gradients, 3.8),
        "relative-loss": (draw_relative_loss, 3.9),
        "divergence": (draw_divergence, 5.6),
        "depth": (draw_depth, 4.0),
        "classes": (draw_classes, 4.0),
        "cancellation": (draw_cancellation, 4.0),
        "rates": (draw_rates, 4.0),
        "products": (draw_products, 3.3),
    }
)
"""By the file's name: what draws it, ``draw(figure, settings=..., outcome=...)``; its height in inches."""
