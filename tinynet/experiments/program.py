"""What the programs of the studies share: command line, exit codes, data set, files.

A study is a script whose docstring is its help and whose ``main`` is two lines::

    progress = program.Progress()
    return program.execute(lambda: run(parse_arguments(arguments), progress), progress)

It prints what it does as it goes, and ends with exit code 0, with 1 and one line ``error: ...`` on stderr
where it could not run, with 130 and what is kept after Ctrl-C; bad options end it with 2, before any work.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinynet._version import __version__
from tinynet.data import ImageDataset
from tinynet.errors import TinynetError
from tinynet.experiments.extras import require
from tinynet.experiments.figures import DPI, WIDTH, figure_png
from tinynet.experiments.options import integer, load_parts
from tinynet.experiments.runs import Runs
from tinynet.io import atomic_write
from tinynet.ops.threads import get_num_threads, set_num_threads

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MOST_JOBS = 8  # by default: each process holds the data set

# ---- command line


def make_parser(docstring: str) -> argparse.ArgumentParser:
    """Make a parser whose help begins with the docstring's summary and ends with the rest of it."""
    summary, _, details = docstring.partition("\n\n")
    return argparse.ArgumentParser(
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_common(
    parser: argparse.ArgumentParser,
    *,
    out: str,
    smoke: str,
    datasets: Sequence[str] = (),
    seed: str = "of everything that is drawn at random",
    seeds: int | None = None,
    threads: int | None = None,
    threads_reason: str = "",
    jobs: bool = False,
) -> None:
    """Add the options that every study has.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Gets --seed, --threads, --out and --smoke; with `datasets` --dataset, --data and --offline; with
        `seeds` --seeds.
    out : str
        The default folder for results.
    smoke : str
        What the trial run does.
    datasets : sequence of str
        The names to choose from, the default first; none for a study without data.
    seed : str
        What the seed is of; it is 0 by default.
    seeds : int, optional
        The default of --seeds, where a study can be repeated.
    threads : int, optional
        The default number of threads; None for all cores.
    threads_reason : str
        Why that number.
    jobs : bool
        Whether several processes can share the study's runs: adds --jobs, for `share_work`.
    """
    add = parser.add_argument
    if datasets:
        add("--dataset", choices=tuple(datasets), default=datasets[0], help=f"(default {datasets[0]})")
        add(
            "--data",
            type=Path,
            metavar="DIR",
            help="folder to look in for the data set, before $TINYNET_DATA and the user cache",
        )
        add("--offline", action="store_true", help="never touch the network")
    add("--seed", type=integer(0), default=0, help=f"seed {seed} (default 0)")
    if seeds is not None:
        add(
            "--seeds",
            type=integer(1),
            default=seeds,
            metavar="N",
            help="repeat with N seeds, --seed and those that follow it, and report them all "
            f"(default {seeds})",
        )
    usual = "all cores" if threads is None else threads
    why = f": {threads_reason}" if threads_reason else ""
    add(
        "--threads",
        type=integer(1),
        default=threads,
        metavar="N",
        help=f"threads to use (default {usual}{why}; same bits)",
    )
    if jobs:
        add(
            "--jobs",
            type=integer(1),
            metavar="N",
            help="processes that share the runs, and the threads among them (default: one for each thread, "
            f"at most {MOST_JOBS}: quicker than several threads at a small network; one with --smoke; "
            "same bits); what the others print goes into job2.log and so on in --out",
        )
        add("--worker", type=integer(1), help=argparse.SUPPRESS)  # in the others: the first one's process id
    add("--out", type=Path, default=Path(out), metavar="DIR", help=f"results (default {out})")
    add("--smoke", action="store_true", help=smoke)


# ---- the run


@dataclass
class Progress:
    """How far a program is, for the message after Ctrl-C.

    Attributes
    ----------
    where : str
        What was going on.
    runs : Runs or None
        What a later run can go on from; None where there is nothing.
    """

    where: str = "before the training began"
    runs: Runs | None = None

    def kept(self) -> str:
        """Say what a later run can go on from."""
        finished = 0 if self.runs is None else self.runs.finished()
        begun = self.runs is not None and self.runs.begun()
        if self.runs is None or not (finished or begun):
            return "There is nothing new to go on from."
        part = " and the checkpoint of an unfinished one" if begun else ""
        where = f"in {self.runs.folder}; the same command goes on from there."
        return f"Kept: {finished} finished runs{part} {where}"


def execute(work: Callable[[], None], progress: Progress) -> int:
    """Do the work of a program and return its exit code.

    Parameters
    ----------
    work : callable
        Reads the command line, runs, writes, prints.
    progress : Progress
        What `work` keeps up to date.

    Returns
    -------
    int
        0; 1 after an error that a user can mend, which stands on stderr; 130 after Ctrl-C.
    """
    try:
        work()
    except (TinynetError, ImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nInterrupted {progress.where}.\n{progress.kept()}", file=sys.stderr)
        return 130
    return 0


@contextmanager
def kept_runs(options: argparse.Namespace, progress: Progress) -> Iterator[Runs]:
    """Open the finished runs of a study, which lie in ``OUT/runs``; after Ctrl-C they are spoken of.

    With --smoke they are others, in a folder that is gone at the end: a trial begins anew every time.
    """
    with tempfile.TemporaryDirectory() as temporary:
        runs = Runs(temporary if options.smoke else options.out / "runs")
        progress.runs = None if options.smoke else runs
        yield runs
    if runs.kept:
        print(f"{len(runs.made)} runs made, {len(runs.kept)} found in {runs.folder}", flush=True)


@contextmanager
def share_work(
    options: argparse.Namespace, script: str, arguments: Sequence[str] | None = None
) -> Iterator[None]:
    """Start the other processes of --jobs, which make runs beside this one; they end with the block.

    Each calls the same script with the same options, and finds by `Runs.share` what there is to do.  What
    they print goes into ``OUT/job2.log`` and so on; if one fails, a warning on stderr says so at the end, and
    the runs are made without it.  With --smoke there are none.

    Parameters
    ----------
    options : argparse.Namespace
        With `jobs`, `worker`, `smoke` and `out`.
    script : str
        The file of the program.
    arguments : sequence of str, optional
        Its command line; by default that of this process.
    """
    threads = get_num_threads()
    jobs = 1 if options.smoke or options.worker else options.jobs or min(threads, MOST_JOBS)
    if options.worker:
        threading.Thread(target=_end_with, args=(options.worker,), daemon=True).start()
    set_num_threads(max(1, threads // jobs))
    command = [sys.executable, script, *(sys.argv[1:] if arguments is None else arguments)]
    command += ["--worker", str(os.getpid()), "--threads", str(get_num_threads())]
    if "offline" in options:  # the data set is there by now, or the stand-in is taken by all
        command.append("--offline")
    workers: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(2, jobs + 1):
            options.out.mkdir(parents=True, exist_ok=True)
            with (options.out / f"job{number}.log").open("wb") as log:
                workers.append(
                    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
                )
        yield
        for number, worker in enumerate(workers, 2):
            if worker.poll():  # it failed, and this process has done its share
                log_file = options.out / f"job{number}.log"
                print(f"WARNING: job {number} has failed: see {log_file}", file=sys.stderr, flush=True)
    finally:
        for worker in workers:
            worker.terminate()  # there is nothing left to do, or nobody to do it for
        for worker in workers:
            worker.wait()
        set_num_threads(threads)


def _end_with(parent: int) -> None:
    """End this process when its parent has ended; a run's files are complete or not there at any time."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def prepare(options: argparse.Namespace) -> None:
    """Check that the packages of the studies are there, before any work, and set the number of threads."""
    require("matplotlib", "tqdm")
    if options.threads is not None:
        set_num_threads(options.threads)


def load_dataset(options: argparse.Namespace) -> tuple[ImageDataset, ImageDataset, str | None]:
    """Load the data set that the options name, or the one that stands in for it.

    Parameters
    ----------
    options : argparse.Namespace
        With `dataset`, `data` and `offline`.

    Returns
    -------
    tuple of ImageDataset, ImageDataset, str or None
        The training part, the test part and, if another data set stands in, a notice for the results; the
        warning itself is printed.

    Raises
    ------
    DataError
        If a file is damaged.
    """
    print(f"looking for the data set {options.dataset} ...", flush=True)
    training, test, warnings = load_parts(options.dataset, options.data, options.offline)
    for warning in warnings:
        print(f"WARNING: {warning}", file=sys.stderr, flush=True)
    notice = None
    if training.name != options.dataset:
        notice = f"{options.dataset} was asked for and not found: these are results of {training.name}"
    return training, test, notice


def banner(name: str, training: int, test: int) -> str:
    """Return the line that says what runs: version, threads, data set and its numbers of images."""
    return (
        f"tinynet {__version__}, {get_num_threads()} thread(s); data set {name}: "
        f"{training:,} training and {test:,} test images"
    )


# ---- files


def results_head(
    experiment: str, settings: Mapping[str, object], *, dataset: str | None = None, notice: str | None = None
) -> dict[str, object]:
    """Return what every results.json begins with.

    Parameters
    ----------
    experiment : str
        The name of the script.
    settings : mapping
        What the run was made with.
    dataset : str, optional
        The name of the data set that was used.
    notice : str, optional
        From `load_dataset`.

    Returns
    -------
    dict
        experiment, tinynet, dataset, notice, settings, threads, finished.
    """
    return {
        "experiment": experiment,
        "tinynet": __version__,
        "dataset": dataset,
        "notice": notice,
        "settings": settings,
        "threads": get_num_threads(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def write_figure(
    path: str | os.PathLike[str],
    draw: Callable[[Figure], None],
    *,
    width: float = WIDTH,
    height: float = 3.3,
    dpi: int = DPI,
) -> None:
    """Make a figure with `figure_png` and write it, complete or not at all; the folder must exist.

    Parameters
    ----------
    path : str or os.PathLike
        The PNG file.
    draw, width, height, dpi
        As those of `figure_png`.
    """
    png = figure_png(draw, width=width, height=height, dpi=dpi)
    with atomic_write(path, "wb", operation="write_figure") as file:
        file.write(png)
