"""What the tests of the example scripts share: running one, in a process or here, and reading its files."""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tinynet as tn

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
Main = Callable[[list[str]], int]
Smoke = tuple[Path, subprocess.CompletedProcess[str]]
"""A folder of results and the process that wrote it."""

# ---- in a process of its own -----------------------------------------------------------------------------

SCRIPT = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
SIGINT_AS_USUAL = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"


def environment(tmp_path: Path) -> dict[str, str]:
    """No data sets anywhere, this process's tinynet, and no NumPy threads that wait for busy cores."""
    variables = dict(os.environ, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"))
    variables["PYTHONPATH"] = str(Path(tn.__file__).parent.parent)
    variables["TINYNET_DATA"] = ""
    variables["OPENBLAS_NUM_THREADS"] = "1"
    return variables


def run(tmp_path: Path, script: str, *arguments: str, first: str = "") -> subprocess.CompletedProcess[str]:
    """Run a script as a user does, or after code that comes first, such as other settings."""
    code = ["-c", first + SCRIPT] if first else []
    return subprocess.run(
        [sys.executable, *code, str(EXAMPLES / script), *arguments],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=300,
    )


def start(tmp_path: Path, script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a script, with SIGINT as usual even where this process ignores it (nohup, a job)."""
    return subprocess.Popen(
        [sys.executable, "-c", SIGINT_AS_USUAL + SCRIPT, str(EXAMPLES / script), *arguments],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupt(process: subprocess.Popen[str], sign: str) -> tuple[int, str]:
    """Wait until a line of the output holds `sign`, send SIGINT; return exit code and stderr."""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if sign in line:
                break
        else:
            pytest.fail(f"ended without {sign!r}")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, errors


# ---- in this process -------------------------------------------------------------------------------------


@contextlib.contextmanager
def loaded(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What a script defines, to be called in an empty folder; the number of threads is put back."""
    before = tn.get_num_threads()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    yield runpy.run_path(str(EXAMPLES / script))["main"].__globals__
    tn.set_num_threads(before)


def stop(*arguments: Any, **options: Any) -> None:
    """In the place of what is to be interrupted."""
    raise KeyboardInterrupt


def stopping(usual: Callable[..., Any], number: int) -> tuple[Callable[..., Any], list[int]]:
    """The usual function, but interrupted at the call of that number (from 1), and the count of its calls."""
    calls = [0]

    def function(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            raise KeyboardInterrupt
        return usual(*arguments, **options)

    return function, calls


def never(*arguments: Any, **options: Any) -> None:
    """In the place of what makes a run, where all runs are there."""
    pytest.fail("something was made again")


def refusal(main: Main, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said to options that are refused; the folder stays empty."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert list(Path.cwd().iterdir()) == []
    return capsys.readouterr().err


def help_text(main: Main, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out


def said_of_a_file(main: Main, arguments: list[str], file: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said where the folder for the results is a file, which stays."""
    Path(file).write_text("mine")
    assert main(arguments) == 1
    assert Path(file).read_text() == "mine"
    return capsys.readouterr().err


# ---- files -----------------------------------------------------------------------------------------------


def strict(path: Path) -> Any:
    """Read JSON and refuse what Python's reader lets pass: NaN and Infinity."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{path.name} holds {constant}")

    return json.loads(path.read_text(), parse_constant=refuse)


def timeless(path: Path) -> dict[str, Any]:
    """The results, but for the moment that they were written at."""
    results = strict(path)
    del results["finished"]
    return results


def files(folder: Path) -> list[str]:
    """The files in a folder and in those inside it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def png_size(path: Path) -> tuple[int, int]:
    """Width and height from the first chunk of a PNG file."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert content[-8:-4] == b"IEND"  # complete
    width, height = struct.unpack(">II", content[16:24])
    return width, height
