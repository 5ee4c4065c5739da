"""How tall people are, and their poses at their real size.

One camera cannot tell a small person nearby from a tall one far away. If a person's height is
known, the pose gets that size, and the distance that follows from it.
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
"""Of the height, in an adult: 8 cm of 1.74 m."""
SEGMENTS = (
    (("RKnee", "RFoot"), ("LKnee", "LFoot")),
    (("RHip", "RKnee"), ("LHip", "LKnee")),
    (("Hip", "Spine"),),
    (("Spine", "Thorax"),),
    (("Thorax", "Head"),),
)
"""What adds up to the height of somebody who stands straight, from the ankle to the head top. Of
left and right the mean counts."""


def body_heights(result: Pose3D) -> NDArray[np.float64]:
    """(P,) how tall people are in a result, metres: the median lengths of their segments from
    sole to head top, as if they stood straight; NaN for somebody who is never there.
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
    """The same result with people of these heights.

    Both `joints_3d` and `root_3d` of a person are multiplied by one factor, so that they project
    onto the same 2D joints as before; `meta["scale"]` says by which.

    Args:
        result: the people, without a world: its floor would stay where it was.
        height_cm: everybody's height; or by person id, the others stay as they are.

    Raises:
        UsageError: a height is not one of a person, or the result has a world.
    """
    check_heights(height_cm)
    if result.camera_to_world is not None:
        raise UsageError("The result is in a world already: scale people first, then place them.")
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
