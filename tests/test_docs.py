"""The pages say what is true: their code runs, their included code is current, their links and paths exist.

Executed are the ```python blocks of README.md, CONTRIBUTING.md and docs/*.md, page by page, in order, in one
namespace. What stands above a block changes that:

    <!-- include: ... -->            the block is a copy of source code (docs/include.py) and is not executed
    <!-- not executed: reason -->    the block is not executed
    <!-- output -->                  above a ```text block: exactly what the python block before it printed
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import io
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def load_include() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_include", ROOT / "docs" / "include.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


include = load_include()


@dataclass(frozen=True)
class Block:
    """A fenced block: the line where its content starts, the comment directly above it, language, content."""

    line: int
    above: str
    language: str
    content: str

    @property
    def included(self) -> bool:
        return self.above.startswith("<!-- include:")


def blocks_of(text: str) -> list[Block]:
    lines, found, i = text.split("\n"), [], 0
    while i < len(lines):
        if lines[i].startswith("```"):
            stop = next((j for j in range(i + 1, len(lines)) if lines[j] == "```"), None)
            assert stop is not None, f"line {i + 1}: the block does not end"
            above = lines[i - 1] if i and lines[i - 1].startswith("<!-- ") else ""
            found.append(Block(i + 2, above, lines[i][3:].strip(), "\n".join(lines[i + 1 : stop])))
            i = stop
        i += 1
    return found


def prose_of(text: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


# ---- code ----------------------------------------------------------------------------------------


def run_block(block: Block, path: Path, namespace: dict[str, object]) -> str:
    """Execute a block and return what it prints; a traceback names the line of the page."""
    code = compile("\n" * (block.line - 1) + block.content, str(path), "exec")
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        exec(code, namespace)
    return stdout.getvalue()


@page
def test_code_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYNET_DATA", "")
    namespace: dict[str, object] = {"__name__": "__docs__"}
    gc.collect()  # pages may count the memory in use, which garbage of other tests must not change meanwhile
    printed = ""
    for block in blocks_of(path.read_text()):
        if block.above == "<!-- output -->":
            assert printed.rstrip("\n") == block.content, f"line {block.line}: the output has changed"
        if block.language != "python" or block.included or block.above.startswith("<!-- not executed: "):
            continue
        printed = run_block(block, path, namespace)


@page
def test_comments_above_blocks_are_known(path: Path) -> None:
    for block in blocks_of(path.read_text()):
        if block.above == "<!-- output -->":
            assert block.language == "text", f"line {block.line}: output stands in a text block"
        elif block.above:
            known = ("<!-- include: ", "<!-- not executed: ")
            assert block.above.startswith(known), f"line {block.line}: {block.above}"


def test_included_code_is_current() -> None:
    command = [sys.executable, str(ROOT / "docs" / "include.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---- links and paths -----------------------------------------------------------------------------


def anchors_of(text: str) -> set[str]:
    """The names under which the headings of a page can be reached."""
    headings = re.findall(r"^#+ +(.+)$", prose_of(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@page
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), f"{path.name} links to {target}"
        if anchor:
            assert anchor in anchors_of(file.read_text()), f"{path.name} links to {target}: no such heading"


@page
def test_paths_exist(path: Path) -> None:
    text = path.read_text()
    for block in blocks_of(text):
        if block.included:
            text = text.replace(block.content, "")
    folders = "tinynet|csrc|docs|tests|examples|benchmarks"
    for name in sorted(set(re.findall(rf"(?<![\w/.-])(?:{folders})/[\w.*/-]*[\w*/]", text))):
        built = name.startswith("docs/_build")  # by `make api`
        assert built or any(ROOT.glob(name.rstrip("/"))), f"{path.name} mentions {name}"


# ---- README --------------------------------------------------------------------------------------


def test_readme_starts_with_its_two_blocks_of_commands() -> None:
    blocks = blocks_of((ROOT / "README.md").read_text())
    assert [block.language for block in blocks[:2]] == ["sh", "sh"]
    assert [block.language for block in blocks].count("sh") == 2
    assert "python examples/mnist.py" in blocks[0].content
    assert "pytest" in blocks[1].content


def test_readme_shows_a_model_that_learns_in_25_lines() -> None:
    path = ROOT / "README.md"
    model = next(block for block in blocks_of(path.read_text()) if block.language == "python")
    assert len(model.content.splitlines()) <= 25
    accuracy = re.fullmatch(r"test accuracy (\d\.\d+)\n", run_block(model, path, {"__name__": "__docs__"}))
    assert accuracy is not None
    assert float(accuracy[1]) > 0.93


@page
def test_nobody_is_sent_to_the_other_tinynet(path: Path) -> None:
    """The name belongs to an unrelated project in the package index."""
    assert not re.search(r"pip install[^\n`]*\btinynet\b(?!-cpu)", path.read_text())


# ---- docs/include.py -----------------------------------------------------------------------------

PYTHON = '''
@decorated
def first(a: int,
          b: str = "(") -> int:
    """One line."""
    return a


class Thing:
    """Text."""

    def method(
        self,
        x,
    ) -> None:
        """Two

        lines."""
        pass

    def other(self): return self.method(1)

AFTER = first(1)
'''
CYTHON = """
cdef class Op:
    cdef object run(self, x) except -1:
        return x

