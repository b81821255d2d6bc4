"""How the inputs of a layer are distributed while a network trains: percentiles of every unit.

Ioffe and Szegedy (2015), section 4.1 and Figure 1, follow the {15, 50, 85}th percentiles of the input to one
typical sigmoid of the last hidden layer: the more they move, the more the layer has to follow what lies
before it (internal covariate shift).  Here every unit of a layer is followed, so that nothing hangs on the
choice of one.  For a percentile p_u(t) of unit u, measured at the steps t::

    drift = median over u of (max over t of p_u(t) - min over t of p_u(t))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet._check import integer
from tinynet._tensor import Tensor
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn.module import Module

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

PERCENTILES = (15.0, 50.0, 85.0)
"""The percentiles of the paper's Figure 1."""


def column_percentiles(values: Array, q: Sequence[float] = PERCENTILES) -> FloatArray:
    """Return percentiles of every column, interpolated linearly between the two nearest values.

    Parameters
    ----------
    values : numpy.ndarray of shape (N, U), of real numbers
        N examples of U units; N >= 1.
    q : sequence of float
        Percentiles in [0, 100]; by default 15, 50 and 85.

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
    >>> import tinynet as tn
    >>> tn.bn.column_percentiles(np.array([[0.0], [1.0], [2.0]]), q=(50, 75))
    array([[1. ],
           [1.5]])
    """
    if values.ndim != 2 or len(values) == 0:
        raise ShapeError(f"column_percentiles: values must have shape (N, U) with N >= 1; got {values.shape}")
    position = _ranks("column_percentiles", q) / 100 * (len(values) - 1)
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


class PercentileHistory:
    """Percentiles of the units of one layer, at several steps of a training.

    Parameters
    ----------
    q : sequence of float
        The Q percentiles, in [0, 100]; by default 15, 50 and 85.
    steps : iterable of int
        T steps at which there are percentiles from the beginning, rising.
    percentiles : iterable of numpy.ndarray of shape (Q, U)
        Their T percentiles; an array (T, Q, U), too.

    Attributes
    ----------
    q : tuple of float
        The percentiles.
    steps : list of int
        When they were measured.
    percentiles : list of numpy.ndarray of shape (Q, U), float64
        What was measured: row i has percentile ``q[i]`` of every unit.

    Raises
    ------
    ArgumentError
        If a percentile lies outside [0, 100] or the steps do not rise.
    ShapeError
        If `percentiles` do not fit `q`, `steps` or each other.

    See Also
    --------
    PercentileTracker : one that watches a network.

    Examples
    --------
    >>> import numpy as np
    >>> import tinynet as tn
    >>> history = tn.bn.PercentileHistory()
    >>> history.add(1, np.zeros((10, 3)))
    >>> history.add(250, np.ones((10, 3)))
    >>> history.drift()
    array([1., 1., 1.])
    """

    def __init__(
        self,
        q: Sequence[float] = PERCENTILES,
        steps: Iterable[int] = (),
        percentiles: Iterable[Array] = (),
    ) -> None:
        self.q: tuple[float, ...] = tuple(_ranks("PercentileHistory", q).tolist())
        self.steps: list[int] = []
        self.percentiles: list[FloatArray] = []
        when, what = list(steps), list(percentiles)
        if len(when) != len(what):
            raise ShapeError(
                "PercentileHistory: steps and percentiles must have one length; "
                f"got {len(when)} and {len(what)}"
            )
        for step, values in zip(when, what, strict=True):
            self._append("PercentileHistory", step, np.array(values, np.float64))

    def add(self, step: int, values: Array) -> None:
        """Measure the percentiles of every column and append them.

        Parameters
        ----------
        step : int
            Updates made before; more than at the last one.
        values : numpy.ndarray of shape (N, U) or (N, C, ...), of real numbers
            N examples of U units.  Where there are more axes the second one counts channels, as batch
            normalisation does, and every position of every image is a value: (N, C, H, W) has N*H*W of them
            for each of its C units.

        Raises
        ------
        ArgumentError
            If the steps do not rise.
        ShapeError
            If `values` are empty or of another number of units than before.
        """
        owner = "PercentileHistory.add"
        self._append(owner, step, column_percentiles(_rows(owner, values), self.q))

    def _next(self, owner: str, step: int) -> int:
        step = integer(owner, "step", step, 0)
        if self.steps and step <= self.steps[-1]:
            raise ArgumentError(f"{owner}: step must be above the last one, {self.steps[-1]}; got {step}")
        return step

    def _append(self, owner: str, step: int, values: FloatArray) -> None:
        step = self._next(owner, step)
        units = self.percentiles[0].shape[1] if self.steps else "U"
        if values.ndim != 2 or len(values) != len(self.q) or units not in ("U", values.shape[1]):
            raise ShapeError(
                f"{owner}: percentiles must have shape ({len(self.q)}, {units}); got {values.shape}"
            )
        self.steps.append(step)
        self.percentiles.append(values)

    def _stacked(self) -> FloatArray:
        if not self.steps:
            raise ArgumentError(f"{type(self).__name__}: there must be percentiles of one step; got none")
        return np.stack(self.percentiles)  # (T, Q, U)

    def unit(self, index: int) -> FloatArray:
        """Return the percentiles of unit `index` over time, (T, Q); -1 is the last unit."""
        stacked = self._stacked()
        units = stacked.shape[2]
        index = integer("PercentileHistory.unit", "index", index)
        if not -units <= index < units:
            raise ArgumentError(
                f"PercentileHistory.unit: index must lie in [{-units}, {units - 1}]; got {index}"
            )
        return stacked[:, :, index]

    def median_over_units(self) -> FloatArray:
        """Return, for each percentile, its median over all units, over time: (T, Q)."""
        return np.asarray(np.median(self._stacked(), axis=2), dtype=np.float64)

    def drift(self) -> FloatArray:
        """Return how far each percentile wanders: (Q,).

        For every unit the range of the percentile over the training, largest minus smallest value; of these
        ranges the median over all units.
        """
        stacked = self._stacked()
        with np.errstate(invalid="ignore"):  # both infinite: nan
            ranges = stacked.max(axis=0) - stacked.min(axis=0)  # (Q, U)
        return np.asarray(np.median(ranges, axis=1), dtype=np.float64)


