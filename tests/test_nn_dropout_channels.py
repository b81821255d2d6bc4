"""Dropout of whole channels, and dropout of images channels-last."""

from __future__ import annotations

import numpy as np
import pytest
from ops_running import channels_last

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F


def seeded(door, x, p=0.5, **options):
    return door(x, p, generator=tn.Generator(5), **options)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    ("door", "shape"),
    [(F.dropout1d, (30, 40, 3)), (F.dropout2d, (30, 40, 3, 2)), (F.dropout2d, (1200, 3, 2))],
)
def test_channels_are_dropped_as_a_whole(door, shape, dtype):
    x = tn.ones(shape, dtype=dtype).requires_grad_()
    y = seeded(door, x, 0.25)
    positions = tuple(range(len(shape) - (2 if door is F.dropout2d else 1), len(shape)))
    values = y.detach().numpy()
    first, last = values.min(positions), values.max(positions)
    assert np.array_equal(first, last)
    np.testing.assert_allclose(np.unique(first), [0.0, 4.0 / 3.0], rtol=1e-6)
    assert abs((first == 0).mean() - 0.25) < 0.04
    y.backward(tn.ones(shape, dtype=dtype))
    assert np.array_equal(x.grad.numpy(), values)


def test_the_mask_is_a_function_of_seed_call_and_channel():
    x = np.random.default_rng(0).standard_normal((6, 8, 4, 5)).astype(np.float32)
    plain, laid = tn.from_numpy(x), tn.from_numpy(channels_last(x))
    y = seeded(F.dropout2d, plain).numpy()
    assert np.array_equal(seeded(F.dropout2d, laid).numpy(), y)
    small = seeded(F.dropout2d, plain[:, :, :1, :2]).numpy()
    assert np.array_equal(small, y[:, :, :1, :2])  # the size of the channels does not matter
    assert np.array_equal(seeded(F.dropout1d, plain.flatten(2)).numpy(), y.reshape(6, 8, 20))
    generator = tn.Generator(5)
    first, second = (F.dropout2d(plain, 0.5, generator=generator).numpy() for _ in range(2))
    assert np.array_equal(first, y)
    assert not np.array_equal(second, y)


@pytest.mark.parametrize("door", [F.dropout, F.dropout2d])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_images_keep_their_layout(door, dtype):
    x = channels_last(np.random.default_rng(0).standard_normal((4, 6, 5, 3)).astype(dtype))
    t = tn.from_numpy(x).requires_grad_()
    y = seeded(door, t, 0.4)
    assert y.detach().numpy().strides == x.strides
    g = channels_last(np.random.default_rng(1).standard_normal((4, 6, 5, 3)).astype(dtype))
    y.backward(tn.from_numpy(g))
    kept = y.detach().numpy() != 0
    assert 0.3 < kept.mean() < 0.9
    np.testing.assert_allclose(y.detach().numpy(), np.where(kept, x / 0.6, 0.0), rtol=1e-6)
    np.testing.assert_allclose(t.grad.numpy(), np.where(kept, g / 0.6, 0.0), rtol=1e-6)
    assert t.grad.numpy().strides == x.strides


def test_in_place():
    x = tn.ones(3, 4, 2, 2)
    y = seeded(F.dropout2d, x, inplace=True)
    assert y is x
    assert np.array_equal(x.numpy(), seeded(F.dropout2d, tn.ones(3, 4, 2, 2)).numpy())
    layer = nn.Dropout2d(0.5, inplace=True)
    x = tn.ones(3, 4, 2, 2)
    assert layer(x) is x
    leaf = tn.ones(3, 4, 2, 2).requires_grad_()
    square = leaf * leaf
    kept = square * square  # saves `square`: it is not written over
    y = F.dropout2d(square, 0.5, inplace=True)
    assert y is not square
    (kept + y).sum().backward()
    assert np.isfinite(leaf.grad.numpy()).all()


def test_all_none_and_evaluation():
    x = tn.ones(3, 4, 2, 2)
    assert F.dropout2d(x, 1.0).sum().item() == 0.0
    assert F.dropout2d(x, 0.0) is x
    assert F.dropout2d(x, 0.5, training=False) is x
    assert nn.Dropout2d().eval()(x) is x
    assert F.dropout2d(tn.ones(0, 4, 2, 2)).shape == (0, 4, 2, 2)
    assert repr(nn.Dropout2d(0.25)) == "Dropout2d(p=0.25, inplace=False)"
    assert nn.Dropout1d(0.5)(tn.ones(4, 3)).shape == (4, 3)


def test_errors():
    with pytest.raises(ShapeError, match=r"dropout2d: input must have shape \(N, C, H, W\) or \(C, H, W\)"):
        F.dropout2d(tn.ones(3, 4))
    with pytest.raises(ShapeError, match=r"dropout1d: input must have shape \(N, C, L\) or \(C, L\); got"):
        F.dropout1d(tn.ones(3, 4, 2, 2))
    with pytest.raises(ArgumentError, match=r"dropout2d: p must lie in \[0, 1\]; got 1.5"):
        F.dropout2d(tn.ones(3, 4, 2, 2), 1.5)
    with pytest.raises(DTypeError, match="dropout1d: input must be a Tensor; got int"):
        F.dropout1d(3)
    with pytest.raises(DTypeError, match="dropout2d: input must be float32 or float64; got int64"):
        F.dropout2d(tn.zeros(3, 4, 2, 2, dtype=tn.int64))
    with pytest.raises(ArgumentError, match=r"Dropout2d: p must be a number in \[0, 1\]; got 2"):
        nn.Dropout2d(2)
    with pytest.raises(DTypeError, match="Dropout1d: inplace must be a bool; got 1"):
        nn.Dropout1d(0.5, 1)
