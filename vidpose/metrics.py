"""Standard error metrics between predicted and ground-truth poses.

All functions take (N, J, 3) predicted and target joints in one unit and frame. Errors are in that
unit, PCK and AUC in percent. Thresholds are in that unit, too; their default is for metres. The
`_per_joint` functions return values before averaging.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Joints = NDArray[np.floating]

PCK_THRESHOLD_M = 0.150
"""Distance within which a joint counts as correct: half a head (Mehta et al., 3DV 2017)."""
AUC_THRESHOLDS = 31
"""Number of thresholds that AUC averages over: 0, 5, 10 ... 150 mm."""
FARTHEST_JOINT_M = 10.0
"""Beyond this distance of a joint from the centre of its pose, the unit cannot be metres."""


def _check(predicted: Joints, target: Joints) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if predicted.shape != target.shape or predicted.ndim != 3 or predicted.shape[-1] != 3:
        raise ValueError(f"expected two arrays (N, J, 3), got {predicted.shape} and {target.shape}")
    if not len(predicted):
        raise ValueError("there is no pose to measure")
    return predicted.astype(np.float64), target.astype(np.float64)


def mpjpe_per_joint(predicted: Joints, target: Joints) -> NDArray[np.float64]:
    """(N, J): distance between each predicted joint and its target."""
    predicted, target = _check(predicted, target)
    return np.asarray(np.linalg.norm(predicted - target, axis=-1))


def mpjpe(predicted: Joints, target: Joints) -> float:
    """Mean per-joint position error, "Protocol 1" when both are relative to the root."""
    return float(mpjpe_per_joint(predicted, target).mean())


def procrustes(predicted: Joints, target: Joints) -> NDArray[np.float64]:
    """(N, J, 3): each predicted pose after Procrustes alignment to its target.

    The least-squares similarity transform (S. Umeyama, "Least-squares estimation of transformation
    parameters between two point patterns", 1991), without reflections.
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
    """(N, J): distance of each joint after Procrustes alignment."""
    return mpjpe_per_joint(procrustes(predicted, target), target)


def p_mpjpe(predicted: Joints, target: Joints) -> float:
    """Mean per-joint position error after Procrustes alignment, "Protocol 2"."""
    return float(p_mpjpe_per_joint(predicted, target).mean())


def scaled(predicted: Joints, target: Joints) -> NDArray[np.float64]:
    """(N, J, 3): each predicted pose scaled about the origin to best fit its target.

    The factor is <target, predicted> / <predicted, predicted>, per frame. There is no translation
    or rotation, so poses should be root-relative (Rhodin et al., CVPR 2018).
    """
    predicted, target = _check(predicted, target)
    size = np.square(predicted).sum(axis=(1, 2))
    scale = (predicted * target).sum(axis=(1, 2)) / np.where(size > 0, size, 1)
    return np.asarray(scale[:, None, None] * predicted)


def n_mpjpe_per_joint(predicted: Joints, target: Joints) -> NDArray[np.float64]:
    """(N, J): distance of each joint after optimal scaling."""
    return mpjpe_per_joint(scaled(predicted, target), target)


def n_mpjpe(predicted: Joints, target: Joints) -> float:
    """Mean per-joint position error after scaling, "Protocol 3"."""
    return float(n_mpjpe_per_joint(predicted, target).mean())


def mpjve_per_joint(predicted: Joints, target: Joints) -> NDArray[np.float64]:
    """(N - 1, J): error of each joint's displacement between frames, in units per frame.

    The N poses are consecutive frames of one sequence.

    Raises:
        ValueError: there are fewer than two frames.
    """
    predicted, target = _check(predicted, target)
    if len(predicted) < 2:
        raise ValueError("a velocity needs at least two frames, got one")
    return np.asarray(np.linalg.norm(np.diff(predicted - target, axis=0), axis=-1))


def mpjve(predicted: Joints, target: Joints) -> float:
    """Mean per-joint velocity error of consecutive frames, in units per frame."""
    return float(mpjve_per_joint(predicted, target).mean())


def pck_of_errors(errors: Joints, threshold: float) -> NDArray[np.float64]:
    """100 where a distance is below the threshold, else 0; any shape, in the same unit."""
    return np.asarray(100.0 * (errors < threshold), np.float64)


def auc_of_errors(errors: Joints, threshold: float) -> NDArray[np.float64]:
    """Percentage of `AUC_THRESHOLDS` from 0 to `threshold` that exceed a distance; any shape."""
    thresholds = np.linspace(0, threshold, AUC_THRESHOLDS)
    passed = AUC_THRESHOLDS - np.searchsorted(thresholds, errors, side="right")
    return np.asarray(100.0 * passed / AUC_THRESHOLDS)


def pck_per_joint(
    predicted: Joints, target: Joints, threshold: float | None = None
) -> NDArray[np.float64]:
    """(N, J): 100 for each correct joint, 0 for the others; see `pck`."""
    threshold = _threshold(target, threshold)
    return pck_of_errors(mpjpe_per_joint(predicted, target), threshold)


def pck(predicted: Joints, target: Joints, threshold: float | None = None) -> float:
    """Percentage of correct keypoints in 3D: joints with an error below `threshold`, 0 to 100.

    Args:
        predicted: (N, J, 3).
        target: (N, J, 3), the same unit and frame.
        threshold: in the unit of the joints, so 150 for millimetres. By default 0.150, for metres.

    Raises:
        ValueError: no threshold is given, and the poses are too large for metres.
    """
    return float(pck_per_joint(predicted, target, threshold).mean())


def auc_per_joint(
    predicted: Joints, target: Joints, threshold: float | None = None
) -> NDArray[np.float64]:
    """(N, J): the percentage of thresholds at which each joint is correct; see `auc`."""
    threshold = _threshold(target, threshold)
    return auc_of_errors(mpjpe_per_joint(predicted, target), threshold)


def auc(predicted: Joints, target: Joints, threshold: float | None = None) -> float:
    """Area under the PCK curve: its mean over 31 thresholds from 0 to `threshold`, in percent.

    Follows the evaluation of MPI-INF-3DHP (0, 5 ... 150 mm). No error is below 0, so perfect poses
    reach 30/31, 96.8.

    Args:
        predicted: (N, J, 3).
        target: (N, J, 3), the same unit and frame.
        threshold: the largest one, in the unit of the joints; by default 0.150, for metres.

    Raises:
        ValueError: no threshold is given, and the poses are too large for metres.
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
