"""Linear interpolation of short gaps in one person's joints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidpose.tracking.tracker import MAX_GAP_S

INTERPOLATED_SCORE = 0.5
"""The score of an interpolated joint is the lower score of the two ends times this."""


def interpolate_gaps(
    keypoints: NDArray[np.float32], scores: NDArray[np.float32], times: NDArray[np.float64]
) -> None:
    """Fill the gaps of each joint of one person by linear interpolation, in place.

    Gaps longer than `MAX_GAP_S` stay, as do those before a joint's first and after its last
    observation. See `INTERPOLATED_SCORE` for the scores.

    Args:
        keypoints: (T, J, 2), NaN where missing.
        scores: (T, J).
        times: (T,), seconds, increasing.
    """
    for j in range(keypoints.shape[1]):
        rows = np.flatnonzero(np.isfinite(keypoints[:, j]).all(axis=1))
        for gap in np.flatnonzero(np.diff(rows) > 1):
            a, b = rows[gap], rows[gap + 1]
            if times[b - 1] - times[a] > MAX_GAP_S:
                continue
            inner = slice(a + 1, b)
            share = ((times[inner] - times[a]) / (times[b] - times[a]))[:, None]
            keypoints[inner, j] = (1 - share) * keypoints[a, j] + share * keypoints[b, j]
            scores[inner, j] = INTERPOLATED_SCORE * min(scores[a, j], scores[b, j])
