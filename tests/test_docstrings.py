"""Docstrings: every public object has one, it describes the parameters that there are, and its examples run.

What is public, docs/api_names.py says.  The form is numpydoc's.  A function or class with parameters has a
section `Parameters`, which holds them in the order of the signature; only a function of one tensor alone may
do without.  A method may describe what it does in a sentence, if that names every parameter that the function
of its name does not describe.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import api_names
import pytest

import tinynet
import tinynet.experiments

ALONE = ({"input"}, {"x"})  # the parameters of a function that needs no section
EVERYWHERE = {"keepdim", "axis", "generator"}  # mean the same in every method that has them

# Objects that are excused from a test, with the reason.  To be kept empty.
TO_COME = "is to be written"
WITHOUT_DOCSTRING: dict[str, str] = {"tinynet.autograd.FunctionContext.saved_tensors": TO_COME}
WITHOUT_PARAMETERS: dict[str, str] = {
    "tinynet.Tensor.size": TO_COME,
    "tinynet.autograd.Function.backward": TO_COME,
    "tinynet.autograd.Function.setup_context": TO_COME,
    "tinynet.autograd.FunctionContext.mark_dirty": TO_COME,
    "tinynet.autograd.FunctionContext.mark_non_differentiable": TO_COME,
    "tinynet.autograd.FunctionContext.set_materialize_grads": TO_COME,
    "tinynet.data.FashionMNIST": "as those of MNIST, which it refers to",
    "tinynet.enable_grad": TO_COME,
    "tinynet.nn.Module.add_module": TO_COME,
    "tinynet.nn.Module.buffers": TO_COME,
    "tinynet.nn.Module.named_buffers": TO_COME,
    "tinynet.nn.Module.named_modules": TO_COME,
    "tinynet.nn.Module.named_parameters": TO_COME,
    "tinynet.nn.Module.parameters": TO_COME,
    "tinynet.nn.Module.register_full_backward_hook": TO_COME,
    "tinynet.nn.Module.register_full_backward_pre_hook": TO_COME,
    "tinynet.nn.Module.register_module": TO_COME,
    "tinynet.nn.Module.register_parameter": TO_COME,
    "tinynet.nn.Module.requires_grad_": TO_COME,
    "tinynet.no_grad": TO_COME,
    "tinynet.optim.Adagrad.add_param_group": "as that of Optimizer",
    "tinynet.optim.AdamW": "as those of Adam, which it refers to",
}


def is_method(value: object) -> bool:
    """Whether an attribute of a class is something that has a docstring: a method or a property."""
    return inspect.isroutine(value) or inspect.isdatadescriptor(value)


def public_methods() -> Iterator[tuple[str, object]]:
    """The public methods and properties of public classes, each at the class that describes it."""
    for owner, kind in api_names.public_objects():
        if inspect.isclass(kind) and api_names.home(kind) == owner:
            for base in api_names.described(kind):
                for name, value in vars(base).items():
                    at_base = not value.__doc__ and inspect.getdoc(getattr(kind, name))
                    if not name.startswith("_") and is_method(value) and not at_base:
                        yield f"{owner}.{name}", value


PUBLIC = [(name, value) for name, value in api_names.public_objects() if callable(value)]
FUNCTIONS = {name: value for name, value in PUBLIC if api_names.home(value) == name}  # and classes
METHODS = dict(public_methods())


def docstring(value: object) -> str:
    """The docstring, without the signature that Cython puts above it."""
    text = inspect.cleandoc(getattr(value, "__doc__", None) or "")
    return re.sub(r"\A[\w.]+\(.*\)( -> .*)?\n*", "", text)


def parameters(value: object) -> list[inspect.Parameter] | None:
    """The signature's parameters, without `self`; None if there are none to be described here."""
    if inspect.isclass(value):
        maker = next(base for base in value.__mro__ if vars(base).keys() & {"__init__", "__new__"})
        if maker not in api_names.described(value):
            return None  # a class that takes what its base takes, which is described there
    function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
    try:
        found = list(inspect.signature(function).parameters.values())  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return [p for p in found if p.name not in ("self", "cls")]


def described(doc: str, title: str = "Parameters") -> list[list[str]] | None:
    """The names in a section, those of one line together; None if there is no such section."""
    pattern = rf"^{title}\n-{{3,}}\n(.*?)(?=^\S[^\n]*\n-{{3,}}$|\Z)"
    section = re.search(pattern, doc, re.MULTILINE | re.DOTALL)
    if section is None:
        return None
    heads = re.findall(r"^([^\s:][^:\n]*)", section[1], re.MULTILINE)
    return [[name.strip().lstrip("*") for name in head.split(",")] for head in heads]


def of_the_function(method: object) -> set[str]:
    """The parameters that the function of a method's name describes; of `div` for `div_`."""
    twin = getattr(tinynet, getattr(method, "__name__", "").rstrip("_"), None)
    return {name for line in described(docstring(twin)) or [] for name in line}


