"""Smoothing joints over time, without lag.

There are two methods. Both take tracks with gaps whose frames are unevenly spaced:

    savgol     a Savitzky-Golay filter: a parabola through the frames around each
    one-euro   the one-euro filter of G. Casiez, N. Roussel, D. Vogel, "1 Euro Filter: A Simple
               Speed-based Low-pass Filter for Noisy Input in Interactive Systems", CHI 2012: an
               exponential mean that follows fast movement closely and smooths strongly what
               stands still. Alone it lags. A file has a future, so it is run in both
               directions, and their lags cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import UsageError
from vidpose.poses import Pose3D
from vidpose.utils.gaps import gaps_in, runs_between

WINDOW_S = 0.2
"""Of the Savitzky-Golay filter, if that is `SMALLEST_WINDOW` or more. Steps and punches keep their
full extent."""
ORDER = 2
SMALLEST_WINDOW = ORDER + 3
"""Frames; with fewer the parabola would go (almost) through each of them."""
EVEN_STEPS = 0.05
"""Steps between frames that differ by no more than this part are even."""

MIN_CUTOFF_HZ = 2.0
"""Of the one-euro filter: what stands still is smoothed over about a tenth of a second ..."""
BETA = 8.0
"""... and the cut-off rises by this many Hz for each metre a second."""
SPEED_CUTOFF_HZ = 1.0
"""Of the filter on the speed itself, as in the paper."""
EXTENSION_S = 0.5
"""Tracks are continued by so much at both ends, for the filter to settle."""

MOST_STEPS = 10
"""Unevenly spaced frames are interpolated to no more even steps than so many each."""
MOST_EXTENSION = 2000
"""Frames; half a second at 4,000 frames/s."""
BODY_M = 0.45
"""Mean distance of the joints of a standing person from the root: what makes metres of pixels."""

NONE = "none"
PICTURES = "savgol"
"""The method for pictures, if none is given."""


def check_method(method: str) -> None:
    """Raises UsageError: there is no such method."""
    if method != NONE and method not in METHODS:
        known = ", ".join((NONE, *METHODS))
        raise UsageError(f"--smooth {method}: give one of {known}.")


def parameters(method: str) -> dict[str, float]:
    """The method's parameters; for `meta`."""
    return {
        "savgol": {"window_s": WINDOW_S, "order": ORDER},
        "one-euro": {"min_cutoff_hz": MIN_CUTOFF_HZ, "beta": BETA},
    }.get(method, {})


def smooth_track(
    values: NDArray[np.floating[Any]],
    timestamps: NDArray[np.float64],
    method: str,
    unit: float = 1.0,
) -> NDArray[np.floating[Any]]:
    """Smooth points over time.

    Args:
        values: (T, J, D); NaN where a point is not there. Nothing is smoothed across such a gap,
            nor between frames with a gap (`vidpose.utils.gaps.LONGEST_STEP_S`), and gaps stay.
        timestamps: (T,) seconds, rising.
        method: `none`, `savgol` or `one-euro`.
        unit: what a metre is in the values' unit; for `one-euro`.

    Returns:
        (T, J, D), as `values`.

    Raises:
        UsageError: there is no such method.
    """
    check_method(method)
    out = values.copy()
    if method == NONE or len(values) < 3:
        return out
    smooth = METHODS[method]
    there = np.isfinite(values).all(axis=2)
    # Points that are there in the same frames are smoothed together.
    patterns, which = np.unique(there.T, axis=0, return_inverse=True)
    breaks = gaps_in(timestamps)
    for number, pattern in enumerate(patterns):
        points = np.flatnonzero(which.reshape(-1) == number)
        for run in runs_between(pattern, breaks):
            if run.stop - run.start >= 3:
                part = np.asarray(values[run, points], np.float64)
                out[run, points] = smooth(part, timestamps[run], unit)
    return out


def savgol(
    values: NDArray[np.float64], times: NDArray[np.float64], unit: float = 1.0
) -> NDArray[np.float64]:
    """Savitzky-Golay (`scipy.signal.savgol_filter`) of (T, J, D) without gaps.

    Unevenly spaced frames are interpolated to even steps (PCHIP) and back.
    """
    steps = np.diff(times)
    # Seldom more than the median; it bounds the work where most frames are hardly apart.
    step = max(float(np.median(steps)), float(times[-1] - times[0]) / (MOST_STEPS * len(times)))
    if (np.abs(steps / step - 1) <= EVEN_STEPS).all():
        return _savgol(values, step)
    from scipy.interpolate import PchipInterpolator

    grid = times[0] + np.arange(np.ceil((times[-1] - times[0]) / step) + 1) * step
    out = np.empty_like(values)
    for j in range(values.shape[1]):  # one by one, for tracks may be long
        even = PchipInterpolator(times, values[:, j])(np.minimum(grid, times[-1]))
        # The last step is cut short by the track's end; a line goes on to the grid's.
        even[-1] += (grid[-1] - times[-1]) * (values[-1, j] - values[-2, j]) / steps[-1]
        out[:, j] = PchipInterpolator(grid, _savgol(even, step))(times)
    return out


