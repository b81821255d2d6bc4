"""IDX files, MNIST and FashionMNIST: read against bytes written by hand, searched, refused."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import images_bytes, labels_bytes, no_data, put

import tinynet
from tinynet.data import MNIST, DataLoader, FashionMNIST, MissingDataError, idx, read_idx
from tinynet.data.published import search_folders
from tinynet.errors import ArgumentError, DataError, DTypeError

REAL = os.environ.get("TINYNET_DATA")  # as the caller of pytest has set it


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_data(tmp_path, monkeypatch)


# ---- reading


@pytest.mark.parametrize("compressed", [False, True])
def test_values(tmp_path: Path, compressed: bool) -> None:
    pack: Any = gzip.compress if compressed else bytes
    put(tmp_path, pack(images_bytes()), pack(labels_bytes()), suffix=".gz" if compressed else "")
    data = MNIST(tmp_path)
    assert data.images.shape == (3, 28, 28)
    assert data.images.dtype == np.uint8
    assert data.images.flags.writeable
    for n, row, column in [(0, 0, 0), (0, 0, 27), (1, 2, 3), (2, 27, 27)]:
        assert data.images[n, row, column] == (7 * (784 * n + 28 * row + column)) % 256
    assert data.labels.dtype == np.int64
    assert data.labels.tolist() == [5, 0, 9]
    assert (data.name, data.classes, len(data)) == ("mnist", tuple("0123456789"), 3)
    image, label = data[1]
    assert isinstance(image, tinynet.Tensor)
    assert image.shape == (28, 28)
    assert label.item() == 0
    assert repr(data) == "MNIST('mnist', 3 images)"


def test_flat(tmp_path: Path) -> None:
    put(tmp_path)
    data = MNIST(tmp_path)
    flat = data.flat()
    assert (flat.shape, flat.dtype) == ((3, 784), np.float32)
    np.testing.assert_array_equal(flat, np.float32(data.images.reshape(3, 784) / 255.0))
    assert flat.max() == 1
    for threshold in (0, 0.5, 127 / 255, 254 / 255):
        binary = data.flat(binary_threshold=threshold)
        assert binary.dtype == np.float32
        np.testing.assert_array_equal(binary, data.images.reshape(3, 784) / 255.0 > threshold)
    for threshold, message in (
        (-0.1, r"a number in \[0, 1\)"),
        (1, r"a number in \[0, 1\)"),
        (np.nan, "a finite"),
    ):
        with pytest.raises(ArgumentError, match=f"^flat: binary_threshold must be {message}"):
            data.flat(threshold)
    with pytest.raises(DTypeError, match=r"^flat: binary_threshold must be a finite number; got 'a'"):
        data.flat("a")


def test_loader_over_images(tmp_path: Path) -> None:
    put(tmp_path)
    x, y = next(iter(DataLoader(MNIST(tmp_path), 2)))
    assert (x.shape, x.dtype, y.tolist()) == ((2, 28, 28), np.uint8, [5, 0])


def test_test_part_and_fashion(tmp_path: Path) -> None:
    put(tmp_path, part="t10k", labels=labels_bytes((1, 2, 3)))
    assert MNIST(tmp_path, train=False).labels.tolist() == [1, 2, 3]
    with pytest.raises(MissingDataError):
        MNIST(tmp_path, train=True, download=False)
    put(tmp_path, sub="fashion-mnist", labels=labels_bytes((9, 9, 0)))
    data = FashionMNIST(tmp_path)
    assert (data.name, data.classes[9], len(data.classes)) == ("fashion-mnist", "Ankle boot", 10)
    assert data.labels.tolist() == [9, 9, 0]


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    put(tmp_path, gzip.compress(images_bytes()), labels_bytes())  # gzip without .gz
    assert len(MNIST(tmp_path)) == 3


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"the header must have 16 bytes; got 0: the file is truncated"),
        (images_bytes()[:9], r"the header must have 16 bytes; got 9: the file is truncated"),
        (images_bytes(magic=0x801), r"the magic number must be 0x00000803; got 0x00000801"),
        (b"<!DOCTYPE html><html>", r"the magic number must be 0x00000803; got 0x3c21444f"),
        (
            images_bytes()[:-1],
            r"the header \(3, 28, 28\) announces 2352 bytes; got 2351: the file is truncated",
        ),
        (images_bytes() + b"\0", r"the header \(3, 28, 28\) announces 2352 bytes; got more"),
        (images_bytes(rows=27), r"images must be 28 x 28; got 27 x 28"),
        (images_bytes(n=0), r"every dimension must be positive; got \(0, 28, 28\)"),
        (
            struct.pack(">4I", 0x803, *3 * [2**32 - 1]),
            r".* announces \d{29} bytes; got 0: the file is truncated",
        ),
    ],
    ids=["empty", "short-header", "other-magic", "html", "truncated", "trailing", "shape", "none", "huge"],
)
def test_bad_images(tmp_path: Path, content: bytes, message: str, compressed: bool) -> None:
    if compressed:
        content = gzip.compress(content)
    path = put(tmp_path, content) / "train-images-idx3-ubyte"
    with pytest.raises(DataError, match=f"^{path}: {message}") as caught:
        MNIST(tmp_path)
    assert not isinstance(caught.value, MissingDataError)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (labels_bytes((1, 2)), r"there must be as many labels as images in .*images-idx3-ubyte, 3; got 2"),
        (labels_bytes((1, 10, 2)), r"labels must lie in 0\.\.9; got 10 at index 1"),
        (labels_bytes(magic=0x802), r"the magic number must be 0x00000801; got 0x00000802"),
        (labels_bytes()[:-1], r"the header \(3,\) announces 3 bytes; got 2"),
    ],
)
def test_bad_labels(tmp_path: Path, content: bytes, message: str) -> None:
    path = put(tmp_path, labels=content) / "train-labels-idx1-ubyte"
    with pytest.raises(DataError, match=f"^{path}: {message}"):
        MNIST(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda z: z[:-1], "the gzip stream must end with its checksum; got a truncated file"),
        (lambda z: z[:-8], "the gzip stream must end with its checksum; got a truncated file"),
        (lambda z: z[: len(z) // 2], "truncated"),
        (lambda z: z + b"x", "nothing may follow the gzip stream; got 1 bytes more"),
        (lambda z: z + gzip.compress(b"more"), r"nothing may follow the gzip stream; got \d+ bytes more"),
        (lambda z: z[:-8] + bytes(4) + z[-4:], "the file must be intact gzip; got .*incorrect data check"),
        (lambda z: z[:-4] + bytes(4), "the file must be intact gzip; got .*incorrect length check"),
        (lambda z: z[:2] + b"\xff" + z[3:], "the file must be intact gzip; got"),
        (lambda z: z[:10] + b"\xff\xff\xff" + z[13:], "the file must be intact gzip; got"),
    ],
)
def test_damaged_gzip(tmp_path: Path, damage: Any, message: str) -> None:
    path = put(tmp_path, damage(gzip.compress(images_bytes()))) / "train-images-idx3-ubyte"
    with pytest.raises(DataError, match=f"^{path}: .*{message}"):
        MNIST(tmp_path)


def test_a_gzip_bomb_is_not_decompressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    produced = []

    class Counting:
        def __init__(self, wbits: int) -> None:
            self._stream = zlib.decompressobj(wbits)

        def decompress(self, data: bytes, limit: int) -> bytes:
            assert limit > 0
            content = self._stream.decompress(data, limit)
            produced.append(len(content))
            return content

        def __getattr__(self, name: str) -> Any:
            return getattr(self._stream, name)

    class Zlib:
        error = zlib.error
        decompressobj = Counting

    monkeypatch.setattr(idx, "zlib", Zlib)
    path = put(tmp_path, gzip.compress(images_bytes() + bytes(50_000_000))) / "train-images-idx3-ubyte"
    with pytest.raises(DataError, match=r"announces 2352 bytes; got more"):
        read_idx(path, 3)
    assert produced == [16, 2353]


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing: the file must be readable; got: No such file"):
        read_idx(tmp_path / "nothing", 3)


# ---- searching


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {name: tmp_path / name for name in ("root", "variable", "cache/tinynet")}
    monkeypatch.setenv("TINYNET_DATA", str(places["variable"]))
    for number, place in enumerate(reversed(places.values())):
        put(place, labels=labels_bytes((number,) * 3))
        assert MNIST(places["root"], download=False).labels[0] == number
    assert search_folders(places["root"]) == list(places.values())
    assert MNIST(download=False).labels[0] == 1


def test_empty_variables_mean_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TINYNET_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert search_folders() == [tmp_path / ".cache" / "tinynet"]
    assert search_folders("~/x") == [tmp_path / "x", tmp_path / ".cache" / "tinynet"]


@pytest.mark.parametrize("sub", ["mnist", "MNIST/raw"])
def test_folders_below_and_the_folder_itself(tmp_path: Path, sub: str) -> None:
    folder = put(tmp_path, sub=sub)
    assert len(MNIST(tmp_path, download=False)) == 3
    assert len(MNIST(folder, download=False)) == 3
    with pytest.raises(MissingDataError):  # these files would fit, but are MNIST's by the folder's name
        FashionMNIST(folder, download=False)


def test_a_pair_from_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    incomplete = put(tmp_path / "a")
    (incomplete / "train-labels-idx1-ubyte").unlink()
    put(tmp_path / "b", labels=labels_bytes((4, 4, 4)))
    monkeypatch.setenv("TINYNET_DATA", str(tmp_path / "b"))
    assert MNIST(tmp_path / "a", download=False).labels.tolist() == [4, 4, 4]


def test_missing_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        MNIST(tmp_path / "root", download=False)
    assert str(caught.value) == (
        "MNIST: train-images-idx3-ubyte and train-labels-idx1-ubyte (plain or .gz) must be in a "
        f"folder searched; got no such pair in {tmp_path}/root/mnist, {tmp_path}/cache/tinynet/mnist, "
        "and the network was not asked. "
        f"Put both files into {tmp_path}/root/mnist, or set TINYNET_DATA to the folder that holds mnist/"
    )
    assert isinstance(caught.value, DataError)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user id without a home directory, as in many containers."""

    def fail(*args: object) -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "expanduser", lambda path: fail() if str(path).startswith("~") else path)
    monkeypatch.setattr(Path, "home", fail)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path)
    assert search_folders() == []
    assert search_folders(tmp_path) == [tmp_path]
    assert len(MNIST(tmp_path)) == 3
    for download in (False, True):
        with pytest.raises(
            MissingDataError, match=r"^MNIST: .* got none: no root, no TINYNET_DATA, and no home"
        ):
            MNIST(download=download)
    monkeypatch.setenv("TINYNET_DATA", "~/data")
    with pytest.raises(DataError, match=r"^MNIST: TINYNET_DATA must be a folder; got '~/data': Could not"):
        MNIST()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="this user may enter every folder")
