"""The noise of stochastic gradients: how far the gradient of a batch lies from that of all examples.

Let g be the mean of the gradients g_1, ..., g_N of single examples, and g_B the mean over a batch B of b of
them, which is drawn at random.  Bjorck et al. (2018) bound the noise of a step of SGD by the learning rate
alpha and the batch size, with ``C = mean ||g_i - g||^2``::

    E ||alpha g_B - alpha g||^2 <= alpha^2 / b * C

so that twice the learning rate is as noisy, step by step, as a fourth of the batch.  Exactly, for a drawing
with and without replacement::

    E ||g_B - g||^2 = C / b                                          with
    E ||g_B - g||^2 = C / b * (N - b) / (N - 1)                      without                        (1)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import _check
from tinynet._history import grad
from tinynet._tensor import Tensor, enable_grad
from tinynet.bn.recording import Loss, as_tensor, by_batch, check_loss, check_model, loss_to_train, untouched
from tinynet.creation import randint, randperm
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn.dropout import _Dropout
from tinynet.nn.module import Module
from tinynet.nn.normalization import _BatchNorm
from tinynet.random import Generator

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

_NAME = "gradient_noise"
_BLOCK = 4096  # parameters of which the batches' gradients are in memory at a time
_TOLERANCE = 1e-3  # of the mean of the examples' gradients, against their length; float32 gives about 1e-6


@dataclass(frozen=True, eq=False)
class GradientNoise:
    """What `gradient_noise` found.

    Attributes
    ----------
    sizes : numpy.ndarray of shape (S,), int64
        The batch sizes b.
    measured : numpy.ndarray of shape (S,), float64
        ``||g_B - g||^2``, its mean over the batches that were drawn.
    error : numpy.ndarray of shape (S,), float64
        The standard error of `measured`; nan for a single batch.
    theory : numpy.ndarray of shape (S,), float64
        Its expectation by equation (1) of this module.
    spread : float
        C, the mean of ``||g_i - g||^2``.
    examples : int
        N.
    replacement : bool
        How the batches were drawn.
    """

    sizes: npt.NDArray[np.int64]
    measured: FloatArray
    error: FloatArray
    theory: FloatArray
    spread: float
    examples: int
    replacement: bool

    def slope(self) -> float:
        """Return the slope of ``log(measured)`` over ``log(b)``, -1 in theory, by least squares.

        Without replacement `measured` is divided by ``(N - b) / (N - 1)`` before, and b = N does not count.
        nan if fewer than two batch sizes are left, or one has no finite positive noise.
        """
        factor = _factor(self.sizes, self.examples, self.replacement)
        used = factor > 0
        sizes, noise = self.sizes[used], self.measured[used] / factor[used]
        if len(set(sizes.tolist())) < 2 or not (np.isfinite(noise) & (noise > 0)).all():
            return float("nan")
        return float(np.polyfit(np.log(sizes), np.log(noise), 1)[0])


def gradient_noise(
    model: Module,
    loss: Loss,
    x: Tensor | Array,
    y: Tensor | Array,
    sizes: Iterable[int],
    draws: int,
    *,
    replacement: bool = False,
    generator: Generator | None = None,
) -> GradientNoise:
    """Measure how far the gradients of random batches lie from the gradient of all examples.

    The gradient of every example is computed once, with a forward and a backward of its own, and those of
    the batches are means of them.  So no example may see another: the network must not normalise by its
    batch, nor draw random numbers.  It is used in the mode in which it is, and left as it was.  The examples'
    gradients take 8 N P bytes, for P parameters.

    Parameters
    ----------
    model : Module
        The network.  Gradients are taken of its parameters that require them.
    loss : callable
        ``loss(model(x), y)`` gives a scalar tensor, the mean over the examples.
    x, y : Tensor or numpy.ndarray of shape (N, ...)
        The examples, at least two.
    sizes : iterable of int
        Batch sizes, at least 1; at most N without replacement.
    draws : int
        Batches that are drawn of each size, at least 1.
    replacement : bool, default False
        Whether an example can be more than once in a batch.
    generator : Generator, optional
        Draws the batches.  By default a new one with the seed 0, so that the default one stays as it is.

    Returns
    -------
    GradientNoise
        The noise that was measured, and in theory.  That of an SGD step is its learning rate squared times
        as large.  All of it is nan if a gradient is not finite.

    Raises
    ------
    ArgumentError
        If a layer normalises by the batch or drops elements out, the mean of the examples' gradients is not
        the gradient of all together (to 1e-3), the loss does not depend on the parameters, or an argument is
        out of its range.
    ShapeError
        If `x` and `y` do not have one length of at least 2.
    DTypeError
        If an argument is of another kind, or `loss` returns something else.

    References
    ----------
    J. Bjorck, C. Gomes, B. Selman, K. Weinberger: Understanding Batch Normalization, 2018.

    Examples
    --------
    The loss ``(w x - y)^2`` has the gradients ``2 (w x - y) x``: here they are 2 and -2, so that the gradient
    is 0.  A batch of one is off by 2; one of both, not at all.

    >>> import tinynet as tn
    >>> model = tn.nn.Linear(1, 1, bias=False)
    >>> with tn.no_grad():
    ...     w = model.weight.fill_(0.0)
    >>> x, y = tn.ones(2, 1), tn.tensor([[-1.0], [1.0]])
    >>> found = tn.bn.gradient_noise(model, tn.nn.MSELoss(), x, y, sizes=[1, 2], draws=10)
    >>> found.measured.tolist(), found.theory.tolist(), found.spread
    ([4.0, 0.0], [4.0, 0.0], 4.0)
    """
    check_model(_NAME, model)
    check_loss(_NAME, loss)
    x, y = as_tensor(_NAME, "x", x), as_tensor(_NAME, "y", y)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y) or len(x) < 2:
        raise ShapeError(f"{_NAME}: x and y must have one length, at least 2; got {x.shape} and {y.shape}")
    count = len(x)
    replacement = _check.boolean(_NAME, "replacement", replacement)
    batches = _sizes(sizes, count, replacement)
    draws = _check.integer(_NAME, "draws", draws, 1)
    if generator is None:
        generator = Generator(0)
    elif not isinstance(generator, Generator):
        raise DTypeError(f"{_NAME}: generator must be a Generator; got {type(generator).__name__}")
    _refuse_shared(model)
    with np.errstate(invalid="ignore", over="ignore"):  # a network that diverged
        with untouched(model):
            deviations = _deviations(model, loss, x, y)
        spread = float(np.mean(np.einsum("np,np->n", deviations, deviations)))
        squares = [_squares(deviations, _drawn(b, count, draws, replacement, generator)) for b in batches]
        errors = [each.std(ddof=1) / np.sqrt(draws) if draws > 1 else np.nan for each in squares]
    return GradientNoise(
        sizes=batches,
        measured=np.array([each.mean() for each in squares]),
        error=np.array(errors),
        theory=spread / batches * _factor(batches, count, replacement),
        spread=spread,
        examples=count,
        replacement=replacement,
    )


def _sizes(sizes: Any, count: int, replacement: bool) -> npt.NDArray[np.int64]:
    if not isinstance(sizes, Iterable) or isinstance(sizes, (str, bytes)):
        raise DTypeError(f"{_NAME}: sizes must be an iterable of ints; got {type(sizes).__name__}")
    listed = [_check.integer(_NAME, "sizes", each, 1) for each in sizes]
    if not listed:
        raise ArgumentError(f"{_NAME}: sizes must hold at least one; got none")
    if not replacement and max(listed) > count:
        raise ArgumentError(
            f"{_NAME}: sizes must be at most {count}, the number of examples, without replacement; "
            f"got {max(listed)}"
        )
    return np.array(listed, np.int64)


def _factor(sizes: npt.NDArray[np.int64], count: int, replacement: bool) -> FloatArray:
    """By how much less noise there is than C / b."""
    return np.ones(len(sizes)) if replacement else (count - sizes) / (count - 1)


def _refuse_shared(model: Module) -> None:
    """Insist that an example's gradient depends on nothing but the example."""
    for name, layer in model.named_modules():
        where = f"{_NAME}: layer {name!r} must"
        if isinstance(layer, _BatchNorm) and by_batch(layer):
            raise ArgumentError(
                f"{where} not normalise by the batch (use evaluation mode, or bn.freeze); "
                f"got {type(layer).__name__} with batch statistics"
            )
        if isinstance(layer, _Dropout) and layer.training and layer.p > 0:
            raise ArgumentError(
                f"{where} not draw random numbers (use evaluation mode); got {type(layer).__name__}"
            )


