"""Estimate body heights, and scale poses to known heights.

A single camera cannot distinguish a small person nearby from a tall one far away. A known height
fixes the scale of the pose, and with it the distance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import UsageError
from vidpose.options import Heights, as_json, check_heights
from vidpose.poses import Pose3D
from vidpose.skeleton import H36M17

BELOW_ANKLE = 0.046
"""Height of the ankle joint as a fraction of body height, in an adult: 8 cm of 1.74 m."""
SEGMENTS = (
    (("RKnee", "RFoot"), ("LKnee", "LFoot")),
    (("RHip", "RKnee"), ("LHip", "LKnee")),
    (("Hip", "Spine"),),
    (("Spine", "Thorax"),),
    (("Thorax", "Head"),),
)
"""Segments whose lengths add up to the height of a person standing straight, from the ankle to the
head top. Left and right are averaged."""


def body_heights(result: Pose3D) -> NDArray[np.float64]:
    """(P,) standing heights, metres: the sum of median segment lengths from sole to head top; NaN
    for a person who is never present.
    """
    out = np.full(result.people, np.nan)
    for person, present in enumerate(result.present):
        if present.any():
            joints = result.joints_3d[person, present]
            above_ankle = sum(
                np.mean([_length(joints, *bone) for bone in sides]) for sides in SEGMENTS
            )
            out[person] = above_ankle / (1 - BELOW_ANKLE)
    return out


def _length(joints: NDArray[np.float32], start: str, end: str) -> float:
    bone = joints[:, H36M17.index(end)] - joints[:, H36M17.index(start)]
    return float(np.median(np.linalg.norm(bone, axis=1)))


def scale_to_height(result: Pose3D, height_cm: Heights) -> Pose3D:
    """Scale people to given heights.

    Both `joints_3d` and `root_3d` of a person are multiplied by one factor, so that they project
    onto the same 2D joints as before; `meta["scale"]` records the factor.

    Args:
        result: the people, without a world frame, whose floor would not move with them.
        height_cm: one height for everybody, or heights by person id; other people stay as they are.

    Raises:
        UsageError: a height is out of range, or the result has a world frame.
    """
    check_heights(height_cm)
    if result.camera_to_world is not None:
        raise UsageError("The result has a world frame already; scale people before you add one.")
    ids = result.person_ids.tolist()
    by_id = height_cm if isinstance(height_cm, Mapping) else dict.fromkeys(ids, height_cm)
    joints, root = result.joints_3d.copy(), result.root_3d.copy()
    scaled = {}
    before = body_heights(result)
    for person, name in enumerate(ids):
        height = by_id.get(name)
        if height is None or np.isnan(before[person]):
            continue
        factor = float(height) / 100 / before[person]
        joints[person] *= np.float32(factor)
        root[person] *= np.float32(factor)
        scaled[str(name)] = {
            "before_cm": round(100 * float(before[person]), 1),
            "factor": round(float(factor), 4),
        }
    scale = {
        "height_cm": as_json(height_cm),
        "people": scaled,
        "not_there": [str(name) for name in sorted(by_id) if name not in ids],
    }
    return replace(result, joints_3d=joints, root_3d=root, meta=result.meta | {"scale": scale})
