"""Pictures of what `tinynet.bn` measures in a network.  Each function draws on matplotlib axes of one's own.

A network's gradients, losses and activations may be huge, or no numbers at all: a line ends where it is not
finite, a map is grey there, and what is beyond the limit of a panel is cut off.  The figures of
`tinynet.experiments.understanding_figures` are made of these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tinynet import bn
from tinynet.errors import ArgumentError, ShapeError
from tinynet.experiments import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
Look = tuple[str, Any]

COLOURS = (figures.BLUE, figures.RED, figures.GREEN, figures.PURPLE, "#000000")
"""Of the lines of a panel, one after the other, where nothing else is asked for."""

_MISSING = "#BDBDBD"  # in maps, what is not finite
_LAW_POINTS = 801  # of the line of a density


def gradient_histograms(
    axes: Axes, gradients: Mapping[str, Array], *, bins: int = 81, colours: Sequence[str] = COLOURS
) -> None:
    """Draw how often gradients have each size, on a logarithmic axis, beside a normal distribution.

    After Bjorck et al. (2018), Figure 2.  The bins, one of them around 0, cover what is finite of all the
    gradients.  Dashed is what a normal distribution with the first gradient's mean and deviation would give:
    heavy tails stand out from it.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    gradients : mapping of str to numpy.ndarray
        Values of any shape, under the name that the legend gives them; the first is filled.
    bins : int, default 81
        Number of bins, at least 1; odd for one around 0.
    colours : sequence of str
        Of the histograms, in their order.

    Raises
    ------
    ArgumentError
        If there are no gradients, or `bins` is less than 1.
    """
    if not gradients or bins < 1:
        raise ArgumentError(
            f"gradient_histograms: gradients and bins must be at least 1; got {len(gradients)} and {bins}"
        )
    finite = {name: np.asarray(g, np.float64)[np.isfinite(g)] for name, g in gradients.items()}
    limit = max((float(np.abs(values).max()) for values in finite.values() if values.size), default=0.0)
    edges = np.linspace(-1, 1, bins + 1) * (limit or 1.0)
    most = 0
    for number, (name, values) in enumerate(finite.items()):
        counts, _ = np.histogram(values, edges)
        most = max(most, int(counts.max()))
        colour = colours[number % len(colours)]
        if number == 0:
            axes.stairs(counts, edges, fill=True, color=colour, alpha=0.35)
            _normal_curve(axes, values, edges)
        axes.stairs(counts, edges, color=colour, linewidth=1.3, label=name)
    if most:  # else there is nothing that has a logarithm
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(0.5, 2.5 * most)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel("gradient of a weight")
    axes.set_ylabel("weights")


def _normal_curve(axes: Axes, values: FloatArray, edges: FloatArray) -> None:
    """The expected counts of a normal distribution with the mean and the deviation of the values."""
    deviation = float(values.std()) if values.size else 0.0
    if deviation > 0:
        x = np.linspace(edges[0], edges[-1], _LAW_POINTS)
        scale = values.size * (edges[1] - edges[0]) / (deviation * math.sqrt(2 * math.pi))
        y = scale * np.exp(-(((x - values.mean()) / deviation) ** 2) / 2)
        axes.plot(
            x, y, color=figures.GREY, linewidth=1.1, linestyle=(0, (4, 1.6)), label="normal distribution"
        )


def relative_loss_curves(
    axes: Axes,
    step_sizes: npt.ArrayLike,
    curves: Mapping[str, Array],
    *,
    limit: float = 1e6,
    colours: Sequence[str] = COLOURS,
) -> None:
    """Draw the loss after steps along the gradient, by the loss before, on logarithmic axes.

    After Bjorck et al. (2018), Figure 3.  A line leaves the panel at `limit`, and ends where the loss is not
    finite, with a cross on the last value that is; the dotted line is a loss that did not change.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    step_sizes : array_like of shape (S,)
        Positive.
    curves : mapping of str to numpy.ndarray of shape (S,) or (R, S)
        From `tinynet.bn.relative_loss`, under the name that the legend gives them; of R repetitions the first
        is bold.
    limit : float, default 1e6
        The upper end of the panel, at most.
    colours : sequence of str
        Of the names, in their order.

    Raises
    ------
    ShapeError
        If a curve has not as many values as there are step sizes.
    """
    sizes = np.asarray(step_sizes, np.float64)
    shown = [1.0]  # what the panel must have room for
    for number, (name, values) in enumerate(curves.items()):
        colour = colours[number % len(colours)]
        for row, losses in enumerate(_rows("relative_loss_curves", values, len(sizes))):
            look: dict[str, Any] = {"label": name} if row == 0 else {"linewidth": 0.8, "alpha": 0.6}
            ends = np.flatnonzero(~np.isfinite(losses) | (losses > limit))
            end = int(ends[0]) if ends.size else len(losses)
            leaves = end < len(losses) and bool(np.isfinite(losses[end]))
            stop = end + 1 if leaves else end
            axes.plot(sizes[:stop], losses[:stop], color=colour, **look)
            if 0 < end < len(losses) and not leaves:
                axes.plot(sizes[end - 1], losses[end - 1], "x", color=colour, markersize=6, clip_on=False)
            shown += [limit] if leaves else []
            shown += [value for value in losses[:end].tolist() if value > 0]
    axes.plot(sizes, np.ones(len(sizes)), color=figures.GREY, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.set_xscale("log")
    axes.set_yscale("log")
    top = max(shown)
    axes.set_ylim(min(shown) / 1.3, limit if top * 1.3 > limit else top * 1.3)
    axes.set_xlabel("size of the step along the gradient")


def channel_heat_map(axes: Axes, fractions: npt.ArrayLike, values: Array, *, kind: str = "mean") -> None:
    """Draw how each channel changes along a step: a row per channel, colours on a logarithmic scale.

    After Bjorck et al. (2018), Figure 4.  Means have a scale that is linear around 0, up to the power of ten
    below the largest of them at the beginning, and logarithmic on both sides; variances have a logarithmic
    one, whose values of 0 are grey.  So is what is not finite.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where; a bar of its colours is put beside it.
    fractions : array_like of shape (P,)
        Shares of the step, in equal parts from 0 to 1; at least two.
    values : numpy.ndarray of shape (P, C)
        Of each channel after each of them, from `tinynet.bn.record_divergence`.
    kind : {'mean', 'var'}
        What they are.

    Raises
    ------
    ArgumentError
        If `kind` is neither, or there are less than two fractions.
    ShapeError
        If `values` has not as many rows as there are fractions.
    """
    shares = 100 * np.asarray(fractions, np.float64)
    if kind not in ("mean", "var") or len(shares) < 2:
        raise ArgumentError(
            "channel_heat_map: kind must be 'mean' or 'var' and fractions at least two; "
            f"got {kind!r} and {len(shares)}"
        )
    channels = _rows("channel_heat_map", np.asarray(values, np.float64).T, len(shares))
    scale, ticks = _mean_scale(channels) if kind == "mean" else _variance_scale(channels)
    half = (shares[1] - shares[0]) / 2
    picture = axes.imshow(
        np.ma.masked_invalid(channels)
        if kind == "mean"
        else np.ma.masked_where(~_positive(channels), channels),
        norm=scale,
        cmap=_colours("RdBu_r" if kind == "mean" else "viridis"),
        aspect="auto",
        interpolation="nearest",
        extent=(shares[0] - half, shares[-1] + half, len(channels) - 0.5, -0.5),
    )
    bar = axes.figure.colorbar(picture, ax=axes, ticks=ticks, pad=0.02)
    bar.ax.set_yticklabels([_power(tick) for tick in ticks])
    bar.ax.minorticks_off()
    bar.set_label("mean (symmetric log scale)" if kind == "mean" else "variance (log scale)")
    axes.grid(False)
    axes.locator_params(axis="y", integer=True)
    axes.set_xlabel("share of the step, %")
    axes.set_ylabel("channel")


def _mean_scale(values: FloatArray) -> tuple[Any, list[float]]:
    """A symmetric scale, linear up to the power of ten below the largest start; its ticks."""
    from matplotlib.colors import SymLogNorm

    start, largest = (_largest(part) for part in (values[:, 0], values))
    low = math.floor(math.log10(start or largest or 1.0))
    high = max(low, math.ceil(math.log10(largest or 1.0)))
    ends = [10.0**power for power in _few(low + 1, high)] or [10.0**low]
    scale = SymLogNorm(10.0**low, vmin=-ends[0], vmax=ends[0], base=10)
    return scale, [*(-end for end in ends), 0.0, *reversed(ends)]


def _variance_scale(values: FloatArray) -> tuple[Any, list[float]]:
    """A logarithmic scale from power of ten to power of ten; its ticks."""
    from matplotlib.colors import LogNorm

    positive = values[_positive(values)]
    if not positive.size:
        return LogNorm(1.0, 10.0), [1.0, 10.0]
    low, high = math.floor(math.log10(positive.min())), math.ceil(math.log10(positive.max()))
    high = max(high, low + 1)
    return LogNorm(10.0**low, 10.0**high), [10.0**power for power in _few(low, high)]


def _positive(values: FloatArray) -> npt.NDArray[np.bool_]:
    return np.isfinite(values) & (values > 0)


def _largest(values: FloatArray) -> float:
    """The largest finite magnitude; 0 if there is none."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _few(low: int, high: int, most: int = 5) -> list[int]:
    """Whole numbers from `high` down to `low` at equal distances, `most` of them at most."""
    return list(range(high, low - 1, -max(1, math.ceil((high - low + 1) / most))))


