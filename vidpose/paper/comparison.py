"""Figures 3 and 4: several networks side by side, joint by joint and pose by pose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vidpose.datasets.dataset import Dataset, Sequence
from vidpose.errors import UsageError
from vidpose.evaluation.evaluate import Evaluation, check_fits, evaluate
from vidpose.models import Checkpoint, load_checkpoint
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.paper import Bench, draw
from vidpose.paper.attention import Clip, clip_of_sequence, clip_of_video, window_of
from vidpose.paper.datasets import Material, find_material, find_sequence
from vidpose.paper.experiments import EXPERIMENTS, Options, chosen, runs_of, told_of
from vidpose.paper.results_table import write_csv
from vidpose.paper.runs import trained
from vidpose.render import plots
from vidpose.render.plots import INK
from vidpose.skeleton import H36M17, SKELETONS, Skeleton
from vidpose.utils.devices import choose_device
from vidpose.video import VideoReader
from vidpose.zoo.registry import find_weights

MOMENTS = 3
"""Sequences that Figure 4 shows by default."""


@dataclass(frozen=True, kw_only=True)
class Contenders:
    """Networks by what they are called, and how they came to be."""

    networks: dict[str, Checkpoint]
    how: str


def joint_errors(
    name: str,
    bench: Bench,
    *,
    weights: tuple[str, ...] = (),
    only: tuple[str, ...] | None = None,
    action: str | None = None,
    mocap: Path | None = None,
    test_subjects: tuple[str, ...] | None = None,
    **training: Any,
) -> list[Path]:
    """Figure 3: the mean error of each joint on one action, by default the hardest."""
    material = _material(bench, mocap, test_subjects)
    _check_action(material, action)
    device, _ = choose_device(bench.device)
    options = Options(seeds=1, **training)
    contenders = _contenders(weights, only, material, options, device, bench, training)
    dataset, frames = material.dataset, options.budget.test_frames
    if frames is not None and not weights:
        dataset = material.shortened(frames)
    if action is not None:
        dataset = _only(dataset, material, action)
    measured = [
        replace(
            evaluate(checkpoint, dataset, device=device, label=label, progress=bench.progress)[0],
            dataset=material.short,
            keypoints=material.keypoints,
        )
        for label, checkpoint in contenders.networks.items()
    ]
    hardest = action or max(measured[0].groups, key=lambda g: measured[0].value("mpjpe_mm", g))
    bench.report(
        f"Figure 3: error by joint, {hardest}{'' if action else ', the hardest'}\n"
        f"Data: {material.told}\nNetworks: {contenders.how}\n"
        + "\n".join(f"{e.label}: {e.value('mpjpe_mm', hardest):.1f} mm" for e in measured)
    )
    return [
        write_csv(bench.path(name, ".csv"), [row for e in measured for row in _rows(e, hardest)]),
        plots.joint_errors(
            measured, bench.path(name, ".png"), hardest, f"Networks: {contenders.how}"
        ),
    ]


def _rows(e: Evaluation, action: str) -> list[dict[str, Any]]:
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


def _check_action(material: Material, action: str | None) -> None:
    group = material.protocol.group
    known = sorted({group(s) for s in material.dataset.test if s.valid.any()})
    if action is not None and action not in known:
        raise UsageError(f"--action {action}: the test sequences have {', '.join(known)}.")


def _only(dataset: Dataset, material: Material, action: str) -> Dataset:
    group = material.protocol.group
    return replace(dataset, test=tuple(s for s in dataset.test if group(s) == action))


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A moment and what networks make of it."""

    name: str
    skeleton: Skeleton
    keypoints_px: NDArray[np.floating]
    """(J, 2)."""
    truth: NDArray[np.float64] | None
    """(J, 3) metres, camera frame, relative to the root."""
    poses: dict[str, NDArray[np.float64]]
    """Likewise, by network."""
    picture: NDArray[np.uint8] | None = None
    """(H, W, 3) RGB."""

    def error_mm(self, network: str) -> float | None:
        if self.truth is None:
            return None
        return float(1000 * np.linalg.norm(self.poses[network] - self.truth, axis=-1).mean())


