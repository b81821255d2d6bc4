"""What follows from the scales of batch normalisation without any training, as checks with numbers.

Let every batch normalisation of a network have scales k gamma and shifts k beta.  A normalisation takes out
the scale of what enters it, ReLU and addition pass a factor k > 0 on, so that with eps -> 0 the input of the
classifier is k times what it is at k = 1, whatever lies between: ``f(W, k gamma, k beta) = k f(W, gamma,
beta)``.  Derivatives of such a function (homogeneous of degree 1 in the pair) with respect to W carry the
factor k, those with respect to gamma and beta none.  Davis & Frank (2021) start at k = 0.1 and divide the
learning rate of the scales by c = 100 = 1 / k^2; the checks say why these belong together.

All in float64, with eps = 1e-12, on numbers drawn at random; only the normalisation of the input sees images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import bn
from tinynet._tensor import Tensor, no_grad, tensor
from tinynet.experiments.claims import largest
from tinynet.experiments.mechanics import relative_error
from tinynet.experiments.scale_study import Variant, network
from tinynet.nn import Conv2d, CrossEntropyLoss, InputNorm2d, Linear, Module, Parameter
from tinynet.nn.normalization import _BatchNorm
from tinynet.optim import SGD

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

EPS = 1e-12  # of all normalisations: the statements are about eps -> 0
CLASSES, CHANNELS, SIZE, BATCH = 10, 3, 8, 16  # of the drawn images
DEPTH = 8


def drawn_images(seed: int) -> tuple[Tensor, Tensor]:
    """Draw a batch of images from N(0, 1), x (B, C, S, S) float64, and classes, y (B,)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((BATCH, CHANNELS, SIZE, SIZE))
    return tensor(x), tensor(rng.integers(0, CLASSES, BATCH))


def exact_network(scale: float, seed: int, factor: float = 1.0) -> Module:
    """Build the study's network in float64 with scales `scale`, logits times `factor` and hardly an eps."""
    variant = Variant("", "", scale=scale, factor=factor)
    model = network(variant, DEPTH, CLASSES, CHANNELS, seed, np.float64)
    for norm in _norms(model):
        norm.eps = EPS
    return model


