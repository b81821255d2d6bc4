"""The C kernels: every instruction set against plain C at the edges of tiles; errors in ulps; Philox."""

from __future__ import annotations

import operator
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ops_cases import CASES, Array, Case, philox
from ops_running import assert_near, largest, leaf, run
from scipy import special

import tinynet as tn
from tinynet.nn import functional as F
from tinynet.ops import kernels
from tinynet.ops.dropout import philox_u32
from tinynet.ops.normalization import batch_statistics
from tinynet.ops.update import adagrad, adam, rmsprop, sgd

EPS = float(np.finfo(np.float32).eps)
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
VECTORS = (1, 3, 4, 5, 7, 8, 9, 15, 16, 17)  # around the 4, 8 and 16 lanes of a vector


def by_scalar(function: object, *args: object) -> object:
    """The function with the plain C kernels, whatever is chosen."""
    former = kernels.chosen()
    kernels._select("scalar")
    try:
        return function(*args)
    finally:
        kernels._select(former)


def single(rng: np.random.Generator, *shape: int) -> Array:
    return np.asarray(rng.standard_normal(shape), np.float32)


def test_chosen_and_available() -> None:
    assert kernels.chosen() in kernels.available()
    assert kernels.available()[-2:] == ("baseline", "scalar")
    assert set(kernels.available()) <= set(kernels.compiled()) <= set(kernels.ISAS)


# ---- against the plain C kernels ------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_op_agrees_with_scalar(case: Case, isa: str, rng: np.random.Generator) -> None:
    for shapes in (*case.shapes, case.large):
        arrays = case.draw(rng, shapes, np.float32)
        y, _ = run(case, arrays)
        g = np.asarray(rng.standard_normal(y.shape), y.dtype)
        y, gradients = run(case, arrays, g)
        expected, wanted = by_scalar(run, case, arrays, g)
        what = f"{case.name} of {shapes}"
        size = np.abs(expected) if case.elementwise else largest(expected, *arrays)
        assert_near(y, expected.astype(np.float64), EPS, 2 * case.ulps, size, what)
        for i, (a, b) in enumerate(zip(gradients, wanted, strict=True)):
            size = max(largest(b), case.floor * largest(g))
            bound = 2 * case.grad_ulps
            assert_near(a, b.astype(np.float64), EPS, bound, size, f"gradient {i} of {what}")


ELEMENTWISE = "sigmoid tanh relu dropout leaky_relu elu hardtanh softplus logsigmoid silu gelu gelu_tanh"


