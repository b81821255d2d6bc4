"""A run that stopped in the middle of an epoch and goes on from its checkpoint equals the whole run."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn, optim
from tinynet.data import DataLoader, TensorDataset

STEPS = 11  # 4 batches an epoch: the third epoch ends unfinished


def parts(seed: int) -> tuple[nn.Module, optim.SGD, DataLoader]:
    tn.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Sigmoid(), nn.Dropout(0.3), nn.Linear(8, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3)
    rng = np.random.default_rng(0)
    data = TensorDataset(rng.standard_normal((23, 6)).astype(np.float32), rng.integers(0, 3, 23))
    return model, optimizer, DataLoader(data, 6, shuffle=True, seed=seed)


def train(model: nn.Module, optimizer: optim.SGD, loader: DataLoader, steps: int) -> list[float]:
    criterion = nn.CrossEntropyLoss()
    losses = []
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    for x, y in itertools.islice(batches, steps):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def snapshot(model: nn.Module, optimizer: optim.SGD, loader: DataLoader) -> dict[str, Any]:
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "loader": loader.state_dict(),
        "generator": tn.default_generator.get_state(),
    }


@pytest.mark.parametrize("stop", [1, 3, 4, 6, 8])
def test_bitwise_equal_to_never_having_stopped(tmp_path: Path, stop: int) -> None:
    whole = parts(1)
    losses = train(*whole, STEPS)

    first = parts(1)
    assert train(*first, stop) == losses[:stop]
    tn.save(snapshot(*first), tmp_path / "run.safetensors")

    model, optimizer, loader = parts(99)  # other weights, order and draws, all to be replaced
    train(model, optimizer, loader, 2)
    state = tn.load(tmp_path / "run.safetensors")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    loader.load_state_dict(state["loader"])
    tn.default_generator.set_state(state["generator"])

    assert train(model, optimizer, loader, STEPS - stop) == losses[stop:]
    expected, received = whole[0].state_dict(), model.state_dict()
    assert expected.keys() == received.keys()
    for name in expected:
        np.testing.assert_array_equal(expected[name].numpy(), received[name].numpy(), err_msg=name)


def test_state_dict_keeps_its_names_in_the_file(tmp_path: Path) -> None:
    import safetensors.numpy

    model = parts(1)[0]
    tn.save(model.state_dict(), tmp_path / "model.safetensors")
    assert set(safetensors.numpy.load_file(tmp_path / "model.safetensors")) == set(model.state_dict())
