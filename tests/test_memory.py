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


def huge_pages_offered() -> bool:
    setting = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return setting.exists() and "[never]" not in setting.read_text()


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
        (20_000, 20_480),
        (1 << 20, 1 << 20),
        ((1 << 20) + 1, (1 << 20) + 64),
    ],
)
def test_size_classes_are_quarters_of_powers_of_two_and_large_blocks_are_exact(size, rounded):
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


def test_a_small_product_needs_no_scratch():
    x, w = tn.ones(8, 20), tn.ones(10, 20)
    tn.reset_peak()
    start = tn.memory_stats()["peak"]
    y = F.linear(x, w)
    assert y.shape == (8, 10)
    assert tn.memory_stats()["peak"] - start < 4096


def test_what_is_held_stays_within_the_limit():
    tn.empty_cache()
    tn.reset_peak()
    for n in range(1000, 200_000, 9_973):  # another size each time, small and large; one array at a time
        tn.zeros(n)
        stats = tn.memory_stats()
        assert stats["in_use"] + stats["cached"] <= stats["limit"]
    tn.empty_cache()


LIMIT = """
import tinynet as tn
tn.set_num_threads(1)
MIB = 1 << 20
def held():
    stats = tn.memory_stats()
    assert stats["in_use"] + stats["cached"] <= stats["limit"] == stats["peak"] * 3 // 2 + 16 * MIB
    return stats["in_use"] + stats["cached"]
# Every other piece stays, so no hole can take the next, larger piece, and each round needs fresh memory.
for size in (1, 2, 4, 8):
    kept = [tn.empty(size * MIB, dtype="uint8") for _ in range(64 // size)]
    del kept[::2]
    held()
    half = kept
    more = [tn.empty(size * MIB + 64, dtype="uint8") for _ in range(32 // size)]
    held()
    del more, half, kept
    held()
small = [tn.empty(16 << 10, dtype="uint8") for _ in range(8 << 10)]
held()
del small
print(held())
tn.empty_cache()
print(held())
"""


def test_what_is_held_stays_within_the_limit_where_sizes_change():
    run = python(LIMIT)
    assert run.returncode == 0, run.stderr
    before, after = map(int, run.stdout.split())
    assert before > 64 << 20
    assert after == 0


JOINED = """
import tinynet as tn

pieces = [tn.empty(100_000 + 7000 * i, dtype="uint8") for i in range(20)]
total = sum(t.numel() for t in pieces)
del pieces
cached = tn.memory_stats()["cached"]
large = tn.empty(total, dtype="uint8")
assert cached - tn.memory_stats()["cached"] >= total, tn.memory_stats()
"""


def test_any_size_uses_what_another_gave_back():
    done = python(JOINED)  # by itself: elsewhere other tests' tensors may lie between the pieces
    assert done.returncode == 0, done.stderr


def test_pieces_that_live_do_not_overlap():
    rng = np.random.default_rng(0)
    live: list[tuple[tn.Tensor, int]] = []
    for i in range(3000):
        if live and rng.random() < 0.45:
            t, mark = live.pop(int(rng.integers(len(live))))
            assert (t.numpy() == mark).all()
        elif len(live) < 60:
            t = tn.full((int(2 ** rng.uniform(4, 19)),), i % 251, dtype="uint8")
            live.append((t, i % 251))
        if i % 500 == 499:
            tn.empty_cache()
    assert all((t.numpy() == mark).all() for t, mark in live)


@pytest.mark.parametrize("n", [0, 1, 3, 17, 100, 1000, 4097, 70_001])
def test_alignment(n):
    for t in (tn.zeros(n), tn.randn(n) * 2.0, tn.zeros(n).exp(), tn.tensor(np.zeros(n)[::-1])):
        assert t.numpy().ctypes.data % 64 == 0


HUGE_PAGES = """
import tinynet as tn
t = tn.ones(16 << 20)
lines = [line.split() for line in open("/proc/self/smaps") if line.startswith("AnonHugePages")]
print(sum(int(words[1]) for words in lines) << 10)
"""


@pytest.mark.skipif(not huge_pages_offered(), reason="the system has no huge pages to offer")
def test_large_blocks_lie_in_huge_pages():
    run = python(HUGE_PAGES)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) >= 32 << 20  # of 64 MiB: the system may be short of them


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
import test_memory
step = test_memory.{step}
gc.collect()
for _ in range(3):
    step(False)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for i in range(50):
    step(i % 10 == 9)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def training_steps(net: nn.Module, *shape: int) -> Callable[[bool], None]:
    """A step that trains the network, of a smaller batch on demand, as the last batch of an epoch is."""
    optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    batches = [(tn.randn(n, *shape[1:]), tn.tensor(np.arange(n) % 10)) for n in (shape[0], shape[0] // 3 + 1)]

    def step(ragged: bool) -> None:
        x, labels = batches[ragged]
        optimizer.zero_grad()
        F.cross_entropy(net(x), labels).backward()
        optimizer.step()

    return step


@pytest.mark.parametrize(
    "step",
    [
        "training_steps(tn.models.mnist_mlp(), 60, 784)",
        # The layers and the sizes of memory of bn_inception_small at batch 32, on smaller images.
        "training_steps(tn.models.bn_inception_small(), 8, 3, 16, 16)",
    ],
)
def test_steps_after_the_first_few_take_no_page_faults(step):
    run = python(FAULTS.format(tests=str(pathlib.Path(__file__).parent), step=step))
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