@pytest.mark.parametrize("name", ELEMENTWISE.split())
def test_elementwise_at_every_length(name: str, isa: str, rng: np.random.Generator) -> None:
    """An element's value depends on itself alone: the same bits wherever it stands in a vector."""
    case = next(c for c in CASES if c.name == name)
    x, g = single(rng, 8300), single(rng, 8300)
    whole, (whole_g,) = run(case, [x], g)
    for n in (*range(1, 70), 8191, 8192, 8193, 8208):
        y, (gx,) = run(case, [x[:n]], g[:n])
        assert y.tobytes() == whole[:n].tobytes(), n
        assert gx.tobytes() == whole_g[:n].tobytes(), n
        if name != "dropout":
            y, (gx,) = run(case, [x[8300 - n :]], g[8300 - n :])
            assert y.tobytes() == whole[8300 - n :].tobytes(), n
            assert gx.tobytes() == whole_g[8300 - n :].tobytes(), n


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_arithmetic_at_every_length(op: Callable[..., Any], isa: str, rng: np.random.Generator) -> None:
    """Two arrays, or a number on either side: NumPy's bits at every length; nothing beyond is written."""
    a, b = single(rng, 8300), single(rng, 8300)
    number = np.float32(1.7)
    for n in (*range(70), 8191, 8192, 8193, 8208):
        for x, y in (
            (a[:n], b[:n]),
            (a[:n], number),
            (number, a[8300 - n :]),
            (a[8300 - n :], a[8300 - n :]),
        ):
            p, q = (tn.tensor(v) if v is number else tn.from_numpy(v) for v in (x, y))
            assert op(p, q).numpy().tobytes() == op(x, y).tobytes(), n
        out, whole = guarded(rng, n)
        expected = op(out, a[:n])
        in_place = getattr(tn.from_numpy(out), {"truediv": "div"}.get(op.__name__, op.__name__) + "_")
        in_place(tn.from_numpy(a[:n]))
        assert out.tobytes() == expected.tobytes(), n
        assert_guards(whole)


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_arithmetic_of_special_values(op: Callable[..., Any], isa: str) -> None:
    """As IEEE 754 has it, subnormal numbers included, whatever the layout."""
    values = [0.0, -0.0, 1e-40, -1e-40, 1e-38, 1.5, -2.0, 3e38, -3e38, np.inf, -np.inf, np.nan]
    x = np.asarray(values * 3, np.float32)
    for shift in range(len(values)):
        y = np.roll(x, shift)
        with np.errstate(all="ignore"):
            expected, with_number = op(x, y), op(x, y[:1])
        np.testing.assert_array_equal(op(tn.from_numpy(x), tn.from_numpy(y)).numpy(), expected)
        np.testing.assert_array_equal(op(tn.from_numpy(x), tn.tensor(y[0])).numpy(), with_number)
        spread = op(tn.from_numpy(np.repeat(x, 2)[::2]), tn.from_numpy(y)).numpy()
        np.testing.assert_array_equal(spread, expected)


def test_choice_at_every_length(isa: str, rng: np.random.Generator) -> None:
    """tn.where and its gradients: the bits of one side or the other, also of inf and NaN."""
    a, b, g = single(rng, 8300), single(rng, 8300), single(rng, 8300)
    a[::7], b[::5] = np.inf, np.nan
    c = rng.random(8300) < 0.5
    for n in (*range(70), 8191, 8192, 8193):
        x, y = leaf(a[:n]), leaf(b[8300 - n :])
        z = tn.where(tn.from_numpy(c[:n]), x, y)
        z.backward(tn.from_numpy(g[:n]))
        assert z.numpy(force=True).tobytes() == np.where(c[:n], a[:n], b[8300 - n :]).tobytes(), n
        assert x.grad is not None
        assert y.grad is not None
        np.testing.assert_array_equal(x.grad.numpy(), np.where(c[:n], g[:n], np.float32(0)))
        np.testing.assert_array_equal(y.grad.numpy(), np.where(c[:n], np.float32(0), g[:n]))


PANELS = (1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65)


@pytest.mark.parametrize("k", [1, 5, 8, 17, 100])
def test_products_at_the_edges_of_tiles(k: int, isa: str, rng: np.random.Generator) -> None:
    """Rows around 6 and 12, columns around 8, 16 and 32, either operand transposed, with and without bias."""
    b, bt, bias = single(rng, k, 65), single(rng, 65, k), single(rng, 65)
    for m in (1, 2, 5, 6, 7, 11, 12, 13, 18, 25):
        a, at = single(rng, m, k), single(rng, k, m)
        for n in PANELS:
            for what, y, (p, q) in (
                ("a b", tn.from_numpy(a) @ tn.from_numpy(b[:, :n]), (a, b[:, :n])),
                ("a' b", tn.from_numpy(at).T @ tn.from_numpy(b[:, :n]), (at.T, b[:, :n])),
                ("a b'", tn.from_numpy(a) @ tn.from_numpy(bt[:n]).T, (a, bt[:n].T)),
            ):
                check_product(y, p, q, None, f"{what} of {(m, k, n)}")
            y = F.linear(tn.from_numpy(a), tn.from_numpy(bt[:n]), tn.from_numpy(bias[:n]))
            check_product(y, a, bt[:n].T, bias[:n], f"linear {(m, k, n)}")


