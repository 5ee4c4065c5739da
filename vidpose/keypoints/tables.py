"""Common code for text tables of 2D joints: rows of people, columns of joints."""

from __future__ import annotations

import csv
import re
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
"""Numbers of points of MediaPipe's whole-body models; the first 33 are the pose."""
FEWEST_OF_33 = 25
"""With at least this many of the 33 numbers, including the last, joints are MediaPipe's."""
SEPARATOR = re.compile(r'"?sep=(.)"?', re.I)
"""Excel's first line."""
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(e[-+]?\d+)?", re.I)
DECIMAL_POINT = re.compile(r"[-+]?\d*\.\d+(e[-+]?\d+)?", re.I)


@dataclass(frozen=True, eq=False)
class Row:
    """One person in one frame, or a frame without people."""

    line: int
    """Line number, from 1, for messages."""
    frame: str
    """A number, or a picture's name."""
    person: Hashable
    """The person's ID or name; None if the table has none."""
    joints: NDArray[np.float64]
    """(J, 3): x, y and score; NaN where missing."""
    index: Hashable = None
    """Distinguishes people within the frame, but not from frame to frame."""


def read_rows(path: Path) -> list[list[str]]:
    """Read the cells of a text file, with the separator of its first line: comma, tab or semicolon.

    Decimal commas become points if the separator is not a comma.

    Raises:
        KeypointsError: it is no text file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KeypointsError(f"{path} cannot be read ({error.strerror}).") from None
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        lines = content.decode(encoding).splitlines()
        head = lines[0] if lines else ""
        told = SEPARATOR.fullmatch(head.rstrip())
        sign = told[1] if told else max(",\t;", key=head.count)
        lines = lines[1:] if told else lines
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=sign)]
    except (ValueError, csv.Error) as error:
        raise KeypointsError(f"{path} is no table ({error}).") from None
    rows = [row for row in rows if any(row)]
    if sign == "," or any(DECIMAL_POINT.fullmatch(cell) for row in rows for cell in row):
        return rows
    return [
        [cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell) else cell for cell in row]
        for row in rows
    ]


def number(cell: str, path: Path, line: int, column: str) -> float:
    """Parse a number; NaN for an empty cell.

    Raises:
        KeypointsError: it is no number.
    """
    try:
        return float(cell) if cell else np.nan
    except ValueError:
        hint = "; write decimal points" if DECIMAL_COMMA.fullmatch(cell) else ""
        raise KeypointsError(
            f"{path}: line {line}, {column}: {cell[:40]!r} is no number{hint}."
        ) from None


def keypoint_file(
    path: Path,
    format: str,
    names: Sequence[str],
    rows: Sequence[Row],
    asked: Asked,
    warnings: tuple[str, ...] = (),
) -> KeypointFile:
    """Make a `KeypointFile` from the rows of a table.

    Args:
        path: the file.
        format: name of its format.
        names: (J,) the joints' names, or numbers.
        rows: all people in all frames.
        asked: the skeleton if the names leave it open, and the video.
        warnings: for the user.

    Raises:
        KeypointsError: the frames or the joints cannot be identified.
        UsageError: the requested skeleton contradicts the names, or must be given; or there are
            several videos and none was chosen.
    """
    skeleton, places = _skeleton(path, names, asked.skeleton)
    numbers, named = _frames(path, rows, asked.video)
    ids = _ids(rows)
    frames: dict[int, list[PersonKeypoints]] = {index: [] for index in numbers.values()}
    for row, id in zip(rows, ids, strict=True):
        if row.frame in numbers:
            joints = np.full((len(skeleton), 3), np.nan)
            joints[places] = row.joints[: len(places)]
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


def _skeleton(
    path: Path, names: Sequence[str], asked: Skeleton | None
) -> tuple[Skeleton, list[int]]:
    """Return the skeleton, and the index in it of every joint in the table."""
    numbers = _numbers(names)
    if numbers is not None:
        return _numbered(path, names, numbers, asked)
    found = skeleton_of_names(names)
    if found is not None:
        return agreed(found, asked, path), list(range(len(names)))
    if asked is not None:
        if len(asked) != len(names):
            raise KeypointsError(
                f"{path} has {len(names)} joints, not {len(asked)} ({asked.name}): "
                f"{', '.join(names)[:80]}."
            )
        return asked, list(range(len(names)))
    missing = missing_joints(names)
    raise KeypointsError(
        f"{path} has joints of no known skeleton ({', '.join(names)[:60]}); "
        f"{', '.join(missing[:3])} {'... are' if missing[3:] else 'are'} missing; see --skeleton."
    )


def _numbered(
    path: Path, names: Sequence[str], numbers: Sequence[int], asked: Skeleton | None
) -> tuple[Skeleton, list[int]]:
    """The same for numbered joints, some of which may be missing in the table."""
    first, last = min(numbers), max(numbers)
    if last - first + 1 == len(names) and len(names) in WITH_FACE_OR_HANDS:
        return agreed(BLAZEPOSE33, asked, path), list(range(len(BLAZEPOSE33)))
    if asked is None:
        if len(names) == 17:
            ask_for_17(path, "most models with 17 joints")
        ends = last == (len(BLAZEPOSE33) if first else len(BLAZEPOSE33) - 1)
        if not ends or len(names) < FEWEST_OF_33:
            raise KeypointsError(
                f"{path} has {len(names)} joints without names ({', '.join(names)[:60]}); see "
                "--skeleton."
            )
    skeleton = BLAZEPOSE33 if asked is None else asked
    start = _start(path, first, last, skeleton)
    return skeleton, [number - start for number in numbers]


def _start(path: Path, first: int, last: int, skeleton: Skeleton) -> int:
    """Return the number of the skeleton's first joint, from the first and last numbers in the
    table.
    """
    count = len(skeleton)
    if last - first + 1 == count:
        return first
    if first == 0 and last < count:
        return 0
    if first > 0 and last == count:
        return 1
    if last < count:
        raise KeypointsError(
            f"{path} has joints {first} to {last}, which may count from 0 or from 1; add joint 0 "
            f"or {count}, with empty cells if it was never detected."
        )
    raise KeypointsError(
        f"{path} has joints {first} to {last}, not {count} joints ({skeleton.name})."
    )


def _numbers(names: Sequence[str]) -> list[int] | None:
    """Return the joints' numbers, if all names are numbers and differ."""
    numbers = [int(found[1]) for name in names if (found := NUMBERED.fullmatch(name))]
    return numbers if len(set(numbers)) == len(names) else None


