"""Reading a folder of motion capture, BVH or joints in .npz, as h36m17 poses in metres.

BVH files must have the skeleton of B. Hahne's "Daz-friendly" conversion of the CMU database
(cgspeed, July 2010); other skeletons would need a table of joint names like `DAZ`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.bvh import Bvh, read_bvh
from vidpose.datasets.dataset import MotionClip
from vidpose.datasets.joint_clips import read_joint_file
from vidpose.errors import DataError
from vidpose.skeleton import COCO17, H36M17, conversion

DAZ = {
    "shoulder": ("lShldr", "rShldr"),
    "elbow": ("lForeArm", "rForeArm"),
    "wrist": ("lHand", "rHand"),
    "hip": ("lThigh", "rThigh"),
    "knee": ("lShin", "rShin"),
    "ankle": ("lFoot", "rFoot"),
    "eye": ("leftEye", "rightEye"),
}
"""BVH joints (left, right) for COCO's."""

# COCO joints that the skeleton lacks, as points fixed to its `head` joint (the base of the skull),
# in cm in the joint's frame: x to the person's left, y up, z forward. The eyes of the skeleton are
# at about (+-3.9, 8.0, 8.0).
NOSE_CM = (0.0, 4.5, 10.5)
EARS_CM = ((7.3, 5.5, 0.5), (-7.3, 5.5, 0.5))

CENTIMETRE = 0.01
LEAST_UPRIGHT = 0.3
"""Minimum cosine of the angle between z and the line from feet to head, median over the frames of a
subject. It is near 1 for people who stand, and about 0 if another axis than z is up."""


def read_clip(path: Path) -> MotionClip:
    """Read one BVH file; the subject is the name of its folder.

    Frame 0, a T-pose that the conversion added, is dropped.

    Raises:
        DataError: the file is not BVH, or has another skeleton.
    """
    bvh = read_bvh(path)
    missing = {name for pair in DAZ.values() for name in pair} - set(bvh.joint_names)
    if missing or "head" not in bvh.joint_names:
        raise DataError(
            f"{path} has another skeleton (no joint {min(missing or {'head'})}); give files of "
            "the CMU database's Daz-friendly conversion, or save its joints as an .npz "
            "(docs/datasets.md)."
        )
    coco = _coco_points(bvh)[1:]
    if not len(coco):
        raise DataError(f"{path} holds no motion after its T-pose.")
    joints, _ = conversion("coco17", "h36m17")(coco)
    # BVH has y up and z towards the viewer; here z is up.
    joints = np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], axis=-1)
    return MotionClip(
        path.stem, path.parent.name, (joints * CENTIMETRE).astype(np.float32), bvh.fps
    )


def _coco_points(bvh: Bvh) -> NDArray[np.float64]:
    """(T, 17, 3) in the file's unit and frame."""
    positions, orientations = bvh.world()
    head = bvh.joint_names.index("head")

    def on_head(place: tuple[float, float, float]) -> NDArray[np.float64]:
        return positions[:, head] + orientations[:, head] @ np.array(place)

    points = {"nose": on_head(NOSE_CM)}
    points["left_ear"], points["right_ear"] = on_head(EARS_CM[0]), on_head(EARS_CM[1])
    for part, (left, right) in DAZ.items():
        points[f"left_{part}"] = positions[:, bvh.joint_names.index(left)]
        points[f"right_{part}"] = positions[:, bvh.joint_names.index(right)]
    return np.stack([points[name] for name in COCO17.joint_names], axis=1)


def motion_files(folder: Path) -> list[Path]:
    """List the files of `read_folder`: `<subject>/<clip>.bvh`, then `<subject>.npz`."""
    return sorted(folder.glob("*/*.bvh")) + sorted(folder.glob("*.npz"))


def read_folder(
    folder: Path, progress: Callable[[Sequence[Path]], Iterable[Path]] = lambda paths: paths
) -> list[MotionClip]:
    """Read every `<folder>/<subject>/*.bvh` and every .npz of joints, `<folder>/<subject>.npz`.

    Args:
        folder: the motion capture, with a folder or an .npz per subject.
        progress: wraps the list of paths, to show progress.

    Raises:
        DataError: there are no files, or one cannot be read.
    """
    paths = motion_files(folder)
    if not paths:
        raise DataError(
            f"{folder} holds no <subject>/<clip>.bvh and no <subject>.npz; give the folder of "
            "subjects."
        )
    clips = []
    for path in progress(paths):
        clips += [read_clip(path)] if path.suffix == ".bvh" else read_joint_file(path)
    return clips


def not_upright(clips: Iterable[MotionClip]) -> list[str]:
    """Return the subjects who do not stand or sit in most frames, as if z were not up."""
    feet, head = [H36M17.index(name) for name in ("RFoot", "LFoot")], H36M17.index("Head")
    upright: dict[str, list[NDArray[np.floating]]] = {}
    for clip in clips:
        body = clip.joints[:, head] - clip.joints[:, feet].mean(axis=1)
        length = np.linalg.norm(body, axis=1)
        found = body[length > 0, 2] / length[length > 0]
        upright.setdefault(clip.subject, []).append(found)
    medians = {subject: np.concatenate(found) for subject, found in sorted(upright.items())}
    return [
        subject
        for subject, found in medians.items()
        if len(found) and np.median(found) < LEAST_UPRIGHT
    ]


def split(
    clips: Sequence[MotionClip], held_out: Sequence[str]
) -> tuple[list[MotionClip], list[MotionClip]]:
    """Split clips into those of the training subjects and those of the held-out subjects.

    Raises:
        DataError: a subject does not exist, or one of the parts is empty.
    """
    subjects = {clip.subject for clip in clips}
    if not subjects > set(held_out) or not held_out:
        raise DataError(
            f"the motion capture has subjects {', '.join(sorted(subjects))} and cannot hold out "
            f"{', '.join(held_out) or 'nobody'}; name some of its subjects, but not all."
        )
    train = [clip for clip in clips if clip.subject not in held_out]
    return train, [clip for clip in clips if clip.subject in held_out]
