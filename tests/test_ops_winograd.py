"""Winograd's convolutions against float64: drawn shapes, error, bits, edges; the choice of an algorithm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ops_cases import Array
from ops_cases_convolution import convolution_reference
from ops_running import leaf

import tinynet as tn
from tinynet.errors import ArgumentError
from tinynet.nn import functional as F
from tinynet.ops import threads as ops_threads


@pytest.fixture(autouse=True)
def _winograd() -> Iterator[None]:
    """Whatever the rule of 'auto' says, these tests are about Winograd's algorithm."""
    tn.set_conv_algorithm("winograd")
    yield
    tn.set_conv_algorithm("auto")


def channels_last(a: Array, beyond: int = 0) -> Array:
    """A copy whose channels are last in memory: with `beyond`, a slice of the channels of an array of NaN."""
    wide = np.full((a.shape[0], *a.shape[2:], a.shape[1] + beyond), np.nan, a.dtype)
    view = np.moveaxis(wide, -1, 1)[:, : a.shape[1]] if beyond != 1 else np.moveaxis(wide, -1, 1)[:, 1:]
    view[...] = a
    return view


def results(
    arrays: list[Array], g: Array, options: dict[str, Any], dtype: type, beyond: int = 0
) -> list[Array]:
    """The output and the gradients of image, kernel and bias for the output's gradient g."""
    x, *rest = (a.astype(dtype) for a in arrays)
    leaves = [leaf(channels_last(x, beyond)), *map(leaf, rest)]
    y = F.conv2d(*leaves, **options)
    y.backward(tn.from_numpy(channels_last(g.astype(dtype), beyond)))
    return [y.detach().numpy(), *(t.grad.numpy() for t in leaves)]


def apart(a: Array, b: Array) -> float:
    """The distance of a from b, relative to b, in the l2 norm."""
    return float(np.linalg.norm(a - b) / max(float(np.linalg.norm(b)), 1e-30))


def drawn(rng: np.random.Generator, *shape: int) -> Array:
    """Numbers that float32 holds exactly."""
    return np.asarray(np.asarray(rng.standard_normal(shape), np.float32), np.float64)


def at_threads(number: int, call: Any, *args: Any) -> Any:
    before, bound = tn.get_num_threads(), ops_threads._set_serial_work(0)
    tn.set_num_threads(number)
    try:
        return call(*args)
    finally:
        tn.set_num_threads(before)
        ops_threads._set_serial_work(bound)


@st.composite
def shapes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], int, int]:
    """Images, kernel, padding, groups: ragged tiles, odd channels, rows of tiles beyond a run of them."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]), label="groups")
    c, k = (draw(st.sampled_from([1, 3, 16, 17, 24, 31, 33, 48]), label="channels") for _ in range(2))
    padding = draw(st.integers(0, 4), label="padding")
    least = max(3 - 2 * padding, 1)
    h, w = (draw(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 9, 12, 38]), label="extent") for _ in range(2))
    n = draw(st.integers(0, 3), label="batch")
    return (n, c * groups, max(min(h, 12), least), max(w, least)), (k * groups, c, 3, 3), padding, groups


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    shape=shapes(),
    number=st.integers(1, 3),
    bias=st.booleans(),
    beyond=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_any_shape(shape: tuple[Any, ...], number: int, bias: bool, beyond: int, seed: int) -> None:
    """Values against the equation, gradients against float64, slices of larger images, 1 to 3 threads."""
    image, kernel, padding, groups = shape
    rng = np.random.default_rng(seed)
    arrays = [drawn(rng, *image), drawn(rng, *kernel)] + ([drawn(rng, kernel[0])] if bias else [])
    options = {"padding": padding, "groups": groups}
    expected = convolution_reference(*arrays, **options)
    g = drawn(rng, *expected.shape)
    double = results(arrays, g, options, np.float64)
    assert apart(double[0], expected) < 1e-13
    found = at_threads(number, results, arrays, g, options, np.float32, beyond)
    for name, a, b in zip(("y", "gx", "gw", "gb"), found, double, strict=False):
        assert a.shape == b.shape
        assert apart(a, b) < 4e-6, (name, image, kernel, padding)


ERRORS = [  # images, features; bounds of y, gx, gw
    ((2, 64, 16, 16), 96, (1.5e-6, 1.8e-6, 1.2e-6)),
    ((8, 448, 7, 7), 64, (3.2e-6, 1.4e-6, 1.1e-6)),
    ((32, 16, 32, 32), 16, (0.9e-6, 0.9e-6, 4e-6)),
]


@pytest.mark.parametrize(("image", "features", "bounds"), ERRORS)
def test_error_beside_a_sum_over_the_taps(
    image: tuple[int, ...], features: int, bounds: tuple[float, ...], rng: np.random.Generator
) -> None:
    """Both are close to float64; Winograd's is the larger, by a factor that is known."""
    x, w, g = (
        drawn(rng, *image),
        drawn(rng, features, image[1], 3, 3),
        drawn(rng, image[0], features, *image[2:]),
    )
    exact = results([x, w], g, {"padding": 1}, np.float64)
    found = results([x, w], g, {"padding": 1}, np.float32)
    tn.set_conv_algorithm("im2row")
    direct = results([x, w], g, {"padding": 1}, np.float32)
    for a, b, c, bound in zip(found, direct, exact, bounds, strict=True):
        assert apart(b, c) < apart(a, c) < min(bound, 6 * apart(b, c))


