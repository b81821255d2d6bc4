"""The runs of a study: each kept in a file of its own when it is finished, and never made twice.

A study is a list of runs under names, ``bn-x5-seed1`` for example.  `Runs.get` makes one or, if it was made
before, reads it; so a study that was interrupted is started again in the same way, and goes on with the first
run that is missing.  A long run may keep a checkpoint of its own, in a file that is removed with its end.

Several processes may work in one folder: whoever makes a run holds its lock, which ends with the process,
however that ends.  Another process waits for the result or, within `Runs.share`, turns to the next run.

A finished run holds the settings that it was made with and the version of tinynet.  It is never taken for one
with other settings: that is an error, and the files stay as they are.  Whether the source has changed since
is not noticed.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tinynet import io
from tinynet._version import __version__
from tinynet.errors import ArgumentError, DataError, DTypeError

Setting = str | float | bool | None
_PART = ".part.safetensors"
_KEYS = {"settings", "result"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Runs:
    """A folder of finished runs.

    Parameters
    ----------
    folder : str or os.PathLike
        Made when the first run is; runs lie in it as ``NAME.safetensors``, checkpoints of unfinished ones as
        ``NAME.part.safetensors``.

    Attributes
    ----------
    folder : pathlib.Path
        See above.
    made, kept : list of str
        Names of the runs that `get` has made, and of those that were there, in the order of the calls.

    Examples
    --------
    >>> from tinynet.experiments import Runs
    >>> def work(checkpoint):
    ...     print("working")
    ...     return {"accuracy": 0.9}
    >>> Runs("runs").get("first", {"lr": 0.1}, work)
    working
    {'accuracy': 0.9}
    >>> Runs("runs").get("first", {"lr": 0.1}, work)
    {'accuracy': 0.9}
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.made: list[str] = []
        self.kept: list[str] = []
        self._waits = True

    def path(self, name: str) -> Path:
        """Return the file of the run `name`, finished or not."""
        if not isinstance(name, str):
            raise DTypeError(f"Runs: name must be a str; got {type(name).__name__}")
        if not _NAME.fullmatch(name) or name.endswith(".part"):
            raise ArgumentError(
                "Runs: name must be made of letters, digits, '.', '_' and '-', begin with a letter or digit "
                f"and not end in '.part'; got {name!r}"
            )
        return self.folder / f"{name}.safetensors"

    def finished(self) -> int:
        """Return how many finished runs there are, whoever made them."""
        return sum(not path.name.endswith(_PART) for path in self.folder.glob("*.safetensors"))

    def begun(self) -> bool:
        """Return whether there is a checkpoint of an unfinished run."""
        return any(self.folder.glob(f"*{_PART}"))

    def get(
        self,
        name: str,
        settings: Mapping[str, Setting],
        work: Callable[[Path], Mapping[str, Any]],
    ) -> dict[str, Any]:
        """Return what the run `name` came to: from its file if it is finished, else by making it.

        Parameters
        ----------
        name : str
            Of letters, digits, ``.``, ``_`` and ``-``.
        settings : mapping of str to text, number, bool or None
            All that the result depends on.
        work : callable
            ``work(checkpoint)`` makes the run and returns a tree that `tinynet.save` can hold.  `checkpoint`
            is a file that it may write along the way and, if it is there, go on from.

        Returns
        -------
        dict
            The tree as `tinynet.load` gives it back, the same whether the run was made now or before.

        Raises
        ------
        ArgumentError
            If there is a run of this name with other settings, or from another version of tinynet; the
            message names the setting and what to do.
        DataError
            If the file is damaged, or no run.
        """
        path = self.path(name)
        wanted = {"tinynet": __version__, **settings}
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock(name):
                if not path.exists():  # else another process has made it meanwhile
                    checkpoint = self.folder / f"{name}{_PART}"
                    io.save({"settings": wanted, "result": dict(work(checkpoint))}, path)
                    checkpoint.unlink(missing_ok=True)
                    self.made.append(name)
        if name not in self.made + self.kept:
            self.kept.append(name)
        return _read(path, wanted)

    def share(self, makers: Iterable[Callable[[], object]]) -> None:
        """Make the runs that are missing and that no other process is making; wait for none.

        Parameters
        ----------
        makers : iterable of callable
            Each, called without arguments, calls `get` for one run.
        """
        self._waits = False
        try:
            for make in makers:
                try:
                    make()
                except _BusyError:
                    continue
        finally:
            self._waits = True

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Hold a run, so that no other process makes it at the same time."""
        path = self.folder / f".{name}.lock"
        while True:
            with path.open("w") as file:
                self._take(file, name)
                if not _is_at(file, path):
                    continue  # whoever had it has removed the file, and perhaps another one has made it anew
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return

    def _take(self, file: IO[str], name: str) -> None:
        """Lock a file, or raise _BusyError where nothing is waited for."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not self._waits:
                raise _BusyError from None
            print(f"waiting for {name}, which another process makes", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)


def _is_at(file: IO[str], path: Path) -> bool:
    """Whether an open file still is the one under its path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


class _BusyError(Exception):
    """Another process makes this run."""


def same_settings(
    owner: str, path: str | os.PathLike[str], wanted: Mapping[str, Setting], found: Mapping[str, Setting]
) -> None:
    """Insist that a file was made with the settings that are wanted; the error names the first other one."""
    for name in [*wanted, *(name for name in found if name not in wanted)]:
        own, its = wanted.get(name), found.get(name)
        if own != its:
            raise ArgumentError(f"{owner}: {name} must be {its!r} as in {os.fspath(path)!r}; got {own!r}")


def _read(path: Path, wanted: Mapping[str, Setting]) -> dict[str, Any]:
    """Load a finished run and insist on its settings."""
    try:
        tree = io.load(path)
    except DataError as error:
        raise DataError(f"{error}; remove the file, and the run is made again") from error
    if not isinstance(tree, dict) or tree.keys() != _KEYS:
        raise DataError(f"Runs: {os.fspath(path)!r} must be a run of a study; got another tree")
    try:
        same_settings("Runs", path, wanted, tree["settings"])
    except ArgumentError as error:
        raise ArgumentError(f"{error}: choose another folder, or remove this one") from None
    result: dict[str, Any] = tree["result"]
    return result
