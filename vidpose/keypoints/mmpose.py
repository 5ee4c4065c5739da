"""MMPose's predictions: a list of frames, bare or together with the skeleton.

MMPose 1.x writes two layouts. Its inferencers (`--pred-out-dir`) write the bare list

    [{"frame_id": 0, "instances": [{"keypoints": [[x, y], ...], "keypoint_scores": [...],
                                    "bbox": [[x1, y1, x2, y2]], "bbox_score": s}, ...]}, ...]

with frames counted from 0, and for a single picture only the instances. Its demo scripts
(`--save-predictions`) write the same list as `instance_info`, with frames counted from 1, and a
`meta_info` that names the joints. We write the second, since it names its joints. Users also save
the inferencer's return values for each frame, `{"predictions": [[{...}, ...]]}`, or those of RTMLib
and ViTPose, which are similar: `keypoints` with `scores`, of one person or of all people of a
frame.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.keypoints import nested
from vidpose.keypoints.base import (
    NOTHING,
    Asked,
    Item,
    KeypointFile,
    PersonKeypoints,
    agreed,
    are_normalised,
    ask_for_17,
    skeleton_by_size,
)
from vidpose.keypoints.joint_names import skeleton_of_names
from vidpose.poses import Pose2D
from vidpose.skeleton import BLAZEPOSE33, COCO17, H36M17, HALPE26, HALPE136, WHOLEBODY133, Skeleton
from vidpose.utils.files import replacing
from vidpose.utils.marks import check_replaceable

NAME = "mmpose"
MARK = b'"frame_size": ['
"""In the files that `write` writes, and in none of MMPose itself."""

H36M_NAMES = (
    *("root", "right_hip", "right_knee", "right_foot", "left_hip", "left_knee", "left_foot"),
    *("spine", "thorax", "neck_base", "head", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_shoulder", "right_elbow", "right_wrist"),
)
"""Names of h36m17's joints in MMPose's dataset `h36m`, in the same order."""


def matches(item: Item) -> bool:
    """Whether the content of a JSON file is MMPose's."""
    value = item.value
    if isinstance(value, dict) and ("instance_info" in value or "meta_info" in value):
        return True
    first = value[0] if isinstance(value, list) and value else None
    if isinstance(first, dict) and ("instances" in first or "keypoint_scores" in first):
        return True
    return nested.has_people(value, _is_person)


def read(item: Item, asked: Asked = NOTHING) -> KeypointFile:
    """Parse the content of a JSON file.

    Args:
        item: the whole file.
        asked: the skeleton is required if there are 17 joints without names in `meta_info`.

    Raises:
        KeypointsError: the content is not MMPose's, or not 2D joints.
        UsageError: the requested skeleton contradicts the file, or is required but not given.
    """
    meta, frames, first = None, item, 0
    if isinstance(item.value, dict) and not _written_out(item):
        meta, frames, first = item.get("meta_info"), item["instance_info"], 1
    instances, warnings = _instances(frames, first, asked.video)
    named = _skeleton(meta, asked.skeleton)
    skeleton = (
        agreed(named, asked.skeleton, item.path)
        if named
        else asked.skeleton or _unnamed_skeleton(instances)
    )
    out: dict[int, list[PersonKeypoints]] = {}
    for index, people in instances:
        seen = (_person(person, skeleton) for person in people)
        out.setdefault(index, []).extend(one for one in seen if one is not None)
    fps, size = (meta.get("fps"), meta.get("frame_size")) if meta else (None, None)
    return KeypointFile(
        path=item.path,
        format=NAME,
        skeleton=skeleton or COCO17,
        frames=out,
        fps=fps.positive() if fps else None,
        frame_size=_size(size) if size else None,
        video=asked.video if _written_out(item) else None,
        normalised=_written_out(item) and are_normalised(out),
        warnings=warnings,
    )


def _is_person(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("keypoints"), list):
        return False
    joints, scores = value["keypoints"], value.get(_scores_key(value) or "")
    if not all(isinstance(j, list) and not any(isinstance(n, list) for n in j) for j in joints):
        return False
    if "keypoint_scores" in value:
        return True
    # In other programs a third number is the score.
    pairs = all(len(joint) == 2 for joint in joints) and len(joints) != len(BLAZEPOSE33)
    return pairs and isinstance(scores, list) and len(scores) == len(joints)


def _scores_key(value: dict[str, Any]) -> str | None:
    """Return the key of a person's scores; RTMLib and ViTPose call them `scores`."""
    return next((key for key in nested.SCORES if isinstance(value.get(key), list)), None)


def _written_out(item: Item) -> bool:
    """Whether a user saved the return values of an inferencer."""
    rows = item.value if isinstance(item.value, list) else [item.value]
    known = ("instances", "instance_info", "meta_info")
    first = rows[0] if rows else None
    plain = isinstance(first, dict) and any(key in first for key in known)
    return not plain and nested.has_people(item.value, _is_person)


