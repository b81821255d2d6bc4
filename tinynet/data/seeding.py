"""Seeds, and random numbers that are a function of seed and epoch, whatever was drawn before."""

from __future__ import annotations

import numpy as np

from tinynet import random
from tinynet._check import integer
from tinynet.errors import ArgumentError, DTypeError


def check_generator(operation: str, generator: random.Generator | None) -> None:
    """Refuse what is no generator."""
    if generator is not None and not isinstance(generator, random.Generator):
        raise DTypeError(f"{operation}: generator must be a tinynet.Generator or None; got {generator!r}")


def seed_of(operation: str, seed: int | None, generator: random.Generator | None) -> int:
    """Return the seed that was given, or that of the generator, by default the default generator."""
    check_generator(operation, generator)
    if seed is None:
        return (random.default_generator if generator is None else generator).seed
    if generator is not None:
        raise ArgumentError(f"{operation}: seed must be None where a generator is given; got {seed!r}")
    return word(operation, "seed", seed)


def word(operation: str, name: str, value: object) -> int:
    """Return `value` as an int in [0, 2**64)."""
    number = integer(operation, name, value, 0)
    if number >= 2**64:
        raise ArgumentError(f"{operation}: {name} must be an int in [0, 2**64); got {number}")
    return number


def philox(seed: int, epoch: int, number: int, stream: int) -> np.random.Generator:
    """Return NumPy's generator with the key (seed, epoch), which counts from (number, stream).

    `stream` is the counter's upper word: with an equal key, uses with other streams, and tinynet.Generator,
    draw other numbers.
    """
    key = np.array([seed, epoch], dtype=np.uint64)
    counter = np.array([0, 0, number, stream], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
