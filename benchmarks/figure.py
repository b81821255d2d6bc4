"""The bar chart of a run: how many times tinynet's time the others take for each workload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.report import KINDS, Comparison

COLOURS = ("#D55E00", "#E8A27A", "#7F7F7F")  # of KINDS
WIDTH, BAR = 10.0, 0.26  # inches; of a row of height 1


def png(comparisons: Sequence[Comparison]) -> bytes:
    """The chart as the bytes of a PNG file; needs matplotlib."""
    from tinynet.experiments import figure_png

    rows = len(comparisons)
    return figure_png(lambda canvas: draw(canvas, comparisons), width=WIDTH, height=1.1 + 0.6 * rows)


def draw(canvas: Any, comparisons: Sequence[Comparison]) -> None:
    """Horizontal bars, one group per workload; the line at 1 is tinynet."""
    axes = canvas.subplots()
    for place, (kind, colour) in enumerate(zip(KINDS, COLOURS, strict=True)):
        found = [(row, each.best(kind)) for row, each in enumerate(comparisons)]
        rows = [row + (place - 1) * BAR for row, best in found if best]
        ratios = [best.ratio for _, best in found if best]
        if not rows:
            continue
        label = f"{kind}, best mode" if kind == KINDS[0] else kind
        bars = axes.barh(rows, ratios, BAR, color=colour, label=label)
        axes.bar_label(bars, [f"{ratio:.2f}" for ratio in ratios], padding=3, fontsize=9)
    axes.axvline(1, color="#0072B2", linewidth=1.7, label="tinynet")
    axes.set_yticks(
        range(len(comparisons)),
        [
            f"{each.workload}\nbatch {each.batch}, {each.threads} thread{'s' if each.threads > 1 else ''}"
            for each in comparisons
        ],
    )
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(left=0)
    axes.margins(x=0.12)
    axes.set_xlabel("time as a multiple of tinynet's (median)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.5 / (0.6 * max(1, len(comparisons)))), ncols=4)
