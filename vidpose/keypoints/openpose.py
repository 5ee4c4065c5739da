"""OpenPose: a folder with one `<video>_<frame>_keypoints.json` for every frame (`--write_json`).

    {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x1, y1, score1, ...]}]}

BODY_25 has 25 joints, the older COCO model 18. 0, 0, 0 is a missing joint. The coordinates must
be pixels, which they are unless --keypoint_scale was given.
"""

from __future__ import annotations

import re
from pathlib import Path

from vidpose.errors import KeypointsError
from vidpose.keypoints.base import (
    Item,
    KeypointFile,
    PersonKeypoints,
    frame_number,
    read_json,
    skeleton_by_size,
)
from vidpose.skeleton import OPENPOSE18, OPENPOSE25, Skeleton

NAME = "openpose"
FILE = re.compile(r"(?:.*_)?([0-9]+)_keypoints\.json")


def matches(item: Item) -> bool:
    """Whether the content of a JSON file is one frame of OpenPose."""
    return isinstance(item.value, dict) and "people" in item.value


def read_folder(folder: Path, skeleton: Skeleton | None = None) -> KeypointFile:
    """Read all frames.

    Raises:
        KeypointsError: there are none, or one is not OpenPose's.
    """
    frames: dict[int, list[PersonKeypoints]] = {}
    found = skeleton
    for path in sorted(folder.glob("*_keypoints.json")):
        if (index := _index(path)) is None:
            raise KeypointsError(f"{path} has no frame number before '_keypoints.json'.")
        item = read_json(path)
        if index in frames:
            raise KeypointsError(f"{path}: frame {index} is there twice; give a folder per video.")
        found = found or _skeleton(item)
        frames[index] = _people(item, found)
    if not frames:
        raise KeypointsError(f"{folder} holds no *_keypoints.json, as OpenPose writes them.")
    return KeypointFile(path=folder, format=NAME, skeleton=found or OPENPOSE25, frames=frames)


def read(item: Item, skeleton: Skeleton | None = None) -> KeypointFile:
    """Understand the content of one frame's file."""
    skeleton = skeleton or _skeleton(item)
    frames = {_index(item.path) or 0: _people(item, skeleton)}
    return KeypointFile(path=item.path, format=NAME, skeleton=skeleton or OPENPOSE25, frames=frames)


def _index(path: Path) -> int | None:
    name = FILE.fullmatch(path.name)
    number = frame_number(name[1]) if name else None
    return None if number is None else Item(number, path, "the number in its name").integer()


def _people(item: Item, skeleton: Skeleton | None) -> list[PersonKeypoints]:
    out = []
    for person in item["people"]:
        assert skeleton is not None  # there is a person, so there was one to tell it by
        joints = person["pose_keypoints_2d"]
        seen = joints.person(*joints.triplets(skeleton), _id(person.get("person_id")))
        out += [seen] if seen else []
    return out


def _skeleton(item: Item) -> Skeleton | None:
    """Which of OpenPose's two body models it was; None if nobody is in the frame."""
    for person in item["people"]:
        return skeleton_by_size(person["pose_keypoints_2d"], 3, OPENPOSE25, OPENPOSE18)
    return None


def _id(person: Item | None) -> int | None:
    """[-1] is nobody in particular."""
    number = next(iter(person), None) if person else None
    return None if number is None or number.value == -1 else number.integer()
