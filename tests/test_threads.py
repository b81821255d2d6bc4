"""Threads: how many, the same bits with any number of them, forks, interrupts, other libraries' settings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from processes import FOLDER, python

import tinynet as tn
from tinynet import nn, optim
from tinynet.errors import ArgumentError
from tinynet.nn import functional as F
from tinynet.ops import threads

# ---- how many ----------------------------------------------------------------------------------------------


def test_set_and_get():
    before = tn.get_num_threads()
    try:
        for n in (1, 3, np.int64(2)):
            tn.set_num_threads(n)
            assert tn.get_num_threads() == (n if threads.openmp_built() else 1)
    finally:
        tn.set_num_threads(before)


@pytest.mark.parametrize("n", [0, -1, 1.0, "2", None, True, 2**40, 10**6])
def test_numbers_that_are_refused(n):
    before = tn.get_num_threads()
    with pytest.raises(ArgumentError, match=r"set_num_threads: n must be .*integer.*; got"):
        tn.set_num_threads(n)
    assert tn.get_num_threads() == before


@pytest.mark.parametrize(
    ("affinity", "quota", "cores", "asked", "expected"),
    [
        (8, None, None, "", 8),
        (8, 3, 4, "", 3),
        (8, None, 4, "", 4),
        (8, None, 4, "2", 2),
        (8, None, 4, "16", 4),
        (8, None, 4, "2,1", 2),
        (8, None, 4, "0", 4),
        (8, None, 4, "many", 4),
        (1, 1, 1, "1", 1),
    ],
)
def test_the_default_is_the_smallest_of_the_limits(monkeypatch, affinity, quota, cores, asked, expected):
    monkeypatch.setattr(threads, "_affinity", lambda: affinity)
    monkeypatch.setattr(threads, "_cgroup_quota", lambda: quota)
    monkeypatch.setattr(threads, "_physical_cores", lambda: cores)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads.default_num_threads() == expected


def test_affinity(monkeypatch):
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system has no CPU affinity")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 5})
    assert threads._affinity() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert threads._affinity() == os.cpu_count()
    assert threads._physical_cores() is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "nonsense\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_the_control_group(tmp_path, files, expected):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert threads._cgroup_quota(str(tmp_path)) == expected


def test_physical_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    for cpu, (core, package) in enumerate([(0, 0), (0, 0), (0, 1), (1, 1)]):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "core_id").write_text(f"{core}\n")
        (folder / "physical_package_id").write_text(f"{package}\n")
    assert threads._physical_cores(str(tmp_path)) == 3
    assert threads._physical_cores(str(tmp_path / "none")) is None


def test_omp_num_threads_limits_the_default():
    code = "import tinynet as tn; print(tn.get_num_threads())"
    assert python(code, OMP_NUM_THREADS="1").stdout.strip() == "1"
    assert int(python(code).stdout) == int(
        python("from tinynet.ops import threads as t; print(t.default_num_threads())").stdout
    )


# ---- the same bits -----------------------------------------------------------------------------------------


def training(seed: int, steps: int = 6, generator: bool = True) -> list[bytes]:
    """Loss and parameters after each step of a small run with all layers of the MLP family."""
    tn.manual_seed(seed)
    layers = [
        nn.Linear(50, 70),
        nn.BatchNorm1d(70),
        nn.Sigmoid(),
        nn.Linear(70, 70),
        nn.Tanh(),
        nn.Linear(70, 70),
        nn.ReLU(),
    ]
    net = nn.Sequential(*layers, *([nn.Dropout(0.3)] if generator else []), nn.Linear(70, 10))
    return run(net, seed, steps)


def run(net: nn.Module, seed: int, steps: int) -> list[bytes]:
    optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    source = tn.Generator(seed)
    out = []
    for _ in range(steps):
        x = tn.randn(300, 50, generator=source)
        labels = tn.tensor(source.numpy().integers(0, 10, 300))
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        out.append(
            loss.detach().numpy().tobytes() + b"".join(p.detach().numpy().tobytes() for p in net.parameters())
        )
    return out


def test_a_training_run_has_the_same_bits_at_any_number_of_threads():
    before, bound = tn.get_num_threads(), threads._set_serial_work(0)
    try:
        runs = []
        for n in (1, 2, 3, 3):
            tn.set_num_threads(n)
            runs.append(training(7))
    finally:
        tn.set_num_threads(before)
        threads._set_serial_work(bound)
    assert runs[1] == runs[0]
    assert runs[2] == runs[0]
    assert runs[3] == runs[2]
    assert training(7) == runs[0]  # small loops serial again
    assert training(8) != runs[0]


def test_a_training_run_has_the_same_bits_in_another_process():
    code = (
        f"import sys, hashlib; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_threads import training; print(hashlib.sha256(b''.join(training(7))).hexdigest())"
    )
    first, second = python(code, OMP_NUM_THREADS="1"), python(code)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout


def test_two_python_threads_train_two_models():
    def networks() -> list[nn.Sequential]:
        tn.manual_seed(1)
        return [
            nn.Sequential(nn.Linear(50, 64), nn.BatchNorm1d(64), nn.Sigmoid(), nn.Linear(64, 10))
            for _ in range(2)
        ]

    alone = [run(net, i, 25) for i, net in enumerate(networks())]
    results: dict[int, list[bytes]] = {}
    start = threading.Barrier(2)

    def work(i: int, net: nn.Sequential) -> None:
        start.wait()
        results[i] = run(net, i, 25)

    workers = [threading.Thread(target=work, args=(i, net)) for i, net in enumerate(networks())]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert [results[i] for i in range(2)] == alone


# ---- forks -------------------------------------------------------------------------------------------------

FORK = """
import multiprocessing, warnings
warnings.simplefilter("ignore")
import tinynet as tn
from tinynet.nn import functional as F
from tinynet.ops import threads
threads._set_serial_work(0)
tn.set_num_threads(2)
def work():
    w = tn.ones(70, 200, requires_grad=True)
    F.linear(tn.ones(600, 200).relu(), w).sum().backward()
    return w.grad.numpy().sum().item()
