"""Fills the code blocks of docs/*.md from the source files: a page never shows code that is gone.

A marker stands alone on a line, directly above a fenced block, whose content this script owns::

    <!-- include: tinynet/_graph.pyx#sweep -->
    <!-- include: tinynet/nn/functional/linear.py#linear (no docstring) -->
    <!-- include: tinynet/ops/normalization.pyx#BatchNorm.backward -->
    <!-- include: csrc/gemm.inc.h#tile -->
    <!-- include: csrc/tinynet.h#L-Packs columns..gemm_pack_f32 -->

What follows the ``#`` is a class, function or method of a Python or Cython file; a function or macro of a C
file, which comes with the comment directly above it; or ``L-first..last``, the lines from the first that
holds the text `first` to the next that holds the text `last`.

    python docs/include.py            rewrite the pages
    python docs/include.py --check    change nothing; exit code 1 if a page is stale (a test runs this)
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = {".py": "python", ".pyx": "cython", ".pxd": "cython", ".c": "c", ".h": "c"}
MARKER = re.compile(r"<!-- include: (?P<path>[^#\s]+)#(?P<symbol>.+?)(?P<bare> \(no docstring\))? -->")


class IncludeError(Exception):
    """A marker that names nothing, or no block below it."""


def excerpt(text: str, suffix: str, symbol: str, docstring: bool = True) -> str:
    """Return the code of a symbol.

    Parameters
    ----------
    text : str
        Content of the source file.
    suffix : str
        The file's suffix, which tells its language: a key of `LANGUAGES`.
    symbol : str
        As in a marker.
    docstring : bool, default True
        Keep the docstring (Python and Cython).

    Raises
    ------
    IncludeError
        If the symbol is not there.
    """
    lines = text.splitlines()
    if symbol.startswith("L-"):
        found = between(lines, symbol[2:])
    elif LANGUAGES[suffix] == "c":
        found = c_function(lines, symbol)
    else:
        found = python_definition(lines, symbol, docstring)
    return textwrap.dedent("\n".join(found)).strip("\n")


def between(lines: list[str], markers: str) -> list[str]:
    first, _, last = markers.partition("..")
    start = next((i for i, line in enumerate(lines) if first in line), None)
    if start is None:
        raise IncludeError(f"no line holds {first!r}")
    stop = next((i for i in range(start, len(lines)) if last in lines[i]), None)
    if not last or stop is None:
        raise IncludeError(f"no line from line {start + 1} on holds {last!r}")
    return lines[start : stop + 1]


def python_definition(lines: list[str], symbol: str, docstring: bool) -> list[str]:
    """A class, function or method, with its decorators."""
    start, stop, indent = 0, len(lines), -1
    for name in symbol.split("."):
        at = next((i for i in range(start, stop) if defines(lines[i], name, indent)), None)
        if at is None:
            raise IncludeError(f"no class or function {name!r}")
        indent = indentation(lines[at])
        body = end_of_signature(lines, at) + 1
        start, stop = at, end_of_block(lines, body, indent)
    if not docstring and lines[body].strip().startswith('"""'):
        close = body if lines[body].count('"""') == 2 else body + 1
        while '"""' not in lines[close]:
            close += 1
        del lines[body : close + 1]
        stop -= close + 1 - body
    while lines[start - 1].startswith(" " * indent + "@"):
        start -= 1
    return lines[start:stop]


def defines(line: str, name: str, deeper_than: int) -> bool:
    """Whether a line starts the definition of `name`, indented more than `deeper_than`."""
    if indentation(line) <= deeper_than or (deeper_than == -1 and line[:1] == " "):
        return False
    return bool(
        re.match(rf"\s*(cdef |cpdef )?class {name}\b", line)
        or re.match(rf"\s*(async def|def|cdef|cpdef) (?:[\w\s*\[\].]*[\s*])?{name}\(", line)
    )


def indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def end_of_signature(lines: list[str], start: int) -> int:
    depth = 0
    for i in range(start, len(lines)):
        code = re.sub(r"\"[^\"]*\"|'[^']*'", "", lines[i]).split("#")[0]
        depth += sum(code.count(c) for c in "([{") - sum(code.count(c) for c in ")]}")
        if depth == 0:
            return i
    raise IncludeError(f"the signature in line {start + 1} does not end")


def end_of_block(lines: list[str], start: int, indent: int) -> int:
    """The line after the last one that is indented more than `indent`."""
    stop = start
    for i in range(start, len(lines)):
        if not lines[i].strip():
            continue
        if indentation(lines[i]) <= indent:
            break
        stop = i + 1
    return stop


def c_function(lines: list[str], name: str) -> list[str]:
    """A function or macro, with the comment directly above it."""
    function = re.compile(rf"[A-Za-z_][\w\s*]*[\s*]{name}\(")
    macro = re.compile(rf"#define {name}\b")
    for start, line in enumerate(lines):
        if macro.match(line):
            stop = start
            while lines[stop].endswith("\\"):
                stop += 1
            break
        if function.match(line) and not line.startswith("#"):
            stop = end_of_braces(lines, start)
            if stop >= 0:
                break
    else:
        raise IncludeError(f"no function or macro {name!r}")
    if start and lines[start - 1].endswith("*/"):
        start -= 1
        while not lines[start].startswith("/*"):
            start -= 1
    return lines[start : stop + 1]


def end_of_braces(lines: list[str], start: int) -> int:
    """The line of the brace that closes the body; -1 if this is a declaration."""
    depth, opened = 0, False
    for i in range(start, len(lines)):
        for c in lines[i]:
            if c == ";" and not opened:
                return -1
            opened = opened or c == "{"
            depth += (c == "{") - (c == "}")
        if opened and depth == 0:
            return i
    return -1


def filled(page: str, root: Path = ROOT) -> str:
    """Return a page with every included block as the source files have it now.

    Raises
    ------
    IncludeError
        If a file or symbol is missing, or no fenced block follows a marker; says in which line.
    """
    lines, out, i = page.split("\n"), [], 0
    while i < len(lines):
        out.append(lines[i])
        marker = MARKER.fullmatch(lines[i])
        i += 1
        if marker is None:
            if lines[i - 1].startswith("<!-- include"):
                raise IncludeError(f"line {i}: a marker must be <!-- include: path#symbol -->")
            continue
        source = root / marker["path"]
        if not source.is_file() or source.suffix not in LANGUAGES:
            raise IncludeError(f"line {i}: {marker['path']} is no source file")
        if i >= len(lines) or not lines[i].startswith("```"):
            raise IncludeError(f"line {i}: a fenced block must follow")
        stop = i + 1
        while stop < len(lines) and lines[stop] != "```":
            stop += 1
        if stop == len(lines):
            raise IncludeError(f"line {i + 1}: the block does not end")
        try:
            code = excerpt(source.read_text(), source.suffix, marker["symbol"], marker["bare"] is None)
        except IncludeError as error:
            raise IncludeError(f"line {i}: {marker['path']}: {error}") from None
        out += ["```" + LANGUAGES[source.suffix], code, "```"]
        i = stop + 1
    return "\n".join(out)


def main(arguments: list[str] | None = None) -> int:
    """Rewrite or check the pages; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if a page is stale")
    options = parser.parse_args(arguments)
    code = 0
    for path in sorted((ROOT / "docs").rglob("*.md")):
        page = path.read_text()
        name = path.relative_to(ROOT)
        try:
            new = filled(page)
        except IncludeError as error:
            print(f"{name}: {error}", file=sys.stderr)
            code = 1
            continue
        if new == page:
            continue
        if options.check:
            print(f"{name}: stale; run python docs/include.py", file=sys.stderr)
            code = 1
        else:
            path.write_text(new)
            print(f"{name}: rewritten")
    return code


if __name__ == "__main__":
    sys.exit(main())
