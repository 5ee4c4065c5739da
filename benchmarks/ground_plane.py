"""Error of the ground plane estimated from people's motion; degrees, % and cm.

    python benchmarks/ground_plane.py MOCAP [--weights default] [--cameras 8] [--noise 1]

MOCAP is a folder of motion capture (<subject>/<clip>.bvh). Random virtual cameras view eight-second
clips of the held-out subjects, with a noise model of the detector. The clips are lifted as by
`vidpose infer` with a known focal length. Columns: the error of the up direction in degrees and the
estimate's own standard deviation; the error of the camera's height in percent; the distance of the
lowest foot from the estimated floor in cm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import argument_parser, markdown_table, run_script
from lifting import load_weights, read_people
from numpy.typing import NDArray

from vidpose.datasets.dataset import MotionClip
from vidpose.datasets.mocap import STRETCH_S, TEST
from vidpose.datasets.virtual_cameras import Variation, VirtualCameras
from vidpose.lifting.lifter import Lifter, lift_poses
from vidpose.options import PostprocessOptions
from vidpose.poses import Pose2D, Pose3D
from vidpose.postprocess import postprocess
from vidpose.postprocess.foot_contact import FEET
from vidpose.postprocess.gravity import CAMERA_UP
from vidpose.postprocess.ground_plane import SURE_SD, Ground, estimate_ground
from vidpose.skeleton import H36M17

SIZE_PX = 1000
AS_LIFTED = PostprocessOptions()
FPS = 30.0
SHORTEST_S = 3.0
SEED = 23


@dataclass(frozen=True, eq=False)
class View:
    """A part of a clip as seen by a camera, and the true joints."""

    clip: str
    poses: Pose2D
    joints: NDArray[np.float64]
    """(T, 17, 3), metres, camera frame."""
    up: NDArray[np.float64]
    """(3,), camera frame."""


def views(clips: list[MotionClip], cameras: int, noise: float) -> Iterator[View]:
    """Split all clips into parts of `STRETCH_S`; cameras for each are drawn as in training."""
    virtual = VirtualCameras(clips)
    vary = Variation(noise=noise)
    for number, clip in enumerate(clips):
        length = len(clip.joints) / clip.fps
        for first in np.arange(0, length - SHORTEST_S, STRETCH_S).tolist():
            frames = int(min(STRETCH_S, length - first) * FPS)
            for camera in range(cameras):
                seed = SEED + 1000 * number + 100 * round(first) + camera
                rays, joints = virtual.view(number, first, frames, FPS, vary, seed)
                yield View(
                    f"{clip.name} from {first:g} s",
                    _poses(rays.numpy()),
                    joints.numpy().astype(np.float64),
                    up_in_camera(clip.joints[round(first * clip.fps)], joints[0].numpy()),
                )


def up_in_camera(world: NDArray[Any], camera: NDArray[Any]) -> NDArray[np.float64]:
    """Up in the camera frame, from one (17, 3) pose in both frames with different bone lengths."""
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


def errors(view: View, result: Pose3D) -> dict[str, float]:
    ground = estimate_ground(result)
    true = view.joints[:, FEET] @ view.up
    height = -np.percentile(true.min(axis=1), 20) + 0.08
    return {
        "tilt of the camera": _degrees(CAMERA_UP, view.up),
        "error of up": _degrees(ground.up, view.up),
        "stated": np.degrees(ground.tilt_sd),
        "height": 100 * abs(ground.camera_height / height - 1),
        "feet": 100 * _over_floor(ground, result),
    }


def _over_floor(ground: Ground, result: Pose3D) -> float:
    """Median distance of the lowest ankle from its height above the floor, metres."""
    lowest = ground.to_world(result.joints_camera()[0].astype(np.float64))[:, FEET, 2].min(axis=1)
    return float(np.median(np.abs(lowest - 0.08)))


def measure(folder: Path, weights: str, cameras: int, noise: float) -> None:
    (checkpoint,) = load_weights([weights], trained=False).values()
    clips = read_people(folder)
    lifter = Lifter(checkpoint)
    found = [
        errors(view, postprocess(lift_poses(view.poses, lifter, float(SIZE_PX)), AS_LIFTED))
        for view in views(clips, cameras, noise)
    ]
    lengths = f"{SHORTEST_S:g} to {STRETCH_S:g} s"
    print(f"{len(found)} views of {lengths}, subjects {', '.join(TEST)}\n")
    header = (
        "cameras",
        "views",
        "error of up, degrees: median",
        "90 %",
        "estimated sd",
        "error / sd",
    )
    height = "error of camera height, %", "lowest foot from the floor, cm"
    print(markdown_table((*header, *height), list(rows(found))), end="")


def rows(found: list[dict[str, float]]) -> Iterator[tuple[str, ...]]:
    """Table rows for confident and uncertain estimates, and for level and steep cameras."""
    table = {key: np.array([row[key] for row in found]) for key in found[0]}
    sure = table["stated"] <= np.degrees(SURE_SD)
    steep = table["tilt of the camera"] > 30
    for name, chosen in (
        ("confident", sure),
        ("... up to 30 degrees from level", sure & ~steep),
        ("... more than 30", sure & steep),
        ("uncertain", ~sure),
    ):
        part = {key: values[chosen] for key, values in table.items()}
        if chosen.any():
            error = part["error of up"]
            yield (
                *(name, str(chosen.sum()), f"{np.median(error):.1f}"),
                *(f"{np.percentile(error, 90):.1f}", f"{np.median(part['stated']):.1f}"),
                f"{np.sqrt(np.mean((error / part['stated']) ** 2)):.2f}",
                *(f"{np.median(part['height']):.0f}", f"{np.median(part['feet']):.1f}"),
            )


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("mocap", type=Path, help="folder of <subject>/<clip>.bvh")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--cameras", type=int, default=8, help="for each part of a clip")
    parser.add_argument("--noise", type=float, default=1.0, help="multiple of training's")
    given = parser.parse_args()
    measure(given.mocap, given.weights, given.cameras, given.noise)


if __name__ == "__main__":
    run_script(main)
