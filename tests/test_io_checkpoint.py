"""`save` and `load`: trees come back equal, and the file is what the format says."""

from __future__ import annotations

import collections
import enum
import json
import math
import struct
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import safetensors.numpy
from checkpoint_files import read_by_hand
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinynet
from tinynet.errors import ArgumentError, DataError, DTypeError
from tinynet.io import load, save

DTYPES = [
    "float64",
    "float32",
    "float16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint64",
    "uint32",
    "uint16",
    "uint8",
    "bool",
]
TENSOR_DTYPES = ["float64", "float32", "int64", "int32", "uint8", "bool"]


def same(a: Any, b: Any) -> bool:
    """Equal in types, order of keys, and every bit (nan equal to the same nan, 0.0 different from -0.0)."""
    if isinstance(a, tinynet.Tensor):
        return isinstance(b, tinynet.Tensor) and not b.requires_grad and same(a.detach().numpy(), b.numpy())
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return (
            list(a) == list(b)
            and all(type(p) is type(q) for p, q in zip(a, b, strict=True))
            and same(list(a.values()), list(b.values()))
        )
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return struct.pack("<d", a) == struct.pack("<d", b)
    return bool(a == b)


arrays = hnp.arrays(
    st.sampled_from([np.dtype(name) for name in DTYPES]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
tensors = hnp.arrays(
    st.sampled_from([np.dtype(name) for name in TENSOR_DTYPES]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
).map(tinynet.from_numpy)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(),
    st.text("$.#%\\\"'\ud800\x00\U0001f600", max_size=4),
    arrays,
    tensors,
    st.floats(width=32).map(np.float32),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
)
keys = st.one_of(
    st.text(max_size=4), st.text("ab.$#", max_size=4), st.integers(-3, 3), st.just("__metadata__")
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
    ),
    max_leaves=12,
)


@hypothesis.given(trees)
@hypothesis.settings(deadline=None, max_examples=150)
def test_any_tree_comes_back(tree: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tree.safetensors"
        save(tree, path)
        assert same(tree, load(path))
        assert [p.name for p in Path(folder).iterdir()] == [path.name]


def test_header_lengths_that_look_like_a_pickle(tmp_path: Path) -> None:
    """The file begins with the length of its header; a pickle begins with 0x80 and its protocol, 2 to 5."""
    starts = set()
    for length in range(300, 1400, 8):
        save("x" * length, tmp_path / "a")
        starts.add((tmp_path / "a").read_bytes()[:2])
        assert load(tmp_path / "a") == "x" * length
    assert {bytes([0x80, protocol]) for protocol in (2, 3, 4, 5)} <= starts


def test_public_names() -> None:
    assert tinynet.save is save
    assert tinynet.load is load


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        lambda a: a.T,
        lambda a: a[::2, ::-1],
        lambda a: np.asfortranarray(a),
        lambda a: np.broadcast_to(a[0], (3, 4)),
        lambda a: a.astype(a.dtype.newbyteorder(">")),
        lambda a: a.astype(a.dtype.newbyteorder(">")).T,
        lambda a: a[:0],
        lambda a: a[1:2, 2].reshape(()),
    ],
    ids=[
        "C",
        "transposed",
        "sliced",
        "Fortran",
        "broadcast",
        "big-endian",
        "big-endian-transposed",
        "empty",
        "0-d",
    ],
)
def test_layouts_against_the_bytes_of_the_format(tmp_path: Path, dtype: str, view: Any) -> None:
    array = view((np.arange(12).reshape(3, 4) * 37 % 11).astype(dtype))
    array.flags.writeable = False
    path = tmp_path / "a.safetensors"
    save({"x": array}, path)
    _, stored = read_by_hand(path)
    code = {"f": "F", "i": "I", "u": "U"}.get(array.dtype.kind, "") + str(8 * array.dtype.itemsize)
    flat = [array[index] for index in np.ndindex(array.shape)]  # element by element, in C order
    form = {"float64": "d", "float32": "f", "float16": "e", "bool": "?"}.get(dtype)
    form = form or {1: "b", 2: "h", 4: "i", 8: "q"}[array.dtype.itemsize]
    form = form.upper() if dtype.startswith("u") else form
    expected = struct.pack(f"<{len(flat)}{form}", *(value.item() for value in flat))
    assert stored == {"x": ("BOOL" if dtype == "bool" else code, list(array.shape), expected)}
    back = load(path)["x"]
    assert back.dtype == np.dtype(dtype)
    assert back.dtype.isnative
    assert back.flags.c_contiguous
    assert back.flags.writeable
    assert back.flags.aligned
    np.testing.assert_array_equal(back, array)


