"""Training steps of one network in all libraries: compared, timed in turn, and set side by side.

From the same weights on the same batch, loss and gradients of every candidate are compared with tinynet's; a
disagreement ends the benchmark.  Then two groups are timed:

- in one process, step by step in turn (A B A B ...): tinynet, PyTorch as it comes, PyTorch in its best mode;
- in processes of their own, several steps in turn: tinynet again, PyTorch with malloc tuned, JAX,
  torch.compile.

A candidate's ratio is its median over that of tinynet in its own group.
"""

from __future__ import annotations

import contextlib
import importlib.util
from dataclasses import dataclass

import numpy as np

from benchmarks.architectures import ARCHITECTURES, Architecture, Arrays, training_flops
from benchmarks.networks import MODES, Trainer, tinynet_trainer, torch_trainer
from benchmarks.peak import peak_flops
from benchmarks.report import (
    BenchmarkError,
    Candidate,
    Comparison,
    Options,
    Result,
    candidates,
    comparison_table,
    progress,
)
from benchmarks.timing import Function, alternate, torch_missing, use_threads
from benchmarks.worker import Worker, in_turn

ALONE = "tinynet, alone in its process"


@dataclass(frozen=True)
class Tolerance:
    """Relative differences allowed between float32 computations that sum in different orders.

    Attributes
    ----------
    loss : float
        Of the loss.
    gradients : float
        Of all gradients together, in the l2 norm.
    worst : float
        Of the parameter whose gradient differs most, in the l2 norm.
    """

    loss: float
    gradients: float
    worst: float


# Where two libraries round the input of a ReLU to different sides of 0, whole terms of a gradient come and
# go: each of them is that far from float64 itself.
SMOOTH, KINKED = Tolerance(1e-5, 1e-4, 1e-4), Tolerance(1e-4, 2e-2, 0.1)


@dataclass(frozen=True)
class Plan:
    """What is measured of a network.

    Attributes
    ----------
    network : str
        A key of `ARCHITECTURES`.
    batches : tuple of int
        Batch sizes; those after the first with the most threads only.
    tolerance : Tolerance
        For the comparison before.
    seconds : float
        To spend on each group of a batch size and a number of threads.
    jax, compiled : bool
        Whether JAX and torch.compile take part (in the first batch size; torch.compile with the most threads
        only, as compiling takes long).
    quick : int
        The batch size of a quick run.
    """

    network: str
    batches: tuple[int, ...]
    tolerance: Tolerance
    seconds: float
    jax: bool = False
    compiled: bool = False
    quick: int = 2


def run(plan: Plan, options: Options) -> Result:
    """Compare and time the network at every batch size and number of threads."""
    result = Result(notes=[torch_missing()] if torch_missing() else [])
    batches = (plan.quick,) if options.quick else plan.batches
    for count in batches:
        for threads in options.threads if count == batches[0] else (max(options.threads),):
            apart = outsiders(plan, options, first=count == batches[0], most=threads == max(options.threads))
            result.comparisons.append(measure(plan, count, threads, apart, options, result))
    peaks = {threads: peak_flops(threads) for threads in options.threads}
    result.tables.append(comparison_table(f"One training step of {plan.network}", result.comparisons, peaks))
    return result


def outsiders(
    plan: Plan, options: Options, *, first: bool, most: bool
) -> dict[str, tuple[str, str, str, float]]:
    """What runs in processes of its own: by name the kind, library, mode, and seconds to wait for it."""
    found = {}
    patience = 60.0 if options.quick else 150.0
    if not torch_missing():
        found[MODES["tuned"].label] = ("PyTorch, malloc tuned", "torch", "tuned", patience)
    if plan.jax and first:
        found["JAX, jit"] = ("JAX", "jax", "", patience)
    # Compiling takes more than all else in a quick run together.
    if plan.compiled and first and most and not options.quick and not torch_missing():
        found[MODES["compiled"].label] = ("PyTorch", "torch", "compiled", patience)
    return found


