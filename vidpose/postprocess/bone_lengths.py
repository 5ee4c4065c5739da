"""One person, one body: every bone as long in all frames.

A network lifts window by window, and each time guesses how long the bones are. What it is least
sure of is depth: where a bone is too long or too short for the person, most likely it leans more or
less towards the camera than was thought.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidpose.skeleton import H36M17

ACROSS = 0.1
"""Variance of a lifted bone across the line of sight, as a part of that along it."""
AT_ONCE = 4096
"""Frames, which bounds memory."""


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


def keep_lengths(
    joints: NDArray[np.floating], rays: NDArray[np.floating], lengths: NDArray[np.floating]
) -> None:
    """Give bones these lengths in every frame, in place.

    Bone by bone from the root on, each turns, and mostly towards or away from the camera. Bone b,
    of length n and direction d, is moved by (length - n) W d / (d' W d), where s is the line of
    sight to its end and W = ACROSS + (1 - ACROSS) s s' its covariance: a first step to the bone of
    the right length that is nearest in W's metric. Scaling it does the rest. It never comes to
    lean the other way: there it lies in the picture's plane.

    Args:
        joints: (T, 17, 3) metres, camera frame, relative to the root.
        rays: (T, 17, 2), where the 2D joints are at depth 1; NaN where they are not known: the
            middle of the others then stands in.
        lengths: (17,) metres, from `bone_lengths`.
    """
    for start in range(0, len(joints), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        sight = _lines_of_sight(rays[part])
        lifted = joints[part].astype(np.float64)
        kept = np.zeros_like(lifted)
        for parent, child in H36M17.bones:
            bone, towards = lifted[:, child] - lifted[:, parent], sight[:, child]
            length = np.maximum(np.linalg.norm(bone, axis=1, keepdims=True), 1e-6)
            along = bone / length
            likely = ACROSS * along + (1 - ACROSS) * _dot(along, towards) * towards
            variance = np.maximum(_dot(along, likely), ACROSS)  # no less, but for a bone of none
            turned = bone + (lengths[child] - length) / variance * likely
            depth = _dot(turned, towards)
            bone = np.where(_dot(bone, towards) * depth < 0, turned - depth * towards, turned)
            length = np.maximum(np.linalg.norm(bone, axis=1, keepdims=True), 1e-6)
            kept[:, child] = kept[:, parent] + bone * (lengths[child] / length)
        joints[part] = kept


def _lines_of_sight(rays: NDArray[np.floating]) -> NDArray[np.float64]:
    """(T, J, 2) -> (T, J, 3), unit vectors."""
    known = np.isfinite(rays).all(axis=2, keepdims=True)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    middle = np.where(known, rays, 0).sum(axis=1, keepdims=True) / count
    there = np.where(known, rays, middle)
    sight = np.concatenate([there, np.ones_like(there[..., :1])], axis=2)
    return np.asarray(sight / np.linalg.norm(sight, axis=2, keepdims=True), np.float64)


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((a * b).sum(axis=1, keepdims=True))