def test_tensor_of_a_view_and_of_a_subclass(tmp_path: Path) -> None:
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    leaf = tinynet.tensor(base, requires_grad=True)
    save([tinynet.from_numpy(base.T), leaf], tmp_path / "a")
    transposed, copy = load(tmp_path / "a")
    np.testing.assert_array_equal(transposed.numpy(), base.T)
    np.testing.assert_array_equal(copy.numpy(), base)
    assert type(copy) is tinynet.Tensor
    assert leaf.requires_grad
    assert not copy.requires_grad


def test_names_in_the_file(tmp_path: Path) -> None:
    one, two = np.array([1.0]), np.array([2.0])
    path = tmp_path / "a.safetensors"
    save(
        {"0.weight": one, "bn": {"running_mean": two}, "state": {0: {"v": one}}, "list": [two, (one,)]}, path
    )
    assert set(read_by_hand(path)[1]) == {"0.weight", "bn.running_mean", "state.0.v", "list.0", "list.1.0"}
    assert safetensors.numpy.load_file(path)["bn.running_mean"] == two


def test_equal_names_are_kept_apart(tmp_path: Path) -> None:
    tree = {
        "a.b": np.array([1]),
        "a": {"b": np.array([2]), "b#1": np.array([3])},
        "a.b#1": np.array([4]),
        0: np.array([5]),
        "0": np.array([6]),
        "": {"": np.array([7])},
        ".": np.array([8]),
        "__metadata__": np.array([9]),
        "value": np.array([10]),
        "\ud800": np.array([11]),
        "\\ud800": np.array([12]),
    }
    save(tree, tmp_path / "a")
    assert same(tree, load(tmp_path / "a"))
    save(np.array([1.5]), tmp_path / "b")
    assert same(np.array([1.5]), load(tmp_path / "b"))
    assert list(read_by_hand(tmp_path / "b")[1]) == ["value"]


@pytest.mark.parametrize(
    "value",
    [
        0.1,
        -0.0,
        5e-324,
        math.nan,
        -math.nan,
        struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000001))[0],
        math.inf,
        -math.inf,
        1.7976931348623157e308,
        2**63,
        -(2**63) - 1,
        2**128 - 1,
        10**6000,
        True,
        None,
        "",
        {"$tensor": "x"},
        {"$dict": [[1, 2]]},
        {"$": {}},
        (),
        [],
        {},
        [()],
        np.float64(0.1),
        np.uint64(2**64 - 1),
        np.bool_(True),
    ],
    ids=lambda value: repr(value)[:24] if not isinstance(value, int) or value < 2**200 else "10**6000",
)
def test_plain_values_exactly(tmp_path: Path, value: object) -> None:
    save(value, tmp_path / "a")
    assert same(value, load(tmp_path / "a"))


def test_metadata_is_strict_json_with_exact_floats(tmp_path: Path) -> None:
    save({"lr": 0.1, "loss": math.nan, "k": {1: "x"}}, tmp_path / "a")
    metadata, _ = read_by_hand(tmp_path / "a")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    tree = json.loads(metadata["tinynet.tree"], parse_constant=refuse)
    assert tree == {
        "lr": 0.1,
        "loss": {"$float": struct.pack(">d", math.nan).hex()},
        "k": {"$dict": [[1, "x"]]},
    }
    assert metadata["tinynet.format"] == "1"


def test_dict_subclasses_become_dict(tmp_path: Path) -> None:
    save(collections.OrderedDict(b=1, a=collections.defaultdict(list, x=[1])), tmp_path / "a")
    assert same({"b": 1, "a": {"x": [1]}}, load(tmp_path / "a"))


