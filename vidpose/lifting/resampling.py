"""Tracks at the frame rate that a network was trained at, and their poses back again."""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

SAME_RATE = 0.02
"""A rate this near to the checkpoint's, as a fraction, is not resampled (29.97 is 30),"""
EVEN_STEPS = 0.25
"""if no step between frames differs more than this (containers round times to milliseconds)."""
AT_ONCE = 4096
"""Times that are interpolated together; bounds memory."""
SHORTEST_STEP = 1e-3
"""The last step of a grid is longer than this part of a frame: nothing can be interpolated between
two times that are one."""
PCHIP_REACH = 4
"""PCHIP's value at a time depends on no more frames than this on either side."""


def training_grid(timestamps: NDArray[np.float64], fps: float) -> NDArray[np.float64] | None:
    """The times at which a network wants its frames; None if it has them already.

    They count from the first frame; the last one is the track's end, so its step is mostly shorter.

    Args:
        timestamps: (T,) seconds, rising.
        fps: frames a second of the windows the network was trained on.
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
    """For each time the number of the frame that is nearest to it."""
    return np.searchsorted((timestamps[:-1] + timestamps[1:]) / 2, at)


def resample(
    times: NDArray[np.float64], values: NDArray[np.floating], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(T, J, D) at `times` -> (len(at), J, D); joints that are never there are NaN.

    PCHIP does not overshoot where a joint jumps.
    """
    from scipy.interpolate import PchipInterpolator  # many videos have the rate they need

    out = np.full((len(at), *values.shape[1:]), np.nan)
    there = np.isfinite(values).all(axis=(0, 2))
    for start in range(0, len(at), AT_ONCE):
        some = at[start : start + AT_ONCE]
        first, last = np.searchsorted(times, (some[0], some[-1])).tolist()
        near = slice(max(0, first - PCHIP_REACH), min(len(times), last + PCHIP_REACH))
        path = PchipInterpolator(times[near], values[near][:, there], axis=0)
        out[start : start + len(some), there] = path(some)
    return out
