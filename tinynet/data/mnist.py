"""MNIST and Fashion-MNIST: the IDX files as published, found, fetched and checked.

MNIST: LeCun, Cortes, Burges, The MNIST database of handwritten digits, 1998.  Fashion-MNIST: Xiao, Rasul,
Vollgraf, arXiv:1708.07747, 2017.  Both are four files: images and labels of 60,000 training and 10,000 test
examples.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tinynet.data.download import Published
from tinynet.data.idx import read_idx
from tinynet.data.published import PublishedImages, download_to, writing
from tinynet.errors import DataError
from tinynet.io.atomic import atomic_write

SIDE = 28  # pixels


class _IdxImages(PublishedImages):
    """What MNIST and Fashion-MNIST share: the names of their files, plain or .gz, and how they are read."""

    FILES: ClassVar[dict[bool, tuple[str, ...]]] = {
        True: ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        False: ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    }
    PUBLISHED: ClassVar[tuple[Published, ...]]

    @classmethod
    def _find(cls, folder: Path, name: str) -> Path | None:
        return super()._find(folder, name) or super()._find(folder, f"{name}.gz")

    @classmethod
    def _download(cls, names: tuple[str, ...], folder: Path) -> None:
        for file in cls.PUBLISHED:
            if (name := file.name.removesuffix(".gz")) in names and cls._find(folder, name) is None:
                content = download_to(file, cls.MIRRORS, folder)
                with writing(file.name, folder), atomic_write(folder / file.name, "wb") as target:
                    target.write(content)

    @classmethod
    def _missing(cls, names: tuple[str, ...], bases: list[Path], reason: str) -> str:
        return (
            f"{names[0]} and {names[1]} (plain or .gz) must be in a folder searched; "
            f"got no such pair in {', '.join(str(base / cls.NAME) for base in bases)}, and {reason}. "
            f"Put both files into {bases[0] / cls.NAME}"
        )

    @classmethod
    def _read(cls, paths: tuple[Path, ...]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        images_path, labels_path = paths
        images = read_idx(images_path, 3)
        labels = read_idx(labels_path, 1)
        if images.shape[1:] != (SIDE, SIDE):
            raise DataError(
                f"{images_path}: images must be {SIDE} x {SIDE}; got {images.shape[1]} x {images.shape[2]}"
            )
        if len(labels) != len(images):
            raise DataError(
                f"{labels_path}: there must be as many labels as images in {images_path}, {len(images)}; "
                f"got {len(labels)}"
            )
        if (highest := int(labels.max())) > 9:
            raise DataError(
                f"{labels_path}: labels must lie in 0..9; got {highest} at index {int(labels.argmax())}"
            )
        return images, labels.astype(np.int64)


class MNIST(_IdxImages):
    """Handwritten digits (LeCun, Cortes, Burges 1998): 60,000 to train, 10,000 to test.

    The files (train|t10k)-(images-idx3|labels-idx1)-ubyte, plain or .gz, are looked for in the subfolder
    ``mnist`` (or torchvision's ``MNIST/raw``) of `root`, of the folder in the environment variable
    TINYNET_DATA (empty means unset) and of the user cache ($XDG_CACHE_HOME/tinynet, else ~/.cache/tinynet).
    Missing files are downloaded into the first of these, with progress on stderr, and checked against their
    published size, MD5 and SHA-256.  A network that does not answer costs 3 s, one that is too slow 10 s.

    Parameters
    ----------
    root : str or os.PathLike, optional
        Folder to look in first.
    train : bool, default True
        The training or the test examples.
    transform : callable, optional
        Function of one image: takes the Tensor of uint8 and returns what a sample is to hold in its place.
        Then a loader makes its batches sample by sample; `Normalize` and `Augment`, which are to be given to
        the loader, do that for whole batches.
    target_transform : callable, optional
        Function of one label: takes an int and returns what is to take its place.
    download : bool, default True
        Download missing files; False never touches the network.

    Raises
    ------
    DTypeError
        If an argument is of another type.
    MissingDataError
        If the files are nowhere and could not be downloaded; the message says which files to put where.  A
        DataError.
    DataError
        If a file is damaged: wrong magic number, dimensions or length, bad compression, a label above 9,
        other counts.

    See Also
    --------
    ImageDataset : attributes and methods.
    """

    NAME = "mnist"
    CLASSES = tuple("0123456789")
    MEAN, STD = (0.1307,), (0.3081,)
    SUBFOLDERS = ("mnist", "MNIST/raw")
    MIRRORS = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    PUBLISHED = (
        Published(
            "train-images-idx3-ubyte.gz",
            9912422,
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        Published(
            "train-labels-idx1-ubyte.gz",
            28881,
            "d53e105ee54ea40749a09fcbcd1e9432",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        Published(
            "t10k-images-idx3-ubyte.gz",
            1648877,
            "9fb629c4189551a2d022fa330f9573f3",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        Published(
            "t10k-labels-idx1-ubyte.gz",
            4542,
            "ec29112dd5afa0611ce80d1b7f02629c",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    )


class FashionMNIST(_IdxImages):
    """Clothing in the form of MNIST (Xiao, Rasul, Vollgraf 2017): 60,000 to train, 10,000 to test.

    Parameters, search, download and errors are those of `MNIST`, with the subfolder ``fashion-mnist`` (or
    torchvision's ``FashionMNIST/raw``).

    See Also
    --------
    ImageDataset : attributes and methods.
    """

    NAME = "fashion-mnist"
    CLASSES = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    MEAN, STD = (0.2860,), (0.3530,)
    SUBFOLDERS = ("fashion-mnist", "FashionMNIST/raw")
    MIRRORS = (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    )  # no https there; SHA-256 is checked
    PUBLISHED = (
        Published(
            "train-images-idx3-ubyte.gz",
            26421880,
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        Published(
            "train-labels-idx1-ubyte.gz",
            29515,
            "25c81989df183df01b3e8a0aad5dffbe",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        Published(
            "t10k-images-idx3-ubyte.gz",
            4422102,
            "bef4ecab320f06d8554ea6380940ec79",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        Published(
            "t10k-labels-idx1-ubyte.gz",
            5148,
            "bb300cfdad3c16e7a12a480ee83cd310",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    )
