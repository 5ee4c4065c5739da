"""Plain COCO: a list of results, or an annotation file with images and categories.

    [{"image_id": 7, "category_id": 1, "keypoints": [x1, y1, score1, ...], "score": s}, ...]

    {"images": [{"id": 7, "file_name": "000007.jpg", "width": w, "height": h}, ...],
     "annotations": [{"image_id": 7, "category_id": 1, "keypoints": [x1, y1, v1, ...]}, ...],
     "categories": [{"id": 1, "name": "person", "keypoints": ["nose", ...]}]}

The frame is the number in the image's file name if there are names, else `image_id`. In
annotations the third number is the visibility: 0 is missing, 1 (occluded) and 2 (visible) are
known. With any other number they are scores. Only people are read: the category with such a name,
or with the joints of people. Of several categories without names it is COCO's own, 1; a file with a
category 0 has its own numbering and is rejected.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import KeypointsError
from vidpose.keypoints.base import (
    DIGITS,
    LAST_FRAME,
    NOTHING,
    Asked,
    Item,
    KeypointFile,
    PersonKeypoints,
    agreed,
)
from vidpose.keypoints.frame_names import frame_numbers
from vidpose.keypoints.joint_names import missing_joints, skeleton_of_names
from vidpose.skeleton import COCO17, Skeleton

NAME = "coco"
PERSON_ID = 1
"""The category of people in COCO's own files, and in results, which do not name categories."""
COCO_IDS = range(1, 91)
"""All of COCO's own categories."""
LAST_ID = 10**18
"""Image IDs are below this; longer numbers are not read exactly."""
VISIBILITY = (0, 1, 2)
"""Not labelled, occluded, visible."""
SHOWN = 6
"""Maximum number of categories in a message."""
_PEOPLE = re.compile(r"(person|people|human|pedestrian)s?", re.I)


def matches(item: Item) -> bool:
    """Whether the content of a JSON file is plain COCO."""
    value = item.value
    if isinstance(value, dict):
        return "annotations" in value
    first = value[0] if isinstance(value, list) and value else None
    return (
        isinstance(first, dict)
        and isinstance(first.get("keypoints"), list | str)
        and isinstance(first.get("image_id"), int)
        and "idx" not in first
    )


def read(item: Item, asked: Asked = NOTHING) -> KeypointFile:
    """Parse the content of a JSON file.

    Args:
        item: the whole file.
        asked: by default the skeleton is that of the category's joint names, or COCO's 17 without
            names.

    Raises:
        KeypointsError: the content is not COCO's, or its people have no known joints.
        UsageError: the requested skeleton contradicts the file; or the file holds several videos,
            and none was chosen.
    """
    annotated = isinstance(item.value, dict)
    rows = [row for row in (item["annotations"] if annotated else item) if _has_joints(row)]
    people = People.of(item, rows, asked.skeleton)
    skeleton = people.skeleton or asked.skeleton or COCO17
    images = _Images.of(item, asked.video) if annotated else _Images()
    kept: list[tuple[int, Item, NDArray[np.float64], NDArray[np.float64]]] = []
    for row in rows:
        image = row["image_id"]
        number = image.integer(LAST_ID if images.all else LAST_FRAME)
        if images.all and number not in images.all:
            image.fail(f"is {number}, which is none of the images")
        if not people.has(row) or (images.all and number not in images.frames):
            continue  # an animal, or another video
        kept.append((images.frames.get(number, number), row, *row["keypoints"].triplets(skeleton)))
    labelled = annotated and all(_are_visibilities(third) for *_, third in kept)
    frames: dict[int, list[PersonKeypoints]] = {index: [] for index in images.frames.values()}
    for index, row, xy, third in kept:
        # Unlabelled joints have 0, 0; labelled ones are certain.
        scores = (third > 0).astype(float) if labelled else third
        seen = row["keypoints"].person(xy, scores, _track(row))
        frames.setdefault(index, []).extend([seen] if seen else [])
    return KeypointFile(
        path=item.path,
        format=NAME,
        skeleton=skeleton,
        frames=frames,
        frame_size=images.size,
        video=asked.video if images.named else None,
        warnings=people.warnings,
    )


