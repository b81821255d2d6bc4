"""BN-Inception in full and small: sizes, widths and parameters beside the paper's table, switches."""

from __future__ import annotations

import numpy as np
import pytest
from models_running import images, losses, outputs, values

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError
from tinynet.models import bn_inception, bn_inception_small, bn_inception_tiny

pytestmark = pytest.mark.usefixtures("one_thread")

# 1x1, 3x3 reduce, 3x3, double reduce, double 3x3, projection (0: stride 2) and the output for 224 x 224.  The
# outputs of 4c, 4d and 4e are the sums of the printed widths; behind stride 2 the size is the one after it.
PAPER = {
    "inception_3a": (64, 64, 64, 64, 96, 32, (256, 28)),
    "inception_3b": (64, 64, 96, 64, 96, 64, (320, 28)),
    "inception_3c": (0, 128, 160, 64, 96, 0, (576, 14)),
    "inception_4a": (224, 64, 96, 96, 128, 128, (576, 14)),
    "inception_4b": (192, 96, 128, 96, 128, 128, (576, 14)),
    "inception_4c": (160, 128, 160, 128, 160, 128, (608, 14)),
    "inception_4d": (96, 128, 192, 160, 192, 128, (608, 14)),
    "inception_4e": (0, 128, 192, 192, 256, 0, (1056, 7)),
    "inception_5a": (352, 192, 320, 160, 224, 128, (1024, 7)),
    "inception_5b": (352, 192, 320, 192, 224, 128, (1024, 7)),
}
SMALL = {
    "inception_a": (32, 32, 48, 32, 48, 32, (160, 32)),
    "reduction_a": (0, 48, 64, 32, 48, 0, (272, 16)),
    "inception_b": (80, 64, 96, 48, 64, 48, (288, 16)),
    "reduction_b": (0, 64, 96, 48, 64, 0, (448, 8)),
    "inception_c": (112, 96, 160, 64, 96, 64, (432, 8)),
}
TINY = {
    "inception_a": (16, 16, 24, 16, 24, 16, (80, 16)),
    "reduction_a": (0, 24, 32, 16, 32, 0, (144, 8)),
    "inception_b": (48, 32, 48, 24, 32, 32, (160, 8)),
}


def convolutions(i, row):
    """(inputs, outputs, kernel) of the convolutions in a row of the table, whose input has i channels."""
    one, reduce3, three, reduce_double, double, projection, _ = row
    found = [(i, reduce3, 1), (reduce3, three, 3), (i, reduce_double, 1)]
    found += [(reduce_double, double, 3), (double, double, 3)]
    return found + [(i, o, 1) for o in (one, projection) if o]


def counted(stem, table, channels, classes):
    """(weights of convolutions, parameters of batch normalisations, of the classifier), from the table."""
    found = list(stem)
    for row in table.values():
        found += convolutions(channels, row)
        channels = row[-1][0]
    weights = sum(i * o * k * k for i, o, k in found)
    return weights, sum(2 * o for _, o, _ in found), (channels + 1) * classes


def parameters(model, kind):
    layers = [module for module in model.modules() if isinstance(module, kind)]
    return sum(p.numel() for layer in layers for p in layer.parameters())


# ---- the table -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stem", ["separable", "plain"])
def test_number_of_parameters(stem):
    model = bn_inception(stem=stem)
    first = [(24, 64, 1)] if stem == "separable" else [(3, 64, 7)]
    weights, norms, classifier = counted([*first, (64, 64, 1), (64, 192, 3)], PAPER, 192, 1000)
    if stem == "separable":
        weights += 24 * 7 * 7  # each of the 24 filters sees one channel
        assert (weights, norms, classifier) == (10_233_496, 20_032, 1_025_000)  # as the docstring says
    assert parameters(model, nn.Conv2d) == weights
    assert parameters(model, nn.BatchNorm2d) == norms
    assert parameters(model, nn.Linear) == classifier
    assert sum(p.numel() for p in model.parameters()) == weights + norms + classifier


def test_number_of_parameters_of_the_small_network():
    total = sum(p.numel() for p in bn_inception_small().parameters())
    assert total == sum(counted([(3, 64, 3)], SMALL, 64, 10)) == 905_930
    grey = bn_inception_small(num_classes=7, in_channels=1)
    assert sum(p.numel() for p in grey.parameters()) == sum(counted([(1, 64, 3)], SMALL, 64, 7))


