"""BN-Inception for small images: three Inception modules and two reductions.

For an image of 32 x 32; the sizes are those of a row's output::

    conv1        3x3     32 x 32 x  64
    inception_a          32 x 32 x 160
    reduction_a          16 x 16 x 272
    inception_b          16 x 16 x 288
    reduction_b           8 x  8 x 448
    inception_c           8 x  8 x 432
    avgpool      mean     1 x  1 x 432
    output       linear
"""

from __future__ import annotations

from typing import Any

from tinynet import _check
from tinynet.models.blocks import Style
from tinynet.models.inception import Inception, Row
from tinynet.models.weights import draw_weights_, draws_undone
from tinynet.nn.container import Sequential
from tinynet.nn.module import Module
from tinynet.nn.normalization import LocalResponseNorm
from tinynet.nn.pooling import MaxPool2d
from tinynet.random import Generator

# Output channels of each convolution, as in the table of the full network.
# fmt: off
TABLE = (
    #                  1x1   3x3  3x3   double  double  pool   proj
    #                        red.       reduce  3x3
    Row("inception_a",  32,   32,  48,    32,     48,   "avg",  32),
    Row("reduction_a",   0,   48,  64,    32,     48,   "max",   0),
    Row("inception_b",  80,   64,  96,    48,     64,   "avg",  48),
    Row("reduction_b",   0,   64,  96,    48,     64,   "max",   0),
    Row("inception_c", 112,   96, 160,    64,     96,   "max",  64),
)
# fmt: on


def bn_inception_small(
    num_classes: int = 10,
    in_channels: int = 3,
    batch_norm: bool = True,
    activation: str = "relu",
    lrn: bool = False,
    dropout: float = 0.0,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
) -> Sequential:
    """Build `bn_inception` for images of 32 x 32 (or 28 x 28, or any other size), with default weights.

    The design is this project's, not the paper's: the modules of `bn_inception` at widths for which a step on
    a CPU takes a fraction of a second.  The first convolution has stride 1, there is no max pool before the
    modules, and the reductions' max pools have padding 1.  With 3 input channels and 10 classes there are
    905,930 parameters.

    Parameters
    ----------
    num_classes : int, default 10
        Number of outputs.
    in_channels : int, default 3
        Channels of an image.
    batch_norm : bool, default True
        Whether each convolution has a batch normalisation before its non-linearity, in place of the bias.
    activation : {'relu', 'sigmoid'}, default 'relu'
        Non-linearity after each convolution.
    lrn : bool, default False
        Whether there is a local response normalisation (5 channels) after the first convolution.
    dropout : float, default 0
        Probability to drop a feature before the classifier, in [0, 1].
    generator : Generator, optional
        What the weights are drawn from, as in `bn_inception`.  Default: the default generator.
    dtype : dtype, optional
        float32 (default) or float64.

    Returns
    -------
    Sequential
        From (N, in_channels, H, W) to logits (N, num_classes).  Modules: conv1, inception_a, reduction_a,
        inception_b, reduction_b, inception_c, avgpool, flatten, output; with the switches lrn1, dropout.

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.models.bn_inception_small()
    >>> model(tn.zeros(2, 3, 32, 32)).shape
    (2, 10)
    """
    style = Style("bn_inception_small", batch_norm, activation, dtype)
    images = _check.integer("bn_inception_small", "in_channels", in_channels, 1)
    with_lrn = _check.boolean("bn_inception_small", "lrn", lrn)
    modules: dict[str, Module] = {}
    with draws_undone():
        modules["conv1"] = style.unit(images, 64, 3)
        if with_lrn:
            modules["lrn1"] = LocalResponseNorm(5)
        channels = 64
        for row in TABLE:
            modules[row.name] = Inception(channels, row, style, MaxPool2d(3, 2, 1))
            channels = row.channels(channels)
        modules |= style.head(channels, num_classes, dropout)
    return draw_weights_(Sequential(modules), generator)
