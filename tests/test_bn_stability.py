"""The largest stable learning rate, where it is known: a quadratic, a unit that dies, nothing, everything."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

import tinynet as tn
from tinynet import bn, nn
from tinynet.errors import ArgumentError, DTypeError


def constant_layer(weight):
    """A maker of linear layers without bias, all with this weight (K, D)."""

    def make():
        layer = nn.Linear(len(weight[0]), len(weight), bias=False, dtype=np.float64)
        with tn.no_grad():
            layer.weight.copy_(tn.tensor(np.array(weight, np.float64)))
        return layer

    return make


def quadratic(scales, steps=60):
    """Mean squared error of inputs with the covariance diag(scales^2): the same batch again and again.

    The loss is w^T (X^T X / N) w up to a shift, so its largest curvature is 2 max(scales^2).
    """
    n = 64
    rng = np.random.default_rng(0)
    orthonormal = np.linalg.qr(rng.normal(size=(n, len(scales))))[0] * math.sqrt(n)  # X^T X / N = 1
    x = orthonormal * scales
    y = x @ rng.normal(size=(len(scales), 1))
    return [(tn.tensor(x), tn.tensor(y))] * steps


@pytest.mark.parametrize("precision", [1.02, 1.2, 2.0])
@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), (3.0, 1.0), (0.1,)])
def test_quadratic_is_stable_below_two_over_the_curvature(scales, precision):
    bound = 2 / (2 * max(scales) ** 2)
    make, loss = constant_layer([[0.5] * len(scales)]), nn.MSELoss()
    batches = quadratic(scales, steps=200)
    found = bn.largest_stable_rate(make, loss, batches, high=1e3, precision=precision)
    assert found.rate < bound < found.unstable <= precision * found.rate
    assert found.unstable / found.rate > math.sqrt(precision) * 0.999  # no more trials than needed


def test_momentum_moves_the_bound():
    """Heavy-ball momentum is stable below 2 (1 + momentum) / lambda (Polyak 1964)."""
    found = bn.largest_stable_rate(
        constant_layer([[0.5]]), nn.MSELoss(), quadratic((1.0,), 400), momentum=0.5, precision=1.05
    )
    assert found.rate < 1.5 < found.unstable


def test_weight_decay_adds_to_the_curvature():
    found = bn.largest_stable_rate(
        constant_layer([[0.5]]), nn.MSELoss(), quadratic((1.0,), 400), weight_decay=2.0, precision=1.05
    )
    assert found.rate < 2 / 4 < found.unstable


def test_trials_tell_what_happened():
    batches = quadratic((1.0,), 60)
    found = bn.largest_stable_rate(constant_layer([[0.5]]), nn.MSELoss(), batches)
    rates = [trial.rate for trial in found.trials]
    assert rates == sorted(set(rates))
    assert {trial.rate for trial in found.trials if trial.stable} == {
        rate for rate in rates if rate <= found.rate
    }
    assert found.unstable == min(rate for rate in rates if rate > found.rate)
    for trial in found.trials:
        if trial.stable:
            assert len(trial.losses) == 60
            assert max(trial.losses) <= 1e3
        elif len(trial.losses) < 60:  # ended by its last loss
            assert not trial.losses[-1] <= 1e3
            assert all(value <= 1e3 for value in trial.losses[:-1])
    # e <- (1 - 2 rate) e: the losses of one weight in closed form
    trial = found.trials[0]
    expected = trial.losses[0] * (1 - 2 * trial.rate) ** (2 * np.arange(60))
    np.testing.assert_allclose(trial.losses, expected, rtol=1e-8, atol=1e-20)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.rate = 1.0


def test_everything_stable():
    found = bn.largest_stable_rate(
        constant_layer([[0.5]]), nn.MSELoss(), quadratic((1.0,)), low=0.01, high=0.5
    )
    assert found.rate == 0.5
    assert found.unstable is None
    assert [trial.rate for trial in found.trials] == [0.5]


def test_nothing_stable_is_no_rate():
    found = bn.largest_stable_rate(constant_layer([[0.5]]), nn.MSELoss(), quadratic((1.0,)), low=2.0, high=40)
    assert found.rate is None
    assert found.unstable is None
    assert [trial.rate for trial in found.trials] == [2.0, 2.5, 10.0, 40.0]
    assert not any(trial.stable for trial in found.trials)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_loss_that_is_not_finite_is_not_stable(sign):
    def loss(x, y):
        return sign * nn.functional.mse_loss(x, y)

    make = constant_layer([[np.inf]])
    found = bn.largest_stable_rate(make, loss, quadratic((1.0,)), low=0.1, high=1)
    assert found.rate is None
    assert all(len(trial.losses) == 1 for trial in found.trials)


class Unit(nn.Module):
    """One ReLU unit, relu(w) with w = 3 at first."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(tn.full((1,), 3.0, dtype=np.float64))

    def forward(self, x):
        return nn.functional.relu(self.w) * x