@pytest.mark.parametrize("m", [479, 480, 481, 961])
def test_products_of_several_pieces(m: int, isa: str, rng: np.random.Generator) -> None:
    a, w, bias = single(rng, m, 33), single(rng, 35, 33), single(rng, 35)
    y = F.linear(tn.from_numpy(a), tn.from_numpy(w), tn.from_numpy(bias))
    check_product(y, a, w.T, bias, f"linear {m}")
    if isa.startswith("avx"):  # by panels whatever the size: a row does not know where it stands
        last = F.linear(*map(tn.from_numpy, (a[-7:], w, bias)))
        assert y.numpy()[-7:].tobytes() == last.numpy().tobytes()


@pytest.mark.parametrize("k", [255, 256, 257, 512, 515])
def test_products_of_several_depths(k: int, isa: str, rng: np.random.Generator) -> None:
    """b is packed 256 rows at a time."""
    a, w, bias = single(rng, 19, k), single(rng, 35, k), single(rng, 35)
    check_product(F.linear(*map(tn.from_numpy, (a, w, bias))), a, w.T, bias, f"linear {k}")
    check_product(tn.from_numpy(a.T.copy()).T @ tn.from_numpy(w.T.copy()), a, w.T, None, f"matmul {k}")


def check_product(y: tn.Tensor, a: Array, b: Array, bias: Array | None, what: str) -> None:
    a, b = a.astype(np.float64), b.astype(np.float64)
    rest = 0.0 if bias is None else bias.astype(np.float64)
    # a sum of k products errs by at most (k + 1) eps / 2 of the sum of their magnitudes
    terms = np.abs(a) @ np.abs(b) + np.abs(rest)
    assert_near(y.numpy(), a @ b + rest, EPS, 0.5 * (a.shape[1] + 2), terms, what)


@pytest.mark.parametrize("c", VECTORS)
def test_statistics_at_the_edges_of_blocks(c: int, isa: str, rng: np.random.Generator) -> None:
    for m in (2, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 1091):
        x = single(rng, m, c) * 2.0 + 5.0
        mean, variance, count = batch_statistics(x)
        exact = x.astype(np.float64)
        assert count == m
        np.testing.assert_allclose(mean, exact.mean(0), rtol=4 * EPS)
        np.testing.assert_allclose(variance, exact.var(0), rtol=64 * EPS)
        other = by_scalar(batch_statistics, x)
        np.testing.assert_allclose(mean, other[0], rtol=4 * EPS)
        np.testing.assert_allclose(variance, other[1], rtol=64 * EPS)


@pytest.mark.parametrize(
    "name",
    ["log_softmax", "softmax_last", "cross_entropy_0.3_True_none", "bn_train", "linear", "layer_norm"],
)
@pytest.mark.parametrize("c", VECTORS)
def test_rows_and_columns_at_the_edges(c: int, name: str, isa: str, rng: np.random.Generator) -> None:
    case = next(x for x in CASES if x.name == name)
    for m in (6, 63, 64, 65, 129):
        affine = ((m, c), (c,), (c,))
        shapes = {"bn_train": affine, "layer_norm": affine, "linear": ((m, c), (c, c), (c,))}.get(
            name, ((m, c),)
        )
        arrays = case.draw(rng, shapes, np.float32)
        expected = case.reference(*(a.astype(np.float64) for a in arrays))
        g = np.asarray(rng.standard_normal(expected.shape), np.float32)
        y, gradients = run(case, arrays, g)
        _, exact = run(case, [a.astype(np.float64) for a in arrays], g.astype(np.float64))
        what = f"{name} {shapes}"
        assert_near(y, expected, EPS, case.ulps, largest(expected, *arrays), what)
        for i, (a, b) in enumerate(zip(gradients, exact, strict=True)):
            assert_near(a, b, EPS, case.grad_ulps, max(largest(b), largest(g)), f"gradient {i} of {what}")


