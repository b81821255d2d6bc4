"""bn.parameter_groups."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinynet as tn
from tinynet import bn, nn, optim
from tinynet.errors import ArgumentError, DTypeError


class Slopes(nn.Module):
    """A layer, no normalisation, whose parameter `weight` has one axis, and `power` none."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(tn.ones(4))
        self.power = nn.Parameter(tn.ones(()))

    def forward(self, x):
        return x * self.weight.reshape(1, 4, 1, 1) * self.power


def network():
    """A network with every kind of normalisation."""
    tn.manual_seed(3)
    model = nn.Sequential()
    model.add_module("input", nn.InputNorm2d(2))
    model.add_module("conv", nn.Conv2d(2, 4, 3))
    model.add_module("bn", nn.BatchNorm2d(4))
    model.add_module("group", nn.GroupNorm(2, 4))
    model.add_module("layer", nn.LayerNorm((4, 3, 3)))
    model.add_module("slopes", Slopes())
    model.add_module("flatten", nn.Flatten())
    model.add_module("output", nn.Linear(36, 3))
    return model


SCALES = ["input.weight", "bn.weight", "group.weight", "layer.weight"]
NO_DECAY = ["conv.bias", "bn.bias", "group.bias", "layer.bias"]
NO_DECAY += ["slopes.weight", "slopes.power", "output.bias"]
WEIGHTS = ["conv.weight", "output.weight"]


def names(model, groups):
    """The names of the parameters of each group."""
    of = {id(parameter): name for name, parameter in model.named_parameters()}
    return {group["name"]: [of[id(parameter)] for parameter in group["params"]] for group in groups}


def test_every_parameter_stands_in_the_group_of_its_kind():
    model = network()
    found = names(model, bn.parameter_groups(model, lr=0.1))
    assert found == {"scales": SCALES, "no decay": NO_DECAY, "weights": WEIGHTS}


def test_rates_and_decay():
    groups = bn.parameter_groups(network(), 50, lr=0.1, weight_decay=1e-4)
    assert [group["lr"] for group in groups] == [0.1 / 50, 0.1, 0.1]
    assert [group["weight_decay"] for group in groups] == [0, 0, 1e-4]
    assert bn.parameter_groups(network(), lr=0.1)[0]["lr"] == 0.1 / 100


@pytest.mark.parametrize("divisor", [1.0, 0.5, 1])
def test_at_one_and_below_nothing_is_slowed(divisor):
    groups = bn.parameter_groups(network(), divisor, lr=0.1, weight_decay=1e-4)
    assert [(group["name"], group["lr"]) for group in groups] == [
        ("scales", 0.1),
        ("no decay", 0.1),
        ("weights", 0.1),
    ]
    assert groups[0]["weight_decay"] == 0


def test_groups_without_parameters_are_left_out():
    assert [group["name"] for group in bn.parameter_groups(nn.Linear(2, 3), lr=1)] == ["no decay", "weights"]
    assert [group["name"] for group in bn.parameter_groups(nn.Linear(2, 3, bias=False), lr=1)] == ["weights"]
    assert [group["name"] for group in bn.parameter_groups(nn.BatchNorm1d(2, bias=False), lr=1)] == ["scales"]
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, affine=False))
    assert [group["name"] for group in bn.parameter_groups(model, lr=1)] == ["no decay", "weights"]


def test_frozen_parameters_are_there_and_stay_as_they_are():
    model = network()
    bn.freeze(model.bn, affine=True)
    model.conv.requires_grad_(False)
    before = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    groups = bn.parameter_groups(model, lr=0.1, weight_decay=0.5)
    assert names(model, groups) == {"scales": SCALES, "no decay": NO_DECAY, "weights": WEIGHTS}
    optimizer = optim.SGD(groups)
    (model(tn.randn(4, 2, 5, 5)) ** 2).sum().backward()
    optimizer.step()
    same = [name for name, p in model.named_parameters() if np.array_equal(p.detach().numpy(), before[name])]
    assert same == ["conv.weight", "conv.bias", "bn.weight", "bn.bias"]


