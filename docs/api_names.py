"""What the API reference holds: every public name of the package, on one page of docs/api/.

A page lists public names of a module with a directive of one line, which `docs/conf.py` expands::

    .. names:: tinynet.nn.init                          all of them
    .. names:: tinynet tinynet.creation from_numpy      those made in or inside that module, and from_numpy
    .. names:: tinynet                                  where other lines chose some: the rest

So a new public name is in the reference by itself, in its place or among the rest; and so is a new public
module, with the rest of the one around it until it gets a line.  This file needs no Sphinx;
`tests/test_docs_api.py` and `tests/test_docstrings.py` use it too.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

PAGES = Path(__file__).parent / "api"
# Every public module is in `__all__` of the package around it, but for this one, which is imported by itself.
ROOTS = ("tinynet", "tinynet.experiments")
LINE = re.compile(r"^\.\. names:: (\S+) *(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Listing:
    """One line of a page: the public names of a module that are listed there."""

    page: str
    module: str
    choice: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: .. names:: {' '.join((self.module, *self.choice))}"


def exported(module: ModuleType) -> list[str]:
    """The public names of a module: `__all__`; where there is none, what it defines itself."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    own = (n for n, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__)
    return [
        name for name in own if not name.startswith("_") and not isinstance(getattr(module, name), type(re))
    ]


def public_modules(roots: tuple[str, ...] = ROOTS) -> dict[str, ModuleType]:
    """The public modules under their full names, each before those inside it."""
    found: dict[str, ModuleType] = {}
    for root in roots:
        module = importlib.import_module(root)
        found[root] = module
        inner = [f"{root}.{n}" for n in exported(module) if inspect.ismodule(getattr(module, n, None))]
        found.update(public_modules(tuple(inner)))
    return found


def public_names(module: str) -> list[str]:
    """The public names of a module that are no modules, in alphabetical order."""
    m = importlib.import_module(module)
    return sorted((n for n in exported(m) if not inspect.ismodule(getattr(m, n, None))), key=str.lower)


def public_objects() -> Iterator[tuple[str, object]]:
    """Each public object that is no module, under its full name; AttributeError if a name has none."""
    for name, module in public_modules().items():
        for attribute in public_names(name):
            yield f"{name}.{attribute}", getattr(module, attribute)


def home(value: object) -> str:
    """The full name under which a class or function is described: of several public ones the shortest."""
    return min((name for name, other in public_objects() if other is value), key=lambda n: (n.count("."), n))


def described(kind: type) -> list[type]:
    """The classes whose attributes a class's entry describes: itself and its bases that have no entry."""
    public = [value for _, value in public_objects() if inspect.isclass(value) and value is not kind]
    elsewhere = {base for value in public if issubclass(kind, value) for base in value.__mro__}
    ours = [base for base in kind.__mro__ if base.__module__.startswith("tinynet.")]
    return [base for base in ours if base not in elsewhere]


def members(kind: type) -> list[str]:
    """The public attributes, with a docstring, that a class's entry describes."""
    names = dict.fromkeys(name for base in described(kind) for name in vars(base))
    return sorted(n for n in names if not n.startswith("_") and inspect.getdoc(getattr(kind, n, None)))


def listings(folder: Path = PAGES) -> list[Listing]:
    """The lines of all pages."""
    return [
        Listing(path.stem, match[1], tuple(match[2].split()))
        for path in sorted(folder.glob("*.rst"))
        for match in LINE.finditer(path.read_text())
    ]


def entries(folder: Path = PAGES) -> dict[Listing, list[str]]:
    """The public objects that each line lists, under their full names.

    A module without a line of its own is listed with the rest of the one around it.

    Raises
    ------
    LookupError
        If a line names a module or name that is not public or that an earlier line has, if it lists nothing,
        or if a public name has no line.
    """
    lines = listings(folder)
    left = dict(public_objects())
    result: dict[Listing, list[str]] = {}
    # Lines that choose come before those that take the rest, inner modules before those around them.
    for line in sorted(lines, key=lambda x: (not x.choice, -x.module.count("."))):
        inside = [full for full in left if full.startswith(f"{line.module}.")]
        if line.choice:
            inside = [full for full in inside if full.rpartition(".")[0] == line.module]
            inside = [full for full in inside if _chosen(full, left[full], line.choice)]
        unknown = [n for n in line.choice if "." not in n and f"{line.module}.{n}" not in inside]
        if unknown or not inside:
            raise LookupError(f"{line}: not public, or listed before: {', '.join(unknown) or line.module}")
        result[line] = inside
        for full in inside:
            del left[full]
    if left:
        raise LookupError(f"no page in docs/api lists {', '.join(left)}")
    return result


def _chosen(full: str, value: object, choice: tuple[str, ...]) -> bool:
    made_in = f"{getattr(value, '__module__', '')}."
    modules = tuple(f"{name}." for name in choice if "." in name)
    return full.rpartition(".")[2] in choice or made_in.startswith(modules)
