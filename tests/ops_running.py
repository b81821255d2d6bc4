"""Running a row of the table of ops (ops_cases.py): layouts of its inputs, the call, and the comparison."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from ops_cases import DROPOUT_P, Array, Case, Shapes

import tinynet as tn

# ---- layouts -------------------------------------------------------------------------------------


def fortran(a: Array) -> Array | None:
    return np.asfortranarray(a) if a.ndim else None


def negative(a: Array) -> Array | None:
    if a.ndim == 0:
        return None
    return np.flip(np.ascontiguousarray(np.flip(a)).reshape(a.shape))


def gaps(a: Array) -> Array | None:
    """Every other element of a larger array along each axis."""
    if a.ndim == 0:
        return None
    larger = np.full(tuple(2 * n + 1 for n in a.shape), 777.0, a.dtype)
    view = larger[tuple(slice(1, None, 2) for _ in a.shape)]
    view[...] = a
    return view


def zero_first(a: Array) -> Array | None:
    """The first slice repeated along the first axis with stride 0."""
    return np.broadcast_to(a[:1].copy(), a.shape) if a.ndim and a.shape[0] > 1 else None


def zero_last(a: Array) -> Array | None:
    return np.broadcast_to(a[..., :1].copy(), a.shape) if a.ndim and a.shape[-1] > 1 else None


def read_only(a: Array) -> Array:
    a = a.copy()
    a.flags.writeable = False
    return a


def big_endian(a: Array) -> Array:
    return a.astype(a.dtype.newbyteorder(">"))


def channels_last(a: Array) -> Array | None:
    return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if a.ndim == 4 else None


def unit_axes(a: Array) -> Array | None:
    """Axes in reverse order in memory, those of size 1 with stride 0, as indexing with None gives them."""
    if 1 not in a.shape or a.ndim < 2:
        return None
    f = np.asfortranarray(a)
    strides = tuple(0 if n == 1 else s for n, s in zip(f.shape, f.strides, strict=True))
    return np.lib.stride_tricks.as_strided(f, f.shape, strides)


LAYOUTS: dict[str, Callable[[Array], Array | None]] = {
    f.__name__: f
    for f in (fortran, negative, gaps, zero_first, zero_last, read_only, big_endian, channels_last, unit_axes)
}  # fmt: skip


# ---- running a row -------------------------------------------------------------------------------


def leaf(a: Array) -> tn.Tensor:
    """A leaf over an array; through `tensor` where the byte order asks for it."""
    t = tn.from_numpy(a) if a.dtype.isnative else tn.tensor(a)
    return t.requires_grad_()


def run(case: Case, arrays: list[Array], cotangent: Array | None = None) -> tuple[Array, list[Array]]:
    """The output, and (with a cotangent) the gradients of the inputs."""
    leaves = [leaf(a) for a in arrays]
    y = case.door(*leaves)
    gradients = []
    if cotangent is not None:
        y.backward(tn.tensor(cotangent) if not cotangent.dtype.isnative else tn.from_numpy(cotangent))
        gradients = [t.grad.numpy() for t in leaves]
    return y.detach().numpy(), gradients


def assert_near(actual: Array, expected: Array, eps: float, ulps: float, size: object, what: str) -> None:
    """|actual - expected| <= ulps eps size, and the shapes agree."""
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape} instead of {expected.shape}"
    if expected.size == 0:
        return
    # 1e-37: the float32 kernels flush subnormal results to zero
    excess = np.abs(actual.astype(np.float64) - expected) - ulps * eps * np.asarray(size) - 1e-37
    at = np.unravel_index(np.argmax(np.where(np.isnan(excess), np.inf, excess)), expected.shape)
    where = f"{what}: at {tuple(map(int, at))}"
    assert (excess <= 0).all(), f"{where} {actual[at]!r} instead of {expected[at]!r}, beyond {ulps} eps"


def largest(*arrays: Array) -> float:
    return max((float(np.abs(a).max()) for a in arrays if a.size), default=0.0)


def eps_of(*dtypes: object) -> float:
    return max(float(np.finfo(d).eps) for d in dtypes)


# ---- checking a row ------------------------------------------------------------------------------


def check(case: Case, shapes: Shapes, layout: str, arrays: list[Array], lay: object) -> None:
    what = f"{case.name} of {shapes} in layout {layout}"
    plain = [np.array(a, a.dtype.newbyteorder("="), order="C") for a in arrays]
    before = [a.copy() for a in plain]
    expected = case.reference(*(a.astype(np.float64) for a in plain))
    weights = np.random.default_rng(zlib.crc32(what.encode())).standard_normal(expected.shape)
    cotangent = np.asarray(weights, case_dtype(case, plain[0].dtype))
    laid = lay(cotangent) if lay is not None else None
    y, gradients = run(case, arrays, cotangent if laid is None else laid)
    _, wanted = run(case, plain, cotangent if laid is None else np.array(laid, cotangent.dtype, order="C"))
    eps = eps_of(y.dtype, plain[0].dtype)
    if case.random and layout != "C":  # which elements stay depends on the layout in memory
        expected, wanted = masked(y, plain[0], cotangent if laid is None else laid)
    assert y.dtype == cotangent.dtype, what
    size = np.abs(expected) if case.elementwise else largest(expected, *plain)
    assert_near(y, expected, eps, case.ulps, size, what)
    for i, (g, h) in enumerate(zip(gradients, wanted, strict=True)):
        assert g.dtype == plain[i].dtype, what
        size = max(largest(h), case.floor * largest(cotangent))
        assert_near(g, h.astype(np.float64), eps, case.grad_ulps, size, f"gradient {i} of {what}")
    for a, b in zip(plain, before, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=f"{what} changed its input")


def case_dtype(case: Case, dtype: np.dtype) -> np.dtype:
    """The dtype of the output."""
    if case.name != "cast":
        return dtype
    return np.dtype(np.float64 if dtype == np.float32 else np.float32)


def masked(y: Array, x: Array, g: Array) -> tuple[Array, list[Array]]:
    """What dropout gives for the mask that y shows, in which both kinds occur."""
    kept = y != 0.0
    if x.size > 50:
        assert 0.2 < kept.mean() < 0.95
    scale = np.float64(1.0 / (1.0 - DROPOUT_P))
    return np.where(kept, x * scale, 0.0), [np.where(kept, g * scale, 0.0)]


def directional_error(case: Case, arrays: list[Array], rng: np.random.Generator) -> float:
    """The relative error of d/dh sum c f(x + h v); c, v random, f the reference, five-point differences."""
    reference = case.reference
    shape = reference(*arrays).shape
    c = np.asarray(rng.standard_normal(shape), np.float32).astype(np.float64)
    directions = [rng.standard_normal(a.shape) for a in arrays]
    cotangent = c.astype(case_dtype(case, np.dtype(np.float64)))
    _, gradients = run(case, [a.copy() for a in arrays], cotangent)
    analytical = sum(float((g * v).sum()) for g, v in zip(gradients, directions, strict=True))
    size = sum(float(np.abs(g * v).sum()) for g, v in zip(gradients, directions, strict=True))

    def loss(h: float) -> float:
        return float((c * reference(*(a + h * v for a, v in zip(arrays, directions, strict=True)))).sum())

    h = 2e-4
    numerical = (8.0 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12.0 * h)
    # a sum that cancels to next to nothing is measured against a hundredth of its terms
    floor = max(0.01 * size, 1e-5 * float(np.abs(c).sum()), 1e-30)
    return abs(analytical - numerical) / max(abs(numerical), floor)
