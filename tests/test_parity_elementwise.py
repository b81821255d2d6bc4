"""Elementwise functions beside PyTorch's: values and gradients, with NaN, infinities and ties."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import tinynet as tn

pytestmark = pytest.mark.parity
torch: Any = None  # imported by the first test that runs


@pytest.fixture(autouse=True, scope="module")
def _import_torch() -> None:
    global torch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

    torch.set_num_threads(1)


Array = np.ndarray
SPECIAL = [0.0, -0.0, 0.5, 1.0, -1.0, 2.0, -2.5, 3.0, 7.25, np.inf, -np.inf, np.nan]
PAIRS = np.asarray(list(itertools.product(SPECIAL, SPECIAL)))
TRIPLES = np.asarray(list(itertools.product(SPECIAL, SPECIAL, SPECIAL)))

ONE = ["neg", "abs", "exp", "expm1", "log", "log1p", "square", "sqrt", "rsqrt", "reciprocal", "sin", "cos",
       "erf", "sigmoid", "tanh", "relu", "sign", "floor", "ceil", "round", "trunc"]  # fmt: skip
TWO = ["add", "sub", "mul", "div", "pow", "maximum", "minimum", "remainder"]
PLAIN = ["isnan", "isinf", "isfinite", "logical_not"]
COMPARE = ["eq", "ne", "lt", "le", "gt", "ge", "isclose", "logical_and", "logical_or", "logical_xor"]


def outcome(library: Any, call: Any, arrays: list[Array], cotangent: float = 2.0) -> list[Array]:
    """The value and the gradients of a call."""
    inputs = [library.tensor(a).requires_grad_() for a in arrays]
    y = call(library, *inputs)
    y.backward(library.full(tuple(y.shape), cotangent, dtype=y.dtype))
    return [y.detach().numpy(), *(x.grad.numpy() for x in inputs)]


def agree(call: Any, arrays: list[Array], what: str, cotangent: float = 2.0) -> None:
    for dtype, rtol in ((np.float32, 1e-5), (np.float64, 1e-12)):
        given = [a.astype(dtype) for a in arrays]
        ours, theirs = (outcome(library, call, given, cotangent) for library in (tn, torch))
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert a.dtype == b.dtype
            name = f"{what}, {'value' if i == 0 else f'gradient {i - 1}'}"
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol, err_msg=name)


@pytest.mark.parametrize("name", ONE)
def test_one_operand(name):
    # where we differ: sign(NaN) is NaN, in PyTorch 0; so is the slope of abs there
    x = np.asarray(SPECIAL[:-1] if name in ("sign", "abs") else SPECIAL)
    if name == "rsqrt":  # 1 / sqrt(-0): -inf in C and PyTorch alike, but not in all of PyTorch's loops
        x = x[x != 0.0]
    agree(lambda library, t: getattr(library, name)(t), [x], name)


@pytest.mark.parametrize("name", TWO)
def test_two_operands(name):
    agree(lambda library, a, b: getattr(library, name)(a, b), [PAIRS[:, 0], PAIRS[:, 1]], name)
    agree(lambda library, a, b: getattr(library, name)(a, b), [PAIRS[:36, :1], PAIRS[:5, 1]], name)


@pytest.mark.parametrize("number", [0, 1, 2, 3, -1, 0.5, -0.5, 1.7, np.inf, np.nan])
def test_numbers(number):
    x = np.asarray(SPECIAL)
    for name in TWO[:5]:
        if name == "pow" and number in (0.5, -0.5):  # PyTorch takes the root: of -inf NaN, of -0 -0
            continue
        agree(lambda library, t, n=name: getattr(library, n)(t, number), [x], f"{name} {number}")
    for f in (lambda t: number - t, lambda t: number / t, lambda t: number * t, lambda t: t % number):
        agree(lambda _, t, f=f: f(t), [x], f"{number}")
    if number > 0:
        agree(lambda _, t: number**t, [x], f"{number} ** x")


@pytest.mark.parametrize("mode", ["floor", "trunc"])
def test_division_that_rounds(mode):
    finite = PAIRS[np.isfinite(PAIRS).all(1)]
    call = lambda library, a, b: library.div(a, b, rounding_mode=mode)  # noqa: E731
    agree(call, [finite[:, 0], finite[:, 1]], mode)
    agree(call, [PAIRS[:, 0], PAIRS[:, 1]], mode)
    a, b = np.asarray([[7, -7, 6, 0]]), np.asarray([[2], [-2], [3]])
    for dtype in ("int64", "int32", "uint8"):
        p, q = a.astype(dtype), np.abs(b).astype(dtype) if dtype == "uint8" else b.astype(dtype)
        ours, theirs = (
            library.div(library.tensor(p), library.tensor(q), rounding_mode=mode) for library in (tn, torch)
        )
        assert ours.tolist() == theirs.tolist()
        assert ours.numpy().dtype == theirs.numpy().dtype


def test_choosing():
    a, b, c = TRIPLES.T
    agree(lambda library, x, y: library.where(library.tensor(c > 0), x, y), [a, b], "where", np.inf)
    agree(lambda library, x: library.where(library.tensor(c > 0), x, 0.5), [a], "where")
    agree(lambda library, x: library.where(library.tensor(c > 0), 0.5, x), [a], "where")
    agree(lambda library, x: x.masked_fill(library.tensor(c > 0), 0.5), [a], "masked_fill")
    agree(lambda library, x, y, z: library.clamp(x, y, z), [a, b, c], "clamp")
    agree(lambda library, x, y: library.clamp(x, min=y), [a, b], "clamp min")
    agree(lambda library, x, y: library.clamp(x, max=y), [a, b], "clamp max")
    for low, high in ((0, 1), (1, 0), (None, 1), (0, None), (-np.inf, np.inf), (0.5, 0.5), (np.nan, 1)):
        agree(lambda library, x, p=low, q=high: library.clamp(x, p, q), [a], f"clamp {low} {high}")
    finite = np.abs(np.nan_to_num(TRIPLES, posinf=9, neginf=9)).T
    agree(lambda library, x, y, z: library.lerp(x, y, z), [*finite], "lerp")
    agree(lambda library, x, y, z: library.addcmul(x, y, z, value=2), [a, b, c], "addcmul")


@pytest.mark.parametrize("name", COMPARE)
def test_comparisons(name):
    for a, b in (PAIRS.T, np.nan_to_num(PAIRS.T, posinf=5, neginf=-5).astype(np.int64)):
        ours, theirs = (
            getattr(library, name)(library.tensor(a), library.tensor(b)) for library in (tn, torch)
        )
        assert ours.tolist() == theirs.tolist()
    assert tn.allclose(tn.tensor(PAIRS), tn.tensor(PAIRS), equal_nan=True)


@pytest.mark.parametrize("name", PLAIN)
def test_kinds_of_numbers(name):
    x = np.asarray(SPECIAL)
    assert getattr(tn, name)(tn.tensor(x)).tolist() == getattr(torch, name)(torch.tensor(x)).tolist()


def test_integers():
    a, b = np.arange(-6, 6).reshape(-1, 1), np.asarray([-3, -1, 2, 5])
    for dtype in ("int64", "int32", "int8"):
        x, y = a.astype(dtype), b.astype(dtype)
        for name in (
            "add",
            "mul",
            "maximum",
            "floor_divide",
            "remainder",
            "bitwise_and",
            "bitwise_or",
            "bitwise_xor",
        ):
            ours, theirs = (
                getattr(library, name)(library.tensor(x), library.tensor(y)) for library in (tn, torch)
            )
            assert ours.tolist() == theirs.tolist(), name
            assert ours.numpy().dtype == theirs.numpy().dtype, name
        for name in ("bitwise_not", "abs", "neg", "square", "sign", "floor", "round"):
            ours, theirs = (getattr(library, name)(library.tensor(x)) for library in (tn, torch))
            assert ours.tolist() == theirs.tolist(), name
            assert ours.numpy().dtype == theirs.numpy().dtype, name
    for name in ("add", "sub"):
        for alpha in (2, -1):
            ours, theirs = (
                getattr(library, name)(library.tensor(a), library.tensor(b), alpha=alpha)
                for library in (tn, torch)
            )
            assert ours.tolist() == theirs.tolist()
