"""Plots of a result's errors against a reference, and of two results side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vidpose.evaluation.alignment import ALIGNMENTS
from vidpose.evaluation.distances import Errors
from vidpose.evaluation.reference import Reference
from vidpose.evaluation.tables import CURVE_MM
from vidpose.poses import Pose3D
from vidpose.postprocess.joint_angles import joint_angles
from vidpose.render.charts import (
    Bars,
    cumulative_curves,
    joint_bars,
    joint_time_map,
    over_time,
)
from vidpose.render.plots import (
    LABEL_PT,
    NOTE_PT,
    PAGE_IN,
    figure_title,
    grid_lines,
    legend,
    legend_below,
    line_style,
    new_figure,
    panels,
    plain,
    title,
)
from vidpose.render.result_plots import places
from vidpose.skeleton import H36M17

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HIGHEST_PERCENTILE = 99.0
"""The top of a heat map's colour scale; with the maximum, single outliers would darken the rest."""
COMPARED_ANGLES = ("right_knee_flexion", "left_knee_flexion")


def error_figures(
    errors: Sequence[Errors], reference: Reference, how: str
) -> Iterator[tuple[str, Figure]]:
    """Yield (name, figure): errors by joint, by joint and time, over time, and cumulative."""
    about = [f"reference: {reference.name}; alignment: {how}, {ALIGNMENTS[how]}"]
    if reference.missing:
        about.append(f"missing in the reference: {', '.join(reference.missing)}")
    yield "errors_by_joint", _by_joint(errors, about)
    yield "errors_by_joint_and_time", _by_joint_and_time(errors, about)
    yield "errors_over_time", _over_time(errors, about)
    yield "errors_cumulative", _cumulative(errors, about)


def _by_joint(errors: Sequence[Errors], about: Sequence[str]) -> Figure:
    figure, (axes,) = panels(1, PAGE_IN + 0.5 * (len(errors) - 1), 4.4)
    _error_bars(axes, errors)
    text = ["Error by joint", *about, "bars: mean; lines: quartiles over the frames"]
    figure_title(figure, "\n".join(text))
    legend_below(figure, axes)
    return figure


def _error_bars(axes: Axes, errors: Sequence[Errors]) -> None:
    """Draw the errors of the joints that both have."""
    means = np.stack([one.by_joint() for one in errors])
    measured = np.flatnonzero(np.isfinite(means).any(axis=0))
    names = [H36M17.joint_names[joint] for joint in measured]
    bars = []
    for one in errors:
        label = f"{one.label}: {one.mean_mm:.0f} mm"
        low, high = one.quartiles()
        bars.append(Bars(label, one.by_joint()[measured], low[measured], high[measured]))
    joint_bars(axes, names, bars)
    axes.set_ylabel("error, mm")


def _by_joint_and_time(errors: Sequence[Errors], about: Sequence[str]) -> Figure:
    figure, rows = panels(len(errors), PAGE_IN, 3.3 * len(errors) + 0.9)
    highest = max(float(np.nanpercentile(one.errors_mm, HIGHEST_PERCENTILE)) for one in errors)
    for axes, one in zip(rows, errors, strict=True):
        seconds, values = one.seconds, one.errors_mm
        joint_time_map(axes, H36M17.joint_names, seconds, values, "error, mm", max(highest, 1e-3))
        title(axes, one.label, LABEL_PT)
    rows[-1].set_xlabel("time, s")
    note = f"colour scale up to the {HIGHEST_PERCENTILE:g}th percentile; white: missing"
    figure_title(figure, "\n".join(["Error by joint and time", *about, note]))
    return figure


def _over_time(errors: Sequence[Errors], about: Sequence[str]) -> Figure:
    figure, (axes,) = panels(1, PAGE_IN, 3.4)
    _error_lines(axes, errors)
    figure_title(figure, "\n".join(["Error over time, mean of the joints", *about]))
    legend_below(figure, axes)
    return figure


def _error_lines(axes: Axes, errors: Sequence[Errors]) -> None:
    for number, one in enumerate(errors):
        label = f"{one.label}: {one.mean_mm:.0f} mm"
        over_time(axes, one.seconds, one.over_time(), label=label, **line_style(number))
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    axes.set_xlabel("time, s")
    axes.set_ylabel("error, mm")
    grid_lines(axes)


def _cumulative(errors: Sequence[Errors], about: Sequence[str]) -> Figure:
    figure, (axes,) = panels(1, PAGE_IN, 4.4)
    cumulative_curves(axes, [(one.label, one.cumulative(CURVE_MM)) for one in errors], CURVE_MM)
    figure_title(figure, "\n".join(["Cumulative error", *about]))
    return figure


def two_results_figure(
    results: Sequence[Pose3D], names: Sequence[str], differences: Sequence[Errors], how: str
) -> Figure:
    """Plot two results of one video: paths, distances by joint and over time, knee angles.

    Args:
        results: both results.
        names: their names in titles and legends.
        differences: the people of the first result, measured against the second.
        how: the alignment that was used.
    """
    figure = new_figure(PAGE_IN + 1.0, 10.2)
    grid = figure.add_gridspec(4, 2, height_ratios=(1.5, 1, 0.9, 0.9))
    _paths(plain(figure.add_subplot(grid[0, 0])), results, names)
    bars, lines = plain(figure.add_subplot(grid[0, 1])), plain(figure.add_subplot(grid[1, :]))
    _error_bars(bars, differences)
    bars.set_ylim(top=1.25 * bars.get_ylim()[1])  # room for the legend
    bars.tick_params(axis="x", labelsize=NOTE_PT)
    _error_lines(lines, differences)
    by_joint = "Distance by joint; lines: quartiles"
    for axes, text in ((bars, by_joint), (lines, "Distance over time, mean of joints")):
        axes.set_ylabel("distance, mm")
        title(axes, text, LABEL_PT)
        legend(axes, "best")
    one = max(differences, key=lambda errors: errors.frames)
    for row, angle in enumerate(COMPARED_ANGLES):
        axes = plain(figure.add_subplot(grid[2 + row, :]))
        people = (one.person, int(one.reference_person))
        for number, (result, name, person) in enumerate(zip(results, names, people, strict=True)):
            degrees = joint_angles(result).of(angle)[result.index_of(person)]
            label = f"{name}, person {person}"
            over_time(axes, result.timestamps, degrees, label=label, **line_style(number))
        axes.set_ylabel("degrees")
        axes.margins(x=0.01)
        grid_lines(axes)
        title(axes, angle.replace("_", " ").capitalize(), LABEL_PT)
    axes.set_xlabel("time, s")
    legend_below(figure, axes)  # of both knees; within a panel it would hide the first peaks
    about = f"{names[0]} and {names[1]}: two results of one video"
    figure_title(figure, f"{about}\nalignment of the distances: {how}, {ALIGNMENTS[how]}")
    return figure


def _paths(axes: Axes, results: Sequence[Pose3D], names: Sequence[str]) -> None:
    """Draw the hips' paths from above, in the camera frame: world coordinates may differ."""
    for number, (result, name) in enumerate(zip(results, names, strict=True)):
        positions, axis_names = places(result, in_world=False)
        for p, track in enumerate(positions[:, :, H36M17.root]):
            axes.plot(*track[:, :2].T, label="_" if p else name, **line_style(number))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(axis_names[0])
    axes.set_ylabel(axis_names[1])
    grid_lines(axes, "both")
    title(axes, "Hips from above", LABEL_PT)
    legend(axes, "best")
