"""Candidates in processes of their own, timed in turn.

Some need one: PyTorch with other settings of malloc, which are read when a process starts; JAX and
torch.compile, whose threads would disturb those of the others; and tinynet without another library beside
it, for a fair comparison with these.  Each process waits on a pipe until it is told to make some steps: all
others are idle meanwhile.

    python -m benchmarks.worker

is such a process.  It reads pickled pairs (name of a method of `Job`, arguments) from stdin and answers each
with a pickled pair ("ok", result) or ("error", message) on stdout.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.architectures import ARCHITECTURES, Arrays
from benchmarks.footprint import environment
from benchmarks.networks import MODES, set_threads, trainer
from benchmarks.report import BenchmarkError
from benchmarks.timing import Sample

WAKE = 0.02  # seconds of work before a turn is timed: threads that have slept come back to their processors
TURN = 0.1  # seconds of a turn, at least one step
PATIENCE = 300.0  # seconds to wait for an answer


class Worker:
    """A process that trains; used as a context, at whose end the process ends.

    Parameters
    ----------
    library : str
        "tinynet", "torch" or "jax".
    network : str
        A key of `ARCHITECTURES`.
    count : int
        The batch size.
    threads : int
        Threads to use.
    mode : str
        PyTorch's, a key of `MODES`.
    patience : float
        Seconds to wait until it is ready, and for each answer.
    """

    def __init__(
        self,
        library: str,
        network: str,
        count: int,
        threads: int,
        mode: str = "channels_last",
        patience: float = PATIENCE,
    ) -> None:
        self._name = f"{library}, {network}"
        self._patience = patience
        variables = environment(threads)
        if library == "torch":
            variables.update(MODES[mode].environment)
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())  # Python looks here for modules
            self._errors = stack.enter_context(open(Path(folder) / "stderr", "w+"))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker"],
                cwd=folder,
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
            stack.callback(self._end)
            self.ask("start", library, network, count, threads, mode)
            self._stack = stack.pop_all()

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the process's `Job`.

        Raises
        ------
        BenchmarkError
            If it failed, died, or took too long; the message says which.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(self._patience, kill)
        timer.start()
        try:
            pickle.dump((method, arguments), self._process.stdin)
            self._process.stdin.flush()
            state, result = pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self._process.wait()
            if late.is_set():
                raise BenchmarkError(
                    f"worker: {self._name}: no answer within {self._patience:g} s"
                ) from error
            raise BenchmarkError(f"worker: {self._name}: the process died: {self._last_words()}") from error
        finally:
            timer.cancel()
        if state == "error":
            raise BenchmarkError(f"worker: {self._name}: {result}")
        return result

    def check(self) -> tuple[float, Arrays]:
        """Loss and gradients from the fixed weights on the fixed batch; before the first turn."""
        found: tuple[float, Arrays] = self.ask("check")
        return found

    def turn(self, steps: int) -> float:
        """Make so many steps; seconds per step."""
        return float(self.ask("turn", steps))

    def close(self) -> None:
        """End the process."""
        self._stack.close()

    def _end(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"exit code {self._process.returncode}"


def in_turn(
    turns: Mapping[str, Callable[[int], float]],
    *,
    seconds: float,
    rounds: tuple[int, int] = (3, 200),
    length: float = TURN,
) -> dict[str, Sample]:
    """Give each candidate its turn until `seconds` have passed; a sample has one number per turn.

    Parameters
    ----------
    turns : mapping of str to callable
        ``turn(k)`` makes k steps and returns the seconds of one.
    seconds : float
        Wall-clock time to spend on all of them, warm-up not counted.
    rounds : (int, int), default (3, 200)
        Fewest and most rounds; the fewest are done even if `seconds` are over.
    length : float, default 0.1
        Seconds that a turn should last; at least one step.

    Returns
    -------
    dict of str to Sample
    """
    steps = {}
    for name, turn in turns.items():
        turn(1)  # warm up: memory, compilation
        steps[name] = max(1, math.ceil(length / max(turn(1), 1e-9)))
    found: dict[str, list[float]] = {name: [] for name in turns}
    fewest, most = rounds
    end = time.perf_counter() + seconds
    for number in range(most):
        if number >= fewest and time.perf_counter() > end:
            break
        for name, turn in turns.items():
            found[name].append(turn(steps[name]))
    return {name: Sample(tuple(values)) for name, values in found.items()}


# ---- in the process


class Job:
    """What the process does; its methods are the requests."""

    def start(self, library: str, network: str, count: int, threads: int, mode: str) -> None:
        """Build the network."""
        if network not in ARCHITECTURES:
            raise BenchmarkError(f"network must be one of {', '.join(ARCHITECTURES)}; got {network!r}")
        # JAX computes on threads of its own, so at one thread the clock is the whole process's CPU time.
        self._now = time.process_time if threads == 1 else time.perf_counter
        self._finish: Callable[[], object] = lambda: None
        self._wake: Callable[[], object] | None = None
        architecture = ARCHITECTURES[network]
        if library == "jax":
            _limit_processors(threads)  # JAX has a thread for each processor that it may use
            from benchmarks.jax_side import JaxTrainer

            side = JaxTrainer(architecture, count)
            self._step, self._check, self._finish = side.step, side.check, side.finish
            return
        set_threads(library, threads)
        made = trainer(library, architecture, count, mode)
        self._step = made.step
        self._wake = _products(library)

        def check() -> tuple[float, Arrays]:
            made.forget()
            loss = made.loss()
            loss.backward()
            return loss.item(), [gradient.copy() for gradient in made.gradients()]

        self._check = check

    def check(self) -> tuple[float, Arrays]:
        """Loss and gradients."""
        return self._check()

    def turn(self, steps: int) -> float:
        """Seconds per step."""
        end = time.perf_counter() + WAKE
        while self._wake is not None and time.perf_counter() < end:
            self._wake()
        start = self._now()
        for _ in range(steps):
            self._step()
        self._finish()
        return (self._now() - start) / steps


def _products(library: str) -> Callable[[], object]:
    """Something small to do for all threads."""
    import importlib

    lib = importlib.import_module(library)
    x = lib.ones((256, 256))
    return lambda: x @ x


def _limit_processors(count: int) -> None:
    """Keep this process to so many of its processors, where the system has that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print goes to stderr
    job = Job()
    while True:
        try:
            method, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = ("ok", getattr(job, method)(*arguments))
        except Exception as error:
            text = str(error).strip().splitlines()
            message = text[0] if text else ""
            answer = (
                "error",
                message if isinstance(error, BenchmarkError) else f"{type(error).__name__}: {message}",
            )
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
