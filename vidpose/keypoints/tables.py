"""Tables of 2D joints as text, whatever their columns are: rows of people, columns of joints."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import KeypointsError
from vidpose.keypoints.base import (
    Asked,
    Item,
    KeypointFile,
    PersonKeypoints,
    agreed,
    are_normalised,
    ask_for_17,
    check_not_world,
)
from vidpose.keypoints.frame_names import frame_numbers
from vidpose.keypoints.joint_names import missing_joints, skeleton_of_names
from vidpose.skeleton import BLAZEPOSE33, Skeleton

NUMBERED = re.compile(r"(?:[a-z]+[ _.-]?)?([0-9]{1,4})", re.I)
"""`landmark_12`: a joint without a name."""
WITH_FACE_OR_HANDS = (75, 501, 543, 553)
"""Numbers of points of MediaPipe's whole-body models; the first 33 are the pose's."""


@dataclass(frozen=True, eq=False)
class Row:
    """One person in one frame, or where nobody was found."""

    line: int
    """Where it stands, counted from 1, for messages."""
    frame: str
    """A number, or a picture's name."""
    person: Hashable
    """Who it is; None if the table does not say."""
    joints: NDArray[np.float64]
    """(J, 3): x, y and score; NaN where missing."""


def read_rows(path: Path) -> list[list[str]]:
    """The cells of a text, split at the sign that splits its first line: comma, tab or semicolon.

    Raises:
        KeypointsError: it is no text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KeypointsError(f"{path} cannot be read ({error.strerror}).") from None
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        lines = content.decode(encoding).splitlines()
        head = lines[0] if lines else ""
        sign = max(",\t;", key=head.count)
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=sign)]
    except (ValueError, csv.Error) as error:
        raise KeypointsError(f"{path} is no table ({error}).") from None
    return [row for row in rows if any(row)]


def number(cell: str, path: Path, line: int, column: str) -> float:
    """A number; NaN for an empty cell.

    Raises:
        KeypointsError: it is none.
    """
    try:
        return float(cell) if cell else np.nan
    except ValueError:
        raise KeypointsError(
            f"{path}: line {line}, {column}: {cell[:40]!r} is no number."
        ) from None


def keypoint_file(
    path: Path,
    format: str,
    names: Sequence[str],
    rows: Sequence[Row],
    asked: Asked,
    warnings: tuple[str, ...] = (),
) -> KeypointFile:
    """What a table holds.

    Args:
        path: the file.
        format: its name.
        names: (J,) the joints' names, or numbers.
        rows: everybody.
        asked: the skeleton where the names leave it open, and the video.
        warnings: what the user should know.

    Raises:
        KeypointsError: the frames or the joints cannot be told.
        UsageError: the skeleton that was asked for contradicts the names, or must be given; or
            there are several videos and none is chosen.
    """
    skeleton = _skeleton(path, names, asked.skeleton)
    numbers, named = _frames(path, rows, asked.video)
    ids = _ids(rows)
    frames: dict[int, list[PersonKeypoints]] = {index: [] for index in numbers.values()}
    for row, id in zip(rows, ids, strict=True):
        if row.frame in numbers:
            joints = row.joints[: len(skeleton)]
            scores = np.nan_to_num(joints[:, 2])
            seen = Item(None, path, f"line {row.line}").person(joints[:, :2], scores, id)
            frames[numbers[row.frame]].extend([seen] if seen else [])
    check_not_world(path, skeleton, frames)
    return KeypointFile(
        path=path,
        format=format,
        skeleton=skeleton,
        frames=frames,
        normalised=are_normalised(frames),
        video=asked.video if named else None,
        warnings=warnings,
    )


def _skeleton(path: Path, names: Sequence[str], asked: Skeleton | None) -> Skeleton:
    numbered = all(NUMBERED.fullmatch(name) for name in names)
    if numbered and len(names) in WITH_FACE_OR_HANDS:
        return agreed(BLAZEPOSE33, asked, path)
    found = None if numbered else skeleton_of_names(names)
    if found is not None:
        return agreed(found, asked, path)
    if asked is not None:
        if len(asked) != len(names):
            raise KeypointsError(
                f"{path} has {len(names)} joints, not {len(asked)} ({asked.name}): "
                f"{', '.join(names)[:80]}."
            )
        return asked
    if numbered and len(names) == len(BLAZEPOSE33):
        return BLAZEPOSE33
    if numbered and len(names) == 17:
        ask_for_17(path, "most models with 17 joints")
    what = f"{len(names)} joints without names" if numbered else "joints of no skeleton known here"
    missing = missing_joints(names)
    lacks = (
        ""
        if numbered
        else f"; {', '.join(missing[:3])} {'... are' if missing[3:] else 'are'} missing"
    )
    raise KeypointsError(f"{path} has {what} ({', '.join(names)[:60]}){lacks}; see --skeleton.")


def _frames(path: Path, rows: Sequence[Row], video: str | None) -> tuple[dict[str, int], bool]:
    """The frame of each `Row.frame`, and whether these are names of pictures."""
    cells = list(dict.fromkeys(row.frame for row in rows))
    out = {}
    for row in rows:
        try:
            value = float(row.frame)
        except ValueError:
            return frame_numbers(cells, path, video), True
        out[row.frame] = Item(value, path, f"line {row.line}: the frame").integer()
    return out, False


def _ids(rows: Sequence[Row]) -> list[int | None]:
    """Everybody's id: the table's number, else one for each name; None if they must be tracked.

    A table that names nobody holds one person, if it has one row for each frame.
    """
    people = list(dict.fromkeys(row.person for row in rows))
    if None in people:
        frames = [row.frame for row in rows]
        alone = len(set(frames)) == len(frames)
        return [1 if alone else None for _ in rows]
    numbers: dict[Hashable, int] = {}
    for person in people:
        text = str(person)
        whole = text.removesuffix(".0")
        numbers[person] = int(whole) if whole.isdigit() and len(whole) < 9 else -1
    if -1 in numbers.values() or len(set(numbers.values())) < len(numbers):
        numbers = {person: n for n, person in enumerate(people, 1)}
    return [numbers[row.person] for row in rows]


def in_order(names: Iterable[str]) -> list[str]:
    """Joints in their order: of their numbers, if that is what they are called by."""
    names = list(names)
    numbers = [NUMBERED.fullmatch(name) for name in names]
    if not all(numbers):
        return names
    return sorted(names, key=lambda name: int(NUMBERED.sub(r"\1", name)))


def grouped(
    cells: Sequence[tuple[int, str, Hashable, str, tuple[float, float, float]]],
) -> tuple[list[str], list[Row]]:
    """Joints' names and rows of people, from a table with a row for each joint.

    Args:
        cells: line, frame, person, joint, and x, y and score.
    """
    names = in_order(dict.fromkeys(joint for _, _, _, joint, _ in cells))
    place = {name: j for j, name in enumerate(names)}
    people: dict[tuple[str, Hashable], NDArray[np.float64]] = defaultdict(
        lambda: np.full((len(names), 3), np.nan)
    )
    lines: dict[tuple[str, Hashable], int] = {}
    for line, frame, person, joint, values in cells:
        people[frame, person][place[joint]] = values
        lines.setdefault((frame, person), line)
    rows = [Row(lines[key], *key, joints) for key, joints in people.items()]
    return names, rows
