"""Where the numbers come from: processor, versions, and what else the machine was doing meanwhile."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import Any

BUSY = 0.15  # CPUs that other processes may keep busy before wall-clock times are called doubtful


def processor() -> str:
    """Name, family and model of the processor, as far as the system tells."""
    fields: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    name = fields.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in fields and "model" in fields:
        name += f", family {fields['cpu family']} model {fields['model']}"
    return name


def cores() -> int:
    """CPUs that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def version(distribution: str) -> str | None:
    """The installed version, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe() -> dict[str, Any]:
    """Processor, cores, and the versions that the numbers depend on."""
    from tinynet._config import config

    return {
        "processor": processor(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.release()}",
        "compiler of Python": platform.python_compiler(),
        **config(),
        "PyTorch": version("torch"),
        "JAX": version("jax"),
    }


class Watch:
    """How busy others kept the machine between `start` and `stop`."""

    def __init__(self) -> None:
        self.load = os.getloadavg()[0]
        self._wall = time.perf_counter()
        self._busy, self._own = _busy_seconds(), _own_seconds()

    def stop(self) -> dict[str, float]:
        """Load average at the start, and the CPUs that other processes used on average since then."""
        passed = time.perf_counter() - self._wall
        others = (_busy_seconds() - self._busy) - (_own_seconds() - self._own)
        return {
            "load_average": self.load,
            "others_cpus": round(max(0.0, others / passed), 2) if passed > 0 else 0.0,
        }


def warning(watched: dict[str, float]) -> str | None:
    """A line for the reader if others were busy, else None."""
    if watched["others_cpus"] <= BUSY:
        return None
    return (
        f"WARNING: other processes used {watched['others_cpus']:.2f} CPUs meanwhile (load average "
        f"{watched['load_average']:.1f} at the start): times with more than one thread mean little."
    )


def _busy_seconds() -> float:
    """CPU time that all processes together have used, stolen time included."""
    try:
        with open("/proc/stat") as file:
            numbers = [int(number) for number in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return 0.0
    user, nice, system, _idle, _wait, interrupts, soft_interrupts, stolen = numbers
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
