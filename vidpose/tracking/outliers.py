"""Joints that jump away from the body and back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vidpose.detect.base import pose_sizes
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import known_joints

OUTLIER_SIZE = 0.06
OUTLIER_ACCELERATION = 70.0
OUTLIER_S = 0.25
"""A joint that leaves its path and returns within `OUTLIER_S` is an outlier if it went further than
detector noise (`OUTLIER_SIZE`, body sizes) and the fastest limb (`OUTLIER_ACCELERATION`, body
sizes/s^2: about 125 m/s^2 for a body of 1.8 m) can explain."""
JUMP_SPEED = 7.0
"""Body sizes a second, about 13 m/s. A joint that leaves and returns within `OUTLIER_S` is also an
outlier if both steps are faster than this, even if a limb could have reached that far."""
FAR = 256
"""Frames; frames further away do not affect an excursion of `OUTLIER_FRAMES`."""
AT_ONCE = 4096
"""Frames processed together, to bound the memory for long tracks."""
OUTLIER_FRAMES = 15
"""Longer excursions are not searched for, so above 60 frames/s the longest ones stay. The cost
grows with the square of this."""
OUTLIER_SHARE = 1 / 3
"""If more than this share of the joints jump at once, the whole pose is wrong, and the wrong frames
may be those before or after as well as those in between. Such poses are left as they are."""
LIMB_ENDS = {
    H36M17.index(f"{side}{end}"): H36M17.index(f"{side}{before}")
    for side in "LR"
    for end, before in (("Foot", "Knee"), ("Wrist", "Elbow"))
}
"""The joint before each foot and wrist."""


def is_outlier(keypoints: NDArray[np.float32], times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(T, J), joints that jump away from one person's body and back; see `OUTLIER_S`.

    The shortest excursions are removed first, and among neighbouring frames the furthest, so that
    no joint is compared with a wrong one next to it.

    Args:
        keypoints: (T, J, 2), NaN where missing.
        times: (T,), seconds.
    """
    there = known_joints(keypoints)
    middle, sizes = np.zeros((len(times), 1, 2)), np.empty(len(times))
    for start in range(0, len(times), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        part = np.where(there[rows, :, None], keypoints[rows], np.nan).astype(np.float64)
        some = there[rows].any(axis=1)
        middle[rows][some] = np.nanmedian(part[some], axis=1, keepdims=True)
        sizes[rows] = pose_sizes(keypoints[rows])
    size = max(float(np.median(sizes)), 1e-9)

    def path(joints: slice, rows: slice = slice(None)) -> NDArray[np.float64]:
        own = np.where(there[rows, joints, None], keypoints[rows, joints], np.nan)
        return np.asarray((own.astype(np.float64) - middle[rows]) / size)

    # Joints are independent here; in a long track only a few are processed at a time.
    count = keypoints.shape[1]
    step = max(1, AT_ONCE * count // len(times))
    groups = [slice(first, first + step) for first in range(0, count, step)]
    jumping = [np.zeros(max(0, len(times) - inner - 1), int) for inner in _lengths(times)]
    for joints in groups:
        own = path(joints)
        for inner, number in enumerate(jumping, 1):
            number += (_excess(own, times, inner) > 0).sum(axis=1)
    doubtful = np.zeros(len(times), bool)  # whole poses that may be wrong, see OUTLIER_SHARE
    for inner, number in enumerate(jumping, 1):
        together = number / count > OUTLIER_SHARE
        for k in range(inner + 2):
            doubtful[k : k + len(together)] |= together

    outlier = np.zeros(there.shape, bool)
    for start in range(0, len(times), AT_ONCE):
        stop = min(start + AT_ONCE, len(times))
        rows = slice(max(0, start - FAR), min(len(times), stop + FAR))
        part = path(slice(None), rows)
        part[doubtful[rows]] = np.nan
        between = _is_between_jumps(part, times[rows])
        outlier[start:stop] = between[start - rows.start : stop - rows.start]
    for joints in groups:
        own = path(joints)
        own[doubtful] = np.nan
        own[outlier[:, joints]] = np.nan
        for inner in range(1, len(jumping) + 1):
            _mark_peaks(own, times, inner, outlier[:, joints])
    return outlier & there & ~doubtful[:, None]


def _mark_peaks(
    path: NDArray[np.float64], times: NDArray[np.float64], inner: int, outlier: NDArray[np.bool_]
) -> None:
    """Mark excursions of one length in `outlier`, the furthest first; remove them from `path`."""
    while True:
        excess = _excess(path, times, inner)
        # scipy.ndimage has a maximum filter, but takes a third of a second to import.
        around = np.pad(excess, ((inner, inner), (0, 0)), constant_values=-np.inf)
        worst = sliding_window_view(around, 2 * inner + 1, axis=0).max(axis=-1)
        peaks = np.argwhere((excess > 0) & (excess == worst))
        if not len(peaks):
            return
        for start, joint in peaks:
            outlier[start + 1 : start + 1 + inner, joint] = True
        path[outlier] = np.nan


def _is_between_jumps(path: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(T, 17), joints that left their path in one step and came back in one; see `JUMP_SPEED`.

    The longest excursions are taken first: a detector that mistakes something else for a limb
    puts it in changing places, and the limb may jump between these as well. If a foot or wrist was
    wrong, a knee or elbow that left its path at the same time was wrong too; it moves less far.

    Args:
        path: (T, 17, 2), h36m17, body sizes, NaN where missing.
        times: (T,), seconds.
    """
    steps = np.linalg.norm(np.diff(path, axis=0), axis=2)  # NaN does not count as a jump
    jump = steps > OUTLIER_SIZE + JUMP_SPEED * np.diff(times)[:, None]
    outlier = np.zeros(path.shape[:2], bool)
    for inner in reversed(list(_lengths(times))):
        away = _distance_from_line(path, inner) > OUTLIER_SIZE
        spans = times[inner + 1 :] - times[: -inner - 1]
        both = jump[: len(away)] & jump[inner:] & away & (spans <= OUTLIER_S)[:, None]
        for start, joint in np.argwhere(both):
            end = start + inner + 1
            if outlier[[start, end], joint].any():
                continue  # the ends were wrong, not the frames between
            outlier[start + 1 : end, joint] = True
            before = LIMB_ENDS.get(int(joint))
            if before is not None and away[start, before]:
                outlier[start + 1 : end, before] = True
    return outlier


def _lengths(times: NDArray[np.float64]) -> Iterator[int]:
    """Yield the numbers of frames that an excursion within `OUTLIER_S` can have: 1, 2 and so on."""
    for inner in range(1, min(OUTLIER_FRAMES + 1, len(times) - 1)):
        if (times[inner + 1 :] - times[: -inner - 1]).min() > OUTLIER_S:
            return
        yield inner


def _excess(
    path: NDArray[np.float64], times: NDArray[np.float64], inner: int
) -> NDArray[np.float64]:
    """(T - inner - 1, J), how much further than possible each joint leaves its path and returns.

    A joint that leaves a straight line by d and is back after w seconds accelerates by at least
    8 d / w^2. Its distance is that of the nearest of the frames in between.

    Args:
        path: (T, J, 2), body sizes.
        times: (T,), seconds.
        inner: number of frames in between.

    Returns:
        Body sizes; negative where the motion is possible or unknown.
    """
    spans = times[inner + 1 :] - times[: -inner - 1]
    away = _distance_from_line(path, inner)
    possible = OUTLIER_SIZE + OUTLIER_ACCELERATION * spans**2 / 8
    known = np.isfinite(away) & (spans <= OUTLIER_S)[:, None]
    return np.where(known, away - possible[:, None], -1.0)


def _distance_from_line(path: NDArray[np.float64], inner: int) -> NDArray[np.float64]:
    """(T - inner - 1, J), for each pair of frames with `inner` frames between them: the distance
    from the line between the two to the nearest joint in between; NaN where one of them is missing.
    """
    starts, ends = path[: -inner - 1], path[inner + 1 :]
    line = ends - starts
    length = np.maximum((line**2).sum(axis=2, keepdims=True), 1e-12)
    away = np.full(starts.shape[:2], np.nan)
    for k in range(1, inner + 1):
        along = path[k : k - inner - 1] - starts
        share = np.clip((along * line).sum(axis=2, keepdims=True) / length, 0, 1)
        away = np.fmin(away, np.linalg.norm(along - share * line, axis=2))
    return away
