"""Plain COCO: a list of results, or an annotation file with images and categories.

    [{"image_id": 7, "category_id": 1, "keypoints": [x1, y1, score1, ...], "score": s}, ...]

    {"images": [{"id": 7, "file_name": "000007.jpg", "width": w, "height": h}, ...],
     "annotations": [{"image_id": 7, "category_id": 1, "keypoints": [x1, y1, v1, ...]}, ...],
     "categories": [{"id": 1, "keypoints": ["nose", ...]}]}

The frame is the number in the image's file name where there are names, else `image_id`. In
annotations the third number is the visibility: 0 is missing, 1 (hidden) and 2 (seen) are there.
"""

from __future__ import annotations

from vidpose.keypoints.base import (
    Item,
    KeypointFile,
    PersonKeypoints,
    agreed,
    frame_number,
    skeleton_of_names,
)
from vidpose.skeleton import COCO17, Skeleton

NAME = "coco"


def matches(item: Item) -> bool:
    """Whether the content of a JSON file is plain COCO."""
    value = item.value
    if isinstance(value, dict):
        return "annotations" in value
    first = value[0] if isinstance(value, list) and value else None
    return (
        isinstance(first, dict)
        and "keypoints" in first
        and isinstance(first.get("image_id"), int)
        and "idx" not in first
    )


def read(item: Item, skeleton: Skeleton | None = None) -> KeypointFile:
    """Understand the content of a JSON file.

    Args:
        item: all of the file.
        skeleton: whose joints they are; by default what the category says, and COCO's 17 where
            it says nothing.

    Raises:
        KeypointsError: the content is not COCO's.
        UsageError: `skeleton` contradicts the file.
    """
    annotated = isinstance(item.value, dict)
    named = _skeleton(item) if annotated else None
    skeleton = agreed(named, skeleton, item.path) if named else skeleton or COCO17
    numbers, size = _images(item) if annotated else ({}, None)
    frames: dict[int, list[PersonKeypoints]] = {index: [] for index in numbers.values()}
    for person in item["annotations"] if annotated else item:
        if (joints := person.get("keypoints")) is None:
            continue  # a box without joints
        xy, third = joints.triplets(skeleton)
        # Unlabelled joints carry 0, 0; whoever labels a joint is sure of it.
        seen = joints.person(xy, (third > 0).astype(float) if annotated else third)
        image = person["image_id"]
        number = image.integer()
        if numbers and number not in numbers:
            image.fail(f"is {number}, which is none of the images")
        frames.setdefault(numbers.get(number, number), []).extend([seen] if seen else [])
    return KeypointFile(
        path=item.path, format=NAME, skeleton=skeleton, frames=frames, frame_size=size
    )


def _skeleton(item: Item) -> Skeleton | None:
    """The skeleton that the categories tell by the names of their joints."""
    for category in item.get("categories") or Item([], item.path):
        if (joints := category.get("keypoints")) is not None:
            found = skeleton_of_names(tuple(name.text() for name in joints))
            if found is None:
                joints.fail("has joints of no skeleton known here")
            return found
    return None


def _images(item: Item) -> tuple[dict[int, int], tuple[int, int] | None]:
    """Frame by image id, and the size that all images have, if they tell."""
    ids, names, sizes = [], [], set()
    for image in item.get("images") or Item([], item.path):
        ids.append(image["id"].integer())
        name = image.get("file_name")
        names.append(frame_number(name.text()) if name else None)
        width, height = image.get("width"), image.get("height")
        sizes.add((width.integer(), height.integer()) if width and height else None)
    known = [name for name in names if name is not None]
    usable = len(known) == len(ids) and len(set(known)) == len(known)
    size = next(iter(sizes)) if len(sizes) == 1 else None
    return dict(zip(ids, known if usable else ids, strict=True)), size
