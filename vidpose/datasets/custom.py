"""Custom data: a folder of .npz files, each with a motion seen by one camera.

A file is either a result of vidpose, whose 3D joints are then the ground truth, or it holds

    keypoints_2d  (T, J, 2)   pixels, origin top left
    joints_3d     (T, J, 3)   metres, camera frame: x right, y down, z away from the camera
    fps           a number    frame rate
    frame_size    (2,)        width and height, pixels
    valid         (T,) bool   optional: the frames to train on and to score; all by default
    focal_px      a number    optional: the camera's focal length in pixels
    subject, action, camera   optional text; by default the file's name, the same, and "0"
    skeleton      text        optional, one of `SKELETONS`; h36m17 by default, the same in all files

None of them may be pickled; other keys are ignored. A result gives one sequence for each run of
frames in which a person's position in the scene is known; interpolated frames are not valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.choice import (
    action_group,
    check_known,
    check_metres,
    describe,
    joint_array,
)
from vidpose.datasets.dataset import Dataset, PoseSequence
from vidpose.errors import DataError, ResultFileError, UsageError
from vidpose.poses import FASTEST_FPS, LARGEST_PX, load, section
from vidpose.skeleton import H36M17, SKELETONS, Skeleton
from vidpose.utils.gaps import known_joints, runs
from vidpose.utils.npz import AGAIN, keys_in, read_arrays
from vidpose.utils.outside import name_of, number, reading

KEYPOINTS = "own"
REQUIRED = ("keypoints_2d", "joints_3d", "fps", "frame_size")
OPTIONAL = ("valid", "focal_px", "subject", "action", "camera", "skeleton")
TEST_SHARE = 0.2
MAX_FOCAL_PX = 1e7
SMALLEST_PX = 2.0
"""2D joints that are all closer to the origin than this are not in pixels."""
LEAST_ALIKE = 0.6
"""Minimum correlation of 2D and 3D joints; detections and their true 3D have more than 0.95."""
SHORTEST_LEG = 0.5
"""Minimum length of a leg, as a share of the distance from hip to head, unless the file states its
skeleton. With COCO's joints in place of h36m17's it is 0.3."""
_RESULT = {"format", "root_3d"}


def open_custom(
    folder: Path,
    train_subjects: tuple[str, ...] | None = None,
    test_subjects: tuple[str, ...] | None = None,
    actions: tuple[str, ...] | None = None,
    downsample: int = 1,
) -> Dataset:
    """Read every .npz of a folder.

    If only one split's subjects are given, the other split has all other subjects. If none are
    given, the test split is the last fifth of the subjects in alphabetical order, at least one; if
    there is only one subject, the last fifth of the files.

    Args:
        folder: the folder with the files.
        train_subjects: training subjects.
        test_subjects: test subjects.
        actions: action groups to take, see `action_group`; all by default.
        downsample: take every n-th frame.

    Raises:
        DataError: there is no file, or one cannot be used.
        UsageError: a subject is in both splits.
    """
    if both := set(train_subjects or ()) & set(test_subjects or ()):
        raise UsageError(f"{min(both)} is both a training and a test subject; choose one.")
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise DataError(
            f"{folder} holds no .npz (folders in it are not searched); see docs/datasets.md for "
            "what one must contain."
        )
    names: set[str] = set()
    read = []
    for path in paths:
        skeleton, found = read_file(path)
        read.append((path, skeleton, [_as_another_take(s, names) for s in found]))
    for path, skeleton, _ in read:
        if skeleton != read[0][1]:
            raise DataError(
                f"{path}: skeleton: expected {read[0][1].name}, as in {paths[0].name}, "
                f"found {skeleton.name}."
            )
    groups = {action_group(s.action) for _, _, sequences in read for s in sequences}
    check_known(str(folder), "action", actions or (), groups)
    files = {
        path: [
            s.downsampled(downsample)
            for s in sequences
            if not actions or action_group(s.action) in actions
        ]
        for path, _, sequences in read
    }
    train, test = _split(folder, files, train_subjects, test_subjects)
    return Dataset(name="custom", keypoints=KEYPOINTS, skeleton=read[0][1], train=train, test=test)


def _as_another_take(sequence: PoseSequence, names: set[str]) -> PoseSequence:
    """Number the action if another file has the same subject, action and camera; add its name."""
    action, number = sequence.action, 2
    while sequence.name in names:
        sequence = replace(sequence, action=f"{action} {number}")
        number += 1
    names.add(sequence.name)
    return sequence


def _split(
    folder: Path,
    files: dict[Path, list[PoseSequence]],
    train_subjects: tuple[str, ...] | None,
    test_subjects: tuple[str, ...] | None,
) -> tuple[tuple[PoseSequence, ...], tuple[PoseSequence, ...]]:
    sequences = [s for of_file in files.values() for s in of_file]
    subjects = sorted({s.subject for s in sequences})
    named = (*(train_subjects or ()), *(test_subjects or ()))
    check_known(str(folder), "subject", named, subjects)
    if train_subjects is None and test_subjects is None:
        if len(subjects) == 1:
            last = set(_last_fifth(sorted(files)))
            return (
                tuple(s for path in files if path not in last for s in files[path]),
                tuple(s for path in files if path in last for s in files[path]),
            )
        test_subjects = tuple(_last_fifth(subjects))
    if train_subjects is None:
        train_subjects = tuple(s for s in subjects if s not in (test_subjects or ()))
    if test_subjects is None:
        test_subjects = tuple(s for s in subjects if s not in train_subjects)
    return (
        tuple(s for s in sequences if s.subject in train_subjects),
        tuple(s for s in sequences if s.subject in test_subjects),
    )


def _last_fifth(names: list[Any]) -> list[Any]:
    """At least one, but never all."""
    return names[len(names) - max(1, round(TEST_SHARE * len(names))) :] if len(names) > 1 else []


def read_file(path: Path) -> tuple[Skeleton, list[PoseSequence]]:
    """Read the sequences of one file.

    Raises:
        DataError: it cannot be used.
    """
    if _is_result(path):
        return H36M17, list(_result(path))
    skeleton, sequence = _plain(path)
    return skeleton, [sequence]


def is_custom(path: Path) -> bool:
    """Whether an .npz is a vidpose result, has 2D and 3D joints, or cannot be opened."""
    keys = keys_in(path)
    return keys is None or keys >= _RESULT or {"keypoints_2d", "joints_3d"} <= keys


def _is_result(path: Path) -> bool:
    return (keys_in(path) or set()) >= _RESULT


def _result(path: Path) -> Iterator[PoseSequence]:
    """Yield the runs of frames in which a person's joints and position are known.

    Raises:
        DataError: the result is damaged, or there is no such frame.
    """
    try:
        result = load(path)
    except ResultFileError as error:
        raise DataError(str(error)) from None
    joints = result.joints_camera()
    known = known_joints(joints, (2, 3)) & known_joints(result.keypoints_2d, (2, 3))
    if not known.any():
        raise DataError(
            f"{path}: root_3d: expected a person's position in at least one frame, found none."
        )
    focal_px = None
    with suppress(ValueError):
        found = section(result.meta, "camera").get("focal_px")
        focal_px = number("focal_px", found, 1e-3, MAX_FOCAL_PX)
    for person, person_id in enumerate(result.person_ids):
        for part, run in enumerate(runs(known[person])):
            yield PoseSequence(
                subject=path.stem,
                action=f"person{person_id} {part}",
                recording=f"person{person_id}",
                camera="0",
                keypoints_2d=result.keypoints_2d[person, run],
                joints_3d=joints[person, run],
                valid=result.observed[person, run],
                frame_size=result.frame_size,
                fps=result.fps,
                focal_px=focal_px,
            )


def _plain(path: Path) -> tuple[Skeleton, PoseSequence]:
    keys = *REQUIRED, *OPTIONAL
    entries = read_arrays(path, *keys, problem="is not an .npz that can be read", advice=AGAIN)
    for key in REQUIRED:
        if key not in entries:
            raise DataError(f"{path}: expected {', '.join(REQUIRED)}, found no {key}.")
    skeleton = _skeleton(path, entries)
    pixels = joint_array(path, "keypoints_2d", entries["keypoints_2d"], len(skeleton), (2,))
    joints = joint_array(path, "joints_3d", entries["joints_3d"], len(skeleton), (3,))
    check_metres(path, "joints_3d", joints)
    if len(pixels) != len(joints):
        raise DataError(
            f"{path}: expected as many frames in keypoints_2d as in joints_3d ({len(joints)}), "
            f"found {len(pixels)}."
        )
    valid = np.asarray(entries.get("valid", np.ones(len(joints), bool)))
    if valid.shape != (len(joints),) or valid.dtype != np.bool_:
        raise DataError(f"{path}: valid: expected bool ({len(joints)},), found {describe(valid)}.")
    if "skeleton" not in entries and _legs(joints) < SHORTEST_LEG:
        raise DataError(
            f"{path}: joints_3d are not in the order of h36m17, or its legs would be shorter than "
            f"{SHORTEST_LEG:g} of its trunk; give their skeleton, for example skeleton='coco17'."
        )
    size = _positive(path, entries, "frame_size", 2, LARGEST_PX)
    _check_pixels(path, pixels, size)
    if valid.any() and _likeness(pixels[valid], joints[valid]) < LEAST_ALIKE:
        raise DataError(
            f"{path}: joints_3d are not what keypoints_2d show; give both in the order of "
            f"{skeleton.name}, and joints_3d in the camera's axes (x right, y down, z away from "
            "it)."
        )
    focal = None
    if "focal_px" in entries:
        focal = _positive(path, entries, "focal_px", 1, MAX_FOCAL_PX)[0]
    names = {"subject": path.stem, "action": path.stem, "camera": "0"}
    return skeleton, PoseSequence(
        **{key: _name(path, key, entries.get(key, name)) for key, name in names.items()},
        keypoints_2d=pixels,
        joints_3d=joints,
        valid=valid,
        frame_size=(int(size[0]), int(size[1])),
        fps=_positive(path, entries, "fps", 1, FASTEST_FPS)[0],
        focal_px=focal,
    )


def _legs(joints: NDArray[np.float32]) -> float:
    """Length of the right leg as a share of the distance from hip to head, median over frames.

    Args:
        joints: (T, 17, 3), h36m17.
    """
    hip, knee, foot, root, head = (
        joints[:, H36M17.index(name)] for name in ("RHip", "RKnee", "RFoot", "Hip", "Head")
    )
    leg = np.linalg.norm(knee - hip, axis=1) + np.linalg.norm(foot - knee, axis=1)
    trunk = np.linalg.norm(head - root, axis=1)
    return float(np.median(leg[trunk > 0] / trunk[trunk > 0])) if (trunk > 0).any() else 1.0


def _check_pixels(path: Path, pixels: NDArray[np.float32], size: list[float]) -> None:
    """Raise a DataError if joints are missing, or are not pixels of an image of this size."""
    missing = [(pixels == nowhere).all(axis=2).any(axis=1) for nowhere in (0, -1)]
    frames = np.flatnonzero(np.logical_or(*missing))
    if len(frames):
        raise DataError(
            f"{path}: keypoints_2d: expected all joints, found missing ones (0, 0 or -1, -1) in "
            f"{len(frames)} of {len(pixels)} frames, first in frame {frames[0]}; interpolate them."
        )
    if np.abs(pixels).max() <= SMALLEST_PX:
        raise DataError(
            f"{path}: keypoints_2d: expected pixels, found all joints within {SMALLEST_PX:g} "
            "pixels of the corner; multiply fractions by the image's size."
        )
    if ((pixels >= 0) & (pixels < size)).all(axis=2).mean() < 0.5:
        raise DataError(
            f"{path}: frame_size: expected the width and height of the image, found "
            f"{size[0]:g} x {size[1]:g}, and most of keypoints_2d outside of it; correct it, or "
            "leave out close-ups that show less than half of a person."
        )


def _likeness(pixels: NDArray[np.float32], joints: NDArray[np.float32]) -> float:
    """Correlate 2D joints with the projection of 3D joints, both relative to the pose's middle.

    Args:
        pixels: (T, J, 2).
        joints: (T, J, 3), camera frame. Without positions in front of the camera, as with joints
            relative to a root, the projection is parallel.

    Returns:
        1 if they are equal up to scale; 1, too, if one of them is a single point.
    """
    flat, depth = joints[..., :2].astype(np.float64), joints[..., 2:].astype(np.float64)
    shown = flat / depth if (depth > np.ptp(flat, axis=1, keepdims=True).max() / 4).all() else flat
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (pixels.astype(np.float64), shown))
    norm = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float((a * b).sum() / norm) if norm > 0 else 1.0


def _skeleton(path: Path, entries: dict[str, Any]) -> Skeleton:
    name = _name(path, "skeleton", entries.get("skeleton", H36M17.name))
    if name not in SKELETONS:
        raise DataError(
            f"{path}: skeleton: expected one of {', '.join(SKELETONS)}, found {name[:40]}."
        )
    return SKELETONS[name]


def _name(path: Path, key: str, value: Any) -> str:
    with reading(path, DataError, "cannot be used"):
        return name_of(key, value.item() if getattr(value, "size", 0) == 1 else value)


def _positive(
    path: Path, entries: dict[str, Any], key: str, count: int, most: float
) -> list[float]:
    array = np.asarray(entries[key])
    good = array.dtype.kind in "fiu" and array.size == count
    if not good or not ((array > 0) & (array <= most)).all():
        wanted = "a number above 0" if count == 1 else f"{count} numbers above 0"
        wanted += f", {most:,.0f} at most"
        raise DataError(f"{path}: {key}: expected {wanted}, found {describe(entries[key])}.")
    return [float(value) for value in array.reshape(-1)]
