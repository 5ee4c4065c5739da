"""Reading a folder of motion capture, BVH or joints in .npz, as h36m17 poses in metres.

BVH files may have the skeleton of B. Hahne's "Daz-friendly" conversion of the CMU database
(cgspeed, July 2010), whose head and units are known, or another with the joint names of
`vidpose.datasets.joint_names`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vidpose.datasets.bvh import Bvh, read_bvh, unit_in_metres
from vidpose.datasets.dataset import MotionClip
from vidpose.datasets.joint_clips import read_joint_file
from vidpose.datasets.joint_names import find_joint, find_own, limb_aliases, normalised
from vidpose.errors import DataError
from vidpose.postprocess.gravity import unit_vectors
from vidpose.skeleton import COCO17, H36M17, conversion
from vidpose.utils.outside import reading

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

# COCO joints that skeletons lack, as points fixed to the `head` joint (the base of the skull), in
# cm: x to the person's left, y up, z forward. In CMU's files these are the axes of the joint.
FACE_CM = {
    "nose": (0.0, 4.5, 10.5),
    "left_ear": (7.3, 5.5, 0.5),
    "right_ear": (-7.3, 5.5, 0.5),
    "left_eye": (3.9, 8.0, 8.0),
    "right_eye": (-3.9, 8.0, 8.0),
}

CENTIMETRE = 0.01
UPRIGHT = 0.8
"""Minimum cosine of the angles between an axis, y or z, and the lines from ankles to hips and from
hips to head of a skeleton without any rotation, for it to stand along this axis."""
LEAST_UPRIGHT = 0.3
"""Minimum cosine of the angle between z and the line from feet to head, median over the frames of a
subject. It is near 1 for people who stand, and about 0 if another axis than z is up."""


def read_clip(path: Path) -> MotionClip:
    """Read one BVH file; the subject is the name of its folder.

    Frame 0 of CMU's files, a T-pose that the conversion added, is dropped.

    Raises:
        DataError: the file is not BVH, a joint is missing, or the unit is unknown.
    """
    bvh = read_bvh(path)
    z_up = False
    if {name for pair in DAZ.values() for name in pair} | {"head"} <= set(bvh.joint_names):
        coco, unit = _coco_points(bvh)[1:], CENTIMETRE
        if not len(coco):
            raise DataError(f"{path} holds no motion after its T-pose.")
    else:
        coco, unit, z_up = by_names(path, bvh)
    joints, _ = conversion("coco17", "h36m17")(coco)
    ours = find_own([normalised(name) for name in bvh.joint_names])
    if ours is not None:  # of vidpose's exports, whose `Head` is its top
        joints = bvh.world()[0][:, ours]
    if not z_up:  # as in most BVH: y is up, and z is towards the viewer
        joints = np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], axis=-1)
    return MotionClip(path.stem, path.parent.name, (joints * unit).astype(np.float32), bvh.fps)


def _coco_points(bvh: Bvh) -> NDArray[np.float64]:
    """(T, 17, 3) of CMU's skeleton, in the file's unit and frame."""
    positions, orientations = bvh.world()
    head = bvh.joint_names.index("head")
    points = _face(positions[:, head], orientations[:, head], 1.0)
    for part, (left, right) in DAZ.items():
        points[f"left_{part}"] = positions[:, bvh.joint_names.index(left)]
        points[f"right_{part}"] = positions[:, bvh.joint_names.index(right)]
    return np.stack([points[name] for name in COCO17.joint_names], axis=1)


def by_names(path: Path, bvh: Bvh) -> tuple[NDArray[np.float64], float, bool]:
    """(T, 17, 3) of another skeleton, in the file's unit and frame; the unit in metres; and whether
    z is up rather than y.

    Raises:
        DataError: a joint is missing, or the unit is unknown.
    """
    names = [normalised(name) for name in bvh.joint_names]
    found = {name: find_joint(names, aliases) for name, aliases in limb_aliases().items()}
    found["head"] = find_joint(names, ("head",))
    missing = [name for name in ("head", *COCO17.joint_names[5:]) if not found[name]]
    if missing:
        raise DataError(
            f"{path} has no joint that is named as the {missing[0].replace('_', ' ')}; "
            "docs/datasets.md lists the names. Rename its joints, or save them as an .npz."
        )
    positions, orientations = bvh.world()
    points = {name: positions[:, at].mean(axis=1) for name, at in found.items() if at}
    unit = unit_in_metres(path, *(points[f"right_{joint}"] for joint in ("hip", "knee", "ankle")))
    rest = {name: bvh.rest()[at].mean(axis=0) for name, at in found.items() if at}
    ankles, hips = (rest[f"left_{joint}"] + rest[f"right_{joint}"] for joint in ("ankle", "hip"))
    stands = unit_vectors(np.stack([hips - ankles, 2 * rest["head"] - hips])).min(axis=0)
    with reading(path, DataError, "has no body with a trunk"):
        head = Rotation.from_matrix(orientations[:, names.index("head")])
        if max(stands[1:]) > UPRIGHT:
            facing = _axes(_leftward(rest), np.eye(3)[stands.argmax()])
        else:  # bones along one axis; on average the head faces as the trunk does
            facing = (head.inv() * _axes(_leftward(points), _upward(points))).mean()
    points |= _face(points["head"], (head * facing).as_matrix(), CENTIMETRE / unit)
    coco = np.stack([points[name] for name in COCO17.joint_names], axis=1)
    return coco, unit, bool(stands[2] > UPRIGHT)


def _face(
    head: NDArray[np.float64], axes: NDArray[np.float64], centimetre: float
) -> dict[str, NDArray[np.float64]]:
    """(T, 3) by COCO joint; of the head's place (T, 3) and its axes left, up and forward, the
    columns of (T, 3, 3).
    """
    return {name: head + centimetre * axes @ np.array(at) for name, at in FACE_CM.items()}


def _leftward(points: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """(..., 3): from right to left through hips and shoulders, of points (..., 3)."""
    apart = [points[f"left_{joint}"] - points[f"right_{joint}"] for joint in ("hip", "shoulder")]
    return apart[0] + apart[1]


def _upward(points: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """(..., 3): from hips to shoulders, of points (..., 3)."""
    hips, shoulders = (
        points[f"left_{joint}"] + points[f"right_{joint}"] for joint in ("hip", "shoulder")
    )
    return (shoulders - hips) / 2


def _axes(left: NDArray[np.float64], up: NDArray[np.float64]) -> Rotation:
    """The rotation to axes left (at right angles to up), up and forward; of vectors (..., 3)."""
    up = unit_vectors(up)
    forward = unit_vectors(np.cross(left, up))
    return Rotation.from_matrix(np.stack([np.cross(up, forward), up, forward], axis=-1))


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