def test_one_value_in_two_places(tmp_path: Path) -> None:
    shared = [np.array([1.0])]
    save([shared, shared], tmp_path / "a")
    assert same([shared, shared], load(tmp_path / "a"))


class Colour(enum.IntEnum):
    RED = 1


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("tree", "error", "message"),
    [
        ({"a": [1, {2, 3}]}, DTypeError, r"save: values must be dict, .* got set at obj\['a'\]\[1\]"),
        ({"a": object()}, DTypeError, r"got object at obj\['a'\]"),
        (b"bytes", DTypeError, "got bytes at obj"),
        (1j, DTypeError, "got complex at obj"),
        (Colour.RED, DTypeError, "got Colour at obj"),
        (Point(1, 2), DTypeError, "got Point at obj"),
        (len, DTypeError, "got builtin_function_or_method at obj"),
        ({"a": {None: 1}}, DTypeError, r"save: keys must be str or int; got None \(NoneType\) at obj\['a'\]"),
        ({True: 1}, DTypeError, r"keys must be str or int; got True \(bool\)"),
        ({1.5: 1}, DTypeError, r"keys must be str or int; got 1\.5 \(float\)"),
        ({(1, 2): 1}, DTypeError, r"keys must be str or int; got \(1, 2\) \(tuple\)"),
        (
            {"x": np.array(["a"])},
            DTypeError,
            r"save: arrays must be float16\.\.64, .* got dtype <U1 at obj\['x'\]",
        ),
        ({"x": np.array([object()])}, DTypeError, "got dtype object"),
        ({"x": np.array([1j])}, DTypeError, "got dtype complex128"),
        ({"x": np.zeros(1, "M8[s]")}, DTypeError, r"got dtype datetime64\[s\]"),
        ({"x": np.zeros(1, [("f", "f4")])}, DTypeError, "got dtype"),
        ({"x": np.ma.masked_array([1.0], [True])}, DTypeError, "got a masked array"),
    ],
)
def test_what_is_refused(tmp_path: Path, tree: object, error: type[Exception], message: str) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(error, match=message):
        save(tree, tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_cycles_depth_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cycle: dict[str, Any] = {"a": []}
    cycle["a"].append(cycle)
    with pytest.raises(
        ArgumentError, match=r"must be a tree; got a container that contains itself at obj\['a'\]\[0\]"
    ):
        save(cycle, tmp_path / "a")
    deep: Any = 0
    for _ in range(64):
        deep = [deep]
    save(deep, tmp_path / "deep")
    assert load(tmp_path / "deep") == deep
    with pytest.raises(ArgumentError, match="at most 64 containers deep; got more"):
        save([deep], tmp_path / "a")
    monkeypatch.setattr("tinynet.io.checkpoint._HEADER_LIMIT", 500)
    with pytest.raises(ArgumentError, match=r"must take at most 500 bytes .* got \d+"):
        save(list(range(300)), tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupted_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    path = tmp_path / "a.safetensors"
    save({"x": np.arange(3)}, path)
    before = path.read_bytes()

    def half(arrays: object, filename: Path, metadata: object) -> None:
        Path(filename).write_bytes(before[:20])
        raise error

    monkeypatch.setattr(safetensors.numpy, "save_file", half)
    with pytest.raises(error):
        save({"x": np.arange(4)}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_save_into_missing_folder_and_over_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^save: the folder of .* must exist; got no folder '.*nowhere'$"):
        save({}, tmp_path / "nowhere" / "a")
    with pytest.raises(DataError, match=r"^save: path must be a file; got the folder"):
        save({}, tmp_path)


@pytest.mark.parametrize("path", [None, 3, b"bytes", ["a"]])
def test_paths_are_text_or_paths(path: Any) -> None:
    with pytest.raises(DTypeError, match=r"^load: path must be str or os\.PathLike; got "):
        load(path)
    with pytest.raises(DTypeError, match=r"^save: path must be str or os\.PathLike; got "):
        save({}, path)
