"""What this installation of tinynet consists of."""

from __future__ import annotations

import platform

import numpy
import scipy

from tinynet._version import __version__
from tinynet.ops import blas, kernels, threads


def config() -> dict[str, str]:
    """Version, instruction sets compiled and chosen, threads, BLAS, OpenMP: what `show_config` prints."""
    return {
        "tinynet": __version__,
        "instruction sets compiled": ", ".join(kernels.compiled()),
        "instruction set chosen": kernels.chosen(),
        "threads": str(threads.get_num_threads()),
        "OpenMP": "yes" if threads.openmp_built() else "no (serial build)",
        "BLAS": blas.blas_info(),
        "NumPy": numpy.__version__,
        "SciPy": scipy.__version__,
        "Python": f"{platform.python_version()} on {platform.machine()}",
    }


def show_config() -> None:
    """Print version, instruction sets compiled and chosen, threads, BLAS and OpenMP."""
    for name, value in config().items():
        print(f"{name + ':':27}{value}")
