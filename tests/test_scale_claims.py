"""The paired tests and claims of the study of scales, on results made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tinynet import bn
from tinynet.errors import ArgumentError
from tinynet.experiments.scale_claims import claims, compare, comparisons, paired_test
from tinynet.experiments.scale_mechanics import (
    GroupsCheck,
    InputStatistics,
    Mechanics,
    SameTraining,
    ScaleRatios,
)
from tinynet.experiments.scale_study import ONLINE, PROPOSAL, STANDARD, VARIANTS, Drift, Result, Settings

SEEDS = 5


class TestPairedTest:
    def p(self, t):
        """One-sided p of Student's t with 2 degrees of freedom, in closed form."""
        return 0.5 - t / (2 * math.sqrt(2 + t * t))

    def test_three_pairs_by_hand(self):
        own, its = [3.0, 1.0, 7.0], [2.0, 1.0, 4.0]  # differences 1, 0, 3: mean 4/3, variance 7/3
        t = 4 / 3 / math.sqrt(7 / 3 / 3)
        assert paired_test(own, its) == pytest.approx(self.p(t), rel=1e-12)
        assert paired_test(its, own) == pytest.approx(1 - self.p(t), rel=1e-12)
        assert paired_test(own, its, "less") == pytest.approx(1 - self.p(t), rel=1e-12)
        assert paired_test(own, its, "two-sided") == pytest.approx(2 * self.p(t), rel=1e-12)

    def test_only_the_differences_count(self):
        first = paired_test([3.0, 1.0, 7.0], [2.0, 1.0, 4.0])
        assert paired_test([13.0, -1.0, 3.0], [12.0, -1.0, 0.0]) == pytest.approx(first, rel=1e-12)

    @pytest.mark.parametrize(("own", "its"), [([], []), ([1.0], [2.0]), ([1.0, 2.0], [0.0, 1.0])])
    def test_without_spread_there_is_no_test(self, own, its):
        assert paired_test(own, its) is None

    def test_error(self):
        message = r"paired_test: own and its must have one length; got 2 and 1"
        with pytest.raises(ArgumentError, match=message):
            paired_test([1.0, 2.0], [1.0])


def made(accuracies, seeds=SEEDS):
    """Results with an accuracy for each name and number of steps, the same for all seeds but for a jitter."""
    jitter = np.random.default_rng(0).standard_normal(seeds) * 1e-3
    names = [variant.name for variant in (*VARIANTS, ONLINE)]
    usual = {(name, steps): 0.6 for name in names for steps in (400, 1000)} | accuracies
    usual = {key: (value, key[0] != STANDARD.name) for key, value in usual.items()}
    return {
        seed: {
            key: Result(value + moves * noise, np.ones(2), {}, 1.0) for key, (value, moves) in usual.items()
        }
        for seed, noise in enumerate(jitter)
    }


def mechanics(**changes):
    exact = dict.fromkeys(("logits", "convolutions", "classifier", "scales", "shifts"), 1e-9)
    one = np.ones(3)
    usual = Mechanics(
        [ScaleRatios(0.1, 0.1, 0.1, 0.1, 1.0, 1.0, exact, 100.0)],
        [SameTraining(0.1, 10, 1e-9, 0.2)],
        GroupsCheck(1e-9, 1e-9, 1e-9),
        InputStatistics(100, 1.005 * one, 0.98 * one, one, one),
        InputStatistics(100, one, one, one, one),
        (0.5838, 0.58382),
    )
    return replace(usual, **changes)


def drifts(gamma=0.1, beta=0.2, share=0.004):
    layers = {"a": bn.ScaleDrift(gamma, 0.0, beta, 0.0), "b": bn.ScaleDrift(4 * gamma, 0.0, 4 * beta, 0.0)}
    drift = Drift(layers, {"a": 20, "b": 10}, {"a": share, "b": 3 * share})
    return {variant.name: [drift] * SEEDS for variant in VARIANTS}


def found(results, *, settings=None, dataset="cifar-10", of=None, moved=None):
    settings = settings or Settings()
    compared = comparisons(results, settings)
    listed = claims(dataset, settings, of or mechanics(), compared, moved or drifts())
    return {claim.name: claim for claim in listed}


def bounded(of_claims):
    return {name: claim.holds for name, claim in of_claims.items() if claim.bound is not None}


GAP = "gap of scale 0.1, c = 100, 1,000 over 400 steps"
ONLINE_CLAIM = "online input normalisation against the data set's, |difference|, points"
STAYS = "standard, 1,000 steps: mean |gamma - 1|"
INPUT = "input normalisation: variance after 100 batches"


