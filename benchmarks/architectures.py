"""The networks that are timed, as plain data: no library is needed to count their operations or draw their
weights.

A network is a chain of layers.  `benchmarks.networks` builds it in tinynet or PyTorch, `benchmarks.jax_side`
in JAX.  All three take the same weights in the same order: that in which the layers stand here, a layer's
weight before its bias, gamma before beta.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Arrays = list[npt.NDArray[np.float32]]
Shape = tuple[int, ...]  # of one example: (features,), or (channels, height, width)


@dataclass(frozen=True)
class Linear:
    inputs: int
    outputs: int
    bias: bool = True


@dataclass(frozen=True)
class Conv:
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    bias: bool = False


@dataclass(frozen=True)
class Norm:
    """Batch normalisation, of images or (not `images`) of vectors."""

    features: int
    images: bool = True


@dataclass(frozen=True)
class Activation:
    kind: str  # relu or sigmoid


@dataclass(frozen=True)
class Pool:
    kind: str  # max or avg
    kernel: int
    stride: int
    padding: int = 0
    ceil: bool = False


@dataclass(frozen=True)
class GlobalAverage:
    """The mean over all positions, and the map flattened: (C, H, W) to (C,)."""


@dataclass(frozen=True)
class Flatten:
    """(C, H, W) to (C H W,)."""


@dataclass(frozen=True)
class Branches:
    """Chains side by side, joined along the channels."""

    branches: tuple[Chain, ...]


@dataclass(frozen=True)
class Residual:
    """relu(body(x) + x); with `extra` channels, x thinned by the stride and zeros behind its channels."""

    body: Chain
    stride: int
    extra: int


Layer: TypeAlias = Linear | Conv | Norm | Activation | Pool | GlobalAverage | Flatten | Branches | Residual
Chain: TypeAlias = tuple[Layer, ...]


@dataclass(frozen=True)
class Architecture:
    """A network, and what it is fed with.

    Attributes
    ----------
    name : str
        Where `tinynet.models` has the network, its name there ("resnet20" is ``resnet(20)``).
    shape : tuple of int
        Of one example.
    classes : int
        Number of outputs.
    layers : tuple
        The chain.
    """

    name: str
    shape: Shape
    classes: int
    layers: Chain


# ---- parts


def unit(inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True) -> Chain:
    """Convolution that keeps the size (at stride 1), batch normalisation, ReLU."""
    layers: Chain = (Conv(inputs, outputs, kernel, stride, kernel // 2), Norm(outputs))
    return (*layers, Activation("relu")) if relu else layers


def inception(
    inputs: int, one: int, three: tuple[int, int], double: tuple[int, int], pool: str, projection: int
) -> Branches:
    """1x1; 1x1, 3x3; 1x1, 3x3, 3x3; pool, 1x1."""
    return Branches(
        (
            unit(inputs, one, 1),
            (*unit(inputs, three[0], 1), *unit(*three, 3)),
            (*unit(inputs, double[0], 1), *unit(*double, 3), *unit(double[1], double[1], 3)),
            (Pool(pool, 3, 1, 1), *unit(inputs, projection, 1)),
        )
    )


def reduction(inputs: int, three: tuple[int, int], double: tuple[int, int], pool: Pool) -> Branches:
    """1x1, 3x3 of stride 2; 1x1, 3x3, 3x3 of stride 2; pool."""
    return Branches(
        (
            (*unit(inputs, three[0], 1), *unit(*three, 3, 2)),
            (*unit(inputs, double[0], 1), *unit(*double, 3), *unit(double[1], double[1], 3, 2)),
            (pool,),
        )
    )


def mlp(sizes: tuple[int, ...], name: str = "mlp") -> Architecture:
    """Batch normalisation (and then no bias) and sigmoid after each layer but the last."""
    layers: list[Layer] = []
    for fan_in, fan_out in itertools.pairwise(sizes[:-1]):
        layers += [Linear(fan_in, fan_out, bias=False), Norm(fan_out, images=False), Activation("sigmoid")]
    return Architecture(name, sizes[:1], sizes[-1], (*layers, Linear(sizes[-2], sizes[-1])))


def _lenet(channels: int = 1, classes: int = 10) -> Architecture:
    layers = (
        Conv(channels, 20, 5, bias=True),
        Activation("relu"),
        Pool("max", 2, 2),
        Conv(20, 50, 5, bias=True),
        Activation("relu"),
        Pool("max", 2, 2),
        Flatten(),
        Linear(800, 500),
        Activation("relu"),
        Linear(500, classes),
    )
    return Architecture("lenet", (channels, 28, 28), classes, layers)


def _resnet20(channels: int = 3, classes: int = 10) -> Architecture:
    blocks, before = [], 16
    for width, _ in itertools.product((16, 32, 64), range(3)):
        stride = 1 if width == before else 2
        body = (*unit(before, width, 3, stride), *unit(width, width, 3, relu=False))
        blocks.append(Residual(body, stride, width - before))
        before = width
    layers = (*unit(channels, 16, 3), *blocks, GlobalAverage(), Linear(64, classes))
    return Architecture("resnet20", (channels, 32, 32), classes, layers)


def _bn_inception_small(channels: int = 3, classes: int = 10) -> Architecture:
    passing = Pool("max", 3, 2, 1)
    layers = (
        *unit(channels, 64, 3),
        inception(64, 32, (32, 48), (32, 48), "avg", 32),
        reduction(160, (48, 64), (32, 48), passing),
        inception(272, 80, (64, 96), (48, 64), "avg", 48),
        reduction(288, (64, 96), (48, 64), passing),
        inception(448, 112, (96, 160), (64, 96), "max", 64),
        GlobalAverage(),
        Linear(432, classes),
    )
    return Architecture("bn_inception_small", (channels, 32, 32), classes, layers)


def _bn_inception(channels: int = 3, classes: int = 1000) -> Architecture:
    passing = Pool("max", 3, 2, ceil=True)
    layers = (
        Conv(channels, 8 * channels, 7, 2, 3, groups=channels),
        *unit(8 * channels, 64, 1),
        passing,
        *unit(64, 64, 1),
        *unit(64, 192, 3),
        passing,
        inception(192, 64, (64, 64), (64, 96), "avg", 32),
        inception(256, 64, (64, 96), (64, 96), "avg", 64),
        reduction(320, (128, 160), (64, 96), passing),
        inception(576, 224, (64, 96), (96, 128), "avg", 128),
        inception(576, 192, (96, 128), (96, 128), "avg", 128),
        inception(576, 160, (128, 160), (128, 160), "avg", 128),
        inception(608, 96, (128, 192), (160, 192), "avg", 128),
        reduction(608, (128, 192), (192, 256), passing),
        inception(1056, 352, (192, 320), (160, 224), "avg", 128),
        inception(1024, 352, (192, 320), (192, 224), "max", 128),
        GlobalAverage(),
        Linear(1024, classes),
    )
    return Architecture("bn_inception", (channels, 224, 224), classes, layers)


MLP_SIZES = (784, 100, 100, 100, 10)
ARCHITECTURES = {
    each.name: each
    for each in (mlp(MLP_SIZES, "mnist_mlp"), _lenet(), _resnet20(), _bn_inception_small(), _bn_inception())
}


def cifar_network(name: str, channels: int, classes: int) -> Architecture:
    """bn_inception_small or resnet20 for images of so many channels."""
    return {"bn_inception_small": _bn_inception_small, "resnet20": _resnet20}[name](channels, classes)


# ---- what follows from the layers


def walk(layers: Chain, shape: Shape) -> Iterator[tuple[Layer, Shape, Shape]]:
    """Every layer with weights or windows, with the shapes of its input and of its output."""
    for layer in layers:
        if isinstance(layer, Branches):
            for branch in layer.branches:
                yield from walk(branch, shape)
        elif isinstance(layer, Residual):
            yield from walk(layer.body, shape)
        after = shape_after(layer, shape)
        yield layer, shape, after
        shape = after


def shape_after(layer: Layer, shape: Shape) -> Shape:
    """The shape of the layer's output."""
    match layer:
        case Linear():
            return (layer.outputs,)
        case Conv():
            sides = ((side + 2 * layer.padding - layer.kernel) // layer.stride + 1 for side in shape[1:])
            return (layer.outputs, *sides)
        case Pool():
            extra = layer.stride - 1 if layer.ceil else 0
            sides = (
                (side + 2 * layer.padding - layer.kernel + extra) // layer.stride + 1 for side in shape[1:]
            )
            return (shape[0], *sides)
        case GlobalAverage():
            return shape[:1]
        case Flatten():
            return (math.prod(shape),)
        case Branches():
            ends = [_shape_of_chain(branch, shape) for branch in layer.branches]
            return (sum(end[0] for end in ends), *ends[0][1:])
        case Residual():
            return _shape_of_chain(layer.body, shape)
    return shape


def _shape_of_chain(layers: Chain, shape: Shape) -> Shape:
    for layer in layers:
        shape = shape_after(layer, shape)
    return shape


def forward_flops(architecture: Architecture) -> list[int]:
    """Multiplications and additions of each convolution and linear layer, for one example.

    Counted as the direct sums have them, whatever the algorithm; nothing else is counted.
    """
    found = []
    for layer, _, after in walk(architecture.layers, architecture.shape):
        if isinstance(layer, Linear):
            found.append(2 * layer.inputs * layer.outputs)
        elif isinstance(layer, Conv):
            found.append(2 * math.prod(after) * layer.inputs // layer.groups * layer.kernel**2)
    return found


def training_flops(architecture: Architecture) -> int:
    """Those of a training step, per example: forward, gradient of the weights, and gradient of the input for
    all layers but the first, whose input wants none."""
    layers = forward_flops(architecture)
    return 3 * sum(layers) - layers[0]


def parameters(architecture: Architecture) -> list[tuple[str, Shape]]:
    """Kind (weight, bias, gamma, beta) and shape of every parameter, in order."""
    found: list[tuple[str, Shape]] = []
    for layer, _, _ in walk(architecture.layers, architecture.shape):
        if isinstance(layer, Norm):
            found += [("gamma", (layer.features,)), ("beta", (layer.features,))]
        elif isinstance(layer, Linear | Conv):
            shape: Shape = (layer.outputs, layer.inputs)
            if isinstance(layer, Conv):
                shape = (layer.outputs, layer.inputs // layer.groups, layer.kernel, layer.kernel)
            found.append(("weight", shape))
            if layer.bias:
                found.append(("bias", (layer.outputs,)))
    return found


def weights(architecture: Architecture) -> Arrays:
    """Weights from N(0, 2 / fan_in); gammas near 1, betas and biases near 0."""
    rng = np.random.default_rng(1)
    scales = {"bias": (0.1, 0.0), "beta": (0.1, 0.0), "gamma": (0.1, 1.0)}
    arrays: Arrays = []
    for kind, shape in parameters(architecture):
        spread, middle = scales.get(kind, (math.sqrt(2 / math.prod(shape[1:])), 0.0))
        x = rng.standard_normal(shape, dtype=np.float32)
        arrays.append(x * np.float32(spread) + np.float32(middle))
    return arrays


@dataclass(frozen=True)
class Batch:
    """Examples (N, ...) float32, images channels last in memory; labels (N,) int64."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]


def batch(architecture: Architecture, count: int) -> Batch:
    """A fixed random batch."""
    rng = np.random.default_rng(0)
    if len(architecture.shape) == 1:
        x = rng.standard_normal((count, *architecture.shape), dtype=np.float32)
    else:
        channels, height, width = architecture.shape
        x = rng.standard_normal((count, height, width, channels), dtype=np.float32).transpose(0, 3, 1, 2)
    return Batch(x, rng.integers(0, architecture.classes, count, dtype=np.int64))
