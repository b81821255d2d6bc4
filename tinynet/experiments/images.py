"""A data set for the studies: images to train on, some that are held out, and images to test with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data import Augment, DataLoader, ImageDataset, Normalize, TensorDataset
from tinynet.experiments.image_study import AUGMENTED, square

SPLIT_SEED = 4242  # chooses the images of the validation part; the same ones for every seed


@dataclass(frozen=True)
class Part:
    """Images with their classes: x (N, C, S, S) uint8, y (N,) int64."""

    x: npt.NDArray[np.uint8]
    y: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Images:
    """A data set in three parts.

    Attributes
    ----------
    name : str
        Of the data set.
    classes : int
        K.
    mean, std : float or sequence of float
        Of the pixels, scaled to [0, 1], per channel.
    training, validation, test : Part
        Nine tenths of the training images, drawn once for all, the others, and the test images.
    """

    name: str
    classes: int
    mean: Any
    std: Any
    training: Part
    validation: Part
    test: Part

    @classmethod
    def of(cls, training: ImageDataset, test: ImageDataset, limit: int | None = None) -> Images:
        """Divide a data set; with `limit`, of so many training and so many test images."""
        x, y = square(training.images[:limit], None), training.labels[:limit]
        order = np.random.default_rng(SPLIT_SEED).permutation(len(x))
        held, kept = order[: len(x) // 10], order[len(x) // 10 :]
        return cls(
            training.name,
            len(training.classes),
            training.mean,
            training.std,
            Part(x[kept], y[kept]),
            Part(x[held], y[held]),
            Part(square(test.images[:limit], None), test.labels[:limit]),
        )

    @property
    def normalize(self) -> Normalize:
        """What makes a network's input of images as they are."""
        return Normalize(self.mean, self.std)

    def loader(self, batch_size: int, seed: int, *, padding: int = 0, reshuffle: bool = True) -> DataLoader:
        """Return training batches: x (B, C, S, S) float32, y (B,) int64, whole batches only.

        Images are cropped at random from a frame of `padding` black pixels around them, and, those of digits
        apart, half of them mirrored.  Without reshuffling the order is drawn once, and the same images always
        meet in a batch.
        """
        x, y = self.training.x, self.training.y
        if not reshuffle:
            order = np.random.default_rng(seed).permutation(len(x))
            x, y = x[order], y[order]
        flip = 0.5 if self.name in AUGMENTED else 0.0  # digits must not be mirrored
        return DataLoader(
            TensorDataset(x, y),
            batch_size,
            shuffle=reshuffle,
            drop_last=True,
            seed=seed,
            transform=Augment(padding, flip, self.mean, self.std),
        )
