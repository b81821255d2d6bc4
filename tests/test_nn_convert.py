"""Conversion of modules to another dtype: the same tensors, so that optimisers and sharing survive."""

from __future__ import annotations

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError
from tinynet.nn import functional as F
from tinynet.optim import SGD


def values(tensor):
    return tensor.detach().numpy()


def network():
    tn.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))


def batch(dtype):
    rng = np.random.default_rng(0)
    return tn.tensor(rng.normal(size=(8, 3)).astype(dtype)), tn.tensor(rng.integers(0, 2, 8))


def train(model, optimizer, dtype, steps):
    x, y = batch(dtype)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()


def test_the_tensors_stay_the_same_objects():
    model = network()
    before = [*model.parameters(), *model.buffers()]
    arrays = [values(t).copy() for t in before]
    model.double()
    after = [*model.parameters(), *model.buffers()]
    assert all(a is b for a, b in zip(before, after, strict=True))
    for tensor, array in zip(after, arrays, strict=True):
        assert tensor.dtype == (np.float64 if array.dtype == np.float32 else array.dtype)
        assert np.array_equal(values(tensor), array)
    assert all(isinstance(p, nn.Parameter) and p.requires_grad and p.is_leaf for p in model.parameters())


def test_what_is_not_trained_stays_so():
    model = network()
    model[0].weight.requires_grad = False
    model.double()
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True, True, True]


@pytest.mark.parametrize("momentum", [0, 0.9])
@pytest.mark.parametrize("steps_before", [0, 3])
def test_an_optimiser_made_before_goes_on_training(momentum, steps_before):
    """After `double()`, steps are those of a twin that was float64 and had the same values all along."""
    model, twin = network(), network().double()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=momentum)
    other = SGD(twin.parameters(), lr=0.1, momentum=momentum)
    if steps_before:
        train(model, optimizer, np.float32, steps_before)
    model.double()
    twin.load_state_dict(model.state_dict())
    other.load_state_dict(
        {
            **optimizer.state_dict(),
            "state": {
                index: {"momentum_buffer": each["momentum_buffer"].double()}
                for index, each in optimizer.state_dict()["state"].items()
            },
        }
    )
    start = values(model[0].weight).copy()
    assert train(model, optimizer, np.float64, 3) == train(twin, other, np.float64, 3)
    assert not np.array_equal(values(model[0].weight), start)
    for (name, a), (_, b) in zip(model.state_dict().items(), twin.state_dict().items(), strict=True):
        assert np.array_equal(values(a), values(b)), name
    for each in optimizer.state.values():
        assert each["momentum_buffer"].dtype == np.float64


def test_velocities_follow_there_and_back():
    model = network()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    train(model, optimizer, np.float32, 2)
    want = [values(each["momentum_buffer"]).copy() for each in optimizer.state.values()]
    model.double()
    for p in model.parameters():
        p.grad = tn.zeros(p.shape, dtype=np.float64)
    optimizer.step()
    model.float()
    for p in model.parameters():
        p.grad = tn.zeros(p.shape)
    optimizer.step()
    for each, v in zip(optimizer.state.values(), want, strict=True):
        assert each["momentum_buffer"].dtype == np.float32
        np.testing.assert_allclose(values(each["momentum_buffer"]), 0.81 * v, rtol=1e-6)


def test_only_some_of_an_optimisers_parameters_change_dtype():
    model = network()
    optimizer = SGD(model.parameters(), lr=0.5, momentum=0.9)
    train(model, optimizer, np.float32, 1)
    model[3].double()
    before = [values(p).copy() for p in model.parameters()]
    velocities = [values(each["momentum_buffer"]).copy() for each in optimizer.state.values()]
    for p in model.parameters():
        p.grad = tn.ones(p.shape, dtype=p.dtype)
    optimizer.step()
    for p, w, v in zip(model.parameters(), before, velocities, strict=True):
        assert p.dtype == w.dtype
        np.testing.assert_allclose(values(p), w - 0.5 * (0.9 * v + 1), rtol=1e-5)


def test_gradients_are_converted():
    model = network()
    x, y = batch(np.float32)
    F.cross_entropy(model(x), y).backward()
    want = [values(p.grad).copy() for p in model.parameters()]
    optimizer = SGD(model.parameters(), lr=0.1)
    model.double()
    for p, g in zip(model.parameters(), want, strict=True):
        assert p.grad.dtype == np.float64
        assert np.array_equal(values(p.grad), g)
    start = values(model[0].weight).copy()
    optimizer.step()
    np.testing.assert_allclose(values(model[0].weight), start - 0.1 * want[0].astype(np.float64), rtol=1e-12)


