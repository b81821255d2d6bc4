"""Check what the batch-normalisation paper says of its method, statement by statement.

Ioffe, Szegedy, Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift
(2015).  The backward equations (section 3) against finite differences and against the layers; Algorithm 2
(section 3.1): population statistics, the factor m/(m-1), inference as one linear map, folded layers;
convolutions (section 3.2): m' = m p q; the scale of the weights (section 3.3): BN((aW)u) = BN(Wu), the same
Jacobian, 1/a of the gradient; normalisation outside the gradient step (section 2): a bias that grows while
the loss stays; the noise of the statistics of small batches; and the largest stable learning rate without and
with batch normalisation, for the paper's network and for deeper ones with ReLU.

Each is a claim with a bound that was fixed beforehand; differences are relative, in float64.  Noise and rates
are measured on real images: where MNIST's files are missing and cannot be downloaded, on scikit-learn's small
'digits'.

Writes into the folder --out, anew after every finished seed: results.json (settings, curves, claims),
curves.csv (every curve, one point per line) and mechanics.png.  The claims close the output.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinynet.experiments import Claim, claims_table, figures, program, table, write_csv, write_json
from tinynet.experiments.mechanics_claims import claims, curves
from tinynet.experiments.mechanics_study import NETWORKS, SMOKE, Outcome, Settings, measure
from tinynet.experiments.mnist_study import Images

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILES = ("results.json", "curves.csv", "mechanics.png")  # in the order in which they are written
GREY = "#777777"
Runs = dict[int, Outcome]  # by seed


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; on a bad option argparse prints why and exits with code 2."""
    parser = program.make_parser(__doc__)
    program.add_common(
        parser,
        datasets=("mnist", "fashion-mnist", "digits"),
        seeds=1,
        threads=1,
        threads_reason="the networks are small",
        out="runs/bn_mechanics",
        smoke="a trial of seconds: the exact statements as always, noise and rates from so few steps that "
        "nothing is claimed of them",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the study; return the exit code: 0, 1 (could not run) or 130 (interrupted)."""
    progress = Progress()
    return program.execute(lambda: run(parse_arguments(arguments), progress), progress)


@dataclasses.dataclass
class Progress(program.Progress):
    """How far the program is, for the message after Ctrl-C."""

    where: str = "before the first check"
    options: argparse.Namespace | None = None
    written: dict[str, int] = dataclasses.field(default_factory=dict)  # file -> finished seeds in it

    def kept(self) -> str:
        """Say what is in the files."""
        if self.options is None:
            return "Nothing was written."
        if not self.written:
            return f"Nothing was written to {self.options.out}."
        held = ", ".join(f"{name} {self.written.get(name, 0)}" for name in FILES)
        return f"Finished seeds in the files of {self.options.out}: {held}, of {self.options.seeds}."


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Run all checks for every seed, write the files, print the results."""
    progress.options = options
    print("Ioffe and Szegedy (2015): the mechanics of batch normalisation", flush=True)
    program.prepare(options)
    options.out.mkdir(parents=True, exist_ok=True)
    training, test, notice = program.load_dataset(options)
    images = Images.of(training, test)
    settings = SMOKE if options.smoke else Settings()
    print(program.banner(images.name, len(images.x), len(images.x_test)), flush=True)
    print(f"results into {options.out}", flush=True)
    runs: Runs = {}
    for seed in range(options.seed, options.seed + options.seeds):

        def at(part: str, seed: int = seed) -> None:
            progress.where = f"during {part} of seed {seed}"
            print(f"seed {seed}: {part} ...", flush=True)

        runs[seed] = measure(images, settings, seed, at=at)
        progress.where = f"while the results of seed {seed} were being written"
        write_results(options.out, images.name, settings, runs, options.seeds, notice, progress.written)
    print_results(images.name, settings, runs)


# ---- results


def write_results(
    out: Path,
    name: str,
    settings: Settings,
    runs: Runs,
    seeds: int,
    notice: str | None,
    written: dict[str, int],
) -> None:
    """Write the three files with the finished runs, of `seeds`, each complete or not at all.

    `written` receives how many seeds each file holds.
    """
    first = next(iter(runs))
    all_runs = [
        {
            "seed": seed,
            "claims": claims(settings, outcome),
            "stable_rates": {
                network: {
                    **{which: found.rate for which, found in rates.items()},
                    "ratio": outcome.ratio(network),
                }
                for network, rates in outcome.rates.items()
            },
            "curves": curves_of(outcome),
            "seconds": {part: round(seconds, 3) for part, seconds in outcome.seconds.items()},
        }
        for seed, outcome in runs.items()
    ]
    description = {
        **dataclasses.asdict(settings),
        "networks": {
            network: {"activation": activation, "hidden_layers": layers, "units": 100, "std": std}
            for network, (activation, layers, std) in NETWORKS.items()
        },
        "optimizer": "SGD, no momentum, mean cross-entropy",
    }
    results = {
        **program.results_head("bn_mechanics", description, dataset=name, notice=notice),
        "seed": first,
        "seeds": list(runs),
        "seeds_asked_for": seeds,
        "curves": all_runs[0]["curves"],
        "claims": all_runs[0]["claims"],
        "runs": all_runs,
    }
    write_json(out / "results.json", results)
    written["results.json"] = len(runs)
    rows = [[name, seed, *row] for seed, outcome in runs.items() for row in curves(outcome)]
    write_csv(out / "curves.csv", ("dataset", "seed", "check", "series", "x", "y"), rows)
    written["curves.csv"] = len(runs)
    program.write_figure(out / "mechanics.png", lambda figure: draw(figure, name, runs), height=7.2)
    written["mechanics.png"] = len(runs)


def curves_of(outcome: Outcome) -> dict[str, dict[str, dict[str, list[float | None]]]]:
    """Return the curves as check -> series -> "x" and "y"."""
    found: dict[str, dict[str, dict[str, list[float | None]]]] = {}
    for check, series, x, y in curves(outcome):
        points = found.setdefault(check, {}).setdefault(series, {"x": [], "y": []})
        points["x"].append(x)
        points["y"].append(y)
    return found


def print_results(name: str, settings: Settings, runs: Runs) -> None:
    """Print times, the stable rates, the claims on the first seed and, if there are more, of all seeds."""
    first, outcome = next(iter(runs.items()))
    print("\nSeconds: " + ", ".join(f"{part} {seconds:.1f}" for part, seconds in outcome.seconds.items()))
    print(f"\nLargest stable learning rates on {name}, {settings.rate_steps} steps, seed {first}:\n")
    rows = [
        [network, *(number(found.rate) for found in rates.values()), number(outcome.ratio(network))]
        for network, rates in outcome.rates.items()
    ]
    print(table(("network", "without BN", "with BN", "ratio"), rows, right=(1, 2, 3)))
    all_claims = {seed: claims(settings, each) for seed, each in runs.items()}
    if settings != Settings():
        print("\nNoise and rates have bounds for the default settings only.")
    if len(runs) > 1:
        print(f"\nAll seeds on {name}; values that miss their bound are marked NO:\n")
        rows = [
            [of_all[0].name, *map(cell, of_all), of_all[0].bound or "-"]
            for of_all in zip(*all_claims.values(), strict=True)
        ]
        head = ["claim", *(f"seed {seed}" for seed in runs), "bound"]
        print(table(head, rows, right=range(1, len(head) - 1)))
    print(f"\nClaims on {name}, seed {first} ({verdict(all_claims[first])}):\n")
    print(claims_table(all_claims[first]))


def number(value: float | None) -> str:
    """Return three digits, or a dash."""
    return "-" if value is None else f"{value:.3g}"


def cell(claim: Claim) -> str:
    """Return a claim's value, with NO if it misses the bound."""
    return number(claim.value) + (" NO" if claim.holds is False else "")


def verdict(of_seed: list[Claim]) -> str:
    """Say how many claims with a bound hold."""
    bounded = [claim for claim in of_seed if claim.holds is not None]
    return f"{sum(claim.holds is True for claim in bounded)} of {len(bounded)} hold"


# ---- figure


def draw(figure: Figure, name: str, runs: Runs) -> None:
    """Draw four panels: the bias, the noise, the scale of the weights, the stable rates."""
    first, outcome = next(iter(runs.items()))
    (bias, noise), (scale, rates) = figure.subplots(2, 2)
    draw_bias(bias, outcome)
    draw_noise(noise, outcome)
    draw_scale(scale, outcome)
    draw_rates(rates, runs)
    note = "" if len(runs) == 1 else f"; in (d) small dots: all {len(runs)} seeds"
    figures.heading(figure, f"{name}, seed {first}{note}")


def draw_bias(axes: Axes, outcome: Outcome) -> None:
    """Draw how b grows with the mean outside the gradient, and that neither loss moves."""
    looks = {
        "outside": ("b, mean outside the gradient", figures.RED, "solid"),
        "through": ("b, mean inside", figures.BLUE, "solid"),
    }
    for which, (label, colour, dashes) in looks.items():
        bias = outcome.bias[which].bias
        axes.plot(np.sqrt((bias**2).mean(axis=1)), color=colour, linestyle=dashes, label=label)
    axes.plot(outcome.bias["outside"].loss, color=GREY, linestyle=(0, (4, 1.6)), label="loss, both")
    figures.step_axis(axes, len(outcome.bias["outside"].loss) - 1)
    axes.set_ylabel("b in standard deviations of x; loss")
    axes.set_title("(a) normalisation outside the gradient step")
    axes.legend(loc="upper left", handlelength=2.6)


def draw_noise(axes: Axes, outcome: Outcome) -> None:
    """Draw the noise of both statistics against the size of the batch, with theory as lines."""
    noise = outcome.noise
    for of, colour, label in (
        ("mean", figures.BLUE, "mean, in $\\sigma$"),
        ("variance", figures.RED, "variance, in $\\sigma^2$"),
    ):
        axes.plot(noise.sizes, getattr(noise, f"{of}_theory"), color=colour, linewidth=1.2)
        axes.plot(
            noise.sizes,
            getattr(noise, of),
            "o",
            color=colour,
            markersize=5,
            label=f"{label}: slope {noise.slope(of):.3f}".replace("-", "\u2212"),
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(noise.sizes, [str(m) for m in noise.sizes])
    ticks = [2.0**-k for k in range(5)]
    axes.set_yticks(ticks, [f"1/{round(1 / tick)}" if tick < 1 else "1" for tick in ticks])
    axes.set_xlabel("batch size m")
    axes.set_ylabel("standard deviation over batches")
    axes.set_title("(b) noise of batch statistics; lines: theory")
    axes.legend(loc="lower left")


def draw_scale(axes: Axes, outcome: Outcome) -> None:
    """Draw the gradient with respect to aW over that with respect to W, and the line 1/a."""
    a = np.array([each.a for each in outcome.scale])
    axes.loglog(a, 1 / a, color=GREY, linewidth=1.2, linestyle=(0, (4, 1.6)), label="1/a")
    ratios = [each.ratio for each in outcome.scale]
    axes.loglog(a, ratios, "o", color=figures.BLUE, markersize=5, label="gradient, aW over W")
    errors = [(each.a, each.output) for each in outcome.scale if each.a != 1]
    axes.loglog(*zip(*errors, strict=True), "s", color=figures.RED, markersize=4, label="error of BN((aW)u)")
    axes.set_xlabel("a; with $\\epsilon = 10^{-5}$ and Var[Wu] about 1")
    axes.set_title("(c) scale of the weights")
    axes.legend(loc="upper right")


def draw_rates(axes: Axes, runs: Runs) -> None:
    """Draw the largest stable rates without and with batch normalisation as the ends of a line."""
    from matplotlib.ticker import LogLocator, NullLocator

    first = next(iter(runs.values()))
    names = list(NETWORKS)
    looks = {"without": (figures.RED, "without BN"), "with": (figures.BLUE, "with BN")}
    for row, network in enumerate(names):
        ends = [rate for which in looks if (rate := first.rates[network][which].rate) is not None]
        ratio = first.ratio(network)
        if ratio is not None:
            axes.plot(ends, [row, row], color="#BBBBBB", linewidth=3, zorder=1)
            middle = float(np.exp(np.mean(np.log(ends))))
            text = f"\u00d7 {ratio:.3g}"
            axes.text(middle, row - 0.14, text, ha="center", va="bottom", color="#333333")
        for which, (colour, _) in looks.items():
            others = [outcome.rates[network][which].rate for outcome in runs.values()]
            dots = [rate for rate in others if rate is not None] if len(runs) > 1 else []
            axes.plot(dots, [row + 0.22] * len(dots), "o", color=colour, markersize=3, alpha=0.7)
            rate = first.rates[network][which].rate
            if rate is not None:
                axes.plot(rate, row, "o", color=colour, markersize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(len(names) - 0.4, -0.9)
    axes.set_yticks(range(len(names)), [network.replace(", ", ",\n") for network in names])
    axes.set_xlabel("largest stable learning rate")
    axes.set_title("(d) SGD without momentum")
    for colour, label in looks.values():
        axes.plot([], [], "o", color=colour, markersize=8, label=label)
    axes.legend(loc="upper center", ncols=2, columnspacing=1.2, borderaxespad=0.1)


if __name__ == "__main__":
    sys.exit(main())
