"""Weights kept in the form that products read (ops/prepared.pyx): nobody may be able to tell."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn, optim
from tinynet.nn import functional as F
from tinynet.nn.utils import vector_to_parameters
from tinynet.ops import kernels, prepared

Layer = Callable[[tn.Tensor], tn.Tensor]

# The forms: a layer's function of its weight, and the weight's shape.
LAYERS: dict[str, tuple[Callable[[tn.Tensor, tn.Tensor], tn.Tensor], tuple[int, ...]]] = {
    "winograd": (lambda x, w: F.conv2d(x, w, padding=1), (24, 32, 3, 3)),
    "winograd, turned": (lambda x, w: F.conv_transpose2d(x, w, padding=1), (32, 24, 3, 3)),
    "winograd, groups": (lambda x, w: F.conv2d(x, w, padding=1, groups=2), (40, 16, 3, 3)),
    "panels, 1x1": (lambda x, w: F.conv2d(x, w), (24, 32, 1, 1)),
    "panels, stride 2": (lambda x, w: F.conv2d(x, w, padding=1, stride=2, groups=2), (24, 16, 3, 3)),
    "panels, one axis": (lambda x, w: F.conv1d(x[:, :, 0], w, padding=1), (24, 32, 3)),
}


before_test = 0


@pytest.fixture(autouse=True)
def _goes_with_its_weights() -> Iterator[None]:
    """Each test ends with no more kept than there was before."""
    global before_test
    before_test = prepared._bytes_kept()
    yield
    assert bytes_kept() == 0


def bytes_kept() -> int:
    """Those that the test's own weights have."""
    return prepared._bytes_kept() - before_test


@pytest.fixture
def x() -> tn.Tensor:
    return tn.randn(1, 32, 9, 10)


def now(function: Callable[..., tn.Tensor], *arguments: Any) -> bytes:
    """The result with what is kept."""
    with tn.no_grad():
        return function(*arguments).numpy().tobytes()


def anew(function: Callable[..., tn.Tensor], *arguments: Any) -> bytes:
    """The result with nothing kept."""
    limit = prepared._set_limit(0)
    try:
        return now(function, *arguments)
    finally:
        prepared._set_limit(limit)


def conv3(x: tn.Tensor, w: tn.Tensor, groups: int = 1) -> tn.Tensor:
    """A convolution that 'auto' gives to Winograd's algorithm."""
    return F.conv2d(x, w, padding=1, groups=groups)


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(tn.randn(*shape))


def step(w: nn.Parameter) -> None:
    w.grad = tn.ones(*w.shape)
    optim.SGD([w], lr=0.1).step()


def adam_of_all(w: nn.Parameter) -> None:
    """A second step by an optimiser that has seen the parameter before."""
    w.grad = tn.ones(*w.shape)
    optimizer = optim.Adam([w])
    optimizer.step()
    now(F.conv2d, tn.ones(1, w.shape[1], 4, 4), w[:, :, :1, :1] if w.ndim == 4 else w[:, :, :1, None])
    optimizer.step()


def load(w: nn.Parameter) -> None:
    layer = nn.ParameterList([w])
    layer.load_state_dict({"0": tn.randn(*w.shape)})


def dlpack(w: nn.Parameter) -> None:
    np.from_dlpack(w.detach())[...] = 0.5  # type: ignore[arg-type]


def through_a_slice(w: nn.Parameter) -> None:
    w[1:, :3].zero_()


def through_data(w: nn.Parameter) -> None:
    w.data[0] = 3


def new_memory(w: nn.Parameter) -> None:
    w.data = tn.randn(*w.shape)


