"""What a classifier gets right and wrong: scores of a test set, confusion matrix, most confident mistakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet._check import integer
from tinynet._tensor import from_numpy, no_grad
from tinynet.errors import ArgumentError, ShapeError
from tinynet.nn import Module

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@contextmanager
def inference(model: Module) -> Iterator[None]:
    """Let a network run in inference mode, without recording; its training flags are restored afterwards."""
    flags = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with no_grad():
            yield
    finally:
        for module, training in flags:
            module.training = training


def scores(
    model: Module,
    x: Array,
    *,
    chunk: int = 500,
    prepare: Callable[[Array], Array] | None = None,
) -> Array:
    """Return what a network in inference mode says about a whole set of examples.

    Parameters
    ----------
    model : Module
        Gives scores (B, K) for inputs (B, ...).  Its training flags are as before afterwards.
    x : numpy.ndarray of shape (N, ...)
        The inputs; N >= 1.
    chunk : int, default 500
        Examples per forward pass.
    prepare : callable, optional
        Makes the network's input (B, ...) of a chunk of `x`: bytes become normalised floats, for example,
        without the whole set standing in memory as floats.

    Returns
    -------
    numpy.ndarray of shape (N, K)

    Raises
    ------
    ShapeError
        If `x` is empty.
    DTypeError, ArgumentError
        If `chunk` is no positive int.

    Examples
    --------
    >>> import tinynet as tn
    >>> import numpy as np
    >>> from tinynet.experiments import scores
    >>> scores(tn.nn.Linear(4, 3), np.zeros((7, 4), np.float32)).shape
    (7, 3)
    """
    chunk = integer("scores", "chunk", chunk, 1)
    if len(x) == 0:
        raise ShapeError(f"scores: x must have shape (N, ...) with N >= 1; got {x.shape}")
    parts = []
    with inference(model):
        for start in range(0, len(x), chunk):
            part = x[start : start + chunk]
            parts.append(model(from_numpy(part if prepare is None else prepare(part))).numpy())  # (B, K)
    return np.concatenate(parts)


def probabilities(scores: Array) -> FloatArray:
    """Return the softmax of scores (N, K), row by row, in float64; a row with a nan gives nan."""
    with np.errstate(invalid="ignore"):  # inf - inf, of a network that diverged
        shifted = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
        powers = np.exp(shifted)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def confusion_matrix(labels: npt.ArrayLike, guesses: npt.ArrayLike, classes: int) -> IntArray:
    """Count how often each class was taken for each.

    Parameters
    ----------
    labels, guesses : array_like of shape (N,), integers in [0, classes)
        The right classes, and those that were given instead or rightly.
    classes : int
        K, positive.

    Returns
    -------
    numpy.ndarray of shape (K, K), int64
        Entry (i, j): examples of class i that were taken for j.  The diagonal holds what was right.

    Raises
    ------
    ShapeError
        If the two are no vectors of one length.
    ArgumentError
        If a class lies outside [0, classes).

    Examples
    --------
    >>> from tinynet.experiments import confusion_matrix
    >>> confusion_matrix([0, 0, 1, 2], [0, 1, 1, 0], 3)
    array([[1, 1, 0],
           [0, 1, 0],
           [1, 0, 0]])
    """
    classes = integer("confusion_matrix", "classes", classes, 1)
    true, guessed = np.asarray(labels, np.int64), np.asarray(guesses, np.int64)
    if true.ndim != 1 or true.shape != guessed.shape:
        raise ShapeError(
            "confusion_matrix: labels and guesses must have one shape (N,); "
            f"got {true.shape} and {guessed.shape}"
        )
    for name, values in (("labels", true), ("guesses", guessed)):
        if len(values) and not 0 <= values.min() <= values.max() < classes:
            raise ArgumentError(
                f"confusion_matrix: {name} must lie in [0, {classes}); got {values.min()} to {values.max()}"
            )
    counts = np.bincount(true * classes + guessed, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def confident_mistakes(probabilities: Array, labels: npt.ArrayLike, limit: int = 24) -> IntArray:
    """Find the wrong guesses that the classifier was surest of.

    Parameters
    ----------
    probabilities : numpy.ndarray of shape (N, K)
        Of the classes.
    labels : array_like of shape (N,), integers in [0, K)
        The right classes.
    limit : int, default 24
        How many to return at most, positive.

    Returns
    -------
    numpy.ndarray of shape (M,), int64
        Indices of wrongly classified examples, by falling probability of the guess; of equal ones the first
        comes first.  Examples with a nan are left out: of them nothing was guessed.

    Raises
    ------
    ShapeError
        If the shapes do not fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> from tinynet.experiments import confident_mistakes
    >>> confident_mistakes(np.array([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8]]), [1, 0, 1])
    array([1, 0])
    """
    limit = integer("confident_mistakes", "limit", limit, 1)
    true = np.asarray(labels, np.int64)
    if probabilities.ndim != 2 or true.shape != probabilities.shape[:1]:
        raise ShapeError(
            f"confident_mistakes: probabilities must have shape (N, K) and labels (N,); "
            f"got {probabilities.shape} and {true.shape}"
        )
    highest = probabilities.max(axis=1)
    wrong = np.flatnonzero((probabilities.argmax(axis=1) != true) & ~np.isnan(highest))
    return wrong[np.argsort(-highest[wrong], kind="stable")][:limit].astype(np.int64)


def ensemble_errors(probabilities: Array, labels: npt.ArrayLike) -> tuple[FloatArray, float]:
    """Return the errors of several networks, and of all together, by the mean of their probabilities.

    Ioffe and Szegedy (2015), section 4.2.3: the prediction of an ensemble is based on the arithmetic mean of
    the class probabilities that its networks give.

    Parameters
    ----------
    probabilities : numpy.ndarray of shape (M, N, K)
        What each of M >= 1 networks says about N >= 1 examples.
    labels : array_like of shape (N,), integers in [0, K)
        The right classes.

    Returns
    -------
    tuple of numpy.ndarray of shape (M,) and float
        Shares of wrong guesses, in [0, 1]: of each network, and of the mean.  An example with a nan is wrong.

    Raises
    ------
    ShapeError
        If the shapes do not fit each other, or something is empty.

    Examples
    --------
    >>> import numpy as np
    >>> from tinynet.experiments import ensemble_errors
    >>> ensemble_errors(np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.6, 0.4], [0.1, 0.9]]]), [0, 1])
    (array([0.5, 0. ]), 0.0)
    """
    true = np.asarray(labels, np.int64)
    if probabilities.ndim != 3 or true.shape != probabilities.shape[1:2] or 0 in probabilities.shape:
        raise ShapeError(
            "ensemble_errors: probabilities must have shape (M, N, K) and labels (N,), none of them empty; "
            f"got {probabilities.shape} and {true.shape}"
        )

    def wrong(shares: Array) -> npt.NDArray[np.bool_]:
        return np.asarray((shares.argmax(axis=-1) != true) | np.isnan(shares).any(axis=-1))  # (..., N)

    return wrong(probabilities).mean(axis=-1), float(wrong(probabilities.mean(axis=0)).mean())


def smoothed(values: npt.ArrayLike, window: int) -> FloatArray:
    """Return the means of `window` neighbours each: a running mean without the ends.

    Parameters
    ----------
    values : array_like of shape (N,)
        A curve.
    window : int
        W, positive; the whole curve where it is shorter.

    Returns
    -------
    numpy.ndarray of shape (N - W + 1,), float64
        Entry i is the mean of entries i to i + W - 1.  A nan or infinity reaches the windows that hold it and
        no others.

    Examples
    --------
    >>> from tinynet.experiments import smoothed
    >>> smoothed([1.0, 2.0, 6.0, 4.0], 2)
    array([1.5, 4. , 5. ])
    """
    curve = np.asarray(values, np.float64)
    window = min(integer("smoothed", "window", window, 1), max(len(curve), 1))
    if len(curve) == 0:
        return curve
    with np.errstate(invalid="ignore"):
        return np.asarray(np.lib.stride_tricks.sliding_window_view(curve, window).mean(axis=1))
