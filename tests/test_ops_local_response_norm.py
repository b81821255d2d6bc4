"""Local response normalisation: its error, window, layouts, errors, generated shapes and options, PyTorch."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_cases import Array
from ops_cases_pooling import response, response_reference

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.ops import threads as ops_threads

EPS = float(np.finfo(np.float32).eps)
PAPER = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0}


def gradients(x: Array, g: Array, **options: Any) -> tuple[Array, Array]:
    leaf = tn.from_numpy(x).requires_grad_()
    y = response(leaf, **options)
    y.backward(tn.from_numpy(g))
    assert leaf.grad is not None
    return y.detach().numpy(), leaf.grad.numpy()


def test_window_of_an_even_size_reaches_further_down() -> None:
    x = tn.tensor([[1.0, 2.0, 4.0]])
    y = response(x, size=2, alpha=2.0, beta=1.0, k=0.0)  # over x_j^2 + x_(j-1)^2
    np.testing.assert_allclose(y.numpy(), [[1.0, 2.0 / 5.0, 4.0 / 20.0]], rtol=4 * EPS)


@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0, 2.3, 0.0, -0.5])
@pytest.mark.parametrize("c", [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 65, 129])
def test_error_at_every_number_of_channels(c: int, beta: float, isa: str, rng: np.random.Generator) -> None:
    """At most 3 units in the last place for beta = 3/4, 12 for the others, the windows' sums included."""
    x = np.asarray(rng.standard_normal((4, c, 3)) * 10.0 ** rng.uniform(-3, 3, (4, c, 3)), np.float32)
    for size in (1, 2, 5, 6, 131):
        options = {"size": size, "alpha": 0.5, "beta": beta, "k": 1.0}
        expected = response_reference(x.astype(np.float64), **options)
        g = np.asarray(rng.standard_normal(x.shape), np.float32)
        y, gx = gradients(x, g, **options)
        ulps = 3 if beta == 0.75 else 12
        np.testing.assert_array_less(np.abs(y - expected), ulps * EPS * np.abs(expected) + 1e-37)
        _, exact = gradients(x.astype(np.float64), g.astype(np.float64), **options)
        np.testing.assert_allclose(gx, exact, rtol=2e-5, atol=1e-5 * np.abs(exact).max())


def test_special_values() -> None:
    x = np.zeros((1, 9), np.float32)
    x[0, 0], x[0, 8] = np.inf, np.nan
    for dtype in (np.float32, np.float64):
        y = response(tn.from_numpy(x.astype(dtype)), **PAPER).numpy()[0]
        assert np.isnan(y[[0, 6, 7, 8]]).all()  # inf / inf, and NaN as far as its windows reach
        assert (y[1:6] == 0.0).all()


@pytest.mark.parametrize("shape", [(3, 19), (3, 19, 4), (3, 19, 4, 5)])
@pytest.mark.parametrize("beta", [0.75, 0.6])
def test_slices_of_channels_and_threads(
    shape: tuple[int, ...], beta: float, rng: np.random.Generator
) -> None:
    """A slice of channels amid NaN gives the bits of a copy, on any number of threads; channels are last."""
    options = {**PAPER, "beta": beta, "alpha": 1.0}
    x, g = (np.asarray(rng.standard_normal(shape), np.float32) for _ in range(2))
    y, gx = gradients(x, g, **options)
    assert np.moveaxis(y, 1, -1).flags.c_contiguous

    def sliced(a: Array) -> Array:
        larger = np.full((a.shape[0], *a.shape[2:], a.shape[1] + 21), np.nan, np.float32)
        view = np.moveaxis(larger, -1, 1)[:, 11 : 11 + a.shape[1]]
        view[...] = a
        return view

    former, work = tn.get_num_threads(), ops_threads._set_serial_work(0)
    try:
        for threads in (1, 2, 3):
            tn.set_num_threads(threads)
            for lay in (sliced, np.asfortranarray):
                z, gz = gradients(lay(x), lay(g), **options)
                assert z.tobytes() == y.tobytes()
                assert gz.tobytes() == gx.tobytes()
    finally:
        tn.set_num_threads(former)
        ops_threads._set_serial_work(work)


def test_changed_input_is_noticed() -> None:
    x = tn.ones(2, 3).requires_grad_()
    h = x * 2.0
    y = response(h, **PAPER)
    h.mul_(3.0)
    with pytest.raises(tn.errors.GraphError, match="local_response_norm needs a value of shape"):
        y.sum().backward()


@settings(max_examples=60)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    c=st.integers(1, 40),
    size=st.integers(1, 50),
    beta=st.sampled_from([0.75, 0.75, 0.5, 1.0, 1.7]),
    alpha=st.sampled_from([1e-4, 0.5, 3.0]),
    seed=st.integers(0, 999),
)
def test_any_shape_and_options(
    shape: list[int], c: int, size: int, beta: float, alpha: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = np.asarray(rng.standard_normal((shape[0], c, *shape[1:])), np.float32)
    options = {"size": size, "alpha": alpha, "beta": beta, "k": 1.5}
    expected = response_reference(x.astype(np.float64), **options)
    y, gx = gradients(x, x[::-1].copy(), **options)
    z, gz = gradients(x.astype(np.float64), x[::-1].astype(np.float64), **options)
    np.testing.assert_allclose(y, expected, rtol=8 * EPS)
    np.testing.assert_allclose(z, expected, rtol=1e-14)
    np.testing.assert_allclose(gx, gz, rtol=2e-5, atol=2e-5)


@pytest.mark.parity
@settings(max_examples=60)
@given(
    shape=st.lists(st.integers(1, 6), min_size=2, max_size=3),
    c=st.integers(1, 40),
    size=st.integers(1, 50),
    beta=st.sampled_from([0.75, 0.5, 1.7]),
    seed=st.integers(0, 999),
)
def test_pytorch(shape: list[int], c: int, size: int, beta: float, seed: int) -> None:
    import torch

    x = np.random.default_rng(seed).standard_normal((shape[0], c, *shape[1:]))
    y, gx = gradients(x, x[::-1].copy(), size=size, alpha=0.3, beta=beta, k=2.0)
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    z = torch.nn.functional.local_response_norm(leaf, size, 0.3, beta, 2.0)
    z.backward(torch.from_numpy(x[::-1].copy()))
    np.testing.assert_allclose(y, z.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(gx, leaf.grad.numpy(), rtol=1e-11, atol=1e-12)


ERRORS: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: response(tn.ones(3), **PAPER), ShapeError,
     "local_response_norm: input must have shape (N, C), (N, C, L) or (N, C, H, W); got (3,)"),
    (lambda: response(tn.ones(1, 2, 3, 4, 5), **PAPER), ShapeError,
     "local_response_norm: input must have shape"),
    (lambda: response(tn.ones(2, 3).long(), **PAPER), DTypeError,
     "local_response_norm: input must be float32 or float64; got int64"),
    (lambda: response(tn.ones(2, 3), size=0), ArgumentError,
     "local_response_norm: size must be a positive int; got 0"),
    (lambda: response(tn.ones(2, 3), size=2.0), DTypeError,
     "local_response_norm: size must be a positive int; got 2.0"),
    (lambda: response(tn.ones(2, 3), size=2, alpha="1"), DTypeError,
     "local_response_norm: alpha must be a finite number; got '1'"),
    (lambda: response(tn.ones(2, 3), size=2, beta=float("nan")), ArgumentError,
     "local_response_norm: beta must be a finite number; got nan"),
    (lambda: response(tn.ones(2, 3), size=2, k=True), DTypeError,
     "local_response_norm: k must be a finite number; got True"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors(call: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        call()
