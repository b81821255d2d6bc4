"""The checks of `tinynet.experiments.mechanics`, run together on one data set.

Most hold exactly, on numbers drawn at random.  Three need a network on real images: Algorithm 2 and the noise
of small batches are measured on the paper's small network with batch normalisation, trained for a while; and
the largest stable learning rate is looked for with and without batch normalisation.
"""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tinynet import bn
from tinynet._tensor import Tensor, tensor
from tinynet.experiments.mechanics import (
    BackwardCheck,
    BiasRun,
    ConvolutionCheck,
    ScaleCheck,
    check_backward,
    check_convolution,
    check_scale,
    train_bias,
)
from tinynet.experiments.mechanics_statistics import (
    Algorithm2Check,
    Noise,
    UnbiasedCheck,
    batch_noise,
    check_algorithm_2,
    check_unbiased,
    inputs_of_norms,
)
from tinynet.experiments.mnist_study import Images
from tinynet.experiments.training import endless, train
from tinynet.models import mnist_mlp
from tinynet.nn import CrossEntropyLoss, Sequential
from tinynet.optim import SGD
from tinynet.random import Generator

SCALES = tuple(10 ** (k / 2) for k in range(-8, 7))  # a from 1e-4 to 1e3; a = 10 has the claim
LAYER = "bn3"  # whose inputs are the population for the noise: the last hidden layer
EXAMPLES = 6000  # the images that make that population, if there are so many
FLAT = math.log(10)  # the loss of guessing one of 10 classes

NETWORKS: dict[str, tuple[str, int, float]] = {
    "sigmoid, 3 hidden layers": ("sigmoid", 3, 0.1),
    "ReLU, 3 hidden layers": ("relu", 3, 0.1),
    "ReLU, 6 hidden layers": ("relu", 6, math.sqrt(2 / 100)),
    "ReLU, 10 hidden layers": ("relu", 10, math.sqrt(2 / 100)),
}
"""Activation, hidden layers of 100 units, standard deviation of the weights.  First the paper's network, then
the same with ReLU, then deeper ones: their weights keep the scale of signals from layer to layer (He et al.
2015), which is what networks without batch normalisation need."""

Rates = dict[str, dict[str, bn.StableRate]]  # network -> "without" or "with" -> result


@dataclass(frozen=True)
class Settings:
    """What a run is made with.

    Attributes
    ----------
    batch_size : int
        Examples per step.
    train_steps : int
        Steps of SGD that train the network with batch normalisation.
    lr, std : float
        Its learning rate, and the standard deviation of its initial weights.
    population_batches : int
        Batches of training images for its population statistics.
    bias_steps : int
        Steps of the bias that normalisation takes out again.
    noise_sizes : tuple of int
        Sizes of the batches whose statistics are compared with the population's.
    noise_batches : int
        Batches of each size.
    rate_steps : int
        Steps of each trial of a learning rate.
    rate_precision : float
        The factor to which the largest stable rate is found.
    """

    batch_size: int = 60
    train_steps: int = 1000
    lr: float = 0.1
    std: float = 0.1
    population_batches: int = 100
    bias_steps: int = 1000
    noise_sizes: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256)
    noise_batches: int = 4000
    rate_steps: int = 300
    rate_precision: float = 1.1


SMOKE = Settings(train_steps=100, population_batches=20, noise_batches=100, rate_steps=40, rate_precision=2.0)
"""A trial of seconds: too few batches for the noise, and too few steps for the rates, to claim anything."""


@dataclass(frozen=True)
class Outcome:
    """What all checks gave for one seed.

    Attributes
    ----------
    backward, convolution, algorithm_2, noise
        See the classes.
    scale : list of ScaleCheck
        One per factor of `SCALES`.
    bias : dict of str to BiasRun
        "outside": the gradient takes the mean for a constant; "through": it goes through the mean.
    unbiased : list of UnbiasedCheck
        For batches of 2, 3 and 4.
    rates : dict
        For each of `NETWORKS` the largest stable rates "without" and "with" batch normalisation.
    seconds : dict of str to float
        Of each part.
    """

    backward: BackwardCheck
    convolution: ConvolutionCheck
    scale: list[ScaleCheck]
    bias: dict[str, BiasRun]
    algorithm_2: Algorithm2Check
    unbiased: list[UnbiasedCheck]
    noise: Noise
    rates: Rates
    seconds: dict[str, float] = field(default_factory=dict)

    def ratio(self, network: str) -> float | None:
        """Return the largest stable rate with batch normalisation over that without, if both are there."""
        without, with_bn = (self.rates[network][each].rate for each in ("without", "with"))
        return None if without is None or with_bn is None else with_bn / without


