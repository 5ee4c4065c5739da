"""CSV: a table as text; fields of unknown numbers are empty."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidpose.export.joint_table import COLUMNS, Table, joint_table
from vidpose.options import ExportOptions
from vidpose.poses import Pose3D

MARK = ",".join(COLUMNS).encode()
DECIMALS = 6


def write(result: Pose3D, path: Path, name: str, options: ExportOptions) -> None:
    """Write everybody's joints, see `joint_table`."""
    write_table(joint_table(result), COLUMNS, path)


def write_table(parts: Iterable[Table], columns: Iterable[str], path: Path) -> None:
    """Write a table in parts, with a header.

    Numbers are rounded to `DECIMALS`, except those in double precision (times).
    """
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for part in parts:
            writer.writerows(zip(*map(_as_text, part.values()), strict=True))


def _as_text(column: NDArray) -> list[object]:
    values = column.tolist()
    if column.dtype == np.float32:
        return [f"{value:.{DECIMALS}f}" if value == value else "" for value in values]
    return values
