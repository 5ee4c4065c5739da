"""Plots of evaluation errors: by joint, by joint and action, over time, cumulative."""

from __future__ import annotations

from collections.abc import Sequence as ListOf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidpose.datasets.marks import SYNTHETIC
from vidpose.errors import UsageError
from vidpose.evaluation.evaluate import Evaluation
from vidpose.evaluation.tables import CURVE_MM, WORST, mean_name
from vidpose.render.charts import (
    MOST_SERIES,
    Bars,
    cumulative_curves,
    joint_bars,
    joint_map,
    over_time,
)
from vidpose.render.plots import (
    INK,
    LABEL_PT,
    NOTE_PT,
    figure_title,
    grid_lines,
    legend_below,
    line_style,
    names_below,
    panels,
    save,
    title,
)
from vidpose.utils.files import writing
from vidpose.utils.marks import holds_mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NUMBERED = 30
"""Heat maps with at most this many columns show their numbers."""
PNG_MARK = b"Matplotlib"
"""In every plot, see `holds_mark`."""


def draw_all(
    folder: Path, evaluations: ListOf[Evaluation], action: str | None = None
) -> list[Path]:
    """Draw all plots of one or several checkpoints.

    Args:
        folder: output folder, created if missing. Maps by joint and action of an earlier run are
            removed.
        evaluations: one for each checkpoint, on the same dataset.
        action: draw the errors by joint for this row of the table only.

    Returns:
        The files that were written.

    Raises:
        UsageError: there are too many checkpoints for one plot.
        VidposeError: the folder cannot be written.
    """
    check_count(len(evaluations))
    drawn = [joint_errors(evaluations, folder / "joints.png", action)]
    for i, evaluation in enumerate(evaluations):
        number = f"_{i + 1}" if len(evaluations) > 1 else ""
        drawn.append(joint_by_action(evaluation, folder / f"joints_by_action{number}.png"))
    drawn.append(worst_sequences(evaluations, folder / "worst_sequences.png"))
    drawn.append(cumulative(evaluations, folder / "cumulative.png"))
    _remove_stale(folder, drawn)
    return drawn


def _remove_stale(folder: Path, drawn: ListOf[Path]) -> None:
    """Remove the maps of an earlier run on another number of checkpoints."""
    numbers = ("", *(f"_{i + 1}" for i in range(MOST_SERIES)))
    for path in (folder / f"joints_by_action{number}.png" for number in numbers):
        if path in drawn or path.is_symlink() or not path.is_file():
            continue
        with writing(path):
            if holds_mark(path, PNG_MARK):
                path.unlink()


def check_count(weights: int) -> None:
    """Raise UsageError if there are too many checkpoints for one plot."""
    if weights > MOST_SERIES:
        raise UsageError(
            f"{weights} weights are too many for one plot; compare at most {MOST_SERIES}."
        )


def joint_errors(
    evaluations: ListOf[Evaluation], out: Path, action: str | None = None, remark: str = ""
) -> Path:
    """Draw the mean error of each joint, one bar per checkpoint (paper, Figure 3).

    Args:
        evaluations: one for each checkpoint, on the same dataset.
        out: the file to write.
        action: draw the errors of this row of the table only.
        remark: last line of the title.
    """
    joints = evaluations[0].joint_names
    figure, (axes,) = panels(1, min(12.0, 3 + 0.4 * len(joints) * (1 + len(evaluations) / 5)), 4.6)
    bars = []
    for evaluation in evaluations:
        mean = evaluation.per_joint("mpjpe_mm", action)
        label = f"{evaluation.label}: {mean.mean():.1f} mm"
        bars.append(Bars(label, mean, *evaluation.spread(group=action)))
    joint_bars(axes, joints, bars)
    axes.set_ylabel("MPJPE, mm")
    what = action or mean_name(evaluations[0])
    if len(evaluations) == 1:
        what += f": {evaluations[0].value('mpjpe_mm', action):.1f} mm"
    lines = "lines: quartiles over the frames" + (f"\n{remark}" if remark else "")
    _title(axes, f"Error by joint, {what}", evaluations, lines)
    _legend_below(figure, axes, evaluations)
    return save(figure, out)


