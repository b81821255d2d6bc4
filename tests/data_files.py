"""IDX files made by hand, and a machine on which no data set is found by accident."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest


def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no data set be found but in a test's own folders, and let asking the network fail the test."""
    monkeypatch.delenv("TINYNET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def refuse(*args: object) -> bytes:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("tinynet.data.published.fetch", refuse)


def images_bytes(n: int = 3, rows: int = 28, columns: int = 28, magic: int = 0x803) -> bytes:
    pixels = bytes((7 * i) % 256 for i in range(n * rows * columns))
    return struct.pack(">4I", magic, n, rows, columns) + pixels


def labels_bytes(labels: tuple[int, ...] = (5, 0, 9), magic: int = 0x801) -> bytes:
    return struct.pack(">2I", magic, len(labels)) + bytes(labels)


def put(
    root: Path,
    images: bytes | None = None,
    labels: bytes | None = None,
    *,
    sub: str = "mnist",
    suffix: str = "",
    part: str = "train",
) -> Path:
    """Write one part of a data set, three images by default; return its folder."""
    folder = root / sub
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}-images-idx3-ubyte{suffix}").write_bytes(images_bytes() if images is None else images)
    (folder / f"{part}-labels-idx1-ubyte{suffix}").write_bytes(labels_bytes() if labels is None else labels)
    return folder
