"""What is measured while a classifier trains: its accuracy, and when it came to a level."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet._check import integer
from tinynet.errors import ShapeError
from tinynet.experiments.classification import scores
from tinynet.nn import Module

Array = npt.NDArray[Any]


def evaluate(
    model: Module,
    x: Array,
    labels: npt.NDArray[np.int64],
    *,
    chunk: int = 1000,
    prepare: Callable[[Array], Array] | None = None,
) -> float:
    """Run a network in inference mode over a test set and return its accuracy.

    Parameters
    ----------
    model : Module
        Gives scores (B, K) for inputs (B, ...).  Its training flags are as before afterwards.
    x : numpy.ndarray of shape (N, ...)
        The inputs; N >= 1.
    labels : numpy.ndarray of shape (N,), int64
        The right classes.
    chunk : int, default 1000
        Examples per forward pass; 1,000 rows of 784 float32 stay in the second-level cache.
    prepare : callable, optional
        Makes the network's input of a chunk of `x`; see `scores`.

    Returns
    -------
    float
        Share of the examples whose largest score is that of the right class, in [0, 1].  An example with a
        nan is wrong.

    Raises
    ------
    ShapeError
        If `x` and `labels` differ in length or are empty.
    DTypeError, ArgumentError
        If `chunk` is no positive int.

    Examples
    --------
    >>> import numpy as np
    >>> from tinynet import nn
    >>> from tinynet.experiments import evaluate
    >>> scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)
    >>> evaluate(nn.Identity(), scores, np.array([0, 1, 1, 0]))
    0.75
    """
    chunk = integer("evaluate", "chunk", chunk, 1)
    if len(x) != len(labels) or len(x) == 0:
        raise ShapeError(
            f"evaluate: x and labels must have one length, at least 1; got {len(x)} and {len(labels)}"
        )
    found = scores(model, x, chunk=chunk, prepare=prepare)  # (N, K)
    right = (found.argmax(axis=1) == labels) & ~np.isnan(found).any(axis=1)
    return int(np.count_nonzero(right)) / len(x)


def steps_to_accuracy(curve: Iterable[tuple[int, float]], level: float) -> int | None:
    """Return the first measured step at which a curve is at `level` or above it.

    Parameters
    ----------
    curve : iterable of (step, accuracy)
        Measurements in the order of their steps.
    level : float
        In the unit of the accuracies.

    Returns
    -------
    int or None
        The step; None if the level was never reached (nan is below every level).  Nothing is interpolated:
        the answer is exact to the distance between two measurements.

    Examples
    --------
    >>> from tinynet.experiments import steps_to_accuracy
    >>> steps_to_accuracy([(1, 0.1), (250, 0.8), (500, 0.9)], 0.85)
    500
    """
    return next((step for step, accuracy in curve if accuracy >= level), None)
