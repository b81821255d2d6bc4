"""Training by epochs, with a checkpoint after each from which a run goes on as if it had never stopped.

Everything that the next epoch depends on is in the checkpoint: parameters and buffers, the optimiser's
state, the schedule's, the default generator's (dropout draws from it) and the loader's place.  The order and
the augmentation of an epoch are functions of seed and epoch alone, so a run that goes on gives the same bits.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinynet import random
from tinynet._check import integer
from tinynet._tensor import Tensor
from tinynet.data import DataLoader
from tinynet.errors import ArgumentError, DataError, DivergenceError
from tinynet.experiments.runs import same_settings
from tinynet.experiments.training import progress_bar
from tinynet.io import load, save
from tinynet.nn import Module
from tinynet.optim import Optimizer
from tinynet.optim.lr_scheduler import LRScheduler

_SHOWN = 50  # steps over which the bar's loss is a mean: one batch's jumps about


@dataclass(frozen=True)
class Epoch:
    """What came out of one epoch.

    Attributes
    ----------
    loss, accuracy : float
        Mean over the training examples as they were met: in training mode, augmented, before each update.
    test_accuracy : float
        In inference mode, after the epoch.
    seconds, waiting, testing : float
        Of the training; the part of it that went into waiting for data; of the test.
    """

    loss: float
    accuracy: float
    test_accuracy: float
    seconds: float
    waiting: float
    testing: float


_CLOCK = ("seconds", "waiting", "testing")  # what differs between two runs of the same settings


class Trainer:
    """A model with everything that trains it.

    Parameters
    ----------
    model : Module
        Gives scores (B, K) for inputs (B, ...).
    optimizer : Optimizer
        Over the parameters of `model`.
    loss : callable
        ``loss(model(x), y)`` gives a scalar tensor, the mean over the batch.
    loader : DataLoader
        Gives batches (x, y) with y (B,) int64.
    test : callable
        ``test()`` gives the test accuracy; it must leave training flags and generators as they are.
    scheduler : LRScheduler, optional
        Its ``step()`` is called after every update.
    settings : mapping, optional
        Text, numbers, bools and None under text keys that say what run this is: they go into the checkpoint,
        and `resume` insists on the same.
    every : int, optional
        Call ``test()`` also within epochs, after every multiple of so many steps of the run.

    Attributes
    ----------
    epochs : list of Epoch
        One per finished epoch.
    curve : list of (int, float)
        Steps made and test accuracy, at the end of every epoch and, with `every`, in between.
    losses, rates : list of float
        Loss and learning rate (of the first group) of every step.
    saved : int
        Finished epochs in the latest checkpoint.

    Notes
    -----
    After an exception in the middle of an epoch, Ctrl-C too, the epoch is neither finished nor undone: go on
    with a trainer made anew, from the checkpoint.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor],
        loader: DataLoader,
        test: Callable[[], float],
        *,
        scheduler: LRScheduler | None = None,
        settings: Mapping[str, str | float | bool | None] | None = None,
        every: int | None = None,
    ) -> None:
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.loader, self.test, self.scheduler = loader, test, scheduler
        self.settings = dict(settings or {})
        self.every = None if every is None else integer("Trainer", "every", every, 1)
        self.epochs: list[Epoch] = []
        self.curve: list[tuple[int, float]] = []
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.saved = 0

    def train(
        self, epochs: int, *, checkpoint: str | os.PathLike[str] | None = None, label: str = ""
    ) -> None:
        """Train until so many epochs are finished, with a progress bar on stderr and a line per epoch.

        Parameters
        ----------
        epochs : int
            Of the whole run, those that are finished included; at least 1.
        checkpoint : str or os.PathLike, optional
            The file that is written, atomically, after every epoch.
        label : str
            The name at the left of the bar.

        Raises
        ------
        DTypeError, ArgumentError
            If `epochs` is no positive int.
        DivergenceError
            If a loss is not finite; it is the last one in `losses`, and the update with it is not made.
        """
        epochs = integer("train", "epochs", epochs, 1)
        size = len(self.loader.dataset)  # type: ignore[arg-type]
        done = len(self.epochs)
        with progress_bar(epochs * size, label, " images", initial=done * size, unit_scale=True) as bar:
            for number in range(done + 1, epochs + 1):
                bar.set_description_str(f"{label} epoch {number}/{epochs}".strip(), refresh=False)
                epoch = self._epoch(bar)
                self.epochs.append(epoch)
                if checkpoint is not None:
                    self.save(checkpoint)
                bar.write(
                    f"epoch {number}/{epochs}: loss {epoch.loss:.4f}, accuracy {epoch.accuracy:.4f}, "
                    f"test accuracy {epoch.test_accuracy:.4f}, {epoch.seconds:,.1f} s and "
                    f"{epoch.testing:,.1f} s for testing, {size / epoch.seconds:,.0f} images/s, "
                    f"{epoch.waiting / epoch.seconds:.1%} waiting for data"
                )
                sys.stdout.flush()  # a log file shows the epoch when it is over

    def _epoch(self, bar: Any) -> Epoch:
        self.model.train()
        total, right, seen, waiting, testing = 0.0, 0, 0, 0.0, 0.0
        begin = ready = time.perf_counter()
        for x, y in self.loader:
            waiting += time.perf_counter() - ready
            self.rates.append(self.optimizer.param_groups[0]["lr"])
            scores = self.model(x)  # (B, K)
            loss = self.loss(scores, y)
            self.losses.append(loss.item())
            if not math.isfinite(self.losses[-1]):
                raise DivergenceError(
                    f"train: the loss must stay finite; got {self.losses[-1]} at step {len(self.losses)}, "
                    f"learning rate {self.rates[-1]:.4g}",
                    len(self.losses),
                )
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()
            total += self.losses[-1] * len(y)
            right += int(np.count_nonzero(scores.detach().numpy().argmax(axis=1) == y.numpy()))
            seen += len(y)
            mean = sum(self.losses[-_SHOWN:]) / len(self.losses[-_SHOWN:])
            bar.set_postfix_str(f"loss {mean:.3f}, accuracy {right / seen:.3f}", refresh=False)
            bar.update(len(y))
            if self.every is not None and len(self.losses) % self.every == 0:
                testing += self._measure()
            ready = time.perf_counter()
        seconds = time.perf_counter() - begin - testing
        if not (self.curve and self.curve[-1][0] == len(self.losses)):
            testing += self._measure()
        return Epoch(total / seen, right / seen, self.curve[-1][1], seconds, waiting, testing)

    def _measure(self) -> float:
        """Append the test accuracy of this moment to the curve; return the seconds that it took."""
        begin = time.perf_counter()
        self.curve.append((len(self.losses), self.test()))
        return time.perf_counter() - begin

    def finish(self, epochs: int, checkpoint: str | os.PathLike[str], label: str = "") -> int | None:
        """Train to the end, from `checkpoint` on if it is there; a divergence is an end, too.

        Parameters
        ----------
        epochs, checkpoint, label
            As of `train`.

        Returns
        -------
        int or None
            The step whose loss was not finite, if there was one.

        Raises
        ------
        DataError, ArgumentError
            As from `resume`.
        """
        if os.path.exists(checkpoint):
            try:
                self.resume(checkpoint)
            except ArgumentError as error:
                raise ArgumentError(f"{error}: choose another folder, or remove this file") from error
        try:
            self.train(epochs, checkpoint=checkpoint, label=label)
        except DivergenceError as error:
            return error.step
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a checkpoint holds; "clock" alone differs between equal runs."""
        columns = [asdict(epoch) for epoch in self.epochs]

        def column(name: str) -> Any:
            return np.array([row[name] for row in columns], np.float64)

        return {
            "settings": self.settings,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "loader": self.loader.state_dict(),
            "generator": random.default_generator.get_state(),
            "losses": np.array(self.losses, np.float64),
            "rates": np.array(self.rates, np.float64),
            "curve": np.array(self.curve, np.float64).reshape(-1, 2),
            "epochs": {name: column(name) for name in ("loss", "accuracy", "test_accuracy")},
            "clock": {name: column(name) for name in _CLOCK},
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the checkpoint `path`, atomically; call it between epochs."""
        save(self.state_dict(), path)
        self.saved = len(self.epochs)

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Go back to where the checkpoint `path` was written.

        Parameters
        ----------
        path : str or os.PathLike
            From `save` of a trainer that was made in the same way.

        Raises
        ------
        DataError
            If the file is missing, damaged, or no checkpoint of a trainer.
        ArgumentError
            If a setting is another one; the message names it.
        """
        state = load(path)
        if not isinstance(state, dict) or state.keys() != self.state_dict().keys():
            raise DataError(
                f"resume: {os.fspath(path)!r} must be a checkpoint of a Trainer; got another tree"
            )
        same_settings("resume", path, self.settings, state["settings"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.loader.load_state_dict(state["loader"])
        random.default_generator.set_state(state["generator"])
        self.losses, self.rates = state["losses"].tolist(), state["rates"].tolist()
        self.curve = [(int(step), accuracy) for step, accuracy in state["curve"].tolist()]
        columns = {**state["epochs"], **state["clock"]}
        self.epochs = [
            Epoch(**dict(zip(columns, row, strict=True)))
            for row in zip(*(values.tolist() for values in columns.values()), strict=True)
        ]
        self.saved = len(self.epochs)
