"""The style that all charts share, and the learning curve of a training run.

matplotlib is loaded by the first picture, and its global state is left alone. Colours are Okabe and
Ito's, which colour-blind people can tell apart.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import DataError
from vidpose.utils.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
INK = "#333333"
FAINT = "#777777"
GRID = "#DDDDDD"
DPI = 150


def learning_curve(log_csv: Path, out_png: Path) -> Path:
    """The errors of a training run, epoch by epoch.

    Args:
        log_csv: with columns `epoch`, `lr`, `train_mpjpe_mm`, `val_mpjpe_mm` and
            `val_p_mpjpe_mm`; others are not looked at.
        out_png: the picture to write.

    Raises:
        DataError: the log has no line, or lacks a column.
        VidposeError: the picture cannot be written.
    """
    from matplotlib.ticker import MaxNLocator

    log = _read_log(log_csv)
    epochs = log["epoch"]
    figure, (axes,) = panels(1, 7.0, 4.4)
    lines = {
        "train_mpjpe_mm": ("training, MPJPE", COLOURS[0], "-"),
        "val_mpjpe_mm": ("validation, MPJPE", COLOURS[5], "-"),
        "val_p_mpjpe_mm": ("validation, P-MPJPE", COLOURS[2], "--"),
    }
    marker = "o" if len(epochs) < 30 else ""
    for column, (label, colour, style) in lines.items():
        axes.plot(
            epochs, log[column], color=colour, linestyle=style, linewidth=1.8, marker=marker,
            markersize=3, label=label,
        )  # fmt: skip
    validation = log["val_mpjpe_mm"]
    if np.isfinite(validation).any():
        best = int(np.nanargmin(validation))
        axes.plot(epochs[best], validation[best], "*", color=COLOURS[5], markersize=12)
        title = f"Learning curve: best {validation[best]:.1f} mm in epoch {epochs[best]:.0f}"
    else:
        title = "Learning curve"
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel("epoch")
    axes.set_ylabel("error, mm")
    errors = np.concatenate([log[column] for column in lines])
    errors = errors[np.isfinite(errors)]
    if len(errors):
        # The first epochs may be off by far more than all that follows.
        top = min(float(errors.max()), 4 * float(np.median(errors)))
        axes.set_ylim(0, 1.06 * top)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    rates = axes.twinx()
    rates.plot(epochs, log["lr"], color=FAINT, linewidth=1, linestyle=":")
    rates.set_ylabel("learning rate (dotted)", color=FAINT, fontsize=9)
    rates.set_ylim(bottom=0)
    rates.spines[["top", "left", "bottom"]].set_visible(False)
    rates.spines["right"].set_color(GRID)
    rates.tick_params(color=GRID, labelcolor=FAINT, labelsize=8)
    rates.yaxis.get_offset_text().set_fontsize(8)
    rates.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    legend(axes)
    return save(figure, out_png)


def _read_log(path: Path) -> dict[str, NDArray[np.float64]]:
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows:
        raise DataError(f"{path} has no epoch yet; there is nothing to draw.")
    columns = ("epoch", "lr", "train_mpjpe_mm", "val_mpjpe_mm", "val_p_mpjpe_mm")
    try:
        return {c: np.array([float(row[c] or math.nan) for row in rows]) for c in columns}
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} is no log of `vidpose train` ({error}); it needs {', '.join(columns)}."
        ) from None


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches; pyplot's global state is left alone."""
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=DPI, layout="constrained", facecolor="white")


def plain(axes: Axes) -> Axes:
    """Axes in the style of all charts."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(GRID)
    axes.tick_params(color=GRID, labelcolor=INK, labelsize=8)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(size=9, color=INK)
    return axes


def panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure, inches, and its panels one below the other."""
    figure = new_figure(width, height)
    return figure, [plain(figure.add_subplot(count, 1, i + 1)) for i in range(count)]


def legend(axes: Axes, loc: Literal["upper right", "best"] = "upper right") -> None:
    axes.legend(loc=loc, framealpha=0.9, edgecolor="none", fontsize=8, labelcolor=INK)


def save(figure: Figure, out: Path, **options: Any) -> Path:
    """Write a figure as PNG; `options` are those of `Figure.savefig`."""
    with replacing(out) as temporary:
        figure.savefig(temporary, format="png", **options)
    return out
