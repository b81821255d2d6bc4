"""CIFAR10: read against bytes written by hand, searched, extracted, refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import no_data

import tinynet
from tinynet.data import CIFAR10, DataLoader, MissingDataError, Normalize, load
from tinynet.data.download import DownloadError, Published
from tinynet.errors import DataError, DTypeError

REAL = os.environ.get("TINYNET_DATA")  # as the caller of pytest has set it
RECORDS = 4  # in every file here
FOLDER = "cifar-10-batches-bin"
NAMES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]


def published(name: str, content: bytes) -> Published:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return Published(name, len(content), md5, hashlib.sha256(content).hexdigest())


def record(number: int, file: int) -> bytes:
    """Label (file + number) % 10; each plane has its own rule."""
    planes = [[(file * 50 + number + colour * 7 + 3 * i) % 256 for i in range(1024)] for colour in range(3)]
    return bytes([(file + number) % 10, *planes[0], *planes[1], *planes[2]])


FILES = {name: b"".join(record(n, f) for n in range(RECORDS)) for f, name in enumerate(NAMES)}
Change = Callable[[tarfile.TarFile], None]


def entry(name: str, content: bytes = b"", **changes: Any) -> tuple[tarfile.TarInfo, io.BytesIO]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in changes.items():
        setattr(member, key, value)
    return member, io.BytesIO(content)


def archive_of(*more: Any, files: dict[str, bytes] | None = None, before: bool = False) -> bytes:
    """The archive as its publisher has it, small, with further entries."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(entry(FOLDER, type=tarfile.DIRTYPE)[0])
        for one in more if before else ():
            archive.addfile(*one)
        for name, data in {**(FILES if files is None else files), "batches.meta.txt": b"airplane\n"}.items():
            archive.addfile(*entry(f"{FOLDER}/{name}", data))
        archive.addfile(*entry(f"{FOLDER}/readme.html", b"<html>"))
        for one in () if before else more:
            archive.addfile(*one)
    return content.getvalue()


ARCHIVE = archive_of()


def announce(monkeypatch: pytest.MonkeyPatch, archive: bytes) -> None:
    """Let this be the published archive."""
    monkeypatch.setattr(CIFAR10, "ARCHIVE", published("cifar-10-binary.tar.gz", archive))


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_data(tmp_path, monkeypatch)
    monkeypatch.setattr(CIFAR10, "MEMBERS", tuple(published(*item) for item in FILES.items()))
    announce(monkeypatch, ARCHIVE)


def put(root: Path, sub: str = f"cifar-10/{FOLDER}", **changes: bytes | None) -> Path:
    """Write the files, some of them changed or left out; return their folder."""
    folder = root / sub
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        changed = changes.get(name.removesuffix(".bin"), content)
        if changed is not None:
            (folder / name).write_bytes(changed)
    return folder


