"""Joint angles as CSV: a row for each angle of each person in each frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vidpose.export.csv import write_table
from vidpose.export.joint_table import Table, keys, stretches
from vidpose.options import ExportOptions
from vidpose.poses import Pose3D
from vidpose.postprocess.joint_angles import joint_angles

COLUMNS = ("person", "frame", "time", "angle", "degrees", "degrees_per_s")
MARK = ",".join(COLUMNS).encode()


def write(result: Pose3D, path: Path, name: str, options: ExportOptions) -> None:
    """Write everybody's angles, see `angle_table`."""
    write_table(angle_table(result), COLUMNS, path)


def angle_table(result: Pose3D) -> Iterator[Table]:
    """The rows of all people, one person after another, frame by frame.

    Yields:
        Parts with the columns `COLUMNS`: person (id), frame (in the source video), time (seconds),
        angle (its name), degrees and degrees_per_s; NaN where the angle is undefined or the person
        absent. `vidpose.postprocess.joint_angles.ANGLES` defines the angles.
    """
    angles = joint_angles(result)
    names, velocity = np.array(angles.names), angles.velocity()
    for person, part in stretches(result):
        yield {
            **keys(result, person, part, "angle", names),
            "degrees": angles.degrees[person, part].astype(np.float32).reshape(-1),
            "degrees_per_s": velocity[person, part].astype(np.float32).reshape(-1),
        }
