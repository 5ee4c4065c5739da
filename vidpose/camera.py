"""Pixels and rays of a pinhole camera, and the focal length that stands in for an unknown one.

Rays are image coordinates at depth 1: (pixel - principal point) / focal length. The principal point
is the middle of the picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FOCAL_IN_LONG_SIDES = 1.0
"""The focal length assumed when none is given, in longer sides of the picture: 53 degrees across.
Phones film at about 0.8 to 0.9, camcorders and zoomed pictures at more."""


def assumed_focal_px(frame_size: tuple[int, int]) -> float:
    """The focal length in pixels that stands in for an unknown one."""
    return FOCAL_IN_LONG_SIDES * max(frame_size)


def pixels_to_rays(
    keypoints_px: NDArray[np.floating], frame_size: tuple[int, int], focal_px: float
) -> NDArray[np.float64]:
    """(..., 2) pixels -> (..., 2) rays, for a principal point in the middle of the picture."""
    centre = (np.array(frame_size) - 1) / 2
    return np.asarray((keypoints_px - centre) / focal_px, dtype=np.float64)


def rays_to_pixels(
    rays: NDArray[np.floating], frame_size: tuple[int, int], focal_px: float
) -> NDArray[np.float64]:
    """The inverse of `pixels_to_rays`."""
    centre = (np.array(frame_size) - 1) / 2
    return np.asarray(rays * focal_px + centre, dtype=np.float64)
