"""The kernels of the matrix product by themselves: every tile on every instruction set, guards around c."""

from __future__ import annotations

import numpy as np
import pytest
from ops_cases import Array
from ops_running import assert_near

from tinynet.ops import kernels, linear

EPS = float(np.finfo(np.float32).eps)
VECTOR = {"avx512": 16, "avx2": 8, "baseline": 4, "scalar": 4}  # floats; a panel has two
TILE = {"avx512": 12, "avx2": 6, "baseline": 6, "scalar": 1}  # rows
GUARD = np.float32(777.0)


def single(rng: np.random.Generator, *shape: int) -> Array:
    return np.asarray(rng.standard_normal(shape), np.float32)


def check(
    rng: np.random.Generator, m: int, n: int, k: int, *, across: bool, accumulate: bool, packed: bool
) -> Array:
    """c = a b + (bias or c) inside a larger array of guard words; `across`: a lies transposed."""
    a = single(rng, k, m + 3).T[2:-1] if across else single(rng, m, k + 5)[:, 2:-3]
    b = single(rng, k, n + 7)[:, 4:-3]
    whole = np.full((m + 4, n + 40), GUARD)
    c = whole[2:-2, 20:-20]
    bias = None if accumulate or m % 2 else single(rng, n)
    start = np.zeros((m, n)) if bias is None else np.broadcast_to(bias, (m, n)).astype(np.float64)
    if accumulate:
        c[...] = single(rng, m, n)
        start = c.astype(np.float64)
    linear._panel_product(c, a, b, bias, accumulate, packed)
    x, y = a.astype(np.float64), b.astype(np.float64)
    terms = np.abs(x) @ np.abs(y) + np.abs(start)
    assert_near(c, x @ y + start, EPS, 0.5 * (k + 2), terms, f"{(m, n, k)}")
    found = c.copy()
    c[...] = GUARD
    assert (whole == GUARD).all(), (m, n, k)
    return found


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("across", [False, True])
def test_every_tile(across: bool, accumulate: bool, isa: str, rng: np.random.Generator) -> None:
    """Heights around a tile and all below it; widths around each half of a vector."""
    half, tile = VECTOR[isa] // 2, TILE[isa]
    widths = sorted(
        {n for w in range(1, 5) for n in (w * half - 1, w * half, w * half + 1) if 0 < n <= 4 * half}
    )
    for m in (*range(1, tile + 2), 2 * tile - 1, 2 * tile, 2 * tile + 1):
        for n in widths:
            check(rng, m, n, 5, across=across, accumulate=accumulate, packed=True)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("across", [False, True])
def test_several_panels(across: bool, accumulate: bool, isa: str, rng: np.random.Generator) -> None:
    """Every width of the last panel's halves; heights around a tile; an element has the bits of one panel."""
    half, tile = VECTOR[isa] // 2, TILE[isa]
    for m in sorted({1, tile, tile + 1, 2 * tile + 1}):
        for n in (4 * half + 1, 5 * half, 6 * half + 1, 8 * half, 9 * half - 1):
            check(rng, m, n, 7, across=across, accumulate=accumulate, packed=True)
    a, b = single(rng, 2 * tile + 1, 9), single(rng, 9, 9 * half)
    whole, part = np.empty((len(a), 9 * half), np.float32), np.empty((len(a), half), np.float32)
    linear._panel_product(whole, a, b, None, False, True)
    linear._panel_product(part, a, b[:, 8 * half :], None, False, True)
    assert part.tobytes() == whole[:, 8 * half :].tobytes()


@pytest.mark.parametrize("packed", [False, True])
def test_depths(packed: bool, isa: str, rng: np.random.Generator) -> None:
    """Around a cache line and around what is fetched ahead, b packed or where it lies."""
    n = 2 * VECTOR[isa]
    for k in (1, 15, 16, 17, 31, 63, 64, 65, 80, 129):
        for m in (TILE[isa] - 1, 2 * TILE[isa] + 1):
            check(rng, max(m, 1), n, k, across=bool(k % 2), accumulate=False, packed=packed)
            check(rng, max(m, 1), n // 2, k, across=bool(k % 2), accumulate=True, packed=packed)


def test_an_element_does_not_know_its_tile(isa: str, rng: np.random.Generator) -> None:
    """The bits of an element are those of the same row and column in any other place."""
    a, b = single(rng, 30, 37), single(rng, 37, 2 * VECTOR[isa])
    whole = np.empty((30, b.shape[1]), np.float32)
    linear._panel_product(whole, a, b, None, False, True)
    for m, n in ((1, 1), (5, 3), (12, VECTOR[isa] // 2), (13, VECTOR[isa] + 1)):
        for i in (0, 7):
            part = np.empty((m, n), np.float32)
            linear._panel_product(part, a[i : i + m], b[:, :n], None, False, True)
            assert part.tobytes() == whole[i : i + m, :n].tobytes(), (m, n, i)


def test_scalar_agrees(isa: str, rng: np.random.Generator) -> None:
    a, b = single(rng, 25, 40), single(rng, 40, 7)
    found, expected = np.empty((25, 7), np.float32), np.empty((25, 7), np.float32)
    linear._panel_product(found, a, b, None, False, True)
    former = kernels.chosen()
    kernels._select("scalar")
    try:
        linear._panel_product(expected, a, b, None, False, True)
    finally:
        kernels._select(former)
    assert_near(found, expected.astype(np.float64), EPS, 41, np.abs(a) @ np.abs(b), "scalar")
