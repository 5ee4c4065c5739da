"""A small, valid result."""

from __future__ import annotations

from typing import Any

import numpy as np

from vidpose.poses import Pose3D


def make_result(people: int = 2, frames: int = 5, **changes: Any) -> Pose3D:
    """People who are present in all frames, at arbitrary positions."""
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(people, frames, 17, 3)).astype(np.float32)
    joints[:, :, 0] = 0
    fields: dict[str, Any] = {
        "joints_3d": joints,
        "root_3d": rng.normal((0, 0, 5), size=(people, frames, 3)).astype(np.float32),
        "keypoints_2d": rng.uniform(0, 100, (people, frames, 17, 2)).astype(np.float32),
        "scores_2d": rng.random((people, frames, 17)).astype(np.float32),
        "present": np.ones((people, frames), bool),
        "observed": np.ones((people, frames), bool),
        "person_ids": np.arange(1, people + 1, dtype=np.int32),
        "frame_indices": np.arange(frames, dtype=np.int64),
        "timestamps": np.arange(frames) / 29.97,
        "fps": 29.97,
        "frame_size": (640, 480),
        "meta": {"vidpose": "test", "nested": {"list": [1, 2.5, None]}},
    }
    return Pose3D(**(fields | changes))
