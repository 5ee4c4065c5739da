"""Tables with a header line: a row for each person and frame, or for each joint.

    frame,nose_x,nose_y,nose_visibility,left_eye_x,...            MediaPipe, your own
    class,x1,y1,z1,v1,x2,...                                      MediaPipe, as its tutorials do
    track,frame_idx,instance.score,nose.x,nose.y,nose.score,...   SLEAP's analysis CSV
    frame,landmark_id,landmark_name,x,y,z,visibility              a row for each joint

Columns for anything except video, frame, person and joints are skipped, and so are depths.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vidpose.errors import KeypointsError
from vidpose.keypoints import tables
from vidpose.keypoints.base import NOTHING, Asked, KeypointFile
from vidpose.keypoints.frame_names import chosen_video
from vidpose.keypoints.joint_names import NEEDED

NAME = "csv"
_FILE = r"file([ _]?(name|path))?|path"
FILE = re.compile(_FILE, re.I)
FRAME = re.compile(
    r"(frame|image|img)([ _]?(id|idx|index|no|num|number|name|nr|count|file|path))?|" + _FILE, re.I
)
TIME = re.compile(
    r"(frame[ _]?)?(t|time([ _]?stamps?)?)([ _]?\(?(s|secs?|seconds|ms|msecs?|us|ns)\)?)?"
    r"|secs?|seconds?|ms|milliseconds",
    re.I,
)
VIDEO = re.compile(
    r"(video|clip|camera|cam)([ _]?(id|idx|index|no|nr|num|number|file|path|name))?", re.I
)
VIDEO_FILE = re.compile(r".+\.(mp4|m4v|mov|mkv|avi|webm|wmv|mpe?g)", re.I)
PERSON = re.compile(
    r"(person|track(er|ing)?|object|subject|individual|player)([ _]?(id|name))?|individuals"
    r"|(track|object|subject|individual|player)[ _]?(idx|index)",
    re.I,
)
BARE = re.compile(r"id|idx", re.I)
"""The number of a person, a joint or the row."""
INDEX = re.compile(
    r"person[ _]?(idx|index|no|nr|num|number)"
    r"|(instance|pose|detection)([ _]?(id|idx|index|no|nr|num|number))?|instance[ _]?name",
    re.I,
)
"""Counts the people of a frame, and does not identify them from frame to frame."""
NOBODY = re.compile(r"|-1(\.0*)?|none|nan|null|n/?a|<na>", re.I)
"""A cell for a person who is not tracked."""
WHOLE = re.compile(r"\d+(\.0*)?")
JOINT = re.compile(
    r"(landmark|joint|keypoint|key[ _]point|bodypart|body[ _]part|part|point|kp)"
    r"([ _]?(id|idx|index|name|nr|no))?",
    re.I,
)
_SCORE = r"score|likelihood|confidence|conf|visibility|visible|vis|presence|prob|v|c|s|p"
NAME_FIRST = re.compile(rf"(?P<joint>.+?)[ _.:/-]?\(?(?P<what>x|y|{_SCORE})\)?", re.I)
NUMBER_LAST = re.compile(rf"(?P<what>x|y|{_SCORE})[ _.-]?(?P<joint>\d+)", re.I)
NAME_LAST = re.compile(rf"(?P<what>x|y|{_SCORE})[ _.:/-](?P<joint>.+)", re.I)
NO_JOINTS = re.compile(r"(b?box|center|centre|centroid|com|instance|world).*", re.I)


@dataclass(frozen=True)
class _Table:
    path: Path
    head: Sequence[str]
    """The column names."""
    rows: Sequence[tuple[int, Sequence[str]]]
    """Each with its line number."""

    def first(self, names: re.Pattern[str]) -> int | None:
        """Return the first column with a name like this."""
        return next((c for c, name in enumerate(self.head) if names.fullmatch(name)), None)

    def texts(self, column: int | None) -> list[str]:
        """Return the cells of a column; empty ones if a row is too short, or without a column."""
        return [_text(row, column) for _, row in self.rows]

    def frames(self, column: int | None) -> list[str]:
        """Return the cells of the frame column, or the row numbers from 0."""
        return list(map(str, range(len(self.rows)))) if column is None else self.texts(column)

    def people(self, column: int | None) -> set[str]:
        """Return the distinct people in a column."""
        return {text for text in self.texts(column) if not NOBODY.fullmatch(text)}

    def number(self, line: int, row: Sequence[str], column: int) -> float:
        return tables.number(_text(row, column), self.path, line, self.head[column])


@dataclass(frozen=True)
class _Columns:
    """The columns except those of coordinates."""

    frame: int | None
    person: int | None
    index: int | None
    joint: int | None
    """In a table with a row for each joint."""


def matches(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table has a header line."""
    return bool(rows) and any(re.fullmatch(r".*x\d*|x[ _.:/-].+", cell, re.I) for cell in rows[0])


