"""Stick people, in pixels, for tests of detection and tracking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidpose.detect import Detections
from vidpose.skeleton import H36M17

STANDING = np.array(
    [
        *((0, 0), (-12, 0), (-14, 45), (-16, 90), (12, 0), (14, 45), (16, 90)),
        *((0, -25), (0, -55), (0, -65), (0, -80)),
        *((20, -55), (28, -25), (30, 0), (-20, -55), (-28, -25), (-30, 0)),
    ],
    np.float32,
)
"""(17, 2) h36m17, pixels: 170 tall, seen from the front, the hip at the origin."""


def stick(x: float, y: float = 300, scale: float = 1.0) -> NDArray[np.float32]:
    """(17, 2) a stick person with the hip at (x, y)."""
    return (STANDING * scale + (x, y)).astype(np.float32)


def detections(poses: Sequence[NDArray[np.float32]], score: float = 0.9) -> Detections:
    """All `poses`, (17, 2) each, with the same score for every joint; 0 where one is NaN."""
    keypoints = np.array(poses, np.float32).reshape(-1, 17, 2)
    there = np.isfinite(keypoints).all(axis=2)
    return Detections(keypoints, np.where(there, score, 0).astype(np.float32), H36M17)
