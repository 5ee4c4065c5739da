"""3D error from single real cameras, vidpose's and MediaPipe's, for an athlete seen by four; mm.

    python benchmarks/real_cameras.py FOLDER WEIGHTS... [--size SIZE] [--flip-test]
        [-o outputs/real_cameras.md]

FOLDER contains the videos of `demo_videos/fetch_more.py`. An athlete balances on one leg; the
cameras are pitched down by 18 to 25 degrees and rolled by up to 26. The ground truth is
triangulated from the embedded detector's joints in all four views, so errors common to all of them
remain hidden. Each camera alone is then lifted as by `vidpose infer`. MediaPipe's own 3D is
`pose_world_landmarks` of its pose solution with default settings: the video as a stream, smoothed,
with the middle model, which the embedded detector uses, too. That row requires the package
mediapipe 0.10.21.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import argument_parser, markdown_table, publish, run_script
from lifting import labels
from multiview import (
    Calibrated,
    Detected,
    Truth,
    add_options,
    detect,
    read_qualisys,
    triangulate_person,
)
from numpy.typing import NDArray

from vidpose.camera import assumed_focal_px
from vidpose.errors import DataError
from vidpose.lifting.lifter import Lifter, lift_poses, load_lifter_checkpoint
from vidpose.metrics import mpjpe_per_joint, n_mpjpe_per_joint, p_mpjpe_per_joint
from vidpose.postprocess.refinement import refine
from vidpose.skeleton import BLAZEPOSE33, H36M17, conversion
from vidpose.utils.files import check_writable
from vidpose.utils.gaps import known_joints
from vidpose.video import VideoReader

HOW = (
    ("", False, True),
    (", focal length known", True, True),
    (", as lifted", False, False),
)
"""Row name, whether the focal length is known, and whether poses are refined as by `infer`."""
CAMERAS = ("cam01", "cam02", "cam03", "cam04")
LIMBS = np.array(
    [
        H36M17.index(f"{side}{joint}")
        for joint in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Foot")
        for side in "LR"
    ]
)
"""The 12 compared joints; trunk and head are derived from these and the face."""

Floats = NDArray[np.float64]


def mediapipe_world(video: Path) -> Floats:
    """(T, 17, 3) metres, MediaPipe's 3D of the single person it tracks; NaN where missing."""
    import mediapipe as mp

    poses = []
    solutions: Any = mp.solutions
    with VideoReader(video) as reader, solutions.pose.Pose(model_complexity=1) as pose:
        for frame in reader:
            found = pose.process(frame.image).pose_world_landmarks
            landmarks = found.landmark if found else [None] * len(BLAZEPOSE33)
            poses.append([(m.x, m.y, m.z) if m else (np.nan,) * 3 for m in landmarks])
    joints, _ = conversion(BLAZEPOSE33.name, H36M17.name)(np.array(poses, np.float64))
    return np.asarray(joints, np.float64)


def main_person(seen: Detected) -> int:
    """Index of the person detected in most frames."""
    if not seen.poses.people:
        raise DataError("nobody was found in one of the videos; fetch them again.")
    return int(seen.poses.observed.sum(axis=1).argmax())


def errors(predicted: Floats, joints: Floats, camera: Calibrated) -> dict[str, Floats]:
    """Errors by metric: (N, 12) mm, of the frames without missing joints.

    The ground truth is rotated into the camera frame; both are relative to the middle of the hips.
    """
    target = camera.camera(joints)
    known = np.isfinite(target[:, LIMBS]).all(axis=(1, 2))
    known &= np.isfinite(predicted[:, LIMBS]).all(axis=(1, 2))
    if not known.any():
        raise DataError("no frame has both ground truth and a prediction; fetch the videos again.")
    p, t = (1000 * _from_hips(each[known])[:, LIMBS] for each in (predicted, target))
    return {
        "P-MPJPE": p_mpjpe_per_joint(p, t),
        "N-MPJPE": n_mpjpe_per_joint(p, t),
        "MPJPE": mpjpe_per_joint(p, t),
    }


