"""CIFAR-10: the binary version as published, found, fetched, checked and read; nothing is unpickled.

Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.  Six files of 10,000 records each; a
record is a byte, the class, and 3,072 bytes, the pixels: 32 rows of 32 of red, then of green, then of blue.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tinynet.data.archive import extract
from tinynet.data.download import Published, mismatch
from tinynet.data.idx import read_bytes
from tinynet.data.published import PublishedImages, download_to, unwritable
from tinynet.errors import DataError

_RECORD = 1 + 3 * 32 * 32  # bytes


class CIFAR10(PublishedImages):
    """Photographs of 32 x 32 pixels in ten classes (Krizhevsky 2009): 50,000 to train, 10,000 to test.

    The files (data_batch_1 to _5|test_batch).bin of the binary version are looked for in the subfolders
    ``cifar-10/cifar-10-batches-bin``, ``cifar-10-batches-bin`` and ``cifar-10`` of `root`, of the folder in
    the environment variable TINYNET_DATA (empty means unset) and of the user cache ($XDG_CACHE_HOME/tinynet,
    else ~/.cache/tinynet).  If they are in none, the archive cifar-10-binary.tar.gz is looked for in the same
    folders and in their subfolder ``cifar-10``; if it is nowhere, it is downloaded (170 MB), with progress on
    stderr.  The archive and each file in it must have their published checksums; the files are written into
    ``cifar-10-batches-bin`` beside the archive or, if it was downloaded, in ``cifar-10`` of the first folder
    searched.  A network that does not answer costs 3 s, one that is too slow 10 s.

    Parameters
    ----------
    root : str or os.PathLike, optional
        Folder to look in first.
    train : bool, default True
        The training or the test examples.
    transform : callable, optional
        Function of one image: takes the Tensor of uint8 (3, 32, 32) and returns what a sample is to hold in
        its place.  Then a loader makes its batches sample by sample; `Normalize` and `Augment`, which are to
        be given to the loader, do that for whole batches.
    target_transform : callable, optional
        Function of one label: takes an int and returns what is to take its place.
    download : bool, default True
        Download the archive if need be; False never touches the network.

    Raises
    ------
    DTypeError
        If an argument is of another type.
    MissingDataError
        If the files are nowhere and could not be downloaded; the message says what to put where.  A
        DataError.
    DataError
        If a file is damaged: another length, a class above 9, an archive with other checksums.

    See Also
    --------
    ImageDataset : attributes and methods; ``images`` is (N, 3, 32, 32), in this order in memory too.

    Notes
    -----
    ``mean`` and ``std`` are those of all training pixels, rounded to four places.
    """

    NAME = "cifar-10"
    CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    FILES: ClassVar[dict[bool, tuple[str, ...]]] = {
        True: tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        False: ("test_batch.bin",),
    }
    FOLDER = "cifar-10-batches-bin"
    SUBFOLDERS = (f"{NAME}/{FOLDER}", FOLDER, NAME)
    MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
    ARCHIVE: ClassVar[Published] = Published(
        "cifar-10-binary.tar.gz",
        170052171,
        "c32a1d4ab5d03f1284b67883e8d87530",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    )
    MEMBERS: ClassVar[tuple[Published, ...]] = (
        Published(
            "data_batch_1.bin",
            30730000,
            "5dd7e06a14cb22eb9f671a540d1b7c25",
            "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        ),
        Published(
            "data_batch_2.bin",
            30730000,
            "5ea93a67294ea407fff1d09f752e9692",
            "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        ),
        Published(
            "data_batch_3.bin",
            30730000,
            "942cd6a4bcdd0dd3c604fbe906cb4421",
            "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        ),
        Published(
            "data_batch_4.bin",
            30730000,
            "ae636b3ba5c66a11e91e8cb52e771fcb",
            "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        ),
        Published(
            "data_batch_5.bin",
            30730000,
            "53f37980c15c3d472c316c40844f3f0d",
            "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        ),
        Published(
            "test_batch.bin",
            30730000,
            "803d5f7f4d78ea53de84dbe85f74fb6d",
            "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        ),
    )
    OTHERS = ("batches.meta.txt", "readme.html")  # in the archive too, of no use here

    @classmethod
    def _search(cls, bases: list[Path], names: tuple[str, ...]) -> tuple[Path, ...]:
        """Return all these files from one folder, from an archive that lies there if need be."""
        if found := super()._search(bases, names):
            return found
        folders = [folder for base in bases for folder in (base / cls.NAME, base)]
        archive = next((path for folder in folders if (path := cls._find(folder, cls.ARCHIVE.name))), None)
        if archive is None:
            return ()
        content = read_bytes(archive, cls.ARCHIVE.size + 1)
        if (problem := mismatch(content, cls.ARCHIVE)) is not None:
            raise DataError(f"{archive}: {problem}")
        target = next((folder for folder in (archive.parent, *folders) if unwritable(folder) is None), None)
        if target is None:
            raise DataError(f"{archive}: the folder must be one that can be written to, to extract it")
        extract(content, str(archive), cls.MEMBERS, cls.OTHERS, target / cls.FOLDER)
        return super()._search(bases, names)

    @classmethod
    def _download(cls, names: tuple[str, ...], folder: Path) -> None:
        content = download_to(cls.ARCHIVE, cls.MIRRORS, folder)
        extract(content, cls.ARCHIVE.name, cls.MEMBERS, cls.OTHERS, folder / cls.FOLDER)

    @classmethod
    def _missing(cls, names: tuple[str, ...], bases: list[Path], reason: str) -> str:
        folders = ", ".join(str(base / cls.NAME / cls.FOLDER) for base in bases)
        wanted = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
        return (
            f"{wanted} must be in a folder searched; got no such files in {folders}, and {reason}. "
            f"Put {cls.ARCHIVE.name}, from {cls.MIRRORS[0]}{cls.ARCHIVE.name}, into {bases[0] / cls.NAME}"
        )

    @classmethod
    def _read(cls, paths: tuple[Path, ...]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        sizes = {member.name: member.size for member in cls.MEMBERS}
        total = sum(sizes[path.name] for path in paths) // _RECORD
        images = np.empty((total, 3, 32, 32), np.uint8)
        labels = np.empty(total, np.int64)
        start = 0
        for path in paths:
            size = sizes[path.name]
            content = read_bytes(path, size + 1)
            if len(content) != size:
                received = "more" if len(content) > size else f"{len(content)}: the file is truncated"
                raise DataError(
                    f"{path}: the file must have {size} bytes, {size // _RECORD} records of {_RECORD}; "
                    f"got {received}"
                )
            records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
            classes = records[:, 0]
            if classes.max() > 9:
                raise DataError(
                    f"{path}: labels must lie in 0..9; got {classes.max()} in record {classes.argmax()}"
                )
            end = start + len(records)
            labels[start:end] = classes
            images[start:end].reshape(-1, _RECORD - 1)[...] = records[:, 1:]
            start = end
        return images, labels
