"""The runs of the study of Davis and Frank (2021): scales of batch normalisation that start below 1.

A small residual network with batch normalisation behind every convolution is trained on small images as the
paper's authors do it, in ways that differ in the scales' first value k, in the divisor c of their learning
rate, and in nothing else; beside these, once with a normalisation of the input that learns its statistics,
and once with scales of 1 and the input of the classifier times 0.1, which is what scales of 0.1 do to the
logits.  Every run is made with two lengths.

Recipe: SGD with momentum 0.9, learning rate 0.1 that falls along a cosine to 0, one step of it per update; L2
weight 1e-4 on weights of convolutions and of the classifier alone; batches of 128, mirrored at random, not
cropped; convolutions drawn from N(0, 2 / fan_in), the classifier from U(-b, b) with b = 1 / sqrt(fan_in), all
biases 0.  Trained on nine tenths of the training images (the others are left out, as they are in the authors'
code; nothing is chosen by them), measured on the test images at the end.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import bn
from tinynet._tensor import Tensor, tensor
from tinynet.errors import ArgumentError
from tinynet.experiments.images import Images
from tinynet.experiments.measure import evaluate
from tinynet.experiments.runs import Runs, Setting
from tinynet.experiments.training import train
from tinynet.models import resnet
from tinynet.models.weights import draw_weights_
from tinynet.nn import CrossEntropyLoss, InputNorm2d, Linear, Module, Sequential, init
from tinynet.nn.normalization import _BatchNorm
from tinynet.optim import SGD
from tinynet.optim.lr_scheduler import LambdaLR
from tinynet.random import manual_seed

FloatArray = npt.NDArray[np.float64]

LARGE = 3.0  # standard deviations beyond which a normalised value is overly large
BATCHES = 4  # in which such values are counted: 8 million values behind the first normalisation
CHUNK = 100  # images per forward pass of a test: what they leave in the caches is read again there


@dataclass(frozen=True)
class Variant:
    """One way to train the network.

    Attributes
    ----------
    name, title : str
        In files, and for people.
    scale : float
        k, the first value of every scale.
    divisor : float
        c, what the learning rate of the scales is divided by.
    factor : float
        What the input of the classifier is multiplied with.
    online : bool
        Whether an `InputNorm2d` normalises the images, in place of the data set's mean and deviation.
    """

    name: str
    title: str
    scale: float = 1.0
    divisor: float = 1.0
    factor: float = 1.0
    online: bool = False


STANDARD = Variant("standard", "standard: scale 1")
PROPOSAL = Variant("scale01-c100", "scale 0.1, c = 100", 0.1, 100.0)
ONLINE = Variant("online", "standard, online input norm.", online=True)
VARIANTS = (
    STANDARD,
    PROPOSAL,
    Variant("scale01", "scale 0.1", 0.1),
    Variant("scale05-c100", "scale 0.5, c = 100", 0.5, 100.0),
    Variant("logits01", "scale 1, logits x 0.1", factor=0.1),
)
"""The comparison; `ONLINE` stands beside it, with `STANDARD` as its partner."""


@dataclass(frozen=True)
class Settings:
    """What a study is made with.

    Attributes
    ----------
    depth : int
        Of `tinynet.models.resnet`.
    short, long : int
        Steps of the two lengths.
    batch_size : int
        Images per update.
    lr, momentum, weight_decay : float
        Of SGD.
    limit : int or None
        Take that many images of each part only, the first ones.
    """

    depth: int = 8
    short: int = 400
    long: int = 1000
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    limit: int | None = None


SMOKE = Settings(short=8, long=20, batch_size=32, limit=640)
"""A trial of seconds, which shows that everything runs and nothing else."""


@dataclass(frozen=True)
class Result:
    """What came out of one run.

    Attributes
    ----------
    accuracy : float
        On the test images at the end, in [0, 1].
    losses : numpy.ndarray of shape (T,), float64
        Of every step.
    state : dict of str to numpy.ndarray
        The trained network's `state_dict`.
    seconds : float
        That training and test took.
    """

    accuracy: float
    losses: FloatArray
    state: dict[str, npt.NDArray[Any]]
    seconds: float


@dataclass(frozen=True)
class Drift:
    """Where the scales and shifts of a network are, and what they multiply.

    Attributes
    ----------
    layers : dict of str to ScaleDrift
        Per batch normalisation, the distance of its scales from where they began, and of its shifts from 0.
    channels : dict of str to int
        Their numbers of channels.
    large : dict of str to float
        The share of values beyond 3 standard deviations behind the normalisation, before scale and shift.
    """

    layers: dict[str, bn.ScaleDrift]
    channels: dict[str, int]
    large: dict[str, float]

    @property
    def scale(self) -> float:
        """The mean distance of the scales of all channels."""
        return self._mean([layer.gamma_mean for layer in self.layers.values()])

    @property
    def shift(self) -> float:
        """The mean distance of the shifts of all channels."""
        return self._mean([layer.beta_mean or 0.0 for layer in self.layers.values()])

    def _mean(self, of_layers: list[float]) -> float:
        return float(np.average(of_layers, weights=list(self.channels.values())))


class Scaled(Module):
    """Its input times a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, input: Tensor) -> Tensor:
        """Multiply; any shape."""
        return input * self.factor

    def extra_repr(self) -> str:
        return f"{self.factor:g}"


