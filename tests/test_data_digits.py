"""Digits, and `load`, which falls back to them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from data_files import labels_bytes, no_data, put
from sklearn.datasets import load_digits

from tinynet.data import Digits, MissingDataError, load
from tinynet.errors import ArgumentError, DataError, DTypeError


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_data(tmp_path, monkeypatch)


def test_form() -> None:
    for train, count in ((True, 1437), (False, 360)):
        data = Digits(train)
        assert (data.images.shape, data.images.dtype) == ((count, 28, 28), np.uint8)
        assert (data.labels.shape, data.labels.dtype) == ((count,), np.int64)
        assert (data.name, data.classes) == ("digits", tuple("0123456789"))
        assert len(data) == count
        assert (data.images.min(), data.images.max()) == (0, 255)
        # not stratified, yet each class has at least 29 of 360 and 133 of 1,437
        assert np.bincount(data.labels, minlength=10).min() > 0.08 * count


def test_the_two_parts_are_all_images_once_and_brought_to_28_pixels() -> None:
    source = load_digits()
    expected = []
    for small, label in zip(source.images, source.target, strict=True):
        image = np.zeros((28, 28), int)
        for row in range(24):
            for column in range(24):
                image[2 + row, 2 + column] = int(small[row // 3, column // 3] * 255 / 16 + 0.5)
        expected.append((int(label), image.astype(np.uint8).tobytes()))
    parts = Digits(True), Digits(False)
    received = [
        (int(y), x.tobytes()) for part in parts for x, y in zip(part.images, part.labels, strict=True)
    ]
    assert sorted(received) == sorted(expected)
    assert received != expected


# The test part as this module has made it from the beginning.
LABELS = [4, 3, 6, 0, 5, 1, 5, 6, 9, 1, 6, 5]
SHA256 = "98c321ca438983f60aab844149f9eea25cf60fcf7aa4e83f624839b0ed3e129a"


def test_the_split_never_changes() -> None:
    test = Digits(train=False)
    assert test.labels[:12].tolist() == LABELS
    assert hashlib.sha256(test.images.tobytes()).hexdigest() == SHA256


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"Digits: scikit-learn, .* must be installed, .* extra 'examples'"):
        Digits()


def test_import_leaves_heavy_modules_alone(tmp_path: Path) -> None:
    program = (
        "import sys, tinynet.data, tinynet.io\n"
        "heavy = ('sklearn', 'urllib.request', 'http.client', 'safetensors')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", program]  # in a folder where no source tree hides the installed package
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


# ---- load


def put_parts(root: Path, name: str, parts: tuple[str, ...] = ("train", "t10k")) -> None:
    for part in parts:
        put(root, labels=labels_bytes((3, 4, 5)), sub=name, part=part)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("train", [True, False])
def test_load_by_name(tmp_path: Path, name: str, train: bool) -> None:
    put_parts(tmp_path, name)
    data = load(name, train, tmp_path)
    assert (data.name, data.labels.tolist()) == (name, [3, 4, 5])


def test_load_digits_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load("digits", train=False).name == "digits"
        assert len(load("digits")) == 1437


@pytest.mark.parametrize("parts", [(), ("train",), ("t10k",)])
def test_fallback_is_for_both_parts(tmp_path: Path, parts: tuple[str, ...]) -> None:
    put_parts(tmp_path, "mnist", parts)
    for train, count in ((True, 1437), (False, 360)):
        with pytest.warns(
            UserWarning, match="using scikit-learn's small 'digits' instead of 'mnist'"
        ) as caught:
            data = load("mnist", train, tmp_path, offline=True)
        assert caught[0].filename == __file__
        assert "Put both files into" in str(caught[0].message)
        assert (data.name, len(data)) == ("digits", count)
    with pytest.raises(MissingDataError, match="must be in a folder searched"):
        load("mnist", True, tmp_path, offline=True, fallback=False)


def test_fallback_after_a_failed_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinynet.data.download import DownloadError

    def fail(*args: object) -> bytes:
        raise DownloadError("no network here")

    monkeypatch.setattr("tinynet.data.published.fetch", fail)
    with pytest.warns(UserWarning, match="the download failed: no network here"):
        assert load("fashion-mnist", root=tmp_path).name == "digits"


def test_a_damaged_file_is_never_replaced(tmp_path: Path) -> None:
    put_parts(tmp_path, "mnist")
    (tmp_path / "mnist" / "train-labels-idx1-ubyte").write_bytes(b"damaged")
    with pytest.raises(DataError, match="train-labels-idx1-ubyte: the header must have 8 bytes; got 7"):
        load("mnist", root=tmp_path)


def test_unknown_name() -> None:
    with pytest.raises(
        ArgumentError,
        match="load: name must be one of 'mnist', 'fashion-mnist', 'cifar-10', 'digits'; got 'MNIST'",
    ):
        load("MNIST")


def test_a_part_is_true_or_false() -> None:
    with pytest.raises(DTypeError, match=r"^Digits: train must be a bool; got 'test'$"):
        Digits(train="test")  # type: ignore[arg-type]
    for option in ("train", "offline", "fallback"):
        with pytest.raises(DTypeError, match=f"^load: {option} must be a bool; got 'no'$"):
            load("digits", **{option: "no"})
