"""The networks of the papers."""

from __future__ import annotations

from tinynet.models.bn_inception import bn_inception
from tinynet.models.bn_inception_small import bn_inception_small, bn_inception_tiny
from tinynet.models.lenet import lenet
from tinynet.models.mnist_mlp import gaussian_weights_, mnist_mlp
from tinynet.models.resnet import resnet

__all__ = [
    "bn_inception",
    "bn_inception_small",
    "bn_inception_tiny",
    "gaussian_weights_",
    "lenet",
    "mnist_mlp",
    "resnet",
]
