"""Figures 5 and 6: attention maps of a PoseFormer over joints and over frames.

The maps come from the same forward pass as the pose that is drawn next to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from vidpose.errors import UsageError
from vidpose.events import Info
from vidpose.models import Checkpoint, PoseFormer, load_checkpoint
from vidpose.paper import draw
from vidpose.paper.datasets import find_data, find_sequence
from vidpose.paper.keypoint_track import (
    KeypointTrack,
    Window,
    own_track,
    track_of_sequence,
    window_of,
)
from vidpose.paper.options import ExperimentOptions
from vidpose.paper.workspace import Workspace
from vidpose.render.plots import (
    INK,
    MARK,
    TICK_PT,
    colour_bar,
    figure_title,
    heat_map,
    new_figure,
)
from vidpose.skeleton import SKELETONS, Skeleton
from vidpose.zoo.registry import find_weights

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEADS_PER_ROW = 4
TINY_PT = 6
"""Font size of the joint names, of which a heat map has seventeen on each side."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionMaps:
    """A pose and its attention maps; D blocks, H heads, F frames, J joints."""

    skeleton: Skeleton
    window: Window
    pose: NDArray[np.float64]
    """(J, 3) metres, camera frame, root-relative."""
    spatial: NDArray[np.float64]
    """(D, H, J, J), for the centre frame; rows are queries, columns keys, and rows sum to 1."""
    temporal: NDArray[np.float64]
    """(D, H, F, F); rows attend to columns and sum to 1."""

    @property
    def offsets(self) -> list[int]:
        """Offset of each frame from the centre, in frames at the network's rate."""
        return [frame - self.window.centre for frame in range(len(self.window.inputs))]


def attention_maps(name: str, workspace: Workspace, options: ExperimentOptions) -> list[Path]:
    """Draw Figure 5 (joints) or 6 (frames): the maps of all heads of the last block."""
    weights, video = options.weights or ("default",), options.video
    if len(weights) != 1:
        raise UsageError(f"{name} shows one network; give --weights once.")
    checkpoint = load_checkpoint(find_weights(weights[0]))
    if not isinstance(checkpoint.model, PoseFormer):
        raise UsageError(
            f"{checkpoint.path} is a {type(checkpoint.model).__name__}, which has no spatial and "
            f"temporal attention; {name} needs a PoseFormer."
        )
    for given, path in (("--video", video), ("--result", options.result)):
        if path is not None and options.mocap is not None:
            raise UsageError(f"give {given} or --mocap, not both.")
    if (track := own_track(options, workspace)) is not None:
        source = track.name
    else:
        data = find_data("h36m", workspace, training=False, **options.choice)
        track = track_of_sequence(find_sequence(data, options.sequence))
        source = f"{track.name}: {data.description}"
    found = maps_of(checkpoint, track, options.at, workspace.device)
    spatial = name == "figure5"
    what = "joint" if spatial else "frame"
    assert checkpoint.path is not None
    last = len(found.spatial if spatial else found.temporal)
    heading = (
        f"{name.replace('figure', 'Figure ')}: attention between {what}s\n"
        f"{source}; at {found.window.seconds:.2f} s\n"
        f"{checkpoint.path.stem}, last block ({last}); "
        f"rows: query {what}s, columns: key {what}s"
    )
    workspace.report(Info(heading))
    return [
        workspace.write_csv(name, list(_rows(found, spatial))),
        draw.save(_draw(found, spatial, heading), workspace.path(name, ".png")),
    ]


def maps_of(
    checkpoint: Checkpoint,
    track: KeypointTrack,
    at: float | None,
    device: torch.device | str = "cpu",
) -> AttentionMaps:
    """Lift one window of a track, with the attention maps over joints and frames.

    Args:
        checkpoint: a PoseFormer.
        track: a track with the checkpoint's skeleton.
        at: seconds, the centre of the window; by default the middle of the track.
        device: where to compute.

    Raises:
        UsageError: the track has another number of joints, or does not cover that time.
    """
    model = checkpoint.model
    assert isinstance(model, PoseFormer)
    window = window_of(checkpoint, track, at, device)
    with torch.no_grad():
        seen = model.to(device).eval().forward_with_attention(window.inputs[None])
    return AttentionMaps(
        skeleton=SKELETONS[checkpoint.skeleton],
        window=window,
        pose=window.pose(checkpoint, seen.pose[0]),
        spatial=seen.spatial[:, 0, window.centre].double().cpu().numpy(),
        temporal=seen.temporal[:, 0].double().cpu().numpy(),
    )