def read(path: Path, rows: Sequence[Sequence[str]], asked: Asked = NOTHING) -> KeypointFile:
    """Parse a table.

    Args:
        path: the file.
        rows: all of its cells.
        asked: the skeleton if joints have no names, and the video if there are several.

    Raises:
        KeypointsError: there are no columns of joints, or people or frames cannot be told apart.
        UsageError: the skeleton must be given, or contradicts the names; or there are several
            videos and none was chosen.
    """
    head = [cell.strip().strip("\"'") for cell in rows[0]]
    table = _Table(path, head, list(enumerate(rows[1:], 2)))
    frame = _frame_column(table)
    table, of_video = _one_video(table, frame, asked)
    wide = _joints(head)
    # Next to the columns of a whole person, x and y are its box.
    long = {"x", "y"} <= {name.lower() for name in head} and len(wide) < len(NEEDED)
    columns = _columns(table, frame, long)
    if long:
        names, people = _long(table, columns)
    else:
        names, people = _wide(table, columns, wide)
    found = tables.keypoint_file(path, NAME, names, people, of_video, _warnings(table, columns))
    return found if of_video is asked else replace(found, video=asked.video)


def _frame_column(table: _Table) -> int | None:
    """Find the first column with a name for frames; columns of files or counts may have the same
    value in many frames.
    """
    single = len(table.rows) < 2
    values = {
        c: len(set(table.texts(c)))
        for c, name in enumerate(table.head)
        if FRAME.fullmatch(name) and not VIDEO_FILE.fullmatch(next(iter(table.texts(c)), ""))
    }
    values = {c: n for c, n in values.items() if n > 1 or not _unsure(table.head[c]) or single}
    most = max(values.values(), default=0)
    return next((c for c, n in values.items() if n == most or not _unsure(table.head[c])), None)


def _unsure(name: str) -> bool:
    return bool(FILE.fullmatch(name)) or name.lower().endswith("count")


def _one_video(table: _Table, frame: int | None, asked: Asked) -> tuple[_Table, Asked]:
    """Select the rows of one video if columns name several; also return what remains requested.

    Raises:
        UsageError: there are several videos and none was chosen, or there is no such video.
    """
    frames = table.frames(frame)
    columns = [
        c
        for c, name in enumerate(table.head)
        if VIDEO.fullmatch(name)
        or (FILE.fullmatch(name) and len(set(table.texts(c))) < len(set(frames)))
    ]
    if not columns:
        return table, asked
    varying = [c for c in columns if len(set(table.texts(c))) > 1]
    names = ["/".join(_text(row, c) for c in varying or columns) for _, row in table.rows]
    if not varying and asked.video not in names:
        return table, asked
    videos: dict[str, set[str]] = {}
    for name, at in zip(names, frames, strict=True):
        videos.setdefault(name, set()).add(at)
    if asked.video is None and len(set(frames)) == sum(map(len, videos.values())):
        return table, asked  # frames numbered across the names are one video
    chosen = chosen_video(videos, table.path, asked.video)
    rows = [row for name, row in zip(names, table.rows, strict=True) if name == chosen]
    return replace(table, rows=rows), replace(asked, video=None)


def _joints(head: Sequence[str]) -> dict[str, dict[str, int]]:
    """Find the columns x, y and s (score) of each joint in a table with a row for each person."""
    found: list[dict[str, dict[str, int]]] = []
    for patterns in ((NUMBER_LAST, NAME_FIRST), (NAME_LAST,)):
        joints: dict[str, dict[str, int]] = {}
        for c, name in enumerate(head):
            part = next((m for pattern in patterns if (m := pattern.fullmatch(name))), None)
            if part and not NO_JOINTS.fullmatch(part["joint"]):
                what = part["what"].lower()
                joints.setdefault(part["joint"], {}).setdefault(what if what in "xy" else "s", c)
        found.append({name: at for name, at in joints.items() if {"x", "y"} <= at.keys()})
    joints = max(found, key=len)
    return {name: joints[name] for name in tables.in_order(joints)}


def _columns(table: _Table, frame: int | None, long: bool) -> _Columns:
    """Find the columns.

    Raises:
        KeypointsError: frames have several rows and no column numbers them, or a table with a row
            for each joint has no column of joints.
    """
    joint = _joint_column(table) if long else None
    if long and frame is None:
        frame = _counting_column(table, several=True)
    for what, column in (("joint", joint), ("frame", frame)):
        if long and column is None:
            raise KeypointsError(f"{table.path} has a row for each joint, but no column '{what}'.")
    person = _people_column(table, frame, (PERSON, BARE), joint)
    index = _people_column(table, frame, (INDEX,), joint)
    several = any(len(table.people(c)) > 1 for c in (person, index))
    if frame is None:
        frame = _counting_column(table, several)
    if frame is None and several:
        raise KeypointsError(
            f"{table.path} has several people and no column of frame numbers; add a column 'frame'."
        )
    return _Columns(frame, person, index, joint)


