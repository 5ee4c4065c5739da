"""Plots of a result: trajectories, joint angles, speeds and the quality report.

`plot` returns a matplotlib figure and writes no file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import UsageError
from vidpose.poses import Pose3D, section
from vidpose.postprocess.joint_angles import joint_angles
from vidpose.postprocess.quality import PROXIES, ROUNDED_S, moments_of, people_of
from vidpose.render.charts import over_time
from vidpose.render.plots import (
    COLOURS,
    GRID,
    INK,
    LABEL_PT,
    LEFT,
    LINE_PT,
    MARK,
    MIDDLE,
    MOST_PEOPLE,
    NOTE_PT,
    PAGE_IN,
    RIGHT,
    TICK_PT,
    figure_title,
    grid_lines,
    legend_below,
    line_style,
    new_figure,
    panels,
    plain,
    title,
)
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import gaps_in, runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPEED_JOINTS = ("Hip", "RWrist", "LWrist", "RFoot", "LFoot")
ANGLES_DRAWN = ("knee_flexion", "hip_flexion", "elbow_flexion", "shoulder_elevation")
TRUNK_DRAWN = ("trunk_forward_lean", "trunk_side_lean")
"""Drawn if there is a world frame."""
LARGEST = 1e9
"""Larger figures of a report are malformed."""
INTERPOLATED = {"linewidth": 0.7, "alpha": 0.6}

Floats = NDArray[np.float64]


def plot(
    result: Pose3D,
    what: str = "trajectories",
    *,
    person: int | None = None,
    joints: Sequence[str] = (),
    name: str = "",
) -> Figure:
    """Draw a result.

    Args:
        result: the result; positions are in the world frame if it has one, else in the camera
            frame.
        what: one of `PLOTS`.
        person: id of the only person to draw; by default the `MOST_PEOPLE` who are visible longest.
        joints: joints to draw; by default the hip for trajectories and `SPEED_JOINTS` for speeds.
        name: name of the result, for the title.

    Returns:
        A matplotlib figure with its own canvas: `figure.savefig("speeds.pdf")`.

    Raises:
        UsageError: there is no such plot, person or joint.
    """
    if what not in PLOTS:
        raise UsageError(f"there is no plot {what}; choose {', '.join(PLOTS)}.")
    for joint in joints:
        if joint not in H36M17.joint_names:
            raise UsageError(f"there is no joint {joint}; choose {', '.join(H36M17.joint_names)}.")
    if person is not None:
        rows = [result.index_of(person)]
    else:
        longest = np.argsort(-result.present.sum(axis=1), kind="stable")[:MOST_PEOPLE]
        rows = sorted(longest.tolist())
    if not result.present[rows].any():
        raise UsageError("there is nobody in this result.")
    shown = f"{name}: " if name else ""
    if len(rows) < result.people and person is None:
        shown = f"{shown}the {len(rows)} of {result.people} people who are visible longest, "
    figure: Figure = PLOTS[what](result, rows, tuple(joints), shown)
    return figure


def places(result: Pose3D, *, in_world: bool) -> tuple[Floats, tuple[str, str, str]]:
    """(P, T, 17, 3) metres right, away from the camera, up; and the names of these axes."""
    if in_world:
        names = ("to the right, m", "away from the camera, m", "height over the floor, m")
        return result.joints_world().astype(np.float64), names
    x, y, z = np.moveaxis(result.joints_camera().astype(np.float64), -1, 0)
    names = ("right of the camera, m", "distance from the camera, m", "height over the camera, m")
    return np.stack([x, z, -y], axis=-1), names


def speeds(result: Pose3D) -> Floats:
    """(P, T, 17) speed of each joint in the scene, metres per second.

    The norm of the slope at each frame of the parabola through it and its two neighbours, at their
    timestamps; next to a gap, of the line to the only neighbour. NaN where the joint is
    missing, or both neighbours are missing or beyond a gap (`vidpose.utils.gaps.LONGEST_STEP_S`).
    """
    joints = result.joints_camera().astype(np.float64)
    out = np.full(joints.shape[:-1], np.nan)
    near = ~gaps_in(result.timestamps)
    for p, one in enumerate(joints):
        known = np.isfinite(one).all(axis=(1, 2))
        for run in runs(known[:-1] & known[1:] & near):
            stretch = slice(run.start, run.stop + 1)
            slope = np.gradient(one[stretch], result.timestamps[stretch], axis=0)
            out[p, stretch] = np.linalg.norm(slope, axis=-1)
    return out


def _line(axes: Axes, result: Pose3D, p: int, values: NDArray[np.floating], **style: Any) -> None:
    """Draw a line over time that is thinner where the person is interpolated."""
    observed = result.observed[p]
    over_time(axes, result.seconds, np.where(observed, values, np.nan), **style)
    gaps = result.present[p] & ~observed
    if gaps.any():
        # Include the frames around a gap, so that the line is continuous.
        gaps = gaps | np.append(gaps[1:], False) | np.insert(gaps[:-1], 0, False)
        thin = style | INTERPOLATED | {"label": "_"}
        over_time(axes, result.seconds, np.where(gaps, values, np.nan), **thin)


def _who(result: Pose3D, p: int) -> str:
    return f"person {result.person_ids[p]}"


def _trajectories(
    result: Pose3D, rows: Sequence[int], joints: tuple[str, ...], name: str
) -> Figure:
    in_world = result.camera_to_world is not None
    positions, axis_names = places(result, in_world=in_world)
    joints = joints or ("Hip",)
    figure = new_figure(PAGE_IN, 4.4)
    layout = figure.add_gridspec(3, 2, width_ratios=(1.0, 1.25))
    above = plain(figure.add_subplot(layout[:, 0]))
    coordinates = [plain(figure.add_subplot(layout[row, 1])) for row in range(3)]
    for number, (p, joint) in enumerate((p, joint) for p in rows for joint in joints):
        style = line_style(number) | {
            "label": _who(result, p) + ("" if joints == ("Hip",) else f", {joint}")
        }
        track = positions[p, :, H36M17.index(joint)]
        above.plot(*track[:, :2].T, **style)
        _mark_ends(above, track, str(style["color"]))
        for axes, values in zip(coordinates, track.T, strict=True):
            _line(axes, result, p, values, **style)
    above.set_aspect("equal", adjustable="datalim")
    above.set_xlabel(axis_names[0])
    above.set_ylabel(axis_names[1])
    grid_lines(above, "both")
    title(above, "from above; dot: start, cross: end", LABEL_PT)
    for axes, label in zip(coordinates, axis_names, strict=True):
        title(axes, label, LABEL_PT)
        axes.margins(x=0.01)
        grid_lines(axes)
    coordinates[-1].set_xlabel("time, s")
    what = "Hip" if joints == ("Hip",) else "Joints"
    frame = "world" if in_world else "camera frame"
    figure_title(figure, f"{name}{what} over time, {frame}; thin lines: interpolated")
    legend_below(figure, above, columns=4)
    return figure


def _mark_ends(axes: Axes, track: Floats, colour: str) -> None:
    known = np.flatnonzero(np.isfinite(track).all(axis=1))
    if len(known):
        for frame, marker in ((known[0], "o"), (known[-1], "X")):
            axes.plot(
                *track[frame, :2], marker, color=colour, markersize=7, markeredgecolor="white"
            )


def _speeds(result: Pose3D, rows: Sequence[int], joints: tuple[str, ...], name: str) -> Figure:
    measured = speeds(result)
    joints = joints or SPEED_JOINTS
    figure, axes_of = panels(len(joints), PAGE_IN, 1.1 * len(joints) + 1.1)
    for axes, joint in zip(axes_of, joints, strict=True):
        for number, p in enumerate(rows):
            values = measured[p, :, H36M17.index(joint)]
            _line(axes, result, p, values, label=_who(result, p), **line_style(number))
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
        grid_lines(axes)
        title(axes, joint, LABEL_PT)
    _share_time(axes_of)
    figure.supylabel("speed, m/s", fontsize=LABEL_PT, color=INK)
    figure_title(figure, f"{name}Speed of joints in the scene; thin lines: interpolated")
    legend_below(figure, axes_of[0], columns=4)
    return figure


def _angles(result: Pose3D, rows: Sequence[int], joints: tuple[str, ...], name: str) -> Figure:
    angles = joint_angles(result)
    drawn = [a for a in (*ANGLES_DRAWN, *TRUNK_DRAWN) if _columns(a, angles.names)]
    figure = new_figure(max(PAGE_IN, 3.4 * len(rows)), 1.15 * len(drawn) + 1.2)
    grid = figure.add_gridspec(len(drawn), len(rows))
    first = None
    for row, angle in enumerate(drawn):
        reach = [angles.of(n)[rows] for n in _columns(angle, angles.names).values()]
        for column, p in enumerate(rows):
            axes = plain(figure.add_subplot(grid[row, column]))
            for number, (side, full) in enumerate(_columns(angle, angles.names).items()):
                colour = {"right": RIGHT, "left": LEFT}.get(side, MIDDLE)
                style = line_style(number) | {"color": colour, "label": side}
                _line(axes, result, p, angles.of(full)[p], **style)
            axes.set_ylim(np.nanmin(reach, initial=0) - 5, np.nanmax(reach, initial=0) + 5)
            if result.frames > 1:
                axes.set_xlim(result.seconds[0], result.seconds[-1])
            grid_lines(axes)
            text = angle.replace("_", " ") + ("" if row else f", {_who(result, p)}")
            title(axes, text, LABEL_PT)
            axes.tick_params(labelbottom=row == len(drawn) - 1, labelleft=column == 0)
            if row == len(drawn) - 1:
                axes.set_xlabel("time, s")
            first = first or axes
    assert first is not None
    figure.supylabel("angle, degrees", fontsize=LABEL_PT, color=INK)
    figure_title(figure, f"{name}Joint angles; thin lines: interpolated")
    legend_below(figure, first)
    return figure


def _columns(angle: str, names: Sequence[str]) -> dict[str, str]:
    """Names of an angle by side, as far as they are in `names`."""
    full = {side: f"{side}_{angle}" for side in ("right", "left")} | {"middle": angle}
    return {side: name for side, name in full.items() if name in names}


def _quality(result: Pose3D, rows: Sequence[int], joints: tuple[str, ...], name: str) -> Figure:
    report = section(result.meta, "trust")
    ids = result.person_ids[rows].tolist()
    people = people_of(report)
    if not people.keys() >= set(ids):
        raise UsageError(
            "this result has no quality report for everybody; run `vidpose infer` again."
        )
    first, last = result.seconds[[0, -1]] + (-ROUNDED_S, ROUNDED_S)
    moments = [
        moment
        for moment in moments_of(report)
        if moment["person"] in ids and first <= moment["time_s"] <= last
    ]
    figure = new_figure(PAGE_IN, 2.2 + 0.95 * len(rows) + 0.24 * len(rows) + 0.19 * len(moments))
    heights = [0.5 + 0.24 * len(rows)] + [0.95] * len(rows)
    grid = figure.add_gridspec(1 + len(rows), len(PROXIES), height_ratios=heights)
    for column, (key, proxy) in enumerate(PROXIES.items()):
        axes = plain(figure.add_subplot(grid[0, column]))
        values = [_number(people[one].get(key)) for one in ids]
        for place, value in enumerate(values):
            _figure_bar(axes, place, value, proxy.form, COLOURS[place])
        axes.set_yticks(range(len(ids)), [f"person {one}" for one in ids] if not column else [])
        # Leave room for the value to the right of the longest bar.
        axes.set_xlim(0, 1.9 * max(value or 1e-9 for value in values))
        axes.invert_yaxis()
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        title(axes, proxy.name, TICK_PT)
    time_axes = [plain(figure.add_subplot(grid[1 + i, :])) for i in range(len(rows))]
    for number, (axes, p) in enumerate(zip(time_axes, rows, strict=True)):
        _confidence(axes, result, p, COLOURS[number])
        for place, moment in enumerate(moments):
            if moment["person"] == result.person_ids[p]:
                _mark_moment(axes, moment, place + 1)
    _share_time(time_axes)
    lines = [f"{place + 1}  {moment['text']}" for place, moment in enumerate(moments)]
    figure_title(figure, "\n".join([f"{name}Quality report (proxies, not accuracy)", *lines]))
    return figure


def _number(value: Any) -> float | None:
    """A figure of a report from a file; None if it is unknown or malformed."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value < LARGEST else None


