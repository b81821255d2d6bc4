"""Data sets and the loader that hands them out in batches.

`DataLoader` gives the batches of any `Dataset`, in an order that is a function of seed and epoch, with
threads that make them ahead if need be.  Samplers choose other orders; `Subset`, `ConcatDataset` and
`random_split` make data sets of data sets.  `MNIST`, `FashionMNIST` and `Digits` are images of ten classes in
memory; `load` finds one by its name and falls back to `Digits` where the files of the others are not to be
had.
"""

from __future__ import annotations

from tinynet.data.arrays import ArrayDataset, ImageDataset, TensorDataset
from tinynet.data.batch_sampler import BatchSampler
from tinynet.data.batches import batch_rng
from tinynet.data.collate import default_collate, default_convert
from tinynet.data.dataset import ConcatDataset, Dataset, IterableDataset, Subset, random_split
from tinynet.data.digits import Digits
from tinynet.data.idx import read_idx
from tinynet.data.loader import DataLoader
from tinynet.data.mnist import MNIST, FashionMNIST, MissingDataError
from tinynet.data.named import NAMES, load
from tinynet.data.samplers import (
    EpochSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "MNIST",
    "NAMES",
    "ArrayDataset",
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Digits",
    "EpochSampler",
    "FashionMNIST",
    "ImageDataset",
    "IterableDataset",
    "MissingDataError",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "batch_rng",
    "default_collate",
    "default_convert",
    "load",
    "random_split",
    "read_idx",
]
