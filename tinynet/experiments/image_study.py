"""Training a network on a data set of small images: the recipe of ``examples/cifar10.py``.

Shuffled batches of 128, the last one smaller; images padded by 4 black pixels, cropped at random, flipped
with probability one half, normalised; SGD with momentum 0.9 and weight decay 5e-4 on all parameters; the mean
cross-entropy; the learning rate after t of T steps

    cosine      lr / 2 (1 + cos(pi t / T))
    step        lr, a tenth of it from T / 2 on, a hundredth from 3 T / 4 on
    one-cycle   from lr / 25 up to lr at 0.3 T, on half a cosine, then on another one down to zero
    constant    lr

One cycle is the shape of Smith & Topin, "Super-Convergence", 2017: a long rise lets the network bear a peak
at which it could not begin.  (`OneCycleLR` by default moves momentum as well, which these runs do not.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet._check import choice
from tinynet.data import Augment, DataLoader, ImageDataset, Normalize, TensorDataset
from tinynet.errors import ArgumentError
from tinynet.experiments.measure import evaluate
from tinynet.experiments.trainer import Trainer
from tinynet.models import bn_inception_small, lenet, mnist_mlp, resnet
from tinynet.nn import CrossEntropyLoss, Flatten, Module, Sequential
from tinynet.optim import SGD
from tinynet.optim.lr_scheduler import LambdaLR
from tinynet.random import manual_seed

CHUNK = 500  # test images per forward pass
RISE, BEGINNING = (
    0.3,
    1 / 25,
)  # of one cycle: share of the steps until the peak, share of the peak at the start
PADDING = 4  # black pixels around an image before it is cropped at random
AUGMENTED = ("cifar-10", "fashion-mnist")  # by default, and with flips: digits must not be mirrored


@dataclass(frozen=True)
class Network:
    """A network that the study knows.

    Attributes
    ----------
    build : callable
        ``build(channels, side, classes)`` gives the network for square images of that many channels and
        pixels.
    side : int or None
        The pixels that it needs; None if any will do.
    lr : float
        The learning rate that it is trained with by default.
    """

    build: Callable[[int, int, int], Module]
    side: int | None = 32
    lr: float = 0.1


def _mlp(channels: int, side: int, classes: int) -> Module:
    return Sequential(Flatten(), mnist_mlp(in_features=channels * side * side, num_classes=classes))


def _resnet(depth: int) -> Network:
    return Network(lambda channels, side, classes: resnet(depth, classes, channels))


NETWORKS: Mapping[str, Network] = {
    "bn_inception_small": Network(lambda channels, side, classes: bn_inception_small(classes, channels)),
    **{f"resnet{depth}": _resnet(depth) for depth in (20, 32, 44, 56, 110)},
    "lenet": Network(lambda channels, side, classes: lenet(classes, channels), side=28, lr=0.01),
    "mnist_mlp": Network(_mlp, side=None),
}
"""The networks by their names."""


def _one_cycle(done: float) -> float:
    if done < RISE:
        return 1 - (1 - BEGINNING) * 0.5 * (1 + math.cos(math.pi * done / RISE))
    return 0.5 * (1 + math.cos(math.pi * (done - RISE) / (1 - RISE)))


SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "step": lambda done: 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01,
    "one-cycle": _one_cycle,
    "constant": lambda done: 1.0,
}
"""Factors of the learning rate by the share of the steps that are done."""


@dataclass(frozen=True)
class Settings:
    """What a run is made with; two runs with equal settings give the same bits.

    Attributes
    ----------
    dataset : str
        The name of the data set that is there.
    model : str
        One of `NETWORKS`.
    epochs : int
        Passes over the training images.
    batch_size : int
        Images per update.
    lr : float
        Learning rate at the beginning, or at the peak of one cycle.
    momentum, weight_decay : float
        Of SGD.
    nesterov : bool
        Whether momentum is Nesterov's.
    schedule : str
        One of `SCHEDULES`.
    augment : bool
        Whether training images are cropped at random and, where there is sense in it, flipped.
    seed : int
        Of initial weights, order, augmentation and dropout.
    limit : int or None
        Take that many images of each part only, the first ones.
    """

    dataset: str = "cifar-10"
    model: str = "bn_inception_small"
    epochs: int = 30
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = False
    schedule: str = "cosine"
    augment: bool = True
    seed: int = 0
    limit: int | None = None

    def __post_init__(self) -> None:
        choice("Settings", "model", self.model, tuple(NETWORKS))
        choice("Settings", "schedule", self.schedule, tuple(SCHEDULES))

    @classmethod
    def recipe(cls, dataset: str, model: str, **changes: Any) -> Settings:
        """Return the usual settings for a data set and a network, with changes (those not None)."""
        network = NETWORKS[choice("Settings", "model", model, tuple(NETWORKS))]
        usual = {"lr": network.lr, "augment": dataset in AUGMENTED}
        given = {name: value for name, value in changes.items() if value is not None}
        return cls(dataset, model, **(usual | given))


@dataclass(frozen=True)
class Images:
    """A data set in the size that a network takes.

    Attributes
    ----------
    name : str
        Of the data set.
    classes : tuple of str
        The names of the classes.
    mean, std : float or sequence of float
        Of the pixels, scaled to [0, 1], per channel.
    x, x_test : numpy.ndarray of shape (N, C, S, S), uint8
        Training and test images, as they are, with a black frame, or without their rim.
    y, y_test : numpy.ndarray of shape (N,), int64
        The classes.
    """

    name: str
    classes: tuple[str, ...]
    mean: Any
    std: Any
    x: npt.NDArray[np.uint8]
    y: npt.NDArray[np.int64]
    x_test: npt.NDArray[np.uint8]
    y_test: npt.NDArray[np.int64]

    @classmethod
    def of(cls, training: ImageDataset, test: ImageDataset, settings: Settings) -> Images:
        """Bring both parts of a data set into the form that the settings ask for."""
        side = NETWORKS[settings.model].side
        kept = slice(settings.limit)
        return cls(
            training.name,
            training.classes,
            training.mean,
            training.std,
            square(training.images[kept], side),
            training.labels[kept],
            square(test.images[kept], side),
            test.labels[kept],
        )

    @property
    def normalize(self) -> Normalize:
        """What makes a network's input of test images."""
        return Normalize(self.mean, self.std)

    def loader(self, settings: Settings, workers: int = 0) -> DataLoader:
        """Return the loader of the training batches: x (B, C, S, S) float32, y (B,) int64."""
        flip = 0.5 if self.name in AUGMENTED else 0.0
        return DataLoader(
            TensorDataset(self.x, self.y),
            settings.batch_size,
            shuffle=True,
            seed=settings.seed,
            num_workers=workers,
            transform=Augment(PADDING, flip, self.mean, self.std) if settings.augment else self.normalize,
        )


