"""JSON that people write out of a library's results: frames in lists or objects, as they like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from vidpose.keypoints.base import Item
from vidpose.keypoints.frame_names import frame_numbers

FRAME_KEYS = (
    *("frame", "frame_id", "frame_index", "frame_idx", "frame_number", "frame_num", "frameIndex"),
    *("frameNumber", "frameId", "frame_no"),
)
LIST_KEYS = ("frames", "data", "results", "predictions", "detections")
DEEPEST = 6
"""Nobody nests a person deeper than this."""

IsPerson = Callable[[Any], bool]


def has_people(value: Any, is_person: IsPerson, depth: int = DEEPEST) -> bool:
    """Whether there is a person in the first entries of a JSON value."""
    if is_person(value):
        return True
    if depth == 0 or not isinstance(value, list | dict):
        return False
    entries = value if isinstance(value, list) else list(value.values())
    first = next((entry for entry in entries if isinstance(entry, list) and entry), None)
    likely = [entry for entry in entries[:10] if isinstance(entry, list | dict) and entry]
    likely += [first] if first is not None else []
    return any(has_people(entry, is_person, depth - 1) for entry in likely)


def frames(
    item: Item, is_person: IsPerson, video: str | None
) -> tuple[dict[int, list[Item]], tuple[str, ...]]:
    """The people of every frame, and warnings.

    A frame is numbered by a key such as `frame`, by the key it stands under, or else by its
    position.

    Args:
        item: all of the file.
        is_person: whether a value is a person.
        video: which video, if keys are names of pictures and there are several.

    Raises:
        KeypointsError: numbers are no numbers, or names do not tell the frames.
        UsageError: there are several videos, and none is chosen.
    """
    top = item
    while isinstance(top.value, dict) and not is_person(top.value):
        key = next((key for key in LIST_KEYS if isinstance(top.value.get(key), list | dict)), None)
        if key is None or any(name in top.value for name in FRAME_KEYS):
            break
        top = top[key]
    if isinstance(top.value, list) and not is_person(top.value) and not _is_picture(top, is_person):
        return _of_list(top, is_person)
    keyed = isinstance(top.value, dict) and all(any(c.isdigit() for c in key) for key in top.value)
    if keyed and not is_person(top.value):
        numbers = frame_numbers(top.value, item.path, video)
        return {
            number: list(_people(Item(top.value[name], item.path, name), is_person))
            for name, number in numbers.items()
        }, ()
    index = _own_number(top)
    return {0 if index is None else index: list(_people(top, is_person))}, ()


def _is_picture(top: Item, is_person: IsPerson) -> bool:
    """Whether a list is one picture's people: each is an object that says no frame."""
    entries = top.value
    return bool(entries) and all(
        isinstance(entry, dict) and is_person(entry) and not _own_key(entry) for entry in entries
    )


def _of_list(top: Item, is_person: IsPerson) -> tuple[dict[int, list[Item]], tuple[str, ...]]:
    out: dict[int, list[Item]] = {}
    positions = False
    for position, entry in enumerate(top):
        index = _own_number(entry)
        positions |= index is None
        people = list(_people(entry, is_person))
        out.setdefault(position if index is None else index, []).extend(people)
    warning = (
        f"{top.path} does not number its frames; the first entry is taken as frame 0, and so on."
    )
    return out, (warning,) if positions else ()


def _own_key(value: Any) -> str | None:
    return (
        next((key for key in FRAME_KEYS if key in value), None) if isinstance(value, dict) else None
    )


def _own_number(entry: Item) -> int | None:
    key = _own_key(entry.value)
    return None if key is None else entry[key].integer()


def _people(entry: Item, is_person: IsPerson, depth: int = DEEPEST) -> Iterator[Item]:
    if is_person(entry.value):
        yield entry
    elif depth and isinstance(entry.value, list):
        for inner in entry:
            yield from _people(inner, is_person, depth - 1)
    elif depth and isinstance(entry.value, dict):
        for key, value in entry.value.items():
            if isinstance(value, list | dict):
                place = f"{entry.place}.{key}" if entry.place else key
                yield from _people(Item(value, entry.path, place), is_person, depth - 1)
