"""The layers of convolution: parameters, their start, options, errors, and PyTorch's beside them."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F

LAYERS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
each_layer = pytest.mark.parametrize("kind", LAYERS, ids=lambda k: k.__name__)


def axes_of(kind: type) -> int:
    return int(kind.__name__[-2])


@each_layer
def test_shapes_of_parameters(kind: Any) -> None:
    layer = kind(6, 4, 3, groups=2)
    across = (6, 2) if "Transpose" in kind.__name__ else (4, 3)
    assert layer.weight.shape == (*across, *(3,) * axes_of(kind))
    assert layer.bias.shape == (4,)
    assert dict(layer.named_parameters()).keys() == {"weight", "bias"}
    bare = kind(6, 4, 3, bias=False, dtype=tn.float64)
    assert bare.bias is None
    assert bare.weight.dtype == tn.float64
    assert dict(bare.named_parameters()).keys() == {"weight"}


@each_layer
def test_start_of_parameters(kind: Any) -> None:
    """U(-b, b) with b = 1 / sqrt(fan_in), of weight and bias; reset_parameters draws anew."""
    layer = kind(32, 64, 5, groups=2)
    fan_in = math.prod(layer.weight.shape[1:])
    for parameter in (layer.weight, layer.bias):
        values = parameter.detach().numpy()
        assert np.abs(values).max() <= 1 / math.sqrt(fan_in)
        assert np.abs(values).max() > 0.9 / math.sqrt(fan_in)
    assert abs(layer.weight.detach().numpy().mean()) < 0.1 / math.sqrt(fan_in)
    before = layer.weight.detach().clone()
    layer.reset_parameters()
    assert not layer.weight.equal(before)
    tn.manual_seed(0)
    layer.reset_parameters()
    assert layer.weight.equal(before)


@each_layer
def test_calls_its_function(kind: Any, rng: np.random.Generator) -> None:
    axes, name = axes_of(kind), kind.__name__
    door = getattr(F, f"conv_transpose{axes}d" if "Transpose" in name else f"conv{axes}d")
    options: dict[str, Any] = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}
    if "Transpose" in name:
        options["output_padding"] = 1
    layer = kind(4, 6, 3, **options)
    x = tn.from_numpy(np.asarray(rng.standard_normal((2, 4, *(9, 8)[:axes])), np.float32))
    assert layer(x).equal(door(x, layer.weight, layer.bias, **options))
    assert layer(x[0]).shape == layer(x).shape[1:]


def test_padding_by_name() -> None:
    assert nn.Conv2d(3, 4, (3, 4), padding="same", dilation=2)(tn.zeros(2, 3, 7, 9)).shape == (2, 4, 7, 9)
    assert nn.Conv2d(3, 4, (3, 4), padding="valid")(tn.zeros(2, 3, 7, 9)).shape == (2, 4, 5, 6)
    assert nn.Conv1d(3, 4, 4, padding="same")(tn.zeros(2, 3, 7)).shape == (2, 4, 7)


def test_same_puts_the_odd_zero_at_the_end() -> None:
    y = F.conv1d(tn.tensor([[1.0, 2.0, 4.0]]), tn.tensor([[[1.0, 10.0]]]), padding="same")
    assert y.tolist() == [[21.0, 42.0, 4.0]]


def test_output_size() -> None:
    """Which of the extents that a convolution maps to the input's comes out."""
    layer = nn.ConvTranspose2d(3, 2, 3, stride=(2, 3), padding=1)
    x = tn.zeros(1, 3, 5, 5)
    assert layer(x).shape == (1, 2, 9, 13)
    for size in ((9, 13), (10, 14), (9, 15)):
        assert layer(x, output_size=size).shape == (1, 2, *size)
        assert layer(x, output_size=(1, 2, *size)).shape == (1, 2, *size)
    with pytest.raises(ShapeError, match=re.escape(
        "ConvTranspose2d: output_size must lie in [9, 10] along axis -2 for input (1, 3, 5, 5); got 11"
    )):  # fmt: skip
        layer(x, output_size=(11, 13))
    one = nn.ConvTranspose1d(3, 2, 3, stride=2)
    assert one(tn.zeros(3, 5), [12]).shape == one(tn.zeros(3, 5), 12).shape == (2, 12)
    with pytest.raises(ShapeError, match=r"input must have shape .*; got \(3,\)"):
        layer(tn.zeros(3), output_size=(9, 13))
    with pytest.raises(DTypeError, match="input must be a Tensor; got str"):
        layer("x", output_size=(9, 13))


def test_training_fits_a_filter(rng: np.random.Generator) -> None:
    """Gradient descent on a convolution finds the kernel that made the data."""
    x = tn.from_numpy(np.asarray(rng.standard_normal((4, 2, 8, 8)), np.float32))
    wanted = tn.from_numpy(np.asarray(rng.standard_normal((3, 2, 3, 3)), np.float32))
    y = F.conv2d(x, wanted, padding=1)
    layer = nn.Conv2d(2, 3, 3, padding=1)
    optimiser = tn.optim.SGD(layer.parameters(), 0.3, momentum=0.5)
    for _ in range(60):
        optimiser.zero_grad()
        F.mse_loss(layer(x), y).backward()
        optimiser.step()
    np.testing.assert_allclose(layer.weight.detach().numpy(), wanted.numpy(), atol=1e-2)