def _savgol(values: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    window = max(2 * round(WINDOW_S / step / 2) + 1, SMALLEST_WINDOW)
    window = min(window, len(values) - 1 + len(values) % 2)
    if window < SMALLEST_WINDOW:
        return values
    from scipy.signal import savgol_filter  # takes half a second, with scipy.stats

    smooth: NDArray[np.float64] = savgol_filter(values, window, ORDER, axis=0, mode="interp")
    return smooth


def one_euro(
    values: NDArray[np.float64], times: NDArray[np.float64], unit: float = 1.0
) -> NDArray[np.float64]:
    """The one-euro filter of (T, J, D) without gaps, forwards and backwards, averaged.

    Args:
        unit: what a metre is in the values' unit.
    """
    # Continued at both ends as mirrored in the end point: what moves evenly goes on evenly.
    more = min(int(np.ceil(EXTENSION_S / np.median(np.diff(times)))), MOST_EXTENSION)
    values = np.pad(values, ((more, more), (0, 0), (0, 0)), "reflect", reflect_type="odd")
    times = np.pad(times, more, "reflect", reflect_type="odd")
    forwards = _one_euro(values, np.diff(times), unit)
    backwards = _one_euro(values[::-1], np.diff(times)[::-1], unit)[::-1]
    middle: NDArray[np.float64] = ((forwards + backwards) / 2)[more : len(values) - more]
    return middle


def _one_euro(
    values: NDArray[np.float64], steps: NDArray[np.float64], unit: float
) -> NDArray[np.float64]:
    out = np.empty_like(values)
    out[0], speed = values[0], np.zeros_like(values[0])
    for t, step in enumerate(steps.tolist(), start=1):
        velocity = (values[t] - values[t - 1]) / step
        speed += _share(SPEED_CUTOFF_HZ, step) * (velocity - speed)
        # The speed of the point in all axes together, whatever their directions.
        metres = np.sqrt(np.square(speed).sum(axis=-1, keepdims=True)) / unit
        share = _share(MIN_CUTOFF_HZ + BETA * metres, step)
        out[t] = out[t - 1] + share * (values[t] - out[t - 1])
    return out


def _share(cutoff_hz: Any, step: float) -> Any:
    """What a new value counts for, in an exponential mean with that cut-off."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step))


Method = Callable[[NDArray[np.float64], NDArray[np.float64], float], NDArray[np.float64]]
METHODS: Mapping[str, Method] = {"one-euro": one_euro, "savgol": savgol}


def smooth_joints(result: Pose3D, method: str) -> Pose3D:
    """The same result with its 3D joints smoothed; 2D joints stay as they were detected.

    Joints are smoothed where they are in the scene, not relative to the moving root, so that a
    foot on the ground stays still. Only where the place is unknown, it is relative to the root.

    Raises:
        UsageError: there is no such method.
    """
    check_method(method)
    if method == NONE:
        return result
    joints, root = result.joints_3d.copy(), result.root_3d.copy()
    for person in range(result.people):
        placed = np.isfinite(root[person]).all(axis=1, keepdims=True)
        at = np.where(placed, root[person], 0)[:, None]
        for known in (placed, ~placed):
            track = np.where(known[..., None], joints[person] + at, np.nan)
            track = smooth_track(track, result.timestamps, method)
            there = known[:, 0] & result.present[person]
            joints[person, there] = track[there] - track[there, :1]
            if known is placed:
                root[person, there] = track[there, 0]
    return replace(result, joints_3d=joints, root_3d=root)


def smooth_pictures(result: Pose3D, method: str | None = None) -> Pose3D:
    """The result as it is drawn: its 2D joints smoothed, and its 3D joints if they are not yet.

    Args:
        method: by default that of `meta`, or else `PICTURES`.

    Raises:
        UsageError: there is no such method.
    """
    before = result.meta.get("smoothing")
    before = before if isinstance(before, dict) else {}
    method = method or str(before.get("pictures", PICTURES))
    check_method(method)
    if method == NONE:
        return result
    if before.get("data", NONE) == NONE:
        result = smooth_joints(result, method)
    keypoints = result.keypoints_2d.copy()
    for person in range(result.people):
        unit = _pixels_per_metre(keypoints[person])
        if unit > 0:
            keypoints[person] = smooth_track(keypoints[person], result.timestamps, method, unit)
    return replace(result, keypoints_2d=keypoints)


def _pixels_per_metre(keypoints: NDArray[np.float32]) -> float:
    """Of one person's (T, 17, 2) joints; 0 if it is unknown."""
    around = np.linalg.norm(keypoints - keypoints[:, :1], axis=2)[:, 1:]
    around = around[np.isfinite(around)]
    return float(around.mean()) / BODY_M if len(around) else 0.0