@pytest.mark.parametrize(
    ("image", "features", "groups"),
    [
        ((9, 40, 23, 21), 70, 1),
        ((1, 33, 8, 8), 96, 1),
        ((2, 48, 6, 150), 32, 2),
        ((70, 17, 12, 12), 16, 1),
        ((1, 16, 5, 401), 20, 1),
    ],
)
def test_same_bits_on_any_number_of_threads(
    image: tuple[int, ...], features: int, groups: int, rng: np.random.Generator
) -> None:
    """Many pieces, few (in two steps), rows of tiles longer than a block, several ranges of weights."""
    x, w, b = drawn(rng, *image), drawn(rng, features, image[1] // groups, 3, 3), drawn(rng, features)
    g = drawn(rng, image[0], features, *image[2:])
    options = {"padding": 1, "groups": groups}
    found = [at_threads(n, results, [x, w, b], g, options, np.float32) for n in (1, 2, 3, 7)]
    for other in found[1:]:
        assert [a.tobytes() for a in other] == [a.tobytes() for a in found[0]]


def test_rows_of_tiles_longer_than_a_block(rng: np.random.Generator) -> None:
    """A piece then begins and ends within a row."""
    x, w, g = drawn(rng, 2, 20, 9, 500), drawn(rng, 33, 20, 3, 3), drawn(rng, 2, 33, 9, 500)
    exact = results([x, w], g, {"padding": 1}, np.float64)
    for number in (1, 3):
        found = at_threads(number, results, [x, w], g, {"padding": 1}, np.float32)
        assert all(apart(a, b) < 4e-6 for a, b in zip(found, exact, strict=True))


def test_a_long_sum_of_weights_is_cut_by_looks_for_signals(rng: np.random.Generator) -> None:
    """With 512 channels a turn is some 200 tiles, of which there are 256: some taps, by the equation."""
    x, g = (np.asarray(rng.standard_normal((16, 512, 16, 16)), np.float32) for _ in range(2))
    w = tn.zeros(512, 512, 3, 3, requires_grad=True)
    F.conv2d(tn.from_numpy(channels_last(x)), w, padding=1).backward(tn.from_numpy(channels_last(g)))
    assert w.grad is not None
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))).astype(np.float64)
    some = (0, 100, 511)
    expected = [
        [(padded[:, c, r : r + 16, s : s + 16] * g[:, k]).sum() for r in range(3) for s in range(3)]
        for k in some
        for c in some
    ]
    found = [w.grad.numpy()[k, c].ravel() for k in some for c in some]
    assert apart(np.array(found), np.array(expected)) < 4e-6


def test_transposed_convolution_and_one_axis(rng: np.random.Generator) -> None:
    """A transposed convolution of stride 1 is `data` with a bias; a kernel over one axis is not 3x3."""
    x, w, b = drawn(rng, 2, 20, 9, 7), drawn(rng, 20, 18, 3, 3), drawn(rng, 18)
    single, double = (
        F.conv_transpose2d(*(tn.from_numpy(a.astype(d)) for a in (x, w, b)), padding=1).numpy()
        for d in (np.float32, np.float64)
    )
    assert apart(single, double) < 2e-6
    row = [tn.from_numpy(a.astype(np.float32)) for a in (x[:, :, 0], w[:, :, 0])]
    y = F.conv1d(row[0], row[1].transpose(0, 1), padding=1)
    tn.set_conv_algorithm("auto")
    assert y.equal(F.conv1d(row[0], row[1].transpose(0, 1), padding=1))


def test_padding_same_is_padding_of_one(rng: np.random.Generator) -> None:
    x, w = (tn.from_numpy(drawn(rng, *s).astype(np.float32)) for s in ((2, 16, 6, 5), (16, 16, 3, 3)))
    assert F.conv2d(x, w, padding="same").equal(F.conv2d(x, w, padding=1))


def test_nan_and_infinity_fill_the_tiles_that_see_them() -> None:
    """As is written in set_conv_algorithm: not only the outputs whose windows see them; and no other tile."""
    for wild in (np.nan, np.inf):
        x = np.ones((2, 16, 12, 12), np.float32)
        x[1, 3, 4, 6] = wild  # seen by the tiles of rows 0-3 and 4-7, columns 4-7
        y = F.conv2d(tn.from_numpy(x), tn.ones(16, 16, 3, 3), padding=1).numpy()
        spoiled = np.zeros((2, 16, 12, 12), bool)
        spoiled[1, :, 0:8, 4:8] = True
        assert not np.isfinite(y[1, :, 3:6, 5:8]).any()
        assert np.isfinite(y[~spoiled]).all()


