"""Images between layouts: what layout results have, and the same values whatever the operands' layouts."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_cases import Array
from ops_running import channels_last, fortran

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, ShapeError
from tinynet.nn import functional as F
from tinynet.ops import threads as ops_threads


def filled(shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """What stands around a slice and must not be read."""
    return np.full(shape, np.nan if dtype.kind == "f" else 77, dtype)


def channel_slice(a: Array) -> Array:
    """Channels 1 to C of a channels-last image of C + 3 channels."""
    n, c, h, w = a.shape
    view = channels_last(filled((n, c + 3, h, w), a.dtype))[:, 1 : c + 1]
    view[...] = a
    return view


def channel_slice_first(a: Array) -> Array:
    """The same of an image in C order."""
    n, c, h, w = a.shape
    view = filled((n, c + 3, h, w), a.dtype)[:, 1 : c + 1]
    view[...] = a
    return view


def crop(a: Array) -> Array:
    """A part of larger channels-last images."""
    n, c, h, w = a.shape
    view = channels_last(filled((n, c, h + 2, w + 3), a.dtype))[:, :, 1 : h + 1, 2 : w + 2]
    view[...] = a
    return view


def every_other(a: Array) -> Array:
    n, c, h, w = a.shape
    view = channels_last(filled((n, 2 * c, h, 2 * w), a.dtype))[:, ::2, ::-1, 1::2]
    view[...] = a
    return view


LAYOUTS: tuple[Callable[[Array], Array], ...] = (
    np.ascontiguousarray, channels_last, channel_slice, channel_slice_first, crop, every_other, fortran,
)  # fmt: skip
layouts = st.sampled_from(LAYOUTS)
extents = st.tuples(*(st.integers(1, top) for top in (3, 37, 9, 9)))
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True)
def _parallel_from_the_start() -> Iterator[None]:
    threads, work = tn.get_num_threads(), ops_threads._set_serial_work(0)
    yield
    tn.set_num_threads(threads)
    ops_threads._set_serial_work(work)


def single(rng: np.random.Generator, *shape: int) -> Array:
    return np.asarray(rng.standard_normal(shape), np.float32)


def is_last(t: tn.Tensor) -> bool:
    return t.is_contiguous(memory_format=tn.channels_last)


def leaf(a: Array) -> tn.Tensor:
    return tn.from_numpy(a).requires_grad_()


def gradient(t: tn.Tensor) -> Array:
    assert t.grad is not None
    return t.grad.numpy()


# ---- copies ----------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(shape=extents, lay=layouts, dtype=st.sampled_from([np.float32, np.float64, np.int64]), seed=seeds)
def test_copies_between_layouts(
    shape: tuple[int, ...], lay: Callable[[Array], Array], dtype: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tn.set_num_threads(int(rng.integers(1, 4)))
    x = lay(np.asarray(rng.standard_normal(shape) * 100, dtype))
    t = tn.from_numpy(x)
    for y in (
        t.contiguous(),
        t.contiguous(memory_format=tn.channels_last),
        t.clone(),
        t.clone(memory_format=tn.channels_last),
        t.flatten(1).reshape(shape),
        t.to(memory_format=tn.channels_last),
    ):
        assert y.shape == shape
        assert np.array_equal(y.numpy(), x)
    assert is_last(t.contiguous(memory_format=tn.channels_last))
    assert t.contiguous().is_contiguous()


@pytest.mark.parametrize(
    "shape", [(128, 3, 32, 32), (2, 64, 32, 32), (64, 50, 4, 4), (3, 17, 33, 1), (2, 300, 9, 7)]
)
def test_copies_of_many_pieces(shape: tuple[int, ...], threads: int, rng: np.random.Generator) -> None:
    x = single(rng, *shape)
    x.reshape(-1)[:3] = np.nan, -np.inf, 1e-42
    last = tn.from_numpy(x).contiguous(memory_format=tn.channels_last)
    assert last.numpy().tobytes() == x.tobytes()
    assert last.contiguous().numpy().tobytes() == x.tobytes()
    assert last.flatten(1).numpy().tobytes() == x.tobytes()


def test_copies_of_more_axes(threads: int, rng: np.random.Generator) -> None:
    x = single(rng, 3, 4, 5, 6, 7)
    for order in ((0, 2, 3, 4, 1), (4, 3, 2, 1, 0), (1, 0, 2, 4, 3), (0, 4, 1, 2, 3)):
        y = tn.from_numpy(x).permute(*order).contiguous()
        assert np.array_equal(y.numpy(), x.transpose(order))


def test_memory_formats() -> None:
    x = tn.ones(2, 3, 4, 5)
    y = x.contiguous(memory_format=tn.channels_last)
    assert y.stride() == (60, 1, 15, 3)
    assert y.contiguous(memory_format=tn.channels_last) is y
    assert x.contiguous(memory_format=tn.contiguous_format) is x
    assert not x.is_contiguous(memory_format=tn.channels_last)
    assert not y.is_contiguous()
    assert not tn.ones(3).is_contiguous(memory_format=tn.channels_last)
    assert not y[:, :2].is_contiguous(memory_format=tn.channels_last)  # gaps between the pixels
    assert tn.ones(2, 1, 4, 5).is_contiguous(memory_format=tn.channels_last)  # one channel: both
    assert x.to(tn.float64, memory_format=tn.channels_last).stride() == (60, 1, 15, 3)
    assert y.to("cpu", memory_format=tn.preserve_format) is y
    assert y.clone().stride() == y.stride()
    assert y.clone(memory_format=tn.contiguous_format).is_contiguous()
    assert repr(tn.channels_last) == "tinynet.channels_last"
    net = nn.Linear(2, 3)
    assert net.to(memory_format=tn.channels_last) is net
    with pytest.raises(
        ShapeError, match=r"contiguous: a tensor must have shape \(N, C, H, W\) .* got \(3,\)"
    ):
        tn.ones(3).contiguous(memory_format=tn.channels_last)
    with pytest.raises(
        ArgumentError, match=r"contiguous: memory_format must be .* got tinynet\.preserve_format"
    ):
        x.contiguous(memory_format=tn.preserve_format)
    with pytest.raises(NotImplementedError, match=r"to: memory_format must be one of .* got 3"):
        x.to(memory_format=3)


# ---- layouts of results ----------------------------------------------------------------------------------


def test_layouts_of_elementwise_results(rng: np.random.Generator) -> None:
    a = single(rng, 2, 3, 4, 5)
    first, last, sliced = (tn.from_numpy(f(a)) for f in (np.ascontiguousarray, channels_last, channel_slice))
    channels, one, bias = tn.ones(1, 3, 1, 1), tn.ones(3, 1, 1), tn.ones(2, 1, 4, 5)
    for f in (operator.add, operator.mul, operator.pow):
        for x, y in ((last, first), (first, last), (last, last), (sliced, first), (first, sliced)):
            assert is_last(f(x, y)), f
        assert f(first, first).is_contiguous()
        for other in (channels, one, bias, tn.tensor(2.0)):
            assert is_last(f(last, other)), f
            assert is_last(f(other, sliced)), f
    for f in (F.relu, F.sigmoid, F.gelu, tn.exp, tn.neg, F.elu):
        assert is_last(f(last))
        assert is_last(f(sliced))
        assert f(first).is_contiguous()


def test_layouts_of_images_put_together(rng: np.random.Generator) -> None:
    a, b = single(rng, 2, 3, 4, 5), single(rng, 2, 4, 4, 5)
    for f in LAYOUTS:
        assert is_last(tn.cat([tn.from_numpy(f(a)), tn.from_numpy(b)], 1))
    assert is_last(tn.cat([tn.from_numpy(a), tn.from_numpy(channels_last(a))]))
    assert tn.cat([tn.from_numpy(a), tn.from_numpy(a)]).is_contiguous()
    assert is_last(F.pad(tn.from_numpy(a), (1, 1, 1, 1)))
    assert is_last(F.pad(tn.from_numpy(a), (1, 1), "replicate"))


def test_the_gradient_of_flatten_lies_as_its_input(rng: np.random.Generator) -> None:
    x = leaf(channels_last(single(rng, 2, 3, 4, 5)))
    g = single(rng, 2, 60)
    (x * 1.0).flatten(1).backward(tn.from_numpy(g))
    assert np.array_equal(gradient(x), g.reshape(2, 3, 4, 5))
    assert is_last(x.grad)
    y = tn.from_numpy(channels_last(single(rng, 2, 6, 1, 1)))
    assert np.shares_memory(y.flatten(1).numpy(), y.numpy())  # nothing to move


# ---- values ----------------------------------------------------------------------------------------------

OPERATIONS = (operator.add, operator.sub, operator.mul, operator.truediv)


@settings(max_examples=200)
@given(shape=extents, cut=st.lists(st.booleans(), min_size=4, max_size=4), first=layouts, second=layouts,
       third=layouts, seed=seeds)  # fmt: skip
def test_two_images_in_any_layouts(
    shape: tuple[int, ...],
    cut: list[bool],
    first: Callable[[Array], Array],
    second: Callable[[Array], Array],
    third: Callable[[Array], Array],
    seed: int,
) -> None:
    """Values to the last bit as NumPy has them; gradients of broadcast operands within rounding."""
    rng = np.random.default_rng(seed)
    tn.set_num_threads(int(rng.integers(1, 4)))
    other = tuple(1 if c else n for n, c in zip(shape, cut, strict=True))
    x, y, g = first(single(rng, *shape)), second(single(rng, *other)), third(single(rng, *shape))
    if rng.random() < 0.3:
        x, y, other = y, x, shape
    f = OPERATIONS[rng.integers(4)]
    a, b = leaf(x), leaf(y)
    z = f(a, b)
    with np.errstate(all="ignore"):
        expected = f(x, y)
    assert np.array_equal(z.detach().numpy(), expected, equal_nan=True)
    z.backward(tn.from_numpy(g))
    p, q, h = x.astype(np.float64), y.astype(np.float64), g.astype(np.float64)
    slopes = {
        operator.add: (h, h), operator.sub: (h, -h), operator.mul: (h * q, h * p),
        operator.truediv: (h / q, -h * p / q**2),
    }[f]  # fmt: skip
    for t, slope in zip((a, b), slopes, strict=True):
        axes = tuple(d for d in range(4) if t.shape[d] < slope.shape[d])
        wanted, size = slope.sum(axes, keepdims=True), np.abs(slope).sum(axes, keepdims=True)
        assert (np.abs(gradient(t) - wanted) <= 1e-6 * size).all()


@settings(max_examples=100)
@given(shape=extents, lay=layouts, other=layouts, seed=seeds)
def test_activations_of_images_in_any_layout(
    shape: tuple[int, ...], lay: Callable[[Array], Array], other: Callable[[Array], Array], seed: int
) -> None:
    """The bits of the dense image, forwards and backwards."""
    rng = np.random.default_rng(seed)
    x, g = single(rng, *shape), single(rng, *shape)
    for f in (F.relu, F.sigmoid, F.gelu, lambda t: F.leaky_relu(t, 0.1), lambda t: F.elu(t, 0.5)):
        tn.set_num_threads(int(rng.integers(1, 4)))
        a, b = leaf(x), leaf(lay(x))
        y, z = f(a), f(b)
        y.backward(tn.from_numpy(g))
        z.backward(tn.from_numpy(other(g)))
        assert z.detach().numpy().tobytes() == y.detach().numpy().tobytes()
        assert gradient(b).tobytes() == gradient(a).tobytes()


@settings(max_examples=150)
@given(shape=extents, lay=layouts, dims=st.sets(st.integers(0, 3), min_size=1), seed=seeds)
def test_sums_of_images_in_any_layout(
    shape: tuple[int, ...], lay: Callable[[Array], Array], dims: set[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tn.set_num_threads(int(rng.integers(1, 4)))
    x, axes = single(rng, *shape) + np.float32(2), tuple(dims)
    a = leaf(lay(x))
    exact = x.astype(np.float64)
    for keepdim in (False, True):
        mean = a.mean(axes, keepdim)
        np.testing.assert_allclose(
            mean.detach().numpy(), exact.mean(axes, keepdims=keepdim), rtol=3e-7, atol=1e-7
        )
        np.testing.assert_array_equal(a.amax(axes, keepdim).detach().numpy(), x.max(axes, keepdims=keepdim))
    variance = a.var(axes, correction=0).detach().numpy()
    np.testing.assert_allclose(variance, exact.var(axes), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(a.argmax(1).numpy(), x.argmax(1))
    g = single(rng, *mean.shape)
    mean.backward(tn.from_numpy(g))
    count = x.size // g.size
    np.testing.assert_allclose(gradient(a), np.broadcast_to(g / count, shape), rtol=1e-6)


@settings(max_examples=60)
@given(parts=st.lists(st.integers(0, 20), min_size=1, max_size=5), dim=st.integers(0, 3), seed=seeds)
def test_images_put_together_in_any_layouts(parts: list[int], dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tn.set_num_threads(int(rng.integers(1, 4)))
    shapes = [tuple(n if d == dim else (2, 3, 4, 5)[d] for d in range(4)) for n in parts]
    arrays = [single(rng, *s) for s in shapes]
    leaves = [leaf(LAYOUTS[rng.integers(len(LAYOUTS))](a)) for a in arrays]
    y = tn.cat(leaves, dim)
    assert y.detach().numpy().tobytes() == np.concatenate(arrays, dim).tobytes()
    g = single(rng, *y.shape)
    y.backward(tn.from_numpy(g))
    at = 0
    for t, n in zip(leaves, parts, strict=True):
        assert np.array_equal(gradient(t), np.take(g, range(at, at + n), dim))
        at += n


@settings(max_examples=60)
@given(shape=extents, first=layouts, second=layouts, seed=seeds)
def test_gradients_in_any_layouts_add_up(
    shape: tuple[int, ...], first: Callable[[Array], Array], second: Callable[[Array], Array], seed: int
) -> None:
    """Two consumers give their gradients, one a slice of a concatenation."""
    rng = np.random.default_rng(seed)
    x = leaf(first(single(rng, *shape)))
    g = single(rng, shape[0], 2 * shape[1], *shape[2:])
    h = x * 1.0
    tn.cat([h, h], 1).backward(tn.from_numpy(second(g)))
    assert np.array_equal(gradient(x), g[:, : shape[1]] + g[:, shape[1] :])


# ---- in place --------------------------------------------------------------------------------------------


def test_relu_in_place_of_images(rng: np.random.Generator) -> None:
    a = single(rng, 2, 5, 4, 3)
    for f in LAYOUTS:
        x = tn.from_numpy(f(a.copy()))
        y = F.relu(x, inplace=True)
        assert y is x
        assert np.array_equal(x.numpy(), np.maximum(a, 0))
    larger = tn.from_numpy(channels_last(a.copy()))
    F.relu(larger[:, 1:3], inplace=True)
    a[:, 1:3] = np.maximum(a[:, 1:3], 0)
    assert np.array_equal(larger.numpy(), a)


def test_relu_in_place_after_batch_norm(rng: np.random.Generator) -> None:
    """Batch normalisation saves its input, so ReLU may write over its output."""
    x, g = channels_last(single(rng, 4, 5, 3, 3)), single(rng, 4, 5, 3, 3)
    gradients = []
    for inplace in (False, True):
        t = leaf(x.copy("K"))
        norm = nn.BatchNorm2d(5)
        h = norm(t * 1.0)
        y = nn.ReLU(inplace)(h)
        assert np.shares_memory(y.detach().numpy(), h.detach().numpy()) is inplace
        y.backward(tn.from_numpy(g))
        gradients.append([gradient(t), gradient(norm.weight)])
    for a, b in zip(*gradients, strict=True):
        assert a.tobytes() == b.tobytes()


def test_operands_that_share_memory(rng: np.random.Generator) -> None:
    """In place with a shifted view of the same image: every element is read before it is overwritten."""
    for lay in (np.ascontiguousarray, channels_last):
        a = lay(single(rng, 2, 6, 4, 5))
        expected = a.copy()
        expected[:, 1:] += expected[:, :-1].copy()
        t = tn.from_numpy(a)
        t[:, 1:].add_(t[:, :-1])
        assert np.array_equal(a, expected)


# ---- edges -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(0, 3, 4, 5), (2, 0, 4, 5), (2, 3, 0, 5), (1, 1, 1, 1), (2, 3, 1, 1), (1, 8, 1, 9)]
)
def test_empty_and_single_extents(shape: tuple[int, ...], threads: int, rng: np.random.Generator) -> None:
    a = single(rng, *shape)
    for lay in (np.ascontiguousarray, channels_last, channel_slice, crop):
        x = leaf(lay(a))
        y = F.relu(x + tn.ones(1, shape[1], 1, 1)) * tn.from_numpy(a)
        z = tn.cat([y, y], 1).contiguous().flatten(1)
        assert z.shape == (shape[0], 2 * shape[1] * shape[2] * shape[3])
        z.sum().backward()
        np.testing.assert_allclose(gradient(x), np.where(a + 1 > 0, 2 * a, 0), rtol=1e-6)
        assert x.sum((0, 2, 3)).shape == (shape[1],)
        assert x.mean((2, 3), keepdim=True).shape == (*shape[:2], 1, 1)


def test_special_values_in_any_layout() -> None:
    """Infinities, NaN and subnormal numbers pass copies, sums of two images and ReLU."""
    a = np.asarray([np.inf, -np.inf, np.nan, 1e-42, -0.0, 3e38, 1.0, 2.0], np.float32).reshape(1, 8, 1, 1)
    a = np.ascontiguousarray(np.broadcast_to(a, (2, 8, 3, 3)))
    for lay in LAYOUTS:
        x = tn.from_numpy(lay(a))
        with np.errstate(all="ignore"):
            assert (x + x).numpy().tobytes() == (a + a).tobytes()
        assert x.contiguous().numpy().tobytes() == a.tobytes()
        assert np.array_equal(F.relu(x).numpy()[0, :3, 0, 0], [np.inf, 0, np.nan], equal_nan=True)
