"""A data set by its name, with a stand-in where its files are not to be had."""

from __future__ import annotations

import os
import warnings

from tinynet._check import boolean
from tinynet.data.arrays import ImageDataset
from tinynet.data.cifar import CIFAR10
from tinynet.data.digits import Digits
from tinynet.data.mnist import MNIST, FashionMNIST
from tinynet.data.published import MissingDataError, PublishedImages
from tinynet.errors import ArgumentError

_PUBLISHED: dict[str, type[PublishedImages]] = {kind.NAME: kind for kind in (MNIST, FashionMNIST, CIFAR10)}
NAMES = (*_PUBLISHED, "digits")


def load(
    name: str = "mnist",
    train: bool = True,
    root: str | os.PathLike[str] | None = None,
    *,
    offline: bool = False,
    fallback: bool = True,
) -> ImageDataset:
    """Return a data set of images by its name or, where its files are missing, `Digits` with a warning.

    The training and the test part are found together: if the files of either are missing, both calls give
    `Digits`, so that no program trains on one data set and tests on another.  A file that is there but
    damaged always raises.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist", "cifar-10", "digits"}, default "mnist"
        The data set.
    train : bool, default True
        The training or the test examples.
    root : str or os.PathLike, optional
        Folder to look in first; see `MNIST` and `CIFAR10`.
    offline : bool, default False
        Never touch the network.
    fallback : bool, default True
        Whether `Digits` stands in for missing files.

    Returns
    -------
    ImageDataset
        Its attribute ``name`` says which one it is; put it on every result.  `Digits` are grey and 28 x 28,
        also in the place of the colour images of CIFAR-10.

    Warns
    -----
    UserWarning
        If `Digits` stands in.

    Raises
    ------
    DTypeError, ArgumentError
        If there is no data set of this name, or another argument is of the wrong type.
    DataError
        If a file is damaged; if files are missing and `fallback` is False (`MissingDataError`).
    """
    train, offline = boolean("load", "train", train), boolean("load", "offline", offline)
    fallback = boolean("load", "fallback", fallback)
    if name == "digits":
        return Digits(train)
    if name not in NAMES:
        raise ArgumentError(f"load: name must be one of {', '.join(map(repr, NAMES))}; got {name!r}")
    kind = _PUBLISHED[name]
    try:
        for part in (True, False):
            kind.require(root, part, download=not offline)
        return kind(root, train, download=False)
    except MissingDataError as error:
        if not fallback:
            raise
        warnings.warn(f"using scikit-learn's small 'digits' instead of {name!r}.  {error}", stacklevel=2)
        return Digits(train)
