"""What must hold of the structure and the build, whatever the code computes: which module may import which,
what is installed, under which name and how large, and with which compiler flags."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinynet
from tinynet.ops import kernels

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(tinynet.__file__).parent

# ---- imports run one way ---------------------------------------------------------------------------------

# A module imports from its own layer or from those above it in this list.  A name stands for what lies in the
# package of that name too; the longest name that fits counts.
LAYERS = [
    ["tinynet.errors", "tinynet._version", "tinynet._check", "tinynet._format", "tinynet.cuda"],
    [
        f"tinynet.ops.{name}"
        for name in ("arena", "blas", "checks", "kernels", "layout", "memory", "threads", "walk")
    ],
    ["tinynet.ops.channels", "tinynet.ops.pending"],
    ["tinynet._graph", "tinynet._grad_mode", "tinynet._hooks", "tinynet.random"],
    ["tinynet.ops"],
    ["tinynet._variable"],
    ["tinynet._history", "tinynet._function"],
    ["tinynet._operands"],
    ["tinynet._inplace"],
    ["tinynet._operators"],
    ["tinynet._forms"],
    ["tinynet._tensor"],
    [
        "tinynet.creation",
        "tinynet.elementwise",
        "tinynet.gradcheck",
        "tinynet.products",
        "tinynet.queries",
        "tinynet.reductions",
        "tinynet.shapes",
    ],
    ["tinynet.autograd"],
    ["tinynet.nn"],
    ["tinynet.optim", "tinynet.data", "tinynet.io", "tinynet.models", "tinynet.utils"],
    ["tinynet.bn", "tinynet.convex"],
    ["tinynet.experiments"],
    ["tinynet", "tinynet._config"],  # the door of the package and what it shows
    ["examples", "benchmarks"],
]
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}


def layer(module: str) -> int:
    name = module
    while name not in LAYER_OF and "." in name:
        name = name.rpartition(".")[0]
    assert name in LAYER_OF, f"{module}: give it a layer in {Path(__file__).name}"
    assert name != "tinynet" or module == "tinynet", f"{module}: give it a layer in {Path(__file__).name}"
    return LAYER_OF[name]


def sources() -> dict[str, list[Path]]:
    """Module name -> its source files (.py, or .pyx and .pxd), of package, examples and benchmarks."""
    found: dict[str, list[Path]] = {}
    for folder in ("tinynet", "examples", "benchmarks"):
        for file in sorted((ROOT / folder).rglob("*.p*")):
            if file.suffix in (".py", ".pyx", ".pxd"):
                parts = file.relative_to(ROOT).with_suffix("").parts
                found.setdefault(".".join(p for p in parts if p != "__init__"), []).append(file)
    return found


MODULES = sources()


def targets_of(base: str, names: list[str]) -> set[str]:
    """`from base import names`: the modules among the names, else the base."""
    return {f"{base}.{n}" if f"{base}.{n}" in MODULES else base for n in names}


def python_imports(text: str) -> set[str]:
    """Everything that a Python file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            found |= targets_of(node.module or "", [alias.name for alias in node.names])
    return found


def cython_imports(text: str) -> set[str]:
    """The same of a Cython file, from its import and cimport lines."""
    text = re.sub(r"\\\n", " ", re.sub(r"#.*", "", text))
    found: set[str] = set()
    for base, names in re.findall(r"^\s*from\s+([\w.]+)\s+c?import\s+(\([^)]*\)|.*)$", text, re.MULTILINE):
        assert not base.startswith("."), f"relative import: {base}"
        found |= targets_of(base, [n.split()[0] for n in names.strip("() ").split(",") if n.strip()])
    for names in re.findall(r"^\s*c?import\s+(.+)$", text, re.MULTILINE):
        found |= {n.split()[0] for n in names.split(",")}
    return found


def imports_of(files: list[Path]) -> set[str]:
    found: set[str] = set()
    for file in files:
        found |= (python_imports if file.suffix == ".py" else cython_imports)(file.read_text())
    return {name for name in found if name.split(".")[0] in ("tinynet", "examples", "benchmarks")}