def square(images: npt.NDArray[np.uint8], side: int | None) -> npt.NDArray[np.uint8]:
    """Return images (N, S, S) or (N, C, S, S) as (N, C, side, side): with a black frame, or their middle."""
    if images.ndim == 3:
        images = images[:, None]  # (N, 1, S, S)
    margin = 0 if side is None else side - images.shape[-1]
    before, after = margin // 2, margin - margin // 2
    if margin > 0:
        return np.pad(images, ((0, 0), (0, 0), (before, after), (before, after)))
    cut = slice(-before, images.shape[-1] + after)
    return np.ascontiguousarray(images[:, :, cut, cut])


def make_trainer(images: Images, settings: Settings, *, workers: int = 0) -> Trainer:
    """Make network, optimiser, schedule and loader of a run.

    Parameters
    ----------
    images : Images
        The data.
    settings : Settings
        See there.
    workers : int, default 0
        Threads that make batches ahead.

    Returns
    -------
    Trainer
        Whose settings are those of the run.

    Raises
    ------
    ArgumentError
        If the settings are for another data set.

    Notes
    -----
    The default generator starts anew from the seed: it gives the initial weights, and the network's dropout
    draws from it.
    """
    if images.name != settings.dataset:
        raise ArgumentError(
            f"make_trainer: images must be of the data set {settings.dataset!r} of the settings; "
            f"got {images.name!r}"
        )
    manual_seed(settings.seed)
    channels, side = images.x.shape[1], images.x.shape[2]
    model = NETWORKS[settings.model].build(channels, side, len(images.classes))
    loader = images.loader(settings, workers)
    optimizer = SGD(
        model.parameters(),
        settings.lr,
        settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.nesterov,
    )
    factor, steps = SCHEDULES[settings.schedule], settings.epochs * len(loader)
    scheduler = LambdaLR(optimizer, lambda step: factor(step / steps))

    return Trainer(
        model,
        optimizer,
        CrossEntropyLoss(),
        loader,
        lambda: evaluate(model, images.x_test, images.y_test, chunk=CHUNK, prepare=images.normalize),
        scheduler=scheduler,
        settings=asdict(settings),
    )
