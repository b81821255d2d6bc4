"""The checks of the batch-normalisation paper: closed forms, and that each would find what it looks for."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math

import numpy as np
import pytest
from scipy import stats

import tinynet as tn
from tinynet import bn, nn
from tinynet.experiments import mechanics
from tinynet.experiments.mechanics import (
    Gradients,
    backward_by_chain_rule,
    backward_by_differences,
    backward_simplified,
    check_backward,
    check_convolution,
    check_scale,
    forward,
    relative_error,
    rows_of,
    train_bias,
)
from tinynet.experiments.mechanics_claims import claims, curves
from tinynet.experiments.mechanics_statistics import (
    Noise,
    batch_noise,
    check_algorithm_2,
    check_unbiased,
    inputs_of_norms,
)
from tinynet.experiments.mechanics_study import (
    NETWORKS,
    SMOKE,
    Outcome,
    Settings,
    measure,
    stable_rates,
)
from tinynet.experiments.mnist_study import Images


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """The networks are small: on busy cores two threads would wait for each other."""
    before = tn.get_num_threads()
    tn.set_num_threads(1)
    yield
    tn.set_num_threads(before)


class TestBackward:
    def test_two_values_in_closed_form(self):
        """With h = (x_1 - x_2) / 2, xh = +-h / sqrt(h^2 + eps), whose slope is eps / (h^2 + eps)^(3/2)."""
        x, g, gamma = np.array([[1.0], [-0.4]]), np.array([[0.3], [2.0]]), np.array([1.7])
        eps, h = 0.1, 0.7
        found = backward_by_chain_rule(x, g, gamma, eps)
        slope = 1.7 * (0.3 - 2.0) * eps / (h * h + eps) ** 1.5 / 2
        np.testing.assert_allclose(found.gx[:, 0], [slope, -slope], rtol=1e-12)
        np.testing.assert_allclose(found.ggamma, (0.3 - 2.0) * h / math.sqrt(h * h + eps), rtol=1e-12)
        np.testing.assert_allclose(found.gbeta, 2.3, rtol=1e-12)

    def test_way_stations_are_slopes(self, rng):
        """dl/dvar and dl/dmu, with xh = (x - mu) / sqrt(var + eps) as a function of both."""
        x, g, gamma = rng.normal(size=(9, 2)), rng.normal(size=(9, 2)), rng.normal(size=2)
        mu, var, step = x.mean(0), x.var(0), 1e-6

        def loss(mu, var):
            return (g * gamma * (x - mu) / np.sqrt(var + 1e-5)).sum(0)

        found = backward_by_chain_rule(x, g, gamma)
        gvar = (loss(mu, var + step) - loss(mu, var - step)) / (2 * step)
        direct = (loss(mu + step, var) - loss(mu - step, var)) / (2 * step)
        np.testing.assert_allclose(found.gvar, gvar, rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(found.gmu - found.vanishing, direct, rtol=1e-7, atol=1e-8)
        assert np.abs(found.vanishing).max() < 1e-13

    def test_three_ways_agree(self, rng):
        x, g = 5 + rng.normal(size=(7, 3)), rng.normal(size=(7, 3))
        gamma, beta = rng.normal(size=3), rng.normal(size=3)
        printed = backward_by_chain_rule(x, g, gamma)
        before = x.copy()
        assert backward_by_differences(x, g, gamma, beta).relative_error(printed) < 1e-8
        assert np.array_equal(x, before)
        np.testing.assert_allclose(backward_simplified(x, g, gamma), printed.gx, rtol=1e-10, atol=1e-13)

    def test_forward_normalises(self, rng):
        y = forward(rng.normal(size=(50, 2)) * 9 + 4, np.array([2.0, 3.0]), np.array([-1.0, 1.0]), eps=1e-12)
        np.testing.assert_allclose(y.mean(0), [-1, 1], atol=1e-12)
        np.testing.assert_allclose(y.std(0), [2, 3], rtol=1e-10)

    @pytest.mark.parametrize("seed", range(5))
    def test_check_holds(self, seed):
        found = check_backward(tn.Generator(seed))
        assert 0 < found.differences < 1e-6
        assert max(found.batch_norm_1d, found.batch_norm_2d, found.simplified) < 1e-12
        assert found.vanishing < 1e-12

    def test_check_finds_a_layer_with_another_eps(self, monkeypatch):
        monkeypatch.setattr(
            mechanics, "BatchNorm2d", lambda c, dtype: nn.BatchNorm2d(c, eps=2e-5, dtype=dtype)
        )
        found = check_backward(tn.Generator(0))
        assert found.batch_norm_1d < 1e-12
        assert found.batch_norm_2d > 1e-7

    def test_check_finds_a_wrong_equation(self, monkeypatch):
        def wrong(x, g, gamma, eps=1e-5):
            right = backward_by_chain_rule(x, g, gamma, eps)
            return dataclasses.replace(right, gx=g * gamma / np.sqrt(x.var(axis=0) + eps))

        monkeypatch.setattr(mechanics, "backward_by_chain_rule", wrong)
        found = check_backward(tn.Generator(0))
        assert min(found.differences, found.batch_norm_1d, found.batch_norm_2d, found.simplified) > 1e-2

    def test_the_largest_of_three_errors(self):
        a = Gradients(np.ones((2, 1)), np.ones(1), np.ones(1))
        assert a.relative_error(dataclasses.replace(a, gbeta=np.array([2.0]))) == 0.5

    def test_no_number_is_the_worst(self):
        a = Gradients(np.ones((2, 1)), np.ones(1), np.ones(1))
        assert math.isnan(dataclasses.replace(a, gbeta=np.array([math.nan])).relative_error(a))

    def test_relative_error_is_of_the_largest(self):
        assert relative_error([1.0, 0.5], [2.0, 0.0]) == 0.5
        assert relative_error([1.0, -3.0], [2.0, -4.0]) == 0.25
        assert relative_error([2.0], [2.0]) == 0

    def test_rows_are_pixels(self):
        x = np.arange(24).reshape(2, 3, 2, 2)
        assert rows_of(x).tolist()[:2] == [[0, 4, 8], [1, 5, 9]]
        assert rows_of(x).shape == (8, 3)
        assert np.array_equal(rows_of(x[:, :, 0, 0]), x[:, :, 0, 0])


class TestScale:
    def test_errors_are_those_of_eps(self):
        """y = z / sqrt(var + eps / a^2) for z = Wu - mean: known for every a."""
        small, one, ten, minus = check_scale(tn.Generator(0), [1e-2, 1.0, 10.0, -1.0])
        assert one.output == one.jacobian == one.gradient == 0
        assert one.ratio == 1
        assert 1e-6 < ten.output < 1e-4
        assert 1e-6 < ten.jacobian < 1e-4
        assert 1e-6 < ten.gradient < 1e-4
        assert ten.ratio == pytest.approx(0.1, rel=1e-4)
        assert 0.02 < small.output < 0.1  # eps / a^2 = 0.1, half of that
        assert 90 < small.ratio < 100
        assert minus.output == 2  # BN(-Wu) = -BN(Wu)

    def test_tiny_weights_leave_the_root_of_eps(self):
        """For a to 0 the gradient stops at that of z / sqrt(eps), about 1 / sqrt(eps) times W's."""
        *_, last = check_scale(tn.Generator(1), [1e-8])
        assert last.output == pytest.approx(1, abs=1e-4)
        assert 100 < last.ratio < 1000


