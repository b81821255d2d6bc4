"""The kernels of reductions: extrema and sums of rows and columns, on each instruction set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tinynet as tn
from tinynet.ops import kernels

Array = np.ndarray
NAN, INF = np.float32("nan"), np.float32("inf")
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 47, 63, 64, 65, 79, 80, 127, 128, 129, 200]


def amid_nan(a: Array) -> Array:
    """A copy, dense, with NaN before and behind it: a kernel that looks there shows it."""
    larger = np.full(a.size + 64, NAN, np.float32)
    view = larger[29 : 29 + a.size].reshape(a.shape)
    view[...] = a
    return view


def columns_amid_nan(a: Array) -> Array:
    """(N, C, H, W), channels last, as a slice of the channels of images that are NaN beside it."""
    n, c, h, w = a.shape
    larger = np.full((n, h, w, c + 21), NAN, np.float32)
    larger[..., 5 : 5 + c] = a.transpose(0, 2, 3, 1)
    return larger[..., 5 : 5 + c].transpose(0, 3, 1, 2)


def largest(x: Array, dim: int | tuple[int, ...] | None = None) -> Array:
    return tn.from_numpy(x).amax(dim if dim is not None else ()).numpy()


def smallest(x: Array, dim: int | tuple[int, ...] | None = None) -> Array:
    return tn.from_numpy(x).amin(dim if dim is not None else ()).numpy()


EXTREMA = [(largest, np.max), (smallest, np.min)]


@pytest.mark.parametrize(("ours", "numpys"), EXTREMA)
@pytest.mark.parametrize("n", SIZES)
def test_extrema_of_rows_of_every_length(
    n: int, ours: Callable[..., Array], numpys: Callable[..., Array], isa: str, rng: np.random.Generator
) -> None:
    for rows in (1, 3, 4, 15, 17, 33):
        x = amid_nan(rng.standard_normal((rows, n), dtype=np.float32) - 3)  # all of one sign, mostly
        assert ours(x, 1).tobytes() == numpys(x, axis=1).tobytes()
        assert ours(x).tobytes() == np.asarray(numpys(x)).tobytes()
        spoilt = rng.integers(0, n, size=rows)
        x[np.arange(rows), spoilt] = NAN  # every row has one
        assert np.isnan(ours(x, 1)).all()
        x[1::2] = -INF
        x[2::2] = INF
        np.testing.assert_array_equal(ours(x, 1), numpys(x, axis=1))


@pytest.mark.parametrize(("ours", "numpys"), EXTREMA)
@pytest.mark.parametrize("c", SIZES)
def test_extrema_of_columns_of_every_number(
    c: int, ours: Callable[..., Array], numpys: Callable[..., Array], isa: str, rng: np.random.Generator
) -> None:
    for n, h, w in ((1, 1, 2), (2, 3, 5), (3, 1, 21)):
        x = columns_amid_nan(rng.standard_normal((n, c, h, w), dtype=np.float32) + 3)
        for dims in ((2, 3), (0, 2, 3), 1):
            assert ours(x, dims).tobytes() == numpys(x, axis=dims).tobytes()
        x[0, :, 0, 1] = NAN
        found = ours(x, (2, 3))
        assert np.isnan(found[0]).all()
        assert found[1:].tobytes() == numpys(x[1:], axis=(2, 3)).tobytes()


def test_a_subnormal_extremum_is_an_element(isa: str, threads: int, rng: np.random.Generator) -> None:
    """Not 0, which would be no element: its gradient would go nowhere."""
    x = -np.abs(rng.standard_normal((37, 21))).astype(np.float32)
    x[3], x[:, 5] = np.float32(-1e-39), np.float32(-2e-39)
    for dims in (0, 1, (0, 1)):
        t = tn.from_numpy(x.copy()).requires_grad_()
        y = t.amax(dims)
        assert y.detach().numpy().tobytes() == np.asarray(x.max(axis=dims)).tobytes()
        assert smallest(-x, dims).tobytes() == np.asarray((-x).min(axis=dims)).tobytes()
        y.sum().backward()
        assert t.grad.numpy().sum() == y.numel()


@pytest.mark.parametrize(
    "dims", [(), (0,), (1,), (2,), (3,), (2, 3), (0, 2, 3), (0, 1), (1, 3), (0, 1, 2, 3)]
)
@pytest.mark.parametrize("last", [False, True])
def test_any_axes(dims: tuple[int, ...], last: bool, isa: str, rng: np.random.Generator) -> None:
    """Those that form no runs in memory are NumPy's; the shapes are the same."""
    x = rng.standard_normal((3, 4, 5, 6), dtype=np.float32)
    if last:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for keepdim in (False, True):
        axes = dims or (0, 1, 2, 3)
        t = tn.from_numpy(x)
        assert np.array_equal(t.amax(dims, keepdim).numpy(), x.max(axis=axes, keepdims=keepdim))
        assert np.array_equal(t.amin(dims, keepdim).numpy(), x.min(axis=axes, keepdims=keepdim))
        np.testing.assert_allclose(
            t.sum(dims, keepdim).numpy(),
            x.sum(axis=axes, dtype=np.float64, keepdims=keepdim),
            rtol=1e-6,
            atol=1e-6,
        )


