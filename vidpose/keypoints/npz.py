"""NumPy files: our own 2D file and result file, and bare arrays of one person.

The 2D file (`vidpose-2d/1`) is the result file without its 3D arrays, with the same keys, types and
meanings, so a reader of one can read the 2D part of the other.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import KeypointsError, UsageError
from vidpose.keypoints.base import Asked, Item, KeypointFile, agreed
from vidpose.keypoints.frame_names import chosen_video
from vidpose.keypoints.joint_names import skeleton_of_names
from vidpose.poses import (
    FORMAT,
    FORMAT_2D,
    Pose2D,
    array_names,
    check_values,
    rate_and_size,
    read_meta,
    write_poses,
)
from vidpose.skeleton import BLAZEPOSE33, Skeleton
from vidpose.utils.files import check_writable
from vidpose.utils.gaps import known_joints
from vidpose.utils.npz import read_arrays
from vidpose.utils.outside import reading

NAME = "npz"
BARE_KEYS = ("keypoints_2d", "keypoints")
SCORE_KEYS = ("scores_2d", "scores", "keypoint_scores", "keypoints_scores", "confidence", "conf")
MOST_SCORE = 10.0
"""Scores of some networks exceed 1, but never this."""


def write(poses: Pose2D, path: str | Path, meta: dict[str, Any]) -> Path:
    """Write a 2D file, atomically.

    Args:
        poses: any skeleton.
        path: the .npz.
        meta: provenance of the joints; JSON values only.
    """
    return write_poses(path, poses, Pose2D, FORMAT_2D, meta)


def read(path: Path, skeleton: Skeleton | None = None) -> tuple[Pose2D, dict[str, Any]]:
    """Read a 2D file, or the 2D part of a result file. No code in it is executed.

    Returns:
        The joints and `meta`.

    Raises:
        KeypointsError: the file is damaged or contradicts itself.
        UsageError: `skeleton` contradicts the file.
    """
    entries = _entries(path)
    with reading(path, KeypointsError, "is damaged"):
        names = tuple(str(name) for name in entries["joint_names"])
        found = skeleton_of_names(names)
        if found is None:
            raise ValueError("joint_names: joints of no known skeleton")
        meta, (fps, size) = read_meta(entries), rate_and_size(entries)
        poses = Pose2D(
            **{name: entries[name] for name in array_names(Pose2D)},
            fps=fps,
            frame_size=size,
            skeleton=found,
        )
        _check(poses)
    agreed(found, skeleton, path)
    return poses, meta


def is_ours(path: Path) -> bool:
    """Whether an .npz is a 2D file or a result file.

    Raises:
        KeypointsError: it cannot be read.
    """
    return _format(path) in (FORMAT_2D, FORMAT)


def check_target(path: Path) -> None:
    """Check early that a 2D file can be written and replaces nothing but a 2D file.

    Raises:
        UsageError: the file exists and is something else, such as the result of another video.
        VidposeError: the file cannot be written.
    """
    check_writable(path)
    if not path.exists():
        return
    if not is_2d(path):
        raise UsageError(f"{path} exists and is not a 2D file of vidpose; choose another -o.")


def is_2d(path: Path) -> bool:
    """Whether an .npz is a 2D file."""
    try:
        return _format(path) == FORMAT_2D
    except KeypointsError:
        return False


def _format(path: Path) -> str:
    return str(_entries(path, "format").get("format"))


def read_bare(path: Path, asked: Asked) -> KeypointFile:
    """Read an array of x, y and perhaps the score, in pixels; NaN = missing.

    (T, J, 2 or 3) and (1, T, J, 2 or 3) are one person, (T, P, J, 2 or 3) P people in any order.
    The scores may be a separate array. FreeMoCap's arrays (cameras, T, points, 2 or 3) are read one
    camera at a time: their points are MediaPipe's, with the 33 of the body first, and their third
    column is a depth.

    Args:
        path: a .npy, or an .npz with one array or one called `keypoints_2d` or `keypoints`.
        asked: the skeleton, and the camera, counted from 0.

    Raises:
        UsageError: no skeleton is given, or no camera.
        KeypointsError: there is no such array.
    """
    entries = _entries(path)
    keys = tuple(entries) if len(entries) == 1 else BARE_KEYS
    key = next((key for key in keys if key in entries), "")
    item = Item(None, path, key)
    if not key:
        item.fail(f"has {len(entries)} arrays, none called {' or '.join(BARE_KEYS)}")
    array = entries[key]
    array, used = _with_scores(array, entries)
    skeleton = asked.skeleton
    numbers = array.dtype.kind in "iuf" and array.shape[-1:] in ((2,), (3,))
    cameras = skeleton is None and array.ndim == 4 and array.shape[2] >= len(BLAZEPOSE33)
    if skeleton is not None and numbers and array.ndim == 4:
        cameras = not _are_people(array, skeleton)
    if numbers and cameras:
        return _read_cameras(array, item, asked)
    if skeleton is None:
        raise UsageError(
            f"{path} does not state the skeleton of its joints; give --skeleton h36m17, coco17 ..."
        )
    wanted = f"(frames, {len(skeleton)}, 2 or 3) numbers of {skeleton.name}"
    if not numbers or array.ndim not in (3, 4):
        item.fail(f"is {array.dtype} {array.shape}, not {wanted}")
    if array.shape[-2] != len(skeleton):
        item.fail(f"has the shape {array.shape}, not {wanted}")
    if array.shape[-1] == 3 and _is_depth(array[..., 2]):
        item.fail("has a third column that is no score (0 to 1); lifting needs 2D joints in pixels")
    if array.ndim == 4 and 1 in array.shape[:2]:
        array = array.reshape(-1, *array.shape[2:])
    left_out = [name for name in entries if name not in (key, used)]
    warning = f"{path}: only {key} is read; left out {'is' if len(left_out) == 1 else 'are'} "
    return replace(
        _people(array, item, skeleton),
        warnings=(f"{warning}{', '.join(left_out)[:80]}.",) if left_out else (),
    )


def _with_scores(
    array: NDArray[Any], entries: dict[str, NDArray[Any]]
) -> tuple[NDArray[Any], str | None]:
    """Append the scores of a separate array, if one fits; also return its name."""
    shape = array.shape[:-1]
    if array.shape[-1:] != (2,):
        return array, None
    for name in SCORE_KEYS:
        scores = entries.get(name)
        fits = scores is not None and scores.shape in (shape, (*shape, 1))
        if scores is not None and fits and scores.dtype.kind in "iuf":
            return np.concatenate([array, scores.reshape(*shape, 1)], axis=-1), name
    return array, None


def _are_people(array: NDArray[Any], skeleton: Skeleton) -> bool:
    """Whether (A, B, J, 2 or 3) are people in frames, not frames of cameras."""
    first, second, joints, numbers = array.shape
    depth = numbers == 3 and _is_depth(array[..., 2])
    return joints == len(skeleton) and not depth and (first == 1 or second < first)


def _read_cameras(array: NDArray[Any], item: Item, asked: Asked) -> KeypointFile:
    skeleton = asked.skeleton or BLAZEPOSE33
    if array.shape[2] < len(skeleton):
        item.fail(f"has the shape {array.shape}, not (cameras, frames, {len(skeleton)}, 2 or 3)")
    cameras = {str(number): joints for number, joints in enumerate(array)}
    camera = chosen_video(cameras, item.path, asked.video)
    joints = cameras[camera]
    scored = asked.skeleton is not None and joints.shape[1] == len(skeleton)
    if joints.shape[2] == 3 and not (scored and _are_scores(joints[..., 2])):
        joints = joints[..., :2]
    found = _people(joints[:, : len(skeleton)], item, skeleton)
    return replace(found, video=asked.video)


def _are_scores(column: NDArray[Any]) -> bool:
    known = column[np.isfinite(column)]
    return bool(((known >= 0) & (known <= 1)).all())


def _people(array: NDArray[Any], item: Item, skeleton: Skeleton) -> KeypointFile:
    """Read one person (T, J, 2 or 3), or several people (T, P, J, 2 or 3) to be tracked."""
    with np.errstate(invalid="ignore"):  # signalling NaN counts as missing, too
        numbers = array.astype(np.float64)
    alone = array.ndim == 3
    frames = {}
    for index, people in enumerate(numbers[:, None] if alone else numbers):
        place = Item(None, item.path, f"{item.place}[{index}]")
        scores = people[..., 2] if people.shape[2] == 3 else np.ones(people.shape[:2])
        seen = [
            place.person(joints[:, :2], score, id=1 if alone else None)
            for joints, score in zip(people, scores, strict=True)
        ]
        frames[index] = [one for one in seen if one is not None]
    return KeypointFile(path=item.path, format=NAME, skeleton=skeleton, frames=frames)


def _is_depth(column: NDArray[Any]) -> bool:
    """Whether a third column cannot be scores: many values are far outside 0 to 1."""
    known = column[np.isfinite(column)]
    return bool(len(known) and np.mean((known < -0.01) | (known > MOST_SCORE)) > 0.1)


def _entries(path: Path, *keys: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a .npy or .npz; of the latter only `keys`, if given."""
    found = read_arrays(path, *keys, error=KeypointsError)
    return {key or "the array": array for key, array in found.items()}


def _check(poses: Pose2D) -> None:
    """Check what lifting requires in addition to `Pose2D`."""
    if not poses.people:
        raise ValueError("person_ids: there is no person in it")
    check_values(poses)
    there = known_joints(poses.keypoints_2d)
    if (poses.observed & ~there.any(axis=2)).any():
        raise ValueError("keypoints_2d: a person is observed in a frame without a joint")
