"""BN-Inception for small images, in two sizes.

For an image of 32 x 32; the sizes are those of a row's output.  `bn_inception_small`::

    conv1        3x3     32 x 32 x  64
    inception_a          32 x 32 x 160
    reduction_a          16 x 16 x 272
    inception_b          16 x 16 x 288
    reduction_b           8 x  8 x 448
    inception_c           8 x  8 x 432
    avgpool      mean     1 x  1 x 432
    output       linear

`bn_inception_tiny`::

    conv1        3x3     32 x 32 x  32
    pool1        max     16 x 16 x  32
    inception_a          16 x 16 x  80
    reduction_a           8 x  8 x 144
    inception_b           8 x  8 x 160
    avgpool      mean     1 x  1 x 160
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

TINY_TABLE = (
    Row("inception_a",  16,   16,  24,    16,     24,   "avg",  16),
    Row("reduction_a",   0,   24,  32,    16,     32,   "max",   0),
    Row("inception_b",  48,   32,  48,    24,     32,   "avg",  32),
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
        modules |= _body(64, TABLE, style, num_classes, dropout)
    return draw_weights_(Sequential(modules), generator)


def bn_inception_tiny(
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
    """Build a BN-Inception that one trains many times over: two modules and a reduction on maps of half size.

    As `bn_inception_small`, narrower, and with the paper's max pool (and after it the response normalisation)
    between the first convolution and the modules.  With 3 input channels and 10 classes there are 91,194
    parameters; a step with 32 images takes about a twelfth of the time.

    The convolutions' weights are drawn from N(0, 2 / fan_in), their biases are 0: without batch normalisation
    this keeps the size of the activations from layer to layer (He et al. 2015, eq. 10), which the layers'
    default weights do not.

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
        Whether there is a local response normalisation (5 channels) after the max pool.
    dropout : float, default 0
        Probability to drop a feature before the classifier, in [0, 1].
    generator : Generator, optional
        What the weights are drawn from, as in `bn_inception`.  Default: the default generator.
    dtype : dtype, optional
        float32 (default) or float64.

    Returns
    -------
    Sequential
        From (N, in_channels, H, W) to logits (N, num_classes).  Modules: conv1, pool1, inception_a,
        reduction_a, inception_b, avgpool, flatten, output; with the switches lrn1, dropout.

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun: Delving Deep into Rectifiers, 2015.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.models.bn_inception_tiny(in_channels=1)
    >>> model(tn.zeros(2, 1, 28, 28)).shape
    (2, 10)
    """
    style = Style("bn_inception_tiny", batch_norm, activation, dtype)
    images = _check.integer("bn_inception_tiny", "in_channels", in_channels, 1)
    with_lrn = _check.boolean("bn_inception_tiny", "lrn", lrn)
    modules: dict[str, Module] = {}
    with draws_undone():
        modules["conv1"] = style.unit(images, 32, 3)
        modules["pool1"] = MaxPool2d(3, 2, 1)
        if with_lrn:
            modules["lrn1"] = LocalResponseNorm(5)
        modules |= _body(32, TINY_TABLE, style, num_classes, dropout)
    return draw_weights_(Sequential(modules), generator, he="fan_in")


def _body(
    channels: int, table: tuple[Row, ...], style: Style, num_classes: int, dropout: float
) -> dict[str, Module]:
    """The modules of a table and the head, behind so many channels."""
    modules: dict[str, Module] = {}
    for row in table:
        modules[row.name] = Inception(channels, row, style, MaxPool2d(3, 2, 1))
        channels = row.channels(channels)
    return modules | style.head(channels, num_classes, dropout)
