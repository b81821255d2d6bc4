"""Train a convolutional network on CIFAR-10 (or Fashion-MNIST, or MNIST) and look at what it has learnt.

The recipe: batches of 128, images cropped at random from a frame of 4 black pixels and flipped with
probability one half, SGD with momentum 0.9 and weight decay 5e-4, learning rate 0.1 on a cosine from there to
zero.  Grey images of 28 x 28 pixels get a black frame where the network takes 32 x 32, images of 32 x 32 lose
their rim for LeNet, which takes 28 x 28.  Digits are not flipped, and cropped only with --augment.

After every epoch a checkpoint is written; --resume, with the same options, goes on from it with the same bits
as if the run had never stopped (Ctrl-C in the middle of an epoch: from the beginning of that epoch).  Threads
and workers may differ.

Writes into the folder --out: checkpoint.safetensors and, at the end, results.json (settings, accuracies,
confusion matrix, times), history.csv (loss and learning rate of every step, accuracies of every epoch),
curves.png, confusion.png and mistakes.png (the wrong guesses that the network was surest of).  Where the data
set is missing and cannot be downloaded, scikit-learn's small 'digits' stand in; every output names the data
set.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from tinynet.errors import DataError
from tinynet.experiments import (
    Trainer,
    charts,
    confident_mistakes,
    confusion_matrix,
    program,
    scores,
    table,
    write_csv,
    write_json,
)
from tinynet.experiments.classification import probabilities
from tinynet.experiments.image_study import CHUNK, NETWORKS, SCHEDULES, Images, Settings, make_trainer
from tinynet.experiments.options import integer, number

CHECKPOINT = "checkpoint.safetensors"
DATASETS = ("cifar-10", "fashion-mnist", "mnist", "digits")
SMOKE = {"epochs": 2, "batch_size": 32, "limit": 256}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; on a bad option argparse prints why and exits with code 2."""
    parser = program.make_parser(__doc__)
    add = parser.add_argument
    add("--model", choices=tuple(NETWORKS), default="bn_inception_small", help="(default bn_inception_small)")
    add("--epochs", type=integer(1), metavar="N", help="passes over the training images (default 30)")
    add("--batch-size", type=integer(2), metavar="N", help="images per update (default 128)")
    add(
        "--lr",
        type=number(True),
        help="learning rate at the beginning, or at its peak (default 0.1; lenet: 0.01)",
    )
    add("--momentum", type=number(False), help="of SGD (default 0.9)")
    add("--nesterov", action="store_true", default=None, help="let the momentum be Nesterov's")
    add("--weight-decay", type=number(False), metavar="L", help="of SGD (default 0.0005)")
    add(
        "--schedule",
        choices=tuple(SCHEDULES),
        help="of the learning rate: a cosine to zero (default), a tenth after 1/2 and a hundredth after 3/4 "
        "of the steps, one cycle (up from a 25th within 3/10 of the steps, then to zero), or constant",
    )
    add(
        "--augment",
        action=argparse.BooleanOptionalAction,
        help="random crops, and flips but of digits (default: for cifar-10 and fashion-mnist)",
    )
    add("--limit", type=integer(2), metavar="N", help="the first N images of each part only, for trials")
    add(
        "--workers",
        type=integer(0),
        default=0,
        metavar="N",
        help="threads that make batches ahead (default 0: a batch takes half a millisecond; same bits)",
    )
    add("--resume", action="store_true", help="go on from the checkpoint in --out")
    program.add_common(
        parser,
        datasets=DATASETS,
        seed="of weights, order, augmentation and dropout",
        out="runs/DATASET-MODEL",
        smoke="a trial of seconds that goes through everything: unless given otherwise 2 epochs of 256 "
        "images in batches of 32, the second one resumed from the checkpoint of the first",
    )
    parser.set_defaults(out=None)
    options = parser.parse_args(arguments)
    if options.smoke and options.resume:
        parser.error("argument --resume: --smoke resumes by itself")
    if options.smoke:
        for name, value in SMOKE.items():
            if getattr(options, name) is None:
                setattr(options, name, value)
    if options.out is None:
        options.out = Path("runs") / f"{options.dataset}-{options.model}"
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the study; return the exit code: 0, 1 (could not run) or 130 (interrupted)."""
    progress = Progress()
    return program.execute(lambda: run(parse_arguments(arguments), progress), progress)


@dataclasses.dataclass
class Progress(program.Progress):
    """How far the program is, for the message after Ctrl-C."""

    checkpoint: Path | None = None  # None for --smoke, which starts anew
    trainer: Trainer | None = None

    def kept(self) -> str:
        """Say what a later run can go on from."""
        if self.checkpoint is None or self.trainer is None or self.trainer.saved == 0:
            return "There is nothing to go on from."
        epochs = f"{self.trainer.saved} epoch{'s' if self.trainer.saved > 1 else ''}"
        return f"Kept: {self.checkpoint}, after {epochs}; the same command with --resume goes on from there."


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Train, write the files, print the results."""
    program.prepare(options)
    checkpoint = options.out / CHECKPOINT
    progress.checkpoint = None if options.smoke else checkpoint
    if checkpoint.exists() and not (options.resume or options.smoke):
        raise DataError(
            f"{checkpoint} is there from an earlier run: go on from it with --resume, remove it, or choose "
            "another --out"
        )
    images, settings, notice = load_images(options)
    options.out.mkdir(parents=True, exist_ok=True)
    trainer = progress.trainer = make_trainer(images, settings, workers=options.workers)
    progress.where = "during the training"
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    print(
        f"{program.banner(images.name, len(images.x), len(images.x_test))}\n"
        f"{settings.model}: {parameters:,} parameters; {settings.epochs} epoch(s) of "
        f"{len(trainer.loader):,} steps, batches of {settings.batch_size}, lr {settings.lr:g} "
        f"({settings.schedule}), augmentation {'on' if settings.augment else 'off'}, seed {settings.seed}\n"
        f"results into {options.out}",
        flush=True,
    )
    if options.resume:
        trainer.resume(checkpoint)
        print(f"resumed after {trainer.saved} of {settings.epochs} epochs", flush=True)
    label = f"{images.name} {settings.model}"
    if options.smoke:
        trainer.train(1, checkpoint=checkpoint, label=label)
        trainer = progress.trainer = make_trainer(images, settings, workers=options.workers)
        trainer.resume(checkpoint)
        print(f"resumed after {trainer.saved} of {settings.epochs} epochs", flush=True)
    trainer.train(settings.epochs, checkpoint=checkpoint, label=label)
    progress.where = "while the results were being written"
    write_results(options.out, images, settings, trainer, notice)
    print_results(images, settings, trainer)


