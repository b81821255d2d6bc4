"""What every test shares: a fixed state to start from, and `rng`, `one_thread`, `threads` and `isa`."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest

import tinynet
from tinynet.ops import kernels
from tinynet.ops import threads as ops_threads

# Helpers whose assertions are to say what they compared, as those of tests do.
pytest.register_assert_rewrite("examples_running")

# A test that is slow on a busy machine has not failed; every run of the same code draws the same examples.
hypothesis.settings.register_profile("tinynet", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.load_profile("tinynet")


def pytest_report_header() -> str:
    return f"tinynet {tinynet.__version__}: {tinynet.__file__}"


@pytest.fixture(autouse=True, scope="session")
def _empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests run in an empty folder: Python started there finds the installed package, not the sources."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("cwd"))
    yield
    os.chdir(before)


@pytest.fixture(autouse=True)
def _fixed_state() -> Iterator[None]:
    """Each test starts with the default generator at seed 0 and must leave no global switch turned."""
    tinynet.manual_seed(0)
    before = tinynet.get_num_threads()
    yield
    recording, after = tinynet.is_grad_enabled(), tinynet.get_num_threads()
    tinynet.set_grad_enabled(True)
    tinynet.set_num_threads(before)
    assert recording, "the test left gradients switched off"
    assert after == before, f"the test left {after} threads set instead of {before}"


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that depend on the test's name and parameters alone, not on the order of the tests."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread: small networks gain little from two, which on a busy machine wait for each other."""
    before = tinynet.get_num_threads()
    tinynet.set_num_threads(1)
    yield
    tinynet.set_num_threads(before)


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Run the test with 1, 2 and 3 threads, small arrays too (a build without OpenMP stays at 1)."""
    before, bound = tinynet.get_num_threads(), ops_threads._set_serial_work(0)
    tinynet.set_num_threads(request.param)
    yield request.param
    tinynet.set_num_threads(before)
    ops_threads._set_serial_work(bound)


@pytest.fixture(params=kernels.available())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test with the kernels of each instruction set that this CPU has."""
    former = kernels.chosen()
    kernels._select(request.param)
    yield request.param
    kernels._select(former)
