"""The settings and the networks of the study of Bjorck et al. (2018), "Understanding Batch Normalization".

The paper trains a residual network of 110 layers on CIFAR-10 and asks what batch normalisation changes in it.
Here the same network at its full size is measured at its initialisation, along one step in which it diverges,
and for the learning rates that it stands; a smaller one is trained at the paper's learning rates.  What
is run stands in `tinynet.experiments.understanding_study`, what follows in `understanding_claims`.

Fixed beforehand: zero-padded shortcuts (option A of He et al. 2016); weights of convolutions and classifier
from Xavier's uniform distribution, and for the measurements at the initialisation from Kaiming's normal one
(fan-in) as well; biases 0.  Layers are counted from the image: the first convolution is layer 1, the
classifier layer `depth`.  A gradient is measured at the central tap of a layer's 3x3 kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinynet._check import choice
from tinynet.models import resnet
from tinynet.nn import Conv2d, Linear, Sequential, init
from tinynet.random import manual_seed


@dataclass(frozen=True)
class Settings:
    """What a study is made with.

    Attributes
    ----------
    depth : int
        Layers of the network that is measured at its initialisation and along a diverging step.
    batch_size : int
        Images in a batch of these measurements, and of the training.
    kernels : tuple of int
        Three layers whose gradients are compared with the sums of their terms' magnitudes.
    histogram : int
        The layer whose gradient's histogram is shown.
    maps : tuple of int
        Three layers whose channels are followed along the diverging step.
    momentum : float
        Of SGD, wherever a network is trained.
    between : tuple of float
        Learning rates, without and with batch normalisation, of the steps between two looks along the
        gradient.
    looks : tuple of int
        The mini-batches, counted from 1, at which the loss is followed along the gradient.
    step_sizes : tuple of float
        How far it is followed.
    diverging_rate : float
        The learning rate of the diverging step.
    depths : tuple of int
        Of the networks whose largest learning rate is sought.
    rate_batch, rate_steps : int
        Images in a batch, and steps, of a trial of a learning rate.
    rate_range : tuple of float
        The smallest and the largest rate that is tried.
    training_depth, training_width : int
        Of the network that is trained.
    training_images, test_images : int
        How many of the data set's it is trained on, and tested with.
    epochs : int
        Of the training.
    weight_decay : float
        Of the training.
    noise_images : int
        Examples of the measurement of the gradient's noise.
    noise_sizes : tuple of int
        Its batch sizes.
    noise_draws : int
        Batches of each size.
    product_size : int
        Rows and columns of the random matrices.
    product_draws : int
        Products of each number of factors.
    """

    depth: int = 110
    batch_size: int = 128
    kernels: tuple[int, int, int] = (18, 54, 90)
    histogram: int = 55
    maps: tuple[int, int, int] = (8, 44, 80)
    momentum: float = 0.9
    between: tuple[float, float] = (1e-4, 0.1)
    looks: tuple[int, ...] = (1, 4, 7)
    step_sizes: tuple[float, ...] = tuple(10.0 ** (k / 4) for k in range(-20, 1))
    diverging_rate: float = 1e-3
    depths: tuple[int, ...] = (8, 20, 56, 110)
    rate_batch: int = 32
    rate_steps: int = 50
    rate_range: tuple[float, float] = (1e-6, 10.0)
    training_depth: int = 56
    training_width: int = 8
    training_images: int = 10_000
    test_images: int = 2_000
    epochs: int = 10
    weight_decay: float = 1e-4
    noise_images: int = 2_048
    noise_sizes: tuple[int, ...] = (8, 16, 32, 64, 128, 256, 512)
    noise_draws: int = 1_000
    product_size: int = 400
    product_draws: int = 3


SMOKE = Settings(
    depth=20,
    batch_size=16,
    kernels=(4, 10, 16),
    histogram=11,
    maps=(4, 10, 16),
    looks=(1, 2),
    step_sizes=tuple(10.0 ** (k / 2) for k in range(-10, 1)),
    depths=(8, 14),
    rate_batch=8,
    rate_steps=4,
    rate_range=(1e-3, 10.0),
    training_depth=8,
    training_images=256,
    test_images=100,
    epochs=1,
    noise_images=256,
    noise_sizes=(8, 16, 32, 64),
    noise_draws=100,
    product_size=100,
)
"""A trial that goes through everything, and shows nothing else."""

WEIGHTS = ("xavier", "kaiming")
NORMS = ("none", "all")
WHERE = (
    "none",
    "last",
    "all",
)  # batch normalisation: nowhere, before the classifier, behind each convolution
FACTORS = (1, 3, 5)  # matrices in a product

TRAININGS = (
    ("all", 0.1),
    ("all", 0.003),
    ("all", 0.0001),
    ("none", 0.0001),
    ("none", 0.003),
    ("none", 0.1),
    ("last", 0.03),
)
"""Where the trained networks have batch normalisation, and their learning rates."""


# ---- networks


def network(
    depth: int,
    batch_norm: str,
    seed: int,
    *,
    classes: int,
    channels: int,
    weights: str = "xavier",
    width: int = 16,
) -> Sequential:
    """Build a residual network with the study's weights; the default generator starts anew.

    Parameters
    ----------
    depth, batch_norm, classes, channels, width
        As of `tinynet.models.resnet`.
    seed : int
        Of the weights: the same ones without batch normalisation and with it before the classifier, others
        with it everywhere.
    weights : {'xavier', 'kaiming'}
        Uniform with variance 2 / (fan_in + fan_out), or normal with 2 / fan_in.

    Returns
    -------
    Sequential
    """
    choice("network", "weights", weights, WEIGHTS)
    manual_seed(seed)
    model = resnet(depth, classes, channels, batch_norm, width=width)
    for module in model.modules():
        if isinstance(module, (Conv2d, Linear)):
            if weights == "xavier":
                init.xavier_uniform_(module.weight)
            else:
                init.kaiming_normal_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
    return model


def convolution(depth: int, layer: int) -> str:
    """Return the dotted name of the convolution that is layer `layer` of a network of `depth` layers."""
    if layer == 1:
        return "conv1.conv"
    blocks = (depth - 2) // 6
    block, unit = divmod(layer - 2, 2)
    return f"stage{block // blocks + 1}.{block % blocks}.unit{unit + 1}.conv"


def block_outputs(depth: int) -> dict[int, str]:
    """Return the modules behind whose ReLU the residual stream is measured, by their last layer: 1, 3, ..."""
    blocks = (depth - 2) // 6
    names = [f"stage{stage}.{block}" for stage in (1, 2, 3) for block in range(blocks)]
    return {1: "conv1"} | {2 * number + 3: name for number, name in enumerate(names)}
