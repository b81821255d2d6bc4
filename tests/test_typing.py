"""The stubs: typing_use.py, which the type checker reads, also runs, and uses every public name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typing_use

import tinynet as tn


@pytest.mark.parametrize(
    "use",
    [
        typing_use.making,
        typing_use.properties,
        typing_use.arithmetic,
        typing_use.elementwise,
        typing_use.elementwise_in_place,
        typing_use.reductions_and_shapes,
        typing_use.indices,
        typing_use.more_reductions,
        typing_use.products,
        typing_use.conversions,
        typing_use.graph_and_modes,
        typing_use.differentiating,
        typing_use.convolutions,
        typing_use.functions,
        typing_use.optimisers_and_schedulers,
        typing_use.activations,
        typing_use.pooling,
        typing_use.studying,
        typing_use.the_rest,
    ],
)
def test_the_file_for_the_type_checker_runs(use):
    use()


def test_its_training_runs(tmp_path):
    typing_use.modules_and_training(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_it_uses_every_public_name():
    text = Path(typing_use.__file__).read_text()
    names = [f"tn.{name}" for name in tn.__all__ if not isinstance(getattr(tn, name), type(tn))]
    names += [f".{name}" for name in dir(tn.Tensor) if not name.startswith("_")]
    assert [name for name in names if not re.search(re.escape(name) + r"\b", text)] == []


def test_every_compiled_module_has_a_stub():
    package = Path(tn.__file__).parent
    compiled = {p.relative_to(package).as_posix().split(".")[0] for p in package.rglob("*.so")}
    assert compiled
    assert {m for m in compiled if not (package / f"{m}.pyi").exists()} == set()
    assert (package / "py.typed").exists()
