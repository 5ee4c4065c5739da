"""Errors between predicted and true poses, as the field defines them.

All functions take (N, J, 3) predicted and target joints in one unit and frame and return that
unit. The `_per_joint` forms come before any mean; what they are called in the literature is
said with each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Joints = NDArray[np.floating]


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
