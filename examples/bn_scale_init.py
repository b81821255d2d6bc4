"""Start the scales of batch normalisation below 1 and slow their learning, and compare with the usual way.

Davis, Frank, Revisiting Batch Normalization (2021), at the size of a CPU.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial

from tinynet.experiments import program
from tinynet.experiments.images import Images
from tinynet.experiments.scale_study import SMOKE, Settings, Study

DATASETS = ("cifar-10", "fashion-mnist")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; on a bad option argparse prints why and exits with code 2."""
    parser = program.make_parser(__doc__)
    program.add_common(
        parser,
        datasets=(*DATASETS, "mnist", "digits"),
        seed="of the first weights, order and augmentation",
        seeds=5,
        jobs=True,
        out="runs/bn-scale-init",
        smoke="a trial of half a minute that goes through everything; no run is kept",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the study; return the exit code: 0, 1 (could not run) or 130 (interrupted)."""
    progress = program.Progress()
    return program.execute(lambda: run(parse_arguments(arguments), progress, arguments), progress)


def run(options: argparse.Namespace, progress: program.Progress, arguments: list[str] | None = None) -> None:
    """Train everything, write the files, print the results."""
    program.prepare(options)
    settings = SMOKE if options.smoke else Settings()
    training, test, _ = program.load_dataset(options)
    images = Images.of(training, test, settings.limit)
    print(program.banner(images.name, len(images.training.x), len(images.test.x)), flush=True)
    seeds = range(options.seed, options.seed + options.seeds)
    with program.kept_runs(options, progress) as runs, program.share_work(options, __file__, arguments):
        study = Study(images, settings, runs)
        progress.where = "while the networks were training"
        plans = [(*plan, seed) for seed in seeds for plan in study.plans()]
        runs.share(partial(study.run, *plan) for plan in plans)
        for plan in plans:
            print(plan[0].name, plan[1], plan[2], study.run(*plan).accuracy, flush=True)


if __name__ == "__main__":
    sys.exit(main())
