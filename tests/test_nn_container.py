"""Sequential, ModuleList, ModuleDict: application, indexing, names, state, copies, errors."""

from __future__ import annotations

import copy
import pickle
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


def test_sequential_insert_pop_and_sums():
    a, b, c = nn.ReLU(), nn.Sigmoid(), nn.Tanh()
    model = nn.Sequential(a, c)
    assert model.insert(1, b) is model
    assert list(model) == [a, b, c]
    assert model.insert(-1, d := nn.Identity()) is model
    assert list(model) == [a, b, d, c]
    assert list(model.insert(4, b)) == [a, b, d, c, b]
    assert [name for name, _ in model.named_children()] == ["0", "1", "2", "3"]  # b once
    assert model.pop() is b
    assert model.pop(0) is a
    assert list(model) == [b, d, c]
    assert list(model._modules) == ["0", "1", "2"]
    both = nn.Sequential(a) + nn.Sequential(OrderedDict(act=b))
    assert isinstance(both, nn.Sequential)
    assert list(both._modules.items()) == [("0", a), ("1", b)]
    both += nn.Sequential(c)
    assert list(both) == [a, b, c]
    with pytest.raises(TypeError):
        both + c
    with pytest.raises(IndexError, match=r"Sequential.insert: index must lie in \[-3, 3\]; got 4"):
        both.insert(4, a)
    with pytest.raises(IndexError, match=r"Sequential: index must lie in \[0, -1\]; got -1"):
        nn.Sequential().pop()
    named = nn.Sequential(OrderedDict(first=a, second=b))
    assert named.pop(0) is a
    assert list(named._modules) == ["second"]
    with pytest.raises(ArgumentError, match=r"Sequential.insert: the names must be positions; got second"):
        named.insert(0, a)


def test_a_refused_extend_adds_nothing():
    for container in (nn.Sequential(nn.ReLU()), nn.ModuleList([nn.ReLU()])):
        with pytest.raises(DTypeError, match=r"\w+.extend: every argument must be a Module; got int"):
            container.extend([nn.Tanh(), 1])
        assert len(container) == 1
        with pytest.raises(DTypeError, match=r"\w+.extend: modules must be an iterable of Module; got int"):
            container.extend(3)
        container.extend(container)
        assert len(container) == 2


# ---- ModuleList


def test_module_list_is_a_list_of_modules():
    a, b, c = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3, bias=False)
    modules = nn.ModuleList([a, b])
    assert modules.append(c) is modules
    assert len(modules) == 3
    assert list(modules) == [a, b, c]
    assert b in modules
    assert modules[-1] is c
    assert isinstance(modules[1:], nn.ModuleList)
    assert list(modules[1:]._modules.items()) == [("0", b), ("1", c)]  # numbered from 0
    assert list(modules[::-1]) == [c, b, a]
    modules[1] = d = nn.Tanh()
    modules.insert(0, b)
    assert list(modules) == [b, a, d, c]
    del modules[2]
    assert list(modules._modules.items()) == [("0", b), ("1", a), ("2", c)]
    assert list(modules.state_dict()) == ["1.weight", "1.bias", "2.weight"]
    assert modules.pop(0) is b
    assert list(modules.state_dict()) == ["0.weight", "0.bias", "1.weight"]
    longer = modules + nn.ModuleList([d])
    assert isinstance(longer, nn.ModuleList)
    assert (list(longer), len(modules)) == ([a, c, d], 2)
    modules += (d, b)
    assert list(modules) == [a, c, d, b]
    del modules[1::2]
    assert list(modules._modules.items()) == [("0", a), ("1", d)]
    assert list(nn.ModuleList()) == list(nn.ModuleList(iter(()))) == []


def test_module_list_within_a_module():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    net = Net()
    names = [f"layers.{i}.{name}" for i in range(3) for name in ("weight", "bias")]
    assert [name for name, _ in net.named_parameters()] == names
    x = tn.ones(1, 2)
    net(x).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    assert not net.eval().layers[1].training
    twin = Net()
    twin.load_state_dict(net.state_dict())
    assert np.array_equal(values(twin(x)), values(net(x)))


def test_module_list_prints_equal_neighbours_once():
    modules = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Sequential(nn.Tanh()), nn.ReLU()])
    assert repr(modules) == (
        "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Sequential(\n    (0): Tanh()\n  )\n  (3): ReLU()\n)"
    )
    assert repr(nn.ModuleList()) == "ModuleList()"


def test_module_list_errors():
    modules = nn.ModuleList([nn.ReLU()])
    with pytest.raises(NotImplementedError, match="ModuleList: forward must be defined by the class"):
        modules(tn.ones(1))
    with pytest.raises(DTypeError, match=r"ModuleList.append: every argument must be a Module; got type"):
        modules.append(nn.ReLU)
    with pytest.raises(DTypeError, match=r"ModuleList.extend: every argument must be a Module; got str"):
        nn.ModuleList("a")
    with pytest.raises(DTypeError, match=r"ModuleList.insert: every argument must be a Module; got NoneType"):
        modules.insert(0, None)
    with pytest.raises(IndexError, match=r"ModuleList: index must lie in \[-1, 0\]; got 1"):
        modules[1] = nn.ReLU()
    with pytest.raises(IndexError, match=r"ModuleList.insert: index must lie in \[-1, 1\]; got 2"):
        modules.insert(2, nn.ReLU())
    with pytest.raises(DTypeError, match="ModuleList: index must be an int; got '0'"):
        modules["0"]
    with pytest.raises(ArgumentError, match="ModuleList: a submodule must not contain its parent"):
        modules.append(nn.Sequential(modules))


