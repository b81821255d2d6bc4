"""The runs of the study of scales, on toy images: who starts from what, sees what, and learns how."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.data import ImageDataset
from tinynet.errors import ArgumentError
from tinynet.experiments import Runs, scale_study
from tinynet.experiments.images import Images
from tinynet.experiments.scale_study import (
    ONLINE,
    PROPOSAL,
    STANDARD,
    VARIANTS,
    Settings,
    Study,
    Variant,
    network,
    set_scales,
)
from tinynet.optim import SGD

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = Settings(short=2, long=3, batch_size=8)
BY_NAME = {variant.name: variant for variant in (*VARIANTS, ONLINE)}


def toy() -> Images:
    """40 images of noise, 8 x 8; 36 of them are trained on."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 3, 8, 8), np.uint8)
    part = ImageDataset(
        x, np.arange(40) % 3, name="toy", classes=("a", "b", "c"), mean=(0.5,) * 3, std=(0.25,) * 3
    )
    return Images.of(part, part)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(toy(), SETTINGS, Runs(tmp_path / "runs"))


def state(model):
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def norms(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


class TestNetworks:
    def test_all_variants_start_from_the_same_weights(self):
        first = state(network(STANDARD, 8, 3, 3, 1))
        for variant in BY_NAME.values():
            own = state(network(variant, 8, 3, 3, 1))
            for name, value in first.items():
                if not name.endswith("bn.weight"):
                    assert np.array_equal(own[name], value), name
        other = state(network(STANDARD, 8, 3, 3, 2))
        assert not np.array_equal(other["conv1.conv.weight"], first["conv1.conv.weight"])

    def test_scales(self):
        for variant in BY_NAME.values():
            model = network(variant, 8, 3, 3, 0)
            scales = [norm.weight.detach().numpy() for norm in norms(model) if norm.bias is not None]
            assert len(scales) == 7
            assert np.unique(np.concatenate(scales)).tolist() == [np.float32(variant.scale)]

    def test_the_first_weights_are_those_of_the_authors(self):
        model = network(STANDARD, 8, 10, 3, 0)
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                weight = module.weight.detach().numpy()
                assert weight.std() == pytest.approx(math.sqrt(2 / weight[0].size), rel=0.1)
                assert module.bias is None
        weight = model.output.weight.detach().numpy()
        assert 0.9 / 8 < np.abs(weight).max() <= 1 / 8
        assert not model.output.bias.detach().numpy().any()

    def test_the_factor_is_that_of_the_logits(self):
        x = tn.tensor(np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32))
        whole, tenth = (network(variant, 8, 3, 3, 0) for variant in (STANDARD, BY_NAME["logits01"]))
        with tn.no_grad():
            np.testing.assert_allclose(tenth(x).numpy(), 0.1 * whole(x).numpy(), rtol=1e-5, atol=1e-7)
            tenth.output.bias.fill_(5)  # what is multiplied is the classifier's input
            assert tenth(x).numpy() == pytest.approx(5, abs=1)

    def test_the_online_normalisation_comes_first_and_keeps_its_scale(self):
        model = network(replace(ONLINE, scale=0.1), 8, 3, 3, 0)
        first = next(iter(model))
        assert isinstance(first, nn.InputNorm2d)
        assert first.weight.detach().numpy().tolist() == [np.float32(0.58)] * 3
        set_scales(model, 0.2)
        assert first.scale_init == 0.58

    def test_dtype(self):
        model = network(replace(ONLINE, factor=0.5), 8, 3, 3, 0, np.float64)
        assert model(tn.ones(2, 3, 8, 8, dtype=tn.float64)).dtype == np.float64


