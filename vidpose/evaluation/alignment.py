"""Alignment of two motions before the error between them is measured.

Two measurements of one motion may have different origins, axes and scales. Each of `ALIGNMENTS`
removes some of these differences; the rest is the error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import UsageError
from vidpose.metrics import procrustes, scaled
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import known_joints

Floats = NDArray[np.float64]

NONE, ROOT, SCALE = "none", "root", "scale"
PROCRUSTES, SEQUENCE = "procrustes", "procrustes-sequence"
ALIGNMENTS = {
    NONE: "not aligned, in one frame of reference",
    ROOT: "translated to the same hip position in every frame (MPJPE)",
    SCALE: "translated to the same hip position and scaled in every frame (N-MPJPE)",
    PROCRUSTES: "translated, rotated and scaled to fit in every frame (P-MPJPE)",
    SEQUENCE: "translated, rotated and scaled to fit once for all frames (WA-MPJPE)",
}
"""What each alignment does to the measured joints.

`scale` is from Rhodin et al., "Learning monocular 3D human pose estimation from multi-view images",
CVPR 2018; `procrustes` from Umeyama, "Least-squares estimation of transformation parameters between
two point patterns", IEEE TPAMI 13 (1991). Alignment over a whole sequence is called WA-MPJPE by Ye
et al., "Decoupling human and camera motion from videos in the wild", CVPR 2023, who align 100
frames at a time; here it is all frames. The formulas are in `vidpose.metrics`.
"""
TURNS = (PROCRUSTES, SEQUENCE)
"""Alignments that rotate, and so can compare motions in different axes."""
PLACED = (NONE, SEQUENCE)
"""Alignments that keep the person's path; the others remove the position in every frame."""
FEWEST_POINTS = 3
"""Minimum number of points that determine a rotation."""


def align(measured: Floats, reference: Floats, how: str) -> tuple[Floats, Floats]:
    """Align one person's motion with the reference.

    Joints that are missing in either of them are ignored and become NaN.

    Args:
        measured: (T, 17, 3) metres, NaN where missing.
        reference: (T, 17, 3) metres, NaN where missing, at the same times.
        how: one of `ALIGNMENTS`.

    Returns:
        (T, 17, 3) both, metres, in one frame of reference; NaN in both where one of them is.

    Raises:
        UsageError: the alignment needs the hips and the reference does not have them.
    """
    if how in (ROOT, SCALE):
        hip = H36M17.root
        if not known_joints(reference[:, hip]).any():
            raise UsageError(
                f"--align {how} needs the hips, which the reference does not have; "
                f"use {PROCRUSTES}."
            )
        measured = measured - measured[:, hip, None]
        reference = reference - reference[:, hip, None]
    there = known_joints(measured) & known_joints(reference)
    measured = np.where(there[..., None], measured, np.nan)
    reference = np.where(there[..., None], reference, np.nan)
    if how == SCALE:
        measured = _by_frame(scaled, measured, reference, there, fewest=2)
    elif how == PROCRUSTES:
        measured = _by_frame(procrustes, measured, reference, there, fewest=FEWEST_POINTS)
    elif how == SEQUENCE:
        measured = _all_together(measured, reference, there)
    return measured, np.where(np.isfinite(measured), reference, np.nan)


def distances(measured: Floats, reference: Floats, how: str) -> Floats:
    """Compute distances (T, 17) in metres between two motions after alignment; see `align`."""
    return np.asarray(np.linalg.norm(np.subtract(*align(measured, reference, how)), axis=-1))


def _by_frame(
    fit: Callable[[Floats, Floats], Floats],
    measured: Floats,
    reference: Floats,
    there: NDArray[np.bool_],
    fewest: int,
) -> Floats:
    """Align frame by frame; frames with the same known joints are batched."""
    out = np.full_like(measured, np.nan)
    patterns, which = np.unique(there, axis=0, return_inverse=True)
    for number, joints in enumerate(patterns):
        if joints.sum() >= fewest:
            cell = np.ix_(which.reshape(-1) == number, joints)
            out[cell] = fit(measured[cell], reference[cell])
    return out


def _all_together(measured: Floats, reference: Floats, there: NDArray[np.bool_]) -> Floats:
    """Align all frames as one large pose."""
    out = np.full_like(measured, np.nan)
    if there.sum() >= FEWEST_POINTS:
        out[there] = procrustes(measured[there][None], reference[there][None])[0]
    return out