def _joint_column(table: _Table) -> int | None:
    """Find the column of joints, preferably of names, not numbers."""
    found = [c for c, name in enumerate(table.head) if JOINT.fullmatch(name)]
    words = [c for c in found if not all(text.isdigit() for text in table.texts(c)[:1])]
    return next(iter(words or found), table.first(BARE))


def _people_column(
    table: _Table, frame: int | None, names: Sequence[re.Pattern[str]], joint: int | None
) -> int | None:
    """Find the first column with such a name that distinguishes people; `joint` is the column of
    joints, in a table with a row for each joint.
    """
    frames = table.frames(frame)
    for pattern in names:
        for c, name in enumerate(table.head):
            if not pattern.fullmatch(name) or c == joint:
                continue
            texts = table.texts(c)
            if name.lower() == "pose" and not all(map(WHOLE.fullmatch, texts)):
                continue  # an activity
            rows = [at for at in zip(frames, texts, strict=True) if not NOBODY.fullmatch(at[1])]
            seen = set(rows)
            if not rows or (joint is not None and len(seen) == len(rows)):
                continue  # it differs for each joint
            if pattern is BARE and len(set(frames)) > 1 and len(seen) == len(table.people(c)):
                continue  # a number that is never in two frames counts rows
            return c
    return None


def _counting_column(table: _Table, several: bool) -> int | None:
    """Find a column that numbers frames as pandas writes it: `index`, or without a name.

    Args:
        table: without another column of frames.
        several: frames have several rows, so a column that counts rows does not count frames.
    """
    for c, name in enumerate(table.head):
        texts = table.texts(c)
        counts = name.lower() == "index" or (not name and c == 0)
        if counts and all(map(WHOLE.fullmatch, texts)):
            return None if several and len(set(texts)) == len(texts) else c
    return None


def _warnings(table: _Table, columns: _Columns) -> tuple[str, ...]:
    out = []
    if columns.frame is None:
        time = table.first(TIME)
        more = (
            ""
            if time is None
            else f", whatever '{table.head[time]}' says; add a column 'frame' if rows were left out"
        )
        out.append(
            f"{table.path} has no column of frame numbers; its first row is taken as frame 0, and "
            f"so on{more}."
        )
    if columns.person is None and len(table.people(columns.index)) > 1:
        assert columns.index is not None
        out.append(
            f"{table.path}: '{table.head[columns.index]}' counts the people of a frame, so people "
            "are tracked here; call it 'person_id' if it is the same person in every frame."
        )
    return tuple(out)


def _wide(
    table: _Table, columns: _Columns, joints: dict[str, dict[str, int]]
) -> tuple[list[str], list[tables.Row]]:
    if not joints:
        raise KeypointsError(
            f"{table.path} has no columns of 2D joints such as nose_x, nose_y; docs/keypoints.md "
            "shows the tables that are read."
        )
    people = []
    for (line, row), frame in zip(table.rows, table.frames(columns.frame), strict=True):
        values = [
            (
                table.number(line, row, at["x"]),
                table.number(line, row, at["y"]),
                table.number(line, row, at["s"]) if "s" in at else 1.0,
            )
            for at in joints.values()
        ]
        person, index = _who(row, columns.person), _who(row, columns.index)
        people.append(tables.Row(line, frame, person, np.array(values), index))
    return list(joints), people


def _long(table: _Table, columns: _Columns) -> tuple[list[str], list[tables.Row]]:
    lower = [name.lower() for name in table.head]
    x, y = lower.index("x"), lower.index("y")
    score = next((c for c, name in enumerate(lower) if re.fullmatch(_SCORE, name)), None)
    cells = [
        tables.JointCell(
            line,
            frame,
            _who(row, columns.person),
            _who(row, columns.index),
            _text(row, columns.joint),
            (
                table.number(line, row, x),
                table.number(line, row, y),
                1.0 if score is None else table.number(line, row, score),
            ),
        )
        for (line, row), frame in zip(table.rows, table.frames(columns.frame), strict=True)
    ]
    return tables.grouped(table.path, cells)


def _who(row: Sequence[str], column: int | None) -> str | None:
    """Return a cell of a column of people; None if it names nobody."""
    text = _text(row, column)
    return None if NOBODY.fullmatch(text) else text


def _text(row: Sequence[str], column: int | None) -> str:
    return row[column] if column is not None and column < len(row) else ""
