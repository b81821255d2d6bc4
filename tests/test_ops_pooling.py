"""Pooling: indices, ties, NaN, divisors, edges of maps, layouts; generated options; PyTorch."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_cases import Array
from ops_cases_pooling import (
    adaptive_reference,
    largest_of,
    mean_of,
    mean_of_map,
    pool_reference,
)

import tinynet as tn
from tinynet import nn
from tinynet.nn import functional as F
from tinynet.ops import kernels, pooling_windows
from tinynet.ops import threads as ops_threads

INF, NAN = float("inf"), float("nan")


def single(rng: np.random.Generator, *shape: int) -> Array:
    return np.asarray(rng.standard_normal(shape), np.float32)


def gradients(function: Callable[..., Any], x: Array, g: Array) -> tuple[Array, Array]:
    """The output, and the gradient of x for the gradient g of the output."""
    leaf = tn.from_numpy(x).requires_grad_()
    y = function(leaf)
    y.backward(tn.from_numpy(g))
    assert leaf.grad is not None
    return y.detach().numpy(), leaf.grad.numpy()


def channels_last(x: Array) -> Array:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


# ---- what is chosen ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_first_of_equal_maxima_is_chosen(dtype: type) -> None:
    x = np.ones((1, 3, 4, 4), dtype)
    y, indices = F.max_pool2d(tn.from_numpy(x), 3, stride=1, return_indices=True)
    assert y.tolist() == np.ones((1, 3, 2, 2)).tolist()
    assert indices.dtype == np.int64
    assert indices[0, 2].tolist() == [[0, 1], [4, 5]]
    assert not indices.requires_grad
    _, gx = gradients(lambda t: F.max_pool2d(t, 3, stride=1), x, np.full((1, 3, 2, 2), 2.0, dtype))
    assert gx[0, 1].tolist() == [[2, 2, 0, 0], [2, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("c", [1, 19])
def test_nan_wins_and_nothing_but_infinity_is_infinity(dtype: type, c: int) -> None:
    one = np.asarray([[1.0, NAN, INF, 2.0], [NAN, 0.0, 3.0, 4.0], [-INF] * 4, [-INF] * 4], dtype)
    x = np.broadcast_to(one, (1, c, 4, 4))
    y, indices = F.max_pool2d(tn.from_numpy(x), 2, return_indices=True)
    np.testing.assert_array_equal(y.numpy()[0, -1], [[NAN, INF], [-INF, -INF]])
    assert indices[0, -1].tolist() == [[4, 2], [8, 10]]
    _, gx = gradients(lambda t: F.max_pool2d(t, 2), x, np.ones((1, c, 2, 2), dtype))
    assert gx[0, 0].tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinity_stays_within_its_windows(dtype: type) -> None:
    x = np.zeros((1, 2, 4, 4), dtype)
    x[0, :, 0, 0], x[0, 1, 3, 3] = INF, NAN
    for function in (lambda t: F.avg_pool2d(t, 2), lambda t: F.adaptive_avg_pool2d(t, 2)):
        y = function(tn.from_numpy(x)).numpy()
        np.testing.assert_array_equal(y[0], [[[INF, 0], [0, 0]], [[INF, 0], [0, NAN]]])


def test_maximum_keeps_a_byte_for_a_gradient_or_nothing(rng: np.random.Generator) -> None:
    x = tn.from_numpy(single(rng, 8, 64, 16, 16))
    pool = nn.MaxPool2d(2)

    def bytes_kept() -> int:
        before = tn.ops.memory.memory_stats()["in_use"]
        y = pool(x)
        return tn.ops.memory.memory_stats()["in_use"] - before - 4 * y.numel()

    assert bytes_kept() == 0
    x.requires_grad_()
    assert bytes_kept() == 8 * 64 * 8 * 8
    with tn.no_grad():
        assert bytes_kept() == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_windows_of_many_taps(dtype: type, rng: np.random.Generator) -> None:
    """255 taps fit into a byte, 256 do not; means over more than 64 go through double."""
    x = np.asarray(rng.permutation(2 * 5 * 19 * 18), dtype).reshape(2, 5, 19, 18)
    for kernel in ((15, 17), (16, 16), (19, 18)):
        options = {"kernel": kernel, "stride": (2, 1), "padding": (7, 8)}
        expected = pool_reference(x.astype(np.float64), largest_of, **options)
        g = np.asarray(rng.standard_normal(expected.shape), dtype)
        y, gx = gradients(lambda t, k=kernel: F.max_pool2d(t, k, (2, 1), (7, 8)), x, g)
        np.testing.assert_array_equal(y, expected)
        wanted = np.zeros(x.size)
        np.add.at(wanted, y.astype(np.int64), g)  # the values of x are their places' numbers
        np.testing.assert_allclose(
            gx.ravel()[x.astype(np.int64).ravel().argsort()], wanted, rtol=1e-5, atol=1e-4
        )
        y = F.avg_pool2d(tn.from_numpy(x), kernel, (2, 1), (7, 8)).numpy()
        expected = pool_reference(x.astype(np.float64), mean_of, **options)
        np.testing.assert_allclose(y, expected, rtol=3e-7 if dtype is np.float32 else 1e-14)


def test_mean_of_a_large_map_is_accurate(rng: np.random.Generator) -> None:
    x = channels_last(np.float32(1e4) + single(rng, 2, 17, 256, 256))
    y = F.adaptive_avg_pool2d(tn.from_numpy(x), 1).numpy()
    np.testing.assert_allclose(y[..., 0, 0], x.mean((2, 3), dtype=np.float64), rtol=1.2e-7)


def test_adaptive_pooling_is_plain_pooling_where_it_divides(rng: np.random.Generator) -> None:
    x = tn.from_numpy(single(rng, 2, 5, 12, 6))
    assert F.adaptive_avg_pool2d(x, 3).numpy().tobytes() == F.avg_pool2d(x, (4, 2)).numpy().tobytes()
    assert F.adaptive_max_pool2d(x, (3, None)).equal(F.max_pool2d(x, (4, 1)))
    values, indices = F.adaptive_max_pool2d(x, 5, return_indices=True)
    found = np.take_along_axis(x.numpy().reshape(2, 5, 72), indices.numpy().reshape(2, 5, 25), 2)
    np.testing.assert_array_equal(found, values.numpy().reshape(2, 5, 25))


# ---- maps and layouts ----------------------------------------------------------------------------

LAYERS: tuple[Callable[[], nn.Module], ...] = (
    lambda: nn.MaxPool2d(3, 2, 1),
    lambda: nn.MaxPool2d(2, 1, ceil_mode=True),
    lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    lambda: nn.AdaptiveAvgPool2d((2, None)),
    lambda: nn.AdaptiveAvgPool2d(1),
    lambda: nn.AdaptiveMaxPool2d(2),
)


@pytest.mark.parametrize("layer", LAYERS, ids=range(len(LAYERS)))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slices_of_channels_and_gradients_of_any_layout(
    layer: Callable[[], nn.Module], dtype: type, rng: np.random.Generator
) -> None:
    """A slice of channels amid NaN, and a gradient that is one, give a copy's bits; channels are last."""
    x = np.asarray(rng.standard_normal((3, 19, 6, 5)), dtype)
    pool = layer()
    y, _ = gradients(pool, x, np.ones(pool(tn.from_numpy(x)).shape, dtype))
    g = np.asarray(rng.standard_normal(y.shape), dtype)
    y, gx = gradients(pool, x, g)
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous

    def sliced(a: Array) -> Array:
        larger = channels_last(np.full((a.shape[0], a.shape[1] + 21, *a.shape[2:]), NAN, dtype))
        larger[:, 11 : 11 + a.shape[1]] = a
        return larger[:, 11 : 11 + a.shape[1]]

    def same(pair: tuple[Array, Array], y: Array, gx: Array) -> None:
        if dtype is np.float32:
            assert pair[0].tobytes() == y.tobytes()
        np.testing.assert_allclose(pair[0], y, rtol=1e-14, atol=1e-15)
        np.testing.assert_array_equal(pair[1], gx)

    for lay in (sliced, channels_last, np.asfortranarray):
        same(gradients(pool, lay(x), lay(g)), y, gx)
        for image in range(3):  # one image alone, unbatched
            same(gradients(pool, lay(x)[image], lay(g)[image]), y[image], gx[image])


