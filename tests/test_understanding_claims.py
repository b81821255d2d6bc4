"""The claims of the study of Bjorck et al.: which way each one goes, with runs that were never made."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from understanding_running import TINY, divergence, initial, noise, outcome, rates, training

from tinynet import bn
from tinynet.experiments.understanding_claims import Outcome, claims, quotient
from tinynet.experiments.understanding_results import Products
from tinynet.experiments.understanding_settings import FACTORS, TRAININGS, Settings

NAN, INF = math.nan, math.inf
USUAL = Settings()
CANCELS_WITH, CANCELS_WITHOUT, SPREAD, KURTOSIS, STEP_WITH, STEP_WITHOUT = range(6)
GROWTH_WITH, GROWTH_WITHOUT, GROWTH_KAIMING, ONE_CLASS, EXPLODES = range(6, 11)
RATE_BN, RATE_DEPTH, RATE_LAST, GAIN, SAME, CAPTURED = range(11, 17)
SLOPE, THEORY, DOUBLED, EDGE, LAW, SMALL = range(17, 23)


def limit_law(count: int = 1000) -> Products:
    """Quantiles of the limit law, the largest on its edge."""
    values = {}
    for factors in FACTORS:
        s = bn.singular_value_edge(factors) * np.linspace(0, 1, 5_001) ** factors  # steep at 0
        shares = (np.arange(count) + 0.5) / count
        found = np.interp(shares, bn.singular_value_cdf(s, factors), s)
        found[-1] = s[-1]
        values[factors] = found[::-1][None].copy()
    return Products(values)


@pytest.fixture(scope="module")
def good() -> Outcome:
    """An outcome with which every claim holds."""
    accuracy = {("all", 0.1): 0.80, ("all", 0.0001): 0.50, ("none", 0.0001): 0.45, ("last", 0.03): 0.70}
    found = outcome(USUAL, (0, 1, 2), dataset="cifar-10", products={0: limit_law(), 1: limit_law()})
    searches = {
        key: run if key[1] != "last" else rates(0.02 * 4 ** key[2]) for key, run in found.rates.items()
    }
    trainings = {(*each, 0): training(0.2, accuracy.get(each, 0.6)) for each in TRAININGS}
    return dataclasses.replace(found, rates=searches, training=trainings)


def fails(found: Outcome, settings: Settings = USUAL) -> list[int]:
    """The claims that do not hold."""
    return [number for number, claim in enumerate(claims(settings, found)) if claim.holds is False]


def with_start(found: Outcome, weights: str, where: str, seed: int, **changes: Any) -> Outcome:
    """With other measurements of one network at its start."""
    run = initial(USUAL, where, seed, **changes)
    return dataclasses.replace(found, initial={**found.initial, (weights, where, seed): run})


def trained(found: Outcome, **accuracy: float) -> Outcome:
    """With other accuracies at the end; `all_slow` is that of 'all' at the smallest rate."""
    keys = {"fast": ("all", 0.1), "slow": ("all", 0.0001), "none": ("none", 0.0001), "last": ("last", 0.03)}
    runs = {(*keys[name], 0): training(0.9, share) for name, share in accuracy.items()}
    return dataclasses.replace(found, training={**found.training, **runs})


def searched(found: Outcome, depth: int, where: str, seed: int, largest: float | None) -> Outcome:
    return dataclasses.replace(found, rates={**found.rates, (depth, where, seed): rates(largest)})


class TestBounds:
    def test_all_hold(self, good):
        found = claims(USUAL, good)
        assert [claim.holds for claim in found].count(True) == 22
        assert [number for number, claim in enumerate(found) if claim.bound is None] == [CAPTURED]

    def test_for_the_default_settings_on_cifar_10_only(self, good):
        usual = claims(USUAL, good)
        for settings, found in (
            (dataclasses.replace(USUAL, epochs=11), good),
            (USUAL, dataclasses.replace(good, dataset="fashion-mnist")),
            (USUAL, dataclasses.replace(good, seeds=[0, 1])),
        ):
            others = claims(settings, found)
            assert {(claim.bound, claim.holds) for claim in others} == {(None, None)}
            assert [claim.name for claim in others] == [claim.name for claim in usual]
            if len(found.seeds) == 3:
                assert [claim.value for claim in others] == [claim.value for claim in usual]
        assert {claim.holds for claim in claims(TINY, outcome())} == {None}

    def test_names_are_different_and_say_the_layers(self, good):
        names = [claim.name for claim in claims(USUAL, good)]
        assert len(set(names)) == len(names)
        assert "layers 18/54/90" in names[CANCELS_WITH]
        assert "layer 55" in names[SPREAD]
        assert "layer 109 by layer 3" in names[GROWTH_WITH]
        assert "110 layers by 20" in names[RATE_DEPTH]

    def test_every_claim_can_fail(self):
        """Each number of a claim stands in the cases below."""
        cases = {number for _, _, number in AT_START} | {number for _, number in TRAINED}
        cases |= {EXPLODES, RATE_BN, RATE_DEPTH, RATE_LAST, SLOPE, THEORY, DOUBLED, EDGE, LAW, SMALL}
        assert cases == set(range(23)) - {CAPTURED}


AT_START = [
    (("xavier", "all"), {"ratio": np.array([100.0, 100.0, 3.0])}, CANCELS_WITH),
    (("xavier", "none"), {"ratio": np.array([2.0, 9.0, 2.0])}, CANCELS_WITHOUT),
    (("xavier", "none"), {"spread": 1e-3}, SPREAD),
    (("xavier", "none"), {"spread": INF}, SPREAD),
    (("xavier", "all"), {"kurtosis": 12.0}, KURTOSIS),
    (("xavier", "all"), {"relative": np.full((3, 21), 1.0)}, STEP_WITH),
    (("xavier", "all"), {"relative": np.full((3, 21), NAN)}, STEP_WITH),
    (("xavier", "none"), {"relative": np.full((3, 21), 999.0)}, STEP_WITHOUT),
    (("xavier", "all"), {"deviations": np.array([1.0, 1.0, 1e3])}, GROWTH_WITH),
    (("xavier", "none"), {"deviations": np.array([0.0, 1e12, 2.0])}, GROWTH_WITHOUT),
    (("kaiming", "none"), {"deviations": np.array([1e-9, 1.0, 2.0])}, GROWTH_KAIMING),
    (("xavier", "none"), {"predicted_share": 0.94}, ONE_CLASS),
]


class TestAtStart:
    @pytest.mark.parametrize(("network", "changes", "number"), AT_START)
    def test_fails(self, good, network, changes, number):
        """One seed is enough where the claim speaks of the least or the largest, and nothing else fails."""
        assert fails(with_start(good, *network, 1, **changes)) == [number]

    def test_first_seed_too(self, good):
        relative = np.full((3, 21), NAN)
        assert fails(with_start(good, "xavier", "all", 0, relative=relative)) == [STEP_WITH]

    @pytest.mark.parametrize("value", [NAN, INF])
    def test_loss_that_is_not_finite_has_grown(self, good, value):
        relative = np.full((3, 21), value)
        assert fails(with_start(good, "xavier", "none", 1, relative=relative)) == []

    def test_other_mini_batches_do_not_matter(self, good):
        relative = good.initial["xavier", "all", 1].relative.copy()
        relative[1:] = 1e9
        assert fails(with_start(good, "xavier", "all", 1, relative=relative)) == []

    def test_kaimings_with_batch_normalisation_is_in_no_claim(self, good):
        assert (
            fails(with_start(good, "kaiming", "all", 1, spread=NAN, kurtosis=1e9, predicted_share=1.0)) == []
        )


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("value", [NAN, INF])
def test_explosion_past_all_numbers_shows_no_growth(good, seed, value):
    """Whichever seed it is, and without a warning."""
    runs = {0: divergence(USUAL, 0), 1: divergence(USUAL, 1)}
    for var in runs[seed].var[1:]:
        var[-1] = value
    assert fails(dataclasses.replace(good, divergence=runs)) == [EXPLODES]


def test_explosion_from_each_layer_to_the_next(good):
    run = divergence(USUAL, 1)
    run.var[1][-1] = run.var[2][-1].max()  # the second layer is as large as the third
    assert fails(dataclasses.replace(good, divergence={0: divergence(USUAL, 0), 1: run})) == [EXPLODES]


class TestRates:
    def test_with_batch_normalisation(self, good):
        found = searched(good, 110, "all", 0, 1e-4)  # the geometric mean falls by 22
        assert fails(found) == [RATE_BN]

    def test_depth(self, good):
        assert fails(searched(good, 20, "none", 0, 0.9e-3)) == [RATE_DEPTH]

    def test_last(self, good):
        assert fails(searched(good, 110, "last", 1, 1e-3)) == [RATE_LAST]

    def test_other_depths_do_not_matter(self, good):
        assert fails(searched(searched(good, 56, "none", 0, 9.0), 8, "all", 1, None)) == []

    def test_none(self, good):
        assert fails(searched(good, 110, "none", 1, None)) == [RATE_BN, RATE_DEPTH, RATE_LAST]
        values = [claims(USUAL, good)[number].value for number in (RATE_BN, RATE_DEPTH, RATE_LAST)]
        assert values == pytest.approx([1000, 1, 20])


TRAINED = [
    ({"fast": 0.54, "none": 0.49}, GAIN),
    ({"none": 0.34}, SAME),
    ({"none": 0.66}, SAME),  # too far above is as wrong
]


class TestTraining:
    @pytest.mark.parametrize(("accuracy", "number"), TRAINED)
    def test_fails(self, good, accuracy, number):
        assert fails(trained(good, **accuracy)) == [number]

    def test_values(self, good):
        found = claims(USUAL, good)
        assert found[GAIN].value == pytest.approx(30)
        assert found[SAME].value == pytest.approx(5 / 30)
        assert found[CAPTURED].value == pytest.approx(25 / 35)

    @pytest.mark.parametrize("fast", [0.5, 0.4])
    def test_no_gain_no_share_of_it(self, good, fast):
        found = trained(good, fast=fast)
        assert fails(found) == [GAIN, SAME]
        assert claims(USUAL, found)[SAME].value is None

    def test_divergence_is_guessing(self, good):
        runs = {**good.training, ("all", 0.1, 0): training(0.9, 0.9, diverged=100)}
        found = claims(USUAL, dataclasses.replace(good, training=runs))
        assert found[GAIN].value == pytest.approx(10 - 50)


class TestNoise:
    def test_theory(self, good):
        runs = {0: noise(USUAL), 1: noise(USUAL, 1.06)}
        assert fails(dataclasses.replace(good, noise=runs)) == [THEORY]

    def test_slope(self, good):
        run = noise(USUAL)
        for values in (run.measured, run.theory):
            values["with"] = run.sizes**-1.06
        assert fails(dataclasses.replace(good, noise={0: run})) == [SLOPE]

    @pytest.mark.parametrize(("seed", "way"), [(0, "with"), (1, "with"), (1, "without")])
    def test_what_is_no_number_is_not_passed_over(self, good, seed, way):
        runs = {0: noise(USUAL), 1: noise(USUAL)}
        runs[seed].measured[way][:] = NAN
        assert fails(dataclasses.replace(good, noise=runs)) == ([SLOPE] * (way == "with")) + [THEORY]

    @pytest.mark.parametrize("doubled", [4 * (1 + 2e-9), 2.0, NAN])
    def test_doubled(self, good, doubled):
        run = dataclasses.replace(noise(USUAL), doubled=doubled)
        assert fails(dataclasses.replace(good, noise={0: noise(USUAL), 1: run})) == [DOUBLED]


class TestProducts:
    def test_edge(self, good):
        run = limit_law()
        run.values[3][0, 0] *= 1.03
        assert fails(dataclasses.replace(good, products={0: limit_law(), 1: run})) == [EDGE]

    def test_law(self, good):
        run = limit_law()
        run.values[5][0, 1:500] *= 0.9
        assert fails(dataclasses.replace(good, products={0: run})) == [LAW]

    def test_small_values(self, good):
        run = limit_law()
        swapped = {1: run.values[1], 3: run.values[5], 5: run.values[3]}
        assert SMALL in fails(dataclasses.replace(good, products={0: Products(swapped)}))


def test_quotient():
    assert quotient(3.0, 2.0) == 1.5
    assert quotient(None, 2.0) is quotient(3.0, None) is None
