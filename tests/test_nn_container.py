"""Sequential: application, indexing, names, errors."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError


def values(tensor):
    return tensor.detach().numpy()


def test_sequential_applies_in_order():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    x = tn.tensor(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))
    assert np.array_equal(values(model(x)), values(model[1](model[0](x))))
    assert nn.Sequential()(x) is x


def test_sequential_is_a_list_of_modules():
    a, b, c = nn.ReLU(), nn.Sigmoid(), nn.Tanh()
    model = nn.Sequential(a, b, c)
    assert len(model) == 3
    assert list(model) == [a, b, c]
    assert model[0] is a
    assert model[-1] is c
    assert model[np.int64(1)] is b
    assert isinstance(model[1:], nn.Sequential)
    assert list(model[1:]) == [b, c]
    assert [name for name, _ in model[1:].named_children()] == ["1", "2"]
    model[1] = d = nn.Identity()
    assert list(model) == [a, d, c]
    del model[0]
    assert [name for name, _ in model.named_children()] == ["0", "1"]
    assert model.append(b) is model
    assert model.extend([a, nn.ReLU()]) is model
    assert list(model)[:4] == [d, c, b, a]
    del model[1:]
    assert list(model) == [d]


def test_sequential_by_names():
    model = nn.Sequential(OrderedDict(fc=nn.Linear(3, 2), act=nn.ReLU()))
    assert list(model.state_dict()) == ["fc.weight", "fc.bias"]
    assert model.fc is model[0]
    model[1] = nn.Tanh()
    assert isinstance(model.act, nn.Tanh)
    model.append(nn.Identity())
    assert [name for name, _ in model.named_children()] == ["fc", "act", "2"]
    del model[0]
    assert [name for name, _ in model.named_children()] == ["act", "2"]
    with pytest.raises(ArgumentError, match=r"Sequential.append: name '2' must be free"):
        model.append(nn.ReLU())


def test_sequential_errors():
    model = nn.Sequential(nn.ReLU())
    with pytest.raises(DTypeError, match="Sequential: every argument must be a Module; got type"):
        nn.Sequential(nn.ReLU)
    with pytest.raises(DTypeError, match="Sequential: every argument must be a Module; got list"):
        nn.Sequential([nn.ReLU()])
    with pytest.raises(DTypeError, match=r"Sequential.append: every argument must be a Module; got int"):
        model.append(1)
    with pytest.raises(IndexError, match=r"Sequential: index must lie in \[-1, 0\]; got 1"):
        model[1]
    with pytest.raises(DTypeError, match="Sequential: index must be an int; got '0'"):
        model["0"]
