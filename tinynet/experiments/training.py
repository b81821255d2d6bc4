"""The training loop of the studies: so many steps, a progress bar, measurements at fixed steps."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tinynet._check import integer
from tinynet._tensor import Tensor
from tinynet.data import DataLoader
from tinynet.experiments.extras import require
from tinynet.nn import Module
from tinynet.optim import Optimizer

# Steps between two looks at the loss: reading it and moving the bar cost about 20 us.
_SHOW_EVERY = 100


def endless(loader: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of one epoch after the other, for ever."""
    while True:
        yield from loader


def progress_bar(total: int, label: str, unit: str, **options: Any) -> Any:
    """Return a tqdm bar on stderr; `options` are tqdm's."""
    require("tqdm")
    from tqdm import tqdm

    terminal = sys.stderr.isatty()  # elsewhere (a log file, CI) every refresh is a line: write few
    interval = 0.2 if terminal else 5.0
    return tqdm(total=total, desc=label, unit=unit, mininterval=interval, ascii=not terminal, **options)


def train(
    model: Module,
    optimizer: Optimizer,
    loss: Callable[[Tensor, Tensor], Tensor],
    loader: DataLoader,
    steps: int,
    *,
    measure: Callable[[int], str] | None = None,
    every: int = 250,
    label: str = "",
) -> None:
    """Train for a number of steps, with a progress bar on stderr.

    Parameters
    ----------
    model : Module
        The network; it is put into training mode.
    optimizer : Optimizer
        Over the parameters of `model`.
    loss : callable
        ``loss(model(x), y)`` gives a scalar tensor.
    loader : DataLoader
        Gives batches (x, y); epochs follow each other as long as needed.
    steps : int
        Updates to make, at least 1.
    measure : callable, optional
        Called with the number of updates made after step 1, after every multiple of `every`, and after the
        last step. It must leave the training flags as they are.  What it returns stands on the bar.
    every : int, default 250
        Steps between two measurements.
    label : str
        The name at the left of the bar.

    Raises
    ------
    DTypeError, ArgumentError
        If `steps` or `every` is no positive int.
    """
    steps, every = integer("train", "steps", steps, 1), integer("train", "every", every, 1)
    model.train()
    shown, current, note = 0, None, ""
    with progress_bar(steps, label, " steps") as bar:
        for step, (x, y) in enumerate(itertools.islice(endless(loader), steps), 1):
            current = loss(model(x), y)
            optimizer.zero_grad()
            current.backward()
            optimizer.step()
            if step % _SHOW_EVERY == 0:
                bar.set_postfix_str(f"loss {current.item():.3f}{note}", refresh=False)
                bar.update(step - shown)
                shown = step
            if measure is not None and (step == 1 or step % every == 0 or step == steps):
                note = f", {measure(step)}"
        if current is not None:
            bar.set_postfix_str(f"loss {current.item():.3f}{note}", refresh=False)
        bar.update(steps - shown)
