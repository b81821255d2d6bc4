"""Products of vectors, matrices and batches of matrices, with their gradients."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet as tn
from tinynet.errors import DTypeError, ShapeError
from tinynet.ops import linear as ops_linear
from tinynet.ops import threads as ops_threads

SHAPES = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3,)),
    ((5, 2, 3), (3, 4)),
    ((3,), (5, 3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((6, 1, 2, 3), (5, 3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((1, 1, 2, 3), (3, 4)),
    # nothing, or sums of nothing
    ((0,), (0,)),
    ((2, 0), (0, 3)),
    ((5, 2, 0), (5, 0, 3)),
    ((5, 0, 3), (5, 3, 4)),
    ((0, 2, 3), (3, 4)),
    ((0, 2, 3), (0, 3, 4)),
    ((0, 2, 3), (1, 3, 4)),
    ((3,), (5, 3, 0)),
]


@pytest.fixture(params=["panels", "blas"])
def _path(request: pytest.FixtureRequest) -> Iterator[None]:
    """float32 products by packed panels, or all by BLAS."""
    former = ops_linear._set_panels_up_to(1e30 if request.param == "panels" else -1.0)
    yield
    ops_linear._set_panels_up_to(former)


def reference(a: np.ndarray, b: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gradients, written with sums over all index combinations."""
    rows, columns = (a[None] if a.ndim == 1 else a), (b[:, None] if b.ndim == 1 else b)
    batch = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    whole = g.reshape((*batch, rows.shape[-2], columns.shape[-1]))
    ga = np.einsum("...mn,...kn->...mk", whole, columns)
    gb = np.einsum("...mk,...mn->...kn", np.broadcast_to(rows, batch + rows.shape[-2:]), whole)
    return summed(ga, rows.shape).reshape(a.shape), summed(gb, columns.shape).reshape(b.shape)


