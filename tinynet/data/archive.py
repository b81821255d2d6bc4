"""Files out of a tar archive that is known by its checksums, written one by one, complete or not at all.

Nothing of the archive decides where a file goes: only members with the expected names, sizes and checksums
are written, under names of ours; a link or a member of another name ends it with an error.
"""

from __future__ import annotations

import io
import sys
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from tinynet.data.download import Published, mismatch
from tinynet.data.published import writing
from tinynet.errors import DataError
from tinynet.io.atomic import atomic_write


def extract(
    content: bytes, place: str, members: tuple[Published, ...], others: tuple[str, ...], folder: Path
) -> None:
    """Write files of a .tar.gz archive into a folder.

    Parameters
    ----------
    content : bytes
        The archive, whose own checksum should have been compared before.
    place : str
        Where it comes from, for error messages.
    members : tuple of Published
        What is written.  All of them lie in one folder of the archive, named as `folder` is.
    others : tuple of str
        Names of further files there, which are left out.
    folder : pathlib.Path
        Where to; made if there is none.

    Raises
    ------
    DataError
        If the archive is damaged or holds anything else.
    DownloadError
        If a file could not be written.
    """
    print(f"tinynet: extracting {place} into {folder}", file=sys.stderr, flush=True)
    wanted = {f"{folder.name}/{file.name}": file for file in members}
    accepted = {folder.name, *wanted, *(f"{folder.name}/{name}" for name in others)}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r|gz") as archive:
            for member in archive:
                if member.name not in accepted:
                    raise DataError(
                        f"{place}: the archive must hold {_listed(accepted)} only; got {member.name!r}"
                    )
                if not (member.isdir() if member.name == folder.name else member.isfile()):
                    raise DataError(f"{place}: {member.name} must be a file; got a link or something else")
                if (file := wanted.pop(member.name, None)) is not None:
                    _write(archive, member, file, place, folder)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{place}: the file must be an intact .tar.gz archive; got: {error}") from error
    if wanted:
        raise DataError(f"{place}: the archive must hold {_listed(wanted)}; got no such file")


def _write(
    archive: tarfile.TarFile, member: tarfile.TarInfo, file: Published, place: str, folder: Path
) -> None:
    if member.size != file.size:
        raise DataError(f"{place}: {member.name} must have {file.size} bytes; got {member.size}")
    stream = archive.extractfile(member)
    assert stream is not None  # a regular file
    received = stream.read()
    if (problem := mismatch(received, file)) is not None:
        raise DataError(f"{place}: {member.name}: {problem}")
    with writing(file.name, folder), atomic_write(folder / file.name, "wb") as target:
        target.write(received)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
