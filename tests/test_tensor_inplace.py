"""Operations in place: what is allowed, what is noticed, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, GraphError, ShapeError
from tinynet.nn import functional as F

WRITES: dict[str, Any] = {
    "add_": lambda t: t.add_(1.0),
    "sub_": lambda t: t.sub_(1.0),
    "mul_": lambda t: t.mul_(2.0),
    "div_": lambda t: t.div_(2.0),
    "relu_": lambda t: t.relu_(),
    "zero_": lambda t: t.zero_(),
    "fill_": lambda t: t.fill_(3.0),
    "copy_": lambda t: t.copy_(tn.ones(2)),
    "uniform_": lambda t: t.uniform_(),
    "normal_": lambda t: t.normal_(),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_leaf_that_requires_a_gradient(name):
    w = tn.tensor([-1.0, 2.0], requires_grad=True)
    with pytest.raises(
        GraphError, match=f"{name}: a leaf that requires a gradient cannot be changed in place"
    ):
        WRITES[name](w)
    assert w.tolist() == [-1, 2]
    version = w._version
    with tn.no_grad():
        assert WRITES[name](w) is w
    assert w._version == version + 1
    assert w.is_leaf
    assert w.requires_grad


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("add_", [0, 3]),
        ("sub_", [-2, 1]),
        ("mul_", [-2, 4]),
        ("div_", [-0.5, 1]),
        ("relu_", [0, 2]),
        ("zero_", [0, 0]),
        ("fill_", [3, 3]),
        ("copy_", [1, 1]),
    ],
)
def test_values(name, expected):
    x = tn.tensor([-1.0, 2.0])
    memory = x.numpy()
    assert WRITES[name](x) is x
    assert x.tolist() == expected
    assert memory.tolist() == expected


def test_operators():
    x = y = tn.tensor([4.0, 8.0])
    y += 1
    y -= tn.tensor([1.0, 2.0])
    y *= 2
    y /= 4.0
    assert y is x
    assert x.tolist() == [2, 3.5]
    x.add_(tn.ones(2), alpha=3).sub_(1.0, alpha=2)
    assert x.tolist() == [3, 4.5]
    n = tn.tensor([1, 2])
    n += 1
    assert n.tolist() == [2, 3]


@pytest.mark.parametrize("name", ["add_", "sub_", "mul_", "div_"])
@pytest.mark.parametrize("which", ["neither", "self", "other", "both", "same"])
def test_recorded_writes_have_the_gradients_of_the_plain_operations(name, which):
    operation = {"add_": "__add__", "sub_": "__sub__", "mul_": "__mul__", "div_": "__truediv__"}[name]

    def loss(inplace: bool) -> tuple[list[float], Any, Any]:
        a = tn.tensor([1.0, -2.0], requires_grad=which in ("self", "both", "same"))
        b = tn.tensor([3.0, 5.0], requires_grad=which in ("other", "both"))
        h = a * 3.0 if a.requires_grad else a.clone()
        other = h if which == "same" else b
        y = getattr(h, name)(other) if inplace else getattr(h, operation)(other)
        if y.requires_grad:
            (y * y * tn.tensor([1.0, 10.0])).sum().backward()
        return y.tolist(), *(None if t.grad is None else t.grad.tolist() for t in (a, b))

    if which == "same" and name in (
        "mul_",
        "div_",
    ):  # the operand that a gradient needs is what was overwritten
        with pytest.raises(GraphError, match="changed in place"):
            loss(True)
    else:
        assert loss(True) == loss(False)


def test_relu_in_place_on_a_result():
    x = tn.tensor([-1.0, 2.0], requires_grad=True)
    h = x * 2.0
    y = F.relu(h, inplace=True)
    assert y is h
    assert h.tolist() == [0, 4]
    (h * h).sum().backward()
    assert x.grad.tolist() == [0, 16]


def test_dropout_in_place_on_a_result():
    x = tn.ones(1000, requires_grad=True)
    h = x * 1.0
    y = F.dropout(h, 0.5, inplace=True)
    assert y is h
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), h.detach().numpy())


def test_copy_broadcasts_converts_and_carries_the_gradient():
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    buffer = tn.zeros(3, 2)
    buffer.copy_(x)
    assert buffer.requires_grad
    (buffer * tn.tensor([[1.0], [2.0], [3.0]])).sum().backward()
    assert x.grad.tolist() == [6, 6]
    assert tn.zeros(2).copy_(np.array([1, 2])).tolist() == [1, 2]
    assert tn.zeros(2, dtype="int64").copy_(tn.tensor([1.7, 2.2])).tolist() == [1, 2]


def test_an_overwritten_result_cuts_the_old_graph():
    x = tn.ones(2, requires_grad=True)
    h = x * 2.0
    h.copy_(tn.tensor([5.0, 6.0]))
    y = (h * x).sum()
    y.backward()
    assert x.grad.tolist() == [5, 6]


# ---- saved values ------------------------------------------------------------------------------------------

SAVING: dict[str, Any] = {
    "mul": lambda x, w: x * w,
    "div": lambda x, w: w / x,
    "pow": lambda x, w: (w + 2.0) ** x,
    "linear": lambda x, w: F.linear(x, w),
    "matmul": lambda x, w: w @ x,
    "batch_norm": lambda x, w: F.batch_norm(x, None, None, w[0], training=True),
    "cross_entropy": lambda x, w: F.cross_entropy(w, x.long().sum(1)),
}


@pytest.mark.parametrize("name", [n for n in SAVING if n != "cross_entropy"])
def test_a_saved_value_changed_in_place_is_noticed(name):
    x = tn.tensor([[1.0, 2.0], [3.0, 5.0]])
    w = tn.tensor([[1.0, 7.0], [2.0, 0.5]], requires_grad=True)
    y = SAVING[name](x, w).sum()
    x[0] = 0
    with pytest.raises(
        GraphError,
        match=rf"backward: {name} needs a value of shape \(2.*\) that was changed in place after its "
        r"forward: saved at version 0, now at version 1; change a copy \(.clone\(\)\) instead",
    ):
        y.backward()
    assert w.grad is None


def test_changed_labels_are_noticed():
    x, labels = tn.zeros(2, 3, requires_grad=True), tn.tensor([0, 1])
    y = F.cross_entropy(x, labels)
    labels[0] = 2
    with pytest.raises(GraphError, match="backward: cross_entropy needs a value"):
        y.backward()


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "exp", "sqrt"])
def test_a_changed_output_is_noticed(name):
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    y = getattr(x, name)()
    z = (y * 1.0).sum()
    y.detach().add_(1)
    with pytest.raises(GraphError, match=rf"backward: {name} needs a value of shape \(2,\)"):
        z.backward()


def test_changes_through_views_and_detached_tensors_are_noticed():
    for write in (
        lambda x: x.detach().add_(1),
        lambda x: x[0].add_(1),
        lambda x: x.reshape(4).zero_(),
        lambda x: x.T.fill_(1),
        lambda x: x.data.mul_(2),
        lambda x: x[:, :1].__setitem__(0, 1),
    ):
        x, w = tn.ones(2, 2), tn.ones(2, 2, requires_grad=True)
        y = (x * w).sum()
        write(x)
        with pytest.raises(GraphError, match="changed in place"):
            y.backward()


def test_an_optimiser_step_before_backward_is_noticed():
    from tinynet import optim

    x = tn.ones(2, 3, requires_grad=True)
    w = tn.ones(4, 3, requires_grad=True)
    first, second = F.linear(x, w).sum(), F.linear(x, w).sum()
    first.backward()
    optim.SGD([w], lr=0.1).step()
    with pytest.raises(GraphError, match="backward: linear needs a value"):
        second.backward()


def test_a_change_of_what_no_gradient_needs_is_allowed():
    x, w = tn.ones(2), tn.ones(2, requires_grad=True)
    y = (x + w).sum()
    x.zero_()
    y.backward()
    assert w.grad.tolist() == [1, 1]


# ---- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "view", [lambda t: t[0], lambda t: t.reshape(4), lambda t: t.T, lambda t: t[:, None]]
)
def test_recorded_writes_to_and_through_views(view):
    w = tn.ones(2, 2, requires_grad=True)
    for base in (w * 2.0, tn.zeros(2, 2)):
        v = view(base)
        for target in (v, base):
            with pytest.raises(NotImplementedError, match=r"mul_: a recorded write to a tensor .* views?"):
                target.mul_(w.sum())
        with tn.no_grad():
            v.mul_(2.0)


def test_writes_without_a_gradient_go_through_views():
    base = tn.zeros(2, 2)
    base[0].add_(1)
    base.T[1].fill_(5)
    assert base.tolist() == [[1, 5], [0, 5]]


def test_read_only_memory():
    a = np.zeros(2, np.float32)
    a.flags.writeable = False
    t = tn.from_numpy(a)
    for name, write in WRITES.items():
        with pytest.raises(ArgumentError, match=f"{name}: the tensor must be writable; got read-only memory"):
            write(t)
    with pytest.raises(ArgumentError, match="read-only"):
        t[0] = 1
    with pytest.raises(ArgumentError, match="read-only"):
        t.reshape(2, 1).add_(1)
    assert t.tolist() == [0, 0]
    assert not t.numpy().flags.writeable


def test_results_that_do_not_fit():
    x = tn.zeros(2)
    with pytest.raises(
        ShapeError, match=r"add_: the result must have the tensor's shape \(2,\); got \(3, 2\)"
    ):
        x.add_(tn.ones(3, 2))
    with pytest.raises(DTypeError, match="add_: the result must have the tensor's dtype int64; got float32"):
        tn.tensor([1]).add_(1.5)
    with pytest.raises(ShapeError, match="broadcast_to"):
        x.copy_(tn.ones(3))
    assert x.tolist() == [0, 0]
    assert x._version == 0


# ---- versions ----------------------------------------------------------------------------------------------


def test_views_and_detached_tensors_share_the_version():
    x = tn.zeros(2, 3)
    relatives = [
        x,
        x[0],
        x.T,
        x.reshape(6),
        x.detach(),
        x.data,
        x[None],
        x.view(3, 2),
        x.broadcast_to(4, 2, 3),
        x[:, ::-1],
    ]
    for i, t in enumerate([r for r in relatives if r.numpy().flags.writeable]):
        t.add_(1)
        assert {r._version for r in relatives} == {i + 1}
    assert x.clone()._version == 0
    assert x.T.contiguous()._version == 0


def test_writes_through_numpy_share_memory_and_are_not_tracked():
    x = tn.zeros(2)
    x.numpy()[0] = 4
    assert x.tolist() == [4, 0]
    assert x._version == 0


def test_batch_norm_raises_the_version_of_its_running_buffers():
    mean, var = tn.zeros(2), tn.ones(2)
    F.batch_norm(tn.randn(4, 2), mean, var, training=True)
    assert mean._version > 0
    assert var._version > 0


def test_random_fills_take_a_generator():
    a, b = tn.zeros(100), tn.zeros(100)
    a.uniform_(-2, 3, tn.Generator(5))
    b.uniform_(-2, 3, generator=tn.Generator(5))
    assert a.tolist() == b.tolist()
    assert -2 <= min(a.tolist()) < -1
    assert 2 < max(a.tolist()) < 3
    assert a.normal_(10, 0.5).dtype == np.float32
    assert abs(a.mean().item() - 10) < 0.3


# ---- where the result goes ---------------------------------------------------------------------------------


def test_a_copy_of_a_leaf_is_no_leaf():
    w, y = tn.tensor([1.0, 2.0], requires_grad=True), tn.zeros(2)
    y.copy_(w)
    assert not y.is_leaf
    y.mul_(3.0)
    y.sum().backward()
    assert w.grad.tolist() == [3, 3]
    assert y.grad is None


def test_inplace_activations_spare_saved_values():
    w = tn.tensor([0.5, -1.0], requires_grad=True)
    s = w.sigmoid()
    F.relu(s, inplace=True).sum().backward()
    value = 1 / (1 + np.exp(-np.asarray([0.5, -1.0])))
    np.testing.assert_allclose(w.grad.numpy(), value * (1 - value), rtol=1e-6)


def test_assigned_data_keeps_the_tensor_and_its_place():
    w = tn.tensor([1.0, 2.0], requires_grad=True)
    w.sum().backward()
    w.data = tn.tensor([3.0, 4.0])
    assert w.requires_grad
    assert w.grad.tolist() == [1, 1]
    w.data = tn.tensor([3.0, 4.0], dtype="float64")
    assert w.grad is None
    (w * w).sum().backward()
    assert w.grad.tolist() == [6, 8]
    with pytest.raises(DTypeError, match="data: must be float32 or float64"):
        w.data = tn.tensor([1, 2])
    with pytest.raises(GraphError, match="data: only a leaf can be assigned to"):
        (w * 2).data = w.detach()
    with pytest.raises(DTypeError, match="data: must be a Tensor; got int"):
        w.data = 3


def test_memory_that_is_ours_keeps_its_version_counter():
    w, y = tn.ones(2, requires_grad=True), tn.ones(2)
    q = (w * y).sum()
    tn.from_numpy(y.numpy()).zero_()
    with pytest.raises(GraphError, match="changed in place"):
        q.backward()


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ArgumentError, match="fill_: value must fit into uint8; got 300"):
        tn.zeros(2, dtype="uint8").fill_(300)


def test_nothing_is_saved_where_no_gradient_is_wanted():
    with tn.no_grad():
        s = tn.tensor([0.5, -1.0], requires_grad=True).sigmoid()
        assert F.relu(s, inplace=True) is s


@pytest.mark.parametrize("to", [slice(None, None, 2), slice(1, None, 2), slice(None, 50), slice(50, None)])
@pytest.mark.parametrize("of", [slice(None, 50), slice(50, None), slice(49, None, -1), slice(None, None, 2)])
def test_parts_of_one_memory_are_copied_as_they_were(to, of):
    start = np.arange(100, dtype=np.float32)
    expected = start.copy()
    expected[to] = start[of]
    x, y, z = (tn.tensor(start) for _ in range(3))
    x[to].copy_(x[of])
    y[to] = y[of]
    z[None, to] = z[of][None]
    for result in (x, y, z):
        np.testing.assert_array_equal(result.numpy(), expected)


@pytest.mark.parametrize("name", ["relu_", "sigmoid_", "tanh_"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_function_with_a_gradient_by_its_output_writes_over_its_input(name, dtype):
    """Recorded, without a copy of the operand or of the result; what was saved is the new value."""
    data = np.random.default_rng(0).normal(size=10000).astype(dtype)

    def gradient(call: Any) -> Any:
        w = tn.tensor(data, requires_grad=True)
        y = call(w * 2)
        (y * y).sum().backward()
        return w.grad.numpy()

    expected = gradient(lambda h: getattr(h, name.rstrip("_"))())
    np.testing.assert_array_equal(gradient(lambda h: getattr(h, name)()), expected)

    h = tn.tensor(data, requires_grad=True) * 2
    seen: list[Any] = []
    h.register_hook(lambda g: seen.append("before"))
    memory, version = h.detach(), h._version
    h.retain_grad()
    before = tn.memory_stats()["in_use"]
    tn.reset_peak()
    assert getattr(h, name)() is h
    assert tn.memory_stats()["peak"] - before < data.nbytes
    assert h._version == version + 1
    assert np.shares_memory(memory.numpy(), h.detach().numpy())
    assert h.grad_fn.name == name.rstrip("_")
    h.sum().backward()
    assert h.grad.tolist() == [1] * 10000
    assert seen == ["before"]


def test_what_a_function_in_place_has_saved_is_watched():
    h = tn.tensor([0.5, -1.0], requires_grad=True) * 2
    h.relu_()
    h.mul_(2.0)
    with pytest.raises(GraphError, match="relu needs a value of shape"):
        h.sum().backward()
    h = tn.tensor([0.5, -1.0], requires_grad=True) * 2
    kept = h[:1]
    with pytest.raises(NotImplementedError, match="of which there are views"):
        h.relu_()
    assert h.tolist() == [1, -2]
    assert kept.tolist() == [1]


@pytest.mark.parametrize("inplace", [False, True])
def test_convolution_normalisation_relu_chain(inplace):
    def block(channels: int, features: int) -> list[tn.nn.Module]:
        layers = tn.nn.Conv2d(channels, features, 3, padding=1), tn.nn.BatchNorm2d(features)
        return [*layers, tn.nn.ReLU(inplace=inplace)]

    tn.manual_seed(0)
    model = tn.nn.Sequential(*block(3, 8), *block(8, 8))
    x = tn.randn(4, 3, 16, 16)
    model(x).square().sum().backward()
    found = [p.grad.tolist() for p in model.parameters()]
    model.zero_grad()
    for layer in model:
        if isinstance(layer, tn.nn.ReLU):
            layer.inplace = not inplace
    model(x).square().sum().backward()
    assert found == [p.grad.tolist() for p in model.parameters()]
