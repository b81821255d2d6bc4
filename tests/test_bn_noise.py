"""The noise of batch gradients: a linear model, whose gradients are known, and all batches that there are."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tinynet as tn
from tinynet import bn, nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError

N = 6


@pytest.fixture
def linear():
    """A linear model, six examples, and the gradients ``2 (w x - y) x`` of their squared errors."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(N, 3)), rng.normal(size=(N, 1))
    model = nn.Linear(3, 1, bias=False, dtype=np.float64)
    w = model.weight.detach().numpy()
    return model, x, y, 2 * (x @ w.T - y) * x


def squared_distance(gradients, batch):
    return ((gradients[list(batch)].mean(axis=0) - gradients.mean(axis=0)) ** 2).sum()


@pytest.mark.parametrize("replacement", [False, True])
def test_theory_is_the_mean_over_all_batches(linear, replacement):
    model, x, y, gradients = linear
    found = bn.gradient_noise(model, nn.MSELoss(), x, y, [1, 2, 3, 5, 6], 2, replacement=replacement)
    deviations = gradients - gradients.mean(axis=0)
    assert found.spread == pytest.approx((deviations**2).sum(axis=1).mean(), rel=1e-12)
    assert (found.examples, found.replacement) == (N, replacement)
    assert found.sizes.tolist() == [1, 2, 3, 5, 6]
    for b, theory in zip(found.sizes, found.theory, strict=True):
        if replacement:
            batches = itertools.product(range(N), repeat=int(b))
        else:
            batches = itertools.combinations(range(N), int(b))
        if N**b < 10_000 or not replacement:
            exact = np.mean([squared_distance(gradients, batch) for batch in batches])
            assert theory == pytest.approx(exact, rel=1e-12, abs=1e-15)
        assert theory == pytest.approx(
            found.spread / b * (1 if replacement else (N - b) / (N - 1)), rel=1e-12
        )


@pytest.mark.parametrize("replacement", [False, True])
def test_measured_agrees_with_theory_within_its_error(linear, replacement):
    model, x, y, gradients = linear
    found = bn.gradient_noise(model, nn.MSELoss(), x, y, [1, 2, 4, 5], 1000, replacement=replacement)
    assert (np.abs(found.measured - found.theory) < 4 * found.error).all()
    # the standard error by all batches of two
    pairs = itertools.product(range(N), repeat=2) if replacement else itertools.combinations(range(N), 2)
    exact = np.std([squared_distance(gradients, pair) for pair in pairs]) / math.sqrt(1000)
    assert found.error[1] == pytest.approx(exact, rel=0.1)
    assert found.slope() == pytest.approx(-1, abs=0.1)


def test_every_batch_that_is_drawn_is_one_that_there_is(linear):
    model, x, y, gradients = linear
    for replacement, batches in (
        (False, itertools.combinations(range(N), 2)),
        (True, itertools.product(range(N), repeat=2)),
    ):
        possible = np.array([squared_distance(gradients, batch) for batch in batches])
        for seed in range(20):
            found = bn.gradient_noise(
                model, nn.MSELoss(), x, y, [2], 1, replacement=replacement, generator=tn.Generator(seed)
            )
            assert np.abs(possible - found.measured[0]).min() < 1e-12
            assert math.isnan(found.error[0])


def test_all_examples_without_replacement_have_no_noise(linear):
    model, x, y, _ = linear
    found = bn.gradient_noise(model, nn.MSELoss(), x, y, [2, N], 5)
    assert found.theory[1] == 0
    assert found.measured[1] == pytest.approx(0, abs=1e-28)
    assert math.isnan(found.slope())  # one size is left
    other = bn.gradient_noise(model, nn.MSELoss(), x, y, [N, 2 * N], 5, replacement=True)
    assert other.measured.min() > 1e-6


def test_slope_is_that_of_a_line():
    sizes = np.array([2, 8, 32])
    for replacement, factor in ((True, 1.0), (False, (64 - sizes) / 63)):
        noise = bn.GradientNoise(
            sizes, 3.0 * sizes**-1.5 * factor, sizes * 0.0, sizes * 0.0, 3.0, 64, replacement
        )
        assert noise.slope() == pytest.approx(-1.5, rel=1e-12)
    silent = bn.GradientNoise(sizes, sizes * 0.0, sizes * 0.0, sizes * 0.0, 0.0, 64, True)
    assert math.isnan(silent.slope())


def network():
    tn.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(18, 3)
    )


def test_a_network_is_left_as_it_was():
    model = network()
    x, y = tn.randn(8, 1, 5, 5), tn.arange(8) % 3
    model(x).sum().backward()  # moves the running statistics, leaves gradients
    model.eval()
    bn.freeze(model)
    model[1].train()
    model[0].bias.requires_grad = False
    state = {name: each.numpy().copy() for name, each in model.state_dict().items()}
    gradients = {name: p.grad for name, p in model.named_parameters()}
    drawn = tn.default_generator.get_state()
    found = bn.gradient_noise(model, nn.CrossEntropyLoss(), x, y, [1, 4], 3)
    for name, each in model.state_dict().items():
        np.testing.assert_array_equal(each.numpy(), state[name])
    assert all(p.grad is gradients[name] for name, p in model.named_parameters())
    assert [m.training for m in model] == [False, True, False, False, False, False]
    assert tn.default_generator.get_state() == drawn
    # against the gradients of single examples by backward, without that of the bias
    rows = []
    for i in range(8):
        model.zero_grad()
        nn.functional.cross_entropy(model(x[i : i + 1]), y[i : i + 1]).backward()
        rows.append(
            np.concatenate([p.grad.numpy().ravel() for p in model.parameters() if p.grad is not None])
        )
    rows = np.array(rows, np.float64)
    spread = ((rows - rows.mean(axis=0)) ** 2).sum(axis=1).mean()
    assert found.spread == pytest.approx(spread, rel=1e-5)


