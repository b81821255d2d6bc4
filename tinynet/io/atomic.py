"""Files that appear complete or not at all.

The new content goes into a temporary file in the folder of the target (a rename is atomic within one file
system only), is forced to the disk, and takes the target's name in one `os.replace`; then the folder is
forced to the disk, because the new name lives there.  Whatever interrupts this - an error, Ctrl-C, a full
disk - leaves the old file as it was and no temporary file; a crash of the machine leaves the old file or
the new one.  This module imports nothing of tinynet but its errors.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tinynet.errors import ArgumentError, DataError, DTypeError

_MODES = ("w", "wb")


@contextmanager
def atomic_path(path: str | os.PathLike[str], *, operation: str = "atomic_path") -> Iterator[Path]:
    """Give a temporary path that becomes `path` when the block ends without an exception.

    For writers that want a file name; `atomic_write` is the version for those that want a file object.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write.  A symbolic link is followed: the file that it points to is replaced.
    operation : str
        The name that error messages begin with.

    Yields
    ------
    pathlib.Path
        An empty file in the same folder, with the permissions of the old file or, where there is none,
        those of a newly created file.  It is renamed to `path` at the end of the block and removed if the
        block raises.

    Raises
    ------
    DTypeError
        If `path` is no path.
    DataError
        If the folder does not exist or `path` is a folder.  Other errors of the operating system come as
        they are.

    Examples
    --------
    >>> import numpy as np
    >>> from tinynet.io import atomic_path
    >>> with atomic_path("weights.bin") as temporary:
    ...     np.arange(3.0).tofile(temporary)
    >>> np.fromfile("weights.bin")
    array([0., 1., 2.])
    """
    target = Path(os.path.realpath(checked_path(path, operation)))
    if not target.parent.is_dir():
        raise DataError(
            f"{operation}: the folder of {str(path)!r} must exist; got no folder {str(target.parent)!r}"
        )
    if target.is_dir():
        raise DataError(f"{operation}: path must be a file; got the folder {str(path)!r}")
    temporary = target.parent / f".{target.name[:200]}.{secrets.token_hex(8)}.tmp"
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # 0o666: the umask decides
        with suppress(FileNotFoundError):
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        mode = stat.S_IMODE(os.stat(temporary).st_mode)
        yield temporary
        os.chmod(temporary, mode)  # writers may have put a private file in its place
        _fsync(temporary, os.O_RDWR)
        os.replace(temporary, target)
    except BaseException:  # KeyboardInterrupt and GeneratorExit too
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        _fsync(target.parent, os.O_RDONLY)


@contextmanager
def atomic_write(
    path: str | os.PathLike[str],
    mode: str = "w",
    *,
    encoding: str | None = None,
    newline: str | None = None,
    operation: str = "atomic_write",
) -> Iterator[IO[Any]]:
    """Open a file for writing that appears under `path` only when the block ends without an exception.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write; its folder must exist.
    mode : {"w", "wb"}, default "w"
        Text or bytes.
    encoding : str, optional
        Of text; default UTF-8 on every system.
    newline : str, optional
        As for `open`; ``csv.writer`` wants ``newline=""``.
    operation : str
        The name that error messages begin with.

    Yields
    ------
    file object
        A writable, seekable file.  The block may close it.

    Raises
    ------
    ArgumentError
        If `mode` is another one.
    DTypeError
        If `path` is no path.
    DataError
        If the folder does not exist or `path` is a folder.

    Examples
    --------
    >>> from tinynet.io import atomic_write
    >>> with atomic_write("results.csv") as file:
    ...     _ = file.write("step,accuracy")
    >>> from pathlib import Path
    >>> Path("results.csv").read_text()
    'step,accuracy'
    """
    if mode not in _MODES:
        raise ArgumentError(f"{operation}: mode must be 'w' or 'wb'; got {mode!r}")
    if mode == "w" and encoding is None:
        encoding = "utf-8"
    with (
        atomic_path(path, operation=operation) as temporary,
        open(temporary, mode, encoding=encoding, newline=newline) as file,
    ):
        yield file


def checked_path(path: str | os.PathLike[str], operation: str) -> Path:
    """Return `path` as a Path if it is one; a number, which `open` would take for an open file, is none."""
    if not isinstance(path, (str, os.PathLike)):
        raise DTypeError(f"{operation}: path must be str or os.PathLike; got {path!r}")
    return Path(path)


def _fsync(path: Path, flags: int) -> None:
    """Force the content of a file, or the names of a folder, to the disk."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
