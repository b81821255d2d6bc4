"""Blocks and free lists: accounting, reuse, bounds, alignment, requests that cannot be met."""

from __future__ import annotations

import gc
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
from processes import python

import tinynet as tn
from tinynet import nn, optim
from tinynet.errors import ArgumentError, ShapeError
from tinynet.nn import functional as F


def in_use() -> int:
    return tn.memory_stats()["in_use"]


def trainer() -> Callable[[], float]:
    """One training step of a network with every layer of the MLP family."""
    net = nn.Sequential(
        nn.Linear(30, 40),
        nn.BatchNorm1d(40),
        nn.Sigmoid(),
        nn.Linear(40, 40),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(40, 10),
    )
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x, labels = tn.randn(60, 30), tn.tensor(np.arange(60) % 10)

    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def test_in_use_counts_live_arrays():
    before = in_use()
    t = tn.zeros(1000)  # 4000 bytes: a class of 4096
    assert in_use() - before == 4096
    view = t[10:20].numpy()
    del t
    assert in_use() - before == 4096  # the view keeps the memory
    del view
    assert in_use() == before


def test_memory_that_belongs_to_somebody_else_is_not_counted():
    before = in_use()
    a = np.zeros(100_000, np.float32)
    t = tn.from_numpy(a)
    assert in_use() == before
    assert t[5:].numel() == 99_995


@pytest.mark.parametrize(
    ("size", "rounded"),
    [
        (0, 64),
        (1, 64),
        (64, 64),
        (65, 80),
        (81, 96),
        (113, 128),
        (128, 128),
        (129, 160),
        (1 << 20, 1 << 20),
        ((1 << 20) + 1, 5 << 18),
    ],
)
def test_size_classes_are_quarters_of_powers_of_two(size, rounded):
    before = in_use()
    t = tn.empty(size, dtype="uint8")
    assert in_use() - before == rounded
    assert rounded <= max(64, 1.25 * size + 16)
    assert t.numel() == size


def test_memory_is_used_again():
    t = tn.zeros(5000)
    address = t.numpy().ctypes.data
    del t
    assert tn.zeros(5000).numpy().ctypes.data == address
    assert tn.zeros(4999).numpy().ctypes.data == address  # the same class


def test_empty_cache_returns_what_nobody_uses():
    t = tn.zeros(3000)
    u = tn.zeros(3000)
    del u
    assert tn.memory_stats()["cached"] > 0
    before = in_use()
    tn.empty_cache()
    assert tn.memory_stats()["cached"] == 0
    assert in_use() == before
    assert t.sum().item() == 0


def test_peak():
    tn.reset_peak()
    start = tn.memory_stats()["peak"]
    assert start == in_use()
    t = tn.zeros(1 << 18)
    del t
    assert tn.memory_stats()["peak"] - start >= 1 << 20
    tn.reset_peak()
    assert tn.memory_stats()["peak"] == in_use()


def test_the_free_lists_hold_at_most_the_peak():
    tn.empty_cache()
    tn.reset_peak()
    for n in range(1000, 200_000, 9_973):  # always another size class or a larger one; one array at a time
        tn.zeros(n)
        stats = tn.memory_stats()
        assert stats["cached"] <= stats["limit"]
    tn.empty_cache()


@pytest.mark.parametrize("n", [0, 1, 3, 17, 100, 1000, 4097, 70_001])
def test_alignment(n):
    for t in (tn.zeros(n), tn.randn(n) * 2.0, tn.zeros(n).exp(), tn.tensor(np.zeros(n)[::-1])):
        assert t.numpy().ctypes.data % 64 == 0


def test_large_blocks_are_aligned_to_huge_pages():
    assert tn.empty(1 << 20).numpy().ctypes.data % (2 << 20) == 0
    tn.empty_cache()


def test_a_step_leaves_in_use_as_it_was():
    step = trainer()
    step()
    step()
    gc.collect()
    counts = {step() and in_use() for _ in range(5)}
    assert len(counts) == 1


