"""Padding by an image's own elements, windows as columns and back: options, adjoints, errors, PyTorch."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ops_running import channels_last, leaf

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F

NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 3)
pairs = st.tuples(sides, sides)


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

    torch.set_num_threads(1)
    return torch


def gradient(t: tn.Tensor) -> np.ndarray:
    assert t.grad is not None
    return t.grad.numpy()


# ---- padding -----------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(data=st.data(), mode=st.sampled_from(list(NUMPY_MODES)), seed=seeds)
def test_padding_as_numpy_has_it(data: st.DataObject, mode: str, seed: int) -> None:
    """Values, and gradients by the definition of the adjoint, for arrays of 1 to 5 axes of any dtype."""
    rng = np.random.default_rng(seed)
    shape = tuple(data.draw(st.lists(st.integers(2, 6), min_size=1, max_size=5), label="shape"))
    axes = data.draw(st.integers(1, len(shape)), label="axes")
    most = [n - (mode == "reflect") for n in shape[::-1][:axes]]
    widths = [data.draw(st.integers(0, n), label="width") for n in most for _ in range(2)]
    full = [(0, 0)] * (len(shape) - axes) + list(zip(widths[::2], widths[1::2], strict=True))[::-1]
    dtype = data.draw(st.sampled_from([np.float64, np.float32]), label="dtype")
    x = np.asarray(rng.standard_normal(shape), dtype)
    if len(shape) == 4:
        x = channels_last(x)
    t = leaf(x)
    y = F.pad(t, widths, mode)
    expected = np.pad(x, full, NUMPY_MODES[mode])
    assert np.array_equal(y.detach().numpy(), expected)
    g, v = np.asarray(rng.standard_normal(y.shape), dtype), rng.standard_normal(shape)
    y.backward(tn.from_numpy(g))
    wanted = float((g * np.pad(v, full, NUMPY_MODES[mode])).sum())  # <pad v, g> = <v, gradient>
    assert abs(float((gradient(t) * v).sum()) - wanted) <= 1e-5 * (1 + float(np.abs(g).sum()))
    whole = (x * 10).astype(np.int64)
    assert np.array_equal(
        F.pad(tn.tensor(whole), widths, mode).numpy(), np.pad(whole, full, NUMPY_MODES[mode])
    )


def test_padding_that_cuts_off() -> None:
    x = tn.arange(5)
    assert F.pad(x, (-1, 2), "reflect").tolist() == [1, 2, 3, 4, 3, 2]
    assert F.pad(x, (2, -3), "replicate").tolist() == [0, 0, 0, 1]
    assert F.pad(x, (-2, 2), "circular").tolist() == [2, 3, 4, 2, 3]  # only what is left goes round
    assert F.pad(x, (-1, -1), "circular").tolist() == [1, 2, 3]


def test_padding_of_no_images() -> None:
    for mode in NUMPY_MODES:
        assert F.pad(tn.zeros(0, 3, 4, 5), (1, 1, 2, 2), mode).shape == (0, 3, 8, 7)


@pytest.mark.parametrize(
    ("widths", "mode", "error", "message"),
    [
        ((5, 0), "reflect", ShapeError, "pad: pad must be smaller than the extent it widens for mode "
         r"'reflect'; got \(5, 0\) for shape \(2, 3, 4, 5\)"),
        ((0, 0, 0, 5), "circular", ShapeError, "pad: pad must be at most the extent it widens for mode"),
        ((-3, -2), "replicate", ShapeError, "pad: pad must leave at least one element of each axis for mode"),
        ((1,), "reflect", ArgumentError, "pad: pad must be pairs of integers, at most one for each of the 4"),
        ((1.0, 1), "circular", ArgumentError, "pad: pad must be pairs of integers"),
        ((1,) * 10, "reflect", ArgumentError, "pad: pad must be pairs of integers"),
        ((1, 1), "mirror", ArgumentError, "pad: mode must be one of 'constant', 'reflect', 'replicate', 'ci"),
    ],
)  # fmt: skip
def test_errors_of_padding(widths: Any, mode: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        F.pad(tn.zeros(2, 3, 4, 5), widths, mode)


def test_a_value_belongs_to_constant_padding() -> None:
    assert F.pad(tn.zeros(3), (1, 1), "reflect", 0.0).shape == (5,)
    with pytest.raises(ArgumentError, match=r"pad: value must be None for mode 'reflect'; got 1\.5"):
        F.pad(tn.zeros(3), (1, 1), "reflect", 1.5)


def test_layers_that_pad() -> None:
    x = tn.arange(6.0).reshape(1, 1, 2, 3)
    assert nn.ZeroPad2d((1, 0, 0, 1))(x).tolist() == [[[[0, 0, 1, 2], [0, 3, 4, 5], [0, 0, 0, 0]]]]
    assert nn.ConstantPad2d((0, 1, 0, 0), 9.0)(x).tolist() == [[[[0, 1, 2, 9], [3, 4, 5, 9]]]]
    assert nn.ReflectionPad2d(1)(x).shape == (1, 1, 4, 5)
    assert nn.ReplicationPad2d((0, 0, 1, 0))(x).tolist() == [[[[0, 1, 2], [0, 1, 2], [3, 4, 5]]]]
    assert nn.ZeroPad2d(-1)(tn.ones(2, 3, 4)).shape == (2, 1, 2)
    assert repr(nn.ReflectionPad2d(1)) == "ReflectionPad2d((1, 1, 1, 1))"
    assert repr(nn.ConstantPad2d(1, 2.0)) == "ConstantPad2d(padding=(1, 1, 1, 1), value=2.0)"
    with pytest.raises(
        ShapeError, match=r"ZeroPad2d: padding must be an int or \(left, right, top, bottom\)"
    ):
        nn.ZeroPad2d((1, 2))
    with pytest.raises(DTypeError, match=r"ReflectionPad2d: padding must be an int; got 1\.5"):
        nn.ReflectionPad2d(1.5)
    with pytest.raises(DTypeError, match="ConstantPad2d: value must be a finite number; got 'a'"):
        nn.ConstantPad2d(1, "a")


# ---- windows as columns ------------------------------------------------------------------------------


@settings(max_examples=150)
@given(kernel=pairs, dilation=pairs, stride=pairs, padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
       extents=st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(1, 8), st.integers(1, 8)),
       single=st.booleans(), seed=seeds)  # fmt: skip
def test_unfold_by_its_equation_and_fold_as_its_adjoint(
    kernel: tuple[int, int],
    dilation: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    extents: tuple[int, int, int, int],
    single: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    n, c, h, w = extents
    places = [
        (m + 2 * a - d * (k - 1) - 1) // t + 1
        for m, a, d, k, t in zip((h, w), padding, dilation, kernel, stride, strict=True)
    ]
    assume(min(places) > 0)
    x = np.asarray(rng.standard_normal(extents), np.float32 if single else np.float64)
    t = leaf(channels_last(x) if rng.random() < 0.5 else x)
    y = F.unfold(t, kernel, dilation, padding, stride)
    room = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    expected = np.zeros((n, c, *kernel, *places))
    for i, j, p, q in np.ndindex(*kernel, *places):
        expected[:, :, i, j, p, q] = room[
            :, :, p * stride[0] + i * dilation[0], q * stride[1] + j * dilation[1]
        ]
    assert np.array_equal(y.detach().numpy(), expected.reshape(y.shape))
    g = np.asarray(rng.standard_normal(y.shape), x.dtype)
    y.backward(tn.from_numpy(g))
    u = leaf(g)
    z = F.fold(u, (h, w), kernel, dilation, padding, stride)
    assert np.array_equal(z.detach().numpy(), gradient(t))
    assert z.is_contiguous(memory_format=tn.channels_last)
    exact = float((expected.reshape(y.shape) * g).sum())  # <unfold x, g> = <x, fold g>
    assert abs(float((x * z.detach().numpy()).sum()) - exact) <= 1e-5 * (1 + float(np.abs(g).sum()))
    z.backward(tn.from_numpy(x))
    assert np.array_equal(gradient(u), y.detach().numpy())


def test_windows_of_one_image(rng: np.random.Generator) -> None:
    x = tn.tensor(rng.standard_normal((3, 5, 6)))
    y = F.unfold(x, 2)
    assert y.shape == (12, 20)
    assert np.array_equal(y.numpy(), F.unfold(x.unsqueeze(0), 2)[0].numpy())
    assert np.array_equal(F.fold(y, (5, 6), 2).numpy(), F.fold(y.unsqueeze(0), (5, 6), 2)[0].numpy())
    t = leaf(rng.standard_normal((3, 5, 6)))
    F.unfold(t, 2).sum().backward()
    assert gradient(t)[0, 2, 2] == 4.0


def test_layers_of_windows() -> None:
    x = tn.ones(2, 3, 5, 6)
    columns = nn.Unfold((2, 3), padding=1)(x)
    assert columns.shape == (2, 18, 36)
    assert nn.Fold((5, 6), (2, 3), padding=1)(columns).shape == (2, 3, 5, 6)
    assert repr(nn.Unfold(3)) == "Unfold(kernel_size=3, dilation=1, padding=0, stride=1)"
    assert repr(nn.Fold(4, 3)) == "Fold(output_size=4, kernel_size=3, dilation=1, padding=0, stride=1)"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: F.unfold(x, 7), ShapeError, r"unfold: kernel_size must fit into the image of \(4, 5\), "
         r"padded by \(0, 0\); got \(7, 7\) with dilation \(1, 1\)"),
        (lambda x: F.unfold(x, 3, dilation=2), ShapeError, r"unfold: kernel_size .* with dilation \(2, 2\)"),
        (lambda x: F.unfold(x, 0), ArgumentError, "unfold: kernel_size must be a positive .*got 0"),
        (lambda x: F.unfold(x, 2, stride=0), ArgumentError, "unfold: stride must be a positive .*got 0"),
        (lambda x: F.unfold(x, 2, padding=-1), ArgumentError, "unfold: padding must be an int >= 0 .*got -1"),
        (lambda x: F.unfold(x, 2.0), DTypeError, r"unfold: kernel_size must be a positive .*got 2\.0"),
        (lambda x: F.unfold(x, 2, dilation=True), DTypeError, "unfold: dilation must be .* got True"),
        (lambda x: F.unfold(x, (1, 2, 3)), ArgumentError, "unfold: kernel_size must be a positive .*got"),
        (lambda x: F.unfold(x[0, 0], 2), ShapeError, r"unfold: input must have shape \(N, C, H, W\) or"),
        (lambda x: F.unfold(x[:, :0], 2), ShapeError, "unfold: input must have shape .* not empty but for N"),
        (lambda x: F.unfold(x.long(), 2), DTypeError, "unfold: input must be"),
        (lambda x: F.fold(x[0], (4, 5), 2), ShapeError, r"fold: input must have shape \(N, C\*4, 12\) or"),
        (lambda x: F.fold(tn.ones(1, 8, 11), (4, 5), 2), ShapeError, r"3 x 4 windows; got \(1, 8, 11\)"),
        (lambda x: F.fold(tn.ones(1, 7, 12), (4, 5), 2), ShapeError, r"fold: input .*; got \(1, 7, 12\)"),
        (lambda x: F.fold(tn.ones(1, 8, 12), (4, 1), 2), ShapeError, r"fold: kernel_size must .* \(4, 1\)"),
        (lambda x: F.fold(tn.ones(1, 8, 12), 0, 2), ArgumentError, "fold: output_size must be a positive"),
        (lambda x: nn.Unfold(0), ArgumentError, "Unfold: kernel_size must be a positive int or 2 .*; got 0"),
        (lambda x: nn.Fold((1, 2, 3), 2), ArgumentError, "Fold: output_size must be a positive int or 2 .*"),
        (lambda x: nn.Unflatten(1.0, (2,)), DTypeError, r"Unflatten: dim must be an int; got 1\.0"),
        (lambda x: nn.Unflatten(1, 2), DTypeError, "unflattened_size must be a sequence of ints; got 2"),
        (lambda x: nn.Unflatten(1, (2,))(3), DTypeError, "Unflatten: input must be a Tensor; got int"),
        (lambda x: nn.Unflatten(1, (2, 2))(x), ShapeError, "unflatten: sizes must have the product of dim 1"),
    ],
)  # fmt: skip
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(tn.ones(2, 3, 4, 5))


def test_unflatten() -> None:
    layer = nn.Unflatten(1, (2, -1))
    assert layer(tn.ones(3, 8)).shape == (3, 2, 4)
    assert repr(layer) == "Unflatten(dim=1, unflattened_size=(2, -1))"


# ---- beside PyTorch ----------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["constant", *NUMPY_MODES])
def test_padding_beside_pytorch(mode: str, torch: ModuleType, rng: np.random.Generator) -> None:
    x = np.asarray(rng.standard_normal((2, 3, 5, 7)), np.float32)
    for widths in ((1, 2, 3, 0), (-1, 2, 2, -3), (0, 0, -1, -1), (4, 4, 4, 4), (3, -2, -1, 4)):
        mine, theirs = leaf(x.copy()), torch.tensor(x, requires_grad=True)
        y, z = F.pad(mine, widths, mode), torch.nn.functional.pad(theirs, widths, mode)
        assert np.array_equal(y.detach().numpy(), z.detach().numpy())
        g = np.asarray(rng.standard_normal(y.shape), np.float32)
        y.backward(tn.from_numpy(g))
        z.backward(torch.from_numpy(g))
        np.testing.assert_allclose(gradient(mine), theirs.grad.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parity
def test_layers_beside_pytorch(torch: ModuleType, rng: np.random.Generator) -> None:
    x = np.asarray(rng.standard_normal((2, 3, 5, 7)), np.float32)
    for call in (
        lambda n: n.ZeroPad2d((1, 2, 0, 1)), lambda n: n.ConstantPad2d(2, 1.5),
        lambda n: n.ReflectionPad2d(3), lambda n: n.ReplicationPad2d((3, 0, 1, 2)),
        lambda n: n.Unfold((2, 3), (2, 1), 1, (1, 2)),
        lambda n: n.Sequential(n.Unfold(2, stride=2), n.Fold((5, 7), 2, stride=2)),
        lambda n: n.Sequential(n.Flatten(1), n.Unflatten(1, (5, 21))),
    ):  # fmt: skip
        y, z = call(nn)(tn.from_numpy(x)), call(torch.nn)(torch.from_numpy(x))
        assert np.array_equal(y.numpy(), z.numpy())
        if not isinstance(call(nn), nn.Sequential):
            assert repr(call(nn)) == repr(call(torch.nn))
