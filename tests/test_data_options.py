"""DataLoader: its arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinynet
from tinynet.data import DataLoader, Dataset, TensorDataset
from tinynet.errors import ArgumentError, DataError, DTypeError


def lists(batches: Any) -> list[list[Any]]:
    return [batch[0].tolist() for batch in batches]


class Squares(Dataset):
    """A data set that computes its samples."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        assert type(index) is int
        return np.full((2, 3), index, np.float32), index**2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ArgumentError, "DataLoader: batch_size must be a positive int; got 0"),
        ({"batch_size": -3}, ArgumentError, "batch_size must be a positive int; got -3"),
        ({"batch_size": 2.0}, DTypeError, r"batch_size must be a positive int; got 2\.0"),
        ({"batch_size": True}, DTypeError, "batch_size must be a positive int; got True"),
        ({"shuffle": "no"}, DTypeError, "DataLoader: shuffle must be a bool; got 'no'"),
        ({"drop_last": 1}, DTypeError, "DataLoader: drop_last must be a bool; got 1"),
        ({"seed": -1}, ArgumentError, "seed must be an int >= 0; got -1"),
        ({"seed": 2**64}, ArgumentError, r"seed must be an int in \[0, 2\*\*64\); got 18446744073709551616"),
        ({"seed": "a"}, DTypeError, "seed must be an int >= 0; got 'a'"),
        ({"generator": 3}, DTypeError, r"generator must be a tinynet\.Generator or None; got 3"),
        (
            {"seed": 1, "generator": tinynet.Generator(1)},
            ArgumentError,
            "seed must be None where a generator",
        ),
        ({"num_workers": -1}, ArgumentError, "DataLoader: num_workers must be an int >= 0; got -1"),
        ({"num_workers": 1.0}, DTypeError, r"num_workers must be an int >= 0; got 1\.0"),
        ({"transform": 3}, DTypeError, "transform must be callable or None; got int"),
        ({"sampler": 3}, DTypeError, "DataLoader: sampler must be an iterable or None; got int"),
        ({"batch_sampler": 3}, DTypeError, "batch_sampler must be an iterable or None; got int"),
        ({"collate_fn": 3}, DTypeError, "collate_fn must be callable or None; got int"),
        ({"pin_memory": 1}, DTypeError, "pin_memory must be a bool; got 1"),
        ({"timeout": -1}, ArgumentError, r"timeout must be a finite number >= 0; got -1\.0"),
        ({"timeout": 3}, ArgumentError, r"timeout must be left out with num_workers=0; got 3\.0"),
        ({"prefetch_factor": 2}, ArgumentError, "prefetch_factor must be left out with num_workers=0; got 2"),
        ({"num_workers": 1, "prefetch_factor": 0}, ArgumentError, "prefetch_factor must be a positive int"),
        (
            {"persistent_workers": True},
            ArgumentError,
            "persistent_workers must be left out with num_workers=0",
        ),
        (
            {"worker_init_fn": print},
            NotImplementedError,
            "DataLoader: worker_init_fn must be None, .* got <b",
        ),
        (
            {"multiprocessing_context": "fork"},
            NotImplementedError,
            "multiprocessing_context must be None, .*",
        ),
        ({"pin_memory_device": "cuda"}, NotImplementedError, "pin_memory_device must be '', .* got 'cuda'"),
        (
            {"sampler": [0], "shuffle": True},
            ArgumentError,
            "shuffle must be left out where a sampler is given",
        ),
        ({"sampler": [0], "batch_sampler": [[0]]}, ArgumentError, "sampler must be left out where a batch_s"),
        (
            {"batch_sampler": [[0]], "shuffle": True},
            ArgumentError,
            "shuffle must be left out where a batch_s",
        ),
        ({"batch_sampler": [[0]], "drop_last": True}, ArgumentError, "drop_last must be left out where a ba"),
        (
            {"batch_sampler": [[0]], "batch_size": 2},
            ArgumentError,
            "batch_size must be left out where .* got 2",
        ),
        (
            {"batch_size": None, "drop_last": True},
            ArgumentError,
            "drop_last must be left out with batch_size=None",
        ),
        ({"batch_size": 9, "drop_last": True}, DataError, "got 3 samples for batch_size=9"),
    ],
)
def test_loader_errors(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DataLoader(TensorDataset(np.zeros(3)), **options)


def test_defaults_of_pytorch_are_accepted() -> None:
    options: dict[str, Any] = dict.fromkeys(
        ["shuffle", "sampler", "batch_sampler", "collate_fn", "worker_init_fn", "multiprocessing_context"]
    )
    options |= {"generator": None, "prefetch_factor": None, "num_workers": 0, "timeout": 0, "in_order": True}
    options |= {"pin_memory": False, "drop_last": False, "persistent_workers": False, "pin_memory_device": ""}
    assert lists(DataLoader(TensorDataset(np.arange(3)), 2, **options)) == [[0, 1], [2]]


def test_empty_and_no_dataset() -> None:
    for empty in (TensorDataset(np.zeros((0, 3))), []):
        with pytest.raises(DataError, match="dataset must hold at least one sample; got an empty one"):
            DataLoader(empty)
    for wrong, name in (
        (3, "int"),
        ({1}, "set"),
        (np.zeros(()), "ndarray"),
        (Squares, "ABCMeta"),
        (None, "NoneType"),
    ):
        with pytest.raises(DTypeError, match=f"^DataLoader: dataset must have __len__ and .*; got {name}$"):
            DataLoader(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("epoch", [-1, 1.0, True])
def test_set_epoch_errors(epoch: Any) -> None:
    with pytest.raises((ArgumentError, DTypeError), match="set_epoch: epoch must be an int >= 0"):
        DataLoader(TensorDataset(np.zeros(3))).set_epoch(epoch)


@pytest.mark.parity
def test_arguments_are_those_of_pytorch() -> None:
    """By position, name and default; ours come after, by name alone."""
    import inspect

    from torch.utils import data as torch_data

    from tinynet import data as our_data

    def arguments(function: Any) -> dict[str, Any]:
        found = inspect.signature(function).parameters.values()
        return {p.name: (p.kind, p.default) for p in found if p.name not in ("seed", "transform")}

    for name in (
        "DataLoader",
        "Subset",
        "ConcatDataset",
        "SequentialSampler",
        "RandomSampler",
        "SubsetRandomSampler",
        "WeightedRandomSampler",
        "BatchSampler",
        "default_collate",
        "default_convert",
    ):
        assert arguments(getattr(our_data, name)) == arguments(getattr(torch_data, name)), name
    assert list(arguments(our_data.random_split)) == list(arguments(torch_data.random_split))


@pytest.mark.parametrize("workers", [0, 2])
def test_batch_rng_after_a_loop_over_another_loader(workers):
    """A data set that uses a loader goes on within its own batch."""

    class Outer(Dataset):
        def __init__(self, inner):
            self.inner = inner

        def __len__(self):
            return 4

        def __getitem__(self, index):
            for _ in DataLoader([1.0, 2.0], transform=lambda x: x) if self.inner else ():
                pass
            return float(tinynet.data.batch_rng().random())

    alone, around = (
        [batch.tolist() for batch in DataLoader(Outer(inner), 2, num_workers=workers, seed=1)]
        for inner in (False, True)
    )
    assert alone == around