class TestBias:
    def test_outside_it_grows_by_the_same_step(self):
        generator = tn.Generator(4)
        u, t = mechanics.normal(generator, 64, 5), 1 + mechanics.normal(generator, 64, 5)
        run = train_bias(tn.Generator(4), 50, through_mean=False, lr=0.2)
        step = 0.2 * 2 * (t - (u - u.mean(0))).mean(0)
        np.testing.assert_allclose(run.bias, np.arange(51)[:, None] * step, rtol=1e-10)
        np.testing.assert_allclose(run.loss, ((u - u.mean(0) - t) ** 2).sum(1).mean(), rtol=1e-12)
        assert run.output < 1e-12
        assert run.gradient == pytest.approx(np.abs(step).max() / 0.2)

    def test_through_the_mean_it_stays(self):
        run = train_bias(tn.Generator(4), 50, through_mean=True)
        assert np.abs(run.bias).max() < 1e-12
        assert run.gradient < 1e-13
        assert len(run.bias) == len(run.loss) == 51


class TestConvolution:
    def test_counts(self):
        found = check_convolution(tn.Generator(0))
        assert found.values == 6 * 5 * 3
        assert found.counted == pytest.approx(90, rel=1e-10)
        assert (found.pairs, found.maps, found.activations) == (4, 4, 60)
        assert max(found.statistics, found.output, found.gradients) < 1e-12

    def test_finds_statistics_of_another_axis(self, monkeypatch):
        monkeypatch.setattr(mechanics, "rows_of", lambda x: x.reshape(-1, 4))  # pixels taken for channels
        assert check_convolution(tn.Generator(0)).statistics > 1e-2


