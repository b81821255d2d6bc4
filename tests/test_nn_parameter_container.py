"""ParameterList and ParameterDict: indexing, names, training, errors."""

from __future__ import annotations

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError


def test_parameter_list_is_a_list_of_parameters():
    a, b = nn.Parameter(tn.ones(2)), nn.Parameter(tn.zeros(3), requires_grad=False)
    parameters = nn.ParameterList([a])
    assert parameters.append(b) is parameters
    assert (len(parameters), list(parameters), parameters[-1]) == (2, [a, b], b)
    assert list(parameters.state_dict()) == ["0", "1"]
    assert [name for name, _ in parameters.named_parameters()] == ["0", "1"]
    array = np.ones(4, np.float32)
    parameters += [tn.ones(1), array]
    assert all(isinstance(p, nn.Parameter) for p in parameters)
    assert np.shares_memory(parameters[3].detach().numpy(), array)
    assert not parameters[1].requires_grad
    assert isinstance(parameters[1:3], nn.ParameterList)
    assert parameters[1:3][0] is b
    parameters[0] = c = nn.Parameter(tn.full((2,), 3.0))
    assert parameters[0] is c
    assert list(parameters.state_dict()) == ["0", "1", "2", "3"]
    assert repr(nn.ParameterList([a, tn.zeros(2, 3)])) == (
        "ParameterList(\n  (0): Parameter containing: [float32 of size 2]\n"
        "  (1): Parameter containing: [float32 of size 2x3]\n)"
    )
    assert repr(nn.ParameterList()) == "ParameterList()"


def test_parameter_dict_is_a_mapping_of_parameters():
    a, b = nn.Parameter(tn.ones(2)), nn.Parameter(tn.zeros(3))
    parameters = nn.ParameterDict({"a": a})
    parameters["b"] = b
    assert (len(parameters), list(parameters), "b" in parameters) == (2, ["a", "b"], True)
    assert parameters["b"] is b
    assert parameters.a is a
    assert list(parameters.keys()) == ["a", "b"]
    assert list(parameters.values()) == [a, b]
    assert list(parameters.items()) == [("a", a), ("b", b)]
    assert parameters.get("a") is a
    assert parameters.get("z", 5) == 5
    parameters.update([("a", b), ("c", tn.ones(1))])
    parameters.update(nn.ParameterDict({"d": a}))
    assert list(parameters) == ["a", "b", "c", "d"]
    assert parameters["a"] is b
    assert isinstance(parameters["c"], nn.Parameter)
    assert list(parameters.state_dict()) == ["a", "b", "c", "d"]
    assert parameters.pop("d") is a
    del parameters["c"]
    parameters.clear()
    assert len(parameters) == 0
    assert repr(nn.ParameterDict({"x": tn.ones(2)})) == (
        "ParameterDict((x): Parameter containing: [float32 of size 2])"
    )


def test_parameters_of_containers_are_trained():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = nn.ParameterList(tn.full((2, 2), 0.5) for _ in range(2))
            self.scale = nn.ParameterDict({"out": tn.ones(2)})

        def forward(self, x):
            for w in self.weights:
                x = x @ w
            return x * self.scale["out"]

    net = Net().double()
    assert [n for n, _ in net.named_parameters()] == ["weights.0", "weights.1", "scale.out"]
    net(tn.ones(1, 2, dtype=tn.float64)).sum().backward()
    tn.optim.SGD(net.parameters(), lr=0.1).step()
    assert all((p.detach().numpy() < 1.0).all() for p in net.parameters())
    twin = Net().double()
    twin.load_state_dict(net.state_dict())
    assert twin.scale["out"].tolist() == net.scale["out"].tolist()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: nn.ParameterList([1.0]),
            DTypeError,
            r"ParameterList.extend: every value must be a Parameter or Tensor; got float",
        ),
        (
            lambda: nn.ParameterList(tn.ones(2)),
            DTypeError,
            r"ParameterList.extend: values must be an iterable of parameters; got Tensor",
        ),
        (
            lambda: nn.ParameterList([tn.tensor([1])]),
            DTypeError,
            "Parameter: data must have dtype float32 or",
        ),
        (
            lambda: nn.ParameterList().append(None),
            DTypeError,
            r"ParameterList.append: every value must be a Parameter or Tensor; got NoneType",
        ),
        (lambda: nn.ParameterList()[0], IndexError, r"ParameterList: index must lie in \[0, -1\]; got 0"),
        (
            lambda: nn.ParameterList([tn.ones(1)]).__setitem__(1, tn.ones(1)),
            IndexError,
            r"ParameterList: index must lie in \[-1, 0\]; got 1",
        ),
        (
            lambda: nn.ParameterDict({"a": [1.0]}),
            DTypeError,
            "ParameterDict: every value must be a Parameter or Tensor; got list",
        ),
        (
            lambda: nn.ParameterDict([1]),
            DTypeError,
            r"ParameterDict.update: must be given a mapping or pairs",
        ),
        (
            lambda: nn.ParameterDict({"items": tn.ones(1)}),
            ArgumentError,
            "register_parameter: name must be new to ParameterDict; got 'items'",
        ),
        (lambda: nn.ParameterDict()["a"], KeyError, "a"),
        (lambda: nn.ParameterDict().pop("a"), KeyError, "a"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
