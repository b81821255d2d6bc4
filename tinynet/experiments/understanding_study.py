"""The runs of the study of Bjorck et al. (2018), each made once and kept."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tinynet import bn
from tinynet._tensor import Tensor, from_numpy
from tinynet.bn.stability import RateTrial
from tinynet.creation import randn
from tinynet.errors import ArgumentError
from tinynet.experiments.image_study import SCHEDULES
from tinynet.experiments.images import Images, Part
from tinynet.experiments.measure import evaluate
from tinynet.experiments.runs import Runs, Setting
from tinynet.experiments.trainer import Trainer
from tinynet.experiments.training import endless
from tinynet.experiments.understanding_results import (
    Divergence,
    Initial,
    Noise,
    Products,
    Rates,
    Training,
)
from tinynet.experiments.understanding_settings import FACTORS, Settings, block_outputs, convolution, network
from tinynet.nn import AvgPool2d, CrossEntropyLoss, Flatten, Linear, Module, ReLU, Sequential
from tinynet.optim import SGD
from tinynet.optim.lr_scheduler import LambdaLR
from tinynet.random import Generator, manual_seed

CHUNK = 100  # images per forward pass of a test
FRAME = 4  # black pixels around the images that the networks are trained on
NOISE_STREAM, PRODUCT_STREAM = 101, 102  # added to a seed: other draws than the weights'
NOISE_RATE = 0.1  # learning rate whose noise is compared with that of twice the rate
OVERSHOOT = 10.0  # a loss so many times the first one, and above 1,000, means divergence

Batch = tuple[Tensor, Tensor]


class Study:
    """All runs of a study, made or read when they are asked for.

    Parameters
    ----------
    images : Images
        The data: square images of at least 8 x 8 pixels.
    settings : Settings
        See there.
    runs : Runs
        Where they are kept.

    Raises
    ------
    ArgumentError
        If there are too few images.
    """

    def __init__(self, images: Images, settings: Settings, runs: Runs) -> None:
        self.images, self.settings, self.runs = images, settings, runs
        self.few = replace(
            images,
            training=_first(images.training, settings.training_images),
            test=_first(images.test, settings.test_images),
        )
        """The images that the smaller network is trained on and tested with."""
        needed = max(settings.batch_size * max(settings.looks), settings.rate_batch * settings.rate_steps)
        needed = max(needed, settings.noise_images, settings.training_images)
        if len(images.training.x) < needed:
            raise ArgumentError(
                f"Study: images must hold at least {needed:,} training images; got {len(images.training.x):,}"
            )
        self._loss = CrossEntropyLoss()

    # -------- at the initialisation

    def initial(self, weights: str, batch_norm: str, seed: int) -> Initial:
        """Measure a network at its initialisation, and the loss along the gradient as its training begins."""
        settings = self.settings
        wanted = self._wanted(
            "depth", "batch_size", "kernels", "histogram", "momentum", "looks", "step_sizes"
        )
        rate = settings.between[batch_norm == "all"]
        wanted |= {"weights": weights, "batch_norm": batch_norm, "seed": seed, "rate": rate}

        def work(_checkpoint: Path) -> dict[str, Any]:
            begin = time.perf_counter()
            model = self._network(settings.depth, batch_norm, seed, weights=weights)
            batches = self._batches(settings.batch_size, max(settings.looks), seed)
            x, y = batches[0]
            found = self._at_start(model, x, y) | self._stream(model, x)
            found["relative"] = self._along_gradient(model, batches, rate)
            return found | {"seconds": time.perf_counter() - begin}

        return Initial(**self.runs.get(f"initial-{weights}-{batch_norm}-seed{seed}", wanted, work))

    def _at_start(self, model: Module, x: Tensor, y: Tensor) -> dict[str, Any]:
        """Gradients of one mini-batch: at three layers term by term, at one all weights, at the logits."""
        depth = self.settings.depth
        kernels = [convolution(depth, layer) for layer in self.settings.kernels]
        found = bn.gradient_cancellation(model, self._loss, x, y, kernels)
        logits = model(x)
        loss = self._loss(logits, y)
        model.zero_grad()
        loss.backward()
        name = convolution(depth, self.settings.histogram)
        gradient = model.get_parameter(f"{name}.weight").grad
        assert gradient is not None
        statistics = bn.gradient_statistics(model, [name])[f"{name}.weight"]
        model.zero_grad()
        classes = bn.class_gradients(logits, y)
        return {
            "loss": loss.item(),
            "ratio": np.array([found[kernel].ratio() for kernel in kernels]),
            "image_ratio": np.array([found[kernel].image_ratio() for kernel in kernels]),
            "gradient": gradient.numpy().ravel().copy(),
            "spread": statistics.std,
            "kurtosis": statistics.kurtosis,
            "class_gradient": classes.gradient,
            "predicted_share": classes.predicted_share,
        }

    def _stream(self, model: Module, x: Tensor) -> dict[str, Any]:
        """Means and deviations of the channels behind the blocks."""
        places = block_outputs(self.settings.depth)
        found = bn.channel_statistics(model, x, list(places.values()))
        return {
            "layers": np.array(list(places), np.int64),
            "means": np.array([np.abs(found[name].mean).mean() for name in places.values()]),
            "deviations": np.array([np.sqrt(found[name].var).mean() for name in places.values()]),
        }

    def _along_gradient(self, model: Module, batches: list[Batch], rate: float) -> Any:
        """Train, and follow the loss along the gradient at some of the mini-batches before their update."""
        optimizer = SGD(model.parameters(), rate, self.settings.momentum)
        relative = []
        for number, (x, y) in enumerate(batches, 1):
            if number in self.settings.looks:
                relative.append(bn.relative_loss(model, self._loss, x, y, self.settings.step_sizes))
            optimizer.zero_grad()
            self._loss(model(x), y).backward()
            optimizer.step()
        return np.stack(relative)

    # -------- divergence

    def divergence(self, seed: int) -> Divergence:
        """Follow the channels of three layers along one step of the network without batch normalisation."""
        settings = self.settings
        wanted = self._wanted("depth", "batch_size", "maps", "diverging_rate") | {"seed": seed}

        def work(_checkpoint: Path) -> dict[str, Any]:
            model = self._network(settings.depth, "none", seed)
            ((x, y),) = self._batches(settings.batch_size, 1, seed)
            layers = [convolution(settings.depth, layer) for layer in settings.maps]
            found = bn.record_divergence(model, self._loss, x, y, settings.diverging_rate, layers=layers)
            return {
                "fractions": found.fractions,
                "losses": found.losses,
                "mean": [found.mean[layer] for layer in layers],
                "var": [found.var[layer] for layer in layers],
            }

        return Divergence(**self.runs.get(f"divergence-seed{seed}", wanted, work))

    def rates(self, depth: int, batch_norm: str, seed: int) -> Rates:
        """Find the largest learning rate at which a network does not diverge.

        A network without batch normalisation may begin with a loss above the paper's limit of 1,000; it
        diverges when its loss is above `OVERSHOOT` times the first one, too.
        """
        settings = self.settings
        wanted = self._wanted("momentum", "rate_batch", "rate_steps", "rate_range")
        wanted |= {"depth": depth, "batch_norm": batch_norm, "seed": seed}

        def work(_checkpoint: Path) -> dict[str, Any]:
            batches = self._batches(settings.rate_batch, settings.rate_steps, seed)
            x, y = batches[0]
            first = self._loss(self._network(depth, batch_norm, seed)(x), y).item()
            limit = max(1e3, OVERSHOOT * first)
            low, high = settings.rate_range
            found = bn.largest_stable_rate(
                lambda: self._network(depth, batch_norm, seed),
                self._loss,
                batches,
                low=low,
                high=high,
                precision=2.0,
                momentum=settings.momentum,
                limit=limit,
                learns=False,
            )
            return {"limit": limit, "largest": found.rate, "trials": [asdict(t) for t in found.trials]}

        tree = self.runs.get(f"rates-{depth}-{batch_norm}-seed{seed}", wanted, work)
        return Rates(tree["limit"], tree["largest"], tuple(RateTrial(**trial) for trial in tree["trials"]))

    # -------- training

    def training(self, batch_norm: str, rate: float, seed: int) -> Training:
        """Train the smaller network; the rate falls to a tenth after half of the steps and after 3/4."""
        settings = self.settings
        wanted = self._wanted(
            *("training_depth", "training_width", "training_images", "test_images", "batch_size", "epochs"),
            *("momentum", "weight_decay"),
        )
        wanted |= {"batch_norm": batch_norm, "rate": rate, "seed": seed}
        name = f"training-{batch_norm}-{rate:g}-seed{seed}"

        def work(checkpoint: Path) -> dict[str, Any]:
            trainer = self._trainer(batch_norm, rate, seed, wanted)
            diverged = trainer.finish(settings.epochs, checkpoint, f"{self.images.name} {name}")
            return {
                "losses": np.array(trainer.losses),
                "train_accuracy": [epoch.accuracy for epoch in trainer.epochs],
                "test_accuracy": [epoch.test_accuracy for epoch in trainer.epochs],
                "diverged": diverged,
                "seconds": sum(epoch.seconds + epoch.testing for epoch in trainer.epochs),
            }

        return Training(**self.runs.get(name, wanted, work))

    def _trainer(self, batch_norm: str, rate: float, seed: int, wanted: dict[str, Setting]) -> Trainer:
        settings, images = self.settings, self.few
        model = self._network(settings.training_depth, batch_norm, seed, width=settings.training_width)
        loader = images.loader(settings.batch_size, seed, padding=FRAME)
        optimizer = SGD(model.parameters(), rate, settings.momentum, weight_decay=settings.weight_decay)
        steps, factor = settings.epochs * len(loader), SCHEDULES["step"]
        return Trainer(
            model,
            optimizer,
            self._loss,
            loader,
            lambda: evaluate(model, images.test.x, images.test.y, chunk=CHUNK, prepare=images.normalize),
            scheduler=LambdaLR(optimizer, lambda step: factor(step / steps)),
            settings=wanted,
        )

    # -------- noise, and random matrices

    def noise(self, seed: int) -> Noise:
        """Measure the noise of mini-batch gradients of a small network without batch normalisation."""
        settings = self.settings
        wanted = self._wanted("noise_images", "noise_sizes", "noise_draws") | {"seed": seed}

        def work(_checkpoint: Path) -> dict[str, Any]:
            part = _first(self.images.training, settings.noise_images)
            inputs = from_numpy(self.images.normalize(part.x).astype(np.float64))
            labels = from_numpy(part.y)
            model = self._small(seed)
            generator = Generator(seed + NOISE_STREAM)
            found = {
                way: bn.gradient_noise(
                    model,
                    self._loss,
                    inputs,
                    labels,
                    settings.noise_sizes,
                    settings.noise_draws,
                    replacement=way == "with",
                    generator=generator,
                )
                for way in ("with", "without")
            }
            some = slice(settings.noise_sizes[0])
            rates = (NOISE_RATE, 2 * NOISE_RATE)
            once, twice = (self._step_noise(model, inputs, labels, some, rate) for rate in rates)
            return {
                "sizes": np.array(settings.noise_sizes, np.int64),
                "measured": {way: noise.measured for way, noise in found.items()},
                "theory": {way: noise.theory for way, noise in found.items()},
                "doubled": twice / once,
            }

        return Noise(**self.runs.get(f"noise-seed{seed}", wanted, work))

    def products(self, seed: int) -> Products:
        """Draw products of Gaussian matrices with entries of variance 1/N, and find their singular values."""
        settings = self.settings
        size = settings.product_size
        wanted = self._wanted("product_size", "product_draws") | {"seed": seed}

        def work(_checkpoint: Path) -> dict[str, Any]:
            generator = Generator(seed + PRODUCT_STREAM)

            def draw(factors: int) -> Any:
                matrices = [
                    randn(size, size, dtype=np.float64, generator=generator).numpy() / math.sqrt(size)
                    for _ in range(factors)
                ]
                return bn.product_singular_values(matrices)

            return {
                str(factors): np.stack([draw(factors) for _ in range(settings.product_draws)])
                for factors in FACTORS
            }

        tree = self.runs.get(f"products-seed{seed}", wanted, work)
        return Products({int(factors): values for factors, values in tree.items()})

    def _small(self, seed: int) -> Module:
        """A perceptron on images that are a quarter as wide and high: every example's gradient fits."""
        manual_seed(seed)
        _, channels, height, width = self.images.training.x.shape
        inputs = channels * (height // 4) * (width // 4)
        layers = [AvgPool2d(4), Flatten(), Linear(inputs, 16), ReLU(), Linear(16, self.images.classes)]
        return Sequential(*layers).double()

    def _step_noise(self, model: Module, x: Tensor, y: Tensor, some: slice, rate: float) -> float:
        """The squared distance between the steps of SGD with some of the examples and with all of them."""
        ends = []
        for inputs, labels in ((x, y), (x[some], y[some])):
            with bn.untouched(model):
                optimizer = SGD(model.parameters(), rate)
                optimizer.zero_grad()
                self._loss(model(inputs), labels).backward()
                optimizer.step()
                ends.append(np.concatenate([p.detach().numpy().ravel() for p in model.parameters()]))
        return float(((ends[0] - ends[1]) ** 2).sum())

    # -------- what the runs share

    def _wanted(self, *names: str) -> dict[str, Setting]:
        """Some of the settings, as `Runs` keeps them: tuples as text."""
        wanted: dict[str, Setting] = {"dataset": self.images.name}
        for name in names:
            value = getattr(self.settings, name)
            wanted[name] = ",".join(f"{each:g}" for each in value) if isinstance(value, tuple) else value
        return wanted

    def _network(self, depth: int, batch_norm: str, seed: int, **options: Any) -> Sequential:
        classes, channels = self.images.classes, self.images.training.x.shape[1]
        return network(depth, batch_norm, seed, classes=classes, channels=channels, **options)

    def _batches(self, size: int, count: int, seed: int) -> list[Batch]:
        """The first mini-batches of a training."""
        return list(islice(endless(self.images.loader(size, seed, padding=FRAME)), count))


def _first(part: Part, count: int) -> Part:
    return Part(part.x[:count], part.y[:count])
