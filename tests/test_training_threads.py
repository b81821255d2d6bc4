"""Threads that train models of their own at the same time give, bit for bit, what each gives alone."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from functions import leaf

import tinynet as tn
from tinynet import autograd, nn, optim
from tinynet.autograd import Function
from tinynet.nn import functional as F
from tinynet.ops import threads as ops_threads

STEPS = 40


@pytest.fixture(params=[1, 2])
def team(request: pytest.FixtureRequest):
    """As many threads within each operation, for small arrays too."""
    before, bound = tn.get_num_threads(), ops_threads._set_serial_work(0)
    tn.set_num_threads(request.param)
    yield request.param
    tn.set_num_threads(before)
    ops_threads._set_serial_work(bound)


def together(*jobs: Callable[[], object]) -> list[object]:
    """The results of jobs that start at the same moment, each in a thread."""
    results: list[object] = [None] * len(jobs)
    barrier = threading.Barrier(len(jobs))

    def work(i: int) -> None:
        barrier.wait(30)
        try:
            results[i] = jobs[i]()
        except BaseException as error:
            results[i] = error

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(jobs))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    for r in results:
        if isinstance(r, BaseException):
            raise r
    return results


class Softplus(Function):
    """log(1 + exp x), written as an op of one's own."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.exp().add_(1).log()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x.sigmoid()


class Net(nn.Module):
    def __init__(self, generator: tn.Generator, width: int) -> None:
        super().__init__()
        self.generator = generator
        self.first, self.norm = nn.Linear(9, width), nn.BatchNorm1d(width)
        self.second, self.last = nn.Linear(width, width), nn.Linear(width, 4)
        for p in self.parameters():
            p.data = tn.randn(p.shape, generator=generator) * 0.3
        self.norm.weight.data = tn.ones(width)

    def forward(self, x):
        h = F.dropout(F.sigmoid(self.norm(self.first(x))), 0.3, self.training, generator=self.generator)
        return self.last(Softplus.apply(F.relu(self.second(h), inplace=True)))


def train(seed: int, steps: int = STEPS, width: int = 17, x: tn.Tensor | None = None) -> list[bytes]:
    """The weights, statistics, gradients and losses of a short training."""
    generator = tn.Generator(seed)
    net = Net(generator, width)
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    losses = []
    for step in range(steps):
        batch = tn.randn(12, 9, generator=generator) if x is None else x
        labels = tn.tensor((np.arange(12) + step) % 4)
        optimizer.zero_grad()
        loss = F.cross_entropy(net(batch), labels)
        if step % 7 == seed % 7:
            with tn.no_grad():
                assert not net(batch).requires_grad
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    kept = [*net.state_dict().values(), *(p.grad for p in net.parameters()), tn.tensor(losses)]
    return [t.detach().numpy().tobytes() for t in kept]


def test_two_models_at_once(team):
    alone = [train(seed) for seed in (1, 2)]
    assert alone[0] != alone[1]
    for _ in range(2):
        assert together(lambda: train(1), lambda: train(2)) == alone


def test_models_of_different_sizes(team):
    jobs = [lambda: train(3, 12, 64), lambda: train(4, 30, 5), lambda: train(5, 20, 16)]
    alone = [job() for job in jobs]
    assert together(*jobs) == alone


def test_the_size_of_the_team_does_not_matter():
    before, bound = tn.get_num_threads(), ops_threads._set_serial_work(0)
    try:
        tn.set_num_threads(1)
        alone = [train(1), train(2)]
        tn.set_num_threads(2)
        assert together(lambda: train(1), lambda: train(2)) == alone
    finally:
        tn.set_num_threads(before)
        ops_threads._set_serial_work(bound)


def test_threads_that_share_an_input(team):
    x = tn.randn(12, 9)
    kept = x.numpy().copy()
    alone = [train(seed, x=x) for seed in (1, 2)]
    assert together(lambda: train(1, x=x), lambda: train(2, x=x)) == alone
    np.testing.assert_array_equal(x.numpy(), kept)


def test_threads_that_share_a_model_in_evaluation(team):
    net = Net(tn.Generator(0), 17).eval()
    x = tn.randn(12, 9)
    expected = net(x).detach().numpy().tobytes()

    def run() -> set[bytes]:
        with tn.no_grad():
            return {net(x).numpy().tobytes() for _ in range(100)}

    assert together(run, run, run) == [{expected}] * 3


def test_autograd_grad_on_shared_parameters(team):
    """Nothing is accumulated, so threads may differentiate with respect to the same parameters."""
    net = Net(tn.Generator(0), 17).eval()
    x = tn.randn(12, 9)
    parameters = list(net.parameters())

    def run() -> set[bytes]:
        found = set()
        for _ in range(30):
            gradients = autograd.grad((net(x) ** 2).sum(), parameters)
            found.add(b"".join(g.numpy().tobytes() for g in gradients))
        return found

    expected = run()
    assert len(expected) == 1
    assert together(run, run) == [expected] * 2
    assert all(p.grad is None for p in parameters)


def test_graphs_made_in_one_thread_and_swept_in_another():
    x = [leaf(float(i)) for i in range(200)]
    y = [(t * t).sum() for t in x]
    together(
        lambda: [t.backward() for t in y[::2]],
        lambda: [t.backward() for t in y[1::2]],
        lambda: [(leaf(1.0) * 2).backward() for _ in range(200)],
    )
    assert [t.grad.item() for t in x] == [2.0 * i for i in range(200)]


def test_many_short_steps():
    """Many small graphs made, swept and dropped at once: the numbers of their nodes interleave."""

    def run(seed: int) -> list[float]:
        w = leaf(float(seed))
        out = []
        for step in range(1500):
            h = w * 0.5
            y = (h * h + h).sum()
            if step % 3:
                y.backward()
                with tn.no_grad():
                    w.sub_(w.grad * 0.01)
                w.grad = None
            out.append(w.item())
        return out

    alone = [run(i) for i in range(4)]
    assert together(*(lambda i=i: run(i) for i in range(4))) == alone


def test_errors_in_one_thread_do_not_reach_the_other():
    expected = train(1)

    def failing() -> int:
        caught = 0
        for i in range(300):
            x = leaf(1.0, 2.0)
            c = tn.ones(2)
            y = (x * c).sum()
            c.zero_()
            with tn.set_grad_enabled(i % 2 == 0):
                try:
                    y.backward()
                except autograd_error:
                    caught += 1
            assert x.grad is None
        return caught

    autograd_error = tn.errors.GraphError
    result, caught = together(lambda: train(1), failing)
    assert result == expected
    assert caught == 300
