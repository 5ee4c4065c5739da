"""Constant bone lengths for each person.

The network lifts window by window and estimates bone lengths anew each time. Depth is its least
certain coordinate: if a bone is too long or too short for the person, its inclination towards the
camera is most likely wrong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vidpose.poses import Pose3D
from vidpose.postprocess.rays import chunks, directions, joint_rays
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import runs

Float = TypeVar("Float", bound=np.floating)

ACROSS = 0.1
"""Variance of a lifted bone across the line of sight, as a fraction of the variance along it."""
SHORTEST_M = 1e-6
"""Keeps divisions finite for a bone of length zero."""


def equal_bone_lengths(result: Pose3D, focal_px: float) -> Pose3D:
    """Give each bone of a person one length: the median over all frames.

    Args:
        result: the people; `root_3d` is not used and does not change.
        focal_px: focal length in pixels, known or assumed.
    """
    joints = result.joints_3d.copy()
    for person in range(result.people):
        if not result.present[person].any():
            continue
        lengths = bone_lengths(joints[person])
        for run in runs(result.present[person]):
            rays = joint_rays(result, person, run, focal_px)
            joints[person, run] = with_bone_lengths(joints[person, run], rays, lengths)
    return replace(result, joints_3d=joints)


def bone_lengths(joints: NDArray[np.floating]) -> NDArray[np.float64]:
    """Measure a person's bone lengths: the median over frames and both sides.

    Args:
        joints: (T, 17, 3) metres, h36m17; NaN in frames without the person.

    Returns:
        (17,) metres, the length of the bone from each joint to its parent; 0 for the root.
    """
    lengths = np.zeros(len(H36M17))
    for parent, child in H36M17.bones:
        other = int(H36M17.mirrored[child])
        sides = [
            np.linalg.norm(joints[:, end] - joints[:, start], axis=1)
            for end, start in ((child, parent), (other, int(H36M17.mirrored[parent])))
        ]
        lengths[child] = np.nanmedian(np.concatenate(sides))
    return lengths


def with_bone_lengths(
    joints: NDArray[Float], rays: NDArray[np.floating], lengths: NDArray[np.floating]
) -> NDArray[Float]:
    """Set the bone lengths of every frame.

    Starting at the root, each bone is rotated, mostly towards or away from the camera. A bone of
    length n and direction d moves by (length - n) W d / (d' W d), where s is the line of sight to
    its end and W = ACROSS + (1 - ACROSS) s s' its covariance. This is the first step towards the
    closest bone of the right length in W's metric; scaling does the rest. A bone never flips its
    inclination towards the camera; it stops parallel to the image plane.

    Args:
        joints: (T, 17, 3) metres, camera frame, relative to the root.
        rays: (T, 17, 2), rays of the 2D joints; NaN is replaced by the mean of the frame's other
            joints.
        lengths: (17,) metres, from `bone_lengths`.

    Returns:
        (T, 17, 3) metres, a new array of the same type.
    """
    out = np.empty_like(joints)
    for part in chunks(len(joints)):
        sight = _lines_of_sight(rays[part])
        lifted = joints[part].astype(np.float64)
        kept = np.zeros_like(lifted)
        for parent, child in H36M17.bones:
            bone, towards = lifted[:, child] - lifted[:, parent], sight[:, child]
            length = np.maximum(np.linalg.norm(bone, axis=1, keepdims=True), SHORTEST_M)
            along = bone / length
            likely = ACROSS * along + (1 - ACROSS) * _dot(along, towards) * towards
            # Only a bone of length zero has a smaller variance than ACROSS.
            variance = np.maximum(_dot(along, likely), ACROSS)
            turned = bone + (lengths[child] - length) / variance * likely
            depth = _dot(turned, towards)
            bone = np.where(_dot(bone, towards) * depth < 0, turned - depth * towards, turned)
            length = np.maximum(np.linalg.norm(bone, axis=1, keepdims=True), SHORTEST_M)
            kept[:, child] = kept[:, parent] + bone * (lengths[child] / length)
        out[part] = kept
    return out


def _lines_of_sight(rays: NDArray[np.floating]) -> NDArray[np.float64]:
    """(T, J, 2) -> (T, J, 3), unit vectors."""
    known = np.isfinite(rays).all(axis=2, keepdims=True)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    middle = np.where(known, rays, 0).sum(axis=1, keepdims=True) / count
    return directions(np.where(known, rays, middle))


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((a * b).sum(axis=1, keepdims=True))