def test_flat_network_is_not_stable():
    """The loss (relu(w) - 1)^2 first takes w to 3 - 4 rate: above a rate of 3/4 the unit is dead."""
    batches = [(np.ones(1), np.ones(1))] * 40
    lenient = bn.largest_stable_rate(Unit, nn.MSELoss(), batches)
    assert lenient.rate == 100  # 1 is less than the 4 of the beginning, and nothing ever diverges
    assert lenient.unstable is None
    found = bn.largest_stable_rate(Unit, nn.MSELoss(), batches, flat=1.0, precision=1.01)
    assert found.rate < 0.75 < found.unstable
    dead = next(trial for trial in found.trials if trial.rate == found.unstable)
    assert dead.losses == (4.0,) + 39 * (1.0,)
    held = bn.largest_stable_rate(Unit, nn.MSELoss(), batches, flat=1.0, learns=False)
    assert (held.rate, held.unstable) == (100, None)  # a dead unit does not diverge


def test_what_diverges_and_what_does_not_learn():
    """The loss w^2 from w = 1: a step takes w to (1 - 2 rate) w, so above a rate of 1 it grows.

    The last of 11 losses is 9^10 at a rate of 2, 4^10 at 1.5: the limit lies between.  Neither learns.
    """
    limit = 2.0**24
    options = {"low": 0.5, "high": 2.0, "precision": 1.05, "limit": limit}
    make, batches = constant_layer([[1.0]]), [(np.ones((1, 1)), np.zeros((1, 1)))] * 11
    held = bn.largest_stable_rate(make, nn.MSELoss(), batches, learns=False, **options)
    growth = (limit ** (1 / 20) + 1) / 2  # (2 rate - 1)^20 = limit
    assert held.rate < growth < held.unstable
    learnt = bn.largest_stable_rate(make, nn.MSELoss(), batches, **options)
    assert learnt.rate < 1 <= learnt.unstable


def test_rates_that_learn_nothing_do_not_mislead():
    """Far below the bound the loss does not get below `flat` within the steps: not stable, but passed by."""
    found = bn.largest_stable_rate(
        constant_layer([[9.0]]), nn.MSELoss(), quadratic((1.0,), 20), flat=1e-3, precision=1.5, high=30.0
    )
    assert 0.5 < found.rate < 1
    assert found.unstable <= 1.5 * found.rate
    low = bn.largest_stable_rate(
        constant_layer([[9.0]]), nn.MSELoss(), quadratic((1.0,), 20), flat=1e-3, high=1e-2
    )
    assert low.rate is None


def test_batch_norm_raises_the_rate_of_shifted_inputs():
    rng = np.random.default_rng(2)
    y = np.arange(64) % 4
    batches = [
        (((np.eye(4)[y] + rng.normal(size=(64, 4)) * 0.2) * 3 + 10).astype(np.float32), y) for _ in range(40)
    ]

    def make(batch_norm):
        tn.manual_seed(0)
        return nn.Sequential(*([nn.BatchNorm1d(4)] if batch_norm else []), nn.Linear(4, 4))

    plain, normalised = (
        bn.largest_stable_rate(
            lambda batch_norm=batch_norm: make(batch_norm), nn.CrossEntropyLoss(), batches, flat=math.log(4)
        )
        for batch_norm in (False, True)
    )
    assert plain.rate is not None
    assert normalised.rate > 10 * plain.rate


def test_batches_are_read_once_and_left_alone():
    rng = np.random.default_rng(1)
    y = np.arange(32) % 4
    batches = [((np.eye(4)[y] * 3 + 0.1 * rng.normal(size=(32, 4))).astype(np.float32), y) for _ in range(8)]
    before = [x.copy() for x, _ in batches]
    modes = []

    def make():
        tn.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).eval()
        model.register_forward_hook(lambda module, *_: modes.append(module.training))
        return model

    found = bn.largest_stable_rate(make, nn.CrossEntropyLoss(), iter(batches), low=0.01, high=1)
    assert found.rate is not None
    assert all(np.array_equal(a, b) for a, (b, _) in zip(before, batches, strict=True))
    assert modes
    assert all(modes)
    again = bn.largest_stable_rate(
        make, nn.CrossEntropyLoss(), [(tn.tensor(x), tn.tensor(y)) for x, y in batches], low=0.01, high=1
    )
    assert again == found  # arrays or tensors, first or second call: the same bits


