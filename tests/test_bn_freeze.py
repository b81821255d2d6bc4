"""bn.freeze and bn.unfreeze; population statistics of images."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinynet as tn
from tinynet import bn, nn
from tinynet.errors import ArgumentError, DTypeError


def values(tensor):
    return tensor.detach().numpy()


def network():
    tn.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(36, 3), nn.BatchNorm1d(3),
    )  # fmt: skip
    for _ in range(3):
        model(tn.randn(4, 2, 5, 5) * 2.0 + 1.0)
    return model


def test_frozen_layers_are_constant_maps_in_training():
    model = network()
    norm = model[1]
    x = tn.randn(1, 4, 3, 3)
    want = values(norm.eval()(x))
    bn.freeze(model)
    model.train()
    before = {name: values(t).copy() for name, t in model.state_dict().items()}
    assert norm.training
    assert np.array_equal(values(norm(x)), want)
    model(tn.randn(4, 2, 5, 5)).sum().backward()
    assert all(np.array_equal(values(t), before[name]) for name, t in model.state_dict().items())
    assert norm.weight.grad is not None
    assert "frozen=True" in repr(norm)
    y = model[3](tn.ones(1000))
    assert (values(y) == 0).any()  # dropout goes on


def test_freezing_outlives_train_and_ends_with_unfreeze():
    model = network()
    bn.freeze(model)
    model.eval()
    model.train()
    twin = copy.deepcopy(model)
    count = model[1].num_batches_tracked.item()
    model(tn.randn(4, 2, 5, 5))
    assert model[1].num_batches_tracked.item() == count
    assert list(model.state_dict()) == list(network().state_dict())
    bn.unfreeze(model)
    model(tn.randn(4, 2, 5, 5))
    assert model[1].num_batches_tracked.item() == count + 1
    assert "frozen" not in repr(model[1])
    assert twin[1].frozen


def test_gradient_treats_the_statistics_as_constants():
    norm = network()[1]
    bn.freeze(norm)
    x = tn.randn(2, 4, 3, 3).requires_grad_()
    g = tn.randn(2, 4, 3, 3)
    norm(x).backward(g)
    scale = values(norm.weight) / np.sqrt(values(norm.running_var) + 1e-5)
    np.testing.assert_allclose(x.grad.numpy(), g.numpy() * scale.reshape(1, 4, 1, 1), rtol=1e-5)


def test_affine():
    model = network()
    bn.freeze(model, affine=True)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == [
        "0.weight",
        "5.weight",
        "5.bias",
    ]
    bn.unfreeze(model)
    assert not model[1].weight.requires_grad
    bn.unfreeze(model, affine=True)
    assert all(p.requires_grad for p in model.parameters())


def test_errors():
    with pytest.raises(ArgumentError, match="freeze: model must hold batch normalisations; got Linear"):
        bn.freeze(nn.Linear(2, 2))
    with pytest.raises(ArgumentError, match="unfreeze: model must hold batch normalisations; got Linear"):
        bn.unfreeze(nn.Linear(2, 2))
    with pytest.raises(DTypeError, match="freeze: model must be a Module; got int"):
        bn.freeze(3)
    with pytest.raises(DTypeError, match="freeze: affine must be a bool; got 1"):
        bn.freeze(nn.BatchNorm1d(2), 1)
    with pytest.raises(DTypeError, match="unfreeze: affine must be a bool; got None"):
        bn.unfreeze(nn.BatchNorm1d(2), None)
    model = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2, track_running_stats=False))
    with pytest.raises(ArgumentError, match="freeze: layer '1' must keep running statistics"):
        bn.freeze(model)
    assert not model[0].frozen
    model = network()
    bn.freeze(model)
    with pytest.raises(ArgumentError, match="population_statistics: layer '1' must not be frozen"):
        bn.population_statistics(model, [tn.randn(4, 2, 5, 5)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_population_statistics_of_images(dtype):
    """Algorithm 2 with m = N H W values per channel, batches of different sizes, in either layout."""
    rng = np.random.default_rng(0)
    batches = [(rng.normal(size=(n, 3, 4, 5)) * 2 + 1).astype(dtype) for n in (4, 2, 1)]
    laid = [np.ascontiguousarray(b.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for b in batches]
    for given in (batches, laid):
        layer = nn.BatchNorm2d(3, dtype=dtype)
        ((mean, var),) = bn.population_statistics(layer, given).values()
        rows = [b.astype(np.float64).transpose(0, 2, 3, 1).reshape(-1, 3) for b in batches]
        m = np.asarray([len(r) for r in rows])
        want_mean = sum(r.sum(0) for r in rows) / m.sum()
        want_var = sum(len(r) ** 2 / (len(r) - 1) * r.var(0) for r in rows) / m.sum()
        np.testing.assert_allclose(mean, want_mean, rtol=1e-6)
        np.testing.assert_allclose(var, want_var, rtol=1e-6)
        assert np.array_equal(values(layer.running_var), var.astype(dtype))
