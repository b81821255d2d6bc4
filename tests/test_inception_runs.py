"""The Inception study on toy images: runs that stop, go on, diverge, or were made with other settings."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from inception_running import (
    PER_EPOCH,
    SETTINGS,
    OnToyImages,
    assert_same,
    toy,
)

import tinynet as tn
from tinynet.errors import ArgumentError
from tinynet.experiments import Runs, inception_study
from tinynet.experiments.inception_study import Result, Study, best_rate
from tinynet.experiments.inception_variants import (
    BY_NAME,
    REVISED,
    Variant,
)

pytestmark = pytest.mark.usefixtures("one_thread")

# ---- interruption ----------------------------------------------------------------------------------------


INTERRUPTED = BY_NAME["inception"]  # 4 epochs; dropout draws from the default generator


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Runs that nothing interrupted."""
    study = Study(toy(), SETTINGS, Runs(tmp_path_factory.mktemp("whole")))
    variants = (INTERRUPTED, BY_NAME["bn-x30"])
    return {variant.name: study.variant(variant, 0.005, 0) for variant in variants}


class TestInterruption(OnToyImages):
    @pytest.mark.parametrize(
        ("name", "place", "finished"),
        [
            ("inception", 1, 0),
            ("inception", 4, 0),
            ("inception", 16, 2),
            ("inception", 24, 3),
            ("bn-x30", 9, 1),
        ],
    )
    def test_goes_on_with_the_same_bits(self, study, whole, at_loss, name, place, finished):
        at_loss(place, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            study.variant(BY_NAME[name], 0.005, 0)
        files = [path.name for path in study.runs.folder.iterdir()]
        assert files == ([f"{name}-seed0.part.safetensors"] if finished else [])
        tn.rand(11)
        count = at_loss(0, None)
        again = Study(toy(), SETTINGS, Runs(study.runs.folder))
        assert_same(again.variant(BY_NAME[name], 0.005, 0), whole[name])
        assert count[0] == len(whole[name].losses) - finished * PER_EPOCH
        assert [path.name for path in study.runs.folder.iterdir()] == [f"{name}-seed0.safetensors"]

    def test_between_the_last_epoch_and_the_result(self, study, whole, at_loss, monkeypatch):
        def stops(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(inception_study, "probabilities", stops)
            with pytest.raises(KeyboardInterrupt):
                study.variant(INTERRUPTED, 0.005, 0)
        count = at_loss(0, None)
        assert_same(study.variant(INTERRUPTED, 0.005, 0), whole["inception"])
        assert count[0] == 0

    def test_twice(self, study, whole, at_loss):
        for place in (8, 8):
            at_loss(place, KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                study.variant(INTERRUPTED, 0.005, 0)
        count = at_loss(0, None)
        assert_same(study.variant(INTERRUPTED, 0.005, 0), whole["inception"])
        assert count[0] == 2 * PER_EPOCH

    def test_a_study_repeats_no_finished_run(self, study, seen, at_loss):
        def everything(study: Study) -> dict[str, Result]:
            grid = study.grid(0)
            base = best_rate(grid)
            found = {f"grid {rate}": result for rate, result in grid.items()}
            found |= {v.name: study.variant(v, base, 0) for v in (BY_NAME["bn-x30"], INTERRUPTED)}
            return found | study.ensemble(base, 0)

        at_loss(12 + 12 + 12 + 7, KeyboardInterrupt())  # in the second epoch of the fourth run
        with pytest.raises(KeyboardInterrupt):
            everything(study)
        names = ["grid-0.01-seed0", "grid-0.02-seed0", "bn-x30-seed0"]
        assert study.runs.made == names
        before = {name: study.runs.path(name).read_bytes() for name in names}
        del seen.models[:]
        count = at_loss(0, None)
        second = Study(study.images, SETTINGS, Runs(study.runs.folder))
        results = everything(second)
        assert second.runs.kept == names
        assert second.runs.made == ["inception-seed0", "bn-x30-dropout0.1-seed1", "bn-x30-seed2"]
        assert count[0] == 18 + 12 + 12
        assert len(seen.models) == 3
        assert {name: study.runs.path(name).read_bytes() for name in names} == before

        third = Study(study.images, SETTINGS, Runs(study.runs.folder))
        for name, result in everything(third).items():
            assert_same(result, results[name])
        assert (third.runs.made, len(third.runs.kept)) == ([], 6)
        assert (count[0], len(seen.models)) == (42, 3)


class TestOtherSettings(OnToyImages):
    @pytest.fixture
    def finished(self, study) -> Study:
        study.variant(BY_NAME["bn-x5"], 0.01, 0)
        return study

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"epochs": 6}, "epochs must be 2 as in"),
            ({"batch_size": 10}, "batch_size must be 9 as in"),
            ({"momentum": 0.8}, r"momentum must be 0\.9 as in"),
            ({"decay": 0.2}, r"decay must be 0\.1 as in"),
            ({"per_epoch": 3}, "every must be 3 as in"),
            ({"limit": 60}, "limit must be None as in"),
        ],
    )
    def test_of_the_study(self, finished, changes, message):
        study = Study(toy(), replace(SETTINGS, **changes), Runs(finished.runs.folder))
        self.refused(study, BY_NAME["bn-x5"], 0.01, message)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"dropout": 0.1}, r"dropout must be 0\.0 as in .*; got 0\.1"),
            ({"weight_decay": 5e-4}, r"weight_decay must be 0\.0001 as in"),
            ({"speed": 1}, "speed must be 6 as in"),
            ({"lrn": True}, "lrn must be False as in"),
            ({"reshuffle": False}, "reshuffle must be True as in"),
            ({"padding": 4}, "padding must be 2 as in"),
        ],
    )
    def test_of_the_recipe(self, finished, changes, message):
        variant = replace(BY_NAME["bn-x5"], recipe=replace(REVISED, **changes))
        self.refused(finished, variant, 0.01, message)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"batch_norm": False}, "batch_norm must be True as in"),
            ({"activation": "sigmoid"}, "activation must be 'relu' as in"),
            ({"factor": 10}, r"rate must be 0\.05 as in .*; got 0\.1"),
        ],
    )
    def test_of_the_variant(self, finished, changes, message):
        self.refused(finished, replace(BY_NAME["bn-x5"], **changes), 0.01, message)

    def test_base_rate_and_data(self, finished):
        self.refused(finished, BY_NAME["bn-x5"], 0.02, r"rate must be 0\.05 as in .*; got 0\.1")
        other = Study(toy("digits"), SETTINGS, Runs(finished.runs.folder))
        self.refused(other, BY_NAME["bn-x5"], 0.01, "dataset must be 'toy' as in .*; got 'digits'")

    def test_titles_do_not_matter(self, finished):
        finished.variant(replace(BY_NAME["bn-x5"], title="another", paper_accuracy=0.5), 0.01, 0)
        assert finished.runs.made == ["bn-x5-seed0"]

    def refused(self, study: Study, variant: Variant, base: float, message: str) -> None:
        before = {path: path.read_bytes() for path in study.runs.folder.iterdir()}
        with pytest.raises(ArgumentError, match=rf"^Runs: {message}.*: choose another folder, or remove"):
            study.variant(variant, base, 0)
        assert {path: path.read_bytes() for path in study.runs.folder.iterdir()} == before

    def test_of_a_run_that_was_interrupted(self, study, at_loss):
        at_loss(8, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            study.variant(BY_NAME["bn-x5"], 0.01, 0)
        at_loss(0, None)
        other = Study(toy(), replace(SETTINGS, epochs=6), Runs(study.runs.folder))
        message = (
            r"epochs must be 2 as in '.*bn-x5-seed0\.part\.safetensors'; got 3: choose another folder, or"
        )
        with pytest.raises(ArgumentError, match=message):
            other.variant(BY_NAME["bn-x5"], 0.01, 0)
        assert [path.name for path in study.runs.folder.iterdir()] == ["bn-x5-seed0.part.safetensors"]
        assert study.variant(BY_NAME["bn-x5"], 0.01, 0).steps == [3, 6, 9, 12]

    def test_of_the_search(self, study):
        study.stable_rate(False, False, 0)
        other = Study(toy(), replace(SETTINGS, stable_steps=4), Runs(study.runs.folder))
        with pytest.raises(ArgumentError, match=r"^Runs: steps must be 3 as in .*: choose another folder"):
            other.stable_rate(False, False, 0)


# ---- divergence ------------------------------------------------------------------------------------------


class TestDivergence(OnToyImages):
    def test_in_the_first_epoch_before_any_measurement(self, study, seen):
        variant = replace(BY_NAME["inception"], factor=1e6)
        result = study.variant(variant, 1.0, 0)
        assert result.diverged is not None
        assert 1 < result.diverged < 3
        assert (result.curve, result.steps, result.accuracy, result.best) == ([], [], [], 0.0)
        assert len(result.losses) == result.diverged
        assert np.isfinite(result.losses[:-1]).all()
        assert not math.isfinite(result.losses[-1])
        assert result.probabilities.shape == (20, 3)
        assert result.seconds == 0
        assert [path.name for path in study.runs.folder.iterdir()] == ["inception-seed0.safetensors"]
        assert_same(Study(toy(), SETTINGS, Runs(study.runs.folder)).variant(variant, 1.0, 0), result)
        assert len(seen.models) == 1  # recorded: not tried again
        assert study.variant(BY_NAME["bn-x5"], 0.01, 0).diverged is None  # the study goes on

    @pytest.mark.parametrize("stopped", [None, 9, 14])
    def test_in_a_later_epoch(self, study, at_loss, stopped):
        """Also where the run was interrupted before: the step counts from the run's beginning."""
        done = 0
        if stopped is not None:
            at_loss(stopped, KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                study.variant(BY_NAME["bn-baseline"], 0.01, 0)
            done = (stopped - 1) // PER_EPOCH * PER_EPOCH
        at_loss(17 - done, math.inf)
        result = study.variant(BY_NAME["bn-baseline"], 0.01, 0)
        assert result.diverged == len(result.losses) == 17
        assert result.losses[-1] == math.inf
        assert result.steps == [3, 6, 9, 12, 15]
        assert np.isfinite(result.probabilities).all()  # the update with the loss is not made
        assert [path.name for path in study.runs.folder.iterdir()] == ["bn-baseline-seed0.safetensors"]

    def test_in_the_grid(self, tmp_path):
        study = Study(toy(), replace(SETTINGS, rates=(1e5, 0.01)), Runs(tmp_path))
        grid = study.grid(0)
        assert grid[1e5].diverged is not None
        assert grid[0.01].diverged is None
        assert best_rate(grid) == 0.01

    def test_network_of_nan(self, study, at_loss):
        """With nan in the loss too: probabilities may be nan, and are kept as such."""
        at_loss(2, math.nan)
        result = study.variant(BY_NAME["inception"], 0.01, 0)
        assert result.diverged == 2
        assert math.isnan(result.losses[-1])


def result(*accuracy: float, diverged: int | None = None) -> Result:
    curve = [(10 * (i + 1), share) for i, share in enumerate(accuracy)]
    return Result(curve, np.zeros(1), diverged, np.zeros((1, 2)), 0.0)


class TestBestRate:
    def test_best_at_the_end(self):
        grid = {0.01: result(0.2, 0.5), 0.02: result(0.9, 0.4), 0.005: result(0.1, 0.3)}
        assert best_rate(grid) == 0.01

    def test_of_equal_ones_the_smallest(self):
        assert best_rate({0.04: result(0.5), 0.02: result(0.5), 0.08: result(0.4)}) == 0.02

    def test_not_one_that_diverged(self):
        grid = {0.01: result(0.1), 0.02: result(0.9, diverged=15), 0.04: result(diverged=3)}
        assert best_rate(grid) == 0.01
        assert best_rate({0.01: result(0.0), 0.005: result(0.9, diverged=15)}) == 0.01

    def test_all_diverged(self):
        grid = {0.02: result(0.9, diverged=15), 0.01: result(diverged=3)}
        message = (
            r"^best_rate: grid must hold a rate at which the network does not diverge; got 0\.01, 0\.02, and"
        )
        with pytest.raises(ArgumentError, match=message):
            best_rate(grid)
