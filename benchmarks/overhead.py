"""What a node of the graph costs besides its kernel: operations on tensors of one element, where the kernel
does nothing.

The budget is the design's: 2 us for a forward (function, checks, output, node), 2 us more for its backward,
1 us for a module call without hooks.  All with one thread, in CPU time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import tinynet as tn
from benchmarks.report import Options, Result, Table
from benchmarks.timing import Function, alternate, use_threads
from tinynet import nn
from tinynet.data import DataLoader, TensorDataset
from tinynet.nn import functional as F
from tinynet.optim import SGD

FORWARD, BACKWARD, MODULE = 2e-6, 2e-6, 1e-6


@dataclass(frozen=True)
class Case:
    """A call to time; `less` names the case whose time is subtracted before it is held to the budget."""

    call: Function
    budget: float | None = None
    less: str = ""


def quiet(function: Function) -> Function:
    """The function with recording switched off around the whole stretch, not around each call."""

    def call() -> object:
        with tn.no_grad():
            return function()

    return call


def cases() -> dict[str, Case]:
    """Everything that is timed on tiny tensors."""
    plain = tn.tensor([[0.5]])
    x, y = tn.tensor([[0.5]], requires_grad=True), tn.tensor([[0.25]], requires_grad=True)
    w, b = tn.tensor([[2.0]], requires_grad=True), tn.tensor([1.0], requires_grad=True)
    gy, mask = tn.tensor([[1.0]]), tn.tensor([[True]])
    linear, sequence = nn.Linear(1, 1), nn.Sequential(nn.Linear(1, 1))
    sigmoid, norm = nn.Sigmoid(), nn.BatchNorm1d(1)
    two, label = tn.tensor([[0.5], [0.25]], requires_grad=True), tn.tensor([0])
    ops: dict[str, tuple[Callable[..., tn.Tensor], tuple[tn.Tensor, ...]]] = {
        "sigmoid": (F.sigmoid, (x,)),
        "add": (lambda p, q: p + q, (x, y)),
        "linear": (F.linear, (x, w, b)),
    }
    more: dict[str, Function] = {
        "x * 2": lambda: x * 2.0,
        "x @ w": lambda: x @ w,
        "exp": lambda: x.exp(),
        "where": lambda: tn.where(mask, x, y),
        "sum": lambda: x.sum(1, keepdim=True),
        "mean": lambda: x.mean(1, keepdim=True),
        "reshape": lambda: x.reshape(1, 1),
        "x[:, 0:]": lambda: x[:, 0:],
        "cat": lambda: tn.cat([x]),
        "gelu": lambda: F.gelu(x),
        "softmax": lambda: F.softmax(x, 1),
        "layer_norm": lambda: F.layer_norm(x, (1,), b, b),
        "mse_loss": lambda: F.mse_loss(x, plain, reduction="none"),
    }
    found: dict[str, Case] = {}
    for name, (function, inputs) in ops.items():
        still = tuple(tensor.detach() for tensor in inputs)
        found[f"{name}, no gradient wanted"] = Case(lambda f=function, a=still: f(*a), FORWARD)  # type: ignore[misc]
        found[f"{name}, recorded"] = Case(lambda f=function, a=inputs: f(*a), FORWARD)  # type: ignore[misc]
        found[f"{name}, recorded + backward"] = Case(
            lambda f=function, a=inputs: f(*a).backward(gy),  # type: ignore[misc]
            BACKWARD,
            f"{name}, recorded",
        )
    for name, forward in more.items():
        found[f"{name}, recorded"] = Case(forward, FORWARD)
        found[f"{name}, recorded + backward"] = Case(
            lambda f=forward: f().backward(gy),  # type: ignore[misc]
            BACKWARD,
            f"{name}, recorded",
        )
    depth = 20

    def chain() -> None:
        z = x
        for _ in range(depth):
            z = F.sigmoid(z)
        z.backward(gy)

    found[f"{depth} sigmoids + backward, per node"] = Case(chain, FORWARD + BACKWARD)
    gy2 = tn.tensor([[1.0], [0.0]])
    found["nn.BatchNorm1d call, 2 rows"] = Case(lambda: norm(two), FORWARD + MODULE)
    found["nn.BatchNorm1d call + backward"] = Case(
        lambda: norm(two).backward(gy2), BACKWARD, "nn.BatchNorm1d call, 2 rows"
    )
    found["cross_entropy, recorded"] = Case(lambda: F.cross_entropy(x, label), FORWARD)
    found["cross_entropy, recorded + backward"] = Case(
        lambda: F.cross_entropy(x, label).backward(), BACKWARD, "cross_entropy, recorded"
    )
    found["F.linear, recorded"] = Case(lambda: F.linear(plain, linear.weight, linear.bias))
    found["nn.Linear call"] = Case(lambda: linear(plain), MODULE, "F.linear, recorded")
    found["nn.Sequential of that"] = Case(lambda: sequence(plain), MODULE, "nn.Linear call")
    found["F.sigmoid, recorded"] = Case(lambda: F.sigmoid(x))
    found["nn.Sigmoid call"] = Case(lambda: sigmoid(x), MODULE, "F.sigmoid, recorded")
    found["no_grad() block"] = Case(quiet(lambda: None))
    return found


def run(options: Options) -> Result:
    """Time the cases in turn, then the optimiser and the loader."""
    result = Result()
    with use_threads(1):
        table = cases()
        times = alternate(
            {name: case.call for name, case in table.items()}, threads=1, seconds=options.seconds(6)
        )
        rows = []
        for name, case in table.items():
            seconds = times[name].median / (20 if name.endswith("per node") else 1)
            own = seconds - times[case.less].median if case.less else seconds
            verdict = "" if case.budget is None else "yes" if own <= case.budget else "NO"
            budget = "" if case.budget is None else _us(case.budget)
            rows.append([name, _us(seconds), _us(own), budget, verdict])
            result.data[name] = {"seconds": seconds, "own_seconds": own, "budget_s": case.budget}
        header = ["", "us", "own us*", "budget", "kept"]
        result.tables.append(Table("Per call, tensors of one element", header, rows))
        result.notes.append(
            "* Less the line it contains: a backward less its forward, a module less its function."
        )
        result.tables.append(others(options, result))
    return result


def others(options: Options, result: Result) -> Table:
    """The optimiser on tiny parameters and the loader beside a bare gather."""
    parameters = [nn.Parameter(tn.zeros(2)) for _ in range(14)]
    gradients = [tn.ones(2) for _ in parameters]
    plain, momentum = SGD(parameters, lr=1e-3), SGD(parameters, lr=1e-3, momentum=0.9)
    rng = np.random.default_rng(0)
    x, y = rng.random((6000, 784), dtype=np.float32), rng.integers(0, 10, 6000, dtype=np.int64)
    loader = DataLoader(TensorDataset(x, y), 60, shuffle=True, seed=0)
    order = rng.permutation(6000)[:60]
    images, labels = np.empty((60, 784), np.float32), np.empty(60, np.int64)

    def epoch() -> None:
        for _ in loader:
            pass

    def give() -> None:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient

    def give_and_drop() -> None:
        give()
        plain.zero_grad()

    def take() -> None:
        np.take(x, order, axis=0, out=images, mode="clip")
        np.take(y, order, axis=0, out=labels, mode="clip")

    give()
    updates = alternate(
        {"SGD step, 14 parameters of 2": plain.step, "the same with momentum": momentum.step},
        threads=1,
        seconds=options.seconds(1),
    )
    times = updates | alternate(
        {
            "giving 14 gradients and zero_grad": give_and_drop,
            "DataLoader, batch (60, 784) + (60,)": epoch,
            "np.take of the same rows into kept arrays": take,
        },
        threads=1,
        seconds=options.seconds(2),
    )
    rows = []
    for name, sample in times.items():
        seconds = sample.median / (100 if name.startswith("DataLoader") else 1)
        rows.append([name, _us(seconds)])
        result.data[name] = {"seconds": seconds}
    return Table("Optimiser and loader", ["", "us"], rows)


def _us(seconds: float) -> str:
    return f"{1e6 * seconds:.2f}"
