"""AlphaPose's `alphapose-results.json`: COCO-like results that name the image and the person.

    [{"image_id": "12.jpg", "category_id": 1, "keypoints": [x1, y1, score1, ...],
      "score": s, "box": [...], "idx": 3}, ...]

The frame is the number in the image's name; `idx`, which its tracking gives, is the person. Its
models give COCO's 17 joints or Halpe's 26.
"""

from __future__ import annotations

from vidpose.keypoints.base import (
    Item,
    KeypointFile,
    PersonKeypoints,
    frame_number,
    skeleton_by_size,
)
from vidpose.skeleton import COCO17, HALPE26, Skeleton

NAME = "alphapose"


def matches(item: Item) -> bool:
    """Whether the content of a JSON file is AlphaPose's."""
    value = item.value
    first = value[0] if isinstance(value, list) and value else None
    return (
        isinstance(first, dict)
        and "keypoints" in first
        and (isinstance(first.get("image_id"), str) or "idx" in first)
    )


def read(item: Item, skeleton: Skeleton | None = None) -> KeypointFile:
    """Understand the content of a JSON file.

    Args:
        item: all of the file.
        skeleton: whose joints they are; by default those of AlphaPose's models, COCO's or Halpe's.

    Raises:
        KeypointsError: the content is not AlphaPose's.
    """
    rows = list(item)
    if skeleton is None:
        skeleton = skeleton_by_size(rows[0]["keypoints"], 3, COCO17, HALPE26) if rows else COCO17
    frames: dict[int, list[PersonKeypoints]] = {}
    for row in rows:
        joints = row["keypoints"]
        person = joints.person(*joints.triplets(skeleton), _person(row.get("idx")))
        frames.setdefault(_index(row["image_id"]), []).extend([person] if person else [])
    return KeypointFile(path=item.path, format=NAME, skeleton=skeleton, frames=frames)


def _index(image: Item) -> int:
    number = frame_number(image.text())
    if number is None:
        image.fail(f"is {image.value[:40]!r}, a name without a frame's number")
    return Item(number, image.path, image.place).integer()


def _person(idx: Item | None) -> int | None:
    """Some versions wrap the number in lists."""
    while idx is not None and isinstance(idx.value, list) and len(idx.value) == 1:
        idx = Item(idx.value[0], idx.path, idx.place)
    return idx.integer() if idx else None
