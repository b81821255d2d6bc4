"""The convolutional networks written a second time, with PyTorch, for test_models_parity.py.

Written from the papers' tables and not from tinynet/models.  Their parameters come in the same order, by
which weights are copied; their names differ.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def conv(i, o, k, stride=1, bn=True, act=nn.ReLU, groups=1):
    """Convolution, then BN in place of the bias, then the non-linearity (None: none)."""
    parts = [nn.Conv2d(i, o, k, stride, padding=k // 2, groups=groups, bias=not bn)]
    parts += [nn.BatchNorm2d(o)] if bn else []
    return nn.Sequential(*parts, *([act()] if act else []))


class Joined(nn.Module):
    """Branches side by side, joined along the channels."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def mixed(i, one, three, double, pool, projection, **options):
    """A module of stride 1: 1x1, (reduce, 3x3), (reduce, 3x3 twice), (pool, projection)."""
    return Joined(
        conv(i, one, 1, **options),
        nn.Sequential(conv(i, three[0], 1, **options), conv(three[0], three[1], 3, **options)),
        nn.Sequential(
            conv(i, double[0], 1, **options),
            conv(double[0], double[1], 3, **options),
            conv(double[1], double[1], 3, **options),
        ),
        nn.Sequential(pool, conv(i, projection, 1, **options)),
    )


def halved(i, three, double, pool, **options):
    """A module of stride 2, whose pool passes all channels through."""
    return Joined(
        nn.Sequential(conv(i, three[0], 1, **options), conv(three[0], three[1], 3, 2, **options)),
        nn.Sequential(
            conv(i, double[0], 1, **options),
            conv(double[0], double[1], 3, **options),
            conv(double[1], double[1], 3, 2, **options),
        ),
        pool,
    )


def average():
    return nn.AvgPool2d(3, stride=1, padding=1)


def maximum():
    return nn.MaxPool2d(3, stride=1, padding=1)


def ceil_pool():
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def bn_inception(classes=1000, channels=3, *, plain=False, bn=True, act=nn.ReLU, lrn=False):
    """The appendix of Ioffe & Szegedy 2015, row by row."""
    o = {"bn": bn, "act": act}
    response = [nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)] if lrn else []
    deep = nn.Conv2d(channels, 8 * channels, 7, 2, padding=3, groups=channels, bias=False)
    first = [conv(channels, 64, 7, 2, **o)] if plain else [deep, conv(8 * channels, 64, 1, **o)]
    return nn.Sequential(
        *first,
        ceil_pool(),
        *response,
        conv(64, 64, 1, **o),
        conv(64, 192, 3, **o),
        *response,
        ceil_pool(),
        mixed(192, 64, (64, 64), (64, 96), average(), 32, **o),  # 3a
        mixed(256, 64, (64, 96), (64, 96), average(), 64, **o),  # 3b
        halved(320, (128, 160), (64, 96), ceil_pool(), **o),  # 3c
        mixed(576, 224, (64, 96), (96, 128), average(), 128, **o),  # 4a
        mixed(576, 192, (96, 128), (96, 128), average(), 128, **o),  # 4b
        mixed(576, 160, (128, 160), (128, 160), average(), 128, **o),  # 4c
        mixed(608, 96, (128, 192), (160, 192), average(), 128, **o),  # 4d
        halved(608, (128, 192), (192, 256), ceil_pool(), **o),  # 4e
        mixed(1056, 352, (192, 320), (160, 224), average(), 128, **o),  # 5a
        mixed(1024, 352, (192, 320), (192, 224), maximum(), 128, **o),  # 5b
        Mean(),
        nn.Linear(1024, classes),
    )


def bn_inception_small(classes=10, channels=3, *, bn=True, act=nn.ReLU, lrn=False):
    """Three modules and two reductions for 32 x 32."""
    o = {"bn": bn, "act": act}
    response = [nn.LocalResponseNorm(5)] if lrn else []
    return nn.Sequential(
        conv(channels, 64, 3, **o),
        *response,
        mixed(64, 32, (32, 48), (32, 48), average(), 32, **o),
        halved(160, (48, 64), (32, 48), nn.MaxPool2d(3, 2, padding=1), **o),
        mixed(272, 80, (64, 96), (48, 64), average(), 48, **o),
        halved(288, (64, 96), (48, 64), nn.MaxPool2d(3, 2, padding=1), **o),
        mixed(448, 112, (96, 160), (64, 96), maximum(), 64, **o),
        Mean(),
        nn.Linear(432, classes),
    )


class Residual(nn.Module):
    def __init__(self, i, o, option, bn):
        super().__init__()
        self.body = nn.Sequential(conv(i, o, 3, 1 if i == o else 2, bn=bn), conv(o, o, 3, bn=bn, act=None))
        self.grow = o - i
        self.project = conv(i, o, 1, 2, bn=bn, act=None) if i != o and option == "B" else None

    def forward(self, x):
        if self.project is not None:
            around = self.project(x)
        elif self.grow:
            thin = x[:, :, ::2, ::2]
            around = torch.cat([thin, thin.new_zeros(len(x), self.grow, *thin.shape[2:])], dim=1)
        else:
            around = x
        return F.relu(self.body(x) + around)


def resnet(depth, classes=10, channels=3, *, bn="all", option="A"):
    """He et al. 2016, section 4.2; `bn` is 'all', 'last' (on the last block's output) or 'none'."""
    blocks, before = [], 16
    for width in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            blocks.append(Residual(before, width, option, bn == "all"))
            before = width
    last = [nn.BatchNorm2d(64)] if bn == "last" else []
    return nn.Sequential(
        conv(channels, 16, 3, bn=bn == "all"), *blocks, *last, Mean(), nn.Linear(64, classes)
    )


def lenet(classes=10, channels=1):
    return nn.Sequential(
        nn.Conv2d(channels, 20, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(),
        nn.Linear(500, classes),
    )
