"""The gradient of the loss at the class scores, example by example.

Bjorck et al. (2018), Figure 6, show it for a batch at initialisation: without batch normalisation the network
takes almost every example for one and the same class, so that one column of the gradient is positive nearly
everywhere, and the gradients of the examples add up instead of cancelling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet._tensor import Tensor
from tinynet.bn.recording import as_array
from tinynet.errors import ArgumentError, ShapeError

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

_NAME = "class_gradients"


@dataclass(frozen=True, eq=False)
class ClassGradients:
    """What `class_gradients` found.

    Attributes
    ----------
    gradient : numpy.ndarray of shape (N, K), float64
        Of the mean cross-entropy of the N examples with respect to the scores of the K classes.  Its rows are
        the heat map of the paper's Figure 6.
    predicted_share : float
        The largest share of the examples that is predicted as one and the same class, in [1/K, 1].
    one_sidedness : float
        Over the classes, the mean of ``|mean of the column| / mean of its absolute values``, in [0, 1]: 1 if
        no column changes its sign.  Columns of zeros do not count; nan if there are no others.
    largest_column_mean : float
        The largest mean of a column of `gradient`: how strongly the examples together push one class down.
        Each row has the sum 0, so it is never negative.
    """

    gradient: FloatArray
    predicted_share: float
    one_sidedness: float
    largest_column_mean: float


def class_gradients(logits: Tensor | Array, labels: Tensor | Array) -> ClassGradients:
    """Return the gradient of the mean cross-entropy at the scores, and how one-sided it is.

    With p = softmax(logits), for example n and class k (Bjorck et al. 2018, Figure 6)::

        dL / dlogits[n, k] = (p[n, k] - [k is the label of n]) / N

    Parameters
    ----------
    logits : Tensor or numpy.ndarray of shape (N, K), of real numbers
        The scores that a network gives, N >= 1 and K >= 1.
    labels : Tensor or numpy.ndarray of shape (N,), of an integer dtype
        The right classes, in [0, K).

    Returns
    -------
    ClassGradients
        Computed in float64.  A row of scores with a nan or +inf, or of -inf alone, has a gradient of nan,
        and makes `one_sidedness` and `largest_column_mean` nan; it is predicted as the class of its first nan
        or largest score.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or there is no example or class.
    ArgumentError
        If a label is no class.
    DTypeError
        If an argument is of another kind.

    Examples
    --------
    A network that is sure that everything is class 0:

    >>> import numpy as np
    >>> import tinynet as tn
    >>> found = tn.bn.class_gradients(np.array([[50.0, 0.0], [50.0, 0.0]]), np.array([0, 1]))
    >>> np.round(found.gradient, 3).tolist()
    [[0.0, 0.0], [0.5, -0.5]]
    >>> found.predicted_share, found.one_sidedness, round(found.largest_column_mean, 3)
    (1.0, 1.0, 0.25)
    """
    scores, right = as_array(_NAME, "logits", logits), as_array(_NAME, "labels", labels, "integers")
    if scores.ndim != 2 or scores.size == 0:
        raise ShapeError(f"{_NAME}: logits must have shape (N, K) with N, K >= 1; got {scores.shape}")
    count, classes = scores.shape
    if right.shape != (count,):
        raise ShapeError(f"{_NAME}: labels must have shape ({count},); got {right.shape}")
    if right.min() < 0 or right.max() >= classes:
        wrong = right[(right < 0) | (right >= classes)][0]
        raise ArgumentError(f"{_NAME}: labels must lie in [0, {classes - 1}]; got {wrong}")
    scores = scores.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinite scores of a network that diverged
        gradient = np.exp(scores - scores.max(axis=1, keepdims=True))
        gradient /= gradient.sum(axis=1, keepdims=True)
    gradient[np.arange(count), right] -= 1
    gradient /= count
    means, sizes = gradient.mean(axis=0), np.abs(gradient).mean(axis=0)
    used = sizes != 0  # nan counts
    return ClassGradients(
        gradient=gradient,
        predicted_share=float(np.bincount(scores.argmax(axis=1)).max() / count),
        one_sidedness=float((np.abs(means[used]) / sizes[used]).mean()) if used.any() else float("nan"),
        largest_column_mean=float(means.max()),
    )
