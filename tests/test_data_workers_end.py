"""How the threads of a loader end: with the loop, an exception, the collector, Ctrl-C, the interpreter."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from processes import FOLDER, python

from tinynet.data import DataLoader, Dataset, prefetch


class Items(Dataset[Any]):
    """Samples that take their time, the earlier ones longer."""

    def __init__(self, length: int, seconds: float = 0.0) -> None:
        self.length, self.seconds = length, seconds

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        time.sleep(self.seconds * (1 - index / self.length))
        return np.full(3, index, np.float32), index


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("DataLoader worker")]


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    assert workers() == []
    yield
    assert workers() == []


def test_break_and_full_epochs_end_the_workers() -> None:
    loader = DataLoader(Items(30, 1e-4), 3, num_workers=3)
    for number, _ in enumerate(loader):
        if number == 2:
            assert len(workers()) == 3
            break
    assert workers() == []
    list(loader)
    assert workers() == []
    iterator = iter(loader)
    next(iterator)
    iterator.close()  # type: ignore[attr-defined]
    assert workers() == []
    with pytest.raises(ZeroDivisionError):
        sum(1 / 0 for _ in loader)
    assert workers() == []


def test_no_cycles_after_an_epoch_or_a_break() -> None:
    loader = DataLoader(Items(12), 3, num_workers=2)
    list(loader)
    gc.collect()
    gc.disable()
    try:
        list(loader)
        for _ in loader:
            break
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_the_collector_finds_a_loop_that_its_data_set_can_reach() -> None:
    """The workers that wait must not keep alive what they work for."""

    class Trainer:
        def __init__(self) -> None:
            self.loader = DataLoader(range(40), num_workers=2, collate_fn=self.collate)
            self.iterator = iter(self.loader)

        def collate(self, samples: list[int]) -> int:
            return samples[0]

    trainer = Trainer()
    assert next(trainer.iterator) == 0
    reference = weakref.ref(trainer)
    del trainer
    deadline = time.monotonic() + 10
    while reference() is not None and time.monotonic() < deadline:  # until both workers wait
        gc.collect()
    assert reference() is None
    assert workers() == []


def test_batches_made_ahead_are_let_go() -> None:
    class Batch:
        pass

    made: list[weakref.ref[Batch]] = []

    def collate(samples: list[int]) -> Batch:
        batch = Batch()
        made.append(weakref.ref(batch))
        return batch

    for _ in DataLoader(range(40), num_workers=2, collate_fn=collate):
        break
    del _
    assert len(made) >= 1
    assert [reference() for reference in made if reference() is not None] == []


def test_a_thread_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "DataLoader worker 1":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        list(DataLoader(range(4), num_workers=3))


@pytest.mark.parametrize("where", ["waiting", "looping", "kept"])
def test_the_interpreter_ends(where: str) -> None:
    code = {
        "waiting": "iterator = iter(DataLoader(Slow(), num_workers=2)); next(iterator)",
        "looping": "for _ in DataLoader(Slow(), num_workers=2): raise SystemExit",
        "kept": "Slow.kept = iter(DataLoader(Slow(), num_workers=2)); next(Slow.kept); del DataLoader",
    }[where]
    done = python(
        "import time\n"
        "from tinynet.data import DataLoader, Dataset\n"
        "class Slow(Dataset):\n"
        "    def __len__(self): return 1000\n"
        "    def __getitem__(self, index):\n"
        "        time.sleep(0.01); return index\n" + code
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(os.name == "nt", reason="signals as on POSIX")
def test_ctrl_c_while_waiting_for_a_batch() -> None:
    code = (
        "import threading, time\n"
        "from tinynet.data import DataLoader\n"
        "def slow(samples):\n"
        "    if samples == [3]: print('waiting', flush=True); time.sleep(60)\n"
        "    return samples\n"
        "try:\n"
        "    for _ in DataLoader(range(9), num_workers=2, collate_fn=slow): pass\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=FOLDER
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)  # the worker sleeps for 60
    assert (out, err, process.returncode) == ("interrupted\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_told() -> None:
    done = python(
        "import os, sys, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "from tinynet.data import DataLoader\n"
        "iterator = iter(DataLoader(range(9), num_workers=2))\n"
        "next(iterator)\n"
        "if os.fork() == 0:\n"
        "    try: next(iterator)\n"
        "    except RuntimeError as error: print(error)\n"
        "    sys.exit()\n"
        "os.wait()\n"
    )
    message = "DataLoader: an iterator with workers cannot go on in a forked process\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, message, "")


def test_close_from_within_a_worker() -> None:
    """The collector may run the end in any thread, in one of the workers too."""
    channel = prefetch._Channel(1)
    thread = threading.Thread(target=channel.close)
    channel.threads.append(thread)
    thread.start()
    thread.join(30)
    assert channel.closed
