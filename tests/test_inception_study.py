"""The Inception study on toy images: what reaches the network and the optimiser, what it is trained on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from inception_running import (
    MEAN,
    PER_EPOCH,
    SETTINGS,
    STD,
    OnToyImages,
    assert_same,
    dataset,
    levels,
    toy,
)

import tinynet as tn
from tinynet import nn
from tinynet.bn.stability import RateTrial, StableRate
from tinynet.errors import ArgumentError
from tinynet.experiments import Runs, inception_study
from tinynet.experiments.images import Images
from tinynet.experiments.inception_study import Study, best_rate
from tinynet.experiments.inception_variants import (
    BY_NAME,
    ORIGINAL,
    REVISED,
    VARIANTS,
)

pytestmark = pytest.mark.usefixtures("one_thread")

# ---- the data --------------------------------------------------------------------------------------------


class TestSplit(OnToyImages):
    def test_three_parts_of_different_images(self):
        images = toy()
        parts = [part.x[:, 0, 0, 0] for part in (images.training, images.validation, images.test)]
        assert [len(part) for part in parts] == [54, 6, 20]
        np.testing.assert_array_equal(np.sort(np.concatenate(parts[:2])), np.arange(1, 61))
        np.testing.assert_array_equal(parts[2], np.arange(101, 121))
        for part in (images.training, images.validation, images.test):
            assert part.x.shape[1:] == (1, 8, 8)
            np.testing.assert_array_equal(part.y, part.x[:, 0, 0, 0] % 3)

    def test_drawn_once_for_all(self):
        """Not the first tenth, nor another one in another call, whatever others draw."""
        first = toy().validation.x[:, 0, 0, 0]
        tn.manual_seed(7)
        np.random.seed(7)  # noqa: NPY002
        np.testing.assert_array_equal(toy("other").validation.x[:, 0, 0, 0], first)
        assert set(first) != set(range(1, 7))

    @pytest.mark.parametrize(("count", "held"), [(10, 1), (19, 1), (20, 2)])
    def test_a_tenth_rounded_down(self, count, held):
        images = Images.of(dataset(count, 1), dataset(3, 101))
        assert (len(images.training.x), len(images.validation.x)) == (count - held, held)

    def test_limit_takes_the_first_of_each(self):
        images = Images.of(dataset(60, 1), dataset(20, 101), limit=10)
        found = np.concatenate([images.training.x, images.validation.x])[:, 0, 0, 0]
        np.testing.assert_array_equal(np.sort(found), np.arange(1, 11))
        np.testing.assert_array_equal(images.test.x[:, 0, 0, 0], np.arange(101, 111))

    def test_what_the_grid_is_trained_and_measured_on(self, study, seen):
        study.grid(3)
        held = set(study.images.validation.x[:, 0, 0, 0].tolist())
        trained = set(np.concatenate(seen.trained).tolist())
        assert trained <= set(range(1, 61)) - held
        assert len(trained) == 54
        # 2 rates of 2 epochs measured on the part held out; then the probabilities of the test images
        kinds = [set(part.tolist()) for part in seen.tested]
        tests = set(range(101, 121))
        assert kinds == [held, held, tests] * 2

    def test_test_images_do_not_move_the_base_rate(self, study, tmp_path):
        other = Study(toy(test=151), SETTINGS, Runs(tmp_path / "other"))
        grids = [each.grid(0) for each in (study, other)]
        for rate in SETTINGS.rates:
            assert grids[0][rate].curve == grids[1][rate].curve
            np.testing.assert_array_equal(grids[0][rate].losses, grids[1][rate].losses)
            assert grids[0][rate].probabilities.tobytes() != grids[1][rate].probabilities.tobytes()
        assert best_rate(grids[0]) == best_rate(grids[1])

    @pytest.mark.parametrize("seed", [0, 1])
    def test_variants_never_see_the_part_held_out(self, study, seen, seed):
        for name in ("inception", "bn-x5"):
            study.variant(BY_NAME[name], 0.01, seed)
        held = set(study.images.validation.x[:, 0, 0, 0].tolist())
        assert not held & set(np.concatenate(seen.trained + seen.tested).tolist())
        assert set(np.concatenate(seen.trained).tolist()) <= set(range(1, 61))
        assert set(np.concatenate(seen.tested).tolist()) == set(range(101, 121))

    def test_too_few_images(self, tmp_path):
        images = Images.of(dataset(9, 1), dataset(3, 101))
        message = r"^Study: images must hold at least 10 training images \(a batch\); got 9$"
        with pytest.raises(ArgumentError, match=message):
            Study(images, replace(SETTINGS, batch_size=10), Runs(tmp_path))


class TestBatches:
    def orders(self, recipe, seed: int, epochs: int = 3) -> list[list[int]]:
        loader = recipe.loader(toy(), 9, seed)
        return [np.concatenate([levels(x.numpy()) for x, _ in loader]).tolist() for _ in range(epochs)]

    def test_original_order_is_drawn_once(self):
        first, second, third = self.orders(ORIGINAL, 0)
        assert first == second == third
        assert len(set(first)) == 54
        assert first != sorted(first)
        assert first != self.orders(ORIGINAL, 1, 1)[0]

    def test_revised_order_is_drawn_for_every_epoch(self):
        first, second, third = self.orders(REVISED, 0)
        assert first != second != third != first
        assert sorted(first) == sorted(second) == sorted(third)
        assert len(set(first)) == 54
        assert first != self.orders(REVISED, 1, 1)[0]

    @pytest.mark.parametrize("recipe", [ORIGINAL, REVISED])
    def test_whole_batches_with_their_labels(self, recipe):
        loader = recipe.loader(toy(), 8, 0)
        batches = list(loader)
        assert len(loader) == len(batches) == 54 // 8
        for x, y in batches:
            assert x.shape == (8, 1, 8, 8)
            np.testing.assert_array_equal(levels(x.numpy()) % 3, y.numpy())

    @pytest.mark.parametrize(("recipe", "frame"), [(ORIGINAL, 4), (REVISED, 2)])
    @pytest.mark.parametrize(("name", "mirrored"), [("cifar-10", True), ("digits", False)])
    def test_crops(self, recipe, frame, name, mirrored):
        """Two pixels side by side show where an image was cropped, and whether it was mirrored."""
        part = dataset(500, 1, name, 16)
        part.images[:] = 0
        part.images[:, 8, 7:9] = 100, 200  # in the middle, the brighter one at the right
        rows, columns, turned = set(), set(), set()
        for x, _ in recipe.loader(Images.of(part, part), 45, 0):
            for image in np.rint((x.numpy()[:, 0] * STD + MEAN) * 255):
                (row, dim), (_, bright) = (np.argwhere(image == level)[0] for level in (100, 200))
                turned.add(bool(bright < dim))
                rows.add(int(row) - 8)
                columns.add(int(min(dim, bright)) - 7)
        assert turned == ({True, False} if mirrored else {False})
        assert (min(rows), max(rows)) == (min(columns), max(columns)) == (-frame, frame)


# ---- what a variant is -----------------------------------------------------------------------------------

# The paper's section 4.2.1 and Figure 3, written out once more: normalised, multiple of the base rate,
# non-linearity, revised recipe, share of the epochs.
WHAT = {
    "inception": (False, 1, nn.ReLU, False, 1.0),
    "bn-baseline": (True, 1, nn.ReLU, False, 1.0),
    "bn-x5": (True, 5, nn.ReLU, True, 0.5),
    "bn-x30": (True, 30, nn.ReLU, True, 0.5),
    "bn-x5-sigmoid": (True, 5, nn.Sigmoid, True, 0.5),
    "inception-x5": (False, 5, nn.ReLU, False, 0.5),
    "inception-sigmoid": (False, 1, nn.Sigmoid, False, 0.5),
    "bn-x30-long": (True, 30, nn.ReLU, True, 1.0),  # not the paper's
}


def layers(model: nn.Module, kind: type) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, kind)]


class TestVariants(OnToyImages):
    def test_the_seven_of_the_paper_and_one_more(self):
        assert [variant.name for variant in VARIANTS] == list(WHAT)
        assert [variant.name for variant in VARIANTS if not variant.in_paper] == ["bn-x30-long"]
        figures = {v.name: (v.paper_steps, v.paper_accuracy) for v in VARIANTS if v.in_paper}
        assert figures == {
            "inception": (31.0e6, 0.722),
            "bn-baseline": (13.3e6, 0.727),
            "bn-x5": (2.1e6, 0.730),
            "bn-x30": (2.7e6, 0.748),
            "bn-x5-sigmoid": (None, 0.698),
            "inception-x5": (None, None),  # overflows
            "inception-sigmoid": (None, 0.001),  # never above chance
        }

    @pytest.mark.parametrize("name", list(WHAT))
    def test_reaches_the_network(self, study, seen, name):
        study.variant(BY_NAME[name], 0.002, 0)
        (model,) = seen.models
        normalised, _, kind, revised, _ = WHAT[name]
        convolutions = layers(model, nn.Conv2d)
        assert len(layers(model, nn.BatchNorm2d)) == (len(convolutions) if normalised else 0)
        assert {c.bias is None for c in convolutions} == {normalised}
        other = {nn.ReLU: nn.Sigmoid, nn.Sigmoid: nn.ReLU}[kind]
        assert len(layers(model, kind)) == len(convolutions)
        assert layers(model, other) == []
        assert [layer.p for layer in layers(model, nn.Dropout)] == ([] if revised else [0.4])
        assert len(layers(model, nn.LocalResponseNorm)) == (0 if revised else 1)

    @pytest.mark.parametrize("name", list(WHAT))
    @pytest.mark.parametrize("base", [0.01, 0.002])
    def test_reaches_the_optimiser(self, study, seen, name, base):
        study.variant(BY_NAME[name], base, 0)
        (trainer,) = seen.trainers
        _, factor, _, revised, share = WHAT[name]
        (group,) = trainer.optimizer.param_groups
        assert isinstance(trainer.optimizer, tn.optim.SGD)
        assert [id(p) for p in group["params"]] == [id(p) for p in trainer.model.parameters()]
        assert (group["momentum"], group["nesterov"], group["dampening"]) == (0.9, False, 0)
        assert group["weight_decay"] == pytest.approx(1e-4 if revised else 5e-4, rel=1e-12)
        steps = int(share * 4) * PER_EPOCH
        t = np.arange(steps, dtype=np.float64)
        speed = 3 / share if revised else 1  # to a thousandth, or to a tenth over all epochs
        expected = base * factor * 10.0 ** (-speed * t / (4 * PER_EPOCH))
        np.testing.assert_allclose(trainer.rates, expected, rtol=1e-12)
        assert trainer.loader.shuffle is revised
        assert trainer.loader.transform.padding == (2 if revised else 4)

    def test_settings_reach_the_optimiser(self, tmp_path, seen):
        settings = replace(SETTINGS, epochs=3, batch_size=27, momentum=0.5, decay=0.01)
        Study(toy(), settings, Runs(tmp_path)).variant(BY_NAME["bn-x5"], 0.01, 0)
        (trainer,) = seen.trainers
        assert trainer.optimizer.param_groups[0]["momentum"] == 0.5
        assert len(trainer.losses) == 2 * 2  # half of 3 epochs, rounded up
        np.testing.assert_allclose(trainer.rates, [0.05 * 0.01 ** (6 * t / 6) for t in range(4)], rtol=1e-12)
        assert {len(part) for part in seen.trained} == {27}

    def test_grid_is_the_original_shortened(self, study, seen):
        results = study.grid(0)
        assert list(results) == [0.01, 0.02]
        for rate, trainer in zip(results, seen.trainers, strict=True):
            assert layers(trainer.model, nn.BatchNorm2d) == []
            assert [layer.p for layer in layers(trainer.model, nn.Dropout)] == [0.4]
            assert not trainer.loader.shuffle
            t = np.arange(2 * PER_EPOCH)  # the rate falls to a tenth all the same
            np.testing.assert_allclose(trainer.rates, rate * 0.1 ** (t / (2 * PER_EPOCH)), rtol=1e-12)
            assert results[rate].steps == [PER_EPOCH, 2 * PER_EPOCH]

    def test_measured_within_epochs(self, study, seen):
        result = study.variant(BY_NAME["bn-x5"], 0.01, 0)
        assert result.steps == [3, 6, 9, 12]
        y = study.images.test.y
        assert result.accuracy[-1] == np.mean(result.probabilities.argmax(axis=1) == y)
        assert result.best == max(result.accuracy)
        np.testing.assert_allclose(result.probabilities.sum(axis=1), 1, rtol=1e-12)
        np.testing.assert_array_equal(result.losses, seen.trainers[0].losses)
        seen.models[0].eval()
        x = study.images.normalize(study.images.test.x)
        scores = seen.models[0](tn.from_numpy(x)).detach().numpy().astype(np.float64)
        expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(result.probabilities, expected, rtol=1e-5)


class TestFirstWeights(OnToyImages):
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("inception", "bn-baseline"),
            ("bn-x5", "bn-x30"),
            ("bn-x5", "bn-x5-sigmoid"),
            ("inception", "bn-x30"),
        ],
    )
    def test_same_of_all_variants(self, study, seen, first, second):
        for name in (first, second):
            tn.rand(3)  # somebody else draws
            study.variant(BY_NAME[name], 0.01, 5)
        ours, theirs = seen.first
        common = ours.keys() & theirs.keys()
        assert {name for name in ours if name.endswith("weight") and ours[name].ndim > 1} <= common
        for name in common:
            np.testing.assert_array_equal(ours[name], theirs[name])

    def test_others_of_another_seed(self, study, seen):
        for seed in (0, 1):
            study.variant(BY_NAME["bn-x5"], 0.01, seed)
        name = "conv1.conv.weight"
        assert not np.array_equal(seen.first[0][name], seen.first[1][name])

    def test_dropout_is_another_for_another_seed_only(self, study, tmp_path):
        """Runs in another order, with other draws between: the same bits."""
        names = ("inception", "inception-x5")
        first = [study.variant(BY_NAME[name], 0.005, 0) for name in names]
        other = Study(toy(), SETTINGS, Runs(tmp_path / "other"))
        again = [other.variant(BY_NAME[name], 0.005, 0) for name in reversed(names)]
        for a, b in zip(first, reversed(again), strict=True):
            assert_same(a, b)
        assert study.variant(BY_NAME[names[0]], 0.005, 1).losses[0] != first[0].losses[0]


# ---- the ensemble and the largest rates ------------------------------------------------------------------


class TestEnsemble(OnToyImages):
    def test_members(self, study, seen):
        members = study.ensemble(0.0005, 4)
        assert list(members) == ["bn-x30-seed4", "bn-x30-dropout0.1-seed5", "bn-x30-seed6"]
        assert [[layer.p for layer in layers(model, nn.Dropout)] for model in seen.models] == [[], [0.1], []]
        for trainer in seen.trainers:
            assert trainer.rates[0] == 30 * 0.0005
            assert trainer.optimizer.param_groups[0]["weight_decay"] == 1e-4
            assert layers(trainer.model, nn.LocalResponseNorm) == []
            assert trainer.loader.shuffle
        assert len({first["conv1.conv.weight"].tobytes() for first in seen.first}) == 3
        assert_same(study.variant(BY_NAME["bn-x30"], 0.0005, 4), members["bn-x30-seed4"])  # the table's
        assert len(seen.models) == 3


class TestStableRate(OnToyImages):
    @pytest.fixture
    def calls(self, monkeypatch) -> list[dict[str, Any]]:
        """What the search is asked for; it answers at once."""
        made: list[dict[str, Any]] = []

        def search(make, loss, batches, **options):
            made.append({"make": make, "loss": loss, "batches": list(batches), **options})
            rate = float(len(made))
            return StableRate(rate, None, (RateTrial(rate, True, (1.0, 0.5)),))

        monkeypatch.setattr(inception_study.bn, "largest_stable_rate", search)
        return made

    @pytest.mark.parametrize("learns", [False, True])
    def test_two_networks_that_differ_by_the_normalisation_alone(self, study, calls, learns):
        found = [study.stable_rate(batch_norm, learns, 2) for batch_norm in (False, True)]
        assert [each.rate for each in found] == [1.0, 2.0]
        for call in calls:
            assert call["learns"] is learns
            assert call["flat"] == math.log(3)
            assert call["momentum"] == 0.9
            assert isinstance(call["loss"], nn.CrossEntropyLoss)
            assert "weight_decay" not in call
            assert len(call["batches"]) == SETTINGS.stable_steps
        for (x, y), (x2, y2) in zip(*(call["batches"] for call in calls), strict=True):
            np.testing.assert_array_equal(x.numpy(), x2.numpy())
            np.testing.assert_array_equal(y.numpy(), y2.numpy())
        without, with_bn = (call["make"]() for call in calls)
        assert (len(layers(without, nn.BatchNorm2d)), len(layers(with_bn, nn.BatchNorm2d))) == (0, 20)
        for model in (without, with_bn):
            assert layers(model, nn.Dropout) + layers(model, nn.LocalResponseNorm) == []
            for convolution, again in zip(layers(model, nn.Conv2d), layers(without, nn.Conv2d), strict=True):
                np.testing.assert_array_equal(
                    convolution.weight.detach().numpy(), again.weight.detach().numpy()
                )
        again = calls[0]["make"]()  # as often as the search likes
        np.testing.assert_array_equal(
            again.conv1.conv.weight.detach().numpy(), without.conv1.conv.weight.detach().numpy()
        )

    def test_searched_once(self, study, calls):
        for learns in (False, True):
            for batch_norm in (False, True):
                study.stable_rate(batch_norm, learns, 0)
        again = Study(study.images, SETTINGS, Runs(study.runs.folder))
        assert again.stable_rate(True, False, 0) == StableRate(2.0, None, (RateTrial(2.0, True, (1.0, 0.5)),))
        assert again.stable_rate(False, True, 0).rate == 3.0
        assert len(calls) == 4
        study.stable_rate(True, True, 1)
        assert len(calls) == 5

    def test_none_is_kept_too(self, study, monkeypatch):
        nothing = StableRate(None, None, (RateTrial(1e-4, False, (1.0, math.inf)),))
        monkeypatch.setattr(inception_study.bn, "largest_stable_rate", lambda *_, **__: nothing)
        assert study.stable_rate(False, False, 0) == study.stable_rate(False, False, 0) == nothing

    def test_finds(self, study):
        """The search itself, on the toy images: more with normalisation than without."""
        without, with_bn = (study.stable_rate(batch_norm, False, 0).rate for batch_norm in (False, True))
        assert without is not None
        assert with_bn is not None
        assert with_bn > without
