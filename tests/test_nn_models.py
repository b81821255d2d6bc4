"""The networks of the papers."""

from __future__ import annotations

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError
from tinynet.models import gaussian_weights_, mnist_mlp


def values(tensor):
    return tensor.detach().numpy()


def weights(model):
    return [values(module.weight) for module in model.modules() if isinstance(module, nn.Linear)]


def test_structure():
    model = mnist_mlp()
    names = [name for name, _ in model.named_children()]
    assert names == ["linear1", "bn1", "act1", "linear2", "bn2", "act2", "linear3", "bn3", "act3", "output"]
    assert [w.shape for w in weights(model)] == [(100, 784), (100, 100), (100, 100), (10, 100)]
    assert [module.bias is not None for module in model.modules() if isinstance(module, nn.Linear)] == [
        False,
        False,
        False,
        True,
    ]
    assert sum(p.numel() for p in model.parameters()) == 784 * 100 + 2 * 100 * 100 + 100 * 10 + 10 + 6 * 100
    baseline = mnist_mlp(batch_norm=False)
    assert not any(isinstance(module, nn.BatchNorm1d) for module in baseline.modules())
    assert sum(p.numel() for p in baseline.parameters()) == 784 * 100 + 2 * 100 * 100 + 100 * 10 + 310
    assert model(tn.tensor(np.zeros((4, 784), np.float32))).shape == (4, 10)


@pytest.mark.parametrize("explicit", [False, True])
def test_both_networks_start_from_the_same_weights(explicit):
    def build(batch_norm, seed):
        tn.manual_seed(0 if explicit else seed)
        return mnist_mlp(batch_norm, generator=tn.Generator(seed) if explicit else None)

    with_bn, without, other = build(True, 3), build(False, 3), build(False, 4)
    assert all(np.array_equal(a, b) for a, b in zip(weights(with_bn), weights(without), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(weights(other), weights(without), strict=True))
    biases = [p for name, p in without.named_parameters() if name.endswith("bias")]
    assert len(biases) == 4
    assert not any(values(b).any() for b in biases)
    for w in weights(with_bn):
        np.testing.assert_allclose(w.std(), 0.1, rtol=0.1)


def test_building_leaves_the_generators_alike():
    states = []
    for batch_norm in (True, False):
        tn.manual_seed(3)
        mnist_mlp(batch_norm, generator=tn.Generator(1))
        explicit = tn.default_generator.get_state()
        mnist_mlp(batch_norm)
        states.append((explicit, tn.default_generator.get_state()))
    assert states[0] == states[1]
    tn.manual_seed(3)
    assert states[0][0] == tn.default_generator.get_state()


def test_options():
    model = mnist_mlp(
        hidden=7, layers=1, activation="relu", num_classes=3, in_features=5, weight_std=0, dtype=np.float64
    )
    assert repr(model) == (
        "Sequential(\n"
        "  (linear1): Linear(in_features=5, out_features=7, bias=False)\n"
        "  (bn1): BatchNorm1d(7, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)\n"
        "  (act1): ReLU()\n"
        "  (output): Linear(in_features=7, out_features=3, bias=True)\n"
        ")"
    )
    assert not any(w.any() for w in weights(model))
    assert all(p.dtype == np.float64 for p in model.parameters())
    assert gaussian_weights_(model, 2.0, tn.Generator(0)) is model
    np.testing.assert_allclose(np.concatenate([w.ravel() for w in weights(model)]).std(), 2.0, rtol=0.3)


def test_errors():
    with pytest.raises(ArgumentError, match="mnist_mlp: layers must be a positive int; got 0"):
        mnist_mlp(layers=0)
    with pytest.raises(
        ArgumentError, match="mnist_mlp: activation must be one of 'sigmoid', 'relu', 'tanh'; got 'elu'"
    ):
        mnist_mlp(activation="elu")
    with pytest.raises(ArgumentError, match=r"mnist_mlp: weight_std must be a finite number >= 0; got -0.1"):
        mnist_mlp(weight_std=-0.1)
    with pytest.raises(DTypeError, match="mnist_mlp: batch_norm must be a bool; got 100"):
        mnist_mlp(100)
