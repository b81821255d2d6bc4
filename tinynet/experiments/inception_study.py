"""The runs of the Inception study: the grid, the variants, the ensemble, the largest stable rates.

What is trained, and how, stands in `tinynet.experiments.inception_variants`; what follows from the runs in
`tinynet.experiments.inception_claims`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import bn
from tinynet.bn.stability import RateTrial, StableRate
from tinynet.errors import ArgumentError
from tinynet.experiments.classification import probabilities, scores
from tinynet.experiments.images import Images, Part
from tinynet.experiments.inception_variants import BY_NAME, CHUNK, REVISED, Settings, Variant
from tinynet.experiments.measure import evaluate
from tinynet.experiments.runs import Runs
from tinynet.experiments.trainer import Trainer
from tinynet.experiments.training import endless
from tinynet.models import bn_inception_tiny
from tinynet.nn import CrossEntropyLoss, Module
from tinynet.optim import SGD
from tinynet.optim.lr_scheduler import LambdaLR
from tinynet.random import manual_seed

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Result:
    """What came out of one run.

    Attributes
    ----------
    curve : list of (int, float)
        Steps made and the accuracy then, in [0, 1].
    losses : numpy.ndarray of shape (T,), float64
        Of every step.
    diverged : int or None
        The step whose loss was no finite number, with which the run ended.
    probabilities : numpy.ndarray of shape (N, K), float64
        Of the test images' classes at the end; of a network that diverged, they may be nan.
    seconds : float
        That the finished epochs took, measuring included.
    """

    curve: list[tuple[int, float]]
    losses: FloatArray
    diverged: int | None
    probabilities: FloatArray
    seconds: float

    @property
    def steps(self) -> list[int]:
        """When the accuracy was measured."""
        return [step for step, _ in self.curve]

    @property
    def accuracy(self) -> list[float]:
        """What was measured."""
        return [accuracy for _, accuracy in self.curve]

    @property
    def best(self) -> float:
        """The largest accuracy; 0 if a run diverged before there was one."""
        return max(self.accuracy, default=0.0)


@dataclass(frozen=True)
class Plan:
    """One run: all that its result depends on, beside `Settings` and the data."""

    variant: Variant
    rate: float
    seed: int
    epochs: int
    whole: int  # epochs in which the rate falls as `Settings.decay` says
    part: str = "test"  # what it is measured on
    every: int | None = None  # steps between measurements within an epoch

    def settings(self) -> dict[str, Any]:
        """As `Runs` and `Trainer` keep them; names and titles do not matter."""
        plan: dict[str, Any] = asdict(self)
        variant = plan.pop("variant")
        plan.update(variant["recipe"], batch_norm=variant["batch_norm"], activation=variant["activation"])
        return plan


class Study:
    """All runs of a study, made or read when they are asked for.

    Parameters
    ----------
    images : Images
        The data.
    settings : Settings
        See there.
    runs : Runs
        Where they are kept.

    Raises
    ------
    ArgumentError
        If there are fewer training images than make a batch.
    """

    def __init__(self, images: Images, settings: Settings, runs: Runs) -> None:
        self.images, self.settings, self.runs = images, settings, runs
        self.steps_per_epoch = len(images.training.x) // settings.batch_size
        """Steps in an epoch."""
        if self.steps_per_epoch == 0:
            raise ArgumentError(
                f"Study: images must hold at least {settings.batch_size} training images (a batch); "
                f"got {len(images.training.x)}"
            )
        common = ("batch_size", "momentum", "decay", "limit")
        self._common = {"dataset": images.name} | {name: getattr(settings, name) for name in common}

    def grid(self, seed: int) -> dict[float, Result]:
        """Train the original at every rate of the grid, shortened, measured on the validation part."""
        return {rate: self.grid_run(rate, seed) for rate in self.settings.rates}

    def grid_run(self, rate: float, seed: int) -> Result:
        """Train the original at one rate of the grid."""
        epochs = self._epochs(self.settings.grid_length)
        plan = Plan(BY_NAME["inception"], rate, seed, epochs, whole=epochs, part="validation")
        return self._run(f"grid-{rate:g}-seed{seed}", plan)

    def variant(self, variant: Variant, base: float, seed: int) -> Result:
        """Train a variant, measured on the test part."""
        plan = Plan(
            variant,
            base * variant.factor,
            seed,
            self._epochs(variant.length),
            whole=self.settings.epochs,
            every=max(1, self.steps_per_epoch // self.settings.per_epoch),
        )
        return self._run(f"{variant.name}-seed{seed}", plan)

    def members(self, seed: int) -> list[tuple[Variant, int]]:
        """The networks of the ensemble: BN-x30 with different dropout, each with a seed of its own.

        Those without dropout are the table's.
        """
        found = []
        for own, dropout in enumerate(self.settings.dropouts, seed):
            variant = BY_NAME["bn-x30"]
            if dropout:
                recipe = replace(variant.recipe, dropout=dropout)
                variant = replace(variant, name=f"{variant.name}-dropout{dropout:g}", recipe=recipe)
            found.append((variant, own))
        return found

    def ensemble(self, base: float, seed: int) -> dict[str, Result]:
        """Train the networks of the ensemble; the names are those of the runs."""
        return {f"{v.name}-seed{own}": self.variant(v, base, own) for v, own in self.members(seed)}

    def stable_rate(self, batch_norm: bool, learns: bool, seed: int) -> StableRate:
        """Find the largest rate at which the network, with batch normalisation or without, does not diverge.

        With `learns`, the largest at which its loss also ends below that of guessing.  The two networks
        differ by the normalisation alone: no dropout, no response normalisation.  They take
        `Settings.stable_steps` steps with momentum on the first batches of the revised recipe.
        """
        steps = self.settings.stable_steps
        settings = self._common | {"steps": steps, "batch_norm": batch_norm, "learns": learns, "seed": seed}

        def work(_checkpoint: Path) -> dict[str, Any]:
            loader = REVISED.loader(self.images, self.settings.batch_size, seed)
            found = bn.largest_stable_rate(
                lambda: self._model(Variant("", "", batch_norm, recipe=REVISED), seed),
                CrossEntropyLoss(),
                islice(endless(loader), steps),
                momentum=self.settings.momentum,
                learns=learns,
                flat=math.log(self.images.classes),
            )
            return asdict(found)

        name = f"rate-{'learns' if learns else 'holds'}-{'bn' if batch_norm else 'no-bn'}-seed{seed}"
        tree = self.runs.get(name, settings, work)
        return StableRate(tree["rate"], tree["unstable"], tuple(RateTrial(**t) for t in tree["trials"]))

    def _epochs(self, length: float) -> int:
        return max(1, math.ceil(self.settings.epochs * length))

    def _run(self, name: str, plan: Plan) -> Result:
        settings = self._common | plan.settings()

        def work(checkpoint: Path) -> dict[str, Any]:
            trainer = self._trainer(plan, settings)
            diverged = trainer.finish(plan.epochs, checkpoint, f"{self.images.name} {name}")
            return {
                "curve": trainer.curve,
                "losses": np.array(trainer.losses),
                "diverged": diverged,
                "probabilities": probabilities(
                    scores(trainer.model, self.images.test.x, chunk=CHUNK, prepare=self.images.normalize)
                ),
                "seconds": sum(epoch.seconds + epoch.testing for epoch in trainer.epochs),
            }

        return Result(**self.runs.get(name, settings, work))

    def _model(self, variant: Variant, seed: int) -> Module:
        """The network of a variant; the default generator starts anew: weights, and dropout after them."""
        manual_seed(seed)
        return bn_inception_tiny(
            self.images.classes,
            self.images.training.x.shape[1],
            variant.batch_norm,
            variant.activation,
            variant.recipe.lrn,
            variant.recipe.dropout,
        )

    def _trainer(self, plan: Plan, settings: dict[str, Any]) -> Trainer:
        images, recipe = self.images, plan.variant.recipe
        model = self._model(plan.variant, plan.seed)
        loader = recipe.loader(images, self.settings.batch_size, plan.seed)
        optimizer = SGD(
            model.parameters(), plan.rate, self.settings.momentum, weight_decay=recipe.weight_decay
        )
        fall, steps = self.settings.decay**recipe.speed, plan.whole * len(loader)
        part: Part = getattr(images, plan.part)
        return Trainer(
            model,
            optimizer,
            CrossEntropyLoss(),
            loader,
            lambda: evaluate(model, part.x, part.y, chunk=CHUNK, prepare=images.normalize),
            scheduler=LambdaLR(optimizer, lambda step: fall ** (step / steps)),
            settings=settings,
            every=plan.every,
        )


def best_rate(grid: Mapping[float, Result]) -> float:
    """Return the rate with the best accuracy at the end, the smallest of equal ones; none that diverged.

    Raises
    ------
    ArgumentError
        If all diverged.
    """
    left = [rate for rate in sorted(grid) if grid[rate].diverged is None]
    if not left:
        raise ArgumentError(
            "best_rate: grid must hold a rate at which the network does not diverge; "
            f"got {', '.join(f'{rate:g}' for rate in sorted(grid))}, and it diverged at all of them"
        )
    return max(left, key=lambda rate: grid[rate].accuracy[-1])
