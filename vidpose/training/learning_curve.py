"""The learning curve of a training run."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import DataError
from vidpose.render.plots import (
    FAINT,
    GRID,
    LABEL_PT,
    MARK,
    TICK_PT,
    grid_lines,
    legend,
    line_style,
    panels,
    save,
    title,
)
from vidpose.utils.outside import reading


def learning_curve(log_csv: Path, out_png: Path) -> Path:
    """Plot a training run's errors by epoch.

    Args:
        log_csv: with columns `epoch`, `lr`, `train_mpjpe_mm`, `val_mpjpe_mm` and
            `val_p_mpjpe_mm`; others are ignored.
        out_png: the image to write.

    Raises:
        DataError: the log has no rows, or lacks a column.
        VidposeError: the image cannot be written.
    """
    from matplotlib.ticker import MaxNLocator

    log = _read_log(log_csv)
    epochs = log["epoch"]
    figure, (axes,) = panels(1, 7.0, 4.4)
    lines = {
        "train_mpjpe_mm": "training, MPJPE",
        "val_mpjpe_mm": "validation, MPJPE",
        "val_p_mpjpe_mm": "validation, P-MPJPE",
    }
    marker = "o" if len(epochs) < 30 else ""
    for number, (column, label) in enumerate(lines.items()):
        style = line_style(number)
        axes.plot(epochs, log[column], label=label, marker=marker, markersize=3, **style)
    validation = log["val_mpjpe_mm"]
    if np.isfinite(validation).any():
        best = int(np.nanargmin(validation))
        axes.plot(epochs[best], validation[best], "*", color=MARK, markersize=12)
        text = f"Learning curve: best {validation[best]:.1f} mm in epoch {epochs[best]:.0f}"
    else:
        text = "Learning curve"
    title(axes, text)
    axes.set_xlabel("epoch")
    axes.set_ylabel("error, mm")
    errors = np.concatenate([log[column] for column in lines])
    errors = errors[np.isfinite(errors)]
    if len(errors):
        # Errors of the first epochs may be far larger than all later ones.
        top = min(float(errors.max()), 4 * float(np.median(errors)))
        axes.set_ylim(0, 1.06 * top)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    grid_lines(axes)
    rates = axes.twinx()
    rates.plot(epochs, log["lr"], color=FAINT, linewidth=1, linestyle=":")
    rates.set_ylabel("learning rate (dotted)", color=FAINT, fontsize=LABEL_PT)
    rates.set_ylim(bottom=0)
    rates.spines[["top", "left", "bottom"]].set_visible(False)
    rates.spines["right"].set_color(GRID)
    rates.tick_params(color=GRID, labelcolor=FAINT, labelsize=TICK_PT)
    rates.yaxis.get_offset_text().set_fontsize(TICK_PT)
    rates.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    legend(axes)
    return save(figure, out_png)


def _read_log(path: Path) -> dict[str, NDArray[np.float64]]:
    columns = ("epoch", "lr", "train_mpjpe_mm", "val_mpjpe_mm", "val_p_mpjpe_mm")
    advice = f"it needs {', '.join(columns)}"
    with reading(path, DataError, "is no log of `vidpose train`", advice):
        with open(path, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        if not rows:
            raise DataError(f"{path} has no epoch yet; there is nothing to draw.")
        return {c: np.array([float(row[c] or math.nan) for row in rows]) for c in columns}
