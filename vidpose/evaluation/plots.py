"""Charts of errors: by joint, by joint and action, over time, cumulative."""

from __future__ import annotations

from collections.abc import Sequence as ListOf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import UsageError
from vidpose.evaluation.evaluate import Evaluation
from vidpose.evaluation.tables import CURVE_MM, WORST, mean_name
from vidpose.render.plots import COLOURS, GRID, INK, legend, panels, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = len(COLOURS)
"""Checkpoints that one plot can show."""
MOST_NUMBERED = 30
"""Columns up to which a heat map has its numbers written in."""


def draw_all(
    folder: Path, evaluations: ListOf[Evaluation], action: str | None = None
) -> list[Path]:
    """Every plot there is of one checkpoint, or of several together.

    Args:
        folder: where to; made when it is missing.
        evaluations: one for each checkpoint, on the same dataset.
        action: draw the errors by joint for this row of the table only.

    Returns:
        The files.

    Raises:
        UsageError: there are too many checkpoints for one plot.
        VidposeError: the folder cannot be written.
    """
    check_count(len(evaluations))
    drawn = [joint_errors(evaluations, folder / "joints.png", action)]
    for i, evaluation in enumerate(evaluations):
        number = f"_{i + 1}" if len(evaluations) > 1 else ""
        drawn.append(joint_by_action(evaluation, folder / f"joints_by_action{number}.png"))
    drawn.append(over_time(evaluations, folder / "worst_sequences.png"))
    drawn.append(cumulative(evaluations, folder / "cumulative.png"))
    return drawn


def check_count(weights: int) -> None:
    """Raise UsageError if one plot cannot show so many checkpoints."""
    if weights > MOST:
        raise UsageError(f"{weights} weights are too many for one plot; compare {MOST} at most.")


def joint_errors(
    evaluations: ListOf[Evaluation], out: Path, action: str | None = None, remark: str = ""
) -> Path:
    """The mean error of each joint, a bar for each checkpoint (paper, Figure 3).

    Whiskers span the middle half of the frames. On one action (a row of the table), or on all.
    A remark is the title's last line.
    """
    joints = evaluations[0].joint_names
    figure, (axes,) = panels(1, min(12.0, 3 + 0.4 * len(joints) * (1 + len(evaluations) / 5)), 4.6)
    width = 0.8 / len(evaluations)
    places = np.arange(len(joints))
    for i, (evaluation, colour) in enumerate(zip(evaluations, COLOURS, strict=False)):
        mean = evaluation.per_joint("mpjpe_mm", action)
        low, high = evaluation.spread(group=action)
        x = places + (i - (len(evaluations) - 1) / 2) * width
        label = f"{evaluation.label}: {mean.mean():.1f} mm"
        axes.bar(x, mean, 0.92 * width, color=colour, label=label)
        axes.vlines(x, low, high, color=INK, linewidth=1, alpha=0.7)
    axes.set_xticks(places, joints, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(joints) - 0.4)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("MPJPE, mm")
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    what = action or mean_name(evaluations[0])
    if len(evaluations) == 1:
        what += f": {evaluations[0].value('mpjpe_mm', action):.1f} mm"
    lines = "lines: the middle half of the frames" + (f"\n{remark}" if remark else "")
    _title(axes, f"Error by joint, {what}", evaluations, lines)
    _legend_below(figure, axes, evaluations)
    return save(figure, out)