class Counter(nn.Linear):
    """Counts its calls in a buffer."""

    def __init__(self):
        super().__init__(3, 1, dtype=np.float64)
        self.register_buffer("calls", tn.zeros(1))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


def test_buffers_are_left_as_they_were(linear):
    _, x, y, _ = linear
    model = Counter()
    bn.gradient_noise(model, nn.MSELoss(), x, y, [1], 1)
    assert model.calls.item() == 0


def test_the_same_generator_gives_the_same_batches(linear):
    model, x, y, _ = linear

    def measured(generator):
        return bn.gradient_noise(model, nn.MSELoss(), x, y, [2, 3], 7, generator=generator).measured.tolist()

    assert measured(None) == measured(None) == measured(tn.Generator(0)) != measured(tn.Generator(1))
    tn.manual_seed(0)
    assert measured(tn.default_generator) != measured(tn.default_generator)
    with tn.no_grad():
        assert measured(None) == measured(tn.Generator(0))


def test_bits_do_not_depend_on_threads():
    model = network().eval()
    x, y = tn.randn(16, 1, 5, 5), tn.arange(16) % 3
    threads, found = tn.get_num_threads(), []
    try:
        for number in (1, 2):
            tn.set_num_threads(number)
            found.append(bn.gradient_noise(model, nn.CrossEntropyLoss(), x, y, [4], 50).measured[0])
    finally:
        tn.set_num_threads(threads)
    assert found[0] == found[1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_diverged_networks_pass_through(linear, value):
    model, x, y, _ = linear
    x[2, 1] = value
    found = bn.gradient_noise(model, nn.MSELoss(), x, y, [1, 2], 3)
    assert np.isnan([*found.measured, *found.theory, found.spread, found.slope()]).all()


def call(model=None, loss=None, x=None, y=None, sizes=(1,), draws=2, **options):
    model = nn.Linear(2, 1) if model is None else model
    x, y = (np.ones((4, 2), np.float32) if x is None else x, np.arange(4.0)[:, None] if y is None else y)
    return bn.gradient_noise(model, loss or nn.MSELoss(), x, y.astype(np.float32), sizes, draws, **options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": 3}, DTypeError, r"model must be a Module; got int"),
        ({"loss": 3}, DTypeError, r"loss must be callable; got int"),
        ({"x": [1.0]}, DTypeError, r"x must be a Tensor or array; got list"),
        (
            {"y": np.ones((3, 1))},
            ShapeError,
            r"x and y must have one length, at least 2; got \(4, 2\) and \(3, 1\)",
        ),
        (
            {"x": np.ones((1, 2), np.float32), "y": np.ones((1, 1))},
            ShapeError,
            r"x and y .* got \(1, 2\) and \(1, 1\)",
        ),
        ({"sizes": []}, ArgumentError, r"sizes must hold at least one; got none"),
        ({"sizes": 3}, DTypeError, r"sizes must be an iterable of ints; got int"),
        ({"sizes": [1, 0]}, ArgumentError, r"sizes must be a positive int; got 0"),
        ({"sizes": [5]}, ArgumentError, r"sizes must be at most 4, .*without replacement; got 5"),
        ({"draws": 0}, ArgumentError, r"draws must be a positive int; got 0"),
        ({"replacement": 1}, DTypeError, r"replacement must be a bool; got 1"),
        ({"generator": 1}, DTypeError, r"generator must be a Generator; got int"),
        ({"loss": nn.MSELoss(reduction="none")}, DTypeError, r"loss must return a tensor of one number"),
        ({"loss": nn.MSELoss(reduction="sum")}, ArgumentError, r"loss must be the mean over examples"),
        (
            {"model": nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))},
            ArgumentError,
            r"layer '1' must not normalise by the batch .*; got BatchNorm1d with batch statistics",
        ),
        (
            {"model": nn.BatchNorm1d(2, track_running_stats=False).eval()},
            ArgumentError,
            r"layer '' must not normalise by the batch",
        ),
        (
            {"model": nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.5))},
            ArgumentError,
            r"layer '1' must not draw random numbers \(use evaluation mode\); got Dropout",
        ),
        (
            {"loss": lambda output, y: (len(y) - 1) * output.sum()},  # of one example 0
            ArgumentError,
            r"loss must be the mean .*; got a gradient of all that is .* theirs, which have the length 0",
        ),
        (
            {"loss": lambda output, y: y.sum()},
            ArgumentError,
            r"loss must depend on parameters to train; got one that does not",
        ),
        ({"model": nn.ReLU()}, ArgumentError, r"model must have parameters to train; got none"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=r"^gradient_noise: " + message):
        call(**options)


def test_what_is_allowed_beside():
    model = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.0))
    assert call(model=model, sizes=[9], replacement=True).sizes.tolist() == [9]
