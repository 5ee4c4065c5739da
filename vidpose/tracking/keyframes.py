"""Correct the frames between two keyframes of the detector from both keyframes.

A mixed detector runs its heavy landmark network in keyframes, about every tenth of a second (every
third frame at 30 frames/s; see `Detections.shift`). In the in-between frames it runs only a faster
network, which is less accurate and may swap left and right. There, interpolation between the
keyframes is mostly better than the detection, unless a limb moves so fast, or the camera shakes so
much, that a straight line misses the motion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidpose.detect.base import pose_sizes
from vidpose.tracking.outliers import AT_ONCE

LONGEST_S = 0.2
"""Keyframes further apart than this are not interpolated: limbs may have changed direction in
between."""
NOISE = 0.03
"""Body sizes: a joint in an in-between frame that is this close to the line between its keyframes
is put on the line."""
MOVED = 0.1
"""Body sizes: a joint from this far to `BLUNDER` from the line stays where it was detected, if the
networks `AGREED`; noise does not move joints so far. The detection's weight rises linearly from 0
at `NOISE` to 1 here."""
BLUNDER = 0.2
"""Body sizes: a joint further from the line than this is put on the line; no joint turns back so
fast."""
AGREED = 0.06
"""Body sizes: an in-between detection counts only if the two networks were this close at the next
keyframe. Otherwise the fast network finds that joint in another place, probably in the frames
before, too."""
LOST = 0.4
"""A joint in a keyframe whose confidence is less than this share of that in both keyframes around
it is put on the line between them: an occluded leg is often found on the other one."""
SURE = 0.8
"""From this share on it stays where it was detected. The detection's weight rises linearly from 0
at `LOST` to 1 here."""


def correct_between(
    joints: NDArray[np.float32],
    confidence: NDArray[np.float32],
    shift: NDArray[np.float32],
    times: NDArray[np.float64],
) -> None:
    """Correct one person's joints between keyframes, and those a keyframe doubts, in place.

    Args:
        joints: (T, 17, 2), pixels, NaN where missing.
        confidence: (T, 17), 0 to 1.
        shift: (T, 17, 2), see `Detections.shift`; changed as the joints in keyframes are.
        times: (T,), seconds, increasing.
    """
    keyframes = np.flatnonzero(np.isfinite(shift).any(axis=(1, 2)))
    if len(keyframes) in (len(joints), 0):
        return
    _correct_doubtful(joints, confidence, shift, times, keyframes)
    rows = np.setdiff1d(np.arange(keyframes[0], keyframes[-1]), keyframes)
    following = np.searchsorted(keyframes, rows)
    before, after = keyframes[following - 1], keyframes[following]
    near = times[after] - times[before] <= LONGEST_S + 1e-6
    between = np.stack([rows, before, after])[:, near]
    for start in range(0, between.shape[1], AT_ONCE):
        _correct(joints, shift, times, *between[:, start : start + AT_ONCE])


def _correct_doubtful(
    joints: NDArray[np.float32],
    confidence: NDArray[np.float32],
    shift: NDArray[np.float32],
    times: NDArray[np.float64],
    keyframes: NDArray[np.int64],
) -> None:
    """In keyframes, interpolate joints that are far less confident than in the keyframes before and
    after, in place.

    Args:
        joints, confidence, shift, times: see `correct_between`.
        keyframes: (K,), their rows.
    """
    before, here, after = keyframes[:-2], keyframes[1:-1], keyframes[2:]
    near = times[after] - times[before] <= 2 * LONGEST_S + 1e-6
    before, here, after = before[near], here[near], after[near]
    around = np.minimum(confidence[before], confidence[after])
    row, joint = np.nonzero(confidence[here] < SURE * around)
    share = confidence[here[row], joint] / around[row, joint]
    before, here, after = before[row], here[row], after[row]
    part = ((times[here] - times[before]) / (times[after] - times[before]))[:, None]
    first, last = joints[before, joint], joints[after, joint]
    away = first + part * (last - first) - joints[here, joint]
    away *= 1 - np.clip((share - LOST) / (SURE - LOST), 0, 1)[:, None]
    away[~np.isfinite(away)] = 0
    joints[here, joint] += away
    shift[here, joint] += away


def _correct(
    joints: NDArray[np.float32],
    shift: NDArray[np.float32],
    times: NDArray[np.float64],
    rows: NDArray[np.int64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
) -> None:
    """Correct some of the in-between frames, in place.

    Args:
        joints, shift, times: see `correct_between`.
        rows, before, after: (R,), the in-between frames and the keyframes before and after them.
    """
    part = ((times[rows] - times[before]) / (times[after] - times[before]))[:, None, None]
    first, last = joints[before].astype(np.float64), joints[after].astype(np.float64)
    line = first + part * (last - first)
    # The detector has already corrected these frames from the keyframe before; now add the next.
    found = joints[rows] + part * shift[after]
    size = np.maximum(pose_sizes(joints[before]), pose_sizes(joints[after]))
    size = np.maximum(size.astype(np.float64), 1e-9)[:, None]
    line += _shake(found - line, size)
    off = np.linalg.norm(found - line, axis=2) / size
    weight = np.clip((off - NOISE) / (MOVED - NOISE), 0, 1)
    agreed = np.linalg.norm(shift[after].astype(np.float64), axis=2) < AGREED * size
    weight[~agreed | (off > BLUNDER)] = 0
    corrected = np.where(weight[..., None] > 0, line + weight[..., None] * (found - line), line)
    seen = joints[rows]
    # A joint that was not detected stays missing: it has no score.
    joints[rows] = np.where(np.isfinite(corrected) & np.isfinite(seen), corrected, seen)


def _shake(offsets: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, 1, 2), pixels: the offset that all joints share, as when a hand-held camera shakes.

    Args:
        offsets: (R, 17, 2), pixels.
        size: (R, 1), of the body, pixels.
    """
    known = np.isfinite(offsets).all(axis=(0, 2))  # joints detected in all of these frames
    if not known.any():
        return np.zeros((len(offsets), 1, 2))
    common = np.median(offsets[:, known], axis=1, keepdims=True)
    off = np.linalg.norm(offsets[:, known] - common, axis=2)
    alike = np.median(off, axis=1, keepdims=True) < NOISE * size
    far = np.linalg.norm(common, axis=2) > NOISE * size
    return np.where((alike & far)[..., None], common, 0)
