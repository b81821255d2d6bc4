"""BN-Inception, the network of Ioffe & Szegedy 2015, appendix, Figure 5.

For an image of 224 x 224; the sizes are those of a row's output::

    conv1         7x7 stride 2     112 x 112 x   64    separable: depthwise with multiplier 8, then 1x1
    pool1         max 3x3 stride 2  56 x  56 x   64
    conv2         1x1, then 3x3     56 x  56 x  192    64 channels between
    pool2         max 3x3 stride 2  28 x  28 x  192
    inception_3a, 3b, 3c            28, 28, 14         256, 320, 576 channels
    inception_4a ... 4e             14, 14, 14, 14, 7  576, 576, 608, 608, 1056
    inception_5a, 5b                 7, 7              1024, 1024
    avgpool       the mean           1 x   1 x 1024
    output        linear

The modules' widths are the table below.
"""

from __future__ import annotations

from typing import Any

from tinynet import _check
from tinynet.models.blocks import Style
from tinynet.models.inception import Inception, PassThrough, Row
from tinynet.models.weights import draw_weights_, draws_undone
from tinynet.nn.container import Sequential
from tinynet.nn.conv import Conv2d
from tinynet.nn.module import Module
from tinynet.nn.normalization import LocalResponseNorm
from tinynet.nn.pooling import MaxPool2d
from tinynet.random import Generator

DEPTH_MULTIPLIER = 8  # of the separable first convolution

# The paper's table: output channels of each convolution.  Modules without a projection pass their pool
# through and have stride 2.
# fmt: off
TABLE = (
    #         1x1   3x3  3x3   double  double  pool   proj
    #               red.       reduce  3x3
    Row("3a",  64,   64,  64,    64,     96,   "avg",   32),
    Row("3b",  64,   64,  96,    64,     96,   "avg",   64),
    Row("3c",   0,  128, 160,    64,     96,   "max",    0),
    Row("4a", 224,   64,  96,    96,    128,   "avg",  128),
    Row("4b", 192,   96, 128,    96,    128,   "avg",  128),
    Row("4c", 160,  128, 160,   128,    160,   "avg",  128),
    Row("4d",  96,  128, 192,   160,    192,   "avg",  128),
    Row("4e",   0,  128, 192,   192,    256,   "max",    0),
    Row("5a", 352,  192, 320,   160,    224,   "avg",  128),
    Row("5b", 352,  192, 320,   192,    224,   "max",  128),
)
# fmt: on


def bn_inception(
    num_classes: int = 1000,
    in_channels: int = 3,
    stem: str = "separable",
    batch_norm: bool = True,
    activation: str = "relu",
    lrn: bool = False,
    dropout: float = 0.0,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
) -> Sequential:
    """Build the network, every row of the paper's table, with the layers' default weights.

    The table contradicts itself: its branches sum to 608 channels after 4c and after 4d, where it prints 576,
    and so to 1056 after 4e, where it prints 1024.  The paper does not resolve this.  Here the widths of the
    branches are as printed and the sums follow from them (608, 608, 1056), so that every convolution has the
    number of outputs that the paper gives it.

    The modules 3c and 4e have stride 2 in the 3x3 and in the second convolution of the double 3x3; their pool
    is a maximum over 3x3 at stride 2 that rounds sizes up.  Average pools are 3x3 at stride 1 with padding 1,
    zeros counted.  The paper's final 7x7 average is the mean over all positions: images of other sizes, from
    about 32 x 32 on, are accepted.

    With 3 input channels and 1000 classes there are 10,233,496 weights of convolutions, 20,032 of batch
    normalisations and 1,025,000 of the classifier: 11,278,528 parameters.  (The paper's section 4.2 says
    13.6 million, and not what it counts.)

    Parameters
    ----------
    num_classes : int, default 1000
        Number of outputs.
    in_channels : int, default 3
        Channels of an image.
    stem : {'separable', 'plain'}, default 'separable'
        The first 7x7 convolution.  'separable' is the paper's: 8 filters of each input channel alone (3 to 24
        channels), then 1x1 to 64.  The two stand for one convolution: batch normalisation and non-linearity
        (and without batch normalisation the bias) come after the 1x1 only.  'plain' is 7x7 to 64 channels.
    batch_norm : bool, default True
        Whether each convolution has a batch normalisation (eps 1e-5) before its non-linearity, in place of
        the bias.
    activation : {'relu', 'sigmoid'}, default 'relu'
        Non-linearity after each convolution.
    lrn : bool, default False
        Whether there are local response normalisations, as in the network without batch normalisation: over 5
        channels with alpha 1e-4, beta 0.75 and k 1, after the first max pool and before the second one.
    dropout : float, default 0
        Probability to drop a feature before the classifier, in [0, 1].  The original Inception has 0.4.
    generator : Generator, optional
        What the weights are drawn from.  Default: the default generator.  All weights are drawn in order and
        then the biases, so networks that differ in `batch_norm`, `activation`, `lrn` and `dropout` alone have
        the same weights from the same state.
    dtype : dtype, optional
        float32 (default) or float64.

    Returns
    -------
    Sequential
        From (N, in_channels, H, W) to logits (N, num_classes).  Modules: conv1, pool1, conv2_reduce, conv2,
        pool2, inception_3a to inception_5b, avgpool, flatten, output; with the switches lrn1, lrn2, dropout.

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.

    References
    ----------
    S. Ioffe, C. Szegedy: Batch Normalization, 2015, appendix.  C. Szegedy et al.: Going Deeper with
    Convolutions, 2015 (where the response normalisations stand).

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.models.bn_inception(num_classes=10)
    >>> model(tn.zeros(2, 3, 64, 64)).shape
    (2, 10)
    >>> hook = model.inception_4e.register_forward_hook(lambda module, args, output: print(output.shape))
    >>> logits = model(tn.zeros(2, 3, 64, 64))
    (2, 1056, 2, 2)
    """
    style = Style("bn_inception", batch_norm, activation, dtype)
    images = _check.integer("bn_inception", "in_channels", in_channels, 1)
    separable = _check.choice("bn_inception", "stem", stem, ("separable", "plain")) == "separable"
    with_lrn = _check.boolean("bn_inception", "lrn", lrn)
    modules: dict[str, Module] = {}
    with draws_undone():
        modules["conv1"] = _separable(images, style) if separable else style.unit(images, 64, 7, 2)
        modules["pool1"] = MaxPool2d(3, 2, ceil_mode=True)
        if with_lrn:
            modules["lrn1"] = LocalResponseNorm(5)
        modules["conv2_reduce"] = style.unit(64, 64, 1)
        modules["conv2"] = style.unit(64, 192, 3)
        if with_lrn:
            modules["lrn2"] = LocalResponseNorm(5)
        modules["pool2"] = MaxPool2d(3, 2, ceil_mode=True)
        channels = 192
        for row in TABLE:
            modules[f"inception_{row.name}"] = Inception(channels, row, style, PassThrough())
            channels = row.channels(channels)
        modules |= style.head(channels, num_classes, dropout)
    return draw_weights_(Sequential(modules), generator)


def _separable(in_channels: int, style: Style) -> Sequential:
    wide = in_channels * DEPTH_MULTIPLIER
    depthwise = Conv2d(in_channels, wide, 7, 2, 3, groups=in_channels, bias=False, dtype=style.dtype)
    return Sequential({"depthwise": depthwise, "pointwise": style.unit(wide, 64, 1)})
