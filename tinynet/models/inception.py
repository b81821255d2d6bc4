"""The Inception module of Ioffe & Szegedy 2015 (appendix): branches side by side, joined along the channels.

::

    x -> 1x1                                         -|
    x -> 1x1 reduce -> 3x3                           -|-> cat
    x -> 1x1 reduce -> 3x3 -> 3x3  (double 3x3)      -|
    x -> 3x3 average or maximum -> 1x1 projection    -|

A module of stride 2 has no 1x1 branch and no projection: the 3x3 and the second of the double 3x3 have the
stride, and the pool passes all channels through, halved.
"""

from __future__ import annotations

from typing import NamedTuple

from tinynet._tensor import Tensor
from tinynet.models.blocks import Style
from tinynet.nn import functional as F
from tinynet.nn.container import Sequential
from tinynet.nn.module import Module
from tinynet.nn.pooling import AvgPool2d, MaxPool2d
from tinynet.shapes import cat


class Row(NamedTuple):
    """A row of the table: the output channels of every convolution in a module; 0 where there is none."""

    name: str
    conv1x1: int
    reduce3x3: int
    conv3x3: int
    reduce_double: int
    double3x3: int
    pool: str  # avg or max
    projection: int  # 0: pass through, stride 2

    def channels(self, in_channels: int) -> int:
        """The channels of the module's output."""
        return self.conv1x1 + self.conv3x3 + self.double3x3 + (self.projection or in_channels)


class Inception(Module):
    """One module; its children are the branches, in the order in which they are joined."""

    def __init__(self, in_channels: int, row: Row, style: Style, passing: Module) -> None:
        super().__init__()
        unit, stride = style.unit, 1 if row.projection else 2
        if row.conv1x1:
            self.conv1x1 = unit(in_channels, row.conv1x1, 1)
        self.conv3x3 = Sequential(
            {
                "reduce": unit(in_channels, row.reduce3x3, 1),
                "conv": unit(row.reduce3x3, row.conv3x3, 3, stride),
            }
        )
        self.double3x3 = Sequential(
            {
                "reduce": unit(in_channels, row.reduce_double, 1),
                "conv1": unit(row.reduce_double, row.double3x3, 3),
                "conv2": unit(row.double3x3, row.double3x3, 3, stride),
            }
        )
        if row.projection:
            pool = (AvgPool2d if row.pool == "avg" else MaxPool2d)(3, 1, 1)
            projection = unit(in_channels, row.projection, 1)
            self.pool = Sequential({"pool": pool, "projection": projection})
        else:
            self.pool = Sequential({"pool": passing})

    def forward(self, input: Tensor) -> Tensor:
        """From (N, C, H, W) to (N, C', H, W), or at stride 2 to (N, C', ceil(H/2), ceil(W/2))."""
        return cat([branch(input) for branch in self.children()], 1)


class PassThrough(Module):
    """Maxima of 3x3 windows at stride 2, as many as a 3x3 convolution of stride 2 with padding 1 has outputs.

    At an even size, windows begin at the edge, and the last one reaches beyond the other (``ceil_mode``).
    At an odd size that would be one window less than the convolution has; with padding 1 it is as many.
    """

    def forward(self, input: Tensor) -> Tensor:
        """From (N, C, H, W) to (N, C, ceil(H/2), ceil(W/2))."""
        height, width = input.shape[2:]
        return F.max_pool2d(input, 3, 2, (height % 2, width % 2), ceil_mode=True)
