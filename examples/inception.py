"""Train Inception in the seven ways of the batch-normalisation paper, on small images, and compare.

Ioffe, Szegedy, Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift
(2015), section 4.2, with a network of 91,000 weights on CIFAR-10 in place of 13.6 million on ImageNet:

  Inception           without BN; with response normalisation, dropout 40 %, L2 weight 5e-4
  BN-Baseline         the same with BN before every non-linearity
  BN-x5, BN-x30       BN, 5 and 30 times the learning rate, and the changes of section 4.2.1: no dropout,
                      a fifth of the L2 weight, a learning rate that falls 6 times as fast, no response
                      normalisation, a new order for every epoch, less distorted images
  BN-x5-Sigmoid       BN-x5 with sigmoids in place of ReLU
  Inception x5        Inception at 5 times its learning rate (in the paper its parameters overflow)
  Inception, sigmoid  Inception with sigmoids (in the paper it stays at chance)

and, beside these, in one that the paper has not: BN-x30 for as many steps as BN-Baseline.

First the base learning rate: the best for Inception of a small grid, on images that are held out.  Then all
variants for every seed, the largest learning rate at which the network learns with BN and without, and an
ensemble of BN-x30 networks with different dropout and seeds (section 4.2.3).  The table and the claims, with
bounds fixed beforehand for the default settings on CIFAR-10 and Fashion-MNIST, close the output.

Every finished run is kept in OUT/runs, and an unfinished one after every epoch: the same command, given
again, goes on where it stopped and repeats nothing.  Writes into the folder --out: results.json (settings,
grid, table, curves, claims), history.csv (every measurement) and accuracy.png, the paper's Figure 2.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinynet.experiments import (
    claims_table,
    figures,
    program,
    steps_to_accuracy,
    table,
    write_csv,
    write_json,
)
from tinynet.experiments.claims import spread
from tinynet.experiments.images import Images
from tinynet.experiments.inception_claims import DATASETS, Ensemble, Row, StablePair, claims, rows
from tinynet.experiments.inception_study import Result, Study, best_rate
from tinynet.experiments.inception_variants import BY_NAME, SMOKE, VARIANTS, Settings, Variant
from tinynet.experiments.options import integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS: Mapping[str, tuple[str, Any]] = {  # colour and dashes
    "inception": ("#000000", (0, (1.5, 1.2))),
    "bn-baseline": (figures.RED, (0, (4, 1.6))),
    "bn-x5": (figures.BLUE, "solid"),
    "bn-x30": (figures.GREEN, "solid"),
    "bn-x30-long": (figures.GREEN, (0, (4, 1.6))),
    "bn-x5-sigmoid": (figures.PURPLE, (0, (6, 1.5, 1.5, 1.5))),
    "inception-x5": ("#000000", "solid"),
    "inception-sigmoid": (figures.RED, "solid"),
}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; on a bad option argparse prints why and exits with code 2."""
    parser = program.make_parser(__doc__)
    parser.add_argument(
        "--epochs",
        type=integer(1),
        metavar="N",
        help=f"passes over the training images by Inception, BN-Baseline and the long BN-x30 (default "
        f"{Settings.epochs}); half as many by the others",
    )
    program.add_common(
        parser,
        datasets=(*DATASETS, "mnist", "digits"),
        seed="of the first weights, order, augmentation and dropout",
        seeds=2,
        jobs=True,
        out="runs/inception",
        smoke="a trial of a minute that goes through everything: 1,280 images of each part, 2 epochs unless "
        "--epochs is given, a smaller grid and ensemble; no bounds, and no run is kept",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the study; return the exit code: 0, 1 (could not run) or 130 (interrupted)."""
    progress = program.Progress()
    return program.execute(lambda: run(parse_arguments(arguments), progress, arguments), progress)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that was trained."""

    seeds: list[int]
    base: float
    grid: dict[float, Result]
    results: dict[int, dict[str, Result]]
    pairs: list[StablePair]
    members: dict[str, Result]


def run(options: argparse.Namespace, progress: program.Progress, arguments: list[str] | None = None) -> None:
    """Train everything, write the files, print the results."""
    print("Ioffe and Szegedy (2015), section 4.2: Inception without and with batch normalisation", flush=True)
    program.prepare(options)
    settings = SMOKE if options.smoke else Settings()
    if options.epochs is not None:
        settings = dataclasses.replace(settings, epochs=options.epochs)
    training, test, notice = program.load_dataset(options)
    images = Images.of(training, test, settings.limit)
    print(
        f"{program.banner(images.name, len(images.training.x), len(images.test.x))}, "
        f"{len(images.validation.x):,} held out\n"
        f"{settings.epochs} epochs of the original recipe, batches of {settings.batch_size}, "
        f"seeds {options.seed} to {options.seed + options.seeds - 1}, results into {options.out}",
        flush=True,
    )
    with program.kept_runs(options, progress) as runs, program.share_work(options, __file__, arguments):
        outcome = train_all(Study(images, settings, runs), options, progress)
    if options.worker:
        return
    progress.where = "while the results were being written"
    options.out.mkdir(parents=True, exist_ok=True)
    written = rows(outcome.results, outcome.base)
    ensemble = Ensemble.of(outcome.members, images.test.y.tolist())
    write_results(options.out, images, settings, outcome, written, ensemble, notice)
    print_results(images, settings, outcome, written, ensemble)


def train_all(study: Study, options: argparse.Namespace, progress: program.Progress) -> Outcome:
    """Make or read all runs; those that another process makes are waited for at the end."""
    first, seeds = options.seed, list(range(options.seed, options.seed + options.seeds))
    progress.where = "during the grid of learning rates"
    study.runs.share(partial(study.grid_run, rate, first) for rate in study.settings.rates)
    grid = study.grid(first)
    base = best_rate(grid)
    print(f"base rate: {base:g}", flush=True)
    progress.where = "while the networks were training"
    networks = [(variant, seed) for seed in seeds for variant in VARIANTS] + study.members(first)
    study.runs.share(partial(study.variant, variant, base, seed) for variant, seed in networks)
    progress.where = "during the search for the largest stable rates"
    searches = list(itertools.product((False, True), (False, True), seeds))
    study.runs.share(partial(study.stable_rate, *search) for search in searches)
    results = {seed: {v.name: study.variant(v, base, seed) for v in VARIANTS} for seed in seeds}
    pairs = [
        StablePair(
            seed, learns, *(study.stable_rate(batch_norm, learns, seed) for batch_norm in (False, True))
        )
        for learns, seed in itertools.product((False, True), seeds)
    ]
    return Outcome(seeds, base, grid, results, pairs, study.ensemble(base, first))


# ---- results


def write_results(
    out: Path,
    images: Images,
    settings: Settings,
    outcome: Outcome,
    written: list[Row],
    ensemble: Ensemble,
    notice: str | None,
) -> None:
    """Write the three files, each complete or not at all."""
    everything = all_runs(outcome)
    results = program.results_head(
        "inception", dataclasses.asdict(settings), dataset=images.name, notice=notice
    )
    results |= {
        "seeds": outcome.seeds,
        "seconds": sum(result.seconds for result in everything.values()),
        "grid": [
            {
                "rate": rate,
                "validation_accuracy": result.accuracy[-1] if result.accuracy else None,
                "diverged": result.diverged,
            }
            for rate, result in outcome.grid.items()
        ],
        "base_rate": outcome.base,
        "table": [row_json(row) for row in written],
        "stable_rates": [
            {
                "seed": pair.seed,
                "learns": pair.learns,
                "without_bn": {"rate": pair.without.rate, "unstable": pair.without.unstable},
                "with_bn": {"rate": pair.with_bn.rate, "unstable": pair.with_bn.unstable},
                "ratio": pair.ratio,
            }
            for pair in outcome.pairs
        ],
        "ensemble": dataclasses.asdict(ensemble) | {"mean_single": ensemble.mean},
        "claims": claims(images, settings, written, outcome.pairs, ensemble),
        "curves": {name: curve_json(result) for name, result in everything.items()},
    }
    write_json(out / "results.json", results)
    lines = [
        [images.name, name, step, accuracy]
        for name, result in everything.items()
        for step, accuracy in result.curve
    ]
    write_csv(out / "history.csv", ["dataset", "run", "step", "accuracy"], lines)
    program.write_figure(out / "accuracy.png", lambda figure: draw(figure, images, outcome), height=4.2)


def all_runs(outcome: Outcome) -> dict[str, Result]:
    """Every network that was trained, under the name of its run; two of the ensemble are in the table too."""
    named = {f"grid-{rate:g}": result for rate, result in outcome.grid.items()}
    for seed, of in outcome.results.items():
        named |= {f"{name}-seed{seed}": result for name, result in of.items()}
    return named | outcome.members


def curve_json(result: Result) -> dict[str, object]:
    """What results.json says about a run."""
    return {
        "step": result.steps,
        "accuracy": result.accuracy,
        "final_loss": float(np.mean(result.losses[-100:])),
        "diverged": result.diverged,
        "seconds": round(result.seconds, 3),
    }


def row_json(row: Row) -> dict[str, object]:
    """What results.json says about a row of the table, beside the paper's figures."""
    return {
        "name": row.variant.name,
        "title": row.variant.title,
        "rate": row.rate,
        "steps": row.steps,
        "share_of_baseline": row.share,
        "best_accuracy": row.best,
        "diverged": row.diverged,
        "paper_steps": row.variant.paper_steps,
        "paper_accuracy": row.variant.paper_accuracy,
    }


def print_results(
    images: Images, settings: Settings, outcome: Outcome, written: list[Row], ensemble: Ensemble
) -> None:
    """Print the grid, the table beside the paper's, stable rates, ensemble and claims."""
    grid = [
        (f"{rate:g}", "diverged" if result.diverged else f"{100 * result.accuracy[-1]:.2f}")
        for rate, result in outcome.grid.items()
    ]
    print(f"\nInception on the images held out, seed {outcome.seeds[0]}:\n")
    print(table(("learning rate", "accuracy, %"), grid, right=(0, 1)))
    print(f"\nOn {images.name}; means over {len(outcome.seeds)} seed(s), in brackets their range:\n")
    head = (
        "variant",
        "rate",
        "steps to Inception's best",
        "ratio",
        "best accuracy, %",
        "paper: steps, ratio, %",
    )
    print(table(head, [cells(row) for row in written], right=(1,)))
    found = [
        ["learns" if pair.learns else "does not diverge", str(pair.seed)]
        + [f"{rate:.3g}" if rate else "none" for rate in (pair.without.rate, pair.with_bn.rate, pair.ratio)]
        for pair in outcome.pairs
    ]
    print(f"\nLargest rates, in {settings.stable_steps} steps, at which the network ...\n")
    print(table(("measure", "seed", "without BN", "with BN", "ratio"), found, right=(1, 2, 3, 4)))
    errors = [
        (name, f"{100 * error:.2f}") for name, error in zip(ensemble.names, ensemble.singles, strict=True)
    ]
    errors += [("mean of these", f"{100 * ensemble.mean:.2f}"), ("ensemble", f"{100 * ensemble.error:.2f}")]
    print("\nEnsemble:\n")
    print(table(("network", "test error, %"), errors, right=(1,)))
    found_claims = claims(images, settings, written, outcome.pairs, ensemble)
    if all(claim.holds is None for claim in found_claims):
        print("\nBounds exist for the default settings on CIFAR-10 and Fashion-MNIST only.")
    print(f"\nClaims on {images.name}:\n")
    print(claims_table(found_claims))


def cells(row: Row) -> list[str]:
    """A line of the table, as text."""
    reached = [step for step in row.steps if step is not None]
    steps = spread([float(step) for step in reached], ",.0f") if len(reached) == len(row.steps) else "never"
    if 0 < len(reached) < len(row.steps):
        steps = f"never in {len(row.steps) - len(reached)} of {len(row.steps)}"
    best = spread([100 * share for share in row.best], ".2f")
    if any(row.diverged):
        best += f", diverged at step {', '.join(str(step) for step in row.diverged if step)}"
    ratio = "-" if row.share is None else f"{1 / row.share:.1f}"
    return [row.variant.title, f"{row.rate:g}", steps, ratio, best, paper(row.variant)]


def paper(variant: Variant) -> str:
    """What the paper reports of a variant."""
    if variant.paper_accuracy is None:
        return "overflow" if variant.in_paper else "-"
    steps, baseline = "never", BY_NAME["inception"].paper_steps
    if variant.paper_steps is not None and baseline is not None:
        steps = f"{variant.paper_steps / 1e6:.1f}M, {baseline / variant.paper_steps:.1f}"
    return f"{steps}, {100 * variant.paper_accuracy:.1f}"


# ---- figure


def draw(figure: Figure, images: Images, outcome: Outcome) -> None:
    """Draw test accuracy over steps: the paper's Figure 2, and beside it what the paper says fails."""
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": [1.5, 1]})
    steps = max(step for of in outcome.results.values() for run in of.values() for step in [1, *run.steps])
    for axes, names, title in (
        (
            left,
            ("inception", "bn-baseline", "bn-x5", "bn-x30", "bn-x30-long", "bn-x5-sigmoid"),
            "(a) test accuracy, %",
        ),
        (right, ("bn-x5-sigmoid", "inception-x5", "inception-sigmoid"), "(b) what fails in the paper, %"),
    ):
        for name in names:
            curves(axes, name, outcome)
        axes.axhline(100 / images.classes, color=figures.GREY, linewidth=0.9, linestyle=(0, (1, 2)))
        axes.set_title(title)
        figures.step_axis(axes, steps)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 0.28), handlelength=2.6)  # between the curves
    left.set_ylim(bottom=0)
    seeds = ", ".join(map(str, outcome.seeds))
    figures.heading(
        figure,
        f"{images.name}, bn_inception_tiny, seeds {seeds} (the first bold); "
        "diamonds: Inception's best reached; dotted: chance",
    )


def curves(axes: Axes, name: str, outcome: Outcome) -> None:
    """Draw the accuracies of a variant, a line per seed; a diamond where the first one passes Inception."""
    colour, dashes = LOOKS[name]
    for number, (seed, of) in enumerate(outcome.results.items()):
        result = of[name]
        looks: dict[str, Any] = {"linewidth": 0.9, "alpha": 0.6}
        if number == 0:
            looks = {"label": BY_NAME[name].title}
            reached = steps_to_accuracy(result.curve, outcome.results[seed]["inception"].best)
            if reached is not None:
                axes.plot(
                    reached, 100 * dict(result.curve)[reached], "D", color=colour, markersize=6, clip_on=False
                )
        if len(result.steps) < 10:
            looks |= {"marker": ".", "markersize": 5}
        accuracies = 100 * np.array(result.accuracy)
        axes.plot(result.steps, accuracies, color=colour, linestyle=dashes, **looks)


if __name__ == "__main__":
    sys.exit(main())