def load_images(options: argparse.Namespace) -> tuple[Images, Settings, str | None]:
    """Load both parts of the data set; return them, the settings and, if another one stands in, a notice."""
    training, test, notice = program.load_dataset(options)
    names = [field.name for field in dataclasses.fields(Settings) if field.name not in ("dataset", "model")]
    given = {name: getattr(options, name) for name in names}
    settings = Settings.recipe(training.name, options.model, **given)
    return Images.of(training, test, settings), settings, notice


# ---- results


def write_results(
    out: Path, images: Images, settings: Settings, trainer: Trainer, notice: str | None
) -> None:
    """Write tables and pictures, each file complete or not at all."""
    shares = probabilities(scores(trainer.model, images.x_test, chunk=CHUNK, prepare=images.normalize))
    guesses = shares.argmax(axis=1)
    matrix = confusion_matrix(images.y_test, guesses, len(images.classes))
    wrong = confident_mistakes(shares, images.y_test, charts.ROWS * charts.COLUMNS)
    epochs = [dataclasses.asdict(epoch) for epoch in trainer.epochs]
    momentum = "Nesterov momentum" if settings.nesterov else "momentum"
    results = {
        **program.results_head("cifar10", dataclasses.asdict(settings), dataset=images.name, notice=notice),
        "optimizer": f"SGD with {momentum}, weight decay on all parameters, mean cross-entropy",
        "test_accuracy": trainer.epochs[-1].test_accuracy,
        "epochs": {name: [epoch[name] for epoch in epochs] for name in epochs[0]},
        "classes": images.classes,
        "confusion": matrix,
        "mistakes": [
            {"index": i, "class": images.y_test[i], "guess": guesses[i], "probability": shares[i].max()}
            for i in wrong
        ],
    }
    write_json(out / "results.json", results)
    head = ["dataset", "model", "epoch", "step", "lr", "loss", "accuracy", "test_accuracy"]
    write_csv(out / "history.csv", head, rows(images.name, settings.model, trainer))
    title = f"{images.name}, {settings.model}, seed {settings.seed}"
    result = f"{title}: test accuracy {trainer.epochs[-1].test_accuracy:.4f}"
    pictures = {
        "curves": lambda figure: charts.curves(
            figure,
            trainer.losses,
            [epoch.accuracy for epoch in trainer.epochs],
            [epoch.test_accuracy for epoch in trainer.epochs],
            title=title,
        ),
        "confusion": lambda figure: charts.confusion(figure, matrix, images.classes, title=result),
        "mistakes": lambda figure: charts.mistakes(
            figure,
            images.x_test[wrong],
            images.y_test[wrong].tolist(),
            guesses[wrong].tolist(),
            shares[wrong].max(axis=1).tolist(),
            images.classes,
            title=f"{title}: is (black), was taken for (red), with what probability",
        ),
    }
    for name, draw in pictures.items():
        width, height = charts.SIZES[name]
        program.write_figure(out / f"{name}.png", draw, width=width, height=height)


