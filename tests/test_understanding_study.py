"""The networks, runs and results of the study of Bjorck et al., on digits; its claims are in another file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import stats
from understanding_running import QUICK, initial, noise, products, rates, training

import tinynet as tn
from tinynet import bn, nn
from tinynet.bn.stability import RateTrial
from tinynet.errors import ArgumentError
from tinynet.experiments import Runs, understanding_study
from tinynet.experiments.images import Images
from tinynet.experiments.options import load_parts
from tinynet.experiments.understanding_results import Products, Rates
from tinynet.experiments.understanding_settings import (
    NORMS,
    SMOKE,
    WEIGHTS,
    WHERE,
    Settings,
    block_outputs,
    convolution,
    network,
)
from tinynet.experiments.understanding_study import Study

NAN, INF = math.nan, math.inf


def made(depth: int, batch_norm: str = "none", seed: int = 0, **options: Any) -> nn.Sequential:
    return network(depth, batch_norm, seed, classes=10, channels=3, **options)


def convolutions(model: nn.Module) -> list[str]:
    """The names of the 3x3 convolutions in the order in which an image meets them."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]


# ---- networks --------------------------------------------------------------------------------------------


class TestLayers:
    @pytest.mark.parametrize("depth", [8, 20, 110])
    @pytest.mark.parametrize("batch_norm", ["none", "all"])
    def test_convolutions(self, depth, batch_norm):
        names = convolutions(made(depth, batch_norm, width=1))
        assert len(names) == depth - 1  # the classifier is the last layer
        assert [convolution(depth, layer) for layer in range(1, depth)] == names

    @pytest.mark.parametrize("depth", [8, 20, 110])
    def test_block_outputs(self, depth):
        model = made(depth, width=1)
        modules = dict(model.named_modules())
        found = block_outputs(depth)
        assert list(found) == list(range(1, depth, 2))
        names = convolutions(model)
        for layer, name in found.items():
            assert name in modules
            # The last convolution in there is the layer, and the next one is outside.
            inside = [number for number, conv in enumerate(names, 1) if conv.startswith(f"{name}.")]
            assert max(inside) == layer
            assert len(inside) == (1 if layer == 1 else 2)

    def test_the_settings_name_layers_that_there_are(self):
        """The papers' layers lie in the first, the second and the third stage."""
        for settings in (Settings(), SMOKE):
            for three in (settings.kernels, settings.maps):
                stages = [convolution(settings.depth, layer).split(".")[0] for layer in three]
                assert stages == ["stage1", "stage2", "stage3"]
            assert convolution(settings.depth, settings.histogram).startswith("stage2")
            assert max(settings.looks) >= 1


class TestWeights:
    @pytest.mark.parametrize("weights", WEIGHTS)
    def test_variances(self, weights):
        model = made(14, weights=weights)
        for name, module in model.named_modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                w = module.weight.detach().numpy().astype(np.float64)
                fan_in, fan_out = w[0].size, w.shape[0] * w[0, 0].size
                wanted = 2 / (fan_in + fan_out) if weights == "xavier" else 2 / fan_in
                # Three standard deviations of the variance of so many values.
                kurtosis = 1.8 if weights == "xavier" else 3.0
                assert w.var() == pytest.approx(wanted, rel=3 * math.sqrt((kurtosis - 1) / w.size)), name
                assert abs(w.mean()) < 4 * math.sqrt(wanted / w.size), name
                if weights == "xavier":
                    assert np.abs(w).max() <= math.sqrt(3 * wanted) * (1 + 1e-6), name
                else:
                    assert np.abs(w).max() > math.sqrt(3 * wanted), name  # normal, not uniform
                assert module.bias is None or not module.bias.detach().numpy().any()

    @pytest.mark.parametrize("weights", WEIGHTS)
    def test_same_ones_where_the_convolutions_have_biases(self, weights):
        def of(batch_norm: str, seed: int) -> list[bytes]:
            model = made(8, batch_norm, seed, weights=weights)
            return [
                module.weight.detach().numpy().tobytes()
                for module in model.modules()
                if isinstance(module, (nn.Conv2d, nn.Linear))
            ]

        first = of("none", 3)
        tn.manual_seed(99)  # what was drawn before does not matter
        assert of("none", 3) == of("last", 3) == first
        assert not set(of("none", 4)) & set(first)

    def test_where_batch_normalisation_is(self):
        counts = [
            sum(isinstance(module, nn.BatchNorm2d) for module in made(8, where).modules()) for where in WHERE
        ]
        assert counts == [0, 1, 7]

    def test_unknown_weights(self):
        with pytest.raises(ArgumentError, match=r"network: weights must be .*; got 'he'"):
            made(8, weights="he")