def joint_by_action(evaluation: Evaluation, out: Path) -> Path:
    """A heat map of the mean error of each joint in each action."""
    groups = list(evaluation.groups)
    errors = np.stack([evaluation.per_joint("mpjpe_mm", name) for name in groups], axis=1)
    joints, count = errors.shape
    few = count <= MOST_NUMBERED
    width = min(20.0, max(6.0, (0.5 if few else 0.2) * count + 2.8))
    figure, (axes,) = panels(1, width, max(3.5, 0.31 * joints + 1.9))
    shown = axes.imshow(errors, cmap="cividis", aspect="auto", vmin=0)
    middle = float(errors.max()) / 2
    for (joint, group), error in np.ndenumerate(errors) if few else ():
        ink = "white" if error < middle else "black"
        axes.text(group, joint, f"{error:.0f}", ha="center", va="center", color=ink, fontsize=7)
    axes.set_xticks(range(count), groups, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(joints), evaluation.joint_names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(shown, ax=axes, label="MPJPE, mm", pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(color=GRID, labelcolor=INK, labelsize=8)
    bar.ax.yaxis.label.set(size=9, color=INK)
    _title(axes, f"Error by joint and {evaluation.protocol.groups_are}", [evaluation])
    return save(figure, out)


def over_time(evaluations: ListOf[Evaluation], out: Path) -> Path:
    """The error of every frame of the sequences that are worst for the first checkpoint."""
    worst = evaluations[0].worst(WORST)
    figure, rows = panels(len(worst), 9.0, 1.5 * len(worst) + 1.3)
    highest = 0.0
    for axes, sequence in zip(rows, worst, strict=True):
        for evaluation, colour in zip(evaluations, COLOURS, strict=False):
            same = next(s for s in evaluation.sequences if s.name == sequence.name)
            error = same.mpjpe_mm.mean(axis=1)
            highest = max(highest, float(error.max()))
            times, values = _broken(same.seconds, error)
            # A marker, so that a frame without neighbours is seen too.
            marker = "." if len(error) == 1 else ""
            axes.plot(
                times, values, marker=marker, color=colour, linewidth=1.1, label=evaluation.label
            )
        axes.set_title(
            f"{sequence.name}: mean {sequence.means['mpjpe_mm'].mean():.1f} mm",
            loc="left",
            fontsize=9,
            color=INK,
        )
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.margins(x=0.01)
    for axes in rows:
        axes.set_ylim(0, 1.08 * highest)
    rows[-1].set_xlabel("seconds", fontsize=9)
    figure.supylabel("MPJPE, mm", fontsize=9, color=INK)
    whose = f"The worst sequences of {evaluations[0].label}, over time"
    figure.suptitle(f"{whose}\n{_about(evaluations)}", x=0.01, ha="left", fontsize=10, color=INK)
    _legend_below(figure, rows[0], evaluations)
    return save(figure, out)


def cumulative(evaluations: ListOf[Evaluation], out: Path) -> Path:
    """How many joints are less than a distance off, for every distance."""
    figure, (axes,) = panels(1, 6.5, 4.6)
    for evaluation, colour in zip(evaluations, COLOURS, strict=False):
        share = evaluation.cumulative(CURVE_MM)
        median = float(np.interp(50, share, CURVE_MM))
        label = f"{evaluation.label}: half within {median:.0f} mm"
        if share[-1] < 50:
            label = f"{evaluation.label}: less than half within {CURVE_MM[-1]:.0f} mm"
        axes.plot(CURVE_MM, share, color=colour, linewidth=2, label=label)
    axes.axvline(150, color=INK, linewidth=1, linestyle=":")
    axes.text(149, 50, "150 mm, PCK", color=INK, fontsize=8, rotation=90, ha="right", va="center")
    axes.set_xlim(0, CURVE_MM[-1])
    axes.set_ylim(0, 100)
    axes.set_xlabel("error less than, mm")
    axes.set_ylabel("joints of all frames, %")
    axes.grid(color=GRID, linewidth=0.8)
    _title(axes, "Cumulative error", evaluations)
    legend(axes, loc="best")
    return save(figure, out)


def _title(
    axes: Axes, what: str, evaluations: ListOf[Evaluation], remark: str | None = None
) -> None:
    about = _about(evaluations) + (f"; {remark}" if remark else "")
    axes.set_title(f"{what}\n{about}", loc="left", fontsize=10, color=INK)


def _about(evaluations: ListOf[Evaluation]) -> str:
    e = evaluations[0]
    flip = "flip averaging" if e.flip else "no flip averaging"
    weights = f"{e.label}, " if len(evaluations) == 1 else ""
    return f"{weights}{e.dataset}, 2D joints {e.keypoints}, {flip}"


def _legend_below(figure: Figure, axes: Axes, evaluations: ListOf[Evaluation]) -> None:
    """Which colour is which checkpoint; nothing for one alone, which the title names."""
    if len(evaluations) > 1:
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=min(3, len(labels)),
            frameon=False,
            fontsize=8,
            labelcolor=INK,
        )


def _broken(
    seconds: NDArray[np.float64], error: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """With NaN where frames are left out, so that no line is drawn across."""
    if len(seconds) < 2:
        return seconds, error
    steps = np.diff(seconds)
    gaps = np.flatnonzero(steps > 1.5 * steps.min()) + 1
    return np.insert(seconds, gaps, np.nan), np.insert(error, gaps, np.nan)
