"""Resampling of tracks to a network's training frame rate, and of their poses back."""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

SAME_RATE = 0.02
"""A track is not resampled if its rate differs by at most this fraction (29.97 counts as 30) ..."""
EVEN_STEPS = 0.25
"""... and no step between frames by more than this fraction: containers round times to ms."""
AT_ONCE = 4096
"""Number of times to interpolate at once; bounds memory."""
SHORTEST_STEP = 1e-3
"""Minimum last step of a grid, in frames, because interpolation needs distinct times."""
PCHIP_REACH = 4
"""Number of frames on either side that determine PCHIP's value at a time."""


def training_grid(timestamps: NDArray[np.float64], fps: float) -> NDArray[np.float64] | None:
    """Make the times to resample a track to; None if its frames have the right rate already.

    The grid starts at the first frame and ends at the last, so the last step may be shorter.

    Args:
        timestamps: (T,) seconds, increasing.
        fps: frame rate of the network's training windows.
    """
    if len(timestamps) < 2:
        return None
    steps = np.diff(timestamps) * fps
    if abs(steps.mean() - 1) <= SAME_RATE and (np.abs(steps - 1) <= EVEN_STEPS).all():
        return None
    seconds = float(timestamps[-1] - timestamps[0])
    count = max(2, ceil(seconds * fps - SHORTEST_STEP) + 1)
    grid = timestamps[0] + np.arange(count) / fps
    grid[-1] = timestamps[-1]
    return np.asarray(grid)


def nearest(timestamps: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the index of the nearest frame for each time."""
    return np.searchsorted((timestamps[:-1] + timestamps[1:]) / 2, at)


def resample(
    times: NDArray[np.float64], values: NDArray[np.floating], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate (T, J, D) at `times` to (len(at), J, D); joints with missing frames become NaN.

    PCHIP does not overshoot where a joint jumps.
    """
    from scipy.interpolate import PchipInterpolator  # many videos need no resampling

    out = np.full((len(at), *values.shape[1:]), np.nan)
    there = np.isfinite(values).all(axis=(0, 2))
    for start in range(0, len(at), AT_ONCE):
        some = at[start : start + AT_ONCE]
        first, last = np.searchsorted(times, (some[0], some[-1])).tolist()
        near = slice(max(0, first - PCHIP_REACH), min(len(times), last + PCHIP_REACH))
        path = PchipInterpolator(times[near], values[near][:, there], axis=0)
        out[start : start + len(some), there] = path(some)
    return out
