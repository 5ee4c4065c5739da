"""Figures 3 and 4: several networks compared by joint and by pose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vidpose.datasets.dataset import PoseSequence
from vidpose.errors import UsageError, VidposeError
from vidpose.evaluation import plots
from vidpose.evaluation.compare import check_action
from vidpose.evaluation.evaluate import Evaluation, check_fits, evaluate
from vidpose.events import Info
from vidpose.models import Checkpoint, load_checkpoint
from vidpose.paper import draw
from vidpose.paper.datasets import ExperimentData, find_data, find_sequence
from vidpose.paper.keypoint_track import KeypointTrack, own_track, track_of_sequence, window_of
from vidpose.paper.options import ExperimentOptions
from vidpose.paper.runs import trained
from vidpose.paper.tables import EXPERIMENTS
from vidpose.paper.workspace import Workspace
from vidpose.poses import load
from vidpose.render import source_video
from vidpose.render.plots import INK, NOTE_PT, TICK_PT, figure_title, new_figure
from vidpose.skeleton import H36M17, SKELETONS, Skeleton
from vidpose.video import VideoReader
from vidpose.zoo.registry import find_weights

MOMENTS = 3
"""The number of sequences in Figure 4 by default."""

Networks = dict[str, Checkpoint]
"""Checkpoints by label."""


def joint_errors(name: str, workspace: Workspace, options: ExperimentOptions) -> list[Path]:
    """Draw Figure 3: the mean error of each joint on one action, by default the hardest."""
    action = options.action
    data = find_data("h36m", workspace, training=not options.weights, **options.choice)
    check_action(data.dataset, action)
    networks, how = _networks(options, data, workspace)
    dataset = data.shortened(None if options.weights else options.budget.test_frames)
    if action is not None:
        group = data.protocol.group
        dataset = replace(dataset, test=tuple(s for s in dataset.test if group(s) == action))
    measured = [
        replace(
            evaluate(
                checkpoint,
                dataset,
                device=workspace.device,
                label=label,
                progress=workspace.progress,
            )[0],
            dataset=data.short_name,
            keypoints=data.keypoints,
        )
        for label, checkpoint in networks.items()
    ]
    shown = action or max(measured[0].groups, key=lambda g: measured[0].value("mpjpe_mm", g))
    workspace.report(
        Info(
            f"Figure 3: error by joint, {shown}{'' if action else ', the hardest'}\n"
            f"Data: {data.description}\nNetworks: {how}\n"
            + "\n".join(f"{e.label}: {e.value('mpjpe_mm', shown):.1f} mm" for e in measured)
        )
    )
    out = workspace.path(name, ".png")
    return [
        workspace.write_csv(name, [row for e in measured for row in _error_rows(e, shown)]),
        plots.joint_errors(measured, out, shown, f"Networks: {how}"),
    ]


def _error_rows(e: Evaluation, action: str) -> list[dict[str, Any]]:
    means = e.per_joint("mpjpe_mm", action)
    low, high = e.spread(group=action)
    return [
        {
            **{"network": e.label, "action": action, "joint": joint, "data": e.dataset},
            "mpjpe_mm": float(means[j]),
            "quartile_25_mm": float(low[j]),
            "quartile_75_mm": float(high[j]),
        }
        for j, joint in enumerate(e.joint_names)
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class Moment:
    """One frame and each network's predicted pose."""

    name: str
    skeleton: Skeleton
    keypoints_px: NDArray[np.floating]
    """(J, 2)."""
    truth: NDArray[np.float64] | None
    """(J, 3) metres, camera frame, relative to the root; None if unknown."""
    poses: dict[str, NDArray[np.float64]]
    """By network: (J, 3) metres, camera frame, relative to the root."""
    image: NDArray[np.uint8] | None = None
    """(H, W, 3) RGB."""

    @property
    def shown(self) -> dict[str, NDArray[np.float64]]:
        """The ground truth, if known, and the predicted poses."""
        return ({} if self.truth is None else {"truth": self.truth}) | self.poses

    def error_mm(self, network: str) -> float | None:
        if self.truth is None or network == "truth":
            return None
        return float(1000 * np.linalg.norm(self.poses[network] - self.truth, axis=-1).mean())


def poses(name: str, workspace: Workspace, options: ExperimentOptions) -> list[Path]:
    """Draw Figure 4: 2D joints, ground truth and each network's pose."""
    at, source = options.at, ""
    is_own = options.video is not None or options.result is not None
    data = None
    if not is_own or not options.weights:
        data = find_data("h36m", workspace, training=not options.weights, **options.choice)
        source = data.description
    networks, how = _networks(options, data, workspace)
    if is_own:
        _check_own(networks)
        track = own_track(options, workspace)
        assert track is not None
        source = f"{track.name}; trained on {source}" if source else track.name
        moments = [_own_moment(track, _own_video(options), networks, at, workspace)]
    else:
        assert data is not None
        moments = [
            _moment(track_of_sequence(s), networks, at, workspace.device, truth=s)
            for s in _sequences(data, options.sequence)
        ]
    heading = f"Figure 4: poses predicted by each network\nData: {source}\nNetworks: {how}"
    workspace.report(Info(heading))
    for moment in moments:
        errors = {n: moment.error_mm(n) for n in moment.poses}
        each = (n if e is None else f"{n} {e:.1f} mm" for n, e in errors.items())
        workspace.report(Info(f"{moment.name}: {', '.join(each)}"))
    return [
        workspace.write_csv(name, [row for moment in moments for row in _pose_rows(moment)]),
        _draw(moments, heading, workspace.path(name, ".png")),
    ]