@pytest.mark.parametrize(
    ("momentum", "dampening", "nesterov", "maximize"),
    [(0.0, 0.0, False, False), (0.9, 0.1, False, True), (0.9, 0.0, True, False)],
)
def test_sgd_at_every_length(
    momentum: float, dampening: float, nesterov: bool, maximize: bool, isa: str, rng: np.random.Generator
) -> None:
    for n in (*range(1, 36), 8191, 8192, 8193):
        w, v, g = (single(rng, n) for _ in range(3))
        exact_w, exact_v = w.astype(np.float64), v.astype(np.float64)
        d = (-g if maximize else g) + 0.01 * exact_w
        exact_v = momentum * exact_v + (1.0 - dampening) * d if momentum else d
        exact_w = exact_w - 0.1 * (d + momentum * exact_v if nesterov else exact_v)
        buffers = [v] if momentum else []
        sgd([w], [g], buffers, [False], 0.1, momentum, dampening, 0.01, nesterov, maximize)
        assert_near(w, exact_w, EPS, 4.0, 1.0 + np.abs(exact_w), f"w of {n}")
        if momentum:
            assert_near(v, exact_v, EPS, 4.0, 1.0 + np.abs(exact_v), f"v of {n}")


@pytest.mark.parametrize("beta1", [0.9, 0.3])
@pytest.mark.parametrize(
    ("amsgrad", "maximize", "decoupled"),
    [(False, False, False), (True, True, False), (True, False, True), (False, False, True)],
)
def test_adam_at_every_length(
    beta1: float, amsgrad: bool, maximize: bool, decoupled: bool, isa: str, rng: np.random.Generator
) -> None:
    for n in (*range(1, 36), 8191, 8192, 8193):
        w, a, g = (single(rng, n) for _ in range(3))
        s, top = np.abs(single(rng, n)), np.abs(single(rng, n))
        exact_w, exact_a, exact_s, exact_top = (x.astype(np.float64) for x in (w, a, s, top))
        d = (-g if maximize else g) + (0.0 if decoupled else 0.01 * exact_w)
        exact_a = beta1 * exact_a + (1 - beta1) * d
        exact_s = 0.75 * exact_s + 0.25 * d * d
        exact_top = np.maximum(exact_top, exact_s)
        root = np.sqrt((exact_top if amsgrad else exact_s) / (1 - 0.75**3))
        step = 0.1 * exact_a / (1 - beta1**3) / (root + 1e-3)
        exact_w = (1 - 0.1 * 0.01 if decoupled else 1) * exact_w - step
        largest = [top] if amsgrad else []
        adam([w], [g], [a], [s], largest, [3], 0.1, beta1, 0.75, 1e-3, 0.01, maximize, decoupled)
        assert_near(a, exact_a, EPS, 4.0, 1.0 + np.abs(exact_a), f"a of {n}")
        assert_near(s, exact_s, EPS, 8.0, 1.0 + exact_s, f"s of {n}")
        assert_near(w, exact_w, EPS, 8.0, 1.0 + np.abs(exact_w) + np.abs(step) / (root + 1e-3), f"w of {n}")
        if amsgrad:
            assert_near(top, exact_top, EPS, 8.0, 1.0 + exact_top, f"top of {n}")


@pytest.mark.parametrize("maximize", [False, True])
def test_adagrad_at_every_length(maximize: bool, isa: str, rng: np.random.Generator) -> None:
    for n in (*range(1, 36), 8191, 8192, 8193):
        w, s, g = single(rng, n), np.abs(single(rng, n)), single(rng, n)
        exact_w, exact_s = w.astype(np.float64), s.astype(np.float64)
        d = (-g if maximize else g) + 0.01 * exact_w
        exact_s = exact_s + d * d
        exact_w = exact_w - 0.1 / (1 + 2 * 0.5) * d / (np.sqrt(exact_s) + 1e-3)
        adagrad([w], [g], [s], [3], 0.1, 0.5, 0.01, 1e-3, maximize)
        assert_near(s, exact_s, EPS, 8.0, 1.0 + exact_s, f"s of {n}")
        assert_near(w, exact_w, EPS, 8.0, 1.0 + np.abs(exact_w), f"w of {n}")