def _power(value: float) -> str:
    """A power of ten, or 0, as matplotlib sets it."""
    if value == 0:
        return "0"
    return f"${'-' if value < 0 else ''}10^{{{round(math.log10(abs(value)))}}}$"


def depth_profile(
    axes: Axes, layers: npt.ArrayLike, networks: Mapping[str, Array], *, looks: Sequence[Look] = ()
) -> None:
    """Draw a positive quantity of a network's layers against their depth, on a logarithmic axis.

    After Bjorck et al. (2018), Figure 5.  The line is the geometric mean of the repetitions, the band their
    range.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    layers : array_like of shape (L,)
        Their numbers.
    networks : mapping of str to numpy.ndarray of shape (L,) or (R, L)
        Magnitudes of means, or standard deviations, of R repetitions, under the name that the legend gives
        the network.  What is not positive and finite is a gap.
    looks : sequence of (colour, dashes)
        Of the networks, in their order; by default `COLOURS`, solid.

    Raises
    ------
    ShapeError
        If an array has not as many values as there are layers.
    """
    numbers = np.asarray(layers)
    looks = looks or [(colour, "solid") for colour in COLOURS]
    for number, (name, values) in enumerate(networks.items()):
        rows = _rows("depth_profile", values, len(numbers))
        rows = np.where(_positive(rows), rows, np.nan)
        colour, dashes = looks[number % len(looks)]
        middle = np.exp(np.log(rows).mean(axis=0))
        axes.plot(numbers, middle, color=colour, linestyle=dashes, label=name)
        figures.band(axes, numbers, list(rows), colour)
    axes.set_yscale("log")
    axes.set_xlabel("layer")