# ---- runs ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images() -> Images:
    return Images.of(*load_parts("digits", None, True)[:2])


@pytest.fixture
def study(images: Images, tmp_path: Any) -> Iterator[Study]:
    before = tn.get_num_threads()
    tn.set_num_threads(1)
    yield Study(images, QUICK, Runs(tmp_path / "runs"))
    tn.set_num_threads(before)


def first_batch(study: Study, size: int, seed: int) -> tuple[tn.Tensor, tn.Tensor]:
    return next(iter(study.images.loader(size, seed, padding=understanding_study.FRAME)))


def digits_network(batch_norm: str, seed: int, **options: Any) -> nn.Sequential:
    return network(8, batch_norm, seed, classes=10, channels=1, **options)


class TestInitial:
    @pytest.mark.parametrize("where", NORMS)
    @pytest.mark.parametrize("weights", WEIGHTS)
    def test_what_is_measured(self, study, where, weights):
        run = study.initial(weights, where, 3)
        assert study.runs.made == [f"initial-{weights}-{where}-seed3"]
        model = digits_network(where, 3, weights=weights)
        x, y = first_batch(study, 8, 3)
        logits = model(x)
        loss = nn.CrossEntropyLoss()(logits, y)
        loss.backward()
        assert run.loss == loss.item()
        gradient = model.get_parameter("stage2.0.unit2.conv.weight").grad.numpy()
        np.testing.assert_array_equal(run.gradient, gradient.ravel())
        values = gradient.astype(np.float64)
        assert run.spread == pytest.approx(values.std())
        assert run.kurtosis == pytest.approx(stats.kurtosis(values.ravel(), fisher=False))
        predicted = np.bincount(logits.detach().numpy().argmax(axis=1))
        assert run.predicted_share == predicted.max() / 8
        shares = np.exp(logits.detach().numpy().astype(np.float64))
        shares /= shares.sum(axis=1, keepdims=True)
        shares[np.arange(8), y.numpy()] -= 1
        np.testing.assert_allclose(run.class_gradient, shares / 8, rtol=1e-5, atol=1e-9)

        assert run.layers.tolist() == [1, 3, 5, 7]
        features = dict(bn.channel_statistics(digits_network(where, 3, weights=weights), x, "stage3.0"))
        assert run.means[-1] == np.abs(features["stage3.0"].mean).mean()
        assert run.deviations[-1] == np.sqrt(features["stage3.0"].var).mean()

        assert run.ratio.shape == run.image_ratio.shape == (3,)
        assert (run.ratio >= run.image_ratio * (1 - 1e-6)).all()  # a triangle inequality
        assert (run.image_ratio >= 1 - 1e-6).all()

    def test_loss_along_the_gradient_as_training_goes_on(self, study):
        run = study.initial("xavier", "all", 1)
        model = digits_network("all", 1)
        loss, rate = nn.CrossEntropyLoss(), QUICK.between[1]
        assert run.relative.shape == (2, 3)
        optimizer = tn.optim.SGD(model.parameters(), rate, QUICK.momentum)
        for row, (x, y) in zip(
            run.relative, study.images.loader(8, 1, padding=understanding_study.FRAME), strict=False
        ):
            np.testing.assert_array_equal(row, bn.relative_loss(model, loss, x, y, QUICK.step_sizes))
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()

    def test_kept_and_not_made_again(self, study, monkeypatch):
        first = study.initial("xavier", "none", 0)
        monkeypatch.setattr(understanding_study, "network", lambda *_, **__: pytest.fail("made again"))
        runs = Runs(study.runs.folder)
        again = Study(study.images, QUICK, runs).initial("xavier", "none", 0)
        assert (runs.made, runs.kept) == ([], ["initial-xavier-none-seed0"])
        for field in dataclasses.fields(first):
            np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))
        other = Study(study.images, dataclasses.replace(QUICK, batch_size=16), study.runs)
        with pytest.raises(ArgumentError, match=r"Runs: batch_size must be 8 .*; got 16"):
            other.initial("xavier", "none", 0)
        # What it does not depend on may differ.
        Study(study.images, dataclasses.replace(QUICK, epochs=7), study.runs).initial("xavier", "none", 0)

    def test_rates_between_the_looks(self, study):
        """Without batch normalisation the network trains on at another rate."""
        swapped = dataclasses.replace(QUICK, between=QUICK.between[::-1])
        study.initial("xavier", "none", 0)
        with pytest.raises(ArgumentError, match=r"Runs: rate must be "):
            Study(study.images, swapped, study.runs).initial("xavier", "none", 0)

    def test_nearest_step_and_growth(self):
        settings = dataclasses.replace(QUICK, step_sizes=(1e-4, 0.9e-2, 2e-2))
        run = initial(QUICK, "all", 0, relative=np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
        assert run.relative_at(1e-2, settings) == 2
        assert run.relative_at(1e-3, settings) == 2  # nearest by its logarithm
        run = initial(QUICK, "all", 0, deviations=np.array([7.0, 2.0, 5.0, 8.0]))
        assert run.growth == 4  # behind the last block, by behind the first


class TestDivergence:
    def test_against_the_start(self, study):
        run = study.divergence(2)
        assert run.losses[0] == study.initial("xavier", "none", 2).loss
        assert (run.fractions[0], run.fractions[-1]) == (0, 1)
        assert len(run.mean) == len(run.var) == 3
        assert [mean.shape for mean in run.mean] == [(len(run.fractions), c) for c in (16, 32, 64)]
        model, (x, y) = digits_network("none", 2), first_batch(study, 8, 2)
        names = [convolution(8, layer) for layer in QUICK.maps]
        at_start = bn.channel_statistics(model, x, names)
        nn.CrossEntropyLoss()(model(x), y).backward()
        tn.optim.SGD(model.parameters(), QUICK.diverging_rate).step()
        at_end = bn.channel_statistics(model, x, names)
        for place, name in enumerate(names):
            np.testing.assert_allclose(run.mean[place][0], at_start[name].mean, rtol=1e-6)
            np.testing.assert_allclose(run.var[place][-1], at_end[name].var, rtol=1e-3)
        assert run.largest.tolist() == [var[-1].max() for var in run.var]


class TestRates:
    def test_search(self, study):
        run = study.rates(8, "all", 1)
        assert run.limit == 1e3  # ten times the first loss is less
        tried = [trial.rate for trial in run.trials]
        assert tried == sorted(tried)
        low, high = QUICK.rate_range
        assert low <= tried[0] <= tried[-1] <= high
        held = [trial.rate for trial in run.trials if trial.stable]
        assert run.largest == max(held, default=None)
        first = nn.CrossEntropyLoss()
        x, y = first_batch(study, 4, 1)
        assert run.trials[0].losses[0] == first(digits_network("all", 1)(x), y).item()

    def test_limit_of_a_network_that_begins_far_above(self, study, monkeypatch):
        usual = understanding_study.network

        def far(*arguments: Any, **options: Any) -> nn.Sequential:
            model = usual(*arguments, **options)
            with tn.no_grad():
                next(module for module in model.modules() if isinstance(module, nn.Linear)).weight.mul_(1e4)
            return model

        monkeypatch.setattr(understanding_study, "network", far)
        run = study.rates(8, "none", 0)
        assert run.limit == pytest.approx(10 * run.trials[0].losses[0])
        assert run.limit > 1e3

    def test_loss_at_the_end(self):
        assert rates(0.1, end=5.0).end == 5.0  # the last of four steps
        assert rates(None).end is None
        losses = tuple(float(step) for step in range(10))
        run = Rates(1e3, 0.5, (RateTrial(0.25, True, (0.0,)), RateTrial(0.5, True, losses)))
        assert run.end == 8  # of 7, 8 and 9: a quarter of ten, rounded up


class TestTraining:
    def test_what_is_kept(self, study):
        run = study.training("last", 0.03, 4)
        assert run.losses.shape == (2 * 3,)  # 24 images in batches of 8, two epochs
        assert len(run.train_accuracy) == len(run.test_accuracy) == 2
        assert run.diverged is None
        assert run.final(0.1) == run.test_accuracy[-1]
        assert {share * 10 % 1 for share in run.test_accuracy} == {0}  # of ten images
        trained = study.runs.folder / "training-last-0.03-seed4.safetensors"
        assert trained.exists()
        assert not study.runs.begun()

    def test_trained_and_tested_on_the_first_images(self, study):
        assert len(study.few.training.x) == 24
        assert len(study.few.test.x) == 10
        np.testing.assert_array_equal(study.few.training.x, study.images.training.x[:24])
        np.testing.assert_array_equal(study.few.test.y, study.images.test.y[:10])

    def test_divergence_ends_it(self, study):
        run = study.training("none", 99999.0, 0)
        assert isinstance(run.diverged, int)
        assert len(run.losses) == run.diverged
        assert not math.isfinite(run.losses[-1])
        assert run.final(0.1) == 0.1

    def test_guessing_where_there_is_no_end(self):
        assert training(0.3, 0.5).final(0.1) == 0.5
        assert training(0.3, diverged=9).final(0.1) == 0.1
        assert training().final(0.25) == 0.25


class TestNoise:
    def test_measured(self, study):
        run = study.noise(0)
        assert run.sizes.tolist() == [4, 8]
        assert list(run.measured) == list(run.theory) == ["with", "without"]
        ratio = run.theory["without"] / run.theory["with"]
        np.testing.assert_allclose(ratio, [(40 - 4) / 39, (40 - 8) / 39])
        assert run.theory["with"][0] == pytest.approx(2 * run.theory["with"][1])
        for way in ("with", "without"):
            np.testing.assert_allclose(run.measured[way], run.theory[way], rtol=0.6)  # ten draws
        assert run.doubled == pytest.approx(4, rel=1e-9)

    def test_slope_and_deviation(self):
        run = noise(QUICK, 1.25)
        assert run.slope() == pytest.approx(-1)
        assert run.deviation() == pytest.approx(0.25)
        run.measured["with"][:] = 3 / run.sizes**2
        assert run.slope() == pytest.approx(-2)
        run.measured["without"][:] = run.theory["without"] * [1, 0.5]
        run.measured["with"][:] = run.theory["with"]
        assert run.deviation() == pytest.approx(0.5)


class TestProducts:
    def test_drawn(self, study):
        run = study.products(0)
        assert list(run.values) == [1, 3, 5]
        assert {values.shape for values in run.values.values()} == {(3, 10)}
        assert all((np.diff(values) <= 0).all() for values in run.values.values())
        assert len({values[0, 0] for values in run.values.values()}) == 3
        assert run.values[1][0].tolist() != run.values[1][1].tolist()
        again = study.products(0)
        assert again.values[5].tolist() == run.values[5].tolist()
        assert study.products(1).values[1].tolist() != run.values[1].tolist()

    def test_variance_of_the_entries(self, study, tmp_path):
        """The mean squared singular value of one matrix is N times the variance of its entries: 1."""
        large = dataclasses.replace(QUICK, product_size=150)
        run = Study(study.images, large, Runs(tmp_path / "large")).products(0)
        assert (run.values[1] ** 2).mean() == pytest.approx(1, rel=0.03)
        assert run.distance() < 0.03

    def test_numbers(self):
        run = products(QUICK, 0)
        for factors, values in run.values.items():
            assert run.small()[factors] == (values < 0.1).mean()
            assert run.small(0.5)[factors] == (values < 0.5).mean()
            ratio = np.log10(values.max(axis=1) / values.min(axis=1)).mean()
            assert run.condition()[factors] == pytest.approx(ratio)
        edges = {1: 2.0, 3: math.sqrt(4**4 / 3**3), 5: math.sqrt(6**6 / 5**5)}
        errors = [abs(run.values[m].max(axis=1).mean() / edge - 1) for m, edge in edges.items()]
        assert run.edge_error() == pytest.approx(max(errors))

    @pytest.mark.parametrize("scale", [0.7, 1.0, 1.4])  # the law lies above or below
    @pytest.mark.parametrize("factors", [1, 3, 5])
    def test_distance_is_that_of_kolmogorov_and_smirnov(self, factors, scale):
        values = scale * products(QUICK, 1).values[factors]
        reference = stats.kstest(values.ravel(), lambda s: bn.singular_value_cdf(s, factors)).statistic
        assert Products({factors: values}).distance() == pytest.approx(reference, abs=1e-12)


class TestImages:
    def test_too_few(self, images, tmp_path):
        for name, value, needed in (
            ("training_images", 2_000, "2,000"),
            ("noise_images", 3_000, "3,000"),
            ("rate_steps", 1_000, "4,000"),
            ("looks", (1, 500), "4,000"),
        ):
            settings = dataclasses.replace(QUICK, **{name: value})
            with pytest.raises(ArgumentError, match=rf"at least {needed} training images; got 1,2"):
                Study(images, settings, Runs(tmp_path))