def measure(
    plan: Plan,
    count: int,
    threads: int,
    apart: dict[str, tuple[str, str, str, float]],
    options: Options,
    result: Result,
) -> Comparison:
    """Both groups at one batch size and number of threads; remarks go into the result's notes."""
    what = f"{plan.network}, batch {count}, {threads} thread{'s' if threads > 1 else ''}"
    progress(f"{what}: in one process")
    architecture = ARCHITECTURES[plan.network]
    seconds = options.seconds(plan.seconds)
    with use_threads(threads):
        expected = loss_and_gradients(tinynet_trainer(architecture, count))
        sides: dict[str, Function] = {"tinynet": tinynet_trainer(architecture, count).step}
        differences = {}
        for mode in () if torch_missing() else eager_modes(architecture):
            side, label = torch_trainer(architecture, count, mode), MODES[mode].label
            differences[label] = check(what, label, expected, loss_and_gradients(side), plan.tolerance)
            sides[label] = side.step
        rounds = (1, 1) if options.quick else (3, 5000)
        times = alternate(sides, threads=threads, seconds=seconds, at_least=0, rounds=rounds)
    found = candidates(times, dict.fromkeys(list(times)[1:], "PyTorch"))
    del sides  # their memory
    found += in_processes(plan, count, threads, apart, options, result, (what, expected, differences))
    result.data[what] = {
        "differences": differences,
        "seconds": {each.name: each.sample.to_json() for each in found},
        "ratios": {each.name: each.ratio for each in found},
    }
    return Comparison(plan.network, count, threads, count * training_flops(architecture), tuple(found))


def in_processes(
    plan: Plan,
    count: int,
    threads: int,
    apart: dict[str, tuple[str, str, str, float]],
    options: Options,
    result: Result,
    known: tuple[str, tuple[float, Arrays], dict[str, tuple[float, float, float]]],
) -> list[Candidate]:
    """The second group; a candidate that does not work is a note."""
    what, expected, differences = known
    workers: dict[str, Worker] = {}
    kinds = {}
    with contextlib.ExitStack() as stack:
        for name, (kind, library, mode, patience) in {ALONE: ("", "tinynet", "", 300.0), **apart}.items():
            if importlib.util.find_spec(library) is None:
                result.note(f"{name}: not installed.")
                continue
            progress(f"{what}: {name}")
            try:
                worker = stack.enter_context(Worker(library, plan.network, count, threads, mode, patience))
                answer = worker.check()
            except BenchmarkError as error:
                result.note(f"{name} does not work: {error}")
                continue
            if name != ALONE:
                kinds[name] = kind
            differences[name] = check(what, name, expected, answer, plan.tolerance)
            workers[name] = worker
        if not kinds or ALONE not in workers:
            return []
        progress(f"{what}: in turn, each in its process")
        times = in_turn(
            {name: worker.turn for name, worker in workers.items()},
            seconds=options.seconds(plan.seconds),
            rounds=(1, 1) if options.quick else (3, 200),
            length=0 if options.quick else 0.1,
        )
    return candidates(times, kinds)


def eager_modes(architecture: Architecture) -> tuple[str, ...]:
    """PyTorch as it comes, and its best mode for the network."""
    return ("eager", "channels_last" if len(architecture.shape) == 3 else "fused")


def loss_and_gradients(side: Trainer) -> tuple[float, Arrays]:
    """From the weights as they are; no update."""
    loss = side.loss()
    loss.backward()
    return loss.item(), side.gradients()


def check(
    what: str, name: str, ours: tuple[float, Arrays], theirs: tuple[float, Arrays], allowed: Tolerance
) -> tuple[float, float, float]:
    """Relative differences of the loss, of all gradients together, and of the worst parameter's gradient.

    Raises
    ------
    BenchmarkError
        If one is larger than allowed, or there is a NaN.
    """
    loss = abs(ours[0] - theirs[0]) / abs(theirs[0])
    squares = np.array(
        [
            (np.square(own - other, dtype=np.float64).sum(), np.square(other, dtype=np.float64).sum())
            for own, other in zip(ours[1], theirs[1], strict=True)
        ]
    )
    together = float(np.sqrt(squares[:, 0].sum() / squares[:, 1].sum()))
    worst = float(np.sqrt(np.max(squares[:, 0] / squares[:, 1])))  # np.max keeps a NaN
    found = (loss, together, worst)
    limits = (allowed.loss, allowed.gradients, allowed.worst)
    # "not <=" so that NaN counts as different
    if any(not value <= limit for value, limit in zip(found, limits, strict=True)):
        texts = [f"{value:.1e} (allowed {limit:.0e})" for value, limit in zip(found, limits, strict=True)]
        raise BenchmarkError(
            f"{what}: tinynet and {name} must agree before they are timed; their losses differ by "
            f"{texts[0]}, their gradients by {texts[1]}, that of the worst parameter by {texts[2]}"
        )
    return found