def _norms(model: Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


# ---- scale k against scale 1


@dataclass(frozen=True)
class ScaleRatios:
    """A network with all scales k against the same with scales 1, at one gradient of the logits.

    Attributes
    ----------
    k : float
        The scales.
    logits, convolutions, classifier, scales, shifts : float
        What the logits, and the gradients of these kinds of parameters, are multiplied with: the quotient of
        the norms over all layers.
    differences : dict of str to float
        Under the same names: the largest difference, over all layers, of an array from k (of the scales' and
        shifts' gradients: from 1) times that of the network with scales 1, over the largest number there.
    pace : float
        How many times as fast the scales move, relative to their size, against the convolutions' weights:
        (|dL/dgamma| / |gamma|) / (|dL/dW| / |W|), over the same at scales of 1.
    """

    k: float
    logits: float
    convolutions: float
    classifier: float
    scales: float
    shifts: float
    differences: dict[str, float]
    pace: float


DEGREES = {"logits": 1, "convolutions": 1, "classifier": 1, "scales": 0, "shifts": 0}
"""The power of k that each carries."""


def scale_ratios(k: float, seed: int = 0) -> ScaleRatios:
    """Compare the networks with scales k and 1.

    Parameters
    ----------
    k : float
        Positive.
    seed : int
        Of weights, images and the gradient of the logits.

    Returns
    -------
    ScaleRatios
    """
    own, standard = (_gradients(scale, seed) for scale in (k, 1.0))
    ratios = {name: _norm(own[name]) / _norm(standard[name]) for name in DEGREES}
    differences = {
        name: largest(
            relative_error(a, k**degree * b) for a, b in zip(own[name], standard[name], strict=True)
        )
        for name, degree in DEGREES.items()
    }
    # The weights are the same, the scales are k and 1.
    pace = ratios["scales"] / k / ratios["convolutions"]
    return ScaleRatios(k, **ratios, differences=differences, pace=pace)


def _gradients(scale: float, seed: int) -> dict[str, list[Array]]:
    """The logits and the gradients by kind, at a gradient of the logits that does not depend on `scale`."""
    model = exact_network(scale, seed)
    x, _ = drawn_images(seed)
    logits = model(x)
    upstream = np.random.default_rng(seed + 1).standard_normal(logits.shape)
    logits.backward(tensor(upstream))
    norms = _norms(model)
    of_kind: dict[str, list[Parameter | None]] = {
        "convolutions": [module.weight for module in model.modules() if isinstance(module, Conv2d)],
        "classifier": [module.weight for module in model.modules() if isinstance(module, Linear)],
        "scales": [norm.weight for norm in norms],
        "shifts": [norm.bias for norm in norms],
    }
    found = {"logits": [logits.detach().numpy()]}
    for kind, parameters in of_kind.items():
        found[kind] = [p.grad.numpy() for p in parameters if p is not None and p.grad is not None]
    return found


def _norm(arrays: Iterable[Array]) -> float:
    return math.sqrt(math.fsum(float((array**2).sum()) for array in arrays))


# ---- training: the same as what?


@dataclass(frozen=True)
class SameTraining:
    """Scale k with divisor 1 / k^2, trained for some steps, against scale 1 with the logits times k.

    Attributes
    ----------
    k : float
        The scale.
    steps : int
        Of SGD with momentum and weight decay.
    shifts_slowed, as_proposed : float
        The largest difference of the logits afterwards, over the largest logit: where the rate of the shifts
        (beta) is divided by 1 / k^2 too, and where it is not, as the paper proposes.
    """

    k: float
    steps: int
    shifts_slowed: float
    as_proposed: float


def same_training(k: float, steps: int = 10, seed: int = 0) -> SameTraining:
    """Train the three networks on one batch and compare their logits."""
    standard = _trained(exact_network(1.0, seed, factor=k), 1.0, 1.0, steps, seed)
    slowed = _trained(exact_network(k, seed), 1 / k**2, 1 / k**2, steps, seed)
    proposed = _trained(exact_network(k, seed), 1 / k**2, 1.0, steps, seed)
    return SameTraining(k, steps, relative_error(slowed, standard), relative_error(proposed, standard))


def _trained(model: Module, divisor: float, of_shifts: float, steps: int, seed: int) -> Array:
    """The logits of a network after training with divisors for the rates of scales and of shifts."""
    lr = 0.05
    groups = bn.parameter_groups(model, divisor, lr=lr, weight_decay=1e-4)
    shifts = [norm.bias for norm in _norms(model)]
    ids = {id(shift) for shift in shifts}
    for group in groups:
        group["params"] = [p for p in group["params"] if id(p) not in ids]
    groups.append({"params": shifts, "lr": lr / of_shifts, "weight_decay": 0.0})
    optimizer, loss = SGD(groups, momentum=0.9), CrossEntropyLoss()
    x, y = drawn_images(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
    with no_grad():
        logits: Array = model(x).numpy()
    return logits


# ---- parameter groups, input normalisation


@dataclass(frozen=True)
class GroupsCheck:
    """One step of plain SGD with `tinynet.bn.parameter_groups`, at a rate a and weight decay w.

    Attributes
    ----------
    scales : float
        The largest difference of a scale's step from ``-a / c`` times its gradient, over the largest such
        step.
    shifts, weights : float
        The same for shifts and biases and ``-a g``, and for weights and ``-a (g + w W)``.
    """

    scales: float
    shifts: float
    weights: float


def check_groups(divisor: float, seed: int = 0) -> GroupsCheck:
    """Take one step and compare it with what the groups promise."""
    lr, decay = 0.1, 0.5  # so large a decay that its absence shows
    model = exact_network(0.1, seed)
    x, y = drawn_images(seed)
    CrossEntropyLoss()(model(x), y).backward()
    before = {id(p): p.detach().numpy().copy() for p in model.parameters()}
    SGD(bn.parameter_groups(model, divisor, lr=lr, weight_decay=decay)).step()
    scales = {id(norm.weight) for norm in _norms(model)}
    errors: dict[str, list[float]] = {"scales": [], "shifts": [], "weights": []}
    for parameter in model.parameters():
        old, gradient = before[id(parameter)], parameter.grad
        assert gradient is not None  # every parameter takes part
        kind, promised = "weights", -lr * (gradient.numpy() + decay * old)
        if id(parameter) in scales:
            kind, promised = "scales", -lr / divisor * gradient.numpy()
        elif parameter.ndim == 1:
            kind, promised = "shifts", -lr * gradient.numpy()
        step = parameter.detach().numpy() - old
        errors[kind].append(relative_error(step, promised))
    return GroupsCheck(**{kind: largest(of) for kind, of in errors.items()})


@dataclass(frozen=True)
class InputStatistics:
    """What an `InputNorm2d` knows of a data set after some batches.

    Attributes
    ----------
    batches : int
        Of training images, drawn at random.
    mean, var : numpy.ndarray of shape (C,), float64
        Its running statistics.
    data_mean, data_var : numpy.ndarray of shape (C,), float64
        The statistics of all training images.
    """

    batches: int
    mean: FloatArray
    var: FloatArray
    data_mean: FloatArray
    data_var: FloatArray

    @property
    def differences(self) -> tuple[float, float]:
        """The largest relative differences of mean and variance."""
        return (
            float(np.abs(self.mean / self.data_mean - 1).max()),
            float(np.abs(self.var / self.data_var - 1).max()),
        )


def input_statistics(
    images: npt.NDArray[np.uint8],
    batches: int = 100,
    batch_size: int = 128,
    momentum: float | None = 0.1,
    seed: int = 0,
) -> InputStatistics:
    """Show images to an `InputNorm2d` and compare its running statistics with those of all images.

    Parameters
    ----------
    images : numpy.ndarray of shape (N, C, H, W), uint8
        The training images.
    batches, batch_size, seed : int
        How many batches, of how many images, drawn without replacement as long as there are enough.
    momentum : float or None
        Of the layer.
    """
    rng, norm = np.random.default_rng(seed), InputNorm2d(images.shape[1], momentum=momentum)
    order = np.concatenate(
        [rng.permutation(len(images)) for _ in range(-(-batches * batch_size // len(images)))]
    )
    with no_grad():
        for part in order[: batches * batch_size].reshape(batches, batch_size):
            norm(tensor((images[part] / 255).astype(np.float32)))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    counts = np.stack([np.bincount(channel.ravel(), minlength=256) for channel in images.swapaxes(0, 1)])
    levels, share = np.arange(256) / 255, counts / counts.sum(axis=1, keepdims=True)
    mean = share @ levels
    return InputStatistics(
        batches,
        norm.running_mean.numpy().astype(np.float64),
        norm.running_var.numpy().astype(np.float64),
        mean,
        share @ levels**2 - mean**2,
    )


def relu_deviation(draws: int = 4_000_000, seed: int = 0) -> tuple[float, float]:
    """Return the standard deviation of ReLU(N(0, 1)), of so many draws and in closed form.

    The mean is ``1 / sqrt(2 pi)`` and the mean square 1/2, so it is ``sqrt(1/2 - 1/(2 pi))`` = 0.5838.
    """
    drawn = np.maximum(np.random.default_rng(seed).standard_normal(draws), 0)
    return float(drawn.std()), math.sqrt(0.5 - 0.5 / math.pi)


# ---- all of them


@dataclass(frozen=True)
class Mechanics:
    """What all checks gave.

    Attributes
    ----------
    ratios : list of ScaleRatios
        One per k of `SCALES`.
    training : list of SameTraining
        One per k below 1: a divisor 1 / k^2 below 1 slows nothing.
    groups : GroupsCheck
        With c = 100.
    inputs, averaged : InputStatistics
        Of the data set: with the layer's momentum of 0.1, and where all batches count alike.
    relu : tuple of float, float
        From `relu_deviation`.
    """

    ratios: list[ScaleRatios]
    training: list[SameTraining]
    groups: GroupsCheck
    inputs: InputStatistics
    averaged: InputStatistics
    relu: tuple[float, float]


SCALES = (0.1, 0.5, 2.0)


def check_mechanics(images: npt.NDArray[np.uint8], seed: int = 0) -> Mechanics:
    """Make all checks; `images` are those of `input_statistics`."""
    return Mechanics(
        [scale_ratios(k, seed) for k in SCALES],
        [same_training(k, seed=seed) for k in SCALES if k < 1],
        check_groups(100.0, seed),
        input_statistics(images, seed=seed),
        input_statistics(images, momentum=None, seed=seed),
        relu_deviation(seed=seed),
    )
