"""The training loop of the studies and the MNIST study: claims, and what a run measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn, optim
from tinynet.bn import PercentileHistory
from tinynet.data import DataLoader, TensorDataset
from tinynet.errors import ArgumentError
from tinynet.experiments import Runs, train
from tinynet.experiments.mnist_study import (
    DEFAULT_STEPS,
    Images,
    Run,
    Settings,
    claims,
    get_run,
    population,
    train_network,
)
from tinynet.models import mnist_mlp


class TestTrain:
    def loader(self, rng: np.random.Generator) -> DataLoader:
        x = rng.standard_normal((50, 4)).astype(np.float32)
        return DataLoader(TensorDataset(x, rng.integers(3, size=50)), 8, shuffle=True, drop_last=True, seed=3)

    def test_same_weights_as_a_loop_written_out(self, rng, capfd):
        loader, weights = self.loader(rng), []
        for ours in (True, False):
            tn.manual_seed(1)
            model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Sigmoid(), nn.Linear(6, 3))
            model.eval()
            optimizer, loss = optim.SGD(model.parameters(), lr=0.5), nn.CrossEntropyLoss()
            loader.set_epoch(0)
            if ours:
                train(model, optimizer, loss, loader, 15, label="bar")
            else:
                model.train()
                batches = [batch for _ in range(3) for batch in loader]  # 6 per epoch
                for x, y in batches[:15]:
                    optimizer.zero_grad()
                    loss(model(x), y).backward()
                    optimizer.step()
            weights.append([value.numpy().copy() for value in model.state_dict().values()])
        for a, b in zip(*weights, strict=True):
            np.testing.assert_array_equal(a, b)
        errors = capfd.readouterr().err
        assert "bar" in errors
        assert "15/15" in errors

    @pytest.mark.parametrize(
        ("steps", "every", "expected"),
        [(10, 4, [1, 4, 8, 10]), (8, 4, [1, 4, 8]), (1, 250, [1]), (3, 1, [1, 2, 3])],
    )
    def test_measures_after_these_steps(self, rng, capfd, steps, every, expected):
        model, seen = nn.Linear(4, 3), []

        def measure(step: int) -> str:
            seen.append(step)
            return f"note {step}"

        optimizer = optim.SGD(model.parameters(), lr=0.1)
        train(
            model,
            optimizer,
            nn.CrossEntropyLoss(),
            self.loader(rng),
            steps,
            measure=measure,
            every=every,
        )
        assert seen == expected
        assert f"note {steps}" in capfd.readouterr().err

    @pytest.mark.parametrize(("steps", "every", "message"), [(0, 1, "steps"), (1, 0, "every")])
    def test_counts_are_positive(self, rng, steps, every, message):
        model = nn.Linear(4, 3)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        with pytest.raises(ArgumentError, match=rf"^train: {message} must be a positive int; got 0$"):
            train(model, optimizer, nn.CrossEntropyLoss(), self.loader(rng), steps, every=every)


def run_of(accuracies: dict[int, float], middle: float) -> Run:
    """Measurements with these accuracies; the 50th percentile of three units runs from 0 to `middle`."""
    shifts = [middle * step / max(accuracies) for step in accuracies]
    percentiles = [np.array([[-1.0], [shift], [1.0]]).repeat(3, axis=1) for shift in shifts]
    return Run(list(accuracies.values()), PercentileHistory(steps=accuracies, percentiles=percentiles), 1.0)


class TestRun:
    def test_accuracy_by_step(self):
        run = run_of({1: 0.1, 250: 0.7}, 1.0)
        assert run.curve == [(1, 0.1), (250, 0.7)]
        assert run.accuracy_at(250) == 0.7
        assert run.accuracy_at(2) is None


class TestMnistClaims:
    BASELINE = run_of({0: 0.1, 1000: 0.5, 5000: 0.9, 20_000: 0.94, 50_000: 0.97}, 2.0)
    BN = run_of({0: 0.1, 1000: 0.9, 5000: 0.96, 20_000: 0.97, 50_000: 0.975}, 1.0)
    EXPECTED = (0.9, 0.5, 0.2, 0.4, 0.5, 0.5)

    def test_values_and_bounds_on_mnist(self):
        result = claims("mnist", Settings(), self.BASELINE, self.BN)
        assert [claim.value for claim in result] == pytest.approx(self.EXPECTED)
        bounds = [">= 0.85", "<= 0.6", "<= 0.3333", "<= 0.4", ">= 0.3", "<= 0.6"]
        assert [claim.bound for claim in result] == bounds
        assert [claim.holds for claim in result] == [True] * 6

    def test_roles_exchanged(self):
        """A network that is worse in every respect misses every claim; what it never reaches has no value."""
        result = claims("mnist", Settings(), self.BN, self.BASELINE)
        assert [claim.holds for claim in result] == [False] * 6
        assert result[2].value == pytest.approx(5.0)
        assert result[3].value is None

    @pytest.mark.parametrize(
        ("name", "settings"),
        [
            ("mnist", Settings(steps=5000)),
            ("mnist", Settings(lr=0.5)),
            ("mnist", Settings(std=1.0)),
            ("mnist", Settings(batch_size=32)),
            ("mnist", Settings(every=50)),
            ("fashion-mnist", Settings()),
            ("digits", Settings()),
            ("digits", Settings(steps=5000, lr=0.2)),
        ],
    )
    def test_no_bounds_elsewhere(self, name, settings):
        result = claims(name, settings, self.BASELINE, self.BN)
        assert all(claim.bound is None and claim.holds is None for claim in result)
        assert result[0].value == 0.9

    def test_digits_have_one_bound(self):
        settings = Settings(steps=DEFAULT_STEPS["digits"])
        result = claims("digits", settings, self.BASELINE, self.BN)
        assert [claim.bound for claim in result] == [None, None, "<= 0.3333", None, None, None]
        assert result[2].holds is True

    def test_baseline_that_never_reaches_the_level(self):
        slow = run_of({0: 0.1, 1000: 0.5, 50_000: 0.89}, 2.0)
        result = claims("mnist", Settings(), slow, self.BN)
        assert result[2].value == pytest.approx(1000 / 50_000)  # an upper bound: it needs more than all steps
        assert claims("mnist", Settings(), slow, slow)[2].value is None


class TestTrainNetwork:
    @pytest.fixture
    def images(self, rng) -> Images:
        """Ten noisy patterns."""
        patterns = rng.random((10, 784)) < 0.2
        parts = []
        for count in (300, 100):
            y = rng.integers(10, size=count)
            parts += [patterns[y] ^ (rng.random((count, 784)) < 0.1), y]
        return Images("patterns", parts[0].astype(np.uint8), parts[1], parts[2].astype(np.float32), parts[3])

    SETTINGS = Settings(steps=60, batch_size=20, every=20, population_batches=4)

    def test_population_is_fixed_and_without_repetition(self, images):
        batches = population(images, self.SETTINGS)
        assert [batch.shape for batch in batches] == [(20, 784)] * 4
        assert all(batch.dtype == np.float32 for batch in batches)
        rows = np.concatenate([batch.numpy() for batch in batches])
        indices = {int(np.flatnonzero((images.x == row).all(axis=1))[0]) for row in rows}
        assert len(indices) == 80
        again = population(images, self.SETTINGS)
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(batches, again, strict=True))
        many = Settings(batch_size=20, population_batches=1000)
        assert len(population(images, many)) == 15  # one epoch at most

    def test_repeats_bit_for_bit_and_depends_on_the_seed(self, images):
        runs = [train_network(images, self.SETTINGS, seed, batch_norm=True) for seed in (0, 0, 1)]
        assert runs[0].inputs.steps == [1, 20, 40, 60]
        assert runs[0].accuracy == runs[1].accuracy
        first, same, other = (np.stack(run.inputs.percentiles) for run in runs)
        assert first.shape == (4, 3, 100)
        np.testing.assert_array_equal(first, same)
        assert not np.array_equal(first, other)
        assert runs[0].seconds > 0

    @pytest.mark.parametrize("network", ["baseline", "batch_norm"])
    def test_kept_run_is_the_one_that_was_trained(self, images, tmp_path, network):
        trained = train_network(images, self.SETTINGS, 3, batch_norm=network == "batch_norm")
        first, second = Runs(tmp_path), Runs(tmp_path)
        made = get_run(first, images, self.SETTINGS, 3, network)
        kept = get_run(second, images, self.SETTINGS, 3, network)
        assert (first.made, second.kept) == ([f"{network}-seed3"], [f"{network}-seed3"])
        assert kept.seconds == made.seconds  # of the training, not of the reading
        for run in (made, kept):
            assert run.accuracy == trained.accuracy
            assert run.curve == trained.curve
            np.testing.assert_array_equal(run.inputs.drift(), trained.inputs.drift())
            np.testing.assert_array_equal(run.inputs.percentiles, trained.inputs.percentiles)

    def test_run_of_other_settings_is_refused(self, images, tmp_path):
        runs = Runs(tmp_path)
        get_run(runs, images, self.SETTINGS, 0, "baseline")
        with pytest.raises(ArgumentError, match=r"^Runs: lr must be 0.1 as in .*; got 0.2: choose another"):
            get_run(runs, images, replace(self.SETTINGS, lr=0.2), 0, "baseline")
        with pytest.raises(ArgumentError, match=r"^Runs: dataset must be 'patterns' as in .*; got 'others'"):
            get_run(runs, replace(images, name="others"), self.SETTINGS, 0, "baseline")

    def test_inputs_of_the_last_sigmoid_are_normalised(self, images):
        """After one step BN's output has, over the population, mean about 0 and variance about 1."""
        settings = Settings(steps=1, batch_size=20, population_batches=15)
        inputs = train_network(images, settings, 0, batch_norm=True).inputs
        low, middle, high = inputs.median_over_units()[0]
        assert abs(middle) < 0.3
        assert -1.5 < low < -0.5  # a normal distribution's 15th percentile is -1.04
        assert 0.5 < high < 1.5

    def test_both_networks_start_from_the_same_weights(self):
        with_bn, without = (
            mnist_mlp(batch_norm=flag, weight_std=0.1, generator=tn.Generator(4)) for flag in (True, False)
        )
        pairs = zip(
            [m for m in with_bn.modules() if isinstance(m, nn.Linear)],
            [m for m in without.modules() if isinstance(m, nn.Linear)],
            strict=True,
        )
        for a, b in pairs:
            np.testing.assert_array_equal(a.weight.detach().numpy(), b.weight.detach().numpy())
            assert 0.08 < float(a.weight.detach().numpy().std()) < 0.12
            assert not b.bias.detach().numpy().any()
