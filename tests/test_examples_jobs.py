"""Studies in several processes: what they share, what they leave, and that none outlives the first."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from examples_running import EXAMPLES, environment

from tinynet.errors import DivergenceError

LIMIT = 60.0  # seconds after which what is waited for is given up; a run that waits does so for longer


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and is not yet waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# ---- a study of our own ------------------------------------------------------------------------------------

# A process leaves its id in a file when it is in a run, and the second one before anything else.
STUDY = '''
"""Two runs."""
import os, signal, sys, time
from pathlib import Path
import tinynet as tn
from tinynet.errors import DataError
from tinynet.experiments import program

HOW = sys.argv.pop(1)


def mark(name):
    path = Path(f"{name}.tmp{os.getpid()}")
    path.write_text(str(os.getpid()))
    path.rename(name)


def wait(*names):
    end = time.monotonic() + 100
    while not all(Path(name).exists() for name in names) and time.monotonic() < end:
        time.sleep(0.02)


def work(name):
    mark(f"in-{name}")
    wait(*{"together": ["in-a", "in-b"], "for-ever": ["never"], "alone": []}[HOW])
    return {"process": os.getpid(), "threads": tn.get_num_threads()}


def run(options, progress):
    program.prepare(options)
    if options.worker:
        mark("worker")
        wait("gate")
    progress.where = "in the study"
    again = [HOW, *sys.argv[1:]]
    with program.kept_runs(options, progress) as runs, program.share_work(options, __file__, again):
        if HOW == "alone":
            if options.worker:
                raise DataError("on purpose")
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        makers = [lambda name=name: runs.get(name, {}, lambda checkpoint: work(name)) for name in "ab"]
        runs.share(makers)
        found = [make() for make in makers]
    if not options.worker:
        for each in found:
            print("made by", each["process"], "with", each["threads"])
        print("first", os.getpid(), "has", tn.get_num_threads())


signal.signal(signal.SIGINT, signal.default_int_handler)
parser = program.make_parser(__doc__)
program.add_common(parser, out="out", smoke="a trial", jobs=True)
progress = program.Progress()
sys.exit(program.execute(lambda: run(parser.parse_args(), progress), progress))
'''


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the study in a session of its own; what is left of it is killed at the end."""
    (tmp_path / "study.py").write_text(STUDY)
    started = []

    def begin(how: str, *options: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "study.py", how, *options],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