@pytest.mark.parametrize("layer", LAYERS, ids=range(len(LAYERS)))
def test_no_image(layer: Callable[[], nn.Module]) -> None:
    x = tn.zeros(0, 3, 6, 5).requires_grad_()
    y = layer()(x)
    assert y.shape == (0, *layer()(tn.zeros(1, 3, 6, 5)).shape[1:])
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == (0, 3, 6, 5)


def test_signals_are_maps_of_height_one(rng: np.random.Generator) -> None:
    x = tn.from_numpy(single(rng, 2, 5, 13))
    for line, plane in (
        (nn.MaxPool1d(3, 2, 1), nn.MaxPool2d((1, 3), (1, 2), (0, 1))),
        (nn.AvgPool1d(4, 3, 2, ceil_mode=True), nn.AvgPool2d((1, 4), (1, 3), (0, 2), ceil_mode=True)),
        (nn.AdaptiveAvgPool1d(4), nn.AdaptiveAvgPool2d((1, 4))),
    ):
        assert line(x).equal(plane(x.unsqueeze(2)).squeeze(2))
        assert line(x[0]).equal(plane(x[0].unsqueeze(1)).squeeze(1))
    values, indices = nn.MaxPool1d(3, return_indices=True)(x)
    assert x.gather(2, indices).equal(values)


