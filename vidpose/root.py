"""Where a person is: the translation that makes their 3D pose fall onto their 2D joints.

Camera frame throughout: x right, y down, z away from the camera, metres. Rays are image
coordinates at depth 1: (pixel - principal point) / focal length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

FOCAL_IN_LONG_SIDES = 1.0
"""The focal length assumed when none is given, in longer sides of the picture: 53 degrees across.
Phones film at about 0.8 to 0.9, camcorders and zoomed pictures at more."""

REPROJECTION_SD = 0.08
"""What a reprojected joint is off by, in the person's size (mean distance of the joints from the
root, about 0.45 m): the lifter's error and the detector's together."""
ERROR_SECONDS = 0.1
"""How long such an error lasts; frames closer than this say little new."""
ACCELERATION = 2.0
"""Spectral density of the root's acceleration, (m/s^2)^2 s: brisk human movement."""
NEAREST = 0.3
"""Metres; no root is placed nearer to the camera."""


def assumed_focal_px(frame_size: tuple[int, int]) -> float:
    """The focal length in pixels that stands in for an unknown one."""
    return FOCAL_IN_LONG_SIDES * max(frame_size)


def pixels_to_rays(
    keypoints_px: NDArray[np.floating], frame_size: tuple[int, int], focal_px: float
) -> NDArray[np.float64]:
    """(..., 2) pixels -> (..., 2) rays, for a principal point in the middle of the picture."""
    centre = (np.array(frame_size) - 1) / 2
    return np.asarray((keypoints_px - centre) / focal_px, dtype=np.float64)


def rays_to_pixels(
    rays: NDArray[np.floating], frame_size: tuple[int, int], focal_px: float
) -> NDArray[np.float64]:
    """The inverse of `pixels_to_rays`."""
    centre = (np.array(frame_size) - 1) / 2
    return np.asarray(rays * focal_px + centre, dtype=np.float64)


def root_positions(
    joints: NDArray[np.floating],
    rays: NDArray[np.floating],
    scores: NDArray[np.floating],
    timestamps: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Place a person in every frame, smoothly.

    Least squares of the reprojection error (weighted by confidence, robust against single
    joints, in units of its expected size) plus a prior on the root's acceleration, over all
    frames at once: a banded linear system, solved again with new weights a few times.

    Args:
        joints: (T, J, 3) metres, relative to the root.
        rays: (T, J, 2), NaN where a joint is missing.
        scores: (T, J), 0 to 1.
        timestamps: (T,) seconds, rising.

    Returns:
        (T, 3) metres; NaN throughout if no frame has joints enough to tell.
    """
    frames = len(joints)
    seen = np.isfinite(rays).all(axis=-1)
    weight = np.where(seen, np.maximum(scores, 0.05), 0.0)
    # A frame needs three joints that do not fall on one spot.
    spread = _spread(rays, weight)
    usable = (seen.sum(axis=1) >= 3) & (spread > 1e-6)
    if not usable.any():
        return np.full((frames, 3), np.nan)
    weight = np.where(usable[:, None], weight, 0.0)
    rays = np.where(seen[..., None], rays, 0.0)
    sd = np.where(usable, REPROJECTION_SD * spread, 1.0)[:, None, None]
    seconds = _frame_seconds(timestamps)
    # The errors of neighbouring frames are alike, so a frame counts for the time it covers.
    weight = weight * np.minimum(seconds / ERROR_SECONDS, 1)[:, None]
    prior = _acceleration_prior(timestamps)

    # u (Z + tz) - (X + tx) = 0 is linear in the translation t; divided by the depth it is the
    # reprojection error.
    matrix = np.zeros((*rays.shape, 3))
    matrix[..., 0, 0] = matrix[..., 1, 1] = 1.0
    matrix[..., 2] = -rays
    constant = rays * joints[..., 2:] - joints[..., :2]
    depth = np.full((frames, 1), _size(joints) / np.median(spread[usable]))
    robust = np.ones_like(weight)
    for _ in range(6):
        scale = np.sqrt(weight * robust)[..., None] / (np.maximum(depth, NEAREST)[..., None] * sd)
        a, b = matrix * scale[..., None], constant * scale
        information = np.einsum("tjki,tjkl->til", a, a)
        vector = np.einsum("tjki,tjk->ti", a, b)
        root = _solve(information, vector, prior)
        depth = joints[..., 2] + root[:, 2:]
        points = joints[..., :2] + root[:, None, :2]
        residual = (rays - points / np.maximum(depth, NEAREST)[..., None]) / sd
        robust = 1 / (1 + np.square(residual).sum(axis=-1) / 9)  # Cauchy, at three times sd
    root[:, 2] = np.maximum(root[:, 2], NEAREST)
    return root


def _spread(rays: NDArray[np.floating], weight: NDArray[np.floating]) -> NDArray[np.float64]:
    """(T,): size of the person in rays, the mean distance of the joints from their middle."""
    total = np.maximum(weight.sum(axis=1), 1e-9)
    points = np.nan_to_num(rays)
    middle = (points * weight[..., None]).sum(axis=1, keepdims=True) / total[:, None, None]
    distance = np.linalg.norm(points - middle, axis=-1)
    return np.asarray((distance * weight).sum(axis=1) / total)


def _size(joints: NDArray[np.floating]) -> float:
    """Typical size of the person in metres, measured like `_spread`."""
    middle = joints.mean(axis=1, keepdims=True)
    return float(np.median(np.linalg.norm(joints - middle, axis=-1).mean(axis=1)))


def _frame_seconds(timestamps: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,): the time each frame covers."""
    if len(timestamps) == 1:
        return np.array([ERROR_SECONDS])
    return np.gradient(timestamps)


def _acceleration_prior(timestamps: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, T): diagonals 0, 1, 2 of the quadratic form of the squared acceleration."""
    frames = len(timestamps)
    diagonals = np.zeros((3, frames))
    if frames < 3:
        return diagonals
    step = np.diff(timestamps)
    before, after = step[:-1], step[1:]
    middle = (before + after) / 2
    first, last = 1 / (before * middle), 1 / (after * middle)
    c = np.stack([first, -first - last, last])
    weight = middle / ACCELERATION
    for i in range(3):
        for k in range(i, 3):
            diagonals[k - i, i : frames - 2 + i] += weight * c[i] * c[k]
    return diagonals


def _solve(
    information: NDArray[np.float64], vector: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Minimise sum_t (t' I t - 2 v' t) + acceleration prior; banded, 3 unknowns a frame."""
    frames = len(vector)
    band = np.zeros((7, 3 * frames))  # lower form: band[d, i] = M[i + d, i]
    for i in range(3):
        for k in range(i, 3):
            band[k - i, i::3] += information[:, k, i]
        for step in range(3):
            band[3 * step, i::3] += prior[step]
    band[0] += 1e-9
    return np.asarray(solveh_banded(band, vector.ravel(), lower=True).reshape(frames, 3))
