"""The doors of the ops against PyTorch's of the same names: values and gradients (`pytest -m parity`)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ops_cases import (
    CASES,
    DROPOUT_P,
    Case,
    assigned,
    chosen,
    class_weights,
    element_weights,
    labels,
    many_labels,
    picked,
    places,
    running,
)
from ops_cases_convolution import TWINS as CONVOLUTION_TWINS
from ops_cases_layout import TWINS as LAYOUT_TWINS
from ops_cases_normalization import TWINS as NORMALIZATION_TWINS
from ops_cases_pooling import TORCH as POOLING_TWINS
from ops_running import assert_near, largest, run

import tinynet as tn
from tinynet.nn import functional as F

pytestmark = pytest.mark.parity

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: d.__name__)


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

    torch.set_num_threads(1)
    return torch


def cross_entropy(**options: Any) -> Callable[..., Any]:
    def door(t: Any, x: Any) -> Any:
        n, k = x.shape
        given = dict(options)
        if given.pop("weighted", False):
            given["weight"] = t.from_numpy(class_weights(k)).to(x.dtype)
        return t.nn.functional.cross_entropy(x, t.from_numpy(labels(n, k)), **given)

    return door


def of_many_labels(name: str, **options: Any) -> Callable[..., Any]:
    def door(t: Any, x: Any) -> Any:
        given = dict(options)
        if given.pop("weighted", False):
            given["weight"] = t.from_numpy(class_weights(x.shape[min(1, x.ndim - 1)])).to(x.dtype)
        return getattr(t.nn.functional, name)(x, t.from_numpy(np.asarray(many_labels(x))), **given)

    return door


def soft_cross_entropy(**options: Any) -> Callable[..., Any]:
    def door(t: Any, x: Any, target: Any) -> Any:
        given = dict(options)
        if given.pop("weighted", False):
            given["weight"] = t.from_numpy(class_weights(x.shape[min(1, x.ndim - 1)])).to(x.dtype)
        return t.nn.functional.cross_entropy(x, target, **given)

    return door


def loss(name: str, **options: Any) -> Callable[..., Any]:
    """A loss of PyTorch's with the row's weights where the options say so."""

    def door(t: Any, x: Any, target: Any) -> Any:
        given = dict(options)
        if given.pop("weighted", False):
            given["weight"] = t.from_numpy(element_weights(x)).to(x.dtype)
        if given.pop("positive", False):
            p = 2.5 if x.ndim == 0 else 0.5 + np.arange(x.shape[-1])
            given["pos_weight"] = t.from_numpy(np.asarray(p)).to(x.dtype)
        with warnings.catch_warnings():  # of the mean of kl_div
            warnings.simplefilter("ignore")
            return getattr(t.nn.functional, name)(x, target, **given)

    return door


def bn_eval(t: Any, x: Any, w: Any, b: Any) -> Any:
    mean, var = (t.from_numpy(v).to(x.dtype) for v in running(x.shape[1]))
    return t.nn.functional.batch_norm(x, mean, var, w, b, eps=1e-3)


def picking(t: Any, x: Any) -> Any:
    return x[t.from_numpy(picked(len(x)))]


FUNCTIONS = (
    "neg", "abs", "exp", "expm1", "log", "log1p", "square", "sqrt", "rsqrt", "reciprocal", "sin", "cos",
    "erf", "sign", "floor", "ceil", "round", "trunc",
)  # fmt: skip

# PyTorch's spelling of each row: a function of the module and the tensors.
TORCH: dict[str, Callable[..., Any]] = {
    "add": lambda t, a, b: a + b,
    "add_self": lambda t, a: a + a,
    "sub": lambda t, a, b: a - b,
    "rsub": lambda t, a: 1.5 - a,
    "mul": lambda t, a, b: a * b,
    "mul_self": lambda t, a: a * a,
    "div": lambda t, a, b: a / b,
    "pow": lambda t, a, b: a**b,
    "cube": lambda t, a: a**3,
    "rpow": lambda t, a: 2.0**a,
    "add_number": lambda t, a: t.add(a, 0.75, alpha=3),
    "sub_alpha": lambda t, a, b: t.sub(a, b, alpha=2),
    "rdiv": lambda t, a: 1.5 / a,
    "div_number": lambda t, a: a / 1.5,
    "square_root_power": lambda t, a: a**0.5,
    "power_2": lambda t, a: a**2,
    "power_0": lambda t, a: a**0,
    "power_1": lambda t, a: a**1,
    "floor_divide": lambda t, a, b: t.div(a, b, rounding_mode="floor"),  # PyTorch's // has no backward
    "div_trunc": lambda t, a, b: t.div(a, b, rounding_mode="trunc"),
    "remainder": lambda t, a, b: a % b,
    "lerp": lambda t, a, b: t.lerp(a, b, 0.25),
    "addcmul": lambda t, a, b: t.addcmul(a, b, b, value=0.5),
    **{name: lambda t, x, f=name: getattr(t, f)(x) for name in FUNCTIONS},
    "where": lambda t, a, b: t.where(t.from_numpy(chosen(a, b)), a, b),
    "masked_fill": lambda t, x: x.masked_fill(t.from_numpy(chosen(x, x)), 2.5),
    "maximum": lambda t, a, b: t.maximum(a, b),
    "minimum": lambda t, a, b: t.minimum(a, b),
    "clamp": lambda t, x: t.clamp(x, -0.25, 0.5),
    "clamp_min": lambda t, a, b: a.clamp(min=b),
    "clamp_max": lambda t, a, b: a.clamp(max=b),
    "clone": lambda t, x: x.clone(),
    "contiguous": lambda t, x: x.transpose(0, 2).contiguous(),
    "cast": lambda t, x: x.to(t.float32 if x.dtype == t.float64 else t.float64),
    "sum": lambda t, x: x.sum(),
    "sum_dim": lambda t, x: x.sum(1),
    "sum_dims": lambda t, x: x.sum((0, -1), keepdim=True),
    "mean": lambda t, x: x.mean(),
    "mean_dims": lambda t, x: x.mean((0, 2)),
    "var": lambda t, x: x.var(0),
    "max": lambda t, x: x.max(),
    "max_dim": lambda t, x: x.max(1)[0],
    "min_dim": lambda t, x: x.min(-1, True)[0],
    "amax": lambda t, x: x.amax((0, 2)),
    "amin": lambda t, x: x.amin(),
    "reshape": lambda t, x: x.reshape(-1, x.shape[1]),
    "flatten": lambda t, x: x.flatten(1),
    "unsqueeze": lambda t, x: x.unsqueeze(1),
    "permute": lambda t, x: x.permute(2, 0, 1),
    "transpose": lambda t, x: x.transpose(0, -1),
    "broadcast_to": lambda t, x: x.broadcast_to((4, 3, 5)),
    "cat": lambda t, a, b, c: t.cat([a, b, c], 1),
    "cat_same": lambda t, a: t.cat([a, a]),
    "index": lambda t, x: x[1:, None].flip(-1)[..., ::2],  # PyTorch has no negative steps
    "index_one": lambda t, x: x[-1, 0, 0],
    "index_array": picking,
    "index_mask": lambda t, x: x[t.arange(len(x)) % 2 == 0],
    "sum_outer": lambda t, x: x.sum((0, 2)),
    "sum_apart": lambda t, x: x.sum((0, 2)),
    "sum_first": lambda t, x: x.sum(0),
    "var_dims": lambda t, x: x.var((0, 2), unbiased=False, keepdim=True),
    "std": lambda t, x: x.std(-1),
    "prod": lambda t, x: x.prod(),
    "prod_dim": lambda t, x: x.prod(1),
    "logsumexp": lambda t, x: x.logsumexp(1),
    "norm": lambda t, x: x.norm(),
    "norm_1": lambda t, x: x.norm(1, 1),
    "norm_3": lambda t, x: x.norm(3, (0, 2), True),
    "norm_inf": lambda t, x: x.norm(np.inf, -1),
    "cumsum": lambda t, x: x.cumsum(1),
    "index_pairs": lambda t, x: x[t.arange(len(x)), t.arange(len(x)) % x.shape[1]],
    "index_columns": lambda t, x: x[:, t.tensor(picked(x.shape[1]))],
    "index_apart": lambda t, x: x[[0, -1, 0], :, [0, 0, 0]],
    "index_select": lambda t, x: x.index_select(-1, t.tensor(picked(x.shape[-1]))),
    "gather": lambda t, x: x.gather(1, t.tensor(places(tuple(x.shape)))),
    "sort": lambda t, x: x.sort(1, descending=True).values,
    "topk": lambda t, x: x.topk(2, 0).values,
    "setitem": lambda t, x, v: assigned(
        x.clone().flip(-1), (slice(1, None), None, slice(None, None, 2)), v
    ).flip(-1),
    "setitem_mask": lambda t, x, v: assigned(x.clone(), t.arange(len(x)) % 2 == 0, v),
    "stack": lambda t, a, b: t.stack([a, b], 1),
    "split": lambda t, x: x.split([1, x.shape[1] - 1, 0], 1)[1],
    "chunk": lambda t, x: x.chunk(2)[0],
    "unbind": lambda t, x: x.unbind(-1)[-1],
    "pad": lambda t, x: t.nn.functional.pad(x, (1, 2, 0, 3), value=1.5),
    "pad_off": lambda t, x: t.nn.functional.pad(x, (2, -1)),
    "tril": lambda t, x: x.tril(1),
    "triu": lambda t, x: x.triu(-1),
    "matmul_batch": lambda t, a, b: a @ b,
    "matmul_batch_T": lambda t, a, b: a.mT @ b.mT,
    "matmul_rows": lambda t, a, b: a @ b,
    "matmul_vector": lambda t, a, b: a @ b,
    "matmul_from_left": lambda t, a, b: a @ b,
    "sigmoid": lambda t, x: t.sigmoid(x),
    "tanh": lambda t, x: t.tanh(x),
    "relu": lambda t, x: t.nn.functional.relu(x),
    "relu_inplace": lambda t, x: t.nn.functional.relu(x.clone(), inplace=True),
    "leaky_relu": lambda t, x: t.nn.functional.leaky_relu(x, 0.1),
    "leaky_relu_negative": lambda t, x: t.nn.functional.leaky_relu(x, -0.5),
    "leaky_relu_inplace": lambda t, x: t.nn.functional.leaky_relu(x.clone(), 0.1, inplace=True),
    "elu": lambda t, x: t.nn.functional.elu(x, 1.5),
    "hardtanh": lambda t, x: t.nn.functional.hardtanh(x, -0.125, 3.0),
    "hardtanh_high": lambda t, x: t.nn.functional.hardtanh(x, -3.0, 0.125),
    "relu6": lambda t, x: t.nn.functional.relu6(x),
    "softplus": lambda t, x: t.nn.functional.softplus(x, 2.0),
    "softplus_threshold": lambda t, x: t.nn.functional.softplus(x, threshold=0.1),
    "logsigmoid": lambda t, x: t.nn.functional.logsigmoid(x),
    "silu": lambda t, x: t.nn.functional.silu(x),
    "silu_inplace": lambda t, x: t.nn.functional.silu(x.clone(), inplace=True),
    "gelu": lambda t, x: t.nn.functional.gelu(x),
    "gelu_tanh": lambda t, x: t.nn.functional.gelu(x, approximate="tanh"),
    "linear": lambda t, *a: t.nn.functional.linear(*a),
    "linear_no_bias": lambda t, *a: t.nn.functional.linear(*a),
    "linear_3d": lambda t, *a: t.nn.functional.linear(*a),
    "matmul": lambda t, a, b: a @ b,
    "matmul_T": lambda t, a, b: a.T @ b.T,
    "log_softmax": lambda t, x: t.nn.functional.log_softmax(x, -1),
    "log_softmax_0": lambda t, x: t.nn.functional.log_softmax(x, 0),
    "softmax": lambda t, x: t.nn.functional.softmax(x, 1),
    "softmax_last": lambda t, x: t.nn.functional.softmax(x, -1),
    "cross_entropy": cross_entropy(),
    "cross_entropy_sum": cross_entropy(reduction="sum"),
    "cross_entropy_none": cross_entropy(reduction="none"),
    "cross_entropy_True": cross_entropy(weighted=True),
    "cross_entropy_0.1": cross_entropy(label_smoothing=0.1),
    "cross_entropy_0.3_True_none": cross_entropy(label_smoothing=0.3, weighted=True, reduction="none"),
    "cross_entropy_sum_0": cross_entropy(reduction="sum", ignore_index=0),
    "cross_entropy_1_0.2_True_sum": cross_entropy(
        ignore_index=1, label_smoothing=0.2, weighted=True, reduction="sum"
    ),
    "cross_entropy_2_0.2_True": cross_entropy(ignore_index=2, label_smoothing=0.2, weighted=True),
    "many_labels": of_many_labels("cross_entropy"),
    "many_labels_none_True": of_many_labels("cross_entropy", reduction="none", weighted=True),
    "many_labels_sum_0": of_many_labels("cross_entropy", reduction="sum", ignore_index=0),
    "nll_loss": of_many_labels("nll_loss"),
    "nll_loss_sum": of_many_labels("nll_loss", reduction="sum"),
    "nll_loss_none": of_many_labels("nll_loss", reduction="none"),
    "nll_loss_True": of_many_labels("nll_loss", weighted=True),
    "nll_loss_none_True_0": of_many_labels("nll_loss", reduction="none", weighted=True, ignore_index=0),
    "soft_cross_entropy": soft_cross_entropy(),
    "soft_cross_entropy_sum_True": soft_cross_entropy(reduction="sum", weighted=True),
    "soft_cross_entropy_none_0.2": soft_cross_entropy(reduction="none", label_smoothing=0.2),
    "soft_cross_entropy_mean_True_0.3": soft_cross_entropy(weighted=True, label_smoothing=0.3),
    **{
        row + ("" if r == "mean" else f"_{r}"): loss(name, reduction=r, **options)
        for row, name, options in (
            ("mse_loss", "mse_loss", {}),
            ("l1_loss", "l1_loss", {}),
            ("huber_loss", "huber_loss", {"delta": 0.7}),
            ("smooth_l1_loss", "smooth_l1_loss", {"beta": 1.7}),
            ("smooth_l1_loss_0", "smooth_l1_loss", {"beta": 0.0}),
            ("binary_cross_entropy", "binary_cross_entropy", {}),
            ("binary_cross_entropy_with_logits", "binary_cross_entropy_with_logits", {}),
            ("kl_div", "kl_div", {}),
            ("kl_div_log", "kl_div", {"log_target": True}),
        )
        for r in ("mean", "sum", "none")
    },
    "mse_loss_weighted": loss("mse_loss", weighted=True),
    "l1_loss_weighted": loss("l1_loss", weighted=True, reduction="none"),
    "huber_loss_weighted": loss("huber_loss", weighted=True),
    "binary_cross_entropy_weighted": loss("binary_cross_entropy", weighted=True),
    "bce_with_logits_weighted": loss("binary_cross_entropy_with_logits", weighted=True, reduction="sum"),
    "bce_with_logits_pos_weight": loss("binary_cross_entropy_with_logits", positive=True),
    "kl_div_batchmean": loss("kl_div", reduction="batchmean"),
    "bn_train": lambda t, x, w, b: t.nn.functional.batch_norm(x, None, None, w, b, training=True),
    "bn_train_plain": lambda t, x: t.nn.functional.batch_norm(x, None, None, training=True),
    "bn_eval": bn_eval,
    "function": lambda t, a, b: a * a * b,
    "layer_norm": lambda t, x, w, b: t.nn.functional.layer_norm(x, w.shape, w, b),
    "layer_norm_no_bias": lambda t, x, w: t.nn.functional.layer_norm(x, w.shape, w),
    "layer_norm_plain": lambda t, x: t.nn.functional.layer_norm(x, x.shape[1:]),
}
TORCH |= CONVOLUTION_TWINS | LAYOUT_TWINS | NORMALIZATION_TWINS | POOLING_TWINS


def test_every_row_has_a_twin() -> None:
    assert {c.name for c in CASES if not c.random} == set(TORCH)


@each_dtype
@pytest.mark.parametrize("case", [c for c in CASES if not c.random], ids=lambda c: c.name)
def test_values_and_gradients(case: Case, dtype: type, torch: ModuleType, rng: np.random.Generator) -> None:
    for shapes in (*case.shapes, case.large):
        arrays = case.draw(rng, shapes, dtype)
        leaves = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
        expected = TORCH[case.name](torch, *leaves)
        g = rng.standard_normal(tuple(expected.shape))
        expected.backward(torch.from_numpy(np.asarray(g)).to(expected.dtype))
        wanted = expected.detach().numpy()
        y, gradients = run(case, arrays, np.asarray(g, wanted.dtype))
        what = f"{case.name} of {shapes}"
        assert y.dtype == wanted.dtype, what
        eps = max(float(np.finfo(d).eps) for d in (dtype, wanted.dtype))
        # both round; PyTorch's own float32 sums err with the number of terms
        terms = max((a.size for a in arrays), default=1) if case.elementwise is False else 1
        slack = 2.0 + np.log2(1 + terms)
        size = np.abs(wanted) if case.elementwise else largest(wanted, *arrays)
        assert_near(y, wanted.astype(np.float64), eps, slack * case.ulps, size, what)
        for i, (a, b) in enumerate(zip(gradients, leaves, strict=True)):
            b = b.grad.numpy()
            size = max(largest(b), case.floor * largest(g))
            bound = slack * case.grad_ulps
            assert_near(a, b.astype(np.float64), eps, bound, size, f"gradient {i} of {what}")


@each_dtype
def test_running_statistics(dtype: type, torch: ModuleType, rng: np.random.Generator) -> None:
    for shape in ((7, 5), (4, 5, 3), (2, 5, 3, 2)):
        x = np.asarray(rng.standard_normal(shape), dtype)
        mine, theirs = ([np.zeros(5, dtype), np.ones(5, dtype)] for _ in range(2))
        for _ in range(3):
            F.batch_norm(tn.from_numpy(x), *map(tn.from_numpy, mine), training=True, momentum=0.2)
            given = map(torch.from_numpy, theirs)
            torch.nn.functional.batch_norm(torch.from_numpy(x), *given, training=True, momentum=0.2)
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5 if dtype is np.float32 else 1e-13, atol=1e-7)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nothing_counted(reduction: str, torch: ModuleType) -> None:
    """Every example ignored: the loss and its gradient."""
    x, t = np.ones((3, 4), np.float32), np.full(3, -100)
    mine, theirs = tn.from_numpy(x).requires_grad_(), torch.from_numpy(x.copy()).requires_grad_()
    a = F.cross_entropy(mine, tn.from_numpy(t), reduction=reduction)
    b = torch.nn.functional.cross_entropy(theirs, torch.from_numpy(t), reduction=reduction)
    np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    a.sum().backward()
    b.sum().backward()
    np.testing.assert_array_equal(mine.grad.numpy(), theirs.grad.numpy())


def test_ties_and_kinks(torch: ModuleType) -> None:
    """The gradient where there is a choice: ties of a maximum, |x|, relu, sqrt and powers at 0."""
    tied = np.asarray([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], np.float32)
    zeros = np.asarray([0.0, -0.0, 1.0, -1.0], np.float32)
    calls: list[tuple[Callable[[Any], Any], np.ndarray]] = [
        (lambda x: x.max(), tied),
        (lambda x: x.min(), tied),
        (lambda x: x.amax(1).sum(), tied),
        (lambda x: x.amin((0, 1)), tied),
        (lambda x: x.max(1)[0].sum(), tied),
        (lambda x: x.min(0)[0].sum(), tied),
        (lambda x: x.abs().sum(), zeros),
        (lambda x: x.relu().sum(), zeros),
        (lambda x: (x**2).sum(), zeros),
        (lambda x: (x**1).sum(), zeros),
        (lambda x: (x**0).sum(), zeros),
        (lambda x: (0.0**x).sum(), np.asarray([0.0, 1.0, 2.0], np.float32)),
        (lambda x: x.sqrt().sum(), np.abs(zeros)),
    ]
    for i, (call, x) in enumerate(calls):
        mine, theirs = tn.from_numpy(x).requires_grad_(), torch.from_numpy(x.copy()).requires_grad_()
        a, b = call(mine), call(theirs)
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy(), err_msg=f"call {i}")
        a.backward()
        b.backward()
        np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), rtol=1e-6, err_msg=f"call {i}")


def test_indices_of_extrema(torch: ModuleType) -> None:
    """The first of several, as a pair with the values; NaN wins."""
    nan = float("nan")
    x = np.asarray([[1.0, 3.0, 3.0], [2.0, nan, nan], [-1.0, -1.0, -2.0]], np.float32)
    for name in ("max", "min"):
        for dim in (0, 1):
            mine, theirs = getattr(tn.from_numpy(x), name)(dim), getattr(torch.from_numpy(x), name)(dim)
            np.testing.assert_array_equal(mine[0].numpy(), theirs[0].numpy())
            np.testing.assert_array_equal(mine[1].numpy(), theirs[1].numpy())
            index = getattr(tn.from_numpy(x), f"arg{name}")(dim).numpy()
            np.testing.assert_array_equal(index, theirs[1].numpy())


def test_special_values(torch: ModuleType) -> None:
    inf, nan = float("inf"), float("nan")
    x = np.asarray([0.0, -0.0, 100.0, -100.0, 1e4, -1e4, inf, -inf, nan], np.float32)
    for name in ("sigmoid", "tanh", "relu", "exp", "log", "sqrt", "abs"):
        mine, theirs = getattr(tn.from_numpy(x), name)().numpy(), getattr(torch.from_numpy(x), name)().numpy()
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-37, err_msg=name)
    rows = np.asarray([[inf, 0.0], [-inf, 0.0], [nan, 0.0], [1e4, -1e4]], np.float32)
    a = F.log_softmax(tn.from_numpy(rows), 1).numpy()
    b = torch.nn.functional.log_softmax(torch.from_numpy(rows), 1).numpy()
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_dropout_keeps_the_expectation(torch: ModuleType) -> None:
    """PyTorch's masks are other ones; share and scale are the same."""
    x = np.ones(200_000, np.float32)
    mine = F.dropout(tn.from_numpy(x), DROPOUT_P).numpy()
    theirs = torch.nn.functional.dropout(torch.from_numpy(x), DROPOUT_P).numpy()
    np.testing.assert_allclose(np.unique(mine), np.unique(theirs), rtol=1e-6)
    assert abs(mine.mean() - theirs.mean()) < 0.02