def _sequences(data: ExperimentData, name: str | None) -> list[PoseSequence]:
    """The sequence with that name; by default some, evenly spaced over the rows of the table."""
    if name is not None:
        return [find_sequence(data, name)]
    first: dict[str, PoseSequence] = {}
    for sequence in data.dataset.test:
        if sequence.valid.any():
            first.setdefault(data.protocol.group(sequence), sequence)
    step = max(1, len(first) // MOMENTS)
    return list(first.values())[::step][:MOMENTS]


def _moment(
    track: KeypointTrack,
    networks: Networks,
    at: float | None,
    device: torch.device,
    truth: PoseSequence | None = None,
) -> Moment:
    skeleton = SKELETONS[next(iter(networks.values())).skeleton]
    found: dict[str, NDArray[np.float64]] = {}
    for label, checkpoint in networks.items():
        window = window_of(checkpoint, track, at, device)
        with torch.no_grad():
            output = checkpoint.model.to(device).eval()(window.inputs[None])[0]
        found[label] = window.pose(checkpoint, output)
    frame = track.nearest(at)
    target = None
    if truth is not None:
        target = truth.joints_3d[frame].astype(np.float64)
        target = target - target[skeleton.root]
    return Moment(
        name=f"{track.name}, {window.seconds:.2f} s",
        skeleton=skeleton,
        keypoints_px=window.keypoints_px,
        truth=target,
        poses=found,
    )


def _check_own(networks: Networks) -> None:
    for label, checkpoint in networks.items():
        if checkpoint.skeleton != H36M17.name:
            raise UsageError(
                f"{label} is for the skeleton {checkpoint.skeleton}; a video needs {H36M17.name}."
            )


def _own_video(options: ExperimentOptions) -> Path | None:
    """The video to take the image from; None if the video of a result cannot be found."""
    if options.result is None:
        return options.video
    try:
        return source_video(load(options.result))
    except VidposeError:
        return None


def _own_moment(
    track: KeypointTrack,
    video: Path | None,
    networks: Networks,
    at: float | None,
    workspace: Workspace,
) -> Moment:
    moment = _moment(track, networks, at, workspace.device)
    if video is None:
        return moment
    seconds = float(track.seconds[track.nearest(at)])
    with VideoReader(video, max(0.0, seconds - 0.01), None) as reader:
        return replace(moment, image=next(iter(reader)).image.copy())


def _pose_rows(moment: Moment) -> list[dict[str, Any]]:
    return [
        {
            **{"moment": moment.name, "pose": label, "joint": joint},
            **{f"{axis}_m": float(value) for axis, value in zip("xyz", pose[j], strict=True)},
        }
        for label, pose in moment.shown.items()
        for j, joint in enumerate(moment.skeleton.joint_names)
    ]


def _draw(moments: list[Moment], heading: str, out: Path) -> Path:
    columns = 1 + len(moments[0].shown)
    first = 1.0 if moments[0].image is None else 2.2
    figure = new_figure(2.2 * (columns - 1 + first), 2.7 * len(moments) + 0.9)
    grid = figure.add_gridspec(len(moments), columns, width_ratios=[first] + [1] * (columns - 1))
    for row, moment in enumerate(moments):
        axes = figure.add_subplot(grid[row, 0])
        if moment.image is not None:
            axes.imshow(moment.image)
        draw.skeleton(axes, moment.keypoints_px, moment.skeleton)
        axes.set_title(f"{moment.name}\n2D joints", fontsize=NOTE_PT, color=INK)
        draw.hide_axes(axes)
        for column, (label, pose) in enumerate(moment.shown.items(), start=1):
            axes = figure.add_subplot(grid[row, column])
            if label != "truth" and moment.truth is not None:
                draw.skeleton(axes, draw.side_view(moment.truth), moment.skeleton, faint=True)
            draw.skeleton(axes, draw.side_view(pose), moment.skeleton)
            error = moment.error_mm(label)
            title = label if error is None else f"{label}\n{error:.0f} mm"
            axes.set_title(title, fontsize=TICK_PT, color=INK)
            draw.hide_axes(axes)
    ghost = "" if moments[0].truth is None else "; grey: ground truth"
    figure_title(figure, f"{heading}\n3D from the camera's right{ghost}")
    draw.sides_legend(figure)
    return draw.save(figure, out)


def _networks(
    options: ExperimentOptions, data: ExperimentData | None, workspace: Workspace
) -> tuple[Networks, str]:
    """The given weights, or else the trained networks of Table 1; and their budget in words."""
    if options.weights or data is None:
        return _load_weights(options.weights, data), "weights as given"
    experiment = EXPERIMENTS["table1"]
    networks = {
        row.label: trained(options.run(row, experiment, data), workspace)
        for row in options.rows(experiment)
    }
    training = [checkpoint.training for checkpoint in networks.values()]
    how = options.describe((t["recipe"]["epochs"], t["windows_an_epoch"]) for t in training)
    return networks, how


def _load_weights(weights: tuple[str, ...], data: ExperimentData | None) -> Networks:
    """Load the given weights and check that they fit the data."""
    plots.check_count(len(weights))
    networks: Networks = {}
    for name in weights:
        checkpoint = load_checkpoint(find_weights(name))
        assert checkpoint.path is not None
        label = checkpoint.path.stem if checkpoint.path.stem not in networks else str(name)
        if label in networks:
            raise UsageError(f"{name} is given twice; choose different weights to compare.")
        networks[label] = checkpoint
        if data is not None:
            check_fits(checkpoint, data.dataset)
    return networks
