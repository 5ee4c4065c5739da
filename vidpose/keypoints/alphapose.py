"""AlphaPose's `alphapose-results.json`: COCO-like results that name the image and the person.

    [{"image_id": "12.jpg", "category_id": 1, "keypoints": [x1, y1, score1, ...],
      "score": s, "box": [...], "idx": 3}, ...]

`--format open` and `--format cmu` write an object with an entry for each picture, in OpenPose's
18 joints; PoseFlow, a tracker, writes a list for each picture:

    {"12.jpg": {"version": "AlphaPose v0.3", "people": [{"pose_keypoints_2d": [...]}, ...]}, ...}
    {"12.jpg": {"version": "AlphaPose v0.3", "bodies": [{"joints": [...]}, ...]}, ...}
    {"12.jpg": [{"keypoints": [...], "scores": s, "idx": 3}, ...], ...}

`--sp` writes the entries of the first two into a file for each picture. The frame is the number in
the image's name; the person is `idx`, which comes from tracking. It may be a list, of several
numbers if people were merged; without tracking it is often 0 for everybody. COCO's results look the
same if images have names, so of several categories only people are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vidpose.keypoints.base import (
    NOTHING,
    Asked,
    Item,
    KeypointFile,
    PersonKeypoints,
    skeleton_by_size,
)
from vidpose.keypoints.coco import People
from vidpose.keypoints.frame_names import frame_numbers
from vidpose.skeleton import COCO17, HALPE26, HALPE136, OPENPOSE18, WHOLEBODY133

NAME = "alphapose"
KNOWN = (COCO17, HALPE26, WHOLEBODY133, HALPE136)

_OWN_KEYS = {"people": "pose_keypoints_2d", "bodies": "joints"}
"""Keys of people with `--format open` and `cmu`, and of a person's joints."""


def matches(item: Item) -> bool:
    """Whether the content of a JSON file is AlphaPose's."""
    value = item.value
    if isinstance(value, dict):
        entries = [entry for entry in value.values() if entry != []] or [None]
        people = entries[0][0] if isinstance(entries[0], list) else None
        of_pictures = isinstance(entries[0], dict) and not _OWN_KEYS.keys().isdisjoint(entries[0])
        tracked = isinstance(people, dict) and isinstance(people.get("keypoints"), list)
        return "bodies" in value or of_pictures or tracked
    first = value[0] if isinstance(value, list) and value else None
    return (
        isinstance(first, dict)
        and isinstance(first.get("keypoints"), list)
        and (isinstance(first.get("image_id"), str) or "idx" in first)
    )


def read(item: Item, asked: Asked = NOTHING) -> KeypointFile:
    """Parse the content of a JSON file.

    Args:
        item: the whole file.
        asked: by default the skeleton is chosen among AlphaPose's models by the number of joints.

    Raises:
        KeypointsError: the content is not AlphaPose's.
        UsageError: it holds several videos, and none was chosen.
    """
    among = People.unnamed(item, item.path) if isinstance(item.value, list) else People()
    rows = list(_rows(item, among))
    people = [
        (image, joints, idx)
        for image, joints, idx, _ in rows
        if joints is not None and joints.value != []
    ]
    skeleton = asked.skeleton
    if skeleton is None:
        known = (OPENPOSE18,) if any(own for *_, own in rows) else KNOWN
        skeleton = skeleton_by_size(people[0][1], 3, *known) if people else COCO17
    names = {_name(image, item.path): image for image, *_ in rows}
    numbers = frame_numbers(names, item.path, asked.video)
    frames: dict[int, list[PersonKeypoints]] = {}
    for name, number in numbers.items():
        frames[Item(number, item.path, (names[name] or item).place).integer()] = []
    for image, joints, idx in people:
        name = _name(image, item.path)
        if name in numbers:
            person = joints.person(*joints.triplets(skeleton), idx.person_id() if idx else None)
            frames[numbers[name]].extend([person] if person else [])
    return KeypointFile(
        path=item.path,
        format=NAME,
        skeleton=skeleton,
        frames=frames,
        video=asked.video,
        warnings=among.warnings,
    )


def _name(image: Item | None, path: Path) -> str:
    """Return a picture's name; in a file for one picture, the file's name."""
    if image is not None:
        return image.text()
    return path.name if re.search("[0-9]", path.stem) else "0"


Row = tuple["Item | None", "Item | None", "Item | None", bool]
"""A picture's name, a person's joints and idx, if any, and whether the joints are those of
`--format open` or `cmu`."""


def _rows(item: Item, among: People) -> Iterator[Row]:
    if isinstance(item.value, list):
        for row in item:
            joints = row["keypoints"] if among.has(row) else None
            yield row["image_id"], joints, row.get("idx"), False
    elif "bodies" in item.value:
        yield from _own_rows(item, None)  # one picture's, whose name is the file's
    else:
        for name in item.value:
            image, entry = Item(name, item.path, name), item[name]
            if isinstance(entry.value, dict):
                yield from _own_rows(entry, image)
            else:
                yield image, None, None, False
                for row in entry:
                    yield image, row["keypoints"], row.get("idx"), False


def _own_rows(entry: Item, image: Item | None) -> Iterator[Row]:
    yield image, None, None, True
    key = "bodies" if "bodies" in entry.value else "people"
    for person in entry[key]:
        yield image, person[_OWN_KEYS[key]], None, True
