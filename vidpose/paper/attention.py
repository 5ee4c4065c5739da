"""Figures 5 and 6: where the joints, and the frames, of a running PoseFormer look.

The maps are read from the one forward pass that gives the pose which is drawn beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from vidpose.camera import assumed_focal_px
from vidpose.datasets.dataset import Sequence
from vidpose.errors import UsageError
from vidpose.models import Checkpoint, PoseFormer, load_checkpoint
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.paper import Bench, draw
from vidpose.paper.datasets import find_material, find_sequence
from vidpose.paper.results_table import write_csv
from vidpose.render.plots import COLOURS, INK
from vidpose.skeleton import SKELETONS, Skeleton
from vidpose.utils.devices import choose_device
from vidpose.utils.gaps import fill_missing
from vidpose.zoo.registry import find_weights

CENTRE = COLOURS[5]
"""The colour that marks the centre frame."""
AROUND_S = 3.0
"""Of a video, so many seconds before and after the moment asked for are looked at."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """One person's 2D joints over time, wherever they come from."""

    name: str
    keypoints_px: NDArray[np.floating]
    """(T, J, 2), NaN where missing."""
    seconds: NDArray[np.float64]
    """(T,)."""
    frame_size: tuple[int, int]
    focal_px: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """A window, its pose, and the attention behind it; D blocks, H heads, F frames, J joints."""

    skeleton: Skeleton
    at_s: float
    """When the centre frame is."""
    offsets: NDArray[np.int64]
    """(F,), frames from the centre, at the network's rate."""
    keypoints_px: NDArray[np.float64]
    """(J, 2) of the centre frame."""
    windows: torch.Tensor
    """(1, F, J, 2), what the network saw."""
    pose: NDArray[np.float64]
    """(J, 3) metres, camera frame, relative to the root."""
    spatial: NDArray[np.float64]
    """(D, H, J, J), of the centre frame; rows look at columns and sum to 1."""
    temporal: NDArray[np.float64]
    """(D, H, F, F), likewise."""


def attention_maps(
    name: str,
    bench: Bench,
    *,
    weights: tuple[str, ...] = ("default",),
    video: Path | None = None,
    sequence: str | None = None,
    at: float | None = None,
    mocap: Path | None = None,
    test_subjects: tuple[str, ...] | None = None,
) -> list[Path]:
    """Figure 5 (joints) or 6 (frames): the maps of every head of the last block."""
    if len(weights) != 1:
        raise UsageError(f"{name} shows one network; give --weights once.")
    checkpoint = load_checkpoint(find_weights(weights[0]))
    if not isinstance(checkpoint.model, PoseFormer):
        raise UsageError(
            f"{checkpoint.path} is a {type(checkpoint.model).__name__}, which has no spatial and "
            f"temporal attention; {name} needs a PoseFormer."
        )
    if video is not None and (sequence is not None or mocap is not None):
        raise UsageError("give --video, or a --sequence of a dataset, not both.")
    if video is not None:
        clip, told = clip_of_video(video, bench, at), video.name
    else:
        material = find_material(
            "h36m", bench.data, mocap=mocap, test_subjects=test_subjects, progress=bench.progress
        )
        clip = clip_of_sequence(find_sequence(material, sequence))
        told = f"{clip.name}: {material.told}"
    device, _ = choose_device(bench.device)
    look = look_at(checkpoint, clip, at, device)
    spatial = name == "figure5"
    what = "joint" if spatial else "frame"
    assert checkpoint.path is not None
    last = len(look.spatial if spatial else look.temporal)
    heading = (
        f"{name.replace('figure', 'Figure ')}: where {what}s look\n{told}; at {look.at_s:.2f} s\n"
        f"{checkpoint.path.stem}, block {last}, the last; "
        f"rows: the {what} that looks, columns: the {what} it looks at"
    )
    bench.report(heading)
    return [
        write_csv(bench.path(name, ".csv"), list(_rows(look, spatial))),
        (_draw_spatial if spatial else _draw_temporal)(look, heading, bench.path(name, ".png")),
    ]


