"""A real person before four calibrated cameras: our 3D and MediaPipe's own, from single cameras.

    python benchmarks/real_cameras.py FOLDER WEIGHTS... [--no-flip-test]
        [-o outputs/real_cameras.md]

FOLDER is what `demo_videos/fetch_more.py` fetches. An athlete balances on one leg; the cameras
look 18 to 25 degrees down and are rolled by up to 26. What is true is triangulated from what the
embedded detector sees in all four pictures, so joints are where that detector puts them, and what
it gets wrong in all of them alike is not seen. Each camera alone is then lifted as `vidpose infer`
lifts it. MediaPipe's own 3D is `pose_world_landmarks` of its pose solution, as its users get it:
the video as a stream, smoothed, with the middle model, which is also the embedded detector's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lifting import labels
from measuring import publish
from numpy.typing import NDArray
from real_video import Calibrated, Seen, Truth, add_flip_test, detect, read_qualisys, truth

from vidpose.camera import assumed_focal_px
from vidpose.errors import DataError, VidposeError
from vidpose.lifting.lifter import Lifter, lift_poses, load_lifter_checkpoint
from vidpose.metrics import mpjpe_per_joint, n_mpjpe_per_joint, p_mpjpe_per_joint
from vidpose.skeleton import BLAZEPOSE33, H36M17, conversion
from vidpose.utils.files import check_writable
from vidpose.video import VideoReader

HOW = (
    ("", False, True),
    (", focal length known", True, True),
    (", bones as lifted", False, False),
)
"""What a row is called, whether the focal length is known, and whether bones keep their length."""
CAMERAS = ("cam01", "cam02", "cam03", "cam04")
LIMBS = np.array(
    [
        H36M17.index(f"{side}{joint}")
        for joint in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Foot")
        for side in "LR"
    ]
)
"""The 12 joints that are compared: the trunk and the head are derived from them and the face."""

Floats = NDArray[np.float64]


def mediapipe_world(video: Path) -> Floats:
    """(T, 17, 3) metres, MediaPipe's own 3D of the one person it follows; NaN where it has none."""
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


def the_person(seen: Seen) -> int:
    """The one who is there longest."""
    if not seen.poses.people:
        raise DataError("nobody was found in one of the videos; fetch them again.")
    return int(seen.poses.observed.sum(axis=1).argmax())


def errors(predicted: Floats, joints: Floats, camera: Calibrated) -> dict[str, Floats]:
    """By metric: (N, 12) mm, of the frames in which all is known.

    What is true is turned into the camera's frame, and both are relative to the middle of the hips.
    """
    target = camera.camera(joints)
    known = np.isfinite(target[:, LIMBS]).all(axis=(1, 2))
    known &= np.isfinite(predicted[:, LIMBS]).all(axis=(1, 2))
    if not known.any():
        raise DataError("there is no frame in which both the truth and the prediction are known.")
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
    folder: Path, weights: Sequence[str], seen: Sequence[Seen], cameras: Sequence[Calibrated]
) -> dict[str, list[Floats]]:
    """What is compared: for each camera (T, 17, 3) metres, camera frame."""
    found = {
        "MediaPipe's pose_world_landmarks": [
            mediapipe_world(folder / f"{name}.mp4") for name in CAMERAS
        ]
    }
    for label, name in zip(labels(weights), weights, strict=True):
        lifter = Lifter(load_lifter_checkpoint(name))
        for how, known, rigid in HOW:
            lifted = []
            for view, camera in zip(seen, cameras, strict=True):
                focal_px = camera.focal_px if known else assumed_focal_px(view.poses.frame_size)
                result = lift_poses(view.poses, lifter, focal_px, rigid=rigid)
                lifted.append(result.joints_3d[the_person(view)].astype(np.float64))
            found[label + how] = lifted
    return found


def look(folder: Path, flip_test: bool = True) -> tuple[list[Seen], list[Calibrated], Truth]:
    """The four videos, their cameras and what they say together."""
    calibration = folder / "calibration.qca.txt"
    for path in (calibration, *(folder / f"{name}.mp4" for name in CAMERAS)):
        if not path.is_file():
            raise DataError(
                f"{path} is not there; run `python demo_videos/fetch_more.py {folder}`."
            )
    cameras = read_qualisys(calibration)
    seen = [detect(folder / f"{name}.mp4", flip_test=flip_test) for name in CAMERAS]
    tracks = [view.poses.keypoints_2d[the_person(view)].astype(np.float64) for view in seen]
    frames = min(map(len, tracks))
    rays = [camera.rays(track[:frames]) for camera, track in zip(cameras, tracks, strict=True)]
    return seen, cameras, truth(cameras, np.stack(rays))


def main(folder: Path, weights: Sequence[str], out: Path, flip_test: bool = True) -> None:
    check_writable(out)
    seen, cameras, true = look(folder, flip_test)
    rows = ways(folder, weights, seen, cameras)
    known = np.isfinite(true.joints[:, LIMBS]).all(axis=(1, 2))
    focal = np.mean([camera.focal_px for camera in cameras])
    off_px = focal * np.nanmedian(np.linalg.norm(true.off[:, :, LIMBS], axis=-1))
    text = (
        f"# Real cameras\n\n{known.sum()} of {len(known)} frames, 12 limb joints, mm. The detected "
        f"joints are {off_px:.1f} pixels off the triangulated ones (median).\n"
    )
    metrics = ("P-MPJPE", "N-MPJPE", "MPJPE")
    for metric in metrics:
        text += f"\n## {metric}\n\n| 3D from one camera | {' | '.join(CAMERAS)} | mean |\n"
        text += "|" + "---|" * (2 + len(CAMERAS)) + "\n"
        for name, views in rows.items():
            if metric != "P-MPJPE" and name.startswith("MediaPipe"):
                continue  # its frame is not the camera's
            values = [
                errors(view[: len(known)], true.joints, camera)[metric].mean()
                for view, camera in zip(views, cameras, strict=True)
            ]
            cells = [f"{value:.1f}" for value in (*values, np.mean(values))]
            text += f"| {name} | {' | '.join(cells)} |\n"
    publish(text, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="what demo_videos/fetch_more.py fetched")
    parser.add_argument("weights", nargs="+", help="files, or names of vidpose's own")
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/real_cameras.md"))
    add_flip_test(parser)
    given = parser.parse_args()
    try:
        main(given.folder, given.weights, given.out, given.flip_test)
    except VidposeError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
