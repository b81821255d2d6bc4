"""What is written in place around a batch normalisation that is not computed yet: nobody can tell."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fusion_running import fusion, in_use, same_either_way

import tinynet as tn
from tinynet import nn, optim
from tinynet.errors import GraphError
from tinynet.nn import functional as F


def leaf(shape: tuple[int, ...] = (6, 5), seed: int = 0) -> tn.Tensor:
    return tn.tensor(np.random.default_rng(seed).standard_normal(shape), dtype="float32")


def bn(z: tn.Tensor) -> tn.Tensor:
    return F.batch_norm(z, None, None, training=True)


WRITES: dict[str, Callable[[tn.Tensor], Any]] = {
    "add_": lambda t: t.add_(1),
    "mul_": lambda t: t.mul_(3),
    "+=": lambda t: t.__iadd__(t),
    "zero_": lambda t: t.zero_(),
    "fill_": lambda t: t.fill_(7),
    "copy_": lambda t: t.copy_(tn.ones(t.shape)),
    "setitem": lambda t: t.__setitem__((slice(None), 0), 9.0),
    "setitem of all": lambda t: t.__setitem__(Ellipsis, tn.zeros(t.shape)),
    "relu_": lambda t: t.relu_(),
    "relu inplace": lambda t: F.relu(t, inplace=True),
    "dropout inplace": lambda t: F.dropout(t, 0.5, training=True, inplace=True),
    "exp_": lambda t: t.exp_(),
    "clamp_": lambda t: t.clamp_(0, 1),
    "masked_fill_": lambda t: t.masked_fill_(t > 0, 5),
    "lerp_": lambda t: t.lerp_(tn.ones(t.shape), 0.5),
    "normal_": lambda t: t.normal_(),
    "numpy": lambda t: t.detach().numpy().__setitem__(Ellipsis, 3.0),
    "asarray": lambda t: np.asarray(t.detach()).__setitem__(Ellipsis, 3.0),
    "dlpack": lambda t: tn.from_dlpack(np.from_dlpack(t.detach())).fill_(3),
    "view": lambda t: t.reshape(-1).mul_(2),
    "slice": lambda t: t[2:4].mul_(2),
    "detached": lambda t: t.detach().sub_(2),
    "data": lambda t: t.data.sub_(2),
    "clip gradient": lambda t: (
        setattr(p := nn.Parameter(t.detach()), "grad", t),
        nn.utils.clip_grad_value_([p], 0.1),
    ),
    "sgd": lambda t: step(optim.SGD, t),
    "adam": lambda t: step(optim.Adam, t),
    "adagrad": lambda t: step(optim.Adagrad, t),
    "init": lambda t: nn.init.uniform_(t),
    "running mean": lambda t: F.batch_norm(leaf((8, 5)), t[0], t[1].abs_(), training=True),
}


def step(kind: Any, t: tn.Tensor) -> None:
    p = nn.Parameter(t.detach())
    p.grad = tn.ones(p.shape)
    kind([p], lr=0.5).step()


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 2, 3)])
def test_the_input_is_written_before_the_result_is_read(shape: tuple[int, ...], write: str) -> None:
    if write == "running mean" and len(shape) == 4:
        pytest.skip("buffers are vectors")

    def work() -> list[Any]:
        with tn.no_grad():
            z = leaf(shape).contiguous(memory_format=tn.channels_last) if len(shape) == 4 else 1 * leaf(shape)
            b, r, s = bn(z), F.relu(bn(z)), F.sigmoid(bn(z))
            other = r.detach()
            del r
            WRITES[write](z)
            return [b, other, s, tn.cat([bn(z), b], 1), z]

    same_either_way(work)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("before", ["normalisation", "relu", "sigmoid"])
def test_the_result_is_written(write: str, before: str) -> None:
    """Beside others that hold the same result, or what was made of it."""
    if write == "running mean" and before == "normalisation":
        pytest.skip("a variance is needed")

    def work() -> list[Any]:
        with tn.no_grad():
            z = 1 * leaf()
            b = bn(z)
            y = {"normalisation": lambda t: t, "relu": F.relu, "sigmoid": F.sigmoid}[before](b)
            shared, made, joined = y.detach(), F.relu(y), tn.cat([y, y], 1)
            WRITES[write](y)
            return [y, shared, made, joined, z, b, y._version]

    if write in ("relu_", "relu inplace", "exp_"):
        assert same_either_way(work)[-1] == 1
    else:
        same_either_way(work)


@pytest.mark.parametrize(
    "write", ["add_", "relu_", "relu inplace", "exp_", "setitem", "dropout inplace", "copy_", "zero_"]
)
def test_recorded_writes(write: str) -> None:
    """Into the result of normalisation and into that of ReLU: gradients, or the same errors."""

    def work() -> list[Any]:
        found: list[Any] = []
        for place in ("z", "normalisation", "relu", "cat"):
            for late in (False, True):
                x = leaf((4, 5, 2, 2)).requires_grad_()
                z = 2 * x
                b = bn(z)
                r = F.relu(b)
                y = tn.cat([r, b], 1)
                if not late:
                    r = F.relu(b) if place != "relu" else r
                try:
                    WRITES[write]({"z": z, "normalisation": b, "relu": r, "cat": y}[place])
                except (GraphError, NotImplementedError) as error:
                    found.append(str(error))
                loss = (r * r).sum() + (y * y).sum() + (b * z).sum()
                try:
                    loss.backward()
                except GraphError as error:
                    found.append(str(error))
                found += [x.grad, b, r, y, b._version, r._version]
        return found

    same_either_way(work)


def test_the_input_changed_after_the_forward() -> None:
    """The version counter finds it, whoever needs the value."""

    def work() -> list[Any]:
        found: list[Any] = []
        for training in (True, False):
            for frozen in (True, False):
                x, gamma = leaf().requires_grad_(), tn.ones(5, requires_grad=not frozen)
                z = 2 * x
                r = F.relu(F.batch_norm(z, tn.zeros(5), tn.ones(5), gamma, None, training=training))
                with tn.no_grad():
                    z.mul_(2)
                try:
                    (r * r).sum().backward()
                    found.append(x.grad)
                except GraphError as error:
                    found.append(str(error))
                found.append(r)
        return found

    assert "batch_norm needs a value of shape (6, 5) that was changed in place" in same_either_way(work)[0]


def test_the_result_of_relu_changed_after_the_forward() -> None:
    def work() -> list[Any]:
        found: list[Any] = []
        for change in (True, False):
            for read in (True, False):
                x = leaf().requires_grad_()
                r = F.relu(bn(2 * x))
                y = r.square() if read else tn.cat([r, r], 1)
                if change:
                    with tn.no_grad():
                        r.mul_(2)
                try:
                    y.sum().backward()
                    found.append(x.grad)
                except GraphError as error:
                    found.append(str(error))
        return found

    assert "relu needs a value" in str(same_either_way(work)[1])


def test_a_concatenation_and_its_parts_are_apart() -> None:
    def work() -> list[Any]:
        with tn.no_grad():
            z = leaf((3, 4, 5, 5)).contiguous(memory_format=tn.channels_last)
            r = F.relu(bn(z))
            y = tn.cat([r, bn(z), z], 1)
            z.fill_(1)
            first = y.numpy().copy()
            r.fill_(2)
            second = y.numpy().copy()
            y.fill_(3)
            return [first, second, y, r, z]

    same_either_way(work)


def test_views_of_memory_that_others_may_write() -> None:
    """From outside, or given out before: computed at once."""
    with fusion(True), tn.no_grad():
        outside = np.random.default_rng(0).standard_normal((40, 64)).astype(np.float32)
        given = 1 * leaf((80, 64))
        view = given.numpy()
        for z, array in ((tn.from_numpy(outside), outside), (given, view), (given[:40], view)):
            before = in_use()
            y = F.relu(bn(z))
            assert in_use() - before >= 4 * z.numel() > 0
            copied = y.detach().clone()
            array[...] += 1
            np.testing.assert_array_equal(y.numpy(), copied.numpy())
            del y, copied


def test_relu_in_place_stays_unread() -> None:
    with fusion(True):
        x = leaf((100, 64)).requires_grad_()
        z = 1 * x
        before = in_use()
        b = bn(z)
        name = b.grad_fn.name
        r = F.relu(b, inplace=True)
        assert r is b
        assert b._version == 1
        assert (name, b.grad_fn.name, b.grad_fn.next_functions[0].name) == (
            "batch_norm",
            "relu",
            "batch_norm",
        )
        assert in_use() - before < 2 * z.numel()
        shared = bn(z).detach()
        other = shared.detach()
        F.relu(shared, inplace=True)
        np.testing.assert_array_equal(other.numpy(), shared.numpy())


def test_retained_gradients_follow_relu_in_place() -> None:
    def work() -> list[Any]:
        x = leaf().requires_grad_()
        b = bn(2 * x)
        b.retain_grad()
        b.relu_()
        (b * b).sum().backward()
        return [b.grad, x.grad, b]

    same_either_way(work)


def test_copies() -> None:
    def work() -> list[Any]:
        x = leaf().requires_grad_()
        found: list[Any] = []
        for f in (lambda t: t, F.relu):
            y = f(bn(2 * x))
            twin = copy.copy(y)
            with pytest.raises(GraphError, match="deepcopy"):
                copy.deepcopy(y)
            deep, clone, detached = copy.deepcopy(y.detach()), y.clone(), y.detach()
            with tn.no_grad():
                detached.mul_(2)
            found += [y, twin, deep, clone, detached, y._version, twin._version]
        p = nn.Parameter(bn(2 * x).detach())
        with tn.no_grad():
            p.add_(1)
        return [*found, p, tn.tensor(bn(p)), tn.tensor([[1.0, 2.0]]).copy_(bn(p)[:1, :2].detach())]

    same_either_way(work)


def test_a_leaf_whose_values_are_not_computed() -> None:
    """Requires a gradient of its own, has one set, is written in place where that is refused."""

    def work() -> list[Any]:
        y = bn(leaf())
        y.requires_grad_()
        with pytest.raises(GraphError, match="a leaf that requires a gradient cannot be changed in place"):
            F.relu(y, inplace=True)
        r = F.relu(y)
        r.sum().backward()
        z = F.relu(bn(2 * leaf(seed=1)))
        z.requires_grad_()
        z.grad = bn(leaf(seed=2))
        (z * z).sum().backward()
        scalar = F.batch_norm(tn.ones(1, 1), tn.zeros(1), tn.ones(1), training=False).requires_grad_()
        scalar.backward()
        return [y.grad, z.grad, scalar.grad, y.is_leaf]

    same_either_way(work)


def test_a_writer_in_another_thread() -> None:
    """Told that the normalisation is done it writes, while this thread computes with what was before."""
    with fusion(True), tn.no_grad():
        for repeat in range(10):
            z = leaf((32, 32, 16, 16), repeat).contiguous(memory_format=tn.channels_last)
            expected = F.relu(bn(1 * z)).numpy().copy()
            r = F.relu(bn(z))
            gate = threading.Barrier(2)

            def write(z: tn.Tensor = z, gate: threading.Barrier = gate) -> None:
                gate.wait()
                z.fill_(7)

            writer = threading.Thread(target=write)
            writer.start()
            gate.wait()
            joined = tn.cat([r, r], 1).numpy()
            writer.join()
            np.testing.assert_array_equal(joined[:, :32], expected)
            np.testing.assert_array_equal(joined[:, 32:], expected)
            np.testing.assert_array_equal(r.numpy(), expected)
