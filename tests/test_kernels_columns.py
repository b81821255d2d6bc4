"""The column kernels of batch and group normalisation, at every width, on each instruction set."""

from __future__ import annotations

import numpy as np
import pytest

import tinynet as tn
from tinynet.nn import functional as F
from tinynet.ops.normalization import batch_statistics

Array = np.ndarray
EPS = float(np.finfo(np.float32).eps)


def amid_nan(a: Array) -> Array:
    """The matrix as a slice of the columns of a larger one whose other elements are nan."""
    larger = np.full((a.shape[0] + 2, a.shape[1] + 37), np.nan, np.float32)
    view = larger[1:-1, 20 : 20 + a.shape[1]]
    view[...] = a
    return view


def all_passes(x: Array, g: Array) -> list[Array]:
    """Statistics, output and all gradients, in training; output and gradient with constant statistics."""
    c = x.shape[1]
    found = list(batch_statistics(x)[:2])
    for training in (True, False):
        leaves = [tn.from_numpy(a).requires_grad_() for a in (x, np.full(c, 1.5, "f4"), np.ones(c, "f4"))]
        y = F.batch_norm(leaves[0], tn.zeros(c), tn.ones(c), *leaves[1:], training=training, eps=0.1)
        y.backward(tn.from_numpy(g))
        found += [y.detach().numpy(), *(t.grad.numpy() for t in leaves)]
    return found


@pytest.mark.parametrize("c", [1, 3, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65, 79, 80, 100, 131])
def test_every_width(c: int, isa: str, rng: np.random.Generator) -> None:
    """As by NumPy in double; the same bits where the rows lie further apart (neighbours are not read)."""
    for m in (2, 63, 64, 65, 130):
        x = (3.0 + 2.0 * rng.standard_normal((m, c))).astype(np.float32)
        g = rng.standard_normal((m, c)).astype(np.float32)
        found = all_passes(x, g)
        for a, b in zip(found, all_passes(amid_nan(x), amid_nan(g)), strict=True):
            assert a.tobytes() == b.tobytes()
        d, e = x.astype(np.float64), g.astype(np.float64)
        mean, var = d.mean(0), d.var(0)
        expected = [mean, var]
        for mu, v, training in ((mean, var, True), (0.0, 1.0, False)):
            xh = (d - mu) / np.sqrt(v + 0.1)
            t = 1.5 * e / np.sqrt(v + 0.1)
            gx = t - t.mean(0) - xh * (t * xh).mean(0) if training else t
            expected += [1.5 * xh + 1.0, gx, (e * xh).sum(0), e.sum(0)]
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=32 * EPS * max(1.0, np.abs(b).max()))