def test_the_readers_of_import_lines() -> None:
    python = "import os, tinynet.io\ndef f():\n    from tinynet.nn import init, Linear\n"
    assert python_imports(python) == {"os", "tinynet.io", "tinynet.nn.init", "tinynet.nn"}
    cython = (
        "from tinynet.ops.memory cimport (\n a,  # b\n c,\n)\ncimport numpy as np\nfrom tinynet import errors"
    )
    assert cython_imports(cython) == {"tinynet.ops.memory", "numpy", "tinynet.errors"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_one_way(module: str) -> None:
    own = layer(module)
    for target in sorted(imports_of(MODULES[module])):
        assert layer(target) <= own, f"{module} must not import {target}: it lies in a higher layer"


def test_no_import_cycles() -> None:
    """Of modules; that a package's __init__ imports what lies in it does not count."""
    edges = {
        m: {t for t in imports_of(f) if t != m and not t.startswith(m + ".")} for m, f in MODULES.items()
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, "import cycle: " + " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for target in edges.get(module, ()):
                visit(target, (*path, module))
            done.add(module)

    for module in edges:
        visit(module, ())


# ---- sources ---------------------------------------------------------------------------------------------


def test_no_forbidden_compiler_flags() -> None:
    """They break other CPUs, other libraries in the process, or NaN.  (Comments may say so.)"""
    tree = ast.parse((ROOT / "setup.py").read_text())
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    texts.remove(ast.get_docstring(tree, clean=False) or "")
    for flag in ("-march=native", "-mtune=native", "-Ofast", "-ffast-math", "-funsafe-math", "-ffinite-math"):
        assert not [text for text in texts if flag in text]


@pytest.mark.parametrize("file", sorted((ROOT / "csrc").iterdir()), ids=lambda file: file.name)
def test_kernels_know_neither_python_nor_threads_nor_memory(file: Path) -> None:
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", file.read_text(), flags=re.DOTALL)
    assert not re.findall(r"Python\.h|omp\.h|#pragma omp|pthread|\b[mc]alloc\b|\bfree\(|target_clones", code)


def test_nothing_tells_to_install_the_other_tinynet() -> None:
    """The name `tinynet` in the package index belongs to an unrelated project."""
    files = [
        file for name in ("tinynet", "examples", "benchmarks", "docs") for file in (ROOT / name).rglob("*")
    ]
    for file in [*ROOT.glob("*.md"), *files]:
        if file.suffix in (".md", ".py", ".pyx"):
            assert not re.search(r"pip install (-\S+ )*['\"]?tinynet(?!-cpu)\b", file.read_text()), file


# ---- what is installed -----------------------------------------------------------------------------------


def installed() -> importlib.metadata.Distribution:
    """What an installer recorded; a folder of sources on the path may hold metadata of its own."""
    found = importlib.metadata.distributions(name="tinynet-cpu")
    distribution = next((d for d in found if d.read_text("RECORD")), None)
    assert distribution, "tinynet-cpu is not installed (a folder of sources on PYTHONPATH does not count)"
    return distribution


def test_distribution_name_and_version() -> None:
    assert installed().metadata["Name"] == "tinynet-cpu"
    assert installed().version == tinynet.__version__


def test_installed_files() -> None:
    """Neither sources of compiled modules nor tests; what type checkers read is there."""
    files = installed().files or []
    assert not [str(f) for f in files if f.suffix in (".pyx", ".pxd", ".c", ".h", ".o")]
    folders = {f.parts[0] for f in files if len(f.parts) > 1 and f.parts[0] != ".."}
    assert {f for f in folders if not f.startswith(("tinynet_cpu-", "__"))} <= {"tinynet"}
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "_tensor.pyi").exists()


def test_every_compiled_module_is_installed() -> None:
    compiled = {f.name.split(".")[0] for f in PACKAGE.rglob("*.so")}
    assert {f.stem for f in (ROOT / "tinynet").rglob("*.pyx")} <= compiled


def test_installed_size() -> None:
    suffixes = (".py", ".pyi", ".so")
    size = sum(f.stat().st_size for f in PACKAGE.rglob("*") if f.suffix in suffixes)
    assert size <= 6_500_000, f"{size / 1e6:.1f} MB"


def run_python(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """In another folder: in the checkout, its sources would be found in place of the installed package."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_import_is_lean_and_quiet(tmp_path: Path) -> None:
    """What only examples and experiments need is imported by them."""
    code = "import sys, tinynet; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    run = run_python(code, tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert not {"matplotlib", "sklearn", "tqdm", "torch", "pytest", "hypothesis"} & set(run.stdout.split())


# ---- instruction sets and configuration ------------------------------------------------------------------


def test_show_config(capsys: pytest.CaptureFixture[str]) -> None:
    tinynet.show_config()
    rows = dict(re.split(r":\s+", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["tinynet"] == tinynet.__version__
    assert rows["instruction sets compiled"].split(", ") == list(kernels.compiled())
    assert rows["instruction set chosen"] == kernels.chosen()
    assert rows["threads"] == str(tinynet.get_num_threads())
    assert rows["OpenMP"].startswith(("yes", "no"))
    assert rows["BLAS"]


def test_the_best_instruction_set_is_chosen(tmp_path: Path) -> None:
    run = run_python("from tinynet.ops import kernels as k; print(k.chosen())", tmp_path, TINYNET_ISA="")
    assert run.stdout.strip() == kernels.available()[0], run.stderr
    assert {"baseline", "scalar"} <= set(kernels.available()) <= set(kernels.compiled())


@pytest.mark.parametrize("isa", kernels.ISAS)
def test_tinynet_isa_forces_an_instruction_set(isa: str, tmp_path: Path) -> None:
    run = run_python("from tinynet.ops import kernels as k; print(k.chosen())", tmp_path, TINYNET_ISA=isa)
    if isa in kernels.available():
        assert run.stdout.strip() == isa, run.stderr
    else:
        assert run.returncode != 0
        assert f"TINYNET_ISA: '{isa}' cannot be used" in run.stderr


def test_tinynet_isa_unknown(tmp_path: Path) -> None:
    run = run_python("import tinynet", tmp_path, TINYNET_ISA="mmx")
    assert run.returncode != 0
    assert "TINYNET_ISA: must be one of avx512, avx2, baseline, scalar; got 'mmx'" in run.stderr
