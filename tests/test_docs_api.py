"""The API reference has an entry for every public name; docs/api_names.py decides which and where."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import api_names
import pytest

import tinynet


def test_every_public_name_has_one_entry():
    listed = [name for names in api_names.entries().values() for name in names]
    assert sorted(listed) == sorted(name for name, _ in api_names.public_objects())
    assert {
        "tinynet.Tensor",
        "tinynet.nn.Linear",
        "tinynet.nn.functional.relu",
        "tinynet.errors.DataError",
    } < set(listed)


def test_every_page_lists_names_and_is_in_the_index():
    pages = {path.stem for path in api_names.PAGES.glob("*.rst")} - {"index"}
    assert {line.page for line in api_names.listings()} == pages
    index = (api_names.PAGES / "index.rst").read_text().split()
    assert [page for page in sorted(pages) if page not in index] == []


def test_every_package_is_public_or_what_it_exports_is():
    root, public = Path(tinynet.__file__).parent, {id(value) for _, value in api_names.public_objects()}
    for file in sorted(root.rglob("__init__.py")):
        name = ".".join(("tinynet", *file.parent.relative_to(root).parts))
        if name not in api_names.public_modules() and name != "tinynet.ops":
            module = importlib.import_module(name)
            assert [n for n in api_names.exported(module) if id(getattr(module, n)) not in public] == [], name


@pytest.mark.parametrize("name", ["autograd", "nn.init", "nn.utils", "optim.lr_scheduler"])
def test_modules_that_pytorch_has_are_public(name):
    if importlib.util.find_spec(f"tinynet.{name}") is not None:
        assert f"tinynet.{name}" in api_names.public_modules()


def test_a_class_is_described_with_what_it_has_from_bases_that_are_not_public():
    members = api_names.members(tinynet.Tensor)
    assert {"sum", "exp", "backward", "requires_grad"} <= set(members)
    assert {"forward", "extra_repr"} <= set(api_names.members(tinynet.nn.Linear))
    assert "parameters" not in api_names.members(tinynet.nn.Linear)
    assert "parameters" in api_names.members(tinynet.nn.Module)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tinynet.nothing", "new: .. names:: tinynet.nothing: not public, or listed before: tinynet.nothing"),
        ("tinynet zeros nothing", "not public, or listed before: nothing"),
        ("tinynet tinynet.nowhere", "not public, or listed before: tinynet"),
        ("tinynet.errors DataError\n\n.. names:: tinynet.errors DataError", "listed before: DataError"),
        ("tinynet.errors DataError", "no page in docs/api lists tinynet."),
    ],
)
def test_lines_that_are_refused(line, message, tmp_path):
    (tmp_path / "new.rst").write_text(f"Title\n=====\n\n.. names:: {line}\n")
    with pytest.raises(LookupError) as caught:
        api_names.entries(tmp_path)
    assert message in str(caught.value)


def test_a_module_without_a_line_is_listed_with_the_rest_of_the_one_around_it(tmp_path):
    (tmp_path / "all.rst").write_text(".. names:: tinynet\n\n.. names:: tinynet.nn.init\n")
    everything, init = sorted(api_names.entries(tmp_path).items(), key=lambda item: item[0].module)
    assert set(init[1]) == {f"tinynet.nn.init.{name}" for name in api_names.public_names("tinynet.nn.init")}
    assert {"tinynet.zeros", "tinynet.optim.SGD", "tinynet.nn.functional.relu"} < set(everything[1])


def test_what_has_two_public_names_is_described_under_the_shorter():
    assert api_names.home(tinynet.save) == api_names.home(tinynet.io.save) == "tinynet.save"
    assert api_names.home(tinynet.nn.Linear) == "tinynet.nn.Linear"