def test_options_as_pytorch_takes_them() -> None:
    x = tn.arange(16.0).reshape(1, 1, 4, 4)
    assert F.max_pool2d(x, (2,)).equal(F.max_pool2d(x, [2, 2], stride=(2,)))
    assert F.max_pool2d(x, np.int64(2)).equal(F.max_pool2d(x, 2))
    assert nn.MaxPool2d((2, 3), padding=1, stride=3).stride == 3
    assert (
        repr(nn.MaxPool2d(2)) == "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"
    )
    assert (
        repr(nn.MaxPool1d(2)) == "MaxPool1d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"
    )
    assert repr(nn.AvgPool2d(2)) == "AvgPool2d(kernel_size=2, stride=2, padding=0)"
    assert repr(nn.AvgPool1d(2)) == "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))"
    assert repr(nn.AdaptiveAvgPool2d((2, None))) == "AdaptiveAvgPool2d(output_size=(2, None))"
    assert repr(nn.AdaptiveAvgPool1d(2)) == "AdaptiveAvgPool1d(output_size=2)"
    assert repr(nn.AdaptiveMaxPool2d(2)) == "AdaptiveMaxPool2d(output_size=2)"


# ---- kernels -------------------------------------------------------------------------------------


def rounded(nbytes: int) -> int:
    """The size of the block that holds so many bytes (ops/memory.pyx)."""
    base = 64
    while 2 * base <= nbytes:
        base *= 2
    return base + -(-max(nbytes - base, 0) // (base // 4)) * (base // 4)


def behind(make: Callable[[], Array]) -> Array:
    """What `make` leaves in the words of its result's block that lie behind the result, all 777 before."""
    size = make().nbytes
    tn.full((rounded(size) // 4,), 777.0)  # its memory is the next to be taken in this size
    y = make()
    first = max(size, 8)  # while it was free, a link to other free memory stood in the first 8 bytes
    words = ctypes.c_float * ((rounded(size) - first) // 4)
    return np.frombuffer(words.from_address(y.ctypes.data + first), np.float32).copy()


@pytest.mark.parametrize("c", [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 47, 63, 64, 65, 81, 127, 129])
def test_kernels_at_every_number_of_channels(c: int, isa: str, rng: np.random.Generator) -> None:
    """The scalar kernels' bits (means: nearly), and nothing written behind the last pixel."""
    x = channels_last(single(rng, 1, c, 5, 5))
    x[0, :, 1, 1], x[0, :, 2, 4] = NAN, INF
    for function in (
        lambda t: F.max_pool2d(t, 3, 2, 1),
        lambda t: F.max_pool2d(t, 2, 1, 0, 2),
        lambda t: F.avg_pool2d(t, 3, 1, 1),
        lambda t: F.avg_pool2d(t, 3, 2, 1, True, False),
        lambda t: F.adaptive_avg_pool2d(t, 1),
        lambda t: F.adaptive_max_pool2d(t, 2),
    ):
        g = channels_last(single(rng, *function(tn.from_numpy(x)).shape))
        y, gx = gradients(function, x, g)
        kernels._select("scalar")
        z, gz = gradients(function, x, g)
        kernels._select(isa)
        np.testing.assert_allclose(y, z, rtol=3e-7, atol=3e-7)
        np.testing.assert_allclose(gx, gz, rtol=3e-7, atol=3e-7)
        assert (behind(lambda f=function: f(tn.from_numpy(x)).numpy()) == 777.0).all()
        assert (behind(lambda f=function, g=g: gradients(f, x, g)[1]) == 777.0).all()


def test_bits_do_not_depend_on_threads(rng: np.random.Generator) -> None:
    x = single(rng, 3, 33, 13, 11)
    former, work = tn.get_num_threads(), ops_threads._set_serial_work(0)
    try:
        for layer in LAYERS:
            pool = layer()
            g = single(rng, *pool(tn.from_numpy(x)).shape)
            results = set()
            for threads in (1, 2, 3, 3):
                tn.set_num_threads(threads)
                results.add(b"".join(a.tobytes() for a in gradients(pool, x, g)))
            assert len(results) == 1
    finally:
        tn.set_num_threads(former)
        ops_threads._set_serial_work(work)


# ---- generated options ---------------------------------------------------------------------------


@st.composite
def options(draw: st.DrawFn) -> dict[str, Any]:
    """Kernel, stride, padding, dilation of two axes, and a map that holds a window and no empty one."""
    pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel, stride, dilation = draw(pair), draw(pair), draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = tuple(
        draw(st.integers(max(d * (k - 1) + 1 - p, 1 + d), 9))
        for k, p, d in zip(kernel, padding, dilation, strict=True)
    )
    found = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    return {**found, "ceil_mode": draw(st.booleans()), "size": size, "seed": draw(st.integers(0, 999))}


def drawn(size: tuple[int, int], seed: int, kind: str) -> Array:
    """(2, 9, H, W): numbers, or few different ones, or those with NaN and infinities among them."""
    rng = np.random.default_rng(seed)
    x = single(rng, 2, 9, *size)
    if kind != "numbers":
        x = np.round(x)
    if kind == "special":
        x[rng.random(x.shape) < 0.1] = NAN
        x[rng.random(x.shape) < 0.3] = -INF
    return x


@settings(max_examples=150)
@given(options=options(), size=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_any_options(options: dict[str, Any], size: tuple[int, int]) -> None:
    """float32 and float64 against the equations; their gradients against each other's."""
    x = drawn(options.pop("size"), options.pop("seed"), "numbers")
    k, s, p, d, ceil = options.values()
    exact = x.astype(np.float64)
    calls: list[tuple[Callable[..., Any], Array]] = [
        (lambda t: F.max_pool2d(t, k, s, p, d, ceil), pool_reference(exact, largest_of, **options)),
        (lambda t: F.adaptive_avg_pool2d(t, size), adaptive_reference(exact, size, np.mean)),
        (lambda t: F.adaptive_max_pool2d(t, size), adaptive_reference(exact, size, np.max)),
    ]
    if all(n + 2 * q >= m for n, q, m in zip(x.shape[2:], p, k, strict=True)):
        plain = {**options, "dilation": (1, 1)}
        calls += [
            (lambda t: F.avg_pool2d(t, k, s, p, ceil), pool_reference(exact, mean_of, **plain)),
            (lambda t: F.avg_pool2d(t, k, s, p, ceil, False), pool_reference(exact, mean_of_map, **plain)),
        ]
    for function, expected in calls:
        g = single(np.random.default_rng(1), *expected.shape)
        (y, gx), (z, gz) = gradients(function, x, g), gradients(function, exact, g.astype(np.float64))
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, rtol=3e-7, atol=3e-7)
        np.testing.assert_allclose(z, expected, rtol=1e-14, atol=1e-14)
        np.testing.assert_allclose(gx, gz, rtol=1e-6, atol=2e-6)


@pytest.mark.parity
@settings(max_examples=50)
@given(
    options=options(),
    kind=st.sampled_from(["numbers", "ties", "special"]),
    dtype=st.sampled_from([np.float32, np.float64]),
    include=st.booleans(),
    divisor=st.sampled_from([None, None, 3, -2]),
    size=st.tuples(*[st.integers(1, 11) | st.none()] * 2),
)
def test_any_options_in_pytorch(
    options: dict[str, Any], kind: str, dtype: type, include: bool, divisor: int | None, size: tuple[Any, Any]
) -> None:
    """Values, indices and gradients, of batches, single maps and signals."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

    T = torch.nn.functional
    x = drawn(options.pop("size"), options.pop("seed"), kind).astype(dtype)
    k, s, p, d, ceil = options.values()
    calls = [
        (x, lambda f: lambda t: f.max_pool2d(t, k, s, p, d, ceil, True)),
        (x[1], lambda f: lambda t: f.max_pool2d(t, k, s, p, d, ceil, True)),
        (x[0], lambda f: lambda t: f.max_pool1d(t, k[1], s[1], p[1], d[1], ceil, True)),
        (x, lambda f: lambda t: f.adaptive_max_pool2d(t, size, True)),
        (x, lambda f: lambda t: (f.adaptive_avg_pool2d(t, size),)),
        (x[0], lambda f: lambda t: (f.adaptive_avg_pool1d(t, size[0] or 3),)),
    ]
    if all(n + 2 * q >= m for n, q, m in zip(x.shape[2:], p, k, strict=True)):
        calls += [
            (x, lambda f: lambda t: (f.avg_pool2d(t, k, s, p, ceil, include, divisor),)),
            (x[0], lambda f: lambda t: (f.avg_pool1d(t, k[1], s[1], p[1], ceil, include),)),
        ]
    tolerance = {"rtol": 2e-6, "atol": 2e-6} if dtype is np.float32 else {"rtol": 1e-13, "atol": 1e-13}
    for a, call in calls:
        mine, theirs = tn.from_numpy(a).requires_grad_(), torch.from_numpy(a.copy()).requires_grad_()
        y, z = call(F)(mine), call(T)(theirs)
        np.testing.assert_allclose(y[0].detach().numpy(), z[0].detach().numpy(), **tolerance)
        if len(y) > 1:
            np.testing.assert_array_equal(y[1].numpy(), z[1].numpy())
        g = np.asarray(np.random.default_rng(1).standard_normal(y[0].shape), dtype)
        y[0].backward(tn.from_numpy(g))
        z[0].backward(torch.from_numpy(g))
        np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), **tolerance)


def test_divisors_of_large_maps_are_not_kept() -> None:
    """They are as large as the output: some would fill the memory."""
    counts, kept = pooling_windows.kept_divisors.cache_info, []
    for size in ((20, 23), (20, 23), (300, 301)):
        F.avg_pool2d(tn.zeros(1, 1, *size), 3, 1)
        kept.append(counts().hits + counts().misses)
    assert kept[1:] == [kept[0] + 1, kept[0] + 1]