def poses(
    name: str,
    bench: Bench,
    *,
    weights: tuple[str, ...] = (),
    only: tuple[str, ...] | None = None,
    video: Path | None = None,
    sequence: str | None = None,
    at: float | None = None,
    mocap: Path | None = None,
    test_subjects: tuple[str, ...] | None = None,
    **training: Any,
) -> list[Path]:
    """Figure 4: what goes in, the truth, and each network's pose."""
    if video is not None and sequence is not None:
        raise UsageError("give --video, or a --sequence of a dataset, not both.")
    device, _ = choose_device(bench.device)
    options = Options(seeds=1, **training)
    if video is not None and weights:
        contenders, told = _given(weights), video.name
    else:
        material = _material(bench, mocap, test_subjects)
        told = material.told if video is None else f"{video.name}; trained on {material.told}"
        moments = _moments(material, sequence) if video is None else []
        contenders = _contenders(weights, only, material, options, device, bench, training)
    if video is not None:
        _check_skeleton(contenders, H36M17)
        clip = clip_of_video(video, bench, at)
        scenes = [_scene(clip, contenders, at, device)]
        scenes = [replace(scenes[0], picture=_frame(video, _moment(clip, at)))]
    else:
        scenes = [_scene(clip_of_sequence(s), contenders, at, device, truth=s) for s in moments]
    heading = f"Figure 4: what networks make of a moment\nData: {told}\nNetworks: {contenders.how}"
    bench.report(heading)
    for scene in scenes:
        errors = {n: scene.error_mm(n) for n in scene.poses}
        bench.report(
            f"{scene.name}: "
            + ", ".join(n if e is None else f"{n} {e:.1f} mm" for n, e in errors.items())
        )
    return [
        write_csv(bench.path(name, ".csv"), [row for scene in scenes for row in _joints(scene)]),
        _draw(scenes, heading, bench.path(name, ".png")),
    ]


