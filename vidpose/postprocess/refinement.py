"""Refine lifted poses: move joints towards their 2D detections, and keep bone lengths constant.

On unseen people, the lifter places joints some 30 mm away from the lines of sight that they were
lifted from (root mean square per axis). Across the line of sight, a stable 2D joint is more
accurate than that; one with much jitter is not. The jitter of detections is measured
from frame to frame, and sets their weight.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vidpose.poses import Pose3D
from vidpose.postprocess.bone_lengths import bone_lengths, equal_bone_lengths, with_bone_lengths
from vidpose.postprocess.rays import directions, joint_rays
from vidpose.postprocess.root_trajectory import root_positions
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import gaps_in, runs_between

Float = TypeVar("Float", bound=np.floating)

SHARE = 0.9
"""Fraction of the distance to its line of sight that a joint moves if detections have no jitter."""
JITTER_M = 0.006
"""Jitter (standard deviation per axis) that halves the weight of detections."""
SMOOTH_S = 0.05
"""Standard deviation of the filter that separates motion from jitter."""
TRUNK = np.array(
    [H36M17.index(name) for name in ("Hip", "RHip", "LHip", "Spine", "Thorax", "Neck/Nose", "Head")]
)
TRUNK_SHARE = 0.25
"""Factor for trunk joints, where the lifter is more accurate, and which carry all others."""
OUTLIER_M = 0.07
"""Distance from the line of sight that halves a joint's weight (Cauchy)."""
FEWEST_FRAMES = 15
"""Frames needed to measure jitter; shorter tracks are assumed to have `JITTER_M`."""
MEDIAN_LENGTH = math.sqrt(2 * math.log(2))
"""Median length of a 2D Gaussian vector, in standard deviations per axis."""


def refine(result: Pose3D, focal_px: float) -> Pose3D:
    """Move joints towards their lines of sight, and give each bone one length.

    Args:
        result: the people; `root_3d` is not used and does not change.
        focal_px: focal length in pixels, known or assumed.
    """
    joints = result.joints_3d.copy()
    gaps = gaps_in(result.timestamps)
    for person in range(result.people):
        for run in runs_between(result.present[person], gaps):
            rays = joint_rays(result, person, run, focal_px)
            rays[~result.observed[person, run]] = np.nan  # interpolated frames add no information
            joints[person, run] = towards_rays(joints[person, run], rays, result.timestamps[run])
    return equal_bone_lengths(replace(result, joints_3d=joints), focal_px)


def refine_track(
    joints: NDArray[Float], rays: NDArray[np.floating], timestamps: NDArray[np.float64]
) -> NDArray[Float]:
    """`refine` for one person's track without gaps; see `towards_rays` for arguments and result."""
    nearer = towards_rays(joints, rays, timestamps)
    return with_bone_lengths(nearer, rays, bone_lengths(nearer))


def towards_rays(
    joints: NDArray[Float], rays: NDArray[np.floating], timestamps: NDArray[np.float64]
) -> NDArray[Float]:
    """Move joints towards their lines of sight.

    The offset of each joint to its line of sight is low-pass filtered over time. The residual of
    the filter is detection jitter; its median over the person's joints sets the fraction of the
    offset that joints move (less for the trunk, see `TRUNK_SHARE`).

    Args:
        joints: (T, 17, 3) metres, h36m17, camera frame, relative to the root.
        rays: (T, 17, 2), rays of the 2D joints; NaN where one is missing.
        timestamps: (T,) seconds, increasing.

    Returns:
        (T, 17, 3) metres, the root at 0, a new array of the same type.
    """
    root = root_positions(joints, rays, np.ones(rays.shape[:2]), timestamps)
    if not np.isfinite(root).all():
        return joints.copy()
    sigma = SMOOTH_S / float(np.median(np.diff(timestamps))) if len(timestamps) > 1 else 0.0
    offsets = np.empty_like(joints)
    jitters = np.empty(joints.shape[1])
    for j in range(joints.shape[1]):  # one by one, which bounds memory
        offsets[:, j], jitters[j] = _offset(joints[:, j] + root, rays[:, j], sigma)
    known = np.isfinite(jitters)
    jitter = float(np.median(jitters[known])) if known.any() else JITTER_M
    share = np.full((joints.shape[1], 1), SHARE / (1 + (jitter / JITTER_M) ** 2))
    share[TRUNK] *= TRUNK_SHARE
    nearer = joints + share * offsets
    return np.asarray(nearer - nearer[:, :1], joints.dtype)


def _offset(
    positions: NDArray[np.float64], rays: NDArray[np.floating], sigma: float
) -> tuple[NDArray[np.float64], float]:
    """Offset of a joint to its line of sight.

    Args:
        positions: (T, 3) metres, camera frame.
        rays: (T, 2), NaN where the joint is missing.
        sigma: standard deviation of the filter, frames.

    Returns:
        (T, 3) metres, filtered, 0 inside long gaps; and the jitter of detections, metres, NaN if
        there are too few to measure it.
    """
    seen = np.isfinite(rays).all(axis=1, keepdims=True)
    sight = directions(np.where(seen, rays, 0.0).astype(np.float64))
    offset = (positions * sight).sum(axis=1, keepdims=True) * sight - positions
    weight = seen / (1 + np.square(offset).sum(axis=1, keepdims=True) / OUTLIER_M**2)
    total = _filtered(weight, sigma)
    smooth = _filtered(weight * offset, sigma) / np.maximum(total, 1e-3)
    smooth *= np.minimum(1, 4 * total)  # fades out in gaps
    sure = weight[:, 0] > 0.3
    if sure.sum() < FEWEST_FRAMES:
        return smooth, math.nan
    residual = np.linalg.norm((offset - smooth)[sure], axis=1)
    return smooth, float(np.median(residual)) / MEDIAN_LENGTH


def _filtered(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """(T, D), each column smoothed by a Gaussian, zero-padded.

    Same result as `scipy.ndimage`, which takes a third of a second to import.
    """
    reach = round(4 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-9)) ** 2)
    kernel /= kernel.sum()
    columns = [np.convolve(column, kernel)[reach : reach + len(values)] for column in values.T]
    return np.stack(columns, axis=1)
