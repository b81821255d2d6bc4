"""Data sets and the loader that hands them out in batches.

`DataLoader` gives the batches of any `Dataset`, in an order that is a function of seed and epoch.  `MNIST`,
`FashionMNIST` and `Digits` are images of ten classes in memory; `load` finds one by its name and falls back
to `Digits` where the files of the others are not to be had.
"""

from __future__ import annotations

from tinynet.data.dataset import ArrayDataset, Dataset, ImageDataset, TensorDataset, collate
from tinynet.data.digits import Digits
from tinynet.data.idx import read_idx
from tinynet.data.loader import DataLoader
from tinynet.data.mnist import MNIST, FashionMNIST, MissingDataError
from tinynet.data.named import NAMES, load

__all__ = [
    "MNIST",
    "NAMES",
    "ArrayDataset",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageDataset",
    "MissingDataError",
    "TensorDataset",
    "collate",
    "load",
    "read_idx",
]
