"""A tree of tensors, arrays and plain values in one safetensors file: `save` and `load`.

The file is an ordinary safetensors file, so that other programs can read its arrays.  Every array lies
there under its path in the tree, joined with dots: ``{"model": {"0.weight": w}}`` stores
``model.0.weight``, and a state dict saved by itself keeps its own names.  The metadata of the header has
three texts:

``tinynet.format``  the version of this form, "1";
``tinynet.tree``    the tree as JSON, with arrays replaced by references;
``tinynet.crc32``   JSON: one checksum per array (dtype, shape, bytes) and, under "", that of the tree.

What JSON cannot hold, or would change, is an object with one key that starts with "$"::

    {"$tensor": key}  {"$array": key}  {"$scalar": key}   a Tensor, an array, a NumPy scalar
    {"$tuple": [...]}                a tuple
    {"$dict": [[key, value], ...]}   a dict with keys that are no text, or start with "$"
    {"$int": "0x..."}                an integer beyond 64 bits
    {"$float": "7ff0000000000000"}   nan and infinities: the 64 bits, with sign and payload

Finite floats are written by `repr`, which is exact.  Nothing is ever unpickled: a file can hold these kinds
of value only, and reading one runs no code from it.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from tinynet._check import CPU, boolean, refuse
from tinynet._tensor import Tensor, from_numpy
from tinynet.errors import ArgumentError, DataError, DTypeError
from tinynet.io.atomic import atomic_path, checked_path

Array = npt.NDArray[Any]

FORMAT = "1"
MAX_DEPTH = (
    64  # of nested containers; far from Python's recursion limit, on which json and this module depend
)
_FORMAT_KEY, _TREE_KEY, _CRC_KEY = "tinynet.format", "tinynet.tree", "tinynet.crc32"
_DTYPES = (
    "float64",
    "float32",
    "float16",
    "bool",
    *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)),
)
_PLAIN = (str, bool, type(None))
_HEADER_LIMIT = 90_000_000  # safetensors refuses to read headers above 100 MB


def save(obj: object, path: str | os.PathLike[str]) -> None:
    """Write a tree of tensors, arrays and plain values to one safetensors file, atomically.

    Parameters
    ----------
    obj : object
        A tree of dicts (keys: text or integers), lists and tuples with leaves Tensor, numpy.ndarray and
        NumPy scalar (float16/32/64, int8..64, uint8..64, bool; any layout and byte order), str, int of any
        size, float (nan and infinities included), bool and None; at most 64 containers deep.  A value that
        occurs twice is stored twice.
    path : str or os.PathLike
        The file, by custom ``*.safetensors``.  It is replaced only when the new one is complete on the disk.

    Raises
    ------
    DTypeError
        If the tree holds a value, key or dtype of another kind (the message names its place), or `path` is no
        path.  Nothing is written.
    ArgumentError
        If a container contains itself, the tree is too deep, or its plain values take more than 90 MB.
    DataError
        If the folder does not exist.

    Notes
    -----
    Dicts of any class come back as dict, tensors of any class (parameters) as Tensor, without their
    gradients.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.nn.Linear(3, 2)
    >>> tn.save({"model": model.state_dict(), "epoch": 3}, "checkpoint.safetensors")
    >>> checkpoint = tn.load("checkpoint.safetensors")
    >>> checkpoint["epoch"], checkpoint["model"]["weight"].shape
    (3, (2, 3))
    """
    import safetensors.numpy

    encoder = _Encoder()
    tree = json.dumps(encoder.encode(obj, (), 0), allow_nan=False, separators=(",", ":"))
    checksums = {key: _checksum(array) for key, array in encoder.arrays.items()}
    checksums[""] = zlib.crc32(tree.encode())
    metadata = {_FORMAT_KEY: FORMAT, _TREE_KEY: tree, _CRC_KEY: json.dumps(checksums, separators=(",", ":"))}
    if (header := len(json.dumps(metadata)) + sum(len(key) + 100 for key in encoder.arrays)) > _HEADER_LIMIT:
        raise ArgumentError(
            f"save: plain values and names must take at most {_HEADER_LIMIT} bytes (long lists of numbers "
            f"belong in arrays); got {header}"
        )
    with atomic_path(path, operation="save") as temporary:
        safetensors.numpy.save_file(encoder.arrays, temporary, metadata=metadata)


def load(path: str | os.PathLike[str], map_location: str | None = None, *, weights_only: bool = True) -> Any:
    """Read a tree that `save` has written.

    The whole file is read and checked (header, checksums, every reference) before anything is returned.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    map_location : str, optional
        "cpu", the only place there is.
    weights_only : bool, default True
        Without effect: a file holds nothing that could run.

    Returns
    -------
    object
        The tree, equal to the one saved: tensors as Tensor with ``requires_grad=False``, arrays as writable
        C-contiguous numpy.ndarray in native byte order, plain values with their types.

    Raises
    ------
    DTypeError
        If `path` is no path or `weights_only` no bool.
    NotImplementedError
        For another `map_location`.
    DataError
        If the file is missing, truncated, damaged, or not written by `save`.  The message names path and
        reason.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.save([1, (2.5, "three"), tn.arange(3)], "tree.safetensors")
    >>> tn.load("tree.safetensors")
    [1, (2.5, 'three'), tensor([0, 1, 2])]
    """
    import safetensors

    refuse("load", map_location=(map_location, CPU))
    boolean("load", "weights_only", weights_only)
    where = checked_path(path, "load")
    _check_file(where)
    try:
        with safetensors.safe_open(where, framework="numpy") as file:
            metadata = file.metadata() or {}
            _check_metadata(where, metadata)
            keys = list(file.keys())
            arrays = {key: np.require(file.get_tensor(key), requirements=["C", "A", "W"]) for key in keys}
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"load: {str(where)!r} must be a readable safetensors file; got: {error}") from error
    try:
        checksums = json.loads(metadata[_CRC_KEY])
        if zlib.crc32(metadata[_TREE_KEY].encode()) != checksums.pop(""):
            _damaged(where, "the tree does not match its checksum")
        if checksums.keys() != arrays.keys():
            _damaged(where, f"arrays {sorted(checksums.keys() ^ arrays.keys())} are missing or not announced")
        for key, array in arrays.items():
            if _checksum(array) != checksums[key]:
                _damaged(where, f"array {key!r} does not match its checksum")
        decoder = _Decoder(arrays)
        tree = decoder.decode(json.loads(metadata[_TREE_KEY]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise DataError(
            f"load: {str(where)!r} must hold a tree as save writes it; got {type(error).__name__}: {error}"
        ) from error
    if decoder.unused:
        _damaged(where, f"arrays {sorted(decoder.unused)} have no place in the tree")
    return tree


class _Encoder:
    """Turns a tree into what `json.dumps` takes and collects the arrays under their keys."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self._open: set[int] = set()  # ids of the containers that are being encoded: a repeat is a cycle

    def encode(self, obj: object, path: tuple[object, ...], depth: int) -> object:
        if isinstance(obj, Tensor):
            return self._store("$tensor", obj.detach().numpy(), path)
        if isinstance(obj, np.ndarray):
            return self._store("$array", obj, path)
        if isinstance(obj, np.generic):
            return self._store("$scalar", np.asarray(obj), path)
        if type(obj) in _PLAIN:
            return obj
        if type(obj) is int:
            return obj if -(2**63) <= obj < 2**64 else {"$int": hex(obj)}
        if type(obj) is float:
            return obj if math.isfinite(obj) else {"$float": struct.pack(">d", obj).hex()}
        if not (isinstance(obj, dict) or type(obj) in (list, tuple)):
            raise DTypeError(
                f"save: values must be dict, list, tuple, Tensor, array, str, int, float, bool or None; "
                f"got {type(obj).__name__} at {_name(path)}"
            )
        if id(obj) in self._open:
            raise ArgumentError(
                f"save: obj must be a tree; got a container that contains itself at {_name(path)}"
            )
        if depth == MAX_DEPTH:
            raise ArgumentError(
                f"save: obj must be at most {MAX_DEPTH} containers deep; got more at {_name(path[:4])}..."
            )
        self._open.add(id(obj))
        try:
            if isinstance(obj, dict):
                return self._encode_dict(obj, path, depth + 1)
            assert isinstance(obj, (list, tuple))
            items = [self.encode(item, (*path, index), depth + 1) for index, item in enumerate(obj)]
            return items if isinstance(obj, list) else {"$tuple": items}
        finally:
            self._open.remove(id(obj))

    def _encode_dict(self, obj: dict[Any, Any], path: tuple[object, ...], depth: int) -> object:
        for key in obj:
            if type(key) not in (str, int):
                raise DTypeError(
                    f"save: keys must be str or int; got {key!r} ({type(key).__name__}) at {_name(path)}"
                )
        items = {key: self.encode(value, (*path, key), depth) for key, value in obj.items()}
        if all(isinstance(key, str) and not key.startswith("$") for key in items):
            return items
        return {"$dict": [[self.encode(key, path, depth), value] for key, value in items.items()]}

    def _store(self, tag: str, array: Array, path: tuple[object, ...]) -> dict[str, str]:
        if array.dtype.name not in _DTYPES or isinstance(array, np.ma.MaskedArray):
            kind = "a masked array" if isinstance(array, np.ma.MaskedArray) else f"dtype {array.dtype}"
            raise DTypeError(
                f"save: arrays must be float16..64, int8..64, uint8..64 or bool; got {kind} at {_name(path)}"
            )
        key = stem = ".".join(map(_text, path)) or "value"
        suffix = 0
        while key in self.arrays or key == "__metadata__":  # {"a.b": x, "a": {"b": y}}
            suffix += 1
            key = f"{stem}#{suffix}"
        # safetensors takes the bytes at the address as they lie: C order and little-endian are ours to see
        # to. (np.ascontiguousarray would turn shape () into (1,).)
        self.arrays[key] = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        return {tag: key}


