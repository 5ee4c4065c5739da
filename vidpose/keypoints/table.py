"""Tables with a line of column names: a row for each person and frame, or for each joint.

    frame,nose_x,nose_y,nose_visibility,left_eye_x,...            MediaPipe, your own
    class,x1,y1,z1,v1,x2,...                                      MediaPipe, as its tutorials do
    track,frame_idx,instance.score,nose.x,nose.y,nose.score,...   SLEAP's analysis CSV
    frame,landmark_id,landmark_name,x,y,z,visibility              a row for each joint

Columns that are no frame, no person and no joint are left out, and depths, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidpose.errors import KeypointsError
from vidpose.keypoints import tables
from vidpose.keypoints.base import NOTHING, Asked, KeypointFile

NAME = "csv"
FRAME = re.compile(
    r"(frame|image|img)([ _]?(id|idx|index|no|num|number|name|nr))?|file([ _]?name)?", re.I
)
PERSON = re.compile(
    r"(person|track|object|subject|instance|individual|player|pose)([ _]?(id|idx|index|name))?"
    r"|id|idx|individuals",
    re.I,
)
JOINT = re.compile(
    r"(landmark|joint|keypoint|key[ _]point|bodypart|body[ _]part|part|point|kp)"
    r"([ _]?(id|idx|index|name|nr|no))?",
    re.I,
)
_SCORE = r"score|likelihood|confidence|conf|visibility|visible|vis|presence|prob|v|c|s|p"
NAME_FIRST = re.compile(rf"(?P<joint>.+?)[ _.:/-]?\(?(?P<what>x|y|{_SCORE})\)?", re.I)
WHAT_FIRST = re.compile(rf"(?P<what>x|y|{_SCORE})[ _.-]?(?P<joint>\d+)", re.I)
NO_JOINTS = re.compile(r"(b?box|center|centre|centroid|com|instance|world).*", re.I)


def matches(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table has a line of column names."""
    return bool(rows) and any(cell.lower().rstrip("0123456789").endswith("x") for cell in rows[0])


def read(path: Path, rows: Sequence[Sequence[str]], asked: Asked = NOTHING) -> KeypointFile:
    """Understand a table.

    Args:
        path: the file.
        rows: all of its cells.
        asked: the skeleton where joints have no names, and the video where frames are pictures.

    Raises:
        KeypointsError: there are no columns of joints.
        UsageError: the skeleton must be given, or contradicts the names.
    """
    head = [cell.strip().strip("\"'") for cell in rows[0]]
    frame, warnings = _frame_column(path, head, rows)
    person = next((c for c, cell in enumerate(head) if PERSON.fullmatch(cell) and c != frame), None)
    if {"x", "y"} <= {cell.lower() for cell in head}:
        names, people = _long(path, head, rows, frame, person)
    else:
        names, people = _wide(path, head, rows, frame, person)
    return tables.keypoint_file(path, NAME, names, people, asked, warnings)


def _frame_column(
    path: Path, head: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[int | None, tuple[str, ...]]:
    """Which column numbers the frames, or one without a name that counts, as pandas writes it."""
    named = next((c for c, cell in enumerate(head) if FRAME.fullmatch(cell)), None)
    if named is not None:
        return named, ()
    first = [row[0] for row in rows[1:]]
    if not head[0] and all(re.fullmatch(r"\d+(\.0)?", cell) for cell in first):
        return 0, ()
    return None, (
        f"{path} has no column of frame numbers; its first row is taken as frame 0, and so on.",
    )


def _wide(
    path: Path,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    frame: int | None,
    person: int | None,
) -> tuple[list[str], list[tables.Row]]:
    columns: dict[str, dict[str, int]] = {}
    for c, cell in enumerate(head):
        found = WHAT_FIRST.fullmatch(cell) or NAME_FIRST.fullmatch(cell)
        if found and c not in (frame, person) and not NO_JOINTS.fullmatch(found["joint"]):
            what = found["what"].lower()
            columns.setdefault(found["joint"], {}).setdefault(what if what in "xy" else "s", c)
    joints = {name: where for name, where in columns.items() if {"x", "y"} <= where.keys()}
    if not joints:
        raise KeypointsError(
            f"{path} has no columns of 2D joints such as nose_x, nose_y; docs/keypoints.md shows "
            "the tables that are read."
        )
    joints = {name: joints[name] for name in tables.in_order(joints)}
    people = []
    for line, row in enumerate(rows[1:], 2):
        values = [
            (
                _cell(path, row, line, head, where["x"]),
                _cell(path, row, line, head, where["y"]),
                _cell(path, row, line, head, where["s"]) if "s" in where else 1.0,
            )
            for where in joints.values()
        ]
        at = str(line - 2) if frame is None else _text(row, frame)
        people.append(tables.Row(line, at, _text(row, person) or None, np.array(values)))
    return list(joints), people


def _long(
    path: Path,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    frame: int | None,
    person: int | None,
) -> tuple[list[str], list[tables.Row]]:
    lower = [cell.lower() for cell in head]
    x, y = lower.index("x"), lower.index("y")
    score = next((c for c, cell in enumerate(lower) if re.fullmatch(_SCORE, cell)), None)
    joint_columns = [c for c, cell in enumerate(head) if JOINT.fullmatch(cell)]
    if not joint_columns and person is not None:
        joint_columns, person = [person], None  # `id` is the joint's
    if not joint_columns or frame is None:
        lacking = "frame" if joint_columns else "joint"
        raise KeypointsError(f"{path} has a row for each joint, but no column '{lacking}'.")
    # A joint's name rather than its number.
    words = [c for c in joint_columns if any(not _text(row, c).isdigit() for row in rows[1:2])]
    joint = (words or joint_columns)[0]
    cells = [
        (
            line,
            _text(row, frame),
            _text(row, person) or None,
            _text(row, joint),
            (
                _cell(path, row, line, head, x),
                _cell(path, row, line, head, y),
                1.0 if score is None else _cell(path, row, line, head, score),
            ),
        )
        for line, row in enumerate(rows[1:], 2)
    ]
    return tables.grouped(cells)


def _text(row: Sequence[str], column: int | None) -> str:
    return row[column] if column is not None and column < len(row) else ""


def _cell(path: Path, row: Sequence[str], line: int, head: Sequence[str], column: int) -> float:
    return tables.number(_text(row, column), path, line, head[column])
