"""Functions that make tensors: from data, filled with one value, regular sequences, random numbers.

Shapes are given as ints or as one tuple; the default dtype is float32.  Options of PyTorch's that have no
meaning here (`out`, `layout`, `pin_memory`, another device) are accepted at their defaults and refused
otherwise.
"""

from __future__ import annotations

from tinynet.creation.data import as_tensor, asarray, device, tensor
from tinynet.creation.distributions import bernoulli, multinomial, normal
from tinynet.creation.filled import empty, empty_like, full, full_like, ones, ones_like, zeros, zeros_like
from tinynet.creation.sampling import (
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
)
from tinynet.creation.sequences import arange, eye, linspace

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "bernoulli",
    "device",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "multinomial",
    "normal",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "tensor",
    "zeros",
    "zeros_like",
]
