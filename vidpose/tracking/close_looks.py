"""Frames between two close looks of the detector, corrected from both.

A mixed detector looks closely in every third frame or so (`Detections.shift`), and in the frames
between it takes a quick look, which is less exact and may take left for right. For the frames
between, the close looks before and after are mostly a better guess than the quick looks themselves.
Quick looks count where somebody moves so fast, or the camera shakes so much, that a straight
line misses it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidpose.detect.base import pose_sizes
from vidpose.tracking.outliers import AT_ONCE

LONGEST_S = 0.2
"""Close looks further apart than this say nothing about the frames between: limbs may have changed
their direction meanwhile."""
NOISE = 0.03
"""Body sizes: a quick look this close to the line from close look to close look is as if on it."""
MOVED = 0.1
"""Body sizes: further from the line it counts in full, for a joint does not get there by noise."""
BLUNDER = 0.2
"""Body sizes: and from here on not at all, for no joint turns back so fast."""
AGREED = 0.06
"""Body sizes: a quick look counts only where the one at the next close look was this close to it,
else the quick network sees that joint in another place, probably in the frames before, too."""


def correct_between(
    joints: NDArray[np.float32], shift: NDArray[np.float32], times: NDArray[np.float64]
) -> None:
    """Correct one person's joints in frames between two close looks, in place.

    Args:
        joints: (T, 17, 2), pixels, NaN where missing.
        shift: (T, 17, 2), see `Detections.shift`.
        times: (T,), seconds, rising.
    """
    close = np.flatnonzero(np.isfinite(shift).any(axis=(1, 2)))
    if len(close) in (len(joints), 0):
        return
    rows = np.setdiff1d(np.arange(close[0], close[-1]), close)
    following = np.searchsorted(close, rows)
    before, after = close[following - 1], close[following]
    near = times[after] - times[before] <= LONGEST_S + 1e-6
    between = np.stack([rows, before, after])[:, near]
    for start in range(0, between.shape[1], AT_ONCE):
        _correct(joints, shift, times, *between[:, start : start + AT_ONCE])


def _correct(
    joints: NDArray[np.float32],
    shift: NDArray[np.float32],
    times: NDArray[np.float64],
    rows: NDArray[np.int64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
) -> None:
    """Some frames, in place.

    Args:
        joints, shift, times: see `correct_between`.
        rows, before, after: (R,), the frames and those of the close looks around them.
    """
    part = ((times[rows] - times[before]) / (times[after] - times[before]))[:, None, None]
    first, last = joints[before].astype(np.float64), joints[after].astype(np.float64)
    line = first + part * (last - first)
    # Quick looks are corrected by what the close look before them showed; now also by the next.
    quick = joints[rows] + part * shift[after]
    size = np.maximum(pose_sizes(joints[before]), pose_sizes(joints[after]))
    size = np.maximum(size.astype(np.float64), 1e-9)[:, None]
    line += _shake(quick - line, size)
    off = np.linalg.norm(quick - line, axis=2) / size
    weight = np.clip((off - NOISE) / (MOVED - NOISE), 0, 1)
    agreed = np.linalg.norm(shift[after].astype(np.float64), axis=2) < AGREED * size
    weight[~agreed | (off > BLUNDER)] = 0
    corrected = np.where(weight[..., None] > 0, line + weight[..., None] * (quick - line), line)
    seen = joints[rows]
    # What was not seen stays so: it has no score.
    joints[rows] = np.where(np.isfinite(corrected) & np.isfinite(seen), corrected, seen)


def _shake(ways: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, 1, 2), how far all joints are off in the same way, as when a hand shakes the camera.

    Args:
        ways: (R, 17, 2), pixels.
        size: (R, 1), of the body, pixels.
    """
    known = np.isfinite(ways).all(axis=(0, 2))  # joints seen in all of these frames
    if not known.any():
        return np.zeros((len(ways), 1, 2))
    common = np.median(ways[:, known], axis=1, keepdims=True)
    off = np.linalg.norm(ways[:, known] - common, axis=2)
    alike = np.median(off, axis=1, keepdims=True) < NOISE * size
    far = np.linalg.norm(common, axis=2) > NOISE * size
    return np.where((alike & far)[..., None], common, 0)