def test_folder_that_may_not_be_entered(tmp_path: Path) -> None:
    put(tmp_path / "locked")
    (tmp_path / "locked").chmod(0)
    try:
        with pytest.raises(MissingDataError):
            MNIST(tmp_path / "locked", download=False)
    finally:
        (tmp_path / "locked").chmod(0o700)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": 3}, "root must be str, os.PathLike or None; got 3"),
        ({"train": "test"}, "train must be a bool; got 'test'"),
        ({"download": 1}, "download must be a bool; got 1"),
    ],
)
def test_arguments_of_another_type(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DTypeError, match=f"^FashionMNIST: {message}$"):
        FashionMNIST(**options)


# ---- the published files, where the caller has them


@pytest.mark.skipif(not REAL, reason="TINYNET_DATA is not set")
@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_published_files(kind: type[MNIST] | type[FashionMNIST]) -> None:
    try:
        parts = {train: kind(REAL, train, download=False) for train in (True, False)}
    except MissingDataError as error:
        pytest.skip(str(error))
    assert [len(part) for part in parts.values()] == [60_000, 10_000]
    if kind is MNIST:
        assert np.bincount(parts[True].labels).tolist() == [
            5923,
            6742,
            5958,
            6131,
            5842,
            5421,
            5918,
            6265,
            5851,
            5949,
        ]
        assert parts[True].labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
        assert (
            round(parts[True].flat().mean(dtype=np.float64), 4) == 0.1307
        )  # the mean that everybody normalises by
    else:
        assert np.bincount(parts[True].labels).tolist() == [6000] * 10
        assert round(parts[True].flat().mean(dtype=np.float64), 4) == 0.2860
