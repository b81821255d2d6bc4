"""Group normalisation and batch normalisation of images: large means, layouts, edges, errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_running import channels_last

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F
from tinynet.ops import threads as ops_threads

Array = np.ndarray
FLOATS = (np.float32, np.float64)


def per_channel(x: Array, eps: float) -> Array:
    x = x.astype(np.float64)
    mu = x.mean((0, 2, 3), keepdims=True)
    return (x - mu) / np.sqrt(((x - mu) ** 2).mean((0, 2, 3), keepdims=True) + eps)


def per_group(x: Array, groups: int, eps: float) -> Array:
    parts = x.astype(np.float64).reshape(len(x), groups, -1)
    mu = parts.mean(2, keepdims=True)
    return ((parts - mu) / np.sqrt(((parts - mu) ** 2).mean(2, keepdims=True) + eps)).reshape(x.shape)


def image(rng: np.random.Generator, shape: tuple[int, ...], dtype: type = np.float32) -> Array:
    return rng.standard_normal(shape).astype(dtype)


# ---- accuracy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [1, 5, 16, 33, 70])
def test_a_large_mean_costs_no_accuracy(c: int, isa: str, rng: np.random.Generator) -> None:
    """Mean 1e4 and standard deviation 1e-2 in float32: as accurate as the numbers are."""
    x = (1e4 + 1e-2 * rng.standard_normal((3, c, 9, 7))).astype(np.float32)
    for laid in (x, channels_last(x)):
        y = F.batch_norm(tn.from_numpy(laid), None, None, training=True, eps=1e-12).numpy()
        np.testing.assert_allclose(y, per_channel(x, 1e-12), rtol=5e-6, atol=5e-6)
        y = F.group_norm(tn.from_numpy(laid), 1, eps=1e-12).numpy()
        np.testing.assert_allclose(y, per_group(x, 1, 1e-12), rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize("value", [0.1, 1e4, 1e30])
def test_constant_channels_stay_finite(value: float, isa: str) -> None:
    for door in (lambda x: F.batch_norm(x, None, None, training=True), lambda x: F.group_norm(x, 3)):
        x = tn.full((4, 6, 5, 3), value).requires_grad_()
        y = door(x)
        y.backward(tn.randn(4, 6, 5, 3))
        assert (np.abs(y.detach().numpy()) < 1e-3).all()
        assert np.isfinite(x.grad.numpy()).all()


def test_groups_far_apart(rng: np.random.Generator) -> None:
    """Channels of one group with different means: the variance between them counts."""
    x = image(rng, (2, 4, 5, 5)) + np.asarray([0.0, 1e3, -5.0, 7.0], np.float32).reshape(1, 4, 1, 1)
    y = F.group_norm(tn.from_numpy(x), 2).numpy()
    np.testing.assert_allclose(y, per_group(x, 2, 1e-5), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite_values_spoil_their_statistics_alone(bad: float, rng: np.random.Generator) -> None:
    for dtype in FLOATS:
        x = image(rng, (3, 4, 2, 2), dtype)
        x[1, 2, 0, 0] = bad
        y = F.batch_norm(tn.from_numpy(x), None, None, training=True).numpy()
        assert np.isnan(y[:, 2]).all()
        assert np.isfinite(np.delete(y, 2, axis=1)).all()
        y = F.group_norm(tn.from_numpy(x), 2).numpy()
        assert np.isnan(y[1, 2:]).all()
        assert np.isfinite(y[1, :2]).all()
        assert np.isfinite(y[[0, 2]]).all()


# ---- layouts -------------------------------------------------------------------------------------


def is_channels_last(a: Array) -> bool:
    return a.transpose(0, 2, 3, 1).flags.c_contiguous


DOORS: list[Callable[..., tn.Tensor]] = [
    lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
    lambda x, w, b: F.batch_norm(x, tn.zeros(8, dtype=x.dtype), tn.ones(8, dtype=x.dtype), w, b),
    lambda x, w, b: F.group_norm(x, 4, w, b),
]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("door", DOORS, ids=["train", "eval", "group"])
def test_images_come_out_channels_last(
    door: Callable[..., tn.Tensor], dtype: type, threads: int, rng: np.random.Generator
) -> None:
    """From either layout, and from a slice of the channels of a larger image: the same bits."""
    whole = channels_last(image(rng, (3, 20, 5, 6), dtype))
    sliced = whole[:, 5:13]
    upstream = channels_last(image(rng, (3, 20, 5, 6), dtype))[:, 2:10]
    results = []
    for x in (sliced, channels_last(sliced), np.ascontiguousarray(sliced)):
        for g in (upstream, np.ascontiguousarray(upstream)):
            leaves = [tn.from_numpy(a).requires_grad_() for a in (x, np.ones(8, dtype), np.zeros(8, dtype))]
            y = door(*leaves)
            y.backward(tn.from_numpy(g))
            assert is_channels_last(y.detach().numpy())
            results.append([y.detach().numpy(), *(t.grad.numpy() for t in leaves)])
            assert np.array_equal(x, sliced)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


@settings(max_examples=60)
@given(
    n=st.integers(1, 19),
    groups=st.integers(1, 5),
    k=st.integers(1, 23),
    h=st.integers(1, 9),
    w=st.integers(1, 9),
    last=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape(n: int, groups: int, k: int, h: int, w: int, last: bool, seed: int) -> None:
    """float32 against float64, batch and group normalisation, with gradients; the same bits on 2 threads."""
    rng = np.random.default_rng(seed)
    x, g = image(rng, (n, groups * k, h, w)), image(rng, (n, groups * k, h, w))
    weight, bias = image(rng, (groups * k,)), image(rng, (groups * k,))
    doors = [lambda x, w, b: F.group_norm(x, groups, w, b, eps=0.1)]
    if n * h * w > 1:
        doors.append(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True, eps=0.1))
    before, bound = tn.get_num_threads(), ops_threads._set_serial_work(0)
    for door in doors:
        found = []
        for dtype, threads in ((np.float64, 1), (np.float32, 1), (np.float32, 2)):
            tn.set_num_threads(threads)
            arrays = [channels_last(x) if last else x, weight, bias]
            leaves = [tn.from_numpy(a.astype(dtype)).requires_grad_() for a in arrays]
            y = door(*leaves)
            y.backward(tn.from_numpy(g.astype(dtype)))
            found.append([y.detach().numpy(), *(t.grad.numpy() for t in leaves)])
        for a, b, c in zip(*found, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=2e-6 * max(1.0, np.abs(a).max()))
            assert b.tobytes() == c.tobytes()
    tn.set_num_threads(before)
    ops_threads._set_serial_work(bound)


# ---- edges and errors ----------------------------------------------------------------------------


def test_batch_norm_of_little() -> None:
    layer = nn.BatchNorm2d(3)
    with pytest.raises(ShapeError, match=r"more than one value per channel in training; got \(1, 3, 1, 1\)"):
        layer(tn.zeros(1, 3, 1, 1))
    assert layer(tn.zeros(1, 3, 1, 2)).shape == (1, 3, 1, 2)
    assert layer.num_batches_tracked.item() == 1
    assert layer.eval()(tn.zeros(0, 3, 4, 4)).shape == (0, 3, 4, 4)
    x = tn.zeros(0, 3, 4, 4).requires_grad_()
    layer(x).sum().backward()
    assert x.grad.shape == (0, 3, 4, 4)
    assert layer.weight.grad.tolist() == [0.0] * 3


def test_batch_norm_2d_takes_images_only() -> None:
    layer = nn.BatchNorm2d(3)
    for shape in ((2, 3), (2, 3, 4), (2, 4, 3, 3), (3, 3, 3)):
        with pytest.raises(ShapeError, match=r"BatchNorm2d: input must have shape \(N, 3, H, W\); got"):
            layer(tn.zeros(shape))
    with pytest.raises(DTypeError, match="BatchNorm2d: input must be a Tensor; got ndarray"):
        layer(np.zeros((2, 3, 4, 4)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_with_constant_statistics_the_gradient_needs_no_input(dtype: type) -> None:
    """x may change in place after the forward, unless gamma wants its gradient; and its nan does not pass."""
    mean, var = tn.zeros(2, dtype=dtype), tn.ones(2, dtype=dtype)
    weight, bias = tn.full((2,), 3.0, dtype=dtype), tn.zeros(2, dtype=dtype).requires_grad_()
    x = tn.full((2, 2, 1, 1), float("nan"), dtype=dtype).requires_grad_()
    copy = x * 1.0
    y = F.batch_norm(copy, mean, var, weight, bias, eps=1e-12)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full((2, 2, 1, 1), 3.0), rtol=1e-6)
    assert bias.grad.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("dtype", FLOATS)
def test_group_norm_layer(dtype: type, rng: np.random.Generator) -> None:
    layer = nn.GroupNorm(2, 6, eps=1e-3, dtype=dtype)
    x = image(rng, (3, 6, 4, 5), dtype)
    np.testing.assert_allclose(
        layer(tn.from_numpy(x)).detach().numpy(), per_group(x, 2, 1e-3), rtol=1e-5, atol=1e-5
    )
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert repr(layer) == "GroupNorm(2, 6, eps=0.001, affine=True, bias=True)"
    with tn.no_grad():
        layer.weight.fill_(5.0)
        layer.bias.fill_(5.0)
    layer.reset_parameters()
    assert layer.weight.tolist() == [1.0] * 6
    assert layer.bias.tolist() == [0.0] * 6
    unshifted = nn.GroupNorm(2, 6, dtype=dtype, bias=False)
    assert list(unshifted.state_dict()) == ["weight"]
    np.testing.assert_allclose(
        unshifted(tn.from_numpy(x)).detach().numpy(), per_group(x, 2, 1e-5), rtol=1e-5, atol=1e-5
    )
    plain = nn.GroupNorm(6, 6, affine=False, dtype=dtype)
    assert list(plain.parameters()) == []
    plain.reset_parameters()
    assert plain(tn.zeros(0, 6, 2, dtype=dtype)).shape == (0, 6, 2)


def test_a_group_of_one_value_gives_the_bias() -> None:
    x = tn.tensor([[3.0, -4.0]]).requires_grad_()
    y = F.group_norm(x, 2, tn.ones(2), tn.tensor([1.0, 2.0]))
    y.sum().backward()
    assert y.tolist() == [[1.0, 2.0]]
    assert x.grad.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.group_norm(tn.zeros(3), 1), ShapeError, "input must have shape (N, C, ...); got (3,)"),
        (
            lambda: F.group_norm(tn.zeros(2, 5), 2),
            ShapeError,
            "input must have a number of channels that num_groups = 2 divides; got (2, 5)",
        ),
        (lambda: F.group_norm(tn.zeros(2, 4), 0), ArgumentError, "num_groups must be a positive int; got 0"),
        (lambda: F.group_norm(tn.zeros(2, 4), 2.0), DTypeError, "num_groups must be a positive int; got 2.0"),
        (lambda: F.group_norm(tn.zeros(2, 4), 2, eps=0), ArgumentError, "eps must be a finite number > 0"),
        (lambda: F.group_norm(tn.arange(4).reshape(1, 4), 2), DTypeError, "input must be float32 or float64"),
        (
            lambda: F.group_norm(tn.zeros(2, 4), 2, tn.zeros(3)),
            ShapeError,
            "weight must have shape (C,) with C = 4 to match input (2, 4); got (3,)",
        ),
        (
            lambda: F.group_norm(tn.zeros(2, 4), 2, None, tn.zeros(4, 1)),
            ShapeError,
            "bias must have shape (C,) with C = 4",
        ),
        (
            lambda: F.group_norm(tn.zeros(2, 4), 2, tn.zeros(4, dtype="f8")),
            DTypeError,
            "weight must have the dtype of input, float32; got float64",
        ),
        (lambda: nn.GroupNorm(2, 5), ArgumentError, "num_channels must be a multiple of num_groups=2; got 5"),
        (lambda: nn.GroupNorm(2, 4)(tn.zeros(2, 6)), ShapeError, "must have shape (N, 4, ...); got (2, 6)"),
        (lambda: nn.GroupNorm(2, 4)(3), DTypeError, "input must be a Tensor; got int"),
        (lambda: nn.GroupNorm(2, 4, device="cuda"), NotImplementedError, "device"),
        (lambda: nn.LocalResponseNorm(0), ArgumentError, "size must be a positive int; got 0"),
        (lambda: nn.LocalResponseNorm(2, k="1"), DTypeError, "k must be a finite number; got '1'"),
    ],
)  # fmt: skip
def test_errors(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)


def test_local_response_norm(rng: np.random.Generator) -> None:
    x = image(rng, (2, 5, 3, 4), np.float64)
    expected = np.empty_like(x)
    for c in range(5):
        window = x[:, max(c - 2, 0) : c + 2]  # 4 // 2 before, 3 // 2 after
        expected[:, c] = x[:, c] / (2.0 + 0.5 / 4 * (window**2).sum(1)) ** 0.75
    layer = nn.LocalResponseNorm(4, alpha=0.5, beta=0.75, k=2.0)
    np.testing.assert_allclose(layer(tn.from_numpy(x)).numpy(), expected, rtol=1e-12)
    assert repr(layer) == "LocalResponseNorm(4, alpha=0.5, beta=0.75, k=2.0)"


# ---- PyTorch -------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("flags", [(True, True), (False, True), (True, False)])
def test_batch_norm_2d_modes(momentum: float | None, flags: tuple[bool, bool]) -> None:
    import torch

    options = {"momentum": momentum, "affine": flags[0], "track_running_stats": flags[1]}
    ours = nn.BatchNorm2d(4, **options, dtype=np.float64)
    theirs = torch.nn.BatchNorm2d(4, **options, dtype=torch.float64)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    rng = np.random.default_rng(0)
    for training in (True, True, False, True, False):
        x = rng.normal(size=(3, 4, 5, 2)) * 2 + 1
        y, want = ours.train(training)(tn.tensor(x)), theirs.train(training)(torch.tensor(x))
        np.testing.assert_allclose(y.detach().numpy(), want.detach().numpy(), rtol=1e-9, atol=1e-11)
        for name, t in theirs.state_dict().items():
            np.testing.assert_allclose(ours.state_dict()[name].numpy(), t.numpy(), rtol=1e-12, err_msg=name)


@pytest.mark.parity
@pytest.mark.parametrize(
    "build",
    [
        lambda lib: lib.GroupNorm(3, 6),
        lambda lib: lib.GroupNorm(6, 6, affine=False),
        lambda lib: lib.GroupNorm(2, 6, bias=False),
        lambda lib: lib.LocalResponseNorm(4, 0.5, 0.6, 2.0),
    ],
)
def test_layers_are_pytorchs(build: Callable[..., object]) -> None:
    import torch

    ours, theirs = build(nn), build(torch.nn)
    x = np.random.default_rng(0).standard_normal((2, 6, 5, 4)).astype(np.float32)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    np.testing.assert_allclose(
        ours(tn.from_numpy(x)).detach().numpy(),
        theirs(torch.from_numpy(x)).detach().numpy(),
        rtol=1e-5,
        atol=1e-6,
    )