class TestShareWork:
    def test_each_makes_a_run(self, start, tmp_path):
        (tmp_path / "gate").touch()
        process = start("together", "--jobs", "2", "--threads", "5", "--out", "my results")
        out, err = process.communicate(timeout=LIMIT)
        assert (process.returncode, err) == (0, "")
        made = re.findall(r"made by (\d+) with 2\n", out)  # 5 threads, halved
        worker = (tmp_path / "worker").read_text()
        assert sorted(made) == sorted([str(process.pid), worker])
        assert f"first {process.pid} has 5\n" in out
        assert "1 runs made, 1 found in my results/runs" in out
        folder = tmp_path / "my results"
        assert sorted(path.name for path in folder.iterdir()) == ["job2.log", "runs"]
        assert not alive(int(worker))

    def test_one_that_fails_is_spoken_of(self, start, tmp_path):
        (tmp_path / "gate").touch()
        process = start("alone", "--jobs", "2", "--threads", "1")
        out, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 0
        assert err == f"WARNING: job 2 has failed: see {Path('out/job2.log')}\n"
        assert out.count(f"made by {process.pid} with 1\n") == 2
        assert (tmp_path / "out" / "job2.log").read_text() == "error: on purpose\n"

    @pytest.mark.parametrize("early", [True, False])
    @pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
    def test_none_outlives_the_first(self, start, tmp_path, end, early):
        """However early that ends: while the others are still beginning, too."""
        process = start("for-ever", "--jobs", "2", "--threads", "1")
        if not early:
            (tmp_path / "gate").touch()
            wait_until(lambda: (tmp_path / "in-a").exists() and (tmp_path / "in-b").exists())
        wait_until((tmp_path / "worker").exists)
        worker = int((tmp_path / "worker").read_text())
        assert alive(worker)
        process.send_signal(end)
        process.wait(timeout=LIMIT)
        (tmp_path / "gate").touch()
        wait_until(lambda: not alive(worker))

    @pytest.mark.parametrize("everywhere", [True, False])
    def test_interrupt_ends_both(self, start, tmp_path, everywhere):
        """Ctrl-C in a terminal reaches all processes, a signal to the first one that alone."""
        (tmp_path / "gate").touch()
        process = start("for-ever", "--jobs", "2", "--threads", "1")
        wait_until(lambda: (tmp_path / "in-a").exists() and (tmp_path / "in-b").exists())
        (os.killpg if everywhere else os.kill)(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 130
        assert err == "\nInterrupted in the study.\nThere is nothing new to go on from.\n"
        assert not alive(int((tmp_path / "worker").read_text()))
        assert list((tmp_path / "out" / "runs").glob("*.safetensors")) == []

    def test_trial_is_made_by_one(self, start, tmp_path):
        (tmp_path / "in-b").touch()
        process = start("together", "--jobs", "2", "--threads", "3", "--smoke")
        out, err = process.communicate(timeout=LIMIT)
        assert (process.returncode, err) == (0, "")
        assert out.count(f"made by {process.pid} with 3\n") == 2
        assert not (tmp_path / "out").exists()


def test_divergence_crosses_processes():
    error = pickle.loads(pickle.dumps(DivergenceError("train: it is nan", 3)))
    assert (type(error), str(error), error.step) == (DivergenceError, "train: it is nan", 3)


# ---- examples/inception.py ---------------------------------------------------------------------------------

# The others start this file, too, and so have the same settings.  The first network of each process waits for
# that of the other one, so that both make something.
SMALL = """
import dataclasses, os, runpy, sys, time
from pathlib import Path
from tinynet.experiments import inception_study
from tinynet.experiments.inception_variants import Settings

script = runpy.run_path({script!r})["main"].__globals__
small = {{"epochs": 1, "batch_size": 36, "rates": (0.01, 0.02), "per_epoch": 2}}
small |= {{"dropouts": (0.0, 0.1), "stable_steps": 2, "limit": 80}}
script["Settings"] = dataclasses.make_dataclass(
    "Small", [(name, object, value) for name, value in small.items()], bases=(Settings,), frozen=True
)
script["__file__"] = __file__
network = inception_study.bn_inception_tiny


def first_network(*arguments):
    here = Path(sys.argv[sys.argv.index("--out") + 1])
    jobs = int(sys.argv[sys.argv.index("--jobs") + 1])
    (here / f"here-{{os.getpid()}}").touch()
    end = time.monotonic() + 100
    while len(list(here.glob("here-*"))) < jobs and time.monotonic() < end:
        time.sleep(0.02)
    inception_study.bn_inception_tiny = network
    return network(*arguments)


inception_study.bn_inception_tiny = first_network
sys.exit(script["main"]())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same study by one process, in one/, and by two, in two/."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "small.py").write_text(SMALL.format(script=str(EXAMPLES / "inception.py")))
    for jobs, name in ((1, "one"), (2, "two")):
        options = ["--dataset", "digits", "--offline", "--threads", "1", "--seeds", "1", "--seed", "3"]
        process = subprocess.run(
            [sys.executable, "small.py", *options, "--jobs", str(jobs), "--out", name],
            cwd=folder,
            env=environment(folder),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert process.returncode == 0, process.stderr
        assert "WARNING" not in process.stderr
        (folder / f"{name}.txt").write_text(process.stdout)
    return folder


class TestInception:
    def test_results_are_those_of_one_process(self, folder):
        def timeless(tree: Any) -> Any:
            if isinstance(tree, dict):
                kept = tree.keys() - {"finished", "seconds"}
                return {name: timeless(tree[name]) for name in kept}
            return [timeless(each) for each in tree] if isinstance(tree, list) else tree

        one, two = (json.loads((folder / name / "results.json").read_text()) for name in ("one", "two"))
        assert one["settings"]["limit"] == 80
        assert timeless(one) == timeless(two)
        for name in ("history.csv", "accuracy.png"):
            assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes()
        runs = [sorted(path.name for path in (folder / name / "runs").iterdir()) for name in ("one", "two")]
        assert runs[0] == runs[1]

    def test_both_made_something(self, folder):
        total = len(list((folder / "two" / "runs").iterdir()))
        made, found = re.search(r"(\d+) runs made, (\d+) found", (folder / "two.txt").read_text()).groups()
        assert 1 <= int(made) < total
        assert int(made) + int(found) == total
        log = (folder / "two" / "job2.log").read_text()
        assert "1 thread(s); data set digits: 72 training and 80 test images" in log
        assert "epoch 1/" in log
        assert "Claims" not in log
        assert not (folder / "one" / "job2.log").exists()
