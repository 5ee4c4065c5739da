"""Joints over time: where they are there, and what is missing between frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fill_missing(
    joints: NDArray[np.floating], timestamps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate missing joints in time, hold the first and last; a joint never seen stays NaN.

    Args:
        joints: (T, J, D), NaN where missing.
        timestamps: (T,) seconds.

    Raises:
        ValueError: no joint is there in any frame.
    """
    filled = np.array(joints, dtype=np.float64)
    there = np.isfinite(filled).all(axis=-1)
    if not there.any():
        raise ValueError("no joint is there in any frame")
    for j in np.flatnonzero(there.any(axis=0) & ~there.all(axis=0)):
        known = there[:, j]
        for d in range(filled.shape[2]):
            filled[:, j, d] = np.interp(timestamps, timestamps[known], filled[known, j, d])
    return filled


def runs(flags: NDArray[np.bool_]) -> list[slice]:
    """The stretches of consecutive True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
