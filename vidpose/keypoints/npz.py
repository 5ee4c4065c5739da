"""NumPy files: our own 2D file and result file, and bare arrays of one person.

The 2D file (`vidpose-2d/1`) is the result file without its third dimension: the same keys, types
and meanings, so whatever reads one reads the 2D part of the other.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import KeypointsError, UsageError
from vidpose.keypoints.base import Asked, Item, KeypointFile, agreed
from vidpose.keypoints.frame_names import chosen_video
from vidpose.keypoints.joint_names import skeleton_of_names
from vidpose.poses import FORMAT, Pose2D, check_values, rate_and_size, read_meta, write_poses
from vidpose.skeleton import BLAZEPOSE33, Skeleton
from vidpose.utils.gaps import known_joints
from vidpose.utils.npz import read_arrays
from vidpose.utils.outside import reading

NAME = "npz"
FORMAT_2D = "vidpose-2d/1"
BARE_KEYS = ("keypoints_2d", "keypoints")
MOST_SCORE = 10.0
"""Some networks' scores go beyond 1, none beyond this."""
_APART = ("skeleton", "fps", "frame_size")
_ARRAYS = tuple(f.name for f in fields(Pose2D) if f.name not in _APART)


def write(poses: Pose2D, path: str | Path, meta: dict[str, Any]) -> Path:
    """Write a 2D file; it appears complete or not at all.

    Args:
        poses: any skeleton.
        path: the .npz.
        meta: where the joints come from; JSON values only.
    """
    return write_poses(path, poses, Pose2D, FORMAT_2D, meta)


def read(path: Path, skeleton: Skeleton | None = None) -> tuple[Pose2D, dict[str, Any]]:
    """Read a 2D file, or the 2D part of a result file. Nothing in it is ever executed.

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
            raise ValueError("joint_names: joints of no skeleton known here")
        meta, (fps, size) = read_meta(entries), rate_and_size(entries)
        poses = Pose2D(
            **{name: entries[name] for name in _ARRAYS},
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
    return str(_entries(path, "format").get("format")) in (FORMAT_2D, FORMAT)


def read_bare(path: Path, asked: Asked) -> KeypointFile:
    """Read an array (T, J, 2 or 3) of one person: x, y and perhaps the score; NaN = missing.

    FreeMoCap's arrays (cameras, T, points, 2 or 3) are read, too, one camera at a time: their
    points are MediaPipe's, the body's 33 first. Their third column is a depth.

    Args:
        path: a .npy, or an .npz with one array or one called `keypoints_2d` or `keypoints`.
        asked: whose joints they are, and the camera, which counts from 0.

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
    if array.dtype.kind in "iuf" and array.ndim == 4 and array.shape[3] in (2, 3):
        return _read_cameras(array, item, asked)
    skeleton = asked.skeleton
    if skeleton is None:
        raise UsageError(
            f"{path} does not say whose joints it holds; name them: --skeleton h36m17, coco17 ..."
        )
    wanted = f"(frames, {len(skeleton)}, 2 or 3) numbers of {skeleton.name}"
    if array.dtype.kind not in "iuf" or array.ndim != 3 or array.shape[2] not in (2, 3):
        item.fail(f"is {array.dtype} {array.shape}, not {wanted}")
    if array.shape[1] != len(skeleton):
        item.fail(f"has the shape {array.shape}, not {wanted}")
    if array.shape[2] == 3 and _is_depth(array[..., 2]):
        item.fail("has a third column that is no score (0 to 1); lifting needs 2D joints in pixels")
    return _one_person(array, item, skeleton)


def _read_cameras(array: NDArray[Any], item: Item, asked: Asked) -> KeypointFile:
    skeleton = asked.skeleton or BLAZEPOSE33
    if array.shape[2] < len(skeleton):
        item.fail(f"has the shape {array.shape}, not (cameras, frames, {len(skeleton)}, 2 or 3)")
    cameras = {str(number): joints for number, joints in enumerate(array)}
    camera = chosen_video(cameras, item.path, asked.video)
    found = _one_person(cameras[camera][:, : len(skeleton), :2], item, skeleton)
    return replace(found, video=asked.video)


def _one_person(array: NDArray[Any], item: Item, skeleton: Skeleton) -> KeypointFile:
    with np.errstate(invalid="ignore"):  # NaN of any kind is a missing joint
        numbers = array.astype(np.float64)
    frames = {}
    for index, joints in enumerate(numbers):
        scores = joints[:, 2] if joints.shape[1] == 3 else np.ones(len(joints))
        seen = Item(None, item.path, f"{item.place}[{index}]").person(joints[:, :2], scores, id=1)
        frames[index] = [seen] if seen else []
    return KeypointFile(path=item.path, format=NAME, skeleton=skeleton, frames=frames)


def _is_depth(column: NDArray[Any]) -> bool:
    """Whether a third column cannot be scores: most lie far outside of 0 to 1."""
    known = column[np.isfinite(column)]
    return bool(len(known) and np.mean((known < -0.01) | (known > MOST_SCORE)) > 0.1)


def _entries(path: Path, *keys: str) -> dict[str, NDArray[Any]]:
    """The arrays of a .npy or .npz; of the latter only `keys`, if given."""
    found = read_arrays(path, *keys, error=KeypointsError)
    return {key or "the array": array for key, array in found.items()}


def _check(poses: Pose2D) -> None:
    """What `Pose2D` leaves open, but lifting needs."""
    if not poses.people:
        raise ValueError("person_ids: there is nobody in it")
    check_values(poses)
    there = known_joints(poses.keypoints_2d)
    if (poses.observed & ~there.any(axis=2)).any():
        raise ValueError("keypoints_2d: a person is observed in a frame without a joint")