class TestCompare:
    def test_values(self):
        results = made({(PROPOSAL.name, 400): 0.5})
        differences = np.array([100 * (of[PROPOSAL.name, 400].accuracy - 0.6) for of in results.values()])
        each = compare(results, PROPOSAL, 400)
        assert each.differences == pytest.approx(differences)
        assert each.mean == pytest.approx(differences.mean())
        assert each.deviation == pytest.approx(differences.std(ddof=1))
        assert each.p == pytest.approx(1, abs=1e-6)  # it is far below
        assert compare(results, PROPOSAL, 400, "two-sided").p < 1e-6

    def test_one_seed_has_no_spread(self):
        each = compare(made({}, seeds=1), PROPOSAL, 400)
        assert (each.deviation, each.p) == (None, None)

    def test_all_of_them(self):
        listed = [(each.variant, each.steps, each.alternative) for each in comparisons(made({}), Settings())]
        want = [(variant, steps, "greater") for variant in VARIANTS[1:] for steps in (400, 1000)]
        assert listed == [*want, (ONLINE, 1000, "two-sided")]
        assert STANDARD not in [variant for variant, _, _ in listed]


class TestClaims:
    def test_what_has_bounds_with_the_default_settings_on_cifar_10(self):
        verdicts = bounded(found(made({(PROPOSAL.name, 400): 0.5, (PROPOSAL.name, 1000): 0.56})))
        assert len(verdicts) == 13
        assert [name for name, holds in verdicts.items() if not holds] == [INPUT]

    @pytest.mark.parametrize(
        "changes", [{"dataset": "fashion-mnist"}, {"settings": Settings(lr=0.2)}, {"seeds": 4}]
    )
    def test_elsewhere_the_mechanics_alone_have_bounds(self, changes):
        results = made({}, changes.pop("seeds", SEEDS))
        names = bounded(found(results, **changes))
        assert not names.keys() & {GAP, ONLINE_CLAIM, STAYS}
        assert len(names) == (8 if changes.get("dataset") else 10)

    def test_values_do_not_depend_on_bounds(self):
        results = made({(PROPOSAL.name, 400): 0.5})
        here, there = found(results), found(results, dataset="digits")
        assert [claim.value for claim in here.values()] == [claim.value for claim in there.values()]

    @pytest.mark.parametrize(
        ("short", "long", "value", "holds"),
        [
            (0.50, 0.56, 0.4, True),
            (0.50, 0.53, 0.7, False),
            (0.50, 0.62, -0.2, True),
            (0.62, 0.55, None, False),
        ],
    )
    def test_gap(self, short, long, value, holds):
        results = made({(PROPOSAL.name, 400): short, (PROPOSAL.name, 1000): long})
        claim = found(results)[GAP]
        assert claim.holds is holds
        assert claim.value == (value if value is None else pytest.approx(value, abs=0.03))

    @pytest.mark.parametrize(
        ("online", "holds"), [(0.604, True), (0.596, True), (0.61, False), (0.59, False)]
    )
    def test_online(self, online, holds):
        claim = found(made({(ONLINE.name, 1000): online}))[ONLINE_CLAIM]
        assert claim.holds is holds
        assert claim.value == pytest.approx(abs(100 * (online - 0.6)), abs=0.1)

    def test_drift_is_the_mean_over_channels(self):
        claim = found(made({}))[STAYS]
        assert claim.value == pytest.approx(0.1 * (20 + 4 * 10) / 30)
        assert claim.holds
        assert not found(made({}), moved=drifts(gamma=0.2))[STAYS].holds
        assert found(made({}))["... mean |beta|"].value == pytest.approx(0.4)
        share = found(made({}))["... share of normalised values beyond 3, mean of the layers"]
        assert share.value == pytest.approx(0.008)

    @pytest.mark.parametrize("place", [0, 1])
    def test_what_is_no_number_is_not_passed_over(self, place):
        good = mechanics().ratios[0]
        bad = replace(good, pace=math.nan, differences=dict.fromkeys(good.differences, math.nan))
        ratios = [good, good]
        ratios[place] = bad
        groups = GroupsCheck(1e-9, *(math.nan if place == n else 1e-9 for n in (0, 1)))
        listed = found(made({(PROPOSAL.name, 400): 0.5}), of=mechanics(ratios=ratios, groups=groups))
        assert [claim.value for claim in listed.values() if claim.holds is False][:5] == [None] * 5

    def test_mechanics_that_fail(self):
        wrong = mechanics(
            groups=GroupsCheck(1e-9, 1e-3, 1e-9),
            training=[SameTraining(0.1, 10, 1e-3, 0.2)],
            relu=(0.59, 0.5838),
        )
        verdicts = bounded(found(made({(PROPOSAL.name, 400): 0.5}), of=wrong))
        failed = [name for name, holds in verdicts.items() if not holds]
        assert len(failed) == 4
        assert "steps of all others against the promised ones" in failed