def _rows(found: AttentionMaps, spatial: bool) -> Iterator[dict[str, Any]]:
    """Yield one CSV row per attention weight of every block and head."""
    names = found.skeleton.joint_names if spatial else [f"{o:+d}" for o in found.offsets]
    for (block, head, row, column), weight in np.ndenumerate(
        found.spatial if spatial else found.temporal
    ):
        yield {
            "block": block + 1,
            "head": head + 1,
            "looks": names[row],
            "at": names[column],
            "weight": float(weight),
        }


def _draw(found: AttentionMaps, spatial: bool, heading: str) -> Figure:
    """Draw 2D joints, pose, and a heat map for each head of the last block, on one scale."""
    maps = (found.spatial if spatial else found.temporal)[-1]
    ticks, labels, size = _joint_ticks(found) if spatial else _frame_ticks(found)
    rows = -(-len(maps) // HEADS_PER_ROW)
    figure = new_figure(size * HEADS_PER_ROW + 2.2, size * rows + 0.9)
    grid = figure.add_gridspec(rows, HEADS_PER_ROW + 1, width_ratios=[0.8] + [1] * HEADS_PER_ROW)
    poses = [("2D joints, centre frame", found.window.keypoints_px)]
    poses += [("predicted pose,\nfrom the camera's right", draw.side_view(found.pose))]
    for row, (title, points) in enumerate(poses[:rows]):
        axes = figure.add_subplot(grid[row, 0])
        draw.skeleton(axes, points, found.skeleton)
        axes.set_title(title, fontsize=TICK_PT, color=INK)
        draw.hide_axes(axes)
    draw.sides_legend(figure)
    what, of = ("joint", "") if spatial else ("frame", ", relative to the centre")
    panels = []
    for head, weights in enumerate(maps):
        row, column = divmod(head, HEADS_PER_ROW)
        axes = figure.add_subplot(grid[row, 1 + column])
        shown = heat_map(axes, weights, vmin=maps.min(), vmax=maps.max())
        axes.set_title(f"head {head + 1}", fontsize=TICK_PT, color=INK)
        axes.tick_params(labelcolor=INK)
        axes.set_xticks(ticks, labels, rotation=90, fontsize=TINY_PT)
        axes.set_yticks(ticks, [] if column else labels, fontsize=TINY_PT)
        if row == rows - 1:
            axes.set_xlabel(f"key {what}{of}", fontsize=TICK_PT, color=INK)
        if not column:
            axes.set_ylabel(f"query {what}{of}", fontsize=TICK_PT, color=INK)
        if not spatial:
            _mark_centre(axes, found.window.centre)
        panels.append(axes)
    colour_bar(shown, panels, "attention weight; every row sums to 1", shrink=0.6)
    figure_title(figure, heading)
    return figure


def _joint_ticks(found: AttentionMaps) -> tuple[list[int], list[str], float]:
    """Positions of the labels, the labels, and the size of a heat map in inches."""
    names = list(found.skeleton.joint_names)
    return list(range(len(names))), names, 0.17 * len(names) + 0.9


def _frame_ticks(found: AttentionMaps) -> tuple[list[int], list[str], float]:
    """The same for frames: labels for the centre and at regular intervals."""
    offsets = found.offsets
    step = max(1, round(len(offsets) / 9))
    ticks = [i for i, offset in enumerate(offsets) if offset % step == 0]
    return ticks, [f"{offsets[i]:+d}" if offsets[i] else "0, centre" for i in ticks], 3.0


def _mark_centre(axes: Axes, centre: int) -> None:
    axes.axvline(centre, color=MARK, linewidth=0.9, linestyle=":")
    axes.axhline(centre, color=MARK, linewidth=0.9, linestyle=":")
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        if "centre" in label.get_text():
            label.set_color(MARK)