def summed(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    g = g.sum(tuple(range(g.ndim - len(shape))))
    return g.sum(tuple(d for d, n in enumerate(shape) if n == 1 and g.shape[d] != 1), keepdims=True)


def check(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> None:
    x, w = tn.from_numpy(a).requires_grad_(), tn.from_numpy(b).requires_grad_()
    y = x @ w
    expected = np.matmul(a.astype(np.float64), b.astype(np.float64))
    assert y.shape == expected.shape
    assert y.dtype == a.dtype
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if a.dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(y.detach().numpy(), expected, **tolerance)
    g = np.asarray(rng.standard_normal(y.shape), a.dtype)
    y.backward(tn.from_numpy(g))
    wanted = reference(a.astype(np.float64), b.astype(np.float64), g.astype(np.float64))
    for t, gradient in zip((x, w), wanted, strict=True):
        assert t.grad.shape == gradient.shape
        np.testing.assert_allclose(t.grad.numpy(), gradient, **tolerance)


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("first", "second"), SHAPES)
def test_values_and_gradients(first, second, dtype, rng):
    check(np.asarray(rng.standard_normal(first), dtype), np.asarray(rng.standard_normal(second), dtype), rng)


@st.composite
def operands(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two operands whose batch axes broadcast, in layouts of all kinds."""
    m, k, n = (draw(st.integers(0, 5)) for _ in range(3))
    batch = draw(st.lists(st.integers(0, 3), max_size=3))
    pair = []
    for matrix in ((m, k), (k, n)):
        sizes = [draw(st.sampled_from([1, s])) for s in batch[draw(st.integers(0, len(batch))) :]]
        a = np.random.default_rng(draw(st.integers(0, 99))).standard_normal((*sizes, *matrix))
        if draw(st.booleans()):
            a = np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2)
        if draw(st.booleans()):
            a = a[..., ::-1, :]
        if draw(st.booleans()):
            a = np.asfortranarray(a)
        pair.append(a)
    return pair[0], pair[1]


@settings(max_examples=150)
@given(operands(), st.sampled_from([np.float32, np.float64]))
def test_any_shapes_and_layouts(pair, dtype):
    check(pair[0].astype(dtype), pair[1].astype(dtype), np.random.default_rng(0))


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((7, 33, 20), (7, 20, 17)),  # small: a matrix for each thread
        ((3, 191, 203), (3, 203, 157)),  # large: cut up inside
        ((2, 1, 50, 490), (3, 490, 60)),
        ((40, 3), (6, 3, 2)),
    ],
)
def test_bits_do_not_depend_on_the_threads(first, second, dtype, rng):
    a, b = (np.asarray(rng.standard_normal(s), dtype) for s in (first, second))
    g = np.asarray(rng.standard_normal(np.matmul(a, b).shape), dtype)
    before, work = tn.get_num_threads(), ops_threads._set_serial_work(0)
    results = []
    try:
        for threads in (1, 2, 3):
            tn.set_num_threads(threads)
            x, w = tn.tensor(a, requires_grad=True), tn.tensor(b, requires_grad=True)
            y = x @ w
            y.backward(tn.from_numpy(g))
            results.append([t.numpy().tobytes() for t in (y.detach(), x.grad, w.grad)])
    finally:
        tn.set_num_threads(before)
        ops_threads._set_serial_work(work)
    assert results[0] == results[1] == results[2]
    np.testing.assert_allclose(y.detach().numpy(), np.matmul(a, b), rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX has such timers")
def test_a_long_sum_is_cut_for_signals(rng):
    """Few, large rectangles: what is summed is added in parts, between which signals are looked for."""
    a, b = (np.asarray(rng.standard_normal(s), np.float32) for s in ((960, 10240), (10240, 960)))
    x, w, looks, before = tn.from_numpy(a), tn.from_numpy(b), [], tn.get_num_threads()

    def alarm(*_: object) -> None:
        looks.append(True)
        signal.setitimer(signal.ITIMER_REAL, 1e-3)

    former = signal.signal(signal.SIGALRM, alarm)
    try:
        tn.set_num_threads(2)
        signal.setitimer(signal.ITIMER_REAL, 1e-3)
        y = x @ w
        seen = len(looks)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        tn.set_num_threads(1)
        alone = x @ w
        tn.set_num_threads(before)
    assert seen >= 3
    assert y.numpy().tobytes() == alone.numpy().tobytes()
    some = (slice(None, None, 41), slice(None, None, 41))
    np.testing.assert_allclose(y.numpy()[some], (a[::41].astype(float) @ b[:, ::41]), rtol=1e-3, atol=1e-2)


def test_gradcheck_of_broadcast_batches(rng):
    a = tn.tensor(rng.standard_normal((2, 1, 3, 2)), requires_grad=True)
    b = tn.tensor(rng.standard_normal((4, 2, 3)), requires_grad=True)
    assert tn.gradcheck(lambda a, b: a @ b, [a, b])
    v = tn.tensor(rng.standard_normal(3), requires_grad=True)
    assert tn.gradcheck(lambda b, v: (b @ v) @ tn.ones(4, 2, 5, dtype="float64"), [b, v])


def test_a_gradient_is_added_to_what_is_there(rng):
    """A matrix that several products use: its parts are summed in place."""
    a, b = (np.asarray(rng.standard_normal(s)) for s in ((4, 3), (3, 5)))
    x, w = tn.tensor(a, requires_grad=True), tn.tensor(b, requires_grad=True)
    ((x @ w) + (x @ w) + (x.reshape(2, 2, 3) @ w).reshape(4, 5)).sum().backward()
    one = tn.tensor(b, requires_grad=True)
    (tn.tensor(a) @ one).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 3 * one.grad.numpy())


def test_integers():
    a, b = tn.tensor([[1, 2], [3, 4]]), tn.tensor([[5, 6], [7, 8]])
    assert (a @ b).tolist() == [[19, 22], [43, 50]]
    assert (a @ b).dtype == np.int64
    assert (a @ tn.tensor([1.0, 2.0])).tolist() == [5, 11]
    assert (tn.tensor([2**40]) @ tn.tensor([2**20])).item() == 2**60


def test_named_products():
    a, b = tn.tensor([[1.0, 2.0]]), tn.tensor([[3.0], [4.0]])
    assert tn.mm(a, b).tolist() == [[11]]
    assert tn.matmul(a, b).tolist() == [[11]]
    assert a.mm(b).tolist() == a.matmul(b).tolist() == [[11]]
    assert tn.bmm(a.unsqueeze(0), b.unsqueeze(0)).tolist() == [[[11]]]
    assert tn.dot(tn.tensor([1.0, 2.0]), tn.tensor([3.0, 4.0])).item() == 11
    v = tn.tensor([1.0, 2.0], requires_grad=True)
    tn.outer(v, tn.tensor([3.0, 4.0])).sum().backward()
    assert v.grad.tolist() == [7, 7]
    assert tn.outer(v, tn.ones(0)).shape == (2, 0)


def test_errors():
    m, v = tn.ones(2, 3), tn.ones(3)
    for f, message in (
        (lambda: m @ m, r"matmul: b must have shape \(K, N\) with K = 3 to match a \(2, 3\); got \(2, 3\)"),
        (
            lambda: m @ tn.ones(2),
            r"matmul: b must have shape \(K,\) with K = 3 to match a \(2, 3\); got \(2,\)",
        ),
        (lambda: v @ tn.ones(5, 2, 4), r"matmul: b must have shape \(..., K, N\) with K = 3"),
        (lambda: m @ tn.tensor(1.0), "matmul: b must have at least one axis; got a scalar"),
        (lambda: tn.tensor(1.0) @ m, "matmul: a must have at least one axis; got a scalar"),
        (
            lambda: tn.ones(2, 2, 3) @ tn.ones(5, 3, 4),
            r"matmul: the batch axes of a \(2, 2, 3\) and b \(5, 3, 4\) cannot be broadcast together",
        ),
        (
            lambda: m.mm(v),
            r"mm: input and mat2 must have shapes \(M, K\) and \(K, N\); got \(2, 3\) and \(3,\)",
        ),
        (lambda: tn.bmm(m, m), r"bmm: input and mat2 must have shapes \(B, M, K\) and \(B, K, N\)"),
        (lambda: tn.bmm(tn.ones(2, 1, 1), tn.ones(3, 1, 1)), "bmm: input and mat2 must have shapes"),
        (
            lambda: v.dot(tn.ones(2)),
            r"dot: input and tensor must have one shape \(K,\); got \(3,\) and \(2,\)",
        ),
        (lambda: tn.outer(m, v), r"outer: input and vec2 must have shapes \(M,\) and \(N,\)"),
    ):
        with pytest.raises(ShapeError, match=message):
            f()
    with pytest.raises(DTypeError, match="matmul: operands must have one float dtype"):
        m @ tn.ones(3, 2, dtype="float64")
    for name, argument in (
        ("matmul", "other"), ("mm", "mat2"), ("bmm", "mat2"), ("dot", "tensor"), ("outer", "vec2"),
    ):  # fmt: skip
        function = getattr(tn, name)
        with pytest.raises(DTypeError, match=f"{name}: input must be a Tensor; got list"):
            function([1.0], v)
        with pytest.raises(DTypeError, match=f"{name}: {argument} must be a Tensor; got ndarray"):
            function(v, np.ones(3))
        with pytest.raises(DTypeError, match=f"{name}: operands must be Tensors; got Tensor and str"):
            getattr(v, name)("x")


@pytest.mark.parity
@pytest.mark.parametrize(("first", "second"), SHAPES)
def test_as_in_pytorch(first, second, rng):
    torch = pytest.importorskip("torch")
    a, b = (np.asarray(rng.standard_normal(s)) for s in (first, second))
    results = []
    for lib in (tn, torch):
        x, w = (lib.from_numpy(t.copy()).requires_grad_() for t in (a, b))
        y = lib.matmul(x, w)
        (y * y).sum().backward()
        results.append([y.detach().numpy(), x.grad.numpy(), w.grad.numpy()])
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)
