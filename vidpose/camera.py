"""Pixels and rays of a pinhole camera, and the focal length assumed when it is unknown.

Rays are image coordinates at depth 1: (pixel - principal point) / focal length. The principal point
is the image centre.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FOCAL_IN_LONG_SIDES = 1.0
"""Focal length assumed when none is given, as a multiple of the image's longer side: a field of
view of 53 degrees. Phones have about 0.8 to 0.9; camcorders and zoomed videos have more."""


def assumed_focal_px(frame_size: tuple[int, int]) -> float:
    """Focal length in pixels to assume when it is unknown."""
    return FOCAL_IN_LONG_SIDES * max(frame_size)


def pixels_to_rays(
    keypoints_px: NDArray[np.floating], frame_size: tuple[int, int], focal_px: float
) -> NDArray[np.float64]:
    """(..., 2) pixels -> (..., 2) rays, with the principal point at the image centre."""
    centre = (np.array(frame_size) - 1) / 2
    return np.asarray((keypoints_px - centre) / focal_px, dtype=np.float64)


def rays_to_pixels(
    rays: NDArray[np.floating], frame_size: tuple[int, int], focal_px: float
) -> NDArray[np.float64]:
    """The inverse of `pixels_to_rays`."""
    centre = (np.array(frame_size) - 1) / 2
    return np.asarray(rays * focal_px + centre, dtype=np.float64)
