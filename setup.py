"""Compiles the Cython modules (tinynet/**/*.pyx) and the C kernels (csrc/).  Metadata is in pyproject.toml.

Three decisions are taken here, by compiling small programs with the compiler and flags of the real build:

* is there a C compiler, and are there the Python headers?  If not, one sentence says what to install;
* which instruction sets can the compiler produce?  Every csrc/isa_<name>.c is compiled with the flags of its
  own set, and csrc/dispatch.c chooses among them at import.  So one build runs on every CPU of the
  architecture; there is no place here for -march=native (dies elsewhere) or -ffast-math (when linked, it
  sets flush-to-zero for the whole process);
* is there OpenMP?  Without it everything builds and runs on one thread.

Environment variables: TINYNET_NO_OPENMP=1 builds without OpenMP; TINYNET_DEBUG=1 builds with bounds checks,
symbols and the address and undefined-behaviour sanitizers (run it with
ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 and
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)").
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import Cython
import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

CSRC = Path("csrc")
KERNELS = "tinynet.ops.kernels"  # the one extension that links the C kernels

DEBUG = os.environ.get("TINYNET_DEBUG", "0") not in ("", "0")
NO_OPENMP = os.environ.get("TINYNET_NO_OPENMP", "0") not in ("", "0")
SANITIZERS = ["-fsanitize=address,undefined"]

# Flags of each instruction set beside the baseline; the macros prove that the compiler understood them.
ISAS = {
    "avx2": (["-mavx2", "-mfma"], ["__AVX2__", "__FMA__"]),
    "avx512": (
        ["-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mfma", "-mprefer-vector-width=512"],
        ["__AVX512F__", "__AVX512VL__", "__AVX512BW__", "__AVX512DQ__"],
    ),
}

# -g0: Python's own flags ask for debug symbols, ten times the size of the code.
OPTIMISE = ["-O1", "-g", *SANITIZERS] if DEBUG else ["-O3", "-g0"]
KERNEL_FLAGS = [
    "-std=c11", *OPTIMISE, "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra",
    # No errno and no traps, so that loops vectorise; a*b + c may become one fused instruction.  Flags that
    # let the compiler assume that there is no NaN, or reorder a sum, are not among them.
    "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast",
]  # fmt: skip
# Some 40 modules: without padding between segments, functions and loops they take a tenth less room.
UNALIGNED = ["-fno-align-functions", "-fno-align-jumps", "-fno-align-loops", "-fno-align-labels"]
# No tables for unwinding the stack either, which C code has no use for: another twentieth.
COMPACT = ["-g0", "-fno-math-errno", "-fno-asynchronous-unwind-tables", *UNALIGNED]
MODULE_FLAGS = OPTIMISE if DEBUG else ["-O2", *COMPACT]
# Modules that a step passes at most once or twice are compiled for size, a third less.  (With all of them so,
# a step of a network two units wide takes 47 us where it took 41: `python -m benchmarks mnist_parts`.)
SMALL_FLAGS = OPTIMISE if DEBUG else ["-Os", *COMPACT]
SMALL = {
    "_forms", "_function", "_grad_mode", "_history", "_inplace", "_tensor", "ops.augment", "ops.blas",
    "ops.correlation_double", "ops.dropout", "ops.gradients", "ops.group_norm", "ops.indexing",
    "ops.layer_norm", "ops.local_response_norm", "ops.loss", "ops.matmul", "ops.padding",
    "ops.pooling_windows", "ops.selection", "ops.softmax_output", "ops.unfold",
}  # fmt: skip
LINK_FLAGS = SANITIZERS if DEBUG else ["-Wl,-s", "-Wl,-z,noseparate-code"] if sys.platform == "linux" else []

# Cython's checks of indices into Python objects stay on: hot loops use pointers, which they do not touch.
# Classes that can be pickled say how themselves.
DIRECTIVES = {
    "language_level": 3,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "embedsignature": True,
    "auto_pickle": False,
}

NO_COMPILER = (
    "tinynet needs a C compiler (GCC or Clang): "
    "install gcc, for example with 'apt-get install build-essential'"
)
NO_HEADERS = (
    "tinynet needs the Python headers (Python.h): "
    "install them, for example with 'apt-get install python3-dev'"
)
NO_OPENMP_HERE = "tinynet: building without OpenMP ({}): everything will run on one thread"


def requires(macros: list[str]) -> str:
    """A program that compiles only where the compiler defines all of these macros."""
    return "\n".join(f"#ifndef {m}\n#error {m}\n#endif" for m in macros) + "\nint main(void) { return 0; }"


def extensions() -> list[Extension]:
    """One extension per .pyx file.  The headers that Cython code includes are dependencies of all of them."""
    interface = [str(f) for f in sorted(CSRC.glob("*.h")) if not f.name.endswith(".inc.h")]
    everything = [str(f) for f in sorted(CSRC.glob("*.[ch]"))]
    modules = {".".join(f.with_suffix("").parts): str(f) for f in sorted(Path("tinynet").rglob("*.pyx"))}
    return [
        Extension(
            name,
            [source],
            depends=everything if name == KERNELS else interface,
            include_dirs=[str(CSRC), numpy.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
            extra_compile_args=list(SMALL_FLAGS if name.removeprefix("tinynet.") in SMALL else MODULE_FLAGS),
            extra_link_args=list(LINK_FLAGS),
        )
        for name, source in modules.items()
    ]


class BuildExt(build_ext):
    """Probes the compiler, translates the modules, compiles the kernels and leaves the rest to setuptools."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if self.parallel is None:
            affinity = getattr(os, "sched_getaffinity", None)
            self.parallel = len(affinity(0)) if affinity else os.cpu_count()

    def build_extensions(self) -> None:
        if not self.compiles("#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }", link=True):
            raise SystemExit(NO_COMPILER)
        if not self.compiles("#include <Python.h>", [f"-I{d}" for d in self.compiler.include_dirs]):
            raise SystemExit(NO_HEADERS)
        isas = [isa for isa, (flags, macros) in ISAS.items() if self.compiles(requires(macros), flags)]
        openmp = self.openmp_flags()
        for extension in self.extensions:
            extension.extra_compile_args += openmp
            extension.extra_link_args += openmp
        tools = [Cython.__version__, numpy.__version__, *self.compiler.compiler_so]
        flags = [
            *KERNEL_FLAGS,
            *MODULE_FLAGS,
            *SMALL_FLAGS,
            *LINK_FLAGS,
            *openmp,
            DIRECTIVES,
            *(ISAS[isa] for isa in isas),
        ]
        self.discard_if_changed(f"{tools=}\n{flags=}\n{isas=}\n")
        self.translate()
        kernels = next(e for e in self.extensions if e.name == KERNELS)
        kernels.extra_objects += self.kernel_objects(isas)
        super().build_extensions()

    def compiles(self, program: str, flags: Sequence[str] = (), *, link: bool = False) -> bool:
        """Whether a small program compiles (and links) with these flags; its output is not shown."""
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "probe.c"), Path(folder, "probe")
            source.write_text(program + "\n")
            tool = self.compiler.linker_exe if link else [*self.compiler.compiler_so, "-c"]
            command = [*tool, str(source), *flags, "-o", str(target)]
            try:
                return subprocess.run(command, capture_output=True, check=False).returncode == 0
            except OSError:  # no such program
                return False

    def openmp_flags(self) -> list[str]:
        if NO_OPENMP:
            print(NO_OPENMP_HERE.format("TINYNET_NO_OPENMP is set"), file=sys.stderr)
            return []
        program = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }"
        if self.compiles(program, ["-fopenmp"], link=True):
            return ["-fopenmp"]
        print(NO_OPENMP_HERE.format("the compiler has no working -fopenmp"), file=sys.stderr)
        return []

    def discard_if_changed(self, configuration: str) -> None:
        """Time stamps do not show a change of flags or tools: what was built with others is removed."""
        record = Path(self.build_temp, "configuration.txt")
        if record.exists() and record.read_text() == configuration:
            return
        shutil.rmtree(self.build_temp, ignore_errors=True)
        for extension in self.extensions:
            Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
        record.parent.mkdir(parents=True)
        record.write_text(configuration)

    def translate(self) -> None:
        """From Cython to C, in as many processes as there are CPUs; the C goes to the build folder."""
        translated = cythonize(
            self.extensions,
            build_dir=str(Path(self.build_temp, "cython")),
            compiler_directives=DIRECTIVES,
            nthreads=self.parallel,
            force=self.force,
        )
        sources = {extension.name: extension.sources for extension in translated}
        for extension in self.extensions:
            extension.sources = sources[extension.name]

    def kernel_objects(self, isas: list[str]) -> list[str]:
        """Compile csrc/*.c, isa_<name>.c with its own flags; an object is kept while no header is newer."""
        headers = [str(f) for f in CSRC.glob("*.h")]
        macros = [(f"TN_HAVE_{isa.upper()}", "1") for isa in isas]

        def compile_one(source: Path) -> str | None:
            isa = source.stem.removeprefix("isa_")
            if isa in ISAS and isa not in isas:
                return None
            (target,) = self.compiler.object_filenames([str(source)], output_dir=self.build_temp)
            if self.force or newer_group([str(source), *headers], target):
                self.compiler.compile(
                    [str(source)],
                    output_dir=self.build_temp,
                    macros=macros,
                    include_dirs=[str(CSRC)],
                    extra_postargs=[*KERNEL_FLAGS, *ISAS.get(isa, ([], []))[0]],
                )
            return target

        with ThreadPoolExecutor(self.parallel) as pool:
            return [target for target in pool.map(compile_one, sorted(CSRC.glob("*.c"))) if target]


# The guard is for Cython's worker processes, which import this file where they are not forked.
if __name__ == "__main__":
    setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt})
