"""Find frames in which the 2D detector places both legs of a person on the same leg.

Legs also coincide in the image of a person who stands and is seen from the side. The sign of an
error is that it comes and goes: knees and ankles of both sides coincide for a while, but not just
before and just after. Legs that pass each other in a step bend, so that knees and ankles coincide
at different times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidpose.skeleton import H36M17
from vidpose.utils.gaps import runs

TOGETHER = 0.12
"""Merged: left and right knees and ankles are closer than this, in leg lengths in the image."""
APART = 0.25
"""Apart: left and right knees or ankles are farther apart than this, in leg lengths."""
NEAR_S, MOSTLY = 0.3, 0.5
"""The legs must be apart in this share of the frames within this time before and after."""
SHORTEST_S, LONGEST_S = 0.2, 1.0
"""In a shorter time legs may really pass each other; for longer, a person may stand still."""


def merged_legs_s(
    keypoints_2d: NDArray[np.float32],
    observed: NDArray[np.bool_],
    timestamps: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Find the frames in which both legs of one person are detected on the same leg.

    Args:
        keypoints_2d: (T, 17, 2), h36m17, pixels.
        observed: (T,) the person was detected in the frame.
        timestamps: (T,) seconds.

    Returns:
        (T,) duration of the error in seconds, in each of its frames; 0 in other frames.
    """
    widest = np.full(len(timestamps), np.nan)
    widest[observed] = _distance(keypoints_2d[observed])
    seconds = np.zeros(len(timestamps), np.float32)
    apart = widest > APART
    for run in runs(widest < TOGETHER):
        start, end = timestamps[run.start], timestamps[run.stop - 1]
        if not SHORTEST_S <= end - start <= LONGEST_S:
            continue
        first, last = np.searchsorted(timestamps, (start - NEAR_S - 1e-6, end + NEAR_S + 1e-6))
        around = apart[first : run.start], apart[run.stop : last]
        if all(len(side) and side.mean() >= MOSTLY for side in around):
            seconds[run] = end - start
    return seconds


def times_s(flags: NDArray[np.bool_], timestamps: NDArray[np.float64]) -> list[list[float]]:
    """Times of the first and last frame of each run of flags, seconds; flags (T,)."""
    ends = [(timestamps[run.start], timestamps[run.stop - 1]) for run in runs(flags)]
    return [[round(float(time), 3) for time in pair] for pair in ends]


def _distance(keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 17, 2) -> (N,) larger distance of left to right knee or ankle, in leg lengths."""
    hips, knees, feet = (
        keypoints[:, [H36M17.index(side + joint) for side in "LR"]]
        for joint in ("Hip", "Knee", "Foot")
    )
    leg = np.linalg.norm(hips - knees, axis=2) + np.linalg.norm(knees - feet, axis=2)
    apart = [np.linalg.norm(joint[:, 0] - joint[:, 1], axis=1) for joint in (knees, feet)]
    return np.asarray(np.max(apart, axis=0) / np.maximum(leg.mean(axis=1), 1e-6), np.float32)