def set_scales(model: Module, scale: float) -> None:
    """Let every batch normalisation of `model` but that of the input start anew, with scales of `scale`."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not isinstance(module, InputNorm2d):
            module.scale_init = scale
            module.reset_parameters()


def network(
    variant: Variant, depth: int, classes: int, channels: int, seed: int, dtype: Any = None
) -> Module:
    """Build the network of a variant; those of one seed have the same weights."""
    manual_seed(seed)
    model = draw_weights_(resnet(depth, classes, channels, dtype=dtype), None, he="fan_in")
    for module in model.modules():
        if isinstance(module, Linear) and module.bias is not None:
            init.zeros_(module.bias)
    set_scales(model, variant.scale)
    layers: dict[str, Module] = dict(model.named_children())
    if variant.factor != 1:
        output = layers.pop("output")
        layers |= {"factor": Scaled(variant.factor), "output": output}
    if variant.online:
        layers = {"input": InputNorm2d(channels, dtype=dtype), **layers}
    return Sequential(layers)


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
        if len(images.training.x) < settings.batch_size:
            raise ArgumentError(
                f"Study: images must hold at least {settings.batch_size} training images (a batch); "
                f"got {len(images.training.x)}"
            )

    def plans(self) -> list[tuple[Variant, int]]:
        """Variants and lengths of the runs of a seed, those first on which the claims stand."""
        lengths = (self.settings.short, self.settings.long)
        both = [(variant, steps) for variant in VARIANTS[:2] for steps in lengths]
        both.append((ONLINE, self.settings.long))
        return both + [(variant, steps) for variant in VARIANTS[2:] for steps in lengths]

    def run(self, variant: Variant, steps: int, seed: int) -> Result:
        """Train a variant for so many steps, or read the run that was made before."""
        settings: dict[str, Setting] = {"dataset": self.images.name, "steps": steps, "seed": seed}
        settings |= {name: value for name, value in asdict(variant).items() if name not in ("name", "title")}
        settings |= {
            name: value for name, value in asdict(self.settings).items() if name not in ("short", "long")
        }
        name = f"{variant.name}-{steps}-seed{seed}"
        tree = self.runs.get(name, settings, lambda _checkpoint: self._train(name, variant, steps, seed))
        return Result(**tree)

    def model(self, variant: Variant, seed: int) -> Module:
        """Build the network of a variant as it is before training."""
        channels = self.images.training.x.shape[1]
        return network(variant, self.settings.depth, self.images.classes, channels, seed)

    def drift(self, variant: Variant, steps: int | None, seed: int) -> Drift:
        """Measure the scales of a trained network, or, without `steps`, of one that is not trained.

        The share of large values is that of the first batches of its training, normalised each for itself.
        """
        model = self.model(variant, seed)
        if steps is not None:
            state = self.run(variant, steps, seed).state
            model.load_state_dict({name: tensor(value) for name, value in state.items()})
        norms = {name: module for name, module in model.named_modules() if isinstance(module, _BatchNorm)}
        loader = self.seen(variant).loader(self.settings.batch_size, seed)
        return Drift(
            bn.scale_drift(model),  # from where each layer began
            {name: norm.num_features for name, norm in norms.items()},
            bn.large_value_share(model.train(), islice(loader, BATCHES), LARGE),
        )

    def seen(self, variant: Variant) -> Images:
        """The data as a variant's network gets it: normalised, or the pixels as they are, in [0, 1]."""
        return replace(self.images, mean=0.0, std=1.0) if variant.online else self.images

    def _train(self, name: str, variant: Variant, steps: int, seed: int) -> dict[str, Any]:
        settings, images = self.settings, self.seen(variant)
        model = self.model(variant, seed)
        groups = bn.parameter_groups(
            model, variant.divisor, lr=settings.lr, weight_decay=settings.weight_decay
        )
        optimizer = SGD(groups, momentum=settings.momentum)
        scheduler = LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
        optimizer.register_step_post_hook(lambda *_: scheduler.step())
        criterion, losses = CrossEntropyLoss(), list[float]()

        def loss(scores: Tensor, y: Tensor) -> Tensor:
            value: Tensor = criterion(scores, y)
            losses.append(value.item())
            return value

        begin = time.perf_counter()
        # The same images in the same order for all variants.
        loader = images.loader(settings.batch_size, seed)
        train(model, optimizer, loss, loader, steps, label=f"{images.name} {name}")
        accuracy = evaluate(model, images.test.x, images.test.y, chunk=CHUNK, prepare=images.normalize)
        return {
            "accuracy": accuracy,
            "losses": np.array(losses),
            "state": {key: value.numpy() for key, value in model.state_dict().items()},
            "seconds": time.perf_counter() - begin,
        }
