"""One step, part by part: a scalar linear network, whose means are polynomials, and what SGD does."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
from test_bn_activations import chain
from test_bn_recording import images, network, snapshot

import tinynet as tn
from tinynet import bn, nn
from tinynet.errors import ArgumentError, DTypeError

LABELS = np.arange(6) % 5


def mean_output(output, _):
    return output.mean()


def test_a_scalar_linear_network():
    """L = mean(b a x) with mean(x) = u: dL/da = b u, dL/db = a u."""
    a, b, lr = 1.5, -2.0, 0.7
    x = np.random.default_rng(0).normal(1.0, 2.0, size=(3, 1, 4, 5))
    u, v = x.mean(), x.var()
    record = bn.record_divergence(chain(a, b), mean_output, x, x, lr, parts=8)
    np.testing.assert_array_equal(record.fractions, np.arange(9) / 8)
    first = a - record.fractions * lr * b * u
    both = first * (b - record.fractions * lr * a * u)
    assert list(record.mean) == list(record.var) == ["0", "1"]
    np.testing.assert_allclose(record.mean["0"], (first * u)[:, None], rtol=1e-12)  # linear
    np.testing.assert_allclose(record.var["0"], (first**2 * v)[:, None], rtol=1e-12)
    np.testing.assert_allclose(record.mean["1"], (both * u)[:, None], rtol=1e-12)  # quadratic
    np.testing.assert_allclose(record.var["1"], (both**2 * v)[:, None], rtol=1e-12)
    np.testing.assert_allclose(record.losses, both * u, rtol=1e-12)
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.losses = None


def test_growth_with_depth():
    """A step at the rate r moves every factor 1 of a chain to 1 + r: its depth is the power."""
    record = bn.record_divergence(
        chain(*[1.0] * 6), mean_output, -np.ones((2, 1, 1, 1)), np.ones(1), 9.0, parts=1
    )
    for depth, name in enumerate(record.mean, 1):
        np.testing.assert_allclose(record.mean[name][:, 0], [-1, -(10.0**depth)], rtol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_begins_and_ends_as_a_step_of_sgd(training):
    model, x = network().train(training), images()
    labels, loss, lr = tn.tensor(LABELS), nn.CrossEntropyLoss(), 0.8
    tn.manual_seed(4)
    record = bn.record_divergence(model, loss, x, LABELS, lr, parts=3, layers=nn.Module)
    assert [record.losses.shape, record.mean["0"].shape, record.var["5"].shape] == [(4,), (4, 3), (4, 5)]
    twin = copy.deepcopy(model)
    optimizer = tn.optim.SGD(twin.parameters(), lr=lr)
    for index in (0, -1):
        statistics = bn.channel_statistics(twin, x, nn.Module)
        for name, expected in statistics.items():
            np.testing.assert_allclose(record.mean[name][index], expected.mean, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(record.var[name][index], expected.var, rtol=1e-9, atol=1e-12)
        tn.manual_seed(4)
        value = loss(twin(x), labels)
        assert record.losses[index] == pytest.approx(value.item(), rel=1e-11)
        value.backward()
        optimizer.step()
        tn.manual_seed(4)


def test_relative_loss_is_the_same_line():
    model, x, loss = network(), images(), nn.CrossEntropyLoss()
    record = bn.record_divergence(model, loss, x, LABELS, 2.0, parts=4)
    found = bn.relative_loss(model, loss, x, LABELS, [0, 0.5, 1, 1.5, 2])
    np.testing.assert_array_equal(record.losses / record.losses[0], found)


@pytest.mark.parametrize("training", [True, False])
def test_leaves_the_network_as_it_was(training):
    model = network().train(training)
    model(images()).sum().backward()
    before = snapshot(model)
    first = bn.record_divergence(model, nn.CrossEntropyLoss(), images(), LABELS, 1e9, parts=2)
    assert snapshot(model) == before
    with tn.no_grad():
        second = bn.record_divergence(model, nn.CrossEntropyLoss(), images(), LABELS, 1e9, parts=2)
    assert first.mean["5"].tobytes() == second.mean["5"].tobytes()


def test_infinity_passes_without_a_warning():
    model = chain(*[1.0] * 12).float()
    record = bn.record_divergence(model, mean_output, tn.ones(2, 1, 1, 1), tn.ones(1), 1e8, parts=2)
    assert np.isfinite(record.mean["0"]).all()
    assert np.isinf(record.mean["11"][1:]).all()
    assert np.isnan(record.var["11"][1:]).all()
    assert np.isfinite(record.var["3"]).all()  # 1e64: beyond float32
    assert np.isinf(record.losses[1:]).all()


def test_choice_of_layers():
    record = bn.record_divergence(
        chain(1.0, 2.0), mean_output, tn.ones(1, 1, 1, 1).double(), tn.ones(1), 0.1, layers="1"
    )
    assert list(record.mean) == ["1"]
    assert record.mean["1"].shape == (21, 1)


def test_errors():
    def call(*, model=chain(1.0), lr=0.1, **options):  # noqa: B008
        x = tn.ones(2, 1, 1, 1).double()
        return bn.record_divergence(model, mean_output, x, x, lr, **options)

    with pytest.raises(DTypeError, match=r"record_divergence: model must be a Module; got str"):
        call(model="net")
    for lr in (0, -1.0, np.nan, np.inf):
        with pytest.raises(ArgumentError, match=r"record_divergence: lr must be a finite number > 0; got"):
            call(lr=lr)
    with pytest.raises(ArgumentError, match=r"record_divergence: parts must be a positive int; got 0"):
        call(parts=0)
    with pytest.raises(DTypeError, match=r"record_divergence: parts must be a positive int; got 2\.0"):
        call(parts=2.0)
    with pytest.raises(ArgumentError, match=r"record_divergence: layers must be of the network .* got '7'"):
        call(layers=["0", "7"])
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)).double()
    model.forward = model[0]
    with pytest.raises(ArgumentError, match=r"every layer must be reached by a forward; '1' got none"):
        call(model=model)