def rows(dataset: str, model: str, trainer: Trainer) -> list[list[object]]:
    """Return a row per step; the last one of an epoch has the accuracies."""
    per_epoch = len(trainer.loader)
    table: list[list[object]] = []
    for step, (rate, loss) in enumerate(zip(trainer.rates, trainer.losses, strict=True), 1):
        number = -(-step // per_epoch)
        epoch = trainer.epochs[number - 1]
        last = step % per_epoch == 0
        shares = [epoch.accuracy, epoch.test_accuracy] if last else [None, None]
        table.append([dataset, model, number, step, rate, loss, *shares])
    return table


def print_results(images: Images, settings: Settings, trainer: Trainer) -> None:
    """Print the final table."""
    epochs = trainer.epochs
    seconds = sum(epoch.seconds for epoch in epochs)
    waiting = sum(epoch.waiting for epoch in epochs)
    seen = len(epochs) * len(images.x)
    best = max(range(len(epochs)), key=lambda i: epochs[i].test_accuracy)
    lines = [
        ("training loss, last epoch", f"{epochs[-1].loss:.4f}"),
        ("training accuracy, last epoch", f"{epochs[-1].accuracy:.4f}"),
        ("test accuracy", f"{epochs[-1].test_accuracy:.4f}"),
        (f"test accuracy, best epoch ({best + 1})", f"{epochs[best].test_accuracy:.4f}"),
        ("time for training", f"{seconds:,.1f} s"),
        ("time for testing", f"{sum(epoch.testing for epoch in epochs):,.1f} s"),
        ("images per second", f"{seen / seconds:,.0f}"),
        ("waiting for data", f"{waiting / seconds:.2%}"),
    ]
    print(f"\n{settings.model} on {images.name}, {len(epochs)} epoch(s), seed {settings.seed}:\n")
    print(table(("measured", "value"), lines, right=(1,)))


if __name__ == "__main__":
    sys.exit(main())
