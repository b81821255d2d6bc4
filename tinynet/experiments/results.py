"""What a study leaves behind: JSON and CSV that programs can read, complete or not there at all.

JSON here is the strict kind: numbers that are not finite become ``null`` (``NaN`` is no JSON, and other
readers refuse it).  Floats are written by `repr`, so that the same run gives the same bytes and reading gives
back the same number.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tinynet.errors import ArgumentError, DTypeError
from tinynet.io import atomic_write


def plain(obj: object, operation: str = "write_json") -> object:
    """Return `obj` as JSON can hold it: arrays as lists, paths as text, non-finite floats as None.

    Parameters
    ----------
    obj : object
        A tree of dicts with text keys, lists, tuples, arrays, numbers, text, paths, bool and None.  An object
        with a method ``to_json()`` is replaced by what that returns.
    operation : str
        The name that error messages begin with.

    Raises
    ------
    DTypeError
        If the tree holds anything else.
    """
    if hasattr(obj, "to_json"):
        return plain(obj.to_json(), operation)
    if isinstance(obj, (np.ndarray, np.generic)):
        return plain(obj.tolist(), operation)
    if isinstance(obj, float):
        return obj if math.isfinite(obj) else None
    if obj is None or isinstance(obj, (str, bool, int)):
        return obj
    if isinstance(obj, os.PathLike):
        return os.fspath(obj)
    if isinstance(obj, Mapping):
        for key in obj:
            if not isinstance(key, str):
                raise DTypeError(f"{operation}: keys must be str; got {key!r} ({type(key).__name__})")
        return {key: plain(value, operation) for key, value in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [plain(value, operation) for value in obj]
    raise DTypeError(
        f"{operation}: values must be dict, list, array, number, text, bool or None; got {type(obj).__name__}"
    )


def write_json(path: str | os.PathLike[str], obj: object) -> None:
    """Write a tree as strict JSON, atomically; the folder must exist.

    Objects are indented; a list without containers in it stands on one line.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    obj : object
        A tree of dicts with text keys, lists, tuples, arrays, numbers, text, paths, bool and None.  Numbers
        that are not finite become null.  An object with a method ``to_json()`` is replaced by what that
        returns.

    Raises
    ------
    DTypeError
        If the tree holds anything else; the file is left as it was.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tinynet.experiments import write_json
    >>> write_json("results.json", {"accuracy": 0.5, "loss": float("nan")})
    >>> print(Path("results.json").read_text().rstrip())
    {
      "accuracy": 0.5,
      "loss": null
    }
    """
    text = _layout(plain(obj), "\n")
    with atomic_write(path, operation="write_json") as file:
        file.write(text + "\n")


def _layout(obj: object, newline: str) -> str:
    """JSON of a tree from `plain`; `newline` is a line break with the indentation of the place."""
    deeper = newline + "  "
    if isinstance(obj, dict) and obj:
        parts = [f"{json.dumps(key)}: {_layout(value, deeper)}" for key, value in obj.items()]
        return "{" + deeper + f",{deeper}".join(parts) + newline + "}"
    if isinstance(obj, list) and any(isinstance(value, (dict, list)) for value in obj):
        return "[" + deeper + f",{deeper}".join(_layout(value, deeper) for value in obj) + newline + "]"
    return json.dumps(obj, allow_nan=False)


def write_csv(path: str | os.PathLike[str], head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as CSV (RFC 4180, but lines end in a newline alone), atomically; the folder must exist.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    head : sequence of str
        The names of the columns.
    rows : iterable of sequences
        The cells.  None and numbers that are not finite become empty cells.

    Raises
    ------
    ArgumentError
        If a row has another length than `head`; the file is left as it was.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tinynet.experiments import write_csv
    >>> write_csv("curve.csv", ("step", "accuracy"), [(1, 0.1), (250, None)])
    >>> Path("curve.csv").read_text().splitlines()
    ['step,accuracy', '1,0.1', '250,']
    """
    with atomic_write(path, newline="", operation="write_csv") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        for row in rows:
            cells = [plain(cell, "write_csv") for cell in row]
            if len(cells) != len(head):
                raise ArgumentError(f"write_csv: rows must have {len(head)} cells; got {cells!r}")
            writer.writerow(cells)