def clip_of_sequence(sequence: Sequence) -> Clip:
    return Clip(
        name=sequence.name,
        keypoints_px=sequence.keypoints_2d,
        seconds=np.arange(len(sequence)) / sequence.fps,
        frame_size=sequence.frame_size,
        focal_px=sequence.focal_px or assumed_focal_px(sequence.frame_size),
    )


def clip_of_video(video: Path, bench: Bench, at: float | None = None) -> Clip:
    """Whoever is in the video longest, as the detector sees them; of a moment, what is around."""
    from vidpose.pipeline import infer

    result = infer(
        video,
        device=bench.device,
        flip=False,
        start=None if at is None else max(0.0, at - AROUND_S),
        end=None if at is None else at + AROUND_S,
        report=bench.report,
        progress=bench.progress,
    )
    person = int(result.present.sum(axis=1).argmax())
    there = np.flatnonzero(result.present[person])
    stay = slice(there[0], there[-1] + 1)
    width, height = result.frame_size
    return Clip(
        name=video.name,
        keypoints_px=result.keypoints_2d[person, stay],
        seconds=result.timestamps[stay],
        frame_size=(width, height),
        focal_px=assumed_focal_px((width, height)),
    )


def look_at(
    checkpoint: Checkpoint, clip: Clip, at: float | None, device: torch.device | str = "cpu"
) -> Look:
    """Lift one window of a clip, and keep what its joints and frames looked at.

    Args:
        checkpoint: of a PoseFormer.
        clip: of its skeleton.
        at: seconds, the centre of the window; by default the middle of the clip.
        device: where to compute.

    Raises:
        UsageError: the clip has another number of joints, or is not there at that time.
    """
    model, skeleton = checkpoint.model, SKELETONS[checkpoint.skeleton]
    assert isinstance(model, PoseFormer)
    window, centre = window_of(checkpoint, clip, at)
    frames = len(window)
    inputs, rotation = NORMALISATIONS[checkpoint.normalisation](
        torch.tensor(window, dtype=torch.float32, device=device),
        clip.frame_size,
        clip.focal_px,
        skeleton.root,
    )
    with torch.no_grad():
        seen = model.to(device).eval().forward_with_attention(inputs[None])
    slot = frames // 2 if model.all_frames else 0
    pose = (seen.pose[0, slot] @ rotation[frames // 2]).double().cpu().numpy()
    return Look(
        skeleton=skeleton,
        at_s=centre,
        offsets=np.arange(frames) - frames // 2,
        keypoints_px=window[frames // 2],
        windows=inputs[None].cpu(),
        pose=pose - pose[skeleton.root],
        spatial=seen.spatial[:, 0, frames // 2].double().cpu().numpy(),
        temporal=seen.temporal[:, 0].double().cpu().numpy(),
    )


def window_of(
    checkpoint: Checkpoint, clip: Clip, at: float | None
) -> tuple[NDArray[np.float64], float]:
    """The 2D joints that a network wants to see, at its own rate; and when the centre frame is.

    Args:
        checkpoint: for the clip's skeleton.
        clip: held at its ends.
        at: seconds; the clip's frame next to it is the centre. By default the middle.

    Returns:
        (F, J, 2) pixels, and seconds.

    Raises:
        UsageError: the clip has another number of joints, or is not there at that time.
    """
    skeleton = SKELETONS[checkpoint.skeleton]
    if clip.keypoints_px.shape[1] != len(skeleton):
        raise UsageError(
            f"{clip.name} has {clip.keypoints_px.shape[1]} joints, the weights are for "
            f"{len(skeleton)} of {skeleton.name}; give others."
        )
    first, last = float(clip.seconds[0]), float(clip.seconds[-1])
    wanted = (first + last) / 2 if at is None else at
    if not first <= wanted <= last:
        raise UsageError(f"--at {wanted:g}: {clip.name} lasts from {first:.2f} to {last:.2f} s.")
    centre = float(clip.seconds[np.abs(clip.seconds - wanted).argmin()])
    frames = checkpoint.model.config.frames
    times = (centre + (np.arange(frames) - frames // 2) / checkpoint.fps).clip(first, last)
    return _at(clip.seconds, fill_missing(clip.keypoints_px, clip.seconds), times), centre


def _at(
    seconds: NDArray[np.float64], joints: NDArray[np.float64], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(T, J, 2) between its frames; exact on them. Joints that are never there stay NaN."""
    if len(seconds) == 1:
        return np.repeat(joints, len(times), axis=0)
    out = np.full((len(times), *joints.shape[1:]), np.nan)
    there = np.isfinite(joints).all(axis=(0, 2))
    out[:, there] = PchipInterpolator(seconds, joints[:, there], axis=0)(times)
    return out


def _rows(look: Look, spatial: bool) -> Iterator[dict[str, Any]]:
    """Every weight of every block and head."""
    names = look.skeleton.joint_names if spatial else [f"{o:+d}" for o in look.offsets]
    for (block, head, row, column), weight in np.ndenumerate(
        look.spatial if spatial else look.temporal
    ):
        yield {
            "block": block + 1,
            "head": head + 1,
            "looks": names[row],
            "at": names[column],
            "weight": float(weight),
        }


def _draw_spatial(look: Look, heading: str, out: Path) -> Path:
    names = look.skeleton.joint_names
    size = 0.17 * len(names) + 0.9
    figure, panels, colours = _panels(look, look.spatial[-1], size, heading)
    for head, axes in enumerate(panels):
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
        axes.set_yticks(range(len(names)), names if head % 4 == 0 else [], fontsize=6)
    _bar(figure, colours, panels)
    return draw.save(figure, out)


def _draw_temporal(look: Look, heading: str, out: Path) -> Path:
    offsets = look.offsets
    centre, step = len(offsets) // 2, max(1, round(len(offsets) / 9))
    ticks = [i for i in range(len(offsets)) if (i - centre) % step == 0]
    labels = [f"{offsets[i]:+d}" if offsets[i] else "0, centre" for i in ticks]
    figure, panels, colours = _panels(look, look.temporal[-1], 3.0, heading)
    for head, axes in enumerate(panels):
        axes.set_xticks(ticks, labels, rotation=90, fontsize=6)
        axes.set_yticks(ticks, labels if head % 4 == 0 else [], fontsize=6)
        axes.axvline(centre, color=CENTRE, linewidth=0.9, linestyle=":")
        axes.axhline(centre, color=CENTRE, linewidth=0.9, linestyle=":")
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            if "centre" in label.get_text():
                label.set_color(CENTRE)
    _bar(figure, colours, panels)
    return draw.save(figure, out)


def _panels(look: Look, maps: NDArray[np.float64], size: float, heading: str) -> Any:
    """2D, pose, and a heat map a head, all on one scale."""
    columns = 4
    rows = -(-len(maps) // columns)
    figure = draw.new_figure(size * columns + 2.2, size * rows + 0.9)
    grid = figure.add_gridspec(rows, columns + 1, width_ratios=[0.8] + [1] * columns)
    seen = figure.add_subplot(grid[0, 0])
    draw.skeleton(seen, look.keypoints_px, look.skeleton)
    seen.set_title("2D joints, centre frame", fontsize=8, color=INK)
    draw.bare(seen)
    if rows > 1:
        lifted = figure.add_subplot(grid[1, 0])
        draw.skeleton(lifted, draw.from_aside(look.pose), look.skeleton)
        lifted.set_title("the pose of this pass,\nfrom the camera's right", fontsize=8, color=INK)
        draw.bare(lifted)
    panels, shown = [], None
    for head, weights in enumerate(maps):
        axes = figure.add_subplot(grid[head // columns, 1 + head % columns])
        low, high = float(maps.min()), float(maps.max())
        shown = axes.imshow(weights, cmap="cividis", vmin=low, vmax=high)
        axes.set_title(f"head {head + 1}", fontsize=8, color=INK)
        axes.tick_params(length=0, labelcolor=INK)
        axes.spines[:].set_visible(False)
        panels.append(axes)
    draw.title(figure, heading)
    return figure, panels, shown


def _bar(figure: Any, colours: Any, panels: list[Any]) -> None:
    bar = figure.colorbar(colours, ax=panels, label="weight; every row sums to 1", shrink=0.6)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, labelcolor=INK)
    bar.ax.yaxis.label.set(size=8, color=INK)
