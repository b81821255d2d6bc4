"""Channel statistics and large values: chains whose means multiply, outliers whose distance is known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from test_bn_recording import images, network, snapshot

import tinynet as tn
from tinynet import bn, nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError


def chain(*weights):
    """1x1 convolutions of one channel, each a multiplication; float64."""
    model = nn.Sequential(*(nn.Conv2d(1, 1, 1, bias=False) for _ in weights)).double()
    for layer, weight in zip(model, weights, strict=True):
        layer.weight.data = tn.full((1, 1, 1, 1), weight, dtype=tn.float64)
    return model


class TestChannelStatistics:
    def test_a_chain_multiplies_means_and_variances(self):
        weights = (2.0, -0.5, 30.0, 0.1)
        x = np.random.default_rng(0).normal(2.0, 3.0, size=(4, 1, 5, 6))
        found = bn.channel_statistics(chain(*weights), x)
        assert list(found) == ["0", "1", "2", "3"]
        for each, factor in zip(found.values(), np.cumprod(weights), strict=True):
            assert each.mean.shape == each.var.shape == (1,)
            np.testing.assert_allclose(each.mean, factor * x.mean(), rtol=1e-12)
            np.testing.assert_allclose(each.var, factor**2 * x.var(), rtol=1e-12)
        with pytest.raises(dataclasses.FrozenInstanceError):
            found["0"].mean = None

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("shape", [(7, 3), (7, 3, 4), (2, 3, 4, 5), (1, 3)])
    def test_all_axes_but_the_second(self, shape, dtype):
        values = np.random.default_rng(1).normal(size=shape).astype(dtype)
        found = bn.channel_statistics(nn.Identity(), values, nn.Identity)[""]
        axes = (0, *range(2, values.ndim))
        np.testing.assert_allclose(found.mean, values.mean(axis=axes, dtype=np.float64), rtol=1e-12)
        np.testing.assert_allclose(found.var, values.var(axis=axes, dtype=np.float64), rtol=1e-12)
        assert found.mean.dtype == found.var.dtype == np.float64

    def test_values_with_gaps_in_memory(self):
        values = np.random.default_rng(2).normal(size=(4, 6, 4, 3))
        found = bn.channel_statistics(nn.Identity(), tn.tensor(values)[::2, 1:4].flip(2), "")[""]
        np.testing.assert_allclose(found.mean, values[::2, 1:4].mean(axis=(0, 2, 3)), rtol=1e-12)
        np.testing.assert_allclose(found.var, values[::2, 1:4].var(axis=(0, 2, 3)), rtol=1e-12)

    def test_variances_beyond_float32(self):
        x = np.array([[1e30], [3e30]], np.float32)
        found = bn.channel_statistics(nn.Identity(), x, "")[""]
        np.testing.assert_allclose([found.mean[0], found.var[0]], [2e30, 1e60], rtol=1e-6)

    def test_not_finite_values_pass_without_a_warning(self):
        x = np.array([[np.nan, np.inf, 1], [0, 0, 3]], np.float32)
        found = bn.channel_statistics(nn.Identity(), x, "")[""]
        np.testing.assert_array_equal(found.mean, [np.nan, np.inf, 2])
        np.testing.assert_array_equal(found.var, [np.nan, np.nan, 1])

    def test_what_a_layer_gave_not_what_was_made_of_it_in_place(self):
        model = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True))
        found = bn.channel_statistics(model, np.array([[-1.0], [3.0]], np.float32), nn.Module)
        assert found["0"].mean == [1]
        assert found["1"].mean == [1.5]

    def test_in_the_mode_of_the_network(self):
        model, x = network(), images()
        training = bn.channel_statistics(model, x, "1")["1"]
        np.testing.assert_allclose(training.mean, 0, atol=1e-12)
        np.testing.assert_allclose(training.var, 1, rtol=1e-3)
        model.eval()
        inputs = bn.channel_statistics(model, x, "0")["0"]
        evaluation = bn.channel_statistics(model, x, "1")["1"]
        np.testing.assert_allclose(evaluation.mean, inputs.mean / math.sqrt(1 + 1e-5), rtol=1e-12)

    @pytest.mark.parametrize("training", [True, False])
    def test_leaves_the_network_as_it_was(self, training):
        model = network().train(training)
        model(images()).sum().backward()
        before = snapshot(model)
        first = bn.channel_statistics(model, images(1))
        assert snapshot(model) == before
        second = bn.channel_statistics(model, images(1))
        assert first["5"].mean.tobytes() == second["5"].mean.tobytes()  # one dropout mask

    def test_of_a_shared_layer_the_latest_call(self):
        layer = nn.Linear(1, 1, bias=False)
        layer.weight.data = tn.full((1, 1), 3.0)
        assert bn.channel_statistics(nn.Sequential(layer, layer), tn.ones(2, 1))["0"].mean == [9]

    def test_errors(self):
        with pytest.raises(
            ArgumentError, match=r"channel_statistics: layers must be of the network \('', '0'"
        ):
            bn.channel_statistics(chain(1.0), tn.ones(1, 1, 1, 1), "conv")
        with pytest.raises(DTypeError, match=r"channel_statistics: x must be a Tensor or array; got list"):
            bn.channel_statistics(chain(1.0), [1.0])
        with pytest.raises(DTypeError, match=r"channel_statistics: model must be a Module; got int"):
            bn.channel_statistics(3, tn.ones(1, 1))
        for shape in ((3,), (0, 2)):
            with pytest.raises(
                ShapeError, match=r"layer '' must return shape \(N, C, \.\.\.\), not empty; got"
            ):
                bn.channel_statistics(nn.Identity(), tn.ones(shape), "")

        class Half(nn.Module):
            def __init__(self):
                super().__init__()
                self.used, self.unused = nn.Linear(1, 1), nn.Linear(1, 1)

            def forward(self, x):
                return self.used(x)

        with pytest.raises(
            ArgumentError, match=r"every layer must be reached by a forward; 'unused' got none"
        ):
            bn.channel_statistics(Half(), tn.ones(2, 1))


def outlier(m):
    """One value of m is 1, the rest 0: it is sqrt(m - 1) standard deviations from the mean."""
    x = np.zeros((m, 1))
    x[m // 2] = 1
    return x


class TestLargeValueShare:
    def share(self, batches, threshold=3.0, **options):
        return bn.large_value_share(nn.BatchNorm1d(1, eps=1e-12, **options).double(), batches, threshold)[""]

    @pytest.mark.parametrize(("m", "share"), [(2, 0), (9, 0), (11, 1 / 11), (100, 0.01)])
    def test_one_outlier_among_m(self, m, share):
        assert self.share([outlier(m)]) == share

    @pytest.mark.parametrize(
        ("threshold", "share"), [(0.0, 1), (0.19, 1), (0.21, 1 / 26), (4.9, 1 / 26), (5.1, 0)]
    )
    def test_threshold(self, threshold, share):
        """Of 26 values one lies at 5, the others at -1/5."""
        assert self.share([outlier(26)], threshold) == share

    def test_batches_count_by_their_values(self):
        assert self.share([outlier(16), -3 * outlier(64) + 7, outlier(5)]) == 2 / 85

    def test_normal_distribution(self):
        x = np.random.default_rng(0).normal(5.0, 0.1, size=(200_000, 1))
        expected = math.erfc(3 / math.sqrt(2))  # 0.0027
        spread = math.sqrt(expected / len(x))
        assert self.share([x]) == pytest.approx(expected, abs=4 * spread)

    def test_before_gamma_and_beta(self):
        model = nn.Sequential(nn.BatchNorm1d(1), nn.BatchNorm1d(1, affine=False)).double()
        x = outlier(20)
        assert bn.large_value_share(model, [x]) == {"0": 0.05, "1": 0.05}
        model[0].weight.data = tn.tensor(np.zeros(1))
        model[0].bias.data = tn.tensor(np.full(1, 50.0))
        assert bn.large_value_share(model, [x]) == {"0": 0.05, "1": 0}

    def test_running_statistics(self):
        """In evaluation mode, or frozen: xh is x itself, of mean 0 and variance 1."""
        model = nn.BatchNorm2d(2, eps=1e-30).double()
        x = np.zeros((3, 2, 2, 2))
        x[0, 1] = [[3.5, -3.5], [2.5, 0]]
        assert bn.large_value_share(model.eval(), [x])[""] == 2 / 24
        assert bn.large_value_share(model, [x], threshold=3.5)[""] == 0  # above, not at
        bn.freeze(model)
        assert bn.large_value_share(model.train(), [x])[""] == 2 / 24
        model.running_var.fill_(4.0)
        assert bn.large_value_share(model, [x], threshold=1.5)[""] == 2 / 24

    def test_without_running_statistics_the_batch_in_both_modes(self):
        model = nn.BatchNorm1d(1, track_running_stats=False).double()
        for mode in (True, False):
            assert bn.large_value_share(model.train(mode), [100 * outlier(20)])[""] == 0.05

    def test_channels_of_images(self):
        model = nn.BatchNorm2d(3)
        x = np.random.default_rng(0).uniform(size=(4, 3, 3, 3)).astype(np.float32)
        assert bn.large_value_share(model, [(x, None)])[""] == 0  # uniform: at most sqrt(3)
        x[1, 2, 0, 0] = 100
        assert bn.large_value_share(model, [[tn.tensor(x), 1]])[""] == 1 / 108

    def test_a_value_that_is_nan(self):
        assert math.isnan(self.share([np.array([[np.nan], [1.0], [2.0]]), outlier(20)]))
        assert math.isnan(self.share([np.array([[np.inf], [1.0], [2.0]])]))

    def test_leaves_the_network_as_it_was(self):
        model = network()
        model(images()).sum().backward()
        before = snapshot(model)
        shares = bn.large_value_share(model, (images(seed) for seed in range(3)), threshold=1)
        assert snapshot(model) == before
        assert list(shares) == ["1"]
        assert 0.2 < shares["1"] < 0.5

    def test_errors(self):
        with pytest.raises(
            ArgumentError, match=r"large_value_share: model must have layers .* got no BatchNorm"
        ):
            bn.large_value_share(chain(1.0), [tn.ones(2, 1, 1, 1)])
        with pytest.raises(ArgumentError, match=r"large_value_share: batches must hold at least one batch"):
            self.share([])
        with pytest.raises(DTypeError, match=r"batches must be an iterable of batches; got int"):
            self.share(3)
        with pytest.raises(DTypeError, match=r"a batch must be a Tensor, array or tuple; got str"):
            self.share(["x"])
        with pytest.raises(ArgumentError, match=r"threshold must be a finite number >= 0; got -1"):
            self.share([outlier(5)], -1)
        for mode in (True, False):
            with pytest.raises(ShapeError, match=r"BatchNorm1d: input must have shape"):
                bn.large_value_share(nn.BatchNorm1d(3).train(mode), [np.zeros((4, 2), np.float32)])
        model = nn.ModuleDict({"a": nn.BatchNorm1d(1), "b": nn.BatchNorm1d(1)})
        model.forward = model["a"]
        with pytest.raises(ArgumentError, match=r"every layer must be reached by a forward; 'b' got none"):
            bn.large_value_share(model, [tn.randn(4, 1)])