def put_archive(folder: Path, content: bytes = ARCHIVE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cifar-10-binary.tar.gz").write_bytes(content)
    return folder


def written(folder: Path) -> dict[str, bytes]:
    """All files below a folder, temporary and hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- reading


@pytest.mark.parametrize("train", [True, False])
def test_values(tmp_path: Path, train: bool) -> None:
    put(tmp_path)
    data = CIFAR10(tmp_path, train)
    files = range(5) if train else [5]
    records = [(n, f) for f in files for n in range(RECORDS)]
    assert data.images.shape == (len(records), 3, 32, 32)
    assert data.images.dtype == np.uint8
    assert data.images.flags.c_contiguous
    assert data.images.flags.writeable
    for i, (n, f) in enumerate(records):
        assert data.images[i].tobytes() == record(n, f)[1:]
        for colour, row, column in [(0, 0, 0), (1, 0, 31), (2, 31, 0), (1, 17, 5)]:
            expected = (f * 50 + n + colour * 7 + 3 * (32 * row + column)) % 256
            assert data.images[i, colour, row, column] == expected
    assert data.labels.dtype == np.int64
    assert data.labels.tolist() == [(f + n) % 10 for n, f in records]
    assert (data.name, len(data), data.classes[0], data.classes[9]) == (
        "cifar-10",
        len(records),
        "airplane",
        "truck",
    )
    assert len(data.classes) == len(set(data.classes)) == 10
    assert repr(data) == f"CIFAR10('cifar-10', {len(records)} images)"
    image, label = data[1]
    assert isinstance(image, tinynet.Tensor)
    assert (image.shape, label.item()) == ((3, 32, 32), data.labels[1])
    assert data.flat().shape == (len(records), 3072)


def test_loaded_for_a_convolution(tmp_path: Path) -> None:
    put(tmp_path)
    data = CIFAR10(tmp_path)
    x, y = next(iter(DataLoader(data, 3, transform=Normalize(data.mean, data.std))))
    assert (x.shape, x.dtype, y.tolist()) == ((3, 3, 32, 32), np.float32, [0, 1, 2])
    assert x.numpy().transpose(0, 2, 3, 1).flags.c_contiguous
    expected = (data.images[:3] / 255 - np.reshape(data.mean, (3, 1, 1))) / np.reshape(data.std, (3, 1, 1))
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_transforms_of_samples(tmp_path: Path) -> None:
    put(tmp_path)
    data = CIFAR10(tmp_path, True, lambda image: image.float() / 255, lambda label: label - 1, False)
    x, y = next(iter(DataLoader(data, 2)))
    assert (x.shape, x.dtype, y.tolist()) == ((2, 3, 32, 32), np.float32, [-1, 0])


SIZE = RECORDS * 3073
CUT = rf"the file must have {SIZE} bytes, 4 records of 3073; got "


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", f"{CUT}0: the file is truncated"),
        (FILES["data_batch_3.bin"][:-1], f"{CUT}{SIZE - 1}: the file is truncated"),
        (FILES["data_batch_3.bin"][:-3073], f"{CUT}{SIZE - 3073}: the file is truncated"),
        (FILES["data_batch_3.bin"] + b"x", f"{CUT}more"),
        (FILES["data_batch_3.bin"] * 2, f"{CUT}more"),
        (
            FILES["data_batch_3.bin"][:6146] + b"\x0a" + FILES["data_batch_3.bin"][6147:],
            r"labels must lie in 0\.\.9; got 10 in record 2",
        ),
        (b"\xff" * SIZE, r"labels must lie in 0\.\.9; got 255 in record 0"),
    ],
    ids=["empty", "byte", "record", "longer", "twice", "label", "noise"],
)
def test_damaged_files(tmp_path: Path, content: bytes, message: str) -> None:
    folder = put(tmp_path, data_batch_3=content)
    with pytest.raises(DataError, match=f"^{folder}/data_batch_3.bin: {message}$") as caught:
        CIFAR10(tmp_path)
    assert not isinstance(caught.value, MissingDataError)
    with pytest.raises(DataError, match=message):
        load("cifar-10", root=tmp_path)  # no stand-in for what is there
    assert len(CIFAR10(tmp_path, train=False)) == RECORDS


# ---- searching


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [tmp_path / name for name in ("root", "variable", "cache/tinynet")]
    monkeypatch.setenv("TINYNET_DATA", str(places[1]))
    put_archive(places[0])
    for place in reversed(places[1:]):
        folder = put(place)
        assert CIFAR10.require(places[0], download=False) == tuple(folder / name for name in NAMES[:5])
    assert CIFAR10.require(places[0], False, download=False) == (places[1] / "cifar-10" / FOLDER / NAMES[5],)
    assert sorted(written(places[0])) == [
        "cifar-10-binary.tar.gz"
    ]  # files that are there come before archives


@pytest.mark.parametrize("sub", [f"cifar-10/{FOLDER}", FOLDER, "cifar-10"])
def test_folders_below_and_the_folder_itself(tmp_path: Path, sub: str) -> None:
    folder = put(tmp_path, sub)
    assert len(CIFAR10(tmp_path, download=False)) == 5 * RECORDS
    assert len(CIFAR10(folder, download=False)) == 5 * RECORDS
    assert len(CIFAR10(str(folder), False, download=False)) == RECORDS


def test_files_of_one_folder_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a", data_batch_4=None)
    monkeypatch.setenv("TINYNET_DATA", str(tmp_path / "a"))
    assert len(CIFAR10(train=False, download=False)) == RECORDS
    with pytest.raises(MissingDataError):
        CIFAR10(download=False)
    complete = put(tmp_path / "b")
    assert CIFAR10.require(tmp_path / "b", download=False)[3].parent == complete


def test_missing_says_what_to_put_where(tmp_path: Path) -> None:
    for train, wanted in ((True, "data_batch_1.bin to data_batch_5.bin"), (False, "test_batch.bin")):
        with pytest.raises(MissingDataError) as caught:
            CIFAR10(tmp_path / "root", train, download=False)
        assert str(caught.value) == (
            f"CIFAR10: {wanted} must be in a folder searched; got no such files in "
            f"{tmp_path}/root/cifar-10/{FOLDER}, {tmp_path}/cache/tinynet/cifar-10/{FOLDER}, "
            "and the network was not asked. Put cifar-10-binary.tar.gz, from "
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz, into "
            f"{tmp_path}/root/cifar-10, or set TINYNET_DATA to the folder that holds cifar-10/"
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": 3}, "root must be str, os.PathLike or None; got 3"),
        ({"train": "test"}, "train must be a bool; got 'test'"),
        ({"download": 1}, "download must be a bool; got 1"),
    ],
)
def test_arguments_of_another_type(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DTypeError, match=f"^CIFAR10: {message}$"):
        CIFAR10(**options)


def test_transform_must_be_callable(tmp_path: Path) -> None:
    put(tmp_path)
    with pytest.raises(DTypeError, match=r"^cifar-10: transform must be callable or None; got bool$"):
        CIFAR10(tmp_path, True, True)  # type: ignore[arg-type]


def test_load_and_its_stand_in(tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning, match=r"^using scikit-learn's small 'digits' instead of 'cifar-10'\.  CIFAR10"
    ):
        assert load("cifar-10", root=tmp_path, offline=True).name == "digits"
    with pytest.raises(MissingDataError):
        load("cifar-10", root=tmp_path, offline=True, fallback=False)
    put(tmp_path)
    for train in (True, False):
        data = load("cifar-10", train, tmp_path)
        assert (type(data), len(data)) == (CIFAR10, RECORDS * (5 if train else 1))


# ---- the archive


@pytest.mark.parametrize("sub", ["", "cifar-10"])
@pytest.mark.parametrize("train", [True, False])
def test_an_archive_that_lies_there(
    tmp_path: Path, sub: str, train: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = put_archive(tmp_path / sub)
    assert len(CIFAR10(tmp_path, train, download=False)) == RECORDS * (5 if train else 1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"tinynet: extracting {folder}/cifar-10-binary.tar.gz into {folder}/{FOLDER}\n"
    expected = {f"{FOLDER}/{name}": content for name, content in FILES.items()}
    assert written(folder) == {**expected, "cifar-10-binary.tar.gz": ARCHIVE}
    CIFAR10(tmp_path, not train, download=False)
    assert capsys.readouterr().err == ""


def test_an_archive_completes_files(tmp_path: Path) -> None:
    folder = put(tmp_path, data_batch_2=None)
    put_archive(tmp_path / "cifar-10")
    (folder / "notes.txt").write_text("mine")
    assert len(CIFAR10(tmp_path, download=False)) == 5 * RECORDS
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ARCHIVE[:-1], f"size must be {len(ARCHIVE)} bytes; got {len(ARCHIVE) - 1}"),
        (b"", f"size must be {len(ARCHIVE)} bytes; got 0"),
        (ARCHIVE + b"x", f"size must be {len(ARCHIVE)} bytes; got more"),
        (ARCHIVE[:-1] + b"x", r"md5 must be [0-9a-f]{32}; got [0-9a-f]{32}"),
    ],
)
def test_a_damaged_archive(tmp_path: Path, content: bytes, message: str) -> None:
    folder = put_archive(tmp_path / "cifar-10", content)
    with pytest.raises(DataError, match=f"^{folder}/cifar-10-binary.tar.gz: {message}$") as caught:
        CIFAR10(tmp_path)
    assert not isinstance(caught.value, MissingDataError)
    assert sorted(written(tmp_path)) == ["cifar-10/cifar-10-binary.tar.gz"]


def test_sha256_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_archive(tmp_path)
    right = CIFAR10.ARCHIVE
    monkeypatch.setattr(CIFAR10, "ARCHIVE", Published(right.name, right.size, right.md5, "0" * 64))
    with pytest.raises(DataError, match=f"sha256 must be 0+; got {right.sha256}$"):
        CIFAR10(tmp_path)


OUTSIDE = b"outside"
LINKS = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}
HARD = {"type": tarfile.LNKTYPE, "linkname": f"{FOLDER}/test_batch.bin"}
FIRST = f"{FOLDER}/data_batch_1.bin"
CHANGED = b"\x07" + FILES["data_batch_1.bin"][1:]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (entry("../outside", OUTSIDE), r"the archive must hold .* only; got '\.\./outside'"),
        (entry("/tmp/outside", OUTSIDE), "the archive must hold .* only; got '/tmp/outside'"),
        (entry(f"{FOLDER}/../outside", OUTSIDE), "the archive must hold .* only; got"),
        (entry(f"{FOLDER}/more.bin", OUTSIDE), f"the archive must hold .* only; got '{FOLDER}/more.bin'"),
        (entry("data_batch_1.bin", OUTSIDE), "the archive must hold .* only; got 'data_batch_1.bin'"),
        (entry(FIRST, **LINKS), f"{FIRST} must be a file; got a link or something else"),
        (entry(FIRST, **HARD), f"{FIRST} must be a file; got a link or something else"),
        (entry(FIRST, type=tarfile.DIRTYPE), f"{FIRST} must be a file; got a link or something else"),
        (entry(FIRST, type=tarfile.FIFOTYPE), f"{FIRST} must be a file; got a link or something else"),
        (entry(f"{FOLDER}/readme.html", **LINKS), "readme.html must be a file; got a link or something else"),
        (entry(FOLDER, type=tarfile.SYMTYPE, linkname="/tmp"), f"{FOLDER} must be a file; got a link"),
        (entry(FIRST, OUTSIDE), rf"{FIRST} must have {SIZE} bytes; got 7"),
        (entry(FIRST, CHANGED + b"x"), rf"{FIRST} must have {SIZE} bytes; got {SIZE + 1}"),
        (entry(FIRST, CHANGED), rf"{FIRST}: md5 must be [0-9a-f]{{32}}; got [0-9a-f]{{32}}"),
    ],
    ids=[
        "up",
        "absolute",
        "up-below",
        "more",
        "above",
        "link",
        "hard-link",
        "folder",
        "pipe",
        "other-link",
        "folder-link",
        "short",
        "long",
        "changed",
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_hostile_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: Any, message: str, before: bool
) -> None:
    """Even if the archive's own checksum were theirs, nothing is written but the files with their bytes."""
    files = {name: content for name, content in FILES.items() if f"{FOLDER}/{name}" != member[0].name}
    member[1].seek(0)
    content = archive_of(member, files=files, before=before)
    announce(monkeypatch, content)
    folder = put_archive(tmp_path / "a" / "cifar-10", content)
    with pytest.raises(DataError, match=f"^{folder}/cifar-10-binary.tar.gz: .*{message}"):
        CIFAR10(tmp_path / "a")
    found = written(tmp_path)
    assert found.pop("a/cifar-10/cifar-10-binary.tar.gz") == content
    for name, data in found.items():
        assert data == FILES[name.removeprefix(f"a/cifar-10/{FOLDER}/")]
    assert bool(found) == (not before)


@pytest.mark.parametrize(
    "content",
    [
        archive_of(files={name: FILES[name] for name in NAMES if name != "test_batch.bin"}),
        ARCHIVE[: len(ARCHIVE) // 2],
        ARCHIVE[: len(ARCHIVE) * 3 // 4],
    ],
    ids=["one-missing", "half", "most"],
)
def test_an_incomplete_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    announce(monkeypatch, content)
    put_archive(tmp_path, content)
    with pytest.raises(DataError, match=r"must hold .*test_batch\.bin; got no such file$|intact \.tar\.gz"):
        CIFAR10(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", gzip.compress(b"no archive" * 100), ARCHIVE[:200]],
    ids=["empty", "text", "gzip", "beginning"],
)
def test_no_archive_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    announce(monkeypatch, content)
    put_archive(tmp_path, content)
    with pytest.raises(DataError, match=r"the file must be an intact \.tar\.gz archive; got: "):
        CIFAR10(tmp_path)


def unwritable(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    monkeypatch.setattr(
        "tinynet.data.published.os.access",
        lambda path, mode: Path(path) not in folders and os.path.isdir(path),
    )


def test_an_archive_in_a_folder_that_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put_archive(tmp_path / "shared")
    unwritable(monkeypatch, folder)
    assert len(CIFAR10(folder)) == 5 * RECORDS
    assert len(written(tmp_path / "cache" / "tinynet" / "cifar-10" / FOLDER)) == 6
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    unwritable(monkeypatch, folder, tmp_path)
    with pytest.raises(
        DataError, match=f"^{folder}/cifar-10-binary.tar.gz: the folder must be one that can be"
    ):
        CIFAR10(folder)


# ---- downloading


def serve(monkeypatch: pytest.MonkeyPatch, content: bytes | Exception) -> list[Any]:
    asked: list[Any] = []

    def fetch(file: Published, mirrors: tuple[str, ...]) -> bytes:
        asked.append((file.name, mirrors))
        if isinstance(content, Exception):
            raise content
        return content

    monkeypatch.setattr("tinynet.data.published.fetch", fetch)
    return asked


def test_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = serve(monkeypatch, ARCHIVE)
    assert len(CIFAR10(tmp_path / "new" / "root")) == 5 * RECORDS
    assert len(CIFAR10(tmp_path / "new" / "root", train=False)) == RECORDS
    assert asked == [("cifar-10-binary.tar.gz", ("https://www.cs.toronto.edu/~kriz/",))]
    assert written(tmp_path / "new" / "root") == {
        f"cifar-10/{FOLDER}/{name}": content for name, content in FILES.items()
    }


def test_a_failed_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, DownloadError("no network here"))
    with pytest.raises(
        MissingDataError, match=r"and the download failed: no network here\. Put cifar-10-binary"
    ):
        CIFAR10(tmp_path / "root")
    assert list(tmp_path.iterdir()) == []


def test_nowhere_to_download_to(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file")
    with pytest.raises(MissingDataError, match=f"{tmp_path}/root must be a folder that can be written to"):
        CIFAR10(tmp_path / "root")  # and the network is not asked


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, ARCHIVE)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tinynet.io.atomic.os.replace", full)
    with pytest.raises(
        MissingDataError, match=r"data_batch_1\.bin could not be written to .*: No space left on device"
    ):
        CIFAR10(tmp_path / "root")
    assert written(tmp_path) == {}


# ---- the published files, where the caller has them


@pytest.mark.skipif(not REAL, reason="TINYNET_DATA is not set")
def test_published_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    try:
        train, test = (CIFAR10(REAL, part, download=False) for part in (True, False))
    except MissingDataError as error:
        pytest.skip(str(error))
    assert (len(train), len(test)) == (50_000, 10_000)
    assert np.bincount(train.labels).tolist() == [5000] * 10
    assert np.bincount(test.labels).tolist() == [1000] * 10
    assert [train.classes[label] for label in train.labels[:3].tolist()] == ["frog", "truck", "truck"]
    assert [test.classes[label] for label in test.labels[:3].tolist()] == ["cat", "ship", "ship"]
    moments = []
    for part in np.split(train.images, 50):
        x = part.reshape(1000, 3, -1) / 255
        moments.append([x.mean((0, 2)), (x**2).mean((0, 2))])
    mean, square = np.mean(moments, axis=0)
    assert mean.round(4).tolist() == list(train.mean)
    assert np.sqrt(square - mean**2).round(4).tolist() == list(train.std)
