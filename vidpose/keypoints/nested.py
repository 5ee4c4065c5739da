"""JSON that users save from a library's results: frames in lists or objects of any layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from vidpose.keypoints.base import Item
from vidpose.keypoints.frame_names import frame_numbers

FRAME_KEYS = (
    *("frame", "frame_id", "frame_index", "frame_idx", "frame_number", "frame_num", "frameIndex"),
    *("frameNumber", "frameId", "frame_no", "frame_count"),
)
PICTURE_KEYS = ("image", "image_name", "image_path", "image_id", "file_name", "filename", "file")
"""Keys of an entry's picture."""
LIST_KEYS = ("frames", "data", "results", "predictions", "detections")
"""Keys of frames."""
PEOPLE_KEYS = (
    *("people", "persons", "humans", "players", "pose", "poses", "bodies", "instances"),
    *("keypoints", "landmarks", "pose_landmarks", "poseLandmarks", "multi_pose_landmarks"),
)
"""Keys of the people of a frame."""
NO_POSE = ("world", "hand", "face")
"""Parts of the keys of other landmarks next to those of a pose."""
SCORES = ("keypoint_scores", "scores", "keypoints_scores", "confidences", "confidence")
"""Lists of scores next to lists of joints."""
DEEPEST = 6
"""Maximum nesting depth of a person."""
MOST_PEOPLE = 20
"""A value with more entries than this, and more than its parent has, is not a single frame."""

IsPerson = Callable[[Any], bool]
Frames = dict[int, list[Item]]


def has_people(value: Any, is_person: IsPerson, depth: int = DEEPEST) -> bool:
    """Whether the first entries of a JSON value contain a person."""
    if is_person(value):
        return True
    if depth == 0 or not isinstance(value, list | dict):
        return False
    entries = value if isinstance(value, list) else _with_scores(value) or list(value.values())
    first = next((entry for entry in entries if isinstance(entry, list) and entry), None)
    likely = [entry for entry in entries[:10] if isinstance(entry, list | dict) and entry]
    likely += [first] if first is not None else []
    return any(has_people(entry, is_person, depth - 1) for entry in likely)


def frames(item: Item, is_person: IsPerson, video: str | None) -> tuple[Frames, tuple[str, ...]]:
    """Return the people of every frame, and warnings.

    A frame's number comes from a key such as `frame`, the name of its picture, the key of the frame
    itself, or else its position.

    Args:
        item: the whole file.
        is_person: whether a value is a person.
        video: which video, if keys are names of pictures and there are several.

    Raises:
        KeypointsError: numbers are invalid, or the frames cannot be found from names or otherwise.
        UsageError: there are several videos, and none was chosen.
    """
    reading = _Reading(is_person, video)
    found = reading.frames_of(item)
    return found, tuple(reading.warnings)


