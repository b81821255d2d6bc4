"""TINYNET_PIN=1: OpenMP's workers have a CPU each, the calling thread and what it starts have all."""

from __future__ import annotations

import os

import pytest
from processes import python

from tinynet.ops import threads

PROGRAM = """
import pathlib, threading
import tinynet as tn

def allowed():
    found = {}
    for task in pathlib.Path("/proc/self/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("Cpus_allowed_list:"):
                found[int(task.name)] = line.split()[1]
    return found

before = allowed()
tn.set_num_threads(2)
tn.ones(1 << 20).relu()
stop = threading.Event()
later = threading.Thread(target=stop.wait)
later.start()
after = allowed()
stop.set()
whole = after.pop(threading.main_thread().native_id)
print(sum(mask != whole for mask in after.values()), after.pop(later.native_id) == whole,
      all("-" not in mask and "," not in mask for mask in after.values() if mask != whole))
"""

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity")
    or len(os.sched_getaffinity(0)) < 2
    or not os.path.isdir("/proc/self/task")
    or not threads.openmp_built(),
    reason="needs Linux, OpenMP and two CPUs",
)


@pytest.mark.parametrize(("value", "pinned"), [("1", 1), ("0", 0), (None, 0)])
def test_workers_are_pinned_on_demand_and_nobody_else(monkeypatch, value, pinned):
    monkeypatch.delenv("TINYNET_PIN", raising=False)
    run = python(PROGRAM, OMP_NUM_THREADS="2", **({} if value is None else {"TINYNET_PIN": value}))
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [str(pinned), "True", "True"]


def test_more_threads_than_cpus_are_not_pinned():
    more = PROGRAM.replace("set_num_threads(2)", f"set_num_threads({len(os.sched_getaffinity(0)) + 1})")
    run = python(more, OMP_NUM_THREADS="1", TINYNET_PIN="1")
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["0", "True", "True"]


def test_cores_come_before_their_second_cpus(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    for cpu, core in enumerate("0011"):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "core_id").write_text(core)
        (folder / "physical_package_id").write_text("0")
    assert threads._one_per_core(str(tmp_path)) == [0, 2, 1, 3]
