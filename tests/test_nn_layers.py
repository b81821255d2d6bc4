"""Layers and losses: values against independent formulas, constructor checks, printing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError

FLOATS = [np.float32, np.float64]


def values(tensor):
    return tensor.detach().numpy()


def normal(shape, dtype=np.float32, seed=0, scale=1.0, shift=0.0):
    return (np.random.default_rng(seed).normal(size=shape) * scale + shift).astype(dtype)


# ---- Linear, Flatten, Identity


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lead", [(5,), (2, 3), ()])
def test_linear(dtype, bias, lead):
    layer = nn.Linear(4, 3, bias=bias, dtype=dtype)
    assert layer.weight.shape == (3, 4)
    assert layer.weight.dtype == dtype
    assert (layer.bias is not None) == bias
    x = normal((*lead, 4), dtype)
    want = x @ values(layer.weight).T + (values(layer.bias) if bias else 0)
    np.testing.assert_allclose(values(layer(tn.tensor(x))), want, rtol=1e-5, atol=1e-6)


def test_linear_initial_values_are_uniform_in_one_over_root_fan_in():
    tn.manual_seed(1)
    layer = nn.Linear(100, 400)
    w, b = values(layer.weight), values(layer.bias)
    assert np.abs(w).max() <= 0.1
    assert np.abs(b).max() <= 0.1
    assert np.abs(w).max() > 0.0999
    np.testing.assert_allclose(w.std(), 0.1 / np.sqrt(3), rtol=0.02)
    tn.manual_seed(1)
    again = nn.Linear(100, 400)
    assert np.array_equal(values(again.weight), w)
    assert np.array_equal(values(again.bias), b)
    again.reset_parameters()
    assert not np.array_equal(values(again.weight), w)


def test_linear_errors():
    with pytest.raises(ArgumentError, match="Linear: in_features must be a positive int; got 0"):
        nn.Linear(0, 3)
    with pytest.raises(DTypeError, match=r"Linear: out_features must be a positive int; got 3.0"):
        nn.Linear(3, 3.0)
    with pytest.raises(DTypeError, match="Linear: out_features must be a positive int; got True"):
        nn.Linear(3, True)
    with pytest.raises(DTypeError, match="Linear: bias must be a bool; got None"):
        nn.Linear(3, 3, None)
    with pytest.raises(DTypeError, match="Linear: dtype must be float32 or float64; got"):
        nn.Linear(3, 3, dtype=np.int32)


def test_flatten_and_identity():
    x = tn.tensor(normal((2, 3, 4, 5)))
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Flatten(2)(x).shape == (2, 3, 20)
    assert np.array_equal(values(nn.Flatten()(x)), values(x).reshape(2, 60))
    assert nn.Identity(54, unused=True)(x) is x
    with pytest.raises(DTypeError, match="Flatten: start_dim must be an int; got None"):
        nn.Flatten(None)


# ---- activations


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("layer", "reference"),
    [
        (nn.Sigmoid(), special.expit),
        (nn.Tanh(), np.tanh),
        (nn.ReLU(), lambda x: np.maximum(x, 0)),
        (nn.Softmax(1), lambda x: special.softmax(x, 1)),
        (nn.LogSoftmax(dim=-1), lambda x: special.log_softmax(x, -1)),
    ],
    ids=lambda v: type(v).__name__,
)
def test_activations(dtype, layer, reference):
    x = normal((7, 5), dtype, scale=3)
    y = layer(tn.tensor(x))
    assert y.dtype == dtype
    np.testing.assert_allclose(values(y), reference(x.astype(np.float64)), rtol=1e-5, atol=1e-6)


def test_activation_printing_and_errors():
    assert repr(nn.ReLU()) == "ReLU()"
    assert repr(nn.ReLU(inplace=True)) == "ReLU(inplace=True)"
    assert repr(nn.Softmax(dim=1)) == "Softmax(dim=1)"
    assert repr(nn.LogSoftmax(-1)) == "LogSoftmax(dim=-1)"
    with pytest.raises(DTypeError, match="ReLU: inplace must be a bool; got 0"):
        nn.ReLU(0)
    with pytest.raises(NotImplementedError, match="Softmax: dim must be an int; its implicit choice"):
        nn.Softmax(None)


# ---- BatchNorm1d


def reference_batch_norm(x, gamma, beta, eps):
    axes = tuple(i for i in range(x.ndim) if i != 1)
    shape = [1, -1] + [1] * (x.ndim - 2)
    mean, var = x.mean(axes, dtype=np.float64), x.var(axes, dtype=np.float64)
    xh = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)
    return gamma.reshape(shape) * xh + beta.reshape(shape), mean, var, x.size // x.shape[1]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(6, 4), (5, 4, 3), (1, 4, 2)])
@pytest.mark.parametrize("momentum", [0.1, 0.3, None])
def test_batch_norm_training_moves_the_running_statistics(dtype, shape, momentum):
    layer = nn.BatchNorm1d(4, eps=1e-3, momentum=momentum, dtype=dtype)
    gamma, beta = normal(4, dtype, 1), normal(4, dtype, 2)
    layer.load_state_dict({"weight": gamma, "bias": beta}, strict=False)
    mean, var = np.zeros(4), np.ones(4)
    for step in range(3):
        x = normal(shape, dtype, 10 + step, scale=2, shift=step)
        want, batch_mean, batch_var, m = reference_batch_norm(x, gamma, beta, 1e-3)
        np.testing.assert_allclose(values(layer(tn.tensor(x))), want, rtol=1e-4, atol=1e-5)
        rate = 1 / (step + 1) if momentum is None else momentum
        mean = (1 - rate) * mean + rate * batch_mean
        var = (1 - rate) * var + rate * batch_var * m / (m - 1)
        np.testing.assert_allclose(values(layer.running_mean), mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(values(layer.running_var), var, rtol=1e-5, atol=1e-6)
        assert layer.num_batches_tracked.item() == step + 1
    layer.eval()
    x = normal(shape, dtype, 99)
    spread = [1, -1] + [1] * (x.ndim - 2)
    scale = gamma / np.sqrt(var + 1e-3)
    want = scale.reshape(spread) * x + (beta - scale * mean).reshape(spread)
    np.testing.assert_allclose(values(layer(tn.tensor(x))), want, rtol=1e-4, atol=1e-5)
    assert layer.num_batches_tracked.item() == 3
    np.testing.assert_allclose(values(layer.running_mean), mean, rtol=1e-5, atol=1e-6)


def test_batch_norm_without_affine_or_running_statistics():
    x = normal((8, 3), np.float64)
    plain = nn.BatchNorm1d(3, affine=False, dtype=np.float64)
    assert plain.weight is None
    assert plain.bias is None
    assert list(plain.state_dict()) == ["running_mean", "running_var", "num_batches_tracked"]
    free = nn.BatchNorm1d(3, track_running_stats=False, dtype=np.float64)
    assert free.running_mean is None
    assert list(free.state_dict()) == ["weight", "bias"]
    want = reference_batch_norm(x, np.ones(3), np.zeros(3), 1e-5)[0]
    for layer in (plain, free, free.eval()):
        np.testing.assert_allclose(values(layer(tn.tensor(x))), want, rtol=1e-9)
    no_beta = nn.BatchNorm1d(3, bias=False)
    assert no_beta.bias is None
    assert no_beta.weight is not None


def test_batch_norm_tracking_can_be_paused():
    layer = nn.BatchNorm1d(3)
    layer.track_running_stats = False
    layer(tn.tensor(normal((8, 3), shift=5)))
    assert layer.num_batches_tracked.item() == 0
    assert values(layer.running_mean).tolist() == [0, 0, 0]


def test_batch_norm_reset():
    layer = nn.BatchNorm1d(3)
    layer.load_state_dict({"weight": np.full(3, 2, np.float32)}, strict=False)
    layer(tn.tensor(normal((8, 3), shift=5)))
    layer.reset_running_stats()
    assert layer.num_batches_tracked.item() == 0
    assert values(layer.running_mean).tolist() == [0, 0, 0]
    assert values(layer.running_var).tolist() == [1, 1, 1]
    assert values(layer.weight).tolist() == [2, 2, 2]
    layer.reset_parameters()
    assert values(layer.weight).tolist() == [1, 1, 1]


def test_batch_norm_gradients_reach_gamma_and_beta():
    layer = nn.BatchNorm1d(3, dtype=np.float64)
    x = normal((8, 3), np.float64)
    g = normal((8, 3), np.float64, 1)
    (layer(tn.tensor(x)) * tn.tensor(g)).sum().backward()
    xh = reference_batch_norm(x, np.ones(3), np.zeros(3), 1e-5)[0]
    np.testing.assert_allclose(values(layer.weight.grad), (g * xh).sum(0), rtol=1e-9)
    np.testing.assert_allclose(values(layer.bias.grad), g.sum(0), rtol=1e-9)


def test_batch_norm_input_errors():
    layer = nn.BatchNorm1d(3)
    message = r"BatchNorm1d: input must have shape \(N, 3\) or \(N, 3, L\); got "
    for shape in [(3,), (2, 4), (2, 4, 3), (2, 3, 4, 4), ()]:
        with pytest.raises(ShapeError, match=message):
            layer(tn.tensor(np.ones(shape, np.float32)))


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1)])
def test_batch_of_one_value_is_refused_in_training_and_counts_nothing(shape):
    layer = nn.BatchNorm1d(3)
    x = tn.tensor(np.ones(shape, np.float32))
    with pytest.raises(ShapeError, match="more than one value per channel"):
        layer(x)
    assert layer.num_batches_tracked.item() == 0
    assert values(layer.running_mean).tolist() == [0, 0, 0]
    assert layer.eval()(x).shape == shape


def test_batch_norm_constructor_errors():
    with pytest.raises(ArgumentError, match="BatchNorm1d: num_features must be a positive int; got -1"):
        nn.BatchNorm1d(-1)
    with pytest.raises(ArgumentError, match=r"BatchNorm1d: eps must be a finite number > 0; got 0.0"):
        nn.BatchNorm1d(3, eps=0)
    with pytest.raises(ArgumentError, match=r"BatchNorm1d: momentum must be a number in \[0, 1\]; got 1.5"):
        nn.BatchNorm1d(3, momentum=1.5)
    with pytest.raises(ArgumentError, match=r"BatchNorm1d: momentum must be a number in \[0, 1\]; got nan"):
        nn.BatchNorm1d(3, momentum=float("nan"))
    with pytest.raises(DTypeError, match="BatchNorm1d: affine must be a bool; got 1"):
        nn.BatchNorm1d(3, affine=1)


# ---- Dropout


def test_dropout_zeroes_and_scales():
    tn.manual_seed(0)
    x = tn.tensor(np.ones((100, 100), np.float32))
    layer = nn.Dropout(0.25)
    y = values(layer(x))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    np.testing.assert_allclose((y == 0).mean(), 0.25, atol=0.02)
    assert not np.array_equal(y, values(layer(x)))
    tn.manual_seed(0)
    assert np.array_equal(y, values(layer(x)))
    assert np.array_equal(values(layer.eval()(x)), values(x))
    assert np.array_equal(values(nn.Dropout(0.0)(x)), values(x))
    assert not values(nn.Dropout(1.0)(x)).any()


def test_dropout_printing_and_errors():
    assert repr(nn.Dropout(0.2)) == "Dropout(p=0.2, inplace=False)"
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ArgumentError, match=rf"Dropout: p must be a number in \[0, 1\]; got {p}"):
            nn.Dropout(p)
    with pytest.raises(DTypeError, match=r"Dropout: p must be a number in \[0, 1\]; got '0.5'"):
        nn.Dropout("0.5")


# ---- CrossEntropyLoss


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_loss(dtype, weighted, smoothing, reduction):
    logits, target = normal((6, 4), dtype, scale=2), np.array([0, 3, 1, -7, 2, 1])
    weight = np.array([0.5, 1.0, 2.0, 1.5], dtype) if weighted else np.ones(4, dtype)
    layer = nn.CrossEntropyLoss(
        tn.tensor(weight) if weighted else None,
        ignore_index=-7,
        reduction=reduction,
        label_smoothing=smoothing,
    )
    log_p = special.log_softmax(logits.astype(np.float64), 1)
    losses, total = np.zeros(6), 0.0
    for i, t in enumerate(target):
        if t != -7:
            uniform = -(weight * log_p[i]).sum() / 4
            losses[i] = (1 - smoothing) * -weight[t] * log_p[i, t] + smoothing * uniform
            total += weight[t]
    want = {"mean": losses.sum() / total, "sum": losses.sum(), "none": losses}[reduction]
    loss = layer(tn.tensor(logits), tn.tensor(target))
    assert loss.shape == np.shape(want)
    np.testing.assert_allclose(values(loss), want, rtol=1e-5)


def test_cross_entropy_weight_is_state():
    layer = nn.CrossEntropyLoss(tn.tensor([1.0, 2.0]))
    assert list(layer.state_dict()) == ["weight"]
    assert list(nn.CrossEntropyLoss().state_dict()) == []
    assert repr(layer) == "CrossEntropyLoss()"


def test_cross_entropy_errors():
    with pytest.raises(
        ArgumentError, match="CrossEntropyLoss: reduction must be one of 'mean', 'sum', 'none'; got 'avg'"
    ):
        nn.CrossEntropyLoss(reduction="avg")
    with pytest.raises(
        ArgumentError, match=r"CrossEntropyLoss: label_smoothing must be a number in \[0, 1\]; got 2.0"
    ):
        nn.CrossEntropyLoss(label_smoothing=2)
    with pytest.raises(DTypeError, match="CrossEntropyLoss: weight must be a Tensor or None; got list"):
        nn.CrossEntropyLoss([1.0, 2.0])
    with pytest.raises(DTypeError, match=r"CrossEntropyLoss: ignore_index must be an int; got 1.5"):
        nn.CrossEntropyLoss(ignore_index=1.5)
