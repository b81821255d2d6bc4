"""The residual networks of CIFAR-10, and the LeNet."""

from __future__ import annotations

import numpy as np
import pytest
from models_running import images, losses, outputs, values

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.models import lenet, resnet

pytestmark = pytest.mark.usefixtures("one_thread")


def layers(model, kind=nn.Conv2d):
    return [module for module in model.modules() if isinstance(module, kind)]


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("depth", "million"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_depth_counts_the_layers_with_weights(depth, million):
    """The numbers of parameters in millions are those of He et al. 2016, Table 6."""
    model = resnet(depth)
    assert len(layers(model)) + len(layers(model, nn.Linear)) == depth
    n = (depth - 2) // 6
    assert [len(stage) for stage in (model.stage1, model.stage2, model.stage3)] == [n, n, n]
    assert round(count(model) / 1e6, 1 if million > 1 else 2) == million


def test_number_of_parameters():
    """By hand, for 20 layers: 3x3 convolutions, two numbers of each normalised channel, the classifier."""
    widths = [(3, 16), *[(16, 16)] * 6, (16, 32), *[(32, 32)] * 5, (32, 64), *[(64, 64)] * 5]
    weights, channels = sum(9 * i * o for i, o in widths), sum(o for _, o in widths)
    assert count(resnet(20)) == weights + 2 * channels + 650
    assert count(resnet(20, batch_norm="none")) == weights + channels + 650
    assert count(resnet(20, batch_norm="last")) == weights + channels + 2 * 64 + 650
    assert count(resnet(20, width=4)) == (
        9 * (3 * 4 + 6 * 16 + 4 * 8 + 5 * 64 + 8 * 16 + 5 * 256) + 2 * (7 * 4 + 6 * 8 + 6 * 16) + 170
    )
    assert count(resnet(20, shortcut="projection")) == count(resnet(20)) + 16 * 32 + 32 * 64 + 2 * 96
    assert count(resnet(20, 7, 1)) == weights - 2 * 9 * 16 + 2 * channels + 65 * 7


@pytest.mark.parametrize("shortcut", ["pad", "projection"])
@pytest.mark.parametrize("size", [(32, 32), (28, 28), (7, 13), (1, 1)])
def test_sizes(shortcut, size):
    shapes = outputs(resnet(8, shortcut=shortcut).eval(), images(2, 3, *size))
    for name, channels, halvings in (
        ("conv1", 16, 0),
        ("stage1", 16, 0),
        ("stage2", 32, 1),
        ("stage3", 64, 2),
    ):
        assert shapes[name] == (2, channels, *(-(-n // 2**halvings) for n in size))
    assert list(shapes)[-3:] == ["avgpool", "flatten", "output"]
    assert shapes["output"] == (2, 10)


def test_zero_padded_shortcut():
    """Option A has no parameters: every second pixel, and zeros behind the channels that there are."""
    block = resnet(8).stage2[0]
    assert not list(block.shortcut.parameters())
    x = images(2, 16, 5, 4)
    y = values(block.shortcut(x))
    assert y.shape == (2, 32, 3, 2)
    assert np.array_equal(y[:, :16], values(x)[:, :, ::2, ::2])
    assert not y[:, 16:].any()
    x.requires_grad_()
    block.shortcut(x).sum().backward()
    expected = np.zeros(x.shape, np.float32)
    expected[:, :, ::2, ::2] = 1
    assert np.array_equal(values(x.grad), expected)


def test_projection_shortcut():
    """Option B: a 1x1 convolution where the number of channels changes, and nowhere else."""
    model = resnet(14, shortcut="projection")
    ones = [layer for layer in layers(model) if layer.kernel_size == (1, 1)]
    assert [(c.in_channels, c.out_channels, c.stride) for c in ones] == [(16, 32, (2, 2)), (32, 64, (2, 2))]
    assert len(layers(model, nn.BatchNorm2d)) == len(layers(model))


def test_where_batch_normalisation_stands():
    everywhere, last, none = (resnet(14, batch_norm=where) for where in ("all", "last", "none"))
    assert len(layers(everywhere, nn.BatchNorm2d)) == len(layers(everywhere)) == 13
    assert all(layer.bias is None for layer in layers(everywhere))
    assert len(layers(last, nn.BatchNorm2d)) == 1
    assert not layers(none, nn.BatchNorm2d)
    assert all(layer.bias is not None for model in (last, none) for layer in layers(model))
    assert [name for name, _ in last.named_children()][-4:] == ["bn", "avgpool", "flatten", "output"]
    assert last.bn.num_features == 64


def test_first_weights():
    models = [resnet(20, batch_norm=where, generator=tn.Generator(3)) for where in ("all", "last", "none")]
    for a, b, c in zip(*map(layers, models), strict=True):
        assert np.array_equal(values(a.weight), values(b.weight))
        assert np.array_equal(values(a.weight), values(c.weight))
        assert not values(c.bias).any()
        fan_out = np.prod(a.weight.shape) / a.in_channels
        np.testing.assert_allclose(values(a.weight).std(), (2 / fan_out) ** 0.5, rtol=0.12)
    assert all(np.array_equal(values(m.output.bias), values(models[0].output.bias)) for m in models)
    assert abs(values(models[0].output.weight)).max() <= 1 / 8


@pytest.mark.parametrize("where", ["all", "last", "none"])
@pytest.mark.parametrize("shortcut", ["pad", "projection"])
def test_training_lowers_the_loss(where, shortcut):
    model = resnet(8, 3, 1, where, shortcut, dtype=np.float64, generator=tn.Generator(0))
    x, labels = images(9, 1, 8, 8, dtype=np.float64), tn.tensor(np.arange(9) % 3)
    found = losses(model, x, labels, lr=0.01, steps=4)
    assert found[-1] < found[0]


def test_state_goes_into_another_network():
    source, target = resnet(8, generator=tn.Generator(1)), resnet(8, generator=tn.Generator(2))
    x = images(2, 3, 8, 8)
    source(x)  # moves the running statistics
    target.load_state_dict(source.state_dict())
    assert np.array_equal(values(source.eval()(x)), values(target.eval()(x)))


@pytest.mark.parametrize("depth", [2, 7, 9, 18, 34, 0, -4])
def test_depths_that_there_are_not(depth):
    message = rf"resnet: depth must be 6n \+ 2 with n >= 1, as 20, 56 and 110 are; got {depth}$"
    with pytest.raises(ArgumentError, match=message):
        resnet(depth)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"depth": 20.0}, DTypeError, r"depth must be an int; got 20\.0"),
        ({"num_classes": 0}, ArgumentError, "num_classes must be a positive int; got 0"),
        ({"in_channels": 0}, ArgumentError, "in_channels must be a positive int; got 0"),
        ({"width": 0}, ArgumentError, "width must be a positive int; got 0"),
        ({"batch_norm": True}, ArgumentError, "batch_norm must be one of 'all', 'last', 'none'; got True"),
        ({"shortcut": "A"}, ArgumentError, "shortcut must be one of 'pad', 'projection'; got 'A'"),
        ({"dtype": int}, DTypeError, "dtype must be float32 or float64; got <class 'int'>"),
    ],
)
def test_wrong_arguments(options, error, message):
    with pytest.raises(error, match=f"^resnet: {message}"):
        resnet(**({"depth": 20} | options))


