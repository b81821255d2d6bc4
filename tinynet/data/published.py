"""Data sets of images whose files are looked for and, where they are missing, downloaded.

The folders searched are `root`, that in the environment variable TINYNET_DATA and the user cache.  A download
goes into the first of them that there is.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tinynet._check import boolean
from tinynet.data.arrays import ImageDataset
from tinynet.data.download import DownloadError, Published, fetch
from tinynet.errors import DataError, DTypeError


class MissingDataError(DataError):
    """Files of a data set that are nowhere on this machine and could not, or should not, be downloaded."""


class PublishedImages(ImageDataset):
    """What the data sets of published files share; its parameters are those of `MNIST`."""

    NAME: ClassVar[str]  # also that of the folder below those searched
    CLASSES: ClassVar[tuple[str, ...]]
    MEAN: ClassVar[tuple[float, ...]]  # per channel, of the training pixels in [0, 1]
    STD: ClassVar[tuple[float, ...]]
    FILES: ClassVar[dict[bool, tuple[str, ...]]]  # names of the training and of the test files
    SUBFOLDERS: ClassVar[tuple[str, ...]]  # where below a folder searched they may lie: ours first
    MIRRORS: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        download: bool = True,
    ) -> None:
        paths = self.require(root, train, download=download)
        super().__init__(
            *self._read(paths), self.NAME, self.CLASSES, self.MEAN, self.STD, transform, target_transform
        )

    @classmethod
    def require(
        cls, root: str | os.PathLike[str] | None = None, train: bool = True, *, download: bool = True
    ) -> tuple[Path, ...]:
        """Find the files of a split, or download what is missing.

        Parameters
        ----------
        root, train
            As for the class.
        download : bool, default True
            Whether the network may be used.

        Returns
        -------
        tuple of pathlib.Path
            The files: images and labels, or those that hold both, in their order.

        Raises
        ------
        DTypeError
            If an argument is of another type.
        MissingDataError
            If a file is nowhere and could not be downloaded, or if there is no folder to look in.
        DataError
            If a file is there and damaged.
        """
        operation = cls.__name__
        names = cls.FILES[boolean(operation, "train", train)]
        download = boolean(operation, "download", download)
        bases = search_folders(root, operation)
        if not bases:
            raise MissingDataError(
                f"{operation}: there must be a folder to look in; got none: no root, no TINYNET_DATA, and no "
                f"home directory for a cache.  Set TINYNET_DATA to the folder that holds {cls.NAME}/"
            )
        if found := cls._search(bases, names):
            return found
        reason = "the network was not asked"
        if download:
            try:
                cls._download(names, bases[0] / cls.NAME)
                return cls.require(root, train, download=False)
            except DownloadError as error:
                reason = f"the download failed: {error}"
        raise MissingDataError(
            f"{operation}: {cls._missing(names, bases, reason)}, "
            f"or set TINYNET_DATA to the folder that holds {cls.NAME}/"
        )

    @classmethod
    def _search(cls, bases: list[Path], names: tuple[str, ...]) -> tuple[Path, ...]:
        """Return all these files from one folder, or an empty tuple."""
        for base in bases:
            for folder in cls._folders(base):
                found = [path for name in names if (path := cls._find(folder, name)) is not None]
                if len(found) == len(names):
                    return tuple(found)
        return ()

    @classmethod
    def _folders(cls, base: Path) -> list[Path]:
        """The folders below `base` that may hold the files, and `base` itself if it has the name of one."""
        subfolders = [Path(sub) for sub in cls.SUBFOLDERS]
        own = [base for sub in subfolders if base.absolute().parts[-len(sub.parts) :] == sub.parts]
        return [base / sub for sub in subfolders] + own

    @classmethod
    def _find(cls, folder: Path, name: str) -> Path | None:
        """Return the file of this name in `folder`, or None."""
        path = folder / name
        # os.path: where a folder may not be entered, Path.is_file raises.
        return path if os.path.isfile(path) else None

    @classmethod
    @abstractmethod
    def _download(cls, names: tuple[str, ...], folder: Path) -> None:
        """Bring these files into `folder`; raises DownloadError."""

    @classmethod
    @abstractmethod
    def _missing(cls, names: tuple[str, ...], bases: list[Path], reason: str) -> str:
        """Say which files must be where, what was found, why, and what to put where."""

    @classmethod
    @abstractmethod
    def _read(cls, paths: tuple[Path, ...]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Return images and labels."""


def search_folders(
    root: str | os.PathLike[str] | None = None, operation: str = "search_folders"
) -> list[Path]:
    """Return the folders in which data sets are looked for: `root`, $TINYNET_DATA, the user cache.

    A user without a home directory (as in many containers) has no cache unless $XDG_CACHE_HOME names it.
    `operation` is the name that error messages begin with.
    """
    if root is not None and not isinstance(root, (str, os.PathLike)):
        raise DTypeError(f"{operation}: root must be str, os.PathLike or None; got {root!r}")
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    named = {"root": root, "TINYNET_DATA": os.environ.get("TINYNET_DATA") or None}
    folders = []
    for name, folder in named.items():
        if folder is not None:
            try:
                folders.append(Path(folder).expanduser())
            except RuntimeError as error:
                raise DataError(
                    f"{operation}: {name} must be a folder; got {str(folder)!r}: {error}"
                ) from error
    with suppress(RuntimeError):
        folders.append(Path(cache).expanduser() / "tinynet")
    return folders


def download_to(file: Published, mirrors: tuple[str, ...], folder: Path) -> bytes:
    """Return the content of a published file that is to be written to `folder`, if that is possible."""
    if (obstacle := unwritable(folder)) is not None:
        raise DownloadError(f"{obstacle} must be a folder that can be written to")
    return fetch(file, mirrors)


def unwritable(folder: Path) -> Path | None:
    """Return `folder`, or what exists of the path to it, if that cannot be written to."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if os.path.exists(parent))
    return None if existing.is_dir() and os.access(existing, os.W_OK) else existing


@contextmanager
def writing(name: str, folder: Path) -> Iterator[None]:
    """Make `folder`; errors of the operating system in the block say that `name` could not be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DownloadError(f"{name} could not be written to {folder}: {error.strerror or error}") from error