@pytest.mark.parametrize(("centered", "momentum"), [(False, 0.0), (True, 0.0), (False, 0.9), (True, 0.9)])
def test_rmsprop_at_every_length(centered: bool, momentum: float, isa: str, rng: np.random.Generator) -> None:
    for n in (*range(1, 36), 8191, 8192, 8193):
        w, v, g = (single(rng, n) for _ in range(3))
        s, a = np.abs(single(rng, n)) + 1.0, 0.1 * single(rng, n)
        exact_w, exact_s, exact_a, exact_v = (x.astype(np.float64) for x in (w, s, a, v))
        d = g + 0.01 * exact_w
        exact_s = 0.75 * exact_s + 0.25 * d * d
        exact_a = 0.75 * exact_a + 0.25 * d
        step = d / (np.sqrt(exact_s - exact_a**2 if centered else exact_s) + 1e-3)
        exact_v = momentum * exact_v + step
        exact_w = exact_w - 0.1 * (exact_v if momentum else step)
        averages, buffers = [a] if centered else [], [v] if momentum else []
        rmsprop([w], [g], [s], averages, buffers, 0.1, 0.75, 1e-3, 0.01, momentum, False)
        assert_near(s, exact_s, EPS, 8.0, 1.0 + exact_s, f"s of {n}")
        assert_near(w, exact_w, EPS, 16.0, 1.0 + np.abs(exact_w), f"w of {n}")
        if centered:
            assert_near(a, exact_a, EPS, 8.0, 1.0 + np.abs(exact_a), f"a of {n}")
        if momentum:
            assert_near(v, exact_v, EPS, 32.0, 1.0 + np.abs(exact_v), f"v of {n}")


def test_updates_agree_with_scalar(isa: str, rng: np.random.Generator) -> None:
    """Values that are not finite, 0 and infinite weights: as the plain C kernels have them."""
    odd = np.asarray([0.0, -0.0, 1.0, -1.0, 1e30, -1e30, 1e-30, np.inf, -np.inf, np.nan], np.float32)
    w, g = (np.ascontiguousarray(x) for x in np.meshgrid(odd, odd))
    a = rng.permutation(w.ravel()).reshape(w.shape)

    def steps() -> list[Array]:
        found: list[Array] = []
        for decay in (0.0, 0.5):
            weights, state = [w.copy() for _ in range(5)], [np.abs(a) for _ in range(6)]
            sgd(weights[:1], [g], [a.copy()], [False], 0.1, 0.9, 0.0, decay, True, False)
            for top in ([], [state[2]]):
                x = weights[1 + len(top)]
                s = state[len(top)]
                adam([x], [g], [a.copy()], [s], top, [2], 0.1, 0.9, 0.99, 1e-8, decay, False, False)
            adagrad(weights[3:4], [g], state[3:4], [2], 0.1, 0.0, decay, 1e-10, False)
            rmsprop(weights[4:], [g], state[4:5], [], state[5:6], 0.1, 0.9, 1e-8, decay, 0.5, False)
            found += [*weights, *state]
        return found

    with np.errstate(all="ignore"):
        results, expected = steps(), by_scalar(steps)
    for x, y in zip(results, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-30)


# ---- nothing outside the arrays is touched --------------------------------------------------------