def test_number_of_parameters_of_the_tiny_network():
    total = sum(p.numel() for p in bn_inception_tiny().parameters())
    assert total == sum(counted([(3, 32, 3)], TINY, 32, 10)) == 91_194


@pytest.mark.parametrize(
    ("build", "table"), [(bn_inception, PAPER), (bn_inception_small, SMALL), (bn_inception_tiny, TINY)]
)
def test_widths_of_the_branches(build, table):
    model = build()
    names = [name for name, _ in model.named_children()]
    assert [name for name in names if name.startswith(("inception_", "reduction_"))] == list(table)
    for name, (one, reduce3, three, reduce_double, double, projection, (total, _)) in table.items():
        module = model.get_submodule(name)
        found = {path: layer for path, layer in module.named_modules() if isinstance(layer, nn.Conv2d)}
        stride = (1, 1) if projection else (2, 2)
        expected = {
            "conv1x1.conv": (one, 1, (1, 1)),
            "conv3x3.reduce.conv": (reduce3, 1, (1, 1)),
            "conv3x3.conv.conv": (three, 3, stride),
            "double3x3.reduce.conv": (reduce_double, 1, (1, 1)),
            "double3x3.conv1.conv": (double, 3, (1, 1)),
            "double3x3.conv2.conv": (double, 3, stride),
            "pool.projection.conv": (projection, 1, (1, 1)),
        }
        layers = {path: (c.out_channels, c.kernel_size[0], c.stride) for path, c in found.items()}
        assert layers == {path: layer for path, layer in expected.items() if layer[0]}
        if projection:
            kind = nn.MaxPool2d if name in ("inception_5b", "inception_c") else nn.AvgPool2d
            assert isinstance(module.pool.pool, kind)
            assert one + three + double + projection == total


def test_sizes_of_all_rows_at_224():
    shapes = outputs(bn_inception().eval(), images(1, 3, 224, 224))
    expected = {"conv1": (64, 112), "pool1": (64, 56), "conv2_reduce": (64, 56), "conv2": (192, 56)}
    expected |= {"pool2": (192, 28)} | {name: row[-1] for name, row in PAPER.items()} | {"avgpool": (1024, 1)}
    assert list(shapes) == [*expected, "flatten", "output"]
    for name, (channels, size) in expected.items():
        assert shapes[name] == (1, channels, size, size), name
    assert shapes["output"] == (1, 1000)


@pytest.mark.parametrize("size", [32, 28])
def test_sizes_of_the_small_network(size):
    shapes = outputs(bn_inception_small().eval(), images(2, 3, size, size))
    for name, row in SMALL.items():
        assert shapes[name] == (2, row[-1][0], row[-1][1] * size // 32, row[-1][1] * size // 32)
    assert list(shapes) == ["conv1", *SMALL, "avgpool", "flatten", "output"]
    assert shapes["output"] == (2, 10)


@pytest.mark.parametrize("size", [32, 28])
def test_sizes_of_the_tiny_network(size):
    shapes = outputs(bn_inception_tiny().eval(), images(2, 3, size, size))
    assert shapes["pool1"] == (2, 32, size // 2, size // 2)
    for name, row in TINY.items():
        assert shapes[name] == (2, row[-1][0], row[-1][1] * size // 32, row[-1][1] * size // 32)
    assert list(shapes) == ["conv1", "pool1", *TINY, "avgpool", "flatten", "output"]
    assert shapes["output"] == (2, 10)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_weights_of_the_tiny_network(batch_norm):
    """N(0, 2 / fan_in) in the convolutions, biases 0; the same weights with and without normalisation."""
    model = bn_inception_tiny(batch_norm=batch_norm, generator=tn.Generator(3))
    other = bn_inception_tiny(batch_norm=not batch_norm, lrn=True, dropout=0.4, generator=tn.Generator(3))
    layers, others = ([m for m in net.modules() if isinstance(m, nn.Conv2d)] for net in (model, other))
    standard = []
    for layer, same in zip(layers, others, strict=True):
        np.testing.assert_array_equal(values(layer.weight), values(same.weight))
        standard.append(values(layer.weight).ravel() * np.sqrt(layer.weight[0].numel() / 2))
        assert layer.bias is None or not values(layer.bias).any()
    np.testing.assert_array_equal(values(model.output.bias), values(other.output.bias))
    drawn = np.concatenate(standard)
    assert abs(drawn.std() - 1) < 4 / np.sqrt(2 * len(drawn))
    assert abs(drawn.mean()) < 4 / np.sqrt(len(drawn))


def half(n):
    return (n + 1) // 2


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 64), (299, 50), (75, 91)])
def test_other_sizes(height, width):
    """Odd maps too: the pool of a module of stride 2 has as many outputs as the convolutions beside it."""
    model = bn_inception(num_classes=5, in_channels=1, stem="plain").eval()
    shapes = outputs(model, images(1, 1, height, width))
    sizes = []
    for n in (height, width):
        n = half(n)  # 7x7, stride 2, padding 3
        n = half(half(n - 1) - 1)  # two windows of 3, stride 2, rounded up
        sizes.append((n, half(n), half(half(n))))
    for name, level in (("pool2", 0), ("inception_3b", 0), ("inception_3c", 1), ("inception_4e", 2)):
        assert shapes[name][2:] == (sizes[0][level], sizes[1][level])
    assert shapes["output"] == (1, 5)


