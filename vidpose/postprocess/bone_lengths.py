"""One person, one body: every bone has the same length in all frames.

A network lifts window by window and guesses each time how long the bones are. It is least sure of
depth: where a bone is too long or too short for the person, most likely it leans more or less
towards the camera than was thought.
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
"""Variance of a lifted bone across the line of sight, as a fraction of that along it."""
SHORTEST_M = 1e-6
"""Keeps divisions finite for a bone without length."""


def equal_bone_lengths(result: Pose3D, focal_px: float) -> Pose3D:
    """The same result with one length for each bone of a person: the median over all frames.

    Args:
        result: the people; where they are (`root_3d`) does not matter, and stays.
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
    """How long a person's bones are: the median over frames and both sides.

    Args:
        joints: (T, 17, 3) metres, h36m17; NaN in frames without the person.

    Returns:
        (17,) metres, each that of the bone that ends in the joint; 0 for the root.
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
    """The same poses with bones of these lengths in every frame.

    Bone by bone from the root on, each turns, mostly towards or away from the camera. A bone of
    length n and direction d moves by (length - n) W d / (d' W d), where s is the line of sight to
    its end and W = ACROSS + (1 - ACROSS) s s' its covariance. This is a first step to the bone of
    the right length that is nearest in W's metric; scaling does the rest. A bone never comes to
    lean the other way: there it lies in the picture's plane.

    Args:
        joints: (T, 17, 3) metres, camera frame, relative to the root.
        rays: (T, 17, 2), where the 2D joints are at depth 1. Where one is NaN, the mean of the
            frame's others stands in.
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
            # It is less than ACROSS only for a bone without length.
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
