"""How long graphs live: long chains, memory freed at once, and intermediates that somebody else holds."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
from processes import python

import tinynet as tn
from tinynet import nn, optim
from tinynet.nn import functional as F

# ---- long chains -------------------------------------------------------------------------------------------

CHAIN = """
import gc, resource
import tinynet as tn
resource.setrlimit(resource.RLIMIT_STACK, (8 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))
gc.disable()  # only to save time: a million nodes are many objects to look through
x = tn.ones(1, requires_grad=True)
def chain():
    y = x
    for _ in range(1_000_000):
        y = -y
    return y
y = chain()
y.backward()
print(x.grad.item())
del y
y = chain()
del y
y = chain()
h = y.grad_fn
del y
del h
print("freed", tn.memory_stats()["in_use"] < 1 << 20)
"""


def test_a_chain_of_a_million_nodes():
    run = python(CHAIN, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.split() == ["1.0", "freed", "True"]


# ---- nothing left behind -----------------------------------------------------------------------------------


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(20, 30),
        nn.BatchNorm1d(30),
        nn.Sigmoid(),
        nn.Linear(30, 30),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(30, 5),
    )


def test_no_reference_cycles():
    net, x, labels = mlp(), tn.randn(16, 20), tn.zeros(16, dtype="int64")
    gc.collect()
    gc.disable()
    before = gc.get_debug()
    try:
        nodes: list[Any] = []
        for train in (True, True, False):
            loss = F.cross_entropy(net(x), labels)
            node = loss.grad_fn
            while node is not None and node.next_functions:
                nodes.append(weakref.ref(node))
                node = node.next_functions[0]
            del node
            if train:
                loss.backward()
                net.zero_grad()
            del loss
            assert [r() for r in nodes] == [None] * len(nodes)  # freed at once, without the collector
        assert len(nodes) > 10
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [o for o in gc.garbage if type(o).__module__.startswith("tinynet")]
        assert left == []
    finally:
        gc.set_debug(before)
        gc.garbage.clear()
        gc.enable()


def test_saved_values_are_dropped_by_backward():
    x = tn.ones(1000, requires_grad=True)
    x.grad = tn.zeros(1000)
    before = tn.memory_stats()["in_use"]
    h = x.exp()
    y = h.sum()
    del h
    assert tn.memory_stats()["in_use"] - before > 4000
    y.backward()
    assert tn.memory_stats()["in_use"] - before < 1000


def test_intermediates_that_somebody_holds_stay_as_they_are():
    """Two training steps with a view of every intermediate kept: nothing may write into one of them."""
    tn.manual_seed(3)
    net = mlp()
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x, labels = tn.randn(64, 20, requires_grad=True), tn.tensor(np.arange(64) % 5)
    held: list[tuple[str, np.ndarray, np.ndarray]] = []

    def keep(name: str, t: tn.Tensor) -> None:
        view = t.detach().numpy()
        held.append((name, view, view.copy()))

    def check() -> None:
        for name, view, copy in held:
            np.testing.assert_array_equal(view, copy, err_msg=name)

    for step in range(2):
        h = x
        for i, layer in enumerate(net):
            h = layer(h)
            keep(f"step {step}, layer {i} {type(layer).__name__}", h)
        logp = F.log_softmax(h, 1)
        keep(f"step {step}, log-softmax", logp)
        loss = F.cross_entropy(h, labels) + (logp * 1e-3).sum() + (F.tanh(h) * F.softmax(h, 1)).mean()
        keep(f"step {step}, loss", loss)
        check()
        loss.backward(retain_graph=step == 0)
        check()
        if step == 0:
            loss.backward()
            check()
        optimizer.step()
        optimizer.zero_grad()
        check()
    assert len(held) == 2 * 9