@pytest.mark.parametrize("size", [(27, 27), (9, 14), (1, 1)])
def test_other_sizes_of_the_small_network(size):
    shapes = outputs(bn_inception_small(in_channels=1).eval(), images(1, 1, *size))
    assert shapes["reduction_b"] == (1, 448, half(half(size[0])), half(half(size[1])))


# ---- switches --------------------------------------------------------------------------------------------


def test_the_separable_stem_is_one_convolution():
    """Depth multiplier 8: each input channel gives 8; nothing stands between the two convolutions."""
    stem = bn_inception().conv1
    names = [name for name, module in stem.named_modules() if not list(module.children())]
    assert names == ["depthwise", "pointwise.conv", "pointwise.bn", "pointwise.act"]
    assert stem.depthwise.weight.shape == (24, 1, 7, 7)
    assert stem.depthwise.bias is None
    without = bn_inception(batch_norm=False).conv1
    assert without.depthwise.bias is None  # the bias of the 1x1 does for both
    assert without.pointwise.conv.bias is not None
    assert bn_inception(in_channels=2).conv1.depthwise.weight.shape == (16, 1, 7, 7)


@pytest.mark.parametrize("build", [bn_inception, bn_inception_small, bn_inception_tiny])
def test_batch_norm_takes_the_place_of_the_bias(build):
    kinds = {True: [], False: []}
    for flag, found in kinds.items():
        model = build(batch_norm=flag)
        found += [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        layers = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
        assert all((layer.bias is None) == flag for layer in layers)
        assert not flag or len(found) == len(layers)
    assert not kinds[False]
    assert {norm.eps for norm in kinds[True]} == {1e-5}


@pytest.mark.parametrize("build", [bn_inception, bn_inception_small, bn_inception_tiny])
def test_activation_response_normalisation_and_dropout(build):
    plain = build()
    assert not any(isinstance(m, (nn.Sigmoid, nn.LocalResponseNorm, nn.Dropout)) for m in plain.modules())
    model = build(activation="sigmoid", lrn=True, dropout=0.4)
    assert not any(isinstance(m, nn.ReLU) for m in model.modules())
    names = [name for name, _ in model.named_children()]
    if build is bn_inception:
        assert names[:7] == ["conv1", "pool1", "lrn1", "conv2_reduce", "conv2", "lrn2", "pool2"]
    else:
        before = ["conv1"] if build is bn_inception_small else ["conv1", "pool1"]
        assert names[: len(before) + 1] == [*before, "lrn1"]
    assert names[-4:] == ["avgpool", "flatten", "dropout", "output"]
    norm = model.lrn1
    assert (norm.size, norm.alpha, norm.beta, norm.k) == (5, 1e-4, 0.75, 1.0)
    assert model.dropout.p == 0.4
    x = images(2, 3, 32, 32)
    assert not np.array_equal(values(model(x)), values(model(x)))
    model.eval()
    assert np.array_equal(values(model(x)), values(model(x)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_training_lowers_the_loss(dtype, batch_norm):
    model = bn_inception_small(4, 1, batch_norm, dtype=dtype, generator=tn.Generator(1))
    assert all(p.dtype == dtype for p in model.parameters())
    x, labels = images(8, 1, 8, 8, dtype=dtype), tn.tensor(np.arange(8) % 4)
    found = losses(model, x, labels, lr=0.02, steps=4)
    assert found[-1] < found[0]


# ---- first weights ---------------------------------------------------------------------------------------


def weights(model):
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    return [values(layer.weight) for layer in layers]


@pytest.mark.parametrize("build", [bn_inception, bn_inception_small, bn_inception_tiny])
def test_networks_that_differ_in_their_switches_start_from_the_same_weights(build):
    def drawn(seed=3, **options):
        model = build(generator=tn.Generator(seed), **options)
        return [*weights(model), values(model.output.bias)]

    first = drawn()
    for options in ({"batch_norm": False}, {"activation": "sigmoid", "lrn": True, "dropout": 0.5}):
        assert all(np.array_equal(a, b) for a, b in zip(first, drawn(**options), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, drawn(seed=4), strict=True))


def test_an_explicit_generator_leaves_the_default_one_alone():
    before = tn.default_generator.get_state()
    bn_inception_small(generator=tn.Generator(1))
    with pytest.raises(ArgumentError):
        bn_inception_small(num_classes=0)
    assert tn.default_generator.get_state() == before
    one = weights(bn_inception_small())
    tn.manual_seed(before["seed"])
    two = weights(bn_inception_small(batch_norm=False))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_weights_have_the_layers_default_distribution():
    model = bn_inception_small(batch_norm=False)
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            bound = np.prod(layer.weight.shape[1:]) ** -0.5
            w, b = values(layer.weight), values(layer.bias)
            assert max(abs(w).max(), abs(b).max()) <= bound * 1.0001
            np.testing.assert_allclose(w.std(), bound / 3**0.5, rtol=0.1)
            assert b.any()


def test_state_goes_into_another_network():
    source = bn_inception_small(generator=tn.Generator(1))
    x = images(2, 3, 16, 16)
    source(x)  # moves the running statistics
    target = bn_inception_small(generator=tn.Generator(2))
    target.load_state_dict(source.state_dict())
    source.eval(), target.eval()
    assert np.array_equal(values(source(x)), values(target(x)))
    assert list(source.state_dict())[:2] == ["conv1.conv.weight", "conv1.bn.weight"]


# ---- wrong arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [bn_inception, bn_inception_small, bn_inception_tiny])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_classes": 0}, ArgumentError, "num_classes must be a positive int; got 0"),
        ({"in_channels": 2.0}, DTypeError, r"in_channels must be a positive int; got 2\.0"),
        ({"batch_norm": 1}, DTypeError, "batch_norm must be a bool; got 1"),
        ({"activation": "tanh"}, ArgumentError, "activation must be one of 'relu', 'sigmoid'; got 'tanh'"),
        ({"lrn": None}, DTypeError, "lrn must be a bool; got None"),
        ({"dropout": 1.5}, ArgumentError, r"dropout must be a number in \[0, 1\]; got 1\.5"),
        ({"dtype": "float16"}, DTypeError, "dtype must be float32 or float64; got 'float16'"),
    ],
)
def test_wrong_arguments(build, options, error, message):
    with pytest.raises(error, match=rf"^{build.__name__}: {message}"):
        build(**options)


def test_wrong_stem():
    with pytest.raises(
        ArgumentError, match="bn_inception: stem must be one of 'separable', 'plain'; got '7x7'"
    ):
        bn_inception(stem="7x7")


@pytest.mark.parametrize("build", [bn_inception, bn_inception_small, bn_inception_tiny])
def test_wrong_inputs(build):
    model = build()
    with pytest.raises(tn.errors.ShapeError, match="conv2d"):
        model(images(1, 4, 32, 32))
    with pytest.raises(DTypeError):
        model(images(1, 3, 32, 32, dtype=np.float64))


def test_an_image_too_small_for_the_full_network_is_refused():
    with pytest.raises(tn.errors.ShapeError, match="max_pool2d"):
        bn_inception().eval()(images(1, 3, 2, 2))