cdef ndarray helper(ndarray x):
    return x
"""
C = """
/* Of no interest. */

/* What it does:
 * this. */
INLINE void tile(const int rows,
                 float *c) {
    if (rows) { c[0] = 0; }
}
static float last(void) { return tile(1); }
#define EACH(n) \\
    for (;;)
int declared(int x);
int declared(int x) { return x; }
"""


@pytest.mark.parametrize(
    ("source", "suffix", "symbol", "first", "last"),
    [
        (PYTHON, ".py", "first", "@decorated", "    return a"),
        (PYTHON, ".py", "Thing", "class Thing:", "    def other(self): return self.method(1)"),
        (PYTHON, ".py", "Thing.method", "def method(", "    pass"),
        (PYTHON, ".py", "Thing.other", "def other(self): return self.method(1)", ""),
        (CYTHON, ".pyx", "Op.run", "cdef object run(self, x) except -1:", "    return x"),
        (CYTHON, ".pyx", "helper", "cdef ndarray helper(ndarray x):", "    return x"),
        (C, ".c", "tile", "/* What it does:", "}"),
        (C, ".h", "last", "static float last(void) { return tile(1); }", ""),
        (C, ".h", "EACH", "#define EACH(n) \\", "    for (;;)"),
        (C, ".c", "declared", "int declared(int x) { return x; }", ""),
        (C, ".c", "L-What it..this", "/* What it does:", " * this. */"),
    ],
)  # fmt: skip
def test_excerpts(source: str, suffix: str, symbol: str, first: str, last: str) -> None:
    lines = include.excerpt(source, suffix, symbol).splitlines()
    assert lines[0] == first
    assert lines[-1] == (last or first)


def test_excerpts_without_docstring() -> None:
    code = include.excerpt(PYTHON, ".py", "first", docstring=False)
    assert code.splitlines()[-2:] == ['          b: str = "(") -> int:', "    return a"]
    assert include.excerpt(PYTHON, ".py", "Thing.method", docstring=False).endswith(") -> None:\n    pass")


@pytest.mark.parametrize(
    ("page_text", "message"),
    [
        ("<!-- include: a.py#missing -->\n```\n```", "line 1: a.py: no class or function 'missing'"),
        ("<!-- include: b.py#first -->\n```\n```", "line 1: b.py is no source file"),
        ("\n<!-- include: a.py#first -->\ntext", "line 2: a fenced block must follow"),
        ("<!-- include: a.py#first -->\n```\n", "line 2: the block does not end"),
        ("<!-- include a.py -->\n```\n```", "line 1: a marker must be"),
        ("<!-- include: a.py#L-nothing..x -->\n```\n```", "no line holds 'nothing'"),
        ("<!-- include: a.py#L-first..nothing -->\n```\n```", "holds 'nothing'"),
    ],
)
def test_markers_that_name_nothing(page_text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(PYTHON)
    with pytest.raises(include.IncludeError) as caught:
        include.filled(page_text, tmp_path)
    assert message in str(caught.value)


def test_filling_replaces_what_is_stale_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(PYTHON)
    text = "before\n<!-- include: a.py#Thing.other -->\n```python\nstale\n```\nafter\n"
    new = text.replace("stale", "def other(self): return self.method(1)")
    assert include.filled(text, tmp_path) == new
    assert include.filled(new, tmp_path) == new
