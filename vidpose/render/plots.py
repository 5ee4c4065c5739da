"""The common style of all plots, and saving them to files.

matplotlib is imported by the first plot, and its global state does not change. Colours are those of
M. Okabe and K. Ito, "Color Universal Design", 2008, which colour-blind people can distinguish. For
printing in grey, the first colours also differ in lightness, lines in their dashes, and heat maps
use cividis, whose lightness increases monotonically.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from vidpose.utils.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1, 1.5)))
"""matplotlib's line styles, in the order of the colours."""
LEFT, RIGHT, MIDDLE = COLOURS[1], COLOURS[0], "#555555"
"""Colours of the body's sides."""
MARK = COLOURS[5]
"""Colour of highlights: the best epoch, the centre frame, the worst moments."""
INK = "#333333"
FAINT = "#777777"
GHOST = "#BBBBBB"
GRID = "#DDDDDD"
HEAT = "cividis"
"""The colour map of every heat map."""

DPI = 150
TITLE_PT, LABEL_PT, TICK_PT, NOTE_PT = 10, 9, 8, 7
"""Font sizes of titles, axes and panels, ticks and legends, and annotations."""
LINE_PT = 1.5
PAGE_IN = 7.0
"""Width of a plot that fills a printed page."""
LETTERS_AN_INCH = 12.5
"""Characters per inch in titles."""
MOST_PEOPLE = 4
"""Maximum number of people in a plot: those who are visible longest."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, without pyplot's global state."""
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=DPI, layout="constrained", facecolor="white")


def plain(axes: Axes) -> Axes:
    """Apply the common style to axes."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(GRID)
    axes.tick_params(color=GRID, labelcolor=INK, labelsize=TICK_PT)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(size=LABEL_PT, color=INK)
    return axes


def panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure, in inches, and its panels, stacked vertically."""
    figure = new_figure(width, height)
    return figure, [plain(figure.add_subplot(count, 1, i + 1)) for i in range(count)]


def grid_lines(axes: Axes, axis: Literal["both", "x", "y"] = "y") -> None:
    axes.grid(axis=axis, color=GRID, linewidth=0.8)


def line_style(number: int) -> dict[str, Any]:
    """Colour, dashes and width of the line with this number, for `Axes.plot`."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[number % len(DASHES)],
        "linewidth": LINE_PT,
    }


def title(axes: Axes, text: str, size: float = TITLE_PT) -> None:
    """Set the title of a panel, left-aligned."""
    axes.set_title(text, loc="left", fontsize=size, color=INK)


def figure_title(figure: Figure, text: str) -> None:
    """Set the title of a figure, wrapped to its width."""
    across = int(LETTERS_AN_INCH * figure.get_figwidth())
    text = "\n".join(part for line in text.splitlines() for part in wrap(line, across))
    figure.suptitle(text, x=0.01, ha="left", fontsize=TITLE_PT, color=INK)


def legend(axes: Axes, loc: Literal["upper right", "upper left", "best"] = "upper right") -> None:
    axes.legend(loc=loc, framealpha=0.9, edgecolor="none", fontsize=TICK_PT, labelcolor=INK)


def legend_below(figure: Figure, axes: Axes, columns: int = 3) -> None:
    """Add one legend below all panels, with the entries of one of them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(columns, len(labels)),
        frameon=False,
        fontsize=TICK_PT,
        labelcolor=INK,
    )


def names_below(axes: Axes, places: Iterable[float], names: Sequence[str]) -> None:
    """Label the horizontal axis with names, rotated so that they do not overlap."""
    axes.set_xticks(list(places), names, rotation=40, ha="right", rotation_mode="anchor")


def heat_map(axes: Axes, values: NDArray[np.floating], **options: Any) -> Any:
    """Draw a heat map without a frame; `options` are those of `Axes.imshow`."""
    shown = axes.imshow(values, cmap=HEAT, **options)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return shown


def colour_bar(shown: Any, of: Axes | Sequence[Axes], label: str, **options: Any) -> Colorbar:
    """Add the colour bar of a heat map; `options` are those of `Figure.colorbar`."""
    first = of[0] if isinstance(of, Sequence) else of
    bar = cast("Figure", first.get_figure()).colorbar(shown, ax=of, label=label, **options)
    cast(Any, bar.outline).set_visible(False)
    bar.ax.tick_params(color=GRID, labelcolor=INK, labelsize=TICK_PT)
    bar.ax.yaxis.label.set(size=LABEL_PT, color=INK)
    return bar


def save(figure: Figure, out: Path, **options: Any) -> Path:
    """Write a figure as PNG, SVG or PDF, by suffix, atomically.

    The same figure gives the same file. PDF fonts are TrueType, which journals require; SVG text
    is outlines, which look the same everywhere.

    Args:
        figure: the figure.
        out: .png, .svg or .pdf.
        options: those of `Figure.savefig`.

    Raises:
        VidposeError: the file cannot be written.
    """
    import matplotlib as mpl

    format = out.suffix[1:].lower()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(format)
    settings = {"pdf.fonttype": 42, "svg.hashsalt": "vidpose"}
    with replacing(out) as temporary, mpl.rc_context(cast(Any, settings)):
        figure.savefig(temporary, format=format, metadata=undated, **options)
    return out
