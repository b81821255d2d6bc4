"""Fusion is not to be noticed: the graph, hooks, several consumers, errors in the middle."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fusion_running import (
    Array,
    fusion,
    in_use,
    leaves,
    normalised,
    plain,
    same_either_way,
)
from processes import python

import tinynet as tn
from tinynet import nn, optim
from tinynet.autograd import Function, set_detect_anomaly
from tinynet.errors import ArgumentError, DTypeError, GraphError
from tinynet.nn import functional as F

# ---- looked at on the way ----------------------------------------------------------------------------------

LOOKS: dict[str, Callable[[tn.Tensor], Any]] = {
    "numpy": lambda t: t.detach().numpy().copy(),
    "asarray": lambda t: np.asarray(t.detach()).copy(),
    "item": lambda t: t[0, 0].item() if t.ndim == 2 else t[0, 0, 0, 0].item(),
    "repr": repr,
    "tolist": lambda t: t.tolist(),
    "index": lambda t: t[1:, ::2],
    "iterate": list,
    "sum": lambda t: t.sum(),
    "clone": lambda t: t.clone(),
    "detach": lambda t: t.detach(),
    "copy": copy.copy,
    "deepcopy": lambda t: copy.deepcopy(t.detach()),
    "pickle": lambda t: pickle.loads(pickle.dumps(t.detach())),
    "compare": lambda t: t > 0,
    "reshape": lambda t: t.reshape(-1),
    "split": lambda t: t.split(1),
    "dlpack": lambda t: np.from_dlpack(t.detach()).copy(),
    "max": lambda t: t.max(),
    "double": lambda t: t.double(),
    "isnan": lambda t: t.isnan(),
    "equal": lambda t: tn.equal(t, t),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("shape", [(4, 6), (3, 5, 4, 4)])
def test_looking_at_what_is_between_changes_nothing(shape: tuple[int, ...], look: str) -> None:
    def work(places: str) -> list[Any]:
        x, gamma, beta = leaves(shape)
        z = 2 * x
        b = F.batch_norm(z, None, None, gamma, beta, training=True)
        seen = [LOOKS[look](b)] if "b" in places else []
        r = F.relu(b)
        seen += [LOOKS[look](r)] if "r" in places else []
        seen += [LOOKS[look](b)] if "after" in places else []
        y = tn.cat([r, r], 1)
        seen += [LOOKS[look](r)] if "late" in places else []
        (y * y).sum().backward()
        seen += [LOOKS[look](t) for t in (b, r)] if "backward" in places else []
        return [[y, x.grad, gamma.grad, beta.grad], seen]

    results = set()
    for places in ("", "b", "r", "b r", "after", "late", "b r after late backward", "backward"):
        found = same_either_way(lambda places=places: work(places))
        results.add(str(plain(found[0])))
    assert len(results) == 1


def test_hooks_and_retained_gradients_between() -> None:
    def work() -> list[Any]:
        found: list[Any] = []
        for early in (True, False):
            for what in ("hook", "replace", "retain", "hook on relu", "retain relu"):
                x, gamma, beta = leaves((4, 5, 3, 3))
                b = normalised(x, gamma, beta)
                r = None if early and "relu" not in what else F.relu(b)
                seen: list[Any] = []
                watched = r if r is not None and "relu" in what else b
                if what.startswith("hook"):
                    watched.register_hook(lambda g, seen=seen: seen.append(g.numpy().copy()))
                elif what == "replace":
                    watched.register_hook(lambda g: 3 * g)
                else:
                    watched.retain_grad()
                r = F.relu(b) if r is None else r
                (r * r).sum().backward()
                found += [seen, watched.grad if "retain" in what else None, x.grad, gamma.grad, beta.grad]
        return found

    assert len(same_either_way(work)[0]) == 1


def test_a_hook_that_is_registered_during_backward() -> None:
    """By a hook on what comes after, before the gradient of ReLU has been handed on, or afterwards."""

    def work() -> list[Any]:
        found: list[Any] = []
        for when in ("relu", "sibling"):
            x, gamma, beta = leaves((4, 5, 3, 3))
            b = normalised(x, gamma, beta)
            s = 3 * b  # older than r: its gradient comes later
            r = F.relu(b)
            seen: list[Any] = []
            (r if when == "relu" else s).register_hook(
                lambda g, b=b, seen=seen: b.register_hook(lambda h: seen.append(h.numpy().copy())) and None
            )
            (r.sum() + s.square().sum()).backward()
            found += [seen, x.grad, gamma.grad, beta.grad]
        return found

    assert len(same_either_way(work)[0]) == 1


def test_gradients_with_respect_to_what_is_between() -> None:
    def work() -> list[Any]:
        x, gamma, beta = leaves((4, 5, 3, 3))
        b = normalised(x, gamma, beta)
        r = F.relu(b)
        loss = (r * r).sum()
        found = [
            tn.autograd.grad(loss, wanted, retain_graph=True)
            for wanted in ([b], [r], [b, x], [r, gamma], [x, b, r, beta])
        ]
        loss.backward(inputs=[gamma], retain_graph=True)
        loss.backward()
        return [found, x.grad, gamma.grad, beta.grad]

    same_either_way(work)


CONSUMERS: dict[str, Callable[[tn.Tensor], tn.Tensor]] = {
    "relu": F.relu,
    "sigmoid": F.sigmoid,
    "square": lambda t: t.square(),
    "conv": lambda t: F.conv2d(t, tn.ones(2, 5, 1, 1)),
    "pool": lambda t: F.max_pool2d(t, 2),
    "cat": lambda t: tn.cat([t, t], 1),
    "add": lambda t: t + t,
    "detach": lambda t: t.detach() * t,
}


@pytest.mark.parametrize("after", ["normalisation", "relu"])
@pytest.mark.parametrize(
    "order",
    ["relu square", "square relu", "relu relu", "relu sigmoid", "sigmoid relu relu", "conv relu", "relu conv",
     "pool cat relu", "relu cat add", "cat relu", "detach relu", "add relu conv cat pool square sigmoid"],
)  # fmt: skip
def test_several_consumers(order: str, after: str) -> None:
    def work() -> list[Any]:
        x, gamma, beta = leaves((4, 5, 4, 4))
        b = normalised(x, gamma, beta)
        b = F.relu(b) if after == "relu" else b
        ys = [CONSUMERS[name](b) for name in order.split()]
        loss = ys[0].sum()
        for i, y in enumerate(ys[1:]):
            loss = loss + (i + 2) * (y * y).sum()
        loss.backward(retain_graph=True)
        loss.backward()
        return [ys, x.grad, gamma.grad, beta.grad]

    same_either_way(work)


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_concatenations(dim: int) -> None:
    """Beside arrays and an empty one, a tensor more than once, along any axis, computed and not."""

    def work() -> list[Any]:
        x, gamma, beta = leaves((4, 5, 4, 4))
        r, b, read = (
            F.relu(normalised(x, gamma, beta)),
            normalised(x, gamma, beta),
            F.sigmoid(normalised(x, gamma, beta)),
        )
        read.sum()
        y = tn.cat([x, r, b, tn.zeros(0), r, read], dim)
        z = tn.cat([F.sigmoid(normalised(x, gamma, beta))], dim)
        w = tn.cat([F.relu(normalised(x[:, :, 0, 0], gamma, beta)), r[:, :, 1, 1]], dim % 2)
        (y * y).sum().backward(retain_graph=True)
        (z * z).sum().backward()
        return [y, z, w, r, x.grad, gamma.grad, beta.grad]

    same_either_way(work)


def test_concatenations_that_do_not_fit() -> None:
    def message() -> str:
        b = normalised(*leaves((4, 5, 4, 4)))
        found = []
        for other in (tn.zeros(4, 5, 4, 3), tn.zeros(4, 5), tn.zeros(4, 5, 4, 4, dtype="float64")):
            for given in ([b, other], [other, b]):
                with pytest.raises((ArgumentError, DTypeError, ValueError)) as error:
                    tn.cat(given, 1)
                found.append(str(error.value))
        return str(found)

    same_either_way(message)


# ---- the graph ---------------------------------------------------------------------------------------------


def test_the_graph_looks_as_it_did() -> None:
    def work() -> list[Any]:
        r = F.relu(normalised(*leaves((4, 5))))
        names = []
        node = r.grad_fn
        while node is not None:
            names.append(node.name)
            node = next(iter(node.next_functions), None)
        return names

    assert same_either_way(work)[:3] == ["relu", "batch_norm", "mul"]


def test_retain_graph_and_a_freed_graph() -> None:
    def work() -> list[Any]:
        x, gamma, beta = leaves((4, 5, 4, 4))
        z = 2 * x
        r = F.relu(F.batch_norm(z, None, None, gamma, beta, training=True))
        loss = (r * r).sum()
        found = []
        for retain in (True, True, False):
            loss.backward(retain_graph=retain)
            found.append([t.grad.numpy().copy() for t in (x, gamma, beta)])
        with pytest.raises(GraphError, match="freed"):
            loss.backward()
        with pytest.raises(GraphError, match="freed"):
            r.sum().backward()
        return [found, z, r]

    same_either_way(work)


def test_anomaly_mode() -> None:
    """It sees the two nodes, finds nan at the same one, and spoils nothing that a second backward needs."""

    def work() -> list[Any]:
        x, gamma, beta = leaves((4, 5))
        with set_detect_anomaly(True):
            r = F.relu(normalised(x, gamma, beta))
            loss = (r * r).sum()
            loss.backward()
            found = [plain([x.grad, gamma.grad, beta.grad])]
            y = normalised(x, gamma, beta)
            g = np.full((4, 5), np.nan, "f4")
            with pytest.raises(GraphError, match="relu gave nan") as error:
                F.relu(y).backward(tn.tensor(g))
            found.append(str(error.value).split("\n")[0])
        return found

    same_either_way(work)


class Raises(Function):
    """x, whose backward raises once."""

    left = 0

    @staticmethod
    def forward(ctx: Any, x: tn.Tensor) -> tn.Tensor:
        return 1 * x

    @staticmethod
    def backward(ctx: Any, g: tn.Tensor) -> tn.Tensor:
        if Raises.left:
            Raises.left -= 1
            raise KeyboardInterrupt
        return g


def test_errors_in_the_middle() -> None:
    """Before, between and after the two nodes; what can still be done gives the same."""

    def work() -> list[Any]:
        found: list[Any] = []
        for place in ("before", "between", "after", "hook"):
            for retain in (True, False):
                x, gamma, beta = leaves((4, 5, 4, 4))
                z = Raises.apply(2 * x) if place == "before" else 2 * x
                b = F.batch_norm(z, None, None, gamma, beta, training=True)
                r = F.relu(Raises.apply(b) if place == "between" else b)
                if place == "hook":

                    def hook(g: tn.Tensor) -> None:
                        if Raises.left:
                            Raises.left -= 1
                            raise KeyboardInterrupt

                    gamma.register_hook(hook)
                y = Raises.apply(r) if place == "after" else r
                loss = (y * y).sum()
                Raises.left = 1
                with pytest.raises(KeyboardInterrupt):
                    loss.backward(retain_graph=retain)
                found.append([None if t.grad is None else plain(t.grad) for t in (x, gamma, beta)])
                try:
                    loss.backward()
                except GraphError as error:
                    found.append(str(error))
                found.append([None if t.grad is None else plain(t.grad) for t in (x, gamma, beta)])
                found.append(r)
        return found

    same_either_way(work)


NO_MEMORY = """
import resource
import tinynet as tn
from tinynet.nn import functional as F

