"""Viewpoints of the 3D scene, and projection to pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import UsageError

MARGIN = 0.06
"""Margin of the panel, as a fraction of its smaller side."""
DISTANCE = 2.0
"""Distance of the viewer from the scene centre, in scene diameters: enough perspective to show
depth, without distortion."""


@dataclass(frozen=True)
class View:
    """Direction of the viewer from the centre of the scene."""

    azimuth_deg: float
    """0: at the camera; 90: to the camera's right; 180: behind the people."""
    elevation_deg: float
    """0: on the floor; 90: straight above."""


VIEWS = {
    "three-quarter": View(38, 17),
    "front": View(0, 8),
    "side": View(90, 8),
    "top": View(0, 90),
}


def parse_view(text: str) -> View:
    """Parse a view, by name (`VIEWS`) or as "AZIMUTH,ELEVATION" in degrees.

    Raises:
        UsageError: the text is neither, or the elevation is not from 0 to 90.
    """
    if text in VIEWS:
        return VIEWS[text]
    try:
        azimuth, elevation = (float(number) for number in text.split(","))
        if not (np.isfinite(azimuth) and 0 <= elevation <= 90):
            raise ValueError
    except ValueError:
        raise UsageError(
            f"{text!r} is not a view; give one of {', '.join(VIEWS)}, or AZIMUTH,ELEVATION in "
            "degrees with an elevation from 0 to 90, such as 38,17."
        ) from None
    return View(azimuth, elevation)


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """A pinhole camera; world axes x right, y away from the video camera, z up, metres."""

    axes: NDArray[np.float64]
    """(3, 3) rows: the panel's right, its up, and away from the viewer."""
    eye: NDArray[np.float64]
    """(3,) position of the viewer."""
    focal_px: float
    middle_px: NDArray[np.float64]
    """(2,) principal point."""

    @classmethod
    def fit(cls, view: View, points: NDArray[np.floating[Any]], size: tuple[int, int]) -> Viewpoint:
        """The viewpoint from which `points` fill a panel.

        Args:
            view: direction of the viewer.
            points: (N, 3) world, metres.
            size: width and height of the panel, pixels.
        """
        azimuth, elevation = np.radians([view.azimuth_deg, view.elevation_deg])
        right = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
        towards_eye = np.array(
            [
                np.sin(azimuth) * np.cos(elevation),
                -np.cos(azimuth) * np.cos(elevation),
                np.sin(elevation),
            ]
        )
        axes = np.stack([right, np.cross(towards_eye, right), -towards_eye])
        low, high = points.min(axis=0), points.max(axis=0)
        centre = (low + high) / 2
        diameter = max(1.0, float(np.linalg.norm(high - low)))
        eye = centre + towards_eye * DISTANCE * diameter

        plain = cls(axes, eye, 1.0, np.zeros(2))
        on_plane, _ = plain.project(points)
        low, high = on_plane.min(axis=0), on_plane.max(axis=0)
        panel = np.array(size, float)
        room = panel - 2 * MARGIN * panel.min()
        focal = float((room / np.maximum(high - low, 1e-6)).min())
        return cls(axes, eye, focal, panel / 2 - focal * (low + high) / 2)

    def project(
        self, points: NDArray[np.floating[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(..., 3) world -> (..., 2) pixels and (...) depth along the optical axis, metres.

        Points behind the viewer are moved just in front of the eye, far outside the panel.
        """
        seen = (points - self.eye) @ self.axes.T
        depth = np.maximum(seen[..., 2], 0.05)
        across = np.stack([seen[..., 0], -seen[..., 1]], axis=-1)
        pixels: NDArray[np.float64] = self.middle_px + self.focal_px * across / depth[..., None]
        return pixels, depth

    def floor_at(
        self, x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Intersect the rays of pixels with the floor.

        Args:
            x, y: (...) pixels.

        Returns:
            (..., 2) world x and y, metres, and (...) whether they show the floor at all.
        """
        middle_x, middle_y = self.middle_px
        across = [(x - middle_x) / self.focal_px, (middle_y - y) / self.focal_px, np.ones_like(x)]
        rays = np.stack(across, axis=-1) @ self.axes
        down = rays[..., 2] < -1e-6
        reach = np.where(down, self.eye[2] / np.where(down, -rays[..., 2], 1.0), 0.0)
        return self.eye[:2] + rays[..., :2] * reach[..., None], down
