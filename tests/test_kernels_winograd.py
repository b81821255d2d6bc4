"""The kernels of Winograd's convolution: matrices, instruction sets, bounds of arrays."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from ops_cases import Array
from ops_running import leaf

import tinynet as tn
from tinynet.nn import functional as F
from tinynet.ops import kernels

CSRC = Path(__file__).resolve().parent.parent / "csrc"
# around the 4, 8 and 16 lanes of a vector and the vectors of a panel
CHANNELS = (1, 3, 4, 5, 8, 9, 15, 16, 17, 31, 32, 33, 47, 49)


@pytest.fixture(autouse=True)
def _winograd() -> Iterator[None]:
    tn.set_conv_algorithm("winograd")
    yield
    tn.set_conv_algorithm("auto")


# ---- the matrices ---------------------------------------------------------------------------------------


def in_plain_c(name: str) -> list[list[Fraction]]:
    """A matrix of scalar_winograd.inc.h."""
    text = (CSRC / "scalar_winograd.inc.h").read_text()
    found = re.search(rf"float {name}\[\d\]\[\d\] = \{{(.*?)\}};", text, re.DOTALL)
    assert found is not None
    rows = re.findall(r"\{([^{}]*)\}", found.group(1))
    return [[Fraction(n.replace(".0f", "").replace(" ", "")) for n in row.split(",")] for row in rows]


def in_the_header() -> dict[str, list[list[Fraction]]]:
    """The matrices that winograd.inc.h shows side by side: B^T (six columns), G (three), A^T (six)."""
    text = (CSRC / "winograd.inc.h").read_text().partition("*/")[0]
    lines = [re.findall(r"(?<![\w^])-?\d+(?:/\d+)?(?=\s|$)", line) for line in text.splitlines()]
    table = [[Fraction(n) for n in line] for line in lines if len(line) in (9, 15)]
    assert [len(line) for line in table] == [15, 15, 15, 15, 9, 9]
    return {
        "BT": [row[:6] for row in table],
        "G": [row[6:9] for row in table],
        "AT": [row[9:] for row in table if len(row) == 15],
    }


def test_the_matrices_make_a_correlation() -> None:
    """sum over p of A^T[i, p] G[p, r] B^T[p, j] is 1 for j = i + r and 0 otherwise, exactly."""
    bt, g, at = (in_plain_c(name) for name in ("BT", "G", "AT"))
    assert (len(bt), len(g), len(at)) == (6, 6, 4)
    for i in range(4):
        for r in range(3):
            for j in range(6):
                assert sum(at[i][p] * g[p][r] * bt[p][j] for p in range(6)) == (j == i + r), (i, r, j)


def test_the_matrices_are_those_of_the_points() -> None:
    """Rows of G are multiples of (1, p, p^2), columns of A^T likewise; the header shows the same matrices."""
    g, at = in_plain_c("G"), in_plain_c("AT")
    for p, point in enumerate((0, 1, -1, Fraction(1, 2), -2)):
        assert g[p] == [g[p][0] * point**i for i in range(3)]
        assert [row[p] for row in at] == [at[0][p] * point**i for i in range(4)]
    assert (g[5], [row[5] for row in at]) == ([0, 0, 1], [0, 0, 0, 1])
    assert in_the_header() == {name: in_plain_c(name) for name in ("BT", "G", "AT")}


# ---- instruction sets -----------------------------------------------------------------------------------


def results(x: Array, w: Array, b: Array, g: Array, padding: int) -> list[Array]:
    leaves = [leaf(a) for a in (x, w, b)]
    y = F.conv2d(*leaves, padding=padding)
    y.backward(tn.from_numpy(g))
    return [y.detach().numpy(), *(t.grad.numpy() for t in leaves[:2])]


@pytest.mark.parametrize("c", CHANNELS)
def test_every_instruction_set_agrees_with_scalar(c: int, isa: str, rng: np.random.Generator) -> None:
    """Tiles cut at each side, rows of tiles shorter and longer than a run; many features, many channels."""
    for image, k, padding in (
        ((2, c, 6, 7), 5, 1),
        ((1, 7, 5, 37), c, 0),
        ((1, c, 4, 8), c, 2),
        ((3, c, 1, 2), 2, 1),
    ):
        size = [n + 2 * padding - 2 for n in image[2:]]
        x, w, b, g = (
            np.asarray(rng.standard_normal(s), np.float32)
            for s in (image, (k, image[1], 3, 3), (k,), (image[0], k, *size))
        )
        found, former = results(x, w, b, g, padding), kernels.chosen()
        kernels._select("scalar")
        try:
            expected = results(x, w, b, g, padding)
        finally:
            kernels._select(former)
        for i, (a, e) in enumerate(zip(found, expected, strict=True)):
            assert a.shape == e.shape
            assert np.abs(a - e).max() < 1e-5 * max(float(np.abs(e).max()), 1.0), (i, image, k, padding)


AT_A_PAGE = """
import ctypes, mmap
import numpy as np
import tinynet as tn
from tinynet.nn import functional as F
from tinynet.ops import kernels

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
rng, kept, page = np.random.default_rng(0), [], mmap.PAGESIZE
tn.set_conv_algorithm("winograd")

def at_the_edge(*shape, last, image=True):
    # an array between two pages that nobody may touch, at the end or at the start; images channels last
    n = int(np.prod(shape))
    room = -(-4 * n // page) * page
    m = mmap.mmap(-1, room + 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(m))
    assert libc.mprotect(start, page, 0) == libc.mprotect(start + page + room, page, 0) == 0
    kept.append(m)
    a = np.frombuffer(m, np.float32, n, page + (room - 4 * n if last else 0)).reshape(shape)
    if len(shape) == 4 and image:
        a = a.reshape(shape[0], *shape[2:], shape[1]).transpose(0, 3, 1, 2)
    a[...] = rng.standard_normal(shape)
    return tn.from_numpy(a).requires_grad_()

for isa in kernels.available():
    kernels._select(isa)
    for last in (False, True):
        for c, k in ((1, 3), (16, 17), (33, 16), (5, 48)):
            for size in ((5, 9), (8, 8)):
                x, b = at_the_edge(2, c, *size, last=last), at_the_edge(k, last=last)
                w = at_the_edge(k, c, 3, 3, last=last, image=False)
                y = F.conv2d(x, w, b, padding=1)
                y.backward(at_the_edge(*y.shape, last=last).detach())
print("fine")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks for pages by mprotect")
def test_nothing_around_the_arrays_is_read() -> None:
    done = subprocess.run([sys.executable, "-c", AT_A_PAGE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_neighbours_stay(isa: str, rng: np.random.Generator) -> None:
    """Image and upstream gradient are slices of larger ones: their other channels stay and enter nothing."""
    wide = np.asarray(rng.standard_normal((2, 7, 9, 40)), np.float32)
    before, view = wide.copy(), wide.transpose(0, 3, 1, 2)[:, 2:19]
    w, b = (np.asarray(rng.standard_normal(s), np.float32) for s in ((17, 17, 3, 3), (17,)))
    found = results(view, w, b, view, 1)
    np.testing.assert_array_equal(wide, before)
    assert [a.tobytes() for a in found] == [a.tobytes() for a in results(view.copy(), w, b, view.copy(), 1)]
