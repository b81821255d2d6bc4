"""Modules beside PyTorch's: names, printing, state, values and gradients over several training steps."""

from __future__ import annotations

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn

pytestmark = pytest.mark.parity


def values(tensor):
    return tensor.detach().numpy()


def network(lib):
    return lib.Sequential(
        lib.Linear(5, 7, bias=False),
        lib.BatchNorm1d(7, momentum=None),
        lib.Sigmoid(),
        lib.Sequential(lib.Linear(7, 6), lib.BatchNorm1d(6, eps=1e-3, affine=False), lib.Tanh()),
        lib.Identity(),
        lib.Linear(6, 6),
        lib.BatchNorm1d(6, track_running_stats=False, bias=False),
        lib.ReLU(),
        lib.Dropout(0.0),
        lib.Linear(6, 4),
        lib.LogSoftmax(dim=1),
    )


def test_printing_names_and_state():
    import torch

    ours, theirs = network(nn), network(torch.nn)
    assert repr(ours) == repr(theirs)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_buffers()] == [n for n, _ in theirs.named_buffers()]
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    assert [n for n, _ in ours.named_children()] == [n for n, _ in theirs.named_children()]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, t in theirs.state_dict().items():
        assert ours.state_dict()[name].shape == tuple(t.shape)
        assert ours.state_dict()[name].dtype == t.numpy().dtype


@pytest.mark.parametrize(
    "build",
    [
        lambda lib: lib.Linear(3, 2, bias=False),
        lambda lib: lib.BatchNorm1d(3, 1e-3, None, False, False),
        lambda lib: lib.Flatten(0, -2),
        lambda lib: lib.Softmax(dim=-1),
        lambda lib: lib.ReLU(True),
        lambda lib: lib.Dropout(0.25, True),
        lambda lib: lib.CrossEntropyLoss(label_smoothing=0.1),
        lambda lib: lib.Sequential(lib.Linear(1, 2), lib.Sequential(lib.ReLU()))[1:],
    ],
)
def test_printing_of_layers(build):
    import torch

    assert repr(build(nn)) == repr(build(torch.nn))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_and_evaluation(dtype):
    import torch

    theirs = network(torch.nn).to(torch.float32 if dtype == np.float32 else torch.float64)
    ours = network(nn).to(dtype)
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    optimizer = tn.optim.SGD(ours.parameters(), lr=0.1, momentum=0.9)
    reference = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    tolerance = {"rtol": 2e-4, "atol": 2e-5} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-11}
    rng = np.random.default_rng(0)
    for _ in range(4):
        x, target = rng.normal(size=(9, 5)).astype(dtype), rng.integers(0, 4, 9)
        loss = nn.CrossEntropyLoss(label_smoothing=0.1)(ours(tn.tensor(x)), tn.tensor(target))
        their_loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)(
            theirs(torch.tensor(x)), torch.tensor(target)
        )
        np.testing.assert_allclose(loss.item(), their_loss.item(), **tolerance)
        optimizer.zero_grad()
        reference.zero_grad()
        loss.backward()
        their_loss.backward()
        for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(values(p.grad), q.grad.numpy(), err_msg=name, **tolerance)
        optimizer.step()
        reference.step()
        for (name, t), s in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            np.testing.assert_allclose(values(t), s.numpy(), err_msg=name, **tolerance)
    # Layer 6 has no running statistics and uses the batch's in evaluation, too: it needs more than one row.
    x = rng.normal(size=(5, 5)).astype(dtype)
    want = theirs.eval()(torch.tensor(x))
    np.testing.assert_allclose(values(ours.eval()(tn.tensor(x))), want.detach().numpy(), **tolerance)


@pytest.mark.parametrize("shape", [(6, 4), (5, 4, 3)])
@pytest.mark.parametrize("momentum", [0.1, 0.7, 0.0, 1.0, None])
@pytest.mark.parametrize("flags", [(True, True), (False, True), (True, False), (False, False)])
def test_batch_norm_modes(shape, momentum, flags):
    import torch

    affine, tracked = flags
    ours = nn.BatchNorm1d(4, momentum=momentum, affine=affine, track_running_stats=tracked, dtype=np.float64)
    theirs = torch.nn.BatchNorm1d(
        4, momentum=momentum, affine=affine, track_running_stats=tracked, dtype=torch.float64
    )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    rng = np.random.default_rng(0)
    for training in (True, True, False, True, False):
        x = rng.normal(size=shape) * 2 + 1
        y, want = ours.train(training)(tn.tensor(x)), theirs.train(training)(torch.tensor(x))
        np.testing.assert_allclose(values(y), want.detach().numpy(), rtol=1e-9, atol=1e-11)
        for name, t in theirs.state_dict().items():
            np.testing.assert_allclose(values(ours.state_dict()[name]), t.numpy(), rtol=1e-12, err_msg=name)


def test_incompatible_keys_are_named_alike():
    import torch

    ours, theirs = network(nn), network(torch.nn)
    state = {name: t.numpy() for name, t in theirs.state_dict().items()}
    state["extra"] = state.pop("0.weight")
    result = ours.load_state_dict(state, strict=False)
    want = theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()}, strict=False)
    assert result.missing_keys == want.missing_keys
    assert result.unexpected_keys == want.unexpected_keys
    assert repr(ours.load_state_dict(ours.state_dict())) == repr(theirs.load_state_dict(theirs.state_dict()))


def test_hooks_are_called_alike():
    import torch

    def record(lib, tensor):
        calls = []
        layer = lib.ReLU()
        layer.register_forward_pre_hook(lambda m, a: calls.append(("pre", len(a))))
        layer.register_forward_pre_hook(lambda m, a: (a[0] * 2,))
        layer.register_forward_hook(lambda m, a, out: calls.append(("after", a[0].tolist(), out.tolist())))
        handle = layer.register_forward_hook(lambda m, a, out: out + 1, prepend=True)
        calls.append(layer(tensor).tolist())
        handle.remove()
        calls.append(layer(tensor).tolist())
        return calls

    assert record(nn, tn.tensor([-1.0, 2.0])) == record(torch.nn, torch.tensor([-1.0, 2.0]))


@pytest.mark.parametrize("name", ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu", "conv2d"])
def test_gains(name):
    import torch

    assert nn.init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name), rel=1e-12)
    assert nn.init.calculate_gain("leaky_relu", 0.3) == pytest.approx(
        torch.nn.init.calculate_gain("leaky_relu", 0.3), rel=1e-12
    )


@pytest.mark.parametrize(
    ("fill", "scale"),
    [
        ("kaiming_uniform_", {"a": 0.3, "mode": "fan_out"}),
        ("kaiming_normal_", {"nonlinearity": "tanh"}),
        ("xavier_uniform_", {"gain": 2.0}),
        ("xavier_normal_", {}),
        ("trunc_normal_", {"mean": 0.5, "std": 2.0, "a": -1.0, "b": 1.5}),
    ],
)
def test_initialisers_have_the_same_distribution(fill, scale):
    import torch
    from scipy import stats

    torch.manual_seed(0)
    theirs = getattr(torch.nn.init, fill)(torch.empty(60, 50, 4), **scale).numpy().ravel()
    ours = values(getattr(nn.init, fill)(tn.zeros(60, 50, 4), generator=tn.Generator(1), **scale)).ravel()
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-3
