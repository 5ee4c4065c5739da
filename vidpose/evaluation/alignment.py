"""Alignment of a measured motion with a reference before errors are computed.

Two measurements of one motion may differ in origin, axes and scale. `ALIGNMENTS` lists which of
these differences each alignment removes; the error is what remains.
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
    NONE: "no alignment, in one coordinate frame",
    ROOT: "root-relative in every frame (MPJPE)",
    SCALE: "root-relative and scaled, frame by frame (N-MPJPE)",
    PROCRUSTES: "translated, rotated and scaled, frame by frame (P-MPJPE)",
    SEQUENCE: "translated, rotated and scaled once for all frames (WA-MPJPE)",
}
"""What each alignment does to the measured joints.

Sources: `scale`: Rhodin et al., "Learning monocular 3D human pose estimation from multi-view
images", CVPR 2018. `procrustes`: Umeyama, "Least-squares estimation of transformation parameters
between two point patterns", IEEE TPAMI 13 (1991). `procrustes-sequence`: WA-MPJPE of Ye et al.,
"Decoupling human and camera motion from videos in the wild", CVPR 2023, who align 100 frames at a
time; here it is the whole sequence. The formulas are in `vidpose.metrics`.
"""
ROTATING = (PROCRUSTES, SEQUENCE)
"""Alignments with a rotation, which can compare motions with different axes."""
WITH_POSITIONS = (NONE, SEQUENCE)
"""Alignments that need people's positions in the scene; the others remove them per frame."""
MIN_POINTS = 3
"""The fewest points that determine a rotation."""


def align(measured: Floats, reference: Floats, how: str) -> tuple[Floats, Floats]:
    """Align one person's motion with the reference.

    Joints that are missing in either become NaN in both and do not affect the alignment.

    Args:
        measured: (T, 17, 3) metres, NaN where missing.
        reference: (T, 17, 3) metres, NaN where missing, at the same times.
        how: one of `ALIGNMENTS`.

    Returns:
        Measured and reference joints, (T, 17, 3) each, metres, in one coordinate frame; NaN in
        both where either is.

    Raises:
        UsageError: the alignment is root-relative and the reference has no hip.
    """
    if how in (ROOT, SCALE):
        hip = H36M17.root
        there = known_joints(reference)
        if there.any() and not there[:, hip].any():  # a person who is absent lacks no hips
            raise UsageError(
                f"--align {how} needs the hips, which the reference lacks; use {PROCRUSTES}."
            )
        measured = measured - measured[:, hip, None]
        reference = reference - reference[:, hip, None]
    known = known_joints(measured) & known_joints(reference)
    measured = np.where(known[..., None], measured, np.nan)
    reference = np.where(known[..., None], reference, np.nan)
    if how == SCALE:
        measured = _align_frames(scaled, measured, reference, known, min_points=2)
    elif how == PROCRUSTES:
        measured = _align_frames(procrustes, measured, reference, known, min_points=MIN_POINTS)
    elif how == SEQUENCE:
        measured = _align_sequence(measured, reference, known)
    return measured, np.where(np.isfinite(measured), reference, np.nan)


def distances(measured: Floats, reference: Floats, how: str) -> Floats:
    """(T, 17) distances between the joints of two motions after `align`, metres."""
    return np.asarray(np.linalg.norm(np.subtract(*align(measured, reference, how)), axis=-1))


def _align_frames(
    fit: Callable[[Floats, Floats], Floats],
    measured: Floats,
    reference: Floats,
    known: NDArray[np.bool_],
    min_points: int,
) -> Floats:
    """Align each frame on its own; frames with the same known joints form one batch."""
    out = np.full_like(measured, np.nan)
    patterns, which = np.unique(known, axis=0, return_inverse=True)
    for number, joints in enumerate(patterns):
        if joints.sum() >= min_points:
            cell = np.ix_(which.reshape(-1) == number, joints)
            out[cell] = fit(measured[cell], reference[cell])
    return out


def _align_sequence(measured: Floats, reference: Floats, known: NDArray[np.bool_]) -> Floats:
    """Align all frames at once, as one large pose."""
    out = np.full_like(measured, np.nan)
    if known.sum() >= MIN_POINTS:
        out[known] = procrustes(measured[known][None], reference[known][None])[0]
    return out
