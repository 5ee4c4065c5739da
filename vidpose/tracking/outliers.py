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
"""A joint that leaves its path and is back within `OUTLIER_S` was never there, if it was further
away than detector noise (body sizes) and the strongest limb explain: some 125 m/s^2 for a body of
1.8 m, here in body sizes."""
JUMP_SPEED = 7.0
"""Body sizes a second, some 13 m/s. What goes away and comes back within `OUTLIER_S` with both of
these steps faster than that was never there either, even if a limb could have been so far away."""
FAR = 256
"""Frames; what is further away has nothing to do with an excursion of `OUTLIER_FRAMES`."""
AT_ONCE = 4096
"""Frames that are worked on together, which bounds the memory that a long track takes for it."""
OUTLIER_FRAMES = 15
"""An excursion of more frames is not looked for: above 60 frames/s the longest ones stay. The work
grows with its square."""
OUTLIER_SHARE = 1 / 3
"""Where more of the joints jump at once the whole pose was mistaken, before or after as likely as
between, and is left alone."""
LIMB_ENDS = {
    H36M17.index(f"{side}{end}"): H36M17.index(f"{side}{before}")
    for side in "LR"
    for end, before in (("Foot", "Knee"), ("Wrist", "Elbow"))
}
"""The joint before each foot and wrist."""


def is_outlier(keypoints: NDArray[np.float32], times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(T, J), joints that jump away from one person's body and back; see `OUTLIER_S`.

    The shortest excursions are taken out first, and of neighbours the furthest, so that no joint
    is measured by a wrong one next to it.

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

    # Joints have nothing to do with each other here; in a long track few are worked on at a time.
    count = keypoints.shape[1]
    step = max(1, AT_ONCE * count // len(times))
    groups = [slice(first, first + step) for first in range(0, count, step)]
    jumping = [np.zeros(max(0, len(times) - inner - 1), int) for inner in _lengths(times)]
    for joints in groups:
        own = path(joints)
        for inner, number in enumerate(jumping, 1):
            number += (_excess(own, times, inner) > 0).sum(axis=1)
    doubtful = np.zeros(len(times), bool)  # which of these poses are the mistaken ones?
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
    """Mark in `outlier`, and take out of `path`, excursions of one length; the furthest first."""
    while True:
        excess = _excess(path, times, inner)
        # scipy.ndimage has a filter for it, and takes a third of a second to import.
        around = np.pad(excess, ((inner, inner), (0, 0)), constant_values=-np.inf)
        worst = sliding_window_view(around, 2 * inner + 1, axis=0).max(axis=-1)
        peaks = np.argwhere((excess > 0) & (excess == worst))
        if not len(peaks):
            return
        for start, joint in peaks:
            outlier[start + 1 : start + 1 + inner, joint] = True
        path[outlier] = np.nan


def _is_between_jumps(path: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(T, 17), joints that left their way in one step and came back in one; see `JUMP_SPEED`.

    The longest excursions are taken first: a detector that mistakes a limb for something else
    sees it at changing places, between which it may jump as well. Where a foot or wrist was
    mistaken, so was the knee or elbow that left its way meanwhile, which has less far to go.

    Args:
        path: (T, 17, 2), h36m17, body sizes, NaN where missing.
        times: (T,), seconds.
    """
    steps = np.linalg.norm(np.diff(path, axis=0), axis=2)  # NaN is no jump
    jump = steps > OUTLIER_SIZE + JUMP_SPEED * np.diff(times)[:, None]
    outlier = np.zeros(path.shape[:2], bool)
    for inner in reversed(list(_lengths(times))):
        away = _distance_from_way(path, inner) > OUTLIER_SIZE
        spans = times[inner + 1 :] - times[: -inner - 1]
        both = jump[: len(away)] & jump[inner:] & away & (spans <= OUTLIER_S)[:, None]
        for start, joint in np.argwhere(both):
            end = start + inner + 1
            if outlier[[start, end], joint].any():
                continue  # it is the ends that were mistaken
            outlier[start + 1 : end, joint] = True
            before = LIMB_ENDS.get(int(joint))
            if before is not None and away[start, before]:
                outlier[start + 1 : end, before] = True
    return outlier


def _lengths(times: NDArray[np.float64]) -> Iterator[int]:
    """How many frames an excursion of `OUTLIER_S` can have: 1, 2 and so on."""
    for inner in range(1, min(OUTLIER_FRAMES + 1, len(times) - 1)):
        if (times[inner + 1 :] - times[: -inner - 1]).min() > OUTLIER_S:
            return
        yield inner


def _excess(
    path: NDArray[np.float64], times: NDArray[np.float64], inner: int
) -> NDArray[np.float64]:
    """(T - inner - 1, J), how much further than possible each joint goes away and comes back.

    Whoever leaves a straight way by d and is back on it after w seconds accelerates by 8 d / w^2
    at least. It counts how far away all the frames between are, so the nearest of them.

    Args:
        path: (T, J, 2), body sizes.
        times: (T,), seconds.
        inner: between every frame and the one it is compared with lie so many.

    Returns:
        Body sizes; negative where all is well, or where nothing is known.
    """
    spans = times[inner + 1 :] - times[: -inner - 1]
    away = _distance_from_way(path, inner)
    possible = OUTLIER_SIZE + OUTLIER_ACCELERATION * spans**2 / 8
    known = np.isfinite(away) & (spans <= OUTLIER_S)[:, None]
    return np.where(known, away - possible[:, None], -1.0)


def _distance_from_way(path: NDArray[np.float64], inner: int) -> NDArray[np.float64]:
    """(T - inner - 1, J), how far from the straight way between every frame and the one `inner`
    frames on lies the nearest of those between; NaN where there is none, or no end.
    """
    starts, ends = path[: -inner - 1], path[inner + 1 :]
    way = ends - starts
    length = np.maximum((way**2).sum(axis=2, keepdims=True), 1e-12)
    away = np.full(starts.shape[:2], np.nan)
    for k in range(1, inner + 1):
        along = path[k : k - inner - 1] - starts
        share = np.clip((along * way).sum(axis=2, keepdims=True) / length, 0, 1)
        away = np.fmin(away, np.linalg.norm(along - share * way, axis=2))
    return away
