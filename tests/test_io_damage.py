"""`load` of files that are damaged, foreign, or made by hand to mislead it."""

from __future__ import annotations

import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from checkpoint_files import read_by_hand

from tinynet.errors import DataError
from tinynet.io import load, save


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.safetensors"
    save({"x": np.arange(6, dtype=np.float32), "y": {"n": 1.5, "flag": np.array([True, False])}}, path)
    return path


def rewrite(path: Path, arrays: dict[str, np.ndarray], **changes: str | None) -> None:
    """Write the file anew with other arrays or metadata entries (None: left out)."""
    metadata, _ = read_by_hand(path)
    for name, text in changes.items():
        metadata.pop(f"tinynet.{name}")
        if text is not None:
            metadata[f"tinynet.{name}"] = text
    safetensors.numpy.save_file(arrays, path, metadata=metadata)


def test_missing_file_folder_and_no_permission(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"load: '.*nothing' must be a readable file; got: No such file or directory"
    ):
        load(tmp_path / "nothing")
    with pytest.raises(DataError, match="must be a readable file; got: Is a directory"):
        load(tmp_path)


def test_every_truncation(good: Path) -> None:
    content = good.read_bytes()
    for length in range(len(content)):
        good.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"load: '.*good\.safetensors'"):
            load(good)
    good.write_bytes(content[:5])
    with pytest.raises(DataError, match="got 5 bytes: too short to be one, or truncated"):
        load(good)
    good.write_bytes(content[:30])
    with pytest.raises(DataError, match=r"got 30 bytes where the header alone announces \d+: truncated"):
        load(good)
    good.write_bytes(content[:-1])
    with pytest.raises(
        DataError, match="must be a readable safetensors file; got: Error while deserializing"
    ):
        load(good)
    good.write_bytes(content + b"\0")
    with pytest.raises(DataError, match="must be a readable safetensors file"):
        load(good)


def test_every_single_bit(good: Path) -> None:
    content = good.read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << (position % 8)
        good.write_bytes(changed)
        with pytest.raises(DataError, match=r"load: '.*good\.safetensors'"):
            load(good)


def test_damaged_array_and_tree(good: Path) -> None:
    arrays = safetensors.numpy.load_file(good)
    rewrite(good, {**arrays, "x": arrays["x"].view(np.int32)})
    with pytest.raises(DataError, match="is damaged: array 'x' does not match its checksum"):
        load(good)
    rewrite(good, {**arrays, "x": arrays["x"].reshape(2, 3)})
    with pytest.raises(DataError, match="is damaged: array 'x' does not match its checksum"):
        load(good)
    rewrite(good, {"x": arrays["x"]})
    with pytest.raises(DataError, match=r"is damaged: arrays \['y\.flag'\] are missing or not announced"):
        load(good)
    rewrite(good, arrays, tree="{}")
    with pytest.raises(DataError, match="is damaged: the tree does not match its checksum"):
        load(good)


def with_tree(path: Path, tree: str, arrays: dict[str, np.ndarray]) -> None:
    """Write a file with a right checksum around a tree of one's own."""

    def checksum(array: np.ndarray) -> int:
        return zlib.crc32(f"{array.dtype.name}{array.shape}".encode() + array.tobytes())

    sums = {key: checksum(array) for key, array in arrays.items()} | {"": zlib.crc32(tree.encode())}
    metadata = {"tinynet.format": "1", "tinynet.tree": tree, "tinynet.crc32": json.dumps(sums)}
    safetensors.numpy.save_file(arrays, path, metadata=metadata)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("[1", "must hold a tree as save writes it; got JSONDecodeError"),
        ('{"$array":"y"}', "got KeyError: 'y'"),
        ('[{"$array":"x"},{"$array":"x"}]', "got KeyError: 'x'"),
        ("[1]", r"is damaged: arrays \['x'\] have no place in the tree"),
        ('{"$new":"x"}', r"ValueError: unknown entry '\$new'"),
        ('{"$array":"x","b":1}', r"ValueError: unknown entry '\$array'"),
        ('{"$tuple":"x"}', "expected list in the tree, got str"),
        ('{"$float":"12"}', "error: unpack requires a buffer of 8 bytes"),
        ('{"$int":"zz"}', "ValueError: invalid literal"),
        ('{"$dict":[[[1],2]]}', "TypeError: .*unhashable"),
        ('{"$tensor":"x"}', "must hold a tree as save writes it; got DTypeError"),
        ("[" * 100_000, "got RecursionError|got JSONDecodeError"),
    ],
)
def test_trees_that_save_never_writes(tmp_path: Path, tree: str, message: str) -> None:
    with_tree(tmp_path / "a", tree, {"x": np.zeros(2, np.float16)})
    with pytest.raises(DataError, match=message):
        load(tmp_path / "a")


def test_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "a"
    safetensors.numpy.save_file({"x": np.zeros(2)}, path)
    with pytest.raises(DataError, match=r"got one without the metadata 'tinynet\.format'"):
        load(path)
    safetensors.numpy.save_file({}, path, {"tinynet.format": "2", "tinynet.tree": "", "tinynet.crc32": ""})
    with pytest.raises(DataError, match="must have format '1'; got '2', from another version"):
        load(path)
    np.savez(tmp_path / "b.npz", x=np.zeros(2))
    with pytest.raises(DataError, match="got a ZIP archive"):
        load(tmp_path / "b.npz")
    path.write_text("just some text, long enough")
    with pytest.raises(DataError, match="or a file of another kind"):
        load(path)


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle was read",)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_are_never_read(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "a").write_bytes(pickle.dumps(Trap(), protocol))
    with pytest.raises(DataError, match="got a pickle, which tinynet never reads"):
        load(tmp_path / "a")


def test_loaded_arrays_are_independent_of_the_file(good: Path) -> None:
    tree = load(good)
    save({}, good)
    tree["x"] += 1
    np.testing.assert_array_equal(tree["x"], np.arange(6) + 1)
