"""Running a row of the table of ops (ops_cases.py): layouts of its inputs, the call, and the comparison."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ops_cases import Array, Case

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