@dataclass
class _Reading:
    """Reads one file."""

    is_person: IsPerson
    video: str | None
    warnings: list[str] = field(default_factory=list)

    def frames_of(self, item: Item, key: str = "") -> Frames:
        """Return the frames in the value of a key."""
        if self.is_person(item.value) and not _own_key(item.value):
            return {0: [item]}
        number = _own_number(item)
        if number is not None and not self._holds_frames(item):
            return {number: list(self._people(item))}
        if isinstance(item.value, list):
            return self._of_list(item, key)
        return self._of_object(item) if isinstance(item.value, dict) else {}

    def _of_object(self, item: Item) -> Frames:
        parts = self._parts(item)
        if parts and all(any(c.isdigit() for c in key) for key in parts):
            return self._of_keys(item, parts)
        if all(self.is_person(part.value) and not _own_key(part.value) for part in parts.values()):
            return {0: list(parts.values())} if parts else {}
        likely = [key for key in LIST_KEYS if key in parts][:1] or list(parts)
        return _together(self.frames_of(parts[key], key) for key in likely)

    def _of_keys(self, item: Item, parts: dict[str, Item]) -> Frames:
        """Read frames by their keys; or people by theirs, each with frames."""
        most = max(MOST_PEOPLE, len(parts))
        numbered = any(self._numbered_within(part) for part in parts.values())
        if numbered or all(self._length(part) > most for part in parts.values()):
            return _together(self.frames_of(part, LIST_KEYS[0]) for part in parts.values())
        empty = [
            key
            for key, value in item.value.items()
            if value in ([], {}) and any(c.isdigit() for c in key)
        ]
        numbers = frame_numbers([*parts, *empty], item.path, self.video)
        return {
            number: list(self._people(Item(item.value[key], item.path, key)))
            for key, number in numbers.items()
        }

    def _of_list(self, item: Item, key: str) -> Frames:
        entries = list(item)
        within = [self._numbered_within(entry) for entry in entries]
        if any(within) and all(
            w or not self._some(e) for w, e in zip(within, entries, strict=True)
        ):
            return _together(self.frames_of(entry, LIST_KEYS[0]) for entry in entries)
        if all(_own_key(entry.value) for entry in entries):
            return _together(self.frames_of(entry) for entry in entries)
        if names := self._names(entries):
            numbers = frame_numbers(names, item.path, self.video)
            named = zip(names, entries, strict=True)
            return _together({numbers[n]: list(self._people(e))} for n, e in named if n in numbers)
        people = key in PEOPLE_KEYS or self._is_picture(entries)
        if people and not any(_own_key(entry.value) for entry in entries):
            return {0: list(self._people(item))}
        if key and key not in LIST_KEYS and len(entries) > 1:
            item.fail("does not say which frames it holds; number its entries, as in 'frame': 0")
        out: Frames = {}
        positions = False
        for position, entry in enumerate(entries):
            number, seen = _own_number(entry), list(self._people(entry))
            positions |= number is None and bool(seen)
            out.setdefault(position if number is None else number, []).extend(seen)
        warning = (
            f"{item.path} does not number its frames; the first entry is taken as frame 0, and so "
            "on."
        )
        if positions and warning not in self.warnings:
            self.warnings.append(warning)
        return out

    def _is_picture(self, entries: list[Item]) -> bool:
        """Whether the entries are the people of one frame: all objects without a frame number."""
        return bool(entries) and all(
            isinstance(entry.value, dict)
            and self.is_person(entry.value)
            and not _own_key(entry.value)
            for entry in entries
        )

    def _names(self, entries: list[Item]) -> list[str]:
        """Return the entries' frame names, if they have numbers that are not all equal."""
        pictures = [_picture(entry.value) for entry in entries]
        known = [name for name in pictures if name and re.search("[0-9]", name)]
        if len(known) == len(entries) > len(set(known)) > 1 or len(set(known)) == len(entries):
            return known
        # A person's own index is their position in the frame.
        counted = [None if self.is_person(e.value) else _index(e.value) for e in entries]
        indices = [index for index in counted if index is not None]
        return indices if len(set(indices)) == len(entries) else []

    def _some(self, item: Item) -> bool:
        return next(self._people(item), None) is not None

    def _holds_frames(self, item: Item) -> bool:
        """Whether an object contains frames, so that its own number is a total."""
        parts = self._parts(item)
        return any(key == LIST_KEYS[0] or self._numbered_within(parts[key]) for key in parts)

    def _numbered_within(self, item: Item, depth: int = DEEPEST) -> bool:
        """Whether an object with a frame number is below this value, not counting itself."""
        if depth == 0 or self.is_person(item.value) or _own_key(item.value):
            return False
        parts = list(item)[:10] if isinstance(item.value, list) else _children(item).values()
        return any(_own_key(p.value) or self._numbered_within(p, depth - 1) for p in parts)

    def _length(self, item: Item) -> int:
        """Return the number of entries with people in a value."""
        if self.is_person(item.value):
            return 1
        entries = list(item) if isinstance(item.value, list) else list(_children(item).values())
        inner = sum(has_people(entry.value, self.is_person) for entry in entries)
        return self._length(entries[0]) if inner == len(entries) == 1 else inner

    def _parts(self, item: Item) -> dict[str, Item]:
        """Return an object's parts with people; of a pose and other landmarks only the pose."""
        parts = {
            key: child
            for key, child in _children(item).items()
            if has_people(child.value, self.is_person)
        }
        poses = [key for key in parts if not _is_aside(key)]
        named = any("pose" in key.lower() and not _is_aside(key) for key in item.value)
        return {key: parts[key] for key in (poses if poses or named else parts)}

    def _people(self, entry: Item, depth: int = DEEPEST) -> Iterator[Item]:
        if self.is_person(entry.value):
            yield entry
        elif depth and isinstance(entry.value, list):
            for inner in entry:
                yield from self._people(inner, depth - 1)
        elif depth and isinstance(entry.value, dict):
            inside = [Item(one, entry.path, entry.place) for one in _with_scores(entry.value)]
            for inner in inside or self._parts(entry).values():
                yield from self._people(inner, depth - 1)


def _is_aside(key: str) -> bool:
    return any(word in key.lower() for word in NO_POSE)


def _children(item: Item) -> dict[str, Item]:
    """Return the lists and objects in an object, by their keys."""
    if not isinstance(item.value, dict):
        return {}
    prefix = f"{item.place}." if item.place else ""
    return {
        key: Item(value, item.path, f"{prefix}{key}")
        for key, value in item.value.items()
        if isinstance(value, list | dict)
    }


def _with_scores(value: dict[str, Any]) -> list[Any]:
    """Return the people of a frame with their scores, if the scores are in a separate list."""
    joints = value.get("keypoints")
    # Only nested lists: a flat one has the scores of one person's joints, or of whole people.
    lists = [value[key] for key in SCORES if isinstance(value.get(key), list)]
    scores = next((one for one in lists if one and all(isinstance(s, list) for s in one)), None)
    if not isinstance(joints, list) or scores is None or len(joints) != len(scores):
        return []
    pairs = zip(joints, scores, strict=True)
    return [{"keypoints": one, SCORES[0]: confidence} for one, confidence in pairs]


def _own_key(value: Any) -> str | None:
    """Return the key of an object's frame number."""
    if not isinstance(value, dict):
        return None
    return next(
        (key for key in FRAME_KEYS if key in value and not isinstance(value[key], list | dict)),
        None,
    )


def _own_number(entry: Item) -> int | None:
    key = _own_key(entry.value)
    return None if key is None else entry[key].integer()


def _picture(value: Any) -> str | None:
    """Return an object's name for its picture."""
    if not isinstance(value, dict):
        return None
    names = (value.get(key) for key in PICTURE_KEYS)
    return next((str(name) for name in names if isinstance(name, str | int)), None)


def _index(value: Any) -> str | None:
    """Return a plain `index`, which is the frame's if all are different."""
    index = value.get("index") if isinstance(value, dict) else None
    return str(index) if isinstance(index, int) and index >= 0 else None


def _together(parts: Iterable[Frames]) -> Frames:
    """Merge the frames of several parts."""
    out: Frames = {}
    for part in parts:
        for number, people in part.items():
            out.setdefault(number, []).extend(people)
    return out
