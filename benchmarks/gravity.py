"""How well up and the floor are found from people's motion: the numbers of docs/world.md.

    python benchmarks/gravity.py FOLDER [--weights default] [--cameras 8] [--noise 1]

FOLDER is the motion capture (<subject>/<clip>.bvh). Stretches of eight seconds of the subjects
that the weights were not trained on are each seen by random virtual cameras, with what a detector
does wrong, lifted and placed as in `vidpose infer` that knows the focal length, and their world is
compared with the true one. The feet are compared with the floor that was found.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.mocap import Clip, read_folder, split
from vidpose.datasets.virtual_cameras import STRETCH_S, Variation, VirtualCameras
from vidpose.lifting.lifter import Lifter, lift_poses, load_lifter_checkpoint
from vidpose.poses import Pose2D, Pose3D
from vidpose.postprocess.ground_plane import CAMERA_UP, FEET, SURE_SD, Ground, estimate_ground
from vidpose.skeleton import H36M17

SIZE_PX = 1000
FPS = 30.0
SHORTEST_S = 3.0
SEED = 23


@dataclass(frozen=True, eq=False)
class Stretch:
    """What a camera sees of a motion, and what is true."""

    clip: str
    poses: Pose2D
    joints: NDArray[np.float64]
    """(T, 17, 3), metres, camera frame."""
    up: NDArray[np.float64]
    """(3,), camera frame."""


def stretches(clips: list[Clip], views: int, noise: float) -> Iterator[Stretch]:
    """All of the clips, each stretch seen by so many cameras, drawn as in training."""
    cameras = VirtualCameras(clips)
    vary = Variation(noise=noise)
    for number, clip in enumerate(clips):
        length = len(clip.joints) / clip.fps
        for first in np.arange(0, length - SHORTEST_S, STRETCH_S).tolist():
            frames = int(min(STRETCH_S, length - first) * FPS)
            for view in range(views):
                seed = SEED + 1000 * number + 100 * round(first) + view
                rays, joints = cameras.watch(number, first, frames, FPS, vary, seed)
                yield Stretch(
                    f"{clip.name} from {first:g} s",
                    _poses(rays.numpy()),
                    joints.numpy().astype(np.float64),
                    _up(clip.joints[round(first * clip.fps)], joints[0].numpy()),
                )


def _up(world: NDArray[Any], camera: NDArray[Any]) -> NDArray[np.float64]:
    """Up in the camera frame, from one (17, 3) pose in both: bones differ in length only."""
    parents, children = (np.array(ends) for ends in zip(*H36M17.bones, strict=True))
    bones = [joints[children] - joints[parents] for joints in (world, camera)]
    a, b = (bone / np.linalg.norm(bone, axis=1, keepdims=True) for bone in bones)
    u, _, v = np.linalg.svd(b.T @ a)
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    return np.asarray(rotation[:, 2], np.float64)


def _poses(rays: NDArray[np.float32]) -> Pose2D:
    lost = np.isnan(rays).any(axis=-1)
    frames = len(rays)
    return Pose2D(
        keypoints_2d=(rays * SIZE_PX + (SIZE_PX - 1) / 2)[None],
        scores_2d=np.where(lost, 0, 0.9).astype(np.float32)[None],
        present=np.ones((1, frames), bool),
        observed=np.ones((1, frames), bool),
        person_ids=np.ones(1, np.int32),
        frame_indices=np.arange(frames),
        timestamps=np.arange(frames) / FPS,
        fps=FPS,
        frame_size=(SIZE_PX, SIZE_PX),
    )


def _degrees(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def measure(stretch: Stretch, result: Pose3D) -> dict[str, float]:
    ground = estimate_ground(result)
    true = stretch.joints[:, FEET] @ stretch.up
    height = -np.percentile(true.min(axis=1), 20) + 0.08
    return {
        "tilt of the camera": _degrees(CAMERA_UP, stretch.up),
        "error of up": _degrees(ground.up, stretch.up),
        "told": np.degrees(ground.tilt_sd),
        "height": 100 * abs(ground.camera_height / height - 1),
        "feet": 100 * _over_floor(ground, result),
    }


def _over_floor(ground: Ground, result: Pose3D) -> float:
    """Median distance of the lowest ankle from where it belongs, metres."""
    lowest = ground.to_world(result.joints_camera()[0].astype(np.float64))[:, FEET, 2].min(axis=1)
    return float(np.median(np.abs(lowest - 0.08)))


def main(folder: Path, weights: str, views: int, noise: float) -> None:
    checkpoint = load_lifter_checkpoint(weights)
    told = checkpoint.training
    held_out = told.get("held_out") or told["recipe"]["held_out"]
    _, clips = split(read_folder(folder), held_out)
    lifter = Lifter(checkpoint)
    rows = [
        measure(stretch, lift_poses(stretch.poses, lifter, float(SIZE_PX)))
        for stretch in stretches(clips, views, noise)
    ]
    table = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    sure = table["told"] <= np.degrees(SURE_SD)
    steep = table["tilt of the camera"] > 30
    lengths = f"{SHORTEST_S:g} to {STRETCH_S:g} s"
    print(f"{len(rows)} views of stretches of {lengths}, subjects {', '.join(held_out)}\n")
    print("| cameras | views | error of up, degrees: median | 90 % | told | ", end="")
    print("error / told | camera's height off, % | lowest foot off that floor, cm |")
    print("|---|---|---|---|---|---|---|---|")
    for name, rows_of in (
        ("told to be sure", sure),
        ("... up to 30 degrees from level", sure & ~steep),
        ("... more than 30", sure & steep),
        ("told to be uncertain", ~sure),
    ):
        part = {key: values[rows_of] for key, values in table.items()}
        if rows_of.any():
            error = part["error of up"]
            print(
                f"| {name} | {rows_of.sum()} | {np.median(error):.1f} | "
                f"{np.percentile(error, 90):.1f} | {np.median(part['told']):.1f} | "
                f"{np.sqrt(np.mean((error / part['told']) ** 2)):.2f} | "
                f"{np.median(part['height']):.0f} | {np.median(part['feet']):.1f} |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--noise", type=float, default=1.0)
    given = parser.parse_args()
    main(given.folder, given.weights, given.cameras, given.noise)
