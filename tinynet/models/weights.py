"""The first weights of a network: layers are built, then all of their weights are drawn in one place.

Two networks that differ in their switches alone (batch normalisation, activation, response normalisation,
dropout) start from the same weights if they are built from the same state of the generator, so what they
learn differs by the switch and not by the draw.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TypeVar

from tinynet.nn import init
from tinynet.nn.conv import Conv2d
from tinynet.nn.linear import Linear
from tinynet.nn.module import Module
from tinynet.random import Generator, default_generator

M = TypeVar("M", bound=Module)


@contextlib.contextmanager
def draws_undone() -> Iterator[None]:
    """Put the default generator back: the constructors' draws, which are replaced, do not count."""
    before = default_generator.get_state()
    try:
        yield
    finally:
        default_generator.set_state(before)


def draw_weights_(model: M, generator: Generator | None, *, he: str | None = None) -> M:
    """Draw convolutions and linear layers as their constructors do: U(-b, b) with b = 1 / sqrt(fan_in).

    With `he`, "fan_in" or "fan_out", convolutions are drawn from N(0, 2 / fan) instead (He et al. 2015,
    eq. 10 and 14), and their biases are 0.

    First the weights in order, then the biases from the last layer to the first: convolutions without a bias,
    as they stand before a batch normalisation, move neither a weight nor the classifier's bias.
    """
    layers = [module for module in model.modules() if isinstance(module, (Conv2d, Linear))]
    for layer in layers:
        if he and isinstance(layer, Conv2d):
            init.kaiming_normal_(layer.weight, mode=he, nonlinearity="relu", generator=generator)
        else:
            init.kaiming_uniform_(layer.weight, math.sqrt(5), generator=generator)
    for layer in reversed(layers):
        if layer.bias is not None:
            bound = 1 / math.sqrt(math.prod(layer.weight.shape[1:]))
            if he and isinstance(layer, Conv2d):
                bound = 0.0
            init.uniform_(layer.bias, -bound, bound, generator)
    return model