def test_weights_with_another_layout_or_shape():
    """`p.data = other` between steps: velocities are laid out anew; another shape is an error, in time."""
    p = nn.Parameter(np.zeros((2, 3), np.float32))
    optimizer = SGD([p], lr=1.0, momentum=0.5)
    g = np.arange(6, dtype=np.float32).reshape(2, 3)
    p.grad = tn.tensor(g)
    optimizer.step()
    p.data = tn.Tensor(np.asfortranarray(values(p)))
    p.grad = tn.tensor(g)
    optimizer.step()
    assert values(p).tolist() == (-g - (0.5 * g + g)).tolist()
    p.data = tn.zeros(3)
    p.grad = tn.ones(3)
    with pytest.raises(
        ArgumentError, match=r"SGD.step: momentum_buffer must have its parameter's shape \(3,\); got \(2, 3\)"
    ):
        optimizer.step()
    assert not values(p).any()
    optimizer.state[p]["momentum_buffer"] = 3
    with pytest.raises(DTypeError, match=r"SGD.step: momentum_buffer must be a Tensor; got int"):
        optimizer.step()


@pytest.mark.parametrize(
    "arguments",
    [
        ((np.float64,), {}),
        (("float64",), {}),
        (("cpu", tn.float64), {}),
        ((None, tn.float64), {}),
        ((tn.float64, True), {}),
        ((tn.zeros(1, dtype=np.float64),), {}),
        ((), {"dtype": np.float64}),
        ((), {"device": "cpu", "dtype": np.float64, "non_blocking": True}),
        (("cpu",), {"dtype": np.float64}),
    ],
    ids=str,
)
def test_forms_of_to(arguments):
    args, kwargs = arguments
    layer = nn.Linear(2, 2)
    assert layer.to(*args, **kwargs) is layer
    assert layer.weight.dtype == np.float64


@pytest.mark.parametrize(
    "arguments", [((), {}), (("cpu",), {}), ((), {"device": "cpu"}), ((None,), {})], ids=str
)
def test_to_without_a_dtype_changes_nothing(arguments):
    args, kwargs = arguments
    layer = nn.Linear(2, 2)
    array = values(layer.weight)
    assert layer.to(*args, **kwargs) is layer
    assert np.shares_memory(values(layer.weight), array)


def test_errors_of_to_change_nothing():
    layer = nn.Linear(2, 2)
    with pytest.raises(ArgumentError, match=r"to: dtype must be given once; got <class 'numpy.float64'> and"):
        layer.to(np.float64, dtype=np.float64)
    with pytest.raises(ArgumentError, match="to: device must be given once; got 'cpu' and 'cuda'"):
        layer.to("cuda", device="cpu")
    with pytest.raises(DTypeError, match="to: non_blocking must be a bool; got 'no'"):
        layer.to(np.float64, non_blocking="no")
    with pytest.raises(DTypeError, match="to: dtype must be float32 or float64; got 'half'"):
        layer.to("half")
    layer.register_buffer("made", layer.weight * 2)
    with pytest.raises(ArgumentError, match="to: made must be a leaf tensor; got the result of an operation"):
        layer.double()
    assert layer.weight.dtype == np.float32


@pytest.mark.parity
def test_a_trajectory_across_double_equals_pytorchs():
    import torch

    ours = nn.Linear(3, 2)
    theirs = torch.nn.Linear(3, 2)
    with torch.no_grad():
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            q.copy_(torch.tensor(values(p)))
    optimizer = SGD(ours.parameters(), lr=0.1, momentum=0.9)
    reference = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    x, y = batch(np.float64)
    for step in range(4):
        if step == 2:
            ours.double()
            theirs.double()
        dtype = np.float64 if step >= 2 else np.float32
        optimizer.zero_grad()
        reference.zero_grad()
        F.cross_entropy(ours(tn.tensor(values(x).astype(dtype))), y).backward()
        inputs = torch.tensor(values(x).astype(dtype))
        torch.nn.functional.cross_entropy(theirs(inputs), torch.tensor(values(y))).backward()
        optimizer.step()
        reference.step()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert values(p).dtype == q.detach().numpy().dtype
            np.testing.assert_allclose(values(p), q.detach().numpy(), rtol=1e-5, atol=1e-7)
