"""The loss along the gradient: parabolas in closed form, and steps that SGD takes."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from test_bn_recording import images, network, snapshot

import tinynet as tn
from tinynet import bn, nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError

LABELS = np.arange(6) % 5


def regression(seed=0, n=8, d=3):
    """A linear layer, a batch, and of its mean squared error loss, gradient and Hessian; float64."""
    rng = np.random.default_rng(seed)
    x, y, w = rng.normal(size=(n, d)), rng.normal(size=(n, 1)), rng.normal(size=(1, d))
    layer = nn.Linear(d, 1, bias=False).double()
    layer.weight.data = tn.tensor(w)
    residual = x @ w.T - y
    return layer, x, y, np.square(residual).mean(), (2 / n * x.T @ residual)[:, 0], 2 / n * x.T @ x


def test_a_quadratic_loss_is_a_parabola_of_the_step():
    layer, x, y, loss, g, hessian = regression()
    steps = np.array([0, 1e-6, 0.01, 0.3, 5.0, -0.2])
    found = bn.relative_loss(layer, nn.MSELoss(), x, y, steps)
    expected = 1 - (steps * (g @ g) - steps**2 / 2 * (g @ hessian @ g)) / loss
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    assert found.dtype == np.float64
    assert found[0] == 1
    best = (g @ g) / (g @ hessian @ g)
    around = bn.relative_loss(layer, nn.MSELoss(), x, y, best * np.array([0.9, 1, 1.1]))
    assert around[1] < min(around[0], around[2])


@pytest.mark.parametrize("training", [True, False])
def test_a_step_is_that_of_sgd(training):
    model, x = network().float().train(training), tn.tensor(images().numpy().astype(np.float32))
    labels, loss = tn.tensor(LABELS), nn.CrossEntropyLoss()
    steps = [0.003, 0.1, 1.0]
    tn.manual_seed(4)
    found = bn.relative_loss(model, loss, x, labels, steps)
    for step, value in zip(steps, found, strict=True):
        twin = copy.deepcopy(model)
        optimizer = tn.optim.SGD(twin.parameters(), lr=step)
        tn.manual_seed(4)
        before = loss(twin(x), labels)
        before.backward()
        optimizer.step()
        tn.manual_seed(4)
        assert value == pytest.approx(loss(twin(x), labels).item() / before.item(), rel=2e-5)


def test_only_parameters_that_train_move():
    layer, x, y, loss, _, _ = regression()
    model = nn.Sequential(layer, nn.Linear(1, 1, bias=False).double()).double()
    model[0].requires_grad_(False)
    model[1].weight.data = tn.ones(1, 1, dtype=tn.float64)
    out = x @ layer.weight.numpy().T
    g = 2 * np.mean(out * (out - y))
    found = bn.relative_loss(model, nn.MSELoss(), x, y, [0.1])
    np.testing.assert_allclose(found, np.square((1 - 0.1 * g) * out - y).mean() / loss, rtol=1e-12)


def test_all_forwards_have_one_dropout_mask():
    model = network()
    assert bn.relative_loss(model, nn.CrossEntropyLoss(), images(), LABELS, [0, 0, 0]).tolist() == [1, 1, 1]


@pytest.mark.parametrize("training", [True, False])
def test_leaves_the_network_as_it_was(training):
    model, x = network().train(training), images().requires_grad_()
    model(x).sum().backward()
    before, gradient = snapshot(model), x.grad.numpy().tobytes()
    first = bn.relative_loss(model, nn.CrossEntropyLoss(), x, LABELS, [0.1, 1e9])
    assert snapshot(model) == before
    assert x.grad.numpy().tobytes() == gradient
    with tn.no_grad():
        second = bn.relative_loss(model, nn.CrossEntropyLoss(), x, LABELS, [0.1, 1e9])
    assert first.tobytes() == second.tobytes()


def test_no_bit_depends_on_the_threads():
    model = nn.Sequential(
        nn.Conv2d(2, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(12544, 5)
    )
    x = np.random.default_rng(0).normal(size=(6, 2, 30, 30)).astype(np.float32)
    threads, found = tn.get_num_threads(), []
    try:
        for number in (1, 2):
            tn.set_num_threads(number)
            found.append(bn.relative_loss(model, nn.CrossEntropyLoss(), x, LABELS, [1e-3, 0.1]))
    finally:
        tn.set_num_threads(threads)
    assert found[0].tobytes() == found[1].tobytes()


def test_divergence_passes_without_a_warning():
    model = nn.Sequential(*(nn.Linear(3, 3) for _ in range(4)))
    x, y = tn.ones(4, 3), tn.zeros(4, 3)
    found = bn.relative_loss(model, nn.MSELoss(), x, y, [1e12, 1e300, 0])
    assert not np.isfinite(found[:2]).any()
    assert found[2] == 1
    model[0].weight.data = tn.full((3, 3), np.inf)
    assert np.isnan(bn.relative_loss(model, nn.MSELoss(), x, y, [0, 1])).all()


def test_a_gradient_that_is_infinite():
    """L = 1 + sqrt(w) at w = 0."""
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data = tn.zeros(1, 1)

    def loss(output, _):
        return output.sum().sqrt() + 1

    found = bn.relative_loss(layer, loss, tn.ones(1, 1), tn.ones(1), [0, 1e-3])
    np.testing.assert_array_equal(found, [1, np.nan])


def test_a_loss_of_zero():
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = tn.zeros(1, 2)
    assert np.isnan(bn.relative_loss(layer, nn.MSELoss(), tn.ones(3, 2), tn.zeros(3, 1), [1.0])).all()


def test_steps_of_any_kind():
    layer, x, y, *_ = regression()
    expected = bn.relative_loss(layer, nn.MSELoss(), x, y, [0.0, 1.0, 2.0])
    for steps in (range(3), np.arange(6, dtype=np.int8)[:3], np.arange(3, dtype=np.float32), (0, 1, 2.0)):
        np.testing.assert_array_equal(bn.relative_loss(layer, nn.MSELoss(), x, y, steps), expected)
    assert bn.relative_loss(layer, nn.MSELoss(), x, y, []).shape == (0,)


def test_errors():
    layer, x, y, *_ = regression()

    def call(model=layer, loss=nn.MSELoss(), x=x, y=y, steps=(0.1,)):  # noqa: B008
        return bn.relative_loss(model, loss, x, y, steps)

    with pytest.raises(DTypeError, match=r"relative_loss: model must be a Module; got str"):
        call(model="net")
    with pytest.raises(DTypeError, match=r"relative_loss: loss must be callable; got NoneType"):
        call(loss=None)
    with pytest.raises(DTypeError, match=r"relative_loss: x must be a Tensor or array; got list"):
        call(x=[1.0])
    with pytest.raises(DTypeError, match=r"relative_loss: y must be a Tensor or array; got int"):
        call(y=1)
    for steps in (0.1, [[0.1]], [[0.1], [0.1, 0.2]]):
        with pytest.raises(ShapeError, match=r"relative_loss: steps must have shape \(S,\); got"):
            call(steps=steps)
    for steps in (["a"], [True], [1j], [None]):
        with pytest.raises(DTypeError, match=r"relative_loss: steps must be real numbers; got"):
            call(steps=steps)
    with pytest.raises(ArgumentError, match=r"relative_loss: steps must be finite; got inf"):
        call(steps=[0.1, np.inf])
    with pytest.raises(DTypeError, match=r"loss must return a tensor of one number; got shape \(8, 1\)"):
        call(loss=lambda a, b: a - b)
    with pytest.raises(DTypeError, match=r"loss must return a tensor of one number; got float"):
        call(loss=lambda a, b: 1.0)
    with pytest.raises(ArgumentError, match=r"model must have parameters to train; got none"):
        call(model=nn.ReLU())
    with pytest.raises(ArgumentError, match=r"loss must depend on parameters to train; got one"):
        call(loss=lambda a, b: a.detach().sum())
