"""What the command lines of the studies share: numbers with bounds, and a data set with its stand-in."""

from __future__ import annotations

import argparse
import math
import os
import warnings
from collections.abc import Callable

from tinynet import data
from tinynet.data import ImageDataset


def integer(least: int) -> Callable[[str], int]:
    """Return argparse's converter to integers of at least `least`; 50,000 may be written with its comma."""

    def convert(text: str) -> int:
        try:
            value = int(text.replace(",", ""))
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"must be an integer >= {least}; got {text!r}")
        return value

    return convert


def number(positive: bool) -> Callable[[str], float]:
    """Return argparse's converter to finite numbers, above zero or (not `positive`) zero too."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and (value > 0 if positive else value >= 0)):
            raise argparse.ArgumentTypeError(
                f"must be a finite number {'> 0' if positive else '>= 0'}; got {text!r}"
            )
        return value

    return convert


def load_parts(
    name: str, root: str | os.PathLike[str] | None, offline: bool
) -> tuple[ImageDataset, ImageDataset, list[str]]:
    """Load a data set of images, or the one that stands in for it.

    Parameters
    ----------
    name : str
        One of `tinynet.data.NAMES`.
    root : str or os.PathLike, optional
        The folder to look in first.
    offline : bool
        Never touch the network.

    Returns
    -------
    tuple of ImageDataset, ImageDataset, list of str
        The training part, the test part of the same data set, and the warnings to show: there is one if
        another data set stands in.

    Raises
    ------
    DataError
        If a file is damaged.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training = data.load(name, True, root, offline=offline)
        test = data.load(training.name, False, root, offline=True, fallback=False)
    return training, test, [str(warning.message) for warning in caught]
