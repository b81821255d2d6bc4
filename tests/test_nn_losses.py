"""Losses: modules and doors beside their equations, generated shapes, gradients, edges, every error."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import tinynet as tn
from tinynet import nn
from tinynet.errors import GraphError
from tinynet.nn import functional as F

FLOATS = [np.float32, np.float64]
REDUCTIONS = ["mean", "sum", "none"]
each_dtype = pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.__name__)


def values(tensor):
    return tensor.detach().numpy()


def reduced(losses, reduction, divisor=None):
    if reduction == "none":
        return losses
    return losses.sum() / ((losses.size if divisor is None else divisor) if reduction == "mean" else 1)


def huber(x, t, delta):
    d = np.abs(x - t)
    return np.where(d < delta, d * d / 2, delta * (d - delta / 2))


# name -> (module, door, equation in float64, whether input and target are probabilities)
ELEMENTWISE = {
    "mse": (nn.MSELoss, F.mse_loss, lambda x, t: (x - t) ** 2, False),
    "l1": (nn.L1Loss, F.l1_loss, lambda x, t: np.abs(x - t), False),
    "huber": (nn.HuberLoss, F.huber_loss, lambda x, t: huber(x, t, 1.0), False),
    "smooth_l1": (nn.SmoothL1Loss, F.smooth_l1_loss, lambda x, t: huber(x, t, 1.0), False),
    "bce": (
        nn.BCELoss,
        F.binary_cross_entropy,
        lambda x, t: -special.xlogy(t, x) - special.xlog1py(1 - t, -x),
        True,
    ),
    "bce_logits": (
        nn.BCEWithLogitsLoss,
        F.binary_cross_entropy_with_logits,
        lambda x, t: np.logaddexp(0, x) - x * t,
        False,
    ),
    "kl": (nn.KLDivLoss, F.kl_div, lambda x, t: special.rel_entr(t, np.exp(x)), False),
}
each_loss = pytest.mark.parametrize("name", list(ELEMENTWISE))


def operands(name, shape, dtype, rng):
    x = rng.uniform(0.02, 0.98, shape) if ELEMENTWISE[name][3] else 2.0 * rng.standard_normal(shape)
    t = rng.uniform(0.0, 1.0, shape)
    return np.asarray(x, dtype), np.asarray(t, dtype)


# ---- elementwise losses


@each_dtype
@pytest.mark.parametrize("reduction", REDUCTIONS)
@each_loss
def test_module_door_and_equation_agree(name, reduction, dtype, rng):
    module, door, equation, _ = ELEMENTWISE[name]
    for shape in ((4, 5), (), (1,), (3, 1, 2)):
        x, t = operands(name, shape, dtype, rng)
        a, b = tn.from_numpy(x), tn.from_numpy(t)
        y = module(reduction=reduction)(a, b)
        want = reduced(np.asarray(equation(x.astype(np.float64), t.astype(np.float64))), reduction)
        assert y.dtype == dtype
        assert y.shape == np.shape(want)
        np.testing.assert_allclose(values(y), want, rtol=1e-5 if dtype is np.float32 else 1e-12, atol=1e-7)
        assert values(door(a, b, reduction=reduction)).tobytes() == values(y).tobytes()


shapes = st.lists(st.integers(1, 6), min_size=0, max_size=4).map(tuple)


@settings(max_examples=25)
@given(shape=shapes, seed=st.integers(0, 2**32 - 1), reduction=st.sampled_from(REDUCTIONS))
@each_loss
def test_any_shape(name, shape, seed, reduction):
    """Values and gradients of float32 follow those of float64, which follow the equation."""
    rng = np.random.default_rng(seed)
    _, door, equation, _ = ELEMENTWISE[name]
    x, t = operands(name, shape, np.float32, rng)
    results = []
    for dtype in (np.float32, np.float64):
        a, b = (tn.tensor(v, dtype=dtype, requires_grad=True) for v in (x, t))
        y = door(a, b, reduction=reduction)
        y.sum().backward()
        results.append([values(y), values(a.grad), values(b.grad)])
    exact = reduced(np.asarray(equation(x.astype(np.float64), t.astype(np.float64))), reduction)
    np.testing.assert_allclose(results[1][0], exact, rtol=1e-12, atol=1e-14)
    for single, double in zip(*results, strict=True):
        size = max(1.0, float(np.abs(double).max()))
        np.testing.assert_allclose(single, double, rtol=2e-6, atol=2e-6 * size)


def test_every_length_by_every_instruction_set(isa, rng):
    """What lies beside the operands does not count: values, slopes and norms at the edges of vectors."""

    def amid_nan(a):
        whole = np.full(a.size + 64, np.nan, np.float32)
        whole[32 : 32 + a.size] = a.ravel()
        return whole[32 : 32 + a.size].reshape(a.shape)

    for n in (*range(1, 36), 8191, 8193, 20001):
        for name, (_, door, equation, _) in ELEMENTWISE.items():
            x, t = (amid_nan(a) for a in operands(name, (n,), np.float32, rng))
            a = tn.from_numpy(x).requires_grad_()
            y = door(a, tn.from_numpy(t), reduction="sum")
            exact = equation(x.astype(np.float64), t.astype(np.float64)).sum()
            np.testing.assert_allclose(values(y), exact, rtol=3e-6, atol=1e-6, err_msg=f"{name} of {n}")
            y.backward()
            b = tn.tensor(x, dtype=np.float64, requires_grad=True)
            door(b, tn.tensor(t, dtype=np.float64), reduction="sum").backward()
            np.testing.assert_allclose(values(a.grad), values(b.grad), rtol=1e-5, atol=1e-6, err_msg=name)
        norm = nn.utils.get_total_norm(tn.from_numpy(x)).item()
        np.testing.assert_allclose(norm, np.linalg.norm(x.astype(np.float64)), rtol=1e-6)
    for k in range(1, 36):
        x, t = (amid_nan(rng.uniform(0.1, 0.9, (3, k))) for _ in range(2))
        logp = special.log_softmax(x.astype(np.float64), 1)
        a, b = tn.from_numpy(x).requires_grad_(), tn.from_numpy(t).requires_grad_()
        y = F.cross_entropy(a, b, reduction="none")
        np.testing.assert_allclose(values(y), -(t * logp).sum(1), rtol=1e-5, atol=1e-6)
        y.sum().backward()
        expected = np.exp(logp) * t.sum(1, keepdims=True) - t
        np.testing.assert_allclose(values(a.grad), expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(values(b.grad), -logp, rtol=1e-5, atol=1e-6)


@each_loss
def test_gradients_by_differences(name, rng):
    _, door, _, _ = ELEMENTWISE[name]
    x, t = operands(name, (3, 4), np.float64, rng)
    t = np.clip(t, 0.1, 0.9)
    a, b = tn.tensor(x, requires_grad=True), tn.tensor(t, requires_grad=True)
    for reduction in ("mean", "none"):
        assert tn.gradcheck(lambda u, v, r=reduction: door(u, v, reduction=r), (a, b))


@each_dtype
@each_loss
def test_of_nothing(name, dtype):
    """The mean of no element is NaN, the sum 0, and an empty gradient flows back."""
    door = ELEMENTWISE[name][1]
    for reduction, want in (("mean", np.nan), ("sum", 0.0)):
        x = tn.zeros(0, 3, dtype=dtype).requires_grad_()
        y = door(x, tn.zeros(0, 3, dtype=dtype), reduction=reduction)
        np.testing.assert_array_equal(values(y), np.asarray(want, dtype))
        y.backward()
        assert x.grad.shape == (0, 3)
    assert door(tn.zeros(0, 3), tn.zeros(0, 3), reduction="none").shape == (0, 3)


@each_dtype
@each_loss
def test_nan_comes_through(name, dtype):
    door = ELEMENTWISE[name][1]
    x = tn.tensor([0.5, float("nan"), 0.25], dtype=dtype, requires_grad=True)
    y = door(x, tn.tensor([0.5, 0.5, 0.75], dtype=dtype), reduction="none")
    assert np.isnan(values(y)).tolist() == [False, True, False]
    y.sum().backward()
    wanted = [False, name != "kl", False]  # whose slope is the target alone
    assert np.isnan(values(x.grad)).tolist() == wanted


@each_dtype
@each_loss
def test_nan_in_the_target_comes_through(name, dtype):
    door = ELEMENTWISE[name][1]
    y = door(
        tn.tensor([0.5, 0.5], dtype=dtype), tn.tensor([float("nan"), 0.5], dtype=dtype), reduction="none"
    )
    assert np.isnan(values(y)).tolist() == [True, False]


@each_dtype
def test_logits_far_apart(dtype):
    """Finite values and slopes, and no cancellation where the loss is tiny."""
    x = tn.tensor([1e4, -1e4, 1e4, -1e4, 30.0, -30.0], dtype=dtype, requires_grad=True)
    t = tn.tensor([1.0, 0.0, 0.0, 1.0, 1.0, 0.0], dtype=dtype)
    tiny = np.log1p(np.exp(-30.0))
    for options in ({}, {"pos_weight": tn.ones(6, dtype=dtype)}, {"weight": tn.ones(1, dtype=dtype)}):
        x.grad = None
        y = F.binary_cross_entropy_with_logits(x, t, reduction="none", **options)
        np.testing.assert_allclose(values(y), [0.0, 0.0, 1e4, 1e4, tiny, tiny], rtol=1e-6)
        y.sum().backward()
        slopes = values(x.grad)
        np.testing.assert_allclose(slopes[:4], [0.0, 0.0, 1.0, -1.0], atol=1e-7)
        assert np.isfinite(slopes).all()


@each_dtype
def test_bce_at_its_ends(dtype):
    """Logarithms are at least -100 and the slopes stay finite."""
    x = tn.tensor([0.0, 1.0, 0.0, 1.0], dtype=dtype, requires_grad=True)
    t = tn.tensor([0.0, 1.0, 1.0, 0.0], dtype=dtype, requires_grad=True)
    y = F.binary_cross_entropy(x, t, reduction="none")
    assert values(y).tolist() == [0.0, 0.0, 100.0, 100.0]
    y.sum().backward()
    np.testing.assert_allclose(values(x.grad), [0.0, 0.0, -1e12, 1e12], rtol=1e-6)
    assert values(t.grad).tolist() == [100.0, -100.0, 100.0, -100.0]


@each_dtype
def test_infinities(dtype):
    inf = float("inf")
    x, t = tn.tensor([inf, -inf, 1.0], dtype=dtype), tn.zeros(3, dtype=dtype)
    for door in (F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss):
        assert values(door(x, t, reduction="none"))[:2].tolist() == [inf, inf]
        y = x.clone().requires_grad_()
        door(y, t, reduction="sum").backward()
        assert not np.isnan(values(y.grad)).any()


def test_slope_of_absolute_error_is_zero_at_zero():
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    F.l1_loss(x, tn.tensor([1.0, 3.0]), reduction="sum").backward()
    assert x.grad.tolist() == [0.0, -1.0]


def test_kl_of_a_target_of_zero():
    x = tn.tensor([0.5, -1.0], requires_grad=True)
    y = F.kl_div(x, tn.tensor([0.0, 1.0]), reduction="none")
    assert values(y).tolist() == [0.0, 1.0]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, -1.0]


def test_batchmean_divides_by_the_first_axis(rng):
    x, t = operands("kl", (4, 3), np.float64, rng)
    total = special.rel_entr(t, np.exp(x)).sum()
    y = nn.KLDivLoss(reduction="batchmean")(tn.from_numpy(x), tn.from_numpy(t))
    np.testing.assert_allclose(values(y), total / 4)
    logs = nn.KLDivLoss(None, None, "sum", log_target=True)(tn.from_numpy(x), tn.from_numpy(np.log(t)))
    np.testing.assert_allclose(values(logs), total)


def test_delta_and_beta(rng):
    x, t = operands("mse", (50,), np.float64, rng)
    a, b = tn.from_numpy(x), tn.from_numpy(t)
    for delta in (0.01, 0.3, 2.0, 1e3):
        np.testing.assert_allclose(values(nn.HuberLoss("none", delta)(a, b)), huber(x, t, delta))
        smooth = nn.SmoothL1Loss(reduction="none", beta=delta)
        np.testing.assert_allclose(values(smooth(a, b)), huber(x, t, delta) / delta)
    assert values(nn.SmoothL1Loss(beta=0)(a, b)) == values(nn.L1Loss()(a, b))


@each_dtype
def test_weights_of_elements(dtype, rng):
    """mse and l1 divide by the sum of the weights; huber and both forms of bce by the number of elements."""
    x, t = operands("bce", (4, 3), dtype, rng)
    w = np.asarray([0.5, 2.0, 1.0], dtype)
    a, b, c = map(tn.from_numpy, (x, t, w))
    x, t = x.astype(np.float64), t.astype(np.float64)
    each = {
        F.mse_loss: ((x - t) ** 2, 4 * w.sum()),
        F.l1_loss: (np.abs(x - t), 4 * w.sum()),
        F.huber_loss: (huber(x, t, 1.0), 12),
        F.binary_cross_entropy: (ELEMENTWISE["bce"][2](x, t), 12),
        F.binary_cross_entropy_with_logits: (ELEMENTWISE["bce_logits"][2](x, t), 12),
    }
    for door, (losses, divisor) in each.items():
        np.testing.assert_allclose(values(door(a, b, weight=c)), (losses * w).sum() / divisor, rtol=1e-5)


def test_weights_are_state():
    layer = nn.BCEWithLogitsLoss(tn.tensor([1.0, 2.0]), pos_weight=tn.tensor([3.0]))
    assert list(layer.state_dict()) == ["weight", "pos_weight"]
    assert list(nn.BCELoss(tn.ones(2)).state_dict()) == ["weight"]
    assert list(nn.NLLLoss(tn.ones(2)).state_dict()) == ["weight"]
    assert list(nn.MSELoss().state_dict()) == []
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        x = tn.tensor([[0.5, -1.0]])
        assert twin(x, tn.ones(1, 2)).item() == layer(x, tn.ones(1, 2)).item()
    assert layer.double().weight.dtype == np.float64


def test_integer_targets_take_the_inputs_dtype():
    for dtype in ("i8", "u1", "?"):
        t = tn.tensor(np.asarray([0, 1, 1], dtype))
        x = tn.tensor([0.25, 0.5, 0.75])
        for door in (F.mse_loss, F.binary_cross_entropy, F.binary_cross_entropy_with_logits):
            assert door(x, t).item() == door(x, t.float()).item()


def test_saved_values_are_what_the_gradient_needs():
    """kl_div reads the target alone, so its input may change before backward; mse_loss reads both."""
    x, t = tn.tensor([0.1, 0.2], requires_grad=True) * 1.0, tn.tensor([0.5, 0.5])
    y = F.kl_div(x, t)
    with tn.no_grad():
        x.zero_()
    y.backward()
    for changed in ("input", "target"):
        x, t = tn.tensor([0.1, 0.2], requires_grad=True) * 1.0, tn.tensor([0.5, 0.5])
        y = F.mse_loss(x, t)
        with tn.no_grad():
            (x if changed == "input" else t).zero_()
        with pytest.raises(GraphError, match="backward: mse_loss needs a value of shape"):
            y.backward()


# ---- beside PyTorch

LOSSES = [
    "CrossEntropyLoss",
    "NLLLoss",
    "MSELoss",
    "L1Loss",
    "SmoothL1Loss",
    "HuberLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "KLDivLoss",
]


@pytest.mark.parity
def test_signatures_are_pytorchs():
    import torch

    def arguments(function):
        parameters = inspect.signature(function).parameters.values()
        return [(each.name, each.kind, each.default) for each in parameters]

    for name in LOSSES:
        assert arguments(getattr(nn, name)) == arguments(getattr(torch.nn, name)), name
        assert repr(getattr(nn, name)()) == repr(getattr(torch.nn, name)())
    for name in (
        "cross_entropy",
        "nll_loss",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "kl_div",
    ):
        assert arguments(getattr(F, name)) == arguments(getattr(torch.nn.functional, name)), name


@pytest.mark.parity
def test_one_hot_is_pytorchs():
    import torch

    t = np.asarray([[0, 3], [1, 1]])
    for classes in (-1, 4, 6):
        expected = torch.nn.functional.one_hot(torch.from_numpy(t), classes).numpy()
        assert np.array_equal(F.one_hot(tn.from_numpy(t), classes).numpy(), expected)


@pytest.mark.parity
def test_special_values_are_pytorchs():
    """NaN, infinities, large logits, the ends of [0, 1]: values and gradients of the input."""
    import torch

    inf, nan = float("inf"), float("nan")
    wide = np.asarray([0.0, 1.0, -1.0, 1e4, -1e4, 100.0, -100.0, nan, 1e30, inf, -inf], np.float32)
    zeros, ones = np.zeros_like(wide), np.ones_like(wide)
    ends = np.asarray([0.0, 1.0, 0.5, 1e-30, 1.0 - 1e-7], np.float32)
    calls = [(name, wide, t) for name in ("mse_loss", "huber_loss", "smooth_l1_loss") for t in (zeros, ones)]
    calls += [("binary_cross_entropy_with_logits", wide[:9], t[:9]) for t in (zeros, ones)]
    calls += [("binary_cross_entropy", ends, t) for t in (ends, np.zeros_like(ends), np.ones_like(ends))]
    calls += [("kl_div", wide[:9], t[:9]) for t in (zeros, ones)]
    for name, x, t in calls:
        a, b = tn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y = getattr(F, name)(a, tn.tensor(t), reduction="none")
        w = getattr(torch.nn.functional, name)(b, torch.tensor(t), reduction="none")
        # atol: the float32 kernels flush subnormal results to zero
        np.testing.assert_allclose(values(y), w.detach().numpy(), rtol=1e-5, atol=1e-37, err_msg=name)
        y.sum().backward()
        w.sum().backward()
        np.testing.assert_allclose(values(a.grad), b.grad.numpy(), rtol=1e-5, atol=1e-30, err_msg=name)
