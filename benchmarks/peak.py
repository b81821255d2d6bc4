"""How many floating-point operations a second this machine can do at most: peak.c, compiled for it here.

Every thread runs the same loop of fused multiply-adds in registers at the same time; the rates by the CPU
time of each are added up.  Without a C compiler the peak is unknown.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.machine import cores

SECONDS, REPEATS = 0.05, 5


@functools.cache
def peak_flops(threads: int) -> float | None:
    """Floating-point operations per second of so many threads together; None if it cannot be measured.

    The best of a few repeats, so that what others do on the machine hardly matters; no more threads than
    there are cores are counted.
    """
    loop = compiled()
    if loop is None:
        return None
    count = min(threads, cores())
    rounds = _rounds(loop)
    best = 0.0
    for _ in range(REPEATS):
        rates = [0.0] * count
        barrier = threading.Barrier(count)

        def run(number: int, rates: list[float] = rates, barrier: threading.Barrier = barrier) -> None:
            sink = ctypes.c_float()
            barrier.wait()
            start = time.thread_time()
            flops = loop(rounds, 0.5, 1.0, ctypes.byref(sink))  # ctypes lets the other threads run meanwhile
            rates[number] = rounds * flops / (time.thread_time() - start)

        workers = [threading.Thread(target=run, args=(number,)) for number in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = max(best, sum(rates))
    return best


def _rounds(loop: ctypes._NamedFuncPointer) -> int:
    """Rounds that take about `SECONDS`."""
    rounds, sink = 100_000, ctypes.c_float()
    while True:
        start = time.thread_time()
        loop(rounds, 0.5, 1.0, ctypes.byref(sink))
        passed = time.thread_time() - start
        if passed > SECONDS / 5:
            return max(1, int(rounds * SECONDS / passed))
        rounds *= 4


@functools.cache
def compiled() -> ctypes._NamedFuncPointer | None:
    """The loop of peak.c; None without a compiler that takes it."""
    compiler = next(filter(None, map(shutil.which, _compilers())), None)
    if compiler is None or os.name != "posix":
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "peak.so"
        source = Path(__file__).with_name("peak.c")
        # For this very machine, unlike the library; contraction makes a * x + y one instruction.
        for target in ("-march=native", "-mcpu=native"):
            flags = ["-O2", target, "-ffp-contract=fast", "-shared", "-fPIC"]
            done = subprocess.run([compiler, *flags, str(source), "-o", str(library)], capture_output=True)
            if done.returncode == 0:
                break
        else:
            return None
        loop = ctypes.CDLL(str(library)).multiply_add  # stays mapped when the file is gone
    loop.argtypes = [ctypes.c_long, ctypes.c_float, ctypes.c_float, ctypes.POINTER(ctypes.c_float)]
    loop.restype = ctypes.c_long
    return loop


def _compilers() -> list[str]:
    named = [os.environ.get("CC", ""), str(sysconfig.get_config_var("CC") or "")]
    return [name.split()[0] for name in named if name.split()] + ["cc", "gcc", "clang"]


if __name__ == "__main__":
    for number in map(int, sys.argv[1:] or ["1"]):
        flops = peak_flops(number)
        print(number, "thread(s):", "unknown" if flops is None else f"{flops / 1e9:.1f} GFLOP/s")