class TestStudy:
    def test_plans(self, study):
        plans = [(variant.name, steps) for variant, steps in study.plans()]
        assert plans[:4] == [(v, steps) for v in ("standard", "scale01-c100") for steps in (2, 3)]
        want = [(variant.name, steps) for variant in VARIANTS for steps in (2, 3)] + [("online", 3)]
        assert sorted(plans) == sorted(want)

    def test_a_run_is_what_its_recipe_says(self, study):
        """Train by hand, without the study's machinery."""
        variant = PROPOSAL
        result = study.run(variant, 3, 4)
        model = study.model(variant, 4)
        scales = [norm.weight for norm in norms(model)]
        shifts = [norm.bias for norm in norms(model)] + [model.output.bias]
        small = {id(parameter) for parameter in scales + shifts}
        weights = [parameter for parameter in model.parameters() if id(parameter) not in small]
        losses = []
        optimizers = [SGD(scales, 0.1, 0.9), SGD(shifts, 0.1, 0.9), SGD(weights, 0.1, 0.9, weight_decay=1e-4)]
        for step, (x, y) in enumerate(study.images.loader(8, 4)):
            if step == 3:
                break
            loss = nn.CrossEntropyLoss()(model(x), y)
            losses.append(loss.item())
            loss.backward()
            for optimizer, divisor in zip(optimizers, (100, 1, 1), strict=True):
                optimizer.param_groups[0]["lr"] = 0.05 * (1 + math.cos(math.pi * step / 3)) / divisor
                optimizer.step()
                optimizer.zero_grad()
        assert result.losses == pytest.approx(losses, rel=1e-6)
        for name, value in state(model).items():
            np.testing.assert_allclose(result.state[name], value, rtol=1e-5, atol=1e-7, err_msg=name)
        assert result.accuracy == np.mean(
            [model.eval()(tn.tensor(study.images.normalize(x[None]))).argmax().item() == y
             for x, y in zip(study.images.test.x, study.images.test.y, strict=True)]
        )  # fmt: skip

    def test_runs_are_kept_and_repeat_bit_by_bit(self, study, tmp_path):
        first = study.run(STANDARD, 2, 0)
        assert study.runs.made == ["standard-2-seed0"]
        again = study.run(STANDARD, 2, 0)
        assert study.runs.made == ["standard-2-seed0"]
        anew = Study(toy(), SETTINGS, Runs(tmp_path / "others")).run(STANDARD, 2, 0)
        for other in (again, anew):
            assert (other.accuracy, other.losses.tolist()) == (first.accuracy, first.losses.tolist())
            assert all(np.array_equal(other.state[name], first.state[name]) for name in first.state)

    def test_other_settings_are_not_taken_for_these(self, study):
        study.run(STANDARD, 2, 0)
        other = Study(toy(), replace(SETTINGS, lr=0.2), Runs(study.runs.folder))
        with pytest.raises(ArgumentError, match=r"Runs: lr must be 0\.1 as in"):
            other.run(STANDARD, 2, 0)
        longer = Study(toy(), replace(SETTINGS, long=30), Runs(study.runs.folder))
        longer.run(STANDARD, 2, 0)  # on how long others are it does not depend
        assert longer.runs.made == []

    def test_all_variants_of_a_seed_see_the_same_images(self, study, monkeypatch):
        seen = {}

        def watch(model, optimizer, loss, loader, steps, **options):
            seen[variant.name] = [(x.numpy().copy(), y.numpy().copy()) for x, y in loader]

        monkeypatch.setattr(scale_study, "train", watch)
        for variant in BY_NAME.values():
            study.run(variant, 2, 0)
        for name, batches in seen.items():
            for (x, y), (own, labels) in zip(seen["standard"], batches, strict=True):
                pixels = (own - 0.5) / 0.25 if name == "online" else own
                np.testing.assert_allclose(pixels, x, atol=1e-5)
                assert labels.tolist() == y.tolist()
        online = np.concatenate([x for x, _ in seen["online"]])
        assert (online.min(), online.max()) == (0, 1)

    def test_drift(self, study):
        before = study.drift(PROPOSAL, None, 0)
        assert before.scale == 0
        assert before.shift == 0
        assert list(before.large) == list(before.layers) == list(before.channels)
        assert 0 < min(before.large.values()) < max(before.large.values()) < 0.05
        after = study.drift(PROPOSAL, 3, 0)
        trained = study.run(PROPOSAL, 3, 0).state
        scales = np.concatenate([value for name, value in trained.items() if name.endswith("bn.weight")])
        shifts = np.concatenate([value for name, value in trained.items() if name.endswith("bn.bias")])
        assert after.scale == pytest.approx(np.abs(scales.astype(float) - np.float32(0.1)).mean(), rel=1e-6)
        assert after.shift == pytest.approx(np.abs(shifts.astype(float)).mean(), rel=1e-6)
        assert after.shift > 0

    def test_too_few_images(self):
        with pytest.raises(
            ArgumentError, match=r"Study: images must hold at least 37 training images .* got 36"
        ):
            Study(toy(), replace(SETTINGS, batch_size=37), Runs("nowhere"))


def test_titles_and_names_are_different():
    names = [variant.name for variant in BY_NAME.values()]
    assert len(names) == len(VARIANTS) + 1 == len({variant.title for variant in BY_NAME.values()})
    assert Variant("a", "b") == Variant("a", "b", 1.0, 1.0, 1.0, False)
