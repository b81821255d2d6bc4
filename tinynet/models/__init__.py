"""The networks of the papers."""

from __future__ import annotations

from tinynet.models.mnist_mlp import gaussian_weights_, mnist_mlp

__all__ = ["gaussian_weights_", "mnist_mlp"]