def _moments(material: Material, name: str | None) -> list[Sequence]:
    """The sequence asked for; by default of different subjects and actions, evenly chosen."""
    if name is not None:
        return [find_sequence(material, name)]
    takes: dict[str, Sequence] = {}
    for sequence in material.dataset.test:
        if sequence.valid.any():
            takes.setdefault(material.protocol.group(sequence), sequence)
    chosen = list(takes.values())
    step = max(1, len(chosen) // MOMENTS)
    return chosen[::step][:MOMENTS]


def _moment(clip: Clip, at: float | None) -> float:
    """The time of the frame next to the one asked for, by default to the middle."""
    wanted = (clip.seconds[0] + clip.seconds[-1]) / 2 if at is None else at
    return float(clip.seconds[np.abs(clip.seconds - wanted).argmin()])


def _scene(
    clip: Clip,
    contenders: Contenders,
    at: float | None,
    device: torch.device,
    truth: Sequence | None = None,
) -> Scene:
    skeleton = SKELETONS[next(iter(contenders.networks.values())).skeleton]
    found: dict[str, NDArray[np.float64]] = {}
    for label, checkpoint in contenders.networks.items():
        window, centre = window_of(checkpoint, clip, at)
        middle = len(window) // 2
        inputs, rotation = NORMALISATIONS[checkpoint.normalisation](
            torch.tensor(window, dtype=torch.float32, device=device),
            clip.frame_size,
            clip.focal_px,
            skeleton.root,
        )
        with torch.no_grad():
            pose = checkpoint.model.to(device).eval()(inputs[None])[0, 0] @ rotation[middle]
        joints = pose.double().cpu().numpy()
        found[label] = joints - joints[skeleton.root]
        keypoints = window[middle]
    real = None
    if truth is not None:
        frame = int(np.abs(clip.seconds - centre).argmin())
        real = truth.joints_3d[frame].astype(np.float64)
        real = real - real[skeleton.root]
    return Scene(
        name=f"{clip.name}, {centre:.2f} s",
        skeleton=skeleton,
        keypoints_px=keypoints,
        truth=real,
        poses=found,
    )


def _frame(video: Path, seconds: float) -> NDArray[np.uint8]:
    """The picture of the video that is shown at that time."""
    start = max(0.0, seconds - 0.01)
    with VideoReader(video, start, None) as reader:
        return next(iter(reader)).image.copy()


def _joints(scene: Scene) -> list[dict[str, Any]]:
    every = dict(scene.poses)
    if scene.truth is not None:
        every = {"truth": scene.truth} | every
    return [
        {
            **{"moment": scene.name, "pose": label, "joint": joint},
            **{f"{axis}_m": float(value) for axis, value in zip("xyz", pose[j], strict=True)},
        }
        for label, pose in every.items()
        for j, joint in enumerate(scene.skeleton.joint_names)
    ]


def _draw(scenes: list[Scene], heading: str, out: Path) -> Path:
    labels = list(scenes[0].poses)
    with_truth = scenes[0].truth is not None
    columns = 1 + with_truth + len(labels)
    first = 1.0 if scenes[0].picture is None else 2.2
    figure = draw.new_figure(2.2 * (columns - 1 + first), 2.7 * len(scenes) + 0.9)
    grid = figure.add_gridspec(len(scenes), columns, width_ratios=[first] + [1] * (columns - 1))
    for row, scene in enumerate(scenes):
        axes = figure.add_subplot(grid[row, 0])
        if scene.picture is not None:
            axes.imshow(scene.picture)
        draw.skeleton(axes, scene.keypoints_px, scene.skeleton)
        axes.set_title(f"{scene.name}\n2D joints", fontsize=7, color=INK)
        draw.bare(axes)
        shown = ([("truth", scene.truth)] if scene.truth is not None else []) + list(
            scene.poses.items()
        )
        for column, (label, pose) in enumerate(shown, start=1):
            axes = figure.add_subplot(grid[row, column])
            if label != "truth" and scene.truth is not None:
                draw.skeleton(axes, draw.from_aside(scene.truth), scene.skeleton, faint=True)
            draw.skeleton(axes, draw.from_aside(pose), scene.skeleton)
            error = None if label == "truth" else scene.error_mm(label)
            told = label if error is None else f"{label}\n{error:.0f} mm"
            axes.set_title(told, fontsize=8, color=INK)
            draw.bare(axes)
    ghost = "; grey: the truth" if with_truth else ""
    draw.title(figure, f"{heading}\n3D from the camera's right; orange: left, blue: right{ghost}")
    return draw.save(figure, out)


def _material(bench: Bench, mocap: Path | None, test_subjects: tuple[str, ...] | None) -> Material:
    return find_material(
        "h36m", bench.data, mocap=mocap, test_subjects=test_subjects, progress=bench.progress
    )


def _contenders(
    weights: tuple[str, ...],
    only: tuple[str, ...] | None,
    material: Material,
    options: Options,
    device: torch.device,
    bench: Bench,
    training: dict[str, Any],
) -> Contenders:
    """The weights given; or the networks of Table 1, trained."""
    if weights:
        if training or only:
            raise UsageError("--weights are taken as they are; leave the options of training away.")
        contenders = _given(weights)
        for checkpoint in contenders.networks.values():
            check_fits(checkpoint, material.dataset)
        return contenders
    experiment = EXPERIMENTS["table1"]
    rows = chosen(experiment.rows(options.sizes), only)
    runs = {row.label: runs_of(row, experiment.frames, material, None, options)[0] for row in rows}
    networks = {
        label: trained(
            run, bench.out / "runs", device, report=bench.report, progress=bench.progress
        )
        for label, run in runs.items()
    }
    return Contenders(networks=networks, how=told_of(options, networks.values()))


def _given(weights: tuple[str, ...]) -> Contenders:
    plots.check_count(len(weights))
    networks = {}
    for name in weights:
        checkpoint = load_checkpoint(find_weights(name))
        assert checkpoint.path is not None
        label = checkpoint.path.stem if checkpoint.path.stem not in networks else str(name)
        if label in networks:
            raise UsageError(f"{name} is given twice; give other weights to compare.")
        networks[label] = checkpoint
    return Contenders(networks=networks, how="weights as given")


def _check_skeleton(contenders: Contenders, skeleton: Skeleton) -> None:
    for label, checkpoint in contenders.networks.items():
        if checkpoint.skeleton != skeleton.name:
            raise UsageError(
                f"{label} is for the skeleton {checkpoint.skeleton}; a video needs {skeleton.name}."
            )
