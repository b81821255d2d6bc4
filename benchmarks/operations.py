"""Single operations beside PyTorch's, channels last in both: forward, and gradients by themselves.

A gradient's time is that of a backward that computes it alone, on a graph made just before, as in training;
the forward that makes the graph is not timed.  Values and gradients are compared first.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peak import peak_flops
from benchmarks.report import BenchmarkError, Options, Result, Table, progress, rate, time_text
from benchmarks.timing import Function, Prepared, alternate, torch_missing, use_threads

FORWARD = "forward"
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Operation:
    """One operation at one size.

    Attributes
    ----------
    title : str
        In the table.
    inputs : tuple of tuple of int
        The shapes of its inputs, (N, C, H, W) for images.
    apply : callable
        ``apply(library.nn.functional, *tensors)`` is the operation.
    gradients : mapping of str to tuple of int
        What else is timed: by column, of which inputs gradients are computed.
    flops : int
        Of the forward and of each gradient; 0 where times say more.
    tolerance : float
        Relative difference that is allowed between the libraries, in the l2 norm.
    """

    title: str
    inputs: tuple[tuple[int, ...], ...]
    apply: Callable[..., Any]
    gradients: Mapping[str, tuple[int, ...]]
    flops: int = 0
    tolerance: float = 5e-5

    @property
    def parts(self) -> tuple[str, ...]:
        return (FORWARD, *self.gradients)


def tables(title: str, operations: Sequence[Operation], options: Options, result: Result) -> None:
    """One table per number of threads, of operations with the same columns."""
    counted = operations[0].flops > 0
    for threads in options.threads:
        rows = []
        with use_threads(threads):
            for operation in operations:
                progress(f"{operation.title}, {threads} thread(s)")
                row = [operation.title]
                for part, times in measure(operation, threads, options).items():
                    median = times["tinynet"].median
                    row += (
                        rate(operation.flops, median, peak_flops(threads)) if counted else [time_text(median)]
                    )
                    row.append(f"{times['torch'].median / median:.2f}" if "torch" in times else "")
                    result.data[f"{operation.title}, {part}, {threads} threads"] = {
                        name: sample.to_json() for name, sample in times.items()
                    }
                rows.append(row)
        shown = ("GFLOP/s", "of the peak") if counted else ("",)
        header = [
            "",
            *(
                text
                for part in operations[0].parts
                for text in (*(f"{part}, {what}" if what else part for what in shown), "ratio")
            ),
        ]
        result.tables.append(Table(f"{title}, {threads} thread(s)", header, rows))
    result.note("Ratio: PyTorch's time over tinynet's.")
    if torch_missing():
        result.note(torch_missing())


def measure(operation: Operation, threads: int, options: Options) -> dict[str, dict[str, Any]]:
    """For each part the samples by library, once the libraries agree."""
    libraries = ["tinynet"] if torch_missing() else ["tinynet", "torch"]
    sides = {library: calls(library, operation) for library in libraries}
    if len(sides) > 1:
        compare(operation, sides)
    found = {}
    for part in operation.parts:
        timed = {library: side[part] for library, side in sides.items()}
        found[part] = alternate(timed, threads=threads, seconds=options.seconds(0.5), at_least=1e-3)
    return found


def calls(library: str, operation: Operation) -> dict[str, Function | Prepared]:
    """The forward, which returns an array, and the gradients, which return a tuple of tensors."""
    lib: Any = importlib.import_module(library)
    rng = np.random.default_rng(0)

    def tensor(shape: tuple[int, ...], filters: bool = False) -> Any:
        """Random numbers, images channels last in memory; of filters PyTorch likes that, too."""
        if len(shape) == 4 and not filters:
            n, c, h, w = shape
            array = rng.standard_normal((n, h, w, c), dtype=np.float32).transpose(0, 3, 1, 2)
        else:
            array = rng.standard_normal(shape, dtype=np.float32)
        made = lib.from_numpy(array).clone()  # memory of the library's own, as the output of a layer is
        last = filters and len(shape) == 4 and library == "torch"
        return made.contiguous(memory_format=lib.channels_last) if last else made

    inputs = [tensor(shape, filters=i > 0) for i, shape in enumerate(operation.inputs)]

    def forward() -> Array:
        with lib.no_grad():
            return np.asarray(operation.apply(lib.nn.functional, *inputs).numpy())

    gradient = tensor(forward().shape)

    def backward(wanted: tuple[int, ...]) -> Prepared:
        leaves = [each.detach().requires_grad_(i in wanted) for i, each in enumerate(inputs)]
        of = [leaves[i] for i in wanted]

        def recorded() -> Any:
            y = operation.apply(lib.nn.functional, *leaves)
            y.detach().numpy()  # computed, even where the library puts that off
            return y

        return Prepared(recorded, lambda y: lib.autograd.grad(y, of, gradient))

    return {FORWARD: forward, **{part: backward(wanted) for part, wanted in operation.gradients.items()}}


def compare(operation: Operation, sides: Mapping[str, Mapping[str, Function | Prepared]]) -> None:
    """Raise if the libraries do not compute the same."""
    for part in operation.parts:
        own, other = (values(sides[library][part]) for library in ("tinynet", "torch"))
        for a, b in zip(own, other, strict=True):
            apart = float(np.linalg.norm((a - b).ravel()) / np.linalg.norm(b.ravel()))
            if not apart <= operation.tolerance:
                raise BenchmarkError(
                    f"{operation.title}: {part} must agree with PyTorch's before it is timed; they differ by "
                    f"{apart:.1e} (allowed {operation.tolerance:.0e})"
                )


def values(part: Function | Prepared) -> list[Any]:
    """What a part computes, as float64."""
    done: Any = part.call(part.before()) if isinstance(part, Prepared) else [part()]
    return [np.asarray(each if isinstance(each, np.ndarray) else each.numpy(), np.float64) for each in done]
