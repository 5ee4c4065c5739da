"""Both legs of a person laid on one leg by the 2D detector, where they are apart.

In the picture, legs lie on one another when somebody is seen from the side and stands. So it is
their coming and going that gives it away: knees and ankles of both sides coincide for a while, and
a moment before and a moment after they do not. Legs that pass each other in a step bend, so that
knees and ankles coincide at different times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidpose.skeleton import H36M17
from vidpose.utils.gaps import runs

TOGETHER = 0.12
"""Knees and ankles of both sides are this close, in lengths of the leg in the picture."""
APART = 0.25
"""Those of one pair at least are further from each other than this."""
NEAR_S, MOSTLY = 0.3, 0.5
"""The legs are apart in this share of the frames so shortly before and after they are together."""
SHORTEST_S, LONGEST_S = 0.2, 1.0
"""For less, legs may truly pass each other; for more, somebody may have stood still."""


def merged_legs_s(
    keypoints_2d: NDArray[np.float32],
    observed: NDArray[np.bool_],
    timestamps: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Where both legs of one person lie on one, by mistake as it seems.

    Args:
        keypoints_2d: (T, 17, 2), h36m17, pixels.
        observed: (T,) the person was detected in the frame.
        timestamps: (T,) seconds.

    Returns:
        (T,) for how many seconds they do, in each frame of such a while; 0 in others.
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
    """The times of the first and the last frame of each run of flags, (T,), seconds."""
    ends = [(timestamps[run.start], timestamps[run.stop - 1]) for run in runs(flags)]
    return [[round(float(time), 3) for time in pair] for pair in ends]


def _distance(keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 17, 2) -> (N,) of left and right knee or ankle, whichever is larger, in leg lengths."""
    hips, knees, feet = (
        keypoints[:, [H36M17.index(side + joint) for side in "LR"]]
        for joint in ("Hip", "Knee", "Foot")
    )
    leg = np.linalg.norm(hips - knees, axis=2) + np.linalg.norm(knees - feet, axis=2)
    apart = [np.linalg.norm(joint[:, 0] - joint[:, 1], axis=1) for joint in (knees, feet)]
    return np.asarray(np.max(apart, axis=0) / np.maximum(leg.mean(axis=1), 1e-6), np.float32)
