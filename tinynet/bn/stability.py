"""The largest learning rate at which a network still trains.

Batch normalisation allows much higher learning rates (Ioffe & Szegedy 2015, section 3.3).  Bjorck et al.
(2018) take that for its main effect, and call a run diverged once a loss exceeds 10^3.  Here the bound is
found by trials.  For a quadratic loss with the largest curvature lambda it is known: gradient descent is
stable below 2 / lambda.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynet import _check
from tinynet._tensor import Tensor, enable_grad, tensor
from tinynet.bn.recording import one_loss
from tinynet.errors import ArgumentError, DTypeError
from tinynet.nn.module import Module
from tinynet.optim import SGD

_STRIDE = 4.0  # the factor between the rates of the search for a stable one, before the bisection
_NAME = "largest_stable_rate"

Batches = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class RateTrial:
    """One trial of `largest_stable_rate`.

    Attributes
    ----------
    rate : float
        The learning rate.
    stable : bool
        Whether the network trained at it.
    losses : tuple of float
        The loss of each step, before its update.  A loss above the limit ends the trial, and is the last.
    """

    rate: float
    stable: bool
    losses: tuple[float, ...]


@dataclass(frozen=True)
class StableRate:
    """What `largest_stable_rate` found.

    Attributes
    ----------
    rate : float or None
        The largest stable learning rate of all trials; None if there is none.
    unstable : float or None
        The smallest rate above `rate` that was tried, and was not stable.  None if the highest rate is
        stable, and where `rate` is None.
    trials : tuple of RateTrial
        All trials, in the order of their rates.
    """

    rate: float | None
    unstable: float | None
    trials: tuple[RateTrial, ...]


def largest_stable_rate(
    make: Callable[[], Module],
    loss: Callable[[Tensor, Tensor], Tensor],
    batches: Iterable[tuple[Any, Any]],
    *,
    low: float = 1e-4,
    high: float = 1e2,
    precision: float = 1.2,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    limit: float = 1e3,
    learns: bool = True,
    flat: float | None = None,
) -> StableRate:
    """Find the largest learning rate at which SGD trains a network.

    A trial takes a new network in training mode through all batches in order, one step of SGD for each.  It
    is stable if both are true:

    - every loss is finite and at most `limit` (the trial ends at the first that is not);
    - the network has learnt, unless `learns` is False: the mean loss of the last quarter of the steps is
      below the loss of the first step and, where `flat` is given, below `flat`.  A network whose units have
      died does not diverge: it guesses, and its loss is that of guessing.

    The rates `high`, `high` / 4, `high` / 16, ... down to `low` are tried until one is stable; between it and
    the one above it, bisection of the logarithm goes on until the two differ by a factor of at most
    `precision`.  So a rate too small to learn anything in so few steps misleads nothing.  Within a factor of
    4 stability is assumed to end once: stable rates above an unstable one may be missed there.

    Parameters
    ----------
    make : callable
        Without arguments; returns a new network with the same weights each time.  A network that draws random
        numbers (dropout) takes them from the default generator: seed that in here.
    loss : callable
        ``loss(model(x), y)`` gives a scalar tensor.
    batches : iterable of tuple
        At least two pairs (x, y) of `Tensor` or `numpy.ndarray`; they are read once, kept, and used by every
        trial.  Their number is the number of steps.
    low, high : float, default 1e-4 and 1e2
        The range of learning rates, ``0 < low < high``.
    precision : float, default 1.2
        The largest factor between `rate` and `unstable` of the result; above 1.
    momentum : float, default 0.0
        Of SGD; at least 0.
    weight_decay : float, default 0.0
        Of SGD; at least 0.
    limit : float, default 1e3
        A loss above it means divergence; above 0.
    learns : bool, default True
        Whether a stable network must have learnt.  With False, not to diverge is enough, which is what Bjorck
        et al. count; a network may do that far above the rates that are of use.
    flat : float, optional
        The loss of guessing: ln K for the cross-entropy of K classes that are equally frequent.

    Returns
    -------
    StableRate
        The largest stable rate, the smallest unstable one above it, and all trials.

    Raises
    ------
    ArgumentError
        If an argument is out of its range, there are fewer than two batches, or the networks of `make` are
        not the same: their losses before the first update differ.
    DTypeError
        If an argument is of another kind, or `make` or `loss` returns something else.

    References
    ----------
    S. Ioffe, C. Szegedy: Batch Normalization, 2015, section 3.3.

    J. Bjorck, C. Gomes, B. Selman, K. Weinberger: Understanding Batch Normalization, 2018.

    Examples
    --------
    The loss ``(3 w - 3)^2`` has the curvature 18: the bound is 2 / 18 = 0.111.

    >>> import numpy as np
    >>> import tinynet as tn
    >>> def make():
    ...     tn.manual_seed(0)
    ...     return tn.nn.Linear(1, 1, bias=False)
    >>> batches = [(tn.full((4, 1), 3.0), tn.full((4, 1), 3.0))] * 50
    >>> found = tn.bn.largest_stable_rate(make, tn.nn.MSELoss(), batches)
    >>> found.rate < 2 / 18 < found.unstable < 1.2 * found.rate
    True
    """
    for name, value in (("make", make), ("loss", loss)):
        if not callable(value):
            raise DTypeError(f"{_NAME}: {name} must be callable; got {type(value).__name__}")
    low = _check.real(_NAME, "low", low, 0, above=True)
    high = _check.real(_NAME, "high", high, 0, above=True)
    if low >= high:
        raise ArgumentError(f"{_NAME}: low must be below high; got {low!r} and {high!r}")
    precision = _check.real(_NAME, "precision", precision, 1, above=True)
    momentum = _check.real(_NAME, "momentum", momentum, 0)
    weight_decay = _check.real(_NAME, "weight_decay", weight_decay, 0)
    limit = _check.real(_NAME, "limit", limit, 0, above=True)
    learns = _check.boolean(_NAME, "learns", learns)
    if flat is not None:
        flat = _check.real(_NAME, "flat", flat, 0, above=True)
    pairs = _pairs(batches)
    trials: list[RateTrial] = []

    def stable(rate: float) -> bool:
        model = make()
        parameters = _parameters(model)
        optimizer = SGD(parameters, lr=rate, momentum=momentum, weight_decay=weight_decay)
        losses = _losses(model, loss, pairs, optimizer, limit)
        if trials and not _same(losses[0], trials[0].losses[0]):
            raise ArgumentError(
                f"{_NAME}: make must return a new network with the same weights each time; "
                f"got losses of {trials[0].losses[0]!r} and {losses[0]!r} before the first update"
            )
        held = len(losses) == len(pairs) and _within(losses[-1], limit)
        trials.append(RateTrial(rate, held and (not learns or _learnt(losses, flat)), losses))
        return trials[-1].stable

    best, above = high, None
    while not stable(best):
        if best == low:
            return StableRate(None, None, _in_order(trials))
        best, above = max(best / _STRIDE, low), best
    while above is not None and above / best > precision:
        middle = math.sqrt(best * above)
        if stable(middle):
            best = middle
        else:
            above = middle
    return StableRate(best, above, _in_order(trials))


def _pairs(batches: Any) -> Batches:
    """The batches as pairs of tensors, checked."""
    if not isinstance(batches, Iterable) or isinstance(batches, (str, bytes, Mapping)):
        raise DTypeError(
            f"{_NAME}: batches must be an iterable of pairs (x, y); got {type(batches).__name__}"
        )
    pairs = []
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise DTypeError(f"{_NAME}: a batch must be a pair (x, y); got {type(batch).__name__}")
        x, y = (tensor(each) if isinstance(each, np.ndarray) else each for each in batch)
        if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
            kinds = " and ".join(type(each).__name__ for each in batch)
            raise DTypeError(f"{_NAME}: a batch must hold two Tensors or arrays; got {kinds}")
        pairs.append((x, y))
    if len(pairs) < 2:
        raise ArgumentError(f"{_NAME}: batches must hold at least two; got {len(pairs)}")
    return pairs


def _parameters(model: Any) -> list[Tensor]:
    """The parameters of what `make` returned, which must be a network that can be trained."""
    if not isinstance(model, Module):
        raise DTypeError(f"{_NAME}: make must return a Module; got {type(model).__name__}")
    parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ArgumentError(f"{_NAME}: make must return a network with parameters to train; got none")
    return parameters


@enable_grad()
def _losses(
    model: Module, loss: Callable[[Tensor, Tensor], Tensor], pairs: Batches, optimizer: SGD, limit: float
) -> tuple[float, ...]:
    """The loss of each step, up to and with the first that is above the limit or not finite."""
    model.train()
    losses: list[float] = []
    for x, y in pairs:
        optimizer.zero_grad()
        value = one_loss(_NAME, loss(model(x), y))
        losses.append(float(value.item()))
        if not _within(losses[-1], limit):
            break
        value.backward()
        optimizer.step()
    return tuple(losses)


def _learnt(losses: tuple[float, ...], flat: float | None) -> bool:
    """Whether a whole trial ended lower than it began."""
    quarter = math.ceil(len(losses) / 4)
    last = math.fsum(losses[-quarter:]) / quarter
    return last < losses[0] and (flat is None or last < flat)


def _within(value: float, limit: float) -> bool:
    return math.isfinite(value) and value <= limit


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def _in_order(trials: list[RateTrial]) -> tuple[RateTrial, ...]:
    return tuple(sorted(trials, key=lambda trial: trial.rate))