class PercentileTracker(PercentileHistory):
    """Follows the percentiles of what enters one module of a network.

    Parameters
    ----------
    module : Module
        The part of the network that is watched: its first argument, a tensor (N, U) or (N, C, ...), in which
        the second axis counts units or channels.
    q : sequence of float
        Percentiles in [0, 100]; by default 15, 50 and 85.

    Attributes
    ----------
    module : Module
        See above.

    Raises
    ------
    DTypeError
        If `module` is no Module.
    ArgumentError
        If a percentile lies outside [0, 100].

    See Also
    --------
    PercentileHistory : what the tracker is in all other respects: `steps`, `percentiles`, `drift` and more.

    References
    ----------
    S. Ioffe, C. Szegedy: Batch Normalization, 2015, section 4.1 and Figure 1.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.nn.Sequential(tn.nn.Linear(4, 6), tn.nn.Sigmoid(), tn.nn.Linear(6, 3))
    >>> tracker = tn.bn.PercentileTracker(model[1])
    >>> for step in (1, 250, 500):
    ...     with tracker.record(step):
    ...         y = model(tn.ones(10, 4))
    >>> tracker.steps, tracker.unit(0).shape
    ([1, 250, 500], (3, 3))
    >>> tracker.drift()
    array([0., 0., 0.])
    """

    def __init__(self, module: Module, q: Sequence[float] = PERCENTILES) -> None:
        if not isinstance(module, Module):
            raise DTypeError(f"PercentileTracker: module must be a Module; got {type(module).__name__}")
        super().__init__(q)
        self.module = module

    @contextmanager
    def record(self, step: int) -> Iterator[None]:
        """Record what enters the module during a ``with`` block; when it ends, append the percentiles.

        Everything that enters in the block counts together, so a test set may pass in parts.  It is held in
        memory until the block ends; a block that is left by an exception adds nothing.

        Parameters
        ----------
        step : int
            Updates made before; more than at the last record.

        Raises
        ------
        ArgumentError
            If the steps do not rise, or the module is not called inside the block.
        DTypeError
            If what enters the module is no tensor.
        ShapeError
            If it has less than two axes, no rows, or another number of units than before.
        """
        owner = "PercentileTracker.record"
        self._next(owner, step)  # before any work
        seen: list[Array] = []

        def keep(_module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = args[0] if args else next(iter(kwargs.values()), None)
            if not isinstance(x, Tensor):
                raise DTypeError(f"{owner}: what enters module must be a Tensor; got {type(x).__name__}")
            rows = _rows(owner, x.detach().numpy())
            if seen and rows.shape[1] != seen[0].shape[1]:
                raise ShapeError(
                    f"{owner}: what enters module must have {seen[0].shape[1]} units; got {rows.shape[1]}"
                )
            seen.append(rows)

        handle = self.module.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()
        if not seen:
            raise ArgumentError(f"{owner}: module must be called inside the block; got no call")
        self._append(owner, step, column_percentiles(np.concatenate(seen), self.q))


def _ranks(owner: str, q: Sequence[float]) -> FloatArray:
    try:
        ranks = np.asarray(q, dtype=np.float64)
    except (TypeError, ValueError):  # not numbers, or not in one row
        ranks = np.full(1, np.nan)
    if ranks.ndim != 1 or not ((ranks >= 0) & (ranks <= 100)).all():
        raise ArgumentError(f"{owner}: q must be a sequence of numbers in [0, 100]; got {q!r}")
    return ranks


def _rows(owner: str, values: Array) -> Array:
    """A copy (rows, U) of values (N, U) or (N, C, ...): what the network does next may work in place."""
    if values.ndim < 2 or values.shape[1] == 0:
        raise ShapeError(f"{owner}: values must have shape (N, U) or (N, C, ...); got {values.shape}")
    return np.array(np.moveaxis(values, 1, -1), order="C").reshape(-1, values.shape[1])