def _instances(
    frames: Item, first: int, video: str | None
) -> tuple[list[tuple[int, list[Item]]], tuple[str, ...]]:
    """Return the people of every frame, with frames counted from `first`, and warnings."""
    if _written_out(frames):
        found, warnings = nested.frames(frames, _is_person, video)
        return list(found.items()), warnings
    return [(_index(row, first), list(row["instances"])) for row in frames], ()


def check_target(path: Path) -> None:
    """Check early that `write` can write a file and replaces no file of others.

    Raises:
        UsageError: the file exists and `write` did not write it.
        VidposeError: the file cannot be written.
    """
    check_replaceable(path, MARK)


def write(poses: Pose2D, path: str | Path) -> Path:
    """Write 2D joints as MMPose's demo scripts do; the file appears complete or not at all.

    Frames in which a person is present become instances, interpolated ones too; a missing joint
    is 0, 0 with score 0. In addition to MMPose's own keys, `meta_info` has the average frame rate
    and the frame size, and each instance its `track_id`, so that `read` returns the same people.
    """
    names = H36M_NAMES if poses.skeleton == H36M17 else poses.skeleton.joint_names
    meta = {
        "dataset_name": "h36m" if poses.skeleton == H36M17 else poses.skeleton.name,
        "num_keypoints": len(names),
        "keypoint_id2name": {str(i): name for i, name in enumerate(names)},
        "keypoint_name2id": {name: i for i, name in enumerate(names)},
        "fps": poses.fps,
        "frame_size": list(poses.frame_size),
    }
    frames = [
        {
            "frame_id": int(index) + 1,
            "instances": [
                _instance(poses, p, t) for p in np.flatnonzero(poses.present[:, t]).tolist()
            ],
        }
        for t, index in enumerate(poses.frame_indices)
    ]
    path = Path(path)
    with replacing(path) as temporary:
        text = json.dumps({"meta_info": meta, "instance_info": frames}, allow_nan=False)
        temporary.write_text(text)
    return path


def _instance(poses: Pose2D, person: int, frame: int) -> dict[str, Any]:
    joints, scores = poses.keypoints_2d[person, frame], poses.scores_2d[person, frame]
    there = np.isfinite(joints).all(axis=1)
    low, high = joints[there].min(axis=0, initial=np.inf), joints[there].max(axis=0, initial=0)
    return {
        "keypoints": np.where(there[:, None], joints, 0).tolist(),
        "keypoint_scores": np.where(there, scores, 0).tolist(),
        # MMPose wraps the box in a list.
        "bbox": [[*np.minimum(low, high).tolist(), *high.tolist()]],
        "bbox_score": float(scores.mean()),
        "track_id": int(poses.person_ids[person]),
    }


def _person(person: Item, skeleton: Skeleton | None) -> PersonKeypoints | None:
    assert skeleton is not None  # known, since there is a person
    joints = person["keypoints"]
    if joints.value and isinstance(joints.value, list) and _columns(joints.value) == 3:
        joints.fail("is 3D; lifting needs the 2D joints in pixels")
    xy = joints.array(len(skeleton), 2)
    scores_key = _scores_key(person.value)
    scores = person.get(scores_key) if scores_key else None
    track = person.get("track_id")
    values = scores.array(len(skeleton)) if scores else np.ones(len(skeleton))
    return joints.person(xy, values, track.person_id() if track else None)


def _columns(rows: list[Any]) -> int:
    return len(rows[0]) if isinstance(rows[0], list) else 0


def _index(row: Item, first: int) -> int:
    number = row["frame_id"]
    index = number.integer() - first
    if index < 0:
        number.fail(f"is 0, but next to `meta_info` MMPose counts frames from {first}")
    return index


def _skeleton(meta: Item | None, asked: Skeleton | None) -> Skeleton | None:
    """Return the skeleton of the joint names in `meta_info`; None without names, or if they are
    unknown and the user requested a skeleton with as many joints.
    """
    named = meta.get("keypoint_id2name") if meta else None
    if meta is None or named is None:
        return None
    if not isinstance(named.value, dict):
        named.fail("is not an object")
    names = tuple(str(named.value.get(str(i))) for i in range(len(named.value)))
    found = H36M17 if names == H36M_NAMES else skeleton_of_names(names)
    if found is None and (asked is None or len(asked) != len(names)):
        named.fail(f"has joints of no known skeleton ({', '.join(names)[:60]} ...)")
    return found


def _unnamed_skeleton(instances: list[tuple[int, list[Item]]]) -> Skeleton | None:
    """Return the skeleton of joints without names; None if there are no people.

    Raises:
        UsageError: there are 17 joints, and MMPose has models for both COCO's and Human3.6M's.
    """
    for person in (person for _, row in instances for person in row):
        joints = person["keypoints"]
        found = skeleton_by_size(joints, 1, COCO17, HALPE26, WHOLEBODY133, HALPE136)
        if len(found) == len(H36M17):
            ask_for_17(joints.path, "MMPose's body models")
        return found
    return None


def _size(size: Item) -> tuple[int, int]:
    numbers = list(size)
    if len(numbers) != 2:
        size.fail("is not a width and a height")
    return numbers[0].integer(), numbers[1].integer()