def measure(
    images: Images, settings: Settings, seed: int, *, at: Callable[[str], None] = lambda part: None
) -> Outcome:
    """Run all checks with one seed.

    Parameters
    ----------
    images : Images
        The data.
    settings : Settings
        See there.
    seed : int
        Of everything that is drawn.
    at : callable, optional
        Is told, in a few words, which part begins.

    Returns
    -------
    Outcome
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def part(name: str) -> Iterator[None]:
        at(name)
        start = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - start

    generator = Generator(seed)
    with part("the exact checks"):
        backward, convolution = check_backward(generator), check_convolution(generator)
        scale = check_scale(generator, SCALES)
        bias = {
            name: train_bias(Generator(seed), settings.bias_steps, through_mean=name == "through")
            for name in ("outside", "through")
        }
    with part("training"):
        model = trained(images, settings, seed).double()
    with part("Algorithm 2"):
        batches = [x.double() for x, _ in _batches(images, settings, seed, settings.population_batches)]
        algorithm_2 = check_algorithm_2(model, batches, tensor(images.x_test[:1000]).double())
    with part("the noise of small batches"):
        x = tensor(images.x[:EXAMPLES]).double()
        (population,) = inputs_of_norms(model, [x], training=False)[LAYER]  # (N, 100)
        unbiased = [check_unbiased(population[:8, 0], m) for m in (2, 3, 4)]
        noise = batch_noise(population, settings.noise_sizes, settings.noise_batches, generator)
    with part("the largest stable rates"):
        rates = stable_rates(images, settings, seed)
    return Outcome(backward, convolution, scale, bias, algorithm_2, unbiased, noise, rates, seconds)


def _batches(images: Images, settings: Settings, seed: int, count: int) -> list[tuple[Tensor, Tensor]]:
    """The first training batches of a seed, of as many epochs as that takes."""
    return list(itertools.islice(endless(images.loader(settings.batch_size, seed)), count))


def trained(images: Images, settings: Settings, seed: int) -> Sequential:
    """Train the paper's network with batch normalisation.

    Parameters
    ----------
    images : Images
        The data.
    settings : Settings
        `batch_size`, `train_steps`, `lr` and `std` are used.
    seed : int
        Of the weights and of the batches.

    Returns
    -------
    Sequential
    """
    model = mnist_mlp(weight_std=settings.std, generator=Generator(seed))
    train(
        model,
        SGD(model.parameters(), lr=settings.lr),
        CrossEntropyLoss(),
        images.loader(settings.batch_size, seed),
        settings.train_steps,
        label=f"{images.name} seed {seed}",
    )
    return model


def stable_rates(images: Images, settings: Settings, seed: int) -> Rates:
    """Find the largest stable learning rates without and with batch normalisation.

    Parameters
    ----------
    images : Images
        The data.
    settings : Settings
        `batch_size`, `rate_steps` and `rate_precision` are used.
    seed : int
        Of the weights and of the batches, which are the same without and with.

    Returns
    -------
    dict of str to dict of str to StableRate
        For each of `NETWORKS`, "without" and "with".
    """
    batches = _batches(images, settings, seed, settings.rate_steps)

    def make(name: str, batch_norm: bool) -> Sequential:
        activation, layers, std = NETWORKS[name]
        return mnist_mlp(
            batch_norm, layers=layers, activation=activation, weight_std=std, generator=Generator(seed)
        )

    return {
        name: {
            which: bn.largest_stable_rate(
                functools.partial(make, name, which == "with"),
                CrossEntropyLoss(),
                batches,
                precision=settings.rate_precision,
                flat=FLAT,
            )
            for which in ("without", "with")
        }
        for name in NETWORKS
    }
