"""Digits: 1,797 real handwritten digits that come with scikit-learn, in the form of MNIST.

Source: Alpaydin, Kaynak, Optical recognition of handwritten digits, UCI Machine Learning Repository, 1998
(its test set): 8 x 8 pixels with values 0..16.  They make a data set that needs no download.  It is far
smaller and coarser than MNIST, and its name stands on every result.
"""

from __future__ import annotations

import numpy as np

from tinynet._check import boolean
from tinynet.data.arrays import ImageDataset
from tinynet.errors import DataError

TRAIN_SIZE = 1437  # the other 360 test
_SPLIT_KEY = 1797
_MEAN, _STD = (0.2248,), (0.3496,)  # of the training pixels


class Digits(ImageDataset):
    """scikit-learn's bundled digits, brought to 28 x 28: 1,437 to train, 360 to test.

    Every pixel becomes 3 x 3 pixels, with a border of 2 zeros around; its value v in 0..16 becomes 255 v /
    16, rounded half up. The split is one fixed permutation of all 1,797, the same on every machine; it is
    not stratified (each class is within a few per cent of a tenth in both parts).

    Parameters
    ----------
    train : bool, default True
        The training or the test examples.

    Raises
    ------
    DTypeError
        If `train` is no bool.
    DataError
        If scikit-learn is not installed.

    See Also
    --------
    ImageDataset : attributes and methods.
    """

    def __init__(self, train: bool = True) -> None:
        train = boolean("Digits", "train", train)
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise DataError(
                "Digits: scikit-learn, which holds the images, must be installed, "
                f"for example with the extra 'examples'; got: {error}"
            ) from error
        bunch = load_digits()
        # 64-bit words of a bit generator are the same in every version of NumPy, the methods of Generator
        # need not be.
        order = np.argsort(np.random.Philox(key=_SPLIT_KEY).random_raw(len(bunch.target)), kind="stable")
        chosen = order[:TRAIN_SIZE] if train else order[TRAIN_SIZE:]
        small = bunch.images[chosen].astype(np.int64)  # (n, 8, 8)
        scaled = ((small * 255 + 8) // 16).astype(np.uint8)
        large = scaled.repeat(3, axis=1).repeat(3, axis=2)  # (n, 24, 24)
        images = np.pad(large, ((0, 0), (2, 2), (2, 2)))  # (n, 28, 28)
        labels = bunch.target[chosen].astype(np.int64)
        super().__init__(images, labels, "digits", tuple("0123456789"), _MEAN, _STD)
