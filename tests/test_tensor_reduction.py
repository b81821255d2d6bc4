"""Reductions of Tensor and the elements in order, with gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from moves import weights

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, ShapeError

# ---- reductions --------------------------------------------------------------------------------------------

REDUCTIONS = ["sum", "mean", "amax", "amin", "var"]


@st.composite
def arrays_and_dims(draw: Any) -> tuple[np.ndarray, Any]:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=4))
    a = draw(hnp.arrays(draw(st.sampled_from(["float32", "float64"])), shape, elements=st.integers(-50, 50)))
    axes = draw(st.lists(st.integers(0, max(a.ndim - 1, 0)), unique=True, max_size=a.ndim))
    axes = [d - draw(st.sampled_from([0, a.ndim])) for d in axes]
    return a, draw(st.sampled_from([None, *axes])) if len(axes) < 2 else tuple(axes)


@settings(max_examples=80)
@given(arrays_and_dims(), st.booleans(), st.sampled_from(REDUCTIONS))
def test_reductions_agree_with_numpy(ad, keepdim, name):
    a, dim = ad
    if name == "var":
        y = tn.tensor(a).var(dim, keepdim=keepdim, correction=0)
    else:
        y = getattr(tn.tensor(a), name)(dim, keepdim)
    expected = getattr(np, name)(a.astype(np.float64), axis=dim, keepdims=keepdim)
    assert y.shape == np.shape(expected)
    assert y.dtype == a.dtype
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-4)
    z = getattr(tn.tensor(a), name)(axis=dim, keepdim=keepdim)
    assert z.shape == y.shape


def test_sums_of_integers_are_int64():
    assert tn.tensor([200, 100], dtype="uint8").sum().item() == 300
    assert tn.tensor([True, True]).sum().dtype == np.int64
    with pytest.raises(DTypeError, match="mean: x must be float32 or float64; got int64"):
        tn.tensor([1, 2]).mean()


def test_a_sum_of_many_float32_is_accurate():
    assert tn.full((1_000_000,), 0.1).sum().item() == pytest.approx(100000.0, abs=0.01)


def test_gradients_of_reductions():
    a = np.array([[1.0, 5.0, 5.0], [4.0, 2.0, 0.0]])
    for f, expected in (
        (lambda x: x.sum(), [[1, 1, 1], [1, 1, 1]]),
        (lambda x: x.mean(1), [[1 / 3, 1 / 3, 1 / 3], [2 / 3, 2 / 3, 2 / 3]]),
        (lambda x: x.max(), [[0, 0.5, 0.5], [0, 0, 0]]),
        (lambda x: x.max(1)[0], [[0, 1, 0], [2, 0, 0]]),
        (lambda x: x.amax(1), [[0, 0.5, 0.5], [2, 0, 0]]),
        (lambda x: x.min(dim=0)[0], [[1, 0, 0], [0, 2, 3]]),
        (lambda x: x.amin(axis=(0, 1)), [[0, 0, 0], [0, 0, 1]]),
        (lambda x: x.var(1, correction=0), (2 / 3 * (a - a.mean(1, keepdims=True)) * [[1], [2]]).tolist()),
        (lambda x: x.var(), (2 / 5 * (a - a.mean())).tolist()),
    ):
        x = tn.tensor(a, requires_grad=True)
        y = f(x)
        y.backward(tn.tensor(weights(y.shape)))
        np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-12)


def test_max_and_min_along_an_axis_are_pairs():
    x = tn.tensor([[1.0, 5.0, 5.0], [4.0, 2.0, 0.0]])
    values, indices = x.max(1)
    assert values.tolist() == [5, 4]
    assert indices.tolist() == [1, 0]
    assert indices.dtype == np.int64
    values, indices = x.min(0, keepdim=True)
    assert values.tolist() == [[1, 2, 0]]
    assert indices.tolist() == [[0, 1, 1]]
    values, indices = x.max(axis=-1)
    assert values.shape == indices.shape == (2,)
    assert x.max().item() == 5
    assert np.isnan(tn.tensor([1.0, float("nan")]).max().item())
    with pytest.raises(ArgumentError, match="max: dim must be one integer"):
        x.max((0, 1))


def test_argmax_and_argmin():
    a = np.array([[1.0, 5.0, 5.0], [4.0, 2.0, 0.0]])
    x = tn.tensor(a)
    assert x.argmax().item() == 1
    assert x.argmin().item() == 5
    assert x.argmax(1).tolist() == [1, 0]
    assert x.argmin(0, keepdim=True).tolist() == [[0, 1, 1]]
    assert x.argmax(axis=0).dtype == np.int64


def test_reductions_of_nothing():
    x = tn.zeros(0, 3)
    assert x.sum(0).tolist() == [0, 0, 0]
    assert np.isnan(x.mean(0).numpy()).all()
    assert x.sum(1).shape == (0,)
    assert x.amax(1).shape == (0,)
    for f in (lambda: x.max(), lambda: x.amin(0), lambda: x.argmax(0), lambda: x.max(0)):
        with pytest.raises(ShapeError, match=r"at least one element along dim.*; got shape \(0, 3\)"):
            f()
    assert np.isnan(tn.ones(1).var().item())


def test_reduction_errors():
    x = tn.zeros(2, 3)
    with pytest.raises(ArgumentError, match=r"sum: dim must lie in \[-2, 1\]; got 2"):
        x.sum(2)
    with pytest.raises(ArgumentError, match="mean: dim must not name an axis twice"):
        x.mean((0, -2))
    with pytest.raises(ArgumentError, match=r"sum: dim must be an integer; got 1.5"):
        x.sum(1.5)


# ---- accuracy and layouts ----------------------------------------------------------------------------------


@settings(max_examples=120)
@given(st.data())
def test_sums_of_any_axes_and_layouts(data):
    """Every way through the kernels: axes summed and kept in any order of memory, repeated, reversed."""
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=5, min_side=1, max_side=5))
    order = data.draw(st.permutations(range(len(shape))))
    a = np.random.default_rng(len(shape)).standard_normal([shape[d] for d in order]).astype(np.float32)
    a = a.transpose([order.index(d) for d in range(len(shape))])
    if data.draw(st.booleans()):
        a = a[:, ::-1] if a.ndim > 1 else a[::-1]
    elif data.draw(st.booleans()):
        a = np.broadcast_to(a[:1], a.shape)
    dims = tuple(data.draw(st.lists(st.integers(0, a.ndim - 1), unique=True, min_size=1)))
    keepdim = data.draw(st.booleans())
    x = tn.from_numpy(a)
    for name, expected in (
        ("sum", a.sum(dims, np.float64, keepdims=keepdim)),
        ("mean", a.mean(dims, np.float64, keepdims=keepdim)),
        ("var", a.astype(np.float64).var(dims, keepdims=keepdim)),
    ):
        y = x.var(dims, False, keepdim) if name == "var" else getattr(x, name)(dims, keepdim)
        assert y.shape == expected.shape
        np.testing.assert_allclose(y.numpy(), expected, rtol=2e-7, atol=1e-7, err_msg=name)


@pytest.mark.parametrize(
    "shape", [(100_003,), (1003, 257), (5, 40_001), (40_001, 5), (3, 9000, 7), (2, 5003)]
)
def test_sums_over_several_ranges(shape, threads, rng):
    a = (rng.standard_normal(shape) + 3).astype(np.float32)
    x, b = tn.from_numpy(a), a.astype(np.float64)
    for dim in (None, *range(a.ndim)):
        np.testing.assert_allclose(x.sum(dim).numpy(), b.sum(dim), rtol=1.2e-7, atol=1e-5)
        np.testing.assert_allclose(x.mean(dim).numpy(), b.mean(dim), rtol=1.2e-7, atol=1e-7)
        np.testing.assert_allclose(x.std(dim).numpy(), b.std(dim, ddof=1), rtol=1.2e-7)


def test_a_large_mean_beside_a_small_deviation(rng):
    a = (1e4 + 1e-2 * rng.standard_normal((2000, 3))).astype(np.float32)
    x = tn.tensor(a, requires_grad=True)
    y = x.std(0)
    exact = a.astype(np.float64)
    np.testing.assert_allclose(y.detach().numpy(), exact.std(0, ddof=1), rtol=1e-7)
    y.sum().backward()
    gradient = (exact - exact.mean(0)) / (1999 * exact.std(0, ddof=1))
    np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(x.var().item(), exact.var(ddof=1), rtol=1e-6)


def test_sums_beyond_float32_are_infinite():
    x = tn.full((4,), 3e38)
    assert x.sum().item() == np.inf
    assert x.mean().item() == pytest.approx(3e38)
    assert x.norm().item() == np.inf
    assert tn.full((4,), 1e30).norm().item() == pytest.approx(2e30)
    assert np.isnan(tn.tensor([np.inf, -np.inf]).sum().item())
    assert np.isnan(tn.tensor([np.nan, 1.0]).mean().item())


# ---- each reduction ----------------------------------------------------------------------------------------

GRADIENTS = {
    "prod": lambda x: x.prod(),
    "prod_dim": lambda x: x.prod(1),
    "var": lambda x: x.var((0, 2)),
    "std": lambda x: x.std(1, unbiased=False),
    "logsumexp": lambda x: x.logsumexp((0, 1)),
    "norm": lambda x: x.norm(dim=2),
    "norm_1": lambda x: x.norm(1),
    "norm_2.5": lambda x: x.norm(2.5, dim=(0, 1), keepdim=True),
    "norm_inf": lambda x: x.norm(float("inf"), dim=1),
    "cumsum": lambda x: x.cumsum(-1),
    "sort": lambda x: x.sort(1).values,
    "topk": lambda x: x.topk(2, 2, largest=False).values,
    "min": lambda x: x.min(0).values,
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradcheck(name, rng):
    a = rng.permutation(np.linspace(-2.0, 2.0, 24)).reshape(2, 3, 4)
    assert tn.gradcheck(GRADIENTS[name], [tn.tensor(a, requires_grad=True)])


def test_prod_with_zeros():
    for a, gradient in (
        ([2.0, 3.0, 4.0], [12, 8, 6]),
        ([2.0, 0.0, 4.0], [0, 8, 0]),
        ([0.0, 0.0, 4.0], [0, 0, 0]),
    ):
        x = tn.tensor(a, requires_grad=True)
        x.prod().backward()
        assert x.grad.tolist() == gradient
    assert tn.prod(tn.zeros(0, 3), 0).tolist() == [1, 1, 1]
    x = tn.zeros(3, 0, requires_grad=True)
    x.prod(1).sum().backward()
    assert x.grad.shape == (3, 0)
    assert tn.tensor([2, 3], dtype="uint8").prod().dtype == np.int64


def test_dtype_of_sums():
    x = tn.tensor([1.5, 2.5])
    assert x.sum(dtype="int64").item() == 3  # converted first, as in PyTorch
    assert tn.tensor([1, 2]).sum(dtype=tn.int32).dtype == np.int32
    assert tn.tensor([1, 2]).mean(dtype="float64").dtype == np.float64
    assert x.prod(dtype="float64").dtype == x.cumsum(0, dtype="float64").dtype == np.float64
    assert tn.tensor([True, True]).cumsum(0).tolist() == [1, 2]
    y = tn.tensor([1.0, 2.0], requires_grad=True)
    y.sum(dtype="float64").backward()
    assert y.grad.dtype == np.float32


def test_var_and_std():
    x = tn.tensor([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]])
    np.testing.assert_allclose(x.var(1).numpy(), [7 / 3, 0])
    assert x.var(1, False).tolist() == x.var(1, correction=0).tolist()
    assert x.var(False).item() == x.var(unbiased=False).item() == pytest.approx(np.var(x.numpy()))
    assert x.std(1, True, True).shape == (2, 1)
    assert x.std(axis=(0, 1)).shape == ()
    assert tn.ones(2).var(correction=3).item() != tn.ones(2).var(correction=3).item()  # 0 / 0
    assert tn.tensor([1.0, 2.0]).var(correction=3).item() == np.inf
    y = tn.ones(3, requires_grad=True)
    y.std().backward()
    assert y.grad.tolist() == [0, 0, 0]
    assert np.isnan(tn.zeros(0).var().item())
    assert tn.zeros(0, 3).var(1).shape == (0,)
    for name in ("var", "std"):
        with pytest.raises(
            ArgumentError, match=f"{name}: unbiased and correction must not be given together"
        ):
            getattr(x, name)(0, True, correction=1)
        with pytest.raises(DTypeError, match=f"{name}: x must be float32 or float64; got int64"):
            getattr(tn.tensor([1, 2]), name)()


def test_logsumexp():
    inf, nan = float("inf"), float("nan")
    for a, value in (
        ([1e4, 1e4], 1e4 + np.log(2)),
        ([-1e4, -inf], -1e4),
        ([-inf, -inf], -inf),
        ([inf, 1.0], inf),
        ([nan, 1.0], nan),
        ([], -inf),
    ):
        np.testing.assert_allclose(tn.tensor(a, dtype="float64").logsumexp(0).item(), value)
        np.testing.assert_allclose(tn.tensor(a, dtype="float32").logsumexp().item(), value, rtol=1e-6)
    x = tn.tensor([-inf, 1.0], requires_grad=True)
    x.logsumexp(0).backward()
    assert x.grad.tolist() == [0, 1]
    assert tn.tensor([0, 0]).logsumexp(0).item() == pytest.approx(np.log(2))
    assert tn.ones(2, 3).logsumexp((0, 1), keepdim=True).shape == (1, 1)


def test_norm():
    inf = float("inf")
    x = tn.tensor([[3.0, -4.0], [0.0, 0.0]], requires_grad=True)
    assert x.norm().item() == x.norm("fro").item() == x.norm(None).item() == 5
    assert x.norm(1, 1).tolist() == [7, 0]
    assert x.norm(inf, 0, True).tolist() == [[3, 4]]
    assert x.norm(dtype="float64").dtype == np.float64
    x.norm(dim=1).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0.6, -0.8], [0, 0]], rtol=1e-6)
    for p, gradient in ((inf, [0.5, -0.5, 0]), (1, [1, -1, 1]), (3, None)):
        y = tn.tensor([2.0, -2.0, 1.0], requires_grad=True)
        y.norm(p).backward()
        if gradient is None:
            gradient = np.sign([1, -1, 1]) * np.array([4, 4, 1]) / 17 ** (2 / 3)
        np.testing.assert_allclose(y.grad.numpy(), gradient, rtol=1e-6)
    z = tn.zeros(2, requires_grad=True)
    for p in (1, 2, 3, inf):
        z.norm(p).backward()
    assert z.grad.tolist() == [0, 0]
    assert tn.zeros(0, 2).norm(dim=0).tolist() == [0, 0]
    with pytest.raises(ShapeError, match="norm: x must have at least one element along dim 0"):
        tn.zeros(0, 2).norm(inf, 0)
    for p in ("nuc", 0, -1, -inf):
        with pytest.raises(NotImplementedError, match="norm: p must be a number above 0, inf or 'fro'"):
            x.norm(p)
    with pytest.raises(DTypeError, match="norm: x must be float32 or float64; got int64"):
        tn.tensor([1]).norm()


def test_truth():
    x = tn.tensor([[0.0, 1.0], [np.nan, 2.0], [0.0, 0.0]])
    assert x.any().item() is True
    assert x.all().item() is False
    assert x.any(1).tolist() == [True, True, False]
    assert x.all(dim=1, keepdim=True).tolist() == [[False], [True], [False]]
    assert x.any((0, 1)).item() is True
    assert tn.zeros(0, 2).any(0).tolist() == [False, False]
    assert tn.zeros(0, 2).all(axis=0).tolist() == [True, True]
    assert tn.tensor([2, 0], dtype="uint8").any().dtype == np.uint8
    assert tn.any(x > 1).dtype == np.bool_
    assert tn.tensor(True).all(0).item() is True
    assert x.count_nonzero().item() == 3
    assert tn.count_nonzero(x, 0).tolist() == [1, 2]
    assert tn.count_nonzero(x, (0, 1)).dtype == np.int64


def test_integers_and_bools():
    x = tn.tensor([[3, 1], [2, 5]], dtype="uint8")
    assert x.max().dtype == x.amin(0).dtype == x.sort().values.dtype == np.uint8
    assert x.max(1).values.tolist() == [3, 5]
    b = tn.tensor([False, True])
    assert b.amax().item() is True
    assert b.max(0) == (True, 1)
    assert b.sort(descending=True).values.tolist() == [True, False]
    assert b.argmax().item() == 1


def test_pairs_have_names():
    x = tn.tensor([[1.0, 5.0], [4.0, 2.0]])
    for pair in (x.max(1), x.min(1), x.sort(1), x.topk(1, 1), tn.max(x, 1), tn.min(x, 1)):
        values, indices = pair
        assert pair.values is values
        assert pair.indices is indices
        assert indices.dtype == np.int64
    assert tn.max(x).item() == 5
    assert tn.tensor(3.0).max(0).indices.item() == 0


# ---- in order ----------------------------------------------------------------------------------------------


@settings(max_examples=80)
@given(st.data())
def test_sort_and_topk_agree_with_numpy(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=6))
    a = data.draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([-1.0, 0.0, 2.0, np.inf, np.nan])))
    dim = data.draw(st.integers(-a.ndim, a.ndim - 1))
    x = tn.tensor(a)
    for descending in (False, True):
        values, indices = x.sort(dim, descending)
        key = np.where(np.isnan(a), 9e9, np.where(np.isinf(a), 8e9, a)) * (-1 if descending else 1)
        expected = np.argsort(key, dim, kind="stable")
        np.testing.assert_array_equal(indices.numpy(), expected)
        np.testing.assert_array_equal(values.numpy(), np.take_along_axis(a, expected, dim))
        np.testing.assert_array_equal(x.argsort(dim, descending).numpy(), expected)
        k = data.draw(st.integers(0, a.shape[dim]))
        top = x.topk(k, dim, largest=descending)
        first = np.take(np.take_along_axis(a, expected, dim), range(k), dim)
        np.testing.assert_array_equal(top.values.numpy(), first)
        np.testing.assert_array_equal(np.take_along_axis(a, top.indices.numpy(), dim), first)


def test_topk_of_many(rng):
    a = rng.permutation(1000).astype(np.float32)
    x = tn.tensor(a, requires_grad=True)
    values, indices = x.topk(3)
    assert values.tolist() == [999, 998, 997]
    assert a[indices.numpy()].tolist() == [999, 998, 997]
    assert x.topk(2, largest=False).values.tolist() == [0, 1]
    assert x.topk(0).values.shape == (0,)
    values.backward(tn.tensor([1.0, 2.0, 3.0]))
    assert x.grad.numpy()[a >= 997].sum() == 6
    assert tn.tensor(4.0).topk(1).values.item() == 4
    assert tn.tensor(4.0).sort() == (4.0, 0)
    assert tn.tensor(4.0).cumsum(0).item() == 4
    with pytest.raises(ArgumentError, match=r"topk: k must be an integer; got 2\.0"):
        tn.ones(3).topk(2.0)
    with pytest.raises(ArgumentError, match=r"topk: k must lie in \[0, 1000\], the size along dim; got 1001"):
        x.topk(1001)


# ---- arguments ---------------------------------------------------------------------------------------------


def test_no_dim_in_a_list_means_all():
    x = tn.ones(2, 3)
    for y in (x.sum(()), x.mean([]), x.amax(()), x.var(()), x.norm(dim=())):
        assert y.shape == ()


ALIASED = "sum mean prod var std max min amax amin argmax argmin logsumexp norm any all count_nonzero cumsum"


@pytest.mark.parametrize("name", ALIASED.split())
def test_axis_is_an_alias_of_dim(name):
    x = tn.tensor([[1.0, 2.0, 4.0], [3.0, 0.0, 5.0]])
    a, b = getattr(x, name)(axis=1), getattr(x, name)(dim=1)
    assert str(a) == str(b)
    with pytest.raises(ArgumentError, match=rf"{name}: dim must not be given twice; got dim=0 and axis=1"):
        getattr(x, name)(dim=0, axis=1)
    with pytest.raises(ArgumentError, match=r"dim must lie in \[-2, 1\]; got 2"):
        getattr(x, name)(dim=2)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin", "sort", "argsort", "topk"])
def test_one_dim(name):
    x = tn.ones(2, 3)
    with pytest.raises(ArgumentError, match=rf"{name}: dim must be one integer; got \(0, 1\)"):
        getattr(x, name)(*(1,) * (name == "topk"), dim=(0, 1))


@pytest.mark.parametrize("name", [*ALIASED.split(), "sort", "argsort", "topk"])
def test_functions_take_tensors(name):
    more = {"cumsum": (0,), "topk": (1,)}.get(name, ())
    with pytest.raises(DTypeError, match=f"{name}: input must be a Tensor; got list"):
        getattr(tn, name)([1.0], *more)
    x = tn.tensor([3.0, 1.0])
    assert str(getattr(tn, name)(x, *more)) == str(getattr(x, name)(*more))


# ---- against PyTorch ---------------------------------------------------------------------------------------


@pytest.mark.parity
def test_special_values_as_in_pytorch():
    torch = pytest.importorskip("torch")
    inf, nan = float("inf"), float("nan")
    rows = [[0.0, 0.0], [inf, 1.0], [-inf, 1.0], [nan, 1.0], [inf, inf], [-inf, -inf], [2.0, -2.0]]
    calls = {
        "sum": lambda x: x.sum(1), "mean": lambda x: x.mean(1), "prod": lambda x: x.prod(1),
        "var": lambda x: x.var(1), "std": lambda x: x.std(1), "logsumexp": lambda x: x.logsumexp(1),
        "norm": lambda x: x.norm(dim=1), "norm_1": lambda x: x.norm(1, 1), "amax": lambda x: x.amax(1),
        "max": lambda x: x.max(1).values, "cumsum": lambda x: x.cumsum(1), "sort": lambda x: x.sort(1).values,
        "topk": lambda x: x.topk(1, 1).values,
    }  # fmt: skip
    for name, call in calls.items():
        values, gradients = [], []
        for lib in (tn, torch):
            x = lib.tensor(rows, requires_grad=True)
            y = call(x)
            y.sum().backward()
            values.append(y.detach().numpy())
            gradients.append(x.grad.numpy())
        np.testing.assert_allclose(*values, rtol=1e-6, err_msg=name)
        if name not in ("amax", "norm_1", "prod"):  # where NaN or infinities are shared out or multiplied
            np.testing.assert_allclose(*gradients, rtol=1e-6, err_msg=f"gradient of {name}")