def network():
    tn.manual_seed(5)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, bias=False, dtype=np.float64),
        nn.BatchNorm2d(3, dtype=np.float64),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12, 4, dtype=np.float64),
        nn.BatchNorm1d(4, dtype=np.float64),
    )
    rng = np.random.default_rng(0)
    with tn.no_grad():
        for p in model.parameters():
            p.copy_(tn.tensor(rng.normal(size=p.shape)))
    return model, [tn.tensor(rng.normal(size=(6, 2, 4, 4)) + 1) for _ in range(5)]


class TestAlgorithm2:
    def test_holds(self):
        model, batches = network()
        found = check_algorithm_2(model, batches, batches[0])
        assert max(found.mean, found.variance, found.linear_map, found.folded) < 1e-12

    def test_finds_a_missing_factor(self, monkeypatch):
        right = bn.population_statistics

        def biased(model, batches):
            found = right(model, batches)
            with tn.no_grad():
                model[1].running_var.mul_(23 / 24)
                model[5].running_var.mul_(5 / 6)
            return {
                name: (mean, var * (23 / 24 if name == "1" else 5 / 6)) for name, (mean, var) in found.items()
            }

        monkeypatch.setattr(bn, "population_statistics", biased)
        model, batches = network()
        found = check_algorithm_2(model, batches, batches[0])
        assert found.mean < 1e-12
        assert found.variance == pytest.approx(1 / 6)
        assert found.linear_map > 1e-2
        assert found.folded < 1e-12  # folded with the same statistics

    def test_finds_a_wrong_fold(self, monkeypatch):
        monkeypatch.setattr(bn, "fold", lambda model: nn.Sequential(copy.deepcopy(model), nn.Tanh()))
        model, batches = network()
        assert check_algorithm_2(model, batches, batches[0]).folded > 1e-2

    def test_inputs_in_both_modes(self):
        model, batches = network()
        state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
        training = inputs_of_norms(model, batches)
        assert [each.shape for each in training["1"]] == [(6, 3, 2, 2)] * 5
        assert [each.shape for each in training["5"]] == [(6, 4)] * 5
        inference = inputs_of_norms(model, batches, training=False)
        assert np.array_equal(training["1"][0], inference["1"][0])
        assert not np.array_equal(training["5"][0], inference["5"][0])
        assert all(np.array_equal(value.numpy(), state[name]) for name, value in model.state_dict().items())
        assert not model[1]._forward_pre_hooks


class TestUnbiased:
    def test_two_values(self):
        """Of the batches 00, 01, 10, 11 two have the variance 1/4: 1/8 on average, half of the 1/4."""
        found = check_unbiased(np.array([0.0, 1.0]), 2)
        assert (found.m, found.biased, found.corrected) == (2, 0.5, 1.0)

    @pytest.mark.parametrize("m", [2, 3, 4])
    def test_any_values(self, rng, m):
        found = check_unbiased(rng.normal(size=6) ** 3, m)
        assert found.biased == pytest.approx((m - 1) / m, rel=1e-12)
        assert found.corrected == pytest.approx(1, rel=1e-12)