@pytest.mark.parametrize("n", SIZES)
def test_sums_of_rows_of_every_length(n: int, isa: str, rng: np.random.Generator) -> None:
    """Summed in double: what cancels leaves the rest."""
    for rows in (1, 2, 7, 8, 9, 40):
        x = amid_nan(rng.standard_normal((rows, n), dtype=np.float32))
        x[:, 0] += np.float32(1e7)
        exact = x.astype(np.float64)
        t = tn.from_numpy(x)
        np.testing.assert_allclose(t.sum(1).numpy(), exact.sum(1), rtol=6e-8)
        if n > 1:
            np.testing.assert_allclose(t.var(1).numpy(), exact.var(1, ddof=1), rtol=3e-7)
        x[:, -1] -= np.float32(1e7)
        np.testing.assert_allclose(t.sum(1).numpy(), x.astype(np.float64).sum(1), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    "shape", [(70_000,), (3, 70_000), (2, 40_000, 3), (1, 5, 300, 200), (600, 3, 9), (4097, 3)]
)
def test_ranges_and_threads(shape: tuple[int, ...], threads: int, rng: np.random.Generator) -> None:
    """Matrices that are cut into ranges, and many that are not, in pieces shared by threads."""
    x = rng.standard_normal(shape, dtype=np.float32)
    t = tn.from_numpy(x)
    for dims in {(0,), (len(shape) - 1,), tuple(range(len(shape))), tuple(range(1, len(shape))) or (0,)}:
        assert t.amax(dims).numpy().tobytes() == x.max(axis=dims).tobytes()
        assert t.amin(dims).numpy().tobytes() == x.min(axis=dims).tobytes()
        exact = x.sum(axis=dims, dtype=np.float64)
        np.testing.assert_allclose(t.sum(dims).numpy(), exact, rtol=1e-6, atol=1e-6)
    x.flat[-1] = NAN
    assert np.isnan(t.amax(()).numpy())


def test_bits_of_sums_do_not_depend_on_threads_or_history(rng: np.random.Generator) -> None:
    x = tn.from_numpy(rng.standard_normal((8, 64, 33, 31), dtype=np.float32))
    former, found = tn.get_num_threads(), set()
    try:
        for threads in (1, 2, 3, 1):
            tn.set_num_threads(threads)
            found.add(b"".join(x.sum(d).numpy().tobytes() for d in ((), 1, (2, 3), (0, 2, 3), 3)))
    finally:
        tn.set_num_threads(former)
    assert len(found) == 1


def test_gradient_of_a_maximum_over_positions(rng: np.random.Generator) -> None:
    """Shared equally among the places that attain it."""
    x = rng.integers(0, 3, size=(2, 5, 3, 3)).astype(np.float32)
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    t = tn.from_numpy(x).requires_grad_()
    t.amax((2, 3)).sum().backward()
    hit = x == x.max(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(t.grad.numpy(), hit / hit.sum(axis=(2, 3), keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("c", [1, 3, 4, 5, 15, 16, 17, 31, 48, 50])
def test_slices_are_copied_row_by_row(c: int, isa: str, rng: np.random.Generator) -> None:
    """Concatenation writes its slice and nothing beside it."""
    parts = [rng.standard_normal((2, k, 5, 7), dtype=np.float32) for k in (c, 3, c + 1)]
    last = [np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for a in parts]
    y = tn.cat([tn.from_numpy(a) for a in last], 1).numpy()
    assert y.tobytes() == np.concatenate(parts, 1).tobytes()
    kernels._select("scalar")
    z = tn.cat([tn.from_numpy(a) for a in last], 1).numpy()
    kernels._select(isa)
    assert y.tobytes() == z.tobytes()