def test_a_batch_of_none_and_of_one() -> None:
    w = tn.ones(16, 16, 3, 3, requires_grad=True)
    y = F.conv2d(tn.ones(0, 16, 5, 5), w, padding=1)
    y.sum().backward()
    assert y.shape == (0, 16, 5, 5)
    assert w.grad is not None
    assert not w.grad.numpy().any()
    y = F.conv2d(tn.ones(16, 1, 1), w.detach(), padding=1)
    np.testing.assert_allclose(y.numpy(), np.full((16, 1, 1), 16.0), rtol=3e-6)


def test_gradients_of_two_readers_add_up(rng: np.random.Generator) -> None:
    """The second convolution that read x adds to the gradient of the first."""
    x, v, w, g = (drawn(rng, *s) for s in ((2, 17, 9, 6), (20, 17, 3, 3), (20, 17, 3, 3), (2, 20, 9, 6)))
    sums = []
    for dtype in (np.float32, np.float64):
        image = leaf(channels_last(x.astype(dtype)))
        shared = image * 1.0
        y, z = (F.conv2d(shared, tn.from_numpy(a.astype(dtype)), padding=1) for a in (v, w))
        (y + z).backward(tn.from_numpy(channels_last(g.astype(dtype))))
        assert image.grad is not None
        sums.append(image.grad.numpy())
    assert apart(sums[0], sums[1]) < 2e-6


# ---- the choice ---------------------------------------------------------------------------------------


def test_the_algorithm_is_chosen_by_name() -> None:
    assert tn.get_conv_algorithm() == "winograd"
    for name in ("direct", "im2row", "auto"):
        tn.set_conv_algorithm(name)
        assert tn.get_conv_algorithm() == name
    for wrong in ("fft", 3, None):
        with pytest.raises(ArgumentError, match="set_conv_algorithm: algorithm must be one of 'auto'"):
            tn.set_conv_algorithm(wrong)  # type: ignore[arg-type]
    assert tn.get_conv_algorithm() == "auto"


def test_algorithms_differ_in_rounding_only(rng: np.random.Generator) -> None:
    """'winograd' takes few channels too; what it cannot take is computed as by 'auto'."""
    x = tn.from_numpy(drawn(rng, 4, 32, 16, 16).astype(np.float32))
    kernels = [drawn(rng, *s).astype(np.float32) for s in ((32, 32, 3, 3), (5, 32, 3, 3), (32, 32, 5, 5))]
    outputs = {}
    for name in ("auto", "winograd", "im2row"):
        tn.set_conv_algorithm(name)
        outputs[name] = [F.conv2d(x, tn.from_numpy(w), padding=1).numpy() for w in kernels]
    for i in range(3):
        assert apart(outputs["winograd"][i], outputs["im2row"][i].astype(np.float64)) < 3e-6
    assert [(a != b).any() for a, b in zip(outputs["winograd"], outputs["im2row"], strict=True)] == [
        True,
        True,
        False,
    ]
    assert (outputs["auto"][0] == outputs["winograd"][0]).all()
    strided = [F.conv2d(x, tn.from_numpy(kernels[0]), stride=2).numpy()]
    tn.set_conv_algorithm("winograd")
    strided.append(F.conv2d(x, tn.from_numpy(kernels[0]), stride=2).numpy())
    assert (strided[0] == strided[1]).all()


@pytest.mark.parametrize(
    ("image", "features", "taken"),
    [((2, 16, 8, 8), 16, True), ((2, 15, 8, 8), 16, False), ((2, 16, 8, 8), 15, False),
     ((32, 16, 2, 2), 16, False), ((32, 16, 3, 3), 16, True), ((1, 16, 4, 4), 16, False)],
)  # fmt: skip
def test_the_rule_of_auto(
    image: tuple[int, ...], features: int, taken: bool, rng: np.random.Generator
) -> None:
    """Enough channels, enough tiles, and tiles that are mostly full; for all three functions alike."""
    x, w = drawn(rng, *image), drawn(rng, features, image[1], 3, 3)
    g = drawn(rng, image[0], features, *image[2:])
    found = {}
    for name in ("auto", "winograd", "im2row"):
        tn.set_conv_algorithm(name)
        found[name] = [a.tobytes() for a in results([x, w], g, {"padding": 1}, np.float32)]
    other = "winograd" if taken else "im2row"
    assert found["auto"] == found[other]
    assert found["winograd"] != found["im2row"]


def test_the_gradients_want_more_tiles_than_the_forward(rng: np.random.Generator) -> None:
    """Four tiles are enough for the one, not for the others."""
    x, w, g = (drawn(rng, *s) for s in ((1, 16, 8, 8), (16, 16, 3, 3), (1, 16, 8, 8)))
    found = {}
    for name in ("auto", "winograd", "im2row"):
        tn.set_conv_algorithm(name)
        found[name] = [a.tobytes() for a in results([x, w], g, {"padding": 1}, np.float32)]
    assert found["auto"] == [found["winograd"][0], *found["im2row"][1:]]
