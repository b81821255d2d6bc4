"""`atomic_write`: the file is complete or as it was, and nothing is left beside it."""

from __future__ import annotations

import csv
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinynet.errors import ArgumentError, DataError, DTypeError
from tinynet.io import atomic as module
from tinynet.io import atomic_path, atomic_write


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_bytes_and_nothing_beside(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.txt") as file:
        file.write("é\n")
    with atomic_write(str(tmp_path / "b.bin"), "wb") as file:
        file.write(b"\x00\xff")
    assert (tmp_path / "a.txt").read_bytes() == "é\n".encode()
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\xff"
    assert names(tmp_path) == ["a.txt", "b.bin"]


def test_encoding_and_newline_reach_open(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.csv", newline="", encoding="latin-1") as file:
        csv.writer(file).writerow(["é", 1])
    assert (tmp_path / "a.csv").read_bytes() == b"\xe9,1\r\n"


def test_not_visible_before_the_end(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic_write(target) as file:
        file.write("new")
        file.flush()
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [True, False])
def test_interrupted_in_the_middle(tmp_path: Path, error: type[BaseException], existing: bool) -> None:
    target = tmp_path / "a.txt"
    if existing:
        target.write_text("old")

    def write() -> None:
        with atomic_write(target) as file:
            file.write("half")
            raise error

    with pytest.raises(error):
        write()
    assert names(tmp_path) == (["a.txt"] if existing else [])
    assert not existing or target.read_text() == "old"


@pytest.mark.parametrize("function", ["replace", "fsync", "chmod", "close"])
def test_operating_system_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail(*args: object, **kwargs: object) -> None:
        if function == "close":
            monkeypatch.undo()  # os.close serves everybody
            os.close(args[0])  # type: ignore[arg-type]
        raise OSError(28, "No space left on device")

    def write() -> None:
        with atomic_write(target) as file:
            file.write("new")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="No space"):
        write()
    monkeypatch.undo()
    assert names(tmp_path) == ["a.txt"]
    assert target.read_text() == "old"


def test_order_of_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        steps.append("fsync folder" if is_folder else f"fsync {os.fstat(descriptor).st_size} bytes")
        fsync(descriptor)

    def record_replace(source: Path, target: Path) -> None:
        assert Path(source).parent == tmp_path
        steps.append("replace")
        replace(source, target)

    monkeypatch.setattr(module.os, "fsync", record_fsync)
    monkeypatch.setattr(module.os, "replace", record_replace)
    with atomic_write(tmp_path / "a.txt") as file:
        file.write("12345")
    assert steps == ["fsync 5 bytes", "replace", "fsync folder"]


def test_permissions(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "new") as file:
            file.write("x")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    (tmp_path / "new").chmod(0o604)
    with atomic_write(tmp_path / "new") as file:
        file.write("y")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604


def test_permissions_do_not_depend_on_the_writer(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "new") as temporary:
            (tmp_path / "private").touch(0o600)
            (tmp_path / "private").replace(temporary)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "real")
    with atomic_write(tmp_path / "link") as file:
        file.write("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "real").read_text() == "new"
    assert names(tmp_path / "folder") == ["real"]


def test_block_may_close_the_file_and_names_may_be_long(tmp_path: Path) -> None:
    name = "n" * 240
    with atomic_write(tmp_path / name) as file:
        file.write("x")
        file.close()
    assert (tmp_path / name).read_text() == "x"


def test_atomic_path(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.read_bytes() == b""
        temporary.write_text("x")
    assert names(tmp_path) == ["a"]


def test_errors(tmp_path: Path) -> None:
    missing = r"^atomic_write: the folder of '.*a\.txt' must exist; got no folder '.*nowhere'"
    with pytest.raises(DataError, match=missing):
        atomic_write(tmp_path / "nowhere" / "a.txt").__enter__()
    with pytest.raises(DataError, match="path must be a file; got the folder"):
        atomic_write(tmp_path).__enter__()
    with pytest.raises(DataError, match=r"^write_it: path must be a file; got the folder"):
        atomic_path(tmp_path, operation="write_it").__enter__()
    with pytest.raises(DTypeError, match=r"^atomic_write: path must be str or os\.PathLike; got 1$"):
        atomic_write(1).__enter__()  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="mode must be 'w' or 'wb'; got 'a'"):
        atomic_write(tmp_path / "a.txt", "a").__enter__()
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_in_a_process(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from tinynet.io import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write('half'); file.flush(); print('writing', flush=True); time.sleep(60)\n"
    )
    target = tmp_path / "a.txt"
    target.write_text("old")
    command = [sys.executable, "-c", program, str(target)]
    pipe = subprocess.PIPE
    folder = tmp_path.parent  # where no source tree hides the installed package
    with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert len(names(tmp_path)) == 2
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert names(tmp_path) == ["a.txt"]
    assert target.read_text() == "old"