def class_gradient_map(axes: Axes, gradient: Array, *, limit: float | None = None) -> None:
    """Draw the gradient of the loss at the class scores: a row per example, a column per class.

    After Bjorck et al. (2018), Figure 6.  Red pushes a class down, blue up, white leaves it; what is not
    finite is grey.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where; a bar of its colours is put beside it.
    gradient : numpy.ndarray of shape (N, K)
        From `tinynet.bn.class_gradients`.
    limit : float, optional
        The magnitude of the darkest colours; by default the largest that there is.

    Raises
    ------
    ShapeError
        If `gradient` has not two axes.
    """
    values = np.asarray(gradient, np.float64)
    if values.ndim != 2:
        raise ShapeError(f"class_gradient_map: gradient must have shape (N, K); got {values.shape}")
    limit = limit or _largest(values) or 1.0
    picture = axes.imshow(
        np.ma.masked_invalid(values),
        vmin=-limit,
        vmax=limit,
        cmap=_colours("RdBu_r"),
        aspect="auto",
        interpolation="nearest",
    )
    axes.figure.colorbar(picture, ax=axes, pad=0.02).set_label("gradient")
    axes.grid(False)
    axes.set_xticks(range(values.shape[1]))
    axes.set_xlabel("class")
    axes.set_ylabel("image")


