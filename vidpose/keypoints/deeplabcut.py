"""DeepLabCut's CSV: lines of headings, then a line for each frame.

    scorer,      DLC_resnet50,DLC_resnet50,DLC_resnet50,...
    individuals, ind1,        ind1,        ind1,        ...      only with several individuals
    bodyparts,   nose,        nose,        nose,        ...
    coords,      x,           y,           likelihood,  ...
    0,           312.5,       104.2,       0.99,        ...

The frame is the number in the first column; in label files it is the picture's name, whose path may
take several columns. Body parts that belong to no individual ("unique") are skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidpose.errors import KeypointsError
from vidpose.keypoints import tables
from vidpose.keypoints.base import NOTHING, Asked, KeypointFile
from vidpose.keypoints.joint_names import skeleton_of_names

NAME = "deeplabcut"
COORDS = ("x", "y", "likelihood")


def matches(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the rows of a table are DeepLabCut's."""
    return bool(rows) and rows[0][0] == "scorer"


def read(path: Path, rows: Sequence[Sequence[str]], asked: Asked = NOTHING) -> KeypointFile:
    """Parse a table.

    Args:
        path: the file.
        rows: all of its cells.
        asked: the skeleton, if the names of the body parts are unknown.

    Raises:
        KeypointsError: it is not DeepLabCut's, or lacks the joints of people.
        UsageError: the requested skeleton contradicts the names.
    """
    heads = {row[0]: row for row in rows[:4]}
    if "bodyparts" not in heads or "coords" not in heads:
        raise KeypointsError(f"{path} begins as DeepLabCut's, but lacks 'bodyparts' or 'coords'.")
    parts, coords = heads["bodyparts"], heads["coords"]
    individuals = heads.get("individuals", ["one"] * len(parts))
    first = 1 + max(n for n, row in enumerate(rows[:4]) if row[0] in ("bodyparts", "coords"))
    begin = next((c for c, name in enumerate(coords) if name in COORDS), len(coords))
    width = min(len(parts), len(coords), len(individuals))
    columns: dict[str, dict[str, dict[str, int]]] = {}
    for c in range(begin, width):
        columns.setdefault(individuals[c], {}).setdefault(parts[c], {})[coords[c]] = c
    people = _people(columns, asked)
    names = list(next(iter(people.values()))) if people else []
    found = []
    for line, row in enumerate(rows[first:], first + 1):
        frame = "/".join(cell for cell in row[:begin] if cell)
        for person, joints in people.items():
            values = [_joint(path, row, line, where) for where in joints.values()]
            who = person if "individuals" in heads else None
            found.append(tables.Row(line, frame, who, np.array(values)))
    return tables.keypoint_file(path, NAME, names, found, asked)


def _people(
    columns: dict[str, dict[str, dict[str, int]]], asked: Asked
) -> dict[str, dict[str, dict[str, int]]]:
    """Return the individuals that have the body parts of a person, or else of the first one."""
    usual = next(
        (list(parts) for parts in columns.values() if skeleton_of_names(list(parts))), None
    )
    if usual is None:
        sizes = [list(parts) for parts in columns.values()]
        fits = [parts for parts in sizes if asked.skeleton and len(parts) == len(asked.skeleton)]
        usual = (fits or sizes or [[]])[0]
    return {
        who: {name: parts[name] for name in usual}
        for who, parts in columns.items()
        if set(usual) <= set(parts)
    }


def _joint(
    path: Path, row: Sequence[str], line: int, where: dict[str, int]
) -> tuple[float, float, float]:
    cells = [row[where[coord]] if where.get(coord, len(row)) < len(row) else "" for coord in COORDS]
    x, y, score = (
        tables.number(cell, path, line, name) for cell, name in zip(cells, COORDS, strict=True)
    )
    return x, y, score if "likelihood" in where else 1.0
