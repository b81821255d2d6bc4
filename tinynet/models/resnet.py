"""Residual networks for images of 32 x 32 (He et al. 2016, section 4.2), of depth 6n + 2.

::

    conv1     3x3                        32 x 32 x 16
    stage1    n blocks                   32 x 32 x 16
    stage2    n blocks, first stride 2   16 x 16 x 32
    stage3    n blocks, first stride 2    8 x  8 x 64
    avgpool   mean                        1 x  1 x 64
    output    linear

    block     y = relu(F(x) + shortcut(x)),   F = 3x3 -> relu -> 3x3

With batch normalisation everywhere, one stands behind each convolution, before the addition or the ReLU.
"""

from __future__ import annotations

from typing import Any

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.errors import ArgumentError
from tinynet.models.blocks import Style
from tinynet.models.weights import draw_weights_, draws_undone
from tinynet.nn import functional as F
from tinynet.nn.activation import ReLU
from tinynet.nn.container import Sequential
from tinynet.nn.linear import Identity
from tinynet.nn.module import Module
from tinynet.nn.normalization import BatchNorm2d
from tinynet.random import Generator


def resnet(
    depth: int,
    num_classes: int = 10,
    in_channels: int = 3,
    batch_norm: str = "all",
    shortcut: str = "pad",
    width: int = 16,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
) -> Sequential:
    """Build the residual network of `depth` layers with weights, 6n + 2 of them: n blocks in each stage.

    Weights of convolutions are drawn from N(0, 2 / fan_out), their biases, where they have any, are 0 (He et
    al. 2015); the classifier has the defaults of `Linear`.

    Parameters
    ----------
    depth : int
        8, 14, 20, 26, 32, 38, 44, ...; the paper's are 20, 32, 44, 56 and 110.
    num_classes : int, default 10
        Number of outputs.
    in_channels : int, default 3
        Channels of an image.
    batch_norm : {'all', 'last', 'none'}, default 'all'
        'all': behind each convolution, which then has no bias.  'last': before the classifier only, as in
        Bjorck et al. 2018: the output of the last residual block is normalised per channel, no activation
        before it is, and the mean over the positions and the classifier follow (the paper has no code; that
        the normalisation stands before that mean, over all positions, is our reading).  'none': nowhere.
    shortcut : {'pad', 'projection'}, default 'pad'
        Where a block halves the image and doubles the channels.  'pad' (the paper's option A) takes every
        second pixel and puts channels of zeros behind those that there are; 'projection' (option B) is a 1x1
        convolution of stride 2, with a batch normalisation if the others have one.
    width : int, default 16
        Channels of the first convolution and of the first stage; the others have two and four times as many.
        The paper's have 16.
    generator : Generator, optional
        What the weights are drawn from.  Default: the default generator.  Networks that differ in
        `batch_norm` alone have the same weights from the same state.
    dtype : dtype, optional
        float32 (default) or float64.

    Returns
    -------
    Sequential
        From (N, in_channels, H, W) to logits (N, num_classes).  Modules: conv1, stage1, stage2, stage3,
        avgpool, flatten, output; for 'last' bn before avgpool.

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun: Deep Residual Learning for Image Recognition, 2016, section 4.2.
    B. Bjorck, C. Gomes, B. Selman, K. Weinberger: Understanding Batch Normalization, 2018.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.models.resnet(20)
    >>> model(tn.zeros(2, 3, 32, 32)).shape
    (2, 10)
    >>> sum(parameter.numel() for parameter in model.parameters())
    269722
    """
    layers = _check.integer("resnet", "depth", depth)
    if layers < 8 or layers % 6 != 2:
        raise ArgumentError(f"resnet: depth must be 6n + 2 with n >= 1, as 20, 56 and 110 are; got {layers}")
    images = _check.integer("resnet", "in_channels", in_channels, 1)
    where = _check.choice("resnet", "batch_norm", batch_norm, ("all", "last", "none"))
    channels = before = _check.integer("resnet", "width", width, 1)
    kind = _check.choice("resnet", "shortcut", shortcut, ("pad", "projection"))
    style = Style("resnet", where == "all", "relu", dtype)
    modules: dict[str, Module] = {}
    with draws_undone():
        modules["conv1"] = style.unit(images, channels, 3)
        for number in (1, 2, 3):
            blocks = [Block(before, channels, kind, style)]
            blocks += [Block(channels, channels, kind, style) for _ in range((layers - 2) // 6 - 1)]
            modules[f"stage{number}"] = Sequential(*blocks)
            before, channels = channels, 2 * channels
        if where == "last":
            modules["bn"] = BatchNorm2d(before, dtype=style.dtype)
        modules |= style.head(before, num_classes, 0.0)
    return draw_weights_(Sequential(modules), generator, he="fan_out")


class Block(Module):
    """``y = relu(unit2(unit1(x)) + shortcut(x))``; has stride 2 where it changes the number of channels."""

    def __init__(self, in_channels: int, channels: int, shortcut: str, style: Style) -> None:
        super().__init__()
        stride = 1 if channels == in_channels else 2
        self.unit1 = style.unit(in_channels, channels, 3, stride)
        self.unit2 = style.unit(channels, channels, 3, activate=False)
        self.shortcut: Module
        if stride == 1:
            self.shortcut = Identity()
        elif shortcut == "pad":
            self.shortcut = ZeroPadded(channels - in_channels)
        else:
            self.shortcut = style.unit(in_channels, channels, 1, stride, activate=False)
        self.act = ReLU()

    def forward(self, input: Tensor) -> Tensor:
        """From (N, C, H, W) to (N, C, H, W), or at stride 2 to (N, 2C, ceil(H/2), ceil(W/2))."""
        output: Tensor = self.act(self.unit2(self.unit1(input)) + self.shortcut(input))
        return output


class ZeroPadded(Module):
    """Every second pixel of each row and column, and `channels` channels of zeros behind the input's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, input: Tensor) -> Tensor:
        """From (N, C, H, W) to (N, C + channels, ceil(H/2), ceil(W/2))."""
        return F.pad(input[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.channels))

    def extra_repr(self) -> str:
        return f"channels={self.channels}"
