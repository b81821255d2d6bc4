"""`Normalize`, `Augment`, `sample_random`: values against a slow reference; what they depend on."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import tinynet
from tinynet.data import (
    Augment,
    ConcatDataset,
    DataLoader,
    Dataset,
    ImageDataset,
    IterableDataset,
    Normalize,
    Subset,
    TensorDataset,
    batch_rng,
    sample_random,
)
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.ops.augment import crop_normalize

Array = np.ndarray[Any, Any]
CIFAR = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
STREAM = 0x6175676D656E7400


def philox(counter: int, call: int, seed: int) -> list[int]:
    """Philox4x32-10 from its definition: four words for a counter, a call and a key of 64 bits each."""
    low = 2**32 - 1
    c = [counter & low, counter >> 32, call & low, call >> 32]
    k = [seed & low, seed >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & low, (p >> 32) ^ c[3] ^ k[1], p & low]
        k = [(k[0] + 0x9E3779B9) & low, (k[1] + 0xBB67AE85) & low]
    return c


def words_of(seed: int, epoch: int, index: int, n: int = 4) -> list[int]:
    blocks = [philox(index * 2**12 + b, epoch, seed ^ STREAM) for b in range(-(-n // 4))]
    return [word for block in blocks for word in block][:n]


def normalized(image: Array, mean: Any, std: Any) -> Array:
    """(C, H, W) -> float32, each step rounded."""
    scaled = image.astype(np.float32) / np.float32(255)
    mean, std = (np.atleast_1d(np.float32(v))[:, None, None] for v in (mean, std))
    return (scaled - mean) / std


def augmented(
    image: Array,
    words: list[int],
    padding: int,
    flip: float,
    mean: Any,
    std: Any,
    size: tuple[int, int] | None,
) -> Array:
    height, width = size or image.shape[1:]
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    top = words[0] * (padded.shape[1] - height + 1) >> 32
    left = words[1] * (padded.shape[2] - width + 1) >> 32
    part = padded[:, top : top + height, left : left + width]
    return normalized(part[:, :, ::-1] if words[2] < flip * 2**32 else part, mean, std)


def images(n: int, *shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def numbered(pixels: Array) -> TensorDataset:
    """Images, each with its index."""
    return TensorDataset(pixels, np.arange(len(pixels)))


def by_index(batches: Any) -> dict[int, bytes]:
    """Index -> bytes of what became of the image."""
    found = {}
    for x, index in batches:
        for image, i in zip(x.numpy(), index.tolist(), strict=True):
            found[i] = np.ascontiguousarray(image).tobytes()
    return found


def channels_last(x: Array) -> bool:
    return bool(x.transpose(0, 2, 3, 1).flags.c_contiguous)


# ---- Normalize


@pytest.mark.parametrize(
    "shape", [(3, 32, 32), (1, 28, 28), (28, 28), (3, 5, 8), (2, 1, 1), (1, 1), (4, 3, 7)]
)
@pytest.mark.parametrize("padding", [0, 2])
def test_normalize(shape: tuple[int, ...], padding: int) -> None:
    x = images(6, *shape)
    channels = shape[0] if len(shape) == 3 else 1
    mean, std = np.linspace(0.2, 0.6, channels).tolist(), np.linspace(0.3, 0.1, channels).tolist()
    y = Normalize(mean, std, padding)(x)
    assert y.dtype == np.float32
    assert channels_last(y)
    planes = x.reshape(6, channels, *shape[-2:])
    border = ((0, 0), (padding, padding), (padding, padding))
    for made, image in zip(y, planes, strict=True):
        np.testing.assert_array_equal(made, normalized(np.pad(image, border), mean, std))


def test_normalize_every_byte_as_documented() -> None:
    x = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    np.testing.assert_array_equal(Normalize()(x).ravel(), np.float32(np.arange(256) / 255.0))
    np.testing.assert_allclose(
        Normalize(0.1307, 0.3081)(x).ravel(), (np.arange(256) / 255.0 - 0.1307) / 0.3081, rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize("shape", [(3, 4, 4), (0, 4, 4), (3, 0, 4), (3, 4, 0)])
def test_normalize_of_few_or_nothing(batch: int, shape: tuple[int, int, int]) -> None:
    assert Normalize()(images(batch, *shape)).shape == (batch, *shape)
    y = Normalize(0.5, 0.5, padding=1)(images(batch, *shape))
    assert y.shape == (batch, shape[0], shape[1] + 2, shape[2] + 2)
    if 0 in shape:
        assert (y == -1).all()  # black


def test_other_arrays_pass_through() -> None:
    x, labels = images(3, 4, 4), np.arange(3)
    assert isinstance(Normalize()(x), np.ndarray)
    made = Normalize()(x, labels, "text")
    assert made[1] is labels
    assert made[2] == "text"


def test_any_layout_of_images() -> None:
    base = images(9, 8, 10, 3)
    view = base[::-2, 1:7, ::-1].transpose(0, 3, 1, 2)  # (5, 3, 6, 10)
    view.flags.writeable = False
    expected = Normalize(*CIFAR, padding=1)(np.ascontiguousarray(view))
    np.testing.assert_array_equal(Normalize(*CIFAR, padding=1)(view), expected)


def test_more_than_one_piece() -> None:
    """More values than are made between two looks for signals."""
    x = images(5, 1, 2048, 2048)
    y = Normalize()(x)
    for i in (0, 3, 4):
        np.testing.assert_array_equal(y[i, 0, ::97, ::89], normalized(x[i], 0.0, 1.0)[0, ::97, ::89])


@hypothesis.given(
    shape=st.tuples(*[st.integers(0, 6)] * 4),
    size=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    offsets=st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20), st.booleans()), min_size=6),
)
@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
def test_the_op_at_any_offset(
    shape: tuple[int, ...], size: tuple[int, int], offsets: list[tuple[int, int, bool]]
) -> None:
    """Parts that lie within the image, across its border, beside it."""
    x, batch = images(*shape), shape[0]
    table = np.random.default_rng(1).random((shape[1], 256), np.float32)
    top, left, mirrored = (np.array([o[i] for o in offsets[:batch]]) for i in range(3))
    y = crop_normalize(x, top.astype(np.intp), left.astype(np.intp), mirrored.astype(bool), *size, table)
    assert y.shape == (batch, shape[1], *size)
    for b, c, i, j in np.ndindex(*y.shape):
        row, column = top[b] + i, left[b] + (size[1] - 1 - j if mirrored[b] else j)
        inside = 0 <= row < shape[2] and 0 <= column < shape[3]
        assert y[b, c, i, j] == table[c, x[b, c, row, column] if inside else 0]


# ---- Augment


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3, 32, 32), {}),
        ((3, 32, 32), {"padding": 0, "flip": 1.0}),
        ((28, 28), {"padding": 4, "size": 32, "flip": 0}),
        ((1, 5, 9), {"padding": 3, "size": (7, 2)}),
        ((2, 7, 4), {"padding": 0, "size": (1, 4), "flip": 0.25}),
        ((5, 1, 1), {"padding": 1}),
        ((3, 3, 2), {"padding": 9, "size": (21, 20)}),
    ],
)
def test_values(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    x = images(23, *shape)
    channels = shape[0] if len(shape) == 3 else 1
    mean, std = np.linspace(0.3, 0.5, channels).tolist(), np.linspace(0.2, 0.4, channels).tolist()
    loader = DataLoader(
        numbered(x), 5, shuffle=True, seed=7, transform=Augment(mean=mean, std=std, **options)
    )
    size = options.get("size")
    given = (
        options.get("padding", 4),
        options.get("flip", 0.5),
        mean,
        std,
        (size, size) if size == 32 else size,
    )
    seen = 0
    for epoch in range(2):
        for batch, index in loader:
            assert isinstance(batch, tinynet.Tensor)
            assert channels_last(batch.numpy())
            for made, i in zip(batch.numpy(), index.tolist(), strict=True):
                image = x[i].reshape(channels, *shape[-2:])
                np.testing.assert_array_equal(made, augmented(image, words_of(7, epoch, i), *given))
                seen += 1
    assert seen == 2 * 23


@hypothesis.given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12)),
    padding=st.integers(0, 5),
    flip=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    part=st.tuples(st.floats(0, 1), st.floats(0, 1)) | st.none(),
    seed=st.integers(0, 2**64 - 1),
    epoch=st.integers(0, 2**40),
)
@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
def test_values_generated(
    shape: tuple[int, int, int],
    padding: int,
    flip: float,
    part: tuple[float, float] | None,
    seed: int,
    epoch: int,
) -> None:
    x = images(4, *shape)
    size = None
    if part is not None:
        rows, columns = (extent + 2 * padding for extent in shape[1:])
        size = 1 + int(part[0] * (rows - 1)), 1 + int(part[1] * (columns - 1))
    loader = DataLoader(numbered(x), 3, seed=seed, transform=Augment(padding, flip, 0.5, 0.25, size))
    loader.set_epoch(epoch)
    for batch, index in loader:
        for made, i in zip(batch.numpy(), index.tolist(), strict=True):
            expected = augmented(x[i], words_of(seed, epoch, i), padding, flip, 0.5, 0.25, size)
            np.testing.assert_array_equal(made, expected)


@pytest.fixture(scope="module")
def pictures() -> TensorDataset:
    return numbered(images(50, 3, 8, 8))


def loaded(data: Any, batch_size: int | None = 7, epoch: int = 3, **options: Any) -> dict[int, bytes]:
    options = {"seed": 11, "transform": Augment(2, 0.5, *CIFAR)} | options
    if "batch_sampler" not in options:
        options["batch_size"] = batch_size
    loader = DataLoader(data, **options)
    loader.set_epoch(epoch)
    return by_index(loader)


def stack_samples(samples: list[tuple[tinynet.Tensor, ...]]) -> tuple[Array, ...]:
    return tuple(np.stack([part.numpy() for part in parts]) for parts in zip(*samples, strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 1},
        {"batch_size": 50},
        {"shuffle": True},
        {"num_workers": 1},
        {"num_workers": 3, "batch_size": 2, "shuffle": True},
        {"sampler": range(49, -1, -1)},
        {"sampler": range(-1, -51, -1)},  # from the end
        {"batch_sampler": [[3, 1], *[[i] for i in range(50) if i not in (1, 3)]]},
        {"drop_last": True, "batch_size": 25},
        {"collate_fn": stack_samples},
    ],
)
def test_a_sample_is_augmented_alike_in_any_batch(pictures: TensorDataset, options: dict[str, Any]) -> None:
    assert loaded(pictures, **options) == loaded(pictures)


def test_other_seeds_epochs_and_indices_differ(pictures: TensorDataset) -> None:
    one = loaded(pictures)
    for other in (loaded(pictures, epoch=4), loaded(pictures, seed=12), loaded(pictures, seed=11 + 2**32)):
        assert sum(one[i] != other[i] for i in one) > 40
    same = numbered(np.repeat(images(1, 3, 8, 8), 50, 0))
    assert len(set(loaded(same).values())) > 25


def test_parts_of_data_sets_count_for_themselves(pictures: TensorDataset) -> None:
    """The index is the one in the data set that the loader has."""
    shifted = Subset(pictures, range(10, 50))
    made = loaded(shifted)
    x = pictures.arrays[0]
    for i in (10, 49):
        image = augmented(x[i], words_of(11, 3, i - 10), 2, 0.5, *CIFAR, None)
        assert made[i] == image.tobytes()
    both = ConcatDataset([Subset(pictures, range(20)), Subset(pictures, range(20, 50))])
    assert loaded(both) == loaded(pictures)


def test_resumed_in_the_middle(pictures: TensorDataset) -> None:
    def loader() -> DataLoader:
        return DataLoader(pictures, 7, shuffle=True, seed=2, num_workers=2, transform=Augment(2, 0.5, *CIFAR))

    whole = loader()
    expected = [by_index([batch]) for _ in range(2) for batch in whole]
    stopped = loader()
    for _ in itertools.islice(stopped, 3):
        pass
    resumed = loader()
    resumed.load_state_dict(stopped.state_dict())
    assert [by_index([batch]) for _ in range(2) for batch in resumed] == expected[3:]


def test_distribution_of_offsets_and_flips() -> None:
    """Crops of 1 x 2 show where they begin and whether they are mirrored; 5 standard deviations."""
    n = 20_000
    picture = np.arange(1, 16, dtype=np.uint8).reshape(1, 3, 5)
    data = TensorDataset(np.repeat(picture, n, 0))
    (x,) = next(iter(DataLoader(data, n, seed=3, transform=lambda a: (Augment(0, 0.3, size=(1, 2))(a),))))
    pair = np.rint(x.numpy()[:, 0, 0] * 255).astype(int)  # (n, 2)
    mirrored = pair[:, 0] > pair[:, 1]
    assert abs(mirrored.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / n)
    start = pair.min(1) - 1
    counts = np.bincount(start // 5 * 4 + start % 5, minlength=12)  # (row, column) of 3 x 4
    assert counts.shape == (12,)
    assert (abs(counts - n / 12) < 5 * np.sqrt(n / 12 * 11 / 12)).all()
    assert abs(np.corrcoef(mirrored, start % 5)[0, 1]) < 5 / np.sqrt(n)


def test_flip_of_none_and_of_all() -> None:
    x = images(40, 1, 2, 3)
    for flip, expected in ((0, x), (0.0, x), (1, x[..., ::-1]), (1.0, x[..., ::-1])):
        ((made,),) = DataLoader(TensorDataset(x), 40, transform=lambda a, flip=flip: (Augment(0, flip)(a),))
        np.testing.assert_array_equal(made.numpy(), np.float32(expected / 255.0))


def test_can_be_pickled_and_printed() -> None:
    augment = Augment(2, 0.25, *CIFAR, size=(30, 31))
    again = pickle.loads(pickle.dumps(augment))
    assert (
        repr(again)
        == repr(augment)
        == (
            "Augment(padding=2, flip=0.25, mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.2435, 0.2616), "
            "size=(30, 31))"
        )
    )
    assert repr(Normalize(0.5, padding=2)) == "Normalize(mean=(0.5,), std=(1.0,), padding=2)"
    data = numbered(images(3, 3, 32, 32))
    assert loaded(data, transform=again) == loaded(data, transform=augment)


# ---- what they refuse


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"padding": -1}, ArgumentError, "padding must be an int >= 0; got -1"),
        ({"padding": 1.5}, DTypeError, "padding must be an int >= 0; got 1.5"),
        ({"padding": 2**20 + 1}, ArgumentError, r"padding must be an int in \[0, 1048576\]; got 1048577"),
        ({"mean": "a"}, DTypeError, "mean must be a finite number; got 'a'"),
        ({"mean": np.nan}, ArgumentError, "mean must be a finite number; got nan"),
        ({"mean": []}, ArgumentError, "mean must be a number or one per channel; got none"),
        ({"std": 0}, ArgumentError, r"std must be a finite number > 0; got 0\.0"),
        ({"std": (0.5, -1)}, ArgumentError, r"std must be a finite number > 0; got -1\.0"),
        (
            {"mean": (1, 2), "std": (1, 2, 3)},
            ArgumentError,
            "mean and std must be for equally many channels; got 2 and 3",
        ),
        (
            {"std": 1e-60},
            ArgumentError,
            "mean and std must give values that float32 can hold; got .* and 1e-60",
        ),
        ({"mean": 1e60}, ArgumentError, "mean and std must give values that float32 can hold; got 1e.60 and"),
    ],
)
@pytest.mark.parametrize("kind", [Normalize, Augment])
def test_bad_arguments(kind: type, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{kind.__name__}: {message}"):
        kind(**options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"flip": 1.1}, ArgumentError, r"flip must be a number in \[0, 1\]; got 1\.1"),
        ({"flip": True}, DTypeError, r"flip must be a number in \[0, 1\]; got True"),
        ({"size": 0}, ArgumentError, "size must be a positive int; got 0"),
        ({"size": (3, 2.0)}, DTypeError, r"size must be a positive int; got 2\.0"),
        ({"size": (1, 2, 3)}, ArgumentError, r"size must be an int or two of them; got \(1, 2, 3\)"),
        ({"size": "32"}, DTypeError, "size must be a positive int; got '32'"),
    ],
)
def test_bad_arguments_of_augment(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^Augment: {message}"):
        Augment(**options)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.zeros((2, 3, 3), np.float32), DTypeError, "images must be a numpy.ndarray of uint8; got float32"),
        (tinynet.zeros(2, 3, 3), DTypeError, "images must be a numpy.ndarray of uint8; got Tensor"),
        (images(3, 4), ShapeError, r"images must be \(B, H, W\) or \(B, C, H, W\); got \(3, 4\)"),
        (images(1, 1, 1, 1, 1), ShapeError, r"images must be \(B, H, W\) or .*; got \(1, 1, 1, 1, 1\)"),
        (
            images(2, 2, 4, 4),
            ShapeError,
            r"images must have 3 channels, as mean and std have; got \(2, 2, 4, 4\)",
        ),
        (images(2, 4, 4), ShapeError, r"images must have 3 channels, as mean and std have; got \(2, 4, 4\)"),
    ],
)
@pytest.mark.parametrize("kind", [Normalize, Augment])
def test_bad_images(kind: type, given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{kind.__name__}: {message}$"):
        kind(mean=CIFAR[0], std=CIFAR[1])(given)


def test_augment_refuses_at_the_batch(pictures: TensorDataset) -> None:
    with pytest.raises(
        ArgumentError, match=r"^sample_random: must be called while a DataLoader makes a batch"
    ):
        Augment()(images(2, 3, 4, 4))
    with pytest.raises(
        ArgumentError,
        match=r"^Augment: size must be at most that of the padded image, \(10, 10\); got \(10, 11\)$",
    ):
        loaded(pictures, transform=Augment(1, size=(10, 11)))
    with pytest.raises(ShapeError, match=r"^Augment: images must be the 7 samples of the batch; got 1$"):
        loaded(pictures, transform=lambda x, y: Augment()(x[:1], y))


# ---- sample_random


def drawn(data: Any, *amounts: int, **options: Any) -> Any:
    def transform(*arrays: Array) -> tuple[Array, ...]:
        return tuple(sample_random(n).astype(np.int64) for n in amounts)

    return [[part.tolist() for part in batch] for batch in DataLoader(data, transform=transform, **options)]


def test_words_are_those_of_philox() -> None:
    data = TensorDataset(np.zeros((4, 1), np.uint8))
    batches = drawn(data, 3, 6, 1, batch_size=3, seed=2**64 - 1)
    for batch, indices in zip(batches, ([0, 1, 2], [3]), strict=True):
        for row, index in enumerate(indices):
            words = words_of(2**64 - 1, 0, index, 16)
            assert [part[row] for part in batch] == [words[:3], words[4:10], words[12:13]]


class Far(Dataset[int]):
    """So many samples that the upper half of the counter is in use."""

    def __len__(self) -> int:
        return 2**50 + 5

    def __getitem__(self, index: int, /) -> int:
        return 0


def test_far_indices() -> None:
    options = {"batch_size": 2, "seed": 9}
    far = [2**49 + 3, 2**50 - 1]
    assert drawn(Far(), 4, sampler=far, **options) == [[[words_of(9, 0, i) for i in far]]]
    with pytest.raises(
        ArgumentError, match=r"^sample_random: the samples of the batch must have indices; got"
    ):
        drawn(Far(), 4, sampler=[2**50], **options)


def test_amounts() -> None:
    data = TensorDataset(np.zeros((2, 1), np.uint8))
    ((words,),) = drawn(data, 2**14, batch_size=2)
    assert words[1][-1] == words_of(0, 0, 1, 2**14)[-1]
    for amounts, error, message in [
        ((0,), ArgumentError, "n must be a positive int; got 0"),
        ((2.0,), DTypeError, "n must be a positive int; got 2.0"),
        (
            (2**14 + 1,),
            ArgumentError,
            "n must be at most 16384, .* and 0 were drawn for this batch; got 16385",
        ),
        ((1, 2**14), ArgumentError, "n must be at most 16380, .* and 4 were drawn for this batch; got 16384"),
    ]:
        with pytest.raises(error, match=f"^sample_random: {message}"):
            drawn(data, *amounts)  # type: ignore[arg-type]


def test_a_single_sample_and_a_list_of_samples() -> None:
    data = [5.0, 6.0, 7.0]
    assert drawn(data, 2, batch_size=None, seed=4) == [[[words_of(4, 0, i, 2)]] for i in range(3)]
    assert drawn(data, 2, batch_size=2, seed=4) == [
        [[words_of(4, 0, i, 2) for i in batch]] for batch in ([0, 1], [2])
    ]


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(3))


class Named(Dataset[float]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: Any, /) -> float:
        return {"a": 1.0, "b": 2.0}[index]


@pytest.mark.parametrize("source", [{"dataset": Stream()}, {"dataset": Named(), "sampler": ["a", "b"]}])
@pytest.mark.parametrize("batch_size", [2, None])
def test_samples_without_indices(source: dict[str, Any], batch_size: int | None) -> None:
    loader = DataLoader(**source, batch_size=batch_size, transform=lambda x: sample_random(1))
    with pytest.raises(
        ArgumentError, match=r"^sample_random: the samples of the batch must have indices; got"
    ):
        next(iter(loader))


def test_a_loader_within_a_transform_has_its_own_numbers(pictures: TensorDataset) -> None:
    def transform(x: Array, index: Array) -> tuple[Array, Array]:
        first = sample_random(1)
        loaded(pictures)
        assert batch_rng() is batch_rng()
        return np.concatenate([first, sample_random(1)], 1).astype(np.int64), index

    for words, index in DataLoader(pictures, 20, seed=6, transform=transform):
        for row, i in zip(words.tolist(), index.tolist(), strict=True):
            assert row == [words_of(6, 0, i, 8)[0], words_of(6, 0, i, 8)[4]]
    with pytest.raises(ArgumentError, match=r"^sample_random: must be called while"):
        sample_random(1)


def test_a_generators_numbers_are_others() -> None:
    """The default generator often has the loader's seed; its call 1 has the place of epoch 1."""
    from tinynet.ops.dropout import philox_u32

    data = TensorDataset(np.zeros((1000, 1), np.uint8))
    loader = DataLoader(data, 1000, seed=1, transform=lambda x: sample_random(4).astype(np.int64))
    loader.set_epoch(1)
    (words,) = loader
    assert not set(words.numpy().ravel().tolist()) & set(philox_u32(4000, 1, 1).tolist())


