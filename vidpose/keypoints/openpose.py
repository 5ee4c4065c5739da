"""OpenPose: a folder with one JSON file for every frame (`--write_json`), or a list of frames.

    {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x1, y1, score1, ...]}]}

OpenPose names the files `<video>_<frame>_keypoints.json`; other programs that write this format
have other names: Pose2Sim `<camera>_<frame>.json`. BODY_25 has 25 joints, the older COCO model 18;
Pose2Sim and Sports2D write the joints of their own models. 0, 0, 0 or NaN is a missing joint.
Coordinates are pixels, or with `--keypoint_scale 3` fractions of width and height. Versions before
1.2 called the joints `pose_keypoints`. People with only hands or a face are skipped.

ComfyUI's DWPose and OpenPose nodes write a list with an entry for every frame, which also has the
frame size, `canvas_width` and `canvas_height`. Older nodes write fractions of it, newer pixels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from vidpose.keypoints import nested
from vidpose.keypoints.base import (
    NOTHING,
    Asked,
    Item,
    KeypointFile,
    PersonKeypoints,
    are_normalised,
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
    """Whether the content of a JSON file is one frame of OpenPose, or a list of them."""
    if not isinstance(item.value, list):
        return _is_frame(item.value)
    if not item.value or not all(_is_frame(frame) for frame in item.value):
        return False
    # Other formats have a `people` key, too, with joints in another layout.
    return all(_is_person(person) for frame in item.value for person in frame["people"][:1])


def read(item: Item, asked: Asked = NOTHING) -> KeypointFile:
    """Parse the content of one frame's file, or of a list of frames.

    Args:
        item: the whole file.
        asked: by default the skeleton is chosen by the number of joints.

    Raises:
        KeypointsError: the content is not OpenPose's.
        UsageError: there are 17 joints, and no skeleton is given.
    """
    several = isinstance(item.value, list)
    found, warnings = (
        nested.frames(item, _is_person, None)
        if several
        else ({_number(item): [*item["people"]]}, ())
    )
    bodies = {
        index: [person for person in people if not _is_bodiless(person)]
        for index, people in found.items()
    }
    skeleton = asked.skeleton or _skeleton([one for people in bodies.values() for one in people])
    frames = {index: _people(people, skeleton) for index, people in bodies.items()}
    sizes = {
        frame.picture_size("canvas_width", "canvas_height")
        for frame in (item if several else [item])
    }
    return KeypointFile(
        path=item.path,
        format=NAME,
        skeleton=skeleton or OPENPOSE25,
        frames=frames,
        frame_size=sizes.pop() if len(sizes) == 1 else None,
        normalised=are_normalised(frames) if several else _are_within_one(*frames.values()),
        warnings=warnings,
    )


def _is_frame(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("people"), list)


def _is_person(value: Any) -> bool:
    return isinstance(value, dict) and any(key in value for key in KEYS)


def _is_bodiless(person: Item) -> bool:
    """Whether only hands or a face of a person were found."""
    return _is_person(person.value) and all(person.value.get(key) in (None, []) for key in KEYS)


def _number(item: Item) -> int:
    """Return the frame number from the name of a frame's file."""
    has_number = re.search("[0-9]", item.path.stem)
    index = next(iter(frame_numbers([item.path.name], item.path).values())) if has_number else 0
    return Item(index, item.path, "the number in its name").integer()


def _people(people: Sequence[Item], skeleton: Skeleton | None) -> list[PersonKeypoints]:
    out = []
    for person in people:
        assert skeleton is not None  # known, since there is a person
        joints, id = _joints(person), person.get("person_id")
        seen = joints.person(*joints.triplets(skeleton), id.person_id() if id else None)
        out += [seen] if seen else []
    return out


def _joints(person: Item) -> Item:
    found = (person.get(key) for key in KEYS)
    return next((joints for joints in found if joints is not None), None) or person[KEYS[0]]


def _skeleton(people: Sequence[Item]) -> Skeleton | None:
    """Choose the skeleton by the number of joints; None if there are no people."""
    for person in people:
        found = skeleton_by_size(_joints(person), 3, *KNOWN)
        if found == COCO17:
            ask_for_17(person.path, "Pose2Sim's COCO_17 and most models with 17 joints")
        return found
    return None


def _are_within_one(people: Sequence[PersonKeypoints]) -> bool:
    there = [one.keypoints[np.isfinite(one.keypoints).all(axis=1)] for one in people]
    return bool(people) and all(((joints >= 0) & (joints <= 1)).all() for joints in there)
