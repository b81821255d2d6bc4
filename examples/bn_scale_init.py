"""Start the scales of batch normalisation below 1, let them learn slowly, and compare with the usual way.

Davis, Frank, Revisiting Batch Normalization (2021), whose proposals are:

  scales       gamma begins at k < 1 in all batch normalisations (0.1 is where the search for k begins) and
               learns at a rate divided by c = 100; neither scales nor shifts and biases are decayed
  input        a batch normalisation without a shift on the raw images, in place of the data set's mean and
               deviation

A residual network of 8 layers on CIFAR-10 is trained in five ways, each with 400 and with 1,000 steps, for
five seeds; the ways differ in nothing but this:

  standard                k = 1, c = 1
  scale 0.1, c = 100      the proposal
  scale 0.1               k = 0.1, c = 1
  scale 0.5, c = 100      k = 0.5, c = 100
  scale 1, logits x 0.1   k = 1, c = 1, and the classifier's input times 0.1, as scales of 0.1 do it

and a sixth time, with 1,000 steps, as the standard with online normalisation of the input.  All runs of a
seed see the same images in the same order and start from the same weights; the differences to the standard
are tested pair by pair, by Student's t-test.  Neither sign is promised: the authors train a network a hundred
times as large for 180 epochs, here it is one or three.  Before all that the mechanics, exactly: what a scale
k does to logits and gradients, and why k = 0.1 and c = 100 belong together.

Every finished run is kept in OUT/runs: the same command, given again, goes on where it stopped and repeats
nothing.  Writes into the folder --out: results.json (settings, mechanics, accuracies, tests, drift of the
scales, claims), history.csv (training losses) and scales.png.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinynet.experiments import claims_table, figures, program, table, write_csv, write_json
from tinynet.experiments.claims import spread
from tinynet.experiments.classification import smoothed
from tinynet.experiments.image_study import square
from tinynet.experiments.images import Images
from tinynet.experiments.scale_claims import Comparison, Results, claims, comparisons
from tinynet.experiments.scale_mechanics import Mechanics, check_mechanics
from tinynet.experiments.scale_study import (
    ONLINE,
    SMOKE,
    STANDARD,
    VARIANTS,
    Drift,
    Settings,
    Study,
    Variant,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WINDOW = 20  # steps in a mean of losses
LOOKS: Mapping[str, tuple[str, Any]] = {  # colour and dashes
    "standard": ("#000000", "solid"),
    "scale01-c100": (figures.RED, "solid"),
    "scale01": (figures.BLUE, (0, (4, 1.6))),
    "scale05-c100": (figures.GREEN, "solid"),
    "logits01": (figures.PURPLE, (0, (6, 1.5, 1.5, 1.5))),
    "online": ("#777777", "solid"),
}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; on a bad option argparse prints why and exits with code 2."""
    parser = program.make_parser(__doc__)
    program.add_common(
        parser,
        datasets=("cifar-10", "fashion-mnist", "mnist", "digits"),
        seed="of the first weights, order and augmentation",
        seeds=5,
        jobs=True,
        out="runs/bn-scale-init",
        smoke="a trial of half a minute that goes through everything: 640 images of each part, 8 and 20 "
        "steps with batches of 32; bounds for the mechanics alone, and no run is kept",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the study; return the exit code: 0, 1 (could not run) or 130 (interrupted)."""
    progress = program.Progress()
    return program.execute(lambda: run(parse_arguments(arguments), progress, arguments), progress)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that came out."""

    mechanics: Mechanics
    results: Results
    drifts: dict[str, list[Drift]]  # name of a variant -> one per seed, after the long training
    fresh: list[Drift]  # of the standard before any training
    compared: list[Comparison]


def run(options: argparse.Namespace, progress: program.Progress, arguments: list[str] | None = None) -> None:
    """Train everything, write the files, print the results."""
    print("Davis and Frank (2021): scales of batch normalisation that begin below 1", flush=True)
    program.prepare(options)
    settings = SMOKE if options.smoke else Settings()
    training, test, notice = program.load_dataset(options)
    images = Images.of(training, test, settings.limit)
    print(
        f"{program.banner(images.name, len(images.training.x), len(images.test.x))}\n"
        f"{settings.short:,} and {settings.long:,} steps, batches of {settings.batch_size}, "
        f"seeds {options.seed} to {options.seed + options.seeds - 1}, results into {options.out}",
        flush=True,
    )
    with program.kept_runs(options, progress) as runs, program.share_work(options, __file__, arguments):
        study = Study(images, settings, runs)
        progress.where = "while the networks were training"
        seeds = range(options.seed, options.seed + options.seeds)
        plans = [(*plan, seed) for seed in seeds for plan in study.plans()]
        runs.share(partial(study.run, *plan) for plan in plans)
        if options.worker:
            return
        progress.where = "during the checks of the mechanics"
        mechanics = check_mechanics(square(training.images, None), options.seed)
        progress.where = "while the scales were being measured"
        outcome = measure(study, seeds, mechanics)
    progress.where = "while the results were being written"
    options.out.mkdir(parents=True, exist_ok=True)
    write_results(options.out, images, settings, outcome, notice)
    print_results(images, settings, outcome)


def measure(study: Study, seeds: range, mechanics: Mechanics) -> Outcome:
    """Read all runs, those of other processes too, and measure the trained networks' scales."""
    results = {
        seed: {(variant.name, steps): study.run(variant, steps, seed) for variant, steps in study.plans()}
        for seed in seeds
    }
    long = study.settings.long
    drifts = {each.name: [study.drift(each, long, seed) for seed in seeds] for each in VARIANTS}
    fresh = [study.drift(STANDARD, None, seed) for seed in seeds]
    return Outcome(mechanics, results, drifts, fresh, comparisons(results, study.settings))


# ---- results


def lengths(settings: Settings) -> Iterator[tuple[Variant, int]]:
    """The rows of the table: variants, with the numbers of steps that they were trained for."""
    yield from itertools.product(VARIANTS, (settings.short, settings.long))
    yield ONLINE, settings.long


def write_results(
    out: Path, images: Images, settings: Settings, outcome: Outcome, notice: str | None
) -> None:
    """Write the three files, each complete or not at all."""
    results = program.results_head(
        "bn_scale_init", dataclasses.asdict(settings), dataset=images.name, notice=notice
    )
    of_seeds = outcome.results
    results |= {
        "seeds": list(of_seeds),
        "seconds": sum(result.seconds for of in of_seeds.values() for result in of.values()),
        "mechanics": dataclasses.asdict(outcome.mechanics),
        "table": [
            dataclasses.asdict(variant)
            | {
                "steps": steps,
                "accuracy": [of[variant.name, steps].accuracy for of in of_seeds.values()],
                "final_loss": [
                    float(of[variant.name, steps].losses[-WINDOW:].mean()) for of in of_seeds.values()
                ],
            }
            for variant, steps in lengths(settings)
        ],
        "comparisons": [
            dataclasses.asdict(each) | {"variant": each.variant.name} for each in outcome.compared
        ],
        "drift": {
            name: [dataclasses.asdict(drift) for drift in of]
            for name, of in ({"standard, not trained": outcome.fresh} | outcome.drifts).items()
        },
        "claims": claims(images.name, settings, outcome.mechanics, outcome.compared, outcome.drifts),
    }
    write_json(out / "results.json", results)
    rows = [
        [images.name, name, steps, seed, int(last), float(loss)]
        for seed, of in of_seeds.items()
        for (name, steps), result in of.items()
        for last, loss in zip(*means(result.losses), strict=True)
    ]
    head = ["dataset", "variant", "steps", "seed", "step", "loss"]
    write_csv(out / "history.csv", head, rows)
    program.write_figure(
        out / "scales.png", lambda figure: draw(figure, images, settings, outcome), height=7.6
    )


def means(losses: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The last steps of windows that follow each other, and the mean losses in them."""
    width = min(WINDOW, len(losses))
    count = len(losses) // width
    return width * np.arange(1, count + 1), losses[: width * count].reshape(count, width).mean(axis=1)


def print_results(images: Images, settings: Settings, outcome: Outcome) -> None:
    """Print accuracies, tests, drift and claims."""
    print(f"\nTest accuracy on {images.name}, %; against the standard in points, seed by seed:\n")
    compared = {(each.variant.name, each.steps): each for each in outcome.compared}
    rows = []
    for variant, steps in lengths(settings):
        accuracies = [100 * of[variant.name, steps].accuracy for of in outcome.results.values()]
        row = [variant.title, f"{steps:,}", spread(accuracies, ".2f")]
        rows.append(row + of_comparison(compared.get((variant.name, steps))))
    head = ("variant", "steps", "accuracy", "difference", "sd", "p")
    print(table(head, rows, right=(1, 3, 4, 5)))
    print("\np: one-sided, that the variant is better; of the online normalisation two-sided.")
    print(f"\nAfter {settings.long:,} steps, means over channels or layers, and seeds:\n")
    rows = [drift_row("standard, not trained", 1.0, outcome.fresh)]
    rows += [drift_row(each.title, each.scale, outcome.drifts[each.name]) for each in VARIANTS]
    head = ("variant", "|gamma - k|", "of k, %", "|beta|", "of k, %", "|xh| > 3, %", "largest of a layer, %")
    print(table(head, rows, right=range(1, 7)))
    print(f"\nClaims on {images.name}:\n")
    print(claims_table(claims(images.name, settings, outcome.mechanics, outcome.compared, outcome.drifts)))


def of_comparison(comparison: Comparison | None) -> list[str]:
    """Difference, deviation and p as text."""
    if comparison is None:
        return ["-", "-", "-"]
    p = "-" if comparison.p is None else f"{comparison.p:.2g}"
    sd = "-" if comparison.deviation is None else f"{comparison.deviation:.2f}"
    return [f"{comparison.mean:+.2f}", sd, p]


def drift_row(title: str, scale: float, drifts: list[Drift]) -> list[str]:
    """A line of the table of drift."""
    moved = float(np.mean([drift.scale for drift in drifts]))
    shift = float(np.mean([drift.shift for drift in drifts]))
    shares = 100 * np.mean([list(drift.large.values()) for drift in drifts], axis=0)
    return [
        title,
        f"{moved:.3f}",
        f"{100 * moved / scale:.1f}",
        f"{shift:.3f}",
        f"{100 * shift / scale:.1f}",
        f"{shares.mean():.2f}",
        f"{shares.max():.2f}",
    ]


# ---- figure


def draw(figure: Figure, images: Images, settings: Settings, outcome: Outcome) -> None:
    """Draw four panels: the mechanics, the losses, the differences, the drift."""
    (mechanics, losses), (differences, drift) = figure.subplots(2, 2)
    draw_mechanics(mechanics, outcome.mechanics)
    draw_losses(losses, settings, outcome)
    draw_differences(differences, settings, outcome)
    draw_drift(drift, settings, outcome)
    seeds = ", ".join(map(str, outcome.results))
    figure.suptitle(
        f"{images.name}, resnet({settings.depth}), seeds {seeds}; in (b) means and ranges of the seeds",
        fontsize=10,
        color="#555555",
        x=0.01,
        ha="left",
    )


def draw_mechanics(axes: Axes, mechanics: Mechanics) -> None:
    """Draw what logits, gradients and the pace of the scales are multiplied with, over k."""
    from matplotlib.ticker import NullFormatter

    k = np.array([each.k for each in mechanics.ratios])
    line = np.geomspace(k.min() / 1.4, k.max() * 1.4, 50)
    for power, colour in ((1, figures.BLUE), (0, figures.RED), (-2, figures.GREEN)):
        axes.plot(line, line**power, color=colour, linewidth=1.0)
    for name, label, colour, marker, face in (
        ("logits", "logits", figures.BLUE, "o", "white"),
        ("convolutions", "gradients of weights", figures.BLUE, ".", figures.BLUE),
        ("scales", r"gradients of $\gamma$", figures.RED, "o", "white"),
        ("shifts", r"gradients of $\beta$", figures.RED, ".", figures.RED),
        ("pace", r"pace of $\gamma$ against weights", figures.GREEN, "D", figures.GREEN),
    ):
        values = [getattr(each, name) for each in mechanics.ratios]
        size = 5 if marker == "D" else 8
        axes.plot(k, values, marker, color=colour, markersize=size, markerfacecolor=face, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(k, [f"{each:g}" for each in k])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("k, all scales")
    axes.set_title(r"(a) times that at k = 1; lines: $k$, $1$, $k^{-2}$")
    axes.legend(loc="upper right")


def draw_losses(axes: Axes, settings: Settings, outcome: Outcome) -> None:
    """Draw the running mean of the training loss in the long runs, with the range of the seeds."""
    width = min(WINDOW, settings.long // 2)
    for variant in VARIANTS:
        colour, dashes = LOOKS[variant.name]
        curves = [smoothed(of[variant.name, settings.long].losses, width) for of in outcome.results.values()]
        steps = np.arange(len(curves[0])) + (width + 1) / 2
        axes.plot(steps, np.mean(curves, axis=0), color=colour, linestyle=dashes, label=variant.title)
        figures.band(axes, steps, curves, colour)
    figures.step_axis(axes, settings.long)
    axes.set_title(f"(b) training loss, means of {width} steps")
    axes.legend(loc="upper right", handlelength=2.6)


def draw_differences(axes: Axes, settings: Settings, outcome: Outcome) -> None:
    """Draw how far test accuracies are from the standard's: a dot per seed, a bar at the mean."""
    rows = [(variant, steps) for variant, steps in lengths(settings) if variant != STANDARD]
    found = {(each.variant.name, each.steps): each for each in outcome.compared}
    for row, (variant, steps) in enumerate(rows):
        colour, _ = LOOKS[variant.name]
        each = found[variant.name, steps]
        axes.plot(each.differences, [row] * len(each.differences), "o", color=colour, markersize=5, alpha=0.7)
        axes.plot([each.mean] * 2, [row - 0.3, row + 0.3], color=colour, linewidth=2.4)
    axes.axvline(0, color="#777777", linewidth=0.9, linestyle=(0, (4, 1.6)))
    titles = [f"{'online input norm.' if v == ONLINE else v.title}, {steps:,}" for v, steps in rows]
    axes.set_yticks(range(len(rows)), titles)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("points above the standard; number: steps")
    axes.set_title("(c) test accuracy, seed by seed")


def draw_drift(axes: Axes, settings: Settings, outcome: Outcome) -> None:
    """Draw how far the scales of each layer are from where they began, in units of that."""
    layers = list(outcome.fresh[0].layers)
    for variant in VARIANTS:
        colour, dashes = LOOKS[variant.name]
        moved = [
            [drift.layers[name].gamma_mean / variant.scale for name in layers]
            for drift in outcome.drifts[variant.name]
        ]
        axes.plot(
            np.mean(moved, axis=0), "o", color=colour, linestyle=dashes, markersize=4, label=variant.title
        )
    axes.set_yscale("log")
    axes.set_xticks(range(len(layers)), [str(number) for number in range(1, len(layers) + 1)])
    axes.set_xlabel("batch normalisation, from the first to the last")
    axes.set_title(rf"(d) mean $|\gamma - k| / k$ after {settings.long:,} steps")


if __name__ == "__main__":
    sys.exit(main())
