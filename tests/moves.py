"""Checks of operations that only move elements."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinynet as tn


def weights(shape: tuple[int, ...]) -> np.ndarray:
    """Distinct numbers, to tell the elements of a gradient apart."""
    return np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)


def check_moves(f: Any, a: np.ndarray) -> tn.Tensor:
    """f only moves elements: compare it with NumPy's f, and its gradient with the elements' new places."""
    x = tn.tensor(a, requires_grad=True)
    y, expected = f(x), f(a)
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    assert y.shape == expected.shape
    g = weights(expected.shape)
    y.backward(tn.tensor(g))
    places = np.asarray(f(np.arange(a.size).reshape(a.shape)))
    gx = np.zeros(a.size)
    np.add.at(gx, places.ravel(), g.ravel())
    np.testing.assert_array_equal(x.grad.numpy(), gx.reshape(a.shape))
    return y
