"""Lines of sight to 2D joints, and chunks of long tracks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vidpose.camera import assumed_focal_px, pixels_to_rays
from vidpose.poses import Pose2D, Pose3D, section

FRAMES_AT_ONCE = 4096
"""Bounds the memory for processing long tracks."""


def chunks(frames: int) -> list[slice]:
    """Slices of at most `FRAMES_AT_ONCE` frames that cover all frames."""
    return [slice(start, start + FRAMES_AT_ONCE) for start in range(0, frames, FRAMES_AT_ONCE)]


def focal_px_of(result: Pose3D) -> float:
    """The focal length that a result records, in pixels; assumed if it records none."""
    known = section(result.meta, "camera").get("focal_px")
    if isinstance(known, int | float) and math.isfinite(known) and known > 0:
        return float(known)
    return assumed_focal_px(result.frame_size)


def directions(rays: NDArray[np.floating]) -> NDArray[np.float64]:
    """(..., 2) rays -> (..., 3) unit vectors, away from the camera."""
    sight = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1)
    return np.asarray(sight / np.linalg.norm(sight, axis=-1, keepdims=True), np.float64)


def joint_rays(poses: Pose2D, person: int, run: slice, focal_px: float) -> NDArray[np.float32]:
    """Rays of a person's 2D joints: image coordinates at depth 1.

    Args:
        poses: the poses.
        person: row of the person.
        run: frames.
        focal_px: focal length in pixels.

    Returns:
        (T, J, 2); NaN where a joint is missing (score 0).
    """
    seen = poses.scores_2d[person, run, :, None] > 0
    rays = np.where(seen, poses.keypoints_2d[person, run], np.float32(np.nan))
    for part in chunks(len(rays)):
        rays[part] = pixels_to_rays(rays[part], poses.frame_size, focal_px)
    return rays
