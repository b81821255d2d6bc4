"""One look for all figures of the studies; matplotlib is imported when the first figure is made.

The figures are made without pyplot: no display, no window system and no global state are touched, and a
program that has chosen a backend of its own keeps it.  Sizes are chosen so that a figure of full width, shown
830 pixels wide as on a page with a README, has text of 11 pixels or more.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tinynet.errors import ArgumentError
from tinynet.experiments.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 10.0
"""Full width in inches."""

DPI = 166
"""1,660 pixels at full width: twice what a README shows, for dense displays."""

# From Okabe and Ito's palette: told apart with every kind of colour vision, and by lightness in grey print.
BLUE = "#0072B2"
RED = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"

GREY = "#777777"
"""For what is no measurement: limits, laws, what guessing gives."""

STYLE: dict[str, Any] = {
    "font.size": 10.5,
    "axes.titlesize": 11,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.7,
    "lines.solid_capstyle": "round",
    "axes.titlelocation": "left",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def figure_png(
    draw: Callable[[Figure], None], *, width: float = WIDTH, height: float = 3.3, dpi: int = DPI
) -> bytes:
    """Make a figure in the common style and return it as PNG.

    Parameters
    ----------
    draw : callable
        Gets an empty `matplotlib.figure.Figure` (constrained layout) and draws on it.
    width, height : float
        Size in inches.
    dpi : int
        Pixels per inch.

    Returns
    -------
    bytes
        The file's content.  The same figure gives the same bytes (no date, no version in it).

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ArgumentError
        If a size is not positive.
    """
    if min(width, height, dpi) <= 0:
        raise ArgumentError(
            f"figure_png: width, height and dpi must be positive; got {width}, {height}, {dpi}"
        )
    require("matplotlib")
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), io.BytesIO() as file:
        matplotlib.rcdefaults()  # a user's matplotlibrc does not change the figure
        settings: Any = matplotlib.rcParams  # a dict whose type lists every key
        settings.update(STYLE)
        figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
        return file.getvalue()


def step_axis(axes: Axes, steps: int, ticks: int = 5) -> None:
    """Make the x-axis one of training steps, 0 to `steps`, with at most `ticks` intervals."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_xlim(0, steps)
    axes.set_xlabel("training steps")
    axes.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{x / 1000:g}k" if steps >= 2000 and x else f"{x:g}")
    )


def band(axes: Axes, x: npt.ArrayLike, curves: Sequence[npt.NDArray[Any]], colour: str) -> None:
    """Shade the range between the smallest and the largest of several curves over `x`; nothing for one."""
    if len(curves) > 1:
        low, high = np.minimum.reduce(curves), np.maximum.reduce(curves)
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def heading(figure: Figure, title: str) -> None:
    """Write what a figure is of above its panels, small and grey; nothing for an empty title."""
    if title:
        figure.suptitle(title, fontsize=10, color="#555555", x=0.01, ha="left")
