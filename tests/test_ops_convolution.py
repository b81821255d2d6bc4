"""Convolutions against the equations: at shapes and options that hypothesis draws, and at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ops_cases import Array
from ops_cases_convolution import convolution_reference, transposed_reference
from ops_running import assert_near, eps_of, largest, leaf

import tinynet as tn
from tinynet.nn import functional as F
from tinynet.ops import threads as ops_threads

Call = tuple[str, list[Array], dict[str, Any]]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """A door, its arrays in float64 and its options."""
    transposed = draw(st.booleans(), label="transposed")
    groups = draw(st.sampled_from([1, 1, 2, 3, 17]), label="groups")
    widest = 3 if groups == 17 else 35
    across = draw(
        st.tuples(st.integers(1, widest), st.integers(1, 2 if widest == 3 else 18)), label="channels"
    )
    if draw(st.booleans(), label="one channel"):
        across = (1, across[1])
    pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
    taps, stride, dilation = (
        draw(pairs, label="taps"),
        draw(pairs, label="stride"),
        draw(pairs, label="dilation"),
    )
    dilation = tuple(min(d, 3) for d in dilation)
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)), label="padding")
    reach = tuple((t - 1) * d + 1 for t, d in zip(taps, dilation, strict=True))
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    least = [1, 1]
    for d in range(2):
        # so that there is a window, or an output
        least[d] = max(reach[d] - 2 * padding[d], 1)
        if transposed:
            least[d] = max((2 * padding[d] - reach[d]) // stride[d] + 2, 1)
    size = tuple(n + draw(st.integers(0, 5), label="more pixels") for n in least)
    rng = np.random.default_rng(draw(st.integers(0, 99), label="seed"))
    n = draw(st.integers(0, 3), label="batch")
    if transposed:
        extra = zip(stride, dilation, strict=True)
        options["output_padding"] = tuple(draw(st.integers(0, max(e) - 1), label="extra") for e in extra)
        c, kernel = groups * across[1], (groups * across[1], across[0], *taps)
        features = groups * across[0]
    else:
        c, kernel = groups * across[0], (groups * across[1], across[0], *taps)
        features = groups * across[1]
    shapes = [(n, c, *size), kernel]
    if draw(st.booleans(), label="bias"):
        shapes.append((features,))
    arrays = [np.asarray(np.asarray(rng.standard_normal(s), np.float32), np.float64) for s in shapes]
    return "conv_transpose2d" if transposed else "conv2d", arrays, options


def gradients(name: str, arrays: list[Array], options: dict[str, Any], g: Array | None) -> list[Array]:
    """The output and, for its gradient g (ones if None), the gradients of all arrays."""
    leaves = [leaf(a) for a in arrays]
    y = getattr(F, name)(*leaves, **options)
    y.backward(tn.ones(y.shape, dtype=y.dtype) if g is None else tn.from_numpy(g))
    return [y.detach().numpy(), *(t.grad.numpy() for t in leaves)]


many = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@many
@given(call=calls(), channels_last=st.booleans(), number=st.integers(1, 3))
def test_any_shape_and_options(call: Call, channels_last: bool, number: int) -> None:
    """Values against the equation, gradients as derivatives along a direction, float32 against float64."""
    name, arrays, options = call
    reference = transposed_reference if "transpose" in name else convolution_reference
    expected = reference(*arrays, **options)
    rng = np.random.default_rng(expected.size)
    g = np.asarray(np.asarray(rng.standard_normal(expected.shape), np.float32), np.float64)
    if channels_last:
        arrays[0], g = (
            np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) for a in (arrays[0], g)
        )
    double = gradients(name, arrays, options, g)
    before, bound = tn.get_num_threads(), ops_threads._set_serial_work(0)
    tn.set_num_threads(number)
    try:
        single = gradients(name, [a.astype(np.float32) for a in arrays], options, g.astype(np.float32))
    finally:
        tn.set_num_threads(before)
        ops_threads._set_serial_work(bound)
    assert_near(double[0], expected, eps_of(np.float64), 16, largest(expected, *arrays), "y in float64")
    for i, (a, b) in enumerate(zip(single, double, strict=True)):
        what = f"gradient {i - 1}" if i else "y"
        assert_near(a, b.astype(np.float64), eps_of(np.float32), 16, max(largest(b), largest(g), 1.0), what)
    # both sides are linear in each input: <g, f(x + v) - f(x)> is <gx, v>, without rounding of differences
    for i, a in enumerate(arrays):
        v = np.asarray(rng.standard_normal(a.shape), np.float64)
        moved = [v if j == i else 0 * b if j == 2 else b for j, b in enumerate(arrays)]
        along = reference(*moved, **options) if i < 2 else np.broadcast_to(v[:, None, None], expected.shape)
        left, right = float((g * along).sum()), float((double[1 + i] * v).sum())
        assert abs(left - right) <= 1e-11 * (float(np.abs(g * along).sum()) + 1.0), f"gradient {i}"


OPTIONS: tuple[tuple[str, tuple[tuple[int, ...], ...], dict[str, Any]], ...] = (
    ("conv2d", ((5, 40, 23, 21), (70, 40, 3, 3), (70,)), {"padding": 1}),
    ("conv2d", ((3, 70, 19, 21), (33, 70, 1, 1), (33,)), {}),
    ("conv2d", ((3, 24, 33, 31), (48, 12, 3, 5), (48,)), {"stride": (2, 3), "groups": 2, "padding": (3, 0)}),
    ("conv2d", ((3, 37, 33, 31), (74, 1, 3, 5), (74,)), {"stride": (2, 1), "groups": 37, "padding": (3, 1)}),
    ("conv2d", ((3, 37, 33, 31), (37, 1, 3, 3), (37,)), {"groups": 37, "dilation": 2}),
    ("conv_transpose2d", ((3, 40, 11, 13), (40, 35, 3, 3), (35,)), {"stride": 2}),
)  # fmt: skip


@pytest.mark.parametrize(("name", "shapes", "options"), OPTIONS)
def test_same_bits_on_any_number_of_threads(
    name: str, shapes: tuple[tuple[int, ...], ...], options: dict[str, Any], rng: np.random.Generator
) -> None:
    """Large enough for many tiles, ranges and parts of the depth; dealt out differently every time."""
    arrays = [np.asarray(rng.standard_normal(s), np.float32) for s in shapes]
    g = np.asarray(
        rng.standard_normal(getattr(F, name)(*map(tn.from_numpy, arrays), **options).shape), np.float32
    )
    before, bound = tn.get_num_threads(), ops_threads._set_serial_work(0)
    try:
        results = []
        for n in (1, 2, 3):
            tn.set_num_threads(n)
            results.append([a.tobytes() for a in gradients(name, arrays, options, g)])
    finally:
        tn.set_num_threads(before)
        ops_threads._set_serial_work(bound)
    assert results[0] == results[1] == results[2]


def test_output_lies_channels_last(rng: np.random.Generator) -> None:
    x = leaf(np.asarray(rng.standard_normal((2, 3, 5, 7)), np.float32))
    w = tn.from_numpy(np.asarray(rng.standard_normal((4, 3, 3, 3)), np.float32))
    y = F.conv2d(x, w, padding=1)
    assert y.detach().numpy().transpose(0, 2, 3, 1).flags.c_contiguous
    assert (
        F.conv_transpose2d(x, tn.zeros(3, 4, 2, 2)).detach().numpy().transpose(0, 2, 3, 1).flags.c_contiguous
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: d.__name__)
@pytest.mark.parametrize(("kernel", "options"), [((6, 5, 3, 3), {"padding": 1}), ((6, 5, 1, 1), {}),
                                             ((5, 1, 3, 3), {"groups": 5})])  # fmt: skip
def test_slices_of_channels_are_read_where_they_lie(
    kernel: tuple[int, ...], options: dict[str, Any], dtype: type, rng: np.random.Generator
) -> None:
    """Input and upstream gradient that are slices of the channels of larger images: the bits of copies."""
    wide = np.asarray(rng.standard_normal((2, 6, 7, 12)), dtype).transpose(0, 3, 1, 2)[:, 3:8]
    w = np.asarray(rng.standard_normal(kernel), dtype)
    y = F.conv2d(tn.from_numpy(wide), tn.from_numpy(w), **options)
    shape = (y.shape[0], *y.shape[2:], y.shape[1] + 4)
    g = np.asarray(rng.standard_normal(shape), dtype).transpose(0, 3, 1, 2)[:, 2:-2]
    sliced = gradients("conv2d", [wide, w], options, g)
    whole = gradients("conv2d", [wide.copy(), w], options, g.copy())
    assert [a.tobytes() for a in sliced] == [a.tobytes() for a in whole]


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: d.__name__)
@pytest.mark.parametrize("groups", [1, 2])
def test_nothing_but_the_windows_is_touched(groups: int, dtype: type, rng: np.random.Generator) -> None:
    """NaN and inf spread to the outputs that see them and to no others, whatever the padding."""
    x = np.asarray(rng.standard_normal((2, 2, 6, 6)), dtype)
    x[0, 0, 2, 3], x[1, 1, 0, 0] = np.nan, np.inf
    w = np.asarray(rng.standard_normal((2, 2 // groups, 3, 3)), dtype)
    y = F.conv2d(tn.from_numpy(x), tn.from_numpy(w), padding=1, groups=groups).numpy()
    wild = np.zeros((2, 2, 6, 6), bool)
    wild[0, slice(None) if groups == 1 else 0, 1:4, 2:5] = True
    wild[1, slice(None) if groups == 1 else 1, 0:2, 0:2] = True
    np.testing.assert_array_equal(~np.isfinite(y), wild)
    np.testing.assert_array_equal(np.isnan(y[0]), wild[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: d.__name__)
def test_phases_without_taps_hold_the_bias(dtype: type) -> None:
    """A stride beyond the kernel leaves pixels that no window reaches: the bias, or a gradient of 0."""
    b = tn.tensor([0.5, -1.0], dtype=dtype)
    y = F.conv_transpose2d(tn.ones(1, 1, 2, 2, dtype=dtype), tn.ones(1, 2, 1, 1, dtype=dtype), b, stride=3)
    expected = np.zeros((1, 2, 4, 4))
    expected[:, :, ::3, ::3] = 1.0
    np.testing.assert_array_equal(y.numpy(), expected + np.asarray([0.5, -1.0])[:, None, None])
    x = tn.ones(1, 2, 5, 5, dtype=dtype, requires_grad=True)
    F.conv2d(x, tn.ones(1, 2, 1, 1, dtype=dtype), stride=3).sum().backward()
    reached = np.zeros((5, 5))
    reached[::3, ::3] = 1.0
    np.testing.assert_array_equal(x.grad.numpy()[0], np.stack([reached, reached]))


def test_a_large_stride_costs_nothing() -> None:
    x = tn.ones(1, 1, 3, 3, requires_grad=True)
    y = F.conv2d(x, tn.ones(1, 1, 2, 2), stride=2**31 - 1)
    y.backward()
    assert y.tolist() == [[[[4.0]]]]
    assert x.grad is not None
    assert x.grad.sum().item() == 4.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: d.__name__)
@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d", "conv1d", "conv_transpose1d"])
def test_empty_batch(name: str, dtype: type) -> None:
    axes = (5, 4) if "2d" in name else (5,)
    shapes = ((0, 3, *axes), (3, 3, *(2 for _ in axes)), (3,))
    y, gx, gw, gb = gradients(name, [np.ones(s, dtype) for s in shapes], {}, None)
    assert (y.shape[:2], gx.shape) == ((0, 3), shapes[0])
    assert not gw.any()
    assert not gb.any()


def test_without_a_batch() -> None:
    x, w = tn.arange(12, dtype=tn.float32).reshape(1, 3, 4), tn.ones(2, 1, 2, 2)
    assert F.conv2d(x, w).equal(F.conv2d(x.reshape(1, 1, 3, 4), w)[0])
    assert F.conv_transpose2d(x, w[:1]).equal(F.conv_transpose2d(x.reshape(1, 1, 3, 4), w[:1])[0])
    row, taps = x[:, 0], w[:, :, 0]
    assert F.conv1d(row, taps).equal(F.conv1d(row.reshape(1, 1, 4), taps)[0])


def test_only_what_a_wanted_gradient_reads_is_saved() -> None:
    """Of a convolution whose kernel needs no gradient the input may change, and the other way round."""
    image = np.ones((1, 4, 4, 2), np.float32).transpose(0, 3, 1, 2)  # channels last: saved without a copy
    for name, kernel in (("conv2d", (3, 2, 3, 3)), ("conv_transpose2d", (2, 3, 3, 3))):
        for wanted in (0, 1):
            arrays = [tn.from_numpy(image.copy(order="K")), tn.from_numpy(np.ones(kernel, np.float32))]
            arrays[wanted].requires_grad_()
            y = getattr(F, name)(*arrays)
            arrays[wanted].detach().fill_(5.0)
            y.sum().backward()
            y = getattr(F, name)(*arrays)
            arrays[1 - wanted].fill_(5.0)
            with pytest.raises(tn.errors.GraphError, match=f"{name} needs a value of shape"):
                y.sum().backward()


def test_sums_of_many_terms_keep_their_accuracy(rng: np.random.Generator) -> None:
    """Gradients of kernel and bias over 60 000 pixels, of values far from 0."""
    x = np.asarray(rng.standard_normal((4, 3, 123, 125)) + 10.0, np.float32)
    g = np.asarray(rng.standard_normal((4, 2, 121, 123)) + 10.0, np.float32)
    w, b = np.ones((2, 3, 3, 3), np.float32), np.zeros(2, np.float32)
    _, _, gw, gb = gradients("conv2d", [x, w, b], {}, g)
    _, _, exact_w, exact_b = gradients(
        "conv2d", [a.astype(np.float64) for a in (x, w, b)], {}, g.astype(np.float64)
    )
    np.testing.assert_allclose(gw, exact_w, rtol=1e-5)
    np.testing.assert_allclose(gb, exact_b, rtol=1e-6)