# ---- transforms of single samples


def grey(n: int = 5, **options: Any) -> ImageDataset:
    return ImageDataset(images(n, 4, 6), np.arange(n), "grey", ("a",) * n, **options)


def test_transforms_of_samples() -> None:
    plain = grey()
    data = grey(transform=lambda image: image.float().unsqueeze(0) / 255, target_transform=lambda k: 10 * k)
    assert data.gatherer() is None
    assert plain.gatherer() is not None
    image, label = data[2]
    assert (image.shape, image.dtype, label, type(label)) == ((1, 4, 6), np.float32, 20, int)
    x, y = next(iter(DataLoader(data, 5, num_workers=1)))
    np.testing.assert_array_equal(x.numpy()[:, 0], np.float32(plain.images / np.float32(255)))
    assert y.tolist() == [0, 10, 20, 30, 40]
    x, y = next(iter(DataLoader(Subset(data, [4, 1]), 2)))
    assert (x.shape, y.tolist()) == ((2, 1, 4, 6), [40, 10])
    assert plain[1:3][0].shape == (2, 4, 6)


def test_only_one_of_the_transforms() -> None:
    image, label = grey(transform=lambda image: image.sum().item())[1]
    assert (image, label.item()) == (int(grey().images[1].sum()), 1)
    image, label = grey(target_transform=str)[1]
    assert (image.shape, label) == ((4, 6), "1")


@pytest.mark.parametrize("name", ["transform", "target_transform"])
def test_transforms_must_be_callable(name: str) -> None:
    with pytest.raises(DTypeError, match=f"^grey: {name} must be callable or None; got int$"):
        grey(**{name: 3})


def test_mean_and_std() -> None:
    assert (grey().mean, grey().std) == ((0.0,), (1.0,))
    digits = tinynet.data.Digits()
    made = Normalize(digits.mean, digits.std)(digits.images)
    assert abs(made.mean(dtype=np.float64)) < 1e-3
    assert abs(made.std(dtype=np.float64) - 1) < 1e-3


@pytest.mark.parity
def test_normalize_parity() -> None:
    import torch

    x = images(4, 3, 5, 7)
    scaled = torch.from_numpy(x).float().div(255)
    mean, std = (torch.tensor(part)[:, None, None] for part in CIFAR)
    np.testing.assert_array_equal(Normalize(*CIFAR)(x), ((scaled - mean) / std).numpy())