# ---- ModuleDict


def test_module_dict_is_a_mapping_of_modules():
    a, b, c = nn.Linear(2, 2), nn.ReLU(), nn.Tanh()
    modules = nn.ModuleDict(OrderedDict(fc=a, act=b))
    assert (len(modules), list(modules), "fc" in modules, "x" in modules) == (2, ["fc", "act"], True, False)
    assert modules["act"] is b
    assert modules.fc is a
    assert list(modules.keys()) == ["fc", "act"]
    assert list(modules.values()) == [a, b]
    assert list(modules.items()) == [("fc", a), ("act", b)]
    assert list(modules.state_dict()) == ["fc.weight", "fc.bias"]
    modules["act"] = c  # in its place
    modules["last"] = b
    assert list(modules.items()) == [("fc", a), ("act", c), ("last", b)]
    modules.update([("act", b), ("more", c)])
    modules.update(nn.ModuleDict({"more": a}))
    assert list(modules.items()) == [("fc", a), ("act", b), ("last", b), ("more", a)]
    assert modules.pop("last") is b
    del modules["more"]
    assert list(modules) == ["fc", "act"]
    modules.clear()
    assert len(modules) == len(nn.ModuleDict()) == 0
    assert not hasattr(modules, "fc")


def test_module_dict_errors():
    modules = nn.ModuleDict({"a": nn.ReLU()})
    with pytest.raises(DTypeError, match="ModuleDict: every argument must be a Module; got int"):
        modules["b"] = 1
    with pytest.raises(DTypeError, match="ModuleDict: every argument must be a Module; got str"):
        modules.update({"b": nn.ReLU(), "c": "d"})
    assert list(modules) == ["a"]
    with pytest.raises(
        DTypeError, match=r"ModuleDict.update: must be given a mapping or pairs \(name, value\); got int"
    ):
        nn.ModuleDict(3)
    with pytest.raises(DTypeError, match="register_module: name must be a str; got int"):
        modules[0] = nn.ReLU()
    for name in ("keys", "forward", "training"):
        with pytest.raises(
            ArgumentError, match=f"register_module: name must be new to ModuleDict; got '{name}'"
        ):
            modules[name] = nn.ReLU()
    with pytest.raises(ArgumentError, match=r"name must be non-empty and without dots; got 'a.b'"):
        modules["a.b"] = nn.ReLU()
    for missing in (lambda: modules["z"], lambda: modules.pop("z"), lambda: modules.__delitem__("z")):
        with pytest.raises(KeyError, match="z"):
            missing()


# ---- copies


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize(
    "container",
    [
        nn.Sequential(nn.Linear(2, 2), nn.ReLU()),
        nn.Sequential(OrderedDict(fc=nn.Linear(2, 2))),
        nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 3)]),
        nn.ModuleDict({"a": nn.Linear(2, 2)}),
        nn.ParameterList([tn.ones(2), tn.zeros(3)]),
        nn.ParameterDict({"a": tn.ones(2)}),
    ],
    ids=lambda c: type(c).__name__,
)
def test_copies(container, copied):
    twin = copied(container)
    assert type(twin) is type(container)
    assert repr(twin) == repr(container)
    assert list(twin.state_dict()) == list(container.state_dict())
    for (name, p), q in zip(twin.named_parameters(), container.parameters(), strict=True):
        assert p is not q
        assert isinstance(p, nn.Parameter)
        assert p is twin.get_parameter(name)
        assert np.array_equal(values(p), values(q))
        assert not np.shares_memory(values(p), values(q))


@pytest.mark.parity
def test_containers_beside_pytorch():
    """Names of the state, printing, and slices."""
    import torch

    def build(lib, ones):
        layers = lib.ModuleList([lib.Linear(2, 2), lib.Linear(2, 2), lib.ReLU()])
        layers.insert(1, lib.Tanh())
        layers += [lib.Linear(2, 1)]
        layers.pop(0)
        named = lib.ModuleDict({"b": lib.Linear(1, 2), "a": lib.ReLU()})
        named.update({"c": lib.Linear(2, 2)})
        sequence = lib.Sequential(OrderedDict(fc=lib.Linear(2, 2), act=lib.ReLU())) + lib.Sequential(
            lib.Tanh()
        )
        sequence.insert(1, lib.Identity())
        weights = lib.ParameterList([ones(2, 3), ones(1)])
        scales = lib.ParameterDict(OrderedDict(z=ones(2), y=ones(3)))
        return lib.ModuleList([layers, layers[1:], named, sequence, sequence[1:], weights, scales])

    ours, theirs = build(nn, tn.ones), build(torch.nn, torch.ones)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    printed = repr(theirs).replace("torch.float32", "float32").replace("torch.FloatTensor", "float32")
    assert repr(ours).split() == printed.split()