class TestNoise:
    def test_theory_is_exact(self, rng):
        """Against all batches of 3 from a population of 5."""
        population = rng.normal(size=(5, 2)) ** 3
        noise = batch_noise(population, [3], 10, tn.Generator(0))
        chosen = np.array(list(itertools.product(range(5), repeat=3)))
        batches = population[chosen]  # (125, 3, 2)
        mean = batches.mean(1).std(0) / population.std(0)
        variance = batches.var(1).std(0) / population.var(0)
        np.testing.assert_allclose(noise.mean_theory, np.sqrt((mean**2).mean()), rtol=1e-12)
        np.testing.assert_allclose(noise.variance_theory, np.sqrt((variance**2).mean()), rtol=1e-12)

    def test_measured_noise_is_that_of_theory(self):
        population = stats.expon.ppf((np.arange(400) + 0.5) / 400)[:, None] * [1.0, 7.0] + 3
        noise = batch_noise(population, (2, 8, 32), 2000, tn.Generator(1))
        assert noise.deviation() < 0.1
        assert noise.slope("mean") == pytest.approx(-0.5, abs=0.05)

    def test_slope_and_deviation(self):
        m = np.array([2.0, 4.0, 8.0])
        noise = Noise((2, 4, 8), 3 * m**-0.5, m**-0.4, 3 * m**-0.5, 1.25 * m**-0.4)
        assert noise.slope("mean") == pytest.approx(-0.5)
        assert noise.slope("variance") == pytest.approx(-0.4)
        assert noise.deviation() == pytest.approx(0.2)

    def test_units_count_alike_whatever_their_scale(self):
        population = np.random.default_rng(0).normal(size=(300, 1))
        one = batch_noise(population, [4], 50, tn.Generator(2))
        scaled = batch_noise(population * 1000 + 5, [4], 50, tn.Generator(2))
        np.testing.assert_allclose(one.mean, scaled.mean, rtol=1e-10)
        np.testing.assert_allclose(one.variance, scaled.variance, rtol=1e-10)


