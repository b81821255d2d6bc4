"""What follows from the runs of the Inception study: table, claims, ensemble, from made-up runs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet.bn.stability import StableRate
from tinynet.data import ImageDataset
from tinynet.errors import ShapeError
from tinynet.experiments import Claim, ensemble_errors
from tinynet.experiments.images import Images
from tinynet.experiments.inception_claims import (
    Ensemble,
    Row,
    StablePair,
    claims,
    rows,
    stable_ratio,
)
from tinynet.experiments.inception_study import Result
from tinynet.experiments.inception_variants import SMOKE, VARIANTS, Settings

NAMES = [variant.name for variant in VARIANTS]


def result(*accuracy: float, diverged: int | None = None, probabilities: np.ndarray | None = None) -> Result:
    """A run that was measured after every hundred steps."""
    curve = [(100 * (i + 1), share) for i, share in enumerate(accuracy)]
    shares = np.zeros((1, 2)) if probabilities is None else probabilities
    return Result(curve, np.zeros(1), diverged, shares, 0.0)


def images(name: str = "cifar-10", classes: int = 10) -> Images:
    labels = np.arange(20) % classes
    part = ImageDataset(
        np.zeros((20, 4, 4), np.uint8), labels, name=name, classes=tuple(map(str, range(classes)))
    )
    return Images.of(part, part)


# Inception at its best after 400 and 300 steps: 0.5 and 0.6.
CURVES = {
    0: {
        "inception": result(0.2, 0.3, 0.4, 0.5),
        "bn-baseline": result(0.4, 0.5, 0.6, 0.62),  # at 0.5 after 200 steps
        "bn-x5": result(0.55, 0.66),  # 100
        "bn-x30": result(0.3, 0.7),  # 200
        "bn-x5-sigmoid": result(0.3, 0.45),  # never
        "inception-x5": result(0.1, diverged=137),
        "inception-sigmoid": result(0.1, 0.12),
        "bn-x30-long": result(0.2, 0.4, 0.6, 0.8),  # 300
    },
    1: {
        "inception": result(0.2, 0.5, 0.6, 0.59),
        "bn-baseline": result(0.6, 0.7, 0.64, 0.6),  # at 0.6 after 100 steps
        "bn-x5": result(0.59, 0.68),  # 200
        "bn-x30": result(0.3, 0.5),  # never
        "bn-x5-sigmoid": result(0.3, 0.41),
        "inception-x5": result(diverged=2),
        "inception-sigmoid": result(0.1, 0.14),
        "bn-x30-long": result(0.2, 0.6, 0.7, 0.8),  # 200
    },
}


def pair(seed: int, learns: bool, without: float | None, with_bn: float | None) -> StablePair:
    return StablePair(seed, learns, StableRate(without, None, ()), StableRate(with_bn, None, ()))


PAIRS = [pair(0, False, 0.1, 2.0), pair(1, False, 0.2, 1.0), pair(0, True, 0.1, 0.4), pair(1, True, 0.1, 0.9)]
ENSEMBLE = Ensemble(["a", "b"], [0.2, 0.3], 0.235)


def by_name(table: list[Row]) -> dict[str, Row]:
    return {row.variant.name: row for row in table}


class TestRows:
    def test_of_two_seeds(self):
        table = rows(CURVES, 0.02)
        assert [row.variant for row in table] == list(VARIANTS)
        row = by_name(table)
        assert [row[name].steps for name in NAMES] == [
            [400, 300],
            [200, 100],
            [100, 200],
            [200, None],
            [None, None],
            [None, None],
            [None, None],
            [300, 200],
        ]
        shares = [1.0, 300 / 700, 300 / 700, None, None, None, None, 500 / 700]
        assert [row[name].share for name in NAMES] == shares
        assert row["bn-x30"].best == [0.7, 0.5]
        assert row["bn-x30"].mean == 0.6
        assert row["bn-baseline"].best == [0.62, 0.7]  # of all measurements, not the last
        assert row["inception-x5"].diverged == [137, 2]
        assert row["inception-x5"].best == [0.1, 0.0]
        assert row["bn-x5"].diverged == [None, None]

    def test_rates_are_multiples_of_the_base_rate(self):
        rates = [row.rate for row in rows(CURVES, 0.02)]
        assert rates == pytest.approx([0.02, 0.02, 0.1, 0.6, 0.1, 0.1, 0.02, 0.6], rel=1e-12)

    def test_each_seed_has_its_own_level(self):
        """What seed 0 needs 400 steps for is not what seed 1 is measured against."""
        swapped = {seed: CURVES[seed] | {"inception": CURVES[1 - seed]["inception"]} for seed in (0, 1)}
        row = by_name(rows(swapped, 0.02))
        assert row["bn-baseline"].steps == [300, 100]  # 0.6 by seed 0, 0.5 by seed 1
        assert row["bn-x5"].steps == [200, 100]

    def test_exactly_the_level_is_enough(self):
        row = by_name(rows({0: CURVES[0] | {"bn-x5": result(0.49999, 0.5)}}, 0.02))
        assert row["bn-x5"].steps == [200]
        assert row["bn-x5"].share == 0.5

    def test_baseline_that_diverged_before_a_measurement(self):
        """Its level is 0, at which everything is; but nothing can be compared with its steps."""
        table = rows({0: CURVES[0] | {"inception": result(diverged=2)}}, 0.02)
        row = by_name(table)
        assert row["inception"].steps == [None]
        assert [each.share for each in table] == [None] * len(VARIANTS)

    def test_results_in_another_order(self):
        shuffled = {seed: dict(reversed(of.items())) for seed, of in CURVES.items()}
        assert rows(shuffled, 0.02) == rows(CURVES, 0.02)


class TestStableRatio:
    def test_geometric_mean_by_the_measure(self):
        assert stable_ratio(PAIRS, learns=False) == pytest.approx(10.0, rel=1e-12)  # of 20 and 5
        assert stable_ratio(PAIRS, learns=True) == pytest.approx(6.0, rel=1e-12)  # of 4 and 9

    def test_ratio_of_one_is_a_ratio(self):
        """Its logarithm is 0, which is not a missing one."""
        assert stable_ratio([pair(0, True, 0.5, 0.5), pair(1, True, 0.5, 8.0)], True) == pytest.approx(4.0)
        assert stable_ratio([pair(0, True, 0.5, 0.5)], True) == 1.0

    @pytest.mark.parametrize(("without", "with_bn"), [(None, 1.0), (1.0, None), (None, None)])
    def test_none_where_a_seed_has_none(self, without, with_bn):
        missing = pair(1, True, without, with_bn)
        assert missing.ratio is None
        assert stable_ratio([pair(0, True, 1.0, 2.0), missing], True) is None
        assert stable_ratio([pair(0, False, 1.0, 2.0), missing], False) == 2.0

    def test_no_pairs(self):
        assert stable_ratio([], True) is None


VALUES = {  # of the runs above, by hand
    "BN-Baseline needs at most 1/2 of the steps to Inception's best accuracy": 300 / 700,
    "BN-x5 needs at most 1/3 of them": 300 / 700,
    "best accuracy, BN-x30 - BN-Baseline, in points, is at least 0": 60 - 66,
    "Inception with sigmoid stays within 5 points of chance": 14 - 10,
    "Inception with sigmoid is at least 20 points behind BN-x5-Sigmoid": 43 - 13,
    "the largest rate without divergence with BN is at least 10 times that without": 10.0,
    "the largest rate at which the network learns with BN is at least 10 times that without": 6.0,
    "the ensemble's error is at most 0.95 of the mean of the single ones": 0.235 / 0.25,
}
HOLDS = [True, False, False, True, True, True, False, True]
LIMITS = ["<= 0.5", "<= 0.3333", ">= 0", "<= 5", ">= 20", ">= 10", ">= 10", "<= 0.95"]


def found(
    settings: Settings | None = None,
    data: Images | None = None,
    curves: dict[int, dict[str, Result]] = CURVES,
    pairs: list[StablePair] = PAIRS,
    ensemble: Ensemble = ENSEMBLE,
) -> list[Claim]:
    usual = Settings() if settings is None else settings
    return claims(images() if data is None else data, usual, rows(curves, 0.02), pairs, ensemble)


class TestClaims:
    @pytest.mark.parametrize("name", ["cifar-10", "fashion-mnist"])
    def test_values_bounds_and_verdicts(self, name):
        made = found(data=images(name))
        assert [claim.name for claim in made] == list(VALUES)
        np.testing.assert_allclose([claim.value for claim in made], list(VALUES.values()), rtol=1e-9)
        assert [claim.bound for claim in made] == LIMITS
        # the geometric mean of 20 and 5 is 10 but for rounding
        assert [c.holds for i, c in enumerate(made) if i != 5] == [h for i, h in enumerate(HOLDS) if i != 5]
        assert found(pairs=[pair(0, False, 0.1, 1.01), *PAIRS[2:]])[5].holds is True
        assert found(pairs=[pair(0, False, 0.1, 0.99), *PAIRS[2:]])[5].holds is False

    @pytest.mark.parametrize(
        ("settings", "name"),
        [
            (SMOKE, "cifar-10"),
            (Settings(epochs=7), "cifar-10"),
            (Settings(rates=(0.01,)), "fashion-mnist"),
            (Settings(limit=50_000), "cifar-10"),
            (Settings(), "mnist"),
            (Settings(), "digits"),
        ],
    )
    def test_without_bounds(self, settings, name):
        made = found(settings, images(name))
        assert [claim.name for claim in made] == list(VALUES)
        np.testing.assert_allclose([claim.value for claim in made], list(VALUES.values()), rtol=1e-9)
        assert {(claim.bound, claim.holds) for claim in made} == {(None, None)}

    def test_on_the_bounds(self):
        """Half of 400 steps holds, a third of 300 too; as does 'no worse' where it is equal."""
        curves = {
            0: CURVES[0]
            | {
                "inception": result(0.1, 0.2, 0.5),
                "bn-baseline": result(0.5),
                "bn-x5": result(0.5),
                "bn-x30": result(0.5),
            }
        }
        made = found(curves=curves)
        assert (made[1].value, made[1].holds) == (pytest.approx(1 / 3), True)
        assert (made[2].value, made[2].holds) == (0.0, True)
        half = {0: CURVES[0]}
        assert (found(curves=half)[0].value, found(curves=half)[0].holds) == (0.5, True)

    def test_level_that_was_never_reached_fails(self):
        curves = {
            0: CURVES[0],
            1: CURVES[1] | {"bn-baseline": result(0.1, 0.59), "bn-x5": result(diverged=3)},
        }
        made = found(curves=curves)
        assert [(claim.value, claim.holds) for claim in made[:2]] == [(None, False), (None, False)]
        smoke = found(SMOKE, curves=curves)
        assert [(claim.value, claim.holds) for claim in smoke[:2]] == [(None, None), (None, None)]

    def test_one_seed_away_from_chance_is_enough_to_fail(self):
        curves = {0: CURVES[0], 1: CURVES[1] | {"inception-sigmoid": result(0.1, 0.151)}}
        claim = found(curves=curves)[3]
        assert claim.value == pytest.approx(5.1)
        assert claim.holds is False

    def test_chance_is_that_of_the_classes(self):
        claim = found(data=images(classes=5))[3]
        assert claim.value == pytest.approx(14 - 20)
        assert claim.holds is True

    def test_sigmoid_that_diverged(self):
        """It has learnt nothing: within chance, and behind."""
        curves = {seed: of | {"inception-sigmoid": result(diverged=2)} for seed, of in CURVES.items()}
        made = found(curves=curves)
        assert [(c.value, c.holds) for c in made[3:5]] == [
            (pytest.approx(-10), True),
            (pytest.approx(43), True),
        ]

    def test_no_stable_rate(self):
        made = found(pairs=[*PAIRS[:2], PAIRS[2], pair(1, True, None, 1.0)])
        assert made[5].value == pytest.approx(10)
        assert (made[6].value, made[6].holds) == (None, False)

    def test_ensemble_without_any_error(self):
        made = found(ensemble=Ensemble(["a"], [0.0], 0.0))
        assert (made[7].value, made[7].holds) == (None, False)
        assert found(ensemble=replace(ENSEMBLE, error=0.24))[7].holds is False


# ---- the ensemble ----------------------------------------------------------------------------------------


class TestEnsembleErrors:
    def test_by_hand(self):
        """Two networks of three are wrong about the first example, but not sure; together they are right."""
        probabilities = np.array(
            [
                [[0.45, 0.55], [0.9, 0.1], [0.3, 0.7]],
                [[0.45, 0.55], [0.6, 0.4], [0.2, 0.8]],
                [[0.90, 0.10], [0.1, 0.9], [0.4, 0.6]],
            ]
        )
        # means: 0.6 against 0.4; 0.533 against 0.467; 0.3 against 0.7
        singles, together = ensemble_errors(probabilities, [0, 1, 1])
        np.testing.assert_allclose(singles, [2 / 3, 2 / 3, 0])
        assert together == pytest.approx(1 / 3)
        assert isinstance(together, float)
        assert singles.dtype == np.float64

    @given(m=st.integers(1, 4), n=st.integers(1, 30), k=st.integers(1, 5), seed=st.integers(0, 1000))
    def test_numpy(self, m, n, k, seed):
        rng = np.random.default_rng(seed)
        probabilities = rng.dirichlet(np.ones(k), (m, n))
        labels = rng.integers(k, size=n)
        singles, together = ensemble_errors(probabilities, labels)

        def wrong(shares):
            return sum(int(np.argmax(row)) != label for row, label in zip(shares, labels, strict=True)) / n

        np.testing.assert_allclose(singles, [wrong(shares) for shares in probabilities], rtol=1e-12)
        sums = [[math.fsum(probabilities[:, j, c]) for c in range(k)] for j in range(n)]
        assert together == pytest.approx(wrong(sums), rel=1e-12)

    def test_one_network_is_its_own_ensemble(self):
        shares = np.array([[[0.2, 0.8], [0.7, 0.3], [0.6, 0.4]]])
        singles, together = ensemble_errors(shares, [1, 0, 1])
        assert singles.tolist() == [together] == [1 / 3]

    def test_probabilities_are_averaged_not_votes_or_logarithms(self):
        shares = np.array([[[0.51, 0.49]], [[0.51, 0.49]], [[0.1, 0.9]]])
        assert ensemble_errors(shares, [1]) == (pytest.approx([1, 1, 0]), 0.0)  # the votes say 0
        rare = np.array([[[0.6, 0.4]], [[0.6, 0.4]], [[1e-30, 1 - 1e-30]]])
        assert ensemble_errors(rare, [1])[1] == 0.0
        shares = np.array([[[0.8, 0.2]], [[0.8, 0.2]], [[1e-30, 1 - 1e-30]]])
        assert ensemble_errors(shares, [0])[1] == 0.0  # the mean of logarithms says 1

    def test_nan_is_wrong(self):
        nan = np.nan
        shares = np.array([[[nan, nan], [1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]])
        singles, together = ensemble_errors(shares, [0, 0])
        assert singles.tolist() == [0.5, 0.0]
        assert together == 0.5  # of the first example the mean is nan
        singles, together = ensemble_errors(np.full((2, 3, 2), nan), [0, 0, 1])
        assert (singles.tolist(), together) == ([1.0, 1.0], 1.0)

    @pytest.mark.parametrize(
        ("shape", "labels"),
        [((2, 3), 3), ((2, 3, 2), 2), ((2, 3, 2), 1), ((0, 3, 2), 3), ((2, 0, 2), 0), ((2, 3, 0), 3)],
    )
    def test_shapes(self, shape, labels):
        message = (
            r"^ensemble_errors: probabilities must have shape \(M, N, K\) and labels \(N,\), none of them "
            rf"empty; got \({', '.join(map(str, shape))}\) and \({labels},\)$"
        )
        with pytest.raises(ShapeError, match=message):
            ensemble_errors(np.zeros(shape), [0] * labels)

    def test_labels_of_two_dimensions(self):
        with pytest.raises(ShapeError, match=r"got \(2, 3, 2\) and \(3, 1\)$"):
            ensemble_errors(np.zeros((2, 3, 2)), [[0], [0], [0]])


def test_ensemble_of_runs():
    first = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.8, 0.2]])
    second = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    members = {"a": result(0.5, probabilities=first), "b": result(0.5, probabilities=second)}
    ensemble = Ensemble.of(members, [0, 0, 0, 1])
    assert ensemble.names == ["a", "b"]
    assert ensemble.singles == [0.75, 0.5]
    assert ensemble.mean == 0.625
    assert ensemble.error == 0.5
