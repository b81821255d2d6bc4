"""The kernels of convolutions: each instruction set against plain C at the edges of vectors and panels."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from ops_cases import Array
from ops_running import assert_near, largest, leaf

import tinynet as tn
from tinynet.nn import functional as F
from tinynet.ops import kernels

EPS = float(np.finfo(np.float32).eps)
# around the 4, 8 and 16 lanes of a vector and the two vectors of a panel
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33)


def results(x: Array, w: Array, g: Array | None, options: dict[str, Any]) -> list[Array]:
    """The output and the gradients of image and kernel for the output's gradient g (ones if None)."""
    image, kernel = leaf(x), leaf(w)
    y = F.conv2d(image, kernel, **options)
    y.backward(tn.ones(y.shape) if g is None else tn.from_numpy(g))
    assert image.grad is not None
    assert kernel.grad is not None
    return [y.detach().numpy(), image.grad.numpy(), kernel.grad.numpy()]


def compare(
    rng: np.random.Generator, image: tuple[int, ...], kernel: tuple[int, ...], **options: Any
) -> None:
    x, w = (np.asarray(rng.standard_normal(s), np.float32) for s in (image, kernel))
    g = np.asarray(rng.standard_normal(results(x, w, None, options)[0].shape), np.float32)
    found, former = results(x, w, g, options), kernels.chosen()
    kernels._select("scalar")
    try:
        expected = results(x, w, g, options)
    finally:
        kernels._select(former)
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        what = f"array {i} of {image}, {kernel}, {options}"
        assert_near(a, b.astype(np.float64), EPS, 16, max(largest(b), largest(g), 1.0), what)


@pytest.mark.parametrize("c", CHANNELS)
def test_gathering(c: int, isa: str, rng: np.random.Generator) -> None:
    """Runs of one tap and of a whole kernel row, cut by panels, parts of the depth and edges of the image."""
    compare(rng, (2, c, 4, 7), (3, c, 3, 3), padding=1)
    compare(rng, (2, c, 5, 6), (2, c, 2, 3), padding=2, stride=(1, 2))
    compare(rng, (1, c, 6, 5), (c, c, 3, 2), dilation=2, padding=1)
    compare(rng, (1, c, 3, 1), (2, c, 3, 3), padding=1)
    compare(rng, (2, 2 * c, 3, 4), (2 * c, c, 2, 2), groups=2)
    compare(rng, (2, c, 3, 5), (5, c, 1, 1))


@pytest.mark.parametrize("c", CHANNELS)
def test_channels_by_themselves(c: int, isa: str, rng: np.random.Generator) -> None:
    """Rows shorter and longer than what is summed at a time; one to nine features of a channel."""
    c = max(c, 2)
    compare(rng, (2, c, 4, 17), (c, 1, 3, 3), padding=1, groups=c)
    compare(rng, (1, c, 5, 6), (2 * c, 1, 2, 5), padding=2, stride=2, groups=c)
    compare(rng, (1, c, 3, 23), (9 * c, 1, 3, 9), padding=(0, 4), groups=c)
    compare(rng, (2, c, 6, 4), (c, 1, 3, 2), dilation=(1, 3), stride=(2, 1), padding=3, groups=c)


AT_A_PAGE = """
import ctypes, mmap
import numpy as np
import tinynet as tn
from tinynet.nn import functional as F
from tinynet.ops import kernels

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
rng, kept, page = np.random.default_rng(0), [], mmap.PAGESIZE

def at_the_edge(*shape, last):
    # an array between two pages that nobody may touch, at the end or at the start; images channels last
    n = int(np.prod(shape))
    room = -(-4 * n // page) * page
    m = mmap.mmap(-1, room + 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(m))
    assert libc.mprotect(start, page, 0) == libc.mprotect(start + page + room, page, 0) == 0
    kept.append(m)
    a = np.frombuffer(m, np.float32, n, page + (room - 4 * n if last else 0))
    if len(shape) == 4:
        a = a.reshape(shape[0], *shape[2:], shape[1]).transpose(0, 3, 1, 2)
    a[...] = rng.standard_normal(shape)
    return tn.from_numpy(a)

for isa in kernels.available():
    kernels._select(isa)
    for last in (False, True):
        for c in (1, 3, 4, 8, 9, 17, 33):
            for kernel, options in (((5, c, 3, 3), {"padding": 1}), ((5, c, 1, 1), {}),
                                    ((c, 1, 3, 3), {"padding": 1, "groups": c}),
                                    ((3 * c, 1, 2, 9), {"padding": 4, "stride": 2, "groups": c})):
                x, b = at_the_edge(2, c, 5, 9, last=last), at_the_edge(kernel[0], last=last)
                w = tn.from_numpy(rng.standard_normal(kernel).astype(np.float32))
                for t in (x, w, b):
                    t.requires_grad_()
                y = F.conv2d(x, w, b, **options)
                y.backward(at_the_edge(*y.shape, last=last))
print("fine")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks for pages by mprotect")
def test_nothing_around_an_image_is_read() -> None:
    done = subprocess.run([sys.executable, "-c", AT_A_PAGE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


@pytest.mark.parametrize("groups", [1, 3])
def test_neighbours_stay(groups: int, isa: str, rng: np.random.Generator) -> None:
    """Inputs, upstream gradient and what lies beside them in memory stay as they are."""
    wide = np.asarray(rng.standard_normal((2, 7, 9, 8)), np.float32)
    before, view = wide.copy(), wide.transpose(0, 3, 1, 2)[:, 2:5]
    w = np.asarray(rng.standard_normal((3, 3 // groups, 3, 3)), np.float32)
    found = results(view, w, view, {"padding": 1, "groups": groups})
    assert all(np.isfinite(a).all() for a in found)
    np.testing.assert_array_equal(wide, before)
