"""Root trajectory: the translation that projects a person's 3D pose onto their 2D joints.

Camera frame throughout: x right, y down, z away from the camera, metres. Rays are image
coordinates at depth 1: (pixel - principal point) / focal length.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from vidpose.poses import Pose3D
from vidpose.postprocess.rays import chunks, joint_rays
from vidpose.utils.gaps import runs

REPROJECTION_SD = 0.08
"""Expected reprojection error, relative to the person's size (mean distance of the joints from the
root, about 0.45 m): the combined error of lifter and detector."""
ERROR_SECONDS = 0.1
"""Correlation time of that error; frames closer than this add little information."""
ACCELERATION = 2.0
"""Spectral density of the root's acceleration, (m/s^2)^2 s: brisk human motion."""
NEAREST_FRAMES_S = 1e-3
"""Minimum time between frames in the prior, which would otherwise outweigh the data."""
NEAREST = 0.3
"""Minimum distance of the root from the camera, metres."""


def root_trajectory(result: Pose3D, focal_px: float) -> Pose3D:
    """Compute `root_3d` for everybody.

    Args:
        result: root-relative poses.
        focal_px: focal length in pixels, known or assumed.
    """
    root = result.root_3d.copy()
    for person in range(result.people):
        for run in runs(result.present[person]):
            rays = joint_rays(result, person, run, focal_px)
            joints, scores = result.joints_3d[person, run], result.scores_2d[person, run]
            root[person, run] = root_positions(joints, rays, scores, result.timestamps[run])
    return replace(result, root_3d=root)


def root_positions(
    joints: NDArray[np.floating],
    rays: NDArray[np.floating],
    scores: NDArray[np.floating],
    timestamps: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Compute a smooth root trajectory.

    Iteratively reweighted least squares over all frames at once: the reprojection error, weighted
    by confidence, with a Cauchy loss per joint, in units of its expected size, plus a prior on the
    root's acceleration. Each iteration solves a banded linear system.

    Args:
        joints: (T, J, 3) metres, relative to the root.
        rays: (T, J, 2), NaN where a joint is missing.
        scores: (T, J), 0 to 1.
        timestamps: (T,) seconds, increasing.

    Returns:
        (T, 3) metres; NaN throughout if no frame has enough joints.
    """
    frames = len(joints)
    parts = chunks(frames)
    weight = np.where(np.isfinite(rays).all(axis=-1), np.maximum(scores, 0.05), 0)
    # A frame needs three joints that do not coincide.
    spread = np.concatenate([_spread(rays[part], weight[part]) for part in parts])
    usable = ((weight > 0).sum(axis=1) >= 3) & (spread > 1e-6)
    if not usable.any():
        return np.full((frames, 3), np.nan)
    sd = np.where(usable, REPROJECTION_SD * spread, 1.0)
    # Errors of neighbouring frames are correlated, so weight frames by the time they cover.
    counts = np.where(usable, np.minimum(_frame_seconds(timestamps) / ERROR_SECONDS, 1), 0)
    weight *= counts[:, None].astype(weight.dtype)
    prior = _acceleration_prior(timestamps)

    root: NDArray[np.float64] | None = None
    distance = _size(joints) / np.median(spread[usable])
    information, vector = np.zeros((frames, 3, 3)), np.zeros((frames, 3))
    for _ in range(6):
        for part in parts:
            information[part], vector[part] = _equations(
                joints[part],
                rays[part],
                weight[part],
                sd[part, None],
                distance if root is None else root[part],
            )
        root = _solve(information, vector, prior)
    assert root is not None
    root[:, 2] = np.maximum(root[:, 2], NEAREST)
    return root


def _equations(
    joints: NDArray[np.floating],
    rays: NDArray[np.floating],
    weight: NDArray[np.floating],
    sd: NDArray[np.float64],
    root: NDArray[np.float64] | np.floating | float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normal equations of every frame, linearised at the current root.

    Args:
        joints, rays: see `root_positions`.
        weight: (T, J), 0 where a joint is missing.
        sd: (T, 1), expected reprojection error, rays.
        root: (T, 3) metres, or initially one distance for all.

    Returns:
        (T, 3, 3) and (T, 3).
    """
    rays = np.where(weight[..., None] > 0, rays, 0.0)
    if isinstance(root, np.ndarray):
        depth = joints[..., 2] + root[:, 2:]
        points = joints[..., :2] + root[:, None, :2]
        residual = (rays - points / np.maximum(depth, NEAREST)[..., None]) / sd[..., None]
        # Cauchy, at three times sd
        weight = weight / (1 + np.square(residual).sum(axis=-1) / 9)
    else:
        depth = np.full((len(joints), 1), root)
    # u (Z + tz) - (X + tx) = 0 is linear in the translation t; divided by the depth it is the
    # reprojection error.
    matrix = np.zeros((*rays.shape, 3))
    matrix[..., 0, 0] = matrix[..., 1, 1] = 1.0
    matrix[..., 2] = -rays
    constant = rays * joints[..., 2:] - joints[..., :2]
    scale = np.sqrt(weight) / (np.maximum(depth, NEAREST) * sd)
    a, b = matrix * scale[..., None, None], constant * scale[..., None]
    return np.einsum("tjki,tjkl->til", a, a), np.einsum("tjki,tjk->ti", a, b)


def _spread(rays: NDArray[np.floating], weight: NDArray[np.floating]) -> NDArray[np.float64]:
    """(T,): size of the person in rays, the mean distance of the joints from their centre."""
    total = np.maximum(weight.sum(axis=1), 1e-9)
    points = np.nan_to_num(rays)
    middle = (points * weight[..., None]).sum(axis=1, keepdims=True) / total[:, None, None]
    distance = np.linalg.norm(points - middle, axis=-1)
    return np.asarray((distance * weight).sum(axis=1) / total)


def _size(joints: NDArray[np.floating]) -> float:
    """Typical size of the person in metres, measured like `_spread`."""
    parts = (joints[part] for part in chunks(len(joints)))
    sizes = [
        np.linalg.norm(part - part.mean(axis=1, keepdims=True), axis=-1).mean(axis=1)
        for part in parts
    ]
    return float(np.median(np.concatenate(sizes)))


def _frame_seconds(timestamps: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,): the time that each frame covers."""
    if len(timestamps) == 1:
        return np.array([ERROR_SECONDS])
    return np.gradient(timestamps)


def _acceleration_prior(timestamps: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, T): diagonals 0, 1, 2 of the quadratic form of the squared acceleration."""
    frames = len(timestamps)
    diagonals = np.zeros((3, frames))
    if frames < 3:
        return diagonals
    step = np.maximum(np.diff(timestamps), NEAREST_FRAMES_S)
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
    """Minimise sum_t (t' I t - 2 v' t) + acceleration prior; banded, 3 unknowns per frame."""
    frames = len(vector)
    # Lower form: band[d, i] = M[i + d, i]; in LAPACK's order, so that it is not copied.
    band = np.zeros((7, 3 * frames), order="F")
    for i in range(3):
        for k in range(i, 3):
            band[k - i, i::3] += information[:, k, i]
        for step in range(3):
            band[3 * step, i::3] += prior[step]
    band[0] += 1e-9
    return np.asarray(
        solveh_banded(band, vector.ravel(), overwrite_ab=True, lower=True).reshape(frames, 3)
    )
