"""What the tests of the Inception study share: toy images, a study of them, and what it was seen to do.

Image i of a data set is grey all over, at a level of its own, so that whatever a network is shown can be
traced to the image that it came from, cropped and mirrored as it may be.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.data import ImageDataset
from tinynet.experiments import Runs, Trainer, inception_study
from tinynet.experiments.images import Images
from tinynet.experiments.inception_study import Result, Study
from tinynet.experiments.inception_variants import Settings

MEAN, STD = 0.5, 0.25
TRAINING, TEST = 60, 20  # images, at the levels from 1 and from 101
SETTINGS = Settings(
    epochs=4, batch_size=9, rates=(0.01, 0.02), per_epoch=2, dropouts=(0.0, 0.1, 0.0), stable_steps=3
)
PER_EPOCH = 6  # steps: 54 images are trained on


def dataset(count: int, first: int, name: str = "toy", size: int = 8) -> ImageDataset:
    """Grey images at the levels `first`, `first` + 1, ...; the class is the level's remainder by 3."""
    levels = np.arange(first, first + count)
    images = np.broadcast_to(levels[:, None, None], (count, size, size)).astype(np.uint8)
    return ImageDataset(images, levels % 3, name=name, classes=("a", "b", "c"), mean=(MEAN,), std=(STD,))


def toy(name: str = "toy", test: int = 101) -> Images:
    return Images.of(dataset(TRAINING, 1, name), dataset(TEST, test, name))


def levels(x: np.ndarray) -> np.ndarray:
    """The levels of a network's input (B, 1, S, S); the frame around an image is black."""
    return np.rint((x.max(axis=(1, 2, 3)) * STD + MEAN) * 255).astype(int)


class Seen:
    """What the study makes: trainers, their first weights, and what goes into its networks."""

    def __init__(self) -> None:
        self.trainers: list[Trainer] = []
        self.models: list[nn.Module] = []
        self.first: list[dict[str, np.ndarray]] = []  # weights of the models
        self.trained: list[np.ndarray] = []  # levels that went into networks in training mode
        self.tested: list[np.ndarray] = []


def assert_same(first: Result, second: Result) -> None:
    """All but the clock's seconds, bit by bit."""
    assert first.curve == second.curve
    assert first.diverged == second.diverged
    for a, b in ((first.losses, second.losses), (first.probabilities, second.probabilities)):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


class OnToyImages:
    """The fixtures, for classes of tests to inherit."""

    @pytest.fixture
    def study(self, tmp_path: Path) -> Study:
        return Study(toy(), SETTINGS, Runs(tmp_path / "runs"))

    @pytest.fixture
    def seen(self, monkeypatch: pytest.MonkeyPatch) -> Seen:
        spy = Seen()
        build = inception_study.bn_inception_tiny

        class Watched(Trainer):
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **options)
                spy.trainers.append(self)

        def watch(model: nn.Module, arguments: tuple[tn.Tensor, ...]) -> None:
            (spy.trained if model.training else spy.tested).append(levels(arguments[0].numpy()))

        def built(*arguments: Any) -> nn.Module:
            model = build(*arguments)
            model.register_forward_pre_hook(watch)
            spy.models.append(model)
            spy.first.append({name: value.numpy().copy() for name, value in model.state_dict().items()})
            return model

        monkeypatch.setattr(inception_study, "Trainer", Watched)
        monkeypatch.setattr(inception_study, "bn_inception_tiny", built)
        return spy

    @pytest.fixture
    def at_loss(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Any], list[int]]:
        """Let something happen in place of the n-th loss (from 1); the list counts the losses."""
        usual = nn.CrossEntropyLoss

        def arrange(number: int, event: Any) -> list[int]:
            count = [0]

            class Loss(usual):
                def forward(self, scores: tn.Tensor, y: tn.Tensor) -> tn.Tensor:
                    count[0] += 1
                    if count[0] != number:
                        return super().forward(scores, y)
                    if isinstance(event, float):
                        return super().forward(scores, y) * event
                    raise event

            monkeypatch.setattr(inception_study, "CrossEntropyLoss", Loss)
            return count

        return arrange