def child(queue):
    first = tn.get_num_threads(), work()
    tn.set_num_threads(2)          # must not wake workers that did not survive the fork
    queue.put((*first, tn.get_num_threads(), work()))
expected = work()
context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(queue,), daemon=True)
process.start()
got = queue.get(timeout=20)
process.join(20)
own = tn.get_num_threads() == (2 if threads.openmp_built() else 1), work() == expected
print(got == (1, expected, 1, expected), process.exitcode, *own)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_after_a_parallel_region_runs_with_one_thread():
    done = python(FORK, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "0", "True", "True"]


# ---- interrupts --------------------------------------------------------------------------------------------

LOOP = """
import tinynet as tn
from tinynet.nn import functional as F
x, w = tn.randn(512, 512), tn.randn(512, 512, requires_grad=True)
try:
    print("ready", flush=True)
    for _ in range(10_000_000):
        F.linear(x, w).sigmoid().sum().backward()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent in another way")
def test_ctrl_c_interrupts_long_work():
    with subprocess.Popen(
        [sys.executable, "-c", LOOP], stdout=subprocess.PIPE, text=True, cwd=FOLDER
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=20)  # it takes well under a second on a free machine
        finally:
            process.kill()
    assert out == "interrupted\n"
    assert process.returncode == 0


# ---- the environment ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sse9", "AVX2", " "])
def test_an_unknown_instruction_set_is_refused_at_import(name):
    done = python("import tinynet", TINYNET_ISA=name)
    assert done.returncode == 1
    assert f"TINYNET_ISA: must be one of avx512, avx2, baseline, scalar; got {name!r}" in done.stderr


def test_a_known_instruction_set_is_used():
    code = (
        "import tinynet as tn; from tinynet.ops import kernels\n"
        "print(kernels.chosen(), tn.ones(3).sigmoid().sum().item() > 2)"
    )
    for isa in ("scalar", "baseline"):
        assert python(code, TINYNET_ISA=isa).stdout.split() == [isa, "True"]
    assert python(code, TINYNET_ISA="").stdout.split()[1] == "True"


SETTINGS = """
import numpy, scipy.linalg, os
from threadpoolctl import threadpool_info, threadpool_limits
environment = dict(os.environ)
def settings():
    return {i["filepath"]: i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"}
for limit in (None, 2, 1):
    with threadpool_limits(limit, "blas"):
        before = settings()
        import tinynet as tn
        assert settings() == before, "import"
        x = tn.randn(200, 300, dtype="float64", requires_grad=True)
        (x @ tn.ones(300, 100, dtype="float64")).sum().backward()
        try:
            x @ x
        except ValueError:
            pass
        assert settings() == before, "products"
assert dict(os.environ) == environment
assert (numpy.float32(1e-39) * numpy.float32(0.5)) > 0, "subnormal numbers are flushed"
print("unchanged")
"""


def test_other_libraries_settings_stay_as_they_were():
    done = python(SETTINGS)
    assert done.stdout == "unchanged\n", done.stderr
