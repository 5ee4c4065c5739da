"""Zero-lag smoothing of joints over time.

There are two methods. Both accept tracks with gaps and with unevenly spaced frames:

    savgol     a Savitzky-Golay filter: a parabola through the frames around each
    one-euro   the one-euro filter of G. Casiez, N. Roussel, D. Vogel, "1 Euro Filter: A Simple
               Speed-based Low-pass Filter for Noisy Input in Interactive Systems", CHI 2012: an
               exponential mean that smooths strongly at rest and follows fast motion closely. It
               lags, so it runs forwards and backwards, and the lags cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import UsageError
from vidpose.poses import Pose3D, section
from vidpose.utils.gaps import gaps_in, runs_between

WINDOW_S = 0.2
"""Window of the Savitzky-Golay filter, but at least `SMALLEST_WINDOW`. Short enough to keep the
amplitude of steps and punches."""
ORDER = 2
SMALLEST_WINDOW = ORDER + 3
"""Frames; with fewer, the parabola would pass (almost) through each of them."""
EVEN_STEPS = 0.05
"""Frames count as evenly spaced if steps differ by no more than this fraction."""

MIN_CUTOFF_HZ = 2.0
"""Cut-off of the one-euro filter at rest: smooths over about a tenth of a second ..."""
BETA = 8.0
"""... and the cut-off rises by this many Hz per metre per second."""
SPEED_CUTOFF_HZ = 1.0
"""Cut-off of the filter on the speed itself, as in the paper."""
EXTENSION_S = 0.5
"""Padding at both ends, for the filter to settle."""

MOST_STEPS = 10
"""Maximum number of even steps per frame when interpolating unevenly spaced frames."""
MOST_EXTENSION = 2000
"""Maximum padding in frames: half a second at 4,000 frames/s."""
BODY_M = 0.45
"""Mean distance of the joints of a standing person from the root, to convert pixels to metres."""

NONE = "none"
PICTURES = "savgol"
"""The default method for drawing."""


def check_method(method: str) -> None:
    """Raise a UsageError if there is no such method."""
    if method != NONE and method not in METHODS:
        known = ", ".join((NONE, *METHODS))
        raise UsageError(f"--smooth {method}: give one of {known}.")


def parameters(method: str) -> dict[str, float]:
    """Parameters of a method, for `meta`."""
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
        values: (T, J, D); NaN where a point is missing. There is no smoothing across such a gap, or
            across a gap between frames (`vidpose.utils.gaps.LONGEST_STEP_S`); gaps stay.
        timestamps: (T,) seconds, increasing.
        method: `none`, `savgol` or `one-euro`.
        unit: a metre in the unit of the values; for `one-euro`.

    Returns:
        (T, J, D), in the unit of `values`.

    Raises:
        UsageError: there is no such method.
    """
    check_method(method)
    out = values.copy()
    if method == NONE or len(values) < 3:
        return out
    smooth = METHODS[method]
    there = np.isfinite(values).all(axis=2)
    # Points that are known in the same frames are smoothed together.
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
    # Rarely more than the median; bounds the work if most frames are very close together.
    step = max(float(np.median(steps)), float(times[-1] - times[0]) / (MOST_STEPS * len(times)))
    if (np.abs(steps / step - 1) <= EVEN_STEPS).all():
        return _savgol(values, step)
    from scipy.interpolate import PchipInterpolator

    grid = times[0] + np.arange(np.ceil((times[-1] - times[0]) / step) + 1) * step
    out = np.empty_like(values)
    for j in range(values.shape[1]):  # one by one, to bound memory
        even = PchipInterpolator(times, values[:, j])(np.minimum(grid, times[-1]))
        # The last step ends early, at the end of the track; extrapolate linearly to the grid.
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
        unit: a metre in the unit of the values.
    """
    # Padded by point reflection, so that uniform motion continues uniformly.
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
        # The norm of the velocity, so that the result does not depend on the axes.
        metres = np.sqrt(np.square(speed).sum(axis=-1, keepdims=True)) / unit
        share = _share(MIN_CUTOFF_HZ + BETA * metres, step)
        out[t] = out[t - 1] + share * (values[t] - out[t - 1])
    return out


def _share(cutoff_hz: Any, step: float) -> Any:
    """Weight of a new value in an exponential mean with this cut-off."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step))


Method = Callable[[NDArray[np.float64], NDArray[np.float64], float], NDArray[np.float64]]
METHODS: Mapping[str, Method] = {"one-euro": one_euro, "savgol": savgol}


def smooth_joints(result: Pose3D, method: str) -> Pose3D:
    """Smooth 3D joints; 2D joints stay as detected.

    Joints are smoothed at their positions in the scene, so that a foot on the ground stays still,
    and relative to the root only where the root's position is unknown.

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
    """Smooth a result for drawing: its 2D joints, and its 3D joints if they are not smoothed yet.

    Args:
        method: by default that in `meta`, or else `PICTURES`.

    Raises:
        UsageError: there is no such method.
    """
    before = section(result.meta, "smoothing")
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
    """Scale of one person's (T, 17, 2) joints; 0 if unknown."""
    around = np.linalg.norm(keypoints - keypoints[:, :1], axis=2)[:, 1:]
    around = around[np.isfinite(around)]
    return float(around.mean()) / BODY_M if len(around) else 0.0