def test_errors_do_not_leak():
    step = trainer()
    w = tn.ones(50, 50, requires_grad=True)

    def failing(i: int) -> None:
        h = (w * 2.0).relu() + w
        if i % 4 == 0:
            F.linear(h, tn.ones(3, 49))
        elif i % 4 == 1:
            (h + tn.ones(7)).sum()
        elif i % 4 == 2:
            F.cross_entropy(h, tn.full((50,), 50))
        else:
            c = tn.ones(50, 50)
            y = (h * c).sum()
            c.zero_()
            y.backward()

    sizes = []
    for i in range(2000):  # 500 of each
        with pytest.raises((ValueError, RuntimeError)):
            failing(i)
        if i % 20 == 0:
            step()
        if i % 500 == 499:
            gc.collect()
            sizes.append(in_use())
    assert len(set(sizes)) == 1, sizes
    assert w.grad is None


FAULTS = """
import gc, resource, sys
sys.path.insert(0, {tests!r})
import tinynet as tn
tn.set_num_threads(1)
from test_memory import trainer
step = trainer()
gc.collect()
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_steps_after_the_first_few_take_no_page_faults():
    code = FAULTS.format(tests=str(pathlib.Path(__file__).parent))
    run = python(code)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) <= 20


# ---- requests that cannot be met ---------------------------------------------------------------------------


def test_more_memory_than_there_is():
    before = tn.memory_stats()
    with pytest.raises(MemoryError, match=r"no memory for an array of \d+ bytes"):
        tn.zeros(1 << 55)
    x = tn.zeros(1).broadcast_to(1 << 55)  # no memory of its own
    for f in (lambda: x.clone(), lambda: x + 1.0, lambda: x.relu(), lambda: tn.ones_like(x)):
        with pytest.raises(MemoryError):
            f()
    assert in_use() <= before["in_use"] + 128
    assert tn.ones(3).sum().item() == 3


@pytest.mark.parametrize("shape", [(1 << 40, 1 << 40), (1 << 62, 2), (1 << 31, 1 << 31, 4), (3, 1 << 61)])
def test_the_product_of_a_shape_overflows(shape):
    for f in (lambda: tn.zeros(shape), lambda: tn.empty(shape), lambda: tn.full(shape, 1.0)):
        with pytest.raises(ArgumentError, match=r"an array of shape \(.*\) does not fit into memory"):
            f()
    with pytest.raises((ShapeError, MemoryError)):
        tn.zeros(1).broadcast_to(shape).clone()


def test_a_broadcast_result_overflows():
    a = tn.zeros(1).broadcast_to(1 << 31, 1, 1)
    b = tn.zeros(1).broadcast_to(1, 1 << 31, 1)
    with pytest.raises((MemoryError, ArgumentError)):
        a + b


OTHER_SHAPES = """
import resource
import tinynet as tn
from tinynet.nn import functional as F
tn.set_num_threads(1)

def step(rows):
    kept = [tn.ones(rows, 256)]
    for _ in range(9):
        kept.append(F.relu(kept[-1]))

for _ in range(5):
    step(1100)
for _ in range(5):
    step(900)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step(900)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_memory_of_former_shapes_makes_room_for_that_of_new_ones():
    run = python(OTHER_SHAPES)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) <= 20


def test_reset_peak_does_not_empty_the_free_lists():
    t = tn.zeros(1 << 18)
    del t
    tn.reset_peak()
    cached = tn.memory_stats()["cached"]
    t = tn.zeros(1 << 18)
    del t
    assert tn.memory_stats()["cached"] == cached


def test_a_sum_keeps_no_operand():
    x = tn.ones(1 << 18, requires_grad=True)
    y = x * 1.0
    before = in_use()
    for _ in range(10):
        y = y + 1.0
    assert in_use() - before < 3 << 20  # the last one, not all ten
    y.sum().backward()
    assert x.grad.tolist()[:2] == [1, 1]
