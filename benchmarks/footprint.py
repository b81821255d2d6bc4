"""Import time, installed size and peak memory: of fresh processes and of files, not of this process.

    python -m benchmarks.footprint tinynet|torch|none NETWORK BATCH

is such a fresh process: five training steps with as many threads as OMP_NUM_THREADS says, then the peak of
its resident memory in bytes.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import BenchmarkError

# What an installation of tinynet brings beyond NumPy and SciPy (pyproject.toml); a checkout that was built in
# place has no metadata to ask.
TINYNET_NEEDS = ("threadpoolctl", "safetensors")
SHARED = {"numpy", "scipy"}
PACKAGE_FILES = {".py", ".pyi", ".so", ".pyd", ".typed"}


@dataclass(frozen=True)
class Seconds:
    """Median wall-clock and CPU seconds of an import."""

    wall: float
    cpu: float


def import_times(modules: Iterable[str], repeats: int, threads: int = 1) -> dict[str, Seconds]:
    """Import each module in fresh processes, in turn, `repeats` times after one that warms the file cache."""
    program = (
        "import time; w, c = time.perf_counter(), time.process_time(); import {}; "
        "print(time.perf_counter() - w, time.process_time() - c)"
    )
    found: dict[str, list[tuple[float, float]]] = {module: [] for module in modules}
    for number in range(repeats + 1):
        for module, times in found.items():
            wall, cpu = fresh("-c", program.format(module), threads=threads).split()
            if number:
                times.append((float(wall), float(cpu)))
    return {
        module: Seconds(
            statistics.median(wall for wall, _ in times), statistics.median(cpu for _, cpu in times)
        )
        for module, times in found.items()
    }


def peak_memory(library: str, network: str, count: int, threads: int = 1) -> int:
    """Peak resident bytes (VmHWM) of a fresh process that made five training steps of a network."""
    return int(fresh("-m", "benchmarks.footprint", library, network, str(count), threads=threads))


def peak_of_this_process() -> int:
    """Peak resident bytes (VmHWM) so far; Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise BenchmarkError("/proc/self/status has no VmHWM")


def environment(threads: int) -> dict[str, str]:
    """Variables for a process that is to find this tinynet and these benchmarks."""
    import tinynet

    # tinynet first: beside these benchmarks there may be a folder of its sources that was never compiled.
    paths = [Path(tinynet.__file__).parent.parent, Path(__file__).parent.parent]
    return dict(os.environ, PYTHONPATH=os.pathsep.join(map(str, paths)), OMP_NUM_THREADS=str(threads))


def fresh(*arguments: str, threads: int = 1) -> str:
    """Run Python with these arguments; what it printed.  It finds this tinynet and these benchmarks."""
    with tempfile.TemporaryDirectory() as folder:  # Python looks for modules in the folder where it starts
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=folder, env=environment(threads), capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchmarkError(f"a fresh process failed: {' '.join(arguments)}\n{done.stderr.strip()}")
    return done.stdout


def package_size(name: str) -> int:
    """Bytes of a package's files without byte code; of tinynet only what is installed, not its sources."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise BenchmarkError(f"package_size: {name} is not installed")
    files = (path for path in Path(spec.origin).parent.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sum(path.stat().st_size for path in files if name != "tinynet" or path.suffix in PACKAGE_FILES)


def needs(distribution: str) -> set[str]:
    """Names of the installed distributions that this one requires beyond NumPy and SciPy, directly or not."""
    found: set[str] = set()
    waiting = list(_required(distribution)) if distribution != "tinynet-cpu" else list(TINYNET_NEEDS)
    while waiting:
        name = waiting.pop()
        if name in found or name in SHARED:
            continue
        try:
            waiting += _required(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # required on other systems only
        found.add(name)
    return found


def distribution_size(distribution: str) -> int:
    """Bytes of all files that a distribution installed, without byte code."""
    files = importlib.metadata.files(distribution) or []
    paths = (Path(str(file.locate())) for file in files if file.suffix != ".pyc")
    return sum(path.stat().st_size for path in paths if path.is_file())


def _required(distribution: str) -> list[str]:
    """Direct requirements, without those of extras, as lower-case names."""
    names = []
    for line in importlib.metadata.requires(distribution) or []:
        matched = re.match(r"[A-Za-z0-9._-]+", line)
        if matched and "extra ==" not in line:
            names.append(matched.group().lower())
    return names


def main(library: str, network: str, count: int) -> None:
    """Five steps with one library ("none": NumPy alone makes the weights), then VmHWM."""
    from benchmarks.architectures import ARCHITECTURES, weights
    from benchmarks.networks import set_threads, trainer

    architecture = ARCHITECTURES[network]
    if library == "none":
        weights(architecture)
    else:
        set_threads(library, int(os.environ.get("OMP_NUM_THREADS", "1")))
        made = trainer(library, architecture, count)
        for _ in range(5):
            made.step()
    print(peak_of_this_process())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
