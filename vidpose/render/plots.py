"""The style of every plot of the project, and how a plot becomes a file.

matplotlib is loaded by the first picture, and its global state is left alone. Colours are Okabe and
Ito's (M. Okabe, K. Ito, "Color Universal Design", 2008), which colour-blind people can tell apart.
The first ones differ in lightness, too, lines also differ in their dashes, and heat maps are
cividis, which gets lighter throughout: a plot that is printed in grey can be read.
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
"""The sides of a body."""
MARK = COLOURS[5]
"""What stands out: the best epoch, the centre frame, the worst moments."""
INK = "#333333"
FAINT = "#777777"
GHOST = "#BBBBBB"
GRID = "#DDDDDD"
HEAT = "cividis"
"""The colour map of every heat map."""

DPI = 150
TITLE_PT, LABEL_PT, TICK_PT, NOTE_PT = 10, 9, 8, 7
"""Sizes of letters: of titles, axes and panels, ticks and legends, and what is written inside."""
LINE_PT = 1.5
PAGE_IN = 7.0
"""The width of a plot that is to fill a printed page."""
LETTERS_AN_INCH = 12.5
"""Of titles."""
MOST_PEOPLE = 4
"""So many people are in a plot of everybody at most: those who are seen longest."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches; pyplot's global state is left alone."""
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=DPI, layout="constrained", facecolor="white")


def plain(axes: Axes) -> Axes:
    """Axes in the style of all plots."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(GRID)
    axes.tick_params(color=GRID, labelcolor=INK, labelsize=TICK_PT)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(size=LABEL_PT, color=INK)
    return axes


def panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure, inches, and its panels one below the other."""
    figure = new_figure(width, height)
    return figure, [plain(figure.add_subplot(count, 1, i + 1)) for i in range(count)]


def grid_lines(axes: Axes, axis: Literal["both", "x", "y"] = "y") -> None:
    axes.grid(axis=axis, color=GRID, linewidth=0.8)


def line_style(number: int) -> dict[str, Any]:
    """How the line with this number is drawn: colour, dashes and width, for `Axes.plot`."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[number % len(DASHES)],
        "linewidth": LINE_PT,
    }


def title(axes: Axes, text: str, size: float = TITLE_PT) -> None:
    """Above one panel, on its left."""
    axes.set_title(text, loc="left", fontsize=size, color=INK)


def figure_title(figure: Figure, text: str) -> None:
    """Above everything; lines that are wider than the figure are broken."""
    across = int(LETTERS_AN_INCH * figure.get_figwidth())
    text = "\n".join(part for line in text.splitlines() for part in wrap(line, across))
    figure.suptitle(text, x=0.01, ha="left", fontsize=TITLE_PT, color=INK)


def legend(axes: Axes, loc: Literal["upper right", "upper left", "best"] = "upper right") -> None:
    axes.legend(loc=loc, framealpha=0.9, edgecolor="none", fontsize=TICK_PT, labelcolor=INK)


def legend_below(figure: Figure, axes: Axes, columns: int = 3) -> None:
    """One legend for all panels, under them, of what is drawn in one of them."""
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
    """Names under the horizontal axis, turned so that they do not overlap."""
    axes.set_xticks(list(places), names, rotation=40, ha="right", rotation_mode="anchor")


def heat_map(axes: Axes, values: NDArray[np.floating], **options: Any) -> Any:
    """An image of numbers without a frame; `options` are those of `Axes.imshow`."""
    shown = axes.imshow(values, cmap=HEAT, **options)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return shown


def colour_bar(shown: Any, of: Axes | Sequence[Axes], label: str, **options: Any) -> Colorbar:
    """What the colours of a heat map mean; `options` are those of `Figure.colorbar`."""
    first = of[0] if isinstance(of, Sequence) else of
    bar = cast("Figure", first.get_figure()).colorbar(shown, ax=of, label=label, **options)
    cast(Any, bar.outline).set_visible(False)
    bar.ax.tick_params(color=GRID, labelcolor=INK, labelsize=TICK_PT)
    bar.ax.yaxis.label.set(size=LABEL_PT, color=INK)
    return bar


def save(figure: Figure, out: Path, **options: Any) -> Path:
    """Write a figure as its suffix says, PNG, SVG or PDF; it appears whole or not at all.

    The same figure gives the same file. Letters of a PDF are TrueType, which journals ask for;
    those of an SVG are outlines, which look alike everywhere.

    Args:
        figure: what to write.
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
