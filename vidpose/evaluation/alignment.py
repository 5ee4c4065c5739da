"""What is taken out of the difference between two motions before it is measured.

Two measurements of one motion may differ in where the scene's origin is, how its axes lie and how
large people are in it. `ALIGNMENTS` says what each way takes out; what is left is the error.
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
    NONE: "as they are, in one frame of reference",
    ROOT: "the hip at the hip in every frame (MPJPE)",
    SCALE: "the hip at the hip, and scaled to fit, frame by frame (N-MPJPE)",
    PROCRUSTES: "moved, turned and scaled to fit, frame by frame (P-MPJPE)",
    SEQUENCE: "moved, turned and scaled to fit once, all frames together (WA-MPJPE)",
}
"""What each alignment does to the measured joints.

`scale` is of Rhodin et al., "Learning monocular 3D human pose estimation from multi-view images",
CVPR 2018; `procrustes` of Umeyama, "Least-squares estimation of transformation parameters between
two point patterns", IEEE TPAMI 13 (1991); the same over a whole sequence is called WA-MPJPE by Ye
et al., "Decoupling human and camera motion from videos in the wild", CVPR 2023, who take 100 frames
at a time: here it is all of them. The formulas are in `vidpose.metrics`.
"""
TURNS = (PROCRUSTES, SEQUENCE)
"""Those that turn, and so compare motions whose axes differ."""
PLACED = (NONE, SEQUENCE)
"""Those in which it counts where a person is; the others take that out frame by frame."""
FEWEST_POINTS = 3
"""Fewer points do not say how a pose is turned."""


def align(measured: Floats, reference: Floats, how: str) -> tuple[Floats, Floats]:
    """One person's motion, fitted to the reference.

    Joints that either of the two lacks take no part and become NaN.

    Args:
        measured: (T, 17, 3) metres, NaN where missing.
        reference: (T, 17, 3) metres, NaN where missing, at the same times.
        how: one of `ALIGNMENTS`.

    Returns:
        (T, 17, 3) both, metres, in one frame of reference; NaN in both where one of them is.

    Raises:
        UsageError: the hips are to be at one place and the reference has none.
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
    """(T, 17) metres between the joints of two motions once they are aligned; see `align`."""
    return np.asarray(np.linalg.norm(np.subtract(*align(measured, reference, how)), axis=-1))


def _by_frame(
    fit: Callable[[Floats, Floats], Floats],
    measured: Floats,
    reference: Floats,
    there: NDArray[np.bool_],
    fewest: int,
) -> Floats:
    """Frame by frame; frames that have the same joints are fitted at a time."""
    out = np.full_like(measured, np.nan)
    patterns, which = np.unique(there, axis=0, return_inverse=True)
    for number, joints in enumerate(patterns):
        if joints.sum() >= fewest:
            cell = np.ix_(which.reshape(-1) == number, joints)
            out[cell] = fit(measured[cell], reference[cell])
    return out


def _all_together(measured: Floats, reference: Floats, there: NDArray[np.bool_]) -> Floats:
    """All frames as one large pose."""
    out = np.full_like(measured, np.nan)
    if there.sum() >= FEWEST_POINTS:
        out[there] = procrustes(measured[there][None], reference[there][None])[0]
    return out
