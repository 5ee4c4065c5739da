"""Ultralytics YOLO's poses: a text file for every frame, or JSON.

`save_txt=True` and datasets have a text file for each picture with people, with a line per person:

    class x y width height x1 y1 [score1] x2 y2 [score2] ... [score of the person] [track id]

all as fractions of the picture's width and height. `result.to_json()` returns for each picture

    [{"name": "person", "class": 0, "confidence": s, "box": {...}, "track_id": 3,
      "keypoints": {"x": [...], "y": [...], "visible": [...]}}, ...]

in pixels, or normalised if requested; users collect them in a list, an object by frame, or files.
Joints with low confidence are 0, 0 with their low score. The models have COCO's joints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import KeypointsError
from vidpose.keypoints import nested
from vidpose.keypoints.base import (
    NOTHING,
    Asked,
    Item,
    KeypointFile,
    PersonKeypoints,
    are_normalised,
)
from vidpose.keypoints.frame_names import frame_numbers
from vidpose.skeleton import COCO17, Skeleton

NAME = "yolo"
BEFORE = 5
"""Number of values in a line before the joints: class and box."""
LISTS = ("classes.txt", "obj.txt", "train.txt", "val.txt", "test.txt", "notes.txt")
"""Text files next to label files that are not labels."""


def matches(item: Item) -> bool:
    """Whether the content of a JSON file is Ultralytics'."""
    return nested.has_people(item.value, _is_person)


def read(item: Item, asked: Asked = NOTHING) -> KeypointFile:
    """Parse the content of a JSON file.

    Args:
        item: the whole file.
        asked: by default the skeleton is COCO's.

    Raises:
        KeypointsError: the content is not Ultralytics', or another skeleton's.
        UsageError: there are several videos and none was chosen.
    """
    skeleton = asked.skeleton or COCO17
    found, warnings = nested.frames(item, _is_person, asked.video)
    frames: dict[int, list[PersonKeypoints]] = {}
    for index, people in found.items():
        seen = [_person(person, skeleton) for person in people if _is_human(person)]
        frames[index] = [one for one in seen if one is not None]
    return KeypointFile(
        path=item.path,
        format=NAME,
        skeleton=skeleton,
        frames=frames,
        normalised=are_normalised(frames),
        video=asked.video,
        warnings=warnings,
    )


def text_files(folder: Path) -> list[Path]:
    """List the label files in a folder."""
    return [path for path in sorted(folder.glob("*.txt")) if path.name not in LISTS]


def read_texts(path: Path, asked: Asked = NOTHING) -> KeypointFile:
    """Read a folder of label files, or a single one.

    Args:
        path: the folder or the file.
        asked: by default the skeleton is COCO's; the video, if the folder has labels of several.

    Raises:
        KeypointsError: a file is not a label file, or of another skeleton.
        UsageError: there are several videos and none was chosen.
    """
    files = {one.name: one for one in (text_files(path) if path.is_dir() else [path])}
    numbers = frame_numbers(files, path, asked.video)
    skeleton = asked.skeleton or COCO17
    rows = [
        (index, row)
        for name, number in numbers.items()
        for index in [Item(number, files[name], "the number in its name").integer()]
        for row in _rows(files[name])
    ]
    classes = {row.value[0] for _, row in rows}
    warnings: tuple[str, ...] = ()
    if len(classes) > 1:
        rows = [(index, row) for index, row in rows if row.value[0] == 0]
        warnings = (f"{path} holds several classes; class 0 is taken as people.",)
    ids = _ids([row for _, row in rows], skeleton)
    first = _first(numbers)
    frames: dict[int, list[PersonKeypoints]] = {n - first: [] for n in numbers.values()}
    for (index, row), id in zip(rows, ids, strict=True):
        joints = _joints(row, skeleton)
        seen = row.person(joints[:, :2], joints[:, 2], id)
        frames[index - first].extend([seen] if seen else [])
    return KeypointFile(
        path=path,
        format=NAME,
        skeleton=skeleton,
        frames=frames,
        normalised=True,
        video=asked.video,
        warnings=warnings,
    )


def _first(numbers: Mapping[str, int]) -> int:
    """Return the number of the first frame: Ultralytics names those of a video `clip_1.txt`,
    `clip_2.txt` ... without leading zeros. If the first frame has no people, this looks the same as
    counting from 0.
    """
    plain = all(re.search(rf"_{number}\.txt$", name) for name, number in numbers.items())
    return int(plain and min(numbers.values(), default=0) == 1 and len(numbers) > 1)


def _is_person(value: Any) -> bool:
    joints = value.get("keypoints") if isinstance(value, dict) else None
    return isinstance(joints, dict) and isinstance(joints.get("x"), list) and "y" in joints


def _is_human(person: Item) -> bool:
    return str(person.value.get("name", "person")).lower() == "person"


def _person(person: Item, skeleton: Skeleton) -> PersonKeypoints | None:
    joints = person["keypoints"]
    count = len(skeleton)
    xy = np.stack([joints[axis].array(count, of=skeleton) for axis in ("x", "y")], axis=1)
    visible = joints.get("visible")
    scores = visible.array(count) if visible else np.ones(count)
    track = person.get("track_id")
    return joints.person(xy, scores, track.person_id() if track else None)


def _rows(path: Path) -> list[Item]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = [line.split() for line in text.splitlines()]
        rows = [[float(number) for number in line] for line in lines if line]
    except OSError as error:
        raise KeypointsError(f"{path} cannot be read ({error.strerror}).") from None
    except ValueError:
        raise KeypointsError(
            f"{path} is no label file of YOLO (lines of numbers: class, box and joints)."
        ) from None
    return [Item(row, path, f"line {n}") for n, row in enumerate(rows, 1)]


def _layout(row: Item, skeleton: Skeleton) -> tuple[int, int]:
    """Return the number of values per joint, and of values after the joints."""
    behind = len(row.value) - BEFORE
    each = next((n for n in (3, 2) if 0 <= behind - n * len(skeleton) <= 2), None)
    if each is None:
        row.fail(
            f"has {len(row.value)} numbers, not class, box and 2 or 3 for each of {len(skeleton)} "
            f"joints ({skeleton.name}); give the right --skeleton"
        )
    return each, behind - each * len(skeleton)


def _joints(row: Item, skeleton: Skeleton) -> NDArray[np.float64]:
    """(J, 3): x, y, score."""
    each, _ = _layout(row, skeleton)
    numbers = np.array(row.value[BEFORE : BEFORE + each * len(skeleton)]).reshape(-1, each)
    return numbers if each == 3 else np.insert(numbers, 2, 1.0, axis=1)


def _ids(rows: list[Item], skeleton: Skeleton) -> list[int | None]:
    """Return track IDs: the second of two values after the joints, or the only one if whole."""
    behind = [_layout(row, skeleton)[1] for row in rows]
    whole = all(row.value[-1].is_integer() and row.value[-1] >= 1 for row in rows)
    if not rows or len(set(behind)) > 1 or behind[0] == 0 or (behind[0] == 1 and not whole):
        return [None] * len(rows)
    return [Item(row.value[-1], row.path, f"{row.place}: the track id").integer() for row in rows]