CHANGES: dict[str, Callable[[nn.Parameter], object]] = {
    "mul_": lambda w: w.mul_(2),
    "copy_": lambda w: w.copy_(tn.randn(*w.shape)),
    "one element": lambda w: w.__setitem__((0,) * w.ndim, 7.0),
    "a slice": through_a_slice,
    "relu_": lambda w: F.relu(w, inplace=True),
    ".data": through_data,
    ".data =": new_memory,
    "detach": lambda w: w.detach().add_(1),
    "init": lambda w: nn.init.uniform_(w),
    "SGD": step,
    "Adam": adam_of_all,
    "load_state_dict": load,
    "vector_to_parameters": lambda w: vector_to_parameters(tn.randn(w.numel()), [w]),
    "numpy": lambda w: w.detach().numpy().__imul__(3),
    "numpy of a slice": lambda w: w.detach()[1].numpy().fill(1),
    "asarray": lambda w: np.asarray(w.detach()).fill(0.25),
    "view of a view": lambda w: w.detach().numpy().reshape(-1)[::2].fill(1),
    "memoryview": lambda w: memoryview(w.detach().numpy()).cast("B").__setitem__(0, 77),
    "dlpack": dlpack,
    "from_numpy": lambda w: tn.from_numpy(w.detach().numpy()).mul_(2),
    "from_dlpack": lambda w: tn.from_dlpack(np.from_dlpack(w.detach())).mul_(2),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_weights_is_seen(kind: str, change: str, x: tn.Tensor) -> None:
    layer, shape = LAYERS[kind]
    w = parameter(*shape)
    first = now(layer, x, w)
    assert bytes_kept() > 0
    assert now(layer, x, w) == first == anew(layer, x, w)
    with tn.no_grad():
        CHANGES[change](w)
    changed = now(layer, x, w)
    assert changed == anew(layer, x, w)
    assert changed != first
    assert now(layer, x, w) == changed
    assert bytes_kept() > 0  # of the weights as they are now


FAILING: dict[str, Callable[[tn.Tensor], object]] = {
    "a slice": lambda w: w.__setitem__((0, 0, 0), np.array([7, 8, "x"], object)),
    "all": lambda w: w.__setitem__(..., np.array([7, 8, "x"], object)),
    "fill_": lambda w: w.fill_(np.array([7, 8, "x"], object)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("change", FAILING)
def test_a_write_that_fails_half_way_is_a_change(change: str, x: tn.Tensor) -> None:
    w = tn.randn(24, 32, 3, 3)
    first = now(conv3, x, w)
    with pytest.raises(tn.errors.ArgumentError, match="fit"):
        FAILING[change](w)
    assert w.flatten()[0].item() == 7
    assert now(conv3, x, w) == anew(conv3, x, w) != first


HOLDERS: dict[str, Callable[[tn.Tensor], Any]] = {
    "numpy": lambda w: w.numpy(),
    "a view of it": lambda w: w.numpy()[1:].T,
    "numpy of a slice": lambda w: w[:2].numpy(),
    "asarray": np.asarray,
    "memoryview": lambda w: np.asarray(memoryview(w.numpy())),
    "dlpack": np.from_dlpack,
    "a tensor over it": lambda w: tn.from_numpy(w.numpy()).numpy(),
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("kept_before", [False, True])
def test_an_array_that_code_outside_holds_may_change_at_any_time(
    holder: str, kept_before: bool, x: tn.Tensor
) -> None:
    layer, shape = LAYERS["winograd"]
    w = tn.randn(*shape)
    if kept_before:
        now(layer, x, w)
    view = HOLDERS[holder](w)
    for value in (1.0, 2.0, 3.0):
        view[...] = value
        assert now(layer, x, w) == anew(layer, x, w)
        assert bytes_kept() == 0
    del view
    now(layer, x, w)
    assert bytes_kept() > 0  # nobody holds it any more


def test_memory_from_outside_is_never_kept(x: tn.Tensor) -> None:
    layer, shape = LAYERS["winograd"]
    a = np.ones(shape, np.float32)
    w = tn.from_numpy(a)
    for value in (1.0, 2.0):
        a[...] = value
        assert now(layer, x, w) == anew(layer, x, w)
        assert bytes_kept() == 0


def test_another_weight_in_the_same_memory(x: tn.Tensor) -> None:
    layer, shape = LAYERS["panels, 1x1"]
    addresses = set()
    for _ in range(6):
        w = tn.randn(*shape)
        addresses.add(w.numpy().ctypes.data)
        assert now(layer, x, w) == anew(layer, x, w)
        assert bytes_kept() > 0
        del w
        assert bytes_kept() == 0
    assert len(addresses) < 6


def test_a_weight_assigned_in_place_of_another(x: tn.Tensor) -> None:
    model = nn.Conv2d(32, 24, 3, padding=1)
    first = now(model, x)
    former = model.weight
    model.weight = parameter(24, 32, 3, 3)
    assert now(model, x) == anew(model, x) != first
    model.weight = former
    assert now(model, x) == first


def test_a_gradient_written_over_a_saved_array(x: tn.Tensor) -> None:
    """Batch normalisation's gradient takes the memory of its input, if nobody else holds that."""
    leaf = tn.randn(24, 32, 3, 3).contiguous(memory_format=tn.channels_last).requires_grad_()
    w = leaf * 2
    kernel = w.detach()
    before = now(conv3, x, kernel)
    address, seen = kernel.numpy().ctypes.data, []
    now(conv3, x, kernel)  # kept again
    w.register_hook(seen.append)
    y = F.batch_norm(w, None, None, training=True)
    del w, kernel
    (y * tn.randn(*y.shape)).sum().backward()
    found = now(conv3, x, seen[0])
    assert found == anew(conv3, x, seen[0]) != before
    assert seen[0].numpy().ctypes.data == address
    seen.clear()


def test_views_of_one_memory(x: tn.Tensor) -> None:
    """Each has a form of its own, and a write to one is a write to all."""
    flat = tn.randn(3, 24, 32, 3, 3)
    turned = flat[2].transpose(2, 3)
    views = [flat[0], flat[1], flat[2], turned]
    for _ in range(2):
        for w in views:
            assert now(conv3, x, w) == anew(conv3, x, w)
    kept = bytes_kept()
    assert kept > 4 * 4 * flat[0].numel() * 4
    flat[2].mul_(2)
    for w in views:
        assert now(conv3, x, w) == anew(conv3, x, w)
    assert bytes_kept() == kept


def test_a_block_keeps_a_bounded_number_of_forms() -> None:
    """They are searched and freed one after the other."""
    x, w = tn.randn(1, 1, 4, 4), tn.randn(300, 1, 1, 1)
    expected = [anew(F.conv2d, x, w[i : i + 1]) for i in range(300)]
    now(F.conv2d, x, w[:1])
    one = bytes_kept()
    for _ in range(2):
        assert [now(F.conv2d, x, w[i : i + 1]) for i in range(300)] == expected
        assert bytes_kept() == 64 * one


def test_algorithms_and_kernels_have_forms_of_their_own(x: tn.Tensor) -> None:
    w = tn.randn(24, 32, 3, 3)
    former = kernels.chosen()
    try:
        for isa in (*kernels.available(), former):
            kernels._select(isa)
            for algorithm in ("winograd", "im2row", "winograd"):
                tn.set_conv_algorithm(algorithm)
                assert now(conv3, x, w) == anew(conv3, x, w)
    finally:
        kernels._select(former)
        tn.set_conv_algorithm("auto")


def test_auto_leaves_winograd_where_its_weights_are_too_large() -> None:
    small, large = tn.randn(1, 20, 8, 8), tn.randn(1, 1400, 8, 8)
    few, many = tn.randn(20, 20, 3, 3), tn.randn(1400, 1400, 3, 3)
    found = {}
    for algorithm in ("auto", "winograd", "im2row"):
        tn.set_conv_algorithm(algorithm)
        found[algorithm] = now(conv3, small, few), now(conv3, large, many)
    tn.set_conv_algorithm("auto")
    assert found["auto"] == (found["winograd"][0], found["im2row"][1])
    assert found["winograd"][1] != found["im2row"][1]
    assert 4 * many.numel() < bytes_kept() < 256 << 20  # Winograd's form of `many` was too large


def test_groups_are_part_of_the_form(x: tn.Tensor) -> None:
    w = tn.randn(24, 16, 3, 3)
    one = x[:, :16]
    for _ in range(2):
        assert now(conv3, x, w, 2) == anew(conv3, x, w, 2)
        assert now(conv3, one, w) == anew(conv3, one, w)


def test_nothing_is_kept_where_a_gradient_is_recorded(x: tn.Tensor) -> None:
    model = nn.Conv2d(32, 24, 3, padding=1)
    assert model(x).requires_grad
    assert bytes_kept() == 0
    model.requires_grad_(False)
    model(x)
    assert bytes_kept() > 0  # constant weights
    y = model(x.clone().requires_grad_())
    y.sum().backward()


def test_a_training_step_drops_what_was_kept(x: tn.Tensor) -> None:
    model = nn.Conv2d(32, 24, 3, padding=1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    model(x).sum().backward()
    now(model, x)
    assert bytes_kept() > 0
    optimizer.step()
    model(x)
    assert bytes_kept() == 0


def test_the_bound(x: tn.Tensor) -> None:
    layer, shape = LAYERS["winograd"]
    weights = [tn.randn(*shape) for _ in range(5)]
    expected = [anew(layer, x, w) for w in weights]
    now(layer, x, weights[0])
    one = bytes_kept()
    assert one >= 16 * weights[0].numel()
    former = prepared._set_limit(before_test + 3 * one)
    try:
        assert former == 256 << 20
        for _ in range(2):
            assert [now(layer, x, w) for w in weights] == expected
            assert bytes_kept() == 3 * one
        del weights[0]
        assert bytes_kept() == 2 * one
        now(layer, x, weights[-1])
        assert bytes_kept() == 3 * one
    finally:
        prepared._set_limit(former)


def test_copies_have_nothing_kept(x: tn.Tensor) -> None:
    model = nn.Conv2d(32, 24, 3, padding=1)
    first = now(model, x)
    one = bytes_kept()
    for copied in (copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))):
        other = copied(model)
        assert bytes_kept() == one
        assert now(other, x) == first
        assert bytes_kept() == 2 * one
        with tn.no_grad():
            other.weight.mul_(2)
        assert now(other, x) != first
        assert now(model, x) == first
        del other


def test_an_optimisers_state_is_memory_that_is_written_too(x: tn.Tensor) -> None:
    w = parameter(24, 32, 3, 3)
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
    w.grad = tn.randn(*w.shape)
    optimizer.step()
    velocity = optimizer.state[w]["momentum_buffer"]
    before = now(conv3, x, velocity)
    optimizer.step()
    assert now(conv3, x, velocity) == anew(conv3, x, velocity) != before


def test_float64_is_not_kept() -> None:
    now(conv3, tn.randn(1, 16, 8, 8, dtype="float64"), tn.randn(16, 16, 3, 3, dtype="float64"))
    assert bytes_kept() == 0


def test_an_empty_batch() -> None:
    w, v = tn.randn(16, 16, 3, 3), tn.randn(16, 16, 1, 1)
    with tn.no_grad():
        assert F.conv2d(tn.randn(0, 16, 8, 8), w).shape == (0, 16, 6, 6)
        assert F.conv2d(tn.randn(0, 16, 8, 8), v).shape == (0, 16, 8, 8)
    assert bytes_kept() == 0


def test_a_network_at_any_number_of_threads(threads: int) -> None:
    """The same bits whether kept or not, and at batch 1 as the image has within a batch of 2."""
    model = tn.models.bn_inception_small().eval()
    images = tn.randn(2, 3, 32, 32)
    one = images[:1].clone()
    first = now(model, one)
    assert bytes_kept() > 0
    assert now(model, one) == first == anew(model, one)
    before = tn.get_num_threads()
    tn.set_num_threads(1)
    assert anew(model, one) == first
    tn.set_num_threads(before)


def test_threads_that_call_one_model(x: tn.Tensor) -> None:
    layers = nn.Conv2d(32, 64, 3, padding=1), nn.Conv2d(64, 64, 1), nn.Conv2d(64, 32, 3, padding=1)
    model = nn.Sequential(*layers)
    expected, found = anew(model, x), []

    def work() -> None:
        for _ in range(10):
            found.append(now(model, x))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert set(found) == {expected}
    assert len(found) == 40
    assert bytes_kept() < 17 * sum(p.numel() for p in model.parameters()) + 100_000  # once each


def test_a_thread_that_writes_while_another_reads() -> None:
    """Whatever a call during a write sees, one after it sees what was written."""
    x, w = tn.randn(1, 64, 16, 16), tn.randn(64, 64, 3, 3)
    values = [tn.randn(64, 64, 3, 3) for _ in range(2)]
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            now(conv3, x, w)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for i in range(40):
            w.copy_(values[i % 2])
            assert now(conv3, x, w) == anew(conv3, x, values[i % 2])
    finally:
        done.set()
        reader.join()


def test_what_is_lent_is_the_tensors_memory() -> None:
    t = tn.zeros(2, 3)
    a = t.numpy()
    a[0, 1] = 5
    assert t[0, 1].item() == 5
    assert a.flags.writeable
    assert a.flags.c_contiguous
    assert not a.flags.owndata
    assert t.transpose(0, 1).numpy().strides == (4, 12)
    tn.from_numpy(a).add_(1)
    assert t._version == tn.from_numpy(a)._version == 1
    frozen = np.zeros(3, np.float32)
    frozen.flags.writeable = False
    assert not tn.from_numpy(frozen).numpy().flags.writeable
    # what is copied onto itself backwards is seen to be one memory
    line = tn.arange(5.0)
    line.copy_(tn.from_numpy(line.numpy()[::-1]))
    assert line.tolist() == [4, 3, 2, 1, 0]