def guarded(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """n numbers amid guard words, and the whole."""
    whole = np.full(n + 64, 777.0, np.float32)
    whole[32 : 32 + n] = np.abs(single(rng, n)) + 0.5
    return whole[32 : 32 + n], whole


def assert_guards(whole: Array) -> None:
    assert (whole[:32] == 777.0).all()
    assert (whole[-32:] == 777.0).all()


@pytest.mark.parametrize("n", [*VECTORS, 31, 33])
def test_neighbours_stay(n: int, isa: str, rng: np.random.Generator) -> None:
    (w, whole_w), (v, whole_v), (g, whole_g) = (guarded(rng, n) for _ in range(3))
    sgd([w], [g], [v], [False], 0.1, 0.9, 0.0, 0.01, True, False)
    (s, whole_s), (top, whole_top) = (guarded(rng, n) for _ in range(2))
    adam([w], [g], [v], [s], [top], [1], 0.1, 0.9, 0.99, 1e-8, 0.01, False, False)
    adagrad([w], [g], [s], [1], 0.1, 0.0, 0.01, 1e-8, False)
    rmsprop([w], [g], [s], [v], [top], 0.1, 0.9, 1e-8, 0.01, 0.9, False)
    (mean, whole_mean), (var, whole_var) = (guarded(rng, n) for _ in range(2))
    (x, whole_x), before = guarded(rng, 5 * n), mean.copy()
    t = tn.from_numpy(x.reshape(5, n))
    F.batch_norm(t, tn.from_numpy(mean), tn.from_numpy(var), training=True)
    assert not np.array_equal(mean, before)
    for in_place in (F.relu, F.leaky_relu, F.elu, F.silu, F.hardtanh, F.relu6):
        in_place(t, inplace=True)
    F.dropout(t, 0.5, inplace=True)
    leaf = tn.from_numpy(w).requires_grad_()
    leaf.grad = tn.from_numpy(g)
    (leaf * 2.0).backward(tn.ones(n))  # added to the gradient in place
    for whole in (whole_w, whole_v, whole_g, whole_s, whole_top, whole_mean, whole_var, whole_x):
        assert_guards(whole)


AT_A_PAGE = """
import ctypes, mmap
import numpy as np
import tinynet as tn
from tinynet.nn import functional as F
from tinynet.ops import kernels
from tinynet.ops.update import adagrad, adam, rmsprop, sgd

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
rng, kept = np.random.default_rng(0), []

def at_the_edge(*shape):
    # an array between two pages that nobody may touch: ending where the second starts
    n, page = int(np.prod(shape)), mmap.PAGESIZE
    room = -(-4 * n // page) * page
    m = mmap.mmap(-1, room + page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(m))
    assert libc.mprotect(start + room, page, 0) == 0
    kept.append(m)
    a = np.frombuffer(m, np.float32, n, room - 4 * n).reshape(shape)
    a[...] = np.abs(rng.standard_normal(shape)) + 0.5
    return tn.from_numpy(a)

for isa in kernels.available():
    kernels._select(isa)
    for n in (1, 3, 4, 5, 8, 9, 16, 17, 33):
        x, w, b = (at_the_edge(*s).requires_grad_() for s in ((13, n), (n, n), (n,)))
        g = at_the_edge(13, n)
        mean, var, gamma = (at_the_edge(n) for _ in range(3))
        for y in (x + g, g - x, x * g, g / x, x / 2.0, 2.0 / x):
            y.backward(g)
        for y in (F.linear(x, w, b), F.linear(x, w.T), F.sigmoid(x), F.tanh(x), F.relu(x), F.dropout(x, 0.5),
                  F.leaky_relu(x), F.elu(x), F.hardtanh(x), F.softplus(x), F.logsigmoid(x), F.silu(x),
                  F.gelu(x), F.gelu(x, "tanh"), F.softmax(x, 1), F.layer_norm(x, n, gamma, b),
                  F.log_softmax(x, 1), F.batch_norm(x, mean, var, gamma, b, training=True),
                  F.batch_norm(x, mean, var, gamma, b), x.T @ x):
            y.backward(g if y.shape == g.shape else at_the_edge(n, n))
        loss = F.cross_entropy(x, tn.tensor(np.arange(13) % n), gamma, label_smoothing=0.1)
        loss.backward()
        d, v = at_the_edge(n, n).numpy(), at_the_edge(n, n).numpy()
        sgd([w.detach().numpy()], [d], [v], [False], 0.1, 0.9, 0, 0, True, False)
        s, top = at_the_edge(n, n).numpy(), at_the_edge(n, n).numpy()
        adam([w.detach().numpy()], [d], [v], [s], [top], [1], 0.1, 0.9, 0.99, 1e-8, 0, False, False)
        adagrad([w.detach().numpy()], [d], [s], [1], 0.1, 0, 0, 1e-8, False)
        rmsprop([w.detach().numpy()], [d], [s], [v], [top], 0.1, 0.9, 1e-8, 0, 0.9, False)
print("fine")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks for pages by mprotect")
def test_nothing_beyond_the_last_element_is_read() -> None:
    done = subprocess.run([sys.executable, "-c", AT_A_PAGE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


# ---- units in the last place ----------------------------------------------------------------------


def grid() -> Array:
    """Dense near 0 and over the range where the functions move, sparse to the ends of float32."""
    powers = np.logspace(-37.9, 38.5, 200_001)
    near = np.linspace(-20.0, 20.0, 800_001)
    return np.concatenate([near, np.linspace(-105.0, 105.0, 300_001), powers, -powers]).astype(np.float32)


def ulps(y: Array, exact: Array) -> float:
    """The largest error in units in the last place of the exact value, where that is a normal number."""
    normal = np.abs(exact) >= SMALLEST_NORMAL
    unit = np.ldexp(1.0, np.frexp(exact[normal])[1] - 24)
    # where it is not, the result may be 0 or the smallest normal number
    assert (np.abs(y[~normal] - exact[~normal]) <= SMALLEST_NORMAL).all()
    return float((np.abs(y[normal] - exact[normal]) / unit).max())


def test_sigmoid_ulps(isa: str, record_property: object) -> None:
    x = grid()
    error = ulps(F.sigmoid(tn.from_numpy(x)).numpy().astype(np.float64), special.expit(x.astype(np.float64)))
    record_property("ulps", error)
    assert error <= 4.0


def test_tanh_ulps(isa: str, record_property: object) -> None:
    x = grid()
    error = ulps(F.tanh(tn.from_numpy(x)).numpy().astype(np.float64), np.tanh(x.astype(np.float64)))
    record_property("ulps", error)
    assert error <= 3.0


def relative_error(y: Array, exact: Array) -> Array:
    """In units in the last place where |exact| >= 1e-36; smaller results may be 0."""
    exact = exact.astype(np.float64)
    unit = np.ldexp(1.0, np.frexp(exact)[1] - 24)
    error = np.abs(y - exact)
    assert (error[np.abs(exact) < 1e-36] <= 1e-36).all()
    return np.where(np.abs(exact) >= 1e-36, error / np.maximum(unit, SMALLEST_NORMAL), 0.0)


@pytest.mark.parametrize(
    ("door", "exact", "bound"),
    [
        (F.elu, lambda x: np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0))), 1.0),
        (F.softplus, lambda x: np.logaddexp(0.0, x), 3.0),
        (F.logsigmoid, special.log_expit, 3.0),
        (F.silu, lambda x: x * special.expit(x), 3.0),
    ],
    ids=["elu", "softplus", "logsigmoid", "silu"],
)
def test_activation_ulps(
    door: Callable[..., tn.Tensor],
    exact: Callable[[Array], Array],
    bound: float,
    isa: str,
    record_property: object,
) -> None:
    x = grid()
    error = relative_error(door(tn.from_numpy(x)).numpy(), exact(x.astype(np.float64))).max()
    record_property("ulps", error)
    assert error <= bound


@pytest.mark.parametrize(("approximate", "near", "far"), [("none", 4.0, 64.0), ("tanh", 3.0, 110.0)])
def test_gelu_ulps(approximate: str, near: float, far: float, isa: str, record_property: object) -> None:
    """In the tail the rounding of the exponent is magnified."""
    x = grid()
    d = x.astype(np.float64)
    if approximate == "none":
        exact = d * special.ndtr(d)
    else:
        exact = d * special.expit(2.0 * np.sqrt(2.0 / np.pi) * (d + 0.044715 * d**3))
    y = F.gelu(tn.from_numpy(x), approximate).numpy()
    error = relative_error(y, exact)
    record_property("ulps", error[x >= -1.0].max())
    record_property("ulps_in_the_tail", error[x >= -8.0].max())
    assert error[x >= -1.0].max() <= near
    assert error[x >= -8.0].max() <= far
    np.testing.assert_allclose(y[x < -8.0], exact[x < -8.0], rtol=0, atol=1e-14)


def test_exp_ulps(isa: str, record_property: object) -> None:
    """exp(y) for y <= 0 is seen in the gradient of log-softmax: with gy = (1, 0), gx_1 = -exp(y_1)."""
    x = np.stack([np.zeros(400_001), -np.linspace(0.0, 87.0, 400_001)], axis=1).astype(np.float32)
    t = tn.from_numpy(x).requires_grad_()
    y = F.log_softmax(t, 1)
    y.backward(tn.from_numpy(np.broadcast_to(np.asarray([1.0, 0.0], np.float32), x.shape)))
    exact = np.exp(y.detach().numpy()[:, 1].astype(np.float64))
    error = ulps(-t.grad.numpy()[:, 1].astype(np.float64), exact)
    record_property("ulps", error)
    assert error <= 3.0


def test_special_values(isa: str) -> None:
    inf, nan, sub = np.inf, np.nan, 1e-40
    values = [0.0, -0.0, sub, -sub, 90.0, -90.0, 1e4, -1e4, 3e38, -3e38, inf, -inf, nan]
    x = np.asarray(values * 3, np.float32)
    for repeat in (x, x[:13], x[:7]):
        t = tn.from_numpy(repeat)
        s, h, r = F.sigmoid(t).numpy(), F.tanh(t).numpy(), F.relu(t).numpy()
        expected_s = special.expit(repeat.astype(np.float64))
        np.testing.assert_allclose(s, expected_s, rtol=3 * EPS, atol=SMALLEST_NORMAL)
        np.testing.assert_allclose(h, np.tanh(repeat.astype(np.float64)), rtol=3 * EPS, atol=SMALLEST_NORMAL)
        np.testing.assert_allclose(r, np.maximum(repeat, 0.0), rtol=0, atol=SMALLEST_NORMAL)
        assert ((s[~np.isnan(s)] >= 0.0) & (s[~np.isnan(s)] <= 1.0)).all()
        assert (np.abs(h[~np.isnan(h)]) <= 1.0).all()
        assert np.array_equal(np.signbit(h[:2]), [False, True])


# ---- Philox ---------------------------------------------------------------------------------------


def philox_block(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """Philox4x32-10 of Salmon et al. 2011 (section 3.3) in Python's integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & 0xFFFFFFFF, (p >> 32) ^ c[3] ^ k[1], p & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return tuple(c)


ONES = 0xFFFFFFFF
KNOWN = [  # kat_vectors of Random123, the generator's own distribution
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_python_philox_knows_the_answers(
    counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    assert philox_block(counter, key) == words


def test_philox_known_answer(isa: str) -> None:
    assert tuple(map(int, philox_u32(4, 0, 0))) == KNOWN[0][2]


@pytest.mark.parametrize("seed", [0, 1, 2**32 + 5, 2**64 - 1])
@pytest.mark.parametrize("call", [0, 1, 2**32 - 1, 2**64 - 1])
def test_philox_against_python(seed: int, call: int, isa: str) -> None:
    """Also where the counter carries into its upper word, and for numbers of words that fill no vector."""
    key, upper = (seed & ONES, seed >> 32), (call & ONES, call >> 32)
    for first, n in ((0, 131), (64, 3), (4 * (2**32 - 9), 67), (2**64 - 4 * 40, 160)):
        expected = []
        for block in range(first // 4, first // 4 + (n + 3) // 4):
            expected += philox_block((block & ONES, block >> 32, *upper), key)
        assert philox_u32(n, seed, call, first).tolist() == expected[:n]


def test_philox_of_the_table(isa: str) -> None:
    np.testing.assert_array_equal(philox(1003, 7, 3), philox_u32(1003, 7, 3))
