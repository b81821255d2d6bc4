"""Data sets and the loader that hands them out in batches.

`DataLoader` gives the batches of any `Dataset`, in an order that is a function of seed and epoch, with
threads that make them ahead if need be.  Samplers choose other orders; `Subset`, `ConcatDataset` and
`random_split` make data sets of data sets.  `MNIST`, `FashionMNIST`, `CIFAR10` and `Digits` are images of
ten classes in memory; `load` finds one by its name and falls back to `Digits` where the files of the others
are not to be had.  `Normalize` and `Augment` make float32 batches of them, `Augment` at random.
"""

from __future__ import annotations

from tinynet.data.arrays import ArrayDataset, ImageDataset, TensorDataset
from tinynet.data.augment import Augment, Normalize
from tinynet.data.batch_sampler import BatchSampler
from tinynet.data.batches import batch_rng, sample_random
from tinynet.data.cifar import CIFAR10
from tinynet.data.collate import default_collate, default_convert
from tinynet.data.dataset import ConcatDataset, Dataset, IterableDataset, Subset, random_split
from tinynet.data.digits import Digits
from tinynet.data.idx import read_idx
from tinynet.data.loader import DataLoader
from tinynet.data.mnist import MNIST, FashionMNIST
from tinynet.data.named import NAMES, load
from tinynet.data.published import MissingDataError
from tinynet.data.samplers import (
    EpochSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "CIFAR10",
    "MNIST",
    "NAMES",
    "ArrayDataset",
    "Augment",
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
    "Normalize",
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
    "sample_random",
]
