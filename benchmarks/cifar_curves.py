"""Loss curves of a network on CIFAR-10, in tinynet and in PyTorch: do they lie within the spread of seeds?

    python -m benchmarks.cifar_curves train resnet20 --seed 0                      tinynet-resnet20-0.npz
    python -m benchmarks.cifar_curves train resnet20 --seed 0 --framework torch    torch-resnet20-0.npz
    python -m benchmarks.cifar_curves compare runs/curves/*-resnet20-*.npz --figure resnet20.png

Both train by the recipe of examples/cifar10.py (tinynet.experiments.image_study) with initial weights of the
same distribution; order, augmentation and weights of a seed are other ones in PyTorch, so that curves are
compared as samples of one distribution.  A file has `loss` (steps) and `accuracy` (epochs, of the test set).
The comparison is made of means over 50 steps.  Where all runs are of one distribution, a run lies between the
least and the largest of n others with probability (n - 1) / (n + 1), point by point.  Points of a curve move
together, so the libraries are also compared as groups, by a permutation test over whole curves.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.architectures import cifar_network
from benchmarks.networks import build
from tinynet.experiments import figure_png, figures, table
from tinynet.experiments.image_study import CHUNK, PADDING, SCHEDULES, Images, Settings, make_trainer
from tinynet.experiments.options import integer, load_parts
from tinynet.experiments.training import progress_bar

FloatArray = npt.NDArray[np.float64]
MODELS = ("bn_inception_small", "resnet20")
WINDOW = 50


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the two commands."""
    options = parse_arguments(arguments)
    if options.command == "train":
        train(options)
        return 0
    runs: dict[str, list[Run]] = {"torch": [], "tinynet": []}
    for file in options.files:
        framework = file.name.partition("-")[0]
        if framework not in runs:
            print(f"error: {file}: the name must begin with torch- or tinynet-", file=sys.stderr)
            return 1
        with np.load(file) as arrays:
            runs[framework].append((file.stem, arrays["loss"], arrays["accuracy"]))
    if len(runs["torch"]) < 2 or not runs["tinynet"]:
        print("error: there must be two files of PyTorch or more, and one of tinynet", file=sys.stderr)
        return 1
    compare(runs["torch"], runs["tinynet"], options.figure)
    return 0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    summary, details = (__doc__ or "").split("\n\n", 1)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cifar_curves",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser(
        "train", help="train one network with one seed, and save its curves"
    ).add_argument
    add("model", choices=MODELS)
    add("--seed", type=integer(0), default=0)
    add("--framework", choices=("tinynet", "torch"), default="tinynet")
    add("--epochs", type=integer(1), default=2)
    add("--threads", type=integer(1), default=1)
    add("--dataset", choices=("cifar-10", "digits"), default="cifar-10")
    add("--data", type=Path, metavar="DIR", help="folder to look in for the data set")
    add("--limit", type=integer(2), metavar="N", help="the first N images of each part only, for trials")
    add("--out", type=Path, default=Path("runs/curves"), metavar="DIR")
    add = commands.add_parser("compare", help="lay tinynet's curves beside those of PyTorch").add_argument
    add("files", type=Path, nargs="+", help="torch-*.npz and tinynet-*.npz of one network")
    add("--figure", type=Path, metavar="FILE", help="draw the curves into this PNG file")
    return parser.parse_args(arguments)


# ---- training


