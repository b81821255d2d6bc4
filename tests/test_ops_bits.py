"""Bit for bit: the same numbers on 1, 2 and 3 threads and in every run, by either way of a matrix product."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from ops_cases import CASES, Array, Case
from ops_running import assert_near, largest, run

import tinynet as tn
from tinynet.nn import functional as F
from tinynet.ops import linear as ops_linear
from tinynet.ops import threads as ops_threads
from tinynet.ops.normalization import batch_statistics
from tinynet.ops.update import sgd

each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: d.__name__)


@pytest.fixture(params=["panels", "blas"])
def product_path(request: pytest.FixtureRequest) -> Iterator[str]:
    """float32 products by packed panels, or all by BLAS."""
    former = ops_linear._set_panels_up_to(1e30 if request.param == "panels" else -1.0)
    yield request.param
    ops_linear._set_panels_up_to(former)


@pytest.fixture(autouse=True)
def _parallel_from_the_start() -> Iterator[None]:
    threads, work = tn.get_num_threads(), ops_threads._set_serial_work(0)
    yield
    tn.set_num_threads(threads)
    ops_threads._set_serial_work(work)


def on_threads(function: object, *args: object) -> list[list[Array]]:
    """What the function returns on 1, 2 and 3 threads, and on 3 once more."""
    results = []
    for n in (1, 2, 3, 3):
        tn.set_num_threads(n)
        results.append([np.array(a) for a in function(*args)])
    return results


def assert_same_bits(results: list[list[Array]], what: str) -> None:
    for other in results[1:]:
        for i, (a, b) in enumerate(zip(results[0], other, strict=True)):
            assert a.tobytes() == b.tobytes(), f"{what}: array {i} depends on threads or run"


def forward_and_backward(case: Case, arrays: list[Array], cotangent: Array) -> list[Array]:
    y, gradients = run(case, arrays, cotangent)
    return [y, *gradients]


@each_dtype
@each_case
def test_bits_of_every_op(case: Case, dtype: type, rng: np.random.Generator) -> None:
    for shapes in (case.shapes[0], case.large):
        arrays = case.draw(rng, shapes, dtype)
        y, _ = run(case, arrays)
        cotangent = np.asarray(rng.standard_normal(y.shape), y.dtype)
        assert_same_bits(on_threads(forward_and_backward, case, arrays, cotangent), f"{case.name} {shapes}")


@each_dtype
@pytest.mark.parametrize("name", ["linear", "linear_3d", "matmul", "matmul_T"])
@pytest.mark.parametrize("work", [0, 200_000])
def test_bits_of_products(
    name: str, work: int, dtype: type, product_path: str, rng: np.random.Generator
) -> None:
    """Several pieces of 480 rows, several panels, several chunks of BLAS; parallel always and by default."""
    ops_threads._set_serial_work(work)
    case = next(c for c in CASES if c.name == name)
    for m, k, n in ((1003, 45, 70), (97, 301, 33), (17, 1003, 5), (5, 3, 1001)):
        shapes = {
            "linear": ((m, k), (n, k), (n,)),
            "linear_3d": ((m, 1, k), (n, k), (n,)),
            "matmul": ((m, k), (k, n)),
            "matmul_T": ((k, m), (n, k)),
        }[name]
        arrays = case.draw(rng, shapes, dtype)
        expected = case.reference(*(a.astype(np.float64) for a in arrays))
        cotangent = np.asarray(rng.standard_normal(expected.shape), dtype)
        results = on_threads(forward_and_backward, case, arrays, cotangent)
        what = f"{name} of {(m, k, n)} by {product_path}"
        assert_same_bits(results, what)
        size = largest(expected) * np.sqrt(k)  # of a sum of k terms
        assert_near(results[0][0], expected, float(np.finfo(dtype).eps), 4.0, size, what)


@each_dtype
def test_gradients_of_products_by_either_path(
    dtype: type, product_path: str, rng: np.random.Generator
) -> None:
    x, w, b = (np.asarray(rng.standard_normal(s), dtype) for s in ((97, 301), (33, 301), (33,)))
    g = np.asarray(rng.standard_normal((97, 33)), dtype)
    case = next(c for c in CASES if c.name == "linear")
    _, (gx, gw, gb) = run(case, [x, w, b], g)
    x, w, g = (a.astype(np.float64) for a in (x, w, g))
    for actual, expected in ((gx, g @ w), (gw, g.T @ x), (gb, g.sum(0))):
        assert_near(actual, expected, float(np.finfo(dtype).eps), 32.0, largest(expected), product_path)


@each_dtype
def test_shared_input_collects_in_place(dtype: type, product_path: str, rng: np.random.Generator) -> None:
    """x feeds two linear layers: the second product adds to the first one's gradient."""
    x, w, v = (np.asarray(rng.standard_normal(s), dtype) for s in ((65, 40), (33, 40), (301, 40)))

    def step() -> list[Array]:
        t = tn.from_numpy(x).requires_grad_()
        h = t * 1.0
        (F.linear(h, tn.from_numpy(w)).sum() + F.linear(h, tn.from_numpy(v)).sum()).backward()
        return [t.grad.numpy()]

    results = on_threads(step)
    assert_same_bits(results, product_path)
    expected = np.broadcast_to(w.astype(np.float64).sum(0) + v.astype(np.float64).sum(0), x.shape)
    assert_near(results[0][0], expected, float(np.finfo(dtype).eps), 32.0, largest(expected), product_path)


@each_dtype
def test_bits_of_statistics(dtype: type, rng: np.random.Generator) -> None:
    for shape in ((63, 5), (64, 17), (65, 33), (1025, 3), (4099, 18), (37, 7, 29)):
        x = np.asarray(rng.standard_normal(shape) + 3.0, dtype)
        results = on_threads(lambda a: batch_statistics(a)[:2], x)
        assert_same_bits(results, f"statistics of {shape}")
        axes = (0, *range(2, x.ndim))
        mean, variance = x.astype(np.float64).mean(axes), x.astype(np.float64).var(axes)
        np.testing.assert_allclose(results[0][0], mean, rtol=1e-6)
        np.testing.assert_allclose(results[0][1], variance, rtol=1e-5)


@each_dtype
@pytest.mark.parametrize("nesterov", [False, True])
def test_bits_of_sgd(nesterov: bool, dtype: type, rng: np.random.Generator) -> None:
    shapes = ((8191,), (8192,), (8193,), (3, 5), (20001,), (1,), (0,))
    weights = [np.asarray(rng.standard_normal(s), dtype) for s in shapes]
    gradients = [np.asarray(rng.standard_normal(s), dtype) for s in shapes]

    def steps() -> list[Array]:
        w = [tn.tensor(a) for a in weights]
        v = [tn.zeros(a.shape, dtype=a.dtype) for a in weights]
        arrays, buffers = ([t.numpy() for t in ts] for ts in (w, v))
        for first in (True, False, False):
            sgd(arrays, gradients, buffers, [first] * len(w), 0.1, 0.9, 0.2, 1e-2, nesterov, False)
        return [*arrays, *buffers]

    assert_same_bits(on_threads(steps), "sgd")