def _figure_bar(axes: Axes, place: int, value: float | None, form: str, colour: str) -> None:
    axes.barh(place, value or 0, 0.6, color=colour)
    text = "unknown" if value is None else form.format(value)
    axes.annotate(
        text, (value or 0, place), xytext=(3, 0), textcoords="offset points", va="center",
        fontsize=NOTE_PT, color=INK,
    )  # fmt: skip


def _confidence(axes: Axes, result: Pose3D, p: int, colour: str) -> None:
    """Draw a person's mean 2D confidence, and mark where they are interpolated or absent."""
    observed, present = result.observed[p], result.present[p]
    mean = np.where(observed, result.scores_2d[p].mean(axis=1), np.nan)
    over_time(axes, result.seconds, mean, color=colour, linewidth=LINE_PT)
    for flags, shade, hatch in ((present & ~observed, "#F5D9C8", "////"), (~present, GRID, "")):
        for run in runs(flags):
            start = result.seconds[run.start]
            stop = result.seconds[min(run.stop, result.frames - 1)]
            axes.axvspan(start, stop, facecolor=shade, hatch=hatch, edgecolor="white", linewidth=0)
    axes.set_ylim(0, 1.2)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("confidence")
    grid_lines(axes)
    about = "2D confidence, mean of the joints; hatched: interpolated, grey: absent"
    title(axes, f"{_who(result, p)}: {about}", TICK_PT)


def _mark_moment(axes: Axes, moment: dict[str, Any], number: int) -> None:
    axes.axvline(moment["time_s"], color=MARK, linewidth=1)
    axes.annotate(
        str(number), (moment["time_s"], 1.1), xytext=(2, 0), textcoords="offset points",
        va="center", fontsize=TICK_PT, color=MARK, weight="bold",
    )  # fmt: skip


def _share_time(axes_of: Sequence[Axes]) -> None:
    for axes in axes_of[1:]:
        axes.sharex(axes_of[0])
    for axes in axes_of[:-1]:
        axes.tick_params(labelbottom=False)
    axes_of[-1].set_xlabel("time, s")


PLOTS: dict[str, Callable[..., Figure]] = {
    "trajectories": _trajectories,
    "angles": _angles,
    "speeds": _speeds,
    "quality": _quality,
}
"""Plots by name."""
