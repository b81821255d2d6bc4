"""IDX files: the form in which MNIST and its relatives are published.

An IDX file is a header of big-endian 32-bit words - the magic number 0x000008nn (08: unsigned bytes, nn:
the number of dimensions), then the nn dimensions - and the bytes.  The header is believed only where the
length agrees: a file is never decompressed beyond one byte more than it announces.
"""

from __future__ import annotations

import math
import os
import struct
import sys
import zlib

import numpy as np
import numpy.typing as npt

from tinynet.errors import DataError

_GZIP = b"\x1f\x8b"  # how a gzip file begins


def read_idx(path: str | os.PathLike[str], ndim: int) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or compressed by gzip (told by the content, not by the name).

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    ndim : int
        The number of dimensions that it must have: 3 for images, 1 for labels.

    Returns
    -------
    numpy.ndarray of `ndim` dimensions, uint8
        A new array.

    Raises
    ------
    DataError
        If the file cannot be read, its magic number is another one, or its length is not what the header
        announces; the message names file, expected and received.
    """
    file = _Compressed(path) if _starts_with_gzip(path) else _Plain(path)
    header = file.read(4 * (1 + ndim))
    magic = 0x0800 | ndim
    if len(header) < 4 * (1 + ndim):
        raise DataError(
            f"{path}: the header must have {4 * (1 + ndim)} bytes; got {len(header)}: the file is truncated"
        )
    received, *shape = struct.unpack(f">{1 + ndim}I", header)
    if received != magic:
        raise DataError(f"{path}: the magic number must be 0x{magic:08x}; got 0x{received:08x}")
    if 0 in shape:
        raise DataError(f"{path}: every dimension must be positive; got {tuple(shape)}")
    expected = math.prod(shape)
    content = file.read(expected + 1)
    announced = f"the header {tuple(shape)} announces {expected} bytes"
    if len(content) < expected:
        raise DataError(f"{path}: {announced}; got {len(content)}: the file is truncated")
    if len(content) > expected:
        raise DataError(f"{path}: {announced}; got more")
    file.check_end()
    array: npt.NDArray[np.uint8] = np.frombuffer(content, dtype=np.uint8).reshape(shape).copy()
    return array


class _Plain:
    """The bytes of a file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._content = read_bytes(path)
        self._position = 0

    def read(self, size: int) -> bytes:
        start = self._position
        self._position += size
        return self._content[start : start + size]

    def check_end(self) -> None:
        """Nothing to do: `read` has shown whether more follows."""


class _Compressed:
    """The bytes of a gzip file, decompressed only as far as they are asked for."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._rest = read_bytes(path)
        self._stream = zlib.decompressobj(wbits=31)  # 31: the gzip form, with its CRC-32 checked at the end

    def read(self, size: int) -> bytes:
        try:
            content = self._stream.decompress(self._rest, min(size, sys.maxsize))
        except zlib.error as error:
            raise DataError(f"{self._path}: the file must be intact gzip; got {error}") from error
        self._rest = self._stream.unconsumed_tail
        return content

    def check_end(self) -> None:
        """After the byte too many was asked for and did not come: the stream must be complete, and alone."""
        if not self._stream.eof:
            raise DataError(f"{self._path}: the gzip stream must end with its checksum; got a truncated file")
        if self._stream.unused_data:
            raise DataError(
                f"{self._path}: nothing may follow the gzip stream; "
                f"got {len(self._stream.unused_data)} bytes more"
            )


def read_bytes(path: str | os.PathLike[str], size: int = -1) -> bytes:
    """Return the first `size` bytes of a file, by default all; DataError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError as error:
        raise DataError(f"{path}: the file must be readable; got: {error.strerror or error}") from error


def _starts_with_gzip(path: str | os.PathLike[str]) -> bool:
    return read_bytes(path, 2) == _GZIP
