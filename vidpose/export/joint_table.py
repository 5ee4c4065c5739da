"""A result as a table, for spreadsheets and data frames: a row for each joint in each frame.

A table is made in parts: it is many times as large as the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vidpose.poses import Pose3D

Table = dict[str, NDArray]
"""Columns of one length, by name, in order; NaN where a number is not known."""

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
        frame; NaN without a world), u, v (pixels of the upright frame), score (0 to 1) and
        observed.
    """
    joints = np.array(result.skeleton.joint_names)
    camera = result.joints_camera()
    known = result.camera_to_world is not None
    world = result.joints_world() if known else np.full_like(camera, np.nan)
    for person in range(result.people):
        there = np.flatnonzero(result.present[person])
        if not len(there):
            continue
        for start in range(there[0], there[-1] + 1, FRAMES_AT_ONCE):
            part = slice(start, min(start + FRAMES_AT_ONCE, there[-1] + 1))
            frames, each = part.stop - part.start, len(joints)
            yield {
                "person": np.full(frames * each, result.person_ids[person]),
                "frame": result.frame_indices[part].repeat(each),
                "time": result.timestamps[part].repeat(each),
                "joint": np.tile(joints, frames),
                **_coordinates("xyz", camera[person, part]),
                **_coordinates(WORLD, world[person, part]),
                **_coordinates("uv", result.keypoints_2d[person, part]),
                "score": result.scores_2d[person, part].reshape(-1),
                "observed": result.observed[person, part].repeat(each),
            }


def _coordinates(names: Sequence[str], joints: NDArray[np.float32]) -> Table:
    """(T, J, D) -> D columns."""
    return dict(zip(names, joints.reshape(-1, len(names)).T, strict=True))
