"""Module: registration, walking, modes, state dicts and printing."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DataError, DTypeError


def values(tensor):
    return tensor.detach().numpy()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.scale = nn.Parameter(np.ones(2, np.float32))
        self.register_buffer("offset", tn.tensor([1.0, 2.0]))
        self.register_buffer("scratch", tn.tensor([0.0]), persistent=False)

    def forward(self, x):
        return self.norm(self.fc(x)) * self.scale + self.offset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.act = nn.Sigmoid()
        self.last = nn.Linear(2, 2, bias=False)

    def forward(self, x):
        return self.last(self.act(self.first(x)))


# ---- Parameter


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameter_is_a_leaf_that_shares_memory(dtype):
    array = np.zeros(3, dtype)
    p = nn.Parameter(array)
    array[1] = 5
    assert isinstance(p, tn.Tensor)
    assert p.requires_grad
    assert p.is_leaf
    assert p.dtype == dtype
    assert values(p).tolist() == [0, 5, 0]
    assert not nn.Parameter(array, requires_grad=False).requires_grad


def test_parameter_of_a_computed_tensor_is_a_leaf():
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    p = nn.Parameter(x * 2)
    assert p.is_leaf
    (p * 3).sum().backward()
    assert values(p.grad).tolist() == [3, 3]
    assert x.grad is None


def test_parameter_prints_its_kind():
    assert repr(nn.Parameter(np.zeros(2, np.float32))).startswith("Parameter containing:\ntensor(")


def test_parameter_errors():
    with pytest.raises(DTypeError, match=r"Parameter: data must be a Tensor or numpy.ndarray; got list"):
        nn.Parameter([1.0])
    with pytest.raises(DTypeError, match=r"Parameter: data must have dtype float32 or float64; got int64"):
        nn.Parameter(np.zeros(2, np.int64))


# ---- registration


def test_names_of_everything():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "first.scale",
        "first.fc.weight",
        "first.fc.bias",
        "first.norm.weight",
        "first.norm.bias",
        "last.weight",
    ]
    assert [name for name, _ in net.named_buffers()] == [
        "first.offset",
        "first.scratch",
        "first.norm.running_mean",
        "first.norm.running_var",
        "first.norm.num_batches_tracked",
    ]
    assert [name for name, _ in net.named_modules()] == ["", "first", "first.fc", "first.norm", "act", "last"]
    assert [name for name, _ in net.named_children()] == ["first", "act", "last"]
    assert list(net.children()) == [net.first, net.act, net.last]
    assert len(list(net.modules())) == 6
    assert len(list(net.parameters())) == 6
    assert len(list(net.buffers())) == 5
    assert [name for name, _ in net.first.named_parameters(recurse=False)] == ["scale"]
    assert [name for name, _ in net.first.named_parameters(prefix="x", recurse=False)] == ["x.scale"]


def test_shared_things_come_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2)
            self.b = self.a
            self.c = nn.Linear(2, 2, bias=False)
            self.c.weight = self.a.weight

    tied = Tied()
    assert [name for name, _ in tied.named_parameters()] == ["a.weight", "a.bias"]
    assert [name for name, _ in tied.named_parameters(remove_duplicate=False)] == [
        "a.weight",
        "a.bias",
        "b.weight",
        "b.bias",
        "c.weight",
    ]
    assert [name for name, _ in tied.named_modules()] == ["", "a", "c"]
    assert list(tied.state_dict()) == ["a.weight", "a.bias", "b.weight", "b.bias", "c.weight"]


def test_assigning_replaces_and_moves_between_kinds():
    net = Net()
    new = nn.Parameter(np.full(2, 3, np.float32))
    net.first.scale = new
    assert net.first.scale is new
    assert next(net.parameters()) is new
    net.first.scale = None
    assert net.first.scale is None
    assert "first.scale" not in dict(net.named_parameters())
    net.first.scale = new  # the name is still a parameter's
    assert dict(net.named_parameters())["first.scale"] is new
    net.first.offset = tn.tensor([7.0, 7.0])
    assert values(dict(net.named_buffers())["first.offset"]).tolist() == [7, 7]
    net.first.offset = nn.Parameter(np.zeros(2, np.float32))  # now a parameter, no longer a buffer
    assert "first.offset" in dict(net.named_parameters())
    assert "first.offset" not in dict(net.named_buffers())
    net.act = nn.ReLU()
    assert isinstance(net.act, nn.ReLU)
    net.act = None
    assert [name for name, _ in net.named_children()] == ["first", "last"]
    net.note = "plain"
    assert net.note == "plain"


def test_deleting_forgets():
    net = Net()
    del net.first.scale
    del net.act
    del net.first.scratch
    assert not hasattr(net, "act")
    assert "first.scale" not in dict(net.named_parameters())
    assert "first.scratch" not in dict(net.named_buffers())
    net.first.scale = tn.tensor([1.0, 1.0])  # an ordinary attribute now
    assert "first.scale" not in net.state_dict()
    with pytest.raises(AttributeError):
        del net.nothing


def test_a_tensor_is_not_registered_by_itself():
    net = Net()
    net.plain = tn.tensor([1.0])
    assert "plain" not in net.state_dict()


@pytest.mark.parametrize("value", [nn.Parameter(np.zeros(1, np.float32)), nn.Sigmoid()])
def test_assignment_before_init_is_an_error(value):
    class Early(nn.Module):
        def __init__(self):
            self.x = value
            super().__init__()

    with pytest.raises(
        AttributeError, match=r"Early: super\(\).__init__\(\) must run before 'x' is assigned; got a"
    ):
        Early()


def test_register_before_init_is_an_error():
    class Early(nn.Module):
        def __init__(self):
            self.register_buffer("x", tn.tensor([1.0]))

    with pytest.raises(
        AttributeError, match=r"Early: super\(\).__init__\(\) must run before register_buffer"
    ):
        Early()


def test_registration_errors():
    net = Net()
    p = nn.Parameter(np.zeros(1, np.float32))
    with pytest.raises(
        DTypeError, match=r"Linear: parameter 'weight' must be a Parameter or None; got Tensor"
    ):
        net.last.weight = tn.tensor([1.0])
    with pytest.raises(DTypeError, match=r"Net: module 'act' must be a Module or None; got str"):
        net.act = "relu"
    with pytest.raises(DTypeError, match=r"Block: buffer 'offset' must be a Tensor or None; got ndarray"):
        net.first.offset = np.zeros(2)
    with pytest.raises(
        ArgumentError, match=r"register_parameter: name must be non-empty and without dots; got 'a.b'"
    ):
        net.register_parameter("a.b", p)
    with pytest.raises(
        ArgumentError, match=r"register_module: name must be non-empty and without dots; got ''"
    ):
        net.register_module("", nn.ReLU())
    with pytest.raises(ArgumentError, match=r"register_parameter: name must be new to Net; got 'act'"):
        net.register_parameter("act", p)
    with pytest.raises(ArgumentError, match=r"register_buffer: name must be new to Net; got 'forward'"):
        net.register_buffer("forward", tn.tensor([1.0]))
    with pytest.raises(DTypeError, match=r"register_parameter: name must be a str; got int"):
        net.register_parameter(0, p)
    with pytest.raises(
        DTypeError, match=r"register_parameter: param must be a Parameter or None; got Tensor"
    ):
        net.register_parameter("p", tn.tensor([1.0]))
    with pytest.raises(DTypeError, match=r"register_buffer: tensor must be a Tensor or None; got list"):
        net.register_buffer("p", [1.0])
    with pytest.raises(DTypeError, match=r"register_buffer: persistent must be a bool; got 1"):
        net.register_buffer("p", tn.tensor([1.0]), 1)
    with pytest.raises(DTypeError, match=r"register_module: module must be a Module or None; got type"):
        net.add_module("p", nn.ReLU)
    with pytest.raises(
        ArgumentError, match=r"Block: a submodule must not contain its parent; got a Net that does"
    ):
        net.first.parent = net
    assert not hasattr(net.first, "parent")


def test_forward_must_be_defined():
    with pytest.raises(NotImplementedError, match="Module: forward must be defined by the class"):
        nn.Module()(1)


def test_getting_things_by_their_dotted_names():
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("first.fc") is net.first.fc
    for name, parameter in net.named_parameters():
        assert net.get_parameter(name) is parameter
    for name, buffer in net.named_buffers():
        assert net.get_buffer(name) is buffer
    net.first.fc.bias = None
    for call, message in (
        (
            lambda: net.get_submodule("first.nothing"),
            r"get_submodule: Block has no submodule 'nothing' \('first",
        ),
        (lambda: net.get_submodule("first.scale"), "get_submodule: Block has no submodule 'scale'"),
        (lambda: net.get_parameter("first.offset"), "get_parameter: Block has no parameter 'offset'"),
        (lambda: net.get_parameter("first.fc.bias"), "get_parameter: Linear has no parameter 'bias'"),
        (lambda: net.get_parameter("x.weight"), "get_submodule: Net has no submodule 'x'"),
        (lambda: net.get_buffer("first.scale"), "get_buffer: Block has no buffer 'scale'"),
    ):
        with pytest.raises(AttributeError, match=message):
            call()
    for getter in (net.get_submodule, net.get_parameter, net.get_buffer):
        with pytest.raises(DTypeError, match=r"get_\w+: target must be a str; got int"):
            getter(1)


# ---- modes, gradients, dtype


def test_train_and_eval_reach_everything():
    net = Net()
    assert all(module.training for module in net.modules())
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.first.train()
    assert [module.training for module in net.modules()] == [False, True, True, True, False, False]
    with pytest.raises(DTypeError, match="train: mode must be a bool; got 'yes'"):
        net.train("yes")


def test_requires_grad_and_zero_grad():
    net = Net()
    x = tn.tensor(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))
    net(x).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(values(p.grad).any() == 0 for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert net.requires_grad_(False) is net
    assert not any(p.requires_grad for p in net.parameters())
    net.first.requires_grad_()
    assert [p.requires_grad for p in net.parameters()] == [True] * 5 + [False]


def test_apply_goes_children_first():
    order = []
    net = Net()
    assert net.apply(order.append) is net
    assert order == [net.first.fc, net.first.norm, net.first, net.act, net.last, net]


def test_dtype_conversion():
    net = Net()
    net.last.weight = net.first.fc.weight  # shared, to see that it stays so
    before = {name: values(t).copy() for name, t in net.state_dict().items()}
    assert net.double() is net
    for name, t in net.state_dict().items():
        assert t.dtype == (np.int64 if name.endswith("tracked") else np.float64)
        assert np.array_equal(values(t), before[name])
    assert net.last.weight is net.first.fc.weight
    assert isinstance(net.last.weight, nn.Parameter)
    assert net.last.weight.requires_grad
    assert net.first.scratch.dtype == np.float64
    assert net.float().last.weight.dtype == np.float32
    same = net.last.weight
    assert net.to("float32").last.weight is same
    assert net.to("cpu") is net
    assert net.cpu() is net
    with pytest.raises(
        NotImplementedError, match="to: device must be None or 'cpu', the rest is not supported; got 'cuda:0'"
    ):
        net.to("cuda:0")
    with pytest.raises(DTypeError, match="to: dtype must be float32 or float64; got"):
        net.to(np.int64)
    with pytest.raises(DTypeError, match="to: dtype must be float32 or float64; got 'nonsense'"):
        net.to("nonsense")


def test_deepcopy_is_independent():
    net = Net()
    twin = copy.deepcopy(net)
    assert [name for name, _ in twin.named_parameters()] == [name for name, _ in net.named_parameters()]
    for (_, a), (_, b) in zip(net.state_dict().items(), twin.state_dict().items(), strict=True):
        assert np.array_equal(values(a), values(b))
        assert not np.shares_memory(values(a), values(b))
    assert twin.first.fc.weight is dict(twin.named_parameters())["first.fc.weight"]
    assert twin.first.fc.weight.requires_grad


# ---- state dicts


def test_state_dict_shares_memory_and_leaves_out_scratch():
    net = Net()
    state = net.state_dict()
    assert list(state) == [
        "first.scale",
        "first.offset",
        "first.fc.weight",
        "first.fc.bias",
        "first.norm.weight",
        "first.norm.bias",
        "first.norm.running_mean",
        "first.norm.running_var",
        "first.norm.num_batches_tracked",
        "last.weight",
    ]
    assert not any(t.requires_grad for t in state.values())
    assert np.shares_memory(values(state["last.weight"]), values(net.last.weight))
    assert list(net.state_dict(prefix="net.")) == ["net." + name for name in state]
    kept = net.state_dict(keep_vars=True)
    assert kept["last.weight"] is net.last.weight
    with pytest.raises(DTypeError, match="state_dict: prefix must be a str; got int"):
        net.state_dict(prefix=3)


@pytest.mark.parametrize("as_arrays", [False, True])
def test_state_dict_round_trip(as_arrays):
    rng = np.random.default_rng(0)
    source, target = Net(), Net()
    for _ in range(3):
        source(tn.tensor(rng.normal(size=(5, 3)).astype(np.float32)))
    state = source.state_dict()
    if as_arrays:
        state = {name: values(t).copy() for name, t in state.items()}
        for array in state.values():
            array.flags.writeable = False
    kept = dict(target.named_parameters())
    result = target.load_state_dict(state)
    assert result == ([], [])
    assert repr(result) == "<All keys matched successfully>"
    for name, t in target.state_dict().items():
        assert np.array_equal(values(t), values(source.state_dict()[name])), name
    assert all(kept[name] is t for name, t in target.named_parameters())  # copied in place
    assert target.first.norm.num_batches_tracked.item() == 3


def test_load_not_strict_reports():
    net = Net()
    state = net.state_dict()
    weight = values(state.pop("last.weight")).copy()
    state["extra"] = tn.tensor([1.0])
    state["first.scale"] = tn.tensor([9.0, 9.0])
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["last.weight"]
    assert result.unexpected_keys == ["extra"]
    assert repr(result) == "LoadResult(missing_keys=['last.weight'], unexpected_keys=['extra'])"
    assert values(net.first.scale).tolist() == [9, 9]
    assert np.array_equal(values(net.last.weight), weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("last.weight"), "must fit Net; got missing keys last.weight$"),
        (lambda s: s.update(extra=tn.tensor([1.0])), "unexpected keys extra$"),
        (
            lambda s: s.update({"last.weight": tn.tensor([1.0])}),
            r"last.weight of shape \(1,\) where \(2, 2\) is expected$",
        ),
        (
            lambda s: s.update({"last.weight": np.zeros((2, 2))}),
            "last.weight of dtype float64 where float32 is expected$",
        ),
        (
            lambda s: s.update({"first.norm.num_batches_tracked": tn.tensor(1.0)}),
            "num_batches_tracked of dtype float32 where int64 is expected$",
        ),
    ],
)
def test_load_that_fails_changes_nothing(change, message):
    net = Net()
    before = {name: values(t).copy() for name, t in net.state_dict().items()}
    state = {name: tn.tensor(values(t) + 1) for name, t in net.state_dict().items()}
    change(state)
    with pytest.raises(DataError, match=message):
        net.load_state_dict(state)
    for name, t in net.state_dict().items():
        assert np.array_equal(values(t), before[name]), name


def test_load_names_every_problem_at_once():
    state = Net().state_dict()
    del state["last.weight"]
    state["first.scale"] = tn.tensor([1.0])
    with pytest.raises(DataError, match=r"missing keys last.weight; first.scale of shape \(1,\) where"):
        Net().load_state_dict(state)


def test_load_reports_all_four_kinds_of_problem():
    """Missing, unexpected, of another shape, of another dtype: all in one message, and nothing is changed."""
    state = {name: tn.tensor(values(t) + 1) for name, t in Net().state_dict().items()}
    del state["last.weight"], state["first.norm.bias"]
    state["module.last.weight"] = state["more"] = tn.ones(1)
    state["first.scale"] = tn.ones(3)
    state["first.fc.bias"] = tn.zeros(2, dtype=tn.float64)
    net = Net()
    before = {name: values(t).copy() for name, t in net.state_dict().items()}
    message = (
        r"load_state_dict: state_dict must fit Net; got missing keys first.norm.bias, last.weight; "
        r"unexpected keys module.last.weight, more; first.scale of shape \(3,\) where \(2,\) is expected; "
        r"first.fc.bias of dtype float64 where float32 is expected$"
    )
    with pytest.raises(RuntimeError, match=message):  # the class that PyTorch raises
        net.load_state_dict(state)
    with pytest.raises(DataError, match=r"must fit Net; got first.scale of shape"):
        net.load_state_dict(state, strict=False)
    assert all(np.array_equal(values(t), before[name]) for name, t in net.state_dict().items())


def test_load_under_a_prefix():
    """A part of a larger state dict, its prefix cut off, fits the part of the network."""
    net, block = Net(), Block()
    state = net.state_dict(prefix="model.")
    prefix = "model.first."
    result = block.load_state_dict(
        {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    )
    missing, unexpected = result
    assert (missing, unexpected) == ([], [])
    for name, t in block.state_dict().items():
        assert np.array_equal(values(t), values(net.first.state_dict()[name]))
    result = block.load_state_dict(state, strict=False)
    assert result.missing_keys == list(block.state_dict())
    assert result.unexpected_keys == list(state)


def test_load_kind_errors():
    with pytest.raises(DTypeError, match="load_state_dict: state_dict must be a mapping; got list"):
        Net().load_state_dict([])
    with pytest.raises(
        DTypeError, match=r"load_state_dict: state_dict\['a'\] must be a Tensor or array; got float"
    ):
        Net().load_state_dict({"a": 1.0}, strict=False)
    with pytest.raises(DTypeError, match="load_state_dict: strict must be a bool; got None"):
        Net().load_state_dict({}, None)


def test_load_into_read_only_memory_is_refused():
    array = np.zeros(2, np.float32)
    array.flags.writeable = False
    net = nn.Linear(2, 2)
    net.bias = nn.Parameter(array)
    weight = values(net.weight).copy()
    state = {"weight": weight + 1, "bias": np.ones(2, np.float32)}
    with pytest.raises(DataError, match="bias for a tensor in read-only memory"):
        net.load_state_dict(state)
    assert np.array_equal(values(net.weight), weight)


# ---- printing


def test_repr_is_nested():
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Block(\n"
        "    (fc): Linear(in_features=3, out_features=2, bias=True)\n"
        "    (norm): BatchNorm1d(2, eps=1e-05, momentum=0.1, affine=True, bias=True, "
        "track_running_stats=True)\n"
        "  )\n"
        "  (act): Sigmoid()\n"
        "  (last): Linear(in_features=2, out_features=2, bias=False)\n"
        ")"
    )
    assert repr(nn.Sequential()) == "Sequential()"


def test_repr_with_several_extra_lines():
    class Talkative(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU(inplace=True)

        def extra_repr(self):
            return "one\ntwo"

    assert repr(Talkative()) == "Talkative(\n  one\n  two\n  (act): ReLU(inplace=True)\n)"


def test_a_state_dict_may_hold_the_modules_own_tensors_in_other_places():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    first, second = (layer.weight.tolist() for layer in model)
    state = model.state_dict()
    model.load_state_dict({"0.weight": state["1.weight"], "1.weight": state["0.weight"]})
    assert [layer.weight.tolist() for layer in model] == [second, first]