def _from_hips(joints: Floats) -> Floats:
    hips = [H36M17.index("RHip"), H36M17.index("LHip")]
    return np.asarray(joints - joints[:, hips].mean(axis=1, keepdims=True))


def ways(
    folder: Path, weights: Sequence[str], seen: Sequence[Detected], cameras: Sequence[Calibrated]
) -> dict[str, list[Floats]]:
    """By table row, for each camera: (T, 17, 3) metres, camera frame."""
    found = {}
    if importlib.util.find_spec("mediapipe"):
        found["MediaPipe's pose_world_landmarks"] = [
            mediapipe_world(folder / f"{name}.mp4") for name in CAMERAS
        ]
    for label, name in zip(labels(weights), weights, strict=True):
        lifter = Lifter(load_lifter_checkpoint(name))
        for how, known, rigid in HOW:
            lifted = []
            for view, camera in zip(seen, cameras, strict=True):
                focal_px = camera.focal_px if known else assumed_focal_px(view.poses.frame_size)
                result = lift_poses(view.poses, lifter, focal_px).poses
                if rigid:
                    result = refine(result, focal_px)
                lifted.append(result.joints_3d[main_person(view)].astype(np.float64))
            found[label + how] = lifted
    return found


def detect_all(folder: Path, **how: Any) -> tuple[list[Detected], list[Calibrated], Truth]:
    """The people in the four videos, the cameras, and the triangulated person.

    Args:
        folder: with the videos of `demo_videos/fetch_more.py`.
        how: options of `detect`.
    """
    calibration = folder / "calibration.qca.txt"
    for path in (calibration, *(folder / f"{name}.mp4" for name in CAMERAS)):
        if not path.is_file():
            raise DataError(f"{path} is missing; run `python demo_videos/fetch_more.py {folder}`.")
    cameras = read_qualisys(calibration)
    seen = [detect(folder / f"{name}.mp4", **how) for name in CAMERAS]
    tracks = [view.poses.keypoints_2d[main_person(view)].astype(np.float64) for view in seen]
    frames = min(map(len, tracks))
    rays = [camera.rays(track[:frames]) for camera, track in zip(cameras, tracks, strict=True)]
    return seen, cameras, triangulate_person(cameras, np.stack(rays))


def measure(folder: Path, weights: Sequence[str], out: Path, **how: Any) -> None:
    check_writable(out)
    seen, cameras, true = detect_all(folder, **how)
    rows = ways(folder, weights, seen, cameras)
    known = known_joints(true.joints[:, LIMBS], (1, 2))
    focal = np.mean([camera.focal_px for camera in cameras])
    off_px = focal * np.nanmedian(np.linalg.norm(true.off[:, :, LIMBS], axis=-1))
    text = (
        f"# Real cameras\n\n{known.sum()} of {len(known)} frames, 12 limb joints, mm. Median 2D "
        f"error against the triangulated joints: {off_px:.1f} pixels.\n"
    )
    for metric in ("P-MPJPE", "N-MPJPE", "MPJPE"):
        table = []
        for name, views in rows.items():
            if metric != "P-MPJPE" and name.startswith("MediaPipe"):
                continue  # not in the camera frame
            values = [
                errors(view[: len(known)], true.joints, camera)[metric].mean()
                for view, camera in zip(views, cameras, strict=True)
            ]
            table.append([name, *(f"{value:.1f}" for value in (*values, np.mean(values)))])
        header = ("3D from one camera", *CAMERAS, "mean")
        text += f"\n## {metric}\n\n{markdown_table(header, table)}"
    publish(text, out)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("folder", type=Path, help="what demo_videos/fetch_more.py fetched")
    parser.add_argument("weights", nargs="+", help="files, or names of vidpose's own")
    add_options(parser, "outputs/real_cameras.md")
    given = parser.parse_args()
    measure(given.folder, given.weights, given.out, size=given.size, flip_test=given.flip_test)


if __name__ == "__main__":
    run_script(main)
