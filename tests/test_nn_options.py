"""Options of PyTorch's: its defaults are accepted, what is not supported is refused by name."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tinynet as tn
from tinynet import _check, nn, optim
from tinynet.errors import ArgumentError, DTypeError


def parameters():
    return nn.Linear(2, 2).parameters()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Linear(2, 3, device="cuda"), "Linear: device must be None or 'cpu', .* got 'cuda'"),
        (lambda: nn.Linear(2, 3, True, np.float64), "Linear: device must be None or 'cpu', .* got <class"),
        (lambda: nn.BatchNorm1d(2, device="cuda:1"), "BatchNorm1d: device must be .* got 'cuda:1'"),
        (
            lambda: nn.CrossEntropyLoss(size_average=True),
            "CrossEntropyLoss: size_average must be None, .* True",
        ),
        (lambda: nn.CrossEntropyLoss(reduce=False), "CrossEntropyLoss: reduce must be None, .* got False"),
        (lambda: nn.ReLU().to(device="meta"), "to: device must be None or 'cpu', .* got 'meta'"),
        (lambda: nn.ReLU().to("cuda", tn.float32), "to: device must be None or 'cpu', .* got 'cuda'"),
        (
            lambda: nn.ReLU().to(memory_format=1),
            "to: memory_format must be None or tinynet.contiguous_format or .* got 1",
        ),
        (lambda: nn.ReLU().state_dict(destination={}), "state_dict: destination must be None, .* got {}"),
        (
            lambda: nn.ReLU().load_state_dict({}, assign=True),
            "load_state_dict: assign must be False, .* True",
        ),
        (
            lambda: nn.ReLU().register_forward_hook(print, always_call=True),
            "register_forward_hook: always_call must be False, .* got True",
        ),
        (lambda: optim.SGD(parameters(), fused=True), "SGD: fused must be None or False, .* got True"),
        (lambda: optim.SGD(parameters(), foreach=True), "SGD: foreach must be None or False, .* got True"),
        (lambda: optim.SGD(parameters(), differentiable=True), "SGD: differentiable must be False, .* True"),
        (lambda: optim.SGD([{"params": parameters(), "fused": True}]), "SGD: fused must be None or False"),
    ],
)
def test_refused(call, message):
    with pytest.raises(NotImplementedError, match=message):
        call()


def test_pytorchs_defaults_are_accepted():
    nn.Linear(2, 3, True, None, np.float64)
    nn.Linear(2, 3, device="cpu")
    assert nn.BatchNorm1d(2, 1e-5, 0.1, True, True, "cpu", np.float64).weight.dtype == np.float64
    loss = nn.CrossEntropyLoss(None, None, -1, None, "sum", 0.1)
    assert (loss.ignore_index, loss.reduction, loss.label_smoothing) == (-1, "sum", 0.1)
    net = nn.Linear(2, 3)
    net.load_state_dict(state_dict=net.state_dict(destination=None), strict=True, assign=False)
    net.register_forward_hook(lambda *_: None, always_call=False)
    optim.SGD(parameters(), foreach=None, differentiable=False, fused=None)


@pytest.mark.parametrize(
    ("value", "accepted", "fits"),
    [
        (None, (None,), True),
        (False, (None,), False),
        ("cpu", (None, "cpu"), True),
        (0, (False,), False),  # equal, but of another type
        (np.zeros(3), (None, "cpu"), False),
    ],
)
def test_refuse(value, accepted, fits):
    if fits:
        _check.refuse("op", option=(value, accepted))
    else:
        with pytest.raises(
            NotImplementedError, match=r"op: option must be .*, the rest is not supported; got"
        ):
            _check.refuse("op", option=(value, accepted))


def test_checks_return_plain_values():
    assert type(_check.integer("op", "n", np.int64(3))) is int
    assert type(_check.real("op", "x", np.float32(0.5))) is float
    assert type(_check.boolean("op", "b", np.bool_(True))) is bool
    assert _check.choice("op", "c", "a", ("a", "b")) == "a"
    with pytest.raises(ArgumentError, match="op: c must be one of 'a', 'b'; got 'z'"):
        _check.choice("op", "c", "z", ("a", "b"))
    with pytest.raises(ArgumentError, match="op: n must be an int >= 0; got -1"):
        _check.integer("op", "n", -1, 0)
    with pytest.raises(DTypeError, match="op: x must be a finite number; got True"):
        _check.real("op", "x", True)


@pytest.mark.parametrize("dtype", [np.int32, "nonsense", "float16", {"a": 1}, 3])
def test_dtypes_other_than_the_two(dtype):
    with pytest.raises(DTypeError, match="Linear: dtype must be float32 or float64; got"):
        nn.Linear(2, 2, dtype=dtype)


def test_numpy_scalars_do_not_reach_the_ops():
    layer = nn.Dropout(np.float32(0.5))
    assert type(layer.p) is float
    assert layer(tn.ones(4)).shape == (4,)
    norm = nn.BatchNorm1d(np.int64(2), eps=np.float32(0.5), momentum=np.float32(0.25))
    assert norm(tn.tensor(np.eye(2, dtype=np.float32))).shape == (2, 2)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(2), nn.Flatten(), nn.Linear(2, 2), nn.Tanh(), nn.Dropout()])
def test_inputs_must_be_tensors(layer):
    with pytest.raises(DTypeError, match=r"^\w+: input must be a Tensor; got list$"):
        layer([[1.0, 2.0]])


@pytest.mark.parity
@pytest.mark.parametrize(
    "name", ["nn.Linear", "nn.BatchNorm1d", "nn.CrossEntropyLoss", "nn.Dropout", "nn.Flatten", "optim.SGD"]
)
def test_constructors_take_pytorchs_arguments_in_its_order(name):
    import torch

    def arguments(library):
        package, _, kind = name.partition(".")
        parameters = inspect.signature(getattr(getattr(library, package), kind)).parameters.values()
        return [(each.name, each.kind, each.default) for each in parameters]

    ours, torchs = arguments(tn), arguments(torch)
    assert ours[: len(torchs)] == torchs
    more = [("scale_init", inspect.Parameter.KEYWORD_ONLY, 1.0)] if name == "nn.BatchNorm1d" else []
    assert ours[len(torchs) :] == more  # behind PyTorch's, by name alone, and doing nothing by default


@pytest.mark.parity
@pytest.mark.parametrize("method", ["train", "requires_grad_"])
def test_modes_must_be_bools_as_in_pytorch(method):
    import torch

    for layer in (nn.Linear(1, 1), torch.nn.Linear(1, 1)):
        with pytest.raises((TypeError, ValueError)):
            getattr(layer, method)(1)