class _Decoder:
    """Turns parsed JSON back into the tree; keeps book of the arrays that nothing has referred to."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self.arrays = arrays
        self.unused = set(arrays)
        self._tags: dict[str, Callable[[Any], object]] = {
            "$tensor": lambda key: from_numpy(self._take(key)),
            "$array": self._take,
            "$scalar": lambda key: self._take(key)[()],
            "$tuple": lambda items: tuple(self.decode(item) for item in _of_type(list, items)),
            "$dict": lambda items: {
                self.decode(key): self.decode(value) for key, value in _of_type(list, items)
            },
            "$int": lambda text: int(_of_type(str, text), 16),
            "$float": lambda text: struct.unpack(">d", bytes.fromhex(text))[0],
        }

    def decode(self, item: object) -> object:
        if isinstance(item, list):
            return [self.decode(value) for value in item]
        if not isinstance(item, dict):
            return item
        tag = next(iter(item), "")
        if tag.startswith("$"):
            if len(item) != 1 or tag not in self._tags:
                raise ValueError(f"unknown entry {tag!r} in the tree")
            return self._tags[tag](item[tag])
        return {key: self.decode(value) for key, value in item.items()}

    def _take(self, key: str) -> Array:
        self.unused.remove(key)  # KeyError if it is referred to twice or does not exist
        return self.arrays[key]


def _check_file(path: Path) -> None:
    """Find the usual reasons why a file is none of ours, and say them in words."""
    try:
        with open(path, "rb") as file:
            start = file.read(9)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise DataError(
            f"load: {str(path)!r} must be a readable file; got: {error.strerror or error}"
        ) from error
    header = int.from_bytes(start[:8], "little")
    # First what it should be: the length of a header may look like the beginning of a pickle.
    if start[8:] == b"{" and header <= size - 8:
        return
    if start.startswith(b"PK\x03\x04"):
        reason = "a ZIP archive, as torch.save and numpy.savez write it"
    elif start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        reason = "a pickle, which tinynet never reads"
    elif len(start) < 8:
        reason = f"{size} bytes: too short to be one, or truncated"
    elif header > size - 8:
        reason = (
            f"{size} bytes where the header alone announces {header}: truncated, or a file of another kind"
        )
    else:
        return
    raise DataError(f"load: {str(path)!r} must be a safetensors file written by tinynet.save; got {reason}")


def _check_metadata(path: Path, metadata: dict[str, str]) -> None:
    version = metadata.get(_FORMAT_KEY)
    if version is None or not {_TREE_KEY, _CRC_KEY} <= metadata.keys():
        raise DataError(
            f"load: {str(path)!r} must be a safetensors file written by tinynet.save; "
            f"got one without the metadata {_FORMAT_KEY!r}, {_TREE_KEY!r} and {_CRC_KEY!r}"
        )
    if version != FORMAT:
        raise DataError(
            f"load: {str(path)!r} must have format {FORMAT!r}; got {version!r}, from another version"
        )


def _checksum(array: Array) -> int:
    """CRC-32 of dtype, shape and bytes of a C-contiguous array."""
    start = zlib.crc32(f"{array.dtype.name}{array.shape}".encode())
    return zlib.crc32(array.reshape(-1).view(np.uint8).data, start)


def _of_type(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"expected {kind.__name__} in the tree, got {type(value).__name__}")
    return value


def _text(key: object) -> str:
    """A key as it can stand in a safetensors header, which is UTF-8: lone surrogates are escaped."""
    return str(key).encode("utf-8", "backslashreplace").decode()


def _name(path: tuple[object, ...]) -> str:
    """The place of a value in the tree, as a Python expression."""
    return "obj" + "".join(f"[{key!r:.60}]" for key in path)


def _damaged(path: Path, reason: str) -> NoReturn:
    raise DataError(f"load: {str(path)!r} is damaged: {reason}")
