"""Pictures of a trained classifier: curves, confusion matrix, mistakes.  Each draws on an empty figure.

They are made with `tinynet.experiments.figure_png`; `SIZES` has the sizes in inches that suit them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tinynet.experiments import figures
from tinynet.experiments.classification import smoothed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]

SIZES = {"curves": (10.0, 3.6), "confusion": (7.2, 6.6), "mistakes": (10.0, 7.4)}
COLUMNS, ROWS = 6, 4
"""Mistakes on a page."""


def curves(
    figure: Figure,
    losses: Sequence[float],
    accuracy: Sequence[float],
    test_accuracy: Sequence[float],
    *,
    title: str = "",
    window: int = 50,
) -> None:
    """Draw the loss of every step, faint, with its running mean, and both accuracies of every epoch.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Where.
    losses : sequence of float
        One per step.
    accuracy, test_accuracy : sequence of float
        One per epoch, in [0, 1].
    title : str
        Stands above both panels.
    window : int, default 50
        Steps in the running mean.
    """
    left, right = figure.subplots(1, 2)
    window = max(1, min(window, len(losses) // 2))
    steps, values = np.arange(1, len(losses) + 1), np.asarray(losses, np.float64)
    left.plot(steps, values, color=figures.BLUE, alpha=0.25, linewidth=0.8, label="each step")
    means = smoothed(values, window)  # entry i belongs to the middle of its window
    left.plot(steps[: len(means)] + (window - 1) / 2, means, color=figures.BLUE, label=f"mean of {window}")
    finite = values[np.isfinite(values)]
    if len(finite):  # single steps far out, as at the beginning, leave the curve its room
        left.set_ylim(0, 1.15 * max(float(np.quantile(finite, 0.99)), 1e-3))
    figures.step_axis(left, len(losses))
    left.set_title("(a) training loss")
    left.legend(loc="upper right")

    epochs = np.arange(1, len(accuracy) + 1)
    marker = {"marker": "o", "markersize": 4} if len(epochs) <= 20 else {}
    looks = (
        (accuracy, "training", figures.BLUE, "solid"),
        (test_accuracy, "test", figures.RED, (0, (4, 1.6))),
    )
    for shares, name, colour, dashes in looks:
        right.plot(epochs, 100 * np.asarray(shares), color=colour, linestyle=dashes, label=name, **marker)
    right.set_xlim(0.5, len(epochs) + 0.5)
    right.xaxis.get_major_locator().set_params(integer=True)
    right.set_xlabel("epochs")
    right.set_title("(b) accuracy, %")
    right.legend(loc="best", handlelength=2.6)
    figures.heading(figure, title)


def confusion(figure: Figure, matrix: Array, classes: Sequence[str], *, title: str = "") -> None:
    """Draw a confusion matrix: counts, shaded by their share of the row.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Where.
    matrix : numpy.ndarray of shape (K, K)
        Entry (i, j): examples of class i that were taken for j; see `confusion_matrix`.
    classes : sequence of str
        K names.
    title : str
        Stands above.
    """
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    # The square root spreads the small shares, which are of interest, over the shades.
    axes.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(*matrix.shape):
        if matrix[i, j]:
            colour = "white" if share[i, j] > 0.35 else "black"
            weight = "bold" if i == j else "normal"
            axes.text(
                j, i, f"{matrix[i, j]:,}", ha="center", va="center", color=colour, weight=weight, fontsize=9.5
            )
    axes.set_xticks(range(len(classes)), classes)
    if max(map(len, classes)) > 3:
        axes.tick_params(axis="x", labelrotation=40)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("taken for")
    axes.set_ylabel("is")
    figures.heading(figure, title)


def mistakes(
    figure: Figure,
    images: Array,
    labels: Sequence[int],
    guesses: Sequence[int],
    probabilities: Sequence[float],
    classes: Sequence[str],
    *,
    title: str = "",
) -> None:
    """Draw a page of wrongly classified images with their true class, the guess, and its probability.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Where.
    images : numpy.ndarray of shape (M, C, H, W), uint8
        Grey (C = 1) or in colours (C = 3); the first ``ROWS * COLUMNS`` are drawn.
    labels, guesses : sequence of int
        M classes.
    probabilities : sequence of float
        Of the guesses.
    classes : sequence of str
        The names of the classes.
    title : str
        Stands above.
    """
    grid = figure.subplots(ROWS, COLUMNS)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, label, guess, probability in zip(
        grid.flat, images, labels, guesses, probabilities, strict=False
    ):
        pixels = image.transpose(1, 2, 0)  # (H, W, C)
        axes.imshow(pixels[:, :, 0] if len(image) == 1 else pixels, cmap="gray", vmin=0, vmax=255)
        axes.set_title(f"{classes[label]}", fontsize=9.5, loc="center", color="black", pad=14)
        axes.text(
            0.5,
            1.025,
            f"{classes[guess]}, {100 * probability:.{1 if probability < 0.9995 else 0}f} %",
            transform=axes.transAxes,
            ha="center",
            va="bottom",
            fontsize=9,
            color=figures.RED,
        )
    if not len(images):
        figure.text(0.5, 0.5, "no mistakes", ha="center", color=figures.GREY)
    figures.heading(figure, title)