REPRS = (
    (nn.Conv2d(3, 4, 3), "Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))"),
    (nn.Conv2d(3, 9, (3, 1), 1, "valid", 2, 3, False),
     "Conv2d(3, 9, kernel_size=(3, 1), stride=(1, 1), padding=valid, dilation=(2, 2), groups=3, bias=False)"),
    (nn.Conv1d(2, 4, 5, padding="same"), "Conv1d(2, 4, kernel_size=(5,), stride=(1,), padding=same)"),
    (nn.ConvTranspose2d(4, 2, 3, 2, 1, 1, 2, False, 2),
     "ConvTranspose2d(4, 2, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1), "
     "dilation=(2, 2), groups=2, bias=False)"),
)  # fmt: skip


@pytest.mark.parametrize(("layer", "text"), REPRS)
def test_repr(layer: nn.Module, text: str) -> None:
    assert repr(layer) == text


ERRORS: tuple[tuple[Callable[[], object], type[Exception], str], ...] = (
    (lambda: nn.Conv2d(0, 4, 3), ArgumentError, "Conv2d: in_channels must be a positive int; got 0"),
    (lambda: nn.Conv2d(3, 4.0, 3), DTypeError, "Conv2d: out_channels must be a positive int; got 4.0"),
    (lambda: nn.Conv2d(3, 4, 0), ArgumentError,
     "Conv2d: kernel_size must be a positive int or 2 of them; got 0"),
    (lambda: nn.Conv2d(3, 4, (3, 3, 3)), ArgumentError, "Conv2d: kernel_size must be"),
    (lambda: nn.Conv2d(3, 4, 3.0), DTypeError, "Conv2d: kernel_size must be"),
    (lambda: nn.Conv2d(3, 4, 3, stride=True), DTypeError,
     "Conv2d: stride must be a positive int or 2 of them"),
    (lambda: nn.Conv2d(3, 4, 3, padding=-1), ArgumentError, "Conv2d: padding must be an int >= 0"),
    (lambda: nn.Conv2d(3, 4, 3, padding="all"), ArgumentError,
     "padding must be one of 'same', 'valid'; got 'all'"),
    (lambda: nn.Conv2d(3, 4, 3, 2, "same"), ArgumentError,
     "Conv2d: stride must be 1 for padding='same'; got 2"),
    (lambda: nn.Conv2d(3, 4, 3, dilation=0), ArgumentError, "Conv2d: dilation must be a positive int"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ArgumentError,
     "Conv2d: in_channels must be a multiple of groups=2; got 3"),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), ArgumentError,
     "out_channels must be a multiple of groups=2; got 3"),
    (lambda: nn.Conv2d(3, 4, 3, bias=1), DTypeError, "Conv2d: bias must be a bool; got 1"),
    (lambda: nn.Conv2d(3, 4, 3, dtype=tn.int64), DTypeError, "Conv2d: dtype must be float32 or float64"),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="reflect"), NotImplementedError,
     "Conv2d: padding_mode must be 'zeros', the rest is not supported; got 'reflect'"),
    (lambda: nn.Conv1d(3, 4, 3, device="cuda"), NotImplementedError, "Conv1d: device must be None or 'cpu'"),
    (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), DTypeError,
     "ConvTranspose2d: padding must be an int >= 0 or 2 of them; got 'same'"),
    (lambda: nn.ConvTranspose2d(3, 4, 3, output_padding=(0, -1)), ArgumentError,
     "ConvTranspose2d: output_padding must be an int >= 0 or 2 of them; got (0, -1)"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_error(call: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        call()


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

    torch.set_num_threads(1)
    return torch


@pytest.mark.parity
@pytest.mark.parametrize(("kind", "given", "options"), [
    (nn.Conv2d, (3, 8, 3), {"stride": 2, "padding": 1}),
    (nn.Conv2d, (4, 8, (3, 5)), {"padding": "same", "groups": 2, "bias": False}),
    (nn.Conv2d, (6, 6, 3), {"groups": 6, "dilation": (2, 1)}),
    (nn.Conv1d, (3, 8, 3), {"stride": 2, "padding": 1}),
    (nn.ConvTranspose1d, (3, 8, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    (nn.ConvTranspose2d, (4, 8, (3, 2)), {"stride": (2, 3), "groups": 2, "dilation": (1, 2), "bias": False}),
])  # fmt: skip
def test_parity(kind: Any, given: Any, options: Any, torch: ModuleType, rng: np.random.Generator) -> None:
    """Representation, distribution of the start, state and output."""
    theirs, mine = getattr(torch.nn, kind.__name__)(*given, **options), kind(*given, **options)
    assert repr(mine) == repr(theirs)
    bound = 1 / math.sqrt(math.prod(mine.weight.shape[1:]))
    for name, parameter in theirs.named_parameters():
        assert float(parameter.detach().abs().max()) <= bound
        ours = dict(mine.named_parameters())[name]
        assert ours.shape == tuple(parameter.shape)
        ours.detach().copy_(tn.from_numpy(parameter.detach().numpy().copy()))
    x = np.asarray(rng.standard_normal((2, given[0], *(11, 12)[: axes_of(kind)])), np.float32)
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(mine(tn.from_numpy(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
