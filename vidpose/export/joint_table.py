"""A result as a table, for spreadsheets and data frames: a row per joint and frame.

Tables are made in parts, because they are many times as large as the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vidpose.poses import Pose3D

Table = dict[str, NDArray]
"""Columns of equal length, by name, in order; NaN where a number is unknown."""

FRAMES_AT_ONCE = 2048
WORLD = ("world_x", "world_y", "world_z")
COLUMNS = (
    *("person", "frame", "time", "joint", "x", "y", "z", *WORLD),
    *("u", "v", "score", "observed"),
)


def joint_table(result: Pose3D) -> Iterator[Table]:
    """The rows of all people, one person after another, frame by frame.

    A person's rows go from their first frame to their last. For a frame between them in which the
    person is absent, coordinates are NaN and `observed` is False.

    Yields:
        Parts with the columns `COLUMNS`: person (id), frame (in the source video), time (seconds),
        joint (its name), x, y, z (metres, camera frame), world_x, world_y, world_z (metres, world
        frame; NaN without one), u, v (pixels of the upright frame), score (0 to 1) and
        observed.
    """
    joints = np.array(result.skeleton.joint_names)
    camera = result.joints_camera()
    known = result.camera_to_world is not None
    world = result.joints_world() if known else np.full_like(camera, np.nan)
    for person, part in stretches(result):
        yield {
            **keys(result, person, part, "joint", joints),
            **_coordinates("xyz", camera[person, part]),
            **_coordinates(WORLD, world[person, part]),
            **_coordinates("uv", result.keypoints_2d[person, part]),
            "score": result.scores_2d[person, part].reshape(-1),
            "observed": result.observed[person, part].repeat(len(joints)),
        }


def stretches(result: Pose3D) -> Iterator[tuple[int, slice]]:
    """Row and frames of each person, first to last, in chunks of at most `FRAMES_AT_ONCE`."""
    for person, present in enumerate(result.present):
        there = np.flatnonzero(present)
        if len(there):
            end = int(there[-1]) + 1
            for start in range(int(there[0]), end, FRAMES_AT_ONCE):
                yield person, slice(start, min(start + FRAMES_AT_ONCE, end))


def keys(result: Pose3D, person: int, part: slice, what: str, names: NDArray[np.str_]) -> Table:
    """The key columns: person, frame, time, and the column `what`."""
    frames, each = part.stop - part.start, len(names)
    return {
        "person": np.full(frames * each, result.person_ids[person]),
        "frame": result.frame_indices[part].repeat(each),
        "time": result.timestamps[part].repeat(each),
        what: np.tile(names, frames),
    }


def _coordinates(names: Sequence[str], joints: NDArray[np.float32]) -> Table:
    """(T, J, D) -> D columns."""
    return dict(zip(names, joints.reshape(-1, len(names)).T, strict=True))