@pytest.fixture(scope="module")
def images():
    """Ten classes of binary images, told apart by a row of pixels each."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 10
    x = (rng.random((400, 784)) < 0.1).astype(np.uint8)
    for row, label in zip(x, y, strict=True):
        row[28 * label : 28 * label + 28] = 1
    y = y.astype(np.int64)
    return Images("digits", x, y, x[:50].astype(np.float32), y[:50])


DEEP = "ReLU, 10 hidden layers"
SHORT = dataclasses.replace(
    SMOKE, train_steps=5, population_batches=3, bias_steps=20, noise_batches=20, rate_steps=30
)


@pytest.fixture(scope="module")
def outcome(images):
    return measure(images, SHORT, 3)


class TestStudy:
    def test_measures_everything(self, images):
        parts = []
        again = measure(images, SHORT, 3, at=parts.append)
        assert isinstance(again, Outcome)
        assert parts == list(again.seconds)
        assert parts[-1] == "the largest stable rates"

    def test_same_seed_same_numbers(self, images, outcome):
        again = measure(images, SHORT, 3)
        assert list(curves(again)) == list(curves(outcome))
        assert claims(SHORT, again) == claims(SHORT, outcome)

    def test_rates_of_every_network(self, images, outcome):
        assert list(outcome.rates) == list(NETWORKS)
        rates = outcome.rates[DEEP]
        assert list(rates) == ["without", "with"]
        assert outcome.ratio(DEEP) == rates["with"].rate / rates["without"].rate
        first = [rates[which].trials[0].losses[0] for which in rates]
        assert first[0] != first[1]  # with batch normalisation it is another network
        assert stable_rates(images, SHORT, 3) == outcome.rates

    def test_ratio_without_a_rate(self, outcome):
        nothing = bn.StableRate(None, None, ())
        rates = {DEEP: {"without": nothing, "with": outcome.rates[DEEP]["with"]}}
        assert dataclasses.replace(outcome, rates=rates).ratio(DEEP) is None


class TestClaims:
    def test_short_runs_claim_the_exact_statements_only(self, outcome):
        found = claims(SHORT, outcome)
        assert len({claim.name for claim in found}) == len(found) == 30
        assert [claim.holds for claim in found[23:]] == [None] * 7
        growth = [claim for claim in found[:23] if "after 20 steps" in claim.name]
        assert [claim.holds for claim in found[:23] if claim not in growth] == [True] * 22
        assert growth[0].value == pytest.approx(20 * 0.2, rel=0.3)  # 10 is asked for: 1,000 steps give 200
        assert growth[0].holds is False

    def test_default_settings_have_all_bounds(self, outcome):
        found = claims(Settings(), outcome)
        assert not [claim.name for claim in found if claim.holds is None]
        assert [claim.bound for claim in found[-4:]] == [">= 10"] * len(NETWORKS)

    @pytest.mark.parametrize(
        ("part", "change", "number"),
        [
            ("backward", {"differences": 2e-6}, 1),
            ("backward", {"batch_norm_1d": 2e-6}, 2),
            ("backward", {"batch_norm_2d": 2e-6}, 3),
            ("backward", {"simplified": 2e-6}, 4),
            ("backward", {"vanishing": 2e-12}, 5),
            ("algorithm_2", {"mean": 2e-6}, 6),
            ("algorithm_2", {"variance": 2e-6}, 7),
            ("algorithm_2", {"linear_map": 2e-6}, 10),
            ("algorithm_2", {"folded": 2e-6}, 11),
            ("convolution", {"counted": 89.0}, 15),
            ("convolution", {"statistics": 2e-6}, 16),
            ("convolution", {"output": 2e-6}, 16),
            ("convolution", {"output": math.nan}, 16),
            ("convolution", {"gradients": 2e-6}, 17),
            ("convolution", {"pairs": 60}, 18),
        ],
    )
    def test_a_wrong_number_is_seen(self, outcome, part, change, number):
        changed = dataclasses.replace(
            outcome, **{part: dataclasses.replace(getattr(outcome, part), **change)}
        )
        before, after = claims(SHORT, outcome), claims(SHORT, changed)
        assert [i for i, pair in enumerate(zip(before, after, strict=True), 1) if pair[0] != pair[1]] == [
            number
        ]
        assert after[number - 1].holds is False

    @pytest.mark.parametrize(("name", "number"), [("output", 12), ("jacobian", 13), ("gradient", 14)])
    def test_scale_is_that_of_ten(self, outcome, name, number):
        scale = [
            dataclasses.replace(each, **{name: 2e-4}) if each.a == 10 else each for each in outcome.scale
        ]
        assert claims(SHORT, dataclasses.replace(outcome, scale=scale))[number - 1].holds is False

    def test_a_bias_that_curves_or_moves_the_loss(self, outcome):
        outside = outcome.bias["outside"]
        bent = dataclasses.replace(outside, bias=outside.bias**2, loss=outside.loss * np.linspace(1, 1.1, 21))
        bias = {"outside": bent, "through": dataclasses.replace(outcome.bias["through"], gradient=1e-3)}
        found = claims(SHORT, dataclasses.replace(outcome, bias=bias))
        assert [claim.holds for claim in found[19:23]] == [False, False, True, False]

    def test_noise_off_the_line(self, outcome):
        sizes = np.array(outcome.noise.sizes, float)
        noise = Noise(outcome.noise.sizes, sizes**-0.44, sizes**-0.35, sizes**-0.5, sizes**-0.5)
        found = claims(Settings(), dataclasses.replace(outcome, noise=noise))
        assert [claim.holds for claim in found[23:26]] == [False, False, False]
        assert found[23].value == pytest.approx(0.06)

    def test_unbiased_factor(self, outcome):
        wrong = [
            dataclasses.replace(each, biased=1.0, corrected=each.m / (each.m - 1))
            for each in outcome.unbiased
        ]
        found = claims(SHORT, dataclasses.replace(outcome, unbiased=wrong))
        assert [claim.holds for claim in found[7:9]] == [False, False]
        assert found[7].value == pytest.approx(1.0)


def test_curves_are_complete(outcome):
    rows = list(curves(outcome))
    checks = [check for check, _ in itertools.groupby(row[0] for row in rows)]
    assert checks[:4] == [
        "mean outside the gradient",
        "mean through the gradient",
        "scale of the weights",
        "noise of batches",
    ]
    assert checks[4:] == [
        f"stable rate: {network}, {which} BN" for network in NETWORKS for which in ("without", "with")
    ]
    loss = [row[3] for row in rows if row[:2] == ("mean outside the gradient", "loss")]
    assert loss == outcome.bias["outside"].loss.tolist()
    trials = [row for row in rows if row[0] == f"stable rate: {DEEP}, with BN"]
    assert [row[2] for row in trials] == [trial.rate for trial in outcome.rates[DEEP]["with"].trials]
    stable = [row[2] for row in trials if row[1].startswith("stable")]
    assert max(stable) == outcome.rates[DEEP]["with"].rate
