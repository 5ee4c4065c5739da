"""Two people who walk past a camera; the second arrives later and is lost for a while."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.render.people import walk
from vidpose.poses import Pose3D
from vidpose.postprocess.ground_plane import place_in_world

ABSENT = (slice(0, 5), slice(20, 24), slice(38, 40))
"""The frames in which person 2 is not there."""


def passers_by(*, fps: float = 29.97, world: bool = True, frames: int = 40) -> Pose3D:
    """Persons 1 and 2, the second with gaps (`ABSENT`); `frame_indices` begin at 100."""
    result = walk(
        frames=frames,
        starts=((-0.8, 4.0), (1.5, 5.0)),
        speeds=((0.9, 0.0), (-0.5, 0.7)),
        fps=fps,
        pitch_deg=12.0,
        camera_height_m=1.7,
    )
    for gap in ABSENT:
        result.joints_3d[1, gap] = result.root_3d[1, gap] = np.nan
        result.present[1, gap] = result.observed[1, gap] = False
    result.observed[0, 7] = False
    result.scores_2d[:] = np.random.default_rng(1).random(result.scores_2d.shape)
    result = replace(
        result,
        person_ids=np.array([1, 2], np.int32),
        frame_indices=result.frame_indices + 100,
        timestamps=result.timestamps + 100 / fps,
        meta={"vidpose": "test"},
    )
    return place_in_world(result, camera_pitch=12.0) if world else result


def varying(result: Pose3D) -> Pose3D:
    """The same people, every other frame of the video 8 ms late."""
    late = np.arange(result.frames) % 2 * 0.008
    return replace(result, timestamps=result.timestamps + late)