# ---- LeNet -----------------------------------------------------------------------------------------------


def test_lenet():
    model = lenet()
    shapes = {name: shape[1:] for name, shape in outputs(model, images(3, 1, 28, 28)).items()}
    assert shapes == {
        "conv1": (20, 24, 24),
        "act1": (20, 24, 24),
        "pool1": (20, 12, 12),
        "conv2": (50, 8, 8),
        "act2": (50, 8, 8),
        "pool2": (50, 4, 4),
        "flatten": (800,),
        "linear1": (500,),
        "act3": (500,),
        "output": (10,),
    }
    assert count(model) == 25 * 20 + 20 + 25 * 20 * 50 + 50 + 800 * 500 + 500 + 500 * 10 + 10 == 431_080
    other = lenet(4, 3, dtype=np.float64, generator=tn.Generator(1))
    assert other(images(1, 3, 28, 28, dtype=np.float64)).shape == (1, 4)
    again = lenet(4, 3, dtype=np.float64)
    again.load_state_dict(other.state_dict())
    assert np.array_equal(values(again.conv2.weight), values(other.conv2.weight))


def test_lenet_refuses():
    with pytest.raises(ArgumentError, match="lenet: num_classes must be a positive int; got 0"):
        lenet(0)
    with pytest.raises(ArgumentError, match="lenet: in_channels must be a positive int; got -1"):
        lenet(in_channels=-1)
    with pytest.raises(DTypeError, match="lenet: dtype must be float32 or float64; got 'int8'"):
        lenet(dtype="int8")
    with pytest.raises(ShapeError, match="linear"):
        lenet()(images(1, 1, 32, 32))
