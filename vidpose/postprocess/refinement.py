"""Lifted poses brought nearer to what was seen: towards their 2D joints, every bone of one length.

The lifter answers as it learned people to be. On people it has not seen, its joints lie some 30 mm
beside the lines of sight that they were lifted from (root mean square for each axis). A sure 2D
joint knows better across the line of sight; a shaky one does not. How much detections shake from
frame to frame is there to be seen, and decides how far they count.
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
"""How far a joint goes towards its line of sight where detections do not shake at all."""
SHAKE_M = 0.006
"""Detections that shake by so much (standard deviation of each axis) count half."""
SMOOTH_S = 0.05
"""Standard deviation of the filter that tells movement from shaking."""
TRUNK = np.array(
    [H36M17.index(name) for name in ("Hip", "RHip", "LHip", "Spine", "Thorax", "Neck/Nose", "Head")]
)
TRUNK_SHARE = 0.25
"""How far the trunk goes in comparison: there the lifter is surer, and all else hangs on it."""
OUTLIER_M = 0.07
"""A joint so far beside its line of sight goes half as far as it otherwise would (Cauchy)."""
FEWEST_FRAMES = 15
"""A shorter track does not tell how much it shakes; it counts as if by `SHAKE_M`."""
MEDIAN_LENGTH = math.sqrt(2 * math.log(2))
"""Of a vector of two independent Gaussian numbers, in their standard deviation."""


def refine(result: Pose3D, focal_px: float) -> Pose3D:
    """The same result with joints nearer to their lines of sight, and one length for each bone.

    Args:
        result: the people; where they are (`root_3d`) does not matter, and stays.
        focal_px: focal length in pixels, known or assumed.
    """
    joints = result.joints_3d.copy()
    gaps = gaps_in(result.timestamps)
    for person in range(result.people):
        for run in runs_between(result.present[person], gaps):
            rays = joint_rays(result, person, run, focal_px)
            rays[~result.observed[person, run]] = np.nan  # interpolated frames say nothing new
            joints[person, run] = towards_rays(joints[person, run], rays, result.timestamps[run])
    return equal_bone_lengths(replace(result, joints_3d=joints), focal_px)


def refine_track(
    joints: NDArray[Float], rays: NDArray[np.floating], timestamps: NDArray[np.float64]
) -> NDArray[Float]:
    """`refine` for one person's track without gaps; see `towards_rays` for what goes in and out."""
    nearer = towards_rays(joints, rays, timestamps)
    return with_bone_lengths(nearer, rays, bone_lengths(nearer))


def towards_rays(
    joints: NDArray[Float], rays: NDArray[np.floating], timestamps: NDArray[np.float64]
) -> NDArray[Float]:
    """Poses whose joints have moved towards their lines of sight, across them.

    A joint's way to its line of sight is filtered over time. What the filter takes away is the
    detector's shaking, of which the person's median over the joints decides the share of the way
    that they go; see `TRUNK_SHARE`.

    Args:
        joints: (T, 17, 3) metres, h36m17, camera frame, relative to the root.
        rays: (T, 17, 2), where the 2D joints are at depth 1; NaN where one was not seen.
        timestamps: (T,) seconds, rising.

    Returns:
        (T, 17, 3) metres, the root at 0, a new array of the same type.
    """
    root = root_positions(joints, rays, np.ones(rays.shape[:2]), timestamps)
    if not np.isfinite(root).all():
        return joints.copy()
    sigma = SMOOTH_S / float(np.median(np.diff(timestamps))) if len(timestamps) > 1 else 0.0
    ways = np.empty_like(joints)
    shakes = np.empty(joints.shape[1])
    for j in range(joints.shape[1]):  # one by one, which bounds memory
        ways[:, j], shakes[j] = _way(joints[:, j] + root, rays[:, j], sigma)
    known = np.isfinite(shakes)
    shake = float(np.median(shakes[known])) if known.any() else SHAKE_M
    share = np.full((joints.shape[1], 1), SHARE / (1 + (shake / SHAKE_M) ** 2))
    share[TRUNK] *= TRUNK_SHARE
    nearer = joints + share * ways
    return np.asarray(nearer - nearer[:, :1], joints.dtype)


def _way(
    places: NDArray[np.float64], rays: NDArray[np.floating], sigma: float
) -> tuple[NDArray[np.float64], float]:
    """A joint's way to its line of sight.

    Args:
        places: (T, 3) metres, camera frame.
        rays: (T, 2), NaN where it was not seen.
        sigma: the filter's standard deviation, frames.

    Returns:
        (T, 3) metres, filtered, 0 where it was not seen for long; and how much the detections
        shake about it, metres, NaN where it was seen too rarely to tell.
    """
    seen = np.isfinite(rays).all(axis=1, keepdims=True)
    sight = directions(np.where(seen, rays, 0.0).astype(np.float64))
    way = (places * sight).sum(axis=1, keepdims=True) * sight - places
    weight = seen / (1 + np.square(way).sum(axis=1, keepdims=True) / OUTLIER_M**2)
    total = _filtered(weight, sigma)
    smooth = _filtered(weight * way, sigma) / np.maximum(total, 1e-3)
    smooth *= np.minimum(1, 4 * total)  # fades where it was not seen
    sure = weight[:, 0] > 0.3
    if sure.sum() < FEWEST_FRAMES:
        return smooth, math.nan
    off = np.linalg.norm((way - smooth)[sure], axis=1)
    return smooth, float(np.median(off)) / MEDIAN_LENGTH


def _filtered(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """(T, D), each column smoothed by a Gaussian; beyond the ends there is 0.

    As `scipy.ndimage` does it, which takes a third of a second to import.
    """
    reach = round(4 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-9)) ** 2)
    kernel /= kernel.sum()
    columns = [np.convolve(column, kernel)[reach : reach + len(values)] for column in values.T]
    return np.stack(columns, axis=1)