def refused(read):
    try:
        read()
    except MemoryError:
        return True
    return False

with tn.no_grad():
    x = 1 * tn.ones(1 << 19, 64)  # 128 MiB
    b = F.batch_norm(x, tn.zeros(64), tn.ones(64), training=False)
    r = F.relu(b)
    tn.empty_cache()
    with open("/proc/self/statm") as f:
        size = int(f.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + (32 << 20), limits[1]))
    for _ in range(2):
        assert refused(r.sum)
        assert refused(lambda: x.add_(1))
        assert refused(lambda: tn.cat([r, r], 1))
    resource.setrlimit(resource.RLIMIT_AS, limits)
    assert x._version == 0
    x.add_(1)
    assert x[0, 0].item() == 2.0
    assert r[7, 7].item() == b[7, 7].item() and abs(r[7, 7].item() - 1) < 1e-4
"""


def test_no_memory() -> None:
    """A read raises, and so does a write that needs the result first; later ones give the values."""
    done = python(NO_MEMORY)  # by itself: elsewhere memory that other tests used may be free for it
    assert done.returncode == 0, done.stderr


# ---- life --------------------------------------------------------------------------------------------------


def test_nothing_is_left_behind() -> None:
    """Recipes that are read, concatenated, dropped unread, in a cycle: no cycles of ours, no memory kept."""
    with fusion(True):
        gc.collect()
        gc.disable()
        try:
            start = None
            for _ in range(3):
                x, gamma, beta = leaves((8, 16, 8, 8))
                r = F.relu(normalised(x, gamma, beta))
                normalised(x, gamma, beta)
                F.sigmoid(normalised(x, gamma, beta)).detach()
                y = tn.cat([r, F.relu(normalised(x, gamma, beta))], 1)
                y.sum().backward()
                del x, gamma, beta, r, y
                start = in_use() if start is None else start
                assert in_use() == start
            holder: list[Any] = [F.relu(normalised(*leaves((8, 16, 8, 8))))]
            holder.append(holder)
            del holder
            gc.collect()
            assert in_use() == start
        finally:
            gc.enable()


def small_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 36, 10),
        nn.BatchNorm1d(10),
        nn.Sigmoid(),
        nn.Linear(10, 4),
    )


def test_training_with_every_intermediate_kept() -> None:
    """Views of all results, over steps and backward: no bit of them changes."""

    def work() -> list[Any]:
        found: list[Any] = []
        for keep in ("none", "tensors", "views", "read late"):
            tn.manual_seed(1)
            net = small_net()
            opt = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
            x, labels = tn.randn(6, 3, 8, 8), tn.tensor([0, 1, 2, 3, 0, 1])
            held: list[tuple[Any, Array]] = []
            kept: list[tn.Tensor] = []
            for _ in range(2):
                h = x
                for layer in net:
                    h = layer(h)
                    if keep == "views" and not (isinstance(layer, nn.BatchNorm2d) and layer is net[1]):
                        view = h.detach().numpy()
                        held.append((view, view.copy()))
                    elif keep != "none":
                        kept.append(h)
                loss = F.cross_entropy(h, labels)
                opt.zero_grad()
                loss.backward()
                opt.step()
                if keep == "tensors":
                    kept_now = [t.detach().numpy().copy() for t in kept]
                    held += list(zip((t.detach().numpy() for t in kept), kept_now, strict=True))
                for view, copied in held:
                    np.testing.assert_array_equal(view, copied)
                found.append(loss.item())
            found.append([*net.parameters(), *net.buffers()])
            found.append([t.detach().numpy() for t in kept])
        return found

    same_either_way(work)


def test_saved_and_resumed() -> None:
    def work() -> list[Any]:
        x, labels = tn.randn(6, 3, 8, 8), tn.tensor([0, 1, 2, 3, 0, 1])
        results = []
        for interrupted in (False, True):
            tn.manual_seed(3)
            net = small_net()
            opt = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
            for step in range(4):
                if interrupted and step == 2:
                    state = pickle.loads(pickle.dumps((net.state_dict(), opt.state_dict())))
                    net = small_net()
                    opt = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
                    net.load_state_dict(state[0])
                    opt.load_state_dict(state[1])
                opt.zero_grad()
                F.cross_entropy(net(x), labels).backward()
                opt.step()
            results.append(plain(dict(net.state_dict())))
        assert results[0] == results[1]
        net.eval()
        with tn.no_grad():
            return [results[0], net(x)]

    same_either_way(work)