def singular_value_histogram(axes: Axes, values: Array, factors: int, *, bins: int = 40) -> None:
    """Draw how the singular values of products of random matrices are spread, with the law of large ones.

    After Bjorck et al. (2018), on products of random matrices: the density of the singular values s is
    ``2 s rho(s^2)``, rho being `tinynet.bn.squared_singular_value_density`.  It has a pole at 0 for two
    factors and more, where it leaves the panel.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    values : numpy.ndarray
        Singular values, of any number of products; those that are not finite are left out.
    factors : int
        Matrices in each product, at least 1.
    bins : int, default 40
        Number of bins between 0 and the largest of the values and the law's upper end.
    """
    finite = np.asarray(values, np.float64)[np.isfinite(values)]
    s, density = limit_density(factors)
    counts, edges = np.histogram(finite, bins, (0.0, max(s[-1], float(finite.max(initial=0.0)))))
    heights = counts / (max(finite.size, 1) * np.diff(edges))
    axes.stairs(heights, edges, fill=True, color=figures.BLUE, alpha=0.35, label="measured")
    axes.plot(s, density, color=figures.RED, label="limit law")
    axes.set_xlim(0, edges[-1])
    bulk = float(density[s >= s[-1] / 4].max())
    axes.set_ylim(0, 1.1 * max(float(heights.max()), bulk))
    axes.set_xlabel("singular value")


def limit_density(factors: int) -> tuple[FloatArray, FloatArray]:
    """Return the law that `singular_value_histogram` draws, densely where it is steep.

    Parameters
    ----------
    factors : int
        Matrices in the product, at least 1.

    Returns
    -------
    tuple of numpy.ndarray of shape (P,), float64
        Singular values, ascending to the upper end of the law, and the density at each.  The trapezoidal rule
        gives an area of 1.
    """
    # Near 0 the density goes as s^(-(m-1)/(m+1)), at the upper end as the root of the distance from it.
    angle = np.linspace(0, math.pi / 2, _LAW_POINTS)[1:]
    s = bn.singular_value_edge(factors) * np.sin(angle) ** ((factors + 1) / 2)
    s[-1] = bn.singular_value_edge(factors)
    return s, 2 * s * bn.squared_singular_value_density(s**2, factors)


def noise_curve(
    axes: Axes,
    sizes: npt.ArrayLike,
    measured: Array,
    theory: Array,
    *,
    label: str = "",
    look: Look = (figures.BLUE, "solid"),
) -> None:
    """Draw the noise of mini-batch gradients against the size of the batch, with what theory gives.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    sizes : array_like of shape (B,)
        Examples in a batch.
    measured : numpy.ndarray of shape (B,) or (R, B)
        Mean squared distances from the full gradient, from `tinynet.bn.gradient_noise`, of R repetitions:
        dots.
    theory : numpy.ndarray of shape (B,) or (R, B)
        The same by theory: a line for each repetition.  Values that are not positive are left out.
    label : str
        Of the dots; the lines have none.
    look : (colour, dashes)
        Of both.

    Raises
    ------
    ShapeError
        If an array has not as many values as there are sizes.
    """
    numbers = np.asarray(sizes)
    dots, lines = (_rows("noise_curve", values, len(numbers)) for values in (measured, theory))
    colour, dashes = look
    for row, values in enumerate(dots):
        axes.plot(
            numbers, values, "o", color=colour, markersize=5, alpha=0.7, label=label if row == 0 else None
        )
    axes.plot(numbers, lines.T, color=colour, linestyle=dashes, linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(numbers, [f"{size:g}" for size in numbers])
    axes.set_xlabel("images in a batch")


def _rows(owner: str, values: Array, count: int) -> FloatArray:
    """Values (count,) or (R, count) as R rows."""
    rows = np.atleast_2d(np.asarray(values, np.float64))
    if rows.ndim != 2 or rows.shape[1] != count:
        raise ShapeError(f"{owner}: values must have shape ({count},) or (R, {count}); got {rows.shape}")
    return rows


def _colours(name: str) -> Any:
    from matplotlib import colormaps

    return colormaps[name].with_extremes(bad=_MISSING)
