"""What is measured while a network trains: accuracy, and how the inputs of a layer are distributed.

Ioffe and Szegedy (2015), section 4.1, follow the {15, 50, 85}th percentiles of the input to one typical
sigmoid of the last hidden layer; here every unit of the layer is followed, so that nothing hangs on the
choice of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet._check import integer
from tinynet._tensor import Tensor
from tinynet.errors import ArgumentError, ShapeError
from tinynet.experiments.classification import scores
from tinynet.nn import Module

FloatArray = npt.NDArray[np.float64]

PERCENTILES = (15.0, 50.0, 85.0)
"""The percentiles of the paper's Figure 1."""


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


def column_percentiles(values: npt.NDArray[Any], q: Sequence[float] = PERCENTILES) -> FloatArray:
    """Return percentiles of every column, interpolated linearly between the two nearest values.

    Parameters
    ----------
    values : numpy.ndarray of shape (N, U), a float dtype
        N examples of U units; N >= 1.
    q : sequence of float
        Percentiles in [0, 100].

    Returns
    -------
    numpy.ndarray of shape (len(q), U), float64
        As ``numpy.percentile(values, q, axis=0)``.  A column with a nan gives nan.

    Raises
    ------
    ShapeError
        If `values` is not a matrix with at least one row.
    ArgumentError
        If a percentile lies outside [0, 100].

    Examples
    --------
    >>> import numpy as np
    >>> from tinynet.experiments import column_percentiles
    >>> column_percentiles(np.array([[0.0], [1.0], [2.0]]), q=(50, 75))
    array([[1. ],
           [1.5]])
    """
    if values.ndim != 2 or len(values) == 0:
        raise ShapeError(f"column_percentiles: values must have shape (N, U) with N >= 1; got {values.shape}")
    ranks = np.asarray(q, dtype=np.float64)
    if not ((ranks >= 0) & (ranks <= 100)).all():
        raise ArgumentError(f"column_percentiles: q must lie in [0, 100]; got {list(q)}")
    position = ranks / 100 * (len(values) - 1)
    low = np.floor(position).astype(np.intp)
    high = np.minimum(low + 1, len(values) - 1)
    # Sorting whole rows in a contiguous array runs in SIMD: four times as fast as numpy.percentile's
    # partition.
    ordered = np.sort(np.ascontiguousarray(values.T), axis=1)  # (U, N); nan last
    below = ordered[:, low].astype(np.float64)  # (U, len(q))
    above = ordered[:, high].astype(np.float64)
    weight = position - low
    with np.errstate(invalid="ignore", over="ignore"):  # infinite inputs of a network that diverged
        result = np.where(weight == 0, below, below + (above - below) * weight)
    result[np.isnan(ordered[:, -1])] = np.nan
    return np.ascontiguousarray(result.T)


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` returns.

    Attributes
    ----------
    accuracy : float
        Share of the examples whose largest output is the right class, in [0, 1].
    inputs : numpy.ndarray of shape (N, U) or None
        What entered the watched module, in the order of the examples.
    """

    accuracy: float
    inputs: npt.NDArray[Any] | None


def evaluate(
    model: Module,
    x: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    *,
    watch: Module | None = None,
    chunk: int = 1000,
) -> Evaluation:
    """Run a network in inference mode over a test set, and record what enters one of its modules.

    Parameters
    ----------
    model : Module
        Gives scores (B, K) for inputs (B, ...).  Its training flags are as before afterwards.
    x : numpy.ndarray of shape (N, ...)
        The inputs; N >= 1.
    labels : numpy.ndarray of shape (N,), int64
        The right classes.
    watch : Module, optional
        A part of `model` that is called once per forward pass with one tensor (B, U).
    chunk : int, default 1000
        Examples per forward pass; 1,000 rows of 784 float32 stay in the second-level cache.

    Returns
    -------
    Evaluation

    Raises
    ------
    ShapeError
        If `x` and `labels` differ in length or are empty.
    DTypeError, ArgumentError
        If `chunk` is no positive int, or `watch` was not called exactly once per forward pass.
    """
    chunk = integer("evaluate", "chunk", chunk, 1)
    if len(x) != len(labels) or len(x) == 0:
        raise ShapeError(
            f"evaluate: x and labels must have one length, at least 1; got {len(x)} and {len(labels)}"
        )
    seen: list[npt.NDArray[Any]] = []

    def record(module: Module, arguments: tuple[Tensor, ...]) -> None:
        seen.append(arguments[0].detach().numpy())

    handle = None if watch is None else watch.register_forward_pre_hook(record)
    try:
        guesses = scores(model, x, chunk=chunk).argmax(axis=1)  # (N,)
    finally:
        if handle is not None:
            handle.remove()
    passes = -(-len(x) // chunk)
    if watch is not None and len(seen) != passes:
        raise ArgumentError(
            f"evaluate: watch must be called once per forward pass; got {len(seen)} calls in {passes} passes"
        )
    return Evaluation(
        int(np.count_nonzero(guesses == labels)) / len(x), np.concatenate(seen) if seen else None
    )


@dataclass
class History:
    """The measurements of one network; entry i of each list belongs to ``steps[i]``.

    Attributes
    ----------
    steps : list of int
        Updates made before the measurement, rising.
    accuracy : list of float
        Test accuracy in [0, 1].
    percentiles : list of numpy.ndarray of shape (3, U), float64
        `PERCENTILES` of the inputs of every unit of the watched layer.
    """

    steps: list[int] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    percentiles: list[FloatArray] = field(default_factory=list)

    def add(self, step: int, evaluation: Evaluation) -> None:
        """Append `evaluation`, made after `step` steps with a watched module."""
        if evaluation.inputs is None:
            raise ArgumentError(
                "History.add: evaluation must come from evaluate(..., watch=module); got none"
            )
        self.steps.append(step)
        self.accuracy.append(evaluation.accuracy)
        self.percentiles.append(column_percentiles(evaluation.inputs))

    @property
    def curve(self) -> list[tuple[int, float]]:
        """The pairs (step, accuracy)."""
        return list(zip(self.steps, self.accuracy, strict=True))

    def accuracy_at(self, step: int) -> float | None:
        """Return the accuracy after `step` steps, or None if it was not measured then."""
        return dict(self.curve).get(step)

    def unit(self, index: int) -> FloatArray:
        """Return the percentiles of unit `index` over time, (T, 3)."""
        return np.stack(self.percentiles)[:, :, index]

    def median_over_units(self) -> FloatArray:
        """Return, for each percentile, its median over all units, over time: (T, 3)."""
        return np.median(np.stack(self.percentiles), axis=2)

    def drift(self) -> FloatArray:
        """Return how far each percentile wanders: (3,).

        For every unit the range of the percentile over the training, largest minus smallest value; of these
        ranges the median over all units.
        """
        stacked = np.stack(self.percentiles)  # (T, 3, U)
        return np.asarray(np.median(stacked.max(axis=0) - stacked.min(axis=0), axis=1), dtype=np.float64)