def test_one_step_is_what_the_groups_say():
    model, c, lr, decay = network().double(), 10.0, 0.1, 0.5
    (model(tn.randn(4, 2, 5, 5, dtype=tn.float64)) ** 2).sum().backward()
    before = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    optim.SGD(bn.parameter_groups(model, c, lr=lr, weight_decay=decay)).step()
    for name, parameter in model.named_parameters():
        step = parameter.detach().numpy() - before[name]
        gradient = parameter.grad.numpy()
        want = -lr * gradient
        if name in SCALES:
            want = -lr / c * gradient
        elif name in WEIGHTS:
            want = -lr * (gradient + decay * before[name])
        np.testing.assert_allclose(step, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "scheduler",
    [
        lambda optimizer: optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step)),
        lambda optimizer: optim.lr_scheduler.StepLR(optimizer, 2),
        lambda optimizer: optim.lr_scheduler.CosineAnnealingLR(optimizer, 7),
    ],
)
def test_schedulers_keep_the_ratio(scheduler):
    model = network()
    optimizer = optim.SGD(bn.parameter_groups(model, 100.0, lr=0.1))
    schedule = scheduler(optimizer)
    for _ in range(5):
        optimizer.step()
        schedule.step()
        slow, usual, weights = (group["lr"] for group in optimizer.param_groups)
        assert slow == pytest.approx(usual / 100, rel=1e-12)
        assert usual == weights < 0.1 or usual == weights == 0.1


def test_the_optimizer_state_can_be_kept_and_read():
    model = network()
    first = optim.SGD(bn.parameter_groups(model, lr=0.1), momentum=0.9)
    second = optim.SGD(bn.parameter_groups(model, lr=0.2), momentum=0.9)
    second.load_state_dict(first.state_dict())
    assert [group["lr"] for group in second.param_groups] == [0.001, 0.1, 0.1]


def test_a_shared_parameter_stands_in_one_group():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3), nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    model[3].weight = model[2].weight
    model[2].bias = model[0].weight  # a scale anywhere is a scale
    found = names(model, bn.parameter_groups(model, lr=0.1))
    assert found == {
        "scales": ["0.weight"],
        "no decay": ["0.bias", "1.bias", "3.bias"],
        "weights": ["2.weight"],
    }


def test_a_normalisation_alone_and_a_class_of_its_own():
    class Own(nn.BatchNorm1d):
        pass

    assert [group["name"] for group in bn.parameter_groups(Own(2), lr=0.1)] == ["scales", "no decay"]


def test_errors():
    with pytest.raises(DTypeError, match=r"parameter_groups: model must be a Module; got list"):
        bn.parameter_groups([], lr=0.1)
    with pytest.raises(ArgumentError, match=r"parameter_groups: model must hold parameters; got ReLU"):
        bn.parameter_groups(nn.ReLU(), lr=0.1)
    message = r"parameter_groups: scale_lr_divisor must be a finite number > 0; got"
    for wrong in (0, -1.0, math.inf, math.nan):
        with pytest.raises(ArgumentError, match=message):
            bn.parameter_groups(network(), wrong, lr=0.1)
    with pytest.raises(DTypeError, match=message):
        bn.parameter_groups(network(), "100", lr=0.1)
    with pytest.raises(ArgumentError, match=r"parameter_groups: lr must be a finite number >= 0; got -0\.1"):
        bn.parameter_groups(network(), lr=-0.1)
    with pytest.raises(ArgumentError, match=r"parameter_groups: weight_decay must be a finite number >= 0"):
        bn.parameter_groups(network(), lr=0.1, weight_decay=-1)
    with pytest.raises(TypeError, match="lr"):
        bn.parameter_groups(network())
