"""A LeNet for images of 28 x 28, as Caffe's MNIST example has it, with ReLU after both convolutions.

The sizes are those of a row's output::

    conv1     5x5    24 x 24 x 20    ReLU
    pool1     max 2  12 x 12 x 20
    conv2     5x5     8 x  8 x 50    ReLU
    pool2     max 2   4 x  4 x 50
    linear1   800 -> 500             ReLU
    output    500 -> 10
"""

from __future__ import annotations

from typing import Any

from tinynet import _check
from tinynet.models.weights import draw_weights_, draws_undone
from tinynet.nn.activation import ReLU
from tinynet.nn.container import Sequential
from tinynet.nn.conv import Conv2d
from tinynet.nn.linear import Flatten, Linear
from tinynet.nn.module import Module
from tinynet.nn.pooling import MaxPool2d
from tinynet.random import Generator


def lenet(
    num_classes: int = 10, in_channels: int = 1, *, generator: Generator | None = None, dtype: Any = None
) -> Sequential:
    """Build the network, with the layers' default weights: 431,080 of them for 1 channel and 10 classes.

    Parameters
    ----------
    num_classes : int, default 10
        Number of outputs.
    in_channels : int, default 1
        Channels of an image.
    generator : Generator, optional
        What the weights are drawn from.  Default: the default generator.
    dtype : dtype, optional
        float32 (default) or float64.

    Returns
    -------
    Sequential
        From (N, in_channels, 28, 28) to logits (N, num_classes).  Modules: conv1, act1, pool1, conv2, act2,
        pool2, flatten, linear1, act3, output.

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-Based Learning Applied to Document Recognition, 1998.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.models.lenet()
    >>> model(tn.zeros(2, 1, 28, 28)).shape
    (2, 10)
    """
    images = _check.integer("lenet", "in_channels", in_channels, 1)
    classes = _check.integer("lenet", "num_classes", num_classes, 1)
    wanted = _check.float_dtype("lenet", dtype)
    with draws_undone():
        modules: dict[str, Module] = {
            "conv1": Conv2d(images, 20, 5, dtype=wanted),
            "act1": ReLU(),
            "pool1": MaxPool2d(2),
            "conv2": Conv2d(20, 50, 5, dtype=wanted),
            "act2": ReLU(),
            "pool2": MaxPool2d(2),
            "flatten": Flatten(),
            "linear1": Linear(800, 500, dtype=wanted),
            "act3": ReLU(),
            "output": Linear(500, classes, dtype=wanted),
        }
    return draw_weights_(Sequential(modules), generator)
