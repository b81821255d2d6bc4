"""Training for long, with errors thrown in between: memory does not grow, the collector finds nothing."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from processes import python

import tinynet as tn
from tinynet import nn, optim
from tinynet.autograd import Function
from tinynet.nn import functional as F


class Thrown(Exception):
    """What the steps below throw."""


class Fragile(Function):
    """x, whose forward or backward raises when told to."""

    @staticmethod
    def forward(ctx, x, where):
        ctx.save_for_backward(x)
        ctx.where = where
        if where == "forward":
            raise Thrown
        return x * 1

    @staticmethod
    def backward(ctx, g):
        if ctx.where == "backward":
            raise Thrown
        (x,) = ctx.saved_tensors  # raises if it was changed in place
        return g + 0 * x, None


PLACES = ("forward", "hook", "backward", "closure", "accumulated", "loss", "version", "none", "none")


class Training:
    """A small network and its steps, each of which may be made to fail at one place."""

    def __init__(self) -> None:
        self.net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Sigmoid(), nn.Dropout(0.2))
        self.last = nn.Linear(8, 3)
        parameters = [*self.net.parameters(), *self.last.parameters()]
        self.optimizer = optim.SGD(parameters, lr=0.01, momentum=0.9)
        self.last.bias.register_post_accumulate_grad_hook(self.accumulated)
        self.x = tn.tensor(np.random.default_rng(0).standard_normal((4, 6)), dtype="float32")
        self.labels = tn.tensor([0, 1, 2, 0])
        self.bad_labels = tn.tensor([0, 1, 2, 3])
        self.where = "none"

    def accumulated(self, p: tn.Tensor) -> None:
        if self.where == "accumulated":
            raise Thrown

    def hook(self, g: tn.Tensor) -> tn.Tensor:
        if self.where == "hook":
            raise Thrown
        return g * 1.0

    def closure(self) -> tn.Tensor:
        self.optimizer.zero_grad()
        h = self.net(self.x)
        h.register_hook(self.hook)
        h.retain_grad()
        y = self.last(Fragile.apply(h, self.where))
        if self.where == "version":
            with tn.no_grad():
                h.mul_(1.0)
        loss = F.cross_entropy(y, self.bad_labels if self.where == "loss" else self.labels)
        loss.backward()
        if self.where == "closure":
            raise Thrown
        return loss

    def steps(self, n: int) -> Iterator[str]:
        """n steps, going through all places; gives those where an error came out."""
        for i in range(n):
            self.where = PLACES[i % len(PLACES)]
            try:
                self.optimizer.step(self.closure)
            except (Thrown, tn.errors.TinynetError):
                yield self.where


def test_every_error_is_thrown():
    assert sorted(Training().steps(len(PLACES))) == sorted(p for p in PLACES if p != "none")


SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import tinynet as tn
from test_training_memory import Training

def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

training = Training()
errors = sum(1 for _ in training.steps(1000))
training.optimizer.zero_grad()
early, in_use = rss(), tn.memory_stats()["in_use"]
errors += sum(1 for _ in training.steps(9000))
training.optimizer.zero_grad()
print(errors, rss() - early, tn.memory_stats()["in_use"] - in_use)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_thousand_steps_do_not_grow():
    run = python(SCRIPT)
    assert run.returncode == 0, run.stderr[-2000:]
    errors, resident, in_use = map(int, run.stdout.split())
    assert errors > 7000
    assert resident < 1 << 20
    assert in_use == 0


def test_memory_in_use_returns():
    gc.collect()
    before = tn.memory_stats()["in_use"]
    training = Training()
    assert sum(1 for _ in training.steps(90)) == 70
    assert tn.memory_stats()["in_use"] > before
    del training
    gc.collect()  # the hooks above are methods of an object that holds the network: a cycle of the user's
    assert tn.memory_stats()["in_use"] == before


@contextlib.contextmanager
def without_collector() -> Iterator[list[object]]:
    """The collector is off within; at the end the list holds what it finds."""
    found: list[object] = []
    gc.collect()
    flags = gc.get_debug()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.extend(gc.garbage)
    finally:
        gc.set_debug(flags)
        gc.garbage.clear()
        gc.enable()


def test_nothing_is_left_for_the_collector():
    training = Training()
    list(training.steps(len(PLACES)))
    training.optimizer.zero_grad()
    with without_collector() as found:
        before = tn.memory_stats()["in_use"]
        for _ in training.steps(10 * len(PLACES)):
            pass
        training.optimizer.zero_grad()
        assert tn.memory_stats()["in_use"] == before  # without the collector
    assert [o for o in found if type(o).__module__.startswith("tinynet")] == []


def test_nothing_is_left_by_other_ways_through_a_graph():
    x = tn.ones(3, requires_grad=True)
    w = tn.ones(3, requires_grad=True)
    with without_collector() as found:
        before = tn.memory_stats()["in_use"]
        for _ in range(20):
            h = x * w
            y = (h * h).sum()
            tn.autograd.grad(y, [h, x], retain_graph=True)
            y.backward(inputs=[w], retain_graph=True)
            with tn.autograd.detect_anomaly(), contextlib.suppress(tn.errors.GraphError):
                ((x * 0.0).sqrt() * 0.0).sum().backward()
            with contextlib.suppress(tn.errors.GraphError):
                tn.autograd.grad(y, w.detach().requires_grad_(), retain_graph=True)
            with contextlib.suppress(tn.errors.TinynetError):
                y.backward(tn.ones(2))
            with contextlib.suppress(tn.errors.TinynetError):
                x + tn.ones(4)
            y.backward()
            x.grad = w.grad = None
            del h, y
        assert tn.memory_stats()["in_use"] == before
    assert [o for o in found if type(o).__module__.startswith("tinynet")] == []