def mistake(value: object, *, method: bool) -> str | None:
    """What is wrong with how a docstring describes the parameters."""
    signature, doc = parameters(value), docstring(value)
    if signature is None:
        return None
    # What **options stand for may be described in their place; *args and **kwargs are passed on or ignored.
    rest = {p.name for p in signature if p.kind is p.VAR_KEYWORD} | {"args", "kwargs"}
    is_open = any(p.kind is p.VAR_KEYWORD for p in signature)
    wanted = [p.name for p in signature]
    lines = described(doc)
    if lines is None and inspect.isclass(value):  # a class may keep its arguments as attributes
        attributes = described(doc, "Attributes") or []
        lines = [line for line in attributes if set(line) <= set(wanted)] or None
    if lines is not None:
        found = [name for line in lines for name in line]
        in_order = [line[0] for line in lines if len(line) == 1]  # names on one line stand at any place
        missing, unknown = set(wanted) - set(found) - rest, set(found) - set(wanted)
        if is_open:
            in_order, unknown = [name for name in in_order if name not in unknown], set()
        if missing or unknown or in_order != [name for name in wanted if name in in_order]:
            return f"describes {', '.join(found)}; takes {', '.join(wanted)}"
        return None
    if method:
        known = rest | EVERYWHERE | of_the_function(value)
        wanted = [name for name in wanted if name not in known]
        unnamed = [name for name in wanted if not re.search(rf"\b{name}\b", doc)]
        return f"does not name {', '.join(unnamed)}" if unnamed else None
    if set(wanted) in ALONE or not set(wanted) - rest:
        return None
    return f"has no section Parameters for {', '.join(wanted)}"


def test_every_public_object_has_a_docstring():
    missing = {name for name, value in (FUNCTIONS | METHODS).items() if not docstring(value)}
    assert not missing - set(WITHOUT_DOCSTRING), "\n".join(sorted(missing - set(WITHOUT_DOCSTRING)))
    assert not set(WITHOUT_DOCSTRING) - missing, "these have one: take them from the list"


def test_docstrings_describe_the_parameters_that_there_are():
    mistakes = {name: mistake(value, method=False) for name, value in FUNCTIONS.items()}
    mistakes |= {name: mistake(value, method=True) for name, value in METHODS.items()}
    found = [f"{name} {text}" for name, text in mistakes.items() if text and name not in WITHOUT_PARAMETERS]
    assert not found, "\n".join(found)
    unneeded = [name for name in WITHOUT_PARAMETERS if not mistakes.get(name)]
    assert not unneeded, "these are in order: take them from the list"


# ---- the checks themselves -------------------------------------------------------------------------------


def sound(a, b=1, *rest, c=None, **more):
    """Adds.

    Parameters
    ----------
    b, a : int
        What
        is: added.
    *rest : int
    c : {"x", "y"}, optional
    **more : object

    Returns
    -------
    int
        The sum.
    """


def swapped(a, b):
    """Adds.

    Parameters
    ----------
    b : int
    a : int
    """


def brief(self, a, b):
    """`a` added to something."""


def passing(a, **options):
    """Adds.

    Parameters
    ----------
    a : int
    quickly : bool
        One of the options.
    """


@pytest.mark.parametrize(
    ("function", "method", "expected"),
    [
        (sound, False, None),
        (swapped, False, "describes b, a; takes a, b"),
        (brief, False, "has no section Parameters for a, b"),
        (brief, True, "does not name b"),
        (passing, False, None),
        (tinynet.Tensor.backward, True, None),
        (tinynet.Tensor.numel, True, None),
        (classmethod(brief), True, "does not name b"),
        (tinynet.nn.functional.relu, False, None),
        (tinynet.nn.Linear, False, None),
        (tinynet.experiments.Epoch, False, None),
        (tinynet.nn.Identity, False, None),
        (lambda input: None, False, None),
        (tinynet.errors.ShapeError, False, None),
    ],
)
def test_mistakes_are_found(function, method, expected):
    found = mistake(function, method=method)
    assert found == expected or (expected and found and found.startswith(expected))


# ---- examples --------------------------------------------------------------------------------------------


def modules() -> list[ModuleType]:
    """Every module of the package, compiled ones too."""
    found = pkgutil.walk_packages(tinynet.__path__, "tinynet.")
    return [tinynet, *(importlib.import_module(module.name) for module in found)]


def docstrings(module: ModuleType) -> Iterator[tuple[str, str | None]]:
    """All docstrings that a module defines, with the full names of their owners."""
    yield module.__name__, module.__doc__
    for name, value in list(vars(module).items()):
        if getattr(value, "__module__", None) != module.__name__ or not callable(value):
            continue
        yield f"{module.__name__}.{name}", value.__doc__
        if inspect.isclass(value):
            for attribute, inner in list(vars(value).items()):
                if is_method(inner):
                    yield f"{module.__name__}.{name}.{attribute}", inner.__doc__


def examples() -> dict[str, doctest.DocTest]:
    found, parser = {}, doctest.DocTestParser()
    for module in modules():
        for name, text in docstrings(module):
            if text and ">>>" in text:
                source = getattr(module, "__file__", None)
                found[name] = parser.get_doctest(text, dict(vars(module)), name, source, None)
    return found


EXAMPLES = examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYNET_DATA", "")
    report: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.DocTestRunner(optionflags=flags).run(EXAMPLES[name], out=report.append)
    assert result.attempted
    assert not result.failed, "".join(report)


def test_no_example_is_overlooked():
    root = Path(tinynet.__file__).parent
    sources = {
        ".".join(("tinynet", *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        for path in root.rglob("*.py*")
        if path.suffix in (".py", ".pyx") and re.search(r"^ *>>> ", path.read_text(), re.MULTILINE)
    }
    assert [s for s in sources if not any(name == s or name.startswith(f"{s}.") for name in EXAMPLES)] == []
