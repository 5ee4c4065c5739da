"""Errors between predicted and true poses, as the field defines them.

All functions take (N, J, 3) predicted and target joints in one unit and frame. Errors come back in
that unit, PCK and AUC in percent; their threshold is in that unit too, and its default is for
metres. The `_per_joint` forms come before any mean; what they are called in the literature is said
with each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Joints = NDArray[np.floating]

PCK_THRESHOLD_M = 0.150
"""Within this distance a joint counts as found: half a head (Mehta et al., 3DV 2017)."""
AUC_THRESHOLDS = 31
"""How many thresholds AUC averages over: 0, 5, 10 ... 150 mm."""
FARTHEST_JOINT_M = 10.0
"""A joint this far from the middle of its pose: the pose is not in metres."""


def _check(predicted: Joints, target: Joints) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if predicted.shape != target.shape or predicted.ndim != 3 or predicted.shape[-1] != 3:
        raise ValueError(f"expected two arrays (N, J, 3), got {predicted.shape} and {target.shape}")
    if not len(predicted):
        raise ValueError("there is no pose to measure")
    return predicted.astype(np.float64), target.astype(np.float64)


def mpjpe_per_joint(predicted: Joints, target: Joints) -> NDArray[np.float64]:
    """(N, J): distance of each joint from where it should be."""
    predicted, target = _check(predicted, target)
    return np.asarray(np.linalg.norm(predicted - target, axis=-1))


def mpjpe(predicted: Joints, target: Joints) -> float:
    """Mean per-joint position error, "Protocol 1" when both are relative to the root."""
    return float(mpjpe_per_joint(predicted, target).mean())


def procrustes(predicted: Joints, target: Joints) -> NDArray[np.float64]:
    """(N, J, 3): every predicted pose moved, turned and scaled to fit its target best.

    The similarity of least squares (S. Umeyama, "Least-squares estimation of transformation
    parameters between two point patterns", 1991); mirror images are not allowed.
    """
    predicted, target = _check(predicted, target)
    centre_p, centre_t = predicted.mean(axis=1, keepdims=True), target.mean(axis=1, keepdims=True)
    p, t = predicted - centre_p, target - centre_t
    u, singular, vt = np.linalg.svd(np.swapaxes(t, 1, 2) @ p)
    handed = np.sign(np.linalg.det(u @ vt))
    singular[:, -1] *= handed
    u[:, :, -1] *= handed[:, None]
    rotation = u @ vt  # predicted -> target
    spread = np.square(p).sum(axis=(1, 2))
    scale = singular.sum(axis=1) / np.where(spread > 0, spread, 1)
    return np.asarray(scale[:, None, None] * p @ np.swapaxes(rotation, 1, 2) + centre_t)


def p_mpjpe_per_joint(predicted: Joints, target: Joints) -> NDArray[np.float64]:
    """(N, J): distance of each joint after the similarity that fits its pose best."""
    return mpjpe_per_joint(procrustes(predicted, target), target)


def p_mpjpe(predicted: Joints, target: Joints) -> float:
    """Mean per-joint position error after Procrustes alignment, "Protocol 2"."""
    return float(p_mpjpe_per_joint(predicted, target).mean())


def scaled(predicted: Joints, target: Joints) -> NDArray[np.float64]:
    """(N, J, 3): every predicted pose scaled about the origin to fit its target best.

    The factor is <target, predicted> / <predicted, predicted>, frame by frame; nothing is moved or
    turned, so the poses should be relative to their root (Rhodin et al., CVPR 2018).
    """
    predicted, target = _check(predicted, target)
    size = np.square(predicted).sum(axis=(1, 2))
    scale = (predicted * target).sum(axis=(1, 2)) / np.where(size > 0, size, 1)
    return np.asarray(scale[:, None, None] * predicted)


def n_mpjpe_per_joint(predicted: Joints, target: Joints) -> NDArray[np.float64]:
    """(N, J): distance of each joint after the scale that fits its pose best."""
    return mpjpe_per_joint(scaled(predicted, target), target)


def n_mpjpe(predicted: Joints, target: Joints) -> float:
    """Mean per-joint position error after scaling, "Protocol 3"."""
    return float(n_mpjpe_per_joint(predicted, target).mean())


def mpjve_per_joint(predicted: Joints, target: Joints) -> NDArray[np.float64]:
    """(N - 1, J): error of each joint's step from one frame to the next, in units a frame.

    The N poses are consecutive frames of one sequence.

    Raises:
        ValueError: there are fewer than two frames.
    """
    predicted, target = _check(predicted, target)
    if len(predicted) < 2:
        raise ValueError("a velocity needs two frames at least, got one")
    return np.asarray(np.linalg.norm(np.diff(predicted - target, axis=0), axis=-1))


def mpjve(predicted: Joints, target: Joints) -> float:
    """Mean per-joint velocity error of consecutive frames, in units a frame."""
    return float(mpjve_per_joint(predicted, target).mean())


def pck_of_errors(errors: Joints, threshold: float) -> NDArray[np.float64]:
    """100 where a distance is less than the threshold, else 0; any shape, one unit for both."""
    return np.asarray(100.0 * (errors < threshold), np.float64)


def auc_of_errors(errors: Joints, threshold: float) -> NDArray[np.float64]:
    """Percentage of `AUC_THRESHOLDS` from 0 to `threshold` that exceed a distance; any shape."""
    thresholds = np.linspace(0, threshold, AUC_THRESHOLDS)
    passed = AUC_THRESHOLDS - np.searchsorted(thresholds, errors, side="right")
    return np.asarray(100.0 * passed / AUC_THRESHOLDS)


def pck_per_joint(
    predicted: Joints, target: Joints, threshold: float | None = None
) -> NDArray[np.float64]:
    """(N, J): 100 for each joint that was found, 0 for the others; see `pck`."""
    threshold = _threshold(target, threshold)
    return pck_of_errors(mpjpe_per_joint(predicted, target), threshold)


def pck(predicted: Joints, target: Joints, threshold: float | None = None) -> float:
    """Percentage of correct keypoints in 3D: joints less than `threshold` off, 0 to 100.

    Args:
        predicted: (N, J, 3).
        target: (N, J, 3), the same unit and frame.
        threshold: in the unit of the joints, so 150 for millimetres. By default 0.150, for metres.

    Raises:
        ValueError: the threshold is left to the default, and the poses are too large for metres.
    """
    return float(pck_per_joint(predicted, target, threshold).mean())


def auc_per_joint(
    predicted: Joints, target: Joints, threshold: float | None = None
) -> NDArray[np.float64]:
    """(N, J): the percentage of thresholds at which each joint was found; see `auc`."""
    threshold = _threshold(target, threshold)
    return auc_of_errors(mpjpe_per_joint(predicted, target), threshold)


def auc(predicted: Joints, target: Joints, threshold: float | None = None) -> float:
    """Area under the curve of PCK: its mean over 31 thresholds from 0 to `threshold`, in percent.

    As MPI-INF-3DHP's evaluation has it (0, 5 ... 150 mm). No joint is less than 0 off, so perfect
    poses reach 30/31, 96.8.

    Args:
        predicted: (N, J, 3).
        target: (N, J, 3), the same unit and frame.
        threshold: the last one, in the unit of the joints; by default 0.150, for metres.

    Raises:
        ValueError: the threshold is left to the default, and the poses are too large for metres.
    """
    return float(auc_per_joint(predicted, target, threshold).mean())


def _threshold(target: Joints, threshold: float | None) -> float:
    if threshold is not None:
        return threshold
    if np.abs(target - target.mean(axis=1, keepdims=True)).max(initial=0) > FARTHEST_JOINT_M:
        raise ValueError(
            "the poses are too large for metres; give the threshold in their unit "
            "(150 for millimetres)"
        )
    return PCK_THRESHOLD_M
