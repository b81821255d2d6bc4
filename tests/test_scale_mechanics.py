"""The mechanics of scales below 1: what the checks measure, and that they can fail."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinynet import bn, nn
from tinynet.experiments import scale_mechanics
from tinynet.experiments.scale_mechanics import (
    DEGREES,
    InputStatistics,
    check_groups,
    exact_network,
    input_statistics,
    relu_deviation,
    same_training,
    scale_ratios,
)

pytestmark = pytest.mark.usefixtures("one_thread")


class TestScaleRatios:
    @pytest.mark.parametrize("k", [0.1, 2.0])
    def test_powers_of_k(self, k):
        found = scale_ratios(k)
        for name, degree in DEGREES.items():
            assert getattr(found, name) == pytest.approx(k**degree, rel=1e-6), name
            assert 0 < found.differences[name] < 1e-6
        assert found.pace == pytest.approx(1 / k**2, rel=1e-6)

    def test_at_k_1_nothing_differs(self):
        found = scale_ratios(1.0)
        assert (found.logits, found.pace, max(found.differences.values())) == (1, 1, 0)

    def test_a_large_eps_is_seen(self, monkeypatch):
        monkeypatch.setattr(scale_mechanics, "EPS", 1e-2)
        found = scale_ratios(0.1)
        assert found.logits < 0.09  # where the variance is small eps takes its share
        assert min(found.differences.values()) > 1e-3

    def test_a_layer_that_is_left_out_is_seen(self, monkeypatch):
        def all_but_one(scale, seed, factor=1.0):
            model = exact_network(scale, seed, factor)
            norm = next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
            norm.scale_init = 1.0
            norm.reset_parameters()
            return model

        monkeypatch.setattr(scale_mechanics, "exact_network", all_but_one)
        found = scale_ratios(0.1)
        assert found.logits != pytest.approx(0.1, rel=0.1)  # the shortcut carries 1 beside branches of 0.1


class TestSameTraining:
    def test_slowed_shifts_alone_make_them_the_same(self):
        found = same_training(0.5, steps=3)
        assert found.shifts_slowed < 1e-9
        assert found.as_proposed > 1e-4

    def test_another_divisor_is_another_training(self, monkeypatch):
        usual = bn.parameter_groups
        squared = lambda model, c, **options: usual(model, c**2, **options)  # noqa: E731
        monkeypatch.setattr(bn, "parameter_groups", squared)
        assert same_training(0.5, steps=3).shifts_slowed > 1e-5


class TestGroups:
    def test_steps_are_as_promised(self):
        found = check_groups(100.0)
        assert max(found.scales, found.shifts, found.weights) < 1e-9

    def test_a_step_that_is_not_is_seen(self, monkeypatch):
        usual = bn.parameter_groups

        def decayed(*arguments, **options):
            groups = usual(*arguments, **options)
            groups[0]["lr"] *= 2
            groups[2]["weight_decay"] = 0.0
            return groups

        monkeypatch.setattr(bn, "parameter_groups", decayed)
        found = check_groups(100.0)
        assert found.scales == pytest.approx(1)
        assert found.shifts < 1e-9
        assert found.weights > 0.1


class TestInput:
    IMAGES = np.random.default_rng(3).integers(0, 256, (10, 2, 3, 4), np.uint8)

    def test_running_statistics_are_those_of_its_batches(self):
        found = input_statistics(self.IMAGES, batches=3, batch_size=4, seed=5)
        rng = np.random.default_rng(5)
        order = np.concatenate([rng.permutation(10), rng.permutation(10)])[:12].reshape(3, 4)
        mean, var = np.zeros(2), np.ones(2)
        for part in order:
            pixels = (self.IMAGES[part] / 255).swapaxes(0, 1).reshape(2, -1)
            mean = 0.9 * mean + 0.1 * pixels.mean(axis=1)
            var = 0.9 * var + 0.1 * pixels.var(axis=1, ddof=1)
        np.testing.assert_allclose(found.mean, mean, rtol=1e-5)
        np.testing.assert_allclose(found.var, var, rtol=1e-5)
        assert found.batches == 3

    def test_statistics_of_the_data(self):
        found = input_statistics(self.IMAGES, batches=1, batch_size=10)
        pixels = (self.IMAGES / 255).swapaxes(0, 1).reshape(2, -1)
        np.testing.assert_allclose(found.data_mean, pixels.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(found.data_var, pixels.var(axis=1), rtol=1e-10)

    def test_without_a_momentum_one_epoch_has_the_mean(self):
        found = input_statistics(self.IMAGES, batches=2, batch_size=5, momentum=None)
        np.testing.assert_allclose(found.mean, found.data_mean, rtol=1e-6)

    def test_differences(self):
        one = np.ones(2)
        found = InputStatistics(1, np.array([1.01, 1.0]), np.array([0.5, 1.0]), one, one)
        assert found.differences == pytest.approx((0.01, 0.5))


def test_relu_deviation():
    drawn, exact = relu_deviation(100_000)
    assert exact == math.sqrt(1 / 2 - 1 / (2 * math.pi))
    assert round(exact, 4) == 0.5838
    assert 0 < abs(drawn - exact) < 5e-3