def _deviations(model: Module, loss: Loss, x: Tensor, y: Tensor) -> FloatArray:
    """The gradients of the examples minus their mean: (N, P)."""
    parameters = [each for each in model.parameters() if each.requires_grad]
    if not parameters:
        raise ArgumentError(f"{_NAME}: model must have parameters to train; got none")
    gradients = np.empty((len(x), sum(each.numel() for each in parameters)))
    for i in range(len(x)):
        gradients[i] = _gradient(model, loss, x[i : i + 1], y[i : i + 1], parameters)
    mean = gradients.mean(axis=0)
    distance = np.linalg.norm(mean - _gradient(model, loss, x, y, parameters))
    length = np.sqrt(np.mean(np.einsum("np,np->n", gradients, gradients)))
    if distance > _TOLERANCE * length:
        raise ArgumentError(
            f"{_NAME}: loss must be the mean over examples that do not see each other; got a gradient of "
            f"all that is {distance:.1g} away from the mean of theirs, which have the length {length:.1g}"
        )
    gradients -= mean
    return gradients


@enable_grad()
def _gradient(model: Module, loss: Loss, x: Tensor, y: Tensor, parameters: list[Any]) -> FloatArray:
    """The gradient of all parameters in one row."""
    found = grad(loss_to_train(_NAME, loss(model(x), y)), parameters, allow_unused=True)
    return np.concatenate(
        [
            np.zeros(parameter.numel()) if each is None else each.numpy().astype(np.float64).reshape(-1)
            for parameter, each in zip(parameters, found, strict=True)
        ]
    )


def _drawn(size: int, count: int, draws: int, replacement: bool, generator: Generator) -> FloatArray:
    """Random batches as the weights of the examples in their means: (draws, N)."""
    weights = np.zeros((draws, count))
    for row in weights:
        if replacement:
            batch = randint(0, count, (int(size),), generator=generator)
        else:
            batch = randperm(count, generator=generator)[: int(size)]
        np.add.at(row, batch.numpy(), 1 / size)
    return weights


def _squares(deviations: FloatArray, weights: FloatArray) -> FloatArray:
    """``||g_B - g||^2`` of every batch."""
    import threadpoolctl

    squares = np.zeros(len(weights))
    with threadpoolctl.threadpool_limits(1, user_api="blas"):  # its bits can depend on its threads
        for start in range(0, deviations.shape[1], _BLOCK):
            batch = weights @ deviations[:, start : start + _BLOCK]
            squares += np.einsum("dp,dp->d", batch, batch)
    return squares