def _has_joints(row: Item) -> bool:
    """Whether a row has joints, not only a box."""
    joints = row.get("keypoints")
    return joints is not None and joints.value != []


def _are_visibilities(third: NDArray[np.float64]) -> bool:
    return bool(np.isin(third[np.isfinite(third)], VISIBILITY).all())


def _is_numbered(row: Item) -> bool:
    category = row.value.get("category_id") if isinstance(row.value, dict) else None
    return not isinstance(category, str) or DIGITS.fullmatch(category) is not None


def _category(row: Item) -> int | None:
    category = row.get("category_id")
    return category.integer() if category else None


def _track(row: Item) -> int | None:
    """Return the person's ID: the track of PoseTrack or CVAT, if there is one."""
    attributes = row.get("attributes")
    within = attributes if attributes and isinstance(attributes.value, dict) else None
    track = row.get("track_id") or (within.get("track_id") if within else None)
    known = track and (isinstance(track.value, int | float) or DIGITS.fullmatch(str(track.value)))
    return track.person_id() if track and known else None


Categories = dict[int, tuple[str, tuple[str, ...]]]
"""Name and joints of every category, by its id."""


@dataclass(frozen=True)
class People:
    """The categories of people."""

    categories: frozenset[int] = frozenset()
    """Their IDs; empty if all rows are people."""
    skeleton: Skeleton | None = None
    """The skeleton of their joint names."""
    warnings: tuple[str, ...] = ()

    def has(self, row: Item) -> bool:
        category = _category(row) if self.categories else None
        return category is None or category in self.categories

    @classmethod
    def of(cls, item: Item, rows: Sequence[Item], asked: Skeleton | None) -> People:
        """Find them from the categories of a file and the rows with joints.

        Raises:
            KeypointsError: no category has the joints of people, or several have no name.
            UsageError: `asked` contradicts the names of the joints.
        """
        listed = item.get("categories") if isinstance(item.value, dict) else None
        every = _joint_names(listed) if listed else {}
        named = {id: one for id, one in every.items() if one[1]}
        if not named:
            return cls._by_name(every, rows, item.path)
        chosen = {id: one for id, one in named.items() if _PEOPLE.fullmatch(one[0])} or named
        known = {id: skeleton_of_names(names) for id, (_, names) in chosen.items()}
        fitting = {id: skeleton for id, skeleton in known.items() if skeleton is not None}
        if not fitting:
            if asked is None:
                _fail_unknown(listed or item, chosen)
            return cls(_of_size(listed or item, chosen, asked), asked)
        found = next(iter(fitting.values()))
        assert found is not None
        same = frozenset(id for id, skeleton in fitting.items() if skeleton == found)
        return cls(same, agreed(found, asked, item.path))

    @classmethod
    def unnamed(cls, rows: Iterable[Item], path: Path) -> People:
        """Find them if nothing names the categories of the rows.

        Args:
            rows: with joints, and perhaps a `category_id`.
            path: the file, for messages.

        Raises:
            KeypointsError: there are several categories, and they are not COCO's own.
        """
        # AlphaPose's rows may name their only category instead of numbering it.
        rows_of = Counter(_category(row) for row in rows if _is_numbered(row))
        del rows_of[None]
        if len(rows_of) < 2:
            return cls()
        if PERSON_ID not in rows_of or not all(id in COCO_IDS for id in rows_of):
            listed = ", ".join(str(id) for id in list(rows_of)[:SHOWN])
            raise KeypointsError(
                f"{path} does not say which of its categories are people ({listed}"
                f"{' ...' if len(rows_of) > SHOWN else ''}); keep only the people's rows in it."
            )
        others = rows_of.total() - rows_of[PERSON_ID]
        warning = (
            f"{path} names no categories; {PERSON_ID} is taken as people, as in COCO, and the "
            f"others are left out ({others} of {rows_of.total()} rows)."
        )
        return cls(frozenset([PERSON_ID]), warnings=(warning,))

    @classmethod
    def _by_name(cls, named: Categories, rows: Sequence[Item], path: Path) -> People:
        """Find them if no category has joint names."""
        names = {id: name for id, (name, _) in named.items() if name}
        if not names:
            return cls.unnamed(rows, path)
        ids = {_category(row) for row in rows} - {None}
        people = frozenset(id for id, name in names.items() if _PEOPLE.fullmatch(name))
        if len(ids) < 2:
            return cls()
        if people:
            return cls(people)
        listed = ", ".join(f"'{names[id]}'" for id in names if id in ids)
        return cls(warnings=(f"{path}: all of its categories ({listed}) are taken as people.",))


