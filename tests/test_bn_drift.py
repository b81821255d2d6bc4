"""How far gamma and beta are from where they began, against values set by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from test_bn_recording import images, network, snapshot

import tinynet as tn
from tinynet import bn, nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError


def layer(gamma, beta):
    made = nn.BatchNorm1d(len(gamma)).double()
    made.weight.data = tn.tensor(np.array(gamma, np.float64))
    made.bias.data = tn.tensor(np.array(beta, np.float64))
    return made


def test_values_by_hand():
    """|gamma - 1| = 1, 0.5, 3: mean 1.5, squares of deviations 0.25, 1, 2.25."""
    found = bn.scale_drift(nn.Sequential(nn.ReLU(), layer([2, 0.5, -2], [-3, 0, 3])))
    assert list(found) == ["1"]
    each = found["1"]
    assert each.gamma_mean == 1.5
    assert each.gamma_std == pytest.approx(np.sqrt(3.5 / 3), rel=1e-14)
    assert each.beta_mean == 2
    assert each.beta_std == pytest.approx(np.sqrt(2), rel=1e-14)
    with pytest.raises(dataclasses.FrozenInstanceError):
        each.beta_std = 0


def test_nothing_has_moved():
    for model in (network(), nn.BatchNorm2d(1)):
        assert set(bn.scale_drift(model).values()) == {bn.ScaleDrift(0.0, 0.0, 0.0, 0.0)}


def test_layers_know_where_they_began():
    for dtype in (tn.float32, tn.float64):
        model = nn.Sequential(nn.InputNorm2d(2, dtype=dtype), nn.BatchNorm2d(2, scale_init=0.1, dtype=dtype))
        assert bn.scale_drift(model) == {
            "0": bn.ScaleDrift(0.0, 0.0, None, None),
            "1": bn.ScaleDrift(0.0, 0.0, 0.0, 0.0),
        }
    model = nn.BatchNorm1d(2, scale_init=0.25)
    model.weight.data = tn.tensor([0.5, 1.25])
    assert bn.scale_drift(model)[""].gamma_mean == 0.625
    assert bn.scale_drift(model, 1.0)[""].gamma_mean == 0.375


def test_another_beginning():
    model = layer([0.1, 0.3], [0, 0])
    found = bn.scale_drift(model, 0.1)[""]
    assert found.gamma_mean == pytest.approx(0.1)
    assert found.gamma_std == pytest.approx(0.1)


def test_an_earlier_state():
    model = nn.Sequential(layer([1, 2], [0, 0]), layer([3, 4], [0, 1]))
    early = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    assert [each.gamma_mean for each in bn.scale_drift(model, early).values()] == [0, 0]
    model[1].weight.data = tn.tensor(np.array([2.5, 6.0]))
    found = bn.scale_drift(model, early)
    assert (found["0"].gamma_mean, found["1"].gamma_mean, found["1"].gamma_std) == (0, 1.25, 0.75)
    tensors = {name: tn.tensor(value) for name, value in early.items()}
    assert bn.scale_drift(model, tensors) == found
    assert bn.scale_drift(model[1], {"weight": early["1.weight"]})[""] == found["1"]


def test_after_training():
    model = network()
    early = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    optimizer = tn.optim.SGD(model.parameters(), lr=0.1)
    model(images()).square().sum().backward()
    optimizer.step()
    before = snapshot(model)
    found = bn.scale_drift(model)["1"]
    assert found == bn.scale_drift(model, early)["1"]
    moved = np.abs(model[1].weight.detach().numpy() - 1)
    assert found.gamma_mean == moved.mean() > 0
    assert found.beta_mean == np.abs(model[1].bias.detach().numpy()).mean() > 0
    assert snapshot(model) == before


def test_layers_without_gamma_or_beta():
    model = nn.Sequential(nn.BatchNorm1d(2, affine=False), nn.BatchNorm1d(2, bias=False), nn.GroupNorm(1, 2))
    assert bn.scale_drift(model, 0.75) == {"1": bn.ScaleDrift(0.25, 0.0, None, None)}
    with pytest.raises(ArgumentError, match=r"model must have batch normalisations with a gamma; got none"):
        bn.scale_drift(model[0])


def test_not_finite_values_pass_without_a_warning():
    found = bn.scale_drift(layer([np.inf, 1], [np.nan, 1]))[""]
    assert found.gamma_mean == np.inf
    assert np.isnan([found.gamma_std, found.beta_mean, found.beta_std]).all()


def test_errors():
    model = layer([1, 2], [0, 0])
    with pytest.raises(DTypeError, match=r"scale_drift: model must be a Module; got dict"):
        bn.scale_drift({})
    with pytest.raises(ArgumentError, match=r"scale_drift: model must have layers .* got no BatchNorm"):
        bn.scale_drift(nn.Linear(1, 1))
    with pytest.raises(ArgumentError, match=r"scale_drift: initial must be a finite number; got nan"):
        bn.scale_drift(model, np.nan)
    with pytest.raises(DTypeError, match=r"scale_drift: initial must be a finite number; got 'one'"):
        bn.scale_drift(model, "one")
    with pytest.raises(ArgumentError, match=r"initial must hold every gamma; got none for 'weight'"):
        bn.scale_drift(model, {"bias": np.zeros(2)})
    with pytest.raises(ShapeError, match=r"initial\['weight'\] must have shape \(2,\); got \(3,\)"):
        bn.scale_drift(model, {"weight": np.zeros(3)})
    with pytest.raises(DTypeError, match=r"initial\['weight'\] must be .* of real numbers; got <U1"):
        bn.scale_drift(model, {"weight": np.array(["1", "2"])})
    with pytest.raises(DTypeError, match=r"initial\['weight'\] must be a Tensor or array .*; got list"):
        bn.scale_drift(model, {"weight": [1.0, 2.0]})
