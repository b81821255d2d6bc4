"""What batch normalisation changes in a deep network: measured at its start, and as it diverges and trains.

Bjorck, Gomes, Selman, Weinberger, Understanding Batch Normalization (2018), on CIFAR-10:

  at the start     the paper's residual network of 110 layers at its full size, with and without BN: how the
                   terms of a gradient cancel, its histogram, the channels' means and deviations by depth,
                   the classes' gradients, the loss along the gradient's direction
  divergence       channels of three layers along one step that is too large
  learning rates   the largest ones for networks of 8 to 110 layers, without BN, with one BN before the
                   classifier, with BN everywhere
  training         a narrow network of 56 layers at the paper's learning rates, on a fifth of the images;
                   10 epochs where the paper has up to 2,400, so the runs at small rates are not trained out
  noise            of mini-batch gradients against their size, on a small perceptron
  random matrices  singular values of products against the limit law

The measurements of single layers and at the start are repeated with several seeds, the training is not.  The
claims, with bounds fixed beforehand for the default settings on CIFAR-10 and at least 3 seeds, close the
output.

Every finished run is kept in OUT/runs, and an unfinished training after every epoch: the same command, given
again, goes on where it stopped and repeats nothing.  Writes into the folder --out: results.json (settings,
tables, claims), measurements.csv (every curve) and a figure for each of the paper's.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from functools import partial

from tinynet.experiments import claims_table, program, table, write_csv, write_json
from tinynet.experiments.images import Images
from tinynet.experiments.understanding_claims import SEEDS, Outcome, claims
from tinynet.experiments.understanding_figures import FIGURES
from tinynet.experiments.understanding_settings import NORMS, SMOKE, TRAININGS, WEIGHTS, WHERE, Settings
from tinynet.experiments.understanding_study import Study
from tinynet.experiments.understanding_tables import curves, tables


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; on a bad option argparse prints why and exits with code 2."""
    parser = program.make_parser(__doc__)
    program.add_common(
        parser,
        datasets=("cifar-10",),
        seed="of the weights and the order of the images",
        seeds=3,
        jobs=True,
        out="runs/understanding_bn",
        smoke="a trial of half a minute that goes through everything with shallow networks; no bounds, and "
        "no run is kept",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the study; return the exit code: 0, 1 (could not run) or 130 (interrupted)."""
    progress = program.Progress()
    return program.execute(lambda: run(parse_arguments(arguments), progress, arguments), progress)


def run(options: argparse.Namespace, progress: program.Progress, arguments: list[str] | None = None) -> None:
    """Make the measurements, write the files, print the results."""
    print("Bjorck et al. (2018): what batch normalisation changes", flush=True)
    program.prepare(options)
    settings = SMOKE if options.smoke else Settings()
    training, test, notice = program.load_dataset(options)
    images = Images.of(training, test)
    print(
        f"{program.banner(images.name, len(images.training.x), len(images.test.x))}\n"
        f"seeds {options.seed} to {options.seed + options.seeds - 1}, results into {options.out}",
        flush=True,
    )
    with program.kept_runs(options, progress) as runs, program.share_work(options, __file__, arguments):
        outcome = measure_all(Study(images, settings, runs), options, progress)
    if options.worker:
        return
    progress.where = "while the results were being written"
    options.out.mkdir(parents=True, exist_ok=True)
    found = claims(settings, outcome)
    shown = tables(settings, outcome)
    results = program.results_head(
        "understanding_bn", dataclasses.asdict(settings), dataset=images.name, notice=notice
    )
    results |= {"seeds": outcome.seeds, "tables": shown, "claims": found}
    write_json(options.out / "results.json", results)
    write_csv(
        options.out / "measurements.csv",
        ["measurement", "network", "seed", "x", "y"],
        curves(settings, outcome),
    )
    for name, (draw, height) in FIGURES.items():
        program.write_figure(
            options.out / f"{name}.png", partial(draw, settings=settings, outcome=outcome), height=height
        )
    for each in shown:
        print(f"\n{each.title}:\n")
        print(table(each.head, each.rows, right=range(1, len(each.head))))
    if all(claim.holds is None for claim in found):
        print(f"\nBounds exist for the default settings on CIFAR-10 only, with at least {SEEDS} seeds.")
    print(f"\nClaims on {images.name}, with {len(outcome.seeds)} seed(s):\n")
    print(claims_table(found))


def measure_all(study: Study, options: argparse.Namespace, progress: program.Progress) -> Outcome:
    """Make or read all runs; those that another process makes are waited for at the end."""
    settings = study.settings
    first, seeds = options.seed, list(range(options.seed, options.seed + options.seeds))
    starts = list(itertools.product(WEIGHTS, NORMS, seeds))
    searches = list(itertools.product(settings.depths, WHERE, seeds))
    parts = [
        ("at the initialisation", [partial(study.initial, *start) for start in starts]),
        ("along the diverging step", [partial(study.divergence, seed) for seed in seeds]),
        ("with the gradients' noise", [partial(study.noise, seed) for seed in seeds]),
        ("with the random matrices", [partial(study.products, seed) for seed in seeds]),
        ("while the networks were training", [partial(study.training, *each, first) for each in TRAININGS]),
        # the deepest first: they take longest
        (
            "during the search for the largest rates",
            [partial(study.rates, *each) for each in reversed(searches)],
        ),
    ]
    for where, makers in parts:
        progress.where = where
        study.runs.share(makers)
    return Outcome(
        study.images.name,
        study.images.classes,
        seeds,
        {start: study.initial(*start) for start in starts},
        {seed: study.divergence(seed) for seed in seeds},
        {search: study.rates(*search) for search in searches},
        {(*each, first): study.training(*each, first) for each in TRAININGS},
        {seed: study.noise(seed) for seed in seeds},
        {seed: study.products(seed) for seed in seeds},
    )


if __name__ == "__main__":
    sys.exit(main())