def _joint_names(categories: Item) -> Categories:
    out = {}
    for number, category in enumerate(categories):
        joints = category.get("keypoints")
        names = tuple(name.text() for name in joints) if joints else ()
        id, name = category.get("id"), category.get("name")
        key = id.integer() if id else number
        out[key] = (name.text() if name else "", names)
    return out


def _of_size(categories: Item, named: Categories, asked: Skeleton) -> frozenset[int]:
    """Choose the categories with unknown joint names that fit the requested skeleton."""
    fitting = {id: one for id, one in named.items() if len(one[1]) == len(asked)}
    if not fitting:
        counts = " or ".join(sorted({str(len(joints)) for _, joints in named.values()}))
        categories.fail(f"has {counts} joints, not {len(asked)} ({asked.name})")
    if len({joints for _, joints in fitting.values()}) > 1:
        called = ", ".join(f"'{name}'" for name, _ in fitting.values())
        categories.fail(
            f"has {called} with {len(asked)} joints each; call one 'person', or delete the others"
        )
    return frozenset(fitting)


def _fail_unknown(categories: Item, named: Categories) -> NoReturn:
    name, joints = next(iter(named.values()))
    missing = missing_joints(joints)
    categories.fail(
        f"has joints of no known skeleton: '{name}' lacks {', '.join(missing[:3])} "
        f"{'...' if len(missing) > 3 else ''}".rstrip()
        + " (give --skeleton if they are called otherwise)"
    )


@dataclass(frozen=True)
class _Images:
    """The images of an annotation file."""

    all: frozenset[int] = frozenset()
    """Their IDs."""
    frames: dict[int, int] = field(default_factory=dict)
    """Frame by image ID, for the chosen video."""
    size: tuple[int, int] | None = None
    """The size of the images, if it is stated and the same for all."""
    named: bool = False
    """Whether frames and videos come from the names of the images."""

    @classmethod
    def of(cls, item: Item, video: str | None) -> _Images:
        """Number the frames by the names of the images if they have numbers, else by their IDs.

        Raises:
            KeypointsError: the frames cannot be found from the names.
            UsageError: there are several videos, and none was chosen.
        """
        names: dict[int, str] = {}
        sizes: dict[int, tuple[int, int] | None] = {}
        for image in item.get("images") or Item([], item.path):
            id, name = image["id"].integer(LAST_ID), image.get("file_name")
            names[id] = name.text() if name else ""
            sizes[id] = image.picture_size("width", "height")
        named = all(names.values()) and any(re.search("[0-9]", one) for one in names.values())
        if named:
            if twice := [name for name, times in Counter(names.values()).items() if times > 1]:
                raise KeypointsError(f"{item.path}: the image '{twice[0][-80:]}' is there twice.")
            numbers = frame_numbers(names.values(), item.path, video)
            frames = {id: numbers[name] for id, name in names.items() if name in numbers}
        else:
            frames = {id: id for id in names}
        for id, number in frames.items():
            Item(number, item.path, f"the number of image {id}").integer()
        found = {sizes[id] for id in frames}
        return cls(
            frozenset(names),
            frames,
            next(iter(found)) if len(found) == 1 else None,
            named,
        )
