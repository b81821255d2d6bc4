"""Fusion of batch normalisation with what follows it: done where it can be, to the same bits.

Each test runs the same code with fusion on and off (tests/fusion_running.py).
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from fusion_running import (
    ACTIVATIONS,
    SHAPES,
    Array,
    fusion,
    in_use,
    leaves,
    normalised,
    plain,
    same_either_way,
)

import tinynet as tn
from tinynet.errors import DTypeError
from tinynet.nn import functional as F
from tinynet.ops import kernels

# ---- it is done --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["none", "relu", "sigmoid", "relu_"])
@pytest.mark.parametrize("shape", [(500, 64), (8, 32, 16, 16)])
def test_nothing_is_computed_before_it_is_read(shape: tuple[int, ...], activation: str) -> None:
    with fusion(True), tn.no_grad():
        z = 2 * leaves(shape)[0]
        size = 4 * z.numel()
        before = in_use()
        y = ACTIVATIONS[activation](F.batch_norm(z, None, None, training=True))
        for what in ("shape", "dtype", "ndim"):
            assert getattr(y, what) == getattr(z, what)
        for what in ("dim", "size", "numel", "stride", "is_contiguous", "__len__"):
            assert getattr(y, what)() == getattr(z, what)()
        assert in_use() - before < size / 2
        y.sum()
        assert in_use() - before >= size
        held = in_use()
        y.numpy()
        y.sum()
        assert in_use() == held  # computed once


def test_a_concatenation_takes_no_more_memory_than_its_result() -> None:
    with fusion(True):
        xs = [leaves((4, c, 16, 16), c) for c in (16, 33)]
        zs = [2 * x for x, _, _ in xs]
        size = sum(4 * z.numel() for z in zs)
        tn.reset_peak()
        before = in_use()
        ys = [
            F.relu(F.batch_norm(z, None, None, g, b, training=True))
            for z, (_, g, b) in zip(zs, xs, strict=True)
        ]
        y = tn.cat(ys, 1)
        assert y.shape == (4, 49, 16, 16)
        assert size <= tn.memory_stats()["peak"] - before < 1.3 * size


def test_the_last_backward_writes_over_what_nobody_holds() -> None:
    """Gradients of z and x arise, with retain_graph both in new memory; an unread result still needs z."""
    with fusion(True):
        x, gamma, beta = leaves((8, 32, 16, 16))
        size = 4 * x.numel()
        for retain, read, arrays in ((True, True, 2), (False, True, 1), (False, False, 2)):
            y = F.relu(normalised(x, gamma, beta))
            if read:
                y.sum()
            g = tn.ones(y.shape).contiguous(memory_format=tn.channels_last)
            x.grad = None
            before = in_use()
            tn.reset_peak()
            y.backward(g, retain_graph=retain)
            peak = tn.memory_stats()["peak"] - before
            assert (arrays - 0.3) * size < peak < (arrays + 0.3) * size
            assert np.isfinite(y.detach().numpy()).all()


# ---- values and gradients ----------------------------------------------------------------------------------


def reference(x: Array, gamma: Array, beta: Array, activation: str, g: Array) -> tuple[Array, ...]:
    """y and the gradients of x, gamma and beta, in double."""
    axes = (0, *range(2, x.ndim))
    wide = (slice(None), *[None] * (x.ndim - 2))
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    m = x.size / x.shape[1]
    rstd = 1 / np.sqrt(var + 1e-5)
    xh = (x - mean) * rstd
    v = gamma[wide] * xh + beta[wide]
    if activation == "relu":
        y, g = np.maximum(v, 0), np.where(v > 0, g, 0)
    else:
        y = 1 / (1 + np.exp(-v))
        g = g * y * (1 - y)
    gbeta, ggamma = g.sum(axes), (g * xh).sum(axes)
    gx = gamma[wide] * rstd * (g - gbeta[wide] / m - xh * ggamma[wide] / m)
    return y, gx, ggamma, gbeta


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("shape", SHAPES)
def test_against_the_equations(shape: tuple[int, ...], activation: str) -> None:
    x, gamma, beta = leaves(shape)
    g = np.random.default_rng(1).standard_normal(shape)
    with fusion(True):
        y = ACTIVATIONS[activation](F.batch_norm(1 * x, None, None, gamma, beta, training=True))
        y.backward(tn.tensor(g, dtype="float32"))
        found = [y.detach().numpy(), *(t.grad.numpy() for t in (x, gamma, beta))]
    expected = reference(*(t.detach().numpy().astype(np.float64) for t in (x, gamma, beta)), activation, g)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * max(1.0, float(np.abs(b).max())))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [*SHAPES, (4, 5, 6)])
def test_the_same_bits_as_without(shape: tuple[int, ...], activation: str, threads: int) -> None:
    """In training and evaluation, recorded or not, with and without gamma and beta."""

    def work() -> list[Any]:
        found: list[Any] = []
        for training in (True, False):
            for affine in (True, False):
                x, gamma, beta = leaves(shape)
                y = ACTIVATIONS[activation](
                    normalised(x, gamma if affine else None, beta if affine else None, training)
                )
                g = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
                y.backward(tn.tensor(g))
                found += [y, x.grad, gamma.grad if affine else 0, beta.grad if affine else 0]
                with tn.no_grad():
                    found.append(ACTIVATIONS[activation](normalised(x, gamma, beta, training)))
        return found

    same_either_way(work)


def test_the_same_bits_at_any_number_of_threads() -> None:
    found = set()
    before = tn.get_num_threads()
    x, gamma, beta = leaves((16, 33, 24, 24))
    for n in (1, 2, 3):
        tn.set_num_threads(n)
        y = tn.cat([F.relu(normalised(x, gamma, beta)), F.sigmoid(normalised(x, gamma, beta))], 1)
        grads = tn.autograd.grad((y * y).sum(), (x, gamma, beta))
        found.add(str(plain([y, *grads])))
    tn.set_num_threads(before)
    assert len(found) == 1


def test_nan_and_inf() -> None:
    def work() -> list[Any]:
        x, gamma, beta = leaves((6, 17))
        with tn.no_grad():
            x[0, 0], x[1, 1], x[2, 2] = float("nan"), float("inf"), -float("inf")
        found: list[Any] = []
        for training in (True, False):
            for f in (F.relu, F.sigmoid):
                y = f(normalised(x, gamma, beta, training))
                found += [y, *tn.autograd.grad(y.sum(), (x, gamma, beta))]
        return found

    assert np.isnan(same_either_way(work)[0].detach().numpy()[0, 0])


@pytest.mark.parametrize("what", ["x", "gamma", "beta", "none"])
def test_gradients_that_are_not_wanted(what: str) -> None:
    def work() -> list[Any]:
        found: list[Any] = []
        for training in (True, False):
            given = dict(zip(("x", "gamma", "beta"), leaves((4, 5, 3, 3)), strict=True))
            for name, t in given.items():
                t.requires_grad = name == what
            y = F.relu(normalised(*given.values(), training))
            assert y.requires_grad == (what != "none")
            if what != "none":
                y.sum().backward()
            found += [y, [t.grad for t in given.values()]]
        return found

    same_either_way(work)


# ---- every kernel ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [1, 3, 15, 16, 17, 31, 33, 48, 64, 65, 79, 100, 131])
def test_every_width(c: int, isa: str) -> None:
    """The same bits as without fusion, and where rows lie further apart, amid nan, in input and result."""

    def work(apart: bool) -> list[Any]:
        found: list[Any] = []
        for m in (2, 63, 64, 65, 130):
            rng = np.random.default_rng(m)
            x, g = (rng.standard_normal((m, c, 1, 1)).astype(np.float32) for _ in range(2))
            gamma, beta = (
                tn.tensor(rng.standard_normal(c), dtype="float32").requires_grad_() for _ in range(2)
            )
            wide = np.full((m, c + 37, 1, 1), np.nan, np.float32)
            wide[:, 20 : 20 + c] = x
            z = tn.tensor(wide)[:, 20 : 20 + c] if apart else tn.tensor(x)
            z = z.detach().requires_grad_()
            for f in (F.relu, F.sigmoid):
                y = f(F.batch_norm(z, None, None, gamma, beta, training=True))
                left, right = tn.full((m, 3, 1, 1), 7.0), tn.full((m, 2, 1, 1), 8.0)
                joined = tn.cat([left, y, right], 1)
                upstream = tn.cat([left, tn.tensor(g), right], 1)
                joined.backward(upstream)
                found += [joined, *(t.grad.numpy().copy() for t in (z, gamma, beta))]
        return found

    together = plain(same_either_way(lambda: work(False)))
    assert together == plain(same_either_way(lambda: work(True)))


@pytest.mark.parametrize("c", [5, 16, 100])
def test_the_scalar_reference(c: int) -> None:
    """The vector kernels agree with the scalar ones within rounding."""
    former, found = kernels.chosen(), []
    try:
        for isa in ("scalar", former):
            kernels._select(isa)
            x, gamma, beta = leaves((130, c))
            y = F.relu(normalised(x, gamma, beta))
            (y * y).sum().backward()
            found.append([t.numpy() for t in (y.detach(), x.grad, gamma.grad, beta.grad)])
    finally:
        kernels._select(former)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * max(1.0, float(np.abs(b).max())))


# ---- two threads -------------------------------------------------------------------------------------------


def test_two_threads_read_one_array() -> None:
    with fusion(True), tn.no_grad():
        for _ in range(20):
            r = F.relu(normalised(*leaves((64, 64, 16, 16))))
            others = [r.detach() for _ in range(4)]
            found: list[Array] = []
            gate = threading.Barrier(4)

            def read(t: tn.Tensor, gate: threading.Barrier = gate, found: list[Array] = found) -> None:
                gate.wait()
                found.append(t.numpy())

            workers = [threading.Thread(target=read, args=(t,)) for t in others]
            for w in workers:
                w.start()
            for w in workers:
                w.join()
            assert {a.ctypes.data for a in found} == {r.numpy().ctypes.data}


# ---- the switch --------------------------------------------------------------------------------------------


def test_switched_off_everything_is_computed() -> None:
    with fusion(True), tn.no_grad():
        z = 2 * leaves((64, 64))[0]
        b = F.batch_norm(z, None, None, training=True)
        r = F.relu(b)
        before, size = in_use(), 4 * z.numel()
        tn.set_fusion(False)
        assert not tn.get_fusion()
        assert in_use() - before >= 2 * size
        np.testing.assert_array_equal(r.numpy(), np.maximum(b.numpy(), 0))
        before = in_use()
        again = F.batch_norm(z, None, None, training=True)
        assert in_use() - before >= size
        np.testing.assert_array_equal(again.numpy(), b.numpy())


def test_errors() -> None:
    for wrong in (1, None, "on"):
        with pytest.raises(DTypeError, match="set_fusion: enabled must be a bool; got"):
            tn.set_fusion(wrong)  # type: ignore[arg-type]
    assert tn.get_fusion()
