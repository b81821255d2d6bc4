"""How far the terms of gradients cancel: against loops over every term, and where the answer is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tinynet as tn
from tinynet import bn, nn
from tinynet.errors import ArgumentError, DTypeError


def weighted(output, y):
    """The loss whose gradient with respect to the output is y."""
    return (output * y).sum()


def sums_of_terms(layer, x, g):
    """The three sums by loops over weights and terms, for a layer Conv2d, an input and a gradient."""
    (kh, kw), (sh, sw), (dh, dw) = layer.kernel_size, layer.stride, layer.dilation
    if layer.padding == "same":
        top, left = (dh * (kh - 1)) // 2, (dw * (kw - 1)) // 2
    else:
        top, left = (0, 0) if layer.padding == "valid" else layer.padding
    features, channels = layer.weight.shape[:2]
    found = np.zeros((3, features, channels, kh, kw))
    for o, c, r, s in itertools.product(range(features), range(channels), range(kh), range(kw)):
        source = o // (features // layer.groups) * channels + c
        images = []
        for b in range(len(x)):
            terms = [0.0]
            for p, q in np.ndindex(*g.shape[2:]):
                i, j = p * sh + r * dh - top, q * sw + s * dw - left
                if 0 <= i < x.shape[2] and 0 <= j < x.shape[3]:
                    terms.append(g[b, o, p, q] * x[b, source, i, j])
            found[0, o, c, r, s] += np.abs(terms).sum()
            images.append(math.fsum(terms))
        found[1, o, c, r, s] = np.abs(images).sum()
        found[2, o, c, r, s] = abs(math.fsum(images))
    return found


def same(found, expected):
    for name, each in zip(("absolute", "per_image", "total"), expected, strict=True):
        values = getattr(found, name)
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, each, rtol=1e-11, atol=1e-12, err_msg=name)


def test_a_convolution_of_single_pixels():
    """Two images of two pixels; terms of each: 1 * 2, 3 * -1 and -2 * 1, 1 * 4."""
    layer = nn.Conv2d(1, 1, 1, dtype=np.float64)
    x = np.array([[2.0, -1.0], [1.0, 4.0]]).reshape(2, 1, 1, 2)
    g = np.array([[1.0, 3.0], [-2.0, 1.0]]).reshape(2, 1, 1, 2)
    found = bn.gradient_cancellation(layer, weighted, x, g)[""]
    assert found.absolute.shape == (1, 1, 1, 1)
    assert found.absolute.item() == 2 + 3 + 2 + 4
    assert found.per_image.item() == 1 + 2
    assert found.total.item() == 1
    assert (found.ratio(), found.image_ratio()) == (11, 3)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 1},
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": (3, 2), "stride": (2, 1), "padding": (2, 0)},
        {"kernel_size": (2, 3), "stride": 2, "dilation": (2, 1), "padding": 1},
        {"kernel_size": 2, "stride": 3},
        {"kernel_size": (2, 4), "padding": "same", "dilation": (1, 2)},
        {"kernel_size": 3, "padding": "valid", "groups": 2},
        {"kernel_size": 2, "groups": 4, "stride": 2},
    ],
)
def test_kernels_against_loops(options):
    rng = np.random.default_rng(0)
    layer = nn.Conv2d(4, 8 if options.get("groups") == 4 else 6, **options, dtype=np.float64)
    x = rng.normal(size=(3, 4, 7, 6))
    output = layer(tn.tensor(x))
    g = rng.normal(size=output.shape)
    found = bn.gradient_cancellation(layer, weighted, x, g)[""]
    same(found, sums_of_terms(layer, x, g))
    weighted(output, tn.tensor(g)).backward()
    gradient = layer.weight.grad.numpy()
    np.testing.assert_allclose(found.total, np.abs(gradient), rtol=1e-11, atol=1e-12)
    assert (found.total <= found.per_image * (1 + 1e-12)).all()
    assert (found.per_image <= found.absolute * (1 + 1e-12)).all()


def test_linear_is_a_kernel_of_one():
    rng = np.random.default_rng(1)
    layer = nn.Linear(3, 2, dtype=np.float64)
    as_kernel = nn.Conv2d(3, 2, 1)
    for shape in ((5, 3), (5, 4, 3), (5, 2, 2, 3)):
        x, g = rng.normal(size=shape), rng.normal(size=(*shape[:-1], 2))
        found = bn.gradient_cancellation(layer, weighted, x, g)[""]
        images, gradients = (
            np.moveaxis(each.reshape(5, -1, each.shape[-1]), 2, 1)[:, :, None] for each in (x, g)
        )
        same(found, sums_of_terms(as_kernel, images, gradients))
    x, g = rng.normal(size=3), rng.normal(size=2)
    found = bn.gradient_cancellation(layer, weighted, x, g)[""]
    same(found, 3 * [np.abs(np.outer(g, x))[:, :, None, None]])
    assert found.ratio() == 1


def test_one_axis_and_one_image():
    rng = np.random.default_rng(2)
    layer = nn.Conv1d(2, 4, 3, stride=2, padding=1, dilation=2, groups=2, dtype=np.float64)
    x = rng.normal(size=(3, 2, 9))
    g = rng.normal(size=layer(tn.tensor(x)).shape)
    flat = nn.Conv2d(2, 4, (1, 3), stride=(1, 2), padding=(0, 1), dilation=(1, 2), groups=2)
    found = bn.gradient_cancellation(layer, weighted, x, g)[""]
    assert found.total.shape == (4, 1, 1, 3)
    same(found, sums_of_terms(flat, x[:, :, None], g[:, :, None]))
    same(
        bn.gradient_cancellation(layer, weighted, x[0], g[0])[""],
        sums_of_terms(flat, x[:1, :, None], g[:1, :, None]),
    )


def test_terms_of_one_sign_do_not_cancel():
    """A chain whose weights and inputs are all positive, and a loss that falls with every output."""
    rng = np.random.default_rng(3)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 2)
    )
    with tn.no_grad():
        for parameter in model.parameters():
            parameter.copy_(tn.tensor(rng.uniform(0.1, 1, parameter.shape).astype(np.float32)))
    x = rng.uniform(0.1, 1, (4, 2, 6, 6)).astype(np.float32)
    found = bn.gradient_cancellation(model, lambda output, y: -output.sum(), x, np.zeros(4))
    assert list(found) == ["0", "2", "4"]
    for each in found.values():
        assert (each.ratio(), each.image_ratio()) == (1, 1)
        np.testing.assert_array_equal(each.absolute, each.total)


def test_normalised_outputs_cancel():
    """Behind a linear layer of one input, batch normalisation makes the sum of the terms 0."""
    model = nn.Sequential(
        nn.Linear(1, 1, bias=False, dtype=np.float64), nn.BatchNorm1d(1, eps=1e-30, dtype=np.float64)
    )
    rng = np.random.default_rng(4)
    x, g = rng.normal(size=(32, 1)) + 10, rng.normal(size=(32, 1))
    found = bn.gradient_cancellation(model, weighted, x, g)["0"]
    assert found.ratio() > 1e10  # the loss does not depend on the weight's length
    assert found.image_ratio() == pytest.approx(found.ratio())  # an image is one term


def test_ratios_are_of_means_over_pairs_at_one_tap():
    sums = np.arange(1.0, 25).reshape(2, 2, 2, 3)
    found = bn.Cancellation(absolute=sums**2, per_image=2 * sums, total=sums)
    for tap in np.ndindex(2, 3):
        at = sums[:, :, tap[0], tap[1]]
        assert found.ratio(tap) == pytest.approx((at**2).mean() / at.mean())
        assert found.image_ratio(tap) == pytest.approx(2)
    assert found.ratio() == found.ratio((1, 1))
    nothing = np.zeros((1, 1, 1, 1))
    assert bn.Cancellation(nothing + 1, nothing, nothing).ratio() == math.inf
    assert math.isnan(bn.Cancellation(nothing, nothing, nothing).ratio())


def network():
    tn.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2, groups=2),
        nn.Dropout(0.5), nn.Flatten(), nn.Linear(36, 3),
    )  # fmt: skip


def test_a_network_is_left_as_it_was_and_totals_are_its_gradients():
    model, loss = network(), nn.CrossEntropyLoss()
    x, y = tn.randn(8, 2, 7, 7), tn.arange(8) % 3
    loss(model(x), y).backward()
    state = {name: each.numpy().copy() for name, each in model.state_dict().items()}
    gradients = {name: p.grad for name, p in model.named_parameters()}
    drawn = tn.default_generator.get_state()
    with tn.no_grad():
        found = bn.gradient_cancellation(model, loss, x, y)
    for name, each in model.state_dict().items():
        np.testing.assert_array_equal(each.numpy(), state[name])
    assert all(p.grad is gradients[name] for name, p in model.named_parameters())
    assert tn.default_generator.get_state() == drawn
    assert list(found) == ["0", "3", "6"]
    model.zero_grad()
    loss(model(x), y).backward()
    for name, each in found.items():
        expected = np.abs(model.get_parameter(f"{name}.weight").grad.numpy())
        np.testing.assert_allclose(each.total.reshape(expected.shape), expected, rtol=1e-4, atol=1e-6)
    chosen = bn.gradient_cancellation(model, loss, x.numpy(), y.numpy(), [nn.Linear, "3"])
    assert list(chosen) == ["3", "6"]


def test_bits_do_not_depend_on_threads():
    model, threads, found = network().eval(), tn.get_num_threads(), []
    x, y = tn.randn(8, 2, 7, 7), tn.arange(8) % 3
    try:
        for number in (1, 2):
            tn.set_num_threads(number)
            found.append(bn.gradient_cancellation(model, nn.CrossEntropyLoss(), x, y, "3")["3"])
    finally:
        tn.set_num_threads(threads)
    np.testing.assert_array_equal(found[0].absolute, found[1].absolute)
    np.testing.assert_array_equal(found[0].total, found[1].total)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_diverged_networks_pass_through(value):
    x = np.array([[1.0, value], [2.0, 1.0]], np.float32)
    layer = nn.Linear(2, 1)
    found = bn.gradient_cancellation(layer, weighted, x, np.array([[1.0], [-1.0]], np.float32))[""]
    np.testing.assert_array_equal(found.absolute.ravel(), [3, value])
    np.testing.assert_array_equal(found.total.ravel(), [1, value])
    assert math.isnan(found.ratio())


def test_a_gradient_of_zeros():
    layer = nn.Conv2d(1, 1, 3)
    found = bn.gradient_cancellation(
        layer, weighted, np.ones((1, 1, 3, 3), np.float32), np.zeros((1, 1, 1, 1), np.float32)
    )
    assert not found[""].absolute.any()
    assert math.isnan(found[""].ratio())


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Linear(2, 1), (0, 2)), (nn.Linear(2, 1), (3, 0, 2)), (nn.Conv2d(2, 1, 3), (0, 2, 5, 5))],
)
def test_no_terms(layer, shape):
    found = bn.gradient_cancellation(layer, lambda output, y: output.sum(), tn.zeros(shape), tn.zeros(1))[""]
    assert found.absolute.shape == (1, 2, *layer.weight.shape[2:], 1, 1)[:4]
    assert not found.absolute.any()
    assert math.isnan(found.ratio())


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused, self.late = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x):
        self.late(x)
        return self.used(self.used(x))


def test_errors():
    x, y = np.ones((3, 2), np.float32), np.zeros((3, 2), np.float32)
    model = Twice()
    frozen = nn.Linear(2, 2).requires_grad_(False)
    for arguments, error, message in (
        ((3, weighted, x, y), DTypeError, r"model must be a Module; got int"),
        ((model, 3, x, y), DTypeError, r"loss must be callable; got int"),
        ((model, weighted, [1.0], y), DTypeError, r"x must be a Tensor or array; got list"),
        ((model, weighted, x, [1.0]), DTypeError, r"y must be a Tensor or array; got list"),
        (
            (model, lambda output, y: output, x, y, "used"),
            DTypeError,
            r"loss must return a tensor of one number",
        ),
        ((model, weighted, x, y, "other"), ArgumentError, r"layers must be of the network.*; got 'other'"),
        ((nn.ReLU(), weighted, x, y), ArgumentError, r"model must have layers.*"),
        (
            (model, weighted, x, y, ""),
            ArgumentError,
            r"layer '' must be a Conv2d, Conv1d or Linear; got Twice",
        ),
        (
            (model, weighted, x, y, "used"),
            ArgumentError,
            r"layer 'used' must be called once in a forward; got 2",
        ),
        ((model, weighted, x, y, "unused"), ArgumentError, r"layer 'unused' must be called once .*; got 0"),
        ((model, weighted, x, y, "late"), ArgumentError, r"loss must depend on what layer 'late' gives"),
        ((frozen, weighted, x, y), ArgumentError, r"loss must depend on parameters to train"),
    ):
        with pytest.raises(error, match=r"^gradient_cancellation: " + message):
            bn.gradient_cancellation(*arguments)
    assert model.used.weight.grad is None
    found = bn.gradient_cancellation(nn.Linear(2, 2), weighted, x, y)[""]
    for tap, error, message in (
        ((0, 1), ArgumentError, r"tap must lie in a kernel of 1 x 1; got \(0, 1\)"),
        ((0, -1), ArgumentError, r"tap must be an int >= 0 or 2 of them; got \(0, -1\)"),
        ((0.0, 0), DTypeError, r"tap must be an int >= 0 or 2 of them; got \(0.0, 0\)"),
    ):
        with pytest.raises(error, match=r"^Cancellation\.ratio: " + message):
            found.ratio(tap)
        with pytest.raises(error, match=r"^Cancellation\.image_ratio: " + message):
            found.image_ratio(tap)