def test_where_no_gradients_are_recorded():
    make, batches = constant_layer([[0.5]]), quadratic((1.0,), 20)
    with tn.no_grad():
        inside = bn.largest_stable_rate(make, nn.MSELoss(), batches, high=4.0)
        assert not tn.is_grad_enabled()
    assert inside == bn.largest_stable_rate(make, nn.MSELoss(), batches, high=4.0)


class TestErrors:
    make = staticmethod(constant_layer([[0.5]]))
    batches = quadratic((1.0,), 4)

    @pytest.mark.parametrize(
        ("options", "kind", "message"),
        [
            ({"low": 0}, ArgumentError, "low must be a finite number > 0; got 0.0"),
            ({"low": "1"}, DTypeError, "low must be a finite number > 0; got '1'"),
            ({"high": math.inf}, ArgumentError, "high must be a finite number > 0; got inf"),
            ({"low": 1, "high": 1}, ArgumentError, "low must be below high; got 1.0 and 1.0"),
            ({"precision": 1}, ArgumentError, "precision must be a finite number > 1; got 1.0"),
            ({"momentum": -0.1}, ArgumentError, "momentum must be a finite number >= 0; got -0.1"),
            ({"weight_decay": math.nan}, ArgumentError, "weight_decay must be a finite number >= 0; got nan"),
            ({"limit": 0}, ArgumentError, "limit must be a finite number > 0; got 0.0"),
            ({"learns": 1}, DTypeError, "learns must be a bool; got 1"),
            ({"flat": -1}, ArgumentError, "flat must be a finite number > 0; got -1.0"),
        ],
    )
    def test_options(self, options, kind, message):
        with pytest.raises(kind) as error:
            bn.largest_stable_rate(self.make, nn.MSELoss(), self.batches, **options)
        assert str(error.value) == f"largest_stable_rate: {message}"

    @pytest.mark.parametrize(
        ("batches", "kind", "message"),
        [
            (3, DTypeError, "batches must be an iterable of pairs (x, y); got int"),
            ({"x": 1}, DTypeError, "batches must be an iterable of pairs (x, y); got dict"),
            ([], ArgumentError, "batches must hold at least two; got 0"),
            (batches[:1], ArgumentError, "batches must hold at least two; got 1"),
            ([tn.ones(2)], DTypeError, "a batch must be a pair (x, y); got Tensor"),
            ([(tn.ones(2),)], DTypeError, "a batch must be a pair (x, y); got tuple"),
            (
                [(tn.ones(2), 1)],
                DTypeError,
                "a batch must hold two Tensors or arrays; got Tensor and int",
            ),
        ],
    )
    def test_batches(self, batches, kind, message):
        with pytest.raises(kind) as error:
            bn.largest_stable_rate(self.make, nn.MSELoss(), batches)
        assert str(error.value) == f"largest_stable_rate: {message}"

    @pytest.mark.parametrize(
        ("make", "kind", "message"),
        [
            (nn.Linear(1, 1), DTypeError, "make must return a Module; got Tensor"),
            (nn.ReLU, ArgumentError, "make must return a network with parameters to train; got none"),
            (3, DTypeError, "make must be callable; got int"),
        ],
    )
    def test_make(self, make, kind, message):
        if isinstance(make, nn.Linear):
            make = lambda: tn.ones(1)  # noqa: E731
        with pytest.raises(kind) as error:
            bn.largest_stable_rate(make, nn.MSELoss(), self.batches)
        assert str(error.value) == f"largest_stable_rate: {message}"

    def test_the_same_network_again(self):
        model = self.make()
        with pytest.raises(
            ArgumentError, match="make must return a new network with the same weights each time"
        ):
            bn.largest_stable_rate(lambda: model, nn.MSELoss(), self.batches)

    def test_other_weights_each_time(self):
        numbers = itertools.count(1)
        with pytest.raises(ArgumentError, match="the same weights each time; got losses of"):
            bn.largest_stable_rate(
                lambda: constant_layer([[float(next(numbers))]])(), nn.MSELoss(), self.batches
            )

    @pytest.mark.parametrize(
        ("loss", "message"),
        [
            (nn.MSELoss(reduction="none"), "loss must return a tensor of one number; got shape (64, 1)"),
            (lambda x, y: 1.0, "loss must return a tensor of one number; got float"),
            (None, "loss must be callable; got NoneType"),
        ],
    )
    def test_loss(self, loss, message):
        with pytest.raises(DTypeError) as error:
            bn.largest_stable_rate(self.make, loss, self.batches)
        assert str(error.value) == f"largest_stable_rate: {message}"