def train(options: argparse.Namespace) -> None:
    """Train in one of the frameworks and save the curves."""
    training, test, warnings = load_parts(options.dataset, options.data, offline=True)
    if warnings:
        raise SystemExit(f"error: {warnings[0]}")
    changes = {"epochs": options.epochs, "seed": options.seed, "limit": options.limit}
    settings = Settings.recipe(training.name, options.model, augment=True, **changes)
    images = Images.of(training, test, settings)
    run = train_torch if options.framework == "torch" else train_tinynet
    losses, accuracies = run(images, settings, options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / f"{options.framework}-{options.model}-{options.seed}.npz"
    np.savez(file, loss=losses, accuracy=accuracies)
    print(f"{file}: {len(losses)} steps, test accuracy {', '.join(f'{a:.4f}' for a in accuracies)}")


def train_tinynet(images: Images, settings: Settings, threads: int) -> tuple[list[float], list[float]]:
    """Train with the machinery of the example; return the loss of each step, the accuracy of each epoch."""
    import tinynet as tn

    tn.set_num_threads(threads)
    trainer = make_trainer(images, settings)
    trainer.train(settings.epochs, label=f"tinynet {settings.model} {settings.seed}")
    return trainer.losses, [epoch.test_accuracy for epoch in trainer.epochs]


def train_torch(images: Images, settings: Settings, threads: int) -> tuple[list[float], list[float]]:
    """Do the same in PyTorch, channels-last."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(threads)
    torch.manual_seed(settings.seed)
    last = torch.channels_last
    model = torch_model(settings.model, images.x.shape[1], len(images.classes)).to(memory_format=last)
    rng = np.random.default_rng(1000 + settings.seed)
    mean, std = (np.asarray(v, np.float32).reshape(-1, 1, 1) for v in (images.mean, images.std))
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.nesterov,
    )
    size, batch = len(images.x), settings.batch_size
    steps = settings.epochs * math.ceil(size / batch)
    losses: list[float] = []
    accuracies: list[float] = []

    def tensor(x: npt.NDArray[np.uint8]) -> Any:
        return torch.from_numpy((x.astype(np.float32) / 255 - mean) / std).contiguous(memory_format=last)

    label = f"torch {settings.model} {settings.seed}"
    with progress_bar(settings.epochs * size, label, " images", unit_scale=True) as bar:
        for _ in range(settings.epochs):
            model.train()
            order = rng.permutation(size)
            for start in range(0, size, batch):
                rows = order[start : start + batch]
                x = tensor(augmented(images.x[rows], rng, images.name == "cifar-10"))
                for group in optimizer.param_groups:
                    group["lr"] = settings.lr * SCHEDULES[settings.schedule](len(losses) / steps)
                optimizer.zero_grad()
                loss = cross_entropy(model(x), torch.from_numpy(images.y[rows]))
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                losses.append(loss.item())
                bar.update(len(rows))
            model.eval()
            right = 0
            with torch.no_grad():
                for start in range(0, len(images.x_test), CHUNK):
                    guesses = model(tensor(images.x_test[start : start + CHUNK])).argmax(1).numpy()
                    right += int((guesses == images.y_test[start : start + CHUNK]).sum())
            accuracies.append(right / len(images.x_test))
    return losses, accuracies


def augmented(x: npt.NDArray[np.uint8], rng: np.random.Generator, flips: bool) -> npt.NDArray[np.uint8]:
    """Crop images (B, C, S, S) at random from a black frame, and flip half of them."""
    count, side = len(x), x.shape[-1]
    framed = np.pad(x, ((0, 0), (0, 0), (PADDING, PADDING), (PADDING, PADDING)))
    top, left = (rng.integers(0, 2 * PADDING + 1, count) for _ in range(2))
    flip = (rng.random(count) < 0.5) & flips
    crops = [image[:, i : i + side, j : j + side] for image, i, j in zip(framed, top, left, strict=True)]
    return np.stack([crop[:, :, ::-1] if f else crop for crop, f in zip(crops, flip, strict=True)])


def torch_model(name: str, channels: int, classes: int) -> Any:
    """Return the network of this name (tinynet.models) in PyTorch, with weights of the same distribution."""
    import torch
    from torch import nn

    model = build(torch, cifar_network(name, channels, classes).layers)
    for module in model.modules() if name == "resnet20" else ():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


# ---- comparison

Run = tuple[str, FloatArray, FloatArray]  # name, loss of each step, accuracy of each epoch


def block_means(curve: FloatArray, window: int = WINDOW) -> FloatArray:
    """Return the means of one block of `window` entries after the other; the last block may be shorter."""
    return np.array([curve[i : i + window].mean() for i in range(0, len(curve), window)])


def distance(value: float, others: FloatArray) -> float:
    """Return how far `value` lies outside the range of others, in their standard deviations; 0 inside."""
    outside = max(others.min() - value, value - others.max(), 0.0)
    spread = others.std(ddof=1)
    return float(outside / spread) if outside and spread else math.inf if outside else 0.0


def compare(theirs: list[Run], ours: list[Run], figure: Path | None = None) -> None:
    """Print where our curves lie relative to the range of theirs, point by point; draw them."""
    lengths = {(len(loss), len(accuracy)) for _, loss, accuracy in (*theirs, *ours)}
    if len(lengths) > 1:
        raise SystemExit(f"error: the runs must have equal lengths; got steps and epochs {sorted(lengths)}")
    (steps, epochs), names = lengths.pop(), [name for name, *_ in ours]
    points = [f"{min(i + WINDOW, steps)}" for i in range(0, steps, WINDOW)]
    losses = [np.stack([block_means(loss) for _, loss, _ in runs]) for runs in (theirs, ours)]
    accuracies = [np.stack([accuracy for *_, accuracy in runs]) for runs in (theirs, ours)]
    for what, rows, (others, own) in (
        (f"loss, mean of {WINDOW} steps until step", points, losses),
        ("test accuracy after epoch", [str(i + 1) for i in range(epochs)], accuracies),
    ):
        print(f"{what}: {', '.join(names)} in the range of {len(theirs)} runs of PyTorch\n")
        print_positions(what.split()[-1], rows, others, own, names)
    print_groups(*losses)
    if figure is not None:
        figure.write_bytes(figure_png(lambda canvas: draw(canvas, losses, accuracies, steps), height=3.8))
        print(f"written: {figure}")


def print_positions(
    what: str, rows: list[str], others: FloatArray, own: FloatArray, names: list[str]
) -> None:
    """Print a line per point, others (n, points) and own (m, points), and the share inside."""
    places = np.array(
        [[distance(own[i, j], others[:, j]) for j in range(len(rows))] for i in range(len(own))]
    )
    head = [what, "PyTorch min", "max", "sd"]
    for name in names:
        head += [name, "position"]
    lines = []
    for j, row in enumerate(rows):
        column = others[:, j]
        line = [row, f"{column.min():.4f}", f"{column.max():.4f}", f"{column.std(ddof=1):.4f}"]
        for i in range(len(own)):
            sign = "below" if own[i, j] < column.min() else "above"
            line += [f"{own[i, j]:.4f}", f"{places[i, j]:.1f} sd {sign}" if places[i, j] else "inside"]
        lines.append(line)
    print(table(head, lines, right=range(4)))
    chance = (len(others) - 1) / (len(others) + 1)
    pooled = (own.mean(axis=0) - others.mean(axis=0)) / np.maximum(others.std(axis=0, ddof=1), 1e-12)
    print(
        f"\ninside: {np.mean(places == 0):.0%} (expected of one distribution: {chance:.0%}); "
        f"farthest outside: {places.max():.1f} sd; means differ by {pooled.mean():+.2f} sd on average, "
        f"{np.abs(pooled).max():.2f} sd at most\n"
    )


def separation(others: FloatArray, own: FloatArray) -> float:
    """Return the root mean square over the points of Student's t between runs (n, points) and (m, points)."""
    n, m = len(others), len(own)
    pooled = ((n - 1) * others.var(axis=0, ddof=1) + (m - 1) * own.var(axis=0, ddof=1)) / (n + m - 2)
    t = (own.mean(axis=0) - others.mean(axis=0)) / np.sqrt(pooled * (1 / n + 1 / m))
    return float(np.sqrt(np.mean(t**2)))


def separations(others: FloatArray, own: FloatArray) -> tuple[float, list[float]]:
    """Return the separation of two groups of runs, and that of every way to deal out all runs anew."""
    runs = np.concatenate([others, own])
    dealt = []
    for chosen in combinations(range(len(runs)), len(own)):
        rest = [i for i in range(len(runs)) if i not in chosen]
        dealt.append(separation(runs[rest], runs[list(chosen)]))
    return separation(others, own), dealt


def print_groups(others: FloatArray, own: FloatArray) -> None:
    """Print whether the libraries' curves lie farther apart than groups dealt at random."""
    if len(own) < 2:
        print("groups: two runs of tinynet or more are needed to compare the libraries as groups\n")
        return
    found, dealt = separations(others, own)
    count = sum(each >= found * (1 - 1e-9) for each in dealt)
    print(
        f"groups: the root mean square of t over the points is {found:.2f}; dealing the runs out anew, "
        f"it is as large in {count} of {len(dealt)} ways: p = {count / len(dealt):.2f}\n"
    )


def draw(canvas: Any, losses: list[FloatArray], accuracies: list[FloatArray], steps: int) -> None:
    """Draw both sets of curves: PyTorch's range and runs, tinynet's runs; their test accuracies."""
    left, right = canvas.subplots(1, 2, gridspec_kw={"width_ratios": [1.7, 1]})
    ends = np.minimum(np.arange(1, losses[0].shape[1] + 1) * WINDOW, steps)
    middles = (ends + np.concatenate([[0], ends[:-1]])) / 2
    figures.band(left, middles, list(losses[0]), figures.RED)
    looks = (("PyTorch", figures.RED, (0, (4, 1.6)), "s"), ("tinynet", figures.BLUE, "solid", "o"))
    for curves, shares, (name, colour, dashes, marker) in zip(losses, accuracies, looks, strict=True):
        label = f"{name}, {len(curves)} seed{'s' if len(curves) > 1 else ''}"
        for i, curve in enumerate(curves):
            left.plot(
                middles, curve, color=colour, linestyle=dashes, linewidth=1.2, label=None if i else label
            )
        epochs = np.arange(1, shares.shape[1] + 1)
        shift = -0.06 if name == "PyTorch" else 0.06
        for i, share in enumerate(shares):
            right.plot(
                epochs + shift, 100 * share, marker, color=colour, alpha=0.8, label=None if i else label
            )
    figures.step_axis(left, steps)
    left.set_title(f"(a) training loss, means of {WINDOW} steps; shaded: range of PyTorch")
    left.legend(loc="upper right")
    right.set_xlim(0.5, len(epochs) + 0.5)
    right.set_xticks(epochs)
    right.set_xlabel("epochs")
    right.set_title("(b) test accuracy, %")
    right.legend(loc="lower right")


if __name__ == "__main__":
    sys.exit(main())
