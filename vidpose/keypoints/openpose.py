"""OpenPose: a folder with one JSON file for every frame (`--write_json`).

    {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x1, y1, score1, ...]}]}

OpenPose calls them `<video>_<frame>_keypoints.json`, others who write this format as they like:
Pose2Sim `<camera>_<frame>.json`. BODY_25 has 25 joints, the older COCO model 18; Pose2Sim and
Sports2D write the joints of their own models. 0, 0, 0 or NaN is a missing joint. Coordinates are
pixels, or with `--keypoint_scale 3` parts of width and height. Versions before 1.2 called the
joints `pose_keypoints`.
"""

from __future__ import annotations

import re

import numpy as np

from vidpose.keypoints.base import (
    NOTHING,
    Asked,
    Item,
    KeypointFile,
    PersonKeypoints,
    ask_for_17,
    skeleton_by_size,
)
from vidpose.keypoints.frame_names import frame_numbers
from vidpose.skeleton import (
    COCO17,
    HALPE26,
    HALPE136,
    OPENPOSE18,
    OPENPOSE25,
    WHOLEBODY133,
    Skeleton,
)

NAME = "openpose"
KNOWN = (OPENPOSE25, OPENPOSE18, HALPE26, WHOLEBODY133, HALPE136, COCO17)
KEYS = ("pose_keypoints_2d", "pose_keypoints")


def matches(item: Item) -> bool:
    """Whether the content of a JSON file is one frame of OpenPose."""
    return isinstance(item.value, dict) and isinstance(item.value.get("people"), list)


def read(item: Item, asked: Asked = NOTHING) -> KeypointFile:
    """Understand the content of one frame's file.

    Args:
        item: all of the file.
        asked: the skeleton is by default told by the number of joints.

    Raises:
        KeypointsError: the content is not OpenPose's.
        UsageError: there are 17 joints, and no skeleton is given.
    """
    skeleton = asked.skeleton or _skeleton(item)
    people = _people(item, skeleton)
    has_number = re.search("[0-9]", item.path.stem)
    index = next(iter(frame_numbers([item.path.name], item.path).values())) if has_number else 0
    return KeypointFile(
        path=item.path,
        format=NAME,
        skeleton=skeleton or OPENPOSE25,
        frames={Item(index, item.path, "the number in its name").integer(): people},
        normalised=bool(people) and all(_within_one(person) for person in people),
    )


def _people(item: Item, skeleton: Skeleton | None) -> list[PersonKeypoints]:
    out = []
    for person in item["people"]:
        assert skeleton is not None  # there is a person, so there was one to tell it by
        joints = _joints(person)
        seen = joints.person(*joints.triplets(skeleton), _id(person.get("person_id")))
        out += [seen] if seen else []
    return out


def _joints(person: Item) -> Item:
    found = (person.get(key) for key in KEYS)
    return next((joints for joints in found if joints is not None), None) or person[KEYS[0]]


def _skeleton(item: Item) -> Skeleton | None:
    """Whose joints it holds, by their number; None if nobody is in the frame."""
    for person in item["people"]:
        found = skeleton_by_size(_joints(person), 3, *KNOWN)
        if found == COCO17:
            ask_for_17(item.path, "Pose2Sim's COCO_17 and most models with 17 joints")
        return found
    return None


def _within_one(person: PersonKeypoints) -> bool:
    there = person.keypoints[np.isfinite(person.keypoints).all(axis=1)]
    return bool(((there >= 0) & (there <= 1)).all())


def _id(person: Item | None) -> int | None:
    """[-1] is nobody in particular."""
    if person is None or not isinstance(person.value, list):
        return None if person is None or person.value == -1 else person.integer()
    number = next(iter(person), None)
    return None if number is None or number.value == -1 else number.integer()