def joint_by_action(evaluation: Evaluation, out: Path) -> Path:
    """Draw a heat map of the mean error of each joint in each action."""
    groups = list(evaluation.groups)
    errors = np.stack([evaluation.per_joint("mpjpe_mm", name) for name in groups], axis=1)
    joints, count = errors.shape
    few = count <= MAX_NUMBERED
    width = min(20.0, max(6.0, (0.5 if few else 0.2) * count + 2.8))
    figure, (axes,) = panels(1, width, max(3.5, 0.31 * joints + 1.9))
    joint_map(axes, evaluation.joint_names, errors, "MPJPE, mm")
    middle = float(errors.max()) / 2
    for (joint, group), error in np.ndenumerate(errors) if few else ():
        ink = "white" if error < middle else "black"
        axes.text(
            group, joint, f"{error:.0f}", ha="center", va="center", color=ink, fontsize=NOTE_PT
        )
    names_below(axes, range(count), groups)
    _title(axes, f"Error by joint and {evaluation.protocol.groups_are}", [evaluation])
    return save(figure, out)


def worst_sequences(evaluations: ListOf[Evaluation], out: Path) -> Path:
    """Draw the error of every frame of the first checkpoint's worst sequences."""
    worst = evaluations[0].worst(WORST)
    figure, rows = panels(len(worst), 9.0, 1.5 * len(worst) + 1.3)
    highest = 0.0
    for axes, sequence in zip(rows, worst, strict=True):
        for number, evaluation in enumerate(evaluations):
            # By position, because names may occur more than once.
            same = evaluation.sequences[evaluations[0].sequences.index(sequence)]
            error = same.mpjpe_mm.mean(axis=1)
            highest = max(highest, float(error.max()))
            over_time(axes, same.seconds, error, label=evaluation.label, **line_style(number))
        mean = sequence.means["mpjpe_mm"].mean()
        title(axes, f"{sequence.name}: mean {mean:.1f} mm", LABEL_PT)
        grid_lines(axes)
        axes.margins(x=0.01)
    for axes in rows:
        axes.set_ylim(0, 1.08 * highest)
    rows[-1].set_xlabel("seconds")
    figure.supylabel("MPJPE, mm", fontsize=LABEL_PT, color=INK)
    heading = f"The worst sequences of {evaluations[0].label}, over time"
    figure_title(figure, f"{heading}\n{_about(evaluations)}")
    _legend_below(figure, rows[0], evaluations)
    return save(figure, out)


def cumulative(evaluations: ListOf[Evaluation], out: Path) -> Path:
    """Draw the share of joints with an error below each distance."""
    figure, (axes,) = panels(1, 6.5, 4.6)
    cumulative_curves(axes, [(e.label, e.cumulative(CURVE_MM)) for e in evaluations], CURVE_MM)
    _title(axes, "Cumulative error", evaluations)
    return save(figure, out)


def _title(
    axes: Axes, what: str, evaluations: ListOf[Evaluation], remark: str | None = None
) -> None:
    about = _about(evaluations) + (f"; {remark}" if remark else "")
    title(axes, f"{what}\n{about}")


def _about(evaluations: ListOf[Evaluation]) -> str:
    e = evaluations[0]
    flip = "flip averaging" if e.flip else "no flip averaging"
    weights = f"{e.label}, " if len(evaluations) == 1 else ""
    data = f"SYNTHETIC {e.dataset}" if e.synthetic and e.dataset != SYNTHETIC else e.dataset
    return f"{weights}{data}, 2D joints {e.keypoints}, {flip}"


def _legend_below(figure: Figure, axes: Axes, evaluations: ListOf[Evaluation]) -> None:
    """Add a legend of the checkpoints; the title names a single one."""
    if len(evaluations) > 1:
        legend_below(figure, axes)
