"""Sphinx configuration of the API reference: ``make api``.

Signatures and docstrings are read from the installed package; which names there are, docs/api_names.py says.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

sys.path.insert(0, str(Path(__file__).parent))

import api_names

import tinynet

project = "tinynet"
release = version = tinynet.__version__
copyright = "tinynet contributors"
extensions = ["sphinx.ext.autodoc", "numpydoc"]
root_doc = "api/index"
exclude_patterns = ["_build"]
default_role = "name"
html_theme = "alabaster"
html_title = "tinynet: API"
html_show_sourcelink = False

autodoc_typehints = "none"  # compiled functions have none at run time; the types stand under Parameters
autodoc_docstring_signature = False  # Cython writes one too
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # `api_names` says which members an entry has
numpydoc_class_members_toctree = False

nitpicky = True


class Names(SphinxDirective):
    """``.. names:: MODULE [CHOICE ...]``: an entry for each of these public names (docs/api_names.py)."""

    has_content = False
    required_arguments = 1
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        module, *choice = " ".join(self.arguments).split()
        page = Path(self.env.doc2path(self.env.docname)).stem
        listed, values = api_names.entries(), dict(api_names.public_objects())
        lines: list[str] = []
        for full in listed[api_names.Listing(page, module, tuple(choice))]:
            lines += [*entry(full, values[full]), ""]
        return self.parse_text_to_nodes("\n".join(lines))


def entry(full: str, value: object) -> list[str]:
    """The reStructuredText for one public object."""
    if callable(value) and (home := api_names.home(value)) != full:
        return [f".. py:data:: {full}", "", f"   The same as :py:obj:`{home}`."]
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, BaseException) else "class"
        members = [] if kind == "exception" else api_names.members(value)
        return [f".. auto{kind}:: {full}", *([f"   :members: {', '.join(members)}"] if members else [])]
    if callable(value):
        return [f".. autofunction:: {full}"]
    return [f".. py:data:: {full}", f"   :value: {value!r}"]


class Name(SphinxRole):
    """The role of text in single backticks: a link if it is a public name, else (an argument) code."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        target = targets().get(self.text.removesuffix("()"))
        if target is None:
            return [nodes.literal(self.rawtext, self.text)], []
        role = self.env.get_domain("py").role("obj")
        assert role is not None
        return role("py:obj", self.rawtext, f"{self.text} <{target}>", self.lineno, self.inliner)


def targets() -> dict[str, str]:
    """Full names by what a docstring may call them: `tinynet.nn.Linear`, `nn.Linear`, `Linear`."""
    found: dict[str, str] = {}
    for full, value in api_names.public_objects():
        parts = full.split(".")
        spellings = range(len(parts)) if inspect.isclass(value) else range(len(parts) - 1)
        for i in spellings:  # a function's bare name may be an argument's
            found.setdefault(".".join(parts[i:]), full)
    return found


# What reStructuredText would take for markup: *emphasis*, |substitutions|, references_
MARKUP = re.compile(r"[*|]|(?<=\w)_(?!\w)")
PARAMETER = re.compile(r" *\*{0,2}\w+(, \*{0,2}\w+)*( :|$)")  # numpydoc escapes the stars of *args itself


def plain(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text with backticks, so that `x * y`, |x| and mul_ may be written as they are."""
    if lines and re.fullmatch(r"[\w.]+\(.*\)", lines[0]):  # the signature that Cython writes
        del lines[0]
    literal = None  # indentation of the text above a literal block
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if line.strip() == "Examples":
            break
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        if literal is None:
            names = PARAMETER.match(line)
            start = names.end() if names else 0
            parts = re.split(r"(`+[^`]*`+)", line[start:])  # backticked text is every other part
            parts[::2] = [MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
            lines[i] = line[:start] + "".join(parts)
        if line.rstrip().endswith("::"):
            literal = indent


def bound(app: Sphinx, what: str, name: str, value: object, options: object, args: str, returns: str) -> Any:
    """Signatures of compiled methods as they are called: without `self`."""
    return (re.sub(r"^\(self(, )?", "(", args), returns) if args else None


def complete(app: Sphinx, env: Any) -> None:
    """Warn of public names that the built pages do not describe."""
    described = env.get_domain("py").objects
    for full, _ in api_names.public_objects():
        if full not in described:
            logging.getLogger(__name__).warning("no entry for %s", full)


def setup(app: Sphinx) -> None:
    app.add_directive("names", Names)
    app.add_role("name", Name())
    app.connect("autodoc-process-docstring", plain, priority=400)  # before numpydoc, which adds markup
    app.connect("autodoc-process-signature", bound, priority=400)  # numpydoc takes the docstring's
    app.connect("env-check-consistency", complete)