def _frames(path: Path, rows: Sequence[Row], video: str | None) -> tuple[dict[str, int], bool]:
    """Return the frame of each `Row.frame`, and whether these are names of pictures."""
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
    """Return the ID of each row: the table's number, else one for each name; None without either.

    A table without IDs holds one person if it has one row for each frame.
    """
    people = list(dict.fromkeys(row.person for row in rows if row.person is not None))
    if not people:
        frames = {row.frame for row in rows}
        alone = len(frames) == len(rows) and len({row.index for row in rows}) == 1
        return [1 if alone else None for _ in rows]
    numbers: dict[Hashable, int] = {}
    for person in people:
        text = str(person)
        whole = text.removesuffix(".0")
        numbers[person] = int(whole) if whole.isdigit() and len(whole) < 9 else -1
    if -1 in numbers.values() or len(set(numbers.values())) < len(numbers):
        numbers = {person: n for n, person in enumerate(people, 1)}
    return [numbers.get(row.person) for row in rows]


def in_order(names: Iterable[str]) -> list[str]:
    """Sort joints by their numbers, if their names are numbers."""
    names = list(names)
    numbers = _numbers(names)
    if numbers is None:
        return names
    return [name for _, name in sorted(zip(numbers, names, strict=True))]


@dataclass(frozen=True)
class JointCell:
    """One joint of a person in a frame."""

    line: int
    frame: str
    person: Hashable
    """As in `Row`, and so is `index`."""
    index: Hashable
    joint: str
    """Name or number."""
    values: tuple[float, float, float]
    """x, y and score."""


def grouped(path: Path, cells: Sequence[JointCell]) -> tuple[list[str], list[Row]]:
    """Return joint names and rows of people, from a table with a row for each joint.

    Raises:
        KeypointsError: a person has a joint twice in a frame, in different places.
    """
    names = in_order(dict.fromkeys(cell.joint for cell in cells))
    people: dict[tuple[str, Hashable, Hashable], dict[str, JointCell]] = {}
    for cell in cells:
        joints = people.setdefault((cell.frame, cell.person, cell.index), {})
        other = joints.setdefault(cell.joint, cell)
        if other is not cell and not np.array_equal(other.values, cell.values, equal_nan=True):
            who = "two people" if cell.person is None else f"person {cell.person} twice"
            raise KeypointsError(
                f"{path} has {who} in frame {cell.frame} (lines {other.line} and {cell.line} are "
                f"both {cell.joint!r}); add a column 'person' that tells people apart."
            )
    rows = []
    for (frame, person, index), joints in people.items():
        values = [joints[name].values if name in joints else (np.nan,) * 3 for name in names]
        line = next(iter(joints.values())).line
        rows.append(Row(line, frame, person, np.array(values), index))
    return names, rows
