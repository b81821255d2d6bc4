"""Train the network of the batch-normalisation paper, without and with BN, and draw its Figure 1.

Ioffe, Szegedy, Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift
(2015), section 4.1: 28 x 28 binary images, three hidden layers of 100 sigmoid units, 10 classes, mini-batches
of 60, 50,000 steps of plain SGD.  Both networks of a seed start from the same weights and see the same
batches.  After step 1 and every 250 steps both are measured on the test set: accuracy, and the {15, 50, 85}th
percentiles of what enters the sigmoids of the last hidden layer (with BN: after BN, in inference mode, with
the exact population statistics of 100 fixed training batches).

The paper does not give the learning rate, the standard deviation of the weights or the threshold of the
binary images; here they are 0.1, 0.1 and one half.

Writes into the folder --out, anew after every finished seed: results.json (settings, curves, claims),
history.csv (every measurement) and figure1.png.  Finished networks are kept in runs/ there: after Ctrl-C the
same command goes on with the first one that is missing, and none is ever trained twice; other settings need
another folder (a --smoke run keeps nothing).  The claims, with bounds fixed beforehand for MNIST at 50,000
steps, close the output.  Where MNIST's files are missing and cannot be downloaded, scikit-learn's small
'digits' stand in, for 5,000 steps, with one bound of their own; every output names the data set.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinynet.bn import PercentileHistory
from tinynet.experiments import (
    Claim,
    claims_table,
    figures,
    program,
    steps_to_accuracy,
    table,
    write_csv,
    write_json,
)
from tinynet.experiments.mnist_study import (
    DEFAULT_STEPS,
    NETWORKS,
    THRESHOLD,
    Images,
    Run,
    Settings,
    claims,
    get_run,
)
from tinynet.experiments.options import integer, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNIT = 0  # the "typical" unit of Figure 1, fixed before the first run; the median of all 100 stands beside it
Trained = dict[int, dict[str, Run]]  # seed -> name of the network -> what came of it


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; on a bad option argparse prints why and exits with code 2."""
    parser = program.make_parser(__doc__)
    add = parser.add_argument
    add("--steps", type=integer(1), metavar="N", help="updates per network (default 50000; digits: 5000)")
    add("--batch-size", type=integer(2), default=60, metavar="N", help="examples per update (default 60)")
    add("--lr", type=number(True), default=0.1, help="learning rate (default 0.1)")
    add(
        "--std",
        type=number(False),
        default=0.1,
        help="standard deviation of the initial weights, which are Gaussian with mean 0 (default 0.1)",
    )
    program.add_common(
        parser,
        datasets=tuple(DEFAULT_STEPS),
        seed="of the initial weights and of the batches",
        seeds=1,
        threads=1,
        threads_reason="on so small a network a second one gains a tenth, and where the machine's cores are "
        "busy the two wait for each other",
        out="runs/mnist",
        smoke="a trial of seconds: 300 steps unless --steps is given, measured every 50 steps; no bounds",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the study; return the exit code: 0, 1 (could not run) or 130 (interrupted)."""
    progress = program.Progress()
    return program.execute(lambda: run(parse_arguments(arguments), progress), progress)


def run(options: argparse.Namespace, progress: program.Progress) -> None:
    """Train both networks for every seed, write the files, print the results."""
    print("Ioffe and Szegedy (2015), section 4.1: a network without and with batch normalisation", flush=True)
    program.prepare(options)
    options.out.mkdir(parents=True, exist_ok=True)
    training, test, notice = program.load_dataset(options)
    images = Images.of(training, test)
    settings = make_settings(options, images.name)
    print(
        f"{program.banner(images.name, len(images.x), len(images.x_test))}\n"
        f"{settings.steps:,} steps of {settings.batch_size} examples per network, lr {settings.lr:g}, "
        f"weights N(0, {settings.std:g}^2), results into {options.out}",
        flush=True,
    )
    trained: Trained = {}
    with program.kept_runs(options, progress) as runs:
        for seed in range(options.seed, options.seed + options.seeds):
            made = len(runs.made)
            trained[seed] = {}
            for network in NETWORKS:
                progress.where = f"while {network} of seed {seed} was training"
                label = f"{images.name} seed {seed} {network:<10}"
                trained[seed][network] = get_run(runs, images, settings, seed, network, label)
            if len(runs.made) > made or len(trained) == options.seeds:  # else the files may have more
                progress.where = f"while the results of seed {seed} were being written"
                write_results(options.out, images, settings, trained, options.seeds, notice)
    print_results(images.name, settings, trained)


def make_settings(options: argparse.Namespace, name: str) -> Settings:
    """Combine the options with the defaults of the data set that is there."""
    steps = options.steps or (300 if options.smoke else DEFAULT_STEPS[name])
    short = {"every": 50, "population_batches": 20} if options.smoke else {}
    return Settings(steps, options.batch_size, options.lr, options.std, **short)


# ---- results


def claims_of(name: str, settings: Settings, networks: dict[str, Run]) -> list[Claim]:
    """Return the six claims on one seed."""
    return claims(name, settings, networks["baseline"], networks["batch_norm"])


def curves_of(run: Run) -> dict[str, object]:
    """Return everything measured on one network, as lists over the measurements."""
    unit, median, drift = run.inputs.unit(UNIT), run.inputs.median_over_units(), run.inputs.drift()
    names = ("p15", "p50", "p85")
    return {
        "step": run.inputs.steps,
        "accuracy": run.accuracy,
        f"unit_{UNIT}": {name: unit[:, i] for i, name in enumerate(names)},
        "median_over_units": {name: median[:, i] for i, name in enumerate(names)},
        "drift": {name: drift[i] for i, name in enumerate(names)},
    }


def write_results(
    out: Path, images: Images, settings: Settings, trained: Trained, seeds: int, notice: str | None
) -> None:
    """Write the three files with the finished seeds, of `seeds`, each complete or not at all."""
    first = next(iter(trained))
    all_runs = [
        {
            "seed": seed,
            "curves": {network: curves_of(run) for network, run in networks.items()},
            "claims": claims_of(images.name, settings, networks),
            "steps_to_90_percent": {
                network: steps_to_accuracy(run.curve, 0.9) for network, run in networks.items()
            },
            "seconds": {network: round(run.seconds, 3) for network, run in networks.items()},
        }
        for seed, networks in trained.items()
    ]
    description = {
        **dataclasses.asdict(settings),
        "threshold": THRESHOLD,
        "unit": UNIT,
        "optimizer": "SGD, no momentum, mean cross-entropy",
    }
    results = {
        **program.results_head("mnist", description, dataset=images.name, notice=notice),
        "seed": first,
        "seeds": list(trained),
        "seeds_asked_for": seeds,
        "curves": all_runs[0]["curves"],
        "claims": all_runs[0]["claims"],
        "runs": all_runs,
    }
    write_json(out / "results.json", results)
    head = ["dataset", "seed", "network", "step", "accuracy"]
    head += [f"{of}_{name}" for of in (f"unit{UNIT}", "median_over_units") for name in ("p15", "p50", "p85")]
    rows = [
        [images.name, seed, network, step, accuracy, *unit, *median]
        for seed, networks in trained.items()
        for network, run in networks.items()
        for step, accuracy, unit, median in zip(
            run.inputs.steps,
            run.accuracy,
            run.inputs.unit(UNIT),
            run.inputs.median_over_units(),
            strict=True,
        )
    ]
    write_csv(out / "history.csv", head, rows)
    program.write_figure(out / "figure1.png", lambda figure: draw(figure, images.name, settings, trained))


def print_results(name: str, settings: Settings, trained: Trained) -> None:
    """Print times, the claims on the first seed and, if there are more, the table of all seeds."""
    all_claims = {seed: claims_of(name, settings, networks) for seed, networks in trained.items()}
    first = next(iter(trained))
    for network in trained[first]:
        seconds = sum(networks[network].seconds for networks in trained.values())
        rate = settings.steps * len(trained) / seconds
        print(f"{network}: {seconds:.1f} s, {rate:,.0f} steps/s with measuring")
    if verdict(all_claims[first]) == "no bound":
        print("Bounds exist for the default settings on mnist at 50,000 and on digits at 5,000 steps only.")
    print(f"\nClaims on {name}, {settings.steps:,} steps, seed {first} ({verdict(all_claims[first])}):\n")
    print(claims_table(all_claims[first]))
    if len(trained) > 1:
        print(f"\nAll seeds on {name}, {settings.steps:,} steps; columns 1 to 6 are the claims above:\n")
        head = ["seed", "baseline", "BN", *(str(i + 1) for i in range(len(all_claims[first]))), "verdict"]
        rows = []
        for seed, networks in trained.items():
            final = [f"{run.accuracy[-1]:.4f}" for run in networks.values()]
            values = ["-" if claim.value is None else f"{claim.value:.3f}" for claim in all_claims[seed]]
            rows.append([str(seed), *final, *values, verdict(all_claims[seed])])
        print(table(head, rows, right=range(len(head) - 1)))


def verdict(claims: list[Claim]) -> str:
    """Say in words which claims of a seed hold."""
    missed = [str(i) for i, claim in enumerate(claims, 1) if claim.holds is False]
    if missed:
        return f"MISSES {', '.join(missed)}"
    return "all hold" if any(claim.holds for claim in claims) else "no bound"


# ---- figure


def draw(figure: Figure, name: str, settings: Settings, trained: Trained) -> None:
    """Draw three panels as in the paper: accuracy of both networks, percentiles without and with BN."""
    first = next(iter(trained))
    left, middle, right = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1.1, 1, 1]})
    middle.sharey(right)
    looks = {
        "baseline": (figures.RED, "without BN", (0, (4, 1.6))),
        "batch_norm": (figures.BLUE, "with BN", "solid"),
    }
    for network, (colour, label, dashes) in looks.items():
        steps = np.array(trained[first][network].inputs.steps)
        curves = {seed: np.array(networks[network].accuracy) for seed, networks in trained.items()}
        figures.band(left, steps, list(curves.values()), colour)
        left.plot(steps, curves[first], color=colour, label=label, linestyle=dashes)
    best = max(networks["baseline"].accuracy[-1] for networks in trained.values())
    left.set_ylim(0.7 if best > 0.75 else 0.0, 1.0)
    left.set_title("(a) test accuracy")
    left.legend(loc="lower right" if best > 0.75 else "center right")
    for axes, network, title in (
        (middle, "baseline", "(b) without BN"),
        (right, "batch_norm", "(c) with BN"),
    ):
        percentiles(axes, [networks[network].inputs for networks in trained.values()], looks[network][0])
        axes.set_title(title)
    middle.set_ylabel("input of the last sigmoids")
    right.tick_params(labelleft=False)
    bottom, top = middle.get_ylim()
    middle.set_ylim(bottom, top + 0.2 * (top - bottom))  # room for the legends
    for axes in (left, middle, right):
        figures.step_axis(axes, settings.steps)
    seeds = f"seed {first}" if len(trained) == 1 else f"seed {first}; shaded: range over {len(trained)} seeds"
    figure.suptitle(
        f"{name}, {settings.steps:,} steps, {seeds}", fontsize=10, color="#555555", x=0.01, ha="left"
    )


def percentiles(axes: Axes, histories: list[PercentileHistory], colour: str) -> None:
    """Draw percentiles: lines for the one unit, dots for the median of all units (shaded over the seeds)."""
    steps = np.array(histories[0].steps)
    unit, median = histories[0].unit(UNIT), histories[0].median_over_units()  # (T, 3) each
    units = histories[0].percentiles[0].shape[1]
    for i, percent in enumerate(("15", "50", "85")):
        figures.band(axes, steps, [history.median_over_units()[:, i] for history in histories], "#777777")
        axes.plot(
            steps,
            median[:, i],
            color="#777777",
            linewidth=1.2,
            linestyle=(0, (1.2, 1.2)),
            label=f"median of {units} units" if i == 0 else None,
        )
        axes.plot(steps, unit[:, i], color=colour, label=f"unit {UNIT}" if i == 0 else None)
        axes.annotate(
            f"{percent}%",
            (steps[-1], unit[-1, i]),
            (4, 0),
            textcoords="offset points",
            va="center",
            color=colour,
        )
    axes.legend(loc="upper left", ncols=2, columnspacing=1.2, borderaxespad=0.2)


if __name__ == "__main__":
    sys.exit(main())
